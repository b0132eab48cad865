/* Group commit. One statement keeps a whole group of events: what an event costs is a row, what a
 * commit costs is shared by all that came while the one before was under way. */
#include "ingest/internal.h"

enum {
    COMMITS = 2, /* while the server waits for its disk in one, it can work at the other; */
    /* but where the disk is quick, one at a time is less work: what comes meanwhile shares it. */
    PATIENCE_NS = 1000000,
    GROUP = 512,     /* what the statement of a group takes is its latency */
    WAITING = 8192,  /* some 6 MB, and more than a slow disk takes before Strava gives up */
    MEND_MS = 60000, /* between looks whether the job of the events is there, when it should be */
};

struct ingest__group {
    struct ingest_events *events;
    struct arena *arena;
    struct db_unit u;
    struct ingest_keep *first; /* those not cancelled */
    bool busy;
};

struct ingest_events {
    struct loop *loop;
    struct db_pool *pool;
    struct ingest_events_conf conf;
    struct ingest_keep *first, *last; /* that wait */
    struct ingest__group group[INGEST_COMMITS_MAX];
    unsigned busy;
    int64_t begun_ns; /* the last of the commits under way */
    struct ticker *mend;
    struct db_unit mend_unit;
    struct arena *mend_arena;
    bool mending;
    struct ready ready; /* groups start when a turn of the loop has brought all it had to bring */
    struct ingest_events_counts counts;
    bool failing; /* the last commit did: it is said once */
    struct op *closed;
};

static void start_groups(struct ready *r);
static void on_mend(void *ctx);

struct ingest_events *ingest_events_open(struct loop *l, const struct ingest_events_conf *conf)
{
    struct ingest_events *e = mem_alloc(sizeof(*e));
    e->loop = l;
    e->conf = *conf;
    e->conf.commits = conf->commits ? conf->commits : COMMITS;
    e->conf.group = conf->group ? conf->group : GROUP;
    e->conf.waiting = conf->waiting ? conf->waiting : WAITING;
    CHECK(e->conf.commits <= INGEST_COMMITS_MAX && e->conf.group <= INGEST_GROUP_MAX);
    struct db_conf db = *conf->db;
    db.max_conns = e->conf.commits;
    db.application_name = "waymark-events";
    e->pool = db_pool_open(l, &db);
    e->ready.fn = start_groups;
    e->mend_arena = arena_new(0);
    e->mend = ticker_open(l, MEND_MS, true, on_mend, e);
    for (unsigned i = 0; i < e->conf.commits; i++) {
        e->group[i].events = e;
        e->group[i].arena = arena_new(0);
    }
    return e;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void append(struct ingest_events *e, struct ingest_keep *k)
{
    k->next = NULL;
    k->prev = e->last;
    *(e->last ? &e->last->next : &e->first) = k;
    e->last = k;
    e->counts.waiting++;
}

static void take_out(struct ingest_keep *k)
{
    struct ingest_events *e = k->events;
    struct ingest__group *g = k->group;
    *(k->prev ? &k->prev->next : g ? &g->first : &e->first) = k->next;
    if (k->next) {
        k->next->prev = k->prev;
    } else if (!g) {
        e->last = k->prev;
    }
    e->counts.waiting -= g == NULL;
    k->next = k->prev = NULL;
}

/* ---- a group --------------------------------------------------------------------------------- */

/* Times that no calendar has are as good as none. */
static int64_t time_us(int64_t time_s)
{
    const int64_t year_9999_s = 253402300799;
    return time_s >= 0 && time_s <= year_9999_s ? time_s * 1000000 : INT64_MIN;
}

static void fill_unit(struct ingest__group *g, size_t n)
{
    enum { ATHLETE, ASPECT, OBJECT, OWNER, SUBSCRIPTION, TIME, WITHDRAWN, COLUMNS };
    int64_t *column[COLUMNS];
    for (size_t i = 0; i < COLUMNS; i++) {
        column[i] = arena_new_array(g->arena, int64_t, n);
    }
    size_t i = 0;
    for (const struct ingest_keep *k = g->first; k; k = k->next, i++) {
        column[ATHLETE][i] = k->event.is_athlete;
        column[ASPECT][i] = k->event.aspect;
        column[OBJECT][i] = k->event.object_id;
        column[OWNER][i] = k->event.owner_id;
        column[SUBSCRIPTION][i] = k->event.subscription_id;
        column[TIME][i] = time_us(k->event.time_s);
        column[WITHDRAWN][i] = k->event.withdrawn;
    }
    CHECK(i == n);
    db_unit_init(&g->u, g->events->pool, g->arena, DB_TX);
    db_add(&g->u, &SQL_ingest_receive);
    for (size_t c = 0; c < COLUMNS; c++) {
        if (c == TIME) {
            db_p_time_us_array(&g->u, column[c], n);
        } else {
            db_p_i64_array(&g->u, column[c], n);
        }
    }
}

/* Moves the first that wait into it. How many. */
static size_t take_group(struct ingest__group *g)
{
    struct ingest_events *e = g->events;
    struct ingest_keep *k = e->first, *before = NULL;
    size_t n = 0;
    for (; k && n < e->conf.group; k = k->next, n++) {
        k->group = g;
        before = k;
    }
    g->first = e->first;
    e->first = k;
    e->counts.waiting -= n;
    if (before) {
        before->next = NULL;
    }
    if (k) {
        k->prev = NULL;
    } else {
        e->last = NULL;
    }
    return n;
}

static void close_if_idle(struct ingest_events *e);

static void note_outcome(struct ingest_events *e, const struct op *op)
{
    bool fails = op->failed && !op->cancelled;
    if (fails && !e->failing) {
        log_err(LOG_LEVEL_WARN, "events cannot be kept; Strava is told to send them again",
                &op->err);
    } else if (!op->failed && e->failing) {
        log_info("events are kept again");
    }
    if (fails || !op->failed) {
        e->failing = fails;
    }
}

static void committed(struct op *op)
{
    struct ingest__group *g = op->waiter;
    struct ingest_events *e = g->events;
    note_outcome(e, op);
    bool made_job = !op->failed && db_get_i64(&g->u, 0, 0, 0) != 0;
    e->counts.commits += !op->failed;
    while (g->first) {
        struct ingest_keep *k = g->first;
        take_out(k);
        *(op->failed ? &e->counts.failed : &e->counts.kept) += 1;
        op_finish(&k->op, op->failed ? &op->err : NULL);
    }
    db_unit_done(&g->u);
    arena_reset(g->arena);
    g->busy = false;
    e->busy--;
    if (made_job && e->conf.on_job) {
        e->conf.on_job(e->conf.ctx);
    }
    if (e->first && !e->ready.queued) {
        loop_ready(e->loop, &e->ready);
    }
    close_if_idle(e);
}

static bool may_begin(const struct ingest_events *e)
{
    return e->first && (e->busy == 0 || e->counts.waiting >= e->conf.group ||
                        clock_mono_ns() - e->begun_ns >= PATIENCE_NS);
}

static void start_groups(struct ready *r)
{
    struct ingest_events *e = container_of(r, struct ingest_events, ready);
    for (unsigned i = 0; i < e->conf.commits && may_begin(e); i++) {
        struct ingest__group *g = &e->group[i];
        if (!g->busy) {
            g->busy = true;
            e->busy++;
            e->begun_ns = clock_mono_ns();
            fill_unit(g, take_group(g));
            db_submit(&g->u);
            op_await(&g->u.op, committed, g);
        }
    }
    close_if_idle(e);
}

/* ---- one event ------------------------------------------------------------------------------- */

static void cancel_keep(struct op *op)
{
    struct ingest_keep *k = container_of(op, struct ingest_keep, op);
    struct ingest__group *g = k->group;
    take_out(k);
    op_finish_cancelled(op);
    if (g && !g->first) {
        op_cancel(&g->u.op); /* nobody waits for it any more */
    }
}

void ingest_events_keep(struct ingest_events *e, struct ingest_keep *k)
{
    op_init(&k->op, e->loop, cancel_keep);
    op_begin(&k->op);
    k->events = e;
    k->group = NULL;
    if (e->closed || e->counts.waiting >= e->conf.waiting) {
        struct err err;
        err_set(&err, ERR_DATA, ERR_RETRY, "%s",
                e->closed ? "events are not kept any more" : "too many events wait to be kept");
        e->counts.failed++;
        op_finish(&k->op, &err);
        return;
    }
    append(e, k);
    if (e->busy < e->conf.commits && !e->ready.queued) {
        loop_ready(e->loop, &e->ready);
    }
}

struct ingest_events_counts ingest_events_counts(const struct ingest_events *e)
{
    return e->counts;
}

/* ---- the job of the events ------------------------------------------------------------------- */

static void mended(struct op *op)
{
    struct ingest_events *e = op->waiter;
    bool made = !op->failed && db_get_i64(&e->mend_unit, 0, 0, 0) != 0;
    if (made) {
        log_warn("events waited and the job that looks at them was gone: made anew");
    }
    db_unit_done(&e->mend_unit);
    arena_reset(e->mend_arena);
    e->mending = false;
    if (made && e->conf.on_job) {
        e->conf.on_job(e->conf.ctx);
    }
    close_if_idle(e);
}

static void on_mend(void *ctx)
{
    struct ingest_events *e = ctx;
    if (e->mending || e->closed) {
        return;
    }
    e->mending = true;
    db_unit_init(&e->mend_unit, e->pool, e->mend_arena, DB_TX);
    db_add(&e->mend_unit, &SQL_ingest_mend_dispatch);
    db_submit(&e->mend_unit);
    op_await(&e->mend_unit.op, mended, e);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void pool_closed(void *ctx)
{
    struct ingest_events *e = ctx;
    for (unsigned i = 0; i < e->conf.commits; i++) {
        arena_free(e->group[i].arena);
    }
    arena_free(e->mend_arena);
    op_finish(e->closed, NULL);
    mem_free(e);
}

static void close_if_idle(struct ingest_events *e)
{
    if (e->closed && e->busy == 0 && !e->ready.queued && !e->mending && e->pool) {
        struct db_pool *pool = e->pool;
        e->pool = NULL;
        db_pool_close(pool, pool_closed, e);
    }
}

void ingest_events_close(struct ingest_events *e, struct op *op)
{
    op_init(op, e->loop, NULL);
    op_begin(op);
    e->closed = op;
    ticker_close(e->mend);
    if (e->mending) {
        op_cancel(&e->mend_unit.op);
    }
    while (e->first) {
        op_cancel(&e->first->op);
    }
    for (unsigned i = 0; i < e->conf.commits; i++) {
        while (e->group[i].busy && e->group[i].first) {
            op_cancel(&e->group[i].first->op);
        }
    }
    close_if_idle(e);
}
