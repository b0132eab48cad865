/* Backup and restore, as the README has it: pg_dump, and pg_restore into an empty database. */
#include "it/it.h"

static struct it_result run_tool(struct it_db *db, const char *name, const char *const *args)
{
    const char *program = it_format("%s/%s", pg_cluster_bin_dir(), name);
    struct it_result r = it_wait(it_start_program(program, db, NULL, args), 60000);
    if (r.status != 0)
        fail_msg("%s: %s", name, r.err);
    return r;
}

/* What `waymark status` and `waymark route list` say, but for what is not in a database: its
 * address and size, and the instances. */
static char *told(struct it_db *db)
{
    const char *status = it_must(db, NULL, IT_LIST("status", "--json"), 0).out;
    const char *routes =
        it_must(db, NULL, IT_LIST("route", "list", "--athlete", "1", "--json"), 0).out;
    const char *const param[] = {status};
    PGresult *res = it_ask(
        db, "SELECT ($1::jsonb - '{database,database_bytes,instances,last_minute}'::text[])::text",
        1, param);
    return it_format("%s\n%s", PQgetvalue(res, 0, 0), routes);
}

static void a_restored_dump_is_the_same(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "INSERT INTO q.job (queue, kind, state, run_at)"
                " VALUES ('other', 'k', 'waiting', now() + interval '1 day')");
    it_must(
        db, NULL,
        IT_LIST("jobs", "cron", "add", "races", "0 3 * * 1", "--kind", "fetch", "--queue", "races"),
        0);
    const char *dump = it_format("%s/waymark.dump", it_home());
    run_tool(db, "pg_dump", IT_LIST("--format=custom", it_format("--file=%s", dump), db->url));
    struct it_db *copy = it_db_bare(false);
    run_tool(copy, "pg_restore",
             IT_LIST("--exit-on-error", "--no-owner", it_format("--dbname=%s", copy->url), dump));
    assert_string_equal(told(copy), told(db));
    it_same_tables(copy, db);
    /* It lives: the triggers, the sequences and the queue are those of the original. */
    it_must(copy, NULL, IT_LIST("migrate"), 0);
    it_exec(copy, "SELECT it.walk(901, 1, 0.1, 0.4, 0)");
    it_must(copy, NULL, IT_LIST("process"), 0);
    it_holds(copy, "EXISTS (SELECT FROM route_sections WHERE activity_id = 901)");
    it_holds(copy, "(SELECT count(*) FROM q.cron) = 1");
    it_same_as_recomputed(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(a_restored_dump_is_the_same),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
