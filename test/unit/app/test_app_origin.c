/* Where people reach us, as it is configured. */
#include "app/app.h"
#include "unit/base/helper.h"

#define URL(u)      "WAYMARK_HTTP_PUBLIC_URL=" u
#define CALLBACK(u) "STRAVA_CALLBACK_URL=" u

/* want NULL: it is refused. "": not known. */
static void is(char *first, char *second, const char *want)
{
    char *const env[] = {first, second, NULL};
    struct config *c = config_new(app_config_keys, app_config_key_count);
    struct arena *a = arena_new(0);
    const char *origin = "unset";
    struct err err = {0};
    assert_int_equal(config_load_env(c, env, &err), 0);
    assert_int_equal(config_check(c, &err), 0);
    int rc = app_public_origin(c, a, &origin, &err);
    if ((rc == 0) != (want != NULL)) {
        fail_msg("%s: %d", first, rc);
    }
    if (want) {
        assert_string_equal(origin ? origin : "", want);
    } else {
        assert_int_equal(err.domain, ERR_CONF);
    }
    arena_free(a);
    config_free(c);
}

static void test_what_is_given(void **state)
{
    (void)state;
    is(NULL, NULL, "");
    is(URL("https://trails.example.org"), NULL, "https://trails.example.org");
    is(URL("https://trails.example.org/"), NULL, "https://trails.example.org");
    is(URL("http://localhost:8080"), NULL, "http://localhost:8080");
    is(URL("http://[::1]:8080/"), NULL, "http://[::1]:8080");
    is(CALLBACK("https://trails.example.org/webhook/abc"), NULL, "https://trails.example.org");
    is(CALLBACK("https://trails.example.org:8443/webhook/abc?x=1"), NULL,
       "https://trails.example.org:8443");
    is(URL("https://people.example.org"), CALLBACK("https://trails.example.org/webhook/abc"),
       "https://people.example.org");
}

static void test_what_is_no_address(void **state)
{
    (void)state;
    is(URL("trails.example.org"), NULL, NULL);
    is(URL("ftp://trails.example.org"), NULL, NULL);
    is(URL("https://"), NULL, NULL);
    is(URL("https:///x"), NULL, NULL);
    is(URL("https://trails.example.org/below"), NULL, NULL);
    is(URL("https://trails.example.org?x"), NULL, NULL);
    is(URL("https://somebody@trails.example.org"), NULL, NULL);
    is(URL("https://trails example.org"), NULL, NULL);
    is(URL("https://trails.example.org\\@evil"), NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_given),
        cmocka_unit_test(test_what_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
