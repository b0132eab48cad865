/* The way to Strava and back, as it is signed; cookies, and where we are, by what browsers send. */
#include "unit/base/helper.h"
#include "unit/httpd/rig.h"
#include "web/internal.h"

#include <string.h>

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static unsigned char key[32], cookie[WEB_TOKEN_BYTES];

static void fill(unsigned char *p, size_t n, unsigned char first)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(first + i);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void test_a_state_holds_for_ten_minutes(void **state)
{
    (void)state;
    enum { NOW = 1800000000 };
    char text[WEB_STATE_HEX + 1], other[WEB_STATE_HEX + 1];
    unsigned char nonce[16] = {0}, second[16] = {0}, none[16] = {0};
    fill(key, sizeof(key), 1);
    fill(cookie, sizeof(cookie), 100);
    web__state_make(key, cookie, NOW, text);
    assert_int_equal(strlen(text), WEB_STATE_HEX);
    assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_OK);
    assert_memory_not_equal(nonce, none, sizeof(none));
    assert_int_equal(web__state_read(key, cookie, text, NOW + 599, second), WEB_STATE_OK);
    assert_memory_equal(nonce, second, sizeof(nonce));
    assert_int_equal(web__state_read(key, cookie, text, NOW + 600, second), WEB_STATE_EXPIRED);
    assert_int_equal(web__state_read(key, cookie, text, NOW + 1000000, second), WEB_STATE_EXPIRED);
    web__state_make(key, cookie, NOW, other);
    assert_string_not_equal(text, other);
    assert_int_equal(web__state_read(key, cookie, other, NOW, second), WEB_STATE_OK);
    assert_memory_not_equal(nonce, second, sizeof(nonce));
}

static void test_any_other_state_is_foreign(void **state)
{
    (void)state;
    enum { NOW = 1800000000 };
    char text[WEB_STATE_HEX + 3];
    unsigned char nonce[16];
    fill(key, sizeof(key), 1);
    fill(cookie, sizeof(cookie), 100);
    web__state_make(key, cookie, NOW, text);
    for (size_t i = 0; i < WEB_STATE_HEX; i++) {
        char was = text[i];
        text[i] = was == '0' ? '1' : '0';
        if (web__state_read(key, cookie, text, NOW, nonce) != WEB_STATE_FOREIGN)
            fail_msg("letter %zu", i);
        text[i] = was;
    }
    for (size_t i = 0; i < sizeof(cookie); i++) {
        cookie[i] ^= 0x80;
        assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_FOREIGN);
        cookie[i] ^= 0x80;
        key[i] ^= 1;
        assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_FOREIGN);
        key[i] ^= 1;
    }
    assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_OK);
    memcpy(text + WEB_STATE_HEX, "0", 2);
    assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_FOREIGN);
    text[WEB_STATE_HEX - 1] = '\0';
    assert_int_equal(web__state_read(key, cookie, text, NOW, nonce), WEB_STATE_FOREIGN);
    assert_int_equal(web__state_read(key, cookie, "", NOW, nonce), WEB_STATE_FOREIGN);
    assert_int_equal(web__state_read(key, cookie, NULL, NOW, nonce), WEB_STATE_FOREIGN);
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct web web; /* only the configuration is looked at */

static struct {
    bool there, own;
    char origin[100], csrf[33];
    unsigned char hash[32];
} seen;

static void look(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    unsigned char token[WEB_TOKEN_BYTES];
    memset(&seen, 0, sizeof(seen));
    seen.there = web__visitor_hash(r, seen.hash);
    web__visitor_csrf(r, seen.csrf);
    seen.own = web__visitor_is_own_form(&web, r, httpd_query(r, "csrf"));
    const char *origin = web__origin_of(&web, r);
    snprintf(seen.origin, sizeof(seen.origin), "%s", origin ? origin : "nobody knows");
    fill(token, sizeof(token), 0xf0);
    web__visitor_set(&web, r, token);
    web__way_clear(&web, r);
    httpd_text(r, 200, "ok\n");
}

static struct client *ask_as(struct rig *g, const char *query, const char *host, const char *fields)
{
    struct buf b = {0};
    buf_printf(&b, "GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", query, host,
               fields);
    struct client *c = ask(g, b.p);
    assert_int_equal(client_status(c, 0), 200);
    buf_done(&b);
    return c;
}

static struct rig *open_rig(void)
{
    static const struct httpd_conf conf = {.trusted = "127.0.0.1"};
    struct rig *g = rig_new(&conf);
    memset(&web, 0, sizeof(web));
    rig_route(g, HTTPD_GET, "/", look, NULL);
    return g;
}

static void test_where_we_are(void **state)
{
    (void)state;
    static const struct {
        const char *host, *fields, *origin;
    } row[] = {
        {"localhost", "", "http://localhost"},
        {"localhost:8080", "", "http://localhost:8080"},
        {"127.0.0.1:8080", "", "http://127.0.0.1:8080"},
        {"[::1]:8080", "", "http://[::1]:8080"},
        {"localhost:8080", "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n",
         "https://localhost:8080"},
        {"trails.example.org", "", "nobody knows"},
        {"localhost.evil.example", "", "nobody knows"},
        {"127.0.0.1.evil.example", "", "nobody knows"},
        {"127.0.0.12", "", "nobody knows"},
        {"evil.example:8080", "", "nobody knows"},
        {"192.0.2.1", "", "nobody knows"},
    };
    struct rig *g = open_rig();
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        client_close(ask_as(g, "", row[i].host, row[i].fields));
        assert_string_equal(seen.origin, row[i].origin);
    }
    web.conf.origin = "https://trails.example.org";
    client_close(ask_as(g, "", "evil.example", ""));
    assert_string_equal(seen.origin, "https://trails.example.org");
    rig_free(g);
}

static void test_cookies(void **state)
{
    (void)state;
    struct rig *g = open_rig();
    struct client *c = ask_as(g, "", "localhost", "");
    assert_has(c->got.p, "Set-Cookie: waymark_visitor=f0f1f2");
    assert_has(c->got.p, "Max-Age=2592000");
    assert_has(c->got.p, "HttpOnly");
    assert_has(c->got.p, "SameSite=Lax");
    assert_has(c->got.p, "Set-Cookie: waymark_login=;");
    assert_lacks(c->got.p, "Secure");
    assert_false(seen.there);
    client_close(c);
    c = ask_as(g, "", "localhost", "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_has(c->got.p, "; Secure");
    client_close(c);
    web.conf.origin = "http://trails.example.org";
    c = ask_as(g, "", "localhost", "");
    assert_lacks(c->got.p, "; Secure");
    client_close(c);
    web.conf.origin = "https://trails.example.org";
    c = ask_as(g, "", "localhost", "Cookie: waymark_visitor=" TOKEN "\r\n");
    assert_has(c->got.p, "; Secure");
    assert_true(seen.there);
    client_close(c);
    unsigned char token[WEB_TOKEN_BYTES], want[32];
    assert_true(web__from_hex(TOKEN, token, sizeof(token)));
    web__sha256(token, sizeof(token), want);
    assert_memory_equal(seen.hash, want, sizeof(want));
    /* That of the admin opens nothing here. */
    client_close(ask_as(g, "", "localhost", "Cookie: waymark_admin=" TOKEN "\r\n"));
    assert_false(seen.there);
    rig_free(g);
}

static void test_forms(void **state)
{
    (void)state;
    static const char mine[] = "Cookie: waymark_visitor=" TOKEN "\r\n";
    static const struct {
        const char *origin, *fields;
        bool own;
    } row[] = {
        {NULL, "", true},
        {NULL, "Origin: http://localhost\r\n", true},
        {NULL, "Origin: https://evil.example\r\n", false},
        {NULL, "Sec-Fetch-Site: cross-site\r\n", false},
        {"https://trails.example.org", "Origin: https://trails.example.org\r\n", true},
        {"https://trails.example.org",
         "Origin: https://trails.example.org\r\nSec-Fetch-Site: same-origin\r\n", true},
        {"https://trails.example.org",
         "Origin: https://trails.example.org\r\nSec-Fetch-Site: cross-site\r\n", false},
        {"https://trails.example.org", "Origin: http://trails.example.org\r\n", false},
        {"https://trails.example.org", "Origin: https://trails.example.org.evil\r\n", false},
        {"https://trails.example.org", "Origin: null\r\n", false},
    };
    struct rig *g = open_rig();
    client_close(ask_as(g, "", "localhost", mine));
    assert_false(seen.own);
    char query[64];
    snprintf(query, sizeof(query), "?csrf=%s", seen.csrf);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        char fields[300];
        snprintf(fields, sizeof(fields), "%s%s", mine, row[i].fields);
        web.conf.origin = row[i].origin;
        client_close(ask_as(g, query, "localhost", fields));
        if (seen.own != row[i].own)
            fail_msg("%s", row[i].fields);
    }
    web.conf.origin = NULL;
    client_close(ask_as(g, query, "localhost", "")); /* without its cookie */
    assert_false(seen.own);
    rig_free(g);
}

static void test_how_often_one_may_begin(void **state)
{
    (void)state;
    static struct web w;
    static const char *const near[] = {"unix", "::1", "127.0.0.1", "127.8.9.1"};
    for (int i = 0; i < 30; i++) {
        assert_true(web__may_begin(&w, "192.0.2.7", 1000));
    }
    for (int i = 0; i < 70000; i++) { /* it does not count round */
        assert_false(web__may_begin(&w, "192.0.2.7", 1000 + i));
    }
    for (int i = 0; i < 600; i++) { /* this machine counts as one, and apart */
        assert_true(web__may_begin(&w, near[i % COUNT_OF(near)], 200000));
    }
    for (size_t k = 0; k < COUNT_OF(near); k++) {
        assert_false(web__may_begin(&w, near[k], 200000));
    }
    /* Others are not kept out, but for one in a thousand who shares a place. */
    int kept_out = 0;
    char address[32];
    for (int i = 0; i < 200; i++) {
        snprintf(address, sizeof(address), "198.51.100.%d", i);
        kept_out += !web__may_begin(&w, address, 300000);
    }
    assert_true(kept_out < 20);
    assert_false(web__may_begin(&w, "192.0.2.7", 600999));
    assert_true(web__may_begin(&w, "192.0.2.7", 601000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_state_holds_for_ten_minutes),
        cmocka_unit_test(test_any_other_state_is_foreign),
        cmocka_unit_test(test_where_we_are),
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_how_often_one_may_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
