/* From an explained run to credit: passes, their ends, and the twins of a route digitised twice. */
#include "geo/internal.h"

#include <math.h>

/* Where a pass begins or ends the activity is coming from or going to somewhere else: up to
 * TRIM_MAX_M of the measure is cut off while the activity is further off than TRIM (of the
 * tolerance), or than the pass usually is. */
#define TRIM_MAX_M 150.0
#define TRIM       0.7

/* An excursion beyond the inner distance that stays within the outer is credited up to this. */
#define EXCURSION_MAX_M 600.0

/* A pass under this length that runs from one side of the route to the other, or along it first on
 * one side and then on the other, is a crossing at a small angle. It shows in the spread of what
 * its signed distances have left when the constant shift that explains most of them (the bias of
 * map and recorder) is taken off, in tolerances: a straight crossing has a standard deviation of 2
 * / sqrt(12) = 0.58 and quartiles 1.0 apart, a recorder's noise of 8 m 0.2 and 0.27 at the default
 * tolerance. A walk of 300 m that joins and leaves at right angles comes to 0.3 and 0.3. */
#define CROSSING_MAX_M     1500.0
#define CROSSING_DEVIATION 0.38
#define CROSSING_QUARTILES 0.45
/* In the mountains two recordings of one path stray from each other for hundreds of metres: beyond
 * this length the limits rise, up to what a straight crossing has at CROSSING_MAX_M. */
#define CROSSING_STRICT_M 600.0
/* CROSSING_MAX_M at a sample a step, and the ends. */
enum { CROSSING_SAMPLES = 1500 / 20 + 3 };

/* An edge longer than this is a path only if it leads from the route to the route; else it is a gap
 * in the recording, and what it happens to run along is not known to have been walked.
 * Simplification may have dropped the true last fix before the gap, where it lay close to the
 * straight line: hence some slack. */
#define LONG_EDGE_M  1500.0
#define LONG_SLACK_M 90.0

/* Two places of the route nearer to each other than this share of the tolerance are the same
 * ground. */
#define TWIN 0.4
/* Less of a twin than this is a junction. */
#define TWIN_MIN_M 50.0
/* On a tangle every sample has thousands of pairs: they are united as they come. */
enum { MAX_PAIRS = 1 << 16 };

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

/* The offset of a sample from its place on the route: the distance with the side, left of the
 * route's direction positive, and which way is left, as east and north. */
struct offset {
    double y, east, north;
};

static struct offset offset_of(const struct geo_route *r, const struct geo__sample *s,
                               const struct geo__cand *c)
{
    const struct geo__node *n = &r->node[c->edge];
    const struct geo_xyz up = s->p, v = geo__sub(n[1].p, n[0].p), w = geo__sub(s->p, n[0].p);
    const struct geo_xyz left = geo__cross(up, v), east = {-up.y, up.x, 0};
    const struct geo_xyz north = geo__cross(up, east);
    /* At a pole east is nothing: any two directions would do, but left is then taken as zero, which
     * only means that no shift is taken off. */
    const double e = sqrt(geo__dot(east, east) * geo__dot(left, left));
    const double nn = sqrt(geo__dot(north, north) * geo__dot(left, left));
    const double across = geo__dot(left, w);
    double y = across < 0 ? -c->d : c->d;
    if (!r->closed && (c->s <= 0 || c->s >= r->length_m)) /* beyond an end d is mostly ahead */
        y = across / sqrt(geo__dot(left, left));
    return (struct offset){.y = y,
                           .east = e > 0 ? geo__dot(left, east) / e : 0,
                           .north = nn > 0 ? geo__dot(left, north) / nn : 0};
}

/* Takes off the shift b that explains the offsets best: least squares of y = left . b. Where the
 * route is straight, only one component can be known; the small term on the diagonal keeps the
 * other near nothing. */
static void take_off_shift(struct offset *o, size_t n)
{
    double ee = 0.01 * (double)n, nn = ee, en = 0, ey = 0, ny = 0;
    for (size_t k = 0; k < n; k++) {
        ee += o[k].east * o[k].east;
        nn += o[k].north * o[k].north;
        en += o[k].east * o[k].north;
        ey += o[k].east * o[k].y;
        ny += o[k].north * o[k].y;
    }
    const double det = ee * nn - en * en; /* > 0: at least the product of the added terms */
    const double east = (ey * nn - ny * en) / det, north = (ny * ee - ey * en) / det;
    for (size_t k = 0; k < n; k++)
        o[k].y -= o[k].east * east + o[k].north * north;
}

static int by_offset(const void *x, const void *y)
{
    const double a = ((const struct offset *)x)->y, b = ((const struct offset *)y)->y;
    return (a > b) - (a < b);
}

static bool is_crossing(const struct geo_route *r, const struct geo__run *run, size_t i, size_t j)
{
    struct offset o[CROSSING_SAMPLES];
    double sum = 0, squares = 0;
    const size_t n = j - i + 1;
    const double way = run->sample[j].t - run->sample[i].t;
    if (n > COUNT_OF(o) || way > CROSSING_MAX_M)
        return false;
    for (size_t k = 0; k < n; k++)
        o[k] = offset_of(r, &run->sample[i + k], chosen(run, i + k));
    take_off_shift(o, n);
    for (size_t k = 0; k < n; k++) {
        sum += o[k].y;
        squares += o[k].y * o[k].y;
    }
    const double mean = sum / (double)n, variance = fmax(0, squares / (double)n - mean * mean);
    qsort(o, n, sizeof(*o), by_offset);
    const double limit = r->tolerance_m * (1 + fmax(0, way - CROSSING_STRICT_M) / CROSSING_MAX_M);
    return sqrt(variance) >= CROSSING_DEVIATION * limit ||
           o[n * 3 / 4].y - o[n / 4].y >= CROSSING_QUARTILES * limit;
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
        if (way > EXCURSION_MAX_M) {
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

/* Marks the candidates of sample k that lie on the same ground as the chosen one. */
static void mark_twins(struct geo__matcher *m, size_t k)
{
    struct geo__run *run = &m->run;
    const struct geo__sample *s = &run->sample[k];
    if (s->n < 2)
        return;
    const double same = TWIN * m->r->tolerance_m;
    const struct geo_xyz here = foot(m->r, chosen(run, k));
    for (uint32_t i = s->first; i < s->first + s->n; i++)
        run->cand[i].twin =
            (int32_t)i != s->chosen && geo__chord_m(here, foot(m->r, &run->cand[i])) <= same;
}

/* Every pair of twins of neighbouring samples that are within reach of each other. */
static bool pair_twins(struct geo__matcher *m, size_t k)
{
    const struct geo__sample *s = &m->run.sample[k];
    const double reach = geo__match_reach(m->r, s[1].t - s[0].t);
    for (uint32_t i = s[0].first; i < s[0].first + s[0].n; i++) {
        const struct geo__cand *a = &m->run.cand[i];
        for (uint32_t j = s[1].first; a->twin && j < s[1].first + s[1].n; j++) {
            const struct geo__cand *b = &m->run.cand[j];
            if (!b->twin)
                continue;
            const double ds = geo__match_ds(m->r, a->s, b->s);
            if (fabs(ds) <= reach &&
                !geo__match_add(m, fmin(a->s, a->s + ds), fmax(a->s, a->s + ds)))
                return false;
        }
    }
    return true;
}

/* Every other place on the same ground is credited too: both passes of a spur, all laps. */
static bool credit_twins(struct geo__matcher *m, size_t i, size_t j)
{
    struct geo__found *f = &m->found;
    const size_t before = f->n;
    for (size_t k = i; k <= j; k++)
        mark_twins(m, k);
    for (size_t k = i; k < j; k++) {
        if (m->run.sample[k].n < 2 || m->run.sample[k + 1].n < 2)
            continue;
        if (!pair_twins(m, k))
            return false;
        if (f->n - before > MAX_PAIRS)
            f->n = before + geo_intervals_union(f->iv + before, f->n - before);
    }
    const size_t twins = geo_intervals_union(f->iv + before, f->n - before);
    f->n = before;
    for (size_t k = before; k < before + twins; k++)
        if (f->iv[k].b - f->iv[k].a >= TWIN_MIN_M)
            f->iv[f->n++] = f->iv[k];
    return true;
}

static double usual_distance(const struct geo__run *run, size_t i, size_t j)
{
    double sum = 0;
    for (size_t k = i; k <= j; k++)
        sum += chosen(run, k)->d;
    return sum / (double)(j - i + 1);
}

/* Cuts from the ends of samples i..j what is further off than limit, but not more than TRIM_MAX_M
 * of the measure at either end if it is within the tolerance; false if nothing is left. */
static bool trim(const struct geo_route *r, const struct geo__run *run, double limit, size_t *i,
                 size_t *j)
{
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

static double trim_limit(const struct geo_route *r, const struct geo__run *run, size_t i, size_t j)
{
    return fmin(r->tolerance_m, fmax(TRIM * r->tolerance_m, 1.5 * usual_distance(run, i, j)));
}

/* From fix to fix, the edge of the activity that a sample lies on. */
static void whole_edge(const struct geo_activity *a, uint32_t vertex, double *from, double *to)
{
    uint32_t first = vertex, last = vertex + 1;
    while (!a->fix[first])
        first--;
    while (!a->fix[last])
        last++;
    *from = a->projected->v[first].t;
    *to = a->projected->v[last].t;
}

/* Takes off what lies on a long edge that the pass does not follow to its end; false if nothing is
 * left. */
static bool trim_long_edges(const struct geo__matcher *m, size_t *i, size_t *j)
{
    const struct geo__sample *s = m->run.sample;
    double from, to;
    whole_edge(m->a, s[*i].vertex, &from, &to);
    if (to - from > LONG_EDGE_M && s[*i].t - from > LONG_SLACK_M)
        while (*i < *j && s[*i].t < to - LONG_SLACK_M)
            ++*i;
    whole_edge(m->a, s[*j].vertex, &from, &to);
    if (to - from > LONG_EDGE_M && to - s[*j].t > LONG_SLACK_M)
        while (*j > *i && s[*j].t > from + LONG_SLACK_M)
            --*j;
    return *i < *j;
}

/* A pass that begins or ends with its segment of the activity is a walk that was recorded from or
 * up to there. */
static bool is_cut_off(const struct geo__matcher *m, size_t i, size_t j)
{
    const struct geo__vertex *v = m->a->projected->v;
    const struct geo__sample *s = m->run.sample;
    return s[i].t <= v[geo__segment_first(m->a, s[i].vertex)].t ||
           s[j].t >= v[geo__segment_last(m->a, s[j].vertex)].t;
}

static bool take_pass(struct geo__matcher *m, size_t i, size_t j)
{
    const struct geo__run *run = &m->run;
    const double limit = trim_limit(m->r, run, i, j);
    struct geo__pass pass = {.iv_first = m->found.n};
    pass.suspect = !is_cut_off(m, i, j) && is_crossing(m->r, run, i, j);
    if (!trim(m->r, run, m->r->tolerance_m, &i, &j))
        return true;
    pass.wide0 = chosen(run, i)->s;
    pass.wide1 = chosen(run, j)->s;
    if (!trim(m->r, run, limit, &i, &j) || !trim_long_edges(m, &i, &j))
        return true;
    pass.t0 = run->sample[i].t;
    pass.t1 = run->sample[j].t;
    pass.s0 = chosen(run, i)->s;
    pass.s1 = chosen(run, j)->s;
    pass.v0 = run->sample[i].vertex;
    pass.v1 = run->sample[j].vertex;
    if (!credit_pass(m, i, j) || !credit_twins(m, i, j))
        return false;
    pass.iv_end = m->found.n;
    struct geo__pass *p =
        geo__grow(m->found.pass, &m->found.pass_cap, m->found.npass + 1, sizeof(*p));
    if (p == NULL)
        return false;
    m->found.pass = p;
    m->found.pass[m->found.npass++] = pass;
    return true;
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
