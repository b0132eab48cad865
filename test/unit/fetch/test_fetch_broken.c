/* Servers that do not answer, or not rightly. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/fetch/rig.h"

/* ---- connections that end -------------------------------------------------------------------- */

/* Sends what the test says and hangs up, with a reset if its first byte is '!'. */
static void serve_text(struct peer *p)
{
    const char *text = p->ctx;
    if (!peer_read(p)) {
        return;
    }
    peer_send(p, text + (text[0] == '!'));
    if (text[0] == '!') {
        peer_sleep(30); /* what was sent is to arrive before the reset */
        peer_reset(p);
    }
}

static void fails_after(const char *sent, enum fetch_failure failure, const char *text)
{
    struct rig g;
    struct server *s = server_open(serve_text, (void *)sent);
    rig_open(&g, NULL);
    int64_t start_ms = clock_mono_ms();
    rig_get_fails(&g, rig_url(&g, s, "/path?q=secret"), failure, ERR_RETRY, text);
    assert_true(clock_mono_ms() - start_ms < 5000); /* by the break, not by a deadline */
    rig_close(&g);
    server_close(s);
}

static void test_ends(void **state)
{
    (void)state;
    static const char why[] = "the connection ended before the answer did";
    static const char *const cut[] = {
        "",
        "!",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        "HTTP/1.1 103 Hints\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "!HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "!HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "!HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "!HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 404 No\r\nContent-Length: 10\r\n\r\nhalf",
        /* No chunk at all: curl does not tell that from a reset. */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
    };
    for (size_t i = 0; i < COUNT_OF(cut); i++) {
        fails_after(cut[i], FETCH_BROKEN, why);
    }
}

static void test_not_http(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "\r\n\r\n",
        "220 mail.example.org ESMTP\r\n502 unrecognized command\r\n",
        "<html>no head</html>\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 5\r\n\r\nuryyb",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\nhello",
    };
    for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
        fails_after(nonsense[i], FETCH_PROTOCOL, "the answer is not proper HTTP");
    }
}

/* What came before a reset is read, also where both were there before anybody looked. */
enum { BULK = 40000 };

static void serve_and_reset(struct peer *p)
{
    static const char bulk[BULK];
    if (peer_read(p)) {
        peer_answer(p, 200, "", (struct span){bulk, p->ctx ? BULK : 2});
        peer_reset(p);
    }
}

static void reset_after_answer(bool large)
{
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_and_reset, large ? &g : NULL);
    rig_open(&g, NULL);
    fetch_init(&r, g.f, g.a, FETCH_GET, rig_url(&g, s, "/"));
    fetch_limits(&r, 5000, BULK);
    fetch_send(&r);
    for (int i = 0; i < 5000 && server_requests(s) == 0; i++) {
        rig_turn(&g, 0);
    }
    peer_sleep(50);
    rig_wait(&g, &r);
    if (r.op.failed) {
        fail_msg("%s", r.op.err.msg);
    }
    assert_int_equal(r.body.n, large ? BULK : 2);
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
}

static void test_reset_after_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        reset_after_answer(false);
        reset_after_answer(true);
    }
}

/* ---- compressed bodies ----------------------------------------------------------------------- */

static void serve_bytes(struct peer *p)
{
    const struct span *bytes = p->ctx;
    while (peer_read(p)) {
        if (bytes->n < 1 << 20) {
            peer_answer(p, 200, "Content-Encoding: gzip\r\n", *bytes);
            continue;
        }
        char chunk[64];
        snprintf(chunk, sizeof(chunk), "%zx\r\n", bytes->n);
        peer_send(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                     "Content-Encoding: gzip\r\n\r\n");
        peer_send(p, chunk);
        peer_send_n(p, bytes->p, bytes->n);
        peer_send(p, "\r\n0\r\n\r\n");
    }
}

/* What becomes of a gzip body of these bytes. */
static struct fetch_req gunzipped(struct rig *g, struct span bytes)
{
    struct fetch_req r;
    struct server *s = server_open(serve_bytes, &bytes);
    rig_get(g, &r, rig_url(g, s, "/"));
    server_close(s);
    return r;
}

/* Cut anywhere, although all the bytes that were promised have come. */
static void test_cut_gzip(void **state)
{
    (void)state;
    struct rig g;
    struct buf z = gzip_of("compressed, compressed, compressed", 34);
    rig_open(&g, NULL);
    for (size_t n = 0; n <= z.n; n++) {
        struct fetch_req r = gunzipped(&g, (struct span){z.p, n});
        if (n == 0 || n == z.n) {
            assert_false(r.op.failed);
            assert_int_equal(r.body.n, n == 0 ? 0 : 34);
        } else {
            rig_failed(&r, FETCH_BROKEN, ERR_RETRY, "it is cut off");
        }
        fetch_done(&r);
    }
    buf_done(&z);
    rig_close(&g);
}

static void test_odd_gzip(void **state)
{
    (void)state;
    struct rig g;
    struct buf one = gzip_of("one", 3), two = gzip_of("two", 3), all = {0};
    rig_open(&g, NULL);
    /* Several members are one body. */
    buf_put(&all, one.p, one.n);
    buf_put(&all, two.p, two.n);
    struct fetch_req r = gunzipped(&g, buf_span(&all));
    assert_false(r.op.failed);
    assert_true(span_is(buf_span(&r.body), "onetwo"));
    fetch_done(&r);
    /* What follows must be one. */
    buf_puts(&all, "rubbish");
    r = gunzipped(&g, buf_span(&all));
    rig_failed(&r, FETCH_PROTOCOL, ERR_RETRY, "not coded as it says");
    fetch_done(&r);
    /* Its checksum counts. */
    all.n = one.n;
    all.p[one.n - 8] ^= 1;
    r = gunzipped(&g, buf_span(&all));
    rig_failed(&r, FETCH_PROTOCOL, ERR_RETRY, "not coded as it says");
    fetch_done(&r);
    /* Members that hold nothing are not taken for ever. */
    struct buf none = gzip_of("", 0);
    buf_clear(&all);
    while (all.n < 5u << 20) {
        buf_put(&all, none.p, none.n);
    }
    r = gunzipped(&g, buf_span(&all));
    rig_failed(&r, FETCH_TOO_LARGE, ERR_PERMANENT, "over");
    fetch_done(&r);
    rig_close(&g);
    buf_done(&one);
    buf_done(&two);
    buf_done(&all);
    buf_done(&none);
}

/* ---- nobody there ---------------------------------------------------------------------------- */

static void test_connect_refused(void **state)
{
    (void)state;
    struct rig g;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    const char *url = rig_url(&g, s, "/");
    server_close(s);
    rig_get_fails(&g, url, FETCH_CONNECT, ERR_RETRY, "connect");
    rig_close(&g);
}

static void test_no_such_host(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    rig_get_fails(&g, "https://nobody.invalid/x", FETCH_RESOLVE, ERR_RETRY, "nobody.invalid");
    rig_close(&g);
}

/* A listener whose queue is full: SYNs stay unanswered. */
static void test_connect_timeout(void **state)
{
    (void)state;
    struct rig g;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), full[8];
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    for (size_t i = 0; i < COUNT_OF(full); i++) {
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(full[i], (struct sockaddr *)&at, sizeof(at));
    }
    rig_open(&g, &(struct fetch_conf){.connect_timeout_ms = 200});
    int64_t start_ms = clock_mono_ms();
    rig_get_fails(&g, arena_printf(g.a, "http://127.0.0.1:%u/", ntohs(at.sin_port)), FETCH_TIMEOUT,
                  ERR_RETRY, "no connection within 200ms");
    assert_in_range(clock_mono_ms() - start_ms, 190, 3000);
    rig_close(&g);
    for (size_t i = 0; i < COUNT_OF(full); i++) {
        close(full[i]);
    }
    close(fd);
}

/* ---- slow ones ------------------------------------------------------------------------------- */

static void limited(struct rig *g, struct fetch_req *r, const char *url, int64_t total_ms,
                    size_t max_body)
{
    fetch_init(r, g->f, g->a, FETCH_GET, url);
    fetch_limits(r, total_ms, max_body);
    fetch_send(r);
    rig_wait(g, r);
}

static void too_slow(serve_fn *serve, const char *text)
{
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve, NULL);
    rig_open(&g, NULL);
    int64_t start_ms = clock_mono_ms();
    limited(&g, &r, rig_url(&g, s, "/"), 200, 1 << 20);
    assert_in_range(clock_mono_ms() - start_ms, 190, 3000);
    rig_failed(&r, FETCH_TIMEOUT, ERR_RETRY, text);
    assert_true(r.body.n < 4096);
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
}

static void serve_drip(struct peer *p)
{
    if (peer_read(p)) {
        peer_send(p, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        for (int i = 0; i < 200 && !p->gone; i++) {
            peer_send(p, "x");
            peer_sleep(10);
        }
    }
}

static void serve_drip_head(struct peer *p)
{
    if (peer_read(p)) {
        peer_send(p, "HTTP/1.1 200 OK\r\nX-Slow: ");
        for (int i = 0; i < 200 && !p->gone; i++) {
            peer_send(p, "x");
            peer_sleep(10);
        }
    }
}

static void serve_continue_for_ever(struct peer *p)
{
    if (peer_read(p)) {
        for (int i = 0; i < 200 && !p->gone; i++) {
            peer_send(p, "HTTP/1.1 100 Continue\r\n\r\n");
            peer_sleep(10);
        }
    }
}

static void test_slow(void **state)
{
    (void)state;
    too_slow(serve_never, "no complete answer within 200ms");
    too_slow(serve_drip, "no complete answer within 200ms");
    too_slow(serve_drip_head, "no complete answer within 200ms");
    too_slow(serve_continue_for_ever, "no complete answer within 200ms");
}

static void test_stall(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_never, NULL);
    rig_open(&g, &(struct fetch_conf){.stall_timeout_ms = 1000});
    int64_t start_ms = clock_mono_ms();
    limited(&g, &r, rig_url(&g, s, "/"), 30000, 1 << 20);
    assert_in_range(clock_mono_ms() - start_ms, 900, 6000);
    rig_failed(&r, FETCH_TIMEOUT, ERR_RETRY, "stalled for 1s");
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
}

/* Waiting for a connection counts too; and who gives up makes room. */
static void test_deadline_in_queue(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r[3];
    struct server *s = server_open(serve_never, NULL);
    rig_open(&g, &(struct fetch_conf){.max_per_host = 1});
    for (int i = 0; i < 3; i++) {
        fetch_init(&r[i], g.f, g.a, FETCH_GET, rig_url(&g, s, "/"));
        fetch_limits(&r[i], i == 0 ? 250 : i == 1 ? 100 : 400, 1000);
        fetch_send(&r[i]);
    }
    rig_wait(&g, &r[1]);
    rig_failed(&r[1], FETCH_TIMEOUT, ERR_RETRY, "no free connection within 100ms");
    assert_int_equal(r[0].op.state, OP_PENDING);
    rig_wait(&g, &r[0]);
    rig_failed(&r[0], FETCH_TIMEOUT, ERR_RETRY, "no complete answer within 250ms");
    rig_wait(&g, &r[2]);
    rig_failed(&r[2], FETCH_TIMEOUT, ERR_RETRY, "no complete answer within 400ms");
    for (int i = 0; i < 3; i++) {
        fetch_done(&r[i]);
    }
    assert_int_equal(server_connections(s), 2);
    rig_close(&g);
    server_close(s);
}

/* ---- too much -------------------------------------------------------------------------------- */

struct bulk {
    int status;
    const char *fields; /* "Content-Encoding: gzip\r\n", or "chunked" */
    size_t n;
    struct buf body; /* instead of n bytes of 'x' */
};

static void serve_bulk(struct peer *p)
{
    const struct bulk *b = p->ctx;
    char piece[4096];
    memset(piece, 'x', sizeof(piece));
    while (peer_read(p)) {
        if (b->body.p) {
            peer_answer(p, b->status, b->fields, buf_span(&b->body));
            continue;
        }
        bool chunked = strcmp(b->fields, "chunked") == 0;
        char head[128];
        if (chunked) {
            snprintf(head, sizeof(head),
                     "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", b->status, b->n);
        } else {
            snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", b->status,
                     b->n);
        }
        peer_send(p, head);
        for (size_t left = b->n; left && !p->gone;) {
            size_t n = left < sizeof(piece) ? left : sizeof(piece);
            peer_send_n(p, piece, n);
            left -= n;
        }
        peer_send(p, chunked ? "\r\n0\r\n\r\n" : "");
    }
}

/* max_body 5000 against such an answer: 0 if it is taken, else the class. */
static enum err_class taken(struct bulk *b)
{
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_bulk, b);
    enum err_class class = 0;
    rig_open(&g, NULL);
    limited(&g, &r, rig_url(&g, s, "/"), 20000, 5000);
    assert_int_equal(r.status, b->status);
    assert_true(r.body.n <= 5000 && r.body.cap <= 10001);
    if (r.op.failed) {
        class = r.op.err.class;
        rig_failed(&r, FETCH_TOO_LARGE, class, "the answer is over 5000 bytes");
    } else {
        assert_int_equal(r.body.n, 5000);
    }
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
    buf_done(&b->body);
    return class;
}

static void test_too_large(void **state)
{
    (void)state;
    assert_int_equal(taken(&(struct bulk){200, "", 5000, {0}}), 0);
    assert_int_equal(taken(&(struct bulk){200, "", 5001, {0}}), ERR_PERMANENT);
    assert_int_equal(taken(&(struct bulk){200, "", 10000000, {0}}), ERR_PERMANENT);
    assert_int_equal(taken(&(struct bulk){200, "chunked", 5000, {0}}), 0);
    assert_int_equal(taken(&(struct bulk){200, "chunked", 5001, {0}}), ERR_PERMANENT);
    assert_int_equal(taken(&(struct bulk){200, "chunked", 10000000, {0}}), ERR_PERMANENT);
    assert_int_equal(taken(&(struct bulk){404, "", 5001, {0}}), ERR_PERMANENT);
    /* The page of a proxy in trouble may be as long as it likes. */
    assert_int_equal(taken(&(struct bulk){502, "", 5001, {0}}), ERR_RETRY);
    assert_int_equal(taken(&(struct bulk){429, "chunked", 5001, {0}}), ERR_RETRY);
}

static void test_gzip_limits(void **state)
{
    (void)state;
    static const char gzip[] = "Content-Encoding: gzip\r\n";
    assert_int_equal(taken(&(struct bulk){200, gzip, 0, gzip_of_zeros(5000)}), 0);
    assert_int_equal(taken(&(struct bulk){200, gzip, 0, gzip_of_zeros(5001)}), ERR_PERMANENT);
    struct buf bomb = gzip_of_zeros(300u << 20);
    assert_true(bomb.n < 1u << 20);
    assert_int_equal(taken(&(struct bulk){503, gzip, 0, bomb}), ERR_RETRY);
    /* What cannot be compressed gets longer by it. */
    char noise[5000];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        noise[i] = (char)(seed >> 56);
    }
    struct buf z = gzip_of(noise, sizeof(noise));
    assert_true(z.n > 5000);
    assert_int_equal(taken(&(struct bulk){200, gzip, 0, z}), 0);
}

static void serve_large_head(struct peer *p)
{
    char field[1024];
    memset(field, 'x', sizeof(field));
    memcpy(field, "X-Large: ", 9);
    memcpy(field + sizeof(field) - 2, "\r\n", 2);
    if (peer_read(p)) {
        peer_send(p, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 1000 && !p->gone; i++) {
            peer_send_n(p, field, sizeof(field));
        }
    }
}

static void serve_large_interim(struct peer *p)
{
    if (peer_read(p)) {
        for (int i = 0; i < 100000 && !p->gone; i++) {
            peer_send(p, "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n");
        }
    }
}

static void test_large_head(void **state)
{
    (void)state;
    serve_fn *const serve[] = {serve_large_head, serve_large_interim};
    for (size_t i = 0; i < COUNT_OF(serve); i++) {
        struct rig g;
        struct server *s = server_open(serve[i], NULL);
        rig_open(&g, NULL);
        rig_get_fails(&g, rig_url(&g, s, "/"), FETCH_TOO_LARGE, ERR_PERMANENT,
                      "the head of the answer is over 65536 bytes");
        rig_close(&g);
        server_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_not_http),
        cmocka_unit_test(test_reset_after_answer),
        cmocka_unit_test(test_cut_gzip),
        cmocka_unit_test(test_odd_gzip),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_no_such_host),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_deadline_in_queue),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_gzip_limits),
        cmocka_unit_test(test_large_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
