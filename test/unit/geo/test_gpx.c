#include "unit/geo/track_helper.h"

#define GPX(body)                                                                                  \
    "<?xml version=\"1.0\"?>\n<gpx version=\"1.1\" "                                               \
    "xmlns=\"http://www.topografix.com/GPX/1/1\">" body "</gpx>"
#define TRK(points)  GPX("<trk><trkseg>" points "</trkseg></trk>")
#define PT(lat, lon) "<trkpt lat=\"" lat "\" lon=\"" lon "\"/>"
#define PT_AT(lat, lon, time)                                                                      \
    "<trkpt lat=\"" lat "\" lon=\"" lon "\"><ele>5</ele><time>" time "</time></trkpt>"

static struct geo_file read_ok(struct span text)
{
    struct geo_file f = {0};
    struct err err;
    if (geo_file_read(text, GEO_FILE_GPX, &f, &err) != 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(geo_track_check(&f.feature[i].track, &err), 0);
    return f;
}

static void assert_refused(struct span text, const char *says)
{
    struct geo_file f = {0};
    struct err err;
    assert_int_equal(geo_file_read(text, GEO_FILE_GPX, &f, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    assert_null(f.feature);
}

static void test_plain(void **state)
{
    (void)state;
    struct geo_file f = read_ok(SPAN(GPX(
        "<metadata><name>\n My  walks </name><author><name>N.N.</name></author></metadata>"
        "<wpt lat=\"1\" lon=\"2\"><name>Hut</name></wpt>"
        "<trk><name>Day &lt;1&gt;</name><type>hiking</type><extensions><name>no</name></extensions>"
        "<trkseg>" PT_AT("45.5", "6.25", "2022-07-01T08:00:00Z")
            PT_AT("45.6", "6.35", "2022-07-01T08:00:10.5Z") "</trkseg><trkseg/><trkseg>" PT(
                "-45.7", " 6.5 ") "</trkseg></trk>"
                                  "<rte><name>Plan</name><rtept lat=\"1\" lon=\"1\"/><rtept "
                                  "lat=\"2\" lon=\"2\"/></rte>")));
    assert_string_equal(f.name, "My  walks");
    assert_int_equal(f.waypoints, 1);
    assert_int_equal(f.dropped, 0);
    assert_int_equal(f.n, 2);
    const struct geo_feature *day = &f.feature[0], *plan = &f.feature[1];
    assert_int_equal(day->kind, GEO_FEATURE_TRACK);
    assert_string_equal(day->name, "Day <1>");
    assert_string_equal(day->type, "hiking");
    assert_int_equal(day->track.n, 3);
    assert_int_equal(day->track.nseg, 2);
    assert_int_equal(day->track.seg[1], 2);
    assert_true(day->track.pt[2].lat == -45.7 && day->track.pt[2].lon == 6.5);
    assert_true(day->track.t[0] == 1656662400 && day->track.t[1] == 1656662410.5);
    assert_true(isnan(day->track.t[2]));
    assert_int_equal(plan->kind, GEO_FEATURE_ROUTE);
    assert_string_equal(plan->name, "Plan");
    assert_null(plan->type);
    assert_null(plan->track.t);
    geo_file_done(&f);
}

/* Prefixes, GPX 1.0's <name> under the root, character data in pieces, comments in between. */
static void test_names(void **state)
{
    (void)state;
    struct geo_file f = read_ok(SPAN(
        "<g:gpx xmlns:g=\"x\"><g:name>old</g:name><g:trk><g:name>a<![CDATA[<b>]]><!-- c -->&#228;"
        "</g:name><g:name>second</g:name><g:trkseg><g:trkpt g:lat=\"9\" lat=\"1\" lon=\"2\"/>"
        "</g:trkseg></g:trk></g:gpx>"));
    assert_string_equal(f.name, "old");
    assert_string_equal(f.feature[0].name, "a<b>\xc3\xa4");
    assert_true(f.feature[0].track.pt[0].lat == 1);
    geo_file_done(&f);
}

static void test_long_name(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "<gpx><trk><name>x");
    for (int i = 0; i < 3000; i++)
        buf_puts(&b, "\xc3\xa4");
    buf_puts(&b, "</name><trkseg>" PT("1", "2") "</trkseg></trk></gpx>");
    struct geo_file f = read_ok(buf_span(&b));
    /* 500 would cut the character in two. */
    assert_int_equal(strlen(f.feature[0].name), 499);
    assert_true(span_utf8_valid(span_of(f.feature[0].name)));
    geo_file_done(&f);
    buf_done(&b);
}

static void test_nothing_in_it(void **state)
{
    (void)state;
    static const struct span files[] = {
        {GPX(""), sizeof(GPX("")) - 1},
        {GPX("<trk/>"), sizeof(GPX("<trk/>")) - 1},
        {TRK(""), sizeof(TRK("")) - 1},
        {GPX("<rte><name>x</name></rte>"), sizeof(GPX("<rte><name>x</name></rte>")) - 1},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct geo_file f = read_ok(files[i]);
        assert_int_equal(f.n, 0);
        geo_file_done(&f);
    }
}

static void test_bad_points(void **state)
{
    (void)state;
    struct geo_file f = read_ok(
        SPAN(TRK(PT("1", "2") PT("NaN", "2") PT("1", "inf") "<trkpt lat=\"1\"/>" PT("90.1", "2")
                     PT("0x10", "2") PT("1,5", "2") PT("1", "541") PT("2", "181") PT("3", "2")
                         PT("4", "2") PT("5", "2") PT("6", "2") PT("7", "2") PT("8", "2"))));
    assert_int_equal(f.dropped, 7);
    assert_int_equal(f.feature[0].track.n, 8);
    assert_int_equal(f.feature[0].track.nseg, 1);
    assert_true(f.feature[0].track.pt[1].lon == -179);
    geo_file_done(&f);
    assert_refused(SPAN(TRK(PT("1", "2") PT("x", "2") PT("", "2"))),
                   "2 of 3 points carry no valid position");
    assert_refused(SPAN(TRK(PT("x", "2"))), "1 of 1 points");
}

static void test_times(void **state)
{
    (void)state;
    struct geo_file f =
        read_ok(SPAN(TRK(PT_AT("1", "1", "2022-07-01T10:00:00+02:00") PT_AT("1", "2", "yesterday")
                             PT_AT("1", "3", "2022-07-01T07:59:00Z") PT_AT("1", "4", "")
                                 PT("1", "5") PT_AT("x", "6", "2022-07-01T08:00:30Z") PT("1", "6")
                                     PT_AT("1", "7", " 2022-07-01T08:01:00Z\n"))));
    const struct geo_track *t = &f.feature[0].track;
    assert_int_equal(t->n, 7);
    assert_int_equal(f.dropped, 1);
    /* 08:00 and 07:59 cannot both be right; the time of a dropped point goes to nobody. */
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(!isnan(t->t[i]), i == 2);
    assert_true(t->t[6] == 1656662460);
    geo_file_done(&f);
}

/* Garmin writes the line between two route points into their extensions. */
static void test_route_shape(void **state)
{
    (void)state;
    struct geo_file f = read_ok(SPAN(
        GPX("<rte><rtept lat=\"1\" lon=\"1\"><extensions><gpxx:RoutePointExtension>"
            "<gpxx:rpt lat=\"1.1\" lon=\"1\"/><gpxx:rpt lat=\"1.2\" lon=\"1\"/>"
            "</gpxx:RoutePointExtension></extensions></rtept><rtept lat=\"2\" lon=\"1\"/></rte>")));
    assert_int_equal(f.feature[0].track.n, 4);
    assert_true(f.feature[0].track.pt[2].lat == 1.2);
    geo_file_done(&f);
}

static void test_encodings(void **state)
{
    (void)state;
    struct geo_file f = read_ok(SPAN("\xef\xbb\xbf" TRK(PT("1", "2"))));
    assert_int_equal(f.n, 1);
    geo_file_done(&f);
    f = read_ok(SPAN("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><gpx><trk><name>\xe4</name>"
                     "<trkseg>" PT("1", "2") "</trkseg></trk></gpx>"));
    assert_string_equal(f.feature[0].name, "\xc3\xa4");
    geo_file_done(&f);
    static const char ascii[] = "<gpx><trk><trkseg>" PT("1", "2") "</trkseg></trk></gpx>";
    char wide[2 + 2 * sizeof(ascii)] = "\xff\xfe";
    for (size_t i = 0; i + 1 < sizeof(ascii); i++) {
        wide[2 + 2 * i] = ascii[i];
        wide[3 + 2 * i] = '\0';
    }
    struct span utf16 = {wide, 2 * sizeof(ascii)};
    assert_int_equal(geo_file_detect(utf16, NULL), GEO_FILE_GPX);
    f = read_ok(utf16);
    assert_int_equal(f.feature[0].track.n, 1);
    geo_file_done(&f);
    assert_refused(SPAN("<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><gpx/>"),
                   "unknown encoding");
    assert_refused(SPAN("<gpx>\n <name>\xe4</name></gpx>"), "line 2 column 8: not well-formed");
}

static void test_malformed(void **state)
{
    (void)state;
    assert_refused(SPAN(""), "empty");
    assert_refused(SPAN("  "), "ends too early");
    assert_refused(SPAN("<gpx>\n<trk>"), "line 2 column 6: the file ends too early");
    assert_refused(SPAN("<gpx>\n<trk><trkseg><trkpt lat=\"1\" lo"), "line 2 column");
    assert_refused(SPAN("<gpx><trk></gpx>"), "mismatched tag");
    assert_refused(SPAN("<gpx/><gpx/>"), "line 1 column 7");
    assert_refused(SPAN("<kml><gpx/></kml>"), "root element is <kml>");
    assert_refused(SPAN("<html>"), "root element is <html>");
    assert_refused(SPAN("no XML at all"), "line 1 column 1");
    assert_refused(SPAN("<gpx>&nbsp;</gpx>"), "line 1 column 6");
}

static void test_entities(void **state)
{
    (void)state;
    struct geo_file f =
        read_ok(SPAN("<!DOCTYPE gpx SYSTEM \"gpx.dtd\"><gpx><name>a &amp; b</name></gpx>"));
    assert_string_equal(f.name, "a & b");
    geo_file_done(&f);
    assert_refused(
        SPAN("<!DOCTYPE gpx [\n<!ENTITY a \"aaaaaaaaaa\">\n"
             "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>\n<gpx><name>&b;</name></gpx>"),
        "line 2 column 12: entity declarations are not allowed");
    assert_refused(SPAN("<!DOCTYPE gpx [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><gpx>&a;</gpx>"),
                   "entity declarations are not allowed");
    assert_refused(SPAN("<!DOCTYPE gpx [<!ENTITY % p SYSTEM \"http://example.org/\"> %p;]><gpx/>"),
                   "entity declarations are not allowed");
}

/* Ten times ten times ten ... : a gigabyte in ten lines. Refused at the first of them. */
static void test_billion_laughs(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "<!DOCTYPE gpx [<!ENTITY e0 \"ha\">");
    for (int i = 1; i < 30; i++) {
        buf_printf(&b, "<!ENTITY e%d \"", i);
        for (int k = 0; k < 10; k++)
            buf_printf(&b, "&e%d;", i - 1);
        buf_puts(&b, "\">");
    }
    buf_puts(&b, "]><gpx><name>&e29;</name></gpx>");
    int64_t begun = clock_mono_ms();
    assert_refused(buf_span(&b), "entity declarations are not allowed");
    assert_true(clock_mono_ms() - begun < 500);
    buf_done(&b);
}

static void test_deep(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "<gpx>");
    for (int i = 0; i < 100000; i++)
        buf_puts(&b, "<a>");
    assert_refused(buf_span(&b), "nest more than 64 deep");
    buf_done(&b);
}

/* One attribute of many megabytes: refused after the first, and in a time that does not grow with
 * the square. */
static void test_long_token(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "<gpx><trk a=\"");
    for (int i = 0; i < (8 << 20) / 16; i++)
        buf_puts(&b, "0123456789abcdef");
    int64_t begun = clock_mono_ms();
    assert_refused(buf_span(&b), "tag or comment of more than");
    assert_true(clock_mono_ms() - begun < 2000);
    buf_done(&b);
}

/* Several chunks of input, cut wherever they fall. */
static void test_many_points(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct buf b = {0};
    buf_puts(&b, "<gpx><trk><trkseg>");
    for (int i = 0; i < N; i++)
        buf_printf(
            &b,
            "<trkpt lat=\"%d.5\" lon=\"0.%05d\"><time>2022-07-01T%02d:%02d:%02dZ</time></trkpt>",
            i % 90, i, i / 3600, i / 60 % 60, i % 60);
    buf_puts(&b, "</trkseg></trk></gpx>");
    struct geo_file f = read_ok(buf_span(&b));
    const struct geo_track *t = &f.feature[0].track;
    assert_int_equal(t->n, N);
    for (size_t i = 0; i < N; i++) {
        assert_near(t->pt[i].lon, (double)i / 1e5, 1e-12);
        assert_true(t->t[i] == 1656633600.0 + (double)i);
    }
    geo_file_done(&f);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),          cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_name),      cmocka_unit_test(test_nothing_in_it),
        cmocka_unit_test(test_bad_points),     cmocka_unit_test(test_times),
        cmocka_unit_test(test_route_shape),    cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_malformed),      cmocka_unit_test(test_entities),
        cmocka_unit_test(test_billion_laughs), cmocka_unit_test(test_deep),
        cmocka_unit_test(test_long_token),     cmocka_unit_test(test_many_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
