/* What is done by the clock: plans, upkeep, and the schedules that make their jobs. */
#include "flow/sync_rig.h"

#define PLAN   "jobs_finish ingest_plan"
#define UPKEEP "jobs_finish ingest_upkeep"

static struct script_unit *up_to_plan(struct sync_world *w, const char *payload)
{
    open_sync(w, "near");
    claim("strava.plan", payload);
    struct script_unit *x = rig_expect_finish(PLAN, "{1}", "{1}");
    script_param(x, 1, 4, "86400");
    script_param(x, 1, 5, "604800");
    script_param(x, 1, 6, "near");
    script_row(x, 1, "dd", 3, 4);
    return x;
}

static struct script_unit *up_to_upkeep(struct sync_world *w)
{
    open_sync(w, "near");
    claim("strava.upkeep", "{}");
    struct script_unit *x = rig_expect_finish(UPKEEP, "{1}", "{1}");
    script_param(x, 1, 1, "604800");
    script_row(x, 1, "di", 500, (int64_t)7);
    return x;
}

static void play(struct sync_world *w)
{
    rig_claim_empty(); /* the hint */
    rig_start(&w->r);
    rig_play(&w->r);
    assert_int_equal(jobs_counts(w->r.jobs).finished, 1);
    end_sync(w);
}

static void test_plans(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *mode, *athlete, *since;
    } want[] = {
        {"{}", "new", "NULL", "NULL"},
        {"{\"mode\": \"reconcile\"}", "reconcile", "NULL", "NULL"},
        {"{\"mode\": \"all\", \"athlete\": 5, \"from\": \"2026-01-01T00:00:00Z\"}", "all", "5",
         "2026-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        struct script_unit *x = up_to_plan(&w, want[i].payload);
        script_param(x, 1, 1, want[i].mode);
        script_param(x, 1, 2, want[i].athlete);
        script_param(x, 1, 3, want[i].since);
        play(&w);
    }
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.plan", "{\"from\": \"yesterday\"}");
    rig_expect_bury("{1}", "permanent");
    rig_start(&w.r);
    end_sync(&w);
}

static void test_upkeep(void **state)
{
    (void)state;
    struct sync_world w;
    (void)up_to_upkeep(&w);
    play(&w);
}

static void test_trouble(void **state)
{
    (void)state;
    for (int t = 0; t < T_KINDS; t++) {
        struct sync_world w;
        struct script_unit *x = up_to_plan(&w, "{}");
        play_unit(&w, x, (enum sync_trouble)t);
        x = up_to_upkeep(&w);
        play_unit(&w, x, (enum sync_trouble)t);
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    struct sync_world w;
    script_fails(up_to_plan(&w, "{}"), "40P01", "deadlock detected");
    script_row(rig_expect_finish(PLAN, "{1}", "{1}"), 1, "dd", 3, 4);
    play(&w);
    script_fails(up_to_upkeep(&w), "40P01", "deadlock detected");
    script_row(rig_expect_finish(UPKEEP, "{1}", "{1}"), 1, "di", 0, (int64_t)0);
    play(&w);
    script_fails(up_to_plan(&w, "{}"), "40001", "could not serialize");
    for (int i = 1; i < INGEST_TRIES; i++) {
        script_fails(rig_expect_finish(PLAN, "{1}", "{1}"), "40001", "could not serialize");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_sync(&w);
}

/* ---- schedules ---------------------------------------------------------------------------------
 */

static struct script_unit *expect_schedules(void)
{
    static const char *const name[] = {"strava.new", "strava.reconcile", "strava.upkeep"};
    struct script_unit *x =
        script_expect(RIG_WORK, "jobs_cmd_cron_add jobs_cmd_cron_add jobs_cmd_cron_add "
                                "ingest_rate_ensure");
    script_flags(x, DB_TX);
    for (unsigned i = 0; i < 3; i++) {
        script_param(x, i, 1, name[i]);
        script_param(x, i, 3, "UTC");
        script_param(x, i, 5,
                     i == 0   ? "{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23}"
                     : i == 1 ? "{1}"
                              : "{2}");
        script_param(x, i, 11, "trails");
        script_param(x, i, 12, i == 2 ? "strava.upkeep" : "strava.plan");
        script_param(x, i, 15, "one");
    }
    return x;
}

static void test_schedules(void **state)
{
    (void)state;
    static const enum err_class class[] = {ERR_RETRY, ERR_RETRY, ERR_PERMANENT,
                                           ERR_BUG,   ERR_RETRY, ERR_RETRY};
    static const char *const sqlstate[] = {"53300", NULL, "22P02", "42P01", NULL, NULL};
    for (int t = -1; t < T_KINDS; t++) {
        struct rig r;
        struct op op;
        rig_open(&r);
        struct script_unit *x = expect_schedules();
        struct flow *f = ingest_schedules_flow(r.pool, "trails");
        if (t >= 0 && sqlstate[t]) {
            script_fails(x, sqlstate[t], "trouble");
        } else if (t == T_LOST) {
            script_commit_unknown(x);
        } else if (t == T_TIMEOUT || t == T_CANCEL) {
            script_silent(x);
        }
        flow_call(f, &op);
        if (t == T_CANCEL) {
            rig_until_asked(&r, x);
            op_cancel(&op);
        }
        rig_op(&r, &op);
        assert_int_equal(op.failed, t >= 0);
        if (t >= 0) {
            assert_int_equal(op.err.class, class[t]);
        }
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),     cmocka_unit_test(test_upkeep),
        cmocka_unit_test(test_trouble),   cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests_name("plans", tests, NULL, NULL);
}
