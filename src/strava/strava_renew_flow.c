/* One refresh. Strava may give a new refresh token for the old one, which is dead from then on: the
 * answer must not get lost, and what is dead must not be taken for a sign that the athlete left
 * before it is sure that nobody has stored a newer one. */
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "strava/internal.h"
#include "strava/work.h"

enum {
    ASKS = 2, /* a second time when the answer was lost: the old token may still be good */
    SAVES = 60,
    HOLD_MS = 1000,     /* between them: what we have now is nowhere else */
    ROUNDS = 5,         /* of texts that were only sealed anew */
    REFUSED_MS = 60000, /* until the next time, when there were too many */
};

struct renew_flow {
    struct flow f;
    struct strava *s;
    struct strava__renew *r;
    struct fetch_req req;
    struct db_unit u;
    struct timer_op pause;
    unsigned asks, saves, rounds;
    struct strava__pair pair;
    const char *refresh, *access; /* the new ones as they are to be stored */
};
#define RENEW_STEPS(STEP)                                                                          \
    STEP(renew, ask)   /* -> bury, when there is nothing to ask with */                            \
    STEP(renew, asked) /* -> ask again, when the answer was lost; -> bury, when it was no */       \
    STEP(renew, save)  /* one transaction */                                                       \
    STEP(renew, saved) /* -> hold, when the database did not take it */                            \
    STEP(renew, hold)  /* -> save */                                                               \
    STEP(renew, bury)  /* one transaction */                                                       \
    STEP(renew, buried)
FLOW_STEPS(renew, RENEW_STEPS);

static struct renew_flow *renew_of(struct flow *f)
{
    return container_of(f, struct renew_flow, f);
}

static enum flow_next end_with(struct renew_flow *m, int outcome)
{
    m->r->outcome = outcome;
    return FLOW_DONE;
}

/* Whether the stored text, as it is now, is the token that we spent, sealed anew by somebody. */
static bool is_still_ours(struct renew_flow *m, struct span stored)
{
    struct strava__renew *r = m->r;
    if (m->rounds++ >= ROUNDS || !stored.p || !r->stored ||
        !strava__is_sealed_of(&m->s->conf.keys, r->athlete_id, STRAVA__REFRESH, stored, r->spent)) {
        return false;
    }
    r->stored = arena_span_dup(m->f.arena, stored);
    return true;
}

static enum flow_next renew_ask(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    if (!m->r->stored) {
        return flow_goto(f, renew_STEP_bury);
    }
    m->asks++;
    strava__oauth_done(&m->req);
    strava__oauth_token(m->s, &m->req, f->arena, "refresh_token");
    fetch_form(&m->req, "refresh_token", m->r->spent);
    fetch_send(&m->req);
    return flow_wait_any(f, &m->req.op, renew_STEP_asked, STRAVA__OAUTH_MS + STRAVA__GRACE_MS);
}

/* Strava may have done it, and we do not know with what result. Cancelled: by our own deadline. */
static bool is_lost(const struct fetch_req *r)
{
    return r->failure == FETCH_TIMEOUT || r->failure == FETCH_BROKEN ||
           r->failure == FETCH_PROTOCOL || r->failure == FETCH_TOO_LARGE ||
           r->failure == FETCH_CANCELLED;
}

static bool read_pair(struct renew_flow *m)
{
    struct json_t *root = strava__json(&m->req.body, STRAVA__OAUTH_BODY, STRAVA__DEPTH_MAX, NULL);
    bool ok = strava__pair_read(root, m->req.date_us, &m->pair) == 0;
    json_decref(root);
    return ok;
}

static enum flow_next renew_asked(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    struct strava__fault fault = {.readable = true};
    enum strava__grant_verdict verdict = STRAVA__UNSURE;
    bool lost = m->req.op.failed && is_lost(&m->req);
    if (!m->req.op.failed) {
        if (m->req.status < 200 || m->req.status > 299) {
            strava__fault_read(&m->req.body, &fault);
        }
        verdict = strava__judge_grant(m->req.status, &fault);
    }
    if (verdict == STRAVA__GRANTED) {
        if (read_pair(m)) {
            return flow_goto(f, renew_STEP_save);
        }
        lost = true;
    }
    if (verdict == STRAVA__DEAD) {
        return flow_goto(f, renew_STEP_bury);
    }
    m->r->lost = m->r->lost || lost;
    if (lost && m->asks < ASKS) {
        return flow_goto(f, renew_STEP_ask);
    }
    if (verdict == STRAVA__BAD_CLIENT) {
        (void)strava__bad_client(ERR_RETRY, &f->err);
    } else {
        (void)strava__answer_err(&m->req, "refreshing a token", &fault, &f->err);
        f->err.class = ERR_RETRY; /* nobody loses a token for what Strava cannot say */
        if (f->err.code == 429) { /* no window of calls: it is waited for like any other trouble */
            f->err.code = 0;
            f->err.retry_after_ms =
                f->err.retry_after_ms > REFUSED_MS ? f->err.retry_after_ms : REFUSED_MS;
        }
    }
    return flow_fail(f);
}

static const char *seal(struct renew_flow *m, enum strava__kind kind, const char *token)
{
    struct buf b = {0};
    strava__seal(&m->s->conf.keys, m->r->athlete_id, kind, token, &b);
    char *text = arena_span_dup(m->f.arena, buf_span(&b));
    buf_done(&b);
    return text;
}

static enum flow_next renew_save(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    if (!m->refresh) {
        /* Once: a commit whose answer was lost is recognised by them. */
        m->refresh = seal(m, STRAVA__REFRESH, m->pair.refresh);
        m->access = seal(m, STRAVA__ACCESS, m->pair.access);
    }
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    db_add(&m->u, &SQL_strava_lock_tokens);
    db_p_i64(&m->u, m->r->athlete_id);
    db_add(&m->u, &SQL_strava_save_tokens);
    db_p_i64(&m->u, m->r->athlete_id);
    db_p_i64(&m->u, m->r->owner);
    db_p_text(&m->u, m->r->stored);
    db_p_text(&m->u, m->refresh);
    db_p_text(&m->u, m->access);
    db_p_f64(&m->u, m->pair.life_s);
    db_add(&m->u, &SQL_strava_token_good);
    db_p_i64(&m->u, m->r->athlete_id);
    db_p_text(&m->u, m->refresh);
    db_submit(&m->u);
    return flow_wait_any(f, &m->u.op, renew_STEP_saved, STRAVA__DB_MS);
}

static enum flow_next renew_saved(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    if (m->u.op.failed) {
        if (m->u.op.err.class == ERR_RETRY && m->saves++ < SAVES) {
            return FLOW_NEXT;
        }
        f->err = m->u.op.err;
        return flow_fail(f);
    }
    if (db_get_i64(&m->u, 1, 0, 0)) {
        return end_with(m, STRAVA__RENEWED);
    }
    struct span now = db_rows(&m->u, 0) ? db_get_span(&m->u, 0, 0, 0) : (struct span){NULL, 0};
    if (now.p && strava__is_sealed_of(&m->s->conf.keys, m->r->athlete_id, STRAVA__REFRESH, now,
                                      m->pair.refresh)) {
        return end_with(m, STRAVA__RENEWED); /* by the attempt before, whose answer was lost */
    }
    if (is_still_ours(m, now)) {
        return flow_goto(f, renew_STEP_save);
    }
    return end_with(m, STRAVA__RENEW_CHANGED);
}

static enum flow_next renew_hold(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    timer_op_start(&m->pause, f->loop, HOLD_MS);
    return flow_wait(f, &m->pause.op, renew_STEP_save, 0);
}

static enum flow_next renew_bury(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)m->r->spent, strlen(m->r->spent), digest);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    db_add(&m->u, &SQL_strava_lock_tokens);
    db_p_i64(&m->u, m->r->athlete_id);
    if (!m->r->quiet) {
        db_add(&m->u, &SQL_strava_mark_reauth);
        db_p_i64(&m->u, m->r->athlete_id);
        db_p_text(&m->u, m->r->stored);
        if (m->r->stored) {
            db_p_span(&m->u, (struct span){(const char *)digest, sizeof(digest)});
        } else {
            db_p_null(&m->u);
        }
        db_p_text(&m->u,
                  m->r->stored ? "the refresh token is refused" : "there is no refresh token");
        db_p_bool(&m->u, m->r->lost);
    }
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, renew_STEP_buried, STRAVA__DB_MS);
}

static enum flow_next renew_buried(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    struct span now = db_rows(&m->u, 0) ? db_get_span(&m->u, 0, 0, 0) : (struct span){NULL, 0};
    if (!m->r->quiet && db_rows(&m->u, 1) > 0) {
        return end_with(m, STRAVA__RENEW_DEAD);
    }
    if (m->r->quiet && !m->r->stored && !now.p) {
        return end_with(m, STRAVA__RENEW_DEAD); /* there was none, and is none */
    }
    if (is_still_ours(m, now)) {
        return m->r->quiet ? end_with(m, STRAVA__RENEW_DEAD) : flow_goto(f, renew_STEP_bury);
    }
    return end_with(m, STRAVA__RENEW_CHANGED);
}

static void renew_end(struct flow *f)
{
    struct renew_flow *m = renew_of(f);
    OPENSSL_cleanse(&m->pair, sizeof(m->pair));
    strava__oauth_done(&m->req);
    db_unit_done(&m->u);
}

static const struct flow_def renew_def = {"strava_renew", renew_steps, renew_STEP_COUNT, renew_end};

struct flow *strava__renew_flow(struct strava *s, struct strava__renew *r)
{
    struct renew_flow *m = flow_new(s->loop, &renew_def, sizeof(*m), 0);
    m->s = s;
    m->r = r;
    return &m->f;
}
