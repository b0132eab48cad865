/* waymark route list, show, gaps, remove. */
#include "cli/internal.h"
#include "store/store.h"

#include <errno.h>
#include <math.h>

static const char *km(struct cli *c, double metres)
{
    return arena_printf(c->arena, "%.1f", metres / 1000);
}

/* Rounded down to a tenth, so that 100.0 is said of a route without gaps only. */
static double percent_of(double covered, double length)
{
    return length > 0 ? floor(1000 * covered / length + 1e-6) / 10 : 0;
}

/* ---- one athlete, one route: the flow behind list, show and gaps -------------------------------
 */

struct route_view {
    struct flow f;
    struct cli *c;
    int64_t athlete; /* 0: nobody yet */
    struct op op;
    struct db_unit u;
    struct trails_coverage cov;
    int (*show)(struct route_view *v);
};
#define VIEW_STEPS(STEP)                                                                           \
    STEP(view, athlete)                                                                            \
    STEP(view, list)     /* for `list`; else -> coverage */                                        \
    STEP(view, coverage) /* of one route; -> print for `list` */                                   \
    STEP(view, print)
FLOW_STEPS(view, VIEW_STEPS);

static struct route_view *view_of(struct flow *f)
{
    return container_of(f, struct route_view, f);
}

static enum flow_next view_athlete(struct flow *f)
{
    struct route_view *v = view_of(f);
    flow_call(cli__athlete_flow(v->c, &v->athlete), &v->op);
    return flow_wait(f, &v->op, view_STEP_list, 0);
}

static enum flow_next view_list(struct flow *f)
{
    struct route_view *v = view_of(f);
    if (v->c->noperands > 0) {
        return FLOW_NEXT;
    }
    db_unit_init(&v->u, v->c->app.pool, f->arena, DB_READONLY);
    db_add(&v->u, &SQL_store_route_list);
    if (v->athlete == 0) {
        db_p_null(&v->u);
    } else {
        db_p_i64(&v->u, v->athlete);
    }
    db_submit(&v->u);
    return flow_wait(f, &v->u.op, view_STEP_print, 60000);
}

static enum flow_next view_coverage(struct flow *f)
{
    struct route_view *v = view_of(f);
    flow_call(
        trails_coverage_flow(v->c->app.pool, v->c->operand[0], v->athlete, v->c->arena, &v->cov),
        &v->op);
    return flow_wait(f, &v->op, view_STEP_print, 0);
}

static enum flow_next view_print(struct flow *f)
{
    struct route_view *v = view_of(f);
    if (v->show(v) != 0) {
        f->err = v->c->err;
        return flow_fail(f);
    }
    return FLOW_DONE;
}

static void view_end(struct flow *f)
{
    struct route_view *v = view_of(f);
    db_unit_done(&v->u);
    trails_coverage_done(&v->cov);
}

static const struct flow_def view_def = {"route", view_steps, view_STEP_COUNT, view_end};

static struct flow *view_new(struct cli *c, int (*show)(struct route_view *v))
{
    struct route_view *v = flow_new(c->app.loop, &view_def, sizeof(*v), 0);
    v->c = c;
    v->show = show;
    return &v->f;
}

/* ---- list ---------------------------------------------------------------------------- */

static int list_json(struct route_view *v)
{
    struct buf out = {0};
    struct json_out j = {.buf = &out};
    jo_begin_array(&j, NULL);
    for (int i = 0; i < db_rows(&v->u, 0); i++) {
        jo_begin_object(&j, NULL);
        jo_span(&j, "id", db_get_span(&v->u, 0, i, 0));
        jo_span(&j, "name", db_get_span(&v->u, 0, i, 1));
        jo_f64(&j, "length_m", db_get_f64(&v->u, 0, i, 2), 1);
        jo_f64(&j, "tolerance_m", db_get_f64(&v->u, 0, i, 3), 1);
        jo_i64(&j, "points", db_get_i64(&v->u, 0, i, 4));
        jo_f64(&j, "covered_m", db_get_f64(&v->u, 0, i, 5), 1);
        jo_i64(&j, "activities", db_get_i64(&v->u, 0, i, 6));
        jo_f64(&j, "longest_gap_m", db_get_f64(&v->u, 0, i, 7), 1);
        jo_i64(&j, "past_activities_to_match", db_get_i64(&v->u, 0, i, 8));
        if (!db_is_null(&v->u, 0, i, 9)) {
            jo_span(&j, "note", db_get_span(&v->u, 0, i, 9));
        }
        jo_end_object(&j);
    }
    jo_end_array(&j);
    puts(out.p);
    buf_done(&out);
    return 0;
}

static int list_show(struct route_view *v)
{
    static const char *const head[] = {"trail",    "id",          ">length km",     ">covered km",
                                       ">percent", ">activities", ">longest gap km"};
    struct cli *c = v->c;
    struct cli_table t;
    if (c->json) {
        return list_json(v);
    }
    if (db_rows(&v->u, 0) == 0) {
        puts("There is no route yet: waymark route import FILE");
        return 0;
    }
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (int i = 0; i < db_rows(&v->u, 0); i++) {
        const char **cell = cli_table_row(&t);
        double length = db_get_f64(&v->u, 0, i, 2), covered = db_get_f64(&v->u, 0, i, 5);
        cell[0] = db_get_text(&v->u, 0, i, 1, c->arena);
        cell[1] = db_get_text(&v->u, 0, i, 0, c->arena);
        cell[2] = km(c, length);
        cell[3] = km(c, covered);
        cell[4] = arena_printf(c->arena, "%.1f", percent_of(covered, length));
        cell[5] = arena_printf(c->arena, "%lld", (long long)db_get_i64(&v->u, 0, i, 6));
        cell[6] = km(c, db_get_f64(&v->u, 0, i, 7));
    }
    cli_table_print(&t, stdout);
    for (int i = 0; i < db_rows(&v->u, 0); i++) {
        if (!db_is_null(&v->u, 0, i, 9)) {
            printf("%s cannot be matched: %s\n", text_tame(db_get_text(&v->u, 0, i, 0, c->arena)),
                   db_get_text(&v->u, 0, i, 9, c->arena));
        }
    }
    return 0;
}

struct flow *cli_route_list(struct cli *c)
{
    return view_new(c, list_show);
}

/* ---- show ---------------------------------------------------------------------------- */

static int write_svg(struct route_view *v, const char *path)
{
    struct buf svg = {0};
    trails_draw_svg(&v->cov, &svg);
    FILE *out = fopen(path, "we");
    int rc = 0;
    if (!out || fwrite(svg.p, 1, svg.n, out) != svg.n) {
        rc = err_sys(&v->c->err, errno, "writing %s", path);
    }
    if (out && fclose(out) != 0 && rc == 0) {
        rc = err_sys(&v->c->err, errno, "writing %s", path);
    }
    buf_done(&svg);
    return rc;
}

static int show_show(struct route_view *v)
{
    const struct trails_coverage *cov = &v->cov;
    double percent = cov->length_m > 0 ? 100 * cov->covered_m / cov->length_m : 0;
    const char *svg = cli_option(v->c, "svg");
    if (v->c->json) {
        struct buf out = {0};
        struct json_out j = {.buf = &out};
        jo_begin_object(&j, NULL);
        jo_str(&j, "id", v->c->operand[0]);
        jo_str(&j, "name", cov->display_name);
        jo_f64(&j, "length_m", cov->length_m, 1);
        jo_bool(&j, "ring", geo_route_closed(cov->route));
        jo_f64(&j, "tolerance_m", geo_route_tolerance_m(cov->route), 1);
        jo_f64(&j, "covered_m", cov->covered_m, 1);
        jo_f64(&j, "percent", percent, 2);
        jo_i64(&j, "stretches", (int64_t)cov->ncovered);
        jo_i64(&j, "gaps", (int64_t)cov->ngaps);
        jo_end_object(&j);
        puts(out.p);
        buf_done(&out);
    } else {
        printf("%s: %.1f km%s, tolerance %.0f m\n", arena_tame(v->c->arena, cov->display_name),
               cov->length_m / 1000, geo_route_closed(cov->route) ? ", a ring" : "",
               geo_route_tolerance_m(cov->route));
        printf("covered: %.1f km (%.1f %%) in %zu stretch%s, %zu gap%s\n", cov->covered_m / 1000,
               percent_of(cov->covered_m, cov->length_m), cov->ncovered,
               cov->ncovered == 1 ? "" : "es", cov->ngaps, cov->ngaps == 1 ? "" : "s");
    }
    if (svg && write_svg(v, svg) != 0) {
        return -1;
    }
    if (svg && !v->c->json) {
        printf("map: %s\n", svg);
    }
    return 0;
}

struct flow *cli_route_show(struct cli *c)
{
    return view_new(c, show_show);
}

/* ---- gaps ---------------------------------------------------------------------------- */

/* Where it ends on the route: on a ring that may be past the start. */
static double gap_end_m(const struct trails_gap *g)
{
    return g->part[g->nparts - 1].b;
}

static void gaps_table(struct route_view *v, size_t n)
{
    static const char *const head[] = {">length km", ">from km", ">to km", "from lat,lon",
                                       "to lat,lon"};
    struct cli *c = v->c;
    struct cli_table t;
    cli_table_init(&t, c->arena, head, COUNT_OF(head));
    for (size_t i = 0; i < n; i++) {
        const struct trails_gap *g = &v->cov.gap[i];
        const char **cell = cli_table_row(&t);
        cell[0] = arena_printf(c->arena, "%.2f", (g->iv.b - g->iv.a) / 1000);
        cell[1] = arena_printf(c->arena, "%.2f", g->iv.a / 1000);
        cell[2] = arena_printf(c->arena, "%.2f", gap_end_m(g) / 1000);
        cell[3] = arena_printf(c->arena, "%.5f,%.5f", g->from.lat, g->from.lon);
        cell[4] = arena_printf(c->arena, "%.5f,%.5f", g->to.lat, g->to.lon);
    }
    cli_table_print(&t, stdout);
}

static void gap_line(struct route_view *v, const struct trails_gap *g, struct buf *out, bool gpx)
{
    const struct geo_pt *pt;
    const double *measure;
    size_t first, last;
    (void)geo_route_lattice(v->cov.route, &pt, &measure);
    for (size_t k = 0; k < g->nparts; k++) {
        geo_route_cut(v->cov.route, g->part[k], &first, &last);
        for (size_t i = first; i <= last; i++) {
            if (gpx) {
                buf_printf(out, "<trkpt lat=\"%.7f\" lon=\"%.7f\"/>", pt[i].lat, pt[i].lon);
            } else {
                buf_printf(out, "%s[%.7f,%.7f]", k > 0 || i > first ? "," : "", pt[i].lon,
                           pt[i].lat);
            }
        }
    }
}

static void gaps_gpx(struct route_view *v, size_t n, struct buf *out)
{
    buf_puts(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<gpx version=\"1.1\" creator=\"waymark\" xmlns=\"http://www.topografix.com/GPX/1/1\">\n");
    for (size_t i = 0; i < n; i++) {
        const struct trails_gap *g = &v->cov.gap[i];
        buf_printf(out, "<trk><name>km %.1f to %.1f (%.1f km)</name><trkseg>", g->iv.a / 1000,
                   gap_end_m(g) / 1000, (g->iv.b - g->iv.a) / 1000);
        gap_line(v, g, out, true);
        buf_puts(out, "</trkseg></trk>\n");
    }
    buf_puts(out, "</gpx>\n");
}

static void gaps_geojson(struct route_view *v, size_t n, struct buf *out)
{
    buf_puts(out, "{\"type\":\"FeatureCollection\",\"features\":[");
    for (size_t i = 0; i < n; i++) {
        const struct trails_gap *g = &v->cov.gap[i];
        buf_printf(out,
                   "%s\n{\"type\":\"Feature\",\"properties\":{\"start_m\":%.1f,\"end_m\":%.1f,"
                   "\"length_m\":%.1f},"
                   "\"geometry\":{\"type\":\"LineString\",\"coordinates\":[",
                   i ? "," : "", g->iv.a, gap_end_m(g), g->iv.b - g->iv.a);
        gap_line(v, g, out, false);
        buf_puts(out, "]}}");
    }
    buf_puts(out, "\n]}\n");
}

static void gaps_json(struct route_view *v, size_t n, struct buf *out)
{
    struct json_out j = {.buf = out};
    jo_begin_array(&j, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct trails_gap *g = &v->cov.gap[i];
        jo_begin_object(&j, NULL);
        jo_f64(&j, "length_m", g->iv.b - g->iv.a, 1);
        jo_f64(&j, "start_m", g->iv.a, 1);
        jo_f64(&j, "end_m", gap_end_m(g), 1);
        jo_f64(&j, "from_lat", g->from.lat, 6);
        jo_f64(&j, "from_lon", g->from.lon, 6);
        jo_f64(&j, "to_lat", g->to.lat, 6);
        jo_f64(&j, "to_lon", g->to.lon, 6);
        jo_end_object(&j);
    }
    jo_end_array(&j);
    buf_putc(out, '\n');
}

struct gaps_opts {
    const char *format;
    double min_m;
    int64_t top;
};

static int gaps_opts(struct cli *c, struct gaps_opts *o)
{
    const char *format = cli_option(c, "format");
    o->format = format ? format : "table";
    if (strcmp(o->format, "gpx") != 0 && strcmp(o->format, "geojson") != 0 &&
        strcmp(o->format, "table") != 0) {
        return err_set(&c->err, ERR_USAGE, ERR_PERMANENT,
                       "--format %s: must be table, gpx or geojson", format);
    }
    if (cli_option_f64(c, "min", 0, 1e9, 0, &o->min_m) != 0) {
        return -1;
    }
    return cli_option_i64(c, "top", 1, INT32_MAX, INT32_MAX, &o->top);
}

/* Of list, show and gaps. */
int cli_route_check(struct cli *c)
{
    int64_t athlete;
    struct gaps_opts opts;
    if (cli_option_i64(c, "athlete", INT64_MIN + 1, INT64_MAX, 0, &athlete) != 0) {
        return -1;
    }
    return gaps_opts(c, &opts);
}

static int gaps_show(struct route_view *v)
{
    struct gaps_opts o;
    if (gaps_opts(v->c, &o) != 0) {
        return -1;
    }
    size_t n = 0;
    while (n < v->cov.ngaps && n < (size_t)o.top &&
           v->cov.gap[n].iv.b - v->cov.gap[n].iv.a >= o.min_m) {
        n++;
    }
    struct buf out = {0};
    if (strcmp(o.format, "gpx") == 0) {
        gaps_gpx(v, n, &out);
    } else if (strcmp(o.format, "geojson") == 0) {
        gaps_geojson(v, n, &out);
    } else if (v->c->json) {
        gaps_json(v, n, &out);
    } else if (n == 0) {
        puts(v->cov.ngaps == 0 ? "Nothing is left: all of it is covered." : "No gap is that long.");
    } else {
        gaps_table(v, n);
    }
    if (out.n > 0) {
        fwrite(out.p, 1, out.n, stdout);
    }
    buf_done(&out);
    return 0;
}

struct flow *cli_route_gaps(struct cli *c)
{
    return view_new(c, gaps_show);
}

/* ---- remove -------------------------------------------------------------------------- */

struct remove_flow {
    struct flow f;
    struct cli *c;
    size_t next;
    struct db_unit u;
    struct buf out;
    struct json_out json;
};
#define REMOVE_STEPS(STEP)                                                                         \
    STEP(remove, ask)                                                                              \
    STEP(remove, report)
FLOW_STEPS(remove, REMOVE_STEPS);

static enum flow_next remove_ask(struct flow *f)
{
    struct remove_flow *r = container_of(f, struct remove_flow, f);
    db_unit_done(&r->u);
    if (r->next == r->c->noperands) {
        if (r->c->json) {
            jo_end_array(&r->json);
            puts(r->out.p);
        }
        return FLOW_DONE;
    }
    db_unit_init(&r->u, r->c->app.pool, f->arena, 0);
    db_add(&r->u, &SQL_store_route_remove);
    db_p_text(&r->u, r->c->operand[r->next]);
    db_submit(&r->u);
    return flow_wait(f, &r->u.op, remove_STEP_report, 60000);
}

static enum flow_next remove_report(struct flow *f)
{
    struct remove_flow *r = container_of(f, struct remove_flow, f);
    const char *id = r->c->operand[r->next++], *shown = arena_tame(r->c->arena, id);
    bool removed = db_affected(&r->u, 0) > 0;
    if (!removed) {
        fprintf(stderr, "waymark: there is no route \"%s\": see waymark route list\n", shown);
        r->c->status = 1;
    }
    if (r->c->json) {
        jo_begin_object(&r->json, NULL);
        jo_str(&r->json, "id", id);
        jo_bool(&r->json, "removed", removed);
        jo_end_object(&r->json);
    } else if (removed) {
        printf("%s: removed\n", shown);
    }
    return flow_goto(f, remove_STEP_ask);
}

static void remove_end(struct flow *f)
{
    struct remove_flow *r = container_of(f, struct remove_flow, f);
    db_unit_done(&r->u);
    buf_done(&r->out);
}

static const struct flow_def remove_def = {"route_remove", remove_steps, remove_STEP_COUNT,
                                           remove_end};

struct flow *cli_route_remove(struct cli *c)
{
    struct remove_flow *r = flow_new(c->app.loop, &remove_def, sizeof(*r), 0);
    r->c = c;
    r->json.buf = &r->out;
    if (c->json) {
        jo_begin_array(&r->json, NULL);
    }
    return &r->f;
}
