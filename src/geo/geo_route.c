/* A route ready to match, and what is asked of it by measure. */
#include "geo/internal.h"

#include <math.h>

static void degrees(struct geo_route *r)
{
    const size_t boxes = r->n < GEO__DEGREES ? 1 : GEO__DEGREES;
    for (size_t k = 0; k < boxes; k++) {
        /* One vertex shared with the next run, so that no edge is left out. */
        const size_t first = k * (r->n - 1) / boxes, last = (k + 1) * (r->n - 1) / boxes;
        r->degrees[k] =
            geo__degrees_of(r->pt + first, last - first + 1, GEO_LATTICE_M, geo__outer_m(r));
    }
    r->ndegrees = boxes;
}

static int check(const struct geo_track *line, double tolerance_m, struct err *err)
{
    if (!(tolerance_m >= 5 && tolerance_m <= 500))
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "route: tolerance %g m; allowed are 5 to 500 m", tolerance_m);
    if (line->nseg > 1)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "route: %zu segments; join them into one line first", line->nseg);
    return geo_track_check(line, err);
}

struct geo_route *geo_route_new(const struct geo_track *line, double tolerance_m, struct err *err)
{
    if (check(line, tolerance_m, err) < 0)
        return NULL;
    struct geo_route *r = mem_alloc(sizeof(*r));
    r->tolerance_m = tolerance_m;
    if (geo__route_lattice(r, line, err) < 0 || geo__route_line(r, err) < 0 ||
        geo__route_tree(r, err) < 0)
        return geo_route_free(r);
    r->step_m = fmin(GEO__STEP_M, fmax(GEO__STEP_MIN_M, r->length_m / 10));
    degrees(r);
    return r;
}

struct geo_route *geo_route_free(struct geo_route *r)
{
    if (r == NULL)
        return NULL;
    mem_free(r->pt);
    mem_free(r->m);
    mem_free(r->node);
    mem_free(r->tree);
    mem_free(r);
    return NULL;
}

double geo_route_length_m(const struct geo_route *r)
{
    return r->length_m;
}

double geo_route_tolerance_m(const struct geo_route *r)
{
    return r->tolerance_m;
}

bool geo_route_closed(const struct geo_route *r)
{
    return r->closed;
}

size_t geo_route_bytes(const struct geo_route *r)
{
    return sizeof(*r) + r->n * (sizeof(*r->pt) + sizeof(*r->m)) + r->nnode * sizeof(*r->node) +
           r->level[r->levels] * sizeof(*r->tree);
}

size_t geo_route_lattice(const struct geo_route *r, const struct geo_pt **pt,
                         const double **measure_m)
{
    if (pt != NULL)
        *pt = r->pt;
    if (measure_m != NULL)
        *measure_m = r->m;
    return r->n;
}

/* The last vertex at or before the measure, never the route's last. */
static size_t vertex_before(const struct geo_route *r, double measure_m)
{
    size_t lo = 0, hi = r->n - 1;
    while (lo + 1 < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (r->m[mid] <= measure_m)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Halfway goes to the earlier one. */
static size_t nearest_vertex(const struct geo_route *r, double measure_m)
{
    const size_t i = vertex_before(r, measure_m);
    return measure_m - r->m[i] <= r->m[i + 1] - measure_m ? i : i + 1;
}

void geo_route_cut(const struct geo_route *r, struct geo_interval iv, size_t *first, size_t *last)
{
    *first = nearest_vertex(r, iv.a);
    *last = nearest_vertex(r, iv.b);
}

struct geo_pt geo_route_at(const struct geo_route *r, double measure_m)
{
    if (!(measure_m > 0))
        return r->pt[0];
    if (measure_m >= r->length_m)
        return r->pt[r->n - 1];
    const size_t i = vertex_before(r, measure_m);
    return geo__pt_lerp(r->pt[i], r->pt[i + 1], (measure_m - r->m[i]) / (r->m[i + 1] - r->m[i]));
}

/* Between its ends a piece has the vertices of the matching line, which is the lattice to half a
 * metre. */
int geo_route_chunks(const struct geo_route *r, double chunk_m, struct geo_track *ret,
                     struct err *err)
{
    size_t node = 0;
    *ret = (struct geo_track){.pt = NULL};
    for (size_t first = 0; first < r->n - 1;) {
        size_t last = vertex_before(r, r->m[first] + chunk_m);
        if (r->m[r->n - 1] <= r->m[first] + chunk_m)
            last = r->n - 1;
        if (last <= first)
            last = first + 1;
        while (r->node[node].lattice <= first)
            node++;
        int rc = geo_track_add(ret, r->pt[first], NAN, true, err);
        for (; rc == 0 && r->node[node].lattice < last; node++)
            rc = geo_track_add(ret, r->pt[r->node[node].lattice], NAN, false, err);
        if (rc == 0)
            rc = geo_track_add(ret, r->pt[last], NAN, false, err);
        if (rc < 0) {
            geo_track_done(ret);
            return -1;
        }
        first = last;
    }
    return 0;
}
