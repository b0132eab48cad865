/* One activity is looked at: taken over, with its recorded track or without, looked at again,
 * removed, parked; and every step in trouble. */
#include "flow/sync_rig.h"

#define DETAIL  "/activities/77"
#define STREAMS "/activities/77/streams?keys=latlng,time&key_by_type=true"
#define EVENT   "{\"activity\": 77, \"athlete\": 500, \"why\": \"event\"}"
#define QUIETLY "{\"activity\": 77, \"athlete\": 500, \"why\": \"backfill\"}"
#define SAVE    "jobs_finish ingest_take_look"
#define LOSE    "jobs_finish ingest_take_gone"
#define PARK    "jobs_finish ingest_park"

/* Of ingest_take_look, after what strava.take takes. */
enum { P_DETAIL = 24, P_STREAMS_TICKET, P_STREAMS, P_PRIO, P_LOOKS, P_AGAIN, P_DELETED, P_LATER };

static const char with_line[] =
    "{\"id\": 77, \"athlete\": {\"id\": 500}, \"start_date\": \"2026-06-01T10:00:00Z\", \"map\":"
    " {\"summary_polyline\": \"_p~iF~ps|U_ulLnnqC\", \"polyline\": \"_p~iF~ps|U_ulLnnqC\"}}";
static const char without_line[] = "{\"id\": 77, \"athlete\": {\"id\": 500}, \"map\": {}}";
static const char recorded[] = "{\"latlng\": {\"data\": [[38.5, -28.5], [38.6, -28.5]]},"
                               " \"time\": {\"data\": [0, 10]}}";

static struct script_call *ask(struct sync_world *w, const char *payload, const char *streams,
                               int attempt)
{
    bool live = strstr(payload, "event") != NULL;
    open_sync(w, streams);
    claim_attempt("strava.look", payload, attempt);
    struct script_call *x = strava_script_expect(ATHLETE, DETAIL);
    strava_script_pays(x, false, live);
    return x;
}

static struct script_unit *expect_judge(bool near, bool bare)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_judge");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, "77");
    script_row(x, 0, "bb", near, bare);
    return x;
}

static struct script_call *expect_streams(bool live)
{
    struct script_call *x = strava_script_expect(ATHLETE, STREAMS);
    strava_script_pays(x, true, live);
    return x;
}

static struct script_unit *expect_save(const char *again)
{
    struct script_unit *x = rig_expect_finish(SAVE, "{1}", "{1}");
    script_param(x, 1, 1, "500");
    script_param(x, 1, 2, "101");
    script_param(x, 1, 3, "NULL");
    script_param(x, 1, 4, "{77}");
    script_param(x, 1, P_AGAIN, again);
    script_row(x, 1, "tTT", "changed");
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

/* ---- well -------------------------------------------------------------------------------------
 */

static void test_without_a_line(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_reply(ask(&w, QUIETLY, "all", 1), without_line);
    struct script_unit *x = expect_save("NULL");
    for (int n = P_DETAIL; n <= P_PRIO; n++) {
        script_param(x, 1, n, "NULL");
    }
    script_param(x, 1, P_LOOKS, "1");
    script_param(x, 1, P_DELETED, "f");
    play(&w);
}

static void test_what_is_worth_a_second_call(void **state)
{
    (void)state;
    static const struct {
        const char *streams;
        bool near, bare, asked, second;
    } want[] = {
        {"none", true, true, false, false}, {"near", false, true, true, false},
        {"near", true, false, true, false}, {"all", true, false, true, false},
        {"near", true, true, true, true},   {"all", false, true, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        strava_script_reply(ask(&w, EVENT, want[i].streams, 1), with_line);
        if (want[i].asked) {
            (void)expect_judge(want[i].near, want[i].bare);
        }
        if (want[i].second) {
            strava_script_reply(expect_streams(true), recorded);
        }
        struct script_unit *x = expect_save("30000");
        script_param(x, 1, P_STREAMS_TICKET, want[i].second ? "102" : "NULL");
        script_param(x, 1, P_STREAMS, want[i].second ? "<70 bytes>" : "NULL");
        script_param(x, 1, P_DETAIL, "<45 bytes>");
        script_param(x, 1, P_PRIO, "NULL");
        play(&w);
    }
}

/* The athlete has none of it, which is said once; or it cannot be had now: a job asks for it. */
static void test_a_second_call_that_brings_nothing(void **state)
{
    (void)state;
    static const struct {
        enum strava_outcome outcome; /* 0: it fails */
        const char *payload, *body, *ticket, *prio;
        bool near;
        const char *later;
    } want[] = {
        {STRAVA_NOT_FOUND, EVENT, "", "NULL", "NULL", true, "t"}, /* it may come */
        {STRAVA_NOT_FOUND, QUIETLY, "", "102", "NULL", true, NULL},
        {STRAVA_OK, EVENT, "{}", "102", "NULL", true, NULL}, /* no positions in it */
        {STRAVA_OK, EVENT, "{\"latlng\"", "NULL", "9", true, NULL},
        {STRAVA_REFUSED, QUIETLY, "", "NULL", "20", true, NULL},
        {STRAVA_SCOPE, QUIETLY, "", "NULL", "40", false, NULL},
        {0, EVENT, "", "NULL", "9", true, NULL},
        {0, QUIETLY, "", "NULL", "20", true, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        bool live = strcmp(want[i].payload, EVENT) == 0;
        strava_script_reply(ask(&w, want[i].payload, "all", 1), with_line);
        (void)expect_judge(want[i].near, true);
        struct script_call *c = expect_streams(live);
        strava_script_reply(c, want[i].body);
        if (want[i].outcome) {
            strava_script_outcome(c, want[i].outcome, 404);
        } else {
            strava_script_fails(c, ERR_HTTP, ERR_RETRY, 429);
        }
        struct script_unit *x = expect_save(live ? "30000" : "NULL");
        script_param(x, 1, P_STREAMS_TICKET, want[i].ticket);
        script_param(x, 1, P_STREAMS, "NULL");
        script_param(x, 1, P_PRIO, want[i].prio);
        script_param(x, 1, P_LATER, want[i].later ? want[i].later : "f");
        play(&w);
    }
}

static void test_looking_again(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *again, *gone, *looks, *deleted;
    } want[] = {
        {"{\"activity\": 77, \"athlete\": 500, \"why\": \"event\"}", "30000", "5000", "1", "f"},
        {"{\"activity\": 77, \"athlete\": 500, \"why\": \"event\", \"looks\": 2}", "600000",
         "120000", "3", "f"},
        {"{\"activity\": 77, \"athlete\": 500, \"why\": \"event\", \"looks\": 3, \"deleted\": "
         "true}",
         "NULL", "600000", "4", "t"},
        {"{\"activity\": 77, \"athlete\": 500, \"why\": \"event\", \"looks\": 5}", "NULL", "NULL",
         "6", "f"},
        {"{\"activity\": 77, \"athlete\": 500, \"why\": \"confirm\"}", "NULL", "NULL", "1", "f"},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        strava_script_reply(ask(&w, want[i].payload, "none", 1), without_line);
        struct script_unit *x = expect_save(want[i].again);
        script_param(x, 1, P_LOOKS, want[i].looks);
        script_param(x, 1, P_DELETED, want[i].deleted);
        play(&w);

        strava_script_outcome(ask(&w, want[i].payload, "none", 1), STRAVA_NOT_FOUND, 404);
        x = rig_expect_finish(LOSE, "{1}", "{1}");
        script_param(x, 1, 1, "77");
        script_param(x, 1, 2, "500");
        script_param(x, 1, 3, "101");
        script_param(x, 1, 4, want[i].looks);
        script_param(x, 1, 5, want[i].gone);
        script_param(x, 1, 6, want[i].deleted);
        script_row(x, 1, "t", "again");
        play(&w);
    }
}

static void test_who_was_erased(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_reply(ask(&w, QUIETLY, "none", 1), without_line);
    (void)rig_expect_finish(SAVE, "{1}", "{1}"); /* no row */
    play(&w);
}

static void test_one_that_runs_alone_pays_itself(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "none");
    w.r.kinds[1].rate = "other";
    claim_suspect("strava.look", QUIETLY);
    struct script_call *c = strava_script_expect(ATHLETE, DETAIL);
    strava_script_pays(c, true, false);
    strava_script_reply(c, without_line);
    (void)expect_save("NULL");
    expect_rated_claim(false);
    rig_start(&w.r);
    end_sync(&w);
}

/* ---- calls that fail --------------------------------------------------------------------------
 */

static struct script_unit *expect_park(bool finishes, const char *why)
{
    struct script_unit *x =
        finishes ? rig_expect_finish(PARK, "{1}", "{1}") : script_expect(RIG_WORK, "ingest_park");
    script_param(x, finishes, 1, "77");
    script_param(x, finishes, 2, "500");
    if (why) {
        script_param(x, finishes, 3, why);
    }
    return x;
}

static void test_outcomes(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_outcome(ask(&w, EVENT, "near", 1), STRAVA_REFUSED, 403);
    (void)expect_park(true, "Strava refuses this request (status 403)");
    rig_start(&w.r);
    end_sync(&w);
    strava_script_outcome(ask(&w, EVENT, "near", 1), STRAVA_SCOPE, 401);
    (void)expect_park(true, NULL);
    rig_start(&w.r);
    end_sync(&w);
    for (int i = 0; i < 2; i++) {
        strava_script_outcome(ask(&w, EVENT, "near", 1), i ? STRAVA_REAUTH : STRAVA_UNKNOWN, 0);
        rig_expect_finish("jobs_finish", "{1}", "{1}"); /* quietly */
        rig_start(&w.r);
        end_sync(&w);
    }
}

static void test_failures(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_fails(ask(&w, EVENT, "near", 5), ERR_HTTP, ERR_RETRY, 429);
    expect_requeue_after(0, 100, &w, true);
    strava_script_fails(ask(&w, EVENT, "near", 2), ERR_HTTP, ERR_RETRY, 500);
    expect_requeue_after(6, 7.2, &w, false);
    strava_script_fails(ask(&w, EVENT, "near", 2), ERR_HTTP, ERR_RETRY, 502);
    expect_requeue_after(15, 18, &w, false);
    strava_script_fails(ask(&w, EVENT, "near", 5), ERR_HTTP, ERR_RETRY, 500); /* poison */
    (void)expect_park(false, "as the script has it (500)");
    expect_last();
    rig_start(&w.r);
    end_sync(&w);
    for (int cancel = 0; cancel < 2; cancel++) {
        play_silent_call(&w, ask(&w, EVENT, "near", 1), cancel);
        strava_script_reply(ask(&w, EVENT, "near", 1), with_line);
        (void)expect_judge(true, true);
        struct script_call *x = expect_streams(true);
        if (cancel) {
            play_silent_call(&w, x, true);
            continue;
        }
        strava_script_never(x);
        script_param(expect_save("30000"), 1, P_PRIO, "9"); /* what there is is kept */
        play(&w);
    }
}

static void test_answers_about_something_else(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool final;
    } want[] = {
        {"{\"id\": 77", false},
        {"{\"id\": 78}", false},
        {"[]", true},
        {"{\"id\": 77, \"athlete\": {\"id\": 501}}", true},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        strava_script_reply(ask(&w, EVENT, "near", 1), want[i].body);
        if (want[i].final) {
            (void)expect_park(false, NULL);
            rig_expect_bury("{1}", "permanent");
        } else {
            rig_expect_requeue("{1}", false);
        }
        rig_start(&w.r);
        end_sync(&w);
        strava_script_reply(ask(&w, EVENT, "near", 5), want[i].body);
        (void)expect_park(false, NULL);
        if (want[i].final) {
            rig_expect_bury("{1}", "permanent");
        } else {
            expect_last();
        }
        rig_start(&w.r);
        end_sync(&w);
    }
}

/* ---- the database ------------------------------------------------------------------------------
 */

static struct script_unit *up_to_lose(struct sync_world *w)
{
    strava_script_outcome(ask(w, EVENT, "near", 1), STRAVA_NOT_FOUND, 404);
    struct script_unit *x = rig_expect_finish(LOSE, "{1}", "{1}");
    script_row(x, 1, "t", "removed");
    return x;
}

static void test_units_in_trouble(void **state)
{
    (void)state;
    for (int t = 0; t < T_KINDS; t++) {
        struct sync_world w;
        strava_script_reply(ask(&w, EVENT, "near", 1), with_line);
        play_unit(&w, expect_judge(false, true), (enum sync_trouble)t);

        strava_script_reply(ask(&w, EVENT, "none", 1), with_line);
        play_unit(&w, expect_save("30000"), (enum sync_trouble)t);

        struct script_unit *x = up_to_lose(&w);
        play_unit(&w, x, (enum sync_trouble)t);

        strava_script_outcome(ask(&w, EVENT, "near", 1), STRAVA_REFUSED, 403);
        play_unit(&w, expect_park(true, NULL), (enum sync_trouble)t);
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_reply(ask(&w, EVENT, "none", 1), with_line);
    script_fails(expect_save("30000"), "40P01", "deadlock detected");
    (void)expect_save("30000");
    play(&w);

    script_fails(up_to_lose(&w), "40001", "could not serialize");
    script_row(rig_expect_finish(LOSE, "{1}", "{1}"), 1, "t", "removed");
    play(&w);

    strava_script_reply(ask(&w, EVENT, "none", 1), with_line);
    for (int i = 0; i < INGEST_TRIES; i++) {
        script_fails(expect_save("30000"), "40P01", "deadlock detected");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_sync(&w);
}

static void test_bad_payload(void **state)
{
    (void)state;
    static const char *const payload[] = {"{}", "{\"activity\": 77}", "{\"athlete\": 500}",
                                          "{\"activity\": \"77\", \"athlete\": 500}"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct sync_world w;
        open_sync(&w, "near");
        claim("strava.look", payload[i]);
        rig_expect_bury("{1}", "bug");
        rig_start(&w.r);
        end_sync(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_line),
        cmocka_unit_test(test_what_is_worth_a_second_call),
        cmocka_unit_test(test_a_second_call_that_brings_nothing),
        cmocka_unit_test(test_looking_again),
        cmocka_unit_test(test_who_was_erased),
        cmocka_unit_test(test_one_that_runs_alone_pays_itself),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_answers_about_something_else),
        cmocka_unit_test(test_units_in_trouble),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_bad_payload),
    };
    return cmocka_run_group_tests_name("a look at an activity", tests, NULL, NULL);
}
