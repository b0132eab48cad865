#include "unit/base/helper.h"

static void test_clocks(void **state)
{
    (void)state;
    int64_t ms = clock_mono_ms(), ns = clock_mono_ns();
    assert_true(ns / 1000000 >= ms);
    assert_true(clock_mono_ns() >= ns);
    assert_true(clock_wall_us() > INT64_C(1700000000) * 1000000);
    assert_true(clock_wall_us() < INT64_C(10000000000) * 1000000);
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0},
        {"90", 90000},
        {"1.5", 1500},
        {"90s", 90000},
        {"1h30m", 5400000},
        {"250ms", 250},
        {"1.5h", 5400000},
        {".5s", 500},
        {"1.s", 1000},
        {"1m1h", 3660000},
        {" 2m ", 120000},
        {"1d", 86400000},
        {"0s", 0},
        {"1us", 1},
        {"1000000ns", 1},
        {"1500us", 2},
        {"2\xc2\xb5s", 1},
        {"3650d", INT64_C(315360000000)},
        {"1h0.001s", 3600001},
        {"0.333333333333333333333333h", 1200000},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t ms = -1;
        struct err e = {0};
        assert_int_equal(duration_parse(span_of(good[i].text), &ms, &e), 0);
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {
        "",
        " ",
        "s",
        "-1s",
        "+1s",
        "1x",
        "1 s",
        "1h30",
        "1hm",
        ".",
        ".s",
        "1..5s",
        "1e3s",
        "h1",
        "3651d",
        "99999999999999999999h",
        "10000000000000000000000",
        "S",
        "1S",
        "1sec",
        "1h 30m",
        "0x10",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t ms = -1;
        struct err e = {0};
        assert_int_equal(duration_parse(span_of(bad[i]), &ms, &e), -1);
        assert_int_equal(ms, -1);
        assert_int_equal(e.class, ERR_PERMANENT);
        assert_true(strlen(e.msg) > 10);
        assert_int_equal(duration_parse(span_of(bad[i]), &ms, NULL), -1);
    }
    int64_t ms;
    assert_int_equal(duration_parse((struct span){NULL, 0}, &ms, NULL), -1);
}

static void test_duration_format(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},       {250, "250ms"},    {90000, "1m30s"},    {5400000, "1h30m"},
        {3600000, "1h"}, {1500, "1s500ms"}, {-1500, "-1s500ms"}, {INT64_C(315360000000), "87600h"},
        {1, "1ms"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[32];
        assert_string_equal(duration_format(cases[i].ms, out), cases[i].text);
    }
    char out[32];
    assert_true(strlen(duration_format(INT64_MIN, out)) < 32);
    assert_true(strlen(duration_format(INT64_MAX, out)) < 32);
}

static void test_iso(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T22:05:00.123Z", INT64_C(1795298700123000)},
        {"2026-11-21T22:05:00", INT64_C(1795298700000000)},
        {"2026-11-21 23:05:00+01:00", INT64_C(1795298700000000)},
        {"2026-11-21t23:05:00+0100", INT64_C(1795298700000000)},
        {"2026-11-21T12:05:00-10", INT64_C(1795298700000000)},
        {"2026-11-21T22:05z", INT64_C(1795298700000000)},
        {"2026-11-21T22:05:00,5Z", INT64_C(1795298700500000)},
        {"2026-11-21T22:05:00.1234567899Z", INT64_C(1795298700123456)},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
        {"2000-02-29", INT64_C(951782400000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t us = 7;
        struct err e = {0};
        assert_int_equal(time_parse_iso(span_of(good[i].text), &us, &e), 0);
        assert_true(us == good[i].us);
    }
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11",
        "2026-13-01T00:00:00Z",
        "2026-00-01",
        "2026-11-31",
        "2026-02-29",
        "1900-02-29",
        "2026-11-00",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-11-21T",
        "2026-11-21T24:00:00Z",
        "2026-11-21T22:60:00Z",
        "2026-11-21T22:05:61Z",
        "2026-11-21T22:05:00.Z",
        "2026-11-21T22:05:00Zx",
        "2026-11-21T22:05:00+",
        "2026-11-21T22:05:00+1",
        "2026-11-21T22:05:00+24:00",
        "2026-11-21T22:05:00+01:60",
        "2026-11-21T22:05:00+01:",
        "2026-11-21X22:05:00Z",
        "20261121T220500Z",
        "-2026-11-21",
        "2026/11/21",
        "2026-11-21T2:05:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00",
        "2026-11-21T22:05:00 Z",
        "2026-11-21T22",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t us = 7;
        struct err e = {0};
        assert_int_equal(time_parse_iso(span_of(bad[i]), &us, &e), -1);
        assert_int_equal(us, 7);
        assert_int_equal(e.class, ERR_PERMANENT);
    }
    int64_t us;
    assert_int_equal(time_parse_iso((struct span){"2026-11-21T22:05:00\0Z", 21}, &us, NULL), -1);
}

static void test_iso_format(void **state)
{
    (void)state;
    char out[40];
    assert_string_equal(time_format_iso(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_format_iso(-1, out), "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_format_iso(INT64_C(1795298700123999), out),
                        "2026-11-21T22:05:00.123Z");
    assert_string_equal(time_format_iso(INT64_C(-62135596800000000), out),
                        "0001-01-01T00:00:00.000Z");
    time_format_iso(INT64_MAX, out);
    time_format_iso(INT64_MIN, out);
    assert_true(strlen(out) < 40);
}

/* Every day of four centuries and a bit, there and back. */
static void test_iso_round_trip(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 200000; day += 17) {
        char out[40];
        int64_t us = day * 86400 * INT64_C(1000000) + 12345000, back = 0;
        assert_int_equal(time_parse_iso(span_of(time_format_iso(us, out)), &back, NULL), 0);
        assert_true(back == us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),          cmocka_unit_test(test_duration),
        cmocka_unit_test(test_duration_format), cmocka_unit_test(test_iso),
        cmocka_unit_test(test_iso_format),      cmocka_unit_test(test_iso_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
