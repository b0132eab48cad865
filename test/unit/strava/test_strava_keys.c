/* Keys and sealed tokens. */
#include "strava/internal.h"
#include "unit/base/helper.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ffeeddccbbaa99887766554433221100FFEEDDCCBBAA99887766554433221100"
/* Made by another implementation of the same standards: TOKEN, the access token of athlete 42,
 * under KEY_A. */
#define STORED                                                                                     \
    "wm1:3ead03c92aa03705:ZGVmZ2hpamtsbW5veCrsVU3cYKkGWz6KuQEPm3LzNDm_WcVFn-"                      \
    "jNKpjHwC6k2HLzeCetM6ad"                                                                       \
    "2crZVF0YtF-pHHn3PXg"
#define TOKEN "0123456789abcdef0123456789abcdef01234567"

static struct strava_keys keys_of(const char *list)
{
    struct strava_keys k;
    struct err err;
    assert_int_equal(strava_keys_parse(list, &k, &err), 0);
    return k;
}

static void test_keys(void **state)
{
    (void)state;
    assert_int_equal(keys_of(NULL).n, 0);
    assert_int_equal(keys_of("").n, 0);
    assert_int_equal(keys_of("  ").n, 0);
    struct strava_keys k = keys_of(" " KEY_A " , " KEY_B);
    assert_int_equal(k.n, 2);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(k.key[0][i], i);
    }
    assert_int_equal(k.key[1][0], 0xff);
    assert_int_equal(k.key[1][17], 0xee);
    assert_int_equal(k.key[1][31], 0x00);
}

static void test_keys_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"secretsecret",
                                      KEY_A "0",
                                      KEY_A ",",
                                      "," KEY_A,
                                      KEY_A ",," KEY_B,
                                      KEY_A " " KEY_B,
                                      KEY_A ";" KEY_B,
                                      "g" KEY_A,
                                      ":00102030405060708090a0b0c0d0e0f101112131415"
                                      "161718191a1b1c1d1e1f"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct strava_keys k;
        struct err err;
        assert_int_equal(strava_keys_parse(bad[i], &k, &err), -1);
        assert_int_equal(err.domain, ERR_CONF);
        assert_int_equal(k.n, 0);
        assert_null(strstr(err.msg, "secret"));
        assert_null(strstr(err.msg, "0001"));
    }
    struct buf many = {0};
    for (int i = 0; i <= STRAVA_KEYS_MAX; i++) {
        buf_printf(&many, "%s%s", i ? "," : "", KEY_A);
    }
    struct strava_keys k;
    struct err err;
    assert_int_equal(strava_keys_parse(many.p, &k, &err), -1);
    assert_string_equal(err.msg, "more than 8 keys");
    buf_done(&many);
}

static struct buf sealed(const struct strava_keys *k, int64_t athlete, enum strava__kind kind,
                         const char *token)
{
    struct buf b = {0};
    strava__seal(k, athlete, kind, token, &b);
    return b;
}

static void test_a_token_comes_back(void **state)
{
    (void)state;
    struct strava_keys k = keys_of(KEY_A);
    char back[STRAVA__TOKEN], prefix[STRAVA__KEY_PREFIX], token[STRAVA__TOKEN];
    struct err err;
    strava__key_prefix(k.key[0], prefix);
    /* Every length there is, so that every end of a base64 text occurs. */
    for (size_t n = 1; n < sizeof(token); n++) {
        memset(token, 'a' + (int)(n % 26), n);
        token[n] = '\0';
        struct buf b = sealed(&k, 42, STRAVA__REFRESH, token);
        assert_int_equal(strncmp(b.p, prefix, strlen(prefix)), 0);
        assert_int_equal(strspn(b.p + strlen(prefix), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
                                                      "stuvwxyz0123456789-_"),
                         b.n - strlen(prefix));
        assert_int_equal(strava__unseal(&k, 42, STRAVA__REFRESH, buf_span(&b), back, &err), 0);
        assert_string_equal(back, token);
        buf_done(&b);
    }
    struct buf one = sealed(&k, 42, STRAVA__REFRESH, TOKEN);
    struct buf two = sealed(&k, 42, STRAVA__REFRESH, TOKEN);
    assert_null(strstr(one.p, TOKEN));
    assert_string_not_equal(one.p, two.p); /* the nonce is random */
    buf_done(&one);
    buf_done(&two);
}

static void assert_refused(const struct strava_keys *k, int64_t athlete, enum strava__kind kind,
                           const char *stored, enum err_domain domain, enum err_class class)
{
    char back[STRAVA__TOKEN];
    struct err err = {0};
    assert_int_equal(strava__unseal(k, athlete, kind, span_of(stored), back, &err), -1);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.class, class);
    assert_int_equal(back[0], '\0');
    assert_true(stored[0] == '\0' || !strstr(err.msg, stored));
    assert_null(strstr(err.msg, TOKEN));
}

static void test_of_another_athlete_or_kind(void **state)
{
    (void)state;
    struct strava_keys k = keys_of(KEY_A);
    struct buf b = sealed(&k, 42, STRAVA__REFRESH, TOKEN);
    assert_refused(&k, 43, STRAVA__REFRESH, b.p, ERR_DATA, ERR_PERMANENT);
    assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
    buf_done(&b);
}

static void test_tampered(void **state)
{
    (void)state;
    struct strava_keys k = keys_of(KEY_A);
    struct buf b = sealed(&k, 42, STRAVA__ACCESS, TOKEN);
    size_t start = STRAVA__KEY_PREFIX - 1;
    for (size_t i = start; i < b.n; i++) {
        char was = b.p[i];
        b.p[i] = was == 'A' ? 'B' : 'A';
        assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
        b.p[i] = '=';
        assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
        b.p[i] = was;
    }
    for (size_t n = start; n < b.n; n++) {
        char was = b.p[n];
        b.p[n] = '\0';
        assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
        b.p[n] = was;
    }
    buf_puts(&b, "A");
    assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
    while (b.n < 4096) { /* longer than any token */
        buf_putc(&b, 'A');
    }
    assert_refused(&k, 42, STRAVA__ACCESS, b.p, ERR_DATA, ERR_PERMANENT);
    buf_done(&b);
}

static void test_older_keys_open(void **state)
{
    (void)state;
    struct strava_keys a = keys_of(KEY_A), b = keys_of(KEY_B), both = keys_of(KEY_B "," KEY_A);
    struct strava_keys none = keys_of("");
    char back[STRAVA__TOKEN];
    struct err err;
    struct buf old = sealed(&a, 42, STRAVA__ACCESS, TOKEN);
    assert_int_equal(strava__unseal(&both, 42, STRAVA__ACCESS, buf_span(&old), back, &err), 0);
    assert_string_equal(back, TOKEN);
    struct buf fresh = sealed(&both, 42, STRAVA__ACCESS, TOKEN);
    assert_int_equal(strava__unseal(&b, 42, STRAVA__ACCESS, buf_span(&fresh), back, &err), 0);
    assert_string_equal(back, TOKEN);
    /* Without the key nothing is lost: it may be given again. */
    assert_refused(&b, 42, STRAVA__ACCESS, old.p, ERR_CONF, ERR_RETRY);
    assert_refused(&none, 42, STRAVA__ACCESS, old.p, ERR_CONF, ERR_RETRY);
    assert_refused(&b, 42, STRAVA__ACCESS, "wm1:", ERR_CONF, ERR_RETRY);
    buf_done(&old);
    buf_done(&fresh);
}

static void test_plain(void **state)
{
    (void)state;
    struct strava_keys none = keys_of(NULL), k = keys_of(KEY_A);
    char back[STRAVA__TOKEN], token[STRAVA__TOKEN + 1];
    struct err err;
    struct buf b = sealed(&none, 42, STRAVA__ACCESS, TOKEN);
    assert_string_equal(b.p, TOKEN);
    /* As a frontend stores it. */
    assert_int_equal(strava__unseal(&k, 42, STRAVA__ACCESS, buf_span(&b), back, &err), 0);
    assert_string_equal(back, TOKEN);
    assert_refused(&k, 42, STRAVA__ACCESS, "", ERR_DATA, ERR_PERMANENT);
    memset(token, 'x', sizeof(token));
    token[STRAVA__TOKEN] = '\0';
    assert_refused(&k, 42, STRAVA__ACCESS, token, ERR_DATA, ERR_PERMANENT);
    token[STRAVA__TOKEN - 1] = '\0';
    assert_int_equal(strava__unseal(&k, 42, STRAVA__ACCESS, span_of(token), back, &err), 0);
    assert_string_equal(back, token);
    assert_int_equal(strava__unseal(&k, 42, STRAVA__ACCESS, (struct span){"a\0b", 3}, back, &err),
                     -1);
    buf_done(&b);
}

/* What was stored by one release is opened by the next. */
static void test_a_text_stored_earlier(void **state)
{
    (void)state;
    struct strava_keys k = keys_of(KEY_A);
    char back[STRAVA__TOKEN];
    struct err err;
    assert_int_equal(strava__unseal(&k, 42, STRAVA__ACCESS, span_of(STORED), back, &err), 0);
    assert_string_equal(back, TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_a_token_comes_back),
        cmocka_unit_test(test_of_another_athlete_or_kind),
        cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_older_keys_open),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_a_text_stored_earlier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
