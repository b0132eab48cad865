/* Track files: which kind it is, and what the readers of all kinds share. */
#include "geo/geo.h"

#include <strings.h>

#include "geo/internal.h"

enum {
    SNIFF_BYTES = 4096,
    MAX_NAME_BYTES = 500,
};

void geo__feature_done(struct geo_feature *f)
{
    mem_free(f->name);
    mem_free(f->type);
    geo_track_done(&f->track);
    *f = (struct geo_feature){0};
}

void geo_file_done(struct geo_file *f)
{
    for (size_t i = 0; i < f->n; i++)
        geo__feature_done(&f->feature[i]);
    mem_free(f->feature);
    mem_free(f->name);
    *f = (struct geo_file){0};
}

char *geo__name_dup(struct span text)
{
    text = span_trim(text);
    if (text.n > MAX_NAME_BYTES) {
        text.n = MAX_NAME_BYTES;
        /* Back to where a character starts: the byte after the cut must not continue one. */
        while (text.n > 0 && ((unsigned char)text.p[text.n] & 0xc0) == 0x80)
            text.n--;
        text = span_trim(text);
    }
    if (text.n == 0)
        return NULL;
    char *copy = mem_alloc(text.n + 1);
    memcpy(copy, text.p, text.n);
    return copy;
}

int geo__check_dropped(size_t dropped, size_t points, struct err *err)
{
    if (dropped > points / 2)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "%zu of %zu points carry no valid position: too many to trust the rest",
                       dropped, points);
    return 0;
}

/* ---- detection ---------------------------------------------------------------------------------
 */

static bool ends_with(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = strlen(suffix);
    return n >= k && strcasecmp(path + n - k, suffix) == 0;
}

static bool has_any(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* The opening of the file as a C string. NULs are left out, which makes UTF-16 of ASCII readable.
 */
static size_t opening(struct span bytes, char out[SNIFF_BYTES + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < bytes.n && i < SNIFF_BYTES; i++)
        if (bytes.p[i] != '\0')
            out[n++] = bytes.p[i];
    out[n] = '\0';
    return n;
}

static enum geo_file_kind detect_by_content(struct span bytes)
{
    static const char *const json_words[] = {"\"FeatureCollection\"",  "\"Feature\"",
                                             "\"GeometryCollection\"", "\"LineString\"",
                                             "\"MultiLineString\"",    "\"coordinates\""};
    static const char *const gpx_words[] = {"<gpx", ":gpx"};
    char text[SNIFF_BYTES + 1];
    opening(bytes, text);
    /* Byte order marks, then white space. */
    const char *p = text + strspn(text, "\xef\xbb\xbf\xff\xfe \t\r\n");
    if (*p == '{' && has_any(p, json_words, COUNT_OF(json_words)))
        return GEO_FILE_GEOJSON;
    if (*p == '<' && has_any(p, gpx_words, COUNT_OF(gpx_words)))
        return GEO_FILE_GPX;
    return GEO_FILE_UNKNOWN;
}

enum geo_file_kind geo_file_detect(struct span bytes, const char *path)
{
    enum geo_file_kind kind = detect_by_content(bytes);
    if (kind != GEO_FILE_UNKNOWN || !path)
        return kind;
    if (ends_with(path, ".gpx"))
        return GEO_FILE_GPX;
    if (ends_with(path, ".geojson") || ends_with(path, ".json"))
        return GEO_FILE_GEOJSON;
    return GEO_FILE_UNKNOWN;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static int read_kind(struct span bytes, enum geo_file_kind kind, struct geo_file *f,
                     struct err *err)
{
    if (bytes.n == 0)
        return err_set(err, ERR_DATA, ERR_PERMANENT, "the file is empty");
    if (bytes.n > GEO_MAX_FILE_BYTES)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "the file has %zu bytes; track files of up to %d MB are read", bytes.n,
                       GEO_MAX_FILE_BYTES >> 20);
    switch (kind) {
    case GEO_FILE_GPX:
        return geo__gpx_read(bytes, f, err);
    case GEO_FILE_GEOJSON:
        return geo__geojson_read(bytes, f, err);
    case GEO_FILE_UNKNOWN:
        break;
    }
    return err_set(err, ERR_DATA, ERR_PERMANENT, "neither a GPX nor a GeoJSON file");
}

int geo_file_read(struct span bytes, enum geo_file_kind kind, struct geo_file *ret, struct err *err)
{
    struct geo_file f = {0};
    if (read_kind(bytes, kind, &f, err) != 0) {
        geo_file_done(&f);
        return -1;
    }
    *ret = f;
    return 0;
}
