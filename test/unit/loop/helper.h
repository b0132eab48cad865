/* For the tests of loop/. */
#pragma once

#include "loop/loop.h"
#include "unit/base/helper.h"

static inline struct loop *new_loop(unsigned threads)
{
    struct err e = {0};
    struct loop *l = loop_new(threads, &e);
    assert_non_null(l);
    return l;
}

/* An op that the test finishes by hand, or that finishes when it is cancelled. */
struct hand_op {
    struct op op;
    int cancels;
    bool obstinate; /* does not finish when cancelled */
};

static inline void hand_cancel(struct op *op)
{
    struct hand_op *h = container_of(op, struct hand_op, op);
    h->cancels++;
    if (!h->obstinate) {
        op_finish_cancelled(op);
    }
}

static inline void hand_start(struct hand_op *h, struct loop *l)
{
    *h = (struct hand_op){.cancels = 0};
    op_init(&h->op, l, hand_cancel);
    op_begin(&h->op);
}

static inline void hand_fail(struct hand_op *h, enum err_class class, const char *msg)
{
    struct err e;
    err_set(&e, ERR_DATA, class, "%s", msg);
    op_finish(&h->op, &e);
}

/* Runs fn(ctx) after delay_ms. */
struct later {
    uv_timer_t timer;
    void (*fn)(void *ctx);
    void *ctx;
};

static inline void later_closed(uv_handle_t *handle)
{
    mem_free(container_of(handle, struct later, timer));
}

static inline void later_fired(uv_timer_t *timer)
{
    struct later *x = container_of(timer, struct later, timer);
    uv_close((uv_handle_t *)timer, later_closed);
    x->fn(x->ctx);
}

static inline void run_later(struct loop *l, int64_t delay_ms, void (*fn)(void *ctx), void *ctx)
{
    struct later *x = mem_alloc(sizeof(*x));
    x->fn = fn;
    x->ctx = ctx;
    assert_int_equal(uv_timer_init(loop_uv(l), &x->timer), 0);
    assert_int_equal(uv_timer_start(&x->timer, later_fired, (uint64_t)delay_ms, 0), 0);
}
