/* The track: building it, checking it, measuring it. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

void geo_track_done(struct geo_track *t)
{
    mem_free(t->pt);
    mem_free(t->t);
    mem_free(t->seg);
    *t = (struct geo_track){0};
}

bool geo__pt_wrap(struct geo_pt *p)
{
    /* Written so that NaN fails. */
    if (!(fabs(p->lat) <= 90.0 && fabs(p->lon) <= 540.0))
        return false;
    if (p->lon > 180.0)
        p->lon -= 360.0;
    else if (p->lon < -180.0)
        p->lon += 360.0;
    return true;
}

int geo_track_check(const struct geo_track *t, struct err *err)
{
    if (t->n > GEO_MAX_POINTS || t->nseg > GEO_MAX_SEGMENTS)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "track of %zu points in %zu segments is over the cap of %d and %d", t->n,
                       t->nseg, GEO_MAX_POINTS, GEO_MAX_SEGMENTS);
    if ((t->n == 0) != (t->nseg == 0) || (t->nseg > 0 && t->seg[0] != 0))
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "track of %zu points has no first segment that starts at 0", t->n);
    for (size_t i = 1; i < t->nseg; i++)
        if (t->seg[i] <= t->seg[i - 1] || t->seg[i] >= t->n)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "segment %zu of the track starts at point %u, out of order", i,
                           (unsigned)t->seg[i]);
    for (size_t i = 0; i < t->n; i++) {
        struct geo_pt p = t->pt[i];
        if (!geo__pt_wrap(&p))
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "point %zu of the track is no position: longitude %g, latitude %g", i,
                           p.lon, p.lat);
        if (t->t && isinf(t->t[i]))
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "point %zu of the track has no finite time", i);
    }
    return 0;
}

size_t geo__seg_end(const struct geo_track *t, size_t seg)
{
    return seg + 1 < t->nseg ? t->seg[seg + 1] : t->n;
}

double geo_track_length_m(const struct geo_track *t)
{
    double sum = 0;
    for (size_t s = 0; s < t->nseg; s++)
        for (size_t i = t->seg[s] + (size_t)1; i < geo__seg_end(t, s); i++)
            sum += geo_distance_m(t->pt[i - 1], t->pt[i]);
    return sum;
}

struct geo_pt geo_track_point(const struct geo_track *t, size_t i)
{
    CHECK(i < t->n);
    return t->pt[i];
}

/* A copy of *p with room for want items; *p is freed. false without memory, *p is then untouched.
 */
static bool grow(void **p, size_t used, size_t want, size_t item)
{
    void *more = mem_try_alloc(want * item);
    if (!more)
        return false;
    if (used > 0)
        memcpy(more, *p, used * item);
    mem_free(*p);
    *p = more;
    return true;
}

/* Room for n points. The capacity is stored last, so that a failure half way leaves a valid track.
 */
static bool reserve_points(struct geo_track *t, size_t n)
{
    if (n <= t->cap)
        return true;
    size_t want = n < 16 ? 16 : n + n / 2;
    if (want > GEO_MAX_POINTS)
        want = GEO_MAX_POINTS;
    void *pt = t->pt;
    bool ok = grow(&pt, t->n, want, sizeof(*t->pt));
    t->pt = pt;
    if (ok && t->t) {
        void *times = t->t;
        ok = grow(&times, t->n, want, sizeof(*t->t));
        t->t = times;
    }
    if (ok)
        t->cap = want;
    return ok;
}

static bool reserve_segments(struct geo_track *t, size_t n)
{
    if (n <= t->seg_cap)
        return true;
    size_t want = n < 4 ? 4 : n + n / 2;
    void *seg = t->seg;
    if (!grow(&seg, t->nseg, want, sizeof(*t->seg)))
        return false;
    t->seg = seg;
    t->seg_cap = want;
    return true;
}

bool geo__track_set_time(struct geo_track *t, size_t i, double time_s)
{
    CHECK(i < t->n);
    if (!t->t) {
        if (isnan(time_s))
            return true;
        size_t room = t->cap > t->n ? t->cap : t->n;
        t->t = mem_try_alloc(room * sizeof(*t->t));
        if (!t->t)
            return false;
        for (size_t k = 0; k < t->n; k++)
            t->t[k] = NAN;
    }
    t->t[i] = isfinite(time_s) ? time_s : (double)NAN;
    return true;
}

int geo__no_memory(size_t points, struct err *err)
{
    return err_set(err, ERR_SYS, ERR_RETRY, "no memory for a track of %zu points", points);
}

bool geo__track_reserve(struct geo_track *t, size_t points, size_t segments)
{
    return reserve_points(t, points) && reserve_segments(t, segments);
}

int geo_track_add(struct geo_track *t, struct geo_pt p, double time_s, bool new_segment,
                  struct err *err)
{
    if (!geo__pt_wrap(&p))
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "longitude %g, latitude %g is no position on the earth", p.lon, p.lat);
    if (t->n >= GEO_MAX_POINTS)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "more than %d points in one track: split the file", GEO_MAX_POINTS);
    if (t->n == 0)
        new_segment = true;
    if (new_segment && t->nseg >= GEO_MAX_SEGMENTS)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "more than %d segments in one track: split the file", GEO_MAX_SEGMENTS);
    if (!reserve_points(t, t->n + 1) || (new_segment && !reserve_segments(t, t->nseg + 1)))
        return geo__no_memory(t->n + 1, err);
    t->pt[t->n] = p;
    if (t->t)
        t->t[t->n] = NAN;
    t->n++;
    if (!geo__track_set_time(t, t->n - 1, time_s)) {
        t->n--;
        return geo__no_memory(t->n + 1, err);
    }
    if (new_segment)
        t->seg[t->nseg++] = (uint32_t)(t->n - 1);
    return 0;
}

/* Marks with NaN the fewest times of [first, last) that must go for the rest never to run
 * backwards: all that are not on a longest non-decreasing subsequence. tail[k] is the fix that ends
 * the best chain of k + 1 times, before[i] the one in front of i on its chain. */
static void drop_unordered(double *t, uint32_t first, uint32_t last, uint32_t *tail,
                           uint32_t *before)
{
    size_t len = 0;
    for (uint32_t i = first; i < last; i++) {
        if (isnan(t[i]))
            continue;
        size_t lo = 0, hi = len; /* the first chain whose end is later than t[i] */
        while (lo < hi) {
            size_t mid = (lo + hi) / 2;
            if (t[tail[mid]] <= t[i])
                lo = mid + 1;
            else
                hi = mid;
        }
        before[i - first] = lo > 0 ? tail[lo - 1] : UINT32_MAX;
        tail[lo] = i;
        len = lo == len ? len + 1 : len;
    }
    uint32_t keep = len > 0 ? tail[len - 1] : UINT32_MAX;
    for (uint32_t i = last; i-- > first;) {
        if (i == keep)
            keep = before[i - first];
        else
            t[i] = NAN;
    }
}

static bool runs_backwards(const double *t, size_t first, size_t last)
{
    double latest = -INFINITY;
    for (size_t i = first; i < last; i++) {
        if (t[i] < latest)
            return true;
        if (!isnan(t[i]))
            latest = t[i];
    }
    return false;
}

int geo__track_order_times(struct geo_track *t, struct err *err)
{
    if (!t->t)
        return 0;
    for (size_t s = 0; s < t->nseg; s++) {
        size_t first = t->seg[s], last = geo__seg_end(t, s);
        if (!runs_backwards(t->t, first, last))
            continue;
        uint32_t *room = mem_try_alloc(2 * (last - first) * sizeof(*room));
        if (!room)
            return geo__no_memory(t->n, err);
        drop_unordered(t->t, (uint32_t)first, (uint32_t)last, room, room + (last - first));
        mem_free(room);
    }
    return 0;
}
