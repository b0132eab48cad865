#include "jobs/jobs.h"
#include "unit/base/helper.h"

static void test_doubles_up_to_an_hour(void **state)
{
    (void)state;
    static const struct {
        int attempt;
        double middle;
    } row[] = {{0, 2},     {1, 2},     {2, 4},      {3, 8},           {10, 1024},
               {11, 2048}, {12, 3600}, {100, 3600}, {INT32_MAX, 3600}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        assert_near(jobs_backoff_s(row[i].attempt, 0, 0.5), row[i].middle, 1e-9);
        assert_near(jobs_backoff_s(row[i].attempt, 0, 0.0), row[i].middle / 2, 1e-9);
        double most = jobs_backoff_s(row[i].attempt, 0, 0.999999);
        assert_true(most < row[i].middle * 1.5 && most > row[i].middle * 1.49);
    }
}

static void test_the_error_knows_better(void **state)
{
    (void)state;
    assert_near(jobs_backoff_s(1, 3000, 0.0), 3, 1e-9);
    assert_near(jobs_backoff_s(12, 900000, 0.5), 990, 1e-9);
}

/* What the other side says is a wish, not an order. */
static void test_the_error_is_not_trusted(void **state)
{
    (void)state;
    const int64_t year_ms = INT64_C(365) * 86400 * 1000;
    static const int64_t no_time[] = {0, -1, -5, -86400000, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(no_time); i++) {
        assert_near(jobs_backoff_s(1, no_time[i], 0.5), 2, 1e-9); /* its own choice */
        assert_near(jobs_backoff_s(3, no_time[i], 0.0), 4, 1e-9);
    }
    assert_near(jobs_backoff_s(1, 1, 0.0), 0.5, 1e-9);
    const int64_t far[] = {86400000, 86400001, year_ms, 1000 * year_ms, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        assert_near(jobs_backoff_s(1, far[i], 0.0), 86400, 1e-6);
        assert_true(jobs_backoff_s(1, far[i], 0.999999) < 1.2 * 86400);
    }
}

/* All heard the same number at the same moment. */
static void test_they_do_not_come_back_together(void **state)
{
    (void)state;
    static const int64_t said[] = {500, 60000, 900000, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        double first = jobs_backoff_s(1, said[i], 0.0), last = jobs_backoff_s(1, said[i], 0.999999);
        assert_true(first >=
                    (said[i] < 86400000 ? (double)said[i] / 1000 : 86400)); /* not sooner */
        assert_near(last / first, 1.2, 1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_an_hour),
        cmocka_unit_test(test_the_error_knows_better),
        cmocka_unit_test(test_the_error_is_not_trusted),
        cmocka_unit_test(test_they_do_not_come_back_together),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
