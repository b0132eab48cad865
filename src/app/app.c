/* Bringing things up and down, in order. */
#include "app/app.h"

#include <sys/stat.h>
#include <unistd.h>

void app_log_init(const struct config *c)
{
    static const char *const level[] = {"debug", "info", "warn", "error"};
    enum log_level at = LOG_LEVEL_INFO;
    for (size_t i = 0; i < COUNT_OF(level); i++) {
        if (strcmp(config_str(c, "log.level"), level[i]) == 0) {
            at = (enum log_level)i;
        }
    }
    bool json = strcmp(config_str(c, "log.format"), "json") == 0;
    log_init(at, json ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT, stderr);
}

struct loop *app_loop_new(const struct config *c, struct err *err)
{
    return loop_new((unsigned)config_i64(c, "processor.concurrency"), err);
}

/* ---- up ------------------------------------------------------------------------------------ */

struct up_flow {
    struct flow f;
    struct app *app;
    enum app_schema schema;
    int64_t wait_ms, started_ms;
    struct op op;
    struct timer_op pause;
};
#define UP_STEPS(STEP)                                                                             \
    STEP(up, server) /* embedded: started or attached to; given: waited for */                     \
    STEP(up, schema)                                                                               \
    STEP(up, migrated) /* -> server, if a given one went away just now and there is time left */   \
    STEP(up, pool)
FLOW_STEPS(up, UP_STEPS);

static struct up_flow *up_of(struct flow *f)
{
    return container_of(f, struct up_flow, f);
}

static void tell_waiting(void *ctx, const struct err *why)
{
    (void)ctx;
    log_err(LOG_LEVEL_WARN, "waiting for the database", why);
}

int app_data_dir(const struct config *c, struct arena *a, const char **ret, struct err *err)
{
    const char *set = config_str(c, "data.dir"), *xdg = getenv("XDG_STATE_HOME"),
               *home = getenv("HOME");
    if (set && *set) {
        *ret = arena_strdup(a, set);
    } else if (xdg && *xdg == '/') {
        *ret = arena_printf(a, "%s/waymark", xdg);
    } else if (geteuid() == 0) {
        /* PostgreSQL refuses to run as root, and the user it runs as cannot pass through root's
         * home. */
        *ret = arena_strdup(a, "/var/lib/waymark");
    } else if (home && *home == '/') {
        *ret = arena_printf(a, "%s/.local/state/waymark", home);
    } else {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "no place for the private database: neither HOME nor XDG_STATE_HOME is set; "
                       "give --data-dir or [data] dir");
    }
    if ((*ret)[0] != '/') {
        char *cwd = getcwd(NULL, 0);
        *ret = arena_printf(a, "%s/%s", cwd ? cwd : "", *ret);
        free(cwd);
    }
    return 0;
}

void app_forget_pg_environment(void)
{
    static const char *const name[] = {
        "PGSERVICE",  "PGSERVICEFILE", "PGOPTIONS",     "PGHOSTADDR",    "PGPASSWORD",
        "PGPASSFILE", "PGSSLMODE",     "PGSSLROOTCERT", "PGREQUIREAUTH", "PGTARGETSESSIONATTRS"};
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        unsetenv(name[i]);
    }
}

static enum flow_next up_server(struct flow *f)
{
    struct up_flow *u = up_of(f);
    const char *url = config_str(u->app->config, "database.url");
    const char *direct = config_str(u->app->config, "database.direct_url");
    if (url && *url) {
        u->app->db.url = u->app->work_db.url = url;
        if (direct && *direct) {
            u->app->db.url = direct;
            u->app->work_db.pooled = true;
        }
        flow_call(db_wait_flow(f->loop, &u->app->db, u->wait_ms, tell_waiting, NULL), &u->op);
    } else {
        struct db_cluster_conf conf = {
            .max_connections =
                (unsigned)config_i64(u->app->config, "database.connections") * 4 + 20,
            .shared_buffers_mb = 32,
        };
        if (app_data_dir(u->app->config, f->arena, &conf.dir, &f->err) != 0) {
            return flow_fail(f);
        }
        snprintf(u->app->data_dir, sizeof(u->app->data_dir), "%s", conf.dir);
        app_forget_pg_environment();
        flow_call(db_cluster_start_flow(f->loop, &conf, &u->app->cluster), &u->op);
    }
    return flow_wait(f, &u->op, up_STEP_schema, 0);
}

static void tell_migration(void *ctx, const struct db_migration *m)
{
    (void)ctx;
    log_info("bringing the schema up to date", L_I("version", m->version), L_S("name", m->name));
}

static enum flow_next up_schema(struct flow *f)
{
    struct up_flow *u = up_of(f);
    if (u->app->cluster) {
        u->app->db.url = u->app->work_db.url = db_cluster_url(u->app->cluster);
    }
    const struct db_migrate_opts opts = {
        .check_only = u->schema == APP_SCHEMA_CHECK && !u->app->cluster,
        .on_step = tell_migration,
    };
    flow_call(db_migrate_flow(f->loop, &u->app->db, &opts), &u->op);
    return flow_wait_any(f, &u->op, up_STEP_migrated, 0);
}

static enum flow_next up_migrated(struct flow *f)
{
    struct up_flow *u = up_of(f);
    if (!u->op.failed) {
        return FLOW_NEXT;
    }
    f->err = u->op.err;
    if (f->err.class != ERR_RETRY || u->app->cluster || f->cancelled ||
        loop_now_ms(f->loop) - u->started_ms >= u->wait_ms) {
        return flow_fail(f);
    }
    tell_waiting(NULL, &f->err);
    timer_op_start(&u->pause, f->loop, 1000);
    return flow_wait(f, &u->pause.op, up_STEP_server, 0);
}

static enum flow_next up_pool(struct flow *f)
{
    struct app *app = up_of(f)->app;
    app->pool = db_pool_open(f->loop, &app->work_db);
    return FLOW_DONE;
}

static const struct flow_def up_def = {"app_up", up_steps, up_STEP_COUNT, NULL};

struct flow *app_up_flow(struct app *app, enum app_schema schema, int64_t wait_ms)
{
    const struct config *c = app->config;
    app->db = (struct db_conf){
        .max_conns = (unsigned)config_i64(c, "database.connections"),
        .connect_timeout_ms = config_i64(c, "database.connect_timeout"),
        .statement_timeout_ms = config_i64(c, "database.statement_timeout"),
        .idle_close_ms = 60000,
        .application_name = "waymark",
    };
    app->work_db = app->db;
    struct up_flow *u = flow_new(app->loop, &up_def, sizeof(*u), 0);
    u->app = app;
    u->schema = schema;
    u->wait_ms = wait_ms;
    u->started_ms = loop_now_ms(app->loop);
    return &u->f;
}

struct jobs_kind *app__more_kinds(struct app *app, size_t n)
{
    CHECK(app->nkinds + n <= COUNT_OF(app->kinds));
    app->nkinds += n;
    return &app->kinds[app->nkinds - n];
}

void app_open_work(struct app *app)
{
    const struct config *c = app->config;
    const struct trails_conf trails = {
        .batch_size = (size_t)config_i64(c, "processor.batch_size"),
        .batch_bytes = (size_t)config_i64(c, "processor.batch_mb") << 20,
        .route_cache_bytes = (size_t)config_i64(c, "processor.route_cache_mb") << 20,
        .page_size = (size_t)config_i64(c, "processor.batch_size") * 4,
    };
    app->trails = trails_open(app->pool, &trails);
    trails_kinds(app->trails, app__more_kinds(app, TRAILS_KINDS));
    ingest_dispatch_kind(app->pool, app__more_kinds(app, 1));
    if (app->serves) {
        ingest_subscribe_kind(&app->subscription, app__more_kinds(app, 1));
    }
    app__open_calls(app);
    if (app->alert) {
        alert_kinds(app->alert, app__more_kinds(app, ALERT_KINDS));
    }
    const struct jobs_conf jobs = {
        .queue = "trails",
        .db = &app->db,
        .notify_channel = config_str(c, "database.channel"),
        .batch_size = trails.batch_size,
        .concurrency = (unsigned)config_i64(c, "processor.concurrency"),
        .poll_ms = config_i64(c, "processor.poll"),
        .drain_ms = config_i64(c, "processor.drain"),
    };
    app->jobs = jobs_open(app->pool, &jobs, app->kinds, app->nkinds);
}

void app_start_work(struct app *app)
{
    jobs_start(app->jobs);
    if (app->calls) {
        jobs_start(app->calls);
    }
}

void app_wake_work(struct app *app)
{
    jobs_wake(app->jobs);
    if (app->calls) {
        jobs_wake(app->calls);
    }
}

/* ---- down ---------------------------------------------------------------------------------- */

enum {
    GRACE_MS = 5000,       /* for answers under way */
    ADMIN_GRACE_MS = 1000, /* it was there while the work was drained */
};

struct down_flow {
    struct flow f;
    struct app *app;
    struct op op, calls;
};
#define DOWN_STEPS(STEP)                                                                           \
    STEP(down, public)                                                                             \
    STEP(down, drain) /* both queues at once */                                                    \
    STEP(down, calls)                                                                              \
    STEP(down, admin) /* health and metrics could be asked until here */                           \
    STEP(down, web)                                                                                \
    STEP(down, events)                                                                             \
    STEP(down, jobs)                                                                               \
    STEP(down, strava)                                                                             \
    STEP(down, fetch)                                                                              \
    STEP(down, pool)                                                                               \
    STEP(down, server)                                                                             \
    STEP(down, done)
FLOW_STEPS(down, DOWN_STEPS);

static struct down_flow *down_of(struct flow *f)
{
    return container_of(f, struct down_flow, f);
}

static void closed(void *ctx)
{
    op_finish(ctx, NULL);
}

static enum flow_next drain_server(struct flow *f, int which, int64_t grace_ms, unsigned next)
{
    struct down_flow *d = down_of(f);
    if (!d->app->server[which]) {
        return flow_goto(f, next);
    }
    httpd_drain(d->app->server[which], grace_ms, &d->op);
    return flow_wait_any(f, &d->op, next, 0);
}

static enum flow_next down_public(struct flow *f)
{
    struct app *app = down_of(f)->app;
    if (app->web) {
        web_drain(app->web);
    }
    return drain_server(f, APP_PUBLIC, GRACE_MS, down_STEP_drain);
}

static enum flow_next down_drain(struct flow *f)
{
    struct down_flow *d = down_of(f);
    if (!d->app->jobs) {
        return flow_goto(f, down_STEP_admin);
    }
    if (d->app->calls) {
        jobs_drain(d->app->calls, &d->calls);
    }
    jobs_drain(d->app->jobs, &d->op);
    return flow_wait_any(f, &d->op, down_STEP_calls, 0);
}

static enum flow_next down_calls(struct flow *f)
{
    struct down_flow *d = down_of(f);
    return d->app->calls ? flow_wait_any(f, &d->calls, down_STEP_admin, 0) : FLOW_NEXT;
}

static enum flow_next down_admin(struct flow *f)
{
    return drain_server(f, APP_ADMIN, ADMIN_GRACE_MS, down_STEP_web);
}

static enum flow_next down_web(struct flow *f)
{
    struct down_flow *d = down_of(f);
    struct app *app = d->app;
    ticker_close(app->watchdog);
    app->watchdog = NULL;
    if (!app->web) {
        return FLOW_NEXT;
    }
    web_close(app->web, &d->op);
    app->web = NULL;
    return flow_wait_any(f, &d->op, down_STEP_events, 0);
}

static enum flow_next down_events(struct flow *f)
{
    struct down_flow *d = down_of(f);
    struct app *app = d->app;
    if (!app->events) {
        return FLOW_NEXT;
    }
    ingest_events_close(app->events, &d->op);
    app->events = NULL;
    return flow_wait_any(f, &d->op, down_STEP_jobs, 0);
}

static enum flow_next close_queue(struct down_flow *d, struct jobs **q, unsigned next)
{
    if (!*q) {
        return flow_goto(&d->f, next);
    }
    op_init(&d->op, d->f.loop, NULL);
    op_begin(&d->op);
    jobs_close(*q, closed, &d->op);
    *q = NULL;
    return flow_wait_any(&d->f, &d->op, next, 0);
}

static enum flow_next down_jobs(struct flow *f)
{
    struct down_flow *d = down_of(f);
    for (int i = 0; i < APP_SERVERS; i++) {
        d->app->server[i] = httpd_free(d->app->server[i]);
    }
    return close_queue(d, &d->app->jobs, down_STEP_strava);
}

static enum flow_next down_strava(struct flow *f)
{
    struct down_flow *d = down_of(f);
    return close_queue(d, &d->app->calls, down_STEP_fetch);
}

static enum flow_next down_fetch(struct flow *f)
{
    struct down_flow *d = down_of(f);
    d->app->alert = alert_free(d->app->alert);
    d->app->arena = arena_free(d->app->arena);
    return app__close_strava(d->app, &d->op) ? flow_wait_any(f, &d->op, down_STEP_pool, 0)
                                             : FLOW_NEXT;
}

static enum flow_next down_pool(struct flow *f)
{
    struct down_flow *d = down_of(f);
    d->app->trails = trails_free(d->app->trails);
    if (!d->app->pool) {
        return FLOW_NEXT;
    }
    op_init(&d->op, f->loop, NULL);
    op_begin(&d->op);
    db_pool_close(d->app->pool, closed, &d->op);
    d->app->pool = NULL;
    return flow_wait_any(f, &d->op, down_STEP_server, 0);
}

static enum flow_next down_server(struct flow *f)
{
    struct down_flow *d = down_of(f);
    if (!d->app->cluster) {
        return FLOW_DONE;
    }
    flow_call(db_cluster_stop_flow(d->app->cluster), &d->op);
    d->app->cluster = NULL;
    return flow_wait(f, &d->op, down_STEP_done, 0);
}

static enum flow_next down_done(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static const struct flow_def down_def = {"app_down", down_steps, down_STEP_COUNT, NULL};

struct flow *app_down_flow(struct app *app)
{
    struct down_flow *d = flow_new(app->loop, &down_def, sizeof(*d), 0);
    d->app = app;
    return &d->f;
}
