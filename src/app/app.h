/* app: the configuration as a whole, and what every command needs brought up in order: database
 * (embedded or given), schema, queue, trails. Included by cli/ and nobody else. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "jobs/jobs.h"
#include "loop/loop.h"
#include "trails/trails.h"

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

struct app {
    struct loop *loop;
    const struct config *config;
    struct db_conf db;          /* the server itself */
    struct db_conf work_db;     /* for the pool: the same, or a pooler before it */
    struct db_cluster *cluster; /* NULL: a database was configured */
    struct db_pool *pool;
    struct trails *trails; /* these two only after app_open_work */
    struct jobs *jobs;
    struct jobs_kind kinds[TRAILS_KINDS];
};

enum app_schema { APP_SCHEMA_MIGRATE, APP_SCHEMA_CHECK };
/* The logging the configuration asks for. */
void app_log_init(const struct config *c);
struct loop *app_loop_new(const struct config *c, struct err *err) MUST_CHECK;
/* A flow: the database answers and its schema is the newest (MIGRATE makes it so; the embedded one
 * always does). wait_ms: how long to wait for a configured database that is down. */
struct flow *app_up_flow(struct app *app, enum app_schema schema, int64_t wait_ms);
/* Opens the queue and trails on a database that is up; jobs_start is the caller's. */
void app_open_work(struct app *app);
/* A flow: drains the queue, closes pools, stops the embedded cluster. Also of an app only half up.
 */
struct flow *app_down_flow(struct app *app);
