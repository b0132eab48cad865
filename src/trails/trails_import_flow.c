/* Route files to routes, one file after the other. */
#include "store/store.h"
#include "trails/internal.h"

struct import_flow {
    struct flow f;
    struct db_pool *pool;
    const struct trails_import_opts *opts;
    struct trails_import_totals *totals;
    size_t next;  /* file */
    size_t route; /* of that file */
    unsigned retries;
    struct trails_read read;
    struct work work;
    struct arena *turn;
    struct db_unit save;
};
#define IMPORT_STEPS(STEP)                                                                         \
    STEP(import, read)  /* worker: the next file */                                                \
    STEP(import, save)  /* its next route; -> read after the last */                               \
    STEP(import, saved) /* -> save */
FLOW_STEPS(import, IMPORT_STEPS);

static struct import_flow *import_of(struct flow *f)
{
    return container_of(f, struct import_flow, f);
}

static int run_read(struct work *w, struct err *err)
{
    (void)err;
    trails__read_file(&container_of(w, struct import_flow, work)->read);
    return 0;
}

static enum flow_next import_read(struct flow *f)
{
    struct import_flow *m = import_of(f);
    const struct trails_import_opts *o = m->opts;
    trails__read_done(&m->read);
    if (m->next == o->npaths) {
        return FLOW_DONE;
    }
    m->read = (struct trails_read){
        .path = o->path[m->next++],
        .id = o->id,
        .name = o->name,
        .tolerance_m = o->tolerance_m,
        .max_gap_m = o->max_gap_m,
        .each = o->each,
    };
    m->route = 0;
    m->totals->files++;
    work_start(&m->work, f->loop, run_read);
    return flow_wait(f, &m->work.op, import_STEP_save, TRAILS_WORK_MS);
}

static void report(struct import_flow *m, const struct trails_read_route *r, bool is_new,
                   const struct err *err)
{
    struct trails_import_event e = {
        .path = m->read.path,
        .id = r->id,
        .name = r->name,
        .is_new = is_new,
        .length_m = r->length_m,
        .points = r->points,
        .join = r->join,
        .why = err ? err->msg : NULL,
    };
    *(err ? &m->totals->refused : &m->totals->routes) += 1;
    if (m->opts->on_route) {
        m->opts->on_route(m->opts->ctx, &e);
    }
}

static enum flow_next import_save(struct flow *f)
{
    struct import_flow *m = import_of(f);
    db_unit_done(&m->save);
    arena_reset(m->turn);
    while (m->route < m->read.route.n && m->read.route.v[m->route].err.class != 0) {
        const struct trails_read_route *bad = &m->read.route.v[m->route++];
        report(m, bad, false, &bad->err);
    }
    if (m->route == m->read.route.n) {
        return flow_goto(f, import_STEP_read);
    }
    const struct trails_read_route *r = &m->read.route.v[m->route];
    db_unit_init(&m->save, m->pool, m->turn, 0);
    store_add_route(&m->save, &(struct store_route){
                                  .id = r->id,
                                  .name = r->name,
                                  .tolerance_m = m->opts->tolerance_m,
                                  .track = buf_span(&r->line),
                              });
    db_submit(&m->save);
    return flow_wait_any(f, &m->save.op, import_STEP_saved, TRAILS_CALL_MS);
}

static enum flow_next import_saved(struct flow *f)
{
    struct import_flow *m = import_of(f);
    const struct trails_read_route *r = &m->read.route.v[m->route];
    const struct op *op = &m->save.op;
    if (op->failed && trails__try_again(&op->err) && m->retries++ < TRAILS_RETRIES) {
        return flow_goto(f, import_STEP_save);
    }
    if (op->failed && op->err.class == ERR_RETRY) {
        f->err = op->err;
        return flow_fail(f);
    }
    m->retries = 0;
    m->route++;
    report(m, r, !op->failed && db_get_i64(&m->save, 0, 0, 0) != 0, op->failed ? &op->err : NULL);
    return flow_goto(f, import_STEP_save);
}

static void import_end(struct flow *f)
{
    struct import_flow *m = import_of(f);
    db_unit_done(&m->save);
    trails__read_done(&m->read);
    arena_free(m->turn);
}

static const struct flow_def import_def = {"trails_import", import_steps, import_STEP_COUNT,
                                           import_end};

struct flow *trails_import_flow(struct db_pool *pool, const struct trails_import_opts *opts,
                                struct trails_import_totals *totals)
{
    struct import_flow *m = flow_new(db_pool_loop(pool), &import_def, sizeof(*m), 0);
    m->pool = pool;
    m->opts = opts;
    m->totals = totals;
    m->turn = arena_new(0);
    return &m->f;
}
