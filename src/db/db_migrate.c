/* The migrator: forward only, in order, one transaction each, under one session lock, on a
 * connection of its own. */
#include "db/internal.h"

#define MIGRATE_STEPS(STEP)                                                                        \
    STEP(migrate, connect)                                                                         \
    STEP(migrate, limit_locks)                                                                     \
    STEP(migrate, lock)   /* instances that start together take turns */                           \
    STEP(migrate, locked) /* not yet: wait and lock again */                                       \
    STEP(migrate, inspect)                                                                         \
    STEP(migrate, postgis) /* create the extension if it is missing */                             \
    STEP(migrate, table)   /* schema_migration */                                                  \
    STEP(migrate, read)                                                                            \
    STEP(migrate, verify) /* what is applied against what we know */                               \
    STEP(migrate, next)   /* BEGIN of the next one that is due, or the end */                      \
    STEP(migrate, run)                                                                             \
    STEP(migrate, record)                                                                          \
    STEP(migrate, commit)                                                                          \
    STEP(migrate, again)
FLOW_STEPS(migrate, MIGRATE_STEPS);

/* "waymark" in ASCII. */
#define LOCK_KEY "33602696382607979"
/* A migration may build an index over years of tracks; but it must not make everybody else queue
 * behind it for a lock that somebody holds for long. */
#define MIGRATE_STATEMENT_MS (INT64_C(3600) * 1000)
#define MIGRATE_WAIT_MS      (MIGRATE_STATEMENT_MS + 60000)
#define SHORT_WAIT_MS        60000

struct migrate {
    struct flow flow;
    struct db_conf conf;
    struct db__dsn *dsn;
    struct db__session session;
    struct timer_op delay;
    struct db_migrate_opts opts;
    bool *applied; /* by position in the list */
    size_t n, at;
    unsigned tries; /* to get the lock */
    bool has_table, has_postgis, offers_postgis;
    char *role, *database;
    int server_major;
};

static struct migrate *migrate_of(struct flow *f)
{
    return container_of(f, struct migrate, flow);
}

static enum flow_next query(struct migrate *m, const char *what, const char *sql)
{
    db__session_query(&m->session, what, sql, 0, NULL);
    return flow_wait(&m->flow, &m->session.op, m->flow.step + 1, SHORT_WAIT_MS);
}

#define fail_conf(m, ...)                                                                          \
    (err_set(&(m)->flow.err, ERR_CONF, ERR_PERMANENT, __VA_ARGS__), flow_fail(&(m)->flow))

static enum flow_next migrate_connect(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    m->dsn = db__dsn_new(m->conf.url, &f->err);
    if (m->dsn == NULL)
        return flow_fail(f);
    db__session_init(&m->session, f->loop, &m->conf, m->dsn);
    db__session_open(&m->session);
    return flow_wait_any(f, &m->session.op, migrate_STEP_limit_locks, 0);
}

static enum flow_next migrate_limit_locks(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    if (m->session.op.failed) {
        f->err = m->session.op.err;
        if (db__err_hopeless(&f->err)) {
            f->err.domain = ERR_CONF;
            f->err.class = ERR_PERMANENT;
        }
        return flow_fail(f);
    }
    return query(m, "setting lock_timeout", "SELECT set_config('lock_timeout', '30s', false)");
}

/* ---- one at a time --------------------------------------------------------------------------- */

static enum flow_next migrate_lock(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    if (m->opts.check_only)
        return flow_goto(f, migrate_STEP_inspect);
    return query(m, "migration lock", "SELECT pg_try_advisory_lock(" LOCK_KEY ")");
}

static enum flow_next migrate_locked(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    const char *got = db__session_value(&m->session, 0, 0);
    if (got != NULL && got[0] == 't')
        return FLOW_NEXT;
    /* Mostly another program that has just started and finds nothing to do: gone in a moment. */
    if (++m->tries == 5)
        log_info("another instance is migrating this database, waiting for it");
    timer_op_start(&m->delay, f->loop, m->tries < 5 ? 20 * (int64_t)m->tries : 200);
    return flow_wait(f, &m->delay.op, migrate_STEP_lock, 0);
}

/* ---- what is there --------------------------------------------------------------------------- */

static enum flow_next migrate_inspect(struct flow *f)
{
    return query(
        migrate_of(f), "inspecting the database",
        "SELECT to_regclass('public.schema_migration') IS NOT NULL,"
        " EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis'),"
        " EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis'),"
        " current_user, current_database(), current_setting('server_version_num')::int / 10000,"
        " to_regtype('geography') IS NOT NULL,"
        " (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'postgis')");
}

static bool is_true(const struct migrate *m, int col)
{
    const char *v = db__session_value(&m->session, 0, col);
    return v != NULL && v[0] == 't';
}

static char *copy_value(struct migrate *m, int row, int col)
{
    const char *v = db__session_value(&m->session, row, col);
    return arena_strdup(m->flow.arena, v != NULL ? v : "");
}

static int int_value(const struct migrate *m, int row, int col)
{
    int64_t n;
    const char *v = db__session_value(&m->session, row, col);
    return span_to_i64(span_of(v), 0, INT32_MAX, &n) == 0 ? (int)n : 0;
}

static enum flow_next migrate_postgis(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    m->has_table = is_true(m, 0);
    m->has_postgis = is_true(m, 1);
    m->offers_postgis = is_true(m, 2);
    m->role = copy_value(m, 0, 3);
    m->database = copy_value(m, 0, 4);
    m->server_major = int_value(m, 0, 5);
    if (m->has_postgis && !is_true(m, 6))
        return fail_conf(m,
                         "PostGIS is in schema %s, where role %s does not look: run "
                         "psql -d %s -c 'ALTER ROLE \"%s\" SET search_path = public, %s'",
                         copy_value(m, 0, 7), m->role, m->database, m->role, copy_value(m, 0, 7));
    if (m->has_postgis)
        return FLOW_NEXT;
    if (!m->offers_postgis)
        return fail_conf(
            m,
            "PostGIS is not installed on this server: install the postgis package for PostgreSQL "
            "%d "
            "(Debian: postgresql-%d-postgis-3) or set [database] url to a server that has it",
            m->server_major, m->server_major);
    if (m->opts.check_only)
        return fail_conf(m,
                         "the extension postgis is not in database %s yet: run `waymark migrate`",
                         m->database);
    db__session_query(&m->session, "CREATE EXTENSION postgis",
                      "CREATE EXTENSION IF NOT EXISTS postgis", 0, NULL);
    return flow_wait_any(f, &m->session.op, migrate_STEP_table, SHORT_WAIT_MS);
}

static enum flow_next migrate_table(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    const struct op *op = &m->session.op;
    if (op->failed && strcmp(op->err.sqlstate, "42501") == 0)
        return fail_conf(m,
                         "role %s may not create the extension postgis: as a superuser run "
                         "psql -d %s -c 'CREATE EXTENSION postgis'",
                         m->role, m->database);
    if (op->failed) {
        f->err = op->err;
        return flow_fail(f);
    }
    if (m->has_table)
        return FLOW_NEXT;
    if (m->opts.check_only)
        return fail_conf(m, "database %s has no waymark schema yet: run `waymark migrate`",
                         m->database);
    db__session_query(
        &m->session, "creating schema_migration",
        "CREATE TABLE IF NOT EXISTS public.schema_migration (version integer PRIMARY KEY,"
        " name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        0, NULL);
    return flow_wait_any(f, &m->session.op, migrate_STEP_read, SHORT_WAIT_MS);
}

static enum flow_next migrate_read(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    const struct op *op = &m->session.op;
    if (op->failed && strcmp(op->err.sqlstate, "42501") == 0)
        return fail_conf(m,
                         "role %s may not create tables in database %s: as its owner run "
                         "psql -d %s -c 'GRANT CREATE ON SCHEMA public TO \"%s\"'",
                         m->role, m->database, m->database, m->role);
    if (op->failed) {
        f->err = op->err;
        return flow_fail(f);
    }
    return query(m, "reading schema_migration",
                 "SELECT version, name, sha256 FROM public.schema_migration ORDER BY version");
}

/* ---- what is due ----------------------------------------------------------------------------- */

static int check_row(struct migrate *m, int row, int newest)
{
    const struct db_migration *list = m->opts.list;
    int version = int_value(m, row, 0);
    const char *sum = db__session_value(&m->session, row, 2);
    size_t i = 0;
    while (i < m->n && list[i].version != version)
        i++;
    if (i == m->n)
        return err_set(&m->flow.err, ERR_CONF, ERR_PERMANENT,
                       "database schema has migration %d, this waymark (newest %d) does not know "
                       "it: use the waymark "
                       "that made it, or a newer one",
                       version, newest);
    if (sum == NULL || strcmp(sum, list[i].sha256) != 0)
        return err_set(&m->flow.err, ERR_CONF, ERR_PERMANENT,
                       "migration %04d_%s was changed after it was applied to database %s (applied "
                       "%.12s, this waymark "
                       "has %.12s): use an unmodified waymark; changes go in a new migration",
                       version, list[i].name, m->database, sum != NULL ? sum : "?", list[i].sha256);
    m->applied[i] = true;
    return 0;
}

static enum flow_next migrate_verify(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    int rows = db__session_rows(&m->session);
    int newest = m->n > 0 ? m->opts.list[m->n - 1].version : 0;
    int last = rows > 0 ? int_value(m, rows - 1, 0) : 0;
    m->applied = arena_new_array(f->arena, bool, m->n + 1);
    if (last > newest)
        return fail_conf(
            m, "database schema is version %d, this waymark knows up to %d: upgrade waymark", last,
            newest);
    for (int i = 0; i < rows; i++)
        if (check_row(m, i, newest) < 0)
            return flow_fail(f);
    for (size_t i = 0; i < m->n; i++)
        if (m->opts.check_only && !m->applied[i])
            return fail_conf(
                m, "migration %04d_%s is not applied to database %s yet: run `waymark migrate`",
                m->opts.list[i].version, m->opts.list[i].name, m->database);
    return FLOW_NEXT;
}

/* ---- applying -------------------------------------------------------------------------------- */

static const struct db_migration *due(const struct migrate *m)
{
    return &m->opts.list[m->at];
}

static bool in_transaction(const struct db_migration *x)
{
    static const char mark[] = "-- no-transaction";
    return strncmp(x->text, mark, sizeof(mark) - 1) != 0;
}

static enum flow_next migrate_next(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    while (m->at < m->n && m->applied[m->at])
        m->at++;
    if (m->at == m->n)
        return FLOW_DONE;
    if (m->opts.on_step != NULL)
        m->opts.on_step(m->opts.ctx, due(m));
    return in_transaction(due(m)) ? query(m, "BEGIN", "BEGIN") : FLOW_NEXT;
}

static enum flow_next migrate_run(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    const char *what = arena_printf(f->arena, "migration %04d_%s", due(m)->version, due(m)->name);
    db__session_script(&m->session, what, due(m)->text);
    return flow_wait_any(f, &m->session.op, migrate_STEP_record, MIGRATE_WAIT_MS);
}

/* Line of the at-th character, from 1. */
static int line_of(const char *text, int at)
{
    int line = 1;
    for (const char *p = text; *p != '\0' && at > 1; p++) {
        line += *p == '\n';
        at -=
            ((unsigned char)p[1] & 0xc0) != 0x80; /* bytes that continue a character do not count */
    }
    return line;
}

static enum flow_next migrate_record(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    const struct db_migration *x = due(m);
    if (m->session.op.failed) {
        f->err = m->session.op.err;
        if (m->session.error_at > 0)
            (void)err_wrap(&f->err, "line %d: ", line_of(x->text, m->session.error_at));
        if (strcmp(f->err.sqlstate, "42501") != 0)
            return flow_fail(f);
        const char *why = arena_strdup(f->arena, f->err.msg);
        return fail_conf(
            m,
            "role %s may not change database %s: %s; run `waymark migrate` as the role "
            "that owns its tables",
            m->role, m->database, why);
    }
    const char *params[] = {arena_printf(f->arena, "%d", x->version), x->name, x->sha256};
    db__session_query(
        &m->session, "recording a migration",
        "INSERT INTO public.schema_migration (version, name, sha256) VALUES ($1::integer, $2, $3)",
        COUNT_OF(params), params);
    return flow_wait(f, &m->session.op, migrate_STEP_commit, SHORT_WAIT_MS);
}

static enum flow_next migrate_commit(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    if (!in_transaction(due(m)))
        return FLOW_NEXT;
    db__session_query(&m->session, "COMMIT of a migration", "COMMIT", 0, NULL);
    return flow_wait(f, &m->session.op, migrate_STEP_again, MIGRATE_WAIT_MS);
}

static enum flow_next migrate_again(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    if (in_transaction(due(m)) && strcmp(PQcmdStatus(m->session.res), "COMMIT") != 0) {
        err_set(&f->err, ERR_PG, ERR_BUG, "migration %04d_%s was rolled back at COMMIT",
                due(m)->version, due(m)->name);
        return flow_fail(f);
    }
    m->applied[m->at] = true;
    return flow_goto(f, migrate_STEP_next);
}

/* The connection takes its lock and any open transaction with it. */
static void migrate_end(struct flow *f)
{
    struct migrate *m = migrate_of(f);
    if (m->dsn != NULL)
        db__session_close(&m->session);
    m->dsn = db__dsn_free(m->dsn);
    db__conf_done(&m->conf);
}

static const struct flow_def migrate_def = {"db_migrate", migrate_steps, migrate_STEP_COUNT,
                                            migrate_end};

struct flow *db_migrate_flow(struct loop *l, const struct db_conf *conf,
                             const struct db_migrate_opts *opts)
{
    struct migrate *m = flow_new(l, &migrate_def, sizeof(*m), 0);
    db__conf_copy(&m->conf, conf);
    m->conf.statement_timeout_ms = MIGRATE_STATEMENT_MS;
    m->opts = *opts;
    if (m->opts.list == NULL)
        m->opts.list = db_migrations;
    while (m->opts.list[m->n].version != 0)
        m->n++;
    return &m->flow;
}
