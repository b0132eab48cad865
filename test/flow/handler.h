/* A kind of job for the tests of the queue: each batch does what the test has planned for it. */
#pragma once

#include "flow/rig.h"

/* FINISH: commits the end of all its jobs, and fails with that unit. HALF: commits the first job
 * only, then fails as FAIL. HANG: waits until it is cancelled. */
enum plan { PLAN_FINISH, PLAN_HALF, PLAN_FAIL, PLAN_HANG };

struct handler {
    struct rig *rig;
    enum plan plan[16]; /* batch by batch */
    size_t nplan;       /* FINISH after the last */
    struct err err;     /* of FAIL */
    size_t started, ended, cancelled;
    char log[256]; /* batches as they started: "1,2 3 " */
};

struct handler_flow {
    struct flow f;
    struct handler *h;
    struct jobs_batch *b;
    enum plan plan;
    struct db_unit u;
    struct timer_op hang;
};
#define HANDLER_STEPS(STEP)                                                                        \
    STEP(handler, work)                                                                            \
    STEP(handler, worked)
FLOW_STEPS(handler, HANDLER_STEPS);

static enum flow_next handler_work(struct flow *f)
{
    struct handler_flow *x = container_of(f, struct handler_flow, f);
    if (x->plan == PLAN_FAIL) {
        f->err = x->h->err;
        return flow_fail(f);
    }
    if (x->plan == PLAN_HANG) {
        timer_op_start(&x->hang, f->loop, 3600000);
        return flow_wait(f, &x->hang.op, handler_STEP_worked, 0);
    }
    db_unit_init(&x->u, x->h->rig->pool, f->arena, DB_TX);
    jobs_add_finish(&x->u, x->b, x->plan == PLAN_HALF ? 1 : x->b->n);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, handler_STEP_worked, 60000);
}

static enum flow_next handler_worked(struct flow *f)
{
    struct handler_flow *x = container_of(f, struct handler_flow, f);
    if (x->plan == PLAN_HALF) {
        jobs_finished(x->b, 1);
        f->err = x->h->err;
        return flow_fail(f);
    }
    jobs_finished(x->b, x->b->n);
    return FLOW_DONE;
}

static void handler_end(struct flow *f)
{
    struct handler_flow *x = container_of(f, struct handler_flow, f);
    x->h->ended++;
    x->h->cancelled += f->cancelled;
    db_unit_done(&x->u);
}

static inline struct flow *handler_start(struct jobs_batch *b, void *ctx)
{
    static const struct flow_def def = {"handler", handler_steps, handler_STEP_COUNT, handler_end};
    struct handler *h = ctx;
    struct handler_flow *x = flow_new(h->rig->loop, &def, sizeof(*x), 0);
    x->h = h;
    x->b = b;
    x->plan = h->started < h->nplan ? h->plan[h->started] : PLAN_FINISH;
    h->started++;
    for (size_t i = 0; i < b->n; i++) {
        size_t n = strlen(h->log);
        snprintf(h->log + n, sizeof(h->log) - n, "%lld%s", (long long)b->job[i].id,
                 i + 1 < b->n ? "," : " ");
    }
    return &x->f;
}

/* A rig with two kinds, "a" in batches of at most batch_max and "b" job by job; not yet started. */
static inline void open_queue(struct rig *r, struct handler *h, size_t batch_max,
                              const struct jobs_conf *conf)
{
    rig_open(r);
    *h = (struct handler){.rig = r};
    r->kinds[0] =
        (struct jobs_kind){.name = "a", .batch_max = batch_max, .start = handler_start, .ctx = h};
    r->kinds[1] = (struct jobs_kind){.name = "b", .batch_max = 1, .start = handler_start, .ctx = h};
    const struct jobs_conf usual = rig_conf();
    rig_queue(r, conf ? conf : &usual, 2);
}

static inline void plan(struct handler *h, enum plan p)
{
    assert_true(h->nplan < COUNT_OF(h->plan));
    h->plan[h->nplan++] = p;
}

/* Batches in plan fail with this. */
static inline void plan_error(struct handler *h, enum err_class class, const char *msg)
{
    (void)err_set(&h->err, ERR_DATA, class, "%s", msg);
}

static inline struct script_unit *expect_finish(const char *ids, const char *attempts)
{
    return rig_expect_finish("jobs_finish", ids, attempts);
}
