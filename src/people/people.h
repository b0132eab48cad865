/* people: athletes as the people they are. What is kept of one, as a document for them; and their
 * departure, after which nothing is. Handles one kind of job of the queue "strava":
 *
 *  - strava.check: somebody says that an athlete has withdrawn. Strava is asked; if it is so,
 *    everything of the athlete is erased and the operator hears of it.
 *
 * Loop thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "strava/strava.h"

/* ---- departure ------------------------------------------------------------------------------- */

/* Rows about an athlete, table by table. */
struct people_place {
    const char *name;
    int64_t rows; /* there were, or are */
    int64_t left; /* after an erasure: 0 */
};
struct people_count {
    struct people_place *place; /* in the arena that was given */
    size_t n;
    int64_t rows, left; /* of all of them */
    bool there;         /* there is, or was, such an athlete */
};
/* A flow that counts. */
struct flow *people_count_flow(struct db_pool *pool, int64_t athlete_id, struct arena *a,
                               struct people_count *ret);

struct people_erasure {
    int64_t athlete_id;
    const char *who;          /* for the audit: "admin@192.0.2.1"; lives as long as the flow */
    bool tell;                /* the operator hears of it as an alert */
    struct arena *arena;      /* of the report */
    struct people_count *ret; /* what there was, and what is left; may be NULL */
};
/* A flow that takes away everything of an athlete in one transaction, and then whatever work that
 * was under way has written since, until a count finds nothing. An athlete who is not there is no
 * error. Fails RETRY as the database does; BUG, with the tables, if something stays. e must outlive
 * it. */
struct flow *people_erase_flow(struct db_pool *pool, const struct people_erasure *e);

/* The kind strava.check; pool and s outlive the queue. */
struct people_checks {
    struct db_pool *pool;
    struct strava *strava;
};
void people_check_kind(struct people_checks *x, struct jobs_kind *out);

/* ---- a document of theirs -------------------------------------------------------------------- */

/* Where it goes, piece by piece (32 kB at most). Returns 0: go on; 1: taken, *wait has begun, and
 * the next piece is wanted when it has finished; -1: it cannot be had, with err. */
struct people_sink {
    int (*write)(void *ctx, struct span piece, struct op *wait, struct err *err);
    void *ctx;
};
struct people_export {
    int64_t athlete_id;
    struct people_sink sink;
    int64_t activities; /* written so far */
};
/* A flow that writes one GeoJSON document (RFC 7946): a feature for each activity, one a line, and
 * a member "waymark" about the athlete, the account and the trails. Memory is bounded by a page of
 * activities, whatever the history. Fails PERMANENT, before anything is written, if there is no
 * such athlete. e must outlive it. */
struct flow *people_export_flow(struct db_pool *pool, struct people_export *e);

/* ---- for lists --------------------------------------------------------------------------------
 */

/* Who is here: id bigint, name, scopes, state text (connected, reauth, or none), activities bigint,
 * last import timestamptz. */
extern const struct db_stmt SQL_people_list;
