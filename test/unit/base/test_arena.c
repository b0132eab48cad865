#include "unit/base/helper.h"

static void test_aligned_and_zeroed(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, n);
    }
    assert_null(arena_free(a));
    assert_null(arena_free(NULL));
}

static void test_limit(void **state)
{
    (void)state;
    struct arena *a = arena_new(100);
    assert_non_null(arena_try_alloc(a, 90)); /* takes 96 */
    assert_int_equal(arena_used(a), 96);
    assert_null(arena_try_alloc(a, 10));
    assert_null(arena_try_alloc(a, SIZE_MAX));
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    assert_non_null(arena_try_alloc(a, 90));
    arena_free(a);
}

static void pass_limit(void *ctx)
{
    arena_alloc(ctx, 200);
}

static void overflow_array(void *ctx)
{
    (void)arena_new_array((struct arena *)ctx, int64_t, SIZE_MAX / 4);
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct arena *a = arena_new(100), *b = arena_new(0);
    assert_true(dies(pass_limit, a));
    assert_false(dies(pass_limit, b));
    assert_true(dies(overflow_array, b));
    arena_free(a);
    arena_free(b);
}

static void test_reset_zeroes_again(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            unsigned char *p = arena_alloc(a, 1000);
            assert_int_equal(p[0] | p[999], 0);
            memset(p, 0xff, 1000);
        }
        arena_reset(a);
    }
    arena_free(a);
}

static void test_large_keeps_current_block(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    char *before = arena_alloc(a, 16);
    char *large = arena_alloc(a, 1 << 20);
    char *after = arena_alloc(a, 16);
    large[(1 << 20) - 1] = 'x';
    assert_true(after > before && after < before + 4096);
    arena_free(a);
}

static void test_text(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    assert_string_equal(arena_strdup(a, "Kungsleden"), "Kungsleden");
    assert_string_equal(arena_span_dup(a, (struct span){"abcdef", 3}), "abc");
    assert_string_equal(arena_span_dup(a, (struct span){NULL, 0}), "");
    assert_string_equal(arena_printf(a, "%s-%d", "gr", 20), "gr-20");
    int64_t *v = arena_new_array(a, int64_t, 10);
    v[9] = 1;
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned_and_zeroed),        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_programming_errors),        cmocka_unit_test(test_reset_zeroes_again),
        cmocka_unit_test(test_large_keeps_current_block), cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
