/* Everything of an athlete as one GeoJSON document, a page of activities at a time: read, made into
 * text in a worker, handed on piece by piece as fast as it is taken. */
#include "people/internal.h"

enum {
    PAGE = 50,             /* activities */
    PAGE_BYTES = 2 << 20,  /* of their tracks; a byte becomes about three */
    PIECE = 32 * 1024,     /* handed on at once */
    TAKEN_MS = 120 * 1000, /* a piece: whoever reads slower than that does not read */
};

struct page_work {
    struct work work;
    struct people_page item;
};

struct export_flow {
    struct flow f;
    struct db_pool *pool;
    struct people_export *e;
    struct arena *turn; /* memory of one page */
    struct db_unit u;
    struct page_work page;
    struct op taken;
    int64_t after;
    size_t at; /* of the text, handed on so far */
    bool over; /* the last piece is there */
};
#define EXPORT_STEPS(STEP)                                                                         \
    STEP(export, ask)                                                                              \
    STEP(export, head)                                                                             \
    STEP(export, write) /* repeats; -> end of it all, after the last page */                       \
    STEP(export, page)                                                                             \
    STEP(export, encode)                                                                           \
    STEP(export, encoded) /* -> write */
FLOW_STEPS(export, EXPORT_STEPS);

static struct export_flow *export_of(struct flow *f)
{
    return container_of(f, struct export_flow, f);
}

static void end_turn(struct export_flow *x)
{
    people__page_done(&x->page.item);
    x->at = 0;
    db_unit_done(&x->u);
    arena_reset(x->turn);
}

static enum flow_next export_ask(struct flow *f)
{
    struct export_flow *x = export_of(f);
    db_unit_init(&x->u, x->pool, x->turn, DB_READONLY);
    db_add(&x->u, &SQL_people_export_head);
    db_p_i64(&x->u, x->e->athlete_id);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, export_STEP_head, PEOPLE_CALL_MS);
}

static enum flow_next export_head(struct flow *f)
{
    struct export_flow *x = export_of(f);
    struct buf *out = &x->page.item.out;
    if (db_rows(&x->u, 0) == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT, "there is no athlete %lld",
                      (long long)x->e->athlete_id);
        return flow_fail(f);
    }
    struct span about = db_get_span(&x->u, 0, 0, 0);
    buf_puts(out, "{\"type\":\"FeatureCollection\",\"waymark\":");
    buf_put(out, about.p, about.n);
    buf_puts(out, ",\"features\":[");
    return FLOW_NEXT;
}

static enum flow_next export_write(struct flow *f)
{
    struct export_flow *x = export_of(f);
    const struct buf *out = &x->page.item.out;
    while (x->at < out->n) {
        size_t n = out->n - x->at < PIECE ? out->n - x->at : PIECE;
        struct span piece = {out->p + x->at, n};
        int rc = x->e->sink.write(x->e->sink.ctx, piece, &x->taken, &f->err);
        if (rc < 0) {
            return flow_fail(f);
        }
        x->at += n;
        if (rc > 0) {
            return flow_wait(f, &x->taken, export_STEP_write, TAKEN_MS);
        }
    }
    return x->over ? FLOW_DONE : FLOW_NEXT;
}

static enum flow_next export_page(struct flow *f)
{
    struct export_flow *x = export_of(f);
    end_turn(x);
    db_unit_init(&x->u, x->pool, x->turn, DB_READONLY);
    db_add(&x->u, &SQL_people_export_page);
    db_p_i64(&x->u, x->e->athlete_id);
    db_p_i64(&x->u, x->after);
    db_p_i64(&x->u, PAGE);
    db_p_i64(&x->u, PAGE_BYTES);
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, export_STEP_encode, PEOPLE_CALL_MS);
}

static int run_page(struct work *w, struct err *err)
{
    return people__write_page(&container_of(w, struct page_work, work)->item, err);
}

static enum flow_next export_encode(struct flow *f)
{
    struct export_flow *x = export_of(f);
    struct people_page *p = &x->page.item;
    int n = db_rows(&x->u, 0);
    if (n == 0) {
        buf_puts(&p->out, "\n]}\n");
        x->over = true;
        return flow_goto(f, export_STEP_write);
    }
    *p = (struct people_page){.n = (size_t)n, .first = x->e->activities == 0};
    p->activity = arena_new_array(x->turn, struct people_activity, p->n);
    for (int i = 0; i < n; i++) {
        p->activity[i] = (struct people_activity){.properties = db_get_span(&x->u, 0, i, 1),
                                                  .track = db_get_span(&x->u, 0, i, 2),
                                                  .summary = db_get_span(&x->u, 0, i, 3),
                                                  .recorded = db_get_i64(&x->u, 0, i, 4) != 0};
    }
    work_start(&x->page.work, f->loop, run_page);
    return flow_wait(f, &x->page.work.op, export_STEP_encoded, PEOPLE_ERASE_MS);
}

static enum flow_next export_encoded(struct flow *f)
{
    struct export_flow *x = export_of(f);
    int n = db_rows(&x->u, 0);
    x->e->activities += n;
    x->after = db_get_i64(&x->u, 0, n - 1, 0);
    return flow_goto(f, export_STEP_write);
}

static void export_end(struct flow *f)
{
    struct export_flow *x = export_of(f);
    end_turn(x);
    arena_free(x->turn);
}

static const struct flow_def export_def = {"people_export", export_steps, export_STEP_COUNT,
                                           export_end};

struct flow *people_export_flow(struct db_pool *pool, struct people_export *e)
{
    struct export_flow *x = flow_new(db_pool_loop(pool), &export_def, sizeof(*x), 0);
    x->pool = pool;
    x->e = e;
    x->turn = arena_new(0);
    x->after = INT64_MIN;
    return &x->f;
}
