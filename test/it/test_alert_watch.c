/* What the look of every hour finds: each state as it comes and goes, and that nothing is said
 * twice. And what is told of it: alert.set and alert.fan, without a program. */
#include "it/it.h"

static void watch(struct it_db *db)
{
    it_exec(db, "SELECT alert.watch('7 days')");
}

/* The state of one key is this, and so many looks were asked for since the last time. */
static void is(struct it_db *db, const char *key, const char *state, bool bad, int64_t looks)
{
    it_holds(db, "(SELECT (state, bad) = ('%s', %s) FROM alert.state WHERE key = '%s')", state,
             bad ? "true" : "false", key);
    it_holds(db,
             "(SELECT count(*) FROM q.job WHERE kind = 'alert' AND payload = "
             "jsonb_build_object('key', '%s')) = %lld",
             key, (long long)looks);
    it_exec(db, "DELETE FROM q.job; UPDATE alert.state SET told_state = state, told_bad = bad, "
                "told_at = now() - interval '1 hour'");
}

static void nothing_is_amiss(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    watch(db);
    it_exec(db, "SELECT it.scene(); INSERT INTO strava.account (athlete_id, name) VALUES (1, 'A');"
                "DELETE FROM q.job");
    watch(db);
    it_holds(db, "NOT EXISTS (SELECT FROM alert.state) AND NOT EXISTS (SELECT FROM q.job)");
}

static void a_login(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO athletes (id) VALUES (1), (12);"
                "INSERT INTO strava.account (athlete_id, name) VALUES (1, 'Ann'), (12, NULL)");
    it_exec(db, "UPDATE strava.account SET state = 'reauth', reason = 'x' WHERE athlete_id = 1");
    watch(db);
    it_holds(db, "(SELECT title FROM alert.state) = 'Ann must log in with Strava again'");
    is(db, "token:1", "reauth", true, 1);
    watch(db);
    is(db, "token:1", "reauth", true, 0);
    it_exec(db, "UPDATE strava.account SET state = 'ok' WHERE athlete_id = 1");
    watch(db);
    is(db, "token:1", "good", false, 1);
    it_exec(db, "UPDATE strava.account SET state = 'reauth'");
    watch(db);
    is(db, "token:1", "reauth", true, 1);
    /* What whoever calls has said already is not said again. */
    it_exec(db, "SELECT alert.set('token:12', 'good', false, 'x', 'y');"
                "SELECT alert.set('token:12', 'reauth', true, 'x', 'y'); DELETE FROM q.job");
    watch(db);
    is(db, "token:12", "reauth", true, 0);
    /* Nothing stays of who has left; nor is it told of. */
    it_exec(db, "DELETE FROM athletes WHERE id = 1");
    watch(db);
    it_holds(db, "(SELECT array_agg(key) FROM alert.state) = '{token:12}'");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE kind = 'alert')");
}

static void the_application(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "UPDATE strava.app SET state = 'inactive'");
    watch(db);
    is(db, "strava:app", "inactive", true, 1);
    watch(db);
    is(db, "strava:app", "inactive", true, 0);
    it_exec(db, "UPDATE strava.app SET state = 'active'");
    watch(db);
    is(db, "strava:app", "active", false, 1);
    watch(db);
    is(db, "strava:app", "active", false, 0);
}

/* Only what is so at two looks is told. */
static void the_subscription(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "UPDATE strava.app SET subscription_problem = 'not verifiable'");
    watch(db);
    is(db, "strava:subscription", "doubtful", false, 0);
    it_exec(db, "UPDATE strava.app SET subscription_problem = NULL");
    watch(db);
    is(db, "strava:subscription", "ok", false, 0);
    it_exec(db, "UPDATE strava.app SET subscription_problem = 'not verifiable'");
    watch(db);
    watch(db);
    it_holds(db, "(SELECT body FROM alert.state) = 'not verifiable'");
    is(db, "strava:subscription", "broken", true, 1);
    watch(db);
    is(db, "strava:subscription", "broken", true, 0);
    /* Who mends it knows better. */
    it_exec(db, "SELECT alert.set('strava:subscription', 'refused', true, 'x', 'y')");
    watch(db);
    is(db, "strava:subscription", "refused", true, 1);
    it_exec(db, "UPDATE strava.app SET subscription_problem = NULL");
    watch(db);
    is(db, "strava:subscription", "ok", false, 1);
}

static void calls_of_the_day(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "DELETE FROM q.rate; INSERT INTO q.rate (name, cap15, capday, winday, usedday) "
                "VALUES ('strava', 100, 1000, floor(extract(epoch FROM now()) / 86400), 999)");
    watch(db);
    it_holds(db, "NOT EXISTS (SELECT FROM alert.state)");
    it_exec(db, "UPDATE q.rate SET usedday = 1000");
    watch(db);
    it_holds(db, "(SELECT body FROM alert.state) LIKE 'All 1000 calls%%'");
    is(db, "strava:quota", "used up", true, 1);
    watch(db);
    is(db, "strava:quota", "used up", true, 0);
    /* A new day by their clock. */
    it_exec(db, "UPDATE q.rate SET offset_s = 86400");
    watch(db);
    is(db, "strava:quota", "ok", false, 1);
}

static void nothing_new(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene();"
                "UPDATE activities SET inserted_at = now() - interval '8 days'");
    watch(db);
    it_holds(db, "NOT EXISTS (SELECT FROM alert.state)"); /* nobody is connected */
    it_exec(db, "INSERT INTO strava.account (athlete_id) VALUES (1); DELETE FROM q.job");
    watch(db);
    it_holds(db, "NOT EXISTS (SELECT FROM alert.state)"); /* connected just now */
    it_exec(db, "UPDATE strava.account SET connected_at = now() - interval '30 days'");
    watch(db);
    is(db, "import:quiet", "quiet", true, 1);
    watch(db);
    is(db, "import:quiet", "quiet", true, 0);
    it_exec(db, "UPDATE activities SET inserted_at = now() - interval '6 days' WHERE id = 4;"
                "DELETE FROM q.job");
    watch(db);
    is(db, "import:quiet", "ok", false, 1);
    /* By a frontend's login, which leaves no account. */
    it_exec(db, "DELETE FROM strava.account;"
                "UPDATE activities SET inserted_at = now() - interval '8 days'; DELETE FROM q.job;"
                "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (1, 'r')");
    watch(db);
    is(db, "import:quiet", "quiet", true, 1);
    it_exec(db, "DELETE FROM refresh_tokens");
    watch(db);
    is(db, "import:quiet", "nobody", false, 1);
}

static void die(struct it_db *db, const char *kind, int n)
{
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload, "
            "created_at, reason) SELECT coalesce((SELECT max(id) FROM q.dead), 0) + i, 'trails', "
            "'%s', 0, 8, 8, 0, '{}', now(), 'attempts' FROM generate_series(1, %d) i",
            kind, n);
}

static void dead_letters(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    die(db, "match", 1);
    watch(db);
    it_holds(db, "(SELECT body FROM alert.state) LIKE '1 dead letter, of kind match.%%'");
    is(db, "queue:dead", "match", true, 1);
    die(db, "match", 100);
    watch(db);
    is(db, "queue:dead", "match", true, 0); /* more of the same */
    die(db, "page", 2);
    watch(db);
    it_holds(db, "(SELECT body FROM alert.state) LIKE '103 dead letters, of kind match, page.%%'");
    is(db, "queue:dead", "match, page", true, 1);
    it_exec(db, "DELETE FROM q.dead WHERE kind = 'match'");
    watch(db);
    is(db, "queue:dead", "page", true, 0); /* fewer kinds */
    it_exec(db, "DELETE FROM q.dead");
    watch(db);
    is(db, "queue:dead", "none", false, 1);
    watch(db);
    is(db, "queue:dead", "none", false, 0);
    /* A state that was not told of yet is not taken for told because it became less. */
    die(db, "match", 1);
    die(db, "page", 1);
    watch(db);
    it_exec(db, "DELETE FROM q.dead WHERE kind = 'match'");
    watch(db);
    it_holds(db, "(SELECT state = 'page' AND NOT told_bad FROM alert.state) AND "
                 "EXISTS (SELECT FROM q.job WHERE kind = 'alert')");
    /* Whatever kinds somebody makes up, it stays a message. */
    it_exec(db, "DELETE FROM q.dead");
    for (int i = 0; i < 40; i++)
        die(db, it_format("%0*d", 200, i), 1);
    watch(db);
    it_holds(db, "(SELECT length(body) < 1200 FROM alert.state)");
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void one_job_each(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_holds(db, "(SELECT count(*) FROM alert.fan('{\"key\": \"k\"}', '{slack}', 1)) = 0");
    it_exec(db, "SELECT alert.set('k', 'bad', true, 'T' || chr(10) || chr(9) || 'u', 'B')");
    it_holds(db, "(SELECT about = 'k' AND is_bad AND headline = 'T u' FROM "
                 "alert.fan('{\"key\": \"k\"}', '{slack,ntfy}', 5))");
    it_holds(db,
             "(SELECT array_agg(lane ORDER BY lane) = '{alert:ntfy:k,alert:slack:k}' AND "
             "bool_and(parent = 5 AND max_attempts = 8 AND state = 'ready' AND payload->>'at' = "
             "to_jsonb((SELECT since FROM alert.state))->>0) FROM q.job WHERE kind = "
             "'alert.send')");
    /* Told is told: another look, which somebody asked for meanwhile, finds nothing. */
    it_holds(db, "(SELECT count(*) FROM alert.fan('{\"key\": \"k\"}', '{slack}', 1)) = 0");
    /* Too soon: it comes again. */
    it_exec(db, "DELETE FROM q.job; SELECT alert.set('k', 'worse', true, 'T', 'B');"
                "DELETE FROM q.job");
    it_holds(db, "(SELECT count(*) FROM alert.fan('{\"key\": \"k\"}', '{slack}', 1)) = 0");
    it_holds(db, "(SELECT run_at = told_at + interval '5 minutes' AND ukey = 'alert:k' FROM q.job, "
                 "alert.state)");
    /* A later message waits for the one before. */
    it_exec(db, "DELETE FROM q.job; SELECT alert.fan(jsonb_build_object('key', 'n', 'title', i), "
                "'{slack}', i) FROM generate_series(1, 3) i");
    it_holds(db,
             "(SELECT array_agg(state::text ORDER BY id) = '{ready,blocked,blocked}' FROM q.job "
             "WHERE kind = 'alert.send')");
    /* Nobody is configured: it is told of by the log, and counts as told. */
    it_exec(db, "UPDATE alert.state SET told_at = told_at - interval '1 hour'; DELETE FROM q.job");
    it_holds(db, "(SELECT count(*) FROM alert.fan('{\"key\": \"k\"}', '{}', 1)) = 1");
    it_holds(db,
             "(SELECT told_state FROM alert.state) = 'worse' AND NOT EXISTS (SELECT FROM q.job)");
    /* Texts that others make up are bounded. */
    it_exec(db,
            "SELECT alert.fan(jsonb_build_object('key', repeat('k', 9999), 'title', repeat('t', "
            "9999), 'body', repeat('b', 9999)), '{slack}', 1)");
    it_holds(db, "(SELECT length(payload::text) < 2700 FROM q.job)");
}

/* The row says what was told before; two at once wait for each other. */
static void at_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *other = PQconnectdb(db->url);
    it_exec(db, "SELECT alert.set('k', 'bad', true, 'T', 'B'); BEGIN;"
                "SELECT alert.fan('{\"key\": \"k\"}', '{slack}', 1)");
    assert_int_equal(PQsendQuery(other, "SELECT alert.set('k', 'worse', true, 'T', 'B')"), 1);
    it_pause_ms(300);
    it_exec(db, "COMMIT");
    PGresult *r = PQgetResult(other);
    assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
    PQclear(r);
    PQfinish(other);
    /* It saw that something was told just now: its own look joined the one that waits, or rests. */
    it_holds(db, "(SELECT told_state = 'bad' AND state = 'worse' FROM alert.state)");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'alert') = 1");
    it_exec(db, "DELETE FROM q.job WHERE kind = 'alert'");
    it_holds(db, "(SELECT count(*) FROM alert.fan('{\"key\": \"k\"}', '{slack}', 1)) = 0");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'alert.send') = 1");
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static void a_schedule_is_made_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    for (int i = 0; i < 2; i++) {
        it_serve_stop(it_serve(db, NULL));
        it_holds(db, "(SELECT spec = '7 * * * *' AND minutes = '{7}' AND cardinality(hours) = 24 "
                     "AND cardinality(days) = 31 AND cardinality(months) = 12 AND "
                     "cardinality(weekdays) = 7 AND queue = 'trails' AND kind = 'alert.watch' AND "
                     "next_at > now() AND next_at <= now() + interval '1 hour' AND extract(minute "
                     "FROM next_at) = 7 FROM q.cron WHERE name = 'alert.watch')");
    }
    /* What an operator made of it stays. */
    it_exec(db, "UPDATE q.cron SET paused = true WHERE name = 'alert.watch'");
    struct it_proc *p = it_serve(db, NULL);
    it_holds(db, "(SELECT paused FROM q.cron WHERE name = 'alert.watch')");
    die(db, "match", 1);
    it_exec(db, "UPDATE q.cron SET paused = false, next_at = now() WHERE name = 'alert.watch';"
                "NOTIFY processing");
    assert_true(it_eventually(db, 20000,
                              "SELECT EXISTS (SELECT FROM alert.state WHERE key = "
                              "'queue:dead' AND bad AND told_bad)") >= 0);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(nothing_is_amiss), IT_TEST(a_login),
        IT_TEST(the_application),  IT_TEST(the_subscription),
        IT_TEST(calls_of_the_day), IT_TEST(nothing_new),
        IT_TEST(dead_letters),     IT_TEST(one_job_each),
        IT_TEST(at_once),          IT_TEST(a_schedule_is_made_once),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
