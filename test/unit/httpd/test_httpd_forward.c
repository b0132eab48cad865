/* Who the client is behind proxies, and whom to believe. */
#include "unit/httpd/rig.h"

#include "httpd/internal.h"

static void show(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    const char *client = httpd_client_address(r);
    httpd_text(r, 200, arena_printf(httpd_arena(r), "<%s %d>", client, httpd_is_https(r)));
}

static void expect(const struct httpd_conf *conf, const char *fields, const char *part)
{
    struct rig *g = rig_new(conf);
    rig_route(g, HTTPD_GET, "/", show, NULL);
    char text[1024];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    struct client *c = ask(g, text);
    assert_has(c->got.p, part);
    client_close(c);
    rig_free(g);
}

static void test_x_forwarded(void **state)
{
    (void)state;
    const struct httpd_conf nobody = {0}, local = {.trusted = "127.0.0.0/8, 10.0.0.0/8"};
    expect(&nobody, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "<127.0.0.1 0>");
    expect(&local, "", "<127.0.0.1 0>");
    expect(&local, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "<192.0.2.1 1>");
    /* What stands further left was written by whoever was not trusted. */
    expect(&local, "X-Forwarded-For: 198.51.100.7, 192.0.2.1, 10.1.2.3\r\n", "<192.0.2.1 0>");
    expect(&local, "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 192.0.2.1,10.1.2.3\r\n",
           "<192.0.2.1 0>");
    expect(&local, "X-Forwarded-For: 10.1.2.3, 10.1.2.4\r\n", "<10.1.2.3 0>");
    expect(&local, "X-Forwarded-For: 192.0.2.1, unknown\r\n", "<127.0.0.1 0>");
    expect(&local, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: unknown\r\n", "<127.0.0.1 0>");
    expect(&local, "X-Forwarded-For: 2001:DB8::1\r\n", "<2001:db8::1 0>");
    expect(&local, "X-Forwarded-For: [2001:db8::1]:443\r\n", "<2001:db8::1 0>");
    expect(&local, "X-Forwarded-For: 192.0.2.1:5000\r\n", "<192.0.2.1 0>");
    expect(&local, "X-Forwarded-For: ::ffff:192.0.2.1\r\n", "<192.0.2.1 0>");
    expect(&local, "X-Forwarded-Proto: https, http\r\n", "<127.0.0.1 0>");
    expect(&local, "Forwarded: for=192.0.2.1;proto=https\r\n", "<127.0.0.1 0>");
}

static void test_forwarded(void **state)
{
    (void)state;
    const struct httpd_conf local = {.trusted = "127.0.0.1", .use_forwarded = true};
    expect(&local, "Forwarded: for=192.0.2.1;proto=https;by=1.1.1.1\r\n", "<192.0.2.1 1>");
    expect(&local, "Forwarded: For=\"[2001:db8::1]:80\"; Proto=http\r\n", "<2001:db8::1 0>");
    expect(&local, "Forwarded: for=9.9.9.9, for=192.0.2.1\r\n", "<192.0.2.1 0>");
    expect(&local, "Forwarded: for=_hidden\r\n", "<127.0.0.1 0>");
    expect(&local, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", "<127.0.0.1 0>");
}

static void test_trusted(void **state)
{
    (void)state;
    static const char *const wrong[] = {"example.org", "10.0.0.0/33", "10.0.0.0/",     "::/129",
                                        "10.0.0/8",    "10.0.0.0/-1", "10.0.0.0/8 ::1"};
    struct httpd__trusted t = {0};
    struct err err;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(httpd__trusted_parse(&t, wrong[i], &err), -1);
        assert_int_equal(err.domain, ERR_CONF);
        assert_has(err.msg, wrong[i]);
    }
    assert_int_equal(httpd__trusted_parse(&t, "10.1.0.0/15, 2001:db8::/33,unix", &err), 0);
    static const struct {
        const char *text;
        bool trusted;
    } cases[] = {{"10.0.255.255", true},    {"10.1.0.0", true},         {"10.2.0.0", false},
                 {"2001:db8:7fff::", true}, {"2001:db8:8000::", false}, {"::ffff:10.1.0.1", true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct httpd__address a;
        assert_int_equal(httpd__address_parse(&a, span_of(cases[i].text)), 0);
        if (httpd__is_trusted(&t, &a) != cases[i].trusted)
            fail_msg("%s", cases[i].text);
    }
    assert_true(httpd__is_trusted(&t, &(struct httpd__address){.family = AF_UNIX}));
    vec_done(&t);
}

/* IPv6 is counted by /64; entries go when nobody is left. */
static void test_peers(void **state)
{
    (void)state;
    struct httpd__peers p = {0};
    struct httpd__address a, b;
    char text[64];
    assert_int_equal(httpd__address_parse(&a, SPAN("2001:db8::1")), 0);
    assert_int_equal(httpd__address_parse(&b, SPAN("2001:db8::ffff:1")), 0);
    assert_int_equal(httpd__peers_add(&p, &a, 2), 0);
    assert_int_equal(httpd__peers_add(&p, &b, 2), 0);
    assert_int_equal(httpd__peers_add(&p, &a, 2), -1);
    httpd__peers_remove(&p, &b);
    assert_int_equal(httpd__peers_add(&p, &a, 2), 0);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
        assert_int_equal(httpd__address_parse(&b, span_of(text)), 0);
        assert_int_equal(httpd__peers_add(&p, &b, 1), 0);
        assert_int_equal(httpd__peers_add(&p, &b, 1), -1);
    }
    assert_int_equal(p.n, 501);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
        assert_int_equal(httpd__address_parse(&b, span_of(text)), 0);
        httpd__peers_remove(&p, &b);
    }
    httpd__peers_remove(&p, &a);
    httpd__peers_remove(&p, &a);
    httpd__peers_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x_forwarded),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
