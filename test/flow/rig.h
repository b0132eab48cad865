/* What the tests of flows stand on: a loop whose clock runs as fast as nothing happens, a scripted
 * database, and a queue on it. */
#pragma once

#include "fake/db_script.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "trails/trails.h"
#include "unit/base/helper.h"

enum { RIG_WORK, RIG_BEAT }; /* pools, in the order in which they are opened */
/* A claim that looks for what is due first; one soon after another that does not; one for a job
 * that must run alone. */
#define RIG_CLAIM         "jobs_due jobs_take"
#define RIG_CLAIM_AGAIN   "jobs_take"
#define RIG_CLAIM_SUSPECT "jobs_due jobs_take_suspect"
#define RIG_ME            1 /* the id this instance gets when it registers */

struct rig {
    struct loop *loop;
    struct db_pool *pool;
    struct jobs *jobs;
    struct trails *trails;
    struct arena *arena;
    struct jobs_kind kinds[8];
    uv_prepare_t alive;      /* the queue's own timers do not keep the loop alive */
    int64_t skip_in_work_ms; /* once, while a worker is busy: what a deadline sees */
    int64_t now_ms;          /* passed since rig_open */
};

void rig_open(struct rig *r);
/* Closes everything; proves that nothing is left in loop and script. The queue must be drained. */
void rig_close(struct rig *r);

/* Runs until done(ctx); the clock jumps to the next timer whenever nothing else is left to do.
 * Fails the test when nothing can happen any more, or after hours of that clock. */
void rig_until(struct rig *r, bool (*done)(void *ctx), void *ctx);
void rig_wait(struct rig *r, int64_t ms);
void rig_until_asked(struct rig *r, struct script_unit *x);
/* Until the script has been played and every flow has ended. */
void rig_play(struct rig *r);
/* Runs a flow to its end. */
void rig_flow(struct rig *r, struct flow *f, struct op *op);
/* Until op has finished. */
void rig_op(struct rig *r, struct op *op);

/* ---- a queue -----------------------------------------------------------------------------------
 */

struct jobs_conf rig_conf(void);
/* Opens it, not yet started. The heartbeat is answered: registered as RIG_ME, alone. */
void rig_queue(struct rig *r, const struct jobs_conf *conf, size_t nkinds);
/* trails and its four kinds; batch_bytes as in struct trails_conf. */
void rig_trails(struct rig *r, const struct trails_conf *conf);
/* jobs_start, expecting nothing yet: script the first claim before. */
void rig_start(struct rig *r);
/* Drains, expecting the goodbye. */
void rig_drain(struct rig *r);

/* A claim that brings what rig_job adds, in batches of any kind. */
struct script_unit *rig_claim(void);
struct script_unit *rig_claim_empty(void);
/* Soon after another one: without a look at what is due. */
struct script_unit *rig_claim_again(void);
/* A row of a claim: first attempt of five, payload text. */
void rig_job(struct script_unit *claim, const char *kind, int64_t id, const char *payload);
struct rig_job {
    const char *kind, *payload;
    int64_t id, prio;
    int attempt, max_attempts;
};
void rig_add_job(struct script_unit *claim, const struct rig_job *j);
/* What is due next (in ms; < 0: nothing), and whether suspects wait. */
void rig_claim_tail(struct script_unit *claim, int64_t due_ms, bool suspects);

/* The same, nothing due: something of the queue is paused or limited. */
void rig_claim_limited(struct script_unit *claim);

/* The row about ourselves that a beat brings. */
void rig_me(struct script_unit *beat, bool draining);

/* The unit that ends jobs: "jobs_finish ...", with jobs_finish_one for a single one, which has its
 * own parameters. */
struct script_unit *rig_expect_finish(const char *statements, const char *ids,
                                      const char *attempts);
/* What becomes of batches that failed, as units to come. */
struct script_unit *rig_expect_requeue(const char *ids, bool refund);
struct script_unit *rig_expect_bury(const char *ids, const char *reason);
