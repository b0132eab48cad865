/* The client: who waits, who is on the wire, and when each must be over. */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "fetch/internal.h"

enum { FETCH_MAGIC = 0x66657431, MAX_TOTAL = 1024 };

void fetch__check(const struct fetch *f)
{
    CHECK(f && f->magic == FETCH_MAGIC);
}

static struct fetch_req *req_of(struct op *op)
{
    return container_of(op, struct fetch_req, op);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void append(struct fetch__list *l, struct fetch_req *r)
{
    r->prev = l->last;
    r->next = NULL;
    if (l->last) {
        l->last->next = r;
    } else {
        l->first = r;
    }
    l->last = r;
    l->n++;
}

static void take_out(struct fetch__list *l, struct fetch_req *r)
{
    if (r->prev) {
        r->prev->next = r->next;
    } else {
        l->first = r->next;
    }
    if (r->next) {
        r->next->prev = r->prev;
    } else {
        l->last = r->prev;
    }
    r->prev = r->next = NULL;
    l->n--;
}

/* ---- the way of a request -------------------------------------------------------------------- */

static void log_end(const struct fetch_req *r)
{
    if (!log_enabled(LOG_LEVEL_DEBUG)) {
        return;
    }
    char where[256];
    log_debug("fetched", L_S("request", fetch__where(r, where)), L_I("status", r->status),
              L_S("failure", fetch_failure_name(r->failure)), L_I("ms", r->elapsed_ms),
              L_I("bytes", r->body.n));
}

/* The only way out for a request that waits or runs. err NULL: answered. */
static void end(struct fetch_req *r, enum fetch_failure failure, const struct err *err)
{
    struct fetch *f = r->fetch;
    uint64_t bytes_in = 0;
    if (r->xfer) {
        bytes_in = fetch__easy_end(r);
        r->elapsed_ms = clock_mono_ms() - r->started_ms;
        take_out(&f->running, r);
        r->stats->in_flight--;
    } else {
        take_out(&f->waiting, r);
        r->stats->waiting--;
    }
    if (f->waiting.n + f->running.n == 0) {
        /* Or the loop would live until the deadline of a request that is over. */
        CHECK(uv_timer_stop(&f->deadline) == 0);
        f->deadline_ms = INT64_MAX;
    }
    r->failure = failure;
    r->fetch = NULL;
    op_finish(&r->op, err);
    fetch__count(r, bytes_in);
    log_end(r);
}

void fetch__ended(struct fetch_req *r, CURLcode code)
{
    struct err err;
    enum fetch_failure failure = fetch__easy_result(r, code, &err);
    end(r, failure, failure == FETCH_NONE ? NULL : &err);
}

static unsigned running_at(const struct fetch *f, const char *host)
{
    unsigned n = 0;
    for (const struct fetch_req *r = f->running.first; r; r = r->next) {
        n += strcmp(r->host, host) == 0;
    }
    return n;
}

static void start(struct fetch_req *r)
{
    struct fetch *f = r->fetch;
    take_out(&f->waiting, r);
    append(&f->running, r);
    r->stats->waiting--;
    r->stats->in_flight++;
    r->started_ms = clock_mono_ms();
    fetch__easy_start(r);
}

void fetch__pump(struct fetch *f)
{
    for (struct fetch_req *r = f->waiting.first, *next; r && f->running.n < f->conf.max_total;
         r = next) {
        next = r->next;
        if (running_at(f, r->host) < f->conf.max_per_host) {
            start(r);
        }
    }
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *t);

/* One timer for all: it fires at the earliest deadline there was, looks at all of them, and is set
 * to the earliest that is left. */
static void watch(struct fetch *f, int64_t deadline_ms)
{
    if (deadline_ms >= f->deadline_ms) {
        return;
    }
    f->deadline_ms = deadline_ms;
    int64_t ms = deadline_ms - loop_now_ms(f->loop);
    CHECK(uv_timer_start(&f->deadline, on_deadline, ms > 1 ? (uint64_t)ms : 1, 0) == 0);
}

static void expire(struct fetch_req *r)
{
    struct err err;
    char total[32];
    duration_format(r->total_ms, total);
    if (!r->xfer) {
        fetch__failed(r, &err, ERR_RETRY, "no free connection within %s", total);
    } else if (fetch__easy_connecting(r)) {
        fetch__failed(r, &err, ERR_RETRY, "no connection within %s", total);
    } else {
        fetch__failed(r, &err, ERR_RETRY, "no complete answer within %s", total);
    }
    end(r, FETCH_TIMEOUT, &err);
}

static int64_t expire_all(struct fetch__list *l, int64_t now_ms, int64_t earliest_ms)
{
    for (struct fetch_req *r = l->first, *next; r; r = next) {
        next = r->next;
        if (r->deadline_ms <= now_ms) {
            expire(r);
        } else if (r->deadline_ms < earliest_ms) {
            earliest_ms = r->deadline_ms;
        }
    }
    return earliest_ms;
}

static void on_deadline(uv_timer_t *t)
{
    struct fetch *f = container_of(t, struct fetch, deadline);
    int64_t now_ms = clock_mono_ms(), earliest_ms = INT64_MAX;
    f->deadline_ms = INT64_MAX;
    earliest_ms = expire_all(&f->waiting, now_ms, earliest_ms);
    earliest_ms = expire_all(&f->running, now_ms, earliest_ms);
    if (earliest_ms < INT64_MAX) {
        watch(f, earliest_ms);
    }
    fetch__pump(f);
}

/* ---- sending and cancelling ------------------------------------------------------------------ */

static void refuse(struct fetch_req *r, enum fetch_failure failure, const struct err *err)
{
    r->failure = failure;
    r->fetch = NULL;
    op_finish(&r->op, err);
}

void fetch_send(struct fetch_req *r)
{
    struct fetch *f = r->fetch;
    struct err err;
    fetch__check(f);
    op_begin(&r->op);
    if (fetch__prepare(r, f->conf.allow_http, &err) != 0) {
        refuse(r, FETCH_REFUSED, &err);
        return;
    }
    if (f->closing) {
        refuse(r, FETCH_CANCELLED, fetch__failed(r, &err, ERR_RETRY, "the client is closing"));
        return;
    }
    r->stats = fetch__stats_of(&f->hosts, r->host);
    r->stats->waiting++;
    r->deadline_ms = clock_mono_ms() + r->total_ms;
    append(&f->waiting, r);
    watch(f, r->deadline_ms);
    fetch__pump(f);
}

void fetch__cancel(struct op *op)
{
    struct fetch_req *r = req_of(op);
    struct fetch *f = r->fetch;
    struct err err;
    fetch__failed(r, &err, ERR_RETRY, "cancelled");
    err.domain = ERR_UV;
    err.code = UV_ECANCELED;
    end(r, FETCH_CANCELLED, &err);
    fetch__pump(f);
}

/* ---- open ------------------------------------------------------------------------------------ */

static int check_curl(struct err *err)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    const int needed = CURL_VERSION_ASYNCHDNS | CURL_VERSION_SSL;
    if ((v->features & needed) == needed) {
        return 0;
    }
    return err_set(err, ERR_CONF, ERR_PERMANENT, "libcurl %s has no %s; install Debian's libcurl4",
                   v->version, v->features & CURL_VERSION_SSL ? "thread to resolve names" : "TLS");
}

/* curl would say so with every request. */
static int check_ca(const char *path, struct err *err)
{
    BIO *in = BIO_new_file(path, "r");
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool fine = cert;
    X509_free(cert);
    BIO_free(in);
    ERR_clear_error();
    return fine ? 0
                : err_set(err, ERR_CONF, ERR_PERMANENT, "%s: no certificate can be read there",
                          path);
}

static int global_init(struct err *err)
{
    static bool done;
    if (!done && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return err_set(err, ERR_SYS, ERR_RETRY, "libcurl could not be initialised");
    }
    done = true;
    return check_curl(err);
}

static char *dup_or_null(const char *s)
{
    return s ? mem_strdup(s) : NULL;
}

static void copy_conf(struct fetch_conf *to, const struct fetch_conf *from)
{
    CHECK(from->user_agent && from->user_agent[0] && !strpbrk(from->user_agent, "\r\n"));
    *to = *from;
    to->user_agent = mem_strdup(from->user_agent);
    to->ca_file = dup_or_null(from->ca_file);
    to->proxy = dup_or_null(from->proxy);
    to->max_total = from->max_total ? from->max_total : 16;
    to->max_per_host = from->max_per_host ? from->max_per_host : 4;
    to->connect_timeout_ms = from->connect_timeout_ms ? from->connect_timeout_ms : 10000;
    to->stall_timeout_ms = from->stall_timeout_ms ? from->stall_timeout_ms : 60000;
    CHECK(to->max_total <= MAX_TOTAL && to->connect_timeout_ms > 0 && to->stall_timeout_ms > 0);
}

struct fetch *fetch_open(struct loop *l, const struct fetch_conf *conf, struct err *err)
{
    if (global_init(err) != 0 || (conf->ca_file && check_ca(conf->ca_file, err) != 0)) {
        return NULL;
    }
    struct fetch *f = mem_alloc(sizeof(*f));
    f->magic = FETCH_MAGIC;
    f->loop = l;
    f->deadline_ms = INT64_MAX;
    copy_conf(&f->conf, conf);
    CHECK(uv_timer_init(loop_uv(l), &f->timer) == 0);
    CHECK(uv_timer_init(loop_uv(l), &f->deadline) == 0);
    f->handles = 2;
    fetch__multi_open(f);
    return f;
}

/* ---- close ----------------------------------------------------------------------------------- */

void fetch__handle_closed(struct fetch *f)
{
    CHECK(f->handles > 0);
    if (--f->handles > 0) {
        return;
    }
    struct op *op = f->close_op;
    /* Ours, although others may only read them. */
    mem_free((char *)f->conf.user_agent);
    mem_free((char *)f->conf.ca_file);
    mem_free((char *)f->conf.proxy);
    f->magic = 0;
    mem_free(f);
    op_finish(op, NULL);
}

static void timer_closed(uv_handle_t *h)
{
    uv_timer_t *t = (uv_timer_t *)(void *)h;
    fetch__handle_closed(t->data);
}

static void cancel_list(struct fetch__list *l)
{
    while (l->first) {
        op_cancel(&l->first->op);
    }
}

void fetch_close(struct fetch *f, struct op *op)
{
    fetch__check(f);
    CHECK(!f->closing);
    op_init(op, f->loop, NULL);
    op_begin(op);
    f->closing = true;
    f->close_op = op;
    /* Who waits first, lest it be started. */
    cancel_list(&f->waiting);
    cancel_list(&f->running);
    fetch__multi_close(f);
    f->timer.data = f->deadline.data = f;
    uv_close((uv_handle_t *)&f->timer, timer_closed);
    uv_close((uv_handle_t *)&f->deadline, timer_closed);
}
