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
    assert_near(jobs_backoff_s(1, 1, 0.7), 0.001, 1e-12);
    assert_near(jobs_backoff_s(12, 900000, 0.7), 900, 1e-9);
    assert_near(jobs_backoff_s(1, -5, 0.5), 2, 1e-9); /* not a time: its own choice */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_an_hour),
        cmocka_unit_test(test_the_error_knows_better),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
