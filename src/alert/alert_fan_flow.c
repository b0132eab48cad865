/* Kind alert: what is to be told becomes a job for each destination, in the transaction that ends
 * this one. */
#include "alert/internal.h"

struct fan_flow {
    struct flow f;
    struct alert *a;
    struct jobs_batch *b;
    struct db_unit u;
};
#define FAN_STEPS(STEP)                                                                            \
    STEP(fan, out)                                                                                 \
    STEP(fan, done)
FLOW_STEPS(fan, FAN_STEPS);

enum { CALL_FAN = 1 };

static struct fan_flow *fan_of(struct flow *f)
{
    return container_of(f, struct fan_flow, f);
}

static enum flow_next fan_out(struct flow *f)
{
    struct fan_flow *x = fan_of(f);
    const char *to[ALERT_TOS];
    size_t n = 0;
    for (int i = 0; i < ALERT_TOS; i++) {
        if (alert_has(x->a, (enum alert_to)i)) {
            to[n++] = alert_name((enum alert_to)i);
        }
    }
    db_unit_init(&x->u, x->a->pool, f->arena, DB_TX);
    jobs_add_finish(&x->u, x->b, 1);
    db_add(&x->u, &SQL_alert_fan);
    db_p_text(&x->u, x->b->job[0].payload);
    db_p_text_array(&x->u, to, n);
    db_p_i64(&x->u, x->b->job[0].id);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, fan_STEP_done, ALERT_CALL_MS);
}

static enum flow_next fan_done(struct flow *f)
{
    struct fan_flow *x = fan_of(f);
    jobs_finished(x->b, 1);
    jobs_hint(x->b->jobs);
    if (db_rows(&x->u, CALL_FAN) > 0 && !alert_has_any(x->a)) {
        log_warn("nobody is told of this: no destination of alerts is configured",
                 L_S("about", db_get_text(&x->u, CALL_FAN, 0, 0, f->arena)),
                 L_B("bad", db_get_i64(&x->u, CALL_FAN, 0, 1) != 0),
                 L_S("title", db_get_text(&x->u, CALL_FAN, 0, 2, f->arena)));
    }
    return FLOW_DONE;
}

static void fan_end(struct flow *f)
{
    db_unit_done(&fan_of(f)->u);
}

static const struct flow_def fan_def = {"alert", fan_steps, fan_STEP_COUNT, fan_end};

struct flow *alert__fan_start(struct jobs_batch *b, void *ctx)
{
    struct alert *a = ctx;
    struct fan_flow *x = flow_new(a->loop, &fan_def, sizeof(*x), 0);
    x->a = a;
    x->b = b;
    return &x->f;
}
