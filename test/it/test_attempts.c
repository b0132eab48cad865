/* What became of each attempt: one row for each that did not end its job well, told on the job's
 * page, and forgotten in time. */
#include "it/http.h"
#include "it/queue.h"

enum { SOON_MS = 20000 };

/* attempt, owner, outcome, error of each, in their order. */
static const char *tries(struct it_db *db, int64_t job)
{
    return it_text(db,
                   "SELECT coalesce(string_agg(concat_ws(' ', attempt, coalesce(owner::text, '-'), "
                   "outcome, coalesce(error, '-')), ', ' ORDER BY ended_at), '') FROM q.try WHERE "
                   "job = %lld",
                   (long long)job);
}

static void requeue(PGconn *c, int64_t job, int owner, const char *error, const char *how)
{
    q_do(c, "SELECT q.requeue('{%lld}', %d, '{0}', %s, %s)", (long long)job, owner, error, how);
}

static void each_end_has_one_row(void **state)
{
    (void)state;
    struct it_db *db = it_db_again();
    PGconn *c = q_open(db);
    int64_t job = q_i64(c, Q_ADD("{}"));
    it_exec(db, "TRUNCATE q.try");
    assert_int_equal(q_take(c, 1, 1), 1);
    requeue(c, job, 1, "'no route to host'", "false, false");
    assert_string_equal(tries(db, job), "1 1 failed no route to host");
    assert_int_equal(q_take(c, 1, 2), 1);
    requeue(c, job, 2, "NULL", "true, false");
    assert_int_equal(q_take(c, 1, 3), 1);
    requeue(c, job, 3, "NULL", "true, true");
    /* Somebody else's, and one that does not run, have no attempt that ended. */
    requeue(c, job, 3, "'late'", "false, false");
    it_exec(db, "UPDATE q.job SET suspect = false");
    assert_int_equal(q_take(c, 1, 4), 1);
    requeue(c, job, 3, "'late'", "false, false");
    q_do(c, "SELECT q.bury('{%lld}', 3, 'permanent', 'late')", (long long)job);
    assert_string_equal(tries(db, job), "1 1 failed no route to host, 2 2 given back -, "
                                        "2 3 lost -");
    q_do(c, "SELECT q.bury('{%lld}', 4, 'permanent', 'HTTP 404')", (long long)job);
    assert_string_equal(tries(db, job), "1 1 failed no route to host, 2 2 given back -, "
                                        "2 3 lost -, 2 4 dead HTTP 404");
    it_holds(db, "NOT EXISTS (SELECT FROM q.try WHERE started_at IS NULL OR ended_at < "
                 "started_at)");
    /* What is done again goes on counting, and its end is not an attempt that failed. */
    q_do(c, "SELECT q.retry('{%lld}')", (long long)job);
    assert_int_equal(q_take(c, 1, 5), 1);
    q_do(c, Q_FINISH_ALL);
    it_holds(db, "(SELECT count(*) FROM q.try) = 4 AND (SELECT count(*) FROM q.done) = 1");
    q_is_sound(db);
}

static void batches_have_a_row_for_each(void **state)
{
    (void)state;
    struct it_db *db = it_db_again();
    PGconn *c = q_open(db);
    it_exec(db, "TRUNCATE q.try");
    q_do(c, Q_ADD("{}, {}, {}, {\"ukey\": \"u\"}, {}"));
    assert_int_equal(q_take(c, 5, 1), 5);
    q_do(c, Q_ADD("{\"ukey\": \"u\"}")); /* a twin, which does the work of the one that fails */
    it_exec(db, "UPDATE q.job SET cancel = true WHERE id = (SELECT max(id) FROM q.job WHERE owner "
                "= 1)");
    q_do(c, "SELECT q.requeue(array_agg(id), 1, array_agg(0::float8), 'e', false, false) FROM "
            "q.job WHERE owner = 1");
    it_holds(db, "(SELECT count(DISTINCT job) FROM q.try WHERE outcome = 'failed') = 3 AND (SELECT "
                 "count(*) FROM q.try) = 3");
    it_holds(db, "(SELECT string_agg(outcome, ' ' ORDER BY outcome) FROM q.done) = 'cancelled "
                 "superseded'");
    /* Late ones have failed; the last attempt is buried, once. */
    it_exec(db, "TRUNCATE q.try");
    assert_int_equal(q_take(c, 4, 1), 4);
    it_exec(db,
            "UPDATE q.job SET deadline_at = now() - interval '1 hour', attempt = CASE WHEN id = "
            "(SELECT min(id) FROM q.job) THEN max_attempts ELSE attempt END");
    q_do(c, "SELECT q.rescue_late(interval '30 s')");
    it_holds(db, "(SELECT count(*) FROM q.try) = 4 AND (SELECT count(*) FROM q.dead) = 1");
    it_holds(db, "(SELECT count(*) FROM q.try WHERE outcome = 'dead' AND error LIKE '%%deadline') "
                 "= 1");
    it_exec(db, "TRUNCATE q.try; UPDATE q.job SET state = 'running', run_at = NULL, owner = 9, "
                "suspect = true, crashes = 9, started_at = now()");
    q_do(c, "SELECT q.requeue(ARRAY[id], 9, '{0}', NULL, true, true) FROM q.job");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM (SELECT FROM q.try "
                 "GROUP BY job HAVING count(*) > 1) x)");
    it_holds(db, "(SELECT count(*) FROM q.try WHERE outcome = 'dead') = 3");
    q_is_sound(db);
}

static void causes_are_errors_without_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *error, *other;
        bool same;
    } row[] = {
        {"'HTTP 500 at 12:01'", "'HTTP 502 at 9:59'", true},
        {"'HTTP 500'", "'HTTP 500 again'", false},
        {"'activity 5 is gone'", "'activity 18446744073709551616 is gone'", true},
        {"'a1b'", "'a22b'", true},
        {"'ab'", "'a1b'", false},
        {"NULL", "'why'", true}, /* the reason stands for it */
        {"NULL", "NULL", true},
        {"''", "NULL", false},
        {"repeat('x1', 50000)", "repeat('x2', 50000)", true},
        {"E'\\u00fc 1\\n'", "E'\\u00fc 2\\n'", true},
    };
    struct it_db *db = it_db_again();
    for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
        it_exec(db, "TRUNCATE q.dead");
        it_exec(db,
                "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, "
                "payload, last_error, created_at, reason) SELECT n, 'q', 'k', 0, 8, 8, 0, '{}', e, "
                "now(), 'why' FROM (VALUES (1, %s), (2, %s)) v(n, e)",
                row[i].error, row[i].other);
        it_holds(db, "(SELECT count(DISTINCT cause) FROM q.dead) = %d", row[i].same ? 1 : 2);
        it_holds(db, "(SELECT bool_and(cause ~ '^[0-9a-f]{12}$') FROM q.dead)");
    }
}

static void old_ones_are_forgotten(void **state)
{
    (void)state;
    struct it_db *db = it_db_again();
    it_exec(db, "TRUNCATE q.try, q.audit, web.session, web.failed_login;"
                "INSERT INTO q.try (job, attempt, outcome, ended_at) VALUES (1, 1, 'failed', now() "
                "- interval '8 days'), (1, 2, 'failed', now() - interval '6 days');"
                "INSERT INTO web.session (token, address, expires_at) VALUES ('a', 'x', now() - "
                "interval '1 s'), ('b', 'x', now() + interval '1 h');"
                "INSERT INTO web.failed_login (address, at) VALUES ('old', now() - interval '25 "
                "h'), ('new', now() - interval '1 h');"
                "INSERT INTO q.audit (who, command, jobs, at) VALUES ('old', 'x', 0, now() - "
                "interval '401 days'), ('new', 'x', 0, now() - interval '399 days')");
    it_query(db, "SELECT q.maintain(7)");
    it_holds(db, "(SELECT string_agg(attempt::text, ' ') FROM q.try) = '2'");
    it_holds(db, "(SELECT string_agg(encode(token, 'escape'), ' ') FROM web.session) = 'b'");
    it_holds(db, "(SELECT string_agg(address, ' ') FROM web.failed_login) = 'new'");
    it_holds(db, "(SELECT string_agg(who, ' ') FROM q.audit) = 'new'");
}

/* The page of a job that nobody can do, and of one that was done after some attempts. */
static void the_page_tells_them(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "TRUNCATE q.try; UPDATE activities SET summary_track = it.way(0.2, 0.5, 60) WHERE "
                "id = 4; UPDATE q.job SET payload = '{}' WHERE ukey = 'match:4'");
    struct it_proc *p = it_serve(
        db, IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_SECRET=open sesame"));
    struct browser b = http_logged_in(http_address(p, "admin"), "open sesame");
    assert_true(it_eventually(db, SOON_MS, "SELECT EXISTS (SELECT FROM q.dead)") >= 0);
    const char *job = it_text(db, "SELECT id FROM q.dead");
    it_holds(db,
             "(SELECT count(*) FROM q.try WHERE job = %s AND outcome = 'dead' AND attempt = 1 "
             "AND owner = (SELECT id FROM q.instance)) = 1",
             job);
    const char *error = it_text(db, "SELECT error FROM q.try WHERE job = %s", job);
    assert_true(strlen(error) > 5);
    struct http_answer a = http_get(&b, it_format("/admin/jobs/%s", job));
    http_is(a, 200);
    http_has(a, "<td>dead</td><td><span class=\"error\">");
    const char *done = it_text(db, "SELECT min(id) FROM q.done WHERE outcome = 'done'");
    it_exec(db,
            "INSERT INTO q.try (job, attempt, owner, started_at, ended_at, outcome, error) VALUES "
            "(%s, 1, 3, now() - interval '2 days', now() - interval '47 h', 'lost', NULL), "
            "(%s, 2, 4, now() - interval '40 h', now() - interval '39 h', 'failed', 'first error')",
            done, done);
    a = http_get(&b, it_format("/admin/jobs/%s", done));
    http_is(a, 200);
    const char *lost = strstr(a.body, "<td>lost</td>"), *failed = strstr(a.body, "first error"),
               *last = strstr(a.body, "<td>done</td>");
    if (!lost || !failed || !last || lost > failed || failed > last)
        fail_msg("not in their order: %s", a.body);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(each_end_has_one_row),
        Q_TEST(batches_have_a_row_for_each),
        Q_TEST(causes_are_errors_without_numbers),
        Q_TEST(old_ones_are_forgotten),
        Q_TEST(the_page_tells_them),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
