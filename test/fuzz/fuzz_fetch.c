/* The head of an answer: what is kept is within its limits and holds nothing that would break a
 * line; dates and waits are within theirs. */
#include "fetch/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1764367200 };

static void check_number(struct span s)
{
    int64_t us, ms;
    if (fetch__date_parse(s, &us) == 0) {
        CHECK(s.n == 29 && us % 1000000 == 0);
        CHECK(us > -62200000000000000 && us < 253402300800000000);
    }
    if (fetch__retry_after_parse(s, NOW_S * INT64_C(1000000), &ms) == 0) {
        CHECK(ms >= 0 && ms <= 86400000);
    }
}

static void check_kept(const struct fetch_req *r)
{
    unsigned n = 0;
    CHECK(r->nhead <= FETCH_MAX_HEADERS && r->head.n <= FETCH_KEPT_HEAD);
    for (const char *p = r->head.p; n < r->nhead; n++) {
        const char *value = p + strlen(p) + 1;
        CHECK(p[0] && fetch_answer_header(r, p));
        for (const char *c = p; *c; c++) {
            CHECK(fetch__is_tchar((unsigned char)*c));
        }
        for (const char *c = value; *c; c++) {
            CHECK((unsigned char)*c >= ' ' || *c == '\t');
        }
        p = value + strlen(value) + 1;
        CHECK(p <= r->head.p + r->head.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fetch_req r = {.date_us = INT64_MIN};
    struct span rest = {(const char *)data, size};
    check_number(rest);
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct span line = {rest.p, end ? (size_t)(end - rest.p) + 1 : rest.n};
        fetch__head_line(&r, line, NOW_S * INT64_C(1000000));
        rest = (struct span){rest.p + line.n, rest.n - line.n};
    }
    check_kept(&r);
    CHECK(r.status == 0 || (r.status >= 100 && r.status <= 999));
    CHECK(!r.head_over || r.status >= 200);
    CHECK(r.retry_after_ms >= 0 && r.retry_after_ms <= 86400000);
    fetch_done(&r);
    return 0;
}
