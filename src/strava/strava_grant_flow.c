/* Logging in: the code that the consent page gave becomes an athlete with tokens. */
#include <jansson.h>
#include <openssl/crypto.h>

#include "strava/internal.h"
#include "strava/work.h"

enum {
    SAVES = 10, /* the code is spent: without them the athlete would have to begin again */
    HOLD_MS = 500,
    SCOPES_MAX = 20,
    SCOPE_BYTES = 60,
    NAME_BYTES = 200, /* of each of the two */
};

struct grant_flow {
    struct flow f;
    struct strava *s;
    struct strava_grant *g;
    struct fetch_req req;
    struct db_unit u;
    struct timer_op pause;
    unsigned saves;
    struct strava__pair pair;
    const char *scope[SCOPES_MAX];
    size_t nscopes;
};
#define GRANT_STEPS(STEP)                                                                          \
    STEP(grant, ask)                                                                               \
    STEP(grant, asked)                                                                             \
    STEP(grant, save)  /* one transaction */                                                       \
    STEP(grant, saved) /* -> hold, when the database did not take it */                            \
    STEP(grant, hold)  /* -> save */
FLOW_STEPS(grant, GRANT_STEPS);

static struct grant_flow *grant_of(struct flow *f)
{
    return container_of(f, struct grant_flow, f);
}

static enum flow_next grant_ask(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    strava__oauth_token(m->s, &m->req, f->arena, "authorization_code");
    fetch_form(&m->req, "code", m->g->code);
    fetch_send(&m->req);
    return flow_wait_any(f, &m->req.op, grant_STEP_asked, STRAVA__OAUTH_MS + STRAVA__GRACE_MS);
}

/* ---- what Strava says ------------------------------------------------------------------------ */

static void read_name(struct grant_flow *m, const json_t *athlete)
{
    struct span first = span_trim(strava__json_text(athlete, "firstname", NAME_BYTES));
    struct span last = span_trim(strava__json_text(athlete, "lastname", NAME_BYTES));
    if (first.n || last.n) {
        m->g->name = arena_printf(m->g->a, "%.*s%s%.*s", (int)first.n, first.n ? first.p : "",
                                  first.n && last.n ? " " : "", (int)last.n, last.n ? last.p : "");
    }
}

/* "read,activity:read_all", of which the athlete may have unticked some. */
static void read_scopes(struct grant_flow *m)
{
    struct span rest = span_of(m->g->scope);
    while (rest.n > 0 && m->nscopes < SCOPES_MAX) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ',' && rest.p[n] != ' ') {
            n++;
        }
        struct span one = {rest.p, n};
        if (n > 0 && n <= SCOPE_BYTES && span_utf8_valid(one)) {
            m->scope[m->nscopes++] = arena_span_dup(m->f.arena, one);
        }
        n += n < rest.n;
        rest.p += n;
        rest.n -= n;
    }
}

static bool read_grant(struct grant_flow *m)
{
    json_t *root = strava__json(&m->req.body, STRAVA__OAUTH_BODY, STRAVA__DEPTH_MAX, NULL);
    const json_t *athlete = json_object_get(root, "athlete");
    bool ok = strava__pair_read(root, m->req.date_us, &m->pair) == 0 &&
              strava__json_i64(athlete, "id", 1, &m->g->athlete_id) == 0;
    if (ok) {
        read_name(m, athlete);
        read_scopes(m);
    }
    json_decref(root);
    return ok;
}

static void explain(struct grant_flow *m, enum strava__grant_verdict verdict,
                    const struct strava__fault *fault, struct err *err)
{
    switch (verdict) {
    case STRAVA__BAD_CODE:
        (void)err_set(
            err, ERR_HTTP, ERR_PERMANENT,
            "Strava does not accept the code of this login, which holds once and for some "
            "minutes: log in again");
        break;
    case STRAVA__FULL:
        (void)err_set(
            err, ERR_HTTP, ERR_PERMANENT,
            "Strava allows this application no more athletes: its owner may raise that at "
            "https://www.strava.com/settings/api");
        break;
    case STRAVA__BAD_CLIENT:
        (void)strava__bad_client(ERR_PERMANENT, err);
        break;
    default:
        (void)strava__answer_err(&m->req, "exchanging the code of a login", fault, err);
        err->class = ERR_RETRY;
    }
}

static enum flow_next grant_asked(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    struct strava__fault fault = {.readable = true};
    enum strava__grant_verdict verdict = STRAVA__UNSURE;
    if (!m->req.op.failed) {
        if (m->req.status < 200 || m->req.status > 299) {
            strava__fault_read(&m->req.body, &fault);
        }
        verdict = strava__judge_grant(m->req.status, &fault);
    }
    if (verdict == STRAVA__GRANTED && read_grant(m)) {
        return FLOW_NEXT;
    }
    explain(m, verdict, &fault, &f->err);
    return flow_fail(f);
}

/* ---- storing it ------------------------------------------------------------------------------ */

static void put_sealed(struct grant_flow *m, enum strava__kind kind, const char *token)
{
    struct buf b = {0};
    strava__seal(&m->s->conf.keys, m->g->athlete_id, kind, token, &b);
    db_p_span(&m->u, buf_span(&b));
    buf_done(&b);
}

static enum flow_next grant_save(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    int64_t id = m->g->athlete_id;
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    db_add(&m->u, &SQL_strava_athlete);
    db_p_i64(&m->u, id);
    db_add(&m->u, &SQL_strava_lock_tokens);
    db_p_i64(&m->u, id);
    db_add(&m->u, &SQL_strava_grant);
    db_p_i64(&m->u, id);
    db_p_text(&m->u, m->g->name);
    if (m->nscopes) {
        db_p_text_array(&m->u, m->scope, m->nscopes);
    } else {
        db_p_null(&m->u);
    }
    put_sealed(m, STRAVA__REFRESH, m->pair.refresh);
    put_sealed(m, STRAVA__ACCESS, m->pair.access);
    db_p_f64(&m->u, m->pair.life_s);
    db_add(&m->u, &SQL_strava_token_good);
    db_p_i64(&m->u, id);
    db_p_null(&m->u);
    db_submit(&m->u);
    return flow_wait_any(f, &m->u.op, grant_STEP_saved, STRAVA__DB_MS);
}

static enum flow_next grant_saved(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    const struct err *err = &m->u.op.err;
    if (!m->u.op.failed) {
        return FLOW_DONE;
    }
    /* 23503: the athlete was there, and was erased before the tokens could be stored. */
    if ((err->class == ERR_RETRY || strcmp(err->sqlstate, "23503") == 0) && m->saves++ < SAVES) {
        return FLOW_NEXT;
    }
    f->err = *err;
    return flow_fail(f);
}

static enum flow_next grant_hold(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    timer_op_start(&m->pause, f->loop, HOLD_MS);
    return flow_wait(f, &m->pause.op, grant_STEP_save, 0);
}

static void grant_end(struct flow *f)
{
    struct grant_flow *m = grant_of(f);
    OPENSSL_cleanse(&m->pair, sizeof(m->pair));
    strava__oauth_done(&m->req);
    db_unit_done(&m->u);
}

static const struct flow_def grant_def = {"strava_exchange", grant_steps, grant_STEP_COUNT,
                                          grant_end};

struct flow *strava_exchange_flow(struct strava *s, struct strava_grant *g)
{
    struct grant_flow *m = flow_new(s->loop, &grant_def, sizeof(*m), 0);
    m->s = s;
    m->g = g;
    g->athlete_id = 0;
    g->name = NULL;
    return &m->f;
}
