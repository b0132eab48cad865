/* The job that makes jobs of events: chunk by chunk until none is left, and what it does when more
 * keep coming. */
#include "flow/rig.h"
#include "ingest/ingest.h"

#define END       "jobs_finish ingest_dispatch_end"
#define HAND_OVER "jobs_finish jobs_add"

static void open_world(struct rig *r)
{
    rig_open(r);
    ingest_dispatch_kind(r->pool, &r->kinds[0]);
    struct jobs_conf conf = rig_conf();
    conf.concurrency = 1;
    rig_queue(r, &conf, 1);
    script_always(RIG_WORK, "jobs_hint");
    struct script_unit *x = rig_claim();
    rig_job(x, "strava.events", 1, "{}");
    rig_claim_tail(x, -1, false);
}

static void end_world(struct rig *r)
{
    rig_play(r);
    rig_drain(r);
    rig_close(r);
}

static struct script_unit *expect_chunk_to(int64_t events, int64_t jobs, int64_t last_id)
{
    struct script_unit *x = script_expect(RIG_WORK, "ingest_dispatch");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "250");
    script_row(x, 0, "iii", events, jobs, last_id);
    return x;
}

static struct script_unit *expect_chunk(int64_t events, int64_t jobs)
{
    return expect_chunk_to(events, jobs, 1000);
}

static struct script_unit *expect_end(void)
{
    return rig_expect_finish(END, "{1}", "{1}");
}

static void test_until_none_is_left(void **state)
{
    (void)state;
    struct rig r;
    open_world(&r);
    expect_chunk(250, 3);
    expect_chunk(250, 0);
    expect_chunk(12, 2);
    expect_end();
    rig_claim_empty(); /* the hint is for whoever has the queue of these jobs */
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(jobs_counts(r.jobs).finished, 1);
    end_world(&r);
}

/* Who keeps events goes first while they pour in; what has come is made jobs of soon after. */
static void test_gives_way_to_more(void **state)
{
    (void)state;
    for (int pouring = 0; pouring < 2; pouring++) {
        struct rig r;
        open_world(&r);
        rig_start(&r);
        expect_chunk_to(250, 0, 1000);
        struct script_unit *second = expect_chunk_to(250, 0, pouring ? 1000000 : 1100);
        struct script_unit *third = expect_chunk_to(1, 0, 1000000);
        expect_end();
        rig_claim_empty();
        rig_until_asked(&r, second);
        int64_t asked_ms = loop_now_ms(r.loop);
        rig_until_asked(&r, third);
        int64_t paused_ms = loop_now_ms(r.loop) - asked_ms;
        assert_in_range(paused_ms, pouring ? 500 : 10, pouring ? 5000 : 499);
        end_world(&r);
    }
}

static void test_more_came_meanwhile(void **state)
{
    (void)state;
    struct rig r;
    open_world(&r);
    for (int i = 0; i < 3; i++) {
        expect_chunk(i, 0);
        script_fails(expect_end(), "WM002", "more events came");
    }
    expect_chunk(0, 0);
    expect_end();
    rig_start(&r);
    rig_play(&r);
    assert_int_equal(jobs_counts(r.jobs).finished, 1);
    end_world(&r);
}

static void slow_chunk(struct rig *r, int64_t events)
{
    struct script_unit *x = expect_chunk(events, 0);
    script_silent(x);
    rig_until_asked(r, x);
    rig_wait(r, 20000);
    if (events < 250) {
        script_fails(expect_end(), "WM002", "more events came");
    }
    script_answer(x);
}

/* After half a minute another job goes on, which is there when the end of this one is. */
static void test_hands_over(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct rig r;
        open_world(&r);
        rig_start(&r);
        slow_chunk(&r, full ? 250 : 1);
        slow_chunk(&r, full ? 250 : 1);
        struct script_unit *x = rig_expect_finish(HAND_OVER, "{1}", "{1}");
        script_param(x, 1, 1, "{trails}");
        script_param(x, 1, 2, "{strava.events}");
        script_param(x, 1, 8, "{events}");
        rig_claim_empty(); /* of the successor, which another instance has */
        rig_play(&r);
        assert_int_equal(jobs_counts(r.jobs).finished, 1);
        end_world(&r);
    }
}

/* ---- when it goes wrong ---------------------------------------------------------------------- */

static void test_trouble(void **state)
{
    (void)state;
    static const char *const sqlstate[] = {"57014", "40001", "42883", "22003"};
    for (size_t i = 0; i < 2 * COUNT_OF(sqlstate); i++) {
        struct rig r;
        bool at_end = i >= COUNT_OF(sqlstate), retry = i % COUNT_OF(sqlstate) < 2;
        open_world(&r);
        struct script_unit *x = expect_chunk(0, 0);
        x = at_end ? expect_end() : x;
        script_fails(x, sqlstate[i % COUNT_OF(sqlstate)], "no");
        if (retry)
            rig_expect_requeue("{1}", false);
        else
            rig_expect_bury("{1}", strcmp(sqlstate[i % COUNT_OF(sqlstate)], "42883") == 0
                                       ? "bug"
                                       : "permanent");
        rig_start(&r);
        end_world(&r);
    }
}

static void test_fenced(void **state)
{
    (void)state;
    struct rig r;
    open_world(&r);
    expect_chunk(5, 0);
    script_fails(expect_end(), "WM001", "fenced: 1 of 1");
    script_expect(RIG_WORK, "jobs_still_ours");
    rig_start(&r);
    end_world(&r);
}

static void test_no_answer(void **state)
{
    (void)state;
    struct rig r;
    open_world(&r);
    script_silent(expect_chunk(5, 0));
    rig_expect_requeue("{1}", false);
    rig_start(&r);
    end_world(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_until_none_is_left),
        cmocka_unit_test(test_gives_way_to_more),
        cmocka_unit_test(test_more_came_meanwhile),
        cmocka_unit_test(test_hands_over),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
