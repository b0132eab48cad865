/* Listeners: what is bound, errors that say what to do, sockets handed over, no descriptors left.
 */
#include "unit/httpd/rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void say_client(struct httpd_req *r, void *ctx)
{
    (void)ctx;
    httpd_text(r, 200, httpd_client_address(r));
}

static struct rig *bare(void)
{
    struct rig *g = rig_bare(NULL);
    rig_route(g, HTTPD_GET, "/", say_client, NULL);
    return g;
}

static void expect_answer(struct rig *g, const char *bound, const char *body)
{
    struct client *c = client_open_at(g, bound, NULL);
    client_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_has(client_answers(c, 1), body);
    client_close(c);
}

static void listen_at(struct rig *g, const char *address, unsigned mode)
{
    struct err err = {0};
    if (httpd_listen(g->h, address, mode, &err) < 0)
        fail_msg("%s", err.msg);
}

static void refuses(struct rig *g, const char *address, const char *part)
{
    struct err err = {0};
    assert_int_equal(httpd_listen(g->h, address, 0, &err), -1);
    assert_int_equal(err.domain, ERR_CONF);
    assert_int_equal(err_exit_status(&err), 78);
    assert_has(err.msg, address);
    assert_has(err.msg, part);
}

static bool has_v6(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool fine = fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0;
    close(fd);
    return fine;
}

static void test_tcp(void **state)
{
    (void)state;
    struct rig *g = bare();
    assert_null(httpd_bound(g->h, 0));
    listen_at(g, "127.0.0.1:0", 0);
    listen_at(g, "localhost:0", 0);
    assert_true(strncmp(httpd_bound(g->h, 0), "127.0.0.1:", 10) == 0);
    assert_string_not_equal(httpd_bound(g->h, 0), httpd_bound(g->h, 1));
    assert_null(httpd_bound(g->h, 2));
    expect_answer(g, httpd_bound(g->h, 0), "\r\n\r\n127.0.0.1");
    expect_answer(g, httpd_bound(g->h, 1), "\r\n\r\n127.0.0.1");
    if (has_v6()) {
        listen_at(g, "[::1]:0", 0);
        assert_true(strncmp(httpd_bound(g->h, 2), "[::1]:", 6) == 0);
        expect_answer(g, httpd_bound(g->h, 2), "\r\n\r\n::1");
    }
    rig_free(g);
}

static void test_errors(void **state)
{
    (void)state;
    struct rig *g = bare();
    static const char *const wrong[] = {"",
                                        "8080",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:-1",
                                        "example.org:80",
                                        "::1:80",
                                        "[::1]",
                                        "[127.0.0.1:80",
                                        "127.0.0.1:8o"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        refuses(g, wrong[i], "must be address:port");
    refuses(g, "unix:relative", "must be unix:/path");
    refuses(g, "unix:/nowhere/at/all/socket", "create its folder first");
    refuses(g, "192.0.2.1:0", "no interface");
    listen_at(g, "127.0.0.1:0", 0);
    refuses(g, httpd_bound(g->h, 0), "another process listens there");
    rig_free(g);
}

static void test_unix(void **state)
{
    (void)state;
    char folder[] = "/tmp/httpd-test.XXXXXX", address[64];
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof(address), "unix:%s/s", folder);
    const char *path = address + 5;
    struct rig *g = bare(), *other = bare();
    struct stat st;
    listen_at(g, address, 0666);
    assert_string_equal(httpd_bound(g->h, 0), address);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    expect_answer(g, address, "\r\n\r\nunix");
    refuses(other, address, "another process listens there"); /* somebody answers */
    expect_answer(g, address, "\r\n\r\nunix");
    rig_free(g);
    assert_int_equal(stat(path, &st), -1);
    /* Left over by a process that died. */
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    close(fd);
    listen_at(other, address, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    expect_answer(other, address, "\r\n\r\nunix");
    rig_free(other);
    /* A file that is no socket is nobody's to remove. */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    g = bare();
    refuses(g, address, "another process listens there");
    assert_int_equal(stat(path, &st), 0);
    rig_free(g);
    unlink(path);
    rmdir(folder);
}

static void test_inherited(void **state)
{
    (void)state;
    struct rig *g = bare();
    struct err err = {0};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(httpd_listen_fd(g->h, fd, &err), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    expect_answer(g, httpd_bound(g->h, 0), "\r\n\r\n127.0.0.1");
    int not_listening = socket(AF_INET, SOCK_STREAM, 0), file = open("/dev/null", O_RDONLY);
    assert_int_equal(httpd_listen_fd(g->h, not_listening, &err), -1);
    assert_has(err.msg, "not a listening stream socket");
    assert_int_equal(fcntl(not_listening, F_GETFD), -1); /* closed */
    assert_int_equal(httpd_listen_fd(g->h, file, &err), -1);
    rig_free(g);
}

/* Whoever comes when no descriptor is free is turned away at once, and the next one is served. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct rig *g = bare();
    listen_at(g, "127.0.0.1:0", 0);
    struct client *c[3];
    for (int i = 0; i < 3; i++)
        c[i] = client_open(g); /* in the backlog: nobody has turned the loop */
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest = dup(0);
    close(lowest);
    none = old;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 200 && httpd_stats(g->h)->refused_files < 3; i++)
        rig_turn(g, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(httpd_stats(g->h)->refused_files, 3);
    for (int i = 0; i < 3; i++) {
        client_until_eof(c[i]);
        assert_true(c[i]->eof || c[i]->reset);
        client_close(c[i]);
    }
    expect_answer(g, httpd_bound(g->h, 0), "\r\n\r\n127.0.0.1");
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_inherited),
        cmocka_unit_test(test_no_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
