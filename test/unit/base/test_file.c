#include "unit/base/helper.h"

static struct err e;

static void test_whole_file(void **state)
{
    (void)state;
    struct buf big = {0}, got = {0};
    for (int i = 0; i < 100000; i++) {
        buf_printf(&big, "%d\n", i);
    }
    const char *path = temp_file(big.p, big.n);
    buf_puts(&got, "before:");
    assert_int_equal(file_read(path, big.n + 7, &got, &e), 0);
    assert_int_equal(got.n, big.n + 7);
    assert_memory_equal(got.p + 7, big.p, big.n);
    buf_clear(&got);
    assert_int_equal(file_read(path, big.n - 1, &got, &e), -1);
    assert_int_equal(e.class, ERR_PERMANENT);
    unlink(path);
    buf_done(&big);
    buf_done(&got);
}

static void test_not_readable(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(file_read("/nonexistent", 100, &b, &e), -1);
    assert_string_equal(e.msg, "opening it: No such file or directory");
    assert_int_equal(file_read("/tmp", 100, &b, &e), -1);
    assert_string_equal(e.msg, "it is a folder");
    assert_int_equal(file_read("/dev/zero", 100000, &b, &e), -1); /* no size, and no end */
    assert_int_equal(e.class, ERR_PERMANENT);
    buf_done(&b);
}

static void test_gzip_is_named(void **state)
{
    (void)state;
    struct buf b = {0};
    const char *path = temp_file("\x1f\x8b\x08", 3);
    assert_int_equal(file_read(path, 100, &b, &e), -1);
    assert_non_null(strstr(e.msg, "gzip"));
    unlink(path);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_not_readable),
        cmocka_unit_test(test_gzip_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
