/* Waiting for a server that may not be up yet. */
#include "db/internal.h"

#define WAIT_STEPS(STEP)                                                                           \
    STEP(wait, begin)                                                                              \
    STEP(wait, try)                                                                                \
    STEP(wait, look)
FLOW_STEPS(wait, WAIT_STEPS);

struct wait {
    struct flow flow;
    struct db_conf conf;
    struct db__dsn *dsn;
    struct db__session session;
    struct timer_op delay;
    int64_t until_ms, backoff_ms;
    struct err told;
    void (*on_wait)(void *ctx, const struct err *why);
    void *ctx;
};

static struct wait *wait_of(struct flow *f)
{
    return container_of(f, struct wait, flow);
}

static enum flow_next wait_begin(struct flow *f)
{
    struct wait *w = wait_of(f);
    const int64_t now = loop_now_ms(f->loop);
    /* INT64_MAX, for ever, stays so. */
    w->until_ms = w->until_ms > INT64_MAX - now ? INT64_MAX : w->until_ms + now;
    w->dsn = db__dsn_new(w->conf.url, &f->err);
    if (w->dsn == NULL)
        return flow_fail(f);
    db__session_init(&w->session, f->loop, &w->conf, w->dsn);
    return FLOW_NEXT;
}

static enum flow_next wait_try(struct flow *f)
{
    struct wait *w = wait_of(f);
    db__session_open(&w->session);
    return flow_wait_any(f, &w->session.op, wait_STEP_look, 0);
}

static enum flow_next wait_look(struct flow *f)
{
    struct wait *w = wait_of(f);
    const struct op *op = &w->session.op;
    if (!op->failed)
        return FLOW_DONE;
    f->err = op->err;
    if (db__err_hopeless(&f->err)) {
        f->err.domain = ERR_CONF;
        f->err.class = ERR_PERMANENT;
        return flow_fail(f);
    }
    int64_t delay = db__backoff_next(&w->backoff_ms);
    int64_t left = w->until_ms - loop_now_ms(f->loop);
    if (left <= 0)
        return flow_fail(f);
    if (w->on_wait != NULL && strcmp(w->told.msg, f->err.msg) != 0)
        w->on_wait(w->ctx, &f->err);
    w->told = f->err;
    timer_op_start(&w->delay, f->loop, delay < left ? delay : left);
    return flow_wait(f, &w->delay.op, wait_STEP_try, 0);
}

static void wait_end(struct flow *f)
{
    struct wait *w = wait_of(f);
    if (w->dsn != NULL)
        db__session_close(&w->session);
    w->dsn = db__dsn_free(w->dsn);
    db__conf_done(&w->conf);
}

static const struct flow_def wait_def = {"db_wait", wait_steps, wait_STEP_COUNT, wait_end};

struct flow *db_wait_flow(struct loop *l, const struct db_conf *conf, int64_t wait_ms,
                          void (*on_wait)(void *ctx, const struct err *why), void *ctx)
{
    struct wait *w = flow_new(l, &wait_def, sizeof(*w), 0);
    db__conf_copy(&w->conf, conf);
    w->until_ms = wait_ms;
    w->on_wait = on_wait;
    w->ctx = ctx;
    return &w->flow;
}
