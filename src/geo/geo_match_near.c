/* Along the activity: the strides that come near the route, the samples on them and their
 * candidates. */
#include "geo/internal.h"

#include <math.h>

/* A stride asks the route's tree once; this many samples share the answer. */
#define STRIDE_STEPS 8

/* Two minima of the distance along the route are two places when the way between them is this much
 * further off. */
#define BARRIER_M 8.0

enum {
    /* Places one sample may be: the laps of a track race. Beyond that the first ones along the
       route are kept. */
    MAX_CANDIDATES = 128,
    /* A run is explained at the latest here: bounds the memory of an activity that never leaves the
       route. */
    MAX_RUN_SAMPLES = 1 << 16,
    MAX_RUN_CANDIDATES = 1 << 18,
};

/* The valleys of the distance, fed with it along the route. Squares are compared; a root is taken
 * only within the outer distance. */
struct valley {
    double outer2;
    double low2, s; /* the lowest so far and where */
    uint32_t edge;
    double out2; /* above this the valley is left */
    bool left;   /* it was left and reported; now the next summit is sought */
    double top2, in2;
};

static void valley_start(struct valley *v, double outer_m)
{
    *v = (struct valley){.outer2 = outer_m * outer_m, .low2 = INFINITY, .out2 = INFINITY};
}

static void valley_low(struct valley *v, double d2, double s, uint32_t edge)
{
    v->low2 = d2;
    v->s = s;
    v->edge = edge;
    if (d2 <= v->outer2) {
        const double out = sqrt(d2) + BARRIER_M;
        v->out2 = out * out;
    }
}

/* True when a valley has just been left: low2, s and edge are a candidate. */
static bool valley_feed(struct valley *v, double d2, double s, uint32_t edge)
{
    if (v->left) {
        if (d2 > v->top2) {
            const double in = sqrt(d2) - BARRIER_M;
            v->top2 = d2;
            v->in2 = in > 0 ? in * in : 0;
        } else if (d2 < v->in2) {
            v->left = false;
            v->out2 = INFINITY;
            valley_low(v, d2, s, edge);
        }
        return false;
    }
    if (d2 < v->low2) {
        valley_low(v, d2, s, edge);
        return false;
    }
    if (d2 <= v->out2)
        return false;
    v->left = true;
    v->top2 = d2;
    v->in2 = sqrt(d2) - BARRIER_M;
    v->in2 *= v->in2;
    return true;
}

static bool push_candidate(struct geo__run *run, struct geo__sample *s, const struct valley *v)
{
    if (s->n >= MAX_CANDIDATES)
        return true;
    struct geo__cand *c = geo__grow(run->cand, &run->cand_cap, run->ncand + 1, sizeof(*c));
    if (c == NULL)
        return false;
    run->cand = c;
    run->cand[run->ncand++] =
        (struct geo__cand){.s = v->s, .d = sqrt(v->low2), .edge = v->edge, .from = GEO__OFF};
    s->n++;
    return true;
}

static bool scan(struct geo__matcher *m, struct geo__sample *s, struct geo__range range)
{
    const struct geo__node *node = m->r->node;
    struct valley v;
    valley_start(&v, geo__outer_m(m->r));
    for (uint32_t e = range.first; e < range.end; e++) {
        const struct geo_xyz w = geo__sub(s->p, node[e].p),
                             edge = geo__sub(node[e + 1].p, node[e].p);
        if (valley_feed(&v, geo__dot(w, w), node[e].m, e) && !push_candidate(&m->run, s, &v))
            return false;
        const double u = geo__dot(w, edge) * node[e].inv_len2;
        if (u <= 0 || u >= 1)
            continue;
        const struct geo_xyz d = {w.x - edge.x * u, w.y - edge.y * u, w.z - edge.z * u};
        if (valley_feed(&v, geo__dot(d, d), node[e].m + (node[e + 1].m - node[e].m) * u, e) &&
            !push_candidate(&m->run, s, &v))
            return false;
    }
    const uint32_t end = range.end;
    const struct geo_xyz w = geo__sub(s->p, node[end].p);
    if (valley_feed(&v, geo__dot(w, w), node[end].m, end - 1) && !push_candidate(&m->run, s, &v))
        return false;
    return v.left || v.low2 > v.outer2 || push_candidate(&m->run, s, &v);
}

bool geo__match_candidates(struct geo__matcher *m, struct geo__sample *s)
{
    s->first = (uint32_t)m->run.ncand;
    s->n = 0;
    for (size_t i = 0; i < m->near.n; i++)
        if (!scan(m, s, m->near.v[i]))
            return false;
    return true;
}

/* Explains what has been gathered and starts anew. */
static bool end_run(struct geo__matcher *m)
{
    if (m->run.n == 0)
        return true;
    geo__match_explain(m->r, &m->run);
    const bool ok = geo__match_credit(m);
    m->run.n = 0;
    m->run.ncand = 0;
    return ok;
}

static bool add_sample(struct geo__matcher *m, struct geo_xyz p, double t, uint32_t vertex)
{
    struct geo__run *run = &m->run;
    if (run->n > 0 &&
        (t - run->sample[run->n - 1].t > 1.5 * m->r->step_m || run->n >= MAX_RUN_SAMPLES ||
         run->ncand >= MAX_RUN_CANDIDATES) &&
        !end_run(m))
        return false;
    struct geo__sample s = {.p = p, .t = t, .vertex = vertex};
    if (!geo__match_candidates(m, &s))
        return false;
    if (s.n == 0)
        return end_run(m);
    struct geo__sample *v = geo__grow(run->sample, &run->sample_cap, run->n + 1, sizeof(*v));
    if (v == NULL)
        return false;
    run->sample = v;
    run->sample[run->n++] = s;
    return true;
}

/* The way from t0 to t1 on the edges e to end, all in one segment, which starts at t_seg. */
struct stride {
    double t0, t1, t_seg;
    uint32_t e, end; /* edges: first and one past the last */
    bool last;       /* ends the segment */
};

static struct geo_xyz at(const struct geo__vertex *v, double t)
{
    const double length = v[1].t - v[0].t;
    return length > 0 ? geo__lerp(v[0].p, v[1].p, (t - v[0].t) / length) : v[0].p;
}

static bool find_near(struct geo__matcher *m, const struct stride *s)
{
    const struct geo__vertex *v = m->a->projected->v;
    struct geo__box box = geo__box_empty();
    geo__box_add(&box, at(&v[s->e], s->t0));
    for (uint32_t i = s->e + 1; i < s->end; i++)
        geo__box_add(&box, v[i].p);
    geo__box_add(&box, at(&v[s->end - 1], s->t1));
    box = geo__box_grow(box, geo__outer_m(m->r));
    return geo__route_edges(m->r, &box, &m->near);
}

static bool take_samples(struct geo__matcher *m, const struct stride *s)
{
    const struct geo__vertex *v = m->a->projected->v;
    uint32_t e = s->e;
    const double step = m->r->step_m;
    for (double k = ceil((s->t0 - s->t_seg) / step);; k++) {
        const double t = s->t_seg + k * step;
        if (t >= s->t1)
            break;
        while (e + 1 < s->end && v[e + 1].t <= t)
            e++;
        if (!add_sample(m, at(&v[e], t), t, e))
            return false;
    }
    return !s->last || add_sample(m, v[s->end].p, v[s->end].t, s->end - 1);
}

static int take_pieces(struct geo__matcher *m, const struct stride *s, struct err *err)
{
    const struct geo__vertex *v = m->a->projected->v;
    for (uint32_t e = s->e; e < s->end; e++) {
        const double length = v[e + 1].t - v[e].t;
        const double u0 = s->t0 > v[e].t ? (s->t0 - v[e].t) / length : 0;
        const double u1 = s->t1 < v[e + 1].t ? (s->t1 - v[e].t) / length : 1;
        if (u0 < u1 && geo__match_piece(m, e, u0, u1, err) < 0)
            return -1;
    }
    return 0;
}

static int walk_stride(struct geo__matcher *m, const struct stride *s, struct err *err)
{
    if (!find_near(m, s))
        return geo__no_memory(m->near.cap, err);
    if (m->near.n == 0)
        return 0;
    if (!take_samples(m, s))
        return geo__no_memory(m->run.cand_cap, err);
    return take_pieces(m, s, err);
}

static int walk_block(struct geo__matcher *m, const struct geo__block *b, double t_seg,
                      bool last_block, struct err *err)
{
    const struct geo__vertex *v = m->a->projected->v;
    struct stride s = {.t0 = v[b->first].t, .t_seg = t_seg, .e = b->first};
    while (s.e < b->end) {
        s.t1 = fmin(s.t0 + STRIDE_STEPS * m->r->step_m, v[b->end].t);
        s.end = s.e + 1;
        while (s.end < b->end && v[s.end].t < s.t1)
            s.end++;
        const bool done = s.t1 >= v[b->end].t;
        if (done)
            s.end = b->end;
        s.last = done && last_block;
        if (walk_stride(m, &s, err) < 0)
            return -1;
        if (done)
            break;
        s.e = v[s.end].t <= s.t1 ? s.end : s.end - 1;
        s.t0 = s.t1;
    }
    return 0;
}

int geo__match_walk(struct geo__matcher *m, struct err *err)
{
    const struct geo_activity *a = m->a;
    const struct geo__projected *p = a->projected;
    size_t seg = 0;
    for (size_t i = 0; i < p->nblock; i++) {
        const struct geo__block *b = &p->block[i];
        while (seg + 1 < a->nseg && a->seg[seg + 1] <= b->first)
            seg++;
        const struct geo__box box = geo__box_grow(b->box, geo__outer_m(m->r));
        if (!geo__route_meets(m->r, &box))
            continue;
        const bool last = b->end + 1 == geo__activity_end(a, seg);
        if (walk_block(m, b, p->v[a->seg[seg]].t, last, err) < 0)
            return -1;
        if (last && !end_run(m))
            return geo__no_memory(m->found.iv_cap, err);
    }
    return end_run(m) ? 0 : geo__no_memory(m->found.iv_cap, err);
}
