/* Parsing as an op of the loop. */
#include "strava/strava.h"
#include "strava/work.h"

/* The texts of a list, and eight bytes of geometry for each of a polyline's: more than any body
 * makes. */
enum { ARENA_BYTES = 128 << 20 };

static int run_parse(struct work *w, struct err *err)
{
    return strava__parse(container_of(w, struct strava_parse, work), err);
}

void strava_parse_start(struct strava_parse *p, struct loop *l, int what, struct buf *body,
                        int64_t start_us)
{
    CHECK(what == STRAVA_LIST || what == STRAVA_DETAIL || what == STRAVA_STREAMS);
    *p = (struct strava_parse){
        .what = what, .start_us = start_us, .body = *body, .arena = arena_new(ARENA_BYTES)};
    *body = (struct buf){0};
    work_start(&p->work, l, run_parse);
}

void strava_parse_done(struct strava_parse *p)
{
    buf_done(&p->body);
    p->arena = arena_free(p->arena);
    p->activity = NULL;
    p->first_bad = NULL;
    p->streams = (struct span){NULL, 0};
    p->n = 0;
}
