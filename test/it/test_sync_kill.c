/* A long history comes in under a small quota while the service is killed again and again: nothing
 * is lost, nothing doubled, no call is made that there was none for, and what a kill costs is the
 * one call that was under way. */
#include "it/sync.h"

#include <signal.h>
#include <stdlib.h>

enum { KILLS = 12, KILLS_FULL = 60, IN_VAIN = 3, LIMIT_MS = 240000 };

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}

static bool is_over(struct it_db *db)
{
    return it_i64(
               db,
               "SELECT (NOT EXISTS (SELECT FROM strava.sync WHERE state = 'running') AND NOT EXISTS"
               " (SELECT FROM q.job WHERE queue = 'strava'))::int") != 0;
}

static bool is_full(void)
{
    return getenv("WAYMARK_FULL") != NULL;
}

/* Time passes once the calls of a window, or of a day, are used up; a bit more, for at the ends of
 * a window there are none either. */
static unsigned advance_if_used_up(struct it_db *db, struct sim *s)
{
    if (it_i64(db, "SELECT q.rate_room(q.rate_roll('strava'), false)") > 0)
        return 0;
    bool day = it_i64(db, "SELECT (usedday >= 700)::int FROM q.rate") != 0;
    sync_pass(db, s, (day ? 6 * 3600 : 900) + 5);
    return 1;
}

/* Now and then a clock jumps, and nobody tells: Strava's, or ours, to either side. */
static unsigned jump_perhaps(struct it_db *db, struct sim *s)
{
    if (draw(40) > 0)
        return 0;
    if (draw(2) > 0)
        (void)sim_do(s, "clock", "{\"advance_s\":%llu}", (unsigned long long)(1 + draw(600)));
    else
        it_exec(db, "UPDATE q.rate SET offset_s = offset_s + %lld", (long long)draw(1801) - 900);
    return 1;
}

static int64_t calls(struct sim *s)
{
    return sim_i64(sim_stats(s), "total");
}

struct tally {
    int64_t calls, repeated, refused;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same page, or item, twice. */
static struct tally tally(struct sim *s)
{
    json_t *log = sim_log(s, 0);
    size_t n = json_array_size(log), i;
    const char **key = (const char **)(void *)it_keep(calloc(n + 1, sizeof(char *)));
    struct tally t = {0};
    json_t *one;
    json_array_foreach(log, i, one)
    {
        /* One that was refused for its token's sake is made again. */
        if (!json_is_true(json_object_get(one, "counted")) || sim_i64(one, "status") == 401)
            continue;
        key[t.calls++] = it_format("%s?%s", sim_str(one, "path"), sim_str(one, "query"));
        t.refused += sim_i64(one, "status") == 429;
    }
    qsort((void *)key, (size_t)t.calls, sizeof(*key), by_text);
    for (int64_t k = 1; k < t.calls; k++)
        t.repeated += strcmp(key[k], key[k - 1]) == 0;
    return t;
}

static void backfill(const char *preset, const char *streams, double share, unsigned concurrency)
{
    struct sim *s = sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--preset", preset));
    struct it_db *db = sync_db(s);
    sync_route(db, s);
    /* A kill between a new refresh token and its commit would cost the login. */
    (void)sim_do(s, "settings", "{\"rotation\":\"never\"}");
    /* A shorter one: fewer of them are near. */
    it_exec(db, "UPDATE routes SET track = ST_LineSubstring(track::geometry, 0, %g)::geography",
            share);
    const char *const *env =
        sync_env(s, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0",
                            it_format("WAYMARK_STRAVA_STREAMS=%s", streams),
                            it_format("WAYMARK_STRAVA_CONCURRENCY=%u", concurrency)));
    int64_t end = it_now_ms() + LIMIT_MS;
    unsigned kills = 0, most = is_full() ? KILLS_FULL : KILLS, vain = 0, windows = 0, jumps = 0;
    struct it_proc *p = it_serve(db, env);
    sync_log_in(s, p, SYNC_ATHLETE, NULL); /* which asks for all there is */
    while (!is_over(db)) {
        /* A job whose process dies ten times while it runs alone is given up, even if it only
         * waited for the token that one of them was refreshing: now and then one call must be
         * answered. */
        int64_t until = it_now_ms() + (int64_t)draw(400), had = calls(s);
        while (!is_over(db) &&
               (kills >= most || it_now_ms() < until || (vain >= IN_VAIN && calls(s) == had))) {
            jumps += jump_perhaps(db, s);
            windows += advance_if_used_up(db, s);
            if (it_now_ms() > end)
                sync_late(db);
            it_pause_ms(20);
        }
        if (kills < most && !is_over(db)) {
            kills++;
            it_pause_ms((int64_t)draw(40));
            vain = calls(s) == had ? vain + 1 : 0;
            it_signal(p, SIGKILL);
            (void)it_wait(p, 10000);
            p = it_serve(db, env);
        }
    }
    it_serve_stop(p);
    struct tally t = tally(s);
    print_message("%s, %u at once: %lld calls, %lld repeated, %u kills, %u jumps, %u times out of"
                  " calls\n",
                  preset, concurrency, (long long)t.calls, (long long)t.repeated, kills, jumps,
                  windows);
    it_must(db, NULL, IT_LIST("process"), 0);
    sync_same(db, s, SYNC_ATHLETE);
    it_same_as_recomputed(db);
    sync_within_limits(s);
    assert_int_equal(t.refused, 0);
    assert_true(t.repeated <= (int64_t)kills * concurrency);
    assert_true(kills >= most / 4);
    it_holds(
        db,
        "(SELECT backfill_status = 'complete' FROM athletes) AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(
        db,
        "NOT EXISTS (SELECT FROM strava.activity k JOIN relevant_activities r ON r.activity_id ="
        " k.activity_id WHERE r.relevant AND k.streams = 'none')");
    sim_stop(s);
}

/* Scenario A: a first login, its `big` backfill under 100 calls a quarter hour with clocks that
 * jump, kill -9 at random points, restarts: no row lost or doubled, no call over the quota or while
 * limited, and at most one page or item repeated a kill. */
static void a_long_history_one_call_at_a_time(void **state)
{
    (void)state;
    backfill("big", "near", is_full() ? 0.2 : 0.1, 1);
}

/* Scenario A: the same with several calls under way at each kill. */
static void four_calls_at_a_time(void **state)
{
    (void)state;
    if (is_full())
        backfill("big", "near", 0.2, 4);
    else
        backfill("demo", "all", 1, 4);
}

/* A page whose process dies each time is taken for what kills it, and given up; the sync of the
 * next hour goes through everything anew. */
static void a_page_whose_process_always_dies(void **state)
{
    enum { PAGES = 40, DEATHS = 10, LONG_MS = 60000 };
    (void)state;
    struct sim *s = sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--preset", "big"));
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    for (int nth = 2; nth < PAGES; nth++)
        (void)sim_do(s, "fault",
                     "{\"match\":{\"path\":\"/athlete/activities\"},\"when\":{\"nth\":%d},"
                     "\"action\":{\"type\":\"drop\",\"at\":\"never\"}}",
                     nth);
    (void)sync_request(db, SYNC_ATHLETE, "new", NULL);
    unsigned kills = 0;
    int64_t end = it_now_ms() + LIMIT_MS;
    while (it_i64(db, "SELECT count(*) FROM q.dead WHERE ukey LIKE 'page:%%'") == 0) {
        struct it_proc *p = it_serve(db, sync_env(s, NULL));
        int64_t until = it_now_ms() + 3000;
        while (it_now_ms() < until &&
               it_i64(db, "SELECT count(*) FROM q.job WHERE ukey LIKE 'page:%%' AND state ="
                          " 'running' AND EXISTS (SELECT FROM activities)") == 0)
            it_pause_ms(10);
        it_signal(p, SIGKILL);
        (void)it_wait(p, 10000);
        kills++;
        assert_true(it_now_ms() < end);
    }
    assert_true(kills >= DEATHS);
    it_holds(db, "(SELECT count(*) BETWEEN 1 AND 200 FROM activities) AND (SELECT backfill_status ="
                 " 'started' FROM athletes)");

    (void)sim_do(s, "fault/clear", "{}");
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    it_must(db, NULL, IT_LIST("jobs", "cron", "run", "strava.new"), 0);
    sync_wait(db, LONG_MS);
    it_serve_stop(p);
    sync_same(db, s, SYNC_ATHLETE);
    it_holds(db, "(SELECT string_agg(state, ' ' ORDER BY id) = 'failed done' FROM strava.sync) AND"
                 " (SELECT backfill_status = 'complete' FROM athletes)");
    sync_within_limits(s);
    sim_stop(s);
}

int main(void)
{
    const char *given = getenv("WAYMARK_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)it_now_ms();
    print_message("WAYMARK_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        IT_TEST(a_long_history_one_call_at_a_time),
        IT_TEST(four_calls_at_a_time),
        IT_TEST(a_page_whose_process_always_dies),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
