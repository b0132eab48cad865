/* catcher: a webhook endpoint for tests of the simulator. A thread of its own that keeps what it is
 * sent and answers as it is told. */
#pragma once

#include "it/sim.h"

struct catcher;
struct catch
{
    char method[8];
    const char *target, *type, *body;
};
/* "http://127.0.0.1:PORT/hook", answering 200 at once, and challenges rightly. */
struct catcher *catcher_start(void);
/* Every test that started one stops it. */
void catcher_stop(struct catcher *c);
const char *catcher_url(const struct catcher *c);
/* From now on POSTs are answered like that, after so long; status 0: closed without a word. */
void catcher_answer(struct catcher *c, int status, int delay_ms);
enum challenge_answer { RIGHT, WRONG_VALUE, NO_JSON, WRONG_TYPE, WRONG_STATUS, LATE };
void catcher_challenge(struct catcher *c, enum challenge_answer how);
/* What has come, the challenges left out, in order; lives until the catcher stops. */
size_t catcher_count(struct catcher *c);
struct catch catcher_at(struct catcher *c, size_t i);
/* POSTs so far, as JSON. */
json_t *catcher_event(struct catcher *c, size_t i);
/* Waits until there are so many (5 s). */
void catcher_wait(struct catcher *c, size_t n);
/* Of the last challenge: its target. */
const char *catcher_challenged(struct catcher *c);
/* A subscription to it, which must be made. */
int64_t catcher_subscribe(struct catcher *c, struct sim *s);
