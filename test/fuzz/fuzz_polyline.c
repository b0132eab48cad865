/* What decodes also encodes, and that decodes to the same points, but for the last bit of a
 * longitude that was wrapped. First byte: the precision. */
#include <math.h>

#include "geo/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    int precision = data[0] & 1 ? 5 : 6;
    struct geo_track track = {0}, again = {0};
    struct err err;
    if (geo_polyline_decode((struct span){(const char *)data + 1, size - 1}, precision, &track,
                            &err) == 0) {
        struct buf text = {0};
        geo_polyline_encode(track.pt, track.n, precision, &text);
        CHECK(geo_polyline_decode(buf_span(&text), precision, &again, &err) == 0);
        CHECK(again.n == track.n);
        for (size_t i = 0; i < track.n; i++) {
            CHECK(fabs(again.pt[i].lat - track.pt[i].lat) < 1e-9);
            CHECK(fabs(remainder(again.pt[i].lon - track.pt[i].lon, 360)) < 1e-9);
        }
        buf_done(&text);
    }
    geo_track_done(&track);
    geo_track_done(&again);
    return 0;
}
