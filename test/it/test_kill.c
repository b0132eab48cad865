/* SIGKILL at any moment, and SIGTERM: the next run ends with the tables of an undisturbed one. */
#include "it/load.h"

#include <signal.h>
#include <sys/stat.h>

enum { STOP_MS = 60000, KILLS = 7 };

/* ---- process ------------------------------------------------------------------------------- */

static struct it_proc *small_batches(struct it_db *db)
{
    return it_start(db, NULL,
                    IT_LIST("process", "--quiet", "--batch-size", "3", "--concurrency", "2"));
}

/* Asked so often that the harness could not keep the answers. */
static int64_t finished(struct it_db *db)
{
    PGresult *res = PQexec(db->pg, "SELECT count(*) FROM q.done");
    assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
    int64_t n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return n;
}

/* Kills it when so many jobs are done, or after some time from its start, as chance has it; false:
 * it was done before that. */
static bool kill_somewhere(struct it_db *db, uint64_t *seed, int64_t jobs, int64_t whole_ms)
{
    struct it_proc *p = small_batches(db);
    int64_t before = finished(db);
    int64_t stop_at = before + (int64_t)load_random(seed, (uint64_t)(jobs / KILLS) + 1);
    if (load_random(seed, 3) == 0) {
        it_pause_ms((int64_t)load_random(seed, (uint64_t)whole_ms));
    } else {
        int64_t until = it_now_ms() + 5000;
        while (finished(db) < stop_at && it_now_ms() < until)
            it_pause_ms(1);
        it_pause_ms((int64_t)load_random(seed, 12));
    }
    it_signal(p, SIGKILL);
    return it_wait(p, STOP_MS).status == 128 + SIGKILL;
}

static void killed_at_random(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new();
    load_account(db);
    int64_t started = it_now_ms();
    assert_int_equal(it_wait(small_batches(db), STOP_MS).status, 0);
    int64_t whole_ms = it_now_ms() - started + 1;
    char *want = it_digest(db);
    int64_t jobs = finished(db), until = it_now_ms() + load_chaos_ms(15);
    int kills = 0, rounds = 0, rescued = 0;
    /* How far one gets before it is killed depends on the machine: rounds go on until enough were
     * killed, some of them at work. */
    do {
        load_again(db);
        for (int i = 0; i < KILLS; i++) {
            if (!kill_somewhere(db, &seed, jobs, whole_ms))
                break;
            kills++;
            rescued += it_i64(db, "SELECT count(*) FROM q.job WHERE state = 'running'") > 0;
        }
        it_process(db);
        load_is_done(db);
        assert_string_equal(it_digest(db), want);
        rounds++;
    } while (it_now_ms() < until || ((kills < KILLS || rescued == 0) && rounds < 20));
    print_message("%d kills in %d rounds, %d of them left running jobs behind\n", kills, rounds,
                  rescued);
    assert_true(kills >= KILLS);
    assert_true(rescued > 0);
}

/* Whatever the batches, the tables are the same. */
static void same_by_any_batches(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_account(db);
    it_process(db);
    char *want = it_digest(db);
    load_again(db);
    it_must(db, NULL, IT_LIST("process", "--batch-size", "1", "--concurrency", "1"), 0);
    assert_string_equal(it_digest(db), want);
    load_again(db);
    it_must(db, NULL, IT_LIST("process", "--batch-size", "1000", "--concurrency", "8"), 0);
    load_is_done(db);
    assert_string_equal(it_digest(db), want);
}

static void stop_by(const char *drain, int signum)
{
    struct it_db *db = it_db_new();
    load_account(db);
    int64_t jobs = it_i64(db, "SELECT count(*) FROM q.job");
    struct it_proc *p = it_start(db, IT_LIST(it_format("WAYMARK_PROCESSOR_DRAIN=%s", drain)),
                                 IT_LIST("process", "--batch-size", "5", "--concurrency", "2"));
    assert_true(it_eventually(db, STOP_MS, "SELECT count(*) > 10 FROM q.done") >= 0);
    int64_t asked = it_now_ms();
    it_signal(p, signum);
    struct it_result r = it_wait(p, STOP_MS);
    assert_true(it_now_ms() - asked < 15000);
    print_message("drain %s: %lld of %lld jobs left, status %d\n", drain,
                  (long long)it_i64(db, "SELECT count(*) FROM q.job"), (long long)jobs, r.status);
    assert_int_equal(r.status, 75);
    it_holds(db, "(SELECT count(*) FROM q.job) > 0");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE state <> 'ready' OR attempt > 0 OR suspect)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance) AND NOT EXISTS (SELECT FROM q.dead)");
    it_process(db);
    load_is_done(db);
    char *got = it_digest(db);
    load_again(db);
    it_process(db);
    assert_string_equal(got, it_digest(db));
}

static void terminated(void **state)
{
    (void)state;
    stop_by("25s", SIGTERM);
}

static void terminated_without_grace(void **state)
{
    (void)state;
    stop_by("0s", SIGINT);
}

/* ---- one slow job -------------------------------------------------------------------------- */

enum { CRASHES = 5, MANY_POINTS = 200000 };

/* Not one that was killed, whose jobs nobody has taken over yet. */
static bool at_work(struct it_db *db, const struct it_proc *p)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT FROM q.job j JOIN q.instance i ON i.id = j.owner WHERE i.pid = %d",
                   (int)it_pid(p));
    PGresult *res = PQexec(db->pg, sql);
    assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
    bool yes = PQntuples(res) > 0;
    PQclear(res);
    return yes;
}

/* Whoever stops a slow run by force, again and again, does not lose the work by it. */
static void one_slow_job_survives_its_killers(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db,
            "INSERT INTO activities (id, athlete_id, activity_type, summary_track)"
            " VALUES (50, 1, 'Run', it.way(0, 1, %d, 0.0001))",
            MANY_POINTS);
    for (int i = 0; i < CRASHES; i++) {
        const char *const *args = IT_LIST("process", "--quiet", "--batch-size", "1");
        struct it_proc *p = it_start(db, NULL, args);
        int64_t until = it_now_ms() + STOP_MS;
        while (!at_work(db, p) && it_now_ms() < until)
            it_pause_ms(1);
        it_signal(p, SIGKILL);
        assert_int_equal(it_wait(p, STOP_MS).status, 128 + SIGKILL);
        it_holds(db, "EXISTS (SELECT FROM q.job WHERE state = 'running' AND crashes = %d)", i);
    }
    it_process(db);
    it_holds(db, "EXISTS (SELECT FROM activity_state WHERE activity_id = 50)");
    load_is_done(db);
    it_same_as_recomputed(db);
}

/* ---- migrate ------------------------------------------------------------------------------- */

static char *schema_of(struct it_db *db)
{
    return it_text(
        db, "SELECT md5(string_agg(line, ' ' ORDER BY line COLLATE \"C\")) FROM ("
            " SELECT format('%%s.%%s.%%s %%s %%s', table_schema, table_name, column_name,"
            "               data_type, column_default) AS line FROM information_schema.columns"
            "  WHERE table_schema IN ('public', 'q')"
            " UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'q')"
            " UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
            " UNION ALL SELECT md5(p.prosrc) FROM pg_proc p WHERE NOT EXISTS (SELECT FROM"
            "  pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
            "  AND p.pronamespace <> 'it'::regnamespace"
            " UNION ALL SELECT version || sha256 FROM schema_migration) x");
}

static void killed_migrating(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    char *want = schema_of(it_db_new());
    int kills = 0;
    for (int round = 0; round < 3; round++) {
        struct it_db *db = it_db_bare(round > 0);
        for (int i = 0; i < 6; i++) {
            struct it_proc *p = it_start(db, NULL, IT_LIST("migrate"));
            it_pause_ms((int64_t)load_random(&seed, 250));
            it_signal(p, SIGKILL);
            kills += it_wait(p, STOP_MS).status == 128 + SIGKILL;
        }
        it_must(db, NULL, IT_LIST("migrate"), 0);
        it_script(db, "CREATE SCHEMA it");
        assert_string_equal(schema_of(db), want);
    }
    print_message("%d kills\n", kills);
}

/* ---- import -------------------------------------------------------------------------------- */

enum { ROUTES = 40, FILES = 150 };

static const char *const *route_files(void)
{
    const char **args = (const char **)it_keep(calloc(ROUTES + 5, sizeof(*args)));
    load_folder("routes");
    args[0] = "route";
    args[1] = "import";
    for (int i = 0; i < ROUTES; i++)
        args[i + 2] = load_gpx(it_format("routes/trail-%02d.gpx", i), it_format("Trail %d", i),
                               0.01 * i, 0.5 + 0.01 * i, 0.03 * i, 400);
    return args;
}

static void activity_files(void)
{
    load_folder("tracks");
    for (int i = 0; i < FILES; i++)
        (void)load_gpx(it_format("tracks/%03d.gpx", i), it_format("walk %d", i), 0.003 * i,
                       0.1 + 0.003 * i, 0.03 * (i % 8), 300);
}

static char *inputs_of(struct it_db *db)
{
    return it_text(
        db, "SELECT md5(string_agg(line, ' ' ORDER BY line COLLATE \"C\")) FROM ("
            " SELECT format('%%s %%s %%s', id, display_name, md5(ST_AsEWKB(track::geometry)))"
            "  AS line FROM routes"
            " UNION ALL SELECT format('%%s %%s %%s %%s', id, athlete_id, name,"
            "  md5(ST_AsEWKB(summary_track::geometry))) FROM activities"
            " UNION ALL SELECT format('%%s %%s', activity_id, md5(ST_AsEWKB(track::geometry)))"
            "  FROM activity_tracks) x");
}

static int kill_command(struct it_db *db, uint64_t *seed, const char *const *args, int64_t span_ms)
{
    int kills = 0;
    for (int i = 0; i < 5; i++) {
        struct it_proc *p = it_start(db, NULL, args);
        it_pause_ms((int64_t)load_random(seed, (uint64_t)span_ms));
        it_signal(p, SIGKILL);
        kills += it_wait(p, STOP_MS).status == 128 + SIGKILL;
    }
    return kills;
}

static void killed_importing(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    const char *const *routes = route_files();
    const char *const *tracks = IT_LIST("import", "--athlete", "7", "tracks");
    activity_files();
    struct it_db *calm = it_db_new(), *db = it_db_new();
    int64_t routes_ms = it_must(calm, NULL, routes, 0).ms;
    int64_t tracks_ms = it_must(calm, NULL, tracks, 0).ms;
    int kills = kill_command(db, &seed, routes, routes_ms);
    it_must(db, NULL, routes, 0);
    kills += kill_command(db, &seed, tracks, tracks_ms);
    it_must(db, NULL, tracks, 0);
    assert_string_equal(inputs_of(db), inputs_of(calm));
    it_holds(db, "(SELECT count(*) FROM routes) = %d AND (SELECT count(*) FROM activities) = %d",
             ROUTES, FILES);
    it_process(calm);
    it_process(db);
    it_same_tables(db, calm);
    print_message("%d kills\n", kills);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(same_by_any_batches),
        IT_TEST(killed_at_random),
        IT_TEST(terminated),
        IT_TEST(terminated_without_grace),
        IT_TEST(killed_migrating),
        IT_TEST(killed_importing),
        IT_TEST(one_slow_job_survives_its_killers),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
