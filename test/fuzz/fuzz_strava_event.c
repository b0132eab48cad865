/* An event from anywhere is taken, with values that can be, or refused with one line. */
#include <string.h>

#include "strava/strava.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct strava_event e;
    struct err err = {0};
    if (strava_parse_event((struct span){(const char *)data, size}, &e, &err) == 0) {
        CHECK(size <= 16 * 1024);
        CHECK(e.aspect >= STRAVA_CREATE && e.aspect <= STRAVA_DELETE);
        CHECK(e.object_id > 0 && e.owner_id > 0 && e.subscription_id >= 0 && e.time_s >= 0);
        CHECK(e.is_athlete || !e.withdrawn);
    } else {
        CHECK(err.class == ERR_PERMANENT && err.msg[0] && !strchr(err.msg, '\n'));
    }
    return 0;
}
