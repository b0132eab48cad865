#include <jansson.h>

#include "unit/geo/track_helper.h"

static void assert_refused(struct span text, int precision, const char *says)
{
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_polyline_decode(text, precision, &t, &err), -1);
    assert_int_equal(err.class, ERR_PERMANENT);
    assert_says(&err, says);
    assert_null(t.pt);
}

static void test_example(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct err err;
    assert_int_equal(geo_polyline_decode(SPAN("_p~iF~ps|U_ulLnnqC_mqNvxq`@"), 5, &t, &err), 0);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.nseg, 1);
    /* Equal, not near: the nearest double to the decimal number. */
    assert_true(t.pt[0].lat == 38.5 && t.pt[0].lon == -120.2);
    assert_true(t.pt[2].lat == 43.252 && t.pt[2].lon == -126.453);
    assert_int_equal(geo_track_check(&t, &err), 0);
    geo_track_done(&t);
}

static void test_empty(void **state)
{
    (void)state;
    struct geo_track t = {0};
    struct buf out = {0};
    struct err err;
    assert_int_equal(geo_polyline_decode((struct span){0}, 5, &t, &err), 0);
    assert_int_equal(t.n, 0);
    geo_polyline_encode(NULL, 0, 5, &out);
    assert_int_equal(out.n, 0);
    buf_done(&out);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused(SPAN("_p~iF~ps|U_ulL"), 5, "byte 14: a latitude without");
    assert_refused(SPAN("_p~iF~ps|U_ul"), 5,
                   "cut off at byte 13, inside the number that starts at 10");
    assert_refused(SPAN("_p~iF~ps|U_u L"), 5, "0x20 at 12");
    assert_refused(SPAN("?\x7f"), 5, "0x7f at 1");
    assert_refused(SPAN("?\xff"), 5, "0xff at 1");
    assert_refused(((struct span){"?\0", 2}), 5, "0x00 at 1");
    assert_refused(SPAN("????~~~~~~~?"), 5, "more than 7 digits at byte 4");
    /* Latitude 385: precision 6 read as 5. */
    assert_refused(SPAN("_izlhA~rlgdF"), 5, "point at byte 0");
    assert_refused(SPAN("_p~iF~ps|U_p~iF~ps|U_p~iF~ps|U"), 5, "point at byte 20");
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 11;
}

/* Decoding what was encoded gives the rounded numbers, and encoding those the same text. */
static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 400; round++) {
        struct geo_pt pt[50];
        struct geo_track t = {0}, again = {0};
        struct buf one = {0}, two = {0};
        struct err err;
        int precision = 5 + round % 2;
        double scale = precision == 5 ? 1e5 : 1e6;
        for (size_t i = 0; i < COUNT_OF(pt); i++) {
            pt[i].lon = (double)(next_random(&seed) % 360000001) / 1e6 - 180;
            pt[i].lat = (double)(next_random(&seed) % 180000001) / 1e6 - 90;
        }
        geo_polyline_encode(pt, COUNT_OF(pt), precision, &one);
        assert_int_equal(geo_polyline_decode(buf_span(&one), precision, &t, &err), 0);
        for (size_t i = 0; i < COUNT_OF(pt); i++) {
            assert_near(t.pt[i].lon, pt[i].lon, 0.500001 / scale);
            assert_near(t.pt[i].lat, pt[i].lat, 0.500001 / scale);
        }
        geo_polyline_encode(t.pt, t.n, precision, &two);
        assert_true(span_eq(buf_span(&one), buf_span(&two)));
        assert_int_equal(geo_polyline_decode(buf_span(&two), precision, &again, &err), 0);
        assert_memory_equal(t.pt, again.pt, t.n * sizeof(*t.pt));
        geo_track_done(&t);
        geo_track_done(&again);
        buf_done(&one);
        buf_done(&two);
    }
}

/* Strava writes tracks over the antimeridian with longitudes that go on counting. */
static void test_antimeridian(void **state)
{
    (void)state;
    struct geo_pt over[] = {{179.9, -17}, {180.1, -17}}, beyond[] = {{540.1, 0}};
    struct geo_track t = {0};
    struct buf out = {0};
    struct err err;
    geo_polyline_encode(over, 2, 5, &out);
    assert_int_equal(geo_polyline_decode(buf_span(&out), 5, &t, &err), 0);
    assert_true(t.pt[1].lon == -179.9);
    assert_near(geo_track_length_m(&t), 21291, 30);
    geo_track_done(&t);
    buf_clear(&out);
    geo_polyline_encode(beyond, 1, 5, &out);
    assert_refused(buf_span(&out), 5, "longitude 540.1");
    buf_done(&out);
}

static void test_vectors(void **state)
{
    (void)state;
    need_shared_data();
    struct span bytes = read_whole(SHARED_DATA "/vectors/polyline/vectors.json");
    struct err err;
    json_t *all = json_read(bytes, bytes.n, 16, &err);
    assert_non_null(all);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *v = json_array_get(all, i), *points = json_object_get(v, "points");
        int precision = (int)json_integer_value(json_object_get(v, "precision"));
        const char *text = json_string_value(json_object_get(v, "polyline"));
        struct geo_track t = {0};
        struct buf out = {0};
        assert_int_equal(geo_polyline_decode(span_of(text), precision, &t, &err), 0);
        assert_int_equal(t.n, json_array_size(points));
        for (size_t k = 0; k < t.n; k++) {
            const json_t *p = json_array_get(points, k);
            assert_true(t.pt[k].lat == json_number_value(json_array_get(p, 0)));
            assert_true(t.pt[k].lon == json_number_value(json_array_get(p, 1)));
        }
        geo_polyline_encode(t.pt, t.n, precision, &out);
        assert_true(span_is(buf_span(&out), text));
        geo_track_done(&t);
        buf_done(&out);
    }
    json_decref(all);
    mem_free((void *)(uintptr_t)bytes.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),      cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_antimeridian), cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
