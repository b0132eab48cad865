#include "unit/geo/track_helper.h"

static void test_known_positions(void **state)
{
    (void)state;
    struct geo_xyz p = geo_xyz_of((struct geo_pt){0, 0});
    assert_near(p.x, 6378137, 1e-6);
    assert_near(p.y, 0, 1e-6);
    p = geo_xyz_of((struct geo_pt){90, 0});
    assert_near(p.y, 6378137, 1e-6);
    p = geo_xyz_of((struct geo_pt){123, 90});
    assert_near(p.z, 6356752.314245, 1e-6);
    assert_near(hypot(p.x, p.y), 0, 1e-6);
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (double lat = -90; lat <= 90; lat += 7.5) {
        for (double lon = -180; lon <= 180; lon += 11.25) {
            const struct geo_pt p = {lon, lat}, q = geo_pt_of(geo_xyz_of(p));
            assert_near(q.lat, lat, 1e-11);
            if (fabs(lat) < 90 && fabs(lon) < 180)
                assert_near(q.lon, lon, 1e-11);
            assert_near(geo_distance_m(p, q), 0, 1e-5);
        }
    }
}

/* Lengths by Karney's geodesics (GeographicLib 2.0). */
static void test_distance(void **state)
{
    (void)state;
    const double degree_at_equator = 111319.490793, degree_to_50 = 111229.030;
    assert_near(geo_distance_m((struct geo_pt){10, 0}, (struct geo_pt){11, 0}), degree_at_equator,
                0.01);
    assert_near(geo_distance_m((struct geo_pt){3, 49.5}, (struct geo_pt){3, 50.5}), degree_to_50,
                1);
    /* A quarter of a meridian, and from pole to pole. */
    assert_near(geo_distance_m((struct geo_pt){0, 0}, (struct geo_pt){0, 90}), 10001965.73, 20);
    assert_near(geo_distance_m((struct geo_pt){0, -90}, (struct geo_pt){0, 90}), 20003931.46, 40);
}

static void test_over_the_antimeridian(void **state)
{
    (void)state;
    const double over = geo_distance_m((struct geo_pt){179.9, 10}, (struct geo_pt){-179.9, 10});
    assert_near(over, geo_distance_m((struct geo_pt){5, 10}, (struct geo_pt){5.2, 10}), 1e-6);
    assert_near(geo_distance_m((struct geo_pt){180, 10}, (struct geo_pt){-180, 10}), 0, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_positions),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_over_the_antimeridian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
