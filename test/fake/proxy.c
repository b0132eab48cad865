#include "fake/proxy_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void proxy__die(const char *what)
{
    fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
    abort();
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool proxy__concerns(const char *app, const struct conn *c)
{
    return app[0] == '\0' || (c->named && strcmp(app, c->app) == 0);
}

/* ---- what holds for a connection ------------------------------------------------------------- */

static bool any(const struct proxy *p, const struct conn *c, int way,
                bool (*is)(const struct setting *s, int way))
{
    for (unsigned i = 0; i < p->nsettings; i++)
        if (proxy__concerns(p->setting[i].app, c) && is(&p->setting[i], way))
            return true;
    return false;
}

static bool is_held(const struct setting *s, int way)
{
    return s->hold[way];
}

static bool is_swallowed(const struct setting *s, int way)
{
    return s->swallow[way];
}

static bool is_refused(const struct setting *s, int way)
{
    (void)way;
    return s->refuse;
}

static bool is_deafened(const struct setting *s, int way)
{
    return s->deafen && way == DOWN;
}

static int64_t delay_of(const struct proxy *p, const struct conn *c, int way)
{
    int64_t most = 0;
    for (unsigned i = 0; i < p->nsettings; i++)
        if (proxy__concerns(p->setting[i].app, c) && p->setting[i].delay_ms[way] > most)
            most = p->setting[i].delay_ms[way];
    return most;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* A reset, as from a machine that knows nothing of the connection. */
static void reset(int fd)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    (void)close(fd);
}

void proxy__kill_conn(struct conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    for (int way = UP; way <= DOWN; way++) {
        reset(c->side[way].fd);
        for (struct chunk *k = c->side[way].head, *next; k != NULL; k = next) {
            next = k->next;
            free(k);
        }
    }
}

static void bury_dead(struct proxy *p)
{
    for (struct conn **at = &p->conns; *at != NULL;) {
        struct conn *c = *at;
        if (c->dead) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    }
}

static void accept_one(struct proxy *p)
{
    int program = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;
    if (program < 0)
        return;
    p->asked++;
    (void)setsockopt(program, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, p->socket_path, sizeof(to.sun_path));
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0)
        proxy__die("socket");
    if (connect(server, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        (void)close(server); /* the server is down */
        reset(program);
        return;
    }
    (void)fcntl(server, F_SETFL, O_NONBLOCK);
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        proxy__die("calloc");
    c->side[UP].fd = program;
    c->side[DOWN].fd = server;
    c->next = p->conns;
    p->conns = c;
}

static uint32_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* Startup packet: length, protocol 3.0, then pairs of strings. Requests for encryption come before
 * it and are packets of 8 bytes; a cancel request has no name. It comes in one piece, being small.
 */
static void read_name(struct conn *c, const char *data, size_t n)
{
    if (n < 8 || be32(data + 4) != 196608)
        return;
    c->named = true;
    for (size_t at = 8; at < n && data[at] != '\0';) {
        const char *key = data + at;
        at += strnlen(key, n - at) + 1;
        const char *value = data + at;
        if (at >= n)
            return;
        at += strnlen(value, n - at) + 1;
        if (strcmp(key, "application_name") == 0)
            snprintf(c->app, sizeof(c->app), "%s", value);
    }
}

/* ---- triggers -------------------------------------------------------------------------------- */

/* Where, in what has just come up, the text ends; 0: nowhere. */
static size_t find_text(struct conn *c, const char *text, const char *data, size_t n)
{
    char both[NAME_MAX_ + CHUNK];
    size_t len = strlen(text), found = 0;
    memcpy(both, c->recent, c->nrecent);
    memcpy(both + c->nrecent, data, n);
    const char *hit = memmem(both, c->nrecent + n, text, len);
    if (hit != NULL)
        found = (size_t)(hit - both) + len - c->nrecent;
    size_t all = c->nrecent + n, keep = all < len - 1 ? all : len - 1;
    memcpy(c->recent, both + all - keep, keep);
    c->nrecent = hit != NULL ? 0 : keep;
    return found;
}

static void fire(struct proxy *p, struct conn *c)
{
    p->trigger.armed = false;
    p->hits++;
    c->mute = true;
    c->cut_on_answer = p->trigger.action == PROXY_LOSE_ANSWER;
    c->half_open = p->trigger.action == PROXY_HALF_OPEN;
    c->cut_when_empty = !c->cut_on_answer && !c->half_open;
}

/* How much of what came up goes on. */
static size_t pull_trigger(struct proxy *p, struct conn *c, const char *data, size_t n)
{
    struct trigger *t = &p->trigger;
    c->up_bytes += n;
    if (!t->armed || !proxy__concerns(t->app, c) || c->mute)
        return n;
    if (t->bytes > 0) {
        if (c->up_bytes < t->bytes)
            return n;
        fire(p, c);
        return n - (c->up_bytes - t->bytes);
    }
    size_t len = strlen(t->text), end = find_text(c, t->text, data, n);
    if (end == 0 || ++t->seen < t->nth)
        return n;
    fire(p, c);
    bool before = t->action == PROXY_CUT_BEFORE || t->action == PROXY_HALF_OPEN;
    return before ? (end > len ? end - len : 0) : n;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void enqueue(struct side *s, const char *data, size_t n, int64_t due_ms)
{
    struct chunk *k = malloc(sizeof(*k) + n);
    if (k == NULL)
        proxy__die("malloc");
    *k = (struct chunk){.due_ms = due_ms, .n = n};
    memcpy(k->data, data, n);
    if (s->tail != NULL && s->head != NULL)
        s->tail->next = k;
    else
        s->head = k;
    s->tail = k;
    s->queued += n;
}

static void read_side(struct proxy *p, struct conn *c, int way)
{
    struct side *s = &c->side[way];
    char data[CHUNK], kept[CHUNK + sizeof(c->frames.head)];
    ssize_t got = read(s->fd, data, sizeof(data));
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        s->eof = true;
        if (got < 0)
            proxy__kill_conn(c);
        return;
    }
    size_t n = (size_t)got;
    if (way == DOWN && c->cut_on_answer) {
        proxy__kill_conn(c);
        return;
    }
    if (way == UP) {
        bool fresh = !c->named;
        if (fresh)
            read_name(c, data, n);
        if (fresh && c->named && any(p, c, way, is_refused)) {
            proxy__kill_conn(c);
            return;
        }
        if (c->cut_when_empty)
            return;
        n = c->half_open ? 0 : pull_trigger(p, c, data, n);
    }
    if (way == DOWN)
        n = pg_frames_without(&c->frames, any(p, c, way, is_deafened) ? 'A' : '\0', data, n, kept);
    if (any(p, c, way, is_swallowed) || (way == DOWN && c->mute))
        return;
    if (n > 0)
        enqueue(s, way == DOWN ? kept : data, n, now_ms() + delay_of(p, c, way));
}

static void write_side(struct proxy *p, struct conn *c, int way)
{
    struct side *s = &c->side[way];
    int to = c->side[!way].fd;
    while (s->head != NULL && s->head->due_ms <= now_ms() && !any(p, c, way, is_held)) {
        struct chunk *k = s->head;
        ssize_t put = send(to, k->data + k->sent, k->n - k->sent, MSG_NOSIGNAL);
        if (put < 0) {
            if (errno != EAGAIN && errno != EINTR)
                proxy__kill_conn(c);
            return;
        }
        k->sent += (size_t)put;
        s->queued -= (size_t)put;
        if (k->sent == k->n) {
            s->head = k->next;
            free(k);
        }
    }
    if (s->head != NULL)
        return;
    s->tail = NULL;
    if (way == UP && c->cut_when_empty) {
        proxy__kill_conn(c);
    } else if (s->eof && !s->shut && !c->half_open) {
        s->shut = true;
        (void)shutdown(to, SHUT_WR);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

struct watched {
    struct pollfd fd[2 * CONNS_MAX + 2];
    struct conn *conn[2 * CONNS_MAX + 2];
    nfds_t n;
    int timeout_ms;
};

static void watch_conn(const struct proxy *p, struct watched *w, struct conn *c)
{
    for (int way = UP; way <= DOWN; way++) {
        const struct side *in = &c->side[way], *out = &c->side[!way];
        short events = 0;
        if (!in->eof && in->queued < QUEUE_MAX)
            events |= POLLIN;
        if (out->head != NULL && !any(p, c, !way, is_held)) {
            int64_t left = out->head->due_ms - now_ms();
            if (left <= 0)
                events |= POLLOUT;
            else if (w->timeout_ms < 0 || left < w->timeout_ms)
                w->timeout_ms = (int)left;
        }
        w->fd[w->n] = (struct pollfd){.fd = events != 0 ? in->fd : -1, .events = events};
        w->conn[w->n++] = c;
    }
}

static void serve_conns(struct proxy *p, struct watched *w)
{
    for (nfds_t i = 2; i < w->n; i += 2) {
        struct conn *c = w->conn[i];
        for (int way = UP; way <= DOWN && !c->dead; way++)
            if (w->fd[i + (nfds_t)way].revents & (POLLIN | POLLHUP | POLLERR))
                read_side(p, c, way);
        for (int way = UP; way <= DOWN && !c->dead; way++)
            write_side(p, c, way);
        if (c->side[UP].shut && c->side[DOWN].shut)
            proxy__kill_conn(c);
    }
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    static _Thread_local struct watched w;
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        bury_dead(p);
        w.n = 0;
        w.timeout_ms = -1;
        w.fd[w.n++] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
        w.fd[w.n++] = (struct pollfd){.fd = p->listener, .events = POLLIN};
        unsigned n = 0;
        for (struct conn *c = p->conns; c != NULL && n < CONNS_MAX; c = c->next, n++)
            watch_conn(p, &w, c);
        (void)pthread_mutex_unlock(&p->lock);
        (void)poll(w.fd, w.n, w.timeout_ms);
        (void)pthread_mutex_lock(&p->lock);
        char bytes[64];
        while (w.fd[0].revents != 0 && read(p->wake[0], bytes, sizeof(bytes)) == sizeof(bytes))
            ;
        serve_conns(p, &w);
        if (w.fd[1].revents != 0)
            accept_one(p);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void lead_to(struct proxy *p, const char *socket_dir)
{
    (void)snprintf(p->socket_path, sizeof(p->socket_path), "%s/.s.PGSQL.5432", socket_dir);
}

void proxy_redirect(struct proxy *p, const char *socket_dir)
{
    proxy__lock(p);
    lead_to(p, socket_dir);
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        proxy__kill_conn(c);
    proxy__unlock(p);
}

/* ---- start and end --------------------------------------------------------------------------- */

struct proxy *proxy_start(const char *socket_dir)
{
    struct proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    if (p == NULL)
        proxy__die("calloc");
    lead_to(p, socket_dir);
    (void)pthread_mutex_init(&p->lock, NULL);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listener < 0 || bind(p->listener, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(p->listener, CONNS_MAX) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&at, &len) != 0)
        proxy__die("listening");
    p->port = ntohs(at.sin_port);
    if (pipe2(p->wake, O_CLOEXEC | O_NONBLOCK) != 0)
        proxy__die("pipe");
    if (pthread_create(&p->thread, NULL, run, p) != 0)
        proxy__die("thread");
    return p;
}

struct proxy *proxy_free(struct proxy *p)
{
    if (p == NULL)
        return NULL;
    proxy__lock(p);
    p->stop = true;
    proxy__unlock(p);
    (void)pthread_join(p->thread, NULL);
    for (struct conn *c = p->conns; c != NULL; c = c->next)
        proxy__kill_conn(c);
    bury_dead(p);
    (void)close(p->listener);
    (void)close(p->wake[0]);
    (void)close(p->wake[1]);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

char *proxy_url(const struct proxy *p, const char *dbname, const char *app, char *out, size_t size)
{
    int n = snprintf(out, size,
                     "host=127.0.0.1 port=%d user=postgres dbname=%s sslmode=disable "
                     "gssencmode=disable application_name=%s",
                     p->port, dbname, app);
    if (n < 0 || (size_t)n >= size)
        proxy__die("the URL is too long");
    return out;
}
