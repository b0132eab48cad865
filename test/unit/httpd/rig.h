/* A server and its clients in one thread: the clients' sockets do not block, and whoever waits
 * turns the loop. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "httpd/httpd.h"

struct rig {
    struct loop *l;
    struct httpd *h;
    struct op drain;
    bool drained;
};

/* Listens on 127.0.0.1, any port. conf NULL: defaults. */
struct rig *rig_new(const struct httpd_conf *conf);
/* Without a listener. */
struct rig *rig_bare(const struct httpd_conf *conf);
void rig_route(struct rig *g, enum httpd_method method, const char *pattern,
               httpd_handler_fn *handler, void *ctx);
/* Drains, closes the loop and proves that nothing is left. */
void rig_free(struct rig *g);
void rig_turn(struct rig *g, int64_t ms); /* turns the loop for so long */
void rig_turn_once(struct rig *g);

struct client {
    struct rig *g;
    int fd;
    struct buf got;
    bool eof, reset;
};
struct client *client_open(struct rig *g);
struct client *client_open_at(struct rig *g, const char *bound, const char *from);
void client_close(struct client *c);
void client_send(struct client *c, const char *text);
void client_send_n(struct client *c, const char *p, size_t n);
/* Turns the loop until text has come (or the end, or a second has passed); the whole so far. */
const char *client_until(struct client *c, const char *text);
const char *client_until_eof(struct client *c);
/* Turns until `n` whole answers are there, each with Content-Length. */
const char *client_answers(struct client *c, unsigned n);
void client_read(struct client *c); /* what is there */
/* The status of the n-th answer (0: the first), by "HTTP/1.1 " at line starts. */
int client_status(const struct client *c, unsigned n);
/* One request on a connection of its own, up to the end. The caller frees. */
struct client *ask(struct rig *g, const char *request);
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
