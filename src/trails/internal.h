/* Shared by the files of trails/ only. */
#pragma once

#include "trails/trails.h"
#include "trails_sql.h"

enum {
    TRAILS_CALL_MS = 60000,      /* deadline of one unit */
    TRAILS_WORK_MS = 600000,     /* of one batch in a worker thread; it cannot be interrupted, only waited for */
    TRAILS_RETRIES = 10,         /* of one transaction, at once, before the queue's backoff takes over */
    TRAILS_REACH_M = 1100,       /* of the coarse filter: twice the largest tolerance, and what a summary simplified away */
    TRAILS_CHUNK_M = 20000,      /* pieces of a route that the spatial index is asked with */
};

struct trails {
    struct loop *loop;
    struct db_pool *pool;
    struct trails_conf conf;
    struct trails_cache *cache;
};

/* ---- cache of prepared routes (trails_cache.c) ------------------------------------------------------------ */

/* One prepared route. A reference keeps it alive while a worker reads it; references change on the loop only. */
struct trails_route {
    struct trails_route *newer, *older; /* by last use */
    char *id;
    int64_t revision;
    struct geo_route *geo; /* NULL: not a line that could be matched; note says why */
    char *note;
    size_t bytes;
    unsigned refs;
    bool cached;
};
struct trails_cache *trails__cache_new(size_t limit_bytes);
struct trails_cache *trails__cache_free(struct trails_cache *c);
/* A new reference, or NULL. */
struct trails_route *trails__cache_get(struct trails_cache *c, struct span id, int64_t revision);
/* Takes geo; an older revision is dropped. Returns a reference. */
struct trails_route *trails__cache_put(struct trails_cache *c, const char *id, int64_t revision, struct geo_route *geo,
                                       const char *note);
void trails__route_unref(struct trails_cache *c, struct trails_route *r);

/* ---- worker (trails_work.c) -------------------------------------------------------------------------------- */

struct trails_prepare_item {
    const char *id;
    int64_t revision;
    double tolerance_m;
    struct span wkb;
    struct geo_route *geo; /* result, or NULL and err */
    struct err err;
};
/* Decodes and prepares routes. chunks, if wanted, gets the first route in short pieces. */
struct trails_prepare {
    struct work work;
    struct trails_prepare_item *item;
    size_t n;
    bool want_chunks;
    struct geo_track chunks;
};
int trails__prepare_run(struct work *w, struct err *err);

struct trails_activity {
    int64_t id, athlete_id, revision;
    bool present, is_best;
    struct span wkb;  /* p NULL: no track */
    const char *note; /* result: why nothing could be matched, or NULL */
};
/* What the worker found, as the columns of the statements that store it. */
struct trails_rows {
    VEC(struct trails_row);
};
struct trails_row {
    size_t activity, route; /* indexes */
    double start_m, end_m;
    size_t offset, bytes;   /* of the EWKB in wkb */
};
struct trails_match_item {
    struct work work;
    struct arena *arena; /* the item's own, for notes */
    struct trails_activity *activity;
    size_t nactivities;
    struct trails_route **route;
    size_t nroutes;
    struct trails_rows sections, pieces, relevant;
    struct buf wkb;
};
int trails__match_run(struct work *w, struct err *err);
void trails__match_item_done(struct trails_match_item *m);

/* ---- flows ------------------------------------------------------------------------------------------------- */

struct flow *trails__match_start(struct jobs_batch *b, void *ctx);
struct flow *trails__page_start(struct jobs_batch *b, void *ctx);
struct flow *trails__route_start(struct jobs_batch *b, void *ctx);
struct flow *trails__stats_start(struct jobs_batch *b, void *ctx);

/* Values of a job's payload. 0, or -1 with class BUG when it is not there. */
int trails__payload_i64(const char *payload, const char *key, int64_t *ret, struct err *err) MUST_CHECK;
int trails__payload_text(const char *payload, const char *key, struct arena *a, char **ret, struct err *err) MUST_CHECK;
/* Errors after which the same transaction is tried again at once. */
bool trails__try_again(const struct err *err);
