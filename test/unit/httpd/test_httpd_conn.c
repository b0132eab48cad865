/* Order, back-pressure, limits and deadlines of connections. */
#include "unit/httpd/rig.h"

#include <sys/socket.h>

static struct httpd_req *held[64];
static unsigned held_n, gone_n;

static void hold(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    held[held_n++] = r;
}

static void say_path(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    struct span path = httpd_path(r);
    httpd_text(r, 200, arena_span_dup(httpd_arena(r), path));
}

static void note_gone(struct httpd_req *r, void *ctx)
{
    (void)r;
    (*(unsigned *)ctx)++;
}

static void hold_and_hear(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_on_gone(r, note_gone, &gone_n);
    held[held_n++] = r;
}

static struct rig *rig_with(const struct httpd_conf *conf)
{
    struct rig *g = rig_new(conf);
    held_n = gone_n = 0;
    rig_route(g, HTTPD_GET, "/hold/{n:u}", hold, NULL);
    rig_route(g, HTTPD_GET, "/hear", hold_and_hear, NULL);
    rig_route(g, HTTPD_GET, "/now/{n:u}", say_path, NULL);
    rig_route(g, HTTPD_POST, "/post", say_path, NULL);
    return g;
}

static void wait_held(struct rig *g, unsigned n)
{
    for (int i = 0; i < 4000 && held_n < n; i++)
        rig_turn(g, 1);
    assert_int_equal(held_n, n);
}

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(more) "POST /post HTTP/1.1\r\nHost: a\r\n" more

static void test_pipeline_in_order(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    client_send(c, GET("/now/1") GET("/hold/2") GET("/now/3") GET("/hold/4") GET("/now/5"));
    wait_held(g, 1);
    rig_turn(g, 10);
    client_read(c);
    assert_lacks(c->got.p, "/now/3"); /* one at a time */
    assert_int_equal(held_n, 1);
    say_path(held[0], NULL);
    wait_held(g, 2);
    say_path(held[1], NULL);
    const char *all = client_answers(c, 5);
    const char *two = strstr(all, "/hold/2"), *four = strstr(all, "/hold/4");
    assert_non_null(two);
    assert_non_null(four);
    assert_true(strstr(all, "/now/1") < two && two < strstr(all, "/now/3"));
    assert_true(strstr(all, "/now/3") < four && four < strstr(all, "/now/5"));
    client_close(c);
    rig_free(g);
}

/* Answers of several connections finish in another order than they were asked. */
static void test_deferred_out_of_order(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c[3];
    for (unsigned i = 0; i < 3; i++) {
        c[i] = client_open(g);
        client_send(c[i], i == 0 ? GET("/hold/0") : i == 1 ? GET("/hold/1") : GET("/hold/2"));
        wait_held(g, i + 1);
    }
    assert_int_equal(httpd_stats(g->h)->held, 3);
    for (int i = 2; i >= 0; i--) {
        say_path(held[i], NULL);
        assert_has(client_answers(c[i], 1), i == 0 ? "/hold/0" : i == 1 ? "/hold/1" : "/hold/2");
    }
    for (int i = 0; i < 3; i++)
        client_close(c[i]);
    assert_int_equal(httpd_stats(g->h)->held, 0);
    rig_free(g);
}

/* What comes behind a held request waits in the kernel, not in our memory. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    int small = 4096;
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    client_send(c, GET("/hold/1") GET("/hold/2"));
    wait_held(g, 1);
    size_t sent = 0, calm = 0;
    static const char more[] = GET("/now/2");
    while (calm < 50 && sent < 64u * 1024 * 1024) {
        ssize_t n = send(c->fd, more, sizeof(more) - 1, MSG_NOSIGNAL);
        calm = n > 0 ? 0 : calm + 1;
        sent += n > 0 ? (size_t)n : 0;
        rig_turn_once(g);
    }
    assert_true(sent < 16u * 1024 * 1024);
    uint64_t before = httpd_stats(g->h)->bytes_in;
    assert_true(before < 1024);
    /* Then all of it is answered, whatever was stuck where. */
    say_path(held[0], NULL);
    wait_held(g, 2);
    say_path(held[1], NULL);
    uint64_t whole = 2 + sent / (sizeof(more) - 1);
    for (int i = 0; i < 20000 && httpd_stats(g->h)->requests[2] < whole; i++) {
        rig_turn_once(g);
        client_read(c);
    }
    assert_int_equal(httpd_stats(g->h)->requests[2], whole);
    client_close(c);
    rig_free(g);
}

static void test_gone_while_held(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    client_send(c, GET("/hear"));
    wait_held(g, 1);
    assert_false(httpd_is_gone(held[0]));
    client_close(c);
    rig_turn(g, 20);
    assert_int_equal(gone_n, 1);
    assert_true(httpd_is_gone(held[0]));
    assert_string_equal(arena_span_dup(httpd_arena(held[0]), httpd_path(held[0])), "/hear");
    say_path(held[0], NULL); /* dropped */
    assert_int_equal(httpd_stats(g->h)->requests[0], 1);
    rig_free(g);
}

static void test_handler_too_late(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.handler_timeout_ms = 60});
    struct client *c = client_open(g);
    client_send(c, GET("/hear") GET("/now/1"));
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 503);
    assert_has(c->got.p, "Retry-After: 5\r\n");
    assert_int_equal(client_status(c, 1), 0);
    assert_int_equal(gone_n, 1);
    assert_true(httpd_is_gone(held[0]));
    say_path(held[0], NULL);
    assert_int_equal(httpd_stats(g->h)->requests[5], 1);
    assert_int_equal(httpd_stats(g->h)->requests[0], 0); /* counted once */
    assert_int_equal(httpd_stats(g->h)->timed_out_handler, 1);
    client_close(c);
    rig_free(g);
}

/* A server may be freed while a handler still holds a request. */
static void test_held_beyond_the_server(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    client_send(c, GET("/hear"));
    wait_held(g, 1);
    struct httpd_req *r = held[0];
    rig_free(g);
    assert_int_equal(gone_n, 1);
    assert_true(httpd_is_gone(r));
    httpd_text(r, 200, "too late");
    client_close(c);
}

static void test_slow_head(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.head_timeout_ms = 80});
    struct client *c = client_open(g), *silent = client_open(g);
    int64_t start = clock_mono_ms();
    for (const char *p = "GET /now/1 HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
         *p && !c->eof; p++) {
        client_send_n(c, p, 1);
        rig_turn(g, 5); /* each byte in time, the whole not */
        client_read(c);
    }
    client_until_eof(c);
    assert_true(clock_mono_ms() - start < 3000);
    assert_int_equal(client_status(c, 0), 408);
    client_until_eof(silent);
    assert_int_equal(silent->got.n, 0); /* nothing asked, nothing answered */
    client_close(c);
    client_close(silent);
    rig_free(g);
}

static void test_slow_body(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.body_timeout_ms = 80, .min_rate = 1000000});
    struct client *c = client_open(g);
    client_send(c, POST("Content-Length: 1000\r\n\r\n"));
    for (int i = 0; i < 60 && !c->eof; i++) {
        client_send(c, "x");
        rig_turn(g, 5);
        client_read(c);
    }
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 408);
    assert_int_equal(httpd_stats(g->h)->timed_out_body, 1);
    client_close(c);
    rig_free(g);
}

/* Slow, but fast enough. */
static void test_steady_body(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.body_timeout_ms = 300, .min_rate = 10});
    struct client *c = client_open(g);
    client_send(c, POST("Content-Length: 40\r\n\r\n"));
    for (int i = 0; i < 40; i++) {
        client_send(c, "x");
        rig_turn(g, 10);
    }
    client_answers(c, 1);
    assert_int_equal(client_status(c, 0), 200);
    client_close(c);
    rig_free(g);
}

static void test_idle(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.idle_timeout_ms = 60});
    struct client *c = ask(g, GET("/now/1"));
    assert_false(c->eof);
    assert_int_equal(httpd_stats(g->h)->idle, 1);
    client_until_eof(c);
    assert_true(c->eof);
    assert_int_equal(client_status(c, 1), 0);
    assert_int_equal(httpd_stats(g->h)->timed_out_idle, 1);
    client_close(c);
    rig_free(g);
}

static void big(struct httpd_req *r, void *ctx)
{
    struct buf body = {0};
    for (size_t i = 0; i < *(size_t *)ctx / 16; i++)
        buf_put(&body, "0123456789abcdef", 16);
    httpd_send(r, 200, "application/octet-stream", &body);
}

static void test_slow_reader(void **state)
{
    (void)state;
    static size_t size = 32u * 1024 * 1024;
    struct rig *g = rig_with(&(struct httpd_conf){.write_timeout_ms = 80, .min_rate = 1000000000});
    rig_route(g, HTTPD_GET, "/big", big, &size);
    struct client *c = client_open(g);
    client_send(c, GET("/big"));
    for (int i = 0; i < 8000 && httpd_stats(g->h)->timed_out_write == 0; i++)
        rig_turn(g, 1); /* reads nothing */
    assert_int_equal(httpd_stats(g->h)->timed_out_write, 1);
    rig_turn(g, 1);
    assert_int_equal(httpd_stats(g->h)->open, 0);
    client_close(c);
    rig_free(g);
}

/* Larger than any socket buffer, then the next request on the same connection. */
static void test_large_answer(void **state)
{
    (void)state;
    static size_t size = 8u * 1024 * 1024;
    struct rig *g = rig_with(NULL);
    rig_route(g, HTTPD_GET, "/big", big, &size);
    struct client *c = client_open(g);
    client_send(c, GET("/big") GET("/now/7"));
    client_answers(c, 2);
    const char *body = strstr(c->got.p, "\r\n\r\n") + 4;
    for (size_t i = 0; i < size; i += 16) {
        if (memcmp(body + i, "0123456789abcdef", 16) != 0)
            fail_msg("wrong at %zu", i);
    }
    assert_int_equal(strncmp(body + size, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_has(body + size, "/now/7");
    client_close(c);
    rig_free(g);
}

static void test_expect(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.max_body = 16});
    struct client *c = client_open(g);
    client_send(c, POST("Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    assert_string_equal(client_until(c, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(c, "abc");
    client_until(c, "/post");
    assert_int_equal(client_status(c, 1), 200);
    client_close(c);
    /* Too large, or nowhere: refused before it is sent. */
    c = ask(g, POST("Content-Length: 17\r\nExpect: 100-continue\r\n\r\n"));
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 413);
    assert_true(c->eof);
    client_close(c);
    c = ask(g,
            "PUT /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 405);
    client_close(c);
    /* The body is there already: no need. */
    c = ask(g, POST("Content-Length: 1\r\nExpect: 100-continue\r\n\r\na"));
    assert_int_equal(client_status(c, 0), 200);
    client_close(c);
    rig_free(g);
}

static void test_limit_total(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.max_connections = 3});
    struct client *c[3], *over;
    for (int i = 0; i < 3; i++)
        c[i] = ask(g, GET("/now/1"));
    over = client_open(g);
    client_until_eof(over);
    assert_int_equal(client_status(over, 0), 503);
    assert_has(over->got.p, "Connection: close\r\n");
    assert_int_equal(httpd_stats(g->h)->refused_total, 1);
    client_close(over);
    client_close(c[0]);
    rig_turn(g, 20);
    over = ask(g, GET("/now/2")); /* room again */
    assert_int_equal(client_status(over, 0), 200);
    client_close(over);
    client_close(c[1]);
    client_close(c[2]);
    rig_free(g);
}

/* Far too many are closed without a word, and the server is there for others afterwards. */
static void test_flood(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.max_connections = 2});
    struct client *c[40];
    for (int i = 0; i < 40; i++)
        c[i] = client_open(g);
    rig_turn(g, 30);
    unsigned silent = 0, refused = 0;
    for (int i = 0; i < 40; i++) {
        client_read(c[i]);
        refused += client_status(c[i], 0) == 503;
        silent += (c[i]->eof || c[i]->reset) && c[i]->got.n == 0;
    }
    assert_int_equal(refused + silent, 38);
    assert_true(refused >= 1 && silent >= 20);
    for (int i = 0; i < 40; i++)
        client_close(c[i]);
    rig_turn(g, 30);
    struct client *after = ask(g, GET("/now/1"));
    assert_int_equal(client_status(after, 0), 200);
    client_close(after);
    rig_free(g);
}

static void test_limit_address(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.max_per_address = 2});
    struct client *one = ask(g, GET("/now/1")), *two = ask(g, GET("/now/1"));
    struct client *three = client_open(g);
    client_until_eof(three);
    assert_int_equal(client_status(three, 0), 503);
    assert_int_equal(httpd_stats(g->h)->refused_address, 1);
    struct client *other = client_open_at(g, httpd_bound(g->h, 0), "127.0.0.2");
    client_send(other, GET("/now/1"));
    client_answers(other, 1);
    assert_int_equal(client_status(other, 0), 200);
    client_close(one);
    client_close(three);
    rig_turn(g, 20);
    one = ask(g, GET("/now/1"));
    assert_int_equal(client_status(one, 0), 200);
    client_close(one);
    client_close(two);
    client_close(other);
    rig_free(g);
}

/* A trusted proxy has a limit of its own, whoever it speaks for. */
static void test_limit_proxy(void **state)
{
    (void)state;
    struct rig *g = rig_with(
        &(struct httpd_conf){.max_per_address = 1, .max_per_proxy = 2, .trusted = "127.0.0.1"});
    struct client *one = ask(g, GET("/now/1")), *two = ask(g, GET("/now/1"));
    assert_int_equal(client_status(two, 0), 200);
    struct client *three = client_open(g);
    client_until_eof(three);
    assert_int_equal(client_status(three, 0), 503);
    client_close(one);
    client_close(two);
    client_close(three);
    rig_free(g);
}

static void test_max_requests(void **state)
{
    (void)state;
    struct rig *g = rig_with(&(struct httpd_conf){.max_requests = 2});
    struct client *c = client_open(g);
    client_send(c, GET("/now/1") GET("/now/2") GET("/now/3"));
    client_until_eof(c);
    assert_int_equal(client_status(c, 1), 200);
    assert_int_equal(client_status(c, 2), 0);
    assert_has(strstr(c->got.p, "/now/1"), "Connection: close\r\n");
    client_close(c);
    rig_free(g);
}

/* A body is sent on although nobody reads it: the answer must not be lost to a reset. */
static void test_answer_survives_unread_input(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    static char junk[100000];
    memset(junk, 'x', sizeof(junk));
    struct client *c = client_open(g);
    client_send(c, "GET /now/1 HTTP/1.1\r\nHost : a\r\n\r\n");
    for (int i = 0; i < 2; i++)
        client_send_n(c, junk, sizeof(junk));
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 400);
    assert_true(c->eof);
    client_close(c);
    rig_free(g);
}

/* Shutting one's side while the answer comes is allowed; it comes whole. */
static void test_half_close(void **state)
{
    (void)state;
    static size_t size = 8u * 1024 * 1024;
    struct rig *g = rig_with(NULL);
    rig_route(g, HTTPD_GET, "/big", big, &size);
    struct client *c = client_open(g);
    client_send(c, GET("/big"));
    client_until(c, "0123456789abcdef");
    shutdown(c->fd, SHUT_WR);
    client_until_eof(c);
    assert_true(c->eof);
    assert_int_equal(c->got.n, size + (size_t)(strstr(c->got.p, "\r\n\r\n") + 4 - c->got.p));
    client_close(c);
    rig_free(g);
}

static void test_reset_while_held(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    struct linger hard = {.l_onoff = 1};
    client_send(c, GET("/hear"));
    wait_held(g, 1);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    client_close(c);
    rig_turn(g, 20);
    assert_int_equal(gone_n, 1);
    say_path(held[0], NULL);
    rig_free(g);
}

/* Whoever goes on sending after he was refused is cut in the end. */
static void test_linger_ends(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    static char junk[100000];
    struct client *c = client_open(g);
    client_send(c, "rubbish\r\n");
    client_until(c, "\r\n\r\n");
    assert_int_equal(client_status(c, 0), 400);
    for (int i = 0; i < 8; i++) {
        send(c->fd, junk, sizeof(junk), MSG_NOSIGNAL);
        rig_turn(g, 10);
    }
    assert_int_equal(httpd_stats(g->h)->open, 0);
    client_close(c);
    rig_free(g);
}

struct answer_and_drain {
    struct ready ready;
    struct rig *g;
};

static void answer_and_drain(struct ready *ready)
{
    struct answer_and_drain *a = container_of(ready, struct answer_and_drain, ready);
    say_path(held[0], NULL);
    httpd_drain(a->g->h, 0, &a->g->drain);
}

/* A connection that still has input is closed before that is looked at. */
static void test_closed_with_input(void **state)
{
    (void)state;
    struct rig *g = rig_with(NULL);
    struct client *c = client_open(g);
    struct answer_and_drain a = {.ready.fn = answer_and_drain, .g = g};
    client_send(c, GET("/hold/1") GET("/now/2"));
    wait_held(g, 1);
    loop_ready(g->l, &a.ready);
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 200);
    assert_int_equal(client_status(c, 1), 0);
    for (int i = 0; i < 2000 && g->drain.state != OP_FINISHED; i++)
        rig_turn(g, 1);
    httpd_free(g->h);
    loop_free(g->l);
    mem_free(g);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipeline_in_order),
        cmocka_unit_test(test_deferred_out_of_order),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_gone_while_held),
        cmocka_unit_test(test_handler_too_late),
        cmocka_unit_test(test_held_beyond_the_server),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_steady_body),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_limit_total),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_limit_address),
        cmocka_unit_test(test_limit_proxy),
        cmocka_unit_test(test_max_requests),
        cmocka_unit_test(test_answer_survives_unread_input),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset_while_held),
        cmocka_unit_test(test_linger_ends),
        cmocka_unit_test(test_closed_with_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
