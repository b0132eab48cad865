#include "it/http.h"
#include "it/internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MS = 40000, UP_MS = 30000, READ = 65536 };

const char *http_address(struct it_proc *p, const char *listener)
{
    const char *line = it_format("msg=\"listening\" listener=%s address=", listener);
    it_wait_for(p, line, UP_MS);
    char *at = it_keep(strdup(strstr(it_errors(p), line) + strlen(line)));
    at += *at == '"';
    at[strcspn(at, " \"\n")] = '\0';
    return at;
}

/* ---- connections --------------------------------------------------------------------------- */

int http_connect(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    if (is_unix) {
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
    } else {
        const char *colon = strrchr(address, ':');
        assert_non_null(colon);
        in.sin_port = htons((uint16_t)atoi(colon + 1));
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int rc = is_unix ? connect(fd, (struct sockaddr *)&un, sizeof(un))
                     : connect(fd, (struct sockaddr *)&in, sizeof(in));
    if (rc != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void http_send(int fd, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return; /* it has answered and closed: what it said tells why */
        text += sent;
        n -= (size_t)sent;
    }
}

/* Up to the end, or to what stops it. *n: bytes. */
static char *receive(int fd, const char *stop, int64_t limit_ms, size_t *n)
{
    int64_t until = it_now_ms() + limit_ms;
    char *all = malloc(READ + 1);
    size_t size = READ;
    for (*n = 0, all[0] = '\0';;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - it_now_ms();
        if ((stop && memmem(all, *n, stop, strlen(stop))) || left <= 0 ||
            poll(&p, 1, (int)left) <= 0)
            return all;
        if (size - *n < READ) {
            size *= 2;
            all = realloc(all, size + 1);
            assert_non_null(all);
        }
        ssize_t got = recv(fd, all + *n, size - *n, 0);
        if (got <= 0)
            return all;
        *n += (size_t)got;
        all[*n] = '\0';
    }
}

const char *http_until(int fd, const char *text, int64_t limit_ms)
{
    size_t n;
    return it_keep(receive(fd, text, limit_ms, &n));
}

/* ---- requests ------------------------------------------------------------------------------ */

struct http_answer http_ask(const char *address, const char *method, const char *target,
                            const char *fields, const char *body)
{
    int64_t begun = it_now_ms();
    struct http_answer a = {.status = -1, .head = "", .body = ""};
    int fd = http_connect(address);
    if (fd < 0)
        return a;
    const char *more =
        body ? it_format("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
                         "%zu\r\n",
                         strlen(body))
             : "";
    http_send(fd, it_format("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n", method,
                            target, strncmp(address, "unix:", 5) == 0 ? "localhost" : address,
                            fields ? fields : "", more));
    if (body)
        http_send(fd, body);
    size_t n;
    char *all = it_keep(receive(fd, NULL, ANSWER_MS, &n));
    close(fd);
    a.ms = it_now_ms() - begun;
    char *end = strstr(all, "\r\n\r\n");
    if (!end || sscanf(all, "HTTP/1.1 %d", &a.status) != 1)
        return a; /* -1: cut before it answered */
    end[2] = '\0';
    a.head = all;
    a.body = end + 4;
    a.n = n - (size_t)(a.body - all);
    if (a.status >= 400 || strstr(target, "/metrics") != NULL)
        it__secret_answer(a.body);
    return a;
}

const char *http_field(const struct http_answer *a, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = a->head; (p = strstr(p, "\r\n")) != NULL;) {
        p += 2;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1 + strspn(p + n + 1, " ");
            return it_format("%.*s", (int)strcspn(p, "\r"), p);
        }
    }
    return NULL;
}

const char *http_encode(const char *text)
{
    char *out = it_keep(malloc(3 * strlen(text) + 1)), *p = out;
    for (; *text; text++) {
        if (isalnum((unsigned char)*text))
            *p++ = *text;
        else
            p += sprintf(p, "%%%02X", (unsigned char)*text);
    }
    *p = '\0';
    return out;
}

/* ---- a browser ----------------------------------------------------------------------------- */

static const char *fields_of(const struct browser *b)
{
    return it_format("%s%s%s%s", b->fields ? b->fields : "", b->cookie ? "Cookie: " : "",
                     b->cookie ? b->cookie : "", b->cookie ? "\r\n" : "");
}

struct http_answer http_get(struct browser *b, const char *target)
{
    return http_ask(b->address, "GET", target, fields_of(b), NULL);
}

struct http_answer http_post(struct browser *b, const char *target, const char *form)
{
    struct http_answer a = http_ask(b->address, "POST", target, fields_of(b), form);
    const char *set = http_field(&a, "Set-Cookie");
    if (set)
        b->cookie = it_format("%.*s", (int)strcspn(set, ";"), set);
    return a;
}

struct http_answer http_login(struct browser *b, const char *secret)
{
    return http_post(b, "/admin/login", it_format("secret=%s", http_encode(secret)));
}

struct browser http_logged_in(const char *address, const char *secret)
{
    struct browser b = {.address = address};
    http_is(http_login(&b, secret), 303);
    assert_non_null(b.cookie);
    return b;
}

const char *http_csrf(struct browser *b)
{
    static const char before[] = "name=\"csrf\" value=\"";
    struct http_answer a = http_get(b, "/admin");
    const char *at = strstr(a.body, before);
    if (a.status != 200 || !at)
        fail_msg("no form in: %s%s", a.head, a.body);
    return it_format("%.32s", at + sizeof(before) - 1);
}

void http_press(struct browser *b, const char *action, const char *fields)
{
    struct http_answer a =
        http_post(b, it_format("/admin/do/%s", action),
                  it_format("csrf=%s&back=%%2Fadmin%s", http_csrf(b), fields ? fields : ""));
    http_is(a, 303);
    assert_string_equal(http_field(&a, "Location"), "/admin");
}

void http_is_at(const char *file, int line, struct http_answer a, int status)
{
    if (a.status != status) {
        print_error("%s\n%.2000s\n", a.head, a.body);
        print_error("%s:%d: answered %d, not %d\n", file, line, a.status, status);
        _fail(file, line);
    }
}

void http_has_at(const char *file, int line, struct http_answer a, const char *text, bool want)
{
    if ((memmem(a.body, a.n, text, strlen(text)) != NULL) != want) {
        print_error("%s\n%.20000s\n", a.head, a.body);
        print_error("%s:%d: %s \"%s\"\n", file, line, want ? "lacks" : "has", text);
        _fail(file, line);
    }
}
