/* Alerts: out to the destinations, sent to one, the look every hour and its schedule. */
#include "alert/internal.h"
#include "fake/fetch_script.h"
#include "flow/rig.h"

#define SLACK_URL "https://slack.test/services/s3cret"

struct world {
    struct rig r;
    struct fetch *fetch;
    struct alert *alert;
};

static char *logged;
static size_t nlogged;
static FILE *log_file;

static void open_world(struct world *w, bool configured)
{
    struct err err;
    *w = (struct world){.fetch = NULL};
    rig_open(&w->r);
    fetch_script_begin();
    log_file = open_memstream(&logged, &nlogged);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, log_file);
    w->fetch = fetch_open(w->r.loop, &(struct fetch_conf){.user_agent = "test"}, &err);
    assert_non_null(w->fetch);
    const struct alert_conf conf = {
        .url = {[ALERT_SLACK] = configured ? SLACK_URL : NULL,
                [ALERT_NTFY] = configured ? "http://ntfy.test/t0pic" : ""},
        .instance = "here",
        .queue = "trails",
        .quiet_after_ms = 90000,
    };
    w->alert = alert_open(w->r.loop, w->r.pool, w->fetch, &conf);
    alert_kinds(w->alert, w->r.kinds);
    const struct jobs_conf jobs = rig_conf();
    rig_queue(&w->r, &jobs, ALERT_KINDS);
}

static const char *log_text(void)
{
    (void)fflush(log_file);
    return logged;
}

static void close_world(struct world *w)
{
    struct op op;
    w->alert = alert_free(w->alert);
    fetch_close(w->fetch, &op);
    rig_op(&w->r, &op);
    rig_close(&w->r);
    fetch_script_end();
    assert_null(strstr(log_text(), "s3cret"));
    assert_null(strstr(log_text(), "t0pic"));
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, stderr);
    (void)fclose(log_file);
    free(logged);
}

static void end_world(struct world *w)
{
    rig_play(&w->r);
    rig_drain(&w->r);
    close_world(w);
}

static void claim(const char *kind, int attempt, const char *payload)
{
    struct script_unit *x = rig_claim();
    rig_add_job(
        x, &(struct rig_job){
               .kind = kind, .payload = payload, .id = 7, .attempt = attempt, .max_attempts = 8});
    rig_claim_tail(x, -1, false);
}

static const char *message(struct world *w, const char *to, int64_t age_s)
{
    char at[40];
    time_format_iso(clock_wall_us() - age_s * 1000000, at);
    return arena_printf(w->r.arena,
                        "{\"to\": \"%s\", \"key\": \"k\", \"bad\": true, \"title\": \"T\", "
                        "\"body\": \"B\", \"at\": \"%s\"}",
                        to, at);
}

/* New jobs may be there: a look, and word to the others. */
static void expect_hint(void)
{
    (void)script_always(RIG_WORK, "jobs_hint");
    (void)rig_claim_empty();
}

/* ---- trouble --------------------------------------------------------------------------------- */

enum trouble { RETRY, LOST, PERMANENT, BUG, TIMEOUT, CANCEL, TROUBLES };

static void make_trouble(struct script_unit *x, enum trouble t)
{
    switch (t) {
    case RETRY:
        script_fails(x, "53300", "too many connections");
        break;
    case LOST:
        script_commit_unknown(x);
        break;
    case PERMANENT:
        script_fails(x, "22P02", "invalid input");
        break;
    case BUG:
        script_fails(x, "42P01", "relation does not exist");
        break;
    default:
        script_silent(x);
    }
}

/* x is the last unit of the job's flow; then its fate. */
static void play_trouble(struct world *w, struct script_unit *x, enum trouble t)
{
    make_trouble(x, t);
    if (t == CANCEL) {
        rig_start(&w->r);
        rig_until_asked(&w->r, x);
        rig_expect_requeue("{7}", true);
        rig_drain(&w->r);
        close_world(w);
        return;
    }
    if (t == PERMANENT || t == BUG) {
        rig_expect_bury("{7}", t == BUG ? "bug" : "permanent");
    } else {
        rig_expect_requeue("{7}", false);
    }
    rig_start(&w->r);
    end_world(w);
}

/* ---- out to the destinations ----------------------------------------------------------------- */

static struct script_unit *expect_fan(const char *to)
{
    claim("alert", 1, "{\"key\": \"queue:dead\"}");
    struct script_unit *x = rig_expect_finish("jobs_finish alert_fan", "{7}", "{1}");
    script_param(x, 1, 1, "{\"key\": \"queue:dead\"}");
    script_param(x, 1, 2, to);
    script_param(x, 1, 3, "7");
    return x;
}

static void test_fan(void **state)
{
    (void)state;
    struct world w;
    for (int told = 0; told < 2; told++) {
        for (int configured = 0; configured < 2; configured++) {
            open_world(&w, configured);
            struct script_unit *x = expect_fan(configured ? "{slack,ntfy}" : "{}");
            if (told) {
                script_row(x, 1, "tbt", "queue:dead", 1, "Jobs have failed");
            }
            expect_hint();
            rig_start(&w.r);
            rig_play(&w.r);
            assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
            /* Said once, and only when nobody hears of it otherwise. */
            assert_int_equal(strstr(log_text(), "Jobs have failed") != NULL, told && !configured);
            end_world(&w);
        }
    }
    for (int t = 0; t < TROUBLES; t++) {
        open_world(&w, true);
        play_trouble(&w, expect_fan("{slack,ntfy}"), (enum trouble)t);
    }
}

/* ---- one message ----------------------------------------------------------------------------- */

static struct script_request *expect_post(void)
{
    struct script_request *x = fetch_script_expect(FETCH_POST, SLACK_URL);
    fetch_script_header(x, "Content-Type", "application/json");
    fetch_script_body(x, "{\"text\":\":red_circle: *T*\\nB\",\"unfurl_links\":false}");
    return x;
}

static struct script_unit *expect_sent(void)
{
    return rig_expect_finish("jobs_finish", "{7}", "{1}");
}

static void test_sent(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, true);
    claim("alert.send", 1, message(&w, "slack", 10));
    (void)expect_post();
    (void)expect_sent();
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(alert_count(w.alert, ALERT_SLACK, ALERT_SENT), 1);
    assert_int_equal(alert_count(w.alert, ALERT_NTFY, ALERT_SENT), 0);
    end_world(&w);

    open_world(&w, true);
    claim("alert.send", 1, message(&w, "ntfy", 86390));
    struct script_request *x = fetch_script_expect(FETCH_POST, "http://ntfy.test/t0pic");
    fetch_script_header(x, "Content-Type", "text/plain; charset=utf-8");
    fetch_script_header(x, "Title", "T");
    fetch_script_header(x, "Priority", "high");
    fetch_script_header(x, "Tags", "warning");
    fetch_script_body(x, "B");
    fetch_script_reply(x, 204, "");
    (void)expect_sent();
    rig_start(&w.r);
    end_world(&w);
}

/* Nobody is asked anything: the job ends, and a line says so. */
static void test_dropped(void **state)
{
    (void)state;
    struct world w;
    static const struct {
        const char *to;
        int64_t age_s;
        enum alert_to kind;
        const char *line;
    } row[] = {{"slack", 86410, ALERT_SLACK, "too old"},
               {"discord", 10, ALERT_DISCORD, "no address any more"}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        open_world(&w, true);
        claim("alert.send", 1, message(&w, row[i].to, row[i].age_s));
        (void)expect_sent();
        rig_start(&w.r);
        rig_play(&w.r);
        assert_int_equal(alert_count(w.alert, row[i].kind, ALERT_DROPPED), 1);
        assert_non_null(strstr(log_text(), row[i].line));
        end_world(&w);
    }
}

static double delay_low, delay_high;
static const char *error_part;

static void check_delay(const char *value)
{
    double s = strtod(value + 1, NULL);
    assert_int_equal(value[0], '{');
    assert_true(s >= delay_low && s <= delay_high);
}

static void check_error(const char *value)
{
    assert_non_null(value);
    assert_non_null(strstr(value, error_part));
    assert_null(strstr(value, "s3cret"));
    assert_null(strstr(value, "services"));
}

/* Back, with its attempt spent or not, after so many seconds, up to a fifth more. */
static void expect_back(bool refund, double seconds, const char *part)
{
    struct script_unit *x = rig_expect_requeue("{7}", refund);
    delay_low = seconds;
    delay_high = seconds * 1.2;
    error_part = part;
    script_param_is(x, 0, 3, check_delay);
    if (!refund) {
        script_param_is(x, 0, 4, check_error);
    }
}

static void test_tried_again(void **state)
{
    (void)state;
    static const struct {
        int attempt, status;
        const char *retry_after;
        bool refund;
        double seconds;
    } row[] = {{1, 503, NULL, false, 30}, {3, 500, NULL, false, 480}, {7, 502, NULL, false, 14400},
               {1, 429, "90", true, 90},  {2, 429, NULL, true, 120},  {1, 503, "7200", false, 3600},
               {1, 408, NULL, false, 30}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        open_world(&w, true);
        claim("alert.send", row[i].attempt, message(&w, "slack", 10));
        struct script_request *x = expect_post();
        fetch_script_reply(x, row[i].status, "no");
        if (row[i].retry_after) {
            fetch_script_reply_header(x, "Retry-After", row[i].retry_after);
        }
        expect_back(row[i].refund, row[i].seconds, "alert.slack_url (https://slack.test)");
        rig_start(&w.r);
        rig_play(&w.r);
        assert_int_equal(alert_count(w.alert, ALERT_SLACK, ALERT_FAILED), 1);
        end_world(&w);
    }
    static const enum fetch_failure failure[] = {FETCH_RESOLVE, FETCH_CONNECT, FETCH_TLS,
                                                 FETCH_TIMEOUT, FETCH_BROKEN,  FETCH_PROTOCOL};
    for (size_t i = 0; i < COUNT_OF(failure); i++) {
        struct world w;
        open_world(&w, true);
        claim("alert.send", 1, message(&w, "slack", 10));
        fetch_script_fails(expect_post(), failure[i]);
        expect_back(false, 30, "alert.slack_url (https://slack.test)");
        rig_start(&w.r);
        end_world(&w);
    }
}

static void test_last_attempt(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, true);
    claim("alert.send", 8, message(&w, "slack", 10));
    fetch_script_reply(expect_post(), 503, "no");
    struct script_unit *x = script_expect(RIG_WORK, "jobs_requeue jobs_bury");
    script_param(x, 1, 1, "{7}");
    script_param(x, 1, 3, "attempts");
    rig_start(&w.r);
    end_world(&w);
}

static void test_refused(void **state)
{
    (void)state;
    static const int status[] = {301, 400, 401, 403, 404, 410, 413};
    for (size_t i = 0; i < COUNT_OF(status); i++) {
        struct world w;
        open_world(&w, true);
        claim("alert.send", 1, message(&w, "slack", 10));
        fetch_script_reply(expect_post(), status[i], "invalid_token s3cret");
        struct script_unit *x = rig_expect_bury("{7}", "permanent");
        error_part = "alert.slack_url (https://slack.test)";
        script_param_is(x, 0, 4, check_error);
        rig_start(&w.r);
        rig_play(&w.r);
        assert_int_equal(alert_count(w.alert, ALERT_SLACK, ALERT_REFUSED), 1);
        end_world(&w);
    }
    struct world w;
    open_world(&w, true);
    claim("alert.send", 1, "{\"to\": \"slack\"}");
    rig_expect_bury("{7}", "bug");
    rig_start(&w.r);
    end_world(&w);
}

static bool is_asked(void *ctx)
{
    return fetch_script_asked(ctx);
}

/* Nobody answers: our own deadline; and a service that stops meanwhile. */
static void test_silence(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, true);
    claim("alert.send", 1, message(&w, "slack", 10));
    fetch_script_never(expect_post());
    expect_back(false, 30, "alert.slack_url (https://slack.test)");
    rig_start(&w.r);
    rig_play(&w.r);
    assert_in_range(w.r.now_ms, ALERT_SEND_MS, ALERT_SEND_MS + 3000);
    end_world(&w);

    open_world(&w, true);
    claim("alert.send", 1, message(&w, "slack", 10));
    struct script_request *x = expect_post();
    fetch_script_never(x);
    rig_start(&w.r);
    rig_until(&w.r, is_asked, x);
    rig_expect_requeue("{7}", true); /* its deadline is shorter than the grace of a drain */
    rig_drain(&w.r);
    close_world(&w);
}

/* Sent, and then the end of its job is in trouble: it goes back like any other. */
static void test_trouble_after_sending(void **state)
{
    (void)state;
    for (int t = 0; t < TROUBLES; t++) {
        struct world w;
        open_world(&w, true);
        claim("alert.send", 1, message(&w, "slack", 10));
        (void)expect_post();
        play_trouble(&w, expect_sent(), (enum trouble)t);
    }
}

/* ---- the look -------------------------------------------------------------------------------- */

static struct script_unit *expect_watch(void)
{
    claim("alert.watch", 1, "{\"slot\": \"2026-11-28T22:07:00Z\"}");
    struct script_unit *x = rig_expect_finish("jobs_finish alert_watch", "{7}", "{1}");
    script_param(x, 1, 1, "90");
    return x;
}

static void test_watch(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, true);
    (void)expect_watch();
    expect_hint();
    rig_start(&w.r);
    rig_play(&w.r);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    end_world(&w);
    for (int t = 0; t < TROUBLES; t++) {
        open_world(&w, true);
        play_trouble(&w, expect_watch(), (enum trouble)t);
    }
}

static void test_schedule(void **state)
{
    (void)state;
    static const enum err_class class[] = {ERR_RETRY, ERR_RETRY, ERR_PERMANENT,
                                           ERR_BUG,   ERR_RETRY, ERR_RETRY};
    for (int t = -1; t < TROUBLES; t++) {
        struct world w;
        struct op op;
        open_world(&w, false);
        struct script_unit *x = script_expect(RIG_WORK, "alert_watch_ensure");
        script_param(x, 0, 1, "trails");
        if (t >= 0) {
            make_trouble(x, (enum trouble)t);
        }
        flow_call(alert_start_flow(w.alert), &op);
        if (t == CANCEL) {
            rig_until_asked(&w.r, x);
            op_cancel(&op);
        }
        rig_op(&w.r, &op);
        assert_int_equal(op.failed, t >= 0);
        if (t >= 0) {
            assert_int_equal(op.err.class, class[t]);
        }
        close_world(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fan),          cmocka_unit_test(test_sent),
        cmocka_unit_test(test_dropped),      cmocka_unit_test(test_tried_again),
        cmocka_unit_test(test_last_attempt), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_silence),      cmocka_unit_test(test_trouble_after_sending),
        cmocka_unit_test(test_watch),        cmocka_unit_test(test_schedule),
    };
    return cmocka_run_group_tests_name("alerts", tests, NULL, NULL);
}
