/* How a request is put together, and what is refused before anything is sent. */
#include <curl/curl.h>

#include "unit/fetch/rig.h"

static void begin(struct rig *g, struct fetch_req *r, enum fetch_method method, const char *url)
{
    fetch_init(r, g->f, g->a, method, url);
}

/* Refused, for a reason that has text in it; the URL's query is not told. */
static void refused(struct rig *g, struct fetch_req *r, enum err_class class, const char *text)
{
    fetch_send(r);
    assert_int_equal(r->op.state, OP_FINISHED);
    rig_wait(g, r);
    rig_failed(r, FETCH_REFUSED, class, text);
    assert_has(r->op.err.msg, "request not sent: ");
    fetch_done(r);
}

static void refused_url(struct rig *g, const char *url, const char *text)
{
    struct fetch_req r;
    begin(g, &r, FETCH_GET, url);
    fetch_query(&r, "key", "topsecret");
    fetch_send(&r);
    rig_wait(g, &r);
    rig_failed(&r, FETCH_REFUSED, ERR_PERMANENT, text);
    assert_lacks(r.op.err.msg, "topsecret");
    fetch_done(&r);
}

static void test_urls(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    refused_url(&g, "", "malformed");
    refused_url(&g, "www.example.org/", "malformed");
    refused_url(&g, "https://", "URL");
    refused_url(&g, "https:///path", "URL");
    refused_url(&g, "https://:80/", "URL");
    refused_url(&g, "https://a:99999/", "malformed");
    refused_url(&g, "https://me@example.org/", "malformed");
    refused_url(&g, "https://me:pw@example.org/", "malformed");
    refused_url(&g, "ftp://example.org/x", "neither https nor http");
    refused_url(&g, "file:///etc/passwd", "no host");
    refused_url(&g, "file://localhost/etc/passwd", "neither https nor http");
    refused_url(&g, "gopher://example.org/", "neither https nor http");
    refused_url(&g, "https://example.org/a b", "byte 0x20");
    refused_url(&g, "https://example.org/a\r\nX: y", "byte 0x0d");
    refused_url(&g, "https://example.org/a\nX", "byte 0x0a");
    refused_url(&g, "https://example.org/\x01", "byte 0x01");
    refused_url(&g, "https://example.org/\x7f", "byte 0x7f");
    refused_url(&g, "https://exämple.org/", "byte 0xc3");
    refused_url(&g, "https://example.org/#part", "byte 0x23");
    refused_url(&g, "https://example.org\\@127.0.0.1/", "byte 0x5c");
    char *host = arena_printf(g.a, "https://%0300d.invalid/", 1);
    memset(host + 8, 'a', 300);
    refused_url(&g, host, "no host, or one too long");
    refused_url(&g, arena_printf(g.a, "https://a.invalid/%09000d", 1), "longer than 8192");
    rig_close(&g);
}

static void test_query_and_form(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    rig_open(&g, NULL);
    begin(&g, &r, FETCH_POST, "https://example.org/a");
    fetch_query(&r, "per_page", "200");
    fetch_query(&r, "a b&=", "x/y?z#\xc3\xa4+~");
    fetch_query(&r, "empty", "");
    assert_string_equal(r.url.p, "https://example.org/a?per_page=200&a%20b%26%3D="
                                 "x%2Fy%3Fz%23%C3%A4%2B~&empty=");
    fetch_form(&r, "grant_type", "refresh_token");
    fetch_form(&r, "new\r\nline", "\"<&>\x01\x7f");
    assert_string_equal(r.sent.p, "grant_type=refresh_token&new%0D%0Aline=%22%3C%26%3E%01%7F");
    fetch_done(&r);
    begin(&g, &r, FETCH_GET, "https://example.org/?a=1");
    fetch_query(&r, "b", "2");
    assert_string_equal(r.url.p, "https://example.org/?a=1&b=2");
    fetch_done(&r);
    rig_close(&g);
}

static void refused_header(struct rig *g, const char *name, const char *value, enum err_class class,
                           const char *text)
{
    struct fetch_req r;
    begin(g, &r, FETCH_GET, "https://127.0.0.1:1/");
    fetch_header(&r, name, value);
    fetch_header(&r, "X-Fine", "after");
    refused(g, &r, class, text);
}

static void test_headers(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    static const char *const no_token[] = {"",     "a b", "a:b", "a\r\nb", "\xc3\xa4",
                                           "a\tb", "(a)", "a/b", "\"a\"",  "a@b"};
    for (size_t i = 0; i < COUNT_OF(no_token); i++) {
        refused_header(&g, no_token[i], "v", ERR_PERMANENT, "not a token");
    }
    static const char *const injected[] = {"a\r\nX-Evil: b", "a\nb", "a\rb", "\x01",
                                           "a\x7f",          "\r\n", "\n"};
    for (size_t i = 0; i < COUNT_OF(injected); i++) {
        refused_header(&g, "X-Name", injected[i], ERR_PERMANENT,
                       "control character in the header field X-Name");
    }
    static const char *const own[] = {"Host",       "content-length", "TRANSFER-ENCODING",
                                      "Connection", "Content-Type",   "Authorization",
                                      "Expect",     "Upgrade"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        refused_header(&g, own[i], "v", ERR_BUG, "not the caller's");
    }
    char *large = arena_printf(g.a, "%09000d", 1);
    refused_header(&g, "X-Large", large, ERR_PERMANENT, "longer than 8192");
    struct fetch_req r;
    begin(&g, &r, FETCH_GET, "https://127.0.0.1:1/");
    for (int i = 0; i < 33; i++) {
        fetch_header(&r, "X-Many", "v");
    }
    refused(&g, &r, ERR_PERMANENT, "more than 32");
    /* The first thing is the one that is told. */
    begin(&g, &r, FETCH_GET, "ftp://127.0.0.1/");
    fetch_header(&r, "X-A", "\n");
    fetch_bearer(&r, "");
    refused(&g, &r, ERR_PERMANENT, "X-A");
    rig_close(&g);
}

static void test_credentials(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    rig_open(&g, NULL);
    static const char *const bad[] = {"", "a b", "a\r\nb", "a\n", "\x80"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        begin(&g, &r, FETCH_GET, "https://127.0.0.1:1/");
        fetch_bearer(&r, bad[i]);
        refused(&g, &r, ERR_PERMANENT, "access token");
    }
    begin(&g, &r, FETCH_GET, "https://127.0.0.1:1/");
    fetch_basic(&r, "a:b", "c");
    refused(&g, &r, ERR_PERMANENT, "user name or password");
    begin(&g, &r, FETCH_GET, "https://127.0.0.1:1/");
    fetch_basic(&r, "a", "c\r\nX: y");
    refused(&g, &r, ERR_PERMANENT, "user name or password");
    begin(&g, &r, FETCH_GET, "https://127.0.0.1:1/");
    fetch_basic(&r, "Aladdin", "open sesame");
    assert_string_equal(r.lines->data, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    fetch_done(&r);
    begin(&g, &r, FETCH_POST, "https://127.0.0.1:1/");
    fetch_body(&r, "text/plain\r\nX: y", SPAN("x"));
    refused(&g, &r, ERR_PERMANENT, "type of the body");
    rig_close(&g);
}

enum secret { NONE, BEARER, BASIC, COOKIE, FORM, BODY, DECLARED, PATH, SECRETS, ALLOWED };

static void send_secret(struct rig *g, struct fetch_req *r, enum secret secret, const char *url)
{
    begin(g, r, FETCH_POST, url);
    switch (secret) {
    case BEARER:
        fetch_bearer(r, "t0ken");
        break;
    case BASIC:
        fetch_basic(r, "me", "pw");
        break;
    case COOKIE:
        fetch_header(r, "cookie", "a=b");
        break;
    case FORM:
        fetch_form(r, "client_secret", "x");
        break;
    case BODY:
        fetch_body(r, "text/plain", SPAN("x"));
        break;
    case DECLARED:
        fetch_secret(r);
        break;
    case PATH:
        fetch_secret_path(r);
        break;
    case ALLOWED:
        fetch_over_http(r);
        fetch_secret_path(r);
        break;
    default:
        break;
    }
    fetch_send(r);
}

/* Sent, or refused for being plain. (Sent to nobody: a host that does not resolve.) */
static bool is_refused(struct rig *g, enum secret secret, const char *url)
{
    struct fetch_req r;
    send_secret(g, &r, secret, url);
    bool refused = r.op.state == OP_FINISHED;
    op_cancel(&r.op);
    rig_wait(g, &r);
    if (refused) {
        rig_failed(&r, FETCH_REFUSED, ERR_PERMANENT, "a secret may not go over plain http");
    }
    fetch_done(&r);
    return refused;
}

static void test_plain_http(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    static const char *const near[] = {"http://localhost:1/",  "http://127.0.0.1:1/",
                                       "http://[::1]:1/",      "http://127.255.3.4:1/",
                                       "http://LocalHost:1/x", "http://0x7f.1:1/"};
    static const char *const far[] = {"http://a.invalid/",
                                      "http://127.0.0.1.a.invalid/",
                                      "http://localhost.a.invalid/",
                                      "http://192.0.2.1/",
                                      "http://[::2]/",
                                      "http://128.0.0.1/"};
    for (enum secret secret = NONE; secret < SECRETS; secret++) {
        for (size_t i = 0; i < COUNT_OF(near); i++) {
            assert_false(is_refused(&g, secret, near[i]));
        }
        for (size_t i = 0; i < COUNT_OF(far); i++) {
            assert_int_equal(is_refused(&g, secret, far[i]), secret != NONE);
        }
        assert_false(is_refused(&g, secret, "https://a.invalid/"));
    }
    assert_false(is_refused(&g, ALLOWED, far[0]));
    rig_close(&g);
    rig_open(&g, &(struct fetch_conf){.allow_http = true});
    for (enum secret secret = NONE; secret < SECRETS; secret++) {
        assert_false(is_refused(&g, secret, "http://a.invalid/"));
    }
    rig_close(&g);
}

static void test_done(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r = {.status = 0};
    rig_open(&g, NULL);
    fetch_done(NULL);
    fetch_done(&r); /* never used */
    begin(&g, &r, FETCH_POST, "https://a.invalid/?key=s3cret1");
    fetch_bearer(&r, "s3cret2");
    fetch_form(&r, "a", "s3cret3");
    char *line = r.lines->data;
    assert_has(line, "s3cret2");
    fetch_done(&r);
    assert_string_equal(line, ""); /* overwritten, while the arena lives on */
    assert_null(r.url.p);
    assert_null(r.sent.p);
    fetch_done(&r);
    rig_close(&g);
}

static void test_open(void **state)
{
    (void)state;
    struct err err;
    struct loop *l = loop_new(1, &err);
    struct fetch_conf conf = {.user_agent = "x", .ca_file = "/nowhere/ca.pem"};
    assert_null(fetch_open(l, &conf, &err));
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_has(err.msg, "/nowhere/ca.pem: no certificate");
    conf.ca_file = "/etc/hostname";
    assert_null(fetch_open(l, &conf, &err));
    assert_has(err.msg, "no certificate");
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),       cmocka_unit_test(test_query_and_form),
        cmocka_unit_test(test_headers),    cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_plain_http), cmocka_unit_test(test_done),
        cmocka_unit_test(test_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
