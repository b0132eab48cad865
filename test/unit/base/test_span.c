#include <math.h>

#include "unit/base/helper.h"

static void test_compare(void **state)
{
    (void)state;
    struct span none = span_of(NULL);
    assert_null(none.p);
    assert_int_equal(none.n, 0);
    assert_true(span_eq(none, SPAN("")));
    assert_true(span_is(SPAN("abc"), "abc"));
    assert_false(span_is(SPAN("abc"), "ab"));
    assert_false(span_is(SPAN("abc"), "abd"));
    assert_true(span_is(none, NULL));
}

static void test_trim(void **state)
{
    (void)state;
    assert_true(span_is(span_trim(SPAN(" \t\r\n a b \v\f")), "a b"));
    assert_true(span_is(span_trim(SPAN("   ")), ""));
    assert_true(span_is(span_trim(span_of(NULL)), ""));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "abc",
        "Pic du Midi d\xc2\xb4Ossau",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };
    static const char *const bad[] = {
        "\x80",         "\xc0\xaf",         "\xc1\xbf",         "\xc2",
        "a\xc3",        "\xe0\x9f\xbf",     "\xe2\x82",         "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "\xc2\x20",         "\xe2\x28\xa1",     "\xf0\x28\x8c\xbc",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(span_utf8_valid(span_of(good[i])));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(span_utf8_valid(span_of(bad[i])));
    }
    assert_false(span_utf8_valid((struct span){"a\0b", 3}));
}

static void test_i64(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_int_equal(span_to_i64(SPAN("9223372036854775807"), INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(span_to_i64(SPAN("-9223372036854775808"), INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(span_to_i64(SPAN("007"), 0, 10, &v), 0);
    assert_int_equal(v, 7);
    static const char *const bad[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "0x10",
        "1e3",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "--1",
        "1-",
        "\xd9\xa1",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(span_to_i64(span_of(bad[i]), INT64_MIN, INT64_MAX, &v), -1);
        assert_int_equal(v, 7);
    }
    assert_int_equal(span_to_i64(SPAN("11"), 0, 10, &v), -1);
    assert_int_equal(span_to_i64(SPAN("-1"), 0, 10, &v), -1);
    assert_int_equal(span_to_i64((struct span){NULL, 0}, 0, 10, &v), -1);
}

static void test_f64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double v;
    } good[] = {
        {"0", 0},
        {"-1.5", -1.5},
        {"+2", 2},
        {".5", 0.5},
        {"5.", 5},
        {"1e3", 1000},
        {"1.25E-2", 0.0125},
        {"45.832622", 45.832622},
        {"0.1000000000000000055511151231257827", 0.1},
        {"1e-400", 0},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        double v = NAN;
        assert_int_equal(span_to_f64(span_of(good[i].text), &v), 0);
        assert_true(v == good[i].v);
    }
    static const char *const bad[] = {
        "",   ".",   "-",     "+.", "nan", "inf",   "-infinity", "0x1p3", "1,5",
        "1e", "1e+", "1e400", " 1", "1 ",  "1.2.3", "1_000",     "12f",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        double v = 7;
        assert_int_equal(span_to_f64(span_of(bad[i]), &v), -1);
        assert_true(v == 7);
    }
    char longest[200];
    memset(longest, '1', sizeof(longest));
    double v;
    assert_int_equal(span_to_f64((struct span){longest, sizeof(longest)}, &v), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_trim), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_i64),     cmocka_unit_test(test_f64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
