/* A frontend's role has rights on the tables of the contract only: that is enough for all that it
 * does, and does not lend it ours. */
#include "it/load.h"

/* Roles belong to the cluster: made by the first test that needs it. */
#define FRONTEND "frontend_of_a_friend"

/* The same database by a connection of that role, which has no more rights to go back to. */
static struct it_db as_frontend(struct it_db *db)
{
    struct it_db theirs = *db;
    it_script(db, "DO $$ BEGIN IF to_regrole('" FRONTEND "') IS NULL THEN"
                  " CREATE ROLE " FRONTEND " LOGIN; END IF; END $$;"
                  "GRANT SELECT, INSERT, UPDATE, DELETE ON athletes, activities, routes,"
                  " access_tokens, refresh_tokens TO " FRONTEND ";"
                  "GRANT SELECT ON processing, relevant_activities, intersections, route_sections,"
                  " route_stats TO " FRONTEND ";"
                  "GRANT USAGE ON SCHEMA it TO " FRONTEND);
    theirs.pg = PQconnectdb(it_format("%s user=" FRONTEND, db->url));
    if (PQstatus(theirs.pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(theirs.pg));
    return theirs;
}

static void must_be(struct it_db *theirs, const char *want, const char *sql)
{
    const char *got = it_try(theirs, sql);
    if (strcmp(got, want) != 0)
        fail_msg("%s instead of %s: %s\n%s", got, want, sql, PQerrorMessage(theirs->pg));
}

static void queued(struct it_db *db, const char *ukeys)
{
    it_holds(db, "(SELECT coalesce(string_agg(ukey, ' ' ORDER BY ukey), '') FROM q.job) = '%s'",
             ukeys);
    it_process(db);
}

static void the_tables_are_enough(void **state)
{
    (void)state;
    struct it_db *db = it_db_new(), theirs = as_frontend(db);
    it_script(&theirs, "SELECT it.scene()");
    it_process(db);
    it_script(&theirs, "SELECT it.walk(30, 1, 0.6, 0.7)");
    queued(db, "match:30");
    it_script(&theirs, "UPDATE activities SET name = 'x' WHERE id = 30");
    queued(db, "");
    it_script(&theirs, "UPDATE activities SET summary_track = it.way(0.3, 0.4, 50) WHERE id = 30");
    queued(db, "match:30");
    it_script(&theirs, "UPDATE activities SET athlete_id = 2 WHERE id = 30");
    queued(db, "match:30 stats:1");
    it_script(&theirs, "DELETE FROM activities WHERE id = 30");
    queued(db, "stats:2");
    it_script(&theirs, "INSERT INTO routes (id, display_name, track) VALUES"
                       " ('new', 'New', it.way(0.2, 0.6, 200))");
    queued(db, "route:new");
    it_script(&theirs, "UPDATE routes SET track = it.way(0.1, 0.5, 200) WHERE id = 'new'");
    queued(db, "route:new");
    it_script(&theirs, "DELETE FROM routes WHERE id = 'far'; DELETE FROM athletes WHERE id = 3");
    it_process(db);
    it_script(&theirs, "TABLE processing; TABLE route_sections; TABLE route_stats");
    it_same_as_recomputed(db);
    PQfinish(theirs.pg);
}

static void the_queue_is_out_of_reach(void **state)
{
    (void)state;
    static const char *const forbidden[] = {
        "SELECT waymark_queue_matches('{1}', '{1}')",
        "SELECT waymark_queue_stats('{1}')",
        "SELECT waymark_queue_routes('{north}')",
        "SELECT waymark_bump_epoch()",
        "SELECT waymark_check_epoch(1)",
        "SELECT waymark_page_done('north', 1, 1, '{}')",
        "TABLE q.job",
        "TABLE q.done",
        "TABLE q.dead",
        "TABLE q.instance",
        "DELETE FROM q.job",
        "INSERT INTO q.job (queue, kind, prio, payload) VALUES ('trails', 'match', 0, '{}')",
        "SELECT q.claim('trails', 1, 1, '{match}')",
        "SELECT q.rescue(1, 0)",
        "DELETE FROM activity_tracks",
        "UPDATE activity_state SET revision = 0",
        "UPDATE route_epoch SET epoch = 0",
        "UPDATE route_stats SET covered_length = 0",
        "DELETE FROM route_sections",
        "TABLE schema_migration; DELETE FROM schema_migration",
        NULL,
    };
    struct it_db *db = it_db_scene(), theirs = as_frontend(db);
    for (const char *const *sql = forbidden; *sql != NULL; sql++)
        must_be(&theirs, "42501", *sql);
    /* Nor by a trigger, which needs no more than the right to execute its function once. */
    it_script(&theirs, "CREATE TEMP TABLE bait (id bigint, athlete_id bigint, track geography,"
                       " length float8, revision bigint, tolerance_m float8)");
    must_be(&theirs, "42501",
            "CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION waymark_activities_changed()");
    must_be(&theirs, "42501",
            "CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION waymark_routes_changed()");
    must_be(&theirs, "42501",
            "CREATE TRIGGER t BEFORE INSERT ON bait FOR EACH ROW"
            " EXECUTE FUNCTION waymark_route_revise()");
    PQfinish(theirs.pg);
}

/* Temporary tables named like ours, with a trigger that would run with the rights of whoever uses
 * them: none is touched, whatever happens to an activity or a route. */
static void a_temporary_table_catches_nobody(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene(), theirs = as_frontend(db);
    it_exec(db, "INSERT INTO activity_tracks SELECT id, summary_track, 'gpx' FROM activities"
                " WHERE id = 1");
    it_process(db);
    it_script(&theirs,
              "CREATE FUNCTION pg_temp.gotcha() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
              " RAISE EXCEPTION 'as %', current_user USING ERRCODE = 'EVIL1'; END $$;"
              "DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY '{activity_tracks,"
              " route_sections,route_stats,activity_state,route_epoch,route_pages}'::text[] LOOP"
              " EXECUTE format('CREATE TEMP TABLE %I (activity_id bigint, athlete_id bigint,"
              "  route_id text, track geography, origin text, stale boolean, epoch bigint)', name);"
              " EXECUTE format('CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON pg_temp.%I"
              "  FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.gotcha()', name);"
              " END LOOP; END $$");
    must_be(&theirs, "EVIL1", "DELETE FROM activity_tracks"); /* the trap works */
    must_be(&theirs, "00000",
            "UPDATE activities SET summary_track = it.way(0.1, 0.2, 50) WHERE id IN (1, 2)");
    must_be(&theirs, "00000", "UPDATE activities SET athlete_id = 2 WHERE id = 3");
    must_be(&theirs, "00000", "UPDATE activities SET id = 40 WHERE id = 4");
    must_be(&theirs, "00000", "SELECT it.walk(31, 1, 0.1, 0.4)");
    must_be(&theirs, "00000", "DELETE FROM activities WHERE id IN (1, 5)");
    must_be(&theirs, "00000", "UPDATE routes SET tolerance_m = 50 WHERE id = 'north'");
    must_be(&theirs, "00000", "DELETE FROM routes WHERE id = 'ring'");
    must_be(&theirs, "00000", "DELETE FROM athletes WHERE id = 3");
    it_holds(db, "NOT EXISTS (SELECT FROM activity_tracks)");
    it_process(db);
    it_same_as_recomputed(db);
    PQfinish(theirs.pg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(the_tables_are_enough),
        IT_TEST(the_queue_is_out_of_reach),
        IT_TEST(a_temporary_table_catches_nobody),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
