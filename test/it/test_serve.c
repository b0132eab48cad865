/* `waymark serve` finds work: by the contract's NOTIFY, by a channel of one's own, and by looking
 * every interval for what no trigger told. It ends by SIGTERM with nothing left behind. */
#include "it/it.h"

#include <signal.h>
#include <unistd.h>

enum {
    SOON_MS = 2000,
    LATE_MS = 10000, /* where an interval of a second is in it */
};

#define DONE(id)                                                                                   \
    "SELECT EXISTS (SELECT FROM activity_state WHERE activity_id = " #id ") AND EXISTS (SELECT "   \
    "FROM route_sections WHERE activity_id = " #id ")"

static void must_be_soon(struct it_db *db, const char *condition, int64_t limit_ms)
{
    int64_t ms = it_eventually(db, limit_ms, condition);
    if (ms < 0)
        fail_msg("not within %lld ms: %s", (long long)limit_ms, condition);
}

/* A run that polls and reconciles too rarely to help. */
static void an_insert_is_processed_at_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    struct it_proc *p = it_serve(db, IT_LIST("PROCESSOR_INTERVAL=1h", "WAYMARK_PROCESSOR_POLL=1h"));
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job)", LATE_MS);
    it_exec(db, "SELECT it.walk(30, 1, 0.6, 0.7)");
    must_be_soon(db, DONE(30), SOON_MS);
    it_exec(db, "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', "
                "it.way(0.2, 0.6, 200))");
    must_be_soon(db, "SELECT EXISTS (SELECT FROM route_stats WHERE route_id = 'new')", SOON_MS);
    it_exec(db, "DELETE FROM activities WHERE athlete_id = 2");
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM route_stats WHERE athlete_id = 2)", SOON_MS);
    it_serve_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance) AND NOT EXISTS (SELECT FROM q.job)");
    it_same_as_recomputed(db);
}

/* What is queued silently waits for somebody who calls the channel. */
static void a_channel_of_ones_own_wakes_it(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    struct it_proc *p = it_serve(db, IT_LIST("POSTGRES_LISTEN_CHANNEL=my Own channel",
                                             "PROCESSOR_INTERVAL=1h", "WAYMARK_PROCESSOR_POLL=1h"));
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job)", LATE_MS);
    it_pause_ms(500); /* it looks once more after its last job */
    it_exec(db, "SET session_replication_role = replica; SELECT it.walk(30, 1, 0.6, 0.7);"
                "SELECT waymark_queue_matches('{30}', '{1}');"
                "RESET session_replication_role");
    assert_int_equal(it_eventually(db, 500, DONE(30)), -1);
    it_exec(db, "NOTIFY \"my Own channel\"");
    must_be_soon(db, DONE(30), SOON_MS);
    it_exec(db, "SELECT it.walk(31, 1, 0.6, 0.7)"); /* the contract's channel still counts */
    must_be_soon(db, DONE(31), SOON_MS);
    it_serve_stop(p);
    it_same_as_recomputed(db);
}

static void what_no_trigger_told_is_found_in_time(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    struct it_proc *p = it_serve(db, IT_LIST("PROCESSOR_INTERVAL=1s", "WAYMARK_PROCESSOR_POLL=1h"));
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job)", LATE_MS);
    it_exec(db, "SET session_replication_role = replica; SELECT it.walk(30, 2, 0.1, 0.3);"
                "INSERT INTO routes (id, display_name, track, length) VALUES ('new', 'New', "
                "it.way(0.2, 0.6, 200), 0);"
                "UPDATE activities SET summary_track = it.way(0.5, 0.6, 40), revision = revision + "
                "1 WHERE id = 8;"
                "RESET session_replication_role");
    must_be_soon(db, DONE(30), LATE_MS);
    must_be_soon(db, "SELECT EXISTS (SELECT FROM route_stats WHERE route_id = 'new')", LATE_MS);
    must_be_soon(db,
                 "SELECT NOT EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM processing "
                 "WHERE NOT processed)",
                 LATE_MS);
    it_serve_stop(p);
    it_same_as_recomputed(db);
}

/* At start it does what was left over; stopped in the middle it gives back what it has not done. */
static void stopped_in_the_middle_it_loses_nothing(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    it_exec(db, "SELECT it.walk(100 + n, 1, 0.003 * n, 0.3 + 0.003 * n) "
                "FROM generate_series(1, 150) n");
    const char *const *slow = IT_LIST("PROCESSOR_BATCH_SIZE=1", "PROCESSOR_CONCURRENCY=2");
    struct it_proc *p = it_start(db, slow, IT_LIST("serve"));
    must_be_soon(db, "SELECT count(*) > 20 FROM activity_state", 30000);
    it_serve_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance) AND NOT EXISTS (SELECT FROM q.job WHERE "
                 "state = 'running')");
    it_process(db);
    it_same_as_recomputed(db);
}

/* A service that starts with the machine may be up before its database, and outlives its restarts.
 */
static void it_waits_for_a_database_that_is_down(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "SELECT it.walk(30, 1, 0.6, 0.7)");
    pg_cluster_halt(it_cluster(), SIGINT);
    struct it_proc *p = it_start(db, NULL, IT_LIST("serve"));
    it_wait_for(p, "waiting for the database", LATE_MS);
    it_pause_ms(300);
    pg_cluster_resume(it_cluster());
    it_wait_for(p, "waymark is running", LATE_MS);
    PQreset(db->pg);
    must_be_soon(db, DONE(30), LATE_MS);
    pg_cluster_halt(it_cluster(), SIGQUIT);
    it_pause_ms(300);
    pg_cluster_resume(it_cluster());
    PQreset(db->pg);
    it_exec(db, "SELECT it.walk(31, 2, 0.6, 0.7)");
    must_be_soon(db, DONE(31), 2 * LATE_MS);
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job)", LATE_MS);
    it_serve_stop(p);
    it_same_as_recomputed(db);
}

static void many_instances_share_the_work(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    it_exec(db, "SELECT it.walk(100 + n, 1 + n %% 3, 0.003 * n, 0.3 + 0.003 * n) "
                "FROM generate_series(1, 120) n");
    struct it_proc *p[4];
    for (int i = 0; i < 4; i++)
        p[i] = it_start(db, IT_LIST("PROCESSOR_BATCH_SIZE=3"), IT_LIST("process"));
    for (int i = 0; i < 4; i++) {
        struct it_result r = it_wait(p[i], 60000);
        if (r.status != 0)
            fail_msg("%s", r.err);
    }
    it_holds(db, "NOT EXISTS (SELECT FROM (SELECT count(*) FROM q.done WHERE kind = 'match' AND "
                 "outcome = 'done' GROUP BY id) d WHERE count > 1)");
    it_same_as_recomputed(db);
}

/* ---- beside a stream of matches ------------------------------------------------------------ */

enum { STREAMS = 4 };

/* Transactions that end like a match, one after the other, for ten seconds. */
static PGconn *stream(struct it_db *db, int k)
{
    PGconn *pg = PQconnectdb(db->url);
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    const char *sql =
        it_format("DO $$ BEGIN PERFORM pg_sleep(0.012 * %d); FOR i IN 1..200 LOOP"
                  " BEGIN PERFORM waymark_check_epoch((SELECT epoch FROM route_epoch));"
                  " EXCEPTION WHEN SQLSTATE 'WM002' THEN NULL; END;"
                  " PERFORM pg_sleep(0.05); COMMIT; END LOOP; END $$",
                  k);
    assert_int_equal(PQsendQuery(pg, sql), 1);
    return pg;
}

/* Not after the last of them: with locks that let newcomers pass it waited for that. */
static void a_new_route_is_not_starved(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    PGconn *pg[STREAMS];
    for (int k = 0; k < STREAMS; k++)
        pg[k] = stream(db, k);
    it_pause_ms(200);
    struct it_proc *p = it_serve(db, NULL);
    it_exec(db, "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', "
                "it.way(0.2, 0.6, 200))");
    must_be_soon(db, "SELECT EXISTS (SELECT FROM route_state WHERE route_id = 'new')", SOON_MS);
    for (int k = 0; k < STREAMS; k++) {
        assert_int_equal(PQconsumeInput(pg[k]), 1);
        assert_true(PQisBusy(pg[k])); /* else it proves nothing */
        PQfinish(pg[k]);
    }
    it_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND query LIKE 'DO $$ BEGIN PERFORM pg_sleep%%'");
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job)", LATE_MS);
    it_serve_stop(p);
    it_same_as_recomputed(db);
}

/* ---- with nothing to do -------------------------------------------------------------------- */

enum {
    IDLE_MS = 5000,
    QUERIES_PER_S = 2,
    OURS = 3, /* queries of this test between two looks at the count */
};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUSY_S 0.3
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BUSY_S 0.3
#endif
#endif
#ifndef BUSY_S
#define BUSY_S 0.1
#endif

static double cpu_s(const struct it_proc *p)
{
    /* After the name in brackets: state, 10 numbers, utime, stime. */
    const char *s = strrchr(it_read_file(it_format("/proc/%d/stat", (int)it_pid(p))), ')');
    assert_non_null(s);
    for (int field = 0; field < 12; field++) {
        s = strchr(s + 1, ' ');
        assert_non_null(s);
    }
    char *end;
    long user = strtol(s, &end, 10), system = strtol(end, NULL, 10);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static int64_t transactions(struct it_db *db)
{
    return it_i64(db, "SELECT xact_commit + xact_rollback FROM pg_stat_database"
                      " WHERE datname = current_database()");
}

static void idle_it_rests(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    struct it_proc *p = it_serve(db, NULL);
    /* A session may keep its counts to itself for a second, and for ten once it rests. */
    it_pause_ms(3000);
    int64_t queries = 0;
    double cpu = 0;
    /* On a busy machine what it did at its start may still be counted in the first window. */
    for (int window = 0; window < 3; window++) {
        int64_t before = transactions(db);
        cpu = cpu_s(p);
        it_pause_ms(IDLE_MS);
        cpu = cpu_s(p) - cpu;
        queries = transactions(db) - before;
        print_message("idle for %d ms: %lld transactions, %.2f s of CPU\n", IDLE_MS,
                      (long long)queries, cpu);
        if (queries <= QUERIES_PER_S * IDLE_MS / 1000 + OURS)
            break;
    }
    assert_true(queries <= QUERIES_PER_S * IDLE_MS / 1000 + OURS);
    assert_true(cpu < BUSY_S);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(an_insert_is_processed_at_once),
        IT_TEST(a_channel_of_ones_own_wakes_it),
        IT_TEST(what_no_trigger_told_is_found_in_time),
        IT_TEST(stopped_in_the_middle_it_loses_nothing),
        IT_TEST(it_waits_for_a_database_that_is_down),
        IT_TEST(many_instances_share_the_work),
        IT_TEST(a_new_route_is_not_starved),
        IT_TEST(idle_it_rests),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
