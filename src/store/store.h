/* store: the entities that several features share (athlete, activity, track, route) and the
 * statements that put and list them. Features add these calls to their own units. Loop thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"

#include "store_sql.h"

/* An activity as an importer puts it. Spans must live until the unit is done. */
struct store_activity {
    int64_t id, athlete_id;
    const char *name;        /* or NULL */
    const char *type;        /* never NULL */
    const char *external_id; /* or NULL */
    const char *origin;      /* of the track: "gpx", "geojson" */
    double distance_m;
    int64_t elapsed_s;   /* < 0: unknown */
    int64_t start_us;    /* INT64_MIN: unknown */
    struct span summary; /* EWKB LineString, simplified: what a frontend draws */
    struct span track;   /* EWKB MultiLineString, as recorded: what is matched */
};
/* Two calls: the activity with its track, new ones only; the result of the first (one row, boolean)
 * tells whether it was new. Returns the index of that call. The athlete is made if missing. */
unsigned store_add_activity(struct db_unit *u, const struct store_activity *a);

struct store_route {
    const char *id;
    const char *name;
    const char *description; /* or NULL */
    double tolerance_m;
    struct span track; /* EWKB LineString */
};
/* Result: one row, boolean: whether it is new. A route of that id gets the new line, name and
 * tolerance. */
void store_add_route(struct db_unit *u, const struct store_route *r);

/* For lists: SQL_store_route_list($1 athlete id or NULL) gives id, name, length_m, tolerance_m,
 * points, covered_m, activities, longest_gap_m, waiting, note; SQL_store_athletes() gives id,
 * activities; SQL_store_route_remove($1 id) affects 0 or 1 row. */
