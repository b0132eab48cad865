#include "sim/catcher.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 4 << 20, CATCHES_MAX = 4096, LATE_MS = 3200 };

struct catcher {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    char url[64];
    bool stopping;
    int status, delay_ms;
    enum challenge_answer challenge;
    struct catch caught[CATCHES_MAX];
    size_t n;
    char *last_challenge;
};

/* ---- a request ----------------------------------------------------------------------------- */

/* The head, and so much behind it as Content-Length says. */
static char *receive(int fd)
{
    char *text = calloc(1, REQUEST_MAX + 1);
    size_t n = 0, want = 0;
    assert_non_null(text);
    for (;;) {
        char *end = strstr(text, "\r\n\r\n");
        const char *length = end != NULL ? strcasestr(text, "content-length:") : NULL;
        want = end == NULL ? n + 1
               : length    ? (size_t)(end + 4 - text) + strtoul(length + 15, NULL, 10)
                           : (size_t)(end + 4 - text);
        if (n >= want || n >= REQUEST_MAX)
            return text;
        ssize_t got = recv(fd, text + n, REQUEST_MAX - n, 0);
        if (got <= 0)
            return text;
        n += (size_t)got;
    }
}

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void decode(char *text)
{
    char *out = text;
    for (; *text != '\0'; text++) {
        if (*text == '%' && text[1] != '\0' && text[2] != '\0') {
            *out++ = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static void answer_challenge(struct catcher *c, int fd, const char *target)
{
    char copy[2048], body[256], out[512];
    snprintf(copy, sizeof(copy), "%s", target);
    decode(copy);
    const char *value = strstr(copy, "hub.challenge=");
    value = value != NULL ? value + 14 : "";
    pthread_mutex_lock(&c->lock);
    enum challenge_answer how = c->challenge;
    free(c->last_challenge);
    c->last_challenge = strdup(target);
    pthread_mutex_unlock(&c->lock);
    if (how == LATE)
        (void)poll(NULL, 0, LATE_MS);
    snprintf(body, sizeof(body), how == NO_JSON ? "%s%.*s" : "{\"hub.challenge\":\"%s%.*s\"}",
             how == WRONG_VALUE ? "x" : "", (int)strcspn(value, "& "), value);
    int n = snprintf(out, sizeof(out),
                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                     how == WRONG_STATUS ? "404 Not Found" : "200 OK",
                     how == WRONG_TYPE ? "text/plain" : "application/json", strlen(body), body);
    (void)send(fd, out, (size_t)n, MSG_NOSIGNAL);
}

static void answer_event(struct catcher *c, int fd)
{
    char out[128];
    pthread_mutex_lock(&c->lock);
    int status = c->status, delay_ms = c->delay_ms;
    pthread_mutex_unlock(&c->lock);
    if (delay_ms > 0)
        (void)poll(NULL, 0, delay_ms);
    if (status == 0)
        return;
    int n = snprintf(out, sizeof(out), "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status);
    (void)send(fd, out, (size_t)n, MSG_NOSIGNAL);
}

static void keep(struct catcher *c, const char *text)
{
    struct catch k = {.type = strdup("")};
    const char *type = strcasestr(text, "\r\ncontent-type: "), *end = strstr(text, "\r\n\r\n");
    const char *target = strchr(text, ' ');
    snprintf(k.method, sizeof(k.method), "%.*s", (int)strcspn(text, " "), text);
    k.target = target != NULL ? strndup(target + 1, strcspn(target + 1, " ")) : strdup("");
    if (type != NULL && type < end) {
        free((char *)(uintptr_t)k.type);
        k.type = strndup(type + 16, strcspn(type + 16, "\r"));
    }
    k.body = strdup(end != NULL ? end + 4 : "");
    pthread_mutex_lock(&c->lock);
    if (c->n < CATCHES_MAX)
        c->caught[c->n++] = k;
    pthread_mutex_unlock(&c->lock);
}

static void serve(struct catcher *c, int fd)
{
    char *text = receive(fd);
    if (strncmp(text, "GET /hook?", 10) == 0 && strstr(text, "token=not") == NULL &&
        strstr(text, "-not") == NULL) {
        const char *target = text + 4;
        char *end = strchr(text + 4, ' ');
        if (end != NULL)
            *end = '\0';
        answer_challenge(c, fd, target);
    } else if (text[0] != '\0') {
        keep(c, text);
        answer_event(c, fd);
    }
    free(text);
}

static void *run(void *arg)
{
    struct catcher *c = arg;
    for (;;) {
        int fd = accept(c->fd, NULL, NULL);
        if (fd < 0)
            return NULL; /* it was shut */
        serve(c, fd);
        (void)shutdown(fd, SHUT_WR);
        close(fd);
    }
}

/* ---- start and end ------------------------------------------------------------------------- */

struct catcher *catcher_start(void)
{
    struct catcher *c = calloc(1, sizeof(*c));
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);
    assert_non_null(c);
    c->status = 200;
    pthread_mutex_init(&c->lock, NULL);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(c->fd, 1024), 0);
    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&in, &n), 0);
    snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%d/hook", ntohs(in.sin_port));
    assert_int_equal(pthread_create(&c->thread, NULL, run, c), 0);
    return c;
}

void catcher_stop(struct catcher *c)
{
    (void)shutdown(c->fd, SHUT_RDWR);
    (void)pthread_join(c->thread, NULL);
    close(c->fd);
    for (size_t i = 0; i < c->n; i++) {
        free((char *)(uintptr_t)c->caught[i].target);
        free((char *)(uintptr_t)c->caught[i].type);
        free((char *)(uintptr_t)c->caught[i].body);
    }
    free(c->last_challenge);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *catcher_url(const struct catcher *c)
{
    return c->url;
}

void catcher_answer(struct catcher *c, int status, int delay_ms)
{
    pthread_mutex_lock(&c->lock);
    c->status = status;
    c->delay_ms = delay_ms;
    pthread_mutex_unlock(&c->lock);
}

void catcher_challenge(struct catcher *c, enum challenge_answer how)
{
    pthread_mutex_lock(&c->lock);
    c->challenge = how;
    pthread_mutex_unlock(&c->lock);
}

size_t catcher_count(struct catcher *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->n;
    pthread_mutex_unlock(&c->lock);
    return n;
}

struct catch catcher_at(struct catcher *c, size_t i)
{
    assert_true(i < catcher_count(c));
    pthread_mutex_lock(&c->lock);
    struct catch k = c->caught[i];
    pthread_mutex_unlock(&c->lock);
    return k;
}

json_t *catcher_event(struct catcher *c, size_t i)
{
    const char *body = catcher_at(c, i).body;
    return sim_json((struct http_answer){.head = "", .body = body, .n = strlen(body)});
}

void catcher_wait(struct catcher *c, size_t n)
{
    for (int64_t until = it_now_ms() + 5000; catcher_count(c) < n; it_pause_ms(5)) {
        if (it_now_ms() > until)
            fail_msg("%zu caught, not %zu", catcher_count(c), n);
    }
}

const char *catcher_challenged(struct catcher *c)
{
    pthread_mutex_lock(&c->lock);
    const char *target = it_format("%s", c->last_challenge ? c->last_challenge : "");
    pthread_mutex_unlock(&c->lock);
    return target;
}

int64_t catcher_subscribe(struct catcher *c, struct sim *s)
{
    struct http_answer a =
        sim_ask(s, "POST", "/api/v3/push_subscriptions", NULL,
                it_format("client_id=1001&client_secret=sim-secret-1001&callback_url=%s&"
                          "verify_token=v",
                          http_encode(c->url)));
    if (a.status != 201)
        fail_msg("answered %d %s", a.status, a.body);
    return sim_i64(sim_json(a), "id");
}
