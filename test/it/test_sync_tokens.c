/* Whose calls Strava answers, and whose it does not any more: tokens that many use at once, that
 * are lost on the way, revoked or withdrawn; an application that is switched off. */
#include "it/sink.h"
#include "it/sync.h"

enum { LONG_MS = 60000, SOON_MS = 20000, ADA = SYNC_ATHLETE, BEA, WORKERS = 8 };

#define ALERTS "/alerts"

/* Two athletes have logged in, and all that they have is here; Strava's events reach the first of
 * two services, each of which makes half of the calls. */
struct scene {
    struct sim *s;
    struct it_db *db;
    struct it_proc *p[2];
    const char *const *env;
};

static void settle(struct scene *x)
{
    sim_idle(x->s);
    assert_true(
        it_eventually(x->db, LONG_MS,
                      "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)") >= 0);
    sync_wait(x->db, LONG_MS);
}

static struct scene open_scene(const char *preset)
{
    struct scene x = {
        .s = sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--limits",
                               "5000,50000/5000,50000", "--athletes", "2", "--preset", preset))};
    x.db = sync_db(x.s);
    sync_route(x.db, x.s);
    const char *const more[] = {"WAYMARK_STRAVA_CONCURRENCY=4",
                                it_format("WAYMARK_ALERT_WEBHOOK_URL=%s" ALERTS, sink_open()),
                                NULL};
    x.env = sync_env(x.s, more);
    x.p[0] = sync_serve_live(x.db, x.s, more);
    x.p[1] = it_serve(x.db, x.env);
    sync_log_in(x.s, x.p[0], ADA, NULL);
    sync_log_in(x.s, x.p[0], BEA, NULL);
    settle(&x);
    return x;
}

static void close_scene(struct scene *x)
{
    assert_true(
        it_eventually(x->db, LONG_MS,
                      "SELECT NOT EXISTS (SELECT FROM q.job WHERE queue = 'trails' AND kind IN"
                      " ('match', 'route', 'page', 'stats', 'strava.events'))") >= 0);
    it_same_as_recomputed(x->db);
    it_holds(x->db, "NOT EXISTS (SELECT FROM q.dead)");
    sync_within_limits(x->s);
    it_serve_stop(x->p[1]);
    it_serve_stop(x->p[0]);
    sim_stop(x->s);
}

/* ---- what happened ----------------------------------------------------------------------------
 */

static int64_t of_athlete(struct scene *x, int64_t athlete, const char *what)
{
    return sim_i64(sim_stats(x->s), it_format("athletes.%lld.%s", (long long)athlete, what));
}

/* The last request so far. */
static int64_t now_at(struct scene *x)
{
    json_t *log = sim_log(x->s, 0);
    size_t n = json_array_size(log);
    return n > 0 ? sim_i64(json_array_get(log, n - 1), "n") : 0;
}

/* Requests since then, in order, as "endpoint status, ...": of one athlete (0: of all), and only
 * those that were answered so (0: however). */
static const char *requests(struct scene *x, int64_t since, int64_t athlete, int64_t status)
{
    json_t *log = sim_log(x->s, since), *one;
    const char *all = "";
    size_t i;
    json_array_foreach(log, i, one)
    {
        const json_t *of = json_object_get(one, "athlete");
        if ((athlete == 0 || json_integer_value(of) == athlete) &&
            (status == 0 || sim_i64(one, "status") == status))
            all = it_format("%s%s%s %lld", all, *all ? ", " : "", sim_str(one, "endpoint"),
                            (long long)sim_i64(one, "status"));
    }
    return all;
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        n++;
    return n;
}

/* Messages that went out with that text. */
static unsigned told(const char *text)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sink_count(ALERTS); i++)
        n += strstr(sink_get(ALERTS, i).body, text) != NULL;
    return n;
}

static void wait_told(const char *text, unsigned n)
{
    for (int64_t until = it_now_ms() + SOON_MS; told(text) < n; it_pause_ms(10)) {
        if (it_now_ms() > until)
            fail_msg("\"%s\" was told %u times", text, told(text));
    }
    assert_int_equal(told(text), n);
}

static void create(struct scene *x, int64_t athlete, unsigned n)
{
    (void)sim_do(x->s, "activity",
                 "{\"do\":\"create\",\"athlete\":%lld,\"count\":%u,\"trail\":[1000,4000]}",
                 (long long)athlete, n);
}

static void fault(struct scene *x, const char *rule)
{
    (void)sim_do(x->s, "fault", "%s", rule);
}

/* All that is kept of somebody, but for jobs, which come and go, and what the log of events says.
 */
static const char *kept_of(struct scene *x, int64_t athlete)
{
    return it_text(x->db,
                   "SELECT string_agg(place || ' ' || n, ', ' ORDER BY place) FROM"
                   " waymark_count_athlete(%lld) WHERE place NOT LIKE 'q.%%' AND place <>"
                   " 'strava.event'",
                   (long long)athlete);
}

/* ---- one refresh ------------------------------------------------------------------------------
 */

/* Scenario E: rotation under 8 parallel workers of two processes, exactly one refresh an expiry. */
static void one_refresh_an_expiry(void **state)
{
    (void)state;
    struct scene x = open_scene("tiny");
    int64_t had = of_athlete(&x, ADA, "refreshes");
    /* Whoever is late with the old one is refused. */
    (void)sim_do(x.s, "settings", "{\"rotation\":\"always\",\"old_access\":\"dead\"}");
    fault(&x, "{\"match\":{\"path\":\"/oauth/token\"},\"action\":{\"type\":\"delay\",\"ms\":300}}");
    for (int round = 1; round <= 4; round++) {
        /* Both know of it; or Strava alone does, and refuses each of them. */
        if (round % 2 == 1)
            sync_pass(x.db, x.s, 6 * 3600);
        else
            (void)sim_do(x.s, "token/expire", "{\"athlete\":%d}", ADA);
        int64_t since = now_at(&x);
        create(&x, ADA, 3 * WORKERS);
        assert_true(it_eventually(x.db, SOON_MS,
                                  it_format("SELECT count(*) = %d FROM q.job WHERE queue ="
                                            " 'strava' AND state = 'running'",
                                            WORKERS)) >= 0);
        settle(&x);
        assert_int_equal(of_athlete(&x, ADA, "refreshes") - had, round);
        assert_int_equal(of_athlete(&x, ADA, "refresh_failures"), 0);
        unsigned refused = count(requests(&x, since, ADA, 401), "401");
        print_message("round %d: %u refused\n", round, refused);
        assert_true(refused <= WORKERS && (round % 2 == 0) == (refused > 0));
    }
    it_holds(x.db, "NOT EXISTS (SELECT FROM strava.account WHERE state <> 'ok' OR refresh_owner IS"
                   " NOT NULL)");
    (void)sim_do(x.s, "fault/clear", "{}");
    sync_same(x.db, x.s, ADA);
    sync_same(x.db, x.s, BEA);
    close_scene(&x);
}

/* Scenario E: rotate and lose => a new login is needed, others are unaffected. */
static void rotated_and_lost(struct scene *x)
{
    fault(x, "{\"match\":{\"path\":\"/oauth/token\",\"athlete\":9002},\"when\":{\"nth\":1},"
             "\"action\":{\"type\":\"token\",\"do\":\"lose\"}}");
    (void)sim_do(x->s, "token/expire", "{}"); /* everybody's */
    int64_t since = now_at(x);
    create(x, ADA, 4);
    create(x, BEA, 4);
    settle(x);
    it_holds(x->db, "(SELECT string_agg(athlete_id || ' ' || state, ', ' ORDER BY athlete_id) FROM"
                    " strava.account) = '9001 ok, 9002 reauth'");
    /* The second try is what may be asked of a lost answer; then nobody asks any more. */
    const char *asked = requests(x, since, 0, 0);
    print_message("after the loss: %s\n", asked);
    assert_int_equal(count(asked, "token"), 3); /* the other athlete's, too */
    assert_int_equal(count(asked, "token 400"), 1);
    wait_told("token:9002", 1);
    since = now_at(x);
    create(x, BEA, 4);
    settle(x);
    assert_string_equal(requests(x, since, BEA, 0), "");
    sync_same(x->db, x->s, ADA);
    /* Logged in again: what came meanwhile comes in. */
    sync_log_in(x->s, x->p[0], BEA, NULL);
    settle(x);
    it_holds(x->db, "NOT EXISTS (SELECT FROM strava.account WHERE state <> 'ok')");
    sync_same(x->db, x->s, BEA);
}

/* Scenario F: revoked silently -> 401 -> 400 -> a new login is needed; what is here stays. */
static void revoked_silently(struct scene *x)
{
    const char *had = it_text(x->db, "SELECT count(*) FROM activities WHERE athlete_id = %d", BEA);
    (void)sim_do(x->s, "athlete/9002/revoke", "{\"silent\":true}");
    int64_t since = now_at(x);
    struct it_result r =
        it_must(x->db, x->env, IT_LIST("sync", "--athlete", "9002", "--mode", "new"), 1);
    assert_non_null(strstr(r.out, "the athlete has to connect again"));
    assert_string_equal(requests(x, since, 0, 401), "activities 401");
    assert_string_equal(requests(x, since, 0, 400), "token 400");
    it_holds(x->db, "(SELECT string_agg(athlete_id || ' ' || state, ', ' ORDER BY athlete_id) FROM"
                    " strava.account) = '9001 ok, 9002 reauth'");
    assert_string_equal(
        it_text(x->db, "SELECT count(*) FROM activities WHERE athlete_id = %d", BEA), had);
    /* Nobody asks in vain. */
    since = now_at(x);
    it_must(x->db, x->env, IT_LIST("sync", "--mode", "new"), 0);
    assert_int_equal(count(requests(x, since, 0, 401), "401"), 0);
    assert_int_equal(count(requests(x, since, 0, 0), "token"), 0);
    sync_same(x->db, x->s, ADA);
}

/* ---- leaving ----------------------------------------------------------------------------------
 */

/* Scenario F: forged withdrawals and deletes -> nothing is erased. */
static void forged(struct scene *x)
{
    const char *had[] = {kept_of(x, ADA), kept_of(x, BEA)};
    int64_t since = now_at(x);
    long long one = it_i64(x->db, "SELECT max(id) FROM activities WHERE athlete_id = %d", ADA);
    for (int i = 0; i < 3; i++) {
        (void)sim_do(x->s, "events/send", "{\"kind\":\"forged_deauth\",\"athlete\":%d}", ADA);
        (void)sim_do(x->s, "events/send",
                     "{\"kind\":\"forged_delete\",\"athlete\":%d,\"activity\":%lld}", ADA, one);
        settle(x);
    }
    /* Each time it was found out by asking. */
    const char *asked = requests(x, since, ADA, 200);
    print_message("after what was forged: %s\n", asked);
    assert_true(count(asked, "athlete 200") + count(asked, "token 200") >= 3);
    assert_true(count(asked, "activity 200") >= 3);
    assert_true(it_said(x->p[0], "it was said that an athlete has withdrawn, and it is not so") ||
                it_said(x->p[1], "it was said that an athlete has withdrawn, and it is not so"));
    assert_string_equal(kept_of(x, ADA), had[0]);
    assert_string_equal(kept_of(x, BEA), had[1]);
    sync_same(x->db, x->s, ADA);
    sync_same(x->db, x->s, BEA);
}

/* Scenario F: a withdrawal -> verified -> data erased, tokens gone, the log shows it. */
static void withdrawn(struct scene *x)
{
    const char *other = kept_of(x, BEA),
               *tokens[] = {
                   it_text(x->db, "SELECT access_token FROM access_tokens WHERE athlete_id = %d",
                           ADA),
                   it_text(x->db, "SELECT refresh_token FROM refresh_tokens WHERE athlete_id = %d",
                           ADA)};
    it_holds(x->db, "EXISTS (SELECT FROM route_sections WHERE athlete_id = %d)", ADA);
    int64_t since = now_at(x);
    (void)sim_do(x->s, "athlete/9001/revoke", "{}");
    assert_true(it_eventually(x->db, SOON_MS,
                              "SELECT NOT EXISTS (SELECT FROM athletes WHERE id = 9001) AND NOT"
                              " EXISTS (SELECT FROM waymark_count_athlete(9001) WHERE n > 0)") >=
                0);
    assert_int_equal(count(requests(x, since, 0, 400), "token 400"), 1);
    for (int64_t until = it_now_ms() + SOON_MS;
         !it_said(x->p[0], "everything of an athlete was erased") &&
         !it_said(x->p[1], "everything of an athlete was erased");
         it_pause_ms(10))
        assert_true(it_now_ms() < until);
    for (int i = 0; i < 2; i++) {
        assert_null(strstr(it_errors(x->p[i]), tokens[0]));
        assert_null(strstr(it_errors(x->p[i]), tokens[1]));
    }
    wait_told("Athlete 9001 left; everything of theirs was erased.", 1);
    /* Whatever comes late is of nobody. */
    (void)sim_do(x->s, "events/send", "{\"kind\":\"create\",\"athlete\":9001,\"activity\":77}");
    (void)sim_do(x->s, "events/send", "{\"kind\":\"forged_deauth\",\"athlete\":9001}");
    settle(x);
    it_holds(x->db, "NOT EXISTS (SELECT FROM athletes WHERE id = 9001) AND NOT EXISTS (SELECT FROM"
                    " waymark_count_athlete(9001) WHERE n > 0 AND place <> 'strava.event')");
    assert_string_equal(kept_of(x, BEA), other);
    sync_same(x->db, x->s, BEA);
}

static void who_may_be_asked_for(void **state)
{
    (void)state;
    struct scene x = open_scene("demo");
    rotated_and_lost(&x);
    revoked_silently(&x);
    sync_log_in(x.s, x.p[0], BEA, NULL);
    settle(&x);
    forged(&x);
    withdrawn(&x);
    /* And may come again. */
    sync_log_in(x.s, x.p[0], ADA, NULL);
    settle(&x);
    sync_same(x.db, x.s, ADA);
    close_scene(&x);
}

/* ---- the application --------------------------------------------------------------------------
 */

/* For a quarter hour, and nothing is under way any more. */
static bool is_paused(struct it_db *db)
{
    return it_eventually(db, SOON_MS,
                         "SELECT (SELECT state = 'inactive' FROM strava.app) AND (SELECT"
                         " paused_until - clock_timestamp() BETWEEN interval '14 minutes' AND"
                         " interval '15 minutes' FROM q.rate) AND NOT EXISTS (SELECT FROM q.job"
                         " WHERE queue = 'strava' AND state = 'running')") >= 0;
}

/* Scenario K: an inactive application -> a pause for all, which ends by itself; told once. */
static void an_inactive_application(void **state)
{
    (void)state;
    struct scene x = open_scene("tiny");
    (void)sim_do(x.s, "app/status", "{\"status\":\"inactive\"}");
    int64_t since = now_at(&x);
    create(&x, ADA, 10);
    create(&x, BEA, 10);
    assert_true(is_paused(x.db));
    /* Those that were under way, and nothing else: no refresh, no other athlete's. */
    const char *asked = requests(&x, since, 0, 0);
    unsigned refused = count(asked, "403");
    assert_true(refused >= 1 && refused <= WORKERS);
    assert_int_equal(count(asked, ","), refused - 1);
    wait_told("strava:app", 1);
    /* Events are taken all the time, and syncs can be asked for. */
    create(&x, ADA, 10);
    (void)sync_request(x.db, BEA, "all", NULL);
    sim_idle(x.s);
    assert_true(it_eventually(x.db, SOON_MS,
                              "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS"
                              " NULL)") >= 0);
    assert_string_equal(requests(&x, since, 0, 0), asked);
    /* A quarter hour later it is still so: one look more, which is not told. */
    sync_pass(x.db, x.s, 900);
    for (int64_t until = it_now_ms() + SOON_MS;
         count(requests(&x, since, 0, 403), "403") == refused; it_pause_ms(10))
        assert_true(it_now_ms() < until);
    assert_true(is_paused(x.db));
    unsigned again = count(requests(&x, since, 0, 403), "403") - refused;
    assert_true(again >= 1 && again <= WORKERS);
    /* It is mended: all goes on by itself, with what it had. */
    (void)sim_do(x.s, "app/status", "{\"status\":\"active\"}");
    sync_pass(x.db, x.s, 900);
    settle(&x);
    it_holds(x.db, "(SELECT state = 'active' FROM strava.app) AND NOT EXISTS (SELECT FROM"
                   " strava.account WHERE state <> 'ok')");
    assert_int_equal(count(requests(&x, since, 0, 0), "token"), 0);
    wait_told("Strava accepts the application again", 1);
    assert_int_equal(told("strava:app"), 2);
    sync_same(x.db, x.s, ADA);
    sync_same(x.db, x.s, BEA);
    close_scene(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SINK_TEST(one_refresh_an_expiry),
        SINK_TEST(who_may_be_asked_for),
        SINK_TEST(an_inactive_application),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
