#include <jansson.h>
#include <math.h>

#include "unit/base/helper.h"

static FILE *out;
static char *text;
static size_t size;

static void capture(enum log_level level, enum log_format format)
{
    out = open_memstream(&text, &size);
    assert_non_null(out);
    log_init(level, format, out);
}

/* What was logged since capture(), without the time. */
static void logged(const char *expected)
{
    fclose(out);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    static const char stamp[] = "time=2026-11-21T22:05:00.123Z ";
    if (expected[0]) {
        assert_memory_equal(text, "time=", 5);
        assert_int_equal(text[28], 'Z');
        assert_string_equal(text + sizeof(stamp) - 1, expected);
    } else {
        assert_string_equal(text, "");
    }
    free(text);
}

static void test_logfmt(void **state)
{
    (void)state;
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("imported", L_S("file", "tmb.gpx"), L_I("points", 1700), L_F("km", 170.25),
             L_B("new", true), L_S("none", NULL), L_F("bad", NAN));
    logged("level=info msg=\"imported\" file=tmb.gpx points=1700 km=170.25 new=true none=null "
           "bad=null\n");
}

static void test_logfmt_quotes(void **state)
{
    (void)state;
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_warn("two\nlines", L_S("a", ""), L_S("b", "x y"), L_S("c", "k=v"), L_S("d", "say \"hi\"\\"),
             L_S("e", "\x1b[31m\xff"), L_S("f", "Gr\xc3\xb6"));
    logged("level=warn msg=\"two\\nlines\" a=\"\" b=\"x y\" c=\"k=v\" d=\"say \\\"hi\\\"\\\\\" "
           "e=\"\\u001b[31m\\ufffd\" f=\"Gr\xc3\xb6\"\n");
}

static void test_levels(void **state)
{
    (void)state;
    capture(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    log_debug("no");
    log_info("no");
    log_write(LOG_LEVEL_INFO, "no", NULL, 0);
    logged("");
    capture(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    log_debug("yes");
    logged("level=debug msg=\"yes\"\n");
}

static void test_json(void **state)
{
    (void)state;
    capture(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_error("a \"b\"\n", L_S("s", "\xff\x01"), L_S("n", NULL), L_I("i", -5), L_F("f", 0.5),
              L_F("nan", NAN), L_B("b", false));
    fclose(out);
    struct err e;
    json_t *line = json_read((struct span){text, size}, 10000, 2, &e);
    assert_non_null(line);
    assert_int_equal(text[size - 1], '\n');
    assert_int_equal(strlen(json_string_value(json_object_get(line, "time"))), 24);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "a \"b\"\n");
    assert_string_equal(json_string_value(json_object_get(line, "s")), "\xef\xbf\xbd\x01");
    assert_true(json_is_null(json_object_get(line, "n")));
    assert_int_equal(json_integer_value(json_object_get(line, "i")), -5);
    assert_true(json_real_value(json_object_get(line, "f")) == 0.5);
    assert_true(json_is_null(json_object_get(line, "nan")));
    assert_true(json_is_false(json_object_get(line, "b")));
    json_decref(line);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    free(text);
}

static void test_redaction(void **state)
{
    (void)state;
    log_add_secret("hunter2hunter2");
    log_add_secret("hunter2"); /* part of the longer one */
    log_add_secret("pass\"word");
    log_add_secret("12345678");
    log_add_secret("short");
    log_add_secret("");
    log_add_secret(NULL);
    log_add_secret("hunter2");
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("got hunter2", L_S("a", "xhunter2hunter2y"), L_S("b", "pass\"word"), L_S("c", "short"),
             L_I("d", 12345678), L_I("e", 123456789), L_I("f", 42), L_S("g", "hunter"));
    logged("level=info msg=\"got ***\" a=x***y b=*** c=short d=*** e=***9 f=42 g=hunter\n");
    capture(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("x", L_I("d", 12345678));
    fclose(out);
    assert_non_null(strstr(text, "\"d\":\"***\"}"));
    free(text);
    log_forget_secrets();
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("got hunter2");
    logged("level=info msg=\"got hunter2\"\n");
}

static void test_long_values_are_cut_after_redaction(void **state)
{
    (void)state;
    char value[6000];
    memset(value, 'x', sizeof(value));
    memcpy(value + 4090, "secret-token", 12);
    value[sizeof(value) - 1] = '\0';
    log_add_secret("secret-token");
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("m", L_S("v", value));
    fclose(out);
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "x***xxx...\"\n"));
    assert_true(size < 4200);
    free(text);
    log_forget_secrets();
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
}

static void test_one_write_a_line(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_DIRECT), 0); /* a read gives one write */
    FILE *f = fdopen(fds[1], "w");
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, f);
    log_info("one", L_S("k", "v"));
    log_info("two");
    char line[512];
    ssize_t n = read(fds[0], line, sizeof(line) - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_non_null(strstr(line, "msg=\"one\" k=v\n"));
    assert_null(strstr(line, "two"));
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    fclose(f);
    close(fds[0]);
}

static void test_reader_that_does_not_read(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    FILE *f = fdopen(fds[1], "w");
    char chunk[4096] = {0};
    while (write(fds[1], chunk, sizeof(chunk)) > 0) {
    }
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, f);
    int64_t start = clock_mono_ms();
    log_info("lost");
    assert_true(clock_mono_ms() - start < 5000);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, NULL);
    close(fds[0]);
    fclose(f);
}

static void test_err(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_PG, ERR_RETRY, "deadlock");
    int line = __LINE__ - 1;
    memcpy(e.sqlstate, "40P01", 6);
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_err(LOG_LEVEL_ERROR, "saving failed", &e);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "level=error msg=\"saving failed\" class=retry error=deadlock at=base/test_log.c:%d "
             "sqlstate=40P01\n",
             line);
    logged(expected);
    capture(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_err(LOG_LEVEL_ERROR, "empty", &(struct err){0});
    logged("level=error msg=\"empty\" class=none error=\"\" at=?:0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_logfmt_quotes),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_long_values_are_cut_after_redaction),
        cmocka_unit_test(test_one_write_a_line),
        cmocka_unit_test(test_reader_that_does_not_read),
        cmocka_unit_test(test_err),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
