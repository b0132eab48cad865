/* Requests to the application under test: webhooks and challenges. Plain HTTP, loopback, 2 s. */
#include <netinet/in.h>
#include <strings.h>

#include "sim/sim.h"

enum { TIMEOUT_MS = 2000, BODY_MAX = 64 << 10, READ_SIZE = 16 << 10 };

struct client {
    struct client *prev, *next;
    struct sim *sim;
    uv_tcp_t tcp;
    uv_timer_t timer;
    unsigned handles;
    bool over, in_value, is_type;
    uv_connect_t connect;
    uv_write_t write;
    llhttp_settings_t settings;
    llhttp_t parser;
    struct buf request, body, field, type;
    const char *error; /* found before it began */
    int64_t begun_ms;
    void (*done)(void *ctx, const struct client_answer *a);
    void *ctx;
    char in[READ_SIZE];
};

/* ---- the end -----------------------------------------------------------------------------------
 */

static void closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    if (--c->handles > 0)
        return;
    *(c->prev ? &c->prev->next : &c->sim->clients) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    buf_done(&c->request);
    buf_done(&c->body);
    buf_done(&c->field);
    buf_done(&c->type);
    mem_free(c);
}

static void finish(struct client *c, const char *error)
{
    if (c->over)
        return;
    c->over = true;
    struct client_answer a = {.status = error ? 0 : c->parser.status_code,
                              .error = error,
                              .content_type = c->type.n ? c->type.p : "",
                              .body = buf_span(&c->body),
                              .ms = clock_mono_ms() - c->begun_ms};
    c->done(c->ctx, &a);
    uv_close((uv_handle_t *)&c->tcp, closed);
    uv_close((uv_handle_t *)&c->timer, closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct client *c = timer->data;
    finish(c, c->error ? c->error : "timeout");
}

/* ---- the answer --------------------------------------------------------------------------------
 */

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct client *c = p->data;
    if (c->in_value)
        buf_clear(&c->field);
    c->in_value = false;
    buf_put(&c->field, at, n);
    return HPE_OK;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct client *c = p->data;
    c->in_value = true;
    if (c->field.n && strcasecmp(c->field.p, "content-type") == 0)
        buf_put(&c->type, at, n);
    return HPE_OK;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct client *c = p->data;
    if (c->body.n + n > BODY_MAX)
        return HPE_USER;
    buf_put(&c->body, at, n);
    return HPE_OK;
}

static int on_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED;
}

static void give(uv_handle_t *handle, size_t hint, uv_buf_t *b)
{
    struct client *c = handle->data;
    (void)hint;
    *b = uv_buf_init(c->in, READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct client *c = stream->data;
    enum llhttp_errno rc = HPE_OK;
    if (n == UV_EOF)
        rc = llhttp_finish(&c->parser);
    else if (n > 0)
        rc = llhttp_execute(&c->parser, b->base, (size_t)n);
    if (rc == HPE_PAUSED)
        finish(c, NULL);
    else if (rc != HPE_OK)
        finish(c, "not HTTP");
    else if (n < 0)
        finish(c, n == UV_EOF ? "closed" : uv_err_name((int)n));
}

static void on_written(uv_write_t *write, int status)
{
    if (status < 0 && status != UV_ECANCELED)
        finish(write->data, uv_err_name(status));
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct client *c = connect->data;
    uv_buf_t b = uv_buf_init(c->request.p, (unsigned)c->request.n);
    if (c->over)
        return;
    c->write.data = c;
    if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, give, on_read) < 0 ||
        uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) < 0)
        finish(c, status < 0 ? uv_err_name(status) : "cannot write");
}

/* ---- the request -------------------------------------------------------------------------------
 */

/* HOST:PORT at the start of text, which must be loopback. */
static bool read_address(const char *text, struct sockaddr_in *ret)
{
    char host[64];
    int64_t port = 80;
    size_t n = strcspn(text, ":/?#"), digits = 0;
    if (n >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)n, text);
    if (text[n] == ':') {
        digits = strcspn(text + n + 1, "/?#");
        if (span_to_i64((struct span){text + n + 1, digits}, 1, 65535, &port) < 0)
            return false;
    }
    const char *ip = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return strncmp(ip, "127.", 4) == 0 && uv_ip4_addr(ip, (int)port, ret) == 0;
}

/* NULL: fine; else why not. */
static const char *read_url(const char *url, const char *instead, struct sockaddr_in *ret,
                            const char **host, const char **target)
{
    bool plain = strncmp(url, "http://", 7) == 0;
    if (!plain && !(instead[0] && strncmp(url, "https://", 8) == 0))
        return "not http";
    *host = url + (plain ? 7 : 8);
    *target = *host + strcspn(*host, "/?#");
    return read_address(instead[0] ? instead : *host, ret) ? NULL : "not on loopback";
}

static void write_request(struct client *c, const char *method, const char *host,
                          const char *target, const char *type, struct span body)
{
    struct buf *b = &c->request;
    buf_printf(b, "%s %s%s HTTP/1.1\r\nHost: %.*s\r\nAccept: */*\r\nConnection: close\r\n", method,
               target[0] == '/' ? "" : "/", target, (int)(target - host), host);
    if (type)
        buf_printf(b, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body.n);
    buf_puts(b, "\r\n");
    if (type)
        buf_put(b, body.n ? body.p : "", body.n);
}

void client_ask(struct sim *s, const char *method, const char *url, const char *instead,
                const char *content_type, struct span body,
                void (*done)(void *ctx, const struct client_answer *a), void *ctx)
{
    struct client *c = mem_alloc(sizeof(*c));
    struct sockaddr_in address;
    const char *host = "", *target = "";
    c->sim = s;
    c->done = done;
    c->ctx = ctx;
    c->begun_ms = clock_mono_ms();
    c->next = s->clients;
    if (s->clients)
        s->clients->prev = c;
    s->clients = c;
    llhttp_settings_init(&c->settings);
    c->settings.on_header_field = on_field;
    c->settings.on_header_value = on_value;
    c->settings.on_body = on_body;
    c->settings.on_message_complete = on_complete;
    llhttp_init(&c->parser, HTTP_RESPONSE, &c->settings);
    CHECK(uv_tcp_init(loop_uv(s->loop), &c->tcp) == 0);
    CHECK(uv_timer_init(loop_uv(s->loop), &c->timer) == 0);
    c->handles = 2;
    c->parser.data = c->tcp.data = c->timer.data = c->connect.data = c;
    c->error = read_url(url, instead, &address, &host, &target);
    if (!c->error) {
        write_request(c, method, host, target, content_type, body);
        if (uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&address, on_connect) < 0)
            c->error = "cannot connect";
    }
    CHECK(uv_timer_start(&c->timer, on_timer, c->error ? 0 : TIMEOUT_MS, 0) == 0);
}

void client_cut_all(struct sim *s)
{
    for (struct client *c = s->clients; c; c = c->next)
        finish(c, "cut");
}
