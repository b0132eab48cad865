/* Something done to many jobs: page by page, source by source, and what disturbs it. */
#include "flow/rig.h"
#include "jobs/internal.h"

#define DEAD "jobs_cmd_plan jobs_cmd_page_dead jobs_cmd_discard jobs_cmd_audit"
#define LIVE "jobs_cmd_plan jobs_cmd_page_job jobs_cmd_move jobs_cmd_audit"
enum { CALL_PAGE = 1, CALL_ACT, CALL_AUDIT, PAGE = 1000 };

struct world {
    struct rig r;
    struct jobs_pages p;
    unsigned sent, over, enough_at; /* pages; 0: never enough */
};

/* Parameters as the two statements have them: this test is about the rest. */
static void add_page(void *ctx, struct db_unit *u, unsigned source, const int64_t *id, size_t n)
{
    (void)ctx;
    if (id) {
        db_p_i64_array(u, id, n);
    } else {
        db_p_null(u);
    }
    for (int i = 0; i < 6; i++) {
        db_p_null(u);
    }
    if (source == 1) {
        db_p_null(u);
    }
}

static void add_act(void *ctx, struct db_unit *u, unsigned source)
{
    (void)ctx;
    if (source == 1) {
        db_p_text(u, "there");
    }
}

static void on_page(void *ctx, bool sent)
{
    struct world *w = ctx;
    w->sent += sent;
    w->over += !sent;
    assert_int_equal(w->sent - w->over, sent);
}

static bool is_enough(void *ctx)
{
    const struct world *w = ctx;
    return w->enough_at > 0 && w->over >= w->enough_at;
}

static void open_world(struct world *w)
{
    *w = (struct world){.sent = 0};
    rig_open(&w->r);
    w->p = (struct jobs_pages){
        .pool = w->r.pool,
        .source = {{&SQL_jobs_cmd_page_dead, &SQL_jobs_cmd_discard},
                   {&SQL_jobs_cmd_page_job, &SQL_jobs_cmd_move}},
        .nsource = 2,
        .add_page = add_page,
        .add_act = add_act,
        .on_page = on_page,
        .is_enough = is_enough,
        .ctx = w,
        .who = "me",
        .command = "jobs test",
        .filter = "{}",
        .channel = "processing",
        .statement_timeout_ms = 5000,
        .page_ms = 7000,
    };
}

/* found jobs on the page, the last with that id; did of them were done. */
static struct script_unit *expect_page(const char *statements, const char *after, const char *audit,
                                       bool last, int64_t found, int64_t last_id, int64_t did)
{
    struct script_unit *x = script_expect(RIG_WORK, statements);
    script_flags(x, DB_TX);
    script_param(x, CALL_PAGE, 1, after);
    script_param(x, CALL_PAGE, 2, "1000");
    script_param(x, CALL_AUDIT, 1, audit ? audit : "NULL");
    script_param(x, CALL_AUDIT, 2, "me");
    script_param(x, CALL_AUDIT, 3, "jobs test");
    script_param(x, CALL_AUDIT, 4, "{}");
    script_param(x, CALL_AUDIT, 5, last ? "t" : "f");
    if (found) {
        script_row(x, CALL_PAGE, "tii", "{}", found, last_id);
    } else {
        script_row(x, CALL_PAGE, "tiI", "{}", found);
    }
    if (found || audit) {
        script_row(x, CALL_AUDIT, "ii", (int64_t)77, did);
    } else {
        script_row(x, CALL_AUDIT, "Ii", did);
    }
    return x;
}

static void expect_hint(void)
{
    script_param(script_expect(RIG_WORK, "jobs_hint"), 0, 1, "processing");
}

static void run(struct world *w, bool fails)
{
    struct op op;
    rig_flow(&w->r, jobs_pages_flow(&w->p), &op);
    assert_int_equal(op.failed, fails);
    assert_int_equal(w->sent, w->over);
}

static void close_world(struct world *w)
{
    rig_close(&w->r);
}

#define FIRST "-9223372036854775808"

/* Full pages of one source, its short one, then the other's; one row of the audit for all. */
static void test_pages_and_sources(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct script_unit *x = expect_page(DEAD, FIRST, NULL, false, PAGE, 5000, 990);
    script_param(x, CALL_AUDIT, 6, "1000");
    expect_page(DEAD, "5000", "77", false, PAGE, 9000, PAGE);
    expect_page(DEAD, "9000", "77", false, 3, 9003, 3);
    x = expect_page(LIVE, FIRST, "77", true, 7, 20, 7);
    script_param(x, CALL_ACT, 1, "there");
    expect_hint();
    run(&w, false);
    assert_int_equal(w.p.done, 990 + PAGE + 3 + 7);
    assert_int_equal(w.over, 4);
    close_world(&w);
}

/* Nothing at all: nobody need hear of it. */
static void test_nothing(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_page(DEAD, FIRST, NULL, false, 0, 0, 0);
    expect_page(LIVE, FIRST, NULL, true, 0, 0, 0);
    run(&w, false);
    assert_int_equal(w.p.done, 0);
    close_world(&w);
    open_world(&w);
    w.p.nsource = 0;
    run(&w, false);
    close_world(&w);
}

/* Given ids go a thousand a page, however many of them are found. */
static void test_ids(void **state)
{
    (void)state;
    struct world w;
    int64_t id[PAGE + 2];
    for (int i = 0; i < PAGE + 2; i++) {
        id[i] = i + 1;
    }
    open_world(&w);
    w.p.id = id;
    w.p.nid = PAGE + 2;
    w.p.nsource = 1;
    struct script_unit *x = expect_page(DEAD, FIRST, NULL, false, 2, 40, 2);
    script_param(x, CALL_AUDIT, 6, "1001");
    x = expect_page(DEAD, "40", "77", true, 0, 0, 0);
    script_param(x, CALL_PAGE, 3, "{1001,1002}");
    expect_hint();
    run(&w, false);
    assert_int_equal(w.p.done, 2);
    close_world(&w);
    /* Each source goes through all of them. */
    open_world(&w);
    w.p.id = id;
    w.p.nid = 2;
    script_param(expect_page(DEAD, FIRST, NULL, false, 1, 1, 1), CALL_PAGE, 3, "{1,2}");
    script_param(expect_page(LIVE, FIRST, "77", true, 1, 2, 1), CALL_PAGE, 3, "{1,2}");
    expect_hint();
    run(&w, false);
    close_world(&w);
}

static void test_enough(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.enough_at = 2;
    expect_page(DEAD, FIRST, NULL, false, PAGE, 5000, PAGE);
    expect_page(DEAD, "5000", "77", false, PAGE, 6000, PAGE);
    expect_hint();
    run(&w, false);
    assert_int_equal(w.p.done, 2 * PAGE);
    close_world(&w);
    open_world(&w);
    w.p.max_pages = 1;
    w.p.is_enough = NULL;
    w.p.on_page = NULL;
    expect_page(DEAD, FIRST, NULL, false, PAGE, 5000, PAGE);
    expect_hint();
    run(&w, false);
    close_world(&w);
}

/* Undone by what others do: again, a few times. */
static void test_disturbed(void **state)
{
    (void)state;
    static const char *const sqlstate[] = {"40P01", "40001", "55P03"};
    for (size_t i = 0; i < COUNT_OF(sqlstate); i++) {
        struct world w;
        open_world(&w);
        w.p.nsource = 1;
        expect_page(DEAD, FIRST, NULL, true, PAGE, 5000, PAGE);
        for (int k = 0; k < 4; k++) {
            script_fails(expect_page(DEAD, "5000", "77", true, 1, 6000, 1), sqlstate[i], "again");
        }
        expect_page(DEAD, "5000", "77", true, 1, 6000, 1);
        expect_hint();
        run(&w, false);
        assert_int_equal(w.p.done, PAGE + 1);
        assert_int_equal(w.r.now_ms, 200 + 400 + 600 + 800);
        close_world(&w);
        open_world(&w);
        for (int k = 0; k < 5; k++) {
            script_fails(expect_page(DEAD, FIRST, NULL, false, 1, 6000, 1), sqlstate[i], "again");
        }
        run(&w, true);
        close_world(&w);
    }
}

enum trouble { RETRY, LOST, PERMANENT, BUG, TIMEOUT, CANCEL, TROUBLES };

static void test_trouble(void **state)
{
    (void)state;
    static const enum err_class class[] = {ERR_RETRY, ERR_RETRY, ERR_PERMANENT,
                                           ERR_BUG,   ERR_RETRY, ERR_RETRY};
    static const char *const sqlstate[] = {"53300", NULL, "22P02", "42P01"};
    for (int t = 0; t < TROUBLES; t++) {
        struct world w;
        struct op op;
        open_world(&w);
        expect_page(DEAD, FIRST, NULL, false, PAGE, 5000, PAGE);
        struct script_unit *x = expect_page(DEAD, "5000", "77", false, 1, 6000, 1);
        if (t == LOST) {
            script_commit_unknown(x);
        } else if (t == TIMEOUT || t == CANCEL) {
            script_silent(x);
        } else {
            script_fails(x, sqlstate[t], "no");
        }
        flow_call(jobs_pages_flow(&w.p), &op);
        if (t == CANCEL) {
            rig_until_asked(&w.r, x);
            op_cancel(&op);
        }
        rig_op(&w.r, &op);
        assert_true(op.failed);
        assert_int_equal(op.err.class, class[t]);
        assert_int_equal(w.p.done, PAGE); /* what was done is told */
        assert_int_equal(w.p.commit_unknown, t == LOST);
        if (t == TIMEOUT) {
            assert_in_range(w.r.now_ms, 7000, 7100);
        }
        close_world(&w);
    }
    /* The hint is a hint. */
    struct world w;
    open_world(&w);
    w.p.nsource = 1;
    expect_page(DEAD, FIRST, NULL, true, 1, 5, 1);
    script_fails(script_expect(RIG_WORK, "jobs_hint"), "53300", "no");
    run(&w, false);
    close_world(&w);
    /* Cancelled while it waits to try again. */
    struct op op;
    open_world(&w);
    struct script_unit *x = expect_page(DEAD, FIRST, NULL, false, 1, 5, 1);
    script_fails(x, "40P01", "deadlock");
    flow_call(jobs_pages_flow(&w.p), &op);
    rig_until_asked(&w.r, x);
    rig_wait(&w.r, 50);
    op_cancel(&op);
    rig_op(&w.r, &op);
    assert_int_equal(op.err.code, UV_ECANCELED);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_and_sources),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_disturbed),
        cmocka_unit_test(test_trouble),
    };
    return cmocka_run_group_tests_name("pages of jobs", tests, NULL, NULL);
}
