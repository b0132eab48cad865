/* What the files of geo/ share among themselves and nobody else sees. */
#pragma once

#include "geo/geo.h"

/* ---- geo_track.c -------------------------------------------------------------------------------
 */

/* Wraps a longitude that is off by at most one turn. False if *p is no position on the earth. */
bool geo__pt_wrap(struct geo_pt *p);
/* One past the last point of a segment. */
size_t geo__seg_end(const struct geo_track *t, size_t seg);
/* Room for so many points and segments in all; false without memory. */
bool geo__track_reserve(struct geo_track *t, size_t points, size_t segments) MUST_CHECK;
/* Sets the time of a point, making t when it is the first known one; false without memory. */
bool geo__track_set_time(struct geo_track *t, size_t i, double time_s) MUST_CHECK;
/* Sets to NaN the fewest times that must go for each segment's times never to run backwards. One
 * fix with a date in the future costs itself, not all that follow it. */
int geo__track_order_times(struct geo_track *t, struct err *err) MUST_CHECK;
/* Fills *err (class RETRY) and returns -1. */
int geo__no_memory(size_t points, struct err *err);

/* ---- geo_file.c, geo_gpx.c, geo_geojson.c ------------------------------------------------------
 */

void geo__feature_done(struct geo_feature *f);
/* A trimmed copy of at most 500 bytes, cut between characters; NULL if nothing is left. Caller
 * frees. */
char *geo__name_dup(struct span text);
/* Refuses a file in which more than half of the points had to be dropped. */
int geo__check_dropped(size_t dropped, size_t points, struct err *err) MUST_CHECK;
/* Fill *ret as geo_file_read does; on failure what is in it is still to be freed with
 * geo_file_done. */
int geo__gpx_read(struct span bytes, struct geo_file *ret, struct err *err) MUST_CHECK;
int geo__geojson_read(struct span bytes, struct geo_file *ret, struct err *err) MUST_CHECK;

/* ---- geo_frame.c -------------------------------------------------------------------------------
 */

/* A straight chord longer than this is split at points of the ellipsoid: the sag below the ground
 * stays under 8 cm. */
#define GEO__CHORD_M 2000.0

static inline struct geo_xyz geo__sub(struct geo_xyz a, struct geo_xyz b)
{
    return (struct geo_xyz){a.x - b.x, a.y - b.y, a.z - b.z};
}

static inline double geo__dot(struct geo_xyz a, struct geo_xyz b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline struct geo_xyz geo__cross(struct geo_xyz a, struct geo_xyz b)
{
    return (struct geo_xyz){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
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

/* A box in degrees with its margin, for what can be decided before anything is projected. Near the
 * poles and over the antimeridian it takes all longitudes: larger than need be, never too small. */
struct geo__degrees {
    double west, south, east, north;
};
/* Of n positions whose neighbours are at most edge_m apart, with margin_m all round. */
struct geo__degrees geo__degrees_of(const struct geo_pt *pt, size_t n, double edge_m,
                                    double margin_m);
static inline bool geo__degrees_meet(const struct geo__degrees *a, const struct geo__degrees *b)
{
    return a->west <= b->east && b->west <= a->east && a->south <= b->north && b->south <= a->north;
}

/* Room for `want` items: the array itself, a larger one, or NULL without memory (the old one stays
 * valid). */
void *geo__grow(void *p, size_t *cap, size_t want, size_t item) MUST_CHECK;

/* ---- geo_route.c, geo_route_line.c, geo_route_tree.c -------------------------------------------
 */

/* A vertex of the matching line: the lattice thinned to what the distance needs. The edge to the
 * next vertex starts here; inv_len2 is 1 / its squared length. */
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
    struct geo__leaf *tree;        /* level 0 (leaves) first, the root last */
    size_t level[GEO__LEVELS + 1]; /* where each level starts in tree */
    unsigned levels;
    struct geo__degrees degrees[GEO__DEGREES];
    size_t ndegrees;
    double length_m, tolerance_m;
    double step_m; /* between the samples of an activity */
    bool turns;    /* over the antimeridian somewhere: the lattice has pairs of vertices there */
    bool closed;
};

/* How far off a route still counts for anything: the outer distance. */
static inline double geo__outer_m(const struct geo_route *r)
{
    return 2 * r->tolerance_m;
}

/* Fill the lattice and the length; then the matching line. */
int geo__route_lattice(struct geo_route *r, const struct geo_track *line,
                       struct err *err) MUST_CHECK;
int geo__route_line(struct geo_route *r, struct err *err) MUST_CHECK;
int geo__route_tree(struct geo_route *r, struct err *err) MUST_CHECK;
/* Does any leaf meet the box? */
bool geo__route_meets(const struct geo_route *r, const struct geo__box *box);
/* The edges whose own boxes meet the box, as ascending ranges; false without memory. */
bool geo__route_edges(const struct geo_route *r, const struct geo__box *box,
                      struct geo__ranges *out) MUST_CHECK;

/* ---- geo_activity.c ----------------------------------------------------------------------------
 */

struct geo__vertex {
    struct geo_xyz p;
    double t; /* metres along the activity, over breaks the straight way */
};

/* A run of edges with a box of its own, inside one segment. */
struct geo__block {
    struct geo__box box;
    uint32_t first, end; /* edges; edge i runs from vertex i to i + 1 */
};

enum { GEO__ACTIVITY_BOXES = 32 };

/* Degrees are kept from the start; what is projected is made when a route first comes near, since
 * most pairs of an account are far apart. That write is why an activity belongs to one thread. */
struct geo__projected {
    struct geo__vertex *v;
    struct geo__block *block;
    size_t nblock, block_cap;
    struct geo__box box;
};
struct geo_activity {
    struct geo_pt *pt;
    bool *fix; /* false: put on a long edge by us */
    size_t n, pt_cap, fix_cap;
    uint32_t *seg; /* first vertex of each segment; jumps split segments too */
    size_t nseg, seg_cap;
    struct geo__degrees box[GEO__ACTIVITY_BOXES], all;
    size_t nbox;
    struct geo__projected *projected; /* never NULL; v is NULL until projected */
};
/* One past the last vertex of a segment. */
static inline size_t geo__activity_end(const struct geo_activity *a, size_t seg)
{
    return seg + 1 < a->nseg ? a->seg[seg + 1] : a->n;
}
/* First and last vertex of the segment that an edge lies in. */
size_t geo__segment_first(const struct geo_activity *a, uint32_t edge);
size_t geo__segment_last(const struct geo_activity *a, uint32_t edge);
int geo__activity_project(const struct geo_activity *a, struct err *err) MUST_CHECK;

/* ---- geo_match*.c ------------------------------------------------------------------------------
 */

/* A place on the route where a sample may be. */
struct geo__cand {
    double s, d;   /* measure; distance of the sample */
    double cost;   /* of the best explanation that ends here */
    uint32_t edge; /* of the matching line */
    int32_t from;  /* candidate of the sample before, or GEO__OFF */
    bool linked;   /* walked here from there, not jumped */
    bool twin;     /* the same ground as the one chosen */
};
enum {
    GEO__OFF = -1,
    GEO__NEVER = -2, /* off, and not on before in this run */
};

/* A point of the activity, every step of its way. */
struct geo__sample {
    struct geo_xyz p;
    double t;
    double off_cost;   /* of the best explanation in which the person is off the route here */
    int32_t off_from;  /* candidate of the sample before, or GEO__OFF */
    int32_t left;      /* the candidate last left on the way to off_cost, if that is finite */
    double left_t;     /* and when */
    uint32_t first, n; /* its candidates */
    uint32_t vertex;   /* edge of the activity it lies on */
    int32_t chosen;    /* candidate, or GEO__OFF */
    bool linked;       /* chosen was walked to from the chosen one before */
};

/* Consecutive samples that all have candidates: what lies between two runs is off the route by any
 * explanation. */
struct geo__run {
    struct geo__sample *sample;
    size_t n, sample_cap;
    struct geo__cand *cand;
    size_t ncand, cand_cap;
};

/* A stretch of a run that was walked along the route without a break, ends trimmed. */
struct geo__pass {
    double t0, t1, s0, s1;
    double wide0, wide1; /* measures before the ends were trimmed */
    uint32_t v0, v1;     /* edges of the activity */
    bool suspect; /* looks like a crossing: counts only if it goes on from or into another pass */
    size_t iv_first, iv_end; /* its intervals */
};

struct geo__found {
    struct geo_interval *iv;
    size_t n, iv_cap;
    struct geo__pass *pass;
    size_t npass, pass_cap;
};

struct geo__matcher {
    const struct geo_route *r;
    const struct geo_activity *a;
    struct geo__ranges near;
    struct geo__run run;
    struct geo__found found;
    struct {
        struct geo_interval *u; /* scratch: parts of one edge */
        size_t n, cap;
        bool open;
        uint32_t edge; /* where the open piece ends so far */
        double end;
        struct geo_track *out;
        double *length_m;
    } piece;
};

/* Distance between samples, metres, and the unit of the costs: half the inner distance at the
 * default tolerance. */
#define GEO__STEP_M 20.0
/* On short routes samples are closer, so that even a yard has ten of them. */
#define GEO__STEP_MIN_M 2.0

/* All fill *err only for want of memory or over a cap. */
int geo__match_walk(struct geo__matcher *m, struct err *err) MUST_CHECK;
/* Appends the candidates of a sample, ascending by measure. */
bool geo__match_candidates(struct geo__matcher *m, struct geo__sample *s) MUST_CHECK;
/* Chooses the explanation of a finished run. */
void geo__match_explain(const struct geo_route *r, struct geo__run *run);
/* Difference of measures from a to b, the short way round on a closed route. */
double geo__match_ds(const struct geo_route *r, double a, double b);
/* How far the measure may go while the activity goes dt. */
double geo__match_reach(const struct geo_route *r, double dt);
/* Credits a stretch in measures that may run over the seam of a closed route. */
bool geo__match_add(struct geo__matcher *m, double a, double b) MUST_CHECK;
/* Turns an explained run into intervals and passes. */
bool geo__match_credit(struct geo__matcher *m) MUST_CHECK;
/* Closes gaps between passes; then found.iv is a union. */
bool geo__match_bridge(struct geo__matcher *m) MUST_CHECK;
/* The parts of edge e between fractions u0 and u1 inside the corridor; m->near holds the route's
 * edges there. */
int geo__match_piece(struct geo__matcher *m, uint32_t e, double u0, double u1,
                     struct err *err) MUST_CHECK;
int geo__match_piece_end(struct geo__matcher *m, struct err *err) MUST_CHECK;

/* ---- geo_join.c, geo_join_side.c ---------------------------------------------------------------
 */

/* A segment to be joined. Its ends are numbered 2 * part and 2 * part + 1; e ^ 1 is the other end
 * of the same part. */
struct geo__part {
    size_t segment, first, n;   /* of the track: which segment, its points */
    double length_m, longest_m; /* longest: its longest edge */
};

#define GEO__JOIN_NONE UINT32_MAX

/* Parts joined end to end, as the ends at which they are entered. */
struct geo__chain {
    uint32_t *entry;
    size_t n;
    double length_m;
};

struct geo__join {
    const struct geo_track *in;
    double max_gap_m;
    struct err *err;
    struct geo_join_info info;
    struct geo__part *part;
    size_t n;
    struct geo_xyz *end;
    uint32_t *mate; /* by end: the end it is joined with, or NONE */
    uint32_t *root; /* by part: union-find over chains, so that no chain bites its own tail */
    struct geo__chain *chain; /* longest first: [0] is the line */
    size_t nchain;
    uint32_t *order;   /* room for all chains' entries */
    uint32_t *scratch; /* room for one number a part */
};

/* Counts the chains beside the line that may be left out as variants; the first that may not is the
 * error. */
int geo__join_side(struct geo__join *j, const struct geo_track *line) MUST_CHECK;
