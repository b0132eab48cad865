/* The machine below: a slow disk, a full one, clocks that jump. */
#include "chaos/chaos.h"

#include <sys/stat.h>
#include <unistd.h>

static const char *const small[] = {"--batch", "16", "--batch-max", "4", NULL};
static char clock_file[96], fsync_file[96], full_file[96];

static void set(const char *file, long long number)
{
    char part[112];
    (void)snprintf(part, sizeof(part), "%s.part", file);
    FILE *f = fopen(part, "we");
    assert_non_null(f);
    fprintf(f, "%lld\n", number);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(part, file), 0);
}

/* The server reads them, as another user. */
static void place(char out[96], const char *name)
{
    (void)snprintf(out, 96, "%s/%s", it_home(), name);
    set(out, 0);
}

static int up(void **state)
{
    static char env[4][320];
    static const char *pairs[5];
    if (it_up_large(state) != 0)
        return -1;
    (void)chmod(it_home(), 0755);
    place(clock_file, "clock");
    place(fsync_file, "fsync");
    place(full_file, "full");
    (void)snprintf(env[0], sizeof(env[0]), "LD_PRELOAD=%s %s", it_for_others(SHIM_CLOCK),
                   it_for_others(SHIM_DISK));
    (void)snprintf(env[1], sizeof(env[1]), "SHIM_CLOCK=%s", clock_file);
    (void)snprintf(env[2], sizeof(env[2]), "SHIM_FSYNC=%s", fsync_file);
    (void)snprintf(env[3], sizeof(env[3]), "SHIM_FULL=%s", full_file);
    for (int i = 0; i < 4; i++)
        pairs[i] = env[i];
    (void)it_db_new(); /* what every database is copied from, before anything is slow */
    (void)it_after(NULL);
    pg_cluster_halt(it_cluster(), SIGINT);
    pg_cluster_set(it_cluster(), pairs, true);
    pg_cluster_resume(it_cluster());
    return 0;
}

static int64_t finished(struct it_db *db)
{
    return it_i64(db, "SELECT count(*) FROM q.done");
}

static void none_taken_for_dead(struct it_proc *p)
{
    struct it_result r = chaos_stop(p);
    assert_false(it_said(p, "registering anew"));
    assert_int_equal(chaos_count(&r, "rescued="), 0);
}

/* 16 */
static void n16_slow_disk(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *a = chaos_worker(db, NULL, small), *b = chaos_worker(db, NULL, small);
    set(fsync_file, 500);
    int64_t start = it_now_ms(), before = it_i64(db, "SELECT min(beat) FROM q.instance");
    it_exec(db, "SELECT chaos.mix(400, 1)");
    it_pause_ms(9000);
    int64_t n = finished(db), beats = it_i64(db, "SELECT min(beat) FROM q.instance") - before;
    print_message("16: %lld jobs in %lld ms, %lld beats, at 500 ms a commit\n", (long long)n,
                  (long long)(it_now_ms() - start), (long long)beats);
    set(fsync_file, 0);
    assert_true(n > 9 * 2); /* more than one job a commit */
    assert_true(beats >= 3);
    chaos_hasten(db);
    history_ends(db, END_MS);
    none_taken_for_dead(a);
    none_taken_for_dead(b);
}

static int64_t cpu_ticks(const struct it_proc *p)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)it_pid(p));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    long long user = 0, system = 0;
    assert_int_equal(sscanf(strrchr(text, ')'),
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user,
                            &system),
                     2);
    return user + system;
}

static int64_t rollbacks(struct it_db *db)
{
    return it_i64(db, "SELECT pg_stat_get_db_xact_rollback(oid) FROM pg_database"
                      " WHERE datname = current_database()");
}

/* 17: no room for tables to grow, then there is again. */
static void n17_full_disk(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker(db, NULL, small);
    it_exec(db, "ALTER TABLE chaos.effect ADD COLUMN rubbish text DEFAULT repeat('x', 3000);"
                "ALTER TABLE chaos.effect ALTER COLUMN rubbish SET STORAGE PLAIN");
    it_exec(db, "SELECT chaos.mix(120, 1)");
    set(full_file, 1);
    it_wait_for(p, "could not extend file", END_MS);
    int64_t ticks = cpu_ticks(p), errors = rollbacks(db);
    it_pause_ms(5000);
    ticks = cpu_ticks(p) - ticks;
    errors = rollbacks(db) - errors;
    print_message("17: full for 5 s: %lld ms of CPU, %lld transactions refused\n",
                  (long long)(ticks * 1000 / sysconf(_SC_CLK_TCK)), (long long)errors);
    assert_true(ticks < 2 * sysconf(_SC_CLK_TCK)); /* of a build with sanitizers */
    assert_true(errors < 150);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE queue = 'chaos')");
    set(full_file, 0);
    for (int64_t until = it_now_ms() + END_MS; it_now_ms() < until; it_pause_ms(300)) {
        chaos_hasten(db);
        if (it_eventually(db, 0, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0)
            break;
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
}

/* How often the server has said that. */
static int64_t logged(const char *what)
{
    const char *text =
        load_output(it_format("grep -c '%s' '%s/log'", what, pg_cluster_dir(it_cluster())));
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* Writes until there is no room left for the log: the server cannot go on there, and says so. */
static void fill_wal(struct it_db *db)
{
    set(full_file, 2);
    for (int i = 0; i < 200 && PQstatus(db->pg) == CONNECTION_OK; i++)
        PQclear(PQexec(db->pg, "INSERT INTO junk SELECT repeat(md5(k::text), 30)"
                               " FROM generate_series(1, 4000) k; TRUNCATE junk"));
    assert_int_equal(PQstatus(db->pg), CONNECTION_BAD);
    assert_true(logged("PANIC:.*No space left on device") > 0);
}

/* 17: no room for the write-ahead log. The server stops in the middle of commits and does not come
 * up before there is room, however often it is started. */
static void n17_full_wal(void **state)
{
    (void)state;
    enum { FULL_MS = 5000 };
    struct it_db *db = chaos_db();
    struct proxy *proxy = proxy_start(pg_cluster_dir(it_cluster()));
    it_exec(db, "CREATE TABLE junk (x text)");
    it_exec(db, "ALTER SYSTEM SET wal_recycle = off"); /* or old files give room again */
    it_exec(db, "SELECT pg_reload_conf()");
    it_exec(db, "CHECKPOINT");
    struct it_proc *p = chaos_worker_by(proxy, db, NULL, small);
    it_exec(db, "SELECT chaos.mix(400, 1)");
    fill_wal(db);
    int64_t ticks = cpu_ticks(p), asked = proxy_asked(proxy), starts = 0;
    for (int64_t until = it_now_ms() + FULL_MS; it_now_ms() < until; it_pause_ms(400), starts++) {
        pg_cluster_halt(it_cluster(), SIGQUIT);
        assert_false(pg_cluster_try(it_cluster()));
    }
    ticks = cpu_ticks(p) - ticks, asked = proxy_asked(proxy) - asked;
    print_message("17: no room for the log for %d s, %lld starts: %lld ms of CPU, %lld connections"
                  " asked for\n",
                  FULL_MS / 1000, (long long)starts,
                  (long long)(ticks * 1000 / sysconf(_SC_CLK_TCK)), (long long)asked);
    assert_true(ticks < sysconf(_SC_CLK_TCK));
    assert_in_range(asked, 1, 150);
    set(full_file, 0);
    pg_cluster_resume(it_cluster());
    int64_t back = it_now_ms(), before = (chaos_reconnect(db), finished(db));
    while (finished(db) == before && it_now_ms() - back < END_MS)
        it_pause_ms(10);
    print_message("17: going on after %lld ms\n", (long long)(it_now_ms() - back));
    assert_true(it_now_ms() - back < TAKEN_MS);
    it_exec(db, "ALTER SYSTEM RESET wal_recycle");
    chaos_hasten(db);
    history_ends(db, END_MS);
    none_taken_for_dead(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    (void)proxy_free(proxy);
}

/* A test that failed leaves no disk full and no clock wrong. */
static int after(void **state)
{
    set(fsync_file, 0);
    set(full_file, 0);
    set(clock_file, 0);
    return it_after(state);
}

/* ---- 18, 19 -------------------------------------------------------------------------------- */

static struct it_proc *with_clock(struct it_db *db)
{
    /* The sanitizer's library would not be first. */
    const char *options = getenv("ASAN_OPTIONS");
    struct it_proc *p = it_start_program(
        chaos_program(), db,
        IT_LIST(
            it_format("LD_PRELOAD=%s", it_for_others(SHIM_CLOCK)),
            it_format("SHIM_CLOCK=%s", clock_file),
            it_format("ASAN_OPTIONS=%s:verify_asan_link_order=0", options != NULL ? options : "")),
        IT_LIST("--db", db->url, "--poll-ms", "200", "--batch", "16", "--batch-max", "4"));
    it_wait_for(p, "ready", END_MS);
    return p;
}

/* The clock of the machine, with the server and all instances on it, goes an hour forth and back:
 * nobody is taken for dead for that, a schedule fires once for each slot, what waits comes earlier
 * or later by no more than the jump. */
static void n18_clocks_jump(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day,"
                " any_hour, queue, kind, catchup, next_at)"
                " SELECT 'tick', '*/5 * * * *', ARRAY(SELECT generate_series(0, 55, 5)),"
                " ARRAY(SELECT generate_series(0, 23)), ARRAY(SELECT generate_series(1, 31)),"
                " ARRAY(SELECT generate_series(1, 12)), ARRAY(SELECT generate_series(0, 6)), false,"
                " true, 'chaos', 'tick', 'all', date_trunc('hour', now()) + interval '1 hour'");
    struct it_proc *a = with_clock(db), *b = with_clock(db);
    it_exec(db, "SELECT chaos.mix(200, 20);"
                "SELECT chaos.add('effect', 5, jsonb_build_object('run_at', now() + interval '50"
                " minutes'))");
    static const int jumps[] = {3600, 0, -3600, 0};
    for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        set(clock_file, jumps[i]);
        it_pause_ms(2500);
        it_exec(db, "SELECT chaos.mix(40, 5)");
        history_holds(db);
        if (i == 0)
            it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE run_at > now() + interval '1 min')");
    }
    assert_true(it_eventually(db, END_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue ="
                              " 'chaos' AND kind <> 'tick' AND state <> 'waiting')") >= 0);
    /* What failed while the clock was ahead. */
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE run_at > now() + interval '62 min')");
    chaos_hasten(db);
    assert_true(it_eventually(db, END_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue ="
                              " 'chaos' AND kind <> 'tick')") >= 0);
    none_taken_for_dead(a);
    none_taken_for_dead(b);
    print_message("18: the schedule fired %lld times\n",
                  (long long)it_i64(db, "SELECT count(*) FROM q.job WHERE kind = 'tick'"));
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE kind = 'tick'"
                 " GROUP BY payload->>'slot' HAVING count(*) > 1)");
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE kind = 'tick')");
    it_exec(db, "DELETE FROM q.job WHERE kind = 'tick'; DELETE FROM chaos.added"
                " WHERE kind = 'tick'");
    history_ends(db, END_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(n16_slow_disk, after),
        cmocka_unit_test_teardown(n17_full_disk, after),
        cmocka_unit_test_teardown(n17_full_wal, after),
        cmocka_unit_test_teardown(n18_clocks_jump, after),
    };
    return cmocka_run_group_tests(tests, up, it_down);
}
