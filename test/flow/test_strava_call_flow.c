/* Calls: from the stored tokens to what the answer means. */
#include <openssl/sha.h>

#include "flow/strava_rig.h"

struct caller {
    struct strava_rig g;
    struct strava_call c;
};

static void open_caller(struct caller *k, const char *keys)
{
    *k = (struct caller){.c = {.athlete_id = ATHLETE, .path = "/activities/5", .max_body = 1000}};
    strava_rig_open(&k->g, keys);
}

static void close_caller(struct caller *k)
{
    buf_done(&k->c.body);
    strava_rig_close(&k->g);
}

static void call(struct caller *k)
{
    buf_done(&k->c.body);
    k->c.outcome = 0;
    run_flow(&k->g, strava_call_flow(k->g.s, &k->c));
}

/* Without a token nothing is sent, and what the job has paid for that is given back. */
static void call_in_vain(struct caller *k)
{
    expect_refund();
    call(k);
}

static void assert_outcome(const struct caller *k, enum strava_outcome outcome)
{
    if (k->g.op.failed) {
        fail_msg("%s", k->g.op.err.msg);
    }
    assert_int_equal(k->c.outcome, outcome);
    assert_int_equal(k->c.ticket, TICKET);
}

static struct script_request *expect_call(const char *token)
{
    return expect_get("/activities/5", token);
}

static void put_limits(struct script_request *x, const char *overall, const char *read)
{
    fetch_script_reply_header(x, "x-ratelimit-limit", "200,2000");
    fetch_script_reply_header(x, "X-Ratelimit-Usage", overall);
    fetch_script_reply_header(x, "X-READRATELIMIT-LIMIT", "100,1000");
    fetch_script_reply_header(x, "X-ReadRateLimit-Usage", read);
}

/* ---- a good token ---------------------------------------------------------------------------- */

static void test_a_call(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    k.c.query[0].name = "page";
    k.c.query[0].value = "2";
    k.c.query[1].name = "keys";
    k.c.query[1].value = "time,latlng";
    k.c.nquery = 2;
    expect_load(GOOD);
    struct script_request *x = expect_call(ACCESS);
    fetch_script_query(x, "page", "2");
    fetch_script_query(x, "keys", "time,latlng");
    fetch_script_reply(x, 200, "{\"id\":5}");
    put_limits(x, "5,148", "4,147");
    fetch_script_reply_header(x, "Date", "Mon, 01 Dec 2025 08:00:00 GMT");
    struct script_unit *u = script_expect(RIG_WORK, "strava_rate_learn");
    script_param(u, 0, 1, "100");
    script_param(u, 0, 2, "1000");
    script_param(u, 0, 3, "4");
    script_param(u, 0, 4, "147");
    script_param(u, 0, 5, "2025-12-01T08:00:00.000Z");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    assert_int_equal(k.c.status, 200);
    assert_true(span_is(buf_span(&k.c.body), "{\"id\":5}"));
    close_caller(&k);
}

/* Without headers there is nothing to tell; and 204 has no body. */
static void test_an_answer_without_headers(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 204, "");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    assert_int_equal(k.c.body.n, 0);
    expect_load(GOOD);
    struct script_request *x = expect_call(ACCESS);
    fetch_script_reply_header(x, "X-RateLimit-Limit", "lots");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* What is said of limits matters less than the answer. */
    expect_load(GOOD);
    x = expect_call(ACCESS);
    fetch_script_reply_header(x, "X-RateLimit-Limit", "200,2000");
    struct script_unit *u = script_expect(RIG_WORK, "strava_rate_learn");
    script_param(u, 0, 3, "NULL");
    script_param(u, 0, 5, "NULL");
    script_fails(u, "57P01", "the server goes down");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum strava_outcome want;
    } row[] = {
        {404, FAULT("Activity", "id", "invalid"), STRAVA_NOT_FOUND},
        {404, "", STRAVA_NOT_FOUND},
        {401, FAULT("AccessToken", "activity:read_permission", "missing"), STRAVA_SCOPE},
        {403, "{\"message\":\"Forbidden\"}", STRAVA_REFUSED},
        {400, FAULT("Application", "after", "future"), STRAVA_REFUSED},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(GOOD);
        fetch_script_reply(expect_call(ACCESS), row[i].status, row[i].body);
        call(&k);
        assert_outcome(&k, row[i].want);
        assert_int_equal(k.c.status, row[i].status);
        assert_null(k.c.body.p);
        close_caller(&k);
    }
}

static void test_what_may_work_later(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
    } row[] = {{500, "{\"message\":\"error\"}"},
               {503, ""},
               {502, "<html>"},
               {404, "<html>"},
               {408, ""},
               {302, ""},
               {400, "cut {"}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(GOOD);
        fetch_script_reply(expect_call(ACCESS), row[i].status, row[i].body);
        call(&k);
        assert_failed(&k.g, ERR_HTTP, ERR_RETRY, row[i].status);
        close_caller(&k);
    }
    static const enum fetch_failure failure[] = {FETCH_TIMEOUT, FETCH_CONNECT, FETCH_TLS,
                                                 FETCH_BROKEN, FETCH_TOO_LARGE};
    for (size_t i = 0; i < COUNT_OF(failure); i++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(GOOD);
        fetch_script_fails(expect_call(ACCESS), failure[i]);
        call(&k);
        assert_true(k.g.op.failed);
        assert_int_equal(k.g.op.err.class, ERR_RETRY);
        close_caller(&k);
    }
    struct caller k;
    open_caller(&k, NULL);
    expect_load(GOOD);
    fetch_script_never(expect_call(ACCESS));
    call(&k);
    assert_true(k.g.op.failed);
    assert_int_equal(k.g.op.err.class, ERR_RETRY);
    assert_int_equal(k.g.r.now_ms, STRAVA__API_MS + STRAVA__GRACE_MS);
    close_caller(&k);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_used_up(void **state)
{
    (void)state;
    static const struct {
        const char *overall, *read, *day;
        bool headers;
    } row[] = {{"10,100", "100,400", "f", true},
               {"10,100", "100,1000", "t", true},
               {"200,2000", "50,500", "t", true},
               {"10,100", "10,100", "f", true}, /* stale */
               {NULL, NULL, "f", false}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(GOOD);
        struct script_request *x = expect_call(ACCESS);
        fetch_script_reply(x, 429, i == 4 ? "{\"errors\":\"Rate Limit Exceeded\"}" : "<html>");
        if (row[i].headers) {
            put_limits(x, row[i].overall, row[i].read);
        }
        struct script_unit *u = script_expect(
            RIG_WORK, row[i].headers ? "strava_rate_learn strava_rate_full strava_rate_refused"
                                     : "strava_rate_full strava_rate_refused");
        script_flags(u, DB_TX);
        script_param(u, row[i].headers, 1, row[i].day);
        script_param(u, row[i].headers + 1, 1, row[i].day);
        call(&k);
        assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
        close_caller(&k);
    }
}

/* Refused, and then the body does not come. */
static void test_used_up_and_broken(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    k.c.max_body = 10;
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 429, "more than ten bytes");
    script_fails(script_expect(RIG_WORK, "strava_rate_full strava_rate_refused"), "40001", "x");
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
    close_caller(&k);
}

/* Not even a refresh. */
static void test_no_call_while_refused(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    struct stored t = STALE;
    t.limited = true;
    expect_load(t);
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
    close_caller(&k);
}

static struct script_unit *expect_take(int n, const char *live)
{
    struct script_unit *x = script_expect(RIG_WORK, "strava_rate_take");
    script_param(x, 0, 1, live);
    script_row(x, 0, "d", n);
    return x;
}

static void test_an_extra_call(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct caller k;
        open_caller(&k, NULL);
        k.c.extra = true;
        k.c.live = live;
        expect_load(GOOD);
        expect_take(1, live ? "t" : "f");
        expect_call(ACCESS);
        call(&k);
        assert_outcome(&k, STRAVA_OK);
        expect_load(GOOD);
        expect_take(0, live ? "t" : "f");
        call(&k);
        assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
        expect_load(GOOD);
        script_fails(script_expect(RIG_WORK, "strava_rate_take"), "08006", "gone");
        call(&k);
        assert_true(k.g.op.failed);
        close_caller(&k);
    }
}

static void test_the_application_is_inactive(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 403, FAULT("Application", "Status", "Inactive"));
    script_flags(script_expect(RIG_WORK, "strava_rate_pause strava_app_inactive"), DB_TX);
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
    /* And active again: by the first good answer, not by any other. */
    struct stored t = GOOD;
    t.inactive = true;
    expect_load(t);
    fetch_script_reply(expect_call(ACCESS), 500, "");
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 500);
    expect_load(t);
    expect_call(ACCESS);
    script_expect(RIG_WORK, "strava_app_active");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

/* ---- refreshing ------------------------------------------------------------------------------ */

static void expect_save_of(const char *stored, bool done)
{
    struct script_unit *u = expect_save(stored, done);
    script_param(u, 1, 3, OLD);
    script_param(u, 1, 4, NEW);
    script_param(u, 1, 5, FRESH);
    script_param(u, 1, 6, "21600");
    script_param(u, 2, 1, "42");
    script_param(u, 2, 2, NEW);
}

static void test_a_refresh(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    expect_save_of(OLD, true);
    expect_load(BETTER);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* However little it lives. */
    struct stored t = BETTER;
    t.left_s = 5;
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    expect_save_of(OLD, true);
    expect_load(t);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* Without an access token, which a frontend may not have stored. */
    t = STALE;
    t.access = NULL;
    t.left_s = 0;
    expect_load(t);
    expect_lease(true, t);
    expect_refresh(OLD);
    expect_save_of(OLD, true);
    expect_load(BETTER);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

static void check_sealed(const char *value)
{
    assert_int_equal(strncmp(value, "wm1:", 4), 0);
    assert_true(strlen(value) > 100);
}

static char *seal(struct strava_rig *g, enum strava__kind kind, const char *token)
{
    struct buf b = {0};
    strava__seal(&g->conf.keys, ATHLETE, kind, token, &b);
    char *text = arena_span_dup(g->r.arena, buf_span(&b));
    buf_done(&b);
    return text;
}

static void test_sealed_tokens(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, KEY_A);
    struct stored t = {.access = seal(&k.g, STRAVA__ACCESS, ACCESS),
                       .refresh = seal(&k.g, STRAVA__REFRESH, OLD),
                       .left_s = 10};
    struct stored better = {.access = seal(&k.g, STRAVA__ACCESS, FRESH),
                            .refresh = seal(&k.g, STRAVA__REFRESH, NEW),
                            .left_s = 21600};
    expect_load(t);
    expect_lease(true, t);
    expect_refresh(OLD);
    struct script_unit *u = expect_save(t.refresh, true);
    script_param(u, 1, 3, t.refresh);
    script_param_is(u, 1, 4, check_sealed);
    script_param_is(u, 1, 5, check_sealed);
    script_param_is(u, 2, 2, check_sealed);
    expect_load(better);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

static void test_a_key_is_missing(void **state)
{
    (void)state;
    struct caller a, b;
    open_caller(&a, KEY_A);
    char access[200], refresh[200];
    snprintf(access, sizeof(access), "%s", seal(&a.g, STRAVA__ACCESS, ACCESS));
    snprintf(refresh, sizeof(refresh), "%s", seal(&a.g, STRAVA__REFRESH, OLD));
    close_caller(&a);
    open_caller(&b, KEY_B);
    expect_load((struct stored){.access = access, .refresh = refresh, .left_s = 20000});
    call_in_vain(&b);
    assert_failed(&b.g, ERR_CONF, ERR_RETRY, 0);
    assert_non_null(strstr(b.g.op.err.msg, "data.key"));
    /* One that can be opened is enough, either of them. */
    expect_load((struct stored){.access = ACCESS, .refresh = refresh, .left_s = 20000});
    expect_call(ACCESS);
    call(&b);
    assert_outcome(&b, STRAVA_OK);
    /* When it is about to expire it is not. */
    expect_load((struct stored){.access = ACCESS, .refresh = refresh, .left_s = 200});
    call_in_vain(&b);
    assert_failed(&b.g, ERR_CONF, ERR_RETRY, 0);
    /* Nobody is asked to log in again for a key that is missing. */
    expect_load((struct stored){.access = access, .left_s = 20000});
    call_in_vain(&b);
    assert_failed(&b.g, ERR_CONF, ERR_RETRY, 0);
    close_caller(&b);
}

static void test_somebody_else_refreshes(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(false, STALE);
    expect_load(STALE);
    expect_lease(false, STALE);
    expect_load(BETTER);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    assert_int_equal(k.g.r.now_ms, 400);
    /* Just before we got the lease. */
    expect_load(STALE);
    expect_lease(true, BETTER);
    expect_unlease();
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* Giving it back may fail: it ends by itself. */
    expect_load(STALE);
    expect_lease(true, BETTER);
    script_fails(expect_unlease(), "08006", "gone");
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

static void test_somebody_else_refreshes_for_long(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    put_stored(script_always(RIG_WORK, "strava_load"), 0, STALE);
    put_stored(script_always(RIG_WORK, "strava_lease strava_load"), 1, STALE);
    call_in_vain(&k);
    assert_failed(&k.g, ERR_DATA, ERR_RETRY, 0);
    assert_true(k.g.r.now_ms >= 60000 && k.g.r.now_ms <= 60400);
    close_caller(&k);
}

/* ---- refreshes that do not go well ----------------------------------------------------------- */

static void lose(struct script_request *x, int how)
{
    switch (how) {
    case 0:
        fetch_script_fails(x, FETCH_TIMEOUT);
        break;
    case 1:
        fetch_script_fails(x, FETCH_BROKEN);
        break;
    case 2:
        fetch_script_never(x);
        break;
    case 3:
        fetch_script_reply(x, 200, "{\"access_token\":\"a\"");
        break;
    default:
        fetch_script_reply(x, 200, "{\"token_type\":\"Bearer\"}");
    }
}

static void test_the_answer_is_lost(void **state)
{
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct caller k;
        open_caller(&k, NULL);
        /* The old token still works. */
        expect_load(STALE);
        expect_lease(true, STALE);
        lose(expect_refresh(OLD), how);
        expect_refresh(OLD);
        expect_save_of(OLD, true);
        expect_load(BETTER);
        expect_call(FRESH);
        call(&k);
        assert_outcome(&k, STRAVA_OK);
        /* It does not, and nobody has a newer one. */
        expect_load(STALE);
        expect_lease(true, STALE);
        lose(expect_refresh(OLD), how);
        fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
        script_param(expect_bury(OLD, true), 1, 5, "t");
        call_in_vain(&k);
        assert_outcome(&k, STRAVA_REAUTH);
        /* It is lost again: nobody knows yet. */
        expect_load(STALE);
        expect_lease(true, STALE);
        lose(expect_refresh(OLD), how);
        lose(expect_refresh(OLD), how);
        expect_doubt();
        call_in_vain(&k);
        assert_true(k.g.op.failed);
        assert_int_equal(k.g.op.err.class, ERR_RETRY);
        close_caller(&k);
    }
}

static void test_refreshes_that_may_work_later(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum err_domain domain;
        int code;
    } row[] = {
        {500, "{\"message\":\"error\"}", ERR_HTTP, 500},
        {503, "<html>", ERR_HTTP, 503},
        {429, "", ERR_HTTP, 0}, /* no window of calls is used up by that */
        {403, "<html>blocked</html>", ERR_HTTP, 403},
        {400, "{\"message\":\"Bad Request\"}", ERR_HTTP, 400},
        {302, "", ERR_HTTP, 302},
        {401, FAULT("Application", "", "invalid"), ERR_CONF, 0},
        {400, FAULT("Application", "client_id", "invalid"), ERR_CONF, 0},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(STALE);
        expect_lease(true, STALE);
        fetch_script_reply(expect_refresh(OLD), row[i].status, row[i].body);
        expect_unlease();
        call_in_vain(&k);
        assert_failed(&k.g, row[i].domain, ERR_RETRY, row[i].code);
        assert_true(row[i].domain != ERR_CONF ||
                    strstr(k.g.op.err.msg, "strava.client_secret") != NULL);
        close_caller(&k);
    }
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE); /* never sent: one try is enough */
    expect_lease(true, STALE);
    fetch_script_fails(expect_refresh(OLD), FETCH_CONNECT);
    expect_unlease();
    call_in_vain(&k);
    assert_true(k.g.op.failed);
    assert_int_equal(k.g.op.err.class, ERR_RETRY);
    close_caller(&k);
}

static void test_the_token_is_dead(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    struct script_unit *u = expect_bury(OLD, true);
    script_param(u, 1, 2, OLD);
    script_param(u, 1, 3, "<32 bytes>");
    script_param(u, 1, 4, "the refresh token is refused");
    script_param(u, 1, 5, "f");
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    /* A frontend, or a login, has stored another pair. */
    expect_load(STALE);
    expect_lease(true, STALE);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    expect_bury(NEW, false);
    expect_load(BETTER);
    expect_unlease();
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* The athlete is gone. */
    expect_load(STALE);
    expect_lease(true, STALE);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    expect_bury(NULL, false);
    expect_load((struct stored){.left_s = 0});
    expect_unlease();
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_UNKNOWN);
    close_caller(&k);
}

static void test_without_a_refresh_token(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    struct stored t = {.access = ACCESS, .left_s = 20000};
    expect_load(t);
    expect_call(ACCESS);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    t.left_s = 100;
    expect_load(t);
    expect_lease(true, t);
    struct script_unit *u = expect_bury(NULL, true);
    script_param(u, 1, 2, "NULL");
    script_param(u, 1, 3, "NULL");
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    t.reauth = true; /* known already */
    expect_load(t);
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    expect_load((struct stored){.left_s = 0});
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_UNKNOWN);
    close_caller(&k);
}

/* Once refused, a token is not tried again; another one is. */
static void test_an_account_that_waits_for_a_login(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    unsigned char digest[32];
    SHA256((const unsigned char *)OLD, strlen(OLD), digest);
    struct stored t = STALE;
    t.reauth = true;
    t.refused = (struct span){(const char *)digest, 32};
    expect_load(t);
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    digest[0] ^= 1;
    expect_load(t);
    expect_lease(true, t);
    expect_refresh(OLD);
    expect_save_of(OLD, true);
    expect_load(BETTER);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* A frontend stored a pair that is still fresh: the first answer sets it right. */
    t = BETTER;
    t.reauth = true;
    expect_load(t);
    expect_call(FRESH);
    struct script_unit *u = script_expect(RIG_WORK, "strava_token_good");
    script_param(u, 0, 1, "42");
    script_param(u, 0, 2, "NULL");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    close_caller(&k);
}

/* ---- storing the new pair -------------------------------------------------------------------- */

static void test_the_new_pair_is_not_given_up(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    script_fails(script_expect(RIG_WORK, SAVE), "40P01", "deadlock detected");
    script_fails(script_expect(RIG_WORK, SAVE), "57P03", "the database system is starting up");
    expect_save_of(OLD, true);
    expect_load(BETTER);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    assert_int_equal(k.g.r.now_ms, 2000);
    close_caller(&k);
}

static void test_the_new_pair_cannot_be_stored(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    script_fails(script_always(RIG_WORK, SAVE), "08006", "gone");
    expect_unlease();
    call_in_vain(&k);
    assert_true(k.g.op.failed);
    assert_string_equal(k.g.op.err.sqlstate, "08006");
    assert_int_equal(k.g.r.now_ms, 60000);
    close_caller(&k);

    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    script_fails(script_expect(RIG_WORK, SAVE), "42P01", "no such table");
    expect_unlease();
    call_in_vain(&k);
    assert_true(k.g.op.failed);
    assert_int_equal(k.g.op.err.class, ERR_BUG);
    close_caller(&k);
}

/* The commit was done, and its answer was lost. */
static void test_stored_without_knowing(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct caller k;
        open_caller(&k, sealed ? KEY_A : NULL);
        struct stored t = {.access = seal(&k.g, STRAVA__ACCESS, ACCESS),
                           .refresh = seal(&k.g, STRAVA__REFRESH, OLD),
                           .left_s = 10};
        struct stored better = {.access = seal(&k.g, STRAVA__ACCESS, FRESH),
                                .refresh = seal(&k.g, STRAVA__REFRESH, NEW),
                                .left_s = 21600};
        expect_load(t);
        expect_lease(true, t);
        expect_refresh(OLD);
        script_commit_unknown(script_expect(RIG_WORK, SAVE));
        expect_save(better.refresh, false);
        expect_load(better);
        expect_call(FRESH);
        call(&k);
        assert_outcome(&k, STRAVA_OK);
        close_caller(&k);
    }
}

/* What was spent was only sealed anew meanwhile, which is no newer pair. */
static void test_sealed_anew_meanwhile(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, KEY_A);
    struct stored t = {.access = seal(&k.g, STRAVA__ACCESS, ACCESS),
                       .refresh = seal(&k.g, STRAVA__REFRESH, OLD),
                       .left_s = 10};
    char *again = seal(&k.g, STRAVA__REFRESH, OLD);
    struct stored better = {.access = seal(&k.g, STRAVA__ACCESS, FRESH),
                            .refresh = seal(&k.g, STRAVA__REFRESH, NEW),
                            .left_s = 21600};
    expect_load(t);
    expect_lease(true, t);
    expect_refresh(OLD);
    script_param(expect_save(again, false), 1, 3, t.refresh);
    script_param(expect_save(again, true), 1, 3, again);
    expect_load(better);
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* And a dead one. */
    expect_load(t);
    expect_lease(true, t);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    script_param(expect_bury(again, false), 1, 2, t.refresh);
    script_param(expect_bury(again, true), 1, 2, again);
    call_in_vain(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    close_caller(&k);
}

/* Somebody stored a newer pair while we refreshed: ours is dead. */
static void test_a_newer_pair_meanwhile(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    struct stored theirs = {.access = "theirs", .refresh = "theirs-too", .left_s = 9000};
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    expect_save_of("theirs-too", false);
    expect_load(theirs);
    expect_unlease();
    expect_call("theirs");
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* Over and over: that is somebody else's to sort out. */
    put_stored(script_always(RIG_WORK, "strava_load"), 0, STALE);
    expect_lease(true, STALE);
    script_row(script_always(RIG_WORK, SAVE), 1, "b", 0);
    for (int i = 0; i < 9; i++) {
        expect_refresh(OLD);
    }
    expect_unlease();
    call_in_vain(&k);
    assert_failed(&k.g, ERR_DATA, ERR_RETRY, 0);
    close_caller(&k);
}

/* ---- a token that is refused ----------------------------------------------------------------- */

static void test_refused_once(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    k.c.live = true;
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    expect_refresh(OLD);
    expect_save_of(OLD, true);
    expect_load(BETTER);
    expect_take(1, "t");
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* Somebody has refreshed it since. */
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 401, "");
    expect_load(BETTER);
    expect_take(1, "t");
    expect_call(FRESH);
    call(&k);
    assert_outcome(&k, STRAVA_OK);
    /* Nothing is left for the second one. */
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
    expect_load(BETTER);
    expect_take(0, "t");
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 429);
    close_caller(&k);
}

/* Strava gives the same access token again when it is good for more than an hour. */
static void test_refused_and_the_same_again(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 200,
                       "{\"expires_in\":14282,\"refresh_token\":\"" OLD "\",\"access_token\":"
                       "\"" ACCESS "\"}");
    expect_save(OLD, true);
    expect_load(GOOD);
    expect_take(1, "f");
    fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
    call(&k);
    assert_failed(&k.g, ERR_HTTP, ERR_RETRY, 401);
    close_caller(&k);
}

/* The next one need not find out that this access token is dead, too. */
static struct script_unit *expect_drop(const char *access)
{
    struct script_unit *u = script_expect(RIG_WORK, "strava_access_dead");
    script_param(u, 0, 2, access);
    return u;
}

static void test_revoked(void **state)
{
    (void)state;
    struct caller k;
    unsigned char digest[32];
    open_caller(&k, NULL);
    expect_load(GOOD);
    fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
    expect_load(GOOD);
    expect_lease(true, GOOD);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    expect_bury(OLD, true);
    expect_drop(ACCESS);
    call(&k);
    assert_outcome(&k, STRAVA_REAUTH);
    /* It was known that only a login helps, and now the access token is refused as well; whether or
     * not the database takes that. */
    struct stored t = GOOD;
    SHA256((const unsigned char *)OLD, strlen(OLD), digest);
    t.reauth = true;
    t.refused = (struct span){(const char *)digest, 32};
    for (int i = 0; i < 2; i++) {
        expect_load(t);
        fetch_script_reply(expect_call(ACCESS), 401, DEAD_ACCESS);
        expect_load(t);
        if (i == 0) {
            script_fails(expect_drop(ACCESS), "57P01", "the server goes down");
        } else {
            expect_drop(ACCESS);
        }
        call(&k);
        assert_outcome(&k, STRAVA_REAUTH);
    }
    close_caller(&k);
}

/* ---- the database does not answer, and being cancelled --------------------------------------- */

static void expect_stop(struct script_unit *x, bool silent)
{
    if (silent) {
        script_silent(x);
    } else {
        script_fails(x, "57P01", "terminating connection");
    }
}

static void test_the_database_goes_away(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        for (int at = 0; at < 4; at++) {
            struct caller k;
            open_caller(&k, NULL);
            k.c.extra = at == 2;
            if (at == 0) {
                expect_stop(script_expect(RIG_WORK, "strava_load"), silent);
            } else if (at == 1) {
                expect_load(STALE);
                expect_stop(script_expect(RIG_WORK, "strava_lease strava_load"), silent);
            } else if (at == 2) {
                expect_load(GOOD);
                expect_stop(script_expect(RIG_WORK, "strava_rate_take"), silent);
            } else {
                expect_load(STALE);
                expect_lease(true, STALE);
                fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
                expect_stop(script_expect(RIG_WORK, BURY), silent);
                expect_unlease();
            }
            if (at != 2) {
                expect_refund();
            }
            call(&k);
            assert_true(k.g.op.failed);
            assert_int_equal(k.g.op.err.class, ERR_RETRY);
            assert_int_equal(k.g.r.now_ms, silent ? STRAVA__DB_MS : 0);
            close_caller(&k);
        }
    }
}

static void cancel(struct caller *k, struct script_unit *u, struct script_request *x)
{
    if (u) {
        script_silent(u);
    } else {
        fetch_script_never(x);
    }
    cancel_at(&k->g, strava_call_flow(k->g.s, &k->c), u, x);
    close_caller(k);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct caller k;
    open_caller(&k, NULL);
    cancel(&k, script_expect(RIG_WORK, "strava_load"), NULL);

    open_caller(&k, NULL);
    expect_load(STALE);
    cancel(&k, script_expect(RIG_WORK, "strava_lease strava_load"), NULL);

    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    cancel(&k, NULL, expect_refresh(OLD));

    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    expect_refresh(OLD);
    cancel(&k, script_expect(RIG_WORK, SAVE), NULL);

    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, STALE);
    fetch_script_reply(expect_refresh(OLD), 400, DEAD_REFRESH);
    cancel(&k, script_expect(RIG_WORK, BURY), NULL);

    open_caller(&k, NULL);
    expect_load(STALE);
    expect_lease(true, BETTER);
    cancel(&k, expect_unlease(), NULL);

    open_caller(&k, NULL);
    k.c.extra = true;
    expect_load(GOOD);
    cancel(&k, script_expect(RIG_WORK, "strava_rate_take"), NULL);

    open_caller(&k, NULL);
    expect_load(GOOD);
    cancel(&k, NULL, expect_call(ACCESS));

    open_caller(&k, NULL);
    expect_load(GOOD);
    put_limits(expect_call(ACCESS), "1,1", "1,1");
    cancel(&k, script_expect(RIG_WORK, "strava_rate_learn"), NULL);
}

/* While waiting for time to pass: for somebody else's refresh, and for the database. */
static void test_cancelled_while_waiting(void **state)
{
    (void)state;
    for (int hold = 0; hold < 2; hold++) {
        struct caller k;
        open_caller(&k, NULL);
        expect_load(STALE);
        struct script_unit *last = expect_lease(hold, STALE);
        if (hold) {
            expect_refresh(OLD);
            last = script_expect(RIG_WORK, SAVE);
            script_fails(last, "40P01", "deadlock detected");
        }
        flow_call(strava_call_flow(k.g.s, &k.c), &k.g.op);
        rig_until_asked(&k.g.r, last);
        rig_wait(&k.g.r, 50);
        op_cancel(&k.g.op);
        rig_op(&k.g.r, &k.g.op);
        assert_failed(&k.g, ERR_UV, ERR_RETRY, UV_ECANCELED);
        close_caller(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call),
        cmocka_unit_test(test_an_answer_without_headers),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_what_may_work_later),
        cmocka_unit_test(test_used_up),
        cmocka_unit_test(test_used_up_and_broken),
        cmocka_unit_test(test_no_call_while_refused),
        cmocka_unit_test(test_an_extra_call),
        cmocka_unit_test(test_the_application_is_inactive),
        cmocka_unit_test(test_a_refresh),
        cmocka_unit_test(test_sealed_tokens),
        cmocka_unit_test(test_a_key_is_missing),
        cmocka_unit_test(test_somebody_else_refreshes),
        cmocka_unit_test(test_somebody_else_refreshes_for_long),
        cmocka_unit_test(test_the_answer_is_lost),
        cmocka_unit_test(test_refreshes_that_may_work_later),
        cmocka_unit_test(test_the_token_is_dead),
        cmocka_unit_test(test_without_a_refresh_token),
        cmocka_unit_test(test_an_account_that_waits_for_a_login),
        cmocka_unit_test(test_the_new_pair_is_not_given_up),
        cmocka_unit_test(test_the_new_pair_cannot_be_stored),
        cmocka_unit_test(test_stored_without_knowing),
        cmocka_unit_test(test_sealed_anew_meanwhile),
        cmocka_unit_test(test_a_newer_pair_meanwhile),
        cmocka_unit_test(test_refused_once),
        cmocka_unit_test(test_refused_and_the_same_again),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_the_database_goes_away),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_cancelled_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
