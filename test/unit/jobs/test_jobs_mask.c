#include "jobs/jobs.h"
#include "unit/base/helper.h"

static void test_values_of_secret_keys(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"{}", "{}"},
        {"", ""},
        {"{\"a\": 1}", "{\"a\": 1}"},
        {"{\"token\": \"x\"}", "{\"token\": \"***\"}"},
        {"{\"MyKeys\": [1, {\"a\": \"]}\"}], \"b\": 2}", "{\"MyKeys\": \"***\", \"b\": 2}"},
        {"{\"secret\": null, \"password\": \"\\\\\\\"\", \"c\": 3}",
         "{\"secret\": \"***\", \"password\": \"***\", \"c\": 3}"},
        {"[\"token\", {\"x\": {\"authorization\": 5}}, \"key\"]",
         "[\"token\", {\"x\": {\"authorization\": \"***\"}}, \"key\"]"},
        {"{\"a\\\"token\": 1, \"b\": \"\\\"key\\\": \"}",
         "{\"a\\\"token\": \"***\", \"b\": \"\\\"key\\\": \"}"},
        {"\"secret\"", "\"secret\""},
        {"{\"Token\": -1.5e3}", "{\"Token\": \"***\"}"},
        /* What no database gives ends all the same. */
        {"{\"token\": \"x", "{\"token\": \"***\""},
        {"{\"token", "{\"token"},
        {"{\"key\":", "{\"key\": \"***\""},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct buf out = {0};
        jobs_mask(span_of(row[i][0]), &out);
        assert_string_equal(out.n ? out.p : "", row[i][1]);
        buf_done(&out);
    }
}

static void test_what_a_terminal_obeys_is_escaped(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"{\"a\x7f\": \"\xc2\x9b\"}", "{\"a\\u007f\": \"\\u009b\"}"},
        {"\"\xc2\xa0\xc3\xa9\"", "\"\xc2\xa0\xc3\xa9\""},
        {"\"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c\"", "\"\\u202e\\u2066\\u200f\\u061c\""},
        {"\"\xe2\x82\xac\xd8\x9d\xf0\x9f\x98\x80\"", "\"\xe2\x82\xac\xd8\x9d\xf0\x9f\x98\x80\""},
        {"\"\xe2", "\"\xe2"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct buf out = {0};
        jobs_mask(span_of(row[i][0]), &out);
        assert_string_equal(out.p, row[i][1]);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_secret_keys),
        cmocka_unit_test(test_what_a_terminal_obeys_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
