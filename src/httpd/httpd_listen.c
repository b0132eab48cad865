/* Listeners: sockets bound by us or handed over, polled by the loop. We accept ourselves, since
 * libuv hides for want of what a connection was lost. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include "httpd/internal.h"

enum {
    BACKLOG = 511,
    ACCEPTS = 32, /* at a time, so that those who have connections get their share */
};

/* ---- accepting ---------------------------------------------------------------------------------
 */

static bool is_unix(const struct sockaddr_storage *sa)
{
    return sa->ss_family != AF_INET && sa->ss_family != AF_INET6;
}

/* No descriptor is free: the one in reserve lets us take a connection and close it, or it would
 * wait for ever and wake us all the time. */
static bool turn_away(struct httpd__listener *l)
{
    struct httpd *h = l->srv;
    if (h->reserve_fd < 0)
        return false;
    (void)close(h->reserve_fd);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd);
        h->stats.accepted++;
        h->stats.refused_files++;
    }
    h->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void pause_listener(struct httpd__listener *l)
{
    l->paused = true;
    uv_poll_stop(&l->poll);
    httpd__sweep_start(l->srv);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct httpd__listener *l = container_of(poll, struct httpd__listener, poll);
    (void)events;
    if (status < 0) {
        pause_listener(l);
        return;
    }
    for (int i = 0; i < ACCEPTS && !l->srv->draining; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t n = sizeof(sa);
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct httpd__address peer;
            httpd__address_of(&peer, (const struct sockaddr *)&sa);
            httpd__conn_open(l->srv, fd, is_unix(&sa), &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE) {
            if (turn_away(l))
                continue;
        } else if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) {
            continue;
        } else if (errno == EAGAIN) {
            return;
        }
        pause_listener(l);
        return;
    }
}

static void watch(struct httpd__listener *l)
{
    l->paused = uv_poll_start(&l->poll, UV_READABLE, on_connection) < 0;
    if (l->paused)
        httpd__sweep_start(l->srv);
}

void httpd__listeners_resume(struct httpd *h)
{
    for (struct httpd__listener *l = h->listeners; l; l = l->next) {
        if (l->paused)
            watch(l);
    }
    if (h->reserve_fd < 0)
        h->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void on_closed(uv_handle_t *handle)
{
    struct httpd__listener *l =
        container_of((uv_poll_t *)(void *)handle, struct httpd__listener, poll);
    struct httpd *h = l->srv;
    (void)close(l->fd);
    mem_free(l);
    httpd__handle_closed(h);
}

/* Another process may have put its own in the place of ours. */
static void remove_socket(const struct httpd__listener *l)
{
    struct stat st;
    if (l->unix_path[0] && lstat(l->unix_path, &st) == 0 && st.st_dev == l->unix_dev &&
        st.st_ino == l->unix_ino)
        (void)unlink(l->unix_path);
}

void httpd__listeners_close(struct httpd *h)
{
    while (h->listeners) {
        struct httpd__listener *l = h->listeners;
        h->listeners = l->next;
        uv_poll_stop(&l->poll);
        remove_socket(l);
        uv_close((uv_handle_t *)&l->poll, on_closed);
    }
}

/* ---- what is bound -----------------------------------------------------------------------------
 */

static void describe(struct httpd__listener *l)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } u = {0};
    socklen_t n = sizeof(u);
    char ip[INET6_ADDRSTRLEN] = "";
    if (getsockname(l->fd, &u.sa, &n) < 0)
        u.sa.sa_family = AF_UNSPEC;
    switch (u.sa.sa_family) {
    case AF_INET:
        CHECK(inet_ntop(AF_INET, &u.v4.sin_addr, ip, sizeof(ip)));
        snprintf(l->bound, sizeof(l->bound), "%s:%u", ip, ntohs(u.v4.sin_port));
        break;
    case AF_INET6:
        CHECK(inet_ntop(AF_INET6, &u.v6.sin6_addr, ip, sizeof(ip)));
        snprintf(l->bound, sizeof(l->bound), "[%s]:%u", ip, ntohs(u.v6.sin6_port));
        break;
    default:
        snprintf(l->bound, sizeof(l->bound), "unix:%s", u.un.sun_path);
    }
}

/* fd is a listening socket, closed on failure. */
static int add(struct httpd *h, int fd, const char *unix_path, struct err *err)
{
    struct httpd__listener *l = mem_alloc(sizeof(*l));
    int rc = uv_poll_init(loop_uv(h->loop), &l->poll, fd);
    if (rc < 0) {
        (void)close(fd);
        mem_free(l);
        return err_set_code(err, ERR_UV, ERR_RETRY, rc, "watching a listener: %s", uv_strerror(rc));
    }
    l->fd = fd;
    l->srv = h;
    struct stat st;
    if (unix_path && lstat(unix_path, &st) == 0) {
        memcpy(l->unix_path, unix_path, strlen(unix_path) + 1);
        l->unix_dev = st.st_dev;
        l->unix_ino = st.st_ino;
    }
    describe(l);
    h->handles++;
    struct httpd__listener **end = &h->listeners;
    while (*end)
        end = &(*end)->next;
    *end = l;
    watch(l);
    return 0;
}

const char *httpd_bound(const struct httpd *h, unsigned i)
{
    httpd__check(h);
    const struct httpd__listener *l = h->listeners;
    while (l && i-- > 0)
        l = l->next;
    return l ? l->bound : NULL;
}

/* ---- binding -----------------------------------------------------------------------------------
 */

/* One line: where, what, and what to do about it. Returns -1. */
static int cannot_bind(struct err *err, const char *where, int e)
{
    const char *remedy = "choose another address";
    if (e == EADDRINUSE)
        remedy = "another process listens there: stop it or choose another address";
    else if (e == EACCES)
        remedy = "not permitted: choose a port of 1024 or above, or a folder that may be written";
    else if (e == EADDRNOTAVAIL)
        remedy = "no interface of this machine has that address";
    else if (e == EAFNOSUPPORT)
        remedy = "this machine has no IPv6: give an IPv4 address";
    else if (e == ENOENT)
        remedy = "create its folder first";
    return err_set_code(err, ERR_CONF, ERR_PERMANENT, e, "listening on %s: %s (%s)", where,
                        strerror(e), remedy);
}

union name {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

/* "127.0.0.1:80", "[::1]:80", "localhost:80", "*:80", ":80". */
static int parse_address(const char *text, union name *ret, struct err *err)
{
    struct span s = span_of(text);
    const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
    struct httpd__address a;
    int64_t port = -1;
    struct span host = {s.p, colon ? (size_t)(colon - s.p) : 0};
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct span){host.p + 1, host.n - 2};
    else if (host.n && memchr(host.p, ':', host.n))
        colon = NULL; /* IPv6 without brackets: where the port starts is a guess */
    if (span_is(host, "*"))
        host.n = 0;
    if (span_is(host, "localhost"))
        host = SPAN("127.0.0.1");
    bool fine = colon && span_to_i64(span_of(colon + 1), 0, 65535, &port) == 0 &&
                (host.n == 0 || httpd__address_parse(&a, host) == 0);
    if (!fine)
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "listen address \"%.200s\": must be address:port such as 127.0.0.1:8080, "
                       "[::1]:8080 or *:8080, or unix:/path",
                       text);
    *ret = (union name){0};
    if (host.n && a.family == AF_INET) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t)port);
        memcpy(&ret->v4.sin_addr, a.ip, 4);
        return 0;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons((uint16_t)port);
    if (host.n)
        memcpy(&ret->v6.sin6_addr, a.ip, 16);
    return 0;
}

static int bind_tcp(const union name *name, int *ret)
{
    int on = 1, off = 0;
    bool six = name->sa.sa_family == AF_INET6;
    bool any = six && IN6_IS_ADDR_UNSPECIFIED(&name->v6.sin6_addr);
    int fd = socket(name->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on)) < 0) ||
        bind(fd, &name->sa, six ? sizeof(name->v6) : sizeof(name->v4)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int e = errno;
        (void)close(fd);
        return e;
    }
    *ret = fd;
    return 0;
}

static int listen_tcp(struct httpd *h, const char *text, struct err *err)
{
    union name name;
    int fd = -1;
    if (parse_address(text, &name, err) < 0)
        return -1;
    int e = bind_tcp(&name, &fd);
    bool any = name.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name.v6.sin6_addr);
    if (any && (e == EAFNOSUPPORT || e == EADDRNOTAVAIL) && text[0] != '[') {
        union name four = {.v4 = {.sin_family = AF_INET, .sin_port = name.v6.sin6_port}};
        e = bind_tcp(&four, &fd);
    }
    return e ? cannot_bind(err, text, e) : add(h, fd, NULL, err);
}

/* ---- unix sockets ------------------------------------------------------------------------------
 */

/* Whether the socket was left over: it is one, it is ours to remove, and nobody answers. */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    if (lstat(name->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (const struct sockaddr *)name, sizeof(*name));
    bool refused = rc < 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

/* The mode is on the socket before it has a name, so that nobody gets in between; the umask may
 * have taken some of it away, which chmod gives back. */
static int bind_unix(const struct sockaddr_un *name, unsigned mode, int *ret)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int e = 0;
    if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0)
        e = errno;
    if (e == EADDRINUSE && is_stale(name)) {
        e = 0;
        if (unlink(name->sun_path) < 0 ||
            bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0)
            e = errno;
    }
    if (e == 0 && (chmod(name->sun_path, mode) < 0 || listen(fd, BACKLOG) < 0))
        e = errno;
    if (e)
        (void)close(fd);
    *ret = fd;
    return e;
}

static int parse_unix(const char *text, struct sockaddr_un *ret, struct err *err)
{
    const char *path = text + strlen("unix:");
    size_t n = strlen(path);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/' || n >= sizeof(ret->sun_path))
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "listen address \"%.200s\": must be unix:/path of at most %zu bytes", text,
                       sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, n);
    return 0;
}

static int listen_unix(struct httpd *h, const char *text, unsigned mode, struct err *err)
{
    struct sockaddr_un name;
    int fd = -1;
    if (parse_unix(text, &name, err) < 0)
        return -1;
    int e = bind_unix(&name, mode ? mode : 0660, &fd);
    return e ? cannot_bind(err, text, e) : add(h, fd, name.sun_path, err);
}

/* ---- public ------------------------------------------------------------------------------------
 */

int httpd_address_read(const char *address, struct sockaddr_storage *ret, struct err *err)
{
    union name name = {0};
    int rc = strncmp(address, "unix:", 5) == 0 ? parse_unix(address, &name.un, err)
                                               : parse_address(address, &name, err);
    *ret = (struct sockaddr_storage){0};
    if (rc == 0)
        memcpy(ret, &name, sizeof(name));
    return rc;
}

int httpd_listen(struct httpd *h, const char *address, unsigned unix_mode, struct err *err)
{
    httpd__check(h);
    CHECK(!h->draining);
    if (strncmp(address, "unix:", 5) == 0)
        return listen_unix(h, address, unix_mode, err);
    return listen_tcp(h, address, err);
}

int httpd_listen_fd(struct httpd *h, int fd, struct err *err)
{
    httpd__check(h);
    int listening = 0, type = 0;
    socklen_t n = sizeof(listening), m = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) < 0 || type != SOCK_STREAM) {
        (void)close(fd);
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "descriptor %d is not a listening stream socket: check the socket unit "
                       "(ListenStream=, Accept=no)",
                       fd);
    }
    int flags = fcntl(fd, F_GETFL), cloexec = fcntl(fd, F_GETFD);
    if (flags < 0 || cloexec < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, cloexec | FD_CLOEXEC) < 0) {
        int e = errno;
        (void)close(fd);
        return err_sys(err, e, "taking descriptor %d over", fd);
    }
    return add(h, fd, NULL, err);
}
