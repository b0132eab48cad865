/* No secret gets into a message or a line of the log, however a request ends. */
#include "unit/fetch/rig.h"

#define TOKEN    "t0ken-of-somebody"
#define PASSWORD "pa55word-of-somebody"
#define BASIC64  "bWU6cGE1NXdvcmQtb2Ytc29tZWJvZHk=" /* me:PASSWORD */
#define QUERY    "query-5ecret"
#define FORM     "form-5ecret"
#define PATH     "path-5ecret"
#define ANSWER   "an5wered-secret"

static const char *const secrets[] = {TOKEN, PASSWORD, BASIC64, QUERY, FORM, PATH, ANSWER};

static void check_silent(const char *where, const char *text)
{
    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        if (strcasestr(text, secrets[i])) {
            fail_msg("%s tells %s:\n%s", where, secrets[i], text);
        }
    }
}

/* What happens to the request. */
enum { ANSWERED, CUT, NONSENSE, LARGE, NEVER, WAYS };

static void serve_way(struct peer *p)
{
    while (peer_read(p)) {
        int way = strstr(p->request.p, "way=") ? strstr(p->request.p, "way=")[4] - '0' : ANSWERED;
        int status = strstr(p->request.p, "status=")
                         ? (int)strtol(strstr(p->request.p, "status=") + 7, NULL, 10)
                         : 200;
        if (way == CUT) {
            peer_send(p, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" ANSWER);
            return;
        } else if (way == NONSENSE) {
            peer_send(p, ANSWER "\r\n\r\n");
            return;
        } else if (way == LARGE) {
            peer_answer(p, status, "", SPAN(ANSWER ANSWER ANSWER ANSWER ANSWER ANSWER));
        } else if (way == NEVER) {
            peer_until_gone(p);
        } else {
            peer_answer(p, status,
                        "Location: https://a.test/?code=" ANSWER "\r\n"
                        "Set-Cookie: id=" ANSWER "\r\n",
                        SPAN(ANSWER));
        }
    }
}

static void ask(struct rig *g, const char *base, int way, int status, bool basic, bool bad)
{
    struct fetch_req r;
    struct err err = {0};
    fetch_init(&r, g->f, g->a, FETCH_POST, arena_printf(g->a, "%s/" PATH, base));
    fetch_secret_path(&r);
    fetch_limits(&r, 60, 64);
    if (basic) {
        fetch_basic(&r, "me", PASSWORD);
    } else {
        fetch_bearer(&r, bad ? TOKEN "\r\nX: y" : TOKEN);
    }
    fetch_query(&r, "way", arena_printf(g->a, "%d", way));
    fetch_query(&r, "status", arena_printf(g->a, "%d", status));
    fetch_query(&r, "client_secret", QUERY);
    fetch_form(&r, "client_secret", FORM);
    if (bad) {
        fetch_header(&r, "X-Key", FORM "\n");
    }
    fetch_send(&r);
    rig_wait(g, &r);
    int rc = fetch_class(&r, "asking", &err);
    assert_true(rc == -1 || (way == ANSWERED && status == 200));
    if (rc < 0) {
        log_err(LOG_LEVEL_ERROR, "it failed", &err);
        check_silent("the message", err.msg);
        assert_lacks(err.msg, "client_secret");
    }
    if (r.op.failed) {
        check_silent("the error", r.op.err.msg);
    }
    fetch_done(&r);
}

static void test_silence(void **state)
{
    (void)state;
    struct rig g;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    log_init(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT, out);
    struct server *s = server_open(serve_way, NULL);
    rig_open(&g, NULL);
    const char *base = rig_url(&g, s, "");
    for (int way = 0; way < WAYS; way++) {
        ask(&g, base, way, 200, false, false);
        ask(&g, base, way, 200, true, false);
    }
    static const int statuses[] = {302, 400, 401, 403, 404, 429, 500, 503};
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        ask(&g, base, ANSWERED, statuses[i], i % 2, false);
    }
    ask(&g, base, ANSWERED, 200, false, true);
    ask(&g, "http://a.invalid", ANSWERED, 200, false, false);
    ask(&g, "https://a.invalid", ANSWERED, 200, false, false);
    ask(&g, "https://127.0.0.1:1", ANSWERED, 200, false, false);
    ask(&g, arena_printf(g.a, "https://127.0.0.1:%u", server_port(s)), ANSWERED, 200, false, false);
    ask(&g, "ftp://a.invalid", ANSWERED, 200, false, false);
    ask(&g, "https://" TOKEN ":" PASSWORD "@a.invalid", ANSWERED, 200, false, false);
    rig_close(&g);
    server_close(s);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT, NULL);
    assert_int_equal(fclose(out), 0);
    assert_has(text, "fetched");   /* the log was on */
    assert_has(text, "it failed"); /* both ways */
    check_silent("the log", text);
    assert_lacks(text, "client_secret");
    free(text);
}

/* Path and host are told where they are no secret, which is what helps most. */
static void test_what_is_told(void **state)
{
    (void)state;
    struct rig g;
    struct fetch_req r;
    struct err err;
    struct server *s = server_open(serve_way, NULL);
    rig_open(&g, NULL);
    rig_get(&g, &r, rig_url(&g, s, "/api/v3/athlete?status=404&" QUERY));
    assert_int_equal(fetch_class(&r, "reading the athlete", &err), -1);
    assert_string_equal(err.msg,
                        arena_printf(g.a,
                                     "reading the athlete: GET 127.0.0.1:%u/api/v3/athlete: "
                                     "answered 404",
                                     server_port(s)));
    fetch_done(&r);
    rig_close(&g);
    server_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
