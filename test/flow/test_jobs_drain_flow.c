/* The end: what runs gets its time, what is left is given back unspent, and nothing leaks. */
#include "flow/handler.h"

static void test_an_idle_queue_says_goodbye(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    int64_t before = r.now_ms;
    rig_drain(&r);
    assert_int_equal(r.now_ms, before);
    jobs_wake(r.jobs); /* too late for anything */
    jobs_hint(r.jobs);
    rig_wait(&r, 100);
    rig_close(&r);
}

static void test_never_started(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    struct op op;
    jobs_drain(r.jobs, &op);
    rig_op(&r, &op);
    assert_false(op.failed);
    rig_close(&r);
}

static void test_never_opened_nor_drained(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    rig_close(&r);
}

static void test_never_registered(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    script_silent(script_expect(RIG_BEAT, "jobs_register"));
    rig_start(&r);
    rig_wait(&r, 5000);
    struct op op;
    jobs_drain(r.jobs, &op);
    rig_op(&r, &op); /* without a goodbye: nobody knows us */
    assert_false(op.failed);
    rig_close(&r);
}

/* A queue with one batch running that hangs, or waits for its commit, and two more waiting. */
static struct script_unit *busy_queue(struct rig *r, struct handler *h, bool hang)
{
    struct jobs_conf conf = rig_conf();
    struct script_unit *finish = NULL;
    conf.concurrency = 1;
    open_queue(r, h, 1, &conf);
    struct script_unit *x = rig_claim();
    for (int64_t id = 1; id <= 3; id++) {
        rig_job(x, "a", id, "{}");
    }
    rig_claim_tail(x, -1, false);
    if (hang) {
        plan(h, PLAN_HANG);
    } else {
        finish = expect_finish("{1}", "{1}");
        script_silent(finish);
    }
    rig_start(r);
    rig_wait(r, 100);
    assert_int_equal(h->started, 1);
    return finish;
}

static void test_what_runs_may_end(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct script_unit *finish = busy_queue(&r, &h, false);
    script_expect(RIG_WORK, "jobs_unregister"); /* gives 2 and 3 back */
    struct op op;
    jobs_drain(r.jobs, &op);
    rig_wait(&r, 20000);
    assert_int_equal(op.state, OP_PENDING);
    script_answer(finish);
    rig_op(&r, &op);
    assert_int_equal(h.started, 1);
    assert_int_equal(h.cancelled, 0);
    assert_int_equal(jobs_counts(r.jobs).finished, 1);
    rig_close(&r);
}

static void test_what_does_not_end_is_cancelled_and_refunded(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    (void)busy_queue(&r, &h, true);
    struct script_unit *x = rig_expect_requeue("{1}", true);
    script_param(x, 0, 3, "{0}");
    script_param(x, 0, 4, "NULL");
    int64_t before = r.now_ms;
    rig_drain(&r);
    assert_in_range(r.now_ms - before, 25000, 25100);
    assert_int_equal(h.cancelled, 1);
    rig_close(&r);
}

static void test_the_last_attempt_is_refunded_too(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 1, NULL);
    struct script_unit *x = rig_claim();
    rig_add_job(x, &(struct rig_job){"a", "{}", 1, 10, 5, 5});
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_HANG);
    rig_start(&r);
    rig_wait(&r, 100);
    rig_expect_requeue("{1}", true);
    rig_drain(&r);
    rig_close(&r);
}

static void test_an_outcome_that_fails_is_left_to_the_goodbye(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    (void)busy_queue(&r, &h, true);
    script_fails(rig_expect_requeue("{1}", true), "08006", "gone");
    rig_drain(&r);
    rig_close(&r);
}

static void test_the_goodbye_fails(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct rig r;
        struct handler h;
        struct op op;
        open_queue(&r, &h, 1, NULL);
        rig_claim_empty();
        rig_start(&r);
        rig_play(&r);
        struct script_unit *x = script_expect(RIG_WORK, "jobs_unregister");
        if (silent) {
            script_silent(x);
        } else {
            script_fails(x, "08006", "gone");
        }
        log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, stderr);
        jobs_drain(r.jobs, &op);
        rig_op(&r, &op);
        assert_false(op.failed); /* others will take over what is left */
        rig_close(&r);
    }
}

/* ---- what comes in while it drains --------------------------------------------------------------
 */

static void test_a_claim_that_is_answered_during_the_drain(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 1, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "b", 2, "{}");
    rig_claim_tail(x, -1, false);
    script_silent(x);
    rig_start(&r);
    rig_wait(&r, 100);
    struct op op;
    script_expect(RIG_WORK, "jobs_unregister"); /* gives both back */
    jobs_drain(r.jobs, &op);
    rig_wait(&r, 100);
    assert_int_equal(op.state, OP_PENDING);
    script_answer(x);
    rig_op(&r, &op);
    assert_int_equal(h.started, 0);
    rig_close(&r);
}

static void test_a_claim_that_is_lost_during_the_drain(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 1, NULL);
    script_silent(rig_claim());
    rig_start(&r);
    rig_wait(&r, 100);
    rig_drain(&r);
    rig_close(&r);
}

static void begin_drain(void *ctx)
{
    static struct op op;
    jobs_drain(((struct rig *)ctx)->jobs, &op);
}

static bool is_drained(void *ctx)
{
    const struct rig *r = ctx;
    return script_played() && loop_flow_count(r->loop) == 0;
}

static void test_a_batch_that_fails_for_good_during_the_drain(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 3, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_tail(x, -1, false);
    x = expect_finish("{1,2}", "{1,1}");
    script_on_asked(x, begin_drain, &r);
    script_fails(x, "23514", "violates check constraint");
    script_expect(RIG_WORK, "jobs_unregister"); /* neither is run alone now: both go back */
    rig_start(&r);
    rig_until(&r, is_drained, &r);
    rig_wait(&r, 10);
    assert_int_equal(h.started, 1);
    rig_close(&r);
}

static void test_fenced_during_the_drain(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 3, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_tail(x, -1, false);
    x = expect_finish("{1,2}", "{1,1}");
    script_on_asked(x, begin_drain, &r);
    script_fails(x, "WM001", "fenced: 1 of 2");
    script_row(script_expect(RIG_WORK, "jobs_still_ours"), 0, "i", (int64_t)1);
    script_expect(RIG_WORK, "jobs_unregister");
    rig_start(&r);
    rig_until(&r, is_drained, &r);
    rig_wait(&r, 10);
    assert_int_equal(h.started, 1);
    rig_close(&r);
}

static void test_an_outcome_that_pauses_when_the_drain_begins(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 3, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_RETRY, "x");
    script_fails(rig_expect_requeue("{1}", false), "08006", "gone");
    rig_start(&r);
    rig_wait(&r, 300);
    assert_true(script_played());
    rig_expect_requeue("{1}", true);
    rig_drain(&r);
    rig_close(&r);
}

static void test_a_hint_is_dropped(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 3, NULL);
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    rig_claim_empty();
    script_expect(RIG_WORK, "jobs_hint");
    jobs_hint(r.jobs);
    rig_wait(&r, 10);
    rig_claim_empty();
    jobs_hint(r.jobs); /* too soon after the other one */
    rig_wait(&r, 10);
    rig_drain(&r);
    rig_wait(&r, 100);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_queue_says_goodbye),
        cmocka_unit_test(test_never_started),
        cmocka_unit_test(test_never_opened_nor_drained),
        cmocka_unit_test(test_never_registered),
        cmocka_unit_test(test_what_runs_may_end),
        cmocka_unit_test(test_what_does_not_end_is_cancelled_and_refunded),
        cmocka_unit_test(test_the_last_attempt_is_refunded_too),
        cmocka_unit_test(test_an_outcome_that_fails_is_left_to_the_goodbye),
        cmocka_unit_test(test_the_goodbye_fails),
        cmocka_unit_test(test_a_claim_that_is_answered_during_the_drain),
        cmocka_unit_test(test_a_claim_that_is_lost_during_the_drain),
        cmocka_unit_test(test_a_batch_that_fails_for_good_during_the_drain),
        cmocka_unit_test(test_fenced_during_the_drain),
        cmocka_unit_test(test_an_outcome_that_pauses_when_the_drain_begins),
        cmocka_unit_test(test_a_hint_is_dropped),
    };
    return cmocka_run_group_tests_name("draining", tests, NULL, NULL);
}
