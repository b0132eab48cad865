#include "unit/geo/walk_helper.h"

#include <time.h>

/* 10 km due east. */
static struct geo_route *straight(struct geo_pt origin)
{
    struct pen p = pen_at(origin, 0, 0, 0, 0);
    pen_to(&p, 10000, 0);
    return route_of(&p, 40);
}

#define WANT(...)                                                                                  \
    (const struct geo_interval[])                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* No section goes over the antimeridian: a planar union would take that edge for one around the
 * world. Puts the two sides of it together again. */
static void join_over_antimeridian(const struct geo_route *r, struct geo_match *m)
{
    const struct geo_pt *pt;
    (void)geo_route_lattice(r, &pt, NULL);
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = m->section[i].first; k < m->section[i].last; k++)
            assert_true(fabs(pt[k].lon - pt[k + 1].lon) <= 180);
    for (size_t i = 0; i + 1 < m->n; i++) {
        const struct geo_section *a = &m->section[i], *b = &m->section[i + 1];
        if (a->iv.b != b->iv.a)
            continue;
        assert_near(fabs(pt[a->last].lon), 180, 0);
        assert_near(pt[b->first].lon, -pt[a->last].lon, 0);
        m->section[i].iv.b = b->iv.b;
        memmove(&m->section[i + 1], &m->section[i + 2], (m->n - i - 2) * sizeof(*m->section));
        m->n--;
    }
}

static void along(struct geo_pt origin, double from, double to)
{
    struct geo_route *r = straight(origin);
    struct pen p = pen_at(origin, from, 0, 5, 8);
    pen_to(&p, to, 0);
    struct geo_match m = match_of(r, &p);
    assert_near(m.pieces_m, fabs(to - from),
                fabs(to - from)); /* noise makes it longer, not twice */
    assert_int_equal(m.pieces.nseg, 1);
    join_over_antimeridian(r, &m);
    assert_sections(&m, WANT({fmin(from, to), fmax(from, to)}), 1, 12);
    geo_route_free(r);
}

static void test_along_everywhere(void **state)
{
    (void)state;
    const struct geo_pt places[] = {alps, {179.95, -17}, {20, 78}, {0, 0}, {-70, -54}, {30, 89.8}};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        along(places[i], 2000, 6000);
        along(places[i], 6000, 2000);
        along(places[i], 0, 10000);
    }
}

static void test_out_and_back(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct pen p = pen_at(alps, 1000, 0, 5, 6);
    pen_to(&p, 4000, 0);
    pen_to(&p, 1000, 0);
    pen_to(&p, 4000, 0);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 4000}), 1, 12);
    geo_route_free(r);
}

/* The route goes aside and back; the walker does not. Coming back at a place that does not fit the
 * way walked must not cost the metres after it: then the detour itself is a gap short enough to be
 * bridged. */
static void test_skipped_detour_of_the_route(void **state)
{
    (void)state;
    static const double detour[][2] = {{0, 60}, {0, 65}, {20, 75}, {40, 80}, {40, 85}, {60, 85}};
    for (size_t i = 0; i < COUNT_OF(detour); i++) {
        struct pen line = pen_at(alps, 0, 0, 10, 0);
        pen_to(&line, 2000, 0);
        pen_to(&line, 2000 + detour[i][0], detour[i][1]);
        pen_to(&line, 2000 + detour[i][0], 0);
        pen_to(&line, 4000, 0);
        struct geo_route *r = route_of(&line, 40);
        struct pen p = pen_at(alps, 500, 0, 8, 3);
        pen_to(&p, 3500, 0);
        struct geo_match m = match_of(r, &p);
        assert_int_equal(m.n, 1);
        assert_near(m.section[0].iv.a, 500, 15);
        assert_near(geo_route_length_m(r) - m.section[0].iv.b, 500, 15);
        geo_match_done(&m);
        geo_route_free(r);
    }
}

static void test_crossing_earns_nothing(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    const double degrees[] = {90, 60, 45, 30, 20, 15, 12};
    for (size_t i = 0; i < COUNT_OF(degrees); i++) {
        const double a = degrees[i] * M_PI / 180;
        struct pen p = pen_at(alps, 5000 - 1500 * cos(a), -1500 * sin(a), 5, 5);
        pen_to(&p, 5000 + 1500 * cos(a), 1500 * sin(a));
        struct geo_match m = match_of(r, &p);
        assert_true(covered_m(&m) <= 50);
        assert_near(m.pieces_m, 80 / sin(a), 80 / sin(a)); /* but it is in the corridor */
        geo_match_done(&m);
    }
    geo_route_free(r);
}

static void test_parallel(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    const double off[] = {100, 400, -100};
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        struct pen p = pen_at(alps, 1000, off[i], 5, 6);
        pen_to(&p, 9000, off[i]);
        struct geo_match m = match_of(r, &p);
        assert_int_equal(m.n, 0);
        assert_int_equal(m.pieces.nseg, 0);
        geo_match_done(&m);
    }
    struct pen p = pen_at(alps, 1000, 20, 5, 6); /* the other side of the road is on it */
    pen_to(&p, 9000, 20);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 9000}), 1, 12);
    geo_route_free(r);
}

static void test_detour_and_gaps(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct pen p = pen_at(alps, 1000, 0, 5, 5);
    pen_to(&p, 3000, 0);
    pen_to(&p, 3500, 800); /* a way round, well off */
    pen_to(&p, 5500, 800);
    pen_to(&p, 6000, 0);
    pen_to(&p, 8000, 0);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 3000}, {6000, 8000}), 2, 40);
    p = pen_at(alps, 1000, 0, 5, 5);
    pen_to(&p, 3000, 0);
    p.step_m = 0; /* bad reception: no fix for 300 m */
    pen_to(&p, 3300, 0);
    p.step_m = 5;
    pen_to(&p, 8000, 0);
    m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 8000}), 1, 12);
    p = pen_at(alps, 1000, 0, 5, 5);
    pen_to(&p, 3000, 0);
    pen_lift_to(&p, 3100, 0); /* paused and resumed */
    pen_to(&p, 5000, 0);
    pen_lift_to(&p, 8000, 0); /* three kilometres later */
    pen_to(&p, 9000, 0);
    m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 5000}, {8000, 9000}), 2, 12);
    geo_route_free(r);
}

static void test_ring(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 1000, 0, 0, 0);
    pen_arc(&q, 0, 0, 1000, 0, 2 * M_PI);
    struct geo_route *r = route_of(&q, 40);
    const double length = geo_route_length_m(r);
    assert_true(geo_route_closed(r));
    struct pen p = pen_at(alps, 0, -1000, 5, 5); /* over the seam */
    pen_arc(&p, 0, 0, 1000, -M_PI / 2, M_PI / 2);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({0, length / 4}, {length * 3 / 4, length}), 2, 15);
    p = pen_at(alps, -1000, 0, 5, 5); /* all the way round and a bit, the other way */
    pen_arc(&p, 0, 0, 1000, M_PI, -1.2 * M_PI);
    m = match_of(r, &p);
    assert_int_equal(m.n, 1);
    assert_true(m.section[0].iv.a == 0 && m.section[0].iv.b == length);
    geo_match_done(&m);
    geo_route_free(r);
}

static void test_figure_of_eight(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 0, 0);
    pen_arc(&q, 1000, 0, 1000, M_PI, 3 * M_PI);
    pen_arc(&q, -1000, 0, 1000, 0, -2 * M_PI);
    struct geo_route *r = route_of(&q, 40);
    struct pen p = pen_at(alps, 0, 0, 5, 5); /* one loop only */
    pen_arc(&p, 1000, 0, 1000, M_PI, 3 * M_PI);
    struct geo_match m = match_of(r, &p);
    /* The loops touch: some of the other one is the same ground. */
    assert_near(covered_m(&m), 2000 * M_PI, 400);
    geo_match_done(&m);
    geo_route_free(r);
}

/* 5 km east, a spur 2 km north and back over the same ground, 5 km on. */
static struct geo_route *with_spur(void)
{
    struct pen q = pen_at(alps, 0, 0, 0, 0);
    pen_to(&q, 5000, 0);
    pen_to(&q, 5000, 2000);
    pen_to(&q, 5000, 0);
    pen_to(&q, 10000, 0);
    return route_of(&q, 40);
}

static void test_spur(void **state)
{
    (void)state;
    struct geo_route *r = with_spur();
    struct pen p = pen_at(alps, 5000, 2000, 5, 5); /* one way: both passes */
    pen_to(&p, 5000, 0);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({5000, 9000}), 1, 45);
    p = pen_at(alps, 3000, 0, 5, 5); /* past it */
    pen_to(&p, 8000, 0);
    m = match_of(r, &p);
    assert_near(covered_m(&m), 5000, 120);
    assert_true(m.section[0].iv.b < 5060);
    geo_match_done(&m);
    p = pen_at(alps, 3000, 0, 5, 5); /* with it */
    pen_to(&p, 5000, 0);
    pen_to(&p, 5000, 2000);
    pen_to(&p, 5000, 0);
    pen_to(&p, 8000, 0);
    m = match_of(r, &p);
    assert_sections(&m, WANT({3000, 12000}), 1, 12);
    geo_route_free(r);
}

/* Legs of 400 m, 32 m apart. */
static void zigzag(struct pen *p, int from, int to)
{
    for (int k = from; k < to; k++) {
        pen_to(p, k % 2 == 0 ? 400 : 0, 32 * k);
        if (k + 1 < to)
            pen_to(p, k % 2 == 0 ? 400 : 0, 32 * (k + 1));
    }
}

static void test_switchbacks(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 0, 0);
    zigzag(&q, 0, 30);
    struct geo_route *r = route_of(&q, 40);
    struct pen p = pen_at(alps, 0, 32 * 10, 5, 6);
    zigzag(&p, 10, 16);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({10 * 432, 16 * 432 - 32}), 1, 40);
    geo_route_free(r);
}

static void test_tiny_routes(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 0, 0);
    pen_to(&q, 25, 0);
    struct geo_route *r = route_of(&q, 40);
    struct pen p = pen_at(alps, -500, 0, 5, 3);
    pen_to(&p, 500, 0);
    struct geo_match m = match_of(r, &p);
    assert_near(covered_m(&m), 25, 10);
    geo_match_done(&m);
    geo_route_free(r);
    q = pen_at(alps, 10, 0, 0, 0); /* a yard of 60 m */
    pen_arc(&q, 0, 0, 10, 0, 2 * M_PI);
    r = route_of(&q, 40);
    p = pen_at(alps, 10, 0, 3, 1);
    for (int lap = 0; lap < 5; lap++)
        pen_arc(&p, 0, 0, 10, 0, 2 * M_PI);
    m = match_of(r, &p);
    assert_true(covered_m(&m) > 0.8 * geo_route_length_m(r));
    assert_true(covered_m(&m) <= geo_route_length_m(r));
    geo_match_done(&m);
    geo_route_free(r);
}

static void test_nothing_to_match(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct geo_track empty = {0};
    struct geo_match m = match_track(r, &empty);
    assert_int_equal(m.n, 0);
    struct pen p = pen_at(alps, 5000, 0, 0, 0);
    for (int i = 0; i < 50; i++) /* all points equal */
        pen_to(&p, 5000, 0);
    m = match_of(r, &p);
    assert_int_equal(m.n, 0);
    assert_int_equal(m.pieces.nseg, 0);
    p = pen_at(alps, 5000, 0, 0, 0);
    pen_lift_to(&p, 5010, 0); /* segments of one point */
    pen_lift_to(&p, 5020, 0);
    m = match_of(r, &p);
    assert_int_equal(m.n, 0);
    geo_match_done(&m);
    geo_match_done(NULL);
    geo_route_free(r);
}

static void test_jumps(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct pen p = pen_at(alps, 1000, 0, 5, 5);
    pen_to(&p, 2000, 0);
    p.step_m = 0;
    pen_to(&p, 2000, 30000); /* glitches: over 20 km in one edge */
    pen_to(&p, 4000, 0);
    p.step_m = 5;
    pen_to(&p, 5000, 0);
    struct geo_match m = match_of(r, &p);
    assert_sections(&m, WANT({1000, 2000}, {4000, 5000}), 2, 12);
    geo_route_free(r);
}

/* With times a long edge that nobody can have walked is no path. */
static void test_times(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    for (int walked = 0; walked < 2; walked++) {
        struct geo_track t = {0};
        struct err err;
        double time = 1e9;
        for (double x = 1000; x <= 9000; x += x == 4000 ? 2000 : 10) {
            time += x == 6000 ? (walked ? 1500 : 20) : 8;
            assert_int_equal(geo_track_add(&t, place(alps, x, 0), time, x == 1000, &err), 0);
        }
        struct geo_match m = match_track(r, &t);
        assert_near(covered_m(&m), walked ? 8000 : 6000, 30);
        geo_match_done(&m);
        geo_track_done(&t);
    }
    geo_route_free(r);
}

/* A satellite tracker: a fix every 330 m, the path winding between them. */
static void test_sparse_fixes(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 0, 0), p = pen_at(alps, 0, 0, 0, 10);
    for (double x = 10; x <= 12000; x += 10) {
        pen_to(&q, x, 40 * sin(x / 90));
        if (fmod(x, 330) == 0)
            pen_to(&p, x, 40 * sin(x / 90));
    }
    struct geo_route *r = route_of(&q, 40);
    struct geo_match m = match_of(r, &p);
    assert_near(covered_m(&m), geo_route_length_m(r), 0.03 * geo_route_length_m(r));
    geo_match_done(&m);
    geo_route_free(r);
}

/* Sections are runs of lattice vertices: where two overlap they have the same vertices, bit for
 * bit. */
static void test_sections_share_the_lattice(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 37, 9);
    pen_to(&q, 10000, 0);
    struct geo_route *r = route_of(&q, 40);
    const double *measure;
    const size_t n = geo_route_lattice(r, NULL, &measure);
    struct geo_interval iv[40];
    bool *covered = mem_alloc(n);
    for (int i = 0; i < 40; i++) {
        struct pen p = pen_at(alps, 137.7 * i, 0, 5, 6);
        pen_to(&p, 137.7 * i + 2000, 0);
        struct geo_match m = match_of(r, &p);
        assert_int_equal(m.n, 1);
        const struct geo_section s = m.section[0];
        assert_true(s.first < s.last && s.last < n);
        assert_true(measure[s.first] == s.iv.a && measure[s.last] == s.iv.b);
        iv[i] = s.iv;
        for (size_t k = s.first; k < s.last; k++)
            covered[k] = true;
        geo_match_done(&m);
    }
    double sum = 0;
    for (size_t k = 0; k + 1 < n; k++)
        sum += covered[k] ? measure[k + 1] - measure[k] : 0;
    assert_near(geo_intervals_length(iv, geo_intervals_union(iv, 40)), sum, 1e-6);
    mem_free(covered);
    geo_route_free(r);
}

static void test_pieces(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct pen p = pen_at(alps, 5000, -1000, 0, 0); /* a cross of two edges */
    pen_to(&p, 5000, 1000);
    pen_to(&p, 7000, 1000);
    pen_to(&p, 7000, -1000);
    struct geo_match m = match_of(r, &p);
    assert_int_equal(m.pieces.nseg, 2);
    assert_int_equal(m.pieces.n, 4);
    assert_near(m.pieces_m, 160, 0.5);
    for (size_t i = 0; i < 4; i++)
        assert_near(geo_distance_m(m.pieces.pt[i],
                                   place(alps, i < 2 ? 5000 : 7000, i == 0 || i == 3 ? -40 : 40)),
                    0, 2); /* the plane of the drawing leaves the ellipsoid by 2 m at 5 km */
    geo_match_done(&m);
    p = pen_at(alps, -1000, 0, 0, 0); /* beyond both ends: round caps */
    pen_to(&p, 11000, 0);
    m = match_of(r, &p);
    assert_int_equal(m.pieces.nseg, 1);
    assert_near(m.pieces_m, 10080, 1);
    geo_match_done(&m);
    geo_route_free(r);
}

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* 200,000 points, half of them jittering in one place on the route. Generous: a sanitizer is ten
 * times slower. */
static void test_large_tracks_are_bounded(void **state)
{
    (void)state;
    struct geo_route *r = straight(alps);
    struct pen p = pen_at(alps, 1000, 0, 0, 15);
    for (int i = 0; i < 100000; i++)
        pen_to(&p, 1000, 0);
    for (int i = 0; i < 100000; i++)
        pen_to(&p, 1000 + i * 0.08, 0);
    const double start = cpu_s();
    struct geo_match m = match_of(r, &p);
    assert_true(cpu_s() - start < 20);
    assert_sections(&m, WANT({1000, 9000}), 1, 40);
    geo_route_free(r);
}

/* Thousands of passes over the same ground, matched against thousands of edges over the same
 * ground. */
static void test_tangle_on_tangle_is_bounded(void **state)
{
    (void)state;
    struct pen q = pen_at(alps, 0, 0, 0, 10), p = pen_at(alps, 0, 0, 0, 10);
    for (int i = 0; i < 1500; i++) {
        pen_to(&q, i % 2 * 300, 0);
        pen_to(&p, i % 2 * 300, 0);
    }
    struct geo_route *r = route_of(&q, 40);
    const double start = cpu_s();
    struct geo_match m = match_of(r, &p);
    assert_true(cpu_s() - start < 60);
    assert_true(m.n > 0);
    geo_match_done(&m);
    geo_route_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_along_everywhere),
        cmocka_unit_test(test_out_and_back),
        cmocka_unit_test(test_skipped_detour_of_the_route),
        cmocka_unit_test(test_crossing_earns_nothing),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_detour_and_gaps),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_figure_of_eight),
        cmocka_unit_test(test_spur),
        cmocka_unit_test(test_switchbacks),
        cmocka_unit_test(test_tiny_routes),
        cmocka_unit_test(test_nothing_to_match),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_sparse_fixes),
        cmocka_unit_test(test_sections_share_the_lattice),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_large_tracks_are_bounded),
        cmocka_unit_test(test_tangle_on_tangle_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
