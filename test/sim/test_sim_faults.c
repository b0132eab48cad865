/* Every fault that can be ordered of the simulator, at least once; and its quotas. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sim/common.h"

static struct sim *start(const char *preset)
{
    return sim_start(IT_LIST(NOON, "--preset", preset, "--athletes", "2"));
}

/* A rule and its number. action: without braces. */
static int64_t rule(struct sim *s, const char *match, const char *when, const char *action)
{
    return sim_i64(
        sim_do(s, "fault", "{\"match\":{%s},\"when\":{%s},\"action\":{%s}}", match, when, action),
        "id");
}

static void clear(struct sim *s)
{
    sim_do(s, "fault/clear", "{}");
}

/* All that comes until the end, after a GET of a path. */
static const char *raw(struct sim *s, const char *token, const char *path, int64_t limit_ms)
{
    int fd = http_connect(sim_address(s));
    if (fd < 0)
        return "refused";
    http_send(
        fd,
        it_format(
            "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n",
            path, token));
    const char *text = http_until(fd, "no such text", limit_ms);
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    const char *end = n == 0 ? "" : "\n(open)";
    close(fd);
    return it_format("%s%s", text, end);
}

/* ---- when ---------------------------------------------------------------------------------- */

static const char *statuses(struct sim *s, const char *token, int n)
{
    const char *all = "";
    for (int i = 0; i < n; i++)
        all = it_format("%s%s", all, sim_call(s, token, "/athlete").status == 200 ? "." : "x");
    return all;
}

static void rules_fire_when_they_say(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL), *other = sim_str(sim_grant(s, 9002, ALL), "access_token");
    static const char action[] = "\"type\":\"status\"";
    rule(s, "", "", action);
    assert_string_equal(statuses(s, token, 3), "xxx");
    clear(s);
    rule(s, "", "\"nth\":2", action);
    assert_string_equal(statuses(s, token, 4), ".x..");
    clear(s);
    rule(s, "", "\"every\":2", action);
    assert_string_equal(statuses(s, token, 5), ".x.x.");
    clear(s);
    rule(s, "", "\"first_n\":2", action);
    assert_string_equal(statuses(s, token, 4), "xx..");
    clear(s);
    rule(s, "", "\"prob\":0.5", action);
    const char *some = statuses(s, token, 40);
    assert_non_null(strchr(some, 'x'));
    assert_non_null(strchr(some, '.'));
    clear(s);
    rule(s, "\"athlete\":9002", "", action);
    assert_string_equal(statuses(s, token, 2), "..");
    assert_string_equal(statuses(s, other, 2), "xx");
    clear(s);
    rule(s, "\"method\":\"POST\"", "", action);
    assert_string_equal(statuses(s, token, 1), ".");
    clear(s);
    int64_t id = sim_i64(sim_truth(s, 9001, ALL), "activities.0.id");
    int64_t next = sim_i64(sim_truth(s, 9001, ALL), "activities.1.id");
    int64_t n = rule(s, it_format("\"activity\":%lld", (long long)id), "", action);
    http_is(sim_call(s, token, it_format("/activities/%lld", (long long)id)), 500);
    http_is(sim_call(s, token, it_format("/activities/%lld/streams", (long long)id)), 500);
    http_is(sim_call(s, token, it_format("/activities/%lld", (long long)next)), 200);
    json_t *list = sim_get(s, "fault");
    assert_int_equal(sim_i64(list, "faults.0.matched"), 2);
    assert_int_equal(sim_i64(list, "faults.0.fired"), 2);
    assert_int_equal(sim_i64(list, "faults.0.rule.match.activity"), id);
    sim_do(s, "fault/clear", "{\"id\":%lld}", (long long)n);
    assert_int_equal(sim_try(s, "fault/clear", "{\"id\":%lld}", (long long)n), 404);
    rule(s, "\"path\":\"/activities/*/streams\"", "", action);
    http_is(sim_call(s, token, it_format("/activities/%lld", (long long)id)), 200);
    http_is(sim_call(s, token, it_format("/api/v3/activities/%lld/streams", (long long)id)), 500);
    json_t *log = sim_log(s, 0);
    assert_int_equal(sim_i64(log, it_format("%zu.fault.0", json_array_size(log) - 1)), n + 1);
    /* What is no rule. */
    assert_int_equal(sim_try(s, "fault", "{\"action\":{\"type\":\"nonsense\"}}"), 400);
    assert_int_equal(sim_try(s, "fault", "{\"action\":{\"type\":\"status\",\"status\":200}}"), 400);
    assert_int_equal(sim_try(s, "fault", "{\"action\":{\"type\":\"drop\",\"at\":\"x\"}}"), 400);
    assert_int_equal(sim_try(s, "fault", "{\"when\":{\"never\":1},\"action\":{\"type\":\"drop\"}}"),
                     400);
    assert_int_equal(sim_try(s, "fault", "{}"), 400);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void statuses_have_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body, *has, *type;
    } bodies[] = {
        {"fault", "\"errors\":[{\"resource\":", "application/json; charset=utf-8"},
        {"error", "{\"message\":\"error\"}", "application/json; charset=utf-8"},
        {"html", "<html>", "text/html"},
        {"text", "upstream connect error", "text/plain"},
        {"empty", "", NULL},
    };
    static const int codes[] = {400, 401, 403, 404, 429, 500, 502, 503, 504};
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        for (size_t k = 0; k < sizeof(codes) / sizeof(codes[0]); k++) {
            clear(s);
            rule(s, "", "",
                 it_format("\"type\":\"status\",\"status\":%d,\"body\":\"%s\"", codes[k],
                           bodies[i].body));
            struct http_answer a = sim_call(s, token, "/athlete");
            http_is(a, codes[k]);
            http_has(a, bodies[i].has);
            const char *type = http_field(&a, "Content-Type");
            if (bodies[i].type)
                assert_string_equal(type, bodies[i].type);
            else
                assert_true(type == NULL && a.n == 0);
        }
    }
    /* OAuth too. */
    http_is(post_form(s, "/oauth/token", APP), 504);
}

static void a_429_by_rule_has_variants(void **state)
{
    (void)state;
    static const struct {
        const char *variant, *usage, *read_usage, *body;
    } variants[] = {
        {"15min", "201,1", "101,1", "\"field\":\"overall rate limit\",\"code\":\"exceeded\""},
        {"daily", "2,2001", "2,1001", "overall rate limit"},
        {"read", "3,3", "101,3", "\"field\":\"read rate limit\""},
        {"no_headers", NULL, NULL, "overall rate limit"},
        {"stale", "0,0", "0,0", "overall rate limit"},
        {"string_errors", "201,6", "101,6", "\"errors\":\"Rate Limit Exceeded\""},
    };
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        rule(s, "", "",
             it_format("\"type\":\"rate_limit\",\"variant\":\"%s\"", variants[i].variant));
        struct http_answer a = sim_call(s, token, "/athlete");
        http_is(a, 429);
        http_has(a, variants[i].body);
        assert_null(http_field(&a, "Retry-After"));
        const char *usage = http_field(&a, "X-Ratelimit-Usage"),
                   *read = http_field(&a, "X-Readratelimit-Usage");
        if (variants[i].usage == NULL) {
            assert_null(usage);
            assert_null(http_field(&a, "X-Ratelimit-Limit"));
        } else {
            assert_string_equal(usage, variants[i].usage);
            assert_string_equal(read, variants[i].read_usage);
        }
        clear(s);
    }
}

static void answers_may_be_slow(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    rule(s, "", "\"nth\":1", "\"type\":\"delay\",\"ms\":300");
    rule(s, "", "\"nth\":2", "\"type\":\"delay\",\"min_ms\":150,\"max_ms\":400");
    rule(s, "", "\"nth\":3", "\"type\":\"delay\",\"bytes_per_s\":1000");
    struct http_answer a = sim_call(s, token, "/athlete");
    http_is(a, 200);
    assert_in_range(a.ms, 295, 1900);
    a = sim_call(s, token, "/athlete");
    assert_in_range(a.ms, 145, 1900);
    a = sim_call(s, token, "/athlete"); /* about 400 bytes */
    http_is(a, 200);
    assert_in_range(a.ms, 250, 3000);
    assert_int_equal(sim_i64(sim_json(a), "id"), 9001);
    /* Nobody else waits meanwhile. */
    rule(s, "", "\"nth\":1", "\"type\":\"delay\",\"ms\":5000");
    int fd = http_connect(sim_address(s));
    http_send(fd, it_format("GET /athlete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
                            token));
    it_pause_ms(50);
    assert_in_range(sim_call(s, token, "/athlete").ms, 0, 4000);
    close(fd);
}

static void connections_may_break(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    static const char *const ats[] = {"before", "headers", "body", "rst", "never", "refuse"};
    for (size_t i = 0; i < sizeof(ats) / sizeof(ats[0]); i++)
        rule(s, "", it_format("\"nth\":%zu", i + 1),
             it_format("\"type\":\"drop\",\"at\":\"%s\",\"ms\":400", ats[i]));
    assert_string_equal(raw(s, token, "/athlete", 2000), "");
    const char *text = raw(s, token, "/athlete", 2000);
    assert_non_null(strstr(text, "Transfer-Encoding: chunked\r\n"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
    text = raw(s, token, "/athlete", 2000);
    size_t length = strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
    size_t body = strlen(strstr(text, "\r\n\r\n") + 4);
    assert_in_range(body, 1, length - 1);
    /* A reset is an error, not an end. */
    int fd = http_connect(sim_address(s));
    http_send(fd, it_format("GET /athlete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n",
                            token));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    assert_int_equal(poll(&p, 1, 2000), 1);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    close(fd);
    assert_string_equal(raw(s, token, "/athlete", 300), "\n(open)");
    assert_string_equal(raw(s, token, "/athlete", 2000), ""); /* reset, too */
    assert_int_equal(http_connect(sim_address(s)), -1);
    it_pause_ms(600);
    http_is(sim_call(s, token, "/athlete"), 200);
    assert_int_equal(sim_i64(sim_log(s, 0), "4.fault.0"), 5);
}

static void bodies_may_be_corrupt(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    static const char *const hows[] = {"truncated", "utf8", "content_type", "duplicate_keys",
                                       "deep",      "bom",  "trailing"};
    struct http_answer a[7];
    size_t whole = sim_call(s, token, "/athlete").n;
    for (size_t i = 0; i < 7; i++) {
        rule(s, "", "", it_format("\"type\":\"corrupt\",\"how\":\"%s\"", hows[i]));
        a[i] = sim_call(s, token, "/athlete");
        http_is(a[i], 200);
        json_t *json = json_loadb(a[i].body, a[i].n, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(json != NULL, strcmp(hows[i], "content_type") == 0);
        json_decref(json);
        clear(s);
    }
    assert_int_equal(a[0].n, whole / 2);
    assert_non_null(memmem(a[1].body, a[1].n, "\xc3\x28", 2));
    assert_string_equal(http_field(&a[2], "Content-Type"), "text/html");
    http_has(a[3], "{\"id\":null,\"id\":9001,");
    assert_int_equal(a[4].n, 200000);
    assert_memory_equal(a[5].body, "\xef\xbb\xbf{", 4);
    http_has(a[6], "}}garbage");
    rule(s, "", "", "\"type\":\"corrupt\",\"how\":\"huge\"");
    a[0] = sim_call(s, token, "/athlete");
    assert_int_equal(a[0].n, whole + 50000000);
    clear(s);
    rule(s, "", "", "\"type\":\"corrupt\",\"how\":\"huge\",\"bytes\":100");
    assert_int_equal(sim_call(s, token, "/athlete").n, whole + 100);
}

/* ---- activities ---------------------------------------------------------------------------- */

static void an_activity_may_not_be_readable_yet(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    rule(s, "", "", "\"type\":\"not_yet\",\"calls\":3");
    for (int k = 0; k < 2; k++) {
        const char *path =
            it_format("/activities/%lld",
                      (long long)sim_i64(
                          sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}"), "id"));
        for (int i = 0; i < 3; i++)
            expect_fault(sim_call(s, token, path), 404, "Activity", "", "not found");
        http_is(sim_call(s, token, path), 200);
    }
    clear(s);
    rule(s, "", "", "\"type\":\"not_yet\",\"seconds\":30");
    const char *path = it_format(
        "/activities/%lld/streams",
        (long long)sim_i64(sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001}"), "id"));
    http_is(sim_call(s, token, path), 404);
    sim_advance(s, 31);
    http_is(sim_call(s, token, path), 200);
    clear(s);
    rule(s, "", "", "\"type\":\"not_yet\",\"forever\":true");
    http_is(sim_call(s, token, path), 404);
    clear(s);
    /* The same, of one activity. */
    static const char *const keys[] = {"\"not_yet_calls\":2", "\"not_yet_s\":60", "\"never\":true"};
    for (size_t i = 0; i < 3; i++) {
        int64_t id = sim_i64(
            sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,%s}", keys[i]), "id");
        path = it_format("/activities/%lld", (long long)id);
        assert_true(json_is_false(sim_at(sim_get(s, "activity/%lld", (long long)id), "readable")));
        http_is(sim_call(s, token, path), 404);
        http_is(sim_call(s, token, path), 404);
        sim_advance(s, 61);
        http_is(sim_call(s, token, path), i < 2 ? 200 : 404);
        assert_int_equal(
            json_is_true(sim_at(sim_get(s, "activity/%lld", (long long)id), "readable")), i < 2);
    }
}

static void an_activity_may_be_poison(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    int64_t id = sim_i64(sim_truth(s, 9001, ALL), "activities.0.id");
    rule(s, it_format("\"activity\":%lld", (long long)id), "", "\"type\":\"poison\"");
    struct http_answer a = sim_call(s, token, it_format("/activities/%lld", (long long)id));
    http_is(a, 500);
    assert_string_equal(a.body, "{\"message\":\"error\"}");
    http_is(sim_call(s, token, "/athlete/activities"), 200);
    clear(s);
    sim_do(s, "activity", "{\"do\":\"edit\",\"id\":%lld,\"poison\":true,\"silent\":true}",
           (long long)id);
    http_is(sim_call(s, token, it_format("/activities/%lld/streams?keys=latlng", (long long)id)),
            500);
}

static void tokens_may_be_at_fault(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    json_t *grant = sim_grant(s, 9001, ALL);
    const char *token = sim_str(grant, "access_token");
    rule(s, "\"athlete\":9001", "\"nth\":1", "\"type\":\"token\",\"do\":\"once\"");
    expect_fault(sim_call(s, token, "/athlete"), 401, "Athlete", "access_token", "invalid");
    http_is(sim_call(s, token, "/athlete"), 200);
    clear(s);
    rule(s, "\"path\":\"/athlete\"", "\"nth\":1", "\"type\":\"token\",\"do\":\"expire\"");
    http_is(sim_call(s, token, "/athlete"), 401);
    http_is(sim_call(s, token, "/athlete"), 401);
    const char *form = it_format(APP "&grant_type=refresh_token&refresh_token=%s",
                                 sim_str(grant, "refresh_token"));
    json_t *fresh = sim_json(post_form(s, "/oauth/token", form));
    http_is(sim_call(s, sim_str(fresh, "access_token"), "/athlete"), 200);
    clear(s);
    /* The new refresh token was made, and nobody heard of it. */
    rule(s, "\"path\":\"/oauth/token\"", "\"nth\":1", "\"type\":\"token\",\"do\":\"lose\"");
    form = it_format(APP "&grant_type=refresh_token&refresh_token=%s",
                     sim_str(fresh, "refresh_token"));
    assert_int_equal(post_form(s, "/oauth/token", form).status, -1);
    expect_fault(post_form(s, "/oauth/token", form), 400, "RefreshToken", "refresh_token",
                 "invalid");
    clear(s);
    rule(s, "", "\"nth\":1", "\"type\":\"token\",\"do\":\"revoke\"");
    http_is(sim_call(s, sim_str(fresh, "access_token"), "/athlete"), 401);
    assert_true(json_is_false(sim_at(sim_get(s, "athletes"), "athletes.0.granted")));
    assert_int_equal(sim_i64(sim_stats(s), "athletes.9001.refresh_failures"), 1);
}

static size_t ids_of_pages(struct sim *s, const char *token, int pages, json_t *ids)
{
    size_t all = 0;
    for (int page = 1; page <= pages; page++) {
        json_t *list = sim_json(
            sim_call(s, token, it_format("/athlete/activities?per_page=10&page=%d", page)));
        for (size_t i = 0; i < json_array_size(list); i++)
            json_object_set_new(ids,
                                it_format("%lld", (long long)sim_i64(list, it_format("%zu.id", i))),
                                json_true());
        assert_true(json_array_size(list) <= 10);
        all += json_array_size(list);
    }
    return all;
}

static void pages_may_move(void **state)
{
    (void)state;
    static const struct {
        const char *action, *when;
        int pages;
        size_t all, different;
    } ways[] = {
        {"\"do\":\"short\",\"n\":3", "", 22, 150, 150}, /* pages of 7 */
        {"\"do\":\"duplicate\"", "", 17, 166, 150},     /* 16 twice */
        {"\"do\":\"insert\"", "\"nth\":1", 16, 151,
         150}, /* the new one pushes one down: seen twice */
        {"\"do\":\"delete\"", "\"nth\":1", 15, 149, 149}, /* one is never seen */
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct sim *s = sim_start(IT_LIST(NOON, "--preset", "demo"));
        const char *token = token_of(s, ALL);
        json_t *ids = json_object();
        rule(s, "", ways[i].when, it_format("\"type\":\"paging\",%s", ways[i].action));
        assert_int_equal(ids_of_pages(s, token, ways[i].pages, ids), ways[i].all);
        assert_int_equal(json_object_size(ids), ways[i].different);
        json_decref(ids);
        sim_stop(s);
    }
    struct sim *s = sim_start(IT_LIST(NOON, "--preset", "ties"));
    const char *token = token_of(s, ALL), *path = "/athlete/activities?per_page=200";
    assert_string_equal(sim_call(s, token, path).body, sim_call(s, token, path).body);
    rule(s, "", "", "\"type\":\"paging\",\"do\":\"unstable_ties\"");
    assert_string_not_equal(sim_call(s, token, path).body, sim_call(s, token, path).body);
}

static void reads_may_be_stale(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    const char *token = token_of(s, ALL);
    int64_t id = sim_i64(sim_truth(s, 9001, ALL), "activities.0.id");
    const char *path = it_format("/activities/%lld", (long long)id);
    rule(s, "", "", "\"type\":\"stale\",\"seconds\":60");
    sim_do(s, "activity", "{\"do\":\"retitle\",\"id\":%lld,\"name\":\"Renamed\"}", (long long)id);
    int64_t made = sim_i64(
        sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"name\":\"Made\"}"), "id");
    http_lacks(sim_call(s, token, path), "Renamed");
    http_lacks(sim_call(s, token, "/athlete/activities"), "Renamed");
    http_lacks(sim_call(s, token, "/athlete/activities"), "Made");
    http_is(sim_call(s, token, it_format("/activities/%lld", (long long)made)), 404);
    sim_advance(s, 61);
    http_has(sim_call(s, token, path), "Renamed");
    http_has(sim_call(s, token, "/athlete/activities"), "Made");
    sim_do(s, "activity", "{\"do\":\"delete\",\"id\":%lld}", (long long)id);
    http_has(sim_call(s, token, path), "Renamed");
    sim_advance(s, 61);
    http_is(sim_call(s, token, path), 404);
}

static void scope_and_application_may_be_refused(void **state)
{
    (void)state;
    struct sim *s = start("tiny");
    json_t *grant = sim_grant(s, 9001, ALL);
    const char *token = sim_str(grant, "access_token");
    rule(s, "", "\"nth\":1", "\"type\":\"scope\"");
    expect_fault(sim_call(s, token, "/athlete/activities"), 401, "AccessToken",
                 "activity:read_permission", "missing");
    clear(s);
    rule(s, "", "", "\"type\":\"inactive\"");
    expect_fault(sim_call(s, token, "/athlete"), 403, "Application", "Status", "Inactive");
    const char *form = it_format(APP "&grant_type=refresh_token&refresh_token=%s",
                                 sim_str(grant, "refresh_token"));
    http_is(post_form(s, "/oauth/token", form), 200);
    clear(s);
    sim_do(s, "app/status", "{\"status\":\"inactive\"}");
    expect_fault(sim_call(s, token, "/athlete/activities"), 403, "Application", "Status",
                 "Inactive");
    expect_fault(sim_ask(s, "GET", "/api/v3/push_subscriptions?" APP, NULL, NULL), 403,
                 "Application", "Status", "Inactive");
    assert_string_equal(sim_str(sim_get(s, "app/status"), "status"), "inactive");
    sim_do(s, "app/status", "{\"status\":\"active\"}");
    http_is(sim_call(s, token, "/athlete/activities"), 200);
}

/* ---- quotas -------------------------------------------------------------------------------- */

static void quotas_have_windows(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST("--clock", "2026-07-01T12:10:00Z", "--limits", "3,8/5,20"));
    const char *token = token_of(s, ALL);
    for (int i = 1; i <= 3; i++) {
        struct http_answer a = sim_call(s, token, "/athlete");
        http_is(a, 200);
        assert_string_equal(http_field(&a, "X-Readratelimit-Limit"), "3,8");
        assert_string_equal(http_field(&a, "X-Ratelimit-Limit"), "5,20");
        assert_string_equal(http_field(&a, "X-Readratelimit-Usage"), it_format("%d,%d", i, i));
        assert_string_equal(http_field(&a, "X-Ratelimit-Usage"), it_format("%d,%d", i, i));
    }
    struct http_answer a = sim_call(s, token, "/athlete");
    expect_fault(a, 429, "Application", "read rate limit", "exceeded");
    assert_string_equal(sim_str(sim_json(a), "message"), "Rate Limit Exceeded");
    assert_null(http_field(&a, "Retry-After"));
    http_is(sim_call(s, token, "/athlete"), 429);
    a = sim_call(s, token, "/athlete"); /* over-limit calls count */
    expect_fault(a, 429, "Application", "overall rate limit", "exceeded");
    assert_string_equal(http_field(&a, "X-Ratelimit-Usage"), "6,6");
    json_t *stats = sim_stats(s);
    assert_int_equal(sim_i64(stats, "over_limit"), 3);
    assert_int_equal(sim_i64(stats, "after_429"), 2);
    assert_int_equal(sim_i64(stats, "calls.athlete.429"), 3);
    /* The quarter of the clock, not a quarter after. */
    sim_advance(s, 4 * 60);
    http_is(sim_call(s, token, "/athlete"), 429);
    sim_advance(s, 61);
    http_is(sim_call(s, token, "/athlete"), 200);
    /* The day is used up: 7 before, this is the ninth. */
    expect_fault(sim_call(s, token, "/athlete"), 429, "Application", "read rate limit", "exceeded");
    sim_do(s, "clock", "{\"set\":\"2026-07-01T23:59:50Z\",\"freeze\":true}");
    sim_do(s, "token/expire", "{}");
    token = token_of(s, ALL);
    http_is(sim_call(s, token, "/athlete"), 429);
    sim_advance(s, 10);
    a = sim_call(s, token, "/athlete");
    http_is(a, 200);
    assert_string_equal(http_field(&a, "X-Readratelimit-Usage"), "1,1");
    /* Nor do calls count whose token never was. */
    http_is(sim_call(s, "nonsense", "/athlete"), 401);
    assert_int_equal(sim_i64(sim_get(s, "limits"), "used_read.0"), 1);
    sim_do(s, "limits", "{\"read\":[50,100],\"used_read\":[49,60]}");
    http_is(sim_call(s, token, "/athlete"), 200);
    http_is(sim_call(s, token, "/athlete"), 429);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(rules_fire_when_they_say),
        SIM_TEST(statuses_have_bodies),
        SIM_TEST(a_429_by_rule_has_variants),
        SIM_TEST(answers_may_be_slow),
        SIM_TEST(connections_may_break),
        SIM_TEST(bodies_may_be_corrupt),
        SIM_TEST(an_activity_may_not_be_readable_yet),
        SIM_TEST(an_activity_may_be_poison),
        SIM_TEST(tokens_may_be_at_fault),
        SIM_TEST(pages_may_move),
        SIM_TEST(reads_may_be_stale),
        SIM_TEST(scope_and_application_may_be_refused),
        SIM_TEST(quotas_have_windows),
    };
    return cmocka_run_group_tests(tests, it_up_bare, it_down);
}
