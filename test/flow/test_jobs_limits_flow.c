/* What limits a batch besides its own failure: its deadline, an operator, the rates of others, the
 * order of its lane. */
#include <stdlib.h>

#include "flow/handler.h"
#include "jobs/internal.h"

static double seen_delay;
static void keep_delay(const char *value)
{
    seen_delay = strtod(value + 1, NULL);
}

static void finish_test(struct rig *r)
{
    rig_play(r);
    assert_int_equal(jobs_counts(r->jobs).in_flight_jobs, 0);
    assert_int_equal(jobs_counts(r->jobs).in_flight_batches, 0);
    rig_drain(r);
    rig_close(r);
}

/* A queue with jobs 1..n of kind "a" in one batch that hangs. */
static void hanging(struct rig *r, struct handler *h, int64_t n)
{
    open_queue(r, h, 10, NULL);
    r->kinds[0].timeout_ms = 30000;
    struct script_unit *x = rig_claim();
    script_param(x, 1, 5, "{30,3600}");
    for (int64_t id = 1; id <= n; id++) {
        rig_job(x, "a", id, "{}");
    }
    rig_claim_tail(x, -1, false);
    plan(h, PLAN_HANG);
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void test_a_batch_past_its_deadline_is_tried_again(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    hanging(&r, &h, 2);
    struct script_unit *x = rig_expect_requeue("{1,2}", false);
    script_param_is(x, 0, 3, keep_delay);
    script_param(x, 0, 4, "not done within 30 s");
    rig_start(&r);
    rig_wait(&r, 29000);
    assert_int_equal(h.cancelled, 0);
    rig_until_asked(&r, x);
    assert_int_equal(h.cancelled, 1);
    assert_true(seen_delay >= 1.0);
    /* It is looked for when its time has come, although nobody else would wake us. */
    int64_t put_back_ms = r.now_ms;
    rig_until_asked(&r, rig_claim_empty());
    assert_in_range(r.now_ms - put_back_ms, (int64_t)(seen_delay * 1000),
                    (int64_t)(seen_delay * 1000) + 50);
    finish_test(&r);
}

static void test_a_job_may_have_less_time_than_its_kind(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    script_row(x, 1, "itiidddidTt", (int64_t)1, "a", (int64_t)0, (int64_t)0, 1, 5, 0, (int64_t)0, 5,
               "{}");
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_HANG);
    x = rig_expect_requeue("{1}", false);
    script_param(x, 0, 4, "not done within 5 s");
    rig_start(&r);
    rig_until_asked(&r, x);
    assert_int_equal(h.cancelled, 1);
    assert_true(r.now_ms < 8000);
    finish_test(&r);
}

static void test_the_last_attempt_past_its_deadline(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    r.kinds[0].timeout_ms = 10000;
    struct script_unit *x = rig_claim();
    rig_add_job(x, &(struct rig_job){
                       .kind = "a", .payload = "{}", .id = 3, .attempt = 5, .max_attempts = 5});
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_HANG);
    x = script_expect(RIG_WORK, "jobs_requeue jobs_bury");
    script_param(x, 0, 1, "{}");
    script_param(x, 1, 1, "{3}");
    script_param(x, 1, 3, "attempts");
    rig_start(&r);
    rig_wait(&r, 14000);
    finish_test(&r);
}

/* ---- an operator --------------------------------------------------------------------------- */

static struct script_unit *expect_beat(bool drained)
{
    struct script_unit *x = script_expect(RIG_BEAT, "jobs_beat");
    rig_me(x, drained);
    return x;
}

/* The database knows which one was cancelled; its neighbour goes back unspent. */
static void test_a_cancelled_job_stops_its_batch(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    hanging(&r, &h, 2);
    expect_beat(false);
    struct script_unit *beat = expect_beat(false);
    script_param(beat, 0, 2, "2"); /* in flight */
    script_row(beat, 0, "diitdib", 2, (int64_t)2, (int64_t)0, "", 0, (int64_t)0, 0);
    script_param(rig_expect_requeue("{1,2}", true), 0, 3, "{0,0}");
    rig_start(&r);
    rig_wait(&r, 3000);
    assert_int_equal(h.cancelled, 1);
    finish_test(&r);
}

static void test_a_cancelled_job_that_is_not_here(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    hanging(&r, &h, 1);
    expect_beat(false);
    script_row(expect_beat(false), 0, "diitdib", 2, (int64_t)77, (int64_t)0, "", 0, (int64_t)0, 0);
    rig_start(&r);
    rig_wait(&r, 3000);
    assert_int_equal(h.cancelled, 0);
    rig_until_asked(&r, rig_expect_requeue("{1}", false));
    finish_test(&r);
}

static void test_a_drained_instance_claims_nothing(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    expect_beat(true);
    rig_wait(&r, 2500);
    rig_wait(&r, 100); /* a claim now would find the script without one */
    expect_beat(true);
    rig_wait(&r, 2000);
    expect_beat(false);
    struct script_unit *claim = rig_claim_empty();
    rig_wait(&r, 2500);
    assert_true(script_asked(claim));
    finish_test(&r);
}

/* ---- rates --------------------------------------------------------------------------------- */

static void test_refused_by_a_rate_limit_spends_no_attempt(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    plan(&h, PLAN_FAIL);
    (void)err_set_code(&h.err, ERR_HTTP, ERR_RETRY, 429, "too many requests");
    h.err.retry_after_ms = 60000;
    x = rig_expect_requeue("{1}", true);
    script_param_is(x, 0, 3, keep_delay);
    rig_start(&r);
    rig_play(&r);
    assert_true(seen_delay >= 60 && seen_delay <= 72); /* not all at the same moment */
    finish_test(&r);
}

static void test_kinds_with_a_rate_are_claimed_with_tokens(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    r.kinds[0].rate = "api";
    struct script_unit *x = script_expect(RIG_WORK, "jobs_due jobs_take_rated jobs_rate_wait "
                                                    "jobs_take");
    script_param(x, 1, 4, "{a}");
    script_param(x, 1, 6, "api");
    script_param(x, 2, 1, "api");
    script_param(x, 3, 4, "{b}");
    rig_claim_tail(x, -1, false);
    script_row(x, 1, "itiidddidTt", (int64_t)5, "a", (int64_t)0, (int64_t)0, 1, 5, 0, (int64_t)0, 0,
               "{}");
    script_row(x, 2, "i", (int64_t)4000); /* the window is used up now */
    script_row(x, 3, "itiidddidTt", (int64_t)6, "b", (int64_t)0, (int64_t)0, 1, 5, 0, (int64_t)0, 0,
               "{}");
    expect_finish("{5}", "{1}");
    expect_finish("{6}", "{1}");
    struct script_unit *next = script_expect(RIG_WORK, "jobs_due jobs_take_rated jobs_rate_wait "
                                                       "jobs_take");
    rig_claim_tail(next, -1, false);
    script_row(next, 2, "i", (int64_t)0);
    rig_start(&r);
    rig_wait(&r, 3900);
    assert_string_equal(h.log, "5 6 ");
    assert_false(script_asked(next));
    rig_wait(&r, 300);
    assert_true(script_asked(next));
    finish_test(&r);
}

/* ---- lanes --------------------------------------------------------------------------------- */

static void test_the_end_of_a_job_of_a_lane(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    script_row(x, 1, "itiidddidtt", (int64_t)2, "a", (int64_t)10, (int64_t)0, 1, 5, 0, (int64_t)0,
               0, "act:7", "{}");
    rig_claim_tail(x, -1, false);
    x = script_expect(RIG_WORK, "jobs_finish_lanes");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "{1,2}");
    script_param(x, 0, 4, "{act:7}");
    rig_start(&r);
    rig_play(&r);
    finish_test(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_past_its_deadline_is_tried_again),
        cmocka_unit_test(test_a_job_may_have_less_time_than_its_kind),
        cmocka_unit_test(test_the_last_attempt_past_its_deadline),
        cmocka_unit_test(test_a_cancelled_job_stops_its_batch),
        cmocka_unit_test(test_a_cancelled_job_that_is_not_here),
        cmocka_unit_test(test_a_drained_instance_claims_nothing),
        cmocka_unit_test(test_refused_by_a_rate_limit_spends_no_attempt),
        cmocka_unit_test(test_kinds_with_a_rate_are_claimed_with_tokens),
        cmocka_unit_test(test_the_end_of_a_job_of_a_lane),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
