#include "geo/internal.h"
#include "unit/geo/track_helper.h"

static void test_empty(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_track_check(&t, &err), 0);
    assert_true(geo_track_length_m(&t) == 0);
    geo_track_done(&t);
    geo_track_done(&t);
}

static void test_add(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_track_add(&t, (struct geo_pt){1, 2}, NAN, false, &err), 0);
    assert_int_equal(t.nseg, 1);
    assert_null(t.t);
    assert_int_equal(geo_track_add(&t, (struct geo_pt){1, 3}, 100, false, &err), 0);
    assert_non_null(t.t);
    assert_true(isnan(t.t[0]));
    assert_true(t.t[1] == 100);
    assert_int_equal(geo_track_add(&t, (struct geo_pt){9, 9}, INFINITY, true, &err), 0);
    assert_true(isnan(t.t[2]));
    assert_int_equal(t.nseg, 2);
    assert_int_equal(t.seg[1], 2);
    assert_int_equal(geo_track_check(&t, &err), 0);
    /* The jump between the segments does not count. */
    assert_near(geo_track_length_m(&t), 110576, 20);
    assert_true(geo_track_point(&t, 2).lon == 9);
    geo_track_done(&t);
}

static void test_positions(void **state)
{
    (void)state;
    static const struct {
        struct geo_pt p;
        double lon; /* NAN: refused */
    } cases[] = {{{180, 0}, 180},      {{-180, 90}, -180},     {{180.5, 0}, -179.5},
                 {{-190, -90}, 170},   {{540, 0}, 180},        {{-540, 0}, -180},
                 {{540.1, 0}, NAN},    {{0, 90.0000001}, NAN}, {{0, -91}, NAN},
                 {{NAN, 0}, NAN},      {{0, NAN}, NAN},        {{INFINITY, 0}, NAN},
                 {{0, -INFINITY}, NAN}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_track t = {0};
        struct err err;
        int rc = geo_track_add(&t, cases[i].p, NAN, false, &err);
        assert_int_equal(rc, isnan(cases[i].lon) ? -1 : 0);
        if (rc == 0)
            assert_true(t.pt[0].lon == cases[i].lon);
        else
            assert_int_equal(err.class, ERR_PERMANENT);
        assert_int_equal(t.n, rc == 0);
        geo_track_done(&t);
    }
}

/* A track made by hand has no spare room; adding to it must not write past its end. */
static void test_add_to_a_made_one(void **state)
{
    (void)state;
    struct geo_track t = {.pt = mem_alloc(3 * sizeof(*t.pt)),
                          .t = mem_alloc(3 * sizeof(*t.t)),
                          .seg = mem_alloc(sizeof(*t.seg)),
                          .n = 3,
                          .nseg = 1};
    struct err err;
    for (int i = 0; i < 100; i++)
        assert_int_equal(geo_track_add(&t, (struct geo_pt){i, 1}, i, i % 2 == 0, &err), 0);
    assert_int_equal(t.n, 103);
    assert_int_equal(t.nseg, 51);
    assert_int_equal(geo_track_check(&t, &err), 0);
    geo_track_done(&t);
}

static void test_caps(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    for (size_t i = 0; i < GEO_MAX_SEGMENTS; i++)
        assert_int_equal(geo_track_add(&t, (struct geo_pt){0, 0}, NAN, true, &err), 0);
    assert_int_equal(geo_track_add(&t, (struct geo_pt){0, 0}, NAN, true, &err), -1);
    assert_says(&err, "100000 segments");
    for (size_t i = t.n; i < GEO_MAX_POINTS; i++)
        assert_int_equal(geo_track_add(&t, (struct geo_pt){0, 0}, NAN, false, &err), 0);
    assert_int_equal(geo_track_add(&t, (struct geo_pt){0, 0}, NAN, false, &err), -1);
    assert_says(&err, "2000000 points");
    assert_int_equal(t.n, GEO_MAX_POINTS);
    assert_int_equal(geo_track_check(&t, &err), 0);
    geo_track_done(&t);
}

static void test_check(void **state)
{
    (void)state;
    struct geo_pt pt[4] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}};
    double times[4] = {0, NAN, 1, 2};
    uint32_t seg[3] = {0, 2, 3};
    struct geo_track t = {.pt = pt, .t = times, .seg = seg, .n = 4, .nseg = 3};
    struct err err;
    assert_int_equal(geo_track_check(&t, &err), 0);
    seg[2] = 2;
    assert_int_equal(geo_track_check(&t, &err), -1);
    seg[2] = 4;
    assert_int_equal(geo_track_check(&t, &err), -1);
    seg[2] = 3;
    seg[0] = 1;
    assert_int_equal(geo_track_check(&t, &err), -1);
    seg[0] = 0;
    pt[3].lat = NAN;
    assert_int_equal(geo_track_check(&t, &err), -1);
    assert_says(&err, "point 3");
    pt[3].lat = 90;
    times[1] = INFINITY;
    assert_int_equal(geo_track_check(&t, &err), -1);
    times[1] = 0;
    t.nseg = 0;
    assert_int_equal(geo_track_check(&t, &err), -1);
    t.nseg = 1;
    t.n = 0;
    assert_int_equal(geo_track_check(&t, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
}

/* Which times survive; -1 stands for unknown. */
static void assert_ordered(const double *in, const double *want, size_t n)
{
    struct geo_track t = {0};
    struct err err;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            geo_track_add(&t, (struct geo_pt){0, 0}, in[i] < 0 ? (double)NAN : in[i], false, &err),
            0);
    assert_int_equal(geo__track_order_times(&t, &err), 0);
    for (size_t i = 0; i < n; i++)
        if (want[i] < 0 ? !isnan(t.t[i]) : t.t[i] != want[i])
            fail_msg("time %zu is %g, not %g", i, t.t[i], want[i]);
    geo_track_done(&t);
}

static void test_times_in_order(void **state)
{
    (void)state;
    const double fine[] = {1, 2, 2, -1, 3};
    assert_ordered(fine, fine, COUNT_OF(fine));
    const double past[] = {10, 11, 5, 12, 13}, past_out[] = {10, 11, -1, 12, 13};
    assert_ordered(past, past_out, COUNT_OF(past));
    /* A first fix with a date in the future must not cost all the others theirs. */
    const double future[] = {99, 1, 2, 3, -1, 4}, future_out[] = {-1, 1, 2, 3, -1, 4};
    assert_ordered(future, future_out, COUNT_OF(future));
    const double two[] = {5, 4}, two_out[] = {-1, 4};
    assert_ordered(two, two_out, COUNT_OF(two));
}

/* Segments are judged apart: a file may have them in any order. */
static void test_times_by_segment(void **state)
{
    (void)state;
    static const double in[] = {50, 51, 10, 11};
    struct geo_track t = {0};
    struct err err;
    for (size_t i = 0; i < COUNT_OF(in); i++)
        assert_int_equal(geo_track_add(&t, (struct geo_pt){0, 0}, in[i], i == 2, &err), 0);
    assert_int_equal(geo__track_order_times(&t, &err), 0);
    for (size_t i = 0; i < COUNT_OF(in); i++)
        assert_true(t.t[i] == in[i]);
    geo_track_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),          cmocka_unit_test(test_add),
        cmocka_unit_test(test_positions),      cmocka_unit_test(test_add_to_a_made_one),
        cmocka_unit_test(test_caps),           cmocka_unit_test(test_check),
        cmocka_unit_test(test_times_in_order), cmocka_unit_test(test_times_by_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
