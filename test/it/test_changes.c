/* Whatever anybody does to activities and routes by plain SQL, the tables end as if everything had
 * been inserted anew. */
#include "it/it.h"

/* A change of it.scene() after it was processed, what must hold right after it, and what must hold
 * after processing again, besides being the same as a fresh computation. */
struct change {
    const char *name, *sql, *at_once, *finally;
};

#define NO_JOB   "NOT EXISTS (SELECT FROM q.job)"
#define JOB(key) "EXISTS (SELECT FROM q.job WHERE ukey = '" key "')"
#define STATS(a, r)                                                                                \
    "(SELECT covered_length FROM route_stats WHERE athlete_id = " #a " AND route_id = '" r "')"
#define CREDIT(act, r)                                                                             \
    "EXISTS (SELECT FROM route_sections WHERE activity_id = " #act " AND route_id = '" r "')"

static const struct change changes[] = {
    /* ---- activities ---- */
    {"activity_inserted", "SELECT it.walk(30, 1, 0.6, 0.7)", JOB("match:30"), CREDIT(30, "north")},
    {"activity_cropped",
     "CREATE TABLE it.before AS SELECT * FROM route_stats;"
     "UPDATE activities SET summary_track = it.way(0.4, 0.45, 60) WHERE id = 8",
     JOB("match:8"),
     STATS(1, "north") " < (SELECT covered_length - 1000 FROM it.before WHERE athlete_id = 1 AND "
                       "route_id = 'north')"},
    {"activity_moved_away",
     "UPDATE activities SET summary_track = it.way(0, 1, 50, 9) WHERE id IN (11, 12, 13)",
     JOB("match:12"), STATS(2, "north") " IS NULL"},
    {"activity_of_another_athlete", "UPDATE activities SET athlete_id = 3 WHERE id = 4",
     JOB("match:4"), STATS(3, "north") " > 2000"},
    {"last_activity_of_another_athlete",
     "UPDATE activities SET athlete_id = 1 WHERE athlete_id = 2", JOB("stats:2"),
     STATS(2, "north") " IS NULL"},
    /* The sums of the old athlete may be made before the activity is matched again. */
    {"activity_of_another_athlete_sums_first",
     "UPDATE activities SET athlete_id = 3 WHERE id = 4; UPDATE q.job SET prio = -1 WHERE kind = "
     "'stats'",
     JOB("stats:1"), "NOT EXISTS (SELECT FROM route_stats WHERE stale)"},
    {"activity_of_another_athlete_and_cropped",
     "UPDATE activities SET athlete_id = 2, summary_track = it.way(0.1, 0.15, 40) WHERE id = 8",
     JOB("match:8"), STATS(2, "north") " > 0"},
    {"activity_with_another_id", "UPDATE activities SET id = 99 WHERE id = 4", JOB("match:99"),
     CREDIT(99, "north")},
    {"ids_exchanged",
     "UPDATE activities SET id = -1 WHERE id = 1; UPDATE activities SET id = 1 WHERE id = 13;"
     "UPDATE activities SET id = 13 WHERE id = -1",
     JOB("match:13"), CREDIT(13, "north")},
    {"activity_renamed",
     "UPDATE activities SET name = 'x', activity_type = 'Run', external_id = NULL, elev_low = 1",
     NO_JOB, CREDIT(4, "north")},
    {"track_set_to_itself",
     "UPDATE activities SET summary_track = summary_track, athlete_id = athlete_id", NO_JOB,
     CREDIT(4, "north")},
    {"track_taken_away", "UPDATE activities SET summary_track = NULL WHERE id = 4", JOB("match:4"),
     "NOT " CREDIT(
         4, "north") " AND (SELECT note FROM activity_state WHERE activity_id = 4) = 'no track'"},
    {"track_reversed",
     "UPDATE activities SET summary_track = ST_Reverse(summary_track::geometry)::geography WHERE "
     "id = 4",
     JOB("match:4"), CREDIT(4, "north")},
    {"all_tracks_changed",
     "UPDATE activities SET summary_track = it.way(id * 0.01, id * 0.01 + 0.2, 80, -0.0001) "
     "WHERE id <> 22",
     JOB("match:1"), CREDIT(23, "north")},
    {"activity_deleted", "DELETE FROM activities WHERE id = 8", JOB("stats:1"),
     "NOT " CREDIT(8, "north")},
    {"last_activity_deleted", "DELETE FROM activities WHERE athlete_id = 2", JOB("stats:2"),
     STATS(2, "north") " IS NULL"},
    {"all_activities_deleted", "DELETE FROM activities", JOB("stats:3"),
     "NOT EXISTS (SELECT FROM route_stats) AND NOT EXISTS (SELECT FROM activity_state)"},
    {"activities_truncated", "TRUNCATE activities CASCADE", JOB("stats:1"),
     "NOT EXISTS (SELECT FROM route_stats)"},
    {"activity_deleted_and_inserted",
     "DELETE FROM activities WHERE id = 4; SELECT it.walk(4, 2, 0.1, 0.2)", JOB("match:4"),
     CREDIT(4, "north")},
    {"activity_inserted_and_deleted",
     "SELECT it.walk(30, 1, 0.6, 0.7); DELETE FROM activities WHERE id = 30", JOB("match:30"),
     "NOT EXISTS (SELECT FROM activity_state WHERE activity_id = 30)"},
    {"activity_inserted_and_changed_and_renumbered",
     "SELECT it.walk(30, 1, 0.6, 0.7); UPDATE activities SET athlete_id = 2 WHERE id = 30;"
     "UPDATE activities SET id = 31, summary_track = it.way(0.6, 0.65, 30) WHERE id = 30",
     JOB("match:31"), CREDIT(31, "north")},
    {"athlete_deleted", "DELETE FROM athletes WHERE id = 1", NO_JOB " OR TRUE",
     "NOT EXISTS (SELECT FROM route_sections WHERE athlete_id = 1) AND " STATS(2, "north") " > 0"},
    {"athlete_with_another_id", "UPDATE athletes SET id = 77 WHERE id = 1", JOB("match:1"),
     STATS(77, "north") " > 0"},
    {"athletes_truncated", "TRUNCATE athletes CASCADE", "TRUE",
     "NOT EXISTS (SELECT FROM route_stats)"},
    /* ---- better tracks ---- */
    {"better_track_added",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx')",
     JOB("match:4"),
     "(SELECT max(end_m) FROM route_sections WHERE activity_id = 4 AND route_id = 'north') > "
     "11000"},
    {"better_track_of_what_was_cropped_then",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "UPDATE activities SET summary_track = it.way(0.2, 0.25, 40) WHERE id = 4",
     "NOT EXISTS (SELECT FROM activity_tracks)",
     "(SELECT max(end_m) FROM route_sections WHERE activity_id = 4 AND route_id = 'north') < 7000"},
    {"better_track_removed",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "DELETE FROM activity_tracks",
     JOB("match:4"), CREDIT(4, "north")},
    {"better_tracks_truncated",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "DELETE FROM q.job; TRUNCATE activity_tracks",
     JOB("match:4"), CREDIT(4, "north")},
    {"better_track_truncated_with_activities",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "TRUNCATE activities CASCADE",
     "NOT EXISTS (SELECT FROM activity_tracks)", "NOT EXISTS (SELECT FROM route_stats)"},
    {"better_track_removed_by_a_trigger_of_the_frontend",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "DELETE FROM q.job; CREATE FUNCTION it.forget() RETURNS trigger LANGUAGE plpgsql AS $$ "
     "BEGIN DELETE FROM activity_tracks; RETURN NULL; END $$; CREATE TRIGGER forget AFTER UPDATE "
     "ON "
     "athletes EXECUTE FUNCTION it.forget(); UPDATE athletes SET backfill_status = 'complete'",
     JOB("match:4"), CREDIT(4, "north")},
    {"better_track_of_what_was_cropped_and_revised_then",
     "INSERT INTO activity_tracks (activity_id, track, origin) VALUES (4, it.way(0.2, 0.5, 300), "
     "'gpx');"
     "UPDATE activities SET summary_track = it.way(0.2, 0.25, 40), revision = revision + 1 WHERE "
     "id = 4",
     "NOT EXISTS (SELECT FROM activity_tracks)",
     "(SELECT max(end_m) FROM route_sections WHERE activity_id = 4 AND route_id = 'north') < 7000"},
    /* ---- routes ---- */
    {"route_inserted",
     "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', it.way(0.2, 0.6, 200, "
     "0.0002))",
     JOB("route:new"), STATS(1, "new") " > 0"},
    {"route_without_an_id",
     "INSERT INTO routes (display_name, track) VALUES ('New', it.way(0.2, 0.6, 200))",
     "(SELECT length(id) FROM routes WHERE display_name = 'New') = 36", "TRUE"},
    {"route_moved", "UPDATE routes SET track = it.way(0.3, 0.7, 300) WHERE id = 'north'",
     JOB("route:north"), "NOT " CREDIT(1, "north")},
    {"route_moved_to_where_nobody_was",
     "UPDATE routes SET track = it.way(0, 1, 300, 20) WHERE id = 'north'", JOB("route:north"),
     "NOT EXISTS (SELECT FROM route_stats WHERE route_id = 'north')"},
    {"route_moved_to_where_somebody_was",
     "UPDATE routes SET track = it.way(0.25, 0.3, 300, 3) WHERE id = 'far'", JOB("route:far"),
     STATS(3, "far") " > 1000"},
    {"route_turned_round",
     "UPDATE routes SET track = ST_Reverse(track::geometry)::geography WHERE id = 'north'",
     JOB("route:north"), CREDIT(1, "north")},
    {"tolerance_narrowed", "UPDATE routes SET tolerance_m = 5 WHERE id = 'north'",
     JOB("route:north"), "TRUE"},
    {"tolerance_widened", "UPDATE routes SET tolerance_m = 500", JOB("route:ring"),
     CREDIT(1, "north")},
    {"route_renamed",
     "UPDATE routes SET display_name = 'x', description = 'y', thumbnail = 'z', track = track",
     NO_JOB, CREDIT(1, "north")},
    {"length_set_by_hand", "UPDATE routes SET length = 12 WHERE id = 'north'", NO_JOB, "TRUE"},
    {"route_with_another_id", "UPDATE routes SET id = 'nord' WHERE id = 'north'", JOB("route:nord"),
     CREDIT(1, "nord") " AND " STATS(1, "nord") " > 0"},
    {"route_deleted", "DELETE FROM routes WHERE id = 'north'",
     "NOT EXISTS (SELECT FROM route_sections WHERE route_id = 'north')", STATS(3, "ring") " > 0"},
    {"routes_truncated", "TRUNCATE routes CASCADE", "TRUE", "NOT EXISTS (SELECT FROM route_stats)"},
    {"route_deleted_and_inserted",
     "DELETE FROM routes WHERE id = 'north'; INSERT INTO routes (id, display_name, track) VALUES "
     "('north', 'N', it.way(0, 0.5, 200))",
     JOB("route:north"), CREDIT(1, "north")},
    {"route_and_activity_together",
     "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', it.way(0.2, 0.6, 200)); "
     "SELECT it.walk(30, 2, 0.3, 0.5);"
     "UPDATE routes SET tolerance_m = 30 WHERE id = 'north'; DELETE FROM activities WHERE id = 2",
     JOB("route:new"), CREDIT(30, "new")},
};

static void ends_as_if_inserted_anew(void **state)
{
    const struct change *c = *state;
    struct it_db *db = it_db_scene();
    const char *before = it_digest(db);
    it_script(db, it_format("BEGIN; %s; COMMIT", c->sql));
    it_holds(db, "%s", c->at_once);
    it_process(db);
    it_holds(db, "%s", c->finally);
    it_same_as_recomputed(db);
    if (strcmp(c->at_once, NO_JOB) == 0)
        assert_string_equal(it_digest(db), before);
}

/* The same change while nothing has been processed yet. */
static void changes_before_the_first_run_count_too(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    it_exec(
        db,
        "UPDATE activities SET id = id + 100, athlete_id = 4 - athlete_id WHERE id IN (1, 2, 21)");
    it_exec(db, "UPDATE routes SET id = 'nord', track = it.way(0.1, 0.9, 100) WHERE id = 'north'");
    it_exec(db, "DELETE FROM activities WHERE id = 12");
    it_process(db);
    it_same_as_recomputed(db);
}

static void many_changes_in_a_row_add_up(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "INSERT INTO athletes (id) VALUES (4)");
    for (int i = 0; i < 4; i++) {
        it_exec(db, "SELECT it.walk(200 + %d, 1 + %d, 0.1 * %d, 0.1 * %d + 0.2)", i, i % 3, i, i);
        it_exec(db,
                "UPDATE activities SET athlete_id = 1 + (athlete_id + 1) %% 4 WHERE id %% 4 = %d",
                i);
        it_exec(db, "UPDATE routes SET track = it.way(0.1 * %d, 1, 300 + %d) WHERE id = 'north'", i,
                i);
        it_exec(db, "DELETE FROM activities WHERE id = %d", i + 5);
        if (i % 2 == 1)
            it_process(db);
    }
    it_same_as_recomputed(db);
}

/* ---- geometry that is none ----------------------------------------------------------------- */

#define POINTS(list) "ST_SetSRID('" list "'::geometry, 4326)::geography"

static const struct bad {
    const char *name, *track;
} bad_tracks[] = {
    {"null", "NULL"},
    {"one_point", POINTS("POINT(7 46)")},
    {"line_of_one_place", POINTS("LINESTRING(7 46, 7 46, 7 46)")},
    {"two_equal_points", POINTS("LINESTRING(7 46, 7 46)")},
    {"empty_line", POINTS("LINESTRING EMPTY")},
    {"empty_collection", POINTS("GEOMETRYCOLLECTION EMPTY")},
    {"polygon", POINTS("POLYGON((7 46, 7.01 46, 7.01 46.01, 7 46))")},
    {"points", POINTS("MULTIPOINT(7 46, 7.01 46.01)")},
    {"collection", POINTS("GEOMETRYCOLLECTION(POINT(7 46), LINESTRING(7 46, 7.01 46.01))")},
    {"curve", POINTS("CIRCULARSTRING(7 46, 7.01 46.01, 7.02 46)")},
    {"many_lines",
     "ST_Collect(it.way(0, 0.1, 40)::geometry, it.way(0.2, 0.4, 60)::geometry)::geography"},
    {"lines_with_height", "ST_Force3D(it.way(0, 0.1, 40)::geometry)::geography"},
    {"lines_with_time", "ST_Force4D(it.way(0, 0.1, 40)::geometry)::geography"},
    {"loop_of_sixty_metres", "it.ring(46, 7, 10, 12)"},
    {"jump", POINTS("LINESTRING(7 46, 7.001 46.001, 7.2 46, 7.201 46.001)")},
    {"latitude_91", POINTS("LINESTRING(7 91, 7 46, 7.01 46.01)")},
    {"longitude_540", POINTS("LINESTRING(367 46, 7.01 46.01, 540 46)")},
    {"not_a_number",
     "ST_SetSRID(ST_MakeLine(ST_MakePoint('NaN', 46), ST_MakePoint(7, 46.1)), 4326)::geography"},
    {"all_not_a_number", "ST_SetSRID(ST_MakeLine(ST_MakePoint('NaN', 'NaN'), ST_MakePoint('NaN', "
                         "'NaN')), 4326)::geography"},
    {"infinite",
     "ST_SetSRID(ST_MakeLine(ST_MakePoint(7, 46), ST_MakePoint('Infinity', 46)), 4326)::geography"},
    {"pole", POINTS("LINESTRING(7 89.99, 187 89.99, 7 90)")},
    {"200000_points", "it.way(0, 1, 200000)"},
};

enum { BAD_TRACKS = sizeof(bad_tracks) / sizeof(*bad_tracks), FIRST_BAD = 50 };

static bool takes(struct it_db *db, const char *name, const char *sql)
{
    const char *refused = it_try(db, sql);
    if (strcmp(refused, "00000") != 0)
        print_message("%s: refused by the server, %s\n", name, refused);
    return strcmp(refused, "00000") == 0;
}

static void set_tracks(struct it_db *db)
{
    for (int i = 0; i < BAD_TRACKS; i++)
        (void)it_try(db, it_format("UPDATE activities SET summary_track = %s WHERE id = %d",
                                   bad_tracks[i].track, FIRST_BAD + i));
}

/* Whatever the server lets in is processed, and takes nothing else down. */
static void activities_without_a_line_do_no_harm(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    for (int i = 0; i < BAD_TRACKS; i++)
        (void)takes(db, bad_tracks[i].name,
                    it_format("INSERT INTO activities (id, athlete_id, activity_type, name, "
                              "summary_track) VALUES (%d, 3, 'Run', '%s', %s)",
                              FIRST_BAD + i, bad_tracks[i].name, bad_tracks[i].track));
    it_holds(db, "(SELECT count(*) FROM activities WHERE id >= %d) >= %d", FIRST_BAD,
             BAD_TRACKS - 1);
    it_process(db);
    it_holds(db, "NOT EXISTS (SELECT FROM activities WHERE id NOT IN (SELECT activity_id FROM "
                 "activity_state))");
    it_holds(db, STATS(1, "north") " > 10000 AND " STATS(2, "north") " > 6000");
    it_exec(db, "UPDATE activities SET summary_track = it.way(0.6, 0.7, 50) WHERE id >= %d",
            FIRST_BAD);
    it_process(db);
    it_holds(db,
             "NOT EXISTS (SELECT FROM activities WHERE id >= %d AND id NOT IN (SELECT "
             "activity_id FROM route_sections))",
             FIRST_BAD);
    set_tracks(db);
    it_process(db);
    it_same_as_recomputed(db);
}

static const struct bad bad_routes[] = {
    {"route_of_two_points", POINTS("LINESTRING(7 46, 7 46.1)")},
    {"route_of_one_place", POINTS("LINESTRING(7 46, 7 46)")},
    {"route_empty", POINTS("LINESTRING EMPTY")},
    {"route_of_sixty_metres", "it.ring(46.1, 7.08, 10, 12)"},
    {"route_with_latitude_91", POINTS("LINESTRING(7 91, 7 46, 7.01 46.01)")},
    {"route_not_a_number",
     "ST_SetSRID(ST_MakeLine(ST_MakePoint('NaN', 46), ST_MakePoint(7, 46.1)), 4326)::geography"},
    {"route_infinite",
     "ST_SetSRID(ST_MakeLine(ST_MakePoint(7, 46), ST_MakePoint('Infinity', 46)), 4326)::geography"},
    {"route_round_the_world", POINTS("LINESTRING(-170 10, -60 10, 60 10, 170 10, -170 10)")},
    {"route_over_the_antimeridian", POINTS("LINESTRING(179.9 -16.8, -179.9 -16.8)")},
    {"route_over_the_pole", POINTS("LINESTRING(7 89.9, 187 89.9)")},
    {"route_of_200000_points", "it.way(0, 1, 200000)"},
};

enum { BAD_ROUTES = sizeof(bad_routes) / sizeof(*bad_routes) };

static void routes_without_a_line_do_no_harm(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    unsigned taken = 0;
    it_exec(db, "SELECT it.scene()");
    for (int i = 0; i < BAD_ROUTES; i++)
        taken += takes(db, bad_routes[i].name,
                       it_format("INSERT INTO routes (id, display_name, track) VALUES ('%s', "
                                 "'odd', %s)",
                                 bad_routes[i].name, bad_routes[i].track));
    assert_true(taken >= BAD_ROUTES - 1);
    it_process(db);
    it_holds(db, "NOT EXISTS (SELECT FROM routes WHERE id NOT IN (SELECT route_id FROM "
                 "route_state))");
    it_holds(db, STATS(1, "north") " > 10000");
    it_must(db, NULL, IT_LIST("route", "list", "--athlete", "1"), 0);
    it_must(db, NULL, IT_LIST("route", "list", "--athlete", "1", "--json"), 0);
    it_exec(db, "UPDATE routes SET track = it.way(0, 0.5, 200) WHERE display_name = 'odd'");
    it_process(db);
    it_holds(db, "(SELECT count(DISTINCT route_id) FROM route_sections WHERE athlete_id = 1) >= %u",
             taken);
    for (int i = 0; i < BAD_ROUTES; i++)
        it_exec(db, "UPDATE routes SET track = %s WHERE id = '%s'", bad_routes[i].track,
                bad_routes[i].name);
    it_process(db);
    it_same_as_recomputed(db);
}

enum { CHANGES = sizeof(changes) / sizeof(*changes), OTHERS = 4 };

int main(void)
{
    struct CMUnitTest tests[CHANGES + OTHERS] = {
        IT_TEST(changes_before_the_first_run_count_too),
        IT_TEST(many_changes_in_a_row_add_up),
        IT_TEST(activities_without_a_line_do_no_harm),
        IT_TEST(routes_without_a_line_do_no_harm),
    };
    for (size_t i = 0; i < CHANGES; i++)
        tests[OTHERS + i] = (struct CMUnitTest)IT_TEST_WITH(ends_as_if_inserted_anew, &changes[i]);
    return cmocka_run_group_tests(tests, it_up, it_down);
}
