/* jobs: the durable queue in PostgreSQL (schema q, migrations 0002, 0006 and 0007). Knows kinds of
 * jobs only by name. Loop thread.
 *
 * Rules:
 *
 *  - A job is claimed in a batch, in order of (prio, fair, id), FOR UPDATE SKIP LOCKED. The attempt
 *    is counted at the claim, and given back when the job never ran to its end. fair is the start
 *    time on a clock of its tenant's: tenants take turns however much one of them has queued.
 *
 *  - Jobs of one lane run one after the other in order of id: all but the first are blocked, which
 *    a unique index enforces. Whoever ends a job promotes the next in the same transaction. A dead
 *    one lets the next go on, unless it was marked halt.
 *
 *  - At most one queued job has a given ukey; adding another joins it.
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
 *    attempt. HTTP 429 spends no attempt.
 *
 *  - A batch that passes its deadline is cancelled and counts as RETRY. If the instance cannot do
 *    even that, others take its jobs away 30 s later.
 *
 *  - Kinds with a rate are claimed together with a token each, in fixed windows that all instances
 *    share; part of a window is kept for jobs of prio 9 and less.
 *
 *  - Schedules (q.cron) have no leader: a slot belongs to whoever moves next_at past it.
 *
 *  - NOTIFY is only a hint, at most one per 50 ms from an instance; polling backs it.
 *
 *  - Finished jobs stay in q.done, a partition a day, for a week. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "loop/loop.h"

struct jobs;

struct jobs_job {
    int64_t id;
    int64_t tenant; /* 0: none */
    int attempt, max_attempts, crashes;
    int64_t timeout_ms; /* of this attempt; 0: its kind's */
    char *lane;         /* NULL: none */
    char *payload;      /* JSON text */
};

/* Jobs of one kind, claimed together. Lives until its flow has ended and its outcome is written. */
struct jobs_batch {
    struct jobs *jobs;
    struct arena *arena;
    const struct jobs_kind *kind;
    int64_t owner;
    struct jobs_job *job;
    size_t n;
    /* No tokens were taken for its kind's rate: one whose process died runs alone as soon as it
     * can. The handler takes them. */
    bool unpaid;
};

/* A kind and its handler. start returns a flow, not yet started, that does the batch and commits
 * its results in units that begin with jobs_add_finish. Ending well means that all jobs are gone
 * from the queue. */
struct jobs_kind {
    const char *name;
    size_t batch_max; /* 1..1000 */
    struct flow *(*start)(struct jobs_batch *b, void *ctx);
    void *ctx;
    int64_t timeout_ms; /* of one attempt; 0: an hour */
    const char *rate;   /* a token of this rate (q.rate) for each job; NULL: none */
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

/* A job to add. What is zero has its default. */
struct jobs_new {
    const char *queue; /* NULL: the one given to jobs_add */
    const char *kind;
    const char *payload; /* a JSON object; NULL: {} */
    int prio;            /* -32768..32767, lower first; 0..9 is live work for rates */
    int max_attempts;    /* 0: 8 */
    int64_t tenant;      /* 0: none */
    const char *lane, *ukey;
    bool halt;         /* its death stops its lane */
    int64_t delay_ms;  /* not before */
    int64_t timeout_s; /* of one attempt; 0: its kind's */
    int64_t parent;    /* the job whose result this one is; 0: none */
};
/* Adds jobs in the unit's transaction: a stage adds the next one in the transaction of its own
 * result. Call jobs_hint after the commit. The answer has a row of one bigint for each, the id,
 * in no order. */
void jobs_add(struct db_unit *u, const char *queue, const struct jobs_new *job, size_t n);

/* The same for a request that may come twice: the same key gives the same job for as long as it is
 * kept, and adds nothing. $1 text key, $2 float8 seconds, $3 jsonb the job, an object as q.add
 * takes them; one row: its id, bigint. */
extern const struct db_stmt SQL_jobs_add_once;

/* ---- rates --------------------------------------------------------------------------------- */

/* A job of a kind with a rate has one token when it starts. A handler that calls more often takes
 * more: $1 text rate, $2 integer how many, $3 boolean for live work; one row: how many it got. */
extern const struct db_stmt SQL_jobs_rate_take;
/* After an answer, what it says: $1 text rate, integers $2 calls a quarter hour, $3 a day, $4 and
 * $5 used of these (NULL: it does not say), $6 timestamptz its Date. */
extern const struct db_stmt SQL_jobs_rate_learn;
/* After a 429: $1 text rate, $2 boolean if the day is used up and not only the quarter hour. The
 * flow then fails RETRY, domain HTTP, code 429: its jobs go back with their attempts. */
extern const struct db_stmt SQL_jobs_rate_full;

/* ---- schedules ----------------------------------------------------------------------------- */

/* A cron expression taken apart: five fields (minute, hour, day of month, month, day of week) of
 * numbers, names, ranges, steps and lists, or @hourly, @daily, @weekly, @monthly, @yearly; as in
 * crontab(5), where two restricted day fields mean either. Bit k of a field is its value k; Sunday
 * is 0. */
struct jobs_cron {
    uint64_t minutes, hours, days, months, weekdays;
    bool any_day;  /* both day fields are restricted: either will do */
    bool any_hour; /* the hour field is not restricted */
};
/* 0, or -1 with what is wrong, where, and what is allowed. Any thread. */
int jobs_cron_parse(struct span spec, struct jobs_cron *ret, struct err *err) MUST_CHECK;
/* What the author of such a schedule may not have meant (it fires every minute of the hours it
 * names; it names hours that a clock change skips or repeats; never), as lines in out; returns how
 * many. tz: as in q.cron, for the lines only. */
unsigned jobs_cron_lint(const struct jobs_cron *c, const char *tz, struct buf *out);

/* Since the start of this instance. */
struct jobs_counts {
    uint64_t claimed, finished, retried, buried, fenced, rescued, superseded;
    uint64_t lanes_repaired; /* must stay 0 */
    uint64_t run_ms;         /* of the batches that ended, together */
    unsigned in_flight_jobs, in_flight_batches;
};
struct jobs_counts jobs_counts(const struct jobs *q);
int64_t jobs_owner(const struct jobs *q); /* 0 before it is registered */
/* Since the last heartbeat that reached the database was sent; -1: none has yet. */
int64_t jobs_beat_age_ms(const struct jobs *q);
/* The queue it works on. */
const char *jobs_queue(const struct jobs *q);

/* Seconds until attempt n (1 is the first that failed) is tried again: min(cap, base * 2^(n-1)) *
 * U(0.5, 1.5). retry_after_ms wins where the other side gave one (> 0), within half a second and a
 * day, whatever it says; and U(1, 1.2) times that, since all who were refused heard the same.
 * unit_random in [0, 1). */
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
/* What an operator sees and does, by `waymark jobs` and `waymark status`: their files tell
 * parameters and columns. Many jobs are gone through in pages: see jobs_pages_flow. */
extern const struct db_stmt SQL_jobs_cmd_audit, SQL_jobs_cmd_cancel, SQL_jobs_cmd_count,
    SQL_jobs_cmd_cron_add, SQL_jobs_cmd_cron_check, SQL_jobs_cmd_cron_list, SQL_jobs_cmd_cron_pause,
    SQL_jobs_cmd_cron_remove, SQL_jobs_cmd_cron_run, SQL_jobs_cmd_discard, SQL_jobs_cmd_drain,
    SQL_jobs_cmd_drained, SQL_jobs_cmd_find, SQL_jobs_cmd_instances, SQL_jobs_cmd_last_minute,
    SQL_jobs_cmd_list, SQL_jobs_cmd_move, SQL_jobs_cmd_move_dead, SQL_jobs_cmd_page_dead,
    SQL_jobs_cmd_page_done, SQL_jobs_cmd_page_job, SQL_jobs_cmd_pause, SQL_jobs_cmd_pauses,
    SQL_jobs_cmd_plan, SQL_jobs_cmd_purge, SQL_jobs_cmd_rate_remove, SQL_jobs_cmd_rate_set,
    SQL_jobs_cmd_rates, SQL_jobs_cmd_release, SQL_jobs_cmd_resume, SQL_jobs_cmd_retry,
    SQL_jobs_cmd_show, SQL_jobs_cmd_show_near, SQL_jobs_cmd_standing;
/* Something done to many jobs, a thousand at a time, a transaction each: SQL_jobs_cmd_plan, what
 * finds the next page of a source, what is done with that page, and the audit's row, which is one
 * for all of it. Pages go along the ids; those of one source, then those of the next. */
struct jobs_pages {
    struct db_pool *pool;
    /* page: SQL_jobs_cmd_page_*, or one that begins with the same two parameters and answers alike;
     * act: what takes its jobs from the setting waymark.page. */
    struct {
        const struct db_stmt *page, *act;
    } source[2];
    unsigned nsource;
    const int64_t *id; /* only these, in order, a thousand a page */
    size_t nid;        /* 0: whatever page finds */
    /* The parameters of page after the first two; id, n: those ids of this page (NULL: any). */
    void (*add_page)(void *ctx, struct db_unit *u, unsigned source, const int64_t *id, size_t n);
    void (*add_act)(void *ctx, struct db_unit *u, unsigned source); /* of act; NULL: it has none */
    /* A page was sent, or is over, with done counted up; NULL: nobody minds. */
    void (*on_page)(void *ctx, bool sent);
    bool (*is_enough)(void *ctx); /* asked between pages; NULL: never */
    void *ctx;
    const char *who, *command, *filter; /* for the audit; filter: a JSON object */
    const char *channel;                /* the instances are told on it */
    unsigned max_pages;                 /* 0: any number */
    int64_t statement_timeout_ms;       /* 0: the pool's */
    int64_t page_ms;                    /* deadline of a page */
    int64_t done;                       /* jobs: counted by the flow */
    bool commit_unknown; /* it failed, and the last page may have been done all the same */
};
/* A flow; p lives as long as it does. A page that others disturb (deadlock, serialization, a lock
 * that is not to be had) is tried five times; what was done before a failure is kept. */
struct flow *jobs_pages_flow(struct jobs_pages *p);
/* For showing a payload: copies JSON, as PostgreSQL prints a jsonb, with the values of keys that
 * look like secrets replaced by "***", and with what a terminal would obey escaped. Any thread. */
void jobs_mask(struct span json, struct buf *out);
/* Tells the instances to look: $1 text channel. jobs_hint for programs without a queue of theirs.
 */
extern const struct db_stmt SQL_jobs_hint;
