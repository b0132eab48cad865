/* A head that the parser let through, taken apart by llhttp. Where its body ends is worked out here
 * and by llhttp, and both have to agree: what two readers see differently is how requests are
 * smuggled (RFC 9112, 11.2). */
#include <llhttp.h>
#include <strings.h>

#include "httpd/internal.h"

struct reading {
    struct httpd__head *head;
    unsigned room;
    struct span *last; /* what the next piece may continue */
    bool in_value, complete;
    unsigned flags;
    uint64_t length;
};

bool httpd__same(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

const struct httpd__field *httpd__head_find(const struct httpd__head *h, struct span name)
{
    for (unsigned i = 0; i < h->fields; i++) {
        if (httpd__same(h->field[i].name, name))
            return &h->field[i];
    }
    return NULL;
}

bool httpd__list_next(struct span *rest, struct span *member)
{
    while (rest->n) {
        const char *comma = memchr(rest->p, ',', rest->n);
        size_t n = comma ? (size_t)(comma - rest->p) : rest->n;
        *member = span_trim((struct span){rest->p, n});
        size_t step = comma ? n + 1 : n;
        rest->p += step;
        rest->n -= step;
        if (member->n)
            return true;
    }
    return false;
}

/* ---- llhttp ------------------------------------------------------------------------------------
 */

/* Pieces of one thing lie behind each other, since the head is in one block. */
static int piece(struct span *s, const char *at, size_t n)
{
    if (s->p && s->p + s->n != at)
        return HPE_USER;
    if (!s->p)
        s->p = at;
    s->n += n;
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    return piece(&r->head->target, at, n);
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    struct httpd__head *h = r->head;
    if (r->in_value || h->fields == 0) {
        if (h->fields == r->room)
            return HPE_USER;
        h->fields++;
        r->in_value = false;
    }
    return piece(&h->field[h->fields - 1].name, at, n);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct reading *r = p->data;
    struct httpd__head *h = r->head;
    if (h->fields == 0)
        return HPE_USER;
    r->in_value = true;
    return piece(&h->field[h->fields - 1].value, at, n);
}

static int on_complete(llhttp_t *p)
{
    struct reading *r = p->data;
    r->complete = true;
    r->flags = p->flags;
    r->length = p->content_length;
    return 0;
}

static llhttp_settings_t settings;

__attribute__((constructor)) static void init_settings(void)
{
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_field;
    settings.on_header_value = on_value;
    settings.on_headers_complete = on_complete;
}

/* ---- what it means -----------------------------------------------------------------------------
 */

struct seen {
    const struct httpd__field *length, *encoding, *host, *expect;
    bool close, keep;
};

static void read_connection(struct seen *seen, struct span value)
{
    struct span member;
    while (httpd__list_next(&value, &member)) {
        if (httpd__same(member, SPAN("close")))
            seen->close = true;
        else if (httpd__same(member, SPAN("keep-alive")))
            seen->keep = true;
    }
}

/* Each may stand once: whoever takes the first and whoever takes the last of two would differ. */
static const char *sort_field(struct seen *seen, const struct httpd__field *f)
{
    const struct httpd__field **slot = NULL;
    const char *twice = NULL;
    switch (f->name.n) {
    case 4:
        if (httpd__same(f->name, SPAN("Host")))
            slot = &seen->host, twice = "Host is repeated";
        break;
    case 6:
        if (httpd__same(f->name, SPAN("Expect")))
            slot = &seen->expect, twice = "Expect is repeated";
        break;
    case 10:
        if (httpd__same(f->name, SPAN("Connection")))
            read_connection(seen, f->value);
        break;
    case 14:
        if (httpd__same(f->name, SPAN("Content-Length")))
            slot = &seen->length, twice = "Content-Length is repeated";
        break;
    case 17:
        if (httpd__same(f->name, SPAN("Transfer-Encoding")))
            slot = &seen->encoding, twice = "Transfer-Encoding is repeated";
        break;
    default:
        break;
    }
    if (!slot)
        return NULL;
    if (*slot)
        return twice;
    *slot = f;
    return NULL;
}

/* host[:port] (RFC 9110, 7.2): what a name or address is written with, nothing else. */
bool httpd__host_is_fine(struct span host)
{
    size_t i = 0;
    if (host.n && host.p[0] == '[') {
        for (i = 1; i < host.n && host.p[i] != ']'; i++) {
            if (!strchr("0123456789abcdefABCDEF:.", host.p[i]))
                return false;
        }
        if (i < 3 || i++ >= host.n)
            return false;
    } else {
        while (i < host.n && host.p[i] != ':' && host.p[i] != ',' &&
               httpd__is_tchar((unsigned char)host.p[i]))
            i++;
    }
    if (i == 0)
        return false;
    if (i == host.n)
        return true;
    int64_t port;
    struct span digits = {host.p + i + 1, host.n - i - 1};
    return host.p[i] == ':' && (digits.n == 0 || (digits.p[0] >= '0' && digits.p[0] <= '9' &&
                                                  span_to_i64(digits, 0, 65535, &port) == 0));
}

static bool plain_number(struct span s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 18)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *ret = v;
    return true;
}

/* RFC 9112, 6.3, without its leniencies. */
static int read_framing(struct httpd__head *h, const struct seen *seen, const char **why)
{
    *why = NULL;
    if (seen->encoding && seen->length)
        *why = "both Content-Length and Transfer-Encoding";
    else if (seen->encoding && h->minor == 0)
        *why = "Transfer-Encoding in HTTP/1.0";
    else if (seen->encoding && !httpd__same(seen->encoding->value, SPAN("chunked")))
        *why = "Transfer-Encoding is not chunked";
    else if (seen->length && !plain_number(seen->length->value, &h->length))
        *why = "Content-Length is no plain number";
    h->chunked = seen->encoding != NULL;
    return *why ? 400 : 0;
}

static int read_meaning(struct httpd__head *h, const struct seen *seen, const char **why)
{
    if (read_framing(h, seen, why))
        return 400;
    if (!seen->host && h->minor == 1) {
        *why = "Host is missing";
        return 400;
    }
    if (seen->host && !httpd__host_is_fine(seen->host->value)) {
        *why = "Host is malformed";
        return 400;
    }
    if (seen->host)
        h->host = seen->host->value;
    h->keep_alive = !seen->close && (h->minor == 1 || seen->keep);
    /* A server must ignore Expect in 1.0 (RFC 9110, 10.1.1). */
    if (seen->expect && h->minor == 1) {
        if (!httpd__same(seen->expect->value, SPAN("100-continue"))) {
            *why = "only 100-continue can be expected";
            return 417;
        }
        h->expect_continue = h->chunked || h->length;
    }
    return httpd__target_split(h, why);
}

int httpd__head_read(struct httpd__head *h, struct arena *a, struct span text, unsigned fields,
                     const char **why)
{
    llhttp_t p;
    struct reading r = {.head = h, .room = fields};
    *h = (struct httpd__head){.field = arena_new_array(a, struct httpd__field, fields)};
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = &r;
    llhttp_errno_t rc = llhttp_execute(&p, text.p, text.n);
    /* Upgrade is ignored (RFC 9110, 7.8), llhttp stops behind it. */
    if ((rc != HPE_OK && rc != HPE_PAUSED_UPGRADE) || !r.complete || h->fields != fields ||
        h->target.n == 0) {
        *why = rc != HPE_OK && p.reason && p.reason[0] ? p.reason : "the head is malformed";
        return 400;
    }
    const char *space = memchr(text.p, ' ', text.n);
    int method = httpd__method((struct span){text.p, (size_t)(space - text.p)});
    CHECK(method >= 0); /* the parser saw to it */
    h->method = (enum httpd_method)method;
    h->minor = p.http_minor;
    struct seen seen = {0};
    for (unsigned i = 0; i < h->fields; i++) {
        h->field[i].value = span_trim(h->field[i].value);
        const char *twice = sort_field(&seen, &h->field[i]);
        if (twice) {
            *why = twice;
            return 400;
        }
    }
    int status = read_meaning(h, &seen, why);
    if (status)
        return status;
    if (h->chunked != ((r.flags & F_CHUNKED) != 0) || (!h->chunked && h->length != r.length)) {
        *why = "it is not certain where the body ends";
        return 400;
    }
    return 0;
}
