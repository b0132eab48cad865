#include <jansson.h>

#include "base/internal.h"

/* Where a text went wrong, for people. */
struct place {
    int line, column;
};

static struct place place_of(struct span text, size_t at)
{
    struct place p = {1, 1};
    for (size_t i = 0; i < at; i++) {
        if (text.p[i] == '\n') {
            p.line++;
            p.column = 1;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            p.column++;
        }
    }
    return p;
}

/* Offset of the bracket that goes too deep, or the length. jansson recurses; its own limit of 2048
 * is fixed. */
static size_t find_too_deep(struct span text, unsigned max_depth)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth) {
                return i;
            }
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return text.n;
}

struct json_t *json_read(struct span text, size_t max_bytes, unsigned max_depth, struct err *err)
{
    if (text.n > max_bytes) {
        err_set(err, ERR_DATA, ERR_PERMANENT, "JSON of %zu bytes is larger than the %zu allowed",
                text.n, max_bytes);
        return NULL;
    }
    size_t deep = find_too_deep(text, max_depth);
    if (deep < text.n) {
        struct place p = place_of(text, deep);
        err_set(err, ERR_DATA, ERR_PERMANENT,
                "JSON line %d, column %d: nested deeper than %u levels", p.line, p.column,
                max_depth);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        err_set(err, ERR_DATA, ERR_PERMANENT, "JSON line %d, column %d: %s", error.line,
                error.column, error.text);
    }
    return root;
}
