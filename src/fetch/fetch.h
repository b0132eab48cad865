/* fetch: the HTTP client. Requests as ops, many at once on the loop (curl's multi interface), each
 * with a deadline, a limit of its body, and one of three outcomes: an answer, a failure that is
 * worth another try, a failure that is not. Loop thread only.
 *
 * What it does not do, whatever the server says: follow redirects, keep cookies, read ~/.netrc or
 * the environment (http_proxy and its kin: conf.proxy is the way), speak anything but HTTP/1.1 over
 * TLS 1.2 or newer, or over plain TCP. Certificates and host names are always verified. An answer
 * that is shorter than it says is a failure; one that says no length ends with its connection, as
 * ever. SIGPIPE must be ignored, which loop_signals_open does. */
#pragma once

#include "base/base.h"
#include "loop/loop.h"

struct curl_slist;
struct fetch__xfer;
struct fetch_stats;

/* ---- the client ------------------------------------------------------------------------------ */

struct fetch; /* one a process */

struct fetch_conf {
    const char *user_agent;     /* needed */
    unsigned max_total;         /* requests on the wire at once; 0: 16 */
    unsigned max_per_host;      /* of them to one host and port; 0: 4 */
    int64_t connect_timeout_ms; /* name, TCP and TLS together; 0: 10 s */
    int64_t stall_timeout_ms;   /* less than 64 bytes/s for so long; whole seconds; 0: 60 s */
    const char *ca_file;        /* PEM; instead of the system's; NULL: the system's */
    const char *proxy;          /* "http://host:port", never used for loopback; NULL: none */
    bool allow_http;            /* secrets over plain http:// also beyond loopback */
};

/* conf is copied. Fails (CONF, PERMANENT) if ca_file holds no certificate or libcurl cannot do what
 * is needed. Reads ca_file: at start, where blocking is fine. */
struct fetch *fetch_open(struct loop *l, const struct fetch_conf *conf, struct err *err) MUST_CHECK;
/* Cancels what waits or runs; further requests fail. *op (uninitialised; initialised and begun
 * here) finishes when the last handle is closed; f is gone then. */
void fetch_close(struct fetch *f, struct op *op);

/* ---- requests -------------------------------------------------------------------------------- */

enum fetch_method { FETCH_GET, FETCH_POST, FETCH_PUT, FETCH_DELETE };

/* Why there is no complete answer. */
enum fetch_failure {
    FETCH_NONE,
    FETCH_REFUSED, /* never sent: something of the request is not allowed. PERMANENT */
    FETCH_RESOLVE,
    FETCH_CONNECT,
    FETCH_TLS,
    FETCH_TIMEOUT,
    FETCH_BROKEN,    /* the connection ended before the answer did */
    FETCH_PROTOCOL,  /* what came is not HTTP */
    FETCH_TOO_LARGE, /* head or body. PERMANENT, unless the status asks to come again */
    FETCH_CANCELLED,
    FETCH_FAILURES
};
const char *fetch_failure_name(enum fetch_failure failure); /* "timeout"; for metrics */

enum {
    FETCH_TOTAL_MS = 30000,     /* unless fetch_limits says otherwise */
    FETCH_MAX_BODY = 4 << 20,   /* the same */
    FETCH_MAX_HEADERS = 64,     /* of an answer are kept, */
    FETCH_KEPT_HEAD = 8 * 1024, /* and so many bytes of them; the rest is dropped */
    FETCH_MAX_HEAD = 64 * 1024, /* an answer with a longer head is too large */
    FETCH_MAX_URL = 8 * 1024,
};

/* Embedded in the caller's struct. One use: fetch_init, what is to be sent, fetch_send, wait for
 * op, read, fetch_done; then it may be used again. op.failed: there is no complete answer; any
 * status is a success. Cancelling op ends the request at once.
 *
 * POST goes over a new connection each time, and never twice: over an old one curl would repeat it
 * when that turns out dead, not knowing whether it was read. */
struct fetch_req {
    struct op op;
    int status;                 /* 0: none came; may be there although op failed */
    struct buf body;            /* decoded; owned, fetch_done frees it */
    int64_t date_us;            /* the Date field, Unix time; INT64_MIN: none */
    int64_t retry_after_ms;     /* the Retry-After field, a day at most; 0: none, or now */
    int64_t elapsed_ms;         /* from the start of the transfer to its end; 0: not started */
    enum fetch_failure failure; /* when op.failed */

    /* Fetch's own from here on. */
    struct fetch *fetch; /* NULL once the op has finished */
    struct arena *arena;
    enum fetch_method method;
    bool has_body, secret, hide_path, over_http, is_form;
    bool loopback;
    bool head_over;
    uint8_t coding; /* of the body */
    struct buf url, sent;
    const char *host, *path; /* for messages; NULL until sent */
    struct curl_slist *lines, *last_line;
    unsigned nlines;
    struct buf head; /* name, value, name, value, ... each with its NUL */
    unsigned nhead;
    struct err refused; /* the first thing that is not allowed; class 0: nothing */
    int64_t total_ms;
    size_t max_body;
    int64_t deadline_ms, started_ms;
    struct fetch_req *prev, *next; /* in a list of the client */
    struct fetch__xfer *xfer;      /* while on the wire */
    struct fetch_stats *stats;     /* of its host; NULL until sent */
};

/* url: http or https, with a host, no user, no fragment; bytes that need it are percent-encoded.
 * Copied. a: outlives fetch_done. What is not allowed, here and below, is remembered and fails the
 * op (FETCH_REFUSED), so that these calls need no check. */
void fetch_init(struct fetch_req *r, struct fetch *f, struct arena *a, enum fetch_method method,
                const char *url);
/* Strings are copied. name: a token (RFC 9110), none that fetch itself sets (Host, Content-Type and
 * the like). value: no control characters. */
void fetch_header(struct fetch_req *r, const char *name, const char *value);
/* Secrets appear in no message and no line of the log; our copies are overwritten by fetch_done. A
 * request with a secret is refused on http:// URLs that are not loopback, unless conf.allow_http.
 * Secrets are: bearer, basic, Cookie, any body, and what the two functions after these declare. */
void fetch_bearer(struct fetch_req *r, const char *token);
void fetch_basic(struct fetch_req *r, const char *user, const char *password);
/* Another header field, or the query, holds one. */
void fetch_secret(struct fetch_req *r);
/* The path is one (a chat's webhook): messages name the host only. */
void fetch_secret_path(struct fetch_req *r);
/* This one may go over plain http:// although it holds a secret: whoever runs us has written its
 * address down, and it may be on his own network. */
void fetch_over_http(struct fetch_req *r);
/* Appended to the URL, percent-encoded. */
void fetch_query(struct fetch_req *r, const char *name, const char *value);
/* A field of an application/x-www-form-urlencoded body, percent-encoded. */
void fetch_form(struct fetch_req *r, const char *name, const char *value);
/* Copied. Once, and not together with fetch_form. */
void fetch_body(struct fetch_req *r, const char *content_type, struct span body);
/* total_ms: from fetch_send, waiting for a free connection included. max_body: decoded bytes. */
void fetch_limits(struct fetch_req *r, int64_t total_ms, size_t max_body);
/* Begins op. Requests start in the order in which they were sent, as far as the limits of their
 * hosts let them. */
void fetch_send(struct fetch_req *r);

/* ---- answers --------------------------------------------------------------------------------- */

/* The first of that name (any case), trimmed; NULL: none. Valid until fetch_done. No control
 * characters but tabs; bytes over 0x7f may be there. */
const char *fetch_answer_header(const struct fetch_req *r, const char *name);
/* Frees. NULL is fine, and so is a second call, and one on a zeroed request; the op must not be
 * pending. */
void fetch_done(struct fetch_req *r);
/* 0 for 2xx. Else -1 and *err: domain HTTP, code the status, RETRY for 408, 425, 429, 5xx and
 * whatever failed on the way, PERMANENT for the rest (a redirect too), retry_after_ms as the server
 * said. The message is what, then method, host and path, then the reason; never query, body or
 * secrets. The op must have finished. */
int fetch_class(const struct fetch_req *r, const char *what, struct err *err) MUST_CHECK;

/* ---- statistics ------------------------------------------------------------------------------ */

enum { FETCH_HOSTS = 16, FETCH_BUCKETS = 12 };
extern const int64_t fetch_bucket_ms[FETCH_BUCKETS]; /* upper bounds, rising */

struct fetch_stats {
    const char *host; /* with the port unless it is the scheme's; "other": all beyond FETCH_HOSTS */
    uint64_t answers[6]; /* by class of status: [2] is 2xx */
    uint64_t failures[FETCH_FAILURES];
    uint64_t bytes_in; /* heads and bodies, as they came */
    unsigned waiting, in_flight;
    uint64_t latency[FETCH_BUCKETS + 1]; /* of answers, each in the first bucket that holds it; the
                                            last one: longer than all */
    int64_t latency_sum_ms;
};
/* Every host that was ever asked, in order of appearance, then "other" if there is that. */
void fetch_hosts(const struct fetch *f, void (*fn)(void *ctx, const struct fetch_stats *s),
                 void *ctx);
