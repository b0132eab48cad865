/* Route files to routes. */
#include "flow/files.h"
#include "trails/internal.h"

struct seen {
    char text[512]; /* one line a route: id, new or old, or why not */
};

static void on_route(void *ctx, const struct trails_import_event *e)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof(s->text) - n, "%s %s\n", e->id ? e->id : "-",
             e->why      ? e->why
             : e->is_new ? "new"
                         : "old");
}

struct import {
    struct rig r;
    struct folder d;
    struct seen seen;
    const char *path[8];
    struct trails_import_opts opts;
    struct trails_import_totals totals;
    struct op op;
};

static void open_import(struct import *m)
{
    *m = (struct import){.seen = {""}};
    rig_open(&m->r);
    folder_open(&m->d);
    m->opts = (struct trails_import_opts){.path = m->path,
                                          .tolerance_m = 40,
                                          .max_gap_m = 200,
                                          .on_route = on_route,
                                          .ctx = &m->seen};
}

static void add_file(struct import *m, const char *name, const char *content)
{
    m->path[m->opts.npaths++] = folder_add(&m->d, name, content);
}

static void add_gpx(struct import *m, const char *file, const char *name, int n)
{
    add_file(m, file, gpx_of(m->r.arena, name, 7.0, n));
}

static struct script_unit *expect_put(const char *id, const char *name, bool is_new)
{
    struct script_unit *x = script_expect(RIG_WORK, "store_route_put");
    script_param(x, 0, 1, id);
    script_param(x, 0, 2, name);
    script_param(x, 0, 3, "NULL");
    script_param(x, 0, 4, "40");
    script_row(x, 0, "b", (int)is_new);
    return x;
}

static void run_import(struct import *m)
{
    rig_flow(&m->r, trails_import_flow(m->r.pool, &m->opts, &m->totals), &m->op);
}

static void close_import(struct import *m)
{
    folder_close(&m->d);
    rig_close(&m->r);
}

static void test_files_in_order(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    add_gpx(&m, "tour.gpx", "Tour du Lac", 30);
    add_file(&m, "empty.gpx", "");
    add_file(&m, "points.gpx", "<gpx><wpt lat=\"1\" lon=\"1\"/></gpx>");
    add_gpx(&m, "dot.gpx", NULL, 1);
    add_gpx(&m, "old.gpx", NULL, 30);
    expect_put("tour", "Tour du Lac", true);
    expect_put("old", "old", false);
    run_import(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files, 5);
    assert_int_equal(m.totals.routes, 2);
    assert_int_equal(m.totals.refused, 3);
    char *line[6] = {m.seen.text};
    for (int i = 1; i < 6; i++) {
        line[i] = strchr(line[i - 1], '\n') + 1;
        line[i][-1] = '\0';
    }
    assert_string_equal(line[0], "tour new");
    assert_string_equal(line[1], "empty the file is empty");
    assert_string_equal(line[2], "points no line in it (1 waypoints)");
    assert_non_null(strstr(line[3], "dot "));
    assert_string_equal(line[4], "old old");
    close_import(&m);
}

static void test_no_report_wanted(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    m.opts.on_route = NULL;
    m.opts.id = "mine";
    m.opts.name = "Mine";
    add_gpx(&m, "north.gpx", "Theirs", 30);
    expect_put("mine", "Mine", true);
    run_import(&m);
    assert_int_equal(m.totals.routes, 1);
    close_import(&m);
}

static void test_each_line_a_route(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    m.opts.each = true;
    struct buf b = {0};
    buf_puts(&b, "<gpx><trk><name>North</name><trkseg><trkpt lat=\"46\" lon=\"7\"/><trkpt "
                 "lat=\"46.1\" lon=\"7\"/></trkseg></trk><trk><trkseg><trkpt lat=\"46\" lon=\"7\"/>"
                 "</trkseg></trk><trk><trkseg><trkpt lat=\"45\" lon=\"7\"/><trkpt lat=\"45.1\" "
                 "lon=\"7\"/></trkseg></trk></gpx>");
    add_file(&m, "set.gpx", b.p);
    buf_done(&b);
    expect_put("set-1", "North", true);
    expect_put("set-3", "set-3", true);
    run_import(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files, 1);
    assert_int_equal(m.totals.routes, 2);
    assert_int_equal(m.totals.refused, 1);
    close_import(&m);
}

static void test_a_route_that_the_database_refuses(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    add_gpx(&m, "north.gpx", "A", 30);
    add_gpx(&m, "south.gpx", "B", 30);
    script_fails(expect_put("north", "A", true), "23514", "violates check constraint");
    expect_put("south", "B", true);
    run_import(&m);
    assert_false(m.op.failed);
    assert_string_equal(m.seen.text, "north violates check constraint\nsouth new\n");
    assert_int_equal(m.totals.refused, 1);
    close_import(&m);
}

static void test_the_database_goes_away(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct import m;
        open_import(&m);
        add_gpx(&m, "north.gpx", "A", 30);
        add_gpx(&m, "south.gpx", "B", 30);
        expect_put("north", "A", true);
        struct script_unit *x = expect_put("south", "B", true);
        if (silent) {
            script_silent(x);
        } else {
            script_commit_unknown(x);
        }
        run_import(&m);
        assert_true(m.op.failed);
        assert_int_equal(m.op.err.class, ERR_RETRY);
        assert_int_equal(m.totals.routes, 1);
        close_import(&m);
    }
}

static void test_conflicts_are_tried_again(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    add_gpx(&m, "north.gpx", "A", 30);
    script_fails(expect_put("north", "A", true), "40P01", "deadlock detected");
    expect_put("north", "A", true);
    run_import(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.routes, 1);
    for (int i = 0; i <= TRAILS_RETRIES; i++) {
        script_fails(expect_put("north", "A", true), "40P01", "deadlock detected");
    }
    run_import(&m);
    assert_int_equal(m.op.err.class, ERR_RETRY);
    assert_int_equal(m.totals.routes, 1);
    close_import(&m);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    add_gpx(&m, "north.gpx", "A", 30);
    struct script_unit *x = expect_put("north", "A", true);
    script_silent(x);
    flow_call(trails_import_flow(m.r.pool, &m.opts, &m.totals), &m.op);
    rig_until_asked(&m.r, x);
    op_cancel(&m.op);
    rig_op(&m.r, &m.op);
    assert_int_equal(m.op.err.code, UV_ECANCELED);
    assert_int_equal(m.totals.routes, 0);

    flow_call(trails_import_flow(m.r.pool, &m.opts, &m.totals), &m.op);
    op_cancel(&m.op); /* before it began */
    rig_op(&m.r, &m.op);
    assert_true(m.op.failed);
    close_import(&m);
}

static void test_a_file_that_takes_too_long(void **state)
{
    (void)state;
    struct import m;
    open_import(&m);
    add_gpx(&m, "north.gpx", "A", 30);
    m.r.skip_in_work_ms = TRAILS_WORK_MS + 1;
    run_import(&m);
    assert_int_equal(m.op.err.code, UV_ETIMEDOUT);
    close_import(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_in_order),
        cmocka_unit_test(test_no_report_wanted),
        cmocka_unit_test(test_each_line_a_route),
        cmocka_unit_test(test_a_route_that_the_database_refuses),
        cmocka_unit_test(test_the_database_goes_away),
        cmocka_unit_test(test_conflicts_are_tried_again),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_a_file_that_takes_too_long),
    };
    return cmocka_run_group_tests_name("importing routes", tests, NULL, NULL);
}
