/* A new or changed route: prepared once, its past activities listed in pages. A page is a job of
 * its own. */
#include "trails/internal.h"

struct route_flow {
    struct flow f;
    struct trails *t;
    struct jobs_batch *b;
    char *id;
    int64_t revision;
    unsigned retries;
    struct trails_route *route;
    struct trails_prepare_work prepare;
    struct db_unit read, settle, list;
};
#define ROUTE_STEPS(STEP)                                                                          \
    STEP(route, read)                                                                              \
    STEP(route, prepare) /* worker; -> list if it is gone */                                       \
    STEP(route, keep)    /* into the cache: its activities are matched next */                     \
    STEP(route, settle)  /* until nobody is changing it */                                         \
    STEP(route, list)    /* one transaction */                                                     \
    STEP(route, listed)  /* -> settle after a conflict */
FLOW_STEPS(route, ROUTE_STEPS);

static struct route_flow *route_of(struct flow *f)
{
    return container_of(f, struct route_flow, f);
}

static enum flow_next route_read(struct flow *f)
{
    struct route_flow *r = route_of(f);
    CHECK(r->b->n == 1);
    if (trails__payload_text(r->b->job[0].payload, "route", f->arena, &r->id, &f->err) != 0) {
        return flow_fail(f);
    }
    const char *id = r->id;
    db_unit_init(&r->read, r->t->pool, f->arena, DB_READONLY);
    db_add(&r->read, &SQL_trails_read_routes);
    db_p_text_array(&r->read, &id, 1);
    db_submit(&r->read);
    return flow_wait(f, &r->read.op, route_STEP_prepare, TRAILS_CALL_MS);
}

static enum flow_next route_prepare(struct flow *f)
{
    struct route_flow *r = route_of(f);
    if (db_rows(&r->read, 0) == 0) {
        return flow_goto(f, route_STEP_list); /* deleted since: its rows went with it */
    }
    r->revision = db_get_i64(&r->read, 0, 0, 1);
    struct trails_prepare *p = &r->prepare.item;
    p->n = 1;
    p->want_chunks = true;
    p->item = arena_new_array(f->arena, struct trails_prepare_item, 1);
    p->item[0] = (struct trails_prepare_item){
        .id = r->id,
        .revision = r->revision,
        .tolerance_m = db_get_f64(&r->read, 0, 0, 2),
        .wkb = db_get_span(&r->read, 0, 0, 3),
    };
    trails__prepare_start(&r->prepare, f->loop);
    return flow_wait(f, &r->prepare.work.op, route_STEP_keep, TRAILS_WORK_MS);
}

static enum flow_next route_keep(struct flow *f)
{
    struct route_flow *r = route_of(f);
    struct trails_prepare_item *it = &r->prepare.item.item[0];
    if (!it->geo) {
        log_warn("route cannot be matched", L_S("route", r->id), L_S("why", it->err.msg));
    }
    r->route =
        trails__cache_put(r->t->cache, r->id, r->revision, it->geo, it->geo ? NULL : it->err.msg);
    it->geo = NULL;
    return FLOW_NEXT;
}

static size_t chunk_wkbs(const struct geo_track *chunks, struct arena *a, struct buf *bytes,
                         struct span **ret)
{
    size_t *offset = arena_new_array(a, size_t, chunks->nseg + 1);
    for (size_t i = 0; i < chunks->nseg; i++) {
        size_t first = chunks->seg[i], end = i + 1 < chunks->nseg ? chunks->seg[i + 1] : chunks->n;
        offset[i] = bytes->n;
        geo_ewkb_line(chunks->pt + first, end - first, bytes);
    }
    offset[chunks->nseg] = bytes->n;
    *ret = arena_new_array(a, struct span, chunks->nseg + 1);
    for (size_t i = 0; i < chunks->nseg; i++) {
        (*ret)[i] = (struct span){bytes->p + offset[i], offset[i + 1] - offset[i]};
    }
    return chunks->nseg;
}

/* Somebody may have changed the route and sit in his transaction. Waiting for him with the epoch in
 * hand would stop every match. Nor may we wait for the epoch with the route in hand: a match that
 * holds the epoch may wait for an activity, whose changer may wait for the route: a cycle, and
 * PostgreSQL would rather end his transaction than ours. So we wait for him here, holding nothing;
 * the listing then takes the route after the epoch without waiting, or comes back. While it waits
 * for the epoch it holds its own job only, which nobody waits for: no cycle goes through it. */
static enum flow_next route_settle(struct flow *f)
{
    struct route_flow *r = route_of(f);
    const char *id = r->id;
    db_unit_done(&r->settle);
    db_unit_init(&r->settle, r->t->pool, f->arena, 0);
    db_add(&r->settle, &SQL_trails_lock_routes);
    db_p_text_array(&r->settle, &id, 1);
    db_submit(&r->settle);
    return flow_wait(f, &r->settle.op, route_STEP_list, TRAILS_CALL_MS);
}

static enum flow_next route_list(struct flow *f)
{
    struct route_flow *r = route_of(f);
    struct db_unit *u = &r->list;
    db_unit_done(u);
    db_unit_init(u, r->t->pool, f->arena, DB_TX);
    jobs_add_finish(u, r->b, 1);
    if (r->route) {
        struct buf bytes = {0};
        struct span *chunk;
        size_t n = chunk_wkbs(&r->prepare.item.chunks, f->arena, &bytes, &chunk);
        db_add(u, &SQL_trails_bump_epoch);
        db_add(u, &SQL_trails_lock_route_now);
        db_p_text(u, r->id);
        db_add(u, &SQL_trails_forget_pages);
        db_p_text(u, r->id);
        db_p_i64(u, r->revision);
        db_add(u, &SQL_trails_list_pages);
        db_p_text(u, r->id);
        db_p_i64(u, r->revision);
        db_p_bytea_array(u, chunk, n); /* copied into the parameter */
        db_p_f64(u, TRAILS_REACH_M);
        db_p_i64(u, (int64_t)r->t->conf.page_size);
        db_add(u, &SQL_trails_mark_listed);
        db_p_text(u, r->id);
        db_p_i64(u, r->revision);
        db_p_text(u, r->route->note);
        buf_done(&bytes);
    }
    FAULT_POINT("results_ready");
    db_submit(u);
    FAULT_POINT("results_sent");
    return flow_wait_any(f, &u->op, route_STEP_listed, TRAILS_CALL_MS);
}

static enum flow_next route_listed(struct flow *f)
{
    struct route_flow *r = route_of(f);
    if (r->list.op.failed) {
        const struct err *err = &r->list.op.err;
        bool taken = strcmp(err->sqlstate, "55P03") == 0;
        if ((taken || trails__try_again(err)) && r->retries++ < TRAILS_RETRIES) {
            return flow_goto(f, route_STEP_settle);
        }
        f->err = r->list.op.err;
        return flow_fail(f);
    }
    if (r->route && db_get_i64(&r->list, 4, 0, 1) > 0) {
        log_info("route listed", L_S("route", r->id),
                 L_I("activities", db_get_i64(&r->list, 4, 0, 0)),
                 L_I("pages", db_get_i64(&r->list, 4, 0, 1)));
        jobs_hint(r->b->jobs);
    }
    FAULT_POINT("results_committed");
    jobs_finished(r->b, 1);
    return FLOW_DONE;
}

static void route_end(struct flow *f)
{
    struct route_flow *r = route_of(f);
    if (r->route) {
        trails__route_unref(r->t->cache, r->route);
    }
    trails__prepare_done(&r->prepare.item);
    db_unit_done(&r->read);
    db_unit_done(&r->settle);
    db_unit_done(&r->list);
}

static const struct flow_def route_def = {"trails_route", route_steps, route_STEP_COUNT, route_end};

struct flow *trails__route_start(struct jobs_batch *b, void *ctx)
{
    struct trails *t = ctx;
    struct route_flow *r = flow_new(t->loop, &route_def, sizeof(*r), 0);
    r->t = t;
    r->b = b;
    return &r->f;
}
