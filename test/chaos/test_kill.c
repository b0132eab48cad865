/* SIGKILL at every place that matters, with another instance about: its jobs are taken up again
 * soon, and the history is that of an undisturbed run. */
#include "chaos/chaos.h"

struct kill_case {
    const char *name, *fault;
    bool owns;        /* at its death it has jobs for certain */
    const char *more; /* what it needs besides the mix, to come there */
};

#define THREADS  "SELECT chaos.add('effect', 60, '{\"prio\": -1, \"payload\": {\"work\": true}}')"
#define FAILURES "SELECT chaos.add('fail', 60, '{\"prio\": -1}')"

static const struct kill_case cases[] = {
    {"02 after the claim was committed", "claim_answered:2:kill", true, NULL},
    {"02 before the answer of the claim", "claim_sent:3:kill", false, NULL},
    {"02 when a batch has begun", "batch_started:3:kill", true, NULL},
    {"03 while it computes", "computing:1:kill", true, THREADS},
    {"03 before results are sent", "results_ready:2:kill", true, NULL},
    {"04 between fence and COMMIT", "results_sent:3:kill", false, NULL},
    {"05 after COMMIT, before it knew", "results_committed:3:kill", false, NULL},
    {"08 while it writes an outcome", "outcome_sent:1:kill", false, FAILURES},
    {"08 when an outcome is written", "outcome_written:1:kill", false, FAILURES},
    {"08 between beats", "beat_sent:2:kill", false, NULL},
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static struct scene {
    struct it_db *db;
    struct it_proc *a, *b;
    int64_t owner, died_ms, taken_ms;
} scenes[CASES];

/* All of them at once: most of the time they wait. */
static void begin(struct scene *s, const struct kill_case *c)
{
    const char *const *args = IT_LIST("--batch", "8", "--batch-max", "4");
    s->db = chaos_db();
    it_exec(s->db, "%s", c->more != NULL ? c->more : "SELECT 1");
    it_exec(s->db, "SELECT chaos.mix(120, 10)");
    s->a = chaos_start(s->db, c->fault, args);
    while ((s->owner = chaos_owner(s->db, s->a)) == 0)
        it_pause_ms(5);
    s->b = chaos_worker(s->db, NULL, args);
}

static int64_t jobs_of(struct scene *s)
{
    return it_i64(s->db, "SELECT count(*) FROM q.job WHERE owner = %lld", (long long)s->owner);
}

/* True when there is nothing more to see. */
static bool look(struct scene *s)
{
    if (s->taken_ms != 0)
        return true;
    if (s->died_ms == 0 && it_ended(s->a)) {
        s->died_ms = it_now_ms();
    } else if (s->died_ms != 0 && jobs_of(s) == 0) {
        s->taken_ms = it_now_ms();
    }
    return false;
}

static int begin_all(void **state)
{
    if (it_up_large(state) != 0)
        return -1;
    for (unsigned i = 0; i < CASES; i++) {
        begin(&scenes[i], &cases[i]);
        for (unsigned k = 0; k <= i; k++)
            (void)look(&scenes[k]);
    }
    const int64_t until = it_now_ms() + END_MS;
    bool all = false;
    while (!all && it_now_ms() < until) {
        all = true;
        for (unsigned i = 0; i < CASES; i++)
            all &= look(&scenes[i]);
        it_pause_ms(20);
    }
    return 0;
}

static void killed_at(void **state)
{
    const struct kill_case *c = *state;
    struct scene *s = &scenes[c - cases];
    assert_int_equal(it_wait(s->a, 0).status, 128 + SIGKILL);
    assert_true(s->taken_ms != 0);
    history_ends(s->db, END_MS);
    struct it_result r = chaos_stop(s->b);
    int64_t jobs = chaos_count(&r, "rescued="), ms = s->taken_ms - s->died_ms;
    print_message("%s: %lld jobs taken over after %lld ms\n", c->name, (long long)jobs,
                  (long long)ms);
    assert_true(jobs > 0 || !c->owns);
    assert_true(ms < TAKEN_MS);
    it_holds(s->db, "NOT EXISTS (SELECT FROM q.instance) AND NOT EXISTS (SELECT FROM q.dead)");
}

static void clear(void **state)
{
    (void)it_after(state);
}

/* ---- 36: drain ----------------------------------------------------------------------------- */

/* What waits for a slot goes back at once, what runs may end; nobody pays an attempt. */
static void drained_in_the_middle(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *a =
        chaos_worker(db, NULL, IT_LIST("--batch", "40", "--batch-max", "4", "--concurrency", "2"));
    it_exec(db, "SELECT chaos.add('effect', 40, '{\"payload\": {\"ms\": 1500}}')");
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) = 40 FROM q.job"
                              " WHERE state = 'running'") >= 0);
    int64_t asked = it_now_ms();
    struct it_result r = chaos_stop(a);
    assert_true(it_now_ms() - asked < 4000);
    int64_t done = it_i64(db, "SELECT count(*) FROM q.done");
    print_message("36: %lld of 40 done after SIGTERM, ended after %lld ms\n", (long long)done,
                  (long long)(it_now_ms() - asked));
    assert_int_equal(done, chaos_count(&r, "finished="));
    assert_in_range(done, 1, 39);
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE state <> 'ready' OR attempt > 0 OR suspect)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance)");
    history_holds(db);
}

/* The grace time is over: what runs is cancelled, and not charged. */
static void drained_without_grace(void **state)
{
    (void)state;
    struct it_db *db = chaos_db();
    struct it_proc *a = chaos_worker(db, NULL, IT_LIST("--drain-ms", "100"));
    it_exec(db, "SELECT chaos.add('effect', 10, '{\"payload\": {\"ms\": 60000}}')");
    assert_true(it_eventually(db, END_MS,
                              "SELECT count(*) = 10 FROM q.job"
                              " WHERE state = 'running'") >= 0);
    int64_t asked = it_now_ms();
    (void)chaos_stop(a);
    assert_true(it_now_ms() - asked < 3000);
    it_holds(db, "10 = (SELECT count(*) FROM q.job WHERE state = 'ready' AND attempt = 0"
                 " AND NOT suspect)");
    history_holds(db);
}

static void killed_while_it_drains(void **state)
{
    const char *fault = *state;
    struct it_db *db = chaos_db();
    struct it_proc *a = chaos_worker(db, fault, IT_LIST("--batch", "8", "--batch-max", "2"));
    struct it_proc *b = chaos_worker(db, NULL, IT_LIST("--batch", "4", "--batch-max", "2"));
    int64_t owner = chaos_owner(db, a);
    it_exec(db, "SELECT chaos.mix(120, 50)");
    assert_true(it_eventually(db, END_MS,
                              it_format("SELECT count(*) > 0 FROM q.job WHERE owner = %lld",
                                        (long long)owner)) >= 0);
    it_signal(a, SIGTERM);
    int64_t ms = chaos_taken_over(db, owner, chaos_died(a, SIGKILL), TAKEN_MS);
    print_message("36: %s, taken over after %lld ms\n", fault, (long long)ms);
    history_ends(db, END_MS);
    (void)chaos_stop(b);
}

#define DRAINED(fault)                                                                             \
    {                                                                                              \
        "36 " fault, killed_while_it_drains, NULL, it_after, (void *)(uintptr_t)fault              \
    }
#define KILLED(i)                                                                                  \
    {                                                                                              \
        cases[i].name, killed_at, NULL, NULL, (void *)(uintptr_t)&cases[i]                         \
    }

int main(void)
{
    chaos_needs_faults();
    const struct CMUnitTest tests[] = {
        KILLED(0),
        KILLED(1),
        KILLED(2),
        KILLED(3),
        KILLED(4),
        KILLED(5),
        KILLED(6),
        KILLED(7),
        KILLED(8),
        KILLED(9),
        cmocka_unit_test(clear),
        IT_TEST(drained_in_the_middle),
        IT_TEST(drained_without_grace),
        DRAINED("draining:1:kill"),
        DRAINED("goodbye_sent:1:kill"),
    };
    return cmocka_run_group_tests(tests, begin_all, it_down);
}
