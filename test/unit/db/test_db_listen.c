/* The listener: notifications, reconnecting, the probe that notices a silent link. */
#include "harness.h"

struct heard {
    unsigned connects, notes;
    char last_channel[64], last_payload[64];
    struct db_listener *close_in_callback;
};

static void hear(void *ctx, const char *channel, const char *payload)
{
    struct heard *x = ctx;
    if (channel[0] == '\0') {
        x->connects++;
    } else {
        x->notes++;
        snprintf(x->last_channel, sizeof(x->last_channel), "%s", channel);
        snprintf(x->last_payload, sizeof(x->last_payload), "%s", payload);
    }
    if (x->close_in_callback != NULL) {
        db_listener_close(x->close_in_callback);
        x->close_in_callback = NULL;
    }
}

static const char *const channels[] = {"processing", "Odd \"name\"; DROP"};

static struct db_listener *open_listener(struct harness *h, struct heard *x, int64_t probe_ms)
{
    const struct db_conf conf = conf_for(h, "postgres", 1);
    return db_listener_open(h->loop, &conf, channels, COUNT_OF(channels), probe_ms, hear, x);
}

/* Until the counter has reached n. */
static void wait_until(struct harness *h, const unsigned *counter, unsigned n, int64_t limit_ms)
{
    int64_t t0 = clock_mono_ms();
    while (*counter < n) {
        if (clock_mono_ms() - t0 > limit_ms)
            fail_msg("counted %u of %u in %lld ms", *counter, n, (long long)limit_ms);
        sleep_on_loop(h->loop, 5);
    }
}

static int64_t listener_pid(void)
{
    return pg_cluster_i64(
        cluster, "postgres",
        "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'waymark test'");
}

static void test_hears(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct heard x = {0};
    struct db_listener *l = open_listener(h, &x, 60000);
    assert_false(db_listener_healthy(l));
    wait_until(h, &x.connects, 1, 5000);
    assert_true(db_listener_healthy(l));
    pg_cluster_exec(cluster, "postgres", "SELECT pg_notify('processing', 'a b')");
    wait_until(h, &x.notes, 1, 5000);
    assert_string_equal(x.last_channel, "processing");
    assert_string_equal(x.last_payload, "a b");
    pg_cluster_exec(cluster, "postgres", "NOTIFY \"Odd \"\"name\"\"; DROP\"; NOTIFY other");
    wait_until(h, &x.notes, 2, 5000);
    assert_string_equal(x.last_channel, "Odd \"name\"; DROP");
    assert_string_equal(x.last_payload, "");
    pg_cluster_exec(
        cluster, "postgres",
        "BEGIN; SELECT pg_notify('processing', g::text) FROM generate_series(1, 500) g; COMMIT");
    wait_until(h, &x.notes, 502, 5000);
    assert_int_equal(x.connects, 1);
    db_listener_close(l);
    db_listener_close(NULL);
    harness_close(h);
}

static void test_probes_itself(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct heard x = {0};
    struct db_listener *l = open_listener(h, &x, 20);
    wait_until(h, &x.connects, 1, 5000);
    sleep_on_loop(h->loop, 400);
    assert_true(db_listener_healthy(l));
    assert_int_equal(x.connects, 1);
    assert_int_equal(x.notes, 0);
    db_listener_close(l);
    harness_close(h);
}

static void test_silent_link(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct heard x = {0};
    struct db_listener *l = open_listener(h, &x, 200);
    wait_until(h, &x.connects, 1, 5000);
    pid_t pid = (pid_t)listener_pid();
    int64_t t0 = clock_mono_ms();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    wait_until(h, &x.connects, 2, 12000);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_in_range(clock_mono_ms() - t0, 4000, 12000);
    assert_true(db_listener_healthy(l));
    db_listener_close(l);
    harness_close(h);
}

static void test_comes_back(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct heard x = {0};
    char sql[80];
    struct db_listener *l = open_listener(h, &x, 100);
    wait_until(h, &x.connects, 1, 5000);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%lld)", (long long)listener_pid());
        pg_cluster_exec(cluster, "postgres", sql);
        wait_until(h, &x.connects, 2 + i, 5000);
    }
    pg_cluster_halt(cluster, SIGINT);
    sleep_on_loop(h->loop, 500);
    assert_false(db_listener_healthy(l));
    pg_cluster_resume(cluster);
    wait_until(h, &x.connects, 5, 10000);
    pg_cluster_exec(cluster, "postgres", "SELECT pg_notify('processing', 'again')");
    wait_until(h, &x.notes, 1, 5000);
    assert_string_equal(x.last_payload, "again");
    db_listener_close(l);
    harness_close(h);
}

static void test_close_at_any_moment(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms < 12; ms++) {
        struct harness *h = harness_new();
        struct heard x = {0};
        struct db_listener *l = open_listener(h, &x, 1);
        if (ms > 0)
            sleep_on_loop(h->loop, ms);
        db_listener_close(l);
        harness_close(h);
    }
    for (int on_connect = 0; on_connect < 2; on_connect++) {
        struct harness *h = harness_new();
        struct heard x = {0};
        struct db_listener *l = open_listener(h, &x, 60000);
        if (!on_connect)
            wait_until(h, &x.connects, 1, 5000);
        x.close_in_callback = l;
        if (!on_connect)
            pg_cluster_exec(cluster, "postgres", "NOTIFY processing; NOTIFY processing, 'b'");
        loop_run(h->loop); /* ends by itself when the listener is gone */
        assert_null(x.close_in_callback);
        assert_int_equal(x.notes, !on_connect);
        harness_close(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hears),
        cmocka_unit_test(test_probes_itself),
        cmocka_unit_test(test_silent_link),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_close_at_any_moment),
    };
    return run_group("db_listen", tests, COUNT_OF(tests));
}
