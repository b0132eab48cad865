/* For the tests of tracks, their codecs and files. */
#pragma once

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "geo/geo.h"

/* The message of a refusal: one line that contains this. */
#define assert_says(err, part)                                                                     \
    do {                                                                                           \
        if (!strstr((err)->msg, (part)) || strchr((err)->msg, '\n'))                               \
            fail_msg("\"%s\" does not say \"%s\"", (err)->msg, (part));                            \
    } while (0)

static inline void assert_near(double a, double b, double within)
{
    if (!(fabs(a - b) <= within))
        fail_msg("%.12g is not within %g of %.12g", a, within, b);
}

/* A track of n positions lon, lat, lon, lat; first lists the n_first indexes at which a segment
 * starts. */
static inline struct geo_track track_of(const double *lonlat, size_t n, const size_t *first,
                                        size_t n_first)
{
    struct geo_track t = {0};
    for (size_t i = 0, s = 0; i < n; i++) {
        struct err err;
        bool starts = s < n_first && first[s] == i;
        s += starts;
        struct geo_pt p = {lonlat[2 * i], lonlat[2 * i + 1]};
        assert_int_equal(geo_track_add(&t, p, NAN, starts, &err), 0);
    }
    return t;
}

/* A whole file; the caller frees .p with mem_free. p is NULL if there is no such file. */
static inline struct span read_whole(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return (struct span){0};
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    assert_true(n >= 0);
    rewind(f);
    char *bytes = mem_alloc((size_t)n + 1);
    assert_int_equal(fread(bytes, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    return (struct span){bytes, (size_t)n};
}

/* Real data lie beside the checkout, not in it. Skips the test, saying so, where they are absent.
 */
#define SHARED_DATA WAYMARK_SOURCE_DIR "/../shared/data"
static inline void need_shared_data(void)
{
    DIR *d = opendir(SHARED_DATA);
    if (!d) {
        print_message("skipped: no real data in %s\n", SHARED_DATA);
        skip();
    }
    closedir(d);
}

/* Reads a file of the shared data, which must be there and be read. */
static inline struct geo_file shared_file(const char *name)
{
    struct geo_file f = {0};
    struct err err;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", SHARED_DATA, name);
    struct span bytes = read_whole(path);
    assert_non_null(bytes.p);
    if (geo_file_read(bytes, geo_file_detect(bytes, name), &f, &err) != 0)
        fail_msg("%s: %s", name, err.msg);
    mem_free((void *)(uintptr_t)bytes.p);
    return f;
}

/* All segments of all features, as a route is imported. */
static inline struct geo_track all_segments(const struct geo_file *f)
{
    struct geo_track all = {0};
    for (size_t i = 0; i < f->n; i++) {
        const struct geo_track *t = &f->feature[i].track;
        for (size_t k = 0, s = 0; k < t->n; k++) {
            struct err err;
            bool starts = s < t->nseg && t->seg[s] == k;
            s += starts;
            assert_int_equal(geo_track_add(&all, t->pt[k], NAN, starts, &err), 0);
        }
    }
    return all;
}
