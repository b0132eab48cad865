/* One page of a sync: every step, and what becomes of the job and of the sync when it fails. */
#include "flow/sync_rig.h"

#define LIST    "/athlete/activities?before=1000000&after=0&page=1&per_page=200"
#define SAVE    "jobs_finish ingest_take_page ingest_sync_row"
#define PAYLOAD "{\"sync\": 9}"

/* Of the statement ingest_take_page. */
enum {
    P_ATHLETE = 1,
    P_TICKET,
    P_SYNC,
    P_IDS,
    P_AT = 24,
    P_AT_PAGE,
    P_NEXT,
    P_NEXT_PAGE,
    P_LOW,
    P_FRESH,
    P_OVER,
    P_NFRESH,
    P_NBAD,
    P_BAD,
    P_STREAMS,
    P_DETAILS
};

static const char two[] =
    "[{\"id\": 77, \"athlete\": {\"id\": 500}, \"name\": \"a\", \"start_date\":"
    " \"1970-01-10T00:00:00Z\", \"sport_type\": \"Run\"},"
    " {\"id\": 78, \"athlete\": {\"id\": 500}, \"start_date\": \"1970-01-09T00:00:00Z\"}]";

static struct script_unit *expect_read(const char *mode)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_sync_read");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, "9");
    if (mode) {
        script_row(x, 0, "itIiiIb", (int64_t)ATHLETE, mode, (int64_t)1000000, (int64_t)1, 0);
    }
    return x;
}

static struct script_call *expect_call(const char *body)
{
    struct script_call *x = strava_script_expect(ATHLETE, LIST);
    strava_script_reply(x, body);
    return x;
}

static struct script_unit *expect_seen(const char *ids)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_sync_seen");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, "9");
    script_param(x, 0, 2, ids);
    return x;
}

static struct script_unit *expect_save(const char *ids)
{
    struct script_unit *x = rig_expect_finish(SAVE, "{1}", "{1}");
    script_param(x, 1, P_ATHLETE, "500");
    script_param(x, 1, P_TICKET, "101");
    script_param(x, 1, P_SYNC, "9");
    script_param(x, 1, P_IDS, ids);
    script_param(x, 1, P_AT, "1970-01-12T13:46:40.000Z");
    script_param(x, 1, P_AT_PAGE, "1");
    script_param(x, 1, P_STREAMS, "near");
    script_param(x, 1, P_DETAILS, "none");
    script_row(x, 2,
               "itt"
               "dddddd"
               "T",
               (int64_t)ATHLETE, "all", "running", 1, 2, 2, 0, 0, 0);
    return x;
}

static struct script_unit *up_to_save(struct sync_world *w, const char *body, const char *ids)
{
    open_sync(w, "near");
    claim("strava.page", PAYLOAD);
    (void)expect_read("all");
    (void)expect_call(body);
    (void)expect_seen(ids);
    return expect_save(ids);
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

static void test_a_short_page(void **state)
{
    (void)state;
    struct sync_world w;
    struct script_unit *x = up_to_save(&w, two, "{77,78}");
    script_param(x, 1, P_NEXT, "1970-01-12T13:46:40.000Z");
    script_param(x, 1, P_NEXT_PAGE, "2");
    script_param(x, 1, P_LOW, "1970-01-09T00:00:00.000Z");
    script_param(x, 1, P_FRESH, "t");
    script_param(x, 1, P_OVER, "f");
    script_param(x, 1, P_NFRESH, "2");
    script_param(x, 1, P_NBAD, "0");
    script_param(x, 1, P_BAD, "NULL");
    play(&w);
}

static void test_an_empty_page_is_the_end(void **state)
{
    (void)state;
    struct sync_world w;
    struct script_unit *x = up_to_save(&w, "[]", "{}");
    script_param(x, 1, P_OVER, "t");
    script_param(x, 1, P_NFRESH, "0");
    play(&w);
}

/* The same twice on a page is one: else it would look new for ever. */
static void test_twins(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.page", PAYLOAD);
    (void)expect_read("all");
    (void)expect_call("[{\"id\": 78}, {\"id\": 77}, {\"id\": 78}]");
    struct script_unit *x = expect_seen("{77,78}");
    script_row(x, 0, "i", (int64_t)77);
    script_row(x, 0, "i", (int64_t)78);
    x = expect_save("{78,77,78}");
    script_param(x, 1, P_FRESH, "f");
    script_param(x, 1, P_NFRESH, "0");
    play(&w);
}

/* One that is another athlete's, one that is unreadable: the rest stands. Neither makes a page
 * empty. */
static void test_what_is_not_taken(void **state)
{
    (void)state;
    struct sync_world w;
    struct script_unit *x = up_to_save(
        &w, "[{\"id\": 5, \"athlete\": {\"id\": 501}}, {\"id\": \"x\"}, {\"id\": 77}]", "{77}");
    script_param(x, 1, P_OVER, "f");
    script_param(x, 1, P_NFRESH, "1");
    script_param(x, 1, P_NBAD, "2");
    play(&w);
}

static void test_where_it_stands(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.page", PAYLOAD);
    struct script_unit *x = script_expect(RIG_WORK, "ingest_sync_read");
    script_row(x, 0, "itiiiib", (int64_t)ATHLETE, "new", (int64_t)5000, (int64_t)777601, (int64_t)2,
               (int64_t)777600, 0);
    struct script_call *c = strava_script_expect(
        ATHLETE, "/athlete/activities?before=777601&after=4999&page=2&per_page=200");
    strava_script_pays(c, false, true);
    strava_script_reply(c, two);
    x = expect_seen("{77,78}");
    script_row(x, 0, "i", (int64_t)77);
    x = rig_expect_finish(SAVE, "{1}", "{1}");
    script_param(x, 1, P_AT_PAGE, "2");
    script_param(x, 1, P_NEXT, "1970-01-10T00:00:01.000Z"); /* once more: there was something new */
    script_param(x, 1, P_NEXT_PAGE, "1");
    script_param(x, 1, P_FRESH, "f");
    script_param(x, 1, P_LOW, "NULL");
    script_param(x, 1, P_NFRESH, "1");
    script_row(x, 2,
               "itt"
               "dddddd"
               "T",
               (int64_t)ATHLETE, "new", "done", 1, 2, 2, 0, 0, 0);
    play(&w);
}

static void test_a_sync_that_is_over(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.page", PAYLOAD);
    (void)expect_read(NULL);
    rig_expect_finish("jobs_finish", "{1}", "{1}");
    rig_start(&w.r);
    end_sync(&w);
}

static void test_one_that_runs_alone_pays_itself(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    w.r.kinds[0].rate = "other";
    claim_suspect("strava.page", PAYLOAD);
    (void)expect_read("all");
    strava_script_pays(expect_call("[]"), true, false);
    (void)expect_seen("{}");
    (void)expect_save("{}");
    expect_rated_claim(false);
    rig_start(&w.r);
    end_sync(&w);
}

/* ---- calls that fail --------------------------------------------------------------------------
 */

static struct script_call *up_to_call(struct sync_world *w, int attempt)
{
    open_sync(w, "near");
    claim_attempt("strava.page", PAYLOAD, attempt);
    (void)expect_read("all");
    return expect_call("");
}

static struct script_unit *expect_stop(bool finishes, const char *why)
{
    struct script_unit *x = finishes
                                ? rig_expect_finish("jobs_finish ingest_sync_fail", "{1}", "{1}")
                                : script_expect(RIG_WORK, "ingest_sync_fail");
    script_param(x, finishes, 1, "9");
    script_param(x, finishes, 2, why);
    return x;
}

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        enum strava_outcome outcome;
        int status;
        const char *why;
    } want[] = {
        {STRAVA_REAUTH, 400, "the athlete has to connect again"},
        {STRAVA_UNKNOWN, 0, "the athlete is not connected"},
        {STRAVA_NOT_FOUND, 404, "Strava has no such thing"},
        {STRAVA_SCOPE, 401,
         "the athlete has not granted what this needs: connect again, with all boxes ticked"},
        {STRAVA_REFUSED, 400, "Strava refuses this request (status 400)"},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct sync_world w;
        strava_script_outcome(up_to_call(&w, 1), want[i].outcome, want[i].status);
        (void)expect_stop(true, want[i].why);
        rig_start(&w.r);
        end_sync(&w);
    }
}

static void test_failures(void **state)
{
    (void)state;
    struct sync_world w;
    /* Calls are used up: nothing is spent, whichever attempt it is. */
    strava_script_fails(up_to_call(&w, 5), ERR_HTTP, ERR_RETRY, 429);
    expect_requeue_after(0, 100, &w, true);
    /* Strava is away: later, and later. */
    strava_script_fails(up_to_call(&w, 1), ERR_HTTP, ERR_RETRY, 500);
    expect_requeue_after(5, 6, &w, false);
    strava_script_fails(up_to_call(&w, 1), ERR_HTTP, ERR_RETRY, 503);
    expect_requeue_after(5, 6, &w, false);
    strava_script_fails(up_to_call(&w, 4), ERR_UV, ERR_RETRY, 0);
    expect_requeue_after(135, 162, &w, false);
    /* For the last time: the sync ends with its job. */
    strava_script_fails(up_to_call(&w, 5), ERR_HTTP, ERR_RETRY, 500);
    (void)expect_stop(false, "as the script has it (500)");
    expect_last();
    rig_start(&w.r);
    end_sync(&w);
    strava_script_fails(up_to_call(&w, 1), ERR_HTTP, ERR_PERMANENT, 0);
    (void)expect_stop(false, "as the script has it (0)");
    rig_expect_bury("{1}", "permanent");
    rig_start(&w.r);
    end_sync(&w);
    strava_script_fails(up_to_call(&w, 1), ERR_DATA, ERR_BUG, 0);
    rig_expect_bury("{1}", "bug");
    rig_start(&w.r);
    end_sync(&w);
}

static void test_silence(void **state)
{
    (void)state;
    for (int cancel = 0; cancel < 2; cancel++) {
        struct sync_world w;
        play_silent_call(&w, up_to_call(&w, 1), cancel);
    }
}

static void test_answers_that_nobody_can_read(void **state)
{
    (void)state;
    struct sync_world w;
    strava_script_reply(up_to_call(&w, 1), "[{\"id\": 77, ");
    expect_requeue_after(5, 6, &w, false);
    strava_script_reply(up_to_call(&w, 5), "[{\"id\": 77, ");
    struct script_unit *x = script_expect(RIG_WORK, "ingest_sync_fail");
    script_param(x, 0, 1, "9");
    expect_last();
    rig_start(&w.r);
    end_sync(&w);
    strava_script_reply(up_to_call(&w, 1), "{\"id\": 77}"); /* no list */
    x = script_expect(RIG_WORK, "ingest_sync_fail");
    rig_expect_bury("{1}", "permanent");
    rig_start(&w.r);
    end_sync(&w);
}

/* A worker cannot be interrupted: what it brings, however late, is good. */
static void test_a_slow_worker(void **state)
{
    (void)state;
    struct sync_world w;
    (void)up_to_save(&w, two, "{77,78}");
    w.r.skip_in_work_ms = INGEST_PARSE_MS + 1;
    play(&w);
}

/* ---- the database ------------------------------------------------------------------------------
 */

static void test_units_in_trouble(void **state)
{
    (void)state;
    for (int t = 0; t < T_KINDS; t++) {
        struct sync_world w;
        open_sync(&w, "near");
        claim("strava.page", PAYLOAD);
        play_unit(&w, expect_read("all"), (enum sync_trouble)t);

        (void)up_to_call(&w, 1);
        strava_script_begin();
        (void)expect_call(two);
        play_unit(&w, expect_seen("{77,78}"), (enum sync_trouble)t);

        play_unit(&w, up_to_save(&w, two, "{77,78}"), (enum sync_trouble)t);

        strava_script_outcome(up_to_call(&w, 1), STRAVA_REAUTH, 400);
        play_unit(&w, expect_stop(true, "the athlete has to connect again"), (enum sync_trouble)t);

        open_sync(&w, "near");
        claim("strava.page", PAYLOAD);
        (void)expect_read(NULL);
        play_unit(&w, rig_expect_finish("jobs_finish", "{1}", "{1}"), (enum sync_trouble)t);
    }
}

static void test_conflicts(void **state)
{
    (void)state;
    struct sync_world w;
    script_fails(up_to_save(&w, two, "{77,78}"), "40P01", "deadlock detected");
    struct script_unit *x = expect_save("{77,78}");
    script_param(x, 1, P_NEXT_PAGE, "2"); /* moved on once, not twice */
    script_param(x, 1, P_NFRESH, "2");
    play(&w);

    x = up_to_save(&w, two, "{77,78}");
    for (int i = 1;; i++) {
        script_fails(x, "40001", "could not serialize");
        if (i == INGEST_TRIES) {
            break;
        }
        x = expect_save("{77,78}");
    }
    rig_expect_requeue("{1}", false);
    rig_start(&w.r);
    end_sync(&w);
}

static void test_fenced(void **state)
{
    (void)state;
    struct sync_world w;
    script_fails(up_to_save(&w, two, "{77,78}"), "WM001", "fenced: 1 of 1");
    script_expect(RIG_WORK, "jobs_still_ours"); /* no longer */
    rig_start(&w.r);
    end_sync(&w);
}

static void test_bad_payload(void **state)
{
    (void)state;
    static const char *const payload[] = {"{}", "{\"sync\": \"9\"}", "{\"sync\": 1.5}"};
    for (size_t i = 0; i < COUNT_OF(payload); i++) {
        struct sync_world w;
        open_sync(&w, "near");
        claim("strava.page", payload[i]);
        rig_expect_bury("{1}", "bug");
        rig_start(&w.r);
        end_sync(&w);
    }
}

/* A server that heeds neither bound nor page would be asked for ever. */
static void test_a_list_without_end(void **state)
{
    (void)state;
    struct sync_world w;
    open_sync(&w, "near");
    claim("strava.page", PAYLOAD);
    struct script_unit *x = script_expect(RIG_WORK, "ingest_sync_read");
    script_row(x, 0, "itIiiib", (int64_t)ATHLETE, "all", (int64_t)1000, (int64_t)INGEST_PAGES_MAX,
               (int64_t)999, 0);
    strava_script_reply(
        strava_script_expect(ATHLETE,
                             "/athlete/activities?before=1000&after=0&page=2000&per_page=200"),
        two);
    (void)expect_seen("{77,78}");
    (void)expect_stop(true, "Strava's list has no end");
    rig_start(&w.r);
    end_sync(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_page),
        cmocka_unit_test(test_an_empty_page_is_the_end),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_what_is_not_taken),
        cmocka_unit_test(test_where_it_stands),
        cmocka_unit_test(test_a_sync_that_is_over),
        cmocka_unit_test(test_one_that_runs_alone_pays_itself),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_answers_that_nobody_can_read),
        cmocka_unit_test(test_a_slow_worker),
        cmocka_unit_test(test_units_in_trouble),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_bad_payload),
        cmocka_unit_test(test_a_list_without_end),
    };
    return cmocka_run_group_tests_name("a page of a sync", tests, NULL, NULL);
}
