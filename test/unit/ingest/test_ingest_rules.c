/* The address that Strava pushes to: what is one, and what its path is. */
#include "ingest/ingest.h"
#include "unit/base/helper.h"

static void test_paths(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"https://trails.example.org/webhook/0a1B-._~", "/webhook/0a1B-._~"},
        {"http://127.0.0.1:8080/hook", "/hook"},
        {"https://[::1]:8443/hook/", "/hook/"},
        {"https://trails.example.org", "/"},
        {"https://trails.example.org/", "/"},
        {"https://trails.example.org?key=1", "/"},
        {"https://trails.example.org/a/b?key=1&other=%20", "/a/b"},
        {"https://trails.example.org/a.b", "/a.b"},
        {"https://trails.example.org//a", "//a"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        char path[INGEST_PATH_MAX];
        struct err err;
        if (ingest_callback_path(row[i][0], path, &err) != 0)
            fail_msg("%s: %s", row[i][0], err.msg);
        assert_string_equal(path, row[i][1]);
    }
}

static void test_no_addresses(void **state)
{
    (void)state;
    static char too_long[300] = "https://trails.example.org/";
    for (size_t i = strlen(too_long); i < 256; i++)
        too_long[i] = 'a';
    static const char *const row[] = {
        "",
        "trails.example.org/hook",
        "ftp://trails.example.org/hook",
        "https:///hook",
        "https://?a",
        "https://me@trails.example.org/hook",
        "https://trails.example.org/hook#here",
        "https://trails.example.org/a b",
        "https://trails.example.org/a\n",
        "https://trails.example.org/a\x7f",
        "https://trails.example.org/{id:u}",
        "https://trails.example.org/%61",
        "https://trails.example.org/h\xc3\xb6k",
        "https://trails.example.org/a/../b",
        "https://trails.example.org/.hidden",
        "https://trails.example.org/a;b",
        too_long,
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        char path[INGEST_PATH_MAX];
        struct err err = {0};
        if (ingest_callback_path(row[i], path, &err) != -1)
            fail_msg("%s is taken for an address", row[i]);
        assert_int_equal(err.domain, ERR_CONF);
        assert_null(strchr(err.msg, '\n'));
    }
    too_long[255] = '\0';
    char path[INGEST_PATH_MAX];
    struct err err;
    assert_int_equal(ingest_callback_path(too_long, path, &err), 0);
    assert_int_equal(strlen(path), 255 - strlen("https://trails.example.org"));
}

static void test_words_differ(void **state)
{
    (void)state;
    char a[INGEST_WORD_MAX], b[INGEST_WORD_MAX];
    ingest_make_word(a);
    ingest_make_word(b);
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_no_addresses),
        cmocka_unit_test(test_words_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
