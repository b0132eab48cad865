/* Group commit of pushed events: what shares a commit, what waits, and what each event hears. */
#include "flow/rig.h"
#include "ingest/ingest.h"

enum { POOL = 1, MANY = 12 }; /* the pool of the events, after that of the rig */

struct world {
    struct rig r;
    struct ingest_events *events;
    struct ingest_keep k[MANY];
    unsigned done, jobs;
    char order[64]; /* of completions, by number of the event */
};

static void on_job(void *ctx)
{
    ((struct world *)ctx)->jobs++;
}

static void open_world(struct world *w, unsigned commits, size_t group, size_t waiting)
{
    static const struct db_conf db = {.url = "", .max_conns = 4};
    *w = (struct world){.done = 0};
    rig_open(&w->r);
    w->events = ingest_events_open(w->r.loop, &(struct ingest_events_conf){.db = &db,
                                                                           .commits = commits,
                                                                           .group = group,
                                                                           .waiting = waiting,
                                                                           .on_job = on_job,
                                                                           .ctx = w});
}

static void close_world(struct world *w)
{
    struct op op;
    rig_play(&w->r);
    ingest_events_close(w->events, &op);
    rig_op(&w->r, &op);
    rig_close(&w->r);
}

static void kept(struct op *op)
{
    struct world *w = op->waiter;
    size_t n = strlen(w->order);
    long i = container_of(op, struct ingest_keep, op) - w->k;
    w->done++;
    snprintf(w->order + n, sizeof(w->order) - n, "%ld%s ", i, op->failed ? "!" : "");
}

static void keep(struct world *w, int i)
{
    w->k[i].event = (struct strava_event){.aspect = STRAVA_UPDATE,
                                          .object_id = 100 + i,
                                          .owner_id = 7,
                                          .subscription_id = 9,
                                          .time_s = 1000000000};
    ingest_events_keep(w->events, &w->k[i]);
    op_await(&w->k[i].op, kept, w);
}

/* A commit of these objects. */
static struct script_unit *expect(const char *objects, bool made_job)
{
    struct script_unit *x = script_expect(POOL, "ingest_receive");
    script_flags(x, DB_TX);
    script_param(x, 0, 3, objects);
    script_row(x, 0, "b", (int)made_job);
    return x;
}

static void test_one_event(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 2, 0, 0);
    struct script_unit *x = script_expect(POOL, "ingest_receive");
    script_param(x, 0, 1, "{t,t,f}");
    script_param(x, 0, 2, "{1,2,3}");
    script_param(x, 0, 3, "{9223372036854775807,5,6}");
    script_param(x, 0, 4, "{5,5,-1}");
    script_param(x, 0, 5, "{9,0,9}");
    /* What no calendar has is no time. */
    script_param(x, 0, 6, "{2001-09-09T01:46:40.000Z,NULL,NULL}");
    script_param(x, 0, 7, "{t,f,f}");
    script_row(x, 0, "b", 1);
    const struct strava_event e[] = {
        {true, STRAVA_CREATE, INT64_MAX, 5, 9, 1000000000, true},
        {true, STRAVA_UPDATE, 5, 5, 0, INT64_MAX, false},
        {false, STRAVA_DELETE, 6, -1, 9, -1, false},
    };
    for (int i = 0; i < 3; i++) {
        w.k[i].event = e[i];
        ingest_events_keep(w.events, &w.k[i]);
        op_await(&w.k[i].op, kept, &w);
    }
    assert_int_equal(w.done, 0);
    rig_play(&w.r);
    assert_string_equal(w.order, "0 1 2 ");
    assert_int_equal(w.jobs, 1);
    assert_int_equal(ingest_events_counts(w.events).kept, 3);
    assert_int_equal(ingest_events_counts(w.events).commits, 1);
    close_world(&w);
}

/* What comes while a commit is under way waits for the next one, and goes together. */
static void test_who_shares_a_commit(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 0);
    struct script_unit *first = expect("{100}", true);
    script_silent(first);
    keep(&w, 0);
    rig_until_asked(&w.r, first);
    struct script_unit *second = expect("{101,102,103}", false);
    for (int i = 1; i < 4; i++) {
        keep(&w, i);
        rig_wait(&w.r, 5);
    }
    assert_int_equal(ingest_events_counts(w.events).waiting, 3);
    assert_int_equal(w.done, 0);
    script_answer(first);
    rig_until_asked(&w.r, second);
    rig_play(&w.r);
    assert_string_equal(w.order, "0 1 2 3 ");
    assert_int_equal(w.jobs, 1);
    close_world(&w);
}

static void test_two_under_way(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 2, 0, 0);
    struct script_unit *first = expect("{100,101}", false), *second = expect("{102}", false);
    script_silent(first);
    script_silent(second);
    keep(&w, 0);
    keep(&w, 1);
    rig_until_asked(&w.r, first);
    rig_wait(&w.r, 1); /* else it shares the next one with what comes until then */
    keep(&w, 2);
    rig_until_asked(&w.r, second);
    struct script_unit *third = expect("{103,104}", false);
    keep(&w, 3);
    rig_wait(&w.r, 10);
    keep(&w, 4);
    rig_wait(&w.r, 10);
    script_answer(second); /* whichever ends first makes room */
    rig_until_asked(&w.r, third);
    rig_wait(&w.r, 10);
    assert_string_equal(w.order, "2 3 4 ");
    script_answer(first);
    rig_play(&w.r);
    assert_string_equal(w.order, "2 3 4 0 1 ");
    close_world(&w);
}

static void test_groups_are_bounded(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 3, 0);
    expect("{100,101,102}", false);
    expect("{103,104,105}", false);
    expect("{106}", false);
    for (int i = 0; i < 7; i++)
        keep(&w, i);
    rig_play(&w.r);
    assert_string_equal(w.order, "0 1 2 3 4 5 6 ");
    close_world(&w);
}

static void test_too_many_wait(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 2);
    struct script_unit *first = expect("{100}", false);
    script_silent(first);
    keep(&w, 0);
    rig_until_asked(&w.r, first);
    for (int i = 1; i < 4; i++)
        keep(&w, i);
    rig_wait(&w.r, 1);
    assert_string_equal(w.order, "3! ");
    assert_int_equal(w.k[3].op.err.class, ERR_RETRY);
    expect("{101,102}", false);
    script_answer(first);
    rig_play(&w.r);
    assert_string_equal(w.order, "3! 0 1 2 ");
    assert_int_equal(ingest_events_counts(w.events).failed, 1);
    close_world(&w);
}

/* ---- when it goes wrong ---------------------------------------------------------------------- */

static void test_the_database_refuses(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 0);
    script_fails(expect("{100,101}", false), "53100", "no space left");
    keep(&w, 0);
    keep(&w, 1);
    rig_play(&w.r);
    assert_string_equal(w.order, "0! 1! ");
    assert_string_equal(w.k[1].op.err.sqlstate, "53100");
    /* It may have been committed: who asks is told no, and asks again. */
    script_commit_unknown(expect("{102}", false));
    keep(&w, 2);
    rig_play(&w.r);
    expect("{103}", true);
    keep(&w, 3);
    rig_play(&w.r);
    assert_string_equal(w.order, "0! 1! 2! 3 ");
    assert_int_equal(ingest_events_counts(w.events).failed, 3);
    assert_int_equal(ingest_events_counts(w.events).kept, 1);
    assert_int_equal(w.jobs, 1);
    close_world(&w);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 0);
    struct script_unit *first = expect("{100,101,102}", false);
    script_silent(first);
    for (int i = 0; i < 3; i++)
        keep(&w, i);
    rig_until_asked(&w.r, first);
    for (int i = 3; i < 6; i++)
        keep(&w, i);
    /* One that waits, and one that is under way, which others wait for, too. */
    op_cancel(&w.k[4].op);
    op_cancel(&w.k[1].op);
    rig_wait(&w.r, 1);
    assert_string_equal(w.order, "4! 1! ");
    assert_int_equal(w.k[1].op.err.code, UV_ECANCELED);
    expect("{103,105}", false);
    script_answer(first);
    rig_play(&w.r);
    assert_string_equal(w.order, "4! 1! 0 2 3 5 ");
    assert_int_equal(ingest_events_counts(w.events).failed, 0);
    close_world(&w);
}

/* Nobody waits any more: neither does the commit, and the next one has its place. */
static void test_all_cancelled(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 0);
    struct script_unit *first = expect("{100,101}", false);
    script_silent(first);
    keep(&w, 0);
    keep(&w, 1);
    rig_until_asked(&w.r, first);
    keep(&w, 2);
    expect("{102}", false);
    op_cancel(&w.k[1].op);
    op_cancel(&w.k[0].op);
    rig_play(&w.r);
    assert_string_equal(w.order, "1! 0! 2 ");
    /* Before the commit has begun, too. */
    keep(&w, 3);
    op_cancel(&w.k[3].op);
    rig_play(&w.r);
    assert_string_equal(w.order, "1! 0! 2 3! ");
    close_world(&w);
}

static void test_closed_in_the_middle(void **state)
{
    (void)state;
    struct world w;
    struct op op;
    open_world(&w, 1, 0, 0);
    struct script_unit *first = expect("{100,101}", false);
    script_silent(first);
    keep(&w, 0);
    keep(&w, 1);
    rig_until_asked(&w.r, first);
    keep(&w, 2);
    ingest_events_close(w.events, &op);
    keep(&w, 3);
    rig_op(&w.r, &op);
    rig_wait(&w.r, 1);
    assert_int_equal(w.done, 4);
    assert_string_equal(w.order, "2! 0! 1! 3! ");
    rig_close(&w.r);
    /* With nothing under way; and when a group is about to begin. */
    open_world(&w, 2, 0, 0);
    close_world(&w);
    open_world(&w, 2, 0, 0);
    keep(&w, 0);
    ingest_events_close(w.events, &op);
    rig_op(&w.r, &op);
    assert_string_equal(w.order, "0! ");
    rig_close(&w.r);
}

/* Every minute: is the job there that should be? */
static void test_a_missing_job(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 1, 0, 0);
    script_row(script_expect(POOL, "ingest_mend_dispatch"), 0, "b", 0);
    rig_wait(&w.r, 60000);
    assert_int_equal(w.jobs, 0);
    script_row(script_expect(POOL, "ingest_mend_dispatch"), 0, "b", 1);
    rig_wait(&w.r, 60000);
    assert_int_equal(w.jobs, 1);
    script_fails(script_expect(POOL, "ingest_mend_dispatch"), "57014", "cancelled");
    rig_wait(&w.r, 60000);
    /* One that has no answer is not asked twice, and the end does not wait for it. */
    struct script_unit *x = script_expect(POOL, "ingest_mend_dispatch");
    script_silent(x);
    rig_wait(&w.r, 150000);
    assert_true(script_asked(x));
    assert_int_equal(w.jobs, 1);
    struct op op;
    ingest_events_close(w.events, &op);
    rig_op(&w.r, &op);
    rig_close(&w.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_event),
        cmocka_unit_test(test_who_shares_a_commit),
        cmocka_unit_test(test_two_under_way),
        cmocka_unit_test(test_groups_are_bounded),
        cmocka_unit_test(test_too_many_wait),
        cmocka_unit_test(test_the_database_refuses),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_all_cancelled),
        cmocka_unit_test(test_closed_in_the_middle),
        cmocka_unit_test(test_a_missing_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
