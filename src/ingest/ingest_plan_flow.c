/* What is done by the clock: syncs are made, and what is due once a day is seen to. */
#include "ingest/internal.h"

enum { EXPIRE_AT_ONCE = 500 }; /* activities that go in one transaction */

struct plan_flow {
    struct flow f;
    struct ingest_sync *s;
    struct jobs_batch *b;
    unsigned tries;
    struct db_unit u;
};
#define PLAN_STEPS(STEP)                                                                           \
    STEP(plan, make)                                                                               \
    STEP(plan, made) /* -> make, after a conflict */
FLOW_STEPS(plan, PLAN_STEPS);

static struct plan_flow *plan_of(struct flow *f)
{
    return container_of(f, struct plan_flow, f);
}

static int read_since(struct plan_flow *p, int64_t *ret, struct err *err)
{
    const char *from = ingest__payload_text(p->b->job[0].payload, "from", p->f.arena);
    *ret = INT64_MIN;
    return !from || time_parse_iso(span_of(from), ret, err) == 0
               ? 0
               : err_wrap(err, "job payload, \"from\": ");
}

static enum flow_next plan_make(struct flow *f)
{
    struct plan_flow *p = plan_of(f);
    const char *payload = p->b->job[0].payload;
    const char *mode = ingest__payload_text(payload, "mode", f->arena);
    int64_t since;
    if (read_since(p, &since, &f->err) != 0) {
        return flow_fail(f);
    }
    db_unit_done(&p->u);
    db_unit_init(&p->u, p->s->pool, f->arena, DB_TX);
    jobs_add_finish(&p->u, p->b, 1);
    db_add(&p->u, &SQL_ingest_plan);
    db_p_text(&p->u, mode ? mode : "new");
    ingest__p_opt(&p->u, ingest__payload_opt(payload, "athlete", 0), 0);
    db_p_time_us(&p->u, since);
    db_p_f64(&p->u, (double)p->s->conf.overlap_ms / 1000);
    db_p_f64(&p->u, (double)p->s->conf.retention_ms / 1000);
    db_p_text(&p->u, p->s->conf.streams);
    db_submit(&p->u);
    return flow_wait_any(f, &p->u.op, plan_STEP_made, INGEST_UNIT_MS);
}

/* Whether the transaction has to be tried again, or the flow fails; false: it was committed. */
static bool went_wrong(struct plan_flow *p, unsigned again, enum flow_next *next)
{
    struct flow *f = &p->f;
    if (!p->u.op.failed) {
        jobs_finished(p->b, 1);
        jobs_hint(p->b->jobs);
        return false;
    }
    f->err = p->u.op.err;
    *next = ingest__is_conflict(&f->err) && ++p->tries < INGEST_TRIES ? flow_goto(f, again)
                                                                      : flow_fail(f);
    return true;
}

static enum flow_next plan_made(struct flow *f)
{
    struct plan_flow *p = plan_of(f);
    enum flow_next next;
    if (went_wrong(p, plan_STEP_make, &next)) {
        return next;
    }
    log_info("planned", L_I("syncs", db_get_i64(&p->u, 1, 0, 0)),
             L_I("recorded_tracks", db_get_i64(&p->u, 1, 0, 1)));
    return FLOW_DONE;
}

static void plan_end(struct flow *f)
{
    db_unit_done(&plan_of(f)->u);
}

static struct flow *start(struct jobs_batch *b, void *ctx, const struct flow_def *def)
{
    struct ingest_sync *s = ctx;
    struct plan_flow *p = flow_new(s->loop, def, sizeof(*p), 0);
    p->s = s;
    p->b = b;
    return &p->f;
}

struct flow *ingest__plan_start(struct jobs_batch *b, void *ctx)
{
    static const struct flow_def def = {"ingest_plan", plan_steps, plan_STEP_COUNT, plan_end};
    return start(b, ctx, &def);
}

/* ---- upkeep ------------------------------------------------------------------------------------
 */

#define UPKEEP_STEPS(STEP)                                                                         \
    STEP(upkeep, clear) /* a part of it; a full one adds a job for the next */                     \
    STEP(upkeep, cleared)
FLOW_STEPS(upkeep, UPKEEP_STEPS);

static enum flow_next upkeep_clear(struct flow *f)
{
    struct plan_flow *p = plan_of(f);
    db_unit_done(&p->u);
    db_unit_init(&p->u, p->s->pool, f->arena, DB_TX);
    jobs_add_finish(&p->u, p->b, 1);
    db_add(&p->u, &SQL_ingest_upkeep);
    db_p_f64(&p->u, (double)p->s->conf.retention_ms / 1000);
    db_p_i64(&p->u, EXPIRE_AT_ONCE);
    db_submit(&p->u);
    return flow_wait_any(f, &p->u.op, upkeep_STEP_cleared, INGEST_UNIT_MS);
}

static enum flow_next upkeep_cleared(struct flow *f)
{
    struct plan_flow *p = plan_of(f);
    enum flow_next next;
    if (went_wrong(p, upkeep_STEP_clear, &next)) {
        return next;
    }
    int64_t n = db_get_i64(&p->u, 1, 0, 0);
    if (n > 0) {
        log_info("activities from Strava have reached the age at which they go",
                 L_I("activities", n));
    }
    return FLOW_DONE;
}

struct flow *ingest__upkeep_start(struct jobs_batch *b, void *ctx)
{
    static const struct flow_def def = {"ingest_upkeep", upkeep_steps, upkeep_STEP_COUNT, plan_end};
    return start(b, ctx, &def);
}
