/* What only the detail of an activity has. */
#include <math.h>

#include "sim/sim.h"

static bool is_run(const struct activity *a)
{
    return strcmp(a->type, "Run") == 0;
}

static void put_splits(struct jw *w, const char *key, const struct activity *a, double unit_m)
{
    int n = (int)(a->distance / unit_m);
    jw_open(w, key, '[');
    for (int i = 0; i < n && i < 100; i++) {
        int seconds = a->distance > 0 ? (int)(unit_m / a->distance * a->moving_s) : 0;
        jw_open(w, NULL, '{');
        jw_f64(w, "distance", unit_m, 1);
        jw_i64(w, "elapsed_time", seconds);
        jw_i64(w, "moving_time", seconds);
        jw_i64(w, "split", i + 1);
        jw_f64(w, "average_speed", seconds ? unit_m / seconds : 0, 2);
        jw_i64(w, "pace_zone", 0);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

/* Of real ones, the largest was 2,693,271,924,383,944,911: no double holds it. */
static int64_t effort_id(const struct activity *a, int i)
{
    if (a->quirks & QUIRK_BIG_EFFORTS)
        return INT64_C(2693271924383944911) + i * 2;
    return INT64_C(3100000000000000000) + (int64_t)(sim_mix(a->gen, 40 + (uint64_t)i) >> 8) / 1024;
}

static void put_effort(struct jw *w, const struct activity *a, int i, const char *name)
{
    jw_open(w, NULL, '{');
    jw_i64(w, "id", effort_id(a, i));
    jw_i64(w, "resource_state", 2);
    jw_str(w, "name", name);
    jw_open(w, "activity", '{');
    jw_i64(w, "id", a->id);
    jw_str(w, "visibility", visibility_name(a->visibility));
    jw_i64(w, "resource_state", 1);
    jw_close(w, '}');
    jw_i64(w, "elapsed_time", 200 + 13 * i);
    jw_i64(w, "moving_time", 200 + 13 * i);
    jw_f64(w, "distance", 800, 1);
    jw_i64(w, "start_index", i * 10);
    jw_i64(w, "end_index", i * 10 + 9);
    jw_null(w, "pr_rank");
    jw_open(w, "achievements", '[');
    jw_close(w, ']');
    jw_close(w, '}');
}

static void put_efforts(struct jw *w, const struct activity *a)
{
    int n = a->manual ? 0 : a->quirks & QUIRK_BIG_EFFORTS ? 40 : (int)render_fact(a, 20, 4);
    jw_open(w, "segment_efforts", '[');
    for (int i = 0; i < n; i++)
        put_effort(w, a, i, "Harbour & Hill");
    jw_close(w, ']');
    if (!is_run(a))
        return;
    jw_open(w, "best_efforts", '[');
    for (int i = 0; i < 2 && !a->manual; i++)
        put_effort(w, a, 50 + i, i ? "1k" : "400m");
    jw_close(w, ']');
}

static void put_lap(struct jw *w, const struct activity *a)
{
    jw_open(w, "laps", '[');
    jw_open(w, NULL, '{');
    jw_i64(w, "id", a->id * 3 + 1);
    jw_i64(w, "resource_state", 2);
    jw_str(w, "name", "Lap 1");
    jw_i64(w, "elapsed_time", a->elapsed_s);
    jw_i64(w, "moving_time", a->moving_s);
    jw_f64(w, "distance", a->distance, 1);
    jw_f64(w, "total_elevation_gain", a->elevation_gain, 1);
    jw_i64(w, "lap_index", 1);
    jw_close(w, '}');
    jw_close(w, ']');
}

static void put_small_things(struct jw *w, const struct activity *a)
{
    char token[TOKEN_SIZE];
    jw_raw(w, "photos", "{\"primary\":null,\"count\":0}");
    jw_raw(
        w, "stats_visibility",
        "[{\"type\":\"heart_rate\",\"visibility\":\"everyone\"},{\"type\":\"pace\",\"visibility\":"
        "\"everyone\"}]");
    jw_bool(w, "hide_from_home", false);
    snprintf(token, sizeof(token), "%016llx", (unsigned long long)sim_mix(a->gen, 50));
    jw_str(w, "embed_token", token);
    jw_raw(w, "similar_activities",
           "{\"effort_count\":1,\"average_speed\":0,\"trend\":{\"speeds\":[],\"direction\":0}}");
    jw_raw(w, "available_zones", "[]");
}

static void put_gear(struct jw *w, const struct sim *s, const struct activity *a)
{
    const struct athlete *who = s->world->athletes.v[a->owner];
    bool ride = strcmp(a->type, "Ride") == 0;
    char id[32];
    if (a->manual || render_fact(a, 6, 5) == 0) {
        jw_null(w, "gear");
        return;
    }
    snprintf(id, sizeof(id), "%c%lld", ride ? 'b' : 'g',
             (long long)(who->gen % 90000000 + 10000000));
    jw_open(w, "gear", '{');
    jw_str(w, "id", id);
    jw_bool(w, "primary", true);
    jw_str(w, "name", ride ? "Old Bicycle" : "Old Shoes");
    jw_null(w, "nickname");
    jw_i64(w, "resource_state", 2);
    jw_bool(w, "retired", false);
    jw_i64(w, "distance", (int64_t)(who->gen % 3000000));
    jw_f64(w, "converted_distance", (double)(who->gen % 3000000) / 1000, 1);
    jw_close(w, '}');
}

void render_detail(const struct sim *s, struct activity *a, unsigned scope, struct buf *out)
{
    struct jw w = {.b = out};
    jw_open(&w, NULL, '{');
    render_summary(s, a, scope, &w, true);
    jw_str(&w, "description", a->description);
    jw_f64(&w, "calories", round(a->distance / 15), 1);
    jw_null(&w, "perceived_exertion");
    jw_null(&w, "prefer_perceived_exertion");
    put_efforts(&w, a);
    put_splits(&w, "splits_metric", a, 1000);
    put_splits(&w, "splits_standard", a, 1609.3);
    put_lap(&w, a);
    put_gear(&w, s, a);
    put_small_things(&w, a);
    jw_close(&w, '}');
}
