/* What answers of Strava change (migration 0011): taken over by their tickets, not by when they
 * come; lists gone through; what vanished; who was erased. */
#include "it/queue.h"

/* Activities as JSON to the arrays of strava.take. */
static const char helpers[] =
    "CREATE OR REPLACE FUNCTION it.take(of_athlete bigint, ticket bigint, sync bigint, acts jsonb)"
    " RETURNS text LANGUAGE sql AS $$"
    " WITH x AS (SELECT * FROM jsonb_to_recordset(acts) AS t(id bigint, h text, name text, sport "
    "text,"
    "   vis text, start timestamptz, line text, dist float8, moving float8))"
    " SELECT coalesce(string_agg(concat_ws(' ', t.id, t.what, CASE WHEN t.bare THEN 'bare' END,"
    "   CASE WHEN t.line THEN 'line' END, CASE WHEN t.near THEN 'near' END), ', ' ORDER BY t.id), "
    "'')"
    " FROM (SELECT array_agg(id) AS ids, array_agg(coalesce(h, 'h')::bytea) AS hs,"
    "   array_agg(name) AS names, array_agg('Run'::text) AS types, array_agg(sport) AS sports,"
    "   array_agg('Europe/Lisbon'::text) AS zones, array_agg(coalesce(vis, 'everyone')) AS viss,"
    "   array_agg('x' || id) AS exts, array_agg(coalesce(start, '2026-06-01T10:00:00Z')) AS starts,"
    "   array_agg(coalesce(dist, 1000)) AS dists, array_agg(10::float8) AS gains,"
    "   array_agg(-3::float8) AS lows, array_agg(80::float8) AS highs,"
    "   array_agg(coalesce(moving, 600)) AS movings, array_agg(700::float8) AS elapseds,"
    "   array_agg(CASE WHEN line <> '' THEN 38.5 END) AS lats,"
    "   array_agg(CASE WHEN line <> '' THEN -28.5 END) AS lons,"
    "   array_agg(CASE WHEN line <> '' THEN"
    "     ST_AsEWKB(ST_GeomFromText('LINESTRING(' || line || ')', 4326)) END) AS lines FROM x) a,"
    " strava.take(of_athlete, ticket, sync, ids, hs, names, types, sports, zones, viss, exts, "
    "starts,"
    "   dists, gains, lows, highs, movings, elapseds, lats, lons, lats, lons, lines) t $$;"
    "CREATE OR REPLACE FUNCTION it.line(l text) RETURNS bytea LANGUAGE sql AS $$"
    " SELECT ST_AsEWKB(ST_Multi(ST_GeomFromText('LINESTRING(' || l || ')', 4326))) $$;"
    "INSERT INTO routes (id, track, display_name, tolerance_m) VALUES ('r',"
    " 'SRID=4326;LINESTRING(-28.5 38.5, -28.5 38.6)', 'r', 40) ON CONFLICT DO NOTHING;";

/* On the route, off it by less than a kilometre, and far away. */
#define ON   "-28.5 38.51, -28.5 38.52"
#define OFF  "-28.492 38.51, -28.492 38.52"
#define FAR  "10 50, 10 50.1"
#define TAKE "SELECT it.take(1, %d, NULL, '%s')"

static struct it_db *connected(void)
{
    struct it_db *db = it_db_again();
    it_exec(db, "TRUNCATE strava.activity, strava.sync, activities CASCADE; TRUNCATE q.dead;"
                " DELETE FROM athletes");
    it_script(db, helpers);
    it_exec(db, "INSERT INTO athletes (id) VALUES (1), (2)");
    it_exec(db,
            "INSERT INTO strava.account (athlete_id) VALUES (1), (2);"
            " INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (1, 'r'), (2, 's')");
    it_exec(db, "INSERT INTO q.rate (name, cap15, capday) VALUES ('strava', 100, 1000) ON CONFLICT"
                " (name) DO UPDATE SET offset_s = 0, cap15 = 100, capday = 1000");
    it_exec(db, "DELETE FROM q.job");
    return db;
}

#define is(db, want, ...) assert_string_equal(it_text((db), __VA_ARGS__), (want))

/* "kind key prio", in order, of the queue strava. */
static const char *calls(struct it_db *db)
{
    return it_text(db, "SELECT coalesce(string_agg(format('%%s %%s', ukey, prio), ', ' ORDER BY"
                       " ukey), '') FROM q.job WHERE queue = 'strava'");
}

static int64_t revision(struct it_db *db, int id)
{
    return it_i64(db, "SELECT revision FROM activities WHERE id = %d", id);
}

/* ---- taking over -------------------------------------------------------------------------------
 */

static void columns_are_as_the_contract_has_them(void **state)
{
    (void)state;
    struct it_db *db = connected();
    is(db, "5 added bare line near, 6 added bare", TAKE, 10,
       "[{\"id\": 5, \"name\": \"Run\", \"sport\": \"TrailRun\", \"vis\": \"only_me\", \"line\": "
       "\"" ON "\"}, {\"id\": 6, \"line\": \"\"}]");
    is(db,
       "5|1|Run|1000|600|700|10|TrailRun|2026-06-01 10:00:00|Europe/Lisbon|POINT(-28.5 "
       "38.5)|-3|80|x5|"
       "strava",
       "SELECT concat_ws('|', id, athlete_id, name, distance, moving_time, elapsed_time,"
       " total_elevation_gain, activity_type, start_date, local_tz, ST_AsText(start_latlng), "
       "elev_low,"
       " elev_high, external_id, source) FROM activities WHERE id = 5");
    it_holds(db,
             "(SELECT ST_NPoints(summary_track::geometry) = 2 AND ST_SRID(summary_track::geometry)"
             " = 4326 FROM activities WHERE id = 5)");
    is(db, "Run|t",
       "SELECT activity_type || '|' || (name IS NULL AND summary_track IS NULL AND"
       " start_latlng IS NULL)::text::char FROM activities WHERE id = 6");
    is(db, "there 10 TrailRun only_me none 10",
       "SELECT concat_ws(' ', state, checked, sport_type,"
       " visibility, streams, moved) FROM strava.activity WHERE activity_id = 5");
}

/* Two answers under way at once: a list that lags behind has what is removed just now, or its
 * ticket is the newer one. Either way it is looked at once more. */
static void answers_that_overtake_each_other(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    is(db, "removed", "SELECT strava.take_gone(5, 1, 30, 1, 5000, true)");
    it_exec(db, "DELETE FROM q.job");
    is(db, "5 added bare line near",
       "SELECT it.take(1, 31, 9, '[{\"id\": 5, \"line\": \"" ON "\"}]')");
    it_holds(db, "(SELECT run_at BETWEEN now() + interval '50 s' AND now() + interval '61 s' FROM"
                 " q.job WHERE ukey = 'look:5')");
    is(db, "removed", "SELECT strava.take_gone(5, 1, 32, 10, NULL, false)");
    /* Later it is news. */
    it_exec(db,
            "DELETE FROM q.job; UPDATE strava.activity SET checked_at = now() - interval '1 h'");
    it_exec(db, "SELECT it.take(1, 33, 9, '[{\"id\": 5, \"line\": \"" ON "\"}]')");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE ukey = 'look:5')");
    is(db, "older", "SELECT strava.take_gone(5, 1, 30, 2, 120000, true)");
    it_holds(db, "(SELECT payload->>'looks' = '2' AND payload->>'deleted' = 'true' FROM q.job WHERE"
                 " ukey = 'look:5')");
}

static void what_changes_nothing_touches_nothing(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"name\": \"a\", \"line\": \"" ON "\"}]");
    it_exec(db, "DELETE FROM q.job");
    const char *row = it_text(db, "SELECT xmin::text FROM activities");
    is(db, "5 same bare line", TAKE, 11, "[{\"id\": 5, \"name\": \"a\", \"line\": \"" ON "\"}]");
    is(db, row, "SELECT xmin::text FROM activities");
    /* Only what no column has: the row in strava.activity knows. */
    is(db, "5 changed bare line near", TAKE, 12,
       "[{\"id\": 5, \"h\": \"i\", \"name\": \"a\", \"vis\": \"only_me\", \"line\": \"" ON "\"}]");
    is(db, row, "SELECT xmin::text FROM activities");
    is(db, "only_me 12", "SELECT visibility || ' ' || checked FROM strava.activity");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    /* A new title is no reason to match anew. */
    int64_t was = revision(db, 5);
    is(db, "5 changed bare line near", TAKE, 13,
       "[{\"id\": 5, \"h\": \"j\", \"name\": \"b\", \"line\": \"" ON "\"}]");
    is(db, "b", "SELECT name FROM activities");
    assert_int_equal(revision(db, 5), was);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
}

static void a_frontends_row_is_adopted_as_it_is(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10,
            "[{\"id\": 5, \"name\": \"a\", \"line\": \"" ON "\"}, {\"id\": 6, \"name\":"
            " \"a\"}]");
    it_exec(db, "TRUNCATE strava.activity; UPDATE activities SET name = 'old' WHERE id = 6;"
                " DELETE FROM q.job");
    const char *row = it_text(db, "SELECT xmin::text FROM activities WHERE id = 5");
    is(db, "5 same bare line, 6 changed bare", TAKE, 20,
       "[{\"id\": 5, \"name\": \"a\", \"line\": \"" ON "\"}, {\"id\": 6, \"name\": \"a\"}]");
    is(db, row, "SELECT xmin::text FROM activities WHERE id = 5");
    it_holds(
        db,
        "(SELECT count(*) FROM strava.activity WHERE state = 'there' AND checked = 20 AND listed"
        " IS NOT NULL) = 2 AND NOT EXISTS (SELECT FROM q.job)");
}

static void the_ticket_decides_not_the_order(void **state)
{
    (void)state;
    struct it_db *db = connected();
    static const char first[] = "[{\"id\": 5, \"name\": \"first\"}]";
    static const char second[] = "[{\"id\": 5, \"h\": \"i\", \"name\": \"second\"}]";
    is(db, "5 added bare", TAKE, 20, second);
    is(db, "5 older bare", TAKE, 19, first);
    is(db, "5 older bare", TAKE, 20, first);
    is(db, "second", "SELECT name FROM activities");
    /* Gone by a newer answer: an older list does not bring it back. A newer one does. */
    is(db, "removed", "SELECT strava.take_gone(5, 1, 30, 1, 5000, false)");
    it_holds(db, "NOT EXISTS (SELECT FROM activities)");
    is(db, "5 older bare", TAKE, 29, second);
    it_holds(db, "NOT EXISTS (SELECT FROM activities)");
    is(db, "older", "SELECT strava.take_gone(5, 1, 30, 1, 5000, false)");
    is(db, "5 added bare", TAKE, 31, second);
    it_holds(db,
             "(SELECT state FROM strava.activity) = 'there' AND EXISTS (SELECT FROM activities)");
    is(db, "older", "SELECT strava.take_gone(5, 1, 30, 1, NULL, true)");
    it_holds(db, "EXISTS (SELECT FROM activities)");
}

static void one_that_comes_twice_is_one(void **state)
{
    (void)state;
    struct it_db *db = connected();
    is(db, "5 added bare", TAKE, 10,
       "[{\"id\": 5, \"name\": \"a\"}, {\"id\": 5, \"h\": \"i\", \"name\":"
       " \"b\"}]");
    is(db, "a", "SELECT name FROM activities");
}

static void who_was_erased_stays_so(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "DELETE FROM athletes WHERE id = 1");
    is(db, "", TAKE, 10, "[{\"id\": 5}]");
    is(db, "erased", "SELECT strava.take_gone(5, 1, 11, 1, NULL, false)");
    is(db, "none", "SELECT strava.take_streams(5, 1, 12, NULL)");
    it_exec(db, "SELECT strava.park(5, 1, 'x')");
    it_holds(db,
             "NOT EXISTS (SELECT FROM activities) AND NOT EXISTS (SELECT FROM strava.activity) AND"
             " NOT EXISTS (SELECT FROM athletes WHERE id = 1)");
}

/* The erasure and an answer meet: whichever is first, nothing is left. */
static void an_erasure_and_an_answer_meet(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN");
    q_do(a, TAKE, 10, "[{\"id\": 5}]");
    q_send(b, "DELETE FROM athletes WHERE id = 1");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    it_holds(db,
             "NOT EXISTS (SELECT FROM activities) AND NOT EXISTS (SELECT FROM strava.activity)");
    q_do(a, "BEGIN");
    q_do(a, "DELETE FROM athletes WHERE id = 2");
    q_send(b, "SELECT it.take(2, 10, NULL, '[{\"id\": 6}]')");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    it_holds(db,
             "NOT EXISTS (SELECT FROM activities) AND NOT EXISTS (SELECT FROM strava.activity)");
}

static void two_answers_of_one_activity_do_not_mix(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN");
    q_do(a, TAKE, 11, "[{\"id\": 5, \"name\": \"new\"}, {\"id\": 6}]");
    q_send(b, "SELECT it.take(1, 10, NULL, '[{\"id\": 6}, {\"id\": 5, \"name\": \"old\"}]')");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    is(db, "new", "SELECT name FROM activities WHERE id = 5");
}

/* What comes under an athlete's token is his, whoever was said to own it. */
static void the_owner_is_who_can_see_it(void **state)
{
    (void)state;
    struct it_db *db = connected();
    is(db, "again", "SELECT strava.take_gone(5, 2, 10, 1, 5000, false)"); /* somebody's invention */
    is(db, "gone", "SELECT strava.take_gone(5, 2, 11, 6, NULL, false)");
    is(db, "5 added bare", TAKE, 12, "[{\"id\": 5}]");
    is(db, "1", "SELECT athlete_id::text FROM strava.activity");
    is(db, "foreign", "SELECT strava.take_gone(5, 2, 13, 1, NULL, true)");
    it_exec(db, "SELECT strava.park(5, 2, 'x')");
    it_holds(db, "EXISTS (SELECT FROM activities WHERE id = 5) AND (SELECT problem IS NULL FROM"
                 " strava.activity)");
}

static void files_are_none_of_stravas(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(
        db,
        "INSERT INTO activities (id, athlete_id, name, activity_type, source) VALUES (5, 1, 'f',"
        " 'Run', 'file')");
    (void)it_text(db, TAKE, 10, "[{\"id\": 5, \"name\": \"s\"}]");
    is(db, "f file", "SELECT name || ' ' || source FROM activities");
    (void)it_text(db, "SELECT strava.take_gone(5, 1, 11, 1, NULL, false)");
    it_holds(db, "EXISTS (SELECT FROM activities)");
}

/* ---- tracks ------------------------------------------------------------------------------------
 */

static void a_crop_takes_the_better_track_away(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    is(db, "have", "SELECT strava.take_streams(5, 1, 11, it.line('" ON "'))");
    is(db, "streams have",
       "SELECT origin || ' ' || k.streams FROM activity_tracks, strava.activity k");
    int64_t was = revision(db, 5);
    is(db, "have", "SELECT strava.take_streams(5, 1, 12, it.line('" ON "'))"); /* the same again */
    assert_int_equal(revision(db, 5), was);
    is(db, "5 same line", TAKE, 13, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    is(db, "5 changed bare line near", TAKE, 14,
       "[{\"id\": 5, \"h\": \"i\", \"line\": \"-28.5 38.512,"
       " -28.5 38.514\"}]");
    it_holds(db, "NOT EXISTS (SELECT FROM activity_tracks)");
    is(db, "none 14", "SELECT streams || ' ' || moved FROM strava.activity");
    assert_true(revision(db, 5) != was);
    /* A recorded track that was asked for before the crop was seen. */
    is(db, "older", "SELECT strava.take_streams(5, 1, 14, it.line('" ON "'))");
    it_holds(db, "NOT EXISTS (SELECT FROM activity_tracks)");
    is(db, "have", "SELECT strava.take_streams(5, 1, 15, it.line('-28.5 38.512, -28.5 38.514'))");
    /* An unchanged list that is newer than a track on its way does not make that one useless. */
    is(db, "5 same line", TAKE, 20,
       "[{\"id\": 5, \"h\": \"i\", \"line\": \"-28.5 38.512, -28.5 38.514\"}]");
    is(db, "absent", "SELECT strava.take_streams(5, 1, 19, NULL)");
}

static void the_best_track_stays(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    it_exec(db, "SELECT strava.take_detail(5, 1, 'added', it.line('" ON
                ", -28.5 38.53'), NULL, NULL, NULL)");
    is(db, "detail", "SELECT origin FROM activity_tracks");
    it_exec(db, "SELECT strava.take_detail(5, 1, 'same', it.line('" ON "'), 11, it.line('" ON
                "'), NULL)");
    is(db, "streams have",
       "SELECT origin || ' ' || k.streams FROM activity_tracks, strava.activity k");
    it_exec(db, "SELECT strava.take_detail(5, 1, 'same', it.line('" ON
                ", -28.5 38.53'), NULL, NULL, 9)");
    is(db, "streams", "SELECT origin FROM activity_tracks");
    is(db, "streams:5 9", "SELECT ukey || ' ' || prio FROM q.job WHERE queue = 'strava'");
    it_exec(db, "DELETE FROM q.job");
    it_exec(db, "SELECT strava.take_detail(5, 1, 'older', it.line('" FAR "'), 12, it.line('" FAR
                "'), 9)");
    it_holds(
        db,
        "(SELECT ST_Y(ST_StartPoint(ST_GeometryN(track::geometry, 1))) < 39 FROM activity_tracks)"
        " AND NOT EXISTS (SELECT FROM q.job)");
    is(db, "none", "SELECT strava.take_streams(6, 1, 13, NULL)"); /* never heard of */
}

static void near_is_as_far_as_a_summary_may_lie(void **state)
{
    (void)state;
    struct it_db *db = connected();
    is(db, "1 added bare line near, 2 added bare line, 3 added bare line, 4 added bare line near",
       TAKE, 10,
       "[{\"id\": 1, \"line\": \"" ON "\"}, {\"id\": 2, \"line\": \"" OFF
       "\"}, {\"id\": 3, \"line\": \"" FAR
       "\"}, {\"id\": 4, \"line\": \"-28.5 38.9, -28.497 38.55, -28.2 38.5\"}]");
}

/* ---- looks -------------------------------------------------------------------------------------
 */

static void what_was_never_seen_is_looked_for_again(void **state)
{
    (void)state;
    struct it_db *db = connected();
    is(db, "again", "SELECT strava.take_gone(5, 1, 10, 1, 5000, false)");
    is(db, "look:5 2 1 event false",
       "SELECT concat_ws(' ', ukey, prio, payload->>'looks', payload->>'why',"
       " payload->>'deleted') FROM q.job WHERE state = 'waiting' AND run_at BETWEEN "
       "clock_timestamp() AND"
       " clock_timestamp() + interval '5 s' AND tenant = 1");
    it_exec(db, "DELETE FROM q.job");
    /* Unless somebody says that it was deleted, or nobody waits any longer. */
    is(db, "gone", "SELECT strava.take_gone(6, 1, 11, 1, 5000, true)");
    is(db, "gone", "SELECT strava.take_gone(5, 1, 12, 6, NULL, false)");
    it_holds(
        db, "NOT EXISTS (SELECT FROM q.job) AND (SELECT count(*) FROM strava.activity WHERE state ="
            " 'gone' AND checked > 0) = 2");
    /* One that is hidden and shown again may lag as well. */
    is(db, "again", "SELECT strava.take_gone(5, 1, 13, 1, 5000, false)");
}

static void parking_is_undone_by_news(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    it_exec(db, "SELECT strava.park(5, 1, 'HTTP 500'), strava.park(6, 1, 'HTTP 500')");
    is(db, "5 there, 6 gone",
       "SELECT string_agg(activity_id || ' ' || state, ', ' ORDER BY activity_id) FROM"
       " strava.activity WHERE problem = 'HTTP 500' AND problem_at IS NOT NULL");
    is(db, "5 same bare line", TAKE, 11, "[{\"id\": 5, \"line\": \"" ON "\"}]");
    it_holds(db, "(SELECT problem FROM strava.activity WHERE activity_id = 5) = 'HTTP 500'");
    is(db, "5 changed bare line near, 6 added bare", TAKE, 12,
       "[{\"id\": 5, \"h\": \"i\", \"line\": \"" ON "\"}, {\"id\": 6}]");
    it_holds(db, "NOT EXISTS (SELECT FROM strava.activity WHERE problem IS NOT NULL)");
    /* Success forgets the dead letter too. */
    it_exec(
        db,
        "SELECT strava.park(5, 1, 'HTTP 500');"
        " INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey, payload,"
        " created_at, reason) SELECT -n, 'strava', 'k', 0, 8, 8, 0, u, '{}', now(), 'attempts' FROM"
        " unnest(ARRAY['look:5', 'streams:5', 'look:6']) WITH ORDINALITY x(u, n)");
    it_exec(db, "SELECT strava.take_detail(5, 1, 'same', NULL, NULL, NULL, NULL)");
    is(db, "look:6 streams:5", "SELECT string_agg(ukey, ' ' ORDER BY ukey) FROM q.dead");
    it_exec(db, "SELECT strava.park(5, 1, 'HTTP 500'); SELECT strava.take_streams(5, 1, 20, NULL)");
    is(db, "look:6", "SELECT string_agg(ukey, ' ' ORDER BY ukey) FROM q.dead");
}

/* ---- syncs -------------------------------------------------------------------------------------
 */

static void how_far_back_depends_on_what_is_known(void **state)
{
    (void)state;
    struct it_db *db = connected();
    int64_t id = it_i64(db, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    it_holds(db,
             "EXISTS (SELECT FROM strava.sync WHERE id = %lld AND from_at IS NULL AND page = 1 AND"
             " cursor_at = before_at AND before_at > now() AND state = 'running')",
             (long long)id);
    is(db, "started", "SELECT backfill_status::text FROM athletes WHERE id = 1");
    is(db, it_format("page:%lld 5", (long long)id), "SELECT ukey || ' ' || prio FROM q.job");
    /* Not everything was gone through: what is known is no bound. */
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"start\": \"2026-05-05T10:00:00Z\"}]");
    it_exec(db, "UPDATE strava.sync SET state = 'failed'; DELETE FROM q.job");
    it_exec(db, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    it_holds(db, "EXISTS (SELECT FROM strava.sync WHERE state = 'running' AND from_at IS NULL)");
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE kind = 'strava.page' AND prio = 8)");
    /* Everything was. */
    it_exec(
        db,
        "UPDATE strava.sync SET state = 'done'; UPDATE athletes SET backfill_status = 'complete';"
        " DELETE FROM q.job");
    it_exec(db, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    it_holds(db, "EXISTS (SELECT FROM strava.sync WHERE state = 'running' AND from_at ="
                 " '2026-04-28T10:00:00Z')");
    /* One of the future is a broken watch, and no bound either. */
    it_exec(
        db,
        "UPDATE strava.sync SET state = 'done'; DELETE FROM q.job; UPDATE activities SET start_date"
        " = '2199-01-01'");
    it_exec(db, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    it_holds(db,
             "EXISTS (SELECT FROM strava.sync WHERE state = 'running' AND from_at BETWEEN now() -"
             " interval '7 days 1 minute' AND now())");
    /* Their clock counts, not ours. */
    it_exec(db,
            "UPDATE strava.sync SET state = 'done'; DELETE FROM q.job; UPDATE q.rate SET offset_s ="
            " 864000 WHERE name = 'strava'");
    it_exec(db, "SELECT strava.request_sync(1, 'all', NULL)");
    it_holds(db, "EXISTS (SELECT FROM strava.sync WHERE state = 'running' AND before_at > now() +"
                 " interval '10 days 23 hours')");
}

static void the_same_again_is_joined(void **state)
{
    (void)state;
    struct it_db *db = connected();
    int64_t one = it_i64(db, "SELECT id FROM strava.request_sync(1, 'all', '2026-01-01')");
    assert_int_equal(it_i64(db, "SELECT id FROM strava.request_sync(1, 'new', '2026-02-01')"), one);
    assert_int_equal(it_i64(db, "SELECT id FROM strava.request_sync(1, 'all', '2026-01-01')"), one);
    it_exec(db, "UPDATE q.job SET state = 'running', owner = 1, started_at = now()");
    assert_int_equal(it_i64(db, "SELECT id FROM strava.request_sync(1, 'reconcile', '2026-03-01')"),
                     one);
    it_holds(db, "(SELECT count(*) FROM strava.sync) = 1 AND (SELECT count(*) FROM q.job) = 1");
    /* It goes further back: the other is given up, and its page with it, unless it is being asked
     * for. */
    it_exec(db, "UPDATE q.job SET state = 'ready', owner = NULL");
    int64_t two =
        it_i64(db, "SELECT id FROM strava.request_sync(1, 'new', '2025-01-01', 'somebody')");
    assert_true(two != one);
    is(db, "superseded all, running all somebody",
       "SELECT string_agg(concat_ws(' ', state, mode,"
       " requested_by), ', ' ORDER BY id) FROM strava.sync");
    is(db, it_format("page:%lld", (long long)two), "SELECT ukey FROM q.job");
    /* Its job is gone, whatever took it: nobody waits for that one any longer. */
    it_exec(db, "DELETE FROM q.job");
    int64_t three = it_i64(db, "SELECT id FROM strava.request_sync(1, 'new', '2026-01-01')");
    assert_true(three != two);
    is(db, "failed its job was lost",
       "SELECT state || ' ' || problem FROM strava.sync WHERE id = %lld", (long long)two);
    /* Of all: those who are connected. */
    it_exec(
        db,
        "UPDATE strava.account SET state = 'reauth' WHERE athlete_id = 2; INSERT INTO athletes (id)"
        " VALUES (3), (4); INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES"
        " (4, 'a', now())");
    is(db, "1 4",
       "SELECT string_agg(athlete_id::text, ' ' ORDER BY athlete_id) FROM strava.request_sync(NULL,"
       " 'new', NULL)");
    is(db, "0", "SELECT count(*) FROM strava.request_sync(2, 'new', NULL)");
    is(db, "0", "SELECT count(*) FROM strava.request_sync(99, 'new', NULL)");
}

static void two_who_ask_at_once_get_one(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN");
    int64_t one = q_i64(a, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    q_send(b, "SELECT id FROM strava.request_sync(1, 'new', NULL)");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    int64_t two;
    assert_string_equal(q_answer(b, &two), "00000");
    assert_int_equal(one, two);
}

/* turn_page after strava.take, for a page that brought these. */
#define TURN(at, page, next, next_page, over)                                                      \
    "SELECT strava.turn_page((SELECT max(id) FROM strava.sync), '" at "', " page ", '" next        \
    "', " next_page ", NULL, false, " over                                                         \
    ", 2, 1, 'bad one', 1, 1, '{5,6,7}', '{t,f,f}', '{t,t,f}', '%s', '%s')"
static int64_t begin(struct it_db *db, const char *mode, const char *since)
{
    int64_t id = it_i64(db, "SELECT id FROM strava.request_sync(1, '%s', %s, 'test')", mode, since);
    it_exec(
        db,
        "UPDATE strava.sync SET before_at = '2026-07-01', cursor_at = '2026-07-01' WHERE id = %lld;"
        " DELETE FROM q.job",
        (long long)id);
    return id;
}

static void a_page_moves_its_sync_on(void **state)
{
    (void)state;
    struct it_db *db = connected();
    int64_t id = begin(db, "new", "NULL");
    is(db, "f", TURN("2026-07-01", "1", "2026-05-01", "1", "false"), "near", "none");
    is(db, it_format("page:%lld 8, streams:5 20", (long long)id),
       "SELECT string_agg(ukey || ' ' || prio, ', '"
       " ORDER BY ukey) FROM q.job");
    is(db, "1 2 1 1 1 bad one",
       "SELECT concat_ws(' ', pages, listed, added, changed, parked, problem) FROM"
       " strava.sync");
    it_holds(db, "(SELECT cursor_at = '2026-05-01' FROM strava.sync)");
    /* Not the page that is due: somebody else was faster, or it ended. Nothing moves. */
    it_holds(db, "(%s) IS NULL",
             it_format(TURN("2026-07-01", "1", "2026-03-01", "1", "true"), "none", "none"));
    it_holds(db, "(%s) IS NULL",
             it_format(TURN("2026-05-01", "2", "2026-03-01", "1", "true"), "none", "none"));
    it_holds(db, "(SELECT pages = 1 AND state = 'running' FROM strava.sync)");
    it_exec(db, "UPDATE strava.sync SET state = 'superseded'");
    it_holds(db, "(%s) IS NULL",
             it_format(TURN("2026-05-01", "1", "2026-03-01", "1", "true"), "none", "none"));
    it_exec(db, "UPDATE strava.sync SET state = 'running'; DELETE FROM q.job");
    /* Live work has prio 9 and less. */
    it_exec(db, "UPDATE strava.sync SET mode = 'all'");
    is(db, "f", TURN("2026-05-01", "1", "2026-03-01", "1", "false"), "all", "none");
    is(db, it_format("page:%lld 10, streams:5 20, streams:6 40", (long long)id),
       "SELECT string_agg(ukey ||"
       " ' ' || prio, ', ' ORDER BY ukey) FROM q.job");
}

static void what_is_worth_a_call_is_configured(void **state)
{
    (void)state;
    static const struct {
        const char *streams, *details, *calls;
    } want[] = {
        {"none", "none", ""},
        {"near", "none", "streams:5 20"},
        {"all", "none", "streams:5 20, streams:6 40"},
        {"none", "near", "look:5 20"},
        {"all", "near", "look:5 20, streams:6 40"},
        {"none", "all", "look:5 20, look:6 40, look:7 40"},
        {"near", "all", "look:5 20, look:6 40, look:7 40"},
    };
    struct it_db *db = connected();
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        it_exec(db, "DELETE FROM q.job");
        it_exec(db, "SELECT strava.want(1, '{5,6,7}', '{t,f,f}', '{t,t,f}', '%s', '%s')",
                want[i].streams, want[i].details);
        assert_string_equal(calls(db), want[i].calls);
    }
    /* A queued one moves up, never down; a dead one makes way. */
    it_exec(
        db,
        "DELETE FROM q.job; SELECT strava.want(1, '{6}', '{f}', '{t}', 'all', 'none');"
        " INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey, payload,"
        " created_at, reason) VALUES (-1, 'strava', 'k', 0, 8, 8, 0, 'streams:5', '{}', now(), "
        "'x')");
    it_exec(db, "SELECT strava.want(1, '{5,6}', '{f,t}', '{t,t}', 'all', 'none')");
    assert_string_equal(calls(db), "streams:5 40, streams:6 20");
    it_exec(db, "SELECT strava.want(1, '{5,6}', '{f,f}', '{t,t}', 'all', 'none')");
    assert_string_equal(calls(db), "streams:5 40, streams:6 20");
    it_holds(
        db,
        "NOT EXISTS (SELECT FROM q.dead) AND (SELECT payload FROM q.job WHERE ukey = 'streams:5') ="
        " '{\"activity\": 5, \"athlete\": 1}'");
}

#define END(...) it_format(TURN("2026-07-01", "1", "2026-07-01", "2", "true"), "none", "none")

static void what_was_not_listed_is_asked_for(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 1,
            "[{\"id\": 1, \"start\": \"2026-06-01Z\"}, {\"id\": 2, \"start\": \"2026-06-02Z\"},"
            " {\"id\": 3, \"start\": \"2025-06-01Z\"}, {\"id\": 4, \"start\": \"2027-01-01Z\"}]");
    it_exec(db, "INSERT INTO activities (id, athlete_id, activity_type, start_date, source) VALUES"
                " (7, 1, 'Run', '2026-06-03', 'strava'), (8, 1, 'Run', '2026-06-03', 'file'),"
                " (9, 2, 'Run', '2026-06-03', 'strava')"); /* a frontend's, a file, another's */
    int64_t id = begin(db, "reconcile", "'2026-01-01'");
    /* Listed by this pass; and looked at since it began, by an event. */
    it_exec(db,
            "SELECT it.take(1, nextval('strava.ticket'), %lld, '[{\"id\": 2, \"start\":"
            " \"2026-06-02Z\"}]')",
            (long long)id);
    is(db, "t", "%s", END());
    assert_string_equal(calls(db), "look:1 30, look:7 30");
    it_holds(db, "(SELECT payload->>'why' FROM q.job WHERE ukey = 'look:1') = 'confirm'");
    is(db, "done 2", "SELECT state || ' ' || gone FROM strava.sync WHERE finished_at IS NOT NULL");
    is(db, "not_started", "SELECT backfill_status::text FROM athletes WHERE id = 1");
    /* A whole one. */
    it_exec(db, "DELETE FROM q.job");
    begin(db, "all", "NULL");
    is(db, "t", "%s", END());
    assert_string_equal(calls(db), "look:1 30, look:2 30, look:3 30, look:7 30");
    is(db, "complete", "SELECT backfill_status::text FROM athletes WHERE id = 1");
    it_holds(
        db,
        "(SELECT count(*) FROM q.job WHERE kind = 'alert' AND payload->>'key' = 'strava.sync:1' AND"
        " payload->>'bad' = 'false') = 1");
}

static void a_wrong_list_does_not_spend_the_day(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db,
            "INSERT INTO activities (id, athlete_id, activity_type, start_date) SELECT n, 1, 'Run',"
            " timestamp '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 700) n");
    begin(db, "all", "NULL");
    is(db, "t", "%s", END());
    it_holds(
        db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.look') = 500 AND (SELECT problem LIKE"
            " 'more than 500%%' FROM strava.sync)");
}

static void plans_ask_for_what_is_due(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "UPDATE q.rate SET cap15 = 100, capday = 1000 WHERE name = 'strava'");
    it_exec(
        db,
        "INSERT INTO athletes (id) SELECT generate_series(3, 10);"
        " INSERT INTO refresh_tokens (athlete_id, refresh_token) SELECT id, 'x' FROM athletes WHERE"
        " id > 2");
    /* Hourly looks may spend a quarter of the day: three athletes an hour, those longest ago first.
     */
    is(db, "3", "SELECT strava.plan('new', NULL, NULL, '30 days', '0')");
    is(db, "1 2 3",
       "SELECT string_agg(athlete_id::text, ' ' ORDER BY athlete_id) FROM strava.sync");
    it_holds(
        db,
        "(SELECT count(*) FROM q.job WHERE state = 'ready') = 1 AND (SELECT max(run_at) FROM q.job)"
        " BETWEEN now() + interval '20 minutes' AND now() + interval '1 hour'");
    is(db, "3", "SELECT strava.plan('new', NULL, NULL, '30 days', '0')");
    is(db, "1 2 3 4 5 6",
       "SELECT string_agg(athlete_id::text, ' ' ORDER BY athlete_id) FROM strava.sync");
    /* The daily comparison is everybody's; all of it only where that was a week ago. */
    it_exec(db,
            "UPDATE strava.sync SET state = 'done'; DELETE FROM q.job;"
            " UPDATE strava.sync SET before_at = now() - interval '5 days' WHERE athlete_id = 2");
    is(db, "10", "SELECT strava.plan('reconcile', NULL, NULL, '30 days', '0')");
    is(db, "2 7 8 9 10",
       "SELECT string_agg(athlete_id::text, ' ' ORDER BY athlete_id) FROM strava.sync WHERE"
       " state = 'running' AND from_at IS NULL");
    it_holds(db,
             "(SELECT count(*) FROM strava.sync WHERE state = 'running' AND from_at BETWEEN now() -"
             " interval '30 days 1 minute' AND now() - interval '30 days') = 5");
    /* What goes after three days must have been shown before. */
    it_exec(db, "UPDATE strava.sync SET state = 'done'; DELETE FROM q.job;"
                " UPDATE strava.sync SET before_at = now() - interval '30 hours'");
    is(db, "10", "SELECT strava.plan('reconcile', NULL, NULL, '30 days', '3 days')");
    it_holds(db,
             "(SELECT count(*) FROM strava.sync WHERE state = 'running' AND from_at IS NULL) = 10");
    /* One athlete's. */
    it_exec(db, "UPDATE strava.sync SET state = 'done'; DELETE FROM q.job");
    is(db, "1", "SELECT strava.plan('all', 3, '2026-01-01', '30 days', '0')");
    is(db, "3 all plan",
       "SELECT concat_ws(' ', athlete_id, mode, requested_by) FROM strava.sync WHERE state ="
       " 'running'");
}

static void what_turns_out_to_be_on_a_route_is_fetched(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10,
            "[{\"id\": 1, \"line\": \"" ON "\"}, {\"id\": 2, \"line\": \"" FAR "\"}, {\"id\": 3,"
            " \"line\": \"" ON "\"}, {\"id\": 4, \"line\": \"" ON "\"}, {\"id\": 5}]");
    it_exec(db, "INSERT INTO relevant_activities (activity_id, route_id, relevant) SELECT n, 'r', "
                "n <> 2 FROM"
                " generate_series(1, 4) n");
    it_exec(db, "SELECT strava.take_streams(3, 1, 11, it.line('" ON "')), strava.park(4, 1, 'x');"
                " DELETE FROM q.job");
    is(db, "0", "SELECT strava.want_missing('none', 100)");
    is(db, "1", "SELECT strava.want_missing('near', 100)");
    assert_string_equal(calls(db), "streams:1 20");
    is(db, "0", "SELECT strava.want_missing('near', 100)"); /* it is queued */
    is(db, "1", "SELECT strava.want_missing('all', 100)");
    assert_string_equal(calls(db), "streams:1 20, streams:2 40");
    it_exec(db, "DELETE FROM q.job");
    is(db, "1", "SELECT strava.want_missing('all', 1)");
    /* Who has to log in again is not asked for. */
    it_exec(db, "DELETE FROM q.job; UPDATE strava.account SET state = 'reauth'");
    is(db, "0", "SELECT strava.want_missing('all', 100)");
}

static void what_is_kept_for_so_long_goes(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, TAKE, 10, "[{\"id\": 1}, {\"id\": 2}, {\"id\": 3}]");
    it_exec(db, "INSERT INTO activities (id, athlete_id, activity_type, source, inserted_at) VALUES"
                " (4, 1, 'Run', 'strava', now() - interval '9 days'), (5, 1, 'Run', 'file', now() "
                "- interval"
                " '9 days'), (6, 1, 'Run', 'strava', now())");
    it_exec(
        db,
        "UPDATE strava.activity SET checked_at = now() - interval '8 days' WHERE activity_id < 3");
    is(db, "0", "SELECT strava.upkeep('0', 100)");
    is(db, "3", "SELECT strava.upkeep('7 days', 100)");
    is(db, "3 5 6", "SELECT string_agg(id::text, ' ' ORDER BY id) FROM activities");
    it_holds(db, "(SELECT count(*) FROM strava.activity WHERE state = 'gone') = 3 AND NOT EXISTS "
                 "(SELECT FROM"
                 " q.job WHERE kind = 'strava.upkeep')");
    /* It is there, and comes back when it is shown again. */
    is(db, "1 added bare", TAKE, 11, "[{\"id\": 1}]");
    it_exec(db, "UPDATE strava.activity SET checked_at = now() - interval '8 days'");
    is(db, "1", "SELECT strava.upkeep('7 days', 1)");
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE kind = 'strava.upkeep')"); /* for the rest */
}

static void syncs_do_not_run_for_ever(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "SELECT strava.request_sync(NULL, 'all', NULL)");
    it_exec(db, "DELETE FROM q.job WHERE tenant = 1; UPDATE strava.sync SET started_at = now() - "
                "interval '1"
                " hour'");
    it_exec(db, "SELECT strava.upkeep('0', 1)");
    is(db, "1 failed its job was lost, 2 running",
       "SELECT string_agg(concat_ws(' ', athlete_id, state,"
       " problem), ', ' ORDER BY id) FROM strava.sync");
    /* Old ones are forgotten, but for the last whole one. */
    it_exec(db, "DELETE FROM strava.sync; INSERT INTO strava.sync (athlete_id, mode, state, "
                "from_at, before_at,"
                " cursor_at, finished_at) SELECT 1, 'all', 'done', f, now(), now(), now() - "
                "interval '99 days'"
                " FROM unnest(ARRAY[NULL, NULL, now()]) f");
    it_exec(db, "SELECT strava.upkeep('0', 1)");
    it_holds(db, "(SELECT count(*) FROM strava.sync) = 2");
}

/* Matching holds the athlete and then wants the activities; taking over must not do it the other
 * way round. */
static void taking_over_and_matching_do_not_lock_each_other(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db, TAKE, 10, "[{\"id\": 5, \"name\": \"a\", \"line\": \"" ON "\"}]");
    q_do(a, "BEGIN");
    q_do(a, "SELECT FROM athletes WHERE id = 1 FOR NO KEY UPDATE");
    q_do(b, "BEGIN");
    q_do(b, TAKE, 11, "[{\"id\": 5, \"h\": \"i\", \"name\": \"b\", \"line\": \"" ON "\"}]");
    q_send(a, "SELECT id FROM activities WHERE id = 5 FOR SHARE");
    assert_true(q_waits(db, a));
    int64_t id = q_i64(b, "SELECT id FROM strava.request_sync(2, 'all', NULL)");
    (void)id;
    q_do(b, "COMMIT");
    assert_string_equal(q_answer(a, NULL), "00000");
    q_do(a, "COMMIT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(columns_are_as_the_contract_has_them),
        Q_TEST(what_changes_nothing_touches_nothing),
        Q_TEST(answers_that_overtake_each_other),
        Q_TEST(a_frontends_row_is_adopted_as_it_is),
        Q_TEST(the_ticket_decides_not_the_order),
        Q_TEST(one_that_comes_twice_is_one),
        Q_TEST(who_was_erased_stays_so),
        Q_TEST(an_erasure_and_an_answer_meet),
        Q_TEST(two_answers_of_one_activity_do_not_mix),
        Q_TEST(the_owner_is_who_can_see_it),
        Q_TEST(files_are_none_of_stravas),
        Q_TEST(a_crop_takes_the_better_track_away),
        Q_TEST(the_best_track_stays),
        Q_TEST(near_is_as_far_as_a_summary_may_lie),
        Q_TEST(what_was_never_seen_is_looked_for_again),
        Q_TEST(parking_is_undone_by_news),
        Q_TEST(how_far_back_depends_on_what_is_known),
        Q_TEST(the_same_again_is_joined),
        Q_TEST(two_who_ask_at_once_get_one),
        Q_TEST(a_page_moves_its_sync_on),
        Q_TEST(what_is_worth_a_call_is_configured),
        Q_TEST(what_was_not_listed_is_asked_for),
        Q_TEST(a_wrong_list_does_not_spend_the_day),
        Q_TEST(plans_ask_for_what_is_due),
        Q_TEST(what_turns_out_to_be_on_a_route_is_fetched),
        Q_TEST(what_is_kept_for_so_long_goes),
        Q_TEST(syncs_do_not_run_for_ever),
        Q_TEST(taking_over_and_matching_do_not_lock_each_other),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
