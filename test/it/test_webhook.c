/* The address that Strava pushes events to: its challenge, what is acknowledged and what is not,
 * and that what is acknowledged is kept whatever ends whom. */
#include "it/hook.h"

#include <signal.h>

#include "it/load.h"

enum { SENDERS = 16, RIGHT_MS = 1800 };

/* Within what an answer must come. A machine that is busy elsewhere delays also who asks. */
static int64_t right_ms(void)
{
    return RIGHT_MS + (getenv("WAYMARK_FULL") != NULL ? 100 : 3000);
}

static struct it_proc *serve(struct it_db *db, const char **address)
{
    struct it_proc *p = it_serve(db, IT_LIST(HOOK_ENV));
    *address = http_address(p, "http");
    return p;
}

/* Athletes 1 and 2, connected, to the subscription that the events name. */
static void connect_them(struct it_db *db)
{
    /* Jobs are looked at, not done: there is no Strava here. */
    it_exec(db, "INSERT INTO q.pause (queue) VALUES ('strava')");
    it_exec(db, "INSERT INTO athletes (id) VALUES (1), (2);"
                "INSERT INTO strava.account (athlete_id) VALUES (1), (2);"
                "INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (1, 'a',"
                " now());"
                "INSERT INTO activities (id, athlete_id, activity_type) VALUES (77, 1, 'Run');"
                "UPDATE strava.app SET subscription_id = 120475");
}

/* ---- the challenge --------------------------------------------------------------------------- */

static struct http_answer ask(const char *address, const char *query)
{
    return http_ask(address, "GET", it_format("%s%s", HOOK_PATH, query), NULL, NULL);
}

static void is_answered(struct http_answer a, const char *challenge)
{
    http_is(a, 200);
    assert_string_equal(http_field(&a, "Content-Type"), "application/json");
    assert_string_equal(a.body, it_format("{\"hub.challenge\":\"%s\"}", challenge));
}

static void the_challenge(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *address;
    struct it_proc *p = serve(db, &address);
    http_is(ask(address, "?hub.mode=subscribe&hub.challenge=a&hub.verify_token=b"), 403);
    const char *word = it_text(db, "SELECT verify_token FROM strava.app");
    assert_int_equal(strlen(word), 32);
    is_answered(ask(address, it_format("?hub.mode=subscribe&hub.challenge=15f7d1a91c1f40f8&"
                                       "hub.verify_token=%s",
                                       word)),
                "15f7d1a91c1f40f8");
    is_answered(
        ask(address, it_format("?hub.verify_token=%s&hub.challenge=x&hub.mode=subscribe", word)),
        "x");
    /* Escaped everywhere, and among parameters of the address's own. */
    is_answered(ask(address, it_format("?key=v&%%68ub%%2Emode=%%73ubscribe&hub%%2Echallenge="
                                       "%%22%%C3%%A9+%%0A&hub.verify_token=%%%02x%s&a=",
                                       word[0], word + 1)),
                "\\\"\xc3\xa9 \\n");
    const char *const wrong[] = {
        "",
        "?hub.mode=subscribe&hub.challenge=a",
        it_format("?hub.mode=subscribe&hub.verify_token=%s", word),
        it_format("?hub.challenge=a&hub.verify_token=%s", word),
        it_format("?hub.mode=unsubscribe&hub.challenge=a&hub.verify_token=%s", word),
        it_format("?hub.mode=subscribe&hub.challenge=a&hub.challenge=b&hub.verify_token=%s", word),
        it_format("?hub.mode=subscribe&hub.challenge=%s&hub.verify_token=%s",
                  (char *)memset(it_keep(calloc(1, 1026)), 'c', 1025), word),
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        http_is(ask(address, wrong[i]), 400);
    const char *const guesses[] = {"", "a", it_format("%s0", word), it_format("%.31s", word),
                                   it_format("%.31s%c", word, word[31] == '0' ? '1' : '0')};
    for (size_t i = 0; i < sizeof(guesses) / sizeof(*guesses); i++)
        http_is(ask(address, it_format("?hub.mode=subscribe&hub.challenge=a&hub.verify_token=%s",
                                       guesses[i])),
                403);
    it_serve_stop(p);
    assert_null(strstr(it_errors(p), word));
    assert_null(strstr(it_errors(p), HOOK_PATH));
    /* It stays the same, for every instance. */
    p = serve(db, &address);
    is_answered(
        ask(address, it_format("?hub.mode=subscribe&hub.challenge=a&hub.verify_token=%s", word)),
        "a");
    it_serve_stop(p);
}

static void only_where_it_is_configured(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0"));
    assert_int_equal(hook_push(http_address(p, "http"), "create", 1, 1), 404);
    it_serve_stop(p);
    /* At the front page's place both have theirs. */
    p = it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "STRAVA_CLIENT_ID=1",
                             "STRAVA_CLIENT_SECRET=s", "WAYMARK_STRAVA_SUBSCRIPTION=off",
                             "STRAVA_CALLBACK_URL=https://trails.example.org"));
    const char *address = http_address(p, "http");
    struct http_answer a = http_ask(address, "GET", "/", NULL, NULL);
    http_is(a, 200);
    http_has(a, "Waymark");
    http_is(http_ask(address, "GET", "/?hub.mode=subscribe&hub.challenge=a&hub.verify_token=b",
                     NULL, NULL),
            403);
    it_serve_stop(p);
    struct it_result r = it_must(db, IT_LIST("STRAVA_CALLBACK_URL=https://trails.example.org/{x}"),
                                 IT_LIST("config", "check"), 78);
    assert_non_null(strstr(r.err, "STRAVA_CALLBACK_URL"));
}

/* ---- what is acknowledged -------------------------------------------------------------------- */

#define VALID_BUT_UPDATES                                                                          \
    "\"aspect_type\":\"create\",\"event_time\":1782864000,\"object_id\":16181809559,"              \
    "\"object_type\":\"activity\",\"owner_id\":1,\"subscription_id\":120475"
#define VALID VALID_BUT_UPDATES ",\"updates\":{}"

struct push {
    const char *what, *type, *body;
    size_t n; /* 0: all of it */
    int status;
    bool kept;
};

static char *filled(size_t n, const char *around)
{
    char *p = it_keep(calloc(1, n + 1));
    size_t before = strcspn(around, "*");
    memset(p, 'a', n);
    memcpy(p, around, before);
    memcpy(p + n - strlen(around + before + 1), around + before + 1, strlen(around + before + 1));
    return p;
}

static char *nested(unsigned depth)
{
    char *p = it_keep(calloc(1, 2 * depth + 1));
    memset(p, '[', depth);
    memset(p + depth, ']', depth);
    return p;
}

static void what_is_acknowledged(void **state)
{
    (void)state;
    static const char json[] = "application/json";
    const struct push row[] = {
        {"an event", json, "{" VALID "}", 0, 200, true},
        {"without a type", NULL, "{" VALID "}", 0, 200, true},
        {"a charset", "Application/JSON; charset=utf-8", "{" VALID "}", 0, 200, true},
        {"what nobody knows", json, "{" VALID ",\"new\":{\"a\":[1]}}", 0, 200, true},
        {"ids as strings", json,
         "{\"aspect_type\":\"update\",\"event_time\":\"1782864000\",\"object_id\":\"5\","
         "\"object_type\":\"activity\",\"owner_id\":\"1\",\"subscription_id\":\"120475\"}",
         0, 200, true},
        {"another type", "text/plain", "{" VALID "}", 0, 415, false},
        {"a type that begins so", "application/jsonp", "{" VALID "}", 0, 415, false},
        {"nothing", json, "", 0, 400, false},
        {"no JSON", json, "hello", 0, 400, false},
        {"half of it", json, "{" VALID, 0, 400, false},
        {"something behind it", json, "{" VALID "} {}", 0, 400, false},
        {"a byte order mark", json, "\xef\xbb\xbf{" VALID "}", 0, 400, false},
        {"a key twice", json, "{" VALID ",\"owner_id\":2}", 0, 400, false},
        {"bad UTF-8", json, "{" VALID ",\"a\":\"\xc3\x28\"}", 0, 400, false},
        {"a surrogate alone", json, "{" VALID ",\"a\":\"\\ud800\"}", 0, 400, false},
        {"NUL", json, "{" VALID "\0}", sizeof(VALID) + 2, 400, false},
        {"NUL escaped", json, "{" VALID ",\"a\":\"\\u0000\"}", 0, 200, true},
        {"too deep", json, it_format("{%s,\"a\":%s}", VALID, nested(9)), 0, 400, false},
        {"much too deep", json, nested(20000), 0, 400, false},
        {"a number beyond all", json,
         "{\"aspect_type\":\"create\",\"event_time\":1,\"object_type\":\"activity\",\"owner_id\":1,"
         "\"subscription_id\":1,\"object_id\":99999999999999999999999999}",
         0, 400, false},
        {"infinity", json, "{" VALID ",\"a\":1e999}", 0, 400, false},
        {"an array", json, "[{" VALID "}]", 0, 200, false},
        {"a number", json, "42", 0, 400, false},
        {"null", json, "null", 0, 400, false},
        {"nothing in it", json, "{}", 0, 200, false},
        {"a kind that nobody knows", json,
         "{\"aspect_type\":\"create\",\"event_time\":1,\"object_id\":1,\"object_type\":\"gear\","
         "\"owner_id\":1,\"subscription_id\":1,\"updates\":{}}",
         0, 200, false},
        {"no whole number", json,
         "{\"aspect_type\":\"create\",\"event_time\":1,\"object_id\":1.5,\"object_type\":"
         "\"activity\",\"owner_id\":1,\"subscription_id\":1,\"updates\":{}}",
         0, 200, false},
        {"updates of a wrong type", json,
         "{\"aspect_type\":\"create\",\"event_time\":1,\"object_id\":8,\"object_type\":"
         "\"activity\",\"owner_id\":1,\"subscription_id\":1,\"updates\":[[{}]]}",
         0, 200, true},
        {"a time that no calendar has", json,
         "{\"aspect_type\":\"create\",\"event_time\":9223372036854775807,\"object_id\":8,"
         "\"object_type\":\"activity\",\"owner_id\":9223372036854775807,\"subscription_id\":1}",
         0, 200, true},
        {"larger than any event", json, filled(20000, "{" VALID ",\"a\":\"*\"}"), 0, 200, false},
        {"larger than we read", json, filled(70000, "{" VALID ",\"a\":\"*\"}"), 0, 413, false},
        {"a megabyte", json, filled(1 << 20, "{" VALID ",\"a\":\"*\"}"), 0, 413, false},
    };
    struct it_db *db = it_db_new();
    const char *address;
    struct it_proc *p = serve(db, &address);
    const char *admin = http_address(p, "admin");
    for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
        const struct push *r = &row[i];
        it_exec(db, "DELETE FROM strava.event");
        int status = hook_post(address, r->type, r->body, r->n ? r->n : strlen(r->body));
        int64_t n = it_i64(db, "SELECT count(*) FROM strava.event");
        if (status != r->status || n != r->kept)
            fail_msg("%s: answered %d, kept %lld", r->what, status, (long long)n);
        http_is(http_ask(admin, "GET", "/healthz", NULL, NULL), 200);
    }
    http_is(http_ask(address, "PUT", HOOK_PATH, NULL, "{}"), 405);
    http_is(http_ask(address, "POST", HOOK_PATH, "Content-Encoding: gzip\r\n", "{}"), 415);
    it_serve_stop(p);
}

/* One in which some bytes are others, left out, or come twice. */
static size_t mangle(char *p, size_t n, size_t room, uint64_t *seed)
{
    static const char odd[] = "\"\\{}[]:,0123456789eE+-.ntf\0\x01\x7f\x80\xc3\xff \n\tu";
    for (uint64_t times = 1 + load_random(seed, 6); times > 0 && n > 8; times--) {
        size_t at = load_random(seed, n), some = 1 + load_random(seed, 8);
        some = some < n - at ? some : n - at;
        switch (load_random(seed, 4)) {
        case 0:
            p[at] = odd[load_random(seed, sizeof(odd) - 1)];
            break;
        case 1:
            memmove(p + at, p + at + some, n - at - some);
            n -= some;
            break;
        case 2:
            if (n + some <= room) {
                memmove(p + at + some, p + at, n - at);
                n += some;
            }
            break;
        default:
            p[at] = (char)load_random(seed, 256);
            break;
        }
    }
    return n;
}

enum { MANGLED = 4000 };

static void mangled_events(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new();
    const char *address;
    unsigned status[600] = {0};
    connect_them(db);
    struct it_proc *p = serve(db, &address);
    const char *admin = http_address(p, "admin");
    int fd = -1;
    for (int i = 0; i < MANGLED; i++) {
        char body[900] = "{" VALID_BUT_UPDATES ",\"updates\":{\"title\":\"a\"}}";
        size_t n = mangle(body, strlen(body), sizeof(body), &seed);
        fd = fd >= 0 ? fd : http_connect(address);
        int got = hook_say(fd, "application/json", body, n, 20000);
        assert_true(got == 200 || got == 400);
        status[got]++;
        if (got != 200) { /* of that answer the body was not read */
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    print_message("%u acknowledged, %u refused, %lld kept\n", status[200], status[400],
                  (long long)it_i64(db, "SELECT count(*) FROM strava.event"));
    assert_true(status[200] > 20 && status[400] > MANGLED / 2);
    it_holds(db, "(SELECT count(*) FROM strava.event) BETWEEN 1 AND %u", status[200]);
    http_is(http_ask(admin, "GET", "/readyz", NULL, NULL), 200);
    assert_true(
        it_eventually(db, 20000,
                      "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)") >= 0);
    it_serve_stop(p);
}

/* ---- what follows ---------------------------------------------------------------------------- */

/* At once jobs, however busy Strava is; and nothing that anybody says without proof does more. */
static void only_jobs_follow(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *address;
    connect_them(db);
    struct it_proc *p = serve(db, &address);
    const char *rows = it_text(
        db, "SELECT md5(string_agg(a::text, ',')) FROM (SELECT a FROM athletes a ORDER BY id) a");
    int64_t begun = it_now_ms();
    assert_int_equal(hook_push(address, "create", 78, 1), 200);
    assert_true(it_eventually(db, 5000,
                              "SELECT EXISTS (SELECT FROM q.job WHERE queue = 'strava' AND kind ="
                              " 'strava.look' AND ukey = 'look:78' AND tenant = 1 AND prio = 2)") >=
                0);
    print_message("from the push to the job: %lld ms\n", (long long)(it_now_ms() - begun));
    /* Forged: a delete, a withdrawal, of athletes that there are and are not. */
    assert_int_equal(hook_push(address, "delete", 77, 1), 200);
    assert_int_equal(hook_push(address, "delete", 77, 99), 200);
    for (int owner = 1; owner < 4; owner++) {
        const char *body =
            it_format("{\"aspect_type\":\"update\",\"event_time\":1,\"object_id\":%d,"
                      "\"object_type\":\"athlete\",\"owner_id\":%d,\"subscription_id\":%d,"
                      "\"updates\":{\"authorized\":\"false\"}}",
                      owner, owner, owner == 2 ? 5 : 120475);
        for (int i = 0; i < 3; i++)
            assert_int_equal(hook_post(address, "application/json", body, strlen(body)), 200);
    }
    assert_true(it_eventually(db, 5000,
                              "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)"
                              " AND NOT EXISTS (SELECT FROM q.job WHERE kind ="
                              " 'strava.events')") >= 0);
    assert_string_equal(it_text(db, "SELECT string_agg(verdict || ' ' || n, ', ' ORDER BY verdict)"
                                    " FROM (SELECT verdict, count(*) AS n FROM strava.event GROUP"
                                    " BY 1) v"),
                        "check 3, foreign 3, look 2, unknown 4");
    assert_string_equal(it_text(db, "SELECT string_agg(ukey, ' ' ORDER BY ukey) FROM q.job"
                                    " WHERE queue = 'strava'"),
                        "check:1 look:77 look:78");
    it_holds(db, "(SELECT count(*) FROM activities) = 1 AND (SELECT count(*) FROM strava.account)"
                 " = 2 AND (SELECT count(*) FROM access_tokens) = 1");
    assert_string_equal(it_text(db, "SELECT md5(string_agg(a::text, ',')) FROM (SELECT a FROM"
                                    " athletes a ORDER BY id) a"),
                        rows);
    it_serve_stop(p);
}

/* ---- the database goes and comes ------------------------------------------------------------- */

static void the_database_is_slow(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    connect_them(db);
    const char *address;
    struct it_proc *p = serve(db, &address);
    const char *admin = http_address(p, "admin");
    assert_int_equal(hook_push(address, "create", 1, 1), 200);
    it_exec(db, "BEGIN; LOCK TABLE strava.event");
    atomic_bool stop = false;
    struct hook_sender s[4];
    for (int i = 0; i < 4; i++)
        s[i] = (struct hook_sender){
            .address = address, .first = 1000 * (i + 1), .many = 900, .owner = 1, .stop = &stop};
    hook_start(s, 4);
    for (int i = 0; i < 20; i++) {
        struct http_answer a = http_ask(admin, "GET", "/healthz", NULL, NULL);
        http_is(a, 200);
        assert_true(a.ms < 1000);
        it_pause_ms(200);
    }
    it_exec(db, "COMMIT");
    it_pause_ms(2500);
    assert_int_equal(hook_push(address, "create", 2, 1), 200);
    stop = true;
    hook_join(s, 4);
    for (int i = 0; i < 4; i++) {
        print_message("refused %ld, the worst answer took %lld ms\n", s[i].refused,
                      (long long)s[i].worst_ms);
        assert_true(s[i].refused >= 2);
        assert_int_equal(s[i].broken, 0);
        assert_true(s[i].acked > 0);
        assert_true(s[i].worst_ms <= right_ms());
    }
    hook_all_kept(db, s, 4);
    it_serve_stop(p);
}

static void the_database_stops_and_starts(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    connect_them(db);
    const char *address;
    struct it_proc *p = serve(db, &address);
    const char *admin = http_address(p, "admin");
    for (int round = 0; round < 2; round++) {
        struct hook_sender s[SENDERS];
        for (int i = 0; i < SENDERS; i++)
            s[i] = (struct hook_sender){.address = address,
                                        .first = 100000 * (round + 1) + 1000 * i,
                                        .many = 300,
                                        .owner = 1,
                                        .again = true};
        hook_start(s, SENDERS);
        it_pause_ms(100);
        /* Not SIGKILL: a backend that is always asked something outlives its postmaster for a
         * while. */
        pg_cluster_halt(it_cluster(), round ? SIGQUIT : SIGINT);
        int64_t until = it_now_ms() + 2000, worst_ms = 0;
        unsigned unhealthy = 0, taken = 0;
        while (it_now_ms() < until) {
            unhealthy += http_ask(admin, "GET", "/healthz", NULL, NULL).status != 200;
            int64_t begun = it_now_ms();
            taken += hook_push(address, "create", 1, 1) != 503;
            worst_ms = it_now_ms() - begun > worst_ms ? it_now_ms() - begun : worst_ms;
        }
        pg_cluster_resume(it_cluster());
        hook_join(s, SENDERS); /* first: they are at work in our frame */
        assert_int_equal(unhealthy, 0);
        assert_int_equal(taken, 0);
        assert_true(worst_ms <= right_ms());
        PQreset(db->pg);
        long acked = hook_all_kept(db, s, SENDERS);
        assert_int_equal(acked, SENDERS * 300);
        for (int i = 0; i < SENDERS; i++) {
            assert_int_equal(s[i].broken, 0);
            assert_true(s[i].worst_ms <= right_ms());
        }
    }
    it_serve_stop(p);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* What was acknowledged before SIGKILL is there, and jobs of it follow. */
static void killed_after_200(void **state)
{
    (void)state;
    uint64_t seed = load_seed();
    struct it_db *db = it_db_new();
    connect_them(db);
    long acked = 0, kills = 0;
    for (int64_t until = it_now_ms() + load_chaos_ms(5); kills < 6 || it_now_ms() < until;
         kills++) {
        const char *address;
        struct it_proc *p = serve(db, &address);
        struct hook_sender s[SENDERS];
        atomic_bool stop = false;
        for (int i = 0; i < SENDERS; i++)
            s[i] = (struct hook_sender){.address = address,
                                        .first = 1000000 * (kills + 1) + 50000 * i,
                                        .many = 20000,
                                        .owner = 1 + i % 2,
                                        .stop = &stop};
        hook_start(s, SENDERS);
        it_pause_ms(50 + (int64_t)load_random(&seed, 400));
        it_signal(p, SIGKILL);
        stop = true;
        hook_join(s, SENDERS);
        assert_int_equal(it_wait(p, 20000).status, 128 + SIGKILL);
        acked += hook_all_kept(db, s, SENDERS);
    }
    assert_true(acked > kills * SENDERS);
    const char *address;
    struct it_proc *p = serve(db, &address);
    /* The service takes its time over their jobs: it is helped. */
    while (it_i64(db, "SELECT events FROM strava.dispatch(2000)") > 0) {
    }
    assert_true(it_eventually(db, 20000,
                              "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)"
                              " AND NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.events')") >=
                0);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE queue = 'strava') = (SELECT count(DISTINCT"
                 " object_id) FROM strava.event)");
    print_message("%ld kills, %ld acknowledged, %lld kept\n", kills, acked,
                  (long long)it_i64(db, "SELECT count(*) FROM strava.event"));
    it_serve_stop(p);
}

/* ---- a burst --------------------------------------------------------------------------------- */

enum { BURST = 100000, AT_ONCE = 64 };

static void a_burst_is_kept(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    const char *address;
    connect_them(db);
    struct it_proc *p = serve(db, &address);
    struct hook_sender s[AT_ONCE];
    int64_t begun = it_now_ms(), worst = 0;
    for (int i = 0; i < AT_ONCE; i++)
        s[i] = (struct hook_sender){.address = address,
                                    .first = 1000000 + 10000 * i,
                                    .many = BURST / AT_ONCE + (i < BURST % AT_ONCE),
                                    .owner = 1 + i % 2};
    hook_start(s, AT_ONCE);
    hook_join(s, AT_ONCE);
    int64_t ms = it_now_ms() - begun;
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(s[i].refused + s[i].broken, 0);
        worst = s[i].worst_ms > worst ? s[i].worst_ms : worst;
    }
    assert_int_equal(hook_all_kept(db, s, AT_ONCE), BURST);
    it_holds(db, "(SELECT count(*) FROM strava.event) = %d", BURST);
    print_message("%d events in %lld ms, the worst answer took %lld ms\n", BURST, (long long)ms,
                  (long long)worst);
    /* The service takes its time over their jobs: it is helped. */
    while (it_i64(db, "SELECT events FROM strava.dispatch(2000)") > 0) {
    }
    assert_true(it_eventually(db, 20000,
                              "SELECT NOT EXISTS (SELECT FROM strava.event WHERE done_at IS NULL)"
                              " AND NOT EXISTS (SELECT FROM q.job WHERE kind = 'strava.events')") >=
                0);
    it_holds(db, "(SELECT count(*) FROM q.job WHERE kind = 'strava.look') = %d", BURST);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(the_challenge),
        IT_TEST(only_where_it_is_configured),
        IT_TEST(what_is_acknowledged),
        IT_TEST(mangled_events),
        IT_TEST(only_jobs_follow),
        IT_TEST(the_database_is_slow),
        IT_TEST(the_database_stops_and_starts),
        IT_TEST(killed_after_200),
        IT_TEST(a_burst_is_kept),
    };
    return cmocka_run_group_tests(tests, it_up_large, it_down);
}
