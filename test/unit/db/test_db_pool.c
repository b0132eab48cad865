/* The pool: lost connections, order, limits, servers that are not there, waiting for one. */
#include "harness.h"

STMT(echo, "SELECT $1", "bigint");

/* ---- lost connections ------------------------------------------------------------------------ */

static void terminate(int64_t pid)
{
    char sql[80];
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%lld, 5000)", (long long)pid);
    pg_cluster_exec(cluster, "postgres", sql);
}

static void test_killed_while_idle(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    for (int seen = 0; seen < 2; seen++) {
        terminate(ask(h, &backend));
        if (seen) {
            sleep_on_loop(h->loop, 50);
            assert_int_equal(db_pool_open_conns(h->pool), 0);
        }
        /* Otherwise the pool does not know yet when the unit comes. */
        assert_int_equal(ask(h, &one), 1);
    }
    harness_close(h);
}

static void test_killed_in_the_middle(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    begin(h, &u, DB_TX);
    db_add(&u, &put);
    db_p_i64(&u, 1);
    db_add(&u, &sleeper);
    db_p_f64(&u, 20);
    int64_t pid = ask(h, &backend);
    db_submit(&u);
    sleep_on_loop(h->loop, 100);
    terminate(pid);
    await(h->loop, &u.op);
    assert_failed(&u.op, ERR_RETRY, "57P01");
    assert_int_equal(u.failed_at, 1);
    assert_false(u.commit_unknown);
    db_unit_done(&u);
    assert_int_equal(ask(h, &count), 0);
    harness_close(h);
}

/* The process vanishes without a word: the COMMIT was on its way. */
static void test_vanished_in_the_middle(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    int64_t pid = ask(h, &backend);
    begin(h, &u, DB_TX);
    db_add(&u, &put);
    db_p_i64(&u, 1);
    db_add(&u, &sleeper);
    db_p_f64(&u, 20);
    db_submit(&u);
    sleep_on_loop(h->loop, 100);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    await(h->loop, &u.op);
    assert_failed(&u.op, ERR_RETRY, "08006");
    assert_true(u.commit_unknown);
    assert_non_null(strstr(u.op.err.msg, "unknown"));
    db_unit_done(&u);
    /* The server restarts itself after such an end; the next unit waits for it. */
    assert_int_equal(ask(h, &count), 0);
    harness_close(h);
}

struct client {
    struct db_unit unit;
    struct harness *h;
    struct arena *arena;
    int64_t until_ms;
    unsigned ok, failed, *left;
};

static void client_next(struct client *c);

static void client_done(struct op *op)
{
    struct client *c = op->waiter;
    if (op->failed) {
        assert_int_equal(op->err.class, ERR_RETRY);
        c->failed++;
    } else {
        c->ok++;
    }
    db_unit_done(&c->unit);
    arena_reset(c->arena);
    if (clock_mono_ms() < c->until_ms)
        client_next(c);
    else if (--*c->left == 0)
        loop_stop(c->h->loop);
}

static void client_next(struct client *c)
{
    db_unit_init(&c->unit, c->h->pool, c->arena, c->ok % 2 ? DB_TX : 0);
    db_add(&c->unit, &echo);
    db_p_i64(&c->unit, 1);
    db_submit(&c->unit);
    op_await(&c->unit.op, client_done, c);
}

static void halt_server(struct timer_op *t, struct harness *h, int signum)
{
    timer_op_start(t, h->loop, 300);
    await(h->loop, &t->op);
    pg_cluster_halt(cluster, signum);
    timer_op_start(t, h->loop, 300);
    await(h->loop, &t->op);
    pg_cluster_resume(cluster);
}

static void test_restart_under_load(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGQUIT};
    struct harness *h = harness_open(4);
    for (size_t round = 0; round < COUNT_OF(signals); round++) {
        struct client clients[16] = {0};
        struct timer_op t = {0};
        unsigned left = COUNT_OF(clients), ok = 0, failed = 0;
        for (size_t i = 0; i < COUNT_OF(clients); i++) {
            clients[i].h = h;
            clients[i].arena = arena_new(0);
            clients[i].until_ms = clock_mono_ms() + 2500;
            clients[i].left = &left;
            client_next(&clients[i]);
        }
        halt_server(&t, h, signals[round]);
        loop_run(h->loop);
        assert_int_equal(left, 0);
        for (size_t i = 0; i < COUNT_OF(clients); i++) {
            ok += clients[i].ok;
            failed += clients[i].failed;
            assert_true(clients[i].ok > 0);
            arena_free(clients[i].arena);
        }
        /* At most those that were on a connection when it broke. */
        assert_true(failed <= 8);
        print_message("restart under load: %u units, %u failed (RETRY)\n", ok, failed);
        assert_int_equal(db_pool_queued(h->pool), 0);
    }
    harness_close(h);
}

/* ---- the pool -------------------------------------------------------------------------------- */

static unsigned finished_order[8], finished_n;

static void note_order(struct op *op)
{
    finished_order[finished_n++] = (unsigned)(uintptr_t)op->waiter;
}

static void test_max_and_fifo(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u[8];
    finished_n = 0;
    for (unsigned i = 0; i < COUNT_OF(u); i++) {
        begin(h, &u[i], i % 2 ? DB_TX : 0);
        db_add(&u[i], &echo);
        db_p_i64(&u[i], i);
        db_submit(&u[i]);
        op_await(&u[i].op, note_order, (void *)(uintptr_t)i);
    }
    while (finished_n < COUNT_OF(u))
        sleep_on_loop(h->loop, 5);
    for (unsigned i = 0; i < COUNT_OF(u); i++) {
        assert_int_equal(finished_order[i], i);
        assert_int_equal(db_get_i64(&u[i], 0, 0, 0), i);
        db_unit_done(&u[i]);
    }
    assert_int_equal(db_pool_open_conns(h->pool), 1);
    harness_close(h);
    h = harness_open(3);
    for (unsigned i = 0; i < COUNT_OF(u); i++) {
        add_sleep(h, &u[i], 0, 0.1);
        db_submit(&u[i]);
    }
    for (unsigned i = 0; i < COUNT_OF(u); i++) {
        await(h->loop, &u[i].op);
        assert_ok(&u[i].op);
        assert_true(db_pool_open_conns(h->pool) <= 3);
        db_unit_done(&u[i]);
    }
    assert_int_equal(db_pool_open_conns(h->pool), 3);
    harness_close(h);
}

/* A backend costs the server memory: a third is opened only for units that have to wait long. */
static void test_third_comes_late(void **state)
{
    (void)state;
    struct harness *h = harness_open(3);
    struct db_unit u[8];
    for (unsigned turn = 0; turn < 2; turn++) {
        int64_t started_ms = clock_mono_ms();
        for (unsigned i = 0; i < COUNT_OF(u); i++) {
            add_sleep(h, &u[i], 0, turn == 0 ? 0.001 : 0.05);
            db_submit(&u[i]);
        }
        for (unsigned i = 0; i < COUNT_OF(u); i++) {
            await(h->loop, &u[i].op);
            assert_ok(&u[i].op);
            db_unit_done(&u[i]);
        }
        bool quick = clock_mono_ms() - started_ms < 50;
        assert_int_equal(db_pool_open_conns(h->pool), quick ? 2 : 3);
    }
    harness_close(h);
}

static void test_idle_ones_are_closed(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct db_conf conf = conf_for(h, "postgres", 2);
    conf.idle_close_ms = 100;
    open_with(&conf, h);
    assert_int_equal(ask(h, &one), 1);
    assert_int_equal(db_pool_open_conns(h->pool), 1);
    sleep_on_loop(h->loop, 300);
    assert_int_equal(db_pool_open_conns(h->pool), 0);
    assert_int_equal(ask(h, &one), 1);
    harness_close(h);
}

static void test_close_while_busy(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit running, queued;
    bool closed = false;
    assert_int_equal(ask(h, &one), 1);
    add_sleep(h, &running, DB_TX, 5);
    db_submit(&running);
    add_sleep(h, &queued, DB_TX, 5);
    db_submit(&queued);
    sleep_on_loop(h->loop, 50);
    op_cancel(&running.op);
    db_pool_close(h->pool, mark_closed, &closed);
    await(h->loop, &running.op);
    await(h->loop, &queued.op);
    assert_true(running.op.failed && running.op.err.class == ERR_RETRY);
    assert_true(queued.op.failed && queued.op.err.class == ERR_RETRY);
    db_unit_done(&running);
    db_unit_done(&queued);
    loop_run(h->loop);
    assert_true(closed);
    h->pool = NULL;
    harness_close(h);
}

static void test_close_while_connecting(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms < 6; ms++) {
        struct harness *h = harness_open(2);
        struct db_unit u;
        bool closed = false;
        begin(h, &u, 0);
        db_add(&u, &one);
        db_submit(&u);
        if (ms > 0)
            sleep_on_loop(h->loop, ms);
        db_pool_close(h->pool, mark_closed, &closed);
        await(h->loop, &u.op);
        db_unit_done(&u);
        loop_run(h->loop);
        assert_true(closed);
        h->pool = NULL;
        harness_close(h);
    }
}

/* ---- servers that are not there -------------------------------------------------------------- */

static void assert_url_fails(const char *url, enum err_class class, const char *sqlstate,
                             const char *text)
{
    struct harness *h = harness_new();
    const struct db_conf conf = {.url = url, .max_conns = 2, .connect_timeout_ms = 1000};
    open_with(&conf, h);
    struct op op = run_one(h, &one, 0);
    assert_failed(&op, class, sqlstate);
    if (strstr(op.err.msg, text) == NULL)
        fail_msg("%s", op.err.msg);
    assert_null(strstr(op.err.msg, "hunter22"));
    harness_close(h);
}

static void test_hopeless_urls_fail_at_once(void **state)
{
    (void)state;
    char url[300];
    snprintf(url, sizeof(url), "host=%s user=postgres dbname=nowhere", pg_cluster_dir(cluster));
    assert_url_fails(url, ERR_RETRY, "3D000", "nowhere");
    snprintf(url, sizeof(url), "host=%s user=nobody_here password=hunter22 dbname=postgres",
             pg_cluster_dir(cluster));
    assert_url_fails(url, ERR_RETRY, "28000", "nobody_here");
    assert_url_fails("postgres://u:hunter22%zz@h/db", ERR_PERMANENT, "", "cannot be read");
}

static void test_waits_for_a_server(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    const struct db_conf conf = {.url = "host=/nonexistent,localhost port=1,1 user=x",
                                 .max_conns = 2,
                                 .connect_timeout_ms = 1000};
    struct db_unit u;
    open_with(&conf, h);
    begin(h, &u, 0);
    db_add(&u, &one);
    db_submit(&u);
    sleep_on_loop(h->loop, 700);
    assert_int_equal(u.op.state, OP_PENDING);
    op_cancel(&u.op);
    await(h->loop, &u.op);
    assert_true(u.op.failed && u.op.err.class == ERR_RETRY);
    if (strstr(u.op.err.msg, "Connection refused") == NULL)
        fail_msg("%s", u.op.err.msg);
    db_unit_done(&u);
    harness_close(h);
}

static void test_next_host_is_tried(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    char url[300];
    snprintf(url, sizeof(url),
             "host=/nonexistent,localhost,no-such-name.invalid,%s port=1,1,1,5432 user=postgres",
             pg_cluster_dir(cluster));
    const struct db_conf conf = {.url = url, .max_conns = 1};
    open_with(&conf, h);
    assert_int_equal(ask(h, &one), 1);
    harness_close(h);
}

static void test_standby(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    harness_close(h);
    pg_cluster_exec(cluster, "postgres",
                    "ALTER ROLE postgres SET default_transaction_read_only = on");
    h = harness_open(1);
    struct op op = run_one(h, &empty_table, 0);
    assert_failed(&op, ERR_RETRY, "25006");
    op = run_one(h, &one, DB_READONLY);
    assert_ok(&op);
    pg_cluster_exec(cluster, "postgres",
                    "SET TRANSACTION READ WRITE;"
                    "ALTER ROLE postgres RESET default_transaction_read_only");
    op = run_one(h, &empty_table, 0);
    assert_failed(&op, ERR_RETRY, "25006");
    op = run_one(h, &empty_table, 0);
    assert_ok(&op);
    harness_close(h);
}

static void test_redacted(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"postgres://me:hunter22@h:1234/db?sslmode=require", "postgresql://me:***@h:1234/db"},
        {"postgresql://h/db?password=hunter22", "postgresql://:***@h/db"},
        {"host=h password='hunter22 x' dbname=d", "dbname=d host=h"},
        {"postgres://me:hunter22%zz@h", "(unreadable"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = db_url_redacted(cases[i][0]);
        assert_null(strstr(text, "hunter22"));
        if (i < 2 && strcmp(text, cases[i][1]) != 0)
            fail_msg("%s", text);
        mem_free(text);
    }
}

/* ---- waiting for a server -------------------------------------------------------------------- */

static void count_wait(void *ctx, const struct err *why)
{
    assert_true(why->class == ERR_RETRY);
    ++*(int *)ctx;
}

static struct op wait_on(struct harness *h, const char *url, int64_t ms, int *told)
{
    const struct db_conf conf = {.url = url, .max_conns = 1, .connect_timeout_ms = 1000};
    struct op op;
    flow_call(db_wait_flow(h->loop, &conf, ms, count_wait, told), &op);
    await(h->loop, &op);
    return op;
}

static void test_wait(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    int told = 0;
    struct op op = wait_on(h, pg_cluster_url(cluster, "postgres"), 0, &told);
    assert_ok(&op);
    op = wait_on(h, "host=/nonexistent", 0, &told);
    assert_true(op.failed && op.err.class == ERR_RETRY);
    assert_int_equal(told, 0);
    op = wait_on(h, "host=/nonexistent", 600, &told);
    assert_true(op.failed && op.err.class == ERR_RETRY);
    assert_int_equal(told, 1);
    char url[300];
    snprintf(url, sizeof(url), "%s", pg_cluster_url(cluster, "nowhere"));
    op = wait_on(h, url, 60000, &told);
    assert_true(op.failed && op.err.domain == ERR_CONF && op.err.class == ERR_PERMANENT);
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_while_idle),
        cmocka_unit_test(test_killed_in_the_middle),
        cmocka_unit_test(test_vanished_in_the_middle),
        cmocka_unit_test(test_restart_under_load),
        cmocka_unit_test(test_max_and_fifo),
        cmocka_unit_test(test_third_comes_late),
        cmocka_unit_test(test_idle_ones_are_closed),
        cmocka_unit_test(test_close_while_busy),
        cmocka_unit_test(test_close_while_connecting),
        cmocka_unit_test(test_hopeless_urls_fail_at_once),
        cmocka_unit_test(test_waits_for_a_server),
        cmocka_unit_test(test_next_host_is_tried),
        cmocka_unit_test(test_standby),
        cmocka_unit_test(test_redacted),
        cmocka_unit_test(test_wait),
    };
    return run_group("db_pool", tests, COUNT_OF(tests));
}
