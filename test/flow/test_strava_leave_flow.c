/* Whether an athlete has left, and leaving. */
#include "flow/strava_rig.h"

/* ---- verify ---------------------------------------------------------------------------------- */

static int verify_again(struct strava_rig *g, bool again)
{
    struct strava_verify v = {.athlete_id = ATHLETE, .again = again};
    run_flow(g, strava_verify_flow(g->s, &v));
    return g->op.failed ? 0 : v.answer;
}

static int verify(struct strava_rig *g)
{
    return verify_again(g, false);
}

/* The access token is refused (or, where it has expired, not tried). */
static void expect_no_access(struct stored t)
{
    expect_load(t);
    if (t.left_s > 0) {
        fetch_script_reply(expect_get("/athlete", ACCESS), 401, DEAD_ACCESS);
    } else {
        expect_refund();
    }
}

static void expect_dead(struct stored t)
{
    expect_load(t);
    expect_lease(true, t);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_row(script_expect(RIG_WORK, LOCK), 0, "t", OLD);
    (void)expect_unlease_with(t.interrupted ? "t" : "f");
}

#define EXPIRED ((struct stored){.access = ACCESS, .refresh = OLD, .left_s = -5})

/* An access token that works is proof enough, whatever the answer is about: nothing is spent. */
static void test_still_there(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    expect_get("/athlete", ACCESS);
    assert_int_equal(verify(&g), STRAVA_STAYS);
    expect_load(STALE); /* for a few minutes more */
    expect_get("/athlete", ACCESS);
    assert_int_equal(verify(&g), STRAVA_STAYS);
    expect_load(GOOD);
    fetch_script_reply(expect_get("/athlete", ACCESS), 403, "{\"message\":\"Forbidden\"}");
    assert_int_equal(verify(&g), STRAVA_STAYS);
    strava_rig_close(&g);
}

/* Else a refresh is. */
static void test_a_refresh_works(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    for (int expired = 0; expired < 2; expired++) {
        struct stored t = expired ? EXPIRED : GOOD;
        expect_no_access(t);
        expect_load(t);
        expect_lease(true, t);
        expect_refresh(OLD);
        expect_save(OLD, true);
        expect_load(BETTER);
        assert_int_equal(verify(&g), STRAVA_STAYS);
    }
    /* Somebody logged in meanwhile. */
    expect_no_access(GOOD);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_row(script_expect(RIG_WORK, LOCK), 0, "t", NEW);
    expect_load(BETTER);
    fetch_script_reply(expect_refresh(NEW), 200, PAIR);
    expect_save(NEW, true);
    expect_load(BETTER);
    assert_int_equal(verify(&g), STRAVA_STAYS);
    strava_rig_close(&g);
}

/* Strava's word, of which nobody is told: it is not for the athlete to mend. */
static void test_gone(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    for (int expired = 0; expired < 2; expired++) {
        expect_no_access(expired ? EXPIRED : GOOD);
        expect_dead(expired ? EXPIRED : GOOD);
        assert_int_equal(verify(&g), STRAVA_LEFT);
    }
    /* A second attempt, since the first got no answer: the access token had not expired. */
    expect_no_access(GOOD);
    expect_dead(GOOD);
    assert_int_equal(verify_again(&g, true), STRAVA_LEFT);
    /* Asked again even if it is known to be dead. */
    struct stored t = GOOD;
    t.reauth = true;
    expect_no_access(t);
    expect_dead(t);
    assert_int_equal(verify(&g), STRAVA_LEFT);
    strava_rig_close(&g);
}

/* A refresh token is refused, too, when what took its place got lost. */
static void test_what_may_have_got_lost(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    /* Just now. */
    for (int expired = 0; expired < 2; expired++) {
        struct stored t = expired ? EXPIRED : GOOD;
        expect_no_access(t);
        expect_load(t);
        expect_lease(true, t);
        fetch_script_fails(expect_refresh(OLD), FETCH_TIMEOUT);
        fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
        script_row(script_expect(RIG_WORK, LOCK), 0, "t", OLD);
        expect_doubt();
        assert_int_equal(verify(&g), STRAVA_UNPROVEN);
    }
    /* By whoever died of it before. */
    struct stored t = GOOD;
    t.interrupted = true;
    expect_no_access(t);
    expect_dead(t);
    assert_int_equal(verify(&g), STRAVA_UNPROVEN);
    /* By an attempt before this one. */
    expect_no_access(EXPIRED);
    expect_dead(EXPIRED);
    assert_int_equal(verify_again(&g, true), STRAVA_UNPROVEN);
    strava_rig_close(&g);
}

static void test_nothing_to_ask_with(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_load((struct stored){.left_s = 0});
    expect_refund();
    assert_int_equal(verify(&g), STRAVA_STAYS);
    /* An access token alone. */
    static const struct {
        int64_t left_s;
        int answer;
    } alone[] = {{100, STRAVA_LEFT}, {-5, STRAVA_UNPROVEN}};
    for (size_t i = 0; i < COUNT_OF(alone); i++) {
        struct stored t = {.access = ACCESS, .left_s = alone[i].left_s};
        expect_no_access(t);
        expect_load(t);
        assert_int_equal(verify(&g), alone[i].answer);
    }
    strava_rig_close(&g);
}

static void test_nobody_can_say(void **state)
{
    (void)state;
    for (int how = 0; how < 6; how++) {
        struct strava_rig g;
        strava_rig_open(&g, NULL);
        if (how < 4) {
            expect_no_access(GOOD);
            expect_load(GOOD);
            expect_lease(true, GOOD);
            struct script_request *x = expect_refresh(OLD);
            if (how == 0) {
                fetch_script_reply(x, 503, "");
            } else if (how == 1) {
                fetch_script_reply(x, 401, FAULT("Application", "", "invalid"));
            } else if (how == 2) {
                fetch_script_reply(x, 429, "");
            } else {
                fetch_script_fails(x, FETCH_RESOLVE);
            }
            expect_unlease();
        } else if (how == 4) {
            expect_load(GOOD);
            fetch_script_reply(expect_get("/athlete", ACCESS), 500, "");
        } else {
            script_fails(script_expect(RIG_WORK, "strava_load"), "08006", "gone");
            expect_refund();
        }
        assert_int_equal(verify(&g), 0);
        assert_true(g.op.failed);
        assert_int_equal(g.op.err.class, ERR_RETRY);
        if (how == 2) {
            /* Too many of these are no matter of the calls: the job pays with an attempt. */
            assert_int_not_equal(g.op.err.code, 429);
            assert_true(g.op.err.retry_after_ms >= 60000);
        }
        strava_rig_close(&g);
    }
}

/* Refused, and given again: nobody is erased for that. */
static void test_strava_contradicts_itself(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_no_access(GOOD);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 200,
                       "{\"expires_in\":14282,\"refresh_token\":\"" OLD "\",\"access_token\":"
                       "\"" ACCESS "\"}");
    expect_save(OLD, true);
    expect_load(GOOD);
    assert_int_equal(verify(&g), 0);
    assert_int_equal(g.op.err.class, ERR_RETRY);
    strava_rig_close(&g);
}

static void test_verify_cancelled(void **state)
{
    (void)state;
    for (int at = 0; at < 2; at++) {
        struct strava_rig g;
        struct strava_verify v = {.athlete_id = ATHLETE};
        strava_rig_open(&g, NULL);
        struct script_request *x;
        if (at == 0) {
            expect_load(GOOD);
            x = expect_get("/athlete", ACCESS);
        } else {
            expect_no_access(GOOD);
            expect_load(GOOD);
            expect_lease(true, GOOD);
            x = expect_refresh(OLD);
        }
        fetch_script_never(x);
        cancel_at(&g, strava_verify_flow(g.s, &v), NULL, x);
        strava_rig_close(&g);
        assert_int_not_equal(v.answer, STRAVA_LEFT);
    }
}

/* ---- revoke ---------------------------------------------------------------------------------- */

static struct script_request *expect_revoke(const char *token, const char *hint)
{
    struct script_request *x = fetch_script_expect(FETCH_POST, OAUTH "/oauth/revoke");
    fetch_script_header(x, "Authorization", "Basic MTAwMTphcHAtc2VjcmV0");
    fetch_script_form(x, "token", token);
    fetch_script_form(x, "token_type_hint", hint);
    return x;
}

static struct script_request *expect_leave(const char *token)
{
    struct script_request *x = fetch_script_expect(FETCH_POST, OAUTH "/oauth/deauthorize");
    fetch_script_bearer(x, token);
    fetch_script_reply(x, 200, "{\"access_token\":\"x\"}");
    return x;
}

static void leave(struct strava_rig *g)
{
    run_flow(g, strava_revoke_flow(g->s, ATHLETE));
}

static void test_revoke(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_load(STALE); /* an old token will do */
    expect_revoke(OLD, "refresh_token");
    leave(&g);
    assert_false(g.op.failed);
    expect_load((struct stored){.access = ACCESS, .left_s = -5});
    expect_revoke(ACCESS, "access_token");
    leave(&g);
    assert_false(g.op.failed);
    expect_load((struct stored){.left_s = 0});
    leave(&g);
    assert_false(g.op.failed);
    /* Once more is enough for a Strava that stumbles. */
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 503, "");
    expect_revoke(OLD, "refresh_token");
    leave(&g);
    assert_false(g.op.failed);
    strava_rig_close(&g);
}

static void test_the_older_way(void **state)
{
    (void)state;
    static const int status[] = {404, 405, 400, 302, 403};
    for (size_t i = 0; i < COUNT_OF(status); i++) {
        struct strava_rig g;
        strava_rig_open(&g, NULL);
        expect_load(STALE);
        fetch_script_reply(expect_revoke(OLD, "refresh_token"), status[i], "<html>");
        expect_load(STALE);
        expect_lease(true, STALE);
        expect_refresh(OLD);
        expect_save(OLD, true);
        expect_load(BETTER);
        expect_leave(FRESH);
        leave(&g);
        assert_false(g.op.failed);
        strava_rig_close(&g);
    }
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 500, "");
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 500, "");
    expect_load(GOOD);
    fetch_script_reply(expect_leave(ACCESS), 401, DEAD_ACCESS); /* then it is over, too */
    leave(&g);
    assert_false(g.op.failed);
    /* Its token is dead, without a mark. */
    expect_load(STALE);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 404, "");
    expect_load(STALE);
    expect_lease(true, STALE);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_row(script_expect(RIG_WORK, LOCK), 0, "t", OLD);
    expect_unlease();
    leave(&g);
    assert_false(g.op.failed);
    strava_rig_close(&g);
}

static void test_revoke_may_work_later(void **state)
{
    (void)state;
    struct strava_rig g;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 401,
                       "{\"message\":\"Authorization Error\",\"errors\":[]}");
    leave(&g);
    assert_failed(&g, ERR_CONF, ERR_RETRY, 0);
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 429, "");
    leave(&g);
    assert_failed(&g, ERR_HTTP, ERR_RETRY, 429);
    expect_load(GOOD);
    fetch_script_fails(expect_revoke(OLD, "refresh_token"), FETCH_TIMEOUT);
    leave(&g);
    assert_true(g.op.failed && g.op.err.class == ERR_RETRY);
    expect_load(GOOD);
    fetch_script_never(expect_revoke(OLD, "refresh_token"));
    leave(&g);
    assert_true(g.op.failed && g.op.err.class == ERR_RETRY);
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 404, "");
    expect_load(GOOD);
    fetch_script_reply(expect_leave(ACCESS), 503, "");
    leave(&g);
    assert_failed(&g, ERR_HTTP, ERR_RETRY, 503);
    expect_load(GOOD);
    fetch_script_reply(expect_revoke(OLD, "refresh_token"), 404, "");
    expect_load(GOOD);
    fetch_script_fails(expect_leave(ACCESS), FETCH_BROKEN);
    leave(&g);
    assert_true(g.op.failed && g.op.err.class == ERR_RETRY);
    script_fails(script_expect(RIG_WORK, "strava_load"), "08006", "gone");
    leave(&g);
    assert_true(g.op.failed && g.op.err.class == ERR_RETRY);
    strava_rig_close(&g);
    strava_rig_open(&g, KEY_A);
    expect_load((struct stored){.refresh = "wm1:0123456789abcdef:AAAA", .left_s = 0});
    leave(&g);
    assert_failed(&g, ERR_CONF, ERR_RETRY, 0);
    strava_rig_close(&g);
}

static void test_revoke_cancelled(void **state)
{
    (void)state;
    for (int at = 0; at < 3; at++) {
        struct strava_rig g;
        struct script_unit *u = NULL;
        struct script_request *x = NULL;
        strava_rig_open(&g, NULL);
        u = expect_load(GOOD);
        if (at == 0) {
            script_silent(u);
        } else {
            u = NULL;
            x = expect_revoke(OLD, "refresh_token");
        }
        if (at == 2) {
            fetch_script_reply(x, 404, "");
            expect_load(GOOD);
            x = expect_leave(ACCESS);
        }
        if (x) {
            fetch_script_never(x);
        }
        cancel_at(&g, strava_revoke_flow(g.s, ATHLETE), u, x);
        strava_rig_close(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_still_there),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_a_refresh_works),
        cmocka_unit_test(test_what_may_have_got_lost),
        cmocka_unit_test(test_strava_contradicts_itself),
        cmocka_unit_test(test_nothing_to_ask_with),
        cmocka_unit_test(test_nobody_can_say),
        cmocka_unit_test(test_verify_cancelled),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_the_older_way),
        cmocka_unit_test(test_revoke_may_work_later),
        cmocka_unit_test(test_revoke_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
