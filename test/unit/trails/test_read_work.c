/* A route file to lines, in files that the test makes. */
#include <sys/stat.h>

#include "unit/trails/helper.h"

#define PT(lon, lat) "<trkpt lat=\"" lat "\" lon=\"" lon "\"/>"
#define SEG(points)  "<trkseg>" points "</trkseg>"
#define WEST         SEG(PT("7.00", "46") PT("7.01", "46") PT("7.02", "46"))
#define EAST         SEG(PT("7.02", "46") PT("7.03", "46") PT("7.04", "46"))
#define AWAY         SEG(PT("7.20", "46") PT("7.21", "46"))

/* Reads content from a file of this name; r->path is the caller's to forget. */
static void read_as(struct trails_read *r, const char *name, const char *content)
{
    static char path[200];
    char dir[] = "/tmp/waymark-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    r->path = path;
    r->tolerance_m = r->tolerance_m > 0 ? r->tolerance_m : 40;
    r->max_gap_m = 200;
    trails__read_file(r);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static struct trails_read read_whole(const char *name, const char *content)
{
    struct trails_read r = {.each = false};
    read_as(&r, name, content);
    assert_int_equal(r.route.n, 1);
    return r;
}

static void assert_id(const char *file, const char *id)
{
    struct trails_read r = read_whole(file, "<gpx><trk>" WEST "</trk></gpx>");
    assert_int_equal(r.route.v[0].err.class, 0);
    if (strcmp(r.route.v[0].id, id) != 0) {
        fail_msg("%s became %s, not %s", file, r.route.v[0].id, id);
    }
    trails__read_done(&r);
}

static void test_ids(void **state)
{
    (void)state;
    assert_id("Tour du Mont Blanc.gpx", "tour-du-mont-blanc");
    assert_id("tmb_2022.v2.gpx", "tmb-2022-v2");
    assert_id("--E5--.gpx", "e5");
    assert_id("no-dot", "no-dot");
    assert_id("H\xc3\xb6henweg.gpx", "h-henweg");
    /* Short or lost in ASCII: a hash keeps them apart. */
    assert_id("x.gpx", "x-fd0c5087");
    assert_id("\xe6\xb8\xa9\xe5\xb7\x9e.gpx", "route-c62e13a4");
    assert_id("....gpx", "route-0ac31c19");
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *given, *content, *name;
    } row[] = {
        {"Mine",
         "<gpx><metadata><name>Theirs</name></metadata><trk><name>T</name>" WEST "</trk></gpx>",
         "Mine"},
        {NULL,
         "<gpx><metadata><name>Theirs</name></metadata><trk><name>T</name>" WEST "</trk></gpx>",
         "Theirs"},
        {NULL, "<gpx><trk><name>T</name>" WEST "</trk></gpx>", "T"},
        {NULL, "<gpx><trk><name>T</name>" WEST "</trk><trk><name>U</name>" EAST "</trk></gpx>",
         "file"},
        {NULL, "<gpx><trk>" WEST "</trk></gpx>", "file"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct trails_read r = {.name = row[i].given};
        read_as(&r, "file.gpx", row[i].content);
        assert_int_equal(r.route.n, 1);
        assert_int_equal(r.route.v[0].err.class, 0);
        assert_string_equal(r.route.v[0].name, row[i].name);
        assert_string_equal(r.route.v[0].id, "file");
        trails__read_done(&r);
    }
}

static void test_an_id_that_is_given(void **state)
{
    (void)state;
    struct trails_read r = {.id = "TMB 1"};
    read_as(&r, "file.gpx", "<gpx><trk>" WEST "</trk></gpx>");
    assert_string_equal(r.route.v[0].id, "TMB 1");
    trails__read_done(&r);
}

static void test_segments_become_one_line(void **state)
{
    (void)state;
    struct trails_read r = read_whole("a-b.gpx", "<gpx><trk>" EAST WEST "</trk></gpx>");
    const struct trails_read_route *out = &r.route.v[0];
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(out->err.class, 0);
    assert_int_equal(out->points, 5);
    assert_int_equal(out->join.segments, 2);
    assert_near(out->length_m, 3097, 5);
    assert_int_equal(geo_ewkb_read(buf_span(&out->line), false, &t, &err), 0);
    assert_int_equal(t.nseg, 1);
    assert_int_equal(t.n, 5);
    geo_track_done(&t);
    trails__read_done(&r);
    trails__read_done(&r);
}

static void test_the_plan_is_left_out_when_there_is_a_track(void **state)
{
    (void)state;
    struct trails_read r = read_whole(
        "mixed.gpx", "<gpx><rte><rtept lat=\"10\" lon=\"10\"/><rtept lat=\"11\" lon=\"10\"/></rte>"
                     "<trk>" WEST "</trk></gpx>");
    assert_int_equal(r.route.v[0].err.class, 0);
    assert_int_equal(r.route.v[0].points, 3);
    trails__read_done(&r);
    r = read_whole("plan.gpx", "<gpx><rte><name>Plan</name><rtept lat=\"10\" lon=\"10\"/>"
                               "<rtept lat=\"10.1\" lon=\"10\"/></rte></gpx>");
    assert_int_equal(r.route.v[0].err.class, 0);
    assert_string_equal(r.route.v[0].name, "Plan");
    trails__read_done(&r);
}

static void test_files_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *content, *why;
    } row[] = {
        {"gap.gpx", "<gpx><trk>" WEST AWAY "</trk></gpx>", "gap"},
        {"none.gpx", "<gpx><wpt lat=\"1\" lon=\"1\"/><wpt lat=\"2\" lon=\"1\"/></gpx>",
         "no line in it (2 waypoints)"},
        {"cut.gpx", "<gpx><trk><trkseg>", "line 1"},
        {"text.txt", "a letter home", "neither GPX nor GeoJSON"},
        {"empty.gpx", "", "empty"},
        {"dot.gpx", "<gpx><trk>" SEG(PT("7", "46")) "</trk></gpx>", ""},
        {"still.gpx", "<gpx><trk>" SEG(PT("7", "46") PT("7", "46")) "</trk></gpx>", ""},
        {"list.geojson", "{\"type\": \"FeatureCollection\", \"features\": []}", "no line in it"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct trails_read r = read_whole(row[i].name, row[i].content);
        assert_int_equal(r.route.v[0].err.class, ERR_PERMANENT);
        if (!strstr(r.route.v[0].err.msg, row[i].why) || r.route.v[0].err.msg[0] == '\0') {
            fail_msg("%s: %s", row[i].name, r.route.v[0].err.msg);
        }
        assert_int_equal(r.route.v[0].line.n, 0);
        assert_non_null(r.route.v[0].id);
        trails__read_done(&r);
    }
    struct trails_read gone = {.path = "/nonexistent/route.gpx", .tolerance_m = 40};
    trails__read_file(&gone);
    assert_int_equal(gone.route.n, 1);
    assert_int_equal(gone.route.v[0].err.class, ERR_PERMANENT);
    trails__read_done(&gone);
}

static void test_each_line_on_its_own(void **state)
{
    (void)state;
    struct trails_read r = {.each = true};
    read_as(&r, "Alps.gpx",
            "<gpx><trk><name>One</name>" WEST "</trk><trk>" SEG(PT("7", "46")) "</trk><trk>" AWAY
                                                                               "</trk></gpx>");
    assert_int_equal(r.route.n, 3);
    assert_string_equal(r.route.v[0].id, "alps-1");
    assert_string_equal(r.route.v[0].name, "One");
    assert_int_equal(r.route.v[0].err.class, 0);
    assert_int_equal(r.route.v[1].err.class, ERR_PERMANENT);
    assert_string_equal(r.route.v[2].id, "alps-3");
    assert_string_equal(r.route.v[2].name, "Alps-3");
    assert_int_equal(r.route.v[2].err.class, 0);
    trails__read_done(&r);
}

static void test_a_tolerance_that_no_route_has(void **state)
{
    (void)state;
    struct trails_read r = {.tolerance_m = 5000};
    read_as(&r, "a-b.gpx", "<gpx><trk>" WEST "</trk></gpx>");
    assert_int_equal(r.route.v[0].err.class, ERR_PERMANENT);
    trails__read_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_an_id_that_is_given),
        cmocka_unit_test(test_segments_become_one_line),
        cmocka_unit_test(test_the_plan_is_left_out_when_there_is_a_track),
        cmocka_unit_test(test_files_that_are_refused),
        cmocka_unit_test(test_each_line_on_its_own),
        cmocka_unit_test(test_a_tolerance_that_no_route_has),
    };
    return cmocka_run_group_tests_name("route files", tests, NULL, NULL);
}
