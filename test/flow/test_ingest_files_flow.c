/* Track files to activities. */
#include "flow/files.h"
#include "ingest/ingest.h"

#define PUT "store_athlete_ensure store_activity_put"
enum { WORK_MS = 600000, CALL_MS = 60000 }; /* as in ingest_files_flow.c */

struct ingest {
    struct rig r;
    struct folder d;
    char seen[1024]; /* one line a file: name, new, known, why not */
    size_t scanned;
    const char *path[40];
    struct ingest_opts opts;
    struct ingest_totals totals;
    struct op op;
};

static void on_file(void *ctx, const struct ingest_event *e)
{
    struct ingest *m = ctx;
    size_t n = strlen(m->seen);
    snprintf(m->seen + n, sizeof(m->seen) - n, "%s %zu %zu %s\n", strrchr(e->path, '/') + 1,
             e->activities, e->known, e->why ? e->why : "ok");
}

static void on_scan(void *ctx, size_t files)
{
    ((struct ingest *)ctx)->scanned = files;
}

static void open_ingest(struct ingest *m)
{
    *m = (struct ingest){.seen = ""};
    rig_open(&m->r);
    folder_open(&m->d);
    m->path[0] = m->d.path;
    m->opts = (struct ingest_opts){.path = m->path,
                                   .npaths = 1,
                                   .athlete_id = 42,
                                   .on_file = on_file,
                                   .on_scan = on_scan,
                                   .ctx = m};
}

static void add_gpx(struct ingest *m, const char *file, int n)
{
    (void)folder_add(&m->d, file, gpx_of(m->r.arena, file, 7.0, n));
}

/* A unit that puts n activities; news says of each whether it is new. */
static struct script_unit *expect_put(const char *news)
{
    struct buf names = {0};
    for (size_t i = 0; news[i]; i++) {
        buf_puts(&names, i ? " " PUT : PUT);
    }
    struct script_unit *x = script_expect(RIG_WORK, names.p);
    buf_done(&names);
    script_flags(x, DB_TX);
    for (unsigned i = 0; news[i]; i++) {
        script_param(x, 2 * i, 1, "42");
        script_row(x, 2 * i + 1, "b", news[i] == 'n');
    }
    return x;
}

static struct flow *make_flow(struct ingest *m)
{
    return ingest_files_flow(m->r.pool, &m->opts, &m->totals);
}

static void run_ingest(struct ingest *m)
{
    rig_flow(&m->r, make_flow(m), &m->op);
}

static void close_ingest(struct ingest *m)
{
    folder_close(&m->d);
    rig_close(&m->r);
}

static void test_a_folder(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    add_gpx(&m, "b.GPX", 40);
    (void)folder_add(&m.d, "bad.gpx", "<gpx><trk");
    (void)folder_add(&m.d, "notes.txt", "not looked at");
    struct script_unit *x = expect_put("nk"); /* one transaction, one by one in order */
    script_param(x, 1, 2, "42");
    script_param(x, 1, 3, "a.gpx");
    script_param(x, 1, 5, "a.gpx");
    script_param(x, 1, 11, "gpx");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.scanned, 3);
    assert_int_equal(m.totals.files, 3);
    assert_int_equal(m.totals.files_done, 3);
    assert_int_equal(m.totals.files_refused, 1);
    assert_int_equal(m.totals.activities, 1);
    assert_int_equal(m.totals.known, 1);
    assert_true(strncmp(m.seen, "a.gpx 1 0 ok\nb.GPX 0 1 ok\nbad.gpx 0 0 ", 38) == 0);
    close_ingest(&m);
}

static void test_nothing_to_store(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    run_ingest(&m); /* an empty folder */
    assert_false(m.op.failed);
    assert_int_equal(m.scanned, 0);
    (void)folder_add(&m.d, "bad.gpx", "no");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files_refused, 1);
    close_ingest(&m);
}

static void test_a_path_that_is_not_there(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    m.path[1] = "/nonexistent/tracks";
    m.opts.npaths = 2;
    expect_put("n");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files_done, 2);
    assert_int_equal(m.totals.files_refused, 1);
    assert_int_equal(m.totals.activities, 1);
    close_ingest(&m);
}

static void test_more_files_than_one_transaction_takes(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    m.opts.npaths = 34;
    for (size_t i = 0; i < m.opts.npaths; i++) {
        m.path[i] = m.d.file[0];
    }
    expect_put("nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    expect_put("kk");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files_done, 34);
    assert_int_equal(m.totals.activities, 1);
    assert_int_equal(m.totals.known, 33);
    close_ingest(&m);
}

/* The one that the database refuses is found, the rest is stored, and what comes after it goes
 * together again. */
static void test_one_that_the_database_refuses(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    add_gpx(&m, "b.gpx", 31);
    m.opts.npaths = 34;
    for (size_t i = 0; i < m.opts.npaths; i++) {
        m.path[i] = m.d.file[i == 1];
    }
    script_fails(expect_put("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"), "22P02", "invalid geometry");
    for (int i = 0; i < 32; i++) {
        struct script_unit *x = expect_put("n");
        if (i == 1) {
            script_fails(x, "22P02", "invalid geometry");
        }
    }
    expect_put("nn");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.files_done, 34);
    assert_int_equal(m.totals.files_refused, 1);
    assert_int_equal(m.totals.activities, 33);
    assert_non_null(strstr(m.seen, "b.gpx 0 0 invalid geometry\n"));
    close_ingest(&m);
}

static void test_the_database_goes_away(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct ingest m;
        open_ingest(&m);
        add_gpx(&m, "a.gpx", 30);
        struct script_unit *x = expect_put("n");
        if (silent) {
            script_silent(x);
        } else {
            script_commit_unknown(x);
        }
        run_ingest(&m);
        assert_int_equal(m.op.err.class, ERR_RETRY);
        assert_int_equal(m.op.err.code, silent ? UV_ETIMEDOUT : 0);
        assert_in_range(m.r.now_ms, 0, CALL_MS + 100);
        assert_int_equal(m.totals.files_done, 0);
        close_ingest(&m);
    }
}

static void test_conflicts_are_tried_again(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    add_gpx(&m, "b.gpx", 30);
    script_fails(expect_put("nn"), "40P01", "deadlock detected");
    script_fails(expect_put("nn"), "40001", "could not serialize");
    expect_put("nn");
    run_ingest(&m);
    assert_false(m.op.failed);
    assert_int_equal(m.totals.activities, 2);
    close_ingest(&m);

    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    for (int i = 0; i <= 10; i++) {
        script_fails(expect_put("n"), "40P01", "deadlock detected");
    }
    run_ingest(&m);
    assert_int_equal(m.op.err.class, ERR_RETRY);
    close_ingest(&m);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    struct script_unit *x = expect_put("n");
    script_silent(x);
    flow_call(make_flow(&m), &m.op);
    rig_until_asked(&m.r, x);
    op_cancel(&m.op);
    rig_op(&m.r, &m.op);
    assert_int_equal(m.op.err.code, UV_ECANCELED);
    flow_call(make_flow(&m), &m.op);
    op_cancel(&m.op);
    rig_op(&m.r, &m.op);
    assert_true(m.op.failed);
    assert_int_equal(m.totals.files_done, 0);
    close_ingest(&m);
}

static void test_a_scan_that_takes_too_long(void **state)
{
    (void)state;
    struct ingest m;
    open_ingest(&m);
    add_gpx(&m, "a.gpx", 30);
    m.r.skip_in_work_ms = WORK_MS + 1;
    run_ingest(&m);
    assert_int_equal(m.op.err.code, UV_ETIMEDOUT);
    close_ingest(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder),
        cmocka_unit_test(test_nothing_to_store),
        cmocka_unit_test(test_a_path_that_is_not_there),
        cmocka_unit_test(test_more_files_than_one_transaction_takes),
        cmocka_unit_test(test_one_that_the_database_refuses),
        cmocka_unit_test(test_the_database_goes_away),
        cmocka_unit_test(test_conflicts_are_tried_again),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_a_scan_that_takes_too_long),
    };
    return cmocka_run_group_tests_name("importing activities", tests, NULL, NULL);
}
