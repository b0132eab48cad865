/* The configuration as doctor sees it: facts of it, even when it cannot be read as a whole. */
#include "cli/doctor.h"

#include <unistd.h>

/* ---- addresses ------------------------------------------------------------------------------- */

static void read_port(struct span text, struct doctor_port *p)
{
    snprintf(p->text, sizeof(p->text), "%.*s", (int)text.n, text.p);
    if (span_is(text, "systemd"))
        p->kind = DOCTOR_PORT_SYSTEMD;
    else if (httpd_address_read(p->text, &p->at, &p->bad) < 0)
        p->kind = DOCTOR_PORT_BAD;
    else
        p->kind = p->at.ss_family == AF_UNIX ? DOCTOR_PORT_UNIX : DOCTOR_PORT_TCP;
    p->scope = doctor__scope(&p->at);
}

void doctor__read_ports(const char *list, struct doctor_ports *p)
{
    if (!list || strcmp(list, "off") == 0)
        return;
    while (*list) {
        struct span text = span_trim((struct span){list, strcspn(list, ",")});
        list += strcspn(list, ",");
        list += *list == ',';
        if (p->n == DOCTOR_PORTS_MAX)
            p->left_out++;
        else
            read_port(text, &p->port[p->n++]);
    }
}

/* ---- what can be read of it ------------------------------------------------------------------ */

/* Environment and the common options, without the file; NULL if even these are wrong. */
static struct config *without_file(struct cli *c)
{
    static const char *const flag[][2] = {
        {"database-url", "database.url"}, {"data-dir", "data.dir"}, {"log-level", "log.level"}};
    struct err ignored;
    struct config *conf = config_new(app_config_keys, app_config_key_count);
    int rc = config_load_env(conf, c->envp, &ignored);
    for (size_t i = 0; i < COUNT_OF(flag) && rc == 0; i++) {
        const char *value = cli_option(c, flag[i][0]);
        rc = value ? config_set_flag(conf, flag[i][1], value, &ignored) : 0;
    }
    rc = rc == 0 ? config_check(conf, &ignored) : rc;
    return rc == 0 ? conf : config_free(conf);
}

static struct config *defaults(void)
{
    struct err err;
    struct config *conf = config_new(app_config_keys, app_config_key_count);
    CHECK(config_check(conf, &err) == 0);
    return conf;
}

static void load(struct cli *c, struct doctor_facts *f)
{
    c->config = cli__load_config(c, &c->err);
    if (c->config)
        return;
    f->conf.err = c->err;
    c->err = (struct err){0};
    c->config = without_file(c);
    if (!c->config)
        c->config = defaults();
}

/* ---- facts of it ----------------------------------------------------------------------------- */

/* Those that stand in the file itself. A connection string is a secret only with a password. */
static const char *secrets_in_file(const struct cli *c)
{
    struct buf names = {0};
    size_t n = strlen(c->config_file);
    for (size_t i = 0; i < app_config_key_count; i++) {
        const struct config_key *k = &app_config_keys[i];
        struct db_url_facts url = {.password = true};
        if (k->type != CONFIG_SECRET || !config_is_set(c->config, k->name) ||
            config_is_apart(c->config, k->name))
            continue;
        const char *source = config_source(c->config, k->name);
        if (strncmp(source, c->config_file, n) != 0 || source[n] != ':')
            continue;
        if (strncmp(k->name, "database.", 9) == 0)
            db_url_look(config_str(c->config, k->name), &url);
        if (url.password)
            buf_printf(&names, "%s%s", names.n ? ", " : "", k->name);
    }
    const char *text = arena_strdup(c->arena, names.p ? names.p : "");
    buf_done(&names);
    return text;
}

/* A file that goes before the one in force and that we may not read: it is passed over in silence.
 */
static const char *passed_over(struct cli *c)
{
    const char *place[APP_CONFIG_PLACES], *named = getenv("WAYMARK_CONFIG");
    if (cli_option(c, "config") || (named && *named))
        return NULL;
    app_config_places(c->arena, place);
    for (size_t i = 0; i < COUNT_OF(place); i++) {
        if (c->config_file && strcmp(place[i], c->config_file) == 0)
            return NULL;
        if (access(place[i], F_OK) == 0 && access(place[i], R_OK) != 0)
            return place[i];
    }
    return NULL;
}

static const char *str(const struct cli *c, const char *name)
{
    const char *v = config_str(c->config, name);
    return v ? v : "";
}

static void read_database(struct cli *c, struct doctor_conf *d)
{
    const char *url = str(c, "database.url"), *direct = str(c, "database.direct_url");
    d->has_url = *url != '\0';
    d->has_direct = *direct != '\0' && d->has_url;
    if (d->has_url)
        db_url_look(url, &d->url);
    if (d->has_direct)
        db_url_look(direct, &d->direct);
    d->connections = config_i64(c->config, "database.connections");
}

static void read_strava(const struct cli *c, struct doctor_strava *s)
{
    const char *callback = str(c, "strava.callback_url");
    s->on = app_strava_is_on(c->config);
    s->callback_url = *callback ? callback : NULL;
    s->keep = strcmp(str(c, "strava.subscription"), "keep") == 0;
}

void doctor__read_conf(struct cli *c, struct doctor_facts *f)
{
    struct doctor_conf *d = &f->conf;
    load(c, f);
    d->file.path = c->config_file;
    d->secrets = c->config_file && d->err.class == 0 ? secrets_in_file(c) : "";
    d->unreadable = passed_over(c);
    read_database(c, d);
    read_strava(c, &f->strava);
    f->private_db = !d->has_url && d->err.class == 0;
    d->has_secret = *str(c, "admin.secret") != '\0';
    d->secret_bytes = strlen(str(c, "admin.secret"));
    d->http_proxies = str(c, "http.trusted_proxies");
    d->admin_proxies = str(c, "admin.trusted_proxies");
    d->log_level = str(c, "log.level");
    d->drain_ms = config_i64(c->config, "processor.drain");
    d->systemd = getenv("NOTIFY_SOCKET") || getenv("INVOCATION_ID");
    d->concurrency = config_i64(c->config, "processor.concurrency");
    d->batch_mb = config_i64(c->config, "processor.batch_mb");
    d->route_cache_mb = config_i64(c->config, "processor.route_cache_mb");
    d->http_connections = config_i64(c->config, "http.max_connections");
    if (d->err.class == 0) {
        doctor__read_ports(config_str(c->config, "http.listen"), &f->http);
        doctor__read_ports(config_str(c->config, "admin.listen"), &f->admin);
    }
    f->admin.admin = true;
    d->http_on = f->http.n > 0;
}
