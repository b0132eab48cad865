/* Claiming: due jobs become ready, the next ones become ours, and each kind among them becomes a
 * batch.
 *
 * Claims go on from where the last one ended, so that a busy queue does not step again and again
 * over the index entries of what was done, which a transaction held open anywhere keeps from being
 * cleaned away. What came meanwhile with an earlier place is found when the cursor goes back to the
 * start: at every hint, poll and short claim, and a few times a second.
 *
 * While claims bring all that they have room for, several are under way at once, as long as they
 * do nothing but go on from the cursor; SKIP LOCKED keeps them apart. Every other claim is alone.
 *
 * A suspect, a job whose process died while it ran, is claimed when nothing else is in flight, and
 * nothing else is claimed until it ends: if the process dies again it was this job. */
#include "jobs/internal.h"

enum { CLAIM_RATES = 8 };

struct claim_flow {
    struct flow f;
    struct jobs *q;
    int64_t owner; /* who claims: we may register anew meanwhile */
    bool quick;    /* only from the cursor on: may run beside others of its kind */
    bool suspect;  /* this claim is for one suspect */
    bool rewound;  /* it starts at the start */
    int64_t sent_ms;
    int due;                         /* index of that call, -1: not asked this time */
    int plain;                       /* of the claim without rates, which the cursor is about */
    unsigned taken[CLAIM_RATES + 1]; /* indexes of the calls that bring jobs */
    size_t ntaken;
    unsigned wait[CLAIM_RATES]; /* of those that tell when a rate has tokens again */
    size_t nwait;
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

/* -> ask: only after a claim whose answer never came. No other is under way now, so whatever runs
 * under our name and is not among our batches was claimed without our learning of it. */
static enum flow_next claim_audit(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    if (!q->audit || q->outcomes > 0 || c->quick) {
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

void jobs__rewind(struct jobs *q)
{
    q->cursor = (struct jobs_cursor){.prio = INT16_MIN, .fair = INT64_MIN, .id = INT64_MIN};
}

/* Names and time limits of the kinds with that rate; NULL: without one. */
static void add_kinds(const struct jobs *q, struct db_unit *u, const char *rate)
{
    const char **names = arena_new_array(u->arena, const char *, q->nkinds + 1);
    int64_t *seconds = arena_new_array(u->arena, int64_t, q->nkinds + 1);
    size_t n = 0;
    for (size_t i = 0; i < q->nkinds; i++) {
        const struct jobs_kind *k = &q->kinds[i];
        if (k->rate == rate || (rate && k->rate && strcmp(k->rate, rate) == 0)) {
            seconds[n] = ((k->timeout_ms ? k->timeout_ms : JOBS_TIMEOUT_MS) + 999) / 1000;
            names[n++] = k->name;
        }
    }
    db_p_text_array(u, names, n);
    db_p_i64_array(u, seconds, n);
}

static void add_due(struct claim_flow *c)
{
    struct jobs *q = c->q;
    const char **names = arena_new_array(c->f.arena, const char *, q->nkinds);
    for (size_t i = 0; i < q->nkinds; i++) {
        names[i] = q->kinds[i].name;
    }
    c->due = (int)c->u.n;
    db_add(&c->u, &SQL_jobs_due);
    db_p_text(&c->u, q->conf.queue);
    db_p_text_array(&c->u, names, q->nkinds);
    db_p_i64(&c->u, q->last.prio);
    db_p_i64(&c->u, q->last.fair);
    q->due = false;
    q->due_ms = jobs__now(q);
}

static void add_take(struct claim_flow *c)
{
    struct jobs *q = c->q;
    struct db_unit *u = &c->u;
    c->plain = (int)u->n;
    c->taken[c->ntaken++] = u->n;
    db_add(u, &SQL_jobs_take);
    db_p_text(u, q->conf.queue);
    db_p_i64(u, (int64_t)q->conf.batch_size);
    db_p_i64(u, c->owner);
    add_kinds(q, u, NULL);
    db_p_i64(u, q->cursor.prio);
    db_p_i64(u, q->cursor.fair);
    db_p_i64(u, q->cursor.id);
    db_p_bool(u, c->quick);
}

static void add_take_rated(struct claim_flow *c, const char *rate)
{
    struct jobs *q = c->q;
    struct db_unit *u = &c->u;
    c->taken[c->ntaken++] = u->n;
    db_add(u, &SQL_jobs_take_rated);
    db_p_text(u, q->conf.queue);
    db_p_i64(u, (int64_t)q->conf.batch_size);
    db_p_i64(u, c->owner);
    add_kinds(q, u, rate);
    db_p_text(u, rate);
    c->wait[c->nwait++] = u->n;
    db_add(u, &SQL_jobs_rate_wait);
    db_p_text(u, rate);
}

/* A rate's jobs are looked for among all that is ready, from the start: while there were none, only
 * as often as the cursor goes back there. */
static void add_takes(struct claim_flow *c)
{
    struct jobs *q = c->q;
    bool plain = false, rated = c->rewound || q->rated;
    for (size_t i = 0; i < q->nkinds; i++) {
        const char *rate = q->kinds[i].rate;
        bool first = rate && rated;
        plain = plain || !rate;
        for (size_t k = 0; k < i && first; k++) {
            first = !q->kinds[k].rate || strcmp(q->kinds[k].rate, rate) != 0;
        }
        if (first) {
            CHECK(c->nwait < CLAIM_RATES);
            add_take_rated(c, rate);
        }
    }
    if (plain) {
        add_take(c);
    }
}

static void add_take_suspect(struct claim_flow *c)
{
    struct jobs *q = c->q;
    const char **names = arena_new_array(c->f.arena, const char *, q->nkinds);
    int64_t *seconds = arena_new_array(c->f.arena, int64_t, q->nkinds);
    for (size_t i = 0; i < q->nkinds; i++) {
        int64_t ms = q->kinds[i].timeout_ms ? q->kinds[i].timeout_ms : JOBS_TIMEOUT_MS;
        names[i] = q->kinds[i].name;
        seconds[i] = (ms + 999) / 1000;
    }
    c->taken[c->ntaken++] = c->u.n;
    db_add(&c->u, &SQL_jobs_take_suspect);
    db_p_text(&c->u, q->conf.queue);
    db_p_i64(&c->u, c->owner);
    db_p_text_array(&c->u, names, q->nkinds);
    db_p_i64_array(&c->u, seconds, q->nkinds);
}

static enum flow_next claim_ask(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    if (c->audit.pool) {
        q->audit = false;
    }
    c->owner = q->owner;
    c->due = c->plain = -1;
    c->sent_ms = jobs__now(q);
    if (c->sent_ms >= q->rewind_ms && !c->quick) {
        jobs__rewind(q);
    }
    c->rewound = q->cursor.prio == INT16_MIN;
    /* One implicit transaction: nothing stays claimed if any of them fails. Should the server crash
     * and forget a claim, the fence drops what we make of it: it need not wait for the disk. A
     * quick one is a single statement, which sees to that itself. */
    db_unit_init(&c->u, q->pool, f->arena, c->quick ? 0 : DB_ASYNC_COMMIT);
    if (!c->quick && (q->due || c->sent_ms - q->due_ms >= JOBS_DUE_MS)) {
        add_due(c);
    }
    c->suspect = !c->quick && wants_suspect(q);
    if (c->suspect) {
        add_take_suspect(c);
    } else {
        add_takes(c);
    }
    /* a hint that comes from now on may be about something this claim does not see */
    q->look = false;
    db_submit(&c->u);
    FAULT_POINT("claim_sent");
    return flow_wait(f, &c->u.op, claim_STEP_take, JOBS_CALL_MS);
}

struct claimed {
    struct jobs_cursor at;
    unsigned call;
    int row;
};

static int by_order(const void *a, const void *b)
{
    const struct jobs_cursor *x = a, *y = b;
    if (x->prio != y->prio) {
        return x->prio < y->prio ? -1 : 1;
    }
    if (x->fair != y->fair) {
        return x->fair < y->fair ? -1 : 1;
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

static void read_job(const struct db_unit *u, const struct claimed *from, struct arena *a,
                     struct jobs_job *job)
{
    unsigned call = from->call;
    job->id = db_get_i64(u, call, from->row, 0);
    job->attempt = (int)db_get_i64(u, call, from->row, 4);
    job->max_attempts = (int)db_get_i64(u, call, from->row, 5);
    job->crashes = (int)db_get_i64(u, call, from->row, 6);
    job->tenant = db_get_i64(u, call, from->row, 7);
    job->timeout_ms = db_get_i64(u, call, from->row, 8) * 1000;
    job->lane = db_get_text(u, call, from->row, 9, a);
    job->payload = db_get_text(u, call, from->row, 10, a);
}

/* Rows in order of their place; each kind's rows in runs of at most its batch_max. The pump starts
 * them. */
static void queue_batches(struct jobs *q, const struct claim_flow *c, const struct claimed *order,
                          size_t n)
{
    const struct db_unit *u = &c->u;
    for (size_t k = 0; k < q->nkinds; k++) {
        const struct jobs_kind *kind = &q->kinds[k];
        struct jobs_run *run = NULL;
        for (size_t i = 0; i < n; i++) {
            if (kind_of(q, db_get_span(u, order[i].call, order[i].row, 1)) != kind) {
                continue;
            }
            if (!run) {
                run = jobs__run_new(q, kind, n - i < kind->batch_max ? n - i : kind->batch_max);
                run->batch.unpaid = c->suspect && kind->rate;
            }
            read_job(u, &order[i], run->batch.arena, &run->batch.job[run->batch.n++]);
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

static size_t in_order(const struct claim_flow *c, struct claimed **ret)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; i < c->ntaken; i++) {
        n += (size_t)db_rows(&c->u, c->taken[i]);
    }
    struct claimed *order = arena_new_array(c->f.arena, struct claimed, n + 1);
    for (size_t i = 0; i < c->ntaken; i++) {
        unsigned call = c->taken[i];
        for (int row = 0; row < db_rows(&c->u, call); row++) {
            order[k++] = (struct claimed){.at = {.prio = db_get_i64(&c->u, call, row, 2),
                                                 .fair = db_get_i64(&c->u, call, row, 3),
                                                 .id = db_get_i64(&c->u, call, row, 0)},
                                          .call = call,
                                          .row = row};
        }
    }
    qsort(order, n, sizeof(*order), by_order);
    *ret = order;
    return n;
}

/* Whether any of the calls brought as many as there was room for: there may be more. */
static bool is_full(const struct claim_flow *c)
{
    bool full = false;
    for (size_t i = 0; i < c->ntaken; i++) {
        full = full || (size_t)db_rows(&c->u, c->taken[i]) == c->q->conf.batch_size;
    }
    return full;
}

/* The next look, by what is due and by when the rates have tokens again. */
static void plan_look(const struct claim_flow *c)
{
    struct jobs *q = c->q;
    int64_t soonest = q->conf.poll_ms;
    if (c->due >= 0 && !db_is_null(&c->u, (unsigned)c->due, 0, 0)) {
        int64_t ms = db_get_i64(&c->u, (unsigned)c->due, 0, 0);
        soonest = ms < soonest ? ms : soonest;
    }
    for (size_t i = 0; i < c->nwait; i++) {
        int64_t ms = db_get_i64(&c->u, c->wait[i], 0, 0);
        soonest = ms > 0 && ms < soonest ? ms : soonest;
    }
    if (soonest < q->conf.poll_ms) {
        jobs__poll_in(q, soonest + 1);
    }
}

/* Where the next claim goes on: at the last of those without a rate. What another claimer had
 * locked before it, and gave back, is found when the cursor goes back to the start; to look for it
 * every time cost a tenth of the throughput, of four instances that step over each other's jobs. */
static void move_cursor(struct claim_flow *c, const struct claimed *order, size_t n)
{
    struct jobs *q = c->q;
    size_t last = n, nplain = c->plain >= 0 ? (size_t)db_rows(&c->u, (unsigned)c->plain) : 0;
    int64_t now = jobs__now(q);
    if (c->rewound) {
        int64_t wait = (now - c->sent_ms) * JOBS_REWIND_SHARE;
        q->rewind_ms = now + (wait > JOBS_REWIND_MS ? wait : JOBS_REWIND_MS);
    }
    if (n > 0) {
        q->last = order[n - 1].at;
    }
    if (!c->suspect) {
        q->rated = n > nplain;
    }
    do {
        last--;
    } while (nplain > 0 && order[last].call != (unsigned)c->plain);
    q->full = nplain == q->conf.batch_size;
    if (q->full && (c->rewound || by_order(&order[last].at, &q->cursor) > 0)) {
        q->cursor = order[last].at;
    } else if (!q->full) {
        jobs__rewind(q);
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
    struct claimed *order;
    size_t n = in_order(c, &order);
    bool full = is_full(c);
    bool from_cursor = !c->rewound;
    if (c->due >= 0) {
        q->suspects = db_get_i64(&c->u, (unsigned)c->due, 0, 1) != 0;
        q->limited = db_get_i64(&c->u, (unsigned)c->due, 0, 2) != 0;
        plan_look(c);
    }
    q->dry = !full && !from_cursor && c->due >= 0 && !c->suspect; /* there was no more to be had */
    q->counts.claimed += n;
    if (c->suspect) {
        q->alone = n > 0;
        q->suspect_ms = jobs__now(q);
    }
    /* Short from the cursor, or without a look at what is due: that was not all. */
    bool again = full || c->suspect || from_cursor || c->due < 0 || (q->suspects && q->dry);
    q->look = q->look || again;
    q->due = q->due || (!full && again);
    move_cursor(c, order, n);
    queue_batches(q, c, order, n);
    return FLOW_DONE;
}

static void claim_end(struct flow *f)
{
    struct claim_flow *c = claim_of(f);
    struct jobs *q = c->q;
    db_unit_done(&c->audit);
    db_unit_done(&c->u);
    q->claims--;
    q->lone = false;
    if (f->failed) {
        q->audit = true;
        q->look = q->dry = false;
        jobs__db_failed(q, JOBS_CLAIM, &f->err);
        jobs__poll_in(q, JOBS_FAILED_CLAIM_MS);
    }
    jobs__pump(q);
}

static const struct flow_def claim_def = {"jobs_claim", claim_steps, claim_STEP_COUNT, claim_end};

/* Whether the next claim has nothing to do but to go on where the last one ended. */
static bool is_quick(const struct jobs *q)
{
    int64_t now = jobs__now(q);
    return q->full && !q->audit && !q->due && !q->suspects && !q->rated && !q->limited &&
           now < q->rewind_ms && now - q->due_ms < JOBS_DUE_MS;
}

static void start_claim(struct jobs *q, bool quick)
{
    struct claim_flow *c = flow_new(q->loop, &claim_def, sizeof(*c), 0);
    c->q = q;
    c->quick = quick;
    q->claims++;
    q->lone = !quick;
    flow_start(&c->f);
}

void jobs__claim(struct jobs *q)
{
    unsigned most = q->conf.batch_size < JOBS_CLAIM_LARGE ? JOBS_CLAIMS : 1;
    while (q->nruns + q->claims < q->conf.concurrency && q->claims < most && !q->lone) {
        bool quick = is_quick(q);
        if (q->claims == 0 ? !q->look : !quick) {
            return;
        }
        start_claim(q, quick);
    }
}
