/* Compression of answers, and whether the client wants it (RFC 9110, 12.5.3). */
#include <zlib.h>

#include "httpd/internal.h"

/* Thousandths; -1 if it is malformed (12.4.2: 0, 0.5, 1, 1.000). */
static int read_quality(struct span s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int value = (s.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        value += (s.p[i] - '0') * unit;
    }
    return value <= 1000 ? value : -1;
}

/* coding;q=0.5 */
static int quality(struct span member, struct span *coding)
{
    const char *semicolon = memchr(member.p, ';', member.n);
    if (!semicolon) {
        *coding = member;
        return 1000;
    }
    *coding = span_trim((struct span){member.p, (size_t)(semicolon - member.p)});
    struct span rest =
        span_trim((struct span){semicolon + 1, member.n - (size_t)(semicolon - member.p) - 1});
    if (rest.n < 2 || (rest.p[0] | 32) != 'q' || rest.p[1] != '=')
        return -1;
    return read_quality((struct span){rest.p + 2, rest.n - 2});
}

bool httpd__accepts_gzip(const struct httpd__head *h)
{
    int gzip = -1, any = -1, identity = -1;
    for (unsigned i = 0; i < h->fields; i++) {
        if (!httpd__same(h->field[i].name, SPAN("Accept-Encoding")))
            continue;
        struct span rest = h->field[i].value, member, coding;
        while (httpd__list_next(&rest, &member)) {
            int q = quality(member, &coding);
            if (httpd__same(coding, SPAN("gzip")) || httpd__same(coding, SPAN("x-gzip")))
                gzip = q;
            else if (httpd__same(coding, SPAN("identity")))
                identity = q;
            else if (span_is(coding, "*"))
                any = q;
        }
    }
    if (gzip < 0)
        gzip = any;
    return gzip > 0 && gzip >= identity;
}

bool httpd__is_text(const char *type)
{
    static const char *const types[] = {"text/",
                                        "application/json",
                                        "application/problem+json",
                                        "application/javascript",
                                        "application/geo+json",
                                        "application/gpx+xml",
                                        "application/xml",
                                        "image/svg+xml"};
    for (size_t i = 0; type && i < COUNT_OF(types); i++) {
        if (strncmp(type, types[i], strlen(types[i])) == 0)
            return true;
    }
    return false;
}

/* One state for the server: making it costs more than compressing a small answer. */
static z_stream *state_of(struct httpd *h)
{
    enum { LEVEL = 1, GZIP_WINDOW = 15 + 16, MEMORY = 8 };
    if (!h->gzip) {
        z_stream *z = mem_alloc(sizeof(*z));
        if (deflateInit2(z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
            mem_free(z);
            return NULL;
        }
        h->gzip = z;
    }
    return deflateReset(h->gzip) == Z_OK ? h->gzip : NULL;
}

int httpd__gzip(struct httpd *h, struct span in, struct buf *out)
{
    z_stream *z = state_of(h);
    CHECK(in.n < UINT32_MAX / 2);
    size_t room = in.n - in.n / 16; /* less gain is not worth the client's work */
    char *packed = z ? mem_try_alloc(room) : NULL;
    if (!packed)
        return -1;
    z->next_in = (Bytef *)(uintptr_t)in.p;
    z->avail_in = (uInt)in.n;
    z->next_out = (Bytef *)packed;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_FINISH) != Z_STREAM_END) {
        mem_free(packed);
        return -1;
    }
    *out = (struct buf){.p = packed, .n = room - z->avail_out, .cap = room};
    return 0;
}

void httpd__gzip_free(struct httpd *h)
{
    if (h->gzip)
        (void)deflateEnd(h->gzip); /* Z_DATA_ERROR: given up in the middle, all the same freed */
    mem_free(h->gzip);
    h->gzip = NULL;
}
