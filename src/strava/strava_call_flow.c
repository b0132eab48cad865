/* A call in an athlete's name, from the stored token to what the answer means. */
#include <openssl/crypto.h>

#include "strava/internal.h"

enum { TRIES = 2 /* a token that was refused is refreshed, once */ };

struct call_flow {
    struct flow f;
    struct strava *s;
    struct strava_call *c;
    struct strava__token token;
    struct op child;
    struct fetch_req req;
    struct db_unit u;
    unsigned tries;
    struct err why; /* no token was to be had */
    struct strava__fault fault;
    enum strava__verdict verdict;
};
#define CALL_STEPS(STEP)                                                                           \
    STEP(call, token)                                                                              \
    STEP(call, pay)  /* -> send, when the job has paid; -> refund, when there is no token */       \
    STEP(call, paid) /* fails, when there is nothing left */                                       \
    STEP(call, send)                                                                               \
    STEP(call, answer) /* tells what it says of limits, and of who may go on */                    \
    STEP(call, end)    /* -> token, once, when it was refused */                                   \
    STEP(call, refund) /* -> the end: what was paid for a call that is not made */                 \
    STEP(call, refunded)
FLOW_STEPS(call, CALL_STEPS);

static struct call_flow *call_of(struct flow *f)
{
    return container_of(f, struct call_flow, f);
}

/* Jobs that fail so go back with their attempts. */
static enum flow_next no_call(struct flow *f, const char *why)
{
    (void)err_set_code(&f->err, ERR_HTTP, ERR_RETRY, 429, "no call to Strava: %s", why);
    return flow_fail(f);
}

static enum flow_next call_token(struct flow *f)
{
    struct call_flow *m = call_of(f);
    m->token.athlete_id = m->c->athlete_id;
    m->token.call = true;
    m->token.as_is = m->c->as_is;
    flow_call(strava__token_flow(m->s, &m->token), &m->child);
    return flow_wait_any(f, &m->child, call_STEP_pay, 0); /* its waits have their deadlines */
}

static enum flow_next call_pay(struct flow *f)
{
    struct call_flow *m = call_of(f);
    m->c->ticket = m->token.ticket;
    if (m->child.failed || m->token.outcome != STRAVA_OK) {
        m->why = m->child.failed ? m->child.err : (struct err){0};
        m->c->outcome = m->token.outcome;
        return flow_goto(f, call_STEP_refund);
    }
    if (m->token.limited) {
        return no_call(f, "it has refused one at this time, or they are paused");
    }
    if (m->tries == 0 && !m->c->extra) {
        return flow_goto(f, call_STEP_send);
    }
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    db_add(&m->u, &SQL_strava_rate_take);
    db_p_bool(&m->u, m->c->live);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, call_STEP_paid, STRAVA__DB_MS);
}

static enum flow_next call_paid(struct flow *f)
{
    struct call_flow *m = call_of(f);
    return db_get_i64(&m->u, 0, 0, 0) > 0 ? FLOW_NEXT
                                          : no_call(f, "the calls of this time are used up");
}

static enum flow_next call_send(struct flow *f)
{
    struct call_flow *m = call_of(f);
    const struct strava_call *c = m->c;
    CHECK(c->path[0] == '/' && c->nquery <= COUNT_OF(c->query) && c->max_body > 0);
    m->tries++;
    fetch_done(&m->req);
    fetch_init(&m->req, m->s->fetch, f->arena, FETCH_GET,
               arena_printf(f->arena, "%s%s", m->s->conf.api_url, c->path));
    for (unsigned i = 0; i < c->nquery; i++) {
        fetch_query(&m->req, c->query[i].name, c->query[i].value);
    }
    fetch_bearer(&m->req, m->token.access);
    fetch_limits(&m->req, STRAVA__API_MS, c->max_body);
    fetch_send(&m->req);
    return flow_wait_any(f, &m->req.op, call_STEP_answer, STRAVA__API_MS + STRAVA__GRACE_MS);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void read_answer(struct call_flow *m)
{
    const struct fetch_req *r = &m->req;
    m->fault = (struct strava__fault){.readable = true};
    m->verdict = STRAVA__TRANSIENT;
    if (!r->op.failed && (r->status < 200 || r->status > 299)) {
        strava__fault_read(&m->req.body, &m->fault);
    }
    /* Of a refusal the status is enough, whatever became of its body. */
    if (!r->op.failed || r->status == 429) {
        m->verdict = strava__judge(r->status, &m->fault);
    }
}

static void put_number(struct db_unit *u, int64_t v)
{
    if (v < 0) {
        db_p_null(u);
    } else {
        db_p_i64(u, v);
    }
}

/* The row of the rate is locked first, always: then nobody waits for each other in a ring. */
static void add_limits(struct call_flow *m)
{
    struct db_unit *u = &m->u;
    struct strava__budget b;
    strava__budget_read(fetch_answer_header(&m->req, "X-RateLimit-Limit"),
                        fetch_answer_header(&m->req, "X-RateLimit-Usage"),
                        fetch_answer_header(&m->req, "X-ReadRateLimit-Limit"),
                        fetch_answer_header(&m->req, "X-ReadRateLimit-Usage"), &b);
    if (b.cap15 > 0 || b.capday > 0) {
        db_add(u, &SQL_strava_rate_learn);
        put_number(u, b.cap15);
        put_number(u, b.capday);
        put_number(u, b.used15);
        put_number(u, b.usedday);
        db_p_time_us(u, m->req.date_us);
    }
    if (m->verdict == STRAVA__LIMITED) {
        db_add(u, &SQL_strava_rate_full);
        db_p_bool(u, b.day_over);
        db_add(u, &SQL_strava_rate_refused);
        db_p_bool(u, b.day_over);
    }
    if (m->verdict == STRAVA__INACTIVE) {
        db_add(u, &SQL_strava_rate_pause);
    }
}

static void add_states(struct call_flow *m)
{
    if (m->verdict == STRAVA__INACTIVE) {
        db_add(&m->u, &SQL_strava_app_inactive);
    }
    if (m->verdict == STRAVA__OK && m->token.inactive) {
        db_add(&m->u, &SQL_strava_app_active);
    }
    if (m->verdict == STRAVA__OK && m->token.reauth) {
        db_add(&m->u, &SQL_strava_token_good);
        db_p_i64(&m->u, m->c->athlete_id);
        db_p_text(&m->u, NULL);
    }
}

static enum flow_next call_answer(struct flow *f)
{
    struct call_flow *m = call_of(f);
    read_answer(m);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    add_limits(m);
    add_states(m);
    if (m->u.n == 0) {
        return FLOW_NEXT;
    }
    db_submit(&m->u);
    /* The answer is worth more than what it says of limits: a database that does not take that will
     * be met again by whoever stores it. */
    return flow_wait_any(f, &m->u.op, call_STEP_end, STRAVA__DB_MS);
}

static enum flow_next call_end(struct flow *f)
{
    static const enum strava_outcome outcome[] = {
        [STRAVA__OK] = STRAVA_OK,
        [STRAVA__NOT_FOUND] = STRAVA_NOT_FOUND,
        [STRAVA__NO_SCOPE] = STRAVA_SCOPE,
        [STRAVA__REFUSED] = STRAVA_REFUSED,
    };
    struct call_flow *m = call_of(f);
    m->c->status = m->req.status;
    switch (m->verdict) {
    case STRAVA__OK:
        m->c->body = m->req.body;
        m->req.body = (struct buf){0};
        /* fallthrough */
    case STRAVA__NOT_FOUND:
    case STRAVA__NO_SCOPE:
    case STRAVA__REFUSED:
        m->c->outcome = outcome[m->verdict];
        return FLOW_DONE;
    case STRAVA__BAD_TOKEN:
        if (m->c->as_is) {
            m->c->outcome = STRAVA_REAUTH;
            return FLOW_DONE;
        }
        if (m->tries < TRIES) {
            memcpy(m->token.stale, m->token.access, sizeof(m->token.stale));
            return flow_goto(f, call_STEP_token);
        }
        break;
    case STRAVA__INACTIVE:
        return no_call(f, "it says that the application is not active");
    case STRAVA__LIMITED:
    case STRAVA__TRANSIENT:
        break;
    }
    (void)strava__answer_err(&m->req, "Strava", &m->fault, &f->err);
    f->err.class = m->verdict == STRAVA__BAD_TOKEN ? ERR_RETRY : f->err.class;
    if (m->verdict == STRAVA__LIMITED) { /* whatever became of its body */
        f->err.class = ERR_RETRY;
        f->err.domain = ERR_HTTP;
        f->err.code = 429;
    }
    return flow_fail(f);
}

/* ---- no call --------------------------------------------------------------------------------- */

static enum flow_next call_refund(struct flow *f)
{
    struct call_flow *m = call_of(f);
    if (m->tries > 0 || m->c->extra) {
        return FLOW_NEXT;
    }
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, 0);
    db_add(&m->u, &SQL_strava_rate_give);
    db_submit(&m->u);
    /* If that fails there is one call less today. */
    return flow_wait_any(f, &m->u.op, call_STEP_refunded, STRAVA__DB_MS);
}

static enum flow_next call_refunded(struct flow *f)
{
    struct call_flow *m = call_of(f);
    if (m->why.class) {
        f->err = m->why;
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void call_on_end(struct flow *f)
{
    struct call_flow *m = call_of(f);
    OPENSSL_cleanse(&m->token, sizeof(m->token));
    fetch_done(&m->req);
    db_unit_done(&m->u);
}

static const struct flow_def call_def = {"strava_call", call_steps, call_STEP_COUNT, call_on_end};

struct flow *strava_call_flow(struct strava *s, struct strava_call *c)
{
    struct call_flow *m = flow_new(s->loop, &call_def, sizeof(*m), 0);
    m->s = s;
    m->c = c;
    return &m->f;
}
