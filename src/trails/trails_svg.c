/* A map of what is covered and what is not, to show and to print. Pure: the same coverage gives the
 * same bytes. */
#include "trails/trails.h"

#include <math.h>

/* Okabe-Ito colours: told apart by colour-blind eyes too; in grey the missing line is still thinner
 * and dashed. */
#define COVERED_COLOUR "#0072B2"
#define MISSING_COLOUR "#D55E00"
#define LABEL_COLOUR   "#9c4400" /* the same, dark enough for small letters */
#define PAPER_COLOUR   "#fbfaf7"
#define COVERED_STYLE  "stroke=\"" COVERED_COLOUR "\" stroke-width=\"5\" stroke-linejoin=\"round\""
#define MISSING_STYLE  "stroke=\"" MISSING_COLOUR "\" stroke-width=\"2.5\" stroke-dasharray=\"7 4\""

enum {
    WIDTH = 1000,
    MARGIN = 64, /* room for labels beside the line */
    HEAD = 100,
    FOOT = 76,
    MIN_MAP = 240,
    MAX_MAP = 1300,
    MAX_GAP_LABELS = 6,
    MAX_LABELS = 64,
};

struct box {
    double x0, y0, x1, y1;
};
struct map {
    struct buf *out;
    double height;
    double lon_ref, lon0, lat0, scale,
        kx; /* kx: cos of the middle latitude; scale: pixels a degree */
    double left, top;
    double *x, *y; /* the line in pixels, thinned: what labels keep off */
    size_t n;
    struct box label[MAX_LABELS];
    size_t nlabels;
};

/* Longitudes are taken relative to the first point, so that a route over the antimeridian stays in
 * one piece. */
static double turned(double lon, double from)
{
    double d = lon - from;
    return d > 180 ? lon - 360 : d < -180 ? lon + 360 : lon;
}

static double x_of(const struct map *m, struct geo_pt p)
{
    return m->left + (turned(p.lon, m->lon_ref) - m->lon0) * m->kx * m->scale;
}

static double y_of(const struct map *m, struct geo_pt p)
{
    return m->top + (m->lat0 - p.lat) * m->scale;
}

static void lay_out(struct map *m, const struct geo_pt *pt, size_t n)
{
    double w = pt[0].lon, e = w, s = pt[0].lat, north = s;
    m->lon_ref = pt[0].lon;
    for (size_t i = 1; i < n; i++) {
        double lon = turned(pt[i].lon, m->lon_ref);
        w = fmin(w, lon);
        e = fmax(e, lon);
        s = fmin(s, pt[i].lat);
        north = fmax(north, pt[i].lat);
    }
    m->kx = fmax(cos((s + north) / 2 * M_PI / 180), 0.01);
    double dx = fmax((e - w) * m->kx, 1e-6), dy = fmax(north - s, 1e-6);
    double room = WIDTH - 2 * MARGIN;
    m->scale = fmin(room / dx, MAX_MAP / dy);
    double map_h = fmax(dy * m->scale, MIN_MAP);
    m->lon0 = w;
    m->lat0 = north;
    m->left = MARGIN + (room - dx * m->scale) / 2;
    m->top = HEAD + (map_h - dy * m->scale) / 2;
    m->height = HEAD + map_h + FOOT;
}

static void thin_out(struct map *m, const struct geo_pt *pt, size_t n)
{
    m->x = mem_alloc(n * sizeof(*m->x));
    m->y = mem_alloc(n * sizeof(*m->y));
    for (size_t i = 0; i < n; i++) {
        double x = x_of(m, pt[i]), y = y_of(m, pt[i]);
        if (m->n == 0 || hypot(x - m->x[m->n - 1], y - m->y[m->n - 1]) > 2) {
            m->x[m->n] = x;
            m->y[m->n++] = y;
        }
    }
}

/* ---- text ---------------------------------------------------------------------------- */

static void put_escaped(const char *s, struct buf *out)
{
    for (; *s; s++) {
        switch (*s) {
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '"':
            buf_puts(out, "&quot;");
            break;
        default:
            if ((unsigned char)*s >= 0x20) {
                buf_putc(out, *s);
            }
        }
    }
}

/* Near enough for a sans-serif: no font is at hand here. */
static double text_width(const char *s, double size)
{
    size_t n = 0;
    for (; *s; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return (double)n * size * 0.6;
}

/* How bad it is to write there: pixels of line and other labels that would be hidden. */
static double hidden(const struct map *m, const struct box *b)
{
    double bad = 0;
    for (size_t i = 0; i < m->n; i++) {
        bad += m->x[i] > b->x0 && m->x[i] < b->x1 && m->y[i] > b->y0 && m->y[i] < b->y1;
    }
    for (size_t i = 0; i < m->nlabels; i++) {
        const struct box *o = &m->label[i];
        if (b->x0 < o->x1 && b->x1 > o->x0 && b->y0 < o->y1 && b->y1 > o->y0) {
            bad += 1000;
        }
    }
    if (b->x0 < 4 || b->x1 > WIDTH - 4 || b->y0 < HEAD - 22 || b->y1 > m->height - FOOT + 22) {
        bad += 1000;
    }
    return bad;
}

/* The best of 16 directions and three distances around (x, y); false if each hides more than
 * `bearable`. */
static bool find_place(const struct map *m, double x, double y, double w, double h, double bearable,
                       struct box *ret)
{
    double best = INFINITY;
    for (int away = 0; away < 3; away++) {
        for (int k = 0; k < 16; k++) {
            double a = k * M_PI / 8, reach = 14 + 16 * away;
            double cx = x + cos(a) * (reach + w / 2), cy = y + sin(a) * (reach + h / 2);
            const struct box b = {cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2};
            double bad = hidden(m, &b) + away * 0.5;
            if (bad < best) {
                best = bad;
                *ret = b;
            }
        }
    }
    return best <= bearable;
}

/* A label near (x, y), or nothing when there is no room for it. */
static void put_label(struct map *m, double x, double y, const char *text, double size,
                      double bearable, const char *style)
{
    struct box b;
    double w = text_width(text, size) + 6, h = size + 4;
    if (m->nlabels == MAX_LABELS || !find_place(m, x, y, w, h, bearable, &b)) {
        return;
    }
    m->label[m->nlabels++] = b;
    buf_printf(
        m->out,
        "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%g\" text-anchor=\"middle\" stroke=\"" PAPER_COLOUR
        "\" stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\" %s>%s</text>\n",
        (b.x0 + b.x1) / 2, b.y1 - 4 - size * 0.1, size, style, text);
}

/* ---- the line ------------------------------------------------------------------------ */

/* Vertices closer than a pixel and a half to the last one drawn are left out. */
static void draw_part(struct map *m, const struct trails_coverage *c, struct geo_interval iv,
                      const char *style)
{
    const struct geo_pt *pt;
    const double *measure;
    size_t first, last;
    (void)geo_route_lattice(c->route, &pt, &measure);
    geo_route_cut(c->route, iv, &first, &last);
    buf_printf(m->out, "<polyline fill=\"none\" %s points=\"", style);
    double px = INFINITY, py = INFINITY;
    for (size_t i = first; i <= last; i++) {
        double x = x_of(m, pt[i]), y = y_of(m, pt[i]);
        if (i == last || hypot(x - px, y - py) > 1.5) {
            buf_printf(m->out, "%s%.1f,%.1f", i > first ? " " : "", x, y);
            px = x;
            py = y;
        }
    }
    buf_puts(m->out, "\"/>\n");
}

/* A round number of kilometres that takes at most `most` of them, down to a metre. */
static double round_km(double most)
{
    static const double step[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,
                                  2,     5,     10,    20,   50,   100,  200, 500, 1000};
    double km = step[0];
    for (size_t i = 1; i < COUNT_OF(step) && step[i] <= most; i++) {
        km = step[i];
    }
    return km;
}

static void draw_milestones(struct map *m, const struct trails_coverage *c)
{
    double every = fmax(round_km(c->length_m / 1000 / 5), 0.1);
    for (double km = every; km * 1000 < c->length_m - every * 250; km += every) {
        struct geo_pt p = geo_route_at(c->route, km * 1000);
        char text[32];
        snprintf(text, sizeof(text), "km %g", km);
        buf_printf(m->out,
                   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"" PAPER_COLOUR
                   "\" stroke=\"#444\"/>\n",
                   x_of(m, p), y_of(m, p));
        put_label(m, x_of(m, p), y_of(m, p), text, 12, 4, "fill=\"#666\"");
    }
}

static void draw_ends(struct map *m, const struct trails_coverage *c)
{
    bool ring = geo_route_closed(c->route);
    struct geo_pt start = geo_route_at(c->route, 0), end = geo_route_at(c->route, c->length_m);
    if (!ring) {
        buf_printf(m->out,
                   "<rect x=\"%.1f\" y=\"%.1f\" width=\"11\" height=\"11\" fill=\"#222\" "
                   "stroke=\"#fff\"/>\n",
                   x_of(m, end) - 5.5, y_of(m, end) - 5.5);
        put_label(m, x_of(m, end), y_of(m, end), "end", 14, 40, "font-weight=\"bold\"");
    }
    buf_printf(m->out,
               "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"7\" fill=\"#fff\" stroke=\"#222\" "
               "stroke-width=\"3\"/>\n",
               x_of(m, start), y_of(m, start));
    put_label(m, x_of(m, start), y_of(m, start), ring ? "start and end" : "start", 14, 40,
              "font-weight=\"bold\"");
}

/* The longest gaps, as far as they can be told apart at this scale. */
static void label_gaps(struct map *m, const struct trails_coverage *c)
{
    for (size_t i = 0; i < c->ngaps && i < MAX_GAP_LABELS; i++) {
        double length = c->gap[i].iv.b - c->gap[i].iv.a;
        struct geo_pt mid =
            geo_route_at(c->route, fmod((c->gap[i].iv.a + c->gap[i].iv.b) / 2, c->length_m));
        char text[32];
        if (length < 0.05 * (c->gap[0].iv.b - c->gap[0].iv.a) || length / 111195 * m->scale < 4) {
            return;
        }
        snprintf(text, sizeof(text), "%.1f km", length / 1000);
        put_label(m, x_of(m, mid), y_of(m, mid), text, 15, 60,
                  "font-weight=\"bold\" fill=\"" LABEL_COLOUR "\"");
    }
}

/* ---- around it ----------------------------------------------------------------------- */

static void draw_head(struct map *m, const struct trails_coverage *c)
{
    const char *name = c->display_name ? c->display_name : "";
    double percent = c->length_m > 0 ? 100 * c->covered_m / c->length_m : 0;
    double size = fmax(10, fmin(28, 28 * (WIDTH - 80) / fmax(text_width(name, 28), 1)));
    buf_printf(m->out, "<text x=\"40\" y=\"46\" font-size=\"%.1f\" font-weight=\"bold\">", size);
    put_escaped(name, m->out);
    /* Rounded down: 100.0 % is said of a trail without gaps only. */
    buf_printf(m->out,
               "</text>\n<text x=\"40\" y=\"74\" font-size=\"17\">%.1f of %.1f km covered, %.1f %%",
               c->covered_m / 1000, c->length_m / 1000, floor(percent * 10 + 1e-6) / 10);
    if (c->ngaps > 0) {
        buf_printf(m->out, "; longest gap %.1f km", (c->gap[0].iv.b - c->gap[0].iv.a) / 1000);
    }
    buf_puts(m->out, "</text>\n");
}

static void draw_foot(struct map *m)
{
    double km_px = m->scale / 111.195; /* a degree of latitude is 111.195 km on the mean sphere */
    double km = round_km(220 / km_px), y = m->height - 26;
    buf_printf(
        m->out,
        "<polyline points=\"40,%.0f 40,%.0f %.1f,%.0f %.1f,%.0f\" fill=\"none\" stroke=\"#444\" "
        "stroke-width=\"1.5\"/>\n<text x=\"%.1f\" y=\"%.0f\" font-size=\"14\">%g %s</text>\n",
        y - 7, y, 40 + km * km_px, y, 40 + km * km_px, y - 7, 40 + km * km_px + 8, y,
        km < 0.1 ? km * 1000 : km, km < 0.1 ? "m" : "km");
    buf_printf(m->out,
               "<path d=\"M560,%.0f l-6,18 6,-4 6,4 z\" fill=\"#444\"/><text x=\"572\" y=\"%.0f\" "
               "font-size=\"14\">north</text>\n",
               y - 16, y);
    buf_printf(m->out,
               "<line x1=\"664\" y1=\"%.0f\" x2=\"714\" y2=\"%.0f\" " COVERED_STYLE
               "/><text x=\"722\" "
               "y=\"%.0f\" font-size=\"14\">covered</text>\n",
               y - 5, y - 5, y);
    buf_printf(m->out,
               "<line x1=\"810\" y1=\"%.0f\" x2=\"860\" y2=\"%.0f\" " MISSING_STYLE
               "/><text x=\"868\" "
               "y=\"%.0f\" font-size=\"14\">not yet</text>\n",
               y - 5, y - 5, y);
}

void trails_draw_svg(const struct trails_coverage *c, struct buf *out)
{
    const struct geo_pt *pt;
    const double *measure;
    size_t n = geo_route_lattice(c->route, &pt, &measure);
    struct map m = {.out = out};
    lay_out(&m, pt, n);
    thin_out(&m, pt, n);
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 "
               "0 %d %.0f\" "
               "font-family=\"sans-serif\" fill=\"#222\">\n<title>",
               WIDTH, m.height, WIDTH, m.height);
    put_escaped(c->display_name ? c->display_name : "", out);
    buf_puts(out, "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"" PAPER_COLOUR "\"/>\n");
    draw_head(&m, c);
    for (size_t i = 0; i < c->ngaps; i++) {
        for (size_t k = 0; k < c->gap[i].nparts; k++) {
            draw_part(&m, c, c->gap[i].part[k], MISSING_STYLE);
        }
    }
    /* Without round ends, which would cover short gaps. */
    for (size_t i = 0; i < c->ncovered; i++) {
        draw_part(&m, c, c->covered[i], COVERED_STYLE);
    }
    draw_ends(&m, c);
    label_gaps(&m, c);
    draw_milestones(&m, c);
    draw_foot(&m);
    buf_puts(out, "</svg>\n");
    mem_free(m.x);
    mem_free(m.y);
}
