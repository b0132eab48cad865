/* The matcher: what one activity did on one route. The way through it:
 *   boxes in degrees, then boxes in metres    most pairs end here
 *   geo_match_near.c     strides of the activity near the route, samples, candidates
 *   geo_match_explain.c  where on the route each sample was, if at all
 *   geo_match_credit.c   passes: stretches of the measure that were walked
 *   geo_match_bridge.c   gaps between passes
 *   geo_match_piece.c    the activity's parts inside the corridor
 * and here: snapping to the lattice. */
#include "geo/internal.h"

#include <math.h>

static bool meet_in_degrees(const struct geo_route *r, const struct geo_activity *a)
{
    for (size_t k = 0; k < r->ndegrees; k++) {
        if (!geo__degrees_meet(&a->all, &r->degrees[k]))
            continue;
        for (size_t i = 0; i < a->nbox; i++)
            if (geo__degrees_meet(&a->box[i], &r->degrees[k]))
                return true;
    }
    return false;
}

static struct geo_section section_of(const struct geo_route *r, size_t first, size_t last)
{
    return (struct geo_section){.iv = {r->m[first], r->m[last]}, .first = first, .last = last};
}

static bool add_section(struct geo_match *ret, size_t *cap, struct geo_section s)
{
    struct geo_section *v = geo__grow(ret->section, cap, ret->n + 1, sizeof(*v));
    if (v == NULL)
        return false;
    ret->section = v;
    ret->section[ret->n++] = s;
    return true;
}

/* One section, or as many as it has sides of the antimeridian. */
static bool add_sides(const struct geo_route *r, struct geo_match *ret, size_t *cap, size_t first,
                      size_t last)
{
    for (size_t i = first; r->turns && i < last; i++)
        if (fabs(r->pt[i].lon - r->pt[i + 1].lon) > 180 && r->m[i] == r->m[i + 1]) {
            if (i > first && !add_section(ret, cap, section_of(r, first, i)))
                return false;
            first = i + 1;
        }
    return first == last || add_section(ret, cap, section_of(r, first, last));
}

/* Sections from a union of intervals: ends go to the nearest lattice vertex, and what then touches
 * is one. */
static int snap(const struct geo__matcher *m, struct geo_match *ret, struct err *err)
{
    const struct geo_route *r = m->r;
    size_t cap = 0, first = 0, last = 0; /* the section at hand; none while last is 0 */
    bool ok = true;
    for (size_t i = 0; i < m->found.n && ok; i++) {
        size_t a, b;
        geo_route_cut(r, m->found.iv[i], &a, &b);
        if (a >= b)
            continue;
        if (last > 0 && a > last) {
            ok = add_sides(r, ret, &cap, first, last);
            first = a;
        } else if (last == 0) {
            first = a;
        }
        last = b > last ? b : last;
    }
    if (ok && last > 0)
        ok = add_sides(r, ret, &cap, first, last);
    return ok ? 0 : geo__no_memory(m->found.n, err);
}

static int match(struct geo__matcher *m, struct geo_match *ret, struct err *err)
{
    if (geo__match_walk(m, err) < 0 || geo__match_piece_end(m, err) < 0)
        return -1;
    if (!geo__match_bridge(m))
        return geo__no_memory(m->found.iv_cap, err);
    return snap(m, ret, err);
}

int geo_match(const struct geo_route *r, const struct geo_activity *a, struct geo_match *ret,
              struct err *err)
{
    *ret = (struct geo_match){.section = NULL};
    if (a->n < 2 || !meet_in_degrees(r, a))
        return 0;
    if (geo__activity_project(a, err) < 0)
        return -1;
    struct geo__matcher m = {.r = r, .a = a};
    m.piece.out = &ret->pieces;
    m.piece.length_m = &ret->pieces_m;
    const int rc = match(&m, ret, err);
    mem_free(m.near.v);
    mem_free(m.run.sample);
    mem_free(m.run.cand);
    mem_free(m.found.iv);
    mem_free(m.found.pass);
    mem_free(m.piece.u);
    if (rc < 0)
        geo_match_done(ret);
    return rc;
}

void geo_match_done(struct geo_match *m)
{
    if (m == NULL)
        return;
    mem_free(m->section);
    geo_track_done(&m->pieces);
    *m = (struct geo_match){.section = NULL};
}
