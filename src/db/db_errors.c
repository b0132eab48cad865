/* What an SQLSTATE means to the caller, and messages out of libpq's fields, any of which may be
 * missing. */
#include "db/internal.h"

#include <ctype.h>

/* Longest prefix first within a group: the first match counts.
 * https://www.postgresql.org/docs/15/errcodes-appendix.html */
static const struct {
    const char *prefix;
    enum err_class class;
} sqlstates[] = {
    {"WM001", ERR_RETRY}, /* fenced: somebody else owns the row now */
    {"WM002", ERR_RETRY}, /* read rows that have changed since */
    {"WM", ERR_PERMANENT},
    {"P0001", ERR_PERMANENT}, /* RAISE without a code of its own */
    {"08", ERR_RETRY},
    {"40", ERR_RETRY}, /* deadlock, serialization */
    {"53", ERR_RETRY}, /* disk, memory, connections */
    {"54", ERR_PERMANENT},
    {"55P03", ERR_RETRY}, /* lock not available */
    {"55006", ERR_RETRY}, /* object in use */
    {"57", ERR_RETRY},    /* operator intervention, timeouts */
    {"58", ERR_RETRY},    /* I/O */
    /* "Internal error" is what PostGIS raises for a bad geometry, but also what a concurrent change
     * of the catalogue gives. Attempts are bounded, so the second must not be lost for the sake of
     * the first. */
    {"XX", ERR_RETRY},
    {"22", ERR_PERMANENT},
    {"23", ERR_PERMANENT},
    {"25006", ERR_RETRY}, /* read-only: this server is a standby just now */
    {"25P03", ERR_RETRY}, /* idle in transaction too long */
    {"26000", ERR_RETRY}, /* statement gone: somebody ran DISCARD; the connection is replaced */
    {"28", ERR_RETRY},    /* db__err_hopeless tells the ones at connecting */
};

enum err_class db__sqlstate_class(const char *sqlstate)
{
    for (size_t i = 0; i < COUNT_OF(sqlstates); i++)
        if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
            return sqlstates[i].class;
    return ERR_BUG;
}

const char *db__one_line(const char *text, char *out, size_t n)
{
    snprintf(out, n, "%s", text != NULL && text[0] != '\0' ? text : "no message");
    out[strcspn(out, "\r\n")] = '\0';
    return out;
}

static void set_sqlstate(struct err *err, const char *sqlstate)
{
    snprintf(err->sqlstate, sizeof(err->sqlstate), "%.5s", sqlstate);
}

static const char *field(const PGresult *res, int code)
{
    const char *s = PQresultErrorField(res, code);
    return s != NULL && s[0] != '\0' ? s : NULL;
}

void db__err_result(struct err *err, const PGresult *res, const char *what)
{
    const char *state = field(res, PG_DIAG_SQLSTATE);
    const char *constraint = field(res, PG_DIAG_CONSTRAINT_NAME);
    const char *primary = field(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *routine = field(res, PG_DIAG_SOURCE_FUNCTION);
    char line[320];

    /* libpq makes results without fields itself, when the connection broke. */
    if (state == NULL)
        state = "08006";
    enum err_class class = db__sqlstate_class(state);
    /* "cached plan must not change result type", whatever its language: a migration ran meanwhile.
     */
    if (strcmp(state, "0A000") == 0 && routine != NULL &&
        strcmp(routine, "RevalidateCachedQuery") == 0)
        class = ERR_RETRY;
    db__one_line(primary != NULL ? primary : PQresultErrorMessage(res), line, sizeof(line));
    if (constraint != NULL)
        err_set(err, ERR_PG, class, "%s (%s, constraint %s)", line, what, constraint);
    else
        err_set(err, ERR_PG, class, "%s (%s)", line, what);
    set_sqlstate(err, state);
}

/* PQERRORS_VERBOSE puts the SQLSTATE between the severity and the message: "FATAL:  28P01: password
 * ...". libpq 15 has no other way to it for a connection that failed. Cuts it out of line. */
static void take_sqlstate(char *line, char state[6])
{
    state[0] = '\0';
    for (char *p = strstr(line, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        const char *s = p + 3;
        size_t n = strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n != 5 || s[5] != ':' || s[6] != ' ')
            continue;
        memcpy(state, s, 5);
        state[5] = '\0';
        memmove(p + 2, s + 7, strlen(s + 7) + 1);
        return;
    }
}

void db__err_connect(struct err *err, PGconn *pg, const char *where)
{
    char line[400], state[6];
    db__one_line(PQerrorMessage(pg), line, sizeof(line));
    take_sqlstate(line, state);
    if (state[0] == '\0' && PQconnectionNeedsPassword(pg))
        memcpy(state, "28P01", 6);
    if (state[0] == '\0')
        memcpy(state, "08001", 6);
    err_set(err, ERR_PG, ERR_RETRY, "cannot connect to the database at %s: %s", where, line);
    set_sqlstate(err, state);
}

void db__err_lost(struct err *err, PGconn *pg, const char *where)
{
    char line[320];
    db__one_line(pg != NULL ? PQerrorMessage(pg) : NULL, line, sizeof(line));
    err_set(err, ERR_PG, ERR_RETRY, "lost the connection to the database at %s: %s", where, line);
    set_sqlstate(err, "08006");
}

bool db__err_hopeless(const struct err *err)
{
    return err->domain == ERR_CONF || strncmp(err->sqlstate, "28", 2) == 0 ||
           strcmp(err->sqlstate, "3D000") == 0;
}

int64_t db__backoff_next(int64_t *backoff_ms)
{
    *backoff_ms = *backoff_ms == 0 ? 100 : *backoff_ms * 2;
    if (*backoff_ms > 5000)
        *backoff_ms = 5000;
    /* Half to the full delay: instances that lost the same server must not come back in step. */
    return *backoff_ms / 2 + (int64_t)((uint64_t)clock_mono_ns() % (uint64_t)(*backoff_ms / 2 + 1));
}
