/* What becomes of batches whose flow failed. */
#include <stdlib.h>

#include "flow/handler.h"

/* Delays of {back, ...} as the requeue carries them. */
static double seen_delay;
static void keep_delay(const char *value)
{
    seen_delay = strtod(value + 1, NULL);
}

/* A started queue whose first claim brought jobs 1..n of kind "a" in one batch. */
static void claim_batch(struct rig *r, struct handler *h, int64_t n)
{
    open_queue(r, h, 10, NULL);
    struct script_unit *x = rig_claim();
    for (int64_t id = 1; id <= n; id++) {
        rig_job(x, "a", id, "{}");
    }
    rig_claim_tail(x, -1, false);
}

static void finish_test(struct rig *r)
{
    rig_play(r);
    assert_int_equal(jobs_counts(r->jobs).in_flight_jobs, 0);
    assert_int_equal(jobs_counts(r->jobs).in_flight_batches, 0);
    rig_drain(r);
    rig_close(r);
}

static void test_retry_goes_back_with_a_delay(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 2);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_RETRY, "the lake is frozen");
    struct script_unit *x = rig_expect_requeue("{1,2}", false);
    script_param_is(x, 0, 3, keep_delay);
    script_param(x, 0, 4, "the lake is frozen");
    rig_start(&r);
    rig_play(&r);
    assert_true(seen_delay >= 1.0 && seen_delay < 3.0);
    assert_int_equal(jobs_counts(r.jobs).retried, 2);
    finish_test(&r);
}

static void test_retry_when_the_error_says(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 1);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_RETRY, "ask again later");
    h.err.retry_after_ms = 900500;
    script_param_is(rig_expect_requeue("{1}", false), 0, 3, keep_delay);
    rig_start(&r);
    finish_test(&r);
    assert_true(seen_delay >= 900.5 && seen_delay < 1.2 * 900.5);
}

static void test_the_last_attempt_is_buried(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_add_job(x, &(struct rig_job){"a", "{}", 1, 10, 5, 5});
    rig_add_job(x, &(struct rig_job){"a", "{}", 2, 10, 4, 5});
    rig_add_job(x, &(struct rig_job){"a", "{}", 3, 10, 6, 5});
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_RETRY, "no luck");
    x = script_expect(RIG_WORK, "jobs_requeue jobs_bury");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "{2}");
    script_param(x, 1, 1, "{1,3}");
    script_param(x, 1, 2, "1");
    script_param(x, 1, 3, "attempts");
    script_param(x, 1, 4, "no luck");
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(jobs_counts(r.jobs).retried, 1);
    assert_int_equal(jobs_counts(r.jobs).buried, 2);
    finish_test(&r);
}

static void test_one_that_cannot_work_is_buried(void **state)
{
    (void)state;
    static const struct {
        enum err_class class;
        const char *reason;
    } row[] = {{ERR_PERMANENT, "permanent"}, {ERR_BUG, "bug"}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct rig r;
        struct handler h;
        claim_batch(&r, &h, 1);
        plan(&h, PLAN_FAIL);
        plan_error(&h, row[i].class, "no line in it");
        script_param(rig_expect_bury("{1}", row[i].reason), 0, 4, "no line in it");
        rig_start(&r);
        rig_play(&r);
        assert_int_equal(jobs_counts(r.jobs).buried, 1);
        finish_test(&r);
    }
}

static void test_many_are_run_one_by_one(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 3);
    plan(&h, PLAN_FAIL);
    plan(&h, PLAN_FINISH);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_PERMANENT, "bad");
    expect_finish("{1}", "{1}");
    /* With two batches at a time, the second is buried while the first is being finished. */
    script_param(rig_expect_bury("{2}", "permanent"), 0, 4, "bad");
    expect_finish("{3}", "{1}");
    rig_start(&r);
    rig_play(&r);
    assert_string_equal(h.log, "1,2,3 1 2 3 ");
    assert_int_equal(jobs_counts(r.jobs).finished, 2);
    assert_int_equal(jobs_counts(r.jobs).buried, 1);
    finish_test(&r);
}

static void test_only_what_was_not_committed_goes_back(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 3);
    plan(&h, PLAN_HALF);
    plan_error(&h, ERR_RETRY, "half way");
    expect_finish("{1}", "{1}");
    rig_expect_requeue("{2,3}", false);
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(jobs_counts(r.jobs).finished, 1);
    assert_int_equal(jobs_counts(r.jobs).retried, 2);
    finish_test(&r);
}

static void test_the_database_fails_the_results(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 1);
    script_fails(expect_finish("{1}", "{1}"), "53100", "no space left on device");
    script_param(rig_expect_requeue("{1}", false), 0, 4, "no space left on device");
    rig_start(&r);
    finish_test(&r);
}

/* ---- the outcome itself fails ------------------------------------------------------------------
 */

static void test_the_outcome_is_tried_until_it_works(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 1);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_RETRY, "x");
    script_fails(rig_expect_requeue("{1}", false), "57P03", "the database system is starting up");
    script_commit_unknown(rig_expect_requeue("{1}", false));
    script_silent(rig_expect_requeue("{1}", false));
    rig_expect_requeue("{1}", false);
    rig_start(&r);
    rig_play(&r);
    assert_in_range(r.now_ms, 13400, 14000);
    assert_int_equal(jobs_counts(r.jobs).retried, 1);
    finish_test(&r);
}

static void test_a_burial_is_tried_until_it_works(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 1);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_BUG, "x");
    for (int i = 0; i < 8; i++) {
        script_fails(rig_expect_bury("{1}", "bug"), "08006", "gone");
    }
    rig_expect_bury("{1}", "bug");
    rig_start(&r);
    rig_play(&r);
    assert_in_range(r.now_ms, 39400, 40000); /* the pause is bounded */
    assert_int_equal(jobs_counts(r.jobs).buried, 1);
    finish_test(&r);
}

/* ---- fenced ------------------------------------------------------------------------------------
 */

static struct script_unit *expect_still_ours(const char *ids, int64_t ours, int64_t too)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_still_ours");
    script_param(x, 0, 1, ids);
    script_param(x, 0, 2, "1");
    if (ours) {
        script_row(x, 0, "i", ours);
    }
    if (too) {
        script_row(x, 0, "i", too);
    }
    return x;
}

static void test_what_is_still_ours_is_run_again(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 3);
    script_fails(expect_finish("{1,2,3}", "{1,1,1}"), "WM001", "fenced: 1 of 3");
    expect_still_ours("{1,2,3}", 3, 1);
    expect_finish("{1,3}", "{1,1}");
    rig_start(&r);
    rig_play(&r);
    assert_string_equal(h.log, "1,2,3 1,3 ");
    assert_int_equal(jobs_counts(r.jobs).fenced, 1);
    assert_int_equal(jobs_counts(r.jobs).finished, 2);
    finish_test(&r);
}

static void test_nothing_is_ours_any_more(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 2);
    script_fails(expect_finish("{1,2}", "{1,1}"), "WM001", "fenced: 2 of 2");
    expect_still_ours("{1,2}", 0, 0);
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(h.started, 1);
    assert_int_equal(jobs_counts(r.jobs).fenced, 2);
    finish_test(&r);
}

static void test_fenced_without_end_is_put_back(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 1);
    for (int i = 0; i < 4; i++) {
        script_fails(expect_finish("{1}", "{1}"), "WM001", "fenced");
        if (i < 3) {
            expect_still_ours("{1}", 1, 0);
        }
    }
    rig_expect_requeue("{1}", false);
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(h.started, 4);
    finish_test(&r);
}

static void test_the_question_whose_they_are_is_asked_again(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    claim_batch(&r, &h, 2);
    script_fails(expect_finish("{1,2}", "{1,1}"), "WM001", "fenced: 1 of 2");
    script_fails(expect_still_ours("{1,2}", 0, 0), "57P01", "terminating connection");
    script_silent(expect_still_ours("{1,2}", 0, 0));
    expect_still_ours("{1,2}", 2, 0);
    expect_finish("{2}", "{1}");
    rig_start(&r);
    rig_play(&r);
    assert_string_equal(h.log, "1,2 2 ");
    finish_test(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_goes_back_with_a_delay),
        cmocka_unit_test(test_retry_when_the_error_says),
        cmocka_unit_test(test_the_last_attempt_is_buried),
        cmocka_unit_test(test_one_that_cannot_work_is_buried),
        cmocka_unit_test(test_many_are_run_one_by_one),
        cmocka_unit_test(test_only_what_was_not_committed_goes_back),
        cmocka_unit_test(test_the_database_fails_the_results),
        cmocka_unit_test(test_the_outcome_is_tried_until_it_works),
        cmocka_unit_test(test_a_burial_is_tried_until_it_works),
        cmocka_unit_test(test_what_is_still_ours_is_run_again),
        cmocka_unit_test(test_nothing_is_ours_any_more),
        cmocka_unit_test(test_fenced_without_end_is_put_back),
        cmocka_unit_test(test_the_question_whose_they_are_is_asked_again),
    };
    return cmocka_run_group_tests_name("outcomes", tests, NULL, NULL);
}
