#include <jansson.h>

#include "unit/base/helper.h"

static void test_good(void **state)
{
    (void)state;
    struct err e;
    json_t *root = json_read(
        SPAN("{\"id\": 9007199254740993, \"name\": \"Gr\\u00f6den [[[[\", \"a\": [1, 2]}"), 1000, 2,
        &e);
    assert_non_null(root);
    assert_true(json_integer_value(json_object_get(root, "id")) == INT64_C(9007199254740993));
    assert_string_equal(json_string_value(json_object_get(root, "name")), "Gr\xc3\xb6"
                                                                          "den [[[[");
    json_decref(root);
}

static void refused(struct span text, const char *message)
{
    struct err e = {0};
    assert_null(json_read(text, 1000, 4, &e));
    assert_int_equal(e.domain, ERR_DATA);
    assert_int_equal(e.class, ERR_PERMANENT);
    if (message) {
        assert_string_equal(e.msg, message);
    }
    assert_null(json_read(text, 1000, 4, NULL));
}

static void test_bad(void **state)
{
    (void)state;
    refused(SPAN(""), NULL);
    refused((struct span){NULL, 0}, NULL);
    refused(SPAN("\"scalar\""), NULL);
    refused(SPAN("[1,]"), NULL);
    refused(SPAN("[1] x"), NULL);
    refused(SPAN("{\"a\": 1, \"a\": 2}"),
            "JSON line 1, column 12: duplicate object key near '\"a\"'");
    refused(SPAN("[\n  nul\n]"), "JSON line 2, column 5: invalid token near 'nul'");
    refused(SPAN("[\"\xff\"]"), NULL);
    refused(SPAN("[\"\\u0000\"]"), NULL);
    refused(SPAN("[\"\\ud800\"]"), NULL);
    refused(SPAN("[1e999]"), NULL);
    refused(SPAN("[99999999999999999999]"), NULL);
    refused((struct span){"[1]\0", 4}, NULL);
    refused(SPAN("[\"open"), NULL);
    refused(SPAN("[\"open\\"), NULL);
    refused(SPAN("]]]]"), NULL);
}

static void test_depth(void **state)
{
    (void)state;
    struct err e;
    json_t *root = json_read(SPAN("[[{\"]\":[]}]]"), 100, 4, &e);
    assert_non_null(root);
    json_decref(root);
    refused(SPAN("[[\n\"\xc3\xa4\\\"\", [[[]]]]]"),
            "JSON line 2, column 10: nested deeper than 4 levels");
    char deep[100000];
    memset(deep, '[', sizeof(deep));
    assert_null(json_read((struct span){deep, sizeof(deep)}, sizeof(deep), 64, &e));
}

static void test_size(void **state)
{
    (void)state;
    struct err e;
    json_t *root = json_read(SPAN("[1,2]"), 5, 1, &e);
    assert_non_null(root);
    json_decref(root);
    assert_null(json_read(SPAN("[1,2]"), 4, 1, &e));
    assert_string_equal(e.msg, "JSON of 5 bytes is larger than the 4 allowed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
