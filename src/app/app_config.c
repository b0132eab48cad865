/* Every setting, where it is looked for, and what it looks like as a file. */
#include "app/app.h"

#include <errno.h>
#include <unistd.h>

#define DAY_MS  (24LL * 3600 * 1000)
#define HOUR_MS (3600LL * 1000)

const struct config_key app_config_keys[] = {
    {.name = "database.url",
     .type = CONFIG_SECRET,
     .legacy = "POSTGRES_CONNECTION_STRING|POSTGRES_CONNECTION_URL",
     .doc = "connection string or postgres:// URL of your PostgreSQL; empty: Waymark runs a "
            "private one itself"},
    {.name = "database.direct_url",
     .type = CONFIG_SECRET,
     .doc = "where url leads to a pooler in transaction mode (pgbouncer): the server itself, for "
            "LISTEN, the heartbeat and migrations"},
    {.name = "database.channel",
     .type = CONFIG_STRING,
     .fallback = "processing",
     .legacy = "POSTGRES_LISTEN_CHANNEL",
     .doc = "a NOTIFY on this channel wakes the service"},
    {.name = "database.connections",
     .type = CONFIG_INT,
     .fallback = "4",
     .min = 2,
     .max = 100,
     .doc = "connections for work, besides two for pages, two for Strava's events, one for the "
            "heartbeat of each queue and one that listens"},
    {.name = "database.connect_timeout",
     .type = CONFIG_DURATION,
     .fallback = "10s",
     .min = 100,
     .max = 600000,
     .doc = "for one attempt to connect"},
    {.name = "database.statement_timeout",
     .type = CONFIG_DURATION,
     .fallback = "60s",
     .min = 1000,
     .max = 3600000,
     .doc = "the server ends a statement that takes longer"},
    {.name = "data.dir",
     .type = CONFIG_STRING,
     .doc = "folder of the private PostgreSQL; default $XDG_STATE_HOME/waymark, for root "
            "/var/lib/waymark"},
    {.name = "data.key",
     .type = CONFIG_SECRET,
     .doc = "what encrypts tokens: 64 hex digits; several, separated by commas, where the first "
            "encrypts and all decrypt; empty: the file key in data.dir, made when there is none"},
    {.name = "http.listen",
     .type = CONFIG_STRING,
     .fallback = "*:8080",
     .doc = "addresses of the public listener, separated by commas: address:port, unix:/path, "
            "systemd (a socket named http), or off"},
    {.name = "http.trusted_proxies",
     .type = CONFIG_STRING,
     .doc = "whose X-Forwarded-For and -Proto count: addresses, networks such as 10.0.0.0/8, unix"},
    {.name = "http.max_connections",
     .type = CONFIG_INT,
     .fallback = "1024",
     .min = 8,
     .max = 100000,
     .doc = "public connections at once"},
    {.name = "http.public_url",
     .type = CONFIG_STRING,
     .doc = "where people reach the public listener, such as https://trails.example.org; empty: "
            "the origin of strava.callback_url"},
    {.name = "admin.listen",
     .type = CONFIG_STRING,
     .fallback = "127.0.0.1:9090",
     .doc = "addresses of the admin listener (health, metrics, queue pages), as http.listen; its "
            "socket is named admin"},
    {.name = "admin.trusted_proxies", .type = CONFIG_STRING, .doc = "as http.trusted_proxies"},
    {.name = "admin.secret",
     .type = CONFIG_SECRET,
     .doc = "what opens the queue pages; empty: made when there is none, and shown once in the "
            "log"},
    {.name = "log.level",
     .type = CONFIG_CHOICE,
     .fallback = "info",
     .choices = "debug|info|warn|error",
     .doc = "what is logged, to standard error"},
    {.name = "log.format",
     .type = CONFIG_CHOICE,
     .fallback = "logfmt",
     .choices = "logfmt|json",
     .doc = "how a line looks"},
    {.name = "processor.interval",
     .type = CONFIG_DURATION,
     .fallback = "1h",
     .min = 1000,
     .max = DAY_MS,
     .legacy = "PROCESSOR_INTERVAL",
     .doc = "look for forgotten work this often, besides every NOTIFY"},
    {.name = "processor.concurrency",
     .type = CONFIG_INT,
     .fallback = "2",
     .min = 1,
     .max = 64,
     .legacy = "PROCESSOR_CONCURRENCY",
     .doc = "batches in flight, each in a thread of its own"},
    {.name = "processor.batch_size",
     .type = CONFIG_INT,
     .fallback = "50",
     .min = 1,
     .max = 1000,
     .legacy = "PROCESSOR_BATCH_SIZE",
     .doc = "activities in one transaction"},
    {.name = "processor.batch_mb",
     .type = CONFIG_INT,
     .fallback = "16",
     .min = 1,
     .max = 1024,
     .doc = "and at most so many MB of their tracks"},
    {.name = "processor.route_cache_mb",
     .type = CONFIG_INT,
     .fallback = "48",
     .min = 1,
     .max = 4096,
     .doc = "routes kept ready to match"},
    {.name = "processor.poll",
     .type = CONFIG_DURATION,
     .fallback = "30s",
     .min = 100,
     .max = HOUR_MS,
     .doc = "look at the queue this often should a NOTIFY get lost"},
    {.name = "processor.drain",
     .type = CONFIG_DURATION,
     .fallback = "25s",
     .min = 0,
     .max = 600000,
     .doc = "time for running work to end when the service is stopped"},
    {.name = "strava.client_id",
     .type = CONFIG_STRING,
     .legacy = "STRAVA_CLIENT_ID",
     .doc = "of your API application at strava.com/settings/api; empty: nothing is fetched from "
            "Strava"},
    {.name = "strava.client_secret",
     .type = CONFIG_SECRET,
     .legacy = "STRAVA_CLIENT_SECRET",
     .doc = "the application's secret"},
    {.name = "strava.callback_url",
     .type = CONFIG_STRING,
     .legacy = "STRAVA_CALLBACK_URL",
     .doc = "where Strava sends events, such as https://trails.example.org/webhook/ and a long "
            "random word; empty: no events, only looking"},
    {.name = "strava.subscription",
     .type = CONFIG_CHOICE,
     .fallback = "keep",
     .choices = "keep|off",
     .doc = "keep: the subscription to events is made, and mended, at start and every day"},
    {.name = "strava.scopes",
     .type = CONFIG_STRING,
     .fallback = "read,activity:read,activity:read_all",
     .doc = "what athletes are asked to grant"},
    {.name = "strava.tokens",
     .type = CONFIG_CHOICE,
     .fallback = "auto",
     .choices = "auto|encrypted|plain",
     .doc = "how tokens are stored; auto: encrypted in a private database or where data.key is "
            "given, else plain, as a trail-progress frontend reads them"},
    {.name = "strava.streams",
     .type = CONFIG_CHOICE,
     .fallback = "near",
     .choices = "near|all|none",
     .doc = "whose recorded tracks are fetched, a call each: activities near a route, all or none"},
    {.name = "strava.details",
     .type = CONFIG_CHOICE,
     .fallback = "none",
     .choices = "near|all|none",
     .doc = "whose details are fetched in a backfill, a call each; lists say most of it"},
    {.name = "strava.overlap",
     .type = CONFIG_DURATION,
     .fallback = "30d",
     .min = HOUR_MS,
     .max = 366 * DAY_MS,
     .doc = "how far back the daily comparison looks; the weekly one looks at everything"},
    {.name = "strava.retention",
     .type = CONFIG_DURATION,
     .fallback = "0s",
     .min = 0,
     .max = 3660 * DAY_MS,
     .doc = "activities from Strava go when Strava has not shown them for so long; 0s: they stay"},
    {.name = "strava.concurrency",
     .type = CONFIG_INT,
     .fallback = "4",
     .min = 1,
     .max = 32,
     .doc = "calls to Strava at once"},
    {.name = "strava.api_url",
     .type = CONFIG_STRING,
     .fallback = "https://www.strava.com/api/v3",
     .doc = "base of its API; another host from 2027 on"},
    {.name = "strava.oauth_url",
     .type = CONFIG_STRING,
     .fallback = "https://www.strava.com",
     .doc = "base of its login"},
    {.name = "alert.discord_url", .type = CONFIG_SECRET, .doc = "a Discord webhook"},
    {.name = "alert.slack_url", .type = CONFIG_SECRET, .doc = "a Slack incoming webhook"},
    {.name = "alert.teams_url", .type = CONFIG_SECRET, .doc = "a Microsoft Teams workflow"},
    {.name = "alert.ntfy_url", .type = CONFIG_SECRET, .doc = "a topic of ntfy, with its server"},
    {.name = "alert.webhook_url",
     .type = CONFIG_SECRET,
     .doc = "any address that takes a POST of JSON"},
    {.name = "alert.quiet_after",
     .type = CONFIG_DURATION,
     .fallback = "7d",
     .min = HOUR_MS,
     .max = 366 * DAY_MS,
     .doc = "say so when nothing was imported for so long"},
};
const size_t app_config_key_count = COUNT_OF(app_config_keys);

static void example_default(const struct config_key *k, struct buf *out)
{
    const char *dot = strchr(k->name, '.') + 1;
    if (!k->fallback) {
        buf_printf(out, "# %s = \"\"\n", dot);
    } else if (k->type == CONFIG_INT || k->type == CONFIG_BOOL) {
        buf_printf(out, "# %s = %s\n", dot, k->fallback);
    } else {
        buf_printf(out, "# %s = \"%s\"\n", dot, k->fallback);
    }
}

void app_config_example(struct buf *out)
{
    buf_puts(
        out,
        "# Waymark's settings, with their defaults. Every one can also be given as environment\n"
        "# WAYMARK_<SECTION>_<KEY>, secrets as WAYMARK_<SECTION>_<KEY>_FILE too; flags go before "
        "both.\n"
        "# Printed by `waymark config example`; `waymark config check` tells what is in force, and "
        "why.\n");
    size_t section = 0;
    const char *last = "";
    for (size_t i = 0; i < app_config_key_count; i++) {
        const struct config_key *k = &app_config_keys[i];
        size_t n = (size_t)(strchr(k->name, '.') - k->name);
        if (n != section || strncmp(last, k->name, n) != 0) {
            buf_printf(out, "\n[%.*s]\n", (int)n, k->name);
            section = n;
            last = k->name;
        }
        buf_printf(out, "# %s", k->doc);
        if (k->choices) {
            buf_printf(out, " (%s)", k->choices);
        }
        if (k->legacy) {
            buf_puts(out, "; also environment ");
            for (const char *p = k->legacy; *p; p++) {
                if (*p == '|') {
                    buf_puts(out, ", ");
                } else {
                    buf_putc(out, *p);
                }
            }
        }
        buf_putc(out, '\n');
        example_default(k, out);
    }
}

static bool readable(const char *path)
{
    return access(path, R_OK) == 0;
}

void app_config_places(struct arena *a, const char *ret[APP_CONFIG_PLACES])
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    ret[0] = "config.toml";
    ret[1] = xdg && *xdg ? arena_printf(a, "%s/waymark/config.toml", xdg)
                         : arena_printf(a, "%s/.config/waymark/config.toml", home ? home : "");
    ret[2] = "/etc/waymark/config.toml";
}

/* The first configuration file there is. WAYMARK_CONFIG must exist if it is set. */
static int find_file(struct arena *a, const char **ret, struct err *err)
{
    const char *named = getenv("WAYMARK_CONFIG");
    *ret = NULL;
    if (named && *named) {
        *ret = arena_strdup(a, named);
        return readable(named)
                   ? 0
                   : err_set(err, ERR_CONF, ERR_PERMANENT,
                             "environment WAYMARK_CONFIG = \"%s\": %s", named, strerror(errno));
    }
    const char *candidate[APP_CONFIG_PLACES];
    app_config_places(a, candidate);
    for (size_t i = 0; i < COUNT_OF(candidate) && !*ret; i++) {
        *ret = readable(candidate[i]) ? candidate[i] : NULL;
    }
    return 0;
}

/* A longer one would lock everybody out. */
static int check_secret(const struct config *c, struct err *err)
{
    const char *secret = config_str(c, "admin.secret");
    return !secret || strlen(secret) <= WEB_SECRET_MAX
               ? 0
               : err_set(err, ERR_CONF, ERR_PERMANENT,
                         "%s: admin.secret is longer than the %d bytes that the login form takes",
                         config_source(c, "admin.secret"), WEB_SECRET_MAX);
}

/* Read again where it is used: here so that a wrong one is told at once. */
static int check_callback(const struct config *c, struct err *err)
{
    const char *url = config_str(c, "strava.callback_url");
    char path[INGEST_PATH_MAX];
    return !url || !*url || ingest_callback_path(url, path, err) == 0
               ? 0
               : err_wrap(err,
                          "%s: strava.callback_url = ", config_source(c, "strava.callback_url"));
}

/* The login sends people back to an address that looks like it, and is another. */
static int check_callback_is_free(const struct config *c, struct err *err)
{
    const char *url = config_str(c, "strava.callback_url");
    char path[INGEST_PATH_MAX];
    return !url || !*url || ingest_callback_path(url, path, err) != 0 || !web_has_path(path)
               ? 0
               : err_set(err, ERR_CONF, ERR_PERMANENT,
                         "%s: strava.callback_url: %s is a page of people's; events need a path of "
                         "their own, such as /webhook/ and a long random word",
                         config_source(c, "strava.callback_url"), path);
}

static int check_public_url(const struct config *c, struct err *err)
{
    struct arena *a = arena_new(0);
    const char *origin;
    int rc = app_public_origin(c, a, &origin, err);
    arena_free(a);
    return rc;
}

/* They are used when something is amiss, which is no time to find out that they cannot be. */
static int check_alerts(const struct config *c, struct err *err)
{
    for (int to = 0; to < ALERT_TOS; to++) {
        char key[64];
        snprintf(key, sizeof(key), "alert.%s_url", alert_name((enum alert_to)to));
        const char *url = config_str(c, key);
        if (url && *url && alert_check_url(url, err) != 0) {
            return err_wrap(err, "%s: %s is ", config_source(c, key), key);
        }
    }
    return 0;
}

struct config *app_config_load(const char *file, char *const *environ_,
                               const struct app_flag *flags, size_t n, struct arena *a,
                               const char **file_used, struct err *err)
{
    struct config *c = config_new(app_config_keys, app_config_key_count);
    int rc = file ? 0 : find_file(a, &file, err);
    if (rc == 0 && file) {
        rc = config_load_file(c, file, err);
    }
    rc = rc == 0 ? config_load_env(c, environ_, err) : rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = config_set_flag(c, flags[i].name, flags[i].value, err);
    }
    rc = rc == 0 ? config_check(c, err) : rc;
    rc = rc == 0 ? check_secret(c, err) : rc;
    rc = rc == 0 ? check_callback(c, err) : rc;
    rc = rc == 0 ? check_callback_is_free(c, err) : rc;
    rc = rc == 0 ? check_public_url(c, err) : rc;
    rc = rc == 0 ? check_alerts(c, err) : rc;
    if (file_used) {
        *file_used = file;
    }
    return rc == 0 ? c : config_free(c);
}
