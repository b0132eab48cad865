/* People: logging in with Strava by every way it can go, who sees what, and leaving. */
#include "it/sim.h"

#include <signal.h>
#include <strings.h>
#include <unistd.h>

enum { SOON_MS = 20000, ATHLETE = 9001, OTHER = 9002, TOKEN_HEX = 64 };

/* A browser that keeps both cookies. */
struct person {
    const char *address;
    const char *way, *visitor; /* values; NULL: none */
    const char *fields;        /* sent with each request; or NULL */
};

static const char *value_of(const char *text, const char *name, const char *until)
{
    const char *at = strstr(text, name);
    if (!at)
        return NULL;
    at += strlen(name);
    return it_format("%.*s", (int)strcspn(at, until), at);
}

static void keep(const char **cookie, const struct http_answer *a, const char *name)
{
    const char *value = value_of(a->head, it_format("Set-Cookie: %s=", name), ";\r\n");
    if (value)
        *cookie = *value ? value : NULL;
}

static struct http_answer ask(struct person *p, const char *method, const char *target,
                              const char *form)
{
    const char *cookies = it_format("Cookie: a=b%s%s%s%s\r\n%s", p->way ? "; waymark_login=" : "",
                                    p->way ? p->way : "", p->visitor ? "; waymark_visitor=" : "",
                                    p->visitor ? p->visitor : "", p->fields ? p->fields : "");
    struct http_answer a = http_ask(p->address, method, target, cookies, form);
    keep(&p->way, &a, "waymark_login");
    keep(&p->visitor, &a, "waymark_visitor");
    return a;
}

static struct http_answer get(struct person *p, const char *target)
{
    return ask(p, "GET", target, NULL);
}

static const char *form_token(struct person *p)
{
    const char *token = value_of(get(p, "/").body, "name=\"csrf\" value=\"", "\"");
    assert_non_null(token);
    return token;
}

static const char *const *env_of(struct sim *sim, const char *more)
{
    const char **env = (const char **)(void *)it_keep(calloc(12, sizeof(*env)));
    unsigned n = 0;
    env[n++] = "WAYMARK_HTTP_LISTEN=127.0.0.1:0";
    env[n++] = "WAYMARK_LOG_LEVEL=debug";
    env[n++] = "STRAVA_CLIENT_ID=1001";
    env[n++] = "STRAVA_CLIENT_SECRET=sim-secret-1001";
    env[n++] = it_format("WAYMARK_STRAVA_API_URL=%s/api/v3", sim_url(sim));
    env[n++] = it_format("WAYMARK_STRAVA_OAUTH_URL=%s", sim_url(sim));
    if (more)
        env[n++] = more;
    return env;
}

static struct sim *two_athletes(void)
{
    return sim_start(IT_LIST("--athletes", "2"));
}

static struct person someone(struct it_proc *p)
{
    return (struct person){.address = http_address(p, "http")};
}

/* To Strava, which sends back at once; the target of the way back. */
static const char *to_strava(struct person *who, struct sim *sim, const char *target)
{
    struct http_answer a = get(who, target);
    http_is(a, 303);
    const char *there = http_field(&a, "Location");
    assert_non_null(there);
    if (strstr(there, "moved=1")) { /* as from a proxy in front of the configured address */
        a = get(who, strstr(there, "/auth/"));
        there = http_field(&a, "Location");
    }
    assert_int_equal(strncmp(there, sim_url(sim), strlen(sim_url(sim))), 0);
    struct http_answer b = sim_ask(sim, "GET", there + strlen(sim_url(sim)), NULL, NULL);
    assert_true(b.status == 302 || b.status == 303);
    const char *back = http_field(&b, "Location");
    assert_non_null(back);
    const char *path = strstr(back, "/auth/strava/callback?");
    assert_non_null(path);
    return path;
}

static void consents(struct sim *sim, int athlete, const char *scope)
{
    if (scope)
        sim_do(sim, "consent", "{\"athlete\":%d,\"scope\":\"%s\"}", athlete, scope);
    else
        sim_do(sim, "consent", "{\"athlete\":%d}", athlete);
}

static void log_in(struct person *who, struct sim *sim, int athlete, const char *scope)
{
    consents(sim, athlete, scope);
    struct http_answer a = get(who, to_strava(who, sim, "/auth/strava"));
    http_is(a, 303);
    assert_string_equal(http_field(&a, "Location"), "/");
    assert_non_null(who->visitor);
    assert_null(who->way);
}

static bool is_granted(struct sim *sim, int athlete)
{
    json_t *all = sim_at(sim_get(sim, "athletes"), "athletes"), *one;
    size_t i;
    json_array_foreach(all, i, one)
    {
        if (sim_i64(one, "id") == athlete)
            return json_is_true(json_object_get(one, "granted"));
    }
    fail();
    return false;
}

/* A route, and an activity of that athlete along a part of it. */
static void add_walk(struct it_db *db, int64_t id, int athlete, double from, double to,
                     const char *name)
{
    it_exec(db,
            "INSERT INTO routes (id, track, length, display_name) SELECT 'wavy', it.way(0, 1, 400, "
            "0), ST_Length(it.way(0, 1, 400, 0)::geography), 'The Wavy Way' WHERE NOT EXISTS "
            "(SELECT FROM routes)");
    it_exec(db, "SELECT it.walk(%lld, %d, %f, %f, 0)", (long long)id, athlete, from, to);
    it_exec(db, "UPDATE activities SET name = '%s' WHERE id = %lld", name, (long long)id);
}

/* ---- logging in ------------------------------------------------------------------------------ */

static void a_whole_login(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    struct http_answer a = get(&who, "/");
    http_is(a, 200);
    http_has(a, "Connect with Strava");
    http_has(a, "How to leave");
    http_is(get(&who, "/static/people.css"), 200);

    a = get(&who, "/auth/strava");
    http_is(a, 303);
    const char *there = http_field(&a, "Location");
    assert_non_null(strstr(there, "approval_prompt=auto"));
    assert_non_null(
        strstr(there, it_format("redirect_uri=http%%3A%%2F%%2F127.0.0.1%%3A%s%%2Fauth%%2Fstrava%%2F"
                                "callback&",
                                strchr(who.address, ':') + 1)));
    const char *cookie = value_of(a.head, "Set-Cookie: waymark_login=", "\r\n");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, "; HttpOnly"));
    assert_non_null(strstr(cookie, "; SameSite=Lax"));
    assert_non_null(strstr(cookie, "; Max-Age=600"));
    assert_null(strstr(cookie, "Secure"));

    consents(sim, ATHLETE, NULL);
    a = get(&who, to_strava(&who, sim, "/auth/strava"));
    http_is(a, 303);
    assert_string_equal(http_field(&a, "Location"), "/");
    cookie = value_of(a.head, "Set-Cookie: waymark_visitor=", "\r\n");
    assert_non_null(strstr(cookie, "; HttpOnly"));
    assert_non_null(strstr(cookie, "; SameSite=Lax"));
    assert_non_null(strstr(cookie, "; Max-Age=2592000"));
    assert_null(strstr(cookie, "Secure"));
    assert_int_equal(strlen(who.visitor), TOKEN_HEX);

    a = get(&who, "/");
    http_is(a, 200);
    http_has(a, it_text(db, "SELECT name FROM strava.account WHERE athlete_id = %d", ATHLETE));
    http_has(a, "Powered by Strava");
    http_lacks(a, "Connect with Strava");
    assert_non_null(http_field(&a, "Content-Security-Policy"));
    it_holds(db, "EXISTS (SELECT FROM access_tokens) AND EXISTS (SELECT FROM refresh_tokens)");
    it_holds(db, "(SELECT token = sha256(decode('%s', 'hex')) FROM web.visitor)", who.visitor);
    it_holds(db, "EXISTS (SELECT FROM strava.sync WHERE athlete_id = %d)", ATHLETE);

    /* Neither what opens Strava nor what opens the page is in the log. */
    struct it_result r = it_serve_stop(p);
    const char *const secret[] = {who.visitor, "sim-secret-1001",
                                  it_text(db, "SELECT access_token FROM access_tokens"),
                                  it_text(db, "SELECT refresh_token FROM refresh_tokens"),
                                  it_text(db, "SELECT encode(key, 'hex') FROM web.login_key")};
    for (size_t i = 0; i < sizeof(secret) / sizeof(*secret); i++)
        assert_null(strstr(r.err, secret[i]));
    assert_null(strstr(r.err, "code="));
    assert_null(strstr(r.err, "?state=")); /* syncs have a state, too */
    assert_null(strstr(r.err, "&state="));
}

/* By another instance, and after a restart. */
static void a_login_holds_everywhere(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *one = it_serve(db, env_of(sim, NULL)), *two = it_serve(db, env_of(sim, NULL));
    struct person who = someone(one);
    consents(sim, ATHLETE, NULL);
    const char *back = to_strava(&who, sim, "/auth/strava");
    who.address = http_address(two, "http");
    http_is(get(&who, back), 303); /* begun there, ended here */
    http_has(get(&who, "/"), "Powered by Strava");
    who.address = http_address(one, "http");
    http_has(get(&who, "/"), "Powered by Strava");
    it_serve_stop(one);
    it_serve_stop(two);
    one = it_serve(db, env_of(sim, NULL));
    who.address = http_address(one, "http");
    http_has(get(&who, "/"), "Powered by Strava");
    it_exec(db, "UPDATE web.visitor SET expires_at = now()");
    http_has(get(&who, "/"), "Connect with Strava");
    it_serve_stop(one);
}

static void cookies_are_secure_behind_https(void **state)
{
    (void)state;
    struct sim *sim = sim_start(IT_LIST("--callback-domain", "trails.example.org"));
    struct it_db *db = it_db_new();
    struct it_proc *p =
        it_serve(db, env_of(sim, "WAYMARK_HTTP_PUBLIC_URL=https://trails.example.org/"));
    struct person who = someone(p);
    struct http_answer a = get(&who, "/auth/strava?moved=1");
    http_is(a, 303);
    assert_non_null(strstr(http_field(&a, "Location"),
                           "redirect_uri=https%3A%2F%2Ftrails.example.org%2Fauth%2Fstrava"));
    assert_non_null(strstr(value_of(a.head, "Set-Cookie: waymark_login=", "\r\n"), "; Secure"));
    consents(sim, ATHLETE, NULL);
    a = get(&who, to_strava(&who, sim, "/auth/strava?moved=1"));
    http_is(a, 303);
    assert_non_null(strstr(value_of(a.head, "Set-Cookie: waymark_visitor=", "\r\n"), "; Secure"));
    it_serve_stop(p);
}

/* Cookies belong to a host: one begins where one will come back to. */
static void beginning_elsewhere(void **state)
{
    (void)state;
    struct sim *sim = sim_start(IT_LIST("--callback-domain", "trails.example.org"));
    struct it_db *db = it_db_new();
    struct it_proc *p =
        it_serve(db, env_of(sim, "WAYMARK_HTTP_PUBLIC_URL=https://trails.example.org"));
    struct person who = someone(p);
    struct http_answer a = get(&who, "/auth/strava");
    http_is(a, 303);
    assert_string_equal(http_field(&a, "Location"),
                        "https://trails.example.org/auth/strava?moved=1");
    assert_null(who.way);
    a = get(&who, "/auth/strava?again=1");
    assert_string_equal(http_field(&a, "Location"),
                        "https://trails.example.org/auth/strava?moved=1&again=1");
    /* A proxy that changes Host must not send people in a circle. */
    a = get(&who, "/auth/strava?moved=1&again=1");
    http_is(a, 303);
    assert_non_null(strstr(http_field(&a, "Location"), "approval_prompt=force"));
    assert_non_null(who.way);
    a = get(&who, "/");
    http_has(a, "Whoever runs <a href=\"https://trails.example.org\">trails.example.org</a>");
    it_serve_stop(p);
}

static void beginning_too_often(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, "WAYMARK_HTTP_TRUSTED_PROXIES=127.0.0.1"));
    struct person who = someone(p), other = someone(p);
    who.fields = "X-Forwarded-For: 192.0.2.7\r\n";
    other.fields = "X-Forwarded-For: 192.0.2.8\r\n";
    for (int i = 0; i < 30; i++)
        http_is(get(&who, "/auth/strava"), 303);
    struct http_answer a = get(&who, "/auth/strava");
    http_is(a, 429);
    assert_string_equal(http_field(&a, "Retry-After"), "600");
    http_is(get(&other, "/auth/strava"), 303);
    it_serve_stop(p);
}

static void saying_no(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    sim_do(sim, "consent", "{\"athlete\":%d,\"deny\":true}", ATHLETE);
    struct http_answer a = get(&who, to_strava(&who, sim, "/auth/strava"));
    http_is(a, 200);
    http_has(a, "Nothing was stored");
    http_has(a, "/auth/strava?again=1");
    assert_null(who.visitor);
    it_holds(db, "NOT EXISTS (SELECT FROM athletes)");
    it_serve_stop(p);
}

static void granting_less(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    /* No activities: nothing would ever come. */
    consents(sim, ATHLETE, "read");
    struct http_answer a = get(&who, to_strava(&who, sim, "/auth/strava"));
    http_is(a, 200);
    http_has(a, "did not allow this server to see your activities");
    assert_null(who.visitor);
    it_holds(db, "NOT EXISTS (SELECT FROM athletes)");
    /* Asked again, whatever was granted before. */
    a = get(&who, "/auth/strava?again=1");
    assert_non_null(strstr(http_field(&a, "Location"), "approval_prompt=force"));
    /* Not all activities: that is told. */
    consents(sim, ATHLETE, "read,activity:read");
    a = get(&who, to_strava(&who, sim, "/auth/strava?again=1"));
    http_is(a, 303);
    a = get(&who, "/");
    http_has(a, "Activities that only you can see");
    http_has(a, "/auth/strava?again=1");
    /* And now all. */
    consents(sim, ATHLETE, NULL);
    http_is(get(&who, to_strava(&who, sim, "/auth/strava?again=1")), 303);
    http_lacks(get(&who, "/"), "Activities that only you can see");
    it_holds(db, "(SELECT count(*) = 1 FROM web.visitor)");
    it_serve_stop(p);
}

static void other_ways_back(void **state)
{
    (void)state;
    struct sim *sim = two_athletes();
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p), thief = someone(p), nobody = someone(p);
    consents(sim, ATHLETE, NULL);
    const char *back = to_strava(&who, sim, "/auth/strava");
    struct person copy = who; /* holds the cookie of the way still */
    /* In another browser, with a way of its own or with none. */
    (void)get(&thief, "/auth/strava");
    http_is(get(&thief, back), 400);
    http_is(get(&nobody, back), 400);
    assert_null(thief.visitor);
    assert_null(nobody.visitor);
    /* Changed, cut, doubled. */
    const char *state_text = value_of(back, "state=", "&");
    assert_int_equal(strlen(state_text), 112);
    const char *at = strstr(back, "state=");
    char *changed = it_keep(strdup(back));
    changed[at - back + 6 + 20] ^= 1;
    struct person one = who;
    http_is(get(&one, changed), 400);
    one = who;
    http_is(get(&one, it_format("%s&state=%s", back, state_text)), 400);
    one = who;
    http_is(get(&one, it_format("/auth/strava/callback?code=x&scope=activity:read")), 400);
    one = who;
    http_is(get(&one, "/auth/strava/callback"), 400);
    it_holds(db, "NOT EXISTS (SELECT FROM athletes)");
    /* The way itself is still open, and then is not. */
    http_is(get(&who, back), 303);
    struct http_answer a = get(&copy, back);
    http_is(a, 400);
    http_has(a, "gone before");
    assert_null(copy.visitor);
    it_holds(db, "(SELECT count(*) = 1 FROM web.visitor)");
    it_serve_stop(p);
}

static void strava_refuses(void **state)
{
    (void)state;
    struct sim *sim = two_athletes();
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    consents(sim, ATHLETE, NULL);
    sim_do(sim, "fault",
           "{\"match\":{\"path\":\"/oauth/token\"},\"action\":{\"type\":\"status\",\"status\":503,"
           "\"body\":\"html\"}}");
    http_is(get(&who, to_strava(&who, sim, "/auth/strava")), 503);
    sim_do(sim, "fault/clear", "{}");
    /* A code that Strava never gave. */
    const char *back = to_strava(&who, sim, "/auth/strava");
    const char *code = value_of(back, "code=", "&");
    char *other = it_keep(strdup(back));
    memset(strstr(other, code), 'a', strlen(code));
    http_is(get(&who, other), 400);
    assert_null(who.visitor);
    it_holds(db, "NOT EXISTS (SELECT FROM athletes)");
    log_in(&who, sim, ATHLETE, NULL);
    it_serve_stop(p);
}

static void not_set_up(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0"));
    struct person who = someone(p);
    struct http_answer a = get(&who, "/");
    http_is(a, 200);
    http_has(a, "strava.client_id");
    http_lacks(a, "Connect with Strava");
    http_is(get(&who, "/auth/strava"), 404);
    http_is(get(&who, "/auth/strava/callback?code=a&scope=activity:read&state=b"), 404);
    it_serve_stop(p);

    /* Nobody may tell us by the Host field where Strava is to send people. */
    struct sim *sim = sim_start(NULL);
    p = it_serve(db, env_of(sim, NULL));
    int fd = http_connect(http_address(p, "http"));
    http_send(fd, "GET /auth/strava HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    const char *text = http_until(fd, "</html>", SOON_MS);
    assert_non_null(strstr(text, " 503 "));
    assert_non_null(strstr(text, "http.public_url"));
    assert_null(strstr(text, "evil.example"));
    it_serve_stop(p);
    enum { CONFIGURATION = 78 };
    static const char *const wrong[] = {
        "WAYMARK_HTTP_PUBLIC_URL=trails.example.org",
        "STRAVA_CALLBACK_URL=https://trails.example.org/auth/strava/callback",
        "STRAVA_CALLBACK_URL=https://trails.example.org/export"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        it_must(db, env_of(sim, wrong[i]), IT_LIST("serve"), CONFIGURATION);
}

/* ---- who sees what --------------------------------------------------------------------------- */

static void nobody_sees_anothers(void **state)
{
    (void)state;
    struct sim *sim = two_athletes();
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person one = someone(p), two = someone(p), nobody = someone(p);
    log_in(&one, sim, ATHLETE, NULL);
    log_in(&two, sim, OTHER, NULL);
    assert_string_not_equal(one.visitor, two.visitor);
    add_walk(db, 71001, ATHLETE, 0.1, 0.4, "A walk <of> mine");
    it_exec(db, "NOTIFY processing");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM route_stats WHERE athlete_id = 9001 AND "
                              "covered_length > 0)") >= 0);
    struct http_answer a = get(&one, "/");
    http_is(a, 200);
    http_has(a, "The Wavy Way");
    http_has(a, "A walk &lt;of&gt; mine");
    http_lacks(a, "<of>");
    http_has(a, "https://www.strava.com/activities/71001");
    http_has(a, "View on Strava");
    http_has(a, "<svg class=\"way\"");
    http_has(a, "longest gap");
    a = get(&two, "/");
    http_is(a, 200);
    http_lacks(a, "The Wavy Way");
    http_lacks(a, "A walk");
    http_lacks(a, it_text(db, "SELECT name FROM strava.account WHERE athlete_id = %d", ATHLETE));
    a = get(&nobody, "/");
    http_lacks(a, "The Wavy Way");
    http_lacks(a, "A walk");
    /* A made-up token is nobody's, and one that is not well written too. */
    nobody.visitor = it_format("%064d", 0);
    http_has(get(&nobody, "/"), "Connect with Strava");
    nobody.visitor = "'; DROP TABLE athletes; --";
    http_has(get(&nobody, "/"), "Connect with Strava");
    it_serve_stop(p);
}

static void a_history_arrives(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM strava.sync WHERE state = "
                              "'done')") >= 0);
    int64_t n = sim_i64(sim_truth(sim, ATHLETE, NULL), "count");
    assert_true(n > 0);
    struct http_answer a = get(&who, "/");
    http_has(a, it_format("%lld activities are here.", (long long)n));
    http_has(a, "Compared with Strava ");
    http_has(a,
             it_format("https://www.strava.com/activities/%s",
                       it_text(db, "SELECT id FROM activities ORDER BY start_date DESC LIMIT 1")));
    it_serve_stop(p);
}

static void a_new_login_is_asked_for(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    /* Calls that go well would say that all is well. */
    assert_true(
        it_eventually(db, SOON_MS,
                      "SELECT EXISTS (SELECT FROM strava.sync WHERE state = 'done') AND NOT "
                      "EXISTS (SELECT FROM q.job WHERE queue = 'strava')") >= 0);
    it_exec(db, "UPDATE strava.account SET state = 'reauth', reason = 'it was <revoked>'");
    struct http_answer a = get(&who, "/");
    http_has(a, "it was &lt;revoked&gt;");
    http_has(a, "/auth/strava?again=1");
    consents(sim, ATHLETE, NULL);
    http_is(get(&who, to_strava(&who, sim, "/auth/strava?again=1")), 303);
    http_lacks(get(&who, "/"), "revoked");
    it_serve_stop(p);
}

static void logging_out(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    const char *held = who.visitor, *token = form_token(&who);
    http_is(ask(&who, "POST", "/auth/logout", "csrf=00"), 403);
    who.fields = "Sec-Fetch-Site: cross-site\r\n";
    http_is(ask(&who, "POST", "/auth/logout", it_format("csrf=%s", token)), 403);
    who.fields = NULL;
    assert_non_null(who.visitor);
    http_is(ask(&who, "POST", "/auth/logout", it_format("csrf=%s", token)), 303);
    assert_null(who.visitor);
    it_holds(db, "NOT EXISTS (SELECT FROM web.visitor)");
    who.visitor = held;
    http_has(get(&who, "/"), "Connect with Strava");
    it_serve_stop(p);
}

/* ---- everything, to take along --------------------------------------------------------------- */

/* A chunked answer, which must be whole. */
static struct http_answer joined(struct http_answer a)
{
    char *out = it_keep(calloc(1, a.n + 1));
    const char *p = a.body, *end = a.body + a.n;
    size_t n = 0;
    assert_non_null(http_field(&a, "Transfer-Encoding"));
    for (;;) {
        char *rest;
        size_t size = strtoul(p, &rest, 16);
        assert_true(rest > p && rest + 2 + size + 2 <= end);
        p = rest + 2;
        if (size == 0)
            break;
        memcpy(out + n, p, size);
        n += size;
        p += size + 2;
    }
    a.body = out;
    a.n = n;
    return a;
}

static void taking_everything_along(void **state)
{
    (void)state;
    enum { MANY = 300 };
    struct sim *sim = sim_start(IT_LIST("--athletes", "2", "--preset", "none"));
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p), other = someone(p), nobody = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    log_in(&other, sim, OTHER, NULL);
    it_exec(db, "SELECT it.walk(500000 + n, %d, 0.1, 0.3) FROM generate_series(1, %d) n", ATHLETE,
            MANY);
    add_walk(db, 72001, OTHER, 0.2, 0.5, "theirs");
    it_exec(db, "UPDATE activities SET name = E'a \"name\" of \\u00e9\\\\\\n' WHERE id = 500001");
    struct http_answer a = joined(get(&who, "/export"));
    http_is(a, 200);
    assert_string_equal(http_field(&a, "Content-Type"), "application/geo+json");
    assert_non_null(strstr(http_field(&a, "Content-Disposition"), "attachment"));
    http_lacks(a, "theirs");
    json_t *all = sim_json(a);
    assert_int_equal(json_array_size(sim_at(all, "features")), MANY);
    assert_string_equal(sim_str(all, "features.0.geometry.type"), "MultiLineString");
    const char *const secret[] = {
        it_text(db, "SELECT access_token FROM access_tokens WHERE athlete_id = %d", ATHLETE),
        it_text(db, "SELECT refresh_token FROM refresh_tokens WHERE athlete_id = %d", ATHLETE),
        who.visitor};
    for (size_t i = 0; i < sizeof(secret) / sizeof(*secret); i++)
        http_lacks(a, secret[i]);
    a = joined(get(&other, "/export"));
    http_is(a, 200);
    assert_int_equal(json_array_size(sim_at(sim_json(a), "features")), 1);
    http_is(get(&nobody, "/export"), 303);
    nobody.visitor = it_format("%064d", 0);
    http_is(get(&nobody, "/export"), 303);
    /* One who reads no further. */
    int fd = http_connect(who.address);
    http_send(fd, it_format("GET /export HTTP/1.1\r\nHost: localhost\r\nCookie: "
                            "waymark_visitor=%s\r\n\r\n",
                            who.visitor));
    (void)http_until(fd, "features", SOON_MS);
    close(fd);
    http_is(get(&who, "/"), 200);
    it_serve_stop(p);
}

/* Somebody holds a lock: people are told, and nothing waits for ever. */
static void a_hung_database(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    const char *token = form_token(&who), *held = who.visitor;
    it_exec(db, "BEGIN");
    it_exec(db, "LOCK TABLE web.visitor, web.login_used");
    /* At once, since each waits. */
    const char *back = to_strava(&who, sim, "/auth/strava");
    const char *form = it_format("csrf=%s&sure=yes", token);
    const char *const request[] = {
        "GET / HTTP/1.1\r\n", "GET /export HTTP/1.1\r\n", it_format("GET %s HTTP/1.1\r\n", back),
        it_format("POST /auth/disconnect HTTP/1.1\r\nContent-Length: %zu\r\n"
                  "Content-Type: application/x-www-form-urlencoded\r\n",
                  strlen(form))};
    enum { REQUESTS = sizeof(request) / sizeof(*request) };
    int fd[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        fd[i] = http_connect(who.address);
        http_send(fd[i], it_format("%sHost: %s\r\nConnection: close\r\nCookie: waymark_visitor=%s;"
                                   " waymark_login=%s\r\n\r\n%s",
                                   request[i], who.address, who.visitor, who.way,
                                   i == REQUESTS - 1 ? form : ""));
    }
    for (int i = 0; i < REQUESTS; i++) {
        const char *answer = http_until(fd[i], "</html>", SOON_MS);
        if (!strstr(answer, " 503 ") || !strstr(answer, "does not answer in time"))
            fail_msg("%s%s", request[i], answer);
        close(fd[i]);
    }
    it_exec(db, "COMMIT");
    assert_string_equal(who.visitor, held);
    assert_true(is_granted(sim, ATHLETE));
    http_has(get(&who, "/"), "Powered by Strava");
    it_serve_stop(p);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void leave(struct person *who, const char *says)
{
    const char *token = form_token(who);
    struct http_answer a =
        ask(who, "POST", "/auth/disconnect", it_format("csrf=%s&sure=yes", token));
    http_is(a, 200);
    http_has(a, "Everything is erased");
    http_has(a, says);
    assert_null(who->visitor);
}

static void leaving(void **state)
{
    (void)state;
    struct sim *sim = two_athletes();
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p), other = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    log_in(&other, sim, OTHER, NULL);
    struct person second = someone(p); /* another window's session */
    log_in(&second, sim, ATHLETE, NULL);
    add_walk(db, 71001, ATHLETE, 0.1, 0.4, "mine");
    add_walk(db, 72001, OTHER, 0.2, 0.5, "theirs");
    it_exec(db, "NOTIFY processing");
    assert_true(it_eventually(db, SOON_MS, "SELECT count(*) = 2 FROM route_stats") >= 0);

    /* Not by a link, a form of somebody else, or a single press. */
    struct http_answer a = get(&who, "/auth/disconnect");
    http_is(a, 200);
    http_has(a, "Erase everything");
    const char *token = form_token(&who);
    http_is(ask(&who, "POST", "/auth/disconnect", "sure=yes"), 403);
    http_is(
        ask(&who, "POST", "/auth/disconnect", it_format("sure=yes&csrf=%s", form_token(&other))),
        403);
    a = ask(&who, "POST", "/auth/disconnect", it_format("csrf=%s", token));
    http_is(a, 200);
    http_has(a, "Erase everything");
    it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = %d)", ATHLETE);
    assert_true(is_granted(sim, ATHLETE));

    leave(&who, "no longer lets this server ask");
    assert_false(is_granted(sim, ATHLETE));
    assert_true(is_granted(sim, OTHER));
    http_has(get(&second, "/"), "Connect with Strava");
    static const char *const table[] = {"athletes WHERE id",
                                        "activities WHERE athlete_id",
                                        "access_tokens WHERE athlete_id",
                                        "refresh_tokens WHERE athlete_id",
                                        "route_stats WHERE athlete_id",
                                        "route_sections WHERE athlete_id",
                                        "strava.account WHERE athlete_id",
                                        "strava.sync WHERE athlete_id",
                                        "strava.activity WHERE athlete_id",
                                        "web.visitor WHERE athlete_id"};
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        it_holds(db, "NOT EXISTS (SELECT FROM %s = %d)", table[i], ATHLETE);
    it_holds(db, "EXISTS (SELECT FROM activities WHERE athlete_id = %d)", OTHER);
    http_has(get(&other, "/"), "theirs");
    /* And may come again. */
    log_in(&who, sim, ATHLETE, NULL);
    http_lacks(get(&who, "/"), "The Wavy Way");
    it_serve_stop(p);
}

static void leaving_while_strava_is_away(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    sim_do(sim, "fault",
           "{\"match\":{\"path\":\"/oauth/*\"},\"action\":{\"type\":\"drop\",\"at\":\"before\"}}");
    leave(&who, "Strava could not be told");
    it_holds(db, "NOT EXISTS (SELECT FROM athletes)");
    it_holds(db, "NOT EXISTS (SELECT FROM refresh_tokens)");
    it_holds(db, "NOT EXISTS (SELECT FROM web.visitor)");
    it_serve_stop(p);
}

/* The service ends when Strava has been told and nothing is erased yet: the rest is done after. */
static void leaving_in_a_crash(void **state)
{
    (void)state;
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, env_of(sim, NULL));
    struct person who = someone(p);
    log_in(&who, sim, ATHLETE, NULL);
    const char *token = form_token(&who);
    it_exec(db, "BEGIN; SELECT FROM athletes FOR KEY SHARE");
    const char *form = it_format("csrf=%s&sure=yes", token);
    int fd = http_connect(who.address);
    http_send(fd, it_format("POST /auth/disconnect HTTP/1.1\r\nHost: %s\r\nCookie: "
                            "waymark_visitor=%s\r\nContent-Type: "
                            "application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
                            who.address, who.visitor, strlen(form), form));
    for (int64_t until = it_now_ms() + SOON_MS; is_granted(sim, ATHLETE); it_pause_ms(20))
        assert_true(it_now_ms() < until);
    it_signal(p, SIGKILL);
    (void)it_wait(p, SOON_MS);
    (void)close(fd);
    /* What was sent would still be done: the server ends, too. */
    it_exec(db, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
                "current_database() AND pid <> pg_backend_pid(); COMMIT");
    it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = %d)", ATHLETE);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE ukey = 'check:%d')", ATHLETE);
    it_exec(db, "UPDATE q.job SET run_at = now() WHERE kind = 'strava.check'");
    p = it_serve(db, env_of(sim, NULL));
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM athletes)") >= 0);
    it_wait_for(p, "everything of an athlete was erased", SOON_MS);
    it_serve_stop(p);
    it_holds(db, "(SELECT sum(n) FROM waymark_count_athlete(%d)) = 0", ATHLETE);
}

/* Scenario F, as people see it: Strava pushes that somebody has withdrawn: once it is not so, and
 * then it is. */
static void withdrawing_at_strava(void **state)
{
    (void)state;
    static const char path[] = "/webhook/0123456789abcdef0123456789abcdef";
    struct sim *sim = sim_start(NULL);
    struct it_db *db = it_db_new();
    const char **env = (const char **)(uintptr_t)env_of(sim, "WAYMARK_STRAVA_SUBSCRIPTION=off");
    env[7] = it_format("STRAVA_CALLBACK_URL=http://localhost:8080%s", path);
    env[8] = "WAYMARK_HTTP_PUBLIC_URL=http://localhost:8080";
    struct it_proc *p = it_serve(db, env);
    struct person who = someone(p);
    sim_do(sim, "settings", "{\"deliver_to\":\"%s\"}", who.address);
    assert_true(it_eventually(db, SOON_MS, "SELECT verify_token IS NOT NULL FROM strava.app") >= 0);
    const char *word = it_text(db, "SELECT verify_token FROM strava.app");
    const char *form = it_format("client_id=1001&client_secret=sim-secret-1001&verify_token=%s&"
                                 "callback_url=http%%3A%%2F%%2Flocalhost%%3A8080%s",
                                 word, path);
    http_is(sim_ask(sim, "POST", "/api/v3/push_subscriptions", NULL, form), 201);
    log_in(&who, sim, ATHLETE, NULL);

    sim_do(sim, "events/send", "{\"kind\":\"forged_deauth\",\"athlete\":%d}", ATHLETE);
    sim_idle(sim);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM q.done WHERE kind = "
                              "'strava.check')") >= 0);
    http_has(get(&who, "/"), "Powered by Strava");
    it_holds(db, "EXISTS (SELECT FROM refresh_tokens WHERE athlete_id = %d)", ATHLETE);

    sim_do(sim, "athlete/9001/revoke", "{}");
    sim_idle(sim);
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM athletes)") >= 0);
    it_holds(db, "NOT EXISTS (SELECT FROM web.visitor)");
    it_holds(db, "NOT EXISTS (SELECT FROM refresh_tokens)");
    http_has(get(&who, "/"), "Connect with Strava");
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_whole_login),
        SIM_TEST(a_login_holds_everywhere),
        SIM_TEST(cookies_are_secure_behind_https),
        SIM_TEST(beginning_elsewhere),
        SIM_TEST(beginning_too_often),
        SIM_TEST(saying_no),
        SIM_TEST(granting_less),
        SIM_TEST(other_ways_back),
        SIM_TEST(strava_refuses),
        SIM_TEST(not_set_up),
        SIM_TEST(nobody_sees_anothers),
        SIM_TEST(a_history_arrives),
        SIM_TEST(a_new_login_is_asked_for),
        SIM_TEST(logging_out),
        SIM_TEST(taking_everything_along),
        SIM_TEST(a_hung_database),
        SIM_TEST(leaving),
        SIM_TEST(leaving_while_strava_is_away),
        SIM_TEST(leaving_in_a_crash),
        SIM_TEST(withdrawing_at_strava),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
