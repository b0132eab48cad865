#include "unit/base/helper.h"

struct point {
    double x, y;
};

static void test_vec(void **state)
{
    (void)state;
    struct {
        VEC(struct point);
    } v = {0};
    for (int i = 0; i < 1000; i++) {
        *vec_push(&v) = (struct point){i, -i};
    }
    assert_int_equal(v.n, 1000);
    assert_true(v.v[999].y == -999);
    vec_reserve(&v, 5000);
    assert_true(v.cap >= 5000);
    assert_int_equal(v.n, 1000);
    vec_done(&v);
    assert_null(v.v);
    assert_int_equal(v.cap, 0);
    vec_done(&v);
}

static void overflow(void *ctx)
{
    size_t *cap = ctx;
    (void)vec_grow_(NULL, cap, SIZE_MAX / 4, 8);
}

static void test_vec_overflow(void **state)
{
    (void)state;
    size_t cap = 0;
    assert_true(dies(overflow, &cap));
}

static void test_buf(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_span(&b).n, 0);
    buf_clear(&b);
    buf_put(&b, NULL, 0);
    assert_string_equal(b.p, "");
    buf_puts(&b, "gr");
    buf_putc(&b, '-');
    buf_printf(&b, "%d%s", 10, "");
    assert_string_equal(b.p, "gr-10");
    assert_true(span_is(buf_span(&b), "gr-10"));
    char *memory = b.p;
    buf_clear(&b);
    assert_ptr_equal(b.p, memory);
    assert_string_equal(b.p, "");
    for (int i = 0; i < 10000; i++) {
        buf_printf(&b, "%d,", i % 10);
    }
    assert_int_equal(b.n, 20000);
    assert_int_equal(b.p[b.n], 0);
    buf_done(&b);
    assert_null(b.p);
    buf_done(&b);
    buf_done(NULL);
}

static void test_big_endian(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_be32(&b, 0x01020304);
    buf_be64(&b, 0xf1f2f3f4f5f6f7f8u);
    assert_int_equal(b.n, 12);
    assert_memory_equal(b.p, "\x01\x02\x03\x04\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8", 12);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vec),
        cmocka_unit_test(test_vec_overflow),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
