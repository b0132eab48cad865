/* What decodes also encodes, and that decodes to the same points. First byte: the precision. */
#include <string.h>

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
        CHECK(track.n == 0 || memcmp(again.pt, track.pt, track.n * sizeof(*track.pt)) == 0);
        buf_done(&text);
    }
    geo_track_done(&track);
    geo_track_done(&again);
    return 0;
}
