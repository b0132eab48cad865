/* EWKB, the binary form in which PostGIS takes and gives geometries. Reading also knows ISO WKB's
 * type codes. */
#include "geo/geo.h"

#include <math.h>

#include "geo/internal.h"

enum wkb_type {
    WKB_POINT = 1,
    WKB_LINESTRING = 2,
    WKB_MULTILINESTRING = 5,
    WKB_COLLECTION = 7,
};

#define EWKB_Z    0x80000000u
#define EWKB_M    0x40000000u
#define EWKB_SRID 0x20000000u

enum {
    SRID_WGS84 = 4326,
    MAX_NESTING = 8, /* collections in collections; PostGIS never makes more than two */
    MIN_BYTES = 9,   /* of the smallest nested geometry: byte order, type, count */
};

struct reader {
    const unsigned char *p;
    size_t n, pos;
    bool m_is_time;
    struct geo_track track;
    struct err *err;
};

/* What the type word of one geometry says. */
struct head {
    bool little;
    bool has_m;
    unsigned type;
    unsigned dims; /* numbers a point: 2 to 4 */
};

static const char *type_name(unsigned type)
{
    static const char *const names[] = {
        "Geometry",
        "Point",
        "LineString",
        "Polygon",
        "MultiPoint",
        "MultiLineString",
        "MultiPolygon",
        "GeometryCollection",
        "CircularString",
        "CompoundCurve",
        "CurvePolygon",
        "MultiCurve",
        "MultiSurface",
        "Curve",
        "Surface",
        "PolyhedralSurface",
        "Tin",
        "Triangle",
    };
    return type < COUNT_OF(names) ? names[type] : "of unknown type";
}

static int fail_short(struct reader *r)
{
    return err_set(r->err, ERR_DATA, ERR_PERMANENT, "WKB of %zu bytes is cut off after byte %zu",
                   r->n, r->pos);
}

static int read_u32(struct reader *r, bool little, uint32_t *ret)
{
    if (r->n - r->pos < 4)
        return fail_short(r);
    const unsigned char *p = r->p + r->pos;
    r->pos += 4;
    if (little)
        *ret = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    else
        *ret = p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
    return 0;
}

/* The caller has checked that eight bytes are there. */
static double take_f64(struct reader *r, bool little)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)r->p[r->pos + i] << 8 * (little ? i : 7 - i);
    r->pos += 8;
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static int read_head(struct reader *r, struct head *ret)
{
    uint32_t word;
    if (r->pos >= r->n)
        return fail_short(r);
    unsigned order = r->p[r->pos];
    if (order > 1)
        return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                       "WKB has byte order %u at byte %zu; only 0 and 1 exist", order, r->pos);
    r->pos++;
    if (read_u32(r, order == 1, &word) != 0)
        return -1;
    uint32_t code = word & ~(EWKB_Z | EWKB_M | EWKB_SRID);
    /* ISO codes: 1000 added for Z, 2000 for M, 3000 for both. */
    uint32_t iso = code / 1000 <= 3 ? code / 1000 : 0;
    bool has_z = (word & EWKB_Z) || (iso & 1);
    *ret = (struct head){.little = order == 1,
                         .has_m = (word & EWKB_M) || (iso & 2),
                         .type = iso ? code % 1000 : code};
    ret->dims = 2u + has_z + ret->has_m;
    if (word & EWKB_SRID) {
        uint32_t srid;
        if (read_u32(r, ret->little, &srid) != 0)
            return -1;
        if (srid != SRID_WGS84 && srid != 0)
            return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                           "geometry has SRID %u; only 4326 (WGS 84) and 0 are read", srid);
    }
    return 0;
}

static int read_point(struct reader *r, const struct head *h, bool new_segment)
{
    double v[4];
    size_t at = r->pos;
    for (unsigned d = 0; d < h->dims; d++)
        v[d] = take_f64(r, h->little);
    double time_s = r->m_is_time && h->has_m ? v[h->dims - 1] : (double)NAN;
    struct geo_pt p = {.lon = v[0], .lat = v[1]};
    if (geo_track_add(&r->track, p, time_s, new_segment, r->err) != 0)
        return err_wrap(r->err, "WKB, point at byte %zu: ", at);
    return 0;
}

/* WKB has no count for a point: the empty one is written as NaNs. */
static int read_single(struct reader *r, const struct head *h)
{
    if ((r->n - r->pos) / 8 < h->dims)
        return fail_short(r);
    struct reader peek = *r;
    double x = take_f64(&peek, h->little), y = take_f64(&peek, h->little);
    if (isnan(x) && isnan(y)) {
        r->pos += (size_t)h->dims * 8;
        return 0;
    }
    return read_point(r, h, true);
}

static int read_line(struct reader *r, const struct head *h)
{
    uint32_t count;
    if (read_u32(r, h->little, &count) != 0)
        return -1;
    if ((r->n - r->pos) / ((size_t)h->dims * 8) < count)
        return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                       "WKB announces a line of %u points at byte %zu but holds only %zu bytes",
                       (unsigned)count, r->pos, r->n);
    for (uint32_t i = 0; i < count; i++)
        if (read_point(r, h, i == 0) != 0)
            return -1;
    return 0;
}

static int read_geometry(struct reader *r, unsigned only, unsigned depth);

static int read_members(struct reader *r, const struct head *h, unsigned depth)
{
    uint32_t count;
    if (read_u32(r, h->little, &count) != 0)
        return -1;
    if ((r->n - r->pos) / MIN_BYTES < count)
        return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                       "WKB announces %u parts at byte %zu but holds only %zu bytes",
                       (unsigned)count, r->pos, r->n);
    unsigned only = h->type == WKB_MULTILINESTRING ? WKB_LINESTRING : 0;
    for (uint32_t i = 0; i < count; i++)
        if (read_geometry(r, only, depth + 1) != 0)
            return -1;
    return 0;
}

/* only: the one type allowed here, 0 for any. */
static int read_geometry(struct reader *r, unsigned only, unsigned depth)
{
    struct head h = {0};
    if (depth > MAX_NESTING)
        return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                       "WKB nests collections more than %d deep at byte %zu", MAX_NESTING, r->pos);
    if (read_head(r, &h) != 0)
        return -1;
    if (only && h.type != only)
        return err_set(r->err, ERR_DATA, ERR_PERMANENT, "WKB has a %s inside a MultiLineString",
                       type_name(h.type));
    switch (h.type) {
    case WKB_POINT:
        return read_single(r, &h);
    case WKB_LINESTRING:
        return read_line(r, &h);
    case WKB_MULTILINESTRING:
    case WKB_COLLECTION:
        return read_members(r, &h, depth);
    default:
        return err_set(r->err, ERR_DATA, ERR_PERMANENT,
                       "geometry is a %s (type %u); points and lines are read", type_name(h.type),
                       h.type);
    }
}

int geo_ewkb_read(struct span wkb, bool m_is_time, struct geo_track *ret, struct err *err)
{
    struct reader r = {
        .p = (const unsigned char *)wkb.p, .n = wkb.n, .m_is_time = m_is_time, .err = err};
    int rc = read_geometry(&r, 0, 0);
    if (rc == 0 && r.pos != r.n)
        rc = err_set(err, ERR_DATA, ERR_PERMANENT, "WKB goes on for %zu bytes after its geometry",
                     r.n - r.pos);
    if (rc != 0) {
        geo_track_done(&r.track);
        return -1;
    }
    *ret = r.track;
    return 0;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static void put_u32(struct buf *out, uint32_t v)
{
    const unsigned char b[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                                (unsigned char)(v >> 24)};
    buf_put(out, b, sizeof(b));
}

static void put_f64(struct buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_u32(out, (uint32_t)bits);
    put_u32(out, (uint32_t)(bits >> 32));
}

static void put_head(struct buf *out, uint32_t type)
{
    buf_putc(out, 1);
    put_u32(out, type);
    if (type & EWKB_SRID)
        put_u32(out, SRID_WGS84);
}

void geo_ewkb_line(const struct geo_pt *pt, size_t n, struct buf *out)
{
    CHECK(n >= 2 && n <= UINT32_MAX);
    put_head(out, WKB_LINESTRING | EWKB_SRID);
    put_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        put_f64(out, pt[i].lon);
        put_f64(out, pt[i].lat);
    }
}

/* Walks the known times of a track on both sides of a point that only moves forward. */
struct clock {
    const double *t;
    size_t n;
    size_t before, after; /* indexes of known times; n: none */
};

static size_t next_known(const double *t, size_t n, size_t from)
{
    while (from < n && isnan(t[from]))
        from++;
    return from;
}

static double time_at(struct clock *c, size_t i)
{
    while (c->after < c->n && c->after < i) {
        c->before = c->after;
        c->after = next_known(c->t, c->n, c->after + 1);
    }
    if (c->after == i)
        return c->t[i];
    if (c->before == c->n)
        return c->t[c->after];
    if (c->after >= c->n)
        return c->t[c->before];
    double part = (double)(i - c->before) / (double)(c->after - c->before);
    return c->t[c->before] + part * (c->t[c->after] - c->t[c->before]);
}

void geo_ewkb_track(const struct geo_track *t, struct buf *out)
{
    struct clock clock = {.t = t->t, .n = t->n, .before = t->n};
    clock.after = t->t ? next_known(t->t, t->n, 0) : t->n;
    uint32_t m = clock.after < t->n ? EWKB_M : 0;
    uint32_t lines = 0;
    for (size_t s = 0; s < t->nseg; s++)
        lines += geo__seg_end(t, s) - t->seg[s] >= 2;
    put_head(out, WKB_MULTILINESTRING | EWKB_SRID | m);
    put_u32(out, lines);
    for (size_t s = 0; s < t->nseg; s++) {
        size_t first = t->seg[s], last = geo__seg_end(t, s);
        if (last - first < 2)
            continue;
        put_head(out, WKB_LINESTRING | m);
        put_u32(out, (uint32_t)(last - first));
        for (size_t i = first; i < last; i++) {
            put_f64(out, t->pt[i].lon);
            put_f64(out, t->pt[i].lat);
            if (m)
                put_f64(out, time_at(&clock, i));
        }
    }
}
