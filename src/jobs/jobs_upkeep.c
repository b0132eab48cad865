/* What has to be done now and then, by whichever instance comes to it first: lanes are looked
 * after, history is forgotten, what stands in the queue is counted for the graphs. */
#include "jobs/internal.h"

struct upkeep_flow {
    struct flow f;
    struct jobs *q;
    struct db_unit u;
    int64_t asked_ms;
};
#define UPKEEP_STEPS(STEP)                                                                         \
    STEP(upkeep, repair)                                                                           \
    STEP(upkeep, repaired)                                                                         \
    STEP(upkeep, count)                                                                            \
    STEP(upkeep, counted)                                                                          \
    STEP(upkeep, maintain)                                                                         \
    STEP(upkeep, sweep)                                                                            \
    STEP(upkeep, swept) /* -> sweep, while there are any */
FLOW_STEPS(upkeep, UPKEEP_STEPS);

static struct upkeep_flow *upkeep_of(struct flow *f)
{
    return container_of(f, struct upkeep_flow, f);
}

static struct db_unit *new_unit(struct upkeep_flow *k)
{
    db_unit_done(&k->u);
    db_unit_init(&k->u, k->q->pool, k->f.arena, 0);
    k->asked_ms = jobs__now(k->q);
    return &k->u;
}

static bool is_due(struct jobs *q, int64_t *at, int64_t period_ms)
{
    int64_t now = jobs__now(q);
    if (now < *at || q->state != JOBS_RUNNING) {
        return false;
    }
    *at = now + period_ms;
    return true;
}

static enum flow_next upkeep_repair(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    if (!is_due(k->q, &k->q->repair_ms, JOBS_REPAIR_MS)) {
        return flow_goto(f, upkeep_STEP_count);
    }
    db_add(new_unit(k), &SQL_jobs_repair_lanes);
    db_submit(&k->u);
    return flow_wait(f, &k->u.op, upkeep_STEP_repaired, JOBS_CALL_MS);
}

static enum flow_next upkeep_repaired(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    int64_t n = db_get_i64(&k->u, 0, 0, 0);
    if (n > 0) {
        k->q->counts.lanes_repaired += (uint64_t)n;
        k->q->look = true;
        log_warn("lanes stood still and go on; this should not happen: please report it",
                 L_I("lanes", n));
    }
    return FLOW_NEXT;
}

static bool did_something(const struct jobs *q)
{
    return q->counts.claimed != q->told.claimed || q->counts.finished != q->told.finished ||
           q->counts.rescued != q->told.rescued;
}

static void add_flow(struct jobs *q, struct db_unit *u)
{
    const struct jobs_counts *now = &q->counts, *old = &q->told;
    db_add(u, &SQL_jobs_add_flow);
    db_p_text(u, q->conf.queue);
    db_p_i64(u, q->owner);
    db_p_i64(u, (int64_t)(now->claimed - old->claimed));
    db_p_i64(u, (int64_t)(now->finished - old->finished));
    db_p_i64(u, (int64_t)(now->retried - old->retried));
    db_p_i64(u, (int64_t)(now->buried - old->buried));
    db_p_i64(u, (int64_t)(now->fenced - old->fenced));
    db_p_i64(u, (int64_t)(now->rescued - old->rescued));
    db_p_i64(u, (int64_t)(now->run_ms - old->run_ms));
}

static enum flow_next upkeep_count(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    struct jobs *q = k->q;
    bool busy = did_something(q);
    if (!is_due(q, &q->count_ms, busy ? JOBS_COUNT_MS : JOBS_REPAIR_MS)) {
        return flow_goto(f, upkeep_STEP_maintain);
    }
    struct db_unit *u = new_unit(k);
    db_add(u, &SQL_jobs_count_depth);
    db_p_f64(u, (double)JOBS_COUNT_MS / 1000 * 0.9);
    if (busy) {
        add_flow(q, u);
        q->told = q->counts;
    }
    db_submit(u);
    return flow_wait(f, &u->op, upkeep_STEP_counted, 6 * JOBS_CALL_MS);
}

static enum flow_next upkeep_counted(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    int64_t now = jobs__now(k->q), next = now + (now - k->asked_ms) * JOBS_COUNT_SHARE;
    k->q->count_ms = next > k->q->count_ms ? next : k->q->count_ms;
    return FLOW_NEXT;
}

static enum flow_next upkeep_maintain(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    if (!is_due(k->q, &k->q->sweep_ms, JOBS_SWEEP_MS)) {
        return FLOW_DONE;
    }
    db_add(new_unit(k), &SQL_jobs_maintain);
    db_p_i64(&k->u, JOBS_DONE_DAYS);
    db_submit(&k->u);
    return flow_wait(f, &k->u.op, upkeep_STEP_sweep, JOBS_CALL_MS);
}

/* What lies in no day's partition. */
static enum flow_next upkeep_sweep(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    db_add(new_unit(k), &SQL_jobs_sweep);
    db_p_i64(&k->u, JOBS_SWEEP_BATCH);
    db_p_i64(&k->u, JOBS_DONE_DAYS);
    db_submit(&k->u);
    return flow_wait(f, &k->u.op, upkeep_STEP_swept, JOBS_CALL_MS);
}

static enum flow_next upkeep_swept(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    bool all = db_get_i64(&k->u, 0, 0, 0) < JOBS_SWEEP_BATCH;
    return all || k->q->state != JOBS_RUNNING ? FLOW_DONE : flow_goto(f, upkeep_STEP_sweep);
}

static void upkeep_end(struct flow *f)
{
    struct upkeep_flow *k = upkeep_of(f);
    struct jobs *q = k->q;
    db_unit_done(&k->u);
    if (f->failed) {
        log_err(LOG_LEVEL_DEBUG, "upkeep of the queue failed, later perhaps", &f->err);
    }
    q->sweeping = false;
    jobs__pump(q);
}

static const struct flow_def upkeep_def = {"jobs_upkeep", upkeep_steps, upkeep_STEP_COUNT,
                                           upkeep_end};

void jobs__upkeep(struct jobs *q)
{
    int64_t now = jobs__now(q);
    if (q->sweeping || q->state != JOBS_RUNNING || q->owner == 0 ||
        (now < q->sweep_ms && now < q->repair_ms && now < q->count_ms)) {
        return;
    }
    struct upkeep_flow *k = flow_new(q->loop, &upkeep_def, sizeof(*k), 0);
    k->q = q;
    q->sweeping = true;
    flow_start(&k->f);
}
