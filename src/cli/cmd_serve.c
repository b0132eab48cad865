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
};
#define SERVE_STEPS(STEP)                                                                          \
    STEP(serve, reconcile) /* what was left over, before anything is claimed */                    \
    STEP(serve, start)                                                                             \
    STEP(serve, stop)                                                                              \
    STEP(serve, settled)
FLOW_STEPS(serve, SERVE_STEPS);

static struct serve_flow *serve_of(struct flow *f)
{
    return container_of(f, struct serve_flow, f);
}

static enum flow_next serve_reconcile(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    app_open_work(&s->c->app);
    flow_call(trails_reconcile_flow(s->c->app.pool, NULL), &s->op);
    return flow_wait_any(f, &s->op, serve_STEP_start, 0);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct serve_flow *s = ctx;
    (void)channel;
    (void)payload;
    jobs_wake(s->c->app.jobs);
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

static enum flow_next serve_start(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
    struct app *app = &s->c->app;
    if (s->op.failed) {
        log_err(LOG_LEVEL_WARN, "looking for forgotten work failed; next time again", &s->op.err);
    }
    if (app->cluster) {
        db_cluster_on_crash(app->cluster, on_crash, NULL);
    }
    jobs_start(app->jobs);
    listen_to(s);
    s->interval = ticker_open(app->loop, config_i64(s->c->config, "processor.interval"), true,
                              on_interval, s);
    char *url = db_url_redacted(app->db.url);
    log_info("waymark is running", L_S("version", WAYMARK_VERSION), L_S("database", url),
             L_B("private_database", app->cluster != NULL));
    mem_free(url);
    op_init(&s->stop, f->loop, NULL);
    op_begin(&s->stop);
    s->c->stop = &s->stop;
    return flow_wait(f, &s->stop, serve_STEP_stop, 0);
}

static enum flow_next serve_stop(struct flow *f)
{
    struct serve_flow *s = serve_of(f);
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

static const struct flow_def serve_def = {"serve", serve_steps, serve_STEP_COUNT, NULL};

struct flow *cli_serve(struct cli *c)
{
    struct serve_flow *s = flow_new(c->app.loop, &serve_def, sizeof(*s), 0);
    s->c = c;
    return &s->f;
}
