#include "cli/internal.h"
#include "fake/clock.h"
#include "unit/cli/capture.h"

#include <stdlib.h>

static struct capture said;

/* A hundred steps, one a second. */
static void walk(bool quiet)
{
    struct cli c = {.quiet = quiet};
    struct cli_progress p;
    cli_progress_start(&p, &c, "matching");
    for (uint64_t i = 0; i <= 100; i++) {
        cli_progress_set(&p, i, 100);
        fake_clock_skip(1000);
    }
    cli_progress_set(&p, 100, 100); /* said already */
    cli_progress_clear(&p);
    cli_progress_end(&p);
}

static void test_plain_lines_off_a_terminal(void **state)
{
    (void)state;
    capture_begin(&said);
    walk(false);
    capture_end(&said);
    assert_string_equal(said.text[0], "");
    assert_null(strchr(said.text[1], '\r'));
    assert_null(strchr(said.text[1], '\033'));
    size_t lines = 0;
    for (const char *p = said.text[1]; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    assert_in_range(lines, 19, 21); /* every five seconds */
    const char *last = "matching: 100 of 100 (100 %)\n";
    size_t n = strlen(said.text[1]);
    assert_true(n > strlen(last));
    assert_string_equal(said.text[1] + n - strlen(last), last);
}

static void test_quiet(void **state)
{
    (void)state;
    capture_begin(&said);
    walk(true);
    capture_end(&said);
    assert_string_equal(said.text[1], "");
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    struct cli c = {.quiet = false};
    struct cli_progress p;
    capture_begin(&said);
    cli_progress_start(&p, &c, "matching");
    cli_progress_set(&p, 0, 0);
    cli_progress_end(&p);
    capture_end(&said);
    assert_string_equal(said.text[1], "");
}

static void test_more_than_expected(void **state)
{
    (void)state;
    struct cli c = {.quiet = false};
    struct cli_progress p;
    capture_begin(&said);
    cli_progress_start(&p, &c, "matching");
    cli_progress_set(&p, 7, 5);
    capture_end(&said);
    assert_non_null(strstr(said.text[1], "(100 %)"));
}

/* Standard error as a terminal; returns what came out of it. */
static const char *on_terminal(void (*fn)(void))
{
    static char text[65536];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        skip(); /* no /dev/pts here */
    }
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY), saved = dup(STDERR_FILENO);
    assert_true(slave >= 0);
    assert_true(dup2(slave, STDERR_FILENO) >= 0);
    fn();
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    size_t n = 0;
    for (ssize_t got; n + 1 < sizeof(text); n += (size_t)got) {
        got = read(master, text + n, sizeof(text) - 1 - n);
        if (got <= 0) {
            break;
        }
    }
    text[n] = '\0';
    close(saved);
    close(slave);
    close(master);
    return text;
}

static void a_few_steps(void)
{
    struct cli c = {.quiet = false};
    struct cli_progress p;
    cli_progress_start(&p, &c, "matching");
    cli_progress_set(&p, 1, 4); /* too soon to draw */
    fake_clock_skip(3000);
    cli_progress_set(&p, 1, 4);
    cli_progress_clear(&p);
    cli_progress_set(&p, 4, 4);
    cli_progress_end(&p);
    cli_progress_end(&p);
}

static void test_a_bar_on_a_terminal(void **state)
{
    (void)state;
    const char *text = on_terminal(a_few_steps);
    assert_int_equal(strncmp(text, "\rmatching ", 10), 0);
    assert_non_null(strstr(text, " 25 % 1 of 4, "));
    assert_non_null(strstr(text, " s left\033[K"));
    assert_non_null(strstr(text, "\r\033[K\rmatching "));
    assert_non_null(strstr(text, "100 % 4 of 4\033[K\r\n"));
    size_t bars = 0;
    for (const char *p = text; (p = strstr(p, " of 4")); p++) {
        bars++;
    }
    assert_int_equal(bars, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_lines_off_a_terminal),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_more_than_expected),
        cmocka_unit_test(test_a_bar_on_a_terminal),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
