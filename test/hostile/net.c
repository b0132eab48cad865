/* Sockets of attackers: nothing waits long. */
#include "hostile/hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

unsigned hostile_chance(struct attacker *a, unsigned below)
{
    return (unsigned)load_random(&a->seed, below);
}

void hostile_problem(struct storm *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)pthread_mutex_lock(&s->lock);
    if (s->problem[0] == '\0')
        (void)vsnprintf(s->problem, sizeof(s->problem), fmt, args);
    (void)pthread_mutex_unlock(&s->lock);
    va_end(args);
}

void hostile_find(struct storm *s, struct it_proc *p)
{
    for (int i = 0; i < HOSTILE_LISTENERS; i++) {
        const char *address = it_address(p, i == HOSTILE_ADMIN ? "admin" : "http");
        s->at[i].sin_family = AF_INET;
        s->at[i].sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
        s->at[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
}

void hostile_log_in(struct storm *s, const char *secret)
{
    static const char mark[] = "\r\nSet-Cookie: ";
    char answer[4096] = "";
    int fd = hostile_connect(s, HOSTILE_ADMIN, "127.0.0.1");
    assert_true(hostile_say(fd,
                            "POST /admin/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                            "Content-Type: application/x-www-form-urlencoded\r\n"
                            "Content-Length: %zu\r\n\r\nsecret=%s",
                            strlen("secret=") + strlen(secret), secret));
    (void)hostile_read(fd, answer, sizeof(answer), 10000);
    hostile_close(fd);
    const char *cookie = strstr(answer, mark);
    if (cookie == NULL)
        fail_msg("no login: %s", answer);
    cookie += strlen(mark);
    snprintf(s->cookie, sizeof(s->cookie), "%.*s", (int)strcspn(cookie, ";"), cookie);
}

int hostile_connect(struct storm *s, int listener, const char *from)
{
    const struct timeval patience = {.tv_sec = 2};
    struct sockaddr_in source = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)inet_pton(AF_INET, from, &source.sin_addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) != 0 ||
        connect(fd, (const struct sockaddr *)&s->at[listener], sizeof(s->at[0])) != 0) {
        close(fd);
        atomic_fetch_add(&s->refused, 1);
        return -1;
    }
    atomic_fetch_add(&s->connections, 1);
    return fd;
}

bool hostile_send(int fd, const void *p, size_t n)
{
    for (const char *from = p; n > 0;) {
        ssize_t sent = send(fd, from, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        from += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool hostile_say(int fd, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return n > 0 && (size_t)n < sizeof(text) && hostile_send(fd, text, (size_t)n);
}

/* Whether the text begins with an answer that is there whole. */
static bool is_whole(const char *text, size_t n)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return false;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (length == NULL || length > end)
        return strstr(end, "\r\n0\r\n\r\n") != NULL || strncmp(text + 9, "204", 3) == 0 ||
               strncmp(text + 9, "304", 3) == 0;
    return n >= (size_t)(end + 4 - text) + strtoull(length + 17, NULL, 10);
}

static size_t read_some(int fd, char *out, size_t size, int64_t limit_ms, bool one)
{
    const int64_t until = it_now_ms() + limit_ms;
    size_t n = 0;
    out[0] = '\0';
    while (n + 1 < size && !(one && is_whole(out, n))) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - it_now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            break;
        ssize_t got = recv(fd, out + n, size - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        out[n] = '\0';
    }
    return n;
}

size_t hostile_read(int fd, char *out, size_t size, int64_t limit_ms)
{
    return read_some(fd, out, size, limit_ms, false);
}

size_t hostile_read_answer(int fd, char *out, size_t size, int64_t limit_ms)
{
    return read_some(fd, out, size, limit_ms, true);
}

int hostile_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

void hostile_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

void hostile_reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fd);
    }
}

bool hostile_is_cut(int fd)
{
    char byte[512];
    ssize_t n;
    while ((n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}
