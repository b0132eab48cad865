/* packaging/kubernetes/queue.sql: how many pods the queue needs. */
#include "it/it.h"

static struct it_db *empty_queue(void)
{
    struct it_db *db = it_db_new();
    it_exec(db, "DELETE FROM q.job");
    return db;
}

static int64_t pods(struct it_db *db)
{
    static char *sql;
    if (sql == NULL)
        sql = strdup(it_read_file(WAYMARK_SOURCE_DIR "/packaging/kubernetes/queue.sql"));
    PGresult *res = it_ask(db, sql, 0, NULL);
    assert_int_equal(PQntuples(res), 1);
    return strtoll(PQgetvalue(res, 0, 0), NULL, 10);
}

static void add(struct it_db *db, int n, const char *kind, const char *state, const char *run_at)
{
    it_exec(db,
            "INSERT INTO q.job (queue, kind, state, run_at)"
            " SELECT 'trails', '%s', '%s', %s FROM generate_series(1, %d)",
            kind, state, run_at, n);
}

static void idle_needs_nobody(void **state)
{
    (void)state;
    struct it_db *db = empty_queue();
    assert_int_equal(pods(db), 0);
    add(db, 5, "match", "waiting", "now() + interval '1 hour'");
    add(db, 5, "match", "blocked", "NULL");
    it_exec(
        db,
        "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload,"
        " created_at, reason) VALUES (-1, 'trails', 'match', 0, 8, 8, 0, '{}', now(), 'attempts')");
    assert_int_equal(pods(db), 0);
}

static void work_is_measured_in_time(void **state)
{
    (void)state;
    struct it_db *db = empty_queue();
    add(db, 1, "match", "ready", "NULL");
    assert_int_equal(pods(db), 1);
    /* 3000 jobs of 0.2 s: 600 s of work, 120 s of which a pod of two slots does in a minute. */
    it_exec(db, "INSERT INTO q.flow (queue, instance, claimed, finished, retried, buried, fenced,"
                " rescued, run_ms) VALUES ('trails', 1, 100, 90, 10, 0, 0, 0, 20000)");
    add(db, 2999, "match", "ready", "NULL");
    assert_int_equal(pods(db), 5);
    /* The pace of another queue is not that of this one. */
    it_exec(db, "UPDATE q.flow SET queue = 'other'");
    assert_int_equal(pods(db), 3);
}

static void due_work_wakes(void **state)
{
    (void)state;
    struct it_db *db = empty_queue();
    add(db, 1, "match", "waiting", "now() + interval '20 s'");
    assert_int_equal(pods(db), 1);
    it_exec(db, "DELETE FROM q.job");
    it_exec(db, "INSERT INTO q.instance (host, place, pid, pid_started, version)"
                " VALUES ('h', 'p', 1, 1, '0')");
    it_exec(db, "INSERT INTO q.job (queue, kind, state, owner, started_at)"
                " VALUES ('trails', 'match', 'running', (SELECT max(id) FROM q.instance), now())");
    assert_int_equal(pods(db), 1); /* somebody must see to it, should its owner be dead */
    it_exec(db, "DELETE FROM q.job");
    it_must(db, NULL,
            IT_LIST("jobs", "cron", "add", "often", "* * * * *", "--kind", "k", "--queue", "q"), 0);
    it_exec(db, "UPDATE q.cron SET next_at = now() + interval '1 hour'");
    assert_int_equal(pods(db), 0);
    it_exec(db, "UPDATE q.cron SET next_at = now() + interval '10 s'");
    assert_int_equal(pods(db), 1);
    it_exec(db, "UPDATE q.cron SET paused = true");
    assert_int_equal(pods(db), 0);
}

static void what_nobody_may_do_needs_nobody(void **state)
{
    (void)state;
    struct it_db *db = empty_queue();
    add(db, 50, "match", "ready", "NULL");
    it_exec(db, "INSERT INTO q.pause (queue, kind) VALUES ('trails', 'match')");
    assert_int_equal(pods(db), 0);
    it_exec(db, "DELETE FROM q.pause");
    it_exec(db, "DELETE FROM q.job");
    add(db, 5000, "strava", "ready", "NULL");
    it_exec(db, "INSERT INTO q.rate (name, cap15, capday) VALUES ('strava', "
                "100, 1000)");
    assert_int_equal(pods(db), 5);
    it_exec(db, "SELECT q.rate_full('strava', false)");
    assert_int_equal(pods(db), 0);
    add(db, 1, "match", "ready", "NULL"); /* what needs no tokens still counts */
    assert_int_equal(pods(db), 1);
    it_exec(db, "UPDATE q.rate SET win15 = win15 - 1"); /* a new window */
    assert_int_equal(pods(db), 5);
    it_exec(db, "UPDATE q.rate SET paused_until = now() + interval '1 minute'");
    assert_int_equal(pods(db), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(idle_needs_nobody),
        IT_TEST(work_is_measured_in_time),
        IT_TEST(due_work_wakes),
        IT_TEST(what_nobody_may_do_needs_nobody),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
