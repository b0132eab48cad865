#include <stdalign.h>
#include <stdarg.h>

#include "base/base.h"

/* Under ASan what has not been handed out is poisoned, and allocations lie apart, so that overflows
 * inside a block are seen as they would be with malloc. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { REDZONE = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { REDZONE = 0 };
#endif

enum { ALIGN = 16, FIRST_BLOCK = 4096, LARGEST_BLOCK = 256 * 1024 };

struct block {
    struct block *next;
    size_t cap, used;
    alignas(ALIGN) char data[];
};

struct arena {
    struct block *blocks; /* the first is the one in use */
    size_t used, limit, next_size;
};

struct arena *arena_new(size_t limit_bytes)
{
    struct arena *a = mem_alloc(sizeof(*a));
    a->limit = limit_bytes;
    a->next_size = FIRST_BLOCK;
    return a;
}

static void free_blocks(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        ASAN_UNPOISON_MEMORY_REGION(b->data, b->cap);
        free(b);
        b = next;
    }
}

struct arena *arena_free(struct arena *a)
{
    if (a) {
        free_blocks(a->blocks);
        mem_free(a);
    }
    return NULL;
}

void arena_reset(struct arena *a)
{
    /* The newest block is the largest ordinary one: keep it for the next round. */
    struct block *keep = a->blocks;
    if (keep) {
        free_blocks(keep->next);
        keep->next = NULL;
        keep->used = 0;
        ASAN_POISON_MEMORY_REGION(keep->data, keep->cap);
    }
    a->used = 0;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

static struct block *add_block(struct arena *a, size_t need)
{
    /* A large request gets its own block behind the current one, whose rest stays usable. */
    bool alone = need > a->next_size / 2;
    size_t cap = alone ? need : a->next_size;
    struct block *b = malloc(sizeof(*b) + cap);
    if (!b) {
        return NULL;
    }
    b->cap = cap;
    b->used = 0;
    ASAN_POISON_MEMORY_REGION(b->data, b->cap);
    if (alone && a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    if (!alone && a->next_size < LARGEST_BLOCK) {
        a->next_size *= 2;
    }
    return b;
}

void *arena_try_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) {
        return NULL;
    }
    size_t rounded = ((n ? n : 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (a->limit && (rounded > a->limit || a->used > a->limit - rounded)) {
        return NULL;
    }
    size_t need = rounded + REDZONE;
    struct block *b = a->blocks;
    if (!b || b->cap - b->used < need) {
        b = add_block(a, need);
        if (!b) {
            return NULL;
        }
    }
    char *p = b->data + b->used;
    b->used += need;
    a->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(p, n ? n : 1);
    return memset(p, 0, n ? n : 1);
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_try_alloc(a, n);
    CHECK(p && "arena limit or memory exhausted");
    return p;
}

void *arena_alloc_array(struct arena *a, size_t item, size_t n)
{
    size_t bytes;
    CHECK(!__builtin_mul_overflow(item, n, &bytes));
    return arena_alloc(a, bytes);
}

char *arena_span_dup(struct arena *a, struct span s)
{
    char *copy = arena_alloc(a, s.n + 1);
    if (s.n) {
        memcpy(copy, s.p, s.n);
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_span_dup(a, span_of(s));
}

char *arena_tame(struct arena *a, const char *text)
{
    return text_tame(arena_strdup(a, text ? text : ""));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *text = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}
