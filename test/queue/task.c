#include "queue/task.h"

#include <jansson.h>
#include <unistd.h>

enum { CALL_MS = 60000, RETRIES = 3, HANG_MS = 3600000, PAYLOAD_MAX = 4096 };

static const struct db_stmt SQL_effect = {
    .name = "chaos_effect",
    .text = "INSERT INTO chaos.effect (job, attempt, owner, lane, n)"
            " SELECT u.job, u.attempt, $3, u.lane, u.n"
            " FROM unnest($1, $2, $4, $5) u(job, attempt, lane, n) ORDER BY u.job",
    .nparams = 5,
    .types = (const char *const[]){"bigint[]", "integer[]", "bigint", "text[]", "bigint[]"},
};

struct task {
    int64_t n, ms, left, fails, until_ms, code, after_ms;
    bool work, bad, crash;
};

/* What the worker thread gets: nothing else of the flow may be touched there. */
struct task_work {
    struct work work;
    int64_t ms;
    bool crash;
};

struct task_flow {
    struct flow f;
    struct task_conf *conf;
    struct jobs_batch *b;
    struct task *task; /* b->n of them */
    struct timer_op timer;
    struct task_work work;
    struct db_unit u;
    unsigned retries;
    bool more; /* jobs were added */
};
#define TASK_STEPS(STEP)                                                                           \
    STEP(task, read)                                                                               \
    STEP(task, compute)                                                                            \
    STEP(task, save) /* one transaction */                                                         \
    STEP(task, saved)
FLOW_STEPS(task, TASK_STEPS);

static struct task_flow *task_of(struct flow *f)
{
    return container_of(f, struct task_flow, f);
}

/* ---- payloads ------------------------------------------------------------------------------ */

static bool kind_is(const struct task_flow *t, const char *name)
{
    return strcmp(t->b->kind->name, name) == 0;
}

static int64_t number(const json_t *o, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static int read_task(const struct task_flow *t, const char *payload, struct task *ret,
                     struct err *err)
{
    json_t *o = json_read(span_of(payload), PAYLOAD_MAX, 4, err);
    if (!o) {
        return -1;
    }
    bool hang = kind_is(t, "hang");
    *ret = (struct task){
        .n = number(o, "n", 0),
        .ms = number(o, "ms", hang ? HANG_MS : 0),
        .left = number(o, "left", 0),
        .fails = number(o, "fails", kind_is(t, "fail") ? 1 : 0),
        .until_ms = number(o, "until", 0),
        .code = number(o, "code", 429),
        .after_ms = number(o, "after", 500),
        .work = hang || json_is_true(json_object_get(o, "work")),
        .bad = kind_is(t, "bad") || json_is_true(json_object_get(o, "bad")),
        .crash = kind_is(t, "crash") || json_is_true(json_object_get(o, "crash")),
    };
    json_decref(o);
    return 0;
}

static int refuse(const struct task_flow *t, size_t i, struct err *err)
{
    const struct jobs_job *j = &t->b->job[i];
    if (t->task[i].bad) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "job %lld is bad", (long long)j->id);
    }
    if (clock_wall_us() / 1000 < t->task[i].until_ms) {
        (void)err_set_code(err, ERR_HTTP, ERR_RETRY, (int)t->task[i].code, "job %lld is refused",
                           (long long)j->id);
        err->retry_after_ms = t->task[i].after_ms;
        return -1;
    }
    if (j->attempt <= t->task[i].fails) {
        return err_set(err, ERR_DATA, ERR_RETRY, "job %lld fails at attempt %d", (long long)j->id,
                       j->attempt);
    }
    return 0;
}

/* One write for each, so that no two processes mix theirs. */
static void note_start(const struct task_flow *t)
{
    for (size_t i = 0; i < t->b->n; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "%s %lld %d\n", t->b->kind->name,
                         (long long)t->b->job[i].id, t->b->job[i].attempt);
        (void)!write(t->conf->ledger, line, (size_t)n);
    }
}

static enum flow_next task_read(struct flow *f)
{
    struct task_flow *t = task_of(f);
    if (kind_is(t, "noop")) {
        return flow_goto(f, task_STEP_save);
    }
    if (t->conf->ledger >= 0) {
        note_start(t);
    }
    t->task = arena_new_array(f->arena, struct task, t->b->n);
    for (size_t i = 0; i < t->b->n; i++) {
        if (read_task(t, t->b->job[i].payload, &t->task[i], &f->err) != 0 ||
            refuse(t, i, &f->err) != 0) {
            return flow_fail(f);
        }
    }
    return FLOW_NEXT;
}

/* ---- the work ------------------------------------------------------------------------------ */

static int compute(struct work *w, struct err *err)
{
    struct task_work *work = container_of(w, struct task_work, work);
    (void)err;
    FAULT_POINT("computing");
    if (work->crash) {
        abort();
    }
    const struct timespec pause = {work->ms / 1000, work->ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
    return 0;
}

static enum flow_next task_compute(struct flow *f)
{
    struct task_flow *t = task_of(f);
    int64_t ms = 0;
    bool work = false;
    t->work.crash = false;
    for (size_t i = 0; i < t->b->n; i++) {
        ms = t->task[i].ms > ms ? t->task[i].ms : ms;
        t->work.crash |= t->task[i].crash;
        work |= t->task[i].work || t->task[i].crash;
    }
    if (work) {
        t->work.ms = ms;
        work_start(&t->work.work, f->loop, compute);
        return flow_wait(f, &t->work.work.op, task_STEP_save, 0);
    }
    if (ms > 0) {
        timer_op_start(&t->timer, f->loop, ms);
        return flow_wait(f, &t->timer.op, task_STEP_save, 0);
    }
    return flow_goto(f, task_STEP_save);
}

/* ---- its results --------------------------------------------------------------------------- */

static void add_effects(struct task_flow *t)
{
    const struct jobs_batch *b = t->b;
    int64_t *id = arena_new_array(t->f.arena, int64_t, b->n),
            *attempt = arena_new_array(t->f.arena, int64_t, b->n),
            *n = arena_new_array(t->f.arena, int64_t, b->n);
    const char **lane = arena_new_array(t->f.arena, const char *, b->n);
    for (size_t i = 0; i < b->n; i++) {
        id[i] = b->job[i].id;
        attempt[i] = b->job[i].attempt;
        lane[i] = b->job[i].lane;
        n[i] = t->task[i].n;
    }
    db_add(&t->u, &SQL_effect);
    db_p_i64_array(&t->u, id, b->n);
    db_p_i64_array(&t->u, attempt, b->n);
    db_p_i64(&t->u, b->owner);
    db_p_text_array(&t->u, lane, b->n);
    db_p_i64_array(&t->u, n, b->n);
}

static void add_next(struct task_flow *t)
{
    const struct jobs_batch *b = t->b;
    struct jobs_new *next = arena_new_array(t->f.arena, struct jobs_new, b->n);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct task *task = &t->task[i];
        if (task->left <= 0) {
            continue;
        }
        next[n++] = (struct jobs_new){
            .kind = b->kind->name,
            .payload = arena_printf(t->f.arena, "{\"n\": %lld, \"ms\": %lld, \"left\": %lld}",
                                    (long long)task->n + 1, (long long)task->ms,
                                    (long long)task->left - 1),
            .tenant = b->job[i].tenant,
            .lane = b->job[i].lane,
            .parent = b->job[i].id,
        };
    }
    t->more = n > 0;
    if (n > 0) {
        jobs_add(&t->u, t->conf->queue, next, n);
    }
}

static enum flow_next task_save(struct flow *f)
{
    struct task_flow *t = task_of(f);
    db_unit_done(&t->u);
    db_unit_init(&t->u, t->conf->pool, f->arena, DB_TX);
    jobs_add_finish(&t->u, t->b, t->b->n);
    if (t->task) {
        add_effects(t);
        add_next(t);
    }
    FAULT_POINT("results_ready");
    db_submit(&t->u);
    FAULT_POINT("results_sent");
    return flow_wait_any(f, &t->u.op, task_STEP_saved, CALL_MS);
}

static enum flow_next task_saved(struct flow *f)
{
    struct task_flow *t = task_of(f);
    if (t->u.op.failed) {
        /* A deadlock or a serialisation failure undid everything: the same once more. */
        if (strncmp(t->u.op.err.sqlstate, "40", 2) == 0 && t->retries++ < RETRIES) {
            return flow_goto(f, task_STEP_save);
        }
        f->err = t->u.op.err;
        return flow_fail(f);
    }
    FAULT_POINT("results_committed");
    jobs_finished(t->b, t->b->n);
    if (t->more) {
        jobs_hint(t->b->jobs);
    }
    return FLOW_DONE;
}

static void task_end(struct flow *f)
{
    db_unit_done(&task_of(f)->u);
}

static const struct flow_def task_def = {"task", task_steps, task_STEP_COUNT, task_end};

static void report(const struct jobs_batch *b)
{
    long long now = (long long)clock_mono_ns();
    for (size_t i = 0; i < b->n; i++) {
        printf("start %lld %lld\n", (long long)b->job[i].id, now);
    }
    fflush(stdout);
}

static struct flow *start(struct jobs_batch *b, void *ctx)
{
    struct task_conf *conf = ctx;
    if (conf->report) {
        report(b);
    }
    struct task_flow *t = flow_new(db_pool_loop(conf->pool), &task_def, sizeof(*t), 0);
    t->conf = conf;
    t->b = b;
    return &t->f;
}

void task_kinds(struct task_conf *conf, struct jobs_kind kinds[TASK_KINDS])
{
    static const struct {
        const char *name;
        bool alone;
        const char *rate;
    } kind[TASK_KINDS] = {
        {.name = "noop"},
        {.name = "effect"},
        {.name = "chain"},
        {.name = "rated", .rate = "chaos"},
        {.name = "fail", .alone = true},
        {.name = "bad", .alone = true},
        {.name = "hang", .alone = true},
        {.name = "crash", .alone = true},
    };
    for (size_t i = 0; i < TASK_KINDS; i++) {
        kinds[i] = (struct jobs_kind){
            .name = kind[i].name,
            .batch_max = kind[i].alone ? 1 : conf->batch_max,
            .start = start,
            .ctx = conf,
            .timeout_ms = conf->timeout_ms,
            .rate = kind[i].rate,
        };
    }
}
