/* Compression: only for who asks, what is text, and what gains. */
#include "unit/httpd/rig.h"

#include <zlib.h>

#include "httpd/internal.h"

static void send_text(struct httpd_req *r, void *ctx)
{
    struct buf body = {0};
    for (int i = 0; i < 400; i++)
        buf_printf(&body, "line %d of many\n", i);
    httpd_send(r, 200, ctx, &body);
}

static void send_small(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "small");
}

static void send_large(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    struct buf body = {0};
    for (int i = 0; i < 300000; i++)
        buf_putc(&body, 'a');
    httpd_json(r, 200, &body);
}

static void send_tagged(struct httpd_req *r, void *ctx)
{
    httpd_set(r, "ETag", "\"x\"");
    send_text(r, ctx);
}

static struct client *get(struct rig *g, const char *path, const char *accept)
{
    char text[512];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", path,
             accept);
    return ask(g, text);
}

static void unpack(const struct client *c, char *out, size_t room)
{
    z_stream z = {0};
    const char *body = strstr(c->got.p, "\r\n\r\n") + 4;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)body;
    z.avail_in = (uInt)(c->got.p + c->got.n - body);
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room - 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    out[z.total_out] = '\0';
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
}

static void test_answers(void **state)
{
    (void)state;
    static char text[65536];
    struct rig *g = rig_new(NULL);
    rig_route(g, HTTPD_GET, "/text", send_text, "text/plain; charset=utf-8");
    rig_route(g, HTTPD_GET, "/png", send_text, "image/png");
    rig_route(g, HTTPD_GET, "/small", send_small, NULL);
    rig_route(g, HTTPD_GET, "/large", send_large, NULL);
    rig_route(g, HTTPD_GET, "/tagged", send_tagged, "text/plain");
    for (int i = 0; i < 3; i++) { /* the state is used again */
        struct client *c = get(g, "/text", "deflate, gzip");
        assert_has(c->got.p, "Content-Encoding: gzip\r\n");
        assert_has(c->got.p, "Vary: Accept-Encoding\r\n");
        assert_true(c->got.n < 3000);
        unpack(c, text, sizeof(text));
        assert_has(text, "line 399 of many\n");
        client_close(c);
    }
    struct client *c = get(g, "/text", "br");
    assert_lacks(c->got.p, "Content-Encoding");
    assert_has(c->got.p, "Vary: Accept-Encoding\r\n"); /* it may be another next time */
    client_close(c);
    static const char *const plain[] = {"/png", "/small", "/tagged"};
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        c = get(g, plain[i], "gzip");
        assert_int_equal(client_status(c, 0), 200);
        assert_lacks(c->got.p, "Content-Encoding");
        assert_lacks(c->got.p, "Vary");
        client_close(c);
    }
    c = get(g, "/large", "gzip"); /* would take the loop too long */
    assert_lacks(c->got.p, "Content-Encoding");
    client_close(c);
    rig_free(g);
}

static bool accepts(const char *value)
{
    struct httpd__field f = {SPAN("accept-encoding"), span_of(value)};
    struct httpd__head h = {.field = &f, .fields = 1};
    return httpd__accepts_gzip(&h);
}

static void test_quality(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "gzip",           "GZIP",           "x-gzip",       "*",
        "br, gzip;q=0.5", "gzip; q=1.000",  "gzip;q=0.001", "identity;q=0.5, gzip;q=0.5",
        "*;q=0.1",        "identity;q=0, *"};
    static const char *const no[] = {"",
                                     "br",
                                     "gzip;q=0",
                                     "gzip;q=0.000",
                                     "gzip;q=2",
                                     "gzip;q=",
                                     "gzip;q=0.1234",
                                     "gzip;q=-1",
                                     "gzip;x=1",
                                     "*;q=0",
                                     "gzip;q=0, *",
                                     "gzipx",
                                     "identity, gzip;q=0.5",
                                     "gzip q=1"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (!accepts(yes[i]))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < COUNT_OF(no); i++) {
        if (accepts(no[i]))
            fail_msg("%s", no[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_quality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
