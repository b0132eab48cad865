#include "it/frontend.h"

#include <math.h>

/* ---- reading ------------------------------------------------------------------------------- */

static void has_columns(PGresult *res, const char *const *name)
{
    int n = 0;
    for (; name[n] != NULL; n++)
        assert_string_equal(PQfname(res, n), name[n]);
    assert_int_equal(PQnfields(res), n);
}

static void asks_routes(struct it_db *db)
{
    PGresult *res = it_query(
        db, "SELECT id, display_name, length, description, thumbnail FROM routes ORDER BY id");
    has_columns(res, IT_LIST("id", "display_name", "length", "description", "thumbnail"));
    assert_true(PQntuples(res) > 0);
    for (int i = 0; i < PQntuples(res); i++) {
        assert_true(PQgetlength(res, i, 1) > 0);
        assert_true(strtod(PQgetvalue(res, i, 2), NULL) >= 0);
        PGresult *one =
            it_ask(db,
                   "SELECT id, display_name, ST_AsGeoJSON(track) AS geojson, length, description "
                   "FROM routes WHERE id = $1",
                   1, IT_LIST(PQgetvalue(res, i, 0)));
        assert_int_equal(PQntuples(one), 1);
        assert_non_null(strstr(PQgetvalue(one, 0, 2), "\"type\":\"LineString\""));
    }
    res = it_ask(db, "SELECT ST_AsGeoJSON(track) FROM routes WHERE id = $1", 1,
                 IT_LIST("no such route"));
    assert_int_equal(PQntuples(res), 0);
}

static void asks_login(struct it_db *db, const char *athlete, const char *token)
{
    static const char sql[] = "SELECT h.id, h.backfill_status FROM access_tokens t "
                              "JOIN athletes h ON h.id = t.athlete_id "
                              "WHERE h.id = $1 AND t.access_token = $2";
    PGresult *res = it_ask(db, sql, 2, IT_LIST(athlete, token));
    assert_int_equal(PQntuples(res), 1);
    assert_string_equal(PQgetvalue(res, 0, 0), athlete);
    res = it_ask(db, sql, 2, IT_LIST(athlete, "somebody else's"));
    assert_int_equal(PQntuples(res), 0);
}

static void asks_activities(struct it_db *db, const char *athlete)
{
    PGresult *res =
        it_ask(db,
               "SELECT id, athlete_id, name, distance, moving_time, elapsed_time, "
               "total_elevation_gain, activity_type, start_date, local_tz, "
               "ST_AsEncodedPolyline(summary_track::geometry) AS polyline, "
               "ST_Y(start_latlng::geometry) AS lat, ST_X(start_latlng::geometry) AS lng, "
               "ST_Y(end_latlng::geometry), ST_X(end_latlng::geometry), elev_low, elev_high, "
               "external_id FROM activities WHERE athlete_id = $1 AND "
               "(summary_track IS NULL OR GeometryType(summary_track::geometry) = 'LINESTRING') "
               "ORDER BY start_date DESC",
               1, IT_LIST(athlete));
    for (int i = 0; i < PQntuples(res); i++)
        assert_string_equal(PQgetvalue(res, i, 1), athlete);
}

/* The list beside the map: sections of a few metres are not worth a line. */
static void asks_relevant(struct it_db *db, const char *athlete, const char *route)
{
    PGresult *res =
        it_ask(db,
               "SELECT a.id, a.name, a.distance, a.moving_time, a.elapsed_time, a.activity_type, "
               "a.start_date, a.local_tz, sum(ST_Length(s.section_track)) AS covered "
               "FROM route_sections s JOIN activities a ON a.id = s.activity_id "
               "WHERE a.athlete_id = $1 AND s.route_id = $2 AND ST_Length(s.section_track) > 5 "
               "GROUP BY a.id ORDER BY a.start_date",
               2, IT_LIST(athlete, route));
    double longest = 0;
    for (int i = 0; i < PQntuples(res); i++) {
        double covered = strtod(PQgetvalue(res, i, 8), NULL);
        double exact = it_f64(db,
                              "SELECT sum(end_m - start_m) FROM route_sections WHERE activity_id = "
                              "%s AND route_id = '%s' AND end_m - start_m > 5",
                              PQgetvalue(res, i, 0), route);
        assert_true(covered > 5);
        assert_true(fabs(covered - exact) <= 0.5 + 1e-4 * exact);
        longest = fmax(longest, covered);
    }
    assert_true(longest <= frontend_covered(db, strtoll(athlete, NULL, 10), route) + 0.5);
}

double frontend_covered(struct it_db *db, int64_t athlete, const char *route)
{
    return it_f64(db,
                  "SELECT coalesce(s.covered_length, 0) AS covered_length FROM routes r "
                  "LEFT JOIN route_stats s ON s.route_id = r.id AND s.athlete_id = %lld "
                  "WHERE r.id = '%s'",
                  (long long)athlete, route);
}

double frontend_union_length(struct it_db *db, int64_t athlete, const char *route)
{
    return it_f64(db,
                  "SELECT coalesce(ST_Length(ST_Union(s.section_track::geometry)::geography), 0) "
                  "FROM route_sections s JOIN activities a ON a.id = s.activity_id "
                  "WHERE a.athlete_id = %lld AND s.route_id = '%s'",
                  (long long)athlete, route);
}

void frontend_agrees(struct it_db *db, int64_t athlete, const char *route)
{
    double stats = frontend_covered(db, athlete, route);
    double drawn = frontend_union_length(db, athlete, route);
    if (fabs(stats - drawn) > fmax(1, 1e-6 * stats))
        fail_msg("%s: route_stats say %.3f m, the union of the sections %.3f m", route, stats,
                 drawn);
}

/* The covered stretches as one collection, dumped into their lines. */
static void asks_union(struct it_db *db, const char *athlete, const char *route)
{
    static const char sql[] =
        "SELECT ST_AsGeoJSON(u.g) AS collected, (SELECT count(*) FROM ST_Dump(u.g)) AS parts, "
        "(SELECT count(*) FROM ST_Dump(u.g) d WHERE GeometryType(d.geom) <> 'LINESTRING'), "
        "ST_Length(u.g::geography) AS length "
        "FROM (SELECT ST_Union(s.section_track::geometry) AS g FROM route_sections s "
        "JOIN activities a ON a.id = s.activity_id "
        "WHERE a.athlete_id = $1 AND s.route_id = $2) u";
    PGresult *res = it_ask(db, sql, 2, IT_LIST(athlete, route));
    assert_int_equal(PQntuples(res), 1);
    if (PQgetisnull(res, 0, 0))
        return;
    assert_non_null(strstr(PQgetvalue(res, 0, 0), "LineString\""));
    assert_string_equal(PQgetvalue(res, 0, 2), "0");
    assert_true(strtoll(PQgetvalue(res, 0, 1), NULL, 10) > 0);
}

struct frontend_counts frontend_progress(struct it_db *db, int64_t athlete, const char *route)
{
    static const char sql[] =
        "WITH p AS (SELECT p.route_id, count(*) AS n FROM processing p "
        "           JOIN activities a ON a.id = p.activity_id "
        "           WHERE a.athlete_id = $1 AND p.processed GROUP BY p.route_id), "
        "u AS (SELECT p.route_id, count(*) AS n FROM processing p "
        "      JOIN activities a ON a.id = p.activity_id "
        "      WHERE a.athlete_id = $1 AND NOT p.processed GROUP BY p.route_id) "
        "SELECT route_id, coalesce(p.n, 0) AS processed, coalesce(u.n, 0) AS unprocessed, "
        "coalesce(p.n, 0) + coalesce(u.n, 0) AS total FROM p FULL JOIN u USING (route_id)";
    PGresult *res = it_ask(db, sql, 1, IT_LIST(it_format("%lld", (long long)athlete)));
    has_columns(res, IT_LIST("route_id", "processed", "unprocessed", "total"));
    struct frontend_counts c = {0, 0, 0};
    for (int i = 0; i < PQntuples(res); i++) {
        if (strcmp(PQgetvalue(res, i, 0), route) == 0)
            c = (struct frontend_counts){strtoll(PQgetvalue(res, i, 1), NULL, 10),
                                         strtoll(PQgetvalue(res, i, 2), NULL, 10),
                                         strtoll(PQgetvalue(res, i, 3), NULL, 10)};
    }
    return c;
}

void frontend_asks_all(struct it_db *db, int64_t athlete, const char *token)
{
    const char *id = it_format("%lld", (long long)athlete);
    asks_routes(db);
    asks_login(db, id, token);
    asks_activities(db, id);
    PGresult *routes = it_query(db, "SELECT id FROM routes ORDER BY id");
    int64_t activities = it_i64(db, "SELECT count(*) FROM activities WHERE athlete_id = %s", id);
    /* The old system did not know where on the route a section lies. */
    bool measured = it_i64(db, "SELECT count(*) FROM pg_attribute WHERE attrelid = "
                               "'route_sections'::regclass AND attname = 'start_m'") == 1 &&
                    it_i64(db, "SELECT count(*) FROM route_sections WHERE start_m IS NULL") == 0;
    for (int i = 0; i < PQntuples(routes); i++) {
        const char *route = PQgetvalue(routes, i, 0);
        struct frontend_counts c = frontend_progress(db, athlete, route);
        assert_int_equal(c.total, activities);
        assert_int_equal(c.total, c.processed + c.unprocessed);
        asks_union(db, id, route);
        if (measured)
            asks_relevant(db, id, route);
    }
}

/* ---- writing ------------------------------------------------------------------------------- */

void frontend_login(struct it_db *db, int64_t athlete, const char *token, const char *refresh)
{
    const char *id = it_format("%lld", (long long)athlete);
    (void)it_ask(db, "INSERT INTO athletes (id) VALUES ($1) ON CONFLICT DO NOTHING", 1,
                 IT_LIST(id));
    (void)it_ask(db,
                 "INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES ($1, $2, "
                 "to_timestamp($3)) ON CONFLICT (athlete_id) DO UPDATE SET access_token = "
                 "excluded.access_token, expires_at = excluded.expires_at, updated_at = now()",
                 3, IT_LIST(id, token, "1893456000"));
    (void)it_ask(db,
                 "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES ($1, $2) "
                 "ON CONFLICT (athlete_id) DO UPDATE SET refresh_token = excluded.refresh_token, "
                 "updated_at = now()",
                 2, IT_LIST(id, refresh));
}

void frontend_set_backfill(struct it_db *db, int64_t athlete, const char *status)
{
    PGresult *res = it_ask(db, "UPDATE athletes SET backfill_status = $2 WHERE id = $1", 2,
                           IT_LIST(it_format("%lld", (long long)athlete), status));
    assert_string_equal(PQcmdTuples(res), "1");
}

enum { COLUMNS = 17 };

/* The row's parameters: everything the API of Strava tells, as text. */
static void fill(struct it_db *db, const struct frontend_activity *a, const char **param)
{
    const char *line = it_format("it.way(%.9f, %.9f, 60, %.9f)::geometry", a->from, a->to, a->east);
    PGresult *res = it_query(db,
                             "SELECT ST_AsEncodedPolyline(l), ST_Length(l::geography), "
                             "ST_Y(ST_StartPoint(l)), ST_X(ST_StartPoint(l)), "
                             "ST_Y(ST_EndPoint(l)), ST_X(ST_EndPoint(l)) FROM (SELECT %s AS l) x",
                             line);
    const char *values[COLUMNS] = {
        it_format("%lld", (long long)a->id),
        it_format("%lld", (long long)a->athlete),
        it_format("Morning walk %lld", (long long)a->id),
        PQgetvalue(res, 0, 1),
        "3600",
        "4000",
        "310.5",
        "Hike",
        "2022-08-01T07:00:00Z",
        "(GMT+01:00) Europe/London",
        PQgetvalue(res, 0, 0),
        PQgetvalue(res, 0, 2),
        PQgetvalue(res, 0, 3),
        PQgetvalue(res, 0, 4),
        PQgetvalue(res, 0, 5),
        "12.4",
        "811.2",
    };
    memcpy(param, values, sizeof(values));
}

int frontend_insert(struct it_db *db, const struct frontend_activity *a, int n)
{
    const char **param =
        (const char **)(void *)it_keep(malloc(sizeof(*param) * COLUMNS * FRONTEND_ROWS));
    const size_t cap = 400 * FRONTEND_ROWS;
    char *sql = it_keep(malloc(cap));
    assert_true(n > 0 && n <= FRONTEND_ROWS);
    int at = snprintf(sql, cap,
                      "INSERT INTO activities (id, athlete_id, name, distance, moving_time, "
                      "elapsed_time, total_elevation_gain, activity_type, start_date, local_tz, "
                      "summary_track, start_latlng, end_latlng, elev_low, elev_high) VALUES ");
    for (int i = 0; i < n; i++) {
        int p = i * COLUMNS;
        fill(db, &a[i], param + p);
        at += snprintf(sql + at, cap - (size_t)at,
                       "%s($%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,$%d,"
                       "ST_LineFromEncodedPolyline($%d),ST_MakePoint($%d,$%d),"
                       "ST_MakePoint($%d,$%d),$%d,$%d)",
                       i > 0 ? "," : "", p + 1, p + 2, p + 3, p + 4, p + 5, p + 6, p + 7, p + 8,
                       p + 9, p + 10, p + 11, p + 13, p + 12, p + 15, p + 14, p + 16, p + 17);
    }
    snprintf(sql + at, cap - (size_t)at, " ON CONFLICT DO NOTHING");
    PGresult *res = it_ask(db, sql, n * COLUMNS, param);
    return (int)strtol(PQcmdTuples(res), NULL, 10);
}
