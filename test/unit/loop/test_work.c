#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>

#include "unit/loop/helper.h"

enum { THREADS = 2, ITEMS = 12 };

static atomic_int running, most, ran;
static atomic_bool open_gate;

struct item {
    struct work work;
    int sleep_ms;
    bool fails, mute;
    int finished; /* in which order */
};

static int finished;

static int run_item(struct work *w, struct err *err)
{
    struct item *i = container_of(w, struct item, work);
    int now = atomic_fetch_add(&running, 1) + 1;
    int seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
    }
    if (i->sleep_ms) {
        usleep((useconds_t)i->sleep_ms * 1000);
    }
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&ran, 1);
    if (i->fails) {
        return i->mute ? -1 : err_set(err, ERR_GEOS, ERR_PERMANENT, "ring is not closed");
    }
    return 0;
}

static int run_behind_gate(struct work *w, struct err *err)
{
    while (!atomic_load(&open_gate)) {
        usleep(1000);
    }
    return run_item(w, err);
}

static void item_done(struct op *op)
{
    container_of(op, struct item, work.op)->finished = ++finished;
}

static void start(struct item *i, struct loop *l, int (*run)(struct work *, struct err *))
{
    work_start(&i->work, l, run);
    op_await(&i->work.op, item_done, NULL);
}

static int reset(void **state)
{
    (void)state;
    atomic_store(&running, 0);
    atomic_store(&most, 0);
    atomic_store(&ran, 0);
    atomic_store(&open_gate, false);
    finished = 0;
    return 0;
}

static void test_at_most_n_run_at_once(void **state)
{
    (void)state;
    struct loop *l = new_loop(THREADS);
    struct item items[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++) {
        items[i].sleep_ms = 10;
        start(&items[i], l, run_item);
        assert_true(work_in_flight(l) <= THREADS);
    }
    assert_int_equal(work_in_flight(l), THREADS);
    loop_run(l);
    assert_int_equal(atomic_load(&most), THREADS);
    assert_int_equal(atomic_load(&ran), ITEMS);
    assert_int_equal(finished, ITEMS);
    assert_int_equal(work_in_flight(l), 0);
    for (int i = 0; i < ITEMS; i++) {
        assert_true(items[i].work.ok);
        assert_false(items[i].work.op.failed);
    }
    loop_free(l);
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item items[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++) {
        start(&items[i], l, run_item);
    }
    loop_run(l);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(items[i].finished, i + 1);
    }
    loop_free(l);
}

static void test_failure(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item a = {.fails = true}, b = {.fails = true, .mute = true};
    start(&a, l, run_item);
    start(&b, l, run_item);
    loop_run(l);
    assert_true(a.work.op.failed && b.work.op.failed);
    assert_string_equal(a.work.op.err.msg, "ring is not closed");
    assert_int_equal(a.work.op.err.domain, ERR_GEOS);
    assert_int_equal(b.work.op.err.class, ERR_BUG);
    loop_free(l);
}

static void set_gate(void *ctx)
{
    (void)ctx;
    atomic_store(&open_gate, true);
}

static void test_cancel(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item items[5] = {0};
    for (int i = 0; i < 5; i++) {
        start(&items[i], l, run_behind_gate);
    }
    usleep(20000);                /* the first one runs now */
    op_cancel(&items[0].work.op); /* runs on */
    op_cancel(&items[2].work.op); /* from the middle, the end and the head of the queue */
    op_cancel(&items[4].work.op);
    op_cancel(&items[1].work.op);
    assert_int_equal(finished, 0);
    run_later(l, 10, set_gate, NULL);
    loop_run(l);
    assert_int_equal(finished, 5);
    assert_int_equal(atomic_load(&ran), 2);
    assert_false(items[0].work.op.failed);
    assert_true(items[0].work.op.cancelled);
    assert_false(items[3].work.op.failed);
    for (int i = 1; i < 5; i += i == 2 ? 2 : 1) {
        assert_true(items[i].work.op.failed);
        assert_int_equal(items[i].work.op.err.code, UV_ECANCELED);
    }
    loop_free(l);
}

static void test_queue_is_usable_after_cancelling_its_tail(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    struct item items[4] = {0};
    for (int i = 0; i < 3; i++) {
        start(&items[i], l, run_item);
    }
    op_cancel(&items[2].work.op);
    op_cancel(&items[1].work.op);
    start(&items[3], l, run_item);
    loop_run(l);
    assert_int_equal(finished, 4);
    assert_false(items[3].work.op.failed);
    loop_free(l);
}

/* Work of libuv's own that occupies its threads, so that ours waits there and uv_cancel can take it
 * back. */
static void occupy(uv_work_t *req)
{
    (void)req;
    while (!atomic_load(&open_gate)) {
        usleep(1000);
    }
}

static void test_cancel_before_a_thread_took_it(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    uv_work_t blockers[16];
    for (int i = 0; i < 16; i++) {
        assert_int_equal(uv_queue_work(loop_uv(l), &blockers[i], occupy, NULL), 0);
    }
    struct item i = {0};
    start(&i, l, run_item);
    op_cancel(&i.work.op);
    run_later(l, 5, set_gate, NULL);
    loop_run(l);
    assert_int_equal(finished, 1);
    assert_int_equal(atomic_load(&ran), 0);
    assert_true(i.work.op.failed);
    loop_free(l);
}

/* ---- DNS ---------------------------------------------------------------------------------------
 */

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    int *result = req->data;
    *result = status;
    uv_freeaddrinfo(res);
    atomic_store(&open_gate, true); /* only now may the workers go on */
}

static void test_dns_is_not_starved(void **state)
{
    (void)state;
    struct loop *l = new_loop(THREADS);
    struct item items[ITEMS] = {0};
    for (int i = 0; i < ITEMS; i++) {
        start(&items[i], l, run_behind_gate);
    }
    int result = 1;
    uv_getaddrinfo_t req = {.data = &result};
    assert_int_equal(uv_getaddrinfo(loop_uv(l), &req, resolved, "localhost", NULL, NULL), 0);
    loop_run(l);
    assert_int_equal(result, 0);
    assert_int_equal(finished, ITEMS);
    loop_free(l);
}

static void free_with_work(void *ctx)
{
    struct item i = {0};
    start(&i, ctx, run_behind_gate);
    loop_free(ctx);
}

static void test_programming_errors(void **state)
{
    (void)state;
    struct loop *l = new_loop(1);
    assert_true(dies(free_with_work, l));
    loop_free(l);
}

int main(void)
{
    /* Before libuv's threads exist: a child has none of them. */
    setenv("UV_THREADPOOL_SIZE", "4", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_programming_errors, reset),
        cmocka_unit_test_setup(test_at_most_n_run_at_once, reset),
        cmocka_unit_test_setup(test_first_in_first_out, reset),
        cmocka_unit_test_setup(test_failure, reset),
        cmocka_unit_test_setup(test_cancel, reset),
        cmocka_unit_test_setup(test_queue_is_usable_after_cancelling_its_tail, reset),
        cmocka_unit_test_setup(test_cancel_before_a_thread_took_it, reset),
        cmocka_unit_test_setup(test_dns_is_not_starved, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
