/* What comes percent-encoded or as multipart. Lenient as a web framework is: a '%' that is no
 * escape stands for itself. */
#include <strings.h>

#include "sim/sim.h"

enum { PAIRS_MAX = 128 };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

static char *decoded(struct arena *a, struct span text)
{
    char *out = arena_alloc(a, text.n + 1), *p = out;
    for (size_t i = 0; i < text.n; i++) {
        int high, low;
        if (text.p[i] == '%' && i + 2 < text.n && (high = hex(text.p[i + 1])) >= 0 &&
            (low = hex(text.p[i + 2])) >= 0) {
            *p++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *p++ = text.p[i] == '+' ? ' ' : text.p[i];
        }
    }
    *p = '\0';
    return out;
}

void pairs_read(struct arena *a, struct span text, struct pairs *ret)
{
    while (text.n && ret->n < PAIRS_MAX) {
        const char *end = memchr(text.p, '&', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        const char *eq = memchr(text.p, '=', n);
        size_t name = eq ? (size_t)(eq - text.p) : n;
        if (n) {
            struct pair *p = vec_push(ret);
            p->name = decoded(a, (struct span){text.p, name});
            p->value = decoded(a, eq ? (struct span){eq + 1, n - name - 1} : SPAN(""));
        }
        n += end != NULL;
        text.p += n;
        text.n -= n;
    }
}

static struct span until(struct span *rest, const char *mark, size_t n, bool *found)
{
    const char *at = memmem(rest->p, rest->n, mark, n);
    struct span head = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    *found = at != NULL;
    rest->p += head.n + (at ? n : 0);
    rest->n -= head.n + (at ? n : 0);
    return head;
}

/* name="..." of a part's head. */
static char *part_name(struct arena *a, struct span head)
{
    bool found;
    (void)until(&head, " name=\"", 7, &found);
    struct span name = until(&head, "\"", 1, &found);
    return found ? arena_span_dup(a, name) : NULL;
}

bool pairs_read_multipart(struct arena *a, struct span text, const char *content_type,
                          struct pairs *ret)
{
    const char *mark = content_type ? strstr(content_type, "boundary=") : NULL;
    if (!mark || strncasecmp(content_type, "multipart/form-data", 19) != 0)
        return false;
    mark += 9;
    mark += *mark == '"';
    const char *line =
        arena_printf(a, "\r\n--%.*s", (int)strcspn(mark, "\";"), mark); /* between parts */
    bool found = true;
    (void)until(&text, line + 2, strlen(line) - 2, &found);
    while (found && ret->n < PAIRS_MAX) {
        struct span part = until(&text, line, strlen(line), &found);
        bool has_body;
        struct span head = until(&part, "\r\n\r\n", 4, &has_body);
        char *name = found && has_body ? part_name(a, head) : NULL;
        if (!name)
            continue;
        struct pair *p = vec_push(ret);
        p->name = name;
        p->value = arena_span_dup(a, part);
    }
    return true;
}

const char *pairs_get(const struct pairs *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    }
    return NULL;
}

static char *encode(struct arena *a, const char *text, bool all)
{
    char *out = arena_alloc(a, 3 * strlen(text) + 1), *p = out;
    for (; *text; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-._~", *text);
        if (plain && !all) {
            *p++ = *text;
        } else {
            (void)snprintf(p, 4, "%%%02X", (unsigned char)*text);
            p += 3;
        }
    }
    *p = '\0';
    return out;
}

char *url_encode(struct arena *a, const char *text)
{
    return encode(a, text, false);
}

char *url_encode_all(struct arena *a, const char *text)
{
    return encode(a, text, true);
}

bool glob_is(const char *glob, const char *text)
{
    const char *star = NULL, *again = NULL;
    while (*text) {
        if (*glob == '*') {
            star = glob++;
            again = text;
        } else if (*glob == '?' || *glob == *text) {
            glob++;
            text++;
        } else if (star) {
            glob = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}
