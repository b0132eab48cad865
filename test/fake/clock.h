/* A monotonic clock that stands still but for what tests skip: every caller of clock_gettime in the
 * process, libuv included, sees it. Waits of minutes then take no time, and come out the same on a
 * busy machine. */
#pragma once

#include <stdint.h>

void fake_clock_skip(int64_t ms);
