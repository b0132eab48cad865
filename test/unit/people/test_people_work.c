/* Pages of activities as GeoJSON. */
#include <jansson.h>
#include <math.h>

#include "geo/geo.h"
#include "people/work.h"
#include "unit/base/helper.h"

static struct geo_track track_of(const double *t, size_t n, size_t second)
{
    struct geo_track track = {0};
    for (size_t i = 0; i < n; i++) {
        struct geo_pt p = {7.1 + 0.0000001 * (double)i, -46.25};
        assert_int_equal(geo_track_add(&track, p, t ? t[i] : NAN, i == second, NULL), 0);
    }
    return track;
}

static char *page_of(const struct people_activity *a, size_t n, bool first)
{
    static char text[1 << 16];
    struct err err;
    struct people_page p = {
        .activity = (struct people_activity *)(uintptr_t)a, .n = n, .first = first};
    assert_int_equal(people__write_page(&p, &err), 0);
    assert_true(p.out.n < sizeof(text));
    snprintf(text, sizeof(text), "%s", p.out.n ? p.out.p : "");
    people__page_done(&p);
    assert_null(p.out.p);
    return text;
}

static void test_shapes(void **state)
{
    (void)state;
    static const double times[] = {1e9, 1e9 + 1.5, 1e9 + 2, 1e9 + 3};
    struct geo_track two = track_of(times, 4, 2);
    struct buf wkb = {0}, line = {0};
    geo_ewkb_track(&two, &wkb);
    geo_ewkb_line(two.pt, 2, &line);
    const struct people_activity a[] = {
        {.properties = SPAN("{\"id\": 1}"),
         .track = buf_span(&wkb),
         .summary = buf_span(&line),
         .recorded = true},
        {.properties = SPAN("{\"id\": 2}"),
         .track = buf_span(&wkb)}, /* M is not known to be time */
        {.properties = SPAN("{\"id\": 3}")},
        {.properties = SPAN("{\"id\": 4}"), .track = SPAN("rubbish"), .recorded = true},
    };
    assert_string_equal(
        page_of(a, 1, true),
        "\n{\"type\":\"Feature\",\"properties\":{\"coordTimes\":[[\"2001-09-09T01:46:40.000Z\","
        "\"2001-09-09T01:46:41.500Z\"],[\"2001-09-09T01:46:42.000Z\",\"2001-09-09T01:46:43.000Z\"]]"
        ","
        "\"summary_track\":{\"type\":\"MultiLineString\",\"coordinates\":[[[7.1,-46.25],"
        "[7.1000001,-46.25]]]},\"id\": "
        "1},\"geometry\":{\"type\":\"MultiLineString\",\"coordinates\":"
        "[[[7.1,-46.25],[7.1000001,-46.25]],[[7.1000002,-46.25],[7.1000003,-46.25]]]}}");
    assert_string_equal(
        page_of(a + 1, 3, false),
        ",\n{\"type\":\"Feature\",\"properties\":{\"id\": 2},\"geometry\":{\"type\":"
        "\"MultiLineString\",\"coordinates\":[[[7.1,-46.25],[7.1000001,-46.25]],[[7.1000002,-46.25]"
        ","
        "[7.1000003,-46.25]]]}},\n{\"type\":\"Feature\",\"properties\":{\"id\": "
        "3},\"geometry\":null}"
        ",\n{\"type\":\"Feature\",\"properties\":{\"id\": 4},\"geometry\":null}");
    assert_string_equal(page_of(a, 0, true), "");
    geo_track_done(&two);
    buf_done(&wkb);
    buf_done(&line);
}

/* What is exported can be imported: the same points at the same times. */
static void test_there_and_back(void **state)
{
    (void)state;
    double times[40];
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        times[i] = 1.6e9 + 5 * (double)i;
    }
    struct geo_track t = track_of(times, COUNT_OF(times), 17);
    struct buf wkb = {0}, doc = {0};
    struct geo_file file = {0};
    struct err err;
    geo_ewkb_track(&t, &wkb);
    const struct people_activity a = {.properties = SPAN("{\"id\": 1, \"name\": \"Day\"}"),
                                      .track = buf_span(&wkb),
                                      .recorded = true};
    buf_printf(&doc, "{\"type\":\"FeatureCollection\",\"waymark\":{},\"features\":[%s]}",
               page_of(&a, 1, true));
    assert_int_equal(geo_file_read(buf_span(&doc), GEO_FILE_GEOJSON, &file, &err), 0);
    assert_int_equal(file.n, 1);
    const struct geo_track *back = &file.feature[0].track;
    assert_int_equal(back->n, t.n);
    assert_int_equal(back->nseg, 2);
    for (size_t i = 0; i < t.n; i++) {
        assert_true(fabs(back->pt[i].lon - t.pt[i].lon) < 1e-8 && back->t[i] == t.t[i]);
    }
    geo_file_done(&file);
    geo_track_done(&t);
    buf_done(&wkb);
    buf_done(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
