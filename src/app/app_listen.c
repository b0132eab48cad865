/* The two listeners: addresses, limits, what they answer. */
#include "app/app.h"

#include <sys/resource.h>

enum {
    ADDRESSES_MAX = 16,
    ADMIN_CONNECTIONS = 128,
    OTHER_FILES = 128, /* descriptors for all that is no connection of a client */
    FEWEST = 16,       /* public connections, however few descriptors there are */
};

static const char *const section[APP_SERVERS] = {"http", "admin"};

static const char *listen_of(const struct config *c, int which)
{
    return config_str(c, which == APP_PUBLIC ? "http.listen" : "admin.listen");
}

static bool is_on(const struct config *c, int which)
{
    return strcmp(listen_of(c, which), "off") != 0;
}

bool app_has_admin(const struct config *c)
{
    return is_on(c, APP_ADMIN);
}

static void on_request(void *ctx, const struct httpd_access *a)
{
    const char *listener = ctx;
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        char path[256];
        snprintf(path, sizeof(path), "%.*s", (int)a->path.n, a->path.p ? a->path.p : "");
        log_debug("request", L_S("listener", listener), L_S("method", httpd_method_name(a->method)),
                  L_S("path", path), L_I("status", a->status), L_I("us", a->duration_us),
                  L_S("client", a->client));
    }
}

static int listen_systemd(struct app *app, int which, struct err *err)
{
    int fds[ADDRESSES_MAX];
    size_t n = app_systemd_sockets(section[which], fds, ADDRESSES_MAX);
    if (n == 0) {
        return err_set(err, ERR_CONF, ERR_PERMANENT,
                       "systemd has opened no socket named %s: FileDescriptorName=%s in the socket "
                       "unit, or give an address",
                       section[which], section[which]);
    }
    for (size_t i = 0; i < n; i++) {
        if (httpd_listen_fd(app->server[which], fds[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int listen_all(struct app *app, int which, struct err *err)
{
    const char *list = listen_of(app->config, which);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        char address[256];
        struct span one = span_trim((struct span){p, n});
        p += n + (p[n] == ',');
        if (one.n == 0 || one.n >= sizeof(address)) {
            return err_set(err, ERR_CONF, ERR_PERMANENT,
                           "%s.listen = \"%s\": one of its addresses is empty or too long",
                           section[which], list);
        }
        memcpy(address, one.p, one.n);
        address[one.n] = '\0';
        int rc = strcmp(address, "systemd") == 0
                     ? listen_systemd(app, which, err)
                     : httpd_listen(app->server[which], address, 0660, err);
        if (rc != 0) {
            return err_wrap(err, "%s.listen: ", section[which]);
        }
    }
    return 0;
}

/* Each connection takes a descriptor, and so do those that are only told that there is no room. The
 * public listener must leave some for the admin's and for the database. */
static unsigned public_connections(const struct config *c)
{
    const unsigned wanted = (unsigned)config_i64(c, "http.max_connections");
    const rlim_t others = ADMIN_CONNECTIONS + ADMIN_CONNECTIONS / 4 + OTHER_FILES;
    const rlim_t needed = others + wanted + wanted / 4;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed) {
        return wanted;
    }
    /* Programs that call select() are why the limit is 1024 at first: we are none. */
    const struct rlimit more = {.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed,
                                .rlim_max = files.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) {
        files = more;
    }
    if (files.rlim_cur >= needed) {
        return wanted;
    }
    rlim_t room = files.rlim_cur > others ? (files.rlim_cur - others) * 4 / 5 : 0;
    unsigned fewer = room > FEWEST ? (unsigned)room : FEWEST;
    fewer = fewer < wanted ? fewer : wanted;
    log_warn("fewer public connections than http.max_connections: the limit of open files is too "
             "low (ulimit -n, LimitNOFILE=)",
             L_I("limit", (int64_t)files.rlim_cur), L_I("needed", (int64_t)needed),
             L_I("connections", fewer));
    return fewer;
}

static int open_server(struct app *app, int which, struct err *err)
{
    const struct config *c = app->config;
    const struct httpd_conf conf = {
        .name = section[which],
        .max_connections = which == APP_PUBLIC ? public_connections(c) : ADMIN_CONNECTIONS,
        .trusted =
            config_str(c, which == APP_PUBLIC ? "http.trusted_proxies" : "admin.trusted_proxies"),
        .on_request = on_request,
        .ctx = (void *)(uintptr_t)section[which],
    };
    app->server[which] = httpd_new(app->loop, &conf, err);
    if (!app->server[which]) {
        return err_wrap(err, "%s.trusted_proxies: ", section[which]);
    }
    if (which == APP_PUBLIC) {
        web_mount_public(app->web, app->server[which]);
    } else {
        web_mount_admin(app->web, app->server[which]);
    }
    return listen_all(app, which, err);
}

static void on_events_job(void *ctx)
{
    const struct app *app = ctx;
    jobs_hint(app->jobs);
}

/* Only where the public listener is can Strava reach us. */
static int open_events(struct app *app, struct err *err)
{
    const char *url = config_str(app->config, "strava.callback_url");
    if (!app_strava_is_on(app->config) || !url || !*url || !is_on(app->config, APP_PUBLIC)) {
        return 0;
    }
    if (ingest_callback_path(url, app->hook_path, err) != 0) {
        return err_wrap(err, "strava.callback_url = ");
    }
    const struct ingest_events_conf conf = {
        .db = &app->work_db, .on_job = on_events_job, .ctx = app};
    app->events = ingest_events_open(app->loop, &conf);
    return 0;
}

int app_open_web(struct app *app, struct err *err)
{
    const struct config *c = app->config;
    if (!is_on(c, APP_PUBLIC) && !is_on(c, APP_ADMIN)) {
        return 0;
    }
    const char *secret = config_str(c, "admin.secret");
    if (open_events(app, err) != 0) {
        return -1;
    }
    const char *origin = NULL;
    app->arena = arena_new(0);
    if (app_public_origin(c, app->arena, &origin, err) != 0) {
        return -1;
    }
    const struct web_conf conf = {
        .db = &app->work_db,
        .jobs = app->jobs,
        .alert = app->alert,
        .channel = config_str(c, "database.channel"),
        .data_dir = app->cluster ? app->data_dir : NULL,
        .version = WAYMARK_VERSION,
        .admin_secret = secret && *secret ? secret : NULL,
        .hook_path = app->events ? app->hook_path : NULL,
        .events = app->events,
        .strava = app->strava,
        .origin = origin,
    };
    app->web = web_open(app->loop, &conf);
    for (int i = 0; i < APP_SERVERS; i++) {
        if (is_on(c, i) && open_server(app, i, err) != 0) {
            return -1;
        }
        for (unsigned k = 0; app->server[i] && httpd_bound(app->server[i], k); k++) {
            log_info("listening", L_S("listener", section[i]),
                     L_S("address", httpd_bound(app->server[i], k)));
        }
    }
    return 0;
}
