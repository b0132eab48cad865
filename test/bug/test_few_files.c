/* Where a process may open 1024 files, which is usual, whoever held a thousand connections to the
 * public listener left no descriptor for the admin's: health, metrics and pages were locked out,
 * and new connections to the database too. */
#include "hostile/hostile.h"

enum { CROWD = 600 };

static struct storm storm;

static int health(void)
{
    char answer[2048] = "";
    int fd = hostile_connect(&storm, HOSTILE_ADMIN, "127.0.0.1");
    if (hostile_say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
        (void)hostile_read_answer(fd, answer, sizeof(answer), 5000);
    hostile_close(fd);
    return hostile_status(answer);
}

/* limit as in ulimit -n: soft:hard, or soft: */
static void crowd_the_public(const char *limit)
{
    int fd[CROWD];
    struct it_db *db = it_db_new();
    struct it_proc *p = it_start_program(
        "/usr/bin/prlimit", db,
        IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_LISTEN=127.0.0.1:0",
                "WAYMARK_HTTP_MAX_CONNECTIONS=500", "WAYMARK_ADMIN_SECRET=of-no-interest"),
        IT_LIST(it_format("--nofile=%s", limit), WAYMARK_BINARY, "serve"));
    it_wait_for(p, "waymark is running", 60000);
    hostile_find(&storm, p);
    for (unsigned i = 0; i < CROWD; i++)
        fd[i] = hostile_connect(&storm, HOSTILE_PUBLIC, it_format("127.0.1.%u", 1 + i / 50));
    it_pause_ms(500);
    for (int i = 0; i < 5; i++)
        assert_int_equal(health(), 200);
    for (unsigned i = 0; i < CROWD; i++)
        hostile_close(fd[i]);
    it_serve_stop(p);
}

static void a_low_limit_is_raised(void **state)
{
    (void)state;
    crowd_the_public("400:");
}

static void one_that_cannot_be_raised_is_shared(void **state)
{
    (void)state;
    crowd_the_public("400:400");
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(a_low_limit_is_raised),
                                       IT_TEST(one_that_cannot_be_raised_is_shared)};
    return cmocka_run_group_tests(tests, it_up, it_down);
}
