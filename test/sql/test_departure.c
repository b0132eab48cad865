/* Erasing an athlete: nothing of them is left in any table, nothing of anybody else is touched, and
 * whoever works for them at that moment brings nothing back. */
#include "it/queue.h"

/* Tables in which there is nothing about an athlete. A table that is neither here nor among
 * waymark_athlete_places() fails the test: say which of them it belongs to. */
static const char about_nobody[] =
    "routes route_state route_epoch schema_migration spatial_ref_sys q.queue q.clock q.instance "
    "q.rate q.depth q.flow web.secret web.session web.failed_login web.login_key web.login_used "
    "strava.app "
    "strava.dispatcher";

static void every_table_is_known(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE TABLE processing_adopted (activity_id bigint, route_id text)");
    const char *forgotten = it_text(
        db,
        "SELECT coalesce(string_agg(c.oid::regclass::text, ' ' ORDER BY 1), '') FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'it') AND n.nspname !~ '^pg_'"
        " AND c.oid::regclass::text <> ALL (string_to_array('%s', ' '))"
        " AND NOT EXISTS (SELECT FROM waymark_athlete_places() p WHERE p.place = "
        "c.oid::regclass::text)",
        about_nobody);
    assert_string_equal(forgotten, "");
}

/* Whatever looks like an athlete, an activity, a tenant or a text about jobs is asked for. */
static void every_column_is_known(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE TABLE processing_adopted (activity_id bigint, route_id text);"
                "CREATE TABLE of_a_frontend (athlete_id bigint, theme text)");
    const char *forgotten = it_text(
        db,
        "SELECT coalesce(string_agg(format('%%s.%%s', c.oid::regclass, a.attname), ' ' ORDER BY "
        "1), '')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'it')"
        " AND (a.attname ~ '^(athlete|activity|owner|object)_ids?$' OR a.attname = 'tenant'"
        "      OR a.atttypid = 'jsonb'::regtype)"
        " AND NOT EXISTS (SELECT FROM waymark_athlete_places() p WHERE p.place = "
        "c.oid::regclass::text AND strpos(p.clause, a.attname) > 0)");
    assert_string_equal(forgotten, "");
}

/* ---- one of two athletes ----------------------------------------------------------------------
 */

/* Rows about athlete 77 (activities 7701 and 7702) and, the same, about 88 in every place. */
static void fill(struct it_db *db)
{
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/sql/departure.sql"));
}

/* Rows in each table, apart from those about 77; all of them, once nothing is about 77. */
static char *all_rows(struct it_db *db)
{
    return it_text(
        db, "SELECT string_agg(format('%%s %%s', x.place, x.n), ', ' ORDER BY x.place) FROM ("
            " SELECT p.place, (xpath('/row/n/text()', query_to_xml(format("
            "  'SELECT count(*) AS n FROM %%s', p.place), false, true, '')))[1]::text AS n"
            " FROM waymark_athlete_places() p) x");
}

static void nothing_is_left(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    fill(db);
    const char *empty =
        it_text(db, "SELECT coalesce(string_agg(place, ' '), '') FROM waymark_count_athlete(77) "
                    "WHERE n = 0");
    assert_string_equal(empty, "");
    char *had =
        it_text(db, "SELECT string_agg(format('%%s %%s', place, n), ', ' ORDER BY place) FROM "
                    "waymark_count_athlete(77)");
    char *others =
        it_text(db, "SELECT string_agg(format('%%s %%s', place, n), ', ' ORDER BY place) FROM "
                    "waymark_count_athlete(88)");
    it_exec(db, "CREATE TABLE it.erased AS SELECT * FROM waymark_erase_athlete(77)");
    assert_string_equal(
        it_text(db, "SELECT string_agg(format('%%s %%s', place, erased), ', ' ORDER BY place) "
                    "FROM it.erased"),
        had);
    it_holds(db, "(SELECT sum(remaining) FROM it.erased) = 0");
    it_holds(db, "(SELECT sum(n) FROM waymark_count_athlete(77)) = 0");
    assert_string_equal(
        it_text(db, "SELECT string_agg(format('%%s %%s', place, n), ', ' ORDER BY place) FROM "
                    "waymark_count_athlete(88)"),
        others);
    /* A page keeps the others in their order, the audit what was done, lanes go on. */
    it_holds(db, "(SELECT activity_ids FROM route_pages WHERE page = 77) = '{1,3,2}'");
    it_holds(db, "(SELECT filter FROM q.audit WHERE id = 1) = '{\"queue\": \"strava\"}'");
    it_holds(db, "NOT EXISTS (SELECT FROM q.halted WHERE lane = 'lane77')");
    /* Once more is no harm, and finds nothing. */
    char *rest = all_rows(db);
    it_holds(db, "(SELECT sum(erased) + sum(remaining) FROM waymark_erase_athlete(77)) = 0");
    assert_string_equal(all_rows(db), rest);
    q_is_sound(db);
}

/* No text of the whole database names the athlete, or an activity of theirs. */
static void no_text_is_left(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    fill(db);
    it_exec(db, "SELECT waymark_erase_athlete(77)");
    const char *where = it_text(
        db, "SELECT coalesce(string_agg(c.oid::regclass::text, ' '), '') FROM pg_class c JOIN "
            "pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'it')"
            " AND c.relname NOT IN ('spatial_ref_sys', 'schema_migration', 'routes')"
            " AND query_to_xml(format('SELECT * FROM %%s', c.oid::regclass), false, false, "
            "'')::text ~ '>(token:|look:|of )?77(0[1239])?<'");
    assert_string_equal(where, "route_pages"); /* the number of a page */
}

static void others_of_a_lane_go_on(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO athletes (id) VALUES (77), (88);"
                "SELECT q.add('[{\"queue\": \"q\", \"kind\": \"k\", \"lane\": \"L\", \"tenant\": "
                "77}, {\"queue\": \"q\", \"kind\": \"k\", \"lane\": \"L\", \"tenant\": 88}]')");
    it_exec(db, "SELECT waymark_erase_athlete(77)");
    it_holds(db, "(SELECT string_agg(state || ' ' || tenant, ',') FROM q.job) = 'ready 88'");
    q_is_sound(db);
}

static void an_athlete_who_never_was(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    char *digest = it_digest(db);
    it_holds(db, "(SELECT sum(erased) + sum(remaining) FROM waymark_erase_athlete(4711)) = 0");
    assert_string_equal(it_digest(db), digest);
}

/* The scene is processed; whatever one athlete leaves behind, the others' sums stay exact. */
static void the_rest_is_as_if_never_there(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "SELECT waymark_erase_athlete(1)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)"); /* not even a sum to make */
    it_process(db);
    it_same_as_recomputed(db);
    it_holds(db, "EXISTS (SELECT FROM route_stats WHERE athlete_id = 2)");
}

/* ---- at the same time ---------------------------------------------------------------------------
 */

/* Ends a job of theirs while it is erased: the history it writes is found. */
static void a_job_that_ends_meanwhile(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *worker = q_open(db), *eraser = q_open(db);
    it_exec(db, "INSERT INTO athletes (id) VALUES (77);"
                "SELECT q.add('[{\"queue\": \"q\", \"kind\": \"k\", \"tenant\": 77}]')");
    assert_int_equal(q_take(worker, 1, 5), 1);
    q_do(worker, "BEGIN; " Q_FINISH_ALL);
    q_send(eraser, "SELECT sum(remaining) FROM waymark_erase_athlete(77)");
    assert_true(q_waits(db, eraser));
    q_do(worker, "COMMIT");
    int64_t remaining = -1;
    assert_string_equal(q_answer(eraser, &remaining), "00000");
    assert_int_equal(remaining, 0);
    it_holds(db, "(SELECT sum(n) FROM waymark_count_athlete(77)) = 0");
}

/* A save that holds the athlete is waited for; one that comes later finds its job gone. */
static void a_save_that_is_under_way(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *saver = q_open(db), *eraser = q_open(db), *late = q_open(db);
    it_exec(db, "INSERT INTO athletes (id) VALUES (77);"
                "SELECT q.add('[{\"queue\": \"q\", \"kind\": \"k\", \"tenant\": 77}]')");
    assert_int_equal(q_take(late, 1, 5), 1);
    q_do(saver, "BEGIN; SELECT FROM athletes WHERE id = 77 FOR KEY SHARE; "
                "SELECT it.walk(7701, 77, 0.1, 0.3)");
    q_send(eraser, "SELECT sum(remaining) FROM waymark_erase_athlete(77)");
    assert_true(q_waits(db, eraser));
    q_do(saver, "COMMIT");
    int64_t remaining = -1;
    assert_string_equal(q_answer(eraser, &remaining), "00000");
    assert_int_equal(remaining, 0);
    assert_string_equal(q_state(late, "SELECT q.finish(ARRAY[1], ARRAY[1], 5)"), "WM001");
    assert_string_equal(q_state(late, "SELECT it.walk(7702, 77, 0.1, 0.3)"), "23503");
    it_holds(db, "(SELECT sum(n) FROM waymark_count_athlete(77)) = 0");
}

/* What waits for the eraser finds nobody to write for. */
static void a_save_that_comes_a_moment_later(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *saver = q_open(db), *eraser = q_open(db);
    it_exec(db, "INSERT INTO athletes (id) VALUES (77); SELECT it.walk(7701, 77, 0.1, 0.3)");
    q_do(eraser, "BEGIN; SELECT waymark_erase_athlete(77)");
    q_send(saver, "SELECT it.walk(7702, 77, 0.1, 0.3)");
    assert_true(q_waits(db, saver));
    q_do(eraser, "COMMIT");
    assert_string_equal(q_answer(saver, NULL), "23503");
    it_holds(db, "(SELECT sum(n) FROM waymark_count_athlete(77)) = 0");
}

/* No route is listed with activities that are about to go. */
static void a_route_that_is_listed_meanwhile(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    PGconn *lister = q_open(db), *eraser = q_open(db);
    q_do(lister, "BEGIN; SELECT waymark_bump_epoch(); INSERT INTO route_pages VALUES ('far', 1, 1, "
                 "ARRAY(SELECT id FROM activities ORDER BY id))");
    q_send(eraser, "SELECT sum(remaining) FROM waymark_erase_athlete(1)");
    assert_true(q_waits(db, eraser));
    q_do(lister, "COMMIT");
    int64_t remaining = -1;
    assert_string_equal(q_answer(eraser, &remaining), "00000");
    assert_int_equal(remaining, 0);
    it_holds(db, "(SELECT activity_ids FROM route_pages) = '{11,12,13,21,22,23}'");
}

/* ---- how long -----------------------------------------------------------------------------------
 */

static void a_long_history(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene(); INSERT INTO athletes (id) VALUES (77);"
                "SELECT it.walk(100000 + n, 77, 0.1, 0.3) FROM generate_series(1, 3000) n;"
                "INSERT INTO activity_tracks SELECT id, summary_track, 'gpx' FROM activities "
                "WHERE athlete_id = 77;"
                "INSERT INTO strava.activity (activity_id, athlete_id, state, checked) SELECT id, "
                "athlete_id, 'there', 1 FROM activities WHERE athlete_id = 77;"
                "INSERT INTO route_sections (activity_id, route_id, athlete_id, start_m, end_m, "
                "section_track) SELECT id, r, 77, 5, 10, it.way(0.1, 0.3, 9) FROM activities, "
                "unnest('{north,ring,far}'::text[]) r WHERE athlete_id = 77;"
                "ANALYZE");
    int64_t start = it_now_ms();
    it_holds(db, "(SELECT sum(remaining) FROM waymark_erase_athlete(77)) = 0");
    int64_t ms = it_now_ms() - start;
    print_message("3000 activities erased in %lld ms\n", (long long)ms);
    assert_true(ms < 20000);
    it_holds(db, "(SELECT count(*) FROM activities) = 14");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(every_table_is_known),
        Q_TEST(every_column_is_known),
        Q_TEST(nothing_is_left),
        Q_TEST(no_text_is_left),
        Q_TEST(others_of_a_lane_go_on),
        Q_TEST(an_athlete_who_never_was),
        Q_TEST(the_rest_is_as_if_never_there),
        Q_TEST(a_job_that_ends_meanwhile),
        Q_TEST(a_save_that_is_under_way),
        Q_TEST(a_save_that_comes_a_moment_later),
        Q_TEST(a_route_that_is_listed_meanwhile),
        Q_TEST(a_long_history),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
