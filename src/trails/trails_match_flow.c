/* The way of an activity, from a claimed job to committed credit. Jobs of kind match bring
 * activities, which are matched against every route near them; a job of kind page brings a list of
 * activities to match against one new route.
 *
 * A batch is done in as many turns as the memory limit makes of it: each turn reads tracks up to
 * the limit, matches them in a worker thread, and commits the results together with the end of
 * their jobs. What another transaction changed since the reading is found out by that commit
 * (revisions, the epoch of the routes) and read again. */
#include "trails/internal.h"

struct match_flow {
    struct flow f;
    struct trails *t;
    struct jobs_batch *b;
    char *page_route; /* kind page: the route, else NULL */
    int64_t page;
    int64_t *ids;       /* kind match: activities, job by job */
    struct arena *turn; /* memory of one turn */
    unsigned retries;
    int64_t epoch;
    size_t take; /* jobs that this turn finishes */
    struct trails_activity *activity;
    size_t nactivities;
    struct trails_route **route; /* references; missing ones NULL until loaded */
    struct span *route_id;
    int64_t *route_revision;
    size_t nroutes;
    struct trails_route **usable; /* those the worker gets, in its order */
    struct trails_prepare_work prepare;
    struct trails_match_work match;
    struct db_unit tracks, routes, save;
};
#define MATCH_STEPS(STEP)                                                                          \
    STEP(match, read)    /* tracks, epoch and candidate routes */                                  \
    STEP(match, sort)    /* rows to activities, cached routes to references */                     \
    STEP(match, load)    /* -> compute if every route is cached */                                 \
    STEP(match, prepare) /* worker */                                                              \
    STEP(match, keep)    /* into the cache */                                                      \
    STEP(match, compute) /* worker */                                                              \
    STEP(match, save)    /* one transaction */                                                     \
    STEP(match, saved)   /* -> read, while jobs are left or something changed under us */
FLOW_STEPS(match, MATCH_STEPS);

static struct match_flow *match_of(struct flow *f)
{
    return container_of(f, struct match_flow, f);
}

static void end_turn(struct match_flow *m)
{
    for (size_t i = 0; i < m->nroutes; i++) {
        if (m->route[i]) {
            trails__route_unref(m->t->cache, m->route[i]);
        }
    }
    m->nroutes = m->nactivities = 0;
    trails__prepare_done(&m->prepare.item);
    trails__match_done(&m->match.item);
    db_unit_done(&m->tracks);
    db_unit_done(&m->routes);
    db_unit_done(&m->save);
    arena_reset(m->turn);
}

static int read_payloads(struct match_flow *m, struct err *err)
{
    struct jobs_batch *b = m->b;
    if (m->b->kind->start == trails__page_start) {
        CHECK(b->n == 1);
        return trails__payload_text(b->job[0].payload, "route", m->f.arena, &m->page_route, err) !=
                           0 ||
                       trails__payload_i64(b->job[0].payload, "page", &m->page, err) != 0
                   ? -1
                   : 0;
    }
    m->ids = arena_new_array(m->turn, int64_t, b->n);
    for (size_t i = 0; i < b->n; i++) {
        if (trails__payload_i64(b->job[i].payload, "activity", &m->ids[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static enum flow_next match_read(struct flow *f)
{
    struct match_flow *m = match_of(f);
    end_turn(m);
    if (read_payloads(m, &f->err) != 0) {
        return flow_fail(f);
    }
    db_unit_init(&m->tracks, m->t->pool, m->turn, DB_READONLY);
    /* The epoch is read first: a route listed after it is found out when we commit. */
    db_add(&m->tracks, &SQL_trails_read_epoch);
    if (m->page_route) {
        const char *id = m->page_route;
        db_add(&m->tracks, &SQL_trails_read_page);
        db_p_text(&m->tracks, m->page_route);
        db_p_i64(&m->tracks, m->page);
        db_p_i64(&m->tracks, (int64_t)m->t->conf.batch_bytes);
        db_add(&m->tracks, &SQL_trails_read_route_revisions);
        db_p_text_array(&m->tracks, &id, 1);
    } else {
        db_add(&m->tracks, &SQL_trails_read_tracks);
        db_p_i64_array(&m->tracks, m->ids, m->b->n);
        db_p_i64(&m->tracks, (int64_t)m->t->conf.batch_bytes);
        db_add(&m->tracks, &SQL_trails_read_candidates);
        db_p_i64_array(&m->tracks, m->ids, m->b->n);
        db_p_f64(&m->tracks, TRAILS_REACH_M);
    }
    db_submit(&m->tracks);
    return flow_wait(f, &m->tracks.op, match_STEP_sort, TRAILS_CALL_MS);
}

static enum flow_next match_sort(struct flow *f)
{
    struct match_flow *m = match_of(f);
    const struct db_unit *u = &m->tracks;
    m->epoch = db_get_i64(u, 0, 0, 0);
    m->nactivities = (size_t)db_rows(u, 1);
    m->take = m->page_route ? 1 : m->nactivities;
    m->activity = arena_new_array(m->turn, struct trails_activity, m->nactivities + 1);
    for (size_t i = 0; i < m->nactivities; i++) {
        int row = (int)i;
        m->activity[i] = (struct trails_activity){
            .id = db_get_i64(u, 1, row, 0),
            .present = db_get_i64(u, 1, row, 1) != 0,
            .athlete_id = db_get_i64(u, 1, row, 2),
            .revision = db_get_i64(u, 1, row, 3),
            .is_best = db_get_i64(u, 1, row, 4) != 0,
            .wkb = db_get_span(u, 1, row, 5),
        };
    }
    size_t n = (size_t)db_rows(u, 2);
    m->route = arena_new_array(m->turn, struct trails_route *, n + 1);
    m->route_id = arena_new_array(m->turn, struct span, n + 1);
    m->route_revision = arena_new_array(m->turn, int64_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        m->route_id[i] = db_get_span(u, 2, (int)i, 0);
        m->route_revision[i] = db_get_i64(u, 2, (int)i, 1);
        m->route[i] = trails__cache_get(m->t->cache, m->route_id[i], m->route_revision[i]);
    }
    m->nroutes = n;
    return FLOW_NEXT;
}

static enum flow_next match_load(struct flow *f)
{
    struct match_flow *m = match_of(f);
    const char **missing = arena_new_array(m->turn, const char *, m->nroutes + 1);
    size_t n = 0;
    for (size_t i = 0; i < m->nroutes; i++) {
        if (!m->route[i]) {
            missing[n++] = arena_span_dup(m->turn, m->route_id[i]);
        }
    }
    if (n == 0) {
        return flow_goto(f, match_STEP_compute);
    }
    db_unit_init(&m->routes, m->t->pool, m->turn, DB_READONLY);
    db_add(&m->routes, &SQL_trails_read_routes);
    db_p_text_array(&m->routes, missing, n);
    db_submit(&m->routes);
    return flow_wait(f, &m->routes.op, match_STEP_prepare, TRAILS_CALL_MS);
}

static enum flow_next match_prepare(struct flow *f)
{
    struct match_flow *m = match_of(f);
    struct trails_prepare *p = &m->prepare.item;
    *p = (struct trails_prepare){.n = (size_t)db_rows(&m->routes, 0)};
    p->item = arena_new_array(m->turn, struct trails_prepare_item, p->n + 1);
    for (size_t i = 0; i < p->n; i++) {
        p->item[i] = (struct trails_prepare_item){
            .id = db_get_text(&m->routes, 0, (int)i, 0, m->turn),
            .revision = db_get_i64(&m->routes, 0, (int)i, 1),
            .tolerance_m = db_get_f64(&m->routes, 0, (int)i, 2),
            .wkb = db_get_span(&m->routes, 0, (int)i, 3),
        };
    }
    trails__prepare_start(&m->prepare, f->loop);
    return flow_wait(f, &m->prepare.work.op, match_STEP_keep, TRAILS_WORK_MS);
}

static enum flow_next match_keep(struct flow *f)
{
    struct match_flow *m = match_of(f);
    const struct trails_prepare *p = &m->prepare.item;
    for (size_t i = 0; i < p->n; i++) {
        struct trails_prepare_item *it = &p->item[i];
        struct trails_route *r = trails__cache_put(m->t->cache, it->id, it->revision, it->geo,
                                                   it->geo ? NULL : it->err.msg);
        it->geo = NULL; /* the cache's now */
        for (size_t k = 0; k < m->nroutes; k++) {
            if (!m->route[k] && span_is(m->route_id[k], it->id)) {
                m->route[k] = r;
                r = NULL;
                break;
            }
        }
        if (r) {
            trails__route_unref(m->t->cache, r);
        }
    }
    db_unit_done(&m->routes);
    return FLOW_NEXT;
}

static enum flow_next match_compute(struct flow *f)
{
    struct match_flow *m = match_of(f);
    /* Routes that are gone, or are no line, match nothing; keep their references apart from what
     * the worker sees. */
    struct trails_match *item = &m->match.item;
    m->usable = arena_new_array(m->turn, struct trails_route *, m->nroutes + 1);
    *item = (struct trails_match){
        .activity = m->activity,
        .nactivities = m->nactivities,
        .route = arena_new_array(m->turn, const struct geo_route *, m->nroutes + 1),
    };
    for (size_t i = 0; i < m->nroutes; i++) {
        if (m->route[i] && m->route[i]->geo) {
            item->route[item->nroutes] = m->route[i]->geo;
            m->usable[item->nroutes++] = m->route[i];
        }
    }
    trails__match_work_start(&m->match, f->loop);
    return flow_wait(f, &m->match.work.op, match_STEP_save, TRAILS_WORK_MS);
}

/* ---- the transaction ---------------------------------------------------------------------------
 */

struct columns {
    int64_t *activity, *arev, *rrev;
    const char **route;
    double *start_m, *end_m;
    struct span *wkb;
};

static struct columns columns_of(struct match_flow *m, const struct trails_rows *rows)
{
    size_t n = rows->n + 1;
    struct columns c = {
        .activity = arena_new_array(m->turn, int64_t, n),
        .arev = arena_new_array(m->turn, int64_t, n),
        .rrev = arena_new_array(m->turn, int64_t, n),
        .route = arena_new_array(m->turn, const char *, n),
        .start_m = arena_new_array(m->turn, double, n),
        .end_m = arena_new_array(m->turn, double, n),
        .wkb = arena_new_array(m->turn, struct span, n),
    };
    for (size_t i = 0; i < rows->n; i++) {
        const struct trails_row *r = &rows->v[i];
        c.activity[i] = m->activity[r->activity].id;
        c.arev[i] = m->activity[r->activity].revision;
        c.route[i] = m->usable[r->route]->id;
        c.rrev[i] = m->usable[r->route]->revision;
        c.start_m[i] = r->start_m;
        c.end_m[i] = r->end_m;
        c.wkb[i] = (struct span){m->match.item.wkb.p + r->offset, r->bytes};
    }
    return c;
}

static void add_pairs(struct db_unit *u, const struct db_stmt *s, const struct columns *c, size_t n)
{
    db_add(u, s);
    db_p_i64_array(u, c->activity, n);
    db_p_i64_array(u, c->arev, n);
    db_p_text_array(u, c->route, n);
    db_p_i64_array(u, c->rrev, n);
}

static void add_drop(struct match_flow *m, const struct db_stmt *s, const int64_t *ids,
                     const int64_t *revisions)
{
    db_add(&m->save, s);
    db_p_i64_array(&m->save, ids, m->nactivities);
    db_p_i64_array(&m->save, revisions, m->nactivities);
    db_p_text(&m->save, m->page_route);
}

static void add_results(struct match_flow *m)
{
    const struct trails_match *found = &m->match.item;
    struct db_unit *u = &m->save;
    if (found->sections.n > 0) {
        struct columns c = columns_of(m, &found->sections);
        add_pairs(u, &SQL_trails_add_sections, &c, found->sections.n);
        db_p_f64_array(u, c.start_m, found->sections.n);
        db_p_f64_array(u, c.end_m, found->sections.n);
        db_p_bytea_array(u, c.wkb, found->sections.n);
    }
    if (found->pieces.n > 0) {
        struct columns c = columns_of(m, &found->pieces);
        add_pairs(u, &SQL_trails_add_intersections, &c, found->pieces.n);
        db_p_bytea_array(u, c.wkb, found->pieces.n);
    }
    if (found->relevant.n > 0) {
        struct columns c = columns_of(m, &found->relevant);
        add_pairs(u, &SQL_trails_add_relevant, &c, found->relevant.n);
    }
}

/* Locks in one order for every writer: jobs, epoch or page's route, athletes, activities, routes. A
 * route that is listed is locked without waiting (trails_route_flow.c). */
static void add_locks(struct match_flow *m, const int64_t *ids)
{
    struct db_unit *u = &m->save;
    if (m->page_route) {
        db_add(u, &SQL_trails_check_route);
        db_p_text(u, m->page_route);
        db_p_i64(u, m->nroutes > 0 ? m->route_revision[0] : 0);
    } else {
        db_add(u, &SQL_trails_check_epoch);
        db_p_i64(u, m->epoch);
    }
    const struct trails_rows *relevant = &m->match.item.relevant;
    struct columns c = columns_of(m, relevant);
    db_add(u, &SQL_trails_lock_athletes);
    db_p_i64_array(u, ids, m->nactivities);
    db_p_i64_array(u, c.activity, relevant->n);
    db_add(u, &SQL_trails_lock_activities);
    db_p_i64_array(u, ids, m->nactivities);
    if (!m->page_route && relevant->n > 0) {
        db_add(u, &SQL_trails_lock_routes);
        db_p_text_array(u, c.route, relevant->n);
    }
}

static void add_marks(struct match_flow *m, const int64_t *ids, const int64_t *revisions)
{
    struct db_unit *u = &m->save;
    if (m->page_route) {
        return;
    }
    const char **note = arena_new_array(m->turn, const char *, m->nactivities + 1);
    for (size_t i = 0; i < m->nactivities; i++) {
        note[i] = m->activity[i].note;
    }
    db_add(u, &SQL_trails_mark_matched);
    db_p_i64_array(u, ids, m->nactivities);
    db_p_i64_array(u, revisions, m->nactivities);
    db_p_text_array(u, note, m->nactivities);
    db_p_i64(u, m->epoch);
}

static enum flow_next match_save(struct flow *f)
{
    struct match_flow *m = match_of(f);
    struct db_unit *u = &m->save;
    int64_t *ids = arena_new_array(m->turn, int64_t, m->nactivities + 1);
    int64_t *revisions = arena_new_array(m->turn, int64_t, m->nactivities + 1);
    for (size_t i = 0; i < m->nactivities; i++) {
        ids[i] = m->activity[i].id;
        revisions[i] = m->activity[i].revision;
    }
    db_unit_init(u, m->t->pool, m->turn, DB_TX);
    jobs_add_finish(u, m->b, m->take);
    if (m->nactivities > 0) {
        add_locks(m, ids);
        add_drop(m, &SQL_trails_drop_sections, ids, revisions);
        add_drop(m, &SQL_trails_drop_intersections, ids, revisions);
        add_drop(m, &SQL_trails_drop_relevant, ids, revisions);
        add_results(m);
        db_add(u, &SQL_trails_refresh_stats);
        db_p_i64_array(u, ids, m->nactivities);
        db_add(u, &SQL_trails_prune_stats);
        db_p_i64_array(u, ids, m->nactivities);
        add_marks(m, ids, revisions);
    }
    if (m->page_route) {
        db_add(u, &SQL_trails_page_done);
        db_p_text(u, m->page_route);
        db_p_i64(u, m->page);
        db_p_i64(u, m->nroutes > 0 ? m->route_revision[0] : 0);
        db_p_i64_array(u, ids, m->nactivities);
    }
    FAULT_POINT("results_ready");
    db_submit(u);
    FAULT_POINT("results_sent");
    return flow_wait_any(f, &u->op, match_STEP_saved, TRAILS_CALL_MS);
}

static enum flow_next match_saved(struct flow *f)
{
    struct match_flow *m = match_of(f);
    const struct op *op = &m->save.op;
    if (op->failed) {
        if (trails__try_again(&op->err) && m->retries++ < TRAILS_RETRIES) {
            return flow_goto(f, match_STEP_read);
        }
        f->err = op->err;
        return flow_fail(f);
    }
    for (size_t i = 0; i < m->nactivities; i++) {
        if (m->activity[i].note && m->activity[i].wkb.p) {
            log_info("activity cannot be matched", L_I("activity", m->activity[i].id),
                     L_S("why", m->activity[i].note));
        }
    }
    FAULT_POINT("results_committed");
    jobs_finished(m->b, m->take);
    m->retries = 0;
    if (m->page_route) {
        jobs_wake(m->b->jobs); /* the rest of the page, if any, has a job of its own */
    }
    return m->b->n > 0 ? flow_goto(f, match_STEP_read) : FLOW_DONE;
}

static void match_end(struct flow *f)
{
    struct match_flow *m = match_of(f);
    end_turn(m);
    arena_free(m->turn);
}

static const struct flow_def match_def = {"trails_match", match_steps, match_STEP_COUNT, match_end};

struct flow *trails__match_start(struct jobs_batch *b, void *ctx)
{
    struct trails *t = ctx;
    struct match_flow *m = flow_new(t->loop, &match_def, sizeof(*m), 0);
    m->t = t;
    m->b = b;
    m->turn = arena_new(0);
    return &m->f;
}

struct flow *trails__page_start(struct jobs_batch *b, void *ctx)
{
    return trails__match_start(b, ctx);
}
