#include "unit/geo/track_helper.h"

static void test_detect(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *path;
        enum geo_file_kind kind;
    } cases[] = {
        {SPAN("<?xml version=\"1.0\"?>\n<gpx version=\"1.1\">"), NULL, GEO_FILE_GPX},
        {SPAN("\xef\xbb\xbf \n<!-- x --><x:gpx>"), "a.txt", GEO_FILE_GPX},
        {SPAN("<gpx"), "wrong.geojson", GEO_FILE_GPX},
        {SPAN("{\"type\":\"FeatureCollection\""), NULL, GEO_FILE_GEOJSON},
        {SPAN(" {\"coordinates\":[[1,2]]"), "wrong.gpx", GEO_FILE_GEOJSON},
        {SPAN("{\"a\":1}"), NULL, GEO_FILE_UNKNOWN},
        {SPAN("{\"a\":1}"), "x.JSON", GEO_FILE_GEOJSON},
        {SPAN("<kml>"), NULL, GEO_FILE_UNKNOWN},
        {SPAN("<kml>"), "x.kml", GEO_FILE_UNKNOWN},
        {SPAN(""), "dir.gpx/x", GEO_FILE_UNKNOWN},
        {SPAN(""), "x.GPX", GEO_FILE_GPX},
        {SPAN(""), NULL, GEO_FILE_UNKNOWN},
        {{NULL, 0}, "gpx", GEO_FILE_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(geo_file_detect(cases[i].text, cases[i].path), cases[i].kind);
}

static void assert_refused(struct span text, enum geo_file_kind kind, const char *says)
{
    struct geo_file f = {0};
    struct err err;
    assert_int_equal(geo_file_read(text, kind, &f, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused(SPAN("x"), GEO_FILE_UNKNOWN, "neither a GPX nor a GeoJSON");
    assert_refused(SPAN(""), GEO_FILE_UNKNOWN, "empty");
    size_t n = (size_t)GEO_MAX_FILE_BYTES + 1;
    char *blank = mem_try_alloc(n);
    assert_non_null(blank);
    assert_refused((struct span){blank, n}, GEO_FILE_GPX, "up to 256 MB");
    mem_free(blank);
}

static void test_done_twice(void **state)
{
    (void)state;
    struct geo_file f = {0};
    geo_file_done(&f);
    geo_file_done(&f);
}

static struct geo_file try_read(const char *folder, const char *name, bool *ok)
{
    struct geo_file f = {0};
    struct err err = {0};
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    struct span bytes = read_whole(path);
    assert_non_null(bytes.p);
    enum geo_file_kind kind = geo_file_detect(bytes, name);
    *ok = kind != GEO_FILE_UNKNOWN && geo_file_read(bytes, kind, &f, &err) == 0;
    if (!*ok && kind != GEO_FILE_UNKNOWN)
        assert_true(err.msg[0] != '\0' && !strchr(err.msg, '\n'));
    mem_free((void *)(uintptr_t)bytes.p);
    return f;
}

/* Every GPX and GeoJSON file of a folder is read, and its tracks are valid. Returns how many files.
 */
static size_t read_folder(const char *folder)
{
    size_t files = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        bool ok;
        struct err err;
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || (strcmp(dot, ".gpx") != 0 && strcmp(dot, ".geojson") != 0))
            continue;
        struct geo_file f = try_read(folder, entry->d_name, &ok);
        if (!ok)
            fail_msg("%s is refused", entry->d_name);
        for (size_t i = 0; i < f.n; i++) {
            assert_int_equal(geo_track_check(&f.feature[i].track, &err), 0);
            assert_true(f.feature[i].track.n > 0);
        }
        assert_int_equal(f.dropped, 0);
        geo_file_done(&f);
        files++;
    }
    closedir(d);
    return files;
}

static void test_shared_files(void **state)
{
    (void)state;
    static const char *const folders[] = {
        "routes",
        "activities/pct-2023-recorded",
        "activities/running-suzhou/gpx",
        "activities/swcp-walked-days",
        "activities/tmb-2022-recorded",
        "vectors/gpxpy",
        "vectors/togeojson",
        "vectors/graphhopper-map-matching",
    };
    need_shared_data();
    size_t files = 0;
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", SHARED_DATA, folders[i]);
        files += read_folder(path);
    }
    print_message("%zu files\n", files);
    assert_true(files > 150);
}

/* What is no track file, cut off anywhere, is refused or read, never worse. */
static void test_shared_cut_off(void **state)
{
    (void)state;
    static const char *const names[] = {"vectors/gpxpy/gpx1.1_with_all_fields.gpx",
                                        "vectors/togeojson/garmin_extensions.gpx",
                                        "activities/swcp-walked-days/day-09.geojson"};
    need_shared_data();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", SHARED_DATA, names[i]);
        struct span bytes = read_whole(path);
        assert_non_null(bytes.p);
        enum geo_file_kind kind = geo_file_detect(bytes, path);
        size_t end = span_trim(bytes).n;
        for (size_t n = 0; n < end; n++) {
            struct geo_file f = {0};
            struct err err;
            char *cut = mem_alloc(n + 1);
            memcpy(cut, bytes.p, n);
            assert_int_equal(geo_file_read((struct span){cut, n}, kind, &f, &err), -1);
            mem_free(cut);
        }
        mem_free((void *)(uintptr_t)bytes.p);
    }
}

static void test_shared_figures(void **state)
{
    (void)state;
    need_shared_data();
    struct geo_file f = shared_file("routes/bruce-trail.gpx");
    assert_string_equal(f.name, "Bruce Trail");
    assert_int_equal(f.n, 12);
    geo_file_done(&f);
    f = shared_file("routes/bob-graham-round.gpx");
    assert_int_equal(f.n, 5);
    assert_int_equal(f.waypoints, 52);
    geo_file_done(&f);
    f = shared_file("routes/south-west-coast-path.gpx");
    assert_int_equal(f.feature[0].track.n, 11871);
    assert_int_equal(f.waypoints, 103);
    geo_file_done(&f);
    f = shared_file("vectors/togeojson/blue_hills.gpx");
    assert_int_equal(f.feature[0].track.nseg + f.feature[1].track.nseg + f.feature[2].track.nseg,
                     14);
    geo_file_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_done_twice),     cmocka_unit_test(test_shared_files),
        cmocka_unit_test(test_shared_cut_off), cmocka_unit_test(test_shared_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
