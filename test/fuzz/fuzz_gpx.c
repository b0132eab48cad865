/* A GPX file from anywhere is read or refused with one line; what is read is a valid track, which
 * can be joined, simplified and written, or that is refused too. */
#include <string.h>

#include "geo/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct geo_track *t)
{
    struct geo_track line = {0}, thin = {0};
    struct buf wkb = {0};
    struct err err;
    CHECK(geo_track_check(t, &err) == 0);
    CHECK(t->n > 0);
    CHECK(geo_simplify(t, 10, &thin, &err) == 0);
    CHECK(thin.n <= t->n && thin.nseg == t->nseg);
    geo_ewkb_track(t, &wkb);
    if (geo_join(t, 200, &line, NULL, &err) == 0) {
        CHECK(geo_track_check(&line, &err) == 0);
        CHECK(line.nseg == 1 && line.n >= 2);
    } else {
        CHECK(!strchr(err.msg, '\n'));
    }
    geo_track_done(&line);
    geo_track_done(&thin);
    buf_done(&wkb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct geo_file file = {0};
    struct err err;
    (void)geo_file_detect(bytes, NULL);
    if (geo_file_read(bytes, GEO_FILE_GPX, &file, &err) == 0) {
        for (size_t i = 0; i < file.n; i++)
            use(&file.feature[i].track);
    } else {
        CHECK(err.msg[0] != '\0' && !strchr(err.msg, '\n'));
    }
    geo_file_done(&file);
    return 0;
}
