/* Units: transactions, error classes, settings, deadlines. */
#include "harness.h"

STMT(echo_bytes, "SELECT $1", "bytea");
STMT(put_ref, "INSERT INTO pool_test (id, ref) VALUES ($1, $2)", "bigint", "bigint");
STMT(put_small, "INSERT INTO pool_test (id, small) VALUES (1, $1)", "smallint");
STMT(bad_syntax, "SELEC 1");
STMT(bad_table, "SELECT * FROM no_such_table");
STMT(divide, "SELECT 1 / $1", "integer");
STMT(fenced, "DO $$ BEGIN RAISE EXCEPTION 'not yours' USING ERRCODE = 'WM001'; END $$");
STMT(refused, "DO $$ BEGIN RAISE EXCEPTION 'never' USING ERRCODE = 'WM010'; END $$");
STMT(raised, "DO $$ BEGIN RAISE EXCEPTION E'two\nlines'; END $$");
STMT(timeout_setting, "SELECT current_setting('statement_timeout')");
STMT(settings,
     "SELECT current_setting('synchronous_commit'), current_setting('transaction_read_only'),"
     " current_setting('TimeZone'), current_setting('application_name'), "
     "current_setting('client_encoding')");
STMT(xid, "SELECT txid_current()");
STMT(notice, "DO $$ BEGIN RAISE WARNING 'careful'; END $$");
STMT(star, "SELECT * FROM shape_test");

/* ---- transactions ---------------------------------------------------------------------------- */

static void test_tx_commits(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    for (int round = 0; round < 3; round++) {
        begin(h, &u, DB_TX | (round == 1 ? DB_ASYNC_COMMIT : 0));
        for (int i = 0; i < 200; i++) {
            db_add(&u, &put);
            db_p_i64(&u, round * 1000 + i);
        }
        db_add(&u, &count);
        run_ok(h, &u);
        assert_int_equal(db_affected(&u, 199), 1);
        assert_int_equal(db_get_i64(&u, 200, 0, 0), (round + 1) * 200);
        assert_false(u.commit_unknown);
        db_unit_done(&u);
    }
    assert_int_equal(ask(h, &count), 600);
    assert_int_equal(db_pool_open_conns(h->pool), 1);
    harness_close(h);
}

/* More than any buffer holds, both ways at once: each side must read while it writes. */
static void test_large_pipeline(void **state)
{
    (void)state;
    enum { CALLS = 200, BYTES = 200000 };
    struct harness *h = harness_open(1);
    struct db_unit u;
    char *bytes = mem_alloc(BYTES);
    begin(h, &u, DB_TX);
    for (int i = 0; i < CALLS; i++) {
        db_add(&u, &echo_bytes);
        db_p_bytes(&u, bytes, BYTES);
    }
    run_ok(h, &u);
    for (unsigned i = 0; i < CALLS; i++)
        assert_int_equal(db_get_span(&u, i, 0, 0).n, BYTES);
    db_unit_done(&u);
    mem_free(bytes);
    harness_close(h);
}

static void test_error_rolls_back_and_connection_lives(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    int64_t pid = ask(h, &backend);
    for (int round = 0; round < 3; round++) {
        begin(h, &u, DB_TX);
        db_add(&u, &put);
        db_p_i64(&u, 1);
        db_add(&u, &put);
        db_p_i64(&u, 1);
        db_add(&u, &one);
        run_unit(h, &u);
        assert_failed(&u.op, ERR_PERMANENT, "23505");
        assert_int_equal(u.failed_at, 1);
        assert_non_null(strstr(u.op.err.msg, "put"));
        assert_non_null(strstr(u.op.err.msg, "pool_test_pkey"));
        assert_false(u.commit_unknown);
        db_unit_done(&u);
        assert_int_equal(ask(h, &count), 0);
    }
    assert_int_equal(ask(h, &backend), pid);
    harness_close(h);
}

static void test_error_at_commit(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    for (int tx = 0; tx < 2; tx++) {
        /* With tx 0 the implicit transaction commits at Sync, after every statement has succeeded.
         */
        begin(h, &u, tx ? DB_TX : 0);
        db_add(&u, &put_ref);
        db_p_i64(&u, 1);
        db_p_i64(&u, 99);
        db_add(&u, &one);
        run_unit(h, &u);
        assert_failed(&u.op, ERR_PERMANENT, "23503");
        assert_false(u.commit_unknown);
        db_unit_done(&u);
        assert_int_equal(ask(h, &count), 0);
    }
    assert_int_equal(db_pool_open_conns(h->pool), 1);
    harness_close(h);
}

static void test_without_tx_it_is_one_implicit_transaction(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    begin(h, &u, 0);
    db_add(&u, &put);
    db_p_i64(&u, 1);
    db_add(&u, &divide);
    db_p_i64(&u, 0);
    run_unit(h, &u);
    assert_failed(&u.op, ERR_PERMANENT, "22012");
    db_unit_done(&u);
    assert_int_equal(ask(h, &count), 0);
    begin(h, &u, 0);
    db_add(&u, &xid);
    db_add(&u, &xid);
    run_ok(h, &u);
    assert_int_equal(db_get_i64(&u, 0, 0, 0), db_get_i64(&u, 1, 0, 0));
    db_unit_done(&u);
    harness_close(h);
}

static void test_error_classes(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    static const struct {
        const struct db_stmt *stmt;
        enum err_class class;
        const char *sqlstate;
    } cases[] = {
        {&bad_syntax, ERR_BUG, "42601"},   {&bad_table, ERR_BUG, "42P01"},
        {&fenced, ERR_RETRY, "WM001"},     {&refused, ERR_PERMANENT, "WM010"},
        {&raised, ERR_PERMANENT, "P0001"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (unsigned flags = 0; flags <= DB_TX; flags++) {
            struct op op = run_one(h, cases[i].stmt, flags);
            assert_failed(&op, cases[i].class, cases[i].sqlstate);
            assert_non_null(strstr(op.err.msg, cases[i].stmt->name));
            assert_int_equal(ask(h, &one), 1);
        }
    }
    struct db_unit u;
    begin(h, &u, DB_TX);
    db_add(&u, &put_small);
    db_p_i64(&u, -1);
    run_unit(h, &u);
    assert_failed(&u.op, ERR_PERMANENT, "23514");
    assert_non_null(strstr(u.op.err.msg, "constraint pool_test_small_check"));
    db_unit_done(&u);
    harness_close(h);
}

/* A statement that cannot be prepared must not spoil those prepared with it. */
static void test_failed_prepare(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    for (int round = 0; round < 2; round++) {
        begin(h, &u, DB_TX);
        db_add(&u, &put);
        db_p_i64(&u, 5);
        db_add(&u, &bad_table);
        db_add(&u, &count);
        run_unit(h, &u);
        assert_failed(&u.op, ERR_BUG, "42P01");
        assert_int_equal(u.failed_at, 1);
        db_unit_done(&u);
        assert_int_equal(ask(h, &count), 0);
    }
    harness_close(h);
}

static void test_table_changes_under_a_prepared_statement(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    pg_cluster_exec(cluster, "postgres",
                    "CREATE TABLE shape_test (a int); INSERT INTO shape_test VALUES (1)");
    struct op op = run_one(h, &star, 0);
    assert_ok(&op);
    pg_cluster_exec(cluster, "postgres", "ALTER TABLE shape_test ADD b text");
    op = run_one(h, &star, 0);
    assert_failed(&op, ERR_RETRY, "0A000");
    op = run_one(h, &star, 0);
    assert_ok(&op);
    harness_close(h);
}

static void test_settings(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    begin(h, &u, DB_TX | DB_READONLY | DB_ASYNC_COMMIT);
    u.statement_timeout_ms = 1234;
    db_add(&u, &settings);
    db_add(&u, &timeout_setting);
    run_ok(h, &u);
    static const char *const expected[] = {"off", "on", "UTC", "waymark test", "UTF8"};
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_string_equal(db_get_text(&u, 0, 0, (int)i, h->arena), expected[i]);
    assert_string_equal(db_get_text(&u, 1, 0, 0, h->arena), "1234ms");
    db_unit_done(&u);
    begin(h, &u, 0);
    db_add(&u, &timeout_setting);
    db_add(&u, &settings);
    run_ok(h, &u);
    assert_string_equal(db_get_text(&u, 0, 0, 0, h->arena), "20s");
    assert_string_equal(db_get_text(&u, 1, 0, 0, h->arena), "on");
    db_unit_done(&u);
    struct op op = run_one(h, &notice, DB_TX);
    assert_ok(&op);
    harness_close(h);
}

static void test_readonly_tx_refuses_writes(void **state)
{
    (void)state;
    struct harness *h = open_table(1);
    struct db_unit u;
    begin(h, &u, DB_TX | DB_READONLY);
    db_add(&u, &put);
    db_p_i64(&u, 1);
    run_unit(h, &u);
    assert_true(u.op.failed);
    assert_string_equal(u.op.err.sqlstate, "25006");
    db_unit_done(&u);
    harness_close(h);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static void test_statement_timeout(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    for (unsigned flags = 0; flags <= DB_TX; flags++) {
        add_sleep(h, &u, flags, 20);
        u.statement_timeout_ms = 100;
        int64_t t0 = clock_mono_ms();
        run_unit(h, &u);
        assert_failed(&u.op, ERR_RETRY, "57014");
        assert_true(clock_mono_ms() - t0 < 3000);
        db_unit_done(&u);
        assert_int_equal(ask(h, &one), 1);
    }
    harness_close(h);
}

static void test_cancel_running(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    int64_t pid = ask(h, &backend);
    for (unsigned flags = 0; flags <= DB_TX; flags++) {
        add_sleep(h, &u, flags, 20);
        db_submit(&u);
        sleep_on_loop(h->loop, 100);
        int64_t t0 = clock_mono_ms();
        op_cancel(&u.op);
        await(h->loop, &u.op);
        assert_failed(&u.op, ERR_RETRY, "57014");
        assert_non_null(strstr(u.op.err.msg, "cancelled while running sleeper"));
        assert_true(clock_mono_ms() - t0 < 3000);
        db_unit_done(&u);
        /* The cancel must not hit the next one, and the connection is the same. */
        assert_int_equal(ask(h, &backend), pid);
    }
    harness_close(h);
}

static void test_cancel_queued(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit running, queued[3];
    assert_int_equal(ask(h, &one), 1);
    add_sleep(h, &running, 0, 0.5);
    db_submit(&running);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        begin(h, &queued[i], 0);
        db_add(&queued[i], &one);
        db_submit(&queued[i]);
    }
    assert_int_equal(db_pool_queued(h->pool), 3);
    op_cancel(&queued[2].op);
    op_cancel(&queued[0].op);
    assert_int_equal(db_pool_queued(h->pool), 1);
    await(h->loop, &queued[0].op);
    assert_failed(&queued[0].op, ERR_RETRY, "");
    await(h->loop, &queued[2].op);
    assert_true(queued[2].op.failed);
    await(h->loop, &running.op);
    assert_ok(&running.op);
    await(h->loop, &queued[1].op);
    assert_ok(&queued[1].op);
    for (size_t i = 0; i < COUNT_OF(queued); i++)
        db_unit_done(&queued[i]);
    db_unit_done(&running);
    harness_close(h);
}

/* The server is stopped in its tracks: nobody answers the cancel. */
static void test_cancel_without_answer(void **state)
{
    (void)state;
    struct harness *h = harness_open(1);
    struct db_unit u;
    pid_t pid = (pid_t)ask(h, &backend);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    begin(h, &u, DB_TX);
    db_add(&u, &one);
    db_submit(&u);
    sleep_on_loop(h->loop, 50);
    int64_t t0 = clock_mono_ms();
    op_cancel(&u.op);
    await(h->loop, &u.op);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_failed(&u.op, ERR_RETRY, "57014");
    assert_true(u.commit_unknown);
    assert_in_range(clock_mono_ms() - t0, 4000, 8000);
    db_unit_done(&u);
    assert_int_equal(ask(h, &one), 1);
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tx_commits),
        cmocka_unit_test(test_large_pipeline),
        cmocka_unit_test(test_error_rolls_back_and_connection_lives),
        cmocka_unit_test(test_error_at_commit),
        cmocka_unit_test(test_without_tx_it_is_one_implicit_transaction),
        cmocka_unit_test(test_error_classes),
        cmocka_unit_test(test_failed_prepare),
        cmocka_unit_test(test_table_changes_under_a_prepared_statement),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_readonly_tx_refuses_writes),
        cmocka_unit_test(test_statement_timeout),
        cmocka_unit_test(test_cancel_running),
        cmocka_unit_test(test_cancel_queued),
        cmocka_unit_test(test_cancel_without_answer),
    };
    return run_group("db_unit", tests, COUNT_OF(tests));
}
