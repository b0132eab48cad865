/* Adds no-op jobs by q.add over libpq, as a program that has them in memory would, and prints how
 * many seconds it took.
 *
 * usage: queue_add CONNINFO CALLS JOBS_PER_CALL */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(PGconn *conn)
{
    fprintf(stderr, "queue_add: %s", PQerrorMessage(conn));
    exit(1);
}

/* Returns the ids' count: the answer is read, as a caller would. */
static int add(PGconn *conn, char *json, size_t size, long from, long n)
{
    size_t at = 0;
    for (long i = 0; i < n; i++) {
        at += (size_t)snprintf(
            json + at, size - at,
            "%c{\"queue\": \"bench\", \"kind\": \"noop\", \"payload\": {\"n\": %ld}}",
            i == 0 ? '[' : ',', from + i);
    }
    memcpy(json + at, "]", 2);
    PGresult *r = PQexecPrepared(conn, "add", 1, (const char *const[]){json}, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        fail(conn);
    }
    int rows = PQntuples(r);
    PQclear(r);
    return rows;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: queue_add CONNINFO CALLS JOBS_PER_CALL\n");
        return 2;
    }
    long calls = strtol(argv[2], NULL, 10), n = strtol(argv[3], NULL, 10), rows = 0;
    size_t size = (size_t)n * 80 + 16;
    char *json = malloc(size);
    PGconn *conn = PQconnectdb(argv[1]);
    if (!json || PQstatus(conn) != CONNECTION_OK) {
        fail(conn);
    }
    PQclear(PQprepare(conn, "add", "SELECT q.add($1)", 1, NULL));
    (void)add(conn, json, size, -100,
              n < 100 ? n : 100); /* plans and buffers, as the others have */
    double start = now_s();
    for (long i = 0; i < calls; i++) {
        rows += add(conn, json, size, i * n, n);
    }
    printf("%.6f %ld\n", now_s() - start, rows);
    PQfinish(conn);
    free(json);
    return 0;
}
