/* The server is lost, and its standby, which has not heard of the last second, takes its place. */
#include "chaos/chaos.h"

static int64_t finished(struct it_db *db)
{
    return it_i64(db, "SELECT count(*) FROM q.done");
}

static void move_to(struct it_db *db, struct pg_cluster *c)
{
    PQfinish(db->pg);
    (void)snprintf(db->url, sizeof(db->url), "%s", pg_cluster_url(c, db->name));
    db->pg = PQconnectdb(db->url);
    assert_int_equal(PQstatus(db->pg), CONNECTION_OK);
}

static bool caught_up(struct it_db *db, struct pg_cluster *standby)
{
    return pg_cluster_i64(standby, "postgres",
                          it_format("SELECT (pg_last_wal_replay_lsn() >= '%s')::int",
                                    it_text(db, "SELECT pg_current_wal_lsn()"))) == 1;
}

/* 14, 15 */
static void n14_standby_takes_over(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct proxy *stream = proxy_start(pg_cluster_dir(it_cluster()));
    struct proxy *way = proxy_start(pg_cluster_dir(it_cluster()));
    char url[256];
    struct pg_cluster *standby =
        pg_cluster_standby(proxy_url(stream, "postgres", "standby", url, sizeof(url)), 300);
    struct it_proc *p = chaos_worker_by(way, db, NULL, IT_LIST("--batch", "8", "--batch-max", "4"));
    it_exec(db, "SELECT chaos.mix(300, 20)");
    while (finished(db) < 40 || !caught_up(db, standby))
        it_pause_ms(20);
    proxy_hold(stream, NULL, PROXY_BOTH);
    it_pause_ms(1000);
    int64_t before = finished(db);
    pg_cluster_halt(it_cluster(), SIGQUIT);
    (void)proxy_free(stream);
    proxy_redirect(way, pg_cluster_dir(standby));
    move_to(db, standby);
    int64_t after = finished(db);
    print_message("14: %lld done before, %lld of them on the standby\n", (long long)before,
                  (long long)after);
    assert_true(after < before);
    /* 15: it is read-only yet. Nothing can be claimed, and it says why. */
    it_wait_for(p, "standby", END_MS);
    it_pause_ms(1500);
    assert_int_equal(finished(db), after);
    int64_t promoted = it_now_ms();
    it_exec(db, "SELECT pg_promote()");
    while (finished(db) == after && it_now_ms() - promoted < END_MS)
        it_pause_ms(10);
    print_message("15: going on %lld ms after it was promoted\n",
                  (long long)(it_now_ms() - promoted));
    assert_true(it_now_ms() - promoted < TAKEN_MS);
    history_ends(db, END_MS);
    (void)chaos_stop(p);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    (void)proxy_free(way);
    (void)pg_cluster_free(standby);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(n14_standby_takes_over)};
    return cmocka_run_group_tests(tests, it_up_large, it_down);
}
