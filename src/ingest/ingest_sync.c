/* What Strava has: the kinds of jobs that bring it in, and when they are made. */
#include "ingest/internal.h"

struct ingest_sync *ingest_sync_open(struct db_pool *pool, struct strava *strava,
                                     const struct ingest_sync_conf *conf)
{
    struct ingest_sync *s = mem_alloc(sizeof(*s));
    s->loop = db_pool_loop(pool);
    s->pool = pool;
    s->strava = strava;
    s->conf = *conf;
    return s;
}

struct ingest_sync *ingest_sync_free(struct ingest_sync *s)
{
    mem_free(s);
    return NULL;
}

void ingest_strava_kinds(struct ingest_sync *s, struct jobs_kind out[INGEST_STRAVA_KINDS])
{
    out[0] = (struct jobs_kind){.name = "strava.page", .start = ingest__page_start};
    out[1] = (struct jobs_kind){.name = "strava.look", .start = ingest__look_start};
    out[2] = (struct jobs_kind){.name = "strava.streams", .start = ingest__streams_start};
    for (size_t i = 0; i < INGEST_STRAVA_KINDS; i++) {
        out[i].batch_max = 1;
        out[i].ctx = s;
        out[i].timeout_ms = INGEST_KIND_MS;
        out[i].rate = STRAVA_RATE;
    }
}

void ingest_plan_kinds(struct ingest_sync *s, struct jobs_kind out[INGEST_PLAN_KINDS])
{
    out[0] = (struct jobs_kind){.name = "strava.plan", .start = ingest__plan_start};
    out[1] = (struct jobs_kind){.name = "strava.upkeep", .start = ingest__upkeep_start};
    for (size_t i = 0; i < INGEST_PLAN_KINDS; i++) {
        out[i].batch_max = 1;
        out[i].ctx = s;
        out[i].timeout_ms = INGEST_KIND_MS;
    }
}

/* ---- schedules ---------------------------------------------------------------------------------
 */

struct schedules_flow {
    struct flow f;
    struct db_pool *pool;
    const char *queue;
    struct db_unit u;
};
#define SCHEDULES_STEPS(STEP)                                                                      \
    STEP(schedules, make)                                                                          \
    STEP(schedules, made)
FLOW_STEPS(schedules, SCHEDULES_STEPS);

static struct schedules_flow *schedules_of(struct flow *f)
{
    return container_of(f, struct schedules_flow, f);
}

static void add_bits(struct db_unit *u, uint64_t bits, int from, int to)
{
    int64_t v[64];
    size_t n = 0;
    for (int k = from; k <= to; k++) {
        if (bits >> k & 1) {
            v[n++] = k;
        }
    }
    db_p_i64_array(u, v, n);
}

static void add_schedule(struct db_unit *u, const char *queue, const char *name, const char *spec,
                         const char *kind, const char *payload)
{
    struct jobs_cron c;
    struct err err;
    CHECK(jobs_cron_parse(span_of(spec), &c, &err) == 0);
    db_add(u, &SQL_jobs_cmd_cron_add);
    db_p_text(u, name);
    db_p_text(u, spec);
    db_p_text(u, "UTC");
    add_bits(u, c.minutes, 0, 59);
    add_bits(u, c.hours, 0, 23);
    add_bits(u, c.days, 1, 31);
    add_bits(u, c.months, 1, 12);
    add_bits(u, c.weekdays, 0, 6);
    db_p_bool(u, c.any_day);
    db_p_bool(u, c.any_hour);
    db_p_text(u, queue);
    db_p_text(u, kind);
    db_p_i64(u, 0);
    db_p_text(u, payload);
    db_p_text(u, "one");
    db_p_text(u, "waymark serve");
    db_p_text(u, "{}");
}

/* At a minute of this installation's own, so that not all of them call Strava in the same one; days
 * begin, there, at midnight UTC, with all their calls. */
static enum flow_next schedules_make(struct flow *f)
{
    struct schedules_flow *s = schedules_of(f);
    char hourly[32], daily[32], upkeep[32];
    int minute = (int)(clock_mono_ns() / 1000 % 58) + 1;
    snprintf(hourly, sizeof(hourly), "%d * * * *", minute);
    snprintf(daily, sizeof(daily), "%d 1 * * *", minute);
    snprintf(upkeep, sizeof(upkeep), "%d 2 * * *", minute);
    db_unit_init(&s->u, s->pool, f->arena, DB_TX);
    add_schedule(&s->u, s->queue, "strava.new", hourly, "strava.plan", "{\"mode\": \"new\"}");
    add_schedule(&s->u, s->queue, "strava.reconcile", daily, "strava.plan",
                 "{\"mode\": \"reconcile\"}");
    add_schedule(&s->u, s->queue, "strava.upkeep", upkeep, "strava.upkeep", "{}");
    db_add(&s->u, &SQL_ingest_rate_ensure);
    db_submit(&s->u);
    return flow_wait(f, &s->u.op, schedules_STEP_made, INGEST_UNIT_MS);
}

static enum flow_next schedules_made(struct flow *f)
{
    (void)f;
    return FLOW_DONE;
}

static void schedules_end(struct flow *f)
{
    db_unit_done(&schedules_of(f)->u);
}

static const struct flow_def schedules_def = {"ingest_schedules", schedules_steps,
                                              schedules_STEP_COUNT, schedules_end};

struct flow *ingest_schedules_flow(struct db_pool *pool, const char *queue)
{
    struct schedules_flow *s = flow_new(db_pool_loop(pool), &schedules_def, sizeof(*s), 0);
    s->pool = pool;
    s->queue = queue;
    return &s->f;
}
