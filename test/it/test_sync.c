/* What Strava has comes in: the real binary against a simulator of Strava, and the final tables
 * against what the simulator says is true. */
#include "it/sync.h"

#include <signal.h>

enum { LONG_MS = 60000 };

static struct sim *start(const char *const *more)
{
    const char *args[24] = {"--clock", "2026-07-01T12:05:00Z", "--limits", "5000,50000/5000,50000"};
    unsigned n = 4;
    for (; more != NULL && *more != NULL; more++)
        args[n++] = *more;
    return sim_start(args);
}

static void everything_comes_in(void **state)
{
    static const char *const presets[] = {"none", "tiny", "demo", "ties", "edge"};
    (void)state;
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        print_message("%s\n", presets[i]);
        struct sim *s = start(IT_LIST("--preset", presets[i]));
        struct it_db *db = sync_db(s);
        sync_connect(db, s, SYNC_ATHLETE, NULL);
        struct it_proc *p = it_serve(db, sync_env(s, NULL));
        int64_t id = sync_request(db, SYNC_ATHLETE, "new", NULL);
        sync_wait(db, LONG_MS);
        sync_same(db, s, SYNC_ATHLETE);
        it_holds(
            db,
            "EXISTS (SELECT FROM strava.sync WHERE id = %lld AND state = 'done' AND listed ="
            " added AND added = (SELECT count(*) FROM activities) AND gone = 0 AND changed = 0)",
            (long long)id);
        it_holds(db, "(SELECT backfill_status = 'complete' FROM athletes)");
        sync_within_limits(s);
        it_serve_stop(p);
        sim_stop(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(everything_comes_in),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
