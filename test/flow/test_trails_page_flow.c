/* A page of past activities against a new route. */
#include "flow/trails_rig.h"

enum { PAGE_ROUTE = 1, PAGE_DROPS = 4, PAGE_DONE = 12 }; /* calls in SAVE_PAGE */

static struct script_unit *expect_page(int64_t revision)
{
    struct script_unit *x = script_expect(RIG_WORK, READ_PAGE);
    script_flags(x, DB_READONLY);
    script_row(x, 0, "i", (int64_t)33);
    script_param(x, 1, 1, "walk");
    script_param(x, 1, 2, "3");
    script_param(x, 1, 3, "1048576");
    script_param(x, 2, 1, "{walk}");
    if (revision > 0) {
        add_candidate(x, "walk", revision);
    }
    return x;
}

static struct script_unit *script_to(struct world *w, int units)
{
    expect_job("page", "{\"route\": \"walk\", \"page\": 3}");
    struct script_unit *x = expect_page(4);
    add_activity(x, 101, &w->track);
    add_activity(x, 102, &w->far);
    if (units > 1) {
        x = expect_routes("{walk}");
        add_route(x, "walk", 4, &w->route);
    }
    return units > 2 ? rig_expect_finish(SAVE_PAGE, "{1}", "{1}") : x;
}

static void test_a_page(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct script_unit *x = script_to(&w, 3);
    script_param(x, PAGE_ROUTE, 1, "walk");
    script_param(x, PAGE_ROUTE, 2, "4");
    script_param(x, PAGE_DROPS, 1, "{101,102}");
    script_param(x, PAGE_DROPS, 3, "walk");
    script_param(x, PAGE_DONE, 1, "walk");
    script_param(x, PAGE_DONE, 2, "3");
    script_param(x, PAGE_DONE, 3, "4");
    script_param(x, PAGE_DONE, 4, "{101,102}");
    struct script_unit *next = rig_claim_empty(); /* the rest of the page has a job of its own */
    rig_start(&w.r);
    rig_play(&w.r);
    assert_true(script_asked(next));
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    assert_cached(&w, "walk", 4);
    end_world(&w);
}

static void test_a_page_that_is_done_or_of_an_older_route(void **state)
{
    (void)state;
    for (int64_t revision = 0; revision < 2; revision++) {
        struct world w;
        open_world(&w);
        expect_job("page", "{\"route\": \"walk\", \"page\": 3}");
        (void)expect_page(revision); /* 0: the route is gone altogether */
        if (revision > 0) {
            add_route(expect_routes("{walk}"), "walk", revision, &w.route);
        }
        struct script_unit *x = rig_expect_finish("jobs_finish trails_page_done", "{1}", "{1}");
        script_param(x, 1, 3, revision ? "1" : "0");
        script_param(x, 1, 4, "{}");
        (void)rig_claim_empty();
        rig_start(&w.r);
        end_world(&w);
    }
}

static void test_a_route_that_changes_is_read_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_to(&w, 3), "WM002", "the route has changed");
    (void)expect_page(5); /* its pages went with the change */
    add_route(expect_routes("{walk}"), "walk", 5, &w.route);
    (void)rig_expect_finish("jobs_finish trails_page_done", "{1}", "{1}");
    (void)rig_claim_empty();
    rig_start(&w.r);
    rig_play(&w.r);
    assert_cached(&w, "walk", 5);
    end_world(&w);
}

static void test_deadlocks_are_bounded(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_to(&w, 3), "40P01", "deadlock detected");
    for (int i = 0; i < TRAILS_RETRIES; i++) {
        struct script_unit *x = expect_page(4);
        add_activity(x, 101, &w.track);
        script_fails(rig_expect_finish(SAVE_PAGE, "{1}", "{1}"), "40P01", "deadlock detected");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_world(&w);
}

static void test_fenced(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_to(&w, 3), "WM001", "fenced: 1 of 1");
    script_expect(RIG_WORK, "jobs_still_ours");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 0);
    end_world(&w);
}

static void test_payloads_that_are_none(void **state)
{
    (void)state;
    static const char *const payload[] = {"{\"route\": \"walk\"}", "{\"page\": 1}",
                                          "{\"route\": 7, \"page\": 1}"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct world w;
        open_world(&w);
        expect_job("page", payload[i]);
        rig_expect_bury("{1}", "bug");
        rig_start(&w.r);
        end_world(&w);
    }
}

static void test_trouble_at_every_unit(void **state)
{
    (void)state;
    for (int units = 1; units <= 3; units++) {
        for (int t = 0; t < TROUBLES; t++) {
            struct world w;
            open_world(&w);
            play_trouble(&w, script_to(&w, units), (enum trouble)t);
        }
    }
}

static void test_work_that_takes_too_long(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    (void)script_to(&w, 2);
    play_slow_work(&w, TRAILS_WORK_MS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page),
        cmocka_unit_test(test_a_page_that_is_done_or_of_an_older_route),
        cmocka_unit_test(test_a_route_that_changes_is_read_again),
        cmocka_unit_test(test_deadlocks_are_bounded),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_payloads_that_are_none),
        cmocka_unit_test(test_trouble_at_every_unit),
        cmocka_unit_test(test_work_that_takes_too_long),
    };
    return cmocka_run_group_tests_name("pages of a new route", tests, NULL, NULL);
}
