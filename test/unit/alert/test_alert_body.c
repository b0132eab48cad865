/* What is sent to each destination, to the byte; and its limits. */
#include "alert/internal.h"
#include "unit/base/helper.h"

#include <jansson.h>

static const struct alert_message bad_one = {
    .id = 42,
    .key = "queue:dead",
    .title = "Jobs <failed> & *died*",
    .body = "One \"of\" them:\n<@everyone> [x](http://a.test) & more",
    .bad = true,
    .at_us = INT64_C(1795903500123000),
};
static const struct alert_message good_one = {
    .key = "strava:quota", .title = "Calls go on", .body = "", .at_us = INT64_C(1795903500000000)};

#define TEAMS_HEAD                                                                                 \
    "{\"type\":\"message\",\"attachments\":[{\"contentType\":\"application/vnd.microsoft.card."    \
    "adaptive\",\"contentUrl\":null,\"content\":{\"$schema\":\"http://adaptivecards.io/schemas/"   \
    "adaptive-card.json\",\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"body\":["
#define TEAMS_RUN "{\"type\":\"RichTextBlock\",\"inlines\":[{\"type\":\"TextRun\",\"text\":"
#define TEAMS_END "}]}"

static const struct {
    enum alert_to to;
    const struct alert_message *m;
    const char *want;
} golden[] = {
    {ALERT_DISCORD, &bad_one,
     "{\"content\":\"\xf0\x9f\x94\xb4 **Jobs \\\\<failed\\\\> & \\\\*died\\\\***\\nOne \\\"of\\\" "
     "them:\\n\\\\<\\\\@everyone\\\\> \\\\[x\\\\](http://a.test) & more\","
     "\"allowed_mentions\":{\"parse\":[]},\"flags\":4}"},
    {ALERT_DISCORD, &good_one,
     "{\"content\":\"\xf0\x9f\x9f\xa2 **Calls go on**\\n\",\"allowed_mentions\":{\"parse\":[]},"
     "\"flags\":4}"},
    {ALERT_SLACK, &bad_one,
     "{\"text\":\":red_circle: *Jobs &lt;failed&gt; &amp; *died**\\nOne \\\"of\\\" them:\\n"
     "&lt;@everyone&gt; [x](http://a.test) &amp; more\",\"unfurl_links\":false}"},
    {ALERT_SLACK, &good_one,
     "{\"text\":\":large_green_circle: *Calls go on*\\n\",\"unfurl_links\":false}"},
    {ALERT_TEAMS, &bad_one,
     TEAMS_HEAD TEAMS_RUN
     "\"Jobs <failed> & *died*\",\"weight\":\"Bolder\",\"color\":\"Attention\"" TEAMS_END
     "," TEAMS_RUN "\"One \\\"of\\\" them:\"" TEAMS_END "," TEAMS_RUN
     "\"<@everyone> [x](http://a.test) & more\"" TEAMS_END "]}}]}"},
    {ALERT_TEAMS, &good_one,
     TEAMS_HEAD TEAMS_RUN "\"Calls go on\",\"weight\":\"Bolder\",\"color\":\"Good\"" TEAMS_END
                          "]}}]}"},
    {ALERT_NTFY, &bad_one, "One \"of\" them:\n<@everyone> [x](http://a.test) & more"},
    {ALERT_NTFY, &good_one, "Calls go on"},
    {ALERT_WEBHOOK, &bad_one,
     "{\"id\":42,\"instance\":\"here\",\"key\":\"queue:dead\",\"bad\":true,\"title\":\"Jobs "
     "<failed>"
     " & *died*\",\"body\":\"One \\\"of\\\" them:\\n<@everyone> [x](http://a.test) & more\","
     "\"at\":\"2026-11-28T22:05:00.123Z\"}"},
    {ALERT_WEBHOOK, &good_one,
     "{\"id\":0,\"instance\":\"here\",\"key\":\"strava:quota\",\"bad\":false,\"title\":\"Calls go "
     "on"
     "\",\"body\":\"\",\"at\":\"2026-11-28T22:05:00.000Z\"}"},
};

static void test_golden(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        struct buf out = {0};
        const char *type = alert__body(golden[i].to, golden[i].m, "here", a, &out);
        assert_string_equal(out.p, golden[i].want);
        assert_string_equal(type, golden[i].to == ALERT_NTFY ? "text/plain; charset=utf-8"
                                                             : "application/json");
        buf_done(&out);
    }
    arena_free(a);
}

/* Units of UTF-16, of valid UTF-8. */
static size_t utf16_of(const char *s)
{
    size_t n = 0;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        n += c >= 0xf0 ? 2 : (c & 0xc0) != 0x80;
    }
    return n;
}

static const char *text_in(json_t *root)
{
    json_t *v = json_object_get(root, "content");
    return json_string_value(v ? v : json_object_get(root, "text"));
}

/* Bodies of one text again and again, of every length about the limits. */
static void check_limit(enum alert_to to, const char *piece, size_t max)
{
    struct arena *a = arena_new(0);
    struct buf body = {0};
    while (body.n < 14000) {
        buf_puts(&body, piece);
    }
    for (int cut = 0; cut < 8; cut++) {
        char title[16];
        struct err err;
        struct buf out = {0};
        snprintf(title, sizeof(title), "%.*s", cut, "12345678");
        const struct alert_message m = {.key = "k", .title = title, .body = body.p};
        (void)alert__body(to, &m, "here", a, &out);
        assert_true(span_utf8_valid(buf_span(&out)));
        if (to == ALERT_NTFY) {
            assert_true(out.n <= max && out.n > max - 8);
            assert_string_equal(out.p + out.n - 3, "...");
        } else {
            json_t *root = json_read(buf_span(&out), 64 * 1024, 8, &err);
            const char *text = text_in(root);
            size_t n = utf16_of(text), bytes = strlen(text);
            assert_true(n <= max && n > max - 12);
            assert_string_equal(text + bytes - 3, "...");
            /* No escape is cut in two. */
            assert_true(to != ALERT_DISCORD || strcmp(piece, "\\") != 0 || bytes % 2 == 0 ||
                        text[bytes - 4] == '\\');
            assert_true(to != ALERT_SLACK || bytes < 4 || text[bytes - 4] != '&');
            assert_null(strstr(text, "&am..."));
            json_decref(root);
        }
        buf_done(&out);
    }
    buf_done(&body);
    arena_free(a);
}

static void test_limits(void **state)
{
    (void)state;
    static const char *const piece[] = {
        "a", "*", "\\", "&", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "a&\xf0\x9f\x98\x80*"};
    for (size_t i = 0; i < COUNT_OF(piece); i++) {
        check_limit(ALERT_DISCORD, piece[i], 2000);
        check_limit(ALERT_SLACK, piece[i], 4000);
        check_limit(ALERT_NTFY, piece[i], 4096);
    }
}

/* An escaped character and its backslash stay together where the text ends. */
static void test_escapes_stay_whole(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    for (size_t n = 1980; n < 2010; n++) {
        struct buf body = {0}, out = {0};
        struct err err;
        for (size_t i = 0; i < n; i++) {
            buf_putc(&body, i % 2 ? '*' : 'a');
        }
        const struct alert_message m = {.key = "k", .title = "t", .body = body.p};
        (void)alert__body(ALERT_DISCORD, &m, "here", a, &out);
        json_t *root = json_read(buf_span(&out), 64 * 1024, 8, &err);
        const char *text = text_in(root);
        assert_true(utf16_of(text) <= 2000);
        assert_null(strstr(text, "\\..."));
        json_decref(root);
        buf_done(&out);
        buf_done(&body);
    }
    arena_free(a);
}

/* However many lines somebody puts into a text, a card stays a card. */
static void test_lines_of_a_card(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct buf body = {0}, out = {0};
    struct err err;
    for (int i = 0; i < 1000; i++) {
        buf_puts(&body, i % 3 ? "\n" : "x\n");
    }
    const struct alert_message m = {.key = "k", .title = "t", .body = body.p};
    (void)alert__body(ALERT_TEAMS, &m, "here", a, &out);
    json_t *root = json_read(buf_span(&out), 64 * 1024, 12, &err);
    json_t *lines = json_object_get(
        json_object_get(json_array_get(json_object_get(root, "attachments"), 0), "content"),
        "body");
    assert_in_range(json_array_size(lines), 2, 41);
    json_decref(root);
    buf_done(&out);
    buf_done(&body);
    arena_free(a);
}

/* ---- payloads -------------------------------------------------------------------------------- */

static void test_payload(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct err err;
    enum alert_to to;
    struct alert_message m = {.id = 1};
    assert_int_equal(alert__payload_read("{\"to\": \"slack\", \"key\": \"k\", \"title\": \"t\", "
                                         "\"body\": \"b\", \"bad\": true, \"at\": "
                                         "\"2026-11-29T00:05:00.5+02:00\", \"more\": [1]}",
                                         a, &to, &m, &err),
                     0);
    assert_int_equal(to, ALERT_SLACK);
    assert_string_equal(m.key, "k");
    assert_string_equal(m.title, "t");
    assert_string_equal(m.body, "b");
    assert_true(m.bad);
    assert_int_equal(m.at_us, INT64_C(1795903500500000));
    static const char *const none[] = {
        "",
        "[]",
        "{}",
        "{\"to\": \"mail\", \"key\": \"k\", \"title\": \"t\", \"body\": \"b\", \"at\": "
        "\"2026-11-29T02:05:00Z\"}",
        "{\"to\": \"slack\", \"title\": \"t\", \"body\": \"b\", \"at\": \"2026-11-29T02:05:00Z\"}",
        "{\"to\": \"slack\", \"key\": \"k\", \"title\": 5, \"body\": \"b\", \"at\": "
        "\"2026-11-29T02:05:00Z\"}",
        "{\"to\": \"slack\", \"key\": \"k\", \"title\": \"t\", \"body\": \"b\", \"at\": \"soon\"}",
    };
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_int_equal(alert__payload_read(none[i], a, &to, &m, &err), -1);
        assert_non_null(strstr(err.msg, "payload of an alert"));
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_escapes_stay_whole),
        cmocka_unit_test(test_lines_of_a_card),
        cmocka_unit_test(test_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
