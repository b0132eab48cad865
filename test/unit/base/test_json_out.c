#include <jansson.h>
#include <locale.h>
#include <math.h>

#include "unit/base/helper.h"

static void test_nesting(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json_out j = {.buf = &b};
    jo_begin_object(&j, NULL);
    jo_str(&j, "name", "TMB");
    jo_begin_array(&j, "parts");
    jo_i64(&j, NULL, 1);
    jo_begin_object(&j, NULL);
    jo_end_object(&j);
    jo_begin_array(&j, NULL);
    jo_end_array(&j);
    jo_null(&j, NULL);
    jo_end_array(&j);
    jo_bool(&j, "done", false);
    jo_bool(&j, "open", true);
    jo_str(&j, "note", NULL);
    jo_i64(&j, "min", INT64_MIN);
    jo_end_object(&j);
    assert_string_equal(
        b.p,
        "{\"name\":\"TMB\",\"parts\":[1,{},[],null],\"done\":false,\"open\":true,\"note\":null,"
        "\"min\":-9223372036854775808}");
    buf_done(&b);
}

static void check_text(struct span text, const char *expected)
{
    struct buf b = {0};
    struct json_out j = {.buf = &b};
    jo_span(&j, NULL, text);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_escapes(void **state)
{
    (void)state;
    check_text(SPAN("a\"b\\c\n\t\r\b\f"), "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\"");
    check_text((struct span){"\0\x1f", 2}, "\"\\u0000\\u001f\"");
    check_text(SPAN("\x7f\xc2\x9b"), "\"\\u007f\\u009b\"");
    check_text(SPAN("Gr\xc3\xb6"
                    "den \xf0\x9f\x8f\x94"),
               "\"Gr\xc3\xb6"
               "den \xf0\x9f\x8f\x94\"");
    check_text(SPAN("\xff"
                    "a\xc3"),
               "\"\\ufffda\\ufffd\"");
    check_text((struct span){NULL, 0}, "\"\"");
    struct buf b = {0};
    struct json_out j = {.buf = &b};
    jo_begin_object(&j, NULL);
    jo_i64(&j, "a\"b", 1);
    jo_end_object(&j);
    assert_string_equal(b.p, "{\"a\\\"b\":1}");
    buf_done(&b);
}

static void check_number(double v, int decimals, const char *expected)
{
    struct buf b = {0};
    struct json_out j = {.buf = &b};
    jo_f64(&j, NULL, v, decimals);
    assert_string_equal(b.p, expected);
    buf_done(&b);
}

static void test_numbers(void **state)
{
    (void)state;
    /* Harmless where the locale is not installed; where it is, the decimal comma must not come
     * through. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    check_number(1.5, 6, "1.5");
    check_number(45.832622, 6, "45.832622");
    check_number(100, 2, "100");
    check_number(100, 0, "100");
    check_number(1200, 1, "1200");
    check_number(-0.0001, 2, "0");
    check_number(-1.5, 0, "-2");
    check_number(NAN, 2, "null");
    check_number(INFINITY, 2, "null");
    check_number(-INFINITY, 2, "null");
    struct buf b = {0};
    struct json_out j = {.buf = &b};
    jo_f64(&j, NULL, -1.7976931348623157e308, 17);
    assert_int_equal(b.n, 310);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
