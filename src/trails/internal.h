/* Shared by the files of trails/ only. */
#pragma once

#include "trails/trails.h"
#include "trails/work.h"
#include "trails_sql.h"

enum {
    TRAILS_CALL_MS = 60000,  /* deadline of one unit */
    TRAILS_WORK_MS = 600000, /* of one batch in a worker, which can only be waited for */
    TRAILS_RETRIES = 10,   /* of one transaction, at once, before the queue's backoff takes over */
    TRAILS_REACH_M = 1100, /* of the coarse filter: twice the largest tolerance, and what a summary
                              simplified away */
};

struct trails {
    struct loop *loop;
    struct db_pool *pool;
    struct trails_conf conf;
    struct trails_cache *cache;
};

/* ---- cache of prepared routes (trails_cache.c) --------------------------------------------- */

/* One prepared route. A reference keeps it alive while a worker reads it; references change on the
 * loop only. */
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
struct trails_route *trails__cache_put(struct trails_cache *c, const char *id, int64_t revision,
                                       struct geo_route *geo, const char *note);
void trails__route_unref(struct trails_cache *c, struct trails_route *r);

/* The worker's functions with the work item around them. */
struct trails_prepare_work {
    struct work work;
    struct trails_prepare item;
};
struct trails_match_work {
    struct work work;
    struct trails_match item;
};
void trails__prepare_start(struct trails_prepare_work *w, struct loop *l);
void trails__match_work_start(struct trails_match_work *w, struct loop *l);

/* ---- flows --------------------------------------------------------------------------------- */

struct flow *trails__match_start(struct jobs_batch *b, void *ctx);
struct flow *trails__page_start(struct jobs_batch *b, void *ctx);
struct flow *trails__route_start(struct jobs_batch *b, void *ctx);
struct flow *trails__stats_start(struct jobs_batch *b, void *ctx);

/* Values of a job's payload. 0, or -1 with class BUG when it is not there. */
int trails__payload_i64(const char *payload, const char *key, int64_t *ret,
                        struct err *err) MUST_CHECK;
int trails__payload_text(const char *payload, const char *key, struct arena *a, char **ret,
                         struct err *err) MUST_CHECK;
/* Errors after which the same transaction is tried again at once. */
bool trails__try_again(const struct err *err);
