/* Claiming: what is asked, in which batches it is run, and when it is asked again. */
#include "flow/handler.h"

static void test_two_jobs_are_claimed_and_finished(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    script_flags(x, DB_ASYNC_COMMIT);
    script_param(x, 0, 1, "trails");
    script_param(x, 1, 1, "trails");
    script_param(x, 1, 2, "10");
    script_param(x, 1, 3, "1");
    script_param(x, 1, 4, "{a,b}");
    script_param(x, 0, 2, "{a,b}");
    rig_job(x, "a", 8, "{}");
    rig_job(x, "a", 7, "{}"); /* the order of the answer means nothing */
    rig_claim_tail(x, -1, false);
    expect_finish("{7,8}", "{1,1}");
    rig_start(&r);
    assert_int_equal(jobs_owner(r.jobs), 0);
    rig_play(&r);
    assert_int_equal(jobs_owner(r.jobs), RIG_ME);
    assert_string_equal(h.log, "7,8 ");
    struct jobs_counts c = jobs_counts(r.jobs);
    assert_int_equal(c.claimed, 2);
    assert_int_equal(c.finished, 2);
    assert_int_equal(c.in_flight_jobs, 0);
    assert_int_equal(c.in_flight_batches, 0);
    rig_drain(&r);
    rig_close(&r);
}

static void test_batches_by_kind_priority_and_size(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct jobs_conf conf = rig_conf();
    conf.concurrency = 1;
    open_queue(&r, &h, 2, &conf);
    struct script_unit *x = rig_claim();
    rig_job(x, "b", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_job(x, "a", 3, "{}");
    rig_add_job(
        x, &(struct rig_job){
               .kind = "a", .payload = "{}", .id = 9, .prio = 0, .attempt = 3, .max_attempts = 5});
    rig_claim_tail(x, -1, false);
    expect_finish("{9,2}", "{3,1}");
    expect_finish("{3}", "{1}");
    expect_finish("{1}", "{1}");
    rig_start(&r);
    rig_play(&r);
    assert_string_equal(h.log, "9,2 3 1 ");
    rig_drain(&r);
    rig_close(&r);
}

static void test_as_many_batches_at_once_as_allowed(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 1, NULL);
    struct script_unit *x = rig_claim();
    for (int64_t id = 1; id <= 3; id++) {
        rig_job(x, "a", id, "{}");
    }
    rig_claim_tail(x, -1, false);
    struct script_unit *first = expect_finish("{1}", "{1}"), *second = expect_finish("{2}", "{1}");
    script_silent(first);
    script_silent(second);
    rig_start(&r);
    rig_wait(&r, 100);
    assert_true(script_asked(second));
    assert_int_equal(h.started, 2);
    assert_int_equal(jobs_counts(r.jobs).in_flight_batches, 2);
    assert_int_equal(jobs_counts(r.jobs).in_flight_jobs, 2);
    expect_finish("{3}", "{1}");
    script_answer(second);
    rig_wait(&r, 100);
    assert_int_equal(h.started, 3);
    script_answer(first);
    rig_play(&r);
    rig_drain(&r);
    rig_close(&r);
}

static void test_a_full_claim_is_followed_by_another(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct jobs_conf conf = rig_conf();
    conf.batch_size = 2;
    open_queue(&r, &h, 2, &conf);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_tail(x, -1, false);
    script_silent(expect_finish("{1,2}", "{1,1}"));
    struct script_unit *next = rig_claim_again();
    script_param(next, 0, 6, "10"); /* from where the last one was */
    script_param(next, 0, 7, "0");
    script_param(next, 0, 8, "2");
    script_param(next, 0, 9, "t"); /* by that one's word that nothing is paused or limited */
    rig_job(next, "a", 3, "{}");
    expect_finish("{3}", "{1}");
    rig_claim_empty(); /* that was short: from the start, with a look at what is due */
    rig_start(&r);
    rig_wait(&r, 1000); /* no poll so soon */
    assert_true(script_asked(next));
    assert_int_equal(h.ended, 1);
    /* The first never gets its answer: the flow's deadline ends it. */
    rig_expect_requeue("{1,2}", false);
    rig_play(&r);
    rig_drain(&r);
    rig_close(&r);
}

/* What an operator has paused or limited is asked about in each claim, which then go one by one. */
static void test_limits_are_heeded(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct jobs_conf conf = rig_conf();
    conf.batch_size = 2;
    open_queue(&r, &h, 2, &conf);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_limited(x);
    expect_finish("{1,2}", "{1,1}");
    struct script_unit *next = rig_claim_again();
    script_param(next, 0, 9, "f");
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    rig_drain(&r);
    rig_close(&r);
}

static void test_waking_and_polling(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct jobs_conf conf = rig_conf();
    conf.poll_ms = 60000;
    open_queue(&r, &h, 2, &conf);
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    rig_claim_empty();
    jobs_wake(r.jobs);
    rig_wait(&r, 10);
    assert_true(script_played());
    struct script_unit *poll = rig_claim();
    rig_claim_tail(poll, 700, false); /* sooner than the next poll */
    rig_wait(&r, 47900);
    assert_false(script_asked(poll)); /* 60 s less 20 % */
    rig_until_asked(&r, poll);
    assert_in_range(r.now_ms, 48000, 72100);
    struct script_unit *due = rig_claim_empty();
    int64_t before = r.now_ms;
    rig_play(&r);
    assert_true(script_asked(due));
    assert_in_range(r.now_ms - before, 500, 1400);
    rig_drain(&r);
    rig_close(&r);
}

static void wake(void *ctx)
{
    jobs_wake(((struct rig *)ctx)->jobs);
}

static void test_a_wake_during_a_claim_is_not_lost(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    script_on_asked(rig_claim_empty(), wake, &r);
    struct script_unit *again = rig_claim_empty();
    rig_start(&r);
    rig_wait(&r, 100);
    assert_true(script_asked(again));
    rig_drain(&r);
    rig_close(&r);
}

/* ---- claims that fail -------------------------------------------------------------------------
 */

static void test_a_lost_answer_is_followed_by_giving_back(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    plan(&h, PLAN_HANG);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 5, "{}");
    rig_job(x, "a", 6, "{}");
    rig_claim_tail(x, -1, false);
    rig_start(&r);
    rig_wait(&r, 100);
    script_commit_unknown(rig_claim());
    jobs_wake(r.jobs);
    rig_wait(&r, 100);
    assert_true(script_played());
    /* What runs under our name and is not 5 or 6 was claimed without our learning of it. */
    struct script_unit *audit = script_expect(RIG_WORK, "jobs_release_unknown");
    script_param(audit, 0, 1, "1");
    script_param(audit, 0, 2, "{5,6}");
    script_fails(audit, "57P01", "terminating connection due to administrator command");
    rig_wait(&r, 600);
    assert_true(script_asked(audit));
    struct script_unit *again = script_expect(RIG_WORK, "jobs_release_unknown");
    struct script_unit *claim = rig_claim_empty(), *next = rig_claim_empty();
    rig_wait(&r, 600);
    assert_true(script_asked(again) && script_asked(claim));
    jobs_wake(r.jobs); /* once is enough */
    rig_wait(&r, 100);
    assert_true(script_asked(next));
    rig_expect_requeue("{5,6}", true);
    rig_drain(&r);
    rig_close(&r);
}

static void test_a_claim_without_answer_is_given_up(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    script_silent(rig_claim());
    script_expect(RIG_WORK, "jobs_release_unknown");
    struct script_unit *x = rig_claim();
    rig_job(x, "b", 3, "{}");
    rig_claim_tail(x, -1, false);
    expect_finish("{3}", "{1}");
    rig_start(&r);
    rig_play(&r);
    assert_in_range(r.now_ms, 10000, 11500);
    assert_string_equal(h.log, "3 ");
    rig_drain(&r);
    rig_close(&r);
}

/* ---- suspects ----------------------------------------------------------------------------------
 */

static void test_suspects_run_alone(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    rig_claim_tail(rig_claim(), -1, true);
    struct script_unit *alone = script_expect(RIG_WORK, RIG_CLAIM_SUSPECT);
    script_param(alone, 1, 2, "1");
    rig_job(alone, "a", 4, "{}");
    rig_claim_tail(alone, -1, true);
    struct script_unit *finish = expect_finish("{4}", "{1}");
    script_silent(finish);
    rig_start(&r);
    rig_wait(&r, 100);
    assert_true(script_asked(finish));
    jobs_wake(r.jobs); /* others must wait, however many come */
    rig_wait(&r, 5000);
    assert_int_equal(h.started, 1);
    rig_claim_tail(script_expect(RIG_WORK, RIG_CLAIM_SUSPECT), -1, false);
    rig_claim_empty();
    script_answer(finish);
    rig_play(&r);
    rig_drain(&r);
    rig_close(&r);
}

static void test_suspects_wait_for_what_is_in_flight(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, true);
    struct script_unit *finish = expect_finish("{1}", "{1}");
    script_silent(finish);
    rig_start(&r);
    rig_wait(&r, 2000);
    jobs_wake(r.jobs);
    rig_wait(&r, 2000);
    assert_true(script_asked(finish));
    struct script_unit *alone = script_expect(RIG_WORK, RIG_CLAIM_SUSPECT);
    rig_claim_tail(alone, -1, false);
    rig_claim_empty();
    script_answer(finish);
    rig_play(&r);
    assert_true(script_asked(alone));
    rig_drain(&r);
    rig_close(&r);
}

/* ---- hints -------------------------------------------------------------------------------------
 */

static void test_hints_are_coalesced(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 2, NULL);
    rig_claim_empty();
    rig_start(&r);
    rig_play(&r);
    rig_claim_empty();
    struct script_unit *hint = script_expect(RIG_WORK, "jobs_hint");
    script_param(hint, 0, 1, "processing");
    script_fails(hint, "08006", "lost the connection"); /* which is nobody's business */
    jobs_hint(r.jobs);
    rig_wait(&r, 10);
    assert_true(script_asked(hint)); /* nobody waits for the first */
    rig_claim_empty();
    jobs_hint(r.jobs);
    rig_wait(&r, 10);
    rig_claim_empty();
    hint = script_expect(RIG_WORK, "jobs_hint");
    jobs_hint(r.jobs);
    rig_wait(&r, 20);
    assert_false(script_asked(hint));
    rig_wait(&r, 20);
    assert_true(script_asked(hint));
    rig_play(&r);
    rig_claim_empty();
    script_silent(script_expect(RIG_WORK, "jobs_hint"));
    jobs_hint(r.jobs);
    rig_wait(&r, 12000);
    assert_true(script_played());
    rig_drain(&r);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_jobs_are_claimed_and_finished),
        cmocka_unit_test(test_batches_by_kind_priority_and_size),
        cmocka_unit_test(test_as_many_batches_at_once_as_allowed),
        cmocka_unit_test(test_a_full_claim_is_followed_by_another),
        cmocka_unit_test(test_limits_are_heeded),
        cmocka_unit_test(test_waking_and_polling),
        cmocka_unit_test(test_a_wake_during_a_claim_is_not_lost),
        cmocka_unit_test(test_a_lost_answer_is_followed_by_giving_back),
        cmocka_unit_test(test_a_claim_without_answer_is_given_up),
        cmocka_unit_test(test_suspects_run_alone),
        cmocka_unit_test(test_suspects_wait_for_what_is_in_flight),
        cmocka_unit_test(test_hints_are_coalesced),
    };
    return cmocka_run_group_tests_name("claiming", tests, NULL, NULL);
}
