/* Work through pgbouncer in transaction mode, where each transaction may meet another session;
 * LISTEN, the heartbeat and migrations go to the server itself. */
#include "it/load.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOON_MS = 20000, PORT = 6543 };

static const char *binary(void)
{
    const char *unpacked = WAYMARK_SOURCE_DIR "/build/pgbouncer/usr/sbin/pgbouncer";
    const char *const place[] = {unpacked, "/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"};
    for (size_t i = 0; i < sizeof(place) / sizeof(*place); i++) {
        if (access(place[i], X_OK) == 0)
            return place[i];
    }
    return NULL;
}

static const char *pool_dir(void)
{
    return it_format("%s/pool", it_home());
}

/* Three server connections for all: fewer than there are clients. */
static const char *write_settings(struct it_db *db)
{
    const char *dir = pool_dir();
    (void)mkdir(dir, 0777);
    (void)chmod(dir, 0777);
    (void)chmod(it_home(), 0755);
    load_file("pool/users.txt", "\"postgres\" \"\"\n");
    const char *server = strdup(pg_cluster_url(it_cluster(), db->name));
    const char *text = it_format("[databases]\n%s = %s\n"
                                 "[pgbouncer]\nlisten_port = %d\nunix_socket_dir = %s\n"
                                 "auth_type = trust\nauth_file = %s/users.txt\n"
                                 "pool_mode = transaction\ndefault_pool_size = 3\n"
                                 "server_login_retry = 1\nlog_connections = 0\n"
                                 "log_disconnections = 0\nlogfile = %s/log\n",
                                 db->name, server, PORT, dir, dir, dir);
    free((char *)server);
    return load_file("pool/pgbouncer.ini", text);
}

static pid_t start_pooler(struct it_db *db)
{
    const char *settings = write_settings(db), *path = it_for_others(binary());
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    const struct passwd *pw = getpwnam("postgres");
    if (geteuid() == 0 &&
        (!pw || setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0))
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(path, path, "-q", settings, (char *)NULL);
    _exit(127);
}

static void stop_pooler(pid_t pid, int signum)
{
    int status;
    (void)kill(pid, signum);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static const char *pooled_url(struct it_db *db)
{
    return it_format("host=%s port=%d user=postgres dbname=%s", pool_dir(), PORT, db->name);
}

static void wait_for_pooler(struct it_db *db)
{
    const char *url = pooled_url(db);
    for (int64_t end = it_now_ms() + SOON_MS; it_now_ms() < end; it_pause_ms(50)) {
        if (PQping(url) == PQPING_OK)
            return;
    }
    fail_msg("pgbouncer does not answer: %s", it_read_file(it_format("%s/log", pool_dir())));
}

static const char *const *pooled_env(struct it_db *db)
{
    static const char *env[6];
    env[0] = it_format("POSTGRES_CONNECTION_STRING=%s", pooled_url(db));
    env[1] = it_format("WAYMARK_DATABASE_DIRECT_URL=%s", db->url);
    env[2] = "PROCESSOR_BATCH_SIZE=4";
    env[3] = "PROCESSOR_CONCURRENCY=3";
    env[4] = NULL;
    return env;
}

/* What a client finds that comes after us. */
static void nothing_leaks(struct it_db *db)
{
    PGconn *pg = PQconnectdb(pooled_url(db));
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    for (int i = 0; i < 6; i++) {
        PGresult *res = PQexec(pg, "SELECT current_setting('statement_timeout'),"
                                   " current_setting('synchronous_commit'),"
                                   " (SELECT count(*) FROM pg_prepared_statements)");
        assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
        assert_string_equal(PQgetvalue(res, 0, 0), "0");
        assert_string_equal(PQgetvalue(res, 0, 1), "on");
        assert_string_equal(PQgetvalue(res, 0, 2), "0");
        PQclear(res);
    }
    PQfinish(pg);
}

static void a_history_through_it(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    pid_t pooler = start_pooler(db);
    wait_for_pooler(db);
    load_history(db, 120);
    it_must(db, pooled_env(db), IT_LIST("process", "--quiet"), 0);
    load_is_done(db);
    nothing_leaks(db);
    it_must(db, pooled_env(db), IT_LIST("status"), 0);
    it_same_as_recomputed(db);
    stop_pooler(pooler, SIGINT);
}

/* Two instances; the pooler is killed under them and comes back. */
static void it_goes_away_and_comes_back(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    pid_t pooler = start_pooler(db);
    wait_for_pooler(db);
    struct it_proc *a = it_serve(db, pooled_env(db)), *b = it_serve(db, pooled_env(db));
    for (int round = 0; round < 3; round++) {
        if (round == 0)
            load_history(db, 150);
        else
            it_exec(db, "UPDATE activities SET athlete_id = 3 - athlete_id WHERE id %% 2 = 0");
        it_pause_ms(150 + 100 * round);
        stop_pooler(pooler, SIGKILL);
        it_pause_ms(300);
        pooler = start_pooler(db);
        wait_for_pooler(db);
    }
    assert_true(it_eventually(db, 60000, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    (void)it_serve_stop(a);
    (void)it_serve_stop(b);
    load_is_done(db);
    it_same_as_recomputed(db);
    nothing_leaks(db);
    stop_pooler(pooler, SIGINT);
}

/* ---- what waymark doctor says of it -------------------------------------------------------- */

static void says(struct it_db *db, const char *const *env, int status, const char *what)
{
    struct it_result r = it_run(db, env, IT_LIST("doctor"));
    if (r.status == status && strstr(r.out, what) != NULL)
        return;
    print_error("%s%s", r.out, r.err);
    fail_msg("status %d, wanted %d and \"%s\"", r.status, status, what);
}

static void doctor_sees_it(void **state)
{
    (void)state;
    struct it_db *db = it_db_new(), *other = it_db_new();
    pid_t pooler = start_pooler(db);
    wait_for_pooler(db);
    const char *url = it_format("POSTGRES_CONNECTION_STRING=%s", pooled_url(db));
    const char *http = "WAYMARK_HTTP_LISTEN=off", *admin = "WAYMARK_ADMIN_LISTEN=off";
    const char *direct = it_format("WAYMARK_DATABASE_DIRECT_URL=%s", db->url);
    /* fsync is off in the cluster of the tests, so it is never quite well. */
    says(db, IT_LIST(url, http, admin), 1,
         "FAIL     LISTEN and NOTIFY           a notification does not arrive");
    says(db, IT_LIST(url, direct, http, admin), 1, "\n1 FAIL, 0 warn");
    says(db, IT_LIST(url, direct, http, admin), 1,
         "ok       url and direct_url          both lead to the same database");
    says(db, IT_LIST(url, it_format("WAYMARK_DATABASE_DIRECT_URL=%s", other->url), http, admin), 1,
         "FAIL     url and direct_url          url and direct_url lead to different");
    says(db, IT_LIST(url, it_format("WAYMARK_DATABASE_DIRECT_URL=%s", pooled_url(db)), http, admin),
         1, "[database] direct_url seems to lead to a pooler");
    nothing_leaks(db);
    stop_pooler(pooler, SIGINT);
    says(db, IT_LIST(url, direct, http, admin), 1,
         "FAIL     url and direct_url          [database] url: ");
}

/* ---- LISTEN through it ---------------------------------------------------------------------- */

static struct it_proc *start_worker(struct it_db *db, const char *listen_url)
{
    struct it_proc *p = it_start_program(QUEUE_WORKER, db, NULL,
                                         IT_LIST("--db", db->url, "--listen-db", listen_url,
                                                 "--probe-ms", "300", "--poll-ms", "1000"));
    it_wait_for(p, "ready", SOON_MS);
    return p;
}

static void stop_worker(struct it_proc *p)
{
    it_signal(p, SIGTERM);
    assert_int_equal(it_wait(p, SOON_MS).status, 0);
}

/* LISTEN through it by mistake: that is found out, although each echo of the listener's own comes
 * back in the transaction that caused it; and polling finds the work. */
static void listening_through_it_is_noticed(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/chaos/data/chaos.sql"));
    pid_t pooler = start_pooler(db);
    wait_for_pooler(db);
    struct it_proc *p = start_worker(db, pooled_url(db));
    it_wait_for(p, "leads through a pooler", SOON_MS);
    int64_t worst = 0;
    for (int i = 0; i < 5; i++) {
        it_exec(db, "SELECT chaos.add('effect', 1)");
        int64_t ms = it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)");
        assert_in_range(ms, 0, 2200);
        worst = ms > worst ? ms : worst;
    }
    print_message("%lld ms at worst\n", (long long)worst);
    stop_worker(p);
    p = start_worker(db, db->url);
    it_pause_ms(1500);
    assert_false(it_said(p, "pooler"));
    stop_worker(p);
    it_holds(db, "(SELECT count(*) FROM chaos.effect) = 5");
    stop_pooler(pooler, SIGINT);
}

int main(void)
{
    if (binary() == NULL) {
        puts("skipped: no pgbouncer (Debian package pgbouncer)");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        IT_TEST(a_history_through_it),
        IT_TEST(it_goes_away_and_comes_back),
        IT_TEST(doctor_sees_it),
        IT_TEST(listening_through_it_is_noticed),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
