/* strava/ against a simulated Strava and a real database: who may call, who refreshes, who has
 * left. */
#include <jansson.h>
#include <signal.h>

#include "db/db.h"
#include "fetch/fetch.h"
#include "it/sim.h"
#include "strava/strava.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
enum { MATES = 2, ANNA = 9001, BERT = 9002, LIMIT_MS = 60000 };

/* Two instances, as far as tokens are concerned: nothing but the database is between them. */
struct world {
    struct it_db *db;
    struct sim *sim;
    struct loop *loop;
    struct fetch *fetch;
    struct db_pool *pool[MATES];
    struct strava *s[MATES];
    struct strava_conf conf;
    char api_url[100];
    struct arena *arena;
    struct op op;
};

/* ---- the loop -------------------------------------------------------------------------------- */

static void set(struct op *op)
{
    *(bool *)op->waiter = true;
}

static void turn_until(struct world *w, const bool *done)
{
    int64_t end = it_now_ms() + LIMIT_MS;
    while (!*done) {
        uv_run(loop_uv(w->loop), UV_RUN_ONCE);
        if (it_now_ms() > end) {
            fail_msg("it takes over a minute");
        }
    }
}

static void finish(struct world *w, struct op *op)
{
    bool done = false;
    op_await(op, set, &done);
    turn_until(w, &done);
}

/* Runs a flow to its end. */
static void run(struct world *w, struct flow *f)
{
    flow_call(f, &w->op);
    finish(w, &w->op);
}

static void run_well(struct world *w, struct flow *f)
{
    run(w, f);
    if (w->op.failed) {
        fail_msg("%s", w->op.err.msg);
    }
}

static void mark(void *ctx)
{
    *(bool *)ctx = true;
}

/* ---- a world --------------------------------------------------------------------------------- */

static void open_instances(struct world *w, const char *keys)
{
    struct err err;
    assert_int_equal(strava_keys_parse(keys, &w->conf.keys, &err), 0);
    for (int i = 0; i < MATES; i++) {
        w->s[i] = strava_open(w->pool[i], w->fetch, &w->conf);
    }
}

static void close_instances(struct world *w)
{
    for (int i = 0; i < MATES; i++) {
        w->s[i] = strava_free(w->s[i]);
    }
}

static void open_world(struct world *w, const char *keys)
{
    struct err err;
    *w = (struct world){.db = it_db_new(),
                        .sim = sim_start(IT_LIST("--athletes", "2")),
                        .loop = loop_new(2, &err),
                        .arena = arena_new(0)};
    assert_non_null(w->loop);
    w->fetch = fetch_open(w->loop, &(struct fetch_conf){.user_agent = "waymark-test"}, &err);
    assert_non_null(w->fetch);
    for (int i = 0; i < MATES; i++) {
        const struct db_conf conf = {
            .url = w->db->url, .max_conns = 4, .application_name = "strava"};
        w->pool[i] = db_pool_open(w->loop, &conf);
    }
    snprintf(w->api_url, sizeof(w->api_url), "%s/api/v3", sim_url(w->sim));
    w->conf = (struct strava_conf){.client_id = "1001",
                                   .client_secret = "sim-secret-1001",
                                   .api_url = w->api_url,
                                   .oauth_url = sim_url(w->sim),
                                   .scopes = "read,activity:read,activity:read_all"};
    /* At the ends of a window nothing would be given out, and a test would have to wait. */
    it_exec(w->db, "INSERT INTO q.rate (name, cap15, capday, guard_s)"
                   " VALUES ('strava', 50, 500, 0) ON CONFLICT (name) DO UPDATE SET cap15 = 50,"
                   " capday = 500, guard_s = 0");
    open_instances(w, keys);
}

static void close_world(struct world *w)
{
    struct op op;
    close_instances(w);
    fetch_close(w->fetch, &op);
    finish(w, &op);
    for (int i = 0; i < MATES; i++) {
        bool closed = false;
        db_pool_close(w->pool[i], mark, &closed);
        turn_until(w, &closed);
    }
    assert_int_equal(loop_flow_count(w->loop), 0);
    loop_free(w->loop);
    arena_free(w->arena);
    sim_stop(w->sim);
}

/* ---- what is done in it ---------------------------------------------------------------------- */

/* The athlete consents in a browser; the code of the address to which that leads. */
static char *consent(struct world *w, int64_t athlete, const char *scope)
{
    struct buf url = {0};
    strava_authorize_url(w->s[0], "http://localhost/back", "the-state", true, &url);
    char *target = it_format("%s&sim_auto=%lld&sim_scope=%s", url.p + strlen(sim_url(w->sim)),
                             (long long)athlete, http_encode(scope));
    struct http_answer a = sim_ask(w->sim, "GET", target, NULL, NULL);
    buf_done(&url);
    assert_int_equal(a.status, 302);
    const char *to = http_field(&a, "Location");
    assert_non_null(to);
    assert_non_null(strstr(to, "state=the-state"));
    const char *code = strstr(to, "code=");
    assert_non_null(code);
    return it_format("%.*s", (int)strcspn(code + 5, "&"), code + 5);
}

static void log_in(struct world *w, int64_t athlete)
{
    struct strava_grant g = {.code = consent(w, athlete, "read,activity:read,activity:read_all"),
                             .scope = "read,activity:read,activity:read_all",
                             .a = w->arena};
    run_well(w, strava_exchange_flow(w->s[0], &g));
    assert_int_equal(g.athlete_id, athlete);
    assert_non_null(g.name);
}

static struct strava_call list_call(int64_t athlete)
{
    return (struct strava_call){.athlete_id = athlete,
                                .path = "/athlete/activities",
                                .query = {{"per_page", "200"}, {"page", "1"}},
                                .nquery = 2,
                                .max_body = STRAVA_BODY_MAX};
}

/* Lists the athlete's activities; 0: the flow failed, and w->op says why. */
static enum strava_outcome list(struct world *w, int64_t athlete)
{
    struct strava_call c = list_call(athlete);
    run(w, strava_call_flow(w->s[0], &c));
    buf_done(&c.body);
    return w->op.failed ? 0 : c.outcome;
}

static void assert_list(struct world *w, int64_t athlete, enum strava_outcome want)
{
    enum strava_outcome got = list(w, athlete);
    if (got != want) {
        fail_msg("the call came out as %d: %s", (int)got, w->op.failed ? w->op.err.msg : "");
    }
}

static void assert_no_call(struct world *w, int64_t athlete)
{
    assert_int_equal(list(w, athlete), 0);
    if (w->op.err.domain != ERR_HTTP || w->op.err.code != 429 || w->op.err.class != ERR_RETRY) {
        fail_msg("%s", w->op.err.msg);
    }
}

static int64_t of_athlete(struct world *w, int64_t athlete, const char *what)
{
    return sim_i64(sim_stats(w->sim), it_format("athletes.%lld.%s", (long long)athlete, what));
}

static int64_t requests(struct world *w)
{
    return (int64_t)json_array_size(sim_log(w->sim, 0));
}

static void expire(struct world *w, int64_t athlete)
{
    sim_do(w->sim, "token/expire", "{\"athlete\":%lld}", (long long)athlete);
    it_exec(w->db,
            "UPDATE access_tokens SET expires_at = now() AT TIME ZONE 'UTC' WHERE"
            " athlete_id = %lld",
            (long long)athlete);
}

static void fault(struct world *w, const char *rule)
{
    sim_do(w->sim, "fault", "%s", rule);
}

/* ---- logging in and calling ------------------------------------------------------------------ */

static void a_login_and_a_list(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    it_holds(w.db, "(SELECT count(*) FROM strava.account WHERE athlete_id = 9001 AND name <> ''"
                   " AND scopes = '{read,activity:read,activity:read_all}' AND state = 'ok') = 1");
    it_holds(w.db, "(SELECT count(*) FROM athletes WHERE id = 9001) = 1");
    it_holds(w.db, "(SELECT starts_with(access_token, 'wm1:') AND extract(epoch FROM expires_at -"
                   " now() AT TIME ZONE 'UTC') BETWEEN 21000 AND 21601 FROM access_tokens)");
    it_holds(w.db, "(SELECT starts_with(refresh_token, 'wm1:') FROM refresh_tokens)");
    struct strava_call c = list_call(ANNA);
    run_well(&w, strava_call_flow(w.s[1], &c));
    assert_int_equal(c.outcome, STRAVA_OK);
    it_holds(w.db, "(SELECT last_value FROM strava.ticket) = %lld", (long long)c.ticket);
    /* The headers said more than we believed. */
    it_holds(w.db, "(SELECT cap15 = 100 AND capday = 1000 AND used15 >= 1 AND learnt_at IS NOT NULL"
                   " FROM q.rate WHERE name = 'strava')");
    struct strava_parse p;
    strava_parse_start(&p, w.loop, STRAVA_LIST, &c.body, INT64_MIN);
    finish(&w, &p.work.op);
    assert_false(p.work.op.failed);
    json_t *truth = sim_truth(w.sim, ANNA, NULL);
    assert_int_equal(p.n, sim_i64(truth, "count"));
    assert_int_equal(p.bad, 0);
    for (size_t i = 0; i < p.n; i++) {
        assert_int_equal(p.activity[i].athlete_id, ANNA);
        assert_non_null(p.activity[i].sport_type);
    }
    strava_parse_done(&p);
    close_world(&w);
}

/* What an activity is, by a list, a detail and its streams; an activity that is none. */
static void all_of_an_activity(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    json_t *made = sim_do(w.sim, "activity",
                          "{\"do\":\"create\",\"athlete\":9001,\"sport_type\":\"TrailRun\","
                          "\"trail\":[1000,5000]}");
    char *path = it_format("/activities/%lld", (long long)sim_i64(made, "id"));
    struct strava_call c = list_call(ANNA);
    struct strava_parse listed, detail, streams;
    run_well(&w, strava_call_flow(w.s[0], &c));
    strava_parse_start(&listed, w.loop, STRAVA_LIST, &c.body, INT64_MIN);
    finish(&w, &listed.work.op);
    c = (struct strava_call){.athlete_id = ANNA, .path = path, .max_body = STRAVA_BODY_MAX};
    run_well(&w, strava_call_flow(w.s[0], &c));
    assert_int_equal(c.outcome, STRAVA_OK);
    strava_parse_start(&detail, w.loop, STRAVA_DETAIL, &c.body, INT64_MIN);
    finish(&w, &detail.work.op);
    assert_int_equal(detail.n, 1);
    assert_true(detail.activity->track.n > detail.activity->summary.n);
    bool found = false;
    for (size_t i = 0; i < listed.n; i++) {
        if (listed.activity[i].id == detail.activity->id) {
            found = true;
            assert_memory_equal(listed.activity[i].listed, detail.activity->listed, 32);
        }
    }
    assert_true(found);
    c = (struct strava_call){.athlete_id = ANNA,
                             .path = it_format("%s/streams", path),
                             .query = {{"keys", "time,latlng"}, {"key_by_type", "true"}},
                             .nquery = 2,
                             .max_body = STRAVA_BODY_MAX};
    run_well(&w, strava_call_flow(w.s[0], &c));
    strava_parse_start(&streams, w.loop, STRAVA_STREAMS, &c.body, detail.activity->start_us);
    finish(&w, &streams.work.op);
    assert_false(streams.work.op.failed);
    assert_true(streams.streams.n > detail.activity->track.n);
    c = (struct strava_call){.athlete_id = ANNA, .path = "/activities/1", .max_body = 1000};
    run_well(&w, strava_call_flow(w.s[0], &c));
    assert_int_equal(c.outcome, STRAVA_NOT_FOUND);
    strava_parse_done(&listed);
    strava_parse_done(&detail);
    strava_parse_done(&streams);
    close_world(&w);
}

/* ---- one refresh ----------------------------------------------------------------------------- */

enum { CALLERS = 8 };

static void call_all_at_once(struct world *w)
{
    struct strava_call c[CALLERS];
    struct op op[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        c[i] = list_call(ANNA);
        flow_call(strava_call_flow(w->s[i % MATES], &c[i]), &op[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        finish(w, &op[i]);
        if (op[i].failed || c[i].outcome != STRAVA_OK) {
            fail_msg("caller %d: %d %s", i, (int)c[i].outcome, op[i].failed ? op[i].err.msg : "");
        }
        buf_done(&c[i].body);
    }
}

static void one_refresh_for_all(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    int64_t calls = of_athlete(&w, ANNA, "calls");
    for (int round = 1; round <= 3; round++) {
        expire(&w, ANNA); /* the database says so */
        call_all_at_once(&w);
        assert_int_equal(of_athlete(&w, ANNA, "refreshes"), round);
        assert_int_equal(of_athlete(&w, ANNA, "calls") - calls, CALLERS * round);
    }
    /* Only Strava says so: each caller is refused at most once. */
    calls = of_athlete(&w, ANNA, "calls");
    sim_do(w.sim, "token/expire", "{\"athlete\":9001}");
    call_all_at_once(&w);
    assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 4);
    assert_int_equal(of_athlete(&w, ANNA, "refresh_failures"), 0);
    assert_true(of_athlete(&w, ANNA, "calls") - calls <= CALLERS * 2);
    it_holds(w.db, "(SELECT state = 'ok' AND refresh_owner IS NULL FROM strava.account)");
    /* The second calls were paid for. */
    it_holds(w.db, "(SELECT usedday >= 8 FROM q.rate)");
    close_world(&w);
}

/* Whoever held the lease died with it: it ends. */
static void a_lease_of_the_dead(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    expire(&w, ANNA);
    it_exec(w.db, "UPDATE strava.account SET refresh_owner = 1,"
                  " refresh_until = now() + interval '1 second'");
    assert_list(&w, ANNA, STRAVA_OK);
    assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 1);
    close_world(&w);
}

/* A frontend put the tokens there: no account, nothing sealed. */
static void tokens_of_a_frontend(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    json_t *t = sim_grant(w.sim, ANNA, NULL);
    it_exec(w.db,
            "INSERT INTO athletes (id) VALUES (9001);"
            "INSERT INTO access_tokens (athlete_id, access_token, expires_at)"
            " VALUES (9001, '%s', now() AT TIME ZONE 'UTC' + interval '6 hours');"
            "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (9001, '%s')",
            sim_str(t, "access_token"), sim_str(t, "refresh_token"));
    assert_list(&w, ANNA, STRAVA_OK);
    it_holds(w.db, "(SELECT count(*) FROM strava.account) = 0");
    expire(&w, ANNA);
    assert_list(&w, ANNA, STRAVA_OK);
    it_holds(w.db, "(SELECT scopes IS NULL AND state = 'ok' FROM strava.account)");
    it_holds(w.db, "(SELECT starts_with(refresh_token, 'wm1:') FROM refresh_tokens)");
    /* Times that are none. */
    it_exec(w.db, "UPDATE access_tokens SET expires_at = 'infinity'");
    assert_list(&w, ANNA, STRAVA_OK);
    assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 2);
    assert_list(&w, BERT, STRAVA_UNKNOWN);
    close_world(&w);
}

/* ---- tokens that die ------------------------------------------------------------------------- */

static void assert_told(struct world *w, const char *key, const char *state, int times)
{
    it_holds(w->db, "(SELECT state FROM alert.state WHERE key = '%s') = '%s'", key, state);
    it_holds(w->db,
             "(SELECT count(*) FROM q.job WHERE kind = 'alert' AND payload->>'key' = '%s')"
             " = %d",
             key, times > 0); /* one that waits tells of what is then */
}

static void rotated_and_lost(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    log_in(&w, BERT);
    expire(&w, ANNA);
    fault(&w, "{\"match\":{\"path\":\"/oauth/token\",\"athlete\":9001},\"when\":{\"nth\":1},"
              "\"action\":{\"type\":\"token\",\"do\":\"lose\"}}");
    assert_list(&w, ANNA, STRAVA_REAUTH);
    it_holds(w.db, "(SELECT state = 'reauth' AND reason <> '' AND refused IS NOT NULL AND"
                   " refresh_owner IS NULL FROM strava.account WHERE athlete_id = 9001)");
    assert_told(&w, "token:9001", "reauth", 1);
    /* Others go on; and it is not asked again. */
    assert_list(&w, BERT, STRAVA_OK);
    int64_t n = requests(&w);
    assert_list(&w, ANNA, STRAVA_REAUTH);
    assert_int_equal(requests(&w), n);
    log_in(&w, ANNA);
    it_holds(w.db, "(SELECT state = 'ok' AND reason IS NULL AND refused IS NULL"
                   " FROM strava.account WHERE athlete_id = 9001)");
    assert_told(&w, "token:9001", "good", 2);
    assert_list(&w, ANNA, STRAVA_OK);
    close_world(&w);
}

/* Where the refresh token stays the same, as it often does, the second try is answered. */
static void lost_without_harm(void **state)
{
    (void)state;
    static const char *const at[] = {"before", "headers", "body", "rst"};
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    sim_do(w.sim, "settings", "{\"rotation\":\"never\"}");
    for (size_t i = 0; i < COUNT_OF(at); i++) {
        sim_do(w.sim, "fault/clear", "{}");
        expire(&w, ANNA);
        fault(&w, it_format("{\"match\":{\"path\":\"/oauth/token\"},\"when\":{\"nth\":1},"
                            "\"action\":{\"type\":\"drop\",\"at\":\"%s\"}}",
                            at[i]));
        assert_list(&w, ANNA, STRAVA_OK);
        assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 2 * (i + 1));
    }
    close_world(&w);
}

static void put_tokens(struct world *w, const char *access, const char *refresh)
{
    it_exec(w->db,
            "UPDATE access_tokens SET access_token = '%s',"
            " expires_at = now() AT TIME ZONE 'UTC' + interval '6 hours';"
            "UPDATE refresh_tokens SET refresh_token = '%s'",
            access, refresh);
}

/* Another login stored new tokens while the old ones were marked as dead. */
static void a_frontend_logs_in_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    sim_do(w.sim, "token/invalidate", "{\"athlete\":9001,\"what\":\"both\"}");
    assert_list(&w, ANNA, STRAVA_REAUTH);
    assert_told(&w, "token:9001", "reauth", 1);
    json_t *t = sim_grant(w.sim, ANNA, NULL);
    put_tokens(&w, sim_str(t, "access_token"), sim_str(t, "refresh_token"));
    assert_list(&w, ANNA, STRAVA_OK);
    it_holds(w.db, "(SELECT state = 'ok' AND refused IS NULL FROM strava.account)");
    assert_told(&w, "token:9001", "good", 2);
    close_world(&w);
}

/* Starts a call and lets its refresh be on its way for a while. */
static void start_slow(struct world *w, struct strava_call *c, struct op *op)
{
    *c = list_call(ANNA);
    expire(w, ANNA);
    fault(w, "{\"match\":{\"path\":\"/oauth/token\"},\"when\":{\"nth\":1},"
             "\"action\":{\"type\":\"delay\",\"ms\":1000}}");
    flow_call(strava_call_flow(w->s[0], c), op);
    int64_t end = it_now_ms() + 500;
    while (it_now_ms() < end) {
        uv_run(loop_uv(w->loop), UV_RUN_NOWAIT);
        it_pause_ms(5);
    }
    it_holds(w->db, "(SELECT refresh_owner IS NOT NULL FROM strava.account)");
}

/* A frontend, which knows of no lease, stores a pair while ours is refreshed, or refused. */
static void newer_tokens_meanwhile(void **state)
{
    (void)state;
    struct strava_call c;
    struct op op;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    start_slow(&w, &c, &op);
    put_tokens(&w, "theirs", "theirs-too");
    finish(&w, &op);
    assert_false(op.failed);
    assert_int_equal(c.outcome, STRAVA_REAUTH); /* theirs are made up */
    it_holds(w.db, "(SELECT refresh_token FROM refresh_tokens) = 'theirs-too'");
    it_holds(w.db, "(SELECT access_token FROM access_tokens) = 'theirs'");
    close_world(&w);

    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    sim_do(w.sim, "token/invalidate", "{\"athlete\":9001,\"what\":\"both\"}");
    start_slow(&w, &c, &op);
    json_t *t = sim_grant(w.sim, ANNA, NULL);
    put_tokens(&w, sim_str(t, "access_token"), sim_str(t, "refresh_token"));
    finish(&w, &op);
    assert_false(op.failed);
    assert_int_equal(c.outcome, STRAVA_OK);
    buf_done(&c.body);
    it_holds(w.db, "(SELECT state = 'ok' AND refused IS NULL AND refresh_owner IS NULL"
                   " FROM strava.account)");
    it_holds(w.db, "(SELECT count(*) FROM alert.state) = 0");
    close_world(&w);
}

/* Erased while its token is refreshed: nothing comes back. */
static void erased_meanwhile(void **state)
{
    (void)state;
    struct strava_call c;
    struct op op;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    start_slow(&w, &c, &op);
    it_exec(w.db, "DELETE FROM athletes WHERE id = 9001");
    finish(&w, &op);
    assert_false(op.failed);
    assert_int_equal(c.outcome, STRAVA_UNKNOWN);
    it_holds(w.db, "(SELECT count(*) FROM athletes) + (SELECT count(*) FROM strava.account)"
                   " + (SELECT count(*) FROM access_tokens) + (SELECT count(*) FROM"
                   " refresh_tokens) = 0");
    close_world(&w);
}

static void refused_once(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    fault(&w, "{\"match\":{\"path\":\"/athlete/activities\"},\"when\":{\"nth\":1},"
              "\"action\":{\"type\":\"token\",\"do\":\"once\"}}");
    assert_list(&w, ANNA, STRAVA_OK);
    assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 1);
    close_world(&w);
}

static void a_scope_that_is_missing(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    sim_do(w.sim, "athlete/9001/narrow_scope", "{\"scope\":\"read\"}");
    assert_list(&w, ANNA, STRAVA_SCOPE);
    assert_int_equal(of_athlete(&w, ANNA, "refreshes"), 0);
    close_world(&w);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static int answer_of(struct world *w, int64_t athlete)
{
    struct strava_verify v = {.athlete_id = athlete};
    run_well(w, strava_verify_flow(w->s[0], &v));
    return v.answer;
}

static bool is_gone(struct world *w, int64_t athlete)
{
    int answer = answer_of(w, athlete);
    assert_true(answer == STRAVA_LEFT || answer == STRAVA_STAYS);
    return answer == STRAVA_LEFT;
}

/* Somebody died of a refresh: its refusal is no proof, however often one asks, until a login. */
static void dead_of_something_else(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    it_exec(w.db, "UPDATE strava.account SET refresh_owner = 1, refresh_until = now() - interval"
                  " '1 s'");
    sim_do(w.sim, "token/invalidate", "{\"athlete\":9001,\"what\":\"both\"}");
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer_of(&w, ANNA), STRAVA_UNPROVEN);
    log_in(&w, ANNA);
    it_holds(w.db, "NOT EXISTS (SELECT FROM strava.account WHERE doubtful)");
    assert_int_equal(answer_of(&w, ANNA), STRAVA_STAYS);
    sim_do(w.sim, "athlete/9001/revoke", "{\"silent\":true}");
    assert_int_equal(answer_of(&w, ANNA), STRAVA_LEFT);
    close_world(&w);
}

static void revoked_silently(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, KEY_A);
    log_in(&w, ANNA);
    log_in(&w, BERT);
    assert_false(is_gone(&w, ANNA)); /* a forged event */
    assert_list(&w, ANNA, STRAVA_OK);
    sim_do(w.sim, "athlete/9001/revoke", "{\"silent\":true}");
    assert_true(is_gone(&w, ANNA));
    it_holds(w.db, "(SELECT state = 'ok' AND refresh_owner IS NULL FROM strava.account"
                   " WHERE athlete_id = 9001)"); /* nothing is marked by asking */
    it_holds(w.db, "(SELECT count(*) FROM alert.state) = 0");
    assert_list(&w, ANNA, STRAVA_REAUTH);
    assert_true(is_gone(&w, ANNA));
    assert_false(is_gone(&w, BERT));
    it_exec(w.db, "DELETE FROM athletes WHERE id = 9001");
    assert_false(is_gone(&w, ANNA)); /* of whom nobody knows anything */
    close_world(&w);
}

static void withdrawn_by_us(void **state)
{
    (void)state;
    for (int old = 0; old < 3; old++) {
        struct world w;
        open_world(&w, KEY_A);
        log_in(&w, ANNA);
        if (old > 0) {
            fault(&w, it_format("{\"match\":{\"path\":\"/oauth/revoke\"},\"action\":"
                                "{\"type\":\"status\",\"status\":%d,\"body\":\"html\"}}",
                                old == 1 ? 404 : 503));
            expire(&w, ANNA);
        }
        run_well(&w, strava_revoke_flow(w.s[0], ANNA));
        json_t *all = sim_get(w.sim, "athletes");
        assert_true(json_is_false(sim_at(all, "athletes.0.granted")));
        assert_true(is_gone(&w, ANNA));
        run_well(&w, strava_revoke_flow(w.s[0], ANNA)); /* again is fine */
        run_well(&w, strava_revoke_flow(w.s[0], BERT)); /* nobody we know */
        close_world(&w);
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void used_up(void **state)
{
    (void)state;
    static const struct {
        const char *variant;
        bool day;
    } row[] = {{"15min", false},      {"daily", true},  {"read", false},
               {"no_headers", false}, {"stale", false}, {"string_errors", false}};
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct world w;
        open_world(&w, NULL);
        log_in(&w, ANNA);
        fault(&w, it_format("{\"match\":{\"path\":\"/athlete/activities\"},\"action\":"
                            "{\"type\":\"rate_limit\",\"variant\":\"%s\"}}",
                            row[i].variant));
        assert_no_call(&w, ANNA);
        it_holds(w.db, "(SELECT used15 >= cap15 AND (usedday >= capday) = %s FROM q.rate)",
                 row[i].day ? "true" : "false");
        /* Jobs that were claimed before that do not call either. */
        int64_t n = requests(&w);
        assert_no_call(&w, ANNA);
        expire(&w, ANNA);
        assert_no_call(&w, ANNA);
        assert_int_equal(requests(&w), n);
        /* Until the window is over, or the day. */
        sim_do(w.sim, "fault/clear", "{}");
        it_exec(w.db, "UPDATE q.rate SET offset_s = offset_s + 900");
        if (row[i].day) {
            assert_no_call(&w, ANNA);
            it_exec(w.db, "UPDATE q.rate SET offset_s = offset_s + 86400");
        }
        assert_list(&w, ANNA, STRAVA_OK);
        close_world(&w);
    }
}

static void an_extra_call(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    it_exec(w.db, "UPDATE q.rate SET cap15 = 2, reserve = 0.5");
    struct strava_call c = list_call(ANNA);
    c.extra = true;
    run_well(&w, strava_call_flow(w.s[0], &c));
    buf_done(&c.body);
    it_holds(w.db, "(SELECT usedday >= 1 FROM q.rate)");
    int64_t n = requests(&w);
    it_exec(w.db, "UPDATE q.rate SET cap15 = 2, used15 = 1");
    run(&w, strava_call_flow(w.s[0], &c)); /* what is left is for live work */
    assert_true(w.op.failed && w.op.err.code == 429);
    assert_int_equal(requests(&w), n);
    c.live = true;
    run_well(&w, strava_call_flow(w.s[0], &c));
    buf_done(&c.body);
    close_world(&w);
}

static void inactive(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    sim_do(w.sim, "app/status", "{\"status\":\"inactive\"}");
    assert_no_call(&w, ANNA);
    it_holds(w.db, "(SELECT state FROM strava.app) = 'inactive'");
    it_holds(w.db, "(SELECT paused_until - now() BETWEEN interval '14 minutes' AND"
                   " interval '15 minutes' FROM q.rate)");
    it_holds(w.db, "(SELECT state FROM strava.account) = 'ok'");
    assert_told(&w, "strava:app", "inactive", 1);
    int64_t n = requests(&w);
    assert_no_call(&w, ANNA);
    assert_int_equal(requests(&w), n);
    /* A quarter hour later it is still so: nobody hears of it again. */
    it_exec(w.db, "UPDATE q.rate SET paused_until = NULL");
    assert_no_call(&w, ANNA);
    assert_told(&w, "strava:app", "inactive", 1);
    sim_do(w.sim, "app/status", "{\"status\":\"active\"}");
    it_exec(w.db, "UPDATE q.rate SET paused_until = NULL");
    assert_list(&w, ANNA, STRAVA_OK);
    it_holds(w.db, "(SELECT state FROM strava.app) = 'active'");
    assert_told(&w, "strava:app", "active", 2);
    close_world(&w);
}

/* ---- answers that are none ------------------------------------------------------------------- */

static void damaged_answers(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        bool call_fails; /* else the parser is the first to see it */
    } row[] = {
        {"{\"type\":\"status\",\"status\":404,\"body\":\"html\"}", true},
        {"{\"type\":\"status\",\"status\":403,\"body\":\"html\"}", true},
        {"{\"type\":\"status\",\"status\":500,\"body\":\"error\"}", true},
        {"{\"type\":\"drop\",\"at\":\"body\"}", true},
        {"{\"type\":\"drop\",\"at\":\"headers\"}", true},
        {"{\"type\":\"corrupt\",\"how\":\"huge\"}", true},
        {"{\"type\":\"corrupt\",\"how\":\"truncated\"}", false},
        {"{\"type\":\"corrupt\",\"how\":\"utf8\"}", false},
        {"{\"type\":\"corrupt\",\"how\":\"duplicate_keys\"}", false},
        {"{\"type\":\"corrupt\",\"how\":\"deep\"}", false},
        {"{\"type\":\"corrupt\",\"how\":\"bom\"}", false},
        {"{\"type\":\"corrupt\",\"how\":\"trailing\"}", false},
    };
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct strava_parse p = {.n = 0};
        struct strava_call c = list_call(ANNA);
        sim_do(w.sim, "fault/clear", "{}");
        fault(&w, it_format("{\"match\":{\"path\":\"/athlete/activities\"},\"action\":%s}",
                            row[i].action));
        run(&w, strava_call_flow(w.s[0], &c));
        if (w.op.failed != row[i].call_fails || (w.op.failed && w.op.err.class != ERR_RETRY)) {
            fail_msg("%s: %s", row[i].action, w.op.failed ? w.op.err.msg : "taken");
        }
        if (!w.op.failed) {
            strava_parse_start(&p, w.loop, STRAVA_LIST, &c.body, INT64_MIN);
            finish(&w, &p.work.op);
            if (!p.work.op.failed || p.work.op.err.class != ERR_RETRY) {
                fail_msg("%s: taken", row[i].action);
            }
            strava_parse_done(&p);
        }
        buf_done(&c.body);
    }
    close_world(&w);
}

/* Every oddity that there is, in a list and one by one. */
static void odd_activities(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    sim_do(w.sim, "reset", "{\"preset\":\"edge\",\"athletes\":2}");
    log_in(&w, ANNA);
    struct strava_call c = list_call(ANNA);
    struct strava_parse p, one;
    run_well(&w, strava_call_flow(w.s[0], &c));
    strava_parse_start(&p, w.loop, STRAVA_LIST, &c.body, INT64_MIN);
    finish(&w, &p.work.op);
    assert_false(p.work.op.failed);
    assert_int_equal(p.bad, 0);
    assert_true(p.n > 10);
    for (size_t i = 0; i < p.n; i++) {
        c = (struct strava_call){.athlete_id = ANNA,
                                 .path = it_format("/activities/%lld", (long long)p.activity[i].id),
                                 .max_body = STRAVA_BODY_MAX};
        run(&w, strava_call_flow(w.s[0], &c));
        if (w.op.failed || c.outcome != STRAVA_OK) {
            continue; /* poison, and those that are not to be read */
        }
        strava_parse_start(&one, w.loop, STRAVA_DETAIL, &c.body, INT64_MIN);
        finish(&w, &one.work.op);
        assert_false(one.work.op.failed);
        assert_memory_equal(one.activity->listed, p.activity[i].listed, 32);
        strava_parse_done(&one);
    }
    strava_parse_done(&p);
    close_world(&w);
}

/* ---- another key ----------------------------------------------------------------------------- */

static int64_t rekey(struct world *w)
{
    int64_t n = -1;
    run_well(w, strava_rekey_flow(w->s[0], &n));
    return n;
}

static void another_key(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    log_in(&w, ANNA);
    log_in(&w, BERT);
    assert_int_equal(rekey(&w), 0);
    close_instances(&w);
    open_instances(&w, KEY_A);
    assert_int_equal(rekey(&w), 4);
    assert_int_equal(rekey(&w), 0);
    it_holds(w.db, "(SELECT count(*) FROM access_tokens WHERE access_token LIKE 'wm1:%%') = 2");
    assert_list(&w, ANNA, STRAVA_OK);
    close_instances(&w);
    open_instances(&w, KEY_B "," KEY_A);
    assert_int_equal(rekey(&w), 4);
    close_instances(&w);
    open_instances(&w, KEY_A);
    assert_int_equal(list(&w, ANNA), 0);
    assert_int_equal(w.op.err.domain, ERR_CONF);
    assert_int_equal(w.op.err.class, ERR_RETRY);
    close_instances(&w);
    open_instances(&w, KEY_B);
    assert_list(&w, ANNA, STRAVA_OK);
    expire(&w, BERT);
    assert_list(&w, BERT, STRAVA_OK);
    /* A token in another's place. */
    it_exec(w.db, "UPDATE access_tokens a SET access_token = b.access_token FROM access_tokens b"
                  " WHERE a.athlete_id = 9001 AND b.athlete_id = 9002;"
                  "UPDATE refresh_tokens a SET refresh_token = b.refresh_token FROM refresh_tokens"
                  " b WHERE a.athlete_id = 9001 AND b.athlete_id = 9002");
    assert_int_equal(list(&w, ANNA), 0);
    assert_int_equal(w.op.err.class, ERR_PERMANENT);
    close_world(&w);
}

/* ---- what a wrong secret and a full application say ------------------------------------------ */

static void logins_that_fail(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    struct strava_grant g = {.code = "0123456789abcdef", .scope = "read", .a = w.arena};
    run(&w, strava_exchange_flow(w.s[0], &g));
    assert_true(w.op.failed && w.op.err.class == ERR_PERMANENT);
    assert_non_null(strstr(w.op.err.msg, "log in again"));
    g.code = consent(&w, ANNA, "read");
    sim_do(w.sim, "settings", "{\"capacity\":1}");
    log_in(&w, BERT);
    run(&w, strava_exchange_flow(w.s[0], &g));
    assert_true(w.op.failed && w.op.err.class == ERR_PERMANENT);
    assert_non_null(strstr(w.op.err.msg, "no more athletes"));
    w.conf.client_secret = "wrong";
    close_instances(&w);
    open_instances(&w, NULL);
    run(&w, strava_exchange_flow(w.s[0], &g));
    assert_true(w.op.failed && w.op.err.domain == ERR_CONF);
    expire(&w, BERT);
    assert_int_equal(list(&w, BERT), 0);
    assert_true(w.op.err.domain == ERR_CONF && w.op.err.class == ERR_RETRY);
    it_holds(w.db, "(SELECT state FROM strava.account) = 'ok'");
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(a_login_and_a_list),
        IT_TEST(all_of_an_activity),
        IT_TEST(one_refresh_for_all),
        IT_TEST(a_lease_of_the_dead),
        IT_TEST(tokens_of_a_frontend),
        IT_TEST(rotated_and_lost),
        IT_TEST(lost_without_harm),
        IT_TEST(a_frontend_logs_in_again),
        IT_TEST(newer_tokens_meanwhile),
        IT_TEST(erased_meanwhile),
        IT_TEST(refused_once),
        IT_TEST(a_scope_that_is_missing),
        IT_TEST(dead_of_something_else),
        IT_TEST(revoked_silently),
        IT_TEST(withdrawn_by_us),
        IT_TEST(used_up),
        IT_TEST(an_extra_call),
        IT_TEST(inactive),
        IT_TEST(damaged_answers),
        IT_TEST(odd_activities),
        IT_TEST(another_key),
        IT_TEST(logins_that_fail),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, it_up, it_down);
}
