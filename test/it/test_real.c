/* Real routes and recordings, where they are at hand: imported or refused with a true reason, all
 * of them processed, and the result held against plain distances and corridors by PostGIS. The
 * default form takes some seconds; WAYMARK_FULL=1 takes all there is. */
#include "it/load.h"

#include <math.h>
#include <unistd.h>

enum { STOP_MS = 280000 };

static bool full(void)
{
    return getenv("WAYMARK_FULL") != NULL;
}

static void need_shared(void)
{
    if (load_shared("data/routes/tmb.gpx") == NULL) {
        print_message("skipped: the shared data are not at hand\n");
        skip();
    }
}

static const char *file(const char *below_data)
{
    const char *path = load_shared(it_format("data/%s", below_data));
    if (path == NULL)
        fail_msg("%s is missing", below_data);
    return path;
}

/* ---- routes -------------------------------------------------------------------------------- */

struct route_file {
    const char *name, *gap; /* --max-gap */
    const char *why;        /* of the refusal; NULL: imported */
    double km;
};

/* Lengths as the trails' own guides have them, within what recordings differ. */
static const struct route_file routes[] = {
    {"appalachian-trail.gpx", "200", NULL, 3120},
    {"bob-graham-round.gpx", "200", NULL, 101},
    {"pacific-crest-trail.gpx", "200", NULL, 4000},
    {"south-west-coast-path.gpx", "200", NULL, 1038},
    {"tmb.gpx", "200", NULL, 160},
    {"arizona-trail.gpx", "200", "gap of 308 m between -111.44636,34.37370", 0},
    {"arizona-trail.gpx", "1000", NULL, 1233},
    {"bruce-trail.gpx", "200", "gap of 820 m between -80.96002,44.76810", 0},
    {"bruce-trail.gpx", "1000", NULL, 885},
    /* Stages in the order of their names, with variants as long as a tenth of the way. */
    {"camino-frances.geojson", "200", "lines branch at", 0},
    {"gr20-corsica.geojson", "200", "lines branch at", 0},
};

static void import_one(struct it_db *db, const struct route_file *r)
{
    const char *path = file(it_format("routes/%s", r->name));
    struct it_result got =
        it_run(db, NULL, IT_LIST("route", "import", "--quiet", "--max-gap", r->gap, path));
    if (got.status != (r->why != NULL))
        fail_msg("%s: status %d\n%s%s", r->name, got.status, got.out, got.err);
    if (r->why != NULL) {
        load_one_line(&got, r->why);
        return;
    }
    assert_string_equal(got.err, "");
    char id[64];
    snprintf(id, sizeof(id), "%.*s", (int)strcspn(r->name, "."), r->name);
    double km = it_f64(db, "SELECT length / 1000 FROM routes WHERE id = '%s'", id);
    if (fabs(km - r->km) > 0.005 * r->km)
        fail_msg("%s: %.1f km instead of %.0f", r->name, km, r->km);
}

static void all_routes(void **state)
{
    (void)state;
    need_shared();
    struct it_db *db = it_db_new();
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        import_one(db, &routes[i]);
    const char *lines = it_format("%s/network.geojson", it_home());
    if (system(it_format("gzip -dc '%s' > '%s'", file("routes/pilgrimdb-network.geojson.gz"),
                         lines)) != 0)
        fail_msg("gzip");
    struct it_result r =
        it_must(db, NULL, IT_LIST("route", "import", "--quiet", "--each", lines), 0);
    assert_non_null(strstr(r.out, "2303 routes imported, 0 refused"));
    it_process(db);
    it_holds(db, "NOT EXISTS (SELECT FROM route_state WHERE note IS NOT NULL)");
}

/* ---- walks --------------------------------------------------------------------------------- */

struct walk {
    const char *route, *file, *tracks;
    bool sparse;
    int activities;
};

static const struct walk walks[] = {
    {"tmb", "tmb.gpx", "tmb-2022-recorded", false, 6},
    {"south-west-coast-path", "south-west-coast-path.gpx", "swcp-walked-days", false, 23},
    {"pacific-crest-trail", "pacific-crest-trail.gpx", "pct-2023-recorded/pct-2023.geojson", true,
     119},
};

static double percent(double part, double whole)
{
    return 100 * part / whole;
}

/* Plain distance takes a stretch for covered that a track merely crosses, so it is printed without
 * those of less than 100 m too, which nobody travelled along. On the PCT the fixes are 330 m
 * apart: the chord between two of them cuts the bends of the trail by more than its tolerance, and
 * plain distance leaves holes there, where the matcher sees that the trail's other end was reached
 * by a way about as long as the trail. So it earns more, by nearly a twentieth of the route, and
 * that is right: those people walked the bends. */
static void compare_covered(struct it_db *db, const struct walk *w)
{
    double ours =
        it_f64(db, "SELECT covered_length FROM route_stats WHERE route_id = '%s'", w->route);
    double length = it_f64(db, "SELECT length FROM routes WHERE id = '%s'", w->route);
    double all = it_f64(db, "SELECT it.plain_covered('%s', 1, 40)", w->route);
    double along = it_f64(db, "SELECT it.plain_covered('%s', 1, 40, 100)", w->route);
    print_message("%s: %.1f km of %.1f; plain distance %.1f km (%+.2f %% of the route), without"
                  " touches %.1f km (%+.2f %%)\n",
                  w->route, ours / 1000, length / 1000, all / 1000, percent(ours - all, length),
                  along / 1000, percent(ours - along, length));
    if (w->sparse) {
        assert_true(ours > along && percent(ours - along, length) < 8);
    } else {
        assert_true(fabs(percent(ours - all, length)) < 1.5);
    }
}

static void compare_corridor(struct it_db *db, const struct walk *w)
{
    double ours = it_f64(db,
                         "SELECT sum(ST_Length(intersection_track)) FROM intersections"
                         " WHERE route_id = '%s'",
                         w->route);
    double plain = it_f64(db, "SELECT it.plain_corridor('%s', 1, 40)", w->route);
    print_message("%s: %.1f km inside the corridor, by buffers %.1f km (%+.3f %%)\n", w->route,
                  ours / 1000, plain / 1000, percent(ours - plain, plain));
    assert_true(fabs(percent(ours - plain, plain)) < 2);
}

static void all_walks(void **state)
{
    (void)state;
    need_shared();
    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
        const struct walk *w = &walks[i];
        struct it_db *db = it_db_new();
        it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/it/data/plain.sql"));
        it_must(db, NULL,
                IT_LIST("route", "import", "--quiet", file(it_format("routes/%s", w->file))), 0);
        it_must(db, NULL,
                IT_LIST("import", "--quiet", "--athlete", "1",
                        file(it_format("activities/%s", w->tracks))),
                0);
        it_holds(db, "(SELECT count(*) FROM activities) = %d", w->activities);
        it_process(db);
        it_holds(db, "NOT EXISTS (SELECT FROM activity_state WHERE note IS NOT NULL)");
        compare_covered(db, w);
        compare_corridor(db, w);
    }
}

/* ---- one runner's years -------------------------------------------------------------------- */

/* A line of JSON each, as they are: no quoting is undone, no column is split. */
static void copy_lines(struct it_db *db, const char *text)
{
    it_exec(db, "CREATE TEMP TABLE line (j jsonb)");
    PGresult *res =
        PQexec(db->pg, "COPY line FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')");
    assert_int_equal(PQresultStatus(res), PGRES_COPY_IN);
    PQclear(res);
    assert_int_equal(PQputCopyData(db->pg, text, (int)strlen(text)), 1);
    assert_int_equal(PQputCopyEnd(db->pg, NULL), 1);
    while ((res = PQgetResult(db->pg)) != NULL) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            fail_msg("%s", PQerrorMessage(db->pg));
        PQclear(res);
    }
}

static void a_runner(void **state)
{
    (void)state;
    need_shared();
    struct it_db *db = it_db_new();
    char *text = load_output(
        it_format("gzip -dc '%s'", file("activities/running-suzhou/all-full-polylines.jsonl.gz")));
    assert_non_null(text);
    copy_lines(db, text);
    it_exec(db, "INSERT INTO athletes (id) VALUES (1);"
                "INSERT INTO activities (id, athlete_id, activity_type, distance, start_date,"
                " summary_track) SELECT (j->>'id')::bigint, 1, j->>'type',"
                " (j->>'distance')::float8, (j->>'start_date')::timestamptz,"
                " ST_LineFromEncodedPolyline(j->'map'->>'polyline') FROM line;"
                /* Nobody publishes the trails of that town: the two longest runs are its trails. */
                "INSERT INTO routes (id, display_name, track) SELECT 'run-' || id, 'run',"
                " ST_Simplify(summary_track::geometry, 0.00005)::geography FROM activities"
                " ORDER BY ST_Length(summary_track) DESC LIMIT 2");
    it_holds(db, "(SELECT count(*) FROM activities) = 744");
    struct it_result r = it_must(
        db, NULL,
        IT_LIST("import", "--quiet", "--athlete", "2", file("activities/running-suzhou/gpx")), 0);
    assert_string_equal(r.err, "");
    it_process(db);
    it_holds(db, "(SELECT count(*) FROM activity_state WHERE note IS NULL) = 744 + 107");
    it_holds(db, "NOT EXISTS (SELECT FROM routes r LEFT JOIN route_stats s ON s.route_id = r.id"
                 " AND s.athlete_id = 1 WHERE s.covered_length IS NULL"
                 " OR s.covered_length < 0.99 * r.length)");
    print_message("744 + 107 recordings, %lld of them near a route\n",
                  (long long)it_i64(db, "SELECT count(DISTINCT activity_id) FROM"
                                        " relevant_activities"));
}

/* Everything at once. */
static void all_of_it(void **state)
{
    (void)state;
    need_shared();
    if (!full()) {
        print_message("skipped: WAYMARK_FULL=1 runs it\n");
        skip();
    }
    struct it_db *db = it_db_new();
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        import_one(db, &routes[i]);
    const char *sql =
        load_output(it_format("python3 '%s' '%s' account+acc+acc2",
                              load_shared("tools/coverage_sql.py"), load_shared("data/coverage")));
    assert_non_null(sql);
    it_script(db, sql);
    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++)
        it_must(db, NULL,
                IT_LIST("import", "--quiet", "--athlete", "9",
                        file(it_format("activities/%s", walks[i].tracks))),
                0);
    it_process(db);
    it_holds(db, "NOT EXISTS (SELECT FROM activity_state WHERE note IS NOT NULL)");
    it_same_as_recomputed(db);
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/it/data/plain.sql"));
    PGresult *res = it_query(
        db,
        "SELECT route_id, sum(ST_Length(intersection_track)), it.plain_corridor(route_id, 1, 40)"
        " FROM intersections i JOIN activities a ON a.id = i.activity_id"
        " WHERE a.athlete_id = 1 GROUP BY route_id ORDER BY 1");
    for (int i = 0; i < PQntuples(res); i++) {
        double ours = strtod(PQgetvalue(res, i, 1), NULL), b = strtod(PQgetvalue(res, i, 2), NULL);
        print_message("%s: corridor %.1f km, by buffers %.1f km (%+.3f %%)\n",
                      PQgetvalue(res, i, 0), ours / 1000, b / 1000, percent(ours - b, b));
        assert_true(fabs(percent(ours - b, b)) < 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(all_routes),
        IT_TEST(all_walks),
        IT_TEST(a_runner),
        IT_TEST(all_of_it),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
