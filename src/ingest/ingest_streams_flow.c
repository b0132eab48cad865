/* The recorded track of one activity, which is matched in place of its summary. */
#include "ingest/internal.h"

struct streams_flow {
    struct flow f;
    struct ingest_sync *s;
    struct jobs_batch *b;
    int64_t activity, athlete, start_us;
    char path[80];
    struct strava_call call;
    struct strava_parse parse;
    const char *problem; /* it is parked; and with it dies the job, of why */
    bool dies;
    struct err why;
    unsigned tries;
    struct op op;
    struct db_unit u;
};
#define STREAMS_STEPS(STEP)                                                                        \
    STEP(streams, read) /* the start, for its times */                                             \
    STEP(streams, ask)  /* -> park, with nothing to tell, if it is not here */                     \
    STEP(streams, asked)                                                                           \
    STEP(streams, parsed)                                                                          \
    STEP(streams, save)  /* one transaction */                                                     \
    STEP(streams, saved) /* -> save, after a conflict */                                           \
    STEP(streams, park)                                                                            \
    STEP(streams, parked)
FLOW_STEPS(streams, STREAMS_STEPS);

static struct streams_flow *streams_of(struct flow *f)
{
    return container_of(f, struct streams_flow, f);
}

static struct db_unit *new_unit(struct streams_flow *m, unsigned flags)
{
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, m->f.arena, flags);
    return &m->u;
}

void ingest__streams_call(struct strava_call *c, char path[80], int64_t athlete_id,
                          int64_t activity_id)
{
    snprintf(path, 80, "/activities/%lld/streams", (long long)activity_id);
    *c = (struct strava_call){
        .athlete_id = athlete_id,
        .path = path,
        .query = {{"keys", "latlng,time"}, {"key_by_type", "true"}},
        .nquery = 2,
        .max_body = STRAVA_BODY_MAX,
    };
}

static enum flow_next streams_read(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    const char *payload = m->b->job[0].payload;
    if (ingest__payload_i64(payload, "activity", &m->activity, &f->err) != 0 ||
        ingest__payload_i64(payload, "athlete", &m->athlete, &f->err) != 0) {
        return flow_fail(f);
    }
    db_add(new_unit(m, DB_READONLY), &SQL_ingest_start_of);
    db_p_i64(&m->u, m->activity);
    db_p_i64(&m->u, m->athlete);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, streams_STEP_ask, INGEST_UNIT_MS);
}

static enum flow_next streams_ask(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    if (db_rows(&m->u, 0) == 0) {
        return flow_goto(f, streams_STEP_park);
    }
    m->start_us = db_is_null(&m->u, 0, 0, 0) ? INT64_MIN : db_get_i64(&m->u, 0, 0, 0);
    ingest__streams_call(&m->call, m->path, m->athlete, m->activity);
    m->call.extra = m->b->unpaid;
    flow_call(strava_call_flow(m->s->strava, &m->call), &m->op);
    return flow_wait_any(f, &m->op, streams_STEP_asked, INGEST_ANSWER_MS);
}

static enum flow_next failed(struct streams_flow *m, const struct err *why)
{
    if (!ingest__is_last(&m->f, m->b, why, false)) {
        return flow_fail(&m->f);
    }
    m->why = m->f.err;
    m->dies = true;
    m->problem = m->why.msg;
    return flow_goto(&m->f, streams_STEP_park);
}

static enum flow_next streams_asked(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    if (m->op.failed) {
        return failed(m, &m->op.err);
    }
    switch (m->call.outcome) {
    case STRAVA_OK:
        strava_parse_start(&m->parse, f->loop, STRAVA_STREAMS, &m->call.body, m->start_us);
        return flow_wait_any(f, &m->parse.work.op, streams_STEP_parsed, INGEST_PARSE_MS);
    case STRAVA_NOT_FOUND: /* it has none; were the activity gone, another look would tell */
        return flow_goto(f, streams_STEP_save);
    case STRAVA_SCOPE:
    case STRAVA_REFUSED:
        m->problem = ingest__outcome_text(&m->call, f->arena);
        break;
    case STRAVA_REAUTH:
    case STRAVA_UNKNOWN:
        break;
    }
    return flow_goto(f, streams_STEP_park);
}

static enum flow_next streams_parsed(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    if (m->parse.work.op.failed) {
        struct err why = m->parse.work.op.err;
        (void)err_wrap(&why, "recorded track of activity %lld: ", (long long)m->activity);
        return failed(m, &why);
    }
    return FLOW_NEXT;
}

static enum flow_next streams_save(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    struct db_unit *u = new_unit(m, DB_TX);
    jobs_add_finish(u, m->b, 1);
    db_add(u, &SQL_ingest_take_streams);
    db_p_i64(u, m->activity);
    db_p_i64(u, m->athlete);
    db_p_i64(u, m->call.ticket);
    if (m->parse.streams.n > 0) {
        db_p_bytes(u, m->parse.streams.p, m->parse.streams.n);
    } else {
        db_p_null(u);
    }
    db_submit(u);
    FAULT_POINT("streams_sent");
    return flow_wait_any(f, &u->op, streams_STEP_saved, INGEST_UNIT_MS);
}

static enum flow_next streams_saved(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    if (m->u.op.failed) {
        f->err = m->u.op.err;
        return ingest__is_conflict(&f->err) && ++m->tries < INGEST_TRIES
                   ? flow_goto(f, streams_STEP_save)
                   : flow_fail(f);
    }
    jobs_finished(m->b, 1);
    return FLOW_DONE;
}

static enum flow_next streams_park(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    struct db_unit *u = new_unit(m, DB_TX);
    if (!m->dies) {
        jobs_add_finish(u, m->b, 1);
    }
    if (m->problem) {
        db_add(u, &SQL_ingest_park);
        db_p_i64(u, m->activity);
        db_p_i64(u, m->athlete);
        db_p_text(u, m->problem);
    }
    db_submit(u);
    return flow_wait(f, &u->op, streams_STEP_parked, INGEST_UNIT_MS);
}

static enum flow_next streams_parked(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    if (m->problem) {
        log_warn("a recorded track could not be had", L_I("activity", m->activity),
                 L_I("athlete", m->athlete), L_S("why", m->problem));
    }
    if (m->dies) {
        f->err = m->why;
        return flow_fail(f);
    }
    jobs_finished(m->b, 1);
    return FLOW_DONE;
}

static void streams_end(struct flow *f)
{
    struct streams_flow *m = streams_of(f);
    strava_parse_done(&m->parse);
    buf_done(&m->call.body);
    db_unit_done(&m->u);
}

static const struct flow_def streams_def = {"ingest_streams", streams_steps, streams_STEP_COUNT,
                                            streams_end};

struct flow *ingest__streams_start(struct jobs_batch *b, void *ctx)
{
    struct ingest_sync *s = ctx;
    struct streams_flow *m = flow_new(s->loop, &streams_def, sizeof(*m), 0);
    m->s = s;
    m->b = b;
    return &m->f;
}
