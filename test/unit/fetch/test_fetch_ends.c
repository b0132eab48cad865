/* Requests that are cancelled, and clients that are closed, at every stage of a request. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/fetch/rig.h"

/* ---- a place for each stage ------------------------------------------------------------------ */

static void serve_half_head(struct peer *p)
{
    if (peer_read(p)) {
        peer_send(p, "HTTP/1.1 200 OK\r\nX-Half");
        peer_until_gone(p);
    }
}

static void serve_half_body(struct peer *p)
{
    if (peer_read(p)) {
        peer_send(p, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer_until_gone(p);
    }
}

/* Reads nothing: a large body does not get out. */
static void serve_deaf(struct peer *p)
{
    (void)p;
    peer_sleep(400);
}

enum stage {
    JUST_SENT,
    RESOLVING,
    CONNECTING,
    IN_TLS,
    SENDING,
    UNANSWERED,
    IN_HEAD,
    IN_BODY,
    STAGES
};

struct places {
    struct server *never, *half_head, *half_body, *deaf;
    int full, extra[8]; /* a listener that takes no more connections */
    unsigned full_port;
    char *large;
};
enum { LARGE = 16 << 20 };

static void places_open(struct places *x)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    x->never = server_open(serve_never, NULL);
    x->half_head = server_open(serve_half_head, NULL);
    x->half_body = server_open(serve_half_body, NULL);
    x->deaf = server_open(serve_deaf, NULL);
    x->full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(x->full, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(x->full, 0), 0);
    assert_int_equal(getsockname(x->full, (struct sockaddr *)&at, &n), 0);
    x->full_port = ntohs(at.sin_port);
    for (size_t i = 0; i < COUNT_OF(x->extra); i++) {
        x->extra[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(x->extra[i], (struct sockaddr *)&at, sizeof(at));
    }
    x->large = mem_alloc(LARGE);
}

static void places_close(struct places *x)
{
    server_close(x->never);
    server_close(x->half_head);
    server_close(x->half_body);
    server_close(x->deaf);
    for (size_t i = 0; i < COUNT_OF(x->extra); i++) {
        close(x->extra[i]);
    }
    close(x->full);
    mem_free(x->large);
}

static const char *place(struct rig *g, const struct places *x, enum stage stage)
{
    switch (stage) {
    case RESOLVING:
        return "http://slow.invalid/";
    case CONNECTING:
        return arena_printf(g->a, "http://127.0.0.1:%u/", x->full_port);
    case IN_TLS:
        return arena_printf(g->a, "https://127.0.0.1:%u/", server_port(x->never));
    case SENDING:
        return rig_url(g, x->deaf, "/");
    case IN_HEAD:
        return rig_url(g, x->half_head, "/");
    case IN_BODY:
        return rig_url(g, x->half_body, "/");
    default:
        return rig_url(g, x->never, "/");
    }
}

static void send_to(struct rig *g, struct fetch_req *r, const struct places *x, enum stage stage)
{
    fetch_init(r, g->f, g->a, stage == SENDING ? FETCH_PUT : FETCH_GET, place(g, x, stage));
    if (stage == SENDING) {
        fetch_body(r, "text/plain", (struct span){x->large, LARGE});
    }
    fetch_send(r);
}

/* Until the request is where it is to be. */
static void reach(struct rig *g, struct fetch_req *r, enum stage stage)
{
    for (int i = 0; i < 2000 && stage != JUST_SENT; i++) {
        rig_turn(g, 1);
        if ((stage == RESOLVING && rig_resolving()) || (stage == IN_BODY && r->body.n == 4) ||
            (stage != RESOLVING && stage != IN_BODY && i == 30)) {
            return;
        }
    }
    assert_int_equal(stage, JUST_SENT);
}

static void wait_resolvers(void)
{
    for (int i = 0; i < 5000 && rig_resolving(); i++) {
        peer_sleep(1);
    }
    peer_sleep(20); /* a detached thread has some frees to do */
    assert_int_equal(rig_resolving(), 0);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void test_cancel(void **state)
{
    (void)state;
    struct places x;
    struct fetch_req r;
    places_open(&x);
    for (enum stage stage = JUST_SENT; stage < STAGES; stage++) {
        struct rig g;
        rig_open(&g, NULL);
        send_to(&g, &r, &x, stage);
        reach(&g, &r, stage);
        assert_int_equal(r.op.state, OP_PENDING);
        int64_t start_ms = clock_mono_ms();
        op_cancel(&r.op);
        assert_int_equal(r.op.state, OP_FINISHED);
        op_cancel(&r.op);
        rig_wait(&g, &r);
        rig_failed(&r, FETCH_CANCELLED, ERR_RETRY, "cancelled");
        assert_int_equal(r.op.err.domain, ERR_UV);
        assert_int_equal(r.op.err.code, UV_ECANCELED);
        fetch_done(&r);
        rig_close(&g);
        assert_true(clock_mono_ms() - start_ms < 1000); /* not even for a resolver */
    }
    wait_resolvers();
    places_close(&x);
}

static void test_cancel_waiting(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r[3];
    struct server *s = server_open(serve_never, NULL), *ok = server_open(serve_ok, NULL);
    rig_open(&g, &(struct fetch_conf){.max_total = 1});
    for (int i = 0; i < 3; i++) {
        fetch_init(&r[i], g.f, g.a, FETCH_GET, rig_url(&g, i == 2 ? ok : s, "/"));
        fetch_send(&r[i]);
    }
    for (int i = 0; i < 5000 && server_connections(s) == 0; i++) {
        rig_turn(&g, 1);
    }
    op_cancel(&r[1].op);
    rig_wait(&g, &r[1]);
    rig_failed(&r[1], FETCH_CANCELLED, ERR_RETRY, "cancelled");
    assert_int_equal(r[1].elapsed_ms, 0);
    /* What runs is cancelled: who waits moves up. */
    op_cancel(&r[0].op);
    rig_wait(&g, &r[0]);
    rig_wait(&g, &r[2]);
    assert_int_equal(r[2].status, 200);
    op_cancel(&r[2].op); /* too late */
    assert_false(r[2].op.failed);
    for (int i = 0; i < 3; i++) {
        fetch_done(&r[i]);
    }
    rig_close(&g);
    assert_int_equal(server_connections(s), 1);
    server_close(s);
    server_close(ok);
}

/* An answer is there, its waiter has not been told yet. */
static void test_cancel_finished(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    fetch_init(&r, g.f, g.a, FETCH_GET, rig_url(&g, s, "/"));
    op_cancel(&r.op); /* not begun: nothing to cancel */
    fetch_send(&r);
    for (int i = 0; i < 5000 && r.op.state == OP_PENDING; i++) {
        rig_turn(&g, 1);
    }
    assert_int_equal(r.op.state, OP_FINISHED);
    op_cancel(&r.op);
    rig_wait(&g, &r);
    assert_false(r.op.failed);
    assert_int_equal(r.status, 200);
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
}

/* ---- resolvers that take their time ---------------------------------------------------------- */

static void ends_in_time(const struct fetch_conf *conf, const char *text)
{
    struct rig g;
    struct fetch_req r;
    rig_open(&g, conf);
    int64_t start_ms = clock_mono_ms();
    fetch_init(&r, g.f, g.a, FETCH_GET, "https://slow.invalid/");
    fetch_limits(&r, conf ? 20000 : 200, 1000);
    fetch_send(&r);
    rig_wait(&g, &r);
    rig_failed(&r, FETCH_TIMEOUT, ERR_RETRY, text);
    fetch_done(&r);
    rig_close(&g);
    assert_in_range(clock_mono_ms() - start_ms, 190, RIG_SLOW_MS - 300);
    wait_resolvers();
}

static void test_slow_resolver(void **state)
{
    (void)state;
    ends_in_time(NULL, "no connection within 200ms");
    ends_in_time(&(struct fetch_conf){.connect_timeout_ms = 200}, "no connection within 200ms");
}

/* Others go on meanwhile. */
static void test_loop_is_free(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req slow, r;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    fetch_init(&slow, g.f, g.a, FETCH_GET,
               arena_printf(g.a, "http://slow.test:%u/", server_port(s)));
    fetch_send(&slow);
    int64_t start_ms = clock_mono_ms();
    for (int i = 0; i < 20; i++) {
        rig_get(&g, &r, rig_url(&g, s, "/"));
        assert_int_equal(r.status, 200);
        fetch_done(&r);
    }
    assert_int_equal(slow.op.state, OP_PENDING);
    assert_true(clock_mono_ms() - start_ms < RIG_SLOW_MS);
    rig_wait(&g, &slow);
    assert_int_equal(slow.status, 200);
    assert_true(slow.elapsed_ms >= RIG_SLOW_MS - 10);
    fetch_done(&slow);
    rig_close(&g);
    server_close(s);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void test_close(void **state)
{
    (void)state;
    struct places x;
    places_open(&x);
    for (int early = 0; early < 2; early++) {
        struct rig g;
        struct fetch_req r[2 * STAGES];
        rig_open(&g, &(struct fetch_conf){.max_total = STAGES, .max_per_host = 1});
        for (int i = 0; i < 2 * STAGES; i++) {
            send_to(&g, &r[i], &x, i % STAGES);
        }
        if (!early) {
            rig_turn(&g, 50);
        }
        struct op closed;
        fetch_close(g.f, &closed);
        for (int i = 0; i < 2 * STAGES; i++) {
            assert_int_equal(r[i].op.state, OP_FINISHED);
        }
        struct fetch_req late;
        fetch_init(&late, g.f, g.a, FETCH_GET, place(&g, &x, UNANSWERED));
        fetch_send(&late);
        for (int i = 0; i < 2 * STAGES; i++) {
            rig_wait(&g, &r[i]);
            rig_failed(&r[i], FETCH_CANCELLED, ERR_RETRY, "cancelled");
            fetch_done(&r[i]);
        }
        rig_wait(&g, &late);
        rig_failed(&late, FETCH_CANCELLED, ERR_RETRY, "the client is closing");
        fetch_done(&late);
        g.f = NULL;
        for (int i = 0; i < 1000 && closed.state == OP_PENDING; i++) {
            rig_turn(&g, 1);
        }
        assert_int_equal(closed.state, OP_FINISHED);
        assert_false(closed.failed);
        rig_close(&g);
    }
    wait_resolvers();
    places_close(&x);
}

/* Who waits is not started by the end of who runs. */
static void test_close_starts_nothing(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r[8];
    struct server *s = server_open(serve_never, NULL);
    rig_open(&g, &(struct fetch_conf){.max_per_host = 1});
    for (int i = 0; i < 8; i++) {
        fetch_init(&r[i], g.f, g.a, FETCH_GET, rig_url(&g, s, "/"));
        fetch_send(&r[i]);
    }
    rig_turn(&g, 20);
    rig_close(&g);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(r[i].failure, FETCH_CANCELLED);
        assert_int_equal(r[i].started_ms > 0, i == 0);
        fetch_done(&r[i]);
    }
    server_close(s);
}

/* A process that we start must not have our connections. */
static void test_not_inherited(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    unsigned ours = 0;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    rig_get(&g, &r, rig_url(&g, s, "/"));
    fetch_done(&r);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in to = {.sin_family = AF_UNSPEC};
        socklen_t n = sizeof(to);
        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 && to.sin_family == AF_INET &&
            ntohs(to.sin_port) == server_port(s)) {
            assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            ours++;
        }
    }
    assert_int_equal(ours, 1);
    rig_close(&g);
    server_close(s);
}

/* With connections that are kept for later. */
static void test_close_idle(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r[8];
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, &(struct fetch_conf){.max_per_host = 8});
    for (int i = 0; i < 8; i++) {
        fetch_init(&r[i], g.f, g.a, FETCH_GET, rig_url(&g, s, "/"));
        fetch_send(&r[i]);
    }
    for (int i = 0; i < 8; i++) {
        rig_wait(&g, &r[i]);
        assert_int_equal(r[i].status, 200);
        fetch_done(&r[i]);
    }
    rig_close(&g);
    server_close(s);
}

/* An idle client keeps no loop alive. */
static void test_idle(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct server *s = server_open(serve_ok, NULL);
    rig_open(&g, NULL);
    rig_get(&g, &r, rig_url(&g, s, "/"));
    assert_int_equal(r.status, 200);
    fetch_done(&r);
    int64_t start_ms = clock_mono_ms();
    loop_run(g.l);
    assert_true(clock_mono_ms() - start_ms < 1000);
    rig_close(&g);
    server_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_waiting),
        cmocka_unit_test(test_cancel_finished),
        cmocka_unit_test(test_slow_resolver),
        cmocka_unit_test(test_loop_is_free),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_starts_nothing),
        cmocka_unit_test(test_close_idle),
        cmocka_unit_test(test_not_inherited),
        cmocka_unit_test(test_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
