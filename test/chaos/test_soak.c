/* Everything at once, as long as one likes (WAYMARK_CHAOS_SECONDS): four instances of made-up work
 * and two of `waymark serve` on one server, with work of all sorts, while processes are killed,
 * stopped and drained, the server is restarted, and connections are cut and delayed. In the end
 * nothing is lost, doubled or out of order, and what was computed is what a computation from
 * scratch gives. */
#include "chaos/chaos.h"

enum { WORKERS = 4, INSTANCES = 6, SETTLE_MS = 240000, LOOK_MS = 30000 };

struct instance {
    struct it_proc *p; /* NULL: not running */
    int64_t start_ms;  /* when it was, or is to be, started */
    int64_t wake_ms;   /* > 0: it is stopped until then */
    bool draining;
};

static struct soak {
    struct it_db *db;
    struct proxy *proxy;
    struct instance instance[INSTANCES];
    uint64_t seed;
    int64_t pass_ms; /* > 0: when the proxy is to be quiet again */
    unsigned kills, stops, drains, restarts, crashes, troubles, changes, added;
} soak;

static int64_t chance(int64_t below)
{
    return (int64_t)load_random(&soak.seed, (uint64_t)below);
}

/* ---- instances ----------------------------------------------------------------------------- */

/* Every other one through the proxy. */
static void start(unsigned i)
{
    static const char *const args[] = {"--batch", "16", "--batch-max", "4", NULL};
    struct instance *k = &soak.instance[i];
    char url[256];
    *k = (struct instance){.start_ms = it_now_ms()};
    if (i < WORKERS && i % 2 == 0) {
        k->p = chaos_start(soak.db, NULL, args);
    } else if (i < WORKERS) {
        k->p = chaos_start_by(soak.proxy, soak.db, NULL, args);
    } else {
        (void)proxy_url(soak.proxy, soak.db->name, "serve", url, sizeof(url));
        const char *to = i % 2 == 0 ? soak.db->url : url;
        k->p = it_start(soak.db,
                        IT_LIST(it_format("POSTGRES_CONNECTION_STRING=%s", to),
                                "PROCESSOR_BATCH_SIZE=4", "WAYMARK_LOG_LEVEL=warn"),
                        IT_LIST("serve"));
    }
}

static struct instance *anyone(void)
{
    struct instance *k = &soak.instance[chance(INSTANCES)];
    return k->p != NULL && k->wake_ms == 0 && !k->draining ? k : NULL;
}

/* What has ended is noted and begins anew in a while. */
static void look_after(struct instance *k, int64_t now)
{
    if (k->p == NULL) {
        if (now >= k->start_ms)
            start((unsigned)(k - soak.instance));
        return;
    }
    if (k->wake_ms > 0 && now >= k->wake_ms) {
        it_signal(k->p, SIGCONT);
        k->wake_ms = 0;
        k->start_ms = now; /* perhaps it had not come far */
    }
    if (it_ended(k->p)) {
        struct it_result r = it_wait(k->p, 0); /* looks for reports of the sanitizers */
        if (r.status != 128 + SIGKILL && !(k->draining && r.status == 0))
            fail_msg("an instance ended with %d\n%s", r.status, r.err);
        *k = (struct instance){.start_ms = now + chance(2000)};
    }
}

/* ---- what happens to them ------------------------------------------------------------------ */

static void kill_one(void)
{
    struct instance *k = anyone();
    if (k != NULL) {
        it_signal(k->p, SIGKILL);
        k->draining = true;
        soak.kills++;
    }
}

static void stop_one(void)
{
    struct instance *k = anyone();
    if (k != NULL) {
        it_signal(k->p, SIGSTOP);
        /* Seldom so long that others take its jobs away. */
        k->wake_ms = it_now_ms() + (chance(8) == 0 ? 36000 : 300 + chance(4000));
        soak.stops++;
    }
}

static void drain_one(void)
{
    struct instance *k = anyone();
    /* Before its handlers stand, a signal just ends it. */
    if (k != NULL && it_now_ms() > k->start_ms + 3000) {
        it_signal(k->p, SIGTERM);
        k->draining = true;
        soak.drains++;
    }
}

static void trouble_connections(void)
{
    static const char *const app[] = {"worker", "worker-beat", "worker-listen", "serve", NULL};
    const char *who = app[chance(5)];
    soak.troubles++;
    soak.pass_ms = it_now_ms() + 500 + chance(4000);
    switch (chance(7)) {
    case 0:
        proxy_hold(soak.proxy, who, PROXY_BOTH);
        break;
    case 1:
        proxy_hold(soak.proxy, who, PROXY_DOWN);
        break;
    case 2:
        proxy_delay(soak.proxy, who, PROXY_BOTH, 40 + chance(300));
        break;
    case 3:
        proxy_refuse(soak.proxy, who);
        proxy_cut(soak.proxy, who);
        break;
    case 4:
        proxy_cut_after_bytes(soak.proxy, who, (size_t)chance(5000) + 1);
        break;
    default:
        proxy_on_text(soak.proxy, NULL, "COMMIT", 1 + (unsigned)chance(6),
                      (enum proxy_action)chance(3));
    }
}

/* Whoever holds what we want may be stopped, until we wake it: so we never wait for long. */
static void be_patient(void)
{
    it_exec(soak.db, "SET lock_timeout = '2s'");
}

/* Added, or not this time. */
static void try_to_add(const char *sql)
{
    PGresult *res = PQexec(soak.db->pg, sql);
    const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (code != NULL && strcmp(code, "55P03") != 0 && strcmp(code, "40P01") != 0)
        fail_msg("%s: %s", PQerrorMessage(soak.db->pg), sql);
    PQclear(res);
}

static void restart_server(void)
{
    bool crash = chance(2) == 0;
    pg_cluster_halt(it_cluster(), crash ? SIGQUIT : SIGINT);
    it_pause_ms(chance(1500));
    pg_cluster_resume(it_cluster());
    chaos_reconnect(soak.db);
    be_patient();
    *(crash ? &soak.crashes : &soak.restarts) += 1;
}

/* ---- work ---------------------------------------------------------------------------------- */

static void add_work(void)
{
    static const char *const more[] = {
        "SELECT chaos.add('effect', 20, '{\"lanes\": 4, \"payload\": {\"ms\": 5}}')",
        "SELECT chaos.add('chain', 3, '{\"lanes\": 2, \"payload\": {\"left\": 8, \"ms\": 2}}')",
        "SELECT chaos.add('rated', 15, '{\"payload\": {\"ms\": 5}}')",
        "SELECT chaos.add('fail', 4, '{\"payload\": {\"fails\": 2}}')",
        "SELECT chaos.add('effect', 3, '{\"payload\": {\"work\": true, \"ms\": 400}}')",
        "SELECT chaos.add('bad', 1, '{\"lanes\": 4}')",
        "SELECT q.cancel(ARRAY(SELECT id FROM q.job WHERE queue = 'chaos' AND id % 97 = 0))",
        "SELECT q.retry(ARRAY(SELECT id FROM q.dead WHERE kind <> 'bad' LIMIT 5))",
    };
    enum { MORE = sizeof(more) / sizeof(more[0]) };
    int64_t which = chance(MORE + 4);
    soak.added++;
    if (which < MORE)
        try_to_add(more[which]);
    else
        try_to_add(it_format("SELECT chaos.mix(%d, %d)", (int)(20 + chance(60)), (int)chance(20)));
}

static void act(void)
{
    static const struct {
        void (*fn)(void);
        int weight;
    } acts[] = {{add_work, 40},           {kill_one, 8},      {stop_one, 8}, {drain_one, 4},
                {trouble_connections, 8}, {restart_server, 1}};
    int64_t n = chance(40 + 8 + 8 + 4 + 8 + 1);
    unsigned i = 0;
    while (n >= acts[i].weight)
        n -= acts[i++].weight;
    /* Not more than can be done: the end would be long in coming. */
    if (i == 0 && it_i64(soak.db, "SELECT count(*) FROM q.job") > 1500)
        return;
    acts[i].fn();
}

/* ---- the run ------------------------------------------------------------------------------- */

static void tell(int64_t left_ms)
{
    print_message("%lld s left: %lld done, %lld to do, %lld dead; %u kills, %u stops, %u drains, "
                  "%u restarts, %u crashes, %u network troubles, %u changes\n",
                  (long long)left_ms / 1000,
                  (long long)it_i64(soak.db, "SELECT count(*) FROM q.done"),
                  (long long)it_i64(soak.db, "SELECT count(*) FROM q.job"),
                  (long long)it_i64(soak.db, "SELECT count(*) FROM q.dead"), soak.kills, soak.stops,
                  soak.drains, soak.restarts, soak.crashes, soak.troubles, soak.changes);
    (void)fflush(stdout);
}

static void disturb(int64_t until)
{
    int64_t looked = it_now_ms();
    while (it_now_ms() < until) {
        int64_t now = it_now_ms();
        for (unsigned i = 0; i < INSTANCES; i++)
            look_after(&soak.instance[i], now);
        if (soak.pass_ms > 0 && now >= soak.pass_ms) {
            proxy_pass(soak.proxy);
            soak.pass_ms = 0;
        }
        act();
        soak.changes += load_change(soak.db, &soak.seed);
        if (now - looked >= LOOK_MS) {
            looked = now;
            history_holds(soak.db);
            tell(until - now);
        }
        it_pause_ms(20 + chance(150));
    }
}

/* Peace, and everybody back at work. */
static void settle(void)
{
    it_exec(soak.db, "RESET lock_timeout");
    proxy_pass(soak.proxy);
    for (int64_t until = it_now_ms() + SETTLE_MS; it_now_ms() < until; it_pause_ms(200)) {
        for (unsigned i = 0; i < INSTANCES; i++)
            look_after(&soak.instance[i], it_now_ms() + 60000);
        chaos_hasten(soak.db);
        if (it_eventually(soak.db, 0, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0)
            break;
    }
    for (unsigned i = 0; i < INSTANCES; i++) {
        struct instance *k = &soak.instance[i];
        if (k->p != NULL && k->draining) /* a second signal would end it at once */
            (void)it_wait(k->p, END_MS);
        else if (k->p != NULL)
            (void)chaos_stop(k->p);
    }
}

static void soak_all(void **state)
{
    (void)state;
    soak.seed = load_seed();
    soak.db = chaos_db();
    load_history(soak.db, 120);
    be_patient();
    it_exec(soak.db, "INSERT INTO q.rate (name, cap15, capday) VALUES ('chaos', 4000, 40000)");
    disturb(it_now_ms() + load_chaos_ms(15));
    settle();
    tell(0);
    history_ends(soak.db, END_MS);
    it_holds(soak.db, "NOT EXISTS (SELECT FROM q.dead WHERE queue <> 'chaos')");
    it_exec(soak.db, "DELETE FROM q.dead"); /* the bad ones, and it_process wants none */
    it_process(soak.db);
    it_same_as_recomputed(soak.db);
}

static int up(void **state)
{
    if (it_up_large(state) != 0)
        return -1;
    soak.proxy = proxy_start(pg_cluster_dir(it_cluster()));
    return 0;
}

static int down(void **state)
{
    soak.proxy = proxy_free(soak.proxy);
    return it_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(soak_all)};
    return cmocka_run_group_tests(tests, up, down);
}
