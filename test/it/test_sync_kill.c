/* A long history comes in under a small quota while the service is killed again and again: nothing
 * is lost, nothing doubled, no call is made that there was none for, and what a kill costs is the
 * one call that was under way. */
#include "it/sync.h"

#include <signal.h>
#include <stdlib.h>

enum { KILLS = 20, LIMIT_MS = 240000 };

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

/* Time passes once the calls of a window, or of a day, are used up. */
static unsigned advance_if_used_up(struct it_db *db, struct sim *s)
{
    if (it_i64(db, "SELECT q.rate_room(q.rate_roll('strava'), false)") > 0)
        return 0;
    bool day = it_i64(db, "SELECT (usedday >= 700)::int FROM q.rate") != 0;
    sync_advance(db, s, day ? 6 * 3600 : 900);
    return 1;
}

static void stuck(struct it_db *db)
{
    fail_msg(
        "it does not come to its end:\n%s\n%s\n%s",
        it_text(db,
                "SELECT coalesce(string_agg(j::text, E'\\n'), 'no job') FROM (SELECT * FROM q.job "
                "LIMIT 20) j"),
        it_text(
            db,
            "SELECT string_agg(r::text, E'\\n') || E'\\nnow ' || clock_timestamp() FROM q.rate r"),
        it_text(db, "SELECT string_agg(s::text, E'\\n') FROM strava.sync s"));
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
        if (!json_is_true(json_object_get(one, "counted")))
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
    /* A shorter one: fewer of them are near. */
    it_exec(db, "UPDATE routes SET track = ST_LineSubstring(track::geometry, 0, %g)::geography",
            share);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    const char *const *env =
        sync_env(s, IT_LIST(it_format("WAYMARK_STRAVA_STREAMS=%s", streams),
                            it_format("WAYMARK_STRAVA_CONCURRENCY=%u", concurrency)));
    int64_t end = it_now_ms() + LIMIT_MS;
    unsigned kills = 0, windows = 0;
    (void)sync_request(db, SYNC_ATHLETE, "new", NULL);
    while (!is_over(db)) {
        struct it_proc *p = it_serve(db, env);
        int64_t until = it_now_ms() + (int64_t)draw(400);
        while (!is_over(db) && (kills >= KILLS || it_now_ms() < until)) {
            windows += advance_if_used_up(db, s);
            if (it_now_ms() > end)
                stuck(db);
            it_pause_ms(20);
        }
        if (kills < KILLS) {
            kills++;
            it_signal(p, SIGKILL);
            (void)it_wait(p, 10000);
        } else {
            it_serve_stop(p);
        }
    }
    struct tally t = tally(s);
    print_message("%s, %u at once: %lld calls, %lld repeated, %u kills, %u times out of calls\n",
                  preset, concurrency, (long long)t.calls, (long long)t.repeated, kills, windows);
    it_must(db, NULL, IT_LIST("process"), 0);
    sync_same(db, s, SYNC_ATHLETE);
    it_same_as_recomputed(db);
    sync_within_limits(s);
    assert_int_equal(t.refused, 0);
    assert_true(t.repeated <= (int64_t)kills * concurrency);
    assert_true(kills >= KILLS / 4);
    it_holds(
        db,
        "(SELECT backfill_status = 'complete' FROM athletes) AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(
        db,
        "NOT EXISTS (SELECT FROM strava.activity k JOIN relevant_activities r ON r.activity_id ="
        " k.activity_id WHERE r.relevant AND k.streams = 'none')");
    sim_stop(s);
}

static void a_long_history_one_call_at_a_time(void **state)
{
    (void)state;
    backfill("big", "near", 0.2, 1);
}

static void four_calls_at_a_time(void **state)
{
    (void)state;
    backfill("demo", "all", 1, 4);
}

int main(void)
{
    const char *given = getenv("WAYMARK_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)it_now_ms();
    print_message("WAYMARK_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        IT_TEST(a_long_history_one_call_at_a_time),
        IT_TEST(four_calls_at_a_time),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
