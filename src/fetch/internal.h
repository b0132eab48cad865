/* Shared by the files of fetch/ only. */
#pragma once

#include <curl/curl.h>
#include <zlib.h>

#include "fetch/fetch.h"

/* ---- a request, as told (fetch_req.c) -------------------------------------------------------- */

const char *fetch__method_name(enum fetch_method method);
/* Is everything allowed? Fills host, path and loopback. */
int fetch__prepare(struct fetch_req *r, bool allow_http, struct err *err) MUST_CHECK;
/* "GET www.example.org/path", cut to fit. Returns out. */
char *fetch__where(const struct fetch_req *r, char out[256]);
/* Adds bytes; what is outgrown is overwritten before it is freed. -1 without memory. */
int fetch__put(struct buf *b, const void *p, size_t n) MUST_CHECK;
bool fetch__is_tchar(unsigned char c);
bool fetch__same_name(struct span a, const char *b); /* ASCII letters of any case are equal */

/* ---- an answer, as it comes (fetch_answer.c) ------------------------------------------------- */

/* One line of a head with its line end: status line, field or the empty line. now_us: against which
 * a Retry-After date counts when the server does not tell its time. */
void fetch__head_line(struct fetch_req *r, struct span line, int64_t now_us);
/* -1: over max_body, or no memory for it. */
int fetch__body_add(struct fetch_req *r, struct span piece) MUST_CHECK;
/* The only date form that may be sent (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". */
int fetch__date_parse(struct span s, int64_t *ret_us) MUST_CHECK;
/* Seconds or a date; at most a day, at least 0. */
int fetch__retry_after_parse(struct span s, int64_t now_us, int64_t *ret_ms) MUST_CHECK;
/* The whole error of a failed request: where, then the reason. Returns err. */
struct err *fetch__failed(const struct fetch_req *r, struct err *err, enum err_class class,
                          const char *fmt, ...) PRINTF(4, 5);
/* The class that goes with FETCH_TOO_LARGE. */
enum err_class fetch__too_large_class(const struct fetch_req *r);

/* ---- compressed bodies (fetch_gzip.c) -------------------------------------------------------- */

enum fetch__coding { FETCH__PLAIN, FETCH__GZIP, FETCH__UNKNOWN };
enum fetch__piece { FETCH__TAKEN, FETCH__OVER, FETCH__BAD };
struct fetch__gunzip { /* zeroed: nothing has come yet */
    z_stream z;
    bool begun, ended;
};
/* Decompresses into r->body. */
enum fetch__piece fetch__gunzip(struct fetch_req *r, struct fetch__gunzip *g, struct span in);
bool fetch__gunzip_whole(const struct fetch__gunzip *g);
void fetch__gunzip_done(struct fetch__gunzip *g);

/* ---- statistics (fetch_stats.c) -------------------------------------------------------------- */

struct fetch__host {
    char name[272];
    struct fetch_stats stats;
};
struct fetch__hosts {
    struct fetch__host host[FETCH_HOSTS + 1]; /* the last one is "other" */
    unsigned n;
    bool other;
};
struct fetch_stats *fetch__stats_of(struct fetch__hosts *h, const char *host);
void fetch__count(const struct fetch_req *r, uint64_t bytes_in);

/* ---- the client (fetch.c) -------------------------------------------------------------------- */

struct fetch__list {
    struct fetch_req *first, *last;
    unsigned n;
};

struct fetch {
    uint32_t magic;
    struct loop *loop;
    struct fetch_conf conf; /* strings owned */
    CURLM *multi;
    uv_timer_t timer;    /* curl's */
    uv_timer_t deadline; /* the earliest one of all requests, or before */
    int64_t deadline_ms; /* INT64_MAX: not running */
    struct fetch__list waiting, running;
    unsigned handles; /* open ones: the timers, a poll handle a socket */
    bool closing;
    struct op *close_op;
    struct fetch__hosts hosts;
};

void fetch__check(const struct fetch *f);
void fetch__cancel(struct op *op);
void fetch__handle_closed(struct fetch *f);
/* A transfer has ended by itself. */
void fetch__ended(struct fetch_req *r, CURLcode code);
/* Starts what may start. */
void fetch__pump(struct fetch *f);

/* ---- curl on the loop (fetch_multi.c) -------------------------------------------------------- */

void fetch__multi_open(struct fetch *f);
void fetch__multi_close(struct fetch *f);

/* ---- one transfer (fetch_easy.c) ------------------------------------------------------------- */

struct fetch__xfer {
    CURL *easy;
    struct curl_slist encoding, no_expect, no_type; /* before the lines of the request */
    size_t head_n, body_n;                          /* as they came, so far */
    bool head_too_large, body_too_large, body_bad;
    struct fetch__gunzip gunzip;
    char detail[CURL_ERROR_SIZE];
};
void fetch__easy_start(struct fetch_req *r);
/* Takes it off the wire and frees r->xfer. Bytes received. */
uint64_t fetch__easy_end(struct fetch_req *r);
/* Is the connection not there yet? */
bool fetch__easy_connecting(const struct fetch_req *r);
/* FETCH_NONE, or the failure with its error. */
enum fetch_failure fetch__easy_result(const struct fetch_req *r, CURLcode code, struct err *err);
