/* alert: tells people when a state changes, by Discord, Slack, Teams, ntfy or any webhook. What
 * there is to tell is written by whoever knows it, in the transaction of what it is about
 * (alert.set and alert.tell, migrations 0009 and 0012); from there on it is jobs of the main queue:
 *
 *  - alert: something may be to be told: a job for each destination that is configured.
 *
 *  - alert.send: one message to one destination.
 *
 *  - alert.watch: looks, every hour, for what nobody says when it happens.
 *
 * Addresses are secrets, since whoever has one can write there: they are nowhere but in the
 * configuration. Loop thread. */
#pragma once

#include "base/base.h"
#include "db/db.h"
#include "fetch/fetch.h"
#include "jobs/jobs.h"
#include "loop/loop.h"

enum alert_to { ALERT_DISCORD, ALERT_SLACK, ALERT_TEAMS, ALERT_NTFY, ALERT_WEBHOOK, ALERT_TOS };
/* "discord": in settings (alert.discord_url), jobs and metrics. */
const char *alert_name(enum alert_to to);
/* -1: there is none of that name. */
int alert_by_name(struct span name, enum alert_to *ret) MUST_CHECK;
/* Whether an address can be one: http or https, with a host and without a user. -1: CONF, with what
 * is wrong; never the address. Any thread. */
int alert_check_url(const char *url, struct err *err) MUST_CHECK;
/* Scheme and host of it, which are no secret. In a. */
const char *alert_origin(const char *url, struct arena *a);

/* Strings must outlive it. */
struct alert_conf {
    const char *url[ALERT_TOS]; /* NULL or empty: nothing goes there */
    const char *instance;   /* which of several services it is; NULL or empty: the host's name */
    const char *queue;      /* of the jobs */
    int64_t quiet_after_ms; /* an import is missed after so long */
};
struct alert;
/* pool NULL: only alert_deliver_flow is used. fetch NULL: only where nothing is configured. */
struct alert *alert_open(struct loop *l, struct db_pool *pool, struct fetch *fetch,
                         const struct alert_conf *conf);
struct alert *alert_free(struct alert *a); /* after the queue has been drained; NULL is fine */
bool alert_has(const struct alert *a, enum alert_to to);
bool alert_has_any(const struct alert *a);

enum { ALERT_KINDS = 3 };
void alert_kinds(struct alert *a, struct jobs_kind out[ALERT_KINDS]);
/* A flow that makes the schedule of alert.watch, if there is none. */
struct flow *alert_start_flow(struct alert *a);

struct alert_message {
    int64_t id; /* of its job: the same at every attempt; 0: none */
    const char *key, *title, *body;
    bool bad;      /* something is to be done; else it is well again, or news */
    int64_t at_us; /* Unix time */
};
/* A flow that sends one message now, to a destination that is configured. Fails as that answers:
 * RETRY, or PERMANENT with the name of the setting. m is copied. */
struct flow *alert_deliver_flow(struct alert *a, enum alert_to to, const struct alert_message *m);

/* What became of messages since the start. FAILED: an attempt, which is repeated if any are left.
 * REFUSED: for good. DROPPED: too old, or its destination is configured no more. */
enum alert_result { ALERT_SENT, ALERT_FAILED, ALERT_REFUSED, ALERT_DROPPED, ALERT_RESULTS };
const char *alert_result_name(enum alert_result r); /* "sent": for metrics */
uint64_t alert_count(const struct alert *a, enum alert_to to, enum alert_result r);

/* For lists: its file tells the columns. */
extern const struct db_stmt SQL_alert_list;
