/* Targets (RFC 9112, 3.2), paths and forms: decoded once, strictly. What a proxy in front and we
 * could understand differently is refused rather than normalised. */
#include "httpd/internal.h"

enum { MAX_PAIRS = 128 };

static int refuse(const char **why, const char *text)
{
    *why = text;
    return 400;
}

static bool starts_with(struct span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && httpd__same((struct span){s.p, n}, (struct span){prefix, n});
}

/* http://authority/path: the authority takes the place of Host (RFC 9112, 3.2.2). */
static int absolute(struct httpd__head *h, struct span *rest, const char **why)
{
    size_t scheme = starts_with(*rest, "http://") ? 7 : starts_with(*rest, "https://") ? 8 : 0;
    if (!scheme)
        return refuse(why, "the target is neither a path nor an http address");
    rest->p += scheme;
    rest->n -= scheme;
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '/' && rest->p[n] != '?')
        n++;
    struct span authority = {rest->p, n};
    if (!httpd__host_is_fine(authority))
        return refuse(why, "the authority of the target is malformed");
    h->host = authority;
    rest->p += n;
    rest->n -= n;
    return 0;
}

int httpd__target_split(struct httpd__head *h, const char **why)
{
    struct span rest = h->target;
    if (memchr(rest.p, '#', rest.n))
        return refuse(why, "a fragment in the target");
    if (span_is(rest, "*")) {
        h->raw_path = rest;
        return h->method == HTTPD_OPTIONS ? 0 : refuse(why, "* is a target of OPTIONS only");
    }
    if (rest.p[0] != '/' && absolute(h, &rest, why))
        return 400;
    const char *mark = rest.n ? memchr(rest.p, '?', rest.n) : NULL;
    h->raw_path = mark ? (struct span){rest.p, (size_t)(mark - rest.p)} : rest;
    if (mark)
        h->raw_query = (struct span){mark + 1, rest.n - h->raw_path.n - 1};
    if (h->raw_path.n == 0)
        h->raw_path = SPAN("/"); /* of an absolute form without one */
    return 0;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that %xx stands for, -1 if it is malformed. */
static int escaped(struct span s, size_t i)
{
    if (s.n - i < 3)
        return -1;
    int high = hex_of(s.p[i + 1]), low = hex_of(s.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_control(unsigned char c)
{
    return c < ' ' || c == 0x7f;
}

/* "." and ".." are refused where they would be resolved, and as the last segment. */
static bool has_dot_segment(struct span path)
{
    for (size_t i = 0; i < path.n;) {
        const char *slash = memchr(path.p + i, '/', path.n - i);
        size_t n = slash ? (size_t)(slash - path.p) - i : path.n - i;
        struct span segment = {path.p + i, n};
        if (span_is(segment, ".") || span_is(segment, ".."))
            return true;
        i += n + 1;
    }
    return false;
}

int httpd__path_decode(struct arena *a, struct span raw, struct span *ret, const char **why)
{
    char *path = arena_alloc(a, raw.n + 1);
    size_t n = 0;
    bool plain = true;
    for (size_t i = 0; i < raw.n; i++) {
        int c = (unsigned char)raw.p[i];
        if (c == '%') {
            c = escaped(raw, i);
            i += 2;
            plain = plain && c < 0x80;
            if (c < 0)
                return refuse(why, "the path is badly percent-encoded");
            if (c == '/')
                return refuse(why, "an encoded slash in the path");
        }
        if (is_control((unsigned char)c) || c == '\\')
            return refuse(why, "a bad character in the path");
        path[n++] = (char)c;
    }
    *ret = (struct span){path, n};
    if (!plain && !span_utf8_valid(*ret))
        return refuse(why, "the path is not UTF-8");
    if (has_dot_segment(*ret))
        return refuse(why, "a dot segment in the path");
    return 0;
}

/* One name or value; '+' is a space. Texts of several lines are allowed in a form. */
static const char *form_text(struct arena *a, struct span raw)
{
    char *text = arena_alloc(a, raw.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        int c = (unsigned char)raw.p[i];
        if (c == '%') {
            c = escaped(raw, i);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c < 0 || (is_control((unsigned char)c) && c != '\t' && c != '\r' && c != '\n'))
            return NULL;
        text[n++] = (char)c;
    }
    return span_utf8_valid((struct span){text, n}) ? text : NULL;
}

int httpd__form_decode(struct arena *a, struct span raw, struct httpd__pairs *ret, const char **why)
{
    *ret = (struct httpd__pairs){0};
    if (raw.n == 0)
        return 0;
    unsigned most = 1;
    for (size_t i = 0; i < raw.n; i++)
        most += raw.p[i] == '&';
    if (most > MAX_PAIRS)
        return refuse(why, "too many parameters");
    ret->pair = arena_new_array(a, struct httpd__pair, most);
    for (size_t i = 0; i < raw.n;) {
        const char *amp = memchr(raw.p + i, '&', raw.n - i);
        size_t n = amp ? (size_t)(amp - raw.p) - i : raw.n - i;
        struct span part = {raw.p + i, n};
        i += n + 1;
        if (n == 0)
            continue;
        const char *equals = memchr(part.p, '=', part.n);
        struct span name = equals ? (struct span){part.p, (size_t)(equals - part.p)} : part;
        struct span value =
            equals ? (struct span){equals + 1, part.n - name.n - 1} : (struct span){0};
        struct httpd__pair *pair = &ret->pair[ret->n++];
        pair->name = form_text(a, name);
        pair->value = form_text(a, value);
        if (!pair->name || !pair->value)
            return refuse(why, "a parameter is badly encoded");
    }
    return 0;
}
