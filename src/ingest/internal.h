/* Shared by the files of ingest/ only. */
#pragma once

#include "ingest/ingest.h"
#include "ingest_sql.h"

enum { INGEST_LIVE_CALL_MS = 30000 }; /* deadline of one unit about events and the subscription */

/* ---- what Strava has (ingest_*_flow.c) ------------------------------------------------------- */

enum {
    INGEST_PER_PAGE = 200,           /* as many as one may ask for */
    INGEST_PAGES_MAX = 2000,         /* of one cursor: such a list has no end */
    INGEST_UNIT_MS = 60000,          /* deadline of one unit */
    INGEST_ANSWER_MS = 180000,       /* of a call, with a refresh of the token and its repetition */
    INGEST_PARSE_MS = 120000,        /* of a worker, which can only be waited for */
    INGEST_KIND_MS = 10 * 60 * 1000, /* of one job */
    INGEST_TRIES = 10,               /* of one transaction that got in the way of another */
};

struct ingest_sync {
    struct loop *loop;
    struct db_pool *pool;
    struct strava *strava;
    struct ingest_sync_conf conf;
};

/* Where a pass through a list is (ingest_scan.c). */
struct ingest_scan {
    int64_t before_s; /* the cursor */
    int64_t page;
    int64_t low_s; /* earliest start on page 1 of this cursor; INT64_MAX: none */
    bool fresh;    /* pages of this cursor brought something new */
};
struct ingest_listed {
    size_t n;      /* activities on the page, readable or not */
    size_t fresh;  /* of them, not seen before by this pass */
    int64_t min_s; /* earliest start; INT64_MAX: none */
};
/* Moves on past that page; false: the list has ended. */
bool ingest__scan_next(struct ingest_scan *s, const struct ingest_listed *page);

/* ingest_call.c: when an activity that an event is about is looked at again, the looks-th time
 * (from 0) that it is missing, or is as it was; 0: no more. */
int64_t ingest__look_again_ms(bool missing, int64_t looks);

/* ---- ingest_call.c: what the flows of calls have in common ---- */

/* A number of a job's payload. 0, or -1 with class BUG when it is not there. */
int ingest__payload_i64(const char *payload, const char *key, int64_t *ret,
                        struct err *err) MUST_CHECK;
/* The same for what need not be there. */
int64_t ingest__payload_opt(const char *payload, const char *key, int64_t otherwise);
bool ingest__payload_true(const char *payload, const char *key);
/* In arena a; NULL: there is none. */
const char *ingest__payload_text(const char *payload, const char *key, struct arena *a);

/* Whether a failed call or parse is the end of the job's patience: what is known of the object is
 * then written down before the job dies. Fills f->err, with a delay that outlasts an outage; a list
 * is never what is wrong itself, one activity may be. */
bool ingest__is_last(struct flow *f, const struct jobs_batch *b, const struct err *why,
                     bool is_list);
/* What stands behind an outcome other than STRAVA_OK, in words; arena a. */
const char *ingest__outcome_text(const struct strava_call *c, struct arena *a);
/* A conflict with another transaction: the same again works. */
bool ingest__is_conflict(const struct err *err);

/* A number, or NULL for that one. */
void ingest__p_opt(struct db_unit *u, int64_t v, int64_t none);
/* Parameters $1 to $23 of strava.take: what an answer says of n activities. sync 0: no list. */
void ingest__add_activities(struct db_unit *u, int64_t athlete_id, int64_t ticket, int64_t sync,
                            const struct strava_activity *v, size_t n);

/* ingest_streams_flow.c: the call for a recorded track; path is used until it has ended. */
void ingest__streams_call(struct strava_call *c, char path[80], int64_t athlete_id,
                          int64_t activity_id);

struct flow *ingest__page_start(struct jobs_batch *b, void *ctx);
struct flow *ingest__look_start(struct jobs_batch *b, void *ctx);
struct flow *ingest__streams_start(struct jobs_batch *b, void *ctx);
struct flow *ingest__plan_start(struct jobs_batch *b, void *ctx);
struct flow *ingest__upkeep_start(struct jobs_batch *b, void *ctx);
