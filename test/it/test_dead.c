/* What failed for good: it is told, and done again when it changed or when somebody asks. */
#include "it/it.h"

static const char old_letter[] = "failed for good before";

/* A processed scene in which the match of activity 4 cannot be done, whatever is tried. */
static struct it_db *with_dead_letter(void)
{
    struct it_db *db = it_db_scene();
    it_exec(db, "UPDATE activities SET summary_track = it.way(0.2, 0.5, 60) WHERE id = 4;"
                "UPDATE q.job SET payload = '{}' WHERE ukey = 'match:4'");
    struct it_result r = it_must(db, NULL, IT_LIST("process"), 1);
    assert_non_null(strstr(r.err, "1 job failed for good"));
    assert_non_null(strstr(r.err, "--retry-dead"));
    it_holds(db, "(SELECT ukey FROM q.dead) = 'match:4' AND NOT EXISTS (SELECT FROM q.job)");
    return db;
}

static void an_old_one_is_told_and_is_no_failure(void **state)
{
    (void)state;
    struct it_db *db = with_dead_letter();
    struct it_result r = it_must(db, NULL, IT_LIST("process"), 0);
    assert_non_null(strstr(r.err, old_letter));
    assert_non_null(strstr(r.err, "--retry-dead"));
    it_exec(db, "TRUNCATE q.dead");
    r = it_must(db, NULL, IT_LIST("process"), 0);
    assert_null(strstr(r.err, old_letter));
}

static void a_change_takes_it_back(void **state)
{
    (void)state;
    struct it_db *db = with_dead_letter();
    it_exec(db, "UPDATE activities SET summary_track = it.way(0.2, 0.6, 60) WHERE id = 4");
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_process(db);
    it_same_as_recomputed(db);

    it_exec(db, "INSERT INTO q.dead SELECT n, 'trails', k, 0, 1, 8, 0, u, 1, '{}', NULL, now(), "
                "'bug', now() FROM (VALUES (-1, 'route', 'route:north'), (-2, 'stats', 'stats:2'), "
                "(-3, 'page', 'page:north:0'), (-4, 'page', 'page:ring:0')) v(n, k, u)");
    it_exec(db, "INSERT INTO route_pages SELECT id, 0, revision, '{1}' FROM routes WHERE id = "
                "'north'");
    it_exec(db, "DELETE FROM activities WHERE athlete_id = 2;"
                "UPDATE routes SET tolerance_m = 41 WHERE id = 'north'");
    it_must(db, NULL, IT_LIST("process"), 0);
    it_holds(db, "(SELECT array_agg(id) FROM q.dead) = '{-4}'");
}

static void all_are_tried_again_when_asked(void **state)
{
    (void)state;
    struct it_db *db = with_dead_letter();
    it_exec(db, "UPDATE q.dead SET payload = '{\"activity\": 4}', crashes = 3;"
                "INSERT INTO q.dead SELECT -id, queue, kind, prio, attempt, max_attempts, crashes, "
                "ukey, tenant, payload, last_error, created_at, 'crashes' FROM q.dead");
    it_must(db, NULL, IT_LIST("process", "--retry-dead"), 0);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead) AND NOT EXISTS (SELECT FROM q.job)");
    it_same_as_recomputed(db);
    it_must(db, NULL, IT_LIST("process", "--retry-dead"), 0);
}

static void what_others_do_is_not_waited_for(void **state)
{
    (void)state;
    struct it_db *db = it_db_again();
    it_exec(db, "INSERT INTO q.job (queue, kind) VALUES ('other', 'match'), ('trails', 'unheard')");
    assert_null(strstr(it_must(db, NULL, IT_LIST("process"), 0).err, old_letter));
    it_holds(db, "(SELECT count(*) FROM q.job WHERE state = 'ready') = 2");
    assert_non_null(strstr(it_must(db, NULL, IT_LIST("status"), 0).out, "unheard"));
    it_exec(db, "DELETE FROM q.job");
}

static void a_rescue_spends_no_attempt(void **state)
{
    (void)state;
    struct it_db *db = it_db_again();
    it_exec(db, "INSERT INTO q.job (queue, kind, state, attempt, owner) "
                "SELECT 'other', 'x', 'running', n, 999 FROM generate_series(1, 8) n");
    it_holds(db, "q.rescue(999, 0) = 8");
    it_holds(db, "(SELECT array_agg(attempt ORDER BY id) FROM q.job) = '{0,1,2,3,4,5,6,7}'");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE NOT suspect OR state <> 'ready')");
    /* Whoever was taken for dead comes back with the attempt that the next owner has too. */
    it_exec(db, "UPDATE q.job SET state = 'running', attempt = attempt + 1, owner = 1000");
    assert_string_equal(it_try(db, "SELECT q.finish(array_agg(id), array_agg(attempt), 999) "
                                   "FROM q.job"),
                        "WM001");
    it_exec(db, "DELETE FROM q.job");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(an_old_one_is_told_and_is_no_failure), IT_TEST(a_change_takes_it_back),
        IT_TEST(all_are_tried_again_when_asked),       IT_TEST(what_others_do_is_not_waited_for),
        IT_TEST(a_rescue_spends_no_attempt),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
