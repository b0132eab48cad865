/* Between the files of the harness. */
#pragma once

#include "it/it.h"

char *it__vformat(const char *fmt, va_list args) IT_PRINTF(1, 0);
/* Kills what a test left running. */
void it__end_processes(void);
/* it_secrets.c. An answer that is to be searched. */
void it__secret_answer(const char *text);
/* Tells of each secret in a text. */
bool it__secret_in(const char *what, const char *text);
/* The same of all that the processes of this test wrote. */
bool it__secret_in_output(void);
/* Of all there is; and forgets the secrets. */
bool it__secrets_leaked(PGconn *const *pg, unsigned n);
/* What simulators of Strava answered. */
void it__forget_json(void);
