/* Every page with every kind of data: nothing that others wrote gets out of its cell, nothing is
 * too much, and looking changes nothing. */
#include "it/http.h"

enum { SOON_MS = 20000, LARGE = 3 << 20 };

#define SECRET "WAYMARK_ADMIN_SECRET=open sesame"
#define GIVEN  "open sesame"

/* As SQL, and as HTML. */
#define EVIL "E'<script>alert(\"x\")</script>''&%%\\u202e\\u0001'"
#define TAME "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;%\xe2\x80\xae "

static const char *const pages[] = {
    "",           "/jobs",     "/dead",     "/lanes", "/rates",           "/cron",
    "/instances", "/athletes", "/database", "/audit", "/jobs?state=dead", "/jobs?state=done"};

static struct it_proc *serve(struct it_db *db, struct browser *b)
{
    struct it_proc *p = it_serve(db, IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0", SECRET));
    *b = http_logged_in(http_address(p, "admin"), GIVEN);
    return p;
}

static unsigned times_in(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

/* Whole, with each tag closed, and with no markup but ours. */
static struct http_answer look(struct browser *b, const char *page)
{
    static const char *const tags[] = {"table", "tr", "td", "th", "form", "button", "pre", "span",
                                       "dl",    "dd", "dt", "a",  "code", "p",      "div"};
    struct http_answer a = http_get(b, it_format("/admin%s", page));
    http_is(a, 200);
    assert_int_equal(strlen(a.body), a.n);
    assert_true(a.n < LARGE);
    http_has(a, "</main>\n</body></html>\n");
    http_lacks(a, "<script>");
    http_lacks(a, "\x01");
    assert_int_equal(times_in(a.body, "<script"), 1);
    for (unsigned i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
        const char *open = it_format("<%s>", tags[i]), *more = it_format("<%s ", tags[i]);
        unsigned n = times_in(a.body, open) + times_in(a.body, more);
        if (n != times_in(a.body, it_format("</%s>", tags[i])))
            fail_msg("%s: a <%s> is not closed:\n%s", page, tags[i], a.body);
    }
    assert_non_null(strstr(a.head, "Cache-Control: no-store"));
    assert_non_null(strstr(a.head, "frame-ancestors 'none'"));
    return a;
}

/* ---- scenes ---------------------------------------------------------------------------------- */

static void add_jobs(struct it_db *db)
{
    it_exec(db,
            "SELECT setval('q.job_id_seq', 1000);"
            "INSERT INTO q.job (id, queue, kind, state, lane, tenant, run_at, owner, started_at, "
            "last_error, payload) OVERRIDING SYSTEM VALUE SELECT id, " EVIL ", " EVIL
            ", state::q.state, lane, 7, CASE state WHEN 'waiting' THEN now() + interval '1 hour' "
            "END, CASE state WHEN 'running' THEN 99 END, CASE state WHEN 'running' THEN now() END, "
            "e, p::jsonb FROM (VALUES (1, 'ready', " EVIL
            ", NULL, '{\"token\": \"hunter2\", \"a\": \"</pre><script>\"}'), "
            "(2, 'blocked', " EVIL ", NULL, '{}'), (3, 'waiting', NULL, " EVIL ", '{}'), "
            "(4, 'running', NULL, " EVIL ", '{}')) v(id, state, lane, e, p)");
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, tenant, "
            "lane, halt, payload, last_error, created_at, reason) SELECT id, " EVIL ", " EVIL
            ", 0, 8, 8, 0, 7, lane, lane IS NOT NULL, '{\"password\": \"hunter2\"}', e, "
            "now() - interval '9 d', 'attempts' FROM (VALUES (11, NULL, 'HTTP 500 at 17:01'), "
            "(12, NULL, 'HTTP 502 at 09:59'), (13, NULL, " EVIL "), (14, 'H', NULL), "
            "(15, NULL, repeat('<script>\"', 12000))) v(id, lane, e);"
            "INSERT INTO q.halted (lane, job) VALUES ('H', 14);"
            "INSERT INTO q.job (queue, kind, state, lane) VALUES ('red', 'k', 'blocked', 'H');"
            "INSERT INTO q.done (id, attempt, queue, kind, tenant, outcome, created_at) VALUES "
            "(21, 1, " EVIL ", " EVIL ", 7, 'done', now());"
            "INSERT INTO q.try (job, attempt, owner, started_at, outcome, error) VALUES "
            "(1, 1, 99, now() - interval '1 min', 'failed', " EVIL "), "
            "(1, 2, NULL, NULL, 'lost', NULL)");
}

static void add_others(struct it_db *db)
{
    it_exec(db,
            "INSERT INTO q.rate (name, cap15, capday, paused_until) VALUES (" EVIL
            ", 0, 0, now() + interval '1 h');"
            "INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day, "
            "any_hour, queue, kind, next_at, problem, paused) SELECT " EVIL " || i, " EVIL
            ", '{0}', '{0}', '{1}', '{1}', '{0}', false, false, " EVIL ", " EVIL
            ", 'infinity', CASE i WHEN 1 THEN " EVIL " END, i = 2 FROM generate_series(1, 3) i;"
            "INSERT INTO q.pause (queue, kind, tenant) VALUES (" EVIL ", NULL, NULL), (" EVIL
            ", " EVIL ", NULL), ('red', NULL, 7);"
            "INSERT INTO q.instance (host, place, pid, pid_started, version, queue, slots, "
            "draining, beat_at) VALUES (" EVIL ", 'elsewhere', 1, 1, " EVIL ", " EVIL
            ", 3, true, now()), ('b', 'elsewhere', 1, 1, '0.0.1', 'red', 1, false, now() - "
            "interval '1 h');"
            "INSERT INTO q.audit (who, command, filter, jobs, complete) VALUES (" EVIL ", " EVIL
            ", jsonb_build_object('a', " EVIL " ), 5, false);"
            "INSERT INTO athletes (id, backfill_status) VALUES (7, 'not_started');"
            "INSERT INTO strava.account (athlete_id, name, scopes, state, reason) VALUES (7, " EVIL
            ", ARRAY[" EVIL "], 'reauth', " EVIL ");"
            "INSERT INTO strava.sync (athlete_id, mode, requested_by, state, before_at, "
            "cursor_at, pages, listed, added, problem) VALUES (7, 'all', " EVIL ", 'failed', "
            "now(), now(), 3, 450, 449, " EVIL ");"
            "SELECT it.scene();"
            "UPDATE routes SET display_name = replace(" EVIL ", E'\\u0001', ' ') || id");
}

static void every_page_of_an_empty_queue(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++)
        look(&b, pages[i]);
    http_has(look(&b, "/rates"), ">none</td>");
    http_has(look(&b, "/dead"), ">none</td>");
    http_has(look(&b, "/dead/abc"), "no dead letter of this cause");
    it_serve_stop(p);
}

static void nothing_gets_out_of_its_cell(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    add_others(db);
    struct browser b;
    struct it_proc *p = serve(db, &b);
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    add_jobs(db);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        struct http_answer a = look(&b, pages[i]);
        if (!strstr("/athletes /database", pages[i]) || !*pages[i])
            http_has(a, TAME);
    }
    static const char *const jobs[] = {"1", "2", "3", "4", "11", "13", "14", "15", "21"};
    for (unsigned i = 0; i < sizeof(jobs) / sizeof(*jobs); i++) {
        struct http_answer a = look(&b, it_format("/jobs/%s", jobs[i]));
        http_has(a, TAME);
        http_lacks(a, "hunter2");
    }
    struct http_answer a = look(&b, "/jobs/1");
    http_has(a, "&quot;token&quot;: &quot;***&quot;");
    http_has(a, "&lt;/pre&gt;&lt;script&gt;");
    http_has(a, "<td>lost</td>");
    http_has(a, "<td>failed</td><td><span class=\"error\">" TAME);
    http_has(look(&b, "/jobs/2"), "href=\"/admin/jobs/1\"");
    assert_true(look(&b, "/jobs/15").n > 12000 * 15);
    http_has(look(&b, "/lanes"), "name=\"id\" value=\"14\"");
    http_has(look(&b, "/instances"), "silent");
    http_has(look(&b, "/instances"), "drained");
    http_has(look(&b, "/audit"), "not finished");
    http_has(look(&b, "/athletes/7"), "<dt>Backfill</dt><dd>not_started</dd>");
    http_has(look(&b, "/athletes"), "<td>must log in again</td>");
    a = look(&b, "/athletes/7");
    http_has(a, "<dt>Strava</dt><dd>must log in again: " TAME);
    http_has(a, "granted " TAME);
    http_has(a, "<td>failed</td><td class=\"n\">3</td><td class=\"n\">450</td>"
                "<td class=\"n\">449</td>");
    http_has(a, "<span class=\"error\">" TAME);
    a = look(&b, "/athletes/1");
    http_has(a, TAME);
    http_has(a, "<dt>Strava</dt><dd>not connected</dd>");
    http_lacks(a, "Syncs with Strava");
    /* Numbers apart, the same words are one cause. */
    const char *cause = it_text(db, "SELECT cause FROM q.dead WHERE id = 11");
    http_has(look(&b, "/dead"), it_format("href=\"/admin/dead/%s?queue=%%3Cscript%%3E", cause));
    a = look(&b, it_format("/dead/%s", cause));
    http_has(a, "Replay 2 jobs");
    http_has(a, ">12</a>");
    http_lacks(a, ">13</a>");
    a = look(&b, it_format("/dead/%s?queue=%s", cause,
                           http_encode("<script>alert(\"x\")</script>'&%\xe2\x80\xae")));
    http_has(a, "no dead letter of this cause"); /* one character short of the queue's name */
    it_serve_stop(p);
}

static void much_is_not_too_much(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db,
            "INSERT INTO q.job (queue, kind, state, lane, created_at) SELECT 'q' || i %% 150, 'k', "
            "CASE WHEN i <= 1500 THEN 'ready' ELSE 'blocked' END::q.state, 'L' || i %% 1500, "
            "now() - interval '1 d' FROM generate_series(1, 25000) i;"
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload, "
            "last_error, created_at, reason) SELECT 100000 + i, 'red', 'k', 0, 8, 8, 0, '{}', "
            "repeat(chr(97 + i %% 26), 1 + i %% 300), now(), 'attempts' FROM "
            "generate_series(1, 5000) i;"
            "INSERT INTO q.halted (lane, job) SELECT 'H' || i, i FROM generate_series(1, 1000) i;"
            "INSERT INTO q.try (job, attempt, outcome) SELECT 1, i, 'failed' FROM "
            "generate_series(1, 5000) i;"
            "INSERT INTO q.audit (who, command, jobs) SELECT 'me', 'row ' || i, 1 FROM "
            "generate_series(1, 250) i;"
            "INSERT INTO athletes (id) SELECT 1000 + i FROM generate_series(1, 2000) i");
    struct browser b;
    struct it_proc *p = serve(db, &b);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++)
        look(&b, pages[i]);
    http_has(look(&b, "/jobs"), "These are the first hundred");
    look(&b, it_format("/jobs/%s", it_text(db, "SELECT max(id) FROM q.job")));
    struct http_answer a = look(&b, "/audit");
    const char *older = strstr(a.body, "/admin/audit?before=");
    assert_non_null(older);
    a = look(&b, it_format("%.*s", (int)strcspn(older, "\"") - 6, older + 6));
    http_has(a, "row 100");
    http_lacks(a, "row 200");
    it_serve_stop(p);
}

/* ---- what makes no sense --------------------------------------------------------------------- */

static void senseless_questions(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
    } row[] = {
        {"/admin/jobs?state=none", 400},
        {"/admin/jobs?athlete=x", 400},
        {"/admin/jobs?athlete=9223372036854775808", 400},
        {"/admin/jobs?athlete=-5", 200},
        {"/admin/jobs?state=", 200},
        {"/admin/jobs?queue=%00", 400},
        {"/admin/jobs?queue=%ff", 400},
        {"/admin/jobs?error=%25%27%22", 200},
        {"/admin/jobs?nonsense=1", 200},
        {"/admin/jobs/5", 404},
        {"/admin/jobs/0", 404},
        {"/admin/jobs/-1", 404},
        {"/admin/jobs/-0", 404},
        {"/admin/jobs/9223372036854775807", 404},
        {"/admin/jobs/-9223372036854775808", 404},
        {"/admin/jobs/9223372036854775808", 404},
        {"/admin/jobs/x", 404},
        {"/admin/athletes/5", 404},
        {"/admin/athletes/-9223372036854775808", 404},
        {"/admin/audit?before=x", 400},
        {"/admin/audit?before=0", 400},
        {"/admin/audit?before=9223372036854775807", 200},
        {"/admin/dead/%27", 200},
        {"/admin/nothing", 404},
        {"/admin/", 404},
        {"/Admin", 404},
        {"/", 303},
    };
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
        struct http_answer a = http_get(&b, row[i].path);
        if (a.status != row[i].status)
            fail_msg("%s: %d instead of %d", row[i].path, a.status, row[i].status);
    }
    http_has(http_get(&b, "/admin/jobs?state=<script>"), "state must be ready");
    it_serve_stop(p);
}

/* Whatever a link says: only forms change something. */
static void looking_changes_nothing(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    add_jobs(db);
    /* The one that nobody runs would be rescued meanwhile, by the service itself. */
    it_exec(db,
            "UPDATE q.job SET state = 'ready', owner = NULL, started_at = NULL WHERE owner = 99");
    const char *digest =
        "SELECT md5((SELECT string_agg(j::text, ',' ORDER BY id) FROM q.job j) || (SELECT "
        "string_agg(d::text, ',' ORDER BY id) FROM q.dead d) || (SELECT count(*) FROM q.audit) || "
        "(SELECT count(*) FROM q.pause) || (SELECT count(*) FROM web.session))";
    const char *csrf = http_csrf(&b), *before = it_text(db, "%s", digest);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        const char *path = it_format("/admin%s%ccsrf=%s&id=3&queue=red&action=cancel&_method=POST",
                                     pages[i], strchr(pages[i], '?') ? '&' : '?', csrf);
        http_is(http_get(&b, path), 200);
        http_is(http_post(&b, it_format("/admin%.*s", (int)strcspn(pages[i], "?"), pages[i]),
                          it_format("csrf=%s&id=3", csrf)),
                405);
    }
    http_is(http_get(&b, it_format("/admin/do/cancel?csrf=%s&id=3", csrf)), 405);
    http_is(http_get(&b, it_format("/admin/logout?csrf=%s", csrf)), 405);
    assert_string_equal(it_text(db, "%s", digest), before);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(every_page_of_an_empty_queue), IT_TEST(nothing_gets_out_of_its_cell),
        IT_TEST(much_is_not_too_much),         IT_TEST(senseless_questions),
        IT_TEST(looking_changes_nothing),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
