/* `waymark sync` brings in what Strava has, by itself or beside a service, tells how it goes, and
 * what is the matter when it does not. */
#include "it/sync.h"

#include <signal.h>
#include <sys/stat.h>

enum { LONG_MS = 60000 };

static struct sim *start(const char *preset, const char *limits)
{
    return sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--athletes", "2", "--preset",
                             preset, "--limits", limits));
}

#define MANY "5000,50000/5000,50000"

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void alone_it_does_all_of_it(void **state)
{
    (void)state;
    struct sim *s = start("demo", MANY);
    struct it_db *db = sync_db(s);
    sync_route(db, s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    sync_connect(db, s, SYNC_ATHLETE + 1, NULL);
    struct it_result r = it_must(db, sync_env(s, NULL), IT_LIST("sync"), 0);
    sync_same(db, s, SYNC_ATHLETE);
    sync_same(db, s, SYNC_ATHLETE + 1);
    has(r.out, "   9001  new   done       2     150  150        0     0           0\n");
    has(r.out, "   9002  new   done       2     150  150        0     0           0\n");
    has(r.out, "left in the background: ");
    has(r.err, "athlete 9001: 150 activities, 150 new, 0 changed, 0 gone\n");
    /* Recorded tracks, and credit for them. */
    it_holds(
        db,
        "(SELECT count(*) FROM strava.activity WHERE streams = 'have') > 10 AND NOT EXISTS (SELECT"
        " FROM q.job WHERE queue IN ('strava', 'trails') AND kind NOT IN ('alert')) AND (SELECT"
        " covered_length > 0 FROM route_stats WHERE athlete_id = 9001)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance)");
    it_same_as_recomputed(db);

    /* Once more: nothing is new. */
    r = it_must(
        db, sync_env(s, NULL),
        IT_LIST("sync", "--athlete", "9001", "--mode", "all", "--from", "2026-01-01", "--json"), 0);
    json_t *j = sim_json((struct http_answer){.status = 200, .body = r.out, .n = strlen(r.out)});
    assert_int_equal(sim_i64(j, "syncs.0.athlete"), 9001);
    assert_string_equal(sim_str(j, "syncs.0.mode"), "all");
    assert_string_equal(sim_str(j, "syncs.0.state"), "done");
    assert_int_equal(sim_i64(j, "syncs.0.new"), 0);
    assert_int_equal(sim_i64(j, "syncs.0.changed"), 0);
    assert_int_equal(sim_i64(j, "syncs.0.gone"), 0);
    assert_true(sim_i64(j, "syncs.0.listed") > 0 && sim_i64(j, "syncs.0.listed") < 150);
    assert_int_equal(sim_i64(j, "calls"), 2);
    assert_int_equal(json_array_size(sim_at(j, "syncs")), 1);
    assert_null(strstr(r.err, "syncing")); /* no bar */
}

/* A diff is shown, and nothing is thrown away to make it. */
static void a_diff_is_shown(void **state)
{
    (void)state;
    struct sim *s = start("demo", MANY);
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--quiet"), 0);
    (void)sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"count\":3}");
    (void)sim_do(s, "activity", "{\"do\":\"retitle\",\"id\":%lld,\"name\":\"x\"}",
                 (long long)it_i64(db, "SELECT max(id) FROM activities"));
    (void)sim_do(s, "activity", "{\"do\":\"delete\",\"id\":%lld}",
                 (long long)it_i64(db, "SELECT min(id) FROM activities"));
    it_exec(db, "UPDATE activities SET name = name"); /* whoever rewrites a row is noticed */
    const char *rows =
        it_text(db, "SELECT string_agg(xmin::text, ' ' ORDER BY id) FROM activities WHERE id"
                    " NOT IN (SELECT max(id) FROM activities UNION SELECT min(id) FROM"
                    " activities)");
    const char *known =
        it_text(db, "SELECT string_agg(id::text, ',') FROM activities WHERE id NOT IN (SELECT"
                    " max(id) FROM activities UNION SELECT min(id) FROM activities)");
    struct it_result r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "--mode", "all"), 0);
    has(r.out, "   9001  all   done       2     152    3        1     1           0\n");
    assert_string_equal(
        it_text(db,
                "SELECT string_agg(xmin::text, ' ' ORDER BY id) FROM activities WHERE id IN"
                " (%s)",
                known),
        rows);
    sync_same(db, s, SYNC_ATHLETE);
}

static void beside_a_service(void **state)
{
    (void)state;
    struct sim *s = start("demo", MANY);
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    struct it_proc *p = it_serve(db, sync_env(s, NULL));
    struct it_result r =
        it_must(db, sync_env(s, NULL), IT_LIST("sync", "--athlete", "9001", "--detach"), 0);
    assert_string_equal(r.out, "athlete 9001: asked for\n");
    sync_wait(db, LONG_MS);
    sync_same(db, s, SYNC_ATHLETE);
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "--mode", "all", "--quiet"), 0);
    has(r.out, "all   done       2     150    0        0     0           0\n");
    it_serve_stop(p);

    /* Nobody works: it waits, is joined, and done by whoever comes. */
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--mode", "all", "--detach"), 0);
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "--detach", "--json"), 0);
    json_t *j = sim_json((struct http_answer){.status = 200, .body = r.out, .n = strlen(r.out)});
    assert_true(json_is_true(json_object_get(json_array_get(j, 0), "joined")));
    it_holds(db, "(SELECT count(*) FROM strava.sync WHERE state = 'running') = 1");
    it_must(db, sync_env(s, NULL), IT_LIST("sync"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM strava.sync WHERE state = 'running')");
}

static void a_used_up_quota_is_told(void **state)
{
    (void)state;
    struct sim *s = start("big", "10,1000/10,1000");
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    struct it_proc *p =
        it_start(db, sync_env(s, IT_LIST("TZ=UTC")), IT_LIST("sync", "--mode", "all"));
    it_wait_for(
        p, "1394 activities, 1394 new; 0 calls left now, 693 today; quota used up, goes on at ",
        30000);
    it_wait_for(p, "; at least ", 30000);
    assert_int_equal(sync_calls(s, "/athlete/activities"), 7); /* the rest is for live work */
    struct it_result st = it_must(db, sync_env(s, NULL), IT_LIST("sync", "status"), 0);
    has(st.out, "running");
    has(st.out, "strava          7/10 ");
    sync_advance(db, s, 900);
    struct it_result r = it_wait(p, LONG_MS);
    assert_int_equal(r.status, 0);
    sync_same(db, s, SYNC_ATHLETE);
    sync_within_limits(s);

    /* What is stopped goes on later. */
    sync_advance(db, s, 900);
    p = it_start(db, sync_env(s, NULL), IT_LIST("sync", "--mode", "all"));
    assert_true(it_eventually(db, 30000,
                              "SELECT EXISTS (SELECT FROM strava.sync WHERE state = 'running' AND"
                              " pages = 7)") >= 0);
    it_signal(p, SIGINT);
    assert_int_equal(it_wait(p, 20000).status, 75);
    it_holds(db, "(SELECT count(*) FROM strava.sync WHERE state = 'running') = 1");
    sync_advance(db, s, 900);
    it_must(db, sync_env(s, NULL), IT_LIST("sync"), 0);
    assert_true(sync_calls(s, "/athlete/activities") <= 2 * 14 + 1);
}

static void what_is_the_matter(void **state)
{
    (void)state;
    struct sim *s = start("tiny", MANY);
    struct it_db *db = sync_db(s);
    struct it_result r = it_must(db, NULL, IT_LIST("sync"), 78);
    has(r.err, "strava.client_id");
    r = it_must(db, IT_LIST("STRAVA_CLIENT_ID=1001"), IT_LIST("sync"), 78);
    has(r.err, "strava.client_secret is not");
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync"), 1);
    has(r.err, "nobody is connected");
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "status"), 0);
    has(r.out, "Nobody has connected");
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    sync_connect(db, s, SYNC_ATHLETE + 1, NULL);
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "--athlete", "77"), 1);
    has(r.err, "athlete 77 is not connected");
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--mode", "some"), 2);
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--from", "tomorrow"), 2);
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--from", "2999-01-01"), 2);
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "--athlete", "-1"), 2);
    it_must(db, sync_env(s, NULL), IT_LIST("sync", "now"), 2);
    it_holds(db, "NOT EXISTS (SELECT FROM strava.sync)");
    (void)sim_do(s, "token/invalidate", "{\"athlete\":9001,\"what\":\"both\"}");
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync"), 1);
    has(r.err, "1 of 2 syncs failed");
    has(r.out, "9001: the athlete has to connect again");
    sync_same(db, s, SYNC_ATHLETE + 1);
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "status"), 0);
    has(r.out, "not connected");
    r = it_must(db, sync_env(s, NULL), IT_LIST("sync", "status", "--json"), 0);
    json_t *j = sim_json((struct http_answer){.status = 200, .body = r.out, .n = strlen(r.out)});
    assert_int_equal(sim_i64(j, "athletes.1.athlete"), 9002);
    assert_string_equal(sim_str(j, "athletes.1.state"), "done");
    assert_string_equal(sim_str(j, "athletes.0.problem"), "the athlete has to connect again");
    assert_string_equal(sim_str(j, "athletes.0.requested_by"), "waymark sync");
    assert_string_equal(sim_str(j, "rates.0.name"), "strava");
}

/* The private database: its tokens are encrypted with a key that is made once. */
static void the_private_database_has_a_key(void **state)
{
    (void)state;
    struct sim *s = start("tiny", MANY);
    const char *dir = it_format("%s/private", it_home());
    assert_int_equal(chmod(it_home(), 0755), 0);
    const char *const *env = sync_env(s, IT_LIST(it_format("WAYMARK_DATA_DIR=%s", dir)));
    struct it_result r = it_must(NULL, env, IT_LIST("sync"), 1);
    has(r.err, "nobody is connected");
    const char *key = it_read_file(it_format("%s/key", dir));
    assert_int_equal(strlen(key), 65);
    assert_int_equal(strspn(key, "0123456789abcdef"), 64);
    it_must(NULL, env, IT_LIST("sync"), 1);
    assert_string_equal(it_read_file(it_format("%s/key", dir)), key);
}

#define KEY1 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY2 "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

static const char *prefix(struct it_db *db)
{
    return it_text(
        db, "SELECT string_agg(DISTINCT substring(t FROM '^wm1:[0-9a-f]{16}:'), ' ') FROM (SELECT"
            " access_token t FROM access_tokens UNION ALL SELECT refresh_token FROM"
            " refresh_tokens) x");
}

/* What a frontend has stored as it is, and what another key has sealed, is sealed with the first.
 */
static void keys_change(void **state)
{
    (void)state;
    struct sim *s = start("tiny", MANY);
    struct it_db *db = sync_db(s);
    sync_connect(db, s, SYNC_ATHLETE, NULL);
    sync_connect(db, s, SYNC_ATHLETE + 1, NULL);
    it_serve_stop(it_serve(db, sync_env(s, IT_LIST("WAYMARK_DATA_KEY=" KEY1))));
    const char *first = prefix(db);
    assert_int_equal(strlen(first), 21); /* one, of all */
    struct it_proc *p = it_serve(db, sync_env(s, IT_LIST("WAYMARK_DATA_KEY=" KEY2 "," KEY1)));
    assert_int_equal(strlen(prefix(db)), 21);
    assert_string_not_equal(prefix(db), first);
    assert_true(it_said(p, "tokens were encrypted with the present key"));
    it_serve_stop(p);
    it_must(db, sync_env(s, IT_LIST("WAYMARK_DATA_KEY=" KEY2)), IT_LIST("sync", "--quiet"), 0);
    sync_same(db, s, SYNC_ATHLETE);
    /* Without the key nobody is taken for gone: it is the operator who is asked. */
    struct it_proc *lost =
        it_start(db, sync_env(s, IT_LIST("WAYMARK_DATA_KEY=" KEY1)), IT_LIST("serve"));
    it_wait_for(lost, "some tokens keep the key they have", 20000);
    it_signal(lost, SIGTERM);
    (void)it_wait(lost, 20000);
    it_holds(db, "NOT EXISTS (SELECT FROM strava.account WHERE state = 'reauth')");
    it_must(db, sync_env(s, IT_LIST("WAYMARK_DATA_KEY=abc")), IT_LIST("sync"), 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(alone_it_does_all_of_it),
        IT_TEST(a_diff_is_shown),
        IT_TEST(beside_a_service),
        IT_TEST(a_used_up_quota_is_told),
        IT_TEST(what_is_the_matter),
        IT_TEST(the_private_database_has_a_key),
        IT_TEST(keys_change),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
