/* Shared by the files of jobs/ only. */
#pragma once

#include "jobs/jobs.h"
#include "jobs_sql.h"

enum {
    JOBS_MAGIC = 0x6a6f6273,
    JOBS_CALL_MS = 10000, /* deadline of the queue's own statements */
    JOBS_BEAT_MS = 2000,
    JOBS_SESSION_GONE_MS =
        4000, /* its database session is gone this long: it had two chances to reconnect */
    JOBS_SILENT_MS = 30000, /* no beat this long, though its session stands: it hangs */
    JOBS_HINT_MS = 50,
    JOBS_FAILED_CLAIM_MS =
        500, /* between claims that fail; the pool spaces its attempts to connect by itself */
    JOBS_FENCE_MS = 20000,  /* without a beat this long we claim nothing: soon we count as dead */
    JOBS_SUSPECT_MS = 1000, /* with other work about, a suspect is let in this often */
    /* Claims under way, while there is more than one of them brings. Those of 100 jobs or more come
     * alone: each has to step over what the others have locked, also those of other instances. */
    JOBS_CLAIMS = 8,
    JOBS_CLAIM_LARGE = 100,
    JOBS_DUE_MS = 250, /* while busy, between looks for what has become due */
    /* The cursor goes back to the start this often, or less: a look from the start takes at most a
     * twentieth of the time, however many dead index entries it has to step over. */
    JOBS_REWIND_MS = 250,
    JOBS_REWIND_SHARE = 20,
    JOBS_TIMEOUT_MS = 3600000, /* of kinds that name none */
    JOBS_DONE_DAYS = 7,        /* finished jobs are kept */
    JOBS_SWEEP_MS = 3600000,   /* between looks for older ones */
    JOBS_SWEEP_BATCH = 10000,  /* at once: a moment's work, so that nothing waits behind it */
    JOBS_REPAIR_MS = 60000,    /* between looks for lanes that stand still */
    JOBS_COUNT_MS = 10000,     /* between counts for the graphs, while there is work */
    JOBS_COUNT_SHARE = 50,     /* and at most this share of the time is spent on counting */
    JOBS_FENCED_MAX = 3, /* times one batch may lose jobs to a rescuer before it is left to it */
};

/* Who talks to the database: one may fail while another works. */
enum jobs_caller { JOBS_CLAIM = 1, JOBS_BEAT = 2, JOBS_OUTCOME = 4 };
enum jobs_state { JOBS_NEW, JOBS_RUNNING, JOBS_DRAINING, JOBS_DRAINED };

/* One batch in flight: its flow, then the flow that writes what became of it. */
struct jobs_run {
    struct jobs_batch batch; /* first: handlers see only this */
    struct jobs_run *next, *prev;
    struct op op;      /* end of the handler's flow */
    struct flow *flow; /* the handler's, while it runs */
    unsigned fenced;
    int64_t started_ms, deadline_ms;
    bool late;     /* cancelled since its deadline passed */
    bool unwanted; /* cancelled since one of its jobs was: the others go back unspent */
};

/* A place in the order of claims. */
struct jobs_cursor {
    int64_t prio, fair, id;
};

/* Another instance as this one has seen it, on this one's monotonic clock. */
struct jobs_peer {
    int64_t id, beat;
    int64_t beat_seen_ms;    /* when this beat was first seen */
    int64_t session_gone_ms; /* when its session was first missed; 0: it was there */
    bool present;            /* in the latest answer */
};

struct jobs {
    uint32_t magic;
    struct loop *loop;
    struct db_pool *pool;
    struct db_pool *beat_pool; /* one connection, for the heartbeat alone */
    struct jobs_conf conf;
    const struct jobs_kind *kinds;
    size_t nkinds;
    enum jobs_state state;
    int64_t owner; /* 0 while not registered */

    bool look;                       /* something may be ready */
    bool dry;                        /* the last claim took all there was */
    unsigned claims;                 /* under way */
    bool lone;                       /* one of them that must be the only one */
    bool full;                       /* the last one brought all that there was room for */
    bool due;                        /* the next claim looks for what has become due, too */
    int64_t due_ms;                  /* when one last did */
    struct jobs_cursor cursor, last; /* where to claim from; the last job that was claimed */
    int64_t rewind_ms;               /* when the cursor goes back to the start */
    bool rated;                      /* the last claim brought jobs that spend tokens */
    bool stopped;                    /* an operator has drained this instance: it claims nothing */
    bool suspects;                   /* there are jobs that must run alone */
    bool limited;                    /* an operator has paused or limited something of the queue */
    bool alone;                      /* one of them is claimed or running: nothing else is */
    int64_t suspect_ms;              /* when the last one was claimed */
    bool audit; /* a claim's answer was lost: give back what we hold unknowingly, before the next */
    unsigned failing;      /* callers whose last call failed */
    int64_t down_since_ms; /* first failure since all worked */
    int64_t down_last_ms;  /* latest failure */
    struct err down_err;
    uv_timer_t poll; /* next look without a hint */
    uv_timer_t hint;
    bool hint_set;
    int64_t hint_ms; /* when the last one was sent */

    struct jobs_run *runs;   /* in flight */
    struct jobs_run *queued; /* claimed, waiting for a slot */
    unsigned nruns;
    unsigned outcomes; /* outcome flows alive */

    bool sweeping;
    int64_t sweep_ms, repair_ms, count_ms; /* when they are due again; 0: at once */
    struct jobs_counts told;               /* as of the last row for the graphs */

    struct ticker *beat;
    int64_t beat_ms; /* when the last one that got through was sent */
    bool looked;     /* at the others, since we registered: what dead ones left is ready */
    bool beating;
    struct {
        VEC(struct jobs_peer);
    } peers;

    struct op *idle;
    int64_t idle_fail_ms;
    struct op *drain;
    int64_t drain_until_ms;
    uv_timer_t drain_timer;
    bool leaving;

    unsigned open_handles;
    void (*on_closed)(void *ctx);
    void *on_closed_ctx;
    bool closing;
    struct jobs_counts counts;
};

/* jobs.c: looks at everything that might have to happen next. Called after every change. */
void jobs__pump(struct jobs *q);
/* jobs.c: look again after so many milliseconds, if nothing wakes us before. */
void jobs__poll_in(struct jobs *q, int64_t ms);
/* The same, unless it looks sooner anyway. */
void jobs__poll_within(struct jobs *q, int64_t ms);
/* jobs.c: notes a failure or a success of the queue's own calls; logs the change only. */
void jobs__db_failed(struct jobs *q, enum jobs_caller who, const struct err *err);
void jobs__db_worked(struct jobs *q, enum jobs_caller who);

/* jobs_claim.c: one claim, or none if it would have to wait for those under way. */
void jobs__claim(struct jobs *q);

/* jobs_claim.c: from the start of the order again. */
void jobs__rewind(struct jobs *q);

/* jobs_run.c */
/* Cancels batches past their deadline. */
void jobs__run_late(struct jobs *q);
/* Cancels the batch that has this job. */
void jobs__run_cancel(struct jobs *q, int64_t job);
struct jobs_run *jobs__run_new(struct jobs *q, const struct jobs_kind *kind, size_t capacity);
void jobs__run_queue(struct jobs *q, struct jobs_run *run); /* at the end of the waiting ones */
void jobs__run_start(struct jobs *q, struct jobs_run *run);
struct jobs_run *jobs__run_free(struct jobs_run *run);
size_t jobs__run_ids(const struct jobs_batch *b, struct arena *a, int64_t **ids,
                     int64_t **attempts);

/* jobs_outcome.c: writes what became of a batch whose flow failed. */
void jobs__outcome(struct jobs *q, struct jobs_run *run, const struct err *why);

/* jobs_instance.c: registers, beats, watches, rescues; and the goodbye. */
void jobs__beat(struct jobs *q);
void jobs__leave(struct jobs *q);
int64_t jobs__now(const struct jobs *q);

/* jobs_upkeep.c: repairs, forgets, counts, when one of them is due. */
void jobs__upkeep(struct jobs *q);

/* jobs_place.c: names this machine and process. */
void jobs__place(struct buf *out);
int64_t jobs__pid_started(int pid); /* clock ticks after boot; 0: no such process, or a zombie */
