/* What strava/ does in worker threads, and reading JSON, which may be done in any. */
#pragma once

#include "base/base.h"

struct json_t;
struct strava_parse;

enum { STRAVA__DEPTH_MAX = 32 }; /* nesting of an answer; details have 5 */

/* Parses p->body as p->what says. The op of p->work is not touched. */
int strava__parse(struct strava_parse *p, struct err *err) MUST_CHECK;

/* json_read of text that may have \u0000 in its strings: jansson refuses that, and no column takes
 * it, so it is dropped, in place. */
struct json_t *strava__json(struct buf *text, size_t max_bytes, unsigned max_depth,
                            struct err *err) MUST_CHECK;
/* A member that is an integer of at least min. -1: it is not there or not that. */
int strava__json_i64(const struct json_t *object, const char *key, int64_t min,
                     int64_t *ret) MUST_CHECK;
/* A member that is a string, cut to max bytes of whole characters; p NULL: it is none. Lives as
 * long as object. */
struct span strava__json_text(const struct json_t *object, const char *key, size_t max);
