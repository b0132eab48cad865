/* The matcher: what one activity did on one route. The way through it:
 *   boxes in degrees, then boxes in metres    most pairs end here
 *   geo_match_near.c     strides of the activity near the route, samples, candidates
 *   geo_match_explain.c  where on the route each sample was, if at all
 *   geo_match_credit.c   passes: stretches of the measure that were walked
 *   geo_match_bridge.c   gaps between passes
 *   geo_match_piece.c    the activity's parts inside the corridor
 * and here: snapping to the lattice. */
#include "geo/internal.h"

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

/* Sections from a union of intervals: ends go to the nearest lattice vertex, and what then touches
 * is one. */
static int snap(const struct geo__matcher *m, struct geo_match *ret, struct err *err)
{
    const struct geo_route *r = m->r;
    if (m->found.n == 0)
        return 0;
    ret->section = mem_try_alloc(m->found.n * sizeof(*ret->section));
    if (ret->section == NULL)
        return geo__no_memory(m->found.n, err);
    for (size_t i = 0; i < m->found.n; i++) {
        struct geo_section s;
        geo_route_cut(r, m->found.iv[i], &s.first, &s.last);
        if (s.first >= s.last)
            continue;
        if (ret->n > 0 && s.first <= ret->section[ret->n - 1].last)
            s.first = ret->section[--ret->n].first;
        s.iv = (struct geo_interval){r->m[s.first], r->m[s.last]};
        ret->section[ret->n++] = s;
    }
    return 0;
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
