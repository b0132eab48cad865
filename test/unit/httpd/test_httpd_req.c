/* What handlers ask: parameters, query, form, cookies, JSON. */
#include "unit/httpd/rig.h"

#include <jansson.h>

static void show(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    const char *only = NULL, *q = httpd_query(r, "q"), *cookie = httpd_cookie(r, "sid");
    int rc = httpd_query_only(r, "q", &only);
    const char *agent = httpd_field(r, "user-AGENT");
    struct span host = httpd_host(r);
    httpd_text(r, 200,
               arena_printf(httpd_arena(r), "q=%s only=%d,%s cookie=%s agent=%s host=%.*s",
                            q ? q : "(none)", rc, only ? only : "(none)",
                            cookie ? cookie : "(none)", agent ? agent : "(none)", (int)host.n,
                            host.p));
}

static void params(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200,
               arena_printf(httpd_arena(r), "%s|%lld|%s", httpd_param(r, "name"),
                            (long long)httpd_param_i64(r, "n"), httpd_param(r, "n")));
}

static void form(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    const char *only;
    if (httpd_form_read(r) < 0)
        return;
    const char *name = httpd_form(r, "name");
    int rc = httpd_form_only(r, "name", &only);
    httpd_text(r, 200, arena_printf(httpd_arena(r), "name=%s rc=%d", name ? name : "(none)", rc));
}

static void json(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    json_t *j = httpd_json_read(r, 4);
    if (!j)
        return;
    const char *a = json_string_value(json_object_get(j, "a"));
    httpd_text(r, 200, a ? a : "(none)");
    json_decref(j);
}

static struct rig *g;

static int setup(void **state)
{
    (void)state;
    g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/show", show, NULL);
    rig_route(g, HTTPD_GET, "/p/{name:text}/{n:i64}", params, NULL);
    rig_route(g, HTTPD_POST, "/form", form, NULL);
    rig_route(g, HTTPD_POST, "/json", json, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_free(g);
    return 0;
}

static void expect(const char *request, int status, const char *part)
{
    struct client *c = ask(g, request);
    if (client_status(c, 0) != status)
        fail_msg("%s\ngives %s", request, c->got.p);
    assert_has(c->got.p, part);
    client_close(c);
}

static void expect_post(const char *path, const char *type, const char *body, int status,
                        const char *part)
{
    char text[4096];
    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n%s",
             path, type, strlen(body), body);
    expect(text, status, part);
}

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: example.org:81\r\n" more "\r\n"

static void test_query(void **state)
{
    (void)state;
    expect(GET("/show", ""), 200, "q=(none) only=0,(none)");
    expect(GET("/show?", ""), 200, "q=(none)");
    expect(GET("/show?q", ""), 200, "q= only=0, ");
    expect(GET("/show?a=1&q=x%20y+z%26&&b", ""), 200, "q=x y z& only=0,x y z&");
    expect(GET("/show?q=1&q=2", ""), 200, "q=1 only=-1,1");
    expect(GET("/show?%71=caf%C3%A9", ""), 200, "q=caf\xc3\xa9");
    expect(GET("/show?q=a=b", ""), 200, "q=a=b");
    expect(GET("/show?q=%c3", ""), 400, "a parameter is badly encoded");
    char many[512] = "GET /show?";
    for (int i = 0; i < 130; i++)
        memcpy(many + 10 + 2 * i, "a&", 3);
    memcpy(many + 10 + 260, " HTTP/1.1\r\nHost: a\r\n\r\n", 23);
    expect(many, 400, "too many parameters");
    expect(GET("/show", "User-Agent:  curl \t\r\n"), 200, "agent=curl host=example.org:81");
}

static void test_params(void **state)
{
    (void)state;
    expect(GET("/p/caf%C3%A9%20x/-12", ""), 200, "\r\n\r\ncaf\xc3\xa9 x|-12|-12");
    expect(GET("/p/%2525/0", ""), 200, "\r\n\r\n%25|0|0"); /* decoded once */
}

static void test_cookies(void **state)
{
    (void)state;
    expect(GET("/show", "Cookie: sid=1\r\n"), 200, "cookie=1 ");
    expect(GET("/show", "Cookie: xsid=1; sid=\"2\"; sid=3\r\n"), 200, "cookie=2 ");
    expect(GET("/show", "Cookie: a=b\r\nCookie: sid=4;\r\n"), 200, "cookie=4 ");
    expect(GET("/show", "Cookie: sid=\r\n"), 200, "cookie= ");
    expect(GET("/show", "Cookie: sidx=1; sid\r\n"), 200, "cookie=(none)");
    expect(GET("/show", "Cookie: ;;=;\r\n"), 200, "cookie=(none)");
}

#define FORM "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
#define JSON "Content-Type: application/json\r\n"

static void test_form(void **state)
{
    (void)state;
    expect_post("/form", FORM, "name=a%0D%0Ab&x=", 200, "name=a\r\nb rc=0");
    expect_post("/form", FORM, "name=1&name=2", 200, "name=1 rc=-1");
    expect_post("/form", FORM, "", 200, "name=(none)");
    expect_post("/form", FORM, "name=%zz", 400, "badly encoded");
    expect_post("/form", FORM, "name=%00", 400, "badly encoded");
    expect_post("/form", FORM "Content-Encoding: gzip\r\n", "name=1", 415, "x-www-form");
    expect_post("/form", JSON, "name=1", 415, "x-www-form");
    expect_post("/form", "", "name=1", 415, "x-www-form");
}

static void test_json(void **state)
{
    (void)state;
    expect_post("/json", JSON, "{\"a\":\"b\"}", 200, "\r\n\r\nb");
    expect_post("/json", "Content-Type: Application/ld+json;x=y\r\n", "{\"a\":\"b\"}", 200,
                "\r\n\r\nb");
    expect_post("/json", "Content-Type: text/plain\r\n", "{}", 415, "must be application/json");
    expect_post("/json", "Content-Type: application/jsonx\r\n", "{}", 415, "must be");
    expect_post("/json", "", "{}", 415, "must be application/json");
    expect_post("/json", JSON, "{", 400, "JSON line 1");
    expect_post("/json", JSON, "", 400, "JSON line 1");
    expect_post("/json", JSON, "[[[[[]]]]]", 400, "nested deeper");
    expect_post("/json", JSON, "{\"a\":1,\"a\":2}", 400, "duplicate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query), cmocka_unit_test(test_params), cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_form),  cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
