/* An answer from anywhere, as a list, a detail and streams: what is taken is within the limits and
 * makes geometry that can be read; what is refused says why in one line. */
#include <math.h>
#include <string.h>

#include "geo/geo.h"
#include "strava/strava.h"
#include "strava/work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, bool may_be_empty)
{
    if (s) {
        size_t n = strlen(s);
        CHECK(n <= STRAVA_TEXT_MAX && (n > 0 || may_be_empty));
        CHECK(span_utf8_valid((struct span){s, n}));
    }
}

static void check_line(struct span wkb, bool m_is_time)
{
    struct geo_track t = {0};
    struct err err;
    if (wkb.n > 0) {
        CHECK(geo_ewkb_read(wkb, m_is_time, &t, &err) == 0);
        CHECK(t.nseg == 1 && t.n >= 2 && t.n <= STRAVA_POINTS_MAX);
        CHECK(geo_track_check(&t, &err) == 0);
        geo_track_done(&t);
    }
}

static void check_activity(const struct strava_activity *a)
{
    CHECK(a->id > 0 && (a->athlete_id > 0 || a->athlete_id == INT64_MIN));
    check_text(a->name, true);
    check_text(a->type, false);
    check_text(a->sport_type, false);
    check_text(a->timezone, false);
    check_text(a->visibility, false);
    check_text(a->external_id, false);
    CHECK(isnan(a->distance_m) || (a->distance_m >= 0 && a->distance_m <= 1e9));
    CHECK(isnan(a->elev_low_m) || fabs(a->elev_low_m) <= 1e5);
    CHECK(a->moving_s == INT64_MIN || (a->moving_s >= 0 && a->moving_s <= INT32_MAX));
    CHECK(!a->has_start || (fabs(a->start_lat) <= 90 && fabs(a->start_lon) <= 180));
    check_line(a->summary, false);
    check_line(a->track, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int what = STRAVA_LIST; what <= STRAVA_STREAMS; what++) {
        struct strava_parse p = {
            .what = what, .start_us = 1764576000000000, .arena = arena_new(128 << 20)};
        struct err err = {0};
        buf_put(&p.body, data, size);
        if (strava__parse(&p, &err) == 0) {
            CHECK(p.n <= STRAVA_LIST_MAX && (p.bad > 0) == (p.first_bad != NULL));
            CHECK(what != STRAVA_DETAIL || p.n == 1);
            for (size_t i = 0; i < p.n; i++) {
                check_activity(&p.activity[i]);
            }
            check_line(p.streams, true);
        } else {
            CHECK(err.class != ERR_BUG && err.msg[0] && !strchr(err.msg, '\n'));
        }
        strava_parse_done(&p);
    }
    return 0;
}
