/* From pass to pass: which of them count, and which gaps between them were walked. */
#include "geo/internal.h"

#include <math.h>

/* A gap of the measure up to this is closed when the way between is not much longer: bad reception,
 * a corner cut. */
#define HOLE_M 250.0
/* Without a fix in between (one straight edge from route to route) up to this. */
#define BLIND_M 1000.0
/* Edges that may lie between: one that leaves the corridor has its own ends within it. */
#define BLIND_EDGES 2
/* Two passes this near to each other that go the same way are one walk. */
#define CONTINUES_M 600.0

/* Was the route walked between the end of p and the start of q? */
static bool was_walked(const struct geo_route *r, const struct geo__pass *p,
                       const struct geo__pass *q)
{
    const double ds = fabs(geo__match_ds(r, p->s1, q->s0)), dt = q->t0 - p->t1;
    if (ds <= HOLE_M && dt <= 3 * ds + HOLE_M)
        return true;
    return q->v0 - p->v1 <= BLIND_EDGES && ds <= BLIND_M && ds <= 2 * dt + 2 * r->tolerance_m &&
           dt <= 2 * ds + 2 * r->tolerance_m;
}

/* Does q go on in the direction of p, not far from its end? */
static bool goes_on(const struct geo_route *r, const struct geo__pass *p, const struct geo__pass *q)
{
    const double ds = geo__match_ds(r, p->s1, q->s0);
    const bool near = fabs(ds) <= CONTINUES_M && q->t0 - p->t1 <= 2 * fabs(ds) + HOLE_M;
    return (near || was_walked(r, p, q)) && ds * geo__match_ds(r, p->s0, p->s1) > 0 &&
           ds * geo__match_ds(r, q->s0, q->s1) > 0;
}

/* A suspect pass next to a good one that it goes on from or into is good, and so on along the
 * chain. */
static void clear_suspects(const struct geo_route *r, struct geo__pass *p, size_t n)
{
    for (size_t k = 1; k < n; k++)
        p[k].suspect = p[k].suspect && (p[k - 1].suspect || !goes_on(r, &p[k - 1], &p[k]));
    for (size_t k = n; k-- > 1;)
        p[k - 1].suspect = p[k - 1].suspect && (p[k].suspect || !goes_on(r, &p[k - 1], &p[k]));
}

static void drop_suspects(struct geo__found *f)
{
    size_t kept = 0;
    for (size_t k = 0; k < f->npass; k++) {
        const struct geo__pass *p = &f->pass[k];
        if (!p->suspect) {
            f->pass[kept++] = *p;
            continue;
        }
        for (size_t i = p->iv_first; i < p->iv_end; i++)
            f->iv[i].b = f->iv[i].a; /* empty: the union drops it */
    }
    f->npass = kept;
}

/* A gap shorter than the tolerance says nothing: the turn of a spur whose twin passes end short of
 * it. */
static void close_specks(struct geo__found *f, double speck_m)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (n > 0 && f->iv[i].a - f->iv[n - 1].b <= speck_m)
            f->iv[n - 1].b = f->iv[i].b;
        else
            f->iv[n++] = f->iv[i];
    }
    f->n = n;
}

static bool add_between(struct geo__matcher *m, double from, double to)
{
    const double ds = geo__match_ds(m->r, from, to);
    return geo__match_add(m, fmin(from, from + ds), fmax(from, from + ds));
}

bool geo__match_bridge(struct geo__matcher *m)
{
    struct geo__found *f = &m->found;
    clear_suspects(m->r, f->pass, f->npass);
    drop_suspects(f);
    for (size_t k = 1; k < f->npass; k++) {
        const struct geo__pass *p = &f->pass[k - 1], *q = &f->pass[k];
        bool ok = true;
        if (was_walked(m->r, p, q))
            ok = add_between(m, p->s1, q->s0);
        else if (goes_on(m->r, p, q)) /* no leaving and no joining: nothing to trim */
            ok = add_between(m, p->s1, p->wide1) && add_between(m, q->wide0, q->s0);
        if (!ok)
            return false;
    }
    f->n = geo_intervals_union(f->iv, f->n);
    close_specks(f, m->r->tolerance_m);
    return true;
}
