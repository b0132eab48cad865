/* Decompression, ours rather than curl's: curl takes a compressed body that was cut for a whole
 * one. */
#include "fetch/internal.h"

static enum fetch__piece step(struct fetch_req *r, struct fetch__gunzip *g)
{
    char piece[16 * 1024];
    if (g->ended) { /* one more member */
        CHECK(inflateReset(&g->z) == Z_OK);
        g->ended = false;
    }
    g->z.next_out = (unsigned char *)piece;
    g->z.avail_out = sizeof(piece);
    int rc = inflate(&g->z, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
        return FETCH__BAD;
    }
    g->ended = rc == Z_STREAM_END;
    struct span out = {piece, sizeof(piece) - g->z.avail_out};
    return fetch__body_add(r, out) == 0 ? FETCH__TAKEN : FETCH__OVER;
}

enum fetch__piece fetch__gunzip(struct fetch_req *r, struct fetch__gunzip *g, struct span in)
{
    enum fetch__piece result = FETCH__TAKEN;
    if (!g->begun) {
        CHECK(inflateInit2(&g->z, 15 + 16) == Z_OK); /* the largest window, gzip's frame */
        g->begun = true;
    }
    g->z.next_in = (Bytef *)(uintptr_t)in.p;
    g->z.avail_in = (unsigned)in.n;
    /* A full piece may leave more inside. */
    while (result == FETCH__TAKEN &&
           (g->z.avail_in > 0 || (g->z.avail_out == 0 && !g->ended && in.n > 0))) {
        result = step(r, g);
    }
    return result;
}

bool fetch__gunzip_whole(const struct fetch__gunzip *g)
{
    return !g->begun || g->ended;
}

void fetch__gunzip_done(struct fetch__gunzip *g)
{
    if (g->begun) {
        inflateEnd(&g->z);
    }
}
