/* A document of everything of an athlete: whole, valid, and no faster than it is taken. */
#include <jansson.h>

#include "flow/people_rig.h"
#include "geo/geo.h"

struct world {
    struct rig r;
    struct people_export e;
    struct op op;
    struct buf got;
    size_t pieces, longest;
    size_t stop_at; /* pieces; then the reader does not take any more */
    bool slow, never;
    struct timer_op pause;
};

/* As a stream that is full: the op is the flow's, finished by a timer of ours. */
static struct op *waiting;

static void go_on(struct op *op)
{
    struct op *w = waiting;
    (void)op;
    waiting = NULL;
    op_finish(w, NULL);
}

static void give_up(struct op *op)
{
    waiting = NULL;
    op_finish_cancelled(op);
}

static int take(void *ctx, struct span piece, struct op *wait, struct err *err)
{
    struct world *w = ctx;
    if (w->stop_at && w->pieces >= w->stop_at) {
        return err_set(err, ERR_SYS, ERR_RETRY, "nobody reads any more");
    }
    assert_null(waiting); /* nothing is given while it waits */
    buf_put(&w->got, piece.p, piece.n);
    w->pieces++;
    w->longest = piece.n > w->longest ? piece.n : w->longest;
    if (!w->slow && !w->never) {
        return 0;
    }
    op_init(wait, w->r.loop, give_up);
    op_begin(wait);
    waiting = wait;
    if (w->slow) {
        timer_op_start(&w->pause, w->r.loop, 1000);
        op_await(&w->pause.op, go_on, w);
    }
    return 1;
}

static void open_world(struct world *w)
{
    *w = (struct world){.pieces = 0};
    waiting = NULL;
    rig_open(&w->r);
    grant_script_begin(w->r.loop);
    w->e = (struct people_export){.athlete_id = ATHLETE, .sink = {.write = take, .ctx = w}};
}

static void close_world(struct world *w)
{
    buf_done(&w->got);
    grant_script_end();
    rig_close(&w->r);
}

static void run(struct world *w)
{
    rig_flow(&w->r, people_export_flow(w->r.pool, &w->e), &w->op);
}

static struct script_unit *expect_head(void)
{
    struct script_unit *x = script_expect(RIG_WORK, "people_export_head");
    script_param(x, 0, 1, "42");
    script_row(x, 0, "t", "{\"version\": 1, \"athlete\": {\"id\": 42}}");
    return x;
}

static struct script_unit *expect_page(const char *after)
{
    struct script_unit *x = script_expect(RIG_WORK, "people_export_page");
    script_param(x, 0, 1, "42");
    script_param(x, 0, 2, after);
    script_param(x, 0, 3, "50");
    return x;
}

#define FIRST "-9223372036854775808"

static struct span line(struct world *w, int n)
{
    struct geo_pt *pt = arena_new_array(w->r.arena, struct geo_pt, (size_t)n);
    struct buf b = {0};
    for (int i = 0; i < n; i++) {
        pt[i] = (struct geo_pt){7 + i * 1e-5, 46.5};
    }
    geo_ewkb_line(pt, (size_t)n, &b);
    struct span ret = {arena_span_dup(w->r.arena, buf_span(&b)), b.n};
    buf_done(&b);
    return ret;
}

static void add(struct script_unit *x, int64_t id, struct span track, struct span summary)
{
    char properties[64];
    snprintf(properties, sizeof(properties), "{\"id\": %lld}", (long long)id);
    script_row(x, 0, "itwwb", id, properties, track, summary, (int)(summary.p != NULL));
}

static json_t *parsed(struct world *w)
{
    struct err err;
    json_t *root = json_read(buf_span(&w->got), 64 << 20, 12, &err);
    if (!root) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(json_string_value(json_object_get(root, "type")), "FeatureCollection");
    return root;
}

static void test_a_document(void **state)
{
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        struct world w;
        open_world(&w);
        w.slow = slow;
        struct span none = {NULL, 0};
        expect_head();
        struct script_unit *x = expect_page(FIRST);
        add(x, 5, line(&w, 3), none);
        add(x, 6, none, none);
        x = expect_page("6");
        add(x, 9, line(&w, 9000), line(&w, 2));
        expect_page("9");
        run(&w);
        assert_false(w.op.failed);
        assert_int_equal(w.e.activities, 3);
        assert_true(w.longest <= 32 * 1024);
        assert_true(w.pieces > 5);
        json_t *root = parsed(&w), *features = json_object_get(root, "features");
        assert_int_equal(json_array_size(features), 3);
        assert_true(json_is_null(json_object_get(json_array_get(features, 1), "geometry")));
        const json_t *last = json_array_get(features, 2);
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(last, "properties"), "id")), 9);
        assert_int_equal(json_array_size(json_array_get(
                             json_object_get(json_object_get(last, "geometry"), "coordinates"), 0)),
                         9000);
        assert_int_equal(json_integer_value(json_object_get(
                             json_object_get(json_object_get(root, "waymark"), "athlete"), "id")),
                         42);
        json_decref(root);
        assert_true(!slow || w.r.now_ms >= (int64_t)w.pieces * 1000);
        close_world(&w);
    }
}

static void test_nothing_recorded(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    expect_head();
    expect_page(FIRST);
    run(&w);
    assert_false(w.op.failed);
    json_t *root = parsed(&w);
    assert_int_equal(json_array_size(json_object_get(root, "features")), 0);
    json_decref(root);
    close_world(&w);
}

static void test_nobody(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    script_param(script_expect(RIG_WORK, "people_export_head"), 0, 1, "42");
    run(&w);
    assert_int_equal(w.op.err.class, ERR_PERMANENT);
    assert_string_equal(w.op.err.msg, "there is no athlete 42");
    assert_int_equal(w.pieces, 0);
    close_world(&w);
}

static void test_trouble(void **state)
{
    (void)state;
    for (int step = 0; step < 2; step++) {
        for (int what = 0; what < 4; what++) {
            struct world w;
            open_world(&w);
            struct script_unit *x = expect_head();
            x = step == 0 ? x : expect_page(FIRST);
            if (what < 2) {
                script_fails(x, what ? "42883" : "57014", "no");
            } else {
                script_silent(x);
            }
            if (what < 3) {
                run(&w);
                assert_int_equal(w.op.err.class, what == 1 ? ERR_BUG : ERR_RETRY);
            } else {
                flow_call(people_export_flow(w.r.pool, &w.e), &w.op);
                rig_until_asked(&w.r, x);
                op_cancel(&w.op);
                rig_op(&w.r, &w.op);
                assert_int_equal(w.op.err.code, UV_ECANCELED);
            }
            close_world(&w);
        }
    }
}

static bool is_waiting(void *ctx)
{
    (void)ctx;
    return waiting != NULL;
}

/* The reader goes, stops reading, or is too slow for anybody. */
static void test_the_reader(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.stop_at = 1;
    expect_head();
    expect_page(FIRST);
    run(&w);
    assert_string_equal(w.op.err.msg, "nobody reads any more");
    close_world(&w);

    open_world(&w);
    w.never = true;
    expect_head();
    run(&w);
    assert_int_equal(w.op.err.code, UV_ETIMEDOUT);
    assert_null(waiting);
    close_world(&w);

    open_world(&w);
    w.never = true;
    expect_head();
    flow_call(people_export_flow(w.r.pool, &w.e), &w.op);
    rig_until(&w.r, is_waiting, NULL);
    op_cancel(&w.op);
    rig_op(&w.r, &w.op);
    assert_int_equal(w.op.err.code, UV_ECANCELED);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document), cmocka_unit_test(test_nothing_recorded),
        cmocka_unit_test(test_nobody),     cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
