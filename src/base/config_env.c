#include "base/internal.h"

static const char prefix[] = "WAYMARK_";
enum { PREFIX = sizeof(prefix) - 1 };

struct env {
    struct config *c;
    char *const *vars;
    struct err *err;
};

/* Value of a variable; an empty one counts as not set, since compose files and unit files cannot
 * unset. */
static const char *value_of(const struct env *env, const char *name)
{
    size_t n = strlen(name);
    for (char *const *v = env->vars; *v; v++) {
        if (strncmp(*v, name, n) == 0 && (*v)[n] == '=') {
            return (*v)[n + 1] ? *v + n + 1 : NULL;
        }
    }
    return NULL;
}

static char *env_name(struct arena *a, const char *name)
{
    char *text = arena_printf(a, "%s%s", prefix, name);
    for (char *p = text; *p; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        } else if (*p == '.' || *p == '-') {
            *p = '_';
        }
    }
    return text;
}

/* 1 if the variable, or for secrets the one with _FILE, is set; 0 if not; -1 on error. */
static int take_name(const struct env *env, const struct config_key *key, const char *name,
                     enum base__rank rank)
{
    struct arena *a = env->c->arena;
    const char *value = value_of(env, name);
    const char *path = NULL;
    if (key->type == CONFIG_SECRET) {
        const char *file_name = arena_printf(a, "%s_FILE", name);
        path = value_of(env, file_name);
        if (value && path) {
            return err_set(env->err, ERR_CONF, ERR_PERMANENT,
                           "environment: both %s and %s are set; keep one of the two", name,
                           file_name);
        }
        name = path ? file_name : name;
    }
    if (!value && !path) {
        return 0;
    }
    struct base__setting s = {.key = key, .rank = rank, .apart = path != NULL};
    s.source = s.where = arena_printf(a, "environment %s", name);
    s.text = path ? base__secret_read(env->c, path, s.where, env->err) : arena_strdup(a, value);
    if (!s.text) {
        return -1;
    }
    base__config_add(env->c, s);
    return 1;
}

/* The first name that is set wins. */
static int take_legacy(const struct env *env, const struct config_key *key)
{
    const char *p = key->legacy ? key->legacy : "";
    while (*p) {
        struct span name = {p, strcspn(p, "|")};
        int rc = take_name(env, key, arena_span_dup(env->c->arena, name), BASE__RANK_LEGACY);
        if (rc != 0) {
            return rc < 0 ? -1 : 0;
        }
        p += name.n + (p[name.n] == '|');
    }
    return 0;
}

/* Of names with our prefix only those that look like a slip are refused: others may mean something
 * to somebody, as the WAYMARK_SERVICE_HOST that Kubernetes sets for a service of that name. */
static int check_unknown(const struct env *env, const char *const *names, size_t n)
{
    struct arena *a = env->c->arena;
    for (char *const *v = env->vars; *v; v++) {
        if (strncmp(*v, prefix, PREFIX) != 0) {
            continue;
        }
        const char *name = arena_span_dup(a, (struct span){*v, strcspn(*v, "=")});
        bool known = false;
        for (size_t i = 0; i < n && !known; i++) {
            size_t len = strlen(names[i]);
            bool is_file = strncmp(name, names[i], len) == 0 && strcmp(name + len, "_FILE") == 0;
            if (is_file && env->c->keys[i].type != CONFIG_SECRET) {
                return err_set(env->err, ERR_CONF, ERR_PERMANENT,
                               "environment %s: only secrets are read from files; set %s", name,
                               names[i]);
            }
            known = is_file || strcmp(name, names[i]) == 0;
        }
        const char *closest = known ? NULL : base__closest(name, names, n);
        if (closest) {
            return err_set(env->err, ERR_CONF, ERR_PERMANENT,
                           "environment %s: unknown, did you mean %s?", name, closest);
        }
    }
    return 0;
}

int config_load_env(struct config *c, char *const *environ_, struct err *err)
{
    struct env env = {c, environ_, err};
    const char **names = arena_new_array(c->arena, const char *, c->n);
    for (size_t i = 0; i < c->n; i++) {
        names[i] = env_name(c->arena, c->keys[i].name);
        if (take_name(&env, &c->keys[i], names[i], BASE__RANK_ENV) < 0 ||
            take_legacy(&env, &c->keys[i]) < 0) {
            return -1;
        }
    }
    return check_unknown(&env, names, c->n);
}
