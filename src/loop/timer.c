#include "loop/internal.h"

/* The clock of the loop stands still during a turn; a step that computed for a while must not
 * shorten what it starts afterwards. */
void loop__timer_start(uv_timer_t *timer, uv_timer_cb fn, int64_t ms)
{
    int64_t behind = (int64_t)(uv_hrtime() / 1000000) - (int64_t)uv_now(timer->loop);
    uint64_t delay = (uint64_t)(ms > 0 ? ms : 0) + (uint64_t)(behind > 0 ? behind : 0);
    CHECK(uv_timer_start(timer, fn, delay, 0) == 0);
}

/* ---- timer op ----------------------------------------------------------------------------------
 */

/* The op finishes only here, so that its waiter may free the memory that the handle lies in. */
static void timer_closed(uv_handle_t *handle)
{
    struct timer_op *t = container_of(handle, struct timer_op, timer);
    t->open = false;
    if (t->op.cancelled) {
        op_finish_cancelled(&t->op);
    } else {
        op_finish(&t->op, NULL);
    }
}

static void timer_fired(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, timer_closed);
}

static void timer_cancel(struct op *op)
{
    struct timer_op *t = container_of(op, struct timer_op, op);
    if (!uv_is_closing((uv_handle_t *)&t->timer)) {
        uv_close((uv_handle_t *)&t->timer, timer_closed);
    }
}

void timer_op_start(struct timer_op *t, struct loop *l, int64_t delay_ms)
{
    op_init(&t->op, l, timer_cancel);
    op_begin(&t->op);
    CHECK(uv_timer_init(loop_uv(l), &t->timer) == 0);
    t->open = true;
    loop__timer_start(&t->timer, timer_fired, delay_ms);
}

/* ---- ticker ------------------------------------------------------------------------------------
 */

struct ticker {
    uv_timer_t timer;
    void (*fn)(void *ctx);
    void *ctx;
};

static void tick(uv_timer_t *timer)
{
    struct ticker *t = container_of(timer, struct ticker, timer);
    t->fn(t->ctx);
}

static void ticker_closed(uv_handle_t *handle)
{
    mem_free(container_of(handle, struct ticker, timer));
}

struct ticker *ticker_open(struct loop *l, int64_t period_ms, bool background,
                           void (*fn)(void *ctx), void *ctx)
{
    CHECK(period_ms > 0);
    loop__check_thread(l);
    struct ticker *t = mem_alloc(sizeof(*t));
    t->fn = fn;
    t->ctx = ctx;
    CHECK(uv_timer_init(loop_uv(l), &t->timer) == 0);
    CHECK(uv_timer_start(&t->timer, tick, (uint64_t)period_ms, (uint64_t)period_ms) == 0);
    if (background) {
        uv_unref((uv_handle_t *)&t->timer);
    }
    return t;
}

void ticker_close(struct ticker *t)
{
    if (t) {
        uv_close((uv_handle_t *)&t->timer, ticker_closed);
    }
}
