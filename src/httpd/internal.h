/* Shared by the files of httpd/ only. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "httpd/httpd.h"

/* ---- reading: bytes in, events out. No loop, no sockets. ---------------------------------------
 */

struct httpd__limits {
    size_t request_line, head;
    unsigned fields;
};

enum httpd__event {
    HTTPD__MORE, /* everything is taken, nothing is complete */
    HTTPD__HEAD, /* out: a whole head, up to and with its empty line */
    HTTPD__BODY, /* out: a piece of the body */
    HTTPD__END,  /* the message is complete */
    HTTPD__BAD,  /* status and why say what is wrong; for good */
};

/* Looks at every byte that frames a message, and is stricter than llhttp where that is lenient.
 * What it says does not depend on how the bytes were cut. */
struct httpd__parser {
    uint8_t state;
    bool trailer;              /* the fields are those after the last chunk */
    bool blank;                /* the one empty line before a request was there */
    uint8_t digits;            /* of a chunk size */
    uint16_t status;           /* of BAD */
    uint16_t fields;           /* so far */
    uint32_t line_n;           /* bytes of the request line so far */
    uint32_t fields_n;         /* bytes of the fields so far */
    uint32_t ext_n, ext_total; /* of chunk extensions */
    uint64_t left;             /* of the body or chunk */
    uint64_t body_n, body_limit;
    const char *why;
    struct buf held; /* of a head that came in pieces */
};
void httpd__parser_init(struct httpd__parser *p);
void httpd__parser_done(struct httpd__parser *p);
/* Nothing of a request was read yet. */
bool httpd__parser_fresh(const struct httpd__parser *p);
/* Takes bytes off *in. After HEAD the next call must be httpd__parser_body. After END it starts
 * with the next message. *out points into *in or into the parser, until the next call. */
enum httpd__event httpd__parse(struct httpd__parser *p, const struct httpd__limits *limits,
                               struct span *in, struct span *out);
/* What follows the head. limit: of the body in bytes; a length is checked by the caller. */
void httpd__parser_body(struct httpd__parser *p, bool chunked, uint64_t length, uint64_t limit);
/* Whether c may stand in a token (RFC 9110, 5.6.2). */
bool httpd__is_tchar(unsigned char c);
/* -1: no method of ours. */
int httpd__method(struct span name);

/* ---- a head ------------------------------------------------------------------------------------
 */

struct httpd__field {
    struct span name, value;
};

struct httpd__head {
    enum httpd_method method;
    int minor; /* of HTTP/1.x */
    bool keep_alive, chunked, expect_continue;
    uint64_t length;    /* of the body, unless chunked */
    struct span target; /* as sent */
    struct span host;
    struct span raw_path, raw_query; /* percent-encoded; of the target */
    struct httpd__field *field;
    unsigned fields;
};
/* Reads a head that the parser has let through: llhttp takes it apart, and both have to agree about
 * where the message ends. text lives in a, and has `fields` fields. 0, or the status to refuse it
 * with and *why. */
int httpd__head_read(struct httpd__head *h, struct arena *a, struct span text, unsigned fields,
                     const char **why);
/* The first of that name (any case); NULL: none. */
const struct httpd__field *httpd__head_find(const struct httpd__head *h, struct span name);
bool httpd__same(struct span a, struct span b); /* ASCII letters of any case are equal */
/* The next member of a comma-separated list, trimmed, empty ones left out; false at the end. */
bool httpd__list_next(struct span *rest, struct span *member);

/* ---- targets and forms -------------------------------------------------------------------------
 */

struct httpd__pair {
    const char *name, *value;
};
struct httpd__pairs {
    struct httpd__pair *pair;
    unsigned n;
};
bool httpd__host_is_fine(struct span host);
/* Splits the target into path and query. 0 or 400 with *why. */
int httpd__target_split(struct httpd__head *h, const char **why);
/* Decodes once, strictly; the copy is in a, NUL-terminated. 0 or 400 with *why. */
int httpd__path_decode(struct arena *a, struct span raw, struct span *ret, const char **why);
int httpd__form_decode(struct arena *a, struct span raw, struct httpd__pairs *ret,
                       const char **why);

/* ---- addresses ---------------------------------------------------------------------------------
 */

struct httpd__address {
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t ip[16]; /* IPv4 in the first four; a mapped one is IPv4 */
};
struct httpd__cidr {
    struct httpd__address address;
    uint8_t bits;
};
struct httpd__trusted {
    VEC(struct httpd__cidr);
};
int httpd__trusted_parse(struct httpd__trusted *t, const char *text, struct err *err) MUST_CHECK;
bool httpd__is_trusted(const struct httpd__trusted *t, const struct httpd__address *a);
void httpd__address_of(struct httpd__address *ret, const struct sockaddr *sa);
int httpd__address_parse(struct httpd__address *ret, struct span text) MUST_CHECK;
char *httpd__address_format(const struct httpd__address *a, char out[64]);

/* How many connections each address has. */
struct httpd__peer {
    struct httpd__peer *next;
    struct httpd__address key; /* an IPv6 one is cut to its /64 */
    unsigned n;
};
struct httpd__peers {
    struct httpd__peer **slot;
    size_t slots, n;
    uint64_t seed;
};
/* One more, unless there are max already: -1. */
int httpd__peers_add(struct httpd__peers *p, const struct httpd__address *a,
                     unsigned max) MUST_CHECK;
void httpd__peers_remove(struct httpd__peers *p, const struct httpd__address *a);
void httpd__peers_done(struct httpd__peers *p);

/* ---- routes ------------------------------------------------------------------------------------
 */

enum httpd__param_type { HTTPD__LITERAL, HTTPD__TEXT, HTTPD__U, HTTPD__I64, HTTPD__PATH };
struct httpd__segment {
    enum httpd__param_type type;
    struct span before, after; /* literals around the parameter; a literal is in `before` */
    struct span name;
};
enum { HTTPD__MAX_SEGMENTS = 16, HTTPD__MAX_PARAMS = 8 };
struct httpd__pattern {
    const char *text;
    struct httpd__segment segment[HTTPD__MAX_SEGMENTS];
    unsigned n;
    bool has[HTTPD_METHODS];
    struct httpd_route route[HTTPD_METHODS];
};
struct httpd__router {
    VEC(struct httpd__pattern *); /* the more literal ones first */
};
struct httpd__value {
    const struct httpd__segment *segment;
    struct span text;
    int64_t number;
};
struct httpd__match {
    const struct httpd__pattern *pattern;
    const struct httpd_route *route; /* NULL: the method is not there */
    unsigned allowed;                /* bits by method, when route is NULL */
    struct httpd__value value[HTTPD__MAX_PARAMS];
    unsigned values;
};
void httpd__router_add(struct httpd__router *r, const struct httpd_route *route);
/* False: no pattern has that path. */
bool httpd__router_find(const struct httpd__router *r, enum httpd_method method, struct span path,
                        struct httpd__match *ret);
void httpd__router_done(struct httpd__router *r);

/* ---- connections -------------------------------------------------------------------------------
 */

enum httpd__conn_state {
    HTTPD__IDLE,     /* between requests, nothing of the next one is there */
    HTTPD__HEADING,  /* a head is being read */
    HTTPD__BODYING,  /* its body is being read */
    HTTPD__HANDLING, /* the handler has the request; input is kept, up to a limit */
    HTTPD__WRITING,  /* the answer is on its way; the same */
    HTTPD__STREAMING,
    HTTPD__LINGERING, /* all is sent, our side is shut: input is discarded until theirs is, since
                         closing with unread input would destroy the answer on its way (RFC 9112,
                         9.6) */
    HTTPD__CLOSING,   /* the handle is being closed */
};

struct httpd__list {
    struct httpd__conn *first, *last;
};

struct httpd__conn {
    uint32_t magic;
    uint8_t state;
    bool closed;  /* the close callback has run */
    bool running; /* conn_run is on the stack */
    bool reading;
    bool last;    /* close after this answer */
    bool refused; /* over a limit, not counted as open */
    bool trusted;
    bool counted; /* in peers */
    bool eof;     /* theirs */
    struct httpd__address peer;
    struct httpd *srv;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct ready ready; /* goes on with `pending` */
    struct httpd__list *list;
    struct httpd__conn *prev, *next;
    int64_t deadline_ms; /* 0: none */
    int64_t since_ms;    /* of the body */
    unsigned requests;
    unsigned discarded; /* bytes while lingering */
    struct httpd__parser parser;
    struct httpd_req *req;
    struct httpd_stream *out; /* while STREAMING */
    struct buf pending;       /* input behind the request that is handled */
};

struct httpd__listener {
    struct httpd__listener *next;
    struct httpd *srv;
    uv_poll_t poll;
    int fd;
    bool paused;         /* no descriptors: the sweep starts it again */
    char unix_path[108]; /* removed when it closes, if it is still ours; "": none */
    dev_t unix_dev;
    ino_t unix_ino;
    char bound[160];
};

struct httpd {
    uint32_t magic;
    struct loop *loop;
    struct httpd_conf conf;
    struct arena *arena; /* strings of conf, patterns */
    struct httpd__limits limits;
    struct httpd__trusted trusted;
    struct httpd__router router;
    struct httpd__peers peers;
    struct httpd__listener *listeners;
    struct httpd__list idle, active, expired;
    struct httpd_stats stats;
    unsigned refused; /* connections that linger over the limit */
    uv_timer_t sweep; /* looks at deadlines */
    int64_t sweep_ms;
    bool sweeping, sweep_open;
    unsigned handles; /* open ones: listeners, connections, the timer */
    int reserve_fd;   /* given up to accept and close when there are no others */
    char *in;         /* what all connections read into */
    struct buf out;   /* where heads of answers are made */
    struct httpd_req *free_reqs;
    unsigned free_n, reqs;
    char date[48]; /* "Date: ...\r\n" */
    int64_t date_s;
    void *gzip; /* z_stream, made when first needed */
    bool draining, drained, freed;
    struct op *drain;
    int64_t drain_deadline_ms;
};

enum {
    HTTPD__IN_SIZE = 16 * 1024,     /* one read */
    HTTPD__PENDING_MAX = 16 * 1024, /* reading stops when so much waits behind a request */
};

void httpd__conn_open(struct httpd *h, int fd, bool is_unix, const struct httpd__address *peer);
void httpd__conn_state(struct httpd__conn *c, enum httpd__conn_state state);
/* Closes at once; whoever holds the request or the stream is told. */
void httpd__conn_cut(struct httpd__conn *c);
/* Answers what could not be read, or is not allowed; then the connection closes. */
void httpd__conn_refuse(struct httpd__conn *c, int status, const char *why);
/* The answer is sent: next request, or end. */
void httpd__conn_answered(struct httpd__conn *c);
/* Everything is over its deadline or not; called by the sweep. */
void httpd__conn_expired(struct httpd__conn *c);
void httpd__conn_deadline(struct httpd__conn *c, int64_t ms); /* from now; 0: none */
void httpd__conn_read(struct httpd__conn *c, bool on);
/* What waited behind a request is next, from the ready queue. */
void httpd__conn_continue(struct httpd__conn *c);
void httpd__move(struct httpd__conn *c, struct httpd__list *to); /* NULL: off its list */

/* Sends head and body, then calls httpd__conn_answered. own (may be NULL) holds body and is moved;
 * else body is never freed. */
void httpd__out_answer(struct httpd__conn *c, struct span head, struct span body, struct buf *own);
/* Best effort, for the few bytes of "100 Continue". */
int httpd__out_now(struct httpd__conn *c, struct span bytes);
/* Sends a piece of a stream; -1: the connection is broken. */
int httpd__out_stream(struct httpd__conn *c, struct span head, struct span p, struct span tail);
/* After the last piece of a stream: httpd__conn_answered when all is sent. */
void httpd__out_stream_end(struct httpd__conn *c);

/* ---- the server, for its parts -----------------------------------------------------------------
 */

void httpd__check(const struct httpd *h);
void httpd__handle_closed(struct httpd *h);
void httpd__sweep_start(struct httpd *h);
void httpd__maybe_drained(struct httpd *h);
const char *httpd__date(struct httpd *h);
void httpd__listeners_close(struct httpd *h);
void httpd__listeners_resume(struct httpd *h);

/* ---- requests ----------------------------------------------------------------------------------
 */

struct httpd__set {
    const char *name;
    const char *value;
};
enum { HTTPD__MAX_SET = 32 };

struct httpd_req {
    uint32_t magic;
    struct httpd *srv;
    struct httpd__conn *conn; /* NULL: nobody waits */
    struct arena *arena;
    struct httpd_req *next; /* free list */
    struct httpd__head head;
    bool has_head; /* false: what came could not be read */
    bool bad_set;
    bool form_read;
    bool gone;
    bool counted; /* the client got another answer */
    bool handled; /* counted in stats.held */
    uint8_t sets;
    struct span path;
    struct httpd__pairs query, form;
    struct httpd__match match;
    struct buf body;
    struct httpd__set *set; /* HTTPD__MAX_SET, when the first is set */
    int64_t start_ns;
    struct httpd__address peer;
    bool trusted;
    const char *client;
    void (*on_gone)(struct httpd_req *r, void *ctx);
    void *gone_ctx;
};
struct httpd_req *httpd__req_new(struct httpd__conn *c);
void httpd__req_free(struct httpd_req *r);
void httpd__req_check(const struct httpd_req *r);
/* Nobody waits any more. */
void httpd__req_gone(struct httpd_req *r);
/* Adds to the body; -1 without memory. */
int httpd__req_body(struct httpd_req *r, struct span p) MUST_CHECK;

/* ---- answers -----------------------------------------------------------------------------------
 */

struct httpd__answer {
    int status;
    const char *type; /* NULL: none */
    struct span body;
    struct buf *own; /* holds body, moved; NULL: body lives forever, or is copied if `copy` */
    bool copy;
    bool encoded; /* body is gzip already */
    bool vary;
    bool no_gzip;
    const char *cache_control; /* NULL: no-store */
    const char *etag;
};
void httpd__answer(struct httpd_req *r, const struct httpd__answer *a);
/* Head of an answer into srv->out, with its last empty line. length < 0: chunked, -2: until the
 * end of the connection, -3: has none. */
enum { HTTPD__CHUNKED = -1, HTTPD__UNTIL_END = -2, HTTPD__NO_LENGTH = -3 };
void httpd__answer_head(struct httpd_req *r, const struct httpd__answer *a, int64_t length);
/* Counts it and tells on_request. status 0: the client had gone. */
void httpd__answer_count(struct httpd_req *r, int status, uint64_t bytes);
bool httpd__accepts_gzip(const struct httpd__head *h);
bool httpd__is_text(const char *type);
/* Compresses; -1: not worth it. */
int httpd__gzip(struct httpd *h, struct span in, struct buf *out) MUST_CHECK;
void httpd__gzip_free(struct httpd *h);

/* ---- streams -----------------------------------------------------------------------------------
 */

struct httpd_stream {
    uint32_t magic;
    struct httpd__conn *conn; /* NULL: on_close is due */
    struct httpd *srv;
    struct httpd_stream_conf conf;
    struct ready ready; /* on_drain, on_close */
    bool chunked, want_drain;
    bool ended; /* by its owner; freed when it leaves the ready queue */
};
void httpd__stream_gone(struct httpd_stream *s);
/* Something was sent; unsent bytes are left. */
void httpd__stream_sent(struct httpd_stream *s, size_t unsent);
