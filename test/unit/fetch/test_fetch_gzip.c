/* Decompression: the same whatever the pieces, whole or not, and never more than is allowed. */
#include "fetch/internal.h"
#include "unit/fetch/rig.h"

static enum fetch__piece feed(struct fetch_req *r, struct fetch__gunzip *g, struct span in,
                              size_t piece)
{
    enum fetch__piece result = FETCH__TAKEN;
    for (size_t i = 0; i < in.n && result == FETCH__TAKEN; i += piece) {
        size_t n = in.n - i < piece ? in.n - i : piece;
        result = fetch__gunzip(r, g, (struct span){in.p + i, n});
    }
    return result;
}

static char *text_of(size_t n, bool zeros)
{
    char *text = mem_alloc(n + 1);
    uint64_t seed = n;
    for (size_t i = 0; i < n && !zeros; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)("abcdefgh"[seed >> 61]);
    }
    return text;
}

static void check(size_t n, bool zeros, size_t piece)
{
    struct fetch_req r = {.max_body = n};
    struct fetch__gunzip g = {.begun = false};
    char *text = text_of(n, zeros);
    struct buf z = gzip_of(text, n);
    assert_true(fetch__gunzip_whole(&g));
    assert_int_equal(feed(&r, &g, buf_span(&z), piece), FETCH__TAKEN);
    assert_true(fetch__gunzip_whole(&g));
    assert_int_equal(r.body.n, n);
    assert_memory_equal(r.body.p ? r.body.p : "", text, n);
    fetch__gunzip_done(&g);
    fetch_done(&r);
    /* One byte less is too much. */
    if (n > 0) {
        r = (struct fetch_req){.max_body = n - 1};
        g = (struct fetch__gunzip){.begun = false};
        assert_int_equal(feed(&r, &g, buf_span(&z), piece), FETCH__OVER);
        assert_true(r.body.n < n);
        fetch__gunzip_done(&g);
        fetch_done(&r);
    }
    buf_done(&z);
    mem_free(text);
}

static void test_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     2,     257,   16383,  16384,
                                   16385, 16642, 32768, 32769, 100000, 1 << 20};
    static const size_t pieces[] = {1, 2, 13, 4096, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t k = 0; k < COUNT_OF(pieces); k++) {
            check(sizes[i], true, pieces[k]);
            check(sizes[i], false, pieces[k]);
        }
    }
}

/* Output that is still inside when the input is all in. */
static void test_what_is_left(void **state)
{
    (void)state;
    for (size_t n = 16384 - 300; n < 16384 + 300; n++) {
        struct fetch_req r = {.max_body = n};
        struct fetch__gunzip g = {.begun = false};
        struct buf z = gzip_of_zeros(n);
        /* Without checksum and length the stream has not ended, but its data have. */
        assert_int_equal(feed(&r, &g, (struct span){z.p, z.n - 8}, z.n), FETCH__TAKEN);
        assert_false(fetch__gunzip_whole(&g));
        assert_int_equal(r.body.n, n);
        fetch__gunzip_done(&g);
        fetch_done(&r);
        buf_done(&z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
