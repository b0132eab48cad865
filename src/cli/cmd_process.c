/* waymark process: everything that waits, then exit. The batch form of serve. */
#include "cli/internal.h"

enum {
    UNREACHABLE_MS = 30000, /* give up when the database has been away this long */
    RECOUNT_MS = 1000,
    PAUSE_MS = 100, /* before looking again when others still work, or something is due soon */
};

/* What can be done about jobs that failed for good. */
#define REMEDY "mend what they failed with and store it again, or waymark process --retry-dead"

struct standing {
    int64_t ready, running, waiting, soon, dead;
};

/* Drawn from this process' own counters; the total is counted again now and then, since a new route
 * makes jobs while we work. Lives in the invocation's arena: a recount may still be under way when
 * the command's flow has been cancelled. */
struct watch {
    struct cli *c;
    struct cli_progress progress;
    struct ticker *ticker;
    uint64_t total; /* jobs known of, done and to do */
    bool recounting;
    int64_t counted_ms;
    struct op op;
};
struct process_flow {
    struct flow f;
    struct cli *c;
    struct watch *watch;
    struct op op;
    struct timer_op pause;
    struct db_unit u;
    struct standing before, now;
    int64_t started_ms;
};
#define PROCESS_STEPS(STEP)                                                                        \
    STEP(process, revive) /* with --retry-dead */                                                  \
    STEP(process, revived)                                                                         \
    STEP(process, reconcile)                                                                       \
    STEP(process, survey) /* how much there is */                                                  \
    STEP(process, begin)                                                                           \
    STEP(process, work) /* until nothing is left to claim */                                       \
    STEP(process, count)                                                                           \
    STEP(process, judge) /* -> work, while others work or something is due soon */                 \
    STEP(process, report)
FLOW_STEPS(process, PROCESS_STEPS);

static struct process_flow *process_of(struct flow *f)
{
    return container_of(f, struct process_flow, f);
}

static enum flow_next process_revive(struct flow *f)
{
    struct process_flow *p = process_of(f);
    p->started_ms = clock_mono_ms();
    if (!cli_option(p->c, "retry-dead")) {
        return flow_goto(f, process_STEP_reconcile);
    }
    db_unit_init(&p->u, p->c->app.pool, f->arena, 0);
    db_add(&p->u, &SQL_jobs_revive);
    db_p_text(&p->u, TRAILS_QUEUE);
    db_submit(&p->u);
    return flow_wait(f, &p->u.op, process_STEP_revived, 60000);
}

static enum flow_next process_revived(struct flow *f)
{
    struct process_flow *p = process_of(f);
    int64_t n = db_get_i64(&p->u, 0, 0, 0);
    if (n > 0 && !p->c->quiet && !p->c->json) {
        fprintf(stderr, "%lld job%s that had failed for good: trying again\n", (long long)n,
                n == 1 ? "" : "s");
    }
    return FLOW_NEXT;
}

static enum flow_next process_reconcile(struct flow *f)
{
    struct process_flow *p = process_of(f);
    if (app_open_alerts(&p->c->app, &f->err) != 0) {
        return flow_fail(f);
    }
    app_open_work(&p->c->app);
    flow_call(trails_reconcile_flow(p->c->app.pool, NULL), &p->op);
    return flow_wait(f, &p->op, process_STEP_survey, 0);
}

static enum flow_next ask_counts(struct flow *f, unsigned next)
{
    struct process_flow *p = process_of(f);
    db_unit_done(&p->u);
    db_unit_init(&p->u, p->c->app.pool, f->arena, DB_READONLY);
    db_add(&p->u, &SQL_jobs_counts);
    db_p_text(&p->u, TRAILS_QUEUE);
    db_submit(&p->u);
    return flow_wait(f, &p->u.op, next, 60000);
}

/* Of what this program does: the rest is for others, and nothing to wait for. */
static struct standing read_counts(const struct jobs *q, const struct db_unit *u)
{
    struct standing s = {0};
    for (int i = 0; i < db_rows(u, 0); i++) {
        if (!jobs_knows(q, db_get_span(u, 0, i, 0))) {
            continue;
        }
        s.ready += db_get_i64(u, 0, i, 1);
        s.running += db_get_i64(u, 0, i, 2);
        s.waiting += db_get_i64(u, 0, i, 3);
        s.soon += db_get_i64(u, 0, i, 4);
        s.dead += db_get_i64(u, 0, i, 5);
    }
    return s;
}

static enum flow_next process_survey(struct flow *f)
{
    return ask_counts(f, process_STEP_begin);
}

/* ---- progress ------------------------------------------------------------------------ */

struct recount {
    struct flow f;
    struct watch *w;
    struct db_unit u;
};
#define RECOUNT_STEPS(STEP)                                                                        \
    STEP(recount, ask)                                                                             \
    STEP(recount, keep)
FLOW_STEPS(recount, RECOUNT_STEPS);

static enum flow_next recount_ask(struct flow *f)
{
    struct recount *r = container_of(f, struct recount, f);
    db_unit_init(&r->u, r->w->c->app.pool, f->arena, DB_READONLY);
    db_add(&r->u, &SQL_jobs_counts);
    db_p_text(&r->u, TRAILS_QUEUE);
    db_submit(&r->u);
    return flow_wait(f, &r->u.op, recount_STEP_keep, 60000);
}

static uint64_t finished(const struct watch *w)
{
    return w->c->app.jobs ? jobs_counts(w->c->app.jobs).finished : 0;
}

static enum flow_next recount_keep(struct flow *f)
{
    struct recount *r = container_of(f, struct recount, f);
    if (!r->w->c->app.jobs) {
        return FLOW_DONE; /* the end has come */
    }
    struct standing s = read_counts(r->w->c->app.jobs, &r->u);
    r->w->total = finished(r->w) + (uint64_t)(s.ready + s.running);
    return FLOW_DONE;
}

static void recount_end(struct flow *f)
{
    db_unit_done(&container_of(f, struct recount, f)->u);
}

static const struct flow_def recount_def = {"recount", recount_steps, recount_STEP_COUNT,
                                            recount_end};

static void recounted(struct op *op)
{
    struct watch *w = op->waiter;
    w->recounting = false; /* failed or not: only the bar depends on it */
    w->counted_ms = clock_mono_ms();
}

static void on_tick(void *ctx)
{
    struct watch *w = ctx;
    if (!w->recounting && !w->c->quiet && clock_mono_ms() - w->counted_ms >= RECOUNT_MS) {
        struct recount *r = flow_new(w->c->app.loop, &recount_def, sizeof(*r), 0);
        r->w = w;
        w->recounting = true;
        flow_call(&r->f, &w->op);
        op_await(&w->op, recounted, w);
    }
    uint64_t done = finished(w);
    cli_progress_set(&w->progress, done, w->total > done ? w->total : done + 1);
}

/* ---- the work ------------------------------------------------------------------------ */

static enum flow_next process_begin(struct flow *f)
{
    struct process_flow *p = process_of(f);
    struct standing s = p->before = read_counts(p->c->app.jobs, &p->u);
    p->watch->total = (uint64_t)(s.ready + s.running + s.waiting);
    cli_progress_start(&p->watch->progress, p->c, "matching");
    /* It keeps the loop going too: with every connection lost, nothing else would until the queue
     * looks again. */
    p->watch->ticker = ticker_open(f->loop, 100, false, on_tick, p->watch);
    jobs_start(p->c->app.jobs);
    return FLOW_NEXT;
}

static enum flow_next process_work(struct flow *f)
{
    struct process_flow *p = process_of(f);
    jobs_wait_idle(p->c->app.jobs, &p->op, UNREACHABLE_MS);
    return flow_wait(f, &p->op, process_STEP_count, 0);
}

static enum flow_next process_count(struct flow *f)
{
    return ask_counts(f, process_STEP_judge);
}

static enum flow_next process_judge(struct flow *f)
{
    struct process_flow *p = process_of(f);
    p->now = read_counts(p->c->app.jobs, &p->u);
    if (p->now.ready + p->now.running + p->now.soon == 0) {
        return flow_goto(f, process_STEP_report);
    }
    timer_op_start(&p->pause, f->loop, PAUSE_MS);
    return flow_wait(f, &p->pause.op, process_STEP_work, 0);
}

static void print_json(const struct process_flow *p, const struct jobs_counts *n, int64_t died,
                       double seconds)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_object(&j, NULL);
    jo_i64(&j, "finished", (int64_t)n->finished);
    jo_i64(&j, "retried", (int64_t)n->retried);
    jo_i64(&j, "dead", died);
    jo_i64(&j, "waiting", p->now.waiting);
    jo_f64(&j, "seconds", seconds, 3);
    jo_end_object(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next process_report(struct flow *f)
{
    struct process_flow *p = process_of(f);
    struct jobs_counts n = jobs_counts(p->c->app.jobs);
    /* Whoever buried them: a rescue does too, and other instances. */
    int64_t died = p->now.dead - p->before.dead;
    died = died > (int64_t)n.buried ? died : (int64_t)n.buried;
    double seconds = (double)(clock_mono_ms() - p->started_ms) / 1000;
    cli_progress_set(&p->watch->progress, n.finished, n.finished);
    cli_progress_end(&p->watch->progress);
    if (p->c->json) {
        print_json(p, &n, died, seconds);
    } else if (n.finished == 0 && died == 0 && p->now.waiting == 0) {
        puts("Nothing was waiting.");
    } else {
        printf("%llu job%s done in %.1f s\n", (unsigned long long)n.finished,
               n.finished == 1 ? "" : "s", seconds);
    }
    if (died > 0) {
        return err_set(&f->err, ERR_DATA, ERR_PERMANENT,
                       "%lld job%s failed for good: waymark status tells which; " REMEDY,
                       (long long)died, died == 1 ? "" : "s"),
               flow_fail(f);
    }
    if (p->now.dead > 0) {
        /* Of an earlier run, which failed for it: this one did all it could. */
        fprintf(stderr,
                "waymark: %lld job%s failed for good before: waymark status tells which; %s\n",
                (long long)p->now.dead, p->now.dead == 1 ? "" : "s", REMEDY);
    }
    if (p->now.waiting > 0) {
        return err_set(&f->err, ERR_DATA, ERR_RETRY,
                       "%lld job%s failed and wait to be tried again: run it again later",
                       (long long)p->now.waiting, p->now.waiting == 1 ? "" : "s"),
               flow_fail(f);
    }
    return FLOW_DONE;
}

static void process_end(struct flow *f)
{
    struct process_flow *p = process_of(f);
    cli_progress_end(&p->watch->progress);
    ticker_close(p->watch->ticker);
    db_unit_done(&p->u);
}

static const struct flow_def process_def = {"process", process_steps, process_STEP_COUNT,
                                            process_end};

struct flow *cli_process(struct cli *c)
{
    struct process_flow *p = flow_new(c->app.loop, &process_def, sizeof(*p), 0);
    p->c = c;
    p->watch = arena_alloc(c->arena, sizeof(*p->watch));
    p->watch->c = c;
    p->watch->counted_ms = clock_mono_ms();
    return &p->f;
}
