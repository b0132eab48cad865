/* The messages in what a server sends: a byte of type, four of length, the rest. Told apart however
 * they were cut into reads, so that one type can be left out. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pg_frames {
    char head[5];
    size_t nhead;  /* of these have come */
    uint32_t left; /* of the body */
};

/* Copies n bytes to out, which has room for n + 5, but for messages of that type (0: none). Returns
 * how many are there. */
static inline size_t pg_frames_without(struct pg_frames *f, char type, const char *in, size_t n,
                                       char *out)
{
    size_t kept = 0;
    for (size_t at = 0; at < n;) {
        if (f->nhead < sizeof(f->head)) {
            f->head[f->nhead++] = in[at++];
            if (f->nhead < sizeof(f->head))
                continue;
            const unsigned char *u = (const unsigned char *)f->head;
            uint32_t len = (uint32_t)u[1] << 24 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 8 | u[4];
            f->left = len >= 4 ? len - 4 : 0;
            if (f->head[0] != type) {
                memcpy(out + kept, f->head, sizeof(f->head));
                kept += sizeof(f->head);
            }
        }
        size_t some = n - at < f->left ? n - at : f->left;
        if (f->head[0] != type) {
            memcpy(out + kept, in + at, some);
            kept += some;
        }
        at += some;
        f->left -= (uint32_t)some;
        if (f->left == 0)
            f->nhead = 0;
    }
    return kept;
}
