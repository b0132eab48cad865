/* Writing: what the socket takes at once is written at once, the rest is handed to libuv. */
#include "httpd/internal.h"

/* What was left over. */
struct writing {
    uv_write_t req;
    struct httpd__conn *conn;
    struct buf rest; /* of the head, or of a piece of a stream */
    struct buf own;  /* holds the body */
    bool of_stream;
};

static void on_written(uv_write_t *req, int status)
{
    struct writing *w = container_of(req, struct writing, req);
    struct httpd__conn *c = w->conn;
    bool of_stream = w->of_stream;
    buf_done(&w->rest);
    buf_done(&w->own);
    mem_free(w);
    if (c->state == HTTPD__CLOSING)
        return; /* its close callback is still to come */
    size_t unsent = uv_stream_get_write_queue_size(&c->uv.stream);
    if (status < 0) {
        httpd__conn_cut(c);
    } else if (!of_stream || (c->state == HTTPD__WRITING && unsent == 0)) {
        httpd__conn_answered(c);
    } else if (c->state == HTTPD__STREAMING) {
        httpd__conn_deadline(c, unsent ? c->srv->conf.write_timeout_ms : 0);
        httpd__stream_sent(c->out, unsent);
    }
}

/* How much the socket took; < 0: the connection is broken. */
static ssize_t try_write(struct httpd__conn *c, uv_buf_t *bufs, unsigned n)
{
    /* UV_EAGAIN also while something is queued: order is kept. */
    int rc = uv_try_write(&c->uv.stream, bufs, n);
    if (rc == UV_EAGAIN)
        return 0;
    if (rc > 0)
        c->srv->stats.bytes_out += (uint64_t)rc;
    return rc;
}

static void queue(struct writing *w, struct span body)
{
    struct httpd__conn *c = w->conn;
    uv_buf_t bufs[2];
    unsigned n = 0;
    if (w->rest.n)
        bufs[n++] = uv_buf_init(w->rest.p, (unsigned)w->rest.n);
    if (body.n)
        bufs[n++] = uv_buf_init((char *)(uintptr_t)body.p, (unsigned)body.n);
    c->srv->stats.bytes_out += w->rest.n + body.n;
    if (uv_write(&w->req, &c->uv.stream, bufs, n, on_written) < 0) {
        buf_done(&w->rest);
        buf_done(&w->own);
        mem_free(w);
        httpd__conn_cut(c);
    }
}

void httpd__out_answer(struct httpd__conn *c, struct span head, struct span body, struct buf *own)
{
    uv_buf_t bufs[2] = {uv_buf_init((char *)(uintptr_t)head.p, (unsigned)head.n),
                        uv_buf_init((char *)(uintptr_t)body.p, (unsigned)body.n)};
    CHECK(body.n < UINT32_MAX);
    ssize_t rc = try_write(c, bufs, body.n ? 2 : 1);
    size_t sent = rc > 0 ? (size_t)rc : 0;
    if (rc < 0 || sent == head.n + body.n) {
        buf_done(own);
        if (rc < 0)
            httpd__conn_cut(c);
        else
            httpd__conn_answered(c);
        return;
    }
    struct writing *w = mem_alloc(sizeof(*w));
    w->conn = c;
    if (sent < head.n) {
        buf_put(&w->rest, head.p + sent, head.n - sent);
        sent = head.n;
    }
    size_t skip = sent - head.n;
    body = (struct span){body.p + skip, body.n - skip};
    if (own) {
        w->own = *own;
        *own = (struct buf){0};
    }
    size_t left = w->rest.n + body.n;
    httpd__conn_deadline(c, c->srv->conf.write_timeout_ms +
                                (int64_t)(left * 1000 / c->srv->conf.min_rate));
    queue(w, body);
}

int httpd__out_now(struct httpd__conn *c, struct span bytes)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.p, (unsigned)bytes.n);
    ssize_t rc = try_write(c, &buf, 1);
    /* Nothing else is on its way: a socket that takes not even this is of no use. */
    return rc == (ssize_t)bytes.n ? 0 : -1;
}

int httpd__out_stream(struct httpd__conn *c, struct span head, struct span p, struct span tail)
{
    uv_buf_t bufs[3];
    struct span part[3] = {head, p, tail};
    for (int i = 0; i < 3; i++)
        bufs[i] = uv_buf_init((char *)(uintptr_t)part[i].p, (unsigned)part[i].n);
    ssize_t rc = try_write(c, bufs, 3);
    if (rc < 0)
        return -1;
    size_t sent = (size_t)rc;
    if (sent == head.n + p.n + tail.n)
        return 0;
    struct writing *w = mem_alloc(sizeof(*w));
    w->conn = c;
    w->of_stream = true;
    for (int i = 0; i < 3; i++) {
        size_t skip = sent < part[i].n ? sent : part[i].n;
        if (part[i].n > skip)
            buf_put(&w->rest, part[i].p + skip, part[i].n - skip);
        sent -= skip;
    }
    if (!c->deadline_ms)
        httpd__conn_deadline(c, c->srv->conf.write_timeout_ms);
    queue(w, (struct span){0});
    return c->state == HTTPD__CLOSING ? -1 : 0;
}

void httpd__out_stream_end(struct httpd__conn *c)
{
    if (c->state == HTTPD__WRITING && uv_stream_get_write_queue_size(&c->uv.stream) == 0)
        httpd__conn_answered(c);
}
