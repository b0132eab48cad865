/* The made-up kinds of queue_worker. What a job does stands in its payload; every kind but noop
 * leaves one row in chaos.effect, in the transaction that ends the job:
 *
 *   n      a number of the caller's own
 *   ms     how long it takes, by a timer; of a batch the longest counts
 *   work   true: in a worker thread instead, which hears of no cancellation
 *   left   > 0: that transaction adds the next job, with one less, same queue, kind, lane and
 *          tenant, n one more
 *   fails  RETRY up to this attempt
 *   bad    true: PERMANENT
 *   crash  true: abort() in the worker thread
 *   until  refused before this Unix time in ms, as by an answer of HTTP
 *   code   (429) that says to come back
 *   after  (500) ms later
 *
 * Kinds: noop (reads no payload, leaves no effect); effect; chain, the same by another name; rated,
 * which spends a token of the rate "chaos"; fail, bad, hang and crash, which do so unasked: fail
 * once, hang for an hour in a worker thread. */
#pragma once

#include "jobs/jobs.h"

enum { TASK_KINDS = 8 };

struct task_conf {
    struct db_pool *pool;
    const char *queue; /* where chains go on */
    size_t batch_max;  /* of noop, effect, chain and rated; the others run alone */
    int64_t timeout_ms;
    bool report; /* a line "start JOB NS" as the handler of each starts, by the monotonic clock */
    /* >= 0: a file that gets a line "kind id attempt" for each job that begins, whatever becomes of
     * it: what it did outside of the database. */
    int ledger;
};

/* conf must outlive the queue. */
void task_kinds(struct task_conf *conf, struct jobs_kind kinds[TASK_KINDS]);
