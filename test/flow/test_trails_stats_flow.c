/* Sums of athletes who lost activities; the look for forgotten work; what is covered of a route. */
#include "flow/trails_rig.h"

#define RESTATE "jobs_finish trails_lock_these_athletes trails_restate trails_prune_these_stats"

static struct script_unit *script_restate(void)
{
    expect_jobs("stats", 1, "athlete");
    return rig_expect_finish(RESTATE, "{1}", "{1}");
}

static void test_athletes_of_a_batch(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("stats", 3, "athlete");
    struct script_unit *x = rig_expect_finish(RESTATE, "{1,2,3}", "{1,1,1}");
    for (unsigned call = 1; call <= 3; call++) {
        script_param(x, call, 1, "{101,102,103}");
    }
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 3);
    end_world(&w);
}

static void test_conflicts(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(script_restate(), "40P01", "deadlock detected");
    (void)rig_expect_finish(RESTATE, "{1}", "{1}");
    rig_start(&w.r);
    end_world(&w);

    open_world(&w);
    expect_jobs("stats", 1, "athlete");
    for (int i = 0; i <= TRAILS_RETRIES; i++) {
        script_fails(rig_expect_finish(RESTATE, "{1}", "{1}"), "40001", "could not serialize");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_world(&w);
}

static void test_fenced(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_jobs("stats", 2, "athlete");
    script_fails(rig_expect_finish(RESTATE, "{1,2}", "{1,1}"), "WM001", "fenced: 1 of 2");
    script_row(script_expect(RIG_WORK, "jobs_still_ours"), 0, "i", (int64_t)2);
    script_param(rig_expect_finish(RESTATE, "{2}", "{1}"), 2, 1, "{102}");
    rig_start(&w.r);
    end_world(&w);
}

static void test_trouble(void **state)
{
    (void)state;
    for (int t = 0; t < TROUBLES; t++) {
        struct world w;
        open_world(&w);
        play_trouble(&w, script_restate(), (enum trouble)t);
    }
    struct world w;
    open_world(&w);
    expect_job("stats", "{\"activity\": 1}");
    rig_expect_bury("{1}", "bug");
    rig_start(&w.r);
    end_world(&w);
}

/* ---- flows that are nobody's job ----------------------------------------------------------------
 */

static void begin(struct world *w)
{
    *w = (struct world){.broken = {0}};
    add_line(&w->route, 7.0, 46.0, 0.001, 101);
    buf_puts(&w->broken, "not a geometry");
    rig_open(&w->r);
}

/* What op of a flow says after each trouble with its only unit; cancelled by the caller. */
static void assert_trouble(struct world *w, struct flow *f, struct script_unit *x, enum trouble t)
{
    static const enum err_class class[] = {ERR_RETRY, ERR_RETRY, ERR_PERMANENT,
                                           ERR_BUG,   ERR_RETRY, ERR_RETRY};
    struct op op;
    make_trouble(x, t);
    if (t == CANCEL) {
        flow_call(f, &op);
        rig_until_asked(&w->r, x);
        op_cancel(&op);
        rig_op(&w->r, &op);
        assert_int_equal(op.err.code, UV_ECANCELED);
    } else {
        rig_flow(&w->r, f, &op);
    }
    assert_true(op.failed);
    assert_int_equal(op.err.class, class[t]);
    if (t == TIMEOUT) {
        assert_int_equal(op.err.code, UV_ETIMEDOUT);
    }
    close_world(w);
}

static void test_reconcile(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        struct world w;
        struct op op;
        int64_t found = -1;
        begin(&w);
        script_row(script_expect(RIG_WORK, "trails_reconcile"), 0, "i", (int64_t)12);
        rig_flow(&w.r, trails_reconcile_flow(w.r.pool, with ? &found : NULL), &op);
        assert_false(op.failed);
        assert_int_equal(found, with ? 12 : -1);
        close_world(&w);
    }
    for (int t = 0; t < TROUBLES; t++) {
        struct world w;
        begin(&w);
        struct script_unit *x = script_expect(RIG_WORK, "trails_reconcile");
        assert_trouble(&w, trails_reconcile_flow(w.r.pool, NULL), x, (enum trouble)t);
    }
}

#define COVERAGE "trails_read_coverage trails_read_covered"

static struct script_unit *expect_coverage(const struct buf *wkb)
{
    struct script_unit *x = script_expect(RIG_WORK, COVERAGE);
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, "walk");
    script_param(x, 1, 1, "walk");
    script_param(x, 1, 2, "500");
    if (wkb) {
        script_row(x, 0, "tfw", "The Walk", 40.0, buf_span(wkb));
    }
    return x;
}

static void test_coverage(void **state)
{
    (void)state;
    struct world w;
    struct op op;
    struct trails_coverage c;
    begin(&w);
    struct script_unit *x = expect_coverage(&w.route);
    script_row(x, 1, "ff", 0.0, 1000.0);
    script_row(x, 1, "ff", 1500.0, 4000.0);
    rig_flow(&w.r, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), &op);
    assert_false(op.failed);
    assert_string_equal(c.display_name, "The Walk");
    assert_near(c.covered_m, 3500, 1e-6);
    assert_true(c.length_m > 7700 && c.length_m < 7800);
    assert_int_equal(c.ngaps, 2); /* longest first */
    assert_near(c.gap[0].iv.a, 4000, 1e-6);
    assert_near(c.gap[0].iv.b, c.length_m, 1e-6);
    assert_near(c.gap[0].to.lon, 7.1, 1e-9);
    assert_near(c.gap[1].iv.a, 1000, 1e-6);
    assert_near(c.gap[1].iv.b, 1500, 1e-6);
    double gaps = 0;
    for (size_t i = 0; i < c.ngaps; i++) {
        gaps += c.gap[i].iv.b - c.gap[i].iv.a;
    }
    assert_near(gaps + c.covered_m, c.length_m, 1e-6);
    trails_coverage_done(&c);
    close_world(&w);
}

/* A ring's gap over the start is one gap, and the longest. */
static void test_coverage_of_a_ring(void **state)
{
    (void)state;
    struct world w;
    struct op op;
    struct trails_coverage c;
    struct geo_pt pt[61];
    struct buf ring = {0};
    begin(&w);
    for (int i = 0; i <= 60; i++) {
        pt[i] = (struct geo_pt){7 + 0.05 * cos(i * M_PI / 30), 46 + 0.05 * sin(i * M_PI / 30)};
    }
    geo_ewkb_line(pt, 61, &ring);
    struct script_unit *x = expect_coverage(&ring);
    script_row(x, 1, "ff", 6000.0, 7000.0);
    script_row(x, 1, "ff", 20000.0, 21000.0);
    rig_flow(&w.r, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), &op);
    assert_false(op.failed);
    assert_int_equal(c.ngaps, 2);
    assert_int_equal(c.gap[0].nparts, 2);
    assert_near(c.gap[0].iv.a, 21000, 1e-6);
    assert_near(c.gap[0].iv.b, c.length_m + 6000, 1e-6);
    assert_near(c.gap[0].iv.b - c.gap[0].iv.a + 13000 + c.covered_m, c.length_m, 1e-6);
    assert_int_equal(c.gap[1].nparts, 1);
    trails_coverage_done(&c);
    buf_done(&ring);
    close_world(&w);
}

static void test_coverage_of_nothing(void **state)
{
    (void)state;
    struct world w;
    struct op op;
    struct trails_coverage c;
    begin(&w);
    (void)expect_coverage(NULL);
    rig_flow(&w.r, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), &op);
    assert_int_equal(op.err.class, ERR_PERMANENT);
    assert_non_null(strstr(op.err.msg, "no route \"walk\""));
    (void)expect_coverage(&w.broken);
    rig_flow(&w.r, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), &op);
    assert_int_equal(op.err.class, ERR_PERMANENT);
    assert_non_null(strstr(op.err.msg, "route walk"));
    close_world(&w);
}

static void test_coverage_in_trouble(void **state)
{
    (void)state;
    struct trails_coverage c;
    for (int t = 0; t < TROUBLES; t++) {
        struct world w;
        begin(&w);
        struct script_unit *x = expect_coverage(NULL);
        assert_trouble(&w, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), x,
                       (enum trouble)t);
    }
    struct world w;
    struct op op;
    begin(&w);
    (void)expect_coverage(&w.route);
    w.r.skip_in_work_ms = TRAILS_WORK_MS + 1;
    rig_flow(&w.r, trails_coverage_flow(w.r.pool, "walk", 500, w.r.arena, &c), &op);
    assert_int_equal(op.err.code, UV_ETIMEDOUT);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_athletes_of_a_batch),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_reconcile),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_coverage_of_a_ring),
        cmocka_unit_test(test_coverage_of_nothing),
        cmocka_unit_test(test_coverage_in_trouble),
    };
    return cmocka_run_group_tests_name("sums and coverage", tests, NULL, NULL);
}
