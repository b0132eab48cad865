/* ingest: brings activities in: track files and folders of them, and what Strava pushes. Loop
 * thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "fetch/fetch.h"
#include "jobs/jobs.h"
#include "strava/strava.h"

/* ---- files ----------------------------------------------------------------------------------- */

/* What became of one file, for the caller's report. */
struct ingest_event {
    const char *path;
    size_t activities; /* new ones */
    size_t known;      /* were here already */
    const char *why;   /* NULL, or why the file (or a part of it) was refused */
};
struct ingest_totals {
    size_t files, files_done, files_refused, activities, known;
};
struct ingest_opts {
    /* Files and folders; a folder is searched for .gpx and .geojson files. */
    const char *const *path;
    size_t npaths;
    int64_t athlete_id;
    void (*on_file)(void *ctx, const struct ingest_event *e); /* after each file */
    void (*on_scan)(void *ctx, size_t files); /* once, when it is known how many there are */
    void *ctx;
};
/* A flow. Each <trk> or line feature becomes an activity; its id is made from the content and the
 * athlete, so the same file twice is the same activity. A bad file is reported and left out, the
 * rest goes on; the flow fails only when the database cannot be reached or a path does not exist.
 * opts must outlive it. */
struct flow *ingest_files_flow(struct db_pool *pool, const struct ingest_opts *opts,
                               struct ingest_totals *totals);

/* ---- events that Strava pushes --------------------------------------------------------------- */

/* Keeps events, many in one commit: what comes while a commit is under way waits for the next one.
 * Never asks anybody but the database, through connections of its own. */
struct ingest_events;

/* 0: the default. */
struct ingest_events_conf {
    const struct db_conf *db;  /* as for the work; copied */
    unsigned commits;          /* under way at once; 1..INGEST_COMMITS_MAX */
    size_t group;              /* events in one commit; 1..INGEST_GROUP_MAX */
    size_t waiting;            /* events that may wait; more are refused */
    void (*on_job)(void *ctx); /* a job was made, and committed, that makes jobs of events; may be
                                  NULL */
    void *ctx;
};
enum { INGEST_COMMITS_MAX = 16, INGEST_GROUP_MAX = 2048 };
struct ingest_events *ingest_events_open(struct loop *l, const struct ingest_events_conf *conf);
/* Fails what waits and what is under way. op (uninitialised) finishes when the connections are
 * closed; e is gone then. */
void ingest_events_close(struct ingest_events *e, struct op *op);

/* One event on its way, in memory of the caller's that stays until op has finished. */
struct ingest_keep {
    struct op op;
    struct strava_event event; /* filled by the caller */
    struct ingest_keep *next, *prev;
    struct ingest__group *group; /* whose commit it is in; NULL: it waits */
    struct ingest_events *events;
};
/* k->op finishes well once the event is durable. It fails, RETRY, when too many wait, when the
 * database refuses or cannot be reached, or when it was cancelled; it may be durable all the same.
 * It has no deadline: whoever waits cancels it. A commit whose events are all cancelled is. */
void ingest_events_keep(struct ingest_events *e, struct ingest_keep *k);

/* Since the start of this process. */
struct ingest_events_counts {
    uint64_t kept, commits, failed; /* failed: events, for any reason but being cancelled */
    size_t waiting;                 /* now */
};
struct ingest_events_counts ingest_events_counts(const struct ingest_events *e);

/* The path of the address that Strava is told to push to, as its listener sees it. -1 (CONF) with
 * what is wrong if the address is of no use. */
enum { INGEST_PATH_MAX = 256 };
int ingest_callback_path(const char *url, char path[INGEST_PATH_MAX], struct err *err) MUST_CHECK;
/* The word by which the listener knows that a subscription is ours: made ($1 text, a new one) when
 * there is none. One row: text. */
extern const struct db_stmt SQL_ingest_verify_token;
/* A new one for that: 32 hex digits and NUL. */
enum { INGEST_WORD_MAX = 33 };
void ingest_make_word(char out[INGEST_WORD_MAX]);

/* The job strava.events: makes jobs of the events that wait. */
void ingest_dispatch_kind(struct db_pool *pool, struct jobs_kind *out);

/* ---- the subscription to events -------------------------------------------------------------- */

/* An application has one, or none, which Strava makes only after it has asked our listener. Strings
 * must outlive it. */
struct ingest_subscription {
    struct db_pool *pool;
    struct fetch *fetch; /* NULL: there is nothing to do with Strava */
    const char *client_id, *client_secret;
    const char *api_url;      /* as in struct strava_conf */
    const char *callback_url; /* NULL: events are not wanted */
    bool keep;                /* it is made, and mended; else only looked at */
};
/* What became of it. */
struct ingest_subscribed {
    enum {
        INGEST_SUBSCRIPTION_NONE = 1, /* and none is wanted */
        INGEST_SUBSCRIPTION_KEPT,
        INGEST_SUBSCRIPTION_MADE,
        INGEST_SUBSCRIPTION_MOVED,   /* made, where another one pushed elsewhere */
        INGEST_SUBSCRIPTION_FOREIGN, /* one that pushes elsewhere was left alone */
        INGEST_SUBSCRIPTION_REMOVED,
    } what;
    int64_t id;
    char where[128]; /* MOVED, FOREIGN: host of the other one */
};
/* Looks, and makes or mends what is to be. One with another address is removed only after our own
 * has answered the challenge at its public address, since none could be restored. What it finds is
 * told in strava.app, in the log and, when it fails for good, by an alert. Fails RETRY when Strava
 * or the network do, or Strava cannot reach us; PERMANENT when it refuses. */
struct flow *ingest_subscribe_flow(const struct ingest_subscription *s,
                                   struct ingest_subscribed *ret);
/* Removes whichever there is. */
struct flow *ingest_unsubscribe_flow(const struct ingest_subscription *s,
                                     struct ingest_subscribed *ret);
/* The job strava.subscribe. s outlives the queue. */
void ingest_subscribe_kind(const struct ingest_subscription *s, struct jobs_kind *out);
/* Adds that job, and its schedule; call jobs_hint after the commit. */
extern const struct db_stmt SQL_ingest_want_subscription;

/* ---- what Strava has ------------------------------------------------------------------------- */

/* Syncs (passes through an athlete's list), single activities and their recorded tracks. The rules
 * of what an answer changes stand in migration 0011, those of paging in ingest_scan.c. Kinds of the
 * queue STRAVA_QUEUE, one call to Strava each:
 *
 *  - strava.page {sync}: the next page of a sync.
 *
 *  - strava.look {activity, athlete, why}: that activity. why: "event", "backfill", "confirm".
 *
 *  - strava.streams {activity, athlete}: its recorded track.
 *
 * and of the queue of matching, which call nobody:
 *
 *  - strava.plan {mode, athlete?, from?}: makes syncs.
 *
 *  - strava.upkeep: what is due once a day. */
struct ingest_sync;

/* Strings must outlive it. */
struct ingest_sync_conf {
    const char *streams, *details; /* whose: near (a route), all, none */
    int64_t overlap_ms;            /* how far back the daily comparison looks */
    int64_t retention_ms;          /* what Strava has not shown for so long goes; 0: it stays */
};
enum { INGEST_STRAVA_KINDS = 3, INGEST_PLAN_KINDS = 2 };
/* strava: NULL if only plans are made. */
struct ingest_sync *ingest_sync_open(struct db_pool *pool, struct strava *strava,
                                     const struct ingest_sync_conf *conf);
/* After the queues have been drained. NULL is fine. */
struct ingest_sync *ingest_sync_free(struct ingest_sync *s);
void ingest_strava_kinds(struct ingest_sync *s, struct jobs_kind out[INGEST_STRAVA_KINDS]);
void ingest_plan_kinds(struct ingest_sync *s, struct jobs_kind out[INGEST_PLAN_KINDS]);

/* A flow that makes the rate of calls and the schedules strava.new (hourly), strava.reconcile and
 * strava.upkeep (daily) of the given queue, those that are missing. */
struct flow *ingest_schedules_flow(struct db_pool *pool, const char *queue);

/* For `waymark sync` and pages; their files tell parameters and columns. */
extern const struct db_stmt SQL_ingest_request_sync, SQL_ingest_progress, SQL_ingest_calls_done,
    SQL_ingest_syncs;
