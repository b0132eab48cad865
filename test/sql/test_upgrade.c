/* Upgrades: from every earlier schema with data in it to the newest, nothing lost; and the program
 * that runs until its turn comes finds on the newest schema all that it calls (previous.sql). */
#include "db/db.h"
#include "it/it.h"

static int newest(void)
{
    int last = 0;
    for (const struct db_migration *m = db_migrations; m->version != 0; m++)
        last = m->version;
    return last;
}

/* As the migrator leaves a database at that version. */
static struct it_db *at_version(int version)
{
    struct it_db *db = it_db_bare(true);
    it_exec(db, "CREATE TABLE schema_migration (version integer PRIMARY KEY, name text NOT NULL,"
                " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
    for (const struct db_migration *m = db_migrations; m->version != 0 && m->version <= version;
         m++) {
        /* One transaction each, as settings of a migration last until its end. */
        it_exec(db, "BEGIN");
        it_script(db, m->text);
        it_exec(db, "INSERT INTO schema_migration (version, name, sha256) VALUES (%d, '%s', '%s')",
                m->version, m->name, m->sha256);
        it_exec(db, "COMMIT");
    }
    return db;
}

/* What people and programs put in, or would miss. */
static char *kept(struct it_db *db)
{
    return it_text(db, "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
                       " SELECT format('activity %%s %%s %%s %%s', id, athlete_id, name,"
                       "   md5(summary_track::text)) AS line FROM activities"
                       " UNION ALL SELECT format('route %%s %%s %%s', id, display_name,"
                       "   md5(track::text)) FROM routes"
                       " UNION ALL SELECT format('section %%s %%s %%s %%s', activity_id, route_id,"
                       "   start_m, end_m) FROM route_sections"
                       " UNION ALL SELECT format('covered %%s %%s %%s', athlete_id, route_id,"
                       "   covered_length) FROM route_stats"
                       " UNION ALL SELECT format('token %%s %%s', athlete_id, access_token)"
                       "   FROM access_tokens"
                       " UNION ALL SELECT format('dead %%s %%s %%s', queue, kind, payload)"
                       "   FROM q.dead"
                       " UNION ALL SELECT format('done %%s %%s', queue, kind) FROM q.done"
                       " UNION ALL SELECT format('job %%s %%s %%s', queue, kind, payload)"
                       "   FROM q.job WHERE queue = 'other') x");
}

/* The scene as processed by the newest program, in a database of that version: the results are
 * copied, for the old program is no more. */
static void fill(struct it_db *db, struct it_db *scene)
{
    static const char *const tables[] = {"activities", "routes", "route_sections", "route_stats"};
    it_helpers(db);
    it_exec(db, "SELECT it.scene()");
    for (size_t i = 2; i < sizeof(tables) / sizeof(*tables); i++) {
        const char *values = it_text(scene, "SELECT json_agg(t) FROM %s t", tables[i]);
        const char *const param[] = {values};
        it_ask(db,
               it_format("INSERT INTO %s SELECT * FROM json_populate_recordset(NULL::%s, $1::json)",
                         tables[i], tables[i]),
               1, param);
    }
    it_exec(db, "INSERT INTO access_tokens (athlete_id, access_token, expires_at)"
                " SELECT id, 'token of ' || id, now() FROM athletes");
    it_exec(db,
            "INSERT INTO q.job (queue, kind, payload)"
            " SELECT 'other', 'later', jsonb_build_object('n', n) FROM generate_series(1, 20) n");
    it_exec(db, "INSERT INTO q.job (queue, kind, state, run_at, ukey)"
                " VALUES ('other', 'much later', 'waiting', now() + interval '1 day', 'key')");
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct it_db *scene = it_db_scene();
    /* Before version 3 there were no routes' results to lose. */
    for (int version = 3; version < newest(); version++) {
        struct it_db *db = at_version(version);
        fill(db, scene);
        char *before = kept(db);
        assert_true(strlen(before) > 500);
        it_must(db, NULL, IT_LIST("status"), 78);
        it_must(db, NULL, IT_LIST("migrate"), 0);
        it_holds(db, "(SELECT max(version) FROM schema_migration) = %d", newest());
        assert_string_equal(kept(db), before);
        /* What waited is done, and gives what it would have given. */
        it_must(db, NULL, IT_LIST("process"), 0);
        it_same_tables(db, scene);
        it_holds(db, "(SELECT count(*) FROM q.job WHERE queue = 'other') = 21");
    }
}

/* The header lines of a statement: "-- $1 bigint ...". */
static int declared(const char *text, Oid type[], int max)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, "\n-- $")); p++) {
        char name[40];
        int number;
        assert_int_equal(sscanf(p, "\n-- $%d %39s", &number, name), 2);
        assert_int_equal(number, n + 1);
        assert_true(n < max);
        type[n] = db_type_oid(name);
        assert_int_not_equal(type[n], 0);
        n++;
    }
    return n;
}

/* Prepares every one of them; returns how many. */
static int prepare_previous(struct it_db *db)
{
    enum { PARAMS_MAX = 64 };
    char *text = it_read_file(WAYMARK_SOURCE_DIR "/test/sql/previous.sql");
    int schema = 0, n = 0;
    assert_non_null(strstr(text, "\n-- schema "));
    assert_int_equal(sscanf(strstr(text, "\n-- schema "), "\n-- schema %d", &schema), 1);
    assert_true(schema <= newest());
    for (char *p = strstr(text, "\n-- ==== "), *next; p != NULL; p = next, n++) {
        char folder[40], name[60], full[110];
        Oid type[PARAMS_MAX];
        assert_int_equal(sscanf(p, "\n-- ==== %39s %59s", folder, name), 2);
        snprintf(full, sizeof(full), "%s_%s", folder, name);
        char *body = strchr(p + 1, '\n');
        next = strstr(body, "\n-- ==== ");
        if (next != NULL)
            *next = '\0';
        PGresult *res = PQprepare(db->pg, full, body, declared(body, type, PARAMS_MAX), type);
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            fail_msg("%s, of the program of schema %d: %s", full, schema, PQerrorMessage(db->pg));
        PQclear(res);
        if (next != NULL)
            *next = '\n';
    }
    return n;
}

static void the_program_before_still_works(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    assert_true(prepare_previous(db) > 50);
    /* And does what it did: adds, claims and finishes. */
    it_exec(db, "EXECUTE jobs_register('old', 'place', 1, 1, '0.0.9', 'mixed', 2)");
    it_exec(db, "SELECT q.add('[{\"queue\": \"mixed\", \"kind\": \"k\", \"payload\": {}},"
                "  {\"queue\": \"mixed\", \"kind\": \"k\", \"payload\": {}}]')");
    int64_t me = it_i64(db, "SELECT id FROM q.instance WHERE host = 'old'");
    it_exec(db,
            "CREATE TEMP TABLE taken AS EXECUTE jobs_take('mixed', 1, %lld, '{k}', '{60}',"
            " -32768, 0, 0)",
            (long long)me);
    int64_t job = it_i64(db, "SELECT job FROM taken WHERE job_attempt = 1");
    it_exec(db, "EXECUTE jobs_finish('{%lld}', '{1}', %lld)", (long long)job, (long long)me);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE queue = 'mixed' AND state = 'ready') = 1");
    it_holds(db, "(SELECT count(*) FROM q.done WHERE queue = 'mixed') = 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(nothing_is_lost),
        IT_TEST(the_program_before_still_works),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
