#include "unit/trails/helper.h"

/* ---- prepare --------------------------------------------------------------------------------- */

static void test_prepare(void **state)
{
    (void)state;
    struct buf line = {0}, dot = {0}, bad = {0};
    struct err err;
    add_wkb(&line, 7, 46, 0.01, 100); /* 77 km */
    add_wkb(&dot, 7, 46, 0, 2);
    buf_puts(&bad, "no geometry");
    struct trails_prepare_item item[] = {
        {.id = "line", .tolerance_m = 40, .wkb = buf_span(&line)},
        {.id = "none", .tolerance_m = 40},
        {.id = "dot", .tolerance_m = 40, .wkb = buf_span(&dot)},
        {.id = "bad", .tolerance_m = 40, .wkb = buf_span(&bad)},
        {.id = "wide", .tolerance_m = 4000, .wkb = buf_span(&line)},
    };
    struct trails_prepare p = {.item = item, .n = COUNT_OF(item), .want_chunks = true};
    assert_int_equal(trails__prepare(&p, &err), 0);
    assert_non_null(item[0].geo);
    assert_near(geo_route_tolerance_m(item[0].geo), 40, 1e-12);
    for (size_t i = 1; i < COUNT_OF(item); i++) {
        assert_null(item[i].geo);
        assert_int_equal(item[i].err.class, ERR_PERMANENT);
        assert_true(item[i].err.msg[0] != '\0');
    }
    assert_string_equal(item[1].err.msg, "route none has no track");
    assert_int_equal(p.chunks.nseg, 4); /* of at most 20 km */
    trails__prepare_done(&p);
    trails__prepare_done(&p);
    buf_done(&line);
    buf_done(&dot);
    buf_done(&bad);
}

static void test_a_route_that_somebody_took(void **state)
{
    (void)state;
    struct buf line = {0};
    struct err err;
    add_wkb(&line, 7, 46, 0.01, 10);
    struct trails_prepare_item item = {.id = "a", .tolerance_m = 40, .wkb = buf_span(&line)};
    struct trails_prepare p = {.item = &item, .n = 1};
    assert_int_equal(trails__prepare(&p, &err), 0);
    assert_int_equal(p.chunks.n, 0); /* nobody wanted them */
    struct geo_route *taken = item.geo;
    item.geo = NULL;
    trails__prepare_done(&p);
    assert_true(geo_route_length_m(taken) > 0);
    geo_route_free(taken);
    buf_done(&line);
}

/* ---- match ----------------------------------------------------------------------------------- */

/* Two parallel routes 1.1 km apart, both 7.7 km from west to east. */
struct match_world {
    struct geo_route *route[2];
    struct buf north, south, both, far, bad;
    struct trails_activity activity[8];
    struct trails_match m;
};

static void open_world(struct match_world *w)
{
    *w = (struct match_world){.far = {0}};
    w->route[0] = route_of(7.0, 46.00, 0.001, 101);
    w->route[1] = route_of(7.0, 46.01, 0.001, 101);
    add_wkb(&w->south, 7.02, 46.00, 0.001, 31);
    add_wkb(&w->north, 7.05, 46.01, 0.001, 21);
    add_wkb(&w->far, 9, 40, 0.001, 31);
    buf_puts(&w->bad, "no geometry");
    struct geo_track two = {0};
    add_line(&two, 7.02, 46.00, 0.001, 31);
    add_line(&two, 7.05, 46.01, 0.001, 21);
    geo_ewkb_track(&two, &w->both);
    geo_track_done(&two);
    w->m.activity = w->activity;
    w->m.nroutes = 2;
    w->m.route = (const struct geo_route **)w->route;
}

static void add(struct match_world *w, const struct buf *wkb, bool present)
{
    w->activity[w->m.nactivities++] = (struct trails_activity){
        .id = 1, .present = present, .wkb = wkb ? buf_span(wkb) : (struct span){0}};
}

static void close_world(struct match_world *w)
{
    trails__match_done(&w->m);
    trails__match_done(&w->m);
    geo_route_free(w->route[0]);
    geo_route_free(w->route[1]);
    buf_done(&w->north);
    buf_done(&w->south);
    buf_done(&w->both);
    buf_done(&w->far);
    buf_done(&w->bad);
}

/* A row's geometry, as the database would read it. */
static void read_row(const struct trails_match *m, const struct trails_row *r, struct geo_track *t)
{
    struct err err;
    assert_true(r->offset + r->bytes <= m->wkb.n);
    assert_int_equal(geo_ewkb_read((struct span){m->wkb.p + r->offset, r->bytes}, false, t, &err),
                     0);
}

static void test_rows_name_activity_route_and_line(void **state)
{
    (void)state;
    struct match_world w;
    struct err err;
    open_world(&w);
    add(&w, &w.north, true);
    add(&w, &w.far, true);
    add(&w, &w.both, true);
    assert_int_equal(trails__match(&w.m, &err), 0);
    static const struct {
        size_t activity, route;
        double start_m, end_m;
    } want[] = {{0, 1, 3870, 5419}, {2, 0, 1548, 3871}, {2, 1, 3870, 5419}};
    assert_int_equal(w.m.sections.n, COUNT_OF(want));
    assert_int_equal(w.m.pieces.n, COUNT_OF(want));
    assert_int_equal(w.m.relevant.n, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        const struct trails_row *s = &w.m.sections.v[i];
        assert_int_equal(s->activity, want[i].activity);
        assert_int_equal(s->route, want[i].route);
        assert_near(s->start_m, want[i].start_m, 15);
        assert_near(s->end_m, want[i].end_m, 15);
        assert_int_equal(w.m.relevant.v[i].activity, want[i].activity);
        assert_int_equal(w.m.relevant.v[i].route, want[i].route);
        assert_int_equal(w.m.relevant.v[i].bytes, 0);
        struct geo_track line = {0};
        read_row(&w.m, s, &line);
        assert_near(geo_track_length_m(&line), s->end_m - s->start_m, 1e-6);
        assert_near(line.pt[0].lat, i == 1 ? 46.0 : 46.01, 1e-9);
        geo_track_done(&line);
        read_row(&w.m, &w.m.pieces.v[i], &line);
        assert_true(geo_track_length_m(&line) > 1500);
        geo_track_done(&line);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_null(w.activity[i].note);
    }
    close_world(&w);
}

static void test_one_bad_track_stops_nobody(void **state)
{
    (void)state;
    struct match_world w;
    struct err err;
    struct buf empty = {0};
    const struct geo_track none = {0};
    geo_ewkb_track(&none, &empty);
    open_world(&w);
    add(&w, &w.bad, true);
    add(&w, NULL, true);
    add(&w, &w.south, false); /* deleted: not even looked at */
    add(&w, &empty, true);
    add(&w, &w.south, true);
    assert_int_equal(trails__match(&w.m, &err), 0);
    assert_int_equal(w.m.sections.n, 1);
    assert_int_equal(w.m.sections.v[0].activity, 4);
    assert_non_null(strstr(w.activity[0].note, "WKB"));
    assert_string_equal(w.activity[1].note, "no track");
    assert_null(w.activity[2].note);
    assert_null(w.activity[4].note);
    close_world(&w);
    buf_done(&empty);
}

static void test_no_routes_or_no_activities(void **state)
{
    (void)state;
    struct match_world w;
    struct err err;
    open_world(&w);
    assert_int_equal(trails__match(&w.m, &err), 0);
    assert_int_equal(w.m.relevant.n, 0);
    trails__match_done(&w.m);
    w.m.nroutes = 0;
    add(&w, &w.south, true);
    assert_int_equal(trails__match(&w.m, &err), 0);
    assert_int_equal(w.m.relevant.n, 0);
    assert_int_equal(w.m.sections.n, 0);
    close_world(&w);
}

/* Two workers may read the same routes; each call gives the same bytes. */
static void test_the_same_again(void **state)
{
    (void)state;
    struct match_world a, b;
    struct err err;
    open_world(&a);
    open_world(&b);
    add(&a, &a.both, true);
    add(&b, &b.both, true);
    assert_int_equal(trails__match(&a.m, &err), 0);
    assert_int_equal(trails__match(&b.m, &err), 0);
    assert_true(a.m.wkb.n > 0);
    assert_true(span_eq(buf_span(&a.m.wkb), buf_span(&b.m.wkb)));
    close_world(&a);
    close_world(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_a_route_that_somebody_took),
        cmocka_unit_test(test_rows_name_activity_route_and_line),
        cmocka_unit_test(test_one_bad_track_stops_nobody),
        cmocka_unit_test(test_no_routes_or_no_activities),
        cmocka_unit_test(test_the_same_again),
    };
    return cmocka_run_group_tests_name("work of trails", tests, NULL, NULL);
}
