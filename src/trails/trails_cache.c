/* Prepared routes, least recently used first out once their memory passes the limit. A route in use
 * is never freed: it leaves the cache and dies with its last reference. */
#include "trails/internal.h"

struct trails_cache {
    struct trails_route *newest, *oldest;
    size_t limit, used;
};

struct trails_cache *trails__cache_new(size_t limit_bytes)
{
    struct trails_cache *c = mem_alloc(sizeof(*c));
    c->limit = limit_bytes;
    return c;
}

static void route_free(struct trails_route *r)
{
    geo_route_free(r->geo);
    mem_free(r->id);
    mem_free(r->note);
    mem_free(r);
}

static void unlink_route(struct trails_cache *c, struct trails_route *r)
{
    *(r->newer ? &r->newer->older : &c->newest) = r->older;
    *(r->older ? &r->older->newer : &c->oldest) = r->newer;
    r->newer = r->older = NULL;
}

static void link_newest(struct trails_cache *c, struct trails_route *r)
{
    r->older = c->newest;
    r->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = r;
    c->newest = r;
}

static void evict(struct trails_cache *c, struct trails_route *r)
{
    unlink_route(c, r);
    c->used -= r->bytes;
    r->cached = false;
    if (r->refs == 0) {
        route_free(r);
    }
}

static void trim(struct trails_cache *c)
{
    while (c->used > c->limit && c->oldest) {
        evict(c, c->oldest);
    }
}

struct trails_cache *trails__cache_free(struct trails_cache *c)
{
    if (c) {
        while (c->oldest) {
            CHECK(c->oldest->refs == 0);
            evict(c, c->oldest);
        }
        mem_free(c);
    }
    return NULL;
}

static struct trails_route *find(struct trails_cache *c, struct span id)
{
    /* A list is enough: it is as long as the routes that fit the limit, and asked once per route
     * and batch. */
    for (struct trails_route *r = c->newest; r; r = r->older) {
        if (span_is(id, r->id)) {
            return r;
        }
    }
    return NULL;
}

struct trails_route *trails__cache_get(struct trails_cache *c, struct span id, int64_t revision)
{
    struct trails_route *r = find(c, id);
    if (!r || r->revision != revision) {
        return NULL;
    }
    unlink_route(c, r);
    link_newest(c, r);
    r->refs++;
    return r;
}

struct trails_route *trails__cache_put(struct trails_cache *c, const char *id, int64_t revision,
                                       struct geo_route *geo, const char *note)
{
    struct trails_route *old = find(c, span_of(id));
    if (old) {
        evict(c, old);
    }
    struct trails_route *r = mem_alloc(sizeof(*r));
    r->id = mem_strdup(id);
    r->revision = revision;
    r->geo = geo;
    r->note = note ? mem_strdup(note) : NULL;
    r->bytes = sizeof(*r) + (geo ? geo_route_bytes(geo) : 0);
    r->refs = 1;
    r->cached = true;
    link_newest(c, r);
    c->used += r->bytes;
    trim(c);
    return r;
}

void trails__route_unref(struct trails_cache *c, struct trails_route *r)
{
    (void)c;
    CHECK(r->refs > 0);
    if (--r->refs == 0 && !r->cached) {
        route_free(r);
    }
}
