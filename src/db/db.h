/* db: PostgreSQL on the loop. A pool of non-blocking libpq connections in pipeline mode, prepared
 * embedded statements, units (one pipelined transaction, one completion), LISTEN with self-probe,
 * migrations, and the embedded private cluster. Loop thread only.
 *
 * Every call has a deadline: the server's statement_timeout is set on each connection and per unit,
 * and each wait of a flow has its own; when that passes the query is cancelled and, if the server
 * does not answer, the connection is dropped. Protocol:
 * https://www.postgresql.org/docs/15/libpq-pipeline-mode.html */
#pragma once

#include <libpq-fe.h>

#include "base/base.h"
#include "loop/loop.h"

/* ---- statements ------------------------------------------------------------------------------ */

/* One embedded .sql file. Type names as written in its header lines: bigint, integer, smallint,
 * boolean, text, bytea, "double precision" is written float8, timestamptz, jsonb, uuid and their []
 * arrays. */
struct db_stmt {
    const char *name; /* folder_file, also the prepared statement's name */
    const char *text;
    int nparams;
    const char *const *types; /* nparams names */
};
/* OID of such a type name, 0 if unknown. */
unsigned db_type_oid(const char *type_name);

/* ---- pool ------------------------------------------------------------------------------------ */

struct db_pool;
struct db_conf {
    /* A libpq connection string or postgres:// URL; never logged with its password. */
    const char *url;
    unsigned max_conns;           /* 1..100 */
    int64_t connect_timeout_ms;   /* one attempt */
    int64_t statement_timeout_ms; /* server-side default on each connection */
    int64_t idle_close_ms;        /* close a connection idle this long; 0: keep */
    const char *application_name;
    /* url leads to a pooler in transaction mode, such as pgbouncer: nothing is prepared and no
     * setting outlives its transaction. Not for LISTEN, the heartbeat or migrations, which need a
     * session of their own. */
    bool pooled;
};
/* Copies conf; zero timeouts get defaults (10 s, 30 s). Opens connections only when a unit needs
 * one, and from the third on only while units have been waiting for 50 ms; open ones keep the loop
 * alive. Host names are resolved by uv_getaddrinfo, several hosts are
 * tried in order (names in a service file are left to libpq, which blocks on them). */
struct db_pool *db_pool_open(struct loop *l, const struct db_conf *conf);
/* Units still queued or running finish as failed (RETRY). on_closed(ctx) runs when the last handle
 * is closed; the pool is gone by then. */
void db_pool_close(struct db_pool *p, void (*on_closed)(void *ctx), void *ctx);
struct loop *db_pool_loop(struct db_pool *p);
/* For status: connections open, units queued. */
unsigned db_pool_open_conns(const struct db_pool *p);
unsigned db_pool_queued(const struct db_pool *p);
/* The connection string with any password replaced by ***, for messages. Caller frees with
 * mem_free. */
char *db_url_redacted(const char *url);
/* What a connection string says of secrecy. */
struct db_url_facts {
    bool readable;
    bool password;    /* it has one in it */
    bool remote;      /* a host of it is neither a socket nor this machine's own address */
    char host[128];   /* the first one; "" for the default socket */
    char dbname[64];  /* "" when it does not say */
    char user[64];    /* likewise */
    char sslmode[16]; /* in force, libpq's default included */
};
void db_url_look(const char *url, struct db_url_facts *ret);

/* ---- units ----------------------------------------------------------------------------------- */

/* A list of statements sent as one pipeline. With DB_TX they are one transaction (BEGIN ... COMMIT)
 * with one completion: all of it happened or nothing did (a single statement is that without
 * BEGIN). Without, there is no BEGIN and no COMMIT:
 * the statements of the unit are one implicit transaction all the same, as everything between two
 * Syncs of a pipeline is, but one that cannot be READ ONLY and in which a statement such as CREATE
 * INDEX CONCURRENTLY may stand alone. DB_READONLY: may run on a standby; with DB_TX, BEGIN READ
 * ONLY. Other units fail (RETRY) on a standby. A parameter that no server would take (NUL byte, bad
 * UTF-8, out of range) makes db_submit fail the unit, PERMANENT, domain DATA, with nothing sent.
 *
 * Memory: the unit is embedded in the caller's struct; its statements, parameters and results live
 * in the arena given to db_unit_init, except PGresults, which db_unit_done frees. Results are
 * binary. If the connection cannot be had the unit waits in the pool's FIFO until its op's
 * deadline.
 *
 * Errors: SQLSTATE in err. Class: 08*, 40001, 40P01, 53*, 55P03, 57*, connection loss: RETRY; 22*,
 * 23*: PERMANENT; 42*, 0A*, 25*, 26*, 3D/3F (missing object): BUG; P0001 and our own WM***:
 * PERMANENT unless the table in db_errors.c says otherwise. When the connection was lost after
 * COMMIT had been sent, err says so: db_unit.commit_unknown. A unit whose connection died before
 * the server can have done anything of it is sent again by the pool itself, once. An error at
 * connecting that waiting cannot mend (28*, 3D000) fails the waiting units at once, still as RETRY:
 * somebody may be changing the password, and no job is at fault. */
enum { DB_TX = 1, DB_READONLY = 2, DB_ASYNC_COMMIT = 4 };
struct db_conn;
struct db_call;
struct db_unit {
    struct op op;
    struct db_pool *pool;
    struct arena *arena;
    struct db_unit *next;  /* in the pool's FIFO */
    struct db_conn *conn;  /* while running */
    struct db_call **call; /* n of them, in the arena */
    unsigned n, cap;
    unsigned flags;
    int64_t statement_timeout_ms; /* 0: the pool's */
    struct err *refused;          /* a parameter no server would take: db_submit fails with it */
    bool retried;                 /* the pool has already sent it a second time */
    bool commit_unknown;
    unsigned failed_at; /* the statement that failed, when the server named it */
};
void db_unit_init(struct db_unit *u, struct db_pool *p, struct arena *a, unsigned flags);
/* Appends a call of an embedded statement; then exactly its parameters in order, by the db_p_
 * functions below. */
void db_add(struct db_unit *u, const struct db_stmt *s);
void db_p_null(struct db_unit *u);
/* bigint, integer, smallint, by the declared type. */
void db_p_i64(struct db_unit *u, int64_t v);
void db_p_bool(struct db_unit *u, bool v);
void db_p_f64(struct db_unit *u, double v);
/* text, json, jsonb, uuid; copied into the arena; NULL gives NULL. */
void db_p_text(struct db_unit *u, const char *v);
/* The same types and bytea; copied into the arena. */
void db_p_span(struct db_unit *u, struct span v);
/* bytea, NOT copied: must live until the unit is done. */
void db_p_bytes(struct db_unit *u, const void *p, size_t n);
/* timestamptz; INT64_MIN gives NULL. */
void db_p_time_us(struct db_unit *u, int64_t unix_us);
/* bigint[], integer[], smallint[], boolean[]. */
void db_p_i64_array(struct db_unit *u, const int64_t *v, size_t n);
/* timestamptz[]; INT64_MIN gives NULL. */
void db_p_time_us_array(struct db_unit *u, const int64_t *v, size_t n);
/* float8[], float4[]; NaN gives NULL. */
void db_p_f64_array(struct db_unit *u, const double *v, size_t n);
/* text[], jsonb[]; NULL elements give NULL. */
void db_p_text_array(struct db_unit *u, const char *const *v, size_t n);
/* bytea[]; a span whose p is NULL gives NULL. */
void db_p_bytea_array(struct db_unit *u, const struct span *v, size_t n);
/* Sends it; u->op completes. Wait for it with flow_wait(f, &u->op, ...). */
void db_submit(struct db_unit *u);
/* Frees the results. The unit can be used again after db_unit_init. NULL-safe, idempotent. */
void db_unit_done(struct db_unit *u);

/* Results, valid until db_unit_done. call: index of db_add, from 0. Getters check type, NULL and
 * bounds: a mismatch is a programming error (CHECK), NULL gives the value named. */
int db_rows(const struct db_unit *u, unsigned call);
int64_t db_affected(const struct db_unit *u, unsigned call);
bool db_is_null(const struct db_unit *u, unsigned call, int row, int col);
/* bigint, integer, smallint, oid, boolean; NULL: 0. */
int64_t db_get_i64(const struct db_unit *u, unsigned call, int row, int col);
/* float8, float4; NULL: NaN. */
double db_get_f64(const struct db_unit *u, unsigned call, int row, int col);
/* text, varchar, char, name, json, jsonb, bytea; NULL: p == NULL. */
struct span db_get_span(const struct db_unit *u, unsigned call, int row, int col);
/* The text ones of these, and uuid; in the arena; NULL: NULL. */
char *db_get_text(const struct db_unit *u, unsigned call, int row, int col, struct arena *a);
/* timestamptz, timestamp; NULL: INT64_MIN; infinity: INT64_MAX, -infinity: INT64_MIN + 1. */
int64_t db_get_time_us(const struct db_unit *u, unsigned call, int row, int col);
/* bigint[], integer[], smallint[], boolean[]; returns the length; NULL: 0, NULL elements: 0. */
size_t db_get_i64_array(const struct db_unit *u, unsigned call, int row, int col, struct arena *a,
                        int64_t **ret);

/* ---- LISTEN ---------------------------------------------------------------------------------- */

/* A dedicated connection that listens on the channels, reconnects with backoff (100 ms .. 5 s,
 * jitter), and proves itself every probe_ms by notifying itself; no echo within 5 s means
 * reconnect; a pooler in between, which may keep notifications, is warned of. on_notify(channel,
 * payload) runs on each notification and once after every (re)connect with channel "" (something
 * may have been missed). It must return quickly; it is called outside libpq. */
struct db_listener;
struct db_listener *
db_listener_open(struct loop *l, const struct db_conf *conf, const char *const *channels, size_t n,
                 int64_t probe_ms,
                 void (*on_notify)(void *ctx, const char *channel, const char *payload), void *ctx);
bool db_listener_healthy(const struct db_listener *x);
/* NULL is fine; frees itself in the close callback. */
void db_listener_close(struct db_listener *x);

/* ---- migrations ------------------------------------------------------------------------------ */

struct db_migration {
    int version; /* 0 ends the list */
    const char *name;
    const char *sha256; /* hex */
    const char *text;
};
extern const struct db_migration db_migrations[]; /* generated */

/* A flow (see flow_call) that brings the database to the newest schema: one transaction a
 * migration, all under one advisory lock (so that instances starting together do not race), each
 * recorded in schema_migration(version, name, sha256, applied_at). One whose first line is `--
 * no-transaction` must be a single statement that can be repeated. Fails PERMANENT, domain CONF,
 * with a remedy when the schema is newer than this binary, when an applied migration's checksum
 * differs, when PostGIS is not installed or may not be created, or when the server is older
 * than 15. check_only: changes nothing, fails (CONF) if anything is due. on_step(ctx, migration) is
 * called before each one is applied; may be NULL. */
struct db_migrate_opts {
    bool check_only;
    void (*on_step)(void *ctx, const struct db_migration *m);
    void *ctx;
    const struct db_migration *list; /* NULL: db_migrations; tests pass their own */
};
struct flow *db_migrate_flow(struct loop *l, const struct db_conf *conf,
                             const struct db_migrate_opts *opts);

/* ---- waiting for a server -------------------------------------------------------------------- */

/* A flow that tries to connect until it works or wait_ms passes, with backoff; tells each new
 * reason once through on_wait (may be NULL). Errors that waiting cannot mend (bad password, no such
 * database, bad URL) fail at once, domain CONF. wait_ms 0: one try. */
struct flow *db_wait_flow(struct loop *l, const struct db_conf *conf, int64_t wait_ms,
                          void (*on_wait)(void *ctx, const struct err *why), void *ctx);

/* ---- embedded cluster ------------------------------------------------------------------------ */

/* The private PostgreSQL used when no database is configured. Lives under dir: pgdata/, run/
 * (socket, 0700), log/, owner.lock. One process owns it (flock on owner.lock, close-on-exec);
 * others on the same dir attach as clients, and one of them takes over, within about two seconds,
 * when the owner has gone (pools just reconnect; units that were running fail as RETRY). The server
 * runs in a session of its own, so that Ctrl-C reaches only us, and gets SIGINT when we die
 * (setpriv; where that is missing, the next start stops it). As owner: removes half-made
 * pgdata.tmp-* folders, runs initdb into one and renames it into place, stops an orphaned
 * postmaster of a killed owner (checked by its /proc/PID/exe and cwd, never by a bare pid), removes
 * stale pid and socket lock files, starts postgres without TCP, waits until it answers, creates the
 * database "waymark". As root the child processes run as user postgres, else nobody; parents of dir
 * must be searchable by it (the error names the one that is not). Socket paths over 100 bytes: a
 * short folder under /tmp instead, named by a hash of dir. */
struct db_cluster;
struct db_cluster_conf {
    const char *dir; /* absolute */
    /* NULL: /usr/lib/postgresql/NN/bin of the version that made existing data, else the newest
     * with NN >= 15, else what PATH finds. */
    const char *bin_dir;
    unsigned max_connections;   /* 0: 30 */
    unsigned shared_buffers_mb; /* 0: 32 */
};
/* A flow that ends when the cluster accepts connections; *ret is set then. */
struct flow *db_cluster_start_flow(struct loop *l, const struct db_cluster_conf *conf,
                                   struct db_cluster **ret);
const char *db_cluster_url(const struct db_cluster *c);
bool db_cluster_owned(const struct db_cluster *c); /* may become true later */
/* If postgres exits by itself while we own it, it is started again with backoff, and this is called
 * (may be NULL). */
void db_cluster_on_crash(struct db_cluster *c, void (*fn)(void *ctx, int status), void *ctx);
/* A flow: stops postgres if owned (SIGINT fast; SIGQUIT after 30 s), releases the lock, frees c. */
struct flow *db_cluster_stop_flow(struct db_cluster *c);

/* What a start of it would meet. */
struct db_cluster_facts {
    char *dir, *url; /* url: where it answers if somebody runs it */
    bool has_data;   /* made already */
    bool has_socket; /* a server is there, or was and left it behind */
    char *place;     /* the nearest folder on the way to dir that exists */
    bool writable;   /* that one */
    char user[64];   /* as whom the server runs */
    char *bin;       /* of its programs, or NULL: no_programs */
    int major;       /* of these; 0: not known */
    enum { DB_POSTGIS_UNKNOWN, DB_POSTGIS_MISSING, DB_POSTGIS_FOUND } postgis; /* its files */
    /* class 0: nothing is wrong with that. */
    struct err no_name, no_user, no_way, no_programs, bad_data;
};
/* Looks and changes nothing; blocks: for a worker. */
void db_cluster_look(const struct db_cluster_conf *conf, struct db_cluster_facts *ret);
void db_cluster_facts_done(struct db_cluster_facts *f);
