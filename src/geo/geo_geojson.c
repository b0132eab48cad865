/* GeoJSON, RFC 7946, by jansson. Lines are read; points are counted; polygons are passed over. */
#include "geo/geo.h"

#include <jansson.h>
#include <math.h>

#include "geo/internal.h"

enum {
    MAX_BYTES = 64 << 20,
    MAX_NESTING = 64,
    MAX_COLLECTIONS = 8, /* GeometryCollection in GeometryCollection */
    MAX_FEATURES = GEO_MAX_SEGMENTS,
};

/* jansson keeps the whole document as a tree, in which "[]," of three bytes takes a hundred. What
 * the tree will cost is therefore reckoned before it is made. The figures are what jansson 2.14 and
 * malloc use for a number or string, an array of few items and an empty object. Two million points
 * with heights, our cap, come to 480 MB. */
enum { TREE_VALUE = 32, TREE_ARRAY = 144, TREE_OBJECT = 320 };
#define TREE_BUDGET ((size_t)512 << 20)

struct geojson {
    struct geo_file *file;
    struct err *err;
    size_t points;
    struct {
        VEC(struct geo_feature);
    } done;
};

static size_t tree_bytes(struct span text)
{
    size_t sum = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',') {
            sum += TREE_VALUE;
        } else if (c == '[') {
            sum += TREE_ARRAY;
        } else if (c == '{') {
            sum += TREE_OBJECT;
        }
    }
    return sum + text.n; /* the strings themselves */
}

static struct span string_of(const json_t *v)
{
    if (!json_is_string(v))
        return (struct span){0};
    return (struct span){json_string_value(v), json_string_length(v)};
}

static struct span member(const json_t *object, const char *key)
{
    return string_of(json_object_get(object, key));
}

/* ---- lines -------------------------------------------------------------------------------------
 */

static double time_of(const json_t *v)
{
    int64_t us;
    struct err ignored;
    struct span text = string_of(v);
    if (text.n == 0 || time_parse_iso(text, &us, &ignored) != 0)
        return NAN;
    return (double)us / 1e6;
}

static bool position_of(const json_t *v, struct geo_pt *ret)
{
    const json_t *lon = json_array_get(v, 0), *lat = json_array_get(v, 1);
    if (!json_is_number(lon) || !json_is_number(lat))
        return false;
    *ret = (struct geo_pt){.lon = json_number_value(lon), .lat = json_number_value(lat)};
    return geo__pt_wrap(ret);
}

/* times: the array that goes with this line, or NULL. */
static int add_line(struct geojson *g, struct geo_track *t, const json_t *line, const json_t *times)
{
    bool first = true;
    if (json_array_size(times) != json_array_size(line))
        times = NULL;
    for (size_t i = 0; i < json_array_size(line); i++) {
        struct geo_pt p;
        g->points++;
        if (!position_of(json_array_get(line, i), &p)) {
            g->file->dropped++;
            continue;
        }
        if (geo_track_add(t, p, time_of(json_array_get(times, i)), first, g->err) != 0)
            return -1;
        first = false;
    }
    return 0;
}

static int add_lines(struct geojson *g, struct geo_track *t, const json_t *lines,
                     const json_t *times)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *of_line = json_array_get(times, i);
        if (add_line(g, t, json_array_get(lines, i), of_line) != 0)
            return -1;
    }
    return 0;
}

static int add_geometry(struct geojson *g, struct geo_track *t, const json_t *geometry,
                        const json_t *times, unsigned depth)
{
    struct span type = member(geometry, "type");
    const json_t *coordinates = json_object_get(geometry, "coordinates");
    if (span_is(type, "LineString"))
        return add_line(g, t, coordinates, times);
    if (span_is(type, "MultiLineString"))
        return add_lines(g, t, coordinates, times);
    if (span_is(type, "Point"))
        g->file->waypoints++;
    if (span_is(type, "MultiPoint"))
        g->file->waypoints += json_array_size(coordinates);
    if (!span_is(type, "GeometryCollection"))
        return 0;
    if (depth >= MAX_COLLECTIONS)
        return err_set(g->err, ERR_DATA, ERR_PERMANENT,
                       "geometry collections nest more than %d deep", MAX_COLLECTIONS);
    const json_t *parts = json_object_get(geometry, "geometries");
    for (size_t i = 0; i < json_array_size(parts); i++)
        if (add_geometry(g, t, json_array_get(parts, i), NULL, depth + 1) != 0)
            return -1;
    return 0;
}

/* ---- features ----------------------------------------------------------------------------------
 */

/* Two conventions, neither of them of the RFC. */
static const json_t *times_of(const json_t *properties)
{
    const json_t *times = json_object_get(properties, "coordTimes");
    if (json_is_array(times))
        return times;
    return json_object_get(json_object_get(properties, "coordinateProperties"), "times");
}

static int fill_feature(struct geojson *g, struct geo_feature *f, const json_t *geometry,
                        const json_t *properties)
{
    if (add_geometry(g, &f->track, geometry, times_of(properties), 0) != 0)
        return -1;
    if (geo__track_order_times(&f->track, g->err) != 0)
        return -1;
    if (f->track.n > 0 && g->done.n >= MAX_FEATURES)
        return err_set(g->err, ERR_DATA, ERR_PERMANENT, "more than %d lines in one file",
                       MAX_FEATURES);
    f->name = geo__name_dup(member(properties, "name"));
    if (!f->name)
        f->name = geo__name_dup(member(properties, "title"));
    f->type = geo__name_dup(member(properties, "type"));
    return 0;
}

static int add_feature(struct geojson *g, const json_t *geometry, const json_t *properties)
{
    struct geo_feature f = {.kind = GEO_FEATURE_LINE};
    int rc = fill_feature(g, &f, geometry, properties);
    if (rc == 0 && f.track.n > 0)
        *vec_push(&g->done) = f;
    else
        geo__feature_done(&f);
    return rc;
}

static int add_collection(struct geojson *g, const json_t *features)
{
    if (!json_is_array(features))
        return err_set(g->err, ERR_DATA, ERR_PERMANENT, "a FeatureCollection without features");
    for (size_t i = 0; i < json_array_size(features); i++) {
        const json_t *f = json_array_get(features, i);
        const json_t *properties = json_object_get(f, "properties");
        if (add_feature(g, json_object_get(f, "geometry"), properties) != 0)
            return err_wrap(g->err, "feature %zu: ", i);
    }
    return 0;
}

/* The 2008 format could name another reference system. Its metres taken for degrees would be
 * refused one by one; this says why. */
static int check_crs(const json_t *root, struct err *err)
{
    const json_t *crs = json_object_get(root, "crs");
    struct span name = member(json_object_get(crs, "properties"), "name");
    if (name.n == 0 || strstr(name.p, "CRS84") || strstr(name.p, "4326"))
        return 0;
    return err_set(err, ERR_DATA, ERR_PERMANENT,
                   "coordinates are in %.80s; convert the file to WGS 84 (EPSG:4326)", name.p);
}

static bool is_geometry(struct span type)
{
    static const char *const names[] = {
        "Point",   "MultiPoint",   "LineString",        "MultiLineString",
        "Polygon", "MultiPolygon", "GeometryCollection"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (span_is(type, names[i]))
            return true;
    return false;
}

static int read_root(struct geojson *g, const json_t *root)
{
    struct span type = member(root, "type");
    if (check_crs(root, g->err) != 0)
        return -1;
    g->file->name = geo__name_dup(member(root, "name"));
    if (span_is(type, "FeatureCollection"))
        return add_collection(g, json_object_get(root, "features"));
    if (span_is(type, "Feature"))
        return add_feature(g, json_object_get(root, "geometry"),
                           json_object_get(root, "properties"));
    if (is_geometry(type))
        return add_feature(g, root, NULL);
    if (type.n == 0)
        return err_set(g->err, ERR_DATA, ERR_PERMANENT, "JSON, but no GeoJSON: it has no \"type\"");
    return err_set(g->err, ERR_DATA, ERR_PERMANENT, "JSON, but no GeoJSON: its type is \"%.40s\"",
                   type.p);
}

int geo__geojson_read(struct span bytes, struct geo_file *ret, struct err *err)
{
    struct geojson g = {.file = ret, .err = err};
    if (bytes.n >= 3 && memcmp(bytes.p, "\xef\xbb\xbf", 3) == 0)
        bytes = (struct span){bytes.p + 3, bytes.n - 3}; /* the byte order mark is not JSON */
    if (bytes.n > MAX_BYTES)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "the file has %zu bytes; GeoJSON of up to %d MB is read", bytes.n,
                       MAX_BYTES >> 20);
    size_t need = tree_bytes(bytes);
    if (need > TREE_BUDGET)
        return err_set(err, ERR_DATA, ERR_PERMANENT,
                       "GeoJSON that would take %zu MB to read; the cap is %zu MB: split the file",
                       need >> 20, TREE_BUDGET >> 20);
    json_t *root = json_read(bytes, MAX_BYTES, MAX_NESTING, err);
    if (!root)
        return err_wrap(err, "GeoJSON: ");
    int rc = read_root(&g, root);
    json_decref(root);
    ret->feature = g.done.v;
    ret->n = g.done.n;
    if (rc == 0)
        rc = geo__check_dropped(ret->dropped, g.points, err);
    return rc == 0 ? 0 : err_wrap(err, "GeoJSON: ");
}
