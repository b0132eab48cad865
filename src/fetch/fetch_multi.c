/* curl's multi interface on the loop: a poll handle a socket, one timer. curl is entered from their
 * callbacks, from the start and from the removal of a transfer, never from its own callbacks. */
#include "fetch/internal.h"

struct fetch__sock {
    uv_poll_t poll;
    struct fetch *f;
    curl_socket_t fd;
};

static struct fetch__sock *sock_of(uv_handle_t *h)
{
    return container_of((uv_poll_t *)(void *)h, struct fetch__sock, poll);
}

static void collect(struct fetch *f)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(f->multi, &left))) {
        struct fetch_req *r = NULL;
        CURLcode code = msg->data.result; /* msg is gone once the transfer is removed */
        CHECK(msg->msg == CURLMSG_DONE);
        CHECK(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r) == CURLE_OK && r);
        fetch__ended(r, code);
    }
    fetch__pump(f);
}

static void act(struct fetch *f, curl_socket_t fd, int flags)
{
    int running;
    CHECK(curl_multi_socket_action(f->multi, fd, flags, &running) == CURLM_OK);
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct fetch__sock *s = container_of(h, struct fetch__sock, poll);
    struct fetch *f = s->f;
    int flags = 0;
    /* On an error libuv stops the handle and does not say what else there is. Told of an error,
     * curl would not read what came before a reset: without flags it looks for itself, reads to the
     * end and closes. */
    if (status == 0) {
        flags = ((events & UV_READABLE) ? CURL_CSELECT_IN : 0) |
                ((events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0);
    }
    act(f, s->fd, flags);
    collect(f);
}

static void sock_closed(uv_handle_t *h)
{
    struct fetch__sock *s = sock_of(h);
    struct fetch *f = s->f;
    mem_free(s);
    fetch__handle_closed(f);
}

static struct fetch__sock *sock_open(struct fetch *f, curl_socket_t fd)
{
    struct fetch__sock *s = mem_alloc(sizeof(*s));
    s->f = f;
    s->fd = fd;
    CHECK(uv_poll_init_socket(loop_uv(f->loop), &s->poll, fd) == 0);
    f->handles++;
    CHECK(curl_multi_assign(f->multi, fd, s) == CURLM_OK);
    return s;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *client, void *sock)
{
    struct fetch *f = client;
    struct fetch__sock *s = sock;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        /* The descriptor is closed when we return, and its number may come back at once: closing
         * the handle takes it out of epoll now, its memory goes later. */
        if (s) {
            CHECK(curl_multi_assign(f->multi, fd, NULL) == CURLM_OK);
            uv_close((uv_handle_t *)&s->poll, sock_closed);
        }
        return 0;
    }
    if (!s) {
        s = sock_open(f, fd);
    }
    int events = what & CURL_POLL_IN ? UV_READABLE : 0;
    events |= what & CURL_POLL_OUT ? UV_WRITABLE : 0;
    CHECK(uv_poll_start(&s->poll, events, on_poll) == 0);
    return 0;
}

/* ---- the timer ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t)
{
    struct fetch *f = container_of(t, struct fetch, timer);
    act(f, CURL_SOCKET_TIMEOUT, 0);
    collect(f);
}

/* Called inside curl: only sets the timer. Not to 0, which this version of libuv would fire in the
 * same pass over its timers, for ever if curl asks so again. */
static int set_timer(CURLM *multi, long ms, void *client)
{
    struct fetch *f = client;
    (void)multi;
    if (ms < 0) {
        CHECK(uv_timer_stop(&f->timer) == 0);
    } else {
        CHECK(uv_timer_start(&f->timer, on_timer, ms > 0 ? (uint64_t)ms : 1, 0) == 0);
    }
    return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

void fetch__multi_open(struct fetch *f)
{
    CHECK((f->multi = curl_multi_init()) != NULL);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK);
    CHECK(curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)f->conf.max_total) == CURLM_OK);
}

void fetch__multi_close(struct fetch *f)
{
    /* Calls on_socket and set_timer: the handles are still there. */
    CHECK(curl_multi_cleanup(f->multi) == CURLM_OK);
    f->multi = NULL;
}
