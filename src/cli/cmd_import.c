/* waymark import, waymark route import: files in, a line a file that needs one, a summary. */
#include "cli/internal.h"
#include "ingest/ingest.h"

struct import_ctx {
    struct cli *c;
    struct cli_progress progress;
    struct ingest_opts opts;
    struct ingest_totals totals;
    struct buf json_buf;
    struct json_out json;
};
struct import_cmd {
    struct flow f;
    struct import_ctx *x;
    struct op op;
};
#define IMPORTING_STEPS(STEP)                                                                      \
    STEP(importing, run)                                                                           \
    STEP(importing, report)
FLOW_STEPS(importing, IMPORTING_STEPS);

static void on_file(void *ctx, const struct ingest_event *e)
{
    struct import_ctx *x = ctx;
    if (e->why) {
        x->c->status = 1;
        cli_progress_clear(&x->progress);
        fprintf(stderr, "waymark: %s: %s\n", arena_tame(x->c->arena, e->path), e->why);
    }
    if (x->c->json && e->why) {
        jo_begin_object(&x->json, NULL);
        jo_str(&x->json, "path", e->path);
        jo_str(&x->json, "why", e->why);
        jo_end_object(&x->json);
    }
    cli_progress_set(&x->progress, x->totals.files_done, x->totals.files);
}

static enum flow_next importing_run(struct flow *f)
{
    struct import_cmd *m = container_of(f, struct import_cmd, f);
    flow_call(ingest_files_flow(m->x->c->app.pool, &m->x->opts, &m->x->totals), &m->op);
    return flow_wait(f, &m->op, importing_STEP_report, 0);
}

static enum flow_next importing_report(struct flow *f)
{
    struct import_ctx *x = container_of(f, struct import_cmd, f)->x;
    const struct ingest_totals *t = &x->totals;
    cli_progress_end(&x->progress);
    if (x->c->json) {
        jo_end_array(&x->json);
        jo_i64(&x->json, "files", (int64_t)t->files);
        jo_i64(&x->json, "activities", (int64_t)t->activities);
        jo_i64(&x->json, "known", (int64_t)t->known);
        jo_end_object(&x->json);
        puts(x->json_buf.p);
    } else {
        printf("%zu file%s: %zu new activit%s", t->files, t->files == 1 ? "" : "s", t->activities,
               t->activities == 1 ? "y" : "ies");
        if (t->known > 0) {
            printf(", %zu known already", t->known);
        }
        if (t->files_refused > 0) {
            printf(", %zu file%s refused", t->files_refused, t->files_refused == 1 ? "" : "s");
        }
        puts(t->activities > 0 ? ". `waymark process`, or a running `waymark serve`, matches them."
                               : ".");
    }
    return FLOW_DONE;
}

static void importing_end(struct flow *f)
{
    struct import_ctx *x = container_of(f, struct import_cmd, f)->x;
    cli_progress_end(&x->progress);
    buf_done(&x->json_buf);
}

static const struct flow_def importing_def = {"import", importing_steps, importing_STEP_COUNT,
                                              importing_end};

static int athlete_of(struct cli *c, int64_t *ret)
{
    if (!cli_option(c, "athlete")) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "import needs --athlete ID: whose activities are these?");
    }
    return cli_option_i64(c, "athlete", 1, INT64_MAX, 0, ret);
}

int cli_import_check(struct cli *c)
{
    int64_t athlete;
    return athlete_of(c, &athlete);
}

struct flow *cli_import(struct cli *c)
{
    int64_t athlete;
    if (athlete_of(c, &athlete) != 0) {
        return NULL;
    }
    struct import_ctx *x = arena_alloc(c->arena, sizeof(*x));
    x->c = c;
    x->opts = (struct ingest_opts){c->operand, c->noperands, athlete, on_file, NULL, x};
    x->json.buf = &x->json_buf;
    if (c->json) {
        jo_begin_object(&x->json, NULL);
        jo_begin_array(&x->json, "refused");
    }
    cli_progress_start(&x->progress, c, "importing");
    struct import_cmd *m = flow_new(c->app.loop, &importing_def, sizeof(*m), 0);
    m->x = x;
    return &m->f;
}

/* ---- routes -------------------------------------------------------------------------- */

struct route_ctx {
    struct cli *c;
    struct cli_progress progress;
    struct trails_import_opts opts;
    struct trails_import_totals totals;
    struct buf json_buf;
    struct json_out json;
};
struct route_cmd {
    struct flow f;
    struct route_ctx *x;
    struct op op;
};
#define ROUTING_STEPS(STEP)                                                                        \
    STEP(routing, run)                                                                             \
    STEP(routing, report)
FLOW_STEPS(routing, ROUTING_STEPS);

static void route_json(struct json_out *j, const struct trails_import_event *e)
{
    jo_begin_object(j, NULL);
    jo_str(j, "path", e->path);
    if (e->why) {
        jo_str(j, "why", e->why);
    } else {
        jo_str(j, "id", e->id);
        jo_str(j, "name", e->name);
        jo_bool(j, "new", e->is_new);
        jo_f64(j, "length_m", e->length_m, 1);
        jo_i64(j, "points", (int64_t)e->points);
        jo_bool(j, "ring", e->join.closed);
        jo_i64(j, "segments", (int64_t)e->join.segments);
        jo_i64(j, "variants", (int64_t)e->join.variants);
        jo_f64(j, "variants_m", e->join.variants_m, 1);
        jo_f64(j, "largest_gap_m", e->join.largest_gap_m, 1);
        jo_f64(j, "longest_edge_m", e->join.longest_edge_m, 1);
    }
    jo_end_object(j);
}

static void describe_join(const struct geo_join_info *j)
{
    if (j->segments > 1) {
        printf(", %zu segments joined", j->segments);
        if (j->reordered > 0 || j->reversed > 0) {
            fputs(" (put in order)", stdout);
        }
        if (j->largest_gap_m > 1) {
            printf(", largest gap %.0f m", j->largest_gap_m);
        }
    }
    if (j->variants > 0) {
        printf(", %zu variant%s of %.1f km left out", j->variants, j->variants == 1 ? "" : "s",
               j->variants_m / 1000);
    }
    if (j->longest_edge_m > 5000) {
        printf("; note a straight stretch of %.1f km in the file", j->longest_edge_m / 1000);
    }
}

static void on_route(void *ctx, const struct trails_import_event *e)
{
    struct route_ctx *x = ctx;
    cli_progress_clear(&x->progress);
    if (e->why) {
        x->c->status = 1;
        fprintf(stderr, "waymark: %s%s%s: %s\n", arena_tame(x->c->arena, e->path),
                x->opts.each ? " " : "", x->opts.each ? arena_tame(x->c->arena, e->id) : "",
                e->why);
    }
    if (x->c->json) {
        route_json(&x->json, e);
    } else if (!e->why && !x->opts.each) {
        printf("%s: %s \"%s\", %.1f km%s", arena_tame(x->c->arena, e->id),
               e->is_new ? "new route" : "updated", arena_tame(x->c->arena, e->name),
               e->length_m / 1000, e->join.closed ? ", a ring" : "");
        describe_join(&e->join);
        putchar('\n');
    }
    cli_progress_set(&x->progress, x->totals.files - (x->totals.files < x->opts.npaths),
                     x->opts.npaths);
}

static enum flow_next routing_run(struct flow *f)
{
    struct route_cmd *m = container_of(f, struct route_cmd, f);
    flow_call(trails_import_flow(m->x->c->app.pool, &m->x->opts, &m->x->totals), &m->op);
    return flow_wait(f, &m->op, routing_STEP_report, 0);
}

static enum flow_next routing_report(struct flow *f)
{
    struct route_ctx *x = container_of(f, struct route_cmd, f)->x;
    cli_progress_end(&x->progress);
    if (x->c->json) {
        jo_end_array(&x->json);
        puts(x->json_buf.p);
    } else if (x->opts.each || x->totals.refused > 0) {
        printf("%zu route%s imported, %zu refused\n", x->totals.routes,
               x->totals.routes == 1 ? "" : "s", x->totals.refused);
    }
    return FLOW_DONE;
}

static void routing_end(struct flow *f)
{
    struct route_ctx *x = container_of(f, struct route_cmd, f)->x;
    cli_progress_end(&x->progress);
    buf_done(&x->json_buf);
}

static const struct flow_def routing_def = {"route_import", routing_steps, routing_STEP_COUNT,
                                            routing_end};

static int route_opts(struct cli *c, struct trails_import_opts *o)
{
    *o = (struct trails_import_opts){
        .path = c->operand,
        .npaths = c->noperands,
        .id = cli_option(c, "id"),
        .name = cli_option(c, "name"),
        .each = cli_option(c, "each") != NULL,
        .on_route = on_route,
    };
    if ((o->id || o->name) && (c->noperands > 1 || o->each)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--id and --name are for one route: import the files one by one");
    }
    if (o->id && (!*o->id || !span_utf8_valid(span_of(o->id)) || strlen(o->id) > 200)) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT, "--id: must be 1 to 200 bytes of UTF-8");
    }
    if (cli_option_f64(c, "tolerance", 5, 500, 40, &o->tolerance_m) != 0) {
        return -1;
    }
    return cli_option_f64(c, "max-gap", 0, 100000, 200, &o->max_gap_m);
}

int cli_route_import_check(struct cli *c)
{
    struct trails_import_opts opts;
    return route_opts(c, &opts);
}

struct flow *cli_route_import(struct cli *c)
{
    struct route_ctx *x = arena_alloc(c->arena, sizeof(*x));
    if (route_opts(c, &x->opts) != 0) {
        return NULL;
    }
    x->c = c;
    x->opts.ctx = x;
    x->json.buf = &x->json_buf;
    if (c->json) {
        jo_begin_array(&x->json, NULL);
    }
    cli_progress_start(&x->progress, c, "importing");
    struct route_cmd *m = flow_new(c->app.loop, &routing_def, sizeof(*m), 0);
    m->x = x;
    return &m->f;
}
