/* LISTEN on a connection of its own. A dead link looks like silence, so the listener notifies
 * itself now and then and starts over when the echo does not come. */
#include "db/internal.h"

#include <unistd.h>

#define LISTENER_MAGIC 0x64626c31u
#define ECHO_MS        5000

enum state {
    LISTENER_AWAY,   /* waits for the backoff timer */
    LISTENER_OPEN,   /* connecting */
    LISTENER_LISTEN, /* LISTEN sent */
    LISTENER_READY,  /* listening; the timer starts the next probe */
    LISTENER_PROBE,  /* probe sent; the timer is its limit */
    LISTENER_CLOSED,
};

struct db_listener {
    uint32_t magic;
    enum state state;
    struct loop *loop;
    struct db_conf conf;
    struct db__dsn *dsn;
    struct db__session session;
    char **channels;
    size_t n;
    char *probe_channel;
    int64_t probe_ms, backoff_ms;
    uint64_t probe; /* number of the last one sent */
    int64_t born_us;
    bool op_busy, echoed, timer_open;
    bool pooled; /* we are not alone with our session */
    uv_timer_t timer;
    void (*on_notify)(void *ctx, const char *channel, const char *payload);
    void *ctx;
};

static void on_op(struct op *op);

static void listener_check(const struct db_listener *x)
{
    CHECK(x != NULL && x->magic == LISTENER_MAGIC);
}

static void set_state(struct db_listener *x, enum state to)
{
    static const uint8_t from[] = {
        [LISTENER_AWAY] = 1 << LISTENER_AWAY | 1 << LISTENER_OPEN | 1 << LISTENER_LISTEN |
                          1 << LISTENER_READY | 1 << LISTENER_PROBE,
        [LISTENER_OPEN] = 1 << LISTENER_AWAY,
        [LISTENER_LISTEN] = 1 << LISTENER_OPEN,
        [LISTENER_READY] = 1 << LISTENER_LISTEN | 1 << LISTENER_PROBE,
        [LISTENER_PROBE] = 1 << LISTENER_READY,
        [LISTENER_CLOSED] = (1 << LISTENER_CLOSED) - 1,
    };
    CHECK(from[to] & 1 << x->state);
    x->state = to;
}

static void on_timer(uv_timer_t *t);

static void wake_in(struct db_listener *x, int64_t ms)
{
    CHECK(uv_timer_start(&x->timer, on_timer, (uint64_t)ms, 0) == 0);
}

static void await_op(struct db_listener *x)
{
    x->op_busy = true;
    op_await(&x->session.op, on_op, x);
}

/* Closing a session ends its op, which is still to come through the ready queue: no new one before
 * that. */
static void start_over(struct db_listener *x, const char *why)
{
    log_debug("listener reconnects", L_S("reason", why));
    db__session_close(&x->session);
    set_state(x, LISTENER_AWAY);
    wake_in(x, db__backoff_next(&x->backoff_ms));
}

static void connect_now(struct db_listener *x)
{
    set_state(x, LISTENER_OPEN);
    db__session_open(&x->session);
    await_op(x);
}

static void listen_all(struct db_listener *x)
{
    struct buf sql = {0};
    set_state(x, LISTENER_LISTEN);
    /* LISTEN takes an identifier, not a parameter: the one place where SQL is put together. */
    for (size_t i = 0; i <= x->n; i++) {
        const char *name = i < x->n ? x->channels[i] : x->probe_channel;
        char *quoted = PQescapeIdentifier(x->session.conn->pg, name, strlen(name));
        buf_printf(&sql, "LISTEN %s;", quoted != NULL ? quoted : "\"\"");
        PQfreemem(quoted);
    }
    db__session_script(&x->session, "LISTEN", sql.p);
    await_op(x);
    buf_done(&sql);
}

/* Two containers may well have the same process number, hence the same channel. */
static void probe_payload(const struct db_listener *x, char out[48])
{
    snprintf(out, 48, "%lld.%llu", (long long)x->born_us, (unsigned long long)x->probe);
}

static void probe_now(struct db_listener *x)
{
    char payload[48];
    const char *params[] = {x->probe_channel, payload};
    x->probe++;
    probe_payload(x, payload);
    x->echoed = false;
    set_state(x, LISTENER_PROBE);
    wake_in(x, ECHO_MS);
    db__session_query(&x->session, "listener probe", "SELECT pg_notify($1, $2), pg_backend_pid()",
                      2, params);
    await_op(x);
}

/* The echo may come before the statement's own end: both are needed. */
static void probe_progress(struct db_listener *x)
{
    if (x->state != LISTENER_PROBE || !x->echoed || x->op_busy)
        return;
    set_state(x, LISTENER_READY);
    wake_in(x, x->probe_ms);
}

/* In a transaction of its own an echo always comes; a pooler keeps what comes in between. It shows
 * in that the server names another process than we were told of when we connected. */
static void look_for_pooler(struct db_listener *x)
{
    const char *pid = db__session_value(&x->session, 0, 1);
    bool was = x->pooled;
    x->pooled = pid != NULL && strtol(pid, NULL, 10) != PQbackendPID(x->session.conn->pg);
    if (x->pooled && !was)
        log_warn("the connection for LISTEN leads through a pooler: notifications may not arrive, "
                 "and work is found by polling; give it the address of the server itself");
}

static void op_succeeded(struct db_listener *x)
{
    switch (x->state) {
    case LISTENER_OPEN:
        listen_all(x);
        break;
    case LISTENER_LISTEN:
        set_state(x, LISTENER_READY);
        x->backoff_ms = 0;
        wake_in(x, x->probe_ms);
        /* Something may have been missed. */
        x->on_notify(x->ctx, "", "");
        break;
    case LISTENER_PROBE:
        look_for_pooler(x);
        probe_progress(x);
        break;
    case LISTENER_AWAY:
    case LISTENER_READY:
    case LISTENER_CLOSED:
        break;
    }
}

static void free_if_done(struct db_listener *x)
{
    if (x->state != LISTENER_CLOSED || x->op_busy || x->timer_open)
        return;
    for (size_t i = 0; i < x->n; i++)
        mem_free(x->channels[i]);
    mem_free(x->channels);
    mem_free(x->probe_channel);
    db__dsn_free(x->dsn);
    db__conf_done(&x->conf);
    x->magic = 0;
    mem_free(x);
}

static void on_op(struct op *op)
{
    struct db_listener *x = op->waiter;
    listener_check(x);
    x->op_busy = false;
    if (x->state == LISTENER_CLOSED)
        free_if_done(x);
    else if (x->state == LISTENER_AWAY)
        return; /* started over meanwhile */
    else if (op->failed)
        start_over(x, op->err.msg);
    else
        op_succeeded(x);
}

static void on_timer(uv_timer_t *t)
{
    struct db_listener *x = container_of(t, struct db_listener, timer);
    switch (x->state) {
    case LISTENER_AWAY:
        if (x->op_busy)
            wake_in(x, 10);
        else
            connect_now(x);
        break;
    case LISTENER_READY:
        probe_now(x);
        break;
    case LISTENER_PROBE:
        start_over(x, "no echo of its own notification");
        break;
    case LISTENER_OPEN:
    case LISTENER_LISTEN:
    case LISTENER_CLOSED:
        break;
    }
}

static void session_notify(void *ctx, const char *channel, const char *payload)
{
    struct db_listener *x = ctx;
    char expected[48];
    if (strcmp(channel, x->probe_channel) != 0) {
        x->on_notify(x->ctx, channel, payload);
        return;
    }
    probe_payload(x, expected);
    x->echoed = x->echoed || strcmp(payload, expected) == 0;
    probe_progress(x);
}

static void session_lost(void *ctx, const struct err *why)
{
    struct db_listener *x = ctx;
    if (x->state != LISTENER_CLOSED && x->state != LISTENER_AWAY)
        start_over(x, why->msg);
}

struct db_listener *
db_listener_open(struct loop *l, const struct db_conf *conf, const char *const *channels, size_t n,
                 int64_t probe_ms,
                 void (*on_notify)(void *ctx, const char *channel, const char *payload), void *ctx)
{
    static unsigned count;
    struct err err;
    struct db_listener *x = mem_alloc(sizeof(*x));
    struct buf name = {0};
    x->magic = LISTENER_MAGIC;
    x->loop = l;
    db__conf_copy(&x->conf, conf);
    x->channels = mem_alloc((n + 1) * sizeof(*x->channels));
    for (x->n = 0; x->n < n; x->n++)
        x->channels[x->n] = mem_strdup(channels[x->n]);
    buf_printf(&name, "waymark_probe_%ld_%u", (long)getpid(), ++count);
    x->probe_channel = name.p;
    x->probe_ms = probe_ms;
    x->born_us = clock_wall_us();
    x->on_notify = on_notify;
    x->ctx = ctx;
    CHECK(uv_timer_init(loop_uv(l), &x->timer) == 0);
    x->timer_open = true;
    x->dsn = db__dsn_new(x->conf.url, &err);
    if (x->dsn == NULL) {
        log_err(LOG_LEVEL_ERROR, "listener", &err);
        return x;
    }
    db__session_init(&x->session, l, &x->conf, x->dsn);
    x->session.on_notify = session_notify;
    x->session.on_lost = session_lost;
    x->session.ctx = x;
    connect_now(x);
    return x;
}

bool db_listener_healthy(const struct db_listener *x)
{
    listener_check(x);
    return (x->state == LISTENER_READY || x->state == LISTENER_PROBE) && !x->pooled;
}

static void timer_closed(uv_handle_t *h)
{
    struct db_listener *x = container_of((uv_timer_t *)(void *)h, struct db_listener, timer);
    x->timer_open = false;
    free_if_done(x);
}

void db_listener_close(struct db_listener *x)
{
    if (x == NULL)
        return;
    listener_check(x);
    set_state(x, LISTENER_CLOSED);
    if (x->dsn != NULL)
        db__session_close(&x->session);
    uv_close((uv_handle_t *)&x->timer, timer_closed);
}
