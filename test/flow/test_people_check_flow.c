/* Somebody says that an athlete has withdrawn: only Strava's word counts. */
#include "flow/people_rig.h"

struct world {
    struct rig r;
    struct people_checks x;
};

static void open_world(struct world *w, const char *payload)
{
    rig_open(&w->r);
    grant_script_begin(w->r.loop);
    w->x = (struct people_checks){.pool = w->r.pool, .strava = grant_script()};
    people_check_kind(&w->x, &w->r.kinds[0]);
    assert_string_equal(w->r.kinds[0].name, "strava.check");
    assert_string_equal(w->r.kinds[0].rate, STRAVA_RATE);
    w->r.kinds[0].rate = NULL; /* rates are the queue's own business, and claimed otherwise */
    const struct jobs_conf conf = rig_conf();
    rig_queue(&w->r, &conf, 1);
    struct script_unit *claim = rig_claim();
    rig_job(claim, "strava.check", 1, payload);
    rig_claim_tail(claim, -1, false);
}

static void play(struct world *w)
{
    rig_start(&w->r);
    rig_play(&w->r);
}

static void close_world(struct world *w)
{
    rig_drain(&w->r);
    grant_script_end();
    rig_close(&w->r);
}

static struct script_unit *expect_erasure(void)
{
    struct script_unit *x = rig_expect_finish("jobs_finish people_depart", "{1}", "{1}");
    script_param(x, 1, 1, "42");
    script_param(x, 1, 2, "strava");
    script_param(x, 1, 3, "t");
    people_erased(x, 1, 7, 0);
    return x;
}

static void test_gone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    expect_erasure();
    people_counted(1);
    people_swept(1);
    people_counted(0);
    play(&w);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    close_world(&w);
}

/* Dead tokens that may have died of something else: the operator decides. */
static void test_unproven(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_unproven(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    struct script_unit *x = rig_expect_finish("jobs_finish people_unproven", "{1}", "{1}");
    script_param(x, 1, 1, "42");
    play(&w);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    close_world(&w);
}

/* A forged event: nothing but the job goes. */
static void test_not_gone(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_expect(SCRIPT_VERIFY, ATHLETE);
    rig_expect_finish("jobs_finish", "{1}", "{1}");
    play(&w);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    close_world(&w);
}

static void test_strava_does_not_say(void **state)
{
    (void)state;
    for (int permanent = 0; permanent < 2; permanent++) {
        struct world w;
        open_world(&w, "{\"athlete\": 42}");
        grant_script_fails(grant_script_expect(SCRIPT_VERIFY, ATHLETE), ERR_HTTP,
                           permanent ? ERR_PERMANENT : ERR_RETRY, 503);
        if (permanent) {
            rig_expect_bury("{1}", "permanent");
        } else {
            rig_expect_requeue("{1}", false);
        }
        play(&w);
        close_world(&w);
    }
}

static void test_quota(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_fails(grant_script_expect(SCRIPT_VERIFY, ATHLETE), ERR_HTTP, ERR_RETRY, 429);
    rig_expect_requeue("{1}", true); /* spends no attempt */
    play(&w);
    close_world(&w);
}

static void test_bad_payloads(void **state)
{
    (void)state;
    static const char *const payload[] = {"{}", "{\"athlete\": \"42\"}", "[42]", "nonsense",
                                          "{\"athlete\": 4.5}"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct world w;
        open_world(&w, payload[i]);
        rig_expect_bury("{1}", "bug");
        play(&w);
        close_world(&w);
    }
}

static void test_the_database(void **state)
{
    (void)state;
    static const char *const sqlstate[] = {"57014", "22003", "42883"};
    static const char *const reason[] = {NULL, "permanent", "bug"};
    for (size_t i = 0; i < COUNT_OF(sqlstate); i++) {
        struct world w;
        open_world(&w, "{\"athlete\": 42}");
        grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
        script_fails(expect_erasure(), sqlstate[i], "no");
        if (reason[i]) {
            rig_expect_bury("{1}", reason[i]);
        } else {
            rig_expect_requeue("{1}", false);
        }
        play(&w);
        close_world(&w);
    }
    struct world w; /* somebody was in the way */
    open_world(&w, "{\"athlete\": 42}");
    grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    script_fails(expect_erasure(), "40P01", "deadlock detected");
    expect_erasure();
    people_counted(0);
    play(&w);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    close_world(&w);
}

/* Somebody else has the job now, and with it the erasure. */
static void test_fenced(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    script_fails(expect_erasure(), "WM001", "fenced: 1 of 1");
    script_expect(RIG_WORK, "jobs_still_ours");
    play(&w);
    close_world(&w);
}

/* The erasure is committed; what could not be swept up is no reason to do it again. */
static void test_the_sweep_fails(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    expect_erasure();
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, fopen("/dev/null", "we"));
    script_fails(people_counted(0), "42883", "no");
    play(&w);
    assert_int_equal(jobs_counts(w.r.jobs).finished, 1);
    close_world(&w);
}

static void test_no_answer(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, "{\"athlete\": 42}");
    grant_script_gone(grant_script_expect(SCRIPT_VERIFY, ATHLETE));
    script_silent(expect_erasure());
    rig_expect_requeue("{1}", false);
    play(&w);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_not_gone),
        cmocka_unit_test(test_unproven),
        cmocka_unit_test(test_strava_does_not_say),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_bad_payloads),
        cmocka_unit_test(test_the_database),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_the_sweep_fails),
        cmocka_unit_test(test_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
