/* Logging out, and leaving for good: Strava is told first, while the keys are there, then
 * everything goes, whatever Strava said. */
#include "web/internal.h"

#include <string.h>

enum {
    REVOKE_MS = 20000, /* people wait for this */
    ERASE_MS = 90000,
    AT_ONCE = 8,
};

static void not_logged_in(const struct web *w, struct httpd_req *r)
{
    web__visitor_clear(w, r);
    httpd_redirect(r, "/");
}

/* Reads a form that must be ours. false: it is answered. */
static bool is_own_form(const struct web *w, struct httpd_req *r)
{
    if (httpd_form_read(r) != 0) {
        return false;
    }
    if (!web__visitor_is_own_form(w, r, httpd_form(r, "csrf"))) {
        web__public_notice(r, 403, "Not from here",
                           "The form is not from a page of this login. Nothing was done.", "/",
                           "To your page");
        return false;
    }
    return true;
}

/* ---- logging out ----------------------------------------------------------------------------- */

struct logout_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    unsigned char hash[32];
    struct db_unit u;
};
#define LOGOUT_STEPS(STEP)                                                                         \
    STEP(logout, end)                                                                              \
    STEP(logout, tell)
FLOW_STEPS(logout, LOGOUT_STEPS);

static struct logout_flow *logout_of(struct flow *f)
{
    return container_of(f, struct logout_flow, f);
}

static enum flow_next logout_end(struct flow *f)
{
    struct logout_flow *x = logout_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_web_visitor_end);
    db_p_span(&x->u, (struct span){(const char *)x->hash, sizeof(x->hash)});
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, logout_STEP_tell, WEB_CALL_MS);
}

static enum flow_next logout_tell(struct flow *f)
{
    struct logout_flow *x = logout_of(f);
    struct httpd_req *r = x->r;
    x->r = NULL;
    not_logged_in(x->w, r);
    return FLOW_DONE;
}

static void logout_done(struct flow *f)
{
    struct logout_flow *x = logout_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        web__public_notice(x->r, 503, "Not now",
                           "The database does not answer in time: you are still logged in.", "/",
                           "To your page");
    }
    web__flow_ended(x->w);
}

static const struct flow_def logout_def = {"web_logout", logout_steps, logout_STEP_COUNT,
                                           logout_done};

void web__logout_post(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    unsigned char hash[32];
    if (!web__visitor_hash(r, hash)) {
        not_logged_in(w, r);
        return;
    }
    if (!is_own_form(w, r)) {
        return;
    }
    struct logout_flow *x = flow_new(w->loop, &logout_def, sizeof(*x), 0);
    web__flow_began(w);
    x->w = w;
    x->r = r;
    memcpy(x->hash, hash, sizeof(hash));
    flow_start(&x->f);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void ask_once_more(struct httpd_req *r)
{
    struct buf out = {0};
    char csrf[33];
    web__visitor_csrf(r, csrf);
    web__public_begin(&out, "Disconnect and erase everything?", true);
    buf_puts(&out, "<p>All that is stored here of you goes, at once and for good: your activities, "
                   "those from files too, their tracks, what you have covered, your name and the "
                   "keys to Strava. At Strava "
                   "itself nothing is lost, but that this server may ask.</p>\n"
                   "<p><a href=\"/export\">Take everything along first</a></p>\n");
    web__html(&out,
              "<div class=\"doors\"><form method=\"post\" action=\"/auth/disconnect\"><input "
              "type=\"hidden\" name=\"csrf\" value=\"%s\"><input type=\"hidden\" name=\"sure\" "
              "value=\"yes\"><button class=\"danger\">Erase everything</button></form>"
              "<a class=\"button\" href=\"/\">No, stay</a></div>\n",
              csrf);
    web__public_end(&out);
    httpd_html(r, 200, &out);
}

void web__disconnect_get(struct httpd_req *r, void *ctx)
{
    unsigned char hash[32];
    if (!web__visitor_hash(r, hash)) {
        not_logged_in(ctx, r);
        return;
    }
    ask_once_more(r);
}

struct leave_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    unsigned char hash[32];
    bool revoked, dead; /* dead: with such tokens Strava says yes, whatever it does */
    struct people_erasure erasure;
    struct people_count count;
    struct db_unit u;
    struct op op;
};
#define LEAVE_STEPS(STEP)                                                                          \
    STEP(leave, who)                                                                               \
    STEP(leave, revoke)                                                                            \
    STEP(leave, erase)                                                                             \
    STEP(leave, tell)
FLOW_STEPS(leave, LEAVE_STEPS);

static struct leave_flow *leave_of(struct flow *f)
{
    return container_of(f, struct leave_flow, f);
}

static enum flow_next leave_who(struct flow *f)
{
    struct leave_flow *x = leave_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    db_add(&x->u, &SQL_web_visitor_leaves);
    db_p_span(&x->u, (struct span){(const char *)x->hash, sizeof(x->hash)});
    db_p_bool(&x->u, x->w->conf.strava != NULL);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, leave_STEP_revoke, WEB_CALL_MS);
}

static enum flow_next leave_revoke(struct flow *f)
{
    struct leave_flow *x = leave_of(f);
    if (db_rows(&x->u, 0) == 0) {
        struct httpd_req *r = x->r;
        x->r = NULL;
        not_logged_in(x->w, r);
        return FLOW_DONE;
    }
    x->erasure.athlete_id = db_get_i64(&x->u, 0, 0, 0);
    x->dead = db_get_i64(&x->u, 0, 0, 2) != 0;
    db_unit_done(&x->u);
    if (!x->w->conf.strava) {
        op_init(&x->op, f->loop, NULL);
        op_begin(&x->op);
        (void)err_set(&f->err, ERR_CONF, ERR_PERMANENT, "strava.client_id is empty");
        op_finish(&x->op, &f->err);
    } else {
        flow_call(strava_revoke_flow(x->w->conf.strava, x->erasure.athlete_id), &x->op);
    }
    return flow_wait_any(f, &x->op, leave_STEP_erase, REVOKE_MS);
}

static enum flow_next leave_erase(struct flow *f)
{
    struct leave_flow *x = leave_of(f);
    x->revoked = !x->op.failed && !x->dead;
    if (x->op.failed) {
        log_err(LOG_LEVEL_WARN, "the grant of an athlete who leaves could not be withdrawn",
                &x->op.err);
    }
    x->erasure.who = "the athlete";
    x->erasure.arena = f->arena;
    x->erasure.ret = &x->count;
    flow_call(people_erase_flow(x->w->pool, &x->erasure), &x->op);
    return flow_wait(f, &x->op, leave_STEP_tell, ERASE_MS);
}

static enum flow_next leave_tell(struct flow *f)
{
    struct leave_flow *x = leave_of(f);
    struct httpd_req *r = x->r;
    x->r = NULL;
    log_info("an athlete left; everything of theirs was erased",
             L_I("athlete", x->erasure.athlete_id), L_I("rows", x->count.rows),
             L_B("revoked", x->revoked));
    web__visitor_clear(x->w, r);
    if (x->revoked) {
        web__public_notice(r, 200, "Everything is erased",
                           "Nothing of you is left here, and Strava no longer lets this server ask "
                           "for you.",
                           "/", "To the front page");
    } else {
        web__public_notice(
            r, 200, "Everything is erased",
            "Nothing of you is left here. Strava could not be told, though: withdraw "
            "this server’s access in Strava’s settings, under My Apps.",
            "https://www.strava.com/settings/apps", "Strava’s settings");
    }
    return FLOW_DONE;
}

static void leave_end(struct flow *f)
{
    struct leave_flow *x = leave_of(f);
    db_unit_done(&x->u);
    x->w->coming--;
    if (x->r) {
        if (f->failed) {
            log_err(LOG_LEVEL_WARN, "an athlete could not be erased", &f->err);
        }
        web__public_notice(x->r, 503, "Not now",
                           "The database does not answer in time. Whether everything was erased "
                           "shows when you look again.",
                           "/auth/disconnect", "Try again");
    }
    web__flow_ended(x->w);
}

static const struct flow_def leave_def = {"web_leave", leave_steps, leave_STEP_COUNT, leave_end};

void web__disconnect_post(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    unsigned char hash[32];
    if (!web__visitor_hash(r, hash)) {
        not_logged_in(w, r);
        return;
    }
    if (!is_own_form(w, r)) {
        return;
    }
    const char *sure = httpd_form(r, "sure");
    if (!sure || strcmp(sure, "yes") != 0) {
        ask_once_more(r);
        return;
    }
    if (w->coming >= AT_ONCE) {
        httpd_set(r, "Retry-After", "5");
        web__public_notice(r, 503, "Too many at once", "Others are leaving or coming.",
                           "/auth/disconnect", "Try again");
        return;
    }
    struct leave_flow *x = flow_new(w->loop, &leave_def, sizeof(*x), 0);
    web__flow_began(w);
    w->coming++;
    x->w = w;
    x->r = r;
    memcpy(x->hash, hash, sizeof(hash));
    flow_start(&x->f);
}
