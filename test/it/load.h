/* load: much to process, files to import, and chance, for tests that disturb what runs. */
#pragma once

#include "it/it.h"

/* Files that are not ours to keep lie beside the source tree; NULL where they are not at hand. */
const char *load_shared(const char *path);
/* What a shell command prints; NULL if it fails. */
char *load_output(const char *command);

/* The labelled coverage set, as a frontend inserts it: "acc+acc2", "account". False if it is not at
 * hand. */
bool load_labelled(struct it_db *db, const char *sets);
/* Some hundred activities on a few routes: the labelled set where it is at hand, else made up. */
void load_account(struct it_db *db);
/* A made-up history of n activities of two athletes on three routes. */
void load_history(struct it_db *db, int n);
/* Forgets all that processing made and queues everything again. */
void load_again(struct it_db *db);
/* Nothing left to do, nothing given up, nobody at work, no pair twice. */
void load_is_done(struct it_db *db);

/* Chance by a seed that is printed; WAYMARK_SEED repeats a run. */
uint64_t load_seed(void);
uint64_t load_random(uint64_t *state, uint64_t below);
/* How long a randomised test goes on: WAYMARK_CHAOS_SECONDS, or so many. */
int64_t load_chaos_ms(int64_t otherwise_s);

/* Some change of what load_history made, as a frontend may do it while others process. False when
 * it lost to a deadlock, which is the caller's to try again, as with any database. */
bool load_change(struct it_db *db, uint64_t *seed);

/* ---- files, below it_home ------------------------------------------------------------------ */

char *load_folder(const char *name);
char *load_file(const char *name, const char *text);
/* One <trk> of n points along it.way's line, from and to by share, moved east. */
char *load_gpx(const char *name, const char *title, double from, double to, double east, int n);
/* A line on standard error that says what is wrong with it, and no more lines than that. */
void load_one_line(const struct it_result *r, const char *what);
