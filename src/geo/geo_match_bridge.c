/* Gaps between one pass and the next. */
#include "geo/internal.h"

#include <math.h>

/* A gap of the measure up to this is closed when the way between is not much longer: bad reception,
 * a corner cut. */
#define HOLE_M 250.0
/* Without a fix in between (one straight edge from route to route) up to this. */
#define BLIND_M 1000.0
/* Fixes that may lie between: an edge that leaves the corridor has its own ends within it. */
#define BLIND_EDGES 2

static bool fits(double ds, double dt, uint32_t edges)
{
    if (ds <= HOLE_M && dt <= 3 * ds + HOLE_M)
        return true;
    return edges <= BLIND_EDGES && ds <= BLIND_M && ds <= 2 * dt + 80 && dt <= 2 * ds + 80;
}

bool geo__match_bridge(struct geo__matcher *m)
{
    struct geo__found *f = &m->found;
    for (size_t k = 1; k < f->npass; k++) {
        const struct geo__pass *p = &f->pass[k - 1], *q = &f->pass[k];
        const double ds = geo__match_ds(m->r, p->s1, q->s0);
        if (!fits(fabs(ds), q->t0 - p->t1, q->v0 - p->v1))
            continue;
        if (!geo__match_add(m, fmin(p->s1, p->s1 + ds), fmax(p->s1, p->s1 + ds)))
            return false;
    }
    f->n = geo_intervals_union(f->iv, f->n);
    return true;
}
