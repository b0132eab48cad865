/* The server object: settings, deadlines, drain. */
#include <fcntl.h>
#include <unistd.h>

#include "httpd/internal.h"

#define HTTPD_MAGIC 0x68747031u

void httpd__check(const struct httpd *h)
{
    CHECK(h && h->magic == HTTPD_MAGIC);
}

/* ---- making ------------------------------------------------------------------------------------
 */

#define DEFAULT(field, value) ((field) = (field) ? (field) : (value))

static const char default_policy[] =
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'";

static void fill_defaults(struct httpd_conf *c)
{
    DEFAULT(c->name, "http");
    DEFAULT(c->max_request_line, 8192);
    DEFAULT(c->max_head, 16384);
    DEFAULT(c->max_fields, 100);
    DEFAULT(c->max_body, 1024 * 1024);
    DEFAULT(c->max_connections, 1024);
    DEFAULT(c->max_per_address, 64);
    DEFAULT(c->max_per_proxy, c->max_connections);
    DEFAULT(c->max_requests, 10000);
    DEFAULT(c->head_timeout_ms, 10000);
    DEFAULT(c->body_timeout_ms, 10000);
    DEFAULT(c->idle_timeout_ms, 60000);
    DEFAULT(c->write_timeout_ms, 20000);
    DEFAULT(c->handler_timeout_ms, 30000);
    DEFAULT(c->min_rate, 1024);
    DEFAULT(c->max_stream_buffer, 256 * 1024);
    DEFAULT(c->gzip_max, 128 * 1024);
    DEFAULT(c->html_policy, default_policy);
    CHECK(c->max_request_line < UINT32_MAX / 2 && c->max_head < UINT32_MAX / 2 &&
          c->max_fields < UINT16_MAX);
}

/* An eighth of the shortest deadline, so that it is kept roughly; at most four times a second. */
static int64_t sweep_every(const struct httpd_conf *c)
{
    const int64_t all[] = {c->head_timeout_ms, c->body_timeout_ms, c->idle_timeout_ms,
                           c->write_timeout_ms, c->handler_timeout_ms};
    int64_t least = 2000;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        least = all[i] < least ? all[i] : least;
    return least / 8 > 5 ? least / 8 : 5;
}

struct httpd *httpd_new(struct loop *l, const struct httpd_conf *conf, struct err *err)
{
    struct httpd *h = mem_alloc(sizeof(*h));
    h->magic = HTTPD_MAGIC;
    h->loop = l;
    h->conf = *conf;
    fill_defaults(&h->conf);
    if (httpd__trusted_parse(&h->trusted, conf->trusted, err) < 0) {
        vec_done(&h->trusted);
        mem_free(h);
        return NULL;
    }
    h->arena = arena_new(0);
    h->conf.name = arena_strdup(h->arena, h->conf.name);
    h->conf.html_policy = arena_strdup(h->arena, h->conf.html_policy);
    h->conf.trusted = NULL; /* read already */
    h->limits =
        (struct httpd__limits){h->conf.max_request_line, h->conf.max_head, h->conf.max_fields};
    /* Which addresses share a slot must not be for others to know. */
    h->peers.seed = uv_hrtime() ^ (uint64_t)(uintptr_t)h;
    (void)uv_random(NULL, NULL, &h->peers.seed, sizeof(h->peers.seed), 0, NULL); /* else as it is */
    h->in = mem_alloc(HTTPD__IN_SIZE);
    h->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    h->sweep_ms = sweep_every(&h->conf);
    h->date_s = -1;
    CHECK(uv_timer_init(loop_uv(l), &h->sweep) == 0);
    h->handles = 1;
    h->sweep_open = true;
    return h;
}

void httpd_route(struct httpd *h, const struct httpd_route *route)
{
    httpd__check(h);
    httpd__router_add(&h->router, route);
}

const struct httpd_stats *httpd_stats(const struct httpd *h)
{
    httpd__check(h);
    return &h->stats;
}

/* ---- the date ----------------------------------------------------------------------------------
 */

/* IMF-fixdate (RFC 9110, 5.6.7), made once a second. */
const char *httpd__date(struct httpd *h)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;
    if (now != h->date_s && gmtime_r(&now, &tm)) {
        h->date_s = now;
        snprintf(h->date, sizeof(h->date), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
    }
    return h->date;
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

/* What a deadline sets off may move any other connection; those that are due wait on a list of
 * their own meanwhile. */
static void collect(struct httpd *h, struct httpd__list *list, bool sorted, int64_t now)
{
    for (struct httpd__conn *c = list->first, *next; c; c = next) {
        next = c->next;
        if (c->deadline_ms && c->deadline_ms <= now)
            httpd__move(c, &h->expired);
        else if (sorted)
            return;
    }
}

static void cut_all(struct httpd__list *list)
{
    while (list->first)
        httpd__conn_cut(list->first);
}

static void on_sweep(uv_timer_t *timer)
{
    struct httpd *h = container_of(timer, struct httpd, sweep);
    int64_t now = loop_now_ms(h->loop);
    httpd__listeners_resume(h);
    collect(h, &h->idle, true, now); /* all wait equally long: the first is due first */
    collect(h, &h->active, false, now);
    while (h->expired.first) {
        struct httpd__conn *c = h->expired.first;
        httpd__move(c, c->state == HTTPD__IDLE ? &h->idle : &h->active);
        httpd__conn_expired(c);
    }
    if (h->draining && now >= h->drain_deadline_ms) {
        cut_all(&h->idle);
        cut_all(&h->active);
    }
    bool paused = false;
    for (struct httpd__listener *l = h->listeners; l; l = l->next)
        paused |= l->paused;
    if (!h->idle.first && !h->active.first && !paused && !h->draining) {
        uv_timer_stop(&h->sweep);
        h->sweeping = false;
    }
}

void httpd__sweep_start(struct httpd *h)
{
    if (h->sweeping || !h->sweep_open)
        return;
    h->sweeping = true;
    CHECK(uv_timer_start(&h->sweep, on_sweep, (uint64_t)h->sweep_ms, (uint64_t)h->sweep_ms) == 0);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void on_sweep_closed(uv_handle_t *handle)
{
    struct httpd *h = container_of((uv_timer_t *)(void *)handle, struct httpd, sweep);
    httpd__handle_closed(h);
}

/* Streams whose on_close is due are waited for, too. */
void httpd__maybe_drained(struct httpd *h)
{
    if (!h->draining || h->drained || h->stats.streams)
        return;
    if (h->handles == 1 && h->sweep_open) {
        h->sweep_open = false;
        uv_close((uv_handle_t *)&h->sweep, on_sweep_closed);
    } else if (h->handles == 0) {
        h->drained = true;
        op_finish(h->drain, NULL);
    }
}

void httpd__handle_closed(struct httpd *h)
{
    CHECK(h->handles > 0);
    h->handles--;
    httpd__maybe_drained(h);
}

/* From the loop, since those who are told may do anything. */
static void cut_now(struct op *op)
{
    struct httpd *h = op->provider;
    h->drain_deadline_ms = 0;
    if (h->sweep_open)
        CHECK(uv_timer_start(&h->sweep, on_sweep, 0, (uint64_t)h->sweep_ms) == 0);
}

void httpd_drain(struct httpd *h, int64_t grace_ms, struct op *op)
{
    httpd__check(h);
    CHECK(!h->draining);
    op_init(op, h->loop, cut_now);
    op->provider = h;
    op_begin(op);
    h->drain = op;
    h->draining = true;
    h->drain_deadline_ms = loop_now_ms(h->loop) + (grace_ms > 0 ? grace_ms : 0);
    httpd__listeners_close(h);
    cut_all(&h->idle);
    for (struct httpd__conn *c = h->active.first, *next; c; c = next) {
        next = c->next;
        c->last = true;
        bool nothing_yet = c->state == HTTPD__HEADING && httpd__parser_fresh(&c->parser);
        if (nothing_yet || c->state == HTTPD__STREAMING)
            httpd__move(c, &h->expired);
    }
    cut_all(&h->expired);
    httpd__sweep_start(h);
    httpd__maybe_drained(h);
}

struct httpd *httpd_free(struct httpd *h)
{
    if (!h)
        return NULL;
    httpd__check(h);
    CHECK(h->drained);
    h->freed = true;
    h->conf.on_request = NULL; /* whoever made us may be gone when the last request is */
    while (h->free_reqs) {
        struct httpd_req *r = h->free_reqs;
        h->free_reqs = r->next;
        arena_free(r->arena);
        buf_done(&r->body);
        mem_free(r);
    }
    if (h->reqs)
        return NULL; /* the last one that is answered comes back here */
    httpd__router_done(&h->router);
    httpd__peers_done(&h->peers);
    vec_done(&h->trusted);
    httpd__gzip_free(h);
    buf_done(&h->out);
    arena_free(h->arena);
    mem_free(h->in);
    if (h->reserve_fd >= 0)
        (void)close(h->reserve_fd);
    h->magic = 0;
    mem_free(h);
    return NULL;
}
