/* What PostGIS or anybody else sends as WKB is read or refused; what is read can be written and
 * read again. */
#include "geo/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct geo_track track = {0}, again = {0};
    struct err err;
    if (geo_ewkb_read((struct span){(const char *)data, size}, true, &track, &err) == 0) {
        struct buf wkb = {0};
        CHECK(geo_track_check(&track, &err) == 0);
        geo_ewkb_track(&track, &wkb);
        CHECK(geo_ewkb_read(buf_span(&wkb), true, &again, &err) == 0);
        CHECK(again.n <= track.n); /* segments of one point are not written */
        buf_done(&wkb);
    }
    geo_track_done(&track);
    geo_track_done(&again);
    return 0;
}
