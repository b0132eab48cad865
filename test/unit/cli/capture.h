/* What a function writes to standard output and standard error. */
#pragma once

#include "unit/base/helper.h"

struct capture {
    int saved[2];
    FILE *file[2];
    char text[2][65536]; /* out, err */
};

static inline void capture_begin(struct capture *c)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        c->saved[i] = dup(STDOUT_FILENO + i);
        c->file[i] = tmpfile();
        assert_non_null(c->file[i]);
        assert_true(dup2(fileno(c->file[i]), STDOUT_FILENO + i) >= 0);
    }
}

static inline void capture_end(struct capture *c)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        assert_true(dup2(c->saved[i], STDOUT_FILENO + i) >= 0);
        close(c->saved[i]);
        rewind(c->file[i]);
        size_t n = fread(c->text[i], 1, sizeof(c->text[i]) - 1, c->file[i]);
        c->text[i][n] = '\0';
        fclose(c->file[i]);
    }
}
