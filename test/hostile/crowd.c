/* Many connections at once: those that dawdle, those that only take up room, and those that watch
 * pages. */
#include "hostile/hostile.h"

#include <sys/socket.h>

enum {
    SLOW = 24,          /* on each listener, at most */
    FLOOD_ADMIN = 100,  /* over what one address may have, 64 */
    FLOOD_PUBLIC = 120, /* from each of four addresses: over what there may be at all, 200 */
    WATCHERS = 20,
    HEAD_CUT_MS = 25000, /* a head must be there after 10 s; a busy machine, and sanitizers */
};

/* ---- one byte a second --------------------------------------------------------------------- */

enum way { HEAD, BODY, DEAF, HALF, WAYS };
struct dawdler {
    int fd;
    enum way way;
    int64_t since_ms, until_ms;
};

static void start_slow(struct attacker *a, struct dawdler *d)
{
    const int small = 2048;
    int listener = hostile_chance(a, 2) == 0 ? HOSTILE_PUBLIC : HOSTILE_ADMIN;
    *d = (struct dawdler){.fd = hostile_connect(a->s, listener, HOSTILE_SLOW),
                          .way = (enum way)hostile_chance(a, WAYS),
                          .since_ms = it_now_ms()};
    d->until_ms = d->since_ms + 2000 + hostile_chance(a, 40000);
    if (d->fd < 0)
        return;
    switch (d->way) {
    case HEAD:
        (void)hostile_say(d->fd, "GET /healthz HTTP/1.1\r\nX: ");
        break;
    case BODY:
        (void)hostile_say(d->fd, "POST /admin/login HTTP/1.1\r\nHost: a\r\nContent-Length: "
                                 "500000\r\n\r\n");
        break;
    case DEAF:
        (void)setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        for (unsigned i = 0; i < 20; i++)
            (void)hostile_say(d->fd, "GET /admin/jobs HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n",
                              a->s->cookie);
        break;
    default:
        (void)hostile_say(d->fd, "GET /readyz HTTP/1.1\r\nHost: a\r\n%s",
                          hostile_chance(a, 2) == 0 ? "\r\n" : "");
        (void)shutdown(d->fd, SHUT_WR);
    }
}

static void go_on(struct attacker *a, struct dawdler *d, int64_t now)
{
    bool gone = d->fd < 0 || now > d->until_ms;
    if (!gone && d->way != DEAF && hostile_is_cut(d->fd)) {
        atomic_fetch_add(&a->s->cut_slow, 1);
        gone = true;
    }
    if (!gone && (d->way == HEAD || d->way == BODY)) {
        gone = !hostile_send(d->fd, "a", 1);
        if (!gone && now - d->since_ms > HEAD_CUT_MS)
            hostile_problem(a->s, "one byte a second goes on for %lld ms",
                            (long long)(now - d->since_ms));
    }
    if (gone) {
        hostile_close(d->fd);
        start_slow(a, d);
    }
}

void *hostile_slow(void *attacker)
{
    struct attacker *a = attacker;
    struct dawdler one[SLOW];
    for (unsigned i = 0; i < SLOW; i++)
        start_slow(a, &one[i]);
    while (!atomic_load(&a->s->over)) {
        it_pause_ms(1000);
        for (unsigned i = 0; i < SLOW; i++)
            go_on(a, &one[i], it_now_ms());
    }
    for (unsigned i = 0; i < SLOW; i++)
        hostile_close(one[i].fd);
    return NULL;
}

/* ---- floods -------------------------------------------------------------------------------- */

/* What is over the limit is told so, or closed; nobody is left waiting. */
static void look_at_flood(struct attacker *a, const int *fd, unsigned n)
{
    char answer[2048];
    for (unsigned i = 0; i < n; i += 1 + n / 8) {
        if (fd[i] < 0 || !hostile_say(fd[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
            continue;
        (void)hostile_read_answer(fd[i], answer, sizeof(answer), 3000);
        int status = hostile_status(answer);
        if (answer[0] != '\0' && status != 200 && status != 303 && status != 503 && status != 429)
            hostile_problem(a->s, "in a flood: %.500s", answer);
    }
}

void *hostile_flood(void *attacker)
{
    struct attacker *a = attacker;
    int fd[4 * FLOOD_PUBLIC];
    while (!atomic_load(&a->s->over)) {
        unsigned n = 0;
        if (hostile_chance(a, 2) == 0) {
            for (; n < FLOOD_ADMIN; n++)
                fd[n] = hostile_connect(a->s, HOSTILE_ADMIN, HOSTILE_CROWD);
        } else {
            for (; n < 4 * FLOOD_PUBLIC; n++) {
                char from[16];
                snprintf(from, sizeof(from), "127.0.1.%u", 1 + n % 4);
                fd[n] = hostile_connect(a->s, HOSTILE_PUBLIC, from);
            }
        }
        look_at_flood(a, fd, n);
        it_pause_ms(hostile_chance(a, 1500));
        bool reset = hostile_chance(a, 2) == 0;
        for (unsigned i = 0; i < n; i++) {
            if (reset)
                hostile_reset(fd[i]);
            else
                hostile_close(fd[i]);
        }
        it_pause_ms(hostile_chance(a, 500));
    }
    return NULL;
}

/* ---- pages that are watched ------------------------------------------------------------------ */

static int start_watching(struct attacker *a)
{
    static const char *const page[] = {"/",     "/dead",     "/lanes",  "/rates",
                                       "/cron", "/database", "/jobs/1", "/instances"};
    const int small = 2048;
    char answer[4096];
    int fd = hostile_connect(a->s, HOSTILE_ADMIN, HOSTILE_LIVE);
    bool forged = hostile_chance(a, 6) == 0;
    if (fd < 0)
        return fd;
    if (hostile_chance(a, 2) == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    (void)hostile_say(fd, "GET /admin/live%s HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n",
                      page[hostile_chance(a, 8)],
                      forged ? "waymark_admin=00112233445566778899aabbccddeeff"
                               "00112233445566778899aabbccddeeff"
                             : a->s->cookie);
    if (hostile_chance(a, 2) == 0) {
        (void)hostile_read(fd, answer, sizeof(answer), 500);
        int status = hostile_status(answer);
        if (answer[0] != '\0' && status != 200 && status != 503 && !(forged && status == 401))
            hostile_problem(a->s, "a stream: %.500s", answer);
        if (forged && strstr(answer, "event:") != NULL)
            hostile_problem(a->s, "a page for one who is not logged in: %.500s", answer);
    }
    atomic_fetch_add(&a->s->streams, 1);
    return fd;
}

/* Some read now and then, some never; all go sooner or later, and others come. */
void *hostile_watchers(void *attacker)
{
    struct attacker *a = attacker;
    int fd[WATCHERS];
    for (unsigned i = 0; i < WATCHERS; i++)
        fd[i] = -1;
    while (!atomic_load(&a->s->over)) {
        unsigned i = hostile_chance(a, WATCHERS);
        if (fd[i] >= 0 && i % 2 == 0 && !hostile_is_cut(fd[i]) && hostile_chance(a, 4) != 0) {
            it_pause_ms(20);
            continue;
        }
        if (hostile_chance(a, 2) == 0)
            hostile_reset(fd[i]);
        else
            hostile_close(fd[i]);
        fd[i] = start_watching(a);
        it_pause_ms(hostile_chance(a, 300));
    }
    for (unsigned i = 0; i < WATCHERS; i++)
        hostile_close(fd[i]);
    return NULL;
}
