/* What answers say besides what was asked for: errors, limits, tokens. Pure. */
#include <jansson.h>
#include <math.h>
#include <strings.h>

#include "strava/internal.h"
#include "strava/work.h"

/* ---- faults ---------------------------------------------------------------------------------- */

enum { FAULT_BYTES = 64 * 1024, FAULT_DEPTH = 8 };

static void take_text(const json_t *o, const char *key, char *ret, size_t size)
{
    struct span s = strava__json_text(o, key, size - 1);
    memcpy(ret, s.n ? s.p : "", s.n);
    ret[s.n] = '\0';
    text_tame(ret);
}

static void read_errors(const json_t *errors, struct strava__fault *ret)
{
    for (size_t i = 0; i < json_array_size(errors) && ret->n < COUNT_OF(ret->error); i++) {
        const json_t *e = json_array_get(errors, i);
        if (json_is_object(e)) {
            take_text(e, "resource", ret->error[ret->n].resource, sizeof(ret->error[0].resource));
            take_text(e, "field", ret->error[ret->n].field, sizeof(ret->error[0].field));
            take_text(e, "code", ret->error[ret->n].code, sizeof(ret->error[0].code));
            ret->n++;
        }
    }
}

/* {"message":...,"errors":[...]}, where errors may be missing or, long ago, a string. */
void strava__fault_read(struct buf *body, struct strava__fault *ret)
{
    *ret = (struct strava__fault){.readable = false};
    if (span_trim(buf_span(body)).n == 0) {
        ret->readable = true;
        return;
    }
    json_t *root = strava__json(body, FAULT_BYTES, FAULT_DEPTH, NULL);
    const json_t *errors = json_object_get(root, "errors");
    take_text(root, "message", ret->message, sizeof(ret->message));
    read_errors(errors, ret);
    ret->readable = json_is_string(json_object_get(root, "message")) || json_is_array(errors) ||
                    json_is_string(errors);
    json_decref(root);
}

static bool is_like(const char *text, const char *want)
{
    return !want || strcasecmp(text, want) == 0;
}

bool strava__fault_has(const struct strava__fault *f, const char *resource, const char *field,
                       const char *code)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (is_like(f->error[i].resource, resource) && is_like(f->error[i].field, field) &&
            is_like(f->error[i].code, code)) {
            return true;
        }
    }
    return false;
}

/* AccessToken/activity:read_permission/missing and its kin. */
static bool lacks_permission(const struct strava__fault *f)
{
    static const char word[] = "permission";
    for (unsigned i = 0; i < f->n; i++) {
        size_t n = strlen(f->error[i].field);
        if (n >= strlen(word) && is_like(f->error[i].field + n - strlen(word), word) &&
            is_like(f->error[i].code, "missing")) {
            return true;
        }
    }
    return false;
}

enum strava__verdict strava__judge(int status, const struct strava__fault *f)
{
    if (status >= 200 && status < 300) {
        return STRAVA__OK;
    }
    if (status == 429) {
        return STRAVA__LIMITED;
    }
    /* A page of a proxy or a wrong address is no word of Strava's: what it says is not there may be
     * there. */
    if (status < 400 || status >= 500 || status == 408 || status == 425 || !f->readable) {
        return STRAVA__TRANSIENT;
    }
    if (status == 404) {
        return STRAVA__NOT_FOUND;
    }
    if ((status == 401 || status == 403) && lacks_permission(f)) {
        return STRAVA__NO_SCOPE;
    }
    if (status == 403 && strava__fault_has(f, "Application", "Status", "Inactive")) {
        return STRAVA__INACTIVE;
    }
    return status == 401 ? STRAVA__BAD_TOKEN : STRAVA__REFUSED;
}

enum strava__grant_verdict strava__judge_grant(int status, const struct strava__fault *f)
{
    if (status >= 200 && status < 300) {
        return STRAVA__GRANTED;
    }
    if (!f->readable) {
        return STRAVA__UNSURE;
    }
    if (status == 400 && strava__fault_has(f, "RefreshToken", NULL, "invalid")) {
        return STRAVA__DEAD;
    }
    if (status == 400 && (strava__fault_has(f, "AuthorizationCode", NULL, NULL) ||
                          strava__fault_has(f, "RequestToken", NULL, NULL))) {
        return STRAVA__BAD_CODE;
    }
    if (status == 401 || (status == 400 && strava__fault_has(f, "Application", NULL, "invalid"))) {
        return STRAVA__BAD_CLIENT;
    }
    if (status == 403 && (strava__fault_has(f, NULL, NULL, "exceeded") ||
                          strcasestr(f->message, "limit exceeded"))) {
        return STRAVA__FULL;
    }
    return STRAVA__UNSURE;
}

int strava__answer_err(const struct fetch_req *r, const char *what, const struct strava__fault *f,
                       struct err *err)
{
    if (fetch_class(r, what, err) == 0) {
        return err_set(err, ERR_DATA, ERR_RETRY, "%s: the answer is not what it should be", what);
    }
    size_t n = strlen(err->msg);
    if (f->n > 0) {
        snprintf(err->msg + n, sizeof(err->msg) - n, " (%s/%s/%s)", f->error[0].resource,
                 f->error[0].field, f->error[0].code);
    } else if (f->message[0]) {
        snprintf(err->msg + n, sizeof(err->msg) - n, " (%s)", f->message);
    }
    if (r->op.failed ? r->failure == FETCH_TOO_LARGE : r->status < 400 || !f->readable) {
        err->class = ERR_RETRY;
    }
    return -1;
}

/* ---- limits ---------------------------------------------------------------------------------- */

enum { CALLS_MAX = 1000000, WINDOWS = 2 };

/* "100,1000": of a quarter hour and of a day. All -1 if it is not that. */
static void read_two(const char *text, int64_t ret[WINDOWS])
{
    struct span s = span_of(text);
    const char *comma = s.n ? memchr(s.p, ',', s.n) : NULL;
    ret[0] = ret[1] = -1;
    if (!comma) {
        return;
    }
    struct span first = span_trim((struct span){s.p, (size_t)(comma - s.p)});
    struct span second = span_trim((struct span){comma + 1, (size_t)(s.p + s.n - comma - 1)});
    int64_t a, b;
    if (span_to_i64(first, 0, INT64_MAX, &a) == 0 && span_to_i64(second, 0, INT64_MAX, &b) == 0) {
        ret[0] = a < CALLS_MAX ? a : CALLS_MAX;
        ret[1] = b < CALLS_MAX ? b : CALLS_MAX;
    }
}

void strava__budget_read(const char *limit, const char *usage, const char *read_limit,
                         const char *read_usage, struct strava__budget *ret)
{
    int64_t cap[2][WINDOWS], used[2][WINDOWS], best_cap[WINDOWS], best_used[WINDOWS];
    read_two(limit, cap[0]);
    read_two(usage, used[0]);
    read_two(read_limit, cap[1]);
    read_two(read_usage, used[1]);
    *ret = (struct strava__budget){.day_over = false};
    for (int w = 0; w < WINDOWS; w++) {
        int64_t least = INT64_MAX;
        best_cap[w] = best_used[w] = -1;
        for (int k = 0; k < 2; k++) {
            int64_t left = cap[k][w] - (used[k][w] > 0 ? used[k][w] : 0);
            if (cap[k][w] > 0 && left < least) {
                least = left;
                best_cap[w] = cap[k][w];
                best_used[w] = used[k][w];
            }
        }
        ret->day_over = w == 1 && best_cap[w] > 0 && best_used[w] >= best_cap[w];
    }
    ret->cap15 = best_cap[0];
    ret->used15 = best_used[0];
    ret->capday = best_cap[1];
    ret->usedday = best_used[1];
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static const int64_t LIFE_MAX_S = 366 * 86400, LIFE_UNSAID_S = 3600;

/* What a header field can carry. */
static int take_token(const json_t *root, const char *key, char ret[STRAVA__TOKEN])
{
    struct span s = strava__json_text(root, key, STRAVA__TOKEN);
    if (s.n == 0 || s.n >= STRAVA__TOKEN) {
        return -1;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') {
            return -1;
        }
    }
    memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return 0;
}

/* expires_in needs nobody's clock. expires_at, against the clock of the same answer, must not say
 * less. */
static int64_t life_of(const json_t *root, int64_t date_us)
{
    int64_t in, at;
    if (strava__json_i64(root, "expires_in", 1, &in) != 0 || in > LIFE_MAX_S) {
        in = LIFE_MAX_S + 1;
    }
    if (date_us != INT64_MIN && strava__json_i64(root, "expires_at", 1, &at) == 0) {
        at = at < INT64_MAX / 2 ? at - date_us / 1000000 : 0;
        in = at > 0 && at < in ? at : in;
    }
    return in <= LIFE_MAX_S ? in : LIFE_UNSAID_S;
}

int strava__pair_read(const struct json_t *root, int64_t date_us, struct strava__pair *ret)
{
    *ret = (struct strava__pair){.life_s = 0};
    if (take_token(root, "access_token", ret->access) != 0 ||
        take_token(root, "refresh_token", ret->refresh) != 0) {
        return -1;
    }
    ret->life_s = (double)life_of(root, date_us);
    return 0;
}
