/* The state that a snapshot keeps, and what happens to it. */
#pragma once

#include "sim/sim_tools.h"

struct sim;
struct event;

#define S_US INT64_C(1000000)

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
    bool measured; /* those six are right */

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
    int64_t window[2]; /* the number of the quarter and of the day they are of */
    bool refused[2];   /* a 429 was sent in it */
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
void preset_fill(struct world *w, const struct line *trail, struct athlete *who, int64_t anchor_us);
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
/* What follows from its shape, sport and times: made when somebody looks, and again after they
 * changed. */
void activity_measure(const struct line *trail, struct activity *a);
void activity_remeasure(struct activity *a);
int64_t activity_shown_start_s(const struct activity *a);
bool activity_visible(const struct activity *a, unsigned scope);
const char *visibility_name(enum visibility v);
const char *sport_type_of(const char *sport); /* the old, coarse type */

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
