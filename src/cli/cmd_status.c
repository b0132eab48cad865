/* waymark status, waymark migrate. */
#include "cli/cmd_jobs.h"
#include "store/store.h"

/* ---- migrate ------------------------------------------------------------------------- */

struct migrate_flow {
    struct flow f;
    struct cli *c;
};
#define MIGRATE_STEPS(STEP) STEP(migrate, report)
FLOW_STEPS(migrate, MIGRATE_STEPS);

/* The work was done when the app came up. */
static enum flow_next migrate_report(struct flow *f)
{
    const struct cli *c = container_of(f, struct migrate_flow, f)->c;
    int newest = 0;
    for (const struct db_migration *m = db_migrations; m->version; m++) {
        newest = m->version;
    }
    printf(c->json ? "{\"schema\":%d}\n" : "The database's schema is up to date (version %d).\n",
           newest);
    return FLOW_DONE;
}

static const struct flow_def migrate_def = {"migrate", migrate_steps, migrate_STEP_COUNT, NULL};

struct flow *cli_migrate(struct cli *c)
{
    struct migrate_flow *m = flow_new(c->app.loop, &migrate_def, sizeof(*m), 0);
    m->c = c;
    return &m->f;
}

/* ---- status -------------------------------------------------------------------------- */

struct status_flow {
    struct flow f;
    struct cli *c;
    struct db_unit u;
    struct db_unit counts; /* between two full looks */
    struct db_unit queue;  /* what only the page shows */
    int64_t asked_ms;      /* the last full one */
    struct timer_op pause;
    struct cli_progress progress; /* of --wait */
    uint64_t most;                /* activities there were to match, at most */
    uint64_t left;                /* of them when last looked */
    int64_t nobody_ms; /* since when work waits and nobody is there to do it; 0: it is not so */
};
#define STATUS_STEPS(STEP)                                                                         \
    STEP(status, ask)                                                                              \
    STEP(status, wait)  /* with --wait, until nothing is left to do */                             \
    STEP(status, count) /* -> ask, when a full look is due */                                      \
    STEP(status, judge) /* -> ask when the queue is empty, else pause -> count */                  \
    STEP(status, look)                                                                             \
    STEP(status, show)
FLOW_STEPS(status, STATUS_STEPS);

enum { CALL_OVERVIEW, CALL_COUNTS, CALL_DEAD, CALL_INSTANCES };
/* NOBODY_MS: an instance that starts, or comes back with its server, needs a moment to sign on. */
enum { COUNT_MS = 250, LOOK_MS = 1000, ABSENT_MS = 90000, NOBODY_MS = 5000 };

static enum flow_next status_ask(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    s->asked_ms = clock_mono_ms();
    db_unit_done(&s->u);
    db_unit_init(&s->u, s->c->app.pool, f->arena, DB_READONLY);
    db_add(&s->u, &SQL_store_overview);
    db_add(&s->u, &SQL_jobs_counts);
    db_p_text(&s->u, NULL);
    db_add(&s->u, &SQL_jobs_dead_reasons);
    db_add(&s->u, &SQL_store_instances);
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, status_STEP_wait, 60000);
}

/* Jobs that are being done, or soon will be. */
static int64_t under_way(const struct db_unit *u, unsigned call)
{
    int64_t n = 0;
    for (int i = 0; i < db_rows(u, call); i++) {
        n += db_get_i64(u, call, i, 1) + db_get_i64(u, call, i, 2) + db_get_i64(u, call, i, 4);
    }
    return n;
}

static bool somebody_works(const struct db_unit *u)
{
    for (int i = 0; i < db_rows(u, CALL_INSTANCES); i++) {
        if (db_get_i64(u, CALL_INSTANCES, i, 6) < ABSENT_MS) {
            return true;
        }
    }
    return false;
}

static bool nobody_comes(struct status_flow *s)
{
    if (under_way(&s->u, CALL_COUNTS) == 0 || somebody_works(&s->u)) {
        s->nobody_ms = 0;
        return false;
    }
    if (s->nobody_ms == 0) {
        s->nobody_ms = s->asked_ms;
    }
    return s->asked_ms - s->nobody_ms >= NOBODY_MS;
}

static enum flow_next status_wait(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    if (!cli_option(s->c, "wait")) {
        return flow_goto(f, status_STEP_look);
    }
    /* An activity to match, or one to match with a new route. */
    uint64_t left =
        (uint64_t)(db_get_i64(&s->u, CALL_OVERVIEW, 0, 3) + db_get_i64(&s->u, CALL_OVERVIEW, 0, 4));
    uint64_t stored = (uint64_t)db_get_i64(&s->u, CALL_OVERVIEW, 0, 1);
    s->most = left > s->most ? left : s->most;
    s->most = stored > s->most ? stored : s->most;
    /* The queue is counted after the activities: with an empty one their number may be old. */
    bool settled = left == 0 || left == s->left;
    s->left = left;
    if (under_way(&s->u, CALL_COUNTS) == 0 && settled) {
        cli_progress_set(&s->progress, s->most - left, s->most);
        cli_progress_end(&s->progress);
        return flow_goto(f, status_STEP_look);
    }
    if (nobody_comes(s)) {
        (void)err_set(&f->err, ERR_DATA, ERR_RETRY,
                      "work waits, but no instance is there to do it: start waymark serve, or run "
                      "waymark process");
        return flow_fail(f);
    }
    if (left > 0) {
        cli_progress_set(&s->progress, s->most - left, s->most);
    }
    timer_op_start(&s->pause, f->loop, COUNT_MS);
    return flow_wait(f, &s->pause.op, status_STEP_count, 0);
}

/* The overview reads every activity: the queue alone is asked more often. */
static enum flow_next status_count(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    if (clock_mono_ms() - s->asked_ms >= LOOK_MS) {
        return flow_goto(f, status_STEP_ask);
    }
    db_unit_done(&s->counts);
    db_unit_init(&s->counts, s->c->app.pool, f->arena, DB_READONLY);
    db_add(&s->counts, &SQL_jobs_counts);
    db_p_text(&s->counts, NULL);
    db_submit(&s->counts);
    return flow_wait(f, &s->counts.op, status_STEP_judge, 60000);
}

static enum flow_next status_judge(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    if (under_way(&s->counts, 0) == 0) {
        return flow_goto(f, status_STEP_ask);
    }
    timer_op_start(&s->pause, f->loop, COUNT_MS);
    return flow_wait(f, &s->pause.op, status_STEP_count, 0);
}

static enum flow_next status_look(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    db_unit_init(&s->queue, s->c->app.pool, f->arena, DB_READONLY);
    cli__status_add_queue(&s->queue);
    db_submit(&s->queue);
    return flow_wait(f, &s->queue.op, status_STEP_show, 60000);
}

static const char *count_of(struct cli *c, int64_t n, const char *one, const char *many)
{
    return arena_printf(c->arena, "%lld %s", (long long)n, n == 1 ? one : many);
}

static void show_dead(struct cli *c, const struct db_unit *u)
{
    for (int i = 0; i < db_rows(u, CALL_DEAD); i++) {
        printf("dead: %lld x %s: %s\n", (long long)db_get_i64(u, CALL_DEAD, i, 1),
               arena_tame(c->arena, db_get_text(u, CALL_DEAD, i, 0, c->arena)),
               text_tame(db_get_text(u, CALL_DEAD, i, 2, c->arena)));
    }
}

static void show_instances(struct cli *c, const struct db_unit *u, const struct db_unit *queue)
{
    static const char *const head[] = {">instance", "host",   ">pid",     "version",   "since",
                                       "queue",     ">slots", ">running", ">last beat"};
    struct cli_table t;
    int n = db_rows(u, CALL_INSTANCES);
    if (n == 0) {
        puts("\nNo instance is at work.");
        return;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < n; i++) {
        const char **cell = cli_table_row(&t);
        int64_t id = db_get_i64(u, CALL_INSTANCES, i, 0);
        struct status_slots slots = cli__status_slots(c, queue, id);
        char since[40];
        cell[0] = cli__jobs_i64(c, id);
        cell[1] = db_get_text(u, CALL_INSTANCES, i, 1, c->arena);
        cell[2] = cli__jobs_i64(c, db_get_i64(u, CALL_INSTANCES, i, 2));
        cell[3] = db_get_text(u, CALL_INSTANCES, i, 3, c->arena);
        cell[4] =
            arena_strdup(c->arena, time_format_iso(db_get_time_us(u, CALL_INSTANCES, i, 5), since));
        cell[5] = slots.queue ? slots.queue : "";
        cell[6] = cli__jobs_i64(c, slots.slots);
        cell[7] = arena_printf(c->arena, "%lld%s", (long long)slots.running,
                               slots.draining ? ", draining" : "");
        cell[8] = arena_printf(c->arena, "%.1f s ago",
                               (double)db_get_i64(u, CALL_INSTANCES, i, 6) / 1000);
    }
    putchar('\n');
    cli_table_print(&t, stdout);
}

/* For people and for psql; without a password. Caller frees. */
static char *address_of(const struct cli *c)
{
    char *url = db_url_redacted(c->app.db.url);
    char *port = c->app.cluster ? strstr(url, " port=") : NULL;
    if (port) {
        *port = '\0'; /* what follows is the default of every client */
    }
    return url;
}

static void show_text(struct cli *c, const struct db_unit *u, const struct db_unit *queue)
{
    int64_t v[8];
    for (int i = 0; i < 8; i++) {
        v[i] = db_get_i64(u, CALL_OVERVIEW, 0, i);
    }
    char *url = address_of(c);
    printf("database   %s%s%s, %.1f MB, schema %lld\n",
           c->app.cluster ? "private, for psql: \"" : "", url, c->app.cluster ? "\"" : "",
           (double)v[7] / 1e6, (long long)v[6]);
    printf("stored     %s, %s, %s\n", count_of(c, v[0], "athlete", "athletes"),
           count_of(c, v[1], "activity", "activities"), count_of(c, v[2], "route", "routes"));
    if (v[3] + v[4] == 0) {
        puts("to match   nothing: every activity has been matched with every route");
    } else {
        printf("to match   %s; %lld past ones with new routes\n",
               count_of(c, v[3], "activity", "activities"), (long long)v[4]);
    }
    if (v[5] > 0) {
        printf("unusable   %s whose track could not be read\n",
               count_of(c, v[5], "activity", "activities"));
    }
    mem_free(url);
    cli__status_show_queue(c, queue);
    show_dead(c, u);
    cli__status_show_rates(c, queue);
    show_instances(c, u, queue);
}

static void show_json(struct cli *c, const struct db_unit *u, const struct db_unit *queue)
{
    static const char *const name[] = {
        "athletes",     "activities",          "routes", "activities_to_match",
        "pairs_listed", "activities_unusable", "schema", "database_bytes"};
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    char *url = address_of(c);
    jo_begin_object(&j, NULL);
    jo_str(&j, "database", url);
    jo_bool(&j, "private", c->app.cluster != NULL);
    mem_free(url);
    for (int i = 0; i < (int)COUNT_OF(name); i++) {
        jo_i64(&j, name[i], db_get_i64(u, CALL_OVERVIEW, 0, i));
    }
    cli__status_queue_json(&j, queue);
    jo_begin_array(&j, "instances");
    for (int i = 0; i < db_rows(u, CALL_INSTANCES); i++) {
        jo_begin_object(&j, NULL);
        struct status_slots slots =
            cli__status_slots(c, queue, db_get_i64(u, CALL_INSTANCES, i, 0));
        jo_i64(&j, "id", db_get_i64(u, CALL_INSTANCES, i, 0));
        jo_span(&j, "host", db_get_span(u, CALL_INSTANCES, i, 1));
        jo_i64(&j, "pid", db_get_i64(u, CALL_INSTANCES, i, 2));
        jo_i64(&j, "beat_age_ms", db_get_i64(u, CALL_INSTANCES, i, 6));
        jo_str(&j, "queue", slots.queue);
        jo_i64(&j, "slots", slots.slots);
        jo_i64(&j, "running", slots.running);
        jo_bool(&j, "draining", slots.draining);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next status_show(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    (s->c->json ? show_json : show_text)(s->c, &s->u, &s->queue);
    return FLOW_DONE;
}

static void status_end(struct flow *f)
{
    struct status_flow *s = container_of(f, struct status_flow, f);
    cli_progress_end(&s->progress);
    db_unit_done(&s->counts);
    db_unit_done(&s->queue);
    db_unit_done(&s->u);
}

static const struct flow_def status_def = {"status", status_steps, status_STEP_COUNT, status_end};

struct flow *cli_status(struct cli *c)
{
    struct status_flow *s = flow_new(c->app.loop, &status_def, sizeof(*s), 0);
    s->c = c;
    cli_progress_start(&s->progress, c, "matching");
    return &s->f;
}
