/* What is said of an error, of limits and of tokens, by anybody: it comes out within its bounds,
 * and with any status has one meaning. The first line is a header, the rest a body. */
#include <jansson.h>
#include <string.h>

#include "strava/internal.h"
#include "strava/work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t room)
{
    CHECK(strlen(s) < room && span_utf8_valid(span_of(s)));
    for (; *s; s++) {
        CHECK((unsigned char)*s >= ' ' && *s != 0x7f);
    }
}

static void check_fault(struct buf *body)
{
    static const int status[] = {200, 302, 400, 401, 403, 404, 408, 429, 500, 0};
    struct strava__fault f;
    strava__fault_read(body, &f);
    CHECK(f.n <= COUNT_OF(f.error));
    check_text(f.message, sizeof(f.message));
    for (unsigned i = 0; i < f.n; i++) {
        check_text(f.error[i].resource, sizeof(f.error[i].resource));
        check_text(f.error[i].field, sizeof(f.error[i].field));
        check_text(f.error[i].code, sizeof(f.error[i].code));
    }
    for (size_t i = 0; i < COUNT_OF(status); i++) {
        enum strava__verdict v = strava__judge(status[i], &f);
        enum strava__grant_verdict g = strava__judge_grant(status[i], &f);
        CHECK((v == STRAVA__OK) == (status[i] == 200));
        CHECK((g == STRAVA__GRANTED) == (status[i] == 200));
        CHECK((v == STRAVA__LIMITED) == (status[i] == 429));
        CHECK(f.readable || (v != STRAVA__NOT_FOUND && v != STRAVA__INACTIVE));
        CHECK(f.readable || (g != STRAVA__DEAD && g != STRAVA__BAD_CLIENT));
        CHECK(v != STRAVA__NOT_FOUND || status[i] == 404);
        CHECK(g != STRAVA__DEAD || status[i] == 400);
    }
}

static void check_limits(const char *text)
{
    struct strava__budget b;
    strava__budget_read(text, "5,5", NULL, text, &b);
    CHECK(b.cap15 >= -1 && b.cap15 <= 1000000 && b.cap15 != 0);
    CHECK(b.capday >= -1 && b.capday <= 1000000 && b.capday != 0);
    strava__budget_read("100,1000", text, text, text, &b);
    CHECK(b.cap15 > 0 && b.cap15 <= 1000000 && b.used15 >= -1 && b.used15 <= 1000000);
    CHECK(b.capday > 0 && b.usedday >= -1 && b.usedday <= 1000000);
}

static void check_pair(struct buf *body)
{
    struct strava__pair p;
    json_t *root = strava__json(body, 65536, STRAVA__DEPTH_MAX, NULL);
    if (strava__pair_read(root, 1764576000000000, &p) == 0) {
        CHECK(p.life_s >= 1 && p.life_s <= 366 * 86400.0);
        CHECK(p.access[0] && !strpbrk(p.access, " \r\n") && strlen(p.access) < STRAVA__TOKEN);
        CHECK(p.refresh[0] && !strpbrk(p.refresh, " \r\n") && strlen(p.refresh) < STRAVA__TOKEN);
    }
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t head = end ? (size_t)(end - data) : 0, skip = end ? head + 1 : 0;
    struct buf line = {0}, body = {0};
    buf_put(&line, data, head);
    check_limits(line.p ? line.p : "");
    buf_put(&body, data + skip, size - skip);
    check_pair(&body);
    check_fault(&body);
    buf_done(&line);
    buf_done(&body);
    return 0;
}
