/* What an athlete has covered of a route, and what is left. */
#include "trails/internal.h"

struct coverage_flow {
    struct flow f;
    struct db_pool *pool;
    const char *route_id;
    int64_t athlete_id;
    struct arena *a;
    struct trails_coverage *ret;
    struct db_unit u;
    struct trails_prepare_work prepare;
};
#define COVERAGE_STEPS(STEP)                                                                       \
    STEP(coverage, read)                                                                           \
    STEP(coverage, prepare) /* worker */                                                           \
    STEP(coverage, sort)
FLOW_STEPS(coverage, COVERAGE_STEPS);

static struct coverage_flow *coverage_of(struct flow *f)
{
    return container_of(f, struct coverage_flow, f);
}

static enum flow_next coverage_read(struct flow *f)
{
    struct coverage_flow *c = coverage_of(f);
    db_unit_init(&c->u, c->pool, f->arena, DB_READONLY);
    db_add(&c->u, &SQL_trails_read_coverage);
    db_p_text(&c->u, c->route_id);
    db_add(&c->u, &SQL_trails_read_covered);
    db_p_text(&c->u, c->route_id);
    db_p_i64(&c->u, c->athlete_id);
    db_submit(&c->u);
    return flow_wait(f, &c->u.op, coverage_STEP_prepare, TRAILS_CALL_MS);
}

static enum flow_next coverage_prepare(struct flow *f)
{
    struct coverage_flow *c = coverage_of(f);
    if (db_rows(&c->u, 0) == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT,
                      "there is no route \"%s\": see waymark route list", c->route_id);
        return flow_fail(f);
    }
    c->prepare.item.n = 1;
    c->prepare.item.item = arena_new_array(f->arena, struct trails_prepare_item, 1);
    c->prepare.item.item[0] = (struct trails_prepare_item){
        .id = c->route_id,
        .tolerance_m = db_get_f64(&c->u, 0, 0, 1),
        .wkb = db_get_span(&c->u, 0, 0, 2),
    };
    trails__prepare_start(&c->prepare, f->loop);
    return flow_wait(f, &c->prepare.work.op, coverage_STEP_sort, TRAILS_WORK_MS);
}

static int longest_first(const void *a, const void *b)
{
    const struct trails_gap *x = a, *y = b;
    double dx = x->iv.b - x->iv.a, dy = y->iv.b - y->iv.a;
    if (dx != dy) {
        return dx > dy ? -1 : 1;
    }
    return x->iv.a < y->iv.a ? -1 : x->iv.a > y->iv.a;
}

static struct trails_gap gap_of(const struct geo_route *r, struct geo_interval iv)
{
    return (struct trails_gap){.iv = iv,
                               .part = {iv},
                               .nparts = 1,
                               .from = geo_route_at(r, iv.a),
                               .to = geo_route_at(r, iv.b)};
}

static void fill_gaps(struct trails_coverage *out, const struct geo_interval *gap, size_t n,
                      struct arena *a)
{
    double length = out->length_m;
    out->gap = arena_new_array(a, struct trails_gap, n + 1);
    bool over_start =
        geo_route_closed(out->route) && n > 1 && gap[0].a == 0 && gap[n - 1].b == length;
    for (size_t i = over_start; i < n; i++) {
        out->gap[out->ngaps++] = gap_of(out->route, gap[i]);
    }
    if (over_start) {
        struct trails_gap *last = &out->gap[out->ngaps - 1];
        last->iv.b = length + gap[0].b;
        last->part[last->nparts++] = gap[0];
        last->to = geo_route_at(out->route, gap[0].b);
    }
    qsort(out->gap, out->ngaps, sizeof(*out->gap), longest_first);
}

static enum flow_next coverage_sort(struct flow *f)
{
    struct coverage_flow *c = coverage_of(f);
    struct trails_prepare_item *it = &c->prepare.item.item[0];
    if (!it->geo) {
        f->err = it->err;
        (void)err_wrap(&f->err, "route %s: ", c->route_id);
        return flow_fail(f);
    }
    struct trails_coverage *out = c->ret;
    size_t n = (size_t)db_rows(&c->u, 1);
    *out = (struct trails_coverage){
        .route = it->geo,
        .display_name = db_get_text(&c->u, 0, 0, 0, c->a),
        .length_m = geo_route_length_m(it->geo),
        .covered = arena_new_array(c->a, struct geo_interval, n + 1),
        .ncovered = n,
    };
    it->geo = NULL;
    for (size_t i = 0; i < n; i++) {
        out->covered[i] =
            (struct geo_interval){db_get_f64(&c->u, 1, (int)i, 0), db_get_f64(&c->u, 1, (int)i, 1)};
    }
    out->covered_m = geo_intervals_length(out->covered, n);
    struct geo_interval *gap = arena_new_array(f->arena, struct geo_interval, n + 1);
    fill_gaps(out, gap, geo_intervals_gaps(out->covered, n, out->length_m, gap), c->a);
    return FLOW_DONE;
}

static void coverage_end(struct flow *f)
{
    struct coverage_flow *c = coverage_of(f);
    db_unit_done(&c->u);
    trails__prepare_done(&c->prepare.item);
}

static const struct flow_def coverage_def = {"trails_coverage", coverage_steps, coverage_STEP_COUNT,
                                             coverage_end};

struct flow *trails_coverage_flow(struct db_pool *pool, const char *route_id, int64_t athlete_id,
                                  struct arena *a, struct trails_coverage *ret)
{
    struct coverage_flow *c = flow_new(db_pool_loop(pool), &coverage_def, sizeof(*c), 0);
    c->pool = pool;
    c->route_id = arena_strdup(a, route_id);
    c->athlete_id = athlete_id;
    c->a = a;
    c->ret = ret;
    return &c->f;
}

void trails_coverage_done(struct trails_coverage *c)
{
    c->route = geo_route_free(c->route);
}
