/* Pages that are watched: an event first, then one for each change, and an end for every reason to
 * end. Nobody's stream is left behind. */
#include "it/http.h"

#include <signal.h>
#include <unistd.h>

enum { SOON_MS = 20000, LOOK_MS = 2000, MOST = 64 };

#define SECRET    "WAYMARK_ADMIN_SECRET=open sesame"
#define GIVEN     "open sesame"
#define EVENT     "event: page\ndata: "
#define EVENT_END "\n\n\r\n" /* and of its chunk */

static struct it_proc *serve(struct it_db *db, const char **address)
{
    *address = it_format("unix:%s/live.sock", it_home());
    return it_serve(db, IT_LIST(it_format("WAYMARK_ADMIN_LISTEN=%s", *address), SECRET));
}

static int watch(const struct browser *b, const char *page)
{
    int fd = http_connect(b->address);
    assert_true(fd >= 0);
    http_send(fd, it_format("GET /admin/live%s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", page,
                            b->cookie));
    return fd;
}

/* A stream that has had its first event. */
static int watched(const struct browser *b, const char *page)
{
    int fd = watch(b, page);
    const char *said = http_until(fd, EVENT_END, SOON_MS);
    if (strncmp(said, "HTTP/1.1 200 OK\r\n", 17) != 0 || !strstr(said, EVENT) ||
        !strstr(said, "Content-Type: text/event-stream\r\n"))
        fail_msg("no event: %s", said);
    return fd;
}

/* By its last chunk or by the end of the connection; the descriptor is closed. */
static void must_end(int fd)
{
    int64_t begun = it_now_ms();
    const char *said = http_until(fd, "0\r\n\r\n", SOON_MS);
    if (it_now_ms() - begun >= SOON_MS)
        fail_msg("it does not end: %s", said);
    close(fd);
}

static void must_be_watched(const char *address, int want)
{
    const char *line =
        it_format("\nwaymark_http_connections{listener=\"admin\",state=\"stream\"} %d\n", want);
    for (int64_t until = it_now_ms() + SOON_MS;; it_pause_ms(50)) {
        struct http_answer a = http_ask(address, "GET", "/metrics", NULL, NULL);
        if (strstr(a.body, line))
            return;
        if (it_now_ms() > until)
            http_has(a, line);
    }
}

static void events_tell_changes(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, &at);
    struct browser b = http_logged_in(at, GIVEN);
    int fd = watched(&b, "/rates"), queues = watched(&b, "/");
    assert_string_equal(http_until(fd, "event:", 2 * LOOK_MS + 500), "");
    it_exec(db, "INSERT INTO q.rate (name, cap15, capday) VALUES (E'<b>two\\nlines', 1, 1)");
    /* Each line of an event is data. */
    const char *said = http_until(fd, EVENT_END, SOON_MS);
    if (!strstr(said, EVENT) || !strstr(said, "&lt;b&gt;two\ndata: lines"))
        fail_msg("no event of the change: %s", said);
    it_exec(db, "INSERT INTO q.job (queue, kind, state) VALUES ('red', 'k', 'ready')");
    assert_non_null(strstr(http_until(queues, ">red</a>", SOON_MS), EVENT));
    must_be_watched(at, 2);
    /* Who goes is noticed. */
    close(fd);
    close(queues);
    must_be_watched(at, 0);
    http_is(http_ask(at, "HEAD", "/admin/live/", it_format("Cookie: %s\r\n", b.cookie), NULL), 200);
    http_is(http_get(&b, "/admin/live/audit"), 404); /* not one that is watched */
    http_is(http_get(&b, "/admin/live/jobs/x"), 404);
    it_serve_stop(p);
}

/* A page is the same however it comes. */
static void each_page_can_be_watched(void **state)
{
    (void)state;
    static const char *const pages[] = {"/",     "/jobs/1",    "/dead",       "/lanes",   "/rates",
                                        "/cron", "/instances", "/athletes/1", "/database"};
    const char *at;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO athletes (id) VALUES (1) ON CONFLICT DO NOTHING;"
                "INSERT INTO q.job (id, queue, kind, state) OVERRIDING SYSTEM VALUE VALUES "
                "(1, 'red', 'k', 'ready')");
    struct it_proc *p = serve(db, &at);
    struct browser b = http_logged_in(at, GIVEN);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        const char *page = strcmp(pages[i], "/") == 0 ? "" : pages[i];
        struct http_answer a = http_get(&b, it_format("/admin%s", page));
        http_is(a, 200);
        http_has(a, it_format("data-live=\"/admin/live%s\"", pages[i]));
        close(watched(&b, pages[i]));
    }
    must_be_watched(at, 0);
    it_serve_stop(p);
}

static void it_ends_with_the_login(void **state)
{
    (void)state;
    const char *at;
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, &at);
    struct browser b = http_logged_in(at, GIVEN), other = http_logged_in(at, GIVEN);
    int mine = watched(&b, "/cron"), theirs = watched(&other, "/cron");
    http_is(http_post(&b, "/admin/logout", it_format("csrf=%s", http_csrf(&b))), 303);
    must_end(mine);
    must_be_watched(at, 1);
    it_exec(db, "UPDATE web.session SET expires_at = now()");
    must_end(theirs);
    must_be_watched(at, 0);
    http_is(http_get(&other, "/admin/live/cron"), 401);
    it_serve_stop(p);
}

/* It does not keep the service from its end, nor others from what they ask. */
static void there_are_so_many_and_no_more(void **state)
{
    (void)state;
    const char *at;
    int fd[MOST];
    struct it_db *db = it_db_new();
    struct it_proc *p = serve(db, &at);
    struct browser b = http_logged_in(at, GIVEN);
    for (int i = 0; i < MOST; i++)
        fd[i] = watch(&b, "/rates");
    for (int i = 0; i < MOST; i++)
        assert_non_null(strstr(http_until(fd[i], EVENT, SOON_MS), EVENT));
    must_be_watched(at, MOST);
    struct http_answer a = http_get(&b, "/admin/live/rates");
    http_is(a, 503);
    http_has(a, "too many");
    http_is(http_get(&b, "/admin/rates"), 200);
    http_is(http_ask(at, "GET", "/readyz", NULL, NULL), 200);
    close(fd[0]);
    must_be_watched(at, MOST - 1);
    fd[0] = watched(&b, "/rates");
    it_signal(p, SIGTERM);
    for (int i = 0; i < MOST; i++)
        must_end(fd[i]);
    assert_int_equal(it_wait(p, SOON_MS).status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(events_tell_changes),
        IT_TEST(each_page_can_be_watched),
        IT_TEST(it_ends_with_the_login),
        IT_TEST(there_are_so_many_and_no_more),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
