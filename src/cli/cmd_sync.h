/* What the files of `waymark sync` share. */
#pragma once

#include "cli/internal.h"

/* ---- cmd_sync_eta.c: pure -------------------------------------------------------------------- */

/* What may be called in the background. */
struct sync_budget {
    int64_t left15, leftday;  /* now */
    int64_t cap15, capday;    /* of a whole window, without what is kept for live work */
    double end15_s, endday_s; /* until the windows end */
    double paused_s;          /* nothing before */
};
/* Columns of SQL_jobs_cmd_rates in a row of call; row < 0: there is no such rate. */
struct sync_budget cli__sync_budget(const struct db_unit *u, unsigned call, int row);
int cli__sync_rate_row(const struct db_unit *u, unsigned call); /* -1: none */
/* Seconds until the first call; 0: at once. */
double cli__sync_wait_s(const struct sync_budget *b);
/* Seconds that so many calls take, one of which takes call_s; INFINITY: never. */
double cli__sync_eta_s(const struct sync_budget *b, int64_t calls, double call_s);
/* "about 25 min left" and the like; or, if there is nothing to call with, when it goes on, by the
 * clock of now_s (Unix time). at_least: more may turn up. */
const char *cli__sync_note(struct arena *a, const struct sync_budget *b, int64_t calls,
                           double call_s, bool at_least, int64_t now_s);

/* ---- cmd_sync_show.c ------------------------------------------------------------------------- */

/* Columns of SQL_ingest_progress. */
enum {
    SYNC_ATHLETE,
    SYNC_MODE,
    SYNC_STATE,
    SYNC_PAGES,
    SYNC_LISTED,
    SYNC_ADDED,
    SYNC_CHANGED,
    SYNC_GONE,
    SYNC_PARKED,
    SYNC_PROBLEM,
    SYNC_CALLS,
    SYNC_MATCHES
};
void cli__sync_table(struct cli *c, const struct db_unit *u, unsigned call);
void cli__sync_json(struct json_out *j, const struct db_unit *u, unsigned call);
