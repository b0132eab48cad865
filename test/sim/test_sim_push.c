/* Subscriptions and webhooks of the simulator. */
#include <unistd.h>

#include "sim/common.h"

#define SUBSCRIPTIONS "/api/v3/push_subscriptions"

static struct sim *start(void)
{
    return sim_start(IT_LIST(NOON, "--preset", "tiny", "--athletes", "2"));
}

static struct http_answer subscribe(struct sim *s, const char *url)
{
    return post_form(s, SUBSCRIPTIONS,
                     it_format(APP "&verify_token=v%%26%%20w&callback_url=%s", http_encode(url)));
}

static int64_t first_id(struct sim *s)
{
    return sim_i64(sim_truth(s, 9001, ALL), "activities.0.id");
}

/* ---- subscriptions ------------------------------------------------------------------------- */

static void a_subscription_is_made_by_a_challenge(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    struct http_answer a = sim_ask(s, "GET", SUBSCRIPTIONS "?" APP, NULL, NULL);
    http_is(a, 200);
    assert_string_equal(a.body, "[]");
    assert_string_equal(http_field(&a, "X-Ratelimit-Usage"), "0,0");
    a = subscribe(s, catcher_url(c));
    http_is(a, 201);
    json_t *json = sim_json(a);
    int64_t id = sim_i64(json, "id");
    assert_string_equal(sim_str(json, "callback_url"), catcher_url(c));
    assert_int_equal(sim_i64(json, "application_id"), 1001);
    assert_int_equal(sim_i64(json, "resource_state"), 2);
    assert_int_equal(strlen(sim_str(json, "created_at")), 30); /* nanoseconds */
    const char *target = catcher_challenged(c);
    assert_non_null(strstr(target, "/hook?hub.mode=subscribe&hub.challenge="));
    assert_non_null(strstr(target, "&hub.verify_token=v%26%20w"));
    json = sim_json(sim_ask(s, "GET", SUBSCRIPTIONS "?" APP, NULL, NULL));
    assert_int_equal(sim_i64(json, "0.id"), id);
    assert_int_equal(strlen(sim_str(json, "0.created_at")), 20);
    expect_fault(subscribe(s, catcher_url(c)), 400, "PushSubscription", "base", "already exists");
    http_is(sim_ask(s, "DELETE", it_format(SUBSCRIPTIONS "/%lld", (long long)id), NULL, NULL), 400);
    http_is(
        sim_ask(s, "DELETE", it_format(SUBSCRIPTIONS "/%lld?" APP, (long long)id + 1), NULL, NULL),
        404);
    a = sim_ask(s, "DELETE", it_format(SUBSCRIPTIONS "/%lld?" APP, (long long)id), NULL, NULL);
    http_is(a, 204);
    assert_int_equal(a.n, 0);
    /* Multipart, the callback with a query of its own, without the prefix. */
    const char *form = it_format(
        "--x\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\n1001\r\n"
        "--x\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\nsim-secret-1001\r\n"
        "--x\r\nContent-Disposition: form-data; name=\"verify_token\"\r\n\r\nv\r\n"
        "--x\r\nContent-Disposition: form-data; name=\"callback_url\"\r\n\r\n%s?key=1\r\n--x--\r\n",
        catcher_url(c));
    http_is(sim_ask(s, "POST", "/push_subscriptions",
                    "Content-Type: multipart/form-data; boundary=x\r\n", form),
            201);
    assert_non_null(strstr(catcher_challenged(c), "/hook?key=1&hub.mode=subscribe"));
    assert_int_equal(sim_i64(sim_get(s, "limits"), "used_overall.0"), 0);
    catcher_stop(c);
}

static void a_challenge_may_fail(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    static const struct {
        enum challenge_answer how;
        const char *code;
    } ways[] = {
        {WRONG_VALUE, "challenge does not match"},
        {NO_JSON, "not verifiable"},
        {WRONG_TYPE, "not verifiable"},
        {WRONG_STATUS, "GET to callback URL does not return 200"},
        {LATE, "not verifiable"},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        catcher_challenge(c, ways[i].how);
        expect_fault(subscribe(s, catcher_url(c)), 400, "PushSubscription", "callback url",
                     ways[i].code);
    }
    const char *long_url = it_format("http://127.0.0.1:1/%0240d", 1);
    expect_fault(subscribe(s, long_url), 400, "PushSubscription", "callback url",
                 "too long (maximum is 255 characters)");
    static const char *const unreachable[] = {"http://127.0.0.1:1/", "https://127.0.0.1:1/",
                                              "http://192.0.2.1/", "ftp://x/", "nonsense"};
    for (size_t i = 0; i < sizeof(unreachable) / sizeof(unreachable[0]); i++)
        expect_fault(subscribe(s, unreachable[i]), 400, "PushSubscription", "callback url",
                     "not verifiable");
    expect_fault(post_form(s, SUBSCRIPTIONS, APP "&callback_url=http%3A%2F%2F127.0.0.1"), 400,
                 "PushSubscription", "verify_token", "required");
    expect_fault(post_form(s, SUBSCRIPTIONS, "client_id=1001&client_secret=x&callback_url=y"), 401,
                 "Application", "", "invalid");
    expect_fault(sim_ask(s, "POST", SUBSCRIPTIONS "?" APP, "Content-Type: application/json\r\n",
                         "{\"client_id\":1001}"),
                 400, "Application", "client_id", "invalid");
    assert_string_equal(sim_ask(s, "GET", SUBSCRIPTIONS "?" APP, NULL, NULL).body, "[]");
    catcher_stop(c);
}

static void it_serves_while_a_challenge_is_under_way(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_challenge(c, LATE);
    const char *form =
        it_format(APP "&verify_token=v&callback_url=%s", http_encode(catcher_url(c)));
    int fd = http_connect(sim_address(s));
    http_send(
        fd, it_format("POST " SUBSCRIPTIONS
                      " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                      "Content-Length: %zu\r\n\r\n%s",
                      strlen(form), form));
    int64_t begun = it_now_ms();
    for (int i = 0; i < 10; i++)
        (void)sim_get(s, "clock");
    assert_in_range(it_now_ms() - begun, 0, 1500);
    const char *text = http_until(fd, "not verifiable", 5000);
    assert_non_null(strstr(text, "HTTP/1.1 400 Bad Request"));
    assert_in_range(it_now_ms() - begun, 1900, 3100);
    close(fd);
    catcher_stop(c);
}

static void a_challenge_may_look_odd(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    sim_do(s, "fault",
           "{\"action\":{\"type\":\"challenge\",\"do\":\"escaped\"},\"when\":{\"nth\":1}}");
    sim_do(s, "fault",
           "{\"action\":{\"type\":\"challenge\",\"do\":\"reversed\"},\"when\":{\"nth\":2}}");
    sim_do(s, "fault",
           "{\"action\":{\"type\":\"challenge\",\"do\":\"bad_verify\"},\"when\":{\"nth\":3}}");
    for (int i = 0; i < 2; i++) {
        int64_t id = catcher_subscribe(c, s);
        const char *target = catcher_challenged(c);
        if (i == 0)
            assert_non_null(
                strstr(target, "%68%75%62%2E%6D%6F%64%65=%73%75%62")); /* hub.mode=sub */
        else
            assert_true(strstr(target, "hub.verify_token") < strstr(target, "hub.mode"));
        http_is(
            sim_ask(s, "DELETE", it_format(SUBSCRIPTIONS "/%lld?" APP, (long long)id), NULL, NULL),
            204);
    }
    http_is(subscribe(s, catcher_url(c)), 400); /* the catcher does not know that token */
    assert_non_null(strstr(catcher_at(c, 0).target, "hub.verify_token=v%26%20w-not"));
    catcher_stop(c);
}

/* ---- which events -------------------------------------------------------------------------- */

/* "create", "update title=x", "delete", "deauth"; joined by commas, since event `from`. */
static const char *told(struct catcher *c, size_t from)
{
    const char *all = "";
    for (size_t i = from; i < catcher_count(c); i++) {
        json_t *e = catcher_event(c, i);
        const char *key;
        json_t *value;
        const char *one = sim_str(e, "aspect_type");
        assert_int_equal(json_object_size(e), 7);
        json_object_foreach(sim_at(e, "updates"), key, value) one =
            it_format("%s %s=%s", one, key, json_string_value(value));
        all = it_format("%s%s%s", all, all[0] ? "," : "", one);
    }
    return all;
}

static void scopes_decide_which_events_come(void **state)
{
    (void)state;
    static const struct {
        const char *scope;
        const char *says[8];
    } rows[] = {
        {ALL,
         {"create", "create", "update private=true", "update private=false", "update title=New",
          "update type=Ride", "delete", "update authorized=false"}},
        {"read,activity:read_all",
         {"create", "create", "update private=true", "update private=false", "update title=New",
          "update type=Ride", "delete", "update authorized=false"}},
        {READ,
         {"", "create", "delete", "create", "update title=New", "update type=Ride", "delete",
          "update authorized=false"}},
        {"read", {"", "", "", "", "", "", "", ""}},
    };
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)sim_grant(s, 9001, rows[i].scope);
        const char *const *says = rows[i].says;
        long long id = 0;
        for (int step = 0; step < 8; step++) {
            size_t from = catcher_count(c);
            if (step == 0)
                sim_do(s, "activity",
                       "{\"do\":\"create\",\"athlete\":9001,\"visibility\":\"only_me\"}");
            if (step == 1)
                id = sim_i64(
                    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"name\":\"Old\"}"),
                    "id");
            if (step == 2)
                sim_do(s, "activity", "{\"do\":\"hide\",\"id\":%lld}", id);
            if (step == 3)
                sim_do(s, "activity",
                       "{\"do\":\"unhide\",\"id\":%lld,\"visibility\":\"followers_only\"}", id);
            if (step == 4)
                sim_do(s, "activity", "{\"do\":\"retitle\",\"id\":%lld,\"name\":\"New\"}", id);
            if (step == 5)
                sim_do(s, "activity",
                       "{\"do\":\"retype\",\"id\":%lld,\"sport_type\":\"GravelRide\"}", id);
            if (step == 6)
                sim_do(s, "activity", "{\"do\":\"delete\",\"id\":%lld}", id);
            if (step == 7)
                sim_do(s, "athlete/9001/revoke", "{}");
            sim_idle(s);
            if (strcmp(told(c, from), says[step]) != 0)
                fail_msg("%s, step %d: \"%s\", not \"%s\"", rows[i].scope, step, told(c, from),
                         says[step]);
        }
    }
    catcher_stop(c);
}

static void an_event_says_what_happened(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    int64_t subscription = catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    sim_do(s, "clock", "{\"set\":\"2026-07-02T00:00:00Z\",\"freeze\":true}");
    int64_t id = sim_i64(sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}"), "id");
    sim_idle(s);
    json_t *e = catcher_event(c, 0);
    assert_string_equal(sim_str(e, "object_type"), "activity");
    assert_string_equal(sim_str(e, "aspect_type"), "create");
    assert_int_equal(sim_i64(e, "object_id"), id);
    assert_int_equal(sim_i64(e, "owner_id"), 9001);
    assert_int_equal(sim_i64(e, "subscription_id"), subscription);
    assert_int_equal(sim_i64(e, "event_time"), 1782950400);
    assert_int_equal(json_object_size(sim_at(e, "updates")), 0);
    assert_string_equal(catcher_at(c, 0).method, "POST");
    assert_string_equal(catcher_at(c, 0).type, "application/json");
    /* What makes no event: crop, description, silence, followers and everyone. */
    sim_do(s, "activity", "{\"do\":\"crop\",\"id\":%lld,\"from\":0.2,\"to\":0.6}", (long long)id);
    sim_do(s, "activity",
           "{\"do\":\"edit\",\"id\":%lld,\"description\":\"x\",\"visibility\":\"followers_only\"}",
           (long long)id);
    sim_do(s, "activity", "{\"do\":\"retitle\",\"id\":%lld,\"name\":\"y\",\"silent\":true}",
           (long long)id);
    sim_idle(s);
    assert_int_equal(catcher_count(c), 1);
    /* One save is one event, or several. */
    sim_do(s, "activity",
           "{\"do\":\"edit\",\"id\":%lld,\"name\":\"z\",\"sport_type\":\"Hike\",\"visibility\":"
           "\"only_me\"}",
           (long long)id);
    sim_idle(s);
    assert_string_equal(told(c, 1), "update title=z type=Hike private=true");
    sim_do(s, "settings", "{\"delivery_parallel\":1}");
    sim_do(s, "activity",
           "{\"do\":\"edit\",\"id\":%lld,\"name\":\"a\",\"sport_type\":\"Run\",\"split\":true}",
           (long long)id);
    sim_idle(s);
    assert_string_equal(told(c, 2), "update title=a,update type=Run");
    sim_do(s, "athlete/9001/revoke", "{}");
    sim_idle(s);
    e = catcher_event(c, 4);
    assert_string_equal(sim_str(e, "object_type"), "athlete");
    assert_int_equal(sim_i64(e, "object_id"), 9001);
    assert_int_equal(sim_i64(e, "owner_id"), 9001);
    catcher_stop(c);
}

static void a_crop_changes_what_is_true(void **state)
{
    (void)state;
    struct sim *s = start();
    const char *token = token_of(s, ALL);
    int64_t id = first_id(s);
    json_t *before = sim_get(s, "activity/%lld", (long long)id);
    sim_do(s, "activity", "{\"do\":\"crop\",\"id\":%lld,\"from\":0.25,\"to\":0.75}", (long long)id);
    json_t *after = sim_get(s, "activity/%lld", (long long)id);
    double share = sim_f64(after, "distance") / sim_f64(before, "distance");
    assert_true(share > 0.49 && share < 0.51);
    assert_string_not_equal(sim_str(after, "summary_polyline"),
                            sim_str(before, "summary_polyline"));
    assert_int_equal(sim_i64(after, "revision"), sim_i64(before, "revision") + 1);
    assert_in_range(sim_i64(after, "latlng_length") * 2, sim_i64(before, "latlng_length") - 4,
                    sim_i64(before, "latlng_length") + 4);
    json_t *detail = sim_json(sim_call(s, token, it_format("/activities/%lld", (long long)id)));
    assert_string_equal(sim_str(detail, "map.polyline"), sim_str(after, "polyline"));
}

/* ---- delivery ------------------------------------------------------------------------------ */

static void failures_are_tried_again_after_one_and_two_minutes(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    sim_do(s, "clock", "{\"freeze\":true}");
    catcher_answer(c, 500, 0);
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
    catcher_wait(c, 1);
    assert_int_equal(sim_try(s, "idle", "{\"timeout_s\":0.1}"), 409);
    sim_advance(s, 59);
    assert_int_equal(catcher_count(c), 1);
    sim_advance(s, 1);
    assert_int_equal(catcher_count(c), 2);
    sim_advance(s, 59);
    assert_int_equal(catcher_count(c), 2);
    sim_advance(s, 1);
    assert_int_equal(catcher_count(c), 3);
    sim_advance(s, 86400);
    assert_int_equal(catcher_count(c), 3);
    sim_idle(s);
    assert_string_equal(catcher_at(c, 0).body, catcher_at(c, 1).body);
    assert_string_equal(catcher_at(c, 0).body, catcher_at(c, 2).body);
    json_t *events = sim_events(s, 0);
    assert_string_equal(sim_str(events, "0.state"), "lost");
    assert_int_equal(sim_i64(events, "0.attempts.2.status"), 500);
    /* It is over as soon as one is taken. */
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
    catcher_wait(c, 4);
    catcher_answer(c, 200, 0);
    sim_advance(s, 60);
    sim_idle(s);
    assert_int_equal(catcher_count(c), 5);
    json_t *stats = sim_stats(s);
    assert_int_equal(sim_i64(stats, "events.made"), 2);
    assert_int_equal(sim_i64(stats, "events.attempts"), 5);
    assert_int_equal(sim_i64(stats, "events.lost"), 1);
    assert_int_equal(sim_i64(stats, "events.delivered"), 1);
    catcher_stop(c);
}

static void an_answer_that_is_late_is_none(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    catcher_answer(c, 200, 3000);
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
    sim_do(s, "idle", "{\"due_only\":true}");
    json_t *events = sim_events(s, 0);
    assert_string_equal(sim_str(events, "0.state"), "waiting");
    assert_string_equal(sim_str(events, "0.attempts.0.error"), "timeout");
    assert_int_equal(sim_i64(events, "0.attempts.0.status"), 0);
    assert_in_range(sim_i64(events, "0.attempts.0.ms"), 1990, 2900);
    it_pause_ms(1200); /* until the catcher is done with that one */
    catcher_answer(c, 0, 0);
    sim_advance(s, 60);
    assert_string_equal(sim_str(sim_events(s, 0), "0.attempts.1.error"), "closed");
    catcher_answer(c, 200, 0);
    sim_advance(s, 60);
    sim_idle(s);
    catcher_stop(c);
}

static void the_outbox_obeys(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    sim_do(s, "settings", "{\"delivery_parallel\":1}");
    sim_do(s, "events/hold", "{}");
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"count\":20}");
    assert_int_equal(sim_try(s, "idle", "{\"timeout_s\":0.05}"), 409);
    assert_int_equal(sim_i64(sim_do(s, "events/release", "{\"n\":2}"), "released"), 2);
    sim_do(s, "idle", "{\"due_only\":true}");
    assert_int_equal(catcher_count(c), 2);
    assert_int_equal(sim_i64(sim_do(s, "events/drop", "{\"n\":3}"), "dropped"), 3);
    sim_do(s, "events/shuffle", "{}");
    assert_int_equal(sim_i64(sim_do(s, "events/duplicate", "{\"n\":3}"), "added"), 30);
    sim_do(s, "events/release", "{}");
    sim_idle(s);
    assert_int_equal(catcher_count(c), 2 + 45);
    bool in_order = true;
    int64_t first = sim_i64(catcher_event(c, 0), "object_id"), last = 0;
    for (size_t i = 2; i < 17; i++) {
        int64_t id = sim_i64(catcher_event(c, i), "object_id");
        in_order = in_order && id > last;
        last = id;
        assert_true(id < first || id > first + 4); /* what was dropped */
    }
    assert_false(in_order);
    sim_do(s, "events/replay", "{\"n\":1}");
    sim_idle(s);
    assert_string_equal(catcher_at(c, 47).body, catcher_at(c, 0).body);
    assert_int_equal(sim_i64(sim_do(s, "events/replay", "{\"last\":5}"), "added"), 5);
    sim_idle(s);
    assert_int_equal(catcher_count(c), 53);
    assert_int_equal(sim_try(s, "events/replay", "{\"n\":999}"), 404);
    sim_do(s, "events/send_raw", "{\"raw\":\"nonsense\",\"content_type\":\"text/x\",\"repeat\":2}");
    sim_do(s, "events/send_raw", "{\"body\":{\"a\":[1]}}");
    sim_idle(s);
    assert_string_equal(catcher_at(c, 54).body, "nonsense");
    assert_string_equal(catcher_at(c, 54).type, "text/x");
    assert_string_equal(catcher_at(c, 55).body, "{\"a\":[1]}");
    catcher_stop(c);
}

static void odd_events_can_be_sent(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *has, *lacks;
    } kinds[] = {
        {"forged_delete", "\"aspect_type\":\"delete\"", NULL},
        {"forged_deauth", "\"updates\":{\"authorized\":\"false\"}", NULL},
        {"create", "\"aspect_type\":\"create\"", NULL},
        {"update", "\"updates\":{\"title\":", NULL},
        {"unknown_owner", "\"owner_id\":777000111", "9001"},
        {"unknown_activity", "\"object_id\":29000000000", NULL},
        {"wrong_subscription", "\"subscription_id\":120008", NULL},
        {"unknown_fields", "\"api_version\":4", NULL},
        {"private_bool", "\"updates\":{\"private\":true}", NULL},
        {"string_ids", "\"subscription_id\":\"120001\"", NULL},
        {"big_body", "xxxxxxxxxxxxxxxx", NULL},
        {"invalid_json", "{\"aspect_type\"", "}"},
        {"wrong_type", "\"aspect_type\":\"create\"", NULL},
        {"empty", "", "{"},
        {"array", "[{", NULL},
    };
    struct sim *s = start();
    assert_int_equal(sim_try(s, "events/send", "{\"kind\":\"create\"}"), 409);
    struct catcher *c = catcher_start();
    assert_int_equal(catcher_subscribe(c, s), 120001);
    size_t n = sizeof(kinds) / sizeof(kinds[0]);
    for (size_t i = 0; i < n; i++) {
        sim_do(s, "events/send", "{\"kind\":\"%s\",\"athlete\":9001,\"activity\":%lld}",
               kinds[i].kind, (long long)first_id(s));
        sim_idle(s);
        const char *body = catcher_at(c, i).body;
        if (strstr(body, kinds[i].has) == NULL || (kinds[i].lacks && strstr(body, kinds[i].lacks)))
            fail_msg("%s: %.300s", kinds[i].kind, body);
        if (strcmp(kinds[i].kind, "big_body") == 0)
            assert_true(strlen(body) > 1000000);
        assert_string_equal(catcher_at(c, i).type, strcmp(kinds[i].kind, "wrong_type") == 0
                                                       ? "text/plain"
                                                       : "application/json");
    }
    sim_do(s, "events/send", "{\"kind\":\"bad_verify\"}");
    sim_idle(s);
    assert_string_equal(catcher_at(c, n).method, "GET");
    assert_non_null(strstr(catcher_at(c, n).target, "hub.verify_token=not-the-token"));
    sim_do(s, "events/send", "{\"kind\":\"burst\",\"athlete\":9001}");
    sim_idle(s);
    assert_int_equal(catcher_count(c), n + 1001);
    assert_int_equal(sim_try(s, "events/send", "{\"kind\":\"nonsense\"}"), 400);
    catcher_stop(c);
}

static void events_meet_faults(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "\"do\":\"duplicate\",\"n\":3",  "\"do\":\"lose\"",          "\"do\":\"unknown_fields\"",
        "\"do\":\"wrong_subscription\"", "\"do\":\"unknown_owner\"", "\"do\":\"invalid_json\"",
        "\"do\":\"wrong_type\"",         "\"do\":\"string_ids\"",    "\"do\":\"big_body\"",
    };
    static const char *const has[] = {
        "create", "",       "api_version", "120008", "777000111",
        "aspect", "create", "\"120001\"",  "xxxxx",
    };
    struct sim *s = start();
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    (void)sim_grant(s, 9002, ALL);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        size_t from = catcher_count(c);
        sim_do(s, "fault", "{\"match\":{\"athlete\":9001},\"action\":{\"type\":\"event\",%s}}",
               rules[i]);
        sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9002}");
        sim_idle(s);
        assert_int_equal(catcher_count(c), from + 1);
        sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
        sim_idle(s);
        assert_int_equal(catcher_count(c) - from - 1, i == 0 ? 3 : i == 1 ? 0 : 1);
        if (i != 1)
            assert_non_null(strstr(catcher_at(c, from + 1).body, has[i]));
        sim_do(s, "fault/clear", "{}");
    }
    /* Late ones. */
    sim_do(s, "clock", "{\"freeze\":true}");
    sim_do(s, "fault", "{\"action\":{\"type\":\"event\",\"do\":\"delay\",\"seconds\":7200}}");
    size_t from = catcher_count(c);
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
    sim_advance(s, 7199);
    assert_int_equal(catcher_count(c), from);
    sim_advance(s, 1);
    assert_int_equal(catcher_count(c), from + 1);
    sim_do(s, "fault/clear", "{}");
    sim_do(s, "fault", "{\"action\":{\"type\":\"event\",\"do\":\"reorder\",\"seconds\":1000}}");
    sim_do(s, "settings", "{\"delivery_parallel\":1}");
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"count\":12}");
    for (int i = 0; i < 10; i++)
        sim_advance(s, 100);
    sim_idle(s);
    bool in_order = true;
    for (size_t i = from + 2; i < from + 13; i++)
        in_order = in_order && sim_i64(catcher_event(c, i), "object_id") >
                                   sim_i64(catcher_event(c, i - 1), "object_id");
    assert_false(in_order);
    assert_int_equal(catcher_count(c), from + 13);
    catcher_stop(c);
}

static void deliver_to_takes_the_place_of_the_callback(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    const char *address = catcher_url(c) + 7;
    sim_do(s, "settings", "{\"deliver_to\":\"%.*s\"}", (int)strcspn(address, "/"), address);
    http_is(subscribe(s, "https://waymark.example/hook"), 201);
    (void)sim_grant(s, 9001, ALL);
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}");
    sim_idle(s);
    assert_string_equal(catcher_at(c, 0).target, "/hook");
    catcher_stop(c);
}

static void settings_change_what_is_told(void **state)
{
    (void)state;
    struct sim *s = start();
    struct catcher *c = catcher_start();
    long long id = first_id(s);
    catcher_subscribe(c, s);
    (void)sim_grant(s, 9001, ALL);
    sim_do(s, "clock", "{\"freeze\":true}");
    sim_do(s, "settings", "{\"followers_event\":true,\"event_delay_s\":30}");
    sim_do(s, "activity", "{\"do\":\"edit\",\"id\":%lld,\"visibility\":\"followers_only\"}", id);
    sim_advance(s, 29);
    assert_int_equal(catcher_count(c), 0);
    sim_advance(s, 1);
    assert_string_equal(told(c, 0), "update private=false");
    /* Nothing is owed to an athlete who was never connected. */
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9002}");
    sim_advance(s, 60);
    assert_int_equal(catcher_count(c), 1);
    catcher_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_subscription_is_made_by_a_challenge),
        SIM_TEST(a_challenge_may_fail),
        SIM_TEST(it_serves_while_a_challenge_is_under_way),
        SIM_TEST(a_challenge_may_look_odd),
        SIM_TEST(scopes_decide_which_events_come),
        SIM_TEST(an_event_says_what_happened),
        SIM_TEST(a_crop_changes_what_is_true),
        SIM_TEST(failures_are_tried_again_after_one_and_two_minutes),
        SIM_TEST(an_answer_that_is_late_is_none),
        SIM_TEST(the_outbox_obeys),
        SIM_TEST(odd_events_can_be_sent),
        SIM_TEST(events_meet_faults),
        SIM_TEST(settings_change_what_is_told),
        SIM_TEST(deliver_to_takes_the_place_of_the_callback),
    };
    return cmocka_run_group_tests(tests, it_up_bare, it_down);
}
