#include "it/sync.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#include "it/internal.h"

enum { ENV_MAX = 24 };

struct it_db *sync_db(struct sim *s)
{
    struct it_db *db = it_db_new();
    json_t *clock = sim_get(s, "clock"), *limits = sim_get(s, "limits");
    it_exec(
        db,
        "INSERT INTO q.rate (name, offset_s, cap15, capday, win15, winday) SELECT 'strava',"
        " %lld - extract(epoch FROM clock_timestamp()), %lld, %lld, %lld / 900, %lld / 86400"
        " ON CONFLICT (name) DO UPDATE SET offset_s = excluded.offset_s, cap15 = excluded.cap15,"
        " capday = excluded.capday, win15 = excluded.win15, winday = excluded.winday",
        (long long)sim_i64(clock, "epoch"), (long long)sim_i64(limits, "read.0"),
        (long long)sim_i64(limits, "read.1"), (long long)sim_i64(clock, "epoch"),
        (long long)sim_i64(clock, "epoch"));
    return db;
}

void sync_connect(struct it_db *db, struct sim *s, int64_t athlete, const char *scope)
{
    json_t *t = sim_grant(s, athlete, scope);
    it_exec(db, "INSERT INTO athletes (id) VALUES (%lld) ON CONFLICT DO NOTHING",
            (long long)athlete);
    it_exec(db,
            "INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (%lld, '%s',"
            " to_timestamp(%lld) AT TIME ZONE 'UTC') ON CONFLICT (athlete_id) DO UPDATE SET"
            " access_token = excluded.access_token, expires_at = excluded.expires_at",
            (long long)athlete, sim_str(t, "access_token"), (long long)sim_i64(t, "expires_at"));
    it_exec(db,
            "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (%lld, '%s') ON CONFLICT"
            " (athlete_id) DO UPDATE SET refresh_token = excluded.refresh_token",
            (long long)athlete, sim_str(t, "refresh_token"));
}

static const char *cookie_of(const struct http_answer *a, const char *name)
{
    const char *at = strstr(a->head, it_format("Set-Cookie: %s=", name));
    assert_non_null(at);
    at += strlen("Set-Cookie: ");
    return it_format("Cookie: %.*s\r\n", (int)strcspn(at, ";\r"), at);
}

void sync_log_in(struct sim *s, struct it_proc *p, int64_t athlete, const char *scope)
{
    const char *here = http_address(p, "http");
    (void)sim_do(s, "consent", scope ? "{\"athlete\":%lld,\"scope\":\"%s\"}" : "{\"athlete\":%lld}",
                 (long long)athlete, scope ? scope : "");
    struct http_answer a = http_ask(here, "GET", "/auth/strava", NULL, NULL);
    http_is(a, 303);
    const char *there = strstr(http_field(&a, "Location"), "/oauth/");
    assert_non_null(there);
    struct http_answer b = sim_ask(s, "GET", there, NULL, NULL);
    assert_int_equal(b.status, 302);
    const char *back = strstr(http_field(&b, "Location"), "/auth/");
    assert_non_null(back);
    a = http_ask(here, "GET", back, cookie_of(&a, "waymark_login"), NULL);
    http_is(a, 303);
    assert_string_equal(http_field(&a, "Location"), "/");
    (void)sim_do(s, "consent", "{}");
}

const char *const *sync_env(struct sim *s, const char *const *more)
{
    const char **env = (const char **)(void *)it_keep(calloc(ENV_MAX, sizeof(char *)));
    unsigned n = 0;
    for (; more != NULL && *more != NULL; more++) { /* of two with one name the first counts */
        assert_true(n < ENV_MAX - 6);
        env[n++] = *more;
    }
    env[n++] = "STRAVA_CLIENT_ID=1001";
    env[n++] = "STRAVA_CLIENT_SECRET=sim-secret-1001";
    it_secret("sim-secret-1001");
    env[n++] = it_format("WAYMARK_STRAVA_API_URL=%s/api/v3", sim_url(s));
    env[n++] = it_format("WAYMARK_STRAVA_OAUTH_URL=%s", sim_url(s));
    env[n++] = "WAYMARK_PROCESSOR_POLL=500ms";
    return env;
}

/* One that nobody listens on, a moment ago. */
static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    close(fd);
    return ntohs(at.sin_port);
}

struct it_proc *sync_serve_live(struct it_db *db, struct sim *s, const char *const *more)
{
    const char *all[ENV_MAX];
    unsigned n = 0, port = free_port();
    all[n++] = it_format("WAYMARK_HTTP_LISTEN=127.0.0.1:%u", port);
    all[n++] =
        it_format("STRAVA_CALLBACK_URL=http://127.0.0.1:%u/hook/%08x", port, port * 2654435761u);
    for (; more != NULL && *more != NULL; more++) {
        assert_true(n < ENV_MAX - 8);
        all[n++] = *more;
    }
    all[n] = NULL;
    struct it_proc *p = it_serve(db, sync_env(s, all));
    assert_true(it_eventually(db, 20000, "SELECT subscription_id IS NOT NULL FROM strava.app") >=
                0);
    return p;
}

void sync_route(struct it_db *db, struct sim *s)
{
    const char *path = it_format("%s/trail.geojson", it_home());
    struct http_answer a = sim_ask(s, "GET", "/_sim/route", NULL, NULL);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(a.body, 1, a.n, f), a.n);
    assert_int_equal(fclose(f), 0);
    it_must(db, NULL, IT_LIST("route", "import", path, "--id", "trail"), 0);
    it_process(db);
}

void sync_advance(struct it_db *db, struct sim *s, int64_t seconds)
{
    it_exec(db, "UPDATE q.rate SET offset_s = offset_s + %lld WHERE name = 'strava'",
            (long long)seconds);
    sim_advance(s, seconds);
    it_exec(db, "NOTIFY processing");
}

void sync_pass(struct it_db *db, struct sim *s, int64_t seconds)
{
    it_exec(db,
            "UPDATE access_tokens SET expires_at = expires_at - interval '%lld seconds';"
            "UPDATE q.rate SET paused_until = paused_until - interval '%lld seconds';"
            "UPDATE alert.state SET told_at = told_at - interval '%lld seconds';"
            "UPDATE q.job SET run_at = run_at - interval '%lld seconds' WHERE state = 'waiting'",
            (long long)seconds, (long long)seconds, (long long)seconds, (long long)seconds);
    sync_advance(db, s, seconds);
}

int64_t sync_request(struct it_db *db, int64_t athlete, const char *mode, const char *since)
{
    const char *text = since ? it_format("'%s'", since) : "NULL";
    int64_t id = it_i64(db, "SELECT id FROM strava.request_sync(%lld, '%s', %s, 'test')",
                        (long long)athlete, mode, text);
    it_exec(db, "NOTIFY processing");
    return id;
}

void sync_wait(struct it_db *db, int64_t limit_ms)
{
    static const char over[] =
        "SELECT NOT EXISTS (SELECT FROM strava.sync WHERE state = 'running') AND NOT EXISTS (SELECT"
        " FROM q.job WHERE queue = 'strava' AND NOT (state = 'waiting' AND payload ? 'looks'))";
    if (it_eventually(db, limit_ms, over) < 0)
        sync_late(db);
}

bool sync_hurried(struct it_db *db)
{
    static const char none_left[] =
        "SELECT (SELECT count(*) FROM q.job WHERE queue = 'strava') + (SELECT count(*) FROM"
        " strava.event WHERE done_at IS NULL) + (SELECT count(*) FROM strava.sync WHERE state ="
        " 'running') = 0";
    if (it_eventually(db, 20, none_left) >= 0)
        return true;
    it_exec(db, "UPDATE q.job SET run_at = now() WHERE queue = 'strava' AND state = 'waiting';"
                "NOTIFY processing");
    return false;
}

void sync_hurry(struct it_db *db, int64_t limit_ms)
{
    for (int64_t until = it_now_ms() + limit_ms; !sync_hurried(db);) {
        if (it_now_ms() > until)
            sync_late(db);
    }
}

void sync_late(struct it_db *db)
{
    PGresult *res = it_query(
        db, "SELECT to_jsonb(x)::text FROM (SELECT kind, state, prio, attempt, crashes,"
            " suspect, owner, run_at - now() AS due, payload, last_error FROM q.job WHERE"
            " queue = 'strava' LIMIT 20) x UNION ALL SELECT to_jsonb(s)::text FROM"
            " strava.sync s UNION ALL SELECT to_jsonb(r)::text FROM q.rate r UNION ALL"
            " SELECT to_jsonb(a)::text FROM strava.app a UNION ALL SELECT 'now ' || now()");
    for (int i = 0; i < PQntuples(res); i++)
        print_error("%s\n", PQgetvalue(res, i, 0));
    fail_msg("it takes too long");
}

/* ---- truth --------------------------------------------------------------------------------- */

/* As jsonb may have it, and as nobody stores it: without NULs. */
static const char *truth_text(struct sim *s, int64_t athlete)
{
    static const char nul[] = "\\u0000";
    char *text = it_keep(json_dumps(sim_at(sim_truth(s, athlete, NULL), "activities"), 0));
    for (char *at; (at = strstr(text, nul)) != NULL;)
        memmove(at, at + sizeof(nul) - 1, strlen(at + sizeof(nul) - 1) + 1);
    return text;
}

static const char columns[] =
    "id bigint, name text, sport_type text, type text, start_date timestamptz, timezone text,"
    " distance float8, moving_time integer, elapsed_time integer, total_elevation_gain float8,"
    " elev_high real, elev_low real, external_id text, start_latlng jsonb, end_latlng jsonb,"
    " summary_polyline text, readable boolean, poison boolean";

/* Points as WKT, to five digits after the point, which is what a polyline has. */
#define POINT(json)                                                                                \
    "CASE WHEN jsonb_array_length(CASE jsonb_typeof(" json ") WHEN 'array' THEN " json             \
    " ELSE '[]' END) = 2 THEN ST_AsText(ST_MakePoint((" json "->>1)::float8, (" json               \
    "->>0)::float8), 5) END"

void sync_same(struct it_db *db, struct sim *s, int64_t athlete)
{
    static const char same[] =
        "WITH want AS (SELECT id, name, coalesce(sport_type, type, 'Workout') AS type, start_date,"
        " substring(timezone FROM '\\) (.*)$') AS tz, distance, moving_time, elapsed_time,"
        " total_elevation_gain AS gain, elev_high, elev_low, external_id, %s AS p, %s AS q,"
        " CASE WHEN length(summary_polyline) > 4 THEN"
        "  ST_AsText(ST_LineFromEncodedPolyline(summary_polyline), 5) END AS line,"
        " readable AND NOT poison AS served FROM truth),"
        " got AS (SELECT id, name, activity_type AS type, start_date AT TIME ZONE 'UTC' AS "
        "start_date,"
        " local_tz AS tz, distance, moving_time, elapsed_time, total_elevation_gain AS gain, "
        "elev_high,"
        " elev_low, external_id, ST_AsText(start_latlng, 5) AS p, ST_AsText(end_latlng, 5) AS q,"
        " ST_AsText(summary_track, 5) AS line FROM activities WHERE athlete_id = %lld AND source ="
        " 'strava')"
        " SELECT coalesce(w.id, g.id), to_jsonb(w) - 'served', to_jsonb(g) FROM want w FULL JOIN "
        "got g"
        " ON g.id = w.id WHERE NOT (g.id IS NULL AND NOT w.served) AND to_jsonb(w) - 'served' IS"
        " DISTINCT FROM to_jsonb(g) ORDER BY 1 LIMIT 5";
    const char *json = truth_text(s, athlete);
    it_exec(db, "DROP TABLE IF EXISTS truth");
    it_exec(db, "CREATE TEMP TABLE truth (%s)", columns);
    it_ask(db,
           it_format("INSERT INTO truth SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS t(%s)",
                     columns),
           1, &json);
    PGresult *res =
        it_query(db, same, POINT("start_latlng"), POINT("end_latlng"), (long long)athlete);
    for (int i = 0; i < PQntuples(res); i++)
        print_error("activity %s\n  want %s\n  got  %s\n", PQgetvalue(res, i, 0),
                    PQgetvalue(res, i, 1), PQgetvalue(res, i, 2));
    assert_int_equal(PQntuples(res), 0);
    it_holds(db,
             "(SELECT count(*) FROM strava.activity WHERE athlete_id = %lld AND state = 'there') ="
             " (SELECT count(*) FROM activities WHERE athlete_id = %lld AND source = 'strava')",
             (long long)athlete, (long long)athlete);
}

/* ---- calls --------------------------------------------------------------------------------- */

int64_t sync_calls(struct sim *s, const char *path)
{
    struct http_answer a = sim_ask(s, "GET", it_format("/_sim/log?path=%s", path), NULL, NULL);
    int64_t n = 0;
    assert_int_equal(a.status, 200);
    for (const char *p = a.body; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

void sync_within_limits(struct sim *s)
{
    assert_int_equal(sim_i64(sim_stats(s), "over_limit"), 0);
}
