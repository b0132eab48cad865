/* Athletes and summaries as the API shows them, and the same for tests (truth). */
#include <math.h>

#include "sim/sim.h"

enum { ZONE_M = 200 }; /* hidden at both ends */

int64_t render_fact(const struct activity *a, unsigned which, int64_t n)
{
    return (int64_t)(sim_mix(a->gen, 100 + which) % (uint64_t)n);
}

bool render_has_heartrate(const struct activity *a)
{
    return !a->manual && render_fact(a, 1, 10) > 0;
}

/* ---- athletes ----------------------------------------------------------------------------------
 */

static void render_gear(struct jw *w, const char *key, const char *prefix,
                        const struct athlete *who)
{
    char id[32];
    snprintf(id, sizeof(id), "%s%lld", prefix, (long long)(who->gen % 90000000 + 10000000));
    jw_open(w, key, '[');
    jw_open(w, NULL, '{');
    jw_str(w, "id", id);
    jw_bool(w, "primary", true);
    jw_str(w, "name", prefix[0] == 'b' ? "Old Bicycle" : "Old Shoes");
    jw_null(w, "nickname");
    jw_i64(w, "resource_state", 2);
    jw_bool(w, "retired", false);
    jw_i64(w, "distance", (int64_t)(who->gen % 3000000));
    jw_f64(w, "converted_distance", (double)(who->gen % 3000000) / 1000, 1);
    jw_close(w, '}');
    jw_close(w, ']');
}

void render_athlete(const struct sim *s, const struct athlete *who, struct jw *w, bool detailed)
{
    static const char *const nothing[] = {"friend", "follower", NULL};
    (void)s;
    jw_i64(w, "id", who->id);
    jw_null(w, "username");
    jw_i64(w, "resource_state", detailed ? 3 : 2);
    jw_str(w, "firstname", who->first);
    jw_str(w, "lastname", who->last);
    jw_null(w, "bio");
    jw_str(w, "city", "Simtown");
    jw_str(w, "state", "");
    jw_null(w, "country");
    if (who->gen % 3)
        jw_str(w, "sex", who->gen % 3 == 1 ? "F" : "M");
    else
        jw_null(w, "sex");
    jw_bool(w, "premium", false);
    jw_bool(w, "summit", false);
    jw_str(w, "created_at", "2019-03-04T05:06:07Z");
    jw_str(w, "updated_at", "2026-01-02T03:04:05Z");
    jw_i64(w, "badge_type_id", 0);
    jw_null(w, "weight");
    jw_str(w, "profile_medium", "avatar/athlete/medium.png");
    jw_str(w, "profile", "avatar/athlete/large.png");
    for (int i = 0; nothing[i]; i++)
        jw_null(w, nothing[i]);
    if (!detailed)
        return;
    jw_i64(w, "follower_count", (int64_t)(who->gen % 200));
    jw_i64(w, "friend_count", (int64_t)(who->gen % 150));
    jw_i64(w, "athlete_type", 1);
    jw_str(w, "date_preference", "%d/%m/%Y");
    jw_str(w, "measurement_preference", "meters");
    jw_null(w, "ftp");
    jw_open(w, "clubs", '[');
    jw_close(w, ']');
    render_gear(w, "bikes", "b", who);
    render_gear(w, "shoes", "g", who);
}

/* ---- where it was ------------------------------------------------------------------------------
 */

void render_track(const struct sim *s, const struct activity *a, unsigned scope, struct track *t)
{
    track_make(&s->trail, a, t);
    if (t->placed && a->privacy_zone && !(scope & SCOPE_ACTIVITY_READ_ALL))
        track_trim(t, ZONE_M);
    t->placed = t->placed && !a->hide_map && t->n > 0;
}

void render_polyline(const struct track *t, double tolerance_m, struct buf *out)
{
    buf_puts(out, "");
    if (!t->placed)
        return;
    uint32_t *keep = mem_alloc((t->n + 1) * sizeof(*keep));
    size_t n = track_simplify(t, tolerance_m, keep);
    struct place *p = mem_alloc((n + 1) * sizeof(*p));
    for (size_t i = 0; i < n; i++)
        p[i] = t->v[keep[i]].at;
    polyline_encode(p, n, out);
    mem_free(p);
    mem_free(keep);
}

/* Where it was, as far as a summary tells. */
struct where {
    bool placed;
    struct place first, last;
    struct buf summary;
};

static void where_made(const struct sim *s, struct activity *a, unsigned scope, struct where *ret)
{
    struct track t = {0};
    render_track(s, a, scope, &t);
    render_polyline(&t, SUMMARY_TOLERANCE_M, &ret->summary);
    ret->placed = t.placed;
    if (t.placed) {
        ret->first = t.v[0].at;
        ret->last = t.v[t.n - 1].at;
    }
    vec_done(&t);
}

/* What everybody sees is made once. */
static void where_is(const struct sim *s, struct activity *a, unsigned scope, struct where *ret)
{
    if (a->privacy_zone && !(scope & SCOPE_ACTIVITY_READ_ALL)) {
        where_made(s, a, scope, ret);
        return;
    }
    if (!a->summary) {
        where_made(s, a, scope, ret);
        a->summary = mem_strdup(ret->summary.p);
        a->first = ret->first;
        a->last = ret->last;
        return;
    }
    ret->placed = a->summary[0] != '\0';
    ret->first = a->first;
    ret->last = a->last;
    buf_puts(&ret->summary, a->summary);
}

static void put_latlng(struct jw *w, const char *key, const struct place *p)
{
    jw_open(w, key, '[');
    if (p) {
        jw_f64(w, NULL, p->lat, 6);
        jw_f64(w, NULL, p->lon, 6);
    }
    jw_close(w, ']');
}

static void put_where(struct jw *w, const struct activity *a, const struct where *is)
{
    if (!is->placed && (a->quirks & QUIRK_LATLNG_NULL)) {
        jw_null(w, "start_latlng");
        jw_null(w, "end_latlng");
        return;
    }
    put_latlng(w, "start_latlng", is->placed ? &is->first : NULL);
    put_latlng(w, "end_latlng", is->placed ? &is->last : NULL);
}

static void put_map_line(struct jw *w, const char *key, const struct activity *a, const char *line)
{
    if (line[0] == '\0' && (a->quirks & QUIRK_POLY_MISSING))
        return;
    jw_str(w, key, line[0] == '\0' && (a->quirks & QUIRK_POLY_NULL) ? NULL : line);
}

static void put_map(const struct sim *s, struct jw *w, const struct activity *a, unsigned scope,
                    const struct where *is, bool detailed)
{
    char id[32];
    snprintf(id, sizeof(id), "a%lld", (long long)a->id);
    jw_open(w, "map", '{');
    jw_str(w, "id", id);
    put_map_line(w, "summary_polyline", a, is->summary.p);
    if (detailed) {
        struct track t = {0};
        struct buf line = {0};
        render_track(s, a, scope, &t);
        render_polyline(&t, DETAIL_TOLERANCE_M, &line);
        put_map_line(w, "polyline", a, line.p);
        buf_done(&line);
        vec_done(&t);
    }
    jw_i64(w, "resource_state", detailed ? 3 : 2);
    jw_close(w, '}');
}

/* ---- a summary ---------------------------------------------------------------------------------
 */

static void put_float(struct jw *w, const char *key, const struct activity *a, double v,
                      int decimals)
{
    if (a->quirks & QUIRK_INT_NUMBERS)
        jw_i64(w, key, llround(v));
    else
        jw_f64(w, key, v, decimals);
}

static void put_name(struct jw *w, const struct activity *a)
{
    struct buf text = {0};
    struct jw name = {.b = &text};
    jw_str(&name, NULL, a->name);
    if (a->quirks & QUIRK_NUL_NAME) {
        text.n--;
        buf_puts(&text, "\\u0000tail\"");
    }
    jw_raw(w, "name", text.p);
    buf_done(&text);
}

static void put_times(struct jw *w, const struct activity *a)
{
    int64_t start_s = activity_shown_start_s(a);
    int64_t offset_s = town_utc_offset_s(a->start_us / S_US);
    jw_time(w, "start_date", start_s * S_US);
    jw_time(w, "start_date_local", (start_s + (a->hidden_start ? 0 : offset_s)) * S_US);
    jw_str(w, "timezone", TOWN_ZONE);
    put_float(w, "utc_offset", a, (double)offset_s, 1);
}

static void put_counts(struct jw *w, const struct activity *a)
{
    static const char *const nothing[] = {"location_city", "location_state", "location_country",
                                          NULL};
    for (int i = 0; nothing[i]; i++)
        jw_null(w, nothing[i]);
    jw_i64(w, "achievement_count", render_fact(a, 2, 6));
    jw_i64(w, "kudos_count", render_fact(a, 3, 40));
    jw_i64(w, "comment_count", render_fact(a, 4, 4));
    jw_i64(w, "athlete_count", 1 + render_fact(a, 5, 3));
    jw_i64(w, "photo_count", 0);
}

static void put_flags(struct jw *w, const struct activity *a, const struct athlete *who)
{
    char gear[32];
    bool ride = strcmp(a->type, "Ride") == 0;
    snprintf(gear, sizeof(gear), "%c%lld", ride ? 'b' : 'g',
             (long long)(who->gen % 90000000 + 10000000));
    jw_bool(w, "trainer", a->trainer);
    jw_bool(w, "commute", false);
    jw_bool(w, "manual", a->manual);
    jw_bool(w, "private", a->visibility == VIS_ONLY_ME);
    if (!(a->quirks & QUIRK_NO_VISIBILITY))
        jw_str(w, "visibility", visibility_name(a->visibility));
    jw_bool(w, "flagged", false);
    jw_str(w, "gear_id", a->manual || render_fact(a, 6, 5) == 0 ? NULL : gear);
}

static void put_effort(struct jw *w, const struct activity *a)
{
    double speed = a->moving_s > 0 ? a->distance / a->moving_s : 0;
    put_float(w, "average_speed", a, speed, 3);
    if (a->manual)
        jw_i64(w, "max_speed", 0);
    else
        put_float(w, "max_speed", a, speed * 1.4, 3);
    jw_bool(w, "has_heartrate", render_has_heartrate(a));
    if (render_has_heartrate(a)) {
        jw_f64(w, "average_heartrate", 120 + (double)render_fact(a, 7, 300) / 10, 1);
        jw_f64(w, "max_heartrate", 155 + (double)render_fact(a, 8, 30), 1);
        jw_f64(w, "suffer_score", (double)render_fact(a, 9, 120), 1);
    }
    jw_bool(w, "heartrate_opt_out", false);
    jw_bool(w, "display_hide_heartrate_option", render_has_heartrate(a));
    if (!a->manual && !a->trainer) {
        put_float(w, "elev_high", a, a->elevation_high, 1);
        put_float(w, "elev_low", a, a->elevation_low, 1);
    }
    if (strcmp(a->type, "Ride") == 0) {
        jw_f64(w, "average_watts", 140 + (double)render_fact(a, 10, 600) / 10, 1);
        jw_f64(w, "kilojoules", 500 + (double)render_fact(a, 11, 5000) / 10, 1);
        jw_bool(w, "device_watts", false);
    }
}

static bool has_file(const struct activity *a)
{
    return !a->manual && !(a->quirks & QUIRK_NO_EXTERNAL);
}

static char *external_id(const struct activity *a, char out[64])
{
    snprintf(out, 64, "%016llx.fit", (unsigned long long)sim_mix(a->gen, 99));
    return out;
}

static void put_upload(struct jw *w, const struct activity *a)
{
    char text[64];
    if (!has_file(a)) {
        jw_null(w, "upload_id");
        jw_null(w, "external_id");
    } else {
        int64_t upload = a->id + INT64_C(1300000000);
        jw_i64(w, "upload_id", upload);
        snprintf(text, sizeof(text), "%lld", (long long)upload);
        jw_str(w, "upload_id_str", text);
        jw_str(w, "external_id", external_id(a, text));
        jw_str(w, "device_name", "Sim Watch 7");
    }
    jw_bool(w, "from_accepted_tag", false);
    jw_i64(w, "pr_count", render_fact(a, 12, 3));
    jw_i64(w, "total_photo_count", 0);
    jw_bool(w, "has_kudoed", false);
}

static void put_tomorrow(struct jw *w)
{
    jw_raw(w, "carbon_footprint", "{\"kg\":[1,2.5,null],\"nested\":{\"deep\":[{\"er\":true}]}}");
    jw_raw(w, "id_str_v2", "\"\\ud83d\\ude80\"");
    jw_raw(w, "huge_number", "123456789012345678901234567890.5e10");
}

void render_summary(const struct sim *s, struct activity *a, unsigned scope, struct jw *w,
                    bool detailed)
{
    const struct athlete *who = s->world->athletes.v[a->owner];
    struct where is = {0};
    activity_measure(&s->trail, a);
    where_is(s, a, scope, &is);
    jw_i64(w, "resource_state", detailed ? 3 : 2);
    jw_open(w, "athlete", '{');
    jw_i64(w, "id", who->id);
    jw_i64(w, "resource_state", 1);
    jw_close(w, '}');
    put_name(w, a);
    put_float(w, "distance", a, a->distance, 1);
    jw_i64(w, "moving_time", a->moving_s);
    jw_i64(w, "elapsed_time", a->elapsed_s);
    if (a->elevation_gain == 0)
        jw_i64(w, "total_elevation_gain", 0);
    else
        put_float(w, "total_elevation_gain", a, a->elevation_gain, 1);
    jw_str(w, "type", a->type);
    jw_str(w, "sport_type", a->sport);
    if (strcmp(a->type, "Run") == 0 && render_fact(a, 13, 3))
        jw_raw(w, "workout_type", render_fact(a, 13, 3) == 1 ? "null" : "0");
    jw_i64(w, "id", a->id);
    put_times(w, a);
    put_counts(w, a);
    put_map(s, w, a, scope, &is, detailed);
    put_flags(w, a, who);
    put_where(w, a, &is);
    put_effort(w, a);
    put_upload(w, a);
    if (a->quirks & QUIRK_UNKNOWN_KEYS)
        put_tomorrow(w);
    buf_done(&is.summary);
}

/* ---- the truth ---------------------------------------------------------------------------------
 */

static void truth_where(const struct sim *s, struct activity *a, unsigned scope, struct jw *w)
{
    struct where is = {0};
    struct track t = {0};
    struct buf line = {0};
    where_is(s, a, scope, &is);
    render_track(s, a, scope, &t);
    render_polyline(&t, DETAIL_TOLERANCE_M, &line);
    if (is.placed) {
        put_latlng(w, "start_latlng", &is.first);
        put_latlng(w, "end_latlng", &is.last);
    } else {
        jw_null(w, "start_latlng");
        jw_null(w, "end_latlng");
    }
    jw_str(w, "summary_polyline", is.summary.n ? is.summary.p : NULL);
    jw_str(w, "polyline", line.n ? line.p : NULL);
    jw_i64(w, "stream_length", (int64_t)t.n);
    jw_i64(w, "latlng_length", t.placed ? (int64_t)t.n : 0);
    buf_done(&line);
    buf_done(&is.summary);
    vec_done(&t);
}

void render_truth(const struct sim *s, struct activity *a, unsigned scope, struct jw *w)
{
    char text[64];
    bool heights = !a->manual && !a->trainer;
    activity_measure(&s->trail, a);
    jw_i64(w, "id", a->id);
    jw_i64(w, "athlete", s->world->athletes.v[a->owner]->id);
    put_name(w, a);
    jw_str(w, "type", a->type);
    jw_str(w, "sport_type", a->sport);
    put_times(w, a);
    jw_f64(w, "distance", a->distance, 1);
    jw_i64(w, "moving_time", a->moving_s);
    jw_i64(w, "elapsed_time", a->elapsed_s);
    jw_f64(w, "total_elevation_gain", a->elevation_gain, 1);
    if (heights) {
        jw_f64(w, "elev_high", a->elevation_high, 1);
        jw_f64(w, "elev_low", a->elevation_low, 1);
    } else {
        jw_null(w, "elev_high");
        jw_null(w, "elev_low");
    }
    jw_str(w, "visibility", visibility_name(a->visibility));
    jw_bool(w, "private", a->visibility == VIS_ONLY_ME);
    jw_bool(w, "manual", a->manual);
    jw_bool(w, "trainer", a->trainer);
    jw_str(w, "external_id", has_file(a) ? external_id(a, text) : NULL);
    jw_str(w, "description", a->description);
    truth_where(s, a, scope, w);
    jw_i64(w, "revision", a->revision);
    jw_bool(w, "readable", !a->never && a->not_yet_calls <= 0 && sim_now_us(s) >= a->not_yet_us);
    jw_bool(w, "poison", a->poison);
    jw_bool(w, "deleted", a->deleted_us != 0);
}
