/* A GeoJSON file from anywhere is read or refused with one line; what is read is a valid track. */
#include <string.h>

#include "geo/geo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct geo_file file = {0};
    struct err err;
    (void)geo_file_detect(bytes, "x.geojson");
    if (geo_file_read(bytes, GEO_FILE_GEOJSON, &file, &err) == 0) {
        for (size_t i = 0; i < file.n; i++) {
            const struct geo_feature *f = &file.feature[i];
            CHECK(geo_track_check(&f->track, &err) == 0);
            CHECK(f->track.n > 0);
            CHECK(!f->name || strlen(f->name) <= 500);
        }
    } else {
        CHECK(err.msg[0] != '\0' && !strchr(err.msg, '\n'));
    }
    geo_file_done(&file);
    return 0;
}
