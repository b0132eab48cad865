/* What the tests of syncs share: a queue with the kinds that call Strava, the script of their
 * calls, and the ways in which a step can go wrong. */
#pragma once

#include "fake/strava_script.h"
#include "flow/rig.h"
#include "ingest/internal.h"

#define ATHLETE  500
#define ACTIVITY 77

struct sync_world {
    struct rig r;
    struct ingest_sync *s;
};

static inline void open_sync(struct sync_world *w, const char *streams)
{
    const struct ingest_sync_conf conf = {
        .streams = streams, .details = "none", .overlap_ms = 86400000, .retention_ms = 604800000};
    *w = (struct sync_world){.s = NULL};
    rig_open(&w->r);
    strava_script_begin();
    w->s = ingest_sync_open(w->r.pool, (struct strava *)(void *)w->r.loop, &conf);
    ingest_strava_kinds(w->s, w->r.kinds);
    ingest_plan_kinds(w->s, &w->r.kinds[INGEST_STRAVA_KINDS]);
    for (size_t i = 0; i < INGEST_STRAVA_KINDS; i++) {
        w->r.kinds[i].rate = NULL; /* tokens are the queue's business */
    }
    struct jobs_conf jobs = rig_conf();
    jobs.concurrency = 1;
    rig_queue(&w->r, &jobs, INGEST_STRAVA_KINDS + INGEST_PLAN_KINDS);
    script_always(RIG_WORK, "jobs_hint");
}

static inline void close_sync(struct sync_world *w)
{
    strava_script_end();
    rig_close(&w->r);
    ingest_sync_free(w->s);
}

static inline void end_sync(struct sync_world *w)
{
    rig_play(&w->r);
    assert_true(strava_script_played());
    rig_drain(&w->r);
    close_sync(w);
}

/* Job 1, attempt of 5. */
static inline void claim_attempt(const char *kind, const char *payload, int attempt)
{
    struct script_unit *x = rig_claim();
    rig_add_job(x, &(struct rig_job){.kind = kind,
                                     .payload = payload,
                                     .id = 1,
                                     .prio = 10,
                                     .attempt = attempt,
                                     .max_attempts = 5});
    rig_claim_tail(x, -1, false);
}

static inline void claim(const char *kind, const char *payload)
{
    claim_attempt(kind, payload, 1);
}

/* A claim of a queue one of whose kinds has a rate. */
static inline void expect_rated_claim(bool suspects)
{
    struct script_unit *x =
        script_expect(RIG_WORK, "jobs_due jobs_take_rated jobs_rate_wait jobs_take");
    rig_claim_tail(x, -1, suspects);
    script_row(x, 2, "i", (int64_t)0);
}

/* One job runs alone, after its process died. */
static inline void claim_suspect(const char *kind, const char *payload)
{
    expect_rated_claim(true);
    struct script_unit *x = script_expect(RIG_WORK, RIG_CLAIM_SUSPECT);
    rig_job(x, kind, 1, payload);
    rig_claim_tail(x, -1, false);
}

/* Its last attempt failed. */
static inline void expect_last(void)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_requeue jobs_bury");
    script_param(x, 1, 1, "{1}");
    script_param(x, 1, 3, "attempts");
}

/* What may become of a unit: the queue's answer to each is the same for every flow. */
enum sync_trouble { T_RETRY, T_LOST, T_PERMANENT, T_BUG, T_TIMEOUT, T_CANCEL, T_KINDS };

/* Plays what leads to x, the last unit of a flow of job 1; then expects the job's fate. */
static inline void play_unit(struct sync_world *w, struct script_unit *x, enum sync_trouble t)
{
    static const char *const state[] = {"53300", NULL, "22P02", "42P01", NULL, NULL};
    if (state[t]) {
        script_fails(x, state[t], "trouble");
    } else if (t == T_LOST) {
        script_commit_unknown(x);
    } else {
        script_silent(x);
    }
    if (t == T_CANCEL) {
        rig_start(&w->r);
        rig_until_asked(&w->r, x);
        rig_expect_requeue("{1}", true);
        rig_drain(&w->r);
        close_sync(w);
        return;
    }
    if (t == T_PERMANENT || t == T_BUG) {
        rig_expect_bury("{1}", t == T_BUG ? "bug" : "permanent");
    } else {
        rig_expect_requeue("{1}", false);
    }
    rig_start(&w->r);
    end_sync(w);
}

/* The same for a call that never comes back. */
static inline bool call_is_asked(void *ctx)
{
    return strava_script_asked(ctx);
}

static inline void play_silent_call(struct sync_world *w, struct script_call *x, bool cancel)
{
    strava_script_never(x);
    rig_start(&w->r);
    rig_until(&w->r, call_is_asked, x);
    rig_expect_requeue("{1}", cancel);
    if (cancel) {
        rig_drain(&w->r);
        close_sync(w);
    } else {
        end_sync(w);
    }
}

/* How long a job that goes back waits. */
static double sync_delay_s;
static inline void keep_delay(const char *value)
{
    sync_delay_s = strtod(value + 1, NULL); /* "{4.2}" */
}

static inline void expect_requeue_after(double from_s, double to_s, struct sync_world *w,
                                        bool refund)
{
    struct script_unit *x = rig_expect_requeue("{1}", refund);
    script_param_is(x, 0, 3, keep_delay);
    rig_start(&w->r);
    end_sync(w);
    if (sync_delay_s < from_s || sync_delay_s > to_s) {
        fail_msg("waits %.1f s instead of %.0f to %.0f", sync_delay_s, from_s, to_s);
    }
}
