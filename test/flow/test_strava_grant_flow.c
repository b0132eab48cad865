/* The consent page's address, and what a login becomes. */
#include "flow/strava_rig.h"

#define GRANT "strava_athlete " LOCK " strava_grant strava_token_good"
#define ATHLETE_JSON(id, names)                                                                    \
    "{\"token_type\":\"Bearer\",\"expires_at\":1,\"expires_in\":21600,\"refresh_token\":\"" NEW    \
    "\",\"access_token\":\"" FRESH "\",\"athlete\":{\"id\":" id ",\"username\":null" names "}}"
#define ANNA ATHLETE_JSON("42", ",\"firstname\":\" Anna \",\"lastname\":\"M\\u00fcller\\u0000\"")

struct login {
    struct strava_rig g;
    struct strava_grant grant;
};

static void open_login(struct login *k, const char *keys)
{
    *k = (struct login){.grant = {.code = "the-code", .scope = "read,activity:read_all"}};
    strava_rig_open(&k->g, keys);
    k->grant.a = k->g.r.arena;
}

static struct script_request *expect_exchange(void)
{
    struct script_request *x = expect_token("authorization_code");
    fetch_script_form(x, "code", "the-code");
    fetch_script_reply(x, 200, ANNA);
    return x;
}

static void log_in(struct login *k)
{
    run_flow(&k->g, strava_exchange_flow(k->g.s, &k->grant));
}

static struct script_unit *expect_grant(const char *name, const char *scopes)
{
    struct script_unit *x = script_expect(RIG_WORK, GRANT);
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "42");
    script_param(x, 1, 1, "42");
    script_param(x, 2, 1, "42");
    script_param(x, 2, 2, name);
    script_param(x, 2, 3, scopes);
    script_param(x, 3, 1, "42");
    script_param(x, 3, 2, "NULL");
    return x;
}

static void test_the_consent_page(void **state)
{
    (void)state;
    struct strava_rig g;
    struct buf url = {0};
    strava_rig_open(&g, NULL);
    strava_authorize_url(g.s, "https://w.test/auth/back?x=\xc3\xa4&y", "s t+/=", false, &url);
    assert_string_equal(
        url.p, OAUTH "/oauth/authorize?client_id=1001&redirect_uri=https%3A%2F%2Fw.test%2Fauth"
                     "%2Fback%3Fx%3D%C3%A4%26y&response_type=code&approval_prompt=auto&scope=read"
                     "%2Cactivity%3Aread&state=s%20t%2B%2F%3D");
    size_t n = url.n;
    strava_authorize_url(g.s, "https://w.test/", "", true, &url); /* appends */
    assert_non_null(strstr(url.p + n, "&approval_prompt=force&"));
    assert_string_equal(url.p + url.n - 7, "&state=");
    assert_ptr_equal(strava_fetch_of(g.s), g.fetch);
    assert_string_equal(strava_conf_of(g.s)->client_id, "1001");
    buf_done(&url);
    strava_rig_close(&g);
    assert_null(strava_free(NULL));
}

static void test_a_login(void **state)
{
    (void)state;
    struct login k;
    open_login(&k, NULL);
    expect_exchange();
    struct script_unit *x = expect_grant("Anna M\xc3\xbcller", "{read,activity:read_all}");
    script_param(x, 2, 4, NEW);
    script_param(x, 2, 5, FRESH);
    script_param(x, 2, 6, "21600");
    log_in(&k);
    assert_false(k.g.op.failed);
    assert_int_equal(k.grant.athlete_id, 42);
    assert_string_equal(k.grant.name, "Anna M\xc3\xbcller");
    strava_rig_close(&k.g);
}

static void check_sealed(const char *value)
{
    assert_int_equal(strncmp(value, "wm1:", 4), 0);
    assert_null(strstr(value, NEW));
}

static void test_a_login_with_keys(void **state)
{
    (void)state;
    struct login k;
    open_login(&k, KEY_A);
    expect_exchange();
    struct script_unit *x = expect_grant("Anna M\xc3\xbcller", "{read,activity:read_all}");
    script_param_is(x, 2, 4, check_sealed);
    script_param_is(x, 2, 5, check_sealed);
    log_in(&k);
    assert_false(k.g.op.failed);
    strava_rig_close(&k.g);
}

static void test_names_and_scopes(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *name, *scope, *scopes;
    } row[] = {
        {ATHLETE_JSON("42", ""), "NULL", NULL, "NULL"},
        {ATHLETE_JSON("42", ",\"firstname\":\"\",\"lastname\":null"), "NULL", "", "NULL"},
        {ATHLETE_JSON("42", ",\"firstname\":\"A\""), "A", "read", "{read}"},
        {ATHLETE_JSON("42", ",\"lastname\":\"B\",\"firstname\":5"), "B", " ,read, activity:read,,",
         "{read,activity:read}"},
        {ATHLETE_JSON("42", ""), "NULL",
         "0123456789012345678901234567890123456789012345678901234567890,x", "{x}"},
        {ATHLETE_JSON("42", ""), "NULL", "a b c d e f g h i j k l m n o p q r s t u v",
         "{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t}"},
        {ATHLETE_JSON("42", ""), "NULL", "\xff,read", "{read}"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct login k;
        open_login(&k, NULL);
        k.grant.scope = row[i].scope;
        fetch_script_reply(expect_exchange(), 200, row[i].answer);
        expect_grant(row[i].name, row[i].scopes);
        log_in(&k);
        assert_false(k.g.op.failed);
        strava_rig_close(&k.g);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err_domain domain;
        enum err_class class;
        const char *says;
    } row[] = {
        {400, FAULT("AuthorizationCode", "code", "invalid"), ERR_HTTP, ERR_PERMANENT,
         "log in again"},
        {400, FAULT("RequestToken", "code", "invalid"), ERR_HTTP, ERR_PERMANENT, "log in again"},
        {403, FAULT("Application", "athlete limit", "exceeded"), ERR_HTTP, ERR_PERMANENT,
         "settings/api"},
        {401, FAULT("Application", "", "invalid"), ERR_CONF, ERR_PERMANENT, "strava.client_secret"},
        {400, FAULT("Application", "client_id", "invalid"), ERR_CONF, ERR_PERMANENT,
         "strava.client_id"},
        {500, "{\"message\":\"error\"}", ERR_HTTP, ERR_RETRY, "error"},
        {503, "<html>", ERR_HTTP, ERR_RETRY, "503"},
        {403, "<html>", ERR_HTTP, ERR_RETRY, "403"},
        {429, "", ERR_HTTP, ERR_RETRY, "429"},
        {302, "", ERR_HTTP, ERR_RETRY, "302"},
        {200, "<html>", ERR_DATA, ERR_RETRY, "not what it should be"},
        {200, "", ERR_DATA, ERR_RETRY, "not what it should be"},
        {200, PAIR, ERR_DATA, ERR_RETRY, "not what it should be"},
        {200, ATHLETE_JSON("\"42\"", ""), ERR_DATA, ERR_RETRY, "not what it should be"},
        {200, ATHLETE_JSON("-42", ""), ERR_DATA, ERR_RETRY, "not what it should be"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct login k;
        open_login(&k, NULL);
        fetch_script_reply(expect_exchange(), row[i].status, row[i].body);
        log_in(&k);
        assert_true(k.g.op.failed);
        if (k.g.op.err.domain != row[i].domain || k.g.op.err.class != row[i].class ||
            !strstr(k.g.op.err.msg, row[i].says)) {
            fail_msg("%d %s: %s", row[i].status, row[i].body, k.g.op.err.msg);
        }
        strava_rig_close(&k.g);
    }
}

static void test_no_answer(void **state)
{
    (void)state;
    for (int never = 0; never < 2; never++) {
        struct login k;
        open_login(&k, NULL);
        struct script_request *x =
            expect_exchange(); /* a code is good once: it is not sent again */
        if (never) {
            fetch_script_never(x);
        } else {
            fetch_script_fails(x, FETCH_BROKEN);
        }
        log_in(&k);
        assert_true(k.g.op.failed);
        assert_int_equal(k.g.op.err.class, ERR_RETRY);
        strava_rig_close(&k.g);
    }
}

/* The code is spent: what it gave is kept until the database takes it. */
static void test_the_database_is_busy(void **state)
{
    (void)state;
    struct login k;
    open_login(&k, NULL);
    expect_exchange();
    script_fails(script_expect(RIG_WORK, GRANT), "40P01", "deadlock detected");
    script_fails(script_expect(RIG_WORK, GRANT), "23503", "no such athlete");
    script_silent(script_expect(RIG_WORK, GRANT));
    expect_grant("Anna M\xc3\xbcller", "{read,activity:read_all}");
    log_in(&k);
    assert_false(k.g.op.failed);
    assert_int_equal(k.g.r.now_ms, 1500 + STRAVA__DB_MS);
    strava_rig_close(&k.g);

    open_login(&k, NULL);
    expect_exchange();
    script_fails(script_always(RIG_WORK, GRANT), "08006", "gone");
    log_in(&k);
    assert_true(k.g.op.failed);
    assert_int_equal(k.g.op.err.class, ERR_RETRY);
    strava_rig_close(&k.g);

    open_login(&k, NULL);
    expect_exchange();
    script_fails(script_expect(RIG_WORK, GRANT), "42P01", "no such table");
    log_in(&k);
    assert_true(k.g.op.failed);
    assert_int_equal(k.g.op.err.class, ERR_BUG);
    strava_rig_close(&k.g);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct login k;
    open_login(&k, NULL);
    struct script_request *x = expect_exchange();
    fetch_script_never(x);
    cancel_at(&k.g, strava_exchange_flow(k.g.s, &k.grant), NULL, x);
    strava_rig_close(&k.g);

    open_login(&k, NULL);
    expect_exchange();
    struct script_unit *u = script_expect(RIG_WORK, GRANT);
    script_silent(u);
    cancel_at(&k.g, strava_exchange_flow(k.g.s, &k.grant), u, NULL);
    strava_rig_close(&k.g);

    open_login(&k, NULL); /* while it waits for the database */
    expect_exchange();
    u = script_expect(RIG_WORK, GRANT);
    script_fails(u, "40P01", "deadlock detected");
    flow_call(strava_exchange_flow(k.g.s, &k.grant), &k.g.op);
    rig_until_asked(&k.g.r, u);
    rig_wait(&k.g.r, 50);
    op_cancel(&k.g.op);
    rig_op(&k.g.r, &k.g.op);
    assert_failed(&k.g, ERR_UV, ERR_RETRY, UV_ECANCELED);
    strava_rig_close(&k.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_consent_page),     cmocka_unit_test(test_a_login),
        cmocka_unit_test(test_a_login_with_keys),    cmocka_unit_test(test_names_and_scopes),
        cmocka_unit_test(test_what_is_refused),      cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_the_database_is_busy), cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
