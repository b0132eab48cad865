/* Several instances at once, and changes by plain SQL while they work. */
#include "it/load.h"

#include <signal.h>

enum { STOP_MS = 120000, INSTANCES_MAX = 4 };

/* How many owners finished something. */
static int64_t workers(struct it_db *db)
{
    return it_i64(db, "SELECT count(DISTINCT owner) FROM q.done WHERE outcome = 'done'");
}

static void together(struct it_db *db, int n, const char *want)
{
    struct it_proc *p[INSTANCES_MAX];
    load_again(db);
    for (int i = 0; i < n; i++)
        p[i] = it_start(db, NULL, IT_LIST("process", "--quiet", "--batch-size", "2"));
    for (int i = 0; i < n; i++) {
        struct it_result r = it_wait(p[i], STOP_MS);
        assert_int_equal(r.status, 0);
        if (strstr(r.err, "level=warn") != NULL || strstr(r.err, "level=error") != NULL)
            fail_msg("%s", r.err);
    }
    load_is_done(db);
    assert_string_equal(it_digest(db), want);
    print_message("%d at once: %lld did something\n", n, (long long)workers(db));
    assert_true(workers(db) >= n / 2 + 1);
}

static void several_process(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_account(db);
    it_process(db);
    char *want = it_digest(db);
    together(db, 2, want);
    together(db, 4, want);
}

static void serve_and_process(void **state)
{
    (void)state;
    struct it_db *db = it_db_new(), *calm = it_db_new();
    load_history(calm, 300);
    it_process(calm);
    const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=2");
    struct it_proc *a = it_serve(db, env), *b = it_serve(db, env);
    load_history(db, 300);
    it_must(db, env, IT_LIST("process", "--quiet"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    assert_true(workers(db) >= 2);
    (void)it_serve_stop(a);
    (void)it_serve_stop(b);
    load_is_done(db);
    it_same_tables(db, calm);
}

/* One of three is killed again and again and started anew; the others take its jobs over. */
static void one_is_killed(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new(), *calm = it_db_new();
    load_history(calm, 300);
    it_process(calm);
    const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=2");
    struct it_proc *steady = it_serve(db, env);
    load_history(db, 300);
    for (int i = 0; i < 4; i++) {
        struct it_proc *p = it_start(db, env, IT_LIST("serve"));
        it_pause_ms((int64_t)load_random(&seed, 600));
        it_signal(p, SIGKILL);
        (void)it_wait(p, STOP_MS);
    }
    assert_true(it_eventually(db, STOP_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    (void)it_serve_stop(steady);
    it_process(db); /* one that died with nothing in hand may not have been missed yet */
    load_is_done(db);
    it_same_tables(db, calm);
}

/* ---- changes meanwhile --------------------------------------------------------------------- */

/* $a an activity, $n a number of 0 to 99, $p an athlete, $r a route. */
static const char *const mix[] = {
    "UPDATE activities SET summary_track = it.way($n / 120.0, ($n + 9) / 120.0, 70, 0.0001)"
    " WHERE id = $a",
    "UPDATE activities SET summary_track = NULL WHERE id = $a",
    "DELETE FROM activities WHERE id = $a",
    "DELETE FROM activities WHERE id % 40 = $n % 40",
    "UPDATE activities SET athlete_id = $p WHERE id = $a",
    "UPDATE activities SET athlete_id = $p WHERE id % 25 = $n % 25",
    "DELETE FROM activities WHERE id = $a; SELECT it.walk($a, $p, $n / 110.0, 0.95)",
    "DELETE FROM activities WHERE id BETWEEN $a AND $a + 5;"
    " SELECT it.walk(k, $p, $n / 130.0, $n / 130.0 + 0.2)"
    " FROM generate_series($a, $a + 5) k",
    "INSERT INTO activity_tracks (activity_id, track, origin)"
    " SELECT id, ST_Segmentize(ST_Translate(summary_track::geometry, 0, $n / 2e6), 3e-4), 'gpx'"
    " FROM activities WHERE id = $a AND summary_track IS NOT NULL"
    " ON CONFLICT (activity_id) DO UPDATE SET track = excluded.track",
    "DELETE FROM activity_tracks WHERE activity_id % 3 = $n % 3",
    "UPDATE activities SET id = id + 1000 WHERE id = $a AND NOT EXISTS"
    " (SELECT FROM activities x WHERE x.id = $a + 1000)",
    "UPDATE routes SET track = it.way($n / 200.0, 0.5 + $n / 200.0, 500) WHERE id = '$r'",
    "UPDATE routes SET tolerance_m = 20 + $n WHERE id = '$r'",
    "UPDATE routes SET track = it.ring(46.1, 7.02, 2000 + 20 * $n, 300) WHERE id = 'ring'",
    "DELETE FROM routes WHERE id = '$r'; INSERT INTO routes (id, display_name, track)"
    " VALUES ('$r', 'anew', it.way(0.1, 0.3 + $n / 150.0, 600))",
    "INSERT INTO routes (id, display_name, track) VALUES ('r$n', 'more',"
    " it.way($n / 150.0, $n / 150.0 + 0.2, 90)) ON CONFLICT DO NOTHING",
    "DELETE FROM routes WHERE id = 'r$n'",
    "UPDATE routes SET display_name = 'x'",
};

static void expand(const char *sql, const char *const value[4], char *out, size_t size)
{
    static const char names[] = "anpr";
    size_t n = 0;
    for (const char *p = sql; *p != '\0'; p++) {
        const char *which = *p == '$' ? strchr(names, p[1]) : NULL;
        const char *text = which != NULL ? value[which - names] : (const char[]){*p, '\0'};
        n += (size_t)snprintf(out + n, size - n, "%s", text);
        assert_true(n < size);
        p += which != NULL;
    }
}

/* Deadlocks with what runs are the caller's to try again, as with any database. */
static bool change(struct it_db *db, uint64_t *seed)
{
    static const char *const route[] = {"north", "south", "ring"};
    char activity[16], number[16], athlete[16], sql[1024];
    (void)snprintf(activity, sizeof(activity), "%d", 1 + (int)load_random(seed, 250));
    (void)snprintf(number, sizeof(number), "%d", (int)load_random(seed, 100));
    (void)snprintf(athlete, sizeof(athlete), "%d", 1 + (int)load_random(seed, 2));
    const char *const value[] = {activity, number, athlete, route[load_random(seed, 3)]};
    expand(mix[load_random(seed, sizeof(mix) / sizeof(mix[0]))], value, sql, sizeof(sql));
    PGresult *res = PQexec(db->pg, sql);
    const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool ok = code == NULL;
    if (!ok && strcmp(code, "40P01") != 0)
        fail_msg("%s: %s", PQerrorMessage(db->pg), sql);
    PQclear(res);
    return ok;
}

static void changes_meanwhile(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    int64_t until = it_now_ms() + load_chaos_ms(12);
    int rounds = 0, changes = 0, deadlocks = 0;
    do {
        struct it_db *db = it_db_new();
        const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=4", "WAYMARK_LOG_LEVEL=warn");
        load_history(db, 250);
        struct it_proc *a = it_start(db, env, IT_LIST("serve"));
        struct it_proc *b = it_start(db, env, IT_LIST("serve"));
        for (int64_t end = it_now_ms() + 4000; it_now_ms() < end; changes++) {
            deadlocks += !change(db, &seed);
            it_pause_ms((int64_t)load_random(&seed, 60));
        }
        (void)it_serve_stop(a);
        (void)it_serve_stop(b);
        it_process(db);
        load_is_done(db);
        it_same_as_recomputed(db);
        rounds++;
        it_after(NULL);
    } while (it_now_ms() < until);
    print_message("%d changes in %d rounds, %d lost to a deadlock\n", changes, rounds, deadlocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(several_process),
        IT_TEST(serve_and_process),
        IT_TEST(one_is_killed),
        IT_TEST(changes_meanwhile),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
