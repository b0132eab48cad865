#include "unit/geo/track_helper.h"

/* Bytes from hex as psql prints them; blanks are ignored. Returns how many. */
static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (char)byte;
        hex++;
    }
    return n;
}

static int read_hex(const char *hex, bool m_is_time, struct geo_track *t, struct err *err)
{
    char bytes[1024];
    /* Exactly as large as the data, so that a sanitizer sees a read past the end. */
    size_t n = from_hex(hex, bytes);
    char *copy = mem_alloc(n > 0 ? n : 1);
    memcpy(copy, bytes, n);
    int rc = geo_ewkb_read((struct span){copy, n}, m_is_time, t, err);
    mem_free(copy);
    return rc;
}

static void assert_refused(const char *hex, const char *says)
{
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(read_hex(hex, true, &t, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    assert_null(t.pt);
}

#define ONE  "000000000000F03F" /* 1.0, little-endian */
#define TWO  "0000000000000040"
#define FOUR "0000000000001040"
#define NANS "000000000000F87F"

/* Each of these is a line from 1,2 to 2,1. */
static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool timed;
    } cases[] = {
        {"01 02000020 E6100000 02000000" ONE TWO TWO ONE, false},
        {"01 02000000 02000000" ONE TWO TWO ONE, false},
        {"00 00000002 00000002 3FF0000000000000 4000000000000000 4000000000000000 "
         "3FF0000000000000",
         false},
        {"01 02000080 02000000" ONE TWO FOUR TWO ONE FOUR, false},        /* Z */
        {"01 02000040 02000000" ONE TWO FOUR TWO ONE FOUR, true},         /* M */
        {"01 020000C0 02000000" ONE TWO ONE FOUR TWO ONE ONE FOUR, true}, /* ZM */
        {"01 EA030000 02000000" ONE TWO FOUR TWO ONE FOUR, false},        /* ISO 1002 */
        {"01 D2070000 02000000" ONE TWO FOUR TWO ONE FOUR, true},         /* ISO 2002 */
        {"01 BA0B0000 02000000" ONE TWO ONE FOUR TWO ONE ONE FOUR, true}, /* ISO 3002 */
        {"01 05000020 E6100000 01000000 01 02000000 02000000" ONE TWO TWO ONE, false},
        {"01 07000000 01000000 00 00000002 00000002 3FF0000000000000 4000000000000000 "
         "4000000000000000 3FF0000000000000",
         false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_track t = {0};
        struct err err = {0};
        if (read_hex(cases[i].hex, true, &t, &err) != 0)
            fail_msg("%zu: %s", i, err.msg);
        assert_int_equal(t.n, 2);
        assert_int_equal(t.nseg, 1);
        assert_true(t.pt[0].lon == 1 && t.pt[0].lat == 2 && t.pt[1].lon == 2 && t.pt[1].lat == 1);
        assert_int_equal(t.t != NULL, cases[i].timed);
        if (cases[i].timed)
            assert_true(t.t[0] == 4 && t.t[1] == 4);
        geo_track_done(&t);
    }
}

static void test_m_is_not_time(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(read_hex("01 02000040 01000000" ONE TWO FOUR, false, &t, &err), 0);
    assert_null(t.t);
    geo_track_done(&t);
}

static void test_empty_and_points(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        size_t n, nseg;
    } cases[] = {
        {"01 02000000 00000000", 0, 0},
        {"01 05000000 00000000", 0, 0},
        {"01 07000000 00000000", 0, 0},
        {"01 01000000" NANS NANS, 0, 0},
        {"01 01000000" ONE TWO, 1, 1},
        {"01 05000000 02000000 01 02000000 00000000 01 02000000 01000000" ONE TWO, 1, 1},
        {"01 07000000 02000000 01 01000000" ONE TWO "01 02000000 02000000" ONE ONE TWO TWO, 3, 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct geo_track t = {0};
        struct err err;
        assert_int_equal(read_hex(cases[i].hex, true, &t, &err), 0);
        assert_int_equal(t.n, cases[i].n);
        assert_int_equal(t.nseg, cases[i].nseg);
        geo_track_done(&t);
    }
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("", "cut off");
    assert_refused("02", "byte order 2");
    assert_refused("01 0200", "cut off after byte 1");
    assert_refused("01 03000000 00000000", "Polygon");
    assert_refused("01 04000000 00000000", "MultiPoint");
    assert_refused("01 10000000 00000000", "Tin");
    assert_refused("01 63000000 00000000", "unknown type");
    assert_refused("01 A10F0000 00000000", "unknown type");
    assert_refused("01 02000020 110F0000 00000000", "SRID 3857");
    assert_refused("01 02000020 E610", "cut off");
    assert_refused("01 01000000" ONE, "cut off");
    assert_refused("01 02000000 02000000" ONE TWO TWO, "announces a line of 2 points");
    /* Four billion points in 9 bytes: refused before anything is allocated for them. */
    assert_refused("01 02000000 FFFFFFFF", "announces a line of 4294967295 points");
    assert_refused("01 05000000 FFFFFFFF", "announces 4294967295 parts");
    assert_refused("01 05000000 01000000 01 01000000" ONE TWO, "Point inside a MultiLineString");
    assert_refused("01 02000000 01000000" ONE TWO "00", "1 bytes after its geometry");
    assert_refused("01 02000000 01000000" NANS TWO, "point at byte 9");
    assert_refused("01 02000000 01000000 0000000000C06440 0000000000C06440", "no position");
    char nested[9 * 20 * 2 + 1] = "";
    for (size_t i = 0; i < 20; i++)
        memcpy(nested + 18 * i, "010700000001000000", 18);
    assert_refused(nested, "more than 8 deep");
}

static void test_write_line(void **state)
{
    (void)state;
    struct geo_pt pt[] = {{1, 2}, {2, 1}};
    struct buf out = {0};
    char want[64];
    geo_ewkb_line(pt, 2, &out);
    size_t n = from_hex("01 02000020 E6100000 02000000" ONE TWO TWO ONE, want);
    assert_int_equal(out.n, n);
    assert_memory_equal(out.p, want, n);
    buf_done(&out);
}

static void test_write_track(void **state)
{
    (void)state;
    static const double times[] = {NAN, 10, NAN, NAN, 40, NAN};
    static const double want[] = {10, 10, 20, 40, 40};
    struct geo_track t = {0}, back = {0};
    struct buf out = {0};
    struct err err;
    /* The segment of one point is left out, but its time is still a neighbour. */
    for (size_t i = 0; i < COUNT_OF(times); i++)
        assert_int_equal(
            geo_track_add(&t, (struct geo_pt){(double)i, 0}, times[i], i >= 3 && i < 5, &err), 0);
    assert_int_equal(t.nseg, 3);
    geo_ewkb_track(&t, &out);
    assert_int_equal(geo_ewkb_read(buf_span(&out), true, &back, &err), 0);
    assert_int_equal(back.n, COUNT_OF(want));
    assert_int_equal(back.nseg, 2);
    for (size_t i = 0; i < back.n; i++)
        assert_near(back.t[i], want[i], 1e-9);
    geo_track_done(&t);
    geo_track_done(&back);
    buf_done(&out);
}

static void test_write_without_times(void **state)
{
    (void)state;
    struct geo_track t = {0}, back = {0};
    struct buf out = {0};
    struct err err;
    geo_ewkb_track(&t, &out);
    assert_int_equal(out.n, 13);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(geo_track_add(&t, (struct geo_pt){(double)i, 1}, NAN, i == 2, &err), 0);
    buf_clear(&out);
    geo_ewkb_track(&t, &out);
    assert_int_equal(geo_ewkb_read(buf_span(&out), true, &back, &err), 0);
    assert_int_equal(back.nseg, 2);
    assert_null(back.t);
    assert_memory_equal(back.pt, t.pt, 4 * sizeof(*t.pt));
    geo_track_done(&t);
    geo_track_done(&back);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_m_is_not_time),
        cmocka_unit_test(test_empty_and_points),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_write_line),
        cmocka_unit_test(test_write_track),
        cmocka_unit_test(test_write_without_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
