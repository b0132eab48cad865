/* The real kinds of work: killed at every place, and with what they work on taken away under them.
 * The tables are those of an undisturbed run. */
#include "chaos/chaos.h"

enum { ACTIVITIES = 60 };

static char *undisturbed;

static struct it_db *history(void)
{
    struct it_db *db = it_db_new();
    load_history(db, ACTIVITIES);
    return db;
}

static void n03_killed_at(void **state)
{
    const char *fault = *state;
    struct it_db *db = history();
    if (undisturbed == NULL) {
        struct it_db *calm = history();
        it_process(calm);
        undisturbed = strdup(it_digest(calm));
    }
    const char *env = it_format("WAYMARK_FAULT=%s", fault);
    struct it_proc *p = it_start(
        db, IT_LIST(env), IT_LIST("process", "--quiet", "--batch-size", "3", "--concurrency", "2"));
    (void)chaos_died(p, SIGKILL);
    /* No half of a result: what is there belongs to jobs that are gone. */
    it_holds(db, "NOT EXISTS (SELECT FROM route_sections s JOIN q.job j"
                 " ON j.ukey = 'match:' || s.activity_id WHERE j.kind = 'match')");
    it_process(db);
    load_is_done(db);
    assert_string_equal(it_digest(db), undisturbed);
}

/* 38: an activity, then an athlete with all his, go while they are being matched. */
static void n38_deleted_meanwhile(void **state)
{
    const char *sql = *state;
    struct it_db *db = history();
    it_exec(db, "DELETE FROM activities WHERE id > 12");
    struct it_proc *p =
        it_start(db, IT_LIST("WAYMARK_FAULT=computing:1:sleep:900,computing:2:sleep:900"),
                 IT_LIST("process", "--quiet", "--batch-size", "4", "--concurrency", "3"));
    it_wait_for(p, "fault: computing", END_MS);
    it_pause_ms(100);
    it_exec(db, "%s", sql);
    struct it_result r = it_wait(p, END_MS);
    if (r.status != 0)
        fail_msg("%d\n%s", r.status, r.err);
    /* What is gone is nobody's error, least of all again and again. */
    if (strstr(r.err, "foreign key") != NULL || strstr(r.err, "23503") != NULL)
        fail_msg("%s", r.err);
    it_holds(db, "NOT EXISTS (SELECT FROM q.done WHERE attempt > 2)");
    it_process(db);
    load_is_done(db);
    it_same_as_recomputed(db);
}

static int end_all(void **state)
{
    free(undisturbed);
    return it_down(state);
}

#define KILLED(fault)                                                                              \
    {                                                                                              \
        "03 " fault, n03_killed_at, NULL, it_after, (void *)(uintptr_t)fault                       \
    }
#define DELETED(sql)                                                                               \
    {                                                                                              \
        "38 " sql, n38_deleted_meanwhile, NULL, it_after, (void *)(uintptr_t)sql                   \
    }

int main(void)
{
    chaos_needs_faults();
    const struct CMUnitTest tests[] = {
        KILLED("computing:2:kill"),
        KILLED("results_ready:4:kill"),
        KILLED("results_sent:4:kill"),
        KILLED("results_committed:4:kill"),
        DELETED("DELETE FROM activities WHERE id <= 6"),
        DELETED("DELETE FROM athletes WHERE id = 1"),
        DELETED("DELETE FROM routes WHERE id = 'north'"),
        DELETED("UPDATE activities SET summary_track = it.way(0.2, 0.6, 90) WHERE id <= 6"),
    };
    return cmocka_run_group_tests(tests, it_up, end_all);
}
