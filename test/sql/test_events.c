/* Pushed events: kept with one job for all of them, turned into jobs whatever their order and
 * number, and none of them forgotten by a job that looked for the last time. */
#include "it/queue.h"

enum { OURS = 120475, KNOWN = 3 };

#define KEEP(athlete, aspect, object, owner, subscription, withdrawn)                              \
    "SELECT strava.receive('{" athlete "}', '{" aspect "}', '{" object "}', '{" owner              \
    "}', '{" subscription "}', '{2026-07-01T00:00:00Z}', '{" withdrawn "}')"
/* An edit of an activity of athlete 1. */
#define EDIT(object) KEEP("f", "2", object, "1", "120475", "f")

static struct it_db *connected(void)
{
    struct it_db *db = it_db_again();
    it_exec(db, "TRUNCATE strava.event, strava.account, strava.activity; TRUNCATE q.dead;"
                " UPDATE strava.dispatcher SET wanted_at = NULL");
    it_exec(db, "UPDATE strava.app SET subscription_id = %d", OURS);
    it_exec(db, "INSERT INTO athletes (id) SELECT generate_series(1, %d) ON CONFLICT DO NOTHING",
            KNOWN + 1);
    it_exec(db, "INSERT INTO strava.account (athlete_id) VALUES (1)");
    it_exec(db, "DELETE FROM access_tokens; DELETE FROM refresh_tokens");
    it_exec(db, "INSERT INTO access_tokens (athlete_id, access_token, expires_at)"
                " VALUES (2, 'a', now())");
    it_exec(db, "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (3, 'r')");
    it_exec(db, "DELETE FROM q.job");
    return db;
}

/* "kind object/owner prio" of each job, in order. */
static const char *jobs(struct it_db *db)
{
    return it_text(
        db, "SELECT coalesce(string_agg(format('%%s %%s/%%s %%s', replace(kind, 'strava.', ''),"
            " coalesce(payload->>'activity', '-'), tenant, prio), ', ' ORDER BY kind,"
            " tenant, payload), '') FROM q.job WHERE queue = 'strava'");
}

static const char *verdicts(struct it_db *db)
{
    return it_text(db, "SELECT coalesce(string_agg(coalesce(verdict, '?'), ' ' ORDER BY id), '')"
                       " FROM strava.event");
}

static void dispatch_all(struct it_db *db)
{
    while (it_i64(db, "SELECT events FROM strava.dispatch(1000)") > 0) {
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

static void one_job_for_all(void **state)
{
    (void)state;
    struct it_db *db = connected();
    assert_string_equal(
        it_text(db, "SELECT strava.receive('{f,t,f}', '{1,2,3}', '{11,1,12}', '{1,1,4}',"
                    " '{120475,120475,7}', '{2026-07-01T00:00:00Z,NULL,1970-01-01T00:00:00Z}',"
                    " '{f,t,f}')"),
        "t");
    assert_string_equal(
        it_text(db, "SELECT string_agg(concat_ws(' ', is_athlete, aspect, object_id, owner_id,"
                    " subscription_id, extract(epoch FROM event_time)::bigint, withdrawn, verdict),"
                    " ', ' ORDER BY id) FROM strava.event"),
        "f create 11 1 120475 1782864000 f, t update 1 1 120475 t, f delete 12 4 7 0 f");
    it_holds(db, "(SELECT count(*) FROM q.job) = 1 AND EXISTS (SELECT FROM q.job WHERE queue ="
                 " 'trails' AND kind = 'strava.events' AND ukey = 'events' AND state = 'ready' AND"
                 " prio < 0)");
    const char *job = it_text(db, "SELECT xmin::text FROM q.job");
    for (int i = 0; i < 3; i++)
        assert_string_equal(it_text(db, EDIT("13")), "f");
    /* It runs: no second one, since it looks again before it ends. */
    it_exec(db, "UPDATE q.job SET state = 'running', owner = 1");
    job = it_text(db, "SELECT xmin::text FROM q.job");
    assert_string_equal(it_text(db, EDIT("14")), "f");
    it_holds(db, "(SELECT xmin::text FROM q.job) = '%s'", job);
    it_holds(db, "(SELECT count(*) FROM strava.event WHERE done_at IS NULL) = 7");
    /* Somebody threw it away: after a minute that is noticed. */
    it_exec(db, "DELETE FROM q.job");
    assert_string_equal(it_text(db, EDIT("15")), "f");
    it_exec(db, "UPDATE strava.dispatcher SET wanted_at = wanted_at - interval '1 minute'");
    assert_string_equal(it_text(db, EDIT("16")), "t");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.events') = 1");
}

/* While the job there is none, the first makes it and the others need not wait for each other. */
static void those_who_keep_do_not_wait(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db, EDIT("1")); /* makes the job */
    q_do(b, "SET lock_timeout = '5s'");
    q_do(a, "BEGIN");
    q_do(a, EDIT("2"));
    q_do(b, "BEGIN");
    q_do(b, EDIT("3"));
    q_do(b, "COMMIT");
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT count(*) FROM strava.event) = 3 AND (SELECT count(*) FROM q.job) = 1");
}

/* ---- the end of the job ---------------------------------------------------------------------- */

static void nothing_relies_on_a_job_that_ends(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db), *job = q_open(db);
    assert_string_equal(q_state(job, "SELECT strava.dispatch_end()"), "00000");
    it_exec(db, EDIT("1"));
    assert_string_equal(q_state(job, "SELECT strava.dispatch_end()"), "WM002");
    assert_int_equal(q_i64(job, "SELECT events FROM strava.dispatch(10)"), 1);

    /* Somebody is about to commit, having found that there is a job. */
    q_do(a, "BEGIN");
    q_do(a, EDIT("2"));
    assert_string_equal(q_state(job, "SELECT strava.dispatch_end()"), "WM002");
    q_do(a, "COMMIT");
    assert_string_equal(q_state(job, "SELECT strava.dispatch_end()"), "WM002");
    assert_int_equal(q_i64(job, "SELECT events FROM strava.dispatch(10)"), 1);

    /* Now it ends; whoever comes before its end is committed waits, and makes a new one. */
    q_do(job, "BEGIN");
    assert_string_equal(q_state(job, "SELECT strava.dispatch_end()"), "00000");
    q_do(job, "DELETE FROM q.job WHERE kind = 'strava.events'");
    q_send(b, EDIT("3"));
    assert_true(q_waits(db, b));
    q_do(job, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.events') = 1");
    it_holds(db, "(SELECT wanted_at IS NOT NULL FROM strava.dispatcher)");
}

/* Two at once share the work; what one holds the other leaves to it. */
static void several_may_dispatch(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db), *b = q_open(db);
    for (int i = 0; i < 6; i++)
        it_exec(db,
                "SELECT strava.receive('{f}', '{1}', '{%d}', '{1}', '{120475}', '{NULL}',"
                " '{f}')",
                100 + i);
    q_do(a, "BEGIN");
    assert_int_equal(q_i64(a, "SELECT events FROM strava.dispatch(4)"), 4);
    assert_int_equal(q_i64(b, "SELECT events FROM strava.dispatch(4)"), 2);
    assert_string_equal(q_state(b, "SELECT strava.dispatch_end()"), "WM002");
    q_do(a, "ROLLBACK");
    assert_int_equal(q_i64(b, "SELECT events FROM strava.dispatch(10)"), 4);
    assert_string_equal(q_state(b, "SELECT strava.dispatch_end()"), "00000");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.look') = 6");
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void each_has_its_verdict(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "INSERT INTO strava.activity (activity_id, athlete_id, state, checked)"
                " VALUES (50, 1, 'there', 1), (51, 1, 'gone', 0)");
    it_exec(db, KEEP("f", "1", "11", "1", "120475", "f")); /* an account */
    it_exec(db, KEEP("f", "3", "12", "2", "120475", "f")); /* only tokens of a frontend */
    it_exec(db, KEEP("f", "2", "13", "3", "120475", "f"));
    it_exec(db, KEEP("f", "1", "14", "4", "120475", "f"));  /* here, but not connected */
    it_exec(db, KEEP("f", "1", "15", "99", "120475", "f")); /* nobody */
    it_exec(db, KEEP("f", "1", "16", "1", "7", "f"));
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    it_exec(db, KEEP("t", "2", "2", "2", "120475", "f"));
    it_exec(db, KEEP("t", "2", "2", "1", "120475", "t")); /* about another than its owner */
    it_exec(db, KEEP("t", "2", "99", "99", "120475", "t"));
    it_exec(db, KEEP("f", "3", "50", "2", "120475", "f")); /* of an activity that is another's */
    it_exec(db, KEEP("f", "3", "50", "1", "120475", "f"));
    it_exec(db, KEEP("f", "1", "51", "2", "120475", "f")); /* claimed by somebody's invention */
    dispatch_all(db);
    assert_string_equal(verdicts(db), "look look look unknown unknown foreign check none none "
                                      "unknown stranger look look");
    assert_string_equal(jobs(db), "check -/1 3, look 11/1 2, look 50/1 2, look 51/2 2, "
                                  "look 12/2 2, look 13/3 2");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.look' AND (ukey <> 'look:' ||"
                 " (payload->>'activity') OR payload->>'why' <> 'event' OR"
                 " (payload->>'athlete')::bigint <> tenant OR lane IS NOT NULL))");
    it_holds(db, "(SELECT ukey FROM q.job WHERE kind = 'strava.check') = 'check:1'");
    it_holds(db, "NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)");
    it_holds(db,
             "NOT EXISTS (SELECT FROM strava.event WHERE (verdict = 'unknown') <> (owner_id = 0)"
             " OR (verdict = 'unknown') <> (object_id = 0))");
    /* Nothing was done about any of them but to make jobs. */
    it_holds(db,
             "(SELECT count(*) FROM athletes) = %d AND (SELECT count(*) FROM strava.activity"
             " WHERE state = 'there') = 1 AND EXISTS (SELECT FROM strava.account)",
             KNOWN + 1);
}

/* Tokens that were dead before prove nothing: anybody could say now that their owner has left. */
static void a_departure_that_nothing_can_prove(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "DELETE FROM alert.state");
    it_exec(db, "UPDATE strava.account SET state = 'reauth', state_at = now() - interval '1 day'");
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    dispatch_all(db);
    assert_string_equal(verdicts(db), "unproven unproven");
    assert_string_equal(jobs(db), "");
    it_holds(db, "(SELECT bad AND body LIKE '%%waymark athlete erase 1' FROM alert.state WHERE key"
                 " = 'withdrawn:1')");
    /* One of our calls may be the first to notice: what Strava sends comes soon after. */
    it_exec(db, "UPDATE strava.account SET state_at = now() - interval '1 minute'");
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    dispatch_all(db);
    assert_string_equal(verdicts(db), "unproven unproven check");
    assert_string_equal(jobs(db), "check -/1 3");
    it_exec(db, "DELETE FROM alert.state");
}

/* Whoever is just being erased has no events until that is over, and nobody waits for it. */
static void an_erasure_holds_nobody_up(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *a = q_open(db);
    it_exec(db, "SELECT q.add('[{\"queue\": \"strava\", \"kind\": \"strava.check\", \"ukey\":"
                " \"check:1\", \"tenant\": 1}]')");
    q_do(a, "BEGIN; SELECT * FROM waymark_depart(1, 'test', false)");
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    it_exec(db, EDIT("5"));
    it_exec(db, KEEP("f", "1", "12", "2", "120475", "f"));
    it_exec(db, "SET statement_timeout = '5 s'");
    assert_int_equal(it_i64(db, "SELECT events FROM strava.dispatch(10)"), 1);
    assert_int_equal(it_i64(db, "SELECT events FROM strava.dispatch(10)"), 0);
    it_holds(db, "(SELECT count(*) FROM strava.event WHERE done_at IS NULL) = 2");
    q_do(a, "COMMIT");
    assert_int_equal(it_i64(db, "SELECT events FROM strava.dispatch(10)"), 2);
    it_exec(db, "RESET statement_timeout");
    assert_string_equal(jobs(db), "look 12/2 2");
    it_holds(db, "NOT EXISTS (SELECT FROM waymark_count_athlete(1) WHERE n > 0)");
}

/* Before the subscription's number is known, events may already come. */
static void any_subscription_until_ours_is_known(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "UPDATE strava.app SET subscription_id = NULL");
    it_exec(db, KEEP("f", "1", "11", "1", "7", "f"));
    dispatch_all(db);
    assert_string_equal(verdicts(db), "look");
}

/* ---- twins ----------------------------------------------------------------------------------- */

static void a_backfill_is_hurried(void **state)
{
    (void)state;
    struct it_db *db = connected();
    PGconn *c = q_open(db);
    it_exec(db, "SELECT q.add('[{\"queue\": \"strava\", \"kind\": \"strava.look\", \"ukey\":"
                " \"look:11\", \"prio\": 40, \"tenant\": 1, \"run_at\": \"2100-01-01\","
                " \"payload\": {\"activity\": 11, \"athlete\": 1, \"why\": \"backfill\","
                " \"sync\": 5}}]')");
    it_exec(db, "UPDATE q.job SET attempt = 7, last_error = 'HTTP 500'");
    it_exec(db, EDIT("11"));
    dispatch_all(db);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE queue = 'strava') = 1");
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE state = 'ready' AND run_at IS NULL AND prio = 2"
                 " AND payload = '{\"activity\": 11, \"athlete\": 1, \"why\": \"event\", \"sync\":"
                 " 5}' AND max_attempts = 15)");
    /* Another event changes nothing of it, not even the row. */
    const char *row = it_text(db, "SELECT ctid::text FROM q.job WHERE queue = 'strava'");
    it_exec(db, EDIT("11"));
    dispatch_all(db);
    it_holds(db, "(SELECT ctid::text FROM q.job WHERE queue = 'strava') = '%s'", row);
    /* What runs may have asked before the change: another one comes after it. */
    q_do(c, "UPDATE q.job SET state = 'running', owner = 1, started_at = now() WHERE queue ="
            " 'strava'");
    it_exec(db, EDIT("11"));
    it_exec(db, EDIT("11"));
    dispatch_all(db);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE ukey = 'look:11' AND state = 'ready') = 1 AND"
                 " (SELECT count(*) FROM q.job WHERE ukey = 'look:11') = 2");
}

/* That it was deleted is passed on as long as nothing else is said of it. */
static void deletions_are_told_apart(void **state)
{
    (void)state;
    struct it_db *db = connected();
    static const char payload[] =
        "SELECT coalesce(string_agg(concat_ws(' ', payload->>'activity', payload->>'deleted',"
        " payload->>'looks'), ', ' ORDER BY payload->>'activity'), '') FROM q.job WHERE queue ="
        " 'strava'";
    it_exec(db, KEEP("f", "3", "11", "1", "120475", "f"));
    it_exec(db, KEEP("f", "3", "12", "1", "120475", "f"));
    it_exec(db, EDIT("12"));
    it_exec(db, EDIT("13"));
    dispatch_all(db);
    assert_string_equal(it_text(db, payload), "11 true, 12, 13");
    it_exec(db, EDIT("11")); /* news of what is ready already */
    it_exec(db, KEEP("f", "3", "13", "1", "120475", "f"));
    dispatch_all(db);
    assert_string_equal(it_text(db, payload), "11, 12, 13");
    it_exec(db, "UPDATE q.job SET state = 'waiting', run_at = '2100-01-01', payload = payload ||"
                " '{\"looks\": 3}'");
    it_exec(db, KEEP("f", "3", "13", "1", "120475", "f"));
    it_exec(db, EDIT("12"));
    dispatch_all(db);
    assert_string_equal(it_text(db, payload), "11 3, 12, 13 true");
}

static void dead_letters_give_way(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db,
            "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, ukey,"
            " payload, created_at, reason) SELECT -row_number() OVER (), 'strava', 'k', 0, 8, 8,"
            " 0, u, '{}', now(), 'attempts' FROM unnest(ARRAY['look:11', 'look:12', 'check:1'])"
            " u");
    it_exec(db, EDIT("11"));
    it_exec(db, KEEP("t", "2", "1", "1", "120475", "t"));
    dispatch_all(db);
    assert_string_equal(it_text(db, "SELECT string_agg(ukey, ' ') FROM q.dead"), "look:12");
}

/* Whoever knows where we listen may claim that an activity is another's. The owner's own event is
 * not lost by that, whichever came first. */
static void a_forged_owner_takes_nothing_away(void **state)
{
    (void)state;
    for (int forged_first = 0; forged_first < 2; forged_first++) {
        for (int together = 0; together < 2; together++) {
            struct it_db *db = connected();
            for (int i = 0; i < 2; i++) {
                it_exec(db,
                        "SELECT strava.receive('{f}', '{1}', '{11}', '{%d}', '{120475}',"
                        " '{NULL}', '{f}')",
                        (i == 0) == forged_first ? 2 : 1);
                if (!together)
                    dispatch_all(db);
            }
            dispatch_all(db);
            assert_string_equal(jobs(db), "look 11/1 2, look 11/2 2");
        }
    }
}

/* ---- any order, any number of times ---------------------------------------------------------- */

enum { EVENTS = 40, ROUNDS = 25 };

struct what {
    int athlete, aspect, object, owner, subscription, withdrawn;
};

static struct what some_event(uint64_t *seed)
{
    bool athlete = load_random(seed, 8) == 0;
    int owner = 1 + (int)load_random(seed, KNOWN + 2);
    return (struct what){
        .athlete = athlete,
        .aspect = 1 + (int)load_random(seed, 3),
        /* Few activities, each of one owner. */
        .object = athlete ? owner : owner * 100 + (int)load_random(seed, 6),
        .owner = owner,
        .subscription = load_random(seed, 10) == 0 ? 7 : OURS,
        .withdrawn = load_random(seed, 2) == 0,
    };
}

static void keep_some(struct it_db *db, const struct what *e, size_t n)
{
    char column[6][2048];
    size_t at[6] = {0};
    for (size_t i = 0; i < n; i++) {
        const int value[6] = {e[i].athlete, e[i].aspect,       e[i].object,
                              e[i].owner,   e[i].subscription, e[i].withdrawn};
        for (size_t k = 0; k < 6; k++) {
            int wrote = snprintf(column[k] + at[k], sizeof(column[k]) - at[k], "%s%d", i ? "," : "",
                                 value[k]);
            assert_true(wrote > 0 && at[k] + (size_t)wrote < sizeof(column[k]));
            at[k] += (size_t)wrote;
        }
    }
    it_exec(db,
            "SELECT strava.receive('{%s}', '{%s}', '{%s}', '{%s}', '{%s}', array_fill("
            "now(), ARRAY[%zu]), '{%s}')",
            column[0], column[1], column[2], column[3], column[4], n, column[5]);
}

/* Keeps them in groups and dispatches in chunks, as chance has it. */
static void play(struct it_db *db, const struct what *e, size_t n, uint64_t *seed)
{
    for (size_t at = 0; at < n;) {
        size_t some = 1 + load_random(seed, 12);
        some = some < n - at ? some : n - at;
        keep_some(db, e + at, some);
        at += some;
        if (load_random(seed, 3) == 0)
            it_exec(db, "SELECT strava.dispatch(%d)", 1 + (int)load_random(seed, 9));
    }
    dispatch_all(db);
}

static void forget(struct it_db *db)
{
    it_exec(db, "TRUNCATE strava.event; DELETE FROM q.job");
}

static void any_order_and_number_gives_the_same_jobs(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = connected();
    for (int round = 0; round < ROUNDS; round++) {
        struct what e[EVENTS], twice[4 * EVENTS];
        size_t n = 0;
        for (size_t i = 0; i < EVENTS; i++)
            e[i] = some_event(&seed);
        forget(db);
        keep_some(db, e, EVENTS);
        dispatch_all(db);
        const char *want = jobs(db);
        for (size_t i = 0; i < EVENTS; i++) {
            for (size_t times = 1 + load_random(&seed, 4); times > 0; times--)
                twice[n++] = e[i];
        }
        for (size_t i = n - 1; i > 0; i--) {
            size_t k = load_random(&seed, i + 1);
            struct what swap = twice[i];
            twice[i] = twice[k];
            twice[k] = swap;
        }
        forget(db);
        play(db, twice, n, &seed);
        assert_string_equal(jobs(db), want);
        assert_true(strlen(want) > 0);
        it_holds(db, "(SELECT count(*) FROM strava.event WHERE verdict IS NOT NULL) = %zu", n);
    }
}

/* ---- many at once ---------------------------------------------------------------------------- */

static void keeps(struct q_thread *t)
{
    (void)qt_do(t, EDIT("11"));
    it_pause_ms((int64_t)load_random(&t->chance, 4));
}

/* As the handler does; a claim made the job run. */
static void dispatches(struct q_thread *t)
{
    (void)qt_do(t, "UPDATE q.job SET state = 'running', owner = 1 WHERE kind = 'strava.events' AND"
                   " state = 'ready'");
    (void)qt_do(t, "SELECT strava.dispatch(1000)");
    (void)qt_do(t, "DO $$ BEGIN"
                   " DELETE FROM q.job WHERE kind = 'strava.events' AND state = 'running';"
                   " PERFORM strava.dispatch_end();"
                   " EXCEPTION WHEN SQLSTATE 'WM002' THEN NULL; END $$");
}

/* Four keep events, one makes jobs of them. At the end every event is done, or there is a job that
 * will see to it. */
static void none_is_forgotten(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    int64_t left = 0, jobs = 0;
    for (int round = 0; round < 8; round++) {
        struct it_db *db = connected();
        struct q_thread t[5] = {{.turn = keeps},
                                {.turn = keeps},
                                {.turn = keeps},
                                {.turn = keeps},
                                {.turn = dispatches}};
        int64_t before = it_i64(db, "SELECT nextval('q.job_id_seq')");
        assert_int_equal(q_threads(db, t, 5, seed + (uint64_t)round, 600), 0);
        uint64_t kept = t[0].turns + t[1].turns + t[2].turns + t[3].turns;
        it_holds(db, "(SELECT count(*) FROM strava.event) = %llu", (unsigned long long)kept);
        it_holds(db, "NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL) OR EXISTS"
                     " (SELECT FROM q.job WHERE kind = 'strava.events')");
        left += it_i64(db, "SELECT count(*) FROM strava.event WHERE done_at IS NULL");
        jobs += it_i64(db, "SELECT nextval('q.job_id_seq')") - before;
    }
    print_message("%lld jobs, %lld left for them\n", (long long)jobs, (long long)left);
    assert_true(jobs > 40); /* often enough there was none, so that one had to be made */
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static void old_ones_go(void **state)
{
    (void)state;
    struct it_db *db = connected();
    for (int i = 0; i < 3; i++)
        it_exec(db, EDIT("11"));
    dispatch_all(db);
    it_exec(db, EDIT("12"));
    it_exec(db, "UPDATE strava.event SET done_at = done_at - interval '31 days' WHERE id IN (SELECT"
                " id FROM strava.event ORDER BY id LIMIT 2)");
    it_exec(db, "UPDATE strava.event SET received_at = received_at - interval '99 days'");
    /* One that waits is never too old. */
    assert_int_equal(it_i64(db, "SELECT strava.event_upkeep('30 days')"), 2);
    assert_string_equal(verdicts(db), "look ?");
    assert_int_equal(it_i64(db, "SELECT strava.event_upkeep('30 days')"), 0);
}

static void a_missing_job_is_made(void **state)
{
    (void)state;
    static const char mend[] = "SELECT strava.mend_dispatch()";
    struct it_db *db = connected();
    assert_string_equal(it_text(db, mend), "f");
    it_exec(db, EDIT("11"));
    assert_string_equal(it_text(db, mend), "f"); /* it is there */
    it_exec(db, "UPDATE q.job SET state = 'running', owner = 1");
    assert_string_equal(it_text(db, mend), "f"); /* it runs */
    it_exec(db, "DELETE FROM q.job");
    assert_string_equal(it_text(db, mend), "t");
    assert_string_equal(it_text(db, mend), "f");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.events') = 1");
    dispatch_all(db);
    it_exec(db, "DELETE FROM q.job");
    assert_string_equal(it_text(db, mend), "f"); /* nothing waits */
}

/* A long backlog costs each chunk no more than a short one. */
static void a_backlog_does_not_slow_it_down(void **state)
{
    (void)state;
    struct it_db *db = connected();
    it_exec(db, "INSERT INTO strava.event (is_athlete, aspect, object_id, owner_id,"
                " subscription_id, withdrawn) SELECT false, 'update', g %% 500, 1, 120475, false"
                " FROM generate_series(1, 60000) g");
    int64_t first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        int64_t begun = it_now_ms();
        assert_int_equal(it_i64(db, "SELECT events FROM strava.dispatch(1000)"), 1000);
        *(i < 20 ? &first : &last) += i < 20 || i >= 40 ? it_now_ms() - begun : 0;
    }
    print_message("20 chunks of 1,000: the first took %lld ms, the last %lld ms\n",
                  (long long)first, (long long)last);
    assert_true(last < 4 * first + 1000);
    assert_int_equal(it_i64(db, "SELECT events FROM strava.dispatch(1000)"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(one_job_for_all),
        Q_TEST(those_who_keep_do_not_wait),
        Q_TEST(nothing_relies_on_a_job_that_ends),
        Q_TEST(several_may_dispatch),
        Q_TEST(each_has_its_verdict),
        Q_TEST(a_departure_that_nothing_can_prove),
        Q_TEST(an_erasure_holds_nobody_up),
        Q_TEST(any_subscription_until_ours_is_known),
        Q_TEST(a_backfill_is_hurried),
        Q_TEST(deletions_are_told_apart),
        Q_TEST(dead_letters_give_way),
        Q_TEST(a_forged_owner_takes_nothing_away),
        Q_TEST(any_order_and_number_gives_the_same_jobs),
        Q_TEST(none_is_forgotten),
        Q_TEST(old_ones_go),
        Q_TEST(a_missing_job_is_made),
        Q_TEST(a_backlog_does_not_slow_it_down),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
