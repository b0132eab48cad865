#include <stdarg.h>

#include "base/base.h"

void *vec_grow_(void *p, size_t *cap, size_t want, size_t item)
{
    if (want <= *cap) {
        return p;
    }
    size_t grown = *cap < 8 ? 8 : *cap + *cap / 2;
    if (grown < want) {
        grown = want;
    }
    size_t bytes;
    CHECK(!__builtin_mul_overflow(grown, item, &bytes));
    p = mem_realloc(p, bytes);
    *cap = grown;
    return p;
}

/* Room for n more bytes and the NUL. */
static void reserve(struct buf *b, size_t n)
{
    size_t want;
    CHECK(!__builtin_add_overflow(b->n, n, &want) && want < SIZE_MAX / 2);
    b->p = vec_grow_(b->p, &b->cap, want + 1, 1);
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    reserve(b, n);
    if (n) {
        memcpy(b->p + b->n, p, n);
    }
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_be32(struct buf *b, uint32_t v)
{
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(v >> (24 - 8 * i));
    }
    buf_put(b, bytes, sizeof(bytes));
}

void buf_be64(struct buf *b, uint64_t v)
{
    buf_be32(b, (uint32_t)(v >> 32));
    buf_be32(b, (uint32_t)v);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->p) {
        b->p[0] = '\0';
    }
}

void buf_done(struct buf *b)
{
    if (b) {
        mem_free(b->p);
        *b = (struct buf){0};
    }
}

struct span buf_span(const struct buf *b)
{
    return (struct span){b->p, b->n};
}
