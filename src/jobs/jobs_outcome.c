/* What becomes of a batch whose flow failed:
 *
 *  - cancelled (drain, or since an operator cancelled one of its jobs, which then leaves): given
 *    back, the attempt refunded;
 *
 *  - refused by a rate limit (HTTP 429): back when that is over, the attempt refunded;
 *
 *  - fenced (WM001): those still ours are run again, the others belong to whoever rescued them;
 *
 *  - many, PERMANENT or BUG: each is run again alone, so that only the bad one pays;
 *
 *  - RETRY: back with a delay, or buried after the last attempt;
 *
 *  - one, PERMANENT or BUG: buried.
 *
 * Writing the outcome is itself tried again until it works or the instance drains; a crash in
 * between leaves the jobs to the rescuer. */
#include "jobs/internal.h"

struct outcome_flow {
    struct flow f;
    struct jobs *q;
    struct jobs_run *run;
    struct err why;
    struct db_unit u;
    struct timer_op pause;
    int64_t pause_ms;
    size_t retried, buried; /* what the unit under way makes of them */
    double soonest_s;       /* of those retried; 0: at once, or none */
    bool rerun;             /* run goes on instead of being freed */
};
#define OUTCOME_STEPS(STEP)                                                                        \
    STEP(outcome, decide)                                                                          \
    STEP(outcome, put_back) /* -> written */                                                       \
    STEP(outcome, bury)     /* -> written */                                                       \
    STEP(outcome, written)  /* failed: pause, then decide again */                                 \
    STEP(outcome, ask_ours) /* fenced only */                                                      \
    STEP(outcome, keep_ours)
FLOW_STEPS(outcome, OUTCOME_STEPS);

static struct outcome_flow *outcome_of(struct flow *f)
{
    return container_of(f, struct outcome_flow, f);
}

double jobs_backoff_s(int attempt, int64_t retry_after_ms, double unit_random)
{
    const double base = 2.0, cap = 3600.0;
    if (retry_after_ms > 0) {
        /* Quotas end with the day at the latest: who says more is mistaken, and far enough in the
         * future is no time for the database at all. */
        double s = (double)retry_after_ms / 1000.0;
        s = s < 0.5 ? 0.5 : s > 86400.0 ? 86400.0 : s;
        return s * (1 + 0.2 * unit_random);
    }
    double delay = base;
    for (int i = 1; i < attempt && delay < cap; i++) {
        delay *= 2.0;
    }
    return (delay < cap ? delay : cap) * (0.5 + unit_random);
}

static bool is_drained(const struct outcome_flow *o)
{
    return o->q->state == JOBS_DRAINING && o->why.class == ERR_RETRY;
}

/* Nothing was wrong with the job. */
static bool is_unspent(const struct outcome_flow *o)
{
    return is_drained(o) || o->run->unwanted || (o->why.domain == ERR_HTTP && o->why.code == 429);
}

static double delay_of(const struct outcome_flow *o, const struct jobs_job *j)
{
    if (is_drained(o) || o->run->unwanted) {
        return 0;
    }
    double random = (double)((uint64_t)clock_mono_ns() * 2654435761u % 1000003u) / 1000003.0;
    return jobs_backoff_s(j->attempt, o->why.retry_after_ms, random);
}

static struct jobs_run *copy_of_one(const struct jobs_run *run, size_t i)
{
    struct jobs_run *one = jobs__run_new(run->batch.jobs, run->batch.kind, 1);
    struct jobs_job *j = &one->batch.job[0];
    *j = run->batch.job[i];
    j->payload = arena_strdup(one->batch.arena, j->payload);
    j->lane = j->lane ? arena_strdup(one->batch.arena, j->lane) : NULL;
    one->batch.owner = run->batch.owner;
    one->batch.unpaid = run->batch.unpaid;
    one->batch.n = 1;
    return one;
}

static enum flow_next outcome_decide(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    struct jobs_batch *b = &o->run->batch;
    if (o->q->owner != b->owner) {
        return FLOW_DONE; /* we were taken for dead: none of these is ours any more */
    }
    if (strcmp(o->why.sqlstate, "WM001") == 0) {
        return flow_goto(f, o->run->fenced < JOBS_FENCED_MAX ? outcome_STEP_ask_ours
                                                             : outcome_STEP_put_back);
    }
    if (is_unspent(o) || o->why.class == ERR_RETRY) {
        return flow_goto(f, outcome_STEP_put_back);
    }
    if (b->n == 1) {
        return flow_goto(f, outcome_STEP_bury);
    }
    log_err(LOG_LEVEL_DEBUG, "batch failed, running its jobs one by one", &o->why);
    for (size_t i = 0; i < b->n; i++) {
        jobs__run_queue(o->q, copy_of_one(o->run, i));
    }
    return FLOW_DONE;
}

/* Jobs with attempts left go back with a delay of their own; the rest are buried in the same unit.
 */
static enum flow_next outcome_put_back(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    const struct jobs_batch *b = &o->run->batch;
    bool refund = is_unspent(o);
    int64_t *back = arena_new_array(f->arena, int64_t, b->n),
            *spent = arena_new_array(f->arena, int64_t, b->n);
    double *delay = arena_new_array(f->arena, double, b->n);
    size_t nback = 0, nspent = 0;
    o->soonest_s = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct jobs_job *j = &b->job[i];
        if (!refund && j->attempt >= j->max_attempts) {
            spent[nspent++] = j->id;
            continue;
        }
        delay[nback] = delay_of(o, j);
        o->soonest_s = nback == 0 || delay[nback] < o->soonest_s ? delay[nback] : o->soonest_s;
        back[nback++] = j->id;
    }
    db_unit_init(&o->u, o->q->pool, f->arena, DB_TX);
    db_add(&o->u, &SQL_jobs_requeue);
    db_p_i64_array(&o->u, back, nback);
    db_p_i64(&o->u, b->owner);
    db_p_f64_array(&o->u, delay, nback);
    db_p_text(&o->u, refund ? NULL : o->why.msg);
    db_p_bool(&o->u, refund);
    if (nspent > 0) {
        db_add(&o->u, &SQL_jobs_bury);
        db_p_i64_array(&o->u, spent, nspent);
        db_p_i64(&o->u, b->owner);
        db_p_text(&o->u, "attempts");
        db_p_text(&o->u, o->why.msg);
    }
    db_submit(&o->u);
    FAULT_POINT("outcome_sent");
    o->retried = nback;
    o->buried = nspent;
    return flow_wait_any(f, &o->u.op, outcome_STEP_written, JOBS_CALL_MS);
}

static enum flow_next outcome_bury(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    int64_t *ids;
    size_t n = jobs__run_ids(&o->run->batch, f->arena, &ids, NULL);
    db_unit_init(&o->u, o->q->pool, f->arena, DB_TX);
    db_add(&o->u, &SQL_jobs_bury);
    db_p_i64_array(&o->u, ids, n);
    db_p_i64(&o->u, o->run->batch.owner);
    db_p_text(&o->u, o->why.class == ERR_BUG ? "bug" : "permanent");
    db_p_text(&o->u, o->why.msg);
    db_submit(&o->u);
    FAULT_POINT("outcome_sent");
    o->buried = n;
    return flow_wait_any(f, &o->u.op, outcome_STEP_written, JOBS_CALL_MS);
}

/* Again in a while, unless the instance drains: then its goodbye, or a rescuer, gives them back. */
static enum flow_next try_again(struct outcome_flow *o)
{
    jobs__db_failed(o->q, JOBS_OUTCOME, &o->u.op.err);
    db_unit_done(&o->u);
    if (o->q->state != JOBS_RUNNING) {
        return FLOW_DONE;
    }
    o->pause_ms = o->pause_ms ? (o->pause_ms < 4000 ? o->pause_ms * 2 : 8000) : 500;
    timer_op_start(&o->pause, o->f.loop, o->pause_ms);
    return flow_wait(&o->f, &o->pause.op, outcome_STEP_decide, 0);
}

static enum flow_next outcome_written(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    if (o->u.op.failed) {
        return try_again(o);
    }
    FAULT_POINT("outcome_written");
    o->q->counts.retried += o->retried;
    o->q->counts.buried += o->buried;
    if (o->soonest_s > 0 && o->q->state == JOBS_RUNNING) {
        /* The claim that would have heard of it may have been the last one for long. */
        jobs__poll_within(o->q, (int64_t)(o->soonest_s * 1000) + 1);
    }
    return FLOW_DONE;
}

static enum flow_next outcome_ask_ours(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    int64_t *ids;
    size_t n = jobs__run_ids(&o->run->batch, f->arena, &ids, NULL);
    db_unit_init(&o->u, o->q->pool, f->arena, 0);
    db_add(&o->u, &SQL_jobs_still_ours);
    db_p_i64_array(&o->u, ids, n);
    db_p_i64(&o->u, o->run->batch.owner);
    db_submit(&o->u);
    return flow_wait_any(f, &o->u.op, outcome_STEP_keep_ours, JOBS_CALL_MS);
}

static enum flow_next outcome_keep_ours(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    struct jobs_batch *b = &o->run->batch;
    if (o->u.op.failed) {
        return try_again(o);
    }
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++) {
        for (int r = 0; r < db_rows(&o->u, 0); r++) {
            if (db_get_i64(&o->u, 0, r, 0) == b->job[i].id) {
                b->job[kept++] = b->job[i];
                break;
            }
        }
    }
    o->q->counts.fenced += b->n - kept;
    log_warn("jobs were taken over by another instance while they ran; our results are dropped",
             L_I("lost", b->n - kept), L_I("kept", kept));
    b->n = kept;
    o->run->fenced++;
    o->rerun = kept > 0;
    return FLOW_DONE;
}

static void outcome_end(struct flow *f)
{
    struct outcome_flow *o = outcome_of(f);
    struct jobs *q = o->q;
    db_unit_done(&o->u);
    if (q->state == JOBS_RUNNING) {
        jobs__db_worked(q, JOBS_OUTCOME); /* it ends no sooner */
    }
    if (o->rerun && q->state == JOBS_RUNNING) {
        jobs__run_queue(q, o->run);
    } else {
        jobs__run_free(o->run);
    }
    q->outcomes--;
    jobs__pump(q);
}

static const struct flow_def outcome_def = {"jobs_outcome", outcome_steps, outcome_STEP_COUNT,
                                            outcome_end};

void jobs__outcome(struct jobs *q, struct jobs_run *run, const struct err *why)
{
    struct outcome_flow *o = flow_new(q->loop, &outcome_def, sizeof(*o), 0);
    o->q = q;
    o->run = run;
    o->why = *why;
    q->outcomes++;
    bool expected = why->class == ERR_RETRY;
    log_err(expected ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
            run->batch.n == 1 ? "job failed" : "batch of jobs failed", why);
    flow_start(&o->f);
}
