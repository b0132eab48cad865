/* Who asks, by what browsers send: cookie, form token, where a form is from, where to go next. */
#include "unit/base/helper.h"
#include "unit/httpd/rig.h"
#include "web/internal.h"

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* What the functions say of the last request. */
static struct {
    bool there, from_here, own;
    unsigned char hash[32];
    char csrf[33];
} seen;

static struct web web; /* all that is asked of it is whether the configuration gives a secret */

static void look(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    memset(&seen, 0, sizeof(seen));
    seen.there = web__session_token(&web, r, seen.hash);
    web__session_csrf(r, seen.csrf);
    seen.from_here = web__session_is_from_here(r);
    seen.own = web__session_is_own_form(r, httpd_query(r, "csrf"));
    httpd_text(r, 200, "ok\n");
}

static void ask_with(struct rig *g, const char *query, const char *fields)
{
    struct buf b = {0};
    buf_printf(&b, "GET /%s HTTP/1.1\r\nHost: here:80\r\nConnection: close\r\n%s\r\n", query,
               fields);
    struct client *c = ask(g, b.p);
    assert_int_equal(client_status(c, 0), 200);
    client_close(c);
    buf_done(&b);
}

static struct rig *open_rig(void)
{
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/", look, NULL);
    return g;
}

static void test_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *cookie;
        bool there;
    } row[] = {
        {"", false},
        {"Cookie: waymark_admin=" TOKEN "\r\n", true},
        {"Cookie: a=b; waymark_admin=\"" TOKEN "\"\r\n", true},
        {"Cookie: waymark_admin=\r\n", false},
        {"Cookie: waymark_admin=" TOKEN "0\r\n", false},
        {"Cookie: waymark_admin=" TOKEN "00\r\n", false},
        {"Cookie: waymark_admin=0011\r\n", false},
        {"Cookie: xwaymark_admin=" TOKEN "\r\n", false},
        /* One way to write it only. */
        {"Cookie: waymark_admin=00112233445566778899AABBCCDDEEFF"
         "00112233445566778899aabbccddeeff\r\n",
         false},
        {"Cookie: waymark_admin=g0112233445566778899aabbccddeeff"
         "00112233445566778899aabbccddeeff\r\n",
         false},
        {"Cookie: waymark_admin=-0112233445566778899aabbccddeeff"
         "00112233445566778899aabbccddee:/\r\n",
         false},
    };
    struct rig *g = open_rig();
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        ask_with(g, "", row[i].cookie);
        if (seen.there != row[i].there) {
            fail_msg("%s", row[i].cookie);
        }
    }
    unsigned char token[32], want[32];
    for (size_t i = 0; i < sizeof(token); i++) {
        token[i] = (unsigned char)(0x11 * (i % 16));
    }
    web__sha256(token, sizeof(token), want);
    ask_with(g, "", "Cookie: waymark_admin=" TOKEN "\r\n");
    assert_memory_equal(seen.hash, want, sizeof(want));
    web.conf.admin_secret = "another";
    ask_with(g, "", "Cookie: waymark_admin=" TOKEN "\r\n");
    assert_memory_not_equal(seen.hash, want, sizeof(want));
    web.conf.admin_secret = NULL;
    rig_free(g);
}

static void test_form_tokens(void **state)
{
    (void)state;
    static const char mine[] = "Cookie: waymark_admin=" TOKEN "\r\n";
    struct rig *g = open_rig();
    char right[33], query[64];
    ask_with(g, "", mine);
    memcpy(right, seen.csrf, sizeof(right));
    assert_int_equal(strspn(right, "0123456789abcdef"), 32);
    assert_false(seen.own);
    snprintf(query, sizeof(query), "?csrf=%s", right);
    ask_with(g, query, mine);
    assert_true(seen.own);
    assert_string_equal(seen.csrf, right); /* the same for all forms of a login */
    ask_with(g, query, "Cookie: waymark_admin=" OTHER "\r\n");
    assert_false(seen.own);
    assert_string_not_equal(seen.csrf, right);
    ask_with(g, query, "");
    assert_false(seen.own);
    query[strlen(query) - 1] ^= 1;
    ask_with(g, query, mine);
    assert_false(seen.own);
    query[strlen(query) - 1] = '\0';
    ask_with(g, query, mine);
    assert_false(seen.own);
    snprintf(query, sizeof(query), "?csrf=%s0", right);
    ask_with(g, query, mine);
    assert_false(seen.own);
    /* The right token in a form of somebody else's page. */
    char fields[256];
    snprintf(fields, sizeof(fields), "%sOrigin: https://evil\r\n", mine);
    snprintf(query, sizeof(query), "?csrf=%s", right);
    ask_with(g, query, fields);
    assert_false(seen.own);
    rig_free(g);
}

static void test_where_a_form_is_from(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool here;
    } row[] = {
        {"", true},
        {"Origin: http://here:80\r\n", true},
        {"Origin: https://here:80\r\n", true},
        {"Origin: http://here\r\n", false},
        {"Origin: http://here:8080\r\n", false},
        {"Origin: http://here:80.evil\r\n", false},
        {"Origin: http://evil/http://here:80\r\n", false},
        {"Origin: null\r\n", false},
        {"Origin: \r\n", false},
        {"Sec-Fetch-Site: same-origin\r\n", true},
        {"Sec-Fetch-Site: none\r\n", true},
        {"Sec-Fetch-Site: same-site\r\n", false},
        {"Sec-Fetch-Site: cross-site\r\n", false},
        {"Sec-Fetch-Site: Same-Origin\r\n", false},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: http://here:80\r\n", false},
        {"Sec-Fetch-Site: same-origin\r\nOrigin: http://evil\r\n", false},
    };
    struct rig *g = open_rig();
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        ask_with(g, "", row[i].fields);
        if (seen.from_here != row[i].here) {
            fail_msg("%s", row[i].fields);
        }
    }
    rig_free(g);
}

static void test_where_to_go_next(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool fine;
    } row[] = {
        {"/admin", true},
        {"/admin/jobs/5", true},
        {"/admin?x=1", true},
        {"/admin/jobs?error=a%2F%2Fb", true},
        {"/admin/dead/%C3%BC", true},
        {NULL, false},
        {"", false},
        {"/", false},
        {"admin", false},
        {"/administrator", false},
        {"/admin@evil", false},
        {"//evil", false},
        {"/\\evil", false},
        {"https://evil", false},
        {"javascript:alert(1)", false},
        {"/admin//evil", false},
        {"/admin/\\evil", false},
        {"/admin/\r\nSet-Cookie: a=b", false},
        {"/admin/\tx", false},
        {"/admin/ x", false},
        {"/admin/\x7f", false},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        const char *want = row[i].fine ? row[i].path : "/admin";
        assert_string_equal(web__own_page(row[i].path), want);
    }
    char *text = mem_alloc(100001);
    memset(text, 'a', 100000);
    text[100000] = '\0';
    memcpy(text, "/admin/", 7);
    assert_string_equal(web__own_page(text), "/admin");
    text[WEB_PATH_MAX] = '\0';
    assert_ptr_equal(web__own_page(text), text);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_form_tokens),
        cmocka_unit_test(test_where_a_form_is_from),
        cmocka_unit_test(test_where_to_go_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
