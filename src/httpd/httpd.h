/* httpd: an HTTP/1.1 server on the loop (RFC 9110, RFC 9112). Listeners, limits, a router with
 * typed parameters, answers now or later, streams, embedded files. It knows nothing of what the
 * service is about.
 *
 * Threads: everything here is for the loop thread. SIGPIPE has to be ignored (loop_signals_open).
 *
 * The life of a request: the server reads it whole (head and body, within the limits of its route),
 * then calls the handler once. The handler owns the request until it answers: exactly one of the
 * answering functions, now or any time later, consumes it; the request and every pointer got from
 * it are invalid afterwards. That holds when the client has gone or the deadline of the route has
 * passed, too: the answer is then dropped. One request is handled at a time per connection, so
 * answers are in order. Whoever drops a request without answering leaks it.
 *
 * What is refused before any handler sees it, always closing the connection where the end of the
 * request is in doubt (RFC 9112, 2.2, 3, 5, 6, 7, 11.2):
 *   400  bare CR or LF, control characters, white space around a field name or at the start of a
 *        line (obs-fold), more than one empty line before a request; Content-Length that repeats,
 *        is no plain number or comes with Transfer-Encoding; Transfer-Encoding other than exactly
 *        "chunked", or in HTTP/1.0; bad chunks, extensions over 256 bytes a chunk; a missing
 *        (HTTP/1.1), repeated or malformed Host; a target that is no path, or whose path or query
 *        is badly percent-encoded, not UTF-8, or holds a dot segment, backslash, encoded slash, or
 *        control character
 *   404, 405 (with Allow), 408, 413, 414, 417 (any Expect but 100-continue), 431
 *   501  a method that is none of the seven below (CONNECT and TRACE too)
 *   505  a version other than 1.0 and 1.1
 * The absolute form of a target (http or https) is accepted and its authority replaces Host (RFC
 * 9112, 3.2.2). "OPTIONS *" and OPTIONS of a path without a handler for it are answered 204 with
 * Allow. HEAD is answered by the handler of GET, without the body. Upgrade is ignored. */
#pragma once

#include "loop/loop.h"

struct httpd;
struct httpd_req;
struct httpd_stream;

enum httpd_method {
    HTTPD_GET,
    HTTPD_HEAD,
    HTTPD_POST,
    HTTPD_PUT,
    HTTPD_PATCH,
    HTTPD_DELETE,
    HTTPD_OPTIONS,
    HTTPD_METHODS /* how many */
};
const char *httpd_method_name(enum httpd_method m);

/* ---- the server ------------------------------------------------------------------------------ */

/* One answered request, for an access log. There is no query here: it may hold secrets. Valid
 * during the call only. */
struct httpd_access {
    enum httpd_method method;
    struct span path;  /* decoded, valid UTF-8 without control characters; empty if unreadable */
    const char *route; /* the pattern; NULL: none matched */
    int status;        /* 499: the client had gone before the answer */
    uint64_t bytes_in, bytes_out; /* of bodies */
    int64_t duration_us;          /* from the end of the head to the answer */
    const char *client;           /* see httpd_client_address */
};

/* 0 or NULL anywhere: the default. Strings are copied. */
struct httpd_conf {
    const char *name;           /* for log lines; "http" */
    size_t max_request_line;    /* bytes; 8192; more: 414 */
    size_t max_head;            /* bytes of all fields of a head; 16384; more: 431 */
    unsigned max_fields;        /* 100; more: 431 */
    size_t max_body;            /* bytes, where the route does not say; 1 MB; more: 413 */
    unsigned max_connections;   /* 1024; more are answered 503, many more are closed */
    unsigned max_per_address;   /* 64; an IPv4 address or an IPv6 /64; unix: no limit of its own */
    unsigned max_per_proxy;     /* the same for a trusted peer; max_connections */
    unsigned max_requests;      /* of one connection; 10000 */
    int64_t head_timeout_ms;    /* for a whole head; 10 s; later: 408 */
    int64_t body_timeout_ms;    /* for a body, plus its bytes at min_rate; 10 s; later: 408 */
    int64_t idle_timeout_ms;    /* between requests; 60 s */
    int64_t write_timeout_ms;   /* for an answer, plus its bytes at min_rate; 20 s; later: cut */
    int64_t handler_timeout_ms; /* where the route does not say; 30 s; later: 503 */
    size_t min_rate;            /* bytes a second; 1024 */
    size_t max_stream_buffer;   /* bytes a stream may hold unsent; 256 kB; more: cut */
    size_t gzip_max;            /* larger bodies are sent as they are: compressing takes the loop
                                   about 4 ms a MB; 128 kB */
    const char *html_policy;    /* Content-Security-Policy of text/html; default-src 'self' ... */
    const char *trusted;        /* "10.0.0.0/8, ::1, unix": peers whose forwarding fields count;
                                   none. */
    bool use_forwarded;         /* they send Forwarded (RFC 7239), not X-Forwarded-For/-Proto */
    void (*on_request)(void *ctx, const struct httpd_access *a); /* answers nothing itself */
    void *ctx;                                                   /* of on_request */
};

/* NULL with *err (domain CONF) if `trusted` is not a list of addresses. */
struct httpd *httpd_new(struct loop *l, const struct httpd_conf *conf, struct err *err) MUST_CHECK;

/* Opens a listener: "host:port" with an IPv4 address, an IPv6 address in brackets, localhost or *
 * (every address, IPv6 too where the system has it); port 0: any free one. Or "unix:/path", created
 * with mode unix_mode (0: 0660); a socket left over by a process that died is replaced, one on
 * which somebody answers is not. May be called several times. -1 with one line that names the
 * address and the remedy, domain CONF. */
int httpd_listen(struct httpd *h, const char *address, unsigned unix_mode,
                 struct err *err) MUST_CHECK;
/* The same text as an address (AF_INET6 without one for *), nothing opened. */
int httpd_address_read(const char *address, struct sockaddr_storage *ret,
                       struct err *err) MUST_CHECK;
/* Takes a listening stream socket over (socket activation); closes it in any case. */
int httpd_listen_fd(struct httpd *h, int fd, struct err *err) MUST_CHECK;
/* Where the i-th listener is bound: "127.0.0.1:8080", "[::1]:8080", "unix:/path". NULL: no such
 * listener. Valid until the drain. */
const char *httpd_bound(const struct httpd *h, unsigned i);

/* Stops listening, closes idle connections, lets running requests end (their answers say
 * "Connection: close"), and cuts what is left after grace_ms; streams end at once through on_close.
 * op is the caller's; it is initialised here and finishes when every handle is closed. Cancelling
 * it cuts at once. Once per server, also to dispose of one that never listened. */
void httpd_drain(struct httpd *h, int64_t grace_ms, struct op *op);
/* After the drain. Requests that handlers still hold stay valid until answered. NULL is fine. */
struct httpd *httpd_free(struct httpd *h);

enum { HTTPD_BUCKETS = 14 };
extern const int64_t httpd_bucket_us[HTTPD_BUCKETS]; /* upper bounds; the last is INT64_MAX */

struct httpd_stats {
    uint64_t requests[6];            /* by class of status: [2] is 2xx; [0]: the client had gone */
    uint64_t latency[HTTPD_BUCKETS]; /* from the end of the head to the answer */
    int64_t latency_sum_us;
    uint64_t accepted;                       /* connections, refused ones too */
    uint64_t refused_total, refused_address; /* over max_connections; max_per_address */
    uint64_t refused_files;                  /* for want of file descriptors */
    uint64_t timed_out_head, timed_out_body, timed_out_idle, timed_out_write, timed_out_handler;
    uint64_t malformed; /* requests refused while they were read: 4xx and 5xx */
    uint64_t bytes_in, bytes_out;
    unsigned open, idle, streams, held; /* now; held: requests in the hands of handlers */
};
const struct httpd_stats *httpd_stats(const struct httpd *h);

/* ---- routes ---------------------------------------------------------------------------------- */

typedef void httpd_handler_fn(struct httpd_req *r, void *ctx);

/* pattern: "/", "/api/v1/routes/{id:text}", "/tiles/{z:u}/{x:u}/{y:u}.png", "/files/{name:path}".
 * A segment is a literal or one parameter, perhaps with a literal before and after it. Types: text
 * (one segment, not empty), u (decimal, 0..2^63-1), i64 (decimal), path (the rest, not empty, last
 * in the pattern). Numbers have no leading zeros and no plus sign. Where several patterns match,
 * the one whose first differing segment is literal wins; what could not be told apart ends the
 * process when it is registered (CHECK), as does a malformed pattern. */
struct httpd_route {
    enum httpd_method method;
    const char *pattern; /* kept, not copied */
    httpd_handler_fn *handler;
    void *ctx;
    size_t max_body;    /* bytes; 0: max_body of the server, and for GET, HEAD and OPTIONS none */
    int64_t timeout_ms; /* until the handler answers; 0: handler_timeout_ms; < 0: none */
};
void httpd_route(struct httpd *h, const struct httpd_route *route);

/* ---- what was asked -------------------------------------------------------------------------- */

/* Pointers live as long as the request. Strings are NUL-terminated, without NUL inside. */
enum httpd_method httpd_method_of(const struct httpd_req *r);
struct span httpd_path(const struct httpd_req *r); /* decoded */
struct span httpd_host(const struct httpd_req *r); /* host and port as sent; may be empty in 1.0 */
struct arena *httpd_arena(struct httpd_req *r);
/* The first field of that name, trimmed; NULL: none. Bytes over 0x7f may be there. */
const char *httpd_field(struct httpd_req *r, const char *name);
/* Parameters of the pattern; a name or type that is not in it is a CHECK. */
const char *httpd_param(struct httpd_req *r, const char *name);
int64_t httpd_param_i64(struct httpd_req *r, const char *name);
/* Of the query (application/x-www-form-urlencoded, at most 128 pairs, checked before the handler
 * runs: valid UTF-8, no control characters but tab, CR and LF). The first value; NULL: none. */
const char *httpd_query(struct httpd_req *r, const char *name);
/* The only value: 0, and NULL in *ret if there is none; -1 if there are several. */
int httpd_query_only(struct httpd_req *r, const char *name, const char **ret) MUST_CHECK;
/* A cookie (RFC 6265, 4.2.1), quotes around it taken off; NULL: none. The first of that name. */
const char *httpd_cookie(struct httpd_req *r, const char *name);
struct span httpd_body(const struct httpd_req *r);
/* Reads the body as a form. -1: it answered already (415, 400), the request is gone. */
int httpd_form_read(struct httpd_req *r) MUST_CHECK;
/* After httpd_form_read; as with the query. */
const char *httpd_form(struct httpd_req *r, const char *name);
int httpd_form_only(struct httpd_req *r, const char *name, const char **ret) MUST_CHECK;
/* Reads the body as application/json (or +json), nested at most max_depth. The caller owns the
 * result (json_decref). NULL: it answered already (415, 400), the request is gone. */
struct json_t *httpd_json_read(struct httpd_req *r, unsigned max_depth) MUST_CHECK;
/* The client's address without port ("192.0.2.1", "2001:db8::1", "unix"). From the forwarding
 * fields if, and as far as, those who wrote them are trusted: the rightmost address that is not. */
const char *httpd_client_address(struct httpd_req *r);
/* Whether the client spoke https to the trusted proxy in front. */
bool httpd_is_https(struct httpd_req *r);

/* ---- answering now or later ------------------------------------------------------------------ */

/* Optional, for handlers that answer later: called once, from the loop, when nobody waits for the
 * answer any more: the client went, the deadline passed (503 was sent), or the server was cut. An
 * end of file from the client counts as gone. The handler still owns the request and still has to
 * answer it, in fn or later; fn NULL takes the callback back. */
void httpd_on_gone(struct httpd_req *r, void (*fn)(struct httpd_req *r, void *ctx), void *ctx);
bool httpd_is_gone(const struct httpd_req *r);

/* Adds a field to the answer to come; at most 32. name is a literal and a valid token (CHECK).
 * Cache-Control, Content-Security-Policy and ETag replace the server's own. A value with control
 * characters is not sent: the request is answered 500 instead, and logged. */
void httpd_set(struct httpd_req *r, const char *name, const char *value);
/* Set-Cookie: HttpOnly, SameSite=Lax, Path=/, Secure as asked; max_age_s < 0: session. */
void httpd_set_cookie(struct httpd_req *r, const char *name, const char *value, int64_t max_age_s,
                      bool secure);

/* Each consumes r. body is moved: the caller's buf is empty afterwards. Bodies over 1 kB of textual
 * types are compressed when the client accepts it. Every answer says nosniff, Referrer-Policy, and
 * Cache-Control: no-store unless set otherwise. */
void httpd_send(struct httpd_req *r, int status, const char *content_type, struct buf *body);
void httpd_json(struct httpd_req *r, int status, struct buf *body);
void httpd_html(struct httpd_req *r, int status, struct buf *body);
void httpd_text(struct httpd_req *r, int status, const char *text);
void httpd_empty(struct httpd_req *r, int status); /* no body: 204, 202 ... */
/* 303 See Other; location is a path or URL, else (control characters, empty) the answer is 500. */
void httpd_redirect(struct httpd_req *r, const char *location);
/* application/problem+json (RFC 9457). type NULL: about:blank; title NULL: the standard phrase;
 * detail NULL: none. Texts are copied; what is not UTF-8 in them is replaced. */
void httpd_problem(struct httpd_req *r, int status, const char *type, const char *title,
                   const char *detail);
const char *httpd_phrase(int status);

/* ---- streams --------------------------------------------------------------------------------- */

/* An answer of unknown length, for server-sent events: chunked in HTTP/1.1 (RFC 9112, 7.1), up to
 * the end of the connection in 1.0. Both callbacks may be NULL, come from the loop and never from
 * inside a call of yours. A client that vanished without closing is noticed only by writing: send a
 * comment (":\n\n") every half minute or so. */
struct httpd_stream_conf {
    /* What was held is sent: more may be written. Only after a write that returned 1. */
    void (*on_drain)(struct httpd_stream *s, void *ctx);
    /* The client went, was too slow, or the server drains. s is invalid when it returns. Not
     * called after httpd_stream_end. */
    void (*on_close)(struct httpd_stream *s, void *ctx);
    void *ctx;
};
/* Consumes r and sends the head. NULL: there is nobody to stream to (gone, or HEAD, which is
 * answered), nothing more to do. */
struct httpd_stream *httpd_stream_open(struct httpd_req *r, int status, const char *content_type,
                                       const struct httpd_stream_conf *conf) MUST_CHECK;
/* Copies p. 0: go on. 1: taken, but better wait for on_drain (64 kB are unsent). -1: not taken, the
 * stream is being closed (too slow: max_stream_buffer; or gone); on_close follows. */
int httpd_stream_write(struct httpd_stream *s, struct span p) MUST_CHECK;
/* Ends it in order; the connection goes on where the protocol allows. s is invalid afterwards. */
void httpd_stream_end(struct httpd_stream *s);
/* Closes the connection before the answer is whole, which the client sees (in HTTP/1.1). s is
 * invalid afterwards; no on_close. */
void httpd_stream_cut(struct httpd_stream *s);

/* ---- embedded files -------------------------------------------------------------------------- */

/* Made by waymark_embed_files (cmake/embed_files.cmake). */
struct httpd_file {
    const char *path; /* relative to the folder, '/' between parts */
    const char *type;
    const unsigned char *p;
    size_t n;
    const unsigned char *gz; /* NULL: gzip made it no smaller */
    size_t gz_n;
    const char *etag; /* strong, with quotes */
};
/* Sorted by path; ends with path NULL. */
struct httpd_files {
    const struct httpd_file *file;
    const char *cache_control; /* NULL: "no-cache", asked anew each time, answered 304 */
};
/* Serves them under prefix ("/static/"). files is kept. */
void httpd_serve_files(struct httpd *h, const char *prefix, const struct httpd_files *files);
/* Answers with one of them; 404 if there is none of that name. Consumes r. If-None-Match gives 304
 * (RFC 9110, 13.1.2). */
void httpd_send_file(struct httpd_req *r, const struct httpd_files *files, const char *path);
