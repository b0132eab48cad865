/* Strava's word as a script. Linked in place of strava/'s flows: what is asked of Strava, in order,
 * each with what comes of it. Strict: a question that is not next, another athlete or code, and an
 * expectation that is left over fail the test. Answers come through the loop's ready queue. */
#pragma once

#include "strava/strava.h"

enum grant_script_what { SCRIPT_VERIFY = 1, SCRIPT_REVOKE, SCRIPT_EXCHANGE };
struct script_word;

void grant_script_begin(struct loop *l); /* forgets everything */
void grant_script_end(void);             /* fails if an expected question did not come */
/* What features are given; of no use but to be handed on. */
struct strava *grant_script(void);

/* athlete_id: of verify and revoke; for an exchange whom it gives. */
struct script_word *grant_script_expect(enum grant_script_what what, int64_t athlete_id);
void grant_script_gone(struct script_word *x);                   /* of verify: they left */
void grant_script_unproven(struct script_word *x);               /* of verify */
void grant_script_code(struct script_word *x, const char *code); /* of an exchange: it must be */
void grant_script_fails(struct script_word *x, enum err_domain domain, enum err_class class,
                        int code);
void grant_script_never(struct script_word *x); /* no answer until it is cancelled */
bool grant_script_asked(const struct script_word *x);
