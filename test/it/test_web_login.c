/* Who may see the admin pages: the secret, sessions, guesses, forms of others, and where one is led
 * to. */
#include "it/http.h"

#include <signal.h>
#include <unistd.h>

enum { SOON_MS = 20000, CONFIGURATION = 78, FAIL_MS = 1000 };

#define LOCAL  "WAYMARK_ADMIN_LISTEN=127.0.0.1:0"
#define SECRET "WAYMARK_ADMIN_SECRET=open sesame"
#define GIVEN  "open sesame"

static struct it_proc *serve(struct it_db *db, const char *const *env, const char **address)
{
    struct it_proc *p = it_serve(db, env);
    *address = http_address(p, "admin");
    return p;
}

static unsigned times_in(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

static void leads_to(const struct http_answer *a, const char *want)
{
    http_is(*a, 303);
    assert_string_equal(http_field(a, "Location"), want);
}

static bool is_in(struct browser *b)
{
    struct http_answer a = http_get(b, "/admin");
    assert_true(a.status == 200 || a.status == 303);
    return a.status == 200;
}

/* ---- the secret ------------------------------------------------------------------------------ */

/* Made and shown once; in no log line, table or page later. */
static void it_is_shown_once(void **state)
{
    (void)state;
    static const char *const pages[] = {"/admin/login", "/admin", "/admin/audit", "/admin/database",
                                        "/metrics"};
    const char *at, *const *env = IT_LIST(LOCAL, "WAYMARK_LOG_LEVEL=debug");
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, env, &at);
    const char *shown = strstr(it_errors(p), "shown only now:\n\n    ");
    assert_non_null(shown);
    const char *secret = it_format("%.29s", strstr(shown, "    ") + 4);
    assert_int_equal(strspn(secret, "abcdefghjkmnpqrstuvwxyz23456789-"), 29);
    struct browser b = http_logged_in(at, secret), wrong = {.address = at};
    http_is(http_login(&wrong, it_format("%sx", secret)), 401);
    http_is(http_get(&b, it_format("/admin/jobs?error=%s", secret)), 200);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        struct http_answer a = http_get(&b, pages[i]);
        http_is(a, 200);
        http_lacks(a, secret);
    }
    assert_int_equal(times_in(it_serve_stop(p).err, secret), 1);
    const char *param[] = {secret};
    PGresult *res =
        it_ask(db,
               "SELECT bool_or(strpos(query_to_xml('SELECT * FROM ' || t, false, false, "
               "'')::text, $1) > 0 OR strpos(query_to_xml('SELECT * FROM ' || t, false, "
               "false, '')::text, encode($1::bytea, 'base64')) > 0) FROM "
               "unnest('{web.secret,web.session,web.failed_login,q.audit}'::text[]) t",
               1, param);
    assert_string_equal(PQgetvalue(res, 0, 0), "f");

    /* A restart makes none; whoever is logged in stays so. */
    p = serve(db, env, &at);
    b.address = at;
    assert_true(is_in(&b));
    (void)http_logged_in(at, secret);
    assert_int_equal(times_in(it_serve_stop(p).err, secret), 0);
}

static void another_one_ends_all_sessions(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    const char *first = it_must(db, NULL, IT_LIST("admin", "secret"), 0).out;
    const char *secret = it_format("%.*s", (int)strcspn(first, "\n"), first);
    struct it_proc *p = serve(db, IT_LIST(LOCAL), &at);
    assert_false(it_said(p, "shown only now"));
    struct browser b = http_logged_in(at, secret);
    assert_true(is_in(&b));
    struct it_result r = it_must(db, NULL, IT_LIST("admin", "secret", "--json"), 0);
    assert_true(strncmp(r.out, "{\"secret\":\"", 11) == 0);
    const char *renewed = it_format("%.*s", (int)strcspn(r.out + 11, "\""), r.out + 11);
    assert_string_not_equal(secret, renewed);
    assert_null(strstr(r.err, renewed));
    assert_false(is_in(&b));
    http_is(http_login(&b, secret), 401);
    b = http_logged_in(at, renewed);
    assert_true(is_in(&b));
    it_serve_stop(p);
}

static void the_configuration_may_give_it(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET, "WAYMARK_LOG_LEVEL=debug"), &at);
    struct browser b = http_logged_in(at, GIVEN), wrong = {.address = at};
    assert_true(is_in(&b));
    http_is(http_post(&wrong, "/admin/login", ""), 401);
    assert_null(wrong.cookie);
    it_holds(db, "NOT EXISTS (SELECT FROM web.secret)");
    assert_int_equal(times_in(it_serve_stop(p).err, GIVEN), 0);
    it_must(db, IT_LIST(SECRET), IT_LIST("admin", "secret"), CONFIGURATION);
    /* One that no login form takes. */
    char *longer = it_keep(malloc(300));
    memset(longer, 'a', 299);
    longer[299] = '\0';
    it_must(db, IT_LIST(LOCAL, it_format("WAYMARK_ADMIN_SECRET=%s", longer)), IT_LIST("serve"),
            CONFIGURATION);
    longer[200] = '\0';
    p = serve(db, IT_LIST(LOCAL, it_format("WAYMARK_ADMIN_SECRET=%s", longer)), &at);
    (void)http_logged_in(at, longer);
    it_serve_stop(p);
}

/* ---- guesses --------------------------------------------------------------------------------- */

static void add_failures(struct it_db *db, const char *address, int n)
{
    it_exec(db, "INSERT INTO web.failed_login (address) SELECT '%s' FROM generate_series(1, %d)",
            address, n);
}

static void locked_out(const char *at)
{
    struct browser b = {.address = at};
    struct http_answer a = http_login(&b, GIVEN);
    http_is(a, 429);
    assert_string_equal(http_field(&a, "Retry-After"), "900");
    assert_null(b.cookie);
}

static void guesses_are_counted(void **state)
{
    (void)state;
    const char *at, *other;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = {.address = at};
    struct http_answer a = http_login(&b, "nonsense");
    http_is(a, 401);
    assert_true(a.ms >= FAIL_MS);
    assert_null(b.cookie);
    http_has(a, "role=\"alert\"");
    it_holds(db, "(SELECT count(*) FROM web.failed_login WHERE address = '127.0.0.1') = 1");
    add_failures(db, "127.0.0.1", 8);
    http_is(http_login(&b, ""), 401); /* the tenth */
    locked_out(at);
    it_holds(db, "(SELECT count(*) FROM web.failed_login) = 10");
    /* Neither another instance nor a restart gives new ones. */
    struct it_proc *q = serve(db, IT_LIST(LOCAL, SECRET), &other);
    locked_out(other);
    it_serve_stop(p);
    p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    locked_out(at);
    it_exec(db, "UPDATE web.failed_login SET at = at - interval '16 minutes'");
    (void)http_logged_in(at, GIVEN);
    add_failures(db, "192.0.2.1", 10);
    (void)http_logged_in(other, GIVEN);
    add_failures(db, "192.0.2.2", 290); /* from anywhere */
    (void)http_logged_in(at, GIVEN);    /* who is logged in from here already */
    it_exec(db, "DELETE FROM web.session");
    locked_out(at);
    it_serve_stop(p);
    it_serve_stop(q);
}

static void few_at_once_are_checked(void **state)
{
    (void)state;
    enum { N = 8 };
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    int fd[N];
    unsigned refused = 0, wrong = 0;
    for (int i = 0; i < N; i++) {
        fd[i] = http_connect(at);
        http_send(fd[i], "POST /admin/login HTTP/1.1\r\nHost: x\r\nContent-Type: "
                         "application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nsecret=x");
    }
    for (int i = 0; i < N; i++) {
        const char *said = http_until(fd[i], "</html>", SOON_MS);
        refused += strstr(said, " 429 ") && strstr(said, "Retry-After: 5\r\n");
        wrong += strstr(said, " 401 ") != NULL;
        close(fd[i]);
    }
    assert_int_equal(wrong, 4);
    assert_int_equal(refused, 4);
    (void)http_logged_in(at, GIVEN);
    it_serve_stop(p);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void cookies_are_kept_close(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = {.address = at,
                        .fields = "X-Forwarded-Proto: https\r\n"
                                  "X-Forwarded-For: 192.0.2.7\r\n"};
    struct http_answer a = http_login(&b, GIVEN);
    const char *set = http_field(&a, "Set-Cookie");
    assert_non_null(strstr(set, "; HttpOnly"));
    assert_non_null(strstr(set, "; SameSite="));
    assert_null(strstr(set, "Secure")); /* anybody can say that it was https */
    it_serve_stop(p);
    p = serve(db, IT_LIST(LOCAL, SECRET, "WAYMARK_ADMIN_TRUSTED_PROXIES=127.0.0.1"), &at);
    b.address = at;
    a = http_login(&b, GIVEN);
    assert_non_null(strstr(http_field(&a, "Set-Cookie"), "; Secure"));
    assert_string_equal(it_text(db, "SELECT string_agg(who, ' ' ORDER BY id) FROM q.audit WHERE "
                                    "command = 'login'"),
                        "admin@127.0.0.1 admin@192.0.2.7");
    /* What the browser holds is not what the database keeps. */
    const char *param[] = {strchr(b.cookie, '=') + 1, GIVEN};
    PGresult *res =
        it_ask(db,
               "SELECT count(*) FILTER (WHERE token = decode($1, 'hex')), count(*) "
               "FILTER (WHERE token = sha256(decode($1, 'hex') || convert_to($2, 'UTF8')))"
               " FROM web.session",
               2, param);
    assert_string_equal(PQgetvalue(res, 0, 0), "0");
    assert_string_equal(PQgetvalue(res, 0, 1), "1");
    it_serve_stop(p);
}

static void sessions_end(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = http_logged_in(at, GIVEN), other = http_logged_in(at, GIVEN), was = b;
    const char *form = it_format("csrf=%s", http_csrf(&b));
    struct http_answer a = http_post(&b, "/admin/logout", form);
    leads_to(&a, "/admin/login");
    assert_non_null(strstr(http_field(&a, "Set-Cookie"), "Max-Age=0"));
    assert_false(is_in(&was)); /* a copy of the cookie is worth nothing either */
    assert_true(is_in(&other));
    a = http_post(&was, "/admin/logout", form);
    leads_to(&a, "/admin/login");
    it_holds(db, "(SELECT count(*) FROM q.audit WHERE command = 'logout' AND who = "
                 "'admin@127.0.0.1') = 1");
    it_exec(db, "UPDATE web.session SET expires_at = now() - interval '1 second'");
    assert_false(is_in(&other));
    it_serve_stop(p);
}

/* ---- without a login ------------------------------------------------------------------------- */

static void nothing_answers_strangers(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "",      "/jobs",      "/jobs/1",   "/dead",       "/dead/x?queue=a", "/lanes", "/rates",
        "/cron", "/instances", "/athletes", "/athletes/1", "/database",       "/audit",
    };
    static const char *const live[] = {"/",     "/jobs/1",    "/dead",       "/lanes",   "/rates",
                                       "/cron", "/instances", "/athletes/1", "/database"};
    static const char *const actions[] = {"retry",    "discard",    "cancel",      "release",
                                          "pause",    "resume",     "drain",       "undrain",
                                          "cron-run", "cron-pause", "cron-resume", "logout"};
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = {.address = at};
    /* No cookie; one of a login that never was. */
    for (int k = 0; k < 2; k++) {
        for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
            const char *path = it_format("/admin%s", pages[i]);
            struct http_answer a = http_get(&b, path);
            leads_to(&a, it_format("/admin/login?next=%s", http_encode(path)));
            assert_int_equal(a.n, 0);
        }
        for (unsigned i = 0; i < sizeof(live) / sizeof(*live); i++) {
            struct http_answer a = http_get(&b, it_format("/admin/live%s", live[i]));
            http_is(a, 401);
            http_lacks(a, "event:");
        }
        for (unsigned i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
            struct http_answer a =
                http_post(&b, it_format("/admin/do/%s", actions[i]),
                          "csrf=00000000000000000000000000000000&id=1&queue=trails&name=x");
            assert_true(a.status == (k ? 403 : 303));
            http_is(http_get(&b, it_format("/admin/do/%s", actions[i])), 405);
        }
        b.cookie = "waymark_admin=00112233445566778899aabbccddeeff"
                   "00112233445566778899aabbccddeeff";
    }
    it_holds(db, "NOT EXISTS (SELECT FROM q.pause) AND NOT EXISTS (SELECT FROM q.audit)");
    http_is(http_get(&b, "/admin/nothing"), 404);
    http_is(http_get(&b, "/admin/static/admin.css"), 200);
    http_is(http_get(&b, "/admin/static/admin.js"), 200);
    http_is(http_get(&b, "/admin/static/icon.svg"), 200);
    http_is(http_get(&b, "/admin/static/../admin"), 400);
    it_serve_stop(p);
}

static void redirects_stay_here(void **state)
{
    (void)state;
    static const char *const next[][2] = {
        {"/admin/jobs?state=dead", "/admin/jobs?state=dead"},
        {"/admin/dead/abc?queue=a%20b&kind=%C3%BC", "/admin/dead/abc?queue=a%20b&kind=%C3%BC"},
        {"//evil", "/admin"},
        {"/\\evil", "/admin"},
        {"https://evil/admin", "/admin"},
        {"/admin/\t/evil", "/admin"},
        {"/admin\r\nX: y", "/admin"},
        {"/admin//evil", "/admin"},
        {"\" autofocus onfocus=\"alert(1)", "/admin"},
    };
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = http_logged_in(at, GIVEN);
    const char *csrf = http_csrf(&b);
    for (unsigned i = 0; i < sizeof(next) / sizeof(*next); i++) {
        const char *text = http_encode(next[i][0]);
        struct http_answer a = http_get(&b, it_format("/admin/login?next=%s", text));
        if (a.status != 400) { /* what no query may hold */
            http_is(a, 200);
            http_lacks(a, "evil");
            http_lacks(a, "onfocus=\"");
        }
        struct browser fresh = {.address = at};
        a = http_post(&fresh, "/admin/login",
                      it_format("secret=%s&next=%s", http_encode(GIVEN), text));
        leads_to(&a, next[i][1]);
        a = http_post(&b, "/admin/do/resume", it_format("csrf=%s&queue=q&back=%s", csrf, text));
        leads_to(&a, next[i][1]);
    }
    char *longest = it_keep(malloc(50001));
    memset(longest, 'a', 50000);
    longest[50000] = '\0';
    struct http_answer a = http_post(&b, "/admin/do/resume",
                                     it_format("csrf=%s&queue=q&back=/admin/%s", csrf, longest));
    leads_to(&a, "/admin");
    /* What one asked for is where one is led to, as it was asked for. */
    struct browser stranger = {.address = at};
    a = http_get(&stranger, "/admin/dead/a%20b%3Fc?queue=x%26y&nonsense=1");
    leads_to(&a,
             it_format("/admin/login?next=%s", http_encode("/admin/dead/a%20b%3Fc?queue=x%26y")));
    it_serve_stop(p);
}

/* ---- forms of others ------------------------------------------------------------------------- */

static void forms_of_others_do_nothing(void **state)
{
    (void)state;
    static const char *const from[] = {
        "Origin: https://evil\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://127.0.0.1:1\r\nX: y\r\n",
    };
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, IT_LIST(LOCAL, SECRET), &at);
    struct browser b = http_logged_in(at, GIVEN), other = http_logged_in(at, GIVEN);
    const char *mine = http_csrf(&b), *theirs = http_csrf(&other);
    const char *const forms[] = {"queue=q", "csrf=&queue=q", it_format("csrf=%s&queue=q", theirs),
                                 it_format("csrf=%.31s&queue=q", mine),
                                 it_format("csrf=%sx&queue=q", mine)};
    for (unsigned i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        http_is(http_post(&b, "/admin/do/pause", forms[i]), 403);
    for (unsigned i = 0; i < sizeof(from) / sizeof(*from); i++) {
        b.fields = from[i];
        http_is(http_post(&b, "/admin/do/pause", it_format("csrf=%s&queue=q", mine)), 403);
        http_is(http_post(&b, "/admin/logout", it_format("csrf=%s", mine)), 403);
        struct browser fresh = {.address = at, .fields = from[i]};
        http_is(http_login(&fresh, GIVEN), 403);
        assert_null(fresh.cookie);
    }
    it_holds(db, "NOT EXISTS (SELECT FROM q.pause)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.audit WHERE command <> 'login')");
    b.fields = it_format("Origin: http://%s\r\nSec-Fetch-Site: same-origin\r\n", at);
    http_press(&b, "pause", "&queue=q");
    it_holds(db, "EXISTS (SELECT FROM q.pause WHERE queue = 'q' AND kind IS NULL)");
    assert_true(is_in(&b));
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(it_is_shown_once),
        IT_TEST(another_one_ends_all_sessions),
        IT_TEST(the_configuration_may_give_it),
        IT_TEST(guesses_are_counted),
        IT_TEST(few_at_once_are_checked),
        IT_TEST(cookies_are_kept_close),
        IT_TEST(sessions_end),
        IT_TEST(nothing_answers_strangers),
        IT_TEST(redirects_stay_here),
        IT_TEST(forms_of_others_do_nothing),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
