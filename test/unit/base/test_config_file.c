#include <errno.h>

#include "unit/base/conf.h"

static struct err e;

static void test_no_file(void **state)
{
    (void)state;
    struct config *c = conf_new();
    assert_int_equal(config_load_file(c, "/nonexistent/config.toml", &e), -1);
    assert_string_equal(e.msg, "/nonexistent/config.toml: No such file or directory");
    assert_int_equal(e.domain, ERR_CONF);
    assert_int_equal(e.code, ENOENT);
    assert_int_equal(config_load_file(c, "/tmp", &e), -1);
    assert_string_equal(e.msg, "/tmp: Is a directory");
    config_free(c);
}

static void refuse_text(const char *text, const char *expected)
{
    const char *path = conf_file(text);
    struct config *c = conf_new();
    assert_int_equal(config_load_file(c, path, &e), -1);
    if (!strstr(e.msg, expected)) {
        fail_msg("\"%s\" does not tell \"%s\"", e.msg, expected);
    }
    config_free(c);
    conf_remove(path);
}

static void test_bad_files(void **state)
{
    (void)state;
    refuse_text("[log]\nlevel\n", "config.toml:2: ");
    refuse_text("[log]\nlevel = \"\xff\"\n", "config.toml:2: not UTF-8 text");
    struct buf b = {0};
    for (int i = 0; i < 20000; i++) {
        buf_putc(&b, '[');
    }
    refuse_text(b.p, "config.toml:1: nested deeper than 64 levels");
    buf_clear(&b);
    for (int i = 0; i < 256 * 1024; i++) {
        buf_putc(&b, '\n');
    }
    const char *path = conf_file(b.p);
    struct config *c = conf_new();
    assert_int_equal(config_load_file(c, path, &e), 0);
    config_free(c);
    conf_remove(path);
    buf_putc(&b, '\n');
    refuse_text(b.p, "config.toml: larger than 256 kB");
    buf_done(&b);
}

static void test_empty_file(void **state)
{
    (void)state;
    const char *path = conf_file("");
    struct config *c = conf_new();
    assert_int_equal(config_load_file(c, path, &e), 0);
    assert_int_equal(config_check(c, &e), 0);
    config_free(c);
    conf_remove(path);
}

/* ---- secrets in files of their own -------------------------------------------------------------
 */

/* Loads a config whose [strava] client_secret_file is a file with this content next to it. */
static struct config *with_secret(const char *content, size_t n, int *rc)
{
    const char *path = conf_file("[strava]\nclient_secret_file = \"secret\"\n");
    char secret[100];
    snprintf(secret, sizeof(secret), "%.*s/secret", (int)(strrchr(path, '/') - path), path);
    FILE *f = fopen(secret, "w");
    assert_non_null(f);
    fwrite(content, 1, n, f);
    fclose(f);
    struct config *c = conf_new();
    *rc = config_load_file(c, path, &e);
    unlink(secret);
    conf_remove(path);
    return c;
}

static void test_secret_file(void **state)
{
    (void)state;
    static const char *const contents[] = {"hunter2", "hunter2\n", "hunter2\r\n",
                                           "hunter2\nsecond line\n"};
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        int rc;
        struct config *c = with_secret(contents[i], strlen(contents[i]), &rc);
        assert_int_equal(rc, 0);
        assert_int_equal(config_check(c, &e), 0);
        assert_string_equal(config_str(c, "strava.client_secret"), "hunter2");
        const char *source = config_source(c, "strava.client_secret");
        assert_string_equal(source + strlen(source) - 13, "config.toml:2");
        config_free(c);
    }
    log_forget_secrets();
}

static void refuse_secret(const char *content, size_t n, const char *expected)
{
    int rc;
    struct config *c = with_secret(content, n, &rc);
    assert_int_equal(rc, -1);
    if (!strstr(e.msg, expected)) {
        fail_msg("\"%s\" does not tell \"%s\"", e.msg, expected);
    }
    assert_null(strstr(e.msg, "hunter2"));
    config_free(c);
}

static void test_bad_secret_files(void **state)
{
    (void)state;
    refuse_secret("", 0, "[strava] client_secret_file = ");
    refuse_secret("", 0, "cannot take the secret from this file: the first line is empty");
    refuse_secret("\nhunter2\n", 9, "the first line is empty");
    refuse_secret("hunter2\0x", 9, "it holds a NUL byte");
    struct buf b = {0};
    for (int i = 0; i < 4096; i++) {
        buf_putc(&b, 'x');
    }
    int rc;
    struct config *c = with_secret(b.p, b.n, &rc);
    assert_int_equal(rc, 0);
    config_free(c);
    buf_puts(&b, "\r\nsecond line");
    c = with_secret(b.p, b.n, &rc);
    assert_int_equal(rc, 0);
    config_free(c);
    b.n = 4096;
    buf_puts(&b, "hunter2");
    refuse_secret(b.p, b.n, "longer than 4096 bytes");
    buf_done(&b);
    refuse_text("[strava]\nclient_secret_file = \"/nonexistent/x\"\n",
                "config.toml:2: [strava] client_secret_file = \"/nonexistent/x\": cannot take the "
                "secret from this "
                "file: No such file or directory");
    refuse_text("[strava]\nclient_secret_file = 1\n",
                "client_secret_file: must be a path in quotes");
    refuse_text("[strava]\nclient_secret = \"a\"\nclient_secret_file = \"/dev/null\"\n",
                "the first line is empty");
}

static void test_both_forms(void **state)
{
    (void)state;
    const char *secret = temp_file("hunter2\n", 8);
    char text[200];
    snprintf(text, sizeof(text), "[strava]\nclient_secret = \"a\"\nclient_secret_file = \"%s\"\n",
             secret);
    refuse_text(text, "config.toml:3: [strava] client_secret_file: given already (");
    unlink(secret);
    const char *path = conf_file("[strava]\nclient_secret_file = \"\"\n");
    struct config *c = conf_new();
    assert_int_equal(config_load_file(c, path, &e), 0);
    assert_int_equal(config_check(c, &e), 0);
    assert_null(config_str(c, "strava.client_secret"));
    config_free(c);
    conf_remove(path);
}

/* Two files may give the same key: the later one wins. */
static void test_two_files(void **state)
{
    (void)state;
    struct config *c = conf_new();
    static const char *const texts[] = {"[log]\nlevel = \"warn\"\n", "[log]\nlevel = \"error\"\n"};
    for (int i = 0; i < 2; i++) {
        const char *path = conf_file(texts[i]);
        assert_int_equal(config_load_file(c, path, &e), 0);
        conf_remove(path);
    }
    assert_int_equal(config_check(c, &e), 0);
    assert_string_equal(config_str(c, "log.level"), "error");
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file),          cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_empty_file),       cmocka_unit_test(test_secret_file),
        cmocka_unit_test(test_bad_secret_files), cmocka_unit_test(test_both_forms),
        cmocka_unit_test(test_two_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
