/* Rates: windows that all share, never overdrawn, and what the other side says of them. The clock
 * is the database's; a rate's offset puts it where the test wants to be in a window. */
#include "it/queue.h"

/* A rate whose clock stands so many seconds into a quarter hour, early on a day. */
static void rate_at(struct it_db *db, double into, int cap15, int capday)
{
    it_exec(
        db,
        "DELETE FROM q.rate; INSERT INTO q.rate (name, cap15, capday, offset_s) SELECT 'r', %d, "
        "%d, 1800000000 - mod(1800000000, 86400) + 900 + %f - extract(epoch FROM "
        "clock_timestamp())",
        cap15, capday, into);
}

/* real has too few digits for an offset of years. */
static struct it_db *with_rate(double into, int cap15, int capday)
{
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER TABLE q.rate ALTER offset_s TYPE float8");
    rate_at(db, into, cap15, capday);
    return db;
}

static int64_t take(struct it_db *db, int n, bool live)
{
    return it_i64(db, "SELECT q.rate_take('r', %d, %s)", n, live ? "true" : "false");
}

static int64_t wait_ms(struct it_db *db, bool live)
{
    return it_i64(db, "SELECT q.rate_wait_ms('r', %s)", live ? "true" : "false");
}

static void windows_and_reserve(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 100, 150);
    assert_int_equal(take(db, 60, false), 60);
    assert_int_equal(take(db, 60, false), 10); /* 30 are kept for live work */
    assert_int_equal(take(db, 60, false), 0);
    assert_in_range(wait_ms(db, false), 700 * 1000, 803 * 1000);
    assert_int_equal(wait_ms(db, true), 0);
    assert_int_equal(take(db, 60, true), 30);
    assert_int_equal(take(db, 1, true), 0);
    assert_in_range(wait_ms(db, true), 700 * 1000, 803 * 1000);
    /* The next quarter: the day is used up before it. */
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s + 900");
    assert_int_equal(take(db, 99, false), 5); /* 105 of a day without the reserve */
    assert_int_equal(take(db, 99, true), 45);
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s + 900");
    assert_int_equal(take(db, 99, true), 0);
    assert_int_equal(wait_ms(db, true), 3600 * 1000);
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s + 86400");
    assert_int_equal(take(db, 999, true), 100);
    /* Back in a window that is over: what was used up is not given out again. */
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s - 900");
    assert_int_equal(take(db, 999, true), 0);
}

/* But not to a window that has just begun: it may have been taken from the one before. */
static void what_is_not_used_is_given_back(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 100, 1000);
    assert_int_equal(take(db, 10, true), 10);
    it_exec(db, "SELECT q.rate_give('r', 3)");
    it_holds(db, "(SELECT used15 = 7 AND usedday = 7 FROM q.rate)");
    it_exec(db, "SELECT q.rate_give('r', 30)");
    it_holds(db, "(SELECT used15 = 0 AND usedday = 0 FROM q.rate)");
    db = with_rate(30, 100, 1000);
    assert_int_equal(take(db, 10, true), 10);
    it_exec(db, "SELECT q.rate_give('r', 3)");
    it_holds(db, "(SELECT used15 = 10 FROM q.rate)");
}

static void hostile_arguments(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 100, 1000);
    assert_int_equal(take(db, 10, true), 10);
    assert_int_equal(take(db, -10, true), 0);
    assert_int_equal(take(db, 0, true), 0);
    it_holds(db, "q.rate_take('r', NULL, true) = 0");
    it_holds(db, "(SELECT used15 = 10 AND usedday = 10 FROM q.rate)");
    it_exec(db, "SELECT q.rate_give('nobody', 1)");
    it_holds(db, "q.rate_take('nobody', 7, false) = 7 AND q.rate_take('nobody', -7, false) = 0");
    it_holds(db, "q.rate_wait_ms('nobody', true) = 0 AND q.rate_wait_ms(NULL, true) = 0");
    it_exec(db, "SELECT q.rate_learn('nobody', 1, 1, 1, 1, now()), q.rate_full('nobody', true),"
                "q.rate_learn('r', NULL, NULL, NULL, NULL, NULL),"
                "q.rate_learn('r', 0, 0, -5, -5, NULL), q.rate_learn('r', -3, -3, 0, 0, NULL)");
    it_holds(db, "(SELECT cap15 = 100 AND capday = 1000 AND used15 = 10 FROM q.rate)");
    it_exec(db, "UPDATE q.rate SET paused_until = 'infinity'");
    assert_int_equal(take(db, 10, true), 0);
    assert_int_equal(wait_ms(db, true), 3600 * 1000);
    it_exec(db, "UPDATE q.rate SET paused_until = now() + interval '10 s'");
    assert_in_range(wait_ms(db, true), 5000, 10000);
    it_exec(db, "UPDATE q.rate SET paused_until = now() - interval '10 s', cap15 = 0");
    assert_int_equal(take(db, 10, true), 0);
    assert_in_range(wait_ms(db, true), 1, 3600 * 1000);
}

static void nothing_at_the_ends_of_a_window(void **state)
{
    (void)state;
    static const struct {
        double into;
        int taken;
        int64_t least, most;
    } row[] = {
        {0.1, 0, 900, 2000}, {1.2, 0, 1, 1000},      {2.2, 1, 0, 0},
        {897.0, 1, 0, 0},    {898.2, 0, 2500, 3900}, {899.5, 0, 1500, 2600},
    };
    struct it_db *db = with_rate(0, 1, 1);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        rate_at(db, row[i].into, 100, 1000);
        assert_in_range(wait_ms(db, true), row[i].least, row[i].most);
        rate_at(db, row[i].into, 100, 1000);
        assert_int_equal(take(db, 1, true), row[i].taken);
    }
}

static void what_the_other_side_says(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 100, 1000);
    assert_int_equal(take(db, 10, true), 10);
    it_exec(db, "CREATE FUNCTION it.theirs(back interval) RETURNS timestamptz LANGUAGE sql AS $$ "
                "SELECT clock_timestamp() + make_interval(secs => offset_s) - back FROM q.rate $$");
    it_exec(db, "SELECT q.rate_learn('r', 200, 2000, 150, 400, it.theirs('0 s'))");
    it_holds(db, "(SELECT cap15 = 200 AND capday = 2000 AND used15 = 150 AND usedday = 400 FROM "
                 "q.rate)");
    assert_int_equal(take(db, 99, true), 50);
    /* Less than we know of, and late answers, change nothing. */
    it_exec(db, "SELECT q.rate_learn('r', 200, 2000, 20, 20, it.theirs('0 s'))");
    it_holds(db, "(SELECT used15 = 200 AND usedday = 450 FROM q.rate)");
    it_exec(db, "UPDATE q.rate SET used15 = 0");
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s; SELECT q.rate_learn('r', NULL, NULL, 190, "
                "NULL, it.theirs('1 s'))");
    it_holds(db, "(SELECT used15 = 190 FROM q.rate)");
    /* Their clock: told in whole seconds, which is no difference. */
    double before = it_f64(db, "SELECT offset_s FROM q.rate");
    it_exec(db, "SELECT q.rate_learn('r', NULL, NULL, NULL, NULL, it.theirs('0.9 s'))");
    assert_true(it_f64(db, "SELECT offset_s FROM q.rate") == before);
    it_exec(db, "SELECT q.rate_learn('r', NULL, NULL, NULL, NULL, it.theirs('-20 s'))");
    double moved = it_f64(db, "SELECT offset_s FROM q.rate") - before;
    assert_true(moved > 19 && moved < 21);
    /* Refused. */
    it_exec(db, "UPDATE q.rate SET used15 = 0, usedday = 0; SELECT q.rate_full('r', false)");
    assert_int_equal(take(db, 1, true), 0);
    it_holds(db, "(SELECT usedday = 0 FROM q.rate)");
    it_exec(db, "SELECT q.rate_full('r', true); UPDATE q.rate SET offset_s = offset_s + 900");
    assert_int_equal(take(db, 1, true), 0);
}

/* Ours was set ahead, to a window, or day, that has not begun: what is said of the one that goes on
 * is heard. */
static void a_clock_that_was_ahead(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 100, 1000);
    static const int ahead_s[] = {900, 86400};
    for (size_t i = 0; i < sizeof(ahead_s) / sizeof(ahead_s[0]); i++) {
        rate_at(db, 100, 100, 1000);
        assert_int_equal(take(db, 70, true), 70);
        it_exec(db,
                "CREATE TEMP TABLE theirs AS SELECT clock_timestamp() + make_interval(secs =>"
                " offset_s) AS t FROM q.rate; UPDATE q.rate SET offset_s = offset_s + %d",
                ahead_s[i]);
        assert_int_equal(take(db, 1, false), 1);
        it_holds(db, "(SELECT used15 = 1 FROM q.rate)");
        it_exec(db, "SELECT q.rate_learn('r', 100, 1000, 71, 71, t) FROM theirs;"
                    "DROP TABLE theirs");
        it_holds(db, "(SELECT used15 = 71 AND usedday = 71 FROM q.rate)");
        assert_int_equal(take(db, 99, false), 0);
        assert_int_equal(take(db, 99, true), 29);
        it_exec(db, "UPDATE q.rate SET offset_s = offset_s + 900");
        assert_int_equal(take(db, 99, false), 70);
    }
}

/* ---- claims ---------------------------------------------------------------------------------- */

#define TAKE_RATED "SELECT count(*) FROM q.take_rated('q', %d, %d, '{a,k}', '{10,20}', 'r')"

static void claims_spend_what_they_take(void **state)
{
    (void)state;
    struct it_db *db = with_rate(100, 10, 1000);
    it_exec(db, "INSERT INTO q.job (queue, kind, prio) SELECT 'q', 'k', 20 FROM generate_series(1, "
                "50)");
    assert_int_equal(it_i64(db, TAKE_RATED, 5, 1), 5);
    assert_int_equal(it_i64(db, TAKE_RATED, 5, 1), 2); /* 3 of 10 are kept */
    it_exec(db, "INSERT INTO q.job (queue, kind, prio) SELECT 'q', 'k', 9 FROM generate_series(1, "
                "2)");
    assert_int_equal(it_i64(db, TAKE_RATED, 5, 1), 2);
    it_holds(db, "(SELECT used15 = 9 AND usedday = 9 FROM q.rate)");
    it_exec(db, "INSERT INTO q.job (queue, kind, prio) SELECT 'q', 'a', -1 FROM generate_series(1, "
                "5)");
    assert_int_equal(it_i64(db, TAKE_RATED, 5, 1), 1);
    assert_int_equal(it_i64(db, TAKE_RATED, 5, 1), 0);
    it_holds(db, "(SELECT bool_and(deadline_at - started_at < interval '11 s') FROM q.job WHERE "
                 "kind = 'a' AND state = 'running')");
    /* Nothing to take spends nothing; nor does what is rolled back. */
    rate_at(db, 100, 10, 1000);
    it_exec(db, "SELECT * FROM q.take_rated('q', 5, 1, '{x}', '{10}', 'r');"
                "BEGIN; SELECT * FROM q.take_rated('q', 5, 1, '{a}', '{10}', 'r'); ROLLBACK");
    it_holds(db, "(SELECT used15 = 0 FROM q.rate)");
    /* Most urgent first, live and other work in one claim. */
    assert_int_equal(it_i64(db, TAKE_RATED, 7, 2), 7);
    it_holds(db, "(SELECT string_agg(kind || prio, ',' ORDER BY prio, id) FROM q.job WHERE owner = "
                 "2) = 'a-1,a-1,a-1,a-1,k20,k20,k20'");
}

/* 20 claim as fast as they can, over the edge of a window; somebody tells of higher use. */
struct shared {
    bool direct;
};

static void take_turn(struct q_thread *t)
{
    const struct shared *s = t->shared;
    /* Written down with the time by their clock at which it was taken at the latest. */
    (void)qt_do(t,
                "INSERT INTO it.taken (n, at) SELECT n, extract(epoch FROM clock_timestamp()) + "
                "offset_s FROM (SELECT %s AS n) x, q.rate WHERE n > 0",
                s->direct ? "q.rate_take('r', 3, false)"
                          : "(SELECT count(*) FROM q.take_rated('q', 3, 1, '{k}', '{10}', 'r'))");
    if (t->index == 0) {
        (void)qt_do(t, "SELECT q.rate_learn('r', NULL, NULL, 40, NULL, NULL) FROM q.rate WHERE "
                       "used15 BETWEEN 20 AND 40");
    }
}

static void race(bool direct)
{
    enum { TAKERS = 20 };
    struct it_db *db = with_rate(896.5, 100, 100000);
    it_exec(db, "UPDATE q.rate SET guard_s = 1;"
                "CREATE TABLE it.taken (n int, at float8);"
                "INSERT INTO q.job (queue, kind, prio) SELECT 'q', 'k', 20 FROM generate_series(1, "
                "1000)");
    struct shared shared = {direct};
    struct q_thread t[TAKERS] = {{0}};
    for (int i = 0; i < TAKERS; i++) {
        t[i].turn = take_turn;
        t[i].shared = &shared;
    }
    assert_int_equal(q_threads(db, t, TAKERS, load_seed(), 5500), 0);
    print_message("%s\n", it_text(db, "SELECT string_agg(n || ' in window ' || w, ', ') FROM "
                                      "(SELECT sum(n) AS n, floor(at / 900) - min(floor(at / 900)) "
                                      "OVER () AS w FROM it.taken GROUP BY floor(at / 900)) x"));
    /* 70, less up to 20 that others have used meanwhile; in each of two windows. */
    it_holds(db, "(SELECT count(*) = 2 AND bool_and(n BETWEEN 45 AND 70) FROM (SELECT sum(n) AS n "
                 "FROM it.taken GROUP BY floor(at / 900)) x)");
    it_holds(db, "(SELECT used15 = 70 FROM q.rate)");
    it_holds(db, "NOT EXISTS (SELECT FROM it.taken WHERE mod(at::numeric, 900) < 1)");
    /* Taken before it was written down: half a second's grace. */
    it_holds(db, "NOT EXISTS (SELECT FROM it.taken WHERE mod(at::numeric, 900) > 899.5)");
}

static void twenty_race_for_tokens(void **state)
{
    (void)state;
    race(true);
}

static void twenty_race_for_jobs_with_tokens(void **state)
{
    (void)state;
    race(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(windows_and_reserve),
        Q_TEST(what_is_not_used_is_given_back),
        Q_TEST(hostile_arguments),
        Q_TEST(nothing_at_the_ends_of_a_window),
        Q_TEST(what_the_other_side_says),
        Q_TEST(a_clock_that_was_ahead),
        Q_TEST(claims_spend_what_they_take),
        Q_TEST(twenty_race_for_tokens),
        Q_TEST(twenty_race_for_jobs_with_tokens),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
