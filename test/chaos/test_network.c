/* Connections that break, and a server that goes away and comes back. */
#include "chaos/chaos.h"

#include <unistd.h>

static struct proxy *proxy;

static const char *const small[] = {"--batch", "8", "--batch-max", "4", NULL};

static void hit(unsigned times)
{
    for (int64_t until = it_now_ms() + END_MS; it_now_ms() < until; it_pause_ms(5)) {
        if (proxy_hits(proxy) >= times)
            return;
    }
    fail_msg("what should have been cut did not come by");
}

/* 6: the connection dies around COMMIT, with the answer, without, and before it. */
static void n06_cut_around_commit(void **state)
{
    (void)state;
    static const enum proxy_action actions[] = {PROXY_LOSE_ANSWER, PROXY_CUT_BEFORE,
                                                PROXY_CUT_AFTER};
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, small);
    unsigned hits = proxy_hits(proxy);
    for (unsigned i = 0; i < 12; i++) {
        it_exec(db, "SELECT chaos.mix(40, 2)");
        proxy_on_text(proxy, "worker", "COMMIT", 1 + i % 4, actions[i % 3]);
        hit(++hits);
    }
    history_ends(db, END_MS);
    struct it_result r = chaos_stop(p);
    print_message("06: %lld finished, %lld fenced\n", (long long)chaos_count(&r, "finished="),
                  (long long)chaos_count(&r, "fenced="));
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
}

/* 11: what was sent of a transaction stands open at the server, with its locks, behind a link that
 * nobody tells it has ended. Its own instance sees to it, and does the jobs again. */
static void n11_half_open(void **state)
{
    (void)state;
    static const char *const args[] = {"--batch",      "8",    "--batch-max", "4",
                                       "--timeout-ms", "1000", NULL};
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, args);
    unsigned hits = proxy_hits(proxy);
    proxy_on_text(proxy, "worker", "COMMIT", 1, PROXY_HALF_OPEN);
    it_exec(db, "SELECT chaos.mix(40, 2)");
    hit(++hits);
    assert_true(it_eventually(db, 2000,
                              "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active'"
                              " AND wait_event = 'ClientRead' AND xact_start < now())") >= 0);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
                 " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL)");
}

/* Claims whose answer is lost are not lost. */
static void n06_cut_around_claim(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, small);
    unsigned hits = proxy_hits(proxy);
    for (unsigned i = 0; i < 4; i++) {
        it_exec(db, "SELECT chaos.mix(40, 2)");
        proxy_on_text(proxy, "worker", "jobs_take", 2, i % 2 ? PROXY_LOSE_ANSWER : PROXY_CUT_AFTER);
        hit(++hits);
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
}

static void n06_cut_anywhere(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, small);
    unsigned hits = proxy_hits(proxy);
    for (unsigned i = 0; i < 12; i++) {
        it_exec(db, "SELECT chaos.mix(40, 2)");
        proxy_cut_after_bytes(proxy, load_random(&seed, 5) == 0 ? NULL : "worker",
                              (size_t)load_random(&seed, 3000) + 1);
        hit(++hits);
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
}

/* ---- the server ---------------------------------------------------------------------------- */

static int64_t finished(struct it_db *db)
{
    return it_i64(db, "SELECT count(*) FROM q.done");
}

static void restart_under_load(int signum, bool crash)
{
    struct it_db *db = chaos_db();
    struct it_proc *p[2];
    for (int i = 0; i < 2; i++)
        p[i] = chaos_worker(db, NULL, small);
    char *owners = it_text(db, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM q.instance");
    it_exec(db, "SELECT chaos.mix(500, 10)");
    while (finished(db) < 40)
        it_pause_ms(10);
    pg_cluster_halt(it_cluster(), signum);
    it_pause_ms(1500);
    pg_cluster_resume(it_cluster());
    int64_t back = it_now_ms();
    chaos_reconnect(db);
    int64_t before = finished(db);
    while (finished(db) == before && it_now_ms() - back < END_MS)
        it_pause_ms(10);
    print_message("%s restart: going on after %lld ms\n", crash ? "immediate" : "fast",
                  (long long)(it_now_ms() - back));
    assert_true(it_now_ms() - back < TAKEN_MS);
    history_ends(db, END_MS);
    assert_true(it_eventually(db, 10000,
                              "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname ="
                              " current_database() AND query ILIKE 'LISTEN%'") >= 0);
    assert_string_equal(it_text(db, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM q.instance"),
                        owners);
    for (int i = 0; i < 2; i++) {
        struct it_result r = chaos_stop(p[i]);
        assert_int_equal(chaos_count(&r, "rescued="), 0);
    }
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead) AND NOT EXISTS (SELECT FROM q.instance)");
}

/* 12 */
static void n12_fast_restart(void **state)
{
    (void)state;
    restart_under_load(SIGINT, false);
}

/* 13 */
static void n13_immediate_stop(void **state)
{
    (void)state;
    restart_under_load(SIGQUIT, true);
}

/* 13: one backend dies, and the server with it for a moment. */
static void n13_backend_killed(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker(db, NULL, small);
    it_exec(db, "SELECT chaos.mix(300, 10)");
    for (int i = 0; i < 2; i++) {
        while (finished(db) < 40 + 60 * i)
            it_pause_ms(10);
        pid_t backend = (pid_t)it_i64(db, "SELECT min(pid) FROM pg_stat_activity WHERE datname ="
                                          " current_database() AND application_name = 'worker'");
        assert_int_equal(kill(backend, SIGKILL), 0);
        it_pause_ms(300);
        chaos_reconnect(db);
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
}

static int64_t lines_of(const char *path)
{
    char *text = load_output(it_format("cat '%s' 2>&1 | wc -l", path));
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* 13: what was done outside of the database is counted there too: a crash right after a claim gives
 * no token back. */
static void n13_tokens_survive_a_crash(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    const char *ledger = it_format("%s/ledger", it_home());
    it_exec(db, "INSERT INTO q.rate (name, cap15, capday, guard_s) VALUES ('chaos', 900, 9000, 0)");
    struct it_proc *p =
        chaos_worker(db, NULL, IT_LIST("--batch", "4", "--batch-max", "1", "--ledger", ledger));
    for (int i = 0; i < 3; i++) {
        int64_t before = lines_of(ledger);
        it_exec(db, "SELECT chaos.add('rated', 4, '{\"prio\": %d, \"payload\": {\"ms\": 1500}}')",
                -i);
        while (access(ledger, F_OK) != 0 || lines_of(ledger) == before)
            it_pause_ms(1);
        pg_cluster_halt(it_cluster(), SIGQUIT);
        pg_cluster_resume(it_cluster());
        chaos_reconnect(db);
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    int64_t begun = lines_of(ledger), tokens = it_i64(db, "SELECT used15 FROM q.rate");
    print_message("13: %lld begun on %lld tokens\n", (long long)begun, (long long)tokens);
    assert_true(begun <= tokens);
}

/* ---- 23 ------------------------------------------------------------------------------------ */

/* What commits without waiting for the disk is lost by a crash, for sure: nobody writes it out
 * meanwhile. */
static void write_late(struct it_db *db, bool late)
{
    it_exec(db, late ? "ALTER SYSTEM SET wal_writer_delay = '10s'"
                     : "ALTER SYSTEM RESET wal_writer_delay");
    it_exec(db, "SELECT pg_reload_conf()");
    it_pause_ms(300); /* it may be asleep for as long as it was told before */
}

static void crash(struct it_db *db)
{
    pg_cluster_halt(it_cluster(), SIGQUIT);
    pg_cluster_resume(it_cluster());
    chaos_reconnect(db);
}

static void add_schedule(struct it_db *db, const char *next)
{
    it_exec(db,
            "INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day,"
            " any_hour, queue, kind, payload, catchup, next_at)"
            " SELECT 'yearly', '0 0 1 1 *', '{0}', '{0}', '{1}', '{1}',"
            " ARRAY(SELECT generate_series(0, 6)), false, false, 'chaos', 'effect',"
            " '{\"ms\": 1500}', 'all', %s",
            next);
}

/* 23: a claim that need not wait for the disk fires a slot, is answered, and the server crashes:
 * the slot has its job, one. Or the claim would be gone with the job, whose id another gets. */
static void n23_a_fired_slot_survives_a_crash(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    write_late(db, true);
    for (int i = 1; i <= 3; i++) {
        it_exec(db, "DELETE FROM q.cron");
        add_schedule(db, it_format("now() - interval '%d min'", i));
        /* As jobs_claim.c does. */
        it_script(db, "BEGIN; SELECT set_config('synchronous_commit', 'off', true);"
                      " SELECT * FROM q.due('chaos', '{effect}', 0::smallint, 0); COMMIT");
        int64_t id = it_i64(db, "SELECT max(id) FROM q.job");
        crash(db);
        it_holds(db, "(SELECT count(*) FROM q.job) = %d AND %lld = (SELECT max(id) FROM q.job)", i,
                 (long long)id);
        it_holds(db, "(SELECT next_at > now() FROM q.cron) AND q.cron_fire() = 0");
    }
    /* The same without a slot is lost, or this proved nothing. */
    it_script(db, "BEGIN; SELECT set_config('synchronous_commit', 'off', true);"
                  " SELECT q.add('[{\"queue\": \"chaos\", \"kind\": \"effect\"}]'); COMMIT");
    crash(db);
    it_holds(db, "(SELECT count(*) FROM q.job) = 3");
    write_late(db, false);
    struct it_proc *p = chaos_worker(db, NULL, small);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "(SELECT count(*) FROM chaos.effect) = 3");
}

/* 23: the same by an instance, which has begun what it fired when the server crashes. */
static void n23_a_slot_that_has_begun(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    const char *ledger = it_format("%s/slots", it_home());
    add_schedule(db, "'infinity'");
    struct it_proc *p = chaos_worker(db, NULL, IT_LIST("--ledger", ledger));
    write_late(db, true);
    it_exec(db, "UPDATE q.cron SET next_at = now()");
    while (access(ledger, F_OK) != 0 || lines_of(ledger) == 0)
        it_pause_ms(1);
    crash(db);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE ukey LIKE 'cron:yearly:%%') = 1");
    it_holds(db, "(SELECT next_at > now() AND isfinite(next_at) FROM q.cron)");
    write_late(db, false);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "(SELECT count(*) FROM chaos.effect) = 1 AND NOT EXISTS (SELECT FROM q.dead)");
}

/* 40: nobody can connect any more; who is connected goes on, and beats. */
static void n40_no_more_connections(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "SELECT chaos.mix(300, 20)");
    struct it_proc *p = chaos_worker(
        db, NULL,
        IT_LIST("--conns", "2", "--concurrency", "8", "--batch", "64", "--batch-max", "4"));
    int64_t owner = chaos_owner(db, p), before = finished(db);
    PGconn *taken[400];
    unsigned n = 0;
    while (n < 400 && (taken[n] = PQconnectdb(db->url), PQstatus(taken[n]) == CONNECTION_OK))
        n++;
    print_message("40: %u connections taken\n", n);
    assert_true(n < 400);
    history_ends(db, END_MS);
    assert_true(finished(db) > before);
    it_holds(db,
             "EXISTS (SELECT FROM q.instance WHERE id = %lld AND beat_at > now() -"
             " interval '10 s')",
             (long long)owner);
    for (unsigned i = 0; i <= n && i < 400; i++)
        PQfinish(taken[i]);
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
        IT_TEST(n06_cut_around_commit),
        IT_TEST(n06_cut_around_claim),
        IT_TEST(n11_half_open),
        IT_TEST(n06_cut_anywhere),
        IT_TEST(n12_fast_restart),
        IT_TEST(n13_immediate_stop),
        IT_TEST(n13_backend_killed),
        IT_TEST(n13_tokens_survive_a_crash),
        IT_TEST(n23_a_fired_slot_survives_a_crash),
        IT_TEST(n23_a_slot_that_has_begun),
        IT_TEST(n40_no_more_connections),
    };
    return cmocka_run_group_tests(tests, up, down);
}
