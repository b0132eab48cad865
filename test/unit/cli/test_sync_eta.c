/* How long calls take under a quota, and how that is told. */
#include "cli/cmd_sync.h"
#include "unit/base/helper.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

/* 70 of 100 a quarter hour, 700 of 1,000 a day; ten minutes and five hours are left. */
static const struct sync_budget fresh = {
    .left15 = 70, .leftday = 700, .cap15 = 70, .capday = 700, .end15_s = 600, .endday_s = 18000};

static void test_within_a_window(void **state)
{
    (void)state;
    assert_near(cli__sync_eta_s(&fresh, 0, 1), 0, 1e-9);
    assert_near(cli__sync_eta_s(&fresh, 70, 1), 70, 1e-9);
    assert_near(cli__sync_eta_s(&fresh, 70, 0), 0, 1e-9);
    assert_near(cli__sync_wait_s(&fresh), 0, 1e-9);
}

static void test_over_windows(void **state)
{
    (void)state;
    /* The 71st waits for the next quarter hour, the 141st for the one after it. */
    assert_near(cli__sync_eta_s(&fresh, 71, 1), 601, 1e-9);
    assert_near(cli__sync_eta_s(&fresh, 140, 1), 670, 1e-9);
    assert_near(cli__sync_eta_s(&fresh, 141, 1), 1501, 1e-9);
    /* Slow ones do not fit. */
    assert_near(cli__sync_eta_s(&fresh, 70, 20), 1400, 1e-9);
    /* After 700 the day is over: they go on at midnight, for ten more windows. */
    assert_near(cli__sync_eta_s(&fresh, 701, 1), 18001, 1e-9);
    assert_near(cli__sync_eta_s(&fresh, 701 + 700, 1), 18000 + 86400 + 1, 1e-9);
}

static void test_nothing_left(void **state)
{
    (void)state;
    struct sync_budget b = fresh;
    b.left15 = 0;
    assert_near(cli__sync_wait_s(&b), 600, 1e-9);
    assert_near(cli__sync_eta_s(&b, 1, 1), 601, 1e-9);
    b.leftday = 0;
    assert_near(cli__sync_wait_s(&b), 18000, 1e-9);
    assert_near(cli__sync_eta_s(&b, 1, 1), 18001, 1e-9);
    b = fresh;
    b.paused_s = 1000; /* past the end of this window */
    assert_near(cli__sync_wait_s(&b), 1000, 1e-9);
    assert_near(cli__sync_eta_s(&b, 5, 1), 1005, 1e-9);
    b = fresh;
    b.cap15 = 0;
    assert_true(isinf(cli__sync_eta_s(&b, 1, 1)));
    assert_near(cli__sync_eta_s(&b, 0, 1), 0, 1e-9);
}

static void test_words(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct sync_budget b = fresh;
    int64_t now = 1782914400; /* 2026-07-01 14:00 UTC, a Wednesday */
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now), "about 40 s left");
    assert_string_equal(cli__sync_note(a, &b, 40, 1, true, now), "at least 40 s left");
    assert_string_equal(cli__sync_note(a, &b, 200, 1, false, now), "about 26 min left");
    assert_string_equal(cli__sync_note(a, &b, 600, 1, false, now), "about 2 h left");
    assert_string_equal(cli__sync_note(a, &b, 5000, 1, false, now), "about 7 days left");
    b.left15 = 0;
    b.end15_s = 900;
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now),
                        "quota used up, goes on at 14:15; about 16 min left");
    b.end15_s = 2;
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now), "about 42 s left");
    b.leftday = 0;
    b.endday_s = 50000;
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now),
                        "quota used up, goes on at Thu 03:53; about 14 h left");
    b = fresh;
    b.paused_s = 300;
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now),
                        "calls are paused, goes on at 14:05; about 6 min left");
    b.capday = 0;
    assert_string_equal(cli__sync_note(a, &b, 40, 1, false, now),
                        "calls are paused, goes on at 14:05; no calls are allowed");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_a_window),
        cmocka_unit_test(test_over_windows),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests_name("how long calls take", tests, NULL, NULL);
}
