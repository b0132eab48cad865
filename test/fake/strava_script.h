/* Calls to Strava as a script. Linked in place of strava/'s calls; what answers say is read by the
 * program's own parser.
 *
 * A test writes the calls it expects, in order, each with its reply. Strict: a call that is not
 * next, or differs, and one that is left over fail the test. */
#pragma once

#include "strava/strava.h"

struct script_call;

void strava_script_begin(void); /* forgets everything */
void strava_script_end(void);   /* fails if an expected call did not come or waits for its answer */
bool strava_script_played(void); /* every expected call has come and was answered */

/* target: "/activities/1?a=b". Answered with STRAVA_OK and "" unless told otherwise; tickets count
 * up from 101. */
struct script_call *strava_script_expect(int64_t athlete_id, const char *target);
/* Which tokens it may take; neither, unless told otherwise. */
void strava_script_pays(struct script_call *x, bool extra, bool live);
void strava_script_reply(struct script_call *x, const char *body);
void strava_script_outcome(struct script_call *x, enum strava_outcome outcome, int status);
void strava_script_fails(struct script_call *x, enum err_domain domain, enum err_class class,
                         int code);
/* No answer until it is cancelled. */
void strava_script_never(struct script_call *x);
bool strava_script_asked(const struct script_call *x);
