/* The front page: whoever is logged in sees what is theirs, and nobody else's; it is found by the
 * token alone. */
#include "web/internal.h"

struct people_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    char csrf[33];
    unsigned char hash[32];
    struct db_unit u;
};
#define PEOPLE_STEPS(STEP)                                                                         \
    STEP(people, ask)                                                                              \
    STEP(people, show)
FLOW_STEPS(people, PEOPLE_STEPS);

static struct people_flow *people_of(struct flow *f)
{
    return container_of(f, struct people_flow, f);
}

static enum flow_next people_ask(struct flow *f)
{
    static const struct db_stmt *const statement[] = {&SQL_web_visitor, &SQL_web_visitor_trails,
                                                      &SQL_web_visitor_newest};
    struct people_flow *x = people_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX | DB_READONLY);
    x->u.statement_timeout_ms = WEB_CALL_MS;
    for (size_t i = 0; i < COUNT_OF(statement); i++) {
        db_add(&x->u, statement[i]);
        db_p_span(&x->u, (struct span){(const char *)x->hash, sizeof(x->hash)});
    }
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, people_STEP_show, 2 * WEB_CALL_MS);
}

static enum flow_next people_show(struct flow *f)
{
    struct people_flow *x = people_of(f);
    struct httpd_req *r = x->r;
    x->r = NULL;
    if (db_rows(&x->u, 0) == 0) {
        web__visitor_clear(x->w, r);
        web__welcome(r, x->w);
        return FLOW_DONE;
    }
    struct buf out = {0};
    web__people_draw(&out, &x->u, f->arena, x->csrf);
    httpd_html(r, 200, &out);
    return FLOW_DONE;
}

static void people_end(struct flow *f)
{
    struct people_flow *x = people_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        if (f->failed) {
            log_err(LOG_LEVEL_WARN, "somebody's page could not be shown", &f->err);
        }
        web__public_notice(x->r, 503, "Not now", "The database does not answer in time.", "/",
                           "Try again");
    }
    web__flow_ended(x->w);
}

static const struct flow_def people_def = {"web_people", people_steps, people_STEP_COUNT,
                                           people_end};

void web__front_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    unsigned char hash[32];
    if (!web__visitor_hash(r, hash)) {
        web__welcome(r, w);
        return;
    }
    struct people_flow *x = flow_new(w->loop, &people_def, sizeof(*x), 0);
    web__flow_began(w);
    x->w = w;
    x->r = r;
    memcpy(x->hash, hash, sizeof(hash));
    web__visitor_csrf(r, x->csrf);
    flow_start(&x->f);
}

/* ---- routes ---------------------------------------------------------------------------------- */

enum { STRAVA_WAIT_MS = 120000 }; /* it may be slow, and what is begun is brought to an end */

static void add(struct httpd *h, enum httpd_method m, const char *path, httpd_handler_fn *fn,
                struct web *w)
{
    httpd_route(
        h,
        &(struct httpd_route){
            .method = m, .pattern = path, .handler = fn, .ctx = w, .timeout_ms = STRAVA_WAIT_MS});
}

bool web_has_path(const char *path)
{
    return strncmp(path, "/auth/", 6) == 0 || strncmp(path, "/static/", 8) == 0 ||
           strcmp(path, "/export") == 0;
}

void web__people_mount(struct web *w, struct httpd *h)
{
    add(h, HTTPD_GET, "/auth/strava", web__enter_get, w);
    add(h, HTTPD_GET, "/auth/strava/callback", web__callback_get, w);
    add(h, HTTPD_POST, "/auth/logout", web__logout_post, w);
    add(h, HTTPD_GET, "/auth/disconnect", web__disconnect_get, w);
    add(h, HTTPD_POST, "/auth/disconnect", web__disconnect_post, w);
    add(h, HTTPD_GET, "/export", web__export_get, w);
}
