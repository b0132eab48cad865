#include "unit/base/conf.h"

static int load_text(struct config *c, const char *text, struct err *err)
{
    const char *path = conf_file(text);
    int rc = config_load_file(c, path, err);
    conf_remove(path);
    return rc;
}

static void test_fallbacks(void **state)
{
    (void)state;
    struct config *c = conf_new();
    struct err e;
    assert_int_equal(config_check(c, &e), 0);
    assert_string_equal(config_str(c, "http.listen"), "0.0.0.0:8080");
    assert_int_equal(config_i64(c, "http.max_body"), 1024);
    assert_int_equal(config_i64(c, "log.utc"), 1);
    assert_int_equal(config_i64(c, "jobs.interval"), 90000);
    assert_string_equal(config_str(c, "log.level"), "info");
    assert_null(config_str(c, "data.dir"));
    assert_int_equal(config_i64(c, "http.offset"), 0);
    assert_false(config_is_set(c, "http.listen"));
    assert_string_equal(config_source(c, "http.listen"), "default");
    assert_string_equal(config_source(c, "data.dir"), "default");
    assert_null(config_free(c));
    assert_null(config_free(NULL));
}

/* Each source alone and all together; in an order of loading that is not the order of precedence.
 */
static void test_precedence(void **state)
{
    (void)state;
    enum { FILE_, LEGACY, ENV, FLAG, SOURCES };
    static char legacy[] = "PROCESSOR_INTERVAL=20s", ours[] = "WAYMARK_JOBS_INTERVAL=30s";
    static const int64_t values[SOURCES] = {10000, 20000, 30000, 40000};
    for (unsigned mask = 1; mask < 1u << SOURCES; mask++) {
        struct config *c = conf_new();
        struct err e;
        char *vars[3] = {NULL};
        int n = 0;
        if (mask & 1u << FLAG) {
            assert_int_equal(config_set_flag(c, "jobs.interval", "40s", &e), 0);
        }
        if (mask & 1u << LEGACY) {
            vars[n++] = legacy;
        }
        if (mask & 1u << ENV) {
            vars[n++] = ours;
        }
        assert_int_equal(config_load_env(c, vars, &e), 0);
        if (mask & 1u << FILE_) {
            assert_int_equal(load_text(c, "[jobs]\ninterval = \"10s\"\n", &e), 0);
        }
        assert_int_equal(config_check(c, &e), 0);
        int highest = 31 - __builtin_clz(mask);
        assert_int_equal(config_i64(c, "jobs.interval"), values[highest]);
        assert_true(config_is_set(c, "jobs.interval"));
        const char *source = config_source(c, "jobs.interval");
        static const char *const sources[SOURCES] = {"config.toml:2",
                                                     "environment PROCESSOR_INTERVAL",
                                                     "environment WAYMARK_JOBS_INTERVAL", "flag"};
        assert_string_equal(source + strlen(source) - strlen(sources[highest]), sources[highest]);
        config_free(c);
    }
}

static void test_flags(void **state)
{
    (void)state;
    struct config *c = conf_new();
    struct err e;
    assert_int_equal(config_set_flag(c, "log.level", "warn", &e), 0);
    assert_int_equal(config_set_flag(c, "log.level", "debug", &e), 0); /* the last one wins */
    assert_int_equal(config_check(c, &e), 0);
    assert_string_equal(config_str(c, "log.level"), "debug");
    assert_int_equal(config_set_flag(c, "log.colour", "red", &e), -1);
    assert_string_equal(e.msg, "flag log.colour: unknown setting");
    assert_int_equal(config_set_flag(c, "data.dir", "", &e), 0);
    assert_int_equal(config_check(c, &e), -1);
    assert_string_equal(e.msg, "flag data.dir = \"\": must not be empty");
    assert_int_equal(err_exit_status(&e), 78);
    config_free(c);
}

static void test_a_wrong_value_is_found_though_overridden(void **state)
{
    (void)state;
    struct config *c = conf_new();
    struct err e;
    char *vars[] = {(char[]){"WAYMARK_LOG_LEVEL=loud"}, NULL};
    assert_int_equal(config_load_env(c, vars, &e), 0);
    assert_int_equal(config_set_flag(c, "log.level", "warn", &e), 0);
    assert_int_equal(config_check(c, &e), -1);
    assert_string_equal(
        e.msg, "environment WAYMARK_LOG_LEVEL = \"loud\": must be one of debug|info|warn|error");
    config_free(c);
}

struct rows {
    struct buf text;
};

static void add_row(void *ctx, const struct config_key *key, const char *value, const char *source)
{
    struct rows *rows = ctx;
    buf_printf(&rows->text, "%s=%s (%s)\n", key->name, value ? value : "-", source);
}

static void test_each(void **state)
{
    (void)state;
    struct config *c = conf_new();
    struct err e;
    assert_int_equal(config_set_flag(c, "strava.client_secret", "hunter2hunter2", &e), 0);
    assert_int_equal(config_check(c, &e), 0);
    struct rows rows = {0};
    config_each(c, add_row, &rows);
    assert_string_equal(
        rows.text.p,
        "database.url=- (default)\nhttp.listen=0.0.0.0:8080 (default)\n"
        "http.max_body=1024 (default)\nhttp.offset=- (default)\nlog.level=info (default)\n"
        "log.utc=true (default)\njobs.interval=90s (default)\njobs.pause=- (default)\n"
        "strava.client_id=- (default)\nstrava.client_secret=*** (flag)\ndata.dir=- (default)\n");
    buf_done(&rows.text);
    config_free(c);
    log_forget_secrets();
}

static void logs_as(const char *text, const char *expected)
{
    char *line;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, out);
    log_info(text);
    fclose(out);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    assert_non_null(strstr(line, expected));
    free(line);
}

static void test_secrets_are_registered_with_their_password(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "postgres://way:p%40ssword@db.example/waymark",
        "host=db password=p%40ssword user=way",
        "host=db password='p%40ssword'",
        "postgresql://way:p%40ssword@/x?host=/run",
    };
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        struct config *c = conf_new();
        struct err e;
        assert_int_equal(config_set_flag(c, "database.url", urls[i], &e), 0);
        assert_int_equal(config_check(c, &e), 0);
        logs_as("bad password p%40ssword", "msg=\"bad password ***\"");
        logs_as(urls[i], "msg=\"***\"");
        log_forget_secrets();
        config_free(c);
    }
    static const char *const plain[] = {"postgres://db.example/waymark", "postgres://way@db/x",
                                        "://", "x://:@"};
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        struct config *c = conf_new();
        struct err e;
        assert_int_equal(config_set_flag(c, "database.url", plain[i], &e), 0);
        assert_int_equal(config_check(c, &e), 0);
        log_forget_secrets();
        config_free(c);
    }
}

static void read_unchecked(void *ctx)
{
    (void)config_str(ctx, "log.level");
}

static void read_unknown(void *ctx)
{
    (void)config_str(ctx, "log.colour");
}

static void bad_fallback(void *ctx)
{
    (void)ctx;
    static const struct config_key bad = {
        .name = "a.b", .type = CONFIG_INT, .fallback = "9", .min = 1, .max = 5};
    config_new(&bad, 1);
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct config *c = conf_new();
    struct err e;
    assert_true(dies(read_unchecked, c));
    assert_int_equal(config_check(c, &e), 0);
    assert_false(dies(read_unchecked, c));
    assert_true(dies(read_unknown, c));
    assert_true(dies(bad_fallback, NULL));
    assert_int_equal(config_set_flag(c, "log.level", "warn", &e), 0);
    assert_true(dies(read_unchecked, c)); /* must be checked again */
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_a_wrong_value_is_found_though_overridden),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_secrets_are_registered_with_their_password),
        cmocka_unit_test(test_programming_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
