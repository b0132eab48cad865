#include <sys/prctl.h>

#include "jobs/internal.h"
#include "unit/base/helper.h"

static void test_place_names_boot_and_namespace(void **state)
{
    (void)state;
    struct buf a = {0}, b = {0};
    jobs__place(&a);
    jobs__place(&b);
    assert_string_equal(a.p, b.p);
    if (strcmp(a.p, "unknown") != 0) {           /* no /proc */
        assert_int_equal(strcspn(a.p, ":"), 36); /* a UUID */
        int64_t inode;
        assert_int_equal(span_to_i64(span_of(strchr(a.p, ':') + 1), 1, INT64_MAX, &inode), 0);
    }
    buf_done(&a);
    buf_done(&b);
}

static void test_own_process(void **state)
{
    (void)state;
    int64_t mine = jobs__pid_started(getpid());
    assert_true(mine > 0);
    assert_true(mine >= jobs__pid_started(getppid()));
    assert_int_equal(jobs__pid_started(getpid()), mine);
}

/* The command may hold what looks like the end of its field. */
static void test_a_command_with_parentheses(void **state)
{
    (void)state;
    char before[32] = "";
    int64_t mine = jobs__pid_started(getpid());
    assert_int_equal(prctl(PR_GET_NAME, before), 0);
    assert_int_equal(prctl(PR_SET_NAME, ") Z 1 2 (x"), 0);
    assert_int_equal(jobs__pid_started(getpid()), mine);
    assert_int_equal(prctl(PR_SET_NAME, before), 0);
}

static void test_processes_that_are_not_there(void **state)
{
    (void)state;
    assert_int_equal(jobs__pid_started(0), 0);
    assert_int_equal(jobs__pid_started(-1), 0);
    assert_int_equal(jobs__pid_started(INT32_MAX), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(jobs__pid_started(pid), 0);
}

/* Killed, and not yet waited for by whoever started it: it will claim nothing any more. */
static void test_a_zombie_is_gone(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(jobs__pid_started(pid) > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(jobs__pid_started(pid), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_names_boot_and_namespace),
        cmocka_unit_test(test_own_process),
        cmocka_unit_test(test_a_command_with_parentheses),
        cmocka_unit_test(test_processes_that_are_not_there),
        cmocka_unit_test(test_a_zombie_is_gone),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
