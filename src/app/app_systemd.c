/* What systemd wants to hear, and the sockets it opens. The protocol is a datagram and three
 * variables, sd_notify(3) and sd_listen_fds(3); its library would bring four others along. */
#include "app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, FDS_MAX = 64 };

void app_notify(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(to.sun_path) || !strchr("/@", path[0])) {
        return;
    }
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') {
        to.sun_path[0] = '\0'; /* the abstract namespace */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd < 0 ||
        sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&to, size) < 0) {
        log_debug("systemd could not be told", L_S("error", strerror(errno)));
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void on_watchdog(void *ctx)
{
    (void)ctx;
    app_notify("WATCHDOG=1");
}

void app_watchdog_start(struct app *app)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t every_us, who = getpid();
    if (!us || span_to_i64(span_of(us), 1000, INT64_MAX, &every_us) != 0 ||
        (pid && (span_to_i64(span_of(pid), 1, INT32_MAX, &who) != 0 || who != getpid()))) {
        return;
    }
    /* Twice in the time, so that one that comes late does no harm. */
    app->watchdog =
        ticker_open(app->loop, every_us / 2000 > 0 ? every_us / 2000 : 1, true, on_watchdog, NULL);
}

size_t app_systemd_sockets(const char *name, int *fds, size_t max)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    int64_t n, who;
    size_t found = 0;
    if (!pid || !count || !names || span_to_i64(span_of(pid), 1, INT32_MAX, &who) != 0 ||
        who != getpid() || span_to_i64(span_of(count), 0, FDS_MAX, &n) != 0) {
        return 0;
    }
    for (int i = 0; i < (int)n; i++) {
        size_t len = strcspn(names, ":");
        if (found < max && span_is((struct span){names, len}, name)) {
            fds[found] = FIRST_FD + i;
            (void)fcntl(fds[found], F_SETFD, FD_CLOEXEC);
            found++;
        }
        names += len + (names[len] == ':');
    }
    return found;
}
