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

/* ---- what waiting cost ----------------------------------------------------------------------- */

/* A return that does not fit the way since leaving is dear, and staying off until it fits may be
 * cheaper; so may leaving early. The few samples that this keeps off a walk that plainly goes on
 * there are given back to it: at most as many as REENTRY pays for, near the line, and at walking
 * pace. */
#define WAIT_MAX     8
#define NEAR_SHARE   0.5 /* of the tolerance */
#define PACE_SLACK_M 10.0
#define PACE_MISFIT  0.35

/* The candidate of sample k from which the walk went to (or at which it came from) the chosen one
 * of sample on, in the direction of sign; GEO__OFF if there is none. */
static int32_t goes_on(const struct geo_route *r, const struct geo__run *run, size_t k, size_t on,
                       double sign)
{
    const struct geo__sample *s = &run->sample[k];
    const double dt = fabs(run->sample[on].t - s->t);
    const double at = run->cand[run->sample[on].chosen].s;
    double best = PACE_SLACK_M + PACE_MISFIT * dt;
    int32_t found = GEO__OFF;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const struct geo__cand *c = &run->cand[i];
        const double misfit = fabs(sign * geo__match_ds(r, c->s, at) - dt);
        if (c->d <= NEAR_SHARE * r->tolerance_m && misfit < best) {
            best = misfit;
            found = (int32_t)i;
        }
    }
    return found;
}

/* Direction of the walk between two chosen samples: 1 or -1. */
static double heading(const struct geo_route *r, const struct geo__run *run, size_t a, size_t b)
{
    return geo__match_ds(r, run->cand[run->sample[a].chosen].s,
                         run->cand[run->sample[b].chosen].s) < 0
               ? -1
               : 1;
}

static bool is_on(const struct geo__run *run, size_t k)
{
    return run->sample[k].chosen != GEO__OFF;
}

/* The off samples between the chosen ones i and j, from both ends. */
static void give_back(const struct geo_route *r, struct geo__run *run, size_t i, size_t j)
{
    if (j + 1 < run->n && run->sample[j + 1].linked) {
        const double sign = heading(r, run, j, j + 1);
        for (size_t k = j; k > i + 1 && j - k < WAIT_MAX; k--) {
            const int32_t c = goes_on(r, run, k - 1, k, sign);
            if (c == GEO__OFF)
                break;
            run->sample[k - 1].chosen = c;
            run->sample[k].linked = true;
        }
    }
    if (i > 0 && run->sample[i].linked) {
        const double sign = -heading(r, run, i - 1, i);
        for (size_t k = i; k + 1 < j && k - i < WAIT_MAX && !is_on(run, k + 1); k++) {
            const int32_t c = goes_on(r, run, k + 1, k, sign);
            if (c == GEO__OFF)
                break;
            run->sample[k + 1].chosen = c;
            run->sample[k + 1].linked = true;
        }
    }
}

static void give_back_all(const struct geo_route *r, struct geo__run *run)
{
    size_t last = SIZE_MAX; /* chosen sample before the gap at hand */
    for (size_t k = 0; k < run->n; k++) {
        if (!is_on(run, k))
            continue;
        if (last != SIZE_MAX && last + 1 < k)
            give_back(r, run, last, k);
        last = k;
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
    give_back_all(r, run);
}
