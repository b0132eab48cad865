/* chaos: instances of the queue (test/queue/queue_worker.c) on the databases of it.h, disturbed in
 * all the ways that can be thought of, and a history that tells afterwards whether each job was
 * done once, in order, and none was lost. Numbers in names of tests are those of faults.md. */
#pragma once

#include <signal.h>

#include "fake/proxy.h"
#include "it/load.h"

enum {
    END_MS = 60000,   /* for whatever must end by itself, on a busy machine */
    TAKEN_MS = 10000, /* the jobs of a killed instance are taken up again */
    HUNG_MS = 45000,  /* those of one that hangs */
};

/* Ends the program as skipped when there are no fault points in this build. */
void chaos_needs_faults(void);
/* A new database with the schema chaos (data/chaos.sql). */
struct it_db *chaos_db(void);

/* An instance, registered; fault: for WAYMARK_FAULT, or NULL; args: more options of queue_worker,
 * or NULL. It works on db unless they say otherwise. */
struct it_proc *chaos_worker(struct it_db *db, const char *fault, const char *const *args);
/* The same, not waiting: when the fault comes first. */
struct it_proc *chaos_start(struct it_db *db, const char *fault, const char *const *args);
/* Through a proxy, its connections named worker, worker-beat and worker-listen there. */
struct it_proc *chaos_worker_by(struct proxy *proxy, struct it_db *db, const char *fault,
                                const char *const *args);
struct it_proc *chaos_start_by(struct proxy *proxy, struct it_db *db, const char *fault,
                               const char *const *args);
/* After the server was away. */
void chaos_reconnect(struct it_db *db);
/* The program, to be started otherwise. */
const char *chaos_program(void);
/* Its id among the instances; 0 if it has none. */
int64_t chaos_owner(struct it_db *db, const struct it_proc *p);
/* SIGTERM, and an end with 0. What it said of its counts ("fenced=") is in there. */
struct it_result chaos_stop(struct it_proc *p);
int64_t chaos_count(const struct it_result *r, const char *name);
/* Until that instance has ended by the signal; the time of that, on it_now_ms's clock. */
int64_t chaos_died(struct it_proc *p, int signum);
/* Until nothing is left with that owner; milliseconds since `since`, at most limit_ms. */
int64_t chaos_taken_over(struct it_db *db, int64_t owner, int64_t since, int64_t limit_ms);

/* What waits to be tried again need wait no longer. */
void chaos_hasten(struct it_db *db);

/* ---- history ------------------------------------------------------------------------------- */

/* What must hold at any moment: shows the rows that break it. */
void history_holds(struct it_db *db);
/* Waits until nothing is left to do, then that and more. Dead letters are left as they are. */
void history_ends(struct it_db *db, int64_t limit_ms);
