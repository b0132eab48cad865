/* The contract with a trail-progress frontend: its tables and columns, what it asks, what it does.
 */
#include "it/frontend.h"

#include <math.h>

enum { SECTIONS = 400, BIG_INSERT = FRONTEND_ROWS };

/* ---- tables -------------------------------------------------------------------------------- */

static const struct column {
    const char *table, *name, *type;
} columns[] = {
    {"athletes", "id", "bigint"},
    {"athletes", "created_at", "timestamp without time zone"},
    {"athletes", "backfill_status", "status"},
    {"activities", "id", "bigint"},
    {"activities", "inserted_at", "timestamp without time zone"},
    {"activities", "athlete_id", "bigint"},
    {"activities", "name", "text"},
    {"activities", "distance", "double precision"},
    {"activities", "moving_time", "integer"},
    {"activities", "elapsed_time", "integer"},
    {"activities", "total_elevation_gain", "double precision"},
    {"activities", "activity_type", "text"},
    {"activities", "start_date", "timestamp without time zone"},
    {"activities", "local_tz", "text"},
    {"activities", "summary_track", "geography"},
    {"activities", "start_latlng", "geography"},
    {"activities", "end_latlng", "geography"},
    {"activities", "elev_low", "real"},
    {"activities", "elev_high", "real"},
    {"activities", "external_id", "text"},
    {"routes", "id", "text"},
    {"routes", "created_at", "timestamp without time zone"},
    {"routes", "track", "geography(LineString,4326)"},
    {"routes", "length", "double precision"},
    {"routes", "description", "text"},
    {"routes", "display_name", "text"},
    {"routes", "thumbnail", "bytea"},
    {"processing", "id", "uuid"},
    {"processing", "created_at", "timestamp without time zone"},
    {"processing", "activity_id", "bigint"},
    {"processing", "route_id", "text"},
    {"processing", "processing_started_at", "timestamp without time zone"},
    {"processing", "processed", "boolean"},
    {"relevant_activities", "activity_id", "bigint"},
    {"relevant_activities", "route_id", "text"},
    {"relevant_activities", "relevant", "boolean"},
    {"intersections", "activity_id", "bigint"},
    {"intersections", "route_id", "text"},
    {"intersections", "intersection_track", "geography(LineString,4326)"},
    {"route_sections", "activity_id", "bigint"},
    {"route_sections", "route_id", "text"},
    {"route_sections", "section_track", "geography(LineString,4326)"},
    {"route_sections", "start_m", "double precision"},
    {"route_sections", "end_m", "double precision"},
    {"route_stats", "athlete_id", "bigint"},
    {"route_stats", "route_id", "text"},
    {"route_stats", "covered_length", "double precision"},
    {"access_tokens", "athlete_id", "bigint"},
    {"access_tokens", "access_token", "text"},
    {"access_tokens", "expires_at", "timestamp without time zone"},
    {"access_tokens", "updated_at", "timestamp without time zone"},
    {"refresh_tokens", "athlete_id", "bigint"},
    {"refresh_tokens", "refresh_token", "text"},
    {"refresh_tokens", "updated_at", "timestamp without time zone"},
};

static void has_every_column(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
        const struct column *c = &columns[i];
        const char *type = it_text(db,
                                   "SELECT coalesce((SELECT format_type(atttypid, atttypmod) FROM "
                                   "pg_attribute WHERE attrelid = to_regclass('%s') AND attname = "
                                   "'%s' AND NOT attisdropped), 'missing')",
                                   c->table, c->name);
        if (strcmp(type, c->type) != 0)
            fail_msg("%s.%s: %s, not %s", c->table, c->name, type, c->type);
    }
    /* Columns of ours must not be asked of the frontend's INSERTs. */
    for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
        it_holds(db,
                 "NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname "
                 "IN ('revision', 'source', 'tolerance_m', 'stale', 'updated_at') AND attnotnull "
                 "AND NOT atthasdef AND attidentity = '')",
                 columns[i].table);
    }
}

/* ---- questions and answers ----------------------------------------------------------------- */

static void answers_every_question(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    frontend_login(db, 1, "token of 1", "refresh of 1");
    frontend_asks_all(db, 1, "token of 1"); /* before anything is processed */
    it_process(db);
    frontend_asks_all(db, 1, "token of 1");
    const double length = it_f64(db, "SELECT length FROM routes WHERE id = 'north'");
    for (int athlete = 1; athlete <= 3; athlete++) {
        frontend_agrees(db, athlete, "north");
        frontend_agrees(db, athlete, "ring");
        assert_true(frontend_covered(db, athlete, "far") == 0);
    }
    /* Walked from 5 to 52 % of the line and from 90 to 60 %, as the scene says. */
    assert_true(fabs(frontend_covered(db, 1, "north") / length - 0.47) < 0.01);
    assert_true(fabs(frontend_covered(db, 2, "north") / length - 0.30) < 0.01);
    assert_true(frontend_covered(db, 3, "ring") >
                0.98 * it_f64(db, "SELECT length FROM routes WHERE id = 'ring'"));
}

/* A section of a few metres is kept in the sums and left out of the list of activities. */
static void lists_activities_with_what_they_covered(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    it_process(db);
    PGresult *res = it_query(
        db, "SELECT s.activity_id, sum(ST_Length(s.section_track)) FROM route_sections s JOIN "
            "activities a ON a.id = s.activity_id WHERE a.athlete_id = 1 AND s.route_id = 'north' "
            "AND ST_Length(s.section_track) > 5 GROUP BY 1 ORDER BY 1");
    assert_int_equal(PQntuples(res), 8);
    const double length = it_f64(db, "SELECT length FROM routes WHERE id = 'north'");
    for (int i = 0; i < 8; i++) {
        double share = strtod(PQgetvalue(res, i, 1), NULL) / length;
        assert_int_equal(strtol(PQgetvalue(res, i, 0), NULL, 10), i + 1);
        assert_true(fabs(share - 0.12) < 0.01);
    }
    it_holds(db, "(SELECT array_agg(activity_id ORDER BY activity_id) FROM relevant_activities "
                 "WHERE route_id = 'north' AND relevant) = '{1,2,3,4,5,6,7,8,11,12,13}'");
    it_holds(db, "NOT EXISTS (SELECT FROM intersections i WHERE NOT EXISTS (SELECT FROM "
                 "relevant_activities r WHERE (r.activity_id, r.route_id) = (i.activity_id, "
                 "i.route_id)))");
    it_holds(db, "(SELECT bool_and(ST_DWithin(i.intersection_track, r.track, 100)) FROM "
                 "intersections i JOIN routes r ON r.id = i.route_id)");
}

/* ---- progress ------------------------------------------------------------------------------ */

static void counts_are(struct it_db *db, int64_t athlete, const char *route, int64_t processed,
                       int64_t unprocessed)
{
    struct frontend_counts c = frontend_progress(db, athlete, route);
    if (c.processed != processed || c.unprocessed != unprocessed ||
        c.total != processed + unprocessed)
        fail_msg("%s: %lld processed, %lld not, %lld in all; expected %lld and %lld", route,
                 (long long)c.processed, (long long)c.unprocessed, (long long)c.total,
                 (long long)processed, (long long)unprocessed);
}

static void progress_is_right_before_midway_and_after(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    counts_are(db, 1, "north", 0, 8);
    counts_are(db, 2, "far", 0, 3);
    it_process(db);
    counts_are(db, 1, "north", 8, 0);
    counts_are(db, 2, "far", 3, 0);
    counts_are(db, 3, "ring", 3, 0);
    it_exec(db, "SELECT it.walk(30, 1, 0.3, 0.4)");
    counts_are(db, 1, "north", 8, 1);
    counts_are(db, 2, "north", 3, 0);
    it_exec(db, "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', "
                "it.way(0.2, 0.6, 200, 0.0002))");
    counts_are(db, 1, "new", 0, 9);
    counts_are(db, 1, "ring", 8, 1);
    it_exec(db, "UPDATE routes SET tolerance_m = 60 WHERE id = 'ring'");
    counts_are(db, 1, "ring", 0, 9);
    counts_are(db, 1, "far", 8, 1);
    it_process(db);
    counts_are(db, 1, "new", 9, 0);
    counts_are(db, 1, "ring", 9, 0);
}

/* While it works, the total stands still and what is done only grows. */
static void progress_grows_while_it_works(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    it_exec(db, "SELECT it.walk(100 + n, 1, 0.002 * n, 0.3 + 0.002 * n) "
                "FROM generate_series(1, 200) n");
    struct it_proc *p = it_start(db, IT_LIST("PROCESSOR_BATCH_SIZE=1", "PROCESSOR_CONCURRENCY=1"),
                                 IT_LIST("process"));
    int64_t last = 0;
    unsigned between = 0;
    for (int64_t until = it_now_ms() + 60000; last < 208 && it_now_ms() < until;) {
        struct frontend_counts c = frontend_progress(db, 1, "north");
        assert_int_equal(c.total, 208);
        assert_true(c.processed >= last);
        between += c.processed > last && c.processed < 208;
        last = c.processed;
    }
    assert_int_equal(last, 208);
    assert_true(between > 0);
    assert_int_equal(it_wait(p, 60000).status, 0);
    counts_are(db, 1, "ring", 208, 0);
}

/* ---- what it does -------------------------------------------------------------------------- */

static void takes_two_hundred_activities_in_one_statement(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct frontend_activity a[BIG_INSERT];
    for (int i = 0; i < BIG_INSERT; i++)
        a[i] = (struct frontend_activity){1000 + i, 1, 0.004 * i, 0.004 * i + 0.05, 0.0001};
    it_exec(db, "SELECT it.scene()");
    it_process(db);
    assert_int_equal(frontend_insert(db, a, BIG_INSERT - 50), BIG_INSERT - 50);
    it_holds(db, "(SELECT count(*) FROM q.job) = 150");
    assert_int_equal(frontend_insert(db, a, BIG_INSERT), 50); /* the others are there already */
    it_holds(db, "(SELECT count(*) FROM q.job) = 200");
    it_process(db);
    assert_int_equal(frontend_insert(db, a, BIG_INSERT), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    frontend_agrees(db, 1, "north");
    it_same_as_recomputed(db);
}

static void keeps_tokens_and_the_state_of_the_backfill(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    frontend_login(db, 7, "first", "one");
    it_holds(db, "(SELECT backfill_status FROM athletes WHERE id = 7) = 'not_started'");
    frontend_login(db, 7, "second", "two");
    it_holds(db, "(SELECT access_token || refresh_token FROM access_tokens JOIN refresh_tokens "
                 "USING (athlete_id) WHERE athlete_id = 7) = 'secondtwo'");
    frontend_set_backfill(db, 7, "started");
    frontend_set_backfill(db, 7, "complete");
    it_holds(db, "(SELECT backfill_status FROM athletes WHERE id = 7) = 'complete'");
    assert_string_equal(it_try(db, "UPDATE athletes SET backfill_status = 'half'"), "22P02");
    it_holds(db, "(SELECT count(*) FROM athletes) = 1");
    it_exec(db, "DELETE FROM athletes");
    it_holds(db, "NOT EXISTS (SELECT FROM access_tokens) AND NOT EXISTS (SELECT FROM "
                 "refresh_tokens)");
}

/* ---- many overlapping sections ------------------------------------------------------------- */

/* The length of the union of all intervals, computed here and not by the database. */
static double union_of_intervals(struct it_db *db, const char *route)
{
    PGresult *res = it_query(db,
                             "SELECT start_m, end_m FROM route_sections WHERE route_id = '%s' "
                             "ORDER BY start_m, end_m",
                             route);
    double sum = 0, end = -1;
    for (int i = 0; i < PQntuples(res); i++) {
        double a = strtod(PQgetvalue(res, i, 0), NULL), b = strtod(PQgetvalue(res, i, 1), NULL);
        assert_true(a >= 0 && a < b);
        sum += fmax(0, b - fmax(a, end));
        end = fmax(end, b);
    }
    return sum;
}

/* Both ways, offsets within the tolerance, ends anywhere. */
static void four_hundred_overlapping_sections_add_up(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db,
            "SELECT setseed(0.25); INSERT INTO athletes (id) VALUES (1);"
            "INSERT INTO routes (id, display_name, track) VALUES ('north', 'North', "
            "it.way(0, 1, 400)), ('ring', 'Ring', it.ring(46.1, 7.08, 1500, 300));"
            "SELECT it.walk(n, 1, a, a + 0.02 + random() * 0.1, (random() - 0.5) * 0.0003) FROM "
            "(SELECT n, random() * 0.6 AS a FROM generate_series(1, %d, 2) n) x;"
            "SELECT it.walk(n, 1, a + 0.02 + random() * 0.1, a, (random() - 0.5) * 0.0003) FROM "
            "(SELECT n, random() * 0.6 AS a FROM generate_series(2, %d, 2) n) x;"
            "INSERT INTO activities (id, athlete_id, activity_type, summary_track) "
            "SELECT 1000 + n, 1, 'Run', ST_LineSubstring(it.ring(46.1, 7.08, 1500 + n %% 7, "
            "120)::geometry, a, a + 0.3)::geography FROM "
            "(SELECT n, random() * 0.7 AS a FROM generate_series(1, 60) n) x",
            SECTIONS, SECTIONS);
    it_process(db);
    it_holds(db, "(SELECT count(*) FROM route_sections WHERE route_id = 'north') >= %d", SECTIONS);
    static const char *const route[] = {"north", "ring"};
    for (int i = 0; i < 2; i++) {
        double sum = union_of_intervals(db, route[i]), stats = frontend_covered(db, 1, route[i]);
        if (fabs(sum - stats) > fmax(1, 1e-6 * sum))
            fail_msg("%s: intervals %.3f m, route_stats %.3f m", route[i], sum, stats);
        assert_true(sum > 1000);
        frontend_agrees(db, 1, route[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(has_every_column),
        IT_TEST(answers_every_question),
        IT_TEST(lists_activities_with_what_they_covered),
        IT_TEST(progress_is_right_before_midway_and_after),
        IT_TEST(progress_grows_while_it_works),
        IT_TEST(takes_two_hundred_activities_in_one_statement),
        IT_TEST(keeps_tokens_and_the_state_of_the_backfill),
        IT_TEST(four_hundred_overlapping_sections_add_up),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
