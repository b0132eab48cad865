/* Logging in with Strava: there, and back. Facts: developers.strava.com/docs/authentication. */
#include "web/internal.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum { AT_ONCE = 8 }; /* exchanges of codes: each is a request to Strava */

static void answer(struct httpd_req **r, int status, const char *title, const char *text,
                   const char *href, const char *label)
{
    struct httpd_req *one = *r;
    *r = NULL;
    web__public_notice(one, status, title, text, href, label);
}

/* ---- the key --------------------------------------------------------------------------------- */

static void ask_key(struct web *w, struct db_unit *u, struct arena *a)
{
    db_unit_init(u, w->pool, a, DB_READONLY);
    db_add(u, &SQL_web_login_key);
    db_submit(u);
}

static int take_key(struct web *w, struct db_unit *u, struct err *err)
{
    struct span key = db_rows(u, 0) == 1 ? db_get_span(u, 0, 0, 0) : (struct span){0};
    if (key.n != sizeof(w->login_key)) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "web.login_key holds no key");
    }
    memcpy(w->login_key, key.p, key.n);
    w->login_key_known = true;
    return 0;
}

/* ---- there ----------------------------------------------------------------------------------- */

struct enter_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    const char *redirect_uri;
    bool force;
    struct db_unit u;
};
#define ENTER_STEPS(STEP)                                                                          \
    STEP(enter, key) /* -> send, if it is known */                                                 \
    STEP(enter, known)                                                                             \
    STEP(enter, send)
FLOW_STEPS(enter, ENTER_STEPS);

static struct enter_flow *enter_of(struct flow *f)
{
    return container_of(f, struct enter_flow, f);
}

static enum flow_next enter_key(struct flow *f)
{
    struct enter_flow *x = enter_of(f);
    if (x->w->login_key_known) {
        return flow_goto(f, enter_STEP_send);
    }
    ask_key(x->w, &x->u, f->arena);
    return flow_wait(f, &x->u.op, enter_STEP_known, WEB_CALL_MS);
}

static enum flow_next enter_known(struct flow *f)
{
    struct enter_flow *x = enter_of(f);
    return take_key(x->w, &x->u, &f->err) == 0 ? FLOW_NEXT : flow_fail(f);
}

static enum flow_next enter_send(struct flow *f)
{
    struct enter_flow *x = enter_of(f);
    unsigned char token[WEB_TOKEN_BYTES];
    char state[WEB_STATE_HEX + 1];
    struct buf url = {0};
    CHECK(RAND_bytes(token, sizeof(token)) == 1);
    web__state_make(x->w->login_key, token, clock_wall_us() / 1000000, state);
    strava_authorize_url(x->w->conf.strava, x->redirect_uri, state, x->force, &url);
    web__way_set(x->w, x->r, token);
    OPENSSL_cleanse(token, sizeof(token));
    httpd_redirect(x->r, url.p);
    x->r = NULL;
    buf_done(&url);
    return FLOW_DONE;
}

static void enter_end(struct flow *f)
{
    struct enter_flow *x = enter_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        if (f->failed) {
            log_err(LOG_LEVEL_WARN, "a login could not begin", &f->err);
        }
        answer(&x->r, 503, "Not now", "The database does not answer in time.", "/", "Back");
    }
    web__flow_ended(x->w);
}

static const struct flow_def enter_def = {"web_enter", enter_steps, enter_STEP_COUNT, enter_end};

/* Nobody can log in, and why: what the operator is to do. */
static bool refused(struct web *w, struct httpd_req *r, const char **origin)
{
    *origin = w->conf.strava ? web__origin_of(w, r) : NULL;
    if (!w->conf.strava) {
        web__public_notice(r, 404, "Nobody can log in here",
                           "This server is not connected with Strava: its setting strava.client_id "
                           "is empty.",
                           "/", "Back");
    } else if (!*origin) {
        web__public_notice(r, 503, "Not set up yet",
                           "This server does not know at which address people reach it, and Strava "
                           "must be told where to send you back to. Its operator sets "
                           "http.public_url, such as https://trails.example.org.",
                           "/", "Back");
    }
    return !*origin;
}

/* Cookies belong to a host: who begins at another one than Strava sends back to would come back
 * without. Once, since a proxy may have changed the Host field. */
static bool is_elsewhere(struct httpd_req *r, const char *origin, bool again)
{
    const char *host = strstr(origin, "://") + 3;
    if (span_is(httpd_host(r), host) || httpd_query(r, "moved")) {
        return false;
    }
    httpd_redirect(r, arena_printf(httpd_arena(r), "%s/auth/strava?moved=1%s", origin,
                                   again ? "&again=1" : ""));
    return true;
}

void web__enter_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    const char *origin, *given = httpd_query(r, "again");
    bool again = given && strcmp(given, "1") == 0;
    if (refused(w, r, &origin) || is_elsewhere(r, origin, again)) {
        return;
    }
    if (!web__may_begin(w, httpd_client_address(r), loop_now_ms(w->loop))) {
        httpd_set(r, "Retry-After", "600");
        web__public_notice(r, 429, "Too many logins were begun",
                           "From where you are many logins were begun just now. Try again in ten "
                           "minutes.",
                           "/", "Back");
        return;
    }
    struct enter_flow *x = flow_new(w->loop, &enter_def, sizeof(*x), 0);
    web__flow_began(w);
    x->w = w;
    x->r = r;
    x->redirect_uri = arena_printf(x->f.arena, "%s/auth/strava/callback", origin);
    x->force = again;
    flow_start(&x->f);
}

/* ---- and back -------------------------------------------------------------------------------- */

struct back_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    const char *state;
    unsigned char cookie[WEB_TOKEN_BYTES], nonce[16];
    unsigned char token[WEB_TOKEN_BYTES], held[32]; /* of the session to come, and that before it */
    bool has_held, counted;
    struct strava_grant grant;
    struct db_unit u;
    struct op op;
};
#define BACK_STEPS(STEP)                                                                           \
    STEP(back, key) /* -> check, if it is known */                                                 \
    STEP(back, known)                                                                              \
    STEP(back, check)                                                                              \
    STEP(back, exchange) /* the state is used from here on */                                      \
    STEP(back, judge)                                                                              \
    STEP(back, keep)                                                                               \
    STEP(back, enter)
FLOW_STEPS(back, BACK_STEPS);

static struct back_flow *back_of(struct flow *f)
{
    return container_of(f, struct back_flow, f);
}

static enum flow_next back_key(struct flow *f)
{
    struct back_flow *x = back_of(f);
    if (x->w->login_key_known) {
        return flow_goto(f, back_STEP_check);
    }
    ask_key(x->w, &x->u, f->arena);
    return flow_wait(f, &x->u.op, back_STEP_known, WEB_CALL_MS);
}

static enum flow_next back_known(struct flow *f)
{
    struct back_flow *x = back_of(f);
    int rc = take_key(x->w, &x->u, &f->err);
    db_unit_done(&x->u);
    return rc == 0 ? FLOW_NEXT : flow_fail(f);
}

static void again(struct back_flow *x, const char *text)
{
    answer(&x->r, 400, "Once more, please", text, "/auth/strava", "Connect with Strava");
}

static enum flow_next back_check(struct flow *f)
{
    struct back_flow *x = back_of(f);
    enum web_state is =
        web__state_read(x->w->login_key, x->cookie, x->state, clock_wall_us() / 1000000, x->nonce);
    if (is == WEB_STATE_FOREIGN) {
        again(x,
              "This way back from Strava was not begun in this browser, or another one was begun "
              "after it. Nothing was stored.");
        return FLOW_DONE;
    }
    if (is == WEB_STATE_EXPIRED) {
        again(x, "That took longer than ten minutes, which is as long as a login may take. Nothing "
                 "was stored.");
        return FLOW_DONE;
    }
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_web_login_use);
    db_p_span(&x->u, (struct span){(const char *)x->nonce, sizeof(x->nonce)});
    db_p_i64(&x->u, WEB_WAY_S);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, back_STEP_exchange, WEB_CALL_MS);
}

static enum flow_next back_exchange(struct flow *f)
{
    struct back_flow *x = back_of(f);
    bool first = db_rows(&x->u, 0) == 1;
    db_unit_done(&x->u);
    if (!first) {
        again(x, "This way back from Strava was gone before. Nothing was stored.");
        return FLOW_DONE;
    }
    x->grant.a = f->arena;
    flow_call(strava_exchange_flow(x->w->conf.strava, &x->grant), &x->op);
    return flow_wait_any(f, &x->op, back_STEP_judge, 0);
}

static void tell_failure(struct back_flow *x, const struct err *err)
{
    log_err(LOG_LEVEL_WARN, "a login with Strava failed", err);
    if (err->domain == ERR_CONF) {
        answer(&x->r, 503, "Not set up right",
               "Strava does not accept this server. Its operator finds the reason in its log.", "/",
               "Back");
    } else if (err->class == ERR_PERMANENT) {
        answer(&x->r, 400, "Strava says no", err->msg, "/auth/strava", "Try again");
    } else {
        answer(&x->r, 503, "Not now", "Strava does not answer as it should. Nothing was stored.",
               "/auth/strava", "Try again");
    }
}

static enum flow_next back_judge(struct flow *f)
{
    struct back_flow *x = back_of(f);
    if (x->op.failed) {
        tell_failure(x, &x->op.err);
        return FLOW_DONE;
    }
    return FLOW_NEXT;
}

static enum flow_next back_keep(struct flow *f)
{
    struct back_flow *x = back_of(f);
    unsigned char hash[32];
    CHECK(RAND_bytes(x->token, sizeof(x->token)) == 1);
    web__sha256(x->token, sizeof(x->token), hash);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_web_visitor_add);
    db_p_span(&x->u, (struct span){(const char *)hash, sizeof(hash)});
    db_p_i64(&x->u, x->grant.athlete_id);
    db_p_i64(&x->u, WEB_VISIT_S);
    if (x->has_held) {
        db_p_span(&x->u, (struct span){(const char *)x->held, sizeof(x->held)});
    } else {
        db_p_null(&x->u);
    }
    db_add(&x->u, &SQL_web_visitor_sync);
    db_p_span(&x->u, (struct span){(const char *)hash, sizeof(hash)});
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, back_STEP_enter, 2 * WEB_CALL_MS);
}

static enum flow_next back_enter(struct flow *f)
{
    struct back_flow *x = back_of(f);
    if (db_rows(&x->u, 0) == 0) {
        again(x,
              "You were erased here this very moment."); /* by the operator, or a second window */
        return FLOW_DONE;
    }
    log_info("an athlete logged in with Strava", L_I("athlete", x->grant.athlete_id));
    if (x->w->conf.jobs) {
        jobs_hint(x->w->conf.jobs);
    }
    web__visitor_set(x->w, x->r, x->token);
    httpd_redirect(x->r, "/");
    x->r = NULL;
    return FLOW_DONE;
}

static void back_end(struct flow *f)
{
    struct back_flow *x = back_of(f);
    db_unit_done(&x->u);
    OPENSSL_cleanse(x->token, sizeof(x->token));
    OPENSSL_cleanse(x->cookie, sizeof(x->cookie));
    x->w->coming--;
    if (x->r) {
        if (f->failed) {
            log_err(LOG_LEVEL_WARN, "a login with Strava failed", &f->err);
        }
        answer(&x->r, 503, "Not now", "The database does not answer in time.", "/auth/strava",
               "Try again");
    }
    web__flow_ended(x->w);
}

static const struct flow_def back_def = {"web_back", back_steps, back_STEP_COUNT, back_end};

/* A word of a list of scopes, as the redirect says it. */
static bool has_scope(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; *p; p += strspn(p, ", ")) {
        size_t n = strcspn(p, ", ");
        if (n == len && memcmp(p, word, n) == 0) {
            return true;
        }
        p += n;
    }
    return false;
}

/* Answers what needs neither key nor Strava. */
static bool is_told(struct httpd_req *r, const char *code, const char *scope)
{
    const char *error = httpd_query(r, "error");
    if (error && strcmp(error, "access_denied") == 0) {
        web__public_notice(r, 200, "Nothing was shared",
                           "You did not allow this server to ask Strava for your activities, so it "
                           "cannot show your trails. Nothing was stored.",
                           "/auth/strava?again=1", "Connect with Strava after all");
    } else if (error || !code || !*code || !scope) {
        web__public_notice(r, 400, "Strava says no",
                           "Strava sent you back without what is needed. Nothing was stored.",
                           "/auth/strava?again=1", "Try again");
    } else if (!has_scope(scope, "activity:read") && !has_scope(scope, "activity:read_all")) {
        web__public_notice(
            r, 200, "Your activities are missing",
            "You connected, but did not allow this server to see your activities: "
            "without that nothing would ever arrive. Nothing was stored. Leave “View "
            "data about your activities” ticked this time.",
            "/auth/strava?again=1", "Connect with Strava again");
    } else {
        return false;
    }
    return true;
}

void web__callback_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    const char *origin, *code, *scope, *state;
    if (refused(w, r, &origin)) {
        return;
    }
    unsigned char cookie[WEB_TOKEN_BYTES] = {0};
    bool began = web__way_token(r, cookie);
    if (httpd_query_only(r, "code", &code) != 0 || httpd_query_only(r, "scope", &scope) != 0 ||
        httpd_query_only(r, "state", &state) != 0) {
        code = NULL;
    }
    if (!began || is_told(r, code, scope)) {
        if (!began) {
            web__public_notice(
                r, 400, "Once more, please",
                "This way back from Strava was not begun in this browser, or it does "
                "not keep cookies. Nothing was stored.",
                "/auth/strava", "Connect with Strava");
        }
        return;
    }
    if (w->coming >= AT_ONCE) {
        httpd_set(r, "Retry-After", "5");
        web__public_notice(r, 503, "Too many at once", "Others are logging in.", "/auth/strava",
                           "Try again");
        return;
    }
    struct back_flow *x = flow_new(w->loop, &back_def, sizeof(*x), 0);
    web__flow_began(w);
    w->coming++;
    x->w = w;
    x->r = r;
    x->state = state ? arena_strdup(x->f.arena, state) : NULL;
    x->grant.code = arena_strdup(x->f.arena, code);
    x->grant.scope = arena_strdup(x->f.arena, scope);
    memcpy(x->cookie, cookie, sizeof(cookie));
    x->has_held = web__visitor_hash(r, x->held);
    web__way_clear(w, r);
    flow_start(&x->f);
}
