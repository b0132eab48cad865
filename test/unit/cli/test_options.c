/* The command line as its user meets it, as far as it needs no database. */
#include <jansson.h>

#include "cli/internal.h"
#include "unit/cli/capture.h"

static struct capture said;

/* Runs it with these words; returns the exit status. */
static int waymark(const char *const *word)
{
    static char *env[] = {NULL};
    char *argv[40] = {"waymark"};
    int argc = 1;
    while (word[argc - 1]) {
        argv[argc] = mem_strdup(word[argc - 1]);
        argc++;
    }
    capture_begin(&said);
    int status = cli_main(argc, argv, env);
    capture_end(&said);
    for (int i = 1; i < argc; i++) {
        mem_free(argv[i]);
    }
    return status;
}
#define RUN(...) waymark((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_error(int status, const char *part)
{
    assert_int_equal(status, 2);
    assert_string_equal(said.text[0], "");
    if (strncmp(said.text[1], "waymark: ", 9) != 0 || !strstr(said.text[1], part)) {
        fail_msg("%s", said.text[1]);
    }
    assert_ptr_equal(strchr(said.text[1], '\n'), said.text[1] + strlen(said.text[1]) - 1);
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(RUN(), 2);
    assert_non_null(strstr(said.text[1], "Commands:"));
    assert_string_equal(said.text[0], "");
    assert_int_equal(RUN("--help"), 0);
    assert_non_null(strstr(said.text[0], "Commands:"));
    for (size_t i = 0; i < cli_command_count; i++) {
        assert_non_null(strstr(said.text[0], cli_commands[i].name));
    }
    assert_int_equal(RUN("help"), 0);
    assert_int_equal(RUN("--version"), 0);
    assert_string_equal(said.text[0], "waymark " WAYMARK_VERSION "\n");
}

/* Every command tells every option it takes, and no other's. */
static void test_help_of_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *cmd = &cli_commands[i];
        char words[4][32] = {""};
        const char *given[5] = {NULL};
        int n = 0;
        for (const char *p = cmd->name; *p && n < 3; p += strspn(p, " ")) {
            snprintf(words[n], sizeof(words[n]), "%.*s", (int)strcspn(p, " "), p);
            given[n] = words[n];
            n++;
            p += strcspn(p, " ");
        }
        given[n] = "--help";
        assert_int_equal(waymark(given), 0);
        assert_non_null(strstr(said.text[0], cmd->summary));
        assert_non_null(strstr(said.text[0], "--json"));
        for (const char *p = cmd->options; *p; p += strspn(p, " ")) {
            char option[40];
            snprintf(option, sizeof(option), "--%.*s", (int)strcspn(p, " "), p);
            if (!strstr(said.text[0], option)) {
                fail_msg("%s does not tell of %s", cmd->name, option);
            }
            p += strcspn(p, " ");
        }
        assert_int_equal(strstr(said.text[0], "--svg") != NULL,
                         strstr(cmd->options, "svg") != NULL);
    }
}

static void test_commands_that_are_none(void **state)
{
    (void)state;
    assert_int_equal(RUN("fly"), 2);
    assert_int_equal(RUN("route"), 2);
    assert_int_equal(RUN("route", "fly"), 2);
    assert_int_equal(RUN("routes", "list"), 2);
    assert_int_equal(RUN("jobs", "cron"), 2);
    assert_int_equal(RUN("jobs", "cron", "fly"), 2);
    assert_int_equal(RUN("jobs", "cron list"), 2);
    assert_string_equal(said.text[0], "");
    assert_true(said.text[1][0] != '\0');
}

static void test_options_that_are_none(void **state)
{
    (void)state;
    assert_error(RUN("config", "check", "--colour"), "no option --colour");
    assert_error(RUN("config", "check", "--colour=red"), "no option --colour");
    assert_error(RUN("config", "check", "--svg", "x"), "no option --svg"); /* another command's */
    assert_error(RUN("config", "check", "--js"), "no option --js");
    assert_error(RUN("config", "check", "--log-level"), "--log-level needs a value");
    assert_error(RUN("config", "check", "--json=yes"), "--json takes no value");
    assert_error(RUN("config", "check", "extra"), "usage: waymark config check");
    assert_error(RUN("import"), "usage: waymark import PATH...");
    assert_error(RUN("import", "--athlete", "7"), "usage: waymark import PATH...");
    assert_error(RUN("route", "show", "a", "b"), "usage: waymark route show ROUTE");
    assert_error(RUN("config", "check", "--", "--json"), "usage: waymark config check");
    const char *many[40] = {"config", "check"};
    for (int i = 2; i < 30; i++) {
        many[i] = "--json";
    }
    assert_error(waymark(many), "too many options");
}

/* What `config check --json` says of a setting. */
static void assert_setting(const char *key, const char *value, const char *source)
{
    json_t *all = json_loads(said.text[0], 0, NULL);
    assert_non_null(all);
    bool found = false;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *s = json_array_get(all, i);
        if (strcmp(json_string_value(json_object_get(s, "key")), key) == 0) {
            found = true;
            assert_string_equal(json_string_value(json_object_get(s, "value")), value);
            assert_string_equal(json_string_value(json_object_get(s, "source")), source);
        }
    }
    assert_true(found);
    json_decref(all);
}

static void test_options_reach_the_settings(void **state)
{
    (void)state;
    assert_int_equal(RUN("config", "check", "--json", "--log-level", "warn", "--data-dir=/x"), 0);
    assert_setting("log.level", "warn", "flag");
    assert_setting("data.dir", "/x", "flag");
    assert_setting("log.format", "logfmt", "default");
    assert_int_equal(RUN("config", "check", "--log-level=warn", "--json", "--log-level", "error"),
                     0);
    assert_setting("log.level", "error", "flag"); /* the last one */
    assert_int_equal(
        RUN("config", "check", "--json", "--database-url", "postgres://me:hunter2hunter2@h/x"), 0);
    assert_null(strstr(said.text[0], "hunter2"));
    assert_int_equal(RUN("config", "check"), 0);
    assert_non_null(strstr(said.text[0], "The configuration is valid"));
    assert_int_equal(RUN("config", "check", "--log-level", "loud"), 78);
    assert_non_null(strstr(said.text[1], "debug|info|warn|error"));
    assert_int_equal(RUN("config", "check", "--config", "/nonexistent/config.toml"), 78);
}

static void test_the_example_is_what_the_repository_has(void **state)
{
    (void)state;
    struct buf file = {0};
    struct err err;
    assert_int_equal(RUN("config", "example"), 0);
    assert_int_equal(file_read(WAYMARK_SOURCE_DIR "/config.example.toml", 65536, &file, &err), 0);
    assert_string_equal(said.text[0], file.p);
    buf_done(&file);
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

static void test_numbers(void **state)
{
    (void)state;
    struct cli c = {.noptions = 2};
    int64_t i;
    double f;
    c.option[0].name = "min";
    c.option[1].name = "athlete";
    assert_int_equal(cli_option_i64(&c, "top", 1, 9, 5, &i), 0);
    assert_int_equal(i, 5);
    static const struct {
        const char *text;
        int whole, real;
    } row[] = {{"1", 0, 0},     {"9", 0, 0},     {"0", -1, -1}, {"10", -1, -1},
               {"", -1, -1},    {"2.5", -1, 0},  {"x", -1, -1}, {"1 ", -1, -1},
               {"nan", -1, -1}, {"0x2", -1, -1}, {"1e0", -1, 0}};
    for (size_t k = 0; k < COUNT_OF(row); k++) {
        c.option[0].value = c.option[1].value = row[k].text;
        c.err = (struct err){0};
        assert_int_equal(cli_option_i64(&c, "athlete", 1, 9, 5, &i), row[k].whole);
        assert_int_equal(c.err.class != 0, row[k].whole != 0);
        assert_int_equal(cli_option_f64(&c, "min", 1, 9, 5, &f), row[k].real);
        if (row[k].real != 0) {
            assert_int_equal(err_exit_status(&c.err), 2);
            assert_non_null(strstr(c.err.msg, "--min"));
        }
    }
}

static int hermetic(void **state)
{
    (void)state;
    assert_int_equal(setenv("WAYMARK_CONFIG", "", 1), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
    return chdir("/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_help_of_commands),
        cmocka_unit_test(test_commands_that_are_none),
        cmocka_unit_test(test_options_that_are_none),
        cmocka_unit_test(test_options_reach_the_settings),
        cmocka_unit_test(test_the_example_is_what_the_repository_has),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests_name("command line", tests, hermetic, NULL);
}
