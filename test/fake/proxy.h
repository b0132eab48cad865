/* A proxy between programs and PostgreSQL, in a thread of the test, that does to connections what
 * networks do. Programs reach it by TCP on the loopback; it reaches the server by its socket.
 *
 * Commands concern the connections whose startup packet has that application name (give it in
 * proxy_url), NULL for all; those there are and those to come. They may be given from any thread
 * and hold when they return, but for what was sent on before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proxy;

/* socket_dir: folder of the server's socket. Ends the test if it cannot be had. */
struct proxy *proxy_start(const char *socket_dir);
/* Where connections lead from now on; those that stand are cut. */
void proxy_redirect(struct proxy *p, const char *socket_dir);
/* Cuts what is left. NULL is fine; returns NULL. */
struct proxy *proxy_free(struct proxy *p);
/* "host=... port=... user=postgres dbname=... application_name=..." into out, which is returned. */
char *proxy_url(const struct proxy *p, const char *dbname, const char *app, char *out, size_t size);

/* Up: what programs say; down: what the server says. */
enum proxy_way { PROXY_UP = 1, PROXY_DOWN = 2, PROXY_BOTH = 3 };

/* Back to normal: what was held goes on, what was swallowed is lost. Triggers are forgotten. */
void proxy_pass(struct proxy *p);
/* Connections that stand are reset. */
void proxy_cut(struct proxy *p, const char *app);
/* New ones are reset as soon as they have said their name. */
void proxy_refuse(struct proxy *p, const char *app);
/* Everything arrives so much later. */
void proxy_delay(struct proxy *p, const char *app, enum proxy_way way, int64_t ms);
/* A black hole: nothing arrives, nobody is told. */
void proxy_hold(struct proxy *p, const char *app, enum proxy_way way);
/* The same, but what is said meanwhile is lost for ever. */
void proxy_swallow(struct proxy *p, const char *app, enum proxy_way way);
/* The server's notifications are lost, and nothing else. */
void proxy_deafen(struct proxy *p, const char *app);

/* What happens to one connection when that text has come by, upwards, for the nth time over all. */
enum proxy_action {
    PROXY_CUT_BEFORE,  /* all before it arrives, then the connection is cut */
    PROXY_CUT_AFTER,   /* it arrives with all that came with it, and no answer comes back */
    PROXY_LOSE_ANSWER, /* the server answers; the program sees a cut instead */
    PROXY_HALF_OPEN    /* all before it arrives, then nothing in either direction; that the program
                          hangs up the server never hears, nor the other way round */
};
void proxy_on_text(struct proxy *p, const char *app, const char *text, unsigned nth,
                   enum proxy_action action);
/* The next connection that has carried so many bytes upwards, from now on, is cut there. */
void proxy_cut_after_bytes(struct proxy *p, const char *app, size_t n);

/* How often a trigger has done its work. */
unsigned proxy_hits(struct proxy *p);
/* How often anybody has asked for a connection, whether he got one or not. */
unsigned proxy_asked(struct proxy *p);
unsigned proxy_conns(struct proxy *p, const char *app);
