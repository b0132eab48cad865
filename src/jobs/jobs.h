/* jobs: the durable queue in PostgreSQL (schema q, migration 0002). Knows kinds of jobs only by
 * name. Loop thread.
 *
 * Rules:
 *
 *  - A job is claimed in a batch, in order of (prio, id), FOR UPDATE SKIP LOCKED. The attempt is
 *    counted at the claim, and given back when the job never ran to its end.
 *
 *  - Its results and its end are one transaction: the handler's unit starts with jobs_add_finish(),
 *    which deletes the jobs fenced by (id, attempt, owner) and raises WM001, undoing everything, if
 *    one is no longer ours.
 *
 *  - An instance beats on its own connection. Whoever sees an instance gone (its process, its
 *    database session, or its beat for 30 s of the watcher's own clock) puts its jobs back. A job
 *    whose process died runs alone from then on; ten deaths alone bury it.
 *
 *  - A failed batch of many is run again one by one, so that one bad job never stops the rest.
 *    RETRY goes back with backoff and jitter, PERMANENT and BUG go to q.dead, and so does the last
 *    attempt.
 *
 *  - NOTIFY is only a hint, at most one per 50 ms from an instance; polling backs it.
 *
 *  - Finished jobs stay in q.done for a week. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "loop/loop.h"

struct jobs;

struct jobs_job {
    int64_t id;
    int64_t tenant; /* 0: none */
    int attempt, max_attempts, crashes;
    char *payload; /* JSON text */
};

/* Jobs of one kind, claimed together. Lives until its flow has ended and its outcome is written. */
struct jobs_batch {
    struct jobs *jobs;
    struct arena *arena;
    const struct jobs_kind *kind;
    int64_t owner;
    struct jobs_job *job;
    size_t n;
};

/* A kind and its handler. start returns a flow, not yet started, that does the batch and commits
 * its results in units that begin with jobs_add_finish. Ending well means that all jobs are gone
 * from the queue. */
struct jobs_kind {
    const char *name;
    size_t batch_max; /* 1..1000 */
    struct flow *(*start)(struct jobs_batch *b, void *ctx);
    void *ctx;
};

struct jobs_conf {
    const char *queue;
    const struct db_conf *db;   /* for the heartbeat's own connection */
    const char *notify_channel; /* hint to other instances */
    size_t batch_size;          /* claimed at once */
    unsigned concurrency;       /* batches in flight */
    int64_t poll_ms;            /* look without a hint, +-20 % */
    int64_t drain_ms;           /* grace on drain before running flows are cancelled */
};

/* Kinds and strings must outlive it. Nothing happens before jobs_start. */
struct jobs *jobs_open(struct db_pool *pool, const struct jobs_conf *conf,
                       const struct jobs_kind *kinds, size_t n);
/* Registers this instance, rescues what dead ones left, then claims. */
void jobs_start(struct jobs *q);
/* Something may be waiting: look now. From the listener, or after a commit of our own. */
void jobs_wake(struct jobs *q);
/* We committed new jobs: look now, and tell the other instances soon (coalesced). */
void jobs_hint(struct jobs *q);
/* op (uninitialised) finishes when a claim came back empty and nothing is in flight; fails when the
 * queue cannot be reached for fail_after_ms. One waiter at a time. */
void jobs_wait_idle(struct jobs *q, struct op *op, int64_t fail_after_ms);
/* Stops claiming, lets what runs end within the grace time, gives the rest back unspent, takes the
 * instance's row away. op finishes when done; then jobs_close. */
void jobs_drain(struct jobs *q, struct op *op);
/* Frees after the last handle is closed; on_closed may be NULL. Only after drain, or if never
 * started. */
void jobs_close(struct jobs *q, void (*on_closed)(void *ctx), void *ctx);

/* The fence, for the first n jobs of the batch; must be the first call in the unit (flags DB_TX).
 */
void jobs_add_finish(struct db_unit *u, const struct jobs_batch *b, size_t n);
/* That unit was committed: they leave the batch, which goes on with the rest. Call it before the
 * flow ends. */
void jobs_finished(struct jobs_batch *b, size_t n);

/* Since the start of this instance. */
struct jobs_counts {
    uint64_t claimed, finished, retried, buried, fenced, rescued, superseded;
    unsigned in_flight_jobs, in_flight_batches;
};
struct jobs_counts jobs_counts(const struct jobs *q);
int64_t jobs_owner(const struct jobs *q); /* 0 before it is registered */

/* Seconds until attempt n (1 is the first that failed) is tried again: min(cap, base * 2^(n-1)) *
 * U(0.5, 1.5), or retry_after_ms when given. unit_random in [0, 1). */
double jobs_backoff_s(int attempt, int64_t retry_after_ms, double unit_random);

/* Whether this program does jobs of that kind: it leaves others alone. */
bool jobs_knows(const struct jobs *q, struct span kind);

/* What stands in a queue ($1 text; NULL: in all): a statement for status pages and progress.
 * Columns: kind text, ready, running, waiting, due_soon (waiting, due within 5 s), dead bigint. */
extern const struct db_stmt SQL_jobs_counts;
/* Puts every dead letter of a queue ($1 text) back; one row: how many there were, bigint. */
extern const struct db_stmt SQL_jobs_revive;
/* The most frequent causes of dead letters: kind text, count bigint, cause text. */
extern const struct db_stmt SQL_jobs_dead_reasons;
