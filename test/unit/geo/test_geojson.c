#include "unit/geo/track_helper.h"

static struct geo_file read_ok(struct span text)
{
    struct geo_file f = {0};
    struct err err;
    if (geo_file_read(text, GEO_FILE_GEOJSON, &f, &err) != 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(geo_track_check(&f.feature[i].track, &err), 0);
    return f;
}

static void assert_refused(struct span text, const char *says)
{
    struct geo_file f = {0};
    struct err err;
    assert_int_equal(geo_file_read(text, GEO_FILE_GEOJSON, &f, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    assert_null(f.feature);
}

static void test_collection(void **state)
{
    (void)state;
    struct geo_file f = read_ok(
        SPAN("{\"type\":\"FeatureCollection\",\"name\":\"all\",\"features\":["
             "{\"type\":\"Feature\",\"properties\":{\"name\":\" Day 1 "
             "\",\"type\":\"Hike\"},\"geometry\":"
             "{\"type\":\"LineString\",\"coordinates\":[[6,45],[6.5,45.5,1200],[7,46,1,2]]}},"
             "{\"type\":\"Feature\",\"properties\":{\"title\":\"Day 2\"},\"geometry\":"
             "{\"type\":\"MultiLineString\",\"coordinates\":[[[1,1],[2,2]],[],[[3,3],[4,4]]]}},"
             "{\"type\":\"Feature\",\"properties\":null,\"geometry\":{\"type\":\"Point\","
             "\"coordinates\":[1,1]}},"
             "{\"type\":\"Feature\",\"properties\":{},\"geometry\":"
             "{\"type\":\"MultiPoint\",\"coordinates\":[[1,1],[2,2]]}},"
             "{\"type\":\"Feature\",\"properties\":{},\"geometry\":"
             "{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,2],[3,3],[1,1]]]}},"
             "{\"type\":\"Feature\",\"properties\":{},\"geometry\":null}]}"));
    assert_string_equal(f.name, "all");
    assert_int_equal(f.n, 2);
    assert_int_equal(f.waypoints, 3);
    assert_int_equal(f.feature[0].kind, GEO_FEATURE_LINE);
    assert_string_equal(f.feature[0].name, "Day 1");
    assert_string_equal(f.feature[0].type, "Hike");
    assert_int_equal(f.feature[0].track.n, 3);
    assert_true(f.feature[0].track.pt[2].lon == 7 && f.feature[0].track.pt[2].lat == 46);
    assert_string_equal(f.feature[1].name, "Day 2");
    assert_null(f.feature[1].type);
    assert_int_equal(f.feature[1].track.nseg, 2);
    assert_int_equal(f.feature[1].track.seg[1], 2);
    geo_file_done(&f);
}

static void test_bare(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        size_t features, points, segments;
    } cases[] = {
        {SPAN("\xef\xbb\xbf{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,4]]}"), 1, 2, 1},
        {SPAN("{\"type\":\"Feature\",\"geometry\":{\"type\":\"LineString\",\"coordinates\":[[1,2]]}"
              "}"),
         1, 1, 1},
        {SPAN("{\"type\":\"GeometryCollection\",\"geometries\":[{\"type\":\"LineString\","
              "\"coordinates\":"
              "[[1,2],[3,4]]},{\"type\":\"GeometryCollection\",\"geometries\":[{\"type\":"
              "\"LineString\","
              "\"coordinates\":[[5,6]]}]}]}"),
         1, 3, 2},
        {SPAN("{\"type\":\"Polygon\",\"coordinates\":[[[1,1],[2,2],[3,3],[1,1]]]}"), 0, 0, 0},
        {SPAN("{\"type\":\"FeatureCollection\",\"features\":[]}"), 0, 0, 0},
        {SPAN("{\"type\":\"LineString\",\"coordinates\":[]}"), 0, 0, 0},
        {SPAN(
             "{\"type\":\"FeatureCollection\",\"features\":[1,null,\"x\",[],{},{\"geometry\":7}]}"),
         0, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_file f = read_ok(cases[i].text);
        assert_int_equal(f.n, cases[i].features);
        if (f.n > 0) {
            assert_int_equal(f.feature[0].track.n, cases[i].points);
            assert_int_equal(f.feature[0].track.nseg, cases[i].segments);
        }
        geo_file_done(&f);
    }
}

#define LINE(properties, coordinates)                                                              \
    "{\"type\":\"Feature\",\"properties\":{" properties                                            \
    "},\"geometry\":{\"type\":\"LineString\",\"coordinates\":" coordinates "}}"

static void test_times(void **state)
{
    (void)state;
    static const struct span files[] = {
        SPAN(LINE("\"coordTimes\":[\"2022-07-01T08:00:00Z\",null,\"2022-07-01T08:01:00Z\"]",
                  "[[1,1],[2,2],[3,3]]")),
        SPAN(LINE("\"coordinateProperties\":{\"times\":[\"2022-07-01T08:00:00Z\",7,\"2022-07-01T08:"
                  "01:00Z\"]}",
                  "[[1,1],[2,2],[3,3]]")),
        SPAN("{\"type\":\"Feature\",\"properties\":{\"coordTimes\":[[\"2022-07-01T08:00:00Z\","
             "\"x\"],"
             "[\"2022-07-01T08:01:00Z\"]]},\"geometry\":{\"type\":\"MultiLineString\","
             "\"coordinates\":"
             "[[[1,1],[2,2]],[[3,3]]]}}"),
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct geo_file f = read_ok(files[i]);
        const struct geo_track *t = &f.feature[0].track;
        assert_non_null(t->t);
        assert_true(t->t[0] == 1656662400 && isnan(t->t[1]) && t->t[2] == 1656662460);
        geo_file_done(&f);
    }
    /* Of another length than the line: whose are they? */
    struct geo_file f =
        read_ok(SPAN(LINE("\"coordTimes\":[\"2022-07-01T08:00:00Z\"]", "[[1,1],[2,2]]")));
    assert_null(f.feature[0].track.t);
    geo_file_done(&f);
}

static void test_bad_points(void **state)
{
    (void)state;
    struct geo_file f = read_ok(
        SPAN(LINE("", "[[1,1],[2],[\"3\",3],[4,91],[541,1],7,[190,5],[1,2],[1,3],[1,4],[1,5]]")));
    assert_int_equal(f.dropped, 5);
    assert_int_equal(f.feature[0].track.n, 6);
    assert_true(f.feature[0].track.pt[1].lon == -170);
    geo_file_done(&f);
    assert_refused(SPAN(LINE("", "[[1,1],[2],[3]]")), "2 of 3 points carry no valid position");
    assert_refused(SPAN(LINE("", "[[500000,5000000],[500100,5000100]]")), "2 of 2 points");
}

static void test_malformed(void **state)
{
    (void)state;
    assert_refused(SPAN(""), "empty");
    assert_refused(SPAN("{\n \"type\": \"LineString\",\n"), "line 3");
    assert_refused(SPAN("{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,4]]} x"), "line 1");
    assert_refused(SPAN("{\"type\":\"Line\xff\"}"), "GeoJSON: ");
    assert_refused(SPAN("[1,2]"), "no \"type\"");
    assert_refused(SPAN("{}"), "no \"type\"");
    assert_refused(SPAN("{\"type\":7}"), "no \"type\"");
    assert_refused(SPAN("{\"type\":\"Topology\"}"), "type is \"Topology\"");
    assert_refused(SPAN("{\"type\":\"FeatureCollection\"}"), "without features");
    assert_refused(
        SPAN("{\"type\":\"LineString\",\"crs\":{\"type\":\"name\",\"properties\":{\"name\":"
             "\"urn:ogc:def:crs:EPSG::3857\"}},\"coordinates\":[[1,2]]}"),
        "EPSG::3857; convert the file to WGS 84");
}

static void test_deep(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 20; i++)
        buf_puts(&b, "{\"type\":\"GeometryCollection\",\"geometries\":[");
    buf_puts(&b, "{\"type\":\"Point\",\"coordinates\":[1,2]}");
    for (int i = 0; i < 20; i++)
        buf_puts(&b, "]}");
    assert_refused(buf_span(&b), "nest more than 8 deep");
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_puts(&b, "[");
    assert_refused(buf_span(&b), "GeoJSON: ");
    buf_done(&b);
}

/* A few megabytes that a tree of values would make gigabytes of, and a file over the cap. */
static void test_too_large(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "{\"type\":\"LineString\",\"coordinates\":[");
    for (int i = 0; i < 4000000; i++)
        buf_puts(&b, "{},");
    buf_puts(&b, "[1,2]]}");
    assert_refused(buf_span(&b), "the cap is 512 MB");
    buf_done(&b);
    size_t n = ((size_t)64 << 20) + 1;
    char *blank = mem_try_alloc(n);
    assert_non_null(blank);
    assert_refused((struct span){blank, n}, "up to 64 MB");
    mem_free(blank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collection), cmocka_unit_test(test_bare),
        cmocka_unit_test(test_times),      cmocka_unit_test(test_bad_points),
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_deep),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
