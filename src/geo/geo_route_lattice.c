/* The lattice: the route's line with vertices at most GEO_LATTICE_M apart, made once. Sections are
 * runs of its vertices, so that two sections over the same ground share every vertex bit for bit
 * and ST_Union of any number of them is exact; cut anywhere else, both copies survive the union and
 * are counted twice. */
#include "geo/internal.h"

#include <math.h>

/* Two points further apart than this are not a route's neighbours but a mistake. */
#define MAX_EDGE_M 1e6
/* Repeats of a point, also written in another way (180 and -180 degrees, any longitude at a pole).
 */
#define SAME_M 1e-6
/* Degrees are interpolated as they are below this latitude; nearer the poles the straight line in
 * degrees strays. */
#define PLAIN_LAT_DEG 85.0

struct lattice {
    struct geo_pt *pt;
    double *m;
    size_t n, pt_cap, m_cap;
    bool turns;
};

static bool push(struct lattice *l, struct geo_pt p, double m)
{
    struct geo_pt *pt = geo__grow(l->pt, &l->pt_cap, l->n + 1, sizeof(*pt));
    if (pt == NULL)
        return false;
    l->pt = pt;
    double *measure = geo__grow(l->m, &l->m_cap, l->n + 1, sizeof(*measure));
    if (measure == NULL)
        return false;
    l->m = measure;
    l->pt[l->n] = p;
    l->m[l->n++] = m;
    return true;
}

/* libm may differ in the last bit between machines: results that were projected and back are
 * rounded to 0.1 mm, and lengths to 1 mm before they decide how many pieces an edge gets. */
static struct geo_pt rounded(struct geo_pt p)
{
    return (struct geo_pt){round(p.lon * 1e9) / 1e9, round(p.lat * 1e9) / 1e9};
}

static struct geo_pt between(struct geo_pt a, struct geo_pt b, double u)
{
    if (fabs(a.lat) < PLAIN_LAT_DEG && fabs(b.lat) < PLAIN_LAT_DEG)
        return geo__pt_lerp(a, b, u);
    return rounded(geo_pt_of(geo__lerp(geo_xyz_of(a), geo_xyz_of(b), u)));
}

static bool add_pieces(struct lattice *l, struct geo_pt a, struct geo_pt b, double start,
                       double length)
{
    const double pieces = fmax(1, ceil(round(length * 1e3) / 1e3 / GEO_LATTICE_M));
    for (double k = 1; k < pieces; k++)
        if (!push(l, between(a, b, k / pieces), start + length * (k / pieces)))
            return false;
    return push(l, b, start + length);
}

static bool crosses_antimeridian(struct geo_pt a, struct geo_pt b)
{
    return fabs(a.lon - b.lon) > 180 && fabs(a.lat) < PLAIN_LAT_DEG && fabs(b.lat) < PLAIN_LAT_DEG;
}

/* Over the antimeridian by two vertices at one measure, 180 and -180: sections are cut between
 * them, so that no section has an edge that a planar ST_Union, or a map, takes for one around the
 * world. */
static bool add_turn(struct lattice *l, struct geo_pt a, struct geo_pt b, double length)
{
    const double side = a.lon > 0 ? 180 : -180, start = l->m[l->n - 1];
    const double u = (side - a.lon) / (b.lon + 2 * side - a.lon);
    const double lat = a.lat + (b.lat - a.lat) * u;
    const struct geo_pt near = {side, lat}, far = {-side, lat};
    l->turns = true;
    if (a.lon != side && !add_pieces(l, a, near, start, length * u))
        return false;
    if (b.lon == -side)
        return push(l, b, start + length);
    return push(l, far, start + length * u) &&
           add_pieces(l, far, b, start + length * u, length * (1 - u));
}

/* Appends what follows a up to b, b itself bit for bit. */
static bool add_edge(struct lattice *l, struct geo_pt a, struct geo_pt b, int depth)
{
    const double chord = geo__chord_m(geo_xyz_of(a), geo_xyz_of(b));
    if (chord > GEO__CHORD_M && depth > 0) {
        const struct geo_pt mid = rounded(geo_pt_of(geo__lerp(geo_xyz_of(a), geo_xyz_of(b), 0.5)));
        return add_edge(l, a, mid, depth - 1) && add_edge(l, mid, b, depth - 1);
    }
    const double length = geo__arc_m(chord);
    if (crosses_antimeridian(a, b))
        return add_turn(l, a, b, length);
    return add_pieces(l, a, b, l->m[l->n - 1], length);
}

static int too_long(double m, struct geo_pt a, struct geo_pt b, struct err *err)
{
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "route: %.0f km between neighbours %.5f %.5f and %.5f %.5f; points are missing",
                   m / 1e3, a.lon, a.lat, b.lon, b.lat);
}

static int fill(struct lattice *l, const struct geo_track *line, struct err *err)
{
    if (line->n > 0 && !push(l, line->pt[0], 0))
        return geo__no_memory(line->n, err);
    for (size_t i = 1; i < line->n; i++) {
        const struct geo_pt last = l->pt[l->n - 1], p = line->pt[i];
        const double chord = geo__chord_m(geo_xyz_of(last), geo_xyz_of(p));
        if (chord <= SAME_M)
            continue;
        if (chord > MAX_EDGE_M)
            return too_long(chord, last, p, err);
        if (!add_edge(l, last, p, 10)) /* 2^10 pieces of 2 km: more than MAX_EDGE_M */
            return geo__no_memory(l->n, err);
        if (l->n > GEO_MAX_POINTS)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "route: more than %d km at %.0f m a lattice vertex; split it",
                           (int)(GEO_MAX_POINTS * GEO_LATTICE_M / 1e3), GEO_LATTICE_M);
    }
    if (l->n < 2)
        return err_set(err, ERR_DATA, ERR_PERMANENT, "route: needs two different points, has %zu",
                       l->n);
    return 0;
}

int geo__route_lattice(struct geo_route *r, const struct geo_track *line, struct err *err)
{
    struct lattice l = {.pt = NULL};
    const int rc = fill(&l, line, err);
    /* Owned by the route even when incomplete: geo_route_free releases it. */
    r->pt = l.pt;
    r->m = l.m;
    r->n = l.n;
    r->turns = l.turns;
    if (rc == 0)
        r->length_m = l.m[l.n - 1];
    return rc;
}
