/* The real program under hostile traffic, for as long as one likes (WAYMARK_HOSTILE_SECONDS;
 * WAYMARK_SEED repeats the chances): whoever asks as one should is answered meanwhile, nothing
 * grows without bound, and nothing that the database holds has changed in the end. */
#include "hostile/hostile.h"

#include <dirent.h>

enum {
    SHORT_S = 12,
    STORMERS = 8,
    THREADS = STORMERS + 3,
    GROWTH_KB = 32 << 10, /* after the warm-up, with a quarantine of 8 MB */
    SESSIONS = 20,        /* of the database: far more than the pools together */
    OPEN = 8,
    FILES_SPARE = 3, /* a pool may have opened a connection meanwhile */
    GUESSES = 304,   /* failures counted in a quarter hour, and those at the same moment */
};

#define SECRET "nobody-guesses-this-one-ever"

static struct storm storm;

/* ---- the scene ----------------------------------------------------------------------------- */

static void read_corpus(struct storm *s)
{
    const char *folder = WAYMARK_SOURCE_DIR "/test/fuzz/corpus/httpd";
    static struct hostile_input input[1024];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL && s->ncorpus < 1024;) {
        if (e->d_name[0] == '.')
            continue;
        FILE *f = fopen(it_format("%s/%s", folder, e->d_name), "re");
        char *p = malloc(65536);
        assert_true(f != NULL && p != NULL);
        size_t n = fread(p, 1, 65536, f);
        fclose(f);
        (void)it_keep(p);
        if (n > 1) /* the first byte tells the fuzzer how to cut */
            input[s->ncorpus++] = (struct hostile_input){p + 1, n - 1};
    }
    closedir(d);
    s->corpus = input;
    assert_true(s->ncorpus > 50);
}

/* Of a queue that nobody works on, so that they can only change if a stranger changes them. */
static void fill(struct it_db *db)
{
    it_script(
        db,
        "INSERT INTO q.job (queue, kind, state, run_at, payload)"
        " SELECT 'fixture', 'work', CASE WHEN i % 3 = 0 THEN 'waiting' ELSE 'ready' END::q.state,"
        "  CASE WHEN i % 3 = 0 THEN now() + interval '1 day' END, jsonb_build_object('n', i)"
        " FROM generate_series(1, 300) i;"
        "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload,"
        "  last_error, created_at, reason)"
        " SELECT 1000000 + i, 'fixture', 'work', 0, 8, 8, 0, '{}', '<script>alert(' || i || "
        "')</script>',"
        "  now(), 'attempts' FROM generate_series(1, 300) i;"
        "INSERT INTO q.pause (queue) VALUES ('fixture');"
        "INSERT INTO q.halted (lane, job) VALUES ('lane', 1000001);"
        "SELECT setval('q.job_id_seq', 2000000);");
}

/* All that a stranger might want to change; the hourly look for alerts is nobody's. */
static char *holdings(struct it_db *db)
{
    return it_text(
        db, "SELECT concat_ws(' ',"
            "(SELECT count(*) || md5(string_agg(j::text, ',' ORDER BY id)) FROM q.job j WHERE "
            "queue = 'fixture'),"
            "(SELECT count(*) || md5(string_agg(j::text, ',' ORDER BY id)) FROM q.dead j),"
            "(SELECT count(*) FROM q.job WHERE queue <> 'fixture' AND kind NOT LIKE 'alert%%'),"
            "(SELECT count(*) FROM q.done WHERE kind NOT LIKE 'alert%%'),"
            "(SELECT count(*) || md5(string_agg(p::text, ',')) FROM q.pause p),"
            "(SELECT count(*) FROM q.halted), (SELECT count(*) FROM q.cron), (SELECT count(*) FROM "
            "q.audit),"
            "(SELECT string_agg(draining::text, ',') FROM q.instance), (SELECT count(*) FROM "
            "web.session),"
            "(SELECT count(*) FROM web.secret))");
}

static struct it_proc *serve(struct it_db *db, struct storm *s)
{
    const char *old = getenv("ASAN_OPTIONS");
    struct it_proc *p =
        it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_LISTEN=127.0.0.1:0",
                             "WAYMARK_HTTP_MAX_CONNECTIONS=200",
                             "WAYMARK_HTTP_TRUSTED_PROXIES=" HOSTILE_PROXY,
                             "WAYMARK_ADMIN_TRUSTED_PROXIES=" HOSTILE_PROXY,
                             "WAYMARK_ADMIN_SECRET=" SECRET, "WAYMARK_LOG_LEVEL=info",
                             it_format("ASAN_OPTIONS=%s%squarantine_size_mb=8",
                                       old != NULL ? old : "", old != NULL ? ":" : "")));
    hostile_find(s, p);
    hostile_log_in(s, SECRET);
    return p;
}

/* ---- the storm ----------------------------------------------------------------------------- */

struct course {
    int64_t rss_start_kb, rss_most_kb;
    unsigned files_start, files_most;
    int64_t open_most, sessions_most;
};

static void look(struct it_db *db, struct it_proc *p, struct course *c)
{
    int64_t rss = hostile_rss_kb(it_pid(p));
    unsigned files = hostile_files(it_pid(p));
    PGresult *res =
        PQexec(db->pg, "SELECT count(*) FILTER (WHERE xact_start IS NOT NULL), count(*)"
                       " FROM pg_stat_activity WHERE datname = current_database()"
                       " AND pid <> pg_backend_pid() AND backend_type = 'client backend'");
    assert_int_equal(PQntuples(res), 1);
    int64_t open = strtoll(PQgetvalue(res, 0, 0), NULL, 10),
            sessions = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    PQclear(res);
    c->rss_most_kb = rss > c->rss_most_kb ? rss : c->rss_most_kb;
    c->files_most = files > c->files_most ? files : c->files_most;
    c->open_most = open > c->open_most ? open : c->open_most;
    c->sessions_most = sessions > c->sessions_most ? sessions : c->sessions_most;
}

static void rage(struct it_db *db, struct it_proc *p, struct course *c, int64_t for_ms)
{
    static void *(*const fn[])(void *) = {hostile_slow, hostile_flood, hostile_watchers};
    static struct attacker attacker[THREADS];
    static struct hostile_watch watch;
    pthread_t thread[THREADS + 1];
    const int64_t start = it_now_ms(), warm = for_ms / 5 < 60000 ? for_ms / 5 : 60000;
    watch = (struct hostile_watch){.s = &storm};
    for (unsigned i = 0; i < THREADS; i++) {
        attacker[i] = (struct attacker){&storm, storm.seed + i * 7919};
        assert_int_equal(pthread_create(&thread[i], NULL,
                                        i < STORMERS ? hostile_many_sorts : fn[i - STORMERS],
                                        &attacker[i]),
                         0);
    }
    assert_int_equal(pthread_create(&thread[THREADS], NULL, hostile_well_behaved, &watch), 0);
    while (it_now_ms() - start < for_ms && storm.problem[0] == '\0' && !it_ended(p)) {
        it_pause_ms(500);
        if (c->rss_start_kb == 0 && it_now_ms() - start > warm)
            c->rss_start_kb = hostile_rss_kb(it_pid(p));
        if (!it_ended(p))
            look(db, p, c);
    }
    atomic_store(&storm.over, true);
    for (unsigned i = 0; i <= THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    print_message("  %lu connections, %lu refused; %lu requests: %lu unanswered, %lu 2xx, %lu 3xx, "
                  "%lu 4xx, %lu 5xx; %lu streams, %lu slow ones cut\n",
                  storm.connections, storm.refused, storm.requests, storm.answers[0],
                  storm.answers[2], storm.answers[3], storm.answers[4], storm.answers[5],
                  storm.streams, storm.cut_slow);
    print_message("  worst of %u rounds: /healthz %lld ms, /readyz %lld ms, /metrics %lld ms; the "
                  "machine was late by %lld ms\n",
                  watch.rounds, (long long)watch.worst_ms[0], (long long)watch.worst_ms[1],
                  (long long)watch.worst_ms[2], (long long)watch.worst_late_ms);
}

static void judge(struct it_db *db, struct it_proc *p, const struct course *c)
{
    unsigned files = 0;
    int64_t until = it_now_ms() + 30000;
    do {
        it_pause_ms(200);
        files = hostile_files(it_pid(p));
    } while (files > c->files_start + FILES_SPARE && it_now_ms() < until);
    print_message(
        "  memory %lld MB after the warm-up, at most %lld MB; files %u at the start, %u at "
        "most, %u after; %lld transactions open at once, %lld sessions; %lld failed logins\n",
        (long long)c->rss_start_kb / 1024, (long long)c->rss_most_kb / 1024, c->files_start,
        c->files_most, files, (long long)c->open_most, (long long)c->sessions_most,
        (long long)it_i64(db, "SELECT count(*) FROM web.failed_login"));
    assert_true(files <= c->files_start + FILES_SPARE);
    assert_true(c->rss_most_kb - c->rss_start_kb <= GROWTH_KB);
    assert_true(c->open_most <= OPEN && c->sessions_most <= SESSIONS);
    assert_true(it_i64(db,
                       "SELECT coalesce(max(n), 0) FROM (SELECT count(*) OVER (ORDER BY at RANGE"
                       " BETWEEN '15 minutes' PRECEDING AND CURRENT ROW) AS n FROM"
                       " web.failed_login) w") <= GUESSES);
}

static void test_hostile_traffic_changes_nothing(void **state)
{
    const char *seconds = getenv("WAYMARK_HOSTILE_SECONDS");
    int64_t for_ms = 1000 * (seconds != NULL ? strtoll(seconds, NULL, 10) : SHORT_S);
    struct course course = {0};
    (void)state;
    storm.seed = load_seed();
    assert_int_equal(pthread_mutex_init(&storm.lock, NULL), 0);
    read_corpus(&storm);
    struct it_db *db = it_db_new();
    fill(db);
    struct it_proc *p = serve(db, &storm);
    assert_true(it_eventually(db, 10000, "SELECT count(*) = 1 FROM q.instance") >= 0);
    const char *before = holdings(db);
    course.files_start = hostile_files(it_pid(p));
    rage(db, p, &course, for_ms);
    if (it_ended(p))
        fail_msg("it ended with %d\n%s", it_wait(p, 0).status, it_wait(p, 0).err);
    if (storm.problem[0] != '\0')
        fail_msg("%s", storm.problem);
    judge(db, p, &course);
    assert_string_equal(holdings(db), before);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(test_hostile_traffic_changes_nothing)};
    return cmocka_run_group_tests(tests, it_up, it_down);
}
