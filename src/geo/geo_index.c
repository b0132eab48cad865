/* Which routes may a track touch? A GEOS STRtree over the boxes in degrees of every route's runs,
 * asked with the boxes of the activity's runs. The boxes already carry the outer distance, so an
 * answer never misses a route that the matcher would credit; how tight they are decides only how
 * many matches end at their first look. */
#include "geo/internal.h"

#include <geos_c.h>
#include <math.h>

#define NODE_CAPACITY 10

struct geo_index {
    GEOSContextHandle_t geos; /* for building and freeing; queries bring their own */
    GEOSSTRtree *tree;
    size_t nroutes;
    size_t *item; /* route of each box: what the tree's items point to */
};

struct query {
    bool *hit;
};

static GEOSGeometry *rectangle(GEOSContextHandle_t geos, const struct geo__degrees *d)
{
    return GEOSGeom_createRectangle_r(geos, fmax(d->west, -180), fmax(d->south, -90),
                                      fmin(d->east, 180), fmin(d->north, 90));
}

static void on_hit(void *item, void *ctx)
{
    const struct query *q = ctx;
    q->hit[*(const size_t *)item] = true;
}

static int no_index(size_t n, struct err *err)
{
    return err_set(err, ERR_GEOS, ERR_RETRY, "no memory for an index of %zu routes", n);
}

static bool insert(struct geo_index *x, const struct geo__degrees *d, size_t *item)
{
    /* The tree copies the envelope; the geometry itself is not kept. */
    GEOSGeometry *g = rectangle(x->geos, d);
    if (g == NULL)
        return false;
    GEOSSTRtree_insert_r(x->geos, x->tree, g, item);
    GEOSGeom_destroy_r(x->geos, g);
    return true;
}

static bool fill(struct geo_index *x, const struct geo_route *const *routes, size_t n)
{
    size_t boxes = 0;
    for (size_t i = 0; i < n; i++)
        boxes += routes[i]->ndegrees;
    x->item = mem_try_alloc((boxes + 1) * sizeof(*x->item));
    if (x->item == NULL)
        return false;
    size_t *item = x->item;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < routes[i]->ndegrees; k++, item++) {
            *item = i;
            if (!insert(x, &routes[i]->degrees[k], item))
                return false;
        }
    }
    return true;
}

static void ignore(void *item, void *ctx)
{
    (void)item;
    (void)ctx;
}

/* The tree is packed by its first query: done here, so that it only reads from then on. */
static bool pack(struct geo_index *x)
{
    const struct geo__degrees nowhere = {0, 0, 0, 0};
    GEOSGeometry *g = rectangle(x->geos, &nowhere);
    if (g == NULL)
        return false;
    GEOSSTRtree_query_r(x->geos, x->tree, g, ignore, NULL);
    GEOSGeom_destroy_r(x->geos, g);
    return true;
}

struct geo_index *geo_index_new(const struct geo_route *const *routes, size_t n, struct err *err)
{
    struct geo_index *x = mem_alloc(sizeof(*x));
    x->nroutes = n;
    x->geos = GEOS_init_r();
    if (x->geos != NULL)
        x->tree = GEOSSTRtree_create_r(x->geos, NODE_CAPACITY);
    if (x->tree == NULL || !fill(x, routes, n) || !pack(x)) {
        no_index(n, err);
        return geo_index_free(x);
    }
    return x;
}

struct geo_index *geo_index_free(struct geo_index *x)
{
    if (x == NULL)
        return NULL;
    if (x->tree != NULL)
        GEOSSTRtree_destroy_r(x->geos, x->tree);
    if (x->geos != NULL)
        GEOS_finish_r(x->geos);
    mem_free(x->item);
    mem_free(x);
    return NULL;
}

/* Without memory for the query every route is an answer: more work, never a miss. */
static size_t all_routes(const struct geo_index *x, size_t *out)
{
    for (size_t i = 0; i < x->nroutes; i++)
        out[i] = i;
    return x->nroutes;
}

static bool ask(const struct geo_index *x, const struct geo_activity *a, struct query *q)
{
    GEOSContextHandle_t geos = GEOS_init_r(); /* one a thread, says GEOS */
    bool ok = geos != NULL;
    for (size_t i = 0; ok && i < a->nbox; i++) {
        GEOSGeometry *g = rectangle(geos, &a->box[i]);
        ok = g != NULL;
        if (!ok)
            break;
        GEOSSTRtree_query_r(geos, x->tree, g, on_hit, q);
        GEOSGeom_destroy_r(geos, g);
    }
    if (geos != NULL)
        GEOS_finish_r(geos);
    return ok;
}

size_t geo_index_query(const struct geo_index *x, const struct geo_activity *a, size_t *out)
{
    struct query q = {.hit = mem_try_alloc(x->nroutes + 1)};
    size_t n = 0;
    if (q.hit == NULL || !ask(x, a, &q)) {
        mem_free(q.hit);
        return all_routes(x, out);
    }
    for (size_t i = 0; i < x->nroutes; i++)
        if (q.hit[i])
            out[n++] = i;
    mem_free(q.hit);
    return n;
}
