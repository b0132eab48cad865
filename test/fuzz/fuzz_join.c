/* Whatever the segments: a line without a false jump in which each of them is accounted for, or a
 * refusal of one line. Bytes are steps on a small grid, so that ends meet, cross and repeat. */
#include <math.h>
#include <string.h>

#include "geo/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_POINTS = 400, NEW_SEGMENT = 0x80, LONG_STEP = 0x40 };

/* Each byte is a step of up to 3 grid cells (30 m, or 300 m) each way. */
static struct geo_track track_of(const uint8_t *data, size_t size)
{
    struct geo_track t = {0};
    struct geo_pt p = {179.99, 60};
    for (size_t i = 0; i < size && i < MAX_POINTS; i++) {
        struct err err;
        double cell = data[i] & LONG_STEP ? 0.0027 : 0.00027;
        p.lon += cell * (double)((data[i] & 7) - 3) * 2;
        p.lat += cell * (double)((data[i] >> 3 & 7) - 3);
        CHECK(geo_track_add(&t, p, NAN, data[i] & NEW_SEGMENT, &err) == 0);
    }
    return t;
}

static void check_line(const struct geo_track *in, const struct geo_track *line,
                       const struct geo_join_info *info, double max_gap_m)
{
    struct err err;
    CHECK(geo_track_check(line, &err) == 0);
    CHECK(line->nseg == 1 && line->n >= 2);
    CHECK(info->segments + info->dropped + info->variants == in->nseg);
    CHECK(info->largest_gap_m <= max_gap_m + 1e-3);
    double most = fmax(info->longest_edge_m, info->largest_gap_m) * 1.0001 + 1e-3;
    for (size_t i = 1; i < line->n; i++)
        CHECK(geo_distance_m(line->pt[i - 1], line->pt[i]) <= most);
    CHECK(geo_track_length_m(line) <=
          geo_track_length_m(in) * 1.0001 + (double)in->nseg * (max_gap_m + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    double max_gap_m = data[0] * 4.0;
    struct geo_track in = track_of(data + 1, size - 1), line = {0}, again = {0};
    struct geo_join_info info;
    struct err err;
    if (geo_join(&in, max_gap_m, &line, &info, &err) == 0) {
        check_line(&in, &line, &info, max_gap_m);
        /* A line that was joined is one already. */
        CHECK(geo_join(&line, max_gap_m, &again, &info, &err) == 0);
        CHECK(again.n == line.n && info.reversed == 0);
        CHECK(memcmp(again.pt, line.pt, line.n * sizeof(*line.pt)) == 0);
    } else {
        CHECK(err.msg[0] != '\0' && !strchr(err.msg, '\n'));
    }
    geo_track_done(&in);
    geo_track_done(&line);
    geo_track_done(&again);
    return 0;
}
