/* Worker threads: what Strava's answers say of activities. Shapes as seen in its answers; its
 * documentation calls every field optional, so that only what we cannot do without is demanded. */
#include <jansson.h>
#include <math.h>
#include <openssl/sha.h>

#include "geo/geo.h"
#include "strava/strava.h"
#include "strava/work.h"

static const double DISTANCE_MAX_M = 1e9, GAIN_MAX_M = 1e6;
static const double ELEV_MIN_M = -20000,
                    ELEV_MAX_M = 100000; /* a real column holds them exactly enough */

/* ---- fields ---------------------------------------------------------------------------------- */

static char *text_of(struct arena *a, const json_t *o, const char *key)
{
    struct span s = strava__json_text(o, key, STRAVA_TEXT_MAX);
    return s.n ? arena_span_dup(a, s) : NULL;
}

/* A number may be written with a point or without. */
static double number_of(const json_t *o, const char *key, double min, double max)
{
    const json_t *v = json_object_get(o, key);
    double n = json_is_number(v) ? json_number_value(v) : (double)NAN;
    /* One zero, so that 0 and -0.0 are the same to who compares. */
    return n >= min && n <= max ? (n == 0 ? 0.0 : n) : (double)NAN;
}

static int64_t seconds_of(const json_t *o, const char *key)
{
    double s = number_of(o, key, 0, INT32_MAX);
    return isnan(s) ? INT64_MIN : llround(s);
}

static bool flag_of(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* Without a position Strava writes [], null or nothing. */
static bool position_of(const json_t *pair, double *lat, double *lon)
{
    const json_t *y = json_array_get(pair, 0), *x = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_number(y) || !json_is_number(x)) {
        return false;
    }
    *lat = json_number_value(y);
    *lon = json_number_value(x);
    return fabs(*lat) <= 90 && fabs(*lon) <= 180;
}

/* "(GMT-05:00) America/New_York"; the offset is that of winter, whenever it was. */
static char *zone_of(struct arena *a, const json_t *o)
{
    struct span s = strava__json_text(o, "timezone", STRAVA_TEXT_MAX);
    const char *end = s.n && s.p[0] == '(' ? memchr(s.p, ')', s.n) : NULL;
    if (end) {
        s.n -= (size_t)(end + 1 - s.p);
        s.p = end + 1;
    }
    s = span_trim(s);
    return s.n ? arena_span_dup(a, s) : NULL;
}

/* UTC with its Z, or not said. The local time has one too, which is a lie; nobody reads that. */
static int start_of(const json_t *o, int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(o, "start_date");
    struct span s = strava__json_text(o, "start_date", 40);
    *ret = INT64_MIN;
    if (!v || json_is_null(v)) {
        return 0;
    }
    if (s.n < 2 || s.p[s.n - 1] != 'Z' || time_parse_iso(s, ret, NULL) != 0) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "start_date is no time such as 2026-11-21T22:05:00Z");
    }
    return 0;
}

static int keep(struct arena *a, struct buf *b, struct span *ret, struct err *err)
{
    char *p = arena_try_alloc(a, b->n);
    if (!p) {
        return err_set(err, ERR_SYS, ERR_RETRY, "no memory for geometry of %zu bytes", b->n);
    }
    memcpy(p, b->p, b->n);
    *ret = (struct span){p, b->n};
    return 0;
}

static int line_of(struct arena *a, const json_t *map, const char *key, struct span *ret,
                   struct err *err)
{
    const json_t *v = json_object_get(map, key);
    struct geo_track t = {0};
    struct buf wkb = {0};
    int rc = 0;
    *ret = (struct span){NULL, 0};
    if (!json_is_string(v)) {
        return 0; /* null, or none at all; some older ones have it so */
    }
    if (geo_polyline_decode((struct span){json_string_value(v), json_string_length(v)}, 5, &t,
                            err) != 0) {
        return err_wrap(err, "%s: ", key);
    }
    if (t.n > STRAVA_POINTS_MAX) {
        rc = err_set(err, ERR_DATA, ERR_PERMANENT, "%s has %zu points; %d are allowed", key, t.n,
                     STRAVA_POINTS_MAX);
    } else if (t.n >= 2) {
        geo_ewkb_line(t.pt, t.n, &wkb);
        rc = keep(a, &wkb, ret, err);
    }
    geo_track_done(&t);
    buf_done(&wkb);
    return rc;
}

/* ---- whether anything changed ---------------------------------------------------------------- */

static void put_bytes(struct buf *b, const void *p, size_t n)
{
    buf_be32(b, p ? (uint32_t)n : UINT32_MAX);
    buf_put(b, p, p ? n : 0);
}

static void put_text(struct buf *b, const char *s)
{
    put_bytes(b, s, s ? strlen(s) : 0);
}

static void put_f64(struct buf *b, double v)
{
    uint64_t bits = UINT64_MAX; /* one of many NaNs stands for all */
    if (!isnan(v)) {
        memcpy(&bits, &v, sizeof(bits));
    }
    buf_be64(b, bits);
}

/* Lists and details must come to the same: fields as they were understood, not as written. */
static void digest(struct strava_activity *x)
{
    struct buf b = {0};
    const char *const text[] = {x->name,       x->type,        x->sport_type,
                                x->visibility, x->external_id, x->timezone};
    const double f64[] = {x->distance_m,
                          x->gain_m,
                          x->elev_low_m,
                          x->elev_high_m,
                          x->has_start ? x->start_lat : (double)NAN,
                          x->has_start ? x->start_lon : (double)NAN,
                          x->has_end ? x->end_lat : (double)NAN,
                          x->has_end ? x->end_lon : (double)NAN};
    const int64_t i64[] = {x->id, x->athlete_id, x->moving_s, x->elapsed_s, x->start_us};
    for (size_t i = 0; i < COUNT_OF(text); i++) {
        put_text(&b, text[i]);
    }
    for (size_t i = 0; i < COUNT_OF(f64); i++) {
        put_f64(&b, f64[i]);
    }
    for (size_t i = 0; i < COUNT_OF(i64); i++) {
        buf_be64(&b, (uint64_t)i64[i]);
    }
    buf_putc(&b, (char)(x->is_private | x->manual << 1 | x->trainer << 2));
    put_bytes(&b, x->summary.p, x->summary.n);
    SHA256((const unsigned char *)b.p, b.n, x->listed);
    buf_done(&b);
}

/* ---- one activity ---------------------------------------------------------------------------- */

static int ids_of(const json_t *o, struct strava_activity *ret, struct err *err)
{
    const json_t *athlete = json_object_get(o, "athlete");
    ret->athlete_id = INT64_MIN;
    if (!json_is_object(o)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "an activity is no JSON object");
    }
    if (strava__json_i64(o, "id", 1, &ret->id) != 0) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "an activity has no whole number as its id");
    }
    if (json_object_get(athlete, "id") &&
        strava__json_i64(athlete, "id", 1, &ret->athlete_id) != 0) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "activity %lld: its athlete has no whole number as its id",
                       (long long)ret->id);
    }
    return 0;
}

static void texts_of(struct arena *a, const json_t *o, struct strava_activity *ret)
{
    struct span name = strava__json_text(o, "name", STRAVA_TEXT_MAX);
    ret->name = name.p ? arena_span_dup(a, name) : NULL;
    ret->type = text_of(a, o, "type");
    ret->sport_type = text_of(a, o, "sport_type");
    ret->visibility = text_of(a, o, "visibility");
    ret->external_id = text_of(a, o, "external_id");
    ret->timezone = zone_of(a, o);
}

static int read_activity(struct arena *a, const json_t *o, bool detail, struct strava_activity *ret,
                         struct err *err)
{
    const json_t *map = json_object_get(o, "map");
    *ret = (struct strava_activity){.id = 0};
    if (ids_of(o, ret, err) != 0) {
        return -1;
    }
    if (start_of(o, &ret->start_us, err) != 0 ||
        line_of(a, map, "summary_polyline", &ret->summary, err) != 0 ||
        (detail && line_of(a, map, "polyline", &ret->track, err) != 0)) {
        return err_wrap(err, "activity %lld: ", (long long)ret->id);
    }
    texts_of(a, o, ret);
    ret->distance_m = number_of(o, "distance", 0, DISTANCE_MAX_M);
    ret->gain_m = number_of(o, "total_elevation_gain", 0, GAIN_MAX_M);
    ret->elev_low_m = number_of(o, "elev_low", ELEV_MIN_M, ELEV_MAX_M);
    ret->elev_high_m = number_of(o, "elev_high", ELEV_MIN_M, ELEV_MAX_M);
    ret->moving_s = seconds_of(o, "moving_time");
    ret->elapsed_s = seconds_of(o, "elapsed_time");
    ret->is_private =
        flag_of(o, "private") || (ret->visibility && strcmp(ret->visibility, "only_me") == 0);
    ret->manual = flag_of(o, "manual");
    ret->trainer = flag_of(o, "trainer");
    ret->has_start =
        position_of(json_object_get(o, "start_latlng"), &ret->start_lat, &ret->start_lon);
    ret->has_end = position_of(json_object_get(o, "end_latlng"), &ret->end_lat, &ret->end_lon);
    digest(ret);
    return 0;
}

static int read_list(struct strava_parse *p, const json_t *list, struct err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > STRAVA_LIST_MAX) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "a list of activities of at most %d was due, and did not come",
                       STRAVA_LIST_MAX);
    }
    p->activity = arena_new_array(p->arena, struct strava_activity, n);
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};
        if (read_activity(p->arena, json_array_get(list, i), false, &p->activity[p->n], &why) ==
            0) {
            p->n++;
        } else if (why.class == ERR_RETRY) { /* want of memory is nobody's fault */
            *err = why;
            return -1;
        } else if (p->bad++ == 0) {
            p->first_bad = arena_strdup(p->arena, why.msg);
        }
    }
    return 0;
}

static int read_detail(struct strava_parse *p, const json_t *o, struct err *err)
{
    p->activity = arena_new_array(p->arena, struct strava_activity, 1);
    if (read_activity(p->arena, o, true, p->activity, err) != 0) {
        return -1;
    }
    p->n = 1;
    return 0;
}

/* ---- streams --------------------------------------------------------------------------------- */

/* {"latlng":{"data":[...]}} with key_by_type, [{"type":"latlng","data":[...]}] without. */
static const json_t *stream_of(const json_t *root, const char *type)
{
    const json_t *stream = json_object_get(root, type);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *one = json_array_get(root, i);
        if (span_is(strava__json_text(one, "type", 64), type)) {
            stream = one;
        }
    }
    return json_object_get(stream, "data");
}

/* Seconds since the start to Unix time. */
static double time_of(const struct strava_parse *p, const json_t *times, size_t i)
{
    const json_t *v = json_array_get(times, i);
    double s = json_is_number(v) ? json_number_value(v) : (double)NAN;
    return s >= 0 && s <= INT32_MAX ? (double)p->start_us / 1e6 + s : (double)NAN;
}

static int read_points(struct strava_parse *p, const json_t *latlng, const json_t *times,
                       struct geo_track *t, struct err *err)
{
    size_t n = json_array_size(latlng);
    size_t step = n / STRAVA_POINTS_MAX + 1, seen = 0;
    for (size_t i = 0; i < n; i++) {
        struct geo_pt at;
        if (i % step != 0 && i != n - 1) {
            continue;
        }
        seen++;
        if (!position_of(json_array_get(latlng, i), &at.lat, &at.lon)) {
            p->dropped++;
        } else if (geo_track_add(t, at, times ? time_of(p, times, i) : (double)NAN, false, err) !=
                   0) {
            return -1;
        }
    }
    if (p->dropped * 2 > seen) {
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "%zu of %zu points of a stream are no positions", p->dropped, seen);
    }
    return 0;
}

static int read_streams(struct strava_parse *p, const json_t *root, struct err *err)
{
    struct geo_track t = {0};
    struct buf wkb = {0};
    if (!json_is_object(root) && !json_is_array(root)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "streams were due, and did not come");
    }
    const json_t *latlng = stream_of(root, "latlng"), *times = stream_of(root, "time");
    /* All have the same length; where they do not, nobody knows which time is whose. */
    if (p->start_us == INT64_MIN || json_array_size(times) != json_array_size(latlng)) {
        times = NULL;
    }
    int rc = read_points(p, latlng, times, &t, err);
    if (rc == 0 && t.n >= 2) {
        geo_ewkb_track(&t, &wkb);
        rc = keep(p->arena, &wkb, &p->streams, err);
    }
    geo_track_done(&t);
    buf_done(&wkb);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int strava__parse(struct strava_parse *p, struct err *err)
{
    size_t bytes = p->body.n;
    json_t *root = strava__json(&p->body, STRAVA_BODY_MAX, STRAVA__DEPTH_MAX, NULL);
    buf_done(&p->body);
    if (!root) {
        /* Damaged on the way: asking again may bring it whole. jansson's own words would repeat
         * some of it. */
        return err_set(err, ERR_DATA, bytes > STRAVA_BODY_MAX ? ERR_PERMANENT : ERR_RETRY,
                       "Strava's answer of %zu bytes is no JSON of at most %d bytes and %d levels",
                       bytes, STRAVA_BODY_MAX, STRAVA__DEPTH_MAX);
    }
    int rc = p->what == STRAVA_LIST     ? read_list(p, root, err)
             : p->what == STRAVA_DETAIL ? read_detail(p, root, err)
                                        : read_streams(p, root, err);
    json_decref(root);
    return rc == 0 ? 0 : err_wrap(err, "Strava's answer: ");
}
