#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/internal.h"

enum { SECRET_MAX = 4096 };

/* Everything up to max bytes; one more byte tells that there is more. */
static int read_all(const char *path, size_t max, struct buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int rc = 0;
    while (b->n <= max) {
        char chunk[8192];
        size_t want = max + 1 - b->n < sizeof(chunk) ? max + 1 - b->n : sizeof(chunk);
        ssize_t n = read(fd, chunk, want);
        if (n > 0) {
            buf_put(b, chunk, (size_t)n);
        } else if (n == 0) {
            break;
        } else if (errno != EINTR) {
            rc = errno;
            break;
        }
    }
    close(fd);
    return rc;
}

static const char *reason(int errnum, char *out, size_t size)
{
    return strerror_r(errnum, out, size);
}

/* ---- secrets -----------------------------------------------------------------------------------
 */

/* The first line, without its end, or what is wrong with it. */
static const char *first_line(struct buf *b, struct span *ret)
{
    const char *end = b->n ? memchr(b->p, '\n', b->n) : NULL;
    *ret = (struct span){b->p, end ? (size_t)(end - b->p) : b->n};
    if (ret->n && ret->p[ret->n - 1] == '\r') {
        ret->n--;
    }
    if (ret->n > SECRET_MAX) {
        return "the first line is longer than 4096 bytes";
    }
    if (ret->n == 0) {
        return "the first line is empty";
    }
    return memchr(ret->p, '\0', ret->n) ? "it holds a NUL byte" : NULL;
}

char *base__secret_read(struct config *c, const char *path, const char *where, struct err *err)
{
    struct buf b = {0};
    char text[128];
    struct span line = {NULL, 0};
    char *secret = NULL;
    int errnum = read_all(path, SECRET_MAX + 2, &b);
    const char *wrong = errnum ? reason(errnum, text, sizeof(text)) : first_line(&b, &line);
    if (wrong) {
        err_set_code(err, ERR_CONF, ERR_PERMANENT, errnum,
                     "%s = \"%s\": cannot take the secret from this file: %s", where, path, wrong);
    } else {
        secret = arena_span_dup(c->arena, line);
    }
    if (b.p) {
        explicit_bzero(b.p, b.n);
    }
    buf_done(&b);
    return secret;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

struct load {
    struct config *c;
    const char *path;
    struct err *err;
};

/* "log.level" as people write it: "[log] level". */
static char *spell(struct arena *a, const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? arena_printf(a, "[%.*s] %s", (int)(dot - name), name, dot + 1)
               : arena_strdup(a, name);
}

static bool has_section(const struct config *c, const char *section, size_t n)
{
    for (size_t i = 0; i < c->n; i++) {
        const char *name = c->keys[i].name;
        if (strlen(name) > n && memcmp(name, section, n) == 0 && name[n] == '.') {
            return true;
        }
    }
    return false;
}

/* A slip of the fingers, or the right key in the wrong section. */
static const char *suggestion(const struct config *c, const char *wrong)
{
    struct {
        VEC(const char *);
    } names = {0};
    for (size_t i = 0; i < c->n; i++) {
        *vec_push(&names) = c->keys[i].name;
    }
    const char *found = base__closest(wrong, names.v, names.n);
    const char *dot = strrchr(wrong, '.');
    for (size_t i = 0; i < names.n && !found; i++) {
        const char *name_dot = strrchr(names.v[i], '.');
        if (name_dot && strcmp(name_dot + 1, dot ? dot + 1 : wrong) == 0) {
            found = names.v[i];
        }
    }
    vec_done(&names);
    return found;
}

static int refuse_unknown(const struct load *load, const struct toml_item *item)
{
    struct arena *a = load->c->arena;
    const char *dot = strrchr(item->key, '.');
    if (item->type == TOML_TABLE) {
        return err_set(load->err, ERR_CONF, ERR_PERMANENT, "%s:%d: [%s]: unknown section",
                       load->path, item->line, item->key);
    }
    const char *closest = suggestion(load->c, item->key);
    struct buf tail = {0};
    if (closest) {
        buf_printf(&tail, ", did you mean %s?", spell(a, closest));
    } else if (dot && has_section(load->c, item->key, (size_t)(dot - item->key))) {
        size_t section = (size_t)(dot - item->key) + 1;
        const char *before = "; known there: ";
        for (size_t i = 0; i < load->c->n; i++) {
            if (strncmp(load->c->keys[i].name, item->key, section) == 0) {
                buf_printf(&tail, "%s%s", before, load->c->keys[i].name + section);
                before = ", ";
            }
        }
    }
    err_set(load->err, ERR_CONF, ERR_PERMANENT, "%s:%d: %s: unknown key%s", load->path, item->line,
            spell(a, item->key), tail.p ? tail.p : "");
    buf_done(&tail);
    return -1;
}

/* The secret whose name with "_file" this is, or NULL. */
static const struct config_key *secret_of(const struct config *c, const char *name)
{
    static const char suffix[] = "_file";
    size_t n = strlen(name), tail = sizeof(suffix) - 1;
    if (n <= tail || strcmp(name + n - tail, suffix) != 0) {
        return NULL;
    }
    const struct config_key *key = base__config_find(c, (struct span){name, n - tail});
    return key && key->type == CONFIG_SECRET ? key : NULL;
}

/* A relative path counts from the folder of the file that names it. */
static const char *resolve(const struct load *load, const char *path)
{
    const char *slash = strrchr(load->path, '/');
    if (path[0] == '/' || !slash) {
        return path;
    }
    return arena_printf(load->c->arena, "%.*s%s", (int)(slash - load->path) + 1, load->path, path);
}

static int check_given_once(const struct load *load, const struct base__setting *s)
{
    for (size_t i = 0; i < load->c->given.n; i++) {
        const struct base__setting *other = &load->c->given.v[i];
        size_t path = strlen(load->path);
        if (other->key == s->key && other->rank == BASE__RANK_FILE &&
            strncmp(other->source, load->path, path) == 0 && other->source[path] == ':') {
            return err_set(load->err, ERR_CONF, ERR_PERMANENT,
                           "%s: given already (%s); keep one of the two", s->where, other->source);
        }
    }
    return 0;
}

static int take_item(void *ctx, const struct toml_item *item)
{
    const struct load *load = ctx;
    struct config *c = load->c;
    const struct config_key *key = base__config_find(c, span_of(item->key));
    const struct config_key *secret = key ? NULL : secret_of(c, item->key);
    if (!key && !secret) {
        bool known = item->type == TOML_TABLE && has_section(c, item->key, strlen(item->key));
        return known ? 0 : refuse_unknown(load, item);
    }
    struct base__setting s = {
        .key = key ? key : secret, .rank = BASE__RANK_FILE, .typed = true, .kind = item->type};
    s.source = arena_printf(c->arena, "%s:%d", load->path, item->line);
    s.where = arena_printf(c->arena, "%s: %s", s.source, spell(c->arena, item->key));
    if (item->len && memchr(item->text, '\0', item->len)) {
        return err_set(load->err, ERR_CONF, ERR_PERMANENT, "%s: must not hold control characters",
                       s.where);
    }
    s.text = arena_span_dup(c->arena, (struct span){item->text, item->len});
    if (secret) {
        if (item->type != TOML_STRING) {
            return err_set(load->err, ERR_CONF, ERR_PERMANENT, "%s: must be a path in quotes",
                           s.where);
        }
        if (item->len == 0) {
            return 0;
        }
        s.text = base__secret_read(c, resolve(load, s.text), s.where, load->err);
        if (!s.text) {
            return -1;
        }
        s.apart = true;
    }
    if (check_given_once(load, &s) < 0) {
        return -1;
    }
    base__config_add(c, s);
    return 0;
}

int config_load_file(struct config *c, const char *path, struct err *err)
{
    struct buf b = {0};
    char msg[512];
    int rc = -1;
    int errnum = read_all(path, TOML_MAX_BYTES, &b);
    struct span text = buf_span(&b);
    if (errnum) {
        char why[128];
        err_set_code(err, ERR_CONF, ERR_PERMANENT, errnum, "%s: %s", path,
                     reason(errnum, why, sizeof(why)));
        goto out;
    }
    if (text.n > TOML_MAX_BYTES) {
        err_set(err, ERR_CONF, ERR_PERMANENT, "%s: larger than %d kB", path, TOML_MAX_BYTES / 1024);
        goto out;
    }
    struct load load = {c, path, err};
    msg[0] = '\0';
    rc = toml_read(text.n ? text.p : "", text.n, path, take_item, &load, msg, sizeof(msg));
    if (rc != 0 && msg[0]) {
        err_set(err, ERR_CONF, ERR_PERMANENT, "%s", msg);
    }
out:
    if (b.p) {
        explicit_bzero(b.p, b.n); /* it may hold secrets */
    }
    buf_done(&b);
    return rc;
}
