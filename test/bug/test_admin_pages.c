/* A page of the admin's ended the service: a column that was no text, as soon as there was an
 * athlete. Every page, with something in each of its tables. */
#include "hostile/hostile.h"

static struct storm storm;

static const char something[] =
    "INSERT INTO q.job (queue, kind, state, tenant, payload, last_error, run_at, lane)"
    " SELECT 'x<y', 'k&z', s::q.state, 7, '{\"n\": 1}', '<script>', CASE s WHEN 'waiting' THEN "
    "now() +"
    " interval '1 h' END, CASE s WHEN 'blocked' THEN 'l\"<' END FROM "
    "unnest('{ready,waiting,blocked}'::text[]) s;"
    "INSERT INTO q.dead (id, queue, kind, prio, attempt, max_attempts, crashes, payload, "
    "last_error,"
    " created_at, reason, tenant, lane) VALUES (9000, 'x<y', 'k&z', 0, 8, 8, 0, '{}', '<script>', "
    "now(),"
    " 'attempts', 7, 'l\"<');"
    "INSERT INTO q.done (id, attempt, queue, kind, tenant, outcome, created_at, started_at)"
    " VALUES (9001, 1, 'x<y', 'k&z', 7, 'done', now(), now());"
    "INSERT INTO q.try (job, attempt, owner, started_at, outcome, error)"
    " VALUES (9000, 1, NULL, NULL, 'failed', '<script>'), (9000, 2, 1, now(), 'dead', NULL);"
    "INSERT INTO q.halted (lane, job) VALUES ('l\"<', 9000);"
    "INSERT INTO q.pause (queue, kind, tenant) VALUES ('x<y', NULL, NULL), ('x<y', 'k&z', NULL), "
    "('x<y', NULL, 7);"
    "INSERT INTO q.rate (name, cap15, capday) VALUES ('<script>', 1, 1);"
    "INSERT INTO q.cron (name, spec, minutes, hours, days, months, weekdays, any_day, any_hour, "
    "queue, kind,"
    " next_at, problem) VALUES ('<script>', '* * * * *', '{}', '{}', '{}', '{}', '{}', false, "
    "false, 'x', 'y',"
    " 'infinity', '<script>');"
    "INSERT INTO q.audit (who, command, filter, jobs, complete) VALUES ('<script>', 'x', '{}', 1, "
    "false);"
    "INSERT INTO q.pause (queue) VALUES ('trails');"
    "INSERT INTO athletes (id) VALUES (7), (8);"
    "INSERT INTO activities (id, athlete_id, activity_type) VALUES (1, 7, 'Hike');"
    "INSERT INTO routes (id, display_name, track, length) VALUES ('r', '<script>', 'LINESTRING(8 "
    "47, 8.1 47)', 7600);"
    "INSERT INTO route_stats (athlete_id, route_id, covered_length) VALUES (7, 'r', 100);";

static void show(const char *path)
{
    static char answer[1 << 20];
    int fd = hostile_connect(&storm, HOSTILE_ADMIN, "127.0.0.1");
    answer[0] = '\0';
    assert_true(
        hostile_say(fd, "GET %s HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n", path, storm.cookie));
    (void)hostile_read_answer(fd, answer, sizeof(answer), 10000);
    hostile_close(fd);
    if (hostile_status(answer) != 200 || strstr(answer, "</html>") == NULL)
        fail_msg("%s: %.500s", path, answer);
    if (strstr(answer, "<script>") != NULL || strstr(answer, "x<y") != NULL)
        fail_msg("%s shows a text as it came: %.500s", path, strstr(answer, "<script>"));
}

static void every_page_shows_what_there_is(void **state)
{
    static const char *const path[] = {"",
                                       "/jobs",
                                       "/jobs?queue=x%3Cy&kind=k%26z&athlete=7",
                                       "/jobs?error=%3Cscript%3E",
                                       "/jobs/9000",
                                       "/jobs/9001",
                                       "/dead",
                                       "/lanes",
                                       "/rates",
                                       "/cron",
                                       "/instances",
                                       "/athletes",
                                       "/athletes/7",
                                       "/athletes/8",
                                       "/database",
                                       "/audit",
                                       "/audit?before=2"};
    (void)state;
    struct it_db *db = it_db_new();
    it_script(db, something);
    struct it_proc *p =
        it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=127.0.0.1:0", "WAYMARK_ADMIN_LISTEN=127.0.0.1:0",
                             "WAYMARK_ADMIN_SECRET=of-no-interest"));
    hostile_find(&storm, p);
    hostile_log_in(&storm, "of-no-interest");
    for (unsigned i = 0; i < sizeof(path) / sizeof(path[0]); i++)
        show(it_format("/admin%s", path[i]));
    show(it_format("/admin/dead/%s", it_text(db, "SELECT cause FROM q.dead")));
    show(it_format("/admin/jobs/%s", it_text(db, "SELECT min(id) FROM q.job WHERE queue = 'x<y'")));
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IT_TEST(every_page_shows_what_there_is)};
    return cmocka_run_group_tests(tests, it_up, it_down);
}
