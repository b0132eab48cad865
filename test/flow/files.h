/* A folder of track files, made by the test. */
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include "flow/rig.h"

struct folder {
    char path[64];
    char *file[16];
    size_t n;
};

static inline void folder_open(struct folder *d)
{
    *d = (struct folder){.n = 0};
    snprintf(d->path, sizeof(d->path), "/tmp/waymark-test-XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

/* Returns its path. */
static inline const char *folder_add(struct folder *d, const char *name, const char *content)
{
    struct buf path = {0};
    assert_true(d->n < COUNT_OF(d->file));
    buf_printf(&path, "%s/%s", d->path, name);
    FILE *f = fopen(path.p, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    d->file[d->n++] = path.p;
    return path.p;
}

static inline void folder_close(struct folder *d)
{
    for (size_t i = 0; i < d->n; i++) {
        unlink(d->file[i]);
        mem_free(d->file[i]);
    }
    assert_int_equal(rmdir(d->path), 0);
}

/* A GPX file of one track of n points, 77 m apart, from lon on; name may be NULL. */
static inline char *gpx_of(struct arena *a, const char *name, double lon, int n)
{
    struct buf b = {0};
    buf_puts(&b, "<?xml version=\"1.0\"?><gpx version=\"1.1\"><trk>");
    if (name) {
        buf_printf(&b, "<name>%s</name>", name);
    }
    buf_puts(&b, "<trkseg>");
    for (int i = 0; i < n; i++) {
        buf_printf(&b, "<trkpt lat=\"46\" lon=\"%.5f\"/>", lon + 0.001 * i);
    }
    buf_puts(&b, "</trkseg></trk></gpx>");
    char *text = arena_strdup(a, b.p);
    buf_done(&b);
    return text;
}
