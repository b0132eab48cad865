/* sync: a database whose athletes are connected to a simulator of Strava, and what must be in it
 * then. Tokens are put there as a frontend puts them. */
#pragma once

#include "it/sim.h"

enum { SYNC_ATHLETE = 9001 }; /* the simulator's first */

/* One more database, with the rate of calls on the simulator's clock and its limits. */
struct it_db *sync_db(struct sim *s);
/* Grants that scope (NULL: all) and keeps the tokens; once an athlete. */
void sync_connect(struct it_db *db, struct sim *s, int64_t athlete, const char *scope);
/* The same as somebody does it, in a browser, at a service that listens; its sync is asked for
 * then. */
void sync_log_in(struct sim *s, struct it_proc *p, int64_t athlete, const char *scope);
/* The environment of a binary that calls the simulator, with up to eight more settings, which may
 * be others than its own. */
const char *const *sync_env(struct sim *s, const char *const *more);
/* `waymark serve`, subscribed to the simulator's events, which reach it. */
struct it_proc *sync_serve_live(struct it_db *db, struct sim *s, const char *const *more);
/* The simulator's trail as route "trail", stored and matched so far. */
void sync_route(struct it_db *db, struct sim *s);
/* Both clocks: seconds pass at Strava, and for the rate. */
void sync_advance(struct it_db *db, struct sim *s, int64_t seconds);
/* And as if so long had passed here as well: for tokens, pauses, and jobs that wait. */
void sync_pass(struct it_db *db, struct sim *s, int64_t seconds);
/* Asks for a sync and returns its id. since NULL: none. */
int64_t sync_request(struct it_db *db, int64_t athlete, const char *mode, const char *since);
/* Until no sync runs and no call waits (those that look again later do not count). */
void sync_wait(struct it_db *db, int64_t limit_ms);
/* Until nothing at all is left to be done; what would wait for its time is hurried along. */
void sync_hurry(struct it_db *db, int64_t limit_ms);
/* A bit of that; whether it is so. */
bool sync_hurried(struct it_db *db);
/* Shows what waits, and fails. */
void sync_late(struct it_db *db);

/* The athlete's activities are what their scope sees, to the last column; those that the simulator
 * does not serve (poison, not readable yet) may be missing. Shows what differs. */
void sync_same(struct it_db *db, struct sim *s, int64_t athlete);
/* Requests of one path (a glob) since number n of the log; n NULL: all. */
int64_t sync_calls(struct sim *s, const char *path);
/* No call was made while they were used up, as the simulator sees it. */
void sync_within_limits(struct sim *s);
