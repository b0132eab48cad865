/* waymark doctor, shared by its files. Facts are gathered first, everything at the same time and
 * each with a limit (cmd_doctor.c, doctor_db_flow.c, doctor_look_work.c); then every check of the
 * table (doctor_checks.c) makes its verdict of them (doctor_rules_*.c): pure, so that what is not
 * there hides nothing else. */
#pragma once

#include "cli/doctor_look.h"
#include "cli/internal.h"
#include "httpd/httpd.h"

/* ---- facts ----------------------------------------------------------------------------------- */

/* Something that was asked for. Neither answered nor err: it was not, or the answer is not there
 * yet. */
struct doctor_part {
    bool answered;
    struct err err;
};

struct doctor_conf {
    struct err err;          /* class 0: it can be read */
    const char *unreadable;  /* a file in a usual place that we may not read, or NULL */
    struct doctor_file file; /* the one in force */
    bool looked;             /* at the file */
    const char *secrets;     /* those that stand in it: "database.url, admin.secret"; "" for none */
    bool has_url, has_direct, has_secret;
    struct db_url_facts url, direct;
    size_t secret_bytes;
    const char *http_proxies, *admin_proxies, *log_level;
    bool http_on;
    int64_t drain_ms;
    bool systemd; /* we are a service of its */
    int64_t connections, concurrency, batch_mb, route_cache_mb, http_connections;
};

struct doctor_instance {
    const char *host, *version;
    int64_t pid, beat_ms; /* age of its last beat */
    bool draining;
};
struct doctor_migration {
    int64_t version;
    const char *name, *sha256;
};

struct doctor_db {
    const char *why_not; /* nobody was asked; a whole clause */
    const char *where;   /* without a password */
    struct doctor_part connected;
    int64_t connect_ms;

    struct doctor_part server;
    const char *version, *encoding, *synchronous_commit;
    int64_t version_num;
    bool standby, read_only, encrypted, checksums, fsync, full_page_writes, autovacuum;
    int64_t idle_session_ms, transaction_ms, lock_ms; /* 0: none */

    struct doctor_part load;
    int64_t room, in_use;           /* connections for such as us */
    int64_t role_limit, base_limit; /* -1: none */
    int64_t oldest_s, oldest_pid;   /* transaction; 0: none */
    double notify_share;
    int64_t job_live, job_dead;
    int64_t clock_ms; /* its clock minus ours */

    struct doctor_part rights;
    const char *role, *name, *postgis, *postgis_schema, *postgis_offered;
    bool superuser, may_create_schema, may_create_table, sees_geography, postgis_trusted,
        has_schema;
    int64_t not_owned, not_usable;
    const char *not_owned_one, *not_usable_one;

    struct doctor_part zones;
    bool knows_zurich, knows_newfoundland;

    struct doctor_part schema;
    struct doctor_migration *applied;
    size_t napplied;

    struct doctor_part listening; /* LISTEN was accepted */
    struct doctor_part told;      /* NOTIFY was accepted */
    bool heard;                   /* and came */

    struct doctor_part same; /* url against direct_url */
    const char *id_direct, *id_url;

    struct doctor_part instances;
    struct doctor_instance *instance;
    size_t ninstances;

    bool wants_strava; /* to be asked about, too */
    struct doctor_part strava;
    int64_t subscription_id, subscription_s; /* 0: none; since it was looked at */
    const char *subscription_url, *subscription_problem, *word; /* NULL: there is none */

    struct doctor_part queue;
    int64_t dead, halted, cron_problems, pauses;
    const char *halted_one, *cron_problem, *paused, *unserved;
};

struct doctor_strava {
    bool on, keep;
    const char *callback_url; /* NULL: none */
    const char *word;         /* for the challenge */
    struct doctor_part asked; /* that address */
    int64_t callback_ms;
    struct op *closing; /* of what the flow leaves behind when its time is up */
};

struct doctor_facts {
    struct doctor_conf conf;
    struct doctor_disk data, temp;
    bool data_done, temp_done;
    struct doctor_limits limits;
    bool limits_done;
    struct doctor_ports http, admin;
    bool http_done, admin_done;
    bool private_db; /* no database is configured */
    struct db_cluster_facts cluster;
    bool cluster_done;
    struct doctor_db db;
    struct doctor_strava strava;
};

/* ---- verdicts -------------------------------------------------------------------------------- */

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIPPED };
struct doctor_verdict {
    enum doctor_status status;
    char finding[700];
    char remedy[400]; /* "" when there is nothing to do */
};
/* remedy may be NULL. */
void doctor__say(struct doctor_verdict *v, enum doctor_status status, const char *remedy,
                 const char *fmt, ...) PRINTF(4, 5);
/* True, with the verdict made, when an answer of the database is not there. */
bool doctor__unknown(const struct doctor_db *d, const struct doctor_part *p,
                     struct doctor_verdict *v);

enum doctor_group {
    DOCTOR_CONFIGURATION,
    DOCTOR_DATABASE,
    DOCTOR_DISK,
    DOCTOR_LIMITS,
    DOCTOR_PORTS,
    DOCTOR_QUEUE,
    DOCTOR_STRAVA
};
struct doctor_check {
    const char *name;
    enum doctor_group group;
    void (*run)(const struct doctor_facts *f, struct doctor_verdict *v);
};
extern const struct doctor_check doctor_checks[];
extern const size_t doctor_check_count;

/* One function a check. */
#define DOCTOR_CHECKS(CHECK_)                                                                      \
    CHECK_(configuration, DOCTOR_CONFIGURATION, "configuration")                                   \
    CHECK_(secrets, DOCTOR_CONFIGURATION, "secrets in files")                                      \
    CHECK_(admin_secret, DOCTOR_CONFIGURATION, "admin secret")                                     \
    CHECK_(database_url, DOCTOR_CONFIGURATION, "database url")                                     \
    CHECK_(log_level, DOCTOR_CONFIGURATION, "log level")                                           \
    CHECK_(stop_time, DOCTOR_CONFIGURATION, "time to stop")                                        \
    CHECK_(private_programs, DOCTOR_DATABASE, "private database: programs")                        \
    CHECK_(private_folder, DOCTOR_DATABASE, "private database: folder")                            \
    CHECK_(connection, DOCTOR_DATABASE, "database")                                                \
    CHECK_(server, DOCTOR_DATABASE, "database server")                                             \
    CHECK_(encryption, DOCTOR_DATABASE, "encryption")                                              \
    CHECK_(notify, DOCTOR_DATABASE, "LISTEN and NOTIFY")                                           \
    CHECK_(role, DOCTOR_DATABASE, "rights of the role")                                            \
    CHECK_(postgis, DOCTOR_DATABASE, "PostGIS")                                                    \
    CHECK_(schema, DOCTOR_DATABASE, "schema")                                                      \
    CHECK_(encoding, DOCTOR_DATABASE, "encoding")                                                  \
    CHECK_(checksums, DOCTOR_DATABASE, "checksums")                                                \
    CHECK_(durability, DOCTOR_DATABASE, "durability")                                              \
    CHECK_(connections, DOCTOR_DATABASE, "connections")                                            \
    CHECK_(timeouts, DOCTOR_DATABASE, "timeouts of the server")                                    \
    CHECK_(clocks, DOCTOR_DATABASE, "clocks")                                                      \
    CHECK_(zones, DOCTOR_DATABASE, "time zones")                                                   \
    CHECK_(old_transactions, DOCTOR_DATABASE, "old transactions")                                  \
    CHECK_(vacuum, DOCTOR_DATABASE, "vacuum")                                                      \
    CHECK_(notify_queue, DOCTOR_DATABASE, "NOTIFY queue")                                          \
    CHECK_(same_database, DOCTOR_DATABASE, "url and direct_url")                                   \
    CHECK_(data_disk, DOCTOR_DISK, "disk: data folder")                                            \
    CHECK_(temp_disk, DOCTOR_DISK, "disk: temporary files")                                        \
    CHECK_(files, DOCTOR_LIMITS, "open files")                                                     \
    CHECK_(memory, DOCTOR_LIMITS, "memory")                                                        \
    CHECK_(cores, DOCTOR_LIMITS, "processors")                                                     \
    CHECK_(tasks, DOCTOR_LIMITS, "threads")                                                        \
    CHECK_(http_port, DOCTOR_PORTS, "http.listen")                                                 \
    CHECK_(proxies, DOCTOR_PORTS, "http.trusted_proxies")                                          \
    CHECK_(admin_port, DOCTOR_PORTS, "admin.listen")                                               \
    CHECK_(admin_reach, DOCTOR_PORTS, "reach of admin.listen")                                     \
    CHECK_(instances, DOCTOR_QUEUE, "instances")                                                   \
    CHECK_(unserved, DOCTOR_QUEUE, "queues")                                                       \
    CHECK_(dead_jobs, DOCTOR_QUEUE, "dead jobs")                                                   \
    CHECK_(lanes, DOCTOR_QUEUE, "lanes")                                                           \
    CHECK_(schedules, DOCTOR_QUEUE, "schedules")                                                   \
    CHECK_(pauses, DOCTOR_QUEUE, "pauses")                                                         \
    CHECK_(callback, DOCTOR_STRAVA, "strava.callback_url")                                         \
    CHECK_(subscription, DOCTOR_STRAVA, "subscription to events")
#define DOCTOR_DECLARE_(fn, group, name)                                                           \
    void doctor__check_##fn(const struct doctor_facts *f, struct doctor_verdict *v);
DOCTOR_CHECKS(DOCTOR_DECLARE_)

/* ---- the configuration (doctor_conf.c) ------------------------------------------------------- */

/* Loads it into c->config: all of it, or what there is besides an unreadable part, which f->conf
 * tells. */
void doctor__read_conf(struct cli *c, struct doctor_facts *f);
/* A list such as that of http.listen. */
void doctor__read_ports(const char *list, struct doctor_ports *p);

/* ---- printing (doctor_print.c) --------------------------------------------------------------- */

/* One verdict a check, in the order of the table. Findings are tamed in place. */
void doctor__print(const struct cli *c, struct doctor_verdict *v);

/* ---- the database (doctor_db_flow.c) --------------------------------------------------------- */

/* A flow that fills d as far as it comes, and changes nothing in the database. direct_url may be
 * NULL. Strings go into the arena a, which must outlive the flow. */
struct flow *doctor__db_flow(struct loop *l, const char *url, const char *direct_url,
                             struct arena *a, struct doctor_db *d);

/* ---- Strava's way to us (doctor_strava_flow.c) ----------------------------------------------- */

/* A flow that asks s->callback_url the challenge, with s->word, and fills the rest. Ends well. */
struct flow *doctor__callback_flow(struct loop *l, struct doctor_strava *s);
