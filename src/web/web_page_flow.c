/* A page: who asks and what is shown are one transaction. Also the streams of pages that are
 * watched, which draw them anew when they have changed. */
#include "web/internal.h"

#include <string.h>

struct page_flow {
    struct flow f;
    struct httpd_req *r;
    struct web_view v;
    unsigned char token[32];
    struct db_unit u;
};
#define PAGE_STEPS(STEP)                                                                           \
    STEP(page, ask)                                                                                \
    STEP(page, show)
FLOW_STEPS(page, PAGE_STEPS);

static struct page_flow *page_of(struct flow *f)
{
    return container_of(f, struct page_flow, f);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The n-th word of a list separated by spaces; false: there are fewer. */
static bool word_at(const char *list, size_t n, char *out, size_t size)
{
    for (const char *p = list; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (n-- == 0) {
            CHECK(len < size);
            memcpy(out, p, len);
            out[len] = '\0';
            return true;
        }
        p += len;
    }
    return false;
}

static bool is_in_path(const struct web_page *page, const char *name)
{
    const char *at = strchr(page->path, '{');
    size_t n = strlen(name);
    return at && strncmp(at + 1, name, n) == 0 && at[1 + n] == ':';
}

/* As it was sent: paths come decoded. */
static void put_path(struct buf *b, const char *path)
{
    for (; *path; path++) {
        if (*path == '/') {
            buf_putc(b, '/');
        } else {
            web__url(b, (const char[]){*path, '\0'});
        }
    }
}

static void take_args(struct web_view *v, struct httpd_req *r)
{
    char name[32];
    struct buf path = {0};
    bool query = false;
    const char *asked = arena_span_dup(v->arena, httpd_path(r));
    if (strncmp(asked, "/admin/live/", 12) == 0) {
        buf_puts(&path, "/admin");
        asked += strlen(asked) > 12 ? 11 : 12;
    }
    put_path(&path, asked);
    for (size_t i = 0; word_at(v->page->args, i, name, sizeof(name)); i++) {
        CHECK(i < COUNT_OF(v->arg));
        bool inside = is_in_path(v->page, name);
        const char *value = inside ? httpd_param(r, name) : httpd_query(r, name);
        v->arg[i] = value && *value ? arena_strdup(v->arena, value) : NULL;
        if (v->arg[i] && !inside) {
            buf_printf(&path, "%c%s=", query ? '&' : '?', name);
            web__url(&path, v->arg[i]);
            query = true;
        }
    }
    v->path = arena_strdup(v->arena, path.p);
    buf_done(&path);
}

static void take_view(struct web_view *v, const struct web_mount *m, struct httpd_req *r,
                      struct arena *a)
{
    char csrf[33];
    web__session_csrf(r, csrf);
    *v = (struct web_view){.web = m->web, .page = m->page, .arena = a, .status = 200};
    v->csrf = arena_strdup(a, csrf);
    take_args(v, r);
}

static void add_session(struct db_unit *u, const unsigned char token[32])
{
    db_add(u, &SQL_web_session);
    db_p_span(u, (struct span){(const char *)token, 32});
}

static void to_login(struct httpd_req *r, const char *next)
{
    struct buf to = {0};
    buf_puts(&to, "/admin/login?next=");
    web__url(&to, next);
    httpd_redirect(r, to.p);
    buf_done(&to);
}

static enum flow_next page_ask(struct flow *f)
{
    struct page_flow *x = page_of(f);
    struct err err;
    db_unit_init(&x->u, x->v.web->pool, f->arena, DB_TX | DB_READONLY);
    x->u.statement_timeout_ms = WEB_CALL_MS;
    x->v.u = &x->u;
    add_session(&x->u, x->token);
    if (x->v.page->ask(&x->v, &x->u, &err) != 0) {
        web__notice(x->r, 400, "That cannot be asked", err.msg);
        x->r = NULL;
        return FLOW_DONE;
    }
    db_submit(&x->u);
    return flow_wait(f, &x->u.op, page_STEP_show, 2 * WEB_CALL_MS);
}

static enum flow_next page_show(struct flow *f)
{
    struct page_flow *x = page_of(f);
    struct httpd_req *r = x->r;
    x->r = NULL;
    if (db_rows(&x->u, 0) == 0) {
        to_login(r, x->v.path);
        return FLOW_DONE;
    }
    struct buf out = {0};
    web__frame(&x->v, &out);
    httpd_html(r, x->v.status, &out);
    return FLOW_DONE;
}

static void page_end(struct flow *f)
{
    struct page_flow *x = page_of(f);
    db_unit_done(&x->u);
    if (x->r) {
        if (f->failed) {
            log_err(LOG_LEVEL_WARN, "an admin page could not be shown", &f->err);
        }
        web__notice(
            x->r, 503, "The database does not answer",
            "The page could not be read in time. Try again in a moment; the log says more.");
    }
    web__flow_ended(x->v.web);
}

static const struct flow_def page_def = {"web_page", page_steps, page_STEP_COUNT, page_end};

void web__page_get(struct httpd_req *r, void *ctx)
{
    const struct web_mount *m = ctx;
    struct page_flow *x = flow_new(m->web->loop, &page_def, sizeof(*x), 0);
    x->r = r;
    web__flow_began(m->web);
    take_view(&x->v, m, r, x->f.arena);
    if (!web__session_token(m->web, r, x->token)) {
        x->r = NULL;
        to_login(r, x->v.path);
        flow_cancel(&x->f);
        return;
    }
    flow_start(&x->f);
}

/* ---- watching -------------------------------------------------------------------------------- */

struct live_flow {
    struct flow f;
    struct httpd_req *r;         /* until it is answered: by the stream, if somebody is logged in */
    struct httpd_stream *stream; /* NULL: not yet open, or closed */
    struct web_view v;
    unsigned char token[32], drawn[32]; /* hash of what was sent last */
    struct arena *turn;                 /* memory of one look */
    struct db_unit u;
    struct timer_op pause;
    unsigned quiet; /* looks since something was sent */
};
#define LIVE_STEPS(STEP)                                                                           \
    STEP(live, look)                                                                               \
    STEP(live, open)                                                                               \
    STEP(live, send)                                                                               \
    STEP(live, rest) /* -> look */
FLOW_STEPS(live, LIVE_STEPS);

static struct live_flow *live_of(struct flow *f)
{
    return container_of(f, struct live_flow, f);
}

static enum flow_next live_look(struct flow *f)
{
    struct live_flow *x = live_of(f);
    struct err err;
    if ((!x->stream && !x->r) || x->v.web->draining) {
        return FLOW_DONE;
    }
    db_unit_done(&x->u);
    arena_reset(x->turn);
    x->v.arena = x->turn;
    x->v.u = &x->u;
    db_unit_init(&x->u, x->v.web->pool, x->turn, DB_TX | DB_READONLY);
    x->u.statement_timeout_ms = WEB_CALL_MS;
    add_session(&x->u, x->token);
    if (x->v.page->ask(&x->v, &x->u, &err) != 0) {
        return FLOW_DONE;
    }
    db_submit(&x->u);
    return flow_wait_any(f, &x->u.op, live_STEP_open, 2 * WEB_CALL_MS);
}

static void stream_closed(struct httpd_stream *s, void *ctx)
{
    struct live_flow *x = ctx;
    (void)s;
    x->stream = NULL;
    flow_cancel(&x->f);
}

static enum flow_next live_open(struct flow *f)
{
    struct live_flow *x = live_of(f);
    if (!x->u.op.failed && db_rows(&x->u, 0) == 0) {
        return FLOW_DONE; /* logged out */
    }
    if (x->r) {
        const struct httpd_stream_conf conf = {.on_close = stream_closed, .ctx = x};
        struct httpd_req *r = x->r;
        x->r = NULL;
        x->stream = httpd_stream_open(r, 200, "text/event-stream", &conf);
    }
    return x->stream ? FLOW_NEXT : FLOW_DONE;
}

/* An event of the text/event-stream format (HTML, 9.2.5): each line of it is said to be data. */
static int send_event(struct live_flow *x, const char *name, const struct buf *body)
{
    struct buf out = {0};
    buf_printf(&out, "event: %s\n", name);
    for (const char *p = body->n ? body->p : ""; p;) {
        size_t n = strcspn(p, "\n");
        buf_puts(&out, "data: ");
        buf_put(&out, p, n);
        buf_putc(&out, '\n');
        p = p[n] ? p + n + 1 : NULL;
    }
    buf_putc(&out, '\n');
    int rc = httpd_stream_write(x->stream, buf_span(&out));
    buf_done(&out);
    return rc;
}

static enum flow_next live_send(struct flow *f)
{
    enum { BREATHE = 10 }; /* looks: proxies close what says nothing for a minute */
    struct live_flow *x = live_of(f);
    struct buf body = {0};
    unsigned char hash[32];
    int rc = 0;
    if (!x->u.op.failed) {
        x->v.page->draw(&x->v, &body);
        web__sha256((const unsigned char *)(body.n ? body.p : ""), body.n, hash);
    }
    if (!x->u.op.failed && memcmp(hash, x->drawn, sizeof(hash)) != 0) {
        memcpy(x->drawn, hash, sizeof(hash));
        rc = send_event(x, "page", &body);
        x->quiet = 0;
    } else if (++x->quiet % BREATHE == 0) {
        rc = httpd_stream_write(x->stream, SPAN(": still here\n\n"));
    }
    buf_done(&body);
    if (rc < 0) {
        return FLOW_DONE;
    }
    return FLOW_NEXT;
}

static enum flow_next live_rest(struct flow *f)
{
    struct live_flow *x = live_of(f);
    timer_op_start(&x->pause, f->loop, WEB_LIVE_MS);
    return flow_wait(f, &x->pause.op, live_STEP_look, 0);
}

static void live_refuse(struct httpd_req *r, bool busy)
{
    if (busy) {
        httpd_problem(r, 503, NULL, NULL,
                      "too many pages are being watched, or it is being stopped");
    } else {
        httpd_problem(r, 401, NULL, NULL, "log in at /admin/login");
    }
}

static void live_end(struct flow *f)
{
    struct live_flow *x = live_of(f);
    db_unit_done(&x->u);
    if (x->stream) {
        httpd_stream_end(x->stream);
    }
    if (x->r) {
        live_refuse(x->r, x->v.web->draining);
    }
    arena_free(x->turn);
    x->v.web->live--;
    web__flow_ended(x->v.web);
}

static const struct flow_def live_def = {"web_live", live_steps, live_STEP_COUNT, live_end};

void web__live_get(struct httpd_req *r, void *ctx)
{
    const struct web_mount *m = ctx;
    unsigned char token[32];
    bool busy = m->web->live >= WEB_LIVE_MAX || m->web->draining;
    if (!web__session_token(m->web, r, token) || busy) {
        live_refuse(r, busy);
        return;
    }
    struct live_flow *x = flow_new(m->web->loop, &live_def, sizeof(*x), 0);
    x->turn = arena_new(0);
    m->web->live++;
    web__flow_began(m->web);
    memcpy(x->token, token, sizeof(token));
    take_view(&x->v, m, r, x->f.arena);
    x->r = r;
    flow_start(&x->f);
}
