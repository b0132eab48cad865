/* Requests that are answered. */
#include "unit/fetch/rig.h"

/* ---- statuses ---------------------------------------------------------------------------------
 */

/* Answers with the status that the path names. */
static void serve_status(struct peer *p)
{
    while (peer_read(p)) {
        int status = (int)strtol(strchr(p->request.p, '/') + 1, NULL, 10);
        bool bare = status == 204 || status == 304;
        if (bare) {
            peer_send(p, status == 204 ? "HTTP/1.1 204 No\r\n\r\n" : "HTTP/1.1 304 No\r\n\r\n");
        } else {
            peer_answer(p, status, "Location: /elsewhere\r\nRetry-After: 3\r\n", SPAN("b\0dy"));
        }
    }
}

static void test_statuses(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 204, 206, 300, 301, 302, 303, 304, 307,
                                   308, 400, 401, 403, 404, 408, 409, 410, 418, 422,
                                   425, 429, 451, 500, 501, 502, 503, 504, 520, 599};
    struct rig g;
    struct server *s = server_open(serve_status, NULL);
    rig_open(&g, NULL);
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        struct fetch_req r;
        struct err err;
        int status = statuses[i];
        rig_get(&g, &r, rig_url(&g, s, arena_printf(g.a, "/%d?q=1", status)));
        assert_false(r.op.failed);
        assert_int_equal(r.failure, FETCH_NONE);
        assert_int_equal(r.status, status);
        assert_true(
            span_eq(buf_span(&r.body), status == 204 || status == 304 ? SPAN("") : SPAN("b\0dy")));
        assert_int_equal(fetch_class(&r, "it", &err), status / 100 == 2 ? 0 : -1);
        if (status / 100 != 2) {
            bool again = status == 408 || status == 425 || status == 429 || status >= 500;
            assert_int_equal(err.class, again ? ERR_RETRY : ERR_PERMANENT);
            assert_int_equal(err.code, status);
            assert_int_equal(err.retry_after_ms, status == 304 ? 0 : 3000);
            assert_lacks(err.msg, "q=1");
        }
        fetch_done(&r);
    }
    /* No redirect was followed, and one connection did for all. */
    assert_int_equal(server_requests(s), COUNT_OF(statuses));
    assert_int_equal(server_connections(s), 1);
    rig_close(&g);
    server_close(s);
}

/* ---- what is sent ------------------------------------------------------------------------------
 */

/* Answers with the request itself. */
static void serve_echo(struct peer *p)
{
    while (peer_read(p)) {
        peer_answer(p, 200, "", buf_span(&p->request));
    }
}

static const char *echoed(struct rig *g, struct fetch_req *r)
{
    fetch_send(r);
    rig_wait(g, r);
    if (r->op.failed) {
        fail_msg("%s", r->op.err.msg);
    }
    assert_int_equal(r->status, 200);
    char *text = arena_span_dup(g->a, buf_span(&r->body));
    fetch_done(r);
    return text;
}

static void test_methods(void **state)
{
    (void)state;
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_echo, NULL);
    rig_open(&g, NULL);
    for (enum fetch_method m = FETCH_GET; m <= FETCH_DELETE; m++) {
        fetch_init(&r, g.f, g.a, m, rig_url(&g, s, "/some/path"));
        fetch_query(&r, "a", "1 2");
        fetch_header(&r, "X-One", "value of it");
        fetch_header(&r, "X-None", "");
        fetch_bearer(&r, "t0ken");
        const char *got = echoed(&g, &r);
        assert_has(got, arena_printf(g.a, "%s /some/path?a=1%%202 HTTP/1.1\r\n", names[m]));
        assert_has(got, arena_printf(g.a, "\r\nHost: 127.0.0.1:%u\r\n", server_port(s)));
        assert_has(got, "\r\nUser-Agent: waymark-test\r\n");
        assert_has(got, "\r\nAccept-Encoding: gzip\r\n");
        assert_has(got, "\r\nAuthorization: Bearer t0ken\r\n");
        assert_has(got, "\r\nX-One: value of it\r\n");
        assert_has(got, "\r\nX-None:\r\n");
        assert_lacks(got, "Content-Type");
        assert_lacks(got, "Expect");
        assert_lacks(got, "Cookie");
        if (m == FETCH_POST || m == FETCH_PUT) {
            assert_has(got, "\r\nContent-Length: 0\r\n");
        } else {
            assert_lacks(got, "Content-Length");
        }
    }
    rig_close(&g);
    server_close(s);
}

static void test_bodies(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_echo, NULL);
    rig_open(&g, NULL);
    for (enum fetch_method m = FETCH_POST; m <= FETCH_DELETE; m++) {
        fetch_init(&r, g.f, g.a, m, rig_url(&g, s, "/"));
        fetch_basic(&r, "id", "secret");
        fetch_form(&r, "token", "a/b");
        fetch_form(&r, "hint", "x");
        const char *got = echoed(&g, &r);
        assert_has(got, "\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        assert_has(got, "\r\nAuthorization: Basic aWQ6c2VjcmV0\r\n");
        assert_has(got, "\r\nContent-Length: 18\r\n");
        assert_has(got, "\r\n\r\ntoken=a%2Fb&hint=x");
        fetch_init(&r, g.f, g.a, m, rig_url(&g, s, "/"));
        fetch_body(&r, "application/json", SPAN("{\"a\":1}"));
        got = echoed(&g, &r);
        assert_has(got, "\r\nContent-Type: application/json\r\n");
        assert_has(got, "\r\n\r\n{\"a\":1}");
    }
    /* A large one goes at once, without a wait for "100 Continue". */
    size_t n = 3u << 20;
    char *large = mem_alloc(n + 1);
    memset(large, 'x', n);
    fetch_init(&r, g.f, g.a, FETCH_PUT, rig_url(&g, s, "/"));
    fetch_body(&r, "text/plain", (struct span){large, n});
    const char *got = echoed(&g, &r);
    assert_lacks(got, "Expect");
    assert_string_equal(strstr(got, "\r\n\r\n") + 4, large);
    mem_free(large);
    rig_close(&g);
    server_close(s);
}

/* ---- how an answer comes -----------------------------------------------------------------------
 */

static void serve_ways(struct peer *p)
{
    struct buf z = gzip_of("compressed", 10);
    while (peer_read(p)) {
        const char *path = strchr(p->request.p, '/');
        if (strncmp(path, "/chunked", 8) == 0) {
            peer_send(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nchun\r\n");
            peer_sleep(20);
            peer_send(p, "3\r\nked\r\n0\r\nRetry-After: 5\r\n\r\n");
        } else if (strncmp(path, "/gzip-chunked", 13) == 0) {
            peer_send(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         "Content-Encoding: gzip\r\n\r\n");
            for (size_t i = 0; i < z.n; i++) {
                peer_send(p, "1\r\n");
                peer_send_n(p, z.p + i, 1);
                peer_send(p, "\r\n");
            }
            peer_send(p, "0\r\n\r\n");
        } else if (strncmp(path, "/gzip", 5) == 0) {
            peer_answer(p, 200, "Content-Encoding: gzip\r\n", buf_span(&z));
        } else if (strncmp(path, "/interim", 8) == 0) {
            peer_send(p, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX-A: 1\r\n\r\n");
            peer_answer(p, 201, "X-B: 2\r\n", SPAN("interim"));
        } else if (strncmp(path, "/bytes", 6) == 0) {
            static const char all[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nbytes";
            for (size_t i = 0; i < sizeof(all) - 1; i++) {
                peer_send_n(p, all + i, 1);
                peer_sleep(1);
            }
        } else {
            peer_send(p,
                      "HTTP/1.0 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nto the end");
            break;
        }
    }
    buf_done(&z);
}

static void test_ways(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        int status;
    } table[] = {{"/chunked", "chunked", 200}, {"/gzip-chunked", "compressed", 200},
                 {"/gzip", "compressed", 200}, {"/interim", "interim", 201},
                 {"/bytes", "bytes", 200},     {"/end", "to the end", 200}};
    struct rig g;
    struct server *s = server_open(serve_ways, NULL);
    rig_open(&g, NULL);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct fetch_req r;
        rig_get(&g, &r, rig_url(&g, s, table[i].path));
        if (r.op.failed) {
            fail_msg("%s", r.op.err.msg);
        }
        assert_int_equal(r.status, table[i].status);
        assert_true(span_is(buf_span(&r.body), table[i].body));
        assert_int_equal(r.retry_after_ms, 0); /* not from a trailer */
        assert_null(fetch_answer_header(&r, i == 3 ? "X-A" : "X-B"));
        assert_true(r.date_us == (i == 5 ? 784111777000000 : INT64_MIN));
        assert_in_range(r.elapsed_ms, 0, 5000);
        fetch_done(&r);
    }
    assert_int_equal(server_connections(s), 1);
    rig_close(&g);
    server_close(s);
}

static void test_redirect(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct err err;
    struct server *s = server_open(serve_status, NULL);
    rig_open(&g, NULL);
    fetch_init(&r, g.f, g.a, FETCH_GET, rig_url(&g, s, "/302"));
    fetch_bearer(&r, "t0ken");
    fetch_send(&r);
    rig_wait(&g, &r);
    assert_false(r.op.failed);
    assert_int_equal(r.status, 302);
    assert_string_equal(fetch_answer_header(&r, "location"), "/elsewhere");
    assert_int_equal(fetch_class(&r, "it", &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    fetch_done(&r);
    rig_turn(&g, 50);
    assert_int_equal(server_requests(s), 1);
    rig_close(&g);
    server_close(s);
}

/* ---- many at once ------------------------------------------------------------------------------
 */

static void serve_slowly(struct peer *p)
{
    while (peer_read(p)) {
        peer_sleep(5);
        peer_answer(p, 200, "", SPAN("ok"));
    }
}

/* n requests at once, to that many names of one server. */
static void many(struct rig *g, struct server *s, unsigned names, unsigned n)
{
    struct fetch_req *r = arena_new_array(g->a, struct fetch_req, n);
    for (unsigned i = 0; i < n; i++) {
        const char *url = arena_printf(g->a, "http://n%u.test:%u/%u", i % names, server_port(s), i);
        fetch_init(&r[i], g->f, g->a, FETCH_GET, url);
        fetch_send(&r[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        rig_wait(g, &r[i]);
        assert_false(r[i].op.failed);
        assert_int_equal(r[i].status, 200);
        fetch_done(&r[i]);
    }
}

static void at_once(unsigned max_total, unsigned max_per_host, unsigned names, unsigned most)
{
    struct rig g;
    struct server *s = server_open(serve_slowly, NULL);
    rig_open(&g, &(struct fetch_conf){.max_total = max_total, .max_per_host = max_per_host});
    many(&g, s, names, 100);
    assert_int_equal(server_requests(s), 100);
    /* A machine that is busy elsewhere may never have as many under way as are allowed. */
    assert_in_range(server_most(s), 1, most);
    if (names == 1) {
        assert_in_range(server_connections(s), 1, most); /* used again and again */
    }
    rig_close(&g);
    server_close(s);
}

static void test_parallel(void **state)
{
    (void)state;
    at_once(5, 3, 1, 3);
    at_once(3, 5, 1, 3);
    at_once(5, 3, 2, 5);
    at_once(20, 3, 2, 6);
    at_once(0, 0, 1, 4);
    at_once(0, 0, 10, 16);
}

/* A host that does not answer holds up its own requests only. */
static void test_slow_neighbour(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req slow[4], r;
    struct server *never = server_open(serve_never, NULL), *s = server_open(serve_ok, NULL);
    rig_open(&g, &(struct fetch_conf){.max_total = 4, .max_per_host = 2});
    for (int i = 0; i < 4; i++) {
        fetch_init(&slow[i], g.f, g.a, FETCH_GET, rig_url(&g, never, "/"));
        fetch_send(&slow[i]);
    }
    rig_get(&g, &r, rig_url(&g, s, "/"));
    assert_int_equal(r.status, 200);
    fetch_done(&r);
    for (int i = 0; i < 4; i++) {
        op_cancel(&slow[i].op);
        rig_wait(&g, &slow[i]);
        rig_failed(&slow[i], FETCH_CANCELLED, ERR_RETRY, "cancelled");
        fetch_done(&slow[i]);
    }
    rig_close(&g);
    server_close(never);
    server_close(s);
}

/* ---- connections that are used again -----------------------------------------------------------
 */

static void test_keep_alive(void **state)
{
    (void)state;
    struct rig g;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    for (int i = 0; i < 10; i++) {
        struct fetch_req r;
        rig_get(&g, &r, rig_url(&g, s, "/"));
        assert_int_equal(r.status, 200);
        fetch_done(&r);
    }
    assert_int_equal(server_connections(s), 1);
    /* POST never goes over a connection that may be dead. */
    for (int i = 0; i < 3; i++) {
        struct fetch_req r;
        fetch_init(&r, g.f, g.a, FETCH_POST, rig_url(&g, s, "/"));
        fetch_form(&r, "a", "b");
        fetch_send(&r);
        rig_wait(&g, &r);
        assert_int_equal(r.status, 200);
        fetch_done(&r);
    }
    assert_int_equal(server_connections(s), 4);
    assert_int_equal(server_requests(s), 13);
    rig_close(&g);
    server_close(s);
}

/* Answers one request a connection, reads a second one, and hangs up. */
static void serve_once(struct peer *p)
{
    if (peer_read(p)) {
        peer_answer(p, 200, "", SPAN("ok"));
        peer_read(p);
    }
}

static int after_one(struct rig *g, struct server *s, enum fetch_method method)
{
    struct fetch_req r;
    rig_get(g, &r, rig_url(g, s, "/first"));
    assert_int_equal(r.status, 200);
    fetch_done(&r);
    fetch_init(&r, g->f, g->a, method, rig_url(g, s, "/second"));
    if (method == FETCH_POST || method == FETCH_PUT) {
        fetch_form(&r, "a", "b");
    }
    fetch_send(&r);
    rig_wait(g, &r);
    int status = r.op.failed ? -1 : r.status;
    fetch_done(&r);
    return status;
}

static void test_dead_connection(void **state)
{
    (void)state;
    for (enum fetch_method m = FETCH_GET; m <= FETCH_DELETE; m++) {
        struct rig g;
        struct server *s = server_open(serve_once, NULL);
        rig_open(&g, NULL);
        assert_int_equal(after_one(&g, s, m), 200);
        /* Sent again over a new connection where once more does no harm; POST only once. */
        assert_int_equal(server_requests(s), m == FETCH_POST ? 2 : 3);
        assert_int_equal(server_connections(s), 2);
        rig_close(&g);
        server_close(s);
    }
}

/* Reads a request and hangs up, always. */
static void serve_hang_up(struct peer *p)
{
    peer_read(p);
}

static void test_sent_once(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_hang_up, NULL);
    rig_open(&g, NULL);
    fetch_init(&r, g.f, g.a, FETCH_POST, rig_url(&g, s, "/"));
    fetch_form(&r, "a", "b");
    fetch_send(&r);
    rig_wait(&g, &r);
    rig_failed(&r, FETCH_BROKEN, ERR_RETRY, "the connection ended before the answer did");
    fetch_done(&r);
    rig_turn(&g, 50);
    assert_int_equal(server_requests(s), 1);
    rig_close(&g);
    server_close(s);
}

/* ---- the environment and proxies ---------------------------------------------------------------
 */

static void test_no_proxy_by_environment(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *proxy = server_open(serve_echo, NULL);
    rig_open(&g, NULL);
    const char *url = rig_url(&g, proxy, "");
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(setenv(names[i], url, 1), 0);
    }
    rig_get(&g, &r, "http://nobody.invalid/");
    rig_failed(&r, FETCH_RESOLVE, ERR_RETRY, "nobody.invalid");
    fetch_done(&r);
    assert_int_equal(server_requests(proxy), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    rig_close(&g);
    server_close(proxy);
}

static void test_proxy(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *proxy = server_open(serve_echo, NULL), *s = server_open(serve_ok, NULL);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", server_port(proxy));
    assert_int_equal(setenv("no_proxy", "nobody.invalid", 1), 0);
    rig_open(&g, &(struct fetch_conf){.proxy = url});
    rig_get(&g, &r, "http://nobody.invalid/x");
    assert_int_equal(r.status, 200);
    assert_has(r.body.p, "GET http://nobody.invalid/x HTTP/1.1\r\n");
    fetch_done(&r);
    /* TLS goes through a tunnel, which this one does not dig. */
    rig_get(&g, &r, "https://nobody.invalid/x");
    assert_true(r.op.failed);
    assert_int_equal(r.op.err.class, ERR_RETRY);
    assert_null(fetch_answer_header(&r, "content-length"));
    fetch_done(&r);
    assert_int_equal(server_requests(proxy), 2);
    /* Never for loopback. */
    rig_get(&g, &r, rig_url(&g, s, "/"));
    assert_true(span_is(buf_span(&r.body), "ok"));
    fetch_done(&r);
    assert_int_equal(unsetenv("no_proxy"), 0);
    rig_close(&g);
    server_close(proxy);
    server_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_slow_neighbour),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_dead_connection),
        cmocka_unit_test(test_sent_once),
        cmocka_unit_test(test_no_proxy_by_environment),
        cmocka_unit_test(test_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
