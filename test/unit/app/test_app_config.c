/* Every setting: documented, at home in the example, and of the right precedence. */
#include "app/app.h"
#include "unit/base/helper.h"

/* No configuration file of the machine's may be found. */
static int hermetic(void **state)
{
    (void)state;
    static const char *const names[] = {"WAYMARK_CONFIG", "XDG_CONFIG_HOME", "HOME"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(setenv(names[i], i ? "/nonexistent" : "", 1), 0);
    }
    char dir[] = "/tmp/waymark-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    return rmdir(dir);
}

static char *const no_env[] = {NULL};

static struct config *load(const char *text, char *const *env, const struct app_flag *flags,
                           size_t n, struct err *err)
{
    struct arena *a = arena_new(0);
    const char *used = NULL;
    const char *path = text ? temp_file(text, strlen(text)) : NULL;
    struct config *c = app_config_load(path, env, flags, n, a, &used, err);
    assert_true(path ? strcmp(used, path) == 0 : used == NULL);
    if (path) {
        unlink(path);
    }
    arena_free(a);
    return c;
}

static void test_every_key_is_documented(void **state)
{
    (void)state;
    assert_true(app_config_key_count >= 10);
    for (size_t i = 0; i < app_config_key_count; i++) {
        const struct config_key *k = &app_config_keys[i];
        const char *dot = strchr(k->name, '.');
        assert_non_null(dot);
        assert_true(dot > k->name && dot[1] != '\0');
        if (!k->doc || strlen(k->doc) < 10 || strchr(k->doc, '\n')) {
            fail_msg("%s says nothing about itself", k->name);
        }
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(app_config_keys[j].name, k->name);
        }
        assert_int_equal(k->type == CONFIG_CHOICE, k->choices != NULL);
        assert_true(k->min <= k->max);
    }
}

/* The same defaults whether nothing is said or all of them are, as the example has them. */
static void test_the_example_is_the_defaults(void **state)
{
    (void)state;
    struct buf example = {0}, told = {0};
    struct err err;
    app_config_example(&example);
    size_t settings = 0;
    for (char *line = example.p, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        const char *eq = strstr(line, " = ");
        bool setting = strncmp(line, "# ", 2) == 0 && eq && !strchr(line, ';') &&
                       (size_t)(eq - line - 2) == strspn(line + 2, "abcdefghijklmnopqrstuvwxyz_");
        settings += setting;
        buf_printf(&told, "%s\n", setting ? line + 2 : line);
    }
    assert_int_equal(settings, app_config_key_count);
    struct config *plain = load(NULL, no_env, NULL, 0, &err);
    struct config *c = load(told.p, no_env, NULL, 0, &err);
    if (!c) {
        fail_msg("the example: %s", err.msg);
    }
    assert_non_null(plain);
    for (size_t i = 0; i < app_config_key_count; i++) {
        const struct config_key *k = &app_config_keys[i];
        if (k->type == CONFIG_INT || k->type == CONFIG_BOOL || k->type == CONFIG_DURATION) {
            assert_int_equal(config_i64(c, k->name), config_i64(plain, k->name));
        } else if (config_str(plain, k->name)) {
            assert_string_equal(config_str(c, k->name), config_str(plain, k->name));
        } else {
            assert_null(config_str(c, k->name));
        }
        assert_int_equal(config_is_set(c, k->name), k->fallback != NULL);
    }
    config_free(c);
    config_free(plain);
    buf_done(&example);
    buf_done(&told);
}

static void test_every_key_is_in_the_example(void **state)
{
    (void)state;
    struct buf example = {0};
    app_config_example(&example);
    for (size_t i = 0; i < app_config_key_count; i++) {
        const struct config_key *k = &app_config_keys[i];
        assert_non_null(strstr(example.p, k->doc));
        for (const char *p = k->legacy; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
            char name[80];
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "|"), p);
            assert_non_null(strstr(example.p, name));
        }
    }
    buf_done(&example);
}

/* File, then the names of older programs, then ours, then the flag. */
static void test_precedence(void **state)
{
    (void)state;
    static const char file[] = "[processor]\nbatch_size = 11\n";
    static const struct app_flag flag = {"processor.batch_size", "44"};
    char legacy[] = "PROCESSOR_BATCH_SIZE=22", ours[] = "WAYMARK_PROCESSOR_BATCH_SIZE=33";
    char *const none[] = {NULL}, *const old[] = {legacy, NULL},
                *const both[] = {ours, legacy, NULL};
    const struct {
        const char *file;
        char *const *env;
        size_t flags;
        int64_t want;
        const char *source;
    } row[] = {
        {NULL, none, 0, 50, "default"},
        {file, none, 0, 11, ":2"},
        {file, old, 0, 22, "environment PROCESSOR_BATCH_SIZE"},
        {file, both, 0, 33, "environment WAYMARK_PROCESSOR_BATCH_SIZE"},
        {file, both, 1, 44, "flag"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct err err;
        struct config *c = load(row[i].file, row[i].env, &flag, row[i].flags, &err);
        assert_non_null(c);
        assert_int_equal(config_i64(c, "processor.batch_size"), row[i].want);
        const char *source = config_source(c, "processor.batch_size");
        assert_true(strlen(source) >= strlen(row[i].source));
        assert_string_equal(source + strlen(source) - strlen(row[i].source), row[i].source);
        config_free(c);
    }
}

static void test_legacy_names(void **state)
{
    (void)state;
    char a[] = "POSTGRES_CONNECTION_STRING=postgres://u@h/a", b[] = "POSTGRES_LISTEN_CHANNEL=bell",
         c[] = "PROCESSOR_INTERVAL=90s", d[] = "PROCESSOR_CONCURRENCY=3";
    char *const env[] = {a, b, c, d, NULL};
    struct err err;
    struct config *conf = load(NULL, env, NULL, 0, &err);
    assert_non_null(conf);
    assert_string_equal(config_str(conf, "database.url"), "postgres://u@h/a");
    assert_string_equal(config_str(conf, "database.channel"), "bell");
    assert_int_equal(config_i64(conf, "processor.interval"), 90000);
    assert_int_equal(config_i64(conf, "processor.concurrency"), 3);
    config_free(conf);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *why;
    } row[] = {
        {"[processor]\nbatch_size = 0\n", "batch_size"},
        {"[processor]\nbatch_sise = 5\n", "batch_size"}, /* what was meant */
        {"[processor]\ninterval = \"soon\"\n", "interval"},
        {"[log]\nlevel = \"loud\"\n", "debug|info|warn|error"},
        {"[database]\nconnections = 1\n", "connections"},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct err err;
        assert_null(load(row[i].file, no_env, NULL, 0, &err));
        assert_int_equal(err_exit_status(&err), 78);
        if (!strstr(err.msg, row[i].why)) {
            fail_msg("%s", err.msg);
        }
    }
}

static void test_which_file(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct err err;
    const char *used;
    char path[80];
    snprintf(path, sizeof(path), "%s", temp_file("[log]\nlevel = \"warn\"\n", 21));
    assert_int_equal(setenv("WAYMARK_CONFIG", path, 1), 0);
    struct config *c = app_config_load(NULL, no_env, NULL, 0, a, &used, &err);
    assert_non_null(c);
    assert_string_equal(used, path);
    assert_string_equal(config_str(c, "log.level"), "warn");
    config_free(c);
    unlink(path);
    /* Named and not there is a mistake; the others are only looked for. */
    assert_null(app_config_load(NULL, no_env, NULL, 0, a, NULL, &err));
    assert_int_equal(err_exit_status(&err), 78);
    assert_non_null(strstr(err.msg, path));
    assert_null(app_config_load("/nonexistent/config.toml", no_env, NULL, 0, a, NULL, &err));
    assert_int_equal(setenv("WAYMARK_CONFIG", "", 1), 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_documented),
        cmocka_unit_test(test_the_example_is_the_defaults),
        cmocka_unit_test(test_every_key_is_in_the_example),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_legacy_names),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_which_file),
    };
    return cmocka_run_group_tests_name("settings", tests, hermetic, NULL);
}
