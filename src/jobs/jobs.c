/* The queue's life: open, start, the pump that decides what happens next, drain, close. */
#include "jobs/internal.h"

static void poll_fired(uv_timer_t *t)
{
    struct jobs *q = t->data;
    q->look = q->due = true;
    jobs__rewind(q);
    jobs__pump(q);
}

void jobs__poll_in(struct jobs *q, int64_t ms)
{
    uv_timer_start(&q->poll, poll_fired, (uint64_t)ms, 0);
}

void jobs__poll_within(struct jobs *q, int64_t ms)
{
    if (ms < q->conf.poll_ms &&
        (!uv_is_active((uv_handle_t *)&q->poll) || uv_timer_get_due_in(&q->poll) > (uint64_t)ms)) {
        jobs__poll_in(q, ms);
    }
}

static void drain_fired(uv_timer_t *t)
{
    struct jobs *q = t->data;
    for (struct jobs_run *r = q->runs; r; r = r->next) {
        if (r->flow) {
            flow_cancel(r->flow);
        }
    }
}

struct jobs *jobs_open(struct db_pool *pool, const struct jobs_conf *conf,
                       const struct jobs_kind *kinds, size_t n)
{
    struct jobs *q = mem_alloc(sizeof(*q));
    q->magic = JOBS_MAGIC;
    q->loop = db_pool_loop(pool);
    q->pool = pool;
    q->conf = *conf;
    q->kinds = kinds;
    q->nkinds = n;
    q->look = q->due = true;
    jobs__rewind(q);
    struct db_conf beat = *conf->db;
    beat.max_conns = 1;
    beat.idle_close_ms = 0;
    q->beat_pool = db_pool_open(q->loop, &beat);
    uv_timer_t *timers[] = {&q->poll, &q->hint, &q->drain_timer};
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        CHECK(uv_timer_init(loop_uv(q->loop), timers[i]) == 0);
        timers[i]->data = q;
        q->open_handles++;
    }
    /* A hint to others is no reason to stay; a claim that is due is: with every connection lost,
     * nothing else may keep the loop alive. */
    uv_unref((uv_handle_t *)&q->hint);
    return q;
}

static void tick(void *ctx)
{
    jobs__run_late(ctx);
    jobs__beat(ctx);
}

void jobs_start(struct jobs *q)
{
    CHECK(q->magic == JOBS_MAGIC && q->state == JOBS_NEW);
    q->state = JOBS_RUNNING;
    q->beat = ticker_open(q->loop, JOBS_BEAT_MS, true, tick, q);
    jobs__beat(q);
}

void jobs_wake(struct jobs *q)
{
    q->look = q->due = true;
    jobs__rewind(q); /* what has come may stand before what was claimed last */
    jobs__pump(q);
}

/* ---- hints to others ---------------------------------------------------------------------------
 */

struct hint_flow {
    struct flow f;
    struct jobs *q;
    struct db_unit u;
};
#define HINT_STEPS(STEP)                                                                           \
    STEP(hint, send)                                                                               \
    STEP(hint, sent)
FLOW_STEPS(hint, HINT_STEPS);

static enum flow_next hint_send(struct flow *f)
{
    struct hint_flow *h = container_of(f, struct hint_flow, f);
    db_unit_init(&h->u, h->q->pool, f->arena, 0);
    db_add(&h->u, &SQL_jobs_hint);
    db_p_text(&h->u, h->q->conf.notify_channel);
    db_submit(&h->u);
    /* Only a hint: others poll, so a lost one costs them some time and us nothing. */
    return flow_wait_any(f, &h->u.op, hint_STEP_sent, JOBS_CALL_MS);
}

static enum flow_next hint_sent(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void hint_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct hint_flow, f)->u);
}

static const struct flow_def hint_def = {"jobs_hint", hint_steps, hint_STEP_COUNT, hint_end};

static void hint_fired(uv_timer_t *t)
{
    struct jobs *q = t->data;
    q->hint_set = false;
    q->hint_ms = jobs__now(q);
    if (q->state != JOBS_RUNNING) {
        return;
    }
    struct hint_flow *h = flow_new(q->loop, &hint_def, sizeof(*h), 0);
    h->q = q;
    flow_start(&h->f);
}

void jobs_hint(struct jobs *q)
{
    if (!q->hint_set && q->state == JOBS_RUNNING) {
        int64_t wait = q->hint_ms + JOBS_HINT_MS - jobs__now(q);
        q->hint_set = true;
        uv_timer_start(&q->hint, hint_fired, q->hint_ms && wait > 0 ? (uint64_t)wait : 0, 0);
    }
    jobs_wake(q);
}

/* ---- what next ---------------------------------------------------------------------------------
 */

void jobs__db_failed(struct jobs *q, enum jobs_caller who, const struct err *err)
{
    q->down_last_ms = jobs__now(q);
    /* That connections are lost and refused is one thing; another reason is worth a line. */
    bool lost = err->sqlstate[0] == '\0' || strncmp(err->sqlstate, "08", 2) == 0 ||
                strncmp(err->sqlstate, "57", 2) == 0;
    bool news = !lost && strcmp(err->sqlstate, q->down_err.sqlstate) != 0;
    if (q->failing == 0) {
        q->down_since_ms = q->down_last_ms;
    }
    if (q->failing == 0 || news) {
        log_err(LOG_LEVEL_WARN,
                err->class == ERR_BUG ? "queue does not work, trying again"
                                      : "queue cannot be reached, trying again",
                err);
    }
    q->failing |= (unsigned)who;
    q->down_err = *err;
}

void jobs__db_worked(struct jobs *q, enum jobs_caller who)
{
    if (q->failing == (unsigned)who) {
        log_info("queue is reachable again", L_I("after_ms", jobs__now(q) - q->down_since_ms));
    }
    q->failing &= ~(unsigned)who;
}

static void finish_idle(struct jobs *q)
{
    if (!q->idle) {
        return;
    }
    /* From failure to failure: with every slot taken nobody asks, which is no outage. A statement
     * that the server does not understand will not be understood later either. */
    bool down =
        q->failing && q->idle_fail_ms > 0 &&
        (q->down_last_ms - q->down_since_ms > q->idle_fail_ms || q->down_err.class == ERR_BUG);
    bool idle = q->looked && q->dry && !q->suspects && !q->look && q->claims == 0 && !q->runs &&
                !q->queued && q->outcomes == 0;
    if (idle || down) {
        struct op *op = q->idle;
        q->idle = NULL;
        op_finish(op, idle ? NULL : &q->down_err);
    }
}

static void step_drain(struct jobs *q)
{
    if (q->runs || q->outcomes || q->claims > 0 || q->beating || q->sweeping || q->leaving) {
        return;
    }
    /* Claimed and not begun, perhaps by a claim that was under way: still ours in the database, and
     * given back there. */
    while (q->queued) {
        struct jobs_run *run = q->queued;
        q->queued = run->next;
        jobs__run_free(run);
    }
    q->leaving = true;
    jobs__leave(q);
}

void jobs__pump(struct jobs *q)
{
    if (q->state == JOBS_DRAINING) {
        step_drain(q);
        return;
    }
    if (q->state != JOBS_RUNNING || q->owner == 0) {
        finish_idle(q);
        return;
    }
    while (q->queued && q->nruns < q->conf.concurrency) {
        struct jobs_run *run = q->queued;
        q->queued = run->next;
        jobs__run_start(q, run);
    }
    /* With suspects about and their turn come, let what is in flight end first. */
    bool turn = q->dry || jobs__now(q) - q->suspect_ms >= JOBS_SUSPECT_MS;
    bool hold = q->alone || (q->suspects && q->runs && turn);
    bool fit = !q->stopped && jobs__now(q) - q->beat_ms < JOBS_FENCE_MS;
    if (!hold && fit && !q->queued) {
        jobs__claim(q);
    }
    if (q->claims == 0 && !uv_is_active((uv_handle_t *)&q->poll)) {
        double spread = 0.8 + 0.4 * ((double)(clock_mono_ns() % 1000) / 1000.0);
        jobs__poll_in(q, (int64_t)((double)q->conf.poll_ms * spread));
    }
    finish_idle(q);
}

static void cancel_idle(struct op *op)
{
    struct jobs *q = op->provider;
    q->idle = NULL;
    op_finish_cancelled(op);
}

void jobs_wait_idle(struct jobs *q, struct op *op, int64_t fail_after_ms)
{
    CHECK(!q->idle);
    op_init(op, q->loop, cancel_idle);
    op->provider = q;
    op_begin(op);
    q->idle = op;
    q->idle_fail_ms = fail_after_ms;
    q->dry = false;
    jobs_wake(q);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

void jobs_drain(struct jobs *q, struct op *op)
{
    CHECK(!q->drain);
    op_init(op, q->loop, NULL);
    op_begin(op);
    q->drain = op;
    if (q->state == JOBS_NEW) {
        q->state = JOBS_DRAINED;
        op_finish(op, NULL);
        return;
    }
    q->state = JOBS_DRAINING;
    FAULT_POINT("draining");
    ticker_close(q->beat);
    q->beat = NULL;
    uv_timer_stop(&q->poll);
    uv_timer_start(&q->drain_timer, drain_fired, (uint64_t)q->conf.drain_ms, 0);
    jobs__pump(q);
}

static void maybe_free(struct jobs *q)
{
    if (q->open_handles > 0 || q->beat_pool) {
        return;
    }
    void (*fn)(void *) = q->on_closed;
    void *ctx = q->on_closed_ctx;
    vec_done(&q->peers);
    mem_free(q);
    if (fn) {
        fn(ctx);
    }
}

static void timer_closed(uv_handle_t *h)
{
    struct jobs *q = h->data;
    q->open_handles--;
    maybe_free(q);
}

static void beat_pool_closed(void *ctx)
{
    struct jobs *q = ctx;
    q->beat_pool = NULL;
    maybe_free(q);
}

void jobs_close(struct jobs *q, void (*on_closed)(void *ctx), void *ctx)
{
    CHECK(q->magic == JOBS_MAGIC && !q->closing &&
          (q->state == JOBS_NEW || q->state == JOBS_DRAINED));
    q->closing = true;
    q->on_closed = on_closed;
    q->on_closed_ctx = ctx;
    uv_close((uv_handle_t *)&q->poll, timer_closed);
    uv_close((uv_handle_t *)&q->hint, timer_closed);
    uv_close((uv_handle_t *)&q->drain_timer, timer_closed);
    db_pool_close(q->beat_pool, beat_pool_closed, q);
}

struct jobs_counts jobs_counts(const struct jobs *q)
{
    return q->counts;
}

bool jobs_knows(const struct jobs *q, struct span kind)
{
    for (size_t i = 0; i < q->nkinds; i++) {
        if (span_is(kind, q->kinds[i].name)) {
            return true;
        }
    }
    return false;
}

int64_t jobs_owner(const struct jobs *q)
{
    return q->owner;
}

const char *jobs_queue(const struct jobs *q)
{
    return q->conf.queue;
}
