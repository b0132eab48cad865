/* Hints that lie, errors from everywhere, jobs that kill, work that nobody here knows. */
#include "chaos/chaos.h"

static struct proxy *proxy;

static const char *const small[] = {"--batch", "8", "--batch-max", "4", NULL};

static int64_t commits(struct it_db *db)
{
    return it_i64(db, "SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database"
                      " WHERE datname = current_database()");
}

/* 20, 22: a storm of notifications that say nothing, while every slot is taken. */
static void n20_storm_of_hints(void **state)
{
    (void)state;
    enum { ROUNDS = 20, EACH = 10000 };
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker(db, NULL, IT_LIST("--concurrency", "2", "--batch-max", "1"));
    it_exec(db, "SELECT chaos.add('effect', 4, '{\"payload\": {\"ms\": 2000, \"work\": true}}')");
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) > 1 FROM q.job"
                              " WHERE state = 'running'") >= 0);
    int64_t before = commits(db), start = it_now_ms();
    for (int i = 0; i < ROUNDS; i++)
        it_exec(db, "SELECT count(pg_notify('chaos', k || ' %d')) FROM generate_series(1, %d) k", i,
                EACH);
    it_pause_ms(500);
    double used = it_f64(db, "SELECT pg_notification_queue_usage()");
    history_ends(db, END_MS);
    int64_t ms = it_now_ms() - start, n = commits(db) - before;
    print_message("20: %d hints, %lld transactions in %lld ms, %.4f of the notify queue\n",
                  ROUNDS * EACH, (long long)n, (long long)ms, used);
    assert_true(used < 0.01);
    assert_true(n < 200 + ROUNDS + ms / 10);
    it_holds(db, "4 = (SELECT count(*) FROM q.done)");
    /* And while it has nothing to do. */
    before = commits(db), start = it_now_ms();
    for (int i = 0; i < ROUNDS; i++)
        it_exec(db, "SELECT count(pg_notify('chaos', k || ' %d')) FROM generate_series(1, %d) k", i,
                EACH);
    it_pause_ms(1500); /* a session tells of its transactions once a second */
    ms = it_now_ms() - start, n = commits(db) - before;
    print_message("20: %lld transactions in %lld ms, idle\n", (long long)n, (long long)ms);
    assert_true(n < 200 + ROUNDS + ms / 2);
    (void)chaos_stop(p);
}

/* 21: nobody hears a hint any more; the poll finds the work. */
static void n21_hints_are_lost(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, IT_LIST("--poll-ms", "500"));
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname"
                              " = current_database() AND query ILIKE 'LISTEN%'") >= 0);
    proxy_swallow(proxy, "worker-listen", PROXY_DOWN);
    for (int i = 0; i < 4; i++) {
        it_pause_ms(130);
        it_exec(db, "SELECT chaos.add('effect', 1)");
        int64_t ms = it_eventually(db, END_MS, "SELECT NOT EXISTS (SELECT FROM q.job)");
        assert_in_range(ms, 0, 1500);
    }
    (void)chaos_stop(p);
    proxy_pass(proxy);
    history_ends(db, END_MS);
}

/* ---- 29 ------------------------------------------------------------------------------------ */

/* One of 32 kills its process, always. Somebody starts that again, always. */
static void n29_a_job_that_kills(void **state)
{
    (void)state;
    enum { TRIES = 30 };
    struct it_db *db = chaos_db();
    it_exec(db, "SELECT chaos.add('effect', 31, '{\"payload\": {\"ms\": 10}}');"
                "SELECT q.add('[{\"queue\": \"chaos\", \"kind\": \"effect\", \"lane\": \"x\","
                " \"payload\": {\"crash\": true}}, {\"queue\": \"chaos\", \"kind\": \"effect\","
                " \"lane\": \"x\", \"payload\": {}}]')");
    int deaths = 0, status = 0;
    for (int i = 0; i < TRIES; i++) {
        struct it_proc *p = chaos_start(db, NULL, IT_LIST("--until-idle"));
        status = it_wait(p, END_MS).status;
        /* It may find nothing to do before it has taken over what the last one left. */
        if (status == 0 && it_i64(db, "SELECT count(*) FROM q.job") == 0)
            break;
        if (status == 0)
            continue;
        assert_int_equal(status, 128 + SIGABRT);
        deaths++;
    }
    print_message("29: %d deaths\n", deaths);
    assert_int_equal(status, 0);
    history_ends(db, END_MS);
    it_holds(db, "32 = (SELECT count(*) FROM chaos.effect)");
    it_holds(db, "1 = (SELECT count(*) FROM q.dead WHERE reason = 'crashes')");
}

/* A bad one among many is found, and the others pay nothing. */
static void n29_a_bad_job_among_many(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "SELECT chaos.add('effect', 30);"
                "SELECT chaos.add('effect', 1, '{\"payload\": {\"bad\": true}}')");
    struct it_proc *p = chaos_worker(db, NULL, NULL);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "30 = (SELECT count(*) FROM q.done WHERE attempt = 1)");
    it_holds(db, "1 = (SELECT count(*) FROM q.dead WHERE reason = 'permanent')");
}

/* 32: refused for two seconds: no attempt is spent on that, and they do not all come back at one
 * moment. */
static void n32_refused_by_the_other_side(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker(db, NULL, IT_LIST("--batch-max", "1", "--concurrency", "8"));
    it_exec(db, "SELECT chaos.add('effect', 40, jsonb_build_object('payload', jsonb_build_object("
                "'until', (1000 * extract(epoch FROM clock_timestamp()))::bigint + 2000)))");
    history_ends(db, END_MS);
    struct it_result r = chaos_stop(p);
    it_holds(db, "40 = (SELECT count(*) FROM q.done WHERE attempt = 1)");
    it_holds(db, "(SELECT max(started_at) - min(started_at) FROM q.done) > interval '30 ms'");
    /* Each was refused by 3 to 5 times, not as often as one can ask. */
    assert_in_range(chaos_count(&r, "retried="), 80, 240);
}

/* 35: errors that say "try again", at any statement. */
static void n35_errors_at_every_statement(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_script(db, "CREATE FUNCTION chaos.trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                  " IF random() < 0.08 AND current_setting('application_name') LIKE 'worker%' THEN"
                  "  CASE (random() * 3)::integer"
                  "   WHEN 0 THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '40P01';"
                  "   WHEN 1 THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '40001';"
                  "   WHEN 2 THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '57014';"
                  "   ELSE RAISE EXCEPTION 'trouble' USING ERRCODE = '53300';"
                  "  END CASE; END IF; RETURN NULL; END $$");
    static const char *const table[] = {"q.job", "q.done", "q.dead", "q.instance", "chaos.effect"};
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        it_exec(db,
                "CREATE TRIGGER trouble BEFORE INSERT OR UPDATE OR DELETE ON %s"
                " FOR EACH STATEMENT EXECUTE FUNCTION chaos.trouble()",
                table[i]);
    struct it_proc *a = chaos_start(db, NULL, small), *b = chaos_start(db, NULL, small);
    it_exec(db, "SELECT chaos.mix(200, 5)");
    it_pause_ms(6000);
    history_holds(db);
    it_exec(db, "DROP FUNCTION chaos.trouble() CASCADE");
    chaos_hasten(db);
    history_ends(db, END_MS);
    struct it_result r = chaos_stop(a);
    (void)chaos_stop(b);
    print_message("35: %lld retried by one of two\n", (long long)chaos_count(&r, "retried="));
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
}

/* 37: what this version does not know is left for one that does, also by who takes over for the
 * dead. */
static void n37_unknown_kinds(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "SELECT chaos.add('tomorrow', 3, '{\"prio\": -5}');"
                "SELECT chaos.add('effect', 20)");
    it_exec(db, "INSERT INTO q.instance (host, place, pid, pid_started, version)"
                " VALUES ('elsewhere', 'elsewhere', 1, 1, '9.9')");
    it_exec(db, "SELECT q.claim('chaos', 1, (SELECT id FROM q.instance), '{tomorrow}')");
    it_holds(db, "1 = (SELECT count(*) FROM q.job WHERE state = 'running')");
    struct it_proc *p = chaos_worker(db, NULL, small);
    assert_true(it_eventually(db, END_MS, "SELECT count(*) = 20 FROM q.done") >= 0);
    /* The session of that other instance was never there. */
    assert_true(it_eventually(db, TAKEN_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job"
                              " WHERE state = 'running')") >= 0);
    (void)chaos_stop(p);
    it_holds(db, "3 = (SELECT count(*) FROM q.job WHERE kind = 'tomorrow' AND state = 'ready'"
                 " AND attempt = 0)");
    history_holds(db);
}

/* 37: an instance of the version before works beside this one, by the functions it knows. */
static void n37_the_version_before(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "INSERT INTO q.instance (host, place, pid, pid_started, version, session,"
                " session_start) SELECT 'here', 'elsewhere', 1, 1, '0', pid, backend_start"
                " FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    struct it_proc *p = chaos_worker(db, NULL, small);
    it_exec(db, "SELECT chaos.add('effect', 200, '{\"payload\": {\"ms\": 5}, \"tenants\": 3}')");
    int old = 0;
    while (it_i64(db, "SELECT count(*) FROM q.job WHERE state = 'ready'") > 0) {
        it_exec(db, "CREATE TEMP TABLE mine AS SELECT * FROM q.claim('chaos', 3, 1, '{effect}');"
                    "UPDATE q.instance SET beat = beat + 1 WHERE id = 1");
        old += (int)it_i64(db, "SELECT count(*) FROM mine");
        it_exec(db, "BEGIN; SELECT q.finish(array_agg(job), array_agg(job_attempt), 1) FROM mine"
                    " HAVING count(*) > 0;"
                    "INSERT INTO chaos.effect (job, attempt, owner, lane, n)"
                    " SELECT job, job_attempt, 1, NULL, 0 FROM mine; DROP TABLE mine; COMMIT");
    }
    print_message("37: %d of 200 by the old one\n", old);
    assert_true(old > 0);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
}

static int up(void **state)
{
    if (it_up_large(state) != 0)
        return -1;
    proxy = proxy_start(pg_cluster_dir(it_cluster()));
    return 0;
}

static int down(void **state)
{
    proxy = proxy_free(proxy);
    return it_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(n20_storm_of_hints),
        IT_TEST(n21_hints_are_lost),
        IT_TEST(n29_a_job_that_kills),
        IT_TEST(n29_a_bad_job_among_many),
        IT_TEST(n32_refused_by_the_other_side),
        IT_TEST(n35_errors_at_every_statement),
        IT_TEST(n37_unknown_kinds),
        IT_TEST(n37_the_version_before),
    };
    return cmocka_run_group_tests(tests, up, down);
}
