/* Between the files of the harness. */
#pragma once

#include "it/it.h"

char *it__vformat(const char *fmt, va_list args) IT_PRINTF(1, 0);
/* Kills what a test left running. */
void it__end_processes(void);
/* What simulators of Strava answered. */
void it__forget_json(void);
