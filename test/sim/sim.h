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

struct sim;
struct req;
struct conn;
struct activity;
struct athlete;
struct event;

#define S_US INT64_C(1000000)

/* ---- chance (sim_base.c) ----------------------------------------------------------------------
 */

struct rnd {
    uint64_t s;
};
/* What depends on both and on nothing else. */
uint64_t sim_mix(uint64_t a, uint64_t b);
uint64_t rnd_u64(struct rnd *r);
double rnd_f64(struct rnd *r); /* [0, 1) */
int64_t rnd_below(struct rnd *r, int64_t n);
double rnd_between(struct rnd *r, double a, double b);

/* ---- writing JSON (sim_base.c) ----------------------------------------------------------------
 */

/* As Rails writes it: & < > are escaped. key is NULL in arrays and at the top. */
struct jw {
    struct buf *b;
    bool comma;
};
void jw_open(struct jw *w, const char *key, char bracket);
void jw_close(struct jw *w, char bracket);
void jw_str(struct jw *w, const char *key, const char *val); /* NULL gives null */
void jw_i64(struct jw *w, const char *key, int64_t val);
/* A number that is meant as a float: at least one decimal. */
void jw_f64(struct jw *w, const char *key, double val, int decimals);
void jw_bool(struct jw *w, const char *key, bool val);
void jw_null(struct jw *w, const char *key);
void jw_raw(struct jw *w, const char *key, const char *json);
void jw_time(struct jw *w, const char *key, int64_t us); /* whole seconds, Z */
char *sim_iso(int64_t us, char out[40]);                 /* the same, for other texts */

/* ---- forms (sim_form.c) -----------------------------------------------------------------------
 */

struct pair {
    char *name, *value;
};
struct pairs {
    VEC(struct pair);
};
/* Percent-encoded pairs; '+' is a space. Copies are in a. The arrays are freed with vec_done. */
void pairs_read(struct arena *a, struct span text, struct pairs *ret);
/* multipart/form-data, fields only; false if it is none. */
bool pairs_read_multipart(struct arena *a, struct span text, const char *content_type,
                          struct pairs *ret);
const char *pairs_get(const struct pairs *p, const char *name); /* NULL: none */
char *url_encode(struct arena *a, const char *text);
/* Every byte as %XX. */
char *url_encode_all(struct arena *a, const char *text);
/* '*' is any text, '?' one character. */
bool glob_is(const char *glob, const char *text);

/* ---- scopes (sim_base.c) ----------------------------------------------------------------------
 */

enum scope {
    SCOPE_READ = 1,
    SCOPE_READ_ALL = 2,
    SCOPE_PROFILE_READ_ALL = 4,
    SCOPE_PROFILE_WRITE = 8,
    SCOPE_ACTIVITY_READ = 16,
    SCOPE_ACTIVITY_READ_ALL = 32,
    SCOPE_ACTIVITY_WRITE = 64,
    SCOPE_ACTIVITIES = SCOPE_ACTIVITY_READ | SCOPE_ACTIVITY_READ_ALL,
};
/* Commas or spaces between names. -1: one is none. "" is 0. */
int scope_parse(const char *text, unsigned *ret) MUST_CHECK;
char *scope_format(unsigned scope, char out[128]);

/* ---- geometry (sim_track.c, sim_town.c) -------------------------------------------------------
 */

struct place {
    double lat, lon;
};
double place_distance_m(struct place a, struct place b);

struct fix {
    struct place at;
    double altitude, distance;
    int time;
};
struct track {
    VEC(struct fix);
    bool placed; /* its fixes have positions */
};
struct line {
    VEC(struct place);
    double *measure; /* metres from the start, one a point */
};
/* The trail: made up from the seed, or read from a GeoJSON file. */
void town_trail(uint64_t seed, struct line *ret);
int town_trail_read(const char *path, struct line *ret, struct err *err) MUST_CHECK;
double line_length_m(const struct line *l);
struct place line_at(const struct line *l, double m);
void line_done(struct line *l);
void town_geojson(const struct line *l, struct buf *out);
double town_altitude(struct place p);
int64_t town_utc_offset_s(int64_t utc_s);
#define TOWN_ZONE "(GMT-01:00) Atlantic/Azores"

/* Google's encoding, precision 5. */
void polyline_encode(const struct place *p, size_t n, struct buf *out);
/* Indexes of the points that are kept; room for n. Returns how many. */
size_t track_simplify(const struct track *t, double tolerance_m, uint32_t *keep);
/* The points of a (its shape, sport, times), cropped. Manual and indoor: without positions. */
void track_make(const struct line *trail, const struct activity *a, struct track *ret);
/* Takes so many metres off both ends. */
void track_trim(struct track *t, double m);

/* ---- the world (sim_world.c, sim_preset.c) ----------------------------------------------------
 */

enum visibility { VIS_EVERYONE, VIS_FOLLOWERS, VIS_ONLY_ME };

enum quirk {
    QUIRK_POLY_NULL = 1 << 0,
    QUIRK_POLY_MISSING = 1 << 1,
    QUIRK_LATLNG_NULL = 1 << 2,
    QUIRK_INT_NUMBERS = 1 << 3,
    QUIRK_UNKNOWN_KEYS = 1 << 4,
    QUIRK_NEW_SPORT = 1 << 5,
    QUIRK_BIG_EFFORTS = 1 << 6,
    QUIRK_ZERO_TIME = 1 << 7,
    QUIRK_NEGATIVE_ELEVATION = 1 << 8,
    QUIRK_NO_VISIBILITY = 1 << 9,
    QUIRK_NO_EXTERNAL = 1 << 10,
    QUIRK_NUL_NAME = 1 << 11,
};
extern const char *const quirk_names[]; /* by bit; ends with NULL */

enum shape { SHAPE_NONE, SHAPE_LOOP, SHAPE_TRAIL, SHAPE_POINTS };

struct activity {
    int64_t id;
    unsigned owner; /* index of the athlete */
    uint64_t gen;   /* what its made-up parts follow from */
    char *name, *description;
    char sport[40], type[40];
    int64_t start_us;
    enum visibility visibility;
    bool manual, trainer, hide_map, privacy_zone, hidden_start;
    unsigned quirks;

    enum shape shape;
    double trail_from, trail_to, loop_m;
    struct place *point;
    size_t points;
    double crop_from, crop_to; /* shares of the whole track */

    int whole_moving_s, whole_elapsed_s; /* of the whole track */

    double distance, elevation_gain, elevation_high, elevation_low;
    int moving_s, elapsed_s;
    size_t fixes; /* of the track */

    char *summary; /* its summary polyline, made when asked for */
    struct place first, last;

    int64_t created_us, changed_us, deleted_us; /* deleted_us 0: it is there */
    int64_t not_yet_us;                         /* not readable until then */
    int64_t not_yet_calls;                      /* nor by so many GETs */
    bool never, poison;
    int64_t revision;
    struct activity *prev; /* as it was before the last change; NULL: it was not there */
};

enum { ACCESS_KEPT = 4, TOKEN_SIZE = 41 };
struct access {
    char token[TOKEN_SIZE]; /* "": none */
    int64_t expires_us;
    bool dead;
};
struct athlete {
    int64_t id;
    unsigned index;
    uint64_t gen;
    const char *first, *last; /* literals */
    bool granted;
    unsigned scope;
    char refresh[TOKEN_SIZE];
    struct access access[ACCESS_KEPT]; /* the newest first */
    uint32_t serial;                   /* of the tokens that were made for it */
    struct {
        VEC(struct activity *);
    } list; /* by id */
};

struct code {
    char code[TOKEN_SIZE];
    unsigned athlete, scope;
    int64_t expires_us;
};
struct codes {
    VEC(struct code);
};

enum rotation { ROTATE_NEVER, ROTATE_ALWAYS, ROTATE_ON_NEW_ACCESS };
struct settings {
    enum rotation rotation;
    bool old_access_dead;
    int64_t token_life_s, code_life_s, event_delay_s, delivery_parallel, capacity;
    bool inclusive, auto_reuse, chunked, gzip, followers_event;
    char callback_domain[128], deliver_to[64];
};

enum { READ_BUDGET, OVERALL_BUDGET, BUDGETS };
struct quota {
    int64_t limit[BUDGETS][2]; /* quarter of an hour, day */
    int64_t used[BUDGETS][2];
    int64_t window[2];  /* the number of the quarter and of the day they are of */
    bool refused[2];    /* a 429 was sent in it */
};

struct subscription {
    int64_t id; /* 0: none */
    char *url, *verify_token;
    int64_t created_us;
};

struct consent {
    bool automatic, deny, has_scope;
    int64_t athlete;
    unsigned scope;
};

struct faults;
struct outbox;

struct world {
    uint64_t seed;
    char preset[16];
    struct {
        VEC(struct athlete *);
    } athletes;
    struct {
        VEC(struct activity *);
    } activities; /* by id */
    struct codes codes;
    bool inactive;
    struct settings settings;
    struct quota quota;
    struct subscription subscription;
    struct consent consent;
    int64_t next_activity, next_subscription;
    uint64_t draws; /* chance that was asked for after the world was made */
    struct faults *faults;
    struct outbox *outbox;
    int64_t now_us; /* of a snapshot */
    bool frozen;
};

struct world_conf {
    uint64_t seed;
    const char *preset;
    int64_t athletes;
    int64_t anchor_us; /* the day after the preset's last */
    struct settings settings;
    int64_t limit[BUDGETS][2];
};
bool preset_exists(const char *name);
struct world *world_new(const struct line *trail, const struct world_conf *conf);
struct world *world_copy(const struct world *w);
struct world *world_free(struct world *w);
/* Fills an athlete's list. */
void preset_fill(struct world *w, const struct line *trail, struct athlete *who,
                 int64_t anchor_us);
struct athlete *world_athlete(const struct world *w, int64_t id);   /* NULL: none */
struct activity *world_activity(const struct world *w, int64_t id); /* deleted ones too */
/* Takes it over; it needs an id larger than all others. */
void world_add(struct world *w, struct athlete *who, struct activity *a);
double world_chance(struct world *w);

struct activity *activity_new(uint64_t gen);
struct activity *activity_copy(const struct activity *a); /* without prev */
struct activity *activity_free(struct activity *a);
void text_set(char **field, const char *text);
void activity_set_sport(struct activity *a, const char *sport, const char *type);
/* After its shape, sport or times changed: what follows from them. */
void activity_measure(const struct line *trail, struct activity *a);
int64_t activity_shown_start_s(const struct activity *a);
bool activity_visible(const struct activity *a, unsigned scope);
const char *visibility_name(enum visibility v);
const char *sport_type_of(const char *sport); /* the old, coarse type */

/* ---- changes (sim_change.c) -------------------------------------------------------------------
 */

struct change_opts {
    bool silent, split;
};
/* Before a change: keeps what is. After it: makes the events. */
void change_begin(struct sim *s, struct activity *a);
void change_end(struct sim *s, struct activity *a, struct change_opts o);
void change_created(struct sim *s, struct activity *a, struct change_opts o);
void change_delete(struct sim *s, struct activity *a, struct change_opts o);
/* The grant ends: tokens die, and a deauth event unless silent. */
void change_revoke(struct sim *s, struct athlete *who, bool silent);
/* A run that ended just now, with the next id; nobody's yet. */
struct activity *change_blank_run(struct sim *s);
/* The same, of that athlete; not yet announced. */
struct activity *change_new_run(struct sim *s, struct athlete *who);

/* ---- clock (sim_clock.c) ----------------------------------------------------------------------
 */

struct vclock {
    int64_t offset_us; /* from the monotonic clock */
    int64_t frozen_us;
    bool frozen;
};
int64_t sim_now_us(const struct sim *s);
void sim_clock_set(struct sim *s, int64_t now_us);
void sim_clock_advance(struct sim *s, int64_t us);
void sim_clock_freeze(struct sim *s, bool on);
/* Real milliseconds until then; 0: it is past; -1: never, the clock stands. */
int64_t sim_real_ms_until(const struct sim *s, int64_t us);

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
    BODY_FAULT, BODY_ERROR, BODY_HTML, BODY_EMPTY, BODY_TEXT,
};
enum {
    RATE_15MIN, RATE_DAILY, RATE_READ, RATE_NO_HEADERS, RATE_STALE, RATE_STRING_ERRORS,
};
enum {
    DROP_BEFORE, DROP_HEADERS, DROP_BODY, DROP_RST, DROP_NEVER, DROP_REFUSE,
};
enum {
    CORRUPT_TRUNCATED, CORRUPT_UTF8, CORRUPT_CONTENT_TYPE, CORRUPT_DUPLICATE_KEYS, CORRUPT_HUGE,
    CORRUPT_DEEP, CORRUPT_BOM, CORRUPT_TRAILING,
};
enum {
    TOKEN_EXPIRE, TOKEN_REVOKE, TOKEN_ONCE, TOKEN_LOSE,
};
enum {
    PAGING_INSERT, PAGING_DELETE, PAGING_SHORT, PAGING_DUPLICATE, PAGING_UNSTABLE_TIES,
};
/* Also the kinds that the control sends. */
enum event_kind {
    EVENT_DUPLICATE, EVENT_DELAY, EVENT_LOSE, EVENT_REORDER, EVENT_UNKNOWN_FIELDS,
    EVENT_PRIVATE_BOOL, EVENT_WRONG_SUBSCRIPTION, EVENT_UNKNOWN_OWNER, EVENT_STRING_IDS,
    EVENT_BIG_BODY, EVENT_INVALID_JSON, EVENT_WRONG_TYPE, EVENT_KINDS
};
enum {
    CHALLENGE_REVERSED, CHALLENGE_ESCAPED, CHALLENGE_BAD_VERIFY,
};
struct action {
    enum fault_type type;
    int choice;                 /* of the enums above: body, variant, at, how, do */
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
    EP_AUTHORIZE, EP_TOKEN, EP_REVOKE, EP_DEAUTHORIZE, EP_SUBSCRIPTIONS, EP_ATHLETE,
    EP_ACTIVITIES, EP_ACTIVITY, EP_STREAMS, EP_OTHER, EP_COUNT
};
extern const char *const endpoint_names[];

struct req {
    struct sim *sim;
    struct conn *conn; /* NULL: the client has gone */
    struct arena *arena;
    char method[12];
    char *path;   /* decoded, without /api/v3 */
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
    bool no_limits;    /* no rate fields */
    bool zero_usage;   /* they say 0,0 */
    bool plain;        /* Content-Length, no gzip, no fault */
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
    struct buf bytes;      /* head and body */
    uint64_t filler;       /* so many spaces behind them */
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

void sim_serve(struct req *r);     /* sim_route.c; everything */
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

/* ---- tokens (sim_token.c) ---------------------------------------------------------------------
 */

struct token_owner {
    struct athlete *who;
    struct access *access; /* NULL: it is the refresh token */
};
/* Any token that is still known, expired ones too. */
bool token_find(const struct world *w, const char *text, struct token_owner *ret);
bool access_is_valid(const struct sim *s, const struct athlete *who, const struct access *a);
/* The grant is made or changed; new tokens. */
void token_grant(struct sim *s, struct athlete *who, unsigned scope);
/* As a refresh does; true: the access token is new. */
bool token_refresh(struct sim *s, struct athlete *who);
void token_drop_all(struct athlete *who);
/* Into the body of an answer. */
void token_write(struct sim *s, struct athlete *who, struct jw *w);
const struct code *code_new(struct sim *s, struct athlete *who, unsigned scope);
/* Uses it up. NULL: there is none such, or not any more. */
struct athlete *code_take(struct sim *s, const char *text, unsigned *scope);
unsigned connected_athletes(const struct world *w);

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
enum count { COUNT_EXCHANGE, COUNT_REFRESH, COUNT_REFRESH_FAILURE, COUNT_NEW_ACCESS, COUNT_CALL,
             COUNTS };
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

void ctl_activity(struct ctl *c);      /* sim_ctl_activity.c */
void ctl_grant(struct ctl *c);         /* sim_ctl_athlete.c */
void ctl_consent(struct ctl *c);
void ctl_athletes(struct ctl *c);
void ctl_athlete_verb(struct ctl *c, int64_t id, const char *verb);
void ctl_token(struct ctl *c, const char *verb);
void ctl_settings(struct ctl *c);      /* sim_ctl_settings.c */
void ctl_app_status(struct ctl *c);
void ctl_limits(struct ctl *c);
void ctl_clock(struct ctl *c);
void ctl_events(struct ctl *c, const char *verb); /* sim_ctl_events.c */
void ctl_snapshot(struct ctl *c);      /* sim_ctl_world.c */
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
