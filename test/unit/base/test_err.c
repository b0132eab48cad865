#include <errno.h>

#include "unit/base/helper.h"

static void test_set(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set_code(&e, ERR_HTTP, ERR_RETRY, 503, "strava: %d", 503), -1);
    assert_int_equal(e.domain, ERR_HTTP);
    assert_int_equal(e.class, ERR_RETRY);
    assert_int_equal(e.code, 503);
    assert_string_equal(e.msg, "strava: 503");
    assert_string_equal(e.sqlstate, "");
    assert_string_equal(e.file, "base/test_err.c");
    assert_true(e.line > 0);
    assert_int_equal(e.retry_after_ms, 0);
}

static void test_null_is_fine(void **state)
{
    (void)state;
    struct err *none = NULL;
    assert_int_equal(err_set(none, ERR_DATA, ERR_BUG, "x"), -1);
    assert_int_equal(err_sys(none, ENOENT, "x"), -1);
    assert_int_equal(err_wrap(none, "x"), -1);
}

static void test_one_line(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_DATA, ERR_PERMANENT, "name \"%s\"", "a\nb\tc\r\x1b[31m\x7f");
    assert_string_equal(e.msg, "name \"a b c  [31m \"");
}

static void test_cut_at_character(void **state)
{
    (void)state;
    char text[1000];
    for (size_t start = 0; start < 4; start++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = start; i + 3 <= sizeof(text) - 1; i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        text[sizeof(text) - 1] = '\0';
        struct err e;
        err_set(&e, ERR_DATA, ERR_PERMANENT, "%s", text);
        assert_true(strlen(e.msg) >= sizeof(e.msg) - 3);
        assert_true(span_utf8_valid(span_of(e.msg)));
    }
}

static void test_message_may_be_its_own_argument(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_DATA, ERR_PERMANENT, "inner");
    err_set(&e, ERR_CONF, ERR_BUG, "outer: %s", e.msg);
    assert_string_equal(e.msg, "outer: inner");
}

static void test_wrap(void **state)
{
    (void)state;
    struct err e;
    err_set_code(&e, ERR_PG, ERR_RETRY, 3, "connection lost");
    assert_int_equal(err_wrap(&e, "saving %s: ", "tmb.gpx"), -1);
    assert_string_equal(e.msg, "saving tmb.gpx: connection lost");
    assert_int_equal(e.domain, ERR_PG);
    assert_int_equal(e.code, 3);
    char prefix[900];
    memset(prefix, 'p', sizeof(prefix) - 1);
    prefix[sizeof(prefix) - 1] = '\0';
    err_wrap(&e, "%s", prefix);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    err_wrap(&e, "%s", prefix);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
}

static void test_sys(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_sys(&e, ENOENT, "opening %s", "x.gpx"), -1);
    assert_string_equal(e.msg, "opening x.gpx: No such file or directory");
    assert_int_equal(e.domain, ERR_SYS);
    assert_int_equal(e.class, ERR_PERMANENT);
    assert_int_equal(e.code, ENOENT);
    err_sys(&e, EAGAIN, "x");
    assert_int_equal(e.class, ERR_RETRY);
    err_sys(&e, ENOSPC, "x");
    assert_int_equal(e.class, ERR_RETRY);
    err_sys(&e, EBADF, "x");
    assert_int_equal(e.class, ERR_BUG);
}

static void test_exit_status(void **state)
{
    (void)state;
    struct err e = {.domain = ERR_PG, .class = ERR_RETRY};
    assert_int_equal(err_exit_status(&e), 75);
    e = (struct err){.domain = ERR_CONF, .class = ERR_PERMANENT};
    assert_int_equal(err_exit_status(&e), 78);
    e.domain = ERR_USAGE;
    assert_int_equal(err_exit_status(&e), 2);
    e.domain = ERR_DATA;
    assert_int_equal(err_exit_status(&e), 1);
    assert_string_equal(err_class_name(ERR_RETRY), "retry");
    assert_string_equal(err_class_name(ERR_PERMANENT), "permanent");
    assert_string_equal(err_class_name(ERR_BUG), "bug");
    assert_string_equal(err_class_name((enum err_class)0), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_null_is_fine),
        cmocka_unit_test(test_one_line),
        cmocka_unit_test(test_cut_at_character),
        cmocka_unit_test(test_message_may_be_its_own_argument),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_sys),
        cmocka_unit_test(test_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
