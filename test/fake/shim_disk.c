/* Preloaded into PostgreSQL: every fsync takes as many milliseconds longer as stand in the file
 * that SHIM_FSYNC names; and while the file that SHIM_FULL names holds 1, there is no room for
 * tables to grow, while it holds 2, none for the write-ahead log. */
#include "fake/shim.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void wait_for_disk(void)
{
    int64_t ms = shim_number("SHIM_FSYNC");
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    if (ms > 0)
        (void)syscall(SYS_nanosleep, &pause, NULL);
}

int fsync(int fd)
{
    wait_for_disk();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    wait_for_disk();
    return (int)syscall(SYS_fdatasync, fd);
}

static bool is_below(int fd, const char *folder)
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, folder) != NULL;
}

static bool no_room(int fd, off_t end)
{
    int64_t full = shim_number("SHIM_FULL");
    struct stat st;
    if (full == 0 || fstat(fd, &st) != 0 || end <= st.st_size ||
        !is_below(fd, full == 1 ? "/base/" : "/pg_wal/"))
        return false;
    errno = ENOSPC;
    return true;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return no_room(fd, at + (off_t)n) ? -1 : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    off_t end = at;
    for (int i = 0; i < n; i++)
        end += (off_t)v[i].iov_len;
    return no_room(fd, end) ? -1 : syscall(SYS_pwritev, fd, v, n, at, 0);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    if (no_room(fd, at + n))
        return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
}
