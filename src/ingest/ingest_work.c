/* Worker threads: finds files, reads them, turns tracks into what is stored. */
#include "ingest/work.h"

#include <errno.h>
#include <fts.h>
#include <math.h>
#include <openssl/sha.h>
#include <sys/stat.h>

/* What a frontend draws and the spatial index holds: about what Strava's own summaries are. */
static const double SUMMARY_TOLERANCE_M = 10.0;

/* ---- finding -----------------------------------------------------------------------------------
 */

static bool is_track_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcasecmp(dot, ".gpx") == 0 || strcasecmp(dot, ".geojson") == 0);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int scan_folder(const char *path, struct ingest_paths *ret, struct err *err)
{
    char *copy = mem_strdup(path);
    char *const roots[] = {copy, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    int rc = tree ? 0 : err_sys(err, errno, "reading folder %s", path);
    for (FTSENT *e; rc == 0 && (e = fts_read(tree));) {
        bool file = e->fts_info == FTS_F || e->fts_info == FTS_SL;
        bool closed = e->fts_info == FTS_DNR; /* a folder: reading it says why it cannot be read */
        if ((file && is_track_file(e->fts_path)) || closed) {
            *vec_push(ret) = mem_strdup(e->fts_path);
        }
    }
    if (tree) {
        fts_close(tree);
    }
    mem_free(copy);
    return rc;
}

int ingest__scan(const char *const *path, size_t n, struct ingest_paths *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (stat(path[i], &st) != 0 || !S_ISDIR(st.st_mode)) {
            /* One that is missing: reading it says so, and the others go on. */
            *vec_push(ret) = mem_strdup(path[i]);
        } else if (scan_folder(path[i], ret, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void ingest__paths_done(struct ingest_paths *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->v[i]);
    }
    vec_done(p);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Negative, so that it can never be an id of Strava's; from the content, so that the same file is
 * the same activity. */
static int64_t activity_id(int64_t athlete_id, struct span bytes, size_t feature)
{
    unsigned char content[SHA256_DIGEST_LENGTH], digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)bytes.p, bytes.n, content);
    struct buf key = {0};
    buf_be64(&key, (uint64_t)athlete_id);
    buf_put(&key, content, sizeof(content));
    buf_be64(&key, feature);
    SHA256((const unsigned char *)key.p, key.n, digest);
    buf_done(&key);
    uint64_t id = 0;
    for (int i = 0; i < 8; i++) {
        id = id << 8 | digest[i];
    }
    /* 53 bits: exact in a JavaScript number too. */
    return -(int64_t)((id >> 11) | 1);
}

static void time_span(const struct geo_track *t, int64_t *start_us, int64_t *elapsed_s)
{
    double first = NAN, last = NAN;
    for (size_t i = 0; t->t && i < t->n; i++) {
        if (!isnan(t->t[i])) {
            first = isnan(first) ? t->t[i] : first;
            last = t->t[i];
        }
    }
    *start_us = isnan(first) ? INT64_MIN : (int64_t)(first * 1e6);
    *elapsed_s =
        isnan(first) || last <= first || last - first > INT32_MAX ? -1 : (int64_t)(last - first);
}

static int convert(const struct geo_feature *feature, int64_t id, struct ingest_activity *out,
                   struct err *err)
{
    const struct geo_track *t = &feature->track;
    struct geo_track simple = {0};
    *out = (struct ingest_activity){.id = id, .distance_m = geo_track_length_m(t)};
    time_span(t, &out->start_us, &out->elapsed_s);
    if (t->n < 2) {
        return err_set(err, ERR_DATA, ERR_PERMANENT, "a track of %zu point%s", t->n,
                       t->n == 1 ? "" : "s");
    }
    if (geo_simplify(t, SUMMARY_TOLERANCE_M, &simple, err) != 0) {
        return -1;
    }
    geo_ewkb_line(simple.pt, simple.n, &out->summary);
    geo_track_done(&simple);
    geo_ewkb_track(t, &out->track);
    out->name = feature->name ? mem_strdup(feature->name) : NULL;
    out->type = mem_strdup(feature->type && feature->type[0] ? feature->type : "Workout");
    return 0;
}

static void activity_done(struct ingest_activity *a)
{
    mem_free(a->name);
    mem_free(a->type);
    buf_done(&a->summary);
    buf_done(&a->track);
}

static void convert_all(struct ingest_file *f, const struct geo_file *g, struct span bytes)
{
    for (size_t i = 0; i < g->n; i++) {
        struct ingest_activity a;
        if (g->feature[i].kind == GEO_FEATURE_ROUTE) {
            continue; /* a plan, not a recording */
        }
        if (convert(&g->feature[i], activity_id(f->athlete_id, bytes, i), &a, &f->err) == 0) {
            *vec_push(&f->activity) = a;
        } else {
            activity_done(&a);
        }
    }
    if (f->activity.n == 0 && f->err.class == 0) {
        (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT, "no track in it (%zu waypoints)",
                      g->waypoints);
    }
}

void ingest__read(struct ingest_file *f)
{
    struct buf bytes = {0};
    struct geo_file g = {0};
    if (file_read(f->path, GEO_MAX_FILE_BYTES, &bytes, &f->err) == 0) {
        enum geo_file_kind kind = geo_file_detect(buf_span(&bytes), f->path);
        f->origin = kind == GEO_FILE_GEOJSON ? "geojson" : "gpx";
        if (kind == GEO_FILE_UNKNOWN) {
            (void)err_set(&f->err, ERR_DATA, ERR_PERMANENT, "neither GPX nor GeoJSON");
        } else if (geo_file_read(buf_span(&bytes), kind, &g, &f->err) == 0) {
            convert_all(f, &g, buf_span(&bytes));
        }
    }
    geo_file_done(&g);
    buf_done(&bytes);
}

void ingest__file_done(struct ingest_file *f)
{
    for (size_t i = 0; i < f->activity.n; i++) {
        activity_done(&f->activity.v[i]);
    }
    vec_done(&f->activity);
}
