#include "unit/loop/helper.h"

static int done;

static void count_done(struct op *op)
{
    assert_int_equal(op->state, OP_DONE);
    assert_ptr_equal(op->waiter, &done);
    done++;
}

static void test_completion_comes_from_the_queue(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct hand_op h;
    done = 0;
    hand_start(&h, l);
    op_await(&h.op, count_done, &done);
    op_finish(&h.op, NULL);
    assert_int_equal(h.op.state, OP_FINISHED);
    assert_int_equal(done, 0);
    loop_run(l);
    assert_int_equal(done, 1);
    assert_false(h.op.failed);
    loop_free(l);
}

static void test_await_after_finish(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct hand_op h;
    done = 0;
    hand_start(&h, l);
    hand_fail(&h, ERR_PERMANENT, "no such trail");
    loop_run(l); /* nobody waits: nothing happens */
    assert_int_equal(h.op.state, OP_FINISHED);
    op_await(&h.op, count_done, &done);
    loop_run(l);
    assert_int_equal(done, 1);
    assert_true(h.op.failed);
    assert_string_equal(h.op.err.msg, "no such trail");
    loop_free(l);
}

static void test_cancel(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct hand_op h;
    done = 0;
    hand_start(&h, l);
    op_await(&h.op, count_done, &done);
    op_cancel(&h.op);
    assert_int_equal(done, 0);
    op_cancel(&h.op);
    assert_int_equal(h.cancels, 1);
    loop_run(l);
    assert_int_equal(done, 1);
    assert_true(h.op.failed && h.op.cancelled);
    assert_int_equal(h.op.err.class, ERR_RETRY);
    assert_int_equal(h.op.err.code, UV_ECANCELED);
    op_cancel(&h.op);
    assert_int_equal(h.cancels, 1);
    loop_free(l);
}

static void test_cancel_that_comes_too_late(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct hand_op h;
    hand_start(&h, l);
    h.obstinate = true;
    op_cancel(&h.op);
    op_cancel(&h.op);
    assert_int_equal(h.cancels, 1);
    op_finish(&h.op, NULL);
    assert_true(h.op.cancelled);
    assert_false(h.op.failed);
    struct op plain;
    op_init(&plain, l, NULL);
    op_cancel(&plain); /* not begun */
    assert_false(plain.cancelled);
    op_begin(&plain);
    op_cancel(&plain); /* cannot be cancelled, only marked */
    assert_int_equal(plain.state, OP_PENDING);
    op_finish(&plain, NULL);
    loop_free(l);
}

static void test_failure_without_a_reason(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct hand_op h;
    hand_start(&h, l);
    op_finish(&h.op, &(struct err){0});
    assert_int_equal(h.op.err.class, ERR_BUG);
    loop_free(l);
}

static void finish_twice(void *ctx)
{
    struct hand_op h;
    hand_start(&h, ctx);
    op_finish(&h.op, NULL);
    op_finish(&h.op, NULL);
}

static void finish_idle(void *ctx)
{
    struct op op;
    op_init(&op, ctx, NULL);
    op_finish(&op, NULL);
}

static void begin_twice(void *ctx)
{
    struct op op;
    op_init(&op, ctx, NULL);
    op_begin(&op);
    op_begin(&op);
}

static void await_idle(void *ctx)
{
    struct op op;
    op_init(&op, ctx, NULL);
    op_await(&op, count_done, NULL);
}

static void await_twice(void *ctx)
{
    struct hand_op h;
    hand_start(&h, ctx);
    op_await(&h.op, count_done, NULL);
    op_await(&h.op, count_done, NULL);
}

static void gather_too_many(void *ctx)
{
    struct hand_op h[2];
    struct gather g;
    gather_init(&g, ctx, arena_new(0), 1);
    for (int i = 0; i < 2; i++) {
        hand_start(&h[i], ctx);
        gather_add(&g, &h[i].op);
    }
}

static void gather_too_late(void *ctx)
{
    struct hand_op h[2];
    struct gather g;
    gather_init(&g, ctx, arena_new(0), 2);
    hand_start(&h[0], ctx);
    hand_start(&h[1], ctx);
    gather_add(&g, &h[0].op);
    loop_run(ctx);
    gather_add(&g, &h[1].op);
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    assert_true(dies(finish_twice, l));
    assert_true(dies(finish_idle, l));
    assert_true(dies(begin_twice, l));
    assert_true(dies(await_idle, l));
    assert_true(dies(await_twice, l));
    assert_true(dies(gather_too_many, l));
    assert_true(dies(gather_too_late, l));
    loop_free(l);
}

/* ---- gather ------------------------------------------------------------------------------------
 */

struct many {
    struct loop *l;
    struct arena *a;
    struct gather g;
    struct hand_op h[3];
};

static void many_start(struct many *m)
{
    m->l = new_loop(1);
    m->a = arena_new(0);
    done = 0;
    gather_init(&m->g, m->l, m->a, 3);
    for (int i = 0; i < 3; i++) {
        hand_start(&m->h[i], m->l);
        gather_add(&m->g, &m->h[i].op);
    }
    op_await(&m->g.op, count_done, &done);
}

static void many_end(struct many *m)
{
    arena_free(m->a);
    loop_free(m->l);
}

static void test_gather_ok(void **state)
{
    (void)state;
    struct many m;
    many_start(&m);
    op_finish(&m.h[2].op, NULL);
    op_finish(&m.h[0].op, NULL);
    loop_run(m.l);
    assert_int_equal(done, 0);
    op_finish(&m.h[1].op, NULL);
    loop_run(m.l);
    assert_int_equal(done, 1);
    assert_false(m.g.op.failed);
    many_end(&m);
}

static void test_gather_fails_with_the_first_error_after_all(void **state)
{
    (void)state;
    struct many m;
    many_start(&m);
    hand_fail(&m.h[1], ERR_PERMANENT, "first");
    loop_run(m.l);
    assert_int_equal(done, 0);
    hand_fail(&m.h[0], ERR_RETRY, "second");
    loop_run(m.l);
    assert_int_equal(done, 0);
    op_finish(&m.h[2].op, NULL);
    loop_run(m.l);
    assert_int_equal(done, 1);
    assert_true(m.g.op.failed);
    assert_string_equal(m.g.op.err.msg, "first");
    assert_int_equal(m.g.op.err.class, ERR_PERMANENT);
    many_end(&m);
}

static void test_gather_cancel(void **state)
{
    (void)state;
    struct many m;
    many_start(&m);
    m.h[1].obstinate = true;
    op_finish(&m.h[0].op, NULL);
    op_cancel(&m.g.op);
    loop_run(m.l);
    assert_int_equal(done, 0); /* one member does not give up */
    assert_int_equal(m.h[0].cancels, 0);
    assert_int_equal(m.h[1].cancels, 1);
    assert_int_equal(m.h[2].cancels, 1);
    op_finish(&m.h[1].op, NULL);
    loop_run(m.l);
    assert_int_equal(done, 1);
    assert_true(m.g.op.failed);
    assert_int_equal(m.g.op.err.code, UV_ECANCELED);
    many_end(&m);
}

static void test_gather_none(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct arena *a = arena_new(0);
    struct gather g;
    done = 0;
    gather_init(&g, l, a, 0);
    op_await(&g.op, count_done, &done);
    loop_run(l);
    assert_int_equal(done, 1);
    assert_false(g.op.failed);
    arena_free(a);
    loop_free(l);
}

static void test_gather_of_finished_and_cancelled(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct arena *a = arena_new(0);
    struct gather g;
    struct hand_op h[2];
    done = 0;
    gather_init(&g, l, a, 2);
    hand_start(&h[0], l);
    op_finish(&h[0].op, NULL);
    gather_add(&g, &h[0].op);
    op_cancel(&g.op);
    hand_start(&h[1], l);
    gather_add(&g, &h[1].op); /* cancelled at once */
    op_await(&g.op, count_done, &done);
    loop_run(l);
    assert_int_equal(done, 1);
    assert_int_equal(h[1].cancels, 1);
    assert_true(g.op.failed);
    arena_free(a);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completion_comes_from_the_queue),
        cmocka_unit_test(test_await_after_finish),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_that_comes_too_late),
        cmocka_unit_test(test_failure_without_a_reason),
        cmocka_unit_test(test_programming_errors),
        cmocka_unit_test(test_gather_ok),
        cmocka_unit_test(test_gather_fails_with_the_first_error_after_all),
        cmocka_unit_test(test_gather_cancel),
        cmocka_unit_test(test_gather_none),
        cmocka_unit_test(test_gather_of_finished_and_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
