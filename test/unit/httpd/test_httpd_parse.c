/* The table of malformed requests, byte-exact over a connection, whole and one byte at a time. With
 * WAYMARK_WRITE_SEEDS=folder it writes the corpus of fuzz_httpd instead. */
#include "unit/httpd/rig.h"

#include "unit/httpd/malformed.h"

static void ok(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "ok");
}

static void echo(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    struct buf body = {0};
    struct span in = httpd_body(r);
    buf_put(&body, in.p, in.n);
    httpd_send(r, 200, "application/octet-stream", &body);
}

static struct rig *strict_rig(void)
{
    struct httpd_conf conf = {.max_request_line = 256, .max_head = 512, .max_fields = 10};
    struct rig *g = rig_new(&conf);
    rig_route(g, HTTPD_GET, "/", ok, NULL);
    rig_route(g, HTTPD_GET, "/item/{id:u}", ok, NULL);
    httpd_route(g->h,
                &(struct httpd_route){
                    .method = HTTPD_POST, .pattern = "/echo", .handler = echo, .max_body = 64});
    return g;
}

static void check(struct rig *g, const struct malformed *m, size_t piece)
{
    struct client *c = client_open(g);
    unsigned expected = 0;
    while (expected < 4 && m->status[expected])
        expected++;
    for (size_t i = 0; i < m->n; i += piece) {
        size_t n = m->n - i < piece ? m->n - i : piece;
        client_send_n(c, m->bytes + i, n);
        if (piece < m->n) {
            rig_turn_once(g);
            client_read(c);
        }
    }
    if (m->closes)
        client_until_eof(c);
    else
        client_answers(c, expected);
    for (int i = 0; !m->closes && i < 3; i++) {
        rig_turn_once(g);
        client_read(c);
    }
    for (unsigned i = 0; i < expected; i++) {
        if (client_status(c, i) != m->status[i])
            fail_msg("%s in pieces of %zu: answer %u is %d, not %d\n%s", m->name, piece, i,
                     client_status(c, i), m->status[i], c->got.p);
    }
    if (c->reset || c->eof != m->closes)
        fail_msg("%s in pieces of %zu: %s\n%s", m->name, piece,
                 c->reset ? "reset"
                 : c->eof ? "closed"
                          : "left open",
                 c->got.p);
    client_close(c);
}

static void test_whole(void **state)
{
    (void)state;
    struct rig *g = strict_rig();
    for (size_t i = 0; i < COUNT_OF(malformed); i++)
        check(g, &malformed[i], malformed[i].n);
    rig_free(g);
}

static void test_in_pieces(void **state)
{
    (void)state;
    struct rig *g = strict_rig();
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        check(g, &malformed[i], 1);
        check(g, &malformed[i], 7);
    }
    rig_free(g);
}

static void test_chunked_body(void **state)
{
    (void)state;
    struct rig *g = strict_rig();
    struct client *c = ask(g, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n00007\r\n, world\r\n0\r\n\r\n");
    assert_has(c->got.p, "Content-Length: 12\r\n");
    assert_has(c->got.p, "\r\n\r\nhello, world");
    client_close(c);
    rig_free(g);
}

/* Extensions are short one by one, but not all together. */
static void test_many_extensions(void **state)
{
    (void)state;
    struct rig *g = strict_rig();
    struct buf text = {0};
    buf_puts(&text, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 17; i++)
        buf_puts(&text, "1;" S256 "\r\na\r\n");
    buf_puts(&text, "0\r\n\r\n");
    struct client *c = ask(g, text.p);
    client_until_eof(c);
    assert_int_equal(client_status(c, 0), 400);
    client_close(c);
    buf_done(&text);
    rig_free(g);
}

static int write_seeds(const char *folder)
{
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, malformed[i].name);
        FILE *f = fopen(path, "wb");
        if (!f)
            return 1;
        fputc((int)(i % 256), f); /* how it is cut */
        fwrite(malformed[i].bytes, 1, malformed[i].n, f);
        fclose(f);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_chunked_body),
        cmocka_unit_test(test_many_extensions),
    };
    const char *seeds = getenv("WAYMARK_WRITE_SEEDS");
    if (seeds)
        return write_seeds(seeds);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
