/* Payloads for people: secrets are masked, and nothing in them is obeyed by a terminal. */
#include "jobs/jobs.h"

#include <strings.h>

/* What a key contains, in small or capital letters, whose value nobody is to see. */
static bool is_secret(struct span key)
{
    static const char *const word[] = {"token", "secret", "password", "key", "authorization"};
    for (size_t w = 0; w < COUNT_OF(word); w++) {
        size_t n = strlen(word[w]);
        for (size_t i = 0; i + n <= key.n; i++) {
            if (strncasecmp(key.p + i, word[w], n) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Where the string that starts at `at` ends, behind its quote. */
static size_t string_end(struct span s, size_t at)
{
    for (size_t i = at + 1; i < s.n; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == '"') {
            return i + 1;
        }
    }
    return s.n;
}

/* Where the value that starts at `at` ends: at the comma or bracket after it. */
static size_t value_end(struct span s, size_t at)
{
    unsigned depth = 0;
    for (size_t i = at; i < s.n; i++) {
        char ch = s.p[i];
        if (ch == '"') {
            i = string_end(s, i) - 1;
        } else if (ch == '{' || ch == '[') {
            depth++;
        } else if (depth == 0 && (ch == ',' || ch == '}' || ch == ']')) {
            return i;
        } else if (ch == '}' || ch == ']') {
            depth--;
        }
    }
    return s.n;
}

/* A character outside of ASCII that a terminal would obey, see text_tame: its code, else 0. *len:
 * its bytes. A jsonb is valid UTF-8, and has the controls of ASCII escaped, but for DEL. */
static unsigned obeyed(struct span s, size_t at, size_t *len)
{
    unsigned char a = (unsigned char)s.p[at];
    unsigned char b = at + 1 < s.n ? (unsigned char)s.p[at + 1] : 0;
    unsigned char c = at + 2 < s.n ? (unsigned char)s.p[at + 2] : 0;
    if (a == 0x7f) {
        *len = 1;
        return a;
    }
    *len = a == 0xe2 ? 3 : 2;
    if ((a == 0xc2 && b >= 0x80 && b < 0xa0) || (a == 0xd8 && b == 0x9c)) {
        return (a & 0x1fu) << 6 | (b & 0x3fu);
    }
    unsigned cp = (a & 0x0fu) << 12 | (b & 0x3fu) << 6 | (c & 0x3fu);
    return a == 0xe2 && (cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
                         (cp >= 0x2066 && cp <= 0x2069))
               ? cp
               : 0;
}

static void put_tame(struct span s, size_t from, size_t to, struct buf *out)
{
    for (size_t i = from, len; i < to; i++) {
        unsigned cp = (unsigned char)s.p[i] >= 0x7f ? obeyed(s, i, &len) : 0;
        if (cp) {
            buf_printf(out, "\\u%04x", cp);
            i += len - 1;
        } else {
            buf_putc(out, s.p[i]);
        }
    }
}

void jobs_mask(struct span json, struct buf *out)
{
    size_t i = 0;
    while (i < json.n) {
        if (json.p[i] != '"') {
            buf_putc(out, json.p[i++]);
            continue;
        }
        size_t end = string_end(json, i), colon = end;
        struct span text = {json.p + i, end - i};
        while (colon < json.n && json.p[colon] == ' ') {
            colon++;
        }
        put_tame(json, i, end, out);
        i = end;
        if (colon < json.n && json.p[colon] == ':' && is_secret(text)) {
            buf_puts(out, ": \"***\"");
            i = value_end(json, colon + 1);
        }
    }
}
