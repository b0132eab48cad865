#include "unit/fetch/rig.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_PEERS = 512, PATIENCE_MS = 20000 };

struct server {
    serve_fn *serve;
    void *ctx;
    SSL_CTX *tls;
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock; /* over all below */
    bool closing;
    struct {
        pthread_t thread;
        int fd; /* -1: closed */
    } peer[MAX_PEERS];
    unsigned peers;
    unsigned requests, now, most;
};

/* ---- a connection -----------------------------------------------------------------------------
 */

static ssize_t get_some(struct peer *p, char *piece, size_t n)
{
    if (p->tls) {
        return SSL_read(p->tls, piece, (int)n);
    }
    return recv(p->fd, piece, n, 0);
}

void peer_send_n(struct peer *p, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n) {
        ssize_t sent = p->tls ? SSL_write(p->tls, at, (int)n) : send(p->fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            p->gone = true;
            return;
        }
        at += sent;
        n -= (size_t)sent;
    }
}

void peer_send(struct peer *p, const char *text)
{
    peer_send_n(p, text, strlen(text));
}

static size_t body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    return field ? strtoul(field + 17, NULL, 10) : 0;
}

/* Bytes of the request at the start of p->rest; 0: not all there. */
static size_t whole_request(struct peer *p)
{
    const char *end = p->rest.n ? strstr(p->rest.p, "\r\n\r\n") : NULL;
    size_t n = end ? (size_t)(end - p->rest.p) + 4 + body_length(p->rest.p) : 0;
    return n <= p->rest.n ? n : 0;
}

static void begin_request(struct peer *p)
{
    struct server *s = p->server;
    pthread_mutex_lock(&s->lock);
    s->requests++;
    s->now++;
    s->most = s->now > s->most ? s->now : s->most;
    pthread_mutex_unlock(&s->lock);
    p->requests++;
    p->asked = true;
}

/* Before its answer goes out: the client may have asked again before we look. */
static void end_request(struct peer *p)
{
    if (p->asked) {
        pthread_mutex_lock(&p->server->lock);
        p->server->now--;
        pthread_mutex_unlock(&p->server->lock);
        p->asked = false;
    }
}

bool peer_read(struct peer *p)
{
    char piece[4096];
    size_t n;
    end_request(p);
    buf_clear(&p->request);
    while ((n = whole_request(p)) == 0) {
        ssize_t got = get_some(p, piece, sizeof(piece));
        if (got <= 0) {
            return false;
        }
        buf_put(&p->rest, piece, (size_t)got);
    }
    buf_put(&p->request, p->rest.p, n);
    memmove(p->rest.p, p->rest.p + n, p->rest.n - n + 1);
    p->rest.n -= n;
    begin_request(p);
    return true;
}

void peer_answer(struct peer *p, int status, const char *fields, struct span body)
{
    struct buf head = {0};
    end_request(p);
    buf_printf(&head, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", status, body.n,
               fields);
    buf_put(&head, body.p, body.n);
    peer_send_n(p, head.p, head.n);
    buf_done(&head);
}

void peer_reset(struct peer *p)
{
    const struct linger at_once = {1, 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void peer_until_gone(struct peer *p)
{
    char piece[4096];
    while (get_some(p, piece, sizeof(piece)) > 0) {
    }
}

void peer_sleep(int64_t ms)
{
    usleep((useconds_t)ms * 1000);
}

void serve_ok(struct peer *p)
{
    while (peer_read(p)) {
        peer_answer(p, 200, "", SPAN("ok"));
    }
}

void serve_never(struct peer *p)
{
    peer_until_gone(p);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static _Atomic unsigned resolving;

unsigned rig_resolving(void)
{
    return resolving;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Takes the place of libc's, also for shared libraries: the executable's symbols come first. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    CHECK(real && node);
    resolving++;
    if (strncmp(node, "slow", 4) == 0) {
        usleep(RIG_SLOW_MS * 1000);
    }
    int rc = ends_in(node, ".invalid")
                 ? EAI_NONAME
                 : real(ends_in(node, ".test") ? "127.0.0.1" : node, service, hints, res);
    resolving--;
    return rc;
}

/* ---- a server ---------------------------------------------------------------------------------
 */

struct arrival {
    struct server *server;
    unsigned nth;
    int fd;
};

static void *run_peer(void *arg)
{
    struct arrival *arrival = arg;
    struct server *s = arrival->server;
    struct peer p = {.server = s, .nth = arrival->nth, .fd = arrival->fd, .ctx = s->ctx};
    mem_free(arrival);
    SSL *tls = s->tls ? SSL_new(s->tls) : NULL;
    if (tls) {
        SSL_set_fd(tls, p.fd);
    }
    if (!tls || SSL_accept(tls) == 1) {
        p.tls = tls;
        s->serve(&p);
        if (tls) {
            SSL_shutdown(tls);
        }
    }
    SSL_free(tls);
    end_request(&p);
    pthread_mutex_lock(&s->lock);
    close(p.fd);
    s->peer[p.nth].fd = -1;
    pthread_mutex_unlock(&s->lock);
    buf_done(&p.request);
    buf_done(&p.rest);
    return NULL;
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        pthread_mutex_lock(&s->lock);
        CHECK(s->peers < MAX_PEERS);
        struct arrival *arrival = mem_alloc(sizeof(*arrival));
        *arrival = (struct arrival){s, s->peers, fd};
        s->peer[s->peers].fd = fd;
        CHECK(pthread_create(&s->peer[s->peers].thread, NULL, run_peer, arrival) == 0);
        s->peers++;
        pthread_mutex_unlock(&s->lock);
    }
}

static struct server *new_server(serve_fn *serve, void *ctx)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    struct server *s = mem_alloc(sizeof(*s));
    s->serve = serve;
    s->ctx = ctx;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->fd, 256), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static struct server *started(struct server *s)
{
    signal(SIGPIPE, SIG_IGN); /* as loop_signals_open does */
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
    return s;
}

struct server *server_open(serve_fn *serve, void *ctx)
{
    return started(new_server(serve, ctx));
}

struct server *server_open_tls(serve_fn *serve, void *ctx, const char *cert, const char *key)
{
    struct server *s = new_server(serve, ctx);
    s->tls = SSL_CTX_new(TLS_server_method());
    assert_non_null(s->tls);
    assert_int_equal(SSL_CTX_use_certificate_file(s->tls, cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s->tls, key, SSL_FILETYPE_PEM), 1);
    return started(s);
}

void server_close(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR); /* ends accept */
    pthread_join(s->thread, NULL);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->peers; i++) {
        if (s->peer[i].fd >= 0) {
            shutdown(s->peer[i].fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->peers; i++) {
        pthread_join(s->peer[i].thread, NULL);
    }
    close(s->fd);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static unsigned read_locked(struct server *s, const unsigned *value)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = *value;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned server_connections(struct server *s)
{
    return read_locked(s, &s->peers);
}

unsigned server_requests(struct server *s)
{
    return read_locked(s, &s->requests);
}

unsigned server_most(struct server *s)
{
    return read_locked(s, &s->most);
}

unsigned server_port(const struct server *s)
{
    return s->port;
}

/* ---- the client -------------------------------------------------------------------------------
 */

void rig_open(struct rig *g, const struct fetch_conf *conf)
{
    struct fetch_conf own = conf ? *conf : (struct fetch_conf){0};
    struct err err = {0};
    own.user_agent = own.user_agent ? own.user_agent : "waymark-test";
    g->l = loop_new(1, &err);
    assert_non_null(g->l);
    g->a = arena_new(0);
    g->f = fetch_open(g->l, &own, &err);
    if (!g->f) {
        fail_msg("%s", err.msg);
    }
}

static void set(struct op *op)
{
    *(bool *)op->waiter = true;
}

static void wait_op(struct rig *g, struct op *op)
{
    bool done = false;
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    op_await(op, set, &done);
    while (!done) {
        uv_run(loop_uv(g->l), UV_RUN_ONCE);
        if (clock_mono_ms() > until) {
            fail_msg("it does not end");
        }
    }
}

void rig_close(struct rig *g)
{
    struct op op;
    if (g->f) {
        fetch_close(g->f, &op);
        wait_op(g, &op);
        assert_false(op.failed);
    }
    loop_free(g->l); /* CHECKs that uv_loop_close() is 0 */
    arena_free(g->a);
}

const char *rig_url(struct rig *g, const struct server *s, const char *path)
{
    return arena_printf(g->a, "http%s://127.0.0.1:%u%s", s->tls ? "s" : "", s->port, path);
}

void rig_wait(struct rig *g, struct fetch_req *r)
{
    wait_op(g, &r->op);
}

void rig_turn(struct rig *g, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    do {
        uv_run(loop_uv(g->l), UV_RUN_NOWAIT);
        usleep(500);
    } while (clock_mono_ms() < until);
}

void rig_get(struct rig *g, struct fetch_req *r, const char *url)
{
    fetch_init(r, g->f, g->a, FETCH_GET, url);
    fetch_send(r);
    rig_wait(g, r);
}

void rig_failed(const struct fetch_req *r, enum fetch_failure failure, enum err_class class,
                const char *text)
{
    struct err err;
    if (!r->op.failed) {
        fail_msg("it did not fail, but was answered %d", r->status);
    }
    if (r->failure != failure || r->op.err.class != class) {
        fail_msg("%s (%s), not %s (%s): %s", fetch_failure_name(r->failure),
                 err_class_name(r->op.err.class), fetch_failure_name(failure),
                 err_class_name(class), r->op.err.msg);
    }
    assert_has(r->op.err.msg, text);
    assert_int_equal(fetch_class(r, "asking", &err), -1);
    assert_int_equal(err.class, class);
    assert_memory_equal(err.msg, "asking: ", 8);
    assert_has(err.msg, text);
}

void rig_get_fails(struct rig *g, const char *url, enum fetch_failure failure, enum err_class class,
                   const char *text)
{
    struct fetch_req r;
    rig_get(g, &r, url);
    rig_failed(&r, failure, class, text);
    fetch_done(&r);
}

/* ---- gzip -------------------------------------------------------------------------------------
 */

static void deflate_all(z_stream *z, struct buf *out, int flush)
{
    char piece[16384];
    do {
        z->next_out = (unsigned char *)piece;
        z->avail_out = sizeof(piece);
        deflate(z, flush);
        buf_put(out, piece, sizeof(piece) - z->avail_out);
    } while (z->avail_out == 0);
}

struct buf gzip_of(const void *p, size_t n)
{
    struct buf out = {0};
    z_stream z = {.next_in = (unsigned char *)p, .avail_in = (unsigned)n};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    deflate_all(&z, &out, Z_FINISH);
    deflateEnd(&z);
    return out;
}

struct buf gzip_of_zeros(size_t n)
{
    static unsigned char zeros[1 << 16];
    struct buf out = {0};
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    while (n) {
        z.next_in = zeros;
        z.avail_in = (unsigned)(n < sizeof(zeros) ? n : sizeof(zeros));
        n -= z.avail_in;
        deflate_all(&z, &out, n ? Z_NO_FLUSH : Z_FINISH);
    }
    deflateEnd(&z);
    return out;
}
