/* A town that no map shows, west of the Azores, and a trail through it. */
#include <math.h>

#include "sim/sim.h"

#define TOWN_LAT 38.9
#define TOWN_LON (-33.4)
#define LAT_M    111200.0 /* of a degree */
#define LON_M    111320.0 /* of a degree, at the equator */
#define RADIANS  (M_PI / 180)
#define EARTH_M  6371008.8

enum { TRAIL_POINTS = 900, TRAIL_M = 26000, WAVES = 14, FILE_MAX = 64 << 20, FILE_DEPTH = 32 };

double place_distance_m(struct place a, struct place b)
{
    double dlat = (b.lat - a.lat) * RADIANS, dlon = (b.lon - a.lon) * RADIANS;
    double h = sin(dlat / 2) * sin(dlat / 2) +
               cos(a.lat * RADIANS) * cos(b.lat * RADIANS) * sin(dlon / 2) * sin(dlon / 2);
    return 2 * EARTH_M * asin(sqrt(h > 1 ? 1 : h));
}

double town_altitude(struct place p)
{
    return 130 + 55 * sin(p.lat * 230) + 40 * sin(p.lon * 170 + 1) +
           12 * sin(p.lat * 900 + p.lon * 700);
}

/* ---- the hour ----------------------------------------------------------------------------------
 */

/* The last Sunday of a month of 31 days, 01:00 UTC: when the clocks of Europe change. */
static int64_t change_s(int year, int month)
{
    struct tm tm = {.tm_year = year, .tm_mon = month, .tm_mday = 31, .tm_hour = 1};
    time_t t = timegm(&tm);
    return (int64_t)t - tm.tm_wday * 86400;
}

int64_t town_utc_offset_s(int64_t utc_s)
{
    time_t t = (time_t)utc_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return -3600;
    bool summer = utc_s >= change_s(tm.tm_year, 2) && utc_s < change_s(tm.tm_year, 9);
    return summer ? 0 : -3600;
}

/* ---- lines -------------------------------------------------------------------------------------
 */

static void measure(struct line *l)
{
    l->measure = mem_alloc((l->n + 1) * sizeof(double));
    for (size_t i = 1; i < l->n; i++)
        l->measure[i] = l->measure[i - 1] + place_distance_m(l->v[i - 1], l->v[i]);
}

double line_length_m(const struct line *l)
{
    return l->n ? l->measure[l->n - 1] : 0;
}

struct place line_at(const struct line *l, double m, size_t *near)
{
    size_t i = *near;
    if (m <= 0)
        return l->v[0];
    if (m >= l->measure[l->n - 1])
        return l->v[l->n - 1];
    while (l->measure[i] > m)
        i--;
    while (l->measure[i + 1] <= m)
        i++;
    *near = i;
    double share = (m - l->measure[i]) / (l->measure[i + 1] - l->measure[i]);
    return (struct place){l->v[i].lat + share * (l->v[i + 1].lat - l->v[i].lat),
                          l->v[i].lon + share * (l->v[i + 1].lon - l->v[i].lon)};
}

void line_done(struct line *l)
{
    vec_done(l);
    mem_free(l->measure);
    l->measure = NULL;
}

/* From west to east, winding; it never turns back, so that a measure is a place. */
void town_trail(uint64_t seed, struct line *ret)
{
    struct rnd r = {sim_mix(seed, 1)};
    double height[WAVES], phase[WAVES];
    for (int k = 0; k < WAVES; k++) {
        height[k] = rnd_between(&r, 0.4, 1) * 1900 / pow(k + 1, 1.25);
        phase[k] = rnd_between(&r, 0, 2 * M_PI);
    }
    for (int i = 0; i < TRAIL_POINTS; i++) {
        double u = (double)i / (TRAIL_POINTS - 1), y = 0;
        for (int k = 0; k < WAVES; k++)
            y += height[k] * sin(2 * M_PI * (k + 1) * u * 1.1 + phase[k]);
        double x = (u - 0.5) * TRAIL_M;
        *vec_push(ret) =
            (struct place){round((TOWN_LAT + y / LAT_M) * 1e6) / 1e6,
                           round((TOWN_LON + x / (LON_M * cos(TOWN_LAT * RADIANS))) * 1e6) / 1e6};
    }
    measure(ret);
}

void town_geojson(const struct line *l, struct buf *out)
{
    struct jw w = {.b = out};
    jw_open(&w, NULL, '{');
    jw_str(&w, "type", "Feature");
    jw_open(&w, "properties", '{');
    jw_str(&w, "name", "Sim Trail");
    jw_close(&w, '}');
    jw_open(&w, "geometry", '{');
    jw_str(&w, "type", "LineString");
    jw_open(&w, "coordinates", '[');
    for (size_t i = 0; i < l->n; i++) {
        jw_open(&w, NULL, '[');
        jw_f64(&w, NULL, l->v[i].lon, 6);
        jw_f64(&w, NULL, l->v[i].lat, 6);
        jw_close(&w, ']');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    jw_close(&w, '}');
}

/* ---- a trail from a file -----------------------------------------------------------------------
 */

static void take_line(const json_t *coordinates, struct line *best)
{
    if (json_array_size(coordinates) <= best->n)
        return;
    best->n = 0;
    for (size_t i = 0; i < json_array_size(coordinates); i++) {
        const json_t *p = json_array_get(coordinates, i);
        double lon = json_number_value(json_array_get(p, 0));
        double lat = json_number_value(json_array_get(p, 1));
        if (json_array_size(p) >= 2 && fabs(lat) < 89 && fabs(lon) <= 180)
            *vec_push(best) = (struct place){lat, lon};
    }
}

/* The line with the most points, wherever it is. */
static void look_for_line(const json_t *o, struct line *best)
{
    static const char *const inside[] = {"features", "geometries", NULL};
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *coordinates = json_object_get(o, "coordinates");
    if (type && strcmp(type, "LineString") == 0) {
        take_line(coordinates, best);
    } else if (type && strcmp(type, "MultiLineString") == 0) {
        for (size_t i = 0; i < json_array_size(coordinates); i++)
            take_line(json_array_get(coordinates, i), best);
    }
    if (json_object_get(o, "geometry"))
        look_for_line(json_object_get(o, "geometry"), best);
    for (int k = 0; inside[k]; k++) {
        const json_t *list = json_object_get(o, inside[k]);
        for (size_t i = 0; i < json_array_size(list); i++)
            look_for_line(json_array_get(list, i), best);
    }
}

int town_trail_read(const char *path, struct line *ret, struct err *err)
{
    struct buf text = {0};
    if (file_read(path, FILE_MAX, &text, err) < 0) {
        buf_done(&text);
        return err_wrap(err, "%s", path);
    }
    json_t *root = json_read(buf_span(&text), FILE_MAX, FILE_DEPTH, err);
    buf_done(&text);
    if (!root)
        return err_wrap(err, "%s", path);
    look_for_line(root, ret);
    json_decref(root);
    if (ret->n < 2) {
        line_done(ret);
        return err_set(err, ERR_DATA, ERR_PERMANENT, "%s has no LineString", path);
    }
    measure(ret);
    return 0;
}
