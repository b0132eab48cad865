/* JSON as Strava and those between us and it send it. Any thread. */
#include <jansson.h>

#include "strava/work.h"

static const char nul_escape[] = "\\u0000";
enum { NUL_ESCAPE = sizeof(nul_escape) - 1 };

static void drop_nul(struct buf *text)
{
    char *from = text->n ? memmem(text->p, text->n, nul_escape, NUL_ESCAPE) : NULL;
    if (!from) {
        return;
    }
    char *end = text->p + text->n, *to = text->p;
    /* From the start: the first one found may be the end of "\\u0000", which is no escape. */
    for (from = text->p; from < end;) {
        if ((size_t)(end - from) >= NUL_ESCAPE && memcmp(from, nul_escape, NUL_ESCAPE) == 0) {
            from += NUL_ESCAPE;
            continue;
        }
        if (*from == '\\' && from + 1 < end) {
            *to++ = *from++;
        }
        *to++ = *from++;
    }
    *to = '\0';
    text->n = (size_t)(to - text->p);
}

struct json_t *strava__json(struct buf *text, size_t max_bytes, unsigned max_depth, struct err *err)
{
    if (text->n <= max_bytes) {
        drop_nul(text);
    }
    return json_read(buf_span(text), max_bytes, max_depth, err);
}

int strava__json_i64(const struct json_t *object, const char *key, int64_t min, int64_t *ret)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_integer(v) || json_integer_value(v) < min) {
        return -1;
    }
    *ret = json_integer_value(v);
    return 0;
}

struct span strava__json_text(const struct json_t *object, const char *key, size_t max)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_string(v)) {
        return (struct span){NULL, 0};
    }
    struct span s = {json_string_value(v), json_string_length(v)};
    if (s.n > max) {
        s.n = max;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) {
            s.n--;
        }
    }
    return s;
}
