/* A map of what is covered and what is not. Pure. */
#include "trails/trails.h"

#include <math.h>

/* Okabe-Ito colours: told apart by colour-blind eyes too; the uncovered line is also thinner and dashed. */
#define COVERED_COLOUR "#0072B2"
#define MISSING_COLOUR "#D55E00"
enum { WIDTH = 1000, MARGIN = 40, HEAD = 90, FOOT = 60, MIN_MAP = 240, MAX_MAP = 1400 };

struct frame {
    double lon0, lat0, scale, kx; /* kx: cos of the middle latitude */
    double left, top;
};

/* Longitudes are taken relative to the first point, so that a route over the antimeridian stays in one piece. */
static double turned(double lon, double from)
{
    double d = lon - from;
    return d > 180 ? lon - 360 : d < -180 ? lon + 360 : lon;
}

static struct frame frame_of(const struct geo_pt *pt, size_t n, double *map_h)
{
    double w = pt[0].lon, e = w, s = pt[0].lat, north = s;
    for (size_t i = 1; i < n; i++) {
        double lon = turned(pt[i].lon, pt[0].lon);
        w = fmin(w, lon);
        e = fmax(e, lon);
        s = fmin(s, pt[i].lat);
        north = fmax(north, pt[i].lat);
    }
    double kx = fmax(cos((s + north) / 2 * M_PI / 180), 0.01);
    double dx = fmax((e - w) * kx, 1e-6), dy = fmax(north - s, 1e-6);
    double room = WIDTH - 2 * MARGIN;
    double scale = fmin(room / dx, MAX_MAP / dy);
    *map_h = fmax(dy * scale, MIN_MAP);
    return (struct frame){
        .lon0 = w,
        .lat0 = north,
        .scale = scale,
        .kx = kx,
        .left = MARGIN + (room - dx * scale) / 2,
        .top = HEAD + (*map_h - dy * scale) / 2,
    };
}

static void put_point(const struct frame *f, struct geo_pt p, double lon_ref, struct buf *out)
{
    double x = f->left + (turned(p.lon, lon_ref) - f->lon0) * f->kx * f->scale;
    double y = f->top + (f->lat0 - p.lat) * f->scale;
    buf_printf(out, "%.1f,%.1f ", x, y);
}

/* Vertices closer than half a pixel to the last one drawn are left out. */
static void draw_part(const struct trails_coverage *c, const struct frame *f, struct geo_interval iv, const char *style,
                      struct buf *out)
{
    const struct geo_pt *pt;
    const double *measure;
    size_t first, last;
    (void)geo_route_lattice(c->route, &pt, &measure);
    geo_route_cut(c->route, iv, &first, &last);
    buf_printf(out, "<polyline %s points=\"", style);
    double px = INFINITY, py = INFINITY;
    for (size_t i = first; i <= last; i++) {
        double x = turned(pt[i].lon, pt[0].lon) * f->kx * f->scale, y = pt[i].lat * f->scale;
        if (i == last || fabs(x - px) > 0.5 || fabs(y - py) > 0.5) {
            put_point(f, pt[i], pt[0].lon, out);
            px = x;
            py = y;
        }
    }
    buf_puts(out, "\"/>\n");
}

static void put_escaped(const char *s, struct buf *out)
{
    for (; *s; s++) {
        switch (*s) {
        case '<': buf_puts(out, "&lt;"); break;
        case '>': buf_puts(out, "&gt;"); break;
        case '&': buf_puts(out, "&amp;"); break;
        case '"': buf_puts(out, "&quot;"); break;
        default:
            if ((unsigned char)*s >= 0x20) {
                buf_putc(out, *s);
            }
        }
    }
}

static void draw_head(const struct trails_coverage *c, struct buf *out)
{
    double percent = c->length_m > 0 ? 100 * c->covered_m / c->length_m : 0;
    buf_printf(out, "<text x=\"%d\" y=\"44\" font-size=\"26\" font-weight=\"bold\">", MARGIN);
    put_escaped(c->display_name ? c->display_name : "", out);
    buf_printf(out, "</text>\n<text x=\"%d\" y=\"72\" font-size=\"17\">%.1f of %.1f km covered, %.1f %%", MARGIN,
               c->covered_m / 1000, c->length_m / 1000, percent);
    if (c->ngaps > 0) {
        buf_printf(out, "; longest gap %.1f km", (c->gap[0].iv.b - c->gap[0].iv.a) / 1000);
    }
    buf_puts(out, "</text>\n");
}

static void draw_foot(const struct frame *f, double height, struct buf *out)
{
    /* A round number of kilometres, about a fifth of the width. */
    static const double round_km[] = {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    double km_px = f->scale / 111.195; /* a degree of latitude is 111.195 km on the mean sphere */
    double km = round_km[0];
    for (size_t i = 1; i < COUNT_OF(round_km) && round_km[i] * km_px <= 220; i++) {
        km = round_km[i];
    }
    double y = height - 26;
    buf_printf(out, "<polyline points=\"%d,%.0f %d,%.0f %.1f,%.0f %.1f,%.0f\" fill=\"none\" stroke=\"#333\" stroke-width=\"1.5\"/>\n",
               MARGIN, y - 6, MARGIN, y, MARGIN + km * km_px, y, MARGIN + km * km_px, y - 6);
    buf_printf(out, "<text x=\"%.1f\" y=\"%.0f\" font-size=\"14\">%g km</text>\n", MARGIN + km * km_px + 8, y, km);
    buf_printf(out, "<line x1=\"640\" y1=\"%.0f\" x2=\"690\" y2=\"%.0f\" stroke=\"" COVERED_COLOUR "\" stroke-width=\"5\"/>"
                    "<text x=\"698\" y=\"%.0f\" font-size=\"14\">covered</text>\n", y - 4, y - 4, y);
    buf_printf(out, "<line x1=\"790\" y1=\"%.0f\" x2=\"840\" y2=\"%.0f\" stroke=\"" MISSING_COLOUR "\" stroke-width=\"2.5\" stroke-dasharray=\"7 4\"/>"
                    "<text x=\"848\" y=\"%.0f\" font-size=\"14\">not yet</text>\n", y - 4, y - 4, y);
}

void trails_draw_svg(const struct trails_coverage *c, struct buf *out)
{
    const struct geo_pt *pt;
    const double *measure;
    size_t n = geo_route_lattice(c->route, &pt, &measure);
    double map_h;
    struct frame f = frame_of(pt, n, &map_h);
    double height = HEAD + map_h + FOOT;
    buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                    "font-family=\"sans-serif\" fill=\"#222\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fbfaf7\"/>\n",
               WIDTH, height, WIDTH, height);
    draw_head(c, out);
    for (size_t i = 0; i < c->ngaps; i++) {
        draw_part(c, &f, c->gap[i].iv, "fill=\"none\" stroke=\"" MISSING_COLOUR "\" stroke-width=\"2.5\" stroke-dasharray=\"7 4\"", out);
    }
    for (size_t i = 0; i < c->ncovered; i++) {
        draw_part(c, &f, c->covered[i], "fill=\"none\" stroke=\"" COVERED_COLOUR "\" stroke-width=\"5\" stroke-linecap=\"round\" stroke-linejoin=\"round\"", out);
    }
    draw_foot(&f, height, out);
    buf_puts(out, "</svg>\n");
}
