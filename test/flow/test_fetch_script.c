/* The fake of the network: it answers as told, and lets nothing pass that it was not told. */
#include "fake/fetch_script.h"
#include "unit/base/helper.h"

struct stage {
    struct loop *l;
    struct fetch *f;
    struct arena *a;
};

static void stage_open(struct stage *g)
{
    struct err err;
    fetch_script_begin();
    g->l = loop_new(1, &err);
    assert_non_null(g->l);
    g->a = arena_new(0);
    g->f = fetch_open(g->l, &(struct fetch_conf){.user_agent = "test"}, &err);
    assert_non_null(g->f);
}

static void set(struct op *op)
{
    *(bool *)op->waiter = true;
}

static void wait_op(struct stage *g, struct op *op)
{
    bool done = false;
    op_await(op, set, &done);
    for (int i = 0; i < 100 && !done; i++) {
        uv_run(loop_uv(g->l), UV_RUN_NOWAIT);
    }
    assert_true(done);
}

static void stage_close(struct stage *g)
{
    struct op op;
    fetch_close(g->f, &op);
    wait_op(g, &op);
    loop_free(g->l);
    arena_free(g->a);
    fetch_script_end();
}

static void turn(struct stage *g)
{
    for (int i = 0; i < 5; i++) {
        uv_run(loop_uv(g->l), UV_RUN_NOWAIT);
    }
}

static void get(struct stage *g, struct fetch_req *r, const char *url)
{
    fetch_init(r, g->f, g->a, FETCH_GET, url);
    fetch_send(r);
    wait_op(g, &r->op);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void test_reply(void **state)
{
    (void)state;
    struct stage g;
    struct fetch_req r;
    struct err err;
    stage_open(&g);
    struct script_request *x = fetch_script_expect(FETCH_POST, "https://www.a.test/oauth/token");
    fetch_script_form(x, "grant_type", "refresh_token");
    fetch_script_form(x, "token", "a/b c");
    fetch_script_query(x, "page", "1");
    fetch_script_header(x, "Accept", "application/json");
    fetch_script_bearer(x, "t0ken");
    fetch_script_reply(x, 429, "slow down");
    fetch_script_reply_header(x, "X-RateLimit-Usage", "100,1000");
    fetch_script_reply_header(x, "Retry-After", "60");
    fetch_init(&r, g.f, g.a, FETCH_POST, "https://www.a.test/oauth/token?page=1");
    fetch_form(&r, "token", "a/b c");
    fetch_form(&r, "grant_type", "refresh_token");
    fetch_header(&r, "accept", "application/json");
    fetch_bearer(&r, "t0ken");
    fetch_send(&r);
    assert_int_equal(r.op.state, OP_PENDING); /* never in the caller's stack */
    assert_true(fetch_script_asked(x));
    assert_false(fetch_script_played());
    wait_op(&g, &r.op);
    assert_true(fetch_script_played());
    assert_false(r.op.failed);
    assert_int_equal(r.status, 429);
    assert_true(span_is(buf_span(&r.body), "slow down"));
    assert_string_equal(fetch_answer_header(&r, "x-ratelimit-usage"), "100,1000");
    assert_int_equal(r.retry_after_ms, 60000);
    assert_int_equal(fetch_class(&r, "refreshing", &err), -1);
    assert_int_equal(err.class, ERR_RETRY);
    fetch_done(&r);
    stage_close(&g);
}

static void test_order(void **state)
{
    (void)state;
    struct stage g;
    struct fetch_req r;
    stage_open(&g);
    struct script_request *always = fetch_script_always(FETCH_GET, "/status");
    fetch_script_reply(always, 204, "");
    fetch_script_reply(fetch_script_expect(FETCH_GET, "/one"), 200, "1");
    fetch_script_reply(fetch_script_expect(FETCH_GET, "/"), 200, "2");
    static const struct {
        const char *url, *body;
    } way[] = {{"https://a.test/status", ""},
               {"https://a.test/one", "1"},
               {"https://a.test/status", ""},
               {"https://a.test", "2"}};
    for (size_t i = 0; i < COUNT_OF(way); i++) {
        get(&g, &r, way[i].url);
        assert_true(span_is(buf_span(&r.body), way[i].body));
        fetch_done(&r);
    }
    assert_int_equal(fetch_script_times(always), 2);
    stage_close(&g);
}

static void test_failures(void **state)
{
    (void)state;
    struct stage g;
    struct fetch_req r;
    stage_open(&g);
    for (enum fetch_failure k = FETCH_RESOLVE; k < FETCH_CANCELLED; k++) {
        fetch_script_fails(fetch_script_expect(FETCH_GET, "/x"), k);
        get(&g, &r, "https://a.test/x");
        assert_true(r.op.failed);
        assert_int_equal(r.failure, k);
        assert_int_equal(r.op.err.class, k == FETCH_TOO_LARGE ? ERR_PERMANENT : ERR_RETRY);
        fetch_done(&r);
    }
    /* Limits and what is refused are those of the program. */
    fetch_script_reply(fetch_script_expect(FETCH_GET, "/x"), 200, "four");
    fetch_init(&r, g.f, g.a, FETCH_GET, "https://a.test/x");
    fetch_limits(&r, 1000, 3);
    fetch_send(&r);
    wait_op(&g, &r.op);
    assert_int_equal(r.failure, FETCH_TOO_LARGE);
    fetch_done(&r);
    get(&g, &r, "ftp://a.test/x");
    assert_int_equal(r.failure, FETCH_REFUSED);
    fetch_done(&r);
    stage_close(&g);
}

static void cancel(void *ctx)
{
    struct fetch_req *r = ctx;
    op_cancel(&r->op);
}

static void test_never(void **state)
{
    (void)state;
    struct stage g;
    struct fetch_req r;
    stage_open(&g);
    enum { AT_ONCE, WHEN_ASKED, LATER, ANSWERED, CLOSED };
    for (int when = AT_ONCE; when <= CLOSED; when++) {
        struct script_request *x = fetch_script_expect(FETCH_GET, "/x");
        fetch_script_never(x);
        if (when == WHEN_ASKED) {
            fetch_script_on_asked(x, cancel, &r);
        }
        fetch_init(&r, g.f, g.a, FETCH_GET, "https://a.test/x");
        fetch_send(&r);
        if (when != AT_ONCE && when != WHEN_ASKED) {
            turn(&g);
            assert_int_equal(r.op.state, OP_PENDING);
        }
        if (when == ANSWERED) {
            fetch_script_answer(x);
        } else if (when == CLOSED) {
            stage_close(&g);
            assert_int_equal(r.failure, FETCH_CANCELLED);
            fetch_done(&r);
            return;
        } else if (when != WHEN_ASKED) {
            op_cancel(&r.op);
        }
        wait_op(&g, &r.op);
        assert_int_equal(r.failure, when == ANSWERED ? FETCH_NONE : FETCH_CANCELLED);
        fetch_done(&r);
    }
}

/* ---- strictness ------------------------------------------------------------------------------ */

/* Whether such a test fails; tried in a child, whose report nobody wants. */
static bool fails(CMUnitTestFunction fn)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        const struct CMUnitTest tests[] = {{"test", fn, NULL, NULL, NULL}};
        _exit(cmocka_run_group_tests(tests, NULL, NULL) == 1 ? 3 : 4);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 3, 4);
    return WEXITSTATUS(status) == 3;
}

/* A script of one POST, and a request that differs from it in one thing. */
enum differs {
    NOTHING,
    METHOD,
    PATH,
    HOST,
    NO_QUERY,
    QUERY,
    MORE_QUERY,
    FORM,
    MORE_FORM,
    NO_FORM,
    HEADER,
    NO_HEADER,
    TOKEN,
    NO_TOKEN,
    TWICE,
    NOT_SENT,
    BASIC,
    BODY
};
static enum differs differs;

static void say(struct script_request *x)
{
    fetch_script_query(x, "q", "1");
    fetch_script_header(x, "X-A", "a");
    if (differs != BASIC) {
        fetch_script_bearer(x, "t0ken");
    }
    if (differs == BODY) {
        fetch_script_body(x, "{}");
    } else {
        fetch_script_form(x, "f", "1");
        fetch_script_form(x, "g", "2");
    }
}

static void ask(struct stage *g, struct fetch_req *r)
{
    fetch_init(r, g->f, g->a, differs == METHOD ? FETCH_PUT : FETCH_POST,
               differs == PATH   ? "https://a.test/other"
               : differs == HOST ? "https://b.test/x"
                                 : "https://a.test/x");
    if (differs != NO_QUERY) {
        fetch_query(r, "q", differs == QUERY ? "2" : "1");
    }
    if (differs == MORE_QUERY) {
        fetch_query(r, "q", "1");
    }
    if (differs == BODY) {
        fetch_body(r, "application/json", SPAN("{} "));
    } else if (differs != NO_FORM) {
        fetch_form(r, "f", "1");
        fetch_form(r, "g", differs == FORM ? "1" : "2");
    }
    if (differs == MORE_FORM) {
        fetch_form(r, "h", "3");
    }
    if (differs != NO_HEADER) {
        fetch_header(r, "X-A", differs == HEADER ? "b" : "a");
    }
    if (differs != NO_TOKEN) {
        fetch_bearer(r, differs == TOKEN ? "other" : "t0ken");
    }
    fetch_send(r);
}

static void play(void **state)
{
    (void)state;
    struct stage g;
    struct fetch_req r[2];
    stage_open(&g);
    say(fetch_script_expect(FETCH_POST, "https://a.test/x"));
    for (int i = 0; i < (differs == NOT_SENT ? 0 : differs == TWICE ? 2 : 1); i++) {
        ask(&g, &r[i]);
        wait_op(&g, &r[i].op);
        fetch_done(&r[i]);
    }
    stage_close(&g);
}

static void test_strict(void **state)
{
    (void)state;
    for (differs = NOTHING; differs <= BODY; differs++) {
        if (fails(play) != (differs != NOTHING)) {
            fail_msg("difference %d", differs);
        }
    }
}

static void leave_open(void **state)
{
    (void)state;
    struct stage g;
    stage_open(&g);
    fetch_script_end();
}

static void test_left_open(void **state)
{
    (void)state;
    assert_true(fails(leave_open));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_never),
        cmocka_unit_test(test_strict),   cmocka_unit_test(test_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
