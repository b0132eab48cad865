/* For the tests of base/ and loop/. */
#pragma once

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

/* Whether fn(ctx) ends the process by a failed CHECK; tried in a child. */
static inline bool dies(void (*fn)(void *ctx), void *ctx)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0) {
            dup2(null, STDERR_FILENO);
        }
        fn(ctx);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* In double precision, unlike assert_float_equal. */
#define assert_near(a, b, most)                                                                    \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (most))) {                                                          \
            fail_msg("%s is %.12g, not %.12g", #a, a_, b_);                                        \
        }                                                                                          \
    } while (0)

/* A file with this content in a folder of its own; the path is static. */
static inline const char *temp_file(const char *content, size_t n)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/waymark-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, n), (ssize_t)n);
    close(fd);
    return path;
}
