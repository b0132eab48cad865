/* app: the configuration as a whole, and what every command needs brought up in order: database
 * (embedded or given), schema, queue, trails. Included by cli/ and nobody else. */
#pragma once

#include "alert/alert.h"
#include "base/base.h"
#include "db/db.h"
#include "fetch/fetch.h"
#include "httpd/httpd.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "people/people.h"
#include "strava/strava.h"
#include "trails/trails.h"
#include "web/web.h"

/* Every setting there is; config.example.toml is printed from it. */
extern const struct config_key app_config_keys[];
extern const size_t app_config_key_count;

/* config.example.toml, from the table. */
void app_config_example(struct buf *out);
/* Loads file (NULL: $WAYMARK_CONFIG, ./config.toml, $XDG_CONFIG_HOME/waymark/config.toml,
 * /etc/waymark/config.toml: the first there is, or none) and environment, then flags
 * ("section.key", value pairs, n of them), and checks everything. *file_used (may be NULL) gets the
 * path read, owned by the arena, or NULL. */
struct app_flag {
    const char *name, *value;
};
struct config *app_config_load(const char *file, char *const *environ_,
                               const struct app_flag *flags, size_t n, struct arena *a,
                               const char **file_used, struct err *err) MUST_CHECK;
/* Where a file is looked for when none is named, in this order. */
enum { APP_CONFIG_PLACES = 3 };
void app_config_places(struct arena *a, const char *ret[APP_CONFIG_PLACES]);
/* The data folder, as an absolute path; -1 when there is no place for it. */
int app_data_dir(const struct config *c, struct arena *a, const char **ret,
                 struct err *err) MUST_CHECK;
/* What the user's environment says to libpq is meant for databases of theirs, not for the private
 * one. */
void app_forget_pg_environment(void);

enum { APP_PUBLIC, APP_ADMIN, APP_SERVERS };
enum { APP_KINDS_MAX = 32 };
struct app {
    struct loop *loop;
    const struct config *config;
    struct db_conf db;          /* the server itself */
    struct db_conf work_db;     /* for the pool: the same, or a pooler before it */
    struct db_cluster *cluster; /* NULL: a database was configured */
    char data_dir[4096];        /* of the cluster */
    struct db_pool *pool;
    struct trails *trails; /* these only after app_open_work */
    struct jobs *jobs;
    struct jobs_kind kinds[APP_KINDS_MAX]; /* of the main queue, feature by feature */
    size_t nkinds;
    bool serves;         /* others can reach us: set before app_open_work */
    struct fetch *fetch; /* these two only after app_open_strava; NULL: nothing is fetched */
    struct strava *strava;
    struct ingest_sync *sync; /* after app_open_work; NULL likewise */
    struct jobs *calls;       /* the queue of those; after app_open_work, if strava is open */
    struct jobs_kind call_kinds[INGEST_STRAVA_KINDS + 1];
    struct people_checks checks; /* the last of these kinds */
    struct web *web;             /* these two only after app_open_web; NULL: switched off */
    struct httpd *server[APP_SERVERS];
    struct ticker *watchdog;
    struct ingest_subscription subscription;
    struct ingest_events *events;    /* after app_open_web; NULL: Strava pushes none */
    char hook_path[INGEST_PATH_MAX]; /* where it does; "" likewise */
    struct arena *arena;             /* what web is told of the configuration; or NULL */
    struct alert *alert;             /* after app_open_alerts */
};

enum app_schema { APP_SCHEMA_MIGRATE, APP_SCHEMA_CHECK };
/* The logging the configuration asks for. */
void app_log_init(const struct config *c);
struct loop *app_loop_new(const struct config *c, struct err *err) MUST_CHECK;
/* A flow: the database answers and its schema is the newest (MIGRATE makes it so; the embedded one
 * always does). wait_ms: how long to wait for a configured database that is down. */
struct flow *app_up_flow(struct app *app, enum app_schema schema, int64_t wait_ms);
/* Opens the HTTP client, if it is not open. Fails (CONF). */
int app_open_fetch(struct app *app, struct err *err) MUST_CHECK;
/* What the configuration says of alerts; strings are the configuration's. */
struct alert_conf app_alert_conf(const struct config *c);
/* Opens alerts, and the client for them, before app_open_work, which takes on their jobs then.
 * Fails (CONF). */
int app_open_alerts(struct app *app, struct err *err) MUST_CHECK;
/* Opens what calls Strava, if it is configured. Fails (CONF) when something of that is missing, or
 * the key of the tokens cannot be had. */
int app_open_strava(struct app *app, struct err *err) MUST_CHECK;
/* The keys that tokens are encrypted with, as configured; none: they are not. Makes the file of the
 * private database's key when there is none. */
int app_strava_keys(const struct app *app, struct strava_keys *ret, struct err *err) MUST_CHECK;
/* Opens queues, trails and syncs on a database that is up. */
void app_open_work(struct app *app);
/* jobs_start, and jobs_wake, of both queues. */
void app_start_work(struct app *app);
void app_wake_work(struct app *app);
/* Opens the queue of calls and puts the kinds about Strava to those of the other (app_strava.c). */
void app__open_calls(struct app *app);
/* Room for n more kinds of the main queue, for a feature to fill in. */
struct jobs_kind *app__more_kinds(struct app *app, size_t n);
/* Frees what app_open_strava opened, but for the client, whose op (uninitialised) finishes when it
 * is closed; false: there is none. */
bool app__close_strava(struct app *app, struct op *op);
/* Opens the two listeners, as configured, on work that is open. Fails (CONF) when an address cannot
 * be had. */
int app_open_web(struct app *app, struct err *err) MUST_CHECK;
/* Where people reach the public listener, "https://trails.example.org": http.public_url, else the
 * origin of strava.callback_url; NULL: neither is given. -1 (CONF): it is no such address. */
int app_public_origin(const struct config *c, struct arena *a, const char **ret,
                      struct err *err) MUST_CHECK;
/* Whether there is anything to do with Strava. */
bool app_strava_is_on(const struct config *c);
/* Whether the admin listener is switched on. */
bool app_has_admin(const struct config *c);

/* Tells systemd (sd_notify(3)): lines such as "READY=1"; nothing if it does not listen. */
void app_notify(const char *lines);
/* Feeds systemd's watchdog from the loop, if there is one. */
void app_watchdog_start(struct app *app);
/* Sockets that systemd has opened for us under that name (sd_listen_fds(3)), at most max; how many.
 */
size_t app_systemd_sockets(const char *name, int *fds, size_t max);

/* A flow: drains the listeners and the queue, closes pools, stops the embedded cluster. Also of an
 * app only half up.
 */
struct flow *app_down_flow(struct app *app);
