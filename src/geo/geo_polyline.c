/* Encoded polylines. A value is zigzag-coded, then written in groups of five bits, lowest first,
 * each plus 63; bit 32 of a group says that more follow. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

enum {
    GROUP_BITS = 5,
    /* The widest step there is, 720 degrees at precision 6, takes 31 bits after the zigzag. */
    MAX_GROUPS = 7,
};

static double scale_of(int precision)
{
    CHECK(precision == 5 || precision == 6);
    return precision == 5 ? 1e5 : 1e6;
}

/* Reads one signed value at *pos. */
static int read_value(struct span text, size_t *pos, int64_t *ret, struct err *err)
{
    uint64_t bits = 0;
    size_t start = *pos;
    for (unsigned group = 0; group < MAX_GROUPS; group++) {
        if (*pos >= text.n)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "polyline is cut off at byte %zu, inside the number that starts at %zu",
                           text.n, start);
        unsigned c = (unsigned char)text.p[*pos];
        if (c < 63 || c > 126)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "polyline has byte 0x%02x at %zu; only 0x3f to 0x7e occur in one", c,
                           *pos);
        ++*pos;
        c -= 63;
        bits |= (uint64_t)(c & 31) << (GROUP_BITS * group);
        if (c < 32) {
            *ret = bits & 1 ? -(int64_t)(bits >> 1) - 1 : (int64_t)(bits >> 1);
            return 0;
        }
    }
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "polyline has a number of more than %d digits at byte %zu", MAX_GROUPS, start);
}

/* geo_track_add would wrap too, but round: here it is exact, so that the result encodes to the same
 * number again. */
static int64_t wrap(int64_t lon, int64_t turn)
{
    if (lon > turn / 2 && lon <= turn + turn / 2)
        return lon - turn;
    if (lon < -turn / 2 && lon >= -turn - turn / 2)
        return lon + turn;
    return lon;
}

static int decode_points(struct span text, double scale, struct geo_track *t, struct err *err)
{
    int64_t lat = 0, lon = 0, turn = (int64_t)scale * 360;
    for (size_t pos = 0; pos < text.n;) {
        size_t start = pos;
        int64_t dlat, dlon;
        if (read_value(text, &pos, &dlat, err) != 0)
            return -1;
        if (pos == text.n)
            return err_set(err, ERR_DATA, ERR_PERMANENT,
                           "polyline is cut off at byte %zu: a latitude without its longitude",
                           pos);
        if (read_value(text, &pos, &dlon, err) != 0)
            return -1;
        lat += dlat;
        lon += dlon;
        /* Dividing, not multiplying by 1e-5: only so does the nearest double come out, which encode
         * inverts. */
        struct geo_pt p = {.lon = (double)wrap(lon, turn) / scale, .lat = (double)lat / scale};
        if (geo_track_add(t, p, NAN, false, err) != 0)
            return err_wrap(err, "polyline, point at byte %zu: ", start);
    }
    return 0;
}

int geo_polyline_decode(struct span text, int precision, struct geo_track *ret, struct err *err)
{
    struct geo_track t = {0};
    if (decode_points(text, scale_of(precision), &t, err) != 0) {
        geo_track_done(&t);
        return -1;
    }
    *ret = t;
    return 0;
}

static void write_value(struct buf *out, int64_t v)
{
    char group[16];
    size_t n = 0;
    uint64_t bits = (uint64_t)v << 1;
    if (v < 0)
        bits = ~bits;
    for (; bits >= 32; bits >>= GROUP_BITS)
        group[n++] = (char)((bits & 31) + 32 + 63);
    group[n++] = (char)(bits + 63);
    buf_put(out, group, n);
}

void geo_polyline_encode(const struct geo_pt *pt, size_t n, int precision, struct buf *out)
{
    double scale = scale_of(precision);
    int64_t lat = 0, lon = 0;
    for (size_t i = 0; i < n; i++) {
        /* Rounded before the differences are taken, or errors would add up along the line. */
        int64_t y = llround(pt[i].lat * scale), x = llround(pt[i].lon * scale);
        write_value(out, y - lat);
        write_value(out, x - lon);
        lat = y;
        lon = x;
    }
}
