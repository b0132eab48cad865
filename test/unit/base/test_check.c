#include "unit/base/helper.h"

static void fail_check(void *ctx)
{
    CHECK(ctx != NULL);
}

static void test_check(void **state)
{
    (void)state;
    int x = 0;
    assert_false(dies(fail_check, &x));
    assert_true(dies(fail_check, NULL));
}

static void test_message_names_condition_and_place(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        check_failed("left > 0", "/somewhere/src/loop/op.c", 12);
    }
    close(fds[1]);
    char text[256] = "";
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_equal(text, "waymark: programming error: left > 0 (loop/op.c:12)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_message_names_condition_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
