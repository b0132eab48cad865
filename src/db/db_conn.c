/* One libpq connection on the loop: resolve the host, connect, set the session up, then read and
 * flush for its owner. All of libpq is used in its non-blocking form,
 * https://www.postgresql.org/docs/15/libpq-async.html. */
#include "db/internal.h"

#define CONN_MAGIC 0x64626331u

struct db__poll {
    uv_poll_t uv;
    struct db_conn *conn;
};

static const char *const state_names[] = {"new",  "resolve", "connect", "setup",
                                          "idle", "busy",    "closed"};

/* The session's settings go in one statement after connecting, not into the start-up packet:
 * poolers such as pgbouncer refuse start-up parameters they do not know. */
static const char setup_sql[] =
    "SELECT set_config('application_name', $1, false), set_config('statement_timeout', $2, false),"
    " set_config('idle_in_transaction_session_timeout', '60000', false),"
    " set_config('TimeZone', 'UTC', false), set_config('client_encoding', 'UTF8', false),"
    " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,"
    " pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
enum { SETUP_COL_STANDBY = 5, SETUP_COL_PID, SETUP_COL_STARTED };
/* Through a pooler each transaction may meet another session, which is not ours to set up. */
static const char setup_pooled_sql[] =
    "SELECT '', '', '', '', '',"
    " pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";

static void try_host(struct db_conn *c);

void db__conn_check(const struct db_conn *c)
{
    CHECK(c != NULL && c->magic == CONN_MAGIC);
}

static void set_state(struct db_conn *c, enum db__conn_state to)
{
    static const uint8_t allowed[] = {
        [DB__CONN_NEW] = 1 << DB__CONN_RESOLVE | 1 << DB__CONN_CONNECT,
        [DB__CONN_RESOLVE] = 1 << DB__CONN_RESOLVE | 1 << DB__CONN_CONNECT,
        [DB__CONN_CONNECT] = 1 << DB__CONN_RESOLVE | 1 << DB__CONN_CONNECT | 1 << DB__CONN_SETUP,
        [DB__CONN_SETUP] = 1 << DB__CONN_RESOLVE | 1 << DB__CONN_CONNECT | 1 << DB__CONN_IDLE,
        [DB__CONN_IDLE] = 1 << DB__CONN_BUSY,
        [DB__CONN_BUSY] = 1 << DB__CONN_IDLE,
        [DB__CONN_CLOSED] = 0,
    };
    db__conn_check(c);
    if (to == DB__CONN_CLOSED)
        CHECK(c->state != DB__CONN_CLOSED);
    else
        CHECK(allowed[c->state] & 1 << to);
    if (to != DB__CONN_IDLE && to != DB__CONN_BUSY)
        log_debug("db connection", L_S("from", state_names[c->state]), L_S("to", state_names[to]));
    c->state = to;
}

const char *db__conn_where(const struct db_conn *c, char out[128])
{
    const char *host = NULL, *port = NULL;
    if (c->pg != NULL) {
        host = PQhost(c->pg);
        port = PQport(c->pg);
    }
    if (host == NULL || host[0] == '\0')
        host = c->state != DB__CONN_CLOSED && c->host_at < c->dsn->nhosts
                   ? c->dsn->host[c->host_at].name
                   : NULL;
    snprintf(out, 128, "%s%s%s", host != NULL ? host : "the default socket",
             port != NULL && port[0] ? ":" : "", port != NULL ? port : "");
    return out;
}

/* ---- handles --------------------------------------------------------------------------------- */

static void unhold(struct db_conn *c)
{
    CHECK(c->handles > 0);
    if (--c->handles > 0 || c->state != DB__CONN_CLOSED)
        return;
    if (c->ops != NULL)
        c->ops->gone(c);
    if (c->found != NULL)
        uv_freeaddrinfo(c->found);
    db__prepared_done(c);
    vec_done(&c->pipe);
    c->magic = 0;
    mem_free(c);
}

static void poll_closed(uv_handle_t *h)
{
    struct db__poll *p = container_of((uv_poll_t *)(void *)h, struct db__poll, uv);
    struct db_conn *c = p->conn;
    mem_free(p);
    unhold(c);
}

/* libpq may close its socket and open another, even under the same number, inside PQconnectPoll;
 * epoll would then watch nothing. So the handle goes before each such call and a new one comes
 * after it. */
static void poll_drop(struct db_conn *c)
{
    if (c->poll != NULL)
        uv_close((uv_handle_t *)&c->poll->uv, poll_closed);
    c->poll = NULL;
    c->events = 0;
}

static void on_poll(uv_poll_t *h, int status, int events);

static int poll_watch(struct db_conn *c, int events, struct err *err)
{
    int r;
    if (c->poll == NULL) {
        struct db__poll *p = mem_alloc(sizeof(*p));
        p->conn = c;
        r = uv_poll_init(loop_uv(c->loop), &p->uv, PQsocket(c->pg));
        if (r < 0) {
            mem_free(p);
            return err_set_code(err, ERR_UV, ERR_RETRY, r, "watching the database socket: %s",
                                uv_strerror(r));
        }
        c->handles++;
        c->poll = p;
    }
    if (events == c->events)
        return 0;
    r = uv_poll_start(&c->poll->uv, events, on_poll);
    if (r < 0)
        return err_set_code(err, ERR_UV, ERR_RETRY, r, "watching the database socket: %s",
                            uv_strerror(r));
    c->events = events;
    return 0;
}

static void timer_closed(uv_handle_t *h)
{
    unhold(container_of((uv_timer_t *)(void *)h, struct db_conn, timer));
}

/* The PGconn goes, its socket unwatched first. */
static void drop_pg(struct db_conn *c)
{
    poll_drop(c);
    if (c->pg != NULL)
        PQfinish(c->pg);
    c->pg = NULL;
}

void db__conn_close(struct db_conn *c)
{
    db__conn_check(c);
    if (c->state == DB__CONN_CLOSED)
        return;
    /* Not resolved any more: the callback comes in any case and finds the state. */
    if (c->state == DB__CONN_RESOLVE)
        (void)uv_cancel((uv_req_t *)&c->dns);
    set_state(c, DB__CONN_CLOSED);
    drop_pg(c);
    uv_close((uv_handle_t *)&c->timer, timer_closed);
}

void db__conn_lost(struct db_conn *c, const struct err *why)
{
    const struct err copy = *why;
    if (c->state == DB__CONN_CLOSED)
        return;
    const struct db__conn_ops *ops = c->ops;
    db__conn_close(c);
    if (ops != NULL)
        ops->down(c, &copy);
}

static void attempt_failed(struct db_conn *c);

static void lost_link(struct db_conn *c)
{
    struct err why;
    char where[128];
    if (c->state == DB__CONN_SETUP) {
        attempt_failed(c);
        return;
    }
    db__err_lost(&why, c->pg, db__conn_where(c, where));
    db__conn_lost(c, &why);
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* This address did not work: the next one of the host, else the next host, else the end. */
static void try_next(struct db_conn *c)
{
    drop_pg(c);
    /* As libpq does: once a server has answered about who we are, the others are not asked. */
    if (db__err_hopeless(&c->why)) {
        db__conn_lost(c, &c->why);
        return;
    }
    if (c->next == NULL) {
        if (c->found != NULL)
            uv_freeaddrinfo(c->found);
        c->found = NULL;
        c->host_at++;
    }
    if (c->host_at < c->dsn->nhosts)
        try_host(c);
    else
        db__conn_lost(c, &c->why);
}

static void attempt_failed(struct db_conn *c)
{
    char where[128];
    db__err_connect(&c->why, c->pg, db__conn_where(c, where));
    try_next(c);
}

static void setup_start(struct db_conn *c)
{
    char timeout[32];
    snprintf(timeout, sizeof(timeout), "%lld", (long long)c->conf->statement_timeout_ms);
    const char *params[] = {c->conf->application_name, timeout};
    set_state(c, DB__CONN_SETUP);
    c->greeted = false;
    if (PQserverVersion(c->pg) < DB__MIN_SERVER) {
        const char *version = PQparameterStatus(c->pg, "server_version");
        err_set(&c->why, ERR_CONF, ERR_PERMANENT,
                "the database server is PostgreSQL %s, waymark needs 15 or newer: upgrade it, or "
                "set [database] "
                "url to a newer one",
                version != NULL ? version : "of an unknown version");
        try_next(c);
        return;
    }
    const char *sql = c->conf->pooled ? setup_pooled_sql : setup_sql;
    int n = c->conf->pooled ? 0 : (int)COUNT_OF(params);
    if (PQsetnonblocking(c->pg, 1) != 0 ||
        !PQsendQueryParams(c->pg, sql, n, NULL, params, NULL, NULL, 0)) {
        attempt_failed(c);
        return;
    }
    (void)db__conn_flush(c);
}

static void connect_poll(struct db_conn *c)
{
    struct err err;
    poll_drop(c);
    PostgresPollingStatusType next = PQconnectPoll(c->pg);
    if (next == PGRES_POLLING_OK) {
        setup_start(c);
    } else if (next == PGRES_POLLING_FAILED) {
        attempt_failed(c);
    } else if (poll_watch(c, next == PGRES_POLLING_WRITING ? UV_WRITABLE : UV_READABLE, &err) < 0) {
        c->why = err;
        try_next(c);
    }
}

/* Never to stderr, where libpq would write it. A server that ends an idle connection says so in the
 * form of an error, which libpq hands on as a notice when nothing is under way. */
static void on_notice(void *ctx, const PGresult *res)
{
    struct db_conn *c = ctx;
    char line[300];
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        c->dismissed = true;
    log_debug("db notice",
              L_S("text", db__one_line(PQresultErrorMessage(res), line, sizeof(line))));
}

static void on_timer(uv_timer_t *t)
{
    struct db_conn *c = container_of(t, struct db_conn, timer);
    char where[128], limit[32];
    switch (c->state) {
    case DB__CONN_RESOLVE:
    case DB__CONN_CONNECT:
    case DB__CONN_SETUP:
        err_set(&c->why, ERR_PG, ERR_RETRY,
                "cannot connect to the database at %s: no answer within %s",
                db__conn_where(c, where), duration_format(c->conf->connect_timeout_ms, limit));
        /* A lookup cannot be abandoned for the next host: its request is still in use. */
        if (c->state == DB__CONN_RESOLVE)
            db__conn_lost(c, &c->why);
        else
            try_next(c);
        break;
    case DB__CONN_IDLE:
    case DB__CONN_BUSY:
        if (c->ops != NULL)
            c->ops->timer(c);
        break;
    case DB__CONN_NEW:
    case DB__CONN_CLOSED:
        break;
    }
}

void db__conn_timer(struct db_conn *c, int64_t ms)
{
    CHECK(c->state != DB__CONN_CLOSED);
    if (ms > 0)
        CHECK(uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0) == 0);
    else
        CHECK(uv_timer_stop(&c->timer) == 0);
}

/* addr NULL: a socket, or an address the string itself gives. */
static void connect_start(struct db_conn *c, const char *addr)
{
    const struct db__host *h = &c->dsn->host[c->host_at];
    const char **key = mem_alloc((c->dsn->n + 6) * sizeof(*key));
    const char **value = mem_alloc((c->dsn->n + 6) * sizeof(*value));
    size_t n = 0;
    for (; n < c->dsn->n; n++) {
        key[n] = c->dsn->key[n];
        value[n] = c->dsn->value[n];
    }
    const char *extra[][2] = {{"host", h->name},
                              {"hostaddr", addr},
                              {"port", h->port},
                              {"client_encoding", "UTF8"},
                              {"fallback_application_name", "waymark"}};
    for (size_t i = 0; i < COUNT_OF(extra); i++) {
        key[n] = extra[i][0];
        value[n++] = extra[i][1];
    }
    set_state(c, DB__CONN_CONNECT);
    db__conn_timer(c, c->conf->connect_timeout_ms);
    c->pg = PQconnectStartParams(key, value, 0);
    mem_free(key);
    mem_free(value);
    CHECK(c->pg != NULL);
    (void)PQsetNoticeReceiver(c->pg, on_notice, c);
    (void)PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
    struct err err;
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        attempt_failed(c);
    } else if (poll_watch(c, UV_WRITABLE, &err) < 0) {
        c->why = err;
        try_next(c);
    }
}

static void connect_address(struct db_conn *c)
{
    char addr[64] = "";
    const struct addrinfo *a = c->next;
    c->next = a->ai_next;
    if (a->ai_family == AF_INET)
        (void)uv_ip4_name((const struct sockaddr_in *)(const void *)a->ai_addr, addr, sizeof(addr));
    else if (a->ai_family == AF_INET6)
        (void)uv_ip6_name((const struct sockaddr_in6 *)(const void *)a->ai_addr, addr,
                          sizeof(addr));
    connect_start(c, addr);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct db_conn *c = container_of(req, struct db_conn, dns);
    if (c->state == DB__CONN_CLOSED) {
        uv_freeaddrinfo(found);
    } else if (status < 0 || found == NULL) {
        uv_freeaddrinfo(found);
        err_set_code(&c->why, ERR_UV, ERR_RETRY, status, "cannot find the database host %s: %s",
                     c->dsn->host[c->host_at].name, uv_strerror(status));
        try_next(c);
    } else {
        c->found = c->next = found;
        connect_address(c);
    }
    unhold(c);
}

static void try_host(struct db_conn *c)
{
    const struct db__host *h = &c->dsn->host[c->host_at];
    if (c->next != NULL) {
        connect_address(c);
        return;
    }
    if (h->addr != NULL || db__host_is_socket(h)) {
        connect_start(c, h->addr);
        return;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    set_state(c, DB__CONN_RESOLVE);
    db__conn_timer(c, c->conf->connect_timeout_ms);
    int r = uv_getaddrinfo(loop_uv(c->loop), &c->dns, on_resolved, h->name, NULL, &hints);
    if (r == 0) {
        c->handles++;
        return;
    }
    err_set_code(&c->why, ERR_UV, ERR_RETRY, r, "cannot find the database host %s: %s", h->name,
                 uv_strerror(r));
    db__conn_lost(c, &c->why);
}

static void on_start(struct ready *r)
{
    struct db_conn *c = container_of(r, struct db_conn, start);
    if (c->state == DB__CONN_NEW)
        try_host(c);
    unhold(c);
}

struct db_conn *db__conn_open(struct loop *l, const struct db_conf *conf, const struct db__dsn *dsn,
                              const struct db__conn_ops *ops, void *owner)
{
    struct db_conn *c = mem_alloc(sizeof(*c));
    c->magic = CONN_MAGIC;
    c->loop = l;
    c->conf = conf;
    c->dsn = dsn;
    c->ops = ops;
    c->owner = owner;
    CHECK(uv_timer_init(loop_uv(l), &c->timer) == 0);
    /* One for the timer, one for the ready queue: the owner must not be called back before it has
     * our address. */
    c->handles = 2;
    c->start.fn = on_start;
    loop_ready(l, &c->start);
    return c;
}

/* ---- set up and in use ----------------------------------------------------------------------- */

/* It has a session on the server. */
static bool is_up(const struct db_conn *c)
{
    return c->state == DB__CONN_SETUP || c->state == DB__CONN_IDLE || c->state == DB__CONN_BUSY;
}

/* When the answer is complete the connection is up, or it is not to be. */
/* By what name the server can be told to end this session. */
static void note_session(struct db_conn *c, const PGresult *res)
{
    int64_t pid;
    if (c->conf->pooled || PQnfields(res) <= SETUP_COL_STARTED ||
        span_to_i64(span_of(PQgetvalue(res, 0, SETUP_COL_PID)), 1, INT32_MAX, &pid) != 0 ||
        PQgetlength(res, 0, SETUP_COL_STARTED) >= (int)sizeof(c->backend_started))
        return;
    c->backend_pid = (int)pid;
    memcpy(c->backend_started, PQgetvalue(res, 0, SETUP_COL_STARTED),
           (size_t)PQgetlength(res, 0, SETUP_COL_STARTED) + 1);
}

static void setup_read(struct db_conn *c)
{
    char where[128];
    while (!PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        if (res == NULL && !c->greeted) {
            attempt_failed(c);
            return;
        }
        if (res == NULL) {
            (void)PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
            db__conn_timer(c, 0);
            set_state(c, DB__CONN_IDLE);
            c->up = true;
            c->idle_since_ns = clock_mono_ns();
            if (c->ops != NULL)
                c->ops->up(c);
            return;
        }
        bool ok = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1;
        if (ok) {
            c->greeted = true;
            c->standby = PQgetvalue(res, 0, SETUP_COL_STANDBY)[0] == 't';
            note_session(c, res);
        } else {
            db__err_result(&c->why, res, "setting up a connection");
            (void)err_wrap(&c->why, "%s: ", db__conn_where(c, where));
        }
        PQclear(res);
        if (!ok) {
            try_next(c);
            return;
        }
    }
}

int db__conn_flush(struct db_conn *c)
{
    struct err err;
    int left = PQflush(c->pg);
    if (left < 0) {
        lost_link(c);
        return -1;
    }
    if (poll_watch(c, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE, &err) == 0)
        return 0;
    db__conn_lost(c, &err);
    return -1;
}

/* False when the link has broken. A server that ends the connection says why before it does, so
 * what was read is looked at before that. */
static bool read_once(struct db_conn *c)
{
    bool alive = PQconsumeInput(c->pg) == 1;
    if (c->state == DB__CONN_SETUP)
        setup_read(c);
    else if (c->ops != NULL)
        c->ops->readable(c);
    return alive && (c->state == DB__CONN_CLOSED || PQstatus(c->pg) == CONNECTION_OK);
}

/* EPOLLERR: libuv has stopped watching and will not call again, but the server's last words may
 * still be there. */
static void read_last_words(struct db_conn *c)
{
    bool alive = true;
    c->events = 0;
    for (int i = 0; i < 64 && alive && is_up(c); i++)
        alive = read_once(c);
    if (is_up(c))
        lost_link(c);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct db_conn *c = container_of(h, struct db__poll, uv)->conn;
    if (c->state == DB__CONN_CONNECT)
        connect_poll(c); /* libpq finds out for itself */
    else if (!is_up(c))
        return;
    else if (status < 0)
        read_last_words(c);
    else if ((events & UV_WRITABLE) && db__conn_flush(c) < 0)
        return;
    else if (!read_once(c) && is_up(c))
        lost_link(c);
}

bool db__conn_alive(struct db_conn *c)
{
    bool alive = PQconsumeInput(c->pg) == 1;
    /* Parses what has come. Between queries that is a notice, the server's farewell, or nothing. */
    for (PGnotify *n = PQnotifies(c->pg); n != NULL; n = PQnotifies(c->pg))
        PQfreemem(n);
    return alive && !c->dismissed && PQstatus(c->pg) == CONNECTION_OK;
}

void db__conn_set_busy(struct db_conn *c, bool busy)
{
    set_state(c, busy ? DB__CONN_BUSY : DB__CONN_IDLE);
    if (!busy)
        c->idle_since_ns = clock_mono_ns();
}
