#include "base/internal.h"

static bool kind_fits(const struct base__setting *s)
{
    if (!s->typed) {
        return true;
    }
    switch (s->key->type) {
    case CONFIG_STRING:
    case CONFIG_SECRET:
    case CONFIG_DURATION:
        return s->kind == TOML_STRING || s->kind == TOML_INT;
    case CONFIG_CHOICE:
        return s->kind == TOML_STRING;
    case CONFIG_INT:
        return s->kind == TOML_INT;
    case CONFIG_BOOL:
        return s->kind == TOML_BOOL;
    }
    return false;
}

static bool is_limited(const struct config_key *key)
{
    return key->min < key->max;
}

static int parse_text(const struct base__setting *s, struct buf *why)
{
    if (!s->text[0] && s->rank == BASE__RANK_FLAG) {
        buf_puts(why, "must not be empty");
        return -1;
    }
    for (const char *p = s->text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            buf_puts(why, "must not hold control characters");
            return -1;
        }
    }
    return 0;
}

static int parse_int(const struct base__setting *s, int64_t *ret, struct buf *why)
{
    bool limited = is_limited(s->key);
    int64_t min = limited ? s->key->min : INT64_MIN, max = limited ? s->key->max : INT64_MAX;
    if (kind_fits(s) && span_to_i64(span_of(s->text), min, max, ret) == 0) {
        return 0;
    }
    buf_puts(why, "must be a whole number");
    if (limited) {
        buf_printf(why, " from %lld to %lld", (long long)min, (long long)max);
    }
    return -1;
}

static int parse_bool(const struct base__setting *s, int64_t *ret, struct buf *why)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (kind_fits(s) && strcasecmp(s->text, words[i][value]) == 0) {
                *ret = value;
                return 0;
            }
        }
    }
    buf_puts(why, "must be true or false");
    return -1;
}

static int parse_duration(const struct base__setting *s, int64_t *ret, struct buf *why)
{
    bool limited = is_limited(s->key);
    if (kind_fits(s) && duration_parse(span_of(s->text), ret, NULL) == 0 &&
        (!limited || (*ret >= s->key->min && *ret <= s->key->max))) {
        return 0;
    }
    buf_puts(why, "must be a duration such as \"90s\" or \"1h30m\"");
    if (limited) {
        char min[32], max[32];
        buf_printf(why, ", from %s to %s", duration_format(s->key->min, min),
                   duration_format(s->key->max, max));
    }
    return -1;
}

static int parse_choice(const struct base__setting *s, struct buf *why)
{
    struct span text = span_of(s->text);
    const char *p = s->key->choices;
    while (kind_fits(s) && *p) {
        struct span choice = {p, strcspn(p, "|")};
        if (span_eq(choice, text)) {
            return 0;
        }
        p += choice.n + (p[choice.n] == '|');
    }
    buf_printf(why, "must be one of %s", s->key->choices);
    return -1;
}

int base__config_parse(const struct base__setting *s, int64_t *ret, struct buf *why)
{
    *ret = 0;
    switch (s->key->type) {
    case CONFIG_STRING:
    case CONFIG_SECRET:
        if (!kind_fits(s)) {
            buf_puts(why, "must be text in quotes");
            return -1;
        }
        return parse_text(s, why);
    case CONFIG_INT:
        return parse_int(s, ret, why);
    case CONFIG_BOOL:
        return parse_bool(s, ret, why);
    case CONFIG_DURATION:
        return parse_duration(s, ret, why);
    case CONFIG_CHOICE:
        return parse_choice(s, why);
    }
    return -1;
}

/* ---- suggestions -------------------------------------------------------------------------------
 */

/* Edits that turn a into b: insert, drop, replace, or swap two neighbours (Damerau's common slips).
 */
static unsigned edits(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) {
        return LONGEST;
    }
    unsigned char
        row[3][LONGEST + 1]; /* of the last but one, the last and the current character of a */
    for (size_t j = 0; j <= nb; j++) {
        row[0][j] = (unsigned char)j;
    }
    for (size_t i = 1; i <= na; i++) {
        unsigned char *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned char)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = best < last[j] + 1u ? best : last[j] + 1u;
            best = best < now[j - 1] + 1u ? best : now[j - 1] + 1u;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1u < best) {
                best = before[j - 2] + 1u;
            }
            now[j] = (unsigned char)best;
        }
    }
    return row[na % 3][nb];
}

const char *base__closest(const char *wrong, const char *const *names, size_t n)
{
    /* Two slips, one in a short word: more would be guessing. */
    unsigned best = strlen(wrong) < 5 ? 2 : 3;
    const char *closest = NULL;
    for (size_t i = 0; i < n; i++) {
        unsigned d = edits(wrong, names[i]);
        if (d < best) {
            best = d;
            closest = names[i];
        }
    }
    return closest;
}
