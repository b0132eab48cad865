#include "fake/fetch_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <strings.h>

#include <cmocka.h>

#include "fetch/internal.h"

enum { MAX_PAIRS = 40 };

struct pair {
    char *name, *value;
};
struct pairs {
    struct pair v[MAX_PAIRS];
    size_t n;
};

struct script_request {
    struct script_request *next;
    enum fetch_method method;
    char *url, *body;
    struct pairs query, form, header;
    int status;
    struct buf reply;
    struct pairs reply_header;
    enum fetch_failure fails;
    bool never;
    void (*on_asked)(void *ctx);
    void *ctx;
    unsigned times;
};

/* A request on its way. */
struct asked {
    struct asked *next;
    struct ready ready;
    struct fetch_req *req;
    struct fetch *f;
    struct script_request *script;
};

static struct {
    struct script_request *expected, *always, *past;
    struct asked *asked;
    unsigned open;
} script;

/* ---- writing it ------------------------------------------------------------------------------ */

static void add_pair(struct pairs *p, const char *name, const char *value)
{
    assert_true(p->n < MAX_PAIRS);
    p->v[p->n++] = (struct pair){mem_strdup(name), value ? mem_strdup(value) : NULL};
}

static struct script_request *add_to(struct script_request **list, enum fetch_method method,
                                     const char *url)
{
    struct script_request *x = mem_alloc(sizeof(*x));
    x->method = method;
    x->url = mem_strdup(url);
    x->status = 200;
    while (*list) {
        list = &(*list)->next;
    }
    *list = x;
    return x;
}

struct script_request *fetch_script_expect(enum fetch_method method, const char *url)
{
    return add_to(&script.expected, method, url);
}

struct script_request *fetch_script_always(enum fetch_method method, const char *url)
{
    return add_to(&script.always, method, url);
}

void fetch_script_query(struct script_request *x, const char *name, const char *value)
{
    add_pair(&x->query, name, value);
}

const char *fetch_script_query_sent(const struct script_request *x, const char *name)
{
    for (size_t i = 0; i < x->query.n; i++) {
        if (strcmp(x->query.v[i].name, name) == 0) {
            return x->query.v[i].value;
        }
    }
    return NULL;
}

void fetch_script_form(struct script_request *x, const char *name, const char *value)
{
    add_pair(&x->form, name, value);
}

void fetch_script_header(struct script_request *x, const char *name, const char *value)
{
    add_pair(&x->header, name, value);
}

void fetch_script_bearer(struct script_request *x, const char *token)
{
    struct buf value = {0};
    buf_printf(&value, "Bearer %s", token);
    add_pair(&x->header, "Authorization", value.p);
    buf_done(&value);
}

void fetch_script_body(struct script_request *x, const char *body)
{
    assert_null(x->body);
    x->body = mem_strdup(body);
}

void fetch_script_reply_n(struct script_request *x, int status, struct span body)
{
    assert_true(status >= 200 && status <= 999);
    x->status = status;
    buf_clear(&x->reply);
    buf_put(&x->reply, body.p, body.n);
}

void fetch_script_reply(struct script_request *x, int status, const char *body)
{
    fetch_script_reply_n(x, status, span_of(body));
}

void fetch_script_reply_header(struct script_request *x, const char *name, const char *value)
{
    add_pair(&x->reply_header, name, value);
}

void fetch_script_fails(struct script_request *x, enum fetch_failure failure)
{
    /* The first is what the real code finds by itself, the last what a waiter does. */
    assert_true(failure > FETCH_REFUSED && failure < FETCH_CANCELLED);
    x->fails = failure;
}

void fetch_script_never(struct script_request *x)
{
    x->never = true;
}

void fetch_script_on_asked(struct script_request *x, void (*fn)(void *ctx), void *ctx)
{
    x->on_asked = fn;
    x->ctx = ctx;
}

bool fetch_script_asked(const struct script_request *x)
{
    return x->times > 0;
}

unsigned fetch_script_times(const struct script_request *x)
{
    return x->times;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void free_pairs(struct pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->v[i].name);
        mem_free(p->v[i].value);
    }
    p->n = 0;
}

static void free_list(struct script_request **list)
{
    while (*list) {
        struct script_request *x = *list;
        *list = x->next;
        free_pairs(&x->query);
        free_pairs(&x->form);
        free_pairs(&x->header);
        free_pairs(&x->reply_header);
        buf_done(&x->reply);
        mem_free(x->url);
        mem_free(x->body);
        mem_free(x);
    }
}

void fetch_script_begin(void)
{
    free_list(&script.expected);
    free_list(&script.always);
    free_list(&script.past);
    memset(&script, 0, sizeof(script));
}

bool fetch_script_played(void)
{
    return !script.expected && !script.asked;
}

void fetch_script_end(void)
{
    if (script.expected) {
        fail_msg("this request never came: %s %s", fetch__method_name(script.expected->method),
                 script.expected->url);
    }
    if (script.asked) {
        fail_msg("a request still waits for its answer: %s", script.asked->script->url);
    }
    if (script.open) {
        fail_msg("a client was not closed");
    }
    fetch_script_begin();
}

/* ---- checking a request ---------------------------------------------------------------------- */

static int hex_digit(char c)
{
    const char *digits = "0123456789ABCDEF", *at = strchr(digits, c);
    assert_true(c && at); /* the program writes them so */
    return (int)(at - digits);
}

static char *decode(struct arena *a, struct span s)
{
    char *text = arena_alloc(a, s.n + 1), *p = text;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n) {
            *p++ = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
            i += 2;
        } else {
            *p++ = s.p[i];
        }
    }
    return text;
}

/* The pairs of a query or a form are those of the script, in any order. */
static void check_pairs(struct arena *a, const char *what, struct span text, struct pairs *want)
{
    size_t found = 0;
    bool taken[MAX_PAIRS] = {false};
    while (text.n) {
        const char *amp = memchr(text.p, '&', text.n);
        struct span one = {text.p, amp ? (size_t)(amp - text.p) : text.n};
        const char *equals = memchr(one.p, '=', one.n);
        size_t name_n = equals ? (size_t)(equals - one.p) : one.n;
        const char *name = decode(a, (struct span){one.p, name_n});
        const char *value = equals ? decode(a, (struct span){equals + 1, one.n - name_n - 1}) : "";
        bool known = false;
        for (size_t i = 0; i < want->n && !known; i++) {
            known = !taken[i] && strcmp(want->v[i].name, name) == 0 &&
                    (!want->v[i].value || strcmp(want->v[i].value, value) == 0);
            taken[i] |= known;
            if (known && !want->v[i].value) {
                want->v[i].value = mem_strdup(value);
            }
        }
        if (!known) {
            fail_msg("the %s has %s=%s, the script does not", what, name, value);
        }
        found++;
        text.n -= one.n + (amp != NULL);
        text.p += one.n + (amp != NULL);
    }
    if (found != want->n) {
        fail_msg("the %s has %zu fields, the script %zu", what, found, want->n);
    }
}

static const char *sent_header(const struct fetch_req *r, const char *name)
{
    size_t n = strlen(name);
    for (const struct curl_slist *line = r->lines; line; line = line->next) {
        if (strncasecmp(line->data, name, n) == 0 && line->data[n] == ':') {
            return line->data + n + 2;
        }
        if (strncasecmp(line->data, name, n) == 0 && line->data[n] == ';') {
            return "";
        }
    }
    return NULL;
}

static void check_headers(const struct fetch_req *r, const struct script_request *x)
{
    static const char *const credentials[] = {"Authorization", "Cookie"};
    for (size_t i = 0; i < x->header.n; i++) {
        const char *name = x->header.v[i].name, *sent = sent_header(r, name);
        if (!sent || strcmp(sent, x->header.v[i].value) != 0) {
            fail_msg("%s: header %s is \"%s\", the script says \"%s\"", x->url, name,
                     sent ? sent : "(not there)", x->header.v[i].value);
        }
    }
    for (size_t i = 0; i < COUNT_OF(credentials); i++) {
        bool named = false;
        for (size_t k = 0; k < x->header.n; k++) {
            named |= strcasecmp(x->header.v[k].name, credentials[i]) == 0;
        }
        if (!named && sent_header(r, credentials[i])) {
            fail_msg("%s: header %s is there, the script does not name it", x->url, credentials[i]);
        }
    }
}

static void check_request(const struct fetch_req *r, struct script_request *x)
{
    struct arena *a = arena_new(0);
    const char *query = strchr(r->url.p, '?');
    check_pairs(a, "query", span_of(query ? query + 1 : NULL), &x->query);
    if (x->body) {
        assert_true(x->form.n == 0);
        if (!span_is(buf_span(&r->sent), x->body)) {
            fail_msg("%s: the body is\n%s\nthe script says\n%s", x->url, r->sent.p ? r->sent.p : "",
                     x->body);
        }
    } else if (r->has_body && !r->is_form) {
        fail_msg("%s: it has a body, the script says nothing of that", x->url);
    } else {
        check_pairs(a, "form", buf_span(&r->sent), &x->form);
    }
    check_headers(r, x);
    arena_free(a);
}

/* ---- playing it ------------------------------------------------------------------------------ */

static bool is_like(const struct script_request *x, enum fetch_method method, const char *url)
{
    const char *path = strchr(strstr(url, "://") + 3, '/');
    return x->method == method && strcmp(x->url[0] == '/' ? (path ? path : "/") : url, x->url) == 0;
}

static struct script_request *take(enum fetch_method method, const char *url)
{
    struct script_request *x = script.expected;
    if (x && is_like(x, method, url)) {
        script.expected = x->next;
        x->next = script.past;
        script.past = x;
        return x;
    }
    for (struct script_request *y = script.always; y; y = y->next) {
        if (is_like(y, method, url)) {
            return y;
        }
    }
    fail_msg("asked for\n  %s %s\nbut the script says\n  %s %s", fetch__method_name(method), url,
             x ? fetch__method_name(x->method) : "", x ? x->url : "(nothing more)");
    return NULL;
}

static bool is_asked(const struct asked *q)
{
    const struct asked *at = script.asked;
    while (at && at != q) {
        at = at->next;
    }
    return at;
}

static void forget(struct asked *q)
{
    struct asked **at = &script.asked;
    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    mem_free(q);
}

static void finish(struct asked *q, enum fetch_failure failure, const struct err *err)
{
    struct fetch_req *r = q->req;
    if (q->ready.queued) {
        q->req =
            NULL; /* it cannot leave the ready queue; the request is free at once all the same */
    } else {
        forget(q);
    }
    r->fetch = NULL;
    r->failure = failure;
    r->stats->in_flight--;
    op_finish(&r->op, err);
    fetch__count(r, r->head.n + r->body.n);
}

static void reply(struct asked *q)
{
    const struct script_request *x = q->script;
    struct fetch_req *r = q->req;
    struct buf line = {0};
    struct err err;
    buf_printf(&line, "HTTP/1.1 %d Scripted\r\n", x->status);
    fetch__head_line(r, buf_span(&line), clock_wall_us());
    for (size_t i = 0; i < x->reply_header.n; i++) {
        buf_clear(&line);
        buf_printf(&line, "%s: %s\r\n", x->reply_header.v[i].name, x->reply_header.v[i].value);
        fetch__head_line(r, buf_span(&line), clock_wall_us());
    }
    fetch__head_line(r, SPAN("\r\n"), clock_wall_us());
    buf_done(&line);
    if (fetch__body_add(r, buf_span(&x->reply)) != 0) {
        finish(q, FETCH_TOO_LARGE,
               fetch__failed(r, &err, fetch__too_large_class(r), "the answer is over %zu bytes",
                             r->max_body));
    } else {
        finish(q, FETCH_NONE, NULL);
    }
}

static void answer(struct asked *q)
{
    const struct script_request *x = q->script;
    struct err err;
    if (x->fails == FETCH_NONE) {
        reply(q);
        return;
    }
    finish(q, x->fails,
           fetch__failed(q->req, &err, x->fails == FETCH_TOO_LARGE ? ERR_PERMANENT : ERR_RETRY,
                         "scripted: %s", fetch_failure_name(x->fails)));
}

static void run_asked(struct ready *ready)
{
    struct asked *q = container_of(ready, struct asked, ready);
    struct script_request *x = q->script;
    if (!q->req) { /* cancelled meanwhile */
        forget(q);
        return;
    }
    if (x->on_asked) {
        x->on_asked(x->ctx); /* may cancel it */
    }
    if (is_asked(q) && !x->never) {
        answer(q);
    }
}

void fetch_script_answer(struct script_request *x)
{
    struct asked *q = script.asked;
    while (q && q->script != x) {
        q = q->next;
    }
    if (!q || q->ready.queued) {
        fail_msg("nobody waits for the answer to %s", x->url);
    }
    answer(q);
}

/* ---- the client ------------------------------------------------------------------------------ */

void fetch_send(struct fetch_req *r)
{
    struct fetch *f = r->fetch;
    struct err err;
    assert_non_null(f);
    op_begin(&r->op);
    if (fetch__prepare(r, f->conf.allow_http, &err) != 0) {
        r->failure = FETCH_REFUSED;
        r->fetch = NULL;
        op_finish(&r->op, &err);
        return;
    }
    struct span url = {r->url.p, strcspn(r->url.p, "?")};
    struct script_request *x = take(r->method, arena_span_dup(r->arena, url));
    check_request(r, x);
    x->times++;
    r->stats = fetch__stats_of(&f->hosts, r->host);
    r->stats->in_flight++;
    struct asked *q = mem_alloc(sizeof(*q));
    *q = (struct asked){
        .next = script.asked, .ready = {.fn = run_asked}, .req = r, .f = f, .script = x};
    script.asked = q;
    loop_ready(f->loop, &q->ready);
}

void fetch__cancel(struct op *op)
{
    struct fetch_req *r = container_of(op, struct fetch_req, op);
    struct asked *q = script.asked;
    struct err err;
    while (q && q->req != r) {
        q = q->next;
    }
    assert_non_null(q);
    fetch__failed(r, &err, ERR_RETRY, "cancelled");
    err.domain = ERR_UV;
    err.code = UV_ECANCELED;
    finish(q, FETCH_CANCELLED, &err);
}

struct fetch *fetch_open(struct loop *l, const struct fetch_conf *conf, struct err *err)
{
    (void)err;
    assert_non_null(conf->user_agent);
    struct fetch *f = mem_alloc(sizeof(*f));
    f->loop = l;
    f->conf.allow_http = conf->allow_http;
    assert_int_equal(uv_timer_init(loop_uv(l), &f->timer), 0);
    script.open++;
    return f;
}

static void handle_closed(uv_handle_t *h)
{
    struct fetch *f = container_of((uv_timer_t *)(void *)h, struct fetch, timer);
    struct op *op = f->close_op;
    script.open--;
    mem_free(f);
    op_finish(op, NULL);
}

void fetch_close(struct fetch *f, struct op *op)
{
    op_init(op, f->loop, NULL);
    op_begin(op);
    f->close_op = op;
    for (struct asked *q = script.asked, *next; q; q = next) {
        next = q->next;
        if (q->f == f && q->req) {
            op_cancel(&q->req->op);
        }
    }
    /* So that closing takes its time, as the real one's does. */
    uv_close((uv_handle_t *)&f->timer, handle_closed);
}
