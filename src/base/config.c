#include "base/internal.h"

struct config *config_new(const struct config_key *keys, size_t n)
{
    struct config *c = mem_alloc(sizeof(*c));
    c->keys = keys;
    c->n = n;
    c->arena = arena_new(0);
    c->winner = arena_new_array(c->arena, struct base__setting *, n);
    for (size_t i = 0; i < n; i++) {
        struct base__setting s = {.key = &keys[i], .text = keys[i].fallback};
        struct buf why = {0};
        CHECK(!s.text || base__config_parse(&s, &s.number, &why) == 0);
        buf_done(&why);
    }
    return c;
}

struct config *config_free(struct config *c)
{
    if (!c) {
        return NULL;
    }
    for (size_t i = 0; i < c->given.n; i++) {
        if (c->given.v[i].key->type == CONFIG_SECRET) {
            explicit_bzero((char *)c->given.v[i].text, strlen(c->given.v[i].text));
        }
    }
    vec_done(&c->given);
    arena_free(c->arena);
    mem_free(c);
    return NULL;
}

const struct config_key *base__config_find(const struct config *c, struct span name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (span_is(name, c->keys[i].name)) {
            return &c->keys[i];
        }
    }
    return NULL;
}

void base__config_add(struct config *c, struct base__setting s)
{
    c->checked = false;
    *vec_push(&c->given) = s;
}

int config_set_flag(struct config *c, const char *name, const char *value, struct err *err)
{
    const struct config_key *key = base__config_find(c, span_of(name));
    if (!key) {
        return err_set(err, ERR_CONF, ERR_PERMANENT, "flag %s: unknown setting", name);
    }
    base__config_add(c, (struct base__setting){.key = key,
                                               .rank = BASE__RANK_FLAG,
                                               .text = arena_strdup(c->arena, value),
                                               .source = "flag",
                                               .where = arena_printf(c->arena, "flag %s", name)});
    return 0;
}

/* ---- check -------------------------------------------------------------------------------------
 */

/* As written, cut and on one line, for a message. */
static void put_given(struct buf *b, const struct base__setting *s)
{
    enum { SHOWN = 60 };
    if (s->key->type == CONFIG_SECRET) {
        buf_puts(b, "***");
        return;
    }
    if (s->typed && s->kind != TOML_STRING) {
        static const char *const kinds[] = {
            [TOML_TIME] = "(a date or time)", [TOML_ARRAY] = "[...]", [TOML_TABLE] = "{}"};
        buf_puts(b, s->kind >= TOML_TIME ? kinds[s->kind] : s->text);
        return;
    }
    struct span text = span_of(s->text);
    bool cut = text.n > SHOWN;
    if (cut) {
        text.n = base__utf8_cut(text.p, SHOWN);
    }
    buf_putc(b, '"');
    base__json_escape(b, text);
    buf_puts(b, cut ? "...\"" : "\"");
}

static int refuse(const struct base__setting *s, const char *why, struct err *err)
{
    struct buf given = {0};
    put_given(&given, s);
    err_set(err, ERR_CONF, ERR_PERMANENT, "%s = %s: %s", s->where, given.p, why);
    buf_done(&given);
    return -1;
}

/* A URL or a libpq connection string is a secret for the sake of the password in it, which may turn
 * up alone. */
static void register_password(const char *value)
{
    const char *from = strstr(value, "://"), *to = NULL;
    if (from) {
        size_t authority = strcspn(from + 3, "/?#");
        to = memrchr(from + 3, '@', authority);
        from = to ? memchr(from + 3, ':', (size_t)(to - from) - 3) : NULL;
        from = from ? from + 1 : NULL;
    } else if ((from = strstr(value, "password="))) {
        from += strlen("password=");
        bool quoted = *from == '\'';
        from += quoted;
        to = from + strcspn(from, quoted ? "'" : " ");
    }
    if (from && to) {
        char *password = strndup(from, (size_t)(to - from));
        CHECK(password && "out of memory");
        log_add_secret(password);
        explicit_bzero(password, strlen(password));
        free(password);
    }
}

static void choose(struct config *c, struct base__setting *s)
{
    struct base__setting **winner = &c->winner[s->key - c->keys];
    if (!*winner || s->rank >= (*winner)->rank) {
        *winner = s;
    }
}

int config_check(struct config *c, struct err *err)
{
    memset(c->winner, 0, c->n * sizeof(struct base__setting *));
    int rc = 0;
    for (size_t i = 0; i < c->given.n && rc == 0; i++) {
        struct base__setting *s = &c->given.v[i];
        struct buf why = {0};
        if (base__config_parse(s, &s->number, &why) < 0) {
            rc = refuse(s, why.p, err);
        } else if (s->text[0] || s->rank == BASE__RANK_FLAG) {
            choose(c, s); /* empty text in a file means: not set */
        }
        buf_done(&why);
        if (s->key->type == CONFIG_SECRET) {
            log_add_secret(s->text);
            register_password(s->text);
        }
    }
    c->checked = rc == 0;
    return rc;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* The value in force; the fallback as a setting of its own, NULL if there is none. */
static const struct base__setting *in_force(const struct config *c, const char *name,
                                            struct base__setting *fallback)
{
    const struct config_key *key = base__config_find(c, span_of(name));
    CHECK(key && c->checked);
    if (c->winner[key - c->keys]) {
        return c->winner[key - c->keys];
    }
    *fallback = (struct base__setting){.key = key, .text = key->fallback, .source = "default"};
    if (!fallback->text) {
        return NULL;
    }
    struct buf why = {0};
    CHECK(base__config_parse(fallback, &fallback->number, &why) == 0);
    return fallback;
}

const char *config_str(const struct config *c, const char *name)
{
    struct base__setting fallback;
    const struct base__setting *s = in_force(c, name, &fallback);
    return s ? s->text : NULL;
}

int64_t config_i64(const struct config *c, const char *name)
{
    struct base__setting fallback;
    const struct base__setting *s = in_force(c, name, &fallback);
    return s ? s->number : 0;
}

bool config_is_set(const struct config *c, const char *name)
{
    struct base__setting fallback;
    const struct base__setting *s = in_force(c, name, &fallback);
    return s && s != &fallback;
}

const char *config_source(const struct config *c, const char *name)
{
    struct base__setting fallback;
    const struct base__setting *s = in_force(c, name, &fallback);
    return s ? s->source : "default";
}

bool config_is_apart(const struct config *c, const char *name)
{
    struct base__setting fallback;
    const struct base__setting *s = in_force(c, name, &fallback);
    return s && s->apart;
}

void config_each(const struct config *c,
                 void (*fn)(void *ctx, const struct config_key *key, const char *value,
                            const char *source),
                 void *ctx)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct config_key *key = &c->keys[i];
        const char *value = config_str(c, key->name);
        if (value && key->type == CONFIG_SECRET) {
            value = "***";
        }
        fn(ctx, key, value, config_source(c, key->name));
    }
}
