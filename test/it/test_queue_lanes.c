/* Lanes: one job after the other, in order of id, whatever ends them and whoever adds meanwhile. */
#include "it/queue.h"

#define LANE(n) "{\"lane\": \"" n "\"}"

/* "ready,blocked": the states of a lane in order of id. */
static const char *lane_states(struct it_db *db, const char *lane)
{
    return it_text(db,
                   "SELECT coalesce(string_agg(state::text, ',' ORDER BY id), '') FROM q.job WHERE "
                   "lane = '%s'",
                   lane);
}

static void assert_lane(struct it_db *db, const char *states)
{
    assert_string_equal(lane_states(db, "L"), states);
}

/* A lane of n jobs with ids 1..n, the first of which runs as owner 1. */
static struct it_db *with_lane(int n)
{
    struct it_db *db = it_db_new();
    it_exec(db, "ALTER SEQUENCE q.job_id_seq RESTART 1");
    for (int i = 0; i < n; i++) {
        it_exec(db, Q_ADD(LANE("L")));
    }
    assert_int_equal(q_take(db->pg, 9, 1), 1);
    return db;
}

/* ---- whatever ends the head ------------------------------------------------------------------ */

static const struct end {
    const char *name, *sql, *states;
} ends[] = {
    {"finished", "SELECT q.finish('{1}', '{1}', 1, '{L}')", "ready,blocked"},
    {"dead", "SELECT q.bury('{1}', 1, 'permanent', 'x')", "ready,blocked"},
    {"dead of its attempts",
     "UPDATE q.job SET deadline_at = now() - interval '1 h', attempt = 8 WHERE id = 1;"
     "SELECT q.rescue_late('1 min')",
     "ready,blocked"},
    {"cancelled while it ran, put back",
     "SELECT q.cancel('{1}'); SELECT q.requeue('{1}', 1, '{0}', NULL, false, false)",
     "ready,blocked"},
    {"superseded",
     "UPDATE q.job SET ukey = 'K' WHERE id = 1; INSERT INTO q.job (queue, kind, ukey) VALUES ('o', "
     "'k', 'K'); SELECT q.requeue('{1}', 1, '{0}', NULL, false, false)",
     "ready,blocked"},
    {"superseded by one behind it",
     "UPDATE q.job SET ukey = 'K' WHERE id IN (1, 3);"
     "SELECT q.requeue('{1}', 1, '{5}', NULL, false, false)",
     "ready,blocked"},
    {"rescued", "SELECT q.rescue(1, 0)", "ready,blocked,blocked"},
    {"put back with a delay", "SELECT q.requeue('{1}', 1, '{60}', 'x', false, false)",
     "waiting,blocked,blocked"},
    {"late",
     "UPDATE q.job SET deadline_at = now() - interval '1 h' WHERE id = 1;"
     "SELECT q.rescue_late('1 min')",
     "waiting,blocked,blocked"},
    {"buried by its tenth crash",
     "UPDATE q.job SET crashes = 9 WHERE id = 1; SELECT q.rescue(1, 0)", "ready,blocked"},
    {"put back and cancelled",
     "SELECT q.requeue('{1}', 1, '{60}', 'x', false, false); SELECT q.cancel('{1}')",
     "ready,blocked"},
    {"cancelled with the next one", "SELECT q.cancel('{2,1}'); SELECT q.cancel('{2,1}')",
     "running,blocked"},
};

static void the_next_goes_on_after(void **state)
{
    const struct end *e = *state;
    struct it_db *db = with_lane(3);
    it_script(db, e->sql);
    assert_lane(db, e->states);
    it_holds(db, "(SELECT bool_and(owner IS NULL) FROM q.job WHERE state <> 'running')");
    q_is_sound(db);
}

/* ---- halt ------------------------------------------------------------------------------------ */

static struct it_db *with_halted_lane(void)
{
    struct it_db *db = with_lane(3);
    it_exec(db, "UPDATE q.job SET halt = true WHERE id = 1; SELECT q.bury('{1}', 1, 'bug', 'x')");
    assert_lane(db, "blocked,blocked");
    it_exec(db, Q_ADD(LANE("L") ", " LANE("M")));
    assert_lane(db, "blocked,blocked,blocked");
    assert_string_equal(lane_states(db, "M"), "ready");
    q_is_sound(db);
    it_holds(db, "(SELECT lane || job FROM q.halted) = 'L1'");
    return db;
}

static void a_retry_ends_the_halt_in_order(void **state)
{
    (void)state;
    struct it_db *db = with_halted_lane();
    it_holds(db, "q.retry('{1}') = 1");
    assert_lane(db, "ready,blocked,blocked,blocked");
    it_holds(db, "(SELECT id FROM q.job WHERE lane = 'L' AND state = 'ready') = 1");
    it_holds(db, "(SELECT attempt = 1 AND max_attempts = 9 AND halt FROM q.job WHERE id = 1)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.halted) AND NOT EXISTS (SELECT FROM q.dead)");
    q_is_sound(db);
}

static void discarding_ends_the_halt(void **state)
{
    (void)state;
    struct it_db *db = with_halted_lane();
    it_holds(db, "q.discard('{1,77}') = 1");
    assert_lane(db, "ready,blocked,blocked");
    it_holds(db, "NOT EXISTS (SELECT FROM q.halted) AND NOT EXISTS (SELECT FROM q.dead)");
    q_is_sound(db);
}

static void blocked_ones_of_a_halted_lane_can_be_cancelled(void **state)
{
    (void)state;
    struct it_db *db = with_halted_lane();
    it_holds(db, "q.cancel('{2,3}') = 2");
    assert_lane(db, "blocked");
    it_holds(db, "q.retry('{1}') = 1");
    assert_lane(db, "ready,blocked");
}

/* ---- order ----------------------------------------------------------------------------------- */

static void ids_rise_as_given(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, Q_ADD("{\"lane\": \"L\", \"ukey\": \"c\", \"payload\": {\"n\": 1}},"
                      "{\"lane\": \"L\", \"payload\": {\"n\": 2}},"
                      "{\"lane\": \"L\", \"ukey\": \"a\", \"tenant\": -7, \"payload\": {\"n\": 3}},"
                      "{\"lane\": \"L\", \"ukey\": \"b\", \"prio\": -5, \"payload\": {\"n\": 4}}"));
    it_holds(db, "(SELECT array_agg((payload->>'n')::int ORDER BY id) FROM q.job) = '{1,2,3,4}'");
    assert_lane(db, "ready,blocked,blocked,blocked");
}

/* Put back after others have overtaken it, it is the next. */
static void a_retry_keeps_the_order(void **state)
{
    (void)state;
    struct it_db *db = with_lane(4);
    it_exec(db, "SELECT q.bury('{1}', 1, 'attempts', 'x')");
    assert_int_equal(q_take(db->pg, 9, 1), 1);
    it_holds(db, "q.retry('{1}') = 1");
    assert_lane(db, "blocked,running,blocked,blocked");
    it_exec(db, Q_FINISH_ALL);
    assert_lane(db, "ready,blocked,blocked");
    it_holds(db, "(SELECT id FROM q.job WHERE state = 'ready') = 1");
    q_is_sound(db);
}

static void a_delayed_one_holds_its_lane(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'q', 'kind', 'k', "
                "'lane', 'L', 'run_at', now() + interval '1 h'), jsonb_build_object('queue', 'q', "
                "'kind', 'k', 'lane', 'L')))");
    assert_lane(db, "waiting,blocked");
    assert_int_equal(q_take(db->pg, 9, 1), 0);
    it_exec(db, "UPDATE q.job SET run_at = now() WHERE state = 'waiting'; SELECT * FROM q.due('q', "
                "'{k}', 0::smallint, 0)");
    assert_lane(db, "ready,blocked");
}

/* ---- at the same time ------------------------------------------------------------------------ */

static void adding_waits_for_the_end_of_the_head(void **state)
{
    (void)state;
    struct it_db *db = with_lane(1);
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN; SELECT q.finish('{1}', '{1}', 1, '{L}')");
    q_send(b, Q_ADD(LANE("L")));
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    assert_lane(db, "ready"); /* and not blocked behind one that is gone */
}

static void the_end_of_the_head_waits_for_adding(void **state)
{
    (void)state;
    struct it_db *db = with_lane(1);
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(b, "BEGIN; " Q_ADD(LANE("L")));
    q_send(a, "SELECT q.finish('{1}', '{1}', 1, '{L}')");
    assert_true(q_waits(db, a));
    q_do(b, "COMMIT");
    assert_string_equal(q_answer(a, NULL), "00000");
    assert_lane(db, "ready");
    /* And when it was undone. */
    it_exec(db, "SELECT * FROM q.take('q', 9, 1, '{k}', '{}', " Q_MIN ")");
    q_do(b, "BEGIN; " Q_ADD(LANE("L")));
    q_send(a, "%s", Q_FINISH_ALL);
    assert_true(q_waits(db, a));
    q_do(b, "ROLLBACK");
    assert_string_equal(q_answer(a, NULL), "00000");
    assert_lane(db, "");
    q_is_sound(db);
}

static void a_first_job_is_added_twice_at_once(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN; " Q_ADD(LANE("L")));
    q_send(b, Q_ADD(LANE("L")));
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    assert_lane(db, "ready,blocked");
}

/* In opposite orders, which one call puts right. */
static void several_lanes_are_locked_in_one_order(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    PGconn *a = q_open(db), *b = q_open(db);
    q_do(a, "BEGIN; " Q_ADD(LANE("A") ", " LANE("B") ", " LANE("C")));
    q_send(b, Q_ADD(LANE("C") ", " LANE("B") ", " LANE("A")));
    assert_true(q_waits(db, b));
    q_do(a, "COMMIT");
    assert_string_equal(q_answer(b, NULL), "00000");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'blocked') = 3");
}

static void lanes_of_one_hash(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "CREATE TABLE it.twin AS SELECT min(l) AS a, max(l) AS b FROM (SELECT 'lane' || g "
                "AS l FROM generate_series(1, 400000) g) x GROUP BY hashtext(l) HAVING count(*) > "
                "1 LIMIT 1");
    it_holds(db, "(SELECT hashtext(a) = hashtext(b) AND a <> b FROM it.twin)");
    for (int i = 0; i < 2; i++) {
        it_exec(db, "SELECT q.add(jsonb_build_array(jsonb_build_object('queue', 'q', 'kind', 'k', "
                    "'lane', a), jsonb_build_object('queue', 'q', 'kind', 'k', 'lane', b))) FROM "
                    "it.twin");
    }
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 2");
    assert_int_equal(q_take(db->pg, 9, 1), 2);
    it_exec(db, "SELECT q.finish(ARRAY[id], ARRAY[1], 1, ARRAY[lane]) FROM q.job, it.twin WHERE "
                "state = 'running' AND lane = a");
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 1");
    q_is_sound(db);
}

/* ---- hammering ------------------------------------------------------------------------------- */

enum { LANES = 7, THREADS = 8 };

static void add_some(struct q_thread *t)
{
    char jobs[1024] = "";
    unsigned n = 1 + (unsigned)load_random(&t->chance, 3);
    for (unsigned i = 0; i < n; i++) {
        size_t at = strlen(jobs);
        snprintf(jobs + at, sizeof(jobs) - at,
                 "%s{\"queue\": \"q\", \"kind\": \"k\", \"lane\": \"l%llu\", \"halt\": %s, "
                 "\"ukey\": %s%llu%s, \"tenant\": %llu}",
                 i ? ", " : "", (unsigned long long)load_random(&t->chance, LANES),
                 load_random(&t->chance, 8) ? "false" : "true",
                 load_random(&t->chance, 3) ? "null, \"ignored\": \"" : "\"u",
                 (unsigned long long)load_random(&t->chance, 20), "\"",
                 (unsigned long long)load_random(&t->chance, 3));
    }
    (void)qt_do(t, "INSERT INTO it.added SELECT a FROM q.add('[%s]') a ON CONFLICT DO NOTHING",
                jobs);
}

/* The fence with what the claim told, as an instance has it, and what they did, written down. */
static void finish_claimed(struct q_thread *t, PGresult *claimed, unsigned long long me)
{
    char ids[256] = "", attempts[256] = "", lanes[256] = "";
    for (int i = 0; i < PQntuples(claimed); i++) {
        size_t a = strlen(ids), b = strlen(attempts), c = strlen(lanes);
        const char *comma = i ? "," : "";
        snprintf(ids + a, sizeof(ids) - a, "%s%s", comma, PQgetvalue(claimed, i, 0));
        snprintf(attempts + b, sizeof(attempts) - b, "%s%s", comma, PQgetvalue(claimed, i, 4));
        snprintf(lanes + c, sizeof(lanes) - c, "%s%s", comma, PQgetvalue(claimed, i, 9));
    }
    (void)qt_do(t,
                "BEGIN; SELECT q.finish('{%s}', '{%s}', %llu, '{%s}'); INSERT INTO it.effect "
                "(job, attempt, lane) SELECT * FROM unnest('{%s}'::bigint[], '{%s}'::int[], "
                "'{%s}'::text[]) ORDER BY 1; COMMIT",
                ids, attempts, me, lanes, ids, attempts, lanes);
}

/* Takes some and ends them in one of the ways there are. What another took away stays with us until
 * a later turn. */
static void work_some(struct q_thread *t)
{
    unsigned long long me = 1000 + t->index, n = 1 + load_random(&t->chance, 4);
    char ids[128];
    snprintf(ids, sizeof(ids), "(SELECT array_agg(id ORDER BY id) FROM q.job WHERE owner = %llu)",
             me);
    switch (load_random(&t->chance, 10)) {
    case 0:
        (void)qt_do(t, "SELECT q.requeue(%s, %llu, ARRAY[0], 'again', false, false)", ids, me);
        return;
    case 1:
        (void)qt_do(t, "SELECT q.bury(%s, %llu, 'bug', 'dead')", ids, me);
        return;
    case 2:
        (void)qt_do(t, "SELECT q.rescue(%llu, 0)", me);
        return;
    default:
        break;
    }
    PGresult *claimed =
        qt_ask(t, "SELECT * FROM q.take('q', %llu, %llu, '{k}', '{60}', " Q_MIN ")", n, me);
    if (claimed && PQntuples(claimed) > 0 && load_random(&t->chance, 4)) {
        finish_claimed(t, claimed, me);
    }
    PQclear(claimed);
}

static void disturb(struct q_thread *t)
{
    static const char some[] = "(SELECT array_agg(id) FROM (SELECT id FROM %s ORDER BY random() "
                               "LIMIT %d) x)";
    char ids[128];
    switch (load_random(&t->chance, 5)) {
    case 0:
        snprintf(ids, sizeof(ids), some, "q.job", 4);
        (void)qt_do(t, "SELECT q.cancel(%s)", ids);
        break;
    case 1:
        snprintf(ids, sizeof(ids), some, "q.dead", 9);
        (void)qt_do(t, "SELECT q.retry(%s)", ids);
        break;
    case 2:
        snprintf(ids, sizeof(ids), some, "q.dead", 1);
        (void)qt_do(t,
                    "WITH d AS (SELECT %s AS ids), n AS (INSERT INTO it.thrown SELECT unnest("
                    "ids) FROM d ON CONFLICT DO NOTHING) SELECT q.discard(ids) FROM d",
                    ids);
        break;
    case 3: /* somebody took a working owner for dead */
        (void)qt_do(t, "SELECT q.rescue(%llu, 0)",
                    1000 + (unsigned long long)load_random(&t->chance, THREADS));
        break;
    default: /* and whoever is suspected is cleared */
        (void)qt_do(t, "SELECT * FROM q.due('q', '{k}', 0::smallint, 0); UPDATE q.job SET suspect "
                       "= false WHERE id = ANY (ARRAY(SELECT id FROM q.job WHERE suspect LIMIT 9 "
                       "FOR UPDATE SKIP LOCKED))");
    }
}

static void turn(struct q_thread *t)
{
    if (t->index < 2) {
        add_some(t);
    } else if (t->index < 6) {
        work_some(t);
    } else {
        disturb(t);
    }
}

static void drain(struct it_db *db)
{
    for (int i = 0; i < 5000; i++) {
        it_exec(db, "UPDATE q.job SET suspect = false WHERE suspect;"
                    "SELECT q.rescue(owner, 0) FROM q.job WHERE owner IS NOT NULL;"
                    "UPDATE q.job SET suspect = false WHERE suspect;"
                    "INSERT INTO it.thrown SELECT id FROM q.dead WHERE halt ON CONFLICT DO NOTHING;"
                    "SELECT q.discard(ARRAY(SELECT id FROM q.dead WHERE halt))");
        if (q_take(db->pg, 1000, 1) == 0) {
            break;
        }
        it_exec(db, "%s", Q_FINISH_ALL);
    }
}

static void hammered(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db,
            "CREATE TABLE it.added (id bigint PRIMARY KEY);"
            "CREATE TABLE it.thrown (id bigint PRIMARY KEY);"
            "CREATE TABLE it.effect (n bigserial, job bigint PRIMARY KEY, attempt int, lane text)");
    struct q_thread t[THREADS] = {{0}};
    for (int i = 0; i < THREADS; i++) {
        t[i].turn = turn;
    }
    assert_int_equal(q_threads(db, t, THREADS, load_seed(), load_chaos_ms(4)), 0);
    print_message("%lld jobs, %lld finished\n",
                  (long long)it_i64(db, "SELECT count(*) FROM it.added"),
                  (long long)it_i64(db, "SELECT count(*) FROM it.effect"));
    q_is_sound(db);
    /* Retried ones may come after later ones; the others are in order. */
    it_holds(db, "NOT EXISTS (SELECT FROM it.effect a JOIN it.effect b ON a.lane = b.lane AND a.n "
                 "< b.n AND a.job > b.job WHERE b.attempt = 1)");
    it_holds(db, "NOT EXISTS (SELECT FROM it.effect WHERE job NOT IN (SELECT id FROM q.done WHERE "
                 "outcome = 'done'))");
    it_holds(db, "NOT EXISTS (SELECT FROM q.halted h WHERE NOT EXISTS (SELECT FROM q.dead d WHERE "
                 "d.id = h.job))");
    (void)q_take(db->pg, 1000, 1);
    it_exec(db, "SELECT q.bury(ARRAY(SELECT id FROM q.job WHERE owner = 1 AND halt), 1, 'bug', "
                "'dead')");
    drain(db);
    q_is_sound(db);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job)");
    it_holds(db, "NOT EXISTS (SELECT id FROM it.added EXCEPT (SELECT id FROM q.done UNION SELECT "
                 "id FROM q.dead UNION SELECT id FROM it.thrown))");
}

int main(void)
{
    struct CMUnitTest tests[64] = {
        Q_TEST(a_retry_ends_the_halt_in_order),
        Q_TEST(discarding_ends_the_halt),
        Q_TEST(blocked_ones_of_a_halted_lane_can_be_cancelled),
        Q_TEST(ids_rise_as_given),
        Q_TEST(a_retry_keeps_the_order),
        Q_TEST(a_delayed_one_holds_its_lane),
        Q_TEST(adding_waits_for_the_end_of_the_head),
        Q_TEST(the_end_of_the_head_waits_for_adding),
        Q_TEST(a_first_job_is_added_twice_at_once),
        Q_TEST(several_lanes_are_locked_in_one_order),
        Q_TEST(lanes_of_one_hash),
        Q_TEST(hammered),
    };
    size_t n = 12;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        tests[n++] = (struct CMUnitTest){ends[i].name, the_next_goes_on_after, NULL, q_after,
                                         (void *)(uintptr_t)&ends[i]};
    }
    return _cmocka_run_group_tests("lanes", tests, n, it_up, it_down);
}
