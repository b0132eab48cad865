/* Kind alert.watch, and its schedule. */
#include "alert/internal.h"

struct watch_flow {
    struct flow f;
    struct alert *a;
    struct jobs_batch *b; /* NULL: only the schedule is made */
    struct db_unit u;
};
#define WATCH_STEPS(STEP)                                                                          \
    STEP(watch, look)                                                                              \
    STEP(watch, looked)
FLOW_STEPS(watch, WATCH_STEPS);

static struct watch_flow *watch_of(struct flow *f)
{
    return container_of(f, struct watch_flow, f);
}

static enum flow_next watch_look(struct flow *f)
{
    struct watch_flow *w = watch_of(f);
    db_unit_init(&w->u, w->a->pool, f->arena, DB_TX);
    jobs_add_finish(&w->u, w->b, 1);
    db_add(&w->u, &SQL_alert_watch);
    db_p_f64(&w->u, (double)w->a->conf.quiet_after_ms / 1000);
    db_submit(&w->u);
    return flow_wait(f, &w->u.op, watch_STEP_looked, ALERT_CALL_MS);
}

static enum flow_next watch_looked(struct flow *f)
{
    struct watch_flow *w = watch_of(f);
    jobs_finished(w->b, 1);
    jobs_hint(w->b->jobs);
    return FLOW_DONE;
}

static void watch_end(struct flow *f)
{
    db_unit_done(&watch_of(f)->u);
}

static const struct flow_def watch_def = {"alert_watch", watch_steps, watch_STEP_COUNT, watch_end};

struct flow *alert__watch_start(struct jobs_batch *b, void *ctx)
{
    struct alert *a = ctx;
    struct watch_flow *w = flow_new(a->loop, &watch_def, sizeof(*w), 0);
    w->a = a;
    w->b = b;
    return &w->f;
}

/* ---- its schedule ---------------------------------------------------------------------------- */

#define SCHEDULE_STEPS(STEP)                                                                       \
    STEP(schedule, make)                                                                           \
    STEP(schedule, made)
FLOW_STEPS(schedule, SCHEDULE_STEPS);

static enum flow_next schedule_make(struct flow *f)
{
    struct watch_flow *w = watch_of(f);
    db_unit_init(&w->u, w->a->pool, f->arena, 0);
    db_add(&w->u, &SQL_alert_watch_ensure);
    db_p_text(&w->u, w->a->conf.queue);
    db_submit(&w->u);
    return flow_wait(f, &w->u.op, schedule_STEP_made, ALERT_CALL_MS);
}

static enum flow_next schedule_made(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static const struct flow_def schedule_def = {"alert_schedule", schedule_steps, schedule_STEP_COUNT,
                                             watch_end};

struct flow *alert_start_flow(struct alert *a)
{
    struct watch_flow *w = flow_new(a->loop, &schedule_def, sizeof(*w), 0);
    w->a = a;
    return &w->f;
}
