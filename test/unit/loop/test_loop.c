#include "unit/loop/helper.h"

struct item {
    struct ready ready;
    struct loop *loop;
    struct item *also; /* queued when this one runs */
    int again;         /* how often it queues itself */
    int ran;
    char **trace;
    char name;
};

static void run_item(struct ready *r)
{
    struct item *i = container_of(r, struct item, ready);
    i->ran++;
    if (i->trace) {
        *(*i->trace)++ = i->name;
    }
    if (i->also) {
        loop_ready(i->loop, &i->also->ready);
        i->also = NULL;
    }
    if (i->again > 0) {
        i->again--;
        loop_ready(i->loop, r);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct err e;
    assert_null(loop_new(0, &e));
    assert_int_equal(e.domain, ERR_USAGE);
    assert_null(loop_new(65, NULL));
    assert_null(loop_free(NULL));
}

static void test_nothing_to_do_ends(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    loop_run(l);
    assert_true(loop_now_ms(l) > 0);
    assert_int_equal(loop_flow_count(l), 0);
    assert_null(loop_free(l));
}

static void test_ready_order(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    char trace[8] = "", *at = trace;
    struct item c = {.ready.fn = run_item, .loop = l, .trace = &at, .name = 'c'};
    struct item a = {.ready.fn = run_item, .loop = l, .trace = &at, .name = 'a', .also = &c};
    struct item b = {.ready.fn = run_item, .loop = l, .trace = &at, .name = 'b'};
    loop_ready(l, &a.ready);
    loop_ready(l, &b.ready);
    assert_int_equal(a.ran, 0); /* never in the stack of the caller */
    loop_run(l);
    assert_string_equal(trace, "abc");
    loop_free(l);
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

/* An item that always queues itself again must not keep timers and I/O from their turn. */
static void test_ready_does_not_starve_io(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item busy = {.ready.fn = run_item, .loop = l, .again = INT32_MAX};
    loop_ready(l, &busy.ready);
    run_later(l, 20, stop, l);
    loop_run(l);
    assert_true(busy.ran > 10);
    busy.again = 0;
    loop_run(l);
    loop_free(l);
}

static void queue_item(void *ctx)
{
    struct item *i = ctx;
    loop_ready(i->loop, &i->ready);
}

static void test_ready_from_a_timer(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item i = {.ready.fn = run_item, .loop = l};
    run_later(l, 5, queue_item, &i);
    loop_run(l);
    assert_int_equal(i.ran, 1);
    loop_free(l);
}

static void test_free_drains_what_is_queued(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item i = {.ready.fn = run_item, .loop = l, .again = 5};
    loop_ready(l, &i.ready);
    loop_stop(l);
    loop_free(l);
    assert_int_equal(i.ran, 6);
}

static void queue_twice(void *ctx)
{
    struct item *i = ctx;
    loop_ready(i->loop, &i->ready);
    loop_ready(i->loop, &i->ready);
}

static void free_with_open_handle(void *ctx)
{
    uv_timer_t timer;
    uv_timer_init(loop_uv(ctx), &timer);
    loop_free(ctx);
}

static void free_with_busy_queue(void *ctx)
{
    struct item i = {.ready.fn = run_item, .loop = ctx, .again = INT32_MAX};
    loop_ready(ctx, &i.ready);
    loop_free(ctx);
}

static void *use_from_thread(void *ctx)
{
    struct item i = {.ready.fn = run_item, .loop = ctx};
    loop_ready(ctx, &i.ready);
    return NULL;
}

static void use_elsewhere(void *ctx)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, use_from_thread, ctx) == 0) {
        pthread_join(thread, NULL);
    }
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item i = {.ready.fn = run_item, .loop = l};
    assert_true(dies(queue_twice, &i));
    assert_true(dies(free_with_open_handle, l));
    assert_true(dies(free_with_busy_queue, l));
    assert_true(dies(use_elsewhere, l));
    loop_free(l);
}

static void test_thread_pool_size(void **state)
{
    (void)state;
    unsetenv("UV_THREADPOOL_SIZE");
    loop_free(new_loop(3));
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "5");
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    loop_free(new_loop(1));
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "3");
    setenv("UV_THREADPOOL_SIZE", "12", 1);
    loop_free(new_loop(4));
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "12");
    setenv("UV_THREADPOOL_SIZE", "many", 1);
    loop_free(new_loop(4));
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nothing_to_do_ends),
        cmocka_unit_test(test_ready_order),
        cmocka_unit_test(test_ready_does_not_starve_io),
        cmocka_unit_test(test_ready_from_a_timer),
        cmocka_unit_test(test_free_drains_what_is_queued),
        cmocka_unit_test(test_programming_errors),
        cmocka_unit_test(test_thread_pool_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
