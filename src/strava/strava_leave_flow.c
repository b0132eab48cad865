/* The end of a grant: whether the athlete has withdrawn it, and withdrawing it ourselves. */
#include <openssl/crypto.h>

#include "strava/internal.h"

/* ---- whether it is withdrawn ----------------------------------------------------------------- */

struct verify_flow {
    struct flow f;
    struct strava *s;
    struct strava_verify *v;
    struct strava__token token;
    struct strava_call call;
    struct op child;
};
#define VERIFY_STEPS(STEP)                                                                         \
    STEP(verify, ask)                                                                              \
    STEP(verify, refresh) /* -> the end, when the access token works */                            \
    STEP(verify, tell)
FLOW_STEPS(verify, VERIFY_STEPS);

static struct verify_flow *verify_of(struct flow *f)
{
    return container_of(f, struct verify_flow, f);
}

static enum flow_next verify_ask(struct flow *f)
{
    struct verify_flow *m = verify_of(f);
    m->call = (struct strava_call){.athlete_id = m->v->athlete_id,
                                   .path = "/athlete",
                                   .max_body = STRAVA_BODY_MAX,
                                   .extra = m->v->extra,
                                   .live = true,
                                   .as_is = true};
    flow_call(strava_call_flow(m->s, &m->call), &m->child);
    return flow_wait(f, &m->child, verify_STEP_refresh, 0);
}

static enum flow_next verify_refresh(struct flow *f)
{
    struct verify_flow *m = verify_of(f);
    m->v->answer = STRAVA_STAYS;
    if (m->call.outcome != STRAVA_REAUTH) {
        return FLOW_DONE;
    }
    m->token.athlete_id = m->v->athlete_id;
    m->token.force = m->token.quiet = true;
    flow_call(strava__token_flow(m->s, &m->token), &m->child);
    return flow_wait(f, &m->child, verify_STEP_tell, 0);
}

static enum flow_next verify_tell(struct flow *f)
{
    struct verify_flow *m = verify_of(f);
    const struct strava__token *t = &m->token;
    bool refused = m->call.status == 401; /* before it had expired */
    if (t->outcome == STRAVA_REAUTH) {
        m->v->answer = !t->lost && (refused || !m->v->again) ? STRAVA_LEFT : STRAVA_UNPROVEN;
    } else if (t->outcome == STRAVA_OK && t->same && t->alone) {
        m->v->answer = refused ? STRAVA_LEFT : STRAVA_UNPROVEN;
    } else if (t->outcome == STRAVA_OK && t->same && refused) {
        (void)err_set(&f->err, ERR_DATA, ERR_RETRY,
                      "Strava refuses the access token of athlete %lld, and gives it again",
                      (long long)m->v->athlete_id);
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void verify_end(struct flow *f)
{
    struct verify_flow *m = verify_of(f);
    OPENSSL_cleanse(&m->token, sizeof(m->token));
    buf_done(&m->call.body);
}

static const struct flow_def verify_def = {"strava_verify", verify_steps, verify_STEP_COUNT,
                                           verify_end};

struct flow *strava_verify_flow(struct strava *s, struct strava_verify *v)
{
    struct verify_flow *m = flow_new(s->loop, &verify_def, sizeof(*m), 0);
    m->s = s;
    m->v = v;
    return &m->f;
}

/* ---- withdrawing it -------------------------------------------------------------------------- */

enum { REVOKE_ASKS = 2 };

struct revoke_flow {
    struct flow f;
    struct strava *s;
    int64_t athlete_id;
    struct db_unit u;
    struct fetch_req req;
    struct op child;
    unsigned asks;
    char secret[STRAVA__TOKEN];
    struct strava__token token;
};
#define REVOKE_STEPS(STEP)                                                                         \
    STEP(revoke, load)                                                                             \
    STEP(revoke, ask)   /* -> the end, when there are no tokens */                                 \
    STEP(revoke, asked) /* -> ask once more, when Strava had a problem */                          \
    STEP(revoke, token) /* where that way is not known: the older one, which needs a fresh one */  \
    STEP(revoke, leave)                                                                            \
    STEP(revoke, left)
FLOW_STEPS(revoke, REVOKE_STEPS);

static struct revoke_flow *revoke_of(struct flow *f)
{
    return container_of(f, struct revoke_flow, f);
}

static enum flow_next revoke_load(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    db_unit_init(&m->u, m->s->pool, f->arena, 0);
    db_add(&m->u, &SQL_strava_load);
    db_p_i64(&m->u, m->athlete_id);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, revoke_STEP_ask, STRAVA__DB_MS);
}

/* Either of the two tokens ends both. */
static enum flow_next revoke_ask(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    const struct strava_conf *conf = &m->s->conf;
    struct span access = db_get_span(&m->u, 0, 0, 0), refresh = db_get_span(&m->u, 0, 0, 2);
    if (!access.p && !refresh.p) {
        return FLOW_DONE;
    }
    if (strava__unseal(&conf->keys, m->athlete_id, refresh.p ? STRAVA__REFRESH : STRAVA__ACCESS,
                       refresh.p ? refresh : access, m->secret, &f->err) != 0) {
        return flow_fail(f);
    }
    m->asks++;
    strava__oauth_done(&m->req);
    strava__oauth_init(m->s, &m->req, f->arena, "/oauth/revoke");
    fetch_basic(&m->req, conf->client_id, conf->client_secret);
    fetch_form(&m->req, "token", m->secret);
    fetch_form(&m->req, "token_type_hint", refresh.p ? "refresh_token" : "access_token");
    fetch_send(&m->req);
    return flow_wait_any(f, &m->req.op, revoke_STEP_asked, STRAVA__OAUTH_MS + STRAVA__GRACE_MS);
}

static enum flow_next revoke_fail(struct revoke_flow *m, struct strava__fault *fault)
{
    (void)strava__answer_err(&m->req, "withdrawing a grant", fault, &m->f.err);
    m->f.err.class = ERR_RETRY;
    return flow_fail(&m->f);
}

static enum flow_next revoke_asked(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    struct strava__fault fault = {.readable = true};
    int status = m->req.status;
    if (m->req.op.failed || status == 429) {
        return revoke_fail(m, &fault);
    }
    if (status >= 200 && status < 300) {
        return FLOW_DONE; /* the body is empty */
    }
    if (status >= 500 && m->asks < REVOKE_ASKS) {
        return flow_goto(f, revoke_STEP_ask);
    }
    strava__fault_read(&m->req.body, &fault);
    if (status == 401 && fault.readable) {
        (void)strava__bad_client(ERR_RETRY, &f->err);
        return flow_fail(f);
    }
    return FLOW_NEXT;
}

static enum flow_next revoke_token(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    m->token.athlete_id = m->athlete_id;
    m->token.quiet = true;
    flow_call(strava__token_flow(m->s, &m->token), &m->child);
    return flow_wait(f, &m->child, revoke_STEP_leave, 0);
}

static enum flow_next revoke_leave(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    if (m->token.outcome != STRAVA_OK) {
        return FLOW_DONE; /* dead already */
    }
    strava__oauth_done(&m->req);
    strava__oauth_init(m->s, &m->req, f->arena, "/oauth/deauthorize");
    fetch_bearer(&m->req, m->token.access);
    fetch_send(&m->req);
    return flow_wait_any(f, &m->req.op, revoke_STEP_left, STRAVA__OAUTH_MS + STRAVA__GRACE_MS);
}

static enum flow_next revoke_left(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    struct strava__fault fault = {.readable = true};
    if (!m->req.op.failed) {
        int status = m->req.status;
        strava__fault_read(&m->req.body, &fault);
        if ((status >= 200 && status < 300) || (status == 401 && fault.readable)) {
            return FLOW_DONE; /* 401: the token is dead, and so is the grant */
        }
    }
    return revoke_fail(m, &fault);
}

static void revoke_end(struct flow *f)
{
    struct revoke_flow *m = revoke_of(f);
    OPENSSL_cleanse(m->secret, sizeof(m->secret));
    OPENSSL_cleanse(&m->token, sizeof(m->token));
    strava__oauth_done(&m->req);
    db_unit_done(&m->u);
}

static const struct flow_def revoke_def = {"strava_revoke", revoke_steps, revoke_STEP_COUNT,
                                           revoke_end};

struct flow *strava_revoke_flow(struct strava *s, int64_t athlete_id)
{
    struct revoke_flow *m = flow_new(s->loop, &revoke_def, sizeof(*m), 0);
    m->s = s;
    m->athlete_id = athlete_id;
    return &m->f;
}
