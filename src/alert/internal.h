/* Shared by the files of alert/ only. */
#pragma once

#include "alert/alert.h"
#include "alert_sql.h"

enum {
    ALERT_CALL_MS = 20000,        /* deadline of our statements */
    ALERT_SEND_MS = 10000,        /* of a request: a slot of the queue waits for it */
    ALERT_ANSWER_MAX = 64 * 1024, /* bytes, of which nothing is read */
    ALERT_TOO_OLD_S = 24 * 3600,  /* nobody wants to hear of it any more */
};

struct alert {
    struct loop *loop;
    struct db_pool *pool;
    struct fetch *fetch;
    struct alert_conf conf;
    char host[256];
    uint64_t count[ALERT_TOS][ALERT_RESULTS];
};

/* alert_text.c: pure. */

/* s, or its beginning and "..." in a, in at most max bytes (8 or more); no character is cut. */
const char *alert__cut(struct arena *a, const char *s, size_t max);
/* The value of a header field: as it is, or as encoded words (RFC 2047) where it is not ASCII, or
 * could be taken for one. In a. */
const char *alert__header(struct arena *a, const char *text);
/* How long to wait after the attempt of that number failed: from half a minute to four hours, so
 * that eight of them outlast a night. */
int64_t alert__pause_ms(int attempt);

/* alert_body.c: pure. What is sent; returns its media type. instance: as in struct alert_conf. */
const char *alert__body(enum alert_to to, const struct alert_message *m, const char *instance,
                        struct arena *a, struct buf *out);

/* The payload of an alert.send. -1: BUG, it is none. Strings in a. */
int alert__payload_read(const char *payload, struct arena *a, enum alert_to *to,
                        struct alert_message *m, struct err *err) MUST_CHECK;

/* Handlers; ctx: struct alert. */
struct flow *alert__fan_start(struct jobs_batch *b, void *ctx);
struct flow *alert__send_start(struct jobs_batch *b, void *ctx);
struct flow *alert__watch_start(struct jobs_batch *b, void *ctx);
