/* waymark serve: works at start, on NOTIFY, and every interval, until it is told to stop. */
#include "cli/internal.h"

struct serve_flow {
    struct flow f;
    struct cli *c;
    struct db_listener *listener;
    struct ticker *interval;
    struct op op;
    struct op stop;
    bool reconciling;
    struct op reconcile_op;
    bool ending;
    struct db_unit u;
    int64_t rekeyed;
    char *secret; /* made just now; NULL: there was one */
};
#define SERVE_STEPS(STEP)                                                                          \
    STEP(serve, secret) /* -> alerts, if there are no admin pages or it is configured */           \
    STEP(serve, show)                                                                              \
    STEP(serve, alerts)                                                                            \
    STEP(serve, schedules) /* -> reconcile, if nothing is fetched */                               \
    STEP(serve, rekey)     /* tokens that another key, or none, has encrypted */                   \
    STEP(serve, reconcile) /* what was left over, before anything is claimed */                    \
    STEP(serve, subscribe) /* -> start, if there is nothing to do with Strava */                   \
    STEP(serve, start)                                                                             \
    STEP(serve, stop)                                                                              \
    STEP(serve, settled)
FLOW_STEPS(serve, SERVE_STEPS);

static struct serve_flow *serve_of(struct flow *f)
{
    return container_of(f, struct serve_flow, f);
}

static enum flow_next serve_secret(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    const char *given = config_str(s->c->config, "admin.secret");
    if (!app_has_admin(s->c->config) || (given && *given)) {
        return flow_goto(f, serve_STEP_alerts);
    }
    flow_call(web_secret_flow(f->loop, s->c->app.pool, false, f->arena, &s->secret), &s->op);
    return flow_wait(f, &s->op, serve_STEP_show, 0);
}

/* Not through the log, which hides secrets: it is kept nowhere else, and nobody can ask for it. */
static enum flow_next serve_show(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    if (s->secret) {
        fprintf(stderr,
                "The admin pages open with this secret, which is shown only now:\n\n    %s\n\n"
                "`waymark admin secret` makes another one.\n",
                s->secret);
        log_add_secret(s->secret);
    }
    return FLOW_NEXT;
}

static enum flow_next serve_alerts(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    if (app_open_alerts(&s->c->app, &f->err) != 0) {
        return flow_fail(f);
    }
    flow_call(alert_start_flow(s->c->app.alert), &s->op);
    return flow_wait_any(f, &s->op, serve_STEP_schedules, 0);
}

static enum flow_next serve_schedules(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    struct app *app = &s->c->app;
    if (s->op.failed) {
        log_err(LOG_LEVEL_WARN, "nobody looks for what is to be told; next start again",
                &s->op.err);
    }
    if (app_open_strava(app, &f->err) != 0) {
        return flow_fail(f);
    }
    if (!app->strava) {
        return flow_goto(f, serve_STEP_reconcile);
    }
    flow_call(ingest_schedules_flow(app->pool, TRAILS_QUEUE), &s->op);
    return flow_wait(f, &s->op, serve_STEP_rekey, 0);
}

static enum flow_next serve_rekey(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    flow_call(strava_rekey_flow(s->c->app.strava, &s->rekeyed), &s->op);
    return flow_wait_any(f, &s->op, serve_STEP_reconcile, 0);
}

static enum flow_next serve_reconcile(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    if (s->c->app.strava && s->op.failed) {
        log_err(LOG_LEVEL_WARN, "some tokens keep the key they have", &s->op.err);
    } else if (s->rekeyed > 0) {
        log_info("tokens were encrypted with the present key", L_I("athletes", s->rekeyed));
    }
    s->c->app.serves = true;
    app_open_work(&s->c->app);
    if (app_open_web(&s->c->app, &f->err) != 0) {
        return flow_fail(f);
    }
    flow_call(trails_reconcile_flow(s->c->app.pool, NULL), &s->op);
    return flow_wait_any(f, &s->op, serve_STEP_subscribe, 0);
}

static enum flow_next serve_subscribe(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    if (s->op.failed) {
        log_err(LOG_LEVEL_WARN, "looking for forgotten work failed; next time again", &s->op.err);
    }
    if (!s->c->app.strava) {
        return flow_goto(f, serve_STEP_start);
    }
    db_unit_init(&s->u, s->c->app.pool, f->arena, DB_TX);
    db_add(&s->u, &SQL_ingest_want_subscription);
    db_submit(&s->u);
    return flow_wait_any(f, &s->u.op, serve_STEP_start, 0);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct serve_flow *s = ctx;
    (void)channel;
    (void)payload;
    app_wake_work(&s->c->app);
}

static void reconciled(struct op *op)
{
    struct serve_flow *s = op->waiter;
    s->reconciling = false;
    if (op->failed) {
        log_err(LOG_LEVEL_WARN, "looking for forgotten work failed; next time again", &op->err);
    } else {
        jobs_wake(s->c->app.jobs);
    }
    if (s->ending) {
        op_finish(&s->op, NULL);
    }
}

static void on_interval(void *ctx)
{
    struct serve_flow *s = ctx;
    if (!s->reconciling) {
        s->reconciling = true;
        flow_call(trails_reconcile_flow(s->c->app.pool, NULL), &s->reconcile_op);
        op_await(&s->reconcile_op, reconciled, s);
    }
}

static void on_crash(void *ctx, int status)
{
    (void)ctx;
    log_error("the private PostgreSQL ended unexpectedly and is started again",
              L_I("status", status));
}

/* The contract's triggers notify `processing`, whatever else is configured. */
static void listen_to(struct serve_flow *s)
{
    const char *channel[2] = {"processing", config_str(s->c->config, "database.channel")};
    size_t n = strcmp(channel[0], channel[1]) == 0 ? 1 : 2;
    s->listener = db_listener_open(s->c->app.loop, &s->c->app.db, channel, n, 30000, on_notify, s);
}

/* What can change while it runs; all else is named, for a restart. */
static bool is_reloadable(const char *key)
{
    static const char *const keys[] = {"log.level", "log.format", "processor.interval",
                                       "admin.secret"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void compare(struct serve_flow *s, const struct config *now, struct buf *taken,
                    struct buf *left)
{
    for (size_t i = 0; i < app_config_key_count; i++) {
        const char *key = app_config_keys[i].name;
        bool can = is_reloadable(key);
        /* What needs a restart is as it was at the start, however often it was read since. */
        const char *was = config_str(can ? s->c->config : s->c->app.config, key);
        const char *is = config_str(now, key);
        if (strcmp(was ? was : "", is ? is : "") != 0) {
            struct buf *to = can ? taken : left;
            buf_printf(to, "%s%s", to->n ? ", " : "", key);
        }
    }
}

static void on_hup(void *ctx)
{
    struct serve_flow *s = ctx;
    struct err err;
    struct buf taken = {0}, left = {0};
    char reloading[64];
    snprintf(reloading, sizeof(reloading), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(clock_mono_ns() / 1000));
    app_notify(reloading);
    struct config *now = cli__load_config(s->c, &err);
    if (!now) {
        log_err(LOG_LEVEL_ERROR, "the configuration was not taken over", &err);
        app_notify("READY=1");
        return;
    }
    compare(s, now, &taken, &left);
    app_log_init(now);
    int64_t interval_ms = config_i64(now, "processor.interval");
    if (interval_ms != config_i64(s->c->config, "processor.interval")) {
        ticker_close(s->interval);
        s->interval = ticker_open(s->c->app.loop, interval_ms, true, on_interval, s);
    }
    if (s->c->app.web) {
        web_set_admin_secret(s->c->app.web, config_str(now, "admin.secret"));
    }
    cli__config_replace(s->c, now);
    log_info("the configuration was read again", L_S("taken_over", taken.n ? taken.p : "nothing"),
             L_S("needs_a_restart", left.n ? left.p : "nothing"));
    buf_done(&taken);
    buf_done(&left);
    app_notify("READY=1");
}

static enum flow_next serve_start(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    struct app *app = &s->c->app;
    if (app->strava && s->u.op.failed) {
        log_err(LOG_LEVEL_WARN, "the subscription to events is not looked at", &s->u.op.err);
    }
    if (app->cluster) {
        db_cluster_on_crash(app->cluster, on_crash, NULL);
    }
    app_start_work(app);
    listen_to(s);
    s->interval = ticker_open(app->loop, config_i64(s->c->config, "processor.interval"), true,
                              on_interval, s);
    char *url = db_url_redacted(app->db.url);
    log_info("waymark is running", L_S("version", WAYMARK_VERSION), L_S("database", url),
             L_B("private_database", app->cluster != NULL));
    mem_free(url);
    if (app->web) {
        web_watch_listener(app->web, s->listener);
    }
    app_watchdog_start(app);
    app_notify("READY=1\nSTATUS=working");
    op_init(&s->stop, f->loop, NULL);
    op_begin(&s->stop);
    s->c->stop = &s->stop;
    s->c->hup = on_hup;
    s->c->hup_ctx = s;
    return flow_wait(f, &s->stop, serve_STEP_stop, 0);
}

static enum flow_next serve_stop(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    app_notify("STOPPING=1\nSTATUS=letting running work end");
    s->c->hup = NULL;
    if (s->c->app.web) {
        web_watch_listener(s->c->app.web, NULL);
        web_drain(s->c->app.web);
    }
    db_listener_close(s->listener);
    ticker_close(s->interval);
    if (!s->reconciling) {
        return FLOW_DONE;
    }
    s->ending = true;
    op_init(&s->op, f->loop, NULL);
    op_begin(&s->op);
    return flow_wait(f, &s->op, serve_STEP_settled, 0);
}

static enum flow_next serve_settled(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void serve_end(struct flow *f)
{
    db_unit_done(&serve_of(f)->u);
}

static const struct flow_def serve_def = {"serve", serve_steps, serve_STEP_COUNT, serve_end};

struct flow *cli_serve(struct cli *c)
{
    struct serve_flow *s = flow_new(c->app.loop, &serve_def, sizeof(*s), 0);
    s->c = c;
    return &s->f;
}
