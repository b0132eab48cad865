/* A dedicated connection outside pipeline mode, as ops: for migrations (whole scripts, session
 * locks), for LISTEN, and for finding out whether a server answers. */
#include "db/internal.h"

static void finish(struct db__session *s, const struct err *err)
{
    if (s->op.state == OP_PENDING)
        op_finish(&s->op, err);
}

static void forget_result(struct db__session *s)
{
    PQclear(s->res);
    s->res = NULL;
}

/* ---- what the connection tells --------------------------------------------------------------- */

static void conn_up(struct db_conn *c)
{
    struct db__session *s = c->owner;
    finish(s, NULL);
}

static void conn_down(struct db_conn *c, const struct err *why)
{
    struct db__session *s = c->owner;
    s->conn = NULL;
    c->ops = NULL;
    if (s->op.state == OP_PENDING)
        op_finish(&s->op, s->failed ? &s->err : why);
    else if (s->on_lost != NULL)
        s->on_lost(s->ctx, why);
}

static void take_result(struct db__session *s, PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        forget_result(s);
        s->res = res;
        return;
    }
    if (!s->failed) {
        const char *at = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
        int64_t position = 0;
        s->failed = true;
        db__err_result(&s->err, res, s->what);
        if (at != NULL && span_to_i64(span_of(at), 1, INT32_MAX, &position) == 0)
            s->error_at = (int)position;
    }
    PQclear(res);
}

/* Each notification is handed on after libpq's part of it is over. The owner may close the session
 * meanwhile. */
static void take_notifications(struct db_conn *c, struct db__session *s)
{
    while (s->conn == c) {
        PGnotify *n = PQnotifies(c->pg);
        if (n == NULL)
            return;
        char channel[64];
        char *payload = mem_strdup(n->extra);
        snprintf(channel, sizeof(channel), "%s", n->relname);
        PQfreemem(n);
        if (s->on_notify != NULL)
            s->on_notify(s->ctx, channel, payload);
        mem_free(payload);
    }
}

static void conn_readable(struct db_conn *c)
{
    struct db__session *s = c->owner;
    bool done = false;
    while (c->state == DB__CONN_BUSY && !done && !PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        if (res != NULL)
            take_result(s, res);
        else
            done = true;
    }
    if (done && PQstatus(c->pg) == CONNECTION_OK) {
        db__conn_set_busy(c, false);
        finish(s, s->failed ? &s->err : NULL);
    }
    /* Last: what it calls may end the session, and s with it. */
    take_notifications(c, s);
}

static void conn_timer(struct db_conn *c)
{
    (void)c;
}

static void conn_gone(struct db_conn *c)
{
    (void)c;
}

static const struct db__conn_ops session_ops = {conn_up, conn_down, conn_readable, conn_timer,
                                                conn_gone};

/* ---- for the owner --------------------------------------------------------------------------- */

static void on_cancel(struct op *op)
{
    db__session_close(container_of(op, struct db__session, op));
}

static void begin(struct db__session *s, const char *what)
{
    CHECK(s->op.state != OP_PENDING);
    op_init(&s->op, s->loop, on_cancel);
    op_begin(&s->op);
    forget_result(s);
    s->failed = false;
    s->error_at = 0;
    s->what = what;
}

void db__session_init(struct db__session *s, struct loop *l, const struct db_conf *conf,
                      const struct db__dsn *dsn)
{
    *s = (struct db__session){.loop = l, .conf = conf, .dsn = dsn};
    op_init(&s->op, l, on_cancel);
}

void db__session_open(struct db__session *s)
{
    CHECK(s->conn == NULL);
    begin(s, "connecting");
    s->conn = db__conn_open(s->loop, s->conf, s->dsn, &session_ops, s);
}

static void sent(struct db__session *s, int ok)
{
    struct err why;
    char where[128];
    if (ok) {
        (void)db__conn_flush(s->conn);
        return;
    }
    db__err_lost(&why, s->conn->pg, db__conn_where(s->conn, where));
    db__conn_lost(s->conn, &why);
}

static bool usable(struct db__session *s)
{
    struct err why;
    if (s->conn != NULL) {
        db__conn_set_busy(s->conn, true);
        return true;
    }
    err_set(&why, ERR_PG, ERR_RETRY, "the connection to the database is lost (%s)", s->what);
    memcpy(why.sqlstate, "08003", 6);
    op_finish(&s->op, &why);
    return false;
}

void db__session_script(struct db__session *s, const char *what, const char *sql)
{
    begin(s, what);
    if (usable(s))
        sent(s, PQsendQuery(s->conn->pg, sql));
}

void db__session_query(struct db__session *s, const char *what, const char *sql, int n,
                       const char *const *params)
{
    begin(s, what);
    if (usable(s))
        sent(s, PQsendQueryParams(s->conn->pg, sql, n, NULL, params, NULL, NULL, 0));
}

int db__session_rows(const struct db__session *s)
{
    return s->res != NULL ? PQntuples(s->res) : 0;
}

const char *db__session_value(const struct db__session *s, int row, int col)
{
    if (row >= db__session_rows(s) || col >= PQnfields(s->res) || PQgetisnull(s->res, row, col))
        return NULL;
    return PQgetvalue(s->res, row, col);
}

void db__session_close(struct db__session *s)
{
    if (s->conn != NULL) {
        s->conn->ops = NULL;
        db__conn_close(s->conn);
        s->conn = NULL;
    }
    forget_result(s);
    if (s->op.state == OP_PENDING)
        op_finish_cancelled(&s->op);
}
