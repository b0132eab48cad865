/* What stands in the queues and who works on it: queues, lanes, rates, schedules, instances. */
#include "web/internal.h"

#include <math.h>

static void rate(struct buf *b, double per_s)
{
    if (isnan(per_s)) {
        buf_puts(b, "–");
    } else if (per_s > 0 && per_s < 1) {
        buf_printf(b, "%.1f/min", per_s * 60);
    } else {
        buf_printf(b, per_s < 10 ? "%.1f/s" : "%.0f/s", per_s);
    }
}

/* ---- queues ---------------------------------------------------------------------------------- */

enum queue_col {
    Q_NAME,
    Q_READY,
    Q_WAITING,
    Q_BLOCKED,
    Q_RUNNING,
    Q_DEAD,
    Q_OLDEST,
    Q_COUNTED,
    Q_PAUSED,
    Q_OUT,
    Q_RETRIED,
    Q_BURIED,
    Q_RESCUED,
    Q_GROWTH,
    Q_WAIT50,
    Q_WAIT95,
    Q_WAIT99,
    Q_RUN50,
    Q_RUN95,
    Q_RUN99,
    Q_INSTANCES,
    Q_SLOTS,
    Q_PART_PAUSED,
    Q_RATE_FULL
};
enum { CALL_QUEUES = 1, CALL_DEPTH = 2, CALL_PAUSES = 3 };

int web__queues_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_queues);
    db_add(u, &SQL_web_depth);
    db_add(u, &SQL_jobs_cmd_pauses);
    return 0;
}

/* Why it does not go faster: the first of these that holds. */
static const char *bottleneck(const struct web_view *v, int i)
{
    int64_t ready = web__i64(v, CALL_QUEUES, i, Q_READY),
            running = web__i64(v, CALL_QUEUES, i, Q_RUNNING);
    if (web__i64(v, CALL_QUEUES, i, Q_PAUSED)) {
        return "paused";
    }
    if (ready + web__i64(v, CALL_QUEUES, i, Q_BLOCKED) == 0) {
        return "nothing waits";
    }
    if (web__i64(v, CALL_QUEUES, i, Q_INSTANCES) == 0) {
        return "no instance works on it";
    }
    if (ready == 0) {
        return "lanes: one after the other";
    }
    if (running == 0 && web__i64(v, CALL_QUEUES, i, Q_RATE_FULL)) {
        return "a rate is used up";
    }
    if (running == 0 && web__i64(v, CALL_QUEUES, i, Q_PART_PAUSED)) {
        return "part of it is paused";
    }
    return "slots: all are busy";
}

static void time_to_drain(const struct web_view *v, struct buf *b, int i)
{
    double out = web__f64(v, CALL_QUEUES, i, Q_OUT), growth = web__f64(v, CALL_QUEUES, i, Q_GROWTH);
    double left =
        (double)(web__i64(v, CALL_QUEUES, i, Q_READY) + web__i64(v, CALL_QUEUES, i, Q_RUNNING) +
                 web__i64(v, CALL_QUEUES, i, Q_BLOCKED));
    if (left == 0) {
        buf_puts(b, "empty");
    } else if (out <= 0 || (!isnan(growth) && growth > 0)) {
        buf_puts(b, "it grows");
    } else {
        web__age(b, left / out);
    }
}

static void queue_row(struct web_view *v, struct buf *b, int i)
{
    const char *name = web__str(v, CALL_QUEUES, i, Q_NAME);
    bool paused = web__i64(v, CALL_QUEUES, i, Q_PAUSED) != 0;
    web__row(b);
    web__cell(b);
    buf_puts(b, "<a href=\"/admin/jobs?queue=");
    web__url(b, name);
    web__html(b, "\">%s</a>", name);
    buf_puts(b, paused ? " <span class=\"tag warn\">paused</span>" : "");
    for (int col = Q_READY; col <= Q_DEAD; col++) {
        web__number_cell(b);
        bool bad = col == Q_DEAD && web__i64(v, CALL_QUEUES, i, col) > 0;
        buf_puts(b, bad ? "<a class=\"bad\" href=\"/admin/dead\">" : "");
        web__count(b, web__i64(v, CALL_QUEUES, i, col));
        buf_puts(b, bad ? "</a>" : "");
    }
    web__age_cell(b, web__f64(v, CALL_QUEUES, i, Q_OLDEST));
    web__number_cell(b);
    double out = web__f64(v, CALL_QUEUES, i, Q_OUT), growth = web__f64(v, CALL_QUEUES, i, Q_GROWTH);
    rate(b, isnan(growth) ? out : out + growth);
    web__number_cell(b);
    rate(b, out);
    web__number_cell(b);
    time_to_drain(v, b, i);
    web__cell(b);
    web__text(b, bottleneck(v, i));
    web__cell(b);
    web__button(v, b, paused ? "resume" : "pause", paused ? "Resume" : "Pause", false,
                (const char *const[]){"queue", name, NULL});
}

/* What was left and what was done in each minute of the last hour. */
static void graph(const struct web_view *v, struct buf *b)
{
    enum { W = 600, H = 80 };
    double most_left = 1, most_done = 1;
    int n = db_rows(v->u, CALL_DEPTH);
    for (int i = 0; i < n; i++) {
        most_left = fmax(most_left, web__f64(v, CALL_DEPTH, i, 0));
        most_done = fmax(most_done, web__f64(v, CALL_DEPTH, i, 1));
    }
    buf_printf(b,
               "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"The last hour: jobs "
               "left at most %.0f, jobs finished a minute at most %.0f\" "
               "preserveAspectRatio=\"none\">",
               W, H + 2, most_left, most_done);
    for (int i = 0; i < n; i++) {
        double h = web__f64(v, CALL_DEPTH, i, 1) / most_done * H;
        buf_printf(b, "<rect class=\"done\" x=\"%d\" y=\"%.1f\" width=\"9\" height=\"%.1f\"/>",
                   i * W / 60, H - h, h);
    }
    buf_puts(b, "<polyline class=\"left\" points=\"");
    for (int i = 0; i < n; i++) {
        buf_printf(b, "%.1f,%.1f ", (i + 0.5) * W / 60,
                   H + 1 - web__f64(v, CALL_DEPTH, i, 0) / most_left * H);
    }
    buf_printf(b,
               "\"/></svg><figcaption>The last hour: <span class=\"key left\">jobs left, at most "
               "%.0f</span>, <span class=\"key done\">finished a minute, at most %.0f</span>"
               "</figcaption></figure>\n",
               most_left, most_done);
}

static void pauses(struct web_view *v, struct buf *b)
{
    if (db_rows(v->u, CALL_PAUSES) == 0) {
        return;
    }
    web__table(b, "What is paused", "Queue|Kind|Athlete|#Since|");
    for (int i = 0; i < db_rows(v->u, CALL_PAUSES); i++) {
        const char *queue = web__str(v, CALL_PAUSES, i, 0), *kind = web__str(v, CALL_PAUSES, i, 1);
        bool all = db_is_null(v->u, CALL_PAUSES, i, 2);
        web__row(b);
        web__text_cell(v, b, CALL_PAUSES, i, 0);
        web__cell(b);
        web__text(b, kind ? kind : "any");
        web__cell(b);
        if (all) {
            buf_puts(b, "any");
        } else {
            web__html(b, "%d", web__i64(v, CALL_PAUSES, i, 2));
        }
        web__age_cell(b, web__f64(v, CALL_PAUSES, i, 3));
        web__cell(b);
        if (all && kind) {
            web__button(v, b, "resume", "Resume", false,
                        (const char *const[]){"queue", queue, "kind", kind, NULL});
        }
    }
    web__end_table(b);
}

/* Of the jobs that ended in the last quarter hour. */
static void times(const struct web_view *v, struct buf *b)
{
    web__table(b, "How long jobs wait and run, of those that ended in the last quarter hour",
               "Queue|#Wait p50|#p95|#p99|#Run p50|#p95|#p99|#Instances|#Slots|#Retried|#Died|"
               "#Rescued");
    for (int i = 0; i < db_rows(v->u, CALL_QUEUES); i++) {
        web__row(b);
        web__text_cell(v, b, CALL_QUEUES, i, Q_NAME);
        for (int col = Q_WAIT50; col <= Q_RUN99; col++) {
            web__age_cell(b, web__f64(v, CALL_QUEUES, i, col));
        }
        web__count_cell(v, b, CALL_QUEUES, i, Q_INSTANCES);
        web__count_cell(v, b, CALL_QUEUES, i, Q_SLOTS);
        for (int col = Q_RETRIED; col <= Q_RESCUED; col++) {
            web__count_cell(v, b, CALL_QUEUES, i, col);
        }
    }
    web__end_table(b);
}

void web__queues_draw(struct web_view *v, struct buf *b)
{
    int n = db_rows(v->u, CALL_QUEUES);
    double counted = 0;
    graph(v, b);
    web__table(b, "Queues",
               "Queue|#Ready|#Waiting|#Blocked|#Running|#Dead|#Oldest|#In|#Out|#Empty in|Held up "
               "by|");
    for (int i = 0; i < n; i++) {
        queue_row(v, b, i);
        counted = fmax(counted, web__f64(v, CALL_QUEUES, i, Q_COUNTED));
    }
    web__end_table(b);
    if (counted > 0) {
        buf_puts(b, "<p class=\"note\">So much is queued that it is counted only now and then: ");
        web__age(b, counted);
        buf_puts(b, " ago.</p>\n");
    }
    times(v, b);
    pauses(v, b);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

int web__lanes_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_lanes);
    return 0;
}

void web__lanes_draw(struct web_view *v, struct buf *b)
{
    buf_puts(b,
             "<p>Jobs of one lane run one after the other. Here are the longest, and those that a "
             "dead letter has stopped.</p>\n");
    web__table(b, "Lanes", "Lane|#Blocked|Head|Kind|State|#Attempt|#Since|Stopped by|");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        char id[32];
        web__row(b);
        web__text_cell(v, b, 1, i, 0);
        web__count_cell(v, b, 1, i, 1);
        web__cell(b);
        if (!db_is_null(v->u, 1, i, 2)) {
            web__job_link(b, web__i64(v, 1, i, 2));
        }
        web__text_cell(v, b, 1, i, 3);
        web__text_cell(v, b, 1, i, 4);
        web__count_cell(v, b, 1, i, 5);
        web__age_cell(b, web__f64(v, 1, i, 6));
        web__cell(b);
        if (db_is_null(v->u, 1, i, 7)) {
            web__cell(b);
            continue;
        }
        snprintf(id, sizeof(id), "%lld", (long long)web__i64(v, 1, i, 7));
        web__job_link(b, web__i64(v, 1, i, 7));
        web__cell(b);
        web__button(v, b, "retry", "Retry it", false, (const char *const[]){"id", id, NULL});
        web__button(v, b, "discard", "Discard it", true, (const char *const[]){"id", id, NULL});
    }
    web__end_table(b);
}

/* ---- rates ----------------------------------------------------------------------------------- */

int web__rates_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_jobs_cmd_rates);
    return 0;
}

static void window(const struct web_view *v, struct buf *b, int i, int used, int cap, int left)
{
    int64_t n = web__i64(v, 1, i, used), of = web__i64(v, 1, i, cap);
    web__number_cell(b);
    web__html(b, "<meter min=\"0\" max=\"%d\" value=\"%d\" aria-label=\"used\"></meter> ",
              of > 0 ? of : (int64_t)1, n);
    web__count(b, n);
    buf_puts(b, " of ");
    web__count(b, of);
    web__number_cell(b);
    web__age(b, web__f64(v, 1, i, left));
}

void web__rates_draw(struct web_view *v, struct buf *b)
{
    buf_puts(b, "<p>Windows are quarter hours and days of UTC, shared by all instances.</p>\n");
    web__table(b, "Rates",
               "Rate|#Quarter hour|#New one in|#Day|#New one in|#Left, live|#Left, background|"
               "#Paused for");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        web__row(b);
        web__text_cell(v, b, 1, i, 0);
        window(v, b, i, 1, 2, 7);
        window(v, b, i, 3, 4, 8);
        web__count_cell(v, b, 1, i, 5);
        web__count_cell(v, b, 1, i, 6);
        double paused = web__f64(v, 1, i, 10);
        web__age_cell(b, paused > 0 ? paused : NAN);
    }
    web__end_table(b);
}

/* ---- schedules ------------------------------------------------------------------------------- */

int web__cron_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_jobs_cmd_cron_list);
    return 0;
}

void web__cron_draw(struct web_view *v, struct buf *b)
{
    web__table(b, "Schedules", "Schedule|When|Zone|Queue|Kind|Next|Last|#Missed|Catches up|State|");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        const char *name = web__str(v, 1, i, 0);
        bool paused = web__i64(v, 1, i, 7) != 0, problem = !db_is_null(v->u, 1, i, 14);
        web__row(b);
        web__text_cell(v, b, 1, i, 0);
        web__cell(b);
        web__html(b, "<code class=\"short\">%s</code>", web__str(v, 1, i, 1));
        web__text_cell(v, b, 1, i, 2);
        web__text_cell(v, b, 1, i, 3);
        web__text_cell(v, b, 1, i, 4);
        for (int col = 9; col <= 11; col += 2) {
            web__cell(b);
            web__html(b, "<span class=\"short\">%s</span>", web__str(v, 1, i, col));
        }
        web__count_cell(v, b, 1, i, 12);
        web__text_cell(v, b, 1, i, 6);
        web__cell(b);
        if (problem) {
            web__html(b, "<span class=\"tag bad\">%s</span>", web__str(v, 1, i, 14));
        } else {
            buf_puts(b, paused ? "<span class=\"tag warn\">paused</span>" : "on");
        }
        web__cell(b);
        web__button(v, b, paused || problem ? "cron-resume" : "cron-pause",
                    paused || problem ? "Resume" : "Pause", false,
                    (const char *const[]){"name", name, NULL});
        web__button(v, b, "cron-run", "Run now", false, (const char *const[]){"name", name, NULL});
    }
    web__end_table(b);
}

/* ---- instances ------------------------------------------------------------------------------- */

int web__instances_ask(struct web_view *v, struct db_unit *u, struct err *err)
{
    (void)v;
    (void)err;
    db_add(u, &SQL_web_instances);
    return 0;
}

void web__instances_draw(struct web_view *v, struct buf *b)
{
    enum { BEAT_OLD_S = 10 };
    web__table(b, "Instances",
               "#Instance|Host|#Pid|Version|Queue|#Slots|#Jobs running|#Finished in 5 min|"
               "#Failed in 5 min|#Heartbeat|#Up|State|");
    for (int i = 0; i < db_rows(v->u, 1); i++) {
        char id[32];
        bool draining = web__i64(v, 1, i, 7) != 0, silent = web__f64(v, 1, i, 8) > BEAT_OLD_S;
        snprintf(id, sizeof(id), "%lld", (long long)web__i64(v, 1, i, 0));
        web__row(b);
        web__number_cell(b);
        web__text(b, id);
        web__text_cell(v, b, 1, i, 1);
        web__number_cell(b);
        web__html(b, "%d", web__i64(v, 1, i, 2));
        web__text_cell(v, b, 1, i, 3);
        web__text_cell(v, b, 1, i, 4);
        web__count_cell(v, b, 1, i, 5);
        web__count_cell(v, b, 1, i, 6);
        web__count_cell(v, b, 1, i, 10);
        web__count_cell(v, b, 1, i, 11);
        web__age_cell(b, web__f64(v, 1, i, 8));
        web__age_cell(b, web__f64(v, 1, i, 9));
        web__cell(b);
        buf_puts(b, silent     ? "<span class=\"tag bad\">silent</span>"
                    : draining ? "<span class=\"tag warn\">drained</span>"
                               : "works");
        web__cell(b);
        web__button(v, b, draining ? "undrain" : "drain", draining ? "Claim again" : "Drain", false,
                    (const char *const[]){"id", id, NULL});
    }
    web__end_table(b);
}
