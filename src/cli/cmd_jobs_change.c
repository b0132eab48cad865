/* waymark jobs retry, cancel, discard, purge, move: any number of jobs, in pages (see
 * jobs_pages_flow). A page is what the filter finds next along the ids. Between pages a signal
 * stops it. */
#include "cli/cmd_jobs.h"

/* One table that a command goes through: how its pages are found and what is done with them. */
struct source {
    const struct db_stmt *page, *act;
    const char *states; /* of q.state for live jobs, else dead or done */
    bool live;
};
struct change {
    const char *name, *doing, *done; /* "jobs retry", "retrying", "retried" */
    const char *states;              /* all it knows */
    struct source source[2];         /* in this order */
    bool to;                         /* wants --to */
};

static const struct change retry = {
    .name = "jobs retry",
    .doing = "retrying",
    .done = "retried",
    .states = "dead waiting",
    .source = {{&SQL_jobs_cmd_page_dead, &SQL_jobs_cmd_retry, "dead", false},
               {&SQL_jobs_cmd_page_job, &SQL_jobs_cmd_release, "waiting", true}},
};
static const struct change cancel = {
    .name = "jobs cancel",
    .doing = "cancelling",
    .done = "cancelled",
    .states = "ready waiting blocked running",
    .source = {{&SQL_jobs_cmd_page_job, &SQL_jobs_cmd_cancel, "ready waiting blocked running",
                true}},
};
static const struct change discard = {
    .name = "jobs discard",
    .doing = "discarding",
    .done = "discarded",
    .states = "dead",
    .source = {{&SQL_jobs_cmd_page_dead, &SQL_jobs_cmd_discard, "dead", false}},
};
static const struct change purge = {
    .name = "jobs purge",
    .doing = "purging",
    .done = "purged",
    .states = "done",
    .source = {{&SQL_jobs_cmd_page_done, &SQL_jobs_cmd_purge, "done", false}},
};
static const struct change move = {
    .name = "jobs move",
    .doing = "moving",
    .done = "moved",
    .states = "ready waiting blocked dead",
    .source = {{&SQL_jobs_cmd_page_job, &SQL_jobs_cmd_move, "ready waiting blocked", true},
               {&SQL_jobs_cmd_page_dead, &SQL_jobs_cmd_move_dead, "dead", false}},
    .to = true,
};

struct change_flow {
    struct flow f;
    struct cli *c;
    const struct change *change;
    struct jobs_filter filter;
    const char *to, *who, *filter_json;
    struct op *stop; /* in the invocation's arena: a signal may come as the flow ends */
    struct db_unit u;
    struct jobs_pages pages;
    const struct source
        *through[2]; /* those of change->source that the filter leaves something of */
    struct op op;
    int64_t of;      /* jobs */
    int64_t running; /* of those, when they were counted */
    int64_t started_ms;
    struct cli_progress progress;
};
#define CHANGE_STEPS(STEP)                                                                         \
    STEP(change, find) /* with ids: which of them there are; else -> count */                      \
    STEP(change, tell)                                                                             \
    STEP(change, count)                                                                            \
    STEP(change, begin) /* -> report, if there is nothing to do */                                 \
    STEP(change, done)                                                                             \
    STEP(change, report)
FLOW_STEPS(change, CHANGE_STEPS);

static struct change_flow *change_of(struct flow *f)
{
    return container_of(f, struct change_flow, f);
}

/* ---- what there is --------------------------------------------------------------------------- */

static enum flow_next change_find(struct flow *f)
{
    struct change_flow *x = change_of(f);
    if (x->filter.nid == 0) {
        return flow_goto(f, change_STEP_count);
    }
    db_unit_init(&x->u, x->c->app.pool, f->arena, DB_READONLY);
    db_add(&x->u, &SQL_jobs_cmd_find);
    db_p_i64_array(&x->u, x->filter.id, x->filter.nid);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, change_STEP_tell, 60000);
}

/* A line for each id that the command can do nothing about. */
static enum flow_next change_tell(struct flow *f)
{
    struct change_flow *x = change_of(f);
    for (int i = 0; i < db_rows(&x->u, 0); i++) {
        long long id = (long long)db_get_i64(&x->u, 0, i, 0);
        const char *state = db_get_text(&x->u, 0, i, 1, f->arena);
        if (!state) {
            fprintf(stderr, "waymark: there is no job %lld: see waymark jobs list\n", id);
        } else if (!cli__jobs_has_state(&x->filter, state)) {
            fprintf(stderr, "waymark: job %lld is %s: %s is for jobs that are %s\n", id, state,
                    x->change->name, cli__jobs_words(x->c, x->change->states));
        } else {
            continue;
        }
        x->c->status = 1;
    }
    return FLOW_NEXT;
}

static enum flow_next change_count(struct flow *f)
{
    struct change_flow *x = change_of(f);
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->c->app.pool, f->arena, DB_READONLY);
    x->u.statement_timeout_ms = JOBS_QUERY_MS;
    db_add(&x->u, &SQL_jobs_cmd_count);
    db_p_text_array(&x->u, x->filter.state, x->filter.nstate);
    cli__jobs_add_filter(&x->u, &x->filter, x->filter.id, x->filter.nid, true);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, change_STEP_begin, JOBS_QUERY_MS + 10000);
}

/* ---- page by page ---------------------------------------------------------------------------- */

/* The states of this source that are meant; how many. */
static size_t states_of(const struct change_flow *x, const struct source *s, const char **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < x->filter.nstate; i++) {
        if (strstr(s->states, x->filter.state[i])) { /* no state is part of another one's name */
            ret[n++] = x->filter.state[i];
        }
    }
    return n;
}

static void add_page(void *ctx, struct db_unit *u, unsigned source, const int64_t *id, size_t n)
{
    const struct change_flow *x = ctx;
    const struct source *s = x->through[source];
    const char *state[JOBS_STATES];
    size_t nstate = states_of(x, s, state);
    cli__jobs_add_filter(u, &x->filter, id, n, s->page != &SQL_jobs_cmd_page_done);
    if (s->live) {
        db_p_text_array(u, state, nstate);
    }
}

static void add_to(void *ctx, struct db_unit *u, unsigned source)
{
    const struct change_flow *x = ctx;
    (void)source;
    db_p_text(u, x->to);
}

/* A page that was begun is ended, whatever signal comes. */
static void on_page(void *ctx, bool sent)
{
    struct change_flow *x = ctx;
    x->c->stop = sent ? x->stop : NULL;
    if (!sent) {
        cli_progress_set(&x->progress, (uint64_t)x->pages.done, (uint64_t)x->of);
    }
}

static bool is_stopping(void *ctx)
{
    return ((const struct change_flow *)ctx)->c->stopping;
}

static void take_sources(struct change_flow *x)
{
    const char *state[JOBS_STATES];
    struct jobs_pages *p = &x->pages;
    for (size_t i = 0; i < COUNT_OF(x->change->source); i++) {
        const struct source *s = &x->change->source[i];
        if (s->page && states_of(x, s, state) > 0) {
            x->through[p->nsource] = s;
            p->source[p->nsource].page = s->page;
            p->source[p->nsource].act = s->act;
            p->nsource++;
        }
    }
}

static enum flow_next change_begin(struct flow *f)
{
    struct change_flow *x = change_of(f);
    x->of = db_get_i64(&x->u, 0, 0, 0);
    x->running = db_get_i64(&x->u, 0, 0, 1);
    if (cli_option(x->c, "dry-run")) {
        return flow_goto(f, change_STEP_report);
    }
    cli_progress_start(&x->progress, x->c, x->change->doing);
    if (x->of == 0 || x->c->stopping) {
        return flow_goto(f, change_STEP_report);
    }
    x->pages = (struct jobs_pages){
        .pool = x->c->app.pool,
        .id = x->filter.id,
        .nid = x->filter.nid,
        .add_page = add_page,
        .add_act = x->change->to ? add_to : NULL,
        .on_page = on_page,
        .is_enough = is_stopping,
        .ctx = x,
        .who = x->who,
        .command = x->change->name,
        .filter = x->filter_json,
        .channel = cli__jobs_channel(x->c),
        .statement_timeout_ms = JOBS_QUERY_MS,
        .page_ms = JOBS_QUERY_MS + 10000,
    };
    take_sources(x);
    flow_call(jobs_pages_flow(&x->pages), &x->op);
    return flow_wait_any(f, &x->op, change_STEP_done, 0);
}

static enum flow_next change_done(struct flow *f)
{
    struct change_flow *x = change_of(f);
    x->c->stop = NULL;
    if (!x->op.failed) {
        return FLOW_NEXT;
    }
    f->err = x->op.err;
    err_wrap(&f->err, "after %lld of %lld jobs%s: ", (long long)x->pages.done, (long long)x->of,
             x->pages.commit_unknown ? ", and perhaps a thousand more" : "");
    return flow_fail(f);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void report_json(const struct change_flow *x, bool dry)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_str(&j, "command", x->change->name);
    jo_bool(&j, "dry_run", dry);
    jo_i64(&j, "jobs", dry ? x->of : x->pages.done);
    jo_i64(&j, "running", x->running);
    jo_bool(&j, "complete", !x->c->stopping);
    jo_f64(&j, "seconds", (double)(clock_mono_ms() - x->started_ms) / 1000, 3);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static void report_text(const struct change_flow *x, bool dry)
{
    int64_t n = dry ? x->of : x->pages.done;
    if (x->of == 0 && x->filter.nid == 0) {
        puts("There is no such job.");
    } else if (dry) {
        printf("%lld job%s would be %s\n", (long long)n, n == 1 ? "" : "s", x->change->done);
    } else {
        printf("%lld job%s %s in %.1f s\n", (long long)n, n == 1 ? "" : "s", x->change->done,
               (double)(clock_mono_ms() - x->started_ms) / 1000);
    }
    if (x->running > 0 && !dry) {
        printf("%lld of them ran: their instances hear of it within seconds\n",
               (long long)x->running);
    }
}

static enum flow_next change_report(struct flow *f)
{
    struct change_flow *x = change_of(f);
    bool dry = cli_option(x->c, "dry-run") != NULL;
    cli_progress_end(&x->progress);
    if (x->c->json) {
        report_json(x, dry);
    } else if (!x->c->stopping) {
        report_text(x, dry);
    }
    if (x->c->stopping) {
        (void)err_set(&f->err, ERR_DATA, ERR_RETRY,
                      "stopped by a signal after %lld of %lld jobs: what was done is kept, run it "
                      "again for the rest",
                      (long long)x->pages.done, (long long)x->of);
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void change_end(struct flow *f)
{
    struct change_flow *x = change_of(f);
    x->c->stop = NULL;
    cli_progress_end(&x->progress);
    db_unit_done(&x->u);
}

static const struct flow_def change_def = {"jobs_change", change_steps, change_STEP_COUNT,
                                           change_end};

/* ---- the commands ---------------------------------------------------------------------------- */

/* What c->command is. */
static const struct change *change_named(const struct cli *c)
{
    static const struct change *const all[] = {&retry, &cancel, &discard, &purge, &move};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (strcmp(all[i]->name, c->command->name) == 0) {
            return all[i];
        }
    }
    CHECK(!"a change of jobs");
    return NULL;
}

int cli_jobs_change_check(struct cli *c)
{
    const struct change *change = change_named(c);
    struct jobs_filter filter;
    const char *to = cli_option(c, "to");
    if (cli__jobs_filter(c, change->states, change->states, &filter) != 0) {
        return -1;
    }
    if (change->to && (!to || !*to)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "%s wants --to QUEUE: the queue they are to go to", change->name);
    }
    if (filter.whole && !cli_option(c, "all") && !cli_option(c, "dry-run")) {
        return err_set(
            &c->err, ERR_USAGE, ERR_PERMANENT,
            "%s without ids or a choice is for every job that is %s: say which (--queue, "
            "--kind, ...), or --all",
            change->name, cli__jobs_words(c, change->states));
    }
    return 0;
}

struct flow *cli_jobs_change(struct cli *c)
{
    struct change_flow *x = flow_new(c->app.loop, &change_def, sizeof(*x), 0);
    x->c = c;
    x->change = change_named(c);
    CHECK(cli__jobs_filter(c, x->change->states, x->change->states, &x->filter) == 0);
    x->to = cli_option(c, "to");
    x->who = cli__jobs_who(c);
    x->filter_json = cli__jobs_filter_json(c, &x->filter, x->to);
    x->started_ms = clock_mono_ms();
    x->stop = arena_alloc(c->arena, sizeof(*x->stop));
    op_init(x->stop, c->app.loop, NULL);
    op_begin(x->stop);
    return &x->f;
}
