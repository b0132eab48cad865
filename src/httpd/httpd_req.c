/* Requests: recycled with their arenas, and what handlers ask them. */
#include <jansson.h>

#include "httpd/internal.h"

#define REQ_MAGIC 0x68727131u

enum {
    FREE_MAX = 64,              /* requests kept for the next ones */
    FREE_ARENA_MAX = 16 * 1024, /* of each; larger ones are given back */
    FREE_BODY_MAX = 16 * 1024,
};

void httpd__req_check(const struct httpd_req *r)
{
    CHECK(r && r->magic == REQ_MAGIC);
}

struct httpd_req *httpd__req_new(struct httpd__conn *c)
{
    struct httpd *h = c->srv;
    struct httpd_req *r = h->free_reqs;
    if (r) {
        h->free_reqs = r->next;
        h->free_n--;
    } else {
        r = mem_alloc(sizeof(*r));
        r->arena = arena_new(0); /* what goes in is bounded by the limits of head and body */
    }
    r->magic = REQ_MAGIC;
    r->srv = h;
    r->conn = c;
    r->peer = c->peer;
    r->trusted = c->trusted;
    r->start_ns = clock_mono_ns();
    h->reqs++;
    return r;
}

void httpd__req_free(struct httpd_req *r)
{
    struct httpd *h = r->srv;
    httpd__req_check(r);
    if (r->conn && r->conn->req == r)
        r->conn->req = NULL;
    if (r->handled)
        h->stats.held--;
    bool keep = h->free_n < FREE_MAX && !h->freed && arena_used(r->arena) <= FREE_ARENA_MAX;
    struct arena *arena = r->arena;
    struct buf body = r->body;
    h->reqs--;
    if (keep) {
        if (body.cap > FREE_BODY_MAX)
            buf_done(&body);
        buf_clear(&body);
        arena_reset(arena);
        *r = (struct httpd_req){.arena = arena, .body = body, .next = h->free_reqs};
        h->free_reqs = r;
        h->free_n++;
        return;
    }
    r->magic = 0;
    buf_done(&body);
    arena_free(arena);
    mem_free(r);
    if (h->freed)
        httpd_free(h);
}

void httpd__req_gone(struct httpd_req *r)
{
    if (r->conn && r->conn->req == r)
        r->conn->req = NULL;
    r->conn = NULL;
    if (!r->handled) { /* still being read */
        httpd__req_free(r);
        return;
    }
    r->gone = true;
    if (r->on_gone)
        r->on_gone(r, r->gone_ctx);
}

int httpd__req_body(struct httpd_req *r, struct span p)
{
    struct buf *b = &r->body;
    if (b->cap - b->n <= p.n) {
        size_t cap = b->cap + b->cap / 2;
        cap = cap > b->n + p.n + 1 ? cap : b->n + p.n + 1;
        char *grown = mem_try_alloc(cap);
        if (!grown)
            return -1;
        if (b->n)
            memcpy(grown, b->p, b->n);
        mem_free(b->p);
        b->p = grown;
        b->cap = cap;
    }
    buf_put(b, p.p, p.n);
    return 0;
}

/* ---- getters -----------------------------------------------------------------------------------
 */

enum httpd_method httpd_method_of(const struct httpd_req *r)
{
    httpd__req_check(r);
    return r->head.method;
}

struct span httpd_path(const struct httpd_req *r)
{
    httpd__req_check(r);
    return r->path;
}

struct span httpd_host(const struct httpd_req *r)
{
    httpd__req_check(r);
    return r->head.host;
}

struct span httpd_body(const struct httpd_req *r)
{
    httpd__req_check(r);
    return buf_span(&r->body);
}

struct arena *httpd_arena(struct httpd_req *r)
{
    httpd__req_check(r);
    return r->arena;
}

const char *httpd_field(struct httpd_req *r, const char *name)
{
    httpd__req_check(r);
    const struct httpd__field *f = httpd__head_find(&r->head, span_of(name));
    return f ? arena_span_dup(r->arena, f->value) : NULL;
}

static const struct httpd__value *param(const struct httpd_req *r, const char *name)
{
    httpd__req_check(r);
    for (unsigned i = 0; i < r->match.values; i++) {
        if (span_is(r->match.value[i].segment->name, name))
            return &r->match.value[i];
    }
    CHECK(!"the pattern has no such parameter");
    return NULL;
}

const char *httpd_param(struct httpd_req *r, const char *name)
{
    return arena_span_dup(r->arena, param(r, name)->text);
}

int64_t httpd_param_i64(struct httpd_req *r, const char *name)
{
    const struct httpd__value *v = param(r, name);
    CHECK(v->segment->type == HTTPD__U || v->segment->type == HTTPD__I64);
    return v->number;
}

static int only(const struct httpd__pairs *pairs, const char *name, const char **ret)
{
    unsigned n = 0;
    *ret = NULL;
    for (unsigned i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->pair[i].name, name) == 0 && n++ == 0)
            *ret = pairs->pair[i].value;
    }
    return n > 1 ? -1 : 0;
}

const char *httpd_query(struct httpd_req *r, const char *name)
{
    const char *value;
    httpd__req_check(r);
    (void)only(&r->query, name, &value); /* the first of several is in value, too */
    return value;
}

int httpd_query_only(struct httpd_req *r, const char *name, const char **ret)
{
    httpd__req_check(r);
    return only(&r->query, name, ret);
}

const char *httpd_form(struct httpd_req *r, const char *name)
{
    const char *value;
    httpd__req_check(r);
    CHECK(r->form_read);
    (void)only(&r->form, name, &value);
    return value;
}

int httpd_form_only(struct httpd_req *r, const char *name, const char **ret)
{
    httpd__req_check(r);
    CHECK(r->form_read);
    return only(&r->form, name, ret);
}

/* name=value; name=value (RFC 6265, 4.2.1). */
const char *httpd_cookie(struct httpd_req *r, const char *name)
{
    httpd__req_check(r);
    struct span want = span_of(name);
    for (unsigned i = 0; i < r->head.fields; i++) {
        if (!httpd__same(r->head.field[i].name, SPAN("Cookie")))
            continue;
        struct span rest = r->head.field[i].value;
        while (rest.n) {
            const char *end = memchr(rest.p, ';', rest.n);
            size_t n = end ? (size_t)(end - rest.p) : rest.n;
            struct span pair = span_trim((struct span){rest.p, n});
            n += end != NULL;
            rest.p += n;
            rest.n -= n;
            if (pair.n <= want.n || pair.p[want.n] != '=' || memcmp(pair.p, want.p, want.n) != 0)
                continue;
            struct span value = {pair.p + want.n + 1, pair.n - want.n - 1};
            if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
                value = (struct span){value.p + 1, value.n - 2};
            return arena_span_dup(r->arena, value);
        }
    }
    return NULL;
}

/* ---- bodies ------------------------------------------------------------------------------------
 */

/* type/subtype, without parameters (RFC 9110, 8.3.1). */
static struct span media_type(const struct httpd_req *r)
{
    const struct httpd__field *f = httpd__head_find(&r->head, SPAN("Content-Type"));
    if (!f)
        return (struct span){0};
    const char *semicolon = f->value.n ? memchr(f->value.p, ';', f->value.n) : NULL;
    return span_trim(semicolon ? (struct span){f->value.p, (size_t)(semicolon - f->value.p)}
                               : f->value);
}

static bool is_coded(const struct httpd_req *r)
{
    const struct httpd__field *f = httpd__head_find(&r->head, SPAN("Content-Encoding"));
    return f && !httpd__same(f->value, SPAN("identity"));
}

int httpd_form_read(struct httpd_req *r)
{
    httpd__req_check(r);
    const char *why;
    if (!httpd__same(media_type(r), SPAN("application/x-www-form-urlencoded")) || is_coded(r)) {
        httpd_problem(r, 415, NULL, NULL, "the body must be application/x-www-form-urlencoded");
        return -1;
    }
    if (httpd__form_decode(r->arena, httpd_body(r), &r->form, &why)) {
        httpd_problem(r, 400, NULL, NULL, why);
        return -1;
    }
    r->form_read = true;
    return 0;
}

static bool is_json(struct span type)
{
    struct span end = {type.p + (type.n > 5 ? type.n - 5 : 0), type.n > 5 ? 5 : 0};
    return httpd__same(type, SPAN("application/json")) ||
           (type.n > 17 && httpd__same((struct span){type.p, 12}, SPAN("application/")) &&
            httpd__same(end, SPAN("+json")));
}

struct json_t *httpd_json_read(struct httpd_req *r, unsigned max_depth)
{
    httpd__req_check(r);
    struct err err;
    if (!is_json(media_type(r)) || is_coded(r)) {
        httpd_problem(r, 415, NULL, NULL, "the body must be application/json");
        return NULL;
    }
    struct span body = httpd_body(r);
    struct json_t *json = json_read(body, body.n, max_depth, &err);
    if (!json)
        httpd_problem(r, 400, NULL, NULL, err.msg);
    return json;
}

void httpd_on_gone(struct httpd_req *r, void (*fn)(struct httpd_req *r, void *ctx), void *ctx)
{
    httpd__req_check(r);
    r->on_gone = fn;
    r->gone_ctx = ctx;
}

bool httpd_is_gone(const struct httpd_req *r)
{
    httpd__req_check(r);
    return r->gone;
}
