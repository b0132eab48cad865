/* For the preloaded libraries: a number in a file that the test rewrites while they run. Only plain
 * system calls: they may be called at any moment, before the C library is ready too. */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The number in the file that the environment variable names; 0 without one. */
static inline int64_t shim_number(const char *variable)
{
    const char *path = getenv(variable);
    char text[32];
    if (path == NULL)
        return 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    ssize_t n = syscall(SYS_read, fd, text, sizeof(text) - 1);
    (void)syscall(SYS_close, fd);
    text[n > 0 ? n : 0] = '\0';
    return strtoll(text, NULL, 10);
}
