/* hook: one who pushes events to the binary, as Strava does: over connections that stay open, as
 * many at once as wanted. Threads never fail(): they count. */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "it/http.h"

#define HOOK_PATH "/webhook/0123456789abcdef0123456789abcdef"
#define HOOK_ENV                                                                                   \
    "WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_LISTEN=127.0.0.1:0",                         \
        "WAYMARK_ADMIN_SECRET=of-no-interest", "STRAVA_CLIENT_ID=1001",                            \
        "STRAVA_CLIENT_SECRET=sim-secret-1001", "WAYMARK_STRAVA_SUBSCRIPTION=off",                 \
        "STRAVA_CALLBACK_URL=http://127.0.0.1:8080" HOOK_PATH

enum { HOOK_ANSWER = 4096 };

/* An event of an activity, as Strava words it. */
static inline int hook_event(char *out, size_t size, const char *aspect, long long object,
                             long long owner)
{
    return snprintf(out, size,
                    "{\"aspect_type\":\"%s\",\"event_time\":1782864000,\"object_id\":%lld,"
                    "\"object_type\":\"activity\",\"owner_id\":%lld,\"subscription_id\":120475,"
                    "\"updates\":{}}",
                    aspect, object, owner);
}

static inline bool hook__all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Status of the answer, 0 if none came; the connection stays open when it can. type NULL: none. */
static inline int hook_say(int fd, const char *type, const char *body, size_t n, int64_t limit_ms)
{
    char head[1024], answer[HOOK_ANSWER];
    int status = 0;
    int len = snprintf(head, sizeof(head),
                       "POST " HOOK_PATH " HTTP/1.1\r\nHost: hook\r\n%s%s%sContent-Length: %zu"
                       "\r\n\r\n",
                       type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", n);
    /* It may refuse before it has read all. In one write where it fits: two small ones would wait
     * for each other's acknowledgement. */
    if ((size_t)len + n < sizeof(head)) {
        memcpy(head + len, body, n);
        (void)hook__all(fd, head, (size_t)len + n);
    } else {
        (void)(hook__all(fd, head, (size_t)len) && hook__all(fd, body, n));
    }
    for (size_t got = 0; got < sizeof(answer) - 1;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)limit_ms) <= 0)
            return 0;
        ssize_t r = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);
        if (r <= 0)
            return 0;
        got += (size_t)r;
        answer[got] = '\0';
        if (strstr(answer, "\r\n\r\n"))
            break; /* of the body nobody wants to know: after an error the connection is dropped */
    }
    return sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

/* On a connection of its own. */
static inline int hook_post(const char *address, const char *type, const char *body, size_t n)
{
    int fd = http_connect(address);
    assert_true(fd >= 0);
    int status = hook_say(fd, type, body, n, 20000);
    close(fd);
    return status;
}

static inline int hook_push(const char *address, const char *aspect, long long object,
                            long long owner)
{
    char body[512];
    int n = hook_event(body, sizeof(body), aspect, object, owner);
    return hook_post(address, "application/json", body, (size_t)n);
}

/* ---- many at once ---------------------------------------------------------------------------- */

/* Pushes creates of ids first, first + 1, ... one after the other. */
struct hook_sender {
    const char *address;
    long long first, owner;
    long many;         /* at most */
    bool again;        /* until each is acknowledged, as Strava does, but at once */
    atomic_bool *stop; /* NULL: no matter */
    unsigned char *ok; /* many of them: which were acknowledged */
    long acked, refused, broken;
    int64_t worst_ms;
    pthread_t id;
};

static inline void *hook__send(void *arg)
{
    struct hook_sender *s = arg;
    int fd = -1;
    for (long i = 0; i < s->many && !(s->stop && *s->stop);) {
        char body[512];
        int n = hook_event(body, sizeof(body), "create", s->first + i, s->owner);
        fd = fd >= 0 ? fd : http_connect(s->address);
        int64_t begun = it_now_ms();
        int status = fd >= 0 ? hook_say(fd, "application/json", body, (size_t)n, 20000) : 0;
        int64_t ms = it_now_ms() - begun;
        s->worst_ms = ms > s->worst_ms ? ms : s->worst_ms;
        s->acked += status == 200;
        s->refused += status == 503;
        s->broken += status != 200 && status != 503;
        s->ok[i] |= status == 200;
        if (status != 200 && fd >= 0) {
            close(fd);
            fd = -1;
        }
        if (status != 200)
            it_pause_ms(2);
        i += status == 200 || !s->again;
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static inline void hook_start(struct hook_sender *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        s[i].ok = calloc((size_t)s[i].many, 1);
        assert_non_null(s[i].ok);
        assert_int_equal(pthread_create(&s[i].id, NULL, hook__send, &s[i]), 0);
    }
}

static inline void hook_join(struct hook_sender *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_join(s[i].id, NULL), 0);
}

/* Every one that was acknowledged is in the table. How many these are. */
static inline long hook_all_kept(struct it_db *db, struct hook_sender *s, unsigned n)
{
    long acked = 0;
    for (unsigned i = 0; i < n; i++) {
        PGresult *res = it_query(db,
                                 "SELECT DISTINCT object_id FROM strava.event WHERE object_id >="
                                 " %lld AND object_id < %lld",
                                 s[i].first, s[i].first + s[i].many);
        for (int row = 0; row < PQntuples(res); row++)
            s[i].ok[strtoll(PQgetvalue(res, row, 0), NULL, 10) - s[i].first] |= 2;
        for (long k = 0; k < s[i].many; k++) {
            if (s[i].ok[k] == 1)
                fail_msg("event %lld was acknowledged and is lost", s[i].first + k);
            acked += s[i].ok[k] & 1;
        }
        free(s[i].ok);
    }
    return acked;
}
