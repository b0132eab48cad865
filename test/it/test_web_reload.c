/* What changes while it runs: settings by SIGHUP; and what systemd is told and hands over. This
 * program is also what starts the service with sockets, as systemd does: see activate(). */
#include "it/http.h"
#include "it/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOON_MS = 20000, CONFIGURATION = 78 };

#define LOCAL   "WAYMARK_ADMIN_LISTEN=127.0.0.1:0"
#define AGAIN   "the configuration was read again"
#define REFUSED "the configuration was not taken over"

/* ---- SIGHUP ---------------------------------------------------------------------------------- */

static unsigned times_in(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

/* Writes the file, tells the service, and waits for the line it says; what follows it. */
static const char *reload(struct it_proc *p, const char *file, const char *line)
{
    unsigned before = times_in(it_errors(p), line);
    (void)load_file("reload.toml", file);
    it_signal(p, SIGHUP);
    for (int64_t until = it_now_ms() + SOON_MS; times_in(it_errors(p), line) == before;
         it_pause_ms(10)) {
        if (it_now_ms() > until || it_ended(p))
            fail_msg("it does not say \"%s\": %s", line, it_errors(p));
    }
    it_pause_ms(20); /* the rest of the line */
    const char *last = it_errors(p);
    for (const char *at = last; (at = strstr(at, line)) != NULL; at++)
        last = at;
    return it_format("%.*s", (int)strcspn(last, "\n"), last);
}

static void must_say(const char *said, const char *what)
{
    if (!strstr(said, what))
        fail_msg("no \"%s\" in: %s", what, said);
}

static void logs_in(const char *at, const char *secret, int status)
{
    struct browser b = {.address = at};
    http_is(http_login(&b, secret), status);
}

static void settings_are_taken_over(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    char *path = load_file("reload.toml", "[admin]\nsecret = \"one\"\n");
    struct it_proc *p = it_serve(
        db, IT_LIST(LOCAL, it_format("WAYMARK_CONFIG=%s", path), "WAYMARK_PROCESSOR_POLL=1h"));
    const char *at = http_address(p, "admin");
    struct browser early = http_logged_in(at, "one");
    http_is(http_get(&early, "/admin"), 200);
    const char *said = reload(p, "[admin]\nsecret = \"one\"\n", AGAIN);
    must_say(said, "taken_over=nothing needs_a_restart=nothing");

    said = reload(p,
                  "[admin]\nsecret = \"two\"\n[log]\nlevel = \"debug\"\n"
                  "[processor]\ninterval = \"1s\"\nconcurrency = 7\n",
                  AGAIN);
    must_say(said, "taken_over=\"admin.secret, log.level, processor.interval\"");
    must_say(said, "needs_a_restart=processor.concurrency");
    logs_in(at, "one", 401);
    logs_in(at, "two", 303);
    http_is(http_get(&early, "/admin"), 303); /* who came in by the old one is out */
    it_wait_for(p, "level=debug", SOON_MS);
    /* What no trigger told of is found by looking, every second now. */
    it_exec(db, "SELECT it.scene()");
    assert_true(it_eventually(db, SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    it_exec(db, "SET session_replication_role = replica; SELECT it.walk(30, 2, 0.1, 0.3);"
                "RESET session_replication_role");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM activity_state WHERE activity_id = "
                              "30)") >= 0);
    /* What needs a restart is said again, until it is taken back. */
    said = reload(p,
                  "[admin]\nsecret = \"two\"\n[log]\nlevel = \"info\"\n"
                  "[processor]\ninterval = \"1s\"\nconcurrency = 7\n",
                  AGAIN);
    must_say(said, "taken_over=log.level needs_a_restart=processor.concurrency");
    said = reload(p, "[admin]\nsecret = \"two\"\n[processor]\ninterval = \"1s\"\n", AGAIN);
    must_say(said, "taken_over=nothing needs_a_restart=nothing");
    struct it_result r = it_serve_stop(p);
    assert_null(strstr(r.err, "two")); /* secrets are not told */
}

static void an_invalid_file_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"[admin]\nsecret = \"two\"\n[log]\nlevel = \"loud\"\n", "reload.toml:4"},
        {"[admin]\nsecret = \"two\"\nnonsense = 1\n", "nonsense"},
        {"[admin\n", "reload.toml:1"},
        {"[processor]\ninterval = \"1 fortnight\"\n", "[processor] interval"},
    };
    struct it_db *db = it_db_new();
    char *path = load_file("reload.toml", "[admin]\nsecret = \"one\"\n");
    struct it_proc *p = it_serve(db, IT_LIST(LOCAL, it_format("WAYMARK_CONFIG=%s", path)));
    const char *at = http_address(p, "admin");
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        must_say(reload(p, wrong[i][0], REFUSED), wrong[i][1]);
    assert_int_equal(unlink(path), 0);
    it_signal(p, SIGHUP);
    it_wait_for(p, "No such file", SOON_MS);
    logs_in(at, "two", 401);
    logs_in(at, "one", 303);
    must_say(reload(p, "[admin]\nsecret = \"two\"\n", AGAIN), "taken_over=admin.secret");
    logs_in(at, "two", 303);
    /* Several in a row, some of which may be one. */
    for (int i = 0; i < 20; i++)
        it_signal(p, SIGHUP);
    must_say(reload(p, "[admin]\nsecret = \"three\"\n", "taken_over=admin.secret"), "nothing");
    logs_in(at, "three", 303);
    it_serve_stop(p);
}

/* ---- what systemd is told -------------------------------------------------------------------- */

/* A socket as NOTIFY_SOCKET names it: a path, or "@name" of the abstract namespace. */
static int notify_socket(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    assert_true(n < sizeof(un.sun_path));
    memcpy(un.sun_path, name, n);
    if (name[0] == '@')
        un.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, size), 0);
    return fd;
}

/* The next one that is not the watchdog's, or "" when none comes. *dogs counts those. */
static const char *told(int fd, unsigned *dogs)
{
    for (;;) {
        char text[512];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, SOON_MS) <= 0)
            return "";
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        if (strcmp(text, "WATCHDOG=1") != 0)
            return it_format("%s", text);
        (*dogs)++;
    }
}

static void follow(const char *name, bool watchdog)
{
    struct it_db *db = it_db_new();
    int fd = notify_socket(name);
    unsigned dogs = 0;
    char *path = load_file("reload.toml", "");
    struct it_proc *p = it_start(
        db,
        IT_LIST(it_format("NOTIFY_SOCKET=%s", name), "WATCHDOG_USEC=200000",
                it_format("WAYMARK_CONFIG=%s", path), watchdog ? "LANG=C" : "WATCHDOG_PID=1"),
        IT_LIST("serve"));
    assert_true(strncmp(told(fd, &dogs), "READY=1\n", 8) == 0);
    assert_int_equal(dogs, 0);
    it_wait_for(p, "waymark is running", SOON_MS);
    it_pause_ms(1000);
    it_signal(p, SIGHUP);
    const char *text = told(fd, &dogs);
    long long us;
    assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%lld", &us), 1);
    assert_true(us / 1000 <= it_now_ms() && us / 1000 > it_now_ms() - SOON_MS);
    assert_string_equal(told(fd, &dogs), "READY=1");
    if (watchdog)
        assert_true(dogs >= 5 && dogs <= 12); /* ten of 100 ms, on a busy machine */
    else
        assert_int_equal(dogs, 0); /* it is meant for somebody else */
    (void)load_file("reload.toml", "nonsense");
    it_signal(p, SIGHUP);
    assert_true(strncmp(told(fd, &dogs), "RELOADING=1\n", 12) == 0);
    assert_string_equal(told(fd, &dogs), "READY=1"); /* it goes on as it was */
    it_signal(p, SIGTERM);
    assert_true(strncmp(told(fd, &dogs), "STOPPING=1\n", 11) == 0);
    assert_int_equal(it_wait(p, SOON_MS).status, 0);
    close(fd);
}

static void systemd_is_told(void **state)
{
    (void)state;
    follow(it_format("%s/notify", it_home()), true);
    follow(it_format("@waymark-test-%d", (int)getpid()), false);
    /* Nobody listens, or the name is none. */
    struct it_db *db = it_db_new();
    static const char *const names[] = {"NOTIFY_SOCKET=/nowhere/at/all", "NOTIFY_SOCKET=x",
                                        "NOTIFY_SOCKET=@"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
        it_serve_stop(it_serve(db, IT_LIST(names[i], "WATCHDOG_USEC=x")));
}

/* ---- sockets from systemd -------------------------------------------------------------------- */

/* As the program `it_start_program` starts: `activate NAMES PID BINARY ARGS...` opens a socket for
 * each of the names, separated by ':', hands them over and becomes the binary. PID "self" or any
 * number. A name that ends in '!' gets a descriptor that is no socket. */
static int activate(char **argv)
{
    int n = 0;
    char names[200] = "", pid[24], count[24];
    for (const char *p = argv[2]; *p; n++) {
        size_t len = strcspn(p, ":");
        struct sockaddr_in in = {.sin_family = AF_INET};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bool bad = len > 0 && p[len - 1] == '!';
        int fd = bad ? open("/dev/null", O_RDONLY) : socket(AF_INET, SOCK_STREAM, 0);
        if (!bad && (bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(fd, 8) != 0))
            return 1;
        if (fd != 3 + n)
            return 1;
        size_t used = strlen(names);
        snprintf(names + used, sizeof(names) - used, "%s%.*s", used ? ":" : "", (int)len - bad, p);
        p += len + (p[len] == ':');
    }
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    snprintf(count, sizeof(count), "%d", n);
    setenv("LISTEN_FDNAMES", names, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_PID", strcmp(argv[3], "self") == 0 ? pid : argv[3], 1);
    execv(argv[4], argv + 4);
    return 126;
}

static struct it_proc *activated(struct it_db *db, const char *const *env, const char *names,
                                 const char *pid)
{
    return it_start_program("/proc/self/exe", db, env,
                            IT_LIST("activate", names, pid, it_binary(), "serve"));
}

#define HTTP   "WAYMARK_HTTP_LISTEN=systemd"
#define ADMIN  "WAYMARK_ADMIN_LISTEN=systemd"
#define SECRET "WAYMARK_ADMIN_SECRET=open sesame"

static void sockets_are_taken_over(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    struct it_proc *p =
        activated(db, IT_LIST(HTTP, ADMIN, SECRET), "other:admin:http:http", "self");
    it_wait_for(p, "waymark is running", SOON_MS);
    const char *all = it_errors(p);
    assert_int_equal(times_in(all, "msg=\"listening\" listener=http address=127.0.0.1:"), 2);
    assert_int_equal(times_in(all, "msg=\"listening\" listener=admin address=127.0.0.1:"), 1);
    http_is(http_ask(http_address(p, "admin"), "GET", "/healthz", NULL, NULL), 200);
    http_is(http_ask(http_address(p, "http"), "GET", "/", NULL, NULL), 200);
    http_is(http_ask(http_address(p, "http"), "GET", "/healthz", NULL, NULL), 404);
    it_serve_stop(p);
    /* Some of both. */
    p = activated(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0, systemd", SECRET), "http", "self");
    it_wait_for(p, "waymark is running", SOON_MS);
    assert_int_equal(times_in(it_errors(p), "listener=http address=127.0.0.1:"), 2);
    it_serve_stop(p);
}

static void sockets_that_are_not_there(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    static const struct {
        const char *names, *pid, *says;
    } row[] = {
        {"admin", "self", "FileDescriptorName=http"},
        {"https:xhttp:", "self", "FileDescriptorName=http"},
        {"http", "1", "FileDescriptorName=http"}, /* they are somebody else's */
        {"http", "-", "FileDescriptorName=http"},
        {"http!", "self", "http.listen"},
    };
    for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
        struct it_result r =
            it_wait(activated(db, IT_LIST(HTTP), row[i].names, row[i].pid), SOON_MS);
        if (r.status != CONFIGURATION)
            fail_msg("%s: ended with %d: %s", row[i].names, r.status, r.err);
        load_one_line(&r, row[i].says);
    }
}

int main(int argc, char **argv)
{
    if (argc > 4 && strcmp(argv[1], "activate") == 0)
        return activate(argv);
    const struct CMUnitTest tests[] = {
        IT_TEST(settings_are_taken_over),
        IT_TEST(an_invalid_file_changes_nothing),
        IT_TEST(systemd_is_told),
        IT_TEST(sockets_are_taken_over),
        IT_TEST(sockets_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
