/* Inside strava/. */
#pragma once

#include "strava/strava.h"

/* ---- tokens at rest -------------------------------------------------------------------------- */

enum {
    STRAVA__TOKEN = 512,    /* bytes of a token with its NUL; Strava's have 40 */
    STRAVA__KEY_PREFIX = 22 /* "wm1:", 16 hex digits, ":" and NUL */
};
enum strava__kind { STRAVA__ACCESS, STRAVA__REFRESH };

/* What sealed texts of that key begin with. */
void strava__key_prefix(const unsigned char key[STRAVA_KEY_BYTES], char ret[STRAVA__KEY_PREFIX]);
/* Appends the text that is stored: sealed with the first key, or as it is without keys. */
void strava__seal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                  const char *token, struct buf *out);
/* The token of a stored text. -1: CONF, RETRY if its key is not there, since nothing is lost; DATA,
 * PERMANENT if it was changed or is another's. The message repeats nothing of it. */
int strava__unseal(const struct strava_keys *k, int64_t athlete_id, enum strava__kind kind,
                   struct span stored, char token[STRAVA__TOKEN], struct err *err) MUST_CHECK;
