#include "unit/geo/track_helper.h"

static struct geo_track simplify_ok(const struct geo_track *in, double tolerance_m)
{
    struct geo_track out = {0};
    struct err err;
    if (geo_simplify(in, tolerance_m, &out, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(geo_track_check(&out, &err), 0);
    assert_int_equal(out.nseg, in->nseg);
    return out;
}

static double to_edge_m(struct geo_pt p, struct geo_pt a, struct geo_pt b)
{
    struct geo_xyz q = geo_xyz_of(p), u = geo_xyz_of(a), v = geo_xyz_of(b);
    struct geo_xyz d = {v.x - u.x, v.y - u.y, v.z - u.z}, e = {q.x - u.x, q.y - u.y, q.z - u.z};
    double len2 = d.x * d.x + d.y * d.y + d.z * d.z;
    double s = len2 > 0 ? (e.x * d.x + e.y * d.y + e.z * d.z) / len2 : 0;
    s = fmin(1, fmax(0, s));
    return sqrt((e.x - s * d.x) * (e.x - s * d.x) + (e.y - s * d.y) * (e.y - s * d.y) +
                (e.z - s * d.z) * (e.z - s * d.z));
}

/* Every point left out lies within the tolerance of the edge that stands for it. */
static void assert_within(const struct geo_track *in, const struct geo_track *out,
                          double tolerance_m)
{
    size_t k = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (k + 1 < out->n && in->pt[i].lon == out->pt[k + 1].lon &&
            in->pt[i].lat == out->pt[k + 1].lat)
            k++;
        else if (k + 1 < out->n)
            assert_true(to_edge_m(in->pt[i], out->pt[k], out->pt[k + 1]) <= tolerance_m + 1e-6);
    }
    assert_int_equal(k, out->n - 1);
}

static void test_corner(void **state)
{
    (void)state;
    const double lonlat[] = {0, 0, 0.01, 0.00001, 0.02, 0, 0.02, 0.01, 0.02001, 0.02, 0.02, 0.03};
    struct geo_track in = track_of(lonlat, 6, NULL, 0), out = simplify_ok(&in, 5);
    assert_int_equal(out.n, 3);
    assert_true(out.pt[1].lon == 0.02 && out.pt[1].lat == 0);
    geo_track_done(&out);
    out = simplify_ok(&in, 0.8);
    assert_int_equal(out.n, 5);
    geo_track_done(&out);
    geo_track_done(&in);
}

static void test_small(void **state)
{
    (void)state;
    struct geo_track empty = {0}, out = simplify_ok(&empty, 10);
    assert_int_equal(out.n, 0);
    const double lonlat[] = {1, 1, 2, 2, 2, 2, 3, 3};
    const size_t first[] = {0, 1, 3};
    struct geo_track in = track_of(lonlat, 4, first, 3);
    out = simplify_ok(&in, 10);
    assert_int_equal(out.n, 4);
    assert_int_equal(out.seg[1], 1);
    assert_int_equal(out.seg[2], 3);
    geo_track_done(&out);
    geo_track_done(&in);
}

/* The chord of a ring has no length; its far side must stay all the same. */
static void test_ring(void **state)
{
    (void)state;
    const double lonlat[] = {0, 0, 0.01, 0, 0.01, 0.01, 0, 0.01, 0, 0};
    struct geo_track in = track_of(lonlat, 5, NULL, 0), out = simplify_ok(&in, 10);
    assert_int_equal(out.n, 5);
    geo_track_done(&out);
    geo_track_done(&in);
}

static void test_times_stay_with_points(void **state)
{
    (void)state;
    struct geo_track in = {0};
    struct err err;
    for (size_t i = 0; i < 100; i++) {
        struct geo_pt p = {(double)i * 0.001, i % 10 == 0 ? 0.01 : 0};
        assert_int_equal(geo_track_add(&in, p, i % 20 == 0 ? (double)NAN : (double)i, false, &err),
                         0);
    }
    struct geo_track out = simplify_ok(&in, 20);
    assert_true(out.n < in.n && out.n > 20);
    for (size_t i = 0; i < out.n; i++) {
        long index = lround(out.pt[i].lon * 1000);
        assert_true(index % 20 == 0 ? isnan(out.t[i]) : out.t[i] == (double)index);
    }
    geo_track_done(&out);
    geo_track_done(&in);
}

/* In high latitudes and over the antimeridian a metre is a metre. */
static void test_metres_everywhere(void **state)
{
    (void)state;
    static const struct geo_pt centres[] = {{0, 0}, {180, -17}, {25, 78}, {-60, -89.5}};
    for (size_t c = 0; c < COUNT_OF(centres); c++) {
        struct geo_track in = {0};
        double lat_m = 1 / 111200.0, lon_m = lat_m / cos(centres[c].lat * M_PI / 180);
        for (size_t i = 0; i < 400; i++) {
            struct err err;
            struct geo_pt p = {centres[c].lon + ((double)i - 200) * 10 * lon_m,
                               centres[c].lat + 30 * sin((double)i * 0.05) * lat_m};
            assert_int_equal(geo_track_add(&in, p, NAN, false, &err), 0);
        }
        struct geo_track out = simplify_ok(&in, 3);
        assert_true(out.n < 60 && out.n > 10);
        assert_within(&in, &out, 3);
        geo_track_done(&out);
        geo_track_done(&in);
    }
}

/* More points than one block has, in one straight line: nothing but the ends of blocks is left. */
static void test_blocks(void **state)
{
    (void)state;
    enum { N = 50000 };
    struct geo_track in = {0};
    for (size_t i = 0; i < N; i++) {
        struct err err;
        assert_int_equal(geo_track_add(&in, (struct geo_pt){7, (double)i * 1e-5}, NAN, false, &err),
                         0);
    }
    struct geo_track out = simplify_ok(&in, 1);
    assert_true(out.n <= 2 + N / 1000);
    assert_true(out.pt[0].lat == 0 && out.pt[out.n - 1].lat == (N - 1) * 1e-5);
    geo_track_done(&out);
    geo_track_done(&in);
}

/* Each point farther out than the last: the split is always at the edge, the worst there is. */
static void test_tangled(void **state)
{
    (void)state;
    enum { N = 30000 };
    struct geo_track in = {0};
    for (size_t i = 0; i < N; i++) {
        struct err err;
        double swing = (double)(i % 1024) * (double)(i % 1024) * 1e-7;
        struct geo_pt p = {(double)i * 1e-6, i % 2 ? swing : -swing};
        assert_int_equal(geo_track_add(&in, p, NAN, false, &err), 0);
    }
    int64_t begun = clock_mono_ms();
    struct geo_track out = simplify_ok(&in, 0);
    /* 0.1 s of an optimised build, and 0.6 s for 200,000 points; sanitizers take twenty times that.
     * Without blocks it would be minutes. */
    assert_true(clock_mono_ms() - begun < 20000);
    assert_true(out.n > N - N / 100);
    geo_track_done(&out);
    geo_track_done(&in);
}

static void test_refused(void **state)
{
    (void)state;
    struct geo_pt pt[2] = {{0, 0}, {0, NAN}};
    uint32_t seg[1] = {0};
    struct geo_track in = {.pt = pt, .seg = seg, .n = 2, .nseg = 1}, out = {0};
    struct err err;
    assert_int_equal(geo_simplify(&in, 1, &out, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_null(out.pt);
}

static void test_real_route(void **state)
{
    (void)state;
    need_shared_data();
    struct geo_file f = shared_file("routes/tmb.gpx");
    struct geo_track *in = &f.feature[0].track, out = simplify_ok(in, 10);
    assert_true(out.n < in->n / 2);
    assert_within(in, &out, 10);
    assert_near(geo_track_length_m(&out) / geo_track_length_m(in), 1, 0.05);
    geo_track_done(&out);
    geo_file_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corner),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_times_stay_with_points),
        cmocka_unit_test(test_metres_everywhere),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_tangled),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_real_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
