/* The embedded cluster: who owns it, watching over its server, and stopping it. */
#include "db/cluster.h"

#include <signal.h>
#include <unistd.h>

#define CLUSTER_MAGIC 0x64626532u
/* postgres rolls open transactions back, writes a checkpoint and ends; then it is told to just end.
 */
#define FAST_STOP_MS 30000
#define TAKEOVER_MS  1000

static void cluster_check(const struct db_cluster *c)
{
    CHECK(c != NULL && c->magic == CLUSTER_MAGIC);
}

static void cluster_free(struct db_cluster *c)
{
    ticker_close(c->takeover);
    /* Closing it lets the lock go. */
    if (c->lock_fd >= 0)
        (void)close(c->lock_fd);
    c->admin_dsn = db__dsn_free(c->admin_dsn);
    c->dsn = db__dsn_free(c->dsn);
    db__conf_done(&c->admin_conf);
    db__conf_done(&c->conf);
    mem_free(c->dir);
    mem_free(c->data);
    mem_free(c->run);
    mem_free(c->log);
    mem_free(c->bin);
    mem_free(c->user);
    mem_free(c->url);
    c->magic = 0;
    mem_free(c);
}

void db__cluster_destroy(struct db_cluster *c)
{
    cluster_check(c);
    c->doomed = true;
    ticker_close(c->takeover);
    c->takeover = NULL;
    if (c->reviving)
        op_cancel(&c->revive_op); /* and again from on_revived */
    else if (c->postgres.op.state == OP_PENDING)
        op_cancel(&c->postgres.op);
    else
        cluster_free(c);
}

/* ---- watching -------------------------------------------------------------------------------- */

static void revive(struct db_cluster *c, int64_t delay_ms);

static void on_revived(struct op *op)
{
    struct db_cluster *c = op->waiter;
    c->reviving = false;
    if (c->doomed) {
        db__cluster_destroy(c);
        return;
    }
    if (c->stopping)
        return; /* the stop flow is waiting for this */
    if (op->failed) {
        log_err(LOG_LEVEL_ERROR, "the private database does not come back", &op->err);
        revive(c, db__backoff_next(&c->backoff_ms));
        return;
    }
    log_info("the private database is up again");
}

static void revive(struct db_cluster *c, int64_t delay_ms)
{
    CHECK(!c->reviving && c->owned);
    c->reviving = true;
    flow_call(db__cluster_up_flow(c, false, delay_ms, NULL), &c->revive_op);
    op_await(&c->revive_op, on_revived, c);
}

void db__cluster_postgres_exited(struct db__child *x)
{
    struct db_cluster *c = container_of(x, struct db_cluster, postgres);
    char reason[300];
    cluster_check(c);
    bool was_ready = c->ready;
    c->ready = false;
    if (c->doomed && !c->reviving) {
        cluster_free(c);
        return;
    }
    /* Not ready: the flow that starts it sees for itself that it has gone. */
    if (c->stopping || c->doomed || !was_ready)
        return;
    log_warn("the private database ended by itself, starting it again", L_I("status", x->status),
             L_I("signal", x->signal), L_S("reason", db__cluster_log_reason(c, reason)));
    if (c->on_crash != NULL)
        c->on_crash(c->ctx, x->signal != 0 ? x->signal : (int)x->status << 8);
    if (!c->stopping && !c->doomed)
        revive(c, db__backoff_next(&c->backoff_ms));
}

/* The owner of the server we use has gone, in order or not: somebody has to run it. */
static void try_takeover(void *ctx)
{
    struct db_cluster *c = ctx;
    struct err err;
    if (db__cluster_lock(c, &err) != 1)
        return;
    c->owned = true;
    ticker_close(c->takeover);
    c->takeover = NULL;
    log_info("the process that ran the private database has gone, taking over", L_S("dir", c->dir));
    revive(c, 0);
}

void db__cluster_supervise(struct db_cluster *c)
{
    c->ready = true;
    c->backoff_ms = 0;
    if (!c->owned && c->takeover == NULL)
        c->takeover = ticker_open(c->loop, TAKEOVER_MS, true, try_takeover, c);
}

/* ---- start ----------------------------------------------------------------------------------- */

#define START_STEPS(STEP)                                                                          \
    STEP(start, prepare)                                                                           \
    STEP(start, up)
FLOW_STEPS(start, START_STEPS);

struct start {
    struct flow flow;
    struct db_cluster_conf conf;
    struct db_cluster *c;
    struct db_cluster **ret;
    struct op op;
};

static enum flow_next start_prepare(struct flow *f)
{
    struct start *s = container_of(f, struct start, flow);
    s->c = mem_alloc(sizeof(*s->c));
    s->c->magic = CLUSTER_MAGIC;
    s->c->loop = f->loop;
    s->c->lock_fd = -1;
    return db__cluster_prepare(s->c, &s->conf, &f->err) == 0 ? FLOW_NEXT : flow_fail(f);
}

static enum flow_next start_up(struct flow *f)
{
    struct start *s = container_of(f, struct start, flow);
    flow_call(db__cluster_up_flow(s->c, true, 0, s->ret), &s->op);
    s->c = NULL; /* the other flow's now */
    return flow_wait(f, &s->op, start_STEP_COUNT, 0);
}

static void start_end(struct flow *f)
{
    struct start *s = container_of(f, struct start, flow);
    if (s->c != NULL)
        cluster_free(s->c);
}

static const struct flow_def start_def = {"db_cluster_start", start_steps, start_STEP_COUNT,
                                          start_end};

struct flow *db_cluster_start_flow(struct loop *l, const struct db_cluster_conf *conf,
                                   struct db_cluster **ret)
{
    struct start *s = flow_new(l, &start_def, sizeof(*s), 0);
    s->conf = *conf;
    s->conf.dir = conf->dir != NULL ? arena_strdup(s->flow.arena, conf->dir) : NULL;
    s->conf.bin_dir = conf->bin_dir != NULL ? arena_strdup(s->flow.arena, conf->bin_dir) : NULL;
    s->ret = ret;
    *ret = NULL;
    return &s->flow;
}

const char *db_cluster_url(const struct db_cluster *c)
{
    cluster_check(c);
    return c->url;
}

bool db_cluster_owned(const struct db_cluster *c)
{
    cluster_check(c);
    return c->owned;
}

void db_cluster_on_crash(struct db_cluster *c, void (*fn)(void *ctx, int status), void *ctx)
{
    cluster_check(c);
    c->on_crash = fn;
    c->ctx = ctx;
}

/* ---- stop ------------------------------------------------------------------------------------ */

#define STOP_STEPS(STEP)                                                                           \
    STEP(stop, settle)                                                                             \
    STEP(stop, tell)                                                                               \
    STEP(stop, gone)
FLOW_STEPS(stop, STOP_STEPS);

struct stop {
    struct flow flow;
    struct db_cluster *c;
    struct timer_op timer;
};

/* A restart under way ends first; it must not outlive the cluster. */
static enum flow_next stop_settle(struct flow *f)
{
    struct stop *s = container_of(f, struct stop, flow);
    s->c->stopping = true;
    ticker_close(s->c->takeover);
    s->c->takeover = NULL;
    if (!s->c->reviving)
        return FLOW_NEXT;
    op_cancel(&s->c->revive_op);
    timer_op_start(&s->timer, f->loop, 10);
    return flow_wait(f, &s->timer.op, stop_STEP_settle, 0);
}

static enum flow_next stop_tell(struct flow *f)
{
    struct stop *s = container_of(f, struct stop, flow);
    if (s->c->postgres.op.state != OP_PENDING)
        return FLOW_NEXT;
    db__child_kill(&s->c->postgres, SIGINT);
    return flow_wait_any(f, &s->c->postgres.op, stop_STEP_gone, FAST_STOP_MS);
}

static enum flow_next stop_gone(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void stop_end(struct flow *f)
{
    struct stop *s = container_of(f, struct stop, flow);
    db__cluster_destroy(s->c);
}

static const struct flow_def stop_def = {"db_cluster_stop", stop_steps, stop_STEP_COUNT, stop_end};

struct flow *db_cluster_stop_flow(struct db_cluster *c)
{
    cluster_check(c);
    struct stop *s = flow_new(c->loop, &stop_def, sizeof(*s), 0);
    s->c = c;
    return &s->flow;
}
