/* A batch in flight: its handler's flow, and what to do when that ends. */
#include "jobs/internal.h"

struct jobs_run *jobs__run_new(struct jobs *q, const struct jobs_kind *kind, size_t capacity)
{
    struct jobs_run *run = mem_alloc(sizeof(*run));
    struct arena *a = arena_new(0);
    run->batch = (struct jobs_batch){
        .jobs = q,
        .arena = a,
        .kind = kind,
        .owner = q->owner,
        .job = arena_new_array(a, struct jobs_job, capacity),
    };
    return run;
}

struct jobs_run *jobs__run_free(struct jobs_run *run)
{
    if (run) {
        arena_free(run->batch.arena);
        mem_free(run);
    }
    return NULL;
}

size_t jobs__run_ids(const struct jobs_batch *b, struct arena *a, int64_t **ids, int64_t **attempts)
{
    *ids = arena_new_array(a, int64_t, b->n + 1);
    int64_t *tries = arena_new_array(a, int64_t, b->n + 1);
    for (size_t i = 0; i < b->n; i++) {
        (*ids)[i] = b->job[i].id;
        tries[i] = b->job[i].attempt;
    }
    if (attempts) {
        *attempts = tries;
    }
    return b->n;
}

void jobs_add_finish(struct db_unit *u, const struct jobs_batch *b, size_t n)
{
    int64_t *ids, *attempts;
    CHECK(n <= b->n);
    if (n == 1 && !b->job[0].lane) {
        db_add(u, &SQL_jobs_finish_one);
        db_p_i64(u, b->job[0].id);
        db_p_i64(u, b->job[0].attempt);
        db_p_i64(u, b->owner);
        return;
    }
    (void)jobs__run_ids(b, u->arena, &ids, &attempts);
    const char **lanes = arena_new_array(u->arena, const char *, n + 1);
    size_t nlanes = 0;
    for (size_t i = 0; i < n; i++) {
        if (b->job[i].lane) {
            lanes[nlanes++] = b->job[i].lane;
        }
    }
    db_add(u, nlanes > 0 ? &SQL_jobs_finish_lanes : &SQL_jobs_finish);
    db_p_i64_array(u, ids, n);
    db_p_i64_array(u, attempts, n);
    db_p_i64(u, b->owner);
    if (nlanes > 0) {
        db_p_text_array(u, lanes, nlanes);
    }
}

void jobs_finished(struct jobs_batch *b, size_t n)
{
    CHECK(n <= b->n);
    b->job += n;
    b->n -= n;
    b->jobs->counts.finished += n;
    b->jobs->counts.in_flight_jobs -= (unsigned)n;
}

void jobs__run_queue(struct jobs *q, struct jobs_run *run)
{
    struct jobs_run **end = &q->queued;
    while (*end) {
        end = &(*end)->next;
    }
    run->next = NULL;
    *end = run;
}

static void unlink_run(struct jobs *q, struct jobs_run *run)
{
    *(run->prev ? &run->prev->next : &q->runs) = run->next;
    if (run->next) {
        run->next->prev = run->prev;
    }
    run->next = run->prev = NULL;
    q->nruns--;
    q->counts.in_flight_batches = q->nruns;
    q->counts.in_flight_jobs -= (unsigned)run->batch.n;
}

static void run_ended(struct op *op)
{
    struct jobs_run *run = op->waiter;
    struct jobs *q = run->batch.jobs;
    run->flow = NULL;
    unlink_run(q, run);
    q->counts.run_ms += (uint64_t)(jobs__now(q) - run->started_ms);
    q->alone = q->alone && q->queued;
    if (op->failed && run->late) {
        struct err late;
        (void)err_set(&late, ERR_DATA, ERR_RETRY, "not done within %lld s",
                      (long long)((run->deadline_ms - run->started_ms) / 1000));
        jobs__outcome(q, run, &late);
    } else if (op->failed) {
        jobs__outcome(q, run, &op->err);
    } else {
        CHECK(run->batch.n == 0);
        jobs__run_free(run);
    }
    jobs__pump(q);
}

/* That of the job with the least time. */
static int64_t timeout_of(const struct jobs_batch *b)
{
    int64_t kind = b->kind->timeout_ms ? b->kind->timeout_ms : JOBS_TIMEOUT_MS, least = INT64_MAX;
    for (size_t i = 0; i < b->n; i++) {
        int64_t own = b->job[i].timeout_ms ? b->job[i].timeout_ms : kind;
        least = own < least ? own : least;
    }
    return least;
}

void jobs__run_late(struct jobs *q)
{
    int64_t now = jobs__now(q);
    for (struct jobs_run *r = q->runs; r; r = r->next) {
        if (now >= r->deadline_ms && !r->late && r->flow) {
            r->late = true;
            flow_cancel(r->flow);
        }
    }
}

void jobs__run_cancel(struct jobs *q, int64_t job)
{
    for (struct jobs_run *r = q->runs; r; r = r->next) {
        for (size_t i = 0; i < r->batch.n && !r->unwanted && r->flow; i++) {
            if (r->batch.job[i].id == job) {
                r->unwanted = true;
                flow_cancel(r->flow);
            }
        }
    }
}

void jobs__run_start(struct jobs *q, struct jobs_run *run)
{
    CHECK(run->batch.n > 0);
    run->started_ms = jobs__now(q);
    run->deadline_ms = run->started_ms + timeout_of(&run->batch);
    run->late = run->unwanted = false;
    run->prev = NULL;
    run->next = q->runs;
    if (q->runs) {
        q->runs->prev = run;
    }
    q->runs = run;
    q->nruns++;
    q->counts.in_flight_batches = q->nruns;
    q->counts.in_flight_jobs += (unsigned)run->batch.n;
    run->flow = run->batch.kind->start(&run->batch, run->batch.kind->ctx);
    flow_call(run->flow, &run->op);
    op_await(&run->op, run_ended, run);
    FAULT_POINT("batch_started");
}
