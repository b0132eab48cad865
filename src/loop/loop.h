/* loop: the reactor. A wrapper of libuv with a ready queue, operations, flows, timers, signals and
 * a bounded work pool. Everything here runs on the loop thread, except the `run` function of a work
 * item.
 *
 * The three ideas:
 *
 *  - op: one pending asynchronous operation. It completes exactly once, can be cancelled, and never
 *    calls back into the caller's stack (completions go through the ready queue, drained once per
 *    turn of the loop).
 *
 *  - flow: a list of steps that reads from top to bottom; at most one op pending; a deadline on
 *    every wait; its arena dies with it.
 *
 *  - work: a function run in a worker thread on an item that nobody else references meanwhile. */
#pragma once

#include <uv.h>

#include "base/base.h"

/* ---- the loop -------------------------------------------------------------------------------- */

struct loop;

/* work_threads: worker threads for GEOS and file work, 1..64. Sets UV_THREADPOOL_SIZE (first use in
 * the process wins) to work_threads + 2, so that DNS and file calls always find a free thread. */
struct loop *loop_new(unsigned work_threads, struct err *err) MUST_CHECK;
/* Runs until loop_stop() or until nothing is left to wait for. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Closes; every handle must be closed by its owner before. CHECKs that uv_loop_close() == 0. */
struct loop *loop_free(struct loop *l);
uv_loop_t *loop_uv(struct loop *l);
int64_t loop_now_ms(const struct loop *l); /* cached at the start of the turn; monotonic */

/* Call fn(ctx) once, on the next drain of the ready queue; node must stay alive until then. */
struct ready {
    struct ready *next;
    void (*fn)(struct ready *r);
    bool queued;
};
void loop_ready(struct loop *l, struct ready *r);

/* ---- operations ------------------------------------------------------------------------------ */

/* Embedded in the struct of whoever provides the operation (struct work, struct timer_op, struct
 * db_unit ...). Life: op_init, op_begin when started, op_finish exactly once. cancel asks the
 * provider to finish soon; it still finishes through op_finish (with err "cancelled" if it did not
 * get done). */
struct op {
    struct ready ready;
    struct loop *loop;
    void (*cancel)(struct op *op);  /* provider's; may be NULL: cannot be cancelled */
    void *provider;                 /* provider's own, for cancel */
    void (*on_done)(struct op *op); /* waiter's; runs from the ready queue; set by op_await */
    void *waiter;
    enum { OP_IDLE, OP_PENDING, OP_FINISHED, OP_DONE } state;
    bool cancelled;
    bool failed;
    struct err err; /* valid when failed */
};
void op_init(struct op *op, struct loop *l, void (*cancel)(struct op *op));
void op_begin(struct op *op);
/* err NULL: success. Queues on_done. */
void op_finish(struct op *op, const struct err *err);
/* For providers that gave up because of cancel: finishes as "cancelled" (domain UV, UV_ECANCELED,
 * RETRY). */
void op_finish_cancelled(struct op *op);
/* Asks the provider once; no-op unless pending. */
void op_cancel(struct op *op);
/* Calls on_done(op), with op->waiter set, once op has finished; from the ready queue even if it
 * finished already. An op has one waiter. flow_wait and gather_add do this; call it only outside
 * flows. The op must stay alive until then. */
void op_await(struct op *op, void (*on_done)(struct op *op), void *waiter);

/* A delay as an op. */
struct timer_op {
    struct op op;
    uv_timer_t timer;
    bool open;
};
void timer_op_start(struct timer_op *t, struct loop *l, int64_t delay_ms);

/* Waits for all of several ops: gather_init, gather_add each begun op, wait for gather.op, all in
 * one step (it closes to further members at the next drain, so that one without members finishes
 * too). It fails with the error of the member that failed first, after all of them finished; cancel
 * cancels them all. */
struct gather {
    struct op op;
    struct ready seal;
    struct op **member;
    size_t n, cap, left;
    bool any_failed;
    struct err first;
};
void gather_init(struct gather *g, struct loop *l, struct arena *a, size_t cap);
void gather_add(struct gather *g, struct op *member);

/* ---- flows ----------------------------------------------------------------------------------- */

enum flow_next { FLOW_NEXT, FLOW_WAIT, FLOW_DONE, FLOW_FAIL };
struct flow;
typedef enum flow_next flow_step_fn(struct flow *f);
struct flow_step {
    const char *name;
    flow_step_fn *fn;
};
/* on_end runs once, after the last step of a flow that ended well or not (look at f->failed),
 * before the arena is freed: release here what the flow holds outside its arena. */
struct flow_def {
    const char *name;
    const struct flow_step *steps;
    unsigned n;
    void (*on_end)(struct flow *f);
};

/* First member of a feature's flow struct, which flow_new allocates inside the flow's own arena. */
struct flow {
    uint32_t magic;
    const struct flow_def *def;
    struct loop *loop;
    struct arena *arena;
    unsigned step;      /* index of the step that runs next or waits */
    unsigned next_step; /* where to go on */
    bool started, in_step, ended;
    bool failed;
    bool cancelled;
    bool timed_out;     /* the pending wait passed its deadline */
    bool tolerate;      /* the pending wait hands its error to the step */
    int64_t timeout_ms; /* of the pending wait */
    struct err err;
    struct op *pending; /* NULL or the one op waited for */
    struct op *end_op;  /* finished when the flow ends; NULL or set by flow_call */
    struct ready ready;
    uv_timer_t deadline;
    bool deadline_open;
    int64_t started_ms, step_ms;
};

/* A list is written once and reads top to bottom:
 *   #define IMPORT_STEPS(STEP) STEP(import, read) STEP(import, parse) STEP(import, save)
 *   FLOW_STEPS(import, IMPORT_STEPS);
 * which declares `static flow_step_fn import_read, ...`, the enum import_STEP_read, ... and
 * import_steps[]. */
#define FLOW_DECLARE_(prefix, name) static flow_step_fn prefix##_##name;
#define FLOW_ENUM_(prefix, name)    prefix##_STEP_##name,
#define FLOW_ENTRY_(prefix, name)   {#name, prefix##_##name},
#define FLOW_STEPS(prefix, LIST)                                                                   \
    LIST(FLOW_DECLARE_)                                                                            \
    enum { LIST(FLOW_ENUM_) prefix##_STEP_COUNT };                                                 \
    static const struct flow_step prefix##_steps[] = {LIST(FLOW_ENTRY_)}

/* size: of the feature's struct, whose first member is a struct flow. Zeroed. arena_limit 0: no
 * limit. */
void *flow_new(struct loop *l, const struct flow_def *def, size_t size, size_t arena_limit);
/* Starts at step 0, from the ready queue. The flow frees itself when it ends. */
void flow_start(struct flow *f);
/* Starts child and makes *op finish when it has ended and is freed, with its error if it failed. op
 * lives in the parent; cancelling it cancels the child. */
void flow_call(struct flow *child, struct op *op);
/* Asks a flow to end: its pending op is cancelled, no further step runs, it fails as cancelled
 * (RETRY). Also for a flow that was made and not started: that is how to dispose of it (its on_end
 * runs, from the ready queue). */
void flow_cancel(struct flow *f);

/* In a step: `return flow_wait(f, &w->op, import_STEP_save, 30000)`. If the op fails or timeout_ms
 * (> 0) passes, the flow fails with that error (a timeout cancels the op, waits for it to finish,
 * and is class RETRY). */
enum flow_next flow_wait(struct flow *f, struct op *op, unsigned next, int64_t timeout_ms);
/* Same, but the next step runs in any case and looks at op->failed and op->err itself (a timeout
 * stands there too, unless the op succeeded all the same). */
enum flow_next flow_wait_any(struct flow *f, struct op *op, unsigned next, int64_t timeout_ms);
/* `return flow_goto(f, import_STEP_read)`: continue elsewhere in the list (loops). */
enum flow_next flow_goto(struct flow *f, unsigned next);
/* `return flow_fail(f)` after filling f->err. */
enum flow_next flow_fail(struct flow *f);
/* Every flow alive on this loop; for drain and for status. */
unsigned loop_flow_count(const struct loop *l);

/* ---- work pool ------------------------------------------------------------------------------- */

/* run() is called in a worker thread and may touch only what the item owns. Failure goes into the
 * item's own err through `return -1`. At most work_threads items run at once; the rest wait in a
 * FIFO of ours, so they never fill libuv's own queue, where DNS lookups wait. Cancelling a queued
 * item takes it out; a running one runs on. */
struct work {
    struct op op;
    uv_work_t req;
    int (*run)(struct work *w, struct err *err);
    struct err result;
    struct work *next;
    bool ok, running;
};
void work_start(struct work *w, struct loop *l, int (*run)(struct work *w, struct err *err));
unsigned work_in_flight(const struct loop *l);

/* ---- signals --------------------------------------------------------------------------------- */

/* SIGINT and SIGTERM: the first calls on_stop (drain), the second exits the process at once with
 * 128+n. SIGPIPE is ignored. SIGHUP calls on_hup if given. Unreferenced: they do not keep the loop
 * alive. */
struct loop_signals;
struct loop_signals *loop_signals_open(struct loop *l, void (*on_stop)(void *ctx, int signum),
                                       void (*on_hup)(void *ctx), void *ctx);
void loop_signals_close(struct loop_signals *s); /* frees itself in the close callback */

/* ---- periodic -------------------------------------------------------------------------------- */

struct ticker;
/* Calls fn every period_ms (first after period_ms), on the loop; unreferenced if background. */
struct ticker *ticker_open(struct loop *l, int64_t period_ms, bool background,
                           void (*fn)(void *ctx), void *ctx);
void ticker_close(struct ticker *t); /* NULL is fine; frees itself in the close callback */
