/* This instance among others: it registers, beats, rescues what dead ones left, and may be taken
 * for dead itself. */
#include <unistd.h>

#include "flow/handler.h"
#include "jobs/internal.h"

#define BEAT "jobs_beat"

static void started(struct rig *r, struct handler *h)
{
    open_queue(r, h, 10, NULL);
    rig_claim_empty();
    rig_start(r);
    rig_play(r);
}

static void finish_test(struct rig *r)
{
    rig_play(r);
    rig_drain(r);
    rig_close(r);
}

static struct script_unit *expect_beat(void)
{
    struct script_unit *x = script_expect(RIG_BEAT, BEAT);
    rig_me(x, false);
    return x;
}

struct peer {
    int64_t id, beat, pid_started;
    const char *place;
    int pid;
    bool session;
};

static void add_peer(struct script_unit *x, const struct peer *p)
{
    script_row(x, 0, "diitdib", 1, p->id, p->beat, p->place ? p->place : "elsewhere", p->pid,
               p->pid_started, (int)p->session);
}

static struct script_unit *expect_rescue(int64_t id, const char *beat, int64_t jobs)
{
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)id);
    struct script_unit *x = script_expect(RIG_BEAT, "jobs_rescue");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, text);
    script_param(x, 0, 2, beat);
    script_row(x, 0, "d", (int)jobs);
    return x;
}

static void test_registration(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    char pid[32], born[32];
    struct buf place = {0};
    open_queue(&r, &h, 10, NULL);
    jobs__place(&place);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    snprintf(born, sizeof(born), "%lld", (long long)jobs__pid_started(getpid()));
    script_fails(script_expect(RIG_BEAT, "jobs_register"), "08001", "refused");
    struct script_unit *x = script_expect(RIG_BEAT, "jobs_register");
    script_flags(x, 0);
    script_param(x, 0, 2, place.p);
    script_param(x, 0, 3, pid);
    script_param(x, 0, 4, born);
    script_param(x, 0, 5, WAYMARK_VERSION);
    script_param(x, 0, 6, "trails");
    script_param(x, 0, 7, "2");
    script_row(x, 0, "i", (int64_t)RIG_ME);
    x = expect_beat(); /* at once, to see the others */
    script_flags(x, 0);
    script_param(x, 0, 1, "1");
    script_param(x, 0, 2, "0");
    rig_claim_empty();
    expect_beat();
    rig_start(&r);
    rig_play(&r);
    assert_in_range(r.now_ms, 3900, 4100); /* a beat later, and one more */
    buf_done(&place);
    finish_test(&r);
}

static void test_a_beat_that_hangs_stops_nothing_else(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    script_silent(script_expect(RIG_BEAT, BEAT));
    expect_beat();
    rig_wait(&r, 5000);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    expect_finish("{1}", "{1}");
    jobs_wake(r.jobs);
    rig_wait(&r, 100);
    assert_int_equal(jobs_counts(r.jobs).finished, 1);
    finish_test(&r);
}

/* ---- others ------------------------------------------------------------------------------------
 */

static void test_owners_without_an_instance_are_rescued(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    struct script_unit *x = expect_beat();
    add_peer(x, &(struct peer){.id = 5, .beat = -1});
    add_peer(x, &(struct peer){.id = 6, .beat = 40, .session = true});
    add_peer(x, &(struct peer){.id = 7, .beat = -1});
    expect_rescue(5, "-1", 3);
    expect_rescue(7, "-1", 0);
    struct script_unit *claim = rig_claim_empty(); /* what came back is ready */
    rig_play(&r);
    assert_true(script_asked(claim));
    assert_int_equal(jobs_counts(r.jobs).rescued, 3);
    finish_test(&r);
}

static void test_a_process_that_is_gone(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    struct buf here = {0};
    jobs__place(&here);
    started(&r, &h);
    struct script_unit *x = expect_beat();
    int64_t born = jobs__pid_started(getpid());
    struct peer alive = {
        .id = 3, .beat = 9, .place = here.p, .pid = getpid(), .pid_started = born, .session = true};
    struct peer other = alive, away = alive;
    other.id = 4;
    other.pid_started = born - 1; /* its pid is another process' now */
    away.id = 5;
    away.place = "another boot";
    away.pid_started = 1;
    add_peer(x, &alive);
    add_peer(x, &other);
    add_peer(x, &away);
    expect_rescue(4, "9", 0);
    rig_play(&r);
    buf_done(&here);
    finish_test(&r);
}

static bool is_quiet(void *ctx)
{
    const struct rig *r = ctx;
    return script_played() && loop_flow_count(r->loop) == 0;
}

/* Beats until the instance is rescued; returns after how many ms. */
static int64_t until_rescued(struct rig *r, int64_t beat, bool session, bool moves)
{
    int64_t begin = r->now_ms;
    struct script_unit *rescue = script_always(RIG_BEAT, "jobs_rescue");
    script_row(rescue, 0, "d", -1); /* it has beaten since: it lives */
    for (int i = 0; i < 40; i++) {
        struct script_unit *x = expect_beat();
        struct peer p = {.id = 9, .beat = beat + (moves ? i : 0), .session = session};
        add_peer(x, &p);
        rig_until(r, is_quiet, r);
        if (script_asked(rescue)) {
            return r->now_ms - begin;
        }
    }
    return -1;
}

static void test_a_session_that_is_gone_for_a_while(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    /* First seen without a session after one beat, and given two more. */
    assert_in_range(until_rescued(&r, 7, false, true), 5900, 6200);
    assert_int_equal(jobs_counts(r.jobs).rescued, 0);
    finish_test(&r);
}

static void test_a_silent_instance(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    assert_in_range(until_rescued(&r, 7, true, false), 31900, 34200);
    finish_test(&r);
}

static void test_an_instance_that_beats_is_left_alone(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    assert_int_equal(until_rescued(&r, 7, true, true), -1);
    finish_test(&r);
}

static void test_a_rescue_that_fails_is_tried_again(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    add_peer(expect_beat(), &(struct peer){.id = 5, .beat = -1});
    script_commit_unknown(expect_rescue(5, "-1", 0));
    add_peer(expect_beat(), &(struct peer){.id = 5, .beat = -1});
    script_silent(expect_rescue(5, "-1", 0));
    add_peer(expect_beat(), &(struct peer){.id = 5, .beat = -1});
    expect_rescue(5, "-1", 2);
    rig_claim_empty();
    rig_play(&r);
    assert_int_equal(jobs_counts(r.jobs).rescued, 2);
    finish_test(&r);
}

/* Others will take it for dead: what it claimed now would be done twice, and one result dropped. */
static void test_without_beats_nothing_is_claimed(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    for (int i = 0; i < 2; i++) {
        script_silent(script_expect(RIG_BEAT, BEAT)); /* for 10 s each */
    }
    rig_wait(&r, 15000);
    rig_claim_empty();
    jobs_wake(r.jobs);
    rig_wait(&r, 7500);
    jobs_wake(r.jobs); /* a claim now would find the script without one */
    rig_wait(&r, 100);
    struct script_unit *claim = rig_claim_empty();
    rig_wait(&r, 5000);
    assert_true(script_asked(claim));
    finish_test(&r);
}

/* ---- taken for dead ----------------------------------------------------------------------------
 */

static struct script_unit *expect_declared_dead(int64_t new_id)
{
    struct script_unit *x = script_expect(RIG_BEAT, BEAT); /* no row: ours is gone */
    struct script_unit *y = script_expect(RIG_BEAT, "jobs_register");
    script_row(y, 0, "i", new_id);
    return x;
}

static void test_taken_for_dead_registers_anew(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_job(x, "a", 2, "{}");
    rig_claim_tail(x, -1, false);
    struct script_unit *finish = expect_finish("{1,2}", "{1,1}");
    script_silent(finish);
    expect_beat();
    expect_declared_dead(77);
    rig_start(&r);
    rig_wait(&r, 1000);
    struct script_unit *claim = rig_claim();
    script_param(claim, 1, 3, "77");
    rig_claim_tail(claim, -1, false);
    rig_wait(&r, 2000);
    assert_true(script_asked(claim));
    assert_int_equal(jobs_owner(r.jobs), 77);
    /* Its commit is refused, or its deadline passes; whatever it was, it is not ours to write. */
    rig_play(&r);
    assert_int_equal(h.ended, 1);
    assert_int_equal(h.started, 1);
    struct op op;
    script_param(script_expect(RIG_WORK, "jobs_unregister"), 0, 1, "77");
    jobs_drain(r.jobs, &op);
    rig_op(&r, &op);
    rig_close(&r);
}

static void test_taken_for_dead_while_it_claims(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    script_silent(x);
    expect_beat();
    expect_declared_dead(77);
    rig_start(&r);
    rig_wait(&r, 3000);
    assert_int_equal(jobs_owner(r.jobs), 77);
    struct script_unit *again = rig_claim();
    script_param(again, 1, 3, "77");
    rig_claim_tail(again, -1, false);
    script_answer(x); /* claimed under a name that is gone: whoever rescues it runs it */
    rig_wait(&r, 1000);
    assert_true(script_asked(again));
    assert_int_equal(h.started, 0);
    script_expect(RIG_WORK, "jobs_unregister");
    struct op op;
    jobs_drain(r.jobs, &op);
    rig_op(&r, &op);
    rig_close(&r);
}

/* ---- waiting until it is idle ------------------------------------------------------------------
 */

static void test_idle_when_a_claim_comes_back_empty(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    started(&r, &h);
    struct op op;
    script_silent(rig_claim_empty()); /* it was idle before: that does not count */
    jobs_wait_idle(r.jobs, &op, 1000);
    rig_wait(&r, 100);
    assert_int_equal(op.state, OP_PENDING);
    op_cancel(&op);
    rig_op(&r, &op);
    assert_true(op.failed);
    assert_int_equal(op.err.code, UV_ECANCELED);
    script_expect(RIG_WORK, "jobs_release_unknown");
    rig_claim_empty();
    struct op again;
    jobs_wait_idle(r.jobs, &again, 0);
    rig_op(&r, &again);
    assert_false(again.failed);
    finish_test(&r);
}

static void test_not_idle_while_something_runs(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    struct script_unit *x = rig_claim();
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    struct op op;
    jobs_wait_idle(r.jobs, &op, 1000); /* before it has registered */
    plan(&h, PLAN_FAIL);
    plan_error(&h, ERR_PERMANENT, "bad");
    struct script_unit *bury = rig_expect_bury("{1}", "permanent");
    script_silent(bury);
    rig_start(&r);
    rig_wait(&r, 5000);
    assert_true(script_asked(bury));
    assert_int_equal(op.state, OP_PENDING);
    script_answer(bury); /* the claim that brought it had found no more */
    rig_op(&r, &op);
    assert_false(op.failed);
    finish_test(&r);
}

static void test_not_idle_while_suspects_wait(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    rig_claim_tail(rig_claim(), -1, true);
    struct script_unit *x = script_expect(RIG_WORK, RIG_CLAIM_SUSPECT);
    rig_job(x, "a", 1, "{}");
    rig_claim_tail(x, -1, false);
    struct script_unit *finish = expect_finish("{1}", "{1}");
    script_silent(finish);
    rig_start(&r);
    struct op op;
    jobs_wait_idle(r.jobs, &op, 1000);
    rig_wait(&r, 5000);
    assert_true(script_asked(finish));
    assert_int_equal(op.state, OP_PENDING);
    rig_claim_empty();
    script_answer(finish);
    rig_op(&r, &op);
    assert_false(op.failed);
    finish_test(&r);
}

static void test_the_waiter_fails_when_the_queue_is_away_too_long(void **state)
{
    (void)state;
    for (int registered = 0; registered < 2; registered++) {
        struct rig r;
        struct handler h;
        open_queue(&r, &h, 10, NULL);
        if (!registered) {
            for (int i = 0; i < 6; i++) {
                script_fails(script_expect(RIG_BEAT, "jobs_register"), "08001", "refused");
            }
        } else {
            script_fails(script_always(RIG_WORK, RIG_CLAIM), "08001", "refused");
            script_fails(script_always(RIG_WORK, "jobs_release_unknown"), "08001", "refused");
        }
        rig_start(&r);
        struct op op;
        jobs_wait_idle(r.jobs, &op, 9000);
        rig_op(&r, &op);
        assert_true(op.failed);
        assert_string_equal(op.err.msg, "refused");
        assert_int_equal(op.err.class, ERR_RETRY);
        assert_in_range(r.now_ms, 9000, 10600);
        if (registered) {
            rig_drain(&r);
        } else {
            jobs_drain(r.jobs, &op);
            rig_op(&r, &op);
        }
        rig_close(&r);
    }
}

static void test_a_short_outage_is_sat_out(void **state)
{
    (void)state;
    struct rig r;
    struct handler h;
    open_queue(&r, &h, 10, NULL);
    script_fails(rig_claim(), "57P03", "the database system is starting up");
    for (int i = 0; i < 10; i++) {
        script_fails(script_expect(RIG_WORK, "jobs_release_unknown"), "57P03", "starting up");
    }
    script_expect(RIG_WORK, "jobs_release_unknown");
    rig_claim_empty();
    rig_start(&r);
    struct op op;
    jobs_wait_idle(r.jobs, &op, 9000);
    rig_op(&r, &op);
    assert_false(op.failed);
    finish_test(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_a_beat_that_hangs_stops_nothing_else),
        cmocka_unit_test(test_owners_without_an_instance_are_rescued),
        cmocka_unit_test(test_a_process_that_is_gone),
        cmocka_unit_test(test_a_session_that_is_gone_for_a_while),
        cmocka_unit_test(test_a_silent_instance),
        cmocka_unit_test(test_an_instance_that_beats_is_left_alone),
        cmocka_unit_test(test_a_rescue_that_fails_is_tried_again),
        cmocka_unit_test(test_without_beats_nothing_is_claimed),
        cmocka_unit_test(test_taken_for_dead_registers_anew),
        cmocka_unit_test(test_taken_for_dead_while_it_claims),
        cmocka_unit_test(test_idle_when_a_claim_comes_back_empty),
        cmocka_unit_test(test_not_idle_while_something_runs),
        cmocka_unit_test(test_not_idle_while_suspects_wait),
        cmocka_unit_test(test_the_waiter_fails_when_the_queue_is_away_too_long),
        cmocka_unit_test(test_a_short_outage_is_sat_out),
    };
    return cmocka_run_group_tests_name("instances and waiting", tests, NULL, NULL);
}
