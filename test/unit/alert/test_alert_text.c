/* Cutting, header fields, pauses, addresses. */
#include "alert/internal.h"
#include "unit/base/helper.h"

static void test_cut(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    static const struct {
        const char *s;
        size_t max;
        const char *want;
    } row[] = {
        {"", 8, ""},
        {"12345678", 8, "12345678"},
        {"123456789", 8, "12345..."},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4", 8, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4"},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4!", 8, "\xc3\xa4\xc3\xb6..."},
        {"1234\xf0\x9f\x98\x80 more", 8, "1234..."},
        {"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 8, "\xe2\x82\xac..."},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80", 8, "..."}, /* no text at all, but bounded */
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        const char *got = alert__cut(a, row[i].s, row[i].max);
        assert_string_equal(got, row[i].want);
        assert_true(strlen(got) <= row[i].max);
    }
    arena_free(a);
}

static void test_header(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    assert_string_equal(alert__header(a, ""), "");
    assert_string_equal(alert__header(a, "Jobs have failed"), "Jobs have failed");
    assert_string_equal(alert__header(a, "Z\xc3\xbcrich"), "=?UTF-8?B?WsO8cmljaA==?=");
    /* What would be decoded although it is only text. */
    assert_string_equal(alert__header(a, "=?x?="), "=?UTF-8?B?PT94Pz0=?=");
    /* Words of at most 75 characters, each of whole characters, a space between them. */
    const char *got = alert__header(a, "1234567890123456789012345678901234567890123\xe2\x82\xac"
                                       "12345");
    assert_string_equal(got, "=?UTF-8?B?MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw"
                             "==?= =?UTF-8?B?4oKsMTIzNDU=?=");
    struct buf long_one = {0};
    for (int i = 0; i < 200; i++) {
        buf_puts(&long_one, "\xf0\x9f\x98\x80");
    }
    got = alert__header(a, long_one.p);
    while (*got) {
        size_t n = strcspn(got, " ");
        assert_true(n <= 75);
        assert_memory_equal(got, "=?UTF-8?B?8J+YgPCfmI", 20); /* begins with a whole one */
        got += n + (got[n] == ' ');
    }
    buf_done(&long_one);
    /* Bytes that begin no character, from wherever, end all the same. */
    char odd[200];
    memset(odd, 0x80, sizeof(odd) - 1);
    odd[sizeof(odd) - 1] = '\0';
    assert_non_null(alert__header(a, odd));
    arena_free(a);
}

static void test_pauses(void **state)
{
    (void)state;
    static const int64_t want_s[] = {30, 120, 480, 1920, 7680, 14400, 14400, 14400};
    for (int i = 0; i < (int)COUNT_OF(want_s); i++) {
        assert_int_equal(alert__pause_ms(i + 1), want_s[i] * 1000);
    }
    assert_int_equal(alert__pause_ms(0), 30000);
    assert_int_equal(alert__pause_ms(32767), 14400000);
}

static void test_addresses(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct err err;
    static const struct {
        const char *url, *origin; /* NULL: refused */
    } row[] = {
        {"https://discord.com/api/webhooks/1/s3cret", "https://discord.com"},
        {"http://ntfy.lan:8080/s3cret", "http://ntfy.lan:8080"},
        {"https://a.test?sig=s3cret", "https://a.test"},
        {"https://[::1]:8/s3cret", "https://[::1]:8"},
        {"https://a.test", "https://a.test"},
        {"", NULL},
        {"s3cret", NULL},
        {"HTTPS://s3cret.test/", NULL},
        {"ftp://a.test/s3cret", NULL},
        {"https://", NULL},
        {"https:///s3cret", NULL},
        {"https://:80/s3cret", NULL},
        {"https://me:s3cret@a.test/", NULL},
        {"https://a.test/s3cret#here", NULL},
        {"https://a.test/s3c ret", NULL},
        {"https://a.test/s3cret\n", NULL},
        {"https://a.test/s3cr\xc3\xa9t", NULL},
        {"https://a.test/\\s3cret", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        int rc = alert_check_url(row[i].url, &err);
        assert_int_equal(rc, row[i].origin ? 0 : -1);
        if (rc == 0) {
            assert_string_equal(alert_origin(row[i].url, a), row[i].origin);
        } else {
            assert_int_equal(err.domain, ERR_CONF);
            assert_null(strstr(err.msg, "s3c"));
        }
    }
    /* Whatever it is, what is told of it is no secret. */
    assert_string_equal(alert_origin("https://me:s3@cret@a.test/x@y", a), "https://a.test");
    assert_string_equal(alert_origin("s3cret", a), "");
    arena_free(a);
}

static void test_names(void **state)
{
    (void)state;
    enum alert_to to;
    for (int i = 0; i < ALERT_TOS; i++) {
        assert_int_equal(alert_by_name(span_of(alert_name((enum alert_to)i)), &to), 0);
        assert_int_equal(to, i);
    }
    assert_int_equal(alert_by_name(SPAN("mail"), &to), -1);
    assert_int_equal(alert_by_name(SPAN(""), &to), -1);
    assert_string_equal(alert_result_name(ALERT_SENT), "sent");
    assert_string_equal(alert_result_name(ALERT_DROPPED), "dropped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_header),
        cmocka_unit_test(test_pauses), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
