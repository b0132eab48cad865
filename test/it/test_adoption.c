/* An existing trail-progress database becomes Waymark's without losing a row, and ends with the
 * same tables as a fresh one. */
#include "it/frontend.h"
#include "it/load.h"

#define DATA WAYMARK_SOURCE_DIR "/test/it/data/"

/* Tables whose rows must all be there afterwards, as they were. A row that breaks a reference is in
 * adopted_orphans instead. */
static const char *const kept_tables[] = {"athletes",      "activities",     "routes",
                                          "access_tokens", "refresh_tokens", NULL};

/* Rows, without the columns that are ours. */
#define ROWS(table)                                                                                \
    "SELECT to_jsonb(t) - '{revision,source,tolerance_m,stale,updated_at}'::text[] AS x "          \
    "FROM " table " t"

static struct it_db *old_database(const char *variant)
{
    struct it_db *db = it_db_bare(true);
    it_script(db, it_read_file(DATA "trail_progress.sql"));
    it_helpers(db);
    it_script(db, it_read_file(DATA "trail_progress_rows.sql"));
    if (variant != NULL)
        it_script(db, it_read_file(it_format(DATA "%s", variant)));
    /* A copy, to compare with. */
    it_exec(db, "CREATE SCHEMA before; CREATE TABLE before.processing AS TABLE processing;"
                "CREATE TABLE before.relevant_activities AS TABLE relevant_activities;"
                "CREATE TABLE before.route_stats AS TABLE route_stats");
    for (const char *const *t = kept_tables; *t != NULL; t++)
        it_exec(db, "CREATE TABLE before.%s AS TABLE %s", *t, *t);
    return db;
}

static void nothing_is_lost(struct it_db *db)
{
    for (const char *const *t = kept_tables; *t != NULL; t++) {
        /* What was there and is neither where it was nor moved aside, and the other way round. */
        it_holds(db,
                 "NOT EXISTS (" ROWS("before.%s") " EXCEPT (" ROWS(
                     "%s") " UNION ALL SELECT content - "
                           "'{revision,source,tolerance_m,updated_at}'::text[] FROM "
                           "adopted_orphans WHERE table_name = '%s'))",
                 *t, *t, *t);
        it_holds(db, "NOT EXISTS (" ROWS("%s") " EXCEPT " ROWS("before.%s") ")", *t, *t);
    }
    it_holds(db, "NOT EXISTS (TABLE before.processing EXCEPT TABLE processing_adopted)");
    it_holds(db, "(SELECT count(*) FROM before.processing) = (SELECT count(*) FROM "
                 "processing_adopted)");
}

static const char *fingerprint(struct it_db *db)
{
    return it_text(db, "SELECT md5(concat((SELECT count(*) FROM adopted_orphans), "
                       "(SELECT string_agg(applied_at::text, ',') FROM schema_migration), "
                       "(SELECT string_agg(ukey, ',' ORDER BY ukey) FROM q.job), "
                       "(SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger)))");
}

static void adopted(struct it_db *db)
{
    it_must(db, NULL, IT_LIST("migrate"), 0);
    nothing_is_lost(db);
    const char *first = fingerprint(db);
    it_must(db, NULL, IT_LIST("migrate"), 0);
    assert_string_equal(fingerprint(db), first);
    nothing_is_lost(db);
    it_holds(db, "(SELECT relkind FROM pg_class WHERE oid = 'processing'::regclass) = 'v'");
    it_holds(db, "NOT EXISTS (SELECT FROM processing WHERE processed)");
}

static void processed(struct it_db *db)
{
    it_process(db);
    it_same_as_recomputed(db);
    frontend_agrees(db, 1, "north");
    frontend_agrees(db, 2, "north");
    nothing_is_lost(db);
}

/* The frontend goes on, before, between and after. */
static void an_existing_database_is_adopted(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    frontend_asks_all(db, 1, "token of 1");
    struct frontend_counts c = frontend_progress(db, 1, "north");
    assert_int_equal(c.processed, 7);
    adopted(db);
    it_holds(db, "NOT EXISTS (SELECT FROM adopted_orphans)");
    frontend_asks_all(db, 1, "token of 1");
    c = frontend_progress(db, 1, "north");
    assert_int_equal(c.unprocessed, 8);
    processed(db);
    frontend_asks_all(db, 1, "token of 1");
    c = frontend_progress(db, 1, "north");
    assert_int_equal(c.processed, 8);
}

static void rows_without_their_references_are_moved_aside(void **state)
{
    (void)state;
    struct it_db *db = old_database("trail_progress_loose.sql");
    frontend_asks_all(db, 1, "token of 1");
    adopted(db);
    it_holds(db, "(SELECT count(*) FROM adopted_orphans WHERE table_name = 'activities') = 1");
    it_holds(db, "(SELECT content->>'access_token' FROM adopted_orphans WHERE table_name = "
                 "'access_tokens') = 'nobody'");
    it_holds(db, "(SELECT count(*) FROM adopted_orphans WHERE table_name = 'route_sections') = 3");
    it_holds(db, "(SELECT count(*) FROM adopted_orphans WHERE table_name = 'intersections') = 1");
    /* Of twins the newest stays. */
    it_holds(db, "(SELECT relevant FROM relevant_activities WHERE activity_id = 1 AND route_id = "
                 "'north')");
    it_holds(db, "(SELECT count(*) FROM before.relevant_activities) = (SELECT count(*) FROM "
                 "relevant_activities) + (SELECT count(*) FROM adopted_orphans WHERE table_name = "
                 "'relevant_activities')");
    it_holds(db, "(SELECT count(*) FROM before.route_stats) = (SELECT count(*) FROM route_stats) + "
                 "(SELECT count(*) FROM adopted_orphans WHERE table_name = 'route_stats')");
    processed(db);
    frontend_asks_all(db, 1, "token of 1");
}

/* References that stand in the way of a deletion, in every table. */
static void references_that_forbid_deletion_are_made_to_follow(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    it_script(db,
              "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS tab, conname,"
              " pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE contype = 'f' AND "
              "connamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s DROP "
              "CONSTRAINT %I, ADD CONSTRAINT %I %s', c.tab, c.conname, c.conname, "
              "replace(c.def, 'ON DELETE CASCADE', 'NOT VALID')); END LOOP; END $$");
    adopted(db);
    it_process(db);
    it_exec(db, "DELETE FROM activities WHERE id = 3");
    it_exec(db, "DELETE FROM athletes WHERE id = 3");
    it_exec(db, "DELETE FROM routes WHERE id = 'far'");
    it_process(db);
    it_same_as_recomputed(db);
}

/* Everything that works in a new database works in an adopted one. */
static void an_adopted_database_goes_on(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    adopted(db);
    it_exec(db, "DELETE FROM activities WHERE id = 8"); /* before it was ever processed */
    it_process(db);
    int64_t adopted_rows = it_i64(db, "SELECT count(*) FROM processing_adopted");
    const struct frontend_activity a[] = {{500, 1, 0.6, 0.7, 0.0001}, {501, 9, 0.2, 0.3, 0}};
    frontend_login(db, 9, "token of 9", "refresh of 9");
    assert_int_equal(frontend_insert(db, a, 2), 2);
    it_exec(db, "DELETE FROM activities WHERE id IN (2, 11)");
    it_exec(db, "UPDATE activities SET athlete_id = 2 WHERE id = 4");
    it_exec(db, "INSERT INTO routes (display_name, track) VALUES ('New', it.way(0.2, 0.6, 200))");
    it_exec(db, "UPDATE routes SET track = it.way(0, 0.9, 300) WHERE id = 'north'");
    it_holds(db, "(SELECT length FROM routes WHERE id = 'north') = (SELECT ST_Length(track) FROM "
                 "routes WHERE id = 'north')");
    it_process(db);
    it_same_as_recomputed(db);
    frontend_asks_all(db, 9, "token of 9");
    assert_int_equal(it_i64(db, "SELECT count(*) FROM processing_adopted"), adopted_rows);
}

/* A migration that fails in the middle leaves everything as it was. */
static void a_failed_adoption_changes_nothing(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    it_exec(db, "CREATE VIEW adopted_orphans AS SELECT 1 AS x");
    struct it_result r = it_run(db, NULL, IT_LIST("migrate"));
    assert_true(r.status != 0);
    it_holds(db, "(SELECT relkind FROM pg_class WHERE oid = 'processing'::regclass) = 'r'");
    it_holds(db, "to_regclass('processing_adopted') IS NULL AND to_regclass('q.job') IS NULL");
    frontend_asks_all(db, 1, "token of 1");
    it_exec(db, "SELECT it.walk(40, 1, 0.1, 0.2)"); /* its triggers still work */
    it_holds(db, "(SELECT count(*) FROM processing WHERE activity_id = 40) = 3");
    it_exec(db, "DELETE FROM activities WHERE id = 40; DROP VIEW adopted_orphans");
    adopted(db);
    processed(db);
}

/* ---- as others may have it ----------------------------------------------------------------- */

#define READER "\"Reader of old\""

/* The old triggers by other names, and a body that names its table in another way: an INSERT into
 * what is a view now would fail. */
static void triggers_by_other_names_go(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    it_script(db, "ALTER TRIGGER process_activity ON activities RENAME TO \"Pair up\";"
                  "ALTER FUNCTION process_activity() RENAME TO pair_up;"
                  "DROP TRIGGER process_route ON routes; DROP FUNCTION process_route();"
                  "CREATE FUNCTION pair_route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                  " insert  INTO public.\"processing\" (activity_id, route_id)"
                  " SELECT a.id, n.id FROM fresh n CROSS JOIN activities a; RETURN NULL; END $$;"
                  "CREATE TRIGGER pair_route AFTER INSERT ON routes REFERENCING NEW TABLE AS fresh"
                  " FOR EACH STATEMENT EXECUTE FUNCTION pair_route()");
    adopted(db);
    it_exec(db, "SELECT it.walk(40, 1, 0.1, 0.2)");
    it_exec(db, "INSERT INTO routes (id, display_name, track) VALUES ('new', 'New', "
                "it.way(0.2, 0.6, 200))");
    it_holds(db, "(SELECT count(*) FROM processing WHERE route_id = 'new') ="
                 " (SELECT count(*) FROM activities)");
    it_process(db);
    it_same_as_recomputed(db);
}

static void readers_of_processing_stay_readers(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    it_script(db, "CREATE ROLE " READER "; CREATE ROLE stranger;"
                  "GRANT SELECT, DELETE ON processing TO " READER);
    adopted(db);
    it_holds(db, "has_table_privilege('" READER "'::regrole, 'processing', 'SELECT')");
    it_holds(db, "NOT has_table_privilege('stranger', 'processing', 'SELECT')");
    it_exec(db, "SET ROLE " READER "; SELECT count(*) FROM processing WHERE NOT processed;"
                "RESET ROLE");
    processed(db);
    /* And whoever comes in the name of everybody. */
    struct it_db *open = old_database(NULL);
    it_exec(open, "GRANT SELECT ON processing TO PUBLIC");
    adopted(open);
    it_holds(open, "has_table_privilege('stranger', 'processing', 'SELECT')");
}

/* A recorded file does not tell what an older trail-progress demanded. */
static void columns_that_demand_too_much_are_relaxed(void **state)
{
    (void)state;
    struct it_db *db = old_database(NULL);
    /* What is missing is filled in from another row. */
    it_script(db, "DO $$ DECLARE c record; BEGIN FOR c IN SELECT 'activities' AS tab, unnest('{"
                  "name,distance,moving_time,elapsed_time,total_elevation_gain,start_date,local_tz,"
                  "summary_track,start_latlng,end_latlng,elev_low,elev_high,external_id}'::text[])"
                  " AS col UNION ALL SELECT 'routes', unnest('{length,description,thumbnail}'"
                  "::text[]) LOOP EXECUTE format('UPDATE %1$I SET %2$I = (SELECT %2$I FROM %1$I"
                  " WHERE %2$I IS NOT NULL LIMIT 1) WHERE %2$I IS NULL', c.tab, c.col);"
                  " EXECUTE format('ALTER TABLE %1$I ALTER %2$I SET NOT NULL', c.tab, c.col);"
                  " END LOOP; END $$;"
                  "TRUNCATE before.activities, before.routes;"
                  "INSERT INTO before.activities TABLE activities;"
                  "INSERT INTO before.routes TABLE routes");
    adopted(db);
    const char *track = load_gpx("track.gpx", "Track", 0.2, 0.5, 0.0001, 200);
    const char *route = load_gpx("route.gpx", "Trail", 0, 1, 0.03, 300);
    it_must(db, NULL, IT_LIST("import", "--athlete", "1", track), 0);
    it_must(db, NULL, IT_LIST("route", "import", route), 0);
    it_exec(db, "INSERT INTO activities (id, athlete_id, activity_type) VALUES (40, 1, 'Swim')");
    it_process(db);
    it_same_as_recomputed(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(an_existing_database_is_adopted),
        IT_TEST(rows_without_their_references_are_moved_aside),
        IT_TEST(references_that_forbid_deletion_are_made_to_follow),
        IT_TEST(an_adopted_database_goes_on),
        IT_TEST(a_failed_adoption_changes_nothing),
        IT_TEST(triggers_by_other_names_go),
        IT_TEST(readers_of_processing_stay_readers),
        IT_TEST(columns_that_demand_too_much_are_relaxed),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
