/* The migrator: fresh, again, changed, newer, racing, failing, refused. */
#include "harness.h"

#define SUM_A "aaaaaaaaaaaaaaaa"
#define SUM_B "bbbbbbbbbbbbbbbb"
#define FIRST                                                                                      \
    "-- a comment; with a semicolon\nCREATE TABLE one (id int);\nINSERT INTO one VALUES (1), (2);"
#define SECOND "-- no-transaction\nCREATE INDEX CONCURRENTLY one_id ON one (id)"

static const struct db_migration two[] = {
    {1, "first", SUM_A, FIRST},
    {2, "second", SUM_B, SECOND},
    {0, NULL, NULL, NULL},
};
static const struct db_migration only_first[] = {{1, "first", SUM_A, FIRST}, {0, NULL, NULL, NULL}};

static void count_step(void *ctx, const struct db_migration *m)
{
    assert_int_equal(m->version, *(int *)ctx + 1);
    ++*(int *)ctx;
}

static struct op *migrate(struct harness *h, const char *db, const struct db_migration *list,
                          bool check, int *steps)
{
    const struct db_conf conf = conf_for(h, db, 1);
    const struct db_migrate_opts opts = {.check_only = check,
                                         .list = list,
                                         .on_step = steps != NULL ? count_step : NULL,
                                         .ctx = steps};
    struct op *op = arena_alloc(h->arena, sizeof(*op));
    flow_call(db_migrate_flow(h->loop, &conf, &opts), op);
    return op;
}

static const struct op *migrated(struct harness *h, const char *db, const struct db_migration *list,
                                 bool check, int *steps)
{
    struct op *op = migrate(h, db, list, check, steps);
    await(h->loop, op);
    return op;
}

static void assert_conf(const struct op *op, const char *text)
{
    assert_true(op->failed);
    if (op->err.domain != ERR_CONF || op->err.class != ERR_PERMANENT ||
        strstr(op->err.msg, text) == NULL)
        fail_msg("domain %d, class %s: %s", (int)op->err.domain, err_class_name(op->err.class),
                 op->err.msg);
}

static void need_postgis(void)
{
    if (pg_cluster_i64(cluster, "postgres",
                       "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'") == 0)
        skip();
}

static void test_fresh_and_again(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    int steps = 0;
    pg_cluster_database(cluster, "fresh", false);
    assert_conf(migrated(h, "fresh", two, true, NULL), "run `waymark migrate`");
    assert_int_equal(pg_cluster_i64(cluster, "fresh",
                                    "SELECT count(*) FROM pg_extension WHERE extname = 'postgis'"),
                     0);
    assert_ok(migrated(h, "fresh", two, false, &steps));
    assert_int_equal(steps, 2);
    assert_int_equal(pg_cluster_i64(cluster, "fresh", "SELECT count(*) FROM one"), 2);
    assert_string_equal(
        pg_cluster_text(cluster, "fresh",
                        "SELECT string_agg(version || name || sha256, ' ' ORDER BY version)"
                        " FROM schema_migration"),
        "1first" SUM_A " 2second" SUM_B);
    assert_int_equal(pg_cluster_i64(cluster, "fresh",
                                    "SELECT count(*) FROM pg_extension WHERE extname = 'postgis'"),
                     1);
    assert_int_equal(
        pg_cluster_i64(cluster, "fresh", "SELECT count(*) FROM pg_class WHERE relname = 'one_id'"),
        1);
    assert_ok(migrated(h, "fresh", two, false, &steps));
    assert_int_equal(steps, 2);
    assert_ok(migrated(h, "fresh", two, true, NULL));
    harness_close(h);
}

static void test_later_one(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    int steps = 0;
    pg_cluster_database(cluster, "later", false);
    assert_ok(migrated(h, "later", only_first, false, &steps));
    assert_conf(migrated(h, "later", two, true, NULL),
                "migration 0002_second is not applied to database later yet");
    assert_ok(migrated(h, "later", two, false, &steps));
    assert_int_equal(steps, 2);
    harness_close(h);
}

static void test_changed_and_newer(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    static const struct db_migration changed[] = {{1, "first", SUM_B, FIRST},
                                                  {0, NULL, NULL, NULL}};
    pg_cluster_database(cluster, "changed", false);
    assert_ok(migrated(h, "changed", only_first, false, NULL));
    assert_conf(migrated(h, "changed", changed, false, NULL),
                "migration 0001_first was changed after it was applied");
    pg_cluster_exec(cluster, "changed", "INSERT INTO schema_migration VALUES (7, 'x', 'y')");
    assert_conf(migrated(h, "changed", only_first, false, NULL),
                "database schema is version 7, this waymark knows up to 1: upgrade waymark");
    assert_conf(migrated(h, "changed", only_first, true, NULL), "version 7");
    harness_close(h);
}

static void test_failing_one_leaves_nothing(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    static const struct db_migration bad[] = {
        {1, "first", SUM_A, FIRST},
        {2, "broken", SUM_B, "CREATE TABLE left_over (id int);\n-- ß\nSELECT nonsense FROM one;"},
        {0, NULL, NULL, NULL},
    };
    pg_cluster_database(cluster, "failing", false);
    const struct op *op = migrated(h, "failing", bad, false, NULL);
    assert_failed(op, ERR_BUG, "42703");
    assert_non_null(strstr(op->err.msg, "migration 0002_broken"));
    assert_non_null(strstr(op->err.msg, "line 3"));
    assert_int_equal(
        pg_cluster_i64(cluster, "failing", "SELECT max(version) FROM schema_migration"), 1);
    assert_string_equal(
        pg_cluster_text(cluster, "failing", "SELECT to_regclass('left_over') IS NULL"), "t");
    assert_ok(migrated(h, "failing", two, false, NULL));
    harness_close(h);
}

static void test_commit_error_is_told(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    static const struct db_migration bad[] = {
        {1, "deferred", SUM_A,
         "CREATE TABLE a (id int PRIMARY KEY, b int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\n"
         "INSERT INTO a VALUES (1, 5);"},
        {0, NULL, NULL, NULL},
    };
    pg_cluster_database(cluster, "deferred", false);
    assert_failed(migrated(h, "deferred", bad, false, NULL), ERR_PERMANENT, "23503");
    assert_int_equal(pg_cluster_i64(cluster, "deferred", "SELECT count(*) FROM schema_migration"),
                     0);
    harness_close(h);
}

static void test_race(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    struct op *op[4];
    pg_cluster_database(cluster, "race", false);
    for (size_t i = 0; i < COUNT_OF(op); i++)
        op[i] = migrate(h, "race", two, false, NULL);
    for (size_t i = 0; i < COUNT_OF(op); i++) {
        await(h->loop, op[i]);
        assert_ok(op[i]);
    }
    assert_int_equal(pg_cluster_i64(cluster, "race", "SELECT count(*) FROM one"), 2);
    assert_int_equal(pg_cluster_i64(cluster, "race", "SELECT count(*) FROM schema_migration"), 2);
    harness_close(h);
}

static void test_cancelled_while_waiting_for_the_lock(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    static const struct db_migration slow[] = {{1, "slow", SUM_A, "SELECT pg_sleep(3)"},
                                               {0, NULL, NULL, NULL}};
    pg_cluster_database(cluster, "cancelled", false);
    struct op *first = migrate(h, "cancelled", slow, false, NULL);
    sleep_on_loop(h->loop, 800);
    struct op *second = migrate(h, "cancelled", slow, false, NULL);
    sleep_on_loop(h->loop, 300);
    int64_t start = clock_mono_ms();
    op_cancel(second);
    await(h->loop, second);
    assert_true(second->failed && second->err.class == ERR_RETRY);
    op_cancel(first);
    await(h->loop, first);
    assert_true(first->failed && first->err.class == ERR_RETRY);
    assert_true(clock_mono_ms() - start < 500);
    harness_close(h);
}

static void test_not_permitted(void **state)
{
    (void)state;
    need_postgis();
    struct harness *h = harness_new();
    char url[300];
    pg_cluster_database(cluster, "small", false);
    pg_cluster_exec(cluster, "postgres", "CREATE ROLE small LOGIN");
    snprintf(url, sizeof(url), "host=%s user=small dbname=small", pg_cluster_dir(cluster));
    const struct db_conf conf = {.url = url, .max_conns = 1};
    const struct db_migrate_opts opts = {.list = only_first};
    for (int i = 0; i < 2; i++) {
        struct op op;
        flow_call(db_migrate_flow(h->loop, &conf, &opts), &op);
        await(h->loop, &op);
        assert_conf(&op,
                    i == 0 ? "role small may not create the extension postgis: as a superuser run "
                             "psql -d small -c 'CREATE EXTENSION postgis'"
                           : "role small may not create tables in database small");
        pg_cluster_exec(cluster, "small", "CREATE EXTENSION IF NOT EXISTS postgis");
    }
    harness_close(h);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    assert_conf(migrated(h, "no_such_database", two, false, NULL), "no_such_database");
    const struct db_conf conf = {.url = "postgres://u:hunter22%zz@h/x", .max_conns = 1};
    const struct db_migrate_opts opts = {.list = two};
    struct op op;
    flow_call(db_migrate_flow(h->loop, &conf, &opts), &op);
    await(h->loop, &op);
    assert_conf(&op, "cannot be read");
    assert_null(strstr(op.err.msg, "hunter22"));
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_and_again),
        cmocka_unit_test(test_later_one),
        cmocka_unit_test(test_changed_and_newer),
        cmocka_unit_test(test_failing_one_leaves_nothing),
        cmocka_unit_test(test_commit_error_is_told),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_cancelled_while_waiting_for_the_lock),
        cmocka_unit_test(test_not_permitted),
        cmocka_unit_test(test_unreachable),
    };
    return run_group("db_migrate", tests, COUNT_OF(tests));
}
