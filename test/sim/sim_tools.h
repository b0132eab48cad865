/* What the parts of the simulator are written with: chance, JSON, forms, scopes, geometry. None of
 * it knows the simulator. */
#pragma once

#include "base/base.h"

struct activity;

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
/* near: the segment to look first, below n - 1; the one found. */
struct place line_at(const struct line *l, double m, size_t *near);
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
/* At the end of the program. */
void track_done_recent(void);
/* Takes so many metres off both ends. */
void track_trim(struct track *t, double m);
