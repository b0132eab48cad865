#include "unit/trails/helper.h"

/* Without a line an entry is as small as can be, and each as large as the others. */
#define ENTRY sizeof(struct trails_route)

static struct trails_route *put(struct trails_cache *c, const char *id, int64_t revision)
{
    return trails__cache_put(c, id, revision, NULL, "no line");
}

static void put_unref(struct trails_cache *c, const char *id)
{
    trails__route_unref(c, put(c, id, 1));
}

static bool has(struct trails_cache *c, const char *id, int64_t revision)
{
    struct trails_route *r = trails__cache_get(c, span_of(id), revision);
    if (r) {
        trails__route_unref(c, r);
    }
    return r != NULL;
}

static void test_by_id_and_revision(void **state)
{
    (void)state;
    struct trails_cache *c = trails__cache_new(1 << 20);
    struct trails_route *r = put(c, "tmb", 7);
    assert_string_equal(r->id, "tmb");
    assert_string_equal(r->note, "no line");
    assert_int_equal(r->refs, 1);
    assert_ptr_equal(trails__cache_get(c, SPAN("tmb"), 7), r);
    assert_int_equal(r->refs, 2);
    assert_false(has(c, "tmb", 8));
    assert_false(has(c, "tm", 7));
    assert_false(has(c, "tmbx", 7));
    trails__route_unref(c, r);
    trails__route_unref(c, r);
    assert_true(has(c, "tmb", 7)); /* kept for the next batch */
    assert_null(trails__cache_free(c));
    assert_null(trails__cache_free(NULL));
}

static void test_the_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct trails_cache *c = trails__cache_new(3 * ENTRY);
    put_unref(c, "a");
    put_unref(c, "b");
    put_unref(c, "c");
    assert_true(has(c, "a", 1)); /* used: b is the oldest now */
    put_unref(c, "d");
    assert_false(has(c, "b", 1));
    assert_true(has(c, "a", 1) && has(c, "c", 1) && has(c, "d", 1));
    put_unref(c, "e");
    assert_false(has(c, "a", 1)); /* the order of the line above */
    trails__cache_free(c);
}

static void test_what_is_in_use_outlives_the_cache(void **state)
{
    (void)state;
    struct trails_cache *c = trails__cache_new(2 * ENTRY);
    struct trails_route *a = put(c, "a", 1);
    put_unref(c, "b");
    put_unref(c, "c");
    assert_false(has(c, "a", 1));
    assert_false(a->cached);
    assert_string_equal(a->id, "a"); /* and can still be read */
    put_unref(c, "a");
    assert_true(has(c, "a", 1));
    trails__route_unref(c, a);
    assert_true(has(c, "a", 1)); /* another one */
    trails__cache_free(c);
}

static void test_larger_than_the_cache(void **state)
{
    (void)state;
    struct trails_cache *c = trails__cache_new(ENTRY - 1);
    struct trails_route *r = put(c, "a", 1);
    assert_string_equal(r->id, "a");
    assert_false(has(c, "a", 1));
    trails__route_unref(c, r);
    trails__cache_free(c);
}

static void test_a_newer_revision(void **state)
{
    (void)state;
    struct trails_cache *c = trails__cache_new(1 << 20);
    struct trails_route *old = put(c, "a", 1);
    struct trails_route *new = put(c, "a", 2);
    assert_false(has(c, "a", 1));
    assert_ptr_equal(trails__cache_get(c, SPAN("a"), 2), new);
    assert_int_equal(old->revision, 1);
    trails__route_unref(c, old);
    trails__route_unref(c, new);
    trails__route_unref(c, new);
    trails__cache_free(c);
}

static void test_lines_count_and_are_freed(void **state)
{
    (void)state;
    struct geo_route *line = route_of(7, 46, 0.001, 50);
    size_t bytes = geo_route_bytes(line);
    struct trails_cache *c = trails__cache_new(bytes + ENTRY);
    struct trails_route *r = trails__cache_put(c, "a", 1, line, NULL);
    assert_ptr_equal(r->geo, line);
    assert_null(r->note);
    assert_int_equal(r->bytes, bytes + ENTRY);
    trails__route_unref(c, r);
    assert_true(has(c, "a", 1));
    put_unref(c, "b");
    assert_false(has(c, "a", 1));
    trails__cache_free(c);
}

static void free_in_use(void *ctx)
{
    (void)ctx;
    struct trails_cache *c = trails__cache_new(1 << 20);
    (void)put(c, "a", 1);
    trails__cache_free(c);
}

static void test_nothing_may_be_in_use_at_the_end(void **state)
{
    (void)state;
    assert_true(dies(free_in_use, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_id_and_revision),
        cmocka_unit_test(test_the_least_recently_used_goes_first),
        cmocka_unit_test(test_what_is_in_use_outlives_the_cache),
        cmocka_unit_test(test_larger_than_the_cache),
        cmocka_unit_test(test_a_newer_revision),
        cmocka_unit_test(test_lines_count_and_are_freed),
        cmocka_unit_test(test_nothing_may_be_in_use_at_the_end),
    };
    return cmocka_run_group_tests_name("route cache", tests, NULL, NULL);
}
