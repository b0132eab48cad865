/* Answers that are damaged, huge or slow, of everything that is asked for: memory and time stay
 * bounded, nobody else waits, and what comes in in the end is the truth. */
#include "it/sync.h"

enum { LONG_MS = 60000, SOON_MS = 20000, HEALTHY_MS = 3000, MOST_MB = 640 };

/* A gigabyte, of which no more may be kept than an answer may have. */
#define HUGE         "{\"type\":\"corrupt\",\"how\":\"huge\",\"bytes\":1000000000}"
#define CORRUPT(how) "{\"type\":\"corrupt\",\"how\":\"" how "\"}"
#define DROP(at)     "{\"type\":\"drop\",\"at\":\"" at "\"}"

struct scene {
    struct sim *s;
    struct it_db *db;
    struct it_proc *p;
    int64_t worst_ms; /* of an answer to somebody who asks whether it is well */
};

static struct it_proc *serve(struct scene *x)
{
    return sync_serve_live(x->db, x->s,
                           IT_LIST("WAYMARK_ADMIN_LISTEN=127.0.0.1:0",
                                   "WAYMARK_ADMIN_SECRET=of-no-interest",
                                   "WAYMARK_PROCESSOR_DRAIN=1s"));
}

static struct scene open_scene(void)
{
    struct scene x = {.s = sim_start(IT_LIST("--clock", "2026-07-01T12:05:00Z", "--limits",
                                             "5000,50000/5000,50000", "--preset", "tiny"))};
    x.db = sync_db(x.s);
    sync_route(x.db, x.s);
    sync_connect(x.db, x.s, SYNC_ATHLETE, NULL);
    x.p = serve(&x);
    (void)sync_request(x.db, SYNC_ATHLETE, "all", NULL);
    sync_wait(x.db, LONG_MS);
    return x;
}

static void is_well(struct scene *x)
{
    struct http_answer a = http_ask(http_address(x->p, "admin"), "GET", "/healthz", NULL, NULL);
    http_is(a, 200);
    x->worst_ms = a.ms > x->worst_ms ? a.ms : x->worst_ms;
}

static int64_t most_mb(struct it_proc *p)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen(it_format("/proc/%d/status", (int)it_pid(p)), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %ld", &kb) != 1)
        ;
    (void)fclose(f);
    assert_true(kb > 0);
    return kb >> 10;
}

/* Scenario L: corrupt and huge bodies, of lists, activities, recorded tracks and tokens. */
static void damaged_answers(void **state)
{
    static const char *const path[] = {"/athlete/activities", "/activities/???????????",
                                       "/activities/*/streams", "/oauth/token"};
    static const char *const action[][6] = {
        {HUGE, CORRUPT("truncated"), CORRUPT("utf8"), CORRUPT("deep"), CORRUPT("bom"), HUGE},
        {CORRUPT("duplicate_keys"), CORRUPT("trailing"), DROP("headers"), DROP("body"), DROP("rst"),
         "{\"type\":\"status\",\"status\":502,\"body\":\"html\"}"}};
    (void)state;
    struct scene x = open_scene();
    int64_t begun_mb = most_mb(x.p);
    /* Else each refresh whose answer cannot be read would cost the login. */
    (void)sim_do(x.s, "settings", "{\"rotation\":\"never\"}");
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
            bool tokens = strcmp(path[i], "/oauth/token") == 0;
            (void)sim_do(x.s, "fault/clear", "{}");
            for (unsigned n = 0; n < 6; n++)
                (void)sim_do(x.s, "fault",
                             "{\"match\":{\"path\":\"%s\"},\"when\":{\"nth\":%u},\"action\":%s}",
                             path[i], n + 1, action[k][n]);
            if (tokens)
                (void)sim_do(x.s, "token/expire", "{}");
            (void)sim_do(x.s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"trail\":[%u,%u]}",
                         1000 * i, 1000 * i + 3000);
            if (i == 0)
                (void)sync_request(x.db, SYNC_ATHLETE, "all", NULL);
            sim_idle(x.s);
            for (int64_t until = it_now_ms() + LONG_MS; !sync_hurried(x.db); is_well(&x)) {
                if (it_now_ms() > until)
                    sync_late(x.db);
            }
            json_t *faults = sim_at(sim_get(x.s, "fault"), "faults"), *one;
            size_t f;
            json_array_foreach(faults, f, one)
            {
                if (sim_i64(one, "fired") != 1)
                    fail_msg("not met: %s", it_keep(json_dumps(one, JSON_COMPACT)));
            }
            sync_same(x.db, x.s, SYNC_ATHLETE);
        }
    }
    (void)sim_do(x.s, "fault/clear", "{}");
    it_holds(x.db, "NOT EXISTS (SELECT FROM q.dead) AND NOT EXISTS (SELECT FROM strava.account"
                   " WHERE state <> 'ok')");
    int64_t mb = most_mb(x.p);
    print_message("at most %lld MB, from %lld MB; well within %lld ms\n", (long long)mb,
                  (long long)begun_mb, (long long)x.worst_ms);
    assert_true(mb < MOST_MB); /* with what a sanitizer holds back; without it far less */
    assert_true(x.worst_ms < HEALTHY_MS);
    it_same_as_recomputed(x.db);
    it_serve_stop(x.p);
}

/* Scenario L: slow bodies, byte by byte, of which each call gets rid in time; the rest goes on. */
static void slow_answers(void **state)
{
    enum { API_MS = 45000 };
    (void)state;
    struct scene x = open_scene();
    (void)sim_do(x.s, "events/hold", "{}");
    for (int i = 0; i < 3; i++) { /* of four calls at once */
        int64_t id = sim_i64(
            sim_do(x.s, "activity", "{\"do\":\"create\",\"athlete\":9001,\"trail\":[1000,3000]}"),
            "id");
        (void)sim_do(x.s, "fault",
                     "{\"match\":{\"activity\":%lld},\"when\":{\"nth\":1},\"action\":{\"type\":"
                     "\"delay\",\"bytes_per_s\":5}}",
                     (long long)id);
    }
    (void)sim_do(x.s, "events/release", "{}");
    int64_t begun = it_now_ms();
    assert_true(it_eventually(x.db, SOON_MS,
                              "SELECT count(*) = 3 FROM q.job WHERE queue = 'strava' AND state ="
                              " 'running'") >= 0);
    (void)sim_do(x.s, "activity",
                 "{\"do\":\"create\",\"athlete\":9001,\"count\":10,\"trail\":[4000,6000]}");
    assert_true(it_eventually(x.db, SOON_MS, "SELECT count(*) = 15 FROM activities") >= 0);
    is_well(&x);
    assert_true(x.worst_ms < HEALTHY_MS);
    if (getenv("WAYMARK_FULL") != NULL) {
        /* Given up in time, and tried again by itself. */
        assert_true(
            it_eventually(x.db, 2 * (int64_t)API_MS, "SELECT count(*) = 18 FROM activities") >= 0);
        assert_true(it_now_ms() - begun >= API_MS - 1000);
    } else {
        /* Nobody waits for them to stop, either. */
        begun = it_now_ms();
        it_serve_stop(x.p);
        assert_true(it_now_ms() - begun < SOON_MS);
        x.p = serve(&x);
    }
    sim_idle(x.s);
    sync_hurry(x.db, LONG_MS);
    sync_same(x.db, x.s, SYNC_ATHLETE);
    it_holds(x.db, "NOT EXISTS (SELECT FROM q.dead)");
    it_serve_stop(x.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(damaged_answers),
        SIM_TEST(slow_answers),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
