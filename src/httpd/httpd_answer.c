/* Answers: head, the fields that every answer has, and the way out. */
#include "httpd/internal.h"

enum { JOIN_MAX = 8 * 1024 }; /* bodies up to this are copied behind their heads: one buffer */

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *httpd_phrase(int status)
{
    for (size_t i = 0; i < COUNT_OF(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Unknown";
}

/* ---- fields ------------------------------------------------------------------------------------
 */

static bool value_is_fine(const char *value)
{
    for (; *value; value++) {
        if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
            return false;
    }
    return true;
}

void httpd_set(struct httpd_req *r, const char *name, const char *value)
{
    httpd__req_check(r);
    CHECK(name[0] && r->sets < HTTPD__MAX_SET);
    for (const char *p = name; *p; p++)
        CHECK(httpd__is_tchar((unsigned char)*p));
    if (!value || !value_is_fine(value)) {
        log_error("a field of an answer has control characters, answered 500",
                  L_S("server", r->srv->conf.name), L_S("field", name));
        r->bad_set = true;
        return;
    }
    if (!r->set)
        r->set = arena_new_array(r->arena, struct httpd__set, HTTPD__MAX_SET);
    r->set[r->sets++] = (struct httpd__set){name, arena_strdup(r->arena, value)};
}

void httpd_set_cookie(struct httpd_req *r, const char *name, const char *value, int64_t max_age_s,
                      bool secure)
{
    httpd__req_check(r);
    char age[40] = "";
    if (max_age_s >= 0)
        snprintf(age, sizeof(age), "; Max-Age=%lld", (long long)max_age_s);
    /* What may stand in a cookie's value: RFC 6265, 4.1.1. */
    const char *v = value;
    while ((unsigned char)*v > ' ' && (unsigned char)*v < 0x7f && !strchr("\",;\\", *v))
        v++;
    httpd_set(r, "Set-Cookie",
              *v ? NULL
                 : arena_printf(r->arena, "%s=%s; Path=/; HttpOnly; SameSite=Lax%s%s", name, value,
                                age, secure ? "; Secure" : ""));
}

static const char *set_value(const struct httpd_req *r, const char *name)
{
    for (unsigned i = 0; i < r->sets; i++) {
        if (httpd__same(span_of(r->set[i].name), span_of(name)))
            return r->set[i].value;
    }
    return NULL;
}

static void put_number(struct buf *b, uint64_t v)
{
    char text[24];
    size_t i = sizeof(text);
    do {
        text[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, text + i, sizeof(text) - i);
}

static void put_field(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, name);
    buf_put(b, ": ", 2);
    buf_puts(b, value);
    buf_put(b, "\r\n", 2);
}

#define PUT(b, lit) buf_put((b), (lit), sizeof(lit) - 1)

static void put_length(struct buf *b, int64_t length)
{
    if (length >= 0) {
        PUT(b, "Content-Length: ");
        put_number(b, (uint64_t)length);
        PUT(b, "\r\n");
    } else if (length == HTTPD__CHUNKED) {
        PUT(b, "Transfer-Encoding: chunked\r\n");
    }
}

static bool is_html(const char *type)
{
    return type && strncmp(type, "text/html", 9) == 0;
}

void httpd__answer_head(struct httpd_req *r, const struct httpd__answer *a, int64_t length)
{
    struct httpd *h = r->srv;
    struct buf *b = &h->out;
    buf_clear(b);
    if (a->status == 200) {
        PUT(b, "HTTP/1.1 200 OK\r\n");
    } else {
        PUT(b, "HTTP/1.1 ");
        put_number(b, (uint64_t)a->status);
        buf_putc(b, ' ');
        buf_puts(b, httpd_phrase(a->status));
        PUT(b, "\r\n");
    }
    buf_puts(b, httpd__date(h));
    if (a->type)
        put_field(b, "Content-Type", a->type);
    put_length(b, length);
    PUT(b, "X-Content-Type-Options: nosniff\r\n"
           "Referrer-Policy: same-origin\r\n"
           "X-Frame-Options: DENY\r\n");
    if (is_html(a->type) && !set_value(r, "Content-Security-Policy"))
        put_field(b, "Content-Security-Policy", h->conf.html_policy);
    if (!set_value(r, "Cache-Control"))
        put_field(b, "Cache-Control", a->cache_control ? a->cache_control : "no-store");
    if (a->etag)
        put_field(b, "ETag", a->etag);
    if (a->encoded)
        PUT(b, "Content-Encoding: gzip\r\n");
    if (a->vary)
        PUT(b, "Vary: Accept-Encoding\r\n");
    for (unsigned i = 0; i < r->sets; i++)
        put_field(b, r->set[i].name, r->set[i].value);
    if (r->conn->last)
        PUT(b, "Connection: close\r\n");
    else if (r->head.minor == 0)
        PUT(b, "Connection: keep-alive\r\n");
    PUT(b, "\r\n");
}

/* ---- counting ----------------------------------------------------------------------------------
 */

const int64_t httpd_bucket_us[HTTPD_BUCKETS] = {
    250,   500,    1000,   2500,    5000,    10000,    25000,
    50000, 100000, 250000, 1000000, 2500000, 10000000, INT64_MAX,
};

void httpd__answer_count(struct httpd_req *r, int status, uint64_t bytes)
{
    struct httpd_stats *s = &r->srv->stats;
    int64_t us = (clock_mono_ns() - r->start_ns) / 1000;
    int i = 0;
    while (us > httpd_bucket_us[i])
        i++;
    s->latency[i]++;
    s->latency_sum_us += us;
    s->requests[status >= 100 && status < 600 ? status / 100 : 0]++;
    const struct httpd_conf *conf = &r->srv->conf;
    if (!conf->on_request)
        return;
    struct httpd_access access = {
        .method = r->head.method,
        .path = r->path,
        .route = r->match.route ? r->match.route->pattern : NULL,
        .status = status ? status : 499,
        .bytes_in = r->body.n,
        .bytes_out = bytes,
        .duration_us = us,
        .client = httpd_client_address(r),
    };
    conf->on_request(conf->ctx, &access);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* a->body compressed, if that is wanted and worth it. */
static void maybe_gzip(struct httpd_req *r, struct httpd__answer *a, struct buf *packed)
{
    enum { GZIP_MIN = 1024 };
    if (a->no_gzip || a->encoded || a->body.n <= GZIP_MIN || !httpd__is_text(a->type) ||
        set_value(r, "ETag"))
        return;
    a->vary = true;
    if (a->body.n > r->srv->conf.gzip_max || !httpd__accepts_gzip(&r->head) ||
        httpd__gzip(r->srv, a->body, packed) < 0)
        return;
    a->body = buf_span(packed);
    a->own = packed;
    a->encoded = true;
}

static void send_it(struct httpd__conn *c, struct httpd__answer *a)
{
    struct buf *out = &c->srv->out, copy = {0};
    if (a->body.n <= JOIN_MAX) {
        buf_put(out, a->body.p, a->body.n);
        a->body = (struct span){0};
    } else if (a->copy && !a->own) {
        buf_put(&copy, a->body.p, a->body.n);
        a->body = buf_span(&copy);
        a->own = &copy;
    }
    /* Sending may make the next request's answer in the same buffer, but only after this one is
     * written or copied. */
    httpd__out_answer(c, buf_span(out), a->body, a->own);
}

void httpd__answer(struct httpd_req *r, const struct httpd__answer *answer)
{
    httpd__req_check(r);
    CHECK(r->handled && answer->status >= 200 && answer->status < 600);
    struct httpd__answer a = *answer;
    struct httpd__conn *c = r->conn;
    struct buf packed = {0};
    if (!c) {
        if (!r->counted)
            httpd__answer_count(r, 0, 0);
        buf_done(a.own);
        httpd__req_free(r);
        return;
    }
    if (r->bad_set) {
        static const char text[] = "{\"title\":\"Internal Server Error\",\"status\":500}";
        r->sets = 0;
        a = (struct httpd__answer){
            .status = 500, .type = "application/problem+json", .body = {text, sizeof(text) - 1}};
    }
    maybe_gzip(r, &a, &packed);
    bool none = has_no_body(a.status);
    httpd__answer_head(r, &a, none ? HTTPD__NO_LENGTH : (int64_t)a.body.n);
    if (none || r->head.method == HTTPD_HEAD)
        a.body = (struct span){0};
    httpd__answer_count(r, a.status, a.body.n);
    httpd__conn_state(c, HTTPD__WRITING);
    c->req = NULL;
    r->conn = NULL;
    send_it(c, &a);
    buf_done(answer->own);
    buf_done(&packed);
    httpd__req_free(r);
}

void httpd_send(struct httpd_req *r, int status, const char *content_type, struct buf *body)
{
    CHECK(!content_type || value_is_fine(content_type));
    httpd__answer(r,
                  &(struct httpd__answer){
                      .status = status, .type = content_type, .body = buf_span(body), .own = body});
}

void httpd_json(struct httpd_req *r, int status, struct buf *body)
{
    httpd_send(r, status, "application/json", body);
}

void httpd_html(struct httpd_req *r, int status, struct buf *body)
{
    httpd_send(r, status, "text/html; charset=utf-8", body);
}

void httpd_text(struct httpd_req *r, int status, const char *text)
{
    httpd__answer(r, &(struct httpd__answer){.status = status,
                                             .type = "text/plain; charset=utf-8",
                                             .body = span_of(text),
                                             .copy = true});
}

void httpd_empty(struct httpd_req *r, int status)
{
    httpd__answer(r, &(struct httpd__answer){.status = status});
}

void httpd_redirect(struct httpd_req *r, const char *location)
{
    bool fine = location && location[0];
    for (const char *p = location; fine && *p; p++)
        fine = (unsigned char)*p > ' ' && *p != 0x7f;
    httpd_set(r, "Location", fine ? location : NULL);
    httpd_empty(r, 303);
}

void httpd_problem(struct httpd_req *r, int status, const char *type, const char *title,
                   const char *detail)
{
    struct buf body = {0};
    struct json_out j = {.buf = &body};
    jo_begin_object(&j, NULL);
    jo_str(&j, "type", type ? type : "about:blank");
    jo_str(&j, "title", title ? title : httpd_phrase(status));
    jo_i64(&j, "status", status);
    if (detail)
        jo_str(&j, "detail", detail);
    jo_end_object(&j);
    httpd_send(r, status, "application/problem+json", &body);
}
