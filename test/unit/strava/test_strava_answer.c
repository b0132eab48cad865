/* Errors, limits and tokens in every shape that Strava, and what is before it, gave them. */
#include <jansson.h>

#include "strava/internal.h"
#include "unit/base/helper.h"

static struct strava__fault fault_of(const char *body)
{
    struct strava__fault f;
    struct buf b = {0};
    buf_puts(&b, body);
    strava__fault_read(&b, &f);
    buf_done(&b);
    return f;
}

#define FAULT(resource, field, code)                                                               \
    "{\"message\":\"Some Words\",\"errors\":[{\"resource\":\"" resource "\",\"field\":\"" field    \
    "\",\"code\":\"" code "\"}]}"
#define BAD_TOKEN FAULT("Athlete", "access_token", "invalid")

static void test_faults(void **state)
{
    (void)state;
    struct strava__fault f = fault_of(BAD_TOKEN);
    assert_true(f.readable);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.message, "Some Words");
    assert_true(strava__fault_has(&f, "athlete", "ACCESS_TOKEN", NULL));
    assert_true(strava__fault_has(&f, NULL, NULL, "invalid"));
    assert_false(strava__fault_has(&f, "athlete", NULL, "missing"));

    f = fault_of("{\"message\":\"Resource Not Found\",\"errors\":[]}");
    assert_true(f.readable && f.n == 0);
    assert_false(strava__fault_has(&f, NULL, NULL, NULL));
    assert_true(fault_of("{\"message\":\"error\"}").readable);
    assert_true(fault_of("{\"errors\":\"Rate Limit Exceeded\"}").readable);
    assert_true(fault_of("").readable);
    assert_true(fault_of(" \r\n").readable);
    /* More than is kept, and members of other types. */
    f = fault_of("{\"message\":7,\"errors\":[5,{\"resource\":\"a\",\"code\":null},{},{\"code\":"
                 "\"b\"},{},{\"code\":\"c\"}]}");
    assert_true(f.readable);
    assert_int_equal(f.n, 4);
    assert_string_equal(f.error[0].resource, "a");
    assert_string_equal(f.error[0].code, "");
    assert_true(strava__fault_has(&f, NULL, NULL, "b"));
    assert_false(strava__fault_has(&f, NULL, NULL, "c"));
    f = fault_of("{\"message\":\"a\\nb\\u0000c\\u001b[1m\"}");
    assert_string_equal(f.message, "a bc [1m");
}

static void test_faults_that_nobody_can_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"<html>502</html>",
                                      "Not Found",
                                      "null",
                                      "[]",
                                      "5",
                                      "{}",
                                      "{\"error\":\"x\"}",
                                      "{\"message\":null}",
                                      "{\"message\":\"cut",
                                      "{\"errors\":{}}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct strava__fault f = fault_of(bad[i]);
        assert_false(f.readable);
        assert_int_equal(f.n, 0);
    }
    struct buf b = {0};
    buf_puts(&b, "{\"message\":\"");
    while (b.n < 70000) {
        buf_puts(&b, "xxxxxxxxxxxxxxxx");
    }
    buf_puts(&b, "\"}");
    assert_false(fault_of(b.p).readable);
    buf_done(&b);
}

static void test_long_words_are_cut(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "{\"message\":\"");
    for (int i = 0; i < 60; i++) {
        buf_puts(&b, "\xc3\xa4\xe2\x82\xac");
    }
    buf_puts(&b, "\"}");
    struct strava__fault f = fault_of(b.p);
    size_t n = strlen(f.message);
    assert_true(n < sizeof(f.message) && n >= sizeof(f.message) - 3);
    assert_true(span_utf8_valid((struct span){f.message, n}));
    buf_done(&b);
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum strava__verdict want;
    } row[] = {
        {200, "", STRAVA__OK},
        {204, "<html>", STRAVA__OK},
        {401, BAD_TOKEN, STRAVA__BAD_TOKEN},
        {401, "{\"message\":\"Authorization Error\",\"errors\":[]}", STRAVA__BAD_TOKEN},
        {401, "", STRAVA__BAD_TOKEN},
        {401, "<html>", STRAVA__TRANSIENT},
        {401, FAULT("AccessToken", "activity:read_permission", "missing"), STRAVA__NO_SCOPE},
        {401, FAULT("AccessToken", "profile:READ_Permission", "Missing"), STRAVA__NO_SCOPE},
        {401, FAULT("AccessToken", "permission", "invalid"), STRAVA__BAD_TOKEN},
        {403, FAULT("AccessToken", "activity:read_permission", "missing"), STRAVA__NO_SCOPE},
        {403, FAULT("Application", "Status", "Inactive"), STRAVA__INACTIVE},
        {403, FAULT("application", "status", "inactive"), STRAVA__INACTIVE},
        {403, FAULT("Application", "Status", "Other"), STRAVA__REFUSED},
        {403, "{\"message\":\"Forbidden\"}", STRAVA__REFUSED},
        {403, "<html>blocked</html>", STRAVA__TRANSIENT},
        {404, "{\"message\":\"Resource Not Found\",\"errors\":[]}", STRAVA__NOT_FOUND},
        {404, FAULT("Activity", "id", "invalid"), STRAVA__NOT_FOUND},
        {404, FAULT("Activity", "", "not found"), STRAVA__NOT_FOUND},
        {404, "", STRAVA__NOT_FOUND},
        {404, "<html>no such host</html>", STRAVA__TRANSIENT},
        {404, "404 page not found", STRAVA__TRANSIENT},
        {400, FAULT("Application", "after", "future"), STRAVA__REFUSED},
        {400, "Bad Request", STRAVA__TRANSIENT},
        {402, "", STRAVA__REFUSED},
        {408, "", STRAVA__TRANSIENT},
        {425, "", STRAVA__TRANSIENT},
        {429, "<html>", STRAVA__LIMITED},
        {429, FAULT("Application", "overall rate limit", "exceeded"), STRAVA__LIMITED},
        {500, "{\"message\":\"error\"}", STRAVA__TRANSIENT},
        {503, "", STRAVA__TRANSIENT},
        {301, "", STRAVA__TRANSIENT},
        {999, "", STRAVA__TRANSIENT},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct strava__fault f = fault_of(row[i].body);
        if (strava__judge(row[i].status, &f) != row[i].want) {
            fail_msg("%d %s is taken for %d", row[i].status, row[i].body,
                     strava__judge(row[i].status, &f));
        }
    }
}

static void test_verdicts_of_the_token_endpoint(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum strava__grant_verdict want;
    } row[] = {
        {200, "", STRAVA__GRANTED},
        {400, FAULT("RefreshToken", "refresh_token", "invalid"), STRAVA__DEAD},
        {400, FAULT("RefreshToken", "refresh_token", "missing"), STRAVA__UNSURE},
        {401, FAULT("RefreshToken", "refresh_token", "invalid"), STRAVA__BAD_CLIENT},
        {500, FAULT("RefreshToken", "refresh_token", "invalid"), STRAVA__UNSURE},
        {400, FAULT("AuthorizationCode", "code", "invalid"), STRAVA__BAD_CODE},
        {400, FAULT("AuthorizationCode", "code", "expired"), STRAVA__BAD_CODE},
        {400, FAULT("RequestToken", "code", "invalid"), STRAVA__BAD_CODE},
        {400, FAULT("Application", "client_id", "invalid"), STRAVA__BAD_CLIENT},
        {401, FAULT("Application", "", "invalid"), STRAVA__BAD_CLIENT},
        {401, "<html>", STRAVA__UNSURE},
        {403, FAULT("Application", "athlete limit", "exceeded"), STRAVA__FULL},
        {403, "{\"message\":\"Athlete Limit Exceeded\"}", STRAVA__FULL},
        {403, "{\"message\":\"Forbidden\"}", STRAVA__UNSURE},
        {400, "{\"message\":\"Bad Request\",\"errors\":[]}", STRAVA__UNSURE},
        {400, "", STRAVA__UNSURE},
        {429, FAULT("Application", "rate limit", "exceeded"), STRAVA__UNSURE},
        {502, "<html>", STRAVA__UNSURE},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct strava__fault f = fault_of(row[i].body);
        if (strava__judge_grant(row[i].status, &f) != row[i].want) {
            fail_msg("%d %s is taken for %d", row[i].status, row[i].body,
                     strava__judge_grant(row[i].status, &f));
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *limit, *usage, *read_limit, *read_usage;
        struct strava__budget want; /* cap15, capday, used15, usedday, day_over */
    } row[] = {
        {NULL, NULL, NULL, NULL, {-1, -1, -1, -1, false}},
        {"200,2000", "5,148", NULL, NULL, {200, 2000, 5, 148, false}},
        {"200,2000", "5,148", "100,1000", "5,148", {100, 1000, 5, 148, false}},
        /* In each window the one of which less is left. */
        {"200,2000", "190,200", "100,1000", "50,900", {200, 1000, 190, 900, false}},
        {"200,2000", "50,1999", "100,1000", "99,100", {100, 2000, 99, 1999, false}},
        {"200,2000", "5,2000", "100,1000", "5,100", {100, 2000, 5, 2000, true}},
        {"200,2000", "5,2000", "100,1000", "5,1500", {100, 1000, 5, 1500, true}},
        {"200,2000", "200,100", NULL, NULL, {200, 2000, 200, 100, false}},
        {NULL, NULL, " 100 , 1000 ", "0,0", {100, 1000, 0, 0, false}},
        {"200,2000", NULL, NULL, NULL, {200, 2000, -1, -1, false}},
        {"200,2000", "x", "100,1000", NULL, {100, 1000, -1, -1, false}},
        {"", "", "100,1000", "1,1", {100, 1000, 1, 1, false}},
        {"200", "5,6", NULL, NULL, {-1, -1, -1, -1, false}},
        {"200,2000,3", "5,6", NULL, NULL, {-1, -1, -1, -1, false}},
        {"200,-1", "5,6", NULL, NULL, {-1, -1, -1, -1, false}},
        {"200,2e3", "5,6", NULL, NULL, {-1, -1, -1, -1, false}},
        {"200,2000", "5,6 7", NULL, NULL, {200, 2000, -1, -1, false}},
        {"0,0", "5,6", "100,1000", "7,8", {100, 1000, 7, 8, false}},
        {"0,2000", "5,6", NULL, NULL, {-1, 2000, -1, 6, false}},
        {"99999999999,9999999999999", "1,1", NULL, NULL, {1000000, 1000000, 1, 1, false}},
        {"99999999999999999999,5", "1,1", NULL, NULL, {-1, -1, -1, -1, false}},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct strava__budget b;
        strava__budget_read(row[i].limit, row[i].usage, row[i].read_limit, row[i].read_usage, &b);
        if (b.cap15 != row[i].want.cap15 || b.capday != row[i].want.capday ||
            b.used15 != row[i].want.used15 || b.usedday != row[i].want.usedday ||
            b.day_over != row[i].want.day_over) {
            fail_msg("row %zu: %lld %lld %lld %lld %d", i, (long long)b.cap15, (long long)b.capday,
                     (long long)b.used15, (long long)b.usedday, b.day_over);
        }
    }
}

static int pair_of(const char *text, int64_t date_us, struct strava__pair *ret)
{
    json_t *root = json_loads(text, 0, NULL);
    int rc = strava__pair_read(root, date_us, ret);
    json_decref(root);
    return rc;
}

#define DATE_US INT64_C(1764576000000000)
#define NAMES   "\"access_token\":\"aa\",\"refresh_token\":\"rr\""

static void test_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        int64_t date_us;
        double life_s;
    } row[] = {
        {",\"expires_in\":21600,\"expires_at\":1764597600", DATE_US, 21600},
        {",\"expires_in\":21600,\"expires_at\":1764597600", INT64_MIN, 21600},
        {",\"expires_in\":14282", DATE_US, 14282},
        {",\"expires_in\":21600,\"expires_at\":1764576600", DATE_US, 600}, /* the earlier */
        {",\"expires_in\":600,\"expires_at\":1764597600", DATE_US, 600},
        {",\"expires_in\":21600,\"expires_at\":1764570000", DATE_US, 21600}, /* past: no clock */
        {",\"expires_at\":1764597600", DATE_US, 21600},
        {",\"expires_at\":1764597600", INT64_MIN, 3600}, /* whose clock is it? */
        {"", DATE_US, 3600},
        {",\"expires_in\":-5,\"expires_at\":\"1\"", DATE_US, 3600},
        {",\"expires_in\":99999999999,\"expires_at\":9223372036854775807", DATE_US, 3600},
        {",\"expires_in\":1", DATE_US, 1},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct strava__pair p;
        char text[200];
        snprintf(text, sizeof(text), "{\"token_type\":\"Bearer\"," NAMES "%s}", row[i].more);
        assert_int_equal(pair_of(text, row[i].date_us, &p), 0);
        assert_string_equal(p.access, "aa");
        assert_string_equal(p.refresh, "rr");
        if (p.life_s != row[i].life_s) {
            fail_msg("%s lives %g s", row[i].more, p.life_s);
        }
    }
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"access_token\":\"aa\"}",
        "{\"access_token\":\"\",\"refresh_token\":\"rr\"}",
        "{\"access_token\":\"a a\",\"refresh_token\":\"rr\"}",
        "{\"access_token\":\"a\\r\\nX: y\",\"refresh_token\":\"rr\"}",
        "{\"access_token\":\"aa\",\"refresh_token\":5}",
        "{\"access_token\":\"aa\",\"refresh_token\":\"\\u00e4\"}",
        "{\"access_token\":\"aa\",\"refresh_token\":null}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct strava__pair p;
        assert_int_equal(pair_of(bad[i], DATE_US, &p), -1);
    }
    struct strava__pair p;
    char text[STRAVA__TOKEN + 100];
    for (int n = STRAVA__TOKEN - 1; n <= STRAVA__TOKEN; n++) {
        snprintf(text, sizeof(text), "{\"access_token\":\"%0*d\",\"refresh_token\":\"rr\"}", n, 7);
        assert_int_equal(pair_of(text, DATE_US, &p), n < STRAVA__TOKEN ? 0 : -1);
    }
    assert_int_equal(strava__pair_read(NULL, DATE_US, &p), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_that_nobody_can_read),
        cmocka_unit_test(test_long_words_are_cut),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_verdicts_of_the_token_endpoint),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
