/* Logging in with Strava: each step, and what people are told when it does not go well. */
#include "flow/web_rig.h"

static const unsigned char key[32] = "0123456789abcdef0123456789abcde";

static struct script_unit *expect_key(void)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_login_key");
    script_row(x, 0, "w", (struct span){(const char *)key, sizeof(key)});
    return x;
}

static struct script_unit *expect_use(bool first)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_login_use");
    script_flags(x, DB_TX);
    if (first) {
        script_row(x, 0, "b", 1);
    }
    return x;
}

static struct script_unit *expect_keep(bool there)
{
    struct script_unit *x = script_expect(WEB_POOL, "web_visitor_add web_visitor_sync");
    script_flags(x, DB_TX);
    script_param(x, 0, 2, "42");
    script_param(x, 0, 3, "2592000");
    if (there) {
        script_row(x, 0, "i", (int64_t)ATHLETE);
    }
    script_row(x, 1, "i", (int64_t)1);
    return x;
}

/* The cookie and the target of the way back. */
struct way {
    char *cookie, *back;
};

static struct way begin(struct web_world *w)
{
    struct asking a;
    assert_int_equal(web_ask(w, &a, "GET", "/auth/strava", "", NULL), 303);
    struct way way = {
        .cookie = arena_printf(w->r.arena, "waymark_login=%s",
                               web_value(w, &a, "Set-Cookie: waymark_login=", ";")),
        .back = arena_printf(w->r.arena,
                             "/auth/strava/callback?state=%s&code=c0de&scope=read,activity:read",
                             web_value(w, &a, "state=", "&\r")),
    };
    web_says(&a, "; HttpOnly");
    web_says(&a, "SameSite=Lax");
    return way;
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    expect_key();
    struct way way = begin(&w);
    struct way other = begin(&w); /* the key is known by now */
    assert_string_not_equal(way.cookie, other.cookie);
    expect_use(true);
    grant_script_code(grant_script_expect(SCRIPT_EXCHANGE, ATHLETE), "c0de");
    expect_keep(true);
    assert_int_equal(web_ask(&w, &a, "GET", way.back, way.cookie, NULL), 303);
    web_says(&a, "Location: /\r\n");
    web_says(&a, "Set-Cookie: waymark_visitor=");
    web_says(&a, "Set-Cookie: waymark_login=; ");
    web_world_close(&w);
}

/* The session that this browser had ends with the new one. */
static void test_in_place_of_another(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    expect_key();
    struct way way = begin(&w);
    expect_use(true);
    grant_script_expect(SCRIPT_EXCHANGE, ATHLETE);
    script_param(expect_keep(true), 0, 4, "<32 bytes>");
    assert_int_equal(web_ask(&w, &a, "GET", way.back,
                             arena_printf(w.r.arena, "%s; waymark_visitor=" TOKEN, way.cookie),
                             NULL),
                     303);
    web_world_close(&w);
}

static void test_it_cannot_begin(void **state)
{
    (void)state;
    for (enum trouble t = 0; t <= TROUBLES; t++) {
        struct web_world w;
        struct asking a;
        web_world_open(&w, true);
        log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, stderr);
        if (t == TROUBLES) {
            (void)script_expect(WEB_POOL, "web_login_key"); /* there is none */
        } else {
            web_trouble(expect_key(), t);
        }
        assert_int_equal(web_ask(&w, &a, "GET", "/auth/strava", "", NULL), 503);
        assert_null(strstr(a.got, "Set-Cookie"));
        expect_key(); /* asked again the next time */
        (void)begin(&w);
        web_world_close(&w);
    }
}

/* Every step of the way back x what may become of it. */
static void test_trouble_on_the_way_back(void **state)
{
    (void)state;
    for (int step = 0; step < 3; step++) {
        for (enum trouble t = 0; t < TROUBLES; t++) {
            struct web_world w;
            struct asking a;
            if (step == 1 && t == TROUBLE_SILENT) {
                continue; /* strava/ waits for nobody for ever: its own tests tell */
            }
            web_world_open(&w, true);
            expect_key();
            struct way way = begin(&w);
            struct script_unit *x = expect_use(true);
            if (step == 0) {
                web_trouble(x, t);
            } else {
                struct script_word *word = grant_script_expect(SCRIPT_EXCHANGE, ATHLETE);
                if (step == 1) {
                    web_strava_trouble(word, t);
                } else {
                    web_trouble(expect_keep(true), t);
                }
            }
            int status = web_ask(&w, &a, "GET", way.back, way.cookie, NULL);
            assert_int_equal(status, step == 1 && t == TROUBLE_PERMANENT ? 400 : 503);
            assert_null(strstr(a.got, "waymark_visitor"));
            web_world_close(&w);
        }
    }
}

static void test_used_and_erased(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    expect_key();
    struct way way = begin(&w);
    expect_use(false);
    assert_int_equal(web_ask(&w, &a, "GET", way.back, way.cookie, NULL), 400);
    web_says(&a, "gone before");
    expect_use(true);
    grant_script_expect(SCRIPT_EXCHANGE, ATHLETE);
    expect_keep(false);
    assert_int_equal(web_ask(&w, &a, "GET", way.back, way.cookie, NULL), 400);
    web_says(&a, "erased here this very moment");
    web_world_close(&w);
}

/* Nothing of this gets as far as the database. */
static void test_nothing_is_asked(void **state)
{
    (void)state;
    static const struct {
        const char *query, *says;
        int status;
    } row[] = {
        {"?state=%s&error=access_denied", "Nothing was shared", 200},
        {"?state=%s&error=server_error", "Strava says no", 400},
        {"?state=%s&code=a&scope=read", "Your activities are missing", 200},
        {"?state=%s&code=a&scope=activity:readx,xactivity:read", "Your activities are missing",
         200},
        {"?state=%s&scope=activity:read", "without what is needed", 400},
        {"?state=%s&code=a", "without what is needed", 400},
        {"?state=%s&code=a&code=b&scope=activity:read", "without what is needed", 400},
        {"?state=%s0&code=a&scope=activity:read", "not begun in this browser", 400},
        {"?code=a&scope=activity:read&x=%s", "not begun in this browser", 400},
    };
    struct web_world w;
    web_world_open(&w, true);
    expect_key();
    struct way way = begin(&w);
    const char *text = strstr(way.back, "state=") + 6;
    char is[WEB_STATE_HEX + 1];
    snprintf(is, sizeof(is), "%.*s", (int)strcspn(text, "&"), text);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct asking a;
        struct buf target = {0};
        const char *at = strstr(row[i].query, "%s");
        buf_printf(&target, "/auth/strava/callback%.*s%s%s", (int)(at - row[i].query), row[i].query,
                   is, at + 2);
        assert_int_equal(web_ask(&w, &a, "GET", target.p, way.cookie, NULL), row[i].status);
        web_says(&a, row[i].says);
        buf_done(&target);
    }
    struct asking a;
    assert_int_equal(web_ask(&w, &a, "GET", way.back, "", NULL), 400);
    web_world_close(&w);
    web_world_open(&w, false);
    assert_int_equal(web_ask(&w, &a, "GET", "/auth/strava", "", NULL), 404);
    assert_int_equal(web_ask(&w, &a, "GET", "/auth/strava/callback", "", NULL), 404);
    web_world_close(&w);
}

/* Whoever closes the window on the way is logged in all the same: the state is used. */
static void test_whoever_goes_away(void **state)
{
    (void)state;
    struct web_world w;
    struct asking a;
    web_world_open(&w, true);
    expect_key();
    struct way way = begin(&w);
    struct script_unit *x = expect_use(true);
    script_silent(x);
    web_send(&w, &a, "GET", way.back, way.cookie, NULL);
    rig_until_asked(&w.r, x);
    rig_wait(&w.r, 10);
    (void)close(a.fd);
    grant_script_expect(SCRIPT_EXCHANGE, ATHLETE);
    struct script_unit *kept = expect_keep(true);
    script_answer(x);
    rig_until_asked(&w.r, kept);
    web_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),    cmocka_unit_test(test_in_place_of_another),
        cmocka_unit_test(test_it_cannot_begin),   cmocka_unit_test(test_trouble_on_the_way_back),
        cmocka_unit_test(test_used_and_erased),   cmocka_unit_test(test_nothing_is_asked),
        cmocka_unit_test(test_whoever_goes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
