/* What a trail-progress frontend asks and does, by the contract: see "The trail-progress database
 * contract" in the design. Each checks the shape of its answer. */
#pragma once

#include "it/it.h"

/* Asks everything that a frontend asks, for this athlete; the token must be the athlete's. */
void frontend_asks_all(struct it_db *db, int64_t athlete, const char *token);

struct frontend_counts {
    int64_t processed, unprocessed, total;
};
/* How far the activities of an athlete are, on one route. */
struct frontend_counts frontend_progress(struct it_db *db, int64_t athlete, const char *route);
/* route_stats, 0 if there is no row; and the length of the union of the sections, as the map of
 * covered stretches draws it. */
double frontend_covered(struct it_db *db, int64_t athlete, const char *route);
double frontend_union_length(struct it_db *db, int64_t athlete, const char *route);
/* Both agree within 1 m or 1e-6. */
void frontend_agrees(struct it_db *db, int64_t athlete, const char *route);

void frontend_login(struct it_db *db, int64_t athlete, const char *token, const char *refresh);
void frontend_set_backfill(struct it_db *db, int64_t athlete, const char *status);

struct frontend_activity {
    int64_t id, athlete;
    double from, to, east; /* of it.way */
};
enum { FRONTEND_ROWS = 200 };
/* One statement for all of them (at most FRONTEND_ROWS); ids that are there are left alone. Returns
 * how many were new. */
int frontend_insert(struct it_db *db, const struct frontend_activity *a, int n);
