/* The subscription to events: found, made, moved, removed; and that none is removed before our own
 * address answers. */
#include "fake/fetch_script.h"
#include "flow/rig.h"
#include "ingest/ingest.h"

#define API   "https://strava.test/api/v3"
#define LIST  API "/push_subscriptions"
#define OURS  "https://trails.test/hook/0123456789abcdef"
#define THEIR "https://old.test/hook?key=1"
#define WORD  "wordwordwordwordwordwordwordword"

struct world {
    struct rig r;
    struct fetch *fetch;
    struct ingest_subscription conf;
    struct ingest_subscribed got;
    struct op op;
};

static void begin_world(struct world *w)
{
    struct err err;
    const struct fetch_conf conf = {.user_agent = "Waymark/test"};
    *w = (struct world){.fetch = NULL};
    rig_open(&w->r);
    fetch_script_begin();
    w->fetch = fetch_open(w->r.loop, &conf, &err);
    assert_non_null(w->fetch);
    w->conf = (struct ingest_subscription){.pool = w->r.pool,
                                           .fetch = w->fetch,
                                           .client_id = "1001",
                                           .client_secret = "the-client-secret",
                                           .api_url = API,
                                           .callback_url = OURS,
                                           .keep = true};
}

static void end_world(struct world *w)
{
    struct op op;
    fetch_close(w->fetch, &op);
    rig_op(&w->r, &op);
    rig_close(&w->r);
    fetch_script_end();
    log_forget_secrets();
}

/* ---- scripts --------------------------------------------------------------------------------- */

static void expect_word(void)
{
    script_row(script_expect(RIG_WORK, "ingest_verify_token"), 0, "t", WORD);
}

static struct script_request *with_credentials(struct script_request *x)
{
    fetch_script_query(x, "client_id", "1001");
    fetch_script_query(x, "client_secret", "the-client-secret");
    return x;
}

static struct script_request *expect_list(const char *body)
{
    struct script_request *x = with_credentials(fetch_script_expect(FETCH_GET, LIST));
    fetch_script_reply(x, 200, body);
    return x;
}

static char *one(int id, const char *url)
{
    static char text[2][256];
    static unsigned turn;
    char *out = text[turn++ % 2];
    snprintf(out, sizeof(text[0]),
             "{\"id\":%d,\"resource_state\":2,\"callback_url\":\"%s\",\"created_at\":"
             "\"2018-11-29T21:46:21Z\"}",
             id, url);
    return out;
}

static char *list_of(const char *a, const char *b)
{
    static char text[600];
    snprintf(text, sizeof(text), "[%s%s%s]", a, b ? "," : "", b ? b : "");
    return text;
}

static struct script_request *expect_create(int status, const char *body)
{
    (void)script_expect(RIG_WORK, "ingest_subscription_forget");
    struct script_request *x = fetch_script_expect(FETCH_POST, LIST);
    fetch_script_form(x, "client_id", "1001");
    fetch_script_form(x, "client_secret", "the-client-secret");
    fetch_script_form(x, "callback_url", OURS);
    fetch_script_form(x, "verify_token", WORD);
    fetch_script_reply(x, status, body);
    return x;
}

static struct script_request *expect_remove(const char *id, int status)
{
    char url[128];
    snprintf(url, sizeof(url), LIST "/%s", id);
    struct script_request *x = with_credentials(fetch_script_expect(FETCH_DELETE, url));
    fetch_script_reply(x, status, "");
    return x;
}

static struct script_unit *expect_save(const char *id, const char *url, const char *moved)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_subscription_save");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, id ? id : "NULL");
    script_param(x, 0, 2, url ? url : "NULL");
    script_param(x, 0, 3, id ? "t" : "f");
    script_param(x, 0, 4, moved ? moved : "NULL");
    return x;
}

static char problem[600];

static void note_problem(const char *value)
{
    snprintf(problem, sizeof(problem), "%s", value);
    assert_null(strstr(value, "the-client-secret"));
    assert_null(strstr(value, "0123456789abcdef"));
    assert_null(strstr(value, WORD));
}

static void expect_problem(bool none_left, const char *alert)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_subscription_problem");
    script_flags(x, DB_TX);
    script_param_is(x, 0, 1, note_problem);
    script_param(x, 0, 2, none_left ? "t" : "f");
    script_param(x, 0, 3, alert ? alert : "NULL");
}

static void run(struct world *w)
{
    rig_flow(&w->r, ingest_subscribe_flow(&w->conf, &w->got), &w->op);
}

static void is_done(struct world *w, int what, int64_t id)
{
    assert_false(w->op.failed);
    assert_int_equal(w->got.what, what);
    assert_int_equal(w->got.id, id);
    end_world(w);
}

static void has_failed(struct world *w, enum err_class class, const char *text)
{
    assert_true(w->op.failed);
    assert_int_equal(w->op.err.class, class);
    if (!strstr(w->op.err.msg, text))
        fail_msg("\"%s\" lacks \"%s\"", w->op.err.msg, text);
    assert_string_equal(w->op.err.msg, problem);
    end_world(w);
}

/* ---- what there is --------------------------------------------------------------------------- */

static void test_kept(void **state)
{
    (void)state;
    struct world w;
    begin_world(&w);
    expect_word();
    expect_list(list_of(one(7, THEIR), one(8, OURS)));
    expect_save("8", OURS, NULL);
    run(&w);
    is_done(&w, INGEST_SUBSCRIPTION_KEPT, 8);
}

static void test_made(void **state)
{
    (void)state;
    struct world w;
    begin_world(&w);
    expect_word();
    expect_list("[]");
    expect_create(201, "{\"id\":120475}");
    expect_save("120475", OURS, NULL);
    run(&w);
    is_done(&w, INGEST_SUBSCRIPTION_MADE, 120475);
}

/* Another instance was first: what it made is ours. */
static void test_made_by_another(void **state)
{
    (void)state;
    struct world w;
    begin_world(&w);
    expect_word();
    expect_list("[]");
    expect_create(400, "{\"message\":\"Bad Request\",\"errors\":[{\"resource\":"
                       "\"PushSubscription\",\"field\":\"base\",\"code\":\"already exists\"}]}");
    expect_list(list_of(one(9, OURS), NULL));
    expect_save("9", OURS, NULL);
    run(&w);
    is_done(&w, INGEST_SUBSCRIPTION_KEPT, 9);
}

/* Only looked at where it is not to be kept, and where no events are wanted. */
static void test_left_alone(void **state)
{
    (void)state;
    const struct {
        bool keep, wanted, other;
        int what;
    } row[] = {
        {false, true, true, INGEST_SUBSCRIPTION_FOREIGN},
        {false, true, false, INGEST_SUBSCRIPTION_NONE},
        {true, false, true, INGEST_SUBSCRIPTION_FOREIGN},
        {true, false, false, INGEST_SUBSCRIPTION_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        begin_world(&w);
        w.conf.keep = row[i].keep;
        w.conf.callback_url = row[i].wanted ? OURS : NULL;
        expect_word();
        expect_list(row[i].other ? list_of(one(7, THEIR), NULL) : "[]");
        expect_save(NULL, NULL, NULL);
        run(&w);
        is_done(&w, row[i].what, 0);
    }
}

/* ---- moved ----------------------------------------------------------------------------------- */

static char challenge[64];

static struct script_request *expect_challenge(void)
{
    struct script_request *x = fetch_script_expect(FETCH_GET, OURS);
    fetch_script_query(x, "hub.mode", "subscribe");
    fetch_script_query(x, "hub.challenge", NULL);
    fetch_script_query(x, "hub.verify_token", WORD);
    return x;
}

static void echo(void *ctx)
{
    char body[128];
    snprintf(challenge, sizeof(challenge), "%s", fetch_script_query_sent(ctx, "hub.challenge"));
    snprintf(body, sizeof(body), "{\"hub.challenge\":\"%s\"}", challenge);
    fetch_script_reply(ctx, 200, body);
}

static void test_moved(void **state)
{
    (void)state;
    static const int removed[] = {204, 404};
    for (size_t i = 0; i < COUNT_OF(removed); i++) {
        struct world w;
        begin_world(&w);
        expect_word();
        expect_list(list_of(one(7, THEIR), NULL));
        struct script_request *x = expect_challenge();
        fetch_script_on_asked(x, echo, x);
        expect_remove("7", removed[i]);
        expect_create(201, "{\"id\":8}");
        expect_save("8", OURS, "old.test");
        run(&w);
        assert_int_equal(strlen(challenge), 32);
        assert_string_equal(w.got.where, "old.test");
        is_done(&w, INGEST_SUBSCRIPTION_MOVED, 8);
    }
}

/* Whatever keeps our address from answering, the other one stays. */
static void test_not_moved_to_nowhere(void **state)
{
    (void)state;
    const struct {
        int status; /* 0: no answer */
        const char *body, *says;
    } row[] = {
        {0, NULL, "trails.test"},
        {404, "", "404"},
        {200, "{\"hub.challenge\":\"another\"}", "something else"},
        {200, "<html>", "something else"},
        {200, "", "something else"},
        {403, "{\"hub.challenge\":\"another\"}", "403"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        begin_world(&w);
        expect_word();
        expect_list(list_of(one(7, THEIR), NULL));
        struct script_request *x = expect_challenge();
        if (row[i].status)
            fetch_script_reply(x, row[i].status, row[i].body);
        else
            fetch_script_fails(x, FETCH_CONNECT);
        expect_problem(true, NULL);
        run(&w);
        assert_non_null(strstr(w.op.err.msg, row[i].says));
        has_failed(&w, ERR_RETRY, "old.test");
    }
}

/* ---- removed --------------------------------------------------------------------------------- */

static void test_removed(void **state)
{
    (void)state;
    const struct {
        const char *list, *id;
        int status;
    } row[] = {
        {"[{\"id\":7,\"callback_url\":\"" OURS "\"}]", "7", 204},
        {"[{\"id\":7,\"callback_url\":\"" THEIR "\"}]", "7", 404},
        {"[]", NULL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        begin_world(&w);
        expect_word();
        expect_list(row[i].list);
        if (row[i].id)
            expect_remove(row[i].id, row[i].status);
        expect_save(NULL, NULL, NULL);
        rig_flow(&w.r, ingest_unsubscribe_flow(&w.conf, &w.got), &w.op);
        is_done(&w, row[i].id ? INGEST_SUBSCRIPTION_REMOVED : INGEST_SUBSCRIPTION_NONE, 0);
    }
}

/* ---- what Strava may say instead ------------------------------------------------------------- */

#define FAULT(resource, field, code)                                                               \
    "{\"message\":\"m\",\"errors\":[{\"resource\":\"" resource "\",\"field\":\"" field             \
    "\",\"code\":\"" code "\"}]}"

static void test_refused(void **state)
{
    (void)state;
    const struct {
        int status; /* 0: no answer */
        const char *body;
        enum err_class class;
        const char *says;
    } row[] = {
        {0, NULL, ERR_RETRY, "strava.test"},
        {500, "<html>", ERR_RETRY, "500"},
        {429, "", ERR_RETRY, "429"},
        {401, "{\"message\":\"Authorization Error\",\"errors\":[]}", ERR_PERMANENT,
         "strava.client_secret"},
        {400, FAULT("Application", "client_id", "invalid"), ERR_PERMANENT, "strava.client_id"},
        {403, FAULT("Application", "Status", "Inactive"), ERR_PERMANENT, "switched"},
        {404, "", ERR_PERMANENT, "404"},
        {200, "{}", ERR_RETRY, "no sense"},
        {200, "[{\"id\":\"7\"}]", ERR_RETRY, "no sense"},
        {200, "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", ERR_RETRY, "no sense"},
        {200, "", ERR_RETRY, "no sense"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        begin_world(&w);
        expect_word();
        struct script_request *x = with_credentials(fetch_script_expect(FETCH_GET, LIST));
        if (row[i].status)
            fetch_script_reply(x, row[i].status, row[i].body);
        else
            fetch_script_fails(x, FETCH_TIMEOUT);
        expect_problem(false, NULL);
        run(&w);
        has_failed(&w, row[i].class, row[i].says);
    }
}

static void test_our_address_is_not_reached(void **state)
{
    (void)state;
    struct world w;
    begin_world(&w);
    expect_word();
    expect_list("[]");
    expect_create(400, FAULT("PushSubscription", "callback url", "not verifiable"));
    expect_problem(true, NULL);
    run(&w);
    has_failed(&w, ERR_RETRY, "callback url: not verifiable");
    /* Strange answers to the others. */
    for (int at_removal = 0; at_removal < 2; at_removal++) {
        begin_world(&w);
        expect_word();
        expect_list(at_removal ? list_of(one(7, THEIR), NULL) : "[]");
        if (at_removal) {
            struct script_request *x = expect_challenge();
            fetch_script_on_asked(x, echo, x);
            expect_remove("7", 500);
        } else {
            expect_create(201, "{\"id\":-1}");
        }
        expect_problem(true, NULL);
        run(&w);
        has_failed(&w, ERR_RETRY, at_removal ? "500" : "no sense");
    }
}

/* ---- as a job -------------------------------------------------------------------------------- */

static void open_job(struct world *w, int attempt)
{
    begin_world(w);
    ingest_subscribe_kind(&w->conf, &w->r.kinds[0]);
    struct jobs_conf conf = rig_conf();
    conf.concurrency = 1;
    rig_queue(&w->r, &conf, 1);
    script_always(RIG_WORK, "jobs_hint");
    struct script_unit *x = rig_claim();
    rig_add_job(x, &(struct rig_job){.kind = "strava.subscribe",
                                     .payload = "{}",
                                     .id = 1,
                                     .attempt = attempt,
                                     .max_attempts = 5});
    rig_claim_tail(x, -1, false);
}

static void end_job(struct world *w, uint64_t finished)
{
    rig_start(&w->r);
    rig_play(&w->r);
    assert_int_equal(jobs_counts(w->r.jobs).finished, finished);
    rig_drain(&w->r);
    end_world(w);
}

static void test_job(void **state)
{
    (void)state;
    struct world w;
    open_job(&w, 1);
    expect_word();
    expect_list(list_of(one(8, OURS), NULL));
    rig_expect_finish("jobs_finish ingest_subscription_save", "{1}", "{1}");
    rig_claim_empty();
    end_job(&w, 1);
    /* A service that has nothing to do with Strava clears it away. */
    open_job(&w, 1);
    w.conf.fetch = NULL;
    rig_expect_finish("jobs_finish", "{1}", "{1}");
    rig_claim_empty();
    end_job(&w, 1);
}

/* What may pass is tried again, and told when it does not pass; after the last attempt, and when it
 * cannot pass, it is left until tomorrow. */
static void test_job_that_fails(void **state)
{
    (void)state;
    const struct {
        int attempt, status;
        const char *alert;
        bool ends;
    } row[] = {
        {1, 500, NULL, false},
        {4, 500, NULL, false},
        {5, 500, "unreachable", true},
        {1, 401, "credentials", true},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        open_job(&w, row[i].attempt);
        expect_word();
        struct script_request *x = with_credentials(fetch_script_expect(FETCH_GET, LIST));
        fetch_script_reply(x, row[i].status, "");
        char attempt[8];
        snprintf(attempt, sizeof(attempt), "{%d}", row[i].attempt);
        struct script_unit *u =
            row[i].ends
                ? rig_expect_finish("jobs_finish ingest_subscription_problem", "{1}", attempt)
                : script_expect(RIG_WORK, "ingest_subscription_problem");
        script_param_is(u, row[i].ends, 1, note_problem);
        script_param(u, row[i].ends, 3, row[i].alert ? row[i].alert : "NULL");
        if (row[i].ends)
            rig_claim_empty();
        else
            rig_expect_requeue("{1}", false);
        end_job(&w, row[i].ends);
    }
}

static void test_cancelled(void **state)
{
    (void)state;
    struct world w;
    begin_world(&w);
    expect_word();
    struct script_request *x = with_credentials(fetch_script_expect(FETCH_GET, LIST));
    fetch_script_never(x);
    flow_call(ingest_subscribe_flow(&w.conf, &w.got), &w.op);
    rig_wait(&w.r, 10);
    assert_true(fetch_script_asked(x));
    op_cancel(&w.op);
    rig_op(&w.r, &w.op);
    assert_int_equal(w.op.err.code, UV_ECANCELED);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_made_by_another),
        cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_not_moved_to_nowhere),
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_our_address_is_not_reached),
        cmocka_unit_test(test_job),
        cmocka_unit_test(test_job_that_fails),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
