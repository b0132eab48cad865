#include "unit/base/helper.h"

#ifdef WAYMARK_FAULTS

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process with these rules that passes a, b, a: its end, as waitpid says. */
static int end_with(const char *rules)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        (void)setenv("WAYMARK_FAULT", rules, 1);
        FAULT_POINT("a");
        FAULT_POINT("b");
        FAULT_POINT("a");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) {
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    return status;
}

static int killed_by(const char *rules)
{
    int status = end_with(rules);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int exits_with(const char *rules)
{
    int status = end_with(rules);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_actions(void **state)
{
    (void)state;
    assert_int_equal(killed_by("a:1:kill"), SIGKILL);
    assert_int_equal(killed_by("b:1:abort"), SIGABRT);
    assert_true(WIFSTOPPED(end_with("b:1:stop")));
    assert_int_equal(exits_with("a:2:exit:7"), 7);
    int64_t start = clock_mono_ms();
    assert_int_equal(exits_with("a:1+:sleep:60"), 0);
    assert_true(clock_mono_ms() - start >= 120);
}

static void test_passages(void **state)
{
    (void)state;
    assert_int_equal(exits_with(""), 0);
    assert_int_equal(exits_with("a:3:kill"), 0);
    assert_int_equal(exits_with("c:1:kill"), 0);
    assert_int_equal(exits_with("b:2:exit:1,a:2:exit:2"), 2);
    assert_int_equal(exits_with("a:2:exit:2,b:1:exit:1"), 1);
}

static void test_not_understood(void **state)
{
    (void)state;
    static const char *const bad[] = {"a",        "a:1",           "a:x:kill",  "a:0:kill",
                                      "a:1:kall", "a:1:sleep:now", ",a:1:kill", "a:1:exit:1:2"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(killed_by(bad[i]), SIGABRT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_passages),
        cmocka_unit_test(test_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: built without fault points (WAYMARK_FAULTS)");
    return 77;
}

#endif
