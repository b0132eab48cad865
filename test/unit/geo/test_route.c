#include "unit/geo/walk_helper.h"

static void test_lattice(void **state)
{
    (void)state;
    struct pen p = pen_at(alps, 0, 0, 0, 0);
    pen_to(&p, 1234.5, 77);
    pen_to(&p, 1240, 80);
    pen_to(&p, 9000, -3000); /* over 2 km */
    struct geo_track line = p.t;
    struct err err;
    struct geo_route *r = geo_route_new(&line, 40, &err);
    assert_non_null(r);
    const struct geo_pt *pt;
    const double *m;
    const size_t n = geo_route_lattice(r, &pt, &m);
    double sum = 0;
    size_t corner = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            const double d = geo_distance_m(pt[i - 1], pt[i]);
            sum += d;
            assert_true(d > 0 && d <= GEO_LATTICE_M + 0.01);
            assert_near(m[i] - m[i - 1], d, 2e-3);
        }
        corner += corner < line.n && memcmp(&pt[i], &line.pt[corner], sizeof(*pt)) == 0;
    }
    assert_int_equal(corner, line.n); /* the corners are there, bit for bit */
    assert_near(m[n - 1], sum, 0.01);
    assert_near(geo_route_length_m(r), geo_track_length_m(&line), 0.01);
    assert_false(geo_route_closed(r));
    assert_true(geo_route_bytes(r) > n * 24);
    geo_route_free(r);
    geo_track_done(&line);
}

static void test_lattice_is_deterministic(void **state)
{
    (void)state;
    struct pen a = pen_at((struct geo_pt){179.99, 88.5}, 0, 0, 35, 10), b = a;
    b.t = (struct geo_track){0};
    b = pen_at((struct geo_pt){179.99, 88.5}, 0, 0, 35, 10);
    pen_to(&a, 9000, 4000);
    pen_to(&b, 9000, 4000);
    struct geo_route *r = route_of(&a, 40), *s = route_of(&b, 40);
    const struct geo_pt *p, *q;
    const double *m, *l;
    const size_t n = geo_route_lattice(r, &p, &m);
    assert_int_equal(geo_route_lattice(s, &q, &l), n);
    assert_memory_equal(p, q, n * sizeof(*p));
    assert_memory_equal(m, l, n * sizeof(*m));
    geo_route_free(r);
    geo_route_free(s);
}

static void test_cut_and_at(void **state)
{
    (void)state;
    struct pen p = pen_at(alps, 0, 0, 0, 0);
    pen_to(&p, 0, 1000);
    struct geo_route *r = route_of(&p, 40);
    size_t first, last;
    geo_route_cut(r, (struct geo_interval){103, 507}, &first, &last);
    const struct geo_pt *pt;
    const double *m;
    const size_t n = geo_route_lattice(r, &pt, &m);
    assert_near(m[first], 103, 5.01);
    assert_near(m[last], 507, 5.01);
    geo_route_cut(r, (struct geo_interval){-5, 2000}, &first, &last);
    assert_int_equal(first, 0);
    assert_int_equal(last, n - 1);
    assert_near(geo_distance_m(geo_route_at(r, 250), place(alps, 0, 250)), 0, 0.1);
    assert_near(geo_distance_m(geo_route_at(r, -1), pt[0]), 0, 0);
    assert_near(geo_distance_m(geo_route_at(r, 1e9), pt[n - 1]), 0, 0);
    assert_near(geo_distance_m(geo_route_at(r, NAN), pt[0]), 0, 0);
    geo_route_free(r);
}

static void test_closed(void **state)
{
    (void)state;
    struct pen p = pen_at(alps, 30, 0, 0, 0);
    pen_arc(&p, -1000, 0, 1000, 0.03, 2 * M_PI);
    struct geo_route *r = route_of(&p, 40);
    assert_true(geo_route_closed(r));
    geo_route_free(r);
    p = pen_at(alps, 0, 0, 0, 0); /* short, but no ring */
    pen_to(&p, 25, 0);
    r = route_of(&p, 40);
    assert_false(geo_route_closed(r));
    geo_route_free(r);
}

static void test_chunks(void **state)
{
    (void)state;
    struct pen p = pen_at(alps, 0, 0, 25, 6);
    pen_to(&p, 7000, 0);
    pen_to(&p, 7000, 7000);
    struct geo_route *r = route_of(&p, 40);
    struct geo_track c;
    struct err err;
    assert_int_equal(geo_route_chunks(r, 500, &c, &err), 0);
    double sum = 0;
    for (size_t s = 0; s < c.nseg; s++) {
        const size_t end = s + 1 < c.nseg ? c.seg[s + 1] : c.n;
        double length = 0;
        assert_true(end - c.seg[s] >= 2);
        for (size_t i = c.seg[s] + 1; i < end; i++)
            length += geo_distance_m(c.pt[i - 1], c.pt[i]);
        assert_true(length <= 500.01);
        sum += length;
        if (s > 0) /* each starts where the last one ended */
            assert_memory_equal(&c.pt[c.seg[s]], &c.pt[c.seg[s] - 1], sizeof(*c.pt));
    }
    assert_near(sum, geo_route_length_m(r), geo_route_length_m(r) * 0.01);
    geo_track_done(&c);
    geo_route_free(r);
}

static void refuse(struct geo_track *line, double tolerance_m, const char *says)
{
    struct err err;
    assert_null(geo_route_new(line, tolerance_m, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    geo_track_done(line);
}

static void test_refusals(void **state)
{
    (void)state;
    struct geo_track none = {0};
    refuse(&none, 40, "two different points");
    struct pen p = pen_at(alps, 0, 0, 0, 0);
    pen_to(&p, 0, 0);
    refuse(&p.t, 40, "two different points");
    p = pen_at(alps, 0, 0, 0, 0);
    pen_lift_to(&p, 100, 0);
    refuse(&p.t, 40, "segments");
    const double far[] = {0, 0, 30, 0};
    struct geo_track t = track_of(far, 2, (const size_t[]){0}, 1);
    refuse(&t, 40, "points are missing");
    p = pen_at(alps, 0, 0, 0, 0);
    pen_to(&p, 100, 0);
    refuse(&p.t, 4, "tolerance");
    p = pen_at(alps, 0, 0, 0, 0);
    pen_to(&p, 100, 0);
    refuse(&p.t, NAN, "tolerance");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lattice),    cmocka_unit_test(test_lattice_is_deterministic),
        cmocka_unit_test(test_cut_and_at), cmocka_unit_test(test_closed),
        cmocka_unit_test(test_chunks),     cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
