/* Files that are broken, hostile or huge: one clear line each, the right exit status, the good ones
 * among them imported, and nothing of theirs reaches the terminal raw. */
#include "it/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define GPX(inside)   "<?xml version=\"1.0\"?>\n<gpx version=\"1.1\">" inside "</gpx>\n"
#define TRK(points)   GPX("<trk><name>t</name><trkseg>" points "</trkseg></trk>")
#define PT(lat, lon)  "<trkpt lat=\"" lat "\" lon=\"" lon "\"/>"
#define JSON(type, c) "{\"type\":\"" type "\",\"coordinates\":" c "}"
#define GOOD          PT("46.1", "7.1") PT("46.11", "7.1") PT("46.12", "7.11")

struct bad {
    const char *name, *text;
    const char *track, *route; /* why `import` and `route import` refuse it; NULL: they do not */
};

static const struct bad bad[] = {
    {"empty.gpx", "", "empty", "empty"},
    {"blank.gpx", " \n\t\n", "line", "line"},
    {"prose.txt", "Dear diary, today I went up the hill.", "neither GPX nor GeoJSON",
     "neither GPX nor GeoJSON"},
    {"prose.gpx", "Dear diary, today I went up the hill.", "line 1", "line 1"},
    {"page.gpx", "<html><body><p>404 Not Found<br></body></html>", "line 1", "line 1"},
    {"cut.gpx", "<?xml version=\"1.0\"?><gpx><trk><trkseg>" GOOD "<trkpt lat=\"46.1", "line 1",
     "line 1"},
    {"crossed.gpx", "<gpx><trk><trkseg></trk></trkseg></gpx>", "line 1", "line 1"},
    {"latin1.gpx", GPX("<trk><name>Z\xfcrich</name><trkseg>" GOOD "</trkseg></trk>"), "line 2",
     "line 2"},
    {"nul.geojson", "{\"type\":\"Feature\"", "line 1", "line 1"},
    {"bomb.gpx",
     "<?xml version=\"1.0\"?><!DOCTYPE gpx [<!ENTITY a \"haha\"><!ENTITY b \"&a;&a;&a;&a;&a;\">"
     "<!ENTITY c \"&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;\">]>"
     "<gpx><trk><name>&d;</name><trkseg>" GOOD "</trkseg></trk></gpx>",
     "entit", "entit"},
    {"outside.gpx",
     "<?xml version=\"1.0\"?><!DOCTYPE gpx [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
     "<gpx><trk><name>&x;</name><trkseg>" GOOD "</trkseg></trk></gpx>",
     "entit", "entit"},
    {"nothing.gpx", GPX(""), "no track", "no line"},
    {"waypoints.gpx", GPX("<wpt lat=\"46\" lon=\"7\"/><wpt lat=\"46.1\" lon=\"7\"/>"), "waypoint",
     "waypoint"},
    {"single.gpx", TRK(PT("46.1", "7.1")), "1 point", ""},
    {"equal.gpx", TRK(PT("46.1", "7.1") PT("46.1", "7.1") PT("46.1", "7.1")), NULL, ""},
    {"nan.gpx", TRK(PT("NaN", "7.1") PT("inf", "7.1") PT("46.1", "nan")), "position", "position"},
    {"some-nan.gpx", TRK(GOOD PT("NaN", "7.1")), NULL, NULL},
    {"lat91.gpx", TRK(PT("91", "7.1") PT("91.5", "7.1") PT("-91", "7.1")), "position", "position"},
    {"some-lat91.gpx", TRK(GOOD PT("91", "7.1")), NULL, NULL},
    {"words.gpx", TRK(PT("north", "east") PT("", "") PT("4e999", "1")), "position", "position"},
    {"hole.gpx", TRK("<trkpt/><trkpt lat=\"46\"/>"), "position", "position"},
    {"jump.gpx", TRK(GOOD PT("46.22", "7.11") PT("46.23", "7.11")), NULL, NULL},
    {"point.geojson", JSON("Point", "[7,46]"), "no track", "no line"},
    {"cut.geojson", "{\"type\":\"LineString\",\"coordinates\":[[7,46],[7.1", "line 1", "line 1"},
    {"text.geojson", JSON("LineString", "\"here\""), "", ""},
    {"strings.geojson", JSON("LineString", "[[\"7\",\"46\"],[\"8\",\"46\"]]"), "", ""},
    {"null.geojson", "{\"type\":\"Feature\",\"geometry\":null,\"properties\":null}", "no track",
     "no line"},
    {"big.geojson", JSON("LineString", "[[1e308,46],[1e308,47],[7,1e400]]"), "", ""},
    {"other.geojson", "[1,2,3]", "", ""},
    {"two.geojson", JSON("LineString", "[[7,46],[7.001,46.001]]"), NULL, NULL},
};

static void must_refuse(struct it_db *db, const struct bad *b, const char *why,
                        const char *const *args)
{
    struct it_result r = it_run(db, NULL, args);
    if (getenv("IT_SHOW"))
        fprintf(stderr, "%-18s %d %s%s", b->name, r.status, r.err, r.err[0] ? "" : "\n");
    if (r.status != (why == NULL ? 0 : 1))
        fail_msg("%s %s: status %d\n%s%s", args[0], b->name, r.status, r.out, r.err);
    if (why == NULL) {
        assert_string_equal(r.err, "");
        return;
    }
    load_one_line(&r, why);
    assert_non_null(strstr(r.err, b->name));
}

static void one_by_one(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *path = load_file(bad[i].name, bad[i].text);
        must_refuse(db, &bad[i], bad[i].track,
                    IT_LIST("import", "--quiet", "--athlete", "1", path));
        must_refuse(db, &bad[i], bad[i].route, IT_LIST("route", "import", "--quiet", path));
    }
    it_process(db);
}

/* ---- what is no ordinary file -------------------------------------------------------------- */

static void no_files(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_folder("folder.gpx");
    const char *sparse = load_file("sparse.gpx", "<gpx>");
    assert_int_equal(truncate(sparse, (off_t)300 << 20), 0);
    load_folder("odd");
    const char *loop = it_format("%s/odd/loop.gpx", it_home());
    const char *pipe = it_format("%s/odd/pipe.gpx", it_home());
    const char *endless = it_format("%s/odd/endless.gpx", it_home());
    const char *broken = it_format("%s/odd/broken.gpx", it_home());
    assert_int_equal(symlink("loop.gpx", loop), 0);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(symlink("/dev/zero", endless), 0);
    assert_int_equal(symlink("/proc/self/mem", broken), 0);
    const struct bad odd[] = {
        {"missing.gpx", NULL, "No such file", "No such file"},
        {"sparse.gpx", NULL, "at most", "at most"},
        {"odd/loop.gpx", NULL, "Too many levels of symbolic links", "Too many levels"},
        {"odd/pipe.gpx", NULL, "empty", "empty"},
        {"odd/endless.gpx", NULL, "no plain file", "no plain file"},
        {"odd/broken.gpx", NULL, "", ""},
        {"folder.gpx", NULL, NULL, "folder"},
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        const char *path = odd[i].name;
        must_refuse(db, &odd[i], odd[i].track,
                    IT_LIST("import", "--quiet", "--athlete", "1", path));
        must_refuse(db, &odd[i], odd[i].route, IT_LIST("route", "import", "--quiet", path));
    }
}

static void not_ours_to_read(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *path = load_file("secret.gpx", TRK(GOOD));
    assert_int_equal(chmod(path, 0), 0);
    if (access(path, R_OK) == 0) {
        print_message("skipped: root may read everything\n");
        return;
    }
    struct it_result r = it_run(db, NULL, IT_LIST("import", "--athlete", "1", path));
    assert_int_equal(r.status, 1);
    load_one_line(&r, "Permission denied");
}

/* ---- good ones among them ------------------------------------------------------------------ */

static void one_bad_among_good(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_folder("mixed");
    load_folder("mixed/deep");
    for (int i = 0; i < 40; i++)
        (void)load_gpx(it_format("mixed/%s%02d.gpx", i % 3 == 0 ? "deep/" : "", i), "w", 0.01 * i,
                       0.2 + 0.01 * i, 0, 50);
    (void)load_file("mixed/17x.gpx", "<gpx><trk>");
    (void)load_file("mixed/notes.txt", "not a track, and not meant as one");
    assert_int_equal(symlink(".", it_format("%s/mixed/again", it_home())), 0);
    struct it_result r = it_run(db, NULL, IT_LIST("import", "--quiet", "--athlete", "1", "mixed"));
    assert_int_equal(r.status, 1);
    load_one_line(&r, "mixed/17x.gpx: ");
    it_holds(db, "(SELECT count(*) FROM activities) = 40");
    it_must(db, NULL,
            IT_LIST("import", "--quiet", "--athlete", "1", "mixed/01.gpx", "mixed/02.gpx"), 0);
    (void)load_gpx("late.gpx", "late", 0.5, 0.6, 0, 20);
    r = it_run(
        db, NULL,
        IT_LIST("import", "--quiet", "--athlete", "1", "nowhere", "late.gpx", "mixed/01.gpx"));
    assert_int_equal(r.status, 1);
    load_one_line(&r, "nowhere: ");
    assert_non_null(strstr(r.out, "1 new activity, 1 known already, 1 file refused"));
    it_exec(db, "DELETE FROM activities WHERE name = 'late'");
    it_holds(db, "(SELECT count(*) FROM activities) = 40");
}

static void many_files(void **state)
{
    (void)state;
    enum { MANY = 2500 };
    struct it_db *db = it_db_new();
    load_folder("many");
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "many/%04d.gpx", i);
        (void)load_gpx(name, "w", 0.0003 * i, 0.1 + 0.0003 * i, 0, 8);
    }
    struct it_result r =
        it_must(db, NULL, IT_LIST("import", "--quiet", "--athlete", "1", "many"), 0);
    it_holds(db, "(SELECT count(*) FROM activities) = %d", MANY);
    print_message("%d files in %lld ms\n", MANY, (long long)r.ms);
    assert_in_range(r.ms, 1, 40000);
}

static void many_points(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *path = load_gpx("long.gpx", "long", 0, 1, 0, 200000);
    struct it_result route = it_must(db, NULL, IT_LIST("route", "import", path), 0);
    struct it_result track = it_must(db, NULL, IT_LIST("import", "--athlete", "1", path), 0);
    int64_t start = it_now_ms();
    it_process(db);
    print_message("200,000 points: route %lld ms, track %lld ms, process %lld ms\n",
                  (long long)route.ms, (long long)track.ms, (long long)(it_now_ms() - start));
    assert_in_range(route.ms + track.ms + it_now_ms() - start, 1, 60000);
    it_holds(db, "(SELECT covered_length > 0.999 * length FROM route_stats s JOIN routes r ON"
                 " r.id = s.route_id)");
}

/* ---- what a terminal would obey ------------------------------------------------------------ */

static void is_tame(const char *text, const char *what)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        bool turns = p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae;
        if ((*p < 0x20 && *p != '\n') || *p == 0x7f || c1 || turns)
            fail_msg("%s prints a control character: %s", what, text);
    }
}

static void tame(struct it_db *db, const char *const *args, const char *what)
{
    struct it_result r = it_run(db, NULL, args);
    is_tame(r.out, what);
    is_tame(r.err, what);
}

static void names_are_tame(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *line = "[[7,46],[7.01,46.01],[7.02,46.03]]";
    (void)load_file("escape.geojson",
                    it_format("{\"type\":\"Feature\",\"properties\":{\"name\":\"a\\u001b[2Jb\\u0007"
                              "\\u009b31m\\r\\nwaymark: all is well\\u202e\"},\"geometry\":"
                              "{\"type\":\"LineString\",\"coordinates\":%s}}",
                              line));
    (void)load_file("c1.gpx", GPX("<trk><name>x\xc2\x9b\x33\x31m\ny\x7f</name><trkseg>" GOOD
                                  "</trkseg></trk>"));
    const char *evil = it_format("evil\033[31m\nwaymark: fine.gpx");
    (void)load_file(evil, "<gpx");
    const char *good = it_format("good\033]0;owned\007.gpx");
    (void)load_file(good, TRK(GOOD));
    tame(db, IT_LIST("route", "import", "escape.geojson"), "route import of an escape");
    tame(db, IT_LIST("route", "import", "c1.gpx"), "route import of a C1 control");
    tame(db, IT_LIST("route", "import", evil), "a refused route's path");
    tame(db, IT_LIST("route", "import", good), "a route's path");
    tame(db, IT_LIST("import", "--athlete", "1", evil, good, "c1.gpx"), "import");
    it_exec(db, "INSERT INTO routes (id, display_name, track) VALUES"
                " (E'id\\x1b[31m', E'name\\x1b]0;owned\\x07\\n', it.way(0, 1, 9))");
    it_process(db);
    tame(db, IT_LIST("route", "list"), "route list");
    tame(db, IT_LIST("route", "show", it_format("id\033[31m")), "route show");
    tame(db, IT_LIST("route", "show", it_format("no\033[31m")), "a route that is not there");
    tame(db, IT_LIST("route", "gaps", "c1", "--format", "geojson"), "route gaps");
    tame(db, IT_LIST("route", "remove", it_format("id\033[31m"), it_format("no\033[31m")),
         "route remove");
    tame(db, IT_LIST(it_format("no\033[31m")), "an unknown command");
    tame(db, IT_LIST("process", it_format("--no\033[31m")), "an unknown option");
    tame(db, IT_LIST("status"), "status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(one_by_one),         IT_TEST(no_files),   IT_TEST(not_ours_to_read),
        IT_TEST(one_bad_among_good), IT_TEST(many_files), IT_TEST(many_points),
        IT_TEST(names_are_tame),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
