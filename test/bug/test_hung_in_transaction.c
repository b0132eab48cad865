/* An instance that was stopped while it sent a transaction left that transaction open: it held its
 * jobs' rows, the server took it for active and never ended it, and whoever came to rescue its jobs
 * waited for it. */
#include "it/it.h"

#include <unistd.h>

enum { HUNG_MS = 45000 };

/* The session sends this much, and then no more; no Sync, no COMMIT. */
static void send_half(PGconn *pg, const char *sql)
{
    assert_int_equal(PQenterPipelineMode(pg), 1);
    assert_int_equal(PQsendQueryParams(pg, "BEGIN", 0, NULL, NULL, NULL, NULL, 0), 1);
    assert_int_equal(PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0), 1);
    assert_int_equal(PQsendFlushRequest(pg), 1);
    while (PQflush(pg) > 0)
        usleep(1000);
}

static PGconn *session(struct it_db *db, const char *name)
{
    PGconn *pg = PQconnectdb(it_format("%s application_name=%s", db->url, name));
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    return pg;
}

static void its_jobs_are_taken_up_all_the_same(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    PGconn *beat = session(db, "waymark"), *work = session(db, "waymark");
    /* It beats no more, but its sessions stand; it is nobody's neighbour, so no pid tells. */
    it_exec(db,
            "INSERT INTO q.instance (host, place, pid, pid_started, version, session,"
            " session_start, sessions) SELECT 'far', 'elsewhere', 1, 1, '0', pid, backend_start,"
            " 'waymark'"
            " FROM pg_stat_activity WHERE pid = %d",
            PQbackendPID(beat));
    it_exec(db, "UPDATE q.job SET state = 'running', attempt = 1, owner = i.id, started_at = now()"
                " FROM q.instance i WHERE kind = 'match'");
    send_half(work, "DELETE FROM q.job WHERE kind = 'match'");
    int64_t started = it_now_ms();
    struct it_proc *p = it_serve(db, NULL);
    assert_true(it_eventually(db, HUNG_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    print_message("all done after %lld ms\n", (long long)(it_now_ms() - started));
    it_serve_stop(p);
    PQfinish(work);
    PQfinish(beat);
    it_same_as_recomputed(db);
}

/* Whoever sits in a transaction of his own is none of our business. */
static void nobody_else_is_ended(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *other = session(db, "psql"), *ours = session(db, "waymark");
    send_half(other, "SELECT 1");
    PQclear(PQexec(ours, "BEGIN")); /* an idle one is ended by the server's own timeout */
    it_pause_ms(16000);
    it_exec(db, "INSERT INTO q.instance (host, place, pid, pid_started, version, sessions)"
                " VALUES ('far', 'elsewhere', 1, 1, '0', 'waymark')");
    it_exec(db, "SELECT q.rescue(id, beat) FROM q.instance");
    it_holds(db, "2 = (SELECT count(*) FROM pg_stat_activity WHERE pid IN (%d, %d))",
             PQbackendPID(other), PQbackendPID(ours));
    PQfinish(other);
    PQfinish(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(its_jobs_are_taken_up_all_the_same),
        IT_TEST(nobody_else_is_ended),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
