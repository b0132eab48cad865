/* Another key: what an older one sealed, or none, is sealed anew. */
#include <openssl/crypto.h>

#include "strava/internal.h"

enum {
    PAGE = 200,
    PASSES = 5, /* tokens that change meanwhile may be missed by one */
};

struct rekey_flow {
    struct flow f;
    struct strava *s;
    int64_t *n;
    struct arena *page;
    struct db_unit u;
    char prefix[STRAVA__KEY_PREFIX];
    int64_t after;
    size_t rows;
    unsigned passes;
    int64_t of_pass;
    uint64_t unreadable; /* in this pass */
    struct err why;      /* of the first */
};
#define REKEY_STEPS(STEP)                                                                          \
    STEP(rekey, read)                                                                              \
    STEP(rekey, seal)                                                                              \
    STEP(rekey, sealed) /* -> read */
FLOW_STEPS(rekey, REKEY_STEPS);

static struct rekey_flow *rekey_of(struct flow *f)
{
    return container_of(f, struct rekey_flow, f);
}

static enum flow_next rekey_read(struct flow *f)
{
    struct rekey_flow *m = rekey_of(f);
    if (m->s->conf.keys.n == 0) {
        return FLOW_DONE;
    }
    strava__key_prefix(m->s->conf.keys.key[0], m->prefix);
    db_unit_done(&m->u);
    arena_reset(m->page);
    db_unit_init(&m->u, m->s->pool, m->page, DB_READONLY);
    db_add(&m->u, &SQL_strava_rekey_page);
    db_p_i64(&m->u, m->after);
    db_p_text(&m->u, m->prefix);
    db_p_i64(&m->u, PAGE);
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, rekey_STEP_seal, STRAVA__DB_MS);
}

/* NULL: nothing is to be done about it, or nothing can be. */
static const char *seal_anew(struct rekey_flow *m, int64_t athlete_id, enum strava__kind kind,
                             struct span was)
{
    const struct strava_keys *keys = &m->s->conf.keys;
    char token[STRAVA__TOKEN], *text = NULL;
    struct err err;
    struct buf b = {0};
    size_t n = strlen(m->prefix);
    if (!was.p || (was.n >= n && memcmp(was.p, m->prefix, n) == 0)) {
        return NULL;
    }
    if (strava__unseal(keys, athlete_id, kind, was, token, &err) == 0) {
        strava__seal(keys, athlete_id, kind, token, &b);
        text = arena_span_dup(m->page, buf_span(&b));
    } else if (m->unreadable++ == 0) {
        m->why = err;
    }
    OPENSSL_cleanse(token, sizeof(token));
    buf_done(&b);
    return text;
}

static enum flow_next next_pass(struct rekey_flow *m)
{
    if (m->of_pass > 0 && ++m->passes < PASSES) {
        m->after = INT64_MIN;
        m->of_pass = 0;
        m->unreadable = 0;
        return flow_goto(&m->f, rekey_STEP_read);
    }
    if (m->unreadable > 0) {
        m->f.err = m->why;
        (void)err_wrap(&m->f.err,
                       "%llu token%s cannot be encrypted anew: ", (unsigned long long)m->unreadable,
                       m->unreadable == 1 ? "" : "s");
        return flow_fail(&m->f);
    }
    return FLOW_DONE;
}

static enum flow_next rekey_seal(struct flow *f)
{
    struct rekey_flow *m = rekey_of(f);
    const char *text[4][PAGE]; /* refresh tokens as they were and are to be, access tokens so */
    int64_t id[PAGE];
    m->rows = (size_t)db_rows(&m->u, 0);
    CHECK(m->rows <= PAGE);
    if (m->rows == 0) {
        return next_pass(m);
    }
    for (size_t i = 0; i < m->rows; i++) {
        id[i] = db_get_i64(&m->u, 0, (int)i, 0);
        text[0][i] = db_get_text(&m->u, 0, (int)i, 2, m->page);
        text[1][i] = seal_anew(m, id[i], STRAVA__REFRESH, db_get_span(&m->u, 0, (int)i, 2));
        text[2][i] = db_get_text(&m->u, 0, (int)i, 1, m->page);
        text[3][i] = seal_anew(m, id[i], STRAVA__ACCESS, db_get_span(&m->u, 0, (int)i, 1));
    }
    m->after = id[m->rows - 1];
    db_unit_done(&m->u);
    db_unit_init(&m->u, m->s->pool, m->page, DB_TX);
    db_add(&m->u, &SQL_strava_rekey);
    db_p_i64_array(&m->u, id, m->rows);
    for (int k = 0; k < 4; k++) {
        db_p_text_array(&m->u, text[k], m->rows);
    }
    db_submit(&m->u);
    return flow_wait(f, &m->u.op, rekey_STEP_sealed, STRAVA__DB_MS);
}

static enum flow_next rekey_sealed(struct flow *f)
{
    struct rekey_flow *m = rekey_of(f);
    int64_t n = db_get_i64(&m->u, 0, 0, 0);
    *m->n += n;
    m->of_pass += n;
    return flow_goto(f, rekey_STEP_read);
}

static void rekey_end(struct flow *f)
{
    struct rekey_flow *m = rekey_of(f);
    db_unit_done(&m->u);
    arena_free(m->page);
}

static const struct flow_def rekey_def = {"strava_rekey", rekey_steps, rekey_STEP_COUNT, rekey_end};

struct flow *strava_rekey_flow(struct strava *s, int64_t *n)
{
    struct rekey_flow *m = flow_new(s->loop, &rekey_def, sizeof(*m), 0);
    m->s = s;
    m->n = n;
    m->after = INT64_MIN;
    m->page = arena_new(0);
    *n = 0;
    return &m->f;
}
