/* Departure: one transaction, then whatever comes in late, until nothing is there. */
#include "flow/people_rig.h"

struct world {
    struct rig r;
    struct people_count count;
    struct people_erasure e;
    struct op op;
};

static void open_world(struct world *w)
{
    *w = (struct world){.count = {.n = 0}};
    rig_open(&w->r);
    grant_script_begin(w->r.loop);
    w->e = (struct people_erasure){
        .athlete_id = ATHLETE, .who = "me", .tell = true, .arena = w->r.arena, .ret = &w->count};
}

static void run(struct world *w)
{
    rig_flow(&w->r, people_erase_flow(w->r.pool, &w->e), &w->op);
}

static void close_world(struct world *w)
{
    grant_script_end();
    rig_close(&w->r);
}

static void test_all_goes(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    people_depart("me", true, 7);
    people_counted(0);
    run(&w);
    assert_false(w.op.failed);
    assert_true(w.count.there);
    assert_int_equal(w.count.rows, 8);
    assert_int_equal(w.count.left, 0);
    assert_int_equal(w.count.n, 2);
    assert_string_equal(w.count.place[1].name, "q.done");
    assert_int_equal(w.count.place[1].rows, 7);
    assert_int_equal(w.count.place[1].left, 0);
    /* Nobody wants the report, nobody is told. */
    w.e.tell = false;
    w.e.ret = NULL;
    people_depart("me", false, 0);
    people_counted(0);
    run(&w);
    assert_false(w.op.failed);
    close_world(&w);
}

static void test_what_comes_late(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    people_depart("me", true, 7);
    people_counted(2);
    people_swept(2);
    people_counted(1);
    script_fails(people_swept(1), "40P01", "deadlock detected");
    people_counted(1);
    people_swept(1);
    people_counted(0);
    run(&w);
    assert_false(w.op.failed);
    assert_int_equal(w.count.left, 0);
    close_world(&w);
}

static void test_what_never_goes(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    people_depart("me", true, 7);
    for (int i = 0; i < 20; i++) {
        people_counted(3);
        people_swept(3);
    }
    people_counted(3);
    run(&w);
    assert_true(w.op.failed);
    assert_int_equal(w.op.err.class, ERR_BUG);
    assert_non_null(strstr(w.op.err.msg, "still 3 rows, in q.done"));
    close_world(&w);
}

static void test_conflicts(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_fails(people_depart("me", true, 0), "40P01", "deadlock detected");
    script_fails(people_depart("me", true, 0), "40001", "could not serialize");
    script_fails(people_depart("me", true, 0), "55P03", "lock timeout");
    people_depart("me", true, 1);
    people_counted(0);
    run(&w);
    assert_false(w.op.failed);
    for (int i = 0; i < 10; i++) {
        script_fails(people_depart("me", true, 0), "40P01", "deadlock detected");
    }
    run(&w);
    assert_int_equal(w.op.err.class, ERR_RETRY);
    close_world(&w);
}

/* Every statement x what may come of it. */
static void expect_until(unsigned step, struct script_unit **last)
{
    *last = people_depart("me", true, 1);
    if (step >= 1) {
        *last = people_counted(1);
    }
    if (step >= 2) {
        *last = people_swept(1);
    }
}

static void test_trouble(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum err_class class;
    } trouble[] = {{"57014", ERR_RETRY}, {"22003", ERR_PERMANENT}, {"42883", ERR_BUG}};
    for (unsigned step = 0; step < 3; step++) {
        for (size_t i = 0; i < COUNT_OF(trouble); i++) {
            struct world w;
            struct script_unit *x;
            open_world(&w);
            expect_until(step, &x);
            script_fails(x, trouble[i].sqlstate, "no");
            run(&w);
            assert_int_equal(w.op.err.class, trouble[i].class);
            close_world(&w);
        }
    }
}

static void test_no_answer_and_cancelled(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct world w;
        struct script_unit *x;
        open_world(&w);
        expect_until(i / 2, &x);
        script_silent(x);
        if (i % 2 == 0) {
            run(&w);
            assert_int_equal(w.op.err.code, UV_ETIMEDOUT);
            assert_in_range(w.r.now_ms, DB_MS - 100, DB_MS + 1000);
        } else {
            flow_call(people_erase_flow(w.r.pool, &w.e), &w.op);
            rig_until_asked(&w.r, x);
            op_cancel(&w.op);
            rig_op(&w.r, &w.op);
            assert_int_equal(w.op.err.code, UV_ECANCELED);
        }
        close_world(&w);
    }
}

static void test_counting(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    people_counted(5);
    rig_flow(&w.r, people_count_flow(w.r.pool, ATHLETE, w.r.arena, &w.count), &w.op);
    assert_false(w.op.failed);
    assert_int_equal(w.count.rows, 5);
    assert_false(w.count.there);
    script_fails(people_counted(0), "57014", "no");
    rig_flow(&w.r, people_count_flow(w.r.pool, ATHLETE, w.r.arena, &w.count), &w.op);
    assert_int_equal(w.op.err.class, ERR_RETRY);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_goes),        cmocka_unit_test(test_what_comes_late),
        cmocka_unit_test(test_what_never_goes), cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_trouble),         cmocka_unit_test(test_no_answer_and_cancelled),
        cmocka_unit_test(test_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
