/* What is read from an answer's head, and what class of outcome a status is. */
#include "fetch/internal.h"
#include "unit/fetch/rig.h"

/* 1994-11-06T08:49:37Z */
#define THEN    "Sun, 06 Nov 1994 08:49:37 GMT"
#define THEN_US 784111777000000

static void test_date(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } table[] = {
        {THEN, THEN_US},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199000000},
        {"Wed, 29 Feb 2023 00:00:00 GMT", -1},
        {"Sun, 31 Apr 1994 08:49:37 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:01 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
        {"Son, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {" Sun, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sunday, 06-Nov-94 08:49:37 GMT", -1},
        {"Sun Nov  6 08:49:37 1994", -1},
        {"1994-11-06T08:49:37Z", -1},
        {"unM, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 anF 1994 08:49:37 GMT", -1},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        int64_t us = -1;
        int rc = fetch__date_parse(span_of(table[i].text), &us);
        if (rc != (table[i].us < 0 ? -1 : 0) || (rc == 0 && us != table[i].us)) {
            fail_msg("\"%s\" gives %d, %lld", table[i].text, rc, (long long)us);
        }
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } table[] = {
        {"0", 0},
        {"1", 1000},
        {"007", 7000},
        {"120", 120000},
        {"86400", 86400000},
        {"86401", 86400000},
        {"99999999999999999999999999", 86400000},
        {"", -1},
        {"-1", -1},
        {"+1", -1},
        {"1.5", -1},
        {"1s", -1},
        {"1 ", -1},
        {"0x10", -1},
        {"soon", -1},
        {"1, 2", -1},
        {THEN, 0},
        {"Sun, 06 Nov 1994 08:49:38 GMT", 1000},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60000},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"Sat, 01 Jan 0001 00:00:00 GMT", 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 86400000},
        {"Sun, 06 Nov 1994 08:50:37", -1},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        int64_t ms = -1;
        int rc = fetch__retry_after_parse(span_of(table[i].text), THEN_US, &ms);
        if (rc != (table[i].ms < 0 ? -1 : 0) || (rc == 0 && ms != table[i].ms)) {
            fail_msg("\"%s\" gives %d, %lld", table[i].text, rc, (long long)ms);
        }
    }
}

/* ---- heads ------------------------------------------------------------------------------------
 */

static void give(struct fetch_req *r, const char *head)
{
    while (*head) {
        size_t n = strcspn(head, "\n") + 1;
        fetch__head_line(r, (struct span){head, n}, THEN_US);
        head += n;
    }
}

static void test_fields(void **state)
{
    (void)state;
    struct fetch_req r = {.date_us = INT64_MIN};
    give(&r, "HTTP/1.1 200 OK\r\nX-RateLimit-Usage: \t5,148 \r\nx-Empty:\r\nDup: 1\r\nDUP: 2\r\n"
             "Date: " THEN "\r\nnot a field\r\n: no name\r\nWith Space: x\r\n"
             "X-Ctl: a\x01z\r\n folded\r\nLatin: \xe4\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_string_equal(fetch_answer_header(&r, "x-ratelimit-usage"), "5,148");
    assert_string_equal(fetch_answer_header(&r, "X-EMPTY"), "");
    assert_string_equal(fetch_answer_header(&r, "dup"), "1");
    assert_string_equal(fetch_answer_header(&r, "latin"), "\xe4");
    assert_null(fetch_answer_header(&r, "With Space"));
    assert_null(fetch_answer_header(&r, "X-Ctl"));
    assert_null(fetch_answer_header(&r, ""));
    assert_null(fetch_answer_header(&r, "5,148"));
    assert_true(r.date_us == THEN_US);
    assert_int_equal(r.retry_after_ms, 0);
    /* Trailers change nothing. */
    give(&r, "Retry-After: 5\r\nHTTP/1.1 500 No\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_null(fetch_answer_header(&r, "retry-after"));
    assert_int_equal(r.retry_after_ms, 0);
    fetch_done(&r);
    assert_null(fetch_answer_header(&r, "dup"));
}

static void test_interim(void **state)
{
    (void)state;
    struct fetch_req r = {.date_us = INT64_MIN};
    give(&r, "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nLink: </a>\r\n\r\n");
    assert_false(r.head_over);
    give(&r, "HTTP/1.1 503 Busy\r\nretry-after: 7\r\n\r\n");
    assert_true(r.head_over);
    assert_int_equal(r.status, 503);
    assert_null(fetch_answer_header(&r, "link"));
    assert_int_equal(r.retry_after_ms, 7000);
    fetch_done(&r);
}

static void test_status_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
    } table[] = {
        {"HTTP/1.1 204 \r\n", 204}, {"HTTP/1.0 200\r\n", 200},  {"HTTP/1.1 99\r\n", 0},
        {"HTTP/1.1\r\n", 0},        {"HTTP/1.1 \r\n", 0},       {"HTTP/1.1 2x0 OK\r\n", 0},
        {"HTTP/1.1 -20 OK\r\n", 0}, {"HTTP/1.1 099 OK\r\n", 0}, {"HTTP/1.1 999 OK\r\n", 999},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct fetch_req r = {.status = 77};
        give(&r, table[i].line);
        assert_int_equal(r.status, table[i].status);
        fetch_done(&r);
    }
}

static void test_codings(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        enum fetch__coding coding;
    } table[] = {
        {"", FETCH__PLAIN},
        {"Content-Encoding:\r\n", FETCH__PLAIN},
        {"Content-Encoding: identity\r\n", FETCH__PLAIN},
        {"Content-Encoding: gzip\r\n", FETCH__GZIP},
        {"content-encoding: X-GZIP \r\n", FETCH__GZIP},
        {"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", FETCH__UNKNOWN},
        {"Content-Encoding: gzip, gzip\r\n", FETCH__UNKNOWN},
        {"Content-Encoding: br\r\n", FETCH__UNKNOWN},
        {"Content-Encoding: br\r\nContent-Encoding: gzip\r\n", FETCH__UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct fetch_req r = {.status = 0};
        give(&r, "HTTP/1.1 103 Hints\r\nContent-Encoding: br\r\n\r\nHTTP/1.1 200 OK\r\n");
        for (int k = 0; k < 70; k++) { /* also where no more fields are kept */
            give(&r, "a: b\r\n");
        }
        give(&r, table[i].fields);
        assert_int_equal(r.coding, table[i].coding);
        fetch_done(&r);
    }
}

static void test_head_limits(void **state)
{
    (void)state;
    struct fetch_req r = {.status = 0};
    struct buf line = {0};
    give(&r, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100; i++) {
        buf_clear(&line);
        buf_printf(&line, "x-%d: v\r\n", i);
        give(&r, line.p);
    }
    assert_int_equal(r.nhead, FETCH_MAX_HEADERS);
    assert_non_null(fetch_answer_header(&r, "x-63"));
    assert_null(fetch_answer_header(&r, "x-64"));
    fetch_done(&r);
    r = (struct fetch_req){.status = 0};
    give(&r, "HTTP/1.1 200 OK\r\n");
    buf_clear(&line);
    buf_printf(&line, "x-large: %08170d\r\n", 1);
    give(&r, line.p);
    give(&r, "x-fits: 1\r\nx-b: 2\r\n");
    assert_non_null(fetch_answer_header(&r, "x-large"));
    assert_non_null(fetch_answer_header(&r, "x-fits"));
    assert_null(fetch_answer_header(&r, "x-b"));
    assert_true(r.head.n <= FETCH_KEPT_HEAD);
    fetch_done(&r);
    buf_done(&line);
}

/* A date of theirs counts from their clock. */
static void test_retry_after_date(void **state)
{
    (void)state;
    struct fetch_req r = {.date_us = INT64_MIN};
    give(&r, "HTTP/1.1 429 X\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
             "Retry-After: Sat, 21 Nov 2026 10:00:30 GMT\r\n\r\n");
    assert_int_equal(r.retry_after_ms, 30000);
    fetch_done(&r);
    r = (struct fetch_req){.date_us = INT64_MIN};
    give(&r, "HTTP/1.1 429 X\r\nDate: today\r\nRetry-After: Sun, 06 Nov 1994 08:49:47 GMT\r\n\r\n");
    assert_true(r.date_us == INT64_MIN);
    assert_int_equal(r.retry_after_ms, 10000);
    fetch_done(&r);
}

static void test_body_limit(void **state)
{
    (void)state;
    struct fetch_req r = {.max_body = 10};
    assert_int_equal(fetch__body_add(&r, SPAN("0123456789")), 0);
    assert_int_equal(fetch__body_add(&r, SPAN("")), 0);
    assert_int_equal(fetch__body_add(&r, SPAN("x")), -1);
    assert_string_equal(r.body.p, "0123456789");
    fetch_done(&r);
    r = (struct fetch_req){.max_body = 0};
    assert_int_equal(fetch__body_add(&r, SPAN("x")), -1);
    fetch_done(&r);
}

/* ---- classes ----------------------------------------------------------------------------------
 */

static void test_classes(void **state)
{
    (void)state;
    for (int status = 200; status < 1000; status++) {
        struct fetch_req r = {.op.state = OP_DONE,
                              .status = status,
                              .method = FETCH_GET,
                              .host = "api.example.org",
                              .path = "/athlete",
                              .retry_after_ms = 5};
        struct err err = {0};
        int rc = fetch_class(&r, "reading the athlete", &err);
        bool again =
            status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
        assert_int_equal(rc, status < 300 ? 0 : -1);
        if (rc == 0) {
            continue;
        }
        char text[128];
        snprintf(text, sizeof(text),
                 "reading the athlete: GET api.example.org/athlete: answered %d", status);
        assert_string_equal(err.msg, text);
        assert_int_equal(err.domain, ERR_HTTP);
        assert_int_equal(err.code, status);
        assert_int_equal(err.class, again ? ERR_RETRY : ERR_PERMANENT);
        assert_int_equal(err.retry_after_ms, 5);
        assert_int_equal(fetch_class(&r, "x", NULL), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date),         cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_fields),       cmocka_unit_test(test_interim),
        cmocka_unit_test(test_status_lines), cmocka_unit_test(test_codings),
        cmocka_unit_test(test_head_limits),  cmocka_unit_test(test_retry_after_date),
        cmocka_unit_test(test_body_limit),   cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
