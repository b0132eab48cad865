/* For the tests of strava/'s flows: an application, and one athlete's tokens as the database has
 * them. */
#pragma once

#include <jansson.h>

#include "fake/fetch_script.h"
#include "flow/rig.h"
#include "strava/internal.h"

#define API    "https://api.test/v3"
#define OAUTH  "https://oauth.test"
#define ACCESS "access0000000000000000000000000000000000"
#define FRESH  "fresh00000000000000000000000000000000000"
#define OLD    "refresh000000000000000000000000000000000"
#define NEW    "refresh111111111111111111111111111111111"
#define KEY_A  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B  "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define LOCK   "strava_lock_tokens"
#define SAVE   LOCK " strava_save_tokens strava_token_good"
#define BURY   LOCK " strava_mark_reauth"
#define FAULT(resource, field, code)                                                               \
    "{\"message\":\"Words\",\"errors\":[{\"resource\":\"" resource "\",\"field\":\"" field         \
    "\",\"code\":\"" code "\"}]}"
#define DEAD_REFRESH FAULT("RefreshToken", "refresh_token", "invalid")
#define DEAD_ACCESS  FAULT("Athlete", "access_token", "invalid")
#define PAIR                                                                                       \
    "{\"token_type\":\"Bearer\",\"expires_at\":1,\"expires_in\":21600,\"refresh_token\":\"" NEW    \
    "\",\"access_token\":\"" FRESH "\"}"
enum { ATHLETE = 42, TICKET = 7 };

struct strava_rig {
    struct rig r;
    struct fetch *fetch;
    struct strava *s;
    struct strava_conf conf;
    struct op op; /* of the flow that ran */
};

static inline void strava_rig_open(struct strava_rig *g, const char *keys)
{
    struct err err;
    *g = (struct strava_rig){.conf = {.client_id = "1001",
                                      .client_secret = "app-secret",
                                      .api_url = API,
                                      .oauth_url = OAUTH,
                                      .scopes = "read,activity:read"}};
    rig_open(&g->r);
    fetch_script_begin();
    g->fetch = fetch_open(g->r.loop, &(struct fetch_conf){.user_agent = "test"}, &err);
    assert_int_equal(strava_keys_parse(keys, &g->conf.keys, &err), 0);
    g->s = strava_open(g->r.pool, g->fetch, &g->conf);
}

static inline void strava_rig_close(struct strava_rig *g)
{
    struct op op;
    g->s = strava_free(g->s);
    fetch_close(g->fetch, &op);
    rig_op(&g->r, &op);
    rig_close(&g->r);
    fetch_script_end();
}

/* ---- the database ---------------------------------------------------------------------------- */

/* What strava_load gives; NULL tokens: there are none. */
struct stored {
    const char *access, *refresh;
    int64_t left_s;
    bool reauth, inactive, limited;
    bool interrupted; /* a refresh was begun and never ended */
    struct span refused;
};
#define GOOD   ((struct stored){.access = ACCESS, .refresh = OLD, .left_s = 20000})
#define STALE  ((struct stored){.access = ACCESS, .refresh = OLD, .left_s = 299})
#define BETTER ((struct stored){.access = FRESH, .refresh = NEW, .left_s = 21600})

static inline void put_stored(struct script_unit *x, unsigned call, struct stored t)
{
    script_param(x, call, 1, "42");
    script_row(x, call, "titbwbbib", t.access, t.left_s, t.refresh, (int)t.reauth, t.refused,
               (int)t.inactive, (int)t.limited, (int64_t)TICKET, (int)t.interrupted);
}

static inline struct script_unit *expect_load(struct stored t)
{
    struct script_unit *x = script_expect(RIG_WORK, "strava_load");
    put_stored(x, 0, t);
    return x;
}

/* got: the lease is ours. */
static inline struct script_unit *expect_lease(bool got, struct stored t)
{
    struct script_unit *x = script_expect(RIG_WORK, "strava_lease strava_load");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "42");
    script_param(x, 0, 3, "90");
    if (got) {
        script_row(x, 0, "b", 1);
    }
    put_stored(x, 1, t);
    return x;
}

/* What the job has paid for a call that is not made. */
static inline struct script_unit *expect_refund(void)
{
    return script_expect(RIG_WORK, "strava_rate_give");
}

static inline struct script_unit *expect_unlease_with(const char *lost)
{
    struct script_unit *x = script_expect(RIG_WORK, "strava_unlease");
    script_param(x, 0, 1, "42");
    script_param(x, 0, 3, lost);
    return x;
}

static inline struct script_unit *expect_unlease(void)
{
    return expect_unlease_with("f");
}

/* What a refresh gave may have got lost: that is kept. */
static inline struct script_unit *expect_doubt(void)
{
    return expect_unlease_with("t");
}

/* now: the refresh token that is stored (NULL: none); done: ours took its place. */
static inline struct script_unit *expect_save(const char *now, bool done)
{
    struct script_unit *x = script_expect(RIG_WORK, SAVE);
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "42");
    script_param(x, 1, 1, "42");
    if (now) {
        script_row(x, 0, "t", now);
    }
    script_row(x, 1, "b", (int)done);
    return x;
}

/* now: as above; marked: it is the one that is dead. */
static inline struct script_unit *expect_bury(const char *now, bool marked)
{
    struct script_unit *x = script_expect(RIG_WORK, BURY);
    script_flags(x, DB_TX);
    script_param(x, 1, 1, "42");
    if (now) {
        script_row(x, 0, "t", now);
    }
    if (marked) {
        script_row(x, 1, "b", 1);
    }
    return x;
}

/* ---- the network ----------------------------------------------------------------------------- */

static inline struct script_request *expect_token(const char *grant_type)
{
    struct script_request *x = fetch_script_expect(FETCH_POST, OAUTH "/oauth/token");
    fetch_script_form(x, "client_id", "1001");
    fetch_script_form(x, "client_secret", "app-secret");
    fetch_script_form(x, "grant_type", grant_type);
    return x;
}

static inline struct script_request *expect_refresh(const char *token)
{
    struct script_request *x = expect_token("refresh_token");
    fetch_script_form(x, "refresh_token", token);
    fetch_script_reply(x, 200, PAIR);
    return x;
}

static inline struct script_request *expect_get(const char *path, const char *token)
{
    char url[100];
    snprintf(url, sizeof(url), API "%s", path);
    struct script_request *x = fetch_script_expect(FETCH_GET, url);
    fetch_script_bearer(x, token);
    fetch_script_reply(x, 200, "{}");
    return x;
}

/* ---- running --------------------------------------------------------------------------------- */

static inline void run_flow(struct strava_rig *g, struct flow *f)
{
    rig_flow(&g->r, f, &g->op);
    assert_true(script_played());
    assert_true(fetch_script_played());
    if (g->op.failed) {
        /* No message says a secret. */
        static const char *const secret[] = {ACCESS, FRESH, OLD, NEW, "app-secret", "the-code"};
        for (size_t i = 0; i < COUNT_OF(secret); i++) {
            assert_null(strstr(g->op.err.msg, secret[i]));
        }
    }
}

static inline void assert_failed(const struct strava_rig *g, enum err_domain domain,
                                 enum err_class class, int code)
{
    assert_true(g->op.failed);
    if (g->op.err.domain != domain || g->op.err.class != class || g->op.err.code != code) {
        fail_msg("failed with domain %d, class %d, code %d: %s", g->op.err.domain, g->op.err.class,
                 g->op.err.code, g->op.err.msg);
    }
}

static inline bool is_fetch_asked(void *ctx)
{
    return fetch_script_asked(ctx);
}

/* Runs until the one or the other has been asked for (NULL: not that), then cancels the flow. */
static inline void cancel_at(struct strava_rig *g, struct flow *f, struct script_unit *unit,
                             struct script_request *request)
{
    flow_call(f, &g->op);
    if (unit) {
        rig_until_asked(&g->r, unit);
    } else {
        rig_until(&g->r, is_fetch_asked, request);
    }
    op_cancel(&g->op);
    rig_op(&g->r, &g->op);
    assert_failed(g, ERR_UV, ERR_RETRY, UV_ECANCELED);
}
