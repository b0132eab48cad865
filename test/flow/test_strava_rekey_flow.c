/* Another key, and parsing as an op. */
#include "flow/strava_rig.h"

static const char *seal(struct strava_rig *g, int64_t athlete, enum strava__kind kind,
                        const char *token)
{
    struct buf b = {0};
    strava__seal(&g->conf.keys, athlete, kind, token, &b);
    char *text = arena_span_dup(g->r.arena, buf_span(&b));
    buf_done(&b);
    return text;
}

static const struct strava_keys *fresh_keys;
static char prefix[STRAVA__KEY_PREFIX];

/* {NULL,wm1:...}: of two, the second is sealed with the first key. */
static void check_second(const char *value)
{
    assert_int_equal(strncmp(value, "{NULL,", 6), 0);
    assert_int_equal(strncmp(value + 6, prefix, strlen(prefix)), 0);
}

static void check_both(const char *value)
{
    char back[STRAVA__TOKEN];
    const char *comma = strchr(value, ',');
    struct err err;
    assert_non_null(comma);
    struct span one = {value + 1, (size_t)(comma - value - 1)},
                two = {comma + 1, strlen(comma + 1) - 1};
    assert_int_equal(strava__unseal(fresh_keys, 7, STRAVA__REFRESH, one, back, &err), 0);
    assert_string_equal(back, "r7");
    assert_int_equal(strncmp(one.p, prefix, strlen(prefix)), 0);
    assert_int_equal(strava__unseal(fresh_keys, 8, STRAVA__REFRESH, two, back, &err), 0);
    assert_string_equal(back, "r8");
}

static struct script_unit *expect_page(const char *after)
{
    struct script_unit *x = script_expect(RIG_WORK, "strava_rekey_page");
    script_flags(x, DB_READONLY);
    script_param(x, 0, 1, after);
    script_param(x, 0, 2, prefix);
    return x;
}

#define FIRST "-9223372036854775808"

static void test_rekey(void **state)
{
    (void)state;
    struct strava_rig old, g;
    int64_t n = -1;
    char access[200];
    strava_rig_open(&old, KEY_B);
    char *sealed = mem_strdup(seal(&old, 7, STRAVA__REFRESH, "r7"));
    strava_rig_close(&old);
    strava_rig_open(&g, KEY_A "," KEY_B);
    fresh_keys = &g.conf.keys;
    strava__key_prefix(g.conf.keys.key[0], prefix);
    snprintf(access, sizeof(access), "%s", seal(&g, 7, STRAVA__ACCESS, "a7"));
    struct script_unit *x = expect_page(FIRST);
    script_row(x, 0, "itt", (int64_t)7, access, sealed); /* one of the two is done already */
    script_row(x, 0, "itt", (int64_t)8, "a8", "r8");     /* plain */
    x = script_expect(RIG_WORK, "strava_rekey");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, "{7,8}");
    script_param_is(x, 0, 3, check_both);
    script_param_is(x, 0, 5, check_second);
    script_row(x, 0, "i", (int64_t)3);
    expect_page("8");
    expect_page(FIRST); /* once more, for what changed meanwhile */
    run_flow(&g, strava_rekey_flow(g.s, &n));
    assert_false(g.op.failed);
    assert_int_equal(n, 3);
    strava_rig_close(&g);
    mem_free(sealed);
}

/* What cannot be opened is told in the end, and holds up nothing. */
static void test_rekey_without_the_old_key(void **state)
{
    (void)state;
    struct strava_rig old, g;
    int64_t n = -1;
    strava_rig_open(&old, KEY_B);
    char *sealed = mem_strdup(seal(&old, 7, STRAVA__REFRESH, "r7"));
    strava_rig_close(&old);
    strava_rig_open(&g, KEY_A);
    strava__key_prefix(g.conf.keys.key[0], prefix);
    for (int pass = 0; pass < 2; pass++) {
        struct script_unit *x = expect_page(FIRST);
        script_row(x, 0, "itt", (int64_t)7, NULL, sealed);
        if (pass == 0) {
            script_row(x, 0, "itt", (int64_t)8, NULL, "r8");
        }
        x = script_expect(RIG_WORK, "strava_rekey");
        script_param(x, 0, 1, pass == 0 ? "{7,8}" : "{7}");
        if (pass == 0) {
            script_param_is(x, 0, 3, check_second);
        }
        script_row(x, 0, "i", (int64_t)(pass == 0));
        expect_page(pass == 0 ? "8" : "7");
    }
    run_flow(&g, strava_rekey_flow(g.s, &n));
    assert_failed(&g, ERR_CONF, ERR_RETRY, 0);
    assert_int_equal(strncmp(g.op.err.msg, "1 token cannot be encrypted anew: ", 34), 0);
    assert_int_equal(n, 1);
    strava_rig_close(&g);
    mem_free(sealed);
}

static void test_rekey_ends(void **state)
{
    (void)state;
    struct strava_rig g;
    int64_t n = -1;
    strava_rig_open(&g, NULL); /* no keys: nothing to seal with */
    run_flow(&g, strava_rekey_flow(g.s, &n));
    assert_false(g.op.failed);
    assert_int_equal(n, 0);
    strava_rig_close(&g);
    for (int at = 0; at < 2; at++) {
        for (int silent = 0; silent < 2; silent++) {
            strava_rig_open(&g, KEY_A);
            strava__key_prefix(g.conf.keys.key[0], prefix);
            struct script_unit *x = expect_page(FIRST);
            if (at == 1) {
                script_row(x, 0, "itt", (int64_t)7, "a7", "r7");
                x = script_expect(RIG_WORK, "strava_rekey");
            }
            if (silent) {
                script_silent(x);
                cancel_at(&g, strava_rekey_flow(g.s, &n), x, NULL);
            } else {
                script_fails(x, "57P01", "terminating connection");
                run_flow(&g, strava_rekey_flow(g.s, &n));
                assert_failed(&g, ERR_PG, ERR_RETRY, 0);
            }
            strava_rig_close(&g);
        }
    }
}

/* It never ends otherwise: somebody else keeps writing. */
static void test_rekey_of_a_moving_target(void **state)
{
    (void)state;
    struct strava_rig g;
    int64_t n = -1;
    strava_rig_open(&g, KEY_A);
    strava__key_prefix(g.conf.keys.key[0], prefix);
    for (int pass = 0; pass < 5; pass++) {
        script_row(expect_page(FIRST), 0, "itt", (int64_t)7, "a7", "r7");
        script_row(script_expect(RIG_WORK, "strava_rekey"), 0, "i", (int64_t)2);
        expect_page("7");
    }
    run_flow(&g, strava_rekey_flow(g.s, &n));
    assert_false(g.op.failed);
    assert_int_equal(n, 10);
    strava_rig_close(&g);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static void test_parsing(void **state)
{
    (void)state;
    struct rig r;
    struct strava_parse p = {.n = 0};
    struct buf body = {0};
    rig_open(&r);
    strava_parse_done(&p); /* never started */
    buf_puts(&body, "[{\"id\":5,\"name\":\"x\"}]");
    strava_parse_start(&p, r.loop, STRAVA_LIST, &body, INT64_MIN);
    assert_null(body.p); /* moved in */
    rig_op(&r, &p.work.op);
    assert_false(p.work.op.failed);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.activity->name, "x");
    strava_parse_done(&p);
    strava_parse_done(&p);
    buf_puts(&body, "{\"latlng\":{\"data\":[[46,7],[46.1,7]]},\"time\":{\"data\":[0,1]}}");
    strava_parse_start(&p, r.loop, STRAVA_STREAMS, &body, 1764576000000000);
    rig_op(&r, &p.work.op);
    assert_false(p.work.op.failed);
    assert_true(p.streams.n > 0);
    strava_parse_done(&p);
    buf_puts(&body, "cut {");
    strava_parse_start(&p, r.loop, STRAVA_DETAIL, &body, INT64_MIN);
    rig_op(&r, &p.work.op);
    assert_true(p.work.op.failed);
    assert_int_equal(p.work.op.err.class, ERR_RETRY);
    strava_parse_done(&p);
    rig_close(&r);
}

/* More than there are threads: those that wait can be taken back. */
static void test_parsing_cancelled(void **state)
{
    (void)state;
    struct rig r;
    struct strava_parse p[8];
    rig_open(&r);
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        struct buf body = {0};
        buf_puts(&body, "[{\"id\":5}]");
        strava_parse_start(&p[i], r.loop, STRAVA_LIST, &body, INT64_MIN);
    }
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        op_cancel(&p[i].work.op);
    }
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        rig_op(&r, &p[i].work.op);
        assert_true(p[i].work.op.failed || p[i].n == 1);
        assert_true(i < 2 || p[i].work.op.failed);
        strava_parse_done(&p[i]);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rekey),      cmocka_unit_test(test_rekey_without_the_old_key),
        cmocka_unit_test(test_rekey_ends), cmocka_unit_test(test_rekey_of_a_moving_target),
        cmocka_unit_test(test_parsing),    cmocka_unit_test(test_parsing_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
