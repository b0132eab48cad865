/* One activity, as it is now: taken over, with the recorded track where that is worth a call, or
 * removed since Strava has it no more. Whoever says that something happened to it is only a reason
 * to look. */
#include "ingest/internal.h"

enum { PRIO_LIVE = 9, PRIO_NEAR = 20, PRIO_FAR = 40 }; /* of a job for the recorded track */

struct look_flow {
    struct flow f;
    struct ingest_sync *s;
    struct jobs_batch *b;
    int64_t activity, athlete, looks;
    bool event, deleted; /* why: an event said something, it said that it was deleted */
    char path[64], streams_path[80];
    struct strava_call call, more;
    struct strava_parse parse, recorded;
    bool has_streams;     /* Strava said what there is */
    bool streams_later;   /* and that may change soon */
    int64_t streams_prio; /* 0: no job for them */
    const char *problem;  /* it is parked; and with it dies the job, of why */
    bool dies;
    struct err why;
    unsigned tries;
    struct op op;
    struct db_unit u;
};
#define LOOK_STEPS(STEP)                                                                           \
    STEP(look, ask)                                                                                \
    STEP(look, asked)  /* -> lose: it is not there; -> park: it cannot be had */                   \
    STEP(look, parsed) /* -> save, if it has no line */                                            \
    STEP(look, judged) /* -> save, if its recorded track is not wanted, or here already */         \
    STEP(look, more)   /* -> save, without it, if that failed */                                   \
    STEP(look, recorded)                                                                           \
    STEP(look, save)  /* one transaction */                                                        \
    STEP(look, saved) /* -> save, after a conflict */                                              \
    STEP(look, lose)  /* one transaction, too */                                                   \
    STEP(look, lost)  /* -> lose, after a conflict */                                              \
    STEP(look, park)                                                                               \
    STEP(look, parked)
FLOW_STEPS(look, LOOK_STEPS);

static struct look_flow *look_of(struct flow *f)
{
    return container_of(f, struct look_flow, f);
}

static struct db_unit *new_unit(struct look_flow *m, unsigned flags)
{
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, m->f.arena, flags);
    return &m->u;
}

static int read_payload(struct look_flow *m, struct err *err)
{
    const char *payload = m->b->job[0].payload;
    const char *why = ingest__payload_text(payload, "why", m->f.arena);
    m->event = why && strcmp(why, "event") == 0;
    m->deleted = ingest__payload_true(payload, "deleted");
    m->looks = ingest__payload_opt(payload, "looks", 0);
    return ingest__payload_i64(payload, "activity", &m->activity, err) != 0 ||
                   ingest__payload_i64(payload, "athlete", &m->athlete, err) != 0
               ? -1
               : 0;
}

static enum flow_next look_ask(struct flow *f)
{
    struct look_flow *m = look_of(f);
    if (read_payload(m, &f->err) != 0) {
        return flow_fail(f);
    }
    snprintf(m->path, sizeof(m->path), "/activities/%lld", (long long)m->activity);
    m->call = (struct strava_call){
        .athlete_id = m->athlete,
        .path = m->path,
        .max_body = STRAVA_BODY_MAX,
        .extra = m->b->unpaid,
        .live = m->event,
    };
    flow_call(strava_call_flow(m->s->strava, &m->call), &m->op);
    return flow_wait_any(f, &m->op, look_STEP_asked, INGEST_ANSWER_MS);
}

static enum flow_next failed(struct look_flow *m, const struct err *why)
{
    if (!ingest__is_last(&m->f, m->b, why, false)) {
        return flow_fail(&m->f);
    }
    m->why = m->f.err;
    m->dies = true;
    m->problem = m->why.msg;
    return flow_goto(&m->f, look_STEP_park);
}

static enum flow_next look_asked(struct flow *f)
{
    struct look_flow *m = look_of(f);
    if (m->op.failed) {
        return failed(m, &m->op.err);
    }
    switch (m->call.outcome) {
    case STRAVA_OK:
        strava_parse_start(&m->parse, f->loop, STRAVA_DETAIL, &m->call.body, INT64_MIN);
        return flow_wait_any(f, &m->parse.work.op, look_STEP_parsed, INGEST_PARSE_MS);
    case STRAVA_NOT_FOUND:
        return flow_goto(f, look_STEP_lose);
    case STRAVA_SCOPE:
    case STRAVA_REFUSED:
        m->problem = ingest__outcome_text(&m->call, f->arena);
        break;
    case STRAVA_REAUTH:
    case STRAVA_UNKNOWN:
        break; /* a login starts a sync that brings everything */
    }
    return flow_goto(f, look_STEP_park);
}

/* What came is the activity that was asked for, of that athlete. */
static int check_found(struct look_flow *m, struct err *err)
{
    if (m->parse.work.op.failed) {
        *err = m->parse.work.op.err;
        return err_wrap(err, "activity %lld: ", (long long)m->activity);
    }
    const struct strava_activity *a = m->parse.n == 1 ? &m->parse.activity[0] : NULL;
    if (!a || a->id != m->activity) {
        return err_set(err, ERR_DATA, ERR_RETRY, "activity %lld: the answer is about %s: %s",
                       (long long)m->activity, a ? "another one" : "nothing that can be read",
                       m->parse.first_bad ? m->parse.first_bad : "");
    }
    if (a->athlete_id != INT64_MIN && a->athlete_id != m->athlete) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "activity %lld is another athlete's",
                       (long long)m->activity);
    }
    return 0;
}

static enum flow_next look_parsed(struct flow *f)
{
    struct look_flow *m = look_of(f);
    struct err err;
    if (check_found(m, &err) != 0) {
        return failed(m, &err);
    }
    const struct strava_activity *a = &m->parse.activity[0];
    if (a->summary.n == 0 || strcmp(m->s->conf.streams, "none") == 0) {
        return flow_goto(f, look_STEP_save);
    }
    db_add(new_unit(m, DB_READONLY), &SQL_ingest_judge);
    db_p_i64(&m->u, m->activity);
    db_p_bytes(&m->u, a->summary.p, a->summary.n);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, look_STEP_judged, INGEST_UNIT_MS);
}

static enum flow_next look_judged(struct flow *f)
{
    struct look_flow *m = look_of(f);
    bool near = db_get_i64(&m->u, 0, 0, 0) != 0, bare = db_get_i64(&m->u, 0, 0, 1) != 0;
    if (!bare || (!near && strcmp(m->s->conf.streams, "all") != 0)) {
        return flow_goto(f, look_STEP_save);
    }
    m->streams_prio = m->event ? PRIO_LIVE : near ? PRIO_NEAR : PRIO_FAR;
    ingest__streams_call(&m->more, m->streams_path, m->athlete, m->activity);
    m->more.extra = true;
    m->more.live = m->event;
    flow_call(strava_call_flow(m->s->strava, &m->more), &m->op);
    return flow_wait_any(f, &m->op, look_STEP_more, INGEST_ANSWER_MS);
}

/* Whatever is the matter with it, what we have is worth keeping: the track gets a job. */
static enum flow_next look_more(struct flow *f)
{
    struct look_flow *m = look_of(f);
    if (m->op.failed || (m->more.outcome != STRAVA_OK && m->more.outcome != STRAVA_NOT_FOUND)) {
        return flow_goto(f, look_STEP_save);
    }
    if (m->more.outcome == STRAVA_NOT_FOUND) {
        /* Seconds after an event it may not be there yet: that is looked for once more. */
        m->streams_later = m->event && ingest__look_again_ms(false, m->looks) > 0;
        m->has_streams = !m->streams_later;
        return flow_goto(f, look_STEP_save);
    }
    strava_parse_start(&m->recorded, f->loop, STRAVA_STREAMS, &m->more.body,
                       m->parse.activity[0].start_us);
    return flow_wait_any(f, &m->recorded.work.op, look_STEP_recorded, INGEST_PARSE_MS);
}

static enum flow_next look_recorded(struct flow *f)
{
    struct look_flow *m = look_of(f);
    m->has_streams = !m->recorded.work.op.failed;
    return FLOW_NEXT;
}

static void add_span(struct db_unit *u, struct span s)
{
    if (s.n > 0) {
        db_p_bytes(u, s.p, s.n);
    } else {
        db_p_null(u);
    }
}

static enum flow_next look_save(struct flow *f)
{
    struct look_flow *m = look_of(f);
    const struct strava_activity *a = &m->parse.activity[0];
    struct db_unit *u = new_unit(m, DB_TX);
    jobs_add_finish(u, m->b, 1);
    db_add(u, &SQL_ingest_take_look);
    ingest__add_activities(u, m->athlete, m->call.ticket, 0, a, 1);
    add_span(u, a->track);
    ingest__p_opt(u, m->has_streams ? m->more.ticket : 0, 0);
    add_span(u, m->has_streams ? m->recorded.streams : (struct span){0});
    ingest__p_opt(u, m->has_streams || m->streams_later ? 0 : m->streams_prio, 0);
    db_p_i64(u, m->looks + 1);
    ingest__p_opt(u, m->event ? ingest__look_again_ms(false, m->looks) : 0, 0);
    db_p_bool(u, m->deleted);
    db_p_bool(u, m->streams_later);
    db_submit(u);
    FAULT_POINT("look_sent");
    return flow_wait_any(f, &u->op, look_STEP_saved, INGEST_UNIT_MS);
}

/* What follows the transaction that ended the job, or failed. */
static enum flow_next ended(struct look_flow *m, unsigned again, const char *what)
{
    struct flow *f = &m->f;
    if (m->u.op.failed) {
        f->err = m->u.op.err;
        return ingest__is_conflict(&f->err) && ++m->tries < INGEST_TRIES ? flow_goto(f, again)
                                                                         : flow_fail(f);
    }
    jobs_finished(m->b, 1);
    jobs_hint(m->b->jobs);
    log_debug("looked at an activity", L_I("activity", m->activity), L_I("athlete", m->athlete),
              L_S("what", what));
    return FLOW_DONE;
}

static enum flow_next look_saved(struct flow *f)
{
    struct look_flow *m = look_of(f);
    bool told = !m->u.op.failed && db_rows(&m->u, 1) > 0;
    return ended(m, look_STEP_save, told ? db_get_text(&m->u, 1, 0, 0, f->arena) : "erased");
}

static enum flow_next look_lose(struct flow *f)
{
    struct look_flow *m = look_of(f);
    struct db_unit *u = new_unit(m, DB_TX);
    jobs_add_finish(u, m->b, 1);
    db_add(u, &SQL_ingest_take_gone);
    db_p_i64(u, m->activity);
    db_p_i64(u, m->athlete);
    db_p_i64(u, m->call.ticket);
    db_p_i64(u, m->looks + 1);
    ingest__p_opt(u, m->event ? ingest__look_again_ms(true, m->looks) : 0, 0);
    db_p_bool(u, m->deleted);
    db_submit(u);
    return flow_wait_any(f, &u->op, look_STEP_lost, INGEST_UNIT_MS);
}

static enum flow_next look_lost(struct flow *f)
{
    struct look_flow *m = look_of(f);
    return ended(m, look_STEP_lose, m->u.op.failed ? NULL : db_get_text(&m->u, 1, 0, 0, f->arena));
}

static enum flow_next look_park(struct flow *f)
{
    struct look_flow *m = look_of(f);
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
    return flow_wait(f, &u->op, look_STEP_parked, INGEST_UNIT_MS);
}

static enum flow_next look_parked(struct flow *f)
{
    struct look_flow *m = look_of(f);
    if (m->problem) {
        log_warn("an activity could not be taken over", L_I("activity", m->activity),
                 L_I("athlete", m->athlete), L_S("why", m->problem));
    }
    if (m->dies) {
        f->err = m->why;
        return flow_fail(f);
    }
    jobs_finished(m->b, 1);
    return FLOW_DONE;
}

static void look_end(struct flow *f)
{
    struct look_flow *m = look_of(f);
    strava_parse_done(&m->parse);
    strava_parse_done(&m->recorded);
    buf_done(&m->call.body);
    buf_done(&m->more.body);
    db_unit_done(&m->u);
}

static const struct flow_def look_def = {"ingest_look", look_steps, look_STEP_COUNT, look_end};

struct flow *ingest__look_start(struct jobs_batch *b, void *ctx)
{
    struct ingest_sync *s = ctx;
    struct look_flow *m = flow_new(s->loop, &look_def, sizeof(*m), 0);
    m->s = s;
    m->b = b;
    return &m->f;
}
