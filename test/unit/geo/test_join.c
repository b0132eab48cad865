#include "unit/geo/track_helper.h"

/* One degree of longitude on the equator; 0.001 degrees are 111 m. */
#define DEGREE_M 111319.49

/* Segments of two points given by their longitudes, all on one latitude or on those given. */
struct leg {
    double lon[2], lat[2];
};

static struct geo_track legs(const struct leg *leg, size_t n)
{
    struct geo_track t = {0};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct geo_pt p = {leg[i].lon[k], leg[i].lat[k]};
            struct err err;
            assert_int_equal(geo_track_add(&t, p, NAN, k == 0, &err), 0);
        }
    }
    return t;
}

/* Joins and frees the input. */
static struct geo_track join_ok(struct geo_track in, double max_gap_m, struct geo_join_info *info)
{
    struct geo_track line = {0};
    struct err err;
    if (geo_join(&in, max_gap_m, &line, info, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(geo_track_check(&line, &err), 0);
    assert_int_equal(line.nseg, 1);
    for (size_t i = 1; i < line.n; i++)
        assert_memory_not_equal(&line.pt[i - 1], &line.pt[i], sizeof(*line.pt));
    geo_track_done(&in);
    return line;
}

static void assert_refused(struct geo_track in, double max_gap_m, const char *says)
{
    struct geo_track line = {0};
    struct geo_join_info info;
    struct err err;
    assert_int_equal(geo_join(&in, max_gap_m, &line, &info, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    assert_null(line.pt);
    geo_track_done(&in);
}

static void assert_line(const struct geo_track *line, const double *lon, size_t n)
{
    assert_int_equal(line->n, n);
    for (size_t i = 0; i < n; i++)
        assert_near(line->pt[i].lon, lon[i], 1e-12);
}

static void test_one_segment(void **state)
{
    (void)state;
    const double lonlat[] = {0, 0, 0, 0, 0.01, 0, 0.01, 0, 0.02, 0, 0.02, 0};
    struct geo_join_info info;
    struct geo_track line = join_ok(track_of(lonlat, 6, NULL, 0), 200, &info);
    assert_line(&line, (const double[]){0, 0.01, 0.02}, 3);
    assert_int_equal(info.segments, 1);
    assert_false(info.closed);
    assert_true(info.largest_gap_m == 0);
    assert_near(info.longest_edge_m, 0.01 * DEGREE_M, 0.1);
    geo_track_done(&line);
}

static void test_file_order(void **state)
{
    (void)state;
    const struct leg in[] = {{{0, 0.01}, {0, 0}}, {{0.01, 0.02}, {0, 0}}, {{0.021, 0.03}, {0, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 3), 200, &info);
    assert_line(&line, (const double[]){0, 0.01, 0.02, 0.021, 0.03}, 5);
    assert_int_equal(info.segments, 3);
    assert_int_equal(info.reordered, 0);
    assert_int_equal(info.reversed, 0);
    assert_near(info.largest_gap_m, 0.001 * DEGREE_M, 0.1);
    geo_track_done(&line);
}

static void test_order_and_direction(void **state)
{
    (void)state;
    const struct leg in[] = {{{0.02, 0.03}, {0, 0}},
                             {{0, 0.01}, {0, 0}},
                             {{0.02, 0.01}, {0, 0}},
                             {{0.03, 0.04}, {0, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 4), 200, &info);
    assert_line(&line, (const double[]){0, 0.01, 0.02, 0.03, 0.04}, 5);
    assert_int_equal(info.reversed, 1);
    assert_int_equal(info.reordered, 3);
    geo_track_done(&line);
}

/* All parts but a short one run westwards: so does the line. */
static void test_direction_by_length(void **state)
{
    (void)state;
    const struct leg in[] = {{{0, 0.001}, {0, 0}}, {{0.05, 0.001}, {0, 0}}, {{0.1, 0.05}, {0, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 3), 200, &info);
    assert_line(&line, (const double[]){0.1, 0.05, 0.001, 0}, 4);
    assert_int_equal(info.reversed, 1);
    geo_track_done(&line);
}

static void test_ring(void **state)
{
    (void)state;
    const struct leg in[] = {{{0.01, 0.01}, {0, 0.01}},
                             {{0, 0.01}, {0, 0}},
                             {{0, 0}, {0.01, 0}},
                             {{0.01, 0}, {0.01, 0.01}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 4), 200, &info);
    assert_true(info.closed);
    assert_int_equal(line.n, 5);
    /* It begins with the first segment of the file. */
    assert_true(line.pt[0].lon == 0.01 && line.pt[0].lat == 0 && line.pt[1].lat == 0.01);
    geo_track_done(&line);
}

static void test_gap_is_named(void **state)
{
    (void)state;
    const struct leg in[] = {{{0, 0.01}, {0, 0}}, {{0.013, 0.02}, {0, 0}}};
    assert_refused(
        legs(in, 2), 200,
        "gap of 334 m between 0.01000,0.00000 (segment 1) and 0.01300,0.00000 (segment 2)");
    assert_refused(legs(in, 2), 0, "raise --max-gap (now 0 m)");
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 2), 400, &info);
    assert_int_equal(line.n, 4);
    geo_track_done(&line);
}

/* The long way round the file's order must not become a line across the country. */
static void test_no_false_jump(void **state)
{
    (void)state;
    struct geo_track in = {0};
    enum { PARTS = 300, POINTS = 5 };
    for (size_t i = 0; i < PARTS; i++) {
        size_t part = i * 7 % PARTS; /* 7 has no divisor in common with 300 */
        for (size_t k = 0; k < POINTS; k++) {
            size_t step = part % 3 == 1 ? POINTS - 1 - k : k;
            double s = (double)(part * (POINTS - 1) + step) * 0.001;
            struct err err;
            struct geo_pt p = {s, sin(s * 20) * 0.02};
            assert_int_equal(geo_track_add(&in, p, NAN, k == 0, &err), 0);
        }
    }
    struct geo_join_info info;
    struct geo_track line = join_ok(in, 200, &info);
    assert_int_equal(line.n, PARTS * (POINTS - 1) + 1);
    assert_int_equal(info.reversed, PARTS / 3);
    assert_true(info.largest_gap_m == 0);
    for (size_t i = 1; i < line.n; i++)
        assert_true(line.pt[i].lon > line.pt[i - 1].lon);
    geo_track_done(&line);
}

static void test_repeats(void **state)
{
    (void)state;
    const struct leg in[] = {
        {{0, 0.01}, {0, 0}}, {{0.01, 0.02}, {0, 0}}, {{0, 0.01}, {0, 0}}, {{0.02, 0.02}, {0, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 4), 200, &info);
    assert_line(&line, (const double[]){0, 0.01, 0.02}, 3);
    assert_int_equal(info.dropped, 2);
    geo_track_done(&line);
}

/* There and back is a route: both passes count. */
static void test_out_and_back(void **state)
{
    (void)state;
    const struct leg in[] = {{{0, 0.01}, {0, 0}}, {{0.01, 0}, {0, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 2), 200, &info);
    assert_line(&line, (const double[]){0, 0.01, 0}, 3);
    assert_true(info.closed);
    geo_track_done(&line);
}

/* A figure of eight in file order: at the crossing four ends meet, and the file says which belong
 * together. */
static void test_crossing_in_file_order(void **state)
{
    (void)state;
    const double lonlat[] = {-0.02, 0,     0, 0, /**/ 0, 0, 0.01, 0.01,
                             0.01,  -0.01, 0, 0, /**/ 0, 0, 0,    0.02};
    const size_t first[] = {0, 2, 6};
    struct geo_join_info info;
    struct geo_track line = join_ok(track_of(lonlat, 8, first, 3), 200, &info);
    assert_line(&line, (const double[]){-0.02, 0, 0.01, 0.01, 0, 0}, 6);
    geo_track_done(&line);
}

static struct geo_track with_side(const struct leg *side, size_t n)
{
    struct leg all[8] = {{{0, 0.1}, {0, 0}}, {{0.1, 0.2}, {0, 0}}};
    assert_true(n <= 6);
    memcpy(all + 2, side, n * sizeof(*side));
    return legs(all, n + 2);
}

/* Leaves the line in the middle of a segment and comes back to it. */
static void test_variant(void **state)
{
    (void)state;
    const struct leg side[] = {{{0.03, 0.035}, {0, 0.003}}, {{0.035, 0.04}, {0.003, 0}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(with_side(side, 2), 200, &info);
    assert_line(&line, (const double[]){0, 0.1, 0.2}, 3);
    assert_int_equal(info.segments, 2);
    assert_int_equal(info.variants, 2);
    assert_near(info.variants_m, 2 * hypot(0.005, 0.003) * DEGREE_M, 10);
    geo_track_done(&line);
}

static void test_branches(void **state)
{
    (void)state;
    /* A dead end; a way between the same two joints; one that is no detail any more. */
    const struct leg dead[] = {{{0.03, 0.04}, {0, 0.02}}};
    assert_refused(with_side(dead, 1), 200,
                   "lines branch at 0.03000,0.00000: a piece of 2.5 km (segment 3)");
    const struct leg star[] = {{{0, 0}, {0, 0.05}}};
    struct leg all[] = {{{-0.1, 0}, {0, 0}}, {{0, 0.1}, {0, 0}}, star[0]};
    assert_refused(legs(all, 3), 200, "lines branch at 0.00000,0.00000");
    const struct leg twin[] = {
        {{0.2, 0.3}, {0, 0}}, {{0.1, 0.15}, {0, 0.002}}, {{0.15, 0.2}, {0.002, 0}}};
    assert_refused(with_side(twin, 3), 200, "lines branch at");
    const struct leg big[] = {{{0.02, 0.05}, {0, 0.03}}, {{0.05, 0.08}, {0.03, 0}}};
    assert_refused(with_side(big, 2), 200, "import the variants as routes of their own");
}

static void test_antimeridian(void **state)
{
    (void)state;
    const struct leg in[] = {{{179.98, 180}, {-17, -17}}, {{-180, -179.98}, {-17, -17}}};
    struct geo_join_info info;
    struct geo_track line = join_ok(legs(in, 2), 200, &info);
    assert_true(info.largest_gap_m < 0.01);
    assert_near(geo_track_length_m(&line), 0.04 * 106488, 5);
    geo_track_done(&line);
}

static void test_nothing(void **state)
{
    (void)state;
    const struct leg point[] = {{{1, 1}, {1, 1}}};
    assert_refused((struct geo_track){0}, 200, "no line");
    assert_refused(legs(point, 1), 200, "no line");
}

static struct geo_track heap_of(size_t segments)
{
    struct geo_track t = {0};
    for (size_t i = 0; i < 2 * segments; i++) {
        struct geo_pt p = {(double)(i * 7919 % 10007) * 1e-8, (double)(i * 104729 % 10007) * 1e-8};
        struct err err;
        assert_int_equal(geo_track_add(&t, p, NAN, i % 2 == 0, &err), 0);
    }
    return t;
}

/* All ends within ten metres: every one could be joined with every other. */
static void test_heap(void **state)
{
    (void)state;
    struct geo_join_info info;
    struct geo_track line = join_ok(heap_of(1000), 200, &info);
    assert_int_equal(info.segments + info.variants + info.dropped, 1000);
    geo_track_done(&line);
}

static void test_cap(void **state)
{
    (void)state;
    assert_refused(heap_of(5001), 200, "5001 segments");
}

/* ---- real routes -------------------------------------------------------------------------------
 */

static struct geo_track shared_segments(const char *name)
{
    struct geo_file f = shared_file(name);
    struct geo_track all = all_segments(&f);
    geo_file_done(&f);
    return all;
}

/* In file order it has four false jumps of up to 70 km. */
static void test_bruce(void **state)
{
    (void)state;
    need_shared_data();
    assert_refused(shared_segments("routes/bruce-trail.gpx"), 200,
                   "gap of 820 m between -80.96002,44.76810 (segment 9)");
    struct geo_join_info info;
    struct geo_track line = join_ok(shared_segments("routes/bruce-trail.gpx"), 1000, &info);
    assert_int_equal(line.n, 27233);
    assert_near(geo_track_length_m(&line), 885379.7, 20);
    assert_int_equal(info.segments, 11);
    assert_int_equal(info.reversed, 2);
    assert_int_equal(info.variants, 1);
    assert_near(info.largest_gap_m, 820, 1);
    assert_false(info.closed);
    geo_track_done(&line);
}

static void test_other_routes(void **state)
{
    (void)state;
    need_shared_data();
    static const struct {
        const char *name;
        double max_gap_m, length_km;
        bool closed;
    } cases[] = {
        {"routes/pacific-crest-trail.gpx", 200, 4000.7, false},
        {"routes/bob-graham-round.gpx", 200, 101.2, true},
        {"routes/arizona-trail.gpx", 400, 1232.6, false},
        {"routes/tmb.gpx", 200, 159.7, true},
        {"routes/appalachian-trail.gpx", 200, 3121.3, false},
        {"routes/south-west-coast-path.gpx", 200, 1037.8, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_join_info info;
        struct geo_track line = join_ok(shared_segments(cases[i].name), cases[i].max_gap_m, &info);
        assert_near(geo_track_length_m(&line) / 1000, cases[i].length_km, 0.1);
        assert_int_equal(info.closed, cases[i].closed);
        assert_int_equal(info.reordered + info.reversed + info.variants, 0);
        geo_track_done(&line);
    }
    assert_refused(shared_segments("routes/arizona-trail.gpx"), 200, "gap of 308 m");
    assert_refused(shared_segments("routes/camino-frances.geojson"), 200, "lines branch at");
    assert_refused(shared_segments("routes/gr20-corsica.geojson"), 200, "lines branch at");
}

/* Real routes with their parts in any order and direction come out as the same line. */
static void test_shuffled(void **state)
{
    (void)state;
    need_shared_data();
    struct geo_track in = shared_segments("routes/pacific-crest-trail.gpx"), mixed = {0};
    for (size_t i = 0; i < in.nseg; i++) {
        size_t s = (i * 5 + 2) % in.nseg, end = s + 1 < in.nseg ? in.seg[s + 1] : in.n;
        for (size_t k = in.seg[s]; k < end; k++) {
            struct err err;
            size_t from = s % 4 == 3 ? end - 1 - (k - in.seg[s]) : k;
            assert_int_equal(geo_track_add(&mixed, in.pt[from], NAN, k == in.seg[s], &err), 0);
        }
    }
    struct geo_join_info info;
    struct geo_track straight = join_ok(in, 200, &info), line = join_ok(mixed, 200, &info);
    assert_true(info.reversed > 0);
    assert_int_equal(line.n, straight.n);
    assert_memory_equal(line.pt, straight.pt, line.n * sizeof(*line.pt));
    geo_track_done(&line);
    geo_track_done(&straight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_segment),
        cmocka_unit_test(test_file_order),
        cmocka_unit_test(test_order_and_direction),
        cmocka_unit_test(test_direction_by_length),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_gap_is_named),
        cmocka_unit_test(test_no_false_jump),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_out_and_back),
        cmocka_unit_test(test_crossing_in_file_order),
        cmocka_unit_test(test_variant),
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_antimeridian),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_bruce),
        cmocka_unit_test(test_other_routes),
        cmocka_unit_test(test_shuffled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
