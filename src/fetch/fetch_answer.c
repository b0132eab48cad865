/* What comes back: the head's fields, the body, and what class of outcome it makes. */
#include <stdarg.h>
#include <strings.h>

#include "fetch/internal.h"

enum { DAY_S = 86400, MAX_BACKOFF_MS = DAY_S * 1000 };

/* ---- dates ----------------------------------------------------------------------------------- */

int fetch__date_parse(struct span s, int64_t *ret_us)
{
    static const char days[] = "MonTueWedThuFriSatSun";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char shape[] = "Aaa, 00 Aaa 0000 00:00:00 GMT";
    char iso[40];
    if (s.n != sizeof(shape) - 1) {
        return -1;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        bool letter = i < 3 || (i >= 8 && i < 11);
        if (!letter && (shape[i] == '0' ? !digit : s.p[i] != shape[i])) {
            return -1;
        }
    }
    int month = 0;
    bool day = false;
    for (int i = 0; i < 12; i++) {
        month = memcmp(s.p + 8, months + (size_t)i * 3, 3) == 0 ? i + 1 : month;
        day |= i < 7 && memcmp(s.p, days + (size_t)i * 3, 3) == 0;
    }
    if (month == 0 || !day) {
        return -1;
    }
    snprintf(iso, sizeof(iso), "%.4s-%02d-%.2sT%.8sZ", s.p + 12, month, s.p + 5, s.p + 17);
    return time_parse_iso(span_of(iso), ret_us, NULL);
}

int fetch__retry_after_parse(struct span s, int64_t now_us, int64_t *ret_ms)
{
    int64_t seconds, at_us;
    bool digits = s.n > 0;
    for (size_t i = 0; i < s.n; i++) {
        digits &= s.p[i] >= '0' && s.p[i] <= '9';
    }
    if (digits) {
        /* More digits than a number holds are a long time too. */
        *ret_ms = span_to_i64(s, 0, DAY_S, &seconds) == 0 ? seconds * 1000 : MAX_BACKOFF_MS;
        return 0;
    }
    if (fetch__date_parse(s, &at_us) != 0) {
        return -1;
    }
    int64_t ms = (at_us - now_us + 999) / 1000;
    *ret_ms = ms < 0 ? 0 : ms > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : ms;
    return 0;
}

/* ---- the head -------------------------------------------------------------------------------- */

const char *fetch_answer_header(const struct fetch_req *r, const char *name)
{
    const char *p = r->head.p;
    for (unsigned i = 0; i < r->nhead; i++) {
        const char *value = p + strlen(p) + 1;
        if (strcasecmp(p, name) == 0) {
            return value;
        }
        p = value + strlen(value) + 1;
    }
    return NULL;
}

/* A new head: what an interim answer (1xx) said is over. */
static void begin_head(struct fetch_req *r, struct span line)
{
    int64_t status = 0;
    const char *space = memchr(line.p, ' ', line.n);
    struct span code = {space ? space + 1 : line.p, space ? 3 : 0};
    if (!space || line.p + line.n < code.p + 3 || span_to_i64(code, 100, 999, &status) != 0) {
        status = 0;
    }
    r->status = (int)status;
    r->coding = FETCH__PLAIN;
    buf_clear(&r->head);
    r->nhead = 0;
}

static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* More than one coding is more than we asked for. */
static void note_coding(struct fetch_req *r, struct span value)
{
    bool gzip = fetch__same_name(value, "gzip") || fetch__same_name(value, "x-gzip");
    if (value.n > 0 && !fetch__same_name(value, "identity")) {
        r->coding = gzip && r->coding == FETCH__PLAIN ? FETCH__GZIP : FETCH__UNKNOWN;
    }
}

/* What is no field (a folded line, a name with spaces, a control character) is nothing to us. */
static void add_field(struct fetch_req *r, struct span line)
{
    const char *colon = memchr(line.p, ':', line.n);
    struct span name = {line.p, colon ? (size_t)(colon - line.p) : 0};
    if (name.n == 0) {
        return;
    }
    struct span value = span_trim((struct span){colon + 1, line.n - name.n - 1});
    for (size_t i = 0; i < name.n; i++) {
        if (!fetch__is_tchar((unsigned char)name.p[i])) {
            return;
        }
    }
    if (fetch__same_name(name, "content-encoding")) {
        note_coding(r, value);
    }
    if (!is_clean(value) || r->nhead >= FETCH_MAX_HEADERS ||
        r->head.n + name.n + value.n + 2 > FETCH_KEPT_HEAD) {
        return;
    }
    CHECK(fetch__put(&r->head, name.p, name.n) == 0 && fetch__put(&r->head, "", 1) == 0);
    CHECK(fetch__put(&r->head, value.p, value.n) == 0 && fetch__put(&r->head, "", 1) == 0);
    r->nhead++;
}

static void end_head(struct fetch_req *r, int64_t now_us)
{
    const char *date = fetch_answer_header(r, "date");
    const char *retry = fetch_answer_header(r, "retry-after");
    r->head_over = true;
    if (!date || fetch__date_parse(span_of(date), &r->date_us) != 0) {
        r->date_us = INT64_MIN;
    }
    /* A date of theirs is seen from their clock, where we know it. */
    now_us = r->date_us == INT64_MIN ? now_us : r->date_us;
    if (!retry || fetch__retry_after_parse(span_of(retry), now_us, &r->retry_after_ms) != 0) {
        r->retry_after_ms = 0;
    }
}

void fetch__head_line(struct fetch_req *r, struct span line, int64_t now_us)
{
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r')) {
        line.n--;
    }
    if (r->head_over) {
        return; /* trailers say nothing that we would believe */
    }
    if (line.n == 0) {
        if (r->status >= 200) {
            end_head(r, now_us);
        }
    } else if (line.n > 5 && memcmp(line.p, "HTTP/", 5) == 0) {
        begin_head(r, line);
    } else {
        add_field(r, line);
    }
}

int fetch__body_add(struct fetch_req *r, struct span piece)
{
    if (piece.n > r->max_body - r->body.n) {
        return -1;
    }
    return fetch__put(&r->body, piece.p, piece.n);
}

/* ---- classes --------------------------------------------------------------------------------- */

static bool is_again(int status)
{
    return status == 408 || status == 425 || status == 429 || status / 100 == 5;
}

enum err_class fetch__too_large_class(const struct fetch_req *r)
{
    return is_again(r->status) ? ERR_RETRY : ERR_PERMANENT;
}

const char *fetch_failure_name(enum fetch_failure failure)
{
    static const char *const names[] = {"none",    "refused", "resolve",  "connect",   "tls",
                                        "timeout", "broken",  "protocol", "too_large", "cancelled"};
    _Static_assert(COUNT_OF(names) == FETCH_FAILURES, "a name each");
    return names[failure];
}

struct err *fetch__failed(const struct fetch_req *r, struct err *err, enum err_class class,
                          const char *fmt, ...)
{
    char where[256], why[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    err_set_code(err, ERR_HTTP, class, r->status, "%s: %s", fetch__where(r, where), why);
    err->retry_after_ms = r->retry_after_ms;
    return err;
}

int fetch_class(const struct fetch_req *r, const char *what, struct err *err)
{
    CHECK(r->op.state == OP_FINISHED || r->op.state == OP_DONE);
    if (!r->op.failed && r->status / 100 == 2) {
        return 0;
    }
    if (err && r->op.failed) {
        *err = r->op.err;
    } else if (err) {
        fetch__failed(r, err, is_again(r->status) ? ERR_RETRY : ERR_PERMANENT, "answered %d",
                      r->status);
    }
    return err_wrap(err, "%s: ", what);
}
