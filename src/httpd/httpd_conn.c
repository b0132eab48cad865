/* A connection: reads a request, has it handled, and reads the next one when the answer is sent. */
#include <unistd.h>

#include "httpd/internal.h"

#define CONN_MAGIC 0x68636e31u

enum {
    LINGER_MS = 2000, /* for a client to take the last answer */
    LINGER_BYTES = 256 * 1024,
    REFUSED_SHARE = 8, /* of max_connections: how many may linger over it */
};

static void conn_check(const struct httpd__conn *c)
{
    CHECK(c && c->magic == CONN_MAGIC);
}

/* ---- state -------------------------------------------------------------------------------------
 */

void httpd__move(struct httpd__conn *c, struct httpd__list *to)
{
    if (c->list) {
        *(c->prev ? &c->prev->next : &c->list->first) = c->next;
        *(c->next ? &c->next->prev : &c->list->last) = c->prev;
    }
    c->list = to;
    c->prev = to ? to->last : NULL;
    c->next = NULL;
    if (to) {
        *(to->last ? &to->last->next : &to->first) = c;
        to->last = c;
    }
}

#define BIT(state) (1u << HTTPD__##state)

void httpd__conn_state(struct httpd__conn *c, enum httpd__conn_state state)
{
    /* By new state: from where. */
    static const unsigned from[] = {
        [HTTPD__IDLE] = BIT(WRITING),
        [HTTPD__HEADING] = BIT(IDLE) | BIT(HEADING),
        [HTTPD__BODYING] = BIT(IDLE) | BIT(HEADING),
        [HTTPD__HANDLING] = BIT(HEADING) | BIT(BODYING) | BIT(IDLE),
        [HTTPD__WRITING] = BIT(HANDLING) | BIT(STREAMING),
        [HTTPD__STREAMING] = BIT(HANDLING),
        [HTTPD__LINGERING] = BIT(WRITING),
        [HTTPD__CLOSING] = ~BIT(CLOSING),
    };
    conn_check(c);
    CHECK(from[state] & 1u << c->state);
    if (c->state == HTTPD__IDLE)
        c->srv->stats.idle--;
    if (state == HTTPD__IDLE)
        c->srv->stats.idle++;
    c->state = (uint8_t)state;
    struct httpd__list *list = state == HTTPD__CLOSING ? NULL
                               : state == HTTPD__IDLE  ? &c->srv->idle
                                                       : &c->srv->active;
    if (list != c->list)
        httpd__move(c, list);
}

void httpd__conn_deadline(struct httpd__conn *c, int64_t ms)
{
    c->deadline_ms = ms > 0 ? loop_now_ms(c->srv->loop) + ms : 0;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void free_conn(struct httpd__conn *c)
{
    httpd__parser_done(&c->parser);
    buf_done(&c->pending);
    c->magic = 0;
    mem_free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct httpd__conn *c = handle->data;
    struct httpd *h = c->srv;
    conn_check(c);
    if (c->counted)
        httpd__peers_remove(&h->peers, &c->peer);
    if (c->refused)
        h->refused--;
    else
        h->stats.open--;
    c->closed = true;
    if (!c->ready.queued)
        free_conn(c);
    httpd__handle_closed(h);
}

void httpd__conn_cut(struct httpd__conn *c)
{
    if (c->state == HTTPD__CLOSING)
        return;
    httpd__conn_state(c, HTTPD__CLOSING);
    uv_close(&c->uv.handle, on_closed);
    if (c->req)
        httpd__req_gone(c->req);
    if (c->out)
        httpd__stream_gone(c->out);
}

/* All is sent. */
static void linger(struct httpd__conn *c)
{
    uv_os_fd_t fd;
    if (c->eof || uv_fileno(&c->uv.handle, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        httpd__conn_cut(c);
        return;
    }
    httpd__conn_state(c, HTTPD__LINGERING);
    buf_done(&c->pending);
    httpd__conn_deadline(c, LINGER_MS);
    httpd__conn_read(c, true);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void allow_field(struct httpd_req *r, unsigned allowed)
{
    struct buf text = {0};
    for (int m = 0; m < HTTPD_METHODS; m++) {
        if (allowed & 1u << m || m == HTTPD_OPTIONS) {
            buf_puts(&text, text.n ? ", " : "");
            buf_puts(&text, httpd_method_name((enum httpd_method)m));
        }
    }
    httpd_set(r, "Allow", text.p);
    buf_done(&text);
}

static void answer_unrouted(struct httpd_req *r)
{
    bool star = span_is(r->head.raw_path, "*");
    if (!star && !r->match.pattern) {
        httpd_problem(r, 404, NULL, NULL, NULL);
        return;
    }
    allow_field(r, star ? (1u << HTTPD_METHODS) - 1 : r->match.allowed);
    if (r->head.method == HTTPD_OPTIONS)
        httpd_empty(r, 204);
    else
        httpd_problem(r, 405, NULL, NULL, NULL);
}

static void hand_over(struct httpd__conn *c)
{
    struct httpd_req *r = c->req;
    r->handled = true;
    c->srv->stats.held++;
    httpd__conn_state(c, HTTPD__HANDLING);
}

static void dispatch(struct httpd__conn *c)
{
    struct httpd_req *r = c->req;
    const struct httpd_route *route = r->match.route;
    hand_over(c);
    if (!route) {
        answer_unrouted(r);
        return;
    }
    int64_t timeout = route->timeout_ms ? route->timeout_ms : c->srv->conf.handler_timeout_ms;
    httpd__conn_deadline(c, timeout);
    route->handler(r, route->ctx);
}

void httpd__conn_refuse(struct httpd__conn *c, int status, const char *why)
{
    if (!c->req) {
        c->req = httpd__req_new(c);
        c->req->head = (struct httpd__head){.method = HTTPD_GET, .minor = 1};
    }
    c->last = true;
    hand_over(c);
    httpd_problem(c->req, status, NULL, NULL, why);
}

static bool refuse_bad(struct httpd__conn *c, int status, const char *why)
{
    c->srv->stats.malformed++;
    httpd__conn_refuse(c, status, why);
    return false;
}

/* Path, query and route; 0 or the status to refuse with. */
static int resolve(struct httpd_req *r, const char **why)
{
    if (span_is(r->head.raw_path, "*")) {
        r->path = r->head.raw_path;
        return 0;
    }
    if (httpd__path_decode(r->arena, r->head.raw_path, &r->path, why) ||
        httpd__form_decode(r->arena, r->head.raw_query, &r->query, why))
        return 400;
    (void)httpd__router_find(&r->srv->router, r->head.method, r->path, &r->match);
    return 0;
}

static size_t body_limit(const struct httpd_req *r)
{
    const struct httpd_route *route = r->match.route;
    enum httpd_method m = r->head.method;
    if (!route)
        return 0;
    if (route->max_body)
        return route->max_body;
    return m == HTTPD_GET || m == HTTPD_HEAD || m == HTTPD_OPTIONS ? 0 : r->srv->conf.max_body;
}

static bool on_head(struct httpd__conn *c, struct span text, bool more)
{
    struct httpd *h = c->srv;
    const char *why = NULL;
    struct httpd_req *r = c->req = httpd__req_new(c);
    struct span copy = {arena_span_dup(r->arena, text), text.n};
    c->requests++;
    h->stats.bytes_in += text.n;
    httpd__conn_state(c, HTTPD__BODYING);
    int status = httpd__head_read(&r->head, r->arena, copy, c->parser.fields, &why);
    r->has_head = r->head.target.n > 0;
    if (status == 0)
        status = resolve(r, &why);
    if (status)
        return refuse_bad(c, status, why);
    c->last = !r->head.keep_alive || c->requests >= h->conf.max_requests || h->draining;
    size_t limit = body_limit(r);
    bool body = r->head.chunked || r->head.length;
    if (body && !r->match.route) { /* not worth reading */
        c->last = true;
        dispatch(c);
        return false;
    }
    if (r->head.length > limit)
        return refuse_bad(c, 413, "the body is too large");
    /* RFC 9110, 10.1.1: not when the body is coming already. */
    if (r->head.expect_continue && !more &&
        httpd__out_now(c, SPAN("HTTP/1.1 100 Continue\r\n\r\n")) < 0) {
        httpd__conn_cut(c);
        return false;
    }
    if (body) {
        c->since_ms = loop_now_ms(h->loop);
        httpd__conn_deadline(c, h->conf.body_timeout_ms);
    }
    httpd__parser_body(&c->parser, r->head.chunked, r->head.length, limit);
    return true;
}

static bool on_body(struct httpd__conn *c, struct span p)
{
    c->srv->stats.bytes_in += p.n;
    if (httpd__req_body(c->req, p) == 0)
        return true;
    return refuse_bad(c, 503, "out of memory");
}

/* A head has a fixed time; a body has one that grows with what came, so that a slow but steady
 * client gets through and one that trickles does not. */
static void on_more(struct httpd__conn *c, bool some)
{
    const struct httpd_conf *conf = &c->srv->conf;
    if (c->state == HTTPD__IDLE && some) {
        httpd__conn_state(c, HTTPD__HEADING);
        httpd__conn_deadline(c, conf->head_timeout_ms);
    } else if (c->state == HTTPD__BODYING) {
        c->deadline_ms =
            c->since_ms + conf->body_timeout_ms + (int64_t)(c->req->body.n * 1000 / conf->min_rate);
    }
}

/* False: nothing more to do for now. */
static bool step(struct httpd__conn *c, struct span *in)
{
    struct span out;
    bool some = in->n > 0;
    switch (httpd__parse(&c->parser, &c->srv->limits, in, &out)) {
    case HTTPD__HEAD:
        return on_head(c, out, in->n > 0);
    case HTTPD__BODY:
        return on_body(c, out);
    case HTTPD__END:
        dispatch(c);
        return true;
    case HTTPD__BAD:
        return refuse_bad(c, c->parser.status, c->parser.why);
    case HTTPD__MORE:
        break;
    }
    on_more(c, some);
    return false;
}

static void run(struct httpd__conn *c, struct span in)
{
    c->running = true;
    while (c->state <= HTTPD__BODYING && step(c, &in)) {
    }
    c->running = false;
    if (in.n && c->state >= HTTPD__HANDLING && c->state <= HTTPD__STREAMING && !c->last)
        buf_put(&c->pending, in.p, in.n);
    if (c->pending.n >= HTTPD__PENDING_MAX)
        httpd__conn_read(c, false);
}

static void go_on(struct ready *ready)
{
    struct httpd__conn *c = container_of(ready, struct httpd__conn, ready);
    if (c->closed) {
        free_conn(c);
        return;
    }
    if (c->state > HTTPD__BODYING)
        return; /* a handler has the next one, or the end has come */
    struct buf waiting = c->pending;
    c->pending = (struct buf){0};
    run(c, buf_span(&waiting));
    buf_done(&waiting);
    if (c->state < HTTPD__LINGERING && c->pending.n < HTTPD__PENDING_MAX)
        httpd__conn_read(c, true);
}

void httpd__conn_continue(struct httpd__conn *c)
{
    c->ready.fn = go_on;
    if (!c->ready.queued)
        loop_ready(c->srv->loop, &c->ready);
}

void httpd__conn_answered(struct httpd__conn *c)
{
    CHECK(c->state == HTTPD__WRITING && !c->req);
    if (c->last || c->eof) {
        linger(c);
        return;
    }
    httpd__conn_state(c, HTTPD__IDLE);
    httpd__conn_deadline(c, c->srv->conf.idle_timeout_ms);
    if (!c->running && c->pending.n)
        httpd__conn_continue(c);
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

/* The handler keeps its request, the client gets an answer. */
static void give_up_on_handler(struct httpd__conn *c)
{
    struct httpd_req *late = c->req, *r = httpd__req_new(c);
    r->head = (struct httpd__head){.method = late->head.method, .minor = late->head.minor};
    r->match = late->match;
    r->path = (struct span){arena_span_dup(r->arena, late->path), late->path.n};
    r->start_ns = late->start_ns;
    r->client = arena_strdup(r->arena, httpd_client_address(late));
    r->handled = true;
    c->srv->stats.held++;
    c->srv->stats.timed_out_handler++;
    c->req = r;
    c->last = true;
    httpd_set(r, "Retry-After", "5");
    httpd_problem(r, 503, NULL, NULL, "the service is too busy to answer in time");
    late->counted = true;
    late->conn = NULL;
    httpd__req_gone(late);
}

void httpd__conn_expired(struct httpd__conn *c)
{
    struct httpd_stats *stats = &c->srv->stats;
    switch ((enum httpd__conn_state)c->state) {
    case HTTPD__IDLE:
        stats->timed_out_idle++;
        httpd__conn_cut(c);
        break;
    case HTTPD__HEADING:
        stats->timed_out_head++;
        if (httpd__parser_fresh(&c->parser))
            httpd__conn_cut(c);
        else
            (void)refuse_bad(c, 408, "the head took too long");
        break;
    case HTTPD__BODYING:
        stats->timed_out_body++;
        (void)refuse_bad(c, 408, "the body took too long");
        break;
    case HTTPD__HANDLING:
        give_up_on_handler(c);
        break;
    case HTTPD__WRITING:
    case HTTPD__STREAMING:
        stats->timed_out_write++;
        httpd__conn_cut(c);
        break;
    case HTTPD__LINGERING:
    case HTTPD__CLOSING:
        httpd__conn_cut(c);
        break;
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* One buffer for all: what is not used up at once is copied. */
static void give_buffer(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    struct httpd__conn *c = handle->data;
    (void)hint;
    *buf = uv_buf_init(c->srv->in, HTTPD__IN_SIZE);
}

/* The end of their side. Whoever shuts it while the answer is being worked out is taken for gone,
 * as is usual; an answer on its way is still sent. */
static void on_eof(struct httpd__conn *c)
{
    c->eof = true;
    if (c->state == HTTPD__WRITING)
        httpd__conn_read(c, false);
    else
        httpd__conn_cut(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct httpd__conn *c = stream->data;
    conn_check(c);
    if (n == 0 || c->state == HTTPD__CLOSING)
        return;
    if (n == UV_EOF) {
        on_eof(c);
    } else if (n < 0) {
        httpd__conn_cut(c);
    } else if (c->state == HTTPD__LINGERING) {
        c->discarded += (unsigned)n;
        if (c->discarded > LINGER_BYTES)
            httpd__conn_cut(c);
    } else if (c->state > HTTPD__BODYING || c->pending.n) {
        if (!c->last)
            buf_put(&c->pending, buf->base, (size_t)n);
        if (c->pending.n >= HTTPD__PENDING_MAX)
            httpd__conn_read(c, false);
    } else {
        run(c, (struct span){buf->base, (size_t)n});
    }
}

void httpd__conn_read(struct httpd__conn *c, bool on)
{
    if (c->reading == on || c->state == HTTPD__CLOSING || (on && c->eof))
        return;
    c->reading = on;
    if (on)
        CHECK(uv_read_start(&c->uv.stream, give_buffer, on_read) == 0);
    else
        uv_read_stop(&c->uv.stream);
}

/* ---- the beginning -----------------------------------------------------------------------------
 */

/* NULL: welcome; else why not. */
static const char *over_limit(struct httpd__conn *c)
{
    struct httpd *h = c->srv;
    if (h->draining)
        return "shutting down";
    if (h->stats.open >= h->conf.max_connections) {
        h->stats.refused_total++;
        return "too many connections";
    }
    if (c->peer.family == AF_UNIX)
        return NULL;
    if (httpd__peers_add(&h->peers, &c->peer,
                         c->trusted ? h->conf.max_per_proxy : h->conf.max_per_address) < 0) {
        h->stats.refused_address++;
        return "too many connections from this address";
    }
    c->counted = true;
    return NULL;
}

static int open_handle(struct httpd__conn *c, int fd, bool is_unix)
{
    uv_loop_t *loop = loop_uv(c->srv->loop);
    int rc;
    if (is_unix) {
        CHECK(uv_pipe_init(loop, &c->uv.pipe, 0) == 0);
        rc = uv_pipe_open(&c->uv.pipe, fd);
    } else {
        CHECK(uv_tcp_init(loop, &c->uv.tcp) == 0);
        rc = uv_tcp_open(&c->uv.tcp, fd);
        (void)uv_tcp_nodelay(&c->uv.tcp, 1); /* a slower answer is still an answer */
    }
    c->uv.handle.data = c;
    c->srv->handles++;
    return rc;
}

void httpd__conn_open(struct httpd *h, int fd, bool is_unix, const struct httpd__address *peer)
{
    struct httpd__conn *c = mem_alloc(sizeof(*c));
    c->magic = CONN_MAGIC;
    c->srv = h;
    c->peer = *peer;
    c->trusted = httpd__is_trusted(&h->trusted, peer);
    c->state = HTTPD__HEADING;
    httpd__parser_init(&c->parser);
    h->stats.accepted++;
    const char *refused = over_limit(c);
    if (refused && h->refused >= h->conf.max_connections / REFUSED_SHARE + 4) {
        (void)close(fd);
        free_conn(c);
        return;
    }
    c->refused = refused != NULL;
    *(refused ? &h->refused : &h->stats.open) += 1;
    httpd__move(c, &h->active);
    if (open_handle(c, fd, is_unix) < 0) {
        (void)close(fd);
        httpd__conn_cut(c);
        return;
    }
    httpd__conn_deadline(c, h->conf.head_timeout_ms);
    httpd__sweep_start(h);
    if (refused)
        httpd__conn_refuse(c, 503, refused);
    else
        httpd__conn_read(c, true);
}
