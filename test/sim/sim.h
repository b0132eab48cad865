/* sim: a Strava for tests. README.md says what it does; here is how its parts know each other. One
 * thread, one loop, no files. Everything that a snapshot keeps is in struct world; what belongs to
 * running (connections, log, counts) is beside it.
 *
 * Virtual time is in microseconds since 1970 (_us); real time is monotonic milliseconds (_ms). */
#pragma once

#include <jansson.h>
#include <llhttp.h>
#include <uv.h>

#include "loop/loop.h"
#include "sim/sim_world.h"

struct req;
struct conn;

/* ---- faults (sim_fault.c) ---------------------------------------------------------------------
 */

enum fault_type {
    FAULT_STATUS,
    FAULT_RATE_LIMIT,
    FAULT_DELAY,
    FAULT_DROP,
    FAULT_CORRUPT,
    FAULT_NOT_YET,
    FAULT_POISON,
    FAULT_TOKEN,
    FAULT_PAGING,
    FAULT_STALE,
    FAULT_SCOPE,
    FAULT_INACTIVE,
    FAULT_EVENT,
    FAULT_CHALLENGE,
    FAULT_TYPES
};
enum {
    BODY_FAULT,
    BODY_ERROR,
    BODY_HTML,
    BODY_EMPTY,
    BODY_TEXT,
};
enum {
    RATE_15MIN,
    RATE_DAILY,
    RATE_READ,
    RATE_NO_HEADERS,
    RATE_STALE,
    RATE_STRING_ERRORS,
};
enum {
    DROP_BEFORE,
    DROP_HEADERS,
    DROP_BODY,
    DROP_RST,
    DROP_NEVER,
    DROP_REFUSE,
};
enum {
    CORRUPT_TRUNCATED,
    CORRUPT_UTF8,
    CORRUPT_CONTENT_TYPE,
    CORRUPT_DUPLICATE_KEYS,
    CORRUPT_HUGE,
    CORRUPT_DEEP,
    CORRUPT_BOM,
    CORRUPT_TRAILING,
};
enum {
    TOKEN_EXPIRE,
    TOKEN_REVOKE,
    TOKEN_ONCE,
    TOKEN_LOSE,
};
enum {
    PAGING_INSERT,
    PAGING_DELETE,
    PAGING_SHORT,
    PAGING_DUPLICATE,
    PAGING_UNSTABLE_TIES,
};
/* Also the kinds that the control sends. */
enum event_kind {
    EVENT_DUPLICATE,
    EVENT_DELAY,
    EVENT_LOSE,
    EVENT_REORDER,
    EVENT_UNKNOWN_FIELDS,
    EVENT_PRIVATE_BOOL,
    EVENT_WRONG_SUBSCRIPTION,
    EVENT_UNKNOWN_OWNER,
    EVENT_STRING_IDS,
    EVENT_BIG_BODY,
    EVENT_INVALID_JSON,
    EVENT_WRONG_TYPE,
    EVENT_KINDS
};
enum {
    CHALLENGE_REVERSED,
    CHALLENGE_ESCAPED,
    CHALLENGE_BAD_VERIFY,
};
struct action {
    enum fault_type type;
    int choice; /* of the enums above: body, variant, at, how, do */
    int status;
    int64_t n, ms, max_ms, seconds, bytes;
    bool silent, forever;
};
enum { FAULTS_AT_ONCE = 4 };
/* What one request meets: at most one of each type. */
struct faulty {
    bool has[FAULT_TYPES];
    struct action by[FAULT_TYPES];
    int64_t id[FAULTS_AT_ONCE]; /* for the log; 0: none */
    int64_t not_yet_seen;       /* GETs of this activity before, under the not_yet fault */
};
struct fault_asked {
    const char *method, *path;
    int64_t athlete, activity; /* 0: none */
};
struct faults *faults_new(void);
struct faults *faults_copy(const struct faults *f);
struct faults *faults_free(struct faults *f);
/* rule is {match, when, action}. The id, or -1 with why it is none. */
int64_t faults_add(struct faults *f, json_t *rule, struct err *err) MUST_CHECK;
bool faults_clear(struct faults *f, int64_t id); /* 0: all; false: there is none */
void faults_list(const struct faults *f, struct jw *w);
/* Counts the matches and tells what fires; of the types of requests only, or of that one. */
void faults_meet(struct world *w, const struct fault_asked *asked, int only, struct faulty *ret);
/* Index of text in a list of names that ends with NULL; -1. */
int name_index(const char *const *names, const char *text);
extern const char *const event_kind_names[];

/* ---- requests and answers (sim_http.c, sim_answer.c) ------------------------------------------
 */

enum endpoint {
    EP_AUTHORIZE,
    EP_TOKEN,
    EP_REVOKE,
    EP_DEAUTHORIZE,
    EP_SUBSCRIPTIONS,
    EP_ATHLETE,
    EP_ACTIVITIES,
    EP_ACTIVITY,
    EP_STREAMS,
    EP_OTHER,
    EP_COUNT
};
extern const char *const endpoint_names[];

struct req {
    struct sim *sim;
    struct conn *conn; /* NULL: the client has gone */
    struct arena *arena;
    char method[12];
    char *path;    /* decoded, without /api/v3 */
    bool prefixed; /* which it had */
    char *query_text;
    struct pairs query, form;
    bool has_form;
    struct pairs fields;
    struct buf url, body;
    bool keep_alive, in_value;

    /* What it is about. */
    enum endpoint endpoint;
    bool control;
    int64_t id; /* in the path */
    struct athlete *athlete;
    struct access *access;
    struct faulty faulty;
    bool counted, limited;
    int64_t begun_ns;

    /* The answer to come. */
    int status;
    const char *type;
    struct buf out, head;
    bool no_limits;  /* no rate fields */
    bool zero_usage; /* they say 0,0 */
    bool plain;      /* Content-Length, no gzip, no fault */
    void (*on_gone)(struct req *r);
    void *ctx;
};

struct server;
struct server *server_open(struct sim *s, const char *address, struct err *err) MUST_CHECK;
const char *server_bound(const struct server *v);
/* Stops listening and cuts all connections. It frees itself when all is closed. */
void server_close(struct server *v);
/* Nobody listens for so long (real); connections stay. */
void server_refuse_for(struct server *v, int64_t ms);
/* The first of that name; NULL: none. */
const char *req_field(const struct req *r, const char *name);
/* Logs it, does what faults say and sends. Frees r, whose client may have gone. */
void req_send(struct req *r);
/* Adds a line to the head. */
void req_set(struct req *r, const char *name, const char *fmt, ...) PRINTF(3, 4);
/* How the bytes of an answer go out. */
struct plan {
    struct buf bytes; /* head and body */
    uint64_t filler;  /* so many spaces behind them */
    int64_t delay_ms, bytes_per_s;
    size_t at_once; /* of bytes, before they drip */
    enum { END_KEEP, END_CLOSE, END_RST, END_NEVER } end;
};
/* Sends it and frees r, whose client may have gone. */
void conn_answer(struct req *r, struct plan *p);
/* The head and body of r's answer as they go out. */
void answer_plan(struct req *r, struct plan *p);

/* The answers of Strava. */
void answer_json(struct req *r, int status); /* r->out is the body */
void answer_text(struct req *r, int status, const char *type, const char *body);
/* {"message":...,"errors":[{...}]}; resource NULL: []. */
void answer_fault(struct req *r, int status, const char *message, const char *resource,
                  const char *field, const char *code);
void answer_bad(struct req *r, const char *resource, const char *field, const char *code);
void answer_unauthorized(struct req *r);
void answer_no_scope(struct req *r);
void answer_inactive(struct req *r);
void answer_rate_limited(struct req *r, const char *field);
/* By fault rules: true if it is answered. */
bool answer_by_fault(struct req *r);

/* ---- who serves what --------------------------------------------------------------------------
 */

void sim_serve(struct req *r);       /* sim_route.c; everything */
void serve_authorize(struct req *r); /* sim_oauth.c */
void serve_token(struct req *r);
void serve_revoke(struct req *r);
void serve_deauthorize(struct req *r);
void serve_subscriptions(struct req *r); /* sim_push.c */
void serve_athlete(struct req *r);       /* sim_api.c */
void serve_activities(struct req *r);
void serve_activity(struct req *r);
void serve_streams(struct req *r); /* sim_streams.c */
void serve_control(struct req *r); /* sim_control.c */

/* Counts a call; true if a quota is exceeded, *field says which. */
bool quota_count(struct sim *s, struct req *r, const char **field);
void quota_roll(struct sim *s);
void quota_fields(struct req *r);

/* Which version of it a request sees; NULL: none. */
struct activity *api_seen(const struct req *r, struct activity *a);

/* ---- rendering (sim_render.c, sim_detail.c) ---------------------------------------------------
 */

void render_athlete(const struct sim *s, const struct athlete *who, struct jw *w, bool detailed);
/* The fields that a summary has, without brackets. scope: of who looks. */
void render_summary(const struct sim *s, struct activity *a, unsigned scope, struct jw *w,
                    bool detailed);
void render_detail(const struct sim *s, struct activity *a, unsigned scope, struct buf *out);
void render_truth(const struct sim *s, struct activity *a, unsigned scope, struct jw *w);
/* The track as that scope sees it: placed is false when it may not see where it was. */
void render_track(const struct sim *s, const struct activity *a, unsigned scope, struct track *t);
void render_polyline(const struct track *t, double tolerance_m, struct buf *out);
/* A made-up number that belongs to the activity, below n. */
int64_t render_fact(const struct activity *a, unsigned which, int64_t n);
bool render_has_heartrate(const struct activity *a);
#define SUMMARY_TOLERANCE_M 12.0
#define DETAIL_TOLERANCE_M  1.5

/* ---- webhooks (sim_outbox.c, sim_event.c, sim_client.c) ---------------------------------------
 */

struct client_answer {
    int status; /* 0: none, see error */
    const char *error, *content_type;
    struct span body;
    int64_t ms;
};
/* One request to http:// on loopback, 2 s; done is called later, once. instead (may be ""):
 * HOST:PORT to connect to. */
void client_ask(struct sim *s, const char *method, const char *url, const char *instead,
                const char *content_type, struct span body,
                void (*done)(void *ctx, const struct client_answer *a), void *ctx);
/* Cuts them all: done is called with an error. */
void client_cut_all(struct sim *s);

enum event_state { EV_HELD, EV_WAITING, EV_IN_FLIGHT, EV_DONE, EV_LOST, EV_DROPPED };
enum { ATTEMPTS = 3 };
struct event {
    int64_t n;
    char *method, *url, *type; /* url NULL: the subscription's callback */
    struct buf body;
    enum event_state state;
    bool retry;
    int64_t due_us, first_us;
    int64_t flight; /* number of the request under way */
    unsigned tries;
    struct attempt {
        int64_t at_us, ms;
        int status;
        char error[48];
    } attempt[ATTEMPTS];
};
struct outbox *outbox_new(void);
struct outbox *outbox_copy(const struct outbox *o); /* what was in flight waits again */
struct outbox *outbox_free(struct outbox *o);
/* Takes body over. delay_us: from now. */
struct event *outbox_add(struct sim *s, struct buf *body, int64_t delay_us);
/* Sends what is due; sets the timer for what is not. After every change of clock or outbox. */
void outbox_pump(struct sim *s);
/* Answers r when the outbox is empty, or after timeout_s. */
void outbox_wait_idle(struct req *r, double timeout_s, bool due_only);
void outbox_hold(struct sim *s);
int64_t outbox_release(struct sim *s, int64_t n); /* < 0: all, and no more holding */
void outbox_shuffle(struct sim *s);
int64_t outbox_duplicate(struct sim *s, int64_t n);
int64_t outbox_drop(struct sim *s, int64_t n);           /* < 0: all */
bool outbox_replay(struct sim *s, int64_t n);            /* false: there is none */
int64_t outbox_replay_last(struct sim *s, int64_t last); /* < 0: all */
void outbox_list(const struct sim *s, int64_t since, struct buf *out);
void outbox_stats(const struct sim *s, struct jw *w);
void outbox_stats_clear(struct sim *s);

/* What happened to an object, as an event. updates: JSON object. Only when there is a
 * subscription. */
struct happening {
    const char *object, *aspect;
    int64_t object_id, owner_id, activity;
    const char *updates;
};
void event_make(struct sim *s, const struct happening *h);
/* An odd one; kind is a name of README.md. false: no such kind. */
bool event_send(struct sim *s, const char *kind, struct athlete *who, int64_t activity,
                const char *url, int64_t count);
/* The URL of a challenge or of a forged one. */
char *challenge_url(struct arena *a, const char *callback, const char *challenge,
                    const char *verify_token, const struct action *fault);

/* ---- log and counts (sim_log.c) ---------------------------------------------------------------
 */

struct logbook;
struct logbook *log_open(void);
struct logbook *logbook_free(struct logbook *b);
void logbook_add(struct sim *s, const struct req *r);
void logbook_lines(const struct sim *s, int64_t since, int64_t athlete, const char *path_glob,
                   struct buf *out);
void logbook_clear(struct sim *s);
void logbook_stats(const struct sim *s, struct jw *w);
enum count {
    COUNT_EXCHANGE,
    COUNT_REFRESH,
    COUNT_REFRESH_FAILURE,
    COUNT_NEW_ACCESS,
    COUNT_CALL,
    COUNTS
};
void logbook_count(struct sim *s, const struct athlete *who, enum count what);
void logbook_count_quota(struct sim *s, bool over_limit, bool after_429);

/* ---- control (sim_control.c and its verbs) ----------------------------------------------------
 */

/* A request of the control: arguments are taken out of `in` one by one, so that what is left is
 * what nobody knows. */
struct ctl {
    struct req *r;
    struct sim *s;
    json_t *in;
    struct jw w; /* the answer, inside its object */
    int status;  /* of a refusal; 0: none yet */
    char error[200];
    VEC(json_t *); /* values that were taken */
};
json_t *ctl_take(struct ctl *c, const char *key, int type); /* NULL: not there, or wrong */
bool ctl_str(struct ctl *c, const char *key, const char **ret);
bool ctl_i64(struct ctl *c, const char *key, int64_t min, int64_t max, int64_t *ret);
bool ctl_f64(struct ctl *c, const char *key, double min, double max, double *ret);
bool ctl_bool(struct ctl *c, const char *key, bool *ret);
bool ctl_time(struct ctl *c, const char *key, int64_t *ret_us);
bool ctl_scope(struct ctl *c, const char *key, unsigned *ret);
bool ctl_choice(struct ctl *c, const char *key, const char *const *names, int *ret);
struct athlete *ctl_athlete(struct ctl *c, bool required);
void ctl_refuse(struct ctl *c, int status, const char *fmt, ...) PRINTF(3, 4);
/* After the last argument: false if something was wrong; nothing may be done then. */
bool ctl_ready(struct ctl *c);

void ctl_activity(struct ctl *c); /* sim_ctl_activity.c */
void ctl_grant(struct ctl *c);    /* sim_ctl_athlete.c */
void ctl_consent(struct ctl *c);
void ctl_athletes(struct ctl *c);
void ctl_athlete_verb(struct ctl *c, int64_t id, const char *verb);
void ctl_token(struct ctl *c, const char *verb);
void ctl_settings(struct ctl *c); /* sim_ctl_settings.c */
void ctl_app_status(struct ctl *c);
void ctl_limits(struct ctl *c);
void ctl_clock(struct ctl *c);
void ctl_events(struct ctl *c, const char *verb); /* sim_ctl_events.c */
void ctl_snapshot(struct ctl *c);                 /* sim_ctl_world.c */
void ctl_restore(struct ctl *c);
void ctl_reset(struct ctl *c);
void ctl_truth(struct ctl *c);
void ctl_one_activity(struct ctl *c, int64_t id);

/* ---- the program (sim.c) ----------------------------------------------------------------------
 */

enum { SNAPSHOTS = 8, ATHLETES_MAX = 20000 };
struct snapshot {
    char name[32];
    struct world *world;
};
struct sim {
    struct loop *loop;
    const char *client_secret;
    int64_t client_id;
    struct world_conf conf;
    const char *near; /* NULL: none */
    struct line trail;
    struct vclock clock;
    int64_t start_us; /* the virtual time at the start */
    struct world *world;
    struct snapshot snapshot[SNAPSHOTS];
    struct server *server;
    struct logbook *log;
    struct client *clients;
    int64_t flights;
    uv_timer_t due; /* of the outbox */
    struct idler *idlers;
    struct loop_signals *signals;
    bool closing;
    struct {
        int64_t made, delivered, attempts, lost, dropped, count, max_ms;
        uint32_t ms[2050]; /* how many were acknowledged after so many milliseconds */
    } hooks;
};
/* Takes it over and frees the one before. */
void sim_use_world(struct sim *s, struct world *w);
