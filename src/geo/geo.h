/* geo: pure geometry. Polylines, track files, the metric frame, lattice, simplification, route
 * index, matcher, intervals, EWKB. No loop, no database, no log, no global state: everything may
 * run in any thread on objects that thread owns; a finished struct geo_route or geo_index is
 * immutable and may be shared by threads that only read.
 *
 * Coordinates are WGS 84 degrees, longitude first, as everywhere in Waymark. Lengths are metres
 * along the ellipsoid (chords of at most 2 km in ECEF with arc correction; edges longer than that
 * are densified first): no projection, so no dateline, pole or zone cases. Nothing here is compiled
 * with -ffast-math: ties on exact retraces are broken explicitly. All sizes that come from input
 * are capped by the constants below. */
#pragma once

#include "base/base.h"

enum {
    GEO_MAX_POINTS = 2000000,       /* of one track or route: 1 Hz for 23 days */
    GEO_MAX_FILE_BYTES = 256 << 20, /* of one track file */
    GEO_MAX_SEGMENTS = 100000,
};

struct geo_pt {
    double lon, lat;
};

/* One or more segments of fixes; never joined by a false straight line. seg[i] is the index of the
 * first point of segment i; it ends where the next starts. t (Unix seconds) is NULL or has n
 * entries, NaN where unknown. Owner frees with geo_track_done. Zero-initialised is the empty track.
 * A track put together by hand takes its arrays from mem_alloc or mem_try_alloc and leaves the
 * capacities at 0. */
struct geo_track {
    struct geo_pt *pt;
    double *t;
    uint32_t *seg;
    size_t n, nseg;
    size_t cap, seg_cap; /* what geo_track_add has room for; 0: not made by it */
};
void geo_track_done(struct geo_track *t);
/* Checks range (|lat| <= 90, |lon| <= 180 after wrapping by at most one turn), finiteness, segment
 * order. */
int geo_track_check(const struct geo_track *t, struct err *err) MUST_CHECK;
double geo_track_length_m(const struct geo_track *t);
struct geo_pt geo_track_point(const struct geo_track *t, size_t i);
/* Builder used by all readers: appends a point, starting a new segment first if asked (the first
 * point always does). A longitude beyond +-180 by at most one turn is wrapped. time_s is NaN when
 * unknown; t is made when the first known time comes. Refuses coordinates out of range and anything
 * over the caps; the track is then as before. */
int geo_track_add(struct geo_track *t, struct geo_pt p, double time_s, bool new_segment,
                  struct err *err) MUST_CHECK;

/* ---- codecs ------------------------------------------------------------------------------------
 */

/* Encoded polyline, https://developers.google.com/maps/documentation/utilities/polylinealgorithm,
 * precision 5 or 6. Truncated input, a byte outside 63..126 and coordinates out of range are
 * PERMANENT errors naming the offset. */
int geo_polyline_decode(struct span text, int precision, struct geo_track *ret,
                        struct err *err) MUST_CHECK;
void geo_polyline_encode(const struct geo_pt *pt, size_t n, int precision, struct buf *out);

/* (E)WKB as PostGIS makes it: Point, LineString, MultiLineString with optional Z, M and SRID (4326
 * or 0), both byte orders. M becomes t when it is present and `m_is_time`. A collection of lines is
 * read as segments; other types are PERMANENT errors naming the type. Empty geometries give n == 0.
 */
int geo_ewkb_read(struct span wkb, bool m_is_time, struct geo_track *ret,
                  struct err *err) MUST_CHECK;
/* Little-endian EWKB with SRID 4326, appended. LineString from n >= 2 points. */
void geo_ewkb_line(const struct geo_pt *pt, size_t n, struct buf *out);
/* MultiLineString (M = t when t->t is set; NaN times become linear between neighbours), every
 * segment of >= 2 points. */
void geo_ewkb_track(const struct geo_track *t, struct buf *out);

/* ---- track files -------------------------------------------------------------------------------
 */

enum geo_file_kind { GEO_FILE_UNKNOWN, GEO_FILE_GPX, GEO_FILE_GEOJSON };
/* By content, then by file name; UNKNOWN if neither tells. */
enum geo_file_kind geo_file_detect(struct span bytes, const char *path);

/* One <trk>, <rte> or GeoJSON feature with lines. */
struct geo_feature {
    enum { GEO_FEATURE_TRACK, GEO_FEATURE_ROUTE, GEO_FEATURE_LINE } kind;
    char *name; /* NULL or UTF-8, at most 500 bytes */
    char *type; /* activity type as the file says, or NULL */
    struct geo_track track;
};
struct geo_file {
    char *name; /* of the file's metadata, or NULL */
    struct geo_feature *feature;
    size_t n;
    size_t waypoints; /* present but not used */
    size_t dropped;   /* points left out because they carry no valid position; 0 in a clean file */
};
/* Reads bytes already in memory. GPX 1.0 and 1.1 by namespace-blind element names (expat, with
 * entity declarations refused), GeoJSON by RFC 7946 (FeatureCollection, Feature, Geometry).
 * Malformed, truncated, non-UTF-8 without a declared encoding, over a cap: PERMANENT, naming line
 * and column. A single bad point is dropped and counted; a file in which more than half of the
 * points are bad is refused. Zero features is not an error here. */
int geo_file_read(struct span bytes, enum geo_file_kind kind, struct geo_file *ret,
                  struct err *err) MUST_CHECK;
void geo_file_done(struct geo_file *f);

/* ---- route assembly ----------------------------------------------------------------------------
 */

/* Joins the segments of a route into one line; there is never a straight jump longer than max_gap_m
 * (default 200) in it that was not inside one of the segments.
 *  - Exact repeats of a segment and segments without length are dropped, and points equal to their
 * predecessor.
 *  - The order of the file is kept where it makes a line; else each end is joined with the nearest
 * free one (segments may be turned round). The direction is the one in which most of the length was
 * given.
 *  - A segment or chain that leaves the line inside another segment and returns to it (within 50 m)
 * is a variant and left out, as long as all variants together have less than a tenth of the length:
 * tell the user, info says how many.
 *  - Anything else that is left over is a PERMANENT error that names the gap with its length and
 * both coordinates, or the place where lines branch, and what can be done ("import the parts as
 * routes of their own or raise
 *    --max-gap"). More than 5,000 segments are refused.
 * Times are not kept. *ret and *info are set on success only; info may be NULL. */
struct geo_join_info {
    bool closed;      /* first and last point are within 50 m */
    size_t segments;  /* in the line */
    size_t reordered; /* of them not in the place where the file has them */
    size_t reversed;  /* of them turned round */
    size_t dropped;   /* repeats and segments without length */
    size_t variants;  /* segments left out because the line goes another way between the same two
                         places */
    double variants_m;
    double largest_gap_m;  /* bridged between two segments */
    double longest_edge_m; /* inside a segment: a straight jump that the file itself has cannot be
                              told from a path */
};
int geo_join(const struct geo_track *in, double max_gap_m, struct geo_track *ret,
             struct geo_join_info *info, struct err *err) MUST_CHECK;

/* Douglas-Peucker per segment in local metres, ends kept; times kept with their points. tolerance_m
 * >= 0. */
int geo_simplify(const struct geo_track *in, double tolerance_m, struct geo_track *ret,
                 struct err *err) MUST_CHECK;

/* ---- metric frame ------------------------------------------------------------------------------
 */

/* ECEF metres on the WGS 84 ellipsoid, height 0. */
struct geo_xyz {
    double x, y, z;
};
struct geo_xyz geo_xyz_of(struct geo_pt p);
struct geo_pt geo_pt_of(struct geo_xyz p);
double geo_distance_m(struct geo_pt a, struct geo_pt b);

/* ---- intervals of the measure ------------------------------------------------------------------
 */

struct geo_interval {
    double a, b; /* metres from the route's start, a < b */
};
/* In place: sorts, merges overlapping and touching, drops empty. Returns the new count. */
size_t geo_intervals_union(struct geo_interval *v, size_t n);
double geo_intervals_length(const struct geo_interval *v, size_t n); /* of a union */
/* What [0, length) has that the union v lacks; out has room for n + 1. On a closed route a gap over
 * the seam is still two intervals. Returns the count. */
size_t geo_intervals_gaps(const struct geo_interval *v, size_t n, double length,
                          struct geo_interval *out);

/* ---- route -------------------------------------------------------------------------------------
 */

/* A route ready to match: its lattice (the line densified once to at most GEO_LATTICE_M between
 * vertices, original vertices kept bit for bit, so that sections cut at lattice vertices coincide
 * exactly and ST_Union of any number of them is exact), the measure at each vertex, ECEF
 * coordinates and a box hierarchy. Deterministic: the same line gives the same lattice on every
 * machine. Immutable. */
#define GEO_LATTICE_M 10.0
#define GEO_CLOSED_M  50.0 /* ends nearer than this, and than a quarter of the length: a ring */
struct geo_route;
/* line: one segment, >= 2 points after removing repeats, length > 0. tolerance_m: 5..500. */
struct geo_route *geo_route_new(const struct geo_track *line, double tolerance_m,
                                struct err *err) MUST_CHECK;
struct geo_route *geo_route_free(struct geo_route *r);
double geo_route_length_m(const struct geo_route *r);
double geo_route_tolerance_m(const struct geo_route *r);
bool geo_route_closed(const struct geo_route *r);
size_t geo_route_bytes(const struct geo_route *r); /* memory, for a cache's budget */
size_t geo_route_lattice(const struct geo_route *r, const struct geo_pt **pt,
                         const double **measure_m);
/* The lattice vertices from measure a to b (both snapped to the nearest vertex), ends included. */
void geo_route_cut(const struct geo_route *r, struct geo_interval iv, size_t *first, size_t *last);
/* Position at a measure, for messages and gap lists. */
struct geo_pt geo_route_at(const struct geo_route *r, double measure_m);
/* The route in pieces of at most chunk_m, each a short line whose box is tight: what the database's
 * spatial index is asked with. Caller frees with geo_track_done; one segment a piece. */
int geo_route_chunks(const struct geo_route *r, double chunk_m, struct geo_track *ret,
                     struct err *err) MUST_CHECK;

/* ---- route index -------------------------------------------------------------------------------
 */

/* Over many routes: which of them may be touched by a track? STRtree (GEOS) of the boxes of route
 * pieces. Answers never miss a route within its outer distance. The routes must outlive the index.
 */
struct geo_index;
struct geo_index *geo_index_new(const struct geo_route *const *routes, size_t n,
                                struct err *err) MUST_CHECK;
struct geo_index *geo_index_free(struct geo_index *x);

/* ---- matcher -----------------------------------------------------------------------------------
 */

/* An activity decoded and projected once, matched against many routes. */
struct geo_activity;
/* Takes a copy of what it needs. Tracks with fewer than 2 distinct points give an activity that
 * matches nothing. */
struct geo_activity *geo_activity_new(const struct geo_track *t, struct err *err) MUST_CHECK;
struct geo_activity *geo_activity_free(struct geo_activity *a);
/* Indexes into the index's routes that may be touched, ascending; written to out (room for n
 * routes). */
size_t geo_index_query(const struct geo_index *x, const struct geo_activity *a, size_t *out);

/* What one activity did on one route. Intervals are a sorted union whose ends are lattice measures
 * (bit-identical to the lattice's), so first/last give the section's vertices. On a closed route a
 * stretch over the seam is two intervals; over the antimeridian it is two that touch, so that no
 * section has an edge that a planar union or a map would draw around the world. pieces: the parts
 * of the activity inside the corridor (within tolerance_m of the route), comparable with
 * ST_Intersection(activity, ST_Buffer(route, tolerance_m)). */
struct geo_section {
    struct geo_interval iv;
    size_t first, last; /* lattice vertices, inclusive */
};
struct geo_match {
    struct geo_section *section;
    size_t n;
    struct geo_track pieces;
    double pieces_m; /* total length of the pieces */
};
/* Never fails on valid input but for want of memory or over a cap. Caller frees with
 * geo_match_done. */
int geo_match(const struct geo_route *r, const struct geo_activity *a, struct geo_match *ret,
              struct err *err) MUST_CHECK;
void geo_match_done(struct geo_match *m);
