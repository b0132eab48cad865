/* The map, read back by an XML parser. */
#include <expat.h>

#include "unit/trails/helper.h"

struct drawing {
    double width, height;
    size_t elements, lines, points, texts;
    double min_x, max_x, min_y, max_y; /* of line points */
    bool in_title;
    char title[200];
};

static const char *attribute(const XML_Char **atts, const char *name)
{
    for (; *atts; atts += 2) {
        if (strcmp(*atts, name) == 0) {
            return atts[1];
        }
    }
    return NULL;
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **atts)
{
    struct drawing *d = ctx;
    d->elements++;
    d->in_title = strcmp(name, "title") == 0;
    d->texts += strcmp(name, "text") == 0;
    if (strcmp(name, "svg") == 0) {
        d->width = strtod(attribute(atts, "width"), NULL);
        d->height = strtod(attribute(atts, "height"), NULL);
    }
    if (strcmp(name, "polyline") != 0) {
        return;
    }
    d->lines++;
    const char *p = attribute(atts, "points");
    for (char *end; *p; p = end) {
        double x = strtod(p, &end);
        assert_int_equal(*end, ',');
        double y = strtod(end + 1, &end);
        assert_true(isfinite(x) && isfinite(y));
        d->min_x = fmin(d->min_x, x);
        d->max_x = fmax(d->max_x, x);
        d->min_y = fmin(d->min_y, y);
        d->max_y = fmax(d->max_y, y);
        d->points++;
        end += *end == ' ';
    }
}

static void on_end(void *ctx, const XML_Char *name)
{
    (void)name;
    ((struct drawing *)ctx)->in_title = false;
}

static void on_text(void *ctx, const XML_Char *s, int n)
{
    struct drawing *d = ctx;
    if (d->in_title) {
        snprintf(d->title + strlen(d->title), sizeof(d->title) - strlen(d->title), "%.*s", n, s);
    }
}

static struct drawing read_back(const struct buf *svg)
{
    struct drawing d = {
        .min_x = INFINITY, .max_x = -INFINITY, .min_y = INFINITY, .max_y = -INFINITY};
    XML_Parser p = XML_ParserCreate("UTF-8");
    XML_SetUserData(p, &d);
    XML_SetElementHandler(p, on_start, on_end);
    XML_SetCharacterDataHandler(p, on_text);
    if (XML_Parse(p, svg->p, (int)svg->n, 1) != XML_STATUS_OK) {
        fail_msg("line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(p),
                 XML_ErrorString(XML_GetErrorCode(p)));
    }
    XML_ParserFree(p);
    return d;
}

/* A coverage whose route is covered in these intervals. Returns its drawing; svg is the caller's.
 */
static struct drawing draw(struct geo_route *route, char *name, const struct geo_interval *iv,
                           size_t n, struct buf *svg)
{
    struct geo_interval covered[16], gaps[17];
    struct trails_gap gap[17];
    assert_true(n <= COUNT_OF(covered));
    for (size_t i = 0; i < n; i++) {
        covered[i] = iv[i];
    }
    struct trails_coverage c = {.route = route,
                                .display_name = name,
                                .covered = covered,
                                .ncovered = n,
                                .gap = gap,
                                .length_m = geo_route_length_m(route)};
    c.covered_m = geo_intervals_length(covered, n);
    c.ngaps = geo_intervals_gaps(covered, n, c.length_m, gaps);
    for (size_t i = 0; i < c.ngaps; i++) {
        gap[i] = (struct trails_gap){.iv = gaps[i], .part = {gaps[i]}, .nparts = 1};
    }
    if (geo_route_closed(route) && c.ngaps > 1) {
        /* As trails_coverage_flow makes it: one gap over the start. */
        gap[0] = gap[--c.ngaps];
        gap[0].part[gap[0].nparts++] = gaps[0];
        gap[0].iv.b = c.length_m + gaps[0].b;
    }
    trails_draw_svg(&c, svg);
    return read_back(svg);
}

static void assert_inside(const struct drawing *d)
{
    assert_true(d->width >= 100 && d->width <= 5000);
    assert_true(d->height >= 100 && d->height <= 5000);
    assert_true(d->points > 0);
    assert_true(d->min_x >= 0 && d->max_x <= d->width);
    assert_true(d->min_y >= 0 && d->max_y <= d->height);
}

static const struct geo_interval HALVES[] = {{0, 1000}, {3000, 4000}};

static void test_covered_and_not(void **state)
{
    (void)state;
    struct geo_route *r = route_of(7, 46, 0.001, 101);
    struct buf svg = {0}, again = {0}, none = {0}, all = {0};
    struct drawing d = draw(r, "A walk", HALVES, 2, &svg);
    assert_inside(&d);
    assert_string_equal(d.title, "A walk");
    assert_int_equal(d.lines, 2 + 2 + 1); /* covered, gaps, scale */
    assert_non_null(strstr(svg.p, "2.0 of 7.7 km covered, 25.8 %"));
    (void)draw(r, "A walk", HALVES, 2, &again);
    assert_string_equal(svg.p, again.p);
    d = draw(r, NULL, NULL, 0, &none);
    assert_inside(&d);
    assert_string_equal(d.title, "");
    const struct geo_interval whole = {0, geo_route_length_m(r)};
    d = draw(r, "A walk", &whole, 1, &all);
    assert_inside(&d);
    assert_non_null(strstr(all.p, "100.0 %"));
    assert_null(strstr(all.p, "longest gap"));
    geo_route_free(r);
    buf_done(&svg);
    buf_done(&again);
    buf_done(&none);
    buf_done(&all);
}

static void test_names_are_escaped(void **state)
{
    (void)state;
    static const struct {
        char *name, *title;
    } row[] = {
        {"<script>&\"'</script>", "<script>&\"'</script>"},
        {"a\x01\x1f\tb\nc", "abc"},
        {"H\xc3\xb6henweg \xe6\xb8\xa9", "H\xc3\xb6henweg \xe6\xb8\xa9"},
        {"]]>", "]]>"},
    };
    struct geo_route *r = route_of(7, 46, 0.001, 101);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct buf svg = {0};
        struct drawing d = draw(r, row[i].name, HALVES, 2, &svg);
        assert_string_equal(d.title, row[i].title);
        assert_null(strstr(svg.p, "<script"));
        buf_done(&svg);
    }
    char *name = mem_alloc(501);
    memset(name, 'W', 500);
    struct buf svg = {0};
    struct drawing d = draw(r, name, HALVES, 2, &svg);
    assert_inside(&d);
    buf_done(&svg);
    mem_free(name);
    geo_route_free(r);
}

/* A line over the antimeridian stays in one piece: as wide as the same one elsewhere. */
static void test_antimeridian(void **state)
{
    (void)state;
    double width[2];
    for (int i = 0; i < 2; i++) {
        struct geo_route *r = route_of(i ? 179.95 : 7, 46, 0.001, 101);
        struct buf svg = {0};
        struct drawing d = draw(r, "x", HALVES, 2, &svg);
        assert_inside(&d);
        width[i] = d.max_x - d.min_x;
        geo_route_free(r);
        buf_done(&svg);
    }
    assert_near(width[0], width[1], 0.5);
    struct geo_route *r = route_of(-179.95, 46, -0.001, 101); /* and westwards */
    struct buf svg = {0};
    struct drawing d = draw(r, "x", HALVES, 2, &svg);
    assert_inside(&d);
    assert_near(d.max_x - d.min_x, width[0], 0.5);
    geo_route_free(r);
    buf_done(&svg);
}

static struct geo_route *shape(double dlon, double dlat, int n)
{
    struct geo_track t = {0};
    struct err err;
    for (int i = 0; i < n; i++) {
        const struct geo_pt p = {7 + dlon * i, 46 + dlat * i};
        assert_int_equal(geo_track_add(&t, p, NAN, i == 0, &err), 0);
    }
    struct geo_route *r = geo_route_new(&t, 40, &err);
    assert_non_null(r);
    geo_track_done(&t);
    return r;
}

static void test_shapes(void **state)
{
    (void)state;
    struct geo_route *r[] = {
        shape(0, 0.01, 100),    /* due north: no width */
        shape(0.0001, 0, 2),    /* 8 m */
        shape(0.3, 0.001, 400), /* 9,000 km */
        shape(0, 0.4, 100),     /* up to 86 degrees */
    };
    for (size_t i = 0; i < COUNT_OF(r); i++) {
        struct buf svg = {0};
        const struct geo_interval iv = {0, geo_route_length_m(r[i]) / 3};
        struct drawing d = draw(r[i], "x", &iv, 1, &svg);
        assert_inside(&d);
        assert_true(svg.n < 200000);
        geo_route_free(r[i]);
        buf_done(&svg);
    }
}

static void test_a_ring_has_no_end(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    for (int i = 0; i <= 60; i++) {
        const struct geo_pt p = {7 + 0.05 * cos(i * M_PI / 30), 46 + 0.05 * sin(i * M_PI / 30)};
        assert_int_equal(geo_track_add(&t, p, NAN, i == 0, &err), 0);
    }
    struct geo_route *r = geo_route_new(&t, 40, &err);
    assert_non_null(r);
    assert_true(geo_route_closed(r));
    struct buf svg = {0};
    struct drawing d = draw(r, "Round the lake", HALVES, 2, &svg);
    assert_inside(&d);
    assert_null(strstr(svg.p, ">end<"));
    static const struct geo_interval middle = {10000, 20000};
    struct buf over = {0};
    d = draw(r, "Round the lake", &middle, 1, &over);
    assert_inside(&d);
    assert_int_equal(d.lines, 1 + 2 + 1); /* the gap over the start has two parts */
    char gap[48];
    snprintf(gap, sizeof(gap), "longest gap %.1f km", geo_route_length_m(r) / 1000 - 10);
    assert_non_null(strstr(over.p, gap));
    geo_route_free(r);
    geo_track_done(&t);
    buf_done(&svg);
    buf_done(&over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covered_and_not),   cmocka_unit_test(test_names_are_escaped),
        cmocka_unit_test(test_antimeridian),      cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_a_ring_has_no_end),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
