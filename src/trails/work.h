/* What trails/ does in worker threads: items in, results in the same items. An item is referenced
 * by nobody else while a worker has it; spans point into memory that the waiting flow keeps. */
#pragma once

#include "base/base.h"
#include "geo/geo.h"

#define TRAILS_CHUNK_M 20000.0 /* pieces of a route that the spatial index is asked with */

struct trails_prepare_item {
    const char *id;
    int64_t revision;
    double tolerance_m;
    struct span wkb;
    struct geo_route *geo; /* result, or NULL and err */
    struct err err;
};
struct trails_prepare {
    struct trails_prepare_item *item;
    size_t n;
    bool want_chunks; /* of the first route, for the spatial index */
    struct geo_track chunks;
};
/* Decodes and prepares routes. One that is no line keeps its reason in its item; fails only for
 * want of memory. */
int trails__prepare(struct trails_prepare *p, struct err *err) MUST_CHECK;
void trails__prepare_done(struct trails_prepare *p); /* frees what nobody took */

struct trails_activity {
    int64_t id, athlete_id, revision;
    bool present;     /* false: deleted since its job was made */
    bool is_best;     /* a recorded track, whose M is time */
    struct span wkb;  /* p NULL: no track */
    const char *note; /* result: why nothing could be matched, or NULL */
};
/* A row of a result: a section, a piece of the activity in the corridor, or a relevant pair. */
struct trails_row {
    size_t activity, route; /* indexes into the batch */
    double start_m, end_m;
    size_t offset, bytes; /* of its EWKB in the batch's wkb */
};
struct trails_rows {
    VEC(struct trails_row);
};
struct trails_match {
    struct trails_activity *activity;
    size_t nactivities;
    const struct geo_route **route;
    size_t nroutes;
    struct trails_rows sections, pieces, relevant; /* results */
    struct buf wkb;
    struct arena *notes;
};
/* Decodes each activity once and matches it against every route near it. A track that is none keeps
 * its reason in its note; fails only for want of memory. */
int trails__match(struct trails_match *m, struct err *err) MUST_CHECK;
void trails__match_done(struct trails_match *m);

/* A route read from a file. Buffers owned. */
struct trails_read_route {
    char *id, *name;
    double length_m;
    size_t points;
    struct geo_join_info join;
    struct buf line; /* EWKB LineString */
    struct err err;  /* class 0: none */
};
struct trails_read {
    const char *path, *id, *name; /* id, name: NULL to take them from the file */
    double tolerance_m, max_gap_m;
    bool each;
    struct {
        VEC(struct trails_read_route);
    } route; /* results; a file refused as a whole gives one with err set */
};
void trails__read_file(struct trails_read *r);
void trails__read_done(struct trails_read *r);
