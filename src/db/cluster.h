/* The embedded cluster's own parts; included by db_cluster*.c and db_child.c only. */
#pragma once

#include <sys/types.h>

#include "db/internal.h"

/* ---- a child process (db_child.c) ------------------------------------------------------------ */

/* op finishes, always well, when the process has ended and its handles are closed. Cancelling asks
 * it to end: SIGQUIT, after ten seconds SIGKILL. */
struct db__child {
    struct op op;
    uv_process_t process;
    uv_timer_t patience;
    unsigned handles;
    bool running;
    int64_t status;
    int signal;
    void (*on_exit)(struct db__child *x); /* may be NULL; after op has finished; may free x */
};
struct db__child_how {
    const char *const *argv; /* argv[0] is a path */
    const char *log;         /* stdout and stderr are appended to it */
    uid_t uid;               /* when switch_user */
    gid_t gid;
    const char *user; /* NULL: no name is known for uid */
    bool switch_user;
};
int db__child_start(struct db__child *x, struct loop *l, const struct db__child_how *how,
                    struct err *err) MUST_CHECK;
void db__child_kill(struct db__child *x, int signum);

/* ---- the cluster ----------------------------------------------------------------------------- */

struct db_cluster {
    uint32_t magic;
    struct loop *loop;
    char *dir, *data, *run, *log, *bin;
    unsigned max_connections, shared_buffers_mb;
    bool switch_user;
    uid_t uid;
    gid_t gid;
    char *user; /* NULL: uid has no name */
    int lock_fd;
    bool owned;
    char *url;
    struct db_conf admin_conf, conf; /* databases postgres and waymark */
    struct db__dsn *admin_dsn, *dsn;
    struct db__child postgres;
    off_t log_start; /* where the log of the running server begins */
    bool ready;      /* has answered since it was last started */
    bool stopping, doomed;
    struct op revive_op;
    bool reviving;
    struct ticker *takeover; /* while not owned */
    int64_t backoff_ms;
    void (*on_crash)(void *ctx, int status);
    void *ctx;
};

/* ---- starting (db_cluster_start.c) ----------------------------------------------------------- */

/* first: may run initdb and may attach, sets *ret when done and destroys c when it fails. Otherwise
 * c owns the lock and its server is to be started again, after delay_ms. */
struct flow *db__cluster_up_flow(struct db_cluster *c, bool first, int64_t delay_ms,
                                 struct db_cluster **ret);
/* In db_cluster.c. */
void db__cluster_supervise(struct db_cluster *c); /* to be called when up */
void db__cluster_destroy(struct db_cluster *c);   /* at once, or when its server is gone */
void db__cluster_postgres_exited(struct db__child *x);

/* ---- its files (db_cluster_files.c) ---------------------------------------------------------- */

/* Paths, URL and sizes; touches no file. */
int db__cluster_name(struct db_cluster *c, const struct db_cluster_conf *conf,
                     struct err *err) MUST_CHECK;
/* As whom the server runs, whether that user gets to c->dir, and which programs it is: these change
 * nothing. */
int db__cluster_choose_user(struct db_cluster *c, struct err *err) MUST_CHECK;
int db__cluster_check_parents(const struct db_cluster *c, struct err *err) MUST_CHECK;
int db__cluster_find_programs(struct db_cluster *c, const char *given, struct err *err) MUST_CHECK;
/* 0: nobody knows. */
int db__cluster_bin_major(const char *bin);
int db__cluster_data_major(const struct db_cluster *c);
/* Fills everything that depends on conf: paths, programs, user, URLs; makes the folders. */
int db__cluster_prepare(struct db_cluster *c, const struct db_cluster_conf *conf,
                        struct err *err) MUST_CHECK;
/* owner.lock: 1 it is ours now, 0 somebody else has it, -1 it cannot be opened. */
int db__cluster_lock(struct db_cluster *c, struct err *err) MUST_CHECK;
/* 1 pgdata is there and of the right version, 0 there is none, -1 there is something else. */
int db__cluster_inspect(struct db_cluster *c, struct err *err) MUST_CHECK;
/* Makes the new folder that initdb fills, and puts it in place. */
char *db__cluster_new_data(struct db_cluster *c, struct err *err) MUST_CHECK;
int db__cluster_adopt_data(struct db_cluster *c, const char *tmp, struct err *err) MUST_CHECK;
/* Half-made data folders, stale pid and socket files. Only as owner, and after db__cluster_orphans
 * gave 0. */
void db__cluster_clean(struct db_cluster *c);
/* Starts a new log file when the old one is large; notes where this run begins. */
void db__cluster_rotate_log(struct db_cluster *c);
/* Why the last child failed: the last line of the log that says so, else the last one. */
char *db__cluster_log_reason(const struct db_cluster *c, char out[300]);
void db__remove_tree(const char *path);

/* ---- processes of a killed owner (db_cluster_orphans.c) -------------------------------------- */

/* Sends signum (0: none) to the postmaster, or to what is left of it, that runs on c->data. Returns
 * how many there are. */
unsigned db__cluster_orphans(const struct db_cluster *c, int signum);
