#include <signal.h>
#include <unistd.h>

#include "loop/internal.h"

enum { WATCHED = 3 };
static const int watched[WATCHED] = {SIGINT, SIGTERM, SIGHUP};

struct loop_signals {
    uv_signal_t handle[WATCHED];
    int open; /* handles; freed with the last one */
    bool stopping;
    void (*on_stop)(void *ctx, int signum);
    void (*on_hup)(void *ctx);
    void *ctx;
};

/* Not through the loop, which may be what hangs. */
static void exit_now(int signum)
{
    _exit(128 + signum);
}

static void set_handler(int signum, void (*fn)(int))
{
    struct sigaction action = {.sa_handler = fn};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(signum, &action, NULL) == 0);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop_signals *s = handle->data;
    if (signum == SIGHUP) {
        s->on_hup(s->ctx);
        return;
    }
    if (s->stopping) {
        exit_now(signum); /* it came in between the first one and the handler below */
    }
    s->stopping = true;
    for (int i = 0; i < WATCHED; i++) {
        if (watched[i] != SIGHUP) {
            uv_signal_stop(&s->handle[i]);
            set_handler(watched[i], exit_now);
        }
    }
    s->on_stop(s->ctx, signum);
}

struct loop_signals *loop_signals_open(struct loop *l, void (*on_stop)(void *ctx, int signum),
                                       void (*on_hup)(void *ctx), void *ctx)
{
    loop__check_thread(l);
    set_handler(SIGPIPE, SIG_IGN);
    struct loop_signals *s = mem_alloc(sizeof(*s));
    s->on_stop = on_stop;
    s->on_hup = on_hup;
    s->ctx = ctx;
    for (int i = 0; i < WATCHED; i++) {
        uv_signal_t *handle = &s->handle[i];
        CHECK(uv_signal_init(loop_uv(l), handle) == 0);
        handle->data = s;
        s->open++;
        if (watched[i] != SIGHUP || on_hup) {
            CHECK(uv_signal_start(handle, on_signal, watched[i]) == 0);
        }
        uv_unref((uv_handle_t *)handle);
    }
    return s;
}

static void handle_closed(uv_handle_t *handle)
{
    struct loop_signals *s = handle->data;
    if (--s->open == 0) {
        mem_free(s);
    }
}

void loop_signals_close(struct loop_signals *s)
{
    if (!s) {
        return;
    }
    if (s->stopping) {
        set_handler(SIGINT, SIG_DFL);
        set_handler(SIGTERM, SIG_DFL);
    }
    for (int i = 0; i < WATCHED; i++) {
        uv_close((uv_handle_t *)&s->handle[i], handle_closed);
    }
}
