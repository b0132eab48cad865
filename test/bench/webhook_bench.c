/* What ./dev bench webhook measures: the service's own receiver (listener, route, group commit) and
 * its job that makes jobs of events, with settings that only exist here: how many events a commit
 * may hold, and how many commits may be under way.
 * usage: webhook_bench ADDRESS DATABASE [GROUP COMMITS]   Prints where it listens; SIGTERM ends it,
 * and it prints how many events it kept in how many commits. */
#include "app/app.h"

struct bench {
    struct loop *loop;
    struct db_pool *pool;
    struct jobs *jobs;
    struct ingest_events *events;
    struct web *web;
    struct httpd *server;
    struct op op;
};

static void on_job(void *ctx)
{
    const struct bench *b = ctx;
    jobs_hint(b->jobs);
}

static void on_stop(void *ctx, int signum)
{
    (void)signum;
    loop_stop(ctx);
}

static void finished(struct op *op)
{
    loop_stop(op->waiter);
}

static void closed(void *ctx)
{
    loop_stop(ctx);
}

static void settle(struct bench *b)
{
    op_await(&b->op, finished, b->loop);
    loop_run(b->loop);
}

static void open_all(struct bench *b, const struct db_conf *db, int64_t group, int64_t commits)
{
    static struct jobs_kind kind;
    const struct ingest_events_conf events = {
        .db = db, .group = (size_t)group, .commits = (unsigned)commits, .on_job = on_job, .ctx = b};
    const struct jobs_conf jobs = {
        .queue = "trails",
        .db = db,
        .notify_channel = "processing",
        .batch_size = 50,
        .concurrency = 2,
        .poll_ms = 30000,
        .drain_ms = 1000,
    };
    b->pool = db_pool_open(b->loop, db);
    ingest_dispatch_kind(b->pool, &kind);
    b->jobs = jobs_open(b->pool, &jobs, &kind, 1);
    b->events = ingest_events_open(b->loop, &events);
    const struct web_conf web = {
        .db = db,
        .jobs = b->jobs,
        .channel = "processing",
        .version = "bench",
        .hook_path = "/hook",
        .events = b->events,
    };
    b->web = web_open(b->loop, &web);
    web_mount_public(b->web, b->server);
    jobs_start(b->jobs);
}

static void close_all(struct bench *b)
{
    const struct ingest_events_counts n = ingest_events_counts(b->events);
    httpd_drain(b->server, 1000, &b->op);
    settle(b);
    httpd_free(b->server);
    web_close(b->web, &b->op);
    settle(b);
    ingest_events_close(b->events, &b->op);
    settle(b);
    jobs_drain(b->jobs, &b->op);
    settle(b);
    jobs_close(b->jobs, closed, b->loop);
    loop_run(b->loop);
    db_pool_close(b->pool, closed, b->loop);
    loop_run(b->loop);
    printf("kept %llu commits %llu\n", (unsigned long long)n.kept, (unsigned long long)n.commits);
}

static int fail(const struct err *err)
{
    fprintf(stderr, "webhook_bench: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct bench b = {.loop = loop_new(2, &err)};
    const struct httpd_conf http = {
        .max_connections = 2000, .max_per_address = 2000, .max_requests = UINT32_MAX};
    int64_t group = 0, commits = 0;
    if (!b.loop)
        return fail(&err);
    log_init(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, stderr);
    if (argc == 5 && (span_to_i64(span_of(argv[3]), 1, INGEST_GROUP_MAX, &group) != 0 ||
                      span_to_i64(span_of(argv[4]), 1, INGEST_COMMITS_MAX, &commits) != 0))
        return 2;
    b.server = httpd_new(b.loop, &http, &err);
    if (argc < 3 || !b.server || httpd_listen(b.server, argv[1], 0, &err) != 0)
        return fail(&err);
    const struct db_conf db = {.url = argv[2], .max_conns = 4, .application_name = "waymark-bench"};
    struct loop_signals *signals = loop_signals_open(b.loop, on_stop, NULL, b.loop);
    open_all(&b, &db, group, commits);
    printf("%s\n", httpd_bound(b.server, 0));
    fflush(stdout);
    loop_run(b.loop);
    close_all(&b);
    loop_signals_close(signals);
    loop_free(b.loop);
    return 0;
}
