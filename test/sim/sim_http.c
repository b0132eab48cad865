/* The server: connections, requests in, bytes out. Not src/httpd, which could not be as wrong as it
 * has to be here. */
#include <netinet/in.h>
#include <strings.h>

#include "sim/sim.h"

enum {
    BODY_MAX = 16 << 20,
    URL_MAX = 16 << 10,
    FIELDS_MAX = 64,
    READ_SIZE = 64 << 10,
    PENDING_MAX = 1 << 20,
    FILLER_PIECE = 64 << 10,
    DRIP_MS = 50,
    BACKLOG = 1024,
    CONNECTIONS_MAX = 4096,
};

struct conn {
    struct server *v;
    struct conn *prev, *next;
    uv_tcp_t tcp;
    uv_timer_t timer; /* of delays and drips */
    unsigned handles;
    bool closing, reading;
    llhttp_t parser;
    struct req *req;    /* while it is read */
    struct req *served; /* while it is answered */
    bool sending;
    struct buf pending; /* input behind the request that is served */
    struct plan plan;
    size_t sent;
    uv_write_t write;
};

struct server {
    struct sim *sim;
    uv_tcp_t listener;
    uv_timer_t again; /* opens the listener */
    unsigned handles;
    bool listening, closing;
    struct sockaddr_in address;
    char bound[64];
    struct conn *conns;
    unsigned nconns;
    llhttp_settings_t settings;
};

static char filler[FILLER_PIECE];
static char input[READ_SIZE]; /* what all connections read into: it is used up at once or copied */

/* ---- requests ----------------------------------------------------------------------------------
 */

static struct req *req_new(struct conn *c)
{
    struct req *r = mem_alloc(sizeof(*r));
    r->arena = arena_new(0);
    r->sim = c->v->sim;
    r->conn = c;
    return r;
}

static void req_free(struct req *r)
{
    vec_done(&r->query);
    vec_done(&r->form);
    for (size_t i = 0; i < r->fields.n; i++) {
        mem_free(r->fields.v[i].name);
        mem_free(r->fields.v[i].value);
    }
    vec_done(&r->fields);
    buf_done(&r->url);
    buf_done(&r->body);
    buf_done(&r->out);
    buf_done(&r->head);
    arena_free(r->arena);
    mem_free(r);
}

const char *req_field(const struct req *r, const char *name)
{
    for (size_t i = 0; i < r->fields.n; i++) {
        if (strcasecmp(r->fields.v[i].name, name) == 0)
            return r->fields.v[i].value ? r->fields.v[i].value : "";
    }
    return NULL;
}

/* ---- the parser's callbacks --------------------------------------------------------------------
 */

static struct req *of(llhttp_t *p)
{
    struct conn *c = p->data;
    if (!c->req)
        c->req = req_new(c);
    return c->req;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct req *r = of(p);
    buf_put(&r->url, at, n);
    return r->url.n > URL_MAX ? HPE_USER : HPE_OK;
}

static void grow(char **text, const char *at, size_t n)
{
    size_t had = *text ? strlen(*text) : 0;
    *text = mem_realloc(*text, had + n + 1);
    memcpy(*text + had, at, n);
    (*text)[had + n] = '\0';
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct req *r = of(p);
    if (r->fields.n == 0 || r->in_value) {
        if (r->fields.n >= FIELDS_MAX)
            return HPE_USER;
        *vec_push(&r->fields) = (struct pair){0};
    }
    r->in_value = false;
    grow(&r->fields.v[r->fields.n - 1].name, at, n);
    return HPE_OK;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct req *r = of(p);
    r->in_value = true;
    if (r->fields.n)
        grow(&r->fields.v[r->fields.n - 1].value, at, n);
    return HPE_OK;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct req *r = of(p);
    buf_put(&r->body, at, n);
    return r->body.n > BODY_MAX ? HPE_USER : HPE_OK;
}

static int on_complete(llhttp_t *p)
{
    struct req *r = of(p);
    r->keep_alive = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

/* ---- a request is whole ------------------------------------------------------------------------
 */

static void read_form(struct req *r)
{
    const char *type = req_field(r, "Content-Type");
    if (!type)
        return;
    if (strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0) {
        pairs_read(r->arena, buf_span(&r->body), &r->form);
        r->has_form = true;
    } else {
        r->has_form = pairs_read_multipart(r->arena, buf_span(&r->body), type, &r->form);
    }
}

static void serve(struct conn *c)
{
    struct req *r = c->req;
    struct pairs path = {0};
    c->req = NULL;
    c->served = r;
    r->begun_ns = clock_mono_ns();
    snprintf(r->method, sizeof(r->method), "%s", llhttp_method_name(c->parser.method));
    const char *url = r->url.n ? r->url.p : "/", *query = strchr(url, '?');
    size_t n = query ? (size_t)(query - url) : strlen(url);
    r->query_text = arena_strdup(r->arena, query ? query + 1 : "");
    pairs_read(r->arena, span_of(r->query_text), &r->query);
    pairs_read(r->arena, (struct span){url, n}, &path);
    r->path = path.n ? path.v[0].name : arena_strdup(r->arena, "/");
    vec_done(&path);
    read_form(r);
    sim_serve(r);
}

static void set_reading(struct conn *c, bool on);
static void conn_close(struct conn *c);

/* What the parser has not seen yet waits. */
static void feed(struct conn *c, const char *p, size_t n)
{
    enum llhttp_errno rc = llhttp_execute(&c->parser, p, n);
    if (rc == HPE_PAUSED) {
        const char *at = llhttp_get_error_pos(&c->parser);
        size_t used = at >= p && at <= p + n ? (size_t)(at - p) : n;
        buf_put(&c->pending, p + used, n - used);
        llhttp_resume(&c->parser);
        serve(c);
    } else if (rc != HPE_OK) {
        conn_close(c); /* no test of ours asks what Strava says to that */
    }
}

static void next_request(struct conn *c)
{
    struct buf waiting = c->pending;
    c->pending = (struct buf){0};
    if (waiting.n)
        feed(c, waiting.p, waiting.n);
    buf_done(&waiting);
    if (!c->closing)
        set_reading(c, true);
}

/* ---- connections -------------------------------------------------------------------------------
 */

static void maybe_free(struct server *v)
{
    if (v->closing && v->handles == 0 && v->nconns == 0)
        mem_free(v);
}

static void conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct server *v = c->v;
    if (--c->handles > 0)
        return;
    *(c->prev ? &c->prev->next : &v->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    v->nconns--;
    if (c->req)
        req_free(c->req);
    buf_done(&c->pending);
    buf_done(&c->plan.bytes);
    mem_free(c);
    maybe_free(v);
}

static void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->served) {
        struct req *r = c->served;
        c->served = NULL;
        r->conn = NULL;
        if (r->on_gone)
            r->on_gone(r);
    }
    uv_close((uv_handle_t *)&c->timer, conn_closed);
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, conn_closed);
}

static void conn_reset(struct conn *c)
{
    if (!c->closing)
        (void)uv_tcp_close_reset(&c->tcp, conn_closed); /* else it is closed as usual */
    conn_close(c);
}

static void give(uv_handle_t *handle, size_t hint, uv_buf_t *b)
{
    (void)handle;
    (void)hint;
    *b = uv_buf_init(input, READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct conn *c = stream->data;
    if (n < 0) {
        conn_close(c);
    } else if (c->served || c->sending || c->pending.n) {
        buf_put(&c->pending, b->base, (size_t)n);
        if (c->pending.n > PENDING_MAX)
            set_reading(c, false);
    } else if (n > 0) {
        feed(c, b->base, (size_t)n);
    }
}

static void set_reading(struct conn *c, bool on)
{
    if (c->closing || c->reading == on)
        return;
    c->reading = on;
    if (on)
        CHECK(uv_read_start((uv_stream_t *)&c->tcp, give, on_read) == 0);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/* ---- bytes out ---------------------------------------------------------------------------------
 */

static void all_sent(struct conn *c)
{
    c->sending = false;
    buf_done(&c->plan.bytes);
    switch (c->plan.end) {
    case END_KEEP:
        next_request(c);
        break;
    case END_CLOSE:
        conn_close(c);
        break;
    case END_RST:
        conn_reset(c);
        break;
    case END_NEVER:
        c->sending = true; /* until the client closes */
        break;
    }
}

static void push(struct conn *c);

static void on_timer(uv_timer_t *timer)
{
    push(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = write->data;
    if (status < 0)
        conn_close(c);
    if (c->closing)
        return;
    if (c->plan.bytes_per_s > 0 && c->sent > c->plan.at_once)
        CHECK(uv_timer_start(&c->timer, on_timer, DRIP_MS, 0) == 0);
    else
        push(c);
}

static size_t share_of(const struct conn *c)
{
    size_t left = c->plan.bytes.n - c->sent;
    if (c->plan.bytes_per_s <= 0)
        return left;
    if (c->sent < c->plan.at_once)
        return c->plan.at_once - c->sent < left ? c->plan.at_once - c->sent : left;
    size_t share = (size_t)(c->plan.bytes_per_s * DRIP_MS / 1000);
    share = share ? share : 1;
    return share < left ? share : left;
}

static void push(struct conn *c)
{
    uv_buf_t b = uv_buf_init(NULL, 0);
    size_t n = share_of(c);
    if (c->closing)
        return;
    if (n) {
        b = uv_buf_init(c->plan.bytes.p + c->sent, (unsigned)n);
        c->sent += n;
    } else if (c->plan.filler) {
        n = c->plan.filler < FILLER_PIECE ? (size_t)c->plan.filler : FILLER_PIECE;
        b = uv_buf_init(filler, (unsigned)n);
        c->plan.filler -= n;
    } else {
        all_sent(c);
        return;
    }
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0)
        conn_close(c);
}

void conn_answer(struct req *r, struct plan *p)
{
    struct conn *c = r->conn;
    req_free(r);
    if (!c) {
        buf_done(&p->bytes);
        return;
    }
    c->served = NULL;
    c->sending = true;
    c->plan = *p;
    c->sent = 0;
    /* By the timer in any case: the answer never runs inside the request's own stack. */
    CHECK(uv_timer_start(&c->timer, on_timer, (uint64_t)p->delay_ms, 0) == 0);
}

/* ---- the listener ------------------------------------------------------------------------------
 */

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *v = listener->data;
    if (status < 0)
        return;
    struct conn *c = mem_alloc(sizeof(*c));
    c->v = v;
    c->handles = 2;
    c->tcp.data = c->timer.data = c;
    CHECK(uv_tcp_init(loop_uv(v->sim->loop), &c->tcp) == 0);
    CHECK(uv_timer_init(loop_uv(v->sim->loop), &c->timer) == 0);
    c->next = v->conns;
    if (v->conns)
        v->conns->prev = c;
    v->conns = c;
    v->nconns++;
    llhttp_init(&c->parser, HTTP_REQUEST, &v->settings);
    c->parser.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 || v->nconns > CONNECTIONS_MAX) {
        conn_close(c);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    set_reading(c, true);
}

static int listen_now(struct server *v)
{
    CHECK(uv_tcp_init(loop_uv(v->sim->loop), &v->listener) == 0);
    v->listener.data = v;
    v->handles++;
    v->listening = true;
    int rc = uv_tcp_bind(&v->listener, (const struct sockaddr *)&v->address, 0);
    return rc < 0 ? rc : uv_listen((uv_stream_t *)&v->listener, BACKLOG, on_connection);
}

static void server_closed(uv_handle_t *handle)
{
    struct server *v = handle->data;
    v->handles--;
    maybe_free(v);
}

static void listen_again(uv_timer_t *timer)
{
    struct server *v = timer->data;
    if (!v->listening && !v->closing && listen_now(v) < 0) {
        v->listening = false;
        uv_close((uv_handle_t *)&v->listener, server_closed);
        CHECK(uv_timer_start(&v->again, listen_again, 100, 0) == 0);
    }
}

void server_refuse_for(struct server *v, int64_t ms)
{
    if (v->listening) {
        v->listening = false;
        uv_close((uv_handle_t *)&v->listener, server_closed);
    }
    CHECK(uv_timer_start(&v->again, listen_again, (uint64_t)ms, 0) == 0);
}

static int parse_address(struct server *v, const char *address, struct err *err)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    int64_t port = 0;
    if (colon && (size_t)(colon - address) < sizeof(host) &&
        span_to_i64(span_of(colon + 1), 0, 65535, &port) == 0) {
        snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
        if (uv_ip4_addr(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, (int)port,
                        &v->address) == 0)
            return 0;
    }
    return err_set(err, ERR_USAGE, ERR_PERMANENT, "%s is not an address such as 127.0.0.1:8080",
                   address);
}

/* Port 0 was any: from now on it is this one. */
static void remember_port(struct server *v)
{
    int n = sizeof(v->address);
    char host[32] = "";
    CHECK(uv_tcp_getsockname(&v->listener, (struct sockaddr *)&v->address, &n) == 0);
    (void)uv_ip4_name(&v->address, host, sizeof(host));
    snprintf(v->bound, sizeof(v->bound), "%s:%d", host, ntohs(v->address.sin_port));
}

struct server *server_open(struct sim *s, const char *address, struct err *err)
{
    struct server *v = mem_alloc(sizeof(*v));
    v->sim = s;
    if (parse_address(v, address, err) < 0) {
        mem_free(v);
        return NULL;
    }
    memset(filler, ' ', sizeof(filler));
    llhttp_settings_init(&v->settings);
    v->settings.on_url = on_url;
    v->settings.on_header_field = on_field;
    v->settings.on_header_value = on_value;
    v->settings.on_body = on_body;
    v->settings.on_message_complete = on_complete;
    CHECK(uv_timer_init(loop_uv(s->loop), &v->again) == 0);
    v->again.data = v;
    v->handles = 1;
    int rc = listen_now(v);
    if (rc < 0) {
        err_set_code(err, ERR_UV, ERR_RETRY, rc, "listening on %s: %s", address, uv_strerror(rc));
        server_close(v);
        return NULL;
    }
    remember_port(v);
    return v;
}

const char *server_bound(const struct server *v)
{
    return v->bound;
}

void server_close(struct server *v)
{
    v->closing = true;
    if (v->listening)
        uv_close((uv_handle_t *)&v->listener, server_closed);
    uv_close((uv_handle_t *)&v->again, server_closed);
    for (struct conn *c = v->conns; c; c = c->next)
        conn_close(c);
}
