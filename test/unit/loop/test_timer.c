#include "unit/loop/helper.h"

static void free_timer(struct op *op)
{
    struct timer_op *t = container_of(op, struct timer_op, op);
    bool *failed = op->waiter;
    *failed = op->failed;
    assert_false(t->open);
    mem_free(t); /* the handle is closed: its memory may go */
}

static void test_delay(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct timer_op *t = mem_alloc(sizeof(*t));
    bool failed = true;
    int64_t start = clock_mono_ms();
    timer_op_start(t, l, 30);
    op_await(&t->op, free_timer, &failed);
    loop_run(l);
    assert_true(clock_mono_ms() - start >= 29);
    assert_false(failed);
    loop_free(l);
}

static void test_no_delay(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    bool failed[2] = {true, true};
    for (int i = 0; i < 2; i++) {
        struct timer_op *t = mem_alloc(sizeof(*t));
        timer_op_start(t, l, -i);
        op_await(&t->op, free_timer, &failed[i]);
    }
    loop_run(l);
    assert_false(failed[0] || failed[1]);
    loop_free(l);
}

static void test_cancel(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct timer_op *t = mem_alloc(sizeof(*t));
    bool failed = false;
    timer_op_start(t, l, 60000);
    op_await(&t->op, free_timer, &failed);
    op_cancel(&t->op);
    loop_run(l);
    assert_true(failed);
    loop_free(l);
}

static void cancel_it(void *ctx)
{
    struct timer_op *t = ctx;
    op_cancel(&t->op);
}

/* Both timers are due in the same turn: the cancel meets a handle that is closing. */
static void test_cancel_when_due(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct timer_op *t = mem_alloc(sizeof(*t));
    bool failed = false;
    timer_op_start(t, l, 10);
    op_await(&t->op, free_timer, &failed);
    run_later(l, 10, cancel_it, t);
    usleep(20000);
    loop_run(l);
    loop_free(l);
}

static void test_reuse(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct timer_op t;
    for (int i = 0; i < 3; i++) {
        timer_op_start(&t, l, 1);
        loop_run(l);
        assert_int_equal(t.op.state, OP_FINISHED);
    }
    loop_free(l);
}

struct ticks {
    struct ticker *ticker;
    int n, close_at;
};

static void count_tick(void *ctx)
{
    struct ticks *t = ctx;
    if (++t->n == t->close_at) {
        ticker_close(t->ticker);
    }
}

static void test_ticker(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct ticks t = {.close_at = 3};
    t.ticker = ticker_open(l, 5, false, count_tick, &t);
    loop_run(l);
    assert_int_equal(t.n, 3);
    ticker_close(NULL);
    loop_free(l);
}

static void test_background_ticker(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct ticks t = {.close_at = 1000000};
    t.ticker = ticker_open(l, 5, true, count_tick, &t);
    loop_run(l); /* does not wait for it */
    assert_int_equal(t.n, 0);
    struct timer_op timer;
    timer_op_start(&timer, l, 40);
    loop_run(l);
    assert_true(t.n > 0);
    ticker_close(t.ticker);
    loop_free(l);
}

static void no_period(void *ctx)
{
    ticker_open(ctx, 0, false, count_tick, NULL);
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    assert_true(dies(no_period, l));
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_no_delay),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_when_due),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_ticker),
        cmocka_unit_test(test_background_ticker),
        cmocka_unit_test(test_programming_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
