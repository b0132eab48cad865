#include "unit/geo/track_helper.h"

static void test_union(void **state)
{
    (void)state;
    struct geo_interval v[] = {{50, 60}, {10, 20}, {15, 30}, {30, 31}, {7, 7},
                               {9, 8},   {NAN, 5}, {0, NAN}, {10, 12}};
    assert_int_equal(geo_intervals_union(v, COUNT_OF(v)), 2);
    assert_true(v[0].a == 10 && v[0].b == 31 && v[1].a == 50 && v[1].b == 60);
    assert_near(geo_intervals_length(v, 2), 31, 0);
    assert_int_equal(geo_intervals_union(NULL, 0), 0);
}

static void test_union_is_idempotent_and_blind_to_order(void **state)
{
    (void)state;
    struct geo_interval v[200], w[200];
    uint32_t seed = 7;
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i].a = seed >> 16;
        seed = seed * 1664525u + 1013904223u;
        v[i].b = v[i].a + (seed >> 24);
        w[COUNT_OF(v) - 1 - i] = v[i];
    }
    const size_t n = geo_intervals_union(v, COUNT_OF(v)), k = geo_intervals_union(w, COUNT_OF(w));
    assert_int_equal(n, k);
    assert_memory_equal(v, w, n * sizeof(*v));
    assert_int_equal(geo_intervals_union(v, n), n);
    assert_memory_equal(v, w, n * sizeof(*v));
}

static void test_gaps(void **state)
{
    (void)state;
    const struct geo_interval v[] = {{0, 10}, {20, 30}, {90, 100}};
    struct geo_interval out[4];
    assert_int_equal(geo_intervals_gaps(v, 3, 100, out), 2);
    assert_true(out[0].a == 10 && out[0].b == 20 && out[1].a == 30 && out[1].b == 90);
    assert_int_equal(geo_intervals_gaps(v + 1, 1, 100, out), 2);
    assert_true(out[0].a == 0 && out[0].b == 20 && out[1].a == 30 && out[1].b == 100);
    assert_int_equal(geo_intervals_gaps(NULL, 0, 100, out), 1);
    assert_true(out[0].a == 0 && out[0].b == 100);
    const struct geo_interval all = {0, 100};
    assert_int_equal(geo_intervals_gaps(&all, 1, 100, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_union_is_idempotent_and_blind_to_order),
        cmocka_unit_test(test_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
