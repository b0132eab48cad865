/* Shared by the files of web/ only. */
#pragma once

#include "people/people.h"
#include "strava/strava.h"
#include "web/web.h"
#include "web/work.h"
#include "web_sql.h"

enum {
    WEB_CALL_MS = 5000,      /* deadline of a page's statements */
    WEB_BEAT_OLD_MS = 20000, /* jobs/ claims nothing after that */
    WEB_SESSION_S = 604800,  /* how long a login lasts */
    WEB_TOKEN_BYTES = 32,
    WEB_LIVE_MS = 2000,       /* between looks of a page that is watched */
    WEB_LIVE_MAX = 64,        /* pages watched at once */
    WEB_PATH_MAX = 4000,      /* bytes of a page's path with its query */
    WEB_VISIT_S = 30 * 86400, /* how long people stay logged in */
    WEB_WAY_S = 600,          /* for the way to Strava and back */
    WEB_STATE_HEX = 112       /* letters of a state */
};

/* Where Strava pushes events; see web_hook.c. */
struct web_hook {
    bool is_front;   /* its path is that of the front page */
    char word[64];   /* by which Strava's challenge is known; "": not known yet */
    int64_t word_ms; /* when it was asked for */
    unsigned asking; /* flows under way that ask */
    uint64_t refused, malformed, unavailable; /* events */
};

/* Logins that were begun in this while, by what an address hashes to; see web_visitor.c. */
enum { WEB_BEGUN_PLACES = 1024 };
struct web_begun {
    unsigned char key[32]; /* so that nobody can choose whom to share a place with */
    int64_t until_ms;      /* 0: not begun */
    unsigned short n[WEB_BEGUN_PLACES];
    unsigned short near; /* from this machine, apart: no stranger keeps its proxy out */
};

struct web_mount;
struct web {
    struct loop *loop;
    struct web_conf conf;
    struct db_pool *pool;
    const struct db_listener *listener;
    const struct httpd *server[2]; /* public, admin: for metrics; NULL: not mounted */
    struct web_mount *mount;       /* the admin's pages, owned; NULL: not mounted */
    bool draining;
    unsigned logins; /* being checked */
    unsigned live;   /* pages being watched */
    int64_t started_wall_us;
    struct ticker *lag; /* how late the loop is, measured */
    int64_t lag_due_ns, lag_worst_ns;
    struct web_hook hook;
    unsigned char login_key[32]; /* signs the way to Strava and back */
    bool login_key_known;
    struct web_begun begun;
    unsigned coming;   /* logins and departures under way, which talk to Strava */
    unsigned exports;  /* under way */
    unsigned flows;    /* of ours, under way: web outlives them */
    struct op *closed; /* set by web_close */
};
/* web.c: every flow of web/ says so when it is made, and in its on_end. */
void web__flow_began(struct web *w);
void web__flow_ended(struct web *w);

/* ---- web_html.c: text of a page -------------------------------------------------------------- */

/* Everything that is not markup of ours goes through these: escaped, control characters blanked. */
void web__text(struct buf *b, const char *s); /* NULL: nothing */
void web__span(struct buf *b, struct span s);
/* Markup with %: each %s is escaped, %d takes an int64_t, %% is a percent sign; nothing else. */
void web__html(struct buf *b, const char *fmt, ...);
/* "95 s", "12 min", "5 h", "3 d"; NaN: an en dash. */
void web__age(struct buf *b, double seconds);
/* 1234567 as 1 234 567, with narrow spaces. */
void web__count(struct buf *b, int64_t n);
/* Percent-encoded, for a query or a segment of a path. */
void web__url(struct buf *b, const char *s);
/* A table: columns are "Name" or "#Name" for numbers, separated by '|'. Then per row web__row and,
 * for each cell, web__cell before its text; web__end_table. */
void web__table(struct buf *b, const char *caption, const char *columns);
void web__row(struct buf *b);
void web__cell(struct buf *b);
void web__number_cell(struct buf *b);
void web__end_table(struct buf *b);

/* ---- pages ----------------------------------------------------------------------------------- */

struct web_page;
/* What one showing of a page has at hand. */
struct web_view {
    struct web *web;
    const struct web_page *page;
    struct arena *arena;
    const struct db_unit *u; /* answered; calls of the page start at 1 */
    const char *csrf;        /* token for the forms */
    const char *path;        /* with query, to come back to */
    const char *arg[12];     /* of the query and the path, in the order of page->args; NULL: none */
    int status;              /* 200, or what draw sets */
};
struct web_page {
    const char *path, *title;
    const char *args; /* names of parameters, separated by spaces; {name} in path is one of them */
    bool nav;         /* in the menu */
    bool live;        /* is drawn anew while it is watched */
    /* Adds the page's statements; -1: an argument makes no sense (400, with the reason in err). */
    int (*ask)(struct web_view *v, struct db_unit *u, struct err *err);
    void (*draw)(struct web_view *v, struct buf *b);
};
extern const struct web_page web__pages[];
extern const size_t web__page_count;

/* web_view.c: columns of an answer, and cells of them. */
double web__f64(const struct web_view *v, unsigned call, int row, int col);
int64_t web__i64(const struct web_view *v, unsigned call, int row, int col);
const char *web__str(const struct web_view *v, unsigned call, int row, int col); /* NULL: NULL */
void web__count_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col);
void web__text_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col);
void web__error_cell(const struct web_view *v, struct buf *b, unsigned call, int row, int col);
void web__age_cell(struct buf *b, double seconds);
void web__job_link(struct buf *b, int64_t id);

/* web_frame.c: the page around it. body NULL: only what a watched page replaces. */
void web__frame(struct web_view *v, struct buf *out);
/* The head of any page up to where more may be linked; files: where ours are. */
void web__head(struct buf *b, const char *title, const char *files);
void web__login_page(struct buf *out, const char *next, const char *problem);
/* A small page that says one thing. */
void web__notice(struct httpd_req *r, int status, const char *title, const char *text);
/* A form with one button. fields: name, value, name, value, NULL. danger: it is drawn as such. */
void web__button(struct web_view *v, struct buf *b, const char *action, const char *label,
                 bool danger, const char *const *fields);

/* web_queues.c */
int web__queues_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__queues_draw(struct web_view *v, struct buf *b);
int web__instances_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__instances_draw(struct web_view *v, struct buf *b);
int web__lanes_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__lanes_draw(struct web_view *v, struct buf *b);
int web__rates_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__rates_draw(struct web_view *v, struct buf *b);
int web__cron_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__cron_draw(struct web_view *v, struct buf *b);
/* web_dead.c */
int web__dead_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__dead_draw(struct web_view *v, struct buf *b);
int web__cause_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__cause_draw(struct web_view *v, struct buf *b);
/* web_jobs.c */
int web__jobs_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__jobs_draw(struct web_view *v, struct buf *b);
int web__job_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__job_draw(struct web_view *v, struct buf *b);
/* web_more.c */
int web__athletes_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__athletes_draw(struct web_view *v, struct buf *b);
int web__athlete_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__athlete_draw(struct web_view *v, struct buf *b);
int web__database_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__database_draw(struct web_view *v, struct buf *b);
int web__audit_ask(struct web_view *v, struct db_unit *u, struct err *err);
void web__audit_draw(struct web_view *v, struct buf *b);

/* ---- handlers -------------------------------------------------------------------------------- */

httpd_handler_fn web__page_get;    /* web_page_flow.c; ctx: struct web_mount */
httpd_handler_fn web__live_get;    /* web_live_flow.c; ctx: struct web_mount */
httpd_handler_fn web__login_get;   /* web_login_flow.c; ctx: struct web */
httpd_handler_fn web__login_post;  /* the same */
httpd_handler_fn web__action_post; /* web_action_flow.c; ctx: struct web */
httpd_handler_fn web__metrics_get; /* web_metrics_flow.c; ctx: struct web */
httpd_handler_fn web__healthz_get; /* web_health.c; ctx: struct web */
httpd_handler_fn web__readyz_get;  /* the same */
httpd_handler_fn web__front_get;   /* web_people_flow.c; ctx: struct web */
/* A page as one listener has it. */
struct web_mount {
    struct web *web;
    const struct web_page *page;
    char live_pattern[64]; /* "": it is not live */
};

/* web_hook.c: where Strava pushes events; both do nothing if it does not. */
void web__hook_open(struct web *w);
void web__hook_mount(struct web *w, struct httpd *h);

/* web_session.c: who asks. */
/* What is kept of a token: SHA-256 of it and of the secret that the configuration gives, so that a
 * login ends when that changes. */
void web__session_hash(const struct web *w, const unsigned char token[WEB_TOKEN_BYTES],
                       unsigned char hash[32]);
/* That of the cookie, as a parameter of SQL_web_session; false: there is no cookie. */
bool web__session_token(const struct web *w, struct httpd_req *r, unsigned char hash[32]);
/* The form token that belongs to that session: 32 hex digits and NUL. */
void web__session_csrf(struct httpd_req *r, char out[33]);
void web__sha256(const unsigned char *p, size_t n, unsigned char hash[32]);
/* Whether the browser, if it says so, says that the form is from a page of ours. */
bool web__session_is_from_here(struct httpd_req *r);
/* That, and the form carries the token. */
bool web__session_is_own_form(struct httpd_req *r, const char *given);
/* The token of forms that goes with a cookie's. */
void web__form_token(const unsigned char token[WEB_TOKEN_BYTES], char out[33]);
void web__session_set(struct httpd_req *r, const unsigned char token[WEB_TOKEN_BYTES]);
void web__session_clear(struct httpd_req *r);
/* Where to go next, as a form or a link says: only to a page of ours, else to the first of them. */
const char *web__own_page(const char *path);
/* Exactly 2 n lower-case hex digits; false: something else. */
bool web__from_hex(const char *text, unsigned char *out, size_t n);
void web__to_hex(const unsigned char *p, size_t n, char *out); /* 2 n digits and NUL */

/* ---- people ---------------------------------------------------------------------------------- */

/* web_visitor.c: who is logged in to the public pages. hash is what is kept of the cookie's token;
 * false: there is no cookie. */
bool web__visitor_hash(struct httpd_req *r, unsigned char hash[32]);
void web__visitor_set(const struct web *w, struct httpd_req *r,
                      const unsigned char token[WEB_TOKEN_BYTES]);
void web__visitor_clear(const struct web *w, struct httpd_req *r);
void web__visitor_csrf(struct httpd_req *r, char out[33]);
bool web__visitor_is_own_form(const struct web *w, struct httpd_req *r, const char *given);
/* The cookie that goes with a state. */
bool web__way_token(struct httpd_req *r, unsigned char token[WEB_TOKEN_BYTES]);
void web__way_set(const struct web *w, struct httpd_req *r,
                  const unsigned char token[WEB_TOKEN_BYTES]);
void web__way_clear(const struct web *w, struct httpd_req *r);
/* Where this listener is reached, "https://trails.example.org": as configured, or on loopback as
 * asked; NULL: nobody knows. In the request's arena. */
const char *web__origin_of(const struct web *w, struct httpd_req *r);

/* Counts; false: from this address too many logins were begun in ten minutes. */
bool web__may_begin(struct web *w, const char *address, int64_t now_ms);

/* What goes to Strava and comes back, for ten minutes and with that cookie only. */
void web__state_make(const unsigned char key[32], const unsigned char cookie[WEB_TOKEN_BYTES],
                     int64_t now_s, char out[WEB_STATE_HEX + 1]);
enum web_state { WEB_STATE_OK = 1, WEB_STATE_FOREIGN, WEB_STATE_EXPIRED };
/* nonce: of that state, to see that it is used once. text may be NULL. */
enum web_state web__state_read(const unsigned char key[32],
                               const unsigned char cookie[WEB_TOKEN_BYTES], const char *text,
                               int64_t now_s, unsigned char nonce[16]);

/* web_public.c: the look of the public pages. */
void web__public_begin(struct buf *out, const char *title, bool small);
void web__public_end(struct buf *out);
/* A small page that says one thing, and where to go on. */
void web__public_notice(struct httpd_req *r, int status, const char *title, const char *text,
                        const char *href, const char *label);
void web__welcome(struct httpd_req *r, const struct web *w);

/* web_people.c: one's own page, of an answered unit with SQL_web_visitor, _trails, _newest. */
void web__people_draw(struct buf *out, const struct db_unit *u, struct arena *a, const char *csrf);

void web__people_mount(struct web *w, struct httpd *h); /* web_people_flow.c */
httpd_handler_fn web__enter_get;                        /* web_enter_flow.c; ctx: struct web */
httpd_handler_fn web__callback_get;                     /* the same */
httpd_handler_fn web__logout_post;                      /* web_leave_flow.c; ctx: struct web */
httpd_handler_fn web__disconnect_get;                   /* the same */
httpd_handler_fn web__disconnect_post;                  /* the same */
httpd_handler_fn web__export_get;                       /* web_export_flow.c; ctx: struct web */

/* ---- work in threads; see work.h ------------------------------------------------------------- */

struct web_disk {
    struct work work;
    struct web_disk_free item;
};
void web__disk_start(struct web_disk *d, struct loop *l, const char *dir);
struct web_derive {
    struct work work;
    struct web_hash item;
};
/* item filled by the caller. */
void web__derive_start(struct web_derive *d, struct loop *l);
