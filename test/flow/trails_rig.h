/* What the tests of trails/ share: a route, tracks that walk on it or not, the units of each flow,
 * and the ways in which a unit can go wrong. */
#pragma once

#include "flow/rig.h"
#include "trails/internal.h"

#define READ_TRACKS "trails_read_epoch trails_read_tracks trails_read_candidates"
#define READ_PAGE   "trails_read_epoch trails_read_page trails_read_route_revisions"
#define DROPS       "trails_drop_sections trails_drop_intersections trails_drop_relevant "
#define ADDS        "trails_add_sections trails_add_intersections trails_add_relevant "
#define SUMS        "trails_refresh_stats trails_prune_stats "
#define LOCKS       "trails_lock_athletes trails_lock_activities "
/* Indexes of calls in SAVE_MATCH. */
enum { SAVE_EPOCH = 1, SAVE_SECTIONS = 8, SAVE_RELEVANT = 10, SAVE_MARK = 13 };
#define SAVE_MATCH                                                                                 \
    "jobs_finish trails_check_epoch " LOCKS "trails_lock_routes " DROPS ADDS SUMS                  \
    "trails_mark_matched"
#define SAVE_NO_MATCH "jobs_finish trails_check_epoch " LOCKS DROPS SUMS "trails_mark_matched"
#define SAVE_PAGE     "jobs_finish trails_check_route " LOCKS DROPS ADDS SUMS "trails_page_done"

struct world {
    struct rig r;
    struct buf route, track, far, broken; /* EWKB */
};

static inline void add_line(struct buf *out, double lon, double lat, double step, int n)
{
    struct geo_pt pt[200];
    for (int i = 0; i < n; i++) {
        pt[i] = (struct geo_pt){lon + step * i, lat};
    }
    geo_ewkb_line(pt, (size_t)n, out);
}

static inline void open_world(struct world *w)
{
    *w = (struct world){.broken = {0}};
    add_line(&w->route, 7.0, 46.0, 0.001, 101); /* 7.7 km */
    add_line(&w->track, 7.02, 46.0, 0.001, 31); /* 2.3 km of it */
    add_line(&w->far, 7.0, 48.0, 0.001, 31);
    buf_puts(&w->broken, "not a geometry");
    rig_open(&w->r);
    rig_trails(&w->r, &(struct trails_conf){.batch_size = 10,
                                            .batch_bytes = 1 << 20,
                                            .route_cache_bytes = 8 << 20,
                                            .page_size = 40});
}

static inline void close_world(struct world *w)
{
    rig_close(&w->r); /* and with it the cache, which no reference may outlive */
    buf_done(&w->route);
    buf_done(&w->track);
    buf_done(&w->far);
    buf_done(&w->broken);
}

static inline void end_world(struct world *w)
{
    rig_play(&w->r);
    rig_drain(&w->r);
    close_world(w);
}

/* Nobody but the cache holds the route. */
static inline void assert_cached(struct world *w, const char *id, int64_t revision)
{
    struct trails_route *r = trails__cache_get(w->r.trails->cache, span_of(id), revision);
    assert_non_null(r);
    assert_int_equal(r->refs, 1);
    trails__route_unref(w->r.trails->cache, r);
}

/* ---- scripts -----------------------------------------------------------------------------------
 */

/* A claim of n jobs of one kind, ids from 1; payload is a format for the id. */
static inline void expect_jobs(const char *kind, int64_t n, const char *key)
{
    struct script_unit *x = rig_claim();
    for (int64_t id = 1; id <= n; id++) {
        char payload[64];
        snprintf(payload, sizeof(payload), "{\"%s\": %lld}", key, (long long)(100 + id));
        rig_job(x, kind, id, payload);
    }
    rig_claim_tail(x, -1, false);
}

static inline void expect_job(const char *kind, const char *payload)
{
    struct script_unit *x = rig_claim();
    rig_job(x, kind, 1, payload);
    rig_claim_tail(x, -1, false);
}

static inline struct script_unit *expect_read(const char *ids)
{
    struct script_unit *x = script_expect(RIG_WORK, READ_TRACKS);
    script_flags(x, DB_READONLY);
    script_row(x, 0, "i", (int64_t)33);
    script_param(x, 1, 1, ids);
    script_param(x, 2, 1, ids);
    return x;
}

/* A row of read_tracks and read_page. wkb NULL: no track. */
static inline void add_activity(struct script_unit *x, int64_t id, const struct buf *wkb)
{
    struct span s = wkb ? buf_span(wkb) : (struct span){0};
    script_row(x, 1, "ibiibw", id, 1, (int64_t)500, (int64_t)2, 0, s);
}

static inline void add_candidate(struct script_unit *x, const char *id, int64_t revision)
{
    script_row(x, 2, "ti", id, revision);
}

static inline struct script_unit *expect_routes(const char *ids)
{
    struct script_unit *x = script_expect(RIG_WORK, "trails_read_routes");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, ids);
    return x;
}

static inline void add_route(struct script_unit *x, const char *id, int64_t revision,
                             const struct buf *wkb)
{
    struct span s = wkb ? buf_span(wkb) : (struct span){0};
    script_row(x, 0, "tifw", id, revision, 40.0, s);
}

/* ---- trouble -----------------------------------------------------------------------------------
 */

/* What may become of a unit, or of work: the queue's answer to each is the same for every flow. */
enum trouble { RETRY, LOST, PERMANENT, BUG, TIMEOUT, CANCEL, TROUBLES };

static inline void make_trouble(struct script_unit *x, enum trouble t)
{
    switch (t) {
    case RETRY:
        script_fails(x, "53300", "too many connections");
        break;
    case LOST:
        script_commit_unknown(x);
        break;
    case PERMANENT:
        script_fails(x, "22P02", "invalid input");
        break;
    case BUG:
        script_fails(x, "42P01", "relation does not exist");
        break;
    default:
        script_silent(x);
    }
}

/* Plays what leads to x, which is the last unit of a flow of job 1; then expects the job's fate. */
static inline void play_trouble(struct world *w, struct script_unit *x, enum trouble t)
{
    make_trouble(x, t);
    if (t == CANCEL) {
        rig_start(&w->r);
        rig_until_asked(&w->r, x);
        rig_expect_requeue("{1}", true);
        rig_drain(&w->r);
        assert_in_range(w->r.now_ms, 25000, 26000);
        close_world(w);
        return;
    }
    if (t == PERMANENT || t == BUG) {
        rig_expect_bury("{1}", t == BUG ? "bug" : "permanent");
    } else {
        rig_expect_requeue("{1}", false);
    }
    rig_start(&w->r);
    end_world(w);
}

/* The same for a worker that is busy: it cannot be interrupted, but is waited for. */
static inline void play_slow_work(struct world *w, int64_t longer_than_ms)
{
    w->r.skip_in_work_ms = longer_than_ms;
    rig_expect_requeue("{1}", false);
    rig_start(&w->r);
    end_world(w);
}
