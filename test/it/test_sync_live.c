/* What happens on Strava is seen here, within seconds when Strava tells, within a day when it does
 * not: new activities and their coverage, edits, crops, hiding, deletions; answers that lag, fail,
 * or never come right. */
#include "it/sync.h"

#include <stdlib.h>

enum { LONG_MS = 60000, NEW = 20 };

static struct sim *start(const char *preset)
{
    return sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--limits", "5000,50000/5000,50000",
                             "--preset", preset));
}

/* An athlete whose history is here, with a route, and a service that hears of events. */
struct scene {
    struct sim *s;
    struct it_db *db;
    struct it_proc *p;
};

static struct scene open_scene(const char *preset, const char *scope, const char *const *more)
{
    struct scene x = {.s = start(preset)};
    x.db = sync_db(x.s);
    sync_route(x.db, x.s);
    sync_connect(x.db, x.s, SYNC_ATHLETE, scope);
    x.p = sync_serve_live(x.db, x.s, more);
    (void)sync_request(x.db, SYNC_ATHLETE, "new", NULL);
    sync_wait(x.db, LONG_MS);
    return x;
}

/* Until everything that waits for now is done; then the truth, and the credit that follows from it.
 */
static void is_true(struct scene *x)
{
    sim_idle(x->s);
    assert_true(
        it_eventually(x->db, LONG_MS,
                      "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)") >= 0);
    sync_wait(x->db, LONG_MS);
    assert_true(
        it_eventually(x->db, LONG_MS,
                      "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue = 'trails' AND kind IN"
                      " ('match', 'route', 'page', 'stats', 'strava.events'))") >= 0);
    sync_same(x->db, x->s, SYNC_ATHLETE);
    sync_within_limits(x->s);
}

static void close_scene(struct scene *x)
{
    is_true(x);
    it_same_as_recomputed(x->db);
    it_serve_stop(x->p);
    sim_stop(x->s);
}

static int64_t create(struct scene *x, const char *more)
{
    return sim_i64(sim_do(x->s, "activity", "{\"do\":\"create\",\"athlete\":9001%s}", more), "id");
}

#define change(x, id, fmt, ...)                                                                    \
    (void)sim_do((x)->s, "activity", "{\"id\":%lld," fmt "}", (long long)(id), ##__VA_ARGS__)

#define soon(x, ...) soon_at((x), __LINE__, it_format(__VA_ARGS__))
static int64_t soon_at(struct scene *x, int line, const char *condition)
{
    int64_t ms = it_eventually(x->db, 10000, it_format("SELECT %s", condition));
    if (ms < 0) {
        print_error("%s\n",
                    it_text(x->db, "SELECT coalesce(string_agg(to_jsonb(j)::text, E'\\n'), '')"
                                   " FROM q.job j WHERE queue = 'strava'"));
        fail_msg("line %d, not within 10 s: %s", line, condition);
    }
    return ms;
}

/* ---- new ones -------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* From the moment Strava tells to credit in route_stats. */
static void a_new_activity_is_covered_at_once(void **state)
{
    (void)state;
    struct scene x = open_scene("tiny", NULL, NULL);
    int64_t took[NEW];
    it_exec(x.db, "DELETE FROM route_stats");
    for (int i = 0; i < NEW; i++) {
        int64_t id = create(&x, it_format(",\"trail\":[%d,%d]", 500 * i, 500 * i + 480));
        took[i] = soon(&x,
                       "EXISTS (SELECT FROM route_stats t JOIN route_sections s ON s.route_id ="
                       " t.route_id AND s.athlete_id = t.athlete_id WHERE s.activity_id = %lld AND"
                       " t.covered_length >= s.end_m - s.start_m)",
                       (long long)id);
    }
    qsort(took, NEW, sizeof(took[0]), by_size);
    print_message("new activity to coverage: p50 %lld ms, p95 %lld ms, worst %lld ms of %d\n",
                  (long long)took[NEW / 2], (long long)took[NEW * 95 / 100 - 1],
                  (long long)took[NEW - 1], NEW);
    assert_true(took[NEW * 95 / 100 - 1] <= 2000);
    it_holds(x.db, "(SELECT count(*) FROM activity_tracks WHERE origin = 'streams') >= %d", NEW);
    close_scene(&x);
}

/* ---- changes --------------------------------------------------------------------------------- */

#define HERE(cond) "EXISTS (SELECT FROM activities WHERE id = %lld AND " cond ")"
#define GONE       "NOT EXISTS (SELECT FROM activities WHERE id = %lld)"

/* Scenario B: live create, update, delete. Scenario D: hide and unhide under activity:read_all. */
static void changes_are_followed(void **state)
{
    (void)state;
    struct scene x = open_scene("demo", NULL, NULL);
    int64_t id = create(&x, ",\"trail\":[1000,5000],\"name\":\"one\"");
    soon(&x, HERE("name = 'one'"), (long long)id);
    is_true(&x);
    int64_t revision =
        it_i64(x.db, "SELECT revision FROM activities WHERE id = %lld", (long long)id);
    change(&x, id, "\"do\":\"retitle\",\"name\":\"two \\u00e9 \\ud83d\\ude80\"");
    soon(&x, HERE("name = 'two é 🚀'"), (long long)id);
    it_holds(x.db, "(SELECT revision = %lld FROM activities WHERE id = %lld)", (long long)revision,
             (long long)id); /* nothing was matched for that */
    change(&x, id, "\"do\":\"retype\",\"sport_type\":\"GravelRide\"");
    soon(&x, HERE("activity_type = 'GravelRide'"), (long long)id);
    change(&x, id, "\"do\":\"hide\"");
    soon(&x,
         "EXISTS (SELECT FROM strava.activity WHERE activity_id = %lld AND visibility = 'only_me')",
         (long long)id);
    is_true(&x);
    change(&x, id, "\"do\":\"unhide\"");
    soon(
        &x,
        "EXISTS (SELECT FROM strava.activity WHERE activity_id = %lld AND visibility = 'everyone')",
        (long long)id);
    is_true(&x);
    change(&x, id, "\"do\":\"delete\"");
    soon(&x, GONE " AND NOT EXISTS (SELECT FROM route_sections WHERE activity_id = %lld)",
         (long long)id, (long long)id);
    close_scene(&x);
}

/* Scenario D: hide and unhide under activity:read. With it alone, hiding is a delete, and showing
 * again a create. */
static void hiding_takes_away_what_is_not_granted(void **state)
{
    (void)state;
    struct scene x = open_scene("demo", "read,activity:read", NULL);
    int64_t id = create(&x, ",\"trail\":[1000,5000]");
    soon(&x, "EXISTS (SELECT FROM route_sections WHERE activity_id = %lld)", (long long)id);
    for (int i = 0; i < 2; i++) {
        change(&x, id, "\"do\":\"hide\"");
        soon(&x, GONE, (long long)id);
        is_true(&x);
        change(&x, id, "\"do\":\"unhide\"");
        soon(&x, "EXISTS (SELECT FROM route_sections WHERE activity_id = %lld)", (long long)id);
        is_true(&x);
    }
    close_scene(&x);
}

/* Scenario G: no event tells of a crop; the next look at the list does. The cropped metres go, with
 * the track that had them. */
static void a_crop_is_found_by_looking(void **state)
{
    (void)state;
    struct scene x = open_scene("demo", NULL, NULL);
    int64_t id = create(&x, ",\"trail\":[1000,9000]");
    soon(&x,
         "EXISTS (SELECT FROM strava.activity WHERE activity_id = %lld AND streams = 'have') AND"
         " EXISTS (SELECT FROM route_sections WHERE activity_id = %lld AND end_m > 8900)",
         (long long)id, (long long)id);
    change(&x, id, "\"do\":\"crop\",\"from\":0.0,\"to\":0.5");
    (void)sync_request(x.db, SYNC_ATHLETE, "reconcile", "2026-06-25");
    soon(&x,
         "EXISTS (SELECT FROM route_sections WHERE activity_id = %lld) AND (SELECT max(end_m) FROM"
         " route_sections WHERE activity_id = %lld) BETWEEN 4900 AND 5100 AND EXISTS (SELECT FROM"
         " strava.activity WHERE activity_id = %lld AND streams = 'have')",
         (long long)id, (long long)id, (long long)id);
    it_holds(
        x.db,
        "(SELECT changed = 1 AND added = 0 AND gone = 0 FROM strava.sync ORDER BY id DESC LIMIT"
        " 1)");
    close_scene(&x);
}

/* ---- a day without events ---------------------------------------------------------------------
 */

/* The schedule of every day, now. */
static void reconcile(struct scene *x, int nth)
{
    it_must(x->db, NULL, IT_LIST("jobs", "cron", "run", "strava.reconcile"), 0);
    soon(x, "(SELECT count(*) FROM strava.sync WHERE state = 'done') = %d", nth);
    sync_wait(x->db, LONG_MS);
}

/* Scenario G: all events of a day are lost, among them late uploads and a crop: repaired by the
 * comparisons of every day, and of every week. */
static void what_no_event_told_is_found_within_a_day(void **state)
{
    (void)state;
    struct scene x = open_scene("demo", NULL, NULL);
    int64_t crop = create(&x, ",\"trail\":[1000,9000]"),
            title = create(&x, ",\"trail\":[2000,6000]");
    int64_t gone = create(&x, ",\"trail\":[9000,2000]");
    is_true(&x);
    (void)sim_do(x.s, "fault", "{\"match\":{},\"action\":{\"type\":\"event\",\"do\":\"lose\"}}");
    change(&x, crop, "\"do\":\"crop\",\"from\":0.2,\"to\":0.6");
    change(&x, title, "\"do\":\"retitle\",\"name\":\"other\"");
    change(&x, gone, "\"do\":\"delete\"");
    (void)create(&x, "");
    sync_advance(x.db, x.s, 12 * 3600);
    (void)create(&x, ",\"start\":\"2026-06-10T08:00:00Z\",\"trail\":[100,900]"); /* uploaded late */
    (void)create(&x, ",\"start\":\"2024-11-10T08:00:00Z\",\"trail\":[100,3000]"); /* very late */
    sync_advance(x.db, x.s, 12 * 3600);
    it_holds(x.db, "(SELECT count(*) = 3 FROM strava.event)");
    reconcile(&x, 2);
    it_holds(
        x.db,
        "(SELECT mode = 'reconcile' AND added = 2 AND changed = 2 AND gone = 1 FROM strava.sync"
        " ORDER BY id DESC LIMIT 1)");
    it_holds(x.db, GONE, (long long)gone);
    /* Only the weekly one looks as far back as that. */
    it_holds(x.db, "NOT EXISTS (SELECT FROM activities WHERE start_date = '2024-11-10 08:00')");
    sync_advance(x.db, x.s, 5 * 86400);
    reconcile(&x, 3);
    it_holds(x.db,
             "(SELECT from_at IS NULL AND added = 1 AND changed = 0 AND gone = 0 FROM strava.sync"
             " ORDER BY id DESC LIMIT 1)");
    close_scene(&x);
}

/* ---- answers that are not ready, or wrong ---------------------------------------------------- */

/* The waits are hurried along: they are what is looked at. */
static void hurry(struct scene *x)
{
    it_exec(x->db, "UPDATE q.job SET run_at = now() WHERE queue = 'strava' AND state = 'waiting';"
                   " NOTIFY processing");
}

static const char *looks_of(struct scene *x, int64_t id)
{
    return it_text(
        x->db,
        "SELECT coalesce((SELECT concat_ws(' ', payload->>'looks', round(extract(epoch FROM"
        " run_at - created_at))) FROM q.job WHERE ukey = 'look:%lld' AND state = 'waiting'), '')",
        (long long)id);
}

/* Scenario C: not yet, three times 404 and then 200; and 404 for ever. */
static void not_there_yet(void **state)
{
    static const char *const want[] = {"1 5", "2 30", "3 120", "4 600", "5 3600"};
    (void)state;
    struct scene x = open_scene("tiny", NULL, NULL);
    int64_t id = create(&x, ",\"not_yet_calls\":3,\"trail\":[1000,5000]");
    for (int i = 0; i < 3; i++) {
        soon(&x,
             "EXISTS (SELECT FROM q.job WHERE ukey = 'look:%lld' AND state = 'waiting' AND"
             " payload->>'looks' = '%d')",
             (long long)id, i + 1);
        assert_string_equal(looks_of(&x, id), want[i]);
        hurry(&x);
    }
    soon(&x, "EXISTS (SELECT FROM route_sections WHERE activity_id = %lld)", (long long)id);
    assert_int_equal(sync_calls(x.s, it_format("/activities/%lld", (long long)id)), 4);

    id = create(&x, ",\"never\":true");
    for (int i = 0; i < 5; i++) {
        soon(&x,
             "EXISTS (SELECT FROM q.job WHERE ukey = 'look:%lld' AND state = 'waiting' AND"
             " payload->>'looks' = '%d')",
             (long long)id, i + 1);
        assert_string_equal(looks_of(&x, id), want[i]);
        hurry(&x);
    }
    soon(&x,
         "EXISTS (SELECT FROM strava.activity WHERE activity_id = %lld AND state = 'gone' AND "
         "checked >"
         " 0)",
         (long long)id);
    it_holds(x.db,
             "NOT EXISTS (SELECT FROM q.job WHERE queue = 'strava') AND NOT EXISTS (SELECT FROM"
             " q.dead)");
    assert_int_equal(sync_calls(x.s, it_format("/activities/%lld", (long long)id)), 6);
    close_scene(&x);
}

/* An event comes before what is read shows what it is about. */
static void answers_lag_behind(void **state)
{
    (void)state;
    struct scene x = open_scene("tiny", NULL, NULL);
    int64_t id = create(&x, ",\"trail\":[1000,5000],\"name\":\"old\""), other = create(&x, "");
    is_true(&x);
    hurry(&x);
    sync_wait(x.db, LONG_MS);
    (void)sim_do(x.s, "fault", "{\"match\":{},\"action\":{\"type\":\"stale\",\"seconds\":100}}");
    change(&x, id, "\"do\":\"retitle\",\"name\":\"new\"");
    change(&x, other, "\"do\":\"delete\"");
    soon(&x,
         "(SELECT count(*) FROM q.job WHERE ukey IN ('look:%lld', 'look:%lld') AND state = "
         "'waiting')"
         " = 2",
         (long long)id, (long long)other);
    it_holds(x.db, HERE("name = 'old'"), (long long)id);
    assert_string_equal(looks_of(&x, id), "1 30");
    sync_advance(x.db, x.s, 200);
    hurry(&x);
    soon(&x, HERE("name = 'new'") " AND " GONE, (long long)id, (long long)other);
    close_scene(&x);
}

/* Scenario J: one that Strava cannot serve is parked, and the rest goes on; news of it is worth
 * another try. */
static void poison(void **state)
{
    (void)state;
    struct scene x = open_scene("tiny", NULL, NULL);
    int64_t id = create(&x, ",\"poison\":true,\"trail\":[1000,5000]");
    int64_t fine = create(&x, ",\"trail\":[2000,3000]");
    soon(&x, "EXISTS (SELECT FROM route_sections WHERE activity_id = %lld)", (long long)fine);
    for (int i = 0; i < 8; i++) {
        soon(
            &x,
            "EXISTS (SELECT FROM q.job WHERE ukey = 'look:%lld' AND state = 'waiting' AND attempt ="
            " %d) OR EXISTS (SELECT FROM q.dead WHERE ukey = 'look:%lld')",
            (long long)id, i + 1, (long long)id);
        hurry(&x);
    }
    soon(&x, "EXISTS (SELECT FROM q.dead WHERE ukey = 'look:%lld' AND reason = 'attempts')",
         (long long)id);
    it_holds(x.db, "(SELECT problem LIKE '%%500%%' FROM strava.activity WHERE activity_id = %lld)",
             (long long)id);
    assert_int_equal(sync_calls(x.s, it_format("/activities/%lld", (long long)id)), 8);
    /* Lists serve it: it comes in by the next one, without its recorded track, which is parked too.
     */
    (void)sync_request(x.db, SYNC_ATHLETE, "new", NULL);
    soon(&x, HERE("summary_track IS NOT NULL"), (long long)id);
    for (int i = 0; i < 8; i++) {
        soon(&x,
             "EXISTS (SELECT FROM q.job WHERE ukey = 'streams:%lld' AND state = 'waiting' AND "
             "attempt ="
             " %d) OR EXISTS (SELECT FROM q.dead WHERE ukey = 'streams:%lld')",
             (long long)id, i + 1, (long long)id);
        hurry(&x);
    }
    soon(&x,
         "EXISTS (SELECT FROM q.dead WHERE ukey = 'streams:%lld') AND EXISTS (SELECT FROM"
         " strava.activity WHERE activity_id = %lld AND problem IS NOT NULL)",
         (long long)id, (long long)id);
    change(&x, id, "\"do\":\"edit\",\"name\":\"cured\",\"poison\":false");
    soon(&x,
         HERE("name = 'cured'") " AND NOT EXISTS (SELECT FROM q.dead) AND EXISTS (SELECT FROM"
                                " strava.activity WHERE activity_id = %lld AND problem IS NULL AND"
                                " streams = 'have')",
         (long long)id, (long long)id);
    close_scene(&x);
}

/* ---- whatever comes, however often, in whatever order -----------------------------------------
 */

static uint64_t seed;

static int64_t draw(int64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)below);
}

/* A random change of a random activity; ids: those there have been, n of them. */
static unsigned meddle(struct scene *x, int64_t *ids, unsigned n, bool crops)
{
    static const char *const what[] = {"\"do\":\"hide\"", "\"do\":\"unhide\"", "\"do\":\"delete\"",
                                       "\"do\":\"retype\",\"sport_type\":\"Hike\"",
                                       "\"do\":\"crop\",\"from\":0.1,\"to\":0.7"};
    int64_t id = ids[draw(n)];
    if (draw(4) == 0) {
        ids[n] = create(
            x, it_format(",\"trail\":[%lld,%lld]", (long long)draw(9000), (long long)draw(9000)));
        return n + 1;
    }
    const char *order =
        draw(3) == 0 ? it_format("\"do\":\"retitle\",\"name\":\"n%lld\"", (long long)draw(1000))
                     : what[draw(crops ? 5 : 4)];
    (void)sim_try(x->s, "activity", "{\"id\":%lld,%s}", (long long)id, order); /* it may be gone */
    return n;
}

/* Scenario B: live create, update and delete with duplicates and shuffle: any permutation and
 * multiplicity of events gives the same final state, under both scopes. */
static void any_order_and_number_of_events(void **state)
{
    (void)state;
    const char *given = getenv("WAYMARK_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)it_now_ms();
    print_message("WAYMARK_SEED=%llu\n", (unsigned long long)seed);
    for (int scope = 0; scope < 2; scope++) {
        struct scene x = open_scene("tiny", scope ? "read,activity:read" : NULL, NULL);
        int64_t ids[400];
        unsigned n = 0;
        for (; n < 5; n++)
            ids[n] = create(&x, it_format(",\"trail\":[%u,%u]", n * 1000, n * 1000 + 900));
        is_true(&x);
        for (int round = 0; round < 6; round++) {
            bool crops = round >= 4; /* of which no event tells; before, events alone do it all */
            (void)sim_do(x.s, "events/hold", "{}");
            for (int i = 0; i < 25; i++)
                n = meddle(&x, ids, n, crops);
            if (round % 2)
                (void)sim_do(x.s, "events/duplicate", "{\"n\":3}");
            (void)sim_do(x.s, "events/shuffle", "{}");
            (void)sim_do(x.s, "events/release", "{\"n\":%lld}", (long long)draw(20));
            it_pause_ms(draw(200));
            (void)sim_do(x.s, "events/release", "{}");
            (void)sim_do(x.s, "events/replay", "{\"last\":5}");
            sim_idle(x.s);
            if (crops)
                (void)sync_request(x.db, SYNC_ATHLETE, "reconcile", "2026-06-25");
            is_true(&x);
        }
        close_scene(&x);
    }
}

/* Details where they are wanted: the detailed line, while there is no recorded track. */
static void details_where_they_are_wanted(void **state)
{
    (void)state;
    struct scene x = open_scene(
        "tiny", NULL, IT_LIST("WAYMARK_STRAVA_DETAILS=all", "WAYMARK_STRAVA_STREAMS=none"));
    it_holds(
        x.db,
        "(SELECT count(*) FROM activity_tracks WHERE origin = 'detail') = (SELECT count(*) FROM"
        " activities WHERE summary_track IS NOT NULL) AND NOT EXISTS (SELECT FROM"
        " strava.activity WHERE detail_at IS NULL)");
    assert_int_equal(sync_calls(x.s, "/activities/*"), 5);
    int64_t id = create(&x, ",\"trail\":[1000,3000]");
    soon(&x, "EXISTS (SELECT FROM activity_tracks WHERE activity_id = %lld AND origin = 'detail')",
         (long long)id);
    it_holds(x.db, "(SELECT count(*) FROM q.cron WHERE name IN ('strava.new', 'strava.reconcile',"
                   " 'strava.upkeep') AND next_at > now() AND problem IS NULL) = 3");
    close_scene(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(a_new_activity_is_covered_at_once),
        IT_TEST(changes_are_followed),
        IT_TEST(hiding_takes_away_what_is_not_granted),
        IT_TEST(a_crop_is_found_by_looking),
        IT_TEST(what_no_event_told_is_found_within_a_day),
        IT_TEST(not_there_yet),
        IT_TEST(answers_lag_behind),
        IT_TEST(poison),
        IT_TEST(any_order_and_number_of_events),
        IT_TEST(details_where_they_are_wanted),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
