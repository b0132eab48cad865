/* What Strava says, and how the bytes of it are made: fields, chunks, gzip, and what faults do to
 * them. */
#include <zlib.h>

#include "sim/sim.h"

enum {
    CHUNK = 8192,
    GZIP_MIN = 256,
    HUGE_BYTES = 50000000,
    DEEP = 100000,
    REFUSE_MS = 1000,
    GZIP_BITS = 15 + 16, /* the window, and gzip's own header */
};

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {302, "Found"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {409, "Conflict"},
    {413, "Payload Too Large"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

static const char *phrase_of(int status)
{
    for (size_t i = 0; i < COUNT_OF(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Status";
}

/* ---- bodies that are not as they should be -----------------------------------------------------
 */

static void insert(struct buf *b, size_t at, const void *p, size_t n)
{
    struct buf made = {0};
    buf_put(&made, b->n ? b->p : "", at);
    buf_put(&made, p, n);
    buf_put(&made, b->n ? b->p + at : "", b->n - at);
    buf_done(b);
    *b = made;
}

/* Behind the first text `mark`, else at the end. */
static size_t behind(const struct buf *b, const char *mark)
{
    const char *at = b->n ? strstr(b->p, mark) : NULL;
    return at ? (size_t)(at - b->p) + strlen(mark) : b->n;
}

static void duplicate_key(struct buf *b)
{
    size_t from = behind(b, "{\"");
    const char *colon = from < b->n ? strchr(b->p + from, ':') : NULL;
    if (!colon) {
        buf_clear(b);
        buf_puts(b, "[{\"id\":1,\"id\":2}]");
        return;
    }
    struct buf copy = {0};
    buf_putc(&copy, '"');
    buf_put(&copy, b->p + from, (size_t)(colon - b->p) - from);
    buf_puts(&copy, ":null,");
    insert(b, from - 1, copy.p, copy.n);
    buf_done(&copy);
}

static void corrupt_body(struct req *r, const struct action *action, struct plan *p)
{
    struct buf *b = &r->out;
    switch (action->choice) {
    case CORRUPT_TRUNCATED:
        b->n /= 2;
        break;
    case CORRUPT_UTF8:
        insert(b, behind(b, ":\""), "\xc3\x28\xff", 3);
        break;
    case CORRUPT_CONTENT_TYPE:
        r->type = "text/html";
        break;
    case CORRUPT_DUPLICATE_KEYS:
        duplicate_key(b);
        break;
    case CORRUPT_HUGE:
        p->filler = action->bytes ? (uint64_t)action->bytes : HUGE_BYTES;
        break;
    case CORRUPT_DEEP:
        buf_clear(b);
        for (int i = 0; i < DEEP; i++)
            buf_putc(b, '[');
        for (int i = 0; i < DEEP; i++)
            buf_putc(b, ']');
        break;
    case CORRUPT_BOM:
        insert(b, 0, "\xef\xbb\xbf", 3);
        break;
    default:
        buf_puts(b, "}garbage{\"");
        break;
    }
}

/* ---- the bytes ---------------------------------------------------------------------------------
 */

void req_set(struct req *r, const char *name, const char *fmt, ...)
{
    va_list args;
    char text[2048];
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    text[strcspn(text, "\r\n")] = '\0'; /* what comes from a query must not make lines */
    buf_printf(&r->head, "%s: %s\r\n", name, text);
}

static bool gzip(const struct buf *in, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return false;
    size_t room = deflateBound(&z, in->n);
    char *p = mem_alloc(room);
    z.next_in = (Bytef *)in->p;
    z.avail_in = (uInt)in->n;
    z.next_out = (Bytef *)p;
    z.avail_out = (uInt)room;
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    if (done)
        buf_put(out, p, z.total_out);
    deflateEnd(&z);
    mem_free(p);
    return done;
}

static void put_date(struct req *r)
{
    time_t now = (time_t)(sim_now_us(r->sim) / S_US);
    struct tm tm;
    char text[64] = "";
    if (gmtime_r(&now, &tm))
        (void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    req_set(r, "Date", "%s", text);
}

static bool has_body(int status)
{
    return status != 204 && status >= 200;
}

static void put_chunks(struct buf *out, const struct buf *body)
{
    for (size_t at = 0; at < body->n; at += CHUNK) {
        size_t n = body->n - at < CHUNK ? body->n - at : CHUNK;
        buf_printf(out, "%zx\r\n", n);
        buf_put(out, body->p + at, n);
        buf_puts(out, "\r\n");
    }
    buf_puts(out, "0\r\n\r\n");
}

static bool wants_gzip(const struct req *r)
{
    const char *accept = req_field(r, "Accept-Encoding");
    return !r->plain && r->sim->world->settings.gzip && accept && strstr(accept, "gzip") &&
           r->out.n >= GZIP_MIN;
}

static void put_fields(struct req *r)
{
    put_date(r);
    if (r->type)
        req_set(r, "Content-Type", "%s", r->type);
    if (r->plain)
        return;
    if (!r->no_limits)
        quota_fields(r);
    if (r->status == 200 && strcmp(r->method, "GET") == 0) {
        uint64_t hash = r->out.n;
        for (size_t i = 0; i < r->out.n; i++)
            hash = (hash ^ (unsigned char)r->out.p[i]) * UINT64_C(0x100000001b3);
        req_set(r, "ETag", "W/\"%016llx\"", (unsigned long long)hash);
    }
    req_set(r, "Cache-Control", "max-age=0, private, must-revalidate");
    req_set(r, "Vary", "Accept-Encoding");
    req_set(r, "X-Envoy-Upstream-Service-Time", "%d", 12);
}

void answer_plan(struct req *r, struct plan *p)
{
    struct buf packed = {0};
    put_fields(r);
    if (wants_gzip(r) && !p->filler && gzip(&r->out, &packed)) {
        buf_done(&r->out);
        r->out = packed;
        req_set(r, "Content-Encoding", "gzip");
    }
    bool drops = r->faulty.has[FAULT_DROP] && r->faulty.by[FAULT_DROP].choice == DROP_BODY;
    bool chunked = r->sim->world->settings.chunked && !r->plain && !p->filler && !drops;
    if (has_body(r->status) && chunked)
        req_set(r, "Transfer-Encoding", "chunked");
    else if (has_body(r->status))
        req_set(r, "Content-Length", "%llu", (unsigned long long)(r->out.n + p->filler));
    if (!r->keep_alive)
        req_set(r, "Connection", "close");
    buf_printf(&p->bytes, "HTTP/1.1 %d %s\r\n", r->status, phrase_of(r->status));
    buf_put(&p->bytes, r->head.p, r->head.n);
    buf_puts(&p->bytes, "\r\n");
    p->at_once = p->bytes.n;
    if (has_body(r->status) && chunked)
        put_chunks(&p->bytes, &r->out);
    else if (has_body(r->status))
        buf_put(&p->bytes, r->out.n ? r->out.p : "", r->out.n);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

void answer_json(struct req *r, int status)
{
    r->status = status;
    r->type = "application/json; charset=utf-8";
    req_send(r);
}

void answer_text(struct req *r, int status, const char *type, const char *body)
{
    if (body)
        buf_puts(&r->out, body);
    r->status = status;
    r->type = type;
    req_send(r);
}

void answer_fault(struct req *r, int status, const char *message, const char *resource,
                  const char *field, const char *code)
{
    struct jw w = {.b = &r->out};
    buf_clear(&r->out);
    jw_open(&w, NULL, '{');
    jw_str(&w, "message", message);
    jw_open(&w, "errors", '[');
    if (resource) {
        jw_open(&w, NULL, '{');
        jw_str(&w, "resource", resource);
        jw_str(&w, "field", field);
        jw_str(&w, "code", code);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    answer_json(r, status);
}

void answer_bad(struct req *r, const char *resource, const char *field, const char *code)
{
    answer_fault(r, 400, "Bad Request", resource, field, code);
}

void answer_unauthorized(struct req *r)
{
    answer_fault(r, 401, "Authorization Error", "Athlete", "access_token", "invalid");
}

void answer_no_scope(struct req *r)
{
    answer_fault(r, 401, "Authorization Error", "AccessToken", "activity:read_permission",
                 "missing");
}

void answer_inactive(struct req *r)
{
    answer_fault(r, 403, "Forbidden", "Application", "Status", "Inactive");
}

void answer_rate_limited(struct req *r, const char *field)
{
    answer_fault(r, 429, "Rate Limit Exceeded", "Application", field, "exceeded");
}

/* ---- answers by rule ---------------------------------------------------------------------------
 */

static void answer_status(struct req *r, const struct action *action)
{
    static const char *const messages[] = {"Bad Request", "Authorization Error", "", "Forbidden",
                                           "Resource Not Found"};
    int kind = action->status - 400;
    const char *message = kind >= 0 && kind < 5 ? messages[kind] : phrase_of(action->status);
    switch (action->choice) {
    case BODY_FAULT:
        answer_fault(r, action->status, message, "Application", "fault", "by rule");
        break;
    case BODY_ERROR:
        answer_text(r, action->status, "application/json; charset=utf-8",
                    "{\"message\":\"error\"}");
        break;
    case BODY_HTML:
        r->no_limits = true; /* it comes from a server in front */
        answer_text(
            r, action->status, "text/html",
            "<html><head><title>Error</title></head><body><h1>We're sorry</h1></body></html>");
        break;
    case BODY_EMPTY:
        answer_text(r, action->status, NULL, "");
        break;
    default:
        r->no_limits = true;
        answer_text(r, action->status, "text/plain", "upstream connect error or disconnect/reset");
        break;
    }
}

bool answer_by_fault(struct req *r)
{
    const struct action *rate = &r->faulty.by[FAULT_RATE_LIMIT];
    if (r->faulty.has[FAULT_STATUS]) {
        answer_status(r, &r->faulty.by[FAULT_STATUS]);
    } else if (r->faulty.has[FAULT_RATE_LIMIT] && rate->choice == RATE_STRING_ERRORS) {
        answer_text(r, 429, "application/json; charset=utf-8",
                    "{\"message\":\"Rate Limit Exceeded\",\"errors\":\"Rate Limit Exceeded\"}");
    } else if (r->faulty.has[FAULT_RATE_LIMIT]) {
        answer_rate_limited(r,
                            rate->choice == RATE_READ ? "read rate limit" : "overall rate limit");
    } else if (r->faulty.has[FAULT_INACTIVE]) {
        answer_inactive(r);
    } else if (r->faulty.has[FAULT_SCOPE]) {
        answer_no_scope(r);
    } else {
        return false;
    }
    return true;
}

/* ---- faults of the way -------------------------------------------------------------------------
 */

static void plan_drop(struct req *r, const struct action *action, struct plan *p)
{
    size_t body = p->bytes.n - p->at_once;
    p->end = END_CLOSE;
    switch (action->choice) {
    case DROP_HEADERS:
        p->bytes.n = p->at_once;
        break;
    case DROP_BODY:
        p->bytes.n = p->at_once + body / 2;
        break;
    case DROP_NEVER:
        p->bytes.n = 0;
        p->end = END_NEVER;
        break;
    case DROP_REFUSE:
        server_refuse_for(r->sim->server, action->ms ? action->ms : REFUSE_MS);
        p->bytes.n = 0;
        p->end = END_RST;
        break;
    default:
        p->bytes.n = 0;
        p->end = action->choice == DROP_RST ? END_RST : END_CLOSE;
        break;
    }
    p->filler = 0;
}

static void plan_delay(struct req *r, const struct action *action, struct plan *p)
{
    double share = action->max_ms > action->ms ? world_chance(r->sim->world) : 0;
    p->delay_ms = action->ms + (int64_t)(share * (double)(action->max_ms - action->ms));
    p->bytes_per_s = action->bytes;
}

void req_send(struct req *r)
{
    struct plan p = {.end = r->keep_alive ? END_KEEP : END_CLOSE};
    struct faulty *f = &r->faulty;
    static const struct action lost = {.type = FAULT_DROP, .choice = DROP_BEFORE};
    if (f->has[FAULT_CORRUPT] && r->status == 200)
        corrupt_body(r, &f->by[FAULT_CORRUPT], &p);
    answer_plan(r, &p);
    if (f->has[FAULT_DELAY])
        plan_delay(r, &f->by[FAULT_DELAY], &p);
    if (f->has[FAULT_DROP])
        plan_drop(r, &f->by[FAULT_DROP], &p);
    else if (f->has[FAULT_TOKEN] && f->by[FAULT_TOKEN].choice == TOKEN_LOSE &&
             r->endpoint == EP_TOKEN)
        plan_drop(r, &lost, &p);
    if (!r->control)
        logbook_add(r->sim, r);
    conn_answer(r, &p);
}
