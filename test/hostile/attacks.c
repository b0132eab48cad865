/* Short attacks: a request or some, what must not be answered to them, and on. */
#include "hostile/hostile.h"

enum { BIG = 2 << 20 };

/* One attack: where, by whom, and what was sent, for the report. */
struct blow {
    struct attacker *a;
    int fd, listener;
    const char *name;
    char answer[HOSTILE_ANSWER_MAX];
};

static bool begin(struct blow *b, int listener, const char *from)
{
    b->listener = listener;
    b->fd = hostile_connect(b->a->s, listener, from);
    b->answer[0] = '\0';
    return b->fd >= 0;
}

/* An answer, if there is any, is one of these ("400 413"), or says that there is no room now. */
static void judge(struct blow *b, const char *allowed, const char *sent)
{
    char number[8];
    int status = hostile_status(b->answer);
    atomic_fetch_add(&b->a->s->requests, 1);
    if (b->answer[0] == '\0') {
        atomic_fetch_add(&b->a->s->answers[0], 1);
        return;
    }
    snprintf(number, sizeof(number), "%d", status);
    if (status < 200 || status > 599 || status == 500 || status == 502 ||
        (allowed != NULL && strstr(allowed, number) == NULL && status != 503 && status != 408))
        hostile_problem(b->a->s, "%s, listener %d: %.500s\nanswered: %.500s", b->name, b->listener,
                        sent, b->answer);
    else
        atomic_fetch_add(&b->a->s->answers[status / 100], 1);
}

static void finish(struct blow *b, int64_t ms, const char *allowed, const char *sent)
{
    (void)hostile_read(b->fd, b->answer, sizeof(b->answer), ms);
    judge(b, allowed, sent);
    hostile_close(b->fd);
}

/* Sends a text that asks for the connection to be closed, or makes it. */
static void strike(struct blow *b, int listener, const char *allowed, const char *text)
{
    if (!begin(b, listener, HOSTILE_CROWD))
        return;
    (void)hostile_send(b->fd, text, strlen(text));
    finish(b, 1000, allowed, text);
}

static int any_listener(struct attacker *a)
{
    return hostile_chance(a, 3) == 0 ? HOSTILE_PUBLIC : HOSTILE_ADMIN;
}

/* ---- what the fuzzer has learnt ------------------------------------------------------------ */

static void mutate(struct attacker *a, char *p, size_t n)
{
    for (unsigned k = 1 + hostile_chance(a, 6); n > 0 && k > 0; k--) {
        size_t at = hostile_chance(a, (unsigned)n);
        switch (hostile_chance(a, 4)) {
        case 0:
            p[at] = (char)hostile_chance(a, 256);
            break;
        case 1:
            p[at] ^= (char)(1 << hostile_chance(a, 8));
            break;
        case 2:
            p[at] = "\r\n :;%/\\.0\t"[hostile_chance(a, 11)];
            break;
        default:
            memmove(p + at, p + at / 2, (n - at) / 2);
        }
    }
}

static void corpus(struct blow *b)
{
    struct attacker *a = b->a;
    const struct hostile_input *in = &a->s->corpus[hostile_chance(a, a->s->ncorpus)];
    char *copy = malloc(in->n + 1);
    if (copy == NULL || !begin(b, any_listener(a), HOSTILE_CROWD)) {
        free(copy);
        return;
    }
    memcpy(copy, in->p, in->n);
    copy[in->n] = '\0';
    if (hostile_chance(a, 3) != 0)
        mutate(a, copy, in->n);
    bool whole = hostile_chance(a, 2) == 0;
    for (size_t i = 0, n; i < in->n; i += n) {
        n = whole ? in->n : 1 + hostile_chance(a, 40);
        n = n < in->n - i ? n : in->n - i;
        if (!hostile_send(b->fd, copy + i, n))
            break;
    }
    finish(b, 50, NULL, copy);
    free(copy);
}

/* ---- one request that others take for two -------------------------------------------------- */

static void smuggle(struct blow *b)
{
    static const char *const fields[] = {
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Content-Length: 6\r\nContent-Length: 5",
        "Content-Length: 6, 6",
        "Content-Length: +6",
        "Content-Length: 0x6",
        "Content-Length : 6",
        "Content-Length:\t6\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \013chunked",
        "Transfer-Encoding: chunked\nX: y",
        "Transfer_Encoding: chunked\r\nContent-Length: 4294967302",
        "Content-Length: 18446744073709551622",
    };
    const char *chosen = fields[hostile_chance(b->a, sizeof(fields) / sizeof(fields[0]))];
    if (!begin(b, any_listener(b->a), HOSTILE_CROWD))
        return;
    (void)hostile_say(b->fd,
                      "POST /admin/login HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n0\r\n\r\n"
                      "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
                      chosen);
    (void)hostile_read(b->fd, b->answer, sizeof(b->answer), 1000);
    judge(b, "400 404 411 413 431 501", chosen);
    const char *second = strstr(b->answer, "HTTP/1.1 ");
    if (second != NULL && strstr(second + 1, "HTTP/1.1 ") != NULL)
        hostile_problem(b->a->s, "two answers to one request: %s\n%.800s", chosen, b->answer);
    hostile_close(b->fd);
}

static void pipeline(struct blow *b)
{
    unsigned many = 1 + hostile_chance(b->a, 100);
    char garbage[256];
    if (!begin(b, HOSTILE_ADMIN, HOSTILE_CROWD))
        return;
    for (unsigned i = 0; i < many; i++) {
        if (!hostile_say(b->fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
            break;
    }
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (char)hostile_chance(b->a, 256);
    (void)hostile_send(b->fd, garbage, sizeof(garbage));
    finish(b, 300, "200 400", "many times /healthz, then garbage");
}

/* ---- too much ------------------------------------------------------------------------------ */

static void fill(int fd, size_t n, char with)
{
    char block[4096];
    memset(block, with, sizeof(block));
    while (n > 0) {
        size_t now = n < sizeof(block) ? n : sizeof(block);
        if (!hostile_send(fd, block, now))
            return;
        n -= now;
    }
}

static void oversize(struct blow *b)
{
    if (!begin(b, any_listener(b->a), HOSTILE_CROWD))
        return;
    switch (hostile_chance(b->a, 6)) {
    case 0:
        (void)hostile_say(b->fd, "GET /");
        fill(b->fd, 10000, 'a');
        finish(b, 1000, "414", "a long request line");
        break;
    case 1:
        (void)hostile_say(b->fd, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        fill(b->fd, 40000, 'a');
        finish(b, 1000, "431", "a long field");
        break;
    case 2:
        (void)hostile_say(b->fd, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 0; i < 300 && hostile_say(b->fd, "X%d: y\r\n", i); i++)
            ;
        finish(b, 1000, "431", "many fields");
        break;
    case 3:
        (void)hostile_say(b->fd,
                          "POST /admin/login HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
                          "Content-Type: application/x-www-form-urlencoded\r\n\r\n",
                          BIG);
        fill(b->fd, BIG, 'a');
        finish(b, 1000, "404 405 413", "a long body");
        break;
    case 4:
        (void)hostile_say(b->fd,
                          "POST /admin/login HTTP/1.1\r\nHost: a\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
                          BIG);
        fill(b->fd, BIG, 'a');
        finish(b, 1000, "404 405 413", "a long chunk");
        break;
    default:
        fill(b->fd, 100000, '\n');
        finish(b, 1000, "400", "empty lines");
    }
}

static void chunks(struct blow *b)
{
    static const char *const nonsense[] = {
        "5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "ffffffffffffffff1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "\r\n0\r\n\r\n",
        "g\r\n",
        "5\r\nhel",
        "fffffffffffffff0\r\nhello\r\n",
        "00000000000000000000005\r\nhello\r\n0\r\n\r\n",
    };
    if (!begin(b, HOSTILE_ADMIN, HOSTILE_CROWD))
        return;
    const char *chosen = nonsense[hostile_chance(b->a, sizeof(nonsense) / sizeof(nonsense[0]))];
    (void)hostile_say(b->fd,
                      "POST /admin/do/pause HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                      "Content-Type: application/x-www-form-urlencoded\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n%s",
                      chosen);
    if (hostile_chance(b->a, 2) == 0)
        fill(b->fd, 1 + hostile_chance(b->a, 2000), (char)hostile_chance(b->a, 256));
    finish(b, 100, "303 400 413", chosen);
}

/* ---- what is asked for --------------------------------------------------------------------- */

static void paths(struct blow *b)
{
    static const char *const part[] = {
        "/..",
        "/%2e%2e",
        "/.%2E",
        "/%00",
        "//",
        "/\\",
        "/%5c",
        "/%2f",
        "/.",
        "/admin",
        "/static",
        "/..;",
        "/%c0%ae%c0%ae",
        "/%ff",
        "/etc/passwd",
        "/%",
        "/admin/",
        "/*",
        "/%252e%252e",
        "/jobs/-1",
        "/jobs/99999999999999999999",
        "/%0d%0aX:y",
        "?a=%00",
        "/live",
        "/do/",
        "/do/pause",
        "/static/admin.js",
        "/login?next=//evil.example",
    };
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof(text), "GET ");
    for (unsigned k = 1 + hostile_chance(b->a, 5); k > 0; k--)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
                              part[hostile_chance(b->a, sizeof(part) / sizeof(part[0]))]);
    (void)snprintf(text + n, sizeof(text) - n, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    strike(b, any_listener(b->a), "200 303 400 401 404 405", text);
    if (strstr(b->answer, "root:") != NULL)
        hostile_problem(b->a->s, "a file of the machine: %s", text);
}

static void methods(struct blow *b)
{
    static const char *const method[] = {"HEAD",    "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
                                         "DELETE",  "PUT",     "PATCH", "get",     "PRI",
                                         "AAAAAAA", "GE T",    "G\tET", "POST"};
    static const char *const target[] = {"/", "/healthz",     "/readyz",      "/metrics", "/admin",
                                         "*", "/admin/live/", "/admin/login", "a:1"};
    char text[512];
    const char *m = method[hostile_chance(b->a, sizeof(method) / sizeof(method[0]))];
    (void)snprintf(text, sizeof(text), "%s %s HTTP/1.%u\r\nHost: a\r\nConnection: close\r\n\r\n", m,
                   target[hostile_chance(b->a, sizeof(target) / sizeof(target[0]))],
                   hostile_chance(b->a, 3));
    strike(b, any_listener(b->a), "200 204 303 400 401 403 404 405 415 501 505", text);
    const char *body = strstr(b->answer, "\r\n\r\n");
    int status = hostile_status(b->answer);
    bool understood = status != 400 && status != 505 && status != 503;
    if (strcmp(m, "HEAD") == 0 && understood && body != NULL && body[4] != '\0')
        hostile_problem(b->a->s, "a body for HEAD: %s\n%.500s", text, b->answer);
}

/* ---- to get in ----------------------------------------------------------------------------- */

static void post(struct blow *b, const char *from, const char *path, const char *fields,
                 const char *body)
{
    if (!begin(b, HOSTILE_ADMIN, from))
        return;
    (void)hostile_say(b->fd,
                      "POST %s HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n%s"
                      "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n"
                      "\r\n%s",
                      path, fields, strlen(body), body);
    (void)hostile_read(b->fd, b->answer, sizeof(b->answer), 3000);
    hostile_close(b->fd);
}

static void guess(struct blow *b)
{
    char body[300], fields[128] = "";
    bool by_proxy = hostile_chance(b->a, 2) == 0;
    (void)snprintf(body, sizeof(body), "secret=guess%u%%00&next=/admin", hostile_chance(b->a, 99));
    if (hostile_chance(b->a, 2) == 0)
        (void)snprintf(body, sizeof(body), "secret=%0*d&next=//evil.example",
                       1 + (int)hostile_chance(b->a, 200), 7);
    if (by_proxy || hostile_chance(b->a, 2) == 0) /* of others, it counts for nothing */
        (void)snprintf(fields, sizeof(fields), "X-Forwarded-For: 10.%u.%u.7\r\n",
                       hostile_chance(b->a, 4), hostile_chance(b->a, 8));
    post(b, by_proxy ? HOSTILE_PROXY : HOSTILE_CROWD, "/admin/login", fields, body);
    judge(b, "400 401 429", body);
    if (strstr(b->answer, "Set-Cookie") != NULL)
        hostile_problem(b->a->s, "somebody got in with %s", body);
}

/* Buttons: with cookies that were made up, and from elsewhere with one that is right, as a browser
 * sends it along. */
static void forge(struct blow *b)
{
    static const char *const action[] = {"retry",  "discard", "cancel",     "release",
                                         "pause",  "resume",  "drain",      "undrain",
                                         "nobody", "logout",  "cron-pause", "cron-run"};
    char path[64], fields[300] = "", body[200];
    unsigned way = hostile_chance(b->a, 4);
    const char *chosen = action[hostile_chance(b->a, sizeof(action) / sizeof(action[0]))];
    (void)snprintf(path, sizeof(path), "/admin/do/%s", chosen);
    if (hostile_chance(b->a, 8) == 0)
        (void)snprintf(path, sizeof(path), "/admin/logout");
    if (way == 0)
        (void)snprintf(fields, sizeof(fields), "Cookie: waymark_admin=%016x%016x%016x%016x\r\n",
                       hostile_chance(b->a, 1u << 31), 1, 2, 3);
    else if (way < 3)
        (void)snprintf(fields, sizeof(fields), "Cookie: a=b; %s\r\n%s", b->a->s->cookie,
                       way == 1 ? "Origin: http://evil.example\r\n" : "");
    (void)snprintf(body, sizeof(body), "csrf=%016x%016x&id=1&queue=fixture&name=x&cause=y&back=%s",
                   hostile_chance(b->a, 1u << 31), 7, "//evil.example");
    post(b, HOSTILE_CROWD, path, fields, body);
    judge(b, way == 3 ? "303 404" : "403 404", path);
    if (strstr(b->answer, "evil.example") != NULL)
        hostile_problem(b->a->s, "led elsewhere: %.500s", b->answer);
}

static void huge_form(struct blow *b)
{
    size_t n = 1000 + hostile_chance(b->a, 900000);
    if (!begin(b, HOSTILE_ADMIN, HOSTILE_CROWD))
        return;
    (void)hostile_say(
        b->fd,
        "POST /admin/do/pause HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: %s\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n",
        b->a->s->cookie, n);
    fill(b->fd, n, "&=%+a\n"[hostile_chance(b->a, 6)]);
    finish(b, 2000, "400 403 413", "a huge form");
}

/* ---- half of it ---------------------------------------------------------------------------- */

static void abort_one(struct blow *b)
{
    static const char *const text[] = {
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHo",
        "POST /admin/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsecret=",
        "POST /admin/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsec",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    };
    static const char *const page[] = {"",       "/jobs",     "/dead",     "/lanes",
                                       "/audit", "/database", "/athletes", "/live/"};
    if (!begin(b, any_listener(b->a), HOSTILE_CROWD))
        return;
    if (hostile_chance(b->a, 2) == 0)
        (void)hostile_say(b->fd, "GET /admin%s HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n",
                          page[hostile_chance(b->a, 8)], b->a->s->cookie);
    else
        (void)hostile_say(b->fd, "%s", text[hostile_chance(b->a, 6)]);
    it_pause_ms(hostile_chance(b->a, 30));
    atomic_fetch_add(&b->a->s->requests, 1);
    if (hostile_chance(b->a, 2) == 0)
        hostile_reset(b->fd);
    else
        hostile_close(b->fd);
}

void *hostile_many_sorts(void *attacker)
{
    static const struct {
        const char *name;
        void (*fn)(struct blow *b);
    } sort[] = {
        {"corpus", corpus},       {"smuggling", smuggle},  {"pipelining", pipeline},
        {"oversize", oversize},   {"chunks", chunks},      {"paths", paths},
        {"methods", methods},     {"guessing", guess},     {"forging", forge},
        {"huge form", huge_form}, {"aborting", abort_one},
    };
    struct blow *b = malloc(sizeof(*b));
    if (b == NULL)
        abort();
    b->a = attacker;
    while (!atomic_load(&b->a->s->over)) {
        unsigned k = hostile_chance(b->a, sizeof(sort) / sizeof(sort[0]));
        b->name = sort[k].name;
        sort[k].fn(b);
    }
    free(b);
    return NULL;
}
