/* Drain: what runs may end, what idles goes, what does not end is cut. Each test ends with a loop
 * that closes empty. */
#include "unit/httpd/rig.h"

static struct httpd_req *held;
static unsigned gone;

static void hold(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    held = r;
}

static void note_gone(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    gone++;
    httpd_text(r, 200, "dropped"); /* answering from inside is fine */
}

static void hold_and_hear(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_on_gone(r, note_gone, NULL);
    held = r;
}

static void say_ok(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "ok");
}

static struct rig *drain_rig(void)
{
    struct rig *g = rig_new(NULL);
    held = NULL;
    gone = 0;
    rig_route(g, HTTPD_GET, "/ok", say_ok, NULL);
    rig_route(g, HTTPD_GET, "/hold", hold, NULL);
    rig_route(g, HTTPD_GET, "/hear", hold_and_hear, NULL);
    return g;
}

static void on_drained(struct op *op)
{
    struct rig *g = op->waiter;
    g->drained = true;
}

static void drain(struct rig *g, int64_t grace_ms)
{
    httpd_drain(g->h, grace_ms, &g->drain);
    op_await(&g->drain, on_drained, g);
}

static void finish(struct rig *g)
{
    for (int i = 0; i < 3000 && !g->drained; i++)
        rig_turn(g, 1);
    assert_true(g->drained);
    assert_false(g->drain.failed);
    httpd_free(g->h);
    loop_free(g->l);
    mem_free(g);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_running_may_end(void **state)
{
    (void)state;
    struct rig *g = drain_rig();
    struct client *idle = ask(g, GET("/ok")), *fresh = client_open(g), *busy = client_open(g);
    client_send(busy, GET("/hold") GET("/ok"));
    for (int i = 0; i < 2000 && !held; i++)
        rig_turn(g, 1);
    drain(g, 5000);
    client_until_eof(idle);
    client_until_eof(fresh);
    assert_true(idle->eof && fresh->eof);
    rig_turn(g, 30);
    assert_false(g->drained);
    say_ok(held, NULL);
    client_until_eof(busy);
    assert_int_equal(client_status(busy, 0), 200);
    assert_has(busy->got.p, "Connection: close\r\n");
    assert_int_equal(client_status(busy, 1), 0);
    client_close(busy); /* ends the lingering */
    client_close(idle);
    client_close(fresh);
    finish(g);
}

static void test_half_a_request_may_end(void **state)
{
    (void)state;
    struct rig *g = drain_rig();
    struct client *c = client_open(g);
    client_send(c, "GET /ok HT");
    rig_turn(g, 10);
    drain(g, 5000);
    rig_turn(g, 20);
    client_send(c, "TP/1.1\r\nHost: a\r\n\r\n");
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 200);
    assert_has(c->got.p, "Connection: close\r\n");
    client_close(c);
    finish(g);
}

static void test_grace_ends(void **state)
{
    (void)state;
    struct rig *g = drain_rig();
    struct client *c = client_open(g);
    client_send(c, GET("/hear"));
    for (int i = 0; i < 2000 && !held; i++)
        rig_turn(g, 1);
    int64_t start = clock_mono_ms();
    drain(g, 50);
    client_until_eof(c);
    assert_true(clock_mono_ms() - start >= 49);
    assert_true(c->eof || c->reset);
    assert_int_equal(gone, 1);
    client_close(c);
    finish(g);
}

static void test_cancel_cuts(void **state)
{
    (void)state;
    struct rig *g = drain_rig();
    struct client *c = client_open(g);
    client_send(c, GET("/hear"));
    for (int i = 0; i < 2000 && !held; i++)
        rig_turn(g, 1);
    drain(g, 60000);
    rig_turn(g, 10);
    assert_false(g->drained);
    op_cancel(&g->drain);
    finish(g);
    assert_int_equal(gone, 1);
    client_close(c);
}

static void test_never_used(void **state)
{
    (void)state;
    struct rig *g = rig_bare(NULL);
    drain(g, 1000);
    finish(g);
    struct err err;
    assert_null(httpd_new(NULL, &(struct httpd_conf){.trusted = "nonsense"}, &err));
    assert_null(httpd_free(NULL));
}

/* ---- how a flow answers ------------------------------------------------------------------------
 */

struct reply {
    struct flow flow;
    struct httpd_req *r;
    struct timer_op delay;
};

#define REPLY_STEPS(STEP)                                                                          \
    STEP(reply, ask)                                                                               \
    STEP(reply, answer)
FLOW_STEPS(reply, REPLY_STEPS);

static enum flow_next reply_ask(struct flow *f)
{
    struct reply *p = container_of(f, struct reply, flow);
    timer_op_start(&p->delay, f->loop, 30); /* stands for a query */
    return flow_wait(f, &p->delay.op, reply_STEP_answer, 1000);
}

static enum flow_next reply_answer(struct flow *f)
{
    struct reply *p = container_of(f, struct reply, flow);
    struct httpd_req *r = p->r;
    p->r = NULL;
    httpd_text(r, 200, "from a flow");
    return FLOW_DONE;
}

/* Whatever became of the flow, the request is answered. */
static void reply_end(struct flow *f)
{
    struct reply *p = container_of(f, struct reply, flow);
    gone += f->cancelled;
    if (p->r)
        httpd_problem(p->r, 503, NULL, NULL, NULL);
}

static const struct flow_def reply_def = {"reply", reply_steps, reply_STEP_COUNT, reply_end};

static void cancel_reply(struct httpd_req *r, void *ctx)
{
    (void)r;
    flow_cancel(ctx);
}

static void start_reply(struct httpd_req *r, void *ctx)
{
    struct rig *g = ctx;
    struct reply *p = flow_new(g->l, &reply_def, sizeof(*p), 0);
    p->r = r;
    httpd_on_gone(r, cancel_reply, &p->flow);
    flow_start(&p->flow);
}

static void test_flow_answers(void **state)
{
    (void)state;
    struct rig *g = drain_rig();
    rig_route(g, HTTPD_GET, "/flow", start_reply, g);
    struct client *c = ask(g, GET("/flow"));
    assert_has(c->got.p, "\r\n\r\nfrom a flow");
    assert_int_equal(gone, 0);
    client_send(c, GET("/flow"));
    while (httpd_stats(g->h)->held == 0)
        rig_turn(g, 1);
    client_close(c);
    for (int i = 0; i < 2000 && loop_flow_count(g->l); i++)
        rig_turn(g, 1);
    assert_int_equal(gone, 1);
    assert_int_equal(httpd_stats(g->h)->held, 0);
    drain(g, 0);
    finish(g);
}

/* Two servers on one loop have their own routes and limits. */
static void test_two_servers(void **state)
{
    (void)state;
    struct rig *g = drain_rig(), other = {.l = g->l};
    struct err err = {0};
    other.h = httpd_new(g->l, &(struct httpd_conf){.max_connections = 1}, &err);
    assert_non_null(other.h);
    assert_int_equal(httpd_listen(other.h, "127.0.0.1:0", 0, &err), 0);
    rig_route(&other, HTTPD_GET, "/admin", say_ok, NULL);
    struct client *c = ask(&other, GET("/admin"));
    assert_int_equal(client_status(c, 0), 200);
    client_close(c);
    c = ask(g, GET("/admin"));
    assert_int_equal(client_status(c, 0), 404);
    client_close(c);
    drain(&other, 0);
    for (int i = 0; i < 2000 && !other.drained; i++)
        rig_turn(g, 1);
    assert_true(other.drained);
    httpd_free(other.h);
    c = ask(g, GET("/ok"));
    assert_int_equal(client_status(c, 0), 200);
    client_close(c);
    drain(g, 0);
    finish(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running_may_end), cmocka_unit_test(test_half_a_request_may_end),
        cmocka_unit_test(test_grace_ends),      cmocka_unit_test(test_cancel_cuts),
        cmocka_unit_test(test_never_used),      cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_flow_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
