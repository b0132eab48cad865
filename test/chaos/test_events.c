/* The same event from everywhere at once, and the events of one thing in every order. */
#include "chaos/chaos.h"

#include <pthread.h>

/* ---- a hundred clients ------------------------------------------------------------------------
 */

enum { CLIENTS = 100 };

struct client {
    pthread_t thread;
    pthread_barrier_t *together;
    PGconn *pg;
    const char *sql;
    long long id; /* of the job it was told; <= 0: something failed */
};

/* Not through the harness, which is not for threads. */
static void *ask(void *arg)
{
    struct client *c = arg;
    (void)pthread_barrier_wait(c->together);
    PGresult *res = PQexec(c->pg, c->sql);
    c->id = PQntuples(res) == 1 ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : -1;
    PQclear(res);
    return NULL;
}

static void all_ask(struct it_db *db, struct client c[CLIENTS], const char *sql)
{
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, CLIENTS), 0);
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = (struct client){.together = &together, .pg = PQconnectdb(db->url), .sql = sql};
        assert_int_equal(PQstatus(c[i].pg), CONNECTION_OK);
    }
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, ask, &c[i]), 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(c[i].thread, NULL), 0);
        PQfinish(c[i].pg);
    }
    (void)pthread_barrier_destroy(&together);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(c[i].id > 0);
}

static bool all_same(const struct client c[CLIENTS])
{
    for (int i = 1; i < CLIENTS; i++) {
        if (c[i].id != c[0].id)
            return false;
    }
    return true;
}

#define JOB "{\"queue\": \"chaos\", \"kind\": \"effect\", \"payload\": {\"ms\": 5}"

/* 25: one request, a hundred times at once, while instances work: one job, one effect. */
static void n25_one_request(void **state)
{
    (void)state;
    static struct client c[CLIENTS];
    struct it_db *db = chaos_db();
    struct it_proc *a = chaos_worker(db, NULL, NULL), *b = chaos_worker(db, NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        all_ask(db, c, it_format("SELECT q.add_once('event %d', '1 day', '" JOB "}')", i));
        assert_true(all_same(c));
        history_ends(db, END_MS);
        it_holds(db,
                 "%d = (SELECT count(*) FROM chaos.added) AND %d = (SELECT count(*) FROM"
                 " chaos.effect)",
                 i, i);
    }
    (void)chaos_stop(a);
    (void)chaos_stop(b);
}

/* 25: what a hundred at once have to say is said by one job while it waits. */
static void n25_one_key(void **state)
{
    (void)state;
    static struct client c[CLIENTS];
    struct it_db *db = chaos_db();
    all_ask(db, c, "SELECT q.add('[" JOB ", \"ukey\": \"thing\"}]')");
    assert_true(all_same(c));
    it_holds(db, "1 = (SELECT count(*) FROM q.job)");
    struct it_proc *p = chaos_worker(db, NULL, NULL);
    history_ends(db, END_MS);
    it_holds(db, "1 = (SELECT count(*) FROM chaos.effect)");
    (void)chaos_stop(p);
}

/* 25: and while such jobs run, nobody joins one that begins before he commits, and may see too
 * little of what he has to say. */
static void n25_one_key_that_runs(void **state)
{
    (void)state;
    static struct client c[CLIENTS];
    struct it_db *db = chaos_db();
    it_exec(db, "CREATE TABLE chaos.joined (job bigint NOT NULL, at timestamptz NOT NULL)");
    struct it_proc *a = chaos_worker(db, NULL, NULL), *b = chaos_worker(db, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        all_ask(
            db, c,
            "INSERT INTO chaos.joined SELECT a, clock_timestamp() FROM (SELECT a, pg_sleep(0.003)"
            " FROM q.add('[" JOB ", \"ukey\": \"thing\"}]') a OFFSET 0) x RETURNING job");
        it_exec(db, "NOTIFY chaos");
    }
    history_ends(db, END_MS);
    (void)chaos_stop(a);
    (void)chaos_stop(b);
    print_message("25: %lld jobs for %d requests\n",
                  (long long)it_i64(db, "SELECT count(*) FROM q.done"), 5 * CLIENTS);
    it_holds(db, "NOT EXISTS (SELECT FROM chaos.joined j LEFT JOIN q.done d ON d.id = j.job"
                 " WHERE d.id IS NULL OR d.started_at < j.at)");
    it_holds(db, "(SELECT count(*) FROM q.done) < %d", 5 * CLIENTS / 2);
}

/* ---- events of activities ---------------------------------------------------------------------
 */

/* Few activities to an athlete: nothing else makes up for what one of them should have caused. */
enum {
    ACTIVITIES = 36,
    ATHLETES = 12,
    COPIES = 3,
    SESSIONS = 4,
    EVENTS_MAX = ACTIVITIES * 3 * COPIES
};

struct event {
    int activity, what; /* 0: created, 1: changed, 2: deleted */
    int version;
};

static const int permutation[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                      {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static const char *event_sql(const struct event *e)
{
    int athlete = 11 + e->activity % ATHLETES;
    double from = 0.05 + (e->activity * 7 + e->version * 13) % 60 / 100.0;
    switch (e->what) {
    case 0:
        return it_format("INSERT INTO activities (id, athlete_id, activity_type, name,"
                         " summary_track) VALUES (%d, %d, 'Run', 'x', it.way(%f, %f, 60))"
                         " ON CONFLICT DO NOTHING",
                         e->activity, athlete, from, from + 0.2);
    case 1:
        return it_format("UPDATE activities SET summary_track = it.way(%f, %f, 70, 0.0001),"
                         " athlete_id = %d WHERE id = %d",
                         from, from + 0.15, 11 + (athlete - 11 + e->version % 2) % ATHLETES,
                         e->activity);
    default:
        return it_format("DELETE FROM activities WHERE id = %d", e->activity);
    }
}

/* Every permutation, each event of it once or more. Those of one activity stay in their order, but
 * for copies of it, which come at any later time. */
static size_t make_events(struct event e[EVENTS_MAX], uint64_t *seed)
{
    size_t n = 0;
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < ACTIVITIES; k++, n++)
            e[n] = (struct event){1000 + k, permutation[k % 6][round], (int)n};
    }
    for (size_t first = n; n < EVENTS_MAX;) {
        size_t of = (size_t)load_random(seed, first);
        size_t at = of + 1 + (size_t)load_random(seed, n - of);
        memmove(&e[at + 1], &e[at], (n - at) * sizeof(*e));
        e[at] = e[of];
        first += at <= first;
        n++;
    }
    return n;
}

/* From several sessions at once; who loses to a deadlock says it again. */
static int send_events(struct it_db *db, const struct event *e, size_t n)
{
    PGconn *pg[SESSIONS];
    int deadlocks = 0;
    for (int s = 0; s < SESSIONS; s++)
        pg[s] = PQconnectdb(db->url);
    for (size_t at = 0; at < n; at += SESSIONS) {
        for (size_t s = 0; s < SESSIONS && at + s < n; s++)
            assert_int_equal(PQsendQuery(pg[s], event_sql(&e[at + s])), 1);
        for (size_t s = 0; s < SESSIONS && at + s < n; s++) {
            for (PGresult *res; (res = PQgetResult(pg[s])) != NULL; PQclear(res)) {
                const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
                if (code != NULL && strcmp(code, "40P01") != 0)
                    fail_msg("%s", PQresultErrorMessage(res));
                deadlocks += code != NULL;
                if (code != NULL)
                    it_exec(db, "%s", event_sql(&e[at + s]));
            }
        }
    }
    for (int s = 0; s < SESSIONS; s++)
        PQfinish(pg[s]);
    return deadlocks;
}

static void nothing_of_the_deleted(struct it_db *db)
{
    static const char *const table[] = {"route_sections", "activity_state", "activity_tracks"};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        it_holds(db,
                 "NOT EXISTS (SELECT FROM %s WHERE activity_id NOT IN (SELECT id FROM"
                 " activities))",
                 table[i]);
    it_holds(db, "NOT EXISTS (SELECT FROM route_stats WHERE stale)");
    it_holds(db, "NOT EXISTS (SELECT FROM route_stats s WHERE NOT EXISTS (SELECT FROM"
                 " coverage_ledger l WHERE (l.athlete_id, l.route_id) = (s.athlete_id,"
                 " s.route_id)))");
}

/* Nothing left to do, and the dead one noticed. */
static void settles(struct it_db *db)
{
    assert_true(it_eventually(db, END_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job)"
                              " AND (SELECT count(*) FROM q.instance) = 1") >= 0);
}

/* 25: created, changed and deleted in every order and more than once, while two instances match and
 * one of them is killed: what is left is what one would compute from what is there. */
static void n25_events_in_any_order(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    static struct event e[EVENTS_MAX];
    struct it_db *db = it_db_new();
    const char *const *args = IT_LIST("PROCESSOR_BATCH_SIZE=3");
    load_history(db, 20);
    it_exec(db, "INSERT INTO athletes (id) SELECT 10 + k FROM generate_series(1, %d) k", ATHLETES);
    struct it_proc *a = it_serve(db, args), *b = it_serve(db, args);
    size_t n = make_events(e, &seed);
    int deadlocks = send_events(db, e, n / 3);
    it_signal(b, SIGKILL);
    deadlocks += send_events(db, e + n / 3, n / 3);
    (void)chaos_died(b, SIGKILL);
    settles(db);
    deadlocks += send_events(db, e + n / 3 * 2, n - n / 3 * 2);
    settles(db);
    (void)it_serve_stop(a);
    int64_t left = it_i64(db, "SELECT count(*) FROM activities WHERE id >= 1000");
    print_message("25: %zu events, %d lost to a deadlock at first; %lld of %d activities left\n", n,
                  deadlocks, (long long)left, ACTIVITIES);
    assert_in_range(left, 1, ACTIVITIES - 1);
    nothing_of_the_deleted(db);
    load_is_done(db);
    it_same_as_recomputed(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(n25_one_request),
        IT_TEST(n25_one_key),
        IT_TEST(n25_one_key_that_runs),
        IT_TEST(n25_events_in_any_order),
    };
    return cmocka_run_group_tests(tests, it_up_large, it_down);
}
