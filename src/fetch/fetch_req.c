/* What is to be sent, put together and checked. */
#include <openssl/evp.h>
#include <stdarg.h>
#include <strings.h>

#include "fetch/internal.h"

enum {
    MAX_LINES = 32,
    MAX_VALUE = 8 * 1024,
    MAX_HOST = 253, /* of a name in DNS */
    MAX_BODY = 1 << 30,
};

const char *fetch__method_name(enum fetch_method method)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};
    return names[method];
}

/* ---- bytes ----------------------------------------------------------------------------------- */

int fetch__put(struct buf *b, const void *p, size_t n)
{
    if (b->cap - b->n <= n) {
        size_t cap = b->cap + b->cap / 2;
        cap = cap > b->n + n + 1 ? cap : b->n + n + 1;
        char *grown = mem_try_alloc(cap);
        if (!grown) {
            return -1;
        }
        if (b->n) {
            memcpy(grown, b->p, b->n);
            explicit_bzero(b->p, b->n);
        }
        mem_free(b->p);
        b->p = grown;
        b->cap = cap;
    }
    buf_put(b, p, n);
    return 0;
}

static void put(struct buf *b, const char *s)
{
    CHECK(fetch__put(b, s, strlen(s)) == 0);
}

static void wipe(struct buf *b)
{
    if (b->p) {
        explicit_bzero(b->p, b->cap);
    }
    buf_done(b);
}

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool fetch__is_tchar(unsigned char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool fetch__same_name(struct span a, const char *b)
{
    return strlen(b) == a.n && strncasecmp(a.p, b, a.n) == 0;
}

static void put_encoded(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char text[4] = {*s};
        if (!is_alnum(c) && !strchr("-._~", c)) {
            snprintf(text, sizeof(text), "%%%02X", c);
        }
        put(b, text);
    }
}

/* ---- what is not allowed --------------------------------------------------------------------- */

/* The first one counts. */
static PRINTF(3, 4) void refuse(struct fetch_req *r, enum err_class class, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (r->refused.class != 0) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err_set(&r->refused, ERR_HTTP, class, "%s", text);
}

/* Neither a new line of the head nor anything else that a server might take for one. */
static bool is_field_value(const char *s)
{
    for (; *s; s++) {
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_visible(const char *s)
{
    for (; *s; s++) {
        if (*s <= ' ' || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* In the arena, so that fetch_done can overwrite them: curl only reads the list. */
static void add_line(struct fetch_req *r, const char *name, const char *value)
{
    if (r->nlines >= MAX_LINES) {
        refuse(r, ERR_PERMANENT, "more than %d header fields", MAX_LINES);
        return;
    }
    struct curl_slist *line = arena_alloc(r->arena, sizeof(*line));
    /* "Name:" would take a field away, for curl. */
    line->data = value[0] ? arena_printf(r->arena, "%s: %s", name, value)
                          : arena_printf(r->arena, "%s;", name);
    if (r->last_line) {
        r->last_line->next = line;
    } else {
        r->lines = line;
    }
    r->last_line = line;
    r->nlines++;
}

static bool is_own_field(struct span name)
{
    static const char *const own[] = {"accept-encoding",
                                      "authorization",
                                      "connection",
                                      "content-length",
                                      "content-type",
                                      "expect",
                                      "host",
                                      "keep-alive",
                                      "proxy-authorization",
                                      "te",
                                      "trailer",
                                      "transfer-encoding",
                                      "upgrade",
                                      "proxy-connection",
                                      "user-agent"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (fetch__same_name(name, own[i])) {
            return true;
        }
    }
    return false;
}

void fetch_header(struct fetch_req *r, const char *name, const char *value)
{
    struct span n = span_of(name);
    bool token = n.n > 0 && n.n <= 128;
    for (size_t i = 0; token && i < n.n; i++) {
        token = fetch__is_tchar((unsigned char)n.p[i]);
    }
    if (!token) {
        refuse(r, ERR_PERMANENT, "the name of a header field is not a token");
    } else if (is_own_field(n)) {
        refuse(r, ERR_BUG, "the header field %s is not the caller's", name);
    } else if (strlen(value) > MAX_VALUE) {
        refuse(r, ERR_PERMANENT, "the header field %s is longer than %d bytes", name, MAX_VALUE);
    } else if (!is_field_value(value)) {
        refuse(r, ERR_PERMANENT, "a control character in the header field %s", name);
    } else {
        r->secret |= fetch__same_name(n, "cookie");
        add_line(r, name, value);
    }
}

void fetch_bearer(struct fetch_req *r, const char *token)
{
    r->secret = true;
    if (!token[0] || strlen(token) > MAX_VALUE || !is_visible(token)) {
        refuse(r, ERR_PERMANENT, "the access token is empty, too long, or not a token");
        return;
    }
    char *value = arena_printf(r->arena, "Bearer %s", token);
    add_line(r, "Authorization", value);
    explicit_bzero(value, strlen(value));
}

void fetch_basic(struct fetch_req *r, const char *user, const char *password)
{
    size_t n = strlen(user) + 1 + strlen(password);
    r->secret = true;
    if (strchr(user, ':') || n > MAX_VALUE / 2 || !is_field_value(user) ||
        !is_field_value(password)) {
        refuse(r, ERR_PERMANENT, "the user name or password is too long, or has bytes it cannot");
        return;
    }
    char *plain = arena_printf(r->arena, "%s:%s", user, password);
    char *value = arena_alloc(r->arena, 6 + 4 * ((n + 2) / 3) + 1);
    memcpy(value, "Basic ", 6);
    EVP_EncodeBlock((unsigned char *)value + 6, (const unsigned char *)plain, (int)n);
    add_line(r, "Authorization", value);
    explicit_bzero(plain, n);
    explicit_bzero(value, strlen(value));
}

void fetch_secret(struct fetch_req *r)
{
    r->secret = true;
}

void fetch_secret_path(struct fetch_req *r)
{
    r->secret = r->hide_path = true;
}

void fetch_over_http(struct fetch_req *r)
{
    r->over_http = true;
}

/* ---- URL and body ---------------------------------------------------------------------------- */

void fetch_query(struct fetch_req *r, const char *name, const char *value)
{
    put(&r->url, memchr(r->url.p, '?', r->url.n) ? "&" : "?");
    put_encoded(&r->url, name);
    put(&r->url, "=");
    put_encoded(&r->url, value);
}

static void set_body_type(struct fetch_req *r, const char *type)
{
    r->has_body = r->secret = true;
    add_line(r, "Content-Type", type);
}

void fetch_form(struct fetch_req *r, const char *name, const char *value)
{
    CHECK(r->method != FETCH_GET && (!r->has_body || r->is_form));
    if (!r->has_body) {
        set_body_type(r, "application/x-www-form-urlencoded");
    }
    put(&r->sent, r->is_form ? "&" : "");
    put_encoded(&r->sent, name);
    put(&r->sent, "=");
    put_encoded(&r->sent, value);
    r->is_form = true;
}

void fetch_body(struct fetch_req *r, const char *content_type, struct span body)
{
    CHECK(r->method != FETCH_GET && !r->has_body);
    if (!content_type[0] || strlen(content_type) > 256 || !is_field_value(content_type)) {
        refuse(r, ERR_PERMANENT, "the type of the body is empty, too long, or no header value");
        return;
    }
    set_body_type(r, content_type);
    CHECK(fetch__put(&r->sent, body.p, body.n) == 0);
}

/* ---- the whole ------------------------------------------------------------------------------- */

void fetch_limits(struct fetch_req *r, int64_t total_ms, size_t max_body)
{
    CHECK(total_ms > 0 && max_body <= MAX_BODY);
    r->total_ms = total_ms;
    r->max_body = max_body;
}

static bool is_ipv4_loopback(const char *host)
{
    int64_t byte;
    struct span rest = span_of(host);
    for (int i = 0; i < 4; i++) {
        const char *dot = i < 3 ? memchr(rest.p, '.', rest.n) : rest.p + rest.n;
        if (!dot ||
            span_to_i64((struct span){rest.p, (size_t)(dot - rest.p)}, 0, 255, &byte) != 0 ||
            (i == 0 && byte != 127)) {
            return false;
        }
        rest.n -= (size_t)(dot - rest.p) + (i < 3);
        rest.p = dot + (i < 3);
    }
    return true;
}

/* curl resolves "localhost" to nothing else. */
static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || is_ipv4_loopback(host);
}

static char *url_part(CURLU *u, CURLUPart part, struct arena *a)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(u, part, &text, 0) == CURLUE_OK && text) {
        copy = arena_strdup(a, text);
    }
    curl_free(text);
    return copy;
}

/* start: scheme to path. Fills host, path, loopback. */
static int take_parts(struct fetch_req *r, CURLU *u, const char *start, bool *https,
                      struct err *err)
{
    const char *slashes = strstr(start, "://");
    if (slashes && slashes[3] == '/') { /* which curl would skip */
        return err_set(err, ERR_HTTP, ERR_PERMANENT, "the URL has no host");
    }
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, start, CURLU_DISALLOW_USER);
    if (rc != CURLUE_OK) {
        return err_set(err, ERR_HTTP, ERR_PERMANENT, "the URL is malformed (%s)",
                       curl_url_strerror(rc));
    }
    const char *scheme = url_part(u, CURLUPART_SCHEME, r->arena);
    char *host = url_part(u, CURLUPART_HOST, r->arena);
    const char *port = url_part(u, CURLUPART_PORT, r->arena);
    const char *path = url_part(u, CURLUPART_PATH, r->arena);
    *https = scheme && strcmp(scheme, "https") == 0;
    if (!*https && (!scheme || strcmp(scheme, "http") != 0)) {
        return err_set(err, ERR_HTTP, ERR_PERMANENT, "the URL is neither https nor http");
    }
    if (!host || !host[0] || strlen(host) > MAX_HOST) {
        return err_set(err, ERR_HTTP, ERR_PERMANENT, "the URL has no host, or one too long");
    }
    for (char *p = host; *p; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
    }
    r->loopback = is_loopback(host);
    bool usual = !port || strcmp(port, *https ? "443" : "80") == 0;
    r->host = usual ? host : arena_printf(r->arena, "%s:%s", host, port);
    r->path = r->hide_path ? "" : path ? path : "/";
    return 0;
}

static int check_url(struct fetch_req *r, bool *https, struct err *err)
{
    if (r->url.n > FETCH_MAX_URL) {
        return err_set(err, ERR_HTTP, ERR_PERMANENT, "the URL is longer than %d bytes",
                       FETCH_MAX_URL);
    }
    for (size_t i = 0; i < r->url.n; i++) {
        unsigned char c = (unsigned char)r->url.p[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\') {
            return err_set(err, ERR_HTTP, ERR_PERMANENT,
                           "the URL holds byte 0x%02x, which must be percent-encoded", c);
        }
    }
    /* The query may be a secret: nobody gets more copies of it than needed. */
    char *start = arena_span_dup(r->arena, (struct span){r->url.p, strcspn(r->url.p, "?")});
    CURLU *u = curl_url();
    CHECK(u);
    int rc = take_parts(r, u, start, https, err);
    curl_url_cleanup(u);
    return rc;
}

int fetch__prepare(struct fetch_req *r, bool allow_http, struct err *err)
{
    bool https = false;
    struct err why = r->refused;
    if (why.class == 0 && check_url(r, &https, &why) == 0 && r->secret && !https && !r->loopback &&
        !allow_http && !r->over_http) {
        err_set(&why, ERR_HTTP, ERR_PERMANENT, "a secret may not go over plain http");
    }
    if (why.class == 0) {
        return 0;
    }
    if (r->host) {
        char where[256];
        err_wrap(&why, "%s: ", fetch__where(r, where));
    }
    *err = why;
    return err_wrap(err, "request not sent: ");
}

char *fetch__where(const struct fetch_req *r, char out[256])
{
    snprintf(out, 256, "%s %s%s", fetch__method_name(r->method), r->host ? r->host : "",
             r->path ? r->path : "");
    return out;
}

void fetch_init(struct fetch_req *r, struct fetch *f, struct arena *a, enum fetch_method method,
                const char *url)
{
    CHECK(f);
    *r = (struct fetch_req){.fetch = f,
                            .arena = a,
                            .method = method,
                            .date_us = INT64_MIN,
                            .total_ms = FETCH_TOTAL_MS,
                            .max_body = FETCH_MAX_BODY};
    op_init(&r->op, f->loop, fetch__cancel);
    put(&r->url, url);
}

void fetch_done(struct fetch_req *r)
{
    if (!r) {
        return;
    }
    CHECK(r->op.state != OP_PENDING);
    for (struct curl_slist *line = r->lines; line; line = line->next) {
        explicit_bzero(line->data, strlen(line->data));
    }
    r->lines = r->last_line = NULL;
    wipe(&r->url);
    wipe(&r->sent);
    wipe(&r->body);
    wipe(&r->head);
    r->nhead = 0;
}
