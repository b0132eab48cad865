/* How jobs end, and who may end them: the fence, rescuers beside owners, twins that are queued
 * meanwhile, cancellation; and arguments that nobody should pass. */
#include "it/queue.h"

static struct it_db *with_jobs(int n)
{
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER SEQUENCE q.job_id_seq RESTART 1");
    it_exec(db,
            "SELECT q.add((SELECT jsonb_agg('{\"queue\": \"q\", \"kind\": \"k\"}'::jsonb) FROM "
            "generate_series(1, %d)))",
            n);
    return db;
}

static const char *states(struct it_db *db)
{
    return it_text(db, "SELECT coalesce(string_agg(id || state::text || attempt, ',' ORDER BY id), "
                       "'') FROM q.job");
}

/* ---- twins ----------------------------------------------------------------------------------- */

#define TWIN "{\"ukey\": \"K\"}"

/* Who adds has changed something that the job is to see: until he commits it cannot run. */
static void a_queued_twin_waits_for_who_joined_it(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, Q_ADD(TWIN));
    q_do(a, "BEGIN; " Q_ADD(TWIN));
    assert_int_equal(q_take(b, 9, 1), 0);
    q_do(a, "COMMIT");
    assert_int_equal(q_take(b, 9, 1), 1);
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
}

/* The twin is being claimed while we add: claimed and finished before we commit, it saw nothing of
 * ours, so a successor has to run. */
static void a_claimed_twin_gets_a_successor(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, Q_ADD(TWIN));
    q_do(b, "BEGIN");
    assert_int_equal(q_take(b, 9, 1), 1);
    q_do(a, "BEGIN");
    q_send(a, Q_ADD(TWIN));
    assert_true(q_waits(db, a));
    q_do(b, "COMMIT");
    assert_string_equal(q_answer(a, NULL), "00000");
    q_do(b, "%s", Q_FINISH_ALL);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)"); /* ours is not seen yet */
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready' AND ukey = 'K') = 1");
    q_is_sound(db);
}

/* The same for jobs that the triggers queue. */
static void an_activity_changed_in_a_long_transaction_is_matched(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db, "INSERT INTO athletes (id) VALUES (1); SELECT it.walk(1, 1, 0.1, 0.2, 0)");
    static const char take[] =
        "SELECT count(*) FROM q.take('trails', 9, 1, '{match}', '{}', " Q_MIN ")";
    q_do(a, "BEGIN; UPDATE activities SET summary_track = it.way(0.2, 0.4, 9) WHERE id = 1");
    assert_int_equal(q_i64(b, take), 0);
    q_do(a, "COMMIT");
    assert_int_equal(q_i64(b, take), 1);
    q_do(a, "BEGIN; UPDATE activities SET summary_track = it.way(0.2, 0.5, 9) WHERE id = 1");
    q_do(b, "%s", Q_FINISH_ALL);
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT string_agg(ukey || state, ',') FROM q.job WHERE kind = 'match') = "
                 "'match:1ready'");
}

static void two_of_one_call_are_one(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, Q_ADD(TWIN ", " TWIN ", {\"ukey\": \"J\"}, {}, {}"));
    it_holds(db, "(SELECT count(*) FROM q.job) = 4");
    it_exec(db, Q_ADD("{\"ukey\": \"K\", \"tenant\": 1}, " TWIN ", {\"ukey\": \"L\", \"lane\": "
                      "\"l\"}"));
    it_holds(db, "(SELECT count(*) FROM q.job) = 5");
    q_is_sound(db);
}

/* Put back while a twin waits, or while one is just being added. */
static void put_back_beside_a_twin_it_is_superseded(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    static const char *const back[] = {
        "SELECT q.requeue('{1}', 1, '{0}', 'x', false, false)",
        "SELECT q.requeue('{1}', 1, '{30}', 'x', true, false)",
        "SELECT q.rescue(1, 0)",
    };
    for (size_t i = 0; i < 2 * sizeof(back) / sizeof(back[0]); i++) {
        it_exec(db, "TRUNCATE q.job, q.done; ALTER SEQUENCE q.job_id_seq RESTART 1");
        q_do(a, Q_ADD(TWIN));
        assert_int_equal(q_take(b, 9, 1), 1);
        q_do(a, "BEGIN; " Q_ADD(TWIN));
        q_send(b, "%s", back[i / 2]);
        assert_true(q_waits(db, b));
        q_do(a, i % 2 ? "COMMIT" : "ROLLBACK");
        assert_string_equal(q_answer(b, NULL), "00000");
        it_holds(db, "(SELECT count(*) FROM q.job WHERE state <> 'running') = 1");
        it_holds(db, "(SELECT count(*) FROM q.done WHERE outcome = 'superseded') = %d",
                 (int)(i % 2));
        q_is_sound(db);
    }
}

/* From an isolation level in which it cannot see the twin it must not try for ever. */
static void put_back_under_an_old_snapshot(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, Q_ADD(TWIN));
    assert_int_equal(q_take(b, 9, 1), 1);
    q_do(b, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM q.job");
    q_do(a, Q_ADD(TWIN));
    q_send(b, "SELECT q.requeue('{1}', 1, '{0}', 'x', false, false)");
    const char *sqlstate = q_answer(b, NULL);
    assert_true(strcmp(sqlstate, "23505") == 0 || strcmp(sqlstate, "40001") == 0);
    q_do(b, "ROLLBACK");
}

static void a_dead_one_retried_beside_its_twin(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER SEQUENCE q.job_id_seq RESTART 1");
    it_exec(db, Q_ADD("{\"ukey\": \"K\"}"));
    assert_int_equal(q_take(db->pg, 9, 1), 1);
    it_exec(db, Q_ADD("{\"ukey\": \"K\"}, {\"ukey\": \"J\"}"));
    it_exec(db, "SELECT q.bury('{1}', 1, 'bug', 'x')");
    it_holds(db, "q.retry('{1,1,99}') = 1");
    it_holds(db, "(SELECT count(*) FROM q.job) = 2 AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "(SELECT outcome FROM q.done WHERE id = 1) = 'superseded'");
    /* Two dead twins: the first goes back. */
    assert_int_equal(q_take(db->pg, 9, 1), 2);
    it_exec(db, "SELECT q.bury(array_agg(id), 1, 'bug', 'x') FROM q.job;"
                "UPDATE q.dead SET ukey = 'K'");
    it_holds(db, "q.retry(ARRAY(SELECT id FROM q.dead ORDER BY id DESC)) = 2");
    it_holds(db, "(SELECT count(*) FROM q.job) = 1");
    q_is_sound(db);
}

/* ---- cancellation ---------------------------------------------------------------------------- */

static void cancelled_in_every_state(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(2);
    it_exec(db, "UPDATE q.job SET state = 'waiting', run_at = now() + interval '1 h' WHERE id = 2;"
                "SELECT * FROM q.take('q', 1, 7, '{k}', '{}', " Q_MIN ")");
    it_exec(db, Q_ADD("{\"lane\": \"L\"}, {\"lane\": \"L\"}"));
    assert_string_equal(states(db), "1running1,2waiting0,3ready0,4blocked0");
    it_holds(db, "q.cancel('{1,2,3,4,4,99}') = 4 AND q.cancel('{1,2,3,4}') = 0");
    assert_string_equal(states(db), "1running1");
    it_holds(db, "(SELECT cancel FROM q.job)");
    it_holds(db, "(SELECT count(*) FROM q.done WHERE outcome = 'cancelled') = 3");
    /* Done all the same, it was too late. */
    it_exec(db, "SELECT q.finish('{1}', '{1}', 7)");
    it_holds(db, "(SELECT outcome FROM q.done WHERE id = 1) = 'done'");
    q_is_sound(db);
}

/* Its owner gives the job back, or a claimer takes it, between the two looks of q.cancel. */
static void cancelled_while_its_state_changes(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(1);
    PGconn *a = q_open(db), *b = q_open(db);
    assert_int_equal(q_take(a, 1, 7), 1);
    q_do(a, "BEGIN; SELECT q.requeue('{1}', 7, '{0}', NULL, true, false)");
    q_send(b, "SELECT q.cancel('{1}')");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    int64_t n = 0;
    assert_string_equal(q_answer(b, &n), "00000");
    assert_int_equal(n, 1);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND (SELECT outcome = 'cancelled' FROM q.done)");

    it_exec(db, Q_ADD("{}"));
    q_do(a, "BEGIN");
    assert_int_equal(q_take(a, 1, 7), 1);
    q_send(b, "SELECT q.cancel(ARRAY(SELECT id FROM q.job))");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, &n), "00000");
    assert_int_equal(n, 1);
    it_holds(db, "(SELECT cancel AND state = 'running' FROM q.job)");
    /* The other way round: the flag is there when it goes back. */
    it_exec(db, "SELECT q.requeue(array_agg(id), 7, NULL, NULL, true, false) FROM q.job");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    q_is_sound(db);
}

/* ---- the fence ------------------------------------------------------------------------------- */

static void only_the_owner_of_the_attempt_ends_it(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(3);
    it_exec(db, "SELECT * FROM q.take('q', 2, 7, '{k}', '{}', " Q_MIN ")");
    static const char *const fenced[] = {
        "'{1}', '{1}', 8",        "'{1}', '{2}', 7",      "'{3}', '{0}', 7",
        "'{1,2}', '{1,2}', 7",    "'{1,99}', '{1,1}', 7", "'{1,3}', '{1,0}', 7",
        "'{1}', '{1}', NULL",     "'{3}', '{0}', NULL",   "'{1,1}', '{1,1}', 7",
        "'{1,NULL}', '{1,1}', 7", "'{1}', '{NULL}', 7",   "'{1,2}', '{1}', 7",
        "'{1,1}', '{1,2}', 7",    "'{1}', '{}', 7",
    };
    for (size_t i = 0; i < sizeof(fenced) / sizeof(fenced[0]); i++) {
        if (strcmp(it_try(db, it_format("SELECT q.finish(%s)", fenced[i])), "WM001") != 0) {
            fail_msg("q.finish(%s) was let through", fenced[i]);
        }
        assert_string_equal(states(db), "1running1,2running1,3ready0");
    }
    it_exec(db, "SELECT q.finish('{2,1}', '{1,1}', 7); SELECT q.finish('{}', '{}', 7)");
    assert_string_equal(states(db), "3ready0");
    q_is_sound(db);
}

static void nothing_is_asked_for(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(1);
    static const char *const none[] = {
        "q.finish('{}', '{}', 1, '{}')",
        "q.finish(NULL, NULL, 1)",
        "q.finish('{}', '{}', 1, NULL)",
        "q.requeue('{}', 1, '{}', NULL, false, false)",
        "q.requeue(NULL, 1, NULL, NULL, true, true)",
        "q.requeue('{1,2,NULL}', NULL, NULL, NULL, true, true)",
        "q.requeue('{1,99}', 1, '{0,0}', NULL, true, true)",
        "q.bury('{}', 1, 'bug', NULL)",
        "q.bury('{1}', 1, 'bug', NULL)",
        "q.bury(NULL, NULL, NULL, NULL)",
        "q.rescue(99, 0)",
        "q.rescue(NULL, NULL)",
        "q.retry('{}')",
        "q.retry(NULL)",
        "q.retry('{1,NULL}')",
        "q.discard('{1}')",
        "q.cancel('{}')",
        "q.cancel(NULL)",
        "q.cancel('{NULL,-1,99}')",
        "q.promote(NULL)",
        "q.promote('{nobody,NULL}')",
        "q.lock_lanes('{NULL,a,a}')",
        "q.add('[]')",
        "q.rescue_late('0')",
        "q.take('q', 0, 1, '{k}', '{}', " Q_MIN ")",
        "q.take('q', -1, 1, '{k}', '{}', " Q_MIN ")",
        "q.take('q', NULL, 1, '{k}', '{}', " Q_MIN ")",
        "q.take('q', 9, 1, '{}', '{}', " Q_MIN ")",
        "q.take('q', 9, 1, NULL, NULL, " Q_MIN ")",
        "q.take(NULL, 9, 1, '{k}', '{}', " Q_MIN ")",
        "q.take_rated('q', 0, 1, '{k}', '{}', 'r')",
        "q.take_rated('q', 9, 1, '{}', '{}', NULL)",
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        const char *sqlstate = it_try(db, it_format("SELECT %s", none[i]));
        if (strcmp(sqlstate, "00000") != 0 || strcmp(states(db), "1ready0") != 0) {
            fail_msg("%s: %s, %s", none[i], sqlstate, states(db));
        }
    }
    it_holds(db, "NOT EXISTS (SELECT FROM q.done) AND NOT EXISTS (SELECT FROM q.dead)");
}

static void duplicates_are_one(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER SEQUENCE q.job_id_seq RESTART 1");
    it_exec(db, Q_ADD("{\"ukey\": \"K\"}, {\"lane\": \"L\"}, {\"lane\": \"L\", \"ukey\": \"M\"}"));
    assert_int_equal(q_take(db->pg, 9, 1), 2);
    it_holds(db, "q.requeue('{1,1,2,1,2}', 1, '{0,0,0,0,0}', 'x', false, false) = 2");
    it_holds(db, "(SELECT string_agg(id || state::text, ',' ORDER BY id) FROM q.job) ~ "
                 "'^(1ready,2ready|2ready,3blocked|1ready,2ready,3blocked)$'");
    it_holds(db, "(SELECT count(*) FROM q.job) = 3 AND NOT EXISTS (SELECT FROM q.done)");
    assert_int_equal(q_take(db->pg, 9, 1), 2);
    it_exec(db, "SELECT q.bury('{1,1,2,2}', 1, 'bug', 'x')");
    it_holds(db, "(SELECT count(*) FROM q.dead) = 2");
    it_holds(db, "q.retry('{1,2,1,2}') = 2");
    it_holds(db, "(SELECT count(*) FROM q.job) = 3");
    q_is_sound(db);
}

static void extremes(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db,
            Q_ADD("{\"prio\": 32767, \"tenant\": -9223372036854775808},"
                  "{\"prio\": -32768, \"tenant\": 9223372036854775807},"
                  "{\"prio\": -32768, \"lane\": \"\", \"ukey\": \"\", \"timeout_s\": 2147483647}"));
    it_exec(db, "SELECT * FROM q.due('q', '{k}', (-32768)::smallint, 9223372036854775806);"
                "SELECT * FROM q.due('q', '{k}', 32767::smallint, -1)");
    it_exec(db, Q_ADD("{\"prio\": -32768, \"tenant\": 5}"));
    it_holds(db, "(SELECT fair FROM q.job WHERE tenant = 5) = 9223372036854775807");
    assert_int_equal(q_take(db->pg, 9, 1), 4);
    it_exec(db, "%s", Q_FINISH_ALL);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    it_exec(db, "SELECT q.add('[{\"queue\": \"q\", \"kind\": \"k\", \"run_at\": \"infinity\"}]');"
                "SELECT * FROM q.due('q', '{k}', 0::smallint, 0)");
    it_holds(db, "(SELECT next_ms IS NULL FROM q.due('q', '{k}', 0::smallint, 0))");
    assert_string_equal(it_try(db, "SELECT q.add('[{\"queue\": \"q\"}]')"), "23502");
    assert_string_equal(it_try(db, "SELECT q.add('[{\"queue\": \"q\", \"kind\": \"k\", \"prio\": "
                                   "40000}]')"),
                        "22003");
}

/* ---- rescue ---------------------------------------------------------------------------------- */

static void a_living_one_is_not_rescued(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(1);
    PGconn *a = q_open(db), *b = q_open(db);
    it_exec(db, "INSERT INTO q.instance (id, host, place, pid, pid_started, version, beat) "
                "OVERRIDING SYSTEM VALUE VALUES (7, '', '', 1, 1, '', 5)");
    assert_int_equal(q_take(a, 1, 7), 1);
    it_holds(db, "q.rescue(7, 4) = -1");
    /* It beats this moment. */
    q_do(a, "BEGIN; UPDATE q.instance SET beat = beat + 1 WHERE id = 7");
    q_send(b, "SELECT q.rescue(7, 5)");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    int64_t n = 0;
    assert_string_equal(q_answer(b, &n), "00000");
    assert_int_equal(n, -1);
    assert_string_equal(states(db), "1running1");
    /* Two rescuers. */
    q_do(a, "BEGIN; SELECT q.rescue(7, 6)");
    q_send(b, "SELECT q.rescue(7, 6)");
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, &n), "00000");
    assert_int_equal(n, 0);
    assert_string_equal(states(db), "1ready0");
}

static void the_late_are_taken_away_once(void **state)
{
    (void)state;
    struct it_db *db = with_jobs(4);
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "SELECT * FROM q.take('q', 4, 7, '{k}', '{60}', " Q_MIN ")");
    it_holds(db,
             "(SELECT bool_and(deadline_at BETWEEN now() + interval '50 s' AND now() + interval "
             "'60 s') FROM q.job)");
    it_holds(db, "q.rescue_late('30 s') = 0");
    it_exec(db, "UPDATE q.job SET deadline_at = now() - interval '1 min';"
                "UPDATE q.job SET attempt = 2000 WHERE id = 1;"
                "UPDATE q.job SET attempt = 2000, cancel = true WHERE id = 2;"
                "UPDATE q.job SET attempt = 2000, max_attempts = 32767 WHERE id = 3");
    /* One ends this moment: it is let go, nobody waits for it. */
    q_do(a, "BEGIN; SELECT q.finish('{4}', '{1}', 7)");
    assert_int_equal(q_i64(b, "SELECT q.rescue_late('30 s')"), 3);
    assert_int_equal(q_i64(b, "SELECT q.rescue_late('30 s')"), 0);
    q_do(a, "COMMIT");
    it_holds(db, "(SELECT string_agg(id || reason, ',') FROM q.dead) = '1attempts'");
    it_holds(db, "(SELECT string_agg(id || outcome, ',' ORDER BY id) FROM q.done) = "
                 "'2cancelled,4done'");
    assert_string_equal(states(db), "3waiting2000");
    assert_string_equal(it_try(db, "SELECT q.finish('{3}', '{2000}', 7)"), "WM001");
    q_is_sound(db);
}

/* ---- hammering ------------------------------------------------------------------------------- */

enum { OWNERS = 4, THREADS = 8 };

/* Owners finish what they claimed, in bulk, or give it back, or bury it; the same jobs in no order
 * of their own. */
static void own(struct q_thread *t)
{
    unsigned long long me = 1 + t->index;
    (void)qt_do(t, "SELECT q.take('q', 30, %llu, '{k}', '{}', " Q_MIN ")", me);
    (void)qt_do(t,
                "SELECT q.finish(array_agg(id ORDER BY random()), array_agg(attempt), %llu) FROM "
                "(SELECT * FROM q.job WHERE owner = %llu AND attempt %% 3 = 1) x HAVING count(*) > "
                "0 AND count(DISTINCT attempt) = 1",
                me, me);
    static const char *const others[] = {
        "requeue(array_agg(id ORDER BY random()), max(owner), NULL, 'x', false, false)",
        "bury(array_agg(id ORDER BY random()), max(owner), 'bug', 'x')"};
    (void)qt_do(t, "SELECT q.%s FROM q.job WHERE owner = %llu HAVING count(*) > 0",
                others[load_random(&t->chance, 2)], me);
}

/* Takes a living owner for dead. */
static void rescue(struct q_thread *t)
{
    (void)qt_do(t, "SELECT q.rescue(%llu, 0)",
                1 + (unsigned long long)load_random(&t->chance, OWNERS));
    (void)qt_do(t, "UPDATE q.job SET suspect = false WHERE id = ANY (ARRAY(SELECT id FROM q.job "
                   "WHERE suspect LIMIT 50 FOR UPDATE SKIP LOCKED))");
}

static void add(struct q_thread *t)
{
    (void)qt_do(t,
                "INSERT INTO it.added SELECT q.add((SELECT jsonb_agg(jsonb_build_object('queue', "
                "'q', 'kind', 'k', 'ukey', 'u' || (random() * 60)::int) ORDER BY random()) FROM "
                "generate_series(1, 20))) ON CONFLICT DO NOTHING");
}

static void operate(struct q_thread *t)
{
    bool cancel = load_random(&t->chance, 2);
    (void)qt_do(t,
                "SELECT q.%s(array_agg(id ORDER BY random())) FROM (SELECT id FROM %s ORDER BY "
                "random() LIMIT 9) x",
                cancel ? "cancel" : "retry", cancel ? "q.job" : "q.dead");
}

static void hammer(bool rescues)
{
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE TABLE it.added (id bigint PRIMARY KEY)");
    struct q_thread t[THREADS] = {{0}};
    for (int i = 0; i < THREADS; i++) {
        t[i].turn = i < OWNERS                   ? own
                    : i < OWNERS + 2             ? add
                    : rescues && i == OWNERS + 2 ? rescue
                                                 : operate;
        t[i].deadlocks_happen = rescues;
    }
    uint64_t deadlocks = q_threads(db, t, THREADS, load_seed(), load_chaos_ms(3));
    /* Whoever is taken for dead while he works locks rows that are no longer his before he sees it:
     * their order is anybody's then. */
    assert_true(rescues || deadlocks == 0);
    print_message("%s\n", it_text(db, "SELECT string_agg(n || ' ' || outcome, ', ') FROM (SELECT "
                                      "count(*) AS n, outcome FROM q.done GROUP BY 2) x"));
    q_is_sound(db);
    it_holds(db, "NOT EXISTS (SELECT id FROM it.added EXCEPT (SELECT id FROM q.done UNION SELECT "
                 "id FROM q.dead UNION SELECT id FROM q.job))");
    it_holds(db, "NOT EXISTS (SELECT FROM q.done WHERE id NOT IN (SELECT id FROM it.added))");
}

static void hammered(void **state)
{
    (void)state;
    hammer(false);
}

static void hammered_with_false_rescues(void **state)
{
    (void)state;
    hammer(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        Q_TEST(a_queued_twin_waits_for_who_joined_it),
        Q_TEST(a_claimed_twin_gets_a_successor),
        Q_TEST(an_activity_changed_in_a_long_transaction_is_matched),
        Q_TEST(two_of_one_call_are_one),
        Q_TEST(put_back_beside_a_twin_it_is_superseded),
        Q_TEST(put_back_under_an_old_snapshot),
        Q_TEST(a_dead_one_retried_beside_its_twin),
        Q_TEST(cancelled_in_every_state),
        Q_TEST(cancelled_while_its_state_changes),
        Q_TEST(only_the_owner_of_the_attempt_ends_it),
        Q_TEST(nothing_is_asked_for),
        Q_TEST(duplicates_are_one),
        Q_TEST(extremes),
        Q_TEST(a_living_one_is_not_rescued),
        Q_TEST(the_late_are_taken_away_once),
        Q_TEST(hammered),
        Q_TEST(hammered_with_false_rescues),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
