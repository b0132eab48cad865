/* One's own page, logging out, taking everything along, and leaving: each step. */
#include "flow/web_rig.h"

#define COOKIE "waymark_visitor=" TOKEN

/* ---- one's own page ------------------------------------------------------------------------- */

static struct script_unit *expect_page(bool there)
{
    struct script_unit *x =
        script_expect(WEB_POOL, "web_visitor web_visitor_trails web_visitor_newest");
    script_flags(x, DB_TX | DB_READONLY);
    if (there) {
        script_row(x, 0, "itbbbtiitifif", (int64_t)ATHLETE, "<Ada>", 1, 1, 0, NULL, (int64_t)7,
                   (int64_t)0, "done", (int64_t)7, 60.0, (int64_t)12, 7200.0);
    }
    return x;
}

static void test_ones_page(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    assert_int_equal(web_ask(&w, &a, "GET", "/", "", NULL), 200);
    web_says(&a, "Connect with Strava");
    expect_page(true);
    assert_int_equal(web_ask(&w, &a, "GET", "/", COOKIE, NULL), 200);
    web_says(&a, "&lt;Ada&gt;");
    web_says(&a, "12 of them wait for Strava, which allows so many questions a day: about 2 h");
    web_says(&a, "Powered by Strava");
    expect_page(false);
    assert_int_equal(web_ask(&w, &a, "GET", "/", COOKIE, NULL), 200);
    web_says(&a, "Set-Cookie: waymark_visitor=;");
    web_says(&a, "Connect with Strava");
    for (enum trouble t = 0; t < TROUBLES; t++) {
        web_trouble(expect_page(true), t);
        assert_int_equal(web_ask(&w, &a, "GET", "/", COOKIE, NULL), 503);
    }
    web_world_close(&w);
}

/* ---- logging out ----------------------------------------------------------------------------- */

static struct script_unit *expect_end(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_visitor_end");
    script_flags(x, DB_TX);
    return x;
}

static void test_logging_out(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    char form[64];
    web_world_open(&w, true);
    snprintf(form, sizeof(form), "csrf=%s", w.form);
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/logout", COOKIE, "csrf=x"), 403);
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/logout", "", form), 303);
    expect_end();
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/logout", COOKIE, form), 303);
    web_says(&a, "Set-Cookie: waymark_visitor=;");
    for (enum trouble t = 0; t < TROUBLES; t++) {
        web_trouble(expect_end(), t);
        assert_int_equal(web_ask(&w, &a, "POST", "/auth/logout", COOKIE, form), 503);
        assert_null(strstr(a.got, "Set-Cookie"));
    }
    web_world_close(&w);
}

/* ---- taking everything along ----------------------------------------------------------------- */

static struct script_unit *expect_who(bool there)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_visitor_is");
    if (there) {
        script_row(x, 0, "i", (int64_t)ATHLETE);
    }
    return x;
}

static struct script_unit *expect_document(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "people_export_head");
    script_param(x, 0, 1, "42");
    script_row(x, 0, "t", "{\"version\": 1}");
    return x;
}

static struct script_unit *expect_last_page(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "people_export_page");
    script_param(x, 0, 1, "42");
    return x;
}

static void test_an_export(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    assert_int_equal(web_ask(&w, &a, "GET", "/export", "", NULL), 303);
    expect_who(false);
    assert_int_equal(web_ask(&w, &a, "GET", "/export", COOKIE, NULL), 303);
    expect_who(true);
    expect_document();
    expect_last_page();
    assert_int_equal(web_ask(&w, &a, "GET", "/export", COOKIE, NULL), 200);
    web_says(&a, "attachment; filename=\"waymark.geojson\"");
    web_says(&a, "{\"type\":\"FeatureCollection\",\"waymark\":{\"version\": 1}");
    web_says(&a, "\r\n0\r\n\r\n"); /* whole */
    for (enum trouble t = 0; t < TROUBLES; t++) {
        web_trouble(expect_who(true), t);
        assert_int_equal(web_ask(&w, &a, "GET", "/export", COOKIE, NULL), 503);
        /* Once something was sent, only the end can tell that it is not all. */
        expect_who(true);
        expect_document();
        web_trouble(expect_last_page(), t);
        assert_int_equal(web_ask(&w, &a, "GET", "/export", COOKIE, NULL), 200);
        assert_null(strstr(a.got, "\r\n0\r\n\r\n"));
    }
    /* Whoever asked goes. */
    expect_who(true);
    struct script_unit *x = expect_document();
    script_silent(x);
    web_send(&w, &a, "GET", "/export", COOKIE, NULL);
    rig_until_asked(&w.r, x);
    (void)close(a.fd);
    rig_wait(&w.r, 50);
    script_answer(x);
    rig_play(&w.r);
    web_world_close(&w);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static struct script_unit *expect_leaves_with(bool strava, bool dead)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_visitor_leaves");
    script_flags(x, DB_TX);
    script_param(x, 0, 2, strava ? "t" : "f");
    script_row(x, 0, strava ? "iib" : "iIb", (int64_t)ATHLETE, (int64_t)1, (int)dead);
    return x;
}

static struct script_unit *expect_leaves(bool strava)
{
    return expect_leaves_with(strava, false);
}

static struct script_unit *expect_departure(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "people_depart");
    script_param(x, 0, 1, "42");
    script_param(x, 0, 2, "the athlete");
    script_row(x, 0, "tii", "athletes", (int64_t)1, (int64_t)0);
    return x;
}

static struct script_unit *expect_nothing_left(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "people_count");
    script_row(x, 0, "ti", "athletes", (int64_t)0);
    return x;
}

static int leave(struct web_world *w, struct asking *a)
{
    return web_ask(w, a, "POST", "/auth/disconnect", COOKIE,
                   arena_printf(w->r.arena, "csrf=%s&sure=yes", w->form));
}

static void test_leaving(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    /* Not by a link, nor by one press, nor from elsewhere. */
    assert_int_equal(web_ask(&w, &a, "GET", "/auth/disconnect", COOKIE, NULL), 200);
    web_says(&a, w.form);
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/disconnect", COOKIE,
                             arena_printf(w.r.arena, "csrf=%s", w.form)),
                     200);
    web_says(&a, "Erase everything");
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/disconnect", COOKIE, "sure=yes"), 403);
    assert_int_equal(web_ask(&w, &a, "POST", "/auth/disconnect", "", "sure=yes"), 303);
    expect_leaves(true);
    grant_script_expect(SCRIPT_REVOKE, ATHLETE);
    expect_departure();
    expect_nothing_left();
    assert_int_equal(leave(&w, &a), 200);
    web_says(&a, "no longer lets this server ask");
    web_says(&a, "Set-Cookie: waymark_visitor=;");
    /* With dead tokens nobody knows what Strava has done. */
    expect_leaves_with(true, true);
    grant_script_expect(SCRIPT_REVOKE, ATHLETE);
    expect_departure();
    expect_nothing_left();
    assert_int_equal(leave(&w, &a), 200);
    web_says(&a, "could not be told");
    script_expect(WEB_POOL, "web_visitor_leaves"); /* logged out meanwhile */
    assert_int_equal(leave(&w, &a), 303);
    web_world_close(&w);
}

/* Whatever Strava says, everything goes. */
static void test_strava_cannot_be_told(void **state)
{
    (void)state;
    for (enum trouble t = 0; t <= TROUBLES; t++) {
        struct web_world w;
        struct asking a;
        web_world_open(&w, t < TROUBLES);
        expect_leaves(t < TROUBLES);
        if (t < TROUBLES) {
            web_strava_trouble(grant_script_expect(SCRIPT_REVOKE, ATHLETE), t);
        }
        expect_departure();
        expect_nothing_left();
        assert_int_equal(leave(&w, &a), 200);
        web_says(&a, "Strava could not be told");
        web_world_close(&w);
    }
}

static void test_leaving_in_trouble(void **state)
{
    (void)state;
    for (int step = 0; step < 3; step++) {
        for (enum trouble t = 0; t < TROUBLES; t++) {
            struct web_world w;
            struct asking a;
            web_world_open(&w, true);
            struct script_unit *x = expect_leaves(true);
            if (step > 0) {
                grant_script_expect(SCRIPT_REVOKE, ATHLETE);
                x = expect_departure();
            }
            if (step > 1) {
                x = expect_nothing_left();
            }
            web_trouble(x, t);
            assert_int_equal(leave(&w, &a), 503);
            assert_null(strstr(a.got, "Set-Cookie"));
            web_world_close(&w);
        }
    }
}

/* Whoever pressed the button and went is erased all the same. */
static void test_whoever_goes_away(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    struct script_unit *x = expect_leaves(true);
    script_silent(x);
    web_send(&w, &a, "POST", "/auth/disconnect", COOKIE,
             arena_printf(w.r.arena, "csrf=%s&sure=yes", w.form));
    rig_until_asked(&w.r, x);
    rig_wait(&w.r, 10);
    (void)close(a.fd);
    grant_script_expect(SCRIPT_REVOKE, ATHLETE);
    expect_departure();
    expect_nothing_left();
    script_answer(x);
    rig_play(&w.r);
    web_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ones_page),
        cmocka_unit_test(test_logging_out),
        cmocka_unit_test(test_an_export),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_strava_cannot_be_told),
        cmocka_unit_test(test_leaving_in_trouble),
        cmocka_unit_test(test_whoever_goes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
