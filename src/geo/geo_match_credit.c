/* From an explained run to credit: passes, their ends, and the twins of a route digitised twice. */
#include "geo/internal.h"

#include <math.h>

/* Where a pass begins or ends the activity is coming from or going to somewhere else: up to
 * TRIM_MAX_M of the measure is cut off while the activity is further off than TRIM (of the
 * tolerance), or than the pass usually is. */
#define TRIM_MAX_M 150.0
#define TRIM       0.5

/* An excursion beyond the inner distance that stays within the outer is credited up to this. */
#define EXCURSION_MAX_M 600.0

/* A pass under this length that goes from one side of the route to the other is a crossing at a
 * small angle. */
#define CROSSING_MAX_M 1500.0
/* Side to side: this many tolerances, by the straight line fitted to the signed distance. */
#define CROSSING_RISE 1.25

/* Two places of the route nearer to each other than this share of the tolerance are the same
 * ground. */
#define TWIN 0.4

static const struct geo__cand *chosen(const struct geo__run *run, size_t k)
{
    return &run->cand[run->sample[k].chosen];
}

static struct geo_xyz foot(const struct geo_route *r, const struct geo__cand *c)
{
    const struct geo__node *n = &r->node[c->edge];
    const double length = n[1].m - n[0].m;
    return geo__lerp(n[0].p, n[1].p, length > 0 ? (c->s - n[0].m) / length : 0);
}

/* Distance with the side: left of the route's direction is positive. */
static double signed_distance(const struct geo_route *r, const struct geo__sample *s,
                              const struct geo__cand *c)
{
    const struct geo__node *n = &r->node[c->edge];
    const struct geo_xyz v = geo__sub(n[1].p, n[0].p), w = geo__sub(s->p, n[0].p);
    const struct geo_xyz cross = {v.y * w.z - v.z * w.y, v.z * w.x - v.x * w.z,
                                  v.x * w.y - v.y * w.x};
    return geo__dot(cross, s->p) < 0 ? -c->d : c->d;
}

/* Least squares of the signed distance over the way walked: how far the fitted line rises from the
 * first sample to the last. A walk along the route has none to speak of, whatever its bias; a
 * crossing has twice the tolerance. */
static bool is_crossing(const struct geo_route *r, const struct geo__run *run, size_t i, size_t j)
{
    const struct geo__sample *s = run->sample;
    if (s[j].t - s[i].t > CROSSING_MAX_M)
        return false;
    double n = 0, st = 0, sy = 0, stt = 0, sty = 0;
    for (size_t k = i; k <= j; k++) {
        const double t = s[k].t - s[i].t, y = signed_distance(r, &s[k], chosen(run, k));
        n++;
        st += t;
        sy += y;
        stt += t * t;
        sty += t * y;
    }
    const double spread = stt - st * st / n;
    if (spread <= 0)
        return false;
    const double slope = (sty - st * sy / n) / spread;
    return fabs(slope) * (s[j].t - s[i].t) >= CROSSING_RISE * r->tolerance_m;
}

static bool add(struct geo__matcher *m, double a, double b)
{
    struct geo__found *f = &m->found;
    struct geo_interval *v = geo__grow(f->iv, &f->iv_cap, f->n + 1, sizeof(*v));
    if (v == NULL)
        return false;
    f->iv = v;
    f->iv[f->n++] = (struct geo_interval){a, b};
    return true;
}

/* A stretch in measures that may run over the seam of a closed route. */
bool geo__match_add(struct geo__matcher *m, double a, double b)
{
    const double length = m->r->length_m;
    if (!m->r->closed)
        return add(m, fmax(0, a), fmin(length, b));
    if (b - a >= length)
        return add(m, 0, length);
    const double turn = floor(a / length) * length;
    a -= turn;
    b -= turn;
    if (b <= length)
        return add(m, a, b);
    return add(m, a, length) && add(m, 0, b - length);
}

/* A stretch in the making, in unwrapped measure. */
struct reach {
    double at, lo, hi;
};

static void reach_to(struct reach *x, double ds)
{
    x->at += ds;
    x->lo = fmin(x->lo, x->at);
    x->hi = fmax(x->hi, x->at);
}

/* Only samples within the inner distance extend a stretch; what lies between two of them counts
 * unless it is long. */
static bool credit_pass(struct geo__matcher *m, size_t i, size_t j)
{
    const struct geo__run *run = &m->run;
    const double start = chosen(run, i)->s;
    struct reach x = {start, start, start};
    double way = 0, ds = 0;
    for (size_t k = i + 1; k <= j; k++) {
        const struct geo__cand *c = chosen(run, k);
        const double step = geo__match_ds(m->r, chosen(run, k - 1)->s, c->s);
        ds += step;
        way += fabs(step);
        if (c->d > m->r->tolerance_m)
            continue;
        if (run->sample[k].t - run->sample[k - 1].t < way && way > EXCURSION_MAX_M) {
            if (!geo__match_add(m, x.lo, x.hi))
                return false;
            x = (struct reach){x.at + ds, x.at + ds, x.at + ds};
        } else {
            reach_to(&x, ds);
        }
        ds = way = 0;
    }
    return geo__match_add(m, x.lo, x.hi);
}

/* The candidate of sample k that lies on the same ground as the chosen one and continues the twin
 * at `from` (NULL: any that no stretch continues to yet). */
static const struct geo__cand *twin_of(const struct geo__matcher *m, size_t k, size_t nth)
{
    const struct geo__run *run = &m->run;
    const struct geo__sample *s = &run->sample[k];
    const struct geo_xyz here = foot(m->r, chosen(run, k));
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        const struct geo__cand *c = &run->cand[i];
        if ((int32_t)i == s->chosen || geo__chord_m(here, foot(m->r, c)) > TWIN * m->r->tolerance_m)
            continue;
        if (nth-- == 0)
            return c;
    }
    return NULL;
}

/* Every other place on the same ground is credited too: both passes of a spur, all laps. Each pair
 * of neighbouring samples stands for itself; the union joins them. */
static bool credit_twins(struct geo__matcher *m, size_t i, size_t j)
{
    const struct geo__run *run = &m->run;
    for (size_t k = i; k < j; k++) {
        if (run->sample[k].n < 2 || run->sample[k + 1].n < 2)
            continue;
        const double reach = geo__match_reach(m->r, run->sample[k + 1].t - run->sample[k].t);
        const struct geo__cand *a, *b;
        for (size_t x = 0; (a = twin_of(m, k, x)) != NULL; x++) {
            for (size_t y = 0; (b = twin_of(m, k + 1, y)) != NULL; y++) {
                const double ds = geo__match_ds(m->r, a->s, b->s);
                if (fabs(ds) <= reach &&
                    !geo__match_add(m, fmin(a->s, a->s + ds), fmax(a->s, a->s + ds)))
                    return false;
            }
        }
    }
    return true;
}

static double usual_distance(const struct geo__run *run, size_t i, size_t j)
{
    double sum = 0;
    for (size_t k = i; k <= j; k++)
        sum += chosen(run, k)->d;
    return sum / (double)(j - i + 1);
}

/* Cuts the ends of samples i..j; false if nothing is left. */
static bool trim(const struct geo_route *r, const struct geo__run *run, size_t *i, size_t *j)
{
    const double limit =
        fmin(r->tolerance_m, fmax(TRIM * r->tolerance_m, 1.5 * usual_distance(run, *i, *j)));
    double cut = 0;
    while (*i < *j && chosen(run, *i)->d > (cut < TRIM_MAX_M ? limit : r->tolerance_m)) {
        cut += fabs(geo__match_ds(r, chosen(run, *i)->s, chosen(run, *i + 1)->s));
        ++*i;
    }
    cut = 0;
    while (*j > *i && chosen(run, *j)->d > (cut < TRIM_MAX_M ? limit : r->tolerance_m)) {
        cut += fabs(geo__match_ds(r, chosen(run, *j)->s, chosen(run, *j - 1)->s));
        --*j;
    }
    return *i < *j;
}

static bool take_pass(struct geo__matcher *m, size_t i, size_t j)
{
    const struct geo__run *run = &m->run;
    if (is_crossing(m->r, run, i, j) || !trim(m->r, run, &i, &j))
        return true;
    struct geo__pass *p =
        geo__grow(m->found.pass, &m->found.pass_cap, m->found.npass + 1, sizeof(*p));
    if (p == NULL)
        return false;
    m->found.pass = p;
    m->found.pass[m->found.npass++] = (struct geo__pass){
        .t0 = run->sample[i].t,
        .t1 = run->sample[j].t,
        .s0 = chosen(run, i)->s,
        .s1 = chosen(run, j)->s,
        .v0 = run->sample[i].vertex,
        .v1 = run->sample[j].vertex,
    };
    return credit_pass(m, i, j) && credit_twins(m, i, j);
}

bool geo__match_credit(struct geo__matcher *m)
{
    const struct geo__sample *s = m->run.sample;
    for (size_t i = 0; i < m->run.n;) {
        if (s[i].chosen == GEO__OFF) {
            i++;
            continue;
        }
        size_t j = i;
        while (j + 1 < m->run.n && s[j + 1].linked)
            j++;
        if (!take_pass(m, i, j))
            return false;
        i = j + 1;
    }
    return true;
}
