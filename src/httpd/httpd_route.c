/* The router: a short list of patterns, the more literal ones first. A service has some dozens of
 * them; comparing segments one by one costs less than the request's read(2). */
#include "httpd/internal.h"

/* ---- patterns ----------------------------------------------------------------------------------
 */

static enum httpd__param_type type_of(struct span name)
{
    if (span_is(name, "text"))
        return HTTPD__TEXT;
    if (span_is(name, "u"))
        return HTTPD__U;
    if (span_is(name, "i64"))
        return HTTPD__I64;
    CHECK(span_is(name, "path") &&
          "a parameter is {name:text}, {name:u}, {name:i64} or {name:path}");
    return HTTPD__PATH;
}

static struct httpd__segment compile_segment(struct span s)
{
    struct httpd__segment g = {.type = HTTPD__LITERAL, .before = s};
    const char *open = s.n ? memchr(s.p, '{', s.n) : NULL;
    if (!open)
        return g;
    const char *close = memchr(open, '}', s.n - (size_t)(open - s.p));
    CHECK(close && "a brace is not closed");
    const char *colon = memchr(open, ':', (size_t)(close - open));
    CHECK(colon && colon > open + 1 && "a parameter is {name:type}");
    g.before.n = (size_t)(open - s.p);
    g.name = (struct span){open + 1, (size_t)(colon - open) - 1};
    g.type = type_of((struct span){colon + 1, (size_t)(close - colon) - 1});
    g.after = (struct span){close + 1, s.n - (size_t)(close - s.p) - 1};
    CHECK(!g.after.n || !memchr(g.after.p, '{', g.after.n));
    return g;
}

static struct httpd__pattern *compile(const char *text)
{
    struct httpd__pattern *p = mem_alloc(sizeof(*p));
    p->text = text;
    CHECK(text[0] == '/' && "a pattern starts with /");
    struct span rest = span_of(text + 1);
    unsigned params = 0;
    for (bool more = true; more;) {
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
        CHECK(p->n < HTTPD__MAX_SEGMENTS);
        struct httpd__segment *g = &p->segment[p->n++];
        *g = compile_segment((struct span){rest.p, n});
        params += g->type != HTTPD__LITERAL;
        more = slash != NULL;
        if (more)
            rest = (struct span){slash + 1, rest.n - n - 1};
        CHECK((g->type != HTTPD__PATH || (!more && g->before.n == 0 && g->after.n == 0)) &&
              "{name:path} is a whole segment and the last");
    }
    CHECK(params <= HTTPD__MAX_PARAMS);
    return p;
}

/* Lower is tried first: literal, parameter with literals around, parameter, rest of the path. */
static int rank_of(const struct httpd__segment *g)
{
    if (g->type == HTTPD__LITERAL)
        return 0;
    if (g->type == HTTPD__PATH)
        return 3;
    return g->before.n || g->after.n ? 1 : 2;
}

static int compare(const struct httpd__pattern *a, const struct httpd__pattern *b)
{
    for (unsigned i = 0; i < a->n && i < b->n; i++) {
        int d = rank_of(&a->segment[i]) - rank_of(&b->segment[i]);
        if (d)
            return d;
    }
    return 0;
}

static bool ends_with(struct span s, struct span end)
{
    return end.n <= s.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

static bool begins_with(struct span s, struct span start)
{
    return start.n <= s.n && memcmp(s.p, start.p, start.n) == 0;
}

/* Whether some text could be meant by both, without one of them being the more literal. */
static bool segments_clash(const struct httpd__segment *a, const struct httpd__segment *b)
{
    if (rank_of(a) != rank_of(b))
        return false;
    if (a->type == HTTPD__LITERAL)
        return span_eq(a->before, b->before);
    struct span empty = {"", 0};
    struct span a1 = a->before.n ? a->before : empty, b1 = b->before.n ? b->before : empty;
    struct span a2 = a->after.n ? a->after : empty, b2 = b->after.n ? b->after : empty;
    return (begins_with(a1, b1) || begins_with(b1, a1)) && (ends_with(a2, b2) || ends_with(b2, a2));
}

static bool same_segment(const struct httpd__segment *a, const struct httpd__segment *b)
{
    return a->type == b->type && span_eq(a->before, b->before) && span_eq(a->after, b->after) &&
           span_eq(a->name, b->name);
}

static bool same_pattern(const struct httpd__pattern *a, const struct httpd__pattern *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++)
        same = same_segment(&a->segment[i], &b->segment[i]);
    return same;
}

static bool clash(const struct httpd__pattern *a, const struct httpd__pattern *b)
{
    bool clash = a->n == b->n;
    for (unsigned i = 0; clash && i < a->n; i++)
        clash = segments_clash(&a->segment[i], &b->segment[i]);
    return clash;
}

void httpd__router_add(struct httpd__router *r, const struct httpd_route *route)
{
    CHECK(route->method < HTTPD_METHODS && route->handler);
    struct httpd__pattern *p = compile(route->pattern);
    for (size_t i = 0; i < r->n; i++) {
        if (same_pattern(r->v[i], p)) {
            mem_free(p);
            p = r->v[i];
            CHECK(!p->has[route->method] && "this route is there already");
            p->has[route->method] = true;
            p->route[route->method] = *route;
            return;
        }
        CHECK(!clash(r->v[i], p) && "two patterns match the same paths");
    }
    p->has[route->method] = true;
    p->route[route->method] = *route;
    size_t at = r->n;
    (void)vec_push(r);
    for (; at > 0 && compare(r->v[at - 1], p) > 0; at--)
        r->v[at] = r->v[at - 1];
    r->v[at] = p;
}

void httpd__router_done(struct httpd__router *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(r->v[i]);
    vec_done(r);
}

/* ---- matching ----------------------------------------------------------------------------------
 */

/* One spelling a number: no sign but '-', no zeros in front, no "-0". */
static bool read_number(struct span s, bool negative_too, int64_t *ret)
{
    size_t sign = negative_too && s.n && s.p[0] == '-';
    if (s.n == sign || s.p[sign] < '0' || s.p[sign] > '9' || (s.p[sign] == '0' && s.n > 1))
        return false;
    return span_to_i64(s, negative_too ? INT64_MIN : 0, INT64_MAX, ret) == 0;
}

static bool match_segment(const struct httpd__segment *g, struct span s, struct httpd__match *m)
{
    if (g->type == HTTPD__LITERAL)
        return span_eq(g->before, s);
    if (s.n <= g->before.n + g->after.n || (g->before.n && !begins_with(s, g->before)) ||
        (g->after.n && !ends_with(s, g->after)))
        return false;
    struct httpd__value *v = &m->value[m->values];
    *v = (struct httpd__value){.segment = g,
                               .text = {s.p + g->before.n, s.n - g->before.n - g->after.n}};
    if (g->type == HTTPD__U || g->type == HTTPD__I64) {
        if (!read_number(v->text, g->type == HTTPD__I64, &v->number))
            return false;
    }
    m->values++;
    return true;
}

static bool match_pattern(const struct httpd__pattern *p, struct span path, struct httpd__match *m)
{
    struct span rest = {path.p + 1, path.n - 1};
    m->values = 0;
    for (unsigned i = 0; i < p->n; i++) {
        const struct httpd__segment *g = &p->segment[i];
        if (g->type == HTTPD__PATH)
            return match_segment(g, rest, m);
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
        if ((slash != NULL) != (i + 1 < p->n) || !match_segment(g, (struct span){rest.p, n}, m))
            return false;
        if (slash)
            rest = (struct span){slash + 1, rest.n - n - 1};
    }
    return true;
}

bool httpd__router_find(const struct httpd__router *r, enum httpd_method method, struct span path,
                        struct httpd__match *ret)
{
    ret->pattern = NULL;
    ret->route = NULL;
    ret->allowed = 0;
    if (path.n == 0 || path.p[0] != '/')
        return false;
    for (size_t i = 0; i < r->n; i++) {
        const struct httpd__pattern *p = r->v[i];
        if (!match_pattern(p, path, ret))
            continue;
        ret->pattern = p;
        enum httpd_method m = method == HTTPD_HEAD && !p->has[HTTPD_HEAD] ? HTTPD_GET : method;
        if (p->has[m]) {
            ret->route = &p->route[m];
            return true;
        }
        for (int k = 0; k < HTTPD_METHODS; k++)
            ret->allowed |= (unsigned)p->has[k] << k;
    }
    if (ret->allowed & 1u << HTTPD_GET)
        ret->allowed |= 1u << HTTPD_HEAD;
    ret->values = 0;
    return ret->pattern != NULL;
}
