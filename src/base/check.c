#include <unistd.h>

#include "base/internal.h"

const char *base__short_file(const char *file)
{
    const char *cut[2] = {file, file};
    for (const char *p = file; *p; p++) {
        if (*p == '/') {
            cut[0] = cut[1];
            cut[1] = p + 1;
        }
    }
    return cut[0];
}

void check_failed(const char *cond, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "waymark: programming error: %s (%s:%d)\n", cond,
                     base__short_file(file), line);
    /* Not the log: the failure may be in it, or in a worker thread, which must not touch it. */
    if (n > 0) {
        size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
        (void)!write(STDERR_FILENO, text, len);
    }
    abort();
}
