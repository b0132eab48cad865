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
