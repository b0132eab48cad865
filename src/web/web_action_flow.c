/* What the buttons do: the statements of `waymark jobs`, audited as the admin's. Many jobs are gone
 * through in pages (see jobs_pages_flow). */
#include "web/internal.h"

#include <string.h>

enum { PAGES = 1000, NAME_MAX_BYTES = 2000 };

struct action;
struct action_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    const struct action *action;
    const char *who, *back, *filter;
    const char *queue, *kind, *cause, *name;
    bool unclear; /* one of these is empty or too long */
    int64_t id;
    unsigned char token[32];
    struct db_unit u;
    struct jobs_pages pages;
    struct op op;
};

struct action {
    const char *name, *command; /* as `waymark` calls it, for the audit */
    bool wants_queue, wants_id, wants_name, wants_cause_or_id;
    const struct db_stmt *page, *act;   /* of many jobs */
    const char *states;                 /* of live ones */
    void (*add)(struct action_flow *x); /* of one thing: a statement of its own */
};

#define ACTION_STEPS(STEP)                                                                         \
    STEP(action, who)                                                                              \
    STEP(action, act) /* also of many jobs */                                                      \
    STEP(action, tell)
FLOW_STEPS(action, ACTION_STEPS);

static struct action_flow *action_of(struct flow *f)
{
    return container_of(f, struct action_flow, f);
}

/* ---- what there is to do --------------------------------------------------------------------- */

static void add_pause(struct action_flow *x)
{
    db_add(&x->u, &SQL_jobs_cmd_pause);
    db_p_text(&x->u, x->queue);
    db_p_text(&x->u, x->kind);
    db_p_null(&x->u);
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->filter);
}

static void add_resume(struct action_flow *x)
{
    db_add(&x->u, &SQL_jobs_cmd_resume);
    db_p_text(&x->u, x->queue);
    db_p_text(&x->u, x->kind);
    db_p_null(&x->u);
    db_p_bool(&x->u, x->kind == NULL);
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->filter);
    db_p_text(&x->u, x->w->conf.channel);
}

static void add_drain(struct action_flow *x)
{
    db_add(&x->u, &SQL_jobs_cmd_drain);
    db_p_i64(&x->u, x->id);
    db_p_bool(&x->u, strcmp(x->action->name, "drain") == 0);
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->filter);
}

static void add_cron_pause(struct action_flow *x)
{
    db_add(&x->u, &SQL_jobs_cmd_cron_pause);
    db_p_text_array(&x->u, &x->name, 1);
    db_p_bool(&x->u, strcmp(x->action->name, "cron-pause") == 0);
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->action->command);
}

static void add_cron_run(struct action_flow *x)
{
    db_add(&x->u, &SQL_jobs_cmd_cron_run);
    db_p_text(&x->u, x->name);
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->filter);
    db_p_text(&x->u, x->w->conf.channel);
}

static void add_logout(struct action_flow *x)
{
    db_add(&x->u, &SQL_web_session_end);
    db_p_span(&x->u, (struct span){(const char *)x->token, sizeof(x->token)});
    db_p_text(&x->u, x->who);
}

static const struct action actions[] = {
    {.name = "retry",
     .command = "jobs retry",
     .wants_cause_or_id = true,
     .page = &SQL_web_page_dead,
     .act = &SQL_jobs_cmd_retry},
    {.name = "discard",
     .command = "jobs discard",
     .wants_cause_or_id = true,
     .page = &SQL_web_page_dead,
     .act = &SQL_jobs_cmd_discard},
    {.name = "cancel",
     .command = "jobs cancel",
     .wants_id = true,
     .page = &SQL_web_page_job,
     .act = &SQL_jobs_cmd_cancel},
    {.name = "release",
     .command = "jobs retry",
     .wants_id = true,
     .page = &SQL_web_page_job,
     .act = &SQL_jobs_cmd_release},
    {.name = "pause", .command = "jobs pause", .wants_queue = true, .add = add_pause},
    {.name = "resume", .command = "jobs resume", .wants_queue = true, .add = add_resume},
    {.name = "drain", .command = "jobs drain", .wants_id = true, .add = add_drain},
    {.name = "undrain", .command = "jobs drain --undo", .wants_id = true, .add = add_drain},
    {.name = "cron-pause", .command = "jobs cron pause", .wants_name = true, .add = add_cron_pause},
    {.name = "cron-resume",
     .command = "jobs cron resume",
     .wants_name = true,
     .add = add_cron_pause},
    {.name = "cron-run", .command = "jobs cron run", .wants_name = true, .add = add_cron_run},
    {.name = "logout", .command = "logout", .add = add_logout},
};

static const struct action *action_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}

/* ---- doing it -------------------------------------------------------------------------------- */

static enum flow_next action_who(struct flow *f)
{
    struct action_flow *x = action_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_web_session);
    db_p_span(&x->u, (struct span){(const char *)x->token, sizeof(x->token)});
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, action_STEP_act, WEB_CALL_MS);
}

static void add_page(void *ctx, struct db_unit *u, unsigned source, const int64_t *id, size_t n)
{
    const struct action_flow *x = ctx;
    (void)source;
    (void)id;
    (void)n;
    if (x->id) {
        db_p_i64(u, x->id);
    } else {
        db_p_null(u);
    }
    if (x->action->page == &SQL_web_page_dead) {
        db_p_text(u, x->cause);
        db_p_text(u, x->queue);
        db_p_text(u, x->kind);
    }
}

static bool is_draining(void *ctx)
{
    return ((const struct action_flow *)ctx)->w->draining;
}

static enum flow_next act_on_many(struct action_flow *x)
{
    x->pages = (struct jobs_pages){
        .pool = x->w->pool,
        .source = {{x->action->page, x->action->act}},
        .nsource = 1,
        .add_page = add_page,
        .is_enough = is_draining,
        .ctx = x,
        .who = x->who,
        .command = x->action->command,
        .filter = x->filter,
        .channel = x->w->conf.channel,
        .max_pages = PAGES,
        .page_ms = 6 * WEB_CALL_MS,
    };
    flow_call(jobs_pages_flow(&x->pages), &x->op);
    return flow_wait(&x->f, &x->op, action_STEP_tell, 0);
}

static enum flow_next action_act(struct flow *f)
{
    struct action_flow *x = action_of(f);
    if (db_rows(&x->u, 0) == 0) {
        struct httpd_req *r = x->r;
        x->r = NULL;
        httpd_redirect(r, "/admin/login");
        return FLOW_DONE;
    }
    db_unit_done(&x->u);
    if (!x->action->add) {
        return act_on_many(x);
    }
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX);
    x->action->add(x);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, action_STEP_tell, 2 * WEB_CALL_MS);
}

static enum flow_next action_tell(struct flow *f)
{
    struct action_flow *x = action_of(f);
    struct httpd_req *r = x->r;
    x->r = NULL;
    log_info("done on the admin pages", L_S("what", x->action->command), L_S("who", x->who),
             L_S("filter", x->filter), L_I("jobs", x->pages.done));
    if (strcmp(x->action->name, "logout") == 0) {
        web__session_clear(r);
        httpd_redirect(r, "/admin/login");
    } else {
        httpd_redirect(r, x->back);
    }
    return FLOW_DONE;
}

static void action_end(struct flow *f)
{
    struct action_flow *x = action_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        char text[256];
        log_err(LOG_LEVEL_WARN, "an action of the admin pages failed", &f->err);
        snprintf(text, sizeof(text),
                 "It failed after %lld jobs, and what was done is kept. The log says more.",
                 (long long)x->pages.done);
        web__notice(x->r, 503, "That failed", text);
    }
    web__flow_ended(x->w);
}

static const struct flow_def action_def = {"web_action", action_steps, action_STEP_COUNT,
                                           action_end};

/* ---- asking for it --------------------------------------------------------------------------- */

static const char *filter_json(struct action_flow *x)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    const char *const value[][2] = {
        {"queue", x->queue}, {"kind", x->kind}, {"cause", x->cause}, {"name", x->name}};
    for (size_t i = 0; i < COUNT_OF(value); i++) {
        if (value[i][1]) {
            jo_str(&j, value[i][0], value[i][1]);
        }
    }
    if (x->id) {
        jo_i64(&j, "id", x->id);
    }
    jo_end_object(&j);
    char *text = arena_strdup(x->f.arena, out.p);
    buf_done(&out);
    return text;
}

/* What is there and no name is not left out: without it the form would be about more. */
static const char *form_text(struct action_flow *x, const char *name)
{
    const char *v = httpd_form(x->r, name);
    x->unclear = x->unclear || (v && (!*v || strlen(v) > NAME_MAX_BYTES));
    return v ? arena_strdup(x->f.arena, v) : NULL;
}

static bool is_complete(const struct action_flow *x)
{
    const struct action *a = x->action;
    return !x->unclear && (!a->wants_queue || x->queue) && (!a->wants_id || x->id) &&
           (!a->wants_name || x->name) && (!a->wants_cause_or_id || x->id || x->cause);
}

void web__action_post(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    bool leave = span_is(httpd_path(r), "/admin/logout");
    const struct action *action = action_named(leave ? "logout" : httpd_param(r, "action"));
    unsigned char token[32];
    if (!action || httpd_form_read(r) != 0) {
        if (!action) {
            web__notice(r, 404, "There is no such action", "The page is older than the service.");
        }
        return;
    }
    if (!web__session_token(w, r, token)) {
        httpd_redirect(r, "/admin/login");
        return;
    }
    if (!web__session_is_own_form(r, httpd_form(r, "csrf"))) {
        web__notice(r, 403, "Not from here",
                    "The form does not belong to this login. Load the page again and repeat it.");
        return;
    }
    struct action_flow *x = flow_new(w->loop, &action_def, sizeof(*x), 0);
    const char *id = httpd_form(r, "id");
    web__flow_began(w);
    x->w = w;
    x->r = r;
    x->action = action;
    memcpy(x->token, token, sizeof(token));
    x->who = arena_printf(x->f.arena, "admin@%s", httpd_client_address(r));
    x->back = arena_strdup(x->f.arena, web__own_page(httpd_form(r, "back")));
    x->queue = form_text(x, "queue");
    x->kind = form_text(x, "kind");
    x->cause = form_text(x, "cause");
    x->name = form_text(x, "name");
    bool ok = !id || span_to_i64(span_of(id), INT64_MIN + 1, INT64_MAX, &x->id) == 0;
    x->filter = filter_json(x);
    if (!ok || !is_complete(x)) {
        web__notice(r, 400, "Something is missing", "The form does not say what it is about.");
        x->r = NULL;
        flow_cancel(&x->f);
        return;
    }
    flow_start(&x->f);
}
