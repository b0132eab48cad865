/* Flows that wait for gathers, for other flows and for work. */
#include <stdatomic.h>

#include "unit/loop/trip.h"

/* ---- gather ------------------------------------------------------------------------------------
 */

static enum flow_next gather_all(struct flow *f)
{
    struct trip *t = trip_of(f);
    gather_init(&t->gather, f->loop, f->arena, 3);
    for (int i = 0; i < 3; i++) {
        hand_start(&t->member[i], f->loop);
        gather_add(&t->gather, &t->member[i].op);
    }
    return flow_wait(f, &t->gather.op, 1, t->timeout_ms);
}

static const struct flow_step gather_steps[] = {{"gather", gather_all}, {"after", trip_third}};
static const struct flow_def gather_def = {"gather", gather_steps, 2, trip_end};

static struct trip *gather_waiting(struct loop *l, struct seen *seen, int64_t timeout_ms)
{
    struct trip *t = trip_new(l, seen, &gather_def);
    t->timeout_ms = timeout_ms;
    flow_start(&t->f);
    turn(l);
    return t;
}

static void test_gather(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = gather_waiting(l, &seen, 0);
    for (int i = 0; i < 3; i++) {
        op_finish(&t->member[i].op, NULL);
    }
    check_end(l, &seen, "3.", false);
    t = gather_waiting(l, &seen, 0);
    hand_fail(&t->member[1], ERR_RETRY, "429");
    op_finish(&t->member[0].op, NULL);
    turn(l);
    assert_int_equal(seen.ends, 0); /* one member is still at work in the flow's memory */
    op_finish(&t->member[2].op, NULL);
    check_end(l, &seen, ".", true);
    assert_string_equal(seen.err.msg, "429");
    t = gather_waiting(l, &seen, 10);
    check_end(l, &seen, ".", true);
    assert_int_equal(seen.err.code, UV_ETIMEDOUT);
    t = gather_waiting(l, &seen, 0);
    flow_cancel(&t->f);
    check_end(l, &seen, ".", true);
    assert_true(seen.cancelled);
    loop_free(l);
}

/* ---- calls -------------------------------------------------------------------------------------
 */

static enum flow_next call_child(struct flow *f)
{
    struct trip *t = trip_of(f);
    flow_call(&t->child->f, &t->call);
    return flow_wait(f, &t->call, 1, t->timeout_ms);
}

static const struct flow_step call_steps[] = {{"call", call_child}, {"after", trip_third}};
static const struct flow_def call_def = {"caller", call_steps, 2, trip_end};

struct family {
    struct loop *l;
    struct seen parent_seen, child_seen;
    struct trip *parent, *child;
};

static void family_start(struct family *x, int64_t timeout_ms)
{
    x->l = new_loop(1);
    x->parent = trip_new(x->l, &x->parent_seen, &call_def);
    x->child = trip_new(x->l, &x->child_seen, &trip_def);
    x->parent->child = x->child;
    x->parent->timeout_ms = timeout_ms;
    flow_start(&x->parent->f);
    turn(x->l);
    assert_string_equal(x->child_seen.trace, "1");
    assert_int_equal(loop_flow_count(x->l), 2);
}

static void test_call_ok(void **state)
{
    (void)state;
    struct family x;
    family_start(&x, 1000);
    op_finish(&x.child->hand.op, NULL);
    check_end(x.l, &x.parent_seen, "3.", false);
    assert_string_equal(x.child_seen.trace, "123.");
    loop_free(x.l);
}

static void test_call_fails(void **state)
{
    (void)state;
    struct family x;
    family_start(&x, 0);
    hand_fail(&x.child->hand, ERR_PERMANENT, "not a trail");
    check_end(x.l, &x.parent_seen, ".", true);
    assert_string_equal(x.parent_seen.err.msg, "not a trail");
    loop_free(x.l);
}

static void test_call_cancel_of_the_parent(void **state)
{
    (void)state;
    struct family x;
    family_start(&x, 0);
    flow_cancel(&x.parent->f);
    check_end(x.l, &x.parent_seen, ".", true);
    assert_true(x.parent_seen.cancelled && x.child_seen.cancelled);
    assert_string_equal(x.child_seen.trace, "1.");
    loop_free(x.l);
}

static void test_call_cancel_of_the_child(void **state)
{
    (void)state;
    struct family x;
    family_start(&x, 0);
    flow_cancel(&x.child->f);
    check_end(x.l, &x.parent_seen, ".", true);
    assert_false(x.parent_seen.cancelled);
    assert_string_equal(x.parent_seen.err.msg, "flow trip: cancelled");
    loop_free(x.l);
}

static void test_call_timeout(void **state)
{
    (void)state;
    struct family x;
    family_start(&x, 10);
    check_end(x.l, &x.parent_seen, ".", true);
    assert_int_equal(x.parent_seen.err.code, UV_ETIMEDOUT);
    assert_true(x.child_seen.cancelled);
    loop_free(x.l);
}

static enum flow_next call_in_turn(struct flow *f)
{
    struct trip *t = trip_of(f);
    if (t->rounds == 0) {
        return FLOW_DONE;
    }
    static const struct flow_step steps[] = {{"down", call_in_turn}};
    static const struct flow_def def = {"down", steps, 1, NULL};
    t->child = flow_new(f->loop, &def, sizeof(*t), 0);
    t->child->rounds = t->rounds - 1;
    t->child->seen = t->seen;
    flow_call(&t->child->f, &t->call);
    return flow_wait(f, &t->call, 1, 60000);
}

static void test_calls_nest(void **state)
{
    (void)state;
    static const struct flow_step steps[] = {{"top", call_in_turn}};
    static const struct flow_def def = {"top", steps, 1, trip_end};
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_new(l, &seen, &def);
    t->rounds = 50;
    flow_start(&t->f);
    check_end(l, &seen, ".", false);
    loop_free(l);
}

/* ---- work --------------------------------------------------------------------------------------
 */

static atomic_int work_ran;
static atomic_bool work_started;

static int slow_work(struct work *w, struct err *err)
{
    (void)err;
    atomic_store(&work_started, true);
    usleep(40000);
    container_of(w, struct trip, work)->rounds = 7; /* the arena must still be there */
    atomic_fetch_add(&work_ran, 1);
    return 0;
}

static enum flow_next start_work(struct flow *f)
{
    struct trip *t = trip_of(f);
    work_start(&t->work, f->loop, slow_work);
    return flow_wait(f, &t->work.op, 1, t->timeout_ms);
}

static const struct flow_step work_steps[] = {{"work", start_work}, {"after", trip_third}};
static const struct flow_def work_def = {"worker", work_steps, 2, trip_end};

static void test_cancel_while_a_thread_works(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    atomic_store(&work_ran, 0);
    atomic_store(&work_started, false);
    struct trip *t = trip_new(l, &seen, &work_def);
    flow_start(&t->f);
    turn(l);
    while (!atomic_load(&work_started)) {
        usleep(1000);
    }
    flow_cancel(&t->f);
    check_end(l, &seen, ".", true);
    assert_true(seen.cancelled);
    assert_int_equal(atomic_load(&work_ran), 1);
    t = trip_new(l, &seen, &work_def);
    t->timeout_ms = 10;
    flow_start(&t->f);
    check_end(l, &seen, ".", true);
    assert_int_equal(seen.err.code, UV_ETIMEDOUT);
    t = trip_new(l, &seen, &work_def);
    flow_start(&t->f);
    check_end(l, &seen, "3.", false);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_call_ok),
        cmocka_unit_test(test_call_fails),
        cmocka_unit_test(test_call_cancel_of_the_parent),
        cmocka_unit_test(test_call_cancel_of_the_child),
        cmocka_unit_test(test_call_timeout),
        cmocka_unit_test(test_calls_nest),
        cmocka_unit_test(test_cancel_while_a_thread_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
