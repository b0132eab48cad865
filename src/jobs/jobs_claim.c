/* Claiming: due jobs become ready, the next ones become ours, and each kind among them becomes a
 * batch.
 *
 * A suspect, a job whose process died while it ran, is claimed when nothing else is in flight, and
 * nothing else is claimed until it ends: if the process dies again it was this job. */
#include "jobs/internal.h"

struct claim_flow {
    struct flow f;
    struct jobs *q;
    int64_t owner; /* who claims: we may register anew meanwhile */
    bool suspect;  /* this claim is for one suspect */
    struct db_unit audit;
    struct db_unit u;
};
#define CLAIM_STEPS(STEP)                                                                          \
    STEP(claim, audit)                                                                             \
    STEP(claim, ask)                                                                               \
    STEP(claim, take)
FLOW_STEPS(claim, CLAIM_STEPS);

static struct claim_flow *claim_of(struct flow *f)
{
    return container_of(f, struct claim_flow, f);
}

static size_t known_ids(const struct jobs *q, struct arena *a, int64_t **ret)
{
    const struct jobs_run *lists[] = {q->runs, q->queued};
    size_t n = 0, k = 0;
    for (size_t l = 0; l < COUNT_OF(lists); l++) {
        for (const struct jobs_run *r = lists[l]; r; r = r->next) {
            n += r->batch.n;
        }
    }
    *ret = arena_new_array(a, int64_t, n + 1);
    for (size_t l = 0; l < COUNT_OF(lists); l++) {
        for (const struct jobs_run *r = lists[l]; r; r = r->next) {
            for (size_t i = 0; i < r->batch.n; i++) {
                (*ret)[k++] = r->batch.job[i].id;
            }
        }
    }
    return n;
}

/* -> ask: only after a claim whose answer never came. No claim is under way now, so whatever runs
 * under our name and is not among our batches was claimed without our learning of it. */
static enum flow_next claim_audit(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    if (!q->audit || q->outcomes > 0) {
        return flow_goto(f, claim_STEP_ask);
    }
    int64_t *ids;
    size_t n = known_ids(q, f->arena, &ids);
    db_unit_init(&c->audit, q->pool, f->arena, 0);
    db_add(&c->audit, &SQL_jobs_release_unknown);
    db_p_i64(&c->audit, q->owner);
    db_p_i64_array(&c->audit, ids, n);
    db_submit(&c->audit);
    return flow_wait(f, &c->audit.op, claim_STEP_ask, JOBS_CALL_MS);
}

/* Nothing may be in flight; and while there is other work, its turn must have come. */
static bool wants_suspect(const struct jobs *q)
{
    return q->suspects && !q->runs && !q->queued &&
           (q->dry || jobs__now(q) - q->suspect_ms >= JOBS_SUSPECT_MS);
}

static enum flow_next claim_ask(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    if (c->audit.pool) {
        q->audit = false;
    }
    const char **names = arena_new_array(f->arena, const char *, q->nkinds);
    for (size_t i = 0; i < q->nkinds; i++) {
        names[i] = q->kinds[i].name;
    }
    c->owner = q->owner;
    /* One implicit transaction: nothing stays claimed if any of them fails. */
    db_unit_init(&c->u, q->pool, f->arena, 0);
    db_add(&c->u, &SQL_jobs_due);
    db_p_text(&c->u, q->conf.queue);
    c->suspect = wants_suspect(q);
    db_add(&c->u, c->suspect ? &SQL_jobs_claim_suspect : &SQL_jobs_claim);
    db_p_text(&c->u, q->conf.queue);
    db_p_i64(&c->u, c->suspect ? 1 : (int64_t)q->conf.batch_size);
    db_p_i64(&c->u, c->owner);
    db_p_text_array(&c->u, names, q->nkinds);
    db_add(&c->u, &SQL_jobs_next_due);
    db_p_text(&c->u, q->conf.queue);
    db_add(&c->u, &SQL_jobs_suspects);
    db_p_text(&c->u, q->conf.queue);
    db_p_text_array(&c->u, names, q->nkinds);
    q->look =
        false; /* a hint that comes from now on may be about something this claim does not see */
    db_submit(&c->u);
    FAULT_POINT("claim_sent");
    return flow_wait(f, &c->u.op, claim_STEP_take, JOBS_CALL_MS);
}

struct claimed {
    int64_t prio, id;
    int row;
};

static int by_order(const void *a, const void *b)
{
    const struct claimed *x = a, *y = b;
    if (x->prio != y->prio) {
        return x->prio < y->prio ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static const struct jobs_kind *kind_of(const struct jobs *q, struct span name)
{
    for (size_t i = 0; i < q->nkinds; i++) {
        if (span_is(name, q->kinds[i].name)) {
            return &q->kinds[i];
        }
    }
    return NULL;
}

static void read_job(const struct db_unit *u, int row, struct arena *a, struct jobs_job *job)
{
    job->id = db_get_i64(u, 1, row, 0);
    job->attempt = (int)db_get_i64(u, 1, row, 3);
    job->max_attempts = (int)db_get_i64(u, 1, row, 4);
    job->crashes = (int)db_get_i64(u, 1, row, 5);
    job->tenant = db_get_i64(u, 1, row, 6);
    job->payload = db_get_text(u, 1, row, 7, a);
}

/* Rows in order of (prio, id); each kind's rows in runs of at most its batch_max. The pump starts
 * them. */
static void queue_batches(struct jobs *q, const struct db_unit *u, const struct claimed *order,
                          size_t n)
{
    for (size_t k = 0; k < q->nkinds; k++) {
        const struct jobs_kind *kind = &q->kinds[k];
        struct jobs_run *run = NULL;
        for (size_t i = 0; i < n; i++) {
            if (kind_of(q, db_get_span(u, 1, order[i].row, 1)) != kind) {
                continue;
            }
            if (!run) {
                run = jobs__run_new(q, kind, n);
            }
            read_job(u, order[i].row, run->batch.arena, &run->batch.job[run->batch.n++]);
            if (run->batch.n == kind->batch_max) {
                jobs__run_queue(q, run);
                run = NULL;
            }
        }
        if (run) {
            jobs__run_queue(q, run);
        }
    }
}

static enum flow_next claim_take(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    FAULT_POINT("claim_answered");
    jobs__db_worked(q, JOBS_CLAIM);
    if (c->owner != q->owner) {
        q->look = true; /* claimed under a name that was taken for dead: for its rescuer */
        return FLOW_DONE;
    }
    size_t n = (size_t)db_rows(&c->u, 1);
    q->suspects = db_get_i64(&c->u, 3, 0, 0) != 0;
    q->dry = n < q->conf.batch_size && !c->suspect; /* there was no more to be had */
    q->counts.claimed += n;
    if (c->suspect) {
        q->alone = n > 0;
        q->suspect_ms = jobs__now(q);
    }
    if (n == q->conf.batch_size || c->suspect || (q->suspects && q->dry)) {
        q->look = true;
    }
    struct claimed *order = arena_new_array(f->arena, struct claimed, n + 1);
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct claimed){db_get_i64(&c->u, 1, (int)i, 2),
                                    db_get_i64(&c->u, 1, (int)i, 0), (int)i};
    }
    qsort(order, n, sizeof(*order), by_order);
    if (!db_is_null(&c->u, 2, 0, 0)) {
        int64_t due_ms = db_get_i64(&c->u, 2, 0, 0);
        if (due_ms < q->conf.poll_ms) {
            jobs__poll_in(q, due_ms + 1);
        }
    }
    queue_batches(q, &c->u, order, n);
    return FLOW_DONE;
}

static void claim_end(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    db_unit_done(&c->audit);
    db_unit_done(&c->u);
    q->claiming = false;
    if (f->failed) {
        q->audit = true;
        q->look = q->dry = false;
        jobs__db_failed(q, JOBS_CLAIM, &f->err);
        jobs__poll_in(q, JOBS_FAILED_CLAIM_MS);
    }
    jobs__pump(q);
}

static const struct flow_def claim_def = {"jobs_claim", claim_steps, claim_STEP_COUNT, claim_end};

void jobs__claim(struct jobs *q)
{
    struct claim_flow *c = flow_new(q->loop, &claim_def, sizeof(*c), 0);
    c->q = q;
    q->claiming = true;
    flow_start(&c->f);
}
