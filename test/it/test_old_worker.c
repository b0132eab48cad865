/* Whoever swaps his worker of trail-progress for this one changes the program, and nothing else:
 * its environment, the database as that left it, port 8080. */
#include "it/http.h"
#include "it/load.h"

#include <arpa/inet.h>
#include <unistd.h>

#define DATA   WAYMARK_SOURCE_DIR "/test/it/data/"
#define SECRET "0123456789abcdef0123456789abcdef01234567"

static bool is_free(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool free_ = bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return free_;
}

/* What it left: tables, triggers, rows; its frontend has put tokens there, as they are. */
static struct it_db *old_database(void)
{
    struct it_db *db = it_db_bare(true);
    it_script(db, it_read_file(DATA "trail_progress.sql"));
    it_helpers(db);
    it_script(db, it_read_file(DATA "trail_progress_rows.sql"));
    it_exec(db, "INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (1, "
                "'plain-access', now() + interval '5 hours') ON CONFLICT (athlete_id) DO UPDATE SET"
                " access_token = excluded.access_token, expires_at = excluded.expires_at;"
                "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (1, 'plain-refresh')"
                " ON CONFLICT (athlete_id) DO UPDATE SET refresh_token = excluded.refresh_token");
    return db;
}

static void challenge(struct it_db *db)
{
    assert_true(it_eventually(db, 10000, "SELECT verify_token IS NOT NULL FROM strava.app") >= 0);
    const char *token = it_text(db, "SELECT verify_token FROM strava.app");
    struct http_answer a = http_ask("127.0.0.1:8080", "GET",
                                    it_format("/strava/events?hub.mode=subscribe&hub.challenge=15f7"
                                              "&hub.verify_token=%s",
                                              token),
                                    NULL, NULL);
    http_is(a, 200);
    assert_string_equal(a.body, "{\"hub.challenge\":\"15f7\"}");
    http_is(http_ask("127.0.0.1:8080", "GET",
                     "/strava/events?hub.mode=subscribe&hub.challenge=1&hub.verify_token=no", NULL,
                     NULL),
            403);
}

static void its_environment_is_enough(void **state)
{
    (void)state;
    if (!is_free(8080) || !is_free(9090)) {
        print_message("skipped: something listens on port 8080 or 9090 of this machine\n");
        return;
    }
    struct it_db *db = old_database();
    it_secret(SECRET);
    it_secret("plain-access");
    it_secret("plain-refresh");
    /* An empty setting is none: the listeners are where they are by default. */
    struct it_proc *p =
        it_serve(db, IT_LIST("WAYMARK_HTTP_LISTEN=", "WAYMARK_ADMIN_LISTEN=",
                             it_format("POSTGRES_CONNECTION_STRING=%s", db->url),
                             "POSTGRES_LISTEN_CHANNEL=processing", "PROCESSOR_INTERVAL=1h",
                             "PROCESSOR_CONCURRENCY=2", "PROCESSOR_BATCH_SIZE=10",
                             "STRAVA_CLIENT_ID=12345", "STRAVA_CLIENT_SECRET=" SECRET,
                             "STRAVA_CALLBACK_URL=https://progress.example/strava/events"));
    http_is(http_ask("127.0.0.1:8080", "GET", "/", NULL, NULL), 200);
    challenge(db);
    assert_true(it_eventually(db, 30000,
                              "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind IN ('route', "
                              "'match', 'page', 'stats')) AND EXISTS (SELECT FROM route_stats "
                              "WHERE covered_length > 0)") >= 0);
    /* The frontend goes on as before. */
    it_exec(db, "SELECT it.walk(990, 1, 0.6, 0.7)");
    assert_true(
        it_eventually(db, 5000,
                      "SELECT EXISTS (SELECT FROM route_sections WHERE activity_id = 990)") >= 0);
    /* It reads and writes tokens as they are. */
    it_holds(db, "(SELECT access_token FROM access_tokens WHERE athlete_id = 1) = 'plain-access'");
    it_holds(db,
             "(SELECT refresh_token FROM refresh_tokens WHERE athlete_id = 1) = 'plain-refresh'");
    it_serve_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IT_TEST(its_environment_is_enough),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
