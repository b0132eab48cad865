#include "unit/geo/walk_helper.h"

#include <pthread.h>

enum { ROUTES = 60 };

/* Routes of 3 km, 4 km apart, from the Alps eastwards; the last over the antimeridian, the one
 * before near the pole. */
static struct geo_route *route_number(size_t i)
{
    const struct geo_pt dateline = {179.99, -17}, pole = {20, 89.7};
    const bool special = i >= ROUTES - 2;
    struct geo_pt origin = i == ROUTES - 1 ? dateline : i == ROUTES - 2 ? pole : alps;
    struct pen p = pen_at(origin, special ? 0 : 4000 * (double)i, 0, 50, 5);
    pen_to(&p, p.x + 3000, 0);
    return route_of(&p, 40);
}

struct fixture {
    struct geo_route *route[ROUTES];
    struct geo_index *index;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    struct err err;
    for (size_t i = 0; i < ROUTES; i++)
        f->route[i] = route_number(i);
    f->index = geo_index_new((const struct geo_route *const *)f->route, ROUTES, &err);
    *state = f;
    return f->index == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    geo_index_free(f->index);
    for (size_t i = 0; i < ROUTES; i++)
        geo_route_free(f->route[i]);
    mem_free(f);
    return 0;
}

static size_t query(const struct fixture *f, struct pen *p, size_t *out)
{
    struct err err;
    struct geo_activity *a = geo_activity_new(&p->t, &err);
    assert_non_null(a);
    const size_t n = geo_index_query(f->index, a, out);
    geo_activity_free(a);
    geo_track_done(&p->t);
    return n;
}

static void test_finds_what_is_near_only(void **state)
{
    size_t out[ROUTES];
    struct pen p = pen_at(alps, 4000 * 7 + 500, 30, 10, 0);
    pen_to(&p, 4000 * 8 + 500, 30);
    assert_int_equal(query(*state, &p, out), 2);
    assert_int_equal(out[0], 7);
    assert_int_equal(out[1], 8);
    p = pen_at(alps, 4000 * 7, 2000, 10, 0);
    pen_to(&p, 4000 * 8, 2000);
    assert_int_equal(query(*state, &p, out), 0);
}

/* At the edge of the outer distance, on every side. */
static void test_never_misses(void **state)
{
    const struct fixture *f = *state;
    size_t out[ROUTES];
    for (int side = 0; side < 8; side++) {
        const double x = 30 * 4000 + (side % 4 == 0 ? -78 : side % 4 == 1 ? 3078 : 1500);
        const double y = side % 4 == 2 ? 75 : side % 4 == 3 ? -75 : 0;
        struct pen p = pen_at(alps, x, y, 0, 0);
        pen_to(&p, x + (side < 4 ? 1 : 0.001), y);
        const size_t n = query(f, &p, out);
        assert_int_equal(n, 1);
        assert_int_equal(out[0], 30);
    }
}

static void test_dateline_and_pole(void **state)
{
    size_t out[ROUTES];
    struct pen p = pen_at((struct geo_pt){-179.995, -17}, 0, 50, 0, 0);
    pen_to(&p, 300, 50);
    size_t n = query(*state, &p, out);
    assert_true(n >= 1 && out[n - 1] == ROUTES - 1);
    p = pen_at((struct geo_pt){20, 89.7}, 1000, 60, 0, 0);
    pen_to(&p, 1200, 60);
    n = query(*state, &p, out);
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found = found || out[i] == ROUTES - 2;
    assert_true(found);
}

static void test_empty(void **state)
{
    size_t out[ROUTES];
    struct pen p = pen_at(alps, 0, 0, 0, 0);
    assert_int_equal(query(*state, &p, out), 0); /* one point */
    struct err err;
    struct geo_index *none = geo_index_new(NULL, 0, &err);
    assert_non_null(none);
    geo_index_free(none);
    assert_null(geo_index_free(NULL));
}

/* Several threads with activities of their own on one index and its routes. */
struct job {
    const struct fixture *f;
    unsigned number;
    double covered_m;
};

static void *work(void *arg)
{
    struct job *j = arg;
    struct err err;
    for (size_t i = 0; i < 12; i++) {
        const double x = 4000 * (double)((i * 5 + j->number) % 50);
        struct pen p = {alps, x, 3, 10, 4, 1 + j->number, {0}};
        size_t out[ROUTES];
        if (geo_track_add(&p.t, place(alps, x, 3), NAN, true, &err) < 0)
            return NULL;
        for (double at = 10; at <= 3000; at += 10)
            if (geo_track_add(&p.t, place(alps, x + at, 3), NAN, false, &err) < 0)
                return NULL;
        struct geo_activity *a = geo_activity_new(&p.t, &err);
        const size_t n = geo_index_query(j->f->index, a, out);
        for (size_t k = 0; k < n; k++) {
            struct geo_match m;
            if (geo_match(j->f->route[out[k]], a, &m, &err) < 0)
                return NULL;
            j->covered_m += covered_m(&m);
            geo_match_done(&m);
        }
        geo_activity_free(a);
        geo_track_done(&p.t);
    }
    return NULL;
}

static void test_threads_share_it(void **state)
{
    pthread_t thread[4];
    struct job job[4];
    for (unsigned i = 0; i < 4; i++) {
        job[i] = (struct job){.f = *state, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &job[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_near(job[i].covered_m, 12 * 3000, 12 * 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_is_near_only), cmocka_unit_test(test_never_misses),
        cmocka_unit_test(test_dateline_and_pole),       cmocka_unit_test(test_empty),
        cmocka_unit_test(test_threads_share_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
