/* Streams: chunked, back-pressure, slow readers, the end from either side. */
#include "unit/httpd/rig.h"

struct events {
    struct httpd_stream *s;
    unsigned drained, closed, opened;
};

static void on_drain(struct httpd_stream *s, void *ctx)
{
    struct events *e = ctx;
    assert_ptr_equal(s, e->s);
    e->drained++;
}

static void on_close(struct httpd_stream *s, void *ctx)
{
    struct events *e = ctx;
    assert_ptr_equal(s, e->s);
    assert_int_equal(httpd_stream_write(s, SPAN("x")), -1);
    e->closed++;
    e->s = NULL;
}

static void open_stream(struct httpd_req *r, void *ctx)
{
    struct events *e = ctx;
    e->opened++;
    e->s = httpd_stream_open(r, 200, "text/event-stream",
                             &(struct httpd_stream_conf){on_drain, on_close, e});
}

static void say_ok(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "ok");
}

static struct rig *stream_rig(const struct httpd_conf *conf, struct events *e)
{
    struct rig *g = rig_new(conf);
    *e = (struct events){0};
    rig_route(g, HTTPD_GET, "/events", open_stream, e);
    rig_route(g, HTTPD_GET, "/ok", say_ok, NULL);
    return g;
}

#define EVENTS_1_1 "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK_1_1     "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"

static struct client *start(struct rig *g, struct events *e, const char *request)
{
    struct client *c = client_open(g);
    client_send(c, request);
    client_until(c, "\r\n\r\n");
    assert_non_null(e->s);
    return c;
}

static void test_chunked(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, EVENTS_1_1 OK_1_1);
    assert_has(c->got.p, "Transfer-Encoding: chunked\r\n");
    assert_lacks(c->got.p, "Content-Length");
    assert_int_equal(httpd_stats(g->h)->streams, 1);
    assert_int_equal(httpd_stream_write(e.s, SPAN("data: 1\n\n")), 0);
    assert_int_equal(httpd_stream_write(e.s, SPAN("")), 0);
    assert_has(client_until(c, "data: 1"), "\r\n\r\n9\r\ndata: 1\n\n\r\n");
    rig_turn(g, 10);
    client_read(c);
    assert_int_equal(client_status(c, 1), 0); /* the next request waits */
    assert_int_equal(httpd_stream_write(e.s, SPAN("data: 22\n\n")), 0);
    httpd_stream_end(e.s);
    client_until(c, "\r\n\r\nok");
    assert_has(c->got.p, "a\r\ndata: 22\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n");
    assert_int_equal(e.closed, 0);
    client_close(c);
    rig_free(g);
}

static void test_until_end(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, "GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_lacks(c->got.p, "chunked");
    assert_has(c->got.p, "Connection: close\r\n");
    assert_int_equal(httpd_stream_write(e.s, SPAN("one,")), 0);
    assert_int_equal(httpd_stream_write(e.s, SPAN("two")), 0);
    httpd_stream_end(e.s);
    client_until_eof(c);
    assert_has(c->got.p, "\r\n\r\none,two");
    assert_true(c->eof);
    client_close(c);
    rig_free(g);
}

static void test_head(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = ask(g, "HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n" OK_1_1);
    client_until(c, "\r\n\r\nok");
    assert_int_equal(e.opened, 1);
    assert_null(e.s);
    assert_int_equal(client_status(c, 0), 200);
    assert_int_equal(client_status(c, 1), 200);
    client_close(c);
    rig_free(g);
}

static void test_back_pressure(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    static char piece[32 * 1024];
    memset(piece, 'x', sizeof(piece));
    size_t written = 0;
    int rc = 0;
    while (rc == 0 && written < 64u * 1024 * 1024) {
        rc = httpd_stream_write(e.s, (struct span){piece, sizeof(piece)});
        written += sizeof(piece);
    }
    assert_int_equal(rc, 1);
    assert_int_equal(e.drained, 0);
    for (int i = 0; i < 4000 && e.drained == 0; i++) {
        client_read(c);
        rig_turn_once(g);
    }
    assert_int_equal(e.drained, 1);
    assert_int_equal(httpd_stream_write(e.s, SPAN("last")), 0);
    httpd_stream_end(e.s);
    client_until(c, "4\r\nlast\r\n0\r\n\r\n");
    assert_has(c->got.p + c->got.n - 14, "last\r\n0\r\n\r\n");
    assert_true(c->got.n > written);
    client_close(c);
    rig_free(g);
}

/* Ended while much is unsent: all of it still goes out, then the connection goes on. */
static void test_end_with_unsent(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(&(struct httpd_conf){.max_stream_buffer = 1 << 20}, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    static char piece[32 * 1024];
    memset(piece, 'x', sizeof(piece));
    while (httpd_stream_write(e.s, (struct span){piece, sizeof(piece)}) == 0) {
    }
    httpd_stream_end(e.s);
    client_send(c, OK_1_1);
    client_until(c, "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n");
    client_until(c, "\r\n\r\nok");
    assert_has(c->got.p + c->got.n - 6, "\r\n\r\nok");
    client_close(c);
    rig_free(g);
}

/* The same where the end of the connection is the end of the answer: it must not come too early. */
static void test_until_end_with_unsent(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(&(struct httpd_conf){.max_stream_buffer = 1 << 20}, &e);
    struct client *c = start(g, &e, "GET /events HTTP/1.0\r\n\r\n");
    size_t head = c->got.n, written = 0;
    static char piece[32 * 1024];
    memset(piece, 'x', sizeof(piece));
    for (int rc = 0; rc == 0; written += sizeof(piece))
        rc = httpd_stream_write(e.s, (struct span){piece, sizeof(piece)});
    for (int i = 0; i < 8; i++, written += sizeof(piece))
        assert_int_equal(httpd_stream_write(e.s, (struct span){piece, sizeof(piece)}), 1);
    httpd_stream_end(e.s);
    client_until_eof(c);
    assert_true(c->eof);
    assert_int_equal(c->got.n, head + written);
    client_close(c);
    rig_free(g);
}

static void test_slow_reader(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(&(struct httpd_conf){.write_timeout_ms = 60}, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    static char piece[32 * 1024];
    while (e.s && httpd_stream_write(e.s, (struct span){piece, sizeof(piece)}) == 0) {
    }
    for (int i = 0; i < 4000 && e.closed == 0; i++)
        rig_turn(g, 1);
    assert_int_equal(e.closed, 1);
    assert_int_equal(httpd_stats(g->h)->timed_out_write, 1);
    client_close(c);
    rig_free(g);
}

/* A writer who does not care for on_drain loses the client, not our memory. */
static void test_careless_writer(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    static char piece[32 * 1024];
    int rc = 0;
    for (int i = 0; i < 4096 && rc >= 0; i++)
        rc = httpd_stream_write(e.s, (struct span){piece, sizeof(piece)});
    assert_int_equal(rc, -1);
    assert_int_equal(e.closed, 0); /* not from inside the call */
    rig_turn(g, 10);
    assert_int_equal(e.closed, 1);
    client_close(c);
    rig_free(g);
}

static void test_client_goes(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    client_close(c);
    rig_turn(g, 20);
    assert_int_equal(e.closed, 1);
    assert_int_equal(httpd_stats(g->h)->streams, 0);
    /* Gone and ended before anybody was told. */
    c = start(g, &e, EVENTS_1_1);
    static char piece[32 * 1024];
    while (httpd_stream_write(e.s, (struct span){piece, sizeof(piece)}) >= 0) {
    }
    httpd_stream_end(e.s);
    rig_turn(g, 10);
    assert_int_equal(e.closed, 1);
    client_close(c);
    rig_free(g);
}

static void test_drain(void **state)
{
    (void)state;
    struct events e;
    struct rig *g = stream_rig(NULL, &e);
    struct client *c = start(g, &e, EVENTS_1_1);
    httpd_drain(g->h, 60000, &g->drain); /* a stream has no end to wait for */
    assert_int_equal(e.closed, 0);
    client_until_eof(c);
    assert_int_equal(e.closed, 1);
    rig_turn(g, 20);
    assert_int_equal(g->drain.state, OP_FINISHED);
    httpd_free(g->h);
    loop_free(g->l);
    mem_free(g);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_until_end),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_end_with_unsent),
        cmocka_unit_test(test_until_end_with_unsent),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_careless_writer),
        cmocka_unit_test(test_client_goes),
        cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
