/* The subscription to events, with the simulator on the other side: made, kept, moved, mended and
 * removed by the real program, whose own listener answers the challenge meanwhile. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include "it/hook.h"
#include "it/load.h"
#include "it/sim.h"

enum { SOON_MS = 20000, LATER_MS = 60000 };

#define SECRET "sim-secret-1001"
#define OF_NOW                                                                                     \
    "SELECT EXISTS (SELECT FROM strava.app WHERE subscription_id IS NOT NULL AND"                  \
    " subscription_problem IS NULL)"

static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

struct place {
    unsigned port;
    const char *url;
};

static struct place new_place(const char *path)
{
    struct place p = {.port = free_port()};
    p.url = it_format("http://127.0.0.1:%u%s", p.port, path);
    return p;
}

/* Settings of a service there. */
static const char *const *env(struct sim *s, const struct place *p, const char *keep,
                              const char *secret)
{
    static const char *list[12];
    const char *const all[] = {
        it_format("WAYMARK_HTTP_LISTEN=127.0.0.1:%u", p->port),
        "WAYMARK_ADMIN_LISTEN=127.0.0.1:0",
        "WAYMARK_ADMIN_SECRET=of-no-interest",
        "STRAVA_CLIENT_ID=1001",
        it_format("STRAVA_CLIENT_SECRET=%s", secret),
        it_format("STRAVA_CALLBACK_URL=%s", p->url),
        it_format("WAYMARK_STRAVA_SUBSCRIPTION=%s", keep),
        it_format("WAYMARK_STRAVA_API_URL=%s/api/v3", sim_url(s)),
        it_format("WAYMARK_STRAVA_OAUTH_URL=%s", sim_url(s)),
        "WAYMARK_PROCESSOR_DRAIN=1s", /* nobody waits for calls that are never answered */
        NULL,
    };
    memcpy(list, all, sizeof(all));
    return list;
}

static struct it_proc *serve(struct it_db *db, struct sim *s, const struct place *p)
{
    return it_serve(db, env(s, p, "keep", SECRET));
}

static void must_be_soon(struct it_db *db, const char *sql)
{
    if (it_eventually(db, SOON_MS, sql) < 0)
        fail_msg("not so: %s\n%s", sql,
                 it_text(db, "SELECT a::text || coalesce((SELECT string_agg(j::text, ' ') FROM"
                             " q.job j), '') FROM strava.app a"));
}

/* Where the subscription pushes to, as the simulator says; "" for none. */
static const char *subscribed(struct sim *s, int64_t *id)
{
    json_t *list = sim_json(sim_ask(
        s, "GET", "/api/v3/push_subscriptions?client_id=1001&client_secret=" SECRET, NULL, NULL));
    assert_true(json_array_size(list) <= 1);
    if (json_array_size(list) == 0)
        return "";
    if (id)
        *id = sim_i64(list, "0.id");
    return sim_str(list, "0.callback_url");
}

/* How often the subscriptions were asked for in that way, and answered so. */
static unsigned asked(struct sim *s, const char *method, int status)
{
    json_t *log = sim_log(s, 0);
    unsigned n = 0;
    for (size_t i = 0; i < json_array_size(log); i++) {
        json_t *one = json_array_get(log, i);
        n += strncmp(sim_str(one, "path"), "/push_subscriptions", 19) == 0 &&
             strcmp(sim_str(one, "method"), method) == 0 && sim_i64(one, "status") == status;
    }
    return n;
}

static void no_secrets(struct it_db *db, struct it_proc *p)
{
    const char *word = it_text(db, "SELECT verify_token FROM strava.app");
    assert_null(strstr(it_errors(p), SECRET));
    assert_null(strstr(it_errors(p), word));
    assert_null(strstr(it_errors(p), "0123456789abcdef"));
    it_holds(db,
             "NOT EXISTS (SELECT FROM q.job j WHERE j::text ~ '%s|%s') AND NOT EXISTS (SELECT"
             " FROM alert.state s WHERE s::text ~ '%s|%s')",
             SECRET, word, SECRET, word);
}

/* ---- made and kept --------------------------------------------------------------------------- */

static void made_at_start_and_kept(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    int64_t id = 0;
    sim_grant(s, 9001, NULL);
    /* Jobs of calls are looked at, not done. */
    it_exec(db, "INSERT INTO q.pause (queue) VALUES ('strava');"
                "INSERT INTO athletes (id) VALUES (9001);"
                "INSERT INTO strava.account (athlete_id) VALUES (9001)");
    struct it_proc *p = serve(db, s, &here);
    must_be_soon(db, OF_NOW);
    assert_string_equal(subscribed(s, &id), here.url);
    it_holds(db, "(SELECT subscription_id FROM strava.app) = %lld", (long long)id);
    assert_int_equal(asked(s, "POST", 201), 1);
    /* What happens there is told here, and acknowledged at the first attempt. */
    int64_t activity = sim_i64(sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}"), "id");
    sim_idle(s);
    must_be_soon(db, it_format("SELECT EXISTS (SELECT FROM q.job WHERE ukey = 'look:%lld' AND"
                               " tenant = 9001)",
                               (long long)activity));
    assert_int_equal(sim_i64(sim_stats(s), "events.lost"), 0);
    assert_int_equal(sim_i64(sim_stats(s), "events.attempts"), 1);
    /* A new start finds it and leaves it alone; so does the daily look. */
    it_serve_stop(p);
    no_secrets(db, p);
    p = serve(db, s, &here);
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.subscribe')");
    it_must(db, NULL, IT_LIST("jobs", "cron", "run", "strava.subscribe"), 0);
    must_be_soon(db, "SELECT count(*) = 3 FROM q.done WHERE kind = 'strava.subscribe'");
    assert_int_equal(asked(s, "POST", 201), 1);
    assert_int_equal(asked(s, "DELETE", 204), 0);
    it_holds(db, "(SELECT next_at FROM q.cron WHERE name = 'strava.subscribe') BETWEEN now() AND"
                 " now() + interval '24 hours'");
    it_serve_stop(p);
    sim_stop(s);
}

/* Whatever order and spelling Strava's challenge has; and one that is not ours is refused. */
static void challenges_of_all_sorts(void **state)
{
    (void)state;
    static const char *const how[] = {"reversed", "escaped", "bad_verify"};
    for (int i = 0; i < 3; i++) {
        struct it_db *db = it_db_new();
        struct sim *s = sim_start(NULL);
        struct place here = new_place(it_format(HOOK_PATH "?key=%d", i));
        sim_do(s, "fault",
               "{\"when\":{\"first_n\":1},\"action\":{\"type\":\"challenge\",\"do\":\"%s\"}}",
               how[i]);
        struct it_proc *p = serve(db, s, &here);
        must_be_soon(db, OF_NOW);
        assert_string_equal(subscribed(s, NULL), here.url);
        assert_int_equal(asked(s, "POST", 400), i == 2);
        it_holds(db, "NOT EXISTS (SELECT FROM alert.state WHERE bad)");
        it_serve_stop(p);
        sim_stop(s);
    }
}

/* Made, and the answer is lost: the next look finds it. */
static void an_answer_that_is_lost(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    sim_do(s, "fault",
           "{\"match\":{\"method\":\"POST\",\"path\":\"/push_subscriptions\"},\"when\":{\"nth\":1},"
           "\"action\":{\"type\":\"drop\",\"at\":\"body\"}}");
    struct it_proc *p = serve(db, s, &here);
    must_be_soon(db, OF_NOW);
    assert_string_equal(subscribed(s, NULL), here.url);
    assert_int_equal(asked(s, "POST", 400), 0);
    it_serve_stop(p);
    sim_stop(s);
}

/* ---- moved ----------------------------------------------------------------------------------- */

static void moved_to_where_the_service_is(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place old = new_place("/old/aaaaaaaaaaaaaaaaaaaa"), here = new_place(HOOK_PATH);
    int64_t first = 0, second = 0;
    struct it_proc *p = serve(db, s, &old);
    must_be_soon(db, OF_NOW);
    (void)subscribed(s, &first);
    it_serve_stop(p);
    p = serve(db, s, &here);
    must_be_soon(db, it_format("SELECT subscription_id <> %lld FROM strava.app", (long long)first));
    assert_string_equal(subscribed(s, &second), here.url);
    it_holds(db, "(SELECT subscription_id FROM strava.app) = %lld", (long long)second);
    it_wait_for(p, it_format("host=127.0.0.1:%u", old.port), 5000);
    it_wait_for(p, "The subscription to events was moved here", 10000); /* told in the log */
    it_serve_stop(p);
    no_secrets(db, p);
    sim_stop(s);
}

/* A service that nobody can reach must not take the subscription from one that is reached. */
static void not_moved_to_nowhere(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place old = new_place("/old/aaaaaaaaaaaaaaaaaaaa"), here = new_place(HOOK_PATH);
    struct it_proc *p = serve(db, s, &old);
    must_be_soon(db, OF_NOW);
    it_serve_stop(p);
    struct place wrong = {.port = here.port,
                          .url = it_format("http://127.0.0.1:%u" HOOK_PATH, free_port())};
    p = serve(db, s, &wrong);
    must_be_soon(db, "SELECT subscription_problem ~ 'cannot be moved here' FROM strava.app");
    /* Some attempts later it is an alert; and the other one is still there. */
    for (int64_t until = it_now_ms() + LATER_MS;
         it_eventually(db, 200,
                       "SELECT EXISTS (SELECT FROM alert.state WHERE key = 'strava:subscription'"
                       " AND bad)") < 0;
         it_exec(db, "UPDATE q.job SET run_at = now() WHERE kind = 'strava.subscribe' AND state ="
                     " 'waiting'; NOTIFY processing")) {
        if (it_now_ms() > until)
            fail_msg("nobody is told");
    }
    assert_string_equal(subscribed(s, NULL), old.url);
    assert_int_equal(asked(s, "DELETE", 204), 0);
    struct it_result r = it_run(db, env(s, &wrong, "keep", SECRET), IT_LIST("doctor"));
    assert_non_null(strstr(r.out, "FAIL     strava.callback_url"));
    assert_non_null(strstr(r.out, "FAIL     subscription to events"));
    it_serve_stop(p);
    /* Once it can be reached all is well, and that is told too. */
    p = serve(db, s, &here);
    must_be_soon(db, OF_NOW);
    assert_string_equal(subscribed(s, NULL), here.url);
    it_holds(db, "NOT (SELECT bad FROM alert.state WHERE key = 'strava:subscription')");
    r = it_run(db, env(s, &here, "keep", SECRET), IT_LIST("doctor"));
    assert_non_null(strstr(r.out, "ok       strava.callback_url"));
    assert_non_null(strstr(r.out, "ok       subscription to events"));
    assert_null(strstr(r.out, it_text(db, "SELECT verify_token FROM strava.app")));
    it_serve_stop(p);
    sim_stop(s);
}

static void left_alone_where_it_is_off(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place old = new_place("/old/aaaaaaaaaaaaaaaaaaaa"), here = new_place(HOOK_PATH);
    for (int there = 0; there < 2; there++) {
        struct it_proc *p = it_serve(db, env(s, &here, "off", SECRET));
        must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.subscribe')");
        assert_string_equal(subscribed(s, NULL), there ? old.url : "");
        it_holds(db, "(SELECT subscription_id IS NULL AND subscription_problem IS NULL FROM"
                     " strava.app)");
        it_serve_stop(p);
        p = serve(db, s, &old);
        must_be_soon(db, OF_NOW);
        it_serve_stop(p);
    }
    sim_stop(s);
}

/* ---- what may be wrong ----------------------------------------------------------------------- */

static void wrong_credentials(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    struct it_proc *p = it_serve(db, env(s, &here, "keep", "not-the-secret"));
    must_be_soon(db, "SELECT subscription_problem ~ 'client_secret' FROM strava.app");
    it_holds(db, "EXISTS (SELECT FROM alert.state WHERE key = 'strava:subscription' AND bad)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.subscribe') AND NOT EXISTS"
                 " (SELECT FROM q.dead)");
    it_serve_stop(p);
    struct it_result r =
        it_must(db, env(s, &here, "keep", "not-the-secret"), IT_LIST("sync", "subscribe"), 1);
    assert_non_null(strstr(r.err, "strava.client_secret"));
    assert_null(strstr(r.err, "not-the-secret"));
    sim_stop(s);
}

static void an_inactive_application(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    sim_do(s, "app/status", "{\"status\":\"inactive\"}");
    struct it_proc *p = serve(db, s, &here);
    must_be_soon(db, "SELECT subscription_problem ~ 'switched the API application off' FROM"
                     " strava.app");
    sim_do(s, "app/status", "{\"status\":\"active\"}");
    it_must(db, NULL, IT_LIST("jobs", "cron", "run", "strava.subscribe"), 0);
    must_be_soon(db, OF_NOW);
    it_serve_stop(p);
    sim_stop(s);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void by_hand(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    struct it_proc *p = serve(db, s, &here);
    must_be_soon(db, OF_NOW);
    const char *const *e = env(s, &here, "keep", SECRET);
    struct it_result r = it_must(db, e, IT_LIST("sync", "subscribe"), 0);
    assert_non_null(strstr(r.out, "is in order"));
    r = it_must(db, e, IT_LIST("sync", "unsubscribe", "--json"), 0);
    assert_string_equal(r.out, "{\"subscription\":\"removed\"}\n");
    assert_non_null(strstr(r.err, "strava.subscription"));
    assert_string_equal(subscribed(s, NULL), "");
    it_holds(db, "(SELECT subscription_id IS NULL FROM strava.app)");
    r = it_must(db, e, IT_LIST("sync", "unsubscribe"), 0);
    assert_non_null(strstr(r.out, "There was no subscription"));
    r = it_must(db, e, IT_LIST("sync", "subscribe", "--json"), 0);
    assert_non_null(strstr(r.out, "\"made\""));
    assert_string_equal(subscribed(s, NULL), here.url);
    it_serve_stop(p);
    /* Nobody answers: the simulator says so, as Strava does. */
    it_must(db, e, IT_LIST("sync", "unsubscribe"), 0);
    r = it_must(db, e, IT_LIST("sync", "subscribe"), 75);
    assert_non_null(strstr(r.err, "cannot reach"));
    r = it_must(db, NULL, IT_LIST("sync", "subscribe"), 78);
    assert_non_null(strstr(r.err, "strava.client_id"));
    sim_stop(s);
}

/* ---- hostile, and in trouble ----------------------------------------------------------------- */

/* Every strange event that the simulator knows: the service is well, and nothing is erased. */
static void strange_events(void **state)
{
    (void)state;
    static const char *const kind[] = {"forged_delete",
                                       "forged_deauth",
                                       "create",
                                       "update",
                                       "unknown_owner",
                                       "unknown_activity",
                                       "wrong_subscription",
                                       "unknown_fields",
                                       "private_bool",
                                       "string_ids",
                                       "big_body",
                                       "invalid_json",
                                       "wrong_type",
                                       "empty",
                                       "array",
                                       "burst",
                                       "bad_verify"};
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    sim_grant(s, 9001, NULL);
    it_exec(db, "INSERT INTO athletes (id) VALUES (9001);"
                "INSERT INTO strava.account (athlete_id) VALUES (9001);"
                "INSERT INTO activities (id, athlete_id, activity_type) VALUES (77, 9001, 'Run')");
    struct it_proc *p = serve(db, s, &here);
    const char *admin = http_address(p, "admin");
    must_be_soon(db, OF_NOW);
    for (size_t i = 0; i < sizeof(kind) / sizeof(*kind); i++) {
        sim_do(s, "events/send", "{\"kind\":\"%s\",\"athlete\":9001,\"activity\":77}", kind[i]);
        sim_advance(s, 300);
        http_is(http_ask(admin, "GET", "/readyz", NULL, NULL), 200);
    }
    must_be_soon(db, "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)");
    it_holds(db, "EXISTS (SELECT FROM activities WHERE id = 77) AND EXISTS (SELECT FROM"
                 " strava.account) AND EXISTS (SELECT FROM athletes)");
    it_holds(db, "EXISTS (SELECT FROM strava.event WHERE verdict = 'unknown') AND EXISTS (SELECT"
                 " FROM strava.event WHERE verdict = 'foreign') AND EXISTS (SELECT FROM"
                 " strava.event WHERE verdict = 'check')");
    it_serve_stop(p);
    sim_stop(s);
}

enum { SENDERS = 16, EACH = 150 };

/* Scenario H: Strava does not answer us at all: its own calls are answered as ever. */
static void the_api_is_down(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct sim *s = sim_start(NULL);
    struct place here = new_place(HOOK_PATH);
    it_exec(db, "INSERT INTO athletes (id) VALUES (1);"
                "INSERT INTO strava.account (athlete_id) VALUES (1)");
    struct it_proc *p = serve(db, s, &here);
    must_be_soon(db, OF_NOW);
    it_exec(db, "UPDATE strava.app SET subscription_id = 120475");
    sim_do(s, "fault", "{\"action\":{\"type\":\"drop\",\"at\":\"never\"}}");
    it_exec(db, "SELECT strava.want_subscription(); NOTIFY processing");
    struct hook_sender sender[SENDERS];
    int64_t worst = 0;
    for (int i = 0; i < SENDERS; i++)
        sender[i] = (struct hook_sender){
            .address = http_address(p, "http"), .first = 10000 * (i + 1), .many = EACH, .owner = 1};
    hook_start(sender, SENDERS);
    hook_join(sender, SENDERS);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(sender[i].refused + sender[i].broken, 0);
        worst = sender[i].worst_ms > worst ? sender[i].worst_ms : worst;
    }
    assert_int_equal(hook_all_kept(db, sender, SENDERS), SENDERS * EACH);
    print_message("the worst of %d answers took %lld ms\n", SENDERS * EACH, (long long)worst);
    assert_true(worst < 2000);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE kind = 'strava.subscribe' AND state ="
                 " 'running')");
    it_serve_stop(p);
    sim_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(made_at_start_and_kept),
        SIM_TEST(challenges_of_all_sorts),
        SIM_TEST(an_answer_that_is_lost),
        SIM_TEST(moved_to_where_the_service_is),
        SIM_TEST(not_moved_to_nowhere),
        SIM_TEST(left_alone_where_it_is_off),
        SIM_TEST(wrong_credentials),
        SIM_TEST(an_inactive_application),
        SIM_TEST(by_hand),
        SIM_TEST(strange_events),
        SIM_TEST(the_api_is_down),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
