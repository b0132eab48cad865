/* A database that is away, refuses, goes in the middle, lacks PostGIS or has another schema: one
 * line that says so, the right exit status, and nothing lost. */
#include "it/load.h"

#include <signal.h>
#include <unistd.h>

enum { STOP_MS = 90000 };

/* One line of the program's own besides its log, and what it must say. */
static void says(const struct it_result *r, int status, const char *what)
{
    int lines = 0;
    bool said = false;
    for (const char *p = r->err; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
        if (strncmp(p, "waymark: ", 9) != 0 && strncmp(p, "time=", 5) != 0)
            fail_msg("neither a message nor a log line: %s", r->err);
        lines += strncmp(p, "waymark: ", 9) == 0;
        const char *found = strstr(p, what);
        said |= found != NULL && found < p + strcspn(p, "\n");
    }
    if (r->status != status || lines != 1 || !said)
        fail_msg("status %d instead of %d, %d lines, \"%s\"?\n%s", r->status, status, lines, what,
                 r->err);
    if (strstr(r->err, "hunter2") != NULL)
        fail_msg("the password is shown: %s", r->err);
}

static void halt(int signum)
{
    pg_cluster_halt(it_cluster(), signum);
}

static void resume(struct it_db *db)
{
    pg_cluster_resume(it_cluster());
    PQreset(db->pg);
    assert_int_equal(PQstatus(db->pg), CONNECTION_OK);
}

/* ---- not there at start -------------------------------------------------------------------- */

static void down_at_start(void **state)
{
    (void)state;
    const char *const *const commands[] = {
        IT_LIST("process"),
        IT_LIST("migrate"),
        IT_LIST("status"),
        IT_LIST("route", "list"),
        IT_LIST("import", "--athlete", "1", "."),
    };
    struct it_db *db = it_db_new();
    struct it_proc *p[sizeof(commands) / sizeof(commands[0])];
    halt(SIGINT);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        p[i] = it_start(db, NULL, commands[i]);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct it_result r = it_wait(p[i], STOP_MS);
        says(&r, 75, "cannot connect to the database");
        assert_in_range(r.ms, 1, 16000);
    }
    resume(db);
}

static void serve_waits(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_history(db, 20);
    halt(SIGINT);
    struct it_proc *p = it_start(db, NULL, IT_LIST("serve"));
    it_wait_for(p, "waiting for the database", STOP_MS);
    it_pause_ms(11000); /* longer than a command would wait */
    resume(db);
    it_wait_for(p, "waymark is running", STOP_MS);
    assert_true(it_eventually(db, STOP_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    (void)it_serve_stop(p);
    load_is_done(db);
}

static void stopped_while_it_waits(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    halt(SIGINT);
    struct it_proc *p = it_start(db, NULL, IT_LIST("serve"));
    it_wait_for(p, "waiting for the database", STOP_MS);
    it_signal(p, SIGTERM);
    struct it_result r = it_wait(p, STOP_MS);
    print_message("stopped while waiting: status %d\n", r.status);
    assert_true(r.status == 0 || r.status == 75);
    resume(db);
}

/* ---- refused ------------------------------------------------------------------------------- */

/* Role `locked` needs a password, the others keep to trust. */
static void lock_role(void)
{
    const char *path = it_format("%s/data/pg_hba.conf", pg_cluster_dir(it_cluster()));
    const char *rest = it_read_file(path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "local all locked scram-sha-256\n%s", rest);
    fclose(f);
    pg_cluster_exec(it_cluster(), "postgres",
                    "CREATE ROLE locked LOGIN PASSWORD 'right'; SELECT pg_reload_conf()");
    it_pause_ms(300);
}

static void refused(struct it_db *db, const char *url, const char *what)
{
    const char *const *const commands[] = {IT_LIST("process"), IT_LIST("serve"), IT_LIST("status")};
    const char *env = it_format("POSTGRES_CONNECTION_STRING=%s", url);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct it_result r = it_run(db, IT_LIST(env), commands[i]);
        says(&r, 78, what);
    }
}

static void hopeless(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *host = pg_cluster_dir(it_cluster());
    lock_role();
    refused(db, it_format("host=%s user=locked password=hunter2 dbname=%s", host, db->name),
            "password authentication failed");
    refused(db, it_format("postgres://locked:hunter2@/%s?host=%s", db->name, host),
            "password authentication failed");
    refused(db, it_format("host=%s user=locked dbname=%s", host, db->name), "password");
    refused(db, it_format("host=%s user=postgres password=hunter2 dbname=nowhere", host),
            "\"nowhere\" does not exist");
    refused(db, it_format("host=%s user=nobody_here password=hunter2 dbname=%s", host, db->name),
            "nobody_here");
    refused(db, "postgres://a:hunter2@[::1/x", "");
    refused(db, "host=/tmp user=x password=hunter2 colour=blue", "connection string");
    refused(db, "password='hunter2", "");
    refused(db, "hunter2", "");
}

/* ---- lost in the middle -------------------------------------------------------------------- */

static void lost(int signum, int64_t away_ms, uint64_t *seed)
{
    struct it_db *db = it_db_new();
    load_account(db);
    it_process(db);
    char *want = it_digest(db);
    load_again(db);
    struct it_proc *p = it_start(
        db, NULL, IT_LIST("process", "--quiet", "--batch-size", "2", "--concurrency", "2"));
    assert_true(it_eventually(db, STOP_MS, "SELECT count(*) > 5 FROM q.done") >= 0);
    it_pause_ms((int64_t)load_random(seed, 100));
    halt(signum);
    it_pause_ms(away_ms);
    resume(db);
    struct it_result r = it_wait(p, STOP_MS);
    print_message("stopped by signal %d for %lld ms: status %d after %lld ms\n", signum,
                  (long long)away_ms, r.status, (long long)r.ms);
    if (r.status != 0)
        says(&r, 75, "");
    it_process(db);
    load_is_done(db);
    assert_string_equal(it_digest(db), want);
}

static void server_restarted(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    lost(SIGINT, 300, &seed);
    lost(SIGQUIT, 0, &seed);
    lost(SIGQUIT, 3000, &seed);
}

/* Away for longer than it waits. */
static void server_gone_for_good(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_account(db);
    struct it_proc *p = it_start(db, NULL, IT_LIST("process", "--quiet", "--batch-size", "2"));
    assert_true(it_eventually(db, STOP_MS, "SELECT count(*) > 5 FROM q.done") >= 0);
    halt(SIGINT);
    int64_t away = it_now_ms();
    struct it_result r = it_wait(p, STOP_MS);
    print_message("gone for good: noticed after %lld ms\n", (long long)(it_now_ms() - away));
    says(&r, 75, "cannot connect to the database");
    resume(db);
    it_process(db);
    load_is_done(db);
}

static int cut(struct it_db *db)
{
    return (int)it_i64(db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                           " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                           " AND application_name LIKE 'waymark%%' AND random() < 0.5");
}

static void connections_cut(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new();
    load_account(db);
    it_process(db);
    char *want = it_digest(db);
    int cuts = 0, ended_well = 0, rounds = 0;
    for (int64_t until = it_now_ms() + load_chaos_ms(8); it_now_ms() < until; rounds++) {
        load_again(db);
        struct it_proc *p = it_start(
            db, NULL, IT_LIST("process", "--quiet", "--batch-size", "2", "--concurrency", "2"));
        for (int i = 0; i < 6; i++) {
            it_pause_ms((int64_t)load_random(&seed, 250));
            cuts += cut(db);
        }
        struct it_result r = it_wait(p, STOP_MS);
        if (r.status != 0)
            says(&r, 75, "");
        ended_well += r.status == 0;
        if (it_i64(db, "SELECT count(*) FROM q.job WHERE state = 'waiting'") > 0)
            it_exec(db, "UPDATE q.job SET state = 'ready', run_at = NULL WHERE state = 'waiting'");
        it_process(db);
        load_is_done(db);
        assert_string_equal(it_digest(db), want);
    }
    print_message("%d connections cut in %d runs, %d of them ended well\n", cuts, rounds,
                  ended_well);
}

/* ---- another schema ------------------------------------------------------------------------ */

static void without_postgis(void **state)
{
    (void)state;
    const char *host = pg_cluster_dir(it_cluster());
    struct it_db *db = it_db_bare(false);
    it_exec(db, "CREATE ROLE plain LOGIN; GRANT CREATE ON SCHEMA public TO plain");
    const char *env =
        it_format("POSTGRES_CONNECTION_STRING=host=%s user=plain dbname=%s", host, db->name);
    struct it_result r = it_run(db, IT_LIST(env), IT_LIST("migrate"));
    says(&r, 78, "may not create the extension postgis");
    r = it_run(db, NULL, IT_LIST("status"));
    says(&r, 78, "waymark migrate");
    /* A server where the package is missing is one whose catalogue does not offer it. */
    it_exec(db,
            "CREATE SCHEMA lacking;"
            "CREATE VIEW lacking.pg_available_extensions AS SELECT * FROM"
            " pg_catalog.pg_available_extensions WHERE name NOT LIKE 'postgis%%';"
            "ALTER DATABASE %s SET search_path = lacking, pg_catalog, public",
            db->name);
    r = it_run(db, NULL, IT_LIST("process"));
    says(&r, 78, "PostGIS is not installed on this server");
    it_exec(db, "DROP OWNED BY plain; DROP ROLE plain");
}

static void without_rights(void **state)
{
    (void)state;
    const char *host = pg_cluster_dir(it_cluster());
    struct it_db *db = it_db_bare(true);
    it_exec(db, "CREATE ROLE plain LOGIN");
    const char *env =
        it_format("POSTGRES_CONNECTION_STRING=host=%s user=plain dbname=%s", host, db->name);
    struct it_result r = it_run(db, IT_LIST(env), IT_LIST("migrate"));
    says(&r, 78, "may not create tables");
    it_exec(db, "GRANT CREATE ON SCHEMA public TO plain");
    r = it_run(db, IT_LIST(env), IT_LIST("migrate"));
    /* Schema q wants CREATE on the database. */
    says(&r, 78, "");
    it_exec(db, "GRANT CREATE ON DATABASE %s TO plain", db->name);
    it_must(db, IT_LIST(env), IT_LIST("migrate"), 0);
    it_must(db, IT_LIST(env), IT_LIST("process"), 0);
}

static void other_schema(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_history(db, 5);
    it_exec(db, "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, 'x', 'x')");
    struct it_result r = it_run(db, NULL, IT_LIST("process"));
    says(&r, 78, "9999");
    r = it_run(db, NULL, IT_LIST("serve"));
    says(&r, 78, "upgrade waymark");
    it_exec(db, "DELETE FROM schema_migration WHERE version = 9999;"
                "UPDATE schema_migration SET sha256 = repeat('0', 64) WHERE version = 2");
    r = it_run(db, NULL, IT_LIST("process"));
    says(&r, 78, "was changed after it was applied");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE attempt = 0) = 8");
}

/* An index of packed keys crashes PostGIS. */
static void spatial_keys_are_plain(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_holds(db, "NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                 " JOIN pg_am m ON m.oid = c.relam WHERE m.amname = 'gist' AND a.attnum > 0"
                 " AND a.attlen = -1 AND a.attstorage <> 'p')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(down_at_start),          IT_TEST(serve_waits),
        IT_TEST(stopped_while_it_waits), IT_TEST(hopeless),
        IT_TEST(server_restarted),       IT_TEST(server_gone_for_good),
        IT_TEST(connections_cut),        IT_TEST(without_postgis),
        IT_TEST(without_rights),         IT_TEST(other_schema),
        IT_TEST(spatial_keys_are_plain),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
