#include "unit/loop/helper.h"

struct seen {
    struct loop *loop;
    struct loop_signals *signals;
    int stops, signum, hups;
};

static void on_stop(void *ctx, int signum)
{
    struct seen *s = ctx;
    s->stops++;
    s->signum = signum;
    loop_stop(s->loop);
}

static void on_hup(void *ctx)
{
    struct seen *s = ctx;
    s->hups++;
    loop_stop(s->loop);
}

static void open_all(struct seen *s)
{
    *s = (struct seen){.loop = new_loop(1)};
    s->signals = loop_signals_open(s->loop, on_stop, on_hup, s);
}

static void close_all(struct seen *s)
{
    loop_signals_close(s->signals);
    loop_free(s->loop);
}

static void raise_it(void *ctx)
{
    int *signum = ctx;
    kill(getpid(), *signum);
}

/* Runs until a handler stops the loop. */
static void run_and_raise(struct seen *s, int signum)
{
    struct timer_op guard;
    run_later(s->loop, 5, raise_it, &signum);
    timer_op_start(&guard, s->loop, 20000);
    loop_run(s->loop);
    op_cancel(&guard.op);
    loop_run(s->loop);
}

static void test_do_not_keep_the_loop_alive(void **state)
{
    (void)state;
    struct seen s;
    open_all(&s);
    loop_run(s.loop);
    assert_int_equal(s.stops, 0);
    close_all(&s);
    loop_signals_close(NULL);
}

static void test_first_signal_stops(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        struct seen s;
        open_all(&s);
        run_and_raise(&s, signals[i]);
        assert_int_equal(s.stops, 1);
        assert_int_equal(s.signum, signals[i]);
        close_all(&s);
    }
}

static void test_hup(void **state)
{
    (void)state;
    struct seen s;
    open_all(&s);
    run_and_raise(&s, SIGHUP);
    run_and_raise(&s, SIGHUP);
    assert_int_equal(s.hups, 2);
    assert_int_equal(s.stops, 0);
    close_all(&s);
}

static void test_pipe_is_ignored(void **state)
{
    (void)state;
    struct seen s;
    open_all(&s);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    close(fds[1]);
    close_all(&s);
}

/* Status of a child that gets first, then second while its loop hangs. */
static int status_after(int first, int second)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct seen s;
        open_all(&s);
        run_and_raise(&s, first);
        kill(getpid(), second);
        for (;;) {
            pause();
        }
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_second_signal_exits_even_if_the_loop_hangs(void **state)
{
    (void)state;
    assert_int_equal(status_after(SIGTERM, SIGTERM), 128 + SIGTERM);
    assert_int_equal(status_after(SIGTERM, SIGINT), 128 + SIGINT);
    assert_int_equal(status_after(SIGINT, SIGTERM), 128 + SIGTERM);
}

static void test_without_hup_handler(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct seen s = {.loop = l};
    s.signals = loop_signals_open(l, on_stop, NULL, &s);
    run_and_raise(&s, SIGTERM);
    assert_int_equal(s.stops, 1);
    close_all(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_signal_exits_even_if_the_loop_hangs),
        cmocka_unit_test(test_do_not_keep_the_loop_alive),
        cmocka_unit_test(test_first_signal_stops),
        cmocka_unit_test(test_hup),
        cmocka_unit_test(test_pipe_is_ignored),
        cmocka_unit_test(test_without_hup_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
