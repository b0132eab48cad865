/* Worker threads. Touches nothing but its item. */
#include "people/work.h"

#include <math.h>

#include "geo/geo.h"

/* As precise as the degrees of a recorder. */
static void put_degrees(struct buf *b, double v)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%.7f", v);
    while (n > 0 && text[n - 1] == '0') {
        n--;
    }
    buf_put(b, text, (size_t)(n > 0 && text[n - 1] == '.' ? n - 1 : n));
}

static void put_points(struct buf *b, const struct geo_track *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        buf_puts(b, i > from ? ",[" : "[");
        put_degrees(b, t->pt[i].lon);
        buf_putc(b, ',');
        put_degrees(b, t->pt[i].lat);
        buf_putc(b, ']');
    }
}

static void put_times(struct buf *b, const struct geo_track *t, size_t from, size_t to)
{
    char iso[40];
    for (size_t i = from; i < to; i++) {
        buf_puts(b, i > from ? "," : "");
        if (fabs(t->t[i]) < 1e11) {
            buf_printf(b, "\"%s\"", time_format_iso((int64_t)(t->t[i] * 1e6), iso));
        } else {
            buf_puts(b, "null");
        }
    }
}

/* Lines of one point are no lines in GeoJSON (RFC 7946, 3.1.4): nothing is lost but what nobody
 * could draw. */
static bool is_line(const struct geo_track *t, size_t segment, size_t *from, size_t *to)
{
    *from = t->seg[segment];
    *to = segment + 1 < t->nseg ? t->seg[segment + 1] : t->n;
    return *to - *from >= 2;
}

static void put_segments(struct buf *b, const struct geo_track *t,
                         void (*put)(struct buf *b, const struct geo_track *t, size_t from,
                                     size_t to))
{
    size_t from, to;
    bool any = false;
    buf_putc(b, '[');
    for (size_t i = 0; i < t->nseg; i++) {
        if (is_line(t, i, &from, &to)) {
            buf_puts(b, any ? ",[" : "[");
            put(b, t, from, to);
            buf_putc(b, ']');
            any = true;
        }
    }
    buf_putc(b, ']');
}

static size_t lines_of(const struct geo_track *t)
{
    size_t n = 0, from, to;
    for (size_t i = 0; i < t->nseg; i++) {
        n += is_line(t, i, &from, &to);
    }
    return n;
}

static void put_geometry(struct buf *b, const struct geo_track *t)
{
    if (lines_of(t) == 0) {
        buf_puts(b, "null");
        return;
    }
    buf_puts(b, "{\"type\":\"MultiLineString\",\"coordinates\":");
    put_segments(b, t, put_points);
    buf_putc(b, '}');
}

static int read_track(struct span wkb, bool recorded, struct geo_track *ret, struct err *err)
{
    if (!wkb.p || geo_ewkb_read(wkb, recorded, ret, err) == 0) {
        return 0;
    }
    geo_track_done(ret);
    return err->class == ERR_PERMANENT ? 0 : -1;
}

static void put_feature(struct buf *b, const struct people_activity *x, const struct geo_track *t,
                        const struct geo_track *summary)
{
    buf_puts(b, "{\"type\":\"Feature\",\"properties\":{");
    if (t->t && lines_of(t) > 0) {
        buf_puts(b, "\"coordTimes\":");
        put_segments(b, t, put_times);
        buf_putc(b, ',');
    }
    if (x->summary.p) {
        buf_puts(b, "\"summary_track\":");
        put_geometry(b, summary);
        buf_putc(b, ',');
    }
    CHECK(x->properties.n > 2 && x->properties.p[0] == '{');
    buf_put(b, x->properties.p + 1, x->properties.n - 1);
    buf_puts(b, ",\"geometry\":");
    put_geometry(b, t);
    buf_putc(b, '}');
}

int people__write_page(struct people_page *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct people_activity *x = &p->activity[i];
        struct geo_track track = {0}, summary = {0};
        int rc = read_track(x->track, x->recorded, &track, err);
        rc = rc == 0 ? read_track(x->summary, false, &summary, err) : rc;
        if (rc == 0) {
            buf_puts(&p->out, p->first && i == 0 ? "\n" : ",\n");
            put_feature(&p->out, x, &track, &summary);
        }
        geo_track_done(&track);
        geo_track_done(&summary);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void people__page_done(struct people_page *p)
{
    buf_done(&p->out);
    p->n = 0;
}
