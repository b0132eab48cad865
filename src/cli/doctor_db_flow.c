/* Asks the database all that doctor wants to know. A question that fails keeps its error and hides
 * no other. Every connection is used as through a pooler, so that nothing of ours stays in a
 * session, and each question is a statement of its own. */
#include "cli/doctor.h"
#include "store/store.h"

#include "cli_sql.h"

#include <unistd.h>

enum { CONNECT_MS = 4000, ASK_MS = 4000, LISTEN_MS = 3000, LOOK_MS = 20 };

struct doctor_db_flow {
    struct flow f;
    struct arena *a;
    struct doctor_db *d;
    const char *url, *direct_url;
    struct db_conf conf, url_conf;
    struct op op;
    struct db_pool *pool, *url_pool;
    struct db_listener *listener;
    bool listens;
    char channel[64], word[32];
    struct db_unit u;
    struct timer_op pause;
    int64_t since_ms, asked_us;
};
#define DBDOCTOR_STEPS(STEP)                                                                       \
    STEP(dbdoctor, connect)                                                                        \
    STEP(dbdoctor, connected) /* -> the end, if it did not */                                      \
    STEP(dbdoctor, server)                                                                         \
    STEP(dbdoctor, load)                                                                           \
    STEP(dbdoctor, rights)                                                                         \
    STEP(dbdoctor, schema) /* -> zones, if there is none */                                        \
    STEP(dbdoctor, instances)                                                                      \
    STEP(dbdoctor, queue)                                                                          \
    STEP(dbdoctor, strava)                                                                         \
    STEP(dbdoctor, zones)                                                                          \
    STEP(dbdoctor, notify) /* waits for LISTEN */                                                  \
    STEP(dbdoctor, hear)   /* waits for the word */                                                \
    STEP(dbdoctor, identify)                                                                       \
    STEP(dbdoctor, compare)                                                                        \
    STEP(dbdoctor, done)
FLOW_STEPS(dbdoctor, DBDOCTOR_STEPS);

static struct doctor_db_flow *of(struct flow *f)
{
    return container_of(f, struct doctor_db_flow, f);
}

static enum flow_next ask(struct doctor_db_flow *x, struct db_pool *pool, const struct db_stmt *s,
                          unsigned next)
{
    db_unit_init(&x->u, pool, x->f.arena, DB_READONLY);
    x->u.statement_timeout_ms = ASK_MS;
    db_add(&x->u, s);
    x->asked_us = clock_wall_us();
    db_submit(&x->u);
    return flow_wait_any(&x->f, &x->u.op, next, ASK_MS);
}

/* Whether the answer to the last question is there; else p tells why not. */
static bool answered(struct doctor_db_flow *x, struct doctor_part *p)
{
    p->answered = !x->u.op.failed && db_rows(&x->u, 0) >= 0;
    if (!p->answered)
        p->err = x->u.op.err;
    return p->answered;
}

static const char *text(struct doctor_db_flow *x, int row, int col)
{
    return db_get_text(&x->u, 0, row, col, x->a);
}

static int64_t i64(struct doctor_db_flow *x, int col)
{
    return db_get_i64(&x->u, 0, 0, col);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static enum flow_next dbdoctor_connect(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    x->url_conf = (struct db_conf){
        .url = x->url,
        .max_conns = 1,
        .connect_timeout_ms = CONNECT_MS,
        .statement_timeout_ms = ASK_MS,
        .application_name = "waymark doctor",
        .pooled = true,
    };
    x->conf = x->url_conf;
    if (x->direct_url)
        x->conf.url = x->direct_url;
    char *where = db_url_redacted(x->conf.url);
    x->d->where = arena_tame(x->a, where);
    mem_free(where);
    x->since_ms = clock_mono_ms();
    flow_call(db_wait_flow(f->loop, &x->conf, 0, NULL, NULL), &x->op);
    return flow_wait_any(f, &x->op, dbdoctor_STEP_connected, CONNECT_MS * 3 / 2);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
    struct doctor_db_flow *x = ctx;
    x->listens = true;
    x->d->heard |= strcmp(channel, x->channel) == 0 && strcmp(payload, x->word) == 0;
}

static enum flow_next dbdoctor_connected(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (x->op.failed) {
        x->d->connected.err = x->op.err;
        return FLOW_DONE;
    }
    x->d->connected.answered = true;
    x->d->connect_ms = clock_mono_ms() - x->since_ms;
    x->pool = db_pool_open(f->loop, &x->conf);
    snprintf(x->word, sizeof(x->word), "%llx", (unsigned long long)clock_mono_ns());
    snprintf(x->channel, sizeof(x->channel), "waymark_doctor_%ld_%s", (long)getpid(), x->word);
    const char *channels[] = {x->channel};
    x->listener = db_listener_open(f->loop, &x->conf, channels, 1, INT32_MAX, on_notify, x);
    return ask(x, x->pool, &SQL_cli_doctor_server, dbdoctor_STEP_server);
}

/* ---- the answers ----------------------------------------------------------------------------- */

static enum flow_next dbdoctor_server(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->server)) {
        d->version = text(x, 0, 0);
        d->version_num = i64(x, 1);
        d->standby = i64(x, 2) != 0;
        d->read_only = i64(x, 3) != 0;
        d->encrypted = i64(x, 4) != 0;
        d->encoding = text(x, 0, 5);
        d->checksums = i64(x, 6) != 0;
        d->fsync = i64(x, 7) != 0;
        d->full_page_writes = i64(x, 8) != 0;
        d->synchronous_commit = text(x, 0, 9);
        d->autovacuum = i64(x, 10) != 0;
        d->idle_session_ms = i64(x, 11);
        d->transaction_ms = i64(x, 12);
        d->lock_ms = i64(x, 13);
    }
    db_unit_done(&x->u);
    return ask(x, x->pool, &SQL_cli_doctor_load, dbdoctor_STEP_load);
}

static enum flow_next dbdoctor_load(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->load)) {
        int64_t ours_us = (x->asked_us + clock_wall_us()) / 2;
        d->room = i64(x, 0);
        d->in_use = i64(x, 1);
        d->role_limit = i64(x, 2);
        d->base_limit = i64(x, 3);
        d->oldest_s = i64(x, 4);
        d->oldest_pid = i64(x, 5);
        d->notify_share = db_get_f64(&x->u, 0, 0, 6);
        d->job_live = i64(x, 7);
        d->job_dead = i64(x, 8);
        d->clock_ms = (db_get_time_us(&x->u, 0, 0, 9) - ours_us) / 1000;
    }
    db_unit_done(&x->u);
    return ask(x, x->pool, &SQL_cli_doctor_rights, dbdoctor_STEP_rights);
}

static enum flow_next dbdoctor_rights(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->rights)) {
        d->role = text(x, 0, 0);
        d->name = text(x, 0, 1);
        d->superuser = i64(x, 2) != 0;
        d->may_create_schema = i64(x, 3) != 0;
        d->may_create_table = i64(x, 4) != 0;
        d->postgis = text(x, 0, 5);
        d->postgis_schema = text(x, 0, 6);
        d->sees_geography = i64(x, 7) != 0;
        d->postgis_offered = text(x, 0, 8);
        d->postgis_trusted = i64(x, 9) != 0;
        d->has_schema = i64(x, 10) != 0;
        d->not_owned = i64(x, 11);
        d->not_owned_one = text(x, 0, 12);
        d->not_usable = i64(x, 13);
        d->not_usable_one = text(x, 0, 14);
    }
    db_unit_done(&x->u);
    if (!d->has_schema)
        return ask(x, x->pool, &SQL_cli_doctor_zone, dbdoctor_STEP_zones);
    return ask(x, x->pool, &SQL_cli_doctor_schema, dbdoctor_STEP_schema);
}

static enum flow_next dbdoctor_schema(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->schema)) {
        d->napplied = (size_t)db_rows(&x->u, 0);
        d->applied = arena_new_array(x->a, struct doctor_migration, d->napplied);
        for (int i = 0; i < db_rows(&x->u, 0); i++)
            d->applied[i] = (struct doctor_migration){.version = db_get_i64(&x->u, 0, i, 0),
                                                      .name = text(x, i, 1),
                                                      .sha256 = text(x, i, 2)};
    }
    db_unit_done(&x->u);
    return ask(x, x->pool, &SQL_store_instances, dbdoctor_STEP_instances);
}

static enum flow_next dbdoctor_instances(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->instances)) {
        d->ninstances = (size_t)db_rows(&x->u, 0);
        d->instance = arena_new_array(x->a, struct doctor_instance, d->ninstances);
        for (int i = 0; i < db_rows(&x->u, 0); i++)
            d->instance[i] = (struct doctor_instance){
                .host = text(x, i, 1),
                .pid = db_get_i64(&x->u, 0, i, 2),
                .version = text(x, i, 3),
                .draining = db_get_i64(&x->u, 0, i, 4) != 0,
                .beat_ms = db_get_i64(&x->u, 0, i, 6),
            };
    }
    db_unit_done(&x->u);
    return ask(x, x->pool, &SQL_cli_doctor_queue, dbdoctor_STEP_queue);
}

static enum flow_next dbdoctor_queue(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->queue)) {
        d->dead = i64(x, 0);
        d->halted = i64(x, 1);
        d->halted_one = text(x, 0, 2);
        d->cron_problems = i64(x, 3);
        d->cron_problem = text(x, 0, 4);
        d->pauses = i64(x, 5);
        d->paused = text(x, 0, 6);
        d->unserved = text(x, 0, 7);
    }
    db_unit_done(&x->u);
    if (!d->wants_strava)
        return ask(x, x->pool, &SQL_cli_doctor_zone, dbdoctor_STEP_zones);
    return ask(x, x->pool, &SQL_cli_doctor_strava, dbdoctor_STEP_strava);
}

static enum flow_next dbdoctor_strava(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    struct doctor_db *d = x->d;
    if (answered(x, &d->strava)) {
        d->subscription_id = i64(x, 0);
        d->subscription_url = text(x, 0, 1);
        d->word = text(x, 0, 2);
        d->subscription_problem = text(x, 0, 3);
        d->subscription_s = i64(x, 4);
    }
    db_unit_done(&x->u);
    return ask(x, x->pool, &SQL_cli_doctor_zone, dbdoctor_STEP_zones);
}

static enum flow_next dbdoctor_zones(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (answered(x, &x->d->zones)) {
        x->d->knows_zurich = i64(x, 0) != 0;
        x->d->knows_newfoundland = i64(x, 1) != 0;
    }
    db_unit_done(&x->u);
    x->since_ms = clock_mono_ms();
    return FLOW_NEXT;
}

/* ---- a notification -------------------------------------------------------------------------- */

static enum flow_next look_again(struct doctor_db_flow *x, unsigned step)
{
    timer_op_start(&x->pause, x->f.loop, LOOK_MS);
    return flow_wait(&x->f, &x->pause.op, step, 0);
}

/* By another connection than the one that listens: a pooler may give both the same session, and
 * then it is whoever sends that hears. */
static enum flow_next dbdoctor_notify(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (!x->listens && clock_mono_ms() - x->since_ms < LISTEN_MS)
        return look_again(x, dbdoctor_STEP_notify);
    if (!x->listens) {
        err_set(&x->d->listening.err, ERR_PG, ERR_RETRY, "no connection to listen with");
        return flow_goto(f, dbdoctor_STEP_identify);
    }
    x->d->listening.answered = true;
    x->since_ms = clock_mono_ms();
    db_unit_init(&x->u, x->pool, f->arena, 0);
    db_add(&x->u, &SQL_cli_doctor_notify);
    db_p_text(&x->u, x->channel);
    db_p_text(&x->u, x->word);
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, dbdoctor_STEP_hear, ASK_MS);
}

static enum flow_next dbdoctor_hear(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (answered(x, &x->d->told) && !x->d->heard && clock_mono_ms() - x->since_ms < LISTEN_MS)
        return look_again(x, dbdoctor_STEP_hear);
    db_unit_done(&x->u);
    return FLOW_NEXT;
}

/* ---- two ways to one database? --------------------------------------------------------------- */

static enum flow_next dbdoctor_identify(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (!x->direct_url)
        return FLOW_DONE;
    return ask(x, x->pool, &SQL_cli_doctor_identity, dbdoctor_STEP_compare);
}

static enum flow_next dbdoctor_compare(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (answered(x, &x->d->same))
        x->d->id_direct = text(x, 0, 0);
    db_unit_done(&x->u);
    if (!x->d->same.answered)
        return FLOW_DONE;
    x->d->same.answered = false;
    x->url_pool = db_pool_open(f->loop, &x->url_conf);
    return ask(x, x->url_pool, &SQL_cli_doctor_identity, dbdoctor_STEP_done);
}

static enum flow_next dbdoctor_done(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (answered(x, &x->d->same))
        x->d->id_url = text(x, 0, 0);
    return FLOW_DONE;
}

static void closed(void *ctx)
{
    (void)ctx;
}

static void dbdoctor_end(struct flow *f)
{
    struct doctor_db_flow *x = of(f);
    if (x->d->why_not == NULL && f->failed)
        x->d->why_not = "no time was left to ask";
    db_unit_done(&x->u);
    db_listener_close(x->listener);
    if (x->url_pool)
        db_pool_close(x->url_pool, closed, NULL);
    if (x->pool)
        db_pool_close(x->pool, closed, NULL);
}

static const struct flow_def dbdoctor_def = {"doctor_db", dbdoctor_steps, dbdoctor_STEP_COUNT,
                                             dbdoctor_end};

struct flow *doctor__db_flow(struct loop *l, const char *url, const char *direct_url,
                             struct arena *a, struct doctor_db *d)
{
    struct doctor_db_flow *x = flow_new(l, &dbdoctor_def, sizeof(*x), 0);
    x->url = url;
    x->direct_url = direct_url;
    x->a = a;
    x->d = d;
    return &x->f;
}
