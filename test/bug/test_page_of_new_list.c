/* A job of a page whose route had changed found no page and then, in the next statement, deleted
 * the page of the same number that the route's new list had put there meanwhile: up to a page of
 * activities lost their credit on that route, with nothing left to do. */
#include "it/it.h"

/* Time to get in between the first look at the page and what is done about it. */
static const char slow_down[] =
    "DO $$ BEGIN EXECUTE regexp_replace(pg_get_functiondef("
    "'waymark_page_done(text, integer, bigint, bigint[])'::regprocedure),"
    "'THEN', 'THEN PERFORM pg_sleep(0.5);'); END $$";

static void a_page_listed_meanwhile_stays(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, slow_down);
    const char *revision = it_text(db, "SELECT revision FROM routes WHERE id = 'north'");
    PGconn *job = PQconnectdb(db->url);
    assert_int_equal(PQstatus(job), CONNECTION_OK);
    const char *sql = it_format("SELECT waymark_page_done('north', 0, %s, '{}')", revision);
    assert_int_equal(PQsendQuery(job, sql), 1);
    assert_true(it_eventually(db, 5000,
                              "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event ="
                              " 'PgSleep')") >= 0);
    it_exec(db, "INSERT INTO route_pages (route_id, page, revision, activity_ids)"
                " SELECT 'north', 0, revision, '{1,2,3}' FROM routes WHERE id = 'north'");
    PGresult *res = PQgetResult(job);
    assert_int_equal(PQresultStatus(res), PGRES_TUPLES_OK);
    PQclear(res);
    PQfinish(job);
    it_holds(db, "EXISTS (SELECT FROM route_pages WHERE activity_ids = '{1,2,3}')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(a_page_listed_meanwhile_stays)};
    return cmocka_run_group_tests(tests, it_up, it_down);
}
