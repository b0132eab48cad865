/* The parts of the activity inside the corridor, exactly: the points within the tolerance of one
 * edge of the route are a capsule, which is convex, so an edge of the activity has at most one
 * interval in it; their union over the route's edges is the edge's part, and parts that meet end to
 * end are chained into polylines. */
#include "geo/internal.h"

#include <math.h>

/* Hull of u with the fractions where |w + u v|^2 <= rr, a quadratic; only within lo..hi. */
static void hull_quadratic(double vv, double wv, double ww, double rr, double lo, double hi,
                           struct geo_interval *u)
{
    const double disc = wv * wv - vv * (ww - rr);
    if (vv <= 0) {
        if (ww <= rr) {
            u->a = fmin(u->a, lo);
            u->b = fmax(u->b, hi);
        }
        return;
    }
    if (disc < 0)
        return;
    const double root = sqrt(disc), a = fmax(lo, (-wv - root) / vv),
                 b = fmin(hi, (-wv + root) / vv);
    if (a > b)
        return;
    u->a = fmin(u->a, a);
    u->b = fmax(u->b, b);
}

/* The slab between the ends of the route's edge: fractions where 0 <= (w + u v) . d <= d . d. */
static bool slab(double wd, double vd, double dd, double *lo, double *hi)
{
    if (vd == 0)
        return wd >= 0 && wd <= dd;
    const double x = -wd / vd, y = (dd - wd) / vd;
    *lo = fmax(*lo, fmin(x, y));
    *hi = fmin(*hi, fmax(x, y));
    return *lo <= *hi;
}

/* The fractions u in [u0, u1] of the edge p + u v within `radius` of the route's edge b..c; empty:
 * a > b. */
static struct geo_interval in_capsule(struct geo_xyz p, struct geo_xyz v, double u0, double u1,
                                      const struct geo__node *edge, double radius)
{
    struct geo_interval u = {INFINITY, -INFINITY};
    const struct geo_xyz d = geo__sub(edge[1].p, edge[0].p);
    const struct geo_xyz w = geo__sub(p, edge[0].p), w2 = geo__sub(p, edge[1].p);
    const double rr = radius * radius, vv = geo__dot(v, v), wv = geo__dot(w, v),
                 ww = geo__dot(w, w);
    hull_quadratic(vv, wv, ww, rr, u0, u1, &u);
    hull_quadratic(vv, geo__dot(w2, v), geo__dot(w2, w2), rr, u0, u1, &u);
    const double dd = geo__dot(d, d), wd = geo__dot(w, d), vd = geo__dot(v, d);
    double lo = u0, hi = u1;
    if (dd > 0 && slab(wd, vd, dd, &lo, &hi))
        hull_quadratic(vv - vd * vd / dd, wv - wd * vd / dd, ww - wd * wd / dd, rr, lo, hi, &u);
    return u;
}

static struct geo_pt point_at(const struct geo_activity *a, uint32_t e, double u)
{
    if (u <= 0)
        return a->pt[e];
    return u >= 1 ? a->pt[e + 1] : geo__pt_lerp(a->pt[e], a->pt[e + 1], u);
}

int geo__match_piece_end(struct geo__matcher *m, struct err *err)
{
    if (!m->piece.open)
        return 0;
    m->piece.open = false;
    return geo_track_add(m->piece.out, point_at(m->a, m->piece.edge, m->piece.end), NAN, false,
                         err);
}

/* Continues the open piece with fractions a..b of edge e, or starts another. */
static int chain(struct geo__matcher *m, uint32_t e, struct geo_interval part, struct err *err)
{
    const bool same = m->piece.open && m->piece.edge == e && m->piece.end >= part.a;
    const bool next = m->piece.open && m->piece.edge + 1 == e && m->piece.end >= 1 && part.a <= 0;
    if (next && geo_track_add(m->piece.out, m->a->pt[e], NAN, false, err) < 0)
        return -1;
    if (!same && !next) {
        if (geo__match_piece_end(m, err) < 0 ||
            geo_track_add(m->piece.out, point_at(m->a, e, part.a), NAN, true, err) < 0)
            return -1;
    }
    m->piece.open = true;
    m->piece.edge = e;
    m->piece.end = part.b;
    return 0;
}

static bool gather(struct geo__matcher *m, uint32_t e, double u0, double u1)
{
    const struct geo__vertex *vertex = m->a->projected->v;
    const struct geo_xyz p = vertex[e].p, v = geo__sub(vertex[e + 1].p, p);
    m->piece.n = 0;
    for (size_t i = 0; i < m->near.n; i++) {
        for (uint32_t k = m->near.v[i].first; k < m->near.v[i].end; k++) {
            const struct geo_interval u =
                in_capsule(p, v, u0, u1, &m->r->node[k], m->r->tolerance_m);
            if (!(u.a < u.b))
                continue;
            struct geo_interval *grown =
                geo__grow(m->piece.u, &m->piece.cap, m->piece.n + 1, sizeof(*grown));
            if (grown == NULL)
                return false;
            m->piece.u = grown;
            m->piece.u[m->piece.n++] = u;
            if (u.a <= u0 && u.b >= u1) /* all of it: no need to look on */
                return true;
        }
    }
    return true;
}

int geo__match_piece(struct geo__matcher *m, uint32_t e, double u0, double u1, struct err *err)
{
    const struct geo__vertex *v = m->a->projected->v;
    if (!gather(m, e, u0, u1))
        return geo__no_memory(m->piece.cap, err);
    m->piece.n = geo_intervals_union(m->piece.u, m->piece.n);
    for (size_t i = 0; i < m->piece.n; i++) {
        const struct geo_interval u = m->piece.u[i];
        *m->piece.length_m += (u.b - u.a) * (v[e + 1].t - v[e].t);
        if (chain(m, e, u, err) < 0)
            return -1;
    }
    return 0;
}
