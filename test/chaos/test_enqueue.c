/* What enters the queue: all of a transaction or nothing of it, and the same request once. */
#include "chaos/chaos.h"

#include <pthread.h>

static struct proxy *proxy;

static PGconn *through_proxy(struct it_db *db)
{
    char url[256];
    PGconn *pg = PQconnectdb(proxy_url(proxy, db->name, "client", url, sizeof(url)));
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    return pg;
}

/* A client that may lose its connection; returns what it believes: true if COMMIT was answered. */
static bool send(struct it_db *db, const char *sql)
{
    PGconn *pg = through_proxy(db);
    PGresult *res = PQexec(pg, "BEGIN");
    PQclear(res);
    res = PQexec(pg, sql);
    PQclear(res);
    res = PQexec(pg, "COMMIT");
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
    PQclear(res);
    PQfinish(pg);
    return ok;
}

#define REQUEST                                                                                    \
    "SELECT q.add_once('request 1', '1 day',"                                                      \
    " '{\"queue\": \"chaos\", \"kind\": \"effect\", \"payload\": {\"n\": 1}}')"

/* A transaction whose session has ended may still be seen for a moment. */
static void sessions_gone(struct it_db *db)
{
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) = 0 FROM pg_stat_activity"
                              " WHERE datname = current_database()"
                              " AND application_name = 'client'") >= 0);
}

/* 1: cut before COMMIT arrives, or after it was done and before anybody heard. The client cannot
 * know which, and sends the same request again. */
static void n01_request_is_repeated(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    proxy_on_text(proxy, "client", "COMMIT", 1, PROXY_CUT_BEFORE);
    assert_false(send(db, REQUEST));
    sessions_gone(db);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM q.dedup)");
    proxy_on_text(proxy, "client", "COMMIT", 1, PROXY_LOSE_ANSWER);
    assert_false(send(db, REQUEST));
    sessions_gone(db);
    it_holds(db, "1 = (SELECT count(*) FROM q.job)");
    assert_true(send(db, REQUEST));
    assert_int_equal(proxy_hits(proxy), 2);
    struct it_proc *p = chaos_worker(db, NULL, NULL);
    history_ends(db, END_MS);
    assert_true(send(db, REQUEST)); /* done already, and still the same */
    (void)chaos_stop(p);
    it_holds(db, "1 = (SELECT count(*) FROM chaos.added) AND 1 = (SELECT count(*) FROM q.dedup)");
}

/* 7: an activity and its job are one transaction. */
static void n07_activity_and_job(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    it_exec(db, "INSERT INTO athletes (id) VALUES (1);"
                "INSERT INTO routes (id, display_name, track)"
                " VALUES ('north', 'North Way', it.way(0, 1, 500))");
    it_process(db);
    const char *walk = "SELECT it.walk(1, 1, 0.1, 0.4)";
    proxy_on_text(proxy, "client", "COMMIT", 1, PROXY_CUT_BEFORE);
    assert_false(send(db, walk));
    sessions_gone(db);
    it_holds(db, "NOT EXISTS (SELECT FROM activities) AND NOT EXISTS (SELECT FROM q.job)");
    proxy_on_text(proxy, "client", "COMMIT", 1, PROXY_CUT_AFTER);
    assert_false(send(db, walk));
    sessions_gone(db);
    it_holds(db, "(SELECT count(*) FROM activities) = (SELECT count(*) FROM q.job)");
    it_process(db);
    it_same_as_recomputed(db);
}

/* ---- 25 ------------------------------------------------------------------------------------ */

enum { SENDERS = 8, EACH = 13 };

struct sender {
    pthread_t thread;
    const char *url;
    long long first;
    bool same;
};

/* Not through the harness, which is not for threads. */
static void *send_many(void *arg)
{
    struct sender *s = arg;
    s->same = true;
    for (int i = 0; i < EACH; i++) {
        PGconn *pg = PQconnectdb(s->url);
        PGresult *res = PQexec(pg, REQUEST);
        long long id = PQntuples(res) == 1 ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : -1;
        s->first = i == 0 ? id : s->first;
        s->same = s->same && id == s->first && id > 0;
        PQclear(res);
        PQfinish(pg);
    }
    return NULL;
}

static void n25_one_request_from_many(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct sender sender[SENDERS];
    struct it_proc *p = chaos_worker(db, NULL, NULL);
    for (int i = 0; i < SENDERS; i++) {
        sender[i].url = db->url;
        assert_int_equal(pthread_create(&sender[i].thread, NULL, send_many, &sender[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(sender[i].thread, NULL), 0);
        assert_true(sender[i].same);
        assert_true(sender[i].first == sender[0].first);
    }
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "1 = (SELECT count(*) FROM chaos.added) AND 1 = (SELECT count(*) FROM q.done)");
}

/* Creation, changes and deletion of one thing, in any order of arrival, with the lane of that
 * thing: done in the order in which they came in, whoever does them and who dies meanwhile. */
static void n25_events_of_one_thing(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    const char *const *args = IT_LIST("--batch", "4", "--batch-max", "2");
    struct it_proc *a = chaos_worker(db, "results_sent:4:kill", args);
    struct it_proc *b = chaos_worker(db, NULL, args);
    for (int i = 0; i < 20; i++)
        it_exec(db, "SELECT chaos.add('effect', 6, '{\"lanes\": 3, \"payload\": {\"ms\": 3}}')");
    (void)chaos_died(a, SIGKILL);
    history_ends(db, END_MS);
    (void)chaos_stop(b);
    it_holds(db, "120 = (SELECT count(*) FROM chaos.effect WHERE lane IS NOT NULL)");
}

/* ---- the proxy itself ---------------------------------------------------------------------- */

/* What the other tests rely on. */
static void proxy_does_what_it_says(void **state)
{
    (void)state;
    struct it_db *db = it_db_bare(false);
    PGconn *pg = through_proxy(db);
    PGresult *res = PQexec(pg, "SELECT repeat('x', 3000000)");
    assert_int_equal(PQgetlength(res, 0, 0), 3000000);
    PQclear(res);
    proxy_delay(proxy, "client", PROXY_DOWN, 120);
    int64_t start = it_now_ms();
    PQclear(PQexec(pg, "SELECT 1"));
    assert_in_range(it_now_ms() - start, 115, 2000);
    proxy_pass(proxy);
    proxy_delay(proxy, "other", PROXY_BOTH, 5000);
    start = it_now_ms();
    PQclear(PQexec(pg, "SELECT 1"));
    assert_true(it_now_ms() - start < 2000);
    proxy_hold(proxy, "client", PROXY_UP);
    assert_int_equal(PQsendQuery(pg, "CREATE TABLE t AS SELECT 1"), 1);
    it_pause_ms(150);
    it_holds(db, "to_regclass('t') IS NULL");
    proxy_pass(proxy);
    assert_true(it_eventually(db, 5000, "SELECT to_regclass('t') IS NOT NULL") >= 0);
    while ((res = PQgetResult(pg)) != NULL)
        PQclear(res);
    assert_int_equal(proxy_conns(proxy, "client"), 1);
    assert_int_equal(proxy_conns(proxy, "other"), 0);
    proxy_cut(proxy, "client");
    PQclear(PQexec(pg, "SELECT 1"));
    assert_int_equal(PQstatus(pg), CONNECTION_BAD);
    PQfinish(pg);
    char url[256];
    proxy_refuse(proxy, "client");
    pg = PQconnectdb(proxy_url(proxy, db->name, "client", url, sizeof(url)));
    assert_int_equal(PQstatus(pg), CONNECTION_BAD);
    PQfinish(pg);
    pg = PQconnectdb(proxy_url(proxy, db->name, "other", url, sizeof(url)));
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    PQfinish(pg);
    proxy_pass(proxy);
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
    chaos_needs_faults();
    const struct CMUnitTest tests[] = {
        IT_TEST(proxy_does_what_it_says), IT_TEST(n01_request_is_repeated),
        IT_TEST(n07_activity_and_job),    IT_TEST(n25_one_request_from_many),
        IT_TEST(n25_events_of_one_thing),
    };
    return cmocka_run_group_tests(tests, up, down);
}
