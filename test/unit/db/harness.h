/* What the tests of db/ share: one private server for the whole program, one loop and one pool for
 * a test. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "db/db.h"
#include "fake/pg_cluster.h"

#define UNUSED __attribute__((unused))

static struct pg_cluster *cluster;

struct harness {
    struct loop *loop;
    struct db_pool *pool;
    struct arena *arena;
    char url[300];
};

/* A statement written in a test. */
#define STMT(ident, sql, ...)                                                                      \
    static UNUSED const char *const ident##_types[] = {__VA_ARGS__ __VA_OPT__(, ) NULL};           \
    static UNUSED const struct db_stmt ident = {#ident, sql, COUNT_OF(ident##_types) - 1,          \
                                                ident##_types}

static UNUSED void stop_loop(struct op *op)
{
    loop_stop(op->waiter);
}

/* Runs the loop until the op has finished. */
static UNUSED void await(struct loop *l, struct op *op)
{
    op_await(op, stop_loop, l);
    loop_run(l);
    assert_int_equal(op->state, OP_DONE);
}

static UNUSED void sleep_on_loop(struct loop *l, int64_t ms)
{
    struct timer_op t = {0};
    timer_op_start(&t, l, ms);
    await(l, &t.op);
}

static UNUSED struct db_conf conf_for(struct harness *h, const char *dbname, unsigned max_conns)
{
    snprintf(h->url, sizeof(h->url), "%s", pg_cluster_url(cluster, dbname));
    return (struct db_conf){.url = h->url,
                            .max_conns = max_conns,
                            .connect_timeout_ms = 5000,
                            .statement_timeout_ms = 20000,
                            .application_name = "waymark test"};
}

static UNUSED struct harness *open_with(const struct db_conf *conf, struct harness *h)
{
    h->pool = db_pool_open(h->loop, conf);
    return h;
}

static UNUSED struct harness *harness_new(void)
{
    struct err err;
    struct harness *h = mem_alloc(sizeof(*h));
    h->loop = loop_new(2, &err);
    assert_non_null(h->loop);
    h->arena = arena_new(0);
    return h;
}

static UNUSED struct harness *harness_open(unsigned max_conns)
{
    struct harness *h = harness_new();
    const struct db_conf conf = conf_for(h, "postgres", max_conns);
    return open_with(&conf, h);
}

static void mark_closed(void *ctx)
{
    *(bool *)ctx = true;
}

/* Ends like the program must: everything closed, nothing left for the loop. */
static UNUSED void harness_close(struct harness *h)
{
    bool closed = h->pool == NULL;
    if (h->pool != NULL)
        db_pool_close(h->pool, mark_closed, &closed);
    loop_run(h->loop);
    assert_true(closed);
    assert_int_equal(loop_flow_count(h->loop), 0);
    h->loop = loop_free(h->loop);
    arena_free(h->arena);
    mem_free(h);
}

static UNUSED void run_unit(struct harness *h, struct db_unit *u)
{
    db_submit(u);
    await(h->loop, &u->op);
}

static UNUSED void assert_ok(const struct op *op)
{
    if (op->failed)
        fail_msg("failed: %s (%s)", op->err.msg, op->err.sqlstate);
}

static UNUSED void assert_failed(const struct op *op, enum err_class class, const char *sqlstate)
{
    assert_true(op->failed);
    if (op->err.class != class || strcmp(op->err.sqlstate, sqlstate) != 0)
        fail_msg("class %s, sqlstate %s: %s", err_class_name(op->err.class), op->err.sqlstate,
                 op->err.msg);
    assert_null(strchr(op->err.msg, '\n'));
}

/* ---- what several of them run ---------------------------------------------------------------- */

STMT(one, "SELECT 1");
STMT(sleeper, "SELECT pg_sleep($1)", "float8");
STMT(backend, "SELECT pg_backend_pid()");
STMT(make_table,
     "CREATE TABLE IF NOT EXISTS pool_test (id bigint PRIMARY KEY, ref bigint REFERENCES pool_test"
     " DEFERRABLE INITIALLY DEFERRED, small smallint CHECK (small > 0))");
STMT(empty_table, "TRUNCATE pool_test");
STMT(put, "INSERT INTO pool_test (id) VALUES ($1)", "bigint");
STMT(count, "SELECT count(*) FROM pool_test");

static UNUSED void begin(struct harness *h, struct db_unit *u, unsigned flags)
{
    db_unit_init(u, h->pool, h->arena, flags);
}

static UNUSED void run_ok(struct harness *h, struct db_unit *u)
{
    run_unit(h, u);
    assert_ok(&u->op);
}

/* A unit of one statement without parameters. */
static UNUSED struct op run_one(struct harness *h, const struct db_stmt *s, unsigned flags)
{
    struct db_unit u;
    begin(h, &u, flags);
    db_add(&u, s);
    run_unit(h, &u);
    struct op op = u.op;
    db_unit_done(&u);
    return op;
}

static UNUSED int64_t ask(struct harness *h, const struct db_stmt *s)
{
    struct db_unit u;
    begin(h, &u, 0);
    db_add(&u, s);
    run_ok(h, &u);
    int64_t n = db_get_i64(&u, 0, 0, 0);
    db_unit_done(&u);
    return n;
}

static UNUSED struct harness *open_table(unsigned max_conns)
{
    struct harness *h = harness_open(max_conns);
    struct db_unit u;
    begin(h, &u, DB_TX);
    db_add(&u, &make_table);
    run_ok(h, &u);
    db_unit_done(&u);
    struct op op = run_one(h, &empty_table, 0);
    assert_ok(&op);
    return h;
}

static UNUSED void add_sleep(struct harness *h, struct db_unit *u, unsigned flags, double seconds)
{
    begin(h, u, flags);
    db_add(u, &sleeper);
    db_p_f64(u, seconds);
}

static UNUSED int group_start(void **state)
{
    (void)state;
    cluster = pg_cluster_start(false, 0);
    return 0;
}

static UNUSED int group_stop(void **state)
{
    (void)state;
    cluster = pg_cluster_free(cluster);
    return 0;
}

/* Quiet, unless the person wants to see it. */
static UNUSED int run_group(const char *name, const struct CMUnitTest *tests, size_t n)
{
    cmocka_set_test_filter(getenv("WAYMARK_TEST_ONLY"));
    log_init(getenv("WAYMARK_TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
             LOG_FORMAT_LOGFMT, stderr);
    return _cmocka_run_group_tests(name, tests, n, group_start, group_stop);
}
