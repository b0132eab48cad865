/* Cron expressions: what they mean, what is refused and how, what is warned of. */
#include "jobs/jobs.h"
#include "unit/base/helper.h"

#define ALL(n, from) (((UINT64_C(1) << (n)) - 1) << (from))
#define BIT(k)       (UINT64_C(1) << (k))

static struct jobs_cron parsed(const char *spec)
{
    struct jobs_cron c;
    struct err err = {0};
    if (jobs_cron_parse(span_of(spec), &c, &err)) {
        fail_msg("\"%s\": %s", spec, err.msg);
    }
    return c;
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        uint64_t minutes, hours, days, months, weekdays;
        bool any_day, any_hour;
    } row[] = {
        {"* * * * *", ALL(60, 0), ALL(24, 0), ALL(31, 1), ALL(12, 1), ALL(7, 0), false, true},
        {"0 0 1 1 0", 1, 1, 2, 2, 1, true, false},
        {"59 23 31 12 6", BIT(59), BIT(23), BIT(31), BIT(12), BIT(6), true, false},
        {"05 007 * * *", BIT(5), BIT(7), ALL(31, 1), ALL(12, 1), ALL(7, 0), false, false},
        {"*/15 * * * *", 1 | BIT(15) | BIT(30) | BIT(45), ALL(24, 0), ALL(31, 1), ALL(12, 1),
         ALL(7, 0), false, true},
        {"*/60 */24 */31 */12 */7", 1, 1, 2, 2, 1, false, false},
        {"10-14/2,50 1-3,5 * * *", BIT(10) | BIT(12) | BIT(14) | BIT(50), 0xe | BIT(5), ALL(31, 1),
         ALL(12, 1), ALL(7, 0), false, false},
        {"0 0-23 * * *", 1, ALL(24, 0), ALL(31, 1), ALL(12, 1), ALL(7, 0), false, true},
        {"0 */2 * * *", 1, 0x555555, ALL(31, 1), ALL(12, 1), ALL(7, 0), false, false},
        {"0 9 * jan,MAR-May Mon-fri", 1, BIT(9), ALL(31, 1), BIT(1) | BIT(3) | BIT(4) | BIT(5),
         0x3e, false, false},
        {"0 9 * dec sun,SAT", 1, BIT(9), ALL(31, 1), BIT(12), BIT(0) | BIT(6), false, false},
        {"0 9 * * 7", 1, BIT(9), ALL(31, 1), ALL(12, 1), 1, false, false},
        {"0 9 * * 5-7", 1, BIT(9), ALL(31, 1), ALL(12, 1), BIT(5) | BIT(6) | 1, false, false},
        {"0 9 * * 0-7", 1, BIT(9), ALL(31, 1), ALL(12, 1), ALL(7, 0), false, false},
        {"0 9 * * 1-7/2", 1, BIT(9), ALL(31, 1), ALL(12, 1), 0x2a | 1, false, false},
        /* Day fields: by the first character, as crontab(5) has it. */
        {"0 9 13 * fri", 1, BIT(9), BIT(13), ALL(12, 1), BIT(5), true, false},
        {"0 9 */2 * 1", 1, BIT(9), UINT64_C(0xaaaaaaaa), ALL(12, 1), BIT(1), false, false},
        {"0 9 1 * */2", 1, BIT(9), 2, ALL(12, 1), 0x55, false, false},
        {"0 9 1-31 * 0-6", 1, BIT(9), ALL(31, 1), ALL(12, 1), ALL(7, 0), true, false},
        {" \t0   0\t\t1 1   *  ", 1, 1, 2, 2, ALL(7, 0), false, false},
        {"@hourly", 1, ALL(24, 0), ALL(31, 1), ALL(12, 1), ALL(7, 0), false, true},
        {" @daily ", 1, 1, ALL(31, 1), ALL(12, 1), ALL(7, 0), false, false},
        {"@midnight", 1, 1, ALL(31, 1), ALL(12, 1), ALL(7, 0), false, false},
        {"@weekly", 1, 1, ALL(31, 1), ALL(12, 1), 1, false, false},
        {"@monthly", 1, 1, 2, ALL(12, 1), ALL(7, 0), false, false},
        {"@yearly", 1, 1, 2, 2, ALL(7, 0), false, false},
        {"@annually", 1, 1, 2, 2, ALL(7, 0), false, false},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct jobs_cron c = parsed(row[i].spec);
        if (c.minutes != row[i].minutes || c.hours != row[i].hours || c.days != row[i].days ||
            c.months != row[i].months || c.weekdays != row[i].weekdays ||
            c.any_day != row[i].any_day || c.any_hour != row[i].any_hour) {
            fail_msg("\"%s\": %jx %jx %jx %jx %jx %d %d", row[i].spec, (uintmax_t)c.minutes,
                     (uintmax_t)c.hours, (uintmax_t)c.days, (uintmax_t)c.months,
                     (uintmax_t)c.weekdays, c.any_day, c.any_hour);
        }
    }
}

static const struct {
    const char *spec, *part[4]; /* of the message */
} refused[] = {
    {"", {"is empty", "five"}},
    {" \t ", {"is empty"}},
    {"* * * *", {"day of week", "at position 8", "missing after 4 fields"}},
    {"5", {"hour", "at position 2", "missing after 1 field;"}},
    {"* * * * * root", {"at position 11", "\"root\"", "too many"}},
    {"@fortnightly", {"at position 1", "\"@fortnightly\"", "@yearly"}},
    {"  @reboot", {"at position 3", "\"@reboot\""}},
    {"@daily 5", {"missing after 2 fields"}},
    {"@daily 5 * * *", {"minute", "\"@daily\"", "not a value"}},
    {"60 * * * *", {"minute", "at position 1", "\"60\"", "0 to 59"}},
    {"* 24 * * *", {"hour", "at position 3", "\"24\"", "0 to 23"}},
    {"* * 0 * *", {"day of month", "at position 5", "\"0\"", "1 to 31"}},
    {"* * 32 * *", {"day of month", "\"32\"", "out of range"}},
    {"* * * 13 *", {"month", "\"13\"", "jan to dec"}},
    {"* * * 0 *", {"month", "\"0\""}},
    {"* * * * 8", {"day of week", "at position 9", "\"8\"", "0 and 7 are Sunday"}},
    {"0,30,99999999999999999999 * * * *", {"minute", "at position 6", "out of range"}},
    {"4294967296 * * * *", {"minute", "out of range"}},
    {"1,,2 * * * *", {"minute", "at position 3", "\"\"", "a value is missing"}},
    {",1 * * * *", {"minute", "at position 1", "missing"}},
    {"1, * * * *", {"minute", "at position 3", "missing"}},
    {"1- * * * *", {"minute", "\"1-\"", "missing"}},
    {"-1 * * * *", {"minute", "\"-1\"", "not a value"}},
    {"1-2-3 * * * *", {"minute", "\"1-2-3\"", "not understood to its end"}},
    {"1.5 * * * *", {"minute", "\"1.5\"", "not understood"}},
    {"*5 * * * *", {"minute", "\"*5\"", "not understood"}},
    {"*-5 * * * *", {"minute", "\"*-5\"", "not understood"}},
    {"** * * * *", {"minute", "\"**\""}},
    {"5/10 * * * *", {"minute", "\"5/10\"", "a step needs a range or *"}},
    {"*/0 * * * *", {"minute", "\"*/0\"", "from 1 to 60"}},
    {"*/ * * * *", {"minute", "\"*/\"", "from 1 to 60"}},
    {"*/-5 * * * *", {"minute", "\"*/-5\"", "from 1 to 60"}},
    {"*/90 * * * *", {"minute", "\"*/90\"", "from 1 to 60"}},
    {"* */25 * * *", {"hour", "\"*/25\"", "from 1 to 24"}},
    {"*/5/5 * * * *", {"minute", "not understood"}},
    {"0 22-2 * * *", {"hour", "\"22-2\"", "backwards (write 22-23,0-2)"}},
    {"0 23-0 * * *", {"hour", "\"23-0\"", "(write 23,0)"}},
    {"0 0 * nov-feb *", {"month", "\"nov-feb\"", "(write 11-12,1-2)"}},
    {"0 0 * * fri-mon", {"day of week", "\"fri-mon\"", "(write 5-6,0-1)"}},
    {"0 0 * * sat-sun", {"day of week", "\"sat-sun\"", "(write 6,0)"}},
    {"0 0 * january *", {"month", "\"january\"", "three letters"}},
    {"0 0 * mon *", {"month", "\"mon\""}},
    {"0 0 * * jan", {"day of week", "\"jan\""}},
    {"jan 0 * * *", {"minute", "\"jan\"", "no names"}},
    {"0 0 L * *", {"day of month", "\"L\"", "no names"}},
    {"0 0 ? * *", {"day of month", "\"?\"", "not a value"}},
    {"0 0 * * 5#2", {"day of week", "\"5#2\"", "not understood"}},
    {"0 0\n* * *", {"at position 4", "byte 0x0a"}},
    {"\xc2\xa0 0 * * *", {"at position 1", "byte 0xc2"}},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct jobs_cron c = {.minutes = 42};
        struct err err = {0};
        if (jobs_cron_parse(span_of(refused[i].spec), &c, &err) == 0) {
            fail_msg("\"%s\" was taken", refused[i].spec);
        }
        assert_int_equal(c.minutes, 42); /* untouched */
        assert_int_equal(err.class, ERR_PERMANENT);
        for (size_t k = 0; k < COUNT_OF(refused[i].part) && refused[i].part[k]; k++) {
            if (!strstr(err.msg, refused[i].part[k])) {
                fail_msg("\"%s\": \"%s\" lacks \"%s\"", refused[i].spec, err.msg,
                         refused[i].part[k]);
            }
        }
    }
}

/* Lengths, bytes and no err at all. */
static void test_limits(void **state)
{
    (void)state;
    char spec[400];
    memset(spec, ' ', sizeof(spec));
    memcpy(spec, "0 0 * * *", 9);
    struct jobs_cron c;
    struct err err = {0};
    assert_int_equal(jobs_cron_parse((struct span){spec, 256}, &c, &err), 0);
    assert_int_equal(jobs_cron_parse((struct span){spec, 257}, &c, &err), -1);
    assert_non_null(strstr(err.msg, "257 characters; allowed are at most 256"));
    assert_int_equal(jobs_cron_parse((struct span){"0 0 * * *\0", 10}, &c, &err), -1);
    assert_non_null(strstr(err.msg, "byte 0x00"));
    assert_int_equal(jobs_cron_parse((struct span){NULL, 0}, &c, &err), -1);
    assert_int_equal(jobs_cron_parse(SPAN("x"), &c, NULL), -1);
    struct buf all = {0};
    for (int m = 0; m < 60; m++) {
        buf_printf(&all, "%s%d", m ? "," : "", m);
    }
    buf_puts(&all, " * * * *");
    assert_int_equal(jobs_cron_parse(buf_span(&all), &c, &err), 0);
    assert_true(c.minutes == ALL(60, 0));
    buf_done(&all);
    memset(spec, '1', 200);
    assert_int_equal(jobs_cron_parse((struct span){spec, 256}, &c, &err), -1);
    assert_true(strlen(err.msg) < sizeof(err.msg) - 1); /* not cut off */
}

static void test_lint(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *tz;
        unsigned n;
        const char *part[3];
    } row[] = {
        {"0 4 * * *", "Europe/Zurich", 0, {0}},
        {"* * * * *", "Europe/Zurich", 0, {0}},
        {"*/5 * * * *", "Europe/Zurich", 0, {0}},
        {"@hourly", "Europe/Zurich", 0, {0}},
        {"* 19 1 * *", "UTC", 1, {"every minute", "60 times"}},
        {"*/10 19 1 * *", "UTC", 1, {"6 times"}},
        {"*/15 8-18 * * *", "UTC", 0, {0}},
        {"30 2 * * *", "Europe/Zurich", 1, {"(2)", "Europe/Zurich", "once"}},
        {"30 0-5 * * *", "America/Sao_Paulo", 1, {"(0, 1, 2, 3)"}},
        {"@daily", "Europe/Zurich", 1, {"(0)"}},
        {"30 2 * * *", "UTC", 0, {0}},
        {"30 2 * * *", NULL, 0, {0}},
        {"30 2 * * *", "Etc/GMT+5", 0, {0}},
        {"30 2 * * *", "gmt", 0, {0}},
        {"0 12 30 2 *", "UTC", 1, {"never fires"}},
        {"0 12 31 2,4,jun,9,11 *", "UTC", 1, {"never fires"}},
        {"0 12 30 2 mon", "UTC", 1, {"never come", "days of the week"}},
        {"0 12 29 2 *", "UTC", 1, {"in leap years only"}},
        {"0 12 29-31 2 *", "UTC", 1, {"in leap years only"}},
        {"0 12 29 2 mon", "UTC", 1, {"29 February comes in leap years only"}},
        {"0 12 28,29 2 *", "UTC", 0, {0}},
        {"0 12 31 * *", "UTC", 1, {"day 31 is skipped in feb, apr, jun, sep, nov\n"}},
        {"0 12 30 * *", "UTC", 1, {"day 30 is skipped in feb\n"}},
        {"0 12 29 * *", "UTC", 1, {"day 29 is skipped in feb (but for leap years)\n"}},
        {"0 12 31 1,3,5,7,8,10,12 *", "UTC", 0, {0}},
        {"0 12 28-31 * *", "UTC", 0, {0}},
        {"0 12 */2 * *", "UTC", 0, {0}},
        {"0 12 1,31 2,4 *", "UTC", 1, {"day 31 is skipped in feb, apr\n"}},
        {"* 2 31 * *", "Europe/Zurich", 3, {"every minute", "(2)", "day 31"}},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct jobs_cron c = parsed(row[i].spec);
        struct buf out = {0};
        buf_puts(&out, "");
        unsigned n = jobs_cron_lint(&c, row[i].tz, &out), lines = 0;
        for (const char *p = out.p; *p; p++) {
            lines += *p == '\n';
        }
        if (n != row[i].n || lines != n) {
            fail_msg("\"%s\": %u: %s", row[i].spec, n, out.p);
        }
        for (size_t k = 0; k < COUNT_OF(row[i].part) && row[i].part[k]; k++) {
            if (!strstr(out.p, row[i].part[k])) {
                fail_msg("\"%s\": \"%s\" lacks \"%s\"", row[i].spec, out.p, row[i].part[k]);
            }
        }
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lint),
    };
    return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
