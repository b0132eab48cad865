/* Shared by the files of db/ only. From the bottom up:
 *   dsn      a connection string taken apart (db_conninfo.c)
 *   conn     one libpq connection on the loop: resolve, connect, set up, read, flush (db_conn.c)
 *   pipe     one unit on one connection in pipeline mode (db_pipe.c)
 *   session  one connection outside pipeline mode, driven by ops: migrations, LISTEN, waiting
 * (db_session.c) */
#pragma once

#include "db/db.h"

#define DB__CONNECT_TIMEOUT_MS   10000
#define DB__STATEMENT_TIMEOUT_MS 30000
#define DB__CANCEL_GRACE_MS      5000
#define DB__MIN_SERVER           150000

/* Fixed numbers of the system catalogue, src/include/catalog/pg_type.dat. */
enum db__oid {
    DB__OID_BOOL = 16,
    DB__OID_BYTEA = 17,
    DB__OID_NAME = 19,
    DB__OID_INT8 = 20,
    DB__OID_INT2 = 21,
    DB__OID_INT4 = 23,
    DB__OID_TEXT = 25,
    DB__OID_OID = 26,
    DB__OID_JSON = 114,
    DB__OID_FLOAT4 = 700,
    DB__OID_FLOAT8 = 701,
    DB__OID_BPCHAR = 1042,
    DB__OID_VARCHAR = 1043,
    DB__OID_TIMESTAMP = 1114,
    DB__OID_TIMESTAMPTZ = 1184,
    DB__OID_UUID = 2950,
    DB__OID_JSONB = 3802,
};
/* 2000-01-01 in Unix microseconds, where PostgreSQL's clock starts. */
#define DB__PG_EPOCH_US INT64_C(946684800000000)

/* ---- errors (db_errors.c) -------------------------------------------------------------------- */

enum err_class db__sqlstate_class(const char *sqlstate);
/* From a failed result; what names the statement. Any field of the result may be missing. */
void db__err_result(struct err *err, const PGresult *res, const char *what);
/* From a failed connection attempt made with PQERRORS_VERBOSE. */
void db__err_connect(struct err *err, PGconn *pg, const char *where);
/* The link broke: class RETRY, 08006 unless a better state is known. */
void db__err_lost(struct err *err, PGconn *pg, const char *where);
/* Waiting and trying again cannot mend it: wrong password, no such database, server too old,
 * unreadable URL. */
bool db__err_hopeless(const struct err *err);
/* 100 ms doubling to 5 s; returns the next delay with jitter. *backoff_ms 0 is the start. */
int64_t db__backoff_next(int64_t *backoff_ms);
/* One line of libpq or server text, without the trailing newline and everything behind it. */
const char *db__one_line(const char *text, char *out, size_t n);

/* ---- connection strings (db_conninfo.c) ------------------------------------------------------ */

struct db__host {
    char *name; /* NULL: libpq's default socket; starting with / or @: a socket */
    char *addr; /* NULL: to be resolved, unless it is a socket */
    char *port; /* NULL: default */
};
struct db__dsn {
    char **key; /* everything but host, hostaddr and port; NULL-terminated, as is value */
    char **value;
    size_t n;
    struct db__host *host;
    size_t nhosts;
};
struct db__dsn *db__dsn_new(const char *url, struct err *err) MUST_CHECK;
struct db__dsn *db__dsn_free(struct db__dsn *d);
bool db__host_is_socket(const struct db__host *h);
/* conf with its strings copied and its zeros replaced by defaults; db__conf_done frees the strings.
 */
void db__conf_copy(struct db_conf *to, const struct db_conf *from);
void db__conf_done(struct db_conf *c);

/* ---- connection (db_conn.c) ------------------------------------------------------------------ */

enum db__conn_state {
    DB__CONN_NEW,     /* waits in the ready queue for its first step */
    DB__CONN_RESOLVE, /* getaddrinfo under way */
    DB__CONN_CONNECT, /* PQconnectPoll */
    DB__CONN_SETUP,   /* the one SELECT set_config(...) */
    DB__CONN_IDLE,    /* usable */
    DB__CONN_BUSY, /* a unit or a session query is on it, or a cancel request for one is still under
                      way */
    DB__CONN_CLOSED, /* libpq's part is gone; its handles are closing */
};

/* What a connection tells its owner. up once; down at most once, when connecting failed or the link
 * broke, and then the connection closes itself; gone just before it is freed. After db__conn_close
 * only gone comes. */
struct db__conn_ops {
    void (*up)(struct db_conn *c);
    void (*down)(struct db_conn *c, const struct err *why);
    void (*readable)(struct db_conn *c);
    void (*timer)(struct db_conn *c); /* db__conn_timer, when IDLE or BUSY */
    void (*gone)(struct db_conn *c);
};

enum db__expect_kind {
    DB__EXPECT_PREPARE,
    DB__EXPECT_BEGIN,
    DB__EXPECT_SETTING,
    DB__EXPECT_CALL,
    DB__EXPECT_COMMIT,
    DB__EXPECT_ROLLBACK,
    DB__EXPECT_SYNC,
};
struct db__expect {
    enum db__expect_kind kind;
    unsigned index; /* of the call; for PREPARE: the call whose statement it is */
};
/* The unit on the wire: what was sent, in order, and how far its answers came. */
struct db__pipe {
    VEC(struct db__expect);
    size_t at;
    bool got;         /* the current expectation has had a result; its NULL is due */
    bool begun;       /* BEGIN was answered */
    bool committed;   /* COMMIT was answered */
    bool rolled_back; /* ROLLBACK was sent */
    bool answered;    /* anything but the first error has come back */
    bool failed;      /* err is the first error */
    bool fatal;       /* the server said it ends this connection */
    bool recycle;     /* what is prepared here cannot be trusted any more */
    struct err err;
    unsigned failed_at;
};

struct db__poll;
struct db__cancel;
enum { DB__STARTED_MAX = 64 };
struct db_conn {
    uint32_t magic;
    enum db__conn_state state;
    struct loop *loop;
    const struct db__conn_ops *ops; /* NULL when the owner has let go */
    void *owner;
    const struct db_conf *conf; /* owner's; not used once closed */
    const struct db__dsn *dsn;  /* owner's; not used once closed */
    struct ready start;
    unsigned handles; /* uv handles and requests that still refer to this */
    PGconn *pg;
    struct db__poll *poll;
    int events;
    uv_timer_t timer;
    uv_getaddrinfo_t dns;
    struct addrinfo *found, *next; /* addresses of the host under way */
    size_t host_at;
    bool greeted;    /* the set-up's result has come */
    bool up;         /* has been IDLE once */
    bool dismissed;  /* the server has said that it ends this connection */
    bool standby;    /* refuses writes */
    int backend_pid; /* 0: not known, or a pooler's */
    char backend_started[DB__STARTED_MAX];
    struct err why;
    int64_t idle_since_ns;
    struct db_unit *unit;
    struct db__pipe pipe;
    struct db__cancel *cancel;
    char **prepared; /* names; open addressing, power of two */
    size_t prepared_cap, prepared_n;
};

struct db_conn *db__conn_open(struct loop *l, const struct db_conf *conf, const struct db__dsn *dsn,
                              const struct db__conn_ops *ops, void *owner);
/* No callback but gone. The memory lives until the handles are closed. */
void db__conn_close(struct db_conn *c);
/* Closes and tells the owner why. */
void db__conn_lost(struct db_conn *c, const struct err *why);
void db__conn_set_busy(struct db_conn *c, bool busy);
/* Looks, between units, whether the server has hung up. */
bool db__conn_alive(struct db_conn *c);
/* Sends what libpq holds; watches for writability while something is left. 0, or -1 after the link
 * was lost. */
int db__conn_flush(struct db_conn *c);
/* One-shot; 0 stops it. */
void db__conn_timer(struct db_conn *c, int64_t ms);
/* "host:port" or the socket folder, for messages. */
const char *db__conn_where(const struct db_conn *c, char out[128]);
void db__conn_check(const struct db_conn *c);

/* ---- pipeline (db_pipe.c) -------------------------------------------------------------------- */

/* Queues the whole unit and flushes. 0, or -1 after the link was lost. */
int db__pipe_send(struct db_conn *c, struct db_unit *u);
enum db__pipe_next { DB__PIPE_MORE, DB__PIPE_FINISHED, DB__PIPE_LOST };
/* Reads what has arrived. FINISHED: the answers are complete, c->pipe says how it went. */
enum db__pipe_next db__pipe_read(struct db_conn *c);
bool db__prepared_has(const struct db_conn *c, const char *name);
void db__prepared_add(struct db_conn *c, const char *name);
void db__prepared_done(struct db_conn *c);

/* ---- unit (db_unit.c) ------------------------------------------------------------------------ */

struct db_call {
    const struct db_stmt *stmt;
    int at; /* parameters given so far */
    const char **value;
    int *length;
    int *format;
    unsigned *type;
    PGresult *res;
};
/* Of a declared array's elements; 0 when it is no array. */
unsigned db__element_oid(unsigned array_oid);
struct db_call *db__unit_call(const struct db_unit *u, unsigned index);
/* Called by db_submit and by op_cancel; in db_pool.c. */
void db__pool_submit(struct db_pool *p, struct db_unit *u);
void db__pool_cancel(struct db_unit *u);

/* ---- cancel requests (db_work.c) ------------------------------------------------------------- */

/* PQcancel connects and waits, so it runs in a worker, on a copy that is its own. */
struct db__cancel {
    struct work work;
    PGcancel *request;
    struct db_pool *pool;
    struct db_conn *conn; /* NULL once the connection closed; the worker never looks at it */
    struct db__cancel *next;
};
int db__cancel_run(struct work *w, struct err *err);

/* ---- session (db_session.c) ------------------------------------------------------------------ */

/* A dedicated connection outside pipeline mode; one op at a time. Cancelling the op closes the
 * connection. */
struct db__session {
    struct op op;
    struct loop *loop;
    const struct db_conf *conf;
    const struct db__dsn *dsn;
    struct db_conn *conn; /* NULL: not open, or lost */
    PGresult *res;        /* of the last query; text format */
    const char *what;     /* of the query under way, for messages */
    const char *sql;
    bool failed;
    struct err err;
    int error_at; /* character position of the error in the query, from 1; 0 unknown */
    void (*on_notify)(void *ctx, const char *channel, const char *payload); /* may be NULL */
    void (*on_lost)(void *ctx, const struct err *why); /* between queries; may be NULL */
    void *ctx;
};
void db__session_init(struct db__session *s, struct loop *l, const struct db_conf *conf,
                      const struct db__dsn *dsn);
void db__session_open(struct db__session *s);
/* Any number of statements, simple protocol. sql and what must live until done. */
void db__session_script(struct db__session *s, const char *what, const char *sql);
/* One statement with text parameters. */
void db__session_query(struct db__session *s, const char *what, const char *sql, int n,
                       const char *const *params);
int db__session_rows(const struct db__session *s);
const char *db__session_value(const struct db__session *s, int row,
                              int col); /* NULL when NULL or absent */
/* Idempotent. A pending op finishes as failed. */
void db__session_close(struct db__session *s);

/* db_pool.c: the pool lives on while it is held. */
void db__pool_hold(struct db_pool *p);
void db__pool_unhold(struct db_pool *p);
/* db_orphan.c: the link of that connection broke in the middle of a unit. */
void db__orphan_end(struct db_pool *p, const struct db_conn *c);
