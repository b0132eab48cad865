/* One transfer: curl's options, what it hands over, and what its results mean. */
#include <sys/socket.h>

#include "fetch/internal.h"

#define SET(easy, option, value) CHECK(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

enum { STALL_BYTES_S = 64, MAX_OVERHEAD = 64 * 1024 };

/* ---- what comes in --------------------------------------------------------------------------- */

static size_t on_head(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch_req *r = ctx;
    struct fetch__xfer *x = r->xfer;
    x->head_n += size * n;
    if (x->head_n > FETCH_MAX_HEAD) {
        x->head_too_large = true;
        return 0;
    }
    fetch__head_line(r, (struct span){p, size * n}, clock_wall_us());
    return size * n;
}

/* As it comes: what is compressed may be a little longer than what it holds. */
static size_t most_bytes(const struct fetch_req *r)
{
    return r->max_body + r->max_body / 100 + MAX_OVERHEAD;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct fetch_req *r = ctx;
    struct fetch__xfer *x = r->xfer;
    struct span in = {p, size * n};
    enum fetch__piece result = FETCH__BAD;
    x->body_n += in.n;
    if (x->body_n > most_bytes(r)) {
        result = FETCH__OVER; /* however little comes out of it */
    } else if (r->coding == FETCH__GZIP) {
        result = fetch__gunzip(r, &x->gunzip, in);
    } else if (r->coding == FETCH__PLAIN) {
        result = fetch__body_add(r, in) == 0 ? FETCH__TAKEN : FETCH__OVER;
    }
    x->body_too_large = result == FETCH__OVER;
    x->body_bad = result == FETCH__BAD;
    return result == FETCH__TAKEN ? in.n : 0;
}

/* ---- options --------------------------------------------------------------------------------- */

static void set_rules(const struct fetch *f, CURL *easy)
{
    const struct fetch_conf *c = &f->conf;
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    /* Else the end of a request that is being resolved would wait for the resolver's thread. It is
     * detached instead, and frees what it has when it ends. */
    SET(easy, CURLOPT_QUICK_EXIT, 1L);
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    /* With a folder of certificates curl would parse the system's bundle for every connection; the
     * bundle alone it keeps for a day. */
    SET(easy, CURLOPT_CAPATH, NULL);
    if (c->ca_file) {
        SET(easy, CURLOPT_CAINFO, c->ca_file);
    }
    SET(easy, CURLOPT_USERAGENT, c->user_agent);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
    SET(easy, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_S);
    SET(easy, CURLOPT_LOW_SPEED_TIME, (long)((c->stall_timeout_ms + 999) / 1000));
    SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

/* "Name:" keeps curl from adding a field of its own: a wait for "100 Continue", a type for a body
 * that there is not. */
static struct curl_slist *lines_of(const struct fetch_req *r, struct fetch__xfer *x)
{
    static char no_expect[] = "Expect:", no_type[] = "Content-Type:";
    static char encoding[] = "Accept-Encoding: gzip";
    x->encoding = (struct curl_slist){encoding, r->lines};
    x->no_expect = (struct curl_slist){no_expect, &x->encoding};
    x->no_type = (struct curl_slist){no_type, &x->no_expect};
    return r->has_body ? &x->no_expect : &x->no_type;
}

static void set_request(const struct fetch_req *r, struct fetch__xfer *x)
{
    CURL *easy = x->easy;
    SET(easy, CURLOPT_URL, r->url.p);
    SET(easy, CURLOPT_HTTPHEADER, lines_of(r, x));
    /* "" is no proxy, whatever the environment says. */
    SET(easy, CURLOPT_PROXY, r->loopback || !r->fetch->conf.proxy ? "" : r->fetch->conf.proxy);
    SET(easy, CURLOPT_NOPROXY, "");
    if (r->method == FETCH_POST || r->method == FETCH_PUT || r->has_body) {
        SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->sent.n);
        SET(easy, CURLOPT_POSTFIELDS, r->sent.n ? r->sent.p : ""); /* not copied */
    }
    SET(easy, CURLOPT_CUSTOMREQUEST, fetch__method_name(r->method));
    SET(easy, CURLOPT_FRESH_CONNECT, r->method == FETCH_POST ? 1L : 0L);
}

/* curl's own would be inherited by the processes we start. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)ctx;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void set_ends(struct fetch_req *r, struct fetch__xfer *x)
{
    SET(x->easy, CURLOPT_PRIVATE, r);
    SET(x->easy, CURLOPT_ERRORBUFFER, x->detail);
    SET(x->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(x->easy, CURLOPT_HEADERFUNCTION, on_head);
    SET(x->easy, CURLOPT_HEADERDATA, r);
    SET(x->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(x->easy, CURLOPT_WRITEDATA, r);
}

void fetch__easy_start(struct fetch_req *r)
{
    struct fetch__xfer *x = r->xfer = mem_alloc(sizeof(*x));
    CHECK((x->easy = curl_easy_init()) != NULL);
    set_rules(r->fetch, x->easy);
    set_request(r, x);
    set_ends(r, x);
    CHECK(curl_multi_add_handle(r->fetch->multi, x->easy) == CURLM_OK);
}

uint64_t fetch__easy_end(struct fetch_req *r)
{
    struct fetch__xfer *x = r->xfer;
    curl_off_t body_n = 0;
    long head_n = 0;
    curl_easy_getinfo(x->easy, CURLINFO_SIZE_DOWNLOAD_T, &body_n);
    curl_easy_getinfo(x->easy, CURLINFO_HEADER_SIZE, &head_n);
    CHECK(curl_multi_remove_handle(r->fetch->multi, x->easy) == CURLM_OK);
    curl_easy_cleanup(x->easy);
    fetch__gunzip_done(&x->gunzip);
    mem_free(x);
    r->xfer = NULL;
    return (uint64_t)body_n + (uint64_t)head_n;
}

bool fetch__easy_connecting(const struct fetch_req *r)
{
    const struct fetch__xfer *x = r->xfer;
    curl_off_t us = 0;
    return curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us == 0;
}

/* ---- results --------------------------------------------------------------------------------- */

static enum fetch_failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return FETCH_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return FETCH_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return FETCH_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return FETCH_TIMEOUT;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        return FETCH_BROKEN;
    default:
        return FETCH_PROTOCOL;
    }
}

/* Of a connection that did not come up, curl's own words are the best there are: they hold names
 * and addresses, nothing of the request. */
static void explain(const struct fetch_req *r, enum fetch_failure failure, CURLcode code,
                    struct err *err)
{
    const struct fetch__xfer *x = r->xfer;
    const char *detail = x->detail[0] ? x->detail : curl_easy_strerror(code);
    char ms[32];
    switch (failure) {
    case FETCH_RESOLVE:
    case FETCH_CONNECT:
    case FETCH_TLS:
        fetch__failed(r, err, ERR_RETRY, "%s", detail);
        break;
    case FETCH_TIMEOUT:
        fetch__failed(r, err, ERR_RETRY,
                      fetch__easy_connecting(r) ? "no connection within %s" : "stalled for %s",
                      duration_format(fetch__easy_connecting(r) ? r->fetch->conf.connect_timeout_ms
                                                                : r->fetch->conf.stall_timeout_ms,
                                      ms));
        break;
    case FETCH_BROKEN:
        fetch__failed(r, err, ERR_RETRY, "the connection ended before the answer did (%s)",
                      code == CURLE_OK ? "it is cut off" : curl_easy_strerror(code));
        break;
    default:
        fetch__failed(r, err, ERR_RETRY, "the answer is not proper HTTP (%s)",
                      x->body_bad ? "its body is not coded as it says, or not as we asked"
                      : code == CURLE_OK || r->status == 101 ? "its status is none"
                                                             : curl_easy_strerror(code));
    }
}

/* curl is content with a head that is cut off, and knows nothing of what is compressed. */
static enum fetch_failure judge(const struct fetch_req *r, CURLcode code)
{
    const struct fetch__xfer *x = r->xfer;
    if (x->head_too_large || x->body_too_large) {
        return FETCH_TOO_LARGE;
    }
    if (x->body_bad || r->status == 101) {
        return FETCH_PROTOCOL;
    }
    if (code != CURLE_OK) {
        return failure_of(code);
    }
    if (!r->head_over) {
        return r->status == 0 ? FETCH_PROTOCOL : FETCH_BROKEN;
    }
    return fetch__gunzip_whole(&x->gunzip) ? FETCH_NONE : FETCH_BROKEN;
}

enum fetch_failure fetch__easy_result(const struct fetch_req *r, CURLcode code, struct err *err)
{
    enum fetch_failure failure = judge(r, code);
    if (failure == FETCH_TOO_LARGE && r->xfer->head_too_large) {
        fetch__failed(r, err, fetch__too_large_class(r), "the head of the answer is over %d bytes",
                      FETCH_MAX_HEAD);
    } else if (failure == FETCH_TOO_LARGE) {
        fetch__failed(r, err, fetch__too_large_class(r), "the answer is over %zu bytes",
                      r->max_body);
    } else if (failure != FETCH_NONE) {
        explain(r, failure, code, err);
    }
    return failure;
}
