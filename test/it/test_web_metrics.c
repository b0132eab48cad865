/* /metrics: what it says can be read, is true, and is bounded, whatever the database holds. Its
 * names and types are those of packaging/metrics.txt: packaging/prometheus/metrics_test.sh. */
#include "it/http.h"
#include "it/prom.h"

#include <math.h>
#include <signal.h>
#include <unistd.h>

enum { SOON_MS = 20000 };

static struct prom first, second;

static struct it_proc *serve(struct it_db *db, const char **address)
{
    struct it_proc *p =
        it_serve(db, IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0", "WAYMARK_HTTP_LISTEN=127.0.0.1:0",
                             "WAYMARK_ADMIN_SECRET=open sesame"));
    *address = http_address(p, "admin");
    return p;
}

static const char *scrape(struct prom *m, const char *address)
{
    struct http_answer a = http_ask(address, "GET", "/metrics", NULL, NULL);
    http_is(a, 200);
    assert_string_equal(http_field(&a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_int_equal(strlen(a.body), a.n);
    prom_read(m, a.body);
    return a.body;
}

static void must_be(const struct prom *m, const char *name, const char *labels, double want)
{
    double got = prom_value(m, name, labels);
    if (got != want)
        fail_msg("%s%s is %g, not %g", name, labels, got, want);
}

static void about(const struct prom *m, const char *name, const char *labels, double low,
                  double high)
{
    double got = prom_value(m, name, labels);
    if (!(got >= low && got <= high))
        fail_msg("%s%s is %g, not from %g to %g", name, labels, got, low, high);
}

static void add_jobs(struct it_db *db)
{
    it_exec(db,
            "INSERT INTO q.job (queue, kind, state, run_at, owner, created_at) "
            "SELECT 'red', 'k', state::q.state, CASE state WHEN 'waiting' THEN now() + interval "
            "'1 hour' END, CASE state WHEN 'running' THEN 99 END, now() - interval '1 hour' "
            "FROM (VALUES ('ready', 7), ('waiting', 5)) v(state, n), generate_series(1, n);"
            "INSERT INTO q.job (queue, kind, state, lane) SELECT 'red', 'k', CASE i WHEN 1 THEN "
            "'ready' ELSE 'blocked' END::q.state, 'L' FROM generate_series(1, 4) i;"
            "INSERT INTO q.job (queue, kind, state) VALUES (E'odd \"\\\\\\n', 'k', 'ready');"
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload, "
            "created_at, reason) SELECT 1000000 + i, 'red', 'k', 0, 8, 8, 0, '{}', now(), "
            "'attempts' FROM generate_series(1, 11) i;"
            "INSERT INTO q.rate (name, cap15, capday, win15, used15, winday, "
            "usedday) SELECT "
            "'strava', 200, 2000, floor(extract(epoch FROM now()) / 900), 50, "
            "floor(extract(epoch FROM now()) / 86400), 2000");
    it_exec(db, "SELECT it.scene()");
}

/* ---- figures --------------------------------------------------------------------------------- */

static void figures_are_true(void **state)
{
    (void)state;
    static const char *const states[] = {"ready", "waiting", "blocked", "running", "dead"};
    struct it_db *db = it_db_new();
    add_jobs(db);
    const char *at;
    struct it_proc *p = serve(db, &at);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue = 'trails')") >= 0);
    for (int i = 0; i < 3; i++)
        http_is(http_ask(at, "GET", "/nothing", NULL, NULL), 404);
    scrape(&first, at);
    for (unsigned i = 0; i < 5; i++) {
        int64_t n = it_i64(db,
                           "SELECT (SELECT count(*) FROM q.job WHERE queue = 'red' AND state::text "
                           "= '%s') + (SELECT count(*) FROM q.dead WHERE '%s' = 'dead')",
                           states[i], states[i]);
        must_be(&first, "waymark_queue_jobs", it_format("{queue=\"red\",state=\"%s\"}", states[i]),
                (double)n);
    }
    must_be(&first, "waymark_queue_jobs", "{queue=\"odd \\\"\\\\\\n\",state=\"ready\"}", 1);
    about(&first, "waymark_queue_oldest_ready_seconds", "{queue=\"red\"}", 3600, 3700);
    must_be(&first, "waymark_queue_oldest_ready_seconds", "{queue=\"trails\"}", 0);
    must_be(&first, "waymark_queue_finished_total", "{queue=\"trails\"}",
            (double)it_i64(db, "SELECT count(*) FROM q.done"));
    must_be(&first, "waymark_queue_claimed_total", "{queue=\"trails\"}",
            (double)it_i64(db, "SELECT count(*) FROM q.done"));
    must_be(&first, "waymark_rate_used_ratio", "{rate=\"strava\",window=\"quarter_hour\"}", 0.25);
    must_be(&first, "waymark_rate_used_ratio", "{rate=\"strava\",window=\"day\"}", 1);
    about(&first, "waymark_rate_wait_seconds", "{rate=\"strava\"}", 1, 86400);
    must_be(&first, "waymark_http_requests_total", "{listener=\"admin\",class=\"4xx\"}", 3);
    must_be(&first, "waymark_http_requests_total", "{listener=\"public\",class=\"2xx\"}", 0);
    must_be(&first, "waymark_ready", "", 1);
    must_be(&first, "waymark_database_up", "", 1);
    must_be(&first, "waymark_listen_healthy", "", 1);
    about(&first, "process_open_fds", "", 8, 60);
    about(&first, "process_resident_memory_bytes", "", 4e6, 4e9);
    scrape(&second, at);
    prom_no_less(&first, &second);
    about(&second, "waymark_http_requests_total", "{listener=\"admin\",class=\"2xx\"}", 1, 1);
    it_serve_stop(p);
}

/* What this process knows is told without the database, and soon enough for a scrape. */
static void without_the_database(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *at;
    struct it_proc *p = serve(db, &at);
    it_exec(db, "DELETE FROM q.cron"); /* what is counted there goes with the database */
    scrape(&first, at);
    pg_cluster_halt(it_cluster(), SIGINT);
    int64_t begun = it_now_ms();
    scrape(&second, at);
    assert_true(it_now_ms() - begun < 9000);
    must_be(&second, "waymark_database_up", "", 0);
    must_be(&second, "waymark_ready", "", 0);
    assert_null(prom_family(&second, "waymark_queue_jobs"));
    assert_null(prom_family(&second, "waymark_database_dead_tuples"));
    prom_no_less(&first, &second);
    pg_cluster_resume(it_cluster());
    PQreset(db->pg);
    scrape(&first, at);
    prom_no_less(&second, &first);
    it_serve_stop(p);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Names as others may give them, and far too many. */
static void names_do_not_break_it(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE FUNCTION pg_temp.name(i integer) RETURNS text LANGUAGE sql AS $$ SELECT "
                "CASE i %% 5 WHEN 0 THEN E'a\"b' WHEN 1 THEN E'a\\nb' WHEN 2 THEN E'a\\\\' "
                "WHEN 3 THEN E'\"} 1\\n# TYPE x gauge\\nx{a=\"' ELSE E'a\\u00fc\\r\\t' END || i $$;"
                "INSERT INTO q.job (queue, kind, state) SELECT pg_temp.name(i), 'k', 'ready' FROM "
                "generate_series(1, 1000) i;"
                "INSERT INTO q.rate (name, cap15, capday) SELECT "
                "pg_temp.name(i), 1, 1 FROM "
                "generate_series(1, 1000) i;"
                "INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day, "
                "any_hour, queue, kind, next_at) SELECT pg_temp.name(i), '@daily', '{0}', '{0}', "
                "'{1}', '{1}', '{0}', false, false, 'none', 'k', 'infinity' FROM "
                "generate_series(1, 1000) i");
    const char *at;
    struct it_proc *p = serve(db, &at);
    assert_true(it_eventually(db, SOON_MS, "SELECT EXISTS (SELECT FROM q.instance)") >= 0);
    scrape(&first, at);
    assert_true(prom_family(&first, "waymark_queue_jobs")->samples == 500);
    assert_true(prom_family(&first, "waymark_rate_used_ratio")->samples == 100);
    assert_true(prom_family(&first, "waymark_cron_missed_total")->samples == 200);
    assert_true(first.samples < 1500);
    /* The queue that it works on is never among those left out. */
    must_be(&first, "waymark_queue_jobs", "{queue=\"trails\",state=\"ready\"}", 0);
    assert_null(prom_family(&first, "x"));
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(figures_are_true),
        IT_TEST(without_the_database),
        IT_TEST(names_do_not_break_it),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
