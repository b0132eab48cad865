/* waymark alert test, alert list. */
#include "alert/alert.h"
#include "cli/cmd_jobs.h"

/* ---- test: without the database, which may be what is amiss ---------------------------------- */

struct test_flow {
    struct flow f;
    struct cli *c;
    struct fetch *fetch;
    struct alert *alert;
    bool asked[ALERT_TOS];
    struct op sent[ALERT_TOS];
    struct gather all;
};
#define TEST_STEPS(STEP)                                                                           \
    STEP(test, send)                                                                               \
    STEP(test, report)
FLOW_STEPS(test, TEST_STEPS);

static struct test_flow *test_of(struct flow *f)
{
    return container_of(f, struct test_flow, f);
}

static enum flow_next test_send(struct flow *f)
{
    struct test_flow *t = test_of(f);
    const struct alert_message m = {
        .key = "test",
        .title = "A test of alerts",
        .body = "Somebody ran \"waymark alert test\": what Waymark has to tell arrives here.",
        .at_us = clock_wall_us(),
    };
    gather_init(&t->all, f->loop, f->arena, ALERT_TOS);
    for (int to = 0; to < ALERT_TOS; to++) {
        if (t->asked[to]) {
            flow_call(alert_deliver_flow(t->alert, (enum alert_to)to, &m), &t->sent[to]);
            gather_add(&t->all, &t->sent[to]);
        }
    }
    return flow_wait_any(f, &t->all.op, test_STEP_report, 0);
}

static const char *origin_of(const struct test_flow *t, int to)
{
    return alert_origin(app_alert_conf(t->c->config).url[to], t->c->arena);
}

static void report_json(const struct test_flow *t)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_array(&j, NULL);
    for (int to = 0; to < ALERT_TOS; to++) {
        if (t->asked[to]) {
            jo_begin_object(&j, NULL);
            jo_str(&j, "destination", alert_name((enum alert_to)to));
            jo_str(&j, "at", origin_of(t, to));
            jo_bool(&j, "sent", !t->sent[to].failed);
            jo_str(&j, "error", t->sent[to].failed ? t->sent[to].err.msg : NULL);
            jo_end_object(&j);
        }
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
}

static enum flow_next test_report(struct flow *f)
{
    struct test_flow *t = test_of(f);
    static const char *const head[] = {"destination", "at", "result"};
    struct cli_table table;
    cli_table_init(&table, t->c->arena, head, COUNT_OF(head));
    for (int to = 0; to < ALERT_TOS; to++) {
        if (!t->asked[to]) {
            continue;
        }
        const char **cell = cli_table_row(&table);
        cell[0] = alert_name((enum alert_to)to);
        cell[1] = origin_of(t, to);
        cell[2] = t->sent[to].failed ? arena_strdup(t->c->arena, t->sent[to].err.msg) : "sent";
        t->c->status = t->sent[to].failed ? 1 : t->c->status;
    }
    if (t->c->json) {
        report_json(t);
        vec_done(&table.row);
    } else {
        cli_table_print(&table, stdout);
    }
    return FLOW_DONE;
}

static void test_end(struct flow *f)
{
    struct test_flow *t = test_of(f);
    t->alert = alert_free(t->alert);
}

static const struct flow_def test_def = {"alert_test", test_steps, test_STEP_COUNT, test_end};

/* Which are meant: the one that is named, or all that are configured. */
static int choose(struct cli *c, const struct alert_conf *conf, bool asked[ALERT_TOS])
{
    enum alert_to one;
    bool named = c->noperands > 0, any = false;
    if (named && alert_by_name(span_of(c->operand[0]), &one) != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "there is no destination \"%s\": discord, slack, teams, ntfy or webhook",
                       c->operand[0]);
    }
    for (int to = 0; to < ALERT_TOS; to++) {
        asked[to] = conf->url[to] && *conf->url[to] && (!named || (int)one == to);
        any = any || asked[to];
    }
    return any     ? 0
           : named ? err_set(&c->err, ERR_CONF, ERR_PERMANENT, "alert.%s_url is not set",
                             alert_name(one))
                   : err_set(&c->err, ERR_CONF, ERR_PERMANENT,
                             "no destination is configured: set alert.discord_url, slack_url, "
                             "teams_url, ntfy_url or webhook_url");
}

struct session {
    struct loop_signals *signals;
    struct fetch *fetch;
    struct op done, closed;
};

static void on_stop(void *ctx, int signum)
{
    struct session *s = ctx;
    (void)signum;
    op_cancel(&s->done);
}

static void on_done(struct op *op)
{
    struct session *s = op->waiter;
    fetch_close(s->fetch, &s->closed);
    loop_signals_close(s->signals);
}

int cli_alert_test(struct cli *c)
{
    const struct fetch_conf http = {.user_agent = "Waymark/" WAYMARK_VERSION};
    const struct alert_conf conf = app_alert_conf(c->config);
    bool asked[ALERT_TOS];
    struct session s = {.signals = NULL};
    if (choose(c, &conf, asked) != 0) {
        return -1;
    }
    struct loop *loop = loop_new(1, &c->err);
    if (!loop) {
        return -1;
    }
    s.fetch = fetch_open(loop, &http, &c->err);
    if (s.fetch) {
        struct test_flow *t = flow_new(loop, &test_def, sizeof(*t), 0);
        t->c = c;
        t->alert = alert_open(loop, NULL, s.fetch, &conf);
        memcpy(t->asked, asked, sizeof(asked));
        s.signals = loop_signals_open(loop, on_stop, NULL, &s);
        flow_call(&t->f, &s.done);
        op_await(&s.done, on_done, &s);
        loop_run(loop);
        if (s.done.failed) {
            c->err = s.done.err;
        }
    }
    loop_free(loop);
    return c->err.class == 0 ? 0 : -1;
}

/* ---- list ------------------------------------------------------------------------------------ */

enum { COL_KEY, COL_STATE, COL_BAD, COL_TITLE, COL_BODY, COL_SINCE, COL_TOLD };

static void list_json(const struct db_unit *u)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    char at[40];
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(u, 0); i++) {
        jo_begin_object(&j, NULL);
        jo_span(&j, "key", db_get_span(u, 0, i, COL_KEY));
        jo_span(&j, "state", db_get_span(u, 0, i, COL_STATE));
        jo_bool(&j, "bad", db_get_i64(u, 0, i, COL_BAD) != 0);
        jo_span(&j, "title", db_get_span(u, 0, i, COL_TITLE));
        jo_span(&j, "body", db_get_span(u, 0, i, COL_BODY));
        jo_str(&j, "since", time_format_iso(db_get_time_us(u, 0, i, COL_SINCE), at));
        if (db_is_null(u, 0, i, COL_TOLD)) {
            jo_null(&j, "told_at");
        } else {
            jo_str(&j, "told_at", time_format_iso(db_get_time_us(u, 0, i, COL_TOLD), at));
        }
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
}

static int list_show(struct cli *c, const struct db_unit *u)
{
    static const char *const head[] = {"about", "state", ">since", "what"};
    struct cli_table t;
    if (c->json) {
        list_json(u);
        return 0;
    }
    if (db_rows(u, 0) == 0) {
        puts("Nothing was amiss so far.");
        return 0;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(u, 0); i++) {
        const char **cell = cli_table_row(&t);
        int64_t age_us = clock_wall_us() - db_get_time_us(u, 0, i, COL_SINCE);
        cell[0] = db_get_text(u, 0, i, COL_KEY, c->arena);
        cell[1] = db_get_i64(u, 0, i, COL_BAD) ? "bad" : "good";
        cell[2] = cli__jobs_age(c, (double)age_us / 1e6);
        cell[3] = db_get_text(u, 0, i, COL_TITLE, c->arena);
    }
    cli_table_print(&t, stdout);
    return 0;
}

struct flow *cli_alert_list(struct cli *c)
{
    return cli__query_flow(c, &SQL_alert_list, NULL, list_show);
}
