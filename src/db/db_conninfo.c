/* Connection strings. libpq reads them; we need the hosts, to resolve names without blocking the
 * loop. */
#include "db/internal.h"

static const char *option(const PQconninfoOption *opts, const char *key)
{
    for (; opts != NULL && opts->keyword != NULL; opts++)
        if (strcmp(opts->keyword, key) == 0)
            return opts->val != NULL && opts->val[0] != '\0' ? opts->val : NULL;
    return NULL;
}

/* The i-th of a comma-separated list, or NULL when it is empty or absent. *n: how many there are.
 */
static char *list_item(const char *list, size_t i, size_t *n)
{
    char *found = NULL;
    *n = 0;
    if (list == NULL)
        return NULL;
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        if (*n == i && len > 0) {
            found = mem_alloc(len + 1);
            memcpy(found, p, len);
        }
        (*n)++;
        p += len;
        if (*p == '\0')
            return found;
    }
}

static size_t list_count(const char *list)
{
    size_t n;
    mem_free(list_item(list, SIZE_MAX, &n));
    return n;
}

static void read_hosts(struct db__dsn *d, const PQconninfoOption *opts)
{
    /* What the string leaves out may stand in PGHOST and the like; only then look there. */
    PQconninfoOption *defaults = PQconndefaults();
    const char *names = option(opts, "host"), *addrs = option(opts, "hostaddr"),
               *ports = option(opts, "port");
    if (names == NULL && addrs == NULL && option(opts, "service") == NULL) {
        names = option(defaults, "host");
        addrs = option(defaults, "hostaddr");
    }
    if (ports == NULL)
        ports = option(defaults, "port");
    size_t n = list_count(names) > list_count(addrs) ? list_count(names) : list_count(addrs);
    d->nhosts = n > 0 ? n : 1;
    d->host = mem_alloc(d->nhosts * sizeof(*d->host));
    for (size_t i = 0; i < d->nhosts; i++) {
        size_t ignored, nports = list_count(ports);
        d->host[i].name = list_item(names, i, &ignored);
        d->host[i].addr = list_item(addrs, i, &ignored);
        d->host[i].port = list_item(ports, nports == 1 ? 0 : i, &ignored);
    }
    PQconninfoFree(defaults);
}

struct db__dsn *db__dsn_new(const char *url, struct err *err)
{
    /* libpq's own message repeats the string, with the password in it. */
    PQconninfoOption *opts = url != NULL ? PQconninfoParse(url, NULL) : NULL;
    if (opts == NULL) {
        err_set(err, ERR_CONF, ERR_PERMANENT,
                "the database connection string cannot be read: expected "
                "postgres://USER:PASSWORD@HOST:PORT/NAME (with %%XX for special characters) or "
                "host=... dbname=... user=...");
        return NULL;
    }
    struct db__dsn *d = mem_alloc(sizeof(*d));
    size_t cap = 0;
    for (const PQconninfoOption *o = opts; o->keyword != NULL; o++)
        cap++;
    d->key = mem_alloc((cap + 1) * sizeof(*d->key));
    d->value = mem_alloc((cap + 1) * sizeof(*d->value));
    for (const PQconninfoOption *o = opts; o->keyword != NULL; o++) {
        if (o->val == NULL || strcmp(o->keyword, "host") == 0 ||
            strcmp(o->keyword, "hostaddr") == 0 || strcmp(o->keyword, "port") == 0)
            continue;
        d->key[d->n] = mem_strdup(o->keyword);
        d->value[d->n++] = mem_strdup(o->val);
    }
    read_hosts(d, opts);
    PQconninfoFree(opts);
    return d;
}

struct db__dsn *db__dsn_free(struct db__dsn *d)
{
    if (d == NULL)
        return NULL;
    for (size_t i = 0; i < d->n; i++) {
        mem_free(d->key[i]);
        mem_free(d->value[i]);
    }
    for (size_t i = 0; i < d->nhosts; i++) {
        mem_free(d->host[i].name);
        mem_free(d->host[i].addr);
        mem_free(d->host[i].port);
    }
    mem_free(d->key);
    mem_free(d->value);
    mem_free(d->host);
    mem_free(d);
    return NULL;
}

bool db__host_is_socket(const struct db__host *h)
{
    return h->name == NULL || h->name[0] == '/' || h->name[0] == '@';
}

static bool is_uri(const char *url)
{
    return strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0;
}

static void redacted_uri(struct buf *b, const PQconninfoOption *opts)
{
    const char *user = option(opts, "user"), *host = option(opts, "host"),
               *port = option(opts, "port");
    const char *name = option(opts, "dbname");
    buf_puts(b, "postgresql://");
    if (user != NULL)
        buf_puts(b, user);
    if (option(opts, "password") != NULL)
        buf_puts(b, ":***");
    if (user != NULL || option(opts, "password") != NULL)
        buf_putc(b, '@');
    if (host != NULL && host[0] != '/')
        buf_puts(b, host);
    if (port != NULL)
        buf_printf(b, ":%s", port);
    buf_putc(b, '/');
    if (name != NULL)
        buf_puts(b, name);
    if (host != NULL && host[0] == '/')
        buf_printf(b, "?host=%s", host);
}

char *db_url_redacted(const char *url)
{
    PQconninfoOption *opts = url != NULL ? PQconninfoParse(url, NULL) : NULL;
    if (opts == NULL)
        return mem_strdup("(unreadable connection string)");
    struct buf b = {0};
    if (is_uri(url)) {
        redacted_uri(&b, opts);
    } else {
        /* dispchar "*" is libpq's own mark of a secret. */
        for (const PQconninfoOption *o = opts; o->keyword != NULL; o++)
            if (o->val != NULL)
                buf_printf(&b, "%s%s=%s", b.n > 0 ? " " : "", o->keyword,
                           o->dispchar[0] == '*' ? "***" : o->val);
    }
    PQconninfoFree(opts);
    return b.p != NULL ? b.p : mem_strdup("");
}

/* Names are not looked up: "localhost" is all that can be told by its name. */
static bool is_remote(const struct db__host *h)
{
    const char *at = h->addr != NULL ? h->addr : h->name;
    if (h->addr == NULL && db__host_is_socket(h))
        return false;
    return strcmp(at, "localhost") != 0 && strncmp(at, "127.", 4) != 0 && strcmp(at, "::1") != 0;
}

static void copy_value(char *to, size_t n, const struct db__dsn *d, const char *key)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->key[i], key) == 0)
            snprintf(to, n, "%s", d->value[i]);
}

void db_url_look(const char *url, struct db_url_facts *ret)
{
    struct err err;
    struct db__dsn *d = db__dsn_new(url, &err);
    PQconninfoOption *defaults = PQconndefaults();
    const char *sslmode = option(defaults, "sslmode");
    *ret = (struct db_url_facts){.readable = d != NULL};
    snprintf(ret->sslmode, sizeof(ret->sslmode), "%s", sslmode != NULL ? sslmode : "prefer");
    PQconninfoFree(defaults);
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->nhosts; i++)
        ret->remote |= is_remote(&d->host[i]);
    for (size_t i = 0; i < d->n; i++)
        ret->password |= strcmp(d->key[i], "password") == 0 && d->value[i][0] != '\0';
    if (d->host[0].name != NULL || d->host[0].addr != NULL)
        snprintf(ret->host, sizeof(ret->host), "%s",
                 d->host[0].name != NULL ? d->host[0].name : d->host[0].addr);
    copy_value(ret->dbname, sizeof(ret->dbname), d, "dbname");
    copy_value(ret->user, sizeof(ret->user), d, "user");
    copy_value(ret->sslmode, sizeof(ret->sslmode), d, "sslmode");
    db__dsn_free(d);
}

void db__conf_copy(struct db_conf *to, const struct db_conf *from)
{
    *to = *from;
    to->url = mem_strdup(from->url != NULL ? from->url : "");
    to->application_name =
        mem_strdup(from->application_name != NULL ? from->application_name : "waymark");
    if (to->connect_timeout_ms <= 0)
        to->connect_timeout_ms = DB__CONNECT_TIMEOUT_MS;
    if (to->statement_timeout_ms <= 0)
        to->statement_timeout_ms = DB__STATEMENT_TIMEOUT_MS;
}

void db__conf_done(struct db_conf *c)
{
    mem_free((char *)c->url);
    mem_free((char *)c->application_name);
    *c = (struct db_conf){0};
}
