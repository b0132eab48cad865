/* base: what every folder may use. Errors, arenas, spans, growable arrays, logging, clocks, JSON
 * and TOML facades, the configuration reader. No thread, no loop, no SQL.
 *
 * Threads: everything here may be called from any thread on objects that thread owns, except the
 * log and log_add_secret(), which belong to the loop thread (workers report through their item). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/poison.h"

#define MUST_CHECK                      __attribute__((warn_unused_result))
#define PRINTF(f, a)                    __attribute__((format(printf, f, a)))
#define CLEANUP(fn)                     __attribute__((cleanup(fn)))
#define COUNT_OF(a)                     (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Kept in release builds: a programming error ends the process before it corrupts data. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
__attribute__((noreturn)) void check_failed(const char *cond, const char *file, int line);

/* ---- memory ---------------------------------------------------------------------------------- */

/* At the start of a program: large blocks go back to the system as soon as they are freed. */
void mem_init(void);
/* Abort on exhaustion: for small sizes that the program itself chose. Sizes that come from outside
 * are capped first and then use the try_ form or an arena with a limit. */
void *mem_alloc(size_t n); /* zeroed; caller frees with mem_free */
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
void *mem_try_alloc(size_t n) MUST_CHECK; /* zeroed, or NULL */
void mem_free(void *p);                   /* NULL is fine */

/* ---- spans ----------------------------------------------------------------------------------- */

/* Bytes owned by somebody else; not NUL-terminated. p may be NULL when n is 0. */
struct span {
    const char *p;
    size_t n;
};

#define SPAN(lit) ((struct span){(lit), sizeof(lit) - 1})
struct span span_of(const char *cstr); /* NULL gives the empty span */
bool span_eq(struct span a, struct span b);
bool span_is(struct span a, const char *cstr);
struct span span_trim(struct span s); /* ASCII white space off both ends */
/* Strict: no overlong forms, no surrogates; NUL is refused too. */
bool span_utf8_valid(struct span s);
/* In place: what a terminal would obey rather than show becomes spaces: control characters, C1 ones
 * too, and marks that turn the direction of text. Bytes that are not UTF-8 become '?'. Returns
 * text. */
char *text_tame(char *text);

/* Strict decimal; the whole span must be the number and lie in [min, max]. 0 or -1. */
int span_to_i64(struct span s, int64_t min, int64_t max, int64_t *ret) MUST_CHECK;
/* Finite decimal, in the C locale whatever that of the process; no NaN, infinity, hex. 0 or -1. */
int span_to_f64(struct span s, double *ret) MUST_CHECK;

/* ---- errors ---------------------------------------------------------------------------------- */

enum err_domain { ERR_SYS = 1, ERR_UV, ERR_PG, ERR_HTTP, ERR_GEOS, ERR_DATA, ERR_CONF, ERR_USAGE };
/* What the queue acts on: RETRY try again later; PERMANENT the input is at fault, trying again is
 * useless; BUG the program is at fault. */
enum err_class { ERR_RETRY = 1, ERR_PERMANENT, ERR_BUG };

struct err {
    enum err_domain domain;
    enum err_class class;
    int code;               /* errno, uv or HTTP status, by domain; 0 if none */
    char sqlstate[6];       /* domain PG, else "" */
    int64_t retry_after_ms; /* 0: let the caller choose */
    const char *file;
    int line;
    char msg[512]; /* one line, for people; names the thing, the place and the remedy */
};

/* Fill *err and return -1, so that `return err_set(...)` reads well. err may be NULL. Control
 * characters in the message become spaces: input must not break the one line. */
#define err_set(err, domain, class, ...)                                                           \
    err_set_((err), (domain), (class), 0, __FILE__, __LINE__, __VA_ARGS__)
#define err_set_code(err, domain, class, code, ...)                                                \
    err_set_((err), (domain), (class), (code), __FILE__, __LINE__, __VA_ARGS__)
int err_set_(struct err *err, enum err_domain domain, enum err_class class, int code,
             const char *file, int line, const char *fmt, ...) PRINTF(7, 8);
/* errno or a positive system code, whose text is appended (": No such file or directory"); the
 * class follows from it (ENOENT is permanent, EAGAIN is not). */
#define err_sys(err, errnum, ...) err_sys_((err), (errnum), __FILE__, __LINE__, __VA_ARGS__)
int err_sys_(struct err *err, int errnum, const char *file, int line, const char *fmt, ...)
    PRINTF(5, 6);
/* Prefix context ("reading tmb.gpx: ") on the way up. Returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF(2, 3);
const char *err_class_name(enum err_class c);
/* 75 for RETRY, 78 for domain CONF, 2 for domain USAGE, else 1. */
int err_exit_status(const struct err *err);

/* ---- arena ----------------------------------------------------------------------------------- */

/* Bump allocator. One owner, one thread; everything in it dies with it. */
struct arena;
struct arena *arena_new(size_t limit_bytes); /* 0: no limit */
struct arena *arena_free(struct arena *a);   /* NULL is fine; returns NULL */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a);
/* Zeroed, 16-byte aligned; aborts past the limit, where the try_ form gives NULL. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_try_alloc(struct arena *a, size_t n) MUST_CHECK;
char *arena_strdup(struct arena *a, const char *s);
/* A copy to print: see text_tame. NULL gives "". */
char *arena_tame(struct arena *a, const char *text);
char *arena_span_dup(struct arena *a, struct span s); /* adds the NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
/* Aborts if the product overflows. */
void *arena_alloc_array(struct arena *a, size_t item, size_t n);
#define arena_new_array(a, type, n) ((type *)arena_alloc_array((a), sizeof(type), (n)))

/* ---- growable arrays and buffers ------------------------------------------------------------- */

/* struct points { VEC(struct point); } v = {0}; *vec_push(&v) = p; vec_done(&v). Aborts without
 * memory, so the caller caps what comes from outside. */
#define VEC(type)                                                                                  \
    type *v;                                                                                       \
    size_t n;                                                                                      \
    size_t cap
#define vec_reserve(vec, want)                                                                     \
    ((vec)->v = vec_grow_((vec)->v, &(vec)->cap, (want), sizeof(*(vec)->v)))
#define vec_push(vec) (vec_reserve((vec), (vec)->n + 1), &(vec)->v[(vec)->n++])
#define vec_done(vec) (mem_free((vec)->v), (vec)->v = NULL, (vec)->n = 0, (vec)->cap = 0)
void *vec_grow_(void *p, size_t *cap, size_t want, size_t item);

/* Growable bytes. Zero-initialise; b.p is NUL-terminated after any call that adds. */
struct buf {
    char *p;
    size_t n;
    size_t cap;
};
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_done(struct buf *b);  /* NULL-safe; frees and zeroes */
struct span buf_span(const struct buf *b);

/* ---- files ----------------------------------------------------------------------------------- */

/* Appends the whole file. Blocks: for worker threads. More than max_bytes is PERMANENT, and so is a
 * gzip file (what its bytes mean is inside it). The message does not name the path. */
int file_read(const char *path, size_t max_bytes, struct buf *out, struct err *err) MUST_CHECK;

/* ---- clocks ---------------------------------------------------------------------------------- */

int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);
int64_t clock_wall_us(void); /* Unix time in microseconds */

/* Go-style "1h30m", "90s", "250ms", "1.5h", also "30d"; a bare number is seconds. Result in
 * milliseconds, rounded up, 0..10 years. */
int duration_parse(struct span s, int64_t *ret_ms, struct err *err) MUST_CHECK;
/* "1h30m" style, for messages. Returns out. */
char *duration_format(int64_t ms, char out[32]);
/* ISO 8601 / RFC 3339 with a zone or 'Z' (none is read as UTC), optional fraction, to Unix
 * microseconds; years 1..9999. */
int time_parse_iso(struct span s, int64_t *ret_us, struct err *err) MUST_CHECK;
char *time_format_iso(int64_t us, char out[40]); /* 2026-11-21T22:05:00.123Z; returns out */

/* ---- log ------------------------------------------------------------------------------------- */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_kv {
    const char *key; /* a literal, [a-z_]+ */
    enum { LOG_KV_STR, LOG_KV_I64, LOG_KV_F64, LOG_KV_BOOL } type;
    const char *s;
    int64_t i;
    double f;
};
#define L_S(k, val) ((struct log_kv){.key = (k), .type = LOG_KV_STR, .s = (val)})
#define L_I(k, val) ((struct log_kv){.key = (k), .type = LOG_KV_I64, .i = (int64_t)(val)})
#define L_F(k, val) ((struct log_kv){.key = (k), .type = LOG_KV_F64, .f = (val)})
#define L_B(k, val) ((struct log_kv){.key = (k), .type = LOG_KV_BOOL, .i = (val)})

/* Lines go to out (default stderr), one write each: time, level, msg, then the pairs. */
void log_init(enum log_level level, enum log_format format, FILE *out);
bool log_enabled(enum log_level level);
/* From now on this value is printed as *** wherever it would appear in a line. Values under 6 bytes
 * are ignored (they would blank out ordinary words). Copied. */
void log_add_secret(const char *value);
void log_forget_secrets(void);
void log_write(enum log_level level, const char *msg, const struct log_kv *kv, size_t n);
#define log_debug(msg, ...) LOG_(LOG_LEVEL_DEBUG, msg, ##__VA_ARGS__)
#define log_info(msg, ...)  LOG_(LOG_LEVEL_INFO, msg, ##__VA_ARGS__)
#define log_warn(msg, ...)  LOG_(LOG_LEVEL_WARN, msg, ##__VA_ARGS__)
#define log_error(msg, ...) LOG_(LOG_LEVEL_ERROR, msg, ##__VA_ARGS__)
#define LOG_(level, msg, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_kv log_kv_[] = {{.key = NULL}, ##__VA_ARGS__};                        \
            log_write((level), (msg), log_kv_ + 1, COUNT_OF(log_kv_) - 1);                         \
        }                                                                                          \
    } while (0)
/* The one line at the top of a failed flow: msg, then class, error, sqlstate, where it arose. */
void log_err(enum log_level level, const char *msg, const struct err *err);

/* ---- JSON ------------------------------------------------------------------------------------ */

struct json_t; /* jansson's */
/* Parse untrusted JSON: at most max_bytes, nesting at most max_depth, valid UTF-8, no duplicate
 * keys. The caller owns the result (json_decref). Errors name line and column. */
struct json_t *json_read(struct span text, size_t max_bytes, unsigned max_depth,
                         struct err *err) MUST_CHECK;

/* Streaming writer into a buffer; commas and escapes are its business. */
struct json_out {
    struct buf *buf;
    bool comma;
};
/* key is NULL inside arrays and at the top. */
void jo_begin_object(struct json_out *j, const char *key);
void jo_end_object(struct json_out *j);
void jo_begin_array(struct json_out *j, const char *key);
void jo_end_array(struct json_out *j);
void jo_str(struct json_out *j, const char *key, const char *val); /* NULL gives null */
void jo_span(struct json_out *j, const char *key, struct span val);
void jo_i64(struct json_out *j, const char *key, int64_t val);
/* decimals digits after the point, trailing zeros dropped; NaN and infinities give null. */
void jo_f64(struct json_out *j, const char *key, double val, int decimals);
void jo_bool(struct json_out *j, const char *key, bool val);
void jo_null(struct json_out *j, const char *key);

/* ---- configuration --------------------------------------------------------------------------- */

enum config_type {
    CONFIG_STRING,
    CONFIG_INT,
    CONFIG_BOOL,
    CONFIG_DURATION,
    CONFIG_CHOICE,
    CONFIG_SECRET
};

/* One known setting. The table of all of them belongs to app/; the reader knows only this shape. */
struct config_key {
    const char *name; /* "section.key" */
    enum config_type type;
    const char *fallback; /* as written in a file; NULL: none */
    int64_t min, max;     /* INT as is, DURATION in ms; min == max: no limits */
    const char *choices;  /* CHOICE: "debug|info|warn" */
    const char *legacy;   /* older environment names, separated by '|', or NULL */
    const char *doc;      /* one line, for `config check` and config.example.toml */
};

/* Precedence, lowest first: fallback, file, legacy environment, WAYMARK_<SECTION>_<KEY>, flag;
 * sources may be loaded in any order. An empty variable, and an empty string for a STRING or SECRET
 * in the file, count as not given. Every CONFIG_SECRET may also be given as <name>_FILE (file key
 * "key_file", relative to the folder of the file; environment
 * "..._FILE", also for legacy names), whose first line is read, at most 4096 bytes. Every problem
 * is one line naming source, line, key, what was read and what is allowed; domain CONF. */
struct config;
struct config *config_new(const struct config_key *keys, size_t n);
struct config *config_free(struct config *c);
/* File size at most 256 kB, nesting at most 64; unknown keys are errors, with a suggestion when one
 * is close. */
int config_load_file(struct config *c, const char *path, struct err *err) MUST_CHECK;
/* A WAYMARK_ variable that is almost a known one is an error; others that are not known are
 * nobody's business. */
int config_load_env(struct config *c, char *const *environ_, struct err *err) MUST_CHECK;
int config_set_flag(struct config *c, const char *name, const char *value,
                    struct err *err) MUST_CHECK;
/* Checks every value that is set, overridden or not; the first problem in *err. Getters below may
 * be used only after it passed. Registers secrets with the log, and the password in a secret that
 * is a URL or a connection string. */
int config_check(struct config *c, struct err *err) MUST_CHECK;
const char *config_str(const struct config *c, const char *name); /* NULL when unset; owned by c */
int64_t config_i64(const struct config *c, const char *name);     /* DURATION in ms; unset: 0 */
bool config_is_set(const struct config *c, const char *name);     /* by anything but the fallback */
/* Whence the value came: "default", "config.toml:12", "environment WAYMARK_LOG_LEVEL", "flag". */
const char *config_source(const struct config *c, const char *name);
/* A secret that was read from a file of its own. */
bool config_is_apart(const struct config *c, const char *name);
/* Every key in table order, secrets as ***: for `config check`. */
void config_each(const struct config *c,
                 void (*fn)(void *ctx, const struct config_key *key, const char *value,
                            const char *source),
                 void *ctx);
