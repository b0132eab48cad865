#include "it/load.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *load_shared(const char *path)
{
    const char *full = it_format("%s/../shared/%s", WAYMARK_SOURCE_DIR, path);
    return access(full, R_OK) == 0 ? full : NULL;
}

/* ---- databases ----------------------------------------------------------------------------- */

char *load_output(const char *command)
{
    size_t n = 0, cap = 1 << 16;
    char *text = malloc(cap);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    for (size_t got; (got = fread(text + n, 1, cap - n - 1, f)) > 0;) {
        n += got;
        if (cap - n < 2) {
            cap *= 2;
            text = realloc(text, cap);
        }
        assert_non_null(text);
    }
    text[n] = '\0';
    if (pclose(f) != 0)
        n = 0;
    it_keep(text);
    return n > 0 ? text : NULL;
}

bool load_labelled(struct it_db *db, const char *sets)
{
    const char *tool = load_shared("tools/coverage_sql.py"), *data = load_shared("data/coverage");
    char *sql = NULL;
    if (tool != NULL && data != NULL)
        sql = load_output(it_format("python3 '%s' '%s' '%s'", tool, data, sets));
    if (sql != NULL)
        it_script(db, sql);
    return sql != NULL;
}

void load_account(struct it_db *db)
{
    if (load_labelled(db, "account"))
        return;
    print_message("the labelled coverage set is not at hand: a made-up history instead\n");
    load_history(db, 500);
}

void load_history(struct it_db *db, int n)
{
    it_exec(db,
            "INSERT INTO athletes (id) VALUES (1), (2);"
            "INSERT INTO routes (id, display_name, track) VALUES"
            " ('north', 'North Way', it.way(0, 1, 2000)),"
            " ('south', 'South Way', it.way(0.7, 0.1, 900, 0.0002)),"
            " ('ring', 'Lake Ring', it.ring(46.1, 7.02, 2500, 400));"
            "SELECT it.walk(k, 1 + k %% 2, (k * 37 %% 90) / 100.0,"
            "               (k * 37 %% 90) / 100.0 + (k %% 7 + 1) / 30.0, (k %% 5 - 2) * 0.0002)"
            " FROM generate_series(1, %d) k",
            n);
}

void load_again(struct it_db *db)
{
    it_script(db, "TRUNCATE activity_state, route_state, route_pages, route_sections,"
                  " intersections, relevant_activities, route_stats, q.job, q.done, q.dead,"
                  " q.instance;"
                  "SELECT waymark_queue_routes(array_agg(id)) FROM routes;"
                  "SELECT waymark_queue_matches(array_agg(id), array_agg(athlete_id))"
                  " FROM activities");
}

void load_is_done(struct it_db *db)
{
    it_holds(db, "NOT EXISTS (SELECT FROM q.job) AND NOT EXISTS (SELECT FROM q.dead)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.instance)");
    it_holds(db, "NOT EXISTS (SELECT FROM processing WHERE NOT processed)");
    it_holds(db, "NOT EXISTS (SELECT FROM q.done GROUP BY id HAVING count(*) > 1)");
    it_holds(db, "NOT EXISTS (SELECT FROM route_sections a JOIN route_sections b"
                 " USING (activity_id, route_id) WHERE a.id <> b.id"
                 " AND a.start_m < b.end_m AND b.start_m < a.end_m)");
    it_holds(db, "NOT EXISTS (SELECT FROM relevant_activities"
                 " GROUP BY activity_id, route_id HAVING count(*) > 1)");
}

/* ---- chance -------------------------------------------------------------------------------- */

uint64_t load_seed(void)
{
    const char *given = getenv("WAYMARK_SEED");
    uint64_t seed =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    print_message("seed: WAYMARK_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64 */
uint64_t load_random(uint64_t *state, uint64_t below)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

int64_t load_chaos_ms(int64_t otherwise_s)
{
    const char *given = getenv("WAYMARK_CHAOS_SECONDS");
    return 1000 * (given != NULL ? strtoll(given, NULL, 10) : otherwise_s);
}

/* ---- changes ------------------------------------------------------------------------------- */

/* $a an activity, $n a number of 0 to 99, $p an athlete, $r a route. */
static const char *const mix[] = {
    "UPDATE activities SET summary_track = it.way($n / 120.0, ($n + 9) / 120.0, 70, 0.0001)"
    " WHERE id = $a",
    "UPDATE activities SET summary_track = NULL WHERE id = $a",
    "DELETE FROM activities WHERE id = $a",
    "DELETE FROM activities WHERE id % 40 = $n % 40",
    "UPDATE activities SET athlete_id = $p WHERE id = $a",
    "UPDATE activities SET athlete_id = $p WHERE id % 25 = $n % 25",
    "DELETE FROM activities WHERE id = $a; SELECT it.walk($a, $p, $n / 110.0, 0.95)",
    "DELETE FROM activities WHERE id BETWEEN $a AND $a + 5;"
    " SELECT it.walk(k, $p, $n / 130.0, $n / 130.0 + 0.2)"
    " FROM generate_series($a, $a + 5) k",
    "INSERT INTO activity_tracks (activity_id, track, origin)"
    " SELECT id, ST_Segmentize(ST_Translate(summary_track::geometry, 0, $n / 2e6), 3e-4), 'gpx'"
    " FROM activities WHERE id = $a AND summary_track IS NOT NULL"
    " ON CONFLICT (activity_id) DO UPDATE SET track = excluded.track",
    "DELETE FROM activity_tracks WHERE activity_id % 3 = $n % 3",
    "UPDATE activities SET id = id + 1000 WHERE id = $a AND NOT EXISTS"
    " (SELECT FROM activities x WHERE x.id = $a + 1000)",
    "UPDATE routes SET track = it.way($n / 200.0, 0.5 + $n / 200.0, 500) WHERE id = '$r'",
    "UPDATE routes SET tolerance_m = 20 + $n WHERE id = '$r'",
    "UPDATE routes SET track = it.ring(46.1, 7.02, 2000 + 20 * $n, 300) WHERE id = 'ring'",
    "DELETE FROM routes WHERE id = '$r'; INSERT INTO routes (id, display_name, track)"
    " VALUES ('$r', 'anew', it.way(0.1, 0.3 + $n / 150.0, 600))",
    "INSERT INTO routes (id, display_name, track) VALUES ('r$n', 'more',"
    " it.way($n / 150.0, $n / 150.0 + 0.2, 90)) ON CONFLICT DO NOTHING",
    "DELETE FROM routes WHERE id = 'r$n'",
    "UPDATE routes SET display_name = 'x'",
};

static void expand(const char *sql, const char *const value[4], char *out, size_t size)
{
    static const char names[] = "anpr";
    size_t n = 0;
    for (const char *p = sql; *p != '\0'; p++) {
        const char *which = *p == '$' ? strchr(names, p[1]) : NULL;
        const char *text = which != NULL ? value[which - names] : (const char[]){*p, '\0'};
        n += (size_t)snprintf(out + n, size - n, "%s", text);
        assert_true(n < size);
        p += which != NULL;
    }
}

bool load_change(struct it_db *db, uint64_t *seed)
{
    static const char *const route[] = {"north", "south", "ring"};
    char activity[16], number[16], athlete[16], sql[1024];
    (void)snprintf(activity, sizeof(activity), "%d", 1 + (int)load_random(seed, 250));
    (void)snprintf(number, sizeof(number), "%d", (int)load_random(seed, 100));
    (void)snprintf(athlete, sizeof(athlete), "%d", 1 + (int)load_random(seed, 2));
    const char *const value[] = {activity, number, athlete, route[load_random(seed, 3)]};
    expand(mix[load_random(seed, sizeof(mix) / sizeof(mix[0]))], value, sql, sizeof(sql));
    PGresult *res = PQexec(db->pg, sql);
    const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool ok = code == NULL;
    /* A deadlock, or somebody has it for longer than the session's lock_timeout. */
    if (!ok && strcmp(code, "40P01") != 0 && strcmp(code, "55P03") != 0)
        fail_msg("%s: %s", PQerrorMessage(db->pg), sql);
    PQclear(res);
    return ok;
}

/* ---- files --------------------------------------------------------------------------------- */

char *load_folder(const char *name)
{
    char *path = it_format("%s/%s", it_home(), name);
    if (mkdir(path, 0755) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    return path;
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    return f;
}

char *load_file(const char *name, const char *text)
{
    char *path = it_format("%s/%s", it_home(), name);
    FILE *f = create(path);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

char *load_gpx(const char *name, const char *title, double from, double to, double east, int n)
{
    char *path = it_format("%s/%s", it_home(), name);
    FILE *f = create(path);
    fprintf(f, "<?xml version=\"1.0\"?>\n<gpx version=\"1.1\"><trk><name>%s</name><trkseg>\n",
            title);
    for (int i = 0; i < n; i++) {
        double t = from + (to - from) * i / (n > 1 ? n - 1 : 1);
        fprintf(f, "<trkpt lat=\"%.7f\" lon=\"%.7f\"/>\n", 46 + 0.2 * t,
                7 + 0.02 * sin(9 * t) + east);
    }
    fputs("</trkseg></trk></gpx>\n", f);
    assert_int_equal(fclose(f), 0);
    return path;
}

void load_one_line(const struct it_result *r, const char *what)
{
    const char *end = strchr(r->err, '\n');
    if (end == NULL || end[1] != '\0' || strncmp(r->err, "waymark: ", 9) != 0)
        fail_msg("not one line:\n%s", r->err);
    if (strstr(r->err, what) == NULL)
        fail_msg("it does not say \"%s\":\n%s", what, r->err);
}
