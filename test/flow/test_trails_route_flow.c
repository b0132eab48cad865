/* A new or changed route: prepared, and its past activities listed. */
#include "flow/trails_rig.h"

#define LIST                                                                                       \
    "jobs_finish trails_bump_epoch trails_lock_route_now trails_forget_pages trails_list_pages "   \
    "trails_mark_listed"
enum { LIST_PAGES = 4, LIST_MARK = 5 };

static struct script_unit *expect_settle(void)
{
    struct script_unit *x = script_expect(RIG_WORK, "trails_lock_routes");
    script_flags(x, 0);
    script_param(x, 0, 1, "{walk}");
    return x;
}

static struct script_unit *expect_list(int64_t activities, int64_t pages)
{
    (void)expect_settle();
    struct script_unit *x = rig_expect_finish(LIST, "{1}", "{1}");
    script_row(x, LIST_PAGES, "ii", activities, pages);
    return x;
}

static struct script_unit *script_to(struct world *w, int units)
{
    expect_job("route", "{\"route\": \"walk\"}");
    struct script_unit *x = expect_routes("{walk}");
    add_route(x, "walk", 4, &w->route);
    return units == 1 ? x : units == 2 ? expect_settle() : expect_list(0, 0);
}

static void test_a_route_without_past(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct script_unit *x = script_to(&w, 3);
    script_param(x, 2, 1, "walk");
    script_param(x, 3, 1, "walk");
    script_param(x, LIST_PAGES, 1, "walk");
    script_param(x, LIST_PAGES, 2, "4");
    script_param(x, LIST_PAGES, 5, "40");
    script_param(x, LIST_MARK, 2, "4");
    script_param(x, LIST_MARK, 3, "NULL");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    assert_cached(&w, "walk", 4); /* its activities come next */
    end_world(&w);
}

static void test_pages_are_hinted_at(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_job("route", "{\"route\": \"walk\"}");
    add_route(expect_routes("{walk}"), "walk", 4, &w.route);
    (void)expect_list(81, 3);
    struct script_unit *hint = script_expect(RIG_WORK, "jobs_hint");
    script_param(hint, 0, 1, "processing");
    (void)rig_claim_empty();
    rig_start(&w.r);
    rig_play(&w.r);
    assert_in_range(w.r.now_ms, 0, 60);
    end_world(&w);
}

static void test_a_route_that_is_gone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_job("route", "{\"route\": \"walk\"}");
    (void)expect_routes("{walk}");
    (void)rig_expect_finish("jobs_finish", "{1}", "{1}");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    end_world(&w);
}

static void test_a_route_that_is_no_line(void **state)
{
    (void)state;
    const struct buf *none = NULL;
    for (int i = 0; i < 2; i++) {
        struct world w;
        open_world(&w);
        expect_job("route", "{\"route\": \"walk\"}");
        add_route(expect_routes("{walk}"), "walk", 4, i ? &w.broken : none);
        struct script_unit *x = expect_list(0, 0);
        script_param(x, LIST_PAGES, 3,
                     "{}"); /* those with credit of before are listed all the same */
        script_param(x, LIST_MARK, 3,
                     i ? "WKB has byte order 110 at byte 0; only 0 and 1 exist"
                       : "route walk has no track");
        rig_start(&w.r);
        rig_play(&w.r);
        assert_cached(&w, "walk", 4);
        end_world(&w);
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_to(&w, 3), "40P01", "deadlock detected");
    script_fails(expect_list(0, 0), "40001", "could not serialize");
    script_fails(expect_list(0, 0), "55P03", "could not obtain lock on row"); /* being changed */
    (void)expect_list(0, 0); /* the same list, not read again: bumping the epoch orders it */
    rig_start(&w.r);
    end_world(&w);

    open_world(&w);
    (void)script_to(&w, 1);
    for (int i = 0; i <= TRAILS_RETRIES; i++) {
        script_fails(expect_list(0, 0), "40P01", "deadlock detected");
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
    assert_int_equal(jobs_counts(w.r.jobs).fenced, 1);
    end_world(&w);
}

static void test_a_payload_that_is_none(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_job("route", "{\"route\": 4}");
    rig_expect_bury("{1}", "bug");
    rig_start(&w.r);
    end_world(&w);
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
    (void)script_to(&w, 1);
    play_slow_work(&w, TRAILS_WORK_MS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_route_without_past),
        cmocka_unit_test(test_pages_are_hinted_at),
        cmocka_unit_test(test_a_route_that_is_gone),
        cmocka_unit_test(test_a_route_that_is_no_line),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_a_payload_that_is_none),
        cmocka_unit_test(test_trouble_at_every_unit),
        cmocka_unit_test(test_work_that_takes_too_long),
    };
    return cmocka_run_group_tests_name("new routes", tests, NULL, NULL);
}
