/* Push events, as Strava sends them and as somebody else may. */
#include "strava/strava.h"
#include "unit/base/helper.h"

#define IDS "\"owner_id\":134815,\"subscription_id\":120475,\"event_time\":1516126040"

static struct strava_event read_event(const char *text)
{
    struct strava_event e;
    struct err err = {0};
    if (strava_parse_event(span_of(text), &e, &err) != 0) {
        fail_msg("%s: %s", text, err.msg);
    }
    return e;
}

static void test_an_activity(void **state)
{
    (void)state;
    struct strava_event e = read_event("{\"aspect_type\":\"update\",\"object_id\":16181809559,"
                                       "\"object_type\":\"activity\"," IDS
                                       ",\"updates\":{\"title\":\"Messy\",\"private\":\"true\"}}");
    assert_false(e.is_athlete);
    assert_int_equal(e.aspect, STRAVA_UPDATE);
    assert_int_equal(e.object_id, 16181809559);
    assert_int_equal(e.owner_id, 134815);
    assert_int_equal(e.subscription_id, 120475);
    assert_int_equal(e.time_s, 1516126040);
    assert_false(e.withdrawn);
    e = read_event("{\"aspect_type\":\"create\",\"object_id\":1,\"object_type\":\"activity\"," IDS
                   ",\"updates\":{}}");
    assert_int_equal(e.aspect, STRAVA_CREATE);
    e = read_event("{\"aspect_type\":\"delete\",\"object_id\":1,\"object_type\":\"activity\"," IDS
                   "}"); /* without updates */
    assert_int_equal(e.aspect, STRAVA_DELETE);
    /* An activity cannot withdraw. */
    e = read_event("{\"aspect_type\":\"update\",\"object_id\":1,\"object_type\":\"activity\"," IDS
                   ",\"updates\":{\"authorized\":\"false\"}}");
    assert_false(e.withdrawn);
}

static void test_an_athlete(void **state)
{
    (void)state;
    static const struct {
        const char *updates;
        bool withdrawn;
    } row[] = {
        {"{\"authorized\":\"false\"}", true},
        {"{\"authorized\":false}", true},
        {"{\"authorized\":\"true\"}", false},
        {"{\"authorized\":true}", false},
        {"{\"authorized\":0}", false},
        {"{\"authorized\":\"FALSE\"}", false},
        {"{}", false},
        {"null", false},
        {"[\"authorized\"]", false},
        {"\"authorized\"", false},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        char text[300];
        snprintf(text, sizeof(text),
                 "{\"aspect_type\":\"update\",\"object_id\":134815,\"object_type\":\"athlete\",%s,"
                 "\"updates\":%s,\"more\":[1]}",
                 IDS, row[i].updates);
        struct strava_event e = read_event(text);
        assert_true(e.is_athlete);
        assert_int_equal(e.withdrawn, row[i].withdrawn);
    }
}

/* Numbers as strings, and a title with what no column takes. */
static void test_oddities(void **state)
{
    (void)state;
    struct strava_event e =
        read_event("{\"aspect_type\":\"update\",\"object_id\":\"9223372036854775807\","
                   "\"object_type\":\"activity\",\"owner_id\":\"7\",\"subscription_id\":\"0\","
                   "\"event_time\":\"0\",\"updates\":{\"title\":\"a\\u0000\\u0026\\\\u0000\"}}");
    assert_true(e.object_id == INT64_MAX);
    assert_int_equal(e.owner_id, 7);
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "\"secret\"",
        "{\"secret\":",
        "{}",
        "\xef\xbb\xbf{}",
        "{\"aspect_type\":\"secret\",\"object_id\":1,\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":1,\"object_id\":1,\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":1,\"object_type\":\"secret\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":1," IDS "}",
        "{\"aspect_type\":\"create\",\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":1.0,\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":-1,\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":0,\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":\"1x\",\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":\"\",\"object_type\":\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":9223372036854775808,\"object_type\":"
        "\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":1,\"object_id\":2,\"object_type\":"
        "\"activity\"," IDS "}",
        "{\"aspect_type\":\"create\",\"object_id\":1,\"object_type\":\"activity\"," IDS "} secret",
        "[[[[[[[[[[\"secret\"]]]]]]]]]]",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct strava_event e;
        struct err err = {0};
        assert_int_equal(strava_parse_event(span_of(bad[i]), &e, &err), -1);
        assert_int_equal(err.class, ERR_PERMANENT);
        assert_true(err.msg[0]);
        assert_null(strstr(err.msg, "secret"));
    }
}

static void test_size(void **state)
{
    (void)state;
    struct buf b = {0};
    struct strava_event e;
    struct err err;
    buf_puts(&b, "{\"aspect_type\":\"create\",\"object_id\":1,\"object_type\":\"activity\"," IDS);
    buf_puts(&b, ",\"updates\":{\"title\":\"");
    while (b.n < 16 * 1024 - 3) {
        buf_putc(&b, 'x');
    }
    buf_puts(&b, "\"}}");
    assert_int_equal(b.n, 16 * 1024);
    assert_int_equal(strava_parse_event(buf_span(&b), &e, &err), 0);
    buf_putc(&b, ' ');
    assert_int_equal(strava_parse_event(buf_span(&b), &e, &err), -1);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_activity), cmocka_unit_test(test_an_athlete),
        cmocka_unit_test(test_oddities),    cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
