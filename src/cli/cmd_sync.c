/* waymark sync: asks for syncs and follows them. It works on them itself, beside a service on the
 * same database or without one. */
#include "cli/cmd_sync.h"

enum {
    LOOK_MS = 500,
    CALL_MS = 60000,
    CALL_GUESS_MS = 700, /* of one call, until it was measured */
};

struct sync_flow {
    struct flow f;
    struct cli *c;
    struct cli_progress progress;
    struct db_listener *listener;
    struct arena *turn; /* memory of one look */
    struct op op;
    struct timer_op pause;
    struct db_unit u;
    int64_t *id;
    size_t n;
    int64_t started_us, started_ms;
    int64_t calls, failed;
    bool *told; /* of each that it has ended */
};
#define SYNC_STEPS(STEP)                                                                           \
    STEP(sync, ask)                                                                                \
    STEP(sync, asked) /* done, with --detach */                                                    \
    STEP(sync, look)                                                                               \
    STEP(sync, show) /* -> look after a while, until nothing is left */                            \
    STEP(sync, report)
FLOW_STEPS(sync, SYNC_STEPS);

static struct sync_flow *sync_of(struct flow *f)
{
    return container_of(f, struct sync_flow, f);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

struct wish {
    int64_t athlete; /* 0: everybody */
    const char *mode;
    int64_t since_us; /* INT64_MIN: by mode */
};

static int read_wish(struct cli *c, struct wish *w)
{
    static const char *const modes[] = {"new", "all", "reconcile"};
    const char *mode = cli_option(c, "mode"), *from = cli_option(c, "from");
    *w = (struct wish){.mode = mode ? mode : "new", .since_us = INT64_MIN};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        known = known || strcmp(w->mode, modes[i]) == 0;
    }
    if (!known) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--mode %s: must be new, all or reconcile", w->mode);
    }
    if (from && time_parse_iso(span_of(from), &w->since_us, &c->err) != 0) {
        c->err.domain = ERR_USAGE;
        return err_wrap(&c->err, "--from ");
    }
    if (from && w->since_us > clock_wall_us()) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--from %s: must not be in the future",
                       from);
    }
    return cli_option_i64(c, "athlete", 1, INT64_MAX, 0, &w->athlete);
}

int cli_sync_check(struct cli *c)
{
    struct wish w;
    return read_wish(c, &w);
}

static enum flow_next sync_ask(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    struct wish w;
    if (read_wish(s->c, &w) != 0) {
        f->err = s->c->err;
        return flow_fail(f);
    }
    if (!cli_option(s->c, "detach") && app_open_strava(&s->c->app, &f->err) != 0) {
        return flow_fail(f);
    }
    if (!app_strava_is_on(s->c->config)) {
        (void)err_set(&f->err, ERR_CONF, ERR_PERMANENT,
                      "Strava is not set up: strava.client_id and strava.client_secret are those "
                      "of your API application (strava.com/settings/api)");
        return flow_fail(f);
    }
    int64_t overlap_us = config_i64(s->c->config, "strava.overlap") * 1000;
    if (strcmp(w.mode, "reconcile") == 0 && w.since_us == INT64_MIN) {
        w.since_us = clock_wall_us() - overlap_us;
    }
    s->started_us = clock_wall_us();
    s->started_ms = clock_mono_ms();
    db_unit_init(&s->u, s->c->app.pool, f->arena, DB_TX);
    db_add(&s->u, &SQL_ingest_request_sync);
    if (w.athlete) {
        db_p_i64(&s->u, w.athlete);
    } else {
        db_p_null(&s->u);
    }
    db_p_text(&s->u, w.mode);
    db_p_time_us(&s->u, w.since_us);
    db_p_text(&s->u, "waymark sync");
    db_add(&s->u, &SQL_jobs_hint);
    db_p_text(&s->u, config_str(s->c->config, "database.channel"));
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, sync_STEP_asked, CALL_MS);
}

static int nobody(struct sync_flow *s, struct err *err)
{
    const char *athlete = cli_option(s->c, "athlete");
    return athlete
               ? err_set(err, ERR_DATA, ERR_PERMANENT,
                         "athlete %s is not connected to Strava, or has to log in again: "
                         "waymark sync status tells who is",
                         athlete)
               : err_set(err, ERR_DATA, ERR_PERMANENT,
                         "nobody is connected to Strava: log in at /auth/strava of the service");
}

static void tell_detached(struct cli *c, const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(u, 0); i++) {
        bool joined = db_get_i64(u, 0, i, 3) != 0;
        jo_begin_object(&j, NULL);
        jo_i64(&j, "sync", db_get_i64(u, 0, i, 0));
        jo_i64(&j, "athlete", db_get_i64(u, 0, i, 1));
        jo_span(&j, "mode", db_get_span(u, 0, i, 2));
        jo_bool(&j, "joined", joined);
        jo_end_object(&j);
        if (!c->json) {
            printf("athlete %lld: %s\n", (long long)db_get_i64(u, 0, i, 1),
                   joined ? "one is under way already" : "asked for");
        }
    }
    jo_end_array(&j);
    if (c->json) {
        puts(out.p);
    }
    buf_done(&out);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct sync_flow *s = ctx;
    (void)channel;
    (void)payload;
    app_wake_work(&s->c->app);
}

/* As the service: the contract's triggers notify `processing`, whatever else is configured. */
static void listen_to(struct sync_flow *s)
{
    const char *channel[2] = {"processing", config_str(s->c->config, "database.channel")};
    size_t n = strcmp(channel[0], channel[1]) == 0 ? 1 : 2;
    s->listener = db_listener_open(s->f.loop, &s->c->app.db, channel, n, 30000, on_notify, s);
}

static enum flow_next sync_asked(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    struct app *app = &s->c->app;
    s->n = (size_t)db_rows(&s->u, 0);
    if (s->n == 0) {
        (void)nobody(s, &f->err);
        return flow_fail(f);
    }
    if (cli_option(s->c, "detach")) {
        tell_detached(s->c, &s->u);
        return FLOW_DONE;
    }
    s->id = arena_new_array(f->arena, int64_t, s->n);
    for (size_t i = 0; i < s->n; i++) {
        s->id[i] = db_get_i64(&s->u, 0, (int)i, 0);
    }
    app_open_work(app);
    s->told = arena_new_array(f->arena, bool, s->n);
    listen_to(s);
    app_start_work(app);
    cli_progress_start(&s->progress, s->c, "syncing");
    return FLOW_NEXT;
}

/* ---- following ---------------------------------------------------------------------------------
 */

static enum flow_next sync_look(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    db_unit_done(&s->u);
    arena_reset(s->turn);
    db_unit_init(&s->u, s->c->app.pool, s->turn, DB_READONLY);
    db_add(&s->u, &SQL_ingest_progress);
    db_p_i64_array(&s->u, s->id, s->n);
    db_add(&s->u, &SQL_ingest_calls_done);
    db_p_i64_array(&s->u, s->id, s->n);
    db_p_time_us(&s->u, s->started_us);
    db_add(&s->u, &SQL_jobs_cmd_rates);
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, sync_STEP_show, CALL_MS);
}

struct standing {
    int64_t running, failed, calls, matches, listed, added;
};

static struct standing add_up(const struct db_unit *u)
{
    struct standing s = {0};
    for (int i = 0; i < db_rows(u, 0); i++) {
        struct span state = db_get_span(u, 0, i, SYNC_STATE);
        s.running += span_is(state, "running");
        s.failed += span_is(state, "failed");
        s.calls += db_get_i64(u, 0, i, SYNC_CALLS);
        s.matches += db_get_i64(u, 0, i, SYNC_MATCHES);
        s.listed += db_get_i64(u, 0, i, SYNC_LISTED);
        s.added += db_get_i64(u, 0, i, SYNC_ADDED);
    }
    return s;
}

/* A line for each whose list has come to its end. */
static void tell_ended(struct sync_flow *s)
{
    const struct db_unit *u = &s->u;
    for (int i = 0; i < db_rows(u, 0) && (size_t)i < s->n; i++) {
        if (s->told[i] || !span_is(db_get_span(u, 0, i, SYNC_STATE), "done")) {
            continue;
        }
        s->told[i] = true;
        if (s->n > 1 && !s->c->quiet) {
            cli_progress_clear(&s->progress);
            fprintf(stderr, "athlete %lld: %lld activities, %lld new, %lld changed, %lld gone\n",
                    (long long)db_get_i64(u, 0, i, SYNC_ATHLETE),
                    (long long)db_get_i64(u, 0, i, SYNC_LISTED),
                    (long long)db_get_i64(u, 0, i, SYNC_ADDED),
                    (long long)db_get_i64(u, 0, i, SYNC_CHANGED),
                    (long long)db_get_i64(u, 0, i, SYNC_GONE));
        }
    }
}

/* Seconds of one call, as they went so far; a guess where the quota made them wait. */
static double seconds_each(const struct sync_flow *s, const struct sync_budget *b)
{
    double guess = CALL_GUESS_MS / 1000.0;
    double took = (double)(clock_mono_ms() - s->started_ms) / 1000;
    double each = s->calls > 0 && cli__sync_wait_s(b) == 0 ? took / (double)s->calls : guess;
    return each < guess ? each : guess;
}

static const char *note_of(struct sync_flow *s, const struct standing *at)
{
    struct sync_budget b = cli__sync_budget(&s->u, 2, cli__sync_rate_row(&s->u, 2));
    if (at->calls == 0) {
        return at->running > 0 ? NULL : "matching";
    }
    return arena_printf(s->turn, "%lld activities, %lld new; %lld calls left now, %lld today; %s",
                        (long long)at->listed, (long long)at->added,
                        (long long)(b.left15 < b.leftday ? b.left15 : b.leftday),
                        (long long)b.leftday,
                        cli__sync_note(s->turn, &b, at->calls, seconds_each(s, &b), at->running > 0,
                                       clock_wall_us() / 1000000));
}

static enum flow_next sync_show(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    struct standing at = add_up(&s->u);
    s->failed = at.failed;
    s->calls = db_get_i64(&s->u, 1, 0, 0);
    tell_ended(s);
    if (at.running + at.calls + at.matches == 0) {
        return FLOW_NEXT;
    }
    s->progress.note = note_of(s, &at);
    cli_progress_set(&s->progress, (uint64_t)s->calls,
                     (uint64_t)(s->calls + at.calls + (at.matches > 0)));
    timer_op_start(&s->pause, f->loop, LOOK_MS);
    return flow_wait(f, &s->pause.op, sync_STEP_look, 0);
}

static void report_json(const struct sync_flow *s, double seconds)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    cli__sync_json(&j, &s->u, 0);
    jo_i64(&j, "calls", s->calls);
    jo_f64(&j, "seconds", seconds, 3);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next sync_report(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    double seconds = (double)(clock_mono_ms() - s->started_ms) / 1000;
    struct sync_budget b = cli__sync_budget(&s->u, 2, cli__sync_rate_row(&s->u, 2));
    s->progress.note = NULL;
    cli_progress_set(&s->progress, (uint64_t)s->calls, (uint64_t)s->calls);
    cli_progress_end(&s->progress);
    if (s->c->json) {
        report_json(s, seconds);
    } else {
        cli__sync_table(s->c, &s->u, 0);
        printf(
            "%lld call%s in %.1f s; left in the background: %lld this quarter hour, %lld today\n",
            (long long)s->calls, s->calls == 1 ? "" : "s", seconds,
            (long long)(b.left15 < b.leftday ? b.left15 : b.leftday), (long long)b.leftday);
    }
    if (s->failed > 0) {
        return err_set(&f->err, ERR_DATA, ERR_PERMANENT, "%lld of %zu sync%s failed",
                       (long long)s->failed, s->n, s->n == 1 ? "" : "s"),
               flow_fail(f);
    }
    return FLOW_DONE;
}

static void sync_end(struct flow *f)
{
    struct sync_flow *s = sync_of(f);
    cli_progress_end(&s->progress);
    db_listener_close(s->listener);
    db_unit_done(&s->u);
    arena_free(s->turn);
}

static const struct flow_def sync_def = {"sync", sync_steps, sync_STEP_COUNT, sync_end};

struct flow *cli_sync(struct cli *c)
{
    struct sync_flow *s = flow_new(c->app.loop, &sync_def, sizeof(*s), 0);
    s->c = c;
    s->turn = arena_new(0);
    return &s->f;
}
