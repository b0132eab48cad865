/* The matching line: the lattice without the vertices that distances do not need. A recorded route
 * may have a vertex every metre; thinned to half a metre it is several times shorter, and half a
 * metre is nothing beside a tolerance of
 * 40. Edges stay under EDGE_MAX_M so that their boxes are tight. */
#include "geo/internal.h"

#include <math.h>

#define THIN_M     0.5
#define EDGE_MAX_M 160.0

enum { LOOK_AHEAD = 48 }; /* lattice vertices: bounds the work at that many times the lattice */

static double off_chord2(struct geo_xyz p, struct geo_xyz a, struct geo_xyz b)
{
    const struct geo_xyz v = geo__sub(b, a), w = geo__sub(p, a);
    const double vv = geo__dot(v, v);
    const double u = vv > 0 ? fmin(1, fmax(0, geo__dot(w, v) / vv)) : 0;
    const struct geo_xyz d = geo__sub(p, geo__lerp(a, b, u));
    return geo__dot(d, d);
}

static bool chord_serves(const struct geo_xyz *p, size_t i, size_t j)
{
    if (geo__chord_m(p[i], p[j]) > EDGE_MAX_M)
        return false;
    for (size_t k = i + 1; k < j; k++)
        if (off_chord2(p[k], p[i], p[j]) > THIN_M * THIN_M)
            return false;
    return true;
}

/* The furthest vertex after i that a straight edge reaches. Tried at doubling distances, then back
 * by bisection: a shorter edge than possible costs a little time later, never accuracy. */
static size_t reach(const struct geo_xyz *p, size_t n, size_t i)
{
    size_t good = i + 1, bad = i + LOOK_AHEAD + 1;
    if (bad > n)
        bad = n;
    for (size_t step = 2; i + step < bad; step *= 2) {
        if (!chord_serves(p, i, i + step)) {
            bad = i + step;
            break;
        }
        good = i + step;
    }
    while (good + 1 < bad) {
        const size_t mid = good + (bad - good) / 2;
        if (chord_serves(p, i, mid))
            good = mid;
        else
            bad = mid;
    }
    return good;
}

static void thin(struct geo_route *r, const struct geo_xyz *p)
{
    size_t i = 0;
    r->nnode = 0;
    for (;;) {
        r->node[r->nnode++] = (struct geo__node){.p = p[i], .m = r->m[i], .lattice = (uint32_t)i};
        if (i == r->n - 1)
            break;
        i = reach(p, r->n, i);
    }
    for (size_t k = 0; k + 1 < r->nnode; k++) {
        const struct geo_xyz v = geo__sub(r->node[k + 1].p, r->node[k].p);
        const double vv = geo__dot(v, v);
        r->node[k].inv_len2 = vv > 0 ? 1 / vv : 0; /* a loop thinned to nothing: one point */
    }
}

int geo__route_line(struct geo_route *r, struct err *err)
{
    struct geo_xyz *p = mem_try_alloc(r->n * sizeof(*p));
    struct geo__node *all = mem_try_alloc(r->n * sizeof(*all));
    int rc = -1;
    if (p == NULL || all == NULL) {
        rc = geo__no_memory(r->n, err);
        goto out;
    }
    for (size_t i = 0; i < r->n; i++)
        p[i] = geo_xyz_of(r->pt[i]);
    r->node = all;
    thin(r, p);
    /* Ends that are near only because the route is short do not make a ring. */
    r->closed = geo__chord_m(p[0], p[r->n - 1]) <= fmin(GEO_CLOSED_M, r->length_m / 4);
    r->node = mem_try_alloc(r->nnode * sizeof(*r->node));
    if (r->node == NULL) {
        rc = geo__no_memory(r->nnode, err);
        goto out;
    }
    memcpy(r->node, all, r->nnode * sizeof(*r->node));
    rc = 0;
out:
    mem_free(all);
    mem_free(p);
    return rc;
}
