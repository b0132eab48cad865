/* Embedded files: the fixture folder files/, as waymark_embed_files makes it. */
#include "unit/httpd/rig.h"

#include <zlib.h>

#include "fixture_files.h"

static const struct httpd_files files = {.file = FILES_fixture};
static const struct httpd_files lasting = {.file = FILES_fixture,
                                           .cache_control = "public, max-age=31536000, immutable"};

static struct rig *files_rig(void)
{
    struct rig *g = rig_new(NULL);
    httpd_serve_files(g->h, "/static/", &files);
    httpd_serve_files(g->h, "/lasting/", &lasting);
    return g;
}

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: a\r\n" more "\r\n"

static const struct httpd_file *file(const char *path)
{
    for (const struct httpd_file *f = FILES_fixture; f->path; f++) {
        if (strcmp(f->path, path) == 0)
            return f;
    }
    fail_msg("%s is not embedded", path);
    return NULL;
}

static void test_embedded(void **state)
{
    (void)state;
    const struct httpd_file *dot = file("img/dot.png"), *index = file("index.html");
    assert_string_equal(dot->type, "image/png");
    assert_int_equal(dot->n, 8);
    assert_memory_equal(dot->p, "\x89PNG\r\n\x1a\n", 8);
    assert_null(dot->gz); /* would be larger */
    assert_int_equal(file("empty.txt")->n, 0);
    assert_string_equal(index->type, "text/html; charset=utf-8");
    assert_int_equal(strlen(index->etag), 34);
    assert_non_null(index->gz);
    assert_true(index->gz_n < index->n / 4);
    static unsigned char plain[65536];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)index->gz,
                  .avail_in = (uInt)index->gz_n,
                  .next_out = plain,
                  .avail_out = sizeof(plain)};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, index->n);
    assert_memory_equal(plain, index->p, index->n);
    inflateEnd(&z);
}

static void test_served(void **state)
{
    (void)state;
    struct rig *g = files_rig();
    struct client *c = ask(g, GET("/static/index.html", ""));
    assert_int_equal(client_status(c, 0), 200);
    assert_has(c->got.p, "Content-Type: text/html; charset=utf-8\r\n");
    assert_has(c->got.p, "Content-Security-Policy: ");
    assert_has(c->got.p, "Cache-Control: no-cache\r\n");
    assert_has(c->got.p, "Vary: Accept-Encoding\r\n");
    assert_has(c->got.p, file("index.html")->etag);
    assert_has(c->got.p, "\r\n\r\n<!doctype html>");
    client_close(c);
    c = ask(g, GET("/lasting/index.html", "Accept-Encoding: gzip\r\n"));
    assert_has(c->got.p, "Content-Encoding: gzip\r\n");
    assert_has(c->got.p, "-gz\"\r\n");
    assert_has(c->got.p, "Cache-Control: public, max-age=31536000, immutable\r\n");
    client_close(c);
    c = ask(g, GET("/static/img/dot.png", "Accept-Encoding: gzip\r\n"));
    assert_has(c->got.p, "Content-Type: image/png\r\n");
    assert_has(c->got.p, "Content-Length: 8\r\n");
    assert_lacks(c->got.p, "Vary");
    client_close(c);
    c = ask(g, GET("/static/empty.txt", ""));
    assert_has(c->got.p, "Content-Length: 0\r\n");
    client_close(c);
    static const char *const none[] = {GET("/static/", ""), GET("/static/img", ""),
                                       GET("/static/img/", ""), GET("/static//index.html", ""),
                                       GET("/static/INDEX.html", "")};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        c = ask(g, none[i]);
        assert_int_equal(client_status(c, 0), 404);
        client_close(c);
    }
    rig_free(g);
}

static int status_if(struct rig *g, const char *if_none_match, const char *more)
{
    char text[512];
    snprintf(text, sizeof(text),
             "GET /static/index.html HTTP/1.1\r\nHost: a\r\nIf-None-Match: %s\r\n%s\r\n",
             if_none_match, more);
    struct client *c = ask(g, text);
    int status = client_status(c, 0);
    if (status == 304) {
        assert_lacks(c->got.p, "Content-Length");
        assert_lacks(c->got.p, "Content-Type:");
        assert_has(c->got.p, "ETag: \"");
        assert_has(c->got.p, "Cache-Control: no-cache\r\n");
        assert_string_equal(c->got.p + c->got.n - 4, "\r\n\r\n");
    }
    client_close(c);
    return status;
}

static void test_revalidated(void **state)
{
    (void)state;
    struct rig *g = files_rig();
    const char *etag = file("index.html")->etag;
    char text[128], packed[64];
    snprintf(packed, sizeof(packed), "%.33s-gz\"", etag);
    assert_int_equal(status_if(g, etag, ""), 304);
    assert_int_equal(status_if(g, "*", ""), 304);
    snprintf(text, sizeof(text), "\"other\", W/%s", etag);
    assert_int_equal(status_if(g, text, ""), 304);
    assert_int_equal(status_if(g, "\"other\"", ""), 200);
    assert_int_equal(status_if(g, packed, ""), 200); /* of the other form */
    assert_int_equal(status_if(g, packed, "Accept-Encoding: gzip\r\n"), 304);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded),
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_revalidated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
