/* What Strava has comes in: the real binary against a simulator of Strava, and the final tables
 * against what the simulator says is true. */
#include "it/sync.h"

enum { LONG_MS = 60000 };

static struct sim *start(const char *const *more)
{
    const char *args[24] = {"--clock", "2026-07-01T12:05:00Z", "--limits", "5000,50000/5000,50000"};
    unsigned n = 4;
    for (; more != NULL && *more != NULL; more++)
        args[n++] = *more;
    return sim_start(args);
}

/* Scenario I: ties (250 activities with one start); and everything else that there may be. */
static void everything_comes_in(void **state)
{
    static const char *const presets[] = {"none", "tiny", "demo", "big", "ties", "edge"};
    (void)state;
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        print_message("%s\n", presets[i]);
        struct sim *s = start(IT_LIST("--preset", presets[i]));
        struct it_db *db = sync_db(s);
        sync_connect(db, s, SYNC_ATHLETE, NULL);
        struct it_proc *p = it_serve(db, sync_env(s, NULL));
        int64_t id = sync_request(db, SYNC_ATHLETE, "new", NULL);
        sync_wait(db, LONG_MS);
        sync_same(db, s, SYNC_ATHLETE);
        it_holds(
            db,
            "EXISTS (SELECT FROM strava.sync WHERE id = %lld AND state = 'done' AND listed ="
            " added AND added = (SELECT count(*) FROM activities) AND gone = 0 AND changed = 0)",
            (long long)id);
        it_holds(db, "(SELECT backfill_status = 'complete' FROM athletes)");
        sync_within_limits(s);
        it_serve_stop(p);
        sim_stop(s);
    }
}

/* A sync of everything, with these faults at the simulator; then the truth. */
static struct it_db *with(struct sim *s, const char *const *faults, const char *settings,
                          const char *const *env)
{
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    for (; faults != NULL && *faults != NULL; faults++)
        (void)sim_do(s, "fault", "%s", *faults);
    if (settings != NULL)
        (void)sim_do(s, "settings", "%s", settings);
    struct it_proc *p = it_serve(db, sync_env(s, env));
    (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
    sync_wait(db, LONG_MS);
    (void)sim_do(s, "fault/clear", "{}");
    it_serve_stop(p);
    return db;
}

#define LISTS "{\"match\":{\"path\":\"/athlete/activities\"},"

/* Scenario A: no call while limited; a page that is refused is not the last one. */
static void a_refusal_is_not_the_end(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--preset", "big",
                                      "--limits", "10,1000/10,1000"));
    struct it_db *db = sync_db(s);
    it_exec(db,
            "UPDATE q.rate SET cap15 = 100, reserve = 0"); /* it does not know how few there are */
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
    assert_true(it_eventually(db, 20000, "SELECT pages = 10 FROM strava.sync") >= 0);
    it_pause_ms(1500); /* nobody calls now */
    it_holds(db, "(SELECT state = 'running' AND pages = 10 FROM strava.sync)");
    assert_true(sync_calls(s, "/athlete/activities") <= 11);
    sync_advance(db, s, 900);
    sync_wait(db, LONG_MS);
    sync_same(db, s, SYNC_ATHLETE);
    it_holds(
        db,
        "(SELECT attempt = 1 FROM q.done WHERE kind = 'strava.page' ORDER BY finished_at DESC LIMIT"
        " 1) AND NOT EXISTS (SELECT FROM q.dead)");
    it_serve_stop(p);
}

/* What Strava pushed so far was acknowledged, all of it, and quickly. */
static void all_acknowledged(struct sim *s, int64_t made)
{
    sim_idle(s);
    json_t *st = sim_stats(s);
    print_message("%lld events: acknowledged within %.0f ms (p99), %.0f ms at most\n",
                  (long long)sim_i64(st, "events.delivered"), sim_f64(st, "events.ack_ms.p99"),
                  sim_f64(st, "events.ack_ms.max"));
    assert_int_equal(sim_i64(st, "events.made"), made);
    assert_int_equal(sim_i64(st, "events.delivered"), made);
    assert_int_equal(sim_i64(st, "events.lost"), 0);
    assert_true(sim_f64(st, "events.ack_ms.p99") < 2000);
}

static void create(struct sim *s, unsigned n)
{
    (void)sim_do(s, "activity",
                 "{\"do\":\"create\",\"athlete\":9001,\"count\":%u,\"distance\":3000}", n);
}

/* Scenario H: a day's calls are used up, as a 429 says. It sleeps until 00:00 UTC by Strava's
 * clock, while events are acknowledged; and so they are while the API is slow, and while it is
 * down. */
static void a_day_without_calls(void **state)
{
    enum { HOURS = 11, EACH = 4, MANY = 60 };
    (void)state;
    struct sim *s = start(IT_LIST("--preset", "demo"));
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    (void)sim_do(
        s, "fault",
        LISTS "\"when\":{\"nth\":2},\"action\":{\"type\":\"rate_limit\",\"variant\":\"daily\"}}");
    struct it_proc *p = sync_serve_live(db, s, NULL);
    (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
    assert_true(it_eventually(db, 20000, "SELECT usedday >= capday FROM q.rate") >= 0);
    int64_t calls = sim_i64(sim_stats(s), "total");
    for (int i = 0; i < HOURS; i++) { /* from 12:05 on */
        create(s, EACH);
        sync_advance(db, s, 3600);
        it_pause_ms(50);
    }
    all_acknowledged(s, HOURS * EACH);
    assert_true(it_eventually(db, 20000,
                              "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS"
                              " NULL)") >= 0);
    it_pause_ms(500);
    it_holds(db, "(SELECT state = 'running' AND pages = 1 FROM strava.sync)");
    assert_int_equal(sim_i64(sim_stats(s), "total"), calls);
    sync_advance(db, s, 3600);
    sync_wait(db, LONG_MS);
    sync_same(db, s, SYNC_ATHLETE);
    (void)sim_do(s, "fault", "{\"action\":{\"type\":\"delay\",\"ms\":2500}}");
    create(s, MANY);
    all_acknowledged(s, HOURS * EACH + MANY);
    (void)sim_do(s, "fault/clear", "{}");
    (void)sim_do(s, "fault", "{\"action\":{\"type\":\"drop\",\"at\":\"rst\"}}");
    create(s, MANY);
    all_acknowledged(s, HOURS * EACH + 2 * MANY);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE queue = 'strava')"); /* they wait */
    (void)sim_do(s, "fault/clear", "{}");
    for (int64_t until = it_now_ms() + LONG_MS;
         it_i64(db,
                "SELECT count(*) FROM q.job WHERE queue = 'strava' AND NOT (payload ? 'looks')") >
         0;
         it_pause_ms(50)) {
        assert_true(it_now_ms() < until);
        sync_pass(db, s, 15);
    }
    sync_same(db, s, SYNC_ATHLETE);
    sync_within_limits(s);
    it_serve_stop(p);
}

/* How many requests of the API went to that base since number n of the log; *last: the last of all.
 */
static unsigned at_base(struct sim *s, int64_t since, const char *base, int64_t *last)
{
    json_t *log = sim_log(s, since), *one;
    unsigned found = 0;
    size_t i;
    json_array_foreach(log, i, one)
    {
        *last = sim_i64(one, "n");
        found += strncmp(sim_str(one, "path"), "/oauth/", 7) != 0 &&
                 strcmp(sim_str(one, "base"), base) == 0;
    }
    return found;
}

/* Scenario M: the base of the API moves, as in 2027; nothing but the configuration follows. */
static void another_base(void **state)
{
    (void)state;
    struct sim *s = start(IT_LIST("--preset", "tiny"));
    struct it_db *db = with(s, NULL, NULL, NULL);
    int64_t last = 0, unused, refreshes = sim_i64(sim_stats(s), "athletes.9001.refreshes");
    assert_true(at_base(s, 0, "/api/v3", &last) > 0);
    assert_int_equal(at_base(s, 0, "", &unused), 0);
    struct it_proc *p =
        sync_serve_live(db, s, IT_LIST(it_format("WAYMARK_STRAVA_API_URL=%s", sim_url(s))));
    (void)sim_do(s, "token/expire", "{}"); /* the login stays where it is */
    (void)sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"trail\":[1000,4000]}");
    sim_idle(s);
    assert_true(it_eventually(db, 20000, "SELECT count(*) = 6 FROM activities") >= 0);
    (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
    sync_wait(db, LONG_MS);
    sync_same(db, s, SYNC_ATHLETE);
    assert_int_equal(at_base(s, last, "/api/v3", &unused), 0);
    assert_true(at_base(s, last, "", &unused) >= 5); /* subscription, activity, list */
    assert_int_equal(sim_i64(sim_stats(s), "athletes.9001.refreshes") - refreshes, 1);
    it_serve_stop(p);
}

/* Many athletes: each gets what is his; one whose tokens are dead stops nobody. */
static void athletes_do_not_mind_each_other(void **state)
{
    enum { ATHLETES = 12 };
    (void)state;
    struct sim *s = start(IT_LIST("--preset", "demo", "--athletes", "12"));
    struct it_db *db = sync_db(s);
    for (int i = 0; i < ATHLETES; i++)
        sync_connect(db, s, SYNC_ATHLETE + i, i == 5 ? "read,activity:read" : NULL);
    (void)sim_do(s, "token/invalidate", "{\"athlete\":9003,\"what\":\"both\"}");
    (void)sim_do(s, "athlete/9008/narrow_scope", "{\"scope\":\"read\"}");
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    it_exec(db, "SELECT strava.request_sync(NULL, 'new', NULL); NOTIFY processing");
    sync_wait(db, LONG_MS);
    for (int i = 0; i < ATHLETES; i++) {
        if (i != 2 && i != 7)
            sync_same(db, s, SYNC_ATHLETE + i);
    }
    it_holds(
        db,
        "(SELECT string_agg(athlete_id || ' ' || state, ', ' ORDER BY athlete_id) FROM strava.sync"
        " WHERE state <> 'done') = '9003 failed, 9008 failed'");
    it_holds(db, "(SELECT problem LIKE '%%connect again' FROM strava.sync WHERE athlete_id = 9003) "
                 "AND (SELECT"
                 " problem LIKE '%%not granted%%' FROM strava.sync WHERE athlete_id = 9008)");
    it_holds(
        db,
        "NOT EXISTS (SELECT FROM q.dead) AND NOT EXISTS (SELECT FROM activities WHERE athlete_id IN"
        " (9003, 9008))");
    it_serve_stop(p);
}

/* What a trail-progress frontend has stored is taken on as it is: nothing of it is matched anew. */
static void a_frontends_history_is_adopted(void **state)
{
    (void)state;
    struct sim *s = start(IT_LIST("--preset", "demo"));
    struct it_db *db = with(s, NULL, NULL, NULL);
    it_exec(db, "TRUNCATE strava.activity, strava.sync; DELETE FROM q.job");
    it_exec(db, "DELETE FROM activities WHERE id = (SELECT min(id) FROM activities)");
    it_exec(
        db,
        "INSERT INTO activities (id, athlete_id, name, activity_type, start_date) VALUES (5, 9001,"
        " 'gone since', 'Run', '2025-01-01')");
    it_must(db, NULL, IT_LIST("process"), 0);
    const char *revisions =
        it_text(db, "SELECT md5(string_agg(revision::text, ' ' ORDER BY id)) FROM"
                    " activities WHERE id > 5");
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
    sync_wait(db, LONG_MS);
    sync_same(db, s, SYNC_ATHLETE);
    it_holds(db, "(SELECT added = 1 AND changed = 0 AND gone = 1 FROM strava.sync)");
    assert_string_equal(
        it_text(
            db,
            "SELECT md5(string_agg(revision::text, ' ' ORDER BY id)) FROM activities WHERE id <>"
            " (SELECT id FROM activities ORDER BY revision DESC LIMIT 1)"),
        revisions);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(everything_comes_in),
        IT_TEST(a_refusal_is_not_the_end),
        IT_TEST(a_day_without_calls),
        IT_TEST(another_base),
        IT_TEST(athletes_do_not_mind_each_other),
        IT_TEST(a_frontends_history_is_adopted),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
