/* The flow that the tests of flows send through every outcome. */
#pragma once

#include "unit/loop/helper.h"

/* One flow serves most tests: `first` waits for an op in the way the test asks for, `second` and
 * `third` note that they ran. What came of it outlives the flow in struct seen. */
struct seen {
    char trace[64];
    int ends;
    bool failed, cancelled;
    struct err err;
    bool op_failed; /* as the step after flow_wait_any saw it */
    struct err op_err;
};

enum ending { BY_NEXT, BY_DONE, BY_FAIL, BY_MUTE_FAIL, BY_CANCELLING_ITSELF };

struct trip {
    struct flow f;
    struct hand_op hand;
    struct timer_op timer;
    struct work work;
    struct gather gather;
    struct hand_op member[3];
    struct op call;
    struct seen *seen;
    struct trip *child;
    bool tolerate;
    bool obstinate;
    int64_t timeout_ms;
    int rounds;
    enum ending ending;
};

#define TRIP_STEPS(STEP)                                                                           \
    STEP(trip, first)                                                                              \
    STEP(trip, second)                                                                             \
    STEP(trip, third)
FLOW_STEPS(trip, TRIP_STEPS);

static inline struct trip *trip_of(struct flow *f)
{
    return container_of(f, struct trip, f);
}

static inline void note(struct flow *f, const char *what)
{
    char *trace = trip_of(f)->seen->trace;
    size_t n = strlen(trace);
    if (n + strlen(what) < sizeof(trip_of(f)->seen->trace)) {
        memcpy(trace + n, what, strlen(what) + 1);
    }
}

static inline enum flow_next wait_hand(struct flow *f, unsigned next)
{
    struct trip *t = trip_of(f);
    return (t->tolerate ? flow_wait_any : flow_wait)(f, &t->hand.op, next, t->timeout_ms);
}

static enum flow_next trip_first(struct flow *f)
{
    struct trip *t = trip_of(f);
    note(f, "1");
    hand_start(&t->hand, f->loop);
    t->hand.obstinate = t->obstinate;
    return wait_hand(f, trip_STEP_second);
}

static enum flow_next trip_second(struct flow *f)
{
    struct trip *t = trip_of(f);
    note(f, "2");
    t->seen->op_failed = t->hand.op.failed;
    t->seen->op_err = t->hand.op.err;
    return FLOW_NEXT;
}

static enum flow_next trip_third(struct flow *f)
{
    note(f, "3");
    switch (trip_of(f)->ending) {
    case BY_NEXT:
        return FLOW_NEXT;
    case BY_DONE:
        return FLOW_DONE;
    case BY_FAIL:
        err_set(&f->err, ERR_DATA, ERR_PERMANENT, "no track in it");
        return flow_fail(f);
    case BY_MUTE_FAIL:
        return flow_fail(f);
    case BY_CANCELLING_ITSELF:
        flow_cancel(f);
        return FLOW_NEXT;
    }
    return FLOW_DONE;
}

static inline void trip_end(struct flow *f)
{
    struct seen *seen = trip_of(f)->seen;
    seen->ends++;
    seen->failed = f->failed;
    seen->cancelled = f->cancelled;
    seen->err = f->err;
    flow_cancel(f); /* too late for anything */
    note(f, ".");
}

static const struct flow_def trip_def = {"trip", trip_steps, trip_STEP_COUNT, trip_end};

/* A flow that is at its wait. */
static inline struct trip *trip_new(struct loop *l, struct seen *seen, const struct flow_def *def)
{
    *seen = (struct seen){.ends = 0};
    struct trip *t = flow_new(l, def, sizeof(*t), 1 << 20);
    t->seen = seen;
    return t;
}

static inline void turn(struct loop *l)
{
    for (int i = 0; i < 3; i++) {
        uv_run(loop_uv(l), UV_RUN_NOWAIT);
    }
}

static inline struct trip *trip_waiting(struct loop *l, struct seen *seen)
{
    struct trip *t = trip_new(l, seen, &trip_def);
    flow_start(&t->f);
    assert_string_equal(seen->trace, ""); /* starts from the ready queue */
    turn(l);
    assert_string_equal(seen->trace, "1");
    assert_int_equal(loop_flow_count(l), 1);
    return t;
}

static inline void check_end(struct loop *l, const struct seen *seen, const char *trace,
                             bool failed)
{
    loop_run(l);
    assert_string_equal(seen->trace, trace);
    assert_int_equal(seen->ends, 1);
    assert_int_equal(seen->failed, failed);
    assert_int_equal(loop_flow_count(l), 0);
}

static inline struct trip *trip_with_deadline(struct loop *l, struct seen *seen, int64_t timeout_ms,
                                              bool tolerate, bool obstinate)
{
    struct trip *t = trip_new(l, seen, &trip_def);
    t->timeout_ms = timeout_ms;
    t->tolerate = tolerate;
    t->obstinate = obstinate;
    flow_start(&t->f);
    turn(l);
    return t;
}
