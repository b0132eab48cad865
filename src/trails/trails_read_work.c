/* Worker threads: a route file to a line. */
#include "trails/work.h"

#include <math.h>

/* "Tour du Mont Blanc" -> "tour-du-mont-blanc". Bytes that are not ASCII letters or digits part
 * words; what is left of a name in another script is its hash, so that ids stay typeable and
 * distinct. */
static char *slug_of(const char *name)
{
    struct buf b = {0};
    uint32_t hash = 2166136261u; /* FNV-1a */
    size_t lost = 0;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        hash = (hash ^ *p) * 16777619u;
        if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')) {
            buf_putc(&b, (char)*p);
        } else if (*p >= 'A' && *p <= 'Z') {
            buf_putc(&b, (char)(*p - 'A' + 'a'));
        } else {
            lost += *p >= 0x80;
            if (b.n > 0 && b.p[b.n - 1] != '-') {
                buf_putc(&b, '-');
            }
        }
    }
    while (b.n > 0 && b.p[b.n - 1] == '-') {
        b.p[--b.n] = '\0';
    }
    if (b.n < 2 || lost > strlen(name) / 2) {
        buf_printf(&b, "%s%08x", b.n > 0 ? "-" : "route-", hash);
    }
    return b.p;
}

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *stem = mem_strdup(slash ? slash + 1 : path);
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem) {
        *dot = '\0';
    }
    return stem;
}

static int append(struct geo_track *all, const struct geo_track *t, struct err *err)
{
    for (size_t s = 0; s < t->nseg; s++) {
        size_t end = s + 1 < t->nseg ? t->seg[s + 1] : t->n;
        for (size_t i = t->seg[s]; i < end; i++) {
            if (geo_track_add(all, t->pt[i], NAN, i == t->seg[s], err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Joins, and makes sure that what is stored can be matched. */
static int finish(struct trails_read *r, const struct geo_track *segments,
                  struct trails_read_route *out)
{
    struct geo_track line = {0};
    struct geo_route *route = NULL;
    int rc = geo_join(segments, r->max_gap_m, &line, &out->join, &out->err);
    if (rc == 0 && !(route = geo_route_new(&line, r->tolerance_m, &out->err))) {
        rc = -1;
    }
    if (rc == 0) {
        out->length_m = geo_route_length_m(route);
        out->points = line.n;
        geo_ewkb_line(line.pt, line.n, &out->line);
    }
    geo_route_free(route);
    geo_track_done(&line);
    return rc;
}

static bool has_tracks(const struct geo_file *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->feature[i].kind == GEO_FEATURE_TRACK) {
            return true;
        }
    }
    return false;
}

static struct trails_read_route *new_route(struct trails_read *r, const char *name, const char *id)
{
    struct trails_read_route *out = vec_push(&r->route);
    *out = (struct trails_read_route){.name = mem_strdup(name), .id = mem_strdup(id)};
    return out;
}

static void read_whole(struct trails_read *r, const struct geo_file *g, const char *stem)
{
    struct geo_track all = {0};
    size_t lines = 0;
    /* A GPX file may hold the plan as well: then the track is the line. */
    bool tracks = has_tracks(g);
    const char *only = NULL;
    struct err err = {0};
    int rc = 0;
    for (size_t i = 0; i < g->n && rc == 0; i++) {
        if (!tracks || g->feature[i].kind == GEO_FEATURE_TRACK) {
            lines++;
            only = g->feature[i].name;
            rc = append(&all, &g->feature[i].track, &err);
        }
    }
    const char *name = r->name ? r->name : g->name ? g->name : lines == 1 && only ? only : stem;
    /* Named by the file, known by where it lies: names such as "Track 1" would make routes replace
     * each other. */
    char *slug = slug_of(stem);
    struct trails_read_route *out = new_route(r, name, r->id ? r->id : slug);
    mem_free(slug);
    out->err = err;
    if (rc == 0 && lines == 0) {
        (void)err_set(&out->err, ERR_DATA, ERR_PERMANENT, "no line in it (%zu waypoints)",
                      g->waypoints);
    } else if (rc == 0) {
        (void)!finish(r, &all, out);
    }
    geo_track_done(&all);
}

static void read_each(struct trails_read *r, const struct geo_file *g, const char *stem)
{
    for (size_t i = 0; i < g->n; i++) {
        struct buf id = {0}, name = {0};
        buf_printf(&id, "%s-%zu", stem, i + 1);
        buf_printf(&name, "%s", g->feature[i].name ? g->feature[i].name : id.p);
        char *slug = slug_of(id.p);
        struct trails_read_route *out = new_route(r, name.p, slug);
        (void)!finish(r, &g->feature[i].track, out);
        mem_free(slug);
        buf_done(&id);
        buf_done(&name);
    }
}

void trails__read_file(struct trails_read *r)
{
    struct buf bytes = {0};
    struct geo_file g = {0};
    struct err err = {0};
    char *stem = stem_of(r->path);
    int rc = file_read(r->path, GEO_MAX_FILE_BYTES, &bytes, &err);
    enum geo_file_kind kind =
        rc == 0 ? geo_file_detect(buf_span(&bytes), r->path) : GEO_FILE_UNKNOWN;
    if (rc == 0 && kind == GEO_FILE_UNKNOWN) {
        rc = err_set(&err, ERR_DATA, ERR_PERMANENT, "neither GPX nor GeoJSON");
    }
    rc = rc == 0 ? geo_file_read(buf_span(&bytes), kind, &g, &err) : rc;
    if (rc != 0) {
        new_route(r, stem, stem)->err = err;
    } else if (r->each) {
        read_each(r, &g, stem);
    } else {
        read_whole(r, &g, stem);
    }
    mem_free(stem);
    geo_file_done(&g);
    buf_done(&bytes);
}

void trails__read_done(struct trails_read *r)
{
    for (size_t i = 0; i < r->route.n; i++) {
        mem_free(r->route.v[i].id);
        mem_free(r->route.v[i].name);
        buf_done(&r->route.v[i].line);
    }
    vec_done(&r->route);
}
