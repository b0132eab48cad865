/* Streams: answers of unknown length, written piece by piece while the client keeps up. */
#include <netinet/tcp.h>

#include "httpd/internal.h"

#define STREAM_MAGIC 0x68737431u

enum { ENOUGH = 64 * 1024 }; /* unsent bytes after which a writer should wait */

static void stream_check(const struct httpd_stream *s)
{
    CHECK(s && s->magic == STREAM_MAGIC);
}

static void free_stream(struct httpd_stream *s)
{
    s->magic = 0;
    s->srv->stats.streams--;
    mem_free(s);
}

/* Whatever the stream's owner does in a callback comes from the ready queue, not from inside one of
 * his own calls. */
static void tell(struct ready *ready)
{
    struct httpd_stream *s = container_of(ready, struct httpd_stream, ready);
    stream_check(s);
    struct httpd *h = s->srv;
    if (s->ended || !s->conn) {
        if (!s->ended && s->conf.on_close)
            s->conf.on_close(s, s->conf.ctx);
        free_stream(s);
        httpd__maybe_drained(h);
    } else if (s->want_drain && uv_stream_get_write_queue_size(&s->conn->uv.stream) == 0) {
        s->want_drain = false;
        if (s->conf.on_drain)
            s->conf.on_drain(s, s->conf.ctx);
    }
}

static void tell_later(struct httpd_stream *s)
{
    s->ready.fn = tell;
    if (!s->ready.queued)
        loop_ready(s->srv->loop, &s->ready);
}

/* A client that vanished without a word is noticed when what is written to it stays unacknowledged;
 * the system would wait a quarter of an hour. */
static void limit_silence(struct httpd__conn *c)
{
    uv_os_fd_t fd;
    unsigned ms = (unsigned)(c->srv->conf.write_timeout_ms < 3600000 ? c->srv->conf.write_timeout_ms
                                                                     : 3600000);
    if (c->peer.family != AF_UNIX && uv_fileno(&c->uv.handle, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)); /* else it waits */
}

struct httpd_stream *httpd_stream_open(struct httpd_req *r, int status, const char *content_type,
                                       const struct httpd_stream_conf *conf)
{
    httpd__req_check(r);
    CHECK(r->handled && status >= 200 && status < 300 && status != 204);
    struct httpd__answer a = {.status = status, .type = content_type, .no_gzip = true};
    struct httpd__conn *c = r->conn;
    if (!c || r->bad_set || r->head.method == HTTPD_HEAD) {
        httpd__answer(r, &a);
        return NULL;
    }
    struct httpd_stream *s = mem_alloc(sizeof(*s));
    s->magic = STREAM_MAGIC;
    s->srv = c->srv;
    s->conn = c;
    s->conf = *conf;
    s->chunked = r->head.minor == 1;
    s->srv->stats.streams++;
    c->last = c->last || !s->chunked;
    httpd__answer_head(r, &a, s->chunked ? HTTPD__CHUNKED : HTTPD__UNTIL_END);
    httpd__answer_count(r, status, 0);
    httpd__conn_state(c, HTTPD__STREAMING);
    httpd__conn_deadline(c, 0);
    c->req = NULL;
    r->conn = NULL;
    c->out = s;
    httpd__req_free(r);
    limit_silence(c);
    if (httpd__out_stream(c, buf_span(&c->srv->out), (struct span){0}, (struct span){0}) < 0)
        httpd__conn_cut(c);
    return s;
}

int httpd_stream_write(struct httpd_stream *s, struct span p)
{
    stream_check(s);
    struct httpd__conn *c = s->conn;
    if (!c)
        return -1;
    if (p.n == 0)
        return 0; /* an empty chunk would be the last */
    size_t unsent = uv_stream_get_write_queue_size(&c->uv.stream);
    if (unsent + p.n > c->srv->conf.max_stream_buffer) {
        c->srv->stats.timed_out_write++;
        httpd__conn_cut(c);
        return -1;
    }
    char size[24];
    struct span head = {0}, tail = {0};
    if (s->chunked) {
        head = (struct span){size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", p.n)};
        tail = SPAN("\r\n");
    }
    if (httpd__out_stream(c, head, p, tail) < 0) {
        httpd__conn_cut(c);
        return -1;
    }
    s->want_drain = uv_stream_get_write_queue_size(&c->uv.stream) > ENOUGH;
    return s->want_drain;
}

void httpd_stream_end(struct httpd_stream *s)
{
    stream_check(s);
    struct httpd__conn *c = s->conn;
    s->ended = true;
    if (c) {
        c->out = NULL;
        s->conn = NULL;
        httpd__conn_state(c, HTTPD__WRITING);
        if (s->chunked &&
            httpd__out_stream(c, SPAN("0\r\n\r\n"), (struct span){0}, (struct span){0}) < 0)
            httpd__conn_cut(c);
        httpd__out_stream_end(c);
    }
    if (!s->ready.queued)
        free_stream(s);
}

void httpd_stream_cut(struct httpd_stream *s)
{
    stream_check(s);
    s->ended = true;
    if (s->conn)
        httpd__conn_cut(s->conn); /* which tells later, and frees s then */
    else if (!s->ready.queued)
        free_stream(s);
}

void httpd__stream_gone(struct httpd_stream *s)
{
    s->conn->out = NULL;
    s->conn = NULL;
    tell_later(s);
}

void httpd__stream_sent(struct httpd_stream *s, size_t unsent)
{
    if (s->want_drain && unsent == 0)
        tell_later(s);
}
