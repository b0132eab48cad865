/* The job strava.events: jobs of the events that wait, in chunks, until none is left. */
#include "ingest/internal.h"

enum {
    CHUNK = 250,
    /* While events pour in the database belongs to those who keep them: Strava lets us make some
     * thousand calls a day, so there is no haste. A chunk slows them down while it lasts: after a
     * pause of 99 times that, it is one event in a hundred; of a long chunk, a few. */
    POURING_PER_S = 500,
    POURING_PACE = 99,
    POURING_LEAST_MS = 500,
    POURING_MOST_MS = 5000,
    PACE = 2, /* else a third of the time is left to it */
    PACE_LEAST_MS = 10,
    PACE_MOST_MS = 1000,
    SOON_MS = 20,         /* when somebody is just committing events */
    HAND_OVER_MS = 30000, /* a successor goes on, with attempts and a deadline of its own */
};

struct dispatch_flow {
    struct flow f;
    struct db_pool *pool;
    struct jobs_batch *b;
    struct db_unit u;
    struct timer_op pause;
    int64_t started_ms, asked_ms, events, jobs;
    int64_t last_id, last_ms; /* of the newest event, and when that was; 0: not known yet */
};
#define DISPATCH_STEPS(STEP)                                                                       \
    STEP(dispatch, chunk)                                                                          \
    STEP(dispatch, counted) /* -> chunk after a pause, or -> hand_over, while it is full */        \
    STEP(dispatch, end)                                                                            \
    STEP(dispatch, ended) /* -> chunk after a pause, or -> hand_over, if more came */              \
    STEP(dispatch, hand_over)                                                                      \
    STEP(dispatch, handed_over)
FLOW_STEPS(dispatch, DISPATCH_STEPS);

static struct dispatch_flow *dispatch_of(struct flow *f)
{
    return container_of(f, struct dispatch_flow, f);
}

static struct db_unit *new_unit(struct dispatch_flow *d)
{
    db_unit_done(&d->u);
    db_unit_init(&d->u, d->pool, d->f.arena, DB_TX);
    return &d->u;
}

static enum flow_next dispatch_chunk(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    if (d->started_ms == 0) {
        d->started_ms = loop_now_ms(f->loop);
    }
    d->asked_ms = clock_mono_ms();
    db_add(new_unit(d), &SQL_ingest_dispatch);
    db_p_i64(&d->u, CHUNK);
    db_submit(&d->u);
    return flow_wait(f, &d->u.op, dispatch_STEP_counted, INGEST_LIVE_CALL_MS);
}

static enum flow_next again(struct dispatch_flow *d, int64_t pause_ms)
{
    if (loop_now_ms(d->f.loop) - d->started_ms > HAND_OVER_MS) {
        return flow_goto(&d->f, dispatch_STEP_hand_over);
    }
    timer_op_start(&d->pause, d->f.loop, pause_ms);
    return flow_wait(&d->f, &d->pause.op, dispatch_STEP_chunk, 0);
}

/* Whether many events have come since the chunk before, at whatever instance: ids count them. The
 * first time nobody knows, and those who keep events get the benefit. */
static bool are_pouring(struct dispatch_flow *d, int64_t last_id, int64_t now_ms)
{
    bool known = d->last_ms != 0;
    int64_t came = last_id - d->last_id, ms = now_ms - d->last_ms;
    d->last_id = last_id;
    d->last_ms = now_ms;
    return !known || came > ms * POURING_PER_S / 1000;
}

static int64_t pause_after(int64_t chunk_ms, bool pouring)
{
    int64_t ms = chunk_ms * (pouring ? POURING_PACE : PACE);
    int64_t least = pouring ? POURING_LEAST_MS : PACE_LEAST_MS;
    int64_t most = pouring ? POURING_MOST_MS : PACE_MOST_MS;
    return ms < least ? least : ms > most ? most : ms;
}

static enum flow_next dispatch_counted(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    int64_t events = db_get_i64(&d->u, 0, 0, 0), jobs = db_get_i64(&d->u, 0, 0, 1);
    int64_t now_ms = clock_mono_ms();
    bool pouring = are_pouring(d, db_get_i64(&d->u, 0, 0, 2), now_ms);
    d->events += events;
    d->jobs += jobs;
    if (jobs > 0) {
        jobs_hint(d->b->jobs);
    }
    if (events < CHUNK) {
        return FLOW_NEXT;
    }
    return again(d, pause_after(now_ms - d->asked_ms, pouring));
}

static enum flow_next dispatch_end(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    jobs_add_finish(new_unit(d), d->b, d->b->n);
    db_add(&d->u, &SQL_ingest_dispatch_end);
    db_submit(&d->u);
    return flow_wait_any(f, &d->u.op, dispatch_STEP_ended, INGEST_LIVE_CALL_MS);
}

static enum flow_next done(struct dispatch_flow *d)
{
    jobs_finished(d->b, d->b->n);
    log_debug("events became jobs", L_I("events", d->events), L_I("jobs", d->jobs));
    return FLOW_DONE;
}

static enum flow_next dispatch_ended(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    if (!d->u.op.failed) {
        return done(d);
    }
    if (strcmp(d->u.op.err.sqlstate, "WM002") == 0) {
        return again(d, SOON_MS);
    }
    f->err = d->u.op.err;
    return flow_fail(f);
}

static enum flow_next dispatch_hand_over(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    const struct jobs_new next = {
        .kind = "strava.events", .ukey = "events", .prio = -10, .max_attempts = 100};
    jobs_add_finish(new_unit(d), d->b, d->b->n);
    jobs_add(&d->u, "trails", &next, 1);
    db_submit(&d->u);
    return flow_wait(f, &d->u.op, dispatch_STEP_handed_over, INGEST_LIVE_CALL_MS);
}

static enum flow_next dispatch_handed_over(struct flow *f)
{
    struct dispatch_flow *d = dispatch_of(f);
    jobs_hint(d->b->jobs);
    return done(d);
}

static void dispatch_over(struct flow *f)
{
    db_unit_done(&dispatch_of(f)->u);
}

static const struct flow_def dispatch_def = {"ingest_dispatch", dispatch_steps, dispatch_STEP_COUNT,
                                             dispatch_over};

static struct flow *dispatch_start(struct jobs_batch *b, void *ctx)
{
    struct db_pool *pool = ctx;
    struct dispatch_flow *d = flow_new(db_pool_loop(pool), &dispatch_def, sizeof(*d), 0);
    d->pool = pool;
    d->b = b;
    return &d->f;
}

void ingest_dispatch_kind(struct db_pool *pool, struct jobs_kind *out)
{
    *out = (struct jobs_kind){
        .name = "strava.events",
        .batch_max = 1,
        .start = dispatch_start,
        .ctx = pool,
        .timeout_ms = 120000,
    };
}
