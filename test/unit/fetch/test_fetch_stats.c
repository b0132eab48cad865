/* The numbers per host. */
#include "unit/fetch/rig.h"

struct seen {
    struct fetch_stats stats[FETCH_HOSTS + 1];
    char host[FETCH_HOSTS + 1][300];
    unsigned n;
};

static void see(void *ctx, const struct fetch_stats *s)
{
    struct seen *x = ctx;
    assert_true(x->n <= FETCH_HOSTS);
    snprintf(x->host[x->n], sizeof(x->host[0]), "%s", s->host);
    x->stats[x->n++] = *s;
}

static struct seen look(struct rig *g)
{
    struct seen x = {.n = 0};
    fetch_hosts(g->f, see, &x);
    return x;
}

static void serve_some(struct peer *p)
{
    while (peer_read(p)) {
        if (strstr(p->request.p, "/slow")) {
            peer_sleep(60);
        }
        if (strstr(p->request.p, "/cut")) {
            return;
        }
        if (strstr(p->request.p, "/never")) {
            peer_until_gone(p);
            return;
        }
        peer_answer(p, strstr(p->request.p, "/missing") ? 404 : 200, "", SPAN("0123456789"));
    }
}

static void test_counts(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r, never[3];
    struct server *s = server_open(serve_some, NULL);
    rig_open(&g, &(struct fetch_conf){.max_per_host = 2});
    assert_int_equal(look(&g).n, 0);
    static const char *const paths[] = {"/", "/", "/slow", "/missing"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        rig_get(&g, &r, rig_url(&g, s, paths[i]));
        assert_false(r.op.failed);
        fetch_done(&r);
    }
    rig_get_fails(&g, rig_url(&g, s, "/cut"), FETCH_BROKEN, ERR_RETRY, "");
    for (int i = 0; i < 3; i++) {
        fetch_init(&never[i], g.f, g.a, FETCH_GET, rig_url(&g, s, "/never"));
        fetch_send(&never[i]);
    }
    struct seen x = look(&g);
    assert_int_equal(x.n, 1);
    assert_string_equal(x.host[0], arena_printf(g.a, "127.0.0.1:%u", server_port(s)));
    const struct fetch_stats *t = &x.stats[0];
    assert_int_equal(t->answers[2], 3);
    assert_int_equal(t->answers[4], 1);
    assert_int_equal(t->answers[0] + t->answers[1] + t->answers[3] + t->answers[5], 0);
    assert_int_equal(t->failures[FETCH_BROKEN], 1);
    assert_int_equal(t->in_flight, 2);
    assert_int_equal(t->waiting, 1);
    assert_in_range(t->bytes_in, 4 * 50, 4 * 70);
    uint64_t n = 0, late = 0;
    for (unsigned i = 0; i <= FETCH_BUCKETS; i++) {
        n += t->latency[i];
        late += i >= 3 ? t->latency[i] : 0; /* over 50 ms */
    }
    assert_int_equal(n, 4);
    assert_true(late >= 1);
    assert_in_range(t->latency_sum_ms, 60, 10000);
    for (int i = 0; i < 3; i++) {
        op_cancel(&never[i].op);
        rig_wait(&g, &never[i]);
        fetch_done(&never[i]);
    }
    x = look(&g);
    assert_int_equal(x.stats[0].failures[FETCH_CANCELLED], 3);
    assert_int_equal(x.stats[0].in_flight + x.stats[0].waiting, 0);
    rig_close(&g);
    server_close(s);
}

static void test_hosts(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    for (int i = 0; i < 40; i++) {
        rig_get_fails(&g, arena_printf(g.a, "https://h%d.invalid/", i % 20), FETCH_RESOLVE,
                      ERR_RETRY, ".invalid");
    }
    struct seen x = look(&g);
    assert_int_equal(x.n, FETCH_HOSTS + 1);
    for (int i = 0; i < FETCH_HOSTS; i++) {
        assert_string_equal(x.host[i], arena_printf(g.a, "h%d.invalid", i));
        assert_int_equal(x.stats[i].failures[FETCH_RESOLVE], 2);
    }
    assert_string_equal(x.host[FETCH_HOSTS], "other");
    assert_int_equal(x.stats[FETCH_HOSTS].failures[FETCH_RESOLVE], 8);
    rig_close(&g);
    assert_true(fetch_bucket_ms[0] > 0);
    for (int i = 1; i < FETCH_BUCKETS; i++) {
        assert_true(fetch_bucket_ms[i] > fetch_bucket_ms[i - 1]);
    }
    for (int i = 0; i < FETCH_FAILURES; i++) {
        assert_true(strlen(fetch_failure_name(i)) > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
