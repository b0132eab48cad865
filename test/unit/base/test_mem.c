#include "unit/base/helper.h"

static void test_zeroed(void **state)
{
    (void)state;
    char *p = mem_alloc(64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(p[i], 0);
    }
    p = mem_realloc(p, 1000);
    p[999] = 'x';
    mem_free(p);
    mem_free(NULL);
}

static void test_zero_size_is_a_pointer(void **state)
{
    (void)state;
    void *a = mem_alloc(0), *b = mem_try_alloc(0);
    assert_non_null(a);
    assert_non_null(b);
    a = mem_realloc(a, 0);
    assert_non_null(a);
    mem_free(a);
    mem_free(b);
}

static void test_strdup(void **state)
{
    (void)state;
    char *s = mem_strdup("Tour du Mont Blanc");
    assert_string_equal(s, "Tour du Mont Blanc");
    mem_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_zero_size_is_a_pointer),
        cmocka_unit_test(test_strdup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
