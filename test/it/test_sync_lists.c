/* Lists of activities as they may be: cut, ordered and bounded this way or that, failing at first,
 * changing between two pages; the final tables against what the simulator says is true. */
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
    sync_hurry(db, LONG_MS);
    (void)sim_do(s, "fault/clear", "{}");
    it_serve_stop(p);
    return db;
}

#define LISTS "{\"match\":{\"path\":\"/athlete/activities\"},"

/* Whatever the bounds are, and however pages are cut and ordered, and whatever fails at first. */
static void lists_as_they_may_be(void **state)
{
    static const struct {
        const char *preset, *settings, *fault[3];
    } lists[] = {
        {"ties", "{\"bounds\":\"inclusive\"}", {NULL}},
        {"big", "{\"bounds\":\"inclusive\"}", {NULL}},
        {"demo", NULL, {LISTS "\"action\":{\"type\":\"paging\",\"do\":\"short\",\"n\":37}}"}},
        {"ties", NULL, {LISTS "\"action\":{\"type\":\"paging\",\"do\":\"short\",\"n\":37}}"}},
        {"big", NULL, {LISTS "\"action\":{\"type\":\"paging\",\"do\":\"duplicate\"}}"}},
        {"demo",
         NULL,
         {LISTS "\"when\":{\"first_n\":1},\"action\":{\"type\":\"corrupt\"}}",
          LISTS "\"when\":{\"nth\":2},\"action\":{\"type\":\"drop\",\"at\":\"body\"}}"}},
        {"demo",
         NULL,
         {LISTS "\"when\":{\"nth\":1},\"action\":{\"type\":\"status\",\"status\":500,\"body\":"
                "\"error\"}}",
          LISTS "\"when\":{\"nth\":2},\"action\":{\"type\":\"corrupt\",\"how\":\"trailing\"}}"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct sim *s = start(IT_LIST("--preset", lists[i].preset));
        struct it_db *db = with(s, lists[i].fault, lists[i].settings, NULL);
        sync_same(db, s, SYNC_ATHLETE);
        it_holds(db, "(SELECT state = 'done' AND listed = (SELECT count(*) FROM activities) FROM "
                     "strava.sync)");
        sync_within_limits(s);
        sim_stop(s);
    }
}

/* Scenario I: page drift. Activities come and go between two pages: whatever is there all the time
 * is found, and the rest by the next sync. */
static void lists_that_drift(void **state)
{
    static const char *const preset[] = {"big", "ties"};
    static const char *const drift[] = {"insert", "delete"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct sim *s = start(IT_LIST("--preset", preset[i / 2]));
        struct it_db *db =
            with(s,
                 IT_LIST(it_format(LISTS "\"action\":{\"type\":\"paging\",\"do\":\"%s\","
                                         "\"silent\":true}}",
                                   drift[i % 2])),
                 NULL, NULL);
        json_t *all = sim_at(sim_truth(s, SYNC_ATHLETE, NULL), "activities"), *one;
        size_t k;
        unsigned missing = 0;
        json_array_foreach(all, k, one)
        {
            missing += sim_i64(one, "id") < 30000000000 && /* not one that came meanwhile */
                       it_i64(db, "SELECT count(*) FROM activities WHERE id = %lld",
                              (long long)sim_i64(one, "id")) == 0;
        }
        assert_int_equal(missing, 0);
        struct it_proc *p = it_serve(db, sync_env(s, NULL));
        (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
        sync_wait(db, LONG_MS);
        sync_same(db, s, SYNC_ATHLETE);
        it_serve_stop(p);
        sim_stop(s);
    }
}

/* Scenario I: ties in another order each time: nobody can be sure of one pass; several find all. */
static void ties_in_any_order(void **state)
{
    (void)state;
    struct sim *s = start(IT_LIST("--preset", "ties"));
    struct it_db *db = with(
        s, IT_LIST(LISTS "\"action\":{\"type\":\"paging\",\"do\":\"unstable_ties\"}}"), NULL, NULL);
    it_holds(db, "(SELECT count(*) FROM activities) >= 245");
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    for (int i = 0; i < 5 && it_i64(db, "SELECT count(*) FROM activities") < 250; i++) {
        (void)sync_request(db, SYNC_ATHLETE, "all", NULL);
        sync_wait(db, LONG_MS);
    }
    sync_same(db, s, SYNC_ATHLETE);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(lists_as_they_may_be),
        IT_TEST(lists_that_drift),
        IT_TEST(ties_in_any_order),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
