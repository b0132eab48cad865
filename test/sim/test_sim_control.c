/* The control of the simulator: chance, clock, snapshots, truth, log; and what load it bears. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "sim/common.h"

/* ---- the same again ------------------------------------------------------------------------ */

static const char *world_of(const char *const *args)
{
    struct sim *s = sim_start(args);
    const char *tokens = sim_str(sim_grant(s, 9001, ALL), "access_token");
    struct http_answer first = sim_ask(s, "GET", "/_sim/truth?athlete=9001", NULL, NULL);
    struct http_answer second =
        sim_ask(s, "GET", "/_sim/truth?athlete=9002&scope=activity:read_all", NULL, NULL);
    struct http_answer route = sim_ask(s, "GET", "/_sim/route", NULL, NULL);
    const char *all = it_format("%s\n%s\n%s\n%s", tokens, first.body, second.body, route.body);
    sim_stop(s);
    return all;
}

static void the_seed_decides_all(void **state)
{
    (void)state;
    static const char *const presets[] = {"tiny", "demo", "ties", "edge"};
    for (size_t i = 0; i < 4; i++) {
        const char *const args[] = {NOON,       "--athletes", "2", "--preset",
                                    presets[i], "--seed",     "7", NULL};
        const char *const other[] = {NOON,       "--athletes", "2", "--preset",
                                     presets[i], "--seed",     "8", NULL};
        const char *one = world_of(args);
        assert_string_equal(one, world_of(args));
        assert_string_not_equal(one, world_of(other));
    }
}

static void athletes_do_not_depend_on_each_other(void **state)
{
    (void)state;
    struct sim *few = sim_start(IT_LIST(NOON, "--athletes", "2"));
    struct sim *many = sim_start(IT_LIST(NOON, "--athletes", "5"));
    const char *path = "/_sim/truth?athlete=9002&scope=activity:read_all";
    assert_string_equal(sim_ask(few, "GET", path, NULL, NULL).body,
                        sim_ask(many, "GET", path, NULL, NULL).body);
}

static void presets_are_as_said(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t n;
    } presets[] = {{"none", 0},   {"tiny", 5},   {"demo", 150},
                   {"big", 2500}, {"ties", 250}, {"edge", 25}};
    struct sim *s = sim_start(IT_LIST(NOON));
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        sim_do(s, "reset", "{\"preset\":\"%s\"}", presets[i].name);
        json_t *list = sim_at(sim_truth(s, 9001, ALL), "activities");
        assert_int_equal(json_array_size(list), presets[i].n);
    }
    sim_do(s, "reset", "{\"preset\":\"demo\"}");
    json_t *list = sim_at(sim_truth(s, 9001, ALL), "activities");
    size_t manual = 0, indoors = 0, only_me = 0, followers = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *a = json_array_get(list, i);
        manual += json_is_true(sim_at(a, "manual"));
        indoors += json_is_true(sim_at(a, "trainer"));
        only_me += strcmp(sim_str(a, "visibility"), "only_me") == 0;
        followers += strcmp(sim_str(a, "visibility"), "followers_only") == 0;
        assert_true(strcmp(sim_str(a, "start_date"), "2026-07-01") < 0);
        assert_true(strcmp(sim_str(a, "start_date"), "2024-06-30") > 0);
    }
    assert_int_equal(indoors, 15);
    assert_in_range(manual, 7, 8);
    assert_in_range(only_me, 7, 8);
    assert_int_equal(followers, 15);
}

static double distance_to(json_t *line, double lon, double lat)
{
    double best = 1e9;
    for (size_t i = 0; i < json_array_size(line); i++) {
        double x = json_number_value(json_array_get(json_array_get(line, i), 0)) - lon;
        double y = json_number_value(json_array_get(json_array_get(line, i), 1)) - lat;
        double d = x * x * 0.6 + y * y;
        best = d < best ? d : best;
    }
    return best;
}

static void activities_follow_the_trail(void **state)
{
    (void)state;
    const char *path = it_format("%s/trail.geojson", it_home());
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"properties\":{},"
          "\"geometry\":{"
          "\"type\":\"LineString\",\"coordinates\":[[7.0,46.0]",
          f);
    for (int i = 1; i < 300; i++)
        fprintf(f, ",[%.5f,%.5f]", 7 + i * 0.001, 46 + i * 0.0005);
    fputs("]}}]}", f);
    fclose(f);
    struct sim *s = sim_start(IT_LIST(NOON, "--preset", "demo", "--near", path));
    json_t *line = sim_at(sim_get(s, "route"), "geometry.coordinates");
    assert_int_equal(json_array_size(line), 300);
    json_t *list = sim_at(sim_truth(s, 9001, ALL), "activities");
    size_t near = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *start = json_object_get(json_array_get(list, i), "start_latlng");
        near += json_is_array(start) &&
                distance_to(line, json_number_value(json_array_get(start, 1)),
                            json_number_value(json_array_get(start, 0))) < 0.001 * 0.001;
    }
    assert_in_range(near, 40, 110);
    long long id = sim_i64(
        sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"trail\":[2000,7000]}"), "id");
    double m = sim_f64(sim_get(s, "activity/%lld", id), "distance");
    assert_true(m > 4900 && m < 5200);
    id = sim_i64(
        sim_do(
            s, "activity",
            "{\"do\":\"create\",\"athlete\":9001,\"latlng\":[[46,7],[46.001,7],[46.001,7.001]]}"),
        "id");
    assert_int_equal(sim_i64(sim_get(s, "activity/%lld", id), "latlng_length"), 3);
    assert_int_equal(sim_i64(sim_get(s, "activity/%lld", id), "moving_time"), 10);
}

/* ---- clock and state ----------------------------------------------------------------------- */

static void the_clock_can_be_turned(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON));
    json_t *clock = sim_do(s, "clock", "{\"advance_s\":3600,\"freeze\":true}");
    int64_t epoch = sim_i64(clock, "epoch");
    assert_in_range(epoch, 1782907200 + 3600, 1782907200 + 3610);
    it_pause_ms(1100);
    assert_int_equal(sim_i64(sim_get(s, "clock"), "epoch"), epoch);
    sim_do(s, "clock", "{\"set\":\"2020-02-29T23:59:59Z\"}");
    assert_string_equal(sim_str(sim_get(s, "clock"), "now"), "2020-02-29T23:59:59.000Z");
    sim_do(s, "clock", "{\"freeze\":false}");
    it_pause_ms(1100);
    assert_int_equal(sim_i64(sim_get(s, "clock"), "epoch"), 1583020800);
    assert_int_equal(sim_try(s, "clock", "{\"set\":\"noon\"}"), 400);
    assert_int_equal(sim_try(s, "clock", "{\"advance\":1}"), 400);
}

static void state_can_be_kept_and_taken_back(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON));
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    json_t *grant = sim_grant(s, 9001, ALL);
    const char *token = sim_str(grant, "access_token");
    sim_do(s, "clock", "{\"freeze\":true}");
    sim_do(s, "events/hold", "{}");
    int64_t id = sim_i64(
        sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"name\":\"Before\"}"), "id");
    sim_do(s, "fault",
           "{\"match\":{\"path\":\"/athlete\"},\"action\":{\"type\":\"status\",\"status\":502}}");
    http_is(sim_call(s, token, "/athlete"), 502);
    const char *before = sim_ask(s, "GET", "/_sim/truth?athlete=9001", NULL, NULL).body;
    sim_do(s, "snapshot", "{\"name\":\"a\"}");
    sim_do(s, "activity", "{\"do\":\"delete\",\"id\":%lld}", (long long)id);
    sim_do(s, "athlete/9001/revoke", "{}");
    sim_do(s, "events/release", "{}");
    sim_do(s, "fault/clear", "{}");
    sim_advance(s, 86400);
    sim_idle(s);
    assert_int_equal(catcher_count(c), 3);
    http_is(sim_call(s, token, "/athlete"), 401);
    for (int i = 0; i < 2; i++) {
        sim_do(s, "restore", "{\"name\":\"a\"}");
        assert_string_equal(sim_ask(s, "GET", "/_sim/truth?athlete=9001", NULL, NULL).body, before);
        http_is(sim_call(s, token, "/athlete"), 502);
        assert_string_equal(sim_str(sim_get(s, "fault"), "faults.0.rule.action.type"), "status");
        assert_int_equal(sim_try(s, "idle", "{\"timeout_s\":0}"), 409);
        sim_do(s, "fault/clear", "{}");
        http_is(sim_call(s, token, "/athlete"), 200);
        sim_do(s, "events/release", "{}");
        sim_idle(s);
        assert_int_equal(catcher_count(c), 4 + i);
    }
    assert_int_equal(sim_try(s, "restore", "{\"name\":\"b\"}"), 404);
    assert_int_equal(sim_try(s, "snapshot", "{}"), 400);
    for (int i = 1; i < 8; i++)
        sim_do(s, "snapshot", "{\"name\":\"n%d\"}", i);
    sim_do(s, "snapshot", "{\"name\":\"a\"}");
    assert_int_equal(sim_try(s, "snapshot", "{\"name\":\"ninth\"}"), 409);
    sim_do(s, "reset", "{}");
    http_is(sim_call(s, token, "/athlete"), 401);
    assert_int_equal(json_array_size(sim_log(s, 0)), 1);
    assert_int_equal(json_array_size(sim_events(s, 0)), 0);
    catcher_stop(c);
}

/* ---- mistakes ------------------------------------------------------------------------------ */

static void mistakes_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        int status;
    } wrong[] = {
        {"activity", "{}", 400},
        {"activity", "{\"do\":\"create\"}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":1}", 404},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"titel\":\"x\"}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"name\":5}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"quirks\":[\"x\"]}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"trail\":[0,1e9]}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"latlng\":[[1,2],[100,2]]}", 400},
        {"activity", "{\"do\":\"create\",\"athlete\":9001,\"visibility\":\"nobody\"}", 400},
        {"activity", "{\"do\":\"delete\",\"id\":5}", 404},
        {"activity", "{\"do\":\"nonsense\",\"id\":5}", 400},
        {"grant", "{\"athlete\":9001,\"scope\":\"activity:all\"}", 400},
        {"grant", "{}", 400},
        {"athlete/1/revoke", "{}", 404},
        {"athlete/9001/nonsense", "{}", 404},
        {"athlete/9001/narrow_scope", "{}", 400},
        {"token/expire", "{\"athlete\":1}", 404},
        {"token/nonsense", "{}", 404},
        {"settings", "{\"rotation\":\"x\"}", 400},
        {"limits", "{\"read\":[1]}", 400},
        {"reset", "{\"preset\":\"x\"}", 400},
        {"events/nonsense", "{}", 404},
        {"nonsense", "{}", 404},
        {"clock", "[1]", 400},
        {"clock", "{", 400},
    };
    struct sim *s = sim_start(IT_LIST(NOON));
    const char *before =
        sim_ask(s, "GET", "/_sim/truth?athlete=9001&scope=activity:read_all", NULL, NULL).body;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct http_answer a =
            sim_ask(s, "POST", it_format("/_sim/%s", wrong[i].path), NULL, wrong[i].body);
        if (a.status != wrong[i].status)
            fail_msg("%s %s: %d %s", wrong[i].path, wrong[i].body, a.status, a.body);
        assert_true(strlen(sim_str(sim_json(a), "error")) > 0);
    }
    assert_string_equal(
        sim_ask(s, "GET", "/_sim/truth?athlete=9001&scope=activity:read_all", NULL, NULL).body,
        before);
}

static void options_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        {"--preset", "x", NULL},         {"--seed", "-1", NULL},     {"--limits", "1,2", NULL},
        {"--limits", "1,2/3,4,5", NULL}, {"--nonsense", NULL, NULL}, {"word", NULL, NULL},
        {"--athletes", "x", NULL},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(it_wait(it_start_program(WAYMARK_SIM, NULL, NULL, wrong[i]), 10000).status,
                         2);
    static const char *const failing[][3] = {
        {"--listen", "nowhere", NULL}, {"--clock", "noon", NULL}, {"--near", "/none", NULL}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            it_wait(it_start_program(WAYMARK_SIM, NULL, NULL, failing[i]), 10000).status, 1);
    struct it_result r =
        it_wait(it_start_program(WAYMARK_SIM, NULL, NULL, IT_LIST("--help")), 10000);
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "sim-secret-1001"));
}

/* ---- what happened ------------------------------------------------------------------------- */

static void the_log_tells_what_was_asked(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON, "--athletes", "2"));
    const char *token = token_of(s, ALL), *other = sim_str(sim_grant(s, 9002, ALL), "access_token");
    (void)sim_call(s, token, "/api/v3/athlete/activities?page=2");
    (void)sim_call(s, other, "/athlete");
    (void)post_form(s, "/oauth/token", APP "&grant_type=x");
    json_t *log = sim_log(s, 0);
    assert_int_equal(json_array_size(log), 3);
    assert_int_equal(sim_i64(log, "0.n"), 1);
    assert_string_equal(sim_str(log, "0.path"), "/athlete/activities");
    assert_string_equal(sim_str(log, "0.query"), "page=2");
    assert_string_equal(sim_str(log, "0.endpoint"), "activities");
    assert_string_equal(sim_str(log, "0.token"), it_format("%.8s", token));
    assert_int_equal(sim_i64(log, "0.athlete"), 9001);
    assert_int_equal(sim_i64(log, "0.status"), 200);
    assert_true(json_is_true(sim_at(log, "0.counted")));
    assert_true(json_is_false(sim_at(log, "2.counted")));
    assert_int_equal(json_array_size(sim_log(s, 2)), 1);
    http_has(sim_ask(s, "GET", "/_sim/log?athlete=9002", NULL, NULL), "\"n\":2,");
    http_lacks(sim_ask(s, "GET", "/_sim/log?athlete=9002", NULL, NULL), "\"n\":1,");
    http_has(sim_ask(s, "GET", "/_sim/log?path=/oauth/*", NULL, NULL), "\"n\":3,");
    json_t *stats = sim_stats(s);
    assert_int_equal(sim_i64(stats, "total"), 3);
    assert_int_equal(sim_i64(stats, "calls.activities.200"), 1);
    assert_int_equal(sim_i64(stats, "calls.token.400"), 1);
    assert_int_equal(sim_i64(stats, "athletes.9001.calls"), 1);
    assert_int_equal(sim_i64(stats, "athletes.9001.exchanges"), 0);
}

/* ---- load ---------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 150 };

struct caller {
    const char *address, *request;
    pthread_t thread;
    int answers;
};

/* One connection, kept, one request after the other. */
static void *call(void *arg)
{
    struct caller *c = arg;
    static const char end[] = "\r\n0\r\n\r\n";
    int fd = http_connect(c->address);
    for (int i = 0; fd >= 0 && i < ROUNDS; i++) {
        char text[65536];
        size_t n = 0;
        http_send(fd, c->request);
        while (n < sizeof(text) - 1) {
            ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
            if (got <= 0)
                break;
            n += (size_t)got;
            if (n > 7 && memcmp(text + n - 7, end, 7) == 0)
                break;
        }
        c->answers += n > 7 && strncmp(text, "HTTP/1.1 200 OK", 15) == 0;
    }
    close(fd);
    return NULL;
}

static void it_bears_many_athletes_and_calls(void **state)
{
    (void)state;
    struct sim *s = sim_start(
        IT_LIST(NOON, "--athletes", "3000", "--limits", "1000000,1000000/1000000,1000000"));
    const char *token = sim_str(sim_grant(s, 12000, ALL), "access_token");
    struct caller callers[THREADS];
    int64_t begun = it_now_ms();
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.address = sim_address(s)};
        callers[i].request = it_format("GET /athlete/activities?per_page=200 HTTP/1.1\r\nHost: "
                                       "x\r\nAuthorization: Bearer %s\r\n\r\n",
                                       token);
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    int answers = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        answers += callers[i].answers;
    }
    int64_t ms = it_now_ms() - begun;
    assert_int_equal(answers, THREADS * ROUNDS);
    if (ms > THREADS * ROUNDS * 5)
        fail_msg("%d requests took %lld ms", answers, (long long)ms);
    print_message("%d requests in %lld ms\n", answers, (long long)ms);
    sim_stop(s);
}

/* Stopped in the middle of everything: nothing leaks, nothing is left. */
static void it_ends_in_the_middle(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON));
    struct catcher *c = catcher_start();
    catcher_subscribe(c, s);
    const char *token = token_of(s, ALL);
    catcher_answer(c, 200, 1500);
    sim_do(s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"count\":30}");
    sim_do(s, "fault", "{\"action\":{\"type\":\"delay\",\"ms\":5000}}");
    sim_do(s, "snapshot", "{\"name\":\"a\"}");
    const char *request =
        it_format("GET /athlete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", token);
    int slow = http_connect(sim_address(s)), idle = http_connect(sim_address(s)),
        half = http_connect(sim_address(s));
    http_send(slow, request);
    http_send(idle, "POST /_sim/idle HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    http_send(half, "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Le");
    it_pause_ms(100);
    sim_stop(s);
    close(slow);
    close(idle);
    close(half);
    catcher_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(the_seed_decides_all),
        SIM_TEST(athletes_do_not_depend_on_each_other),
        SIM_TEST(presets_are_as_said),
        SIM_TEST(activities_follow_the_trail),
        SIM_TEST(the_clock_can_be_turned),
        SIM_TEST(state_can_be_kept_and_taken_back),
        SIM_TEST(mistakes_are_told),
        SIM_TEST(options_are_checked),
        SIM_TEST(the_log_tells_what_was_asked),
        SIM_TEST(it_bears_many_athletes_and_calls),
        SIM_TEST(it_ends_in_the_middle),
    };
    return cmocka_run_group_tests(tests, it_up_bare, it_down);
}
