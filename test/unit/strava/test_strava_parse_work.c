/* What lists, details and streams say; shapes as they are in Strava's answers. */
#include "geo/geo.h"
#include "strava/strava.h"
#include "strava/work.h"
#include "unit/base/helper.h"

#define START_US INT64_C(1764576000000000) /* 2025-12-01T08:00:00Z */

static struct strava_parse parsed(int what, const char *body)
{
    struct strava_parse p = {.what = what, .start_us = START_US, .arena = arena_new(128 << 20)};
    struct err err = {0};
    buf_puts(&p.body, body);
    if (strava__parse(&p, &err) != 0) {
        fail_msg("%.300s: %s", body, err.msg);
    }
    assert_null(p.body.p);
    return p;
}

static struct err refused(int what, struct span body)
{
    struct strava_parse p = {.what = what, .start_us = START_US, .arena = arena_new(128 << 20)};
    struct err err = {0};
    buf_put(&p.body, body.p, body.n);
    if (strava__parse(&p, &err) == 0) {
        fail_msg("%.*s was taken", (int)(body.n < 300 ? body.n : 300), body.p);
    }
    assert_true(err.msg[0]);
    assert_int_equal(p.n, 0);
    strava_parse_done(&p);
    return err;
}

/* A summary as one comes today, every field of it. */
#define SUMMARY                                                                                    \
    "{\"resource_state\":2,\"athlete\":{\"id\":26462176,\"resource_state\":1},"                    \
    "\"name\":\"Morning \\ud83c\\udfc3 \\u0026 \\\"more\\\"\",\"distance\":12345.6,"               \
    "\"moving_time\":3600,\"elapsed_time\":4000,\"total_elevation_gain\":0,\"type\":\"Run\","      \
    "\"sport_type\":\"TrailRun\",\"workout_type\":null,\"device_name\":\"Garmin fenix 7\","        \
    "\"id\":16181809559,\"start_date\":\"2025-10-19T06:30:11Z\","                                  \
    "\"start_date_local\":\"2025-10-19T08:30:11Z\",\"timezone\":\"(GMT+01:00) Europe/Zurich\","    \
    "\"utc_offset\":7200.0,\"location_city\":null,\"location_state\":null,"                        \
    "\"location_country\":null,\"achievement_count\":1,\"kudos_count\":2,\"comment_count\":0,"     \
    "\"athlete_count\":1,\"photo_count\":0,\"map\":{\"id\":\"a16181809559\","                      \
    "\"summary_polyline\":\"_p~iF~ps|U_ulLnnqC_mqNvxq`@\",\"resource_state\":2},"                  \
    "\"trainer\":false,\"commute\":false,\"manual\":false,\"private\":false,"                      \
    "\"visibility\":\"followers_only\",\"flagged\":false,\"gear_id\":null,"                        \
    "\"start_latlng\":[38.5,-120.2],\"end_latlng\":[43.252,-126.453],\"average_speed\":3.4,"       \
    "\"max_speed\":5,\"has_heartrate\":true,\"elev_high\":1890.2,\"elev_low\":-3,"                 \
    "\"upload_id\":17283940506,\"upload_id_str\":\"17283940506\","                                 \
    "\"external_id\":\"garmin_ping_476\",\"from_accepted_tag\":false,\"pr_count\":0,"              \
    "\"total_photo_count\":0,\"has_kudoed\":false,\"hide_from_home\":false}"

static void test_a_summary(void **state)
{
    (void)state;
    struct strava_parse p = parsed(STRAVA_LIST, "[" SUMMARY "]");
    char iso[40];
    assert_int_equal(p.n, 1);
    assert_int_equal(p.bad, 0);
    assert_null(p.first_bad);
    const struct strava_activity *a = p.activity;
    assert_int_equal(a->id, 16181809559);
    assert_int_equal(a->athlete_id, 26462176);
    assert_string_equal(a->name, "Morning \xf0\x9f\x8f\x83 & \"more\"");
    assert_string_equal(a->type, "Run");
    assert_string_equal(a->sport_type, "TrailRun");
    assert_string_equal(a->timezone, "Europe/Zurich");
    assert_string_equal(a->visibility, "followers_only");
    assert_string_equal(a->external_id, "garmin_ping_476");
    assert_string_equal(time_format_iso(a->start_us, iso), "2025-10-19T06:30:11.000Z");
    assert_near(a->distance_m, 12345.6, 0);
    assert_near(a->gain_m, 0, 0);
    assert_near(a->elev_high_m, 1890.2, 0);
    assert_near(a->elev_low_m, -3, 0);
    assert_int_equal(a->moving_s, 3600);
    assert_int_equal(a->elapsed_s, 4000);
    assert_false(a->is_private || a->manual || a->trainer);
    assert_true(a->has_start && a->has_end);
    assert_near(a->start_lat, 38.5, 0);
    assert_near(a->end_lon, -126.453, 0);
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_ewkb_read(a->summary, false, &t, &err), 0);
    assert_int_equal(t.n, 3);
    assert_near(t.pt[1].lat, 40.7, 0);
    assert_near(t.pt[1].lon, -120.95, 0);
    geo_track_done(&t);
    assert_int_equal(a->track.n, 0);
    strava_parse_done(&p);
}

static void test_a_detail(void **state)
{
    (void)state;
    /* The same activity, with what only a detail has; its ids of efforts are over 2^53. */
    struct buf b = {0};
    buf_puts(&b, SUMMARY);
    b.n--;
    buf_puts(&b, ",\"description\":\"x\",\"calories\":870,\"gear\":null,\"laps\":[],"
                 "\"segment_efforts\":[{\"id\":2693271924383944911,\"segment\":{\"id\":1}}],"
                 "\"similar_activities\":{\"trend\":{\"speeds\":[1.5,null]}}}");
    struct strava_parse list = parsed(STRAVA_LIST, "[" SUMMARY "]");
    struct strava_parse p = parsed(STRAVA_DETAIL, b.p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.activity->id, 16181809559);
    assert_int_equal(p.activity->track.n, 0);
    assert_memory_equal(p.activity->listed, list.activity->listed, 32);
    strava_parse_done(&p);
    /* The detailed line is not what a list tells. */
    char *at = strstr(b.p, "\"summary_polyline\"");
    struct buf more = {0};
    buf_put(&more, b.p, (size_t)(at - b.p));
    buf_puts(&more, "\"polyline\":\"_p~iF~ps|U_ulLnnqC_mqNvxq`@_ulLnnqC\",");
    buf_puts(&more, at);
    p = parsed(STRAVA_DETAIL, more.p);
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_ewkb_read(p.activity->track, false, &t, &err), 0);
    assert_int_equal(t.n, 4);
    geo_track_done(&t);
    assert_memory_equal(p.activity->listed, list.activity->listed, 32);
    strava_parse_done(&p);
    strava_parse_done(&list);
    buf_done(&b);
    buf_done(&more);
}

static void test_almost_nothing(void **state)
{
    (void)state;
    struct strava_parse p = parsed(STRAVA_LIST, "[{\"id\":1},{\"id\":9223372036854775807,"
                                                "\"name\":null,\"athlete\":{},\"map\":null}]");
    assert_int_equal(p.n, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct strava_activity *a = &p.activity[i];
        assert_null(a->name);
        assert_null(a->type);
        assert_null(a->sport_type);
        assert_null(a->timezone);
        assert_null(a->visibility);
        assert_null(a->external_id);
        assert_true(isnan(a->distance_m) && isnan(a->gain_m) && isnan(a->elev_low_m) &&
                    isnan(a->elev_high_m));
        assert_true(a->moving_s == INT64_MIN && a->elapsed_s == INT64_MIN &&
                    a->start_us == INT64_MIN && a->athlete_id == INT64_MIN);
        assert_false(a->is_private || a->manual || a->trainer || a->has_start || a->has_end);
        assert_int_equal(a->summary.n, 0);
    }
    strava_parse_done(&p);
    p = parsed(STRAVA_LIST, "[]");
    assert_int_equal(p.n, 0);
    strava_parse_done(&p);
    strava_parse_done(&p);
}

/* One field of an activity, as JSON. */
static struct strava_parse with(const char *field)
{
    struct buf b = {0};
    buf_printf(&b, "{\"id\":7,%s}", field);
    struct strava_parse p = parsed(STRAVA_DETAIL, b.p);
    buf_done(&b);
    return p;
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *field, *want;
    } name[] = {
        {"\"name\":\"\"", ""},
        {"\"name\":\"a\\u0000b\\u0000\"", "ab"},
        {"\"name\":\"\\u0000\"", ""},
        {"\"name\":\"a\\\\u0000b\"", "a\\u0000b"},
        {"\"name\":\"a\\\\\\u0000b\"", "a\\b"},
        {"\"name\":\"\\u00e4\\n\\u200f\"", "\xc3\xa4\n\xe2\x80\x8f"},
        {"\"name\":5", NULL},
        {"\"name\":[\"a\"]", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        struct strava_parse p = with(name[i].field);
        if (name[i].want) {
            assert_string_equal(p.activity->name, name[i].want);
        } else {
            assert_null(p.activity->name);
        }
        strava_parse_done(&p);
    }
    static const struct {
        const char *field, *want;
    } zone[] = {
        {"\"timezone\":\"(GMT-05:00) America/New_York\"", "America/New_York"},
        {"\"timezone\":\"(GMT+00:00) GMT\"", "GMT"},
        {"\"timezone\":\"Europe/Paris\"", "Europe/Paris"},
        {"\"timezone\":\"(GMT-05:00)\"", NULL},
        {"\"timezone\":\"(GMT-05:00 \"", "(GMT-05:00"},
        {"\"timezone\":\" \"", NULL},
        {"\"timezone\":\"\"", NULL},
        {"\"timezone\":null", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(zone); i++) {
        struct strava_parse p = with(zone[i].field);
        if (zone[i].want) {
            assert_string_equal(p.activity->timezone, zone[i].want);
        } else {
            assert_null(p.activity->timezone);
        }
        strava_parse_done(&p);
    }
    struct strava_parse p = with("\"type\":\"\",\"sport_type\":\"\",\"visibility\":\"\"");
    assert_null(p.activity->type);
    assert_null(p.activity->sport_type);
    assert_null(p.activity->visibility);
    strava_parse_done(&p);
}

/* Cut where a character ends. */
static void test_a_long_name(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        struct buf b = {0};
        buf_puts(&b, "\"name\":\"");
        for (size_t i = 0; i < lead; i++) {
            buf_putc(&b, 'x');
        }
        for (int i = 0; i < 400; i++) {
            buf_puts(&b, "\xf0\x9f\x8f\x83");
        }
        buf_puts(&b, "\"");
        struct strava_parse p = with(b.p);
        size_t n = strlen(p.activity->name);
        assert_int_equal(n, lead == 0 ? 1024 : 1020 + lead);
        assert_true(span_utf8_valid((struct span){p.activity->name, n}));
        strava_parse_done(&p);
        buf_done(&b);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct strava_parse p =
        with("\"distance\":5,\"total_elevation_gain\":12.5,\"elev_low\":-430.5,\"elev_high\":-0.0,"
             "\"moving_time\":0,\"elapsed_time\":8640000");
    assert_near(p.activity->distance_m, 5, 0);
    assert_near(p.activity->gain_m, 12.5, 0);
    assert_near(p.activity->elev_low_m, -430.5, 0);
    assert_false(signbit(p.activity->elev_high_m));
    assert_int_equal(p.activity->moving_s, 0);
    assert_int_equal(p.activity->elapsed_s, 8640000);
    strava_parse_done(&p);
    p = with("\"moving_time\":3600.0,\"elapsed_time\":3600.4");
    assert_int_equal(p.activity->moving_s, 3600);
    assert_int_equal(p.activity->elapsed_s, 3600);
    strava_parse_done(&p);
    /* What no column could hold, or no way could be. */
    p = with("\"distance\":-1,\"total_elevation_gain\":\"5\",\"elev_low\":-1e300,"
             "\"elev_high\":1e300,\"moving_time\":2147483648,\"elapsed_time\":-5");
    assert_true(isnan(p.activity->distance_m) && isnan(p.activity->gain_m) &&
                isnan(p.activity->elev_low_m) && isnan(p.activity->elev_high_m));
    assert_true(p.activity->moving_s == INT64_MIN && p.activity->elapsed_s == INT64_MIN);
    strava_parse_done(&p);
}

static void test_positions(void **state)
{
    (void)state;
    static const char *const none[] = {
        "[]",       "null",     "[46.5]",         "[46.5,7.5,1]", "[91,7]",   "[46,181]",
        "[null,7]", "\"46,7\"", "[\"46\",\"7\"]", "{\"lat\":46}", "[46,-1e9]"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        char field[100];
        snprintf(field, sizeof(field), "\"start_latlng\":%s,\"end_latlng\":[46,7]", none[i]);
        struct strava_parse p = with(field);
        assert_false(p.activity->has_start);
        assert_true(p.activity->has_end);
        strava_parse_done(&p);
    }
    struct strava_parse p = with("\"start_latlng\":[-90,180],\"end_latlng\":[0,0]");
    assert_true(p.activity->has_start && p.activity->has_end);
    strava_parse_done(&p);
}

static void test_flags(void **state)
{
    (void)state;
    struct strava_parse p = with("\"private\":true,\"manual\":true,\"trainer\":true");
    assert_true(p.activity->is_private && p.activity->manual && p.activity->trainer);
    strava_parse_done(&p);
    p = with("\"visibility\":\"only_me\",\"manual\":null,\"trainer\":1");
    assert_true(p.activity->is_private);
    assert_false(p.activity->manual || p.activity->trainer);
    strava_parse_done(&p);
}

static void test_polylines(void **state)
{
    (void)state;
    /* None: indoor, manual, hidden, older dumps; and a single point is no line. */
    static const char *const none[] = {"{\"summary_polyline\":\"\",\"polyline\":\"\"}",
                                       "{\"summary_polyline\":null,\"polyline\":null}",
                                       "{}",
                                       "null",
                                       "[]",
                                       "{\"summary_polyline\":\"_p~iF~ps|U\"}"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        char field[100];
        snprintf(field, sizeof(field), "\"map\":%s", none[i]);
        struct strava_parse p = with(field);
        assert_int_equal(p.activity->summary.n, 0);
        assert_int_equal(p.activity->track.n, 0);
        strava_parse_done(&p);
    }
    /* JSON escapes the backslashes of one. */
    struct strava_parse p = with("\"map\":{\"summary_polyline\":\"w}tvGafsb\\\\hA?\"}");
    assert_true(p.activity->summary.n > 0);
    strava_parse_done(&p);
}

static void test_dates(void **state)
{
    (void)state;
    static const char *const bad[] = {"\"2025-10-19T06:30:11\"",
                                      "\"2025-10-19T06:30:11+02:00\"",
                                      "\"2025-13-19T06:30:11Z\"",
                                      "\"2025-02-30T06:30:11Z\"",
                                      "\"Z\"",
                                      "\"\"",
                                      "1760855411",
                                      "\"2025-10-19 Z\""};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char text[100];
        snprintf(text, sizeof(text), "{\"id\":7,\"start_date\":%s}", bad[i]);
        struct err err = refused(STRAVA_DETAIL, span_of(text));
        assert_int_equal(err.class, ERR_PERMANENT);
        assert_string_equal(err.msg, "Strava's answer: activity 7: start_date is no time such as "
                                     "2026-11-21T22:05:00Z");
    }
    struct strava_parse p = with("\"start_date\":null");
    assert_true(p.activity->start_us == INT64_MIN);
    strava_parse_done(&p);
    p = with("\"start_date\":\"2024-07-03T00:00:01Z\"");
    assert_true(p.activity->start_us == INT64_C(1719964801000000));
    strava_parse_done(&p);
}

static void test_one_bad_of_many(void **state)
{
    (void)state;
    struct strava_parse p = parsed(
        STRAVA_LIST, "[{\"id\":1},{\"id\":\"2\"},{\"id\":3.0},{\"id\":0},5,null,{\"name\":\"x\"},"
                     "{\"id\":8,\"athlete\":{\"id\":\"9\"}},"
                     "{\"id\":9,\"map\":{\"summary_polyline\":\"_p~iF~ps|U_\"}},{\"id\":10}]");
    assert_int_equal(p.n, 2);
    assert_int_equal(p.activity[0].id, 1);
    assert_int_equal(p.activity[1].id, 10);
    assert_int_equal(p.bad, 8);
    assert_string_equal(p.first_bad, "an activity has no whole number as its id");
    strava_parse_done(&p);
    /* Of a detail it is the whole. */
    static const char *const bad[] = {"{}", "[]", "{\"id\":1.5}",
                                      "{\"id\":9,\"map\":{\"polyline\":\"_p~iF~ps|U_\"}}",
                                      "{\"message\":\"Record Not Found\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(refused(STRAVA_DETAIL, span_of(bad[i])).class, ERR_PERMANENT);
    }
    assert_int_equal(refused(STRAVA_LIST, SPAN("{\"id\":1}")).class, ERR_PERMANENT);
}

/* Damaged on the way: another try may bring it whole. */
static void test_unreadable(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "5",
                                      "<html>secret</html>",
                                      "[{\"id\":1},{\"na",
                                      "[{\"id\":1,\"id\":1}]",
                                      "\xef\xbb\xbf[]",
                                      "[] trailing",
                                      "[{\"id\":1,\"name\":\"\xff\"}]",
                                      "[{\"id\":99999999999999999999}]",
                                      "[1e999]"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = refused(STRAVA_LIST, span_of(bad[i]));
        assert_int_equal(err.class, ERR_RETRY);
        assert_null(strstr(err.msg, "secret"));
    }
    struct buf deep = {0};
    for (int i = 0; i < 40; i++) {
        buf_putc(&deep, '[');
    }
    for (int i = 0; i < 40; i++) {
        buf_putc(&deep, ']');
    }
    assert_int_equal(refused(STRAVA_LIST, buf_span(&deep)).class, ERR_RETRY);
    buf_done(&deep);
}

static void test_too_much(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "[");
    for (int i = 1; i <= 1000; i++) {
        buf_printf(&b, "%s{\"id\":%d}", i > 1 ? "," : "", i);
    }
    buf_puts(&b, "]");
    struct strava_parse p = parsed(STRAVA_LIST, b.p);
    assert_int_equal(p.n, 1000);
    strava_parse_done(&p);
    b.n--;
    buf_puts(&b, ",{\"id\":1001}]");
    assert_int_equal(refused(STRAVA_LIST, buf_span(&b)).class, ERR_PERMANENT);
    while (b.n <= STRAVA_BODY_MAX) {
        buf_puts(&b, "                                                                ");
    }
    assert_int_equal(refused(STRAVA_LIST, buf_span(&b)).class, ERR_PERMANENT);
    buf_clear(&b);
    buf_puts(&b, "{\"id\":5,\"map\":{\"polyline\":\"");
    for (int i = 0; i <= STRAVA_POINTS_MAX; i++) {
        buf_puts(&b, "AA");
    }
    buf_puts(&b, "\"}}");
    assert_int_equal(refused(STRAVA_DETAIL, buf_span(&b)).class, ERR_PERMANENT);
    buf_done(&b);
}

/* Each of what a list says changes the digest; what it says besides does not. */
static void test_digest(void **state)
{
    (void)state;
    static const char *const field[] = {
        "\"x\":1",
        "\"name\":\"\"",
        "\"name\":\"b\"",
        "\"type\":\"b\"",
        "\"sport_type\":\"b\"",
        "\"visibility\":\"b\"",
        "\"external_id\":\"b\"",
        "\"timezone\":\"b\"",
        "\"distance\":1",
        "\"total_elevation_gain\":1",
        "\"elev_low\":1",
        "\"elev_high\":1",
        "\"moving_time\":1",
        "\"elapsed_time\":1",
        "\"start_date\":\"2024-07-03T00:00:01Z\"",
        "\"private\":true",
        "\"manual\":true",
        "\"trainer\":true",
        "\"start_latlng\":[0,0]",
        "\"end_latlng\":[0,0]",
        "\"athlete\":{\"id\":1}",
        "\"map\":{\"summary_polyline\":\"????\"}",
    };
    unsigned char seen[COUNT_OF(field)][32];
    for (size_t i = 0; i < COUNT_OF(field); i++) {
        struct strava_parse p = with(field[i]);
        memcpy(seen[i], p.activity->listed, 32);
        strava_parse_done(&p);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(seen[i], seen[k], 32);
        }
    }
    static const char *const same[] = {"\"kudos_count\":7", "\"name\":null", "\"type\":\"\"",
                                       "\"map\":{\"polyline\":\"????\",\"summary_polyline\":\"\"}",
                                       "\"start_latlng\":[]"};
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct strava_parse p = with(same[i]);
        assert_memory_equal(p.activity->listed, seen[0], 32);
        strava_parse_done(&p);
    }
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct geo_track track_of(const char *body, int64_t start_us, size_t dropped)
{
    struct strava_parse p = {
        .what = STRAVA_STREAMS, .start_us = start_us, .arena = arena_new(128 << 20)};
    struct geo_track t = {0};
    struct err err = {0};
    buf_puts(&p.body, body);
    if (strava__parse(&p, &err) != 0) {
        fail_msg("%.300s: %s", body, err.msg);
    }
    assert_int_equal(p.dropped, dropped);
    if (p.streams.n > 0) {
        assert_int_equal(geo_ewkb_read(p.streams, true, &t, &err), 0);
        assert_int_equal(t.nseg, 1);
    }
    strava_parse_done(&p);
    return t;
}

static void test_streams_of_both_shapes(void **state)
{
    (void)state;
    static const char *const shape[] = {
        "{\"latlng\":{\"data\":[[46.5,7.5],[46.6,7.6],[46.7,-7.7]],\"series_type\":\"distance\","
        "\"original_size\":3,\"resolution\":\"high\"},\"time\":{\"data\":[0,5,7200]},"
        "\"moving\":{\"data\":[false,true,true]}}",
        "[{\"type\":\"time\",\"data\":[0,5,7200],\"series_type\":\"time\"},"
        "{\"type\":\"latlng\",\"data\":[[46.5,7.5],[46.6,7.6],[46.7,-7.7]]}]"};
    for (size_t i = 0; i < COUNT_OF(shape); i++) {
        struct geo_track t = track_of(shape[i], START_US, 0);
        assert_int_equal(t.n, 3);
        assert_near(t.pt[2].lat, 46.7, 0);
        assert_near(t.pt[2].lon, -7.7, 0);
        assert_near(t.t[0], 1764576000, 0);
        assert_near(t.t[2], 1764576000 + 7200, 0);
        geo_track_done(&t);
        t = track_of(shape[i], INT64_MIN, 0); /* nobody knows when it was */
        assert_int_equal(t.n, 3);
        assert_null(t.t);
        geo_track_done(&t);
    }
}

static void test_streams_without_a_track(void **state)
{
    (void)state;
    static const char *const none[] = {"{}",
                                       "[]",
                                       "{\"time\":{\"data\":[0,1]}}",
                                       "{\"latlng\":{\"data\":[]},\"time\":{\"data\":[]}}",
                                       "{\"latlng\":null}",
                                       "{\"latlng\":[[46,7],[46,8]]}",
                                       "{\"latlng\":{\"data\":[[46,7]]}}",
                                       "[5,null,{}]"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_int_equal(track_of(none[i], START_US, 0).n, 0);
    }
}

static void test_streams_with_flaws(void **state)
{
    (void)state;
    /* Times that are missing are filled in; points that are none are left out. */
    struct geo_track t = track_of("{\"latlng\":{\"data\":[[46,7],null,[46.1,7],[95,7],[46.2,7]]},"
                                  "\"time\":{\"data\":[0,1,null,3,8]}}",
                                  START_US, 2);
    assert_int_equal(t.n, 3);
    assert_near(t.t[1], 1764576000 + 4, 0);
    geo_track_done(&t);
    /* Of different lengths: whose time is which? */
    t = track_of("{\"latlng\":{\"data\":[[46,7],[46.1,7]]},\"time\":{\"data\":[0,1,2]}}", START_US,
                 0);
    assert_int_equal(t.n, 2);
    assert_null(t.t);
    geo_track_done(&t);
    t = track_of("{\"latlng\":{\"data\":[[46,7],[46.1,7]]},\"time\":{\"data\":[-5,\"1\"]}}",
                 START_US, 0);
    assert_null(t.t);
    geo_track_done(&t);
    assert_int_equal(
        refused(STRAVA_STREAMS, SPAN("{\"latlng\":{\"data\":[[46,7],[],[46],[1,2,3],5]}}")).class,
        ERR_PERMANENT);
}

static void test_streams_of_many_points(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "{\"latlng\":{\"data\":[");
    for (int i = 0; i < 400001; i++) {
        buf_printf(&b, "%s[46,%d]", i ? "," : "", i % 7);
    }
    buf_puts(&b, "]},\"time\":{\"data\":[");
    for (int i = 0; i < 400001; i++) {
        buf_printf(&b, "%s%d", i ? "," : "", i);
    }
    buf_puts(&b, "]}}");
    struct geo_track t = track_of(b.p, START_US, 0);
    assert_true(t.n <= STRAVA_POINTS_MAX && t.n > STRAVA_POINTS_MAX / 2);
    assert_near(t.t[t.n - 1] - t.t[0], 400000, 0);
    geo_track_done(&t);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_summary),
        cmocka_unit_test(test_a_detail),
        cmocka_unit_test(test_almost_nothing),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_a_long_name),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_polylines),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_one_bad_of_many),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_streams_of_both_shapes),
        cmocka_unit_test(test_streams_without_a_track),
        cmocka_unit_test(test_streams_with_flaws),
        cmocka_unit_test(test_streams_of_many_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
