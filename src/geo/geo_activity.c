/* An activity prepared for matching against many routes: copied once, projected at most once.
 *
 * What is no path is broken here. Between two fixes the straight line is taken as the way, however
 * long a summary's straight edges are, except:
 *   - an edge over JUMP_M: no straight path on foot or by bicycle is that long, a flight or a
 * glitch is;
 *   - with times, an edge over SUSPECT_M at a speed above FAST_MS (a vehicle, a glitch), or below
 * SLOW_MS (the recorder was off and the person went elsewhere meanwhile: a path of unknown shape).
 * A break between segments is the same as a jump: no credit along the straight line, but the rule
 * for gaps of the matcher (geo_match_bridge.c) may close it when both sides fit together. */
#include "geo/internal.h"

#include <math.h>

#define JUMP_M    20000.0
#define SUSPECT_M 500.0
#define FAST_MS   15.0
#define SLOW_MS   0.1

/* Edges below this in both degrees are under 0.48 km anywhere: plain, without a look at their
 * length. */
#define PLAIN_DEG 0.003

/* Beyond this the track is no activity: 46 days without pause at 50 m/s. Bounds the samples of a
 * match. */
#define MAX_PATH_M 2e8

/* A block is closed at this many edges, once it is as long as a stride. */
#define BLOCK_EDGES     16
#define BLOCK_MAX_EDGES 256
#define BLOCK_M         160.0

static bool push(struct geo_activity *a, struct geo_pt p, bool new_segment, bool is_fix)
{
    struct geo_pt *pt = geo__grow(a->pt, &a->pt_cap, a->n + 1, sizeof(*pt));
    if (pt == NULL)
        return false;
    a->pt = pt;
    bool *fix = geo__grow(a->fix, &a->fix_cap, a->n + 1, sizeof(*fix));
    if (fix == NULL)
        return false;
    a->fix = fix;
    a->fix[a->n] = is_fix;
    if (new_segment) {
        uint32_t *seg = geo__grow(a->seg, &a->seg_cap, a->nseg + 1, sizeof(*seg));
        if (seg == NULL)
            return false;
        a->seg = seg;
        a->seg[a->nseg++] = (uint32_t)a->n;
    }
    a->pt[a->n++] = p;
    return true;
}

static bool is_jump(double length_m, double seconds)
{
    if (length_m > JUMP_M)
        return true;
    if (length_m < SUSPECT_M || !(seconds >= 0)) /* NaN: times unknown */
        return false;
    return length_m > FAST_MS * seconds || length_m < SLOW_MS * seconds;
}

/* Halves a long edge until its chords are short. */
static bool push_split(struct geo_activity *a, struct geo_pt from, struct geo_pt to, bool is_fix,
                       int depth)
{
    const struct geo_xyz p = geo_xyz_of(from), q = geo_xyz_of(to);
    if (geo__chord_m(p, q) <= GEO__CHORD_M || depth == 0)
        return push(a, to, false, is_fix);
    const struct geo_pt mid = geo_pt_of(geo__lerp(p, q, 0.5));
    return push_split(a, from, mid, false, depth - 1) && push_split(a, mid, to, is_fix, depth - 1);
}

/* Appends point i of the track, whose segment goes on from the last vertex. *length_m grows by long
 * edges. */
static bool add(struct geo_activity *a, const struct geo_track *t, size_t i, double *length_m)
{
    const struct geo_pt from = a->pt[a->n - 1], to = t->pt[i];
    if (fabs(to.lat - from.lat) < PLAIN_DEG && fabs(to.lon - from.lon) < PLAIN_DEG)
        return (to.lat == from.lat && to.lon == from.lon) || push(a, to, false, true);
    const double length = geo__arc_m(geo__chord_m(geo_xyz_of(from), geo_xyz_of(to)));
    if (is_jump(length, t->t != NULL ? t->t[i] - t->t[i - 1] : NAN))
        return push(a, to, true, true);
    *length_m += length;
    return push_split(a, from, to, true, 5); /* 2^5 chords: enough for JUMP_M */
}

static int copy(struct geo_activity *a, const struct geo_track *t, struct err *err)
{
    double length = 0;
    size_t seg = 0;
    for (size_t i = 0; i < t->n; i++) {
        const bool starts = i == 0 || (seg < t->nseg && t->seg[seg] == i);
        while (seg < t->nseg && t->seg[seg] <= i)
            seg++;
        if (starts ? !push(a, t->pt[i], true, true) : !add(a, t, i, &length))
            return geo__no_memory(t->n, err);
        if (length > MAX_PATH_M)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "activity: a path of more than %.0f km is no recording",
                           MAX_PATH_M / 1e3);
    }
    return 0;
}

static void measure_degrees(struct geo_activity *a)
{
    if (a->n < 2)
        return;
    a->nbox = a->n < GEO__ACTIVITY_BOXES * 4 ? 1 + a->n / 8 : GEO__ACTIVITY_BOXES;
    for (size_t k = 0; k < a->nbox; k++) {
        /* One vertex shared with the next box, so that no edge is left out. */
        const size_t first = k * (a->n - 1) / a->nbox, last = (k + 1) * (a->n - 1) / a->nbox;
        const struct geo__degrees d =
            geo__degrees_of(a->pt + first, last - first + 1, GEO__CHORD_M, 0);
        if (k == 0)
            a->all = d;
        a->all.west = fmin(a->all.west, d.west);
        a->all.south = fmin(a->all.south, d.south);
        a->all.east = fmax(a->all.east, d.east);
        a->all.north = fmax(a->all.north, d.north);
        a->box[k] = d;
    }
}

struct geo_activity *geo_activity_new(const struct geo_track *t, struct err *err)
{
    if (t->n > GEO_MAX_POINTS) {
        err_set(err, ERR_DATA, ERR_PERMANENT, "activity: %zu points; at most %d are allowed", t->n,
                GEO_MAX_POINTS);
        return NULL;
    }
    struct geo_activity *a = mem_alloc(sizeof(*a));
    a->projected = mem_alloc(sizeof(*a->projected));
    if (copy(a, t, err) < 0)
        return geo_activity_free(a);
    measure_degrees(a);
    return a;
}

struct geo_activity *geo_activity_free(struct geo_activity *a)
{
    if (a == NULL)
        return NULL;
    mem_free(a->projected->v);
    mem_free(a->projected->block);
    mem_free(a->projected);
    mem_free(a->pt);
    mem_free(a->fix);
    mem_free(a->seg);
    mem_free(a);
    return NULL;
}

static size_t segment_of(const struct geo_activity *a, uint32_t edge)
{
    size_t lo = 0, hi = a->nseg;
    while (lo + 1 < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (a->seg[mid] <= edge)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

size_t geo__segment_first(const struct geo_activity *a, uint32_t edge)
{
    return a->seg[segment_of(a, edge)];
}

size_t geo__segment_last(const struct geo_activity *a, uint32_t edge)
{
    return geo__activity_end(a, segment_of(a, edge)) - 1;
}

static bool push_block(struct geo__projected *p, size_t first, size_t end)
{
    struct geo__block *b = geo__grow(p->block, &p->block_cap, p->nblock + 1, sizeof(*b));
    if (b == NULL)
        return false;
    p->block = b;
    b += p->nblock++;
    *b = (struct geo__block){geo__box_empty(), (uint32_t)first, (uint32_t)end};
    for (size_t i = first; i <= end; i++)
        geo__box_add(&b->box, p->v[i].p);
    p->box = p->nblock == 1 ? b->box : geo__box_union(p->box, b->box);
    return true;
}

static bool push_blocks(struct geo__projected *p, size_t first, size_t last)
{
    size_t start = first;
    for (size_t i = first + 1; i <= last; i++) {
        const size_t edges = i - start;
        const bool full = edges >= BLOCK_MAX_EDGES ||
                          (edges >= BLOCK_EDGES && p->v[i].t - p->v[start].t >= BLOCK_M);
        if (!full && i < last)
            continue;
        if (!push_block(p, start, i))
            return false;
        start = i;
    }
    return true;
}

int geo__activity_project(const struct geo_activity *a, struct err *err)
{
    struct geo__projected *p = a->projected;
    if (p->v != NULL || a->n == 0)
        return 0;
    p->v = mem_try_alloc(a->n * sizeof(*p->v));
    if (p->v == NULL)
        return geo__no_memory(a->n, err);
    for (size_t i = 0; i < a->n; i++) {
        p->v[i].p = geo_xyz_of(a->pt[i]);
        p->v[i].t = i == 0 ? 0 : p->v[i - 1].t + geo__arc_m(geo__chord_m(p->v[i - 1].p, p->v[i].p));
    }
    for (size_t s = 0; s < a->nseg; s++) {
        if (push_blocks(p, a->seg[s], geo__activity_end(a, s) - 1))
            continue;
        mem_free(p->v);
        mem_free(p->block);
        *p = (struct geo__projected){.v = NULL};
        return geo__no_memory(a->n, err);
    }
    return 0;
}
