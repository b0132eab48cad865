#include "unit/base/conf.h"

static struct err e;

/* Loads up to four variables; NULL ends them. */
static struct config *load(const char *a, const char *b, const char *c, int *rc)
{
    const char *vars[] = {a, b, c, NULL};
    struct config *conf = conf_new();
    *rc = config_load_env(conf, (char *const *)(uintptr_t)vars, &e);
    if (*rc == 0) {
        *rc = config_check(conf, &e);
    }
    return conf;
}

static void gives(const char *a, const char *b, const char *key, const char *value,
                  const char *source)
{
    int rc;
    struct config *c = load("HOME=/root", a, b, &rc);
    assert_int_equal(rc, 0);
    if (value) {
        assert_string_equal(config_str(c, key), value);
    } else {
        assert_null(config_str(c, key));
    }
    assert_string_equal(config_source(c, key), source);
    config_free(c);
    log_forget_secrets();
}

static void refused(const char *a, const char *b, const char *msg)
{
    int rc;
    struct config *c = load(a, b, NULL, &rc);
    assert_int_equal(rc, -1);
    assert_string_equal(e.msg, msg);
    assert_int_equal(err_exit_status(&e), 78);
    config_free(c);
    log_forget_secrets();
}

static void test_names(void **state)
{
    (void)state;
    gives("WAYMARK_LOG_LEVEL=warn", NULL, "log.level", "warn", "environment WAYMARK_LOG_LEVEL");
    gives("WAYMARK_HTTP_MAX_BODY=7", NULL, "http.max_body", "7",
          "environment WAYMARK_HTTP_MAX_BODY");
    gives("WAYMARK_DATA_DIR=/srv/a=b", NULL, "data.dir", "/srv/a=b",
          "environment WAYMARK_DATA_DIR");
    gives("STRAVA_CLIENT_ID=123", NULL, "strava.client_id", "123", "environment STRAVA_CLIENT_ID");
    gives("LOG_LEVEL=warn", NULL, "log.level", "info", "default");
}

static void test_empty_is_not_set(void **state)
{
    (void)state;
    gives("WAYMARK_LOG_LEVEL=", NULL, "log.level", "info", "default");
    gives("WAYMARK_STRAVA_CLIENT_ID=", "STRAVA_CLIENT_ID=5", "strava.client_id", "5",
          "environment STRAVA_CLIENT_ID");
    gives("POSTGRES_CONNECTION_STRING=", "POSTGRES_CONNECTION_URL=postgres://x", "database.url",
          "postgres://x", "environment POSTGRES_CONNECTION_URL");
    gives("WAYMARK_DATABASE_URL_FILE=", NULL, "database.url", NULL, "default");
    gives("WAYMARK_DATABASE_URL", NULL, "database.url", NULL, "default"); /* no '=' at all */
}

static void test_legacy(void **state)
{
    (void)state;
    gives("POSTGRES_CONNECTION_URL=b", "POSTGRES_CONNECTION_STRING=a", "database.url", "a",
          "environment POSTGRES_CONNECTION_STRING");
    gives("WAYMARK_DATABASE_URL=c", "POSTGRES_CONNECTION_STRING=a", "database.url", "c",
          "environment WAYMARK_DATABASE_URL");
    gives("PROCESSOR_INTERVAL=1m30s", NULL, "jobs.interval", "1m30s",
          "environment PROCESSOR_INTERVAL");
    refused("PROCESSOR_INTERVAL=often", NULL,
            "environment PROCESSOR_INTERVAL = \"often\": must be a duration such as \"90s\" or "
            "\"1h30m\", from 1s to 1h");
}

static void test_wrong_values(void **state)
{
    (void)state;
    refused("WAYMARK_LOG_LEVEL=loud", NULL,
            "environment WAYMARK_LOG_LEVEL = \"loud\": must be one of debug|info|warn|error");
    refused("WAYMARK_HTTP_MAX_BODY=7k", NULL,
            "environment WAYMARK_HTTP_MAX_BODY = \"7k\": must be a whole number from 1 to 4096");
    refused("WAYMARK_STRAVA_CLIENT_SECRET=hunter2\nhunter2", NULL,
            "environment WAYMARK_STRAVA_CLIENT_SECRET = ***: must not hold control characters");
}

static void test_unknown(void **state)
{
    (void)state;
    refused("WAYMARK_LOG_LEVLE=warn", NULL,
            "environment WAYMARK_LOG_LEVLE: unknown, did you mean WAYMARK_LOG_LEVEL?");
    refused("WAYMARK_LOG_LEVEL_FILE=/x", NULL,
            "environment WAYMARK_LOG_LEVEL_FILE: only secrets are read from files; set "
            "WAYMARK_LOG_LEVEL");
    /* What Kubernetes sets for a service of our name. */
    gives("WAYMARK_SERVICE_HOST=10.0.0.1", "WAYMARK_PORT_8080_TCP=tcp://10.0.0.1:8080", "log.level",
          "info", "default");
}

static void test_secret_files(void **state)
{
    (void)state;
    const char *path = temp_file("postgres://db/waymark\n", 22);
    char ours[100], legacy[100];
    snprintf(ours, sizeof(ours), "WAYMARK_DATABASE_URL_FILE=%s", path);
    snprintf(legacy, sizeof(legacy), "POSTGRES_CONNECTION_URL_FILE=%s", path);
    gives(ours, NULL, "database.url", "postgres://db/waymark",
          "environment WAYMARK_DATABASE_URL_FILE");
    gives(legacy, NULL, "database.url", "postgres://db/waymark",
          "environment POSTGRES_CONNECTION_URL_FILE");
    refused(ours, "WAYMARK_DATABASE_URL=x",
            "environment: both WAYMARK_DATABASE_URL and WAYMARK_DATABASE_URL_FILE are set; keep "
            "one of the two");
    unlink(path);
    refused("WAYMARK_DATABASE_URL_FILE=/nonexistent/x", NULL,
            "environment WAYMARK_DATABASE_URL_FILE = \"/nonexistent/x\": cannot take the secret "
            "from this file: "
            "No such file or directory");
    refused("WAYMARK_DATABASE_URL_FILE=/dev/null", NULL,
            "environment WAYMARK_DATABASE_URL_FILE = \"/dev/null\": cannot take the secret from "
            "this file: "
            "the first line is empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_empty_is_not_set),
        cmocka_unit_test(test_legacy),  cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_secret_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
