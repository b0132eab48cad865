/* What ingest/ does in worker threads. */
#pragma once

#include "base/base.h"
#include "geo/geo.h"

struct ingest_paths {
    VEC(char *);
};
/* Every path as it is if it is a file, or the track files under it, sorted, if it is a folder (not
 * following links to folders). Fails for a path that does not exist. */
int ingest__scan(const char *const *path, size_t n, struct ingest_paths *ret,
                 struct err *err) MUST_CHECK;
void ingest__paths_done(struct ingest_paths *p);

/* One activity read from a file. Buffers owned. */
struct ingest_activity {
    int64_t id;
    char *name, *type;
    double distance_m;
    int64_t elapsed_s, start_us;
    struct buf summary, track; /* EWKB */
};
struct ingest_file {
    const char *path;
    int64_t athlete_id;
    const char *origin; /* result */
    struct {
        VEC(struct ingest_activity);
    } activity;
    struct err err; /* class 0: none. A file may have both activities and an error */
};
/* Reads and converts one file; never fails otherwise than in f->err. */
void ingest__read(struct ingest_file *f);
void ingest__file_done(struct ingest_file *f);
