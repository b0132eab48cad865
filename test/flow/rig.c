#include "flow/rig.h"

#include <stdlib.h>

#include "fake/clock.h"
#include "jobs_sql.h"

enum { LONGEST_MS = 4 * 3600 * 1000 };

static void keep_alive(uv_prepare_t *p)
{
    (void)p;
}

void rig_open(struct rig *r)
{
    struct err err;
    *r = (struct rig){.loop = NULL};
    log_init(getenv("WAYMARK_TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT,
             stderr);
    script_begin();
    r->loop = loop_new(2, &err);
    assert_non_null(r->loop);
    r->arena = arena_new(0);
    assert_int_equal(uv_prepare_init(loop_uv(r->loop), &r->alive), 0);
    assert_int_equal(uv_prepare_start(&r->alive, keep_alive), 0);
    const struct db_conf conf = {.max_conns = 2};
    r->pool = db_pool_open(r->loop, &conf);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void pass(struct rig *r, int64_t ms)
{
    fake_clock_skip(ms);
    r->now_ms += ms;
}

static void one_turn(struct rig *r, int64_t most_ms)
{
    bool busy = work_in_flight(r->loop) > 0;
    if (busy && r->skip_in_work_ms > 0) {
        uv_sleep(100); /* work that no thread has begun would be taken back, not be late */
        pass(r, r->skip_in_work_ms);
        r->skip_in_work_ms = 0;
        uv_run(loop_uv(r->loop), UV_RUN_NOWAIT);
        return;
    }
    int ms = uv_backend_timeout(loop_uv(r->loop));
    if (!busy && ms != 0) {
        if (ms < 0 && most_ms == INT64_MAX) {
            fail_msg("nothing is left to wait for");
        }
        pass(r, ms < 0 || ms > most_ms ? most_ms : ms);
    }
    uv_run(loop_uv(r->loop), busy ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void rig_until(struct rig *r, bool (*done)(void *ctx), void *ctx)
{
    int64_t end = r->now_ms + LONGEST_MS;
    while (!done(ctx)) {
        one_turn(r, INT64_MAX);
        if (r->now_ms > end) {
            fail_msg("hours have passed, and it is not done");
        }
    }
}

void rig_wait(struct rig *r, int64_t ms)
{
    int64_t end = r->now_ms + ms;
    while (r->now_ms < end || uv_backend_timeout(loop_uv(r->loop)) == 0) {
        one_turn(r, end - r->now_ms);
    }
}

static bool is_asked(void *ctx)
{
    return script_asked(ctx);
}

void rig_until_asked(struct rig *r, struct script_unit *x)
{
    rig_until(r, is_asked, x);
}

static bool is_played(void *ctx)
{
    struct rig *r = ctx;
    return script_played() && loop_flow_count(r->loop) == 0 &&
           uv_backend_timeout(loop_uv(r->loop)) != 0;
}

void rig_play(struct rig *r)
{
    rig_until(r, is_played, r);
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

static void set(struct op *op)
{
    *(bool *)op->waiter = true;
}

void rig_op(struct rig *r, struct op *op)
{
    bool done = false;
    op_await(op, set, &done);
    rig_until(r, is_set, &done);
}

void rig_flow(struct rig *r, struct flow *f, struct op *op)
{
    flow_call(f, op);
    rig_op(r, op);
}

static void mark(void *ctx)
{
    *(bool *)ctx = true;
}

void rig_close(struct rig *r)
{
    bool closed = false;
    if (r->jobs) {
        jobs_close(r->jobs, mark, &closed);
        rig_until(r, is_set, &closed);
    }
    trails_free(r->trails);
    closed = false;
    db_pool_close(r->pool, mark, &closed);
    rig_until(r, is_set, &closed);
    assert_int_equal(loop_flow_count(r->loop), 0);
    assert_int_equal(work_in_flight(r->loop), 0);
    uv_close((uv_handle_t *)&r->alive, NULL);
    uv_run(loop_uv(r->loop), UV_RUN_NOWAIT);
    loop_free(r->loop);
    arena_free(r->arena);
    script_end();
}

/* ---- a queue --------------------------------------------------------------------------------- */

struct jobs_conf rig_conf(void)
{
    static const struct db_conf db = {.url = "", .max_conns = 4};
    return (struct jobs_conf){
        .queue = "trails",
        .db = &db,
        .notify_channel = "processing",
        .batch_size = 10,
        .concurrency = 2,
        .poll_ms = 1800000,
        .drain_ms = 25000,
    };
}

void rig_queue(struct rig *r, const struct jobs_conf *conf, size_t nkinds)
{
    struct script_unit *x = script_always(RIG_BEAT, "jobs_register");
    script_row(x, 0, "i", (int64_t)RIG_ME);
    x = script_always(RIG_BEAT, "jobs_beat");
    rig_me(x, false);
    x = script_always(RIG_WORK, "jobs_sweep");
    script_row(x, 0, "i", (int64_t)0);
    x = script_always(RIG_WORK, "jobs_repair_lanes");
    script_row(x, 0, "d", 0);
    x = script_always(RIG_WORK, "jobs_maintain");
    script_row(x, 0, "d", 0);
    x = script_always(RIG_WORK, "jobs_count_depth");
    script_row(x, 0, "b", 1);
    x = script_always(RIG_WORK, "jobs_count_depth jobs_add_flow");
    script_row(x, 0, "b", 1);
    r->jobs = jobs_open(r->pool, conf, r->kinds, nkinds);
}

void rig_trails(struct rig *r, const struct trails_conf *conf)
{
    r->trails = trails_open(r->pool, conf);
    trails_kinds(r->trails, r->kinds);
    struct jobs_conf jobs = rig_conf();
    jobs.concurrency = 1;
    rig_queue(r, &jobs, TRAILS_KINDS);
}

void rig_start(struct rig *r)
{
    jobs_start(r->jobs);
}

void rig_drain(struct rig *r)
{
    struct op op;
    struct script_unit *x = script_expect(RIG_WORK, "jobs_unregister");
    script_param(x, 0, 1, "1");
    jobs_drain(r->jobs, &op);
    rig_op(r, &op);
    assert_false(op.failed);
}

struct script_unit *rig_claim(void)
{
    return script_expect(RIG_WORK, RIG_CLAIM);
}

struct script_unit *rig_claim_again(void)
{
    return script_expect(RIG_WORK, RIG_CLAIM_AGAIN);
}

void rig_claim_tail(struct script_unit *claim, int64_t due_ms, bool suspects)
{
    if (due_ms < 0) {
        script_row(claim, 0, "Ibb", (int)suspects, 0);
    } else {
        script_row(claim, 0, "ibb", due_ms, (int)suspects, 0);
    }
}

void rig_claim_limited(struct script_unit *claim)
{
    script_row(claim, 0, "Ibb", 0, 1);
}

void rig_me(struct script_unit *beat, bool draining)
{
    script_row(beat, 0, "diitdib", 0, (int64_t)RIG_ME, (int64_t)0, "", 0, (int64_t)0,
               (int)draining);
}

struct script_unit *rig_claim_empty(void)
{
    struct script_unit *x = rig_claim();
    rig_claim_tail(x, -1, false);
    return x;
}

void rig_add_job(struct script_unit *claim, const struct rig_job *j)
{
    script_row(claim, script_calls(claim) - 1, "itiidddidTt", j->id, j->kind, j->prio, (int64_t)0,
               j->attempt, j->max_attempts, 0, (int64_t)0, 0, j->payload);
}

void rig_job(struct script_unit *claim, const char *kind, int64_t id, const char *payload)
{
    rig_add_job(claim, &(struct rig_job){.kind = kind,
                                         .payload = payload,
                                         .id = id,
                                         .prio = 10,
                                         .attempt = 1,
                                         .max_attempts = 5});
}

struct script_unit *rig_expect_finish(const char *statements, const char *ids, const char *attempts)
{
    static const char finish[] = "jobs_finish";
    char text[1024], id[32] = "", attempt[32] = "";
    bool one = !strchr(ids, ',');
    assert_int_equal(strncmp(statements, finish, strlen(finish)), 0);
    snprintf(text, sizeof(text), "jobs_finish%s%s", one ? "_one" : "", statements + strlen(finish));
    if (one) {
        assert_int_equal(sscanf(ids, "{%31[0-9]}", id), 1);
        assert_int_equal(sscanf(attempts, "{%31[0-9]}", attempt), 1);
    }
    struct script_unit *x = script_expect(RIG_WORK, text);
    script_flags(x, DB_TX);
    script_param(x, 0, 1, one ? id : ids);
    script_param(x, 0, 2, one ? attempt : attempts);
    script_param(x, 0, 3, "1");
    return x;
}

struct script_unit *rig_expect_requeue(const char *ids, bool refund)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_requeue");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, ids);
    script_param(x, 0, 2, "1");
    script_param(x, 0, 5, refund ? "t" : "f");
    return x;
}

struct script_unit *rig_expect_bury(const char *ids, const char *reason)
{
    struct script_unit *x = script_expect(RIG_WORK, "jobs_bury");
    script_flags(x, DB_TX);
    script_param(x, 0, 1, ids);
    script_param(x, 0, 2, "1");
    script_param(x, 0, 3, reason);
    return x;
}
