/* waymark jobs pause, resume, drain: what may be claimed, and by whom. */
#include "cli/cmd_jobs.h"

/* ---- pause and resume ------------------------------------------------------------------------ */

int cli_jobs_pause_check(struct cli *c)
{
    const char *queue = cli_option(c, "queue");
    int64_t athlete;
    if (!queue || !*queue) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "%s wants --queue QUEUE: waymark status tells which there are",
                       c->command->name);
    }
    return cli_option_i64(c, "athlete", INT64_MIN + 1, INT64_MAX, 0, &athlete);
}

static void add_what(struct cli *c, struct db_unit *u)
{
    int64_t athlete;
    db_p_text(u, cli_option(c, "queue"));
    db_p_text(u, cli_option(c, "kind"));
    CHECK(cli_option_i64(c, "athlete", INT64_MIN + 1, INT64_MAX, 0, &athlete) == 0);
    if (cli_option(c, "athlete")) {
        db_p_i64(u, athlete);
    } else {
        db_p_null(u);
    }
}

/* "kind match of athlete 7 in queue trails" */
static const char *what_text(struct cli *c)
{
    const char *kind = cli_option(c, "kind"), *athlete = cli_option(c, "athlete");
    const char *text =
        arena_printf(c->arena, "%s%s%s%s%s%squeue %s", kind ? "kind " : "", kind ? kind : "",
                     athlete ? (kind ? " of " : "") : "", athlete ? "athlete " : "",
                     athlete ? athlete : "", kind || athlete ? " in " : "", cli_option(c, "queue"));
    return arena_tame(c->arena, text);
}

static void pause_add(struct cli *c, struct db_unit *u)
{
    add_what(c, u);
    db_p_text(u, cli__jobs_who(c));
    db_p_text(u, cli__jobs_options_json(c, NULL, NULL, "queue kind athlete"));
}

static int pause_show(struct cli *c, const struct db_unit *u)
{
    bool is_new = db_get_i64(u, 0, 0, 0) != 0;
    long long running = (long long)db_get_i64(u, 0, 0, 1);
    if (c->json) {
        printf("{\"paused\":true,\"new\":%s,\"running\":%lld}\n", is_new ? "true" : "false",
               running);
        return 0;
    }
    printf("%s: %s\n", what_text(c), is_new ? "paused" : "paused already");
    if (running > 0) {
        printf("%lld job%s of it still run%s: waymark jobs cancel stops them\n", running,
               running == 1 ? "" : "s", running == 1 ? "s" : "");
    }
    return 0;
}

struct flow *cli_jobs_pause(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_pause, pause_add, pause_show);
}

static void resume_add(struct cli *c, struct db_unit *u)
{
    add_what(c, u);
    db_p_bool(u, cli_option(c, "all") != NULL);
    db_p_text(u, cli__jobs_who(c));
    db_p_text(u, cli__jobs_options_json(c, NULL, NULL, "queue kind athlete all"));
    db_p_text(u, cli__jobs_channel(c));
}

static int resume_show(struct cli *c, const struct db_unit *u)
{
    long long ended = (long long)db_get_i64(u, 0, 0, 0), left = (long long)db_get_i64(u, 0, 0, 1);
    if (ended == 0) {
        return err_set(&c->err, ERR_DATA, ERR_PERMANENT, "%s is not paused%s", what_text(c),
                       left ? " as a whole, but parts of it are: see waymark status, or say --all"
                            : ": waymark status tells what is");
    }
    if (c->json) {
        printf("{\"resumed\":%lld,\"still_paused\":%lld}\n", ended, left);
        return 0;
    }
    printf("%s: goes on\n", what_text(c));
    if (left > 0) {
        printf("%lld other pause%s of that queue remain%s: --all ends them too\n", left,
               left == 1 ? "" : "s", left == 1 ? "s" : "");
    }
    return 0;
}

struct flow *cli_jobs_resume(struct cli *c)
{
    return cli__query_flow(c, &SQL_jobs_cmd_resume, resume_add, resume_show);
}

/* ---- drain ----------------------------------------------------------------------------------- */

enum {
    LOOK_MS = 250,
    ABSENT_MS = 90000, /* it beats every five seconds */
    QUIET_LOOKS = 2    /* a claim may be under way as it hears of it */
};

struct drain_flow {
    struct flow f;
    struct cli *c;
    int64_t instance;
    int64_t beat;      /* when it was told: it has heard once it has beaten again */
    int64_t most, now; /* jobs it runs */
    int quiet;         /* looks at which it ran nothing */
    struct db_unit u;
    struct timer_op pause;
    struct cli_progress progress;
};
#define DRAIN_STEPS(STEP)                                                                          \
    STEP(drain, ask)                                                                               \
    STEP(drain, told) /* -> done with --undo */                                                    \
    STEP(drain, look)                                                                              \
    STEP(drain, judge) /* -> look, until it runs nothing */                                        \
    STEP(drain, report)
FLOW_STEPS(drain, DRAIN_STEPS);

static struct drain_flow *drain_of(struct flow *f)
{
    return container_of(f, struct drain_flow, f);
}

int cli_jobs_drain_check(struct cli *c)
{
    int64_t id;
    if (span_to_i64(span_of(c->operand[0]), 1, INT64_MAX, &id) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "%s is no instance: they are numbers, see waymark status", c->operand[0]);
    }
    return 0;
}

static enum flow_next drain_ask(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    db_unit_init(&d->u, d->c->app.pool, f->arena, 0);
    db_add(&d->u, &SQL_jobs_cmd_drain);
    db_p_i64(&d->u, d->instance);
    db_p_bool(&d->u, cli_option(d->c, "undo") == NULL);
    db_p_text(&d->u, cli__jobs_who(d->c));
    db_p_text(&d->u, cli__jobs_options_json(d->c, "instance", d->c->operand[0], "undo"));
    db_submit(&d->u);
    return flow_wait(f, &d->u.op, drain_STEP_told, 60000);
}

static enum flow_next drain_told(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    if (db_rows(&d->u, 0) == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT,
                      "there is no instance %lld: waymark status tells which are at work",
                      (long long)d->instance);
        return flow_fail(f);
    }
    d->beat = db_get_i64(&d->u, 0, 0, 0);
    if (cli_option(d->c, "undo")) {
        return flow_goto(f, drain_STEP_report);
    }
    cli_progress_start(&d->progress, d->c, "draining");
    return FLOW_NEXT;
}

static enum flow_next drain_look(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    db_unit_done(&d->u);
    db_unit_init(&d->u, d->c->app.pool, f->arena, DB_READONLY);
    db_add(&d->u, &SQL_jobs_cmd_drained);
    db_p_i64(&d->u, d->instance);
    db_submit(&d->u);
    return flow_wait(f, &d->u.op, drain_STEP_judge, 60000);
}

static enum flow_next drain_judge(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    bool there = db_get_i64(&d->u, 0, 0, 0) != 0;
    bool heard = !there || db_get_i64(&d->u, 0, 0, 1) > d->beat;
    d->now = db_get_i64(&d->u, 0, 0, 4);
    d->most = d->now > d->most ? d->now : d->most;
    cli_progress_set(&d->progress, (uint64_t)(d->most - d->now), (uint64_t)d->most);
    d->quiet = heard && d->now == 0 ? d->quiet + 1 : 0;
    if (!there || d->quiet >= QUIET_LOOKS) {
        return FLOW_NEXT;
    }
    if (db_get_i64(&d->u, 0, 0, 3) == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT,
                      "somebody told instance %lld to go on: it claims again",
                      (long long)d->instance);
        return flow_fail(f);
    }
    if (db_get_i64(&d->u, 0, 0, 2) > ABSENT_MS) {
        (void)err_set(&f->err, ERR_DATA, ERR_RETRY,
                      "instance %lld has not been heard of for %lld s: what it ran is taken up by "
                      "the next instance that starts",
                      (long long)d->instance, (long long)db_get_i64(&d->u, 0, 0, 2) / 1000);
        return flow_fail(f);
    }
    timer_op_start(&d->pause, f->loop, LOOK_MS);
    return flow_wait(f, &d->pause.op, drain_STEP_look, 0);
}

static enum flow_next drain_report(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    bool undo = cli_option(d->c, "undo") != NULL;
    cli_progress_end(&d->progress);
    if (d->c->json) {
        printf("{\"instance\":%lld,\"draining\":%s,\"running\":%lld}\n", (long long)d->instance,
               undo ? "false" : "true", (long long)d->now);
    } else {
        printf("instance %lld %s\n", (long long)d->instance,
               undo ? "may claim again" : "runs nothing, and claims nothing");
    }
    return FLOW_DONE;
}

static void drain_end(struct flow *f)
{
    struct drain_flow *d = drain_of(f);
    cli_progress_end(&d->progress);
    db_unit_done(&d->u);
}

static const struct flow_def drain_def = {"jobs_drain", drain_steps, drain_STEP_COUNT, drain_end};

struct flow *cli_jobs_drain(struct cli *c)
{
    struct drain_flow *d = flow_new(c->app.loop, &drain_def, sizeof(*d), 0);
    d->c = c;
    CHECK(span_to_i64(span_of(c->operand[0]), 1, INT64_MAX, &d->instance) == 0);
    return &d->f;
}
