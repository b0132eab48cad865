/* Track files to activities, in a folder that the test makes. */
#include "ingest/work.h"

#include <sys/stat.h>

#include "unit/base/helper.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/waymark-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

static const char *put(const char *name, const char *content)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    return path;
}

static void assert_paths(const struct ingest_paths *p, const char *const *want, size_t n)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(p->v[i] + strlen(dir) + 1, want[i]);
    }
}

static void test_scan(void **state)
{
    (void)state;
    char sub[100], loop[100], link[100];
    snprintf(sub, sizeof(sub), "%s/2024", dir);
    snprintf(loop, sizeof(loop), "%s/2024/up", dir);
    snprintf(link, sizeof(link), "%s/z.gpx", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(symlink("..", loop), 0); /* not followed */
    put("b.gpx", "");
    put("a.GeoJSON", "");
    put("notes.txt", "");
    put("gpx", "");
    assert_int_equal(symlink(put("2024/c.Gpx", ""), link), 0);
    const char *const whole[] = {dir};
    struct ingest_paths p = {0};
    struct err err;
    assert_int_equal(ingest__scan(whole, 1, &p, &err), 0);
    static const char *const sorted[] = {"2024/c.Gpx", "a.GeoJSON", "b.gpx", "z.gpx"};
    assert_paths(&p, sorted, COUNT_OF(sorted));
    ingest__paths_done(&p);

    char file[100];
    snprintf(file, sizeof(file), "%s/notes.txt", dir); /* named: taken whatever it is called */
    const char *const both[] = {file, sub};
    assert_int_equal(ingest__scan(both, 2, &p, &err), 0);
    static const char *const named[] = {"notes.txt", "2024/c.Gpx"};
    assert_paths(&p, named, COUNT_OF(named));
    ingest__paths_done(&p);

    /* Reading it will tell: one bad path does not stop the others. */
    const char *const gone[] = {"/nonexistent", file};
    assert_int_equal(ingest__scan(gone, 2, &p, &err), 0);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.v[0], "/nonexistent");
    ingest__paths_done(&p);
}

#define TRACK                                                                                      \
    "<trk><name>Morning</name><type>Hike</type><trkseg>"                                           \
    "<trkpt lat=\"46\" lon=\"7\"><time>2024-05-01T08:00:00Z</time></trkpt>"                        \
    "<trkpt lat=\"46.01\" lon=\"7\"><time>2024-05-01T08:20:30Z</time></trkpt>"                     \
    "</trkseg></trk>"

static struct ingest_file read_as(const char *name, const char *content, int64_t athlete)
{
    struct ingest_file f = {.path = put(name, content), .athlete_id = athlete};
    ingest__read(&f);
    return f;
}

static void test_an_activity(void **state)
{
    (void)state;
    struct ingest_file f = read_as("walk.gpx", "<gpx>" TRACK "</gpx>", 42);
    assert_int_equal(f.err.class, 0);
    assert_string_equal(f.origin, "gpx");
    assert_int_equal(f.activity.n, 1);
    const struct ingest_activity *a = &f.activity.v[0];
    assert_string_equal(a->name, "Morning");
    assert_string_equal(a->type, "Hike");
    assert_near(a->distance_m, 1111.5, 2);
    assert_int_equal(a->elapsed_s, 1230);
    char iso[40];
    assert_string_equal(time_format_iso(a->start_us, iso), "2024-05-01T08:00:00.000Z");
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_ewkb_read(buf_span(&a->track), true, &t, &err), 0);
    assert_int_equal(t.n, 2);
    assert_near(t.t[1] - t.t[0], 1230, 1e-3);
    geo_track_done(&t);
    assert_int_equal(geo_ewkb_read(buf_span(&a->summary), false, &t, &err), 0);
    assert_int_equal(t.nseg, 1);
    geo_track_done(&t);
    ingest__file_done(&f);
}

/* The same content is the same activity, wherever it lies; another athlete's is another. */
static void test_ids(void **state)
{
    (void)state;
    struct ingest_file a = read_as("a.gpx", "<gpx>" TRACK TRACK "</gpx>", 42);
    struct ingest_file b = read_as("b.gpx", "<gpx>" TRACK TRACK "</gpx>", 42);
    struct ingest_file c = read_as("a.gpx", "<gpx>" TRACK TRACK "</gpx>", 43);
    assert_int_equal(a.activity.n, 2);
    assert_int_equal(a.activity.v[0].id, b.activity.v[0].id);
    assert_int_equal(a.activity.v[1].id, b.activity.v[1].id);
    assert_int_not_equal(a.activity.v[0].id, a.activity.v[1].id);
    assert_int_not_equal(a.activity.v[0].id, c.activity.v[0].id);
    for (size_t i = 0; i < 2; i++) {
        int64_t id = a.activity.v[i].id;
        assert_true(id < 0 && id > -(INT64_C(1) << 53)); /* exact as a double */
    }
    ingest__file_done(&a);
    ingest__file_done(&b);
    ingest__file_done(&c);
}

static void test_what_is_not_known(void **state)
{
    (void)state;
    struct ingest_file f = read_as(
        "line.geojson",
        "{\"type\": \"LineString\", \"coordinates\": [[7, 46], [7.01, 46], [7.02, 46]]}", 1);
    assert_int_equal(f.err.class, 0);
    assert_string_equal(f.origin, "geojson");
    assert_int_equal(f.activity.n, 1);
    assert_null(f.activity.v[0].name);
    assert_string_equal(f.activity.v[0].type, "Workout");
    assert_true(f.activity.v[0].start_us == INT64_MIN);
    assert_int_equal(f.activity.v[0].elapsed_s, -1);
    ingest__file_done(&f);
}

/* A clock that ran backwards, or a single time, gives no duration. */
static void test_times_out_of_order(void **state)
{
    (void)state;
    struct ingest_file f = read_as(
        "back.gpx",
        "<gpx><trk><trkseg><trkpt lat=\"46\" lon=\"7\"><time>2024-05-01T08:00:00Z</time></trkpt>"
        "<trkpt lat=\"46.01\" lon=\"7\"><time>2024-05-01T07:00:00Z</time></trkpt></trkseg></trk>"
        "</gpx>",
        1);
    assert_int_equal(f.activity.n, 1);
    assert_int_equal(f.activity.v[0].elapsed_s, -1);
    ingest__file_done(&f);
}

static void test_files_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *content, *why;
        size_t activities;
    } row[] = {
        {"plan.gpx",
         "<gpx><rte><rtept lat=\"1\" lon=\"1\"/><rtept lat=\"2\" lon=\"1\"/></rte></gpx>",
         "no track in it (0 waypoints)", 0},
        {"dot.gpx", "<gpx><trk><trkseg><trkpt lat=\"1\" lon=\"1\"/></trkseg></trk></gpx>",
         "a track of 1 point", 0},
        {"part.gpx", "<gpx>" TRACK "<trk><trkseg><trkpt lat=\"1\" lon=\"1\"/></trkseg></trk></gpx>",
         "a track of 1 point", 1},
        {"text.gpx", "a letter home", "", 0},
        {"cut.gpx", "<gpx>" TRACK, "", 0},
        {"empty.gpx", "", "the file is empty", 0},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct ingest_file f = read_as(row[i].name, row[i].content, 1);
        assert_int_equal(f.err.class, ERR_PERMANENT);
        if (strstr(f.err.msg, row[i].why) != f.err.msg || f.err.msg[0] == '\0') {
            fail_msg("%s: %s", row[i].name, f.err.msg);
        }
        assert_int_equal(f.activity.n, row[i].activities);
        ingest__file_done(&f);
    }
    struct ingest_file gone = {.path = "/nonexistent/a.gpx"};
    ingest__read(&gone);
    assert_int_equal(gone.err.class, ERR_PERMANENT);
    ingest__file_done(&gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_an_activity),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_times_out_of_order),
        cmocka_unit_test(test_files_that_are_refused),
    };
    return cmocka_run_group_tests_name("track files", tests, make_dir, remove_dir);
}
