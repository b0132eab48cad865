/* OAuth of the simulator: consent, exchange, refresh, revocation. */
#include "sim/common.h"

static const char asking[] = "/oauth/authorize?client_id=1001&response_type=code&redirect_uri="
                             "http%3A%2F%2Flocalhost%3A1%2Fback&state=a%26b";

static struct sim *start(void)
{
    return sim_start(IT_LIST(NOON, "--preset", "tiny"));
}

static struct http_answer ask(struct sim *s, const char *more)
{
    return sim_ask(s, "GET", it_format("%s%s", asking, more), NULL, NULL);
}

static void consent_refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *query, *resource, *field;
    } wrong[] = {
        {"client_id=7&response_type=code&redirect_uri=http://localhost/&scope=read", "Application",
         "client_id"},
        {"response_type=code&redirect_uri=http://localhost/&scope=read", "Application",
         "client_id"},
        {"client_id=1001&response_type=code&redirect_uri=http://evil.example/&scope=read",
         "Application", "redirect_uri"},
        {"client_id=1001&response_type=code&redirect_uri=http://localhost.evil.example/&scope=read",
         "Application", "redirect_uri"},
        {"client_id=1001&response_type=code&scope=read", "Application", "redirect_uri"},
        {"client_id=1001&response_type=token&redirect_uri=http://localhost/&scope=read",
         "Authorize", "response_type"},
        {"client_id=1001&response_type=code&redirect_uri=http://localhost/&scope=activity:all",
         "Authorize", "scope"},
        {"client_id=1001&response_type=code&redirect_uri=http://localhost/", "Authorize", "scope"},
    };
    struct sim *s = start();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct http_answer a = sim_ask(
            s, "GET", it_format("/oauth/authorize?%s&sim_auto=9001", wrong[i].query), NULL, NULL);
        expect_fault(a, 400, wrong[i].resource, wrong[i].field, "invalid");
    }
}

static void the_page_lets_one_choose(void **state)
{
    (void)state;
    struct sim *s = start();
    struct http_answer a = ask(s, "&scope=read,activity:read_all%20activity:read");
    http_is(a, 200);
    http_has(a, "value=\"activity:read_all\" checked");
    http_has(a, "<option value=\"9001\">");
    http_has(a, "value=\"a&#38;b\"");
    /* What the browser sends when one box was unticked. */
    const char *form =
        "client_id=1001&response_type=code&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F"
        "back&state=s&scope=read%2Cactivity%3Aread_all%2Cactivity%3Aread&sim_auto=9001&"
        "sim_tick=activity%3Aread";
    a = post_form(s, "/oauth/authorize", form);
    http_is(a, 302);
    const char *to = http_field(&a, "Location");
    assert_non_null(strstr(to, "http://localhost:1/back?state=s&code="));
    assert_non_null(strstr(to, "&scope=read,activity:read"));
    assert_null(strstr(to, "read_all"));
    a = post_form(s, "/oauth/authorize", it_format("%s&sim_deny=1", form));
    http_is(a, 302);
    assert_string_equal(http_field(&a, "Location"),
                        "http://localhost:1/back?state=s&error=access_denied");
}

static const char *code_in(struct http_answer a)
{
    http_is(a, 302);
    const char *to = http_field(&a, "Location"), *code = strstr(to, "code=");
    if (code == NULL)
        fail_msg("no code in %s", to);
    return it_format("%.40s", code + 5);
}

static struct http_answer exchange(struct sim *s, const char *code)
{
    return post_form(s, "/oauth/token",
                     it_format(APP "&grant_type=authorization_code&code=%s", code));
}

static struct http_answer refresh(struct sim *s, const char *token)
{
    return post_form(s, "/oauth/token",
                     it_format(APP "&grant_type=refresh_token&refresh_token=%s", token));
}

static void a_code_is_good_once(void **state)
{
    (void)state;
    struct sim *s = start();
    struct http_answer a = ask(s, "&scope=activity:read_all&sim_auto=9001");
    assert_non_null(
        strstr(http_field(&a, "Location"), "http://localhost:1/back?state=a%26b&code="));
    assert_non_null(strstr(http_field(&a, "Location"), "&scope=read,activity:read_all"));
    const char *code = code_in(a);
    a = exchange(s, code);
    http_is(a, 200);
    assert_null(http_field(&a, "X-Ratelimit-Limit"));
    json_t *json = sim_json(a);
    assert_string_equal(sim_str(json, "token_type"), "Bearer");
    assert_int_equal(sim_i64(json, "expires_at") - sim_i64(sim_get(s, "clock"), "epoch"), 21600);
    assert_in_range(sim_i64(json, "expires_in"), 21590, 21600);
    assert_int_equal(strlen(sim_str(json, "access_token")), 40);
    assert_int_equal(strlen(sim_str(json, "refresh_token")), 40);
    assert_int_equal(sim_i64(json, "athlete.id"), 9001);
    assert_int_equal(sim_i64(json, "athlete.resource_state"), 2);
    http_is(sim_call(s, sim_str(json, "access_token"), "/api/v3/athlete"), 200);
    expect_fault(exchange(s, code), 400, "AuthorizationCode", "code", "invalid");
    code = code_in(ask(s, "&scope=read&sim_auto=9001"));
    sim_advance(s, 601);
    expect_fault(exchange(s, code), 400, "AuthorizationCode", "code", "invalid");
    expect_fault(exchange(s, "nonsense"), 400, "AuthorizationCode", "code", "invalid");
}

static void the_token_endpoint_knows_its_clients(void **state)
{
    (void)state;
    struct sim *s = start();
    static const struct {
        const char *form;
        int status;
        const char *resource, *field;
    } wrong[] = {
        {"client_id=7&client_secret=x&grant_type=refresh_token&refresh_token=y", 400, "Application",
         "client_id"},
        {"grant_type=refresh_token&refresh_token=y", 400, "Application", "client_id"},
        {"client_id=1001&client_secret=x&grant_type=refresh_token&refresh_token=y", 401,
         "Application", ""},
        {"client_id=1001&grant_type=refresh_token&refresh_token=y", 401, "Application", ""},
        {APP "&grant_type=refresh_token&refresh_token=y", 400, "RefreshToken", "refresh_token"},
        {APP "&grant_type=refresh_token", 400, "RefreshToken", "refresh_token"},
        {APP "&grant_type=authorization_code", 400, "AuthorizationCode", "code"},
        {APP "&grant_type=password", 400, "OAuth", "grant_type"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expect_fault(post_form(s, "/oauth/token", wrong[i].form), wrong[i].status,
                     wrong[i].resource, wrong[i].field, "invalid");
        expect_fault(post_form(s, "/api/v3/oauth/token", wrong[i].form), wrong[i].status,
                     wrong[i].resource, wrong[i].field, "invalid");
    }
    /* Not as JSON, not in the query. */
    struct http_answer a = sim_ask(s, "POST", "/oauth/token", "Content-Type: application/json\r\n",
                                   "{\"client_id\":1001,\"client_secret\":\"sim-secret-1001\","
                                   "\"grant_type\":\"refresh_token\"}");
    expect_fault(a, 400, "Application", "client_id", "invalid");
    a = sim_ask(s, "POST", "/oauth/token?" APP "&grant_type=refresh_token&refresh_token=y", NULL,
                "");
    expect_fault(a, 400, "Application", "client_id", "invalid");
}

static void an_access_token_is_given_again_for_an_hour_less(void **state)
{
    (void)state;
    struct sim *s = start();
    json_t *first = sim_grant(s, 9001, ALL);
    sim_do(s, "clock", "{\"freeze\":true}");
    json_t *second = sim_json(refresh(s, sim_str(first, "refresh_token")));
    assert_string_equal(sim_str(second, "access_token"), sim_str(first, "access_token"));
    assert_string_not_equal(sim_str(second, "refresh_token"), sim_str(first, "refresh_token"));
    assert_null(json_object_get(second, "athlete"));
    /* The replaced one is dead at once. */
    expect_fault(refresh(s, sim_str(first, "refresh_token")), 400, "RefreshToken", "refresh_token",
                 "invalid");
    /* 3601 s left: the same; 3600: another. */
    int64_t left = sim_i64(second, "expires_in");
    sim_do(s, "clock", "{\"advance_s\":%lld}", (long long)(left - 3601));
    json_t *third = sim_json(refresh(s, sim_str(second, "refresh_token")));
    assert_string_equal(sim_str(third, "access_token"), sim_str(first, "access_token"));
    assert_in_range(sim_i64(third, "expires_in"), 3600, 3601);
    sim_do(s, "clock", "{\"advance_s\":2}");
    json_t *fourth = sim_json(refresh(s, sim_str(third, "refresh_token")));
    assert_string_not_equal(sim_str(fourth, "access_token"), sim_str(first, "access_token"));
    assert_int_equal(sim_i64(fourth, "expires_in"), 21600);
    /* The older one is good until it expires. */
    http_is(sim_call(s, sim_str(first, "access_token"), "/athlete"), 200);
    sim_do(s, "clock", "{\"advance_s\":3600}");
    expect_fault(sim_call(s, sim_str(first, "access_token"), "/athlete"), 401, "Athlete",
                 "access_token", "invalid");
    http_is(sim_call(s, sim_str(fourth, "access_token"), "/athlete"), 200);
}

static void rotation_is_a_setting(void **state)
{
    (void)state;
    struct sim *s = start();
    sim_do(s, "settings", "{\"rotation\":\"never\"}");
    json_t *first = sim_grant(s, 9001, ALL);
    json_t *second = sim_json(refresh(s, sim_str(first, "refresh_token")));
    assert_string_equal(sim_str(second, "refresh_token"), sim_str(first, "refresh_token"));
    sim_do(s, "settings", "{\"rotation\":\"on_new_access\",\"old_access\":\"dead\"}");
    json_t *third = sim_json(refresh(s, sim_str(first, "refresh_token")));
    assert_string_equal(sim_str(third, "refresh_token"), sim_str(first, "refresh_token"));
    sim_advance(s, 21600 - 1800);
    json_t *fourth = sim_json(refresh(s, sim_str(first, "refresh_token")));
    assert_string_not_equal(sim_str(fourth, "refresh_token"), sim_str(first, "refresh_token"));
    http_is(sim_call(s, sim_str(first, "access_token"), "/athlete"), 401); /* half an hour early */
    http_is(sim_call(s, sim_str(fourth, "access_token"), "/athlete"), 200);
    assert_int_equal(sim_i64(sim_stats(s), "athletes.9001.refreshes"), 3);
}

static void auto_gives_the_old_grant_again(void **state)
{
    (void)state;
    struct sim *s = start();
    (void)exchange(s, code_in(ask(s, "&scope=activity:read&sim_auto=9001")));
    struct http_answer a = ask(s, "&scope=activity:read,activity:read_all&sim_auto=9001");
    assert_null(strstr(http_field(&a, "Location"), "read_all"));
    a = ask(s, "&scope=activity:read,activity:read_all&sim_auto=9001&approval_prompt=force");
    assert_non_null(strstr(http_field(&a, "Location"), "read_all"));
    /* Reduced on consent, it is the narrower one that counts. */
    a = ask(s, "&scope=activity:read_all&sim_auto=9001&approval_prompt=force&sim_scope=read");
    json_t *json = sim_json(exchange(s, code_in(a)));
    expect_fault(sim_call(s, sim_str(json, "access_token"), "/athlete/activities"), 401,
                 "AccessToken", "activity:read_permission", "missing");
    /* The control may decide for all. */
    sim_do(s, "consent", "{\"athlete\":9001,\"deny\":true}");
    a = ask(s, "&scope=read");
    assert_non_null(strstr(http_field(&a, "Location"), "error=access_denied"));
    sim_do(s, "consent", "{}");
    http_is(ask(s, "&scope=read"), 200);
}

static void capacity_is_checked(void **state)
{
    (void)state;
    struct sim *s = sim_start(IT_LIST(NOON, "--athletes", "3", "--capacity", "1"));
    const char *early = code_in(ask(s, "&scope=read&sim_auto=9002"));
    http_is(exchange(s, code_in(ask(s, "&scope=read&sim_auto=9001"))), 200);
    expect_fault(ask(s, "&scope=read&sim_auto=9003"), 403, "Application", "athlete limit",
                 "exceeded");
    expect_fault(exchange(s, early), 403, "Application", "athlete limit", "exceeded");
    http_is(exchange(s, code_in(ask(s, "&scope=read&sim_auto=9001"))), 200);
}

/* sim-secret-1001 and another. */
#define BASIC_RIGHT "Authorization: Basic MTAwMTpzaW0tc2VjcmV0LTEwMDE=\r\n"
#define BASIC_WRONG "Authorization: Basic MTAwMTp3cm9uZw==\r\n"

static void revocation_kills_both_tokens(void **state)
{
    (void)state;
    struct sim *s = start();
    json_t *json = sim_grant(s, 9001, ALL);
    struct http_answer a = sim_ask(s, "POST", "/oauth/revoke", BASIC_WRONG, "token=x");
    http_is(a, 401);
    http_has(a, "\"message\":\"Authorization Error\",\"errors\":[]");
    http_is(sim_ask(s, "POST", "/oauth/revoke", BASIC_RIGHT, "token_type_hint=access_token"), 400);
    a = sim_ask(s, "POST", "/oauth/revoke", BASIC_RIGHT, "token=unknown");
    http_is(a, 200);
    assert_int_equal(a.n, 0);
    a = sim_ask(s, "POST", "/oauth/revoke", BASIC_RIGHT,
                it_format("token=%s", sim_str(json, "refresh_token")));
    http_is(a, 200);
    assert_int_equal(a.n, 0);
    http_is(sim_call(s, sim_str(json, "access_token"), "/athlete"), 401);
    expect_fault(refresh(s, sim_str(json, "refresh_token")), 400, "RefreshToken", "refresh_token",
                 "invalid");
}

static void deauthorization_kills_both_tokens(void **state)
{
    (void)state;
    struct sim *s = start();
    json_t *json = sim_grant(s, 9001, ALL);
    const char *token = sim_str(json, "access_token");
    struct http_answer a = sim_ask(s, "POST", "/oauth/deauthorize",
                                   it_format("Authorization: Bearer %s\r\n", token), "");
    http_is(a, 200);
    assert_string_equal(sim_str(sim_json(a), "access_token"), token);
    http_is(sim_call(s, token, "/athlete"), 401);
    expect_fault(post_form(s, "/oauth/deauthorize", it_format("access_token=%s", token)), 401,
                 "Athlete", "access_token", "invalid");
    assert_int_equal(sim_i64(sim_get(s, "limits"), "used_overall.0"), 0);
}

static void tokens_can_be_made_invalid(void **state)
{
    (void)state;
    struct sim *s = start();
    json_t *first = sim_grant(s, 9001, ALL);
    sim_do(s, "token/invalidate", "{\"athlete\":9001}");
    http_is(sim_call(s, sim_str(first, "access_token"), "/athlete"), 401);
    json_t *second = sim_json(refresh(s, sim_str(first, "refresh_token")));
    assert_string_not_equal(sim_str(second, "access_token"), sim_str(first, "access_token"));
    http_is(sim_call(s, sim_str(second, "access_token"), "/athlete"), 200);
    sim_do(s, "token/invalidate", "{\"athlete\":9001,\"what\":\"refresh\"}");
    http_is(sim_call(s, sim_str(second, "access_token"), "/athlete"), 200);
    http_is(refresh(s, sim_str(second, "refresh_token")), 400);
    json_t *third = sim_grant(s, 9001, ALL);
    sim_do(s, "token/expire", "{}");
    http_is(sim_call(s, sim_str(third, "access_token"), "/athlete"), 401);
    http_is(refresh(s, sim_str(third, "refresh_token")), 200);
    sim_do(s, "settings", "{\"token_life_s\":60}");
    json_t *fourth = sim_grant(s, 9001, ALL);
    assert_in_range(sim_i64(fourth, "expires_in"), 59, 60);
    sim_advance(s, 61);
    http_is(sim_call(s, sim_str(fourth, "access_token"), "/athlete"), 401);
}

static void the_profile_depends_on_the_scope(void **state)
{
    (void)state;
    struct sim *s = start();
    struct http_answer a = sim_ask(s, "GET",
                                   "/oauth/mobile/authorize?client_id=1001&response_type=code&"
                                   "redirect_uri=http://127.0.0.1/&scope=profile:read_all&"
                                   "sim_auto=9001",
                                   NULL, NULL);
    json_t *grant = sim_json(exchange(s, code_in(a)));
    json_t *profile = sim_json(sim_call(s, sim_str(grant, "access_token"), "/api/v3/athlete"));
    assert_int_equal(sim_i64(profile, "resource_state"), 3);
    assert_int_equal(strncmp(sim_str(profile, "shoes.0.id"), "g", 1), 0);
    assert_null(json_object_get(profile, "email"));
    sim_do(s, "athlete/9001/narrow_scope", "{\"scope\":\"read\"}");
    profile = sim_json(sim_call(s, sim_str(grant, "access_token"), "/api/v3/athlete"));
    assert_int_equal(sim_i64(profile, "resource_state"), 2);
    assert_null(json_object_get(profile, "shoes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(consent_refuses_what_is_wrong),
        SIM_TEST(the_page_lets_one_choose),
        SIM_TEST(a_code_is_good_once),
        SIM_TEST(the_token_endpoint_knows_its_clients),
        SIM_TEST(an_access_token_is_given_again_for_an_hour_less),
        SIM_TEST(rotation_is_a_setting),
        SIM_TEST(auto_gives_the_old_grant_again),
        SIM_TEST(capacity_is_checked),
        SIM_TEST(revocation_kills_both_tokens),
        SIM_TEST(deauthorization_kills_both_tokens),
        SIM_TEST(tokens_can_be_made_invalid),
        SIM_TEST(the_profile_depends_on_the_scope),
    };
    return cmocka_run_group_tests(tests, it_up_bare, it_down);
}
