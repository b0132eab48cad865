#include "unit/base/conf.h"

/* The message without the folder the file lies in. */
static const char *load(const char *text, struct config **ret)
{
    static struct err e;
    const char *path = conf_file(text);
    struct config *c = conf_new();
    e.msg[0] = '\0';
    if (config_load_file(c, path, &e) == 0 && config_check(c, &e) == 0) {
        e.msg[0] = '\0';
    } else {
        assert_int_equal(e.domain, ERR_CONF);
        assert_int_equal(err_exit_status(&e), 78);
        assert_memory_equal(e.msg, path, strlen(path) - strlen("config.toml"));
        memmove(e.msg, e.msg + strlen(path) - strlen("config.toml"),
                strlen(e.msg) + 1 - (strlen(path) - strlen("config.toml")));
    }
    conf_remove(path);
    if (ret) {
        *ret = c;
    } else {
        config_free(c);
    }
    return e.msg;
}

static void test_wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"\n[log]\nlevel = \"loud\"",
         "config.toml:3: [log] level = \"loud\": must be one of debug|info|warn|error"},
        {"[log]\nlevel = \"Info\"",
         "config.toml:2: [log] level = \"Info\": must be one of debug|info|warn|error"},
        {"[log]\nlevel = \"\"",
         "config.toml:2: [log] level = \"\": must be one of debug|info|warn|error"},
        {"[log]\nlevel = \"debug|info\"",
         "config.toml:2: [log] level = \"debug|info\": must be one of debug|info|warn|error"},
        {"[log]\nlevel = 3",
         "config.toml:2: [log] level = 3: must be one of debug|info|warn|error"},
        {"[log]\nutc = \"true\"", "config.toml:2: [log] utc = \"true\": must be true or false"},
        {"[log]\nutc = 1", "config.toml:2: [log] utc = 1: must be true or false"},
        {"[http]\nmax_body = 0",
         "config.toml:2: [http] max_body = 0: must be a whole number from 1 to 4096"},
        {"[http]\nmax_body = 4097",
         "config.toml:2: [http] max_body = 4097: must be a whole number from 1 to 4096"},
        {"[http]\nmax_body = \"12\"",
         "config.toml:2: [http] max_body = \"12\": must be a whole number from 1 to 4096"},
        {"[http]\nmax_body = 1.5",
         "config.toml:2: [http] max_body = 1.5: must be a whole number from 1 to 4096"},
        {"[http]\noffset = true", "config.toml:2: [http] offset = true: must be a whole number"},
        {"[http]\nlisten = [1]", "config.toml:2: [http] listen = [...]: must be text in quotes"},
        {"[http]\nlisten = {}", "config.toml:2: [http] listen = {}: must be text in quotes"},
        {"[http]\nlisten = 1979-05-27",
         "config.toml:2: [http] listen = (a date or time): must be text in quotes"},
        {"[http]\nlisten = \"a\\nb\"",
         "config.toml:2: [http] listen = \"a\\nb\": must not hold control characters"},
        {"[http]\nlisten = \"a\\u0000b\"",
         "config.toml:2: [http] listen: must not hold control characters"},
        {"[jobs]\ninterval = \"soon\"",
         "config.toml:2: [jobs] interval = \"soon\": must be a duration such as \"90s\" "
         "or \"1h30m\", from 1s to 1h"},
        {"[jobs]\ninterval = \"2h\"",
         "config.toml:2: [jobs] interval = \"2h\": must be a duration such as \"90s\" or "
         "\"1h30m\", from 1s to 1h"},
        {"[jobs]\npause = 1.5",
         "config.toml:2: [jobs] pause = 1.5: must be a duration such as \"90s\" or \"1h30m\""},
        {"[strava]\nclient_secret = true",
         "config.toml:2: [strava] client_secret = ***: must be text in quotes"},
        {"[log]\nlevel = "
         "\"0123456789012345678901234567890123456789012345678901234567\xc3\xa4\xc3\xa4\xc3\xa4\"",
         "config.toml:2: [log] level = "
         "\"0123456789012345678901234567890123456789012345678901234567\xc3\xa4...\": "
         "must be one of debug|info|warn|error"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(load(cases[i].text, NULL), cases[i].msg);
    }
}

static void test_good_values(void **state)
{
    (void)state;
    struct config *c;
    assert_string_equal(
        load("[http]\nmax_body = 4_096\noffset = -9\nlisten = ''\n[log]\nutc = false\n"
             "level = \"error\"\n[jobs]\ninterval = 5\npause = \"1h30m\"\n"
             "[strava]\nclient_id = 12345\n",
             &c),
        "");
    assert_int_equal(config_i64(c, "http.max_body"), 4096);
    assert_int_equal(config_i64(c, "http.offset"), -9);
    assert_string_equal(config_str(c, "http.listen"), "0.0.0.0:8080"); /* empty: as if not given */
    assert_false(config_is_set(c, "http.listen"));
    assert_int_equal(config_i64(c, "log.utc"), 0);
    assert_true(config_is_set(c, "log.utc"));
    assert_int_equal(config_i64(c, "jobs.interval"), 5000);
    assert_int_equal(config_i64(c, "jobs.pause"), 5400000);
    assert_string_equal(config_str(c, "strava.client_id"), "12345");
    config_free(c);
}

static void test_words_for_yes_and_no(void **state)
{
    (void)state;
    static const char *const words[][2] = {
        {"false", "true"}, {"No", "YES"}, {"off", "on"}, {"0", "1"}};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        for (int yes = 0; yes < 2; yes++) {
            struct config *c = conf_new();
            assert_int_equal(config_set_flag(c, "log.utc", words[i][yes], &e), 0);
            assert_int_equal(config_check(c, &e), 0);
            assert_int_equal(config_i64(c, "log.utc"), yes);
            config_free(c);
        }
    }
    static const char *const bad[] = {"2", "t", "", "yess"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct config *c = conf_new();
        assert_int_equal(config_set_flag(c, "log.utc", bad[i], &e), 0);
        assert_int_equal(config_check(c, &e), -1);
        config_free(c);
    }
}

static void test_suggestions(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"[log]\nlevle = 1", "config.toml:2: [log] levle: unknown key, did you mean [log] level?"},
        {"[lgo]\nlevel = 1", "config.toml:2: [lgo] level: unknown key, did you mean [log] level?"},
        {"[http]\nlevel = 1",
         "config.toml:2: [http] level: unknown key, did you mean [log] level?"},
        {"level = 1", "config.toml:1: level: unknown key, did you mean [log] level?"},
        {"[http]\nmax_bdy = 1",
         "config.toml:2: [http] max_bdy: unknown key, did you mean [http] max_body?"},
        {"[log]\ncolour = 1", "config.toml:2: [log] colour: unknown key; known there: level, utc"},
        {"[races]\ncolour = 1", "config.toml:2: [races] colour: unknown key"},
        {"[races]\n", "config.toml:1: [races]: unknown section"},
        {"[[log]]\nlevel = 1", "config.toml:1: log: unknown key"},
        {"[http]\nlisten_file = \"x\"",
         "config.toml:2: [http] listen_file: unknown key; known there: listen, "
         "max_body, offset"},
        {"log = 1", "config.toml:1: log: unknown key"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(load(cases[i].text, NULL), cases[i].msg);
    }
    assert_string_equal(load("[log]\n[http]\n", NULL), ""); /* empty sections that exist */
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - 5, "=1\n", 4);
    assert_non_null(strstr(load(longest, NULL), "unknown key"));
}

static void test_first_by_line(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "[http]\n");
    for (int i = 0; i < 30; i++) {
        buf_puts(&b, "# filler\n");
    }
    buf_puts(&b, "offset = \"x\"\n[log]\nlevel = \"loud\"\n[jobs]\npause = \"never\"\n");
    assert_string_equal(load(b.p, NULL),
                        "config.toml:32: [http] offset = \"x\": must be a whole number");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_values),         cmocka_unit_test(test_good_values),
        cmocka_unit_test(test_words_for_yes_and_no), cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_first_by_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
