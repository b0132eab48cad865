/* /metrics: the text format of Prometheus (version 0.0.4). What this process counts is always
 * there; what stands in the database only while it answers. Labels are names of listeners, queues,
 * rates and schedules, capped where somebody else makes them up. */
#include "web/internal.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CALL_QUEUE, CALL_RATES, CALL_CRON, CALL_DATABASE, CALL_ALERTS, RATES_MAX = 50 };

/* ---- writing --------------------------------------------------------------------------------- */

static void metric(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label_value(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' || s.p[i] == '"') {
            buf_putc(b, '\\');
        }
        if (s.p[i] == '\n') {
            buf_puts(b, "\\n");
        } else {
            buf_putc(b, s.p[i]);
        }
    }
}

/* labels: name, value, name, value; NULL ends them. */
static void sample(struct buf *b, const char *name, const char *const *labels, double value)
{
    buf_puts(b, name);
    for (size_t i = 0; labels && labels[i]; i += 2) {
        buf_printf(b, "%c%s=\"", i ? ',' : '{', labels[i]);
        label_value(b, span_of(labels[i + 1]));
        buf_putc(b, '"');
    }
    buf_puts(b, labels && labels[0] ? "} " : " ");
    buf_printf(b, "%.17g\n", value);
}

static void plain(struct buf *b, const char *name, const char *type, const char *help, double value)
{
    metric(b, name, type, help);
    sample(b, name, NULL, value);
}

/* ---- this process ---------------------------------------------------------------------------- */

static double stat_field(const char *text, int field)
{
    const char *p = strrchr(text, ')'); /* the name may hold anything */
    double value = 0;
    for (int i = 2; p && i < field; i++) {
        p = strchr(p + 1, ' ');
    }
    if (p && span_to_f64((struct span){p + 1, strcspn(p + 1, " \n")}, &value) != 0) {
        value = 0;
    }
    return value;
}

static size_t read_small(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = '\0';
    if (f) {
        (void)fclose(f);
    }
    return n;
}

static double count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    double n = -3; /* ".", "..", and the one that looks */
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        (void)closedir(d);
    }
    return n;
}

/* /proc of our own process is memory, not a disk: reading it does not block. */
static void process_metrics(const struct web *w, struct buf *b)
{
    char stat[2048];
    struct rlimit files;
    double ticks = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    if (read_small("/proc/self/stat", stat, sizeof(stat)) > 0) {
        plain(b, "process_cpu_seconds_total", "counter", "CPU time, of user and system.",
              (stat_field(stat, 14) + stat_field(stat, 15)) / ticks);
        plain(b, "process_virtual_memory_bytes", "gauge", "Address space.", stat_field(stat, 23));
        plain(b, "process_resident_memory_bytes", "gauge", "Resident memory.",
              stat_field(stat, 24) * page);
    }
    plain(b, "process_start_time_seconds", "gauge", "When it was started, Unix time.",
          (double)w->started_wall_us / 1e6);
    plain(b, "process_open_fds", "gauge", "Open file descriptors.", count_fds());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        plain(b, "process_max_fds", "gauge", "File descriptors it may have.",
              (double)files.rlim_cur);
    }
}

static void own_metrics(struct web *w, struct buf *b)
{
    metric(b, "waymark_build_info", "gauge", "The version that runs; always 1.");
    sample(b, "waymark_build_info", (const char *const[]){"version", w->conf.version, NULL}, 1);
    plain(b, "waymark_listen_healthy", "gauge",
          "1 while notifications of the database arrive; 0: work is found by polling.",
          w->listener && db_listener_healthy(w->listener));
    plain(b, "waymark_heartbeat_age_seconds", "gauge",
          "Since the last heartbeat that reached the database; -1: none yet.",
          jobs_beat_age_ms(w->conf.jobs) < 0 ? -1 : (double)jobs_beat_age_ms(w->conf.jobs) / 1000);
    plain(b, "waymark_loop_lag_seconds", "gauge",
          "The longest that something held the event loop since the last scrape.",
          (double)w->lag_worst_ns / 1e9);
    w->lag_worst_ns = 0;
    plain(b, "waymark_db_pool_connections", "gauge", "Open connections of the pages' pool.",
          db_pool_open_conns(w->pool));
    plain(b, "waymark_db_pool_waiting", "gauge", "Transactions that wait for a connection there.",
          db_pool_queued(w->pool));
}

/* ---- listeners ------------------------------------------------------------------------------- */

static const char *const listener_name[] = {"public", "admin"};

static void each_listener(const struct web *w, struct buf *b, const char *name, const char *label,
                          const char *value, double (*get)(const struct httpd_stats *s))
{
    for (size_t i = 0; i < COUNT_OF(w->server); i++) {
        if (w->server[i]) {
            sample(b, name, (const char *const[]){"listener", listener_name[i], label, value, NULL},
                   get(httpd_stats(w->server[i])));
        }
    }
}

#define STAT(name, field)                                                                          \
    static double name(const struct httpd_stats *s)                                                \
    {                                                                                              \
        return (double)s->field;                                                                   \
    }
STAT(class_gone, requests[0])
STAT(class_1xx, requests[1])
STAT(class_2xx, requests[2])
STAT(class_3xx, requests[3])
STAT(class_4xx, requests[4])
STAT(class_5xx, requests[5])
STAT(conns_open, open)
STAT(conns_idle, idle)
STAT(conns_streams, streams)
STAT(refused_total, refused_total)
STAT(refused_address, refused_address)
STAT(refused_files, refused_files)
STAT(late_head, timed_out_head)
STAT(late_body, timed_out_body)
STAT(late_idle, timed_out_idle)
STAT(late_write, timed_out_write)
STAT(late_handler, timed_out_handler)
STAT(bytes_in, bytes_in)
STAT(bytes_out, bytes_out)

static void latency(const struct web *w, struct buf *b)
{
    static const char name[] = "waymark_http_request_duration_seconds";
    metric(b, name, "histogram", "From the end of a request's head to its answer.");
    for (size_t i = 0; i < COUNT_OF(w->server); i++) {
        if (!w->server[i]) {
            continue;
        }
        const struct httpd_stats *s = httpd_stats(w->server[i]);
        double sum = 0;
        for (size_t k = 0; k < HTTPD_BUCKETS; k++) {
            char le[32] = "+Inf";
            sum += (double)s->latency[k];
            if (httpd_bucket_us[k] != INT64_MAX) {
                snprintf(le, sizeof(le), "%g", (double)httpd_bucket_us[k] / 1e6);
            }
            buf_printf(b, "%s_bucket{listener=\"%s\",le=\"%s\"} %.0f\n", name, listener_name[i], le,
                       sum);
        }
        buf_printf(b, "%s_sum{listener=\"%s\"} %.6f\n%s_count{listener=\"%s\"} %.0f\n", name,
                   listener_name[i], (double)s->latency_sum_us / 1e6, name, listener_name[i], sum);
    }
}

static void http_metrics(const struct web *w, struct buf *b)
{
    static const struct {
        const char *name, *type, *help, *label, *value;
        double (*get)(const struct httpd_stats *s);
    } row[] = {
        {"waymark_http_requests_total", "counter",
         "Answered requests by class of status; gone: the client had left.", "class", "gone",
         class_gone},
        {"waymark_http_requests_total", NULL, NULL, "class", "1xx", class_1xx},
        {"waymark_http_requests_total", NULL, NULL, "class", "2xx", class_2xx},
        {"waymark_http_requests_total", NULL, NULL, "class", "3xx", class_3xx},
        {"waymark_http_requests_total", NULL, NULL, "class", "4xx", class_4xx},
        {"waymark_http_requests_total", NULL, NULL, "class", "5xx", class_5xx},
        {"waymark_http_connections", "gauge", "Connections now; idle and streams are part of open.",
         "state", "open", conns_open},
        {"waymark_http_connections", NULL, NULL, "state", "idle", conns_idle},
        {"waymark_http_connections", NULL, NULL, "state", "stream", conns_streams},
        {"waymark_http_refused_total", "counter", "Connections that were one too many.", "reason",
         "total", refused_total},
        {"waymark_http_refused_total", NULL, NULL, "reason", "address", refused_address},
        {"waymark_http_refused_total", NULL, NULL, "reason", "files", refused_files},
        {"waymark_http_timeouts_total", "counter", "Who was too slow at what.", "reason", "head",
         late_head},
        {"waymark_http_timeouts_total", NULL, NULL, "reason", "body", late_body},
        {"waymark_http_timeouts_total", NULL, NULL, "reason", "idle", late_idle},
        {"waymark_http_timeouts_total", NULL, NULL, "reason", "write", late_write},
        {"waymark_http_timeouts_total", NULL, NULL, "reason", "handler", late_handler},
        {"waymark_http_received_bytes_total", "counter", "Bytes received.", NULL, NULL, bytes_in},
        {"waymark_http_sent_bytes_total", "counter", "Bytes sent.", NULL, NULL, bytes_out},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        if (row[i].type) {
            metric(b, row[i].name, row[i].type, row[i].help);
        }
        each_listener(w, b, row[i].name, row[i].label, row[i].value, row[i].get);
    }
    latency(w, b);
}

/* ---- events that Strava pushes --------------------------------------------------------------- */

static void event_metrics(const struct web *w, struct buf *b)
{
    struct ingest_events_counts n = {0};
    if (w->conf.events) {
        n = ingest_events_counts(w->conf.events);
    }
    const struct {
        const char *outcome;
        uint64_t count;
    } row[] = {{"kept", n.kept},
               {"refused", w->hook.refused},
               {"malformed", w->hook.malformed},
               {"unavailable", w->hook.unavailable}};
    metric(b, "waymark_events_total", "counter",
           "Pushed events: kept; not understood, and acknowledged; malformed; not kept in time.");
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        sample(b, "waymark_events_total", (const char *const[]){"outcome", row[i].outcome, NULL},
               (double)row[i].count);
    }
    plain(b, "waymark_event_commits_total", "counter", "Commits in which events were kept.",
          (double)n.commits);
    plain(b, "waymark_events_waiting", "gauge", "Events that wait for a commit.",
          (double)n.waiting);
}

/* ---- the queue, as this instance sees it ------------------------------------------------------
 */

static void jobs_metrics(const struct web *w, struct buf *b)
{
    const struct jobs_counts n = jobs_counts(w->conf.jobs);
    const struct {
        const char *name, *type, *help;
        double value;
    } row[] = {
        {"waymark_queue_claimed_total", "counter", "Jobs this instance claimed.",
         (double)n.claimed},
        {"waymark_queue_finished_total", "counter", "Jobs it finished.", (double)n.finished},
        {"waymark_queue_retried_total", "counter", "Attempts that will be repeated.",
         (double)n.retried},
        {"waymark_queue_buried_total", "counter", "Jobs that became dead letters.",
         (double)n.buried},
        {"waymark_queue_fenced_total", "counter", "Outcomes that were dropped: no longer ours.",
         (double)n.fenced},
        {"waymark_queue_rescued_total", "counter", "Jobs taken back from instances that were gone.",
         (double)n.rescued},
        {"waymark_queue_superseded_total", "counter", "Jobs whose twin did the work.",
         (double)n.superseded},
        {"waymark_queue_lane_repairs_total", "counter", "Lanes found without a head: must stay 0.",
         (double)n.lanes_repaired},
        {"waymark_queue_run_seconds_total", "counter", "Time spent in batches that ended.",
         (double)n.run_ms / 1000},
        {"waymark_queue_in_flight_jobs", "gauge", "Jobs claimed and not ended.", n.in_flight_jobs},
        {"waymark_queue_in_flight_batches", "gauge", "Batches under way.", n.in_flight_batches},
    };
    const char *const labels[] = {"queue", jobs_queue(w->conf.jobs), NULL};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        metric(b, row[i].name, row[i].type, row[i].help);
        sample(b, row[i].name, labels, row[i].value);
    }
}

/* Only of destinations that are configured: a series of the others would be noise. */
static void alert_metrics(const struct web *w, struct buf *b)
{
    static const char name[] = "waymark_alerts_sent_total";
    metric(b, name, "counter",
           "Messages by destination and result; failed: an attempt that is repeated, if any are "
           "left.");
    for (int to = 0; w->conf.alert && to < ALERT_TOS; to++) {
        for (int r = 0; alert_has(w->conf.alert, (enum alert_to)to) && r < ALERT_RESULTS; r++) {
            sample(b, name,
                   (const char *const[]){"destination", alert_name((enum alert_to)to), "result",
                                         alert_result_name((enum alert_result)r), NULL},
                   (double)alert_count(w->conf.alert, (enum alert_to)to, (enum alert_result)r));
        }
    }
}

/* ---- the database ---------------------------------------------------------------------------- */

struct metrics_flow {
    struct flow f;
    struct web *w;
    struct httpd_req *r;
    struct web_disk disk;
    struct db_unit u;
};
#define METRICS_STEPS(STEP)                                                                        \
    STEP(metrics, disk)                                                                            \
    STEP(metrics, ask)                                                                             \
    STEP(metrics, tell)
FLOW_STEPS(metrics, METRICS_STEPS);

static struct metrics_flow *metrics_of(struct flow *f)
{
    return container_of(f, struct metrics_flow, f);
}

static void queue_metrics(struct metrics_flow *x, struct buf *b)
{
    static const char *const state[] = {"ready", "waiting", "blocked", "running", "dead"};
    int n = db_rows(&x->u, CALL_QUEUE);
    metric(b, "waymark_queue_jobs", "gauge", "Jobs by state, over all instances.");
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < (int)COUNT_OF(state); k++) {
            const char *queue = db_get_text(&x->u, CALL_QUEUE, i, 0, x->f.arena);
            sample(b, "waymark_queue_jobs",
                   (const char *const[]){"queue", queue, "state", state[k], NULL},
                   (double)db_get_i64(&x->u, CALL_QUEUE, i, 1 + k));
        }
    }
    static const char *const age[][2] = {
        {"waymark_queue_oldest_ready_seconds",
         "How long the ready job waits that was added first."},
        {"waymark_queue_sample_age_seconds", "How old that count is."}};
    for (int k = 0; k < 2; k++) {
        metric(b, age[k][0], "gauge", age[k][1]);
        for (int i = 0; i < n; i++) {
            const char *queue = db_get_text(&x->u, CALL_QUEUE, i, 0, x->f.arena);
            sample(b, age[k][0], (const char *const[]){"queue", queue, NULL},
                   db_get_f64(&x->u, CALL_QUEUE, i, 6 + k));
        }
    }
}

static void rate_metrics(struct metrics_flow *x, struct buf *b)
{
    static const char *const window[] = {"quarter_hour", "day"};
    int n = db_rows(&x->u, CALL_RATES) < RATES_MAX ? db_rows(&x->u, CALL_RATES) : RATES_MAX;
    metric(b, "waymark_rate_used_ratio", "gauge", "Share of a window that is used.");
    for (int i = 0; i < n; i++) {
        const char *name = db_get_text(&x->u, CALL_RATES, i, 0, x->f.arena);
        for (int k = 0; k < 2; k++) {
            int64_t cap = db_get_i64(&x->u, CALL_RATES, i, 2 + 2 * k);
            sample(b, "waymark_rate_used_ratio",
                   (const char *const[]){"rate", name, "window", window[k], NULL},
                   cap > 0 ? (double)db_get_i64(&x->u, CALL_RATES, i, 1 + 2 * k) / (double)cap : 1);
        }
    }
    metric(b, "waymark_rate_wait_seconds", "gauge", "Until live work may have a token; 0: now.");
    for (int i = 0; i < n; i++) {
        const char *name = db_get_text(&x->u, CALL_RATES, i, 0, x->f.arena);
        bool full = db_get_i64(&x->u, CALL_RATES, i, 5) == 0;
        bool day = db_get_i64(&x->u, CALL_RATES, i, 3) >= db_get_i64(&x->u, CALL_RATES, i, 4);
        sample(b, "waymark_rate_wait_seconds", (const char *const[]){"rate", name, NULL},
               full ? db_get_f64(&x->u, CALL_RATES, i, day ? 8 : 7) : 0);
    }
}

static void database_metrics(struct metrics_flow *x, struct buf *b)
{
    metric(b, "waymark_cron_missed_total", "counter", "Slots that passed while nobody ran.");
    for (int i = 0; i < db_rows(&x->u, CALL_CRON); i++) {
        const char *name = db_get_text(&x->u, CALL_CRON, i, 0, x->f.arena);
        sample(b, "waymark_cron_missed_total", (const char *const[]){"schedule", name, NULL},
               (double)db_get_i64(&x->u, CALL_CRON, i, 1));
    }
    plain(b, "waymark_database_dead_tuples", "gauge", "Dead rows of the queue's table.",
          (double)db_get_i64(&x->u, CALL_DATABASE, 0, 0));
    plain(b, "waymark_database_oldest_transaction_seconds", "gauge", "Age of the oldest one.",
          db_get_f64(&x->u, CALL_DATABASE, 0, 1));
    plain(b, "waymark_database_notify_queue_ratio", "gauge",
          "Share of the room for notifications that is used.",
          db_get_f64(&x->u, CALL_DATABASE, 0, 2));
}

static void alert_states(struct metrics_flow *x, struct buf *b)
{
    metric(b, "waymark_alert_states_bad", "gauge",
           "States that somebody is to do something about.");
    for (int i = 0; i < db_rows(&x->u, CALL_ALERTS); i++) {
        const char *about = db_get_text(&x->u, CALL_ALERTS, i, 0, x->f.arena);
        sample(b, "waymark_alert_states_bad", (const char *const[]){"about", about, NULL},
               (double)db_get_i64(&x->u, CALL_ALERTS, i, 1));
    }
}

static enum flow_next metrics_disk(struct flow *f)
{
    struct metrics_flow *x = metrics_of(f);
    if (!x->w->conf.data_dir) {
        return flow_goto(f, metrics_STEP_ask);
    }
    web__disk_start(&x->disk, f->loop, x->w->conf.data_dir);
    return flow_wait_any(f, &x->disk.work.op, metrics_STEP_ask, WEB_CALL_MS);
}

static enum flow_next metrics_ask(struct flow *f)
{
    struct metrics_flow *x = metrics_of(f);
    db_unit_init(&x->u, x->w->pool, f->arena, DB_TX | DB_READONLY);
    x->u.statement_timeout_ms = WEB_CALL_MS;
    db_add(&x->u, &SQL_web_metrics_queue);
    db_add(&x->u, &SQL_jobs_cmd_rates);
    db_add(&x->u, &SQL_web_metrics_cron);
    db_add(&x->u, &SQL_web_metrics_database);
    db_add(&x->u, &SQL_web_metrics_alerts);
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, metrics_STEP_tell, WEB_CALL_MS);
}

static enum flow_next metrics_tell(struct flow *f)
{
    struct metrics_flow *x = metrics_of(f);
    struct web *w = x->w;
    struct buf b = {0};
    bool up = !x->u.op.failed;
    int64_t beat_ms = jobs_beat_age_ms(w->conf.jobs);
    own_metrics(w, &b);
    process_metrics(w, &b);
    http_metrics(w, &b);
    jobs_metrics(w, &b);
    alert_metrics(w, &b);
    event_metrics(w, &b);
    plain(&b, "waymark_ready", "gauge", "1 while this instance takes on work.",
          up && !w->draining && beat_ms >= 0 && beat_ms < WEB_BEAT_OLD_MS);
    plain(&b, "waymark_database_up", "gauge", "1 if the database answered this scrape.", up);
    if (w->conf.data_dir && !x->disk.work.op.failed) {
        plain(&b, "waymark_data_free_bytes", "gauge",
              "Free space where the private database lives.", (double)x->disk.item.free_bytes);
    }
    if (up) {
        queue_metrics(x, &b);
        rate_metrics(x, &b);
        database_metrics(x, &b);
        alert_states(x, &b);
    }
    struct httpd_req *r = x->r;
    x->r = NULL;
    httpd_send(r, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    return FLOW_DONE;
}

static void metrics_end(struct flow *f)
{
    struct metrics_flow *x = metrics_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        httpd_text(x->r, 503, "the scrape was cut off\n");
    }
    web__flow_ended(x->w);
}

static const struct flow_def metrics_def = {"web_metrics", metrics_steps, metrics_STEP_COUNT,
                                            metrics_end};

void web__metrics_get(struct httpd_req *r, void *ctx)
{
    struct web *w = ctx;
    struct metrics_flow *x = flow_new(w->loop, &metrics_def, sizeof(*x), 0);
    web__flow_began(w);
    x->w = w;
    x->r = r;
    flow_start(&x->f);
}
