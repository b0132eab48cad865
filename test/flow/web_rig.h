/* For the tests of what the public pages do: the real listener in the loop, browsers that ask it,
 * the database and Strava's word as scripts. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "fake/grant_script.h"
#include "flow/rig.h"
#include "web/internal.h"

enum { WEB_POOL = 1, ATHLETE = 42 }; /* the pool of web/, after that of the rig */
#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Of what the script leaves out of db/ the admin's pages want these; nobody asks for such a page
 * here. */
const struct db_migration db_migrations[] = {{0}};
bool db_listener_healthy(const struct db_listener *x)
{
    (void)x;
    return false;
}
unsigned db_pool_open_conns(const struct db_pool *p)
{
    (void)p;
    return 0;
}
unsigned db_pool_queued(const struct db_pool *p)
{
    (void)p;
    return 0;
}

struct web_world {
    struct rig r;
    struct web *web;
    struct httpd *h;
    struct db_conf db;
    struct op op;
    char form[33]; /* the token of forms that goes with TOKEN */
};

static inline void web_world_open(struct web_world *w, bool strava)
{
    struct err err;
    unsigned char token[WEB_TOKEN_BYTES];
    *w = (struct web_world){.db = {.url = "", .max_conns = 2}};
    rig_open(&w->r);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, stderr);
    grant_script_begin(w->r.loop);
    w->web = web_open(w->r.loop, &(struct web_conf){.db = &w->db,
                                                    .channel = "processing",
                                                    .version = "test",
                                                    .strava = strava ? grant_script() : NULL});
    w->h = httpd_new(w->r.loop, &(struct httpd_conf){.name = "http"}, &err);
    assert_non_null(w->h);
    web_mount_public(w->web, w->h);
    assert_int_equal(httpd_listen(w->h, "127.0.0.1:0", 0, &err), 0);
    assert_true(web__from_hex(TOKEN, token, sizeof(token)));
    web__form_token(token, w->form);
}

static inline void web_world_close(struct web_world *w)
{
    struct op op;
    httpd_drain(w->h, 1000, &op);
    rig_op(&w->r, &op);
    web_close(w->web, &op);
    rig_op(&w->r, &op);
    httpd_free(w->h);
    grant_script_end();
    rig_close(&w->r);
}

/* ---- a browser ---------------------------------------------------------------------------------
 */

struct asking {
    int fd;
    size_t n;
    bool over;
    char got[64 * 1024];
};

static inline void web_send(struct web_world *w, struct asking *a, const char *method,
                            const char *target, const char *cookies, const char *form)
{
    const char *port = strrchr(httpd_bound(w->h, 0), ':') + 1;
    int64_t number = 0;
    struct buf b = {0};
    assert_int_equal(span_to_i64(span_of(port), 1, 65535, &number), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)number),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    *a = (struct asking){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(a->fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\nCookie: %s\r\n",
               method, target, port, cookies);
    if (form) {
        buf_printf(&b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
                   strlen(form));
    }
    buf_printf(&b, "\r\n%s", form ? form : "");
    assert_int_equal(send(a->fd, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
    buf_done(&b);
}

static inline bool web_heard(void *ctx)
{
    struct asking *a = ctx;
    ssize_t n = recv(a->fd, a->got + a->n, sizeof(a->got) - 1 - a->n, MSG_DONTWAIT);
    a->n += n > 0 ? (size_t)n : 0;
    a->got[a->n] = '\0';
    a->over = a->over || n == 0;
    return a->over;
}

/* The status; what was said is in a->got. */
static inline int web_answer(struct web_world *w, struct asking *a)
{
    int status = 0;
    rig_until(&w->r, web_heard, a);
    (void)close(a->fd);
    assert_int_equal(sscanf(a->got, "HTTP/1.1 %d", &status), 1);
    return status;
}

static inline int web_ask(struct web_world *w, struct asking *a, const char *method,
                          const char *target, const char *cookies, const char *form)
{
    web_send(w, a, method, target, cookies, form);
    return web_answer(w, a);
}

static inline void web_says(const struct asking *a, const char *part)
{
    if (!strstr(a->got, part)) {
        fail_msg("no \"%s\" in\n%s", part, a->got);
    }
}

/* From after name up to one of the ends. */
static inline char *web_value(struct web_world *w, const struct asking *a, const char *name,
                              const char *ends)
{
    const char *at = strstr(a->got, name);
    assert_non_null(at);
    at += strlen(name);
    return arena_printf(w->r.arena, "%.*s", (int)strcspn(at, ends), at);
}

/* ---- what can go wrong with a unit -------------------------------------------------------------
 */

enum trouble { TROUBLE_RETRY, TROUBLE_PERMANENT, TROUBLE_BUG, TROUBLE_SILENT, TROUBLES };
static inline void web_trouble(struct script_unit *x, enum trouble t)
{
    static const char *const sqlstate[] = {"57014", "22003", "42883"};
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, stderr);
    if (t == TROUBLE_SILENT) {
        script_silent(x);
    } else {
        script_fails(x, sqlstate[t], "no");
    }
}

/* Strava's, as an answer to what is asked of it. */
static inline void web_strava_trouble(struct script_word *x, enum trouble t)
{
    if (t == TROUBLE_SILENT) {
        grant_script_never(x);
    } else {
        grant_script_fails(x, t == TROUBLE_BUG ? ERR_CONF : ERR_HTTP,
                           t == TROUBLE_RETRY ? ERR_RETRY : ERR_PERMANENT, 503);
    }
}
