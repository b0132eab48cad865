#include "unit/httpd/rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct rig *rig_bare(const struct httpd_conf *conf)
{
    struct httpd_conf none = {0};
    struct err err = {0};
    struct rig *g = mem_alloc(sizeof(*g));
    signal(SIGPIPE, SIG_IGN); /* as loop_signals_open does */
    g->l = loop_new(1, &err);
    assert_non_null(g->l);
    g->h = httpd_new(g->l, conf ? conf : &none, &err);
    if (!g->h)
        fail_msg("%s", err.msg);
    return g;
}

struct rig *rig_new(const struct httpd_conf *conf)
{
    struct rig *g = rig_bare(conf);
    struct err err = {0};
    if (httpd_listen(g->h, "127.0.0.1:0", 0, &err) < 0)
        fail_msg("%s", err.msg);
    return g;
}

void rig_route(struct rig *g, enum httpd_method method, const char *pattern,
               httpd_handler_fn *handler, void *ctx)
{
    httpd_route(g->h, &(struct httpd_route){
                          .method = method, .pattern = pattern, .handler = handler, .ctx = ctx});
}

void rig_turn_once(struct rig *g)
{
    uv_run(loop_uv(g->l), UV_RUN_NOWAIT);
}

void rig_turn(struct rig *g, int64_t ms)
{
    /* On a busy machine the time may be over before anything has happened. */
    int64_t until = clock_mono_ms() + ms, left = ms;
    do {
        rig_turn_once(g);
        usleep(300);
    } while (clock_mono_ms() < until || --left > 0);
}

static void on_drained(struct op *op)
{
    struct rig *g = op->waiter;
    g->drained = true;
}

void rig_free(struct rig *g)
{
    httpd_drain(g->h, 0, &g->drain);
    op_await(&g->drain, on_drained, g);
    for (int i = 0; i < 3000 && !g->drained; i++)
        rig_turn(g, 1);
    assert_true(g->drained);
    assert_int_equal(httpd_stats(g->h)->open, 0);
    httpd_free(g->h);
    loop_free(g->l); /* CHECKs that every handle is closed */
    mem_free(g);
}

/* ---- clients -----------------------------------------------------------------------------------
 */

static int connect_tcp(const char *bound, const char *from)
{
    struct sockaddr_in to = {.sin_family = AF_INET}, own = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    uint16_t port = htons((uint16_t)strtol(strrchr(bound, ':') + 1, NULL, 10));
    int fd = socket(bound[0] == '[' ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bound[0] == '[') {
        six.sin6_port = port;
        assert_int_equal(connect(fd, (struct sockaddr *)&six, sizeof(six)), 0);
        return fd;
    }
    to.sin_port = port;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (from) {
        assert_int_equal(inet_pton(AF_INET, from, &own.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    }
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

struct client *client_open_at(struct rig *g, const char *bound, const char *from)
{
    struct client *c = mem_alloc(sizeof(*c));
    c->g = g;
    if (strncmp(bound, "unix:", 5) == 0) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        memcpy(un.sun_path, bound + 5, strlen(bound + 5) + 1);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(c->fd, (struct sockaddr *)&un, sizeof(un)), 0);
    } else {
        c->fd = connect_tcp(bound, from);
    }
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    buf_puts(&c->got, "");
    return c;
}

struct client *client_open(struct rig *g)
{
    return client_open_at(g, httpd_bound(g->h, 0), NULL);
}

void client_close(struct client *c)
{
    close(c->fd);
    buf_done(&c->got);
    mem_free(c);
}

void client_read(struct client *c)
{
    char piece[16384];
    while (!c->eof && !c->reset) {
        ssize_t n = read(c->fd, piece, sizeof(piece));
        if (n > 0)
            buf_put(&c->got, piece, (size_t)n);
        else if (n == 0)
            c->eof = true;
        else if (errno == ECONNRESET)
            c->reset = true;
        else
            break;
    }
}

/* A server that has closed already is no error: the answer is what is looked at. */
void client_send_n(struct client *c, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent < 0) {
            rig_turn(c->g, 1);
            client_read(c);
            if (c->eof || c->reset)
                return;
            continue;
        }
        p += sent;
        n -= (size_t)sent;
    }
}

void client_send(struct client *c, const char *text)
{
    client_send_n(c, text, strlen(text));
}

enum { PATIENCE_MS = 4000 };

const char *client_until(struct client *c, const char *text)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while (!c->eof && !c->reset && !strstr(c->got.p, text) && clock_mono_ms() < until) {
        rig_turn_once(c->g);
        client_read(c);
    }
    return c->got.p;
}

const char *client_until_eof(struct client *c)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while (!c->eof && !c->reset && clock_mono_ms() < until) {
        rig_turn_once(c->g);
        client_read(c);
    }
    return c->got.p;
}

static unsigned whole_answers(const struct client *c)
{
    unsigned n = 0;
    for (const char *p = c->got.p, *end; (end = strstr(p, "\r\n\r\n")) != NULL; n++) {
        const char *field = strstr(p, "Content-Length: ");
        long length = field && field < end ? strtol(field + 16, NULL, 10) : 0;
        if (end + 4 + length > c->got.p + c->got.n)
            break;
        p = end + 4 + length;
    }
    return n;
}

const char *client_answers(struct client *c, unsigned n)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    while (!c->eof && !c->reset && whole_answers(c) < n && clock_mono_ms() < until) {
        rig_turn_once(c->g);
        client_read(c);
    }
    return c->got.p;
}

int client_status(const struct client *c, unsigned n)
{
    const char *p = c->got.p;
    for (;; p += 9) {
        p = strstr(p, "HTTP/1.1 ");
        if (!p)
            return 0;
        if (n-- == 0)
            return (int)strtol(p + 9, NULL, 10);
    }
}

struct client *ask(struct rig *g, const char *request)
{
    struct client *c = client_open(g);
    client_send(c, request);
    client_answers(c, 1);
    return c;
}
