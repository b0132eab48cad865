/* The recorded track of an activity, by a job of its own: every step, well and in trouble. */
#include "flow/sync_rig.h"

#define STREAMS "/activities/77/streams?keys=latlng,time&key_by_type=true"
#define PAYLOAD "{\"activity\": 77, \"athlete\": 500}"
#define SAVE    "jobs_finish ingest_take_streams"
#define PARK    "jobs_finish ingest_park"

static const char recorded[] = "{\"latlng\": {\"data\": [[38.5, -28.5], [38.6, -28.5]]},"
                               " \"time\": {\"data\": [0, 10]}}";

static struct script_unit *expect_read(bool here)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_start_of");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, "77");
    script_param(x, 0, 2, "500");
    if (here) {
        script_row(x, 0, "i", (int64_t)1780308000000000);
    }
    return x;
}

static struct script_call *ask(struct sync_world *w, int attempt)
{
    open_sync(w, "near");
    claim_attempt("strava.streams", PAYLOAD, attempt);
    (void)expect_read(true);
    struct script_call *x = strava_script_expect(ATHLETE, STREAMS);
    strava_script_reply(x, recorded);
    return x;
}

static struct script_unit *expect_save(const char *track)
{
    struct script_unit *x = rig_expect_finish(SAVE, "{1}", "{1}");
    script_param(x, 1, 1, "77");
    script_param(x, 1, 2, "500");
    script_param(x, 1, 3, "101");
    script_param(x, 1, 4, track);
    return x;
}

static struct script_unit *expect_park(bool finishes, const char *why)
{
    struct script_unit *x =
        finishes ? rig_expect_finish(PARK, "{1}", "{1}") : script_expect(RIG_WORK, "ingest_park");
    script_param(x, finishes, 1, "77");
    if (why) {
        script_param(x, finishes, 3, why);
    }
    return x;
}

static void play(struct sync_world *w)
{
    rig_start(&w->r);
    rig_play(&w->r);
    assert_int_equal(jobs_counts(w->r.jobs).finished, 1);
    end_sync(w);
}

static void test_taken_over(void **state)
{
    (void)state;
    struct sync_world w;
    (void)ask(&w, 1);
    (void)expect_save("<70 bytes>");
    play(&w);
    strava_script_reply(ask(&w, 1), "{\"distance\": {\"data\": [0, 1]}}"); /* without positions */
    (void)expect_save("NULL");
    play(&w);
    strava_script_outcome(ask(&w, 1), STRAVA_NOT_FOUND, 404); /* there is none, the activity is */
    (void)expect_save("NULL");
    play(&w);
}

static void test_of_what_is_not_here(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.streams", PAYLOAD);
    (void)expect_read(false);
    rig_expect_finish("jobs_finish", "{1}", "{1}");
    play(&w);
}

static void test_one_that_runs_alone_pays_itself(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    w.r.kinds[2].rate = "other";
    claim_suspect("strava.streams", PAYLOAD);
    (void)expect_read(true);
    struct script_call *c = strava_script_expect(ATHLETE, STREAMS);
    strava_script_pays(c, true, false);
    strava_script_reply(c, recorded);
    (void)expect_save("<70 bytes>");
    expect_rated_claim(false);
    rig_start(&w.r);
    end_sync(&w);
}

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        enum strava_outcome outcome;
        bool parks;
    } want[] = {{STRAVA_REFUSED, true},
                {STRAVA_SCOPE, true},
                {STRAVA_REAUTH, false},
                {STRAVA_UNKNOWN, false}};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        strava_script_outcome(ask(&w, 1), want[i].outcome, 403);
        if (want[i].parks) {
            (void)expect_park(true, NULL);
        } else {
            rig_expect_finish("jobs_finish", "{1}", "{1}");
        }
        play(&w);
    }
}

static void test_failures(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_fails(ask(&w, 5), ERR_HTTP, ERR_RETRY, 429);
    expect_requeue_after(0, 100, &w, true);
    strava_script_fails(ask(&w, 3), ERR_HTTP, ERR_RETRY, 500);
    expect_requeue_after(18, 21.6, &w, false);
    strava_script_fails(ask(&w, 3), ERR_HTTP, ERR_RETRY, 504);
    expect_requeue_after(45, 54, &w, false);
    strava_script_fails(ask(&w, 5), ERR_HTTP, ERR_RETRY, 500);
    (void)expect_park(false, "as the script has it (500)");
    expect_last();
    rig_start(&w.r);
    end_sync(&w);
    strava_script_reply(ask(&w, 1), "{\"latlng\":");
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_sync(&w);
    strava_script_reply(ask(&w, 5), "{\"latlng\":");
    (void)expect_park(false, NULL);
    expect_last();
    rig_start(&w.r);
    end_sync(&w);
    for (int cancel = 0; cancel < 2; cancel++) {
        play_silent_call(&w, ask(&w, 1), cancel);
    }
}

static void test_units_in_trouble(void **state)
{
    (void)state;
    for (int t = 0; t < T_KINDS; t++) {
        struct sync_world w;
        open_sync(&w, "near");
        claim("strava.streams", PAYLOAD);
        play_unit(&w, expect_read(true), (enum sync_trouble)t);

        (void)ask(&w, 1);
        play_unit(&w, expect_save("<70 bytes>"), (enum sync_trouble)t);

        strava_script_outcome(ask(&w, 1), STRAVA_REFUSED, 403);
        play_unit(&w, expect_park(true, NULL), (enum sync_trouble)t);
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    struct sync_world w;
    (void)ask(&w, 1);
    script_fails(expect_save("<70 bytes>"), "40P01", "deadlock detected");
    (void)expect_save("<70 bytes>");
    play(&w);
    (void)ask(&w, 1);
    for (int i = 0; i < INGEST_TRIES; i++) {
        script_fails(expect_save("<70 bytes>"), "40001", "could not serialize");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_sync(&w);
}

static void test_bad_payload(void **state)
{
    (void)state;
    static const char *const payload[] = {"{}", "{\"activity\": 77}", "{\"athlete\": 500}"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct sync_world w;
        open_sync(&w, "near");
        claim("strava.streams", payload[i]);
        rig_expect_bury("{1}", "bug");
        rig_start(&w.r);
        end_sync(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_of_what_is_not_here),
        cmocka_unit_test(test_one_that_runs_alone_pays_itself),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_units_in_trouble),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_bad_payload),
    };
    return cmocka_run_group_tests_name("a recorded track", tests, NULL, NULL);
}
