#include "cli/internal.h"
#include "unit/base/helper.h"

/* Rows end with NULL. Returns the text; the caller frees it with free. */
static char *print(const char *const *head, size_t ncols, const char *const *cell)
{
    struct arena *a = arena_new(0);
    struct cli_table t;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    cli_table_init(&t, a, head, ncols);
    while (*cell) {
        const char **row = cli_table_row(&t);
        for (size_t c = 0; c < ncols; c++) {
            row[c] = *cell++;
        }
    }
    cli_table_print(&t, out);
    fclose(out);
    arena_free(a);
    return text;
}

static void test_columns(void **state)
{
    (void)state;
    static const char *const head[] = {"trail", ">km", "note"};
    static const char *const cell[] = {"tmb", "167.8", "a ring", "swcp", "9", "", NULL};
    char *text = print(head, 3, cell);
    assert_string_equal(text, "trail     km  note\n"
                              "tmb    167.8  a ring\n"
                              "swcp       9  \n");
    free(text);
}

static void test_widths_are_characters(void **state)
{
    (void)state;
    static const char *const head[] = {"trail", ">share"};
    static const char *const cell[] = {
        "H\xc3\xb6henweg", "1 %", "\xd0\xa2\xd1\x80\xd0\xbe\xd0\xbf\xd0\xb0", "22 %", "plain-ascii",
        "\xe2\x80\x93",    NULL};
    char *text = print(head, 2, cell);
    assert_string_equal(text, "trail        share\n"
                              "H\xc3\xb6henweg       1 %\n"
                              "\xd0\xa2\xd1\x80\xd0\xbe\xd0\xbf\xd0\xb0         22 %\n"
                              "plain-ascii      \xe2\x80\x93\n");
    free(text);
}

static void test_head_only(void **state)
{
    (void)state;
    static const char *const head[] = {"trail", ">km"};
    static const char *const cell[] = {NULL};
    char *text = print(head, 2, cell);
    assert_string_equal(text, "trail  km\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_widths_are_characters),
        cmocka_unit_test(test_head_only),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
