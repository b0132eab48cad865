/* What is said and does not hold: a LISTEN that hears nothing, a time to come back that is none. */
#include "chaos/chaos.h"

static struct proxy *proxy;

/* ---- 21 ------------------------------------------------------------------------------------ */

enum { PROBE_MS = 1000, ECHO_MS = 5000, POLL_MS = 1000, SLACK_MS = 3000 };

#define LISTENERS                                                                                  \
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name ="              \
    " 'worker-listen' AND query ~* 'LISTEN|pg_notify'"

/* The session that listens, once there is one, and the one before is gone. */
static int64_t listener(struct it_db *db)
{
    assert_true(it_eventually(db, END_MS, "SELECT count(*) = 1 " LISTENERS) >= 0);
    return it_i64(db, "SELECT coalesce(max(pid), 0) " LISTENERS);
}

/* A job every now and then is done within the poll interval, hint or no hint. */
static void polls(struct it_db *db, int64_t for_ms)
{
    int64_t worst = 0;
    for (int64_t until = it_now_ms() + for_ms; it_now_ms() < until; it_pause_ms(130)) {
        it_exec(db, "SELECT chaos.add('effect', 1)");
        int64_t ms = it_eventually(db, END_MS, "SELECT NOT EXISTS (SELECT FROM q.job)");
        worst = ms > worst ? ms : worst;
        assert_in_range(ms, 0, POLL_MS * 12 / 10 + 1000);
    }
    print_message("21: %lld ms at worst without hints\n", (long long)worst);
}

/* Until the session has asked itself once more, and stayed: the echo came. */
static void proves_itself(struct it_db *db)
{
    int64_t pid = listener(db);
    for (int i = 0; i < 2; i++) {
        const char *since = it_text(db, "SELECT clock_timestamp()");
        assert_true(it_eventually(db, PROBE_MS + ECHO_MS + SLACK_MS,
                                  it_format("SELECT count(*) = 1 FROM pg_stat_activity"
                                            " WHERE pid = %lld AND query LIKE '%%pg_notify%%'"
                                            " AND state = 'idle' AND query_start > '%s'",
                                            (long long)pid, since)) >= 0);
    }
    assert_int_equal(listener(db), pid);
}

/* The connection stands, statements are answered, and no notification comes: as when something
 * between them hands sessions from one to another. The listener finds out by itself. */
static void n21_a_listener_gone_deaf(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *p = chaos_worker_by(proxy, db, NULL,
                                        IT_LIST("--poll-ms", it_format("%d", POLL_MS), "--probe-ms",
                                                it_format("%d", PROBE_MS), "--log", "debug"));
    proves_itself(db);
    assert_false(it_said(p, "no echo"));
    int64_t deaf = listener(db), start = it_now_ms();
    proxy_deafen(proxy, "worker-listen");
    polls(db, PROBE_MS + ECHO_MS - 1000);
    it_wait_for(p, "no echo of its own notification", 1000 + SLACK_MS);
    print_message("21: found deaf after %lld ms\n", (long long)(it_now_ms() - start));
    assert_true(it_now_ms() - start < PROBE_MS + ECHO_MS + SLACK_MS);
    assert_true(it_eventually(db, SLACK_MS,
                              it_format("SELECT count(*) = 1 " LISTENERS " AND pid <> %lld",
                                        (long long)deaf)) >= 0);
    /* Before its new session first asks itself, it can hear again: that one stays. */
    proxy_pass(proxy);
    proves_itself(db);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
}

/* ---- 32 ------------------------------------------------------------------------------------ */

/* Jobs that are refused for as long as the test wants. */
static void add_refused(struct it_db *db, int n, int code, const char *after)
{
    it_exec(db,
            "SELECT chaos.add('effect', %d, jsonb_build_object('payload', jsonb_build_object("
            "'until', 4000000000000, 'code', %d, 'after', %s)))",
            n, code, after);
}

static void end_refusal(struct it_db *db)
{
    for (int64_t until = it_now_ms() + END_MS; it_now_ms() < until; it_pause_ms(200)) {
        it_exec(db, "UPDATE q.job SET payload = payload - 'until', run_at = now()"
                    " WHERE state = 'waiting'");
        if (it_eventually(db, 0, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0)
            break;
    }
    history_ends(db, END_MS);
}

/* No time, the past, a moment, a quarter hour, a year, the end of all numbers: from the other
 * side's answer, with 429 and with 503. */
static void n32_when_to_come_back_is_a_lie(void **state)
{
    (void)state;
    enum { EACH = 5, WATCHED_MS = 3000 };
    static const char *const after[] = {"0",      "-5000",       "1",
                                        "900000", "31536000000", "9223372036854775807"};
    struct it_db *db = chaos_db();
    for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        add_refused(db, EACH, 429, after[i]);
        add_refused(db, EACH, 503, after[i]);
    }
    struct it_proc *p = chaos_worker(db, NULL, IT_LIST("--batch-max", "1", "--concurrency", "8"));
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) = 30 FROM q.job WHERE state = 'waiting'"
                              " AND run_at > now() + interval '5 min'") >= 0);
    it_pause_ms(WATCHED_MS);
    /* A quarter hour is believed, nothing beyond a day is. */
    it_holds(db, "(SELECT bool_and(run_at - started_at BETWEEN interval '900 s' AND"
                 " interval '1081 s') FROM q.job WHERE payload->>'after' = '900000')");
    it_holds(db, "(SELECT bool_and(run_at - started_at BETWEEN interval '24 h' AND"
                 " interval '28 h 50 min') FROM q.job WHERE length(payload->>'after') > 9)");
    /* 429 spends nothing, anything else does. */
    it_holds(db, "(SELECT bool_and((attempt > 0) = (payload->>'code' = '503')) FROM q.job"
                 " WHERE state = 'waiting')");
    end_refusal(db);
    struct it_result r = chaos_stop(p);
    /* 0 and less: a second at the least before the next time; a moment: half a second. */
    print_message("32: %lld refusals\n", (long long)chaos_count(&r, "retried="));
    assert_true(chaos_count(&r, "retried=") < 30 + 20 * 12 + 10 * 20);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db,
             "30 = (SELECT count(*) FROM q.done JOIN chaos.added USING (id) WHERE attempt = 1)");
}

/* All hear the same number at the same moment, be they of one batch or of many: they spread over a
 * fifth of it, and none comes sooner than it was told. */
static void n32_nobody_comes_back_in_a_crowd(void **state)
{
    (void)state;
    enum { EACH = 100 };
    struct it_db *db = chaos_db();
    add_refused(db, EACH, 429, "900000");
    struct it_proc *p = chaos_worker(db, NULL, IT_LIST("--batch-max", "50"));
    assert_true(
        it_eventually(db, END_MS, "SELECT count(*) = 100 FROM q.job WHERE state = 'waiting'") >= 0);
    add_refused(db, EACH, 503, "900000");
    assert_true(
        it_eventually(db, END_MS, "SELECT count(*) = 200 FROM q.job WHERE state = 'waiting'") >= 0);
    /* Ten parts of those 180 s: none is empty, none has more than three times its share. */
    it_exec(db, "CREATE TABLE chaos.part AS SELECT payload->>'code' AS code, width_bucket("
                "extract(epoch FROM run_at - started_at) - 900, 0, 180, 10) AS part FROM q.job");
    it_holds(db, "(SELECT min(part) >= 1 AND max(part) <= 11 FROM chaos.part)");
    for (int code = 429; code <= 503; code += 503 - 429) {
        int64_t parts = it_i64(db, "SELECT count(DISTINCT part) FROM chaos.part WHERE code = '%d'",
                               code),
                most = it_i64(db,
                              "SELECT max(n) FROM (SELECT count(*) AS n FROM chaos.part"
                              " WHERE code = '%d' GROUP BY part) x",
                              code);
        print_message("32: %d: %lld parts, %lld in the fullest\n", code, (long long)parts,
                      (long long)most);
        assert_true(parts >= 9 && most <= 3 * EACH / 10);
    }
    end_refusal(db);
    (void)chaos_stop(p);
}

static int up(void **state)
{
    if (it_up_large(state) != 0)
        return -1;
    proxy = proxy_start(pg_cluster_dir(it_cluster()));
    return 0;
}

static int down(void **state)
{
    proxy = proxy_free(proxy);
    return it_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(n21_a_listener_gone_deaf),
        IT_TEST(n32_when_to_come_back_is_a_lie),
        IT_TEST(n32_nobody_comes_back_in_a_crowd),
    };
    return cmocka_run_group_tests(tests, up, down);
}
