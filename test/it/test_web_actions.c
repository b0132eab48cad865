/* Every button does what `waymark jobs` would, to what it names and nothing else, and is written
 * down once. */
#include "it/http.h"

#include <unistd.h>

enum { SOON_MS = 20000 };

#define SECRET "WAYMARK_ADMIN_SECRET=open sesame"
#define GIVEN  "open sesame"

static struct it_proc *serve(struct it_db *db, struct browser *b)
{
    struct it_proc *p = it_serve(
        db, IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0", SECRET, "WAYMARK_PROCESSOR_POLL=1h"));
    *b = http_logged_in(http_address(p, "admin"), GIVEN);
    it_exec(db, "TRUNCATE q.audit");
    return p;
}

static const char *ids(struct it_db *db, const char *from)
{
    return it_text(db, "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM %s", from);
}

/* All that was written down since the last look: who, command, filter, jobs, complete. */
static void audited(struct it_db *db, const char *want)
{
    const char *got = it_text(db, "WITH gone AS (DELETE FROM q.audit RETURNING *) SELECT "
                                  "coalesce(string_agg(concat_ws(' ', command, filter, jobs, "
                                  "complete), E'\\n' ORDER BY id), '') FROM gone WHERE who = "
                                  "'admin@127.0.0.1'");
    assert_string_equal(got, want);
    it_exec(db, "TRUNCATE q.audit");
}

static void add_dead(struct it_db *db, int first, int n, const char *kind, const char *error)
{
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, tenant, "
            "payload, last_error, created_at, reason) SELECT %d + i, 'red', '%s', 0, 8, 8, 0, 7, "
            "'{}', '%s' || i, now(), 'attempts' FROM generate_series(0, %d - 1) i",
            first, kind, error, n);
    it_exec(db, "SELECT setval('q.job_id_seq', 1000000)");
}

static const char *cause_of(struct it_db *db, int id)
{
    return it_text(db, "SELECT cause FROM q.dead WHERE id = %d", id);
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static void one_dead_letter(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    add_dead(db, 1, 4, "a", "e");
    http_press(&b, "retry", "&id=2");
    assert_string_equal(ids(db, "q.dead"), "1 3 4");
    assert_string_equal(ids(db, "q.job WHERE state = 'ready'"), "2");
    audited(db, "jobs retry {\"id\": 2} 1 t");
    http_press(&b, "discard", "&id=3");
    assert_string_equal(ids(db, "q.dead"), "1 4");
    assert_string_equal(ids(db, "q.job"), "2");
    audited(db, "jobs discard {\"id\": 3} 1 t");
    /* Nothing is left to do, and nothing is written down. */
    http_press(&b, "retry", "&id=2");
    http_press(&b, "discard", "&id=77");
    assert_string_equal(ids(db, "q.dead"), "1 4");
    audited(db, "");
    it_serve_stop(p);
}

/* All of a cause, in pages; those of another kind only where any is meant. */
static void a_whole_cause(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    add_dead(db, 1, 2500, "a", "HTTP 500 at ");
    add_dead(db, 3001, 3, "b", "HTTP 500 at ");
    add_dead(db, 4001, 3, "a", "other ");
    const char *cause = cause_of(db, 1);
    assert_string_equal(cause, cause_of(db, 3001));
    http_press(&b, "retry", it_format("&cause=%s&queue=red&kind=a", cause));
    assert_string_equal(ids(db, "q.dead"), "3001 3002 3003 4001 4002 4003");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 2500");
    audited(db, it_format("jobs retry {\"kind\": \"a\", \"cause\": \"%s\", \"queue\": \"red\"} "
                          "2500 t",
                          cause));
    http_press(&b, "discard", it_format("&cause=%s", cause));
    assert_string_equal(ids(db, "q.dead"), "4001 4002 4003");
    it_holds(db, "(SELECT count(*) FROM q.job) = 2500");
    audited(db, it_format("jobs discard {\"cause\": \"%s\"} 3 t", cause));
    it_serve_stop(p);
}

/* What a form leaves out, or garbles, is not taken for everything. */
static void forms_that_make_no_sense(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    add_dead(db, 1, 3, "a", "e");
    char *longer = it_keep(malloc(4001));
    memset(longer, 'k', 4000);
    longer[4000] = '\0';
    const char *cause = cause_of(db, 1), *csrf = http_csrf(&b);
    const struct {
        const char *action, *fields;
        int status;
    } row[] = {
        {"retry", "", 400},
        {"retry", "&id=", 400},
        {"retry", "&id=0", 400},
        {"retry", "&id=x", 400},
        {"retry", "&id=1x", 400},
        {"retry", "&id=99999999999999999999", 400},
        {"discard", "&queue=red", 400},
        {"discard", "&kind=a", 400},
        {"discard", "&cause=", 400},
        {"discard", it_format("&cause=%s&kind=%s", cause, longer), 400},
        {"discard", it_format("&cause=%s&kind=", cause), 400},
        {"discard", it_format("&cause=%s&queue=", cause), 400},
        {"cancel", "&cause=x", 400},
        {"release", "", 400},
        {"pause", "", 400},
        {"pause", "&kind=a", 400},
        {"pause", it_format("&queue=red&kind=%s", longer), 400},
        {"pause", it_format("&queue=%s", longer), 400},
        {"drain", "&id=", 400},
        {"cron-run", "", 400},
        {"cron-pause", "&name=", 400},
        {"nothing", "&id=1", 404},
        {"Retry", "&id=1", 404},
        {"retry", "&id=%00", 400},
        {"retry", "&id=1&queue=%ff", 400},
    };
    for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
        struct http_answer a = http_post(&b, it_format("/admin/do/%s", row[i].action),
                                         it_format("csrf=%s%s", csrf, row[i].fields));
        if (a.status != row[i].status)
            fail_msg("%s %.60s: %d instead of %d\n%s", row[i].action, row[i].fields, a.status,
                     row[i].status, a.body);
    }
    http_is(
        http_ask(b.address, "POST", "/admin/do/retry", it_format("Cookie: %s\r\n", b.cookie), NULL),
        415);
    assert_string_equal(ids(db, "q.dead"), "1 2 3");
    it_holds(db, "NOT EXISTS (SELECT FROM q.pause)");
    audited(db, "");
    it_serve_stop(p);
}

/* ---- live jobs ------------------------------------------------------------------------------- */

static void live_jobs(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    assert_true(it_eventually(db, 20000, "SELECT count(*) = 1 FROM q.instance") >= 0);
    it_exec(db,
            "INSERT INTO q.job (id, queue, kind, state, run_at, owner, lane) OVERRIDING SYSTEM "
            "VALUE SELECT id, 'red', 'a', state::q.state, CASE state WHEN 'waiting' THEN now() + "
            "interval '1 hour' END, CASE state WHEN 'running' THEN %lld END, lane FROM (VALUES "
            "(1, 'ready', NULL), (2, 'waiting', NULL), (3, 'waiting', NULL), (4, 'ready', 'L'), "
            "(5, 'blocked', 'L'), (6, 'running', NULL)) v(id, state, lane)",
            (long long)it_i64(db, "SELECT id FROM q.instance"));
    http_press(&b, "cancel", "&id=2");
    audited(db, "jobs cancel {\"id\": 2} 1 t");
    http_press(&b, "cancel", "&id=4");
    audited(db, "jobs cancel {\"id\": 4} 1 t");
    assert_string_equal(ids(db, "q.done WHERE outcome = 'cancelled'"), "2 4");
    assert_string_equal(ids(db, "q.job WHERE state = 'ready'"), "1 5"); /* its lane goes on */
    http_press(&b, "cancel", "&id=6");
    it_holds(db, "(SELECT cancel FROM q.job WHERE id = 6)");
    audited(db, "jobs cancel {\"id\": 6} 1 t");
    http_has(http_get(&b, "/admin/jobs/6"), "asked to stop");
    http_press(&b, "release", "&id=3");
    assert_string_equal(ids(db, "q.job WHERE state = 'ready'"), "1 3 5");
    audited(db, "jobs retry {\"id\": 3} 1 t");
    http_press(&b, "release", "&id=1");            /* which does not wait */
    it_exec(db, "DELETE FROM q.job WHERE id = 6"); /* nobody does it */
    it_serve_stop(p);
}

/* ---- queues, instances, schedules ------------------------------------------------------------ */

static void pauses(void **state)
{
    (void)state;
    static const char *const state_of =
        "(SELECT string_agg(concat_ws('/', queue, kind, tenant), ' ' ORDER BY queue, kind) FROM "
        "q.pause)";
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    http_press(&b, "pause", "&queue=red");
    audited(db, "jobs pause {\"queue\": \"red\"} 0 t");
    http_press(&b, "pause", "&queue=red"); /* as it is already */
    audited(db, "");
    http_press(&b, "pause", "&queue=red&kind=a");
    audited(db, "jobs pause {\"kind\": \"a\", \"queue\": \"red\"} 0 t");
    http_press(&b, "pause", it_format("&queue=%s", http_encode("b'\"<\\ \xc3\xbc")));
    audited(db, "jobs pause {\"queue\": \"b'\\\"<\\\\ \xc3\xbc\"} 0 t");
    assert_string_equal(it_text(db, "SELECT %s", state_of), "b'\"<\\ \xc3\xbc red/a red");
    http_has(http_get(&b, "/admin"), "b&#39;&quot;&lt;\\ \xc3\xbc");
    http_press(&b, "resume", "&queue=red&kind=a");
    audited(db, "jobs resume {\"kind\": \"a\", \"queue\": \"red\"} 0 t");
    assert_string_equal(it_text(db, "SELECT %s", state_of), "b'\"<\\ \xc3\xbc red");
    http_press(&b, "resume", "&queue=red");
    audited(db, "jobs resume {\"queue\": \"red\"} 0 t");
    http_press(&b, "resume", "&queue=red");
    audited(db, "");
    it_serve_stop(p);
}

static void instances(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    const char *id = it_text(db, "SELECT id FROM q.instance");
    http_press(&b, "drain", it_format("&id=%s", id));
    it_holds(db, "(SELECT draining FROM q.instance)");
    audited(db, it_format("jobs drain {\"id\": %s} 0 t", id));
    http_has(http_get(&b, "/admin/instances"), "Claim again");
    assert_true(it_eventually(db, SOON_MS,
                              it_format("SELECT beat > %lld FROM q.instance",
                                        (long long)it_i64(db, "SELECT beat FROM q.instance"))) >=
                0);
    it_exec(db, "SELECT it.scene()");
    it_pause_ms(300);
    it_holds(db, "EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM q.done)");
    http_press(&b, "undrain", it_format("&id=%s", id));
    audited(db, it_format("jobs drain {\"id\": %s} 0 t", id));
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    http_press(&b, "drain", "&id=12345");
    audited(db, "");
    it_serve_stop(p);
}

static void schedules(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    it_must(db, NULL,
            IT_LIST("jobs", "cron", "add", "nightly", "@daily", "--queue", "none", "--kind", "k"),
            0);
    it_exec(db, "TRUNCATE q.audit");
    http_press(&b, "cron-pause", "&name=nightly");
    it_holds(db, "(SELECT paused FROM q.cron WHERE name = 'nightly')");
    audited(db, "jobs cron pause {\"names\": [\"nightly\"]} 0 t");
    http_press(&b, "cron-run", "&name=nightly");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE queue = 'none' AND kind = 'k') = 1");
    audited(db, "jobs cron run {\"name\": \"nightly\"} 1 t");
    http_press(&b, "cron-resume", "&name=nightly");
    it_holds(db, "(SELECT NOT paused AND next_at > now() FROM q.cron WHERE name = 'nightly')");
    audited(db, "jobs cron resume {\"names\": [\"nightly\"]} 0 t");
    http_press(&b, "cron-run", "&name=nothing");
    http_press(&b, "cron-pause", "&name=nothing");
    audited(db, "");
    it_serve_stop(p);
}

/* ---- two at once ----------------------------------------------------------------------------- */

/* Both requests are under way before either is answered; a lock holds the first at its work. */
static void two_press_the_same_button(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct browser b;
    struct it_proc *p = serve(db, &b);
    add_dead(db, 1, 1500, "a", "e");
    struct browser other = http_logged_in(b.address, GIVEN);
    it_exec(db, "TRUNCATE q.audit");
    struct browser *who[2] = {&b, &other};
    int fd[2];
    PGconn *lock = PQconnectdb(db->url);
    PQclear(PQexec(lock, "BEGIN; SELECT FROM q.dead WHERE id = 700 FOR UPDATE"));
    for (int i = 0; i < 2; i++) {
        const char *form = it_format("csrf=%s&cause=%s", http_csrf(who[i]), cause_of(db, 1));
        fd[i] = http_connect(b.address);
        http_send(fd[i], it_format("POST /admin/do/retry HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n"
                                   "Content-Type: application/x-www-form-urlencoded\r\n"
                                   "Content-Length: %zu\r\n\r\n%s",
                                   who[i]->cookie, strlen(form), form));
    }
    it_pause_ms(300);
    PQfinish(lock);
    for (int i = 0; i < 2; i++) {
        const char *said = http_until(fd[i], "\r\n\r\n", SOON_MS);
        if (!strstr(said, "HTTP/1.1 303 "))
            fail_msg("%s", said);
        close(fd[i]);
    }
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "(SELECT count(*) FROM q.job) = 1500");
    it_holds(db, "(SELECT sum(jobs) FROM q.audit) = 1500 AND (SELECT bool_and(complete) FROM "
                 "q.audit)");
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(one_dead_letter),
        IT_TEST(a_whole_cause),
        IT_TEST(forms_that_make_no_sense),
        IT_TEST(live_jobs),
        IT_TEST(pauses),
        IT_TEST(instances),
        IT_TEST(schedules),
        IT_TEST(two_press_the_same_button),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
