/* What ./dev bench http measures: our server with one route that reads a JSON body and answers a
 * few bytes. usage: http_bench ADDRESS [idle N]   With "idle": opens N connections to itself, one
 * request on each, and prints the memory that they take. */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "httpd/httpd.h"

static void hook(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    json_t *json = httpd_json_read(r, 32);
    if (!json)
        return;
    struct buf body = {0};
    struct json_out j = {.buf = &body};
    jo_begin_object(&j, NULL);
    jo_bool(&j, "ok", json_is_object(json));
    jo_end_object(&j);
    json_decref(json);
    httpd_json(r, 200, &body);
}

static void hello(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, "ok\n");
}

static void on_stop(void *ctx, int signum)
{
    (void)signum;
    loop_stop(ctx);
}

static long rss_kb(void)
{
    char line[128];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    }
    if (f)
        fclose(f);
    return kb;
}

/* Clients are descriptors of a child, so that only the server's side counts. */
static int open_clients(const char *bound, long n, int ready)
{
    const char *colon = strrchr(bound, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static const char request[] = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
    for (long i = 0; i < n; i++) {
        char answer[1024];
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
            write(fd, request, sizeof(request) - 1) < 0 || read(fd, answer, sizeof(answer)) <= 0) {
            perror("client");
            return 1;
        }
    }
    if (write(ready, "x", 1) != 1)
        return 1;
    pause();
    return 0;
}

struct idle {
    struct loop *l;
    struct httpd *h;
    long before, n;
    int status;
    uv_pipe_t pipe;
};

static void all_open(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct idle *i = s->data;
    (void)buf;
    if (n > 0)
        printf("%u idle connections: %.1f MB resident (%.1f MB before), %.0f bytes each\n",
               httpd_stats(i->h)->open, (double)rss_kb() / 1024, (double)i->before / 1024,
               (double)(rss_kb() - i->before) * 1024 / (double)i->n);
    i->status = n > 0 && httpd_stats(i->h)->open == (unsigned)i->n ? 0 : 1;
    uv_close((uv_handle_t *)&i->pipe, NULL);
    loop_stop(i->l);
}

static void give(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    static char byte[8];
    (void)handle;
    (void)hint;
    *buf = uv_buf_init(byte, sizeof(byte));
}

static int measure_idle(struct loop *l, struct httpd *h, long n)
{
    struct idle i = {.l = l, .h = h, .n = n, .before = rss_kb()};
    int fds[2];
    if (n <= 0 || pipe(fds) < 0)
        return 2;
    pid_t child = fork();
    if (child == 0)
        _exit(open_clients(httpd_bound(h, 0), n, fds[1]));
    close(fds[1]);
    i.pipe.data = &i;
    if (child < 0 || uv_pipe_init(loop_uv(l), &i.pipe, 0) < 0 ||
        uv_pipe_open(&i.pipe, fds[0]) < 0 ||
        uv_read_start((uv_stream_t *)&i.pipe, give, all_open) < 0)
        return 1;
    loop_run(l);
    kill(child, SIGKILL);
    return i.status;
}

static void drained(struct op *op)
{
    (void)op;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "http_bench: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct httpd_conf conf = {
        .max_connections = 20000, .max_per_address = 20000, .max_requests = UINT32_MAX};
    struct rlimit files;
    struct loop *l = loop_new(1, &err);
    struct httpd *h = l ? httpd_new(l, &conf, &err) : NULL;
    if (argc < 2 || !h || httpd_listen(h, argv[1], 0, &err) < 0)
        return fail(&err);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    httpd_route(h,
                &(struct httpd_route){.method = HTTPD_POST, .pattern = "/hook", .handler = hook});
    httpd_route(h,
                &(struct httpd_route){.method = HTTPD_GET, .pattern = "/hello", .handler = hello});
    struct loop_signals *signals = loop_signals_open(l, on_stop, NULL, l);
    printf("%s\n", httpd_bound(h, 0));
    fflush(stdout);
    int status = 0;
    if (argc == 4 && strcmp(argv[2], "idle") == 0)
        status = measure_idle(l, h, strtol(argv[3], NULL, 10));
    else
        loop_run(l);
    struct op op;
    httpd_drain(h, 0, &op);
    op_await(&op, drained, NULL);
    loop_signals_close(signals);
    loop_run(l);
    httpd_free(h);
    loop_free(l);
    return status;
}
