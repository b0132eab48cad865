/* /healthz says that the process turns, /readyz that it can do its work or what keeps it from it;
 * and the listeners themselves: off, in use, wrongly given. */
#include "it/http.h"
#include "it/load.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

enum { SOON_MS = 15000, BEAT_OLD_MS = 20000, CONFIGURATION = 78 };

#define LOCAL  "WAYMARK_ADMIN_LISTEN=127.0.0.1:0"
#define SECRET "WAYMARK_ADMIN_SECRET=open sesame"

/* Names of what fails, in their order; and by that 200 or 503. */
static const char *failing(const char *address)
{
    struct http_answer a = http_ask(address, "GET", "/readyz", NULL, NULL);
    const char *names = "";
    for (const char *p = a.body; (p = strstr(p, "FAIL ")) != NULL;) {
        p += 5;
        names = it_format("%s%s%.*s", names, *names ? " " : "", (int)strcspn(p, ":"), p);
        assert_true(p[strcspn(p, ":")] == ':');
    }
    http_is(a, *names ? 503 : 200);
    http_is(http_ask(address, "GET", "/healthz", NULL, NULL), 200);
    return names;
}

static void must_fail(const char *address, const char *names, int64_t limit_ms)
{
    const int64_t until = it_now_ms() + limit_ms;
    const char *got;
    while (strcmp(got = failing(address), names) != 0) {
        if (it_now_ms() > until)
            fail_msg("\"%s\" fails, not \"%s\"", got, names);
        it_pause_ms(50);
    }
}

static void allow_connections(const struct it_db *db, bool yes)
{
    pg_cluster_exec(
        it_cluster(), "postgres",
        it_format("ALTER DATABASE %s ALLOW_CONNECTIONS %s", db->name, yes ? "true" : "false"));
}

static void signal_sessions(struct it_db *db, const char *program, int signum)
{
    PGresult *res = it_query(db,
                             "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                             "AND application_name = '%s'",
                             program);
    assert_true(PQntuples(res) > 0);
    for (int i = 0; i < PQntuples(res); i++)
        assert_int_equal(kill((pid_t)atoi(PQgetvalue(res, i, 0)), signum), 0);
}

/* One thing after the other breaks, is named alone, and is forgotten when it works again. A row
 * that is locked keeps the heartbeats waiting meanwhile, which takes its time to matter. */
static void what_fails_is_named(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, IT_LIST(LOCAL, SECRET));
    const char *at = http_address(p, "admin");
    must_fail(at, "", SOON_MS);
    PGconn *lock = PQconnectdb(db->url);
    int64_t locked_ms = it_now_ms();
    PQclear(PQexec(lock, "BEGIN; SELECT FROM q.instance FOR UPDATE"));

    it_exec(db, "ALTER TABLE schema_migration RENAME TO x; CREATE TABLE schema_migration AS SELECT "
                "* FROM x WHERE version < 8");
    must_fail(at, "migrations", 0);
    it_exec(db, "DROP TABLE schema_migration; ALTER TABLE x RENAME TO schema_migration");
    must_fail(at, "", 0);

    allow_connections(db, false);
    it_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                "current_database() AND query ILIKE 'LISTEN%%'");
    must_fail(at, "listen", SOON_MS);
    allow_connections(db, true);
    must_fail(at, "", SOON_MS);

    signal_sessions(db, "waymark-web", SIGSTOP); /* it hangs, and hangs up on nobody */
    assert_string_equal(failing(at), "database");
    signal_sessions(db, "waymark-web", SIGCONT);
    must_fail(at, "", SOON_MS);

    if (it_now_ms() < locked_ms + BEAT_OLD_MS)
        it_pause_ms(locked_ms + BEAT_OLD_MS - it_now_ms());
    must_fail(at, "heartbeat", SOON_MS);
    PQfinish(lock);
    must_fail(at, "", SOON_MS);
    it_serve_stop(p);
}

/* While running work ends it is not ready and can be watched; new requests go elsewhere. */
static void draining_it_is_not_ready(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "SELECT it.scene()");
    struct it_proc *p = it_serve(db, IT_LIST(LOCAL, SECRET, "WAYMARK_HTTP_LISTEN=127.0.0.1:0"));
    const char *at = http_address(p, "admin"), *front = http_address(p, "http");
    must_fail(at, "", SOON_MS);
    http_is(http_ask(front, "GET", "/", NULL, NULL), 200);
    http_is(http_ask(front, "GET", "/metrics", NULL, NULL), 404);
    http_is(http_ask(front, "GET", "/admin", NULL, NULL), 404);
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    PGconn *lock = PQconnectdb(db->url);
    PQclear(PQexec(lock, "BEGIN; LOCK TABLE route_sections IN EXCLUSIVE MODE"));
    it_exec(db, "SELECT it.walk(30, 1, 0.6, 0.7)");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM q.job WHERE state = 'running')") >= 0);
    it_signal(p, SIGTERM);
    must_fail(at, "serving", SOON_MS);
    assert_int_equal(http_connect(front), -1);
    struct http_answer a = http_ask(at, "GET", "/metrics", NULL, NULL);
    http_is(a, 200);
    http_has(a, "\nwaymark_ready 0\n");
    http_has(a, "\nwaymark_database_up 1\n");
    assert_false(it_ended(p));
    PQfinish(lock);
    assert_int_equal(it_wait(p, SOON_MS).status, 0);
    it_holds(db, "EXISTS (SELECT FROM activity_state WHERE activity_id = 30)");
    assert_int_equal(http_connect(at), -1);
}

static void the_database_goes_and_comes(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, IT_LIST(LOCAL, SECRET));
    const char *at = http_address(p, "admin");
    must_fail(at, "", SOON_MS);
    pg_cluster_halt(it_cluster(), SIGINT);
    http_is(http_ask(at, "GET", "/admin/login", NULL, NULL), 200);
    int fd = http_connect(at); /* waits as long as what comes next */
    http_send(fd, "POST /admin/login HTTP/1.1\r\nHost: x\r\nContent-Type: "
                  "application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\n"
                  "secret=open%20sesame");
    must_fail(at, "database listen", SOON_MS);
    assert_non_null(strstr(http_until(fd, "</html>", SOON_MS), "HTTP/1.1 503 "));
    close(fd);
    pg_cluster_resume(it_cluster());
    must_fail(at, "", SOON_MS);
    PQreset(db->pg);
    it_serve_stop(p);
}

/* ---- the listeners ------------------------------------------------------------------------- */

static unsigned listening_sockets(const struct it_proc *p)
{
    unsigned n = 0;
    char path[300], link[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)it_pid(p));
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%.40s", (int)it_pid(p), d->d_name);
        ssize_t len = readlink(path, link, sizeof(link) - 1);
        if (len < 9 || strncmp(link, "socket:[", 8) != 0)
            continue;
        link[len - 1] = '\0';
        FILE *f = fopen("/proc/net/tcp", "re");
        while (f && fgets(line, sizeof(line), f))
            n += strstr(line, " 0A ") && strstr(line, it_format(" %s ", link + 8));
        if (f)
            fclose(f);
        f = fopen("/proc/net/unix", "re");
        while (f && fgets(line, sizeof(line), f))
            n += strstr(line, " 00010000 0001 01 ") && strstr(line, link + 8);
        if (f)
            fclose(f);
    }
    closedir(dir);
    return n;
}

static void off_nothing_is_opened(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p = it_serve(db, NULL);
    assert_int_equal(listening_sockets(p), 0);
    assert_false(it_said(p, "listening"));
    assert_false(it_said(p, "secret"));
    it_holds(db, "NOT EXISTS (SELECT FROM web.secret)");
    it_serve_stop(p);
    char *path = it_format("WAYMARK_ADMIN_LISTEN=unix:%s/admin.sock,127.0.0.1:0", it_home());
    p = it_serve(db, IT_LIST(path, SECRET));
    assert_int_equal(listening_sockets(p), 2);
    must_fail(it_format("unix:%s/admin.sock", it_home()), "", SOON_MS);
    /* What a killed one leaves is taken over. */
    it_signal(p, SIGKILL);
    (void)it_wait(p, SOON_MS);
    p = it_serve(db, IT_LIST(path, SECRET));
    must_fail(it_format("unix:%s/admin.sock", it_home()), "", SOON_MS);
    it_serve_stop(p);
    assert_int_not_equal(access(it_format("%s/admin.sock", it_home()), F_OK), 0);
}

static void refused(struct it_db *db, const char *const *env, const char *says)
{
    struct it_result r = it_must(db, env, IT_LIST("serve"), CONFIGURATION);
    load_one_line(&r, says);
}

static void what_cannot_be_had_is_told(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    char *path = it_format("WAYMARK_ADMIN_LISTEN=unix:%s/taken.sock", it_home());
    struct it_proc *p = it_serve(db, IT_LIST(path, "WAYMARK_HTTP_LISTEN=127.0.0.1:0", SECRET));
    const char *taken = http_address(p, "http");
    refused(db, IT_LIST(it_format("WAYMARK_HTTP_LISTEN=%s", taken)), taken);
    refused(db, IT_LIST(it_format("WAYMARK_ADMIN_LISTEN=%s", taken), SECRET), "admin.listen");
    refused(db, IT_LIST(path, SECRET), "taken.sock");
    refused(db, IT_LIST("WAYMARK_HTTP_LISTEN=nonsense"), "nonsense");
    refused(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0,,127.0.0.1:0"), "empty");
    refused(db, IT_LIST("WAYMARK_HTTP_LISTEN=off,127.0.0.1:0"), "off");
    refused(db, IT_LIST("WAYMARK_HTTP_LISTEN=systemd"), "FileDescriptorName=http");
    refused(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_HTTP_TRUSTED_PROXIES=10.0/8"),
            "http.trusted_proxies");
    refused(db, IT_LIST(LOCAL, SECRET, "WAYMARK_ADMIN_TRUSTED_PROXIES=::1,me"),
            "admin.trusted_proxies");
    /* Who was there first is not disturbed. */
    must_fail(it_format("unix:%s/taken.sock", it_home()), "", SOON_MS);
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(what_fails_is_named),         IT_TEST(draining_it_is_not_ready),
        IT_TEST(the_database_goes_and_comes), IT_TEST(off_nothing_is_opened),
        IT_TEST(what_cannot_be_had_is_told),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
