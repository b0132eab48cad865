/* Several instances at once, and changes by plain SQL while they work. */
#include "it/load.h"

#include <signal.h>

enum { STOP_MS = 120000, INSTANCES_MAX = 4 };

/* How many owners finished something. */
static int64_t workers(struct it_db *db)
{
    return it_i64(db, "SELECT count(DISTINCT owner) FROM q.done WHERE outcome = 'done'");
}

static void together(struct it_db *db, int n, const char *want)
{
    struct it_proc *p[INSTANCES_MAX];
    load_again(db);
    for (int i = 0; i < n; i++)
        p[i] = it_start(db, NULL, IT_LIST("process", "--quiet", "--batch-size", "2"));
    for (int i = 0; i < n; i++) {
        struct it_result r = it_wait(p[i], STOP_MS);
        assert_int_equal(r.status, 0);
        if (strstr(r.err, "level=warn") != NULL || strstr(r.err, "level=error") != NULL)
            fail_msg("%s", r.err);
    }
    load_is_done(db);
    assert_string_equal(it_digest(db), want);
    print_message("%d at once: %lld did something\n", n, (long long)workers(db));
    assert_true(workers(db) >= n / 2 + 1);
}

static void several_process(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_account(db);
    it_process(db);
    char *want = it_digest(db);
    together(db, 2, want);
    together(db, 4, want);
}

static void serve_and_process(void **state)
{
    (void)state;
    struct it_db *db = it_db_new(), *calm = it_db_new();
    load_history(calm, 300);
    it_process(calm);
    const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=2");
    struct it_proc *a = it_serve(db, env), *b = it_serve(db, env);
    load_history(db, 300);
    it_must(db, env, IT_LIST("process", "--quiet"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    assert_true(workers(db) >= 2);
    (void)it_serve_stop(a);
    (void)it_serve_stop(b);
    load_is_done(db);
    it_same_tables(db, calm);
}

/* One of three is killed again and again and started anew; the others take its jobs over. */
static void one_is_killed(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new(), *calm = it_db_new();
    load_history(calm, 300);
    it_process(calm);
    const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=2");
    struct it_proc *steady = it_serve(db, env);
    load_history(db, 300);
    for (int i = 0; i < 4; i++) {
        struct it_proc *p = it_start(db, env, IT_LIST("serve"));
        it_pause_ms((int64_t)load_random(&seed, 600));
        it_signal(p, SIGKILL);
        (void)it_wait(p, STOP_MS);
    }
    assert_true(it_eventually(db, STOP_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    (void)it_serve_stop(steady);
    it_process(db); /* one that died with nothing in hand may not have been missed yet */
    load_is_done(db);
    it_same_tables(db, calm);
}

/* ---- changes meanwhile --------------------------------------------------------------------- */

static void changes_meanwhile(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    int64_t until = it_now_ms() + load_chaos_ms(12);
    int rounds = 0, changes = 0, deadlocks = 0;
    do {
        struct it_db *db = it_db_new();
        const char *const *env = IT_LIST("PROCESSOR_BATCH_SIZE=4", "WAYMARK_LOG_LEVEL=warn");
        load_history(db, 250);
        struct it_proc *a = it_start(db, env, IT_LIST("serve"));
        struct it_proc *b = it_start(db, env, IT_LIST("serve"));
        for (int64_t end = it_now_ms() + 4000; it_now_ms() < end; changes++) {
            deadlocks += !load_change(db, &seed);
            it_pause_ms((int64_t)load_random(&seed, 60));
        }
        (void)it_serve_stop(a);
        (void)it_serve_stop(b);
        it_process(db);
        load_is_done(db);
        it_same_as_recomputed(db);
        rounds++;
        it_after(NULL);
    } while (it_now_ms() < until);
    print_message("%d changes in %d rounds, %d lost to a deadlock\n", changes, rounds, deadlocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(several_process),
        IT_TEST(serve_and_process),
        IT_TEST(one_is_killed),
        IT_TEST(changes_meanwhile),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
