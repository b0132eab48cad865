#include "unit/loop/trip.h"

/* ---- outcomes of the op, without a deadline ----------------------------------------------------
 */

static void test_ok(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    for (int tolerate = 0; tolerate < 2; tolerate++) {
        struct trip *t = trip_with_deadline(l, &seen, 0, tolerate, false);
        op_finish(&t->hand.op, NULL);
        assert_string_equal(seen.trace, "1"); /* not in the stack of who finishes */
        check_end(l, &seen, "123.", false);
        assert_false(seen.op_failed);
    }
    loop_free(l);
}

static void test_op_fails(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_waiting(l, &seen);
    hand_fail(&t->hand, ERR_PERMANENT, "404");
    check_end(l, &seen, "1.", true);
    assert_string_equal(seen.err.msg, "404");
    assert_int_equal(seen.err.class, ERR_PERMANENT);
    assert_false(seen.cancelled);
    loop_free(l);
}

static void test_op_fails_and_the_step_looks(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_with_deadline(l, &seen, 0, true, false);
    hand_fail(&t->hand, ERR_PERMANENT, "404");
    check_end(l, &seen, "123.", false);
    assert_true(seen.op_failed);
    assert_string_equal(seen.op_err.msg, "404");
    loop_free(l);
}

/* ---- deadline ----------------------------------------------------------------------------------
 */

static void test_timeout(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    trip_with_deadline(l, &seen, 20, false, false);
    check_end(l, &seen, "1.", true);
    assert_int_equal(seen.err.class, ERR_RETRY);
    assert_int_equal(seen.err.code, UV_ETIMEDOUT);
    assert_string_equal(seen.err.msg, "flow trip, step first: no answer within 20ms");
    assert_false(seen.cancelled);
    loop_free(l);
}

static void test_timeout_and_the_step_looks(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    trip_with_deadline(l, &seen, 20, true, false);
    check_end(l, &seen, "123.", false);
    assert_true(seen.op_failed);
    assert_int_equal(seen.op_err.code, UV_ETIMEDOUT);
    loop_free(l);
}

static void finish_ok(void *ctx)
{
    struct trip *t = ctx;
    op_finish(&t->hand.op, NULL);
}

/* The flow must not go on, nor free its arena, while the op is still at work. */
static void test_timeout_waits_for_the_op(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_with_deadline(l, &seen, 10, false, true);
    run_later(l, 60, finish_ok, t);
    int64_t start = clock_mono_ms();
    check_end(l, &seen, "1.", true);
    assert_true(clock_mono_ms() - start >= 40);
    assert_int_equal(seen.err.code, UV_ETIMEDOUT); /* though the op succeeded in the end */
    t = trip_with_deadline(l, &seen, 10, true, true);
    run_later(l, 60, finish_ok, t);
    check_end(l, &seen, "123.", false);
    assert_false(seen.op_failed); /* the step sees the truth */
    loop_free(l);
}

static void test_in_time(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_with_deadline(l, &seen, 60000, false, false);
    op_finish(&t->hand.op, NULL);
    int64_t start = clock_mono_ms();
    check_end(l, &seen, "123.", false);
    assert_true(clock_mono_ms() - start < 30000);
    loop_free(l);
}

/* The op finishes and its deadline passes in the same turn, before the completion is delivered. */
static void test_finished_when_the_deadline_passes(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_new(l, &seen, &trip_def);
    t->timeout_ms = 20;
    flow_start(&t->f);
    run_later(l, 10, finish_ok, t);
    turn(l);
    usleep(50000);
    check_end(l, &seen, "123.", false);
    loop_free(l);
}

/* ---- cancel ------------------------------------------------------------------------------------
 */

static void test_cancel_while_waiting(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    for (int tolerate = 0; tolerate < 2; tolerate++) {
        struct trip *t = trip_with_deadline(l, &seen, 60000, tolerate, false);
        flow_cancel(&t->f);
        flow_cancel(&t->f);
        assert_int_equal(t->hand.cancels, 1);
        assert_int_equal(seen.ends, 0);
        check_end(l, &seen, "1.", true);
        assert_true(seen.cancelled);
        assert_int_equal(seen.err.class, ERR_RETRY);
        assert_int_equal(seen.err.code, UV_ECANCELED);
        assert_string_equal(seen.err.msg, "flow trip: cancelled");
    }
    loop_free(l);
}

static void test_cancel_waits_for_the_op(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_with_deadline(l, &seen, 10, false, true);
    flow_cancel(&t->f);
    run_later(l, 40, finish_ok, t); /* the deadline passes meanwhile */
    check_end(l, &seen, "1.", true);
    assert_true(seen.cancelled);
    loop_free(l);
}

static void test_cancel_after_the_op_finished(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_waiting(l, &seen);
    op_finish(&t->hand.op, NULL);
    flow_cancel(&t->f);
    check_end(l, &seen, "1.", true);
    assert_true(seen.cancelled);
    loop_free(l);
}

static void test_cancel_before_start(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_new(l, &seen, &trip_def);
    flow_cancel(&t->f);
    assert_int_equal(seen.ends, 0);
    check_end(l, &seen, ".", true);
    assert_true(seen.cancelled);
    t = trip_new(l, &seen, &trip_def);
    flow_cancel(&t->f);
    flow_start(&t->f);
    check_end(l, &seen, ".", true);
    t = trip_new(l, &seen, &trip_def);
    flow_start(&t->f);
    flow_cancel(&t->f);
    check_end(l, &seen, ".", true);
    loop_free(l);
}

static void test_cancel_from_its_own_step(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_waiting(l, &seen);
    t->ending = BY_CANCELLING_ITSELF;
    op_finish(&t->hand.op, NULL);
    check_end(l, &seen, "123.", true);
    assert_true(seen.cancelled);
    loop_free(l);
}

static enum flow_next cancel_then_wait(struct flow *f)
{
    struct trip *t = trip_of(f);
    hand_start(&t->hand, f->loop);
    flow_cancel(f);
    assert_int_equal(t->hand.cancels, 0);
    return flow_wait(f, &t->hand.op, 1, 0);
}

static void test_cancel_then_wait(void **state)
{
    (void)state;
    static const struct flow_step steps[] = {{"cancel", cancel_then_wait}, {"never", trip_third}};
    static const struct flow_def def = {"self", steps, 2, trip_end};
    struct loop *l = new_loop(1);
    struct seen seen;
    flow_start(&trip_new(l, &seen, &def)->f);
    check_end(l, &seen, ".", true);
    assert_true(seen.cancelled);
    loop_free(l);
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static void test_endings(void **state)
{
    (void)state;
    static const enum ending endings[] = {BY_NEXT, BY_DONE, BY_FAIL, BY_MUTE_FAIL};
    struct loop *l = new_loop(1);
    struct seen seen;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct trip *t = trip_waiting(l, &seen);
        t->ending = endings[i];
        op_finish(&t->hand.op, NULL);
        check_end(l, &seen, "123.", endings[i] == BY_FAIL || endings[i] == BY_MUTE_FAIL);
        if (endings[i] == BY_FAIL) {
            assert_string_equal(seen.err.msg, "no track in it");
        } else if (endings[i] == BY_MUTE_FAIL) {
            assert_int_equal(seen.err.class, ERR_BUG);
        }
    }
    loop_free(l);
}

static enum flow_next count_rounds(struct flow *f)
{
    struct trip *t = trip_of(f);
    return ++t->rounds < 1000000 && !t->obstinate ? flow_goto(f, 0) : FLOW_NEXT;
}

static void set_obstinate(void *ctx)
{
    struct trip *t = ctx;
    t->obstinate = true;
}

/* A flow that never waits leaves the others their turns. */
static void test_loop_of_steps_does_not_starve(void **state)
{
    (void)state;
    static const struct flow_step steps[] = {{"round", count_rounds}};
    static const struct flow_def def = {"rounds", steps, 1, trip_end};
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_new(l, &seen, &def);
    t->rounds = INT32_MIN;
    flow_start(&t->f);
    run_later(l, 20, set_obstinate, t);
    check_end(l, &seen, ".", false);
    loop_free(l);
}

static enum flow_next wait_for_finished(struct flow *f)
{
    struct trip *t = trip_of(f);
    hand_start(&t->hand, f->loop);
    if (t->rounds++ == 0) {
        op_finish(&t->hand.op, NULL);
    } else {
        hand_fail(&t->hand, ERR_PERMANENT, "at once");
    }
    return flow_wait(f, &t->hand.op, 0, 1000);
}

static void test_op_finished_before_the_wait(void **state)
{
    (void)state;
    static const struct flow_step steps[] = {{"wait", wait_for_finished}};
    static const struct flow_def def = {"early", steps, 1, trip_end};
    struct loop *l = new_loop(1);
    struct seen seen;
    flow_start(&trip_new(l, &seen, &def)->f);
    check_end(l, &seen, ".", true);
    assert_string_equal(seen.err.msg, "at once");
    loop_free(l);
}

static enum flow_next sleep_then_end(struct flow *f)
{
    struct trip *t = trip_of(f);
    timer_op_start(&t->timer, f->loop, 5);
    return flow_wait(f, &t->timer.op, ++t->rounds < 3 ? 0 : 1, 1000); /* 1: past the last step */
}

static void test_loop_of_waits(void **state)
{
    (void)state;
    static const struct flow_step steps[] = {{"sleep", sleep_then_end}};
    static const struct flow_def def = {"sleeper", steps, 1, trip_end};
    struct loop *l = new_loop(1);
    struct seen seen;
    flow_start(&trip_new(l, &seen, &def)->f);
    check_end(l, &seen, ".", false);
    loop_free(l);
}

static void test_timer_timeout_and_cancel(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen seen;
    static const struct flow_step steps[] = {{"sleep", sleep_then_end}};
    static const struct flow_def def = {"sleeper", steps, 1, trip_end};
    struct trip *t = trip_new(l, &seen, &def);
    flow_start(&t->f);
    turn(l);
    flow_cancel(&t->f);
    check_end(l, &seen, ".", true);
    loop_free(l);
}

/* ---- log ---------------------------------------------------------------------------------------
 */

static void test_trace(void **state)
{
    (void)state;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, out);
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_waiting(l, &seen);
    op_finish(&t->hand.op, NULL);
    loop_run(l);
    fclose(out);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    assert_non_null(strstr(text, "msg=\"flow step\" flow=trip step=first ms="));
    assert_non_null(strstr(text, "msg=\"flow step\" flow=trip step=third ms="));
    assert_non_null(strstr(text, "msg=\"flow end\" flow=trip step=end ms="));
    free(text);
    loop_free(l);
}

static void test_failure_that_nobody_can_see_is_logged(void **state)
{
    (void)state;
    static const struct flow_def def = {"lonely", trip_steps + 2, 1, NULL};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, out);
    struct loop *l = new_loop(1);
    struct seen seen;
    struct trip *t = trip_new(l, &seen, &def);
    t->ending = BY_FAIL;
    flow_start(&t->f);
    loop_run(l);
    fclose(out);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    assert_non_null(strstr(
        text, "level=warn msg=\"flow failed\" class=permanent error=\"lonely: no track in it\""));
    free(text);
    loop_free(l);
}

/* ---- programming errors ------------------------------------------------------------------------
 */

static enum flow_next wait_without_op(struct flow *f)
{
    (void)f;
    return FLOW_WAIT;
}

static enum flow_next wait_and_go_on(struct flow *f)
{
    hand_start(&trip_of(f)->hand, f->loop);
    (void)flow_wait(f, &trip_of(f)->hand.op, 1, 0);
    return FLOW_NEXT;
}

static enum flow_next wait_for_idle(struct flow *f)
{
    op_init(&trip_of(f)->call, f->loop, NULL);
    return flow_wait(f, &trip_of(f)->call, 1, 0);
}

static enum flow_next wait_twice(struct flow *f)
{
    struct trip *t = trip_of(f);
    hand_start(&t->member[0], f->loop);
    hand_start(&t->member[1], f->loop);
    (void)flow_wait(f, &t->member[0].op, 1, 0);
    return flow_wait(f, &t->member[1].op, 1, 0);
}

static enum flow_next go_nowhere(struct flow *f)
{
    return flow_goto(f, 2);
}

static void run_step_fn(void *ctx)
{
    flow_step_fn *const *fn = ctx;
    const struct flow_step steps[] = {{"wrong", *fn}};
    const struct flow_def def = {"wrong", steps, 1, NULL};
    struct loop *l = new_loop(1);
    flow_start(flow_new(l, &def, sizeof(struct trip), 0));
    loop_run(l);
}

static void start_twice(void *ctx)
{
    struct flow *f = flow_new(ctx, &trip_def, sizeof(struct trip), 0);
    flow_start(f);
    flow_start(f);
}

static void too_small(void *ctx)
{
    flow_new(ctx, &trip_def, sizeof(struct flow) - 1, 0);
}

static void free_loop_with_flow(void *ctx)
{
    flow_new(ctx, &trip_def, sizeof(struct trip), 0);
    loop_free(ctx);
}

static void wait_outside_a_step(void *ctx)
{
    struct trip *t = flow_new(ctx, &trip_def, sizeof(*t), 0);
    hand_start(&t->hand, ctx);
    (void)flow_wait(&t->f, &t->hand.op, 1, 0);
}

static void test_programming_errors(void **state)
{
    (void)state;
    static flow_step_fn *const wrong[] = {wait_without_op, wait_and_go_on, wait_for_idle,
                                          wait_twice, go_nowhere};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        flow_step_fn *fn = wrong[i];
        assert_true(dies(run_step_fn, &fn));
    }
    struct loop *l = new_loop(1);
    assert_true(dies(start_twice, l));
    assert_true(dies(too_small, l));
    assert_true(dies(free_loop_with_flow, l));
    assert_true(dies(wait_outside_a_step, l));
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programming_errors),
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_op_fails),
        cmocka_unit_test(test_op_fails_and_the_step_looks),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_timeout_and_the_step_looks),
        cmocka_unit_test(test_timeout_waits_for_the_op),
        cmocka_unit_test(test_in_time),
        cmocka_unit_test(test_finished_when_the_deadline_passes),
        cmocka_unit_test(test_cancel_while_waiting),
        cmocka_unit_test(test_cancel_waits_for_the_op),
        cmocka_unit_test(test_cancel_after_the_op_finished),
        cmocka_unit_test(test_cancel_before_start),
        cmocka_unit_test(test_cancel_from_its_own_step),
        cmocka_unit_test(test_cancel_then_wait),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_loop_of_steps_does_not_starve),
        cmocka_unit_test(test_op_finished_before_the_wait),
        cmocka_unit_test(test_loop_of_waits),
        cmocka_unit_test(test_timer_timeout_and_cancel),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_failure_that_nobody_can_see_is_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
