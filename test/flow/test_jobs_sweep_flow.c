/* Old finished jobs are forgotten: at the start, then every hour, batch by batch. */
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

static void test_batch_by_batch_and_every_hour(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    expect_sweep(JOBS_SWEEP_BATCH);
    rig_claim_empty();
    expect_sweep(3);
    rig_start(&r);
    rig_play(&r);
    struct jobs *q = r.jobs;
    assert_true(q->sweep_ms - jobs__now(q) <= JOBS_SWEEP_MS);
    q->sweep_ms = jobs__now(q) + 10000; /* the hour is over soon */
    rig_wait(&r, 5000);
    script_fails(expect_sweep(0), "08006",
                 "gone"); /* stops nothing, and is left for the next hour */
    rig_play(&r);
    assert_true(q->sweep_ms - jobs__now(q) > JOBS_SWEEP_MS - 10000);
    rig_drain(&r);
    rig_close(&r);
}

static void test_the_end_waits_for_one_batch_only(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = expect_sweep(JOBS_SWEEP_BATCH);
    script_silent(x);
    rig_claim_empty();
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
        cmocka_unit_test(test_the_end_waits_for_one_batch_only),
    };
    return cmocka_run_group_tests_name("finished jobs", tests, NULL, NULL);
}
