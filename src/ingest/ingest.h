/* ingest: brings activities in. Today: track files and folders of them. Loop thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"

/* What became of one file, for the caller's report. */
struct ingest_event {
    const char *path;
    size_t activities; /* new ones */
    size_t known;      /* were here already */
    const char *why;   /* NULL, or why the file (or a part of it) was refused */
};
struct ingest_totals {
    size_t files, files_done, files_refused, activities, known;
};
struct ingest_opts {
    /* Files and folders; a folder is searched for .gpx and .geojson files. */
    const char *const *path;
    size_t npaths;
    int64_t athlete_id;
    void (*on_file)(void *ctx, const struct ingest_event *e); /* after each file */
    void (*on_scan)(void *ctx, size_t files); /* once, when it is known how many there are */
    void *ctx;
};
/* A flow. Each <trk> or line feature becomes an activity; its id is made from the content and the
 * athlete, so the same file twice is the same activity. A bad file is reported and left out, the
 * rest goes on; the flow fails only when the database cannot be reached or a path does not exist.
 * opts must outlive it. */
struct flow *ingest_files_flow(struct db_pool *pool, const struct ingest_opts *opts,
                               struct ingest_totals *totals);
