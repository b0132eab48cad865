/* Migrations from nothing to the newest schema, and every embedded statement prepared on it: a
 * statement that does not fit the schema, or whose header lines are wrong, is found here and not in
 * a job. */
#include "db/db.h"
#include "it/it.h"

#define X(folder) extern const struct db_stmt *const SQL_##folder##_all[];
STATEMENT_FOLDERS
#undef X

static const struct db_stmt *const *const folders[] = {
#define X(folder) SQL_##folder##_all,
    STATEMENT_FOLDERS
#undef X
};

enum { PARAMS_MAX = 64, FIRST_OWN_TYPE = 16384, NUMERIC = 1700 };

/* As the pool does: with the types of the header lines. Returns how many parameters the server
 * counts. */
static int prepare_declared(struct it_db *db, const struct db_stmt *s)
{
    Oid type[PARAMS_MAX];
    assert_true(s->nparams <= PARAMS_MAX);
    for (int i = 0; i < s->nparams; i++) {
        type[i] = db_type_oid(s->types[i]);
        if (type[i] == 0)
            fail_msg("%s: $%d: unknown type %s", s->name, i + 1, s->types[i]);
    }
    PGresult *res = PQprepare(db->pg, s->name, s->text, s->nparams, type);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", s->name, PQerrorMessage(db->pg));
    PQclear(res);
    res = PQdescribePrepared(db->pg, s->name);
    assert_int_equal(PQresultStatus(res), PGRES_COMMAND_OK);
    int n = PQnparams(res);
    for (int i = 0; i < n && i < s->nparams; i++)
        assert_int_equal(PQparamtype(res, i), type[i]);
    /* The getters end the process at a type that they do not know: enums, numeric. */
    for (int i = 0; i < PQnfields(res); i++) {
        if (PQftype(res, i) >= FIRST_OWN_TYPE || PQftype(res, i) == NUMERIC)
            fail_msg("%s: column %d is %s", s->name, i,
                     it_text(db, "SELECT format_type(%u, NULL)", PQftype(res, i)));
    }
    PQclear(res);
    return n;
}

static void every_statement_prepares(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    unsigned statements = 0;
    for (size_t f = 0; f < sizeof(folders) / sizeof(*folders); f++) {
        for (const struct db_stmt *const *s = folders[f]; *s != NULL; s++, statements++) {
            int n = prepare_declared(db, *s);
            if (n != (*s)->nparams)
                fail_msg("%s: %d parameters declared, %d used", (*s)->name, (*s)->nparams, n);
        }
    }
    assert_true(statements > 30);
}

/* An integer widens to a bigint without loss, LIMIT takes nothing else; and geometry comes as EWKB,
 * whose cast is written out. */
static bool fits(struct it_db *db, const char *declared, Oid taken)
{
    return db_type_oid(declared) == taken ||
           (strcmp(declared, "integer") == 0 && taken == db_type_oid("bigint")) ||
           (strcmp(declared, "bytea") == 0 &&
            strcmp(it_text(db, "SELECT format_type(%u, NULL)", taken), "geography") == 0);
}

/* What the server infers by itself where it can: a declared type that differs would silently cast,
 * and an index would not be used. */
static void declared_types_are_those_of_the_server(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    unsigned compared = 0;
    for (size_t f = 0; f < sizeof(folders) / sizeof(*folders); f++) {
        for (const struct db_stmt *const *s = folders[f]; *s != NULL; s++) {
            PGresult *res = PQprepare(db->pg, (*s)->name, (*s)->text, 0, NULL);
            bool inferred = PQresultStatus(res) == PGRES_COMMAND_OK;
            PQclear(res);
            if (!inferred)
                continue; /* unnest($1) and the like: only the declaration says */
            res = PQdescribePrepared(db->pg, (*s)->name);
            for (int i = 0; i < (*s)->nparams; i++, compared++) {
                if (!fits(db, (*s)->types[i], PQparamtype(res, i)))
                    fail_msg("%s: $%d is declared %s, the server takes it for %s", (*s)->name,
                             i + 1, (*s)->types[i],
                             it_text(db, "SELECT format_type(%u, NULL)", PQparamtype(res, i)));
            }
            PQclear(res);
        }
    }
    assert_true(compared > 20);
}

/* ---- migrations ---------------------------------------------------------------------------- */

/* Everything that a migration can make or change, but not the ids the server gives. */
static char *schema_of(struct it_db *db)
{
    return it_text(
        db,
        "SELECT md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")) FROM ("
        " SELECT format('column %%s.%%s %%s %%s %%s', c.oid::regclass, a.attname,"
        "   format_type(a.atttypid, a.atttypmod), a.attnotnull,"
        "   pg_get_expr(d.adbin, d.adrelid)) AS line"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
        " WHERE c.relnamespace IN ('public'::regnamespace, 'q'::regnamespace)"
        " UNION ALL SELECT format('constraint %%s %%s', conrelid::regclass,"
        "   pg_get_constraintdef(oid)) FROM pg_constraint"
        " WHERE connamespace IN ('public'::regnamespace, 'q'::regnamespace)"
        " UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN ('public', 'q')"
        " UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger"
        " WHERE NOT tgisinternal"
        " UNION ALL SELECT format('function %%s %%s', p.oid::regprocedure, p.prosrc)"
        " FROM pg_proc p WHERE p.pronamespace IN ('public'::regnamespace, 'q'::regnamespace)"
        "   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e')"
        " UNION ALL SELECT format('view %%s %%s', viewname, definition) FROM pg_views"
        " WHERE schemaname IN ('public', 'q')"
        " UNION ALL SELECT format('migration %%s %%s %%s %%s', version, name, sha256, applied_at)"
        " FROM schema_migration) x");
}

static void migrations_apply_from_empty_and_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_bare(false); /* it makes the extension itself */
    struct it_result r = it_must(db, NULL, IT_LIST("status"), 78);
    assert_non_null(strstr(r.err, "waymark migrate"));
    it_must(db, NULL, IT_LIST("migrate"), 0);
    const char *first = schema_of(db);
    int last = 0;
    for (const struct db_migration *m = db_migrations; m->version != 0; m++) {
        it_holds(db, "EXISTS (SELECT FROM schema_migration WHERE version = %d AND sha256 = '%s')",
                 m->version, m->sha256);
        last = m->version;
    }
    it_holds(db, "(SELECT max(version) FROM schema_migration) = %d", last);
    it_must(db, NULL, IT_LIST("migrate"), 0);
    it_must(db, NULL, IT_LIST("process"), 0);
    assert_string_equal(schema_of(db), first);
    it_must(db, NULL, IT_LIST("status"), 0);
}

static void schemas_made_together_are_made_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_bare(false);
    struct it_proc *p[3];
    for (int i = 0; i < 3; i++)
        p[i] = it_start(db, NULL, IT_LIST("migrate"));
    for (int i = 0; i < 3; i++) {
        struct it_result r = it_wait(p[i], 60000);
        if (r.status != 0)
            fail_msg("%s", r.err);
    }
    it_holds(db, "(SELECT count(*) = max(version) FROM schema_migration)");
}

/* One clear line, and nothing done. */
static void refuses(struct it_db *db, const char *const *args, const char *text)
{
    struct it_result r = it_must(db, IT_LIST("WAYMARK_LOG_LEVEL=error"), args, 78);
    if (strstr(r.err, text) == NULL)
        fail_msg("no \"%s\" in: %s", text, r.err);
    const char *line_end = strchr(r.err, '\n');
    if (line_end == NULL || line_end[1] != '\0')
        fail_msg("not one line: %s", r.err);
}

static void a_schema_of_tomorrow_is_refused(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO schema_migration (version, name, sha256) VALUES (999, 'later', 'x')");
    refuses(db, IT_LIST("migrate"), "version 999");
    refuses(db, IT_LIST("process"), "version 999");
    refuses(db, IT_LIST("status"), "version 999");
}

static void a_changed_migration_is_refused(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "UPDATE schema_migration SET sha256 = 'other' WHERE version = 2");
    refuses(db, IT_LIST("migrate"), "0002_queue was changed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(every_statement_prepares),
        IT_TEST(declared_types_are_those_of_the_server),
        IT_TEST(migrations_apply_from_empty_and_once),
        IT_TEST(schemas_made_together_are_made_once),
        IT_TEST(a_schema_of_tomorrow_is_refused),
        IT_TEST(a_changed_migration_is_refused),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
