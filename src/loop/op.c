#include "loop/internal.h"

void loop__cancelled(struct err *err)
{
    err_set_code(err, ERR_UV, ERR_RETRY, UV_ECANCELED, "cancelled");
}

/* ---- op ----------------------------------------------------------------------------------------
 */

static void run_done(struct ready *r)
{
    struct op *op = container_of(r, struct op, ready);
    CHECK(op->state == OP_FINISHED && op->on_done);
    op->state = OP_DONE;
    op->on_done(op); /* may free op */
}

void op_init(struct op *op, struct loop *l, void (*cancel)(struct op *op))
{
    *op = (struct op){.ready = {.fn = run_done}, .loop = l, .cancel = cancel};
}

void op_begin(struct op *op)
{
    CHECK(op->loop && op->state == OP_IDLE);
    loop__check_thread(op->loop);
    op->state = OP_PENDING;
}

void op_finish(struct op *op, const struct err *err)
{
    CHECK(op->state == OP_PENDING);
    op->state = OP_FINISHED;
    if (err) {
        op->failed = true;
        op->err = *err;
        if (op->err.class == 0) {
            err_set(&op->err, ERR_DATA, ERR_BUG, "the operation failed without saying why");
        }
    }
    if (op->on_done) {
        loop_ready(op->loop, &op->ready);
    }
}

void op_finish_cancelled(struct op *op)
{
    struct err err;
    loop__cancelled(&err);
    op_finish(op, &err);
}

void op_cancel(struct op *op)
{
    if (op->state != OP_PENDING || op->cancelled) {
        return;
    }
    op->cancelled = true;
    if (op->cancel) {
        op->cancel(op);
    }
}

void op_await(struct op *op, void (*on_done)(struct op *op), void *waiter)
{
    CHECK(op->state == OP_PENDING || op->state == OP_FINISHED);
    CHECK(!op->on_done && on_done);
    op->on_done = on_done;
    op->waiter = waiter;
    if (op->state == OP_FINISHED) {
        loop_ready(op->loop, &op->ready);
    }
}

/* ---- gather ------------------------------------------------------------------------------------
 */

static void count_down(struct gather *g)
{
    CHECK(g->left > 0);
    if (--g->left == 0) {
        op_finish(&g->op, g->any_failed ? &g->first : NULL);
    }
}

static void member_done(struct op *member)
{
    struct gather *g = member->waiter;
    if (member->failed && !g->any_failed) {
        g->any_failed = true;
        g->first = member->err;
    }
    count_down(g);
}

static void seal(struct ready *r)
{
    count_down(container_of(r, struct gather, seal));
}

static void cancel_members(struct op *op)
{
    struct gather *g = container_of(op, struct gather, op);
    for (size_t i = 0; i < g->n; i++) {
        op_cancel(g->member[i]);
    }
}

void gather_init(struct gather *g, struct loop *l, struct arena *a, size_t cap)
{
    *g = (struct gather){.seal = {.fn = seal}, .cap = cap, .left = 1};
    g->member = arena_new_array(a, struct op *, cap);
    op_init(&g->op, l, cancel_members);
    op_begin(&g->op);
    loop_ready(l, &g->seal);
}

void gather_add(struct gather *g, struct op *member)
{
    CHECK(g->seal.queued && g->n < g->cap);
    g->member[g->n++] = member;
    g->left++;
    op_await(member, member_done, g);
    if (g->op.cancelled) {
        op_cancel(member);
    }
}
