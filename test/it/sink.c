#include "it/sink.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS = 64, POSTS = 1000, RULES = 16, REQUEST_MAX = 64 * 1024, LOOK_MS = 20 };

struct conn {
    int fd;
    size_t n;
    bool answered; /* or never to be */
    char in[REQUEST_MAX + 1];
};
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    bool running, stop;
    int listener;
    struct conn *conn[CONNS];
    struct sink_post post[POSTS];
    unsigned posts;
    struct {
        char path[64], fields[256];
        int status;
    } rule[RULES];
    unsigned rules;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool begins(const char *path, const char *with)
{
    return strncmp(path, with, strlen(with)) == 0;
}

/* ---- the server's thread --------------------------------------------------------------------- */

/* Whether all of a request is there: its head, and as much body as that says. */
static bool is_whole(const struct conn *c, const char **body)
{
    const char *end = strstr(c->in, "\r\n\r\n");
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!end)
        return false;
    *body = end + 4;
    size_t want = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return c->n - (size_t)(*body - c->in) >= want;
}

static void keep(struct conn *c, const char *body, int status)
{
    const char *path = strchr(c->in, ' ');
    if (!path || sink.posts >= POSTS)
        return;
    path++;
    sink.post[sink.posts++] = (struct sink_post){
        .path = strndup(path, strcspn(path, " \r")),
        .head = strndup(c->in, (size_t)(body - c->in)),
        .body = strdup(body),
        .status = status,
    };
}

static void answer(struct conn *c, const char *body)
{
    char text[512];
    const char *path = strchr(c->in, ' '), *fields = "";
    int status = 200;
    for (unsigned i = 0; path && i < sink.rules; i++) {
        if (begins(path + 1, sink.rule[i].path)) {
            status = sink.rule[i].status;
            fields = sink.rule[i].fields;
        }
    }
    keep(c, body, status);
    c->answered = true;
    if (status > 0) {
        snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\n%sContent-Length: 2\r\n\r\nok", status,
                 fields);
        (void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL);
    }
    if (status != SINK_NEVER)
        (void)shutdown(c->fd, SHUT_RDWR);
}

static void drop(unsigned i)
{
    (void)close(sink.conn[i]->fd);
    free(sink.conn[i]);
    sink.conn[i] = NULL;
}

static void hear(unsigned i)
{
    struct conn *c = sink.conn[i];
    const char *body;
    ssize_t n = recv(c->fd, c->in + c->n, REQUEST_MAX - c->n, 0);
    if (n <= 0) {
        drop(i);
        return;
    }
    c->n += (size_t)n;
    c->in[c->n] = '\0';
    if (!c->answered && is_whole(c, &body)) {
        (void)pthread_mutex_lock(&sink.lock);
        answer(c, body);
        (void)pthread_mutex_unlock(&sink.lock);
    }
}

static void take_connection(void)
{
    int fd = accept(sink.listener, NULL, NULL);
    for (unsigned i = 0; fd >= 0 && i < CONNS; i++) {
        if (!sink.conn[i]) {
            sink.conn[i] = calloc(1, sizeof(struct conn));
            sink.conn[i]->fd = fd;
            return;
        }
    }
    if (fd >= 0)
        (void)close(fd);
}

static bool is_stopped(void)
{
    (void)pthread_mutex_lock(&sink.lock);
    bool stop = sink.stop;
    (void)pthread_mutex_unlock(&sink.lock);
    return stop;
}

static void *serve(void *unused)
{
    (void)unused;
    while (!is_stopped()) {
        struct pollfd p[CONNS + 1] = {{.fd = sink.listener, .events = POLLIN}};
        for (unsigned i = 0; i < CONNS; i++)
            p[i + 1] =
                (struct pollfd){.fd = sink.conn[i] ? sink.conn[i]->fd : -1, .events = POLLIN};
        if (poll(p, CONNS + 1, LOOK_MS) <= 0)
            continue;
        for (unsigned i = 0; i < CONNS; i++) {
            if (sink.conn[i] && p[i + 1].revents)
                hear(i);
        }
        if (p[0].revents)
            take_connection();
    }
    for (unsigned i = 0; i < CONNS; i++) {
        if (sink.conn[i])
            drop(i);
    }
    return NULL;
}

/* ---- the test's side ------------------------------------------------------------------------- */

const char *sink_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    assert_false(sink.running);
    sink.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(sink.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(sink.listener, CONNS), 0);
    assert_int_equal(getsockname(sink.listener, (struct sockaddr *)&at, &n), 0);
    sink.stop = false;
    sink.posts = sink.rules = 0;
    assert_int_equal(pthread_create(&sink.thread, NULL, serve, NULL), 0);
    sink.running = true;
    return it_format("http://127.0.0.1:%d", ntohs(at.sin_port));
}

int sink_after(void **state)
{
    int rc = it_after(state);
    if (sink.running) {
        (void)pthread_mutex_lock(&sink.lock);
        sink.stop = true;
        (void)pthread_mutex_unlock(&sink.lock);
        (void)pthread_join(sink.thread, NULL);
        (void)close(sink.listener);
        sink.running = false;
    }
    for (; sink.posts > 0; sink.posts--) {
        struct sink_post *p = &sink.post[sink.posts - 1];
        free((void *)(uintptr_t)p->path);
        free((void *)(uintptr_t)p->head);
        free((void *)(uintptr_t)p->body);
    }
    return rc;
}

void sink_answer(const char *path, int status, const char *fields)
{
    (void)pthread_mutex_lock(&sink.lock);
    unsigned i = 0;
    while (i < sink.rules && strcmp(sink.rule[i].path, path) != 0)
        i++;
    if (i < RULES) {
        snprintf(sink.rule[i].path, sizeof(sink.rule[i].path), "%s", path);
        snprintf(sink.rule[i].fields, sizeof(sink.rule[i].fields), "%s", fields ? fields : "");
        sink.rule[i].status = status;
        sink.rules = i == sink.rules ? i + 1 : sink.rules;
    }
    (void)pthread_mutex_unlock(&sink.lock);
    assert_true(i < RULES);
}

/* The n-th, or how many there are. */
static unsigned find(const char *path, unsigned nth, struct sink_post *ret)
{
    unsigned n = 0;
    (void)pthread_mutex_lock(&sink.lock);
    for (unsigned i = 0; i < sink.posts; i++) {
        if (begins(sink.post[i].path, path)) {
            if (n++ == nth && ret)
                *ret = sink.post[i];
        }
    }
    (void)pthread_mutex_unlock(&sink.lock);
    return n;
}

unsigned sink_count(const char *path)
{
    return find(path, 0, NULL);
}

struct sink_post sink_get(const char *path, unsigned n)
{
    struct sink_post p = {.path = NULL};
    if (find(path, n, &p) <= n)
        fail_msg("fewer than %u came to %s", n + 1, path);
    return p;
}

void sink_wait(const char *path, unsigned n, int64_t limit_ms)
{
    int64_t end = it_now_ms() + limit_ms;
    while (sink_count(path) < n && it_now_ms() < end)
        it_pause_ms(LOOK_MS);
    if (sink_count(path) != n)
        fail_msg("%u came to %s, not %u", sink_count(path), path, n);
}
