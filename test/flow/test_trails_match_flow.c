/* Activities against every route near them. */
#include "flow/trails_rig.h"

/* One activity on one route, up to its save. */
static struct script_unit *script_to(struct world *w, int units)
{
    expect_jobs("match", 1, "activity");
    struct script_unit *x = expect_read("{101}");
    add_activity(x, 101, &w->track);
    add_candidate(x, "walk", 4);
    if (units > 1) {
        x = expect_routes("{walk}");
        add_route(x, "walk", 4, &w->route);
    }
    return units > 2 ? rig_expect_finish(SAVE_MATCH, "{1}", "{1}") : x;
}

static void test_an_activity_on_a_route(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct script_unit *x = script_to(&w, 3);
    script_param(x, SAVE_EPOCH, 1, "33");
    script_param(x, 2, 1, "{101}");
    script_param(x, 3, 1, "{101}");
    script_param(x, 4, 1, "{walk}");
    script_param(x, 5, 1, "{101}");
    script_param(x, 5, 2, "{2}");
    script_param(x, 5, 3, "NULL");
    script_param(x, SAVE_SECTIONS, 1, "{101}");
    script_param(x, SAVE_SECTIONS, 2, "{2}");
    script_param(x, SAVE_SECTIONS, 3, "{walk}");
    script_param(x, SAVE_SECTIONS, 4, "{4}");
    script_param(x, SAVE_RELEVANT, 3, "{walk}");
    script_param(x, 11, 1, "{101}");
    script_param(x, SAVE_MARK, 1, "{101}");
    script_param(x, SAVE_MARK, 2, "{2}");
    script_param(x, SAVE_MARK, 3, "{NULL}");
    script_param(x, SAVE_MARK, 4, "33");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    assert_cached(&w, "walk", 4);
    end_world(&w);
}

static void test_a_cached_route_is_not_read_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    (void)script_to(&w, 3);
    rig_start(&w.r);
    rig_play(&w.r);
    expect_jobs("match", 1, "activity");
    struct script_unit *x = expect_read("{101}");
    add_activity(x, 101, &w.far);
    add_candidate(x, "walk", 4);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{1}", "{1}");
    jobs_wake(w.r.jobs);
    rig_play(&w.r);
    /* A newer one is. */
    (void)expect_jobs("match", 1, "activity");
    x = expect_read("{101}");
    add_activity(x, 101, &w.track);
    add_candidate(x, "walk", 5);
    add_route(expect_routes("{walk}"), "walk", 5, &w.route);
    x = rig_expect_finish(SAVE_MATCH, "{1}", "{1}");
    script_param(x, SAVE_SECTIONS, 4, "{5}");
    jobs_wake(w.r.jobs);
    rig_play(&w.r);
    assert_cached(&w, "walk", 5);
    assert_null(trails__cache_get(w.r.trails->cache, SPAN("walk"), 4));
    end_world(&w);
}

static void test_activities_that_cannot_be_matched(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 4, "activity");
    struct script_unit *x = expect_read("{101,102,103,104}");
    script_row(x, 1, "ibiibw", (int64_t)101, 0, (int64_t)0, (int64_t)0, 0,
               (struct span){0}); /* gone */
    add_activity(x, 102, NULL);
    add_activity(x, 103, &w.broken);
    add_activity(x, 104, &w.track); /* the only one that earns something */
    add_candidate(x, "walk", 4);
    add_route(expect_routes("{walk}"), "walk", 4, &w.route);
    x = rig_expect_finish(SAVE_MATCH, "{1,2,3,4}", "{1,1,1,1}");
    script_param(x, SAVE_RELEVANT, 1, "{104}");
    script_param(x, SAVE_MARK, 1, "{101,102,103,104}");
    script_param(x, SAVE_MARK, 3,
                 "{NULL,no track,WKB has byte order 110 at byte 0; only 0 and 1 exist,NULL}");
    rig_start(&w.r);
    end_world(&w);
}

static void test_routes_that_cannot_be_matched(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 1, "activity");
    struct script_unit *x = expect_read("{101}");
    add_activity(x, 101, &w.track);
    add_candidate(x, "broken", 1);
    add_candidate(x, "deleted", 1);
    x = expect_routes("{broken,deleted}");
    add_route(x, "broken", 1, &w.broken);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{1}", "{1}");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_cached(&w, "broken", 1); /* so that it is not tried for every activity */
    end_world(&w);
}

static void test_memory_makes_turns_of_a_batch(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 3, "activity");
    struct script_unit *x = expect_read("{101,102,103}");
    script_param(x, 1, 2, "1048576");
    add_activity(x, 101, &w.track);
    add_activity(x, 102, &w.far);
    add_candidate(x, "walk", 4);
    add_route(expect_routes("{walk}"), "walk", 4, &w.route);
    x = rig_expect_finish(SAVE_MATCH, "{1,2}", "{1,1}");
    script_param(x, SAVE_MARK, 1, "{101,102}");
    x = expect_read("{103}");
    add_activity(x, 103, &w.far);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{3}", "{1}");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 3);
    end_world(&w);
}

static void test_the_second_turn_fails_alone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 2, "activity");
    add_activity(expect_read("{101,102}"), 101, &w.far);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{1}", "{1}");
    script_fails(expect_read("{102}"), "08006", "gone");
    rig_expect_requeue("{2}", false);
    rig_start(&w.r);
    end_world(&w);
}

/* ---- read again --------------------------------------------------------------------------------
 */

static void test_what_changed_is_read_again(void **state)
{
    (void)state;
    static const char *const conflicts[] = {"WM002", "40P01", "40001"};
    for (size_t i = 0; i < COUNT_OF(conflicts); i++) {
        struct world w;
        open_world(&w);
        script_fails(script_to(&w, 3), conflicts[i], "conflict");
        struct script_unit *x = expect_read("{101}");
        add_activity(x, 101, &w.track);
        add_candidate(x, "walk", 4); /* cached by now */
        (void)rig_expect_finish(SAVE_MATCH, "{1}", "{1}");
        rig_start(&w.r);
        rig_play(&w.r);
        assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
        assert_int_equal(jobs_counts(w.r.jobs).retried, 0);
        assert_cached(&w, "walk", 4);
        end_world(&w);
    }
}

static void test_not_for_ever(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_to(&w, 3), "40P01", "deadlock detected");
    for (int i = 0; i < TRAILS_RETRIES; i++) {
        struct script_unit *x = expect_read("{101}");
        add_activity(x, 101, &w.track);
        add_candidate(x, "walk", 4);
        script_fails(rig_expect_finish(SAVE_MATCH, "{1}", "{1}"), "40P01", "deadlock detected");
    }
    script_param(rig_expect_requeue("{1}", false), 0, 4, "deadlock detected");
    rig_start(&w.r);
    end_world(&w);
}

static void test_fenced(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 3, "activity");
    struct script_unit *x = expect_read("{101,102,103}");
    for (int64_t id = 101; id <= 103; id++) {
        add_activity(x, id, &w.far);
    }
    script_fails(rig_expect_finish(SAVE_NO_MATCH, "{1,2,3}", "{1,1,1}"), "WM001", "fenced: 1 of 3");
    x = script_expect(RIG_WORK, "jobs_still_ours");
    script_param(x, 0, 1, "{1,2,3}");
    script_row(x, 0, "i", (int64_t)1);
    script_row(x, 0, "i", (int64_t)3);
    x = expect_read("{101,103}");
    add_activity(x, 101, &w.far);
    add_activity(x, 103, &w.far);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{1,3}", "{1,1}");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).fenced, 1);
    end_world(&w);
}

static void test_one_bad_of_many(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("match", 2, "activity");
    struct script_unit *x = expect_read("{101,102}");
    add_activity(x, 101, &w.far);
    add_activity(x, 102, &w.far);
    script_fails(rig_expect_finish(SAVE_NO_MATCH, "{1,2}", "{1,1}"), "23514", "violates check");
    add_activity(expect_read("{101}"), 101, &w.far);
    script_fails(rig_expect_finish(SAVE_NO_MATCH, "{1}", "{1}"), "23514", "violates check");
    script_param(rig_expect_bury("{1}", "permanent"), 0, 4, "violates check");
    add_activity(expect_read("{102}"), 102, &w.far);
    (void)rig_expect_finish(SAVE_NO_MATCH, "{2}", "{1}");
    rig_start(&w.r);
    end_world(&w);
}

static void test_payloads_that_are_none(void **state)
{
    (void)state;
    static const char *const payload[] = {"{}", "{\"activity\": \"7\"}", "[1]", "nonsense", "null"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct world w;
        open_world(&w);
        expect_job("match", payload[i]);
        rig_expect_bury("{1}", "bug");
        rig_start(&w.r);
        end_world(&w);
    }
}

/* ---- every step --------------------------------------------------------------------------------
 */

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
    play_slow_work(&w, TRAILS_WORK_MS + 1); /* preparing the route */

    open_world(&w);
    expect_jobs("match", 1, "activity");
    add_activity(expect_read("{101}"), 101, &w.track);
    play_slow_work(&w, TRAILS_WORK_MS + 1); /* matching */
}

static void drain_soon(void *ctx)
{
    static struct op op;
    jobs_drain(((struct world *)ctx)->r.jobs, &op);
}

/* The grace time passes while a worker is busy: what it made is dropped when it ends. */
static void test_cancelled_while_a_worker_is_busy(void **state)
{
    (void)state;
    for (int units = 1; units <= 2; units++) {
        struct world w;
        open_world(&w);
        script_on_asked(script_to(&w, units), drain_soon, &w);
        if (units == 1) {
            add_route(expect_routes("{walk}"), "walk", 4, &w.route);
        }
        w.r.skip_in_work_ms = 30000;
        rig_expect_requeue("{1}", true);
        script_expect(RIG_WORK, "jobs_unregister");
        rig_start(&w.r);
        rig_play(&w.r);
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_activity_on_a_route),
        cmocka_unit_test(test_a_cached_route_is_not_read_again),
        cmocka_unit_test(test_activities_that_cannot_be_matched),
        cmocka_unit_test(test_routes_that_cannot_be_matched),
        cmocka_unit_test(test_memory_makes_turns_of_a_batch),
        cmocka_unit_test(test_the_second_turn_fails_alone),
        cmocka_unit_test(test_what_changed_is_read_again),
        cmocka_unit_test(test_not_for_ever),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_one_bad_of_many),
        cmocka_unit_test(test_payloads_that_are_none),
        cmocka_unit_test(test_trouble_at_every_unit),
        cmocka_unit_test(test_work_that_takes_too_long),
        cmocka_unit_test(test_cancelled_while_a_worker_is_busy),
    };
    return cmocka_run_group_tests_name("matching activities", tests, NULL, NULL);
}
