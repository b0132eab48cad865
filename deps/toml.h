/* TOML for C: an adapter of toml11, which is C++. Reads one document and reports its values,
 * flattened to "section.key", in the order of their lines. Guards what toml11 lets through: deep
 * nesting (it recurses until the stack ends) and integers that overflow (it saturates silently).
 * Any thread; nothing is kept between calls. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TOML_MAX_BYTES = 256 * 1024, TOML_MAX_DEPTH = 64, TOML_MAX_VALUES = 4096 };

/* TOML_ARRAY and TOML_TIME come without their content and TOML_TABLE only for tables without any:
 * settings have no use for them, but must be able to refuse them by name. */
enum toml_type { TOML_STRING, TOML_INT, TOML_BOOL, TOML_FLOAT, TOML_TIME, TOML_ARRAY, TOML_TABLE };

struct toml_item {
    const char *key; /* "section.key"; letters, digits, '_' and '-' between the dots */
    enum toml_type type;
    const char *text; /* the string, or the number or boolean in decimal; may hold NULs if the
                         string does */
    size_t len;
    int line;
};

/* fn is called for each item; anything but 0 ends the reading with that value. Returns 0, or -1
 * with one line "name:line: what is wrong" in msg. text need not be NUL-terminated; key and text
 * are valid during the call only. */
int toml_read(const char *text, size_t len, const char *name,
              int (*fn)(void *ctx, const struct toml_item *item), void *ctx, char *msg,
              size_t msg_size);

#ifdef __cplusplus
}
#endif
