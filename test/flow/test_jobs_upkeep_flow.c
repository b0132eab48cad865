/* What is done now and then: lanes are looked after every minute, what stands in the queue is
 * counted, history is forgotten at the start and then every hour, batch by batch. */
#include "flow/handler.h"
#include "jobs/internal.h"

static struct script_unit *expect_sweep(int64_t gone)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_sweep");
    script_param(x, 0, 1, "10000");
    script_param(x, 0, 2, "7");
    script_row(x, 0, "i", gone);
    return x;
}

static struct script_unit *expect_repair(int lanes)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_repair_lanes");
    script_row(x, 0, "d", lanes);
    return x;
}

static struct script_unit *expect_count(void)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_count_depth");
    script_row(x, 0, "b", 1);
    return x;
}

static struct script_unit *expect_maintain(void)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_maintain");
    script_param(x, 0, 1, "7");
    script_row(x, 0, "d", 0);
    return x;
}

/* At the start all of it is due; the claim comes in between. */
static void first_round(struct rig *r, int64_t swept)
{
    expect_repair(0);
    rig_claim_empty();
    expect_count();
    expect_maintain();
    expect_sweep(swept);
    (void)r;
}

static void test_batch_by_batch_and_every_hour(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    first_round(&r, JOBS_SWEEP_BATCH);
    expect_sweep(3);
    rig_start(&r);
    rig_play(&r);
    struct jobs *q = r.jobs;
    assert_true(q->sweep_ms - jobs__now(q) <= JOBS_SWEEP_MS);
    q->sweep_ms = jobs__now(q) + 10000; /* the hour is over soon */
    rig_wait(&r, 5000);
    expect_maintain();
    /* stops nothing, and is left for the next hour */
    script_fails(expect_sweep(0), "08006", "gone");
    rig_play(&r);
    assert_true(q->sweep_ms - jobs__now(q) > JOBS_SWEEP_MS - 10000);
    rig_drain(&r);
    rig_close(&r);
}

static void test_lanes_every_minute(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    first_round(&r, 0);
    rig_start(&r);
    rig_play(&r);
    struct script_unit *x = expect_repair(2);
    rig_claim_empty(); /* what goes on may be for us */
    rig_wait(&r, 50000);
    assert_false(script_asked(x));
    rig_wait(&r, 20000);
    assert_true(script_asked(x));
    assert_int_equal(jobs_counts(r.jobs).lanes_repaired, 2);
    rig_drain(&r);
    rig_close(&r);
}

static void test_what_was_done_is_told(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    first_round(&r, 0);
    rig_start(&r);
    rig_play(&r);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_tail(x, -1, false);
    expect_finish("{1,2}", "{1,1}");
    jobs_wake(r.jobs);
    rig_play(&r);
    expect_repair(0);
    x = script_expect(RIG_WORK, "jobs_count_depth jobs_add_flow");
    script_row(x, 0, "b", 1);
    script_param(x, 1, 1, "trails");
    script_param(x, 1, 2, "1");
    script_param(x, 1, 3, "2");
    script_param(x, 1, 4, "2");
    script_param(x, 1, 5, "0");
    rig_wait(&r, 70000);
    assert_true(script_played());
    rig_drain(&r);
    rig_close(&r);
}

static void test_the_end_waits_for_one_batch_only(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    rig_claim_empty();
    struct script_unit *x = expect_sweep(JOBS_SWEEP_BATCH);
    script_silent(x);
    rig_start(&r);
    rig_until_asked(&r, x);
    rig_wait(&r, 100);
    struct op op;
    jobs_drain(r.jobs, &op);
    rig_wait(&r, 100);
    assert_int_equal(op.state, OP_PENDING);
    script_expect(RIG_WORK, "jobs_unregister");
    script_answer(x);
    rig_op(&r, &op);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_by_batch_and_every_hour),
        cmocka_unit_test(test_lanes_every_minute),
        cmocka_unit_test(test_what_was_done_is_told),
        cmocka_unit_test(test_the_end_waits_for_one_batch_only),
    };
    return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
