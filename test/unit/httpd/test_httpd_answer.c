/* Answers: their fields, HEAD, problems, what cannot be smuggled into a field, hooks and counters.
 */
#include "unit/httpd/rig.h"

static void html(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    struct buf body = {0};
    buf_puts(&body, "<p>hello</p>");
    httpd_html(r, 200, &body);
}

static void json(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    struct buf body = {0};
    buf_puts(&body, "{\"a\":1}");
    httpd_set(r, "X-One", "1");
    httpd_set(r, "Cache-Control", "private, max-age=5");
    httpd_set_cookie(r, "s", "abc", 60, true);
    httpd_json(r, 201, &body);
    assert_null(body.p);
}

static void redirect(struct httpd_req *r, void *ctx)
{
    httpd_redirect(r, ctx);
}

static void set_raw(struct httpd_req *r, void *ctx)
{
    httpd_set(r, "X-Raw", ctx);
    httpd_text(r, 200, "secret");
}

static void cookie_raw(struct httpd_req *r, void *ctx)
{
    httpd_set_cookie(r, "s", ctx, -1, false);
    httpd_text(r, 200, "secret");
}

static void problem(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_problem(r, 409, "https://example.org/p", "Taken", "the name \"a\"\n is taken");
}

static void empty(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_empty(r, 204);
}

#define ASK(g, method, path) ask(g, method " " path " HTTP/1.1\r\nHost: a\r\n\r\n")

static void test_fields(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/html", html, NULL);
    rig_route(g, HTTPD_GET, "/json", json, NULL);
    struct client *c = ASK(g, "GET", "/html");
    assert_has(c->got.p, "HTTP/1.1 200 OK\r\n");
    assert_has(c->got.p, "Content-Type: text/html; charset=utf-8\r\n");
    assert_has(c->got.p, "Content-Length: 12\r\n");
    assert_has(c->got.p, "X-Content-Type-Options: nosniff\r\n");
    assert_has(c->got.p, "Referrer-Policy: same-origin\r\n");
    assert_has(c->got.p, "X-Frame-Options: DENY\r\n");
    assert_has(c->got.p, "Content-Security-Policy: default-src 'self'");
    assert_has(c->got.p, "frame-ancestors 'none'");
    assert_has(c->got.p, "Cache-Control: no-store\r\n");
    assert_has(c->got.p, " GMT\r\n");
    assert_has(c->got.p, "\r\n\r\n<p>hello</p>");
    assert_lacks(c->got.p, "Server:");
    client_close(c);
    c = ASK(g, "GET", "/json");
    assert_has(c->got.p, "HTTP/1.1 201 Created\r\n");
    assert_has(c->got.p, "Content-Type: application/json\r\n");
    assert_has(c->got.p, "X-One: 1\r\n");
    assert_has(c->got.p, "Cache-Control: private, max-age=5\r\n");
    assert_lacks(c->got.p, "no-store");
    assert_lacks(c->got.p, "Content-Security-Policy");
    assert_has(c->got.p,
               "Set-Cookie: s=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure\r\n");
    client_close(c);
    rig_free(g);
}

/* The same head, no body, and the connection is in step afterwards. */
static void test_head(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/html", html, NULL);
    struct client *c = client_open(g);
    client_send(c, "HEAD /html HTTP/1.1\r\nHost: a\r\n\r\nHEAD /no HTTP/1.1\r\nHost: a\r\n\r\n"
                   "GET /html HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(c, "</p>");
    assert_int_equal(client_status(c, 0), 200);
    assert_int_equal(client_status(c, 1), 404);
    assert_int_equal(client_status(c, 2), 200);
    assert_has(c->got.p, "Content-Length: 12\r\n");
    const char *first_end = strstr(c->got.p, "\r\n\r\n");
    assert_true(strncmp(first_end + 4, "HTTP/1.1 404", 12) == 0);
    assert_true(strncmp(strstr(first_end + 4, "\r\n\r\n") + 4, "HTTP/1.1 200", 12) == 0);
    client_close(c);
    rig_free(g);
}

static void test_redirect(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_POST, "/fine", redirect, "/there?a=b");
    rig_route(g, HTTPD_POST, "/split", redirect, "/there\r\nX-Evil: 1");
    rig_route(g, HTTPD_POST, "/empty", redirect, "");
    struct client *c = ASK(g, "POST", "/fine");
    assert_int_equal(client_status(c, 0), 303);
    assert_has(c->got.p, "Location: /there?a=b\r\n");
    assert_has(c->got.p, "Content-Length: 0\r\n");
    client_close(c);
    c = ASK(g, "POST", "/split");
    assert_int_equal(client_status(c, 0), 500);
    assert_lacks(c->got.p, "X-Evil");
    client_close(c);
    c = ASK(g, "POST", "/empty");
    assert_int_equal(client_status(c, 0), 500);
    client_close(c);
    rig_free(g);
}

static void test_no_injection(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/lf", set_raw, "a\nX-Evil: 1");
    rig_route(g, HTTPD_GET, "/cr", set_raw, "a\rX-Evil: 1");
    rig_route(g, HTTPD_GET, "/null", set_raw, NULL);
    rig_route(g, HTTPD_GET, "/cookie", cookie_raw, "a; Domain=evil");
    rig_route(g, HTTPD_GET, "/high", set_raw, "caf\xc3\xa9");
    static const char *const paths[] = {"/lf", "/cr", "/null", "/cookie"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        char text[128];
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
        struct client *c = ask(g, text);
        assert_int_equal(client_status(c, 0), 500);
        assert_lacks(c->got.p, "vil");
        assert_lacks(c->got.p, "secret");
        client_close(c);
    }
    struct client *c = ASK(g, "GET", "/high");
    assert_has(c->got.p, "X-Raw: caf\xc3\xa9\r\n");
    client_close(c);
    rig_free(g);
}

static void test_problem(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/p", problem, NULL);
    struct client *c = ASK(g, "GET", "/p");
    assert_has(c->got.p, "Content-Type: application/problem+json\r\n");
    assert_has(c->got.p, "{\"type\":\"https://example.org/p\",\"title\":\"Taken\",\"status\":409,"
                         "\"detail\":\"the name \\\"a\\\"\\n is taken\"}");
    client_close(c);
    c = ASK(g, "GET", "/none");
    assert_has(c->got.p, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}");
    client_close(c);
    rig_free(g);
}

static void long_text(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    char *text = arena_alloc(httpd_arena(r), 300001);
    memset(text, 'y', 300000);
    httpd_text(r, 200, text); /* copied: the arena goes first */
}

static void test_long_text(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/long", long_text, NULL);
    struct client *c = ASK(g, "GET", "/long");
    const char *body = strstr(c->got.p, "\r\n\r\n") + 4;
    assert_int_equal(strspn(body, "y"), 300000);
    client_close(c);
    rig_free(g);
}

static void test_no_content(void **state)
{
    (void)state;
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_DELETE, "/e", empty, NULL);
    rig_route(g, HTTPD_GET, "/e", html, NULL);
    struct client *c = ASK(g, "DELETE", "/e");
    assert_int_equal(client_status(c, 0), 204);
    assert_lacks(c->got.p, "Content-Length");
    assert_lacks(c->got.p, "Content-Type:");
    client_close(c);
    c = ASK(g, "PUT", "/e");
    assert_int_equal(client_status(c, 0), 405);
    assert_has(c->got.p, "Allow: GET, HEAD, DELETE, OPTIONS\r\n");
    client_close(c);
    c = ASK(g, "OPTIONS", "/e");
    assert_int_equal(client_status(c, 0), 204);
    assert_has(c->got.p, "Allow: GET, HEAD, DELETE, OPTIONS\r\n");
    client_close(c);
    rig_free(g);
}

static char logged[1024];

static void on_request(void *ctx, const struct httpd_access *a)
{
    (void)ctx;
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof(logged) - n, "%s %.*s %s %d %llu %s\n",
             httpd_method_name(a->method), (int)a->path.n, a->path.p ? a->path.p : "",
             a->route ? a->route : "-", a->status, (unsigned long long)a->bytes_out, a->client);
    assert_true(a->duration_us >= 0 && a->duration_us < 10000000);
}

static void test_hook_and_counters(void **state)
{
    (void)state;
    logged[0] = '\0';
    struct rig *g = rig_new(&(struct httpd_conf){.on_request = on_request});
    rig_route(g, HTTPD_GET, "/html", html, NULL);
    client_close(ASK(g, "GET", "/html?token=secret"));
    client_close(ASK(g, "GET", "/no%20where"));
    client_close(ASK(g, "GET", "/%"));
    client_close(ask(g, "rubbish\r\n"));
    assert_has(logged, "GET /html /html 200 12 127.0.0.1\n");
    assert_has(logged, "GET /no where - 404 ");
    assert_lacks(logged, "secret");
    const struct httpd_stats *s = httpd_stats(g->h);
    assert_int_equal(s->requests[2], 1);
    assert_int_equal(s->requests[4], 3);
    assert_int_equal(s->malformed, 2);
    assert_int_equal(s->accepted, 4);
    assert_true(s->bytes_out > 1000);
    uint64_t counted = 0;
    for (int i = 0; i < HTTPD_BUCKETS; i++)
        counted += s->latency[i];
    assert_int_equal(counted, 4);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),    cmocka_unit_test(test_head),
        cmocka_unit_test(test_redirect),  cmocka_unit_test(test_no_injection),
        cmocka_unit_test(test_problem),   cmocka_unit_test(test_no_content),
        cmocka_unit_test(test_long_text), cmocka_unit_test(test_hook_and_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
