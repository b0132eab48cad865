/* The embedded cluster on real folders: first start, again, owners that are killed, debris,
 * refusals. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"

struct place {
    char base[32];
    char dir[96];
    struct loop *loop;
    struct db_cluster *c;
    int crashes;
};

static struct place *place_new(const char *sub)
{
    struct err err;
    struct place *p = mem_alloc(sizeof(*p));
    snprintf(p->base, sizeof(p->base), "/tmp/waymark-cl-XXXXXX");
    assert_non_null(mkdtemp(p->base));
    assert_int_equal(chmod(p->base, 0755), 0);
    snprintf(p->dir, sizeof(p->dir), "%s/%s", p->base, sub);
    p->loop = loop_new(2, &err);
    assert_non_null(p->loop);
    return p;
}

static void place_free(struct place *p)
{
    loop_run(p->loop);
    p->loop = loop_free(p->loop);
    pg_cluster_remove_tree(p->base);
    mem_free(p);
}

static struct op start(struct place *p, const char *bin_dir)
{
    struct op op;
    const struct db_cluster_conf conf = {.dir = p->dir, .bin_dir = bin_dir, .max_connections = 10};
    flow_call(db_cluster_start_flow(p->loop, &conf, &p->c), &op);
    await(p->loop, &op);
    return op;
}

static void stop(struct place *p)
{
    struct op op;
    flow_call(db_cluster_stop_flow(p->c), &op);
    await(p->loop, &op);
    assert_ok(&op);
    p->c = NULL;
}

static const char *path_in(const struct place *p, const char *name)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/%s", p->dir, name);
    return path;
}

static int64_t ask_server(const char *url, const char *sql)
{
    PGconn *pg = PQconnectdb(url);
    PGresult *res = PQexec(pg, sql);
    int64_t n = -1;
    if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) > 0)
        n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    else if (PQresultStatus(res) == PGRES_COMMAND_OK)
        n = 0;
    PQclear(res);
    PQfinish(pg);
    return n;
}

static pid_t postmaster_pid(const struct place *p)
{
    char line[32] = "";
    FILE *f = fopen(path_in(p, "pgdata/postmaster.pid"), "re");
    if (f == NULL)
        return 0;
    /* A server that is just starting has not written it yet: 0. */
    bool written = fgets(line, sizeof(line), f) != NULL;
    fclose(f);
    return written ? (pid_t)strtol(line, NULL, 10) : 0;
}

static void write_file(const struct place *p, const char *name, const char *text)
{
    FILE *f = fopen(path_in(p, name), "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_refused(const struct op *op, const char *text)
{
    assert_true(op->failed);
    if (op->err.domain != ERR_CONF || strstr(op->err.msg, text) == NULL)
        fail_msg("domain %d: %s", (int)op->err.domain, op->err.msg);
}

static void test_first_start_and_again(void **state)
{
    (void)state;
    struct place *p = place_new("a/deep er/it's \"here\"");
    struct stat st;
    int64_t t0 = clock_mono_ms();
    struct op op = start(p, NULL);
    assert_ok(&op);
    int64_t t1 = clock_mono_ms();
    assert_true(db_cluster_owned(p->c));
    assert_int_equal(ask_server(db_cluster_url(p->c), "CREATE TABLE t AS SELECT 7 AS n"), 0);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT count(*) FROM pg_settings WHERE"
                                                      " name = 'fsync' AND setting = 'on'"),
                     1);
    assert_int_equal(ask_server(db_cluster_url(p->c),
                                "SELECT count(*) FROM pg_settings WHERE"
                                " name = 'listen_addresses' AND setting = ''"),
                     1);
    assert_int_equal(stat(path_in(p, "run"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    int64_t t2 = clock_mono_ms();
    stop(p);
    int64_t t3 = clock_mono_ms();
    assert_int_equal(postmaster_pid(p), 0);
    op = start(p, NULL);
    assert_ok(&op);
    int64_t t4 = clock_mono_ms();
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT n FROM t"), 7);
    stop(p);
    print_message("first start %lld ms, stop %lld ms, start again %lld ms\n", (long long)(t1 - t0),
                  (long long)(t3 - t2), (long long)(t4 - t3));
    place_free(p);
}

static void test_long_path_uses_a_short_socket_folder(void **state)
{
    (void)state;
    struct place *p = place_new("x");
    char deep[300];
    /* A comma alone would do: libpq takes it for the end of a host. */
    snprintf(deep, sizeof(deep), "%s/,%0100d", p->dir, 1);
    const struct db_cluster_conf conf = {.dir = deep};
    struct op op;
    flow_call(db_cluster_start_flow(p->loop, &conf, &p->c), &op);
    await(p->loop, &op);
    assert_ok(&op);
    char run[64];
    assert_int_equal(sscanf(db_cluster_url(p->c), "host='%63[^']'", run), 1);
    assert_int_equal(strncmp(run, "/tmp/waymark-", 13), 0);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT 1"), 1);
    stop(p);
    pg_cluster_remove_tree(run);
    place_free(p);
}

/* A second process that owns the cluster in dir, tells when it is up, and lives until it is killed.
 */
static pid_t fork_owner(struct place *p)
{
    int fd[2];
    char byte = 0;
    assert_int_equal(pipe(fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err;
        close(fd[0]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* The parent's loop is not ours to use. */
        p->loop = loop_new(2, &err);
        struct op op = start(p, NULL);
        byte = op.failed ? 'f' : 'k';
        if (op.failed)
            fprintf(stderr, "%s\n", op.err.msg);
        if (write(fd[1], &byte, 1) != 1 || op.failed)
            _exit(1);
        loop_run(p->loop);
        _exit(0);
    }
    close(fd[1]);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    close(fd[0]);
    assert_int_equal(byte, 'k');
    return pid;
}

static void kill_and_wait(pid_t pid, int signum)
{
    assert_int_equal(kill(pid, signum), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_second_process_attaches_and_takes_over(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    pid_t owner = fork_owner(p);
    struct op op = start(p, NULL);
    assert_ok(&op);
    assert_false(db_cluster_owned(p->c));
    pid_t first = postmaster_pid(p);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT 5"), 5);
    kill_and_wait(owner, SIGKILL);
    int64_t start_ms = clock_mono_ms();
    while (!db_cluster_owned(p->c) || postmaster_pid(p) == first ||
           ask_server(db_cluster_url(p->c), "SELECT 6") != 6) {
        assert_true(clock_mono_ms() - start_ms < 15000);
        sleep_on_loop(p->loop, 100);
    }
    print_message("taken over after %lld ms\n", (long long)(clock_mono_ms() - start_ms));
    stop(p);
    place_free(p);
}

static void test_killed_owner(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    pid_t owner = fork_owner(p);
    pid_t server = postmaster_pid(p);
    assert_true(server > 0);
    /* The server cannot hear of its owner's death, as when setpriv is not there. */
    assert_int_equal(kill(server, SIGSTOP), 0);
    kill_and_wait(owner, SIGKILL);
    assert_int_equal(kill(server, SIGCONT), 0);
    int64_t t0 = clock_mono_ms();
    struct op op = start(p, NULL);
    assert_ok(&op);
    assert_true(db_cluster_owned(p->c));
    assert_int_not_equal(postmaster_pid(p), server);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT 5"), 5);
    print_message("up again after kill -9 of the owner: %lld ms\n",
                  (long long)(clock_mono_ms() - t0));
    stop(p);
    place_free(p);
}

/* An orphan that gets no death signal at all: started by hand on the same data. */
static void test_orphan_without_death_signal(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    struct op op = start(p, NULL);
    assert_ok(&op);
    stop(p);
    char command[500];
    const char *as_user =
        geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --init-groups " : "";
    if (geteuid() == 0 && getpwnam("postgres") == NULL)
        skip();
    snprintf(command, sizeof(command),
             "cd / && %s%s/pg_ctl -D '%s/pgdata' -w -l /dev/null -o '-c listen_addresses= -k "
             "%s/run' start >/dev/null",
             as_user, pg_cluster_bin_dir(), p->dir, p->dir);
    assert_int_equal(system(command), 0);
    pid_t orphan = postmaster_pid(p);
    assert_true(orphan > 0);
    op = start(p, NULL);
    assert_ok(&op);
    assert_int_not_equal(postmaster_pid(p), orphan);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT 5"), 5);
    stop(p);
    place_free(p);
}

static void test_debris(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    char text[300];
    struct op op = start(p, NULL);
    assert_ok(&op);
    stop(p);
    /* After a reboot: a pid file that names a living process which is not postgres, socket files,
     * half an initdb. */
    snprintf(text, sizeof(text), "%ld\n%s/pgdata\n1\n5432\n%s/run\n\n  5 0\nready\n",
             (long)getpid(), p->dir, p->dir);
    write_file(p, "pgdata/postmaster.pid", text);
    write_file(p, "run/.s.PGSQL.5432.lock", text);
    write_file(p, "run/.s.PGSQL.5432", "");
    assert_int_equal(mkdir(path_in(p, "pgdata.tmp-1"), 0700), 0);
    write_file(p, "pgdata.tmp-1/PG_VERSION", "15\n");
    op = start(p, NULL);
    assert_ok(&op);
    assert_int_equal(access(path_in(p, "pgdata.tmp-1"), F_OK), -1);
    assert_int_equal(ask_server(db_cluster_url(p->c), "SELECT 5"), 5);
    stop(p);
    place_free(p);
}

static void test_crash_is_mended(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    struct op op = start(p, NULL);
    assert_ok(&op);
    for (int round = 0; round < 2; round++) {
        pid_t server = postmaster_pid(p);
        assert_true(server > 1);
        assert_int_equal(kill(server, SIGKILL), 0);
        int64_t t0 = clock_mono_ms();
        do {
            sleep_on_loop(p->loop, 50);
            assert_true(clock_mono_ms() - t0 < 15000);
        } while (postmaster_pid(p) == server || ask_server(db_cluster_url(p->c), "SELECT 6") != 6);
        sleep_on_loop(p->loop, 200);
    }
    /* Stopped while it is being restarted. */
    assert_true(postmaster_pid(p) > 1);
    assert_int_equal(kill(postmaster_pid(p), SIGKILL), 0);
    sleep_on_loop(p->loop, 60);
    stop(p);
    place_free(p);
}

static void test_refusals(void **state)
{
    (void)state;
    struct place *p = place_new("db");
    struct op op = start(p, "/nonexistent");
    assert_refused(&op, "no initdb and postgres in /nonexistent");
    assert_int_equal(mkdir(path_in(p, "pgdata"), 0700), 0);
    write_file(p, "pgdata/precious", "x");
    if (geteuid() == 0) {
        const struct passwd *pw = getpwnam("postgres");
        assert_int_equal(chown(path_in(p, "pgdata"), pw->pw_uid, pw->pw_gid), 0);
    }
    op = start(p, NULL);
    assert_refused(&op, "is not a PostgreSQL data folder");
    assert_int_equal(access(path_in(p, "pgdata/precious"), F_OK), 0);
    write_file(p, "pgdata/PG_VERSION", "12\n");
    op = start(p, pg_cluster_bin_dir());
    assert_refused(&op, "made by PostgreSQL 12");
    op = start(p, NULL);
    assert_refused(&op, "postgresql-12");
    assert_int_equal(unlink(path_in(p, "pgdata/PG_VERSION")), 0);
    /* An empty pgdata, as a fresh volume has it, is no data. */
    assert_int_equal(unlink(path_in(p, "pgdata/precious")), 0);
    op = start(p, NULL);
    assert_ok(&op);
    stop(p);
    const struct db_cluster_conf conf = {.dir = "relative"};
    flow_call(db_cluster_start_flow(p->loop, &conf, &p->c), &op);
    await(p->loop, &op);
    assert_refused(&op, "absolute");
    place_free(p);
}

static void test_closed_parent(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct place *p = place_new("closed/db");
    char parent[96];
    snprintf(parent, sizeof(parent), "%s", p->dir);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(mkdir(parent, 0700), 0);
    struct op op = start(p, NULL);
    assert_refused(&op, "may not enter");
    assert_refused(&op, parent);
    assert_int_equal(chmod(parent, 0711), 0);
    op = start(p, NULL);
    assert_ok(&op);
    stop(p);
    place_free(p);
}

/* As a package leaves it: the service's own user is to run the server, also for root's commands. */
static void test_folder_of_a_user(void **state)
{
    (void)state;
    const struct passwd *pw = getpwnam("nobody");
    if (geteuid() != 0 || pw == NULL)
        skip();
    struct place *p = place_new("db");
    struct stat st;
    assert_int_equal(mkdir(p->dir, 0700), 0);
    assert_int_equal(chown(p->dir, pw->pw_uid, pw->pw_gid), 0);
    struct op op = start(p, NULL);
    assert_ok(&op);
    assert_int_equal(stat(path_in(p, "pgdata"), &st), 0);
    assert_int_equal(st.st_uid, pw->pw_uid);
    stop(p);
    place_free(p);
}

static void test_cancelled_start(void **state)
{
    (void)state;
    static const int64_t after_ms[] = {0, 30, 200, 700};
    for (size_t i = 0; i < COUNT_OF(after_ms); i++) {
        struct place *p = place_new("db");
        const struct db_cluster_conf conf = {.dir = p->dir};
        struct op op;
        flow_call(db_cluster_start_flow(p->loop, &conf, &p->c), &op);
        sleep_on_loop(p->loop, after_ms[i]);
        op_cancel(&op);
        await(p->loop, &op);
        if (!op.failed)
            stop(p);
        loop_run(p->loop);
        op = start(p, NULL);
        assert_ok(&op);
        stop(p);
        place_free(p);
    }
}

static int need_programs(void **state)
{
    (void)state;
    if (pg_cluster_bin_dir() != NULL)
        return 0;
    fprintf(stderr, "skipped: no PostgreSQL server programs (Debian: postgresql-15)\n");
    exit(77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_start_and_again),
        cmocka_unit_test(test_long_path_uses_a_short_socket_folder),
        cmocka_unit_test(test_second_process_attaches_and_takes_over),
        cmocka_unit_test(test_killed_owner),
        cmocka_unit_test(test_orphan_without_death_signal),
        cmocka_unit_test(test_debris),
        cmocka_unit_test(test_crash_is_mended),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_closed_parent),
        cmocka_unit_test(test_folder_of_a_user),
        cmocka_unit_test(test_cancelled_start),
    };
    log_init(getenv("WAYMARK_TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
             LOG_FORMAT_LOGFMT, stderr);
    return cmocka_run_group_tests_name("db_cluster", tests, need_programs, NULL);
}
