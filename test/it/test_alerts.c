/* Alerts from the real program to a server of the test's: once each, to each destination; late
 * rather than never; and the addresses, which are secrets, nowhere else. */
#include "it/http.h"
#include "it/prom.h"
#include "it/sink.h"

#include <jansson.h>
#include <signal.h>

enum { SOON_MS = 20000, QUIET_MS = 1500 };

static const char *const to[] = {"discord", "slack", "teams", "ntfy", "webhook"};
enum { TOS = sizeof(to) / sizeof(to[0]) };

/* The environment of a service with these destinations (bits), whose paths hold a secret each. */
static const char *const *env_of(const char *base, unsigned which, const char *more)
{
    static const char *env[TOS + 8];
    unsigned n = 0;
    for (unsigned i = 0; i < TOS; i++) {
        if (which & 1U << i) {
            char upper[16] = "";
            for (unsigned k = 0; to[i][k]; k++)
                upper[k] = (char)(to[i][k] & ~0x20);
            env[n++] =
                it_format("WAYMARK_ALERT_%s_URL=%s/%s/hooks/S3CRET%s", upper, base, to[i], to[i]);
        }
    }
    env[n++] = "WAYMARK_ADMIN_LISTEN=127.0.0.1:0";
    env[n++] = "WAYMARK_HTTP_LISTEN=127.0.0.1:0";
    env[n++] = "WAYMARK_HTTP_PUBLIC_URL=https://trails.test";
    env[n++] = "WAYMARK_LOG_LEVEL=debug";
    if (more)
        env[n++] = more;
    env[n] = NULL;
    return env;
}

enum { ALL = (1 << TOS) - 1, SLACK = 1 << 1, WEBHOOK = 1 << 4 };

static void set(struct it_db *db, const char *key, const char *state, bool bad)
{
    it_exec(db, "SELECT alert.set('%s', '%s', %s, 'It is %s', 'More of %s.')", key, state,
            bad ? "true" : "false", state, state);
}

static void until_idle(struct it_db *db)
{
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
}

/* What must rest has rested. */
static void rested(struct it_db *db)
{
    it_exec(db, "UPDATE alert.state SET told_at = told_at - interval '5 minutes 1 second';"
                "UPDATE q.job SET run_at = now() WHERE state = 'waiting'; NOTIFY processing");
}

/* No address of a destination is anywhere where somebody might read it. */
static void no_secret_in(const char *where, const char *text)
{
    if (strcasestr(text, "s3cret") || strcasestr(text, "hooks/"))
        fail_msg("%s holds an address:\n%s", where, text);
}

static void no_secret(struct it_db *db, struct it_proc *p)
{
    struct http_answer a = http_ask(http_address(p, "admin"), "GET", "/metrics", NULL, NULL);
    http_is(a, 200);
    no_secret_in("the metrics", a.body);
    no_secret_in("the log", it_errors(p));
    no_secret_in("the output", it_output(p));
    static const char *const table[] = {"q.job",  "q.done",      "q.dead", "q.try",
                                        "q.cron", "alert.state", "q.audit"};
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        no_secret_in(
            table[i],
            it_text(db, "SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM %s t", table[i]));
}

/* ---- changes --------------------------------------------------------------------------------- */

static void each_once(unsigned n, int64_t limit_ms)
{
    for (unsigned i = 0; i < TOS; i++)
        sink_wait(it_format("/%s/hooks/S3CRET%s", to[i], to[i]), n, limit_ms);
}

static json_t *json_of(const char *path, unsigned n)
{
    json_t *root = json_loads(sink_get(path, n).body, 0, NULL);
    assert_non_null(root);
    return root;
}

static void check_shapes(void)
{
    json_t *j = json_of("/webhook", 0);
    assert_string_equal(json_string_value(json_object_get(j, "key")), "app");
    assert_string_equal(json_string_value(json_object_get(j, "instance")), "https://trails.test");
    assert_string_equal(json_string_value(json_object_get(j, "title")), "It is broken");
    assert_true(json_is_true(json_object_get(j, "bad")));
    assert_true(json_integer_value(json_object_get(j, "id")) > 0);
    json_decref(j);
    j = json_of("/discord", 0);
    assert_non_null(strstr(json_string_value(json_object_get(j, "content")), "It is broken"));
    json_decref(j);
    j = json_of("/slack", 0);
    assert_non_null(strstr(json_string_value(json_object_get(j, "text")), "It is broken"));
    json_decref(j);
    j = json_of("/teams", 0);
    assert_string_equal(json_string_value(json_object_get(j, "type")), "message");
    json_decref(j);
    struct sink_post p = sink_get("/ntfy", 0);
    assert_string_equal(p.body, "More of broken.");
    assert_non_null(strstr(p.head, "Title: It is broken\r\n"));
    assert_non_null(strstr(p.head, "Priority: high\r\n"));
    assert_non_null(strstr(p.head, "POST /ntfy/"));
}

static void changes_are_told_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sink_open(), ALL, NULL));
    set(db, "app", "fine", false); /* which it always was */
    set(db, "app", "broken", true);
    each_once(1, SOON_MS);
    until_idle(db);
    check_shapes();
    /* The same again is no change. */
    set(db, "app", "broken", true);
    until_idle(db);
    it_pause_ms(QUIET_MS);
    each_once(1, 0);
    /* Well again: once, when it has rested. */
    set(db, "app", "fine", false);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'alert' AND state = 'waiting' AND "
                 "run_at > now() + interval '4 minutes') = 1");
    rested(db);
    each_once(2, SOON_MS);
    until_idle(db);
    assert_non_null(strstr(sink_get("/discord", 1).body, "It is fine"));
    /* To and fro while it rests: of what is as it was nothing is told. */
    set(db, "app", "broken", true);
    set(db, "app", "worse", true);
    set(db, "app", "fine", false);
    rested(db);
    until_idle(db);
    each_once(2, 0);
    /* And what is not is told as it is by then, in one message. */
    it_exec(db, "UPDATE alert.state SET told_at = now()");
    set(db, "app", "broken", true);
    set(db, "app", "fine", false);
    set(db, "app", "worse", true);
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
    rested(db);
    each_once(3, SOON_MS);
    until_idle(db);
    assert_non_null(strstr(sink_get("/slack", 2).body, "It is worse"));
    /* News, which is no state. */
    it_exec(db, "SELECT alert.tell('sync:1', false, 'Done' || chr(10) || 'at last', 'All of it.')");
    each_once(4, SOON_MS);
    assert_non_null(strstr(sink_get("/ntfy", 3).head, "Title: Done at last\r\n"));
    until_idle(db);
    no_secret(db, p);
    /* That something is fetched does not mean that it is Strava's. */
    it_holds(db,
             "(SELECT array_agg(DISTINCT kind) <@ '{alert,alert.send,alert.watch}' FROM q.done)");
    it_holds(db, "(SELECT array_agg(name) = '{alert.watch}' FROM q.cron)");
    no_secret_in("the log of it all", it_serve_stop(p).err);
}

/* Said in the log, once, and done. */
static void nobody_to_tell(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of("", 0, NULL));
    set(db, "app", "broken", true);
    it_wait_for(p, "no destination of alerts is configured", SOON_MS);
    until_idle(db);
    it_holds(db, "(SELECT count(*) FROM q.done WHERE kind = 'alert.send') = 0");
    const char *err = it_serve_stop(p).err;
    const char *line = strstr(err, "no destination of alerts");
    assert_non_null(strstr(line, "It is broken"));
    assert_null(strstr(line + 1, "no destination of alerts"));
}

/* `process` is the same in one go; an address that is wrong is told before anything is done. */
static void one_go(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *base = sink_open();
    set(db, "app", "broken", true);
    it_must(db, env_of(base, SLACK, NULL), IT_LIST("process"), 0);
    sink_wait("/slack", 1, 0);
    struct it_result r =
        it_must(db, IT_LIST("WAYMARK_ALERT_NTFY_URL=ntfy.test/S3CRET"), IT_LIST("process"), 78);
    assert_non_null(strstr(r.err, "alert.ntfy_url"));
    no_secret_in("the error", r.err);
}

/* ---- trouble --------------------------------------------------------------------------------- */

static void one_that_is_down(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    struct it_proc *p = it_serve(db, env_of(sink_open(), ALL, NULL));
    sink_answer("/discord", 503, NULL);
    sink_answer("/teams", SINK_HANGS_UP, NULL);
    sink_answer("/slack", SINK_NEVER, NULL);
    set(db, "app", "broken", true);
    sink_wait("/webhook", 1, SOON_MS);
    sink_wait("/ntfy", 1, SOON_MS);
    /* Whoever does not answer holds nobody up. */
    int64_t begun = it_now_ms();
    it_exec(db, "UPDATE activities SET summary_track = it.way(0.2, 0.5, 60) WHERE id = 4");
    assert_true(it_eventually(db, 9000,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind NOT LIKE "
                              "'alert%')") >= 0);
    printf("an activity meanwhile: %lld ms\n", (long long)(it_now_ms() - begun));
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT count(*) = 3 FROM q.job WHERE kind = "
                              "'alert.send' AND state = 'waiting' AND attempt = 1 AND "
                              "run_at > now() + interval '5 s'") >= 0);
    it_holds(db, "(SELECT count(*) FROM q.try WHERE outcome = 'failed' AND error LIKE "
                 "'alert.discord_url (http://127.0.0.1:%%): %% answered 503') = 1");
    sink_answer("/discord", 200, NULL);
    sink_answer("/teams", 202, NULL);
    sink_answer("/slack", 200, NULL);
    it_exec(db, "UPDATE q.job SET run_at = now(); NOTIFY processing");
    until_idle(db);
    sink_wait("/discord", 2, 0);
    sink_wait("/teams", 2, 0);
    sink_wait("/slack", 2, 0);
    sink_wait("/webhook", 1, 0);
    no_secret(db, p);
    no_secret_in("the log", it_serve_stop(p).err);
}

/* As the other side wishes, and no attempt is spent; a refusal is final, and says what to look at.
 */
static void too_many_and_refused(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sink_open(), SLACK | WEBHOOK, NULL));
    sink_answer("/slack", 429, "Retry-After: 77\r\n");
    sink_answer("/webhook", 404, NULL);
    set(db, "app", "broken", true);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT count(*) = 1 FROM q.job WHERE kind = "
                              "'alert.send' AND state = 'waiting' AND attempt = 0 AND "
                              "run_at > now() + interval '60 s' AND run_at < now() + "
                              "interval '95 s'") >= 0);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT count(*) = 1 FROM q.dead WHERE reason = "
                              "'permanent' AND last_error LIKE 'alert.webhook_url "
                              "(http://127.0.0.1:%): %answered 404'") >= 0);
    no_secret(db, p);
    no_secret_in("the log", it_serve_stop(p).err);
}

/* Between the answer and the end of the job: it comes a second time, with the same id, and no more.
 */
static void killed_after_sending(void **state)
{
    (void)state;
#ifndef WAYMARK_FAULTS
    puts("skipped: built without fault points (WAYMARK_FAULTS)");
    skip();
#endif
    struct it_db *db = it_db_new();
    const char *base = sink_open();
    struct it_proc *p = it_serve(db, env_of(base, WEBHOOK, "WAYMARK_FAULT=alert_sent:1:kill"));
    set(db, "app", "broken", true);
    struct it_result r = it_wait(p, SOON_MS);
    assert_int_equal(r.status, 128 + SIGKILL);
    no_secret_in("the log", r.err);
    sink_wait("/webhook", 1, 0);
    p = it_serve(db, env_of(base, WEBHOOK, NULL));
    until_idle(db);
    it_pause_ms(QUIET_MS);
    sink_wait("/webhook", 2, 0);
    json_t *first = json_of("/webhook", 0), *second = json_of("/webhook", 1);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    it_serve_stop(p);
}

/* ---- what is seen of it ---------------------------------------------------------------------- */

static struct prom prom;

static void counted(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sink_open(), SLACK | WEBHOOK, NULL));
    sink_answer("/webhook", 410, NULL);
    set(db, "token:5", "reauth", true);
    set(db, "token:6", "reauth", true);
    set(db, "token:7", "good", false);
    set(db, "strava:quota", "used up", true);
    set(db, "whatever:1", "bad", true);
    sink_wait("/slack", 4, SOON_MS);
    sink_wait("/webhook", 4, SOON_MS);
    until_idle(db);
    struct http_answer a = http_ask(http_address(p, "admin"), "GET", "/metrics", NULL, NULL);
    http_is(a, 200);
    prom_read(&prom, a.body);
    static const struct {
        const char *name, *labels;
        double want;
    } row[] = {
        {"waymark_alerts_sent_total", "{destination=\"slack\",result=\"sent\"}", 4},
        {"waymark_alerts_sent_total", "{destination=\"slack\",result=\"refused\"}", 0},
        {"waymark_alerts_sent_total", "{destination=\"webhook\",result=\"refused\"}", 4},
        {"waymark_alert_states_bad", "{about=\"token\"}", 2},
        {"waymark_alert_states_bad", "{about=\"strava_quota\"}", 1},
        {"waymark_alert_states_bad", "{about=\"strava_app\"}", 0},
        {"waymark_alert_states_bad", "{about=\"other\"}", 1},
    };
    for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        double got = prom_value(&prom, row[i].name, row[i].labels);
        if (got != row[i].want)
            fail_msg("%s%s is %g, not %g", row[i].name, row[i].labels, got, row[i].want);
    }
    assert_int_equal(prom_family(&prom, "waymark_alerts_sent_total")->samples, 8);
    assert_int_equal(prom_family(&prom, "waymark_alert_states_bad")->samples, 7);

    struct it_result r = it_must(db, NULL, IT_LIST("alert", "list"), 0);
    assert_non_null(strstr(r.out, "token:5"));
    assert_non_null(strstr(r.out, "It is used up"));
    r = it_must(db, NULL, IT_LIST("alert", "list", "--json"), 0);
    json_t *list = json_loads(r.out, 0, NULL);
    assert_int_equal(json_array_size(list), 5);
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "bad")));
    assert_false(json_is_true(json_object_get(json_array_get(list, 4), "bad")));
    assert_true(json_is_null(json_object_get(json_array_get(list, 4), "told_at")));
    json_decref(list);
    it_serve_stop(p);
}

static void tested_by_hand(void **state)
{
    (void)state;
    const char *base = sink_open();
    static const char *const nowhere[] = {"POSTGRES_CONNECTION_STRING=postgres://127.0.0.1:1/none",
                                          NULL};
    struct it_result r = it_must(NULL, nowhere, IT_LIST("alert", "test"), 78);
    assert_non_null(strstr(r.err, "no destination is configured"));
    r = it_must(NULL, env_of(base, ALL, nowhere[0]), IT_LIST("alert", "test"), 0);
    each_once(1, 0);
    assert_non_null(strstr(r.out, "discord"));
    assert_non_null(strstr(r.out, base));
    no_secret_in("the table", r.out);
    sink_answer("/slack", 500, NULL);
    sink_answer("/teams", SINK_NEVER, NULL);
    r = it_must(NULL, env_of(base, ALL, nowhere[0]), IT_LIST("alert", "test", "--json"), 1);
    json_t *list = json_loads(r.out, 0, NULL);
    assert_int_equal(json_array_size(list), TOS);
    for (unsigned i = 0; i < TOS; i++) {
        json_t *one = json_array_get(list, i);
        bool bad = i == 1 || i == 2;
        assert_string_equal(json_string_value(json_object_get(one, "destination")), to[i]);
        assert_int_equal(json_is_true(json_object_get(one, "sent")), !bad);
        assert_int_equal(json_is_string(json_object_get(one, "error")), bad);
    }
    json_decref(list);
    no_secret_in("the answer", r.out);
    no_secret_in("the log", r.err);
    it_must(NULL, env_of(base, ALL, nowhere[0]), IT_LIST("alert", "test", "slack"), 1);
    it_must(NULL, env_of(base, ALL, nowhere[0]), IT_LIST("alert", "test", "discord"), 0);
    it_must(NULL, env_of(base, ALL, nowhere[0]), IT_LIST("alert", "test", "mail"), 2);
    r = it_must(NULL, env_of(base, SLACK, nowhere[0]), IT_LIST("alert", "test", "ntfy"), 78);
    assert_non_null(strstr(r.err, "alert.ntfy_url is not set"));
    sink_wait("/discord", 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SINK_TEST(changes_are_told_once),
        SINK_TEST(nobody_to_tell),
        SINK_TEST(one_go),
        SINK_TEST(one_that_is_down),
        SINK_TEST(too_many_and_refused),
        SINK_TEST(killed_after_sending),
        SINK_TEST(counted),
        SINK_TEST(tested_by_hand),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
