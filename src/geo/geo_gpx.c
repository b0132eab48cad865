/* GPX 1.0 and 1.1 by expat. Elements are known by their local name and by where they stand, so that
 * any prefix or namespace will do and a <name> inside somebody's <extensions> is not taken for the
 * track's. */
#include "geo/geo.h"

#include <expat.h>
#include <math.h>

#include "geo/internal.h"

enum {
    MAX_DEPTH = 64,
    /* Fed to expat at once, and the longest tag or comment it may have to wait for the end of:
     * expat looks at an unfinished token again with each chunk, so this bounds that work. */
    CHUNK_BYTES = 64 << 10,
    MAX_TOKEN_BYTES = 1 << 20,
    MAX_FEATURES = GEO_MAX_SEGMENTS,
    MAX_NAME_BYTES = 500,
    MAX_TEXT_BYTES = 4 * MAX_NAME_BYTES, /* kept of an element's text: white space goes later */
};

enum element {
    EL_NONE, /* in front of the root */
    EL_OTHER,
    EL_GPX,
    EL_METADATA,
    EL_TRK,
    EL_RTE,
    EL_TRKSEG,
    EL_TRKPT,
    EL_RTEPT,
    EL_WPT,
    EL_SHAPE, /* anything inside a route point, where Garmin keeps the line between two of them */
    EL_SHAPE_POINT, /* gpxx:rpt */
    EL_NAME,
    EL_TYPE,
    EL_TIME,
};

/* Under which element a name means what. */
static const struct {
    enum element parent;
    const char *name;
    enum element child;
} grammar[] = {
    {EL_NONE, "gpx", EL_GPX},
    {EL_GPX, "metadata", EL_METADATA},
    {EL_GPX, "name", EL_NAME}, /* GPX 1.0 */
    {EL_GPX, "trk", EL_TRK},
    {EL_GPX, "rte", EL_RTE},
    {EL_GPX, "wpt", EL_WPT},
    {EL_METADATA, "name", EL_NAME},
    {EL_TRK, "name", EL_NAME},
    {EL_TRK, "type", EL_TYPE},
    {EL_TRK, "trkseg", EL_TRKSEG},
    {EL_TRKSEG, "trkpt", EL_TRKPT},
    {EL_TRKPT, "time", EL_TIME},
    {EL_RTE, "name", EL_NAME},
    {EL_RTE, "type", EL_TYPE},
    {EL_RTE, "rtept", EL_RTEPT},
    {EL_RTEPT, "time", EL_TIME},
    {EL_RTEPT, "extensions", EL_SHAPE},
    {EL_SHAPE, "RoutePointExtension", EL_SHAPE},
    {EL_SHAPE, "rpt", EL_SHAPE_POINT},
};

struct gpx {
    XML_Parser xml;
    struct geo_file *file;
    struct err *err;
    bool failed; /* *err is filled */

    enum element stack[MAX_DEPTH];
    unsigned depth;

    struct geo_feature feature; /* the <trk> or <rte> that is open */
    bool segment_open;          /* the next point goes to the last segment */
    bool point_open;            /* the last point of the track is the one we are inside */
    struct buf text;            /* of the <name>, <type> or <time> that is open */
    size_t points;              /* seen, good and bad */

    struct {
        VEC(struct geo_feature);
    } done;
};

/* Stops the parser after the handler that calls this returns. */
static void stop(struct gpx *g)
{
    g->failed = true;
    XML_StopParser(g->xml, XML_FALSE);
}

#define FAIL(g, ...) (err_set((g)->err, ERR_DATA, ERR_PERMANENT, __VA_ARGS__), stop(g))

static const char *local_name(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

static enum element element_of(enum element parent, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(grammar); i++)
        if (grammar[i].parent == parent && strcmp(grammar[i].name, name) == 0)
            return grammar[i].child;
    return EL_OTHER;
}

/* ---- points ------------------------------------------------------------------------------------
 */

static bool read_degrees(const char *text, double *ret)
{
    return text && span_to_f64(span_trim(span_of(text)), ret) == 0;
}

static void add_point(struct gpx *g, const char **attr)
{
    const char *lat = NULL, *lon = NULL;
    struct geo_pt p;
    for (; attr[0]; attr += 2) {
        if (strcmp(attr[0], "lat") == 0)
            lat = attr[1];
        else if (strcmp(attr[0], "lon") == 0)
            lon = attr[1];
    }
    g->points++;
    g->point_open = false;
    if (!read_degrees(lat, &p.lat) || !read_degrees(lon, &p.lon) || !geo__pt_wrap(&p)) {
        g->file->dropped++;
        return;
    }
    if (geo_track_add(&g->feature.track, p, NAN, !g->segment_open, g->err) != 0) {
        stop(g);
        return;
    }
    g->segment_open = true;
    g->point_open = true;
}

static void set_time(struct gpx *g, struct span text)
{
    int64_t us;
    struct err ignored;
    if (!g->point_open || time_parse_iso(text, &us, &ignored) != 0)
        return;
    struct geo_track *t = &g->feature.track;
    if (!geo__track_set_time(t, t->n - 1, (double)us / 1e6)) {
        geo__no_memory(t->n, g->err);
        stop(g);
    }
}

/* ---- features ----------------------------------------------------------------------------------
 */

static void begin_feature(struct gpx *g, enum element el)
{
    g->feature = (struct geo_feature){.kind = el == EL_TRK ? GEO_FEATURE_TRACK : GEO_FEATURE_ROUTE};
    g->segment_open = false;
}

static void end_feature(struct gpx *g)
{
    if (g->feature.track.n == 0) {
        geo__feature_done(&g->feature);
        return;
    }
    if (g->done.n >= MAX_FEATURES) {
        FAIL(g, "more than %d tracks and routes in one file", MAX_FEATURES);
        return;
    }
    if (geo__track_order_times(&g->feature.track, g->err) != 0) {
        stop(g);
        return;
    }
    *vec_push(&g->done) = g->feature;
    g->feature = (struct geo_feature){0};
}

/* The first one counts; later ones are somebody's mistake. */
static void set_name(char **name, struct span text)
{
    if (!*name)
        *name = geo__name_dup(text);
}

static void end_text(struct gpx *g, enum element el, enum element parent)
{
    struct span text = span_trim(buf_span(&g->text));
    if (el == EL_TIME)
        set_time(g, text);
    else if (el == EL_TYPE)
        set_name(&g->feature.type, text);
    else if (parent == EL_TRK || parent == EL_RTE)
        set_name(&g->feature.name, text);
    else
        set_name(&g->file->name, text);
}

/* ---- expat's handlers --------------------------------------------------------------------------
 */

static void on_start(void *ctx, const char *name, const char **attr)
{
    struct gpx *g = ctx;
    if (g->failed)
        return;
    if (g->depth >= MAX_DEPTH) {
        FAIL(g, "elements nest more than %d deep", MAX_DEPTH);
        return;
    }
    enum element parent = g->depth > 0 ? g->stack[g->depth - 1] : EL_NONE;
    enum element el = element_of(parent, local_name(name));
    g->stack[g->depth++] = el;
    if (parent == EL_NONE && el != EL_GPX) {
        FAIL(g, "not a GPX file: its root element is <%.40s>", name);
        return;
    }
    switch (el) {
    case EL_TRK:
    case EL_RTE:
        begin_feature(g, el);
        break;
    case EL_TRKSEG:
        g->segment_open = false;
        break;
    case EL_TRKPT:
    case EL_RTEPT:
    case EL_SHAPE_POINT:
        add_point(g, attr);
        break;
    case EL_WPT:
        g->file->waypoints++;
        break;
    case EL_NAME:
    case EL_TYPE:
    case EL_TIME:
        buf_clear(&g->text);
        break;
    default:
        break;
    }
}

static void on_end(void *ctx, const char *name)
{
    struct gpx *g = ctx;
    (void)name; /* expat has checked that it is the one that is open */
    if (g->failed)
        return;
    enum element el = g->stack[--g->depth];
    enum element parent = g->depth > 0 ? g->stack[g->depth - 1] : EL_NONE;
    if (el == EL_NAME || el == EL_TYPE || el == EL_TIME)
        end_text(g, el, parent);
    else if (el == EL_TRKPT || el == EL_RTEPT)
        g->point_open = false;
    else if (el == EL_TRK || el == EL_RTE)
        end_feature(g);
}

static void on_text(void *ctx, const char *text, int len)
{
    struct gpx *g = ctx;
    enum element el = g->depth > 0 ? g->stack[g->depth - 1] : EL_NONE;
    if (g->failed || (el != EL_NAME && el != EL_TYPE && el != EL_TIME))
        return;
    size_t room = MAX_TEXT_BYTES - g->text.n;
    buf_put(&g->text, text, (size_t)len < room ? (size_t)len : room);
}

/* Entities are how a file of 1 kB becomes one of 1 GB. No GPX needs its own. */
static void on_entity(void *ctx, const char *name, int is_parameter, const char *value, int len,
                      const char *base, const char *system_id, const char *public_id,
                      const char *notation)
{
    struct gpx *g = ctx;
    (void)name, (void)is_parameter, (void)value, (void)len;
    (void)base, (void)system_id, (void)public_id, (void)notation;
    if (!g->failed)
        FAIL(g, "entity declarations are not allowed");
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* Why expat gave up, in words for the person who has the file. */
static const char *xml_reason(enum XML_Error code)
{
    switch (code) {
    case XML_ERROR_NO_ELEMENTS:
    case XML_ERROR_UNCLOSED_TOKEN:
    case XML_ERROR_PARTIAL_CHAR:
    case XML_ERROR_UNCLOSED_CDATA_SECTION:
        return "the file ends too early";
    case XML_ERROR_UNKNOWN_ENCODING:
        return "unknown encoding; UTF-8, UTF-16, ISO-8859-1 and US-ASCII are read";
    case XML_ERROR_INVALID_TOKEN:
        return "not well-formed XML, or a byte that is not valid in the file's encoding";
    default:
        return XML_ErrorString(code);
    }
}

static int fail_xml(struct gpx *g)
{
    enum XML_Error code = XML_GetErrorCode(g->xml);
    if (code == XML_ERROR_NO_MEMORY)
        return err_set(g->err, ERR_SYS, ERR_RETRY, "no memory to read the GPX file");
    if (!g->failed)
        err_set(g->err, ERR_DATA, ERR_PERMANENT, "%s", xml_reason(code));
    return err_wrap(g->err,
                    "GPX, line %lu column %lu: ", (unsigned long)XML_GetCurrentLineNumber(g->xml),
                    (unsigned long)XML_GetCurrentColumnNumber(g->xml) + 1);
}

static int parse_all(struct gpx *g, struct span bytes)
{
    for (size_t pos = 0; pos < bytes.n;) {
        size_t left = bytes.n - pos, n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        if (XML_Parse(g->xml, bytes.p + pos, (int)n, n == left) != XML_STATUS_OK)
            return fail_xml(g);
        pos += n;
        XML_Index begun = XML_GetCurrentByteIndex(g->xml);
        if (begun >= 0 && pos - (size_t)begun > MAX_TOKEN_BYTES) {
            g->failed = true;
            err_set(g->err, ERR_DATA, ERR_PERMANENT, "a tag or comment of more than %d bytes",
                    MAX_TOKEN_BYTES);
            return fail_xml(g);
        }
    }
    return 0;
}

static int read_with(struct gpx *g, struct span bytes)
{
    XML_SetUserData(g->xml, g);
    XML_SetElementHandler(g->xml, on_start, on_end);
    XML_SetCharacterDataHandler(g->xml, on_text);
    XML_SetEntityDeclHandler(g->xml, on_entity);
    if (parse_all(g, bytes) != 0)
        return -1;
    return geo__check_dropped(g->file->dropped, g->points, g->err);
}

int geo__gpx_read(struct span bytes, struct geo_file *ret, struct err *err)
{
    struct gpx g = {.file = ret, .err = err};
    g.xml = XML_ParserCreate(NULL);
    if (!g.xml)
        return err_set(err, ERR_SYS, ERR_RETRY, "no memory to read the GPX file");
    int rc = read_with(&g, bytes);
    XML_ParserFree(g.xml);
    buf_done(&g.text);
    geo__feature_done(&g.feature);
    ret->feature = g.done.v;
    ret->n = g.done.n;
    return rc;
}
