/* http: a small client of the binary's listeners, as a browser is that keeps one cookie and follows
 * nothing. Blocking, a connection a request. What goes wrong ends the test by fail(); what is
 * returned lives until the test ends. */
#pragma once

#include "it/it.h"

struct http_answer {
    int status;
    const char *head; /* status line and fields */
    const char *body;
    size_t n; /* bytes of the body */
    int64_t ms;
};
/* Where a listener ("http", "admin") is bound, by its line in the log, which is waited for. */
const char *http_address(struct it_proc *p, const char *listener);
/* A connection; -1 if it is refused. The caller closes it. */
int http_connect(const char *address);
void http_send(int fd, const char *text);
/* What has come until text is in it, limit_ms have passed or the end came. */
const char *http_until(int fd, const char *text, int64_t limit_ms);
/* fields (may be NULL): whole lines, each with CRLF. body NULL: none. */
struct http_answer http_ask(const char *address, const char *method, const char *target,
                            const char *fields, const char *body);
/* NULL: there is none. The value of the first. */
const char *http_field(const struct http_answer *a, const char *name);
/* Percent-encoded, for a form or a query. */
const char *http_encode(const char *text);

struct browser {
    const char *address;
    const char *cookie; /* "name=value", or NULL */
    const char *fields; /* sent with each request; or NULL */
};
struct http_answer http_get(struct browser *b, const char *target);
/* An encoded form. Cookies that are set are kept. */
struct http_answer http_post(struct browser *b, const char *target, const char *form);
/* The login form; no more than that. */
struct http_answer http_login(struct browser *b, const char *secret);
/* Logged in with it, or the test ends. */
struct browser http_logged_in(const char *address, const char *secret);
/* The token of that login's forms. */
const char *http_csrf(struct browser *b);
/* A button: the token, where to go back, and the encoded fields ("&id=5"); must answer 303. */
void http_press(struct browser *b, const char *action, const char *fields);

#define http_is(answer, want) http_is_at(__FILE__, __LINE__, (answer), (want))
void http_is_at(const char *file, int line, struct http_answer a, int status);
#define http_has(answer, text)   http_has_at(__FILE__, __LINE__, (answer), (text), true)
#define http_lacks(answer, text) http_has_at(__FILE__, __LINE__, (answer), (text), false)
void http_has_at(const char *file, int line, struct http_answer a, const char *text, bool want);
