/* What keeps the queue in order: history by day, requests that are made once, what is due, counts.
 */
#include "it/queue.h"

/* ---- history --------------------------------------------------------------------------------- */

#define PARTITION(days)                                                                            \
    "'done_' || to_char(now() AT TIME ZONE 'UTC' + interval '" days " days', 'YYYYMMDD')"

static void finish_one(struct it_db *db)
{
    it_exec(db, Q_ADD("{}"));
    assert_int_equal(q_take(db->pg, 1, 1), 1);
    it_exec(db, "%s", Q_FINISH_ALL);
}

static void drop_partition(struct it_db *db, const char *name_sql)
{
    char *name = it_text(db, "SELECT %s", name_sql);
    it_exec(db, "ALTER TABLE q.done DETACH PARTITION q.%s; DROP TABLE q.%s", name, name);
}

static void old_partition(struct it_db *db, int days)
{
    it_exec(db,
            "DO $$ DECLARE d date := (now() AT TIME ZONE 'UTC')::date - %d; BEGIN EXECUTE "
            "format('CREATE TABLE q.%%I PARTITION OF q.done FOR VALUES FROM (%%L) TO (%%L)', "
            "'done_' || to_char(d, 'YYYYMMDD'), d || ' 00:00+00', d + 1 || ' 00:00+00'); END $$",
            days);
}

static int64_t partitions(struct it_db *db)
{
    return it_i64(db, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'q.done'::regclass");
}

static void a_missing_partition_is_made_and_filled(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    assert_int_equal(partitions(db), 4); /* three days and the default */
    finish_one(db);
    it_holds(db, "NOT EXISTS (SELECT FROM q.done_default) AND (SELECT count(*) FROM q.done) = 1");
    drop_partition(db, PARTITION("0"));
    drop_partition(db, PARTITION("1"));
    finish_one(db);
    it_exec(db, "INSERT INTO q.done (id, attempt, queue, kind, outcome, created_at, finished_at) "
                "VALUES (-1, 1, 'q', 'k', 'done', now(), now() + interval '1 day'), (-2, 1, 'q', "
                "'k', 'done', now(), now() - interval '3 days')");
    it_holds(db, "(SELECT count(*) FROM q.done_default) = 3");
    /* Beside somebody who ends a job, and two who do the upkeep. */
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN; SELECT q.maintain(7)");
    assert_int_equal(q_i64(b, "SELECT q.maintain(7)"), 0);
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT array_agg(id) FROM q.done_default) = '{-2}'");
    it_holds(db, "(SELECT count(*) FROM q.done) = 3");
    assert_int_equal(partitions(db), 4);
    it_holds(db, "q.maintain(7) = 0");
    finish_one(db);
    it_holds(db, "(SELECT count(*) FROM q.done_default) = 1");
    /* Partitions find rows by id, as the table does. */
    it_holds(db, "(SELECT count(*) FROM pg_index WHERE indrelid = ('q.' || " PARTITION(
                     "0") ")::regclass) = 2");
}

static void what_is_read_is_dropped_another_time(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *reader = q_open(db), *worker = q_open(db);
    old_partition(db, 7);
    for (int days = 8; days < 12; days++) {
        old_partition(db, days);
    }
    char *read = it_text(db, "SELECT %s", PARTITION("-9"));
    q_do(reader, "BEGIN; SELECT count(*) FROM q.%s", read);
    it_holds(db, "q.maintain(7) = 3");
    it_holds(db, "to_regclass('q.%s') IS NOT NULL", read);
    assert_int_equal(partitions(db), 6); /* and that of seven days ago */
    /* Somebody who reads all of it, for long: nothing is done, and nobody waits long behind it. */
    q_do(reader, "COMMIT");
    drop_partition(db, PARTITION("2"));
    q_do(reader, "BEGIN; SELECT count(*) FROM q.done");
    int64_t start = it_now_ms();
    q_send(db->pg, "SELECT q.maintain(7)");
    q_do(worker, Q_ADD("{}"));
    assert_int_equal(q_take(worker, 1, 1), 1);
    q_do(worker, "%s", Q_FINISH_ALL);
    assert_true(it_now_ms() - start < 5000);
    int64_t n = -1;
    assert_string_equal(q_answer(db->pg, &n), "00000");
    assert_int_equal(n, 0);
    q_do(reader, "COMMIT");
    it_holds(db, "q.maintain(7) = 2");
    assert_int_equal(partitions(db), 5);
    /* The setting is the function's own. */
    it_holds(db, "current_setting('lock_timeout') = '0'");
}

static void odd_numbers_of_days(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    finish_one(db);
    it_exec(db, "SELECT q.maintain(-5), q.maintain(0)");
    it_holds(db, "(SELECT count(*) FROM q.done) = 1"); /* never what is of today */
    it_exec(db, "SELECT q.maintain(NULL)");
    it_holds(db, "(SELECT count(*) FROM q.done) = 1");
}

static void old_samples_are_forgotten(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO q.depth (at, queue, ready, waiting, blocked, running, dead, count_ms) "
                "SELECT now() - n * interval '5 days', 'q', 0, 0, 0, 0, 0, 0 FROM "
                "generate_series(0, 2) n;"
                "INSERT INTO q.audit (at, who, command, jobs) VALUES (now() - interval '399 days', "
                "'', '', 0), (now() - interval '401 days', '', '', 0);"
                "INSERT INTO q.dedup VALUES ('a', 1, now() - interval '1 s'), ('b', 1, now() + "
                "interval '1 h')");
    it_exec(db, "SELECT q.maintain(7)");
    it_holds(db, "(SELECT count(*) FROM q.depth) = 2 AND (SELECT count(*) FROM q.audit) = 1 AND "
                 "(SELECT array_agg(key) FROM q.dedup) = '{b}'");
}

/* ---- requests -------------------------------------------------------------------------------- */

#define ONCE(key, keep)                                                                            \
    "SELECT q.add_once('" key "', '" keep "', '{\"queue\": \"q\", \"kind\": \"k\", \"lane\": "     \
    "\"L\"}')"

static void a_request_is_accepted_once(void **state)
{
    (void)state;
    enum { CLIENTS = 20 };
    struct it_db *db = it_db_new();
    PGconn *c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = q_open(db);
    }
    for (int i = 0; i < CLIENTS; i++) {
        q_send(c[i], ONCE("key", "1 h"));
    }
    int64_t first = 0;
    for (int i = 0; i < CLIENTS; i++) {
        int64_t id = 0;
        assert_string_equal(q_answer(c[i], &id), "00000");
        assert_true(id > 0 && (i == 0 || id == first));
        first = id;
    }
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
    /* The job is done and gone: still the same. */
    assert_int_equal(q_take(db->pg, 9, 1), 1);
    it_exec(db, "%s", Q_FINISH_ALL);
    assert_int_equal(it_i64(db, ONCE("key", "1 h")), first);
    assert_int_not_equal(it_i64(db, ONCE("other", "1 h")), first);
    /* When its time is over, before anybody cleaned up. */
    it_exec(db, "UPDATE q.dedup SET expires_at = now()");
    int64_t second = it_i64(db, ONCE("key", "1 h"));
    assert_int_not_equal(second, first);
    assert_int_equal(it_i64(db, ONCE("key", "1 h")), second);
    /* Undone, it was never made. */
    q_do(c[0], "BEGIN; " ONCE("undone", "1 h"));
    q_send(c[1], ONCE("undone", "1 h"));
    assert_true(q_waits(db, c[1]));
    q_do(c[0], "ROLLBACK");
    int64_t id = 0;
    assert_string_equal(q_answer(c[1], &id), "00000");
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE id = %lld)", (long long)id);
    q_is_sound(db);
    assert_string_equal(it_try(db, "SELECT q.add_once(NULL, '1 h', '{\"queue\": \"q\", \"kind\": "
                                   "\"k\"}')"),
                        "23502");
}

/* ---- what is due ----------------------------------------------------------------------------- */

static void due_jobs_become_ready_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db,
            "INSERT INTO q.job (queue, kind, state, run_at) SELECT 'q', 'k', 'waiting', now() - "
            "n * interval '1 s' FROM generate_series(1, 1200) n;"
            "INSERT INTO q.job (queue, kind, state, run_at) VALUES ('q', 'k', 'waiting', now() + "
            "interval '100 s'), ('r', 'k', 'waiting', now() - interval '1 s')");
    static const char due[] = "SELECT next_ms FROM q.due('q', '{k}', 0::smallint, 0)";
    q_do(a, "BEGIN; %s", due);
    assert_int_equal(q_i64(b, "%s", due), 0); /* others, beside it; more are due */
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 1000");
    assert_in_range(q_i64(b, "%s", due), 90000, 100000);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 1200");
    it_holds(db, "(SELECT bool_and(run_at IS NULL) FROM q.job WHERE state = 'ready')");
    it_holds(db, "NOT (SELECT suspects FROM q.due('q', '{k}', 0::smallint, 0))");
    it_exec(db, "UPDATE q.job SET suspect = true WHERE id = (SELECT min(id) FROM q.job)");
    it_holds(db, "(SELECT suspects FROM q.due('q', '{k}', 0::smallint, 0))");
    it_holds(db, "NOT (SELECT suspects FROM q.due('q', '{x}', 0::smallint, 0))");
    it_holds(db, "NOT (SELECT suspects FROM q.due('r', '{k}', 0::smallint, 0))");
}

static void a_clock_is_never_waited_for(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db, "SELECT * FROM q.due('q', '{k}', 1::smallint, 5)");
    q_do(a, "BEGIN; SELECT * FROM q.due('q', '{k}', 1::smallint, 50)");
    q_do(b, "SET lock_timeout = '1s'; SELECT * FROM q.due('q', '{k}', 1::smallint, 60)");
    q_do(a, "COMMIT; SELECT * FROM q.due('q', '{k}', 1::smallint, 40)");
    it_holds(db, "(SELECT fair FROM q.clock) = 50"); /* it does not go back */
}

static void depth_is_counted_now_and_then(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, Q_ADD("{}, {}, {\"lane\": \"L\"}, {\"lane\": \"L\"}"));
    it_exec(db,
            "INSERT INTO q.job (queue, kind, state, run_at) VALUES ('r', 'k', 'waiting', now())");
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload, "
            "created_at, reason) VALUES (-1, 's', 'k', 0, 1, 8, 0, '{}', now(), 'bug')");
    PGconn *a = q_open(db);
    q_do(a, "BEGIN; SELECT q.count_depth('10 s')");
    it_holds(db, "NOT q.count_depth('10 s')");
    q_do(a, "COMMIT");
    it_holds(db, "NOT q.count_depth('10 s')");
    it_holds(db,
             "(SELECT string_agg(concat_ws(' ', queue, ready, waiting, blocked, running, dead), "
             "',' ORDER BY queue) FROM q.depth) = 'q 3 0 1 0 0,r 0 1 0 0 0,s 0 0 0 0 1'");
    it_holds(db, "(SELECT bool_and((oldest_s IS NOT NULL) = (ready > 0)) FROM q.depth)");
    it_holds(db, "q.count_depth('0 s')");
}

/* ---- the previous version beside this one ---------------------------------------------------- */

static void claims_of_the_previous_version(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, Q_ADD("{\"prio\": 5}, {\"prio\": 1}, {\"tenant\": 3, \"prio\": 3}"));
    it_holds(db, "(SELECT array_agg(job_prio ORDER BY job_prio) FROM q.claim('q', 2, 1, '{k}')) = "
                 "'{1,3}'");
    it_holds(db, "(SELECT bool_and(deadline_at IS NULL) FROM q.job)");
    it_exec(db, "SELECT q.finish(array_agg(id), array_agg(attempt), 1) FROM q.job WHERE owner = 1");
    it_holds(db, "(SELECT count(*) FROM q.job) = 1 AND (SELECT count(*) FROM q.done) = 2");
    /* It knows nothing of lanes: the sweep finds what it left. */
    it_exec(db, Q_ADD("{\"lane\": \"L\", \"prio\": -1}, {\"lane\": \"L\"}"));
    it_exec(db, "SELECT * FROM q.claim('q', 1, 1, '{k}'); SELECT q.finish(array_agg(id), "
                "array_agg(attempt), 1) FROM q.job WHERE owner = 1");
    it_holds(db, "q.repair_lanes() = 1 AND q.repair_lanes() = 0");
    it_holds(db, "(SELECT state = 'ready' FROM q.job WHERE lane = 'L')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(a_missing_partition_is_made_and_filled),
        Q_TEST(what_is_read_is_dropped_another_time),
        Q_TEST(odd_numbers_of_days),
        Q_TEST(old_samples_are_forgotten),
        Q_TEST(a_request_is_accepted_once),
        Q_TEST(due_jobs_become_ready_once),
        Q_TEST(a_clock_is_never_waited_for),
        Q_TEST(depth_is_counted_now_and_then),
        Q_TEST(claims_of_the_previous_version),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
