/* What a page tells people of the time that is left. */
#include "it/it.h"

/* As a quarter hour in the middle of a day, with 100 and 1000 calls of which 30 % are kept. */
static struct it_db *with_rate(int used15, int usedday)
{
    struct it_db *db = it_db_new();
    it_exec(db,
            "INSERT INTO q.rate (name, cap15, capday, reserve) VALUES ('strava', 100, 1000, 0.3) "
            "ON CONFLICT (name) DO UPDATE SET cap15 = 100, capday = 1000, reserve = 0.3;"
            "UPDATE q.rate SET offset_s = 43200 - extract(epoch FROM now())::bigint %% 86400 "
            "WHERE name = 'strava';"
            "UPDATE q.rate SET used15 = %d, usedday = %d, win15 = floor((extract(epoch FROM now()) "
            "+ offset_s) / 900), winday = floor((extract(epoch FROM now()) + offset_s) / 86400) "
            "WHERE name = 'strava'",
            used15, usedday);
    return db;
}

static void takes(struct it_db *db, int calls, double low, double high)
{
    double s = it_f64(db, "SELECT strava.calls_take(%d)", calls);
    if (s < low - 2 || s > high + 2)
        fail_msg("%d calls take %.0f s, not %.0f to %.0f", calls, s, low, high);
}

static void how_long_calls_take(void **state)
{
    (void)state;
    struct it_db *db = with_rate(0, 0);
    takes(db, 0, 0, 0);
    takes(db, 70, 60, 60);
    takes(db, 71, 900, 900);
    takes(db, 140, 900, 900);
    takes(db, 700, 8100, 8100);
    /* Half a day is left: the rest from midnight on. */
    takes(db, 701, 43200 - 60 + 900, 43200 + 900);
    takes(db, 1401, 43200 + 86400 - 60 + 900, 43200 + 86400 + 900);
    db = with_rate(70, 200); /* this quarter's share is used up */
    takes(db, 1, 900, 900);
    takes(db, 500, 7200, 7200);
    takes(db, 501, 43200 - 60 + 900, 43200 + 900);
    db = with_rate(100, 1000); /* all of it */
    takes(db, 1, 43200 - 60 + 900, 43200 + 900);
    it_exec(db, "DELETE FROM q.rate");
    it_holds(db, "strava.calls_take(5) IS NULL");
    db = with_rate(0, 0);
    it_exec(db, "UPDATE q.rate SET reserve = 1");
    it_holds(db, "strava.calls_take(5) IS NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(how_long_calls_take),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
