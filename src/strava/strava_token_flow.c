/* A token to call with. Whoever finds one that is about to expire takes the athlete's lease and
 * refreshes it; everybody else, in whatever instance, waits and reads again. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "strava/internal.h"

enum {
    PAUSE_MS = 200,
    PATIENCE_MS = 60000, /* for somebody else's refresh */
    ROUNDS = 10,
};

struct token_flow {
    struct flow f;
    struct strava *s;
    struct strava__token *t;
    struct db_unit u;
    struct timer_op pause;
    struct op child;
    struct strava__renew renew;
    bool leased, renewed, seen;
    unsigned rounds;
    int64_t give_up_ms;
    /* As the database has it. */
    bool has_any, has_access, has_refresh; /* the latter two: and can be opened */
    bool refused;                          /* this refresh token was, before */
    int64_t left_s;
    const char *stale;         /* the access token that was refused; NULL: it is another one now */
    char first[STRAVA__TOKEN]; /* the access token at first */
    struct err unreadable, why;
};
#define TOKEN_STEPS(STEP)                                                                          \
    STEP(token, load)                                                                              \
    STEP(token, look)   /* -> the end, when it is fresh */                                         \
    STEP(token, lease)  /* and load again: somebody may just have refreshed it */                  \
    STEP(token, leased) /* -> pause, when somebody else has it */                                  \
    STEP(token, renew)                                                                             \
    STEP(token, renewed) /* -> load: what is used is what is committed */                          \
    STEP(token, pause)   /* -> load */                                                             \
    STEP(token, drop)    /* the refused access token, when there is no way to another */           \
    STEP(token, dropped)                                                                           \
    STEP(token, release)                                                                           \
    STEP(token, released)
FLOW_STEPS(token, TOKEN_STEPS);

static struct token_flow *token_of(struct flow *f)
{
    return container_of(f, struct token_flow, f);
}

/* ---- what the database has ------------------------------------------------------------------- */

static void add_load(struct token_flow *m)
{
    db_add(&m->u, &SQL_strava_load);
    db_p_i64(&m->u, m->t->athlete_id);
}

static void read_refused(struct token_flow *m, struct span digest)
{
    unsigned char own[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)m->renew.spent, strlen(m->renew.spent), own);
    m->refused = m->renew.stored ? digest.n == sizeof(own) && memcmp(digest.p, own, digest.n) == 0
                                 : digest.p == NULL;
}

static void read_state(struct token_flow *m, unsigned call)
{
    struct strava__token *t = m->t;
    const struct strava_keys *keys = &m->s->conf.keys;
    struct span access = db_get_span(&m->u, call, 0, 0), refresh = db_get_span(&m->u, call, 0, 2);
    m->has_any = access.p || refresh.p;
    m->left_s = db_get_i64(&m->u, call, 0, 1);
    m->unreadable = (struct err){0};
    m->has_access = access.p && strava__unseal(keys, t->athlete_id, STRAVA__ACCESS, access,
                                               t->access, &m->unreadable) == 0;
    m->has_refresh = refresh.p && strava__unseal(keys, t->athlete_id, STRAVA__REFRESH, refresh,
                                                 m->renew.spent, &m->unreadable) == 0;
    m->renew.stored = refresh.p ? arena_span_dup(m->f.arena, refresh) : NULL;
    t->reauth = db_get_i64(&m->u, call, 0, 3) != 0;
    read_refused(m, db_get_span(&m->u, call, 0, 4));
    t->inactive = db_get_i64(&m->u, call, 0, 5) != 0;
    t->limited = t->call && db_get_i64(&m->u, call, 0, 6) != 0;
    t->ticket = db_get_i64(&m->u, call, 0, 7);
    t->lost = t->lost || db_get_i64(&m->u, call, 0, 8) != 0;
    t->alone = !refresh.p;
    if (!m->seen && m->has_access) {
        memcpy(m->first, t->access, sizeof(m->first));
    }
    m->seen = true;
    m->stale = m->has_access && strcmp(t->access, t->stale) == 0
                   ? arena_span_dup(m->f.arena, access)
                   : NULL;
    t->same = m->has_access && strcmp(m->first, t->access) == 0;
}

/* ---- what is to be done ---------------------------------------------------------------------- */

static enum flow_next end_with(struct token_flow *m, enum strava_outcome outcome)
{
    m->t->outcome = outcome;
    return m->leased ? flow_goto(&m->f, token_STEP_release) : FLOW_DONE;
}

/* Only a login helps. */
static enum flow_next end_dead(struct token_flow *m)
{
    return m->stale ? flow_goto(&m->f, token_STEP_drop) : end_with(m, STRAVA_REAUTH);
}

static enum flow_next give_up(struct token_flow *m, const struct err *why)
{
    m->why = *why;
    if (m->leased) {
        return flow_goto(&m->f, token_STEP_release);
    }
    m->f.err = *why;
    return flow_fail(&m->f);
}

static bool is_fresh(const struct token_flow *m)
{
    const struct strava__token *t = m->t;
    if (!m->has_access) {
        return false;
    }
    /* What a refresh gave is the best there is, however little is left of it. */
    if (m->renewed || (t->force && !m->renew.stored)) {
        return true;
    }
    return !t->force && m->left_s >= STRAVA__EARLY_S && strcmp(t->access, t->stale) != 0;
}

static enum flow_next decide(struct token_flow *m, unsigned call)
{
    struct err err;
    read_state(m, call);
    if (!m->has_any) {
        return end_with(m, STRAVA_UNKNOWN);
    }
    if (m->t->limited || is_fresh(m)) {
        return end_with(m, STRAVA_OK);
    }
    if (m->t->as_is) {
        return end_with(m, m->has_access && m->left_s > 0 ? STRAVA_OK : STRAVA_REAUTH);
    }
    if (m->t->reauth && m->refused && !m->t->force) {
        return end_dead(m);
    }
    if (!m->has_refresh && m->unreadable.class) {
        return give_up(m, &m->unreadable); /* what is there may be good, for who can open it */
    }
    if (m->rounds++ >= ROUNDS) {
        (void)err_set(&err, ERR_DATA, ERR_RETRY, "the tokens of athlete %lld keep changing",
                      (long long)m->t->athlete_id);
        return give_up(m, &err);
    }
    return flow_goto(&m->f, m->leased ? token_STEP_renew : token_STEP_lease);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum flow_next token_load(struct flow *f)
{
    struct token_flow *m = token_of(f);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, 0);
    add_load(m);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, token_STEP_look, STRAVA__DB_MS);
}

static enum flow_next token_look(struct flow *f)
{
    return decide(token_of(f), 0);
}

static enum flow_next token_lease(struct flow *f)
{
    struct token_flow *m = token_of(f);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, DB_TX);
    db_add(&m->u, &SQL_strava_lease);
    db_p_i64(&m->u, m->t->athlete_id);
    db_p_i64(&m->u, m->renew.owner);
    db_p_f64(&m->u, STRAVA__LEASE_S);
    add_load(m);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, token_STEP_leased, STRAVA__DB_MS);
}

static enum flow_next token_leased(struct flow *f)
{
    struct token_flow *m = token_of(f);
    struct err err;
    int64_t now = loop_now_ms(f->loop);
    m->leased = db_rows(&m->u, 0) > 0;
    if (m->leased) {
        return decide(m, 1);
    }
    m->rounds--; /* nothing was tried */
    m->give_up_ms = m->give_up_ms ? m->give_up_ms : now + PATIENCE_MS;
    if (now >= m->give_up_ms) {
        (void)err_set(&err, ERR_DATA, ERR_RETRY,
                      "somebody else has been refreshing the token of athlete %lld for %d s",
                      (long long)m->t->athlete_id, PATIENCE_MS / 1000);
        return give_up(m, &err);
    }
    return flow_goto(f, token_STEP_pause);
}

static enum flow_next token_renew(struct flow *f)
{
    struct token_flow *m = token_of(f);
    m->renew.athlete_id = m->t->athlete_id;
    m->renew.quiet = m->t->quiet;
    m->renew.lost = m->t->lost;
    flow_call(strava__renew_flow(m->s, &m->renew), &m->child);
    return flow_wait_any(f, &m->child, token_STEP_renewed, 0); /* its waits have their deadlines */
}

static enum flow_next token_renewed(struct flow *f)
{
    struct token_flow *m = token_of(f);
    m->t->lost = m->t->lost || m->renew.lost;
    if (m->child.failed) {
        return give_up(m, &m->child.err);
    }
    switch (m->renew.outcome) {
    case STRAVA__RENEWED:
        m->renewed = true;
        m->leased = false;
        break;
    case STRAVA__RENEW_DEAD:
        m->leased = m->t->quiet;
        return end_dead(m);
    case STRAVA__RENEW_CHANGED:
        break;
    }
    return flow_goto(f, token_STEP_load);
}

static enum flow_next token_pause(struct flow *f)
{
    struct token_flow *m = token_of(f);
    timer_op_start(&m->pause, f->loop, PAUSE_MS);
    return flow_wait(f, &m->pause.op, token_STEP_load, 0);
}

static enum flow_next token_drop(struct flow *f)
{
    struct token_flow *m = token_of(f);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, 0);
    db_add(&m->u, &SQL_strava_access_dead);
    db_p_i64(&m->u, m->t->athlete_id);
    db_p_text(&m->u, m->stale);
    db_submit(&m->u);
    /* If that fails, the next call is refused as well. */
    return flow_wait_any(f, &m->u.op, token_STEP_dropped, STRAVA__DB_MS);
}

static enum flow_next token_dropped(struct flow *f)
{
    return end_with(token_of(f), STRAVA_REAUTH);
}

static enum flow_next token_release(struct flow *f)
{
    struct token_flow *m = token_of(f);
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, f->arena, 0);
    db_add(&m->u, &SQL_strava_unlease);
    db_p_i64(&m->u, m->t->athlete_id);
    db_p_i64(&m->u, m->renew.owner);
    db_p_bool(&m->u, m->t->lost);
    db_submit(&m->u);
    /* If that fails it ends by itself. */
    return flow_wait_any(f, &m->u.op, token_STEP_released, STRAVA__DB_MS);
}

static enum flow_next token_released(struct flow *f)
{
    struct token_flow *m = token_of(f);
    if (m->why.class) {
        f->err = m->why;
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void token_end(struct flow *f)
{
    struct token_flow *m = token_of(f);
    OPENSSL_cleanse(&m->renew, sizeof(m->renew));
    OPENSSL_cleanse(m->first, sizeof(m->first));
    db_unit_done(&m->u);
}

static const struct flow_def token_def = {"strava_token", token_steps, token_STEP_COUNT, token_end};

struct flow *strava__token_flow(struct strava *s, struct strava__token *t)
{
    struct token_flow *m = flow_new(s->loop, &token_def, sizeof(*m), 0);
    m->s = s;
    m->t = t;
    CHECK(RAND_bytes((unsigned char *)&m->renew.owner, sizeof(m->renew.owner)) == 1);
    m->renew.owner &= INT64_MAX;
    return &m->f;
}
