#include "loop/internal.h"

/* Steps that run without a wait between them before others get their turn. */
enum { BURST = 64 };
static const uint32_t MAGIC = 0x464c4f57; /* "FLOW" */

static void check_flow(const struct flow *f)
{
    CHECK(f->magic == MAGIC);
    loop__check_thread(f->loop);
}

static const char *step_name(const struct flow *f)
{
    return f->step < f->def->n ? f->def->steps[f->step].name : "end";
}

/* One line when a step is over, its wait included. */
static void trace(struct flow *f, const char *what)
{
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        int64_t now = clock_mono_ms();
        log_debug(what, L_S("flow", f->def->name), L_S("step", step_name(f)),
                  L_I("ms", now - f->step_ms));
        f->step_ms = now;
    }
}

/* The only place where the step changes. */
static void set_step(struct flow *f, unsigned step)
{
    CHECK(step <= f->def->n);
    trace(f, "flow step");
    f->step = step;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void release(struct flow *f)
{
    struct op *end_op = f->end_op;
    struct err err = f->err;
    bool failed = f->failed;
    f->loop->flows--;
    f->magic = 0;
    arena_free(f->arena); /* f lies in it */
    if (end_op) {
        op_finish(end_op, failed ? &err : NULL);
    }
}

static void deadline_closed(uv_handle_t *handle)
{
    release(container_of(handle, struct flow, deadline));
}

/* From the ready queue only: nobody up the stack holds the flow. */
static void end_flow(struct flow *f)
{
    CHECK(!f->ended && !f->pending && !f->ready.queued);
    f->ended = true;
    if (f->cancelled) {
        f->failed = true;
        loop__cancelled(&f->err);
        err_wrap(&f->err, "flow %s: ", f->def->name);
    } else if (f->failed && f->err.class == 0) {
        err_set(&f->err, ERR_DATA, ERR_BUG, "flow %s failed in step %s without saying why",
                f->def->name, step_name(f));
    }
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        log_debug("flow end", L_S("flow", f->def->name), L_S("step", step_name(f)),
                  L_I("ms", clock_mono_ms() - f->started_ms),
                  L_S("error", f->failed ? f->err.msg : ""));
    }
    if (f->def->on_end) {
        f->def->on_end(f);
    } else if (f->failed && !f->cancelled && !f->end_op) {
        err_wrap(&f->err, "%s: ", f->def->name);
        log_err(LOG_LEVEL_WARN, "flow failed", &f->err); /* nobody else could tell */
    }
    if (f->deadline_open) {
        uv_close((uv_handle_t *)&f->deadline, deadline_closed);
    } else {
        release(f);
    }
}

/* ---- the runner --------------------------------------------------------------------------------
 */

static enum flow_next run_step(struct flow *f)
{
    f->next_step = f->step + 1;
    f->in_step = true;
    enum flow_next next = f->def->steps[f->step].fn(f);
    f->in_step = false;
    /* A step waits by flow_wait, and whoever calls flow_wait returns its value. */
    CHECK((next == FLOW_WAIT) == (f->pending != NULL));
    return next;
}

static void run_steps(struct flow *f)
{
    for (int i = 0; i < BURST; i++) {
        if (f->cancelled || f->step == f->def->n) {
            end_flow(f);
            return;
        }
        switch (run_step(f)) {
        case FLOW_NEXT:
            set_step(f, f->next_step);
            break;
        case FLOW_WAIT:
            if (f->cancelled) {
                op_cancel(f->pending); /* the step cancelled its own flow, then waited */
            }
            return;
        case FLOW_FAIL:
            f->failed = true;
            end_flow(f);
            return;
        case FLOW_DONE:
            end_flow(f);
            return;
        }
    }
    loop_ready(f->loop, &f->ready);
}

static void run_ready(struct ready *r)
{
    struct flow *f = container_of(r, struct flow, ready);
    check_flow(f);
    run_steps(f);
}

/* ---- waiting -----------------------------------------------------------------------------------
 */

static void set_timeout_err(struct flow *f, struct err *err)
{
    char text[32];
    err_set_code(err, ERR_UV, ERR_RETRY, UV_ETIMEDOUT, "flow %s, step %s: no answer within %s",
                 f->def->name, step_name(f), duration_format(f->timeout_ms, text));
}

/* Says more than "cancelled"; what the op says itself, such as why there is no connection, more
 * still. */
static void explain_timeout(struct flow *f, struct err *err)
{
    const struct err why = *err;
    set_timeout_err(f, err);
    if (why.domain != ERR_UV || why.code != UV_ECANCELED) {
        char text[sizeof(err->msg)];
        snprintf(text, sizeof(text), "%s", err->msg);
        err_set_code(err, ERR_UV, ERR_RETRY, UV_ETIMEDOUT, "%s (%s)", text, why.msg);
    }
}

static void pending_done(struct op *op)
{
    struct flow *f = op->waiter;
    check_flow(f);
    CHECK(f->pending == op);
    f->pending = NULL;
    if (f->deadline_open) {
        uv_timer_stop(&f->deadline);
    }
    if (f->timed_out && op->failed) {
        explain_timeout(f, &op->err);
    }
    if (f->cancelled) {
        end_flow(f);
        return;
    }
    if (!f->tolerate && (op->failed || f->timed_out)) {
        f->failed = true;
        if (op->failed) {
            f->err = op->err;
        } else {
            set_timeout_err(f, &f->err);
        }
        end_flow(f);
        return;
    }
    set_step(f, f->next_step);
    run_steps(f);
}

static void deadline_passed(uv_timer_t *timer)
{
    struct flow *f = container_of(timer, struct flow, deadline);
    check_flow(f);
    CHECK(f->pending);
    /* Finished and queued already: it was in time. */
    if (f->pending->state == OP_PENDING) {
        f->timed_out = true;
        op_cancel(f->pending);
    }
}

static void start_deadline(struct flow *f)
{
    if (!f->deadline_open) {
        CHECK(uv_timer_init(loop_uv(f->loop), &f->deadline) == 0);
        f->deadline_open = true;
    }
    loop__timer_start(&f->deadline, deadline_passed, f->timeout_ms);
}

static enum flow_next wait_for(struct flow *f, struct op *op, unsigned next, int64_t timeout_ms,
                               bool tolerate)
{
    check_flow(f);
    CHECK(f->in_step && !f->pending && next <= f->def->n);
    CHECK(op->loop == f->loop);
    op_await(op, pending_done, f);
    f->pending = op;
    f->next_step = next;
    f->tolerate = tolerate;
    f->timed_out = false;
    f->timeout_ms = timeout_ms;
    if (timeout_ms > 0) {
        start_deadline(f);
    }
    return FLOW_WAIT;
}

enum flow_next flow_wait(struct flow *f, struct op *op, unsigned next, int64_t timeout_ms)
{
    return wait_for(f, op, next, timeout_ms, false);
}

enum flow_next flow_wait_any(struct flow *f, struct op *op, unsigned next, int64_t timeout_ms)
{
    return wait_for(f, op, next, timeout_ms, true);
}

enum flow_next flow_goto(struct flow *f, unsigned next)
{
    check_flow(f);
    CHECK(f->in_step && !f->pending && next <= f->def->n);
    f->next_step = next;
    return FLOW_NEXT;
}

enum flow_next flow_fail(struct flow *f)
{
    check_flow(f);
    CHECK(f->in_step && !f->pending);
    return FLOW_FAIL;
}

/* ---- life --------------------------------------------------------------------------------------
 */

void *flow_new(struct loop *l, const struct flow_def *def, size_t size, size_t arena_limit)
{
    loop__check_thread(l);
    CHECK(size >= sizeof(struct flow));
    struct arena *arena = arena_new(arena_limit);
    struct flow *f = arena_alloc(arena, size);
    f->magic = MAGIC;
    f->def = def;
    f->loop = l;
    f->arena = arena;
    f->ready.fn = run_ready;
    l->flows++;
    return f;
}

void flow_start(struct flow *f)
{
    check_flow(f);
    CHECK(!f->started);
    f->started = true;
    f->started_ms = f->step_ms = clock_mono_ms();
    if (!f->ready.queued) { /* it is if it was cancelled before */
        loop_ready(f->loop, &f->ready);
    }
}

static void cancel_child(struct op *op)
{
    flow_cancel(op->provider);
}

void flow_call(struct flow *child, struct op *op)
{
    check_flow(child);
    CHECK(!child->started && !child->end_op);
    op_init(op, child->loop, cancel_child);
    op->provider = child;
    op_begin(op);
    child->end_op = op;
    flow_start(child);
}

void flow_cancel(struct flow *f)
{
    check_flow(f);
    if (f->ended || f->cancelled) {
        return;
    }
    f->cancelled = true;
    if (f->pending) {
        op_cancel(f->pending);
    } else if (!f->in_step && !f->ready.queued) {
        loop_ready(f->loop, &f->ready); /* not started yet */
    }
}
