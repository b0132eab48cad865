/* A private PostgreSQL for a test: own data folder under /tmp, unix socket only, as user postgres
 * (or nobody) when the test runs as root. Blocking, plain C. However the test ends, SIGKILL
 * included, the server is stopped and the folder removed by a janitor process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pg_cluster;

/* max_connections 0: 50. fsync false is several times faster and right for nearly every test. If
 * there are no server binaries it says so and exits with 77, which ctest reads as "skipped"; any
 * other failure ends the test too. */
struct pg_cluster *pg_cluster_start(bool fsync, unsigned max_connections);
/* A standby that follows another cluster, which it reaches by that connection string. Read-only
 * until pg_promote(). */
struct pg_cluster *pg_cluster_standby(const char *primary, unsigned max_connections);
/* Stops and removes everything. NULL is fine; returns NULL. */
struct pg_cluster *pg_cluster_free(struct pg_cluster *c);

/* Folder with initdb and postgres, or NULL. Newest major version first. */
const char *pg_cluster_bin_dir(void);
/* "host=... port=... user=postgres dbname=..." of a database; valid until the next call. */
const char *pg_cluster_url(struct pg_cluster *c, const char *dbname);
const char *pg_cluster_dir(const struct pg_cluster *c);

/* Stop the server by this signal (SIGINT fast, SIGQUIT immediate, SIGKILL), wait for its end; and
 * start it again. */
void pg_cluster_halt(struct pg_cluster *c, int signum);
void pg_cluster_resume(struct pg_cluster *c);
/* The same, when it may well not start. */
bool pg_cluster_try(struct pg_cluster *c);

/* From the next resume on: "NAME=VALUE" pairs for its environment, which must outlive the cluster,
 * and whether it waits for the disk. */
void pg_cluster_set(struct pg_cluster *c, const char *const *env, bool fsync);

/* A new database with that name, from template1; with_postgis also creates the extension (if the
 * server has it; false is returned when it does not). */
bool pg_cluster_database(struct pg_cluster *c, const char *name, bool with_postgis);
/* Runs statements as superuser; ends the test on an error. */
void pg_cluster_exec(struct pg_cluster *c, const char *dbname, const char *sql);
/* First column of the first row; "" when there is none. Valid until the next call. */
const char *pg_cluster_text(struct pg_cluster *c, const char *dbname, const char *sql);
int64_t pg_cluster_i64(struct pg_cluster *c, const char *dbname, const char *sql);

/* Removes a folder and everything in it. */
void pg_cluster_remove_tree(const char *path);
