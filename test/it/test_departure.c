/* `waymark athlete list|export|erase`, and the check of whether somebody has really left. */
#include "it/people.h"

#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOON_MS = 20000, USAGE = 2, FAILED = 1, ADA = 9001, BEA = 9002 };

/* Ada and Bea are connected. */
static struct it_db *with_two(struct sim **s)
{
    struct it_db *db = it_db_scene();
    *s = sim_start(IT_LIST("--athletes", "2"));
    people_connect(db, *s, ADA);
    people_connect(db, *s, BEA);
    return db;
}

static json_t *read_json(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("%s in line %d of\n%.2000s", error.text, error.line, text);
    return root;
}

static const char *token_of(struct it_db *db, const char *kind, int64_t athlete)
{
    return it_text(db, "SELECT %s_token FROM %s_tokens WHERE athlete_id = %lld", kind, kind,
                   (long long)athlete);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in\n%s", part, text);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void a_list(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    it_exec(db, "UPDATE strava.account SET state = 'reauth' WHERE athlete_id = %d", BEA);
    json_t *all = read_json(it_must(db, NULL, IT_LIST("athlete", "list", "--json"), 0).out);
    assert_int_equal(json_array_size(all), 5);
    assert_string_equal(sim_str(all, "0.strava"), "none");
    assert_int_equal(sim_i64(all, "0.activities"), 8);
    assert_int_equal(sim_i64(all, "3.id"), ADA);
    assert_string_equal(sim_str(all, "3.name"), "Ada \"<b>\"");
    assert_string_equal(sim_str(all, "3.strava"), "connected");
    assert_string_equal(sim_str(all, "3.scopes"), "read,activity:read,activity:read_all");
    assert_int_equal(strlen(sim_str(all, "3.last_import")), 24);
    assert_string_equal(sim_str(all, "4.strava"), "reauth");
    json_decref(all);
    const char *table = it_must(db, NULL, IT_LIST("athlete", "list"), 0).out;
    assert_non_null(strstr(table, "9001"));
    assert_non_null(strstr(table, "reauth"));
    lacks(table, token_of(db, "access", ADA));
    struct it_db *none = it_db_new();
    assert_non_null(
        strstr(it_must(none, NULL, IT_LIST("athlete", "list"), 0).out, "There is no athlete yet"));
}

/* ---- export ---------------------------------------------------------------------------------- */

static void an_export(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    it_exec(db,
            "INSERT INTO activity_tracks SELECT id, ST_SetSRID(ST_GeomFromText("
            "'MULTILINESTRING M ((7 46 1656662400, 7.001 46 1656662405, 7.002 46 1656662410))'), "
            "4326)::geography, 'streams' FROM activities WHERE athlete_id = %d;"
            "INSERT INTO activities (id, athlete_id, activity_type) VALUES (900199, %d, 'Swim');"
            "INSERT INTO strava.activity (activity_id, athlete_id, state, checked, visibility) "
            "VALUES (900100, %d, 'there', 1, 'only_me'), (5, %d, 'gone', 1, NULL)",
            ADA, ADA, ADA, ADA);
    it_process(db);
    const char *path = it_format("%s/ada.geojson", it_home());
    struct it_result r = it_must(db, NULL, IT_LIST("athlete", "export", "9001", "--out", path), 0);
    assert_string_equal(r.out, "");
    assert_non_null(strstr(r.err, "2 activities written to "));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    const char *text = it_read_file(path);
    json_t *doc = read_json(text);
    assert_string_equal(sim_str(doc, "type"), "FeatureCollection");
    assert_int_equal(sim_i64(doc, "waymark.athlete.id"), ADA);
    assert_string_equal(sim_str(doc, "waymark.strava.name"), "Ada \"<b>\"");
    assert_int_equal(sim_i64(doc, "waymark.no_longer_on_strava.0"), 5);
    json_t *features = sim_at(doc, "features");
    assert_int_equal(json_array_size(features), 2);
    assert_string_equal(sim_str(features, "0.properties.visibility"), "only_me");
    assert_string_equal(sim_str(features, "0.properties.track_origin"), "streams");
    assert_string_equal(sim_str(features, "0.properties.coordTimes.0.0"),
                        "2022-07-01T08:00:00.000Z");
    assert_int_equal(json_array_size(sim_at(features, "0.properties.summary_track.coordinates.0")),
                     101);
    assert_int_equal(json_array_size(sim_at(features, "0.geometry.coordinates.0")), 3);
    assert_true(json_is_null(sim_at(features, "1.geometry")));
    json_decref(doc);
    /* The same to standard output; no secret in it, and nothing of Bea. */
    const char *out = it_must(db, NULL, IT_LIST("athlete", "export", "9001"), 0).out;
    assert_int_equal(strlen(out), strlen(text));
    lacks(out, token_of(db, "access", ADA));
    lacks(out, token_of(db, "refresh", ADA));
    lacks(out, "9002");
    it_must(db, NULL, IT_LIST("athlete", "export", "4711"), FAILED);
    it_must(db, NULL, IT_LIST("athlete", "export", "Ada"), USAGE);
    it_must(db, NULL, IT_LIST("athlete", "export", "9001", "--out", "/nonexistent/x"), FAILED);
}

/* Credit is in it, and what is in it can be imported elsewhere. */
static void an_export_is_whole(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene(), *elsewhere = it_db_new();
    const char *path = it_format("%s/one.geojson", it_home());
    it_must(db, NULL, IT_LIST("athlete", "export", "1", "--out", path), 0);
    json_t *doc = read_json(it_read_file(path));
    json_t *features = sim_at(doc, "features"), *trails = sim_at(doc, "waymark.trails");
    int64_t n = it_i64(db, "SELECT count(*) FROM activities WHERE athlete_id = 1"), sections = 0;
    assert_int_equal(json_array_size(features), n);
    for (int64_t i = 0; i < n; i++) {
        json_t *covered = json_object_get(
            json_object_get(json_array_get(features, (size_t)i), "properties"), "covered");
        sections += (int64_t)json_array_size(covered);
    }
    assert_int_equal(sections,
                     it_i64(db, "SELECT count(*) FROM route_sections WHERE athlete_id = 1"));
    assert_true(sections > 0);
    assert_int_equal(json_array_size(trails),
                     it_i64(db, "SELECT count(*) FROM route_stats WHERE athlete_id = 1"));
    json_decref(doc);
    it_must(elsewhere, NULL, IT_LIST("import", path, "--athlete", "1", "--quiet"), 0);
    assert_int_equal(it_i64(elsewhere, "SELECT count(*) FROM activities"), n);
}

/* Of a history of any length the memory is that of a page. */
static void an_export_is_bounded(void **state)
{
    (void)state;
    struct it_db *db = it_db_new();
    it_exec(db, "INSERT INTO athletes (id) VALUES (7);"
                "INSERT INTO activities (id, athlete_id, activity_type) SELECT n, 7, 'Run' FROM "
                "generate_series(1, 400) n;"
                "INSERT INTO activity_tracks SELECT n, it.way(0, 1, 10000), 'gpx' FROM "
                "generate_series(1, 400) n");
    const char *path = it_format("%s/big.geojson", it_home());
    struct it_proc *p =
        it_start(db, NULL, IT_LIST("athlete", "export", "7", "--out", path, "--quiet"));
    int64_t most_kb = 0;
    while (!it_ended(p)) {
        char line[256];
        FILE *f = fopen(it_format("/proc/%d/status", (int)it_pid(p)), "r");
        for (long kb; f && fgets(line, sizeof(line), f);)
            if (sscanf(line, "VmHWM: %ld", &kb) == 1 && kb > most_kb)
                most_kb = kb;
        if (f)
            (void)fclose(f);
        it_pause_ms(20);
    }
    assert_int_equal(it_wait(p, SOON_MS).status, 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    print_message("%lld MB written with at most %lld MB\n", (long long)(st.st_size >> 20),
                  (long long)(most_kb >> 10));
    assert_true(st.st_size > 60 << 20);
    assert_true(most_kb < 400 << 10); /* with what a sanitizer takes; without it far less */
    (void)unlink(path);
}

/* ---- erase ----------------------------------------------------------------------------------- */

static void an_erasure(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    const char *const *env = people_env(s);
    const char *access = token_of(db, "access", ADA), *refresh = token_of(db, "refresh", ADA);
    char *others = it_text(db, "SELECT string_agg(place || n, ',' ORDER BY place) FROM "
                               "waymark_count_athlete(9002)");
    assert_true(people_is_granted(s, ADA));
    it_must(db, env, IT_LIST("athlete", "erase", "9001"), USAGE); /* nobody to ask */
    it_must(db, env, IT_LIST("athlete", "erase", "9001", "--json"), USAGE);
    it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = 9001)");
    struct it_result r = it_must(db, env, IT_LIST("athlete", "erase", "9001", "--yes"), 0);
    people_nothing_of(db, ADA);
    assert_non_null(strstr(r.out, "activities"));
    assert_non_null(strstr(r.out, " 0 left; the grant at Strava is withdrawn"));
    assert_non_null(strstr(r.err, "everything of an athlete was erased"));
    lacks(r.err, access);
    lacks(r.err, refresh);
    lacks(r.err, "sim-secret-1001");
    assert_false(people_is_granted(s, ADA));
    assert_true(people_is_granted(s, BEA));
    assert_string_equal(it_text(db, "SELECT string_agg(place || n, ',' ORDER BY place) FROM "
                                    "waymark_count_athlete(9002)"),
                        others);
    it_holds(db, "(SELECT count(*) FROM q.audit WHERE command = 'athlete erase') = 1");
    it_must(db, env, IT_LIST("athlete", "erase", "9001", "--yes"), FAILED); /* no more */
    json_t *told =
        read_json(it_must(db, env, IT_LIST("athlete", "erase", "9002", "--yes", "--json"), 0).out);
    assert_int_equal(sim_i64(told, "athlete"), BEA);
    assert_true(sim_i64(told, "rows") > 5);
    assert_int_equal(sim_i64(told, "left"), 0);
    assert_true(json_is_true(sim_at(told, "revoked")));
    json_decref(told);
}

/* Strava may be down, or never have been there: what is here goes all the same. */
static void an_erasure_without_strava(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    const char *const *env = people_env(s);
    it_must(db, NULL, IT_LIST("athlete", "erase", "9001", "--yes"), 0);
    people_nothing_of(db, ADA);
    assert_true(people_is_granted(s, ADA));
    sim_stop(s);
    struct it_result r = it_must(db, env, IT_LIST("athlete", "erase", "9002", "--yes"), 0);
    people_nothing_of(db, BEA);
    assert_non_null(strstr(r.err, "could not be withdrawn at Strava"));
    assert_null(strstr(r.out, "is withdrawn"));
}

/* With a terminal, which types that. */
static int on_a_terminal(struct it_db *db, const char *typed, char *said, size_t size)
{
    int fd, status;
    size_t n = 0;
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        const char *url = it_format("POSTGRES_CONNECTION_STRING=%s", db->url);
        const char *home = it_format("HOME=%s", it_home());
        char *env[] = {(char *)(uintptr_t)url, (char *)(uintptr_t)home, NULL};
        execle(it_binary(), "waymark", "athlete", "erase", "9001", (char *)NULL, env);
        _exit(99);
    }
    bool asked = false;
    for (ssize_t r; n < size - 1 && (r = read(fd, said + n, size - 1 - n)) > 0;) {
        n += (size_t)r;
        said[n] = '\0';
        if (!asked && strstr(said, "Type the id")) {
            asked = true;
            assert_int_equal(write(fd, typed, strlen(typed)), (ssize_t)strlen(typed));
        }
    }
    (void)close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void it_asks(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    static const char *const no[] = {"\n", "yes\n", "9002\n", "9001x\n", "\004"};
    char said[16384] = "";
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
        assert_int_equal(on_a_terminal(db, no[i], said, sizeof(said)), FAILED);
        assert_non_null(strstr(said, "nothing was erased"));
        it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = 9001)");
    }
    assert_int_equal(on_a_terminal(db, "\003", said, sizeof(said)), 75); /* Ctrl-C */
    it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = 9001)");
    assert_int_equal(on_a_terminal(db, "9001\n", said, sizeof(said)), 0);
    assert_non_null(strstr(said, "access_tokens"));
    people_nothing_of(db, ADA);
}

/* ---- the check ---------------------------------------------------------------------------------
 */

static void a_forged_departure(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    it_process(db);
    char *had = it_text(db, "SELECT string_agg(place || n, ',' ORDER BY place) FROM "
                            "waymark_count_athlete(9001) WHERE place NOT LIKE 'q.%%'");
    struct it_proc *p = it_serve(db, people_env(s));
    for (int i = 0; i < 3; i++) {
        people_check(db, ADA);
        assert_true(it_eventually(db, SOON_MS,
                                  "SELECT NOT EXISTS (SELECT FROM q.job WHERE kind = "
                                  "'strava.check')") >= 0);
        sim_advance(s, 3 * 3600); /* near its end a token is refreshed, else a call tells */
    }
    it_holds(db, "(SELECT count(*) FROM q.done WHERE kind = 'strava.check') = 3");
    assert_string_equal(it_text(db, "SELECT string_agg(place || n, ',' ORDER BY place) FROM "
                                    "waymark_count_athlete(9001) WHERE place NOT LIKE 'q.%%'"),
                        had);
    assert_true(it_said(p, "it was said that an athlete has withdrawn, and it is not so"));
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_serve_stop(p);
}

/* Of somebody whose tokens had been dead for long: there is nobody who could confirm it. */
static void an_unproven_departure(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    sim_do(s, "token/invalidate", "{\"athlete\":9001,\"what\":\"both\"}");
    it_exec(db, "UPDATE strava.account SET state = 'reauth', reason = 'lost', state_at = now() -"
                " interval '2 days' WHERE athlete_id = 9001");
    struct it_proc *p = it_serve(db, people_env(s));
    it_exec(db, "SELECT strava.receive('{t}', '{2}', '{9001}', '{9001}', '{1}', '{NULL}', '{t}');"
                "NOTIFY processing");
    it_wait_for(p, "Athlete 9001 may have left", SOON_MS);
    it_holds(db, "(SELECT verdict FROM strava.event) = 'unproven'");
    it_holds(db, "NOT EXISTS (SELECT FROM q.done WHERE kind = 'strava.check')");
    it_holds(db, "EXISTS (SELECT FROM activities WHERE athlete_id = 9001)");
    it_holds(db, "EXISTS (SELECT FROM refresh_tokens WHERE athlete_id = 9001)");
    it_serve_stop(p);
}

static void a_real_departure(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    const char *access = token_of(db, "access", ADA), *refresh = token_of(db, "refresh", ADA);
    /* So that what the operator would be told can be looked at. */
    it_exec(db, "INSERT INTO q.pause (queue, kind) VALUES ('trails', 'alert')");
    struct it_proc *p = it_serve(db, people_env(s));
    sim_do(s, "athlete/9001/revoke", "{}");
    people_check(db, ADA);
    int64_t ms = it_eventually(db, SOON_MS,
                               "SELECT NOT EXISTS (SELECT FROM athletes WHERE id = 9001) AND NOT "
                               "EXISTS (SELECT FROM waymark_count_athlete(9001) WHERE n > 0)");
    print_message("erased %lld ms after the event\n", (long long)ms);
    assert_true(ms >= 0);
    it_wait_for(p, "everything of an athlete was erased", SOON_MS);
    people_nothing_of(db, ADA);
    it_holds(db, "EXISTS (SELECT FROM athletes WHERE id = 9002)");
    /* The operator hears of it, by a number and no more. */
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE kind = 'alert' AND payload->>'body' = "
                 "'Athlete 9001 left; everything of theirs was erased.')");
    it_holds(db, "NOT EXISTS (SELECT FROM q.job WHERE payload::text LIKE '%%Ada%%')");
    const char *log = it_serve_stop(p).err;
    lacks(log, access);
    lacks(log, refresh);
    lacks(log, "sim-secret-1001");
    lacks(log, "Ada");
}

/* Strava does not answer: nothing is erased before it has. */
static void strava_is_away(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    struct it_proc *p = it_serve(db, people_env(s));
    sim_do(s, "fault", "{\"action\":{\"type\":\"status\",\"status\":503,\"body\":\"html\"}}");
    sim_do(s, "athlete/9001/revoke", "{\"silent\":true}");
    people_check(db, ADA);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM q.job WHERE kind = "
                              "'strava.check' AND state = 'waiting')") >= 0);
    it_holds(db, "EXISTS (SELECT FROM activities WHERE athlete_id = 9001)");
    sim_do(s, "fault/clear", "{}");
    it_exec(db, "UPDATE q.job SET run_at = now() WHERE kind = 'strava.check'; NOTIFY processing");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT NOT EXISTS (SELECT FROM athletes WHERE id = 9001)") >= 0);
    it_serve_stop(p);
    people_nothing_of(db, ADA);
}

/* ---- while others work -------------------------------------------------------------------------
 */

/* By hand, while a check of the same athlete hangs in a call: it brings nothing back. */
static void while_a_check_runs(void **state)
{
    (void)state;
    struct sim *s;
    struct it_db *db = with_two(&s);
    const char *const *env = people_env(s);
    struct it_proc *p = it_serve(db, env);
    sim_do(s, "fault",
           "{\"match\":{\"path\":\"/athlete\"},\"action\":{\"type\":\"delay\",\"ms\":3000}}");
    people_check(db, ADA);
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM q.job WHERE kind = "
                              "'strava.check' AND state = 'running')") >= 0);
    it_must(db, env, IT_LIST("athlete", "erase", "9001", "--yes"), 0);
    people_nothing_of(db, ADA);
    it_pause_ms(4500);
    it_serve_stop(p);
    people_nothing_of(db, ADA);
}

/* While their activities are matched, by two instances. */
static void while_they_are_matched(void **state)
{
    (void)state;
    struct it_db *db = it_db_scene();
    it_exec(db, "INSERT INTO athletes (id) VALUES (77), (78)");
    struct it_proc *p[2] = {it_start(db,
                                     IT_LIST("WAYMARK_HTTP_LISTEN=off", "WAYMARK_ADMIN_LISTEN=off",
                                             "WAYMARK_PROCESSOR_BATCH_SIZE=5"),
                                     IT_LIST("serve")),
                            it_start(db,
                                     IT_LIST("WAYMARK_HTTP_LISTEN=off", "WAYMARK_ADMIN_LISTEN=off",
                                             "WAYMARK_PROCESSOR_BATCH_SIZE=5"),
                                     IT_LIST("serve"))};
    it_wait_for(p[0], "waymark is running", SOON_MS);
    it_wait_for(p[1], "waymark is running", SOON_MS);
    it_exec(db, "SELECT it.walk(7700000 + n, 77, 0.001 * (n %% 500), 0.3 + 0.001 * (n %% 500)), "
                "it.walk(7800000 + n, 78, 0.001 * (n %% 500), 0.3 + 0.001 * (n %% 500)) FROM "
                "generate_series(1, 400) n");
    assert_true(it_eventually(db, SOON_MS,
                              "SELECT EXISTS (SELECT FROM route_sections WHERE athlete_id "
                              "= 77)") >= 0);
    it_holds(db, "EXISTS (SELECT FROM q.job WHERE tenant = 77)"); /* it is not over yet */
    it_must(db, NULL, IT_LIST("athlete", "erase", "77", "--yes"), 0);
    people_nothing_of(db, 77);
    assert_true(it_eventually(db, 5 * SOON_MS, "SELECT NOT EXISTS (SELECT FROM q.job)") >= 0);
    it_serve_stop(p[0]);
    it_serve_stop(p[1]);
    people_nothing_of(db, 77);
    it_holds(db, "NOT EXISTS (SELECT FROM q.dead)");
    it_same_as_recomputed(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIM_TEST(a_list),
        SIM_TEST(an_export),
        IT_TEST(an_export_is_whole),
        IT_TEST(an_export_is_bounded),
        SIM_TEST(an_erasure),
        SIM_TEST(an_erasure_without_strava),
        SIM_TEST(it_asks),
        SIM_TEST(a_forged_departure),
        SIM_TEST(an_unproven_departure),
        SIM_TEST(a_real_departure),
        SIM_TEST(strava_is_away),
        SIM_TEST(while_a_check_runs),
        IT_TEST(while_they_are_matched),
    };
    return cmocka_run_group_tests(tests, it_up, it_down);
}
