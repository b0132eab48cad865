/* Tracks: made anew from an activity's seed whenever they are needed, so that none is kept. */
#include <math.h>

#include "sim/sim.h"

#define LAT_M   111200.0
#define LON_M   111320.0
#define RADIANS (M_PI / 180)

enum {
    FIXES_MAX = 4000,
    LOOP_POINTS = 240,
    POINT_S = 5, /* between points that were given, and of a trainer */
    WAVES = 5,
};

/* ---- where -------------------------------------------------------------------------------------
 */

/* A wavy ring through the place where it starts. */
static void make_loop(const struct activity *a, struct place home, struct line *ret)
{
    struct rnd r = {sim_mix(a->gen, 11)};
    double height[WAVES], phase[WAVES], x[LOOP_POINTS + 1], y[LOOP_POINTS + 1], length = 0;
    for (int k = 0; k < WAVES; k++) {
        height[k] = rnd_between(&r, 0.05, 0.35) / (k + 2);
        phase[k] = rnd_between(&r, 0, 2 * M_PI);
    }
    double turn = rnd_between(&r, 0, 2 * M_PI), way = rnd_f64(&r) < 0.5 ? 1 : -1;
    for (int i = 0; i <= LOOP_POINTS; i++) {
        double angle = turn + way * 2 * M_PI * i / LOOP_POINTS, radius = 1;
        for (int k = 0; k < WAVES; k++)
            radius += height[k] * cos((k + 2) * angle + phase[k]);
        x[i] = radius * cos(angle);
        y[i] = radius * sin(angle);
        length += i ? hypot(x[i] - x[i - 1], y[i] - y[i - 1]) : 0;
    }
    double scale = a->loop_m / length;
    for (int i = 0; i <= LOOP_POINTS; i++) {
        *vec_push(ret) =
            (struct place){home.lat + scale * (y[i] - y[0]) / LAT_M,
                           home.lon + scale * (x[i] - x[0]) / (LON_M * cos(home.lat * RADIANS))};
    }
    ret->measure = mem_alloc((ret->n + 1) * sizeof(double));
    for (size_t i = 1; i < ret->n; i++)
        ret->measure[i] = ret->measure[i - 1] + place_distance_m(ret->v[i - 1], ret->v[i]);
}

/* A few metres beside the path, changing slowly, as a GPS is: so slowly that every few fixes are
 * enough, with straight lines between. */
enum { WOBBLES = 3, WOBBLE_EVERY = 6 };
struct wobble {
    double length[2][WOBBLES], phase[2][WOBBLES];
};

static void wobble_init(struct wobble *b, uint64_t gen)
{
    struct rnd r = {sim_mix(gen, 12)};
    for (int axis = 0; axis < 2; axis++) {
        for (int k = 0; k < WOBBLES; k++) {
            b->length[axis][k] = rnd_between(&r, 60, 900);
            b->phase[axis][k] = rnd_between(&r, 0, 2 * M_PI);
        }
    }
}

static double wobble_at(const struct wobble *b, int axis, double m)
{
    double sum = 0;
    for (int k = 0; k < WOBBLES; k++)
        sum += 1.4 * sin(2 * M_PI * m / b->length[axis][k] + b->phase[axis][k]);
    return sum;
}

static double rounded(double x)
{
    return round(x * 1e6) / 1e6;
}

static void along(const struct line *path, double from, double to, double step,
                  const struct activity *a, struct track *ret)
{
    struct wobble b;
    wobble_init(&b, a->gen);
    double length = fabs(to - from), off[2] = {0},
           next[2] = {wobble_at(&b, 0, 0), wobble_at(&b, 1, 0)};
    size_t n = (size_t)(length / step) + 2, near = 0;
    double gap = length / (double)(n - 1), lon_m = LON_M * cos(path->v[0].lat * RADIANS);
    vec_reserve(ret, n);
    for (size_t i = 0; i < n; i++) {
        double m = gap * (double)i, share = (double)(i % WOBBLE_EVERY) / WOBBLE_EVERY;
        for (int axis = 0; axis < 2 && i % WOBBLE_EVERY == 0; axis++) {
            off[axis] = next[axis];
            next[axis] = wobble_at(&b, axis, m + gap * WOBBLE_EVERY);
        }
        struct place p = line_at(path, from + (to > from ? m : -m), &near);
        p.lat = rounded(p.lat + (off[0] + share * (next[0] - off[0])) / LAT_M);
        p.lon = rounded(p.lon + (off[1] + share * (next[1] - off[1])) / lon_m);
        *vec_push(ret) = (struct fix){.at = p};
    }
}

static struct place home_of(const struct line *trail, const struct activity *a)
{
    struct rnd r = {sim_mix(a->gen, 13)};
    size_t near = 0;
    struct place p = line_at(trail, line_length_m(trail) * rnd_between(&r, 0.4, 0.6), &near);
    p.lat += rnd_between(&r, -1500, 1500) / LAT_M;
    p.lon += rnd_between(&r, -1500, 1500) / (LON_M * cos(p.lat * RADIANS));
    return p;
}

static void make_places(const struct line *trail, const struct activity *a, struct track *ret)
{
    double length = a->shape == SHAPE_LOOP ? a->loop_m : fabs(a->trail_to - a->trail_from);
    double step = strstr(a->sport, "Ride") ? 18 : 8;
    if (length / step > FIXES_MAX)
        step = length / FIXES_MAX;
    if (a->shape == SHAPE_TRAIL) {
        along(trail, a->trail_from, a->trail_to, step, a, ret);
    } else if (a->shape == SHAPE_LOOP) {
        struct line loop = {0};
        make_loop(a, home_of(trail, a), &loop);
        along(&loop, 0, line_length_m(&loop), step, a, ret);
        line_done(&loop);
    } else {
        for (size_t i = 0; i < a->points; i++)
            *vec_push(ret) = (struct fix){.at = a->point[i]};
    }
}

/* ---- when --------------------------------------------------------------------------------------
 */

/* One rest, half-way. */
static void make_times(const struct activity *a, struct track *t)
{
    double total = t->v[t->n - 1].distance;
    int rest = a->whole_elapsed_s - a->whole_moving_s;
    for (size_t i = 0; i < t->n; i++) {
        double share = total > 0 ? t->v[i].distance / total : (double)i / (double)t->n;
        t->v[i].time = (int)(share * a->whole_moving_s) + (i > t->n / 2 ? rest : 0);
    }
}

static void crop(const struct activity *a, struct track *t)
{
    size_t from = (size_t)(a->crop_from * (double)(t->n - 1));
    size_t to = (size_t)(a->crop_to * (double)(t->n - 1));
    if (from == 0 && to == t->n - 1)
        return;
    t->n = to - from + 1;
    memmove(t->v, t->v + from, t->n * sizeof(*t->v));
    struct fix first = t->v[0];
    for (size_t i = 0; i < t->n; i++) {
        t->v[i].distance = round((t->v[i].distance - first.distance) * 10) / 10;
        t->v[i].time -= first.time;
    }
}

static void make_trainer(const struct activity *a, struct track *t)
{
    size_t n = (size_t)(a->whole_moving_s / POINT_S) + 2;
    if (n > FIXES_MAX)
        n = FIXES_MAX;
    for (size_t i = 0; i < n; i++) {
        double share = (double)i / (double)(n - 1);
        *vec_push(t) = (struct fix){.distance = round(share * a->distance * 10) / 10};
    }
    make_times(a, t);
}

/* Hills are wide: as with the wobble, every few fixes are enough. */
static void make_heights(const struct activity *a, struct track *t)
{
    double low = a->quirks & QUIRK_NEGATIVE_ELEVATION ? 260 : 0, from = 0, to = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (i % WOBBLE_EVERY == 0) {
            size_t end = i + WOBBLE_EVERY < t->n ? i + WOBBLE_EVERY : t->n - 1;
            from = i ? to : town_altitude(t->v[0].at);
            to = town_altitude(t->v[end].at);
        }
        double share = (double)(i % WOBBLE_EVERY) / WOBBLE_EVERY;
        t->v[i].altitude = round((from + share * (to - from) - low) * 10) / 10;
    }
}

static void make_distances(struct track *t)
{
    double lon_m = LON_M * cos(t->v[0].at.lat * RADIANS), sum = 0;
    for (size_t i = 1; i < t->n; i++) {
        struct place p = t->v[i - 1].at, q = t->v[i].at;
        sum += hypot((q.lat - p.lat) * LAT_M, (q.lon - p.lon) * lon_m);
        t->v[i].distance = round(sum * 10) / 10;
    }
}

static void make_whole(const struct line *trail, const struct activity *a, struct track *ret)
{
    ret->placed = a->shape != SHAPE_NONE;
    if (!ret->placed) {
        if (!a->manual)
            make_trainer(a, ret);
        return;
    }
    make_places(trail, a, ret);
    make_distances(ret);
    make_heights(a, ret);
    make_times(a, ret);
    crop(a, ret);
}

/* The last one is kept, since who asks for an activity's points once mostly does so again. */
static struct {
    struct activity of;
    struct track made;
} recent;

static bool is_recent(const struct activity *a)
{
    const struct activity *b = &recent.of;
    return a->shape != SHAPE_POINTS && a->shape == b->shape && a->gen == b->gen &&
           strcmp(a->sport, b->sport) == 0 && a->trail_from == b->trail_from &&
           a->trail_to == b->trail_to && a->loop_m == b->loop_m && a->quirks == b->quirks &&
           a->manual == b->manual && a->crop_from == b->crop_from && a->crop_to == b->crop_to &&
           a->whole_moving_s == b->whole_moving_s && a->whole_elapsed_s == b->whole_elapsed_s &&
           (a->shape != SHAPE_NONE || a->distance == b->distance);
}

void track_make(const struct line *trail, const struct activity *a, struct track *ret)
{
    if (!is_recent(a)) {
        recent.made.n = 0;
        make_whole(trail, a, &recent.made);
        recent.of = *a;
    }
    vec_reserve(ret, recent.made.n + 1);
    if (recent.made.n)
        memcpy(ret->v, recent.made.v, recent.made.n * sizeof(*ret->v));
    ret->n = recent.made.n;
    ret->placed = recent.made.placed;
}

void track_done_recent(void)
{
    vec_done(&recent.made);
    recent.of = (struct activity){0};
}

void track_trim(struct track *t, double m)
{
    if (!t->n)
        return;
    double total = t->v[t->n - 1].distance;
    size_t from = 0, to = t->n;
    while (from < t->n && t->v[from].distance < m)
        from++;
    while (to > from && t->v[to - 1].distance > total - m)
        to--;
    memmove(t->v, t->v + from, (to - from) * sizeof(*t->v));
    t->n = to - from;
}

/* ---- polylines ---------------------------------------------------------------------------------
 */

static void put_number(struct buf *out, int64_t v)
{
    uint64_t bits = v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
    for (; bits >= 32; bits >>= 5)
        buf_putc(out, (char)((32 | (bits & 31)) + 63));
    buf_putc(out, (char)(bits + 63));
}

void polyline_encode(const struct place *p, size_t n, struct buf *out)
{
    int64_t lat = 0, lon = 0;
    buf_puts(out, "");
    for (size_t i = 0; i < n; i++) {
        int64_t y = llround(p[i].lat * 1e5), x = llround(p[i].lon * 1e5);
        put_number(out, y - lat);
        put_number(out, x - lon);
        lat = y;
        lon = x;
    }
}

struct flat {
    double x, y; /* metres */
};

static struct flat *flattened(const struct track *t)
{
    struct flat *flat = mem_alloc(t->n * sizeof(*flat));
    double lon_m = LON_M * cos(t->v[0].at.lat * RADIANS);
    for (size_t i = 0; i < t->n; i++)
        flat[i] = (struct flat){t->v[i].at.lon * lon_m, t->v[i].at.lat * LAT_M};
    return flat;
}

/* The square of the metres from p to the chord from a to b. */
static double beside(struct flat p, struct flat a, struct flat b)
{
    double bx = b.x - a.x, by = b.y - a.y, px = p.x - a.x, py = p.y - a.y;
    double square = bx * bx + by * by;
    double u = square > 0 ? (px * bx + py * by) / square : 0;
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return (px - u * bx) * (px - u * bx) + (py - u * by) * (py - u * by);
}

/* The point farthest from the chord, if it is farther than that; else first. */
static size_t farthest(const struct flat *flat, size_t first, size_t last, double square)
{
    size_t far = first;
    for (size_t i = first + 1; i < last; i++) {
        double d = beside(flat[i], flat[first], flat[last]);
        if (d > square) {
            square = d;
            far = i;
        }
    }
    return far;
}

/* Douglas and Peucker, with a stack of our own. */
size_t track_simplify(const struct track *t, double tolerance_m, uint32_t *keep)
{
    struct {
        VEC(uint32_t);
    } stack = {0};
    size_t kept = 0, first = 0;
    if (!t->n)
        return 0;
    struct flat *flat = flattened(t);
    keep[kept++] = 0;
    *vec_push(&stack) = (uint32_t)t->n - 1;
    while (stack.n) {
        size_t last = stack.v[stack.n - 1];
        size_t far = farthest(flat, first, last, tolerance_m * tolerance_m);
        if (far != first) {
            *vec_push(&stack) = (uint32_t)far;
            continue;
        }
        if (last != first)
            keep[kept++] = (uint32_t)last;
        first = last;
        stack.n--;
    }
    mem_free(flat);
    vec_done(&stack);
    return kept;
}
