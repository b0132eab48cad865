/* One unit on one connection: everything is queued and flushed at once, then the answers are
 * matched one by one with the list of what was sent. Protocol:
 * https://www.postgresql.org/docs/15/libpq-pipeline-mode.html
 *
 *   [PREPARE ... Sync] [BEGIN] [settings] calls [COMMIT] Sync      and after a failure inside a
 * transaction ROLLBACK Sync
 *
 * PREPAREs go in a segment of their own, so that a statement stays prepared when the transaction
 * does not last. Through a pooler nothing is prepared, and the timeout is set in every unit: the
 * next one may meet another session. The explicit BEGIN survives its Sync, so a failed transaction
 * is still open, aborted, and needs the ROLLBACK. */
#include "db/internal.h"

static const char *const settings_types[] = {"text", NULL};
static const struct db_stmt set_timeout = {"db_set_statement_timeout",
                                           "SELECT set_config('statement_timeout', $1, true)", 1,
                                           settings_types};
static const struct db_stmt set_async = {
    "db_set_synchronous_commit", "SELECT set_config('synchronous_commit', 'off', true)", 0, NULL};

/* ---- what is prepared on a connection -------------------------------------------------------- */

static size_t name_slot(char *const *table, size_t cap, const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    size_t i = h & (cap - 1);
    while (table[i] != NULL && strcmp(table[i], name) != 0)
        i = (i + 1) & (cap - 1);
    return i;
}

bool db__prepared_has(const struct db_conn *c, const char *name)
{
    return c->prepared_cap > 0 &&
           c->prepared[name_slot(c->prepared, c->prepared_cap, name)] != NULL;
}

void db__prepared_add(struct db_conn *c, const char *name)
{
    if (db__prepared_has(c, name))
        return;
    if ((c->prepared_n + 1) * 2 > c->prepared_cap) {
        size_t cap = c->prepared_cap == 0 ? 32 : c->prepared_cap * 2;
        char **table = mem_alloc(cap * sizeof(*table));
        for (size_t i = 0; i < c->prepared_cap; i++)
            if (c->prepared[i] != NULL)
                table[name_slot(table, cap, c->prepared[i])] = c->prepared[i];
        mem_free(c->prepared);
        c->prepared = table;
        c->prepared_cap = cap;
    }
    c->prepared[name_slot(c->prepared, c->prepared_cap, name)] = mem_strdup(name);
    c->prepared_n++;
}

void db__prepared_done(struct db_conn *c)
{
    for (size_t i = 0; i < c->prepared_cap; i++)
        mem_free(c->prepared[i]);
    mem_free(c->prepared);
    c->prepared = NULL;
    c->prepared_cap = c->prepared_n = 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void expect(struct db_conn *c, enum db__expect_kind kind, unsigned index)
{
    *vec_push(&c->pipe) = (struct db__expect){.kind = kind, .index = index};
}

static bool send_plain(struct db_conn *c, const char *sql, enum db__expect_kind kind)
{
    expect(c, kind, 0);
    return PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 1);
}

static bool send_sync(struct db_conn *c)
{
    expect(c, DB__EXPECT_SYNC, 0);
    return PQpipelineSync(c->pg);
}

/* The name goes into the table at once: later calls of this unit need not prepare it again, and if
 * it fails the unit fails and the connection is not used further. */
static bool send_prepare(struct db_conn *c, const struct db_stmt *s, unsigned index, bool *any)
{
    unsigned types[64];
    if (db__prepared_has(c, s->name))
        return true;
    CHECK(s->nparams >= 0 && (size_t)s->nparams <= COUNT_OF(types));
    for (int i = 0; i < s->nparams; i++)
        types[i] = db_type_oid(s->types[i]);
    *any = true;
    expect(c, DB__EXPECT_PREPARE, index);
    db__prepared_add(c, s->name);
    return PQsendPrepare(c->pg, s->name, s->text, s->nparams, types);
}

static bool send_prepares(struct db_conn *c, const struct db_unit *u)
{
    bool any = false, ok = true;
    if (c->conf->pooled)
        return true;
    if (u->statement_timeout_ms > 0)
        ok = send_prepare(c, &set_timeout, 0, &any);
    if (ok && u->flags & DB_ASYNC_COMMIT)
        ok = send_prepare(c, &set_async, 0, &any);
    for (unsigned i = 0; ok && i < u->n; i++)
        ok = send_prepare(c, u->call[i]->stmt, i, &any);
    return ok && (!any || send_sync(c));
}

static bool send_setting(struct db_conn *c, const struct db_stmt *s, const char *value)
{
    expect(c, DB__EXPECT_SETTING, 0);
    return c->conf->pooled
               ? PQsendQueryParams(c->pg, s->text, s->nparams, NULL, &value, NULL, NULL, 1)
               : PQsendQueryPrepared(c->pg, s->name, s->nparams, &value, NULL, NULL, 1);
}

static bool send_settings(struct db_conn *c, const struct db_unit *u)
{
    int64_t timeout_ms = u->statement_timeout_ms;
    if (timeout_ms == 0 && c->conf->pooled)
        timeout_ms = c->conf->statement_timeout_ms;
    if (timeout_ms > 0) {
        char text[32];
        snprintf(text, sizeof(text), "%lld", (long long)timeout_ms);
        if (!send_setting(c, &set_timeout, text))
            return false;
    }
    return !(u->flags & DB_ASYNC_COMMIT) || send_setting(c, &set_async, NULL);
}

static bool send_calls(struct db_conn *c, const struct db_unit *u)
{
    for (unsigned i = 0; i < u->n; i++) {
        const struct db_call *call = u->call[i];
        const struct db_stmt *s = call->stmt;
        expect(c, DB__EXPECT_CALL, i);
        if (c->conf->pooled ? !PQsendQueryParams(c->pg, s->text, s->nparams, call->type,
                                                 call->value, call->length, call->format, 1)
                            : !PQsendQueryPrepared(c->pg, s->name, s->nparams, call->value,
                                                   call->length, call->format, 1))
            return false;
    }
    return true;
}

/* A single statement is a transaction without being told so, for two statements less. */
static bool needs_begin(const struct db_unit *u)
{
    return (u->flags & DB_TX) != 0 && (u->n > 1 || (u->flags & DB_READONLY) != 0);
}

static bool send_all(struct db_conn *c, const struct db_unit *u)
{
    const char *begin = u->flags & DB_READONLY ? "BEGIN READ ONLY" : "BEGIN";
    bool tx = needs_begin(u);
    return send_prepares(c, u) && (!tx || send_plain(c, begin, DB__EXPECT_BEGIN)) &&
           send_settings(c, u) && send_calls(c, u) &&
           (!tx || send_plain(c, "COMMIT", DB__EXPECT_COMMIT)) && send_sync(c);
}

static void link_lost(struct db_conn *c)
{
    struct err why;
    char where[128];
    db__err_lost(&why, c->pg, db__conn_where(c, where));
    db__conn_lost(c, &why);
}

int db__pipe_send(struct db_conn *c, struct db_unit *u)
{
    struct db__pipe *p = &c->pipe;
    db__conn_check(c);
    CHECK(c->unit == u && c->state == DB__CONN_BUSY);
    p->n = p->at = 0;
    p->got = p->begun = p->committed = p->rolled_back = p->answered = false;
    p->failed = p->fatal = p->recycle = false;
    p->failed_at = 0;
    if (!send_all(c, u)) {
        link_lost(c);
        return -1;
    }
    return db__conn_flush(c);
}

/* ---- reading --------------------------------------------------------------------------------- */

static const char *expect_name(const struct db_unit *u, const struct db__expect *e)
{
    switch (e->kind) {
    case DB__EXPECT_PREPARE:
    case DB__EXPECT_CALL:
        return u != NULL && e->index < u->n ? u->call[e->index]->stmt->name : "statement";
    case DB__EXPECT_BEGIN:
        return "BEGIN";
    case DB__EXPECT_SETTING:
        return "setting";
    case DB__EXPECT_COMMIT:
    case DB__EXPECT_SYNC:
        return "COMMIT";
    case DB__EXPECT_ROLLBACK:
        return "ROLLBACK";
    }
    return "statement";
}

static void take_error(struct db_conn *c, const struct db__expect *e, const PGresult *res)
{
    struct db__pipe *p = &c->pipe;
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        p->fatal = true;
    /* Once a PREPARE failed, what the table says is prepared here is not so. */
    if (e->kind == DB__EXPECT_PREPARE)
        p->recycle = true;
    if (p->failed)
        return;
    p->failed = true;
    p->failed_at = e->kind == DB__EXPECT_CALL || e->kind == DB__EXPECT_PREPARE ? e->index : 0;
    db__err_result(&p->err, res, expect_name(c->unit, e));
    if (strncmp(p->err.sqlstate, "26", 2) == 0 || strcmp(p->err.sqlstate, "0A000") == 0)
        p->recycle = true;
}

/* A success. Takes res when the unit wants it. */
static PGresult *take_success(struct db_conn *c, const struct db__expect *e, PGresult *res)
{
    struct db__pipe *p = &c->pipe;
    const char *tag;
    p->answered = true;
    switch (e->kind) {
    case DB__EXPECT_BEGIN:
        p->begun = true;
        break;
    case DB__EXPECT_COMMIT:
        tag = PQcmdStatus(res);
        p->committed = tag != NULL && strcmp(tag, "COMMIT") == 0;
        /* The answer to COMMIT in a transaction that had failed. */
        if (!p->committed && !p->failed) {
            p->failed = true;
            err_set(&p->err, ERR_PG, ERR_RETRY, "the transaction was rolled back at COMMIT");
            memcpy(p->err.sqlstate, "40000", 6);
        }
        break;
    case DB__EXPECT_CALL:
        if (c->unit == NULL)
            break;
        PQclear(c->unit->call[e->index]->res);
        c->unit->call[e->index]->res = res;
        return NULL;
    case DB__EXPECT_PREPARE:
    case DB__EXPECT_SETTING:
    case DB__EXPECT_ROLLBACK:
    case DB__EXPECT_SYNC:
        break;
    }
    return res;
}

/* 0, or -1 when the server said something that has no place here. */
static int take_result(struct db_conn *c, PGresult *res)
{
    struct db__pipe *p = &c->pipe;
    if (p->at == p->n)
        return -1;
    const struct db__expect e = p->v[p->at];
    switch (PQresultStatus(res)) {
    case PGRES_PIPELINE_SYNC:
        if (e.kind != DB__EXPECT_SYNC)
            return -1;
        p->at++;
        p->got = false;
        return 0;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        if (e.kind == DB__EXPECT_SYNC)
            return -1;
        p->got = true;
        PQclear(take_success(c, &e, res));
        return 1;
    case PGRES_PIPELINE_ABORTED:
        p->got = true;
        if (e.kind == DB__EXPECT_PREPARE)
            p->recycle = true;
        return 0;
    case PGRES_FATAL_ERROR:
        /* Made by libpq itself because the link broke: it proves nothing about what the server did.
         */
        if (PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL)
            return -1;
        /* Also in the place of a Sync: the implicit transaction failed to commit. */
        p->got = true;
        take_error(c, &e, res);
        return 0;
    default:
        return -1; /* COPY has no place in a pipeline */
    }
}

/* The transaction is open and aborted: end it before anybody else gets this connection. */
static enum db__pipe_next roll_back(struct db_conn *c)
{
    c->pipe.rolled_back = true;
    if (send_plain(c, "ROLLBACK", DB__EXPECT_ROLLBACK) && send_sync(c))
        return db__conn_flush(c) == 0 ? DB__PIPE_MORE : DB__PIPE_LOST;
    link_lost(c);
    return DB__PIPE_LOST;
}

static enum db__pipe_next protocol_broken(struct db_conn *c)
{
    struct err why;
    char where[128];
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        link_lost(c);
        return DB__PIPE_LOST;
    }
    err_set(&why, ERR_PG, ERR_RETRY, "unexpected answer from the database at %s",
            db__conn_where(c, where));
    memcpy(why.sqlstate, "08P01", 6);
    db__conn_lost(c, &why);
    return DB__PIPE_LOST;
}

enum db__pipe_next db__pipe_read(struct db_conn *c)
{
    struct db__pipe *p = &c->pipe;
    unsigned nulls = 0;
    while (p->at < p->n && !PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        if (res == NULL) {
            /* Ends one query, not the batch; two in a row mean that libpq has nothing more. */
            if (++nulls > 1)
                return protocol_broken(c);
            if (p->got && p->v[p->at].kind != DB__EXPECT_SYNC)
                p->at++;
            p->got = false;
            continue;
        }
        nulls = 0;
        int r = take_result(c, res);
        if (r <= 0)
            PQclear(res);
        if (r < 0)
            return protocol_broken(c);
        if (p->fatal) {
            db__conn_lost(c, &p->err);
            return DB__PIPE_LOST;
        }
    }
    if (p->at < p->n)
        return DB__PIPE_MORE;
    return p->begun && !p->committed && !p->rolled_back ? roll_back(c) : DB__PIPE_FINISHED;
}
