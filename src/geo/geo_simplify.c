/* Douglas-Peucker. The distance is that from a point to the chord in ECEF: the same metre
 * everywhere, and on the safe side for chords of many kilometres, whose sag below the ground counts
 * as deviation. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

/* The textbook method looks at n^2 / 2 points of a track that is tangled enough. So a segment is
 * cut into blocks first, whose ends stay: that bounds the work to 512 looks a point (200,000
 * points in well under a second) and costs one point in 1,024 that could have gone. */
enum { BLOCK_POINTS = 1024 };

struct range {
    uint16_t first, last;
};

struct scratch {
    struct geo_xyz at[BLOCK_POINTS + 1];
    bool keep[BLOCK_POINTS + 1];
    /* Each range on the stack is split off by a point of its own, so there are fewer than there are
     * points. */
    struct range todo[BLOCK_POINTS + 1];
};

static double to_chord2(struct geo_xyz p, struct geo_xyz a, struct geo_xyz ab, double inverse_len2)
{
    struct geo_xyz ap = geo__sub(p, a);
    double u = fmin(1, fmax(0, geo__dot(ap, ab) * inverse_len2));
    struct geo_xyz d = {ap.x - u * ab.x, ap.y - u * ab.y, ap.z - u * ab.z};
    return geo__dot(d, d);
}

/* The point of a range that is farthest from its chord; 0 if none is farther than the tolerance. */
static uint16_t farthest(const struct scratch *s, struct range r, double tolerance2)
{
    struct geo_xyz a = s->at[r.first], ab = geo__sub(s->at[r.last], a);
    double len2 = geo__dot(ab, ab), inverse = len2 > 0 ? 1 / len2 : 0, best = tolerance2;
    uint16_t at = 0;
    for (uint16_t i = (uint16_t)(r.first + 1); i < r.last; i++) {
        double d2 = to_chord2(s->at[i], a, ab, inverse);
        if (d2 > best) {
            best = d2;
            at = i;
        }
    }
    return at;
}

/* Marks what is kept of the points 0..last of the block; its ends always are. */
static void thin(struct scratch *s, uint16_t last, double tolerance2)
{
    size_t n = 0;
    memset(s->keep, 0, sizeof(s->keep));
    s->keep[0] = s->keep[last] = true;
    s->todo[n++] = (struct range){0, last};
    while (n > 0) {
        struct range r = s->todo[--n];
        uint16_t at = farthest(s, r, tolerance2);
        if (at == 0)
            continue;
        s->keep[at] = true;
        s->todo[n++] = (struct range){r.first, at};
        s->todo[n++] = (struct range){at, r.last};
    }
}

/* Points first..last of the input, without the first one, which the block before has given. */
static int simplify_block(const struct geo_track *in, size_t first, size_t last, double tolerance2,
                          struct scratch *s, struct geo_track *ret, struct err *err)
{
    for (size_t i = first; i <= last; i++)
        s->at[i - first] = geo_xyz_of(in->pt[i]);
    thin(s, (uint16_t)(last - first), tolerance2);
    for (size_t i = first + 1; i <= last; i++) {
        double time_s = in->t ? in->t[i] : (double)NAN;
        if (s->keep[i - first] && geo_track_add(ret, in->pt[i], time_s, false, err) != 0)
            return -1;
    }
    return 0;
}

static int simplify_all(const struct geo_track *in, double tolerance2, struct scratch *s,
                        struct geo_track *ret, struct err *err)
{
    for (size_t g = 0; g < in->nseg; g++) {
        size_t first = in->seg[g], last = geo__seg_end(in, g) - 1;
        double time_s = in->t ? in->t[first] : (double)NAN;
        if (geo_track_add(ret, in->pt[first], time_s, true, err) != 0)
            return -1;
        for (size_t from = first; from < last; from += BLOCK_POINTS) {
            size_t to = last - from < BLOCK_POINTS ? last : from + BLOCK_POINTS;
            if (simplify_block(in, from, to, tolerance2, s, ret, err) != 0)
                return -1;
        }
    }
    return 0;
}

int geo_simplify(const struct geo_track *in, double tolerance_m, struct geo_track *ret,
                 struct err *err)
{
    struct geo_track out = {0};
    CHECK(tolerance_m >= 0);
    if (geo_track_check(in, err) != 0)
        return -1;
    struct scratch *s = mem_alloc(sizeof(*s));
    int rc = simplify_all(in, tolerance_m * tolerance_m, s, &out, err);
    mem_free(s);
    if (rc != 0) {
        geo_track_done(&out);
        return -1;
    }
    *ret = out;
    return 0;
}
