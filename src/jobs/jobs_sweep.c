/* Finished jobs are kept for a while, for people to look at, and forgotten then. */
#include "jobs/internal.h"

struct sweep_flow {
    struct flow f;
    struct jobs *q;
    struct db_unit u;
};
#define SWEEP_STEPS(STEP)                                                                          \
    STEP(sweep, some)                                                                              \
    STEP(sweep, more) /* -> some, while there are any */
FLOW_STEPS(sweep, SWEEP_STEPS);

static struct sweep_flow *sweep_of(struct flow *f)
{
    return container_of(f, struct sweep_flow, f);
}

static enum flow_next sweep_some(struct flow *f)
{
    struct sweep_flow *s = sweep_of(f);
    db_unit_done(&s->u);
    db_unit_init(&s->u, s->q->pool, f->arena, 0);
    db_add(&s->u, &SQL_jobs_sweep);
    db_p_i64(&s->u, JOBS_SWEEP_BATCH);
    db_p_i64(&s->u, JOBS_DONE_DAYS);
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, sweep_STEP_more, JOBS_CALL_MS);
}

static enum flow_next sweep_more(struct flow *f)
{
    struct sweep_flow *s = sweep_of(f);
    bool all = db_get_i64(&s->u, 0, 0, 0) < JOBS_SWEEP_BATCH;
    return all || s->q->state != JOBS_RUNNING ? FLOW_DONE : flow_goto(f, sweep_STEP_some);
}

static void sweep_end(struct flow *f)
{
    struct sweep_flow *s = sweep_of(f);
    struct jobs *q = s->q;
    db_unit_done(&s->u);
    if (f->failed) {
        log_err(LOG_LEVEL_DEBUG, "finished jobs could not be forgotten, later perhaps", &f->err);
    }
    q->sweeping = false;
    jobs__pump(q);
}

static const struct flow_def sweep_def = {"jobs_sweep", sweep_steps, sweep_STEP_COUNT, sweep_end};

void jobs__sweep(struct jobs *q)
{
    if (q->sweeping || q->state != JOBS_RUNNING || q->owner == 0 || jobs__now(q) < q->sweep_ms) {
        return;
    }
    struct sweep_flow *s = flow_new(q->loop, &sweep_def, sizeof(*s), 0);
    s->q = q;
    q->sweeping = true;
    q->sweep_ms = jobs__now(q) + JOBS_SWEEP_MS;
    flow_start(&s->f);
}
