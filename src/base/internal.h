/* Shared by the files of base/ only. */
#pragma once

#include "base/base.h"
#include "toml.h"

/* Decodes one code point. Returns its length in bytes, 0 if the bytes at p are not valid UTF-8. */
size_t base__utf8_next(const char *p, size_t n, uint32_t *ret);
/* Length without an incomplete sequence at the end: where to cut a text that was truncated. */
size_t base__utf8_cut(const char *p, size_t n);

/* The inside of a JSON string: controls, quotes and backslashes escaped, bytes that are not UTF-8
 * replaced by U+FFFD, and the C1 controls escaped too, since terminals obey them. */
void base__json_escape(struct buf *b, struct span s);

/* "%.*f" in the C locale without trailing zeros; out holds any double. The value must be finite. */
enum { BASE__F64_SIZE = 352 };
char *base__format_f64(double v, int decimals, char out[BASE__F64_SIZE]);

/* The last two components of __FILE__: builds differ in where the tree lies, log lines should not.
 */
const char *base__short_file(const char *file);

/* ---- configuration -----------------------------------------------------------------------------
 */

/* Lowest first; a later setting of the same rank wins. */
enum base__rank { BASE__RANK_FILE, BASE__RANK_LEGACY, BASE__RANK_ENV, BASE__RANK_FLAG };

/* One value as it was given somewhere. Strings live in the arena of the config. */
struct base__setting {
    const struct config_key *key;
    enum base__rank rank;
    bool typed; /* from TOML, where `kind` tells a string from a number */
    enum toml_type kind;
    const char *text;
    bool apart;         /* a secret that stands in a file of its own */
    const char *source; /* for config_source() */
    const char *where;  /* head of messages: `config.toml:12: [log] level` */
    int64_t number;     /* set by config_check */
};

struct config {
    const struct config_key *keys;
    size_t n;
    struct arena *arena;
    struct {
        VEC(struct base__setting);
    } given;                       /* in the order they were given */
    struct base__setting **winner; /* by key, after config_check; NULL: the fallback or nothing */
    bool checked;
};

const struct config_key *base__config_find(const struct config *c, struct span name);
void base__config_add(struct config *c, struct base__setting s);
/* Parses text by the type of the key; 0 or -1 with the requirement ("must be ...") in why. */
int base__config_parse(const struct base__setting *s, int64_t *ret, struct buf *why);
/* The known name closest to a wrong one, NULL if none is close. */
const char *base__closest(const char *wrong, const char *const *names, size_t n);
/* First line of a secret's file, in the arena of c. where is the head of messages. */
char *base__secret_read(struct config *c, const char *path, const char *where, struct err *err);
