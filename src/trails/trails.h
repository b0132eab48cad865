/* trails: how much of every route each athlete has covered. Handles four kinds of jobs of the queue
 * "trails":
 *
 *  - route: a new or changed route. Its past activities are looked up by the spatial index and
 *    listed in pages.
 *
 *  - page: one such list, these activities against that route.
 *
 *  - match: a new or changed activity against every route near it.
 *
 *  - stats: an athlete's sums, after a deletion.
 *
 * The way of an activity stands in trails_match_flow.c. Loop thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "geo/geo.h"
#include "jobs/jobs.h"

#define TRAILS_QUEUE "trails"
enum { TRAILS_KINDS = 4 };

struct trails_conf {
    size_t batch_size;  /* activities in one transaction */
    size_t batch_bytes; /* and at most so many bytes of their tracks (but at least one track) */
    size_t route_cache_bytes; /* routes kept ready to match */
    size_t page_size;         /* activities in one page of a new route */
};

struct trails;
struct trails *trails_open(struct db_pool *pool, const struct trails_conf *conf);
/* After the queue has been drained. NULL is fine. */
struct trails *trails_free(struct trails *t);
void trails_kinds(struct trails *t, struct jobs_kind out[TRAILS_KINDS]);

/* A flow that queues what should have been queued: activities without state and jobs, routes
 * without listing, pages without jobs. Finds nothing unless somebody switched triggers off; run at
 * start and every interval. *found (may be NULL) gets how many jobs it made. */
struct flow *trails_reconcile_flow(struct db_pool *pool, int64_t *found);

/* The stretches of a route that an athlete has not covered, longest first. Gaps are computed in C
 * from the ledger so that they and covered_length always add up to the route's length. On a ring
 * the gap over the start is one gap: its end lies beyond the route's length, and has two parts. */
struct trails_gap {
    struct geo_interval iv;
    struct geo_interval part[2];
    size_t nparts;
    struct geo_pt from, to;
};
struct trails_coverage {
    struct geo_route *route; /* owned */
    char *display_name;
    struct geo_interval *covered; /* sorted union */
    size_t ncovered;
    struct trails_gap *gap; /* longest first */
    size_t ngaps;
    double length_m, covered_m;
};
/* Reads into *ret, in memory of arena a; the route is freed by trails_coverage_done. Fails
 * PERMANENT if there is no such route. */
struct flow *trails_coverage_flow(struct db_pool *pool, const char *route_id, int64_t athlete_id,
                                  struct arena *a, struct trails_coverage *ret);
void trails_coverage_done(struct trails_coverage *c);

/* Covered and uncovered stretches drawn as one SVG document, plate carrée at the route's middle
 * latitude, appended to out. */
void trails_draw_svg(const struct trails_coverage *c, struct buf *out);

/* ---- importing routes ---------------------------------------------------------------------- */

/* What became of one file, or of one line of it with `each`. */
struct trails_import_event {
    const char *path, *id, *name;
    bool is_new;
    double length_m;
    size_t points;
    struct geo_join_info join;
    const char *why; /* NULL, or why it was refused; then id and name may be NULL */
};
struct trails_import_opts {
    const char *const *path;
    size_t npaths;
    const char *id,
        *name; /* NULL: from the file's name and content; only with one path and without each */
    double tolerance_m;
    double max_gap_m;
    bool each; /* every line of a file is a route of its own */
    void (*on_route)(void *ctx, const struct trails_import_event *e);
    void *ctx;
};
struct trails_import_totals {
    size_t files, routes, refused;
};
/* A flow. Reads GPX and GeoJSON files; the segments of a file are put in order and joined, or the
 * file is refused (see geo_join). A refused file is reported and the rest goes on. opts must
 * outlive it. */
struct flow *trails_import_flow(struct db_pool *pool, const struct trails_import_opts *opts,
                                struct trails_import_totals *totals);
