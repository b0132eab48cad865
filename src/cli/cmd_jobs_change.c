/* waymark jobs retry, cancel, discard, purge, move: any number of jobs, in pages of a thousand, a
 * transaction each. A page is what the filter finds next along the ids; what was done with it and
 * the audit's row are committed together. Between pages a signal stops it. */
#include "cli/cmd_jobs.h"

enum { PAGE = 1000, TRIES = 5, AGAIN_MS = 200 };

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
    struct timer_op pause;
    unsigned source;  /* the one that is gone through */
    size_t at;        /* into the ids, if some were given */
    int64_t after;    /* the last id of the page before */
    int64_t audit;    /* its row; 0: none yet */
    int64_t done, of; /* jobs */
    int64_t running;  /* of those, when they were counted */
    int tries;        /* of this page */
    int64_t started_ms;
    struct cli_progress progress;
};
#define CHANGE_STEPS(STEP)                                                                         \
    STEP(change, find) /* with ids: which of them there are; else -> count */                      \
    STEP(change, tell)                                                                             \
    STEP(change, count)                                                                            \
    STEP(change, begin)                                                                            \
    STEP(change, page) /* -> hint, when all sources are through */                                 \
    STEP(change, note) /* -> page */                                                               \
    STEP(change, hint) /* the instances hear of it */                                              \
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

static enum flow_next change_begin(struct flow *f)
{
    struct change_flow *x = change_of(f);
    x->of = db_get_i64(&x->u, 0, 0, 0);
    x->running = db_get_i64(&x->u, 0, 0, 1);
    if (cli_option(x->c, "dry-run")) {
        return flow_goto(f, change_STEP_report);
    }
    cli_progress_start(&x->progress, x->c, x->change->doing);
    return FLOW_NEXT;
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

static const struct source *source_of(const struct change_flow *x)
{
    return x->source < COUNT_OF(x->change->source) ? &x->change->source[x->source] : NULL;
}

/* Past the sources that the filter leaves nothing of. */
static void skip_sources(struct change_flow *x)
{
    const char *state[JOBS_STATES];
    while (source_of(x) && (!source_of(x)->page || states_of(x, source_of(x), state) == 0)) {
        x->source++;
    }
}

static bool is_last_source(const struct change_flow *x)
{
    struct change_flow next = {.change = x->change, .filter = x->filter, .source = x->source + 1};
    skip_sources(&next);
    return !source_of(&next);
}

static size_t ids_of_page(const struct change_flow *x)
{
    size_t left = x->filter.nid - x->at;
    return left < PAGE ? left : PAGE;
}

static void add_page(struct change_flow *x, const struct source *s)
{
    const char *state[JOBS_STATES];
    size_t nstate = states_of(x, s, state);
    db_add(&x->u, s->page);
    db_p_i64(&x->u, x->after);
    db_p_i64(&x->u, PAGE);
    cli__jobs_add_filter(&x->u, &x->filter, x->filter.nid ? x->filter.id + x->at : NULL,
                         ids_of_page(x), s->page != &SQL_jobs_cmd_page_done);
    if (s->live) {
        db_p_text_array(&x->u, state, nstate);
    }
    db_add(&x->u, s->act);
    if (x->change->to) {
        db_p_text(&x->u, x->to);
    }
}

static void add_audit(struct change_flow *x)
{
    /* Of ids it is known beforehand which page is the last, however short the others are. */
    bool last = is_last_source(x) && x->at + ids_of_page(x) == x->filter.nid;
    db_add(&x->u, &SQL_jobs_cmd_audit);
    if (x->audit) {
        db_p_i64(&x->u, x->audit);
    } else {
        db_p_null(&x->u);
    }
    db_p_text(&x->u, x->who);
    db_p_text(&x->u, x->change->name);
    db_p_text(&x->u, x->filter_json);
    db_p_bool(&x->u, last);
    db_p_i64(&x->u, x->filter.nid ? PAGE + 1 : PAGE);
}

static enum flow_next change_page(struct flow *f)
{
    struct change_flow *x = change_of(f);
    skip_sources(x);
    if (x->c->stopping || !source_of(x) || x->of == 0) {
        return flow_goto(f, change_STEP_hint);
    }
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->c->app.pool, f->arena, DB_TX);
    x->u.statement_timeout_ms = JOBS_QUERY_MS;
    db_add(&x->u, &SQL_jobs_cmd_plan);
    add_page(x, source_of(x));
    add_audit(x);
    db_submit(&x->u);
    x->c->stop = x->stop; /* a page that was begun is ended */
    return flow_wait_any(f, &x->u.op, change_STEP_note, JOBS_QUERY_MS + 10000);
}

/* Nobody is at fault: two held what the other wanted, and the page was undone. */
static bool is_worth_again(const struct err *err)
{
    return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0 ||
           strcmp(err->sqlstate, "55P03") == 0;
}

static enum flow_next page_failed(struct flow *f)
{
    struct change_flow *x = change_of(f);
    if (is_worth_again(&x->u.op.err) && ++x->tries < TRIES) {
        timer_op_start(&x->pause, f->loop, (int64_t)AGAIN_MS * x->tries);
        return flow_wait(f, &x->pause.op, change_STEP_page, 0);
    }
    f->err = x->u.op.err;
    err_wrap(&f->err, "after %lld of %lld jobs%s: ", (long long)x->done, (long long)x->of,
             x->u.commit_unknown ? ", and perhaps a thousand more" : "");
    return flow_fail(f);
}

enum { CALL_PLAN, CALL_PAGE, CALL_ACT, CALL_AUDIT };

static enum flow_next change_note(struct flow *f)
{
    struct change_flow *x = change_of(f);
    x->c->stop = NULL;
    if (x->u.op.failed) {
        return page_failed(f);
    }
    int64_t found = db_get_i64(&x->u, CALL_PAGE, 0, 1);
    x->tries = 0;
    x->done += db_get_i64(&x->u, CALL_AUDIT, 0, 1);
    x->audit = db_get_i64(&x->u, CALL_AUDIT, 0, 0);
    x->after = found ? db_get_i64(&x->u, CALL_PAGE, 0, 2) : x->after;
    x->at += ids_of_page(x);
    if (x->filter.nid ? x->at == x->filter.nid : found < PAGE) {
        x->source++;
        x->at = 0;
        x->after = INT64_MIN;
    }
    cli_progress_set(&x->progress, (uint64_t)x->done, (uint64_t)x->of);
    return flow_goto(f, change_STEP_page);
}

static enum flow_next change_hint(struct flow *f)
{
    struct change_flow *x = change_of(f);
    if (x->done == 0) {
        return FLOW_NEXT;
    }
    db_unit_done(&x->u);
    db_unit_init(&x->u, x->c->app.pool, f->arena, 0);
    db_add(&x->u, &SQL_jobs_hint);
    db_p_text(&x->u, cli__jobs_channel(x->c));
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, change_STEP_report, 10000); /* they look by themselves too */
}

/* ---- the end --------------------------------------------------------------------------------- */

static void report_json(const struct change_flow *x, bool dry)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_str(&j, "command", x->change->name);
    jo_bool(&j, "dry_run", dry);
    jo_i64(&j, "jobs", dry ? x->of : x->done);
    jo_i64(&j, "running", x->running);
    jo_bool(&j, "complete", !x->c->stopping);
    jo_f64(&j, "seconds", (double)(clock_mono_ms() - x->started_ms) / 1000, 3);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static void report_text(const struct change_flow *x, bool dry)
{
    int64_t n = dry ? x->of : x->done;
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
                      (long long)x->done, (long long)x->of);
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
    x->after = INT64_MIN;
    x->started_ms = clock_mono_ms();
    x->stop = arena_alloc(c->arena, sizeof(*x->stop));
    op_init(x->stop, c->app.loop, NULL);
    op_begin(x->stop);
    return &x->f;
}
