/* Sums of athletes who lost activities; and the look for work that no trigger queued. */
#include "trails/internal.h"

struct stats_flow {
    struct flow f;
    struct trails *t;
    struct jobs_batch *b;
    unsigned retries;
    struct db_unit u;
};
#define STATS_STEPS(STEP)                                                                          \
    STEP(stats, restate)                                                                           \
    STEP(stats, restated)
FLOW_STEPS(stats, STATS_STEPS);

static struct stats_flow *stats_of(struct flow *f)
{
    return container_of(f, struct stats_flow, f);
}

static enum flow_next stats_restate(struct flow *f)
{
    struct stats_flow *s = stats_of(f);
    size_t n = s->b->n;
    int64_t *athlete = arena_new_array(f->arena, int64_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (trails__payload_i64(s->b->job[i].payload, "athlete", &athlete[i], &f->err) != 0) {
            return flow_fail(f);
        }
    }
    const struct db_stmt *calls[] = {&SQL_trails_lock_these_athletes, &SQL_trails_restate,
                                     &SQL_trails_prune_these_stats};
    db_unit_done(&s->u);
    db_unit_init(&s->u, s->t->pool, f->arena, DB_TX);
    jobs_add_finish(&s->u, s->b, n);
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        db_add(&s->u, calls[i]);
        db_p_i64_array(&s->u, athlete, n);
    }
    FAULT_POINT("results_ready");
    db_submit(&s->u);
    FAULT_POINT("results_sent");
    return flow_wait_any(f, &s->u.op, stats_STEP_restated, TRAILS_CALL_MS);
}

static enum flow_next stats_restated(struct flow *f)
{
    struct stats_flow *s = stats_of(f);
    if (!s->u.op.failed) {
        FAULT_POINT("results_committed");
        jobs_finished(s->b, s->b->n);
        return FLOW_DONE;
    }
    if (trails__try_again(&s->u.op.err) && s->retries++ < TRAILS_RETRIES) {
        return flow_goto(f, stats_STEP_restate);
    }
    f->err = s->u.op.err;
    return flow_fail(f);
}

static void stats_end(struct flow *f)
{
    db_unit_done(&stats_of(f)->u);
}

static const struct flow_def stats_def = {"trails_stats", stats_steps, stats_STEP_COUNT, stats_end};

struct flow *trails__stats_start(struct jobs_batch *b, void *ctx)
{
    struct trails *t = ctx;
    struct stats_flow *s = flow_new(t->loop, &stats_def, sizeof(*s), 0);
    s->t = t;
    s->b = b;
    return &s->f;
}

/* ---- reconcile ----------------------------------------------------------------------------- */

struct reconcile_flow {
    struct flow f;
    struct db_pool *pool;
    int64_t *found;
    struct db_unit u;
};
#define RECONCILE_STEPS(STEP)                                                                      \
    STEP(reconcile, look)                                                                          \
    STEP(reconcile, report)
FLOW_STEPS(reconcile, RECONCILE_STEPS);

static enum flow_next reconcile_look(struct flow *f)
{
    struct reconcile_flow *r = container_of(f, struct reconcile_flow, f);
    db_unit_init(&r->u, r->pool, f->arena, 0);
    db_add(&r->u, &SQL_trails_reconcile);
    db_submit(&r->u);
    return flow_wait(f, &r->u.op, reconcile_STEP_report, TRAILS_CALL_MS);
}

static enum flow_next reconcile_report(struct flow *f)
{
    struct reconcile_flow *r = container_of(f, struct reconcile_flow, f);
    int64_t n = db_get_i64(&r->u, 0, 0, 0);
    if (n > 0) {
        log_info("queued work that no trigger had queued", L_I("jobs", n));
    }
    if (r->found) {
        *r->found = n;
    }
    return FLOW_DONE;
}

static void reconcile_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct reconcile_flow, f)->u);
}

static const struct flow_def reconcile_def = {"trails_reconcile", reconcile_steps,
                                              reconcile_STEP_COUNT, reconcile_end};

struct flow *trails_reconcile_flow(struct db_pool *pool, int64_t *found)
{
    struct reconcile_flow *r = flow_new(db_pool_loop(pool), &reconcile_def, sizeof(*r), 0);
    r->pool = pool;
    r->found = found;
    return &r->f;
}
