/* What the files of geo/ share among themselves and nobody else sees. */
#pragma once

#include "geo/geo.h"

/* ---- geo_track.c --------------------------------------------------------------------------------------- */

/* Wraps a longitude that is off by at most one turn. False if *p is no position on the earth. */
bool geo__pt_wrap(struct geo_pt *p);
/* One past the last point of a segment. */
size_t geo__seg_end(const struct geo_track *t, size_t seg);
/* Room for so many points and segments in all; false without memory. */
bool geo__track_reserve(struct geo_track *t, size_t points, size_t segments) MUST_CHECK;
/* Sets the time of a point, making t when it is the first known one; false without memory. */
bool geo__track_set_time(struct geo_track *t, size_t i, double time_s) MUST_CHECK;
/* Sets to NaN the fewest times that must go for each segment's times never to run backwards. One fix with a date in
 * the future costs itself, not all that follow it. */
int geo__track_order_times(struct geo_track *t, struct err *err) MUST_CHECK;
/* Fills *err (class RETRY) and returns -1. */
int geo__no_memory(size_t points, struct err *err);

/* ---- geo_file.c, geo_gpx.c, geo_geojson.c -------------------------------------------------------------- */

void geo__feature_done(struct geo_feature *f);
/* A trimmed copy of at most 500 bytes, cut between characters; NULL if nothing is left. Caller frees. */
char *geo__name_dup(struct span text);
/* Refuses a file in which more than half of the points had to be dropped. */
int geo__check_dropped(size_t dropped, size_t points, struct err *err) MUST_CHECK;
/* Fill *ret as geo_file_read does; on failure what is in it is still to be freed with geo_file_done. */
int geo__gpx_read(struct span bytes, struct geo_file *ret, struct err *err) MUST_CHECK;
int geo__geojson_read(struct span bytes, struct geo_file *ret, struct err *err) MUST_CHECK;

/* ---- geo_frame.c --------------------------------------------------------------------------------------- */

/* A straight chord longer than this is split at points of the ellipsoid: the sag below the ground stays under 8 cm. */
#define GEO__CHORD_M 2000.0

static inline struct geo_xyz geo__sub(struct geo_xyz a, struct geo_xyz b)
{
    return (struct geo_xyz){a.x - b.x, a.y - b.y, a.z - b.z};
}

static inline double geo__dot(struct geo_xyz a, struct geo_xyz b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

/* The point at fraction u of the chord from a to b. */
static inline struct geo_xyz geo__lerp(struct geo_xyz a, struct geo_xyz b, double u)
{
    return (struct geo_xyz){a.x + (b.x - a.x) * u, a.y + (b.y - a.y) * u, a.z + (b.z - a.z) * u};
}

double geo__chord_m(struct geo_xyz a, struct geo_xyz b);
/* Length on the ground of a chord of at most some tens of kilometres. */
double geo__arc_m(double chord_m);
/* Fraction u between two positions in degrees, the short way round the antimeridian. */
struct geo_pt geo__pt_lerp(struct geo_pt a, struct geo_pt b, double u);

/* An axis-parallel box in ECEF metres. */
struct geo__box {
    double lo[3], hi[3];
};
struct geo__box geo__box_empty(void);
void geo__box_add(struct geo__box *b, struct geo_xyz p);
struct geo__box geo__box_union(struct geo__box a, struct geo__box b);
struct geo__box geo__box_grow(struct geo__box b, double by_m);

/* A box in degrees with its margin, for what can be decided before anything is projected. Near the poles and over the
 * antimeridian it takes all longitudes: larger than need be, never too small. */
struct geo__degrees {
    double west, south, east, north;
};
/* Of n positions whose neighbours are at most edge_m apart, with margin_m all round. */
struct geo__degrees geo__degrees_of(const struct geo_pt *pt, size_t n, double edge_m, double margin_m);
static inline bool geo__degrees_meet(const struct geo__degrees *a, const struct geo__degrees *b)
{
    return a->west <= b->east && b->west <= a->east && a->south <= b->north && b->south <= a->north;
}

/* Room for `want` items: the array itself, a larger one, or NULL without memory (the old one stays valid). */
void *geo__grow(void *p, size_t *cap, size_t want, size_t item) MUST_CHECK;

/* ---- geo_route.c, geo_route_line.c, geo_route_tree.c ---------------------------------------------------------- */

/* A vertex of the matching line: the lattice thinned to what the distance needs. The edge to the next vertex starts
 * here; inv_len2 is 1 / its squared length. */
struct geo__node {
    struct geo_xyz p;
    double inv_len2;
    double m;         /* measure */
    uint32_t lattice; /* the same vertex there */
};

/* Half-open range of edges of the matching line. */
struct geo__range {
    uint32_t first, end;
};
struct geo__ranges {
    struct geo__range *v;
    size_t n, cap;
};

struct geo__leaf {
    float lo[3], hi[3];
};

enum {
    GEO__LEAF_EDGES = 8,
    GEO__LEVELS = 32,
    GEO__DEGREES = 64, /* boxes in degrees along a route */
};

struct geo_route {
    struct geo_pt *pt; /* lattice */
    double *m;
    size_t n;
    struct geo__node *node;
    size_t nnode;
    struct geo__leaf *tree;            /* level 0 (leaves) first, the root last */
    size_t level[GEO__LEVELS + 1];     /* where each level starts in tree */
    unsigned levels;
    struct geo__degrees degrees[GEO__DEGREES];
    size_t ndegrees;
    double length_m, tolerance_m;
    bool closed;
};

/* How far off a route still counts for anything: the outer distance. */
static inline double geo__outer_m(const struct geo_route *r)
{
    return 2 * r->tolerance_m;
}

/* Fill the lattice and the length; then the matching line. */
int geo__route_lattice(struct geo_route *r, const struct geo_track *line, struct err *err) MUST_CHECK;
int geo__route_line(struct geo_route *r, struct err *err) MUST_CHECK;
int geo__route_tree(struct geo_route *r, struct err *err) MUST_CHECK;
/* Does any leaf meet the box? */
bool geo__route_meets(const struct geo_route *r, const struct geo__box *box);
/* The edges whose own boxes meet the box, as ascending ranges; false without memory. */
bool geo__route_edges(const struct geo_route *r, const struct geo__box *box, struct geo__ranges *out) MUST_CHECK;
