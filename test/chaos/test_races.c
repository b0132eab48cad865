/* Who ends an attempt: its owner, two rescuers, the watch over deadlines, and a claimer who already
 * wants the next one, all at the same moment, over and over with other delays between them. Each
 * attempt must come out exactly one way. A few seconds in the run of all tests; WAYMARK_RACES is
 * how many instead. */
#include "chaos/chaos.h"

#include "it/queue.h"

enum { THREADS = 3, PARTIES = 4, SHORT_MS = 5000 };
enum { OWNER, RESCUER, RESCUER_2, CLAIMER };

struct racer {
    PGconn *c[PARTIES];
    uint64_t left; /* races to go, when they are counted */
    uint64_t finished, fenced, rescued, claimed, deadlocks;
    char queue[32];
};

struct answer {
    char state[6];
    int64_t value;
};

static void read_answer(PGconn *c, struct answer *a)
{
    *a = (struct answer){.state = "00000"};
    for (PGresult *res; (res = PQgetResult(c)) != NULL; PQclear(res)) {
        if (strcmp(a->state, "00000") == 0)
            (void)q__sqlstate(res, a->state);
        if (PQntuples(res) > 0)
            a->value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    }
    if (PQtransactionStatus(c) != PQTRANS_IDLE)
        PQclear(PQexec(c, "ROLLBACK"));
}

/* How the owner would end it; $ is who he is. */
static const char *const endings[] = {
    "BEGIN; SELECT race.finish($); COMMIT",
    "BEGIN; SELECT race.finish($); COMMIT",
    "BEGIN; SELECT race.finish($); SELECT pg_sleep(0.001); ROLLBACK",
    "SELECT q.requeue(ARRAY(SELECT id FROM race.job WHERE owner = $), $, NULL, 'x', false, false)",
    "SELECT q.bury(ARRAY(SELECT id FROM race.job WHERE owner = $), $, 'bug', 'x')",
};
static const char *const rescues[] = {
    "SELECT q.rescue($, 0)", "SELECT q.rescue($, 0)", "SELECT q.rescue_late('30 s')",
    "UPDATE q.instance SET beat = beat + 1 WHERE id = $", /* it lives */
};

enum { SQL_MAX = 200 };

struct entry {
    long long me, next;
    bool finishes; /* its owner would */
    char sql[PARTIES][SQL_MAX];
};

static void fill(char out[SQL_MAX], const char *sql, long long who)
{
    size_t n = 0;
    for (; *sql != '\0' && n < SQL_MAX - 24; sql++)
        n += (size_t)(*sql == '$' ? snprintf(out + n, SQL_MAX - n, "%lld", who)
                                  : snprintf(out + n, SQL_MAX - n, "%c", *sql));
}

/* All four at once, in any order, up to a millisecond apart. */
static void race(struct q_thread *t, const struct entry *e, struct answer a[PARTIES])
{
    struct racer *r = t->shared;
    unsigned order[PARTIES] = {0, 1, 2, 3};
    for (unsigned i = PARTIES - 1; i > 0; i--) {
        unsigned k = (unsigned)load_random(&t->chance, i + 1), was = order[i];
        order[i] = order[k];
        order[k] = was;
    }
    for (unsigned i = 0; i < PARTIES; i++) {
        const struct timespec pause = {.tv_nsec = (long)load_random(&t->chance, 1000000)};
        if (i > 0 && load_random(&t->chance, 2) == 0)
            (void)nanosleep(&pause, NULL);
        (void)PQsendQuery(r->c[order[i]], e->sql[order[i]]);
    }
    for (unsigned i = 0; i < PARTIES; i++)
        read_answer(r->c[i], &a[i]);
}

static bool is_expected(const struct answer *a, bool owner)
{
    return strcmp(a->state, "00000") == 0 || strcmp(a->state, "40P01") == 0 ||
           (owner && strcmp(a->state, "WM001") == 0);
}

static void count(struct racer *r, const struct answer a[PARTIES], bool finishes)
{
    r->finished += finishes && strcmp(a[OWNER].state, "00000") == 0;
    r->fenced += strcmp(a[OWNER].state, "WM001") == 0;
    r->rescued += a[RESCUER].value > 0 || a[RESCUER_2].value > 0;
    r->claimed += a[CLAIMER].value > 0;
    for (unsigned i = 0; i < PARTIES; i++)
        r->deadlocks += strcmp(a[i].state, "40P01") == 0;
}

static int64_t number_of(PGresult *res)
{
    int64_t n = res != NULL ? strtoll(PQgetvalue(res, 0, 0), NULL, 10) : 0;
    PQclear(res);
    return n;
}

static const char *any_flag(struct q_thread *t)
{
    return load_random(&t->chance, 2) ? "true" : "false";
}

static bool enter(struct q_thread *t, struct entry *e)
{
    struct racer *r = t->shared;
    unsigned n = 1 + (unsigned)load_random(&t->chance, 3);
    const char *lanes = any_flag(t), *twins = any_flag(t), *late = any_flag(t), *last = any_flag(t);
    e->me = number_of(qt_ask(t, "SELECT race.begin('%s', %u, %s, %s, %s, %s)", r->queue, n, lanes,
                             twins, late, last));
    e->next = number_of(qt_ask(t, "SELECT race.instance()"));
    uint64_t ending = load_random(&t->chance, sizeof(endings) / sizeof(endings[0])),
             rescue = load_random(&t->chance, sizeof(rescues) / sizeof(rescues[0]));
    e->finishes = ending < 2;
    fill(e->sql[OWNER], endings[ending], e->me);
    fill(e->sql[RESCUER], rescues[0], e->me);
    fill(e->sql[RESCUER_2], rescues[rescue], e->me);
    (void)snprintf(e->sql[CLAIMER], SQL_MAX, "SELECT race.claim('%s', %lld)", r->queue, e->next);
    return t->failed[0] == '\0';
}

static void fails(struct q_thread *t, const struct entry *e, const struct answer *a, uint64_t seed,
                  const char *wrong)
{
    if (t->failed[0] != '\0')
        return;
    (void)snprintf(t->failed, sizeof(t->failed),
                   "seed %llu: %.200s; %.90s: %s, rescuers %lld %lld, claimed %lld",
                   (unsigned long long)seed, wrong, e->sql[OWNER], a[OWNER].state,
                   (long long)a[RESCUER].value, (long long)a[RESCUER_2].value,
                   (long long)a[CLAIMER].value);
}

static void turn(struct q_thread *t)
{
    struct racer *r = t->shared;
    struct entry e;
    struct answer a[PARTIES];
    uint64_t seed = t->chance;
    if (!enter(t, &e))
        return;
    race(t, &e, a);
    count(r, a, e.finishes);
    for (unsigned i = 0; i < PARTIES; i++) {
        if (!is_expected(&a[i], i == OWNER))
            fails(t, &e, a, seed, a[i].state);
    }
    bool finished = e.finishes && strcmp(a[OWNER].state, "00000") == 0;
    PGresult *res = qt_ask(t, "SELECT race.judge('%s', %lld, %lld, %s, %lld)", r->queue, e.me,
                           e.next, finished ? "true" : "false", (long long)a[CLAIMER].value);
    if (res != NULL && *PQgetvalue(res, 0, 0) != '\0')
        fails(t, &e, a, seed, PQgetvalue(res, 0, 0));
    PQclear(res);
    if (r->left > 0 && --r->left == 0)
        t->until_ms = 0;
}

static void n24_one_outcome_of_an_attempt(void **state)
{
    (void)state;
    const char *many = getenv("WAYMARK_RACES");
    uint64_t races = many != NULL ? strtoull(many, NULL, 10) : 0;
    struct it_db *db = it_db_new();
    it_script(db, it_read_file(WAYMARK_SOURCE_DIR "/test/chaos/data/races.sql"));
    struct q_thread t[THREADS] = {{0}};
    struct racer r[THREADS] = {{.left = 0}}, all = {.left = 0};
    for (int i = 0; i < THREADS; i++) {
        t[i].turn = turn;
        t[i].deadlocks_happen = true;
        t[i].shared = &r[i];
        r[i].left = races > 0 ? races / THREADS + 1 : 0;
        (void)snprintf(r[i].queue, sizeof(r[i].queue), "race%d-", i);
        for (int k = 0; k < PARTIES; k++)
            r[i].c[k] = q_open(db);
    }
    (void)q_threads(db, t, THREADS, load_seed(), races > 0 ? INT64_C(86400000) : SHORT_MS);
    for (int i = 0; i < THREADS; i++) {
        all.finished += r[i].finished;
        all.fenced += r[i].fenced;
        all.rescued += r[i].rescued;
        all.claimed += r[i].claimed;
        all.deadlocks += r[i].deadlocks;
    }
    print_message("24: %llu finished, %llu fenced, %llu rescued, %llu claimed again, %llu "
                  "deadlocks\n",
                  (unsigned long long)all.finished, (unsigned long long)all.fenced,
                  (unsigned long long)all.rescued, (unsigned long long)all.claimed,
                  (unsigned long long)all.deadlocks);
    /* They do race: each of them wins some. */
    assert_true(all.finished > 5 && all.fenced > 5 && all.rescued > 5 && all.claimed > 5);
    it_holds(db, "NOT EXISTS (SELECT FROM q.done GROUP BY id, attempt HAVING count(*) > 1)");
    q_is_sound(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {Q_TEST(n24_one_outcome_of_an_attempt)};
    return cmocka_run_group_tests(tests, it_up_large, it_down);
}
