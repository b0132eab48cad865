/* The pool: units wait in one FIFO, connections are opened when a unit needs one, a finished
 * connection takes the next unit. A server that does not answer is asked again with backoff;
 * meanwhile the units just wait, each as long as its waiter lets it. */
#include "db/internal.h"

enum {
    POOL_MAGIC = 0x64627031,
    /* A backend that has done some PostGIS holds 40 MB. So this many connections are opened at once
     * for whoever waits, more only one by one while the FIFO has not been empty for so long. */
    POOL_EAGER = 2,
    POOL_PATIENCE_MS = 50,
};

struct db_pool {
    uint32_t magic;
    struct loop *loop;
    struct db_conf conf;
    struct db__dsn *dsn; /* NULL: bad_url says why */
    struct err bad_url;
    struct db_conn *conn[100]; /* max_conns at most; closed ones are not in it */
    unsigned nconns, connecting;
    struct db_unit *head, *tail;
    unsigned queued;
    uv_timer_t retry, patience;
    bool waiting;       /* for the retry timer */
    bool impatient;     /* units have waited long enough for one more connection */
    int64_t backoff_ms; /* 0: the last connection came up */
    struct err last;    /* why the last one did not, while backoff_ms > 0 */
    struct db__cancel *cancel_head, *cancel_tail; /* one at a time: they may block long */
    bool pumping, pump_again;
    bool closing;
    unsigned handles; /* timers, connections not freed yet, cancel requests, orphans */
    void (*on_closed)(void *ctx);
    void *ctx;
};

static void pump(struct db_pool *p);

static void pool_check(const struct db_pool *p)
{
    CHECK(p != NULL && p->magic == POOL_MAGIC);
}

/* ---- FIFO ------------------------------------------------------------------------------------ */

static void push(struct db_pool *p, struct db_unit *u, bool front)
{
    u->next = front ? p->head : NULL;
    if (p->head == NULL)
        p->head = p->tail = u;
    else if (front)
        p->head = u;
    else
        p->tail = p->tail->next = u;
    p->queued++;
}

static struct db_unit *pop(struct db_pool *p)
{
    struct db_unit *u = p->head;
    p->head = u->next;
    if (p->head == NULL)
        p->tail = NULL;
    u->next = NULL;
    p->queued--;
    return u;
}

static void take_out(struct db_pool *p, struct db_unit *u)
{
    struct db_unit *before = NULL;
    for (struct db_unit *i = p->head; i != u; i = i->next) {
        CHECK(i != NULL);
        before = i;
    }
    if (before == NULL) {
        (void)pop(p);
        return;
    }
    before->next = u->next;
    if (p->tail == u)
        p->tail = before;
    u->next = NULL;
    p->queued--;
}

static void fail_queued(struct db_pool *p, const struct err *why)
{
    while (p->head != NULL)
        op_finish(&pop(p)->op, why);
}

/* ---- a unit on a connection ------------------------------------------------------------------ */

/* The connection has no unit and no cancel request any more. */
static void release(struct db_pool *p, struct db_conn *c)
{
    if (c->state == DB__CONN_CLOSED || c->unit != NULL || c->cancel != NULL)
        return;
    db__conn_set_busy(c, false);
    db__conn_timer(c, p->conf.idle_close_ms);
    pump(p);
}

static void forget_conn(struct db_pool *p, struct db_conn *c)
{
    for (unsigned i = 0; i < p->nconns; i++) {
        if (p->conn[i] != c)
            continue;
        p->conn[i] = p->conn[--p->nconns];
        break;
    }
    if (c->cancel != NULL)
        c->cancel->conn = NULL;
    c->cancel = NULL;
}

static void drop_conn(struct db_pool *p, struct db_conn *c)
{
    forget_conn(p, c);
    db__conn_close(c);
}

/* All answers are in. */
static void unit_finished(struct db_pool *p, struct db_conn *c)
{
    struct db_unit *u = c->unit;
    const struct db__pipe *pipe = &c->pipe;
    c->unit = NULL;
    u->conn = NULL;
    u->failed_at = pipe->failed_at;
    if (pipe->failed && u->op.cancelled && strcmp(pipe->err.sqlstate, "57014") == 0) {
        struct err why;
        err_set(&why, ERR_PG, ERR_RETRY, "cancelled while running %s",
                u->call[u->failed_at]->stmt->name);
        memcpy(why.sqlstate, "57014", 6);
        op_finish(&u->op, &why);
    } else {
        op_finish(&u->op, pipe->failed ? &pipe->err : NULL);
    }
    if (pipe->recycle) {
        drop_conn(p, c);
        pump(p);
    } else {
        release(p, c);
    }
}

/* A server going down ends idle connections with a word; if our unit crossed it on the way, nothing
 * of it was done. */
static bool untouched(const struct db_unit *u, const struct db__pipe *pipe)
{
    return !u->retried && !u->op.cancelled && pipe->fatal && !pipe->answered &&
           strncmp(pipe->err.sqlstate, "57P", 3) == 0;
}

/* Can the transaction have been committed although nobody said so? */
static bool commit_unknown(const struct db_unit *u, const struct db__pipe *pipe)
{
    if ((u->flags & DB_READONLY) != 0)
        return false;
    if (!pipe->failed)
        return true;
    enum db__expect_kind at = pipe->at < pipe->n ? pipe->v[pipe->at].kind : DB__EXPECT_SYNC;
    return pipe->fatal && (at == DB__EXPECT_COMMIT || at == DB__EXPECT_SYNC);
}

static void unit_lost(struct db_pool *p, struct db_conn *c, const struct err *why)
{
    struct db_unit *u = c->unit;
    const struct db__pipe *pipe = &c->pipe;
    c->unit = NULL;
    u->conn = NULL;
    if (!p->closing && untouched(u, pipe)) {
        u->retried = true;
        push(p, u, true);
        return;
    }
    u->failed_at = pipe->failed_at;
    if (pipe->committed) {
        op_finish(&u->op, NULL);
        return;
    }
    /* An error the server gave before the link broke is the better reason. */
    struct err err = pipe->failed ? pipe->err : *why;
    u->commit_unknown = commit_unknown(u, pipe);
    if (u->commit_unknown)
        (void)err_wrap(&err, "whether it was committed is unknown: ");
    op_finish(&u->op, &err);
}

/* 0 when the unit is on its way or has finished; -1 when this connection is of no use and the unit
 * waits on. */
static int run_unit(struct db_pool *p, struct db_conn *c, struct db_unit *u)
{
    struct err err;
    char where[128];
    if (c->standby && !(u->flags & DB_READONLY)) {
        err_set(&err, ERR_PG, ERR_RETRY, "the database at %s is a read-only standby",
                db__conn_where(c, where));
        memcpy(err.sqlstate, "25006", 6);
        op_finish(&u->op, &err);
        /* It may be promoted, or the name may lead to another server next time. */
        drop_conn(p, c);
        return 0;
    }
    /* Has the server hung up since? Then nothing is sent, and nothing is lost. */
    if (!db__conn_alive(c)) {
        drop_conn(p, c);
        push(p, u, true);
        return -1;
    }
    db__conn_timer(c, 0);
    db__conn_set_busy(c, true);
    c->unit = u;
    u->conn = c;
    (void)db__pipe_send(c, u); /* a failure has come back through conn_down */
    return 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void on_retry(uv_timer_t *t)
{
    struct db_pool *p = container_of(t, struct db_pool, retry);
    p->waiting = false;
    pump(p);
}

static void conn_up(struct db_conn *c)
{
    struct db_pool *p = c->owner;
    p->connecting--;
    p->backoff_ms = 0;
    CHECK(PQenterPipelineMode(c->pg) == 1);
    db__conn_timer(c, p->conf.idle_close_ms);
    pump(p);
}

static void conn_failed(struct db_pool *p, const struct err *why)
{
    p->last = *why;
    p->waiting = true;
    CHECK(uv_timer_start(&p->retry, on_retry, (uint64_t)db__backoff_next(&p->backoff_ms), 0) == 0);
    log_debug("database not reachable", L_S("error", why->msg), L_I("backoff_ms", p->backoff_ms),
              L_I("queued", p->queued));
    /* Those that are up go on serving. */
    if (!db__err_hopeless(why) || p->nconns > p->connecting)
        return;
    /* Not PERMANENT: the input of the jobs that wait here is not at fault. */
    struct err err = *why;
    err.class = ERR_RETRY;
    fail_queued(p, &err);
}

static void conn_down(struct db_conn *c, const struct err *why)
{
    struct db_pool *p = c->owner;
    forget_conn(p, c);
    if (c->unit != NULL) {
        db__orphan_end(p, c);
        unit_lost(p, c, why);
    }
    if (!c->up) {
        p->connecting--;
        conn_failed(p, why);
    }
    pump(p);
}

static void conn_readable(struct db_conn *c)
{
    struct db_pool *p = c->owner;
    if (c->unit == NULL) {
        if (!db__conn_alive(c)) {
            drop_conn(p, c);
            pump(p); /* somebody may be waiting for the end of a cancel request on it */
        }
    } else if (db__pipe_read(c) == DB__PIPE_FINISHED) {
        unit_finished(p, c);
    }
}

static void conn_timer(struct db_conn *c)
{
    struct db_pool *p = c->owner;
    if (c->state == DB__CONN_IDLE) {
        drop_conn(p, c);
        return;
    }
    struct err why;
    char where[128];
    err_set(&why, ERR_PG, ERR_RETRY, "the database at %s did not answer a cancel request",
            db__conn_where(c, where));
    memcpy(why.sqlstate, "57014", 6);
    db__conn_lost(c, &why);
}

void db__pool_hold(struct db_pool *p)
{
    p->handles++;
}

void db__pool_unhold(struct db_pool *p)
{
    CHECK(p->handles > 0);
    if (--p->handles > 0)
        return;
    void (*on_closed)(void *ctx) = p->on_closed;
    void *ctx = p->ctx;
    p->dsn = db__dsn_free(p->dsn);
    db__conf_done(&p->conf);
    p->magic = 0;
    mem_free(p);
    if (on_closed != NULL)
        on_closed(ctx);
}

static void conn_gone(struct db_conn *c)
{
    db__pool_unhold(c->owner);
}

static const struct db__conn_ops pool_ops = {conn_up, conn_down, conn_readable, conn_timer,
                                             conn_gone};

/* ---- the pump -------------------------------------------------------------------------------- */

/* The one used last: the others get old and are closed. */
static struct db_conn *idle_conn(const struct db_pool *p)
{
    struct db_conn *best = NULL;
    for (unsigned i = 0; i < p->nconns; i++) {
        struct db_conn *c = p->conn[i];
        if (c->state == DB__CONN_IDLE && (best == NULL || c->idle_since_ns > best->idle_since_ns))
            best = c;
    }
    return best;
}

static void on_patience(uv_timer_t *t)
{
    struct db_pool *p = container_of(t, struct db_pool, patience);
    p->impatient = true;
    pump(p);
}

/* Units wait, and only patience keeps another connection from them. */
static bool is_short(const struct db_pool *p)
{
    return p->head != NULL && !p->waiting && p->nconns >= POOL_EAGER &&
           p->nconns < p->conf.max_conns;
}

static void keep_patience(struct db_pool *p)
{
    if (!is_short(p)) {
        p->impatient = false;
        CHECK(uv_timer_stop(&p->patience) == 0);
    } else if (!uv_is_active((const uv_handle_t *)&p->patience)) {
        CHECK(uv_timer_start(&p->patience, on_patience, POOL_PATIENCE_MS, 0) == 0);
    }
}

static bool want_conn(const struct db_pool *p)
{
    if (p->waiting || p->nconns >= p->conf.max_conns || (p->nconns >= POOL_EAGER && !p->impatient))
        return false;
    /* While the server is away one connection asks for all. */
    return p->backoff_ms > 0 ? p->queued > 0 && p->connecting == 0 : p->queued > p->connecting;
}

static void pump_once(struct db_pool *p)
{
    struct db_conn *c;
    if (p->dsn == NULL)
        fail_queued(p, &p->bad_url);
    while (p->head != NULL && (c = idle_conn(p)) != NULL)
        (void)run_unit(p, c, pop(p));
    while (want_conn(p)) {
        p->conn[p->nconns++] = db__conn_open(p->loop, &p->conf, p->dsn, &pool_ops, p);
        p->connecting++;
        p->handles++;
        p->impatient = false;
    }
    keep_patience(p);
}

/* Connections come and go inside; a call from within asks for another round. */
static void pump(struct db_pool *p)
{
    p->pump_again = true;
    if (p->pumping)
        return;
    p->pumping = true;
    while (p->pump_again && !p->closing) {
        p->pump_again = false;
        pump_once(p);
    }
    p->pumping = false;
}

void db__pool_submit(struct db_pool *p, struct db_unit *u)
{
    struct err err;
    pool_check(p);
    if (p->closing) {
        err_set(&err, ERR_PG, ERR_RETRY, "the database pool is closing");
        op_finish(&u->op, &err);
        return;
    }
    push(p, u, false);
    pump(p);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void cancel_start(struct db_pool *p);

static void cancel_done(struct op *op)
{
    struct db__cancel *x = container_of(container_of(op, struct work, op), struct db__cancel, work);
    struct db_pool *p = x->pool;
    struct db_conn *c = x->conn;
    if (op->failed)
        log_debug("cancel request failed", L_S("error", op->err.msg));
    p->cancel_head = x->next;
    if (p->cancel_head == NULL)
        p->cancel_tail = NULL;
    PQfreeCancel(x->request);
    mem_free(x);
    cancel_start(p);
    if (c != NULL) {
        /* Only now can it not hit the next unit. */
        c->cancel = NULL;
        release(p, c);
    }
    db__pool_unhold(p);
}

static void cancel_start(struct db_pool *p)
{
    struct db__cancel *x = p->cancel_head;
    if (x == NULL)
        return;
    work_start(&x->work, p->loop, db__cancel_run);
    op_await(&x->work.op, cancel_done, NULL);
}

static void cancel_running(struct db_pool *p, struct db_conn *c)
{
    /* The server's answer to a cancel may be long in coming, or never come. */
    db__conn_timer(c, DB__CANCEL_GRACE_MS);
    PGcancel *request = PQgetCancel(c->pg);
    if (request == NULL)
        return;
    struct db__cancel *x = mem_alloc(sizeof(*x));
    x->request = request;
    x->pool = p;
    x->conn = c;
    c->cancel = x;
    p->handles++;
    if (p->cancel_head == NULL) {
        p->cancel_head = p->cancel_tail = x;
        cancel_start(p);
    } else {
        p->cancel_tail = p->cancel_tail->next = x;
    }
}

void db__pool_cancel(struct db_unit *u)
{
    struct db_pool *p = u->pool;
    struct err err;
    pool_check(p);
    if (u->conn != NULL) {
        if (u->conn->cancel == NULL)
            cancel_running(p, u->conn);
        return;
    }
    take_out(p, u);
    if (p->backoff_ms > 0)
        err_set(&err, ERR_PG, ERR_RETRY, "cancelled while waiting for a connection: %s",
                p->last.msg);
    else
        err_set(&err, ERR_PG, ERR_RETRY,
                "cancelled while waiting for a free database connection (%u in use)", p->nconns);
    op_finish(&u->op, &err);
}

/* ---- open and close -------------------------------------------------------------------------- */

struct db_pool *db_pool_open(struct loop *l, const struct db_conf *conf)
{
    struct db_pool *p = mem_alloc(sizeof(*p));
    CHECK(conf->max_conns >= 1 && conf->max_conns <= COUNT_OF(p->conn));
    p->magic = POOL_MAGIC;
    p->loop = l;
    db__conf_copy(&p->conf, conf);
    p->dsn = db__dsn_new(p->conf.url, &p->bad_url);
    CHECK(uv_timer_init(loop_uv(l), &p->retry) == 0);
    CHECK(uv_timer_init(loop_uv(l), &p->patience) == 0);
    p->retry.data = p->patience.data = p;
    p->handles = 2;
    return p;
}

static void timer_closed(uv_handle_t *h)
{
    db__pool_unhold(h->data);
}

void db_pool_close(struct db_pool *p, void (*on_closed)(void *ctx), void *ctx)
{
    struct err why;
    pool_check(p);
    CHECK(!p->closing);
    p->closing = true;
    p->on_closed = on_closed;
    p->ctx = ctx;
    err_set(&why, ERR_PG, ERR_RETRY, "the database pool is closing");
    fail_queued(p, &why);
    while (p->nconns > 0) {
        struct db_conn *c = p->conn[p->nconns - 1];
        forget_conn(p, c);
        if (c->unit != NULL)
            unit_lost(p, c, &why);
        db__conn_close(c);
    }
    uv_close((uv_handle_t *)&p->retry, timer_closed);
    uv_close((uv_handle_t *)&p->patience, timer_closed);
}

struct loop *db_pool_loop(struct db_pool *p)
{
    pool_check(p);
    return p->loop;
}

unsigned db_pool_open_conns(const struct db_pool *p)
{
    pool_check(p);
    return p->nconns - p->connecting;
}

unsigned db_pool_queued(const struct db_pool *p)
{
    pool_check(p);
    return p->queued;
}
