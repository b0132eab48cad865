/* Programs of more than one version at work on one database: one that knows less, one whose schema
 * is older, and the worker that was there before us. */
#include "chaos/chaos.h"

/* ---- 37 ------------------------------------------------------------------------------------ */

#define UNKNOWN                                                                                    \
    "kind IN ('chain', 'fail') AND (state <> 'ready' OR attempt <> 0 OR owner IS NOT NULL)"

/* One that knows two kinds beside one that knows all. What it does not know comes first in its
 * queue, heads its lanes and falls to it when the other is killed: it does its own, and leaves that
 * as it was. */
static void n37_one_that_knows_less(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    const char *const *args = IT_LIST("--batch", "8", "--batch-max", "4", "--kinds", "noop,effect");
    struct it_proc *old = chaos_worker(db, NULL, args);
    it_exec(db, "SELECT chaos.add('chain', 12, '{\"prio\": -5, \"payload\": {\"ms\": 300}}');"
                "SELECT chaos.add('fail', 4, '{\"prio\": -5}');"
                "SELECT chaos.add('chain', 1, '{\"lanes\": 1}');"
                "SELECT chaos.add('effect', 1, '{\"lanes\": 1}');"
                "SELECT chaos.add('effect', 60); SELECT chaos.add('noop', 10)");
    assert_true(it_eventually(db, END_MS, "SELECT count(*) = 70 FROM q.done") >= 0);
    it_pause_ms(1000); /* five polls */
    it_holds(db, "18 = (SELECT count(*) FROM q.job) AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE " UNKNOWN ")");
    it_holds(db, "(SELECT state = 'blocked' FROM q.job WHERE kind = 'effect')");
    /* The new one, killed while it does what only it knows; the old one clears up. */
    struct it_proc *new = chaos_worker(db, NULL, IT_LIST("--batch", "8", "--batch-max", "4"));
    int64_t owner = chaos_owner(db, new);
    assert_true(it_eventually(db, END_MS,
                              it_format("SELECT count(*) > 3 FROM q.job WHERE kind ="
                                        " 'chain' AND owner = %lld",
                                        (long long)owner)) >= 0);
    it_signal(new, SIGKILL);
    (void)chaos_taken_over(db, owner, chaos_died(new, SIGKILL), TAKEN_MS);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE suspect AND kind = 'chain')");
    /* Some of its own had a part in that, too. */
    it_exec(db, "SELECT chaos.add('effect', 20); UPDATE q.job SET suspect = true"
                " WHERE kind = 'effect' AND state = 'ready' AND id %% 4 = 0");
    assert_true(it_eventually(db, END_MS,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind = 'effect'"
                              " AND state <> 'blocked')") >= 0);
    it_pause_ms(1000);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE " UNKNOWN " AND last_error IS NULL)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE attempt > 1 OR state = 'running')");
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    /* And the next new one does all of it. */
    new = chaos_worker(db, NULL, IT_LIST("--batch", "8", "--batch-max", "4"));
    history_ends(db, END_MS);
    struct it_result r = chaos_stop(old);
    assert_int_equal(chaos_count(&r, "buried="), 0);
    assert_int_equal(chaos_count(&r, "retried="), 0);
    (void)chaos_stop(new);
    it_holds(db, "NOT EXISTS (SELECT FROM q.done WHERE kind IN ('chain', 'fail') AND owner ="
                 " (SELECT min(owner) FROM q.done))");
    it_holds(db, "NOT EXISTS (SELECT FROM q.done WHERE kind <> 'fail' AND attempt <> 1)");
}

/* A newer version has migrated the database: who runs goes on, until it is told to stop; who starts
 * says what to do, and touches nothing. */
static void n37_a_newer_schema(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *running = it_serve(db, NULL);
    it_exec(db, "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, 'x', 'x')");
    for (int i = 0; i < 2; i++) {
        static const char *const command[] = {"serve", "process"};
        for (int k = 0; k < 2; k++) {
            struct it_result r = it_run(db, NULL, IT_LIST(command[k]));
            assert_int_equal(r.status, 78);
            assert_non_null(strstr(r.err, "upgrade waymark"));
        }
        it_holds(db, "1 = (SELECT count(*) FROM q.instance)");
        if (i == 0)
            load_history(db, 40);
        else
            it_exec(db, "UPDATE activities SET summary_track = it.way(0.1, 0.4, 70)"
                        " WHERE id %% 3 = 0");
        assert_true(it_eventually(db, END_MS,
                                  "SELECT NOT EXISTS (SELECT FROM q.job) AND EXISTS"
                                  " (SELECT FROM q.done)") >= 0);
    }
    int64_t beat = it_i64(db, "SELECT beat FROM q.instance");
    assert_true(it_eventually(db, END_MS,
                              it_format("SELECT beat > %lld FROM q.instance", (long long)beat)) >=
                0);
    (void)it_serve_stop(running);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead) AND NOT EXISTS (SELECT FROM q.done WHERE attempt"
                 " > 1)");
    it_exec(db, "DELETE FROM schema_migration WHERE version = 9999");
    load_is_done(db);
    it_same_as_recomputed(db);
}

/* ---- 38 ------------------------------------------------------------------------------------ */

/* As the worker before us claims: the oldest pairs that nobody has begun. */
static const char claim[] =
    "UPDATE processing SET processing_started_at = now() WHERE processing.id = ANY (SELECT p.id"
    " FROM processing p WHERE p.processing_started_at IS NULL ORDER BY p.created_at LIMIT 10"
    " FOR UPDATE SKIP LOCKED) RETURNING processing.id, processing.activity_id";

/* What it writes in one transaction for pairs that it had claimed before the upgrade, and how that
 * ends. */
static const char results[] =
    "BEGIN; DELETE FROM relevant_activities WHERE activity_id = 3;"
    "INSERT INTO relevant_activities (activity_id, route_id, relevant) SELECT 3, id, true"
    " FROM routes ON CONFLICT DO NOTHING;"
    "INSERT INTO intersections (activity_id, route_id, intersection_track)"
    " SELECT 3, id, track FROM routes;"
    "INSERT INTO route_sections (activity_id, route_id, section_track)"
    " SELECT 3, id, track FROM routes;"
    "INSERT INTO route_stats (athlete_id, route_id, covered_length) SELECT h.id, r.id, 12"
    " FROM athletes h CROSS JOIN routes r ON CONFLICT (athlete_id, route_id)"
    " DO UPDATE SET covered_length = excluded.covered_length;"
    "UPDATE processing SET processed = true WHERE activity_id = 3; COMMIT";

/* A view that is made of other tables cannot be updated: it is told so, at once. Before that it may
 * be the victim of a deadlock with us, after which it tries again. */
static void is_told(struct it_db *db, const char *sql, const char *what)
{
    PGresult *res = PQexec(db->pg, sql);
    for (int i = 0; i < 10; i++) {
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        if (state == NULL || strcmp(state, "40P01") != 0)
            break;
        PQclear(res);
        PQclear(PQexec(db->pg, "ROLLBACK"));
        res = PQexec(db->pg, sql);
    }
    const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE),
               *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (code == NULL || (strcmp(code, "55000") != 0 && strcmp(code, "0A000") != 0))
        fail_msg("%s: %s", what, code != NULL ? PQresultErrorMessage(res) : "let through");
    if (strstr(text, "processing") == NULL && strstr(text, "FOR UPDATE") == NULL)
        fail_msg("%s: %s", what, text);
    PQclear(res);
    PQclear(PQexec(db->pg, "ROLLBACK"));
}

/* Both at work: the old one gets nothing to do, and nothing that it does holds. */
static void n38_the_worker_before_us(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    load_history(db, 60);
    it_exec(db, "SET statement_timeout = '10s'");
    struct it_proc *ours = it_serve(db, IT_LIST("PROCESSOR_BATCH_SIZE=2"));
    int turns = 0;
    while (it_i64(db, "SELECT count(*) FROM q.job") > 0 || turns < 20) {
        is_told(db, claim, "its claim");
        is_told(db, results, "its results");
        if (turns == 10)
            it_exec(db, "DELETE FROM activities WHERE id %% 9 = 0");
        if (turns == 15)
            it_exec(db, "UPDATE activities SET athlete_id = 3 - athlete_id WHERE id %% 4 = 0");
        turns++;
    }
    print_message("38: it asked %d times\n", turns);
    assert_true(it_eventually(db, END_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    struct it_result r = it_serve_stop(ours);
    assert_null(strstr(r.err, "level=error"));
    load_is_done(db);
    it_same_as_recomputed(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(n37_one_that_knows_less),
        IT_TEST(n37_a_newer_schema),
        IT_TEST(n38_the_worker_before_us),
    };
    return cmocka_run_group_tests(tests, it_up_large, it_down);
}
