/* One GET over a socket of its own, with a limit for all of it. Blocks. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/doctor_look.h"

struct ask {
    int fd;
    int64_t until_ms;
    const char *where;
    struct err *err;
};

static int fail(const struct ask *a, const char *what, int errnum)
{
    return err_set_code(a->err, ERR_SYS, ERR_PERMANENT, errnum, "%s: %s%s%s", a->where, what,
                        errnum ? ": " : "", errnum ? strerror(errnum) : "");
}

/* Until the socket is ready for that, or no time is left. */
static int wait_for(const struct ask *a, short events)
{
    struct pollfd p = {.fd = a->fd, .events = events};
    for (;;) {
        int64_t left = a->until_ms - clock_mono_ms();
        int n = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (n > 0)
            return 0;
        if (n == 0)
            return fail(a, "no answer in time", 0);
        if (errno != EINTR)
            return fail(a, "waiting for an answer", errno);
    }
}

static socklen_t size_of(const struct sockaddr_storage *at)
{
    return at->ss_family == AF_INET    ? sizeof(struct sockaddr_in)
           : at->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                       : sizeof(struct sockaddr_un);
}

static int connect_to(const struct ask *a, const struct sockaddr_storage *at)
{
    int errnum = 0;
    socklen_t n = sizeof(errnum);
    if (connect(a->fd, (const struct sockaddr *)at, size_of(at)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return fail(a, "nobody listens there", errno);
    if (wait_for(a, POLLOUT) < 0)
        return -1;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &errnum, &n) < 0 || errnum != 0)
        return fail(a, "nobody listens there", errnum);
    return 0;
}

static int send_all(const struct ask *a, const char *path)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    for (int sent = 0; sent < n;) {
        ssize_t k = send(a->fd, text + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (k >= 0)
            sent += (int)k;
        else if (errno != EINTR && errno != EAGAIN)
            return fail(a, "sending the request", errno);
        else if (wait_for(a, POLLOUT) < 0)
            return -1;
    }
    return 0;
}

/* "Content-Length: 12" of a head, or -1. */
static int64_t length_of(const char *head, const char *end)
{
    static const char name[] = "\r\ncontent-length:";
    for (const char *p = head; p + sizeof(name) < end; p++) {
        int64_t n;
        if (strncasecmp(p, name, sizeof(name) - 1) != 0)
            continue;
        p += sizeof(name) - 1;
        size_t line = strcspn(p, "\r\n");
        return span_to_i64(span_trim((struct span){p, line}), 0, INT32_MAX, &n) == 0 ? n : -1;
    }
    return -1;
}

/* All of it is here: what was announced of the body, or as much of it as is kept. */
static bool is_whole(const char *text, size_t n, size_t most)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL)
        return n == most;
    int64_t body = length_of(text, end + 2);
    return n == most || (body >= 0 && (int64_t)(text + n - (end + 4)) >= body);
}

static int receive(const struct ask *a, struct cli_reply *ret)
{
    char text[8192];
    size_t n = 0;
    text[0] = '\0';
    while (!is_whole(text, n, sizeof(text) - 1)) {
        ssize_t k = recv(a->fd, text + n, sizeof(text) - 1 - n, 0);
        if (k == 0)
            break;
        if (k > 0) {
            n += (size_t)k;
            text[n] = '\0';
        } else if (errno != EINTR && errno != EAGAIN) {
            return fail(a, "reading the answer", errno);
        } else if (wait_for(a, POLLIN) < 0) {
            return -1;
        }
    }
    int64_t status = 0;
    const char *body = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || n < 12 || !body ||
        span_to_i64((struct span){text + 9, 3}, 100, 599, &status) < 0)
        return fail(a, "what answers there does not speak HTTP", 0);
    ret->status = (int)status;
    snprintf(ret->body, sizeof(ret->body), "%s", body + 4);
    return 0;
}

/* Where it can be asked: every address is no place to connect to. */
static struct sockaddr_storage reachable(const struct sockaddr_storage *at)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u = {.any = *at};
    if (at->ss_family == AF_INET && u.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (at->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&u.v6.sin6_addr)) {
        in_port_t port = u.v6.sin6_port;
        u.any = (struct sockaddr_storage){0};
        u.v4 = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    }
    return u.any;
}

int cli__ask(const struct sockaddr_storage *at, const char *where, const char *path,
             int64_t limit_ms, struct cli_reply *ret, struct err *err)
{
    struct sockaddr_storage to = reachable(at);
    struct ask a = {.until_ms = clock_mono_ms() + limit_ms, .where = where, .err = err};
    *ret = (struct cli_reply){0};
    a.fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a.fd < 0)
        return fail(&a, "opening a socket", errno);
    int rc = connect_to(&a, &to);
    if (rc == 0)
        rc = send_all(&a, path);
    if (rc == 0)
        rc = receive(&a, ret);
    (void)close(a.fd);
    return rc;
}
