#include "base/base.h"

#include <malloc.h>

void mem_init(void)
{
    /* glibc raises its threshold to the largest block it has seen freed, and then keeps such blocks
     * in the heaps of its threads: after one huge track, for years. */
    enum { LARGE = 128 * 1024 };
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
}

void *mem_try_alloc(size_t n)
{
    return calloc(1, n ? n : 1);
}

void *mem_alloc(size_t n)
{
    void *p = mem_try_alloc(n);
    CHECK(p && "out of memory");
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    CHECK(q && "out of memory");
    return q;
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = mem_alloc(n);
    memcpy(copy, s, n);
    return copy;
}

void mem_free(void *p)
{
    free(p);
}
