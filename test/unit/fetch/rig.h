/* A client on a loop, and servers in threads of their own: what a server does with a connection is
 * a function that sends and sleeps as it likes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch/fetch.h"

/* ---- servers ----------------------------------------------------------------------------------
 */

struct server;
/* One connection, in a thread of its own. */
struct peer {
    struct server *server;
    int fd;
    void *tls;          /* SSL * */
    unsigned nth;       /* connection of its server, from 0 */
    unsigned requests;  /* read so far */
    bool asked;         /* the last one is not answered */
    struct buf request; /* it, head and body */
    struct buf rest;    /* what was read beyond it */
    bool gone;          /* something could not be sent */
    void *ctx;
};
/* Returning closes the connection. No assertions in here: it is not the test's thread. */
typedef void serve_fn(struct peer *p);

struct server *server_open(serve_fn *serve, void *ctx); /* 127.0.0.1, any port */
/* The same with TLS; both PEM files. */
struct server *server_open_tls(serve_fn *serve, void *ctx, const char *cert, const char *key);
/* Closes its connections and waits for their threads. */
void server_close(struct server *s);
unsigned server_connections(struct server *s); /* accepted so far */
unsigned server_requests(struct server *s);
unsigned server_most(struct server *s); /* requests at once, at most */
unsigned server_port(const struct server *s);

/* Reads one request; false when the client is gone. */
bool peer_read(struct peer *p);
void peer_send(struct peer *p, const char *text);
void peer_send_n(struct peer *p, const void *bytes, size_t n);
/* "HTTP/1.1 status ..." with Content-Length and these further fields ("A: b\r\n"). */
void peer_answer(struct peer *p, int status, const char *fields, struct span body);
void peer_reset(struct peer *p);      /* RST */
void peer_until_gone(struct peer *p); /* until the client closes, or the server does */
void peer_sleep(int64_t ms);

void serve_ok(struct peer *p);    /* every request with 200 and "ok" */
void serve_never(struct peer *p); /* reads, and that is all */

/* getaddrinfo is ours: names under .test lead to 127.0.0.1, names under .invalid nowhere, those
 * that start with "slow" after this time. Nothing asks a real name server. */
enum { RIG_SLOW_MS = 1500 };
unsigned rig_resolving(void); /* calls that have not returned */

/* ---- the client --------------------------------------------------------------------------------
 */

struct rig {
    struct loop *l;
    struct fetch *f;
    struct arena *a;
};
/* conf NULL: defaults, "waymark-test" as agent. Short timeouts are the test's business. */
void rig_open(struct rig *g, const struct fetch_conf *conf);
/* Proves that nothing is left. */
void rig_close(struct rig *g);
/* "http://127.0.0.1:port" and path, in the rig's arena. */
const char *rig_url(struct rig *g, const struct server *s, const char *path);
void rig_wait(struct rig *g, struct fetch_req *r); /* until its op has finished */
void rig_turn(struct rig *g, int64_t ms);          /* turns the loop for so long */
/* fetch_init to rig_wait, of a GET. */
void rig_get(struct rig *g, struct fetch_req *r, const char *url);
/* As rig_get, and expects this failure, with this class and this text in the message. */
void rig_get_fails(struct rig *g, const char *url, enum fetch_failure failure, enum err_class class,
                   const char *text);
void rig_failed(const struct fetch_req *r, enum fetch_failure failure, enum err_class class,
                const char *text);
#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        if (!strstr((text), (part)))                                                               \
            fail_msg("no \"%s\" in:\n%s", (part), (text));                                         \
    } while (0)
#define assert_lacks(text, part)                                                                   \
    do {                                                                                           \
        if (strstr((text), (part)))                                                                \
            fail_msg("\"%s\" in:\n%s", (part), (text));                                            \
    } while (0)

/* Compressed, as a server would. The caller frees. */
struct buf gzip_of(const void *p, size_t n);
/* n zero bytes, compressed, without ever holding them. */
struct buf gzip_of_zeros(size_t n);
