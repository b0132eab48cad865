/* Instances that are there and do not answer: stopped, cut off, cut off by half, hanging. Their
 * jobs are taken away within 45 s, and what they still bring afterwards is refused. All at once,
 * since most of it is waiting. */
#include "chaos/chaos.h"

enum { SCENES_MAX = 8, OUTAGE_MS = 34000 };

struct scene {
    struct it_db *db;
    struct proxy *proxy;
    struct it_proc *a, *b;
    int64_t owner, owner_b, since_ms, taken_ms;
};
static struct scene zombie, partition, half, outage, asleep, hung;

static const char *const small[] = {"--batch", "8", "--batch-max", "2", NULL};

static void open_scene(struct scene *s, bool with_proxy)
{
    s->db = chaos_db();
    if (with_proxy)
        s->proxy = proxy_start(pg_cluster_dir(it_cluster()));
}

static void holds_jobs(struct scene *s)
{
    assert_true(it_eventually(s->db, END_MS,
                              it_format("SELECT count(*) > 0 FROM q.job WHERE owner = %lld",
                                        (long long)s->owner)) >= 0);
}

static void begin_zombie(struct scene *s)
{
    open_scene(s, false);
    it_exec(s->db, "SELECT chaos.mix(100, 20)");
    s->a = chaos_worker(s->db, "results_ready:3:stop", small);
    s->owner = chaos_owner(s->db, s->a);
    it_wait_for(s->a, "fault: results_ready", END_MS);
    s->since_ms = it_now_ms();
    s->b = chaos_worker(s->db, NULL, small);
}

static void begin_partition(struct scene *s)
{
    open_scene(s, true);
    it_exec(s->db, "SELECT chaos.mix(100, 200)");
    s->a = chaos_worker_by(s->proxy, s->db, NULL, small);
    s->owner = chaos_owner(s->db, s->a);
    holds_jobs(s);
    proxy_hold(s->proxy, NULL, PROXY_BOTH);
    s->since_ms = it_now_ms();
    s->b = chaos_worker(s->db, NULL, small);
}

/* It beats, and cannot bring its results: only the deadlines of its jobs tell. */
static void begin_half(struct scene *s)
{
    open_scene(s, true);
    it_exec(s->db, "SELECT chaos.add('effect', 8, '{\"timeout_s\": 3, \"lanes\": 2,"
                   " \"payload\": {\"ms\": 1000}}')");
    s->a = chaos_worker_by(s->proxy, s->db, NULL, small);
    s->owner = chaos_owner(s->db, s->a);
    holds_jobs(s);
    proxy_hold(s->proxy, "worker", PROXY_BOTH);
    s->since_ms = it_now_ms();
    s->b = chaos_worker(s->db, NULL, small);
}

static void begin_outage(struct scene *s)
{
    open_scene(s, true);
    s->a = chaos_worker_by(s->proxy, s->db, NULL, small);
    s->b = chaos_worker_by(s->proxy, s->db, NULL, small);
    s->owner = chaos_owner(s->db, s->a);
    s->owner_b = chaos_owner(s->db, s->b);
    it_exec(s->db, "SELECT chaos.mix(100, 200)");
    holds_jobs(s);
    proxy_hold(s->proxy, NULL, PROXY_BOTH);
    s->since_ms = it_now_ms();
}

static void begin_asleep(struct scene *s)
{
    open_scene(s, false);
    s->a = chaos_worker(s->db, NULL, small);
    s->b = chaos_worker(s->db, NULL, small);
    s->owner = chaos_owner(s->db, s->a);
    s->owner_b = chaos_owner(s->db, s->b);
    it_exec(s->db, "SELECT chaos.mix(100, 100)");
    holds_jobs(s);
    it_signal(s->a, SIGSTOP);
    it_signal(s->b, SIGSTOP);
    s->since_ms = it_now_ms();
}

static void begin_hung(struct scene *s)
{
    open_scene(s, false);
    it_exec(s->db, "SELECT chaos.add('hang', 2, '{\"timeout_s\": 3, \"max_attempts\": 1,"
                   " \"payload\": {\"ms\": 42000}}')");
    s->a = chaos_worker(s->db, NULL, small);
    s->owner = chaos_owner(s->db, s->a);
    holds_jobs(s);
    s->since_ms = it_now_ms();
    it_exec(s->db, "SELECT chaos.add('effect', 60, '{\"payload\": {\"ms\": 10}}')");
}

/* ---- watching ------------------------------------------------------------------------------ */

static bool is_taken(struct scene *s, const char *condition)
{
    if (s->taken_ms == 0 && it_eventually(s->db, 0, condition) >= 0)
        s->taken_ms = it_now_ms() - s->since_ms;
    return s->taken_ms != 0;
}

static bool jobs_are_gone(struct scene *s)
{
    char sql[96];
    (void)snprintf(sql, sizeof(sql), "SELECT NOT EXISTS (SELECT FROM q.job WHERE owner = %lld)",
                   (long long)s->owner);
    return is_taken(s, sql);
}

static void end_outage(struct scene *s)
{
    if (s->taken_ms == 0 && it_now_ms() - s->since_ms > OUTAGE_MS) {
        s->taken_ms = OUTAGE_MS;
        proxy_pass(s->proxy);
    }
}

/* Not both at the same moment, as with two machines. */
static void wake_up(struct scene *s)
{
    if (s->taken_ms == 0 && it_now_ms() - s->since_ms > OUTAGE_MS) {
        s->taken_ms = OUTAGE_MS;
        it_signal(s->b, SIGCONT);
        it_pause_ms(1000);
        it_signal(s->a, SIGCONT);
    }
}

static int begin_all(void **state)
{
    if (it_up_large(state) != 0)
        return -1;
    begin_zombie(&zombie);
    begin_partition(&partition);
    begin_half(&half);
    begin_hung(&hung);
    begin_outage(&outage);
    begin_asleep(&asleep);
    for (bool all = false; !all && it_now_ms() - asleep.since_ms < HUNG_MS; it_pause_ms(20)) {
        end_outage(&outage);
        wake_up(&asleep);
        all = outage.taken_ms != 0 && asleep.taken_ms != 0;
        /* All of them are looked at each time: so they learn when it was. */
        all &= jobs_are_gone(&zombie);
        all &= jobs_are_gone(&partition);
        all &= jobs_are_gone(&half);
        all &= is_taken(&hung, "SELECT count(*) = 2 FROM q.dead");
    }
    return 0;
}

/* ---- afterwards ---------------------------------------------------------------------------- */

static void taken_in_time(const struct scene *s, const char *name)
{
    print_message("%s: taken over after %lld ms\n", name, (long long)s->taken_ms);
    assert_in_range(s->taken_ms, 1, HUNG_MS);
}

static void n09_zombie(void **state)
{
    (void)state;
    taken_in_time(&zombie, "09");
    history_ends(zombie.db, END_MS);
    it_signal(zombie.a, SIGCONT);
    it_wait_for(zombie.a, "registering anew", END_MS);
    it_exec(zombie.db, "SELECT chaos.mix(40, 5)");
    history_ends(zombie.db, END_MS);
    it_holds(zombie.db, "NOT EXISTS (SELECT FROM q.dead)");
    struct it_result r = chaos_stop(zombie.a);
    (void)chaos_stop(zombie.b);
    assert_true(it_i64(zombie.db, "SELECT count(*) FROM q.done WHERE owner = %lld",
                       (long long)zombie.owner) > 0);
    assert_true(chaos_count(&r, "finished=") > 0);
}

static void n10_partition(void **state)
{
    (void)state;
    taken_in_time(&partition, "10");
    history_ends(partition.db, END_MS);
    proxy_pass(partition.proxy);
    it_exec(partition.db, "SELECT chaos.mix(40, 5)");
    history_ends(partition.db, END_MS);
    (void)chaos_stop(partition.a);
    (void)chaos_stop(partition.b);
    history_holds(partition.db);
    it_holds(partition.db, "NOT EXISTS (SELECT FROM q.dead)");
}

static void n11_half_cut(void **state)
{
    (void)state;
    taken_in_time(&half, "11");
    it_holds(half.db, "EXISTS (SELECT FROM q.instance WHERE id = %lld)", (long long)half.owner);
    history_ends(half.db, END_MS);
    proxy_pass(half.proxy);
    it_exec(half.db, "SELECT chaos.mix(40, 5)");
    history_ends(half.db, END_MS);
    (void)chaos_stop(half.a);
    (void)chaos_stop(half.b);
    history_holds(half.db);
    it_holds(half.db, "NOT EXISTS (SELECT FROM q.dead)");
}

static void n30_hangs(void **state)
{
    (void)state;
    taken_in_time(&hung, "30");
    /* Its neighbours had not to wait for that. */
    it_holds(hung.db, "60 = (SELECT count(*) FROM q.done WHERE finished_at <"
                      " (SELECT min(died_at) FROM q.dead) - interval '20 s')");
    it_holds(hung.db, "2 = (SELECT count(*) FROM q.dead WHERE reason = 'attempts')");
    (void)chaos_stop(hung.a);
    history_ends(hung.db, END_MS);
}

/* Nobody is taken for dead who was only not heard because nobody heard anything. */
static void nobody_was_taken_for_dead(struct scene *s)
{
    history_ends(s->db, END_MS);
    struct it_result a = chaos_stop(s->a), b = chaos_stop(s->b);
    assert_false(it_said(s->a, "registering anew"));
    assert_false(it_said(s->b, "registering anew"));
    assert_int_equal(chaos_count(&a, "rescued="), 0);
    assert_int_equal(chaos_count(&b, "rescued="), 0);
    it_holds(s->db, "NOT EXISTS (SELECT FROM q.done WHERE owner NOT IN (%lld, %lld))",
             (long long)s->owner, (long long)s->owner_b);
    it_holds(s->db, "NOT EXISTS (SELECT FROM q.dead)");
}

static void n12_long_outage(void **state)
{
    (void)state;
    nobody_was_taken_for_dead(&outage);
}

static void n19_suspended(void **state)
{
    (void)state;
    nobody_was_taken_for_dead(&asleep);
}

static int end_all(void **state)
{
    struct scene *const all[] = {&partition, &half, &outage};
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        (void)proxy_free(all[i]->proxy);
    return it_down(state);
}

int main(void)
{
    chaos_needs_faults();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(n09_zombie),      cmocka_unit_test(n10_partition),
        cmocka_unit_test(n11_half_cut),    cmocka_unit_test(n30_hangs),
        cmocka_unit_test(n12_long_outage), cmocka_unit_test(n19_suspended),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
