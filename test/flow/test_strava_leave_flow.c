/* Whether an athlete has left, and leaving. */
#include "flow/strava_rig.h"

/* ---- verify ---------------------------------------------------------------------------------- */

static void verify(struct strava_rig *g, bool *gone)
{
    *gone = true; /* what is not said is not kept */
    run_flow(g, strava_verify_flow(g->s, ATHLETE, gone));
}

/* A new access token is proof enough. */
static void test_still_there(void **state)
{
    (void)state;
    struct strava_rig g;
    bool gone;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    expect_refresh(OLD);
    expect_save(OLD, true);
    expect_load(BETTER);
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_false(gone);
    strava_rig_close(&g);
}

/* Strava's word, of which nobody is told: it is not for the athlete to mend. */
static void test_gone(void **state)
{
    (void)state;
    struct strava_rig g;
    bool gone;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    struct script_unit *u = script_expect(RIG_WORK, LOCK);
    script_row(u, 0, "t", OLD);
    expect_unlease();
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_true(gone);
    /* Asked again even if it is known to be dead. */
    struct stored t = GOOD;
    t.reauth = true;
    expect_load(t);
    expect_lease(true, t);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_row(script_expect(RIG_WORK, LOCK), 0, "t", OLD);
    expect_unlease();
    verify(&g, &gone);
    assert_true(gone);
    /* Somebody logged in meanwhile. */
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_row(script_expect(RIG_WORK, LOCK), 0, "t", NEW);
    expect_load(BETTER);
    fetch_script_reply(expect_refresh(NEW), 200, PAIR);
    expect_save(NEW, true);
    expect_load(BETTER);
    verify(&g, &gone);
    assert_false(gone);
    strava_rig_close(&g);
}

static void expect_same_again(void)
{
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 200,
                       "{\"expires_in\":14282,\"refresh_token\":\"" OLD "\",\"access_token\":"
                       "\"" ACCESS "\"}");
    expect_save(OLD, true);
    expect_load(GOOD);
}

/* The same access token again proves little: a call does. */
static void test_too_early_for_a_new_token(void **state)
{
    (void)state;
    struct strava_rig g;
    bool gone;
    strava_rig_open(&g, NULL);
    expect_same_again();
    expect_load(GOOD);
    expect_get("/athlete", ACCESS);
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_false(gone);
    /* Whatever else it says. */
    expect_same_again();
    expect_load(GOOD);
    fetch_script_reply(expect_get("/athlete", ACCESS), 403, "{\"message\":\"Forbidden\"}");
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_false(gone);

    expect_same_again();
    expect_load(GOOD);
    fetch_script_reply(expect_get("/athlete", ACCESS), 401, DEAD_ACCESS);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    expect_bury(OLD, true);
    (void)script_expect(RIG_WORK, "strava_access_dead");
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_true(gone);
    strava_rig_close(&g);
}

static void test_nothing_to_ask_with(void **state)
{
    (void)state;
    struct strava_rig g;
    bool gone;
    strava_rig_open(&g, NULL);
    expect_load((struct stored){.left_s = 0});
    verify(&g, &gone);
    assert_false(g.op.failed);
    assert_false(gone);
    /* An access token alone. */
    expect_load((struct stored){.access = ACCESS, .left_s = 100});
    expect_load((struct stored){.access = ACCESS, .left_s = 400});
    expect_get("/athlete", ACCESS);
    verify(&g, &gone);
    assert_false(gone);
    strava_rig_close(&g);
}

static void test_nobody_can_say(void **state)
{
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct strava_rig g;
        bool gone;
        strava_rig_open(&g, NULL);
        if (how < 3) {
            expect_load(GOOD);
            expect_lease(true, GOOD);
            struct script_request *x = expect_refresh(OLD);
            if (how == 0) {
                fetch_script_reply(x, 503, "");
            } else if (how == 1) {
                fetch_script_reply(x, 401, FAULT("Application", "", "invalid"));
            } else {
                fetch_script_fails(x, FETCH_RESOLVE);
            }
            expect_unlease();
        } else if (how == 3) {
            expect_same_again();
            expect_load(GOOD);
            fetch_script_reply(expect_get("/athlete", ACCESS), 500, "");
        } else {
            script_fails(script_expect(RIG_WORK, "strava_load"), "08006", "gone");
        }
        verify(&g, &gone);
        assert_true(g.op.failed);
        assert_int_equal(g.op.err.class, ERR_RETRY);
        assert_false(gone);
        strava_rig_close(&g);
    }
}

static void test_verify_cancelled(void **state)
{
    (void)state;
    struct strava_rig g;
    bool gone = false;
    strava_rig_open(&g, NULL);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    struct script_request *x = expect_refresh(OLD);
    fetch_script_never(x);
    cancel_at(&g, strava_verify_flow(g.s, ATHLETE, &gone), NULL, x);
    strava_rig_close(&g);

    strava_rig_open(&g, NULL);
    expect_same_again();
    expect_load(GOOD);
    x = expect_get("/athlete", ACCESS);
    fetch_script_never(x);
    cancel_at(&g, strava_verify_flow(g.s, ATHLETE, &gone), NULL, x);
    strava_rig_close(&g);
    assert_false(gone);
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
        cmocka_unit_test(test_too_early_for_a_new_token),
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
