/* The explanation of a run: for every sample one of its candidates or "off the route", the whole
 * sequence chosen by dynamic programming (Viterbi, as Newson and Krumm 2009 for road networks) so
 * that nearby legs, twins and ghosts are told apart by what is before and after and not by which
 * line happens to be nearest.
 *
 * Costs are in units of one step off the route. A sample on the route costs by its distance, so
 * that being within the inner distance is cheaper than being off and being beyond it is dearer; a
 * step between two candidates costs by how much the measure disagrees with the way walked; coming
 * on or going off the route costs ENTRY. Hence a stretch is credited when it earns more than two
 * entries: about 130 m of clean walking, and never for a crossing, where the distance is high and
 * the measure stands still. */
#include "geo/internal.h"

#include <math.h>

#define ENTRY 3.0
/* More for coming back on within a run at a place that does not fit the way since leaving: while
 * candidates last, one walk with an odd stretch in it is likelier than two. */
#define REENTRY 6.0
/* Per step of disagreement. At 0.4 a walk whose measure stands still at the inner distance is
 * dearer than off. */
#define DISAGREE 0.4
/* The measure may run ahead of the activity: wiggles of the route that the track does not have, and
 * the jumps of the nearest place by the inner distance on either side. */
#define REACH_RATIO 1.6

double geo__match_ds(const struct geo_route *r, double a, double b)
{
    double ds = b - a;
    if (r->closed && fabs(ds) > r->length_m / 2)
        ds += ds > 0 ? -r->length_m : r->length_m;
    return ds;
}

double geo__match_reach(const struct geo_route *r, double dt)
{
    return REACH_RATIO * dt + 2 * r->tolerance_m;
}

/* Squared up to the inner distance, straight beyond it: a long excursion at twice the inner
 * distance is worth more than going off and coming back for about 120 m. */
static double distance_cost(const struct geo_route *r, double d)
{
    const double x = d / r->tolerance_m;
    return x < 1 ? x * x : x;
}

/* On a route shorter than what earns two entries nothing could ever be credited: there an entry
 * costs a quarter of the whole route. */
static double entry_cost(const struct geo_route *r)
{
    return fmin(ENTRY, 0.25 * r->length_m / GEO__STEP_M);
}

/* First of n candidates whose measure is at least s. */
static size_t first_from(const struct geo__cand *c, size_t n, double s)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (c[mid].s < s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct step {
    const struct geo_route *r;
    const struct geo__cand *cand; /* all of the run */
    const struct geo__sample *prev;
    double dt, reach;
};

/* Links c to the previous sample's candidates whose measure plus shift is in reach. */
static void link_from(const struct step *st, struct geo__cand *c, double shift)
{
    const struct geo__cand *prev = st->cand + st->prev->first;
    const double s = c->s - shift;
    for (size_t i = first_from(prev, st->prev->n, s - st->reach);
         i < st->prev->n && prev[i].s <= s + st->reach; i++) {
        const double off = fabs(fabs(s - prev[i].s) - st->dt) / GEO__STEP_M;
        const double cost = prev[i].cost + DISAGREE * off;
        if (cost < c->cost) {
            c->cost = cost;
            c->from = (int32_t)(st->prev->first + i);
            c->linked = true;
        }
    }
}

/* The cheapest way to be off after sample s, having been on: stay off, or leave one of its
 * candidates. */
static double leave(const struct geo__sample *s, const struct geo__cand *cand, double entry,
                    int32_t *from)
{
    double best = s->off_cost;
    *from = GEO__OFF;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        if (cand[i].cost + entry < best) {
            best = cand[i].cost + entry;
            *from = (int32_t)i;
        }
    }
    return best;
}

/* Is candidate c of sample s where a walk on from the place of leaving would be by now? */
static bool comes_back(const struct geo_route *r, const struct geo__run *run,
                       const struct geo__sample *s, const struct geo__cand *c)
{
    if (s->off_cost == INFINITY)
        return false;
    const double ds = fabs(geo__match_ds(r, run->cand[s->left].s, c->s)), dt = s->t - s->left_t;
    return ds <= geo__match_reach(r, dt) && dt <= geo__match_reach(r, ds);
}

/* Fills the costs of sample k. `never` is the cost of not having been on the route before it in
 * this run. */
static void take_sample(const struct geo_route *r, struct geo__run *run, size_t k, double never)
{
    struct geo__sample *s = &run->sample[k];
    struct step st = {.r = r, .cand = run->cand, .dt = r->step_m};
    const double entry = entry_cost(r);
    int32_t from = GEO__OFF;
    double off = INFINITY;
    if (k > 0) {
        st.prev = s - 1;
        st.dt = s->t - s[-1].t;
        off = leave(s - 1, run->cand, entry, &from);
    }
    st.reach = geo__match_reach(r, st.dt);
    const double steps = st.dt / GEO__STEP_M;
    s->off_cost = off + steps;
    s->off_from = from;
    if (k > 0) {
        s->left = from == GEO__OFF ? s[-1].left : from;
        s->left_t = from == GEO__OFF ? s[-1].left_t : s[-1].t;
    }
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        struct geo__cand *c = &run->cand[i];
        const double again =
            off + (k > 0 && comes_back(r, run, s, c) ? 0 : REENTRY / ENTRY * entry);
        c->cost = fmin(never, again) + entry;
        c->from = again < never ? from : GEO__NEVER;
        if (k > 0) {
            link_from(&st, c, 0);
            if (r->closed && c->s < st.reach)
                link_from(&st, c, -r->length_m);
            if (r->closed && c->s > r->length_m - st.reach)
                link_from(&st, c, r->length_m);
        }
        c->cost += steps * distance_cost(r, c->d);
    }
}

void geo__match_explain(const struct geo_route *r, struct geo__run *run)
{
    double never = 0;
    for (size_t k = 0; k < run->n; k++) {
        take_sample(r, run, k, never);
        const double dt = k == 0 ? r->step_m : run->sample[k].t - run->sample[k - 1].t;
        never += dt / GEO__STEP_M;
    }
    int32_t state;
    if (leave(&run->sample[run->n - 1], run->cand, entry_cost(r), &state) >= never)
        state = GEO__NEVER;
    for (size_t k = run->n; k-- > 0;) {
        struct geo__sample *s = &run->sample[k];
        s->chosen = state < 0 ? GEO__OFF : state;
        s->linked = state >= 0 && run->cand[state].linked;
        if (state != GEO__NEVER)
            state = state == GEO__OFF ? s->off_from : run->cand[state].from;
    }
}
