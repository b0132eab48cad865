/* An instance of the queue with made-up kinds (task.h), for fault tests and benchmarks.
 *
 * Prints "ready" when it is registered, and on SIGHUP and at its end one line of counts. SIGTERM
 * drains; with --until-idle it drains by itself when nothing is left to claim. */
#include "queue/task.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>

struct worker {
    struct loop *loop;
    struct loop_signals *signals;
    struct db_pool *pool;
    struct db_listener *listener;
    struct ticker *wait; /* for the registration */
    struct jobs *jobs;
    struct jobs_conf conf;
    struct db_conf db, beat, listen;
    struct task_conf task;
    struct jobs_kind kinds[TASK_KINDS];
    const char *known; /* names of kinds, with commas; NULL: all */
    struct op idle, drained;
    unsigned threads;
    int64_t probe_ms;
    bool deaf; /* it does not listen: it only polls */
    bool until_idle, waiting_idle, draining;
};

static void print_counts(const struct worker *w)
{
    struct jobs_counts n = jobs_counts(w->jobs);
    printf("claimed=%llu finished=%llu retried=%llu buried=%llu fenced=%llu rescued=%llu "
           "superseded=%llu\n",
           (unsigned long long)n.claimed, (unsigned long long)n.finished,
           (unsigned long long)n.retried, (unsigned long long)n.buried,
           (unsigned long long)n.fenced, (unsigned long long)n.rescued,
           (unsigned long long)n.superseded);
    fflush(stdout);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void jobs_closed(void *ctx)
{
    struct worker *w = ctx;
    db_pool_close(w->pool, NULL, NULL);
}

static void drained(struct op *op)
{
    struct worker *w = op->waiter;
    print_counts(w);
    jobs_close(w->jobs, jobs_closed, w);
}

static void drain(struct worker *w)
{
    if (w->draining) {
        return;
    }
    w->draining = true;
    if (w->waiting_idle) {
        op_cancel(&w->idle);
    }
    ticker_close(w->wait);
    w->wait = NULL;
    db_listener_close(w->listener);
    loop_signals_close(w->signals);
    jobs_drain(w->jobs, &w->drained);
    op_await(&w->drained, drained, w);
}

static void on_stop(void *ctx, int signum)
{
    (void)signum;
    drain(ctx);
}

static void on_hup(void *ctx)
{
    print_counts(ctx);
}

/* ---- the start ----------------------------------------------------------------------------- */

static void on_idle(struct op *op)
{
    struct worker *w = op->waiter;
    w->waiting_idle = false;
    drain(w);
}

static void look_for_registration(void *ctx)
{
    struct worker *w = ctx;
    if (jobs_owner(w->jobs) == 0) {
        return;
    }
    printf("ready %lld\n", (long long)jobs_owner(w->jobs));
    fflush(stdout);
    ticker_close(w->wait);
    w->wait = NULL;
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct worker *w = ctx;
    (void)channel;
    (void)payload;
    if (!w->draining) {
        jobs_wake(w->jobs);
    }
}

/* Those that this one is to know come first. */
static size_t choose_kinds(struct worker *w)
{
    size_t n = 0;
    for (size_t i = 0; i < TASK_KINDS; i++) {
        size_t len = strlen(w->kinds[i].name);
        for (const char *p = w->known; p; p = strchr(p, ','), p += p != NULL) {
            if (strncmp(p, w->kinds[i].name, len) == 0 && (p[len] == ',' || p[len] == '\0')) {
                w->kinds[n++] = w->kinds[i];
                break;
            }
        }
    }
    return w->known ? n : TASK_KINDS;
}

static void run(struct worker *w)
{
    w->task.queue = w->conf.queue;
    w->task.pool = w->pool = db_pool_open(w->loop, &w->db);
    w->conf.db = &w->beat;
    task_kinds(&w->task, w->kinds);
    w->jobs = jobs_open(w->pool, &w->conf, w->kinds, choose_kinds(w));
    w->signals = loop_signals_open(w->loop, on_stop, on_hup, w);
    w->wait = ticker_open(w->loop, 5, false, look_for_registration, w);
    if (!w->deaf) {
        const char *const channels[] = {w->conf.notify_channel};
        w->listener = db_listener_open(w->loop, &w->listen, channels, 1, w->probe_ms, on_notify, w);
    }
    jobs_start(w->jobs);
    if (w->until_idle) {
        w->waiting_idle = true;
        jobs_wait_idle(w->jobs, &w->idle, 0);
        op_await(&w->idle, on_idle, w);
    }
    loop_run(w->loop);
    loop_free(w->loop);
}

/* ---- options ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
    fputs("usage: queue_worker --db URL [--beat-db URL] [--listen-db URL] [--queue chaos]\n"
          "  [--channel chaos] [--batch 50] [--batch-max 50] [--concurrency 4]\n"
          "  [--threads 4] [--conns 0] [--poll-ms 1000] [--probe-ms 30000]\n"
          "  [--drain-ms 25000] [--timeout-ms 0]\n"
          "  [--kinds effect,chain,...]\n"
          "  [--log debug|info|warn|error] [--deaf] [--ledger FILE] [--report] [--until-idle]\n",
          stderr);
    exit(2);
}

static int64_t number(const char *text, int64_t min, int64_t max)
{
    int64_t n;
    if (span_to_i64(span_of(text), min, max, &n) != 0) {
        usage();
    }
    return n;
}

static void set_log(const char *level)
{
    static const char *const name[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        if (strcmp(level, name[i]) == 0) {
            log_init((enum log_level)i, LOG_FORMAT_LOGFMT, stderr);
            return;
        }
    }
    usage();
}

enum option_id {
    O_DB = 1,
    O_BEAT_DB,
    O_LISTEN_DB,
    O_QUEUE,
    O_CHANNEL,
    O_BATCH,
    O_BATCH_MAX,
    O_CONCURRENCY,
    O_THREADS,
    O_CONNS,
    O_POLL_MS,
    O_PROBE_MS,
    O_DRAIN_MS,
    O_TIMEOUT_MS,
    O_LOG,
    O_KINDS,
    O_DEAF,
    O_LEDGER,
    O_REPORT,
    O_UNTIL_IDLE
};
static const struct option options[] = {
    {"db", required_argument, NULL, O_DB},
    {"beat-db", required_argument, NULL, O_BEAT_DB},
    {"listen-db", required_argument, NULL, O_LISTEN_DB},
    {"queue", required_argument, NULL, O_QUEUE},
    {"channel", required_argument, NULL, O_CHANNEL},
    {"batch", required_argument, NULL, O_BATCH},
    {"batch-max", required_argument, NULL, O_BATCH_MAX},
    {"concurrency", required_argument, NULL, O_CONCURRENCY},
    {"threads", required_argument, NULL, O_THREADS},
    {"conns", required_argument, NULL, O_CONNS},
    {"poll-ms", required_argument, NULL, O_POLL_MS},
    {"probe-ms", required_argument, NULL, O_PROBE_MS},
    {"drain-ms", required_argument, NULL, O_DRAIN_MS},
    {"timeout-ms", required_argument, NULL, O_TIMEOUT_MS},
    {"log", required_argument, NULL, O_LOG},
    {"ledger", required_argument, NULL, O_LEDGER},
    {"kinds", required_argument, NULL, O_KINDS},
    {"deaf", no_argument, NULL, O_DEAF},
    {"report", no_argument, NULL, O_REPORT},
    {"until-idle", no_argument, NULL, O_UNTIL_IDLE},
    {0},
};

static void set_number(struct worker *w, int id, const char *text)
{
    switch (id) {
    case O_BATCH:
        w->conf.batch_size = (size_t)number(text, 1, 100000);
        break;
    case O_BATCH_MAX:
        w->task.batch_max = (size_t)number(text, 1, 1000);
        break;
    case O_CONCURRENCY:
        w->conf.concurrency = (unsigned)number(text, 1, 64);
        break;
    case O_THREADS:
        w->threads = (unsigned)number(text, 1, 64);
        break;
    case O_CONNS:
        w->db.max_conns = (unsigned)number(text, 1, 100);
        break;
    case O_POLL_MS:
        w->conf.poll_ms = number(text, 1, 3600000);
        break;
    case O_PROBE_MS:
        w->probe_ms = number(text, 1, 3600000);
        break;
    case O_DRAIN_MS:
        w->conf.drain_ms = number(text, 0, 3600000);
        break;
    case O_TIMEOUT_MS:
        w->task.timeout_ms = number(text, 0, 86400000);
        break;
    default:
        usage();
    }
}

static void set_option(struct worker *w, int id, const char *text)
{
    switch (id) {
    case O_DB:
        w->db.url = text;
        break;
    case O_BEAT_DB:
        w->beat.url = text;
        break;
    case O_LISTEN_DB:
        w->listen.url = text;
        break;
    case O_QUEUE:
        w->conf.queue = text;
        break;
    case O_CHANNEL:
        w->conf.notify_channel = text;
        break;
    case O_LOG:
        set_log(text);
        break;
    case O_LEDGER:
        w->task.ledger = open(text, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
        if (w->task.ledger < 0) {
            usage();
        }
        break;
    case O_KINDS:
        w->known = text;
        break;
    case O_DEAF:
        w->deaf = true;
        break;
    case O_REPORT:
        w->task.report = true;
        break;
    case O_UNTIL_IDLE:
        w->until_idle = true;
        break;
    default:
        set_number(w, id, text);
    }
}

static void read_options(struct worker *w, int argc, char **argv)
{
    *w = (struct worker){
        .conf = {.queue = "chaos",
                 .notify_channel = "chaos",
                 .batch_size = 50,
                 .concurrency = 4,
                 .poll_ms = 1000,
                 .drain_ms = 25000},
        .task = {.batch_max = 50, .ledger = -1},
        .threads = 4,
        .probe_ms = 30000,
    };
    /* The application name tells a proxy which connection is which. */
    w->db.application_name = "worker";
    w->beat.application_name = "worker-beat";
    w->listen.application_name = "worker-listen";
    for (int id; (id = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        set_option(w, id, optarg);
    }
    if (optind != argc || !w->db.url) {
        usage();
    }
    /* One for the claims. */
    w->db.max_conns = w->db.max_conns ? w->db.max_conns : w->conf.concurrency + 1;
    w->beat.max_conns = w->listen.max_conns = 1;
    w->beat.url = w->beat.url ? w->beat.url : w->db.url;
    w->listen.url = w->listen.url ? w->listen.url : w->db.url;
}

int main(int argc, char **argv)
{
    static struct worker worker;
    struct err err;
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, stderr);
    read_options(&worker, argc, argv);
    worker.loop = loop_new(worker.threads, &err);
    if (!worker.loop) {
        log_err(LOG_LEVEL_ERROR, "no loop", &err);
        return 1;
    }
    run(&worker);
    return 0;
}
