/* people: the binary with a simulator of Strava beside it, and athletes who are connected. */
#pragma once

#include "it/sim.h"

/* What serve and the commands need to find that simulator. */
static inline const char *const *people_env(struct sim *s)
{
    static const char *env[16];
    unsigned n = 0;
    env[n++] = "WAYMARK_HTTP_LISTEN=127.0.0.1:0";
    env[n++] = "WAYMARK_ADMIN_LISTEN=127.0.0.1:0";
    env[n++] = "WAYMARK_ADMIN_SECRET=of-no-interest";
    env[n++] = "STRAVA_CLIENT_ID=1001";
    env[n++] = "STRAVA_CLIENT_SECRET=sim-secret-1001";
    env[n++] = "WAYMARK_LOG_LEVEL=debug";
    env[n++] = it_format("WAYMARK_STRAVA_API_URL=%s/api/v3", sim_url(s));
    env[n++] = it_format("WAYMARK_STRAVA_OAUTH_URL=%s", sim_url(s));
    env[n] = NULL;
    return env;
}

/* An athlete of the simulator as after a login, with a walk. */
static inline void people_connect(struct it_db *db, struct sim *s, int64_t athlete)
{
    json_t *grant = sim_grant(s, athlete, NULL);
    it_exec(db,
            "INSERT INTO athletes (id) VALUES (%lld);"
            "INSERT INTO strava.account (athlete_id, name, scopes) VALUES (%lld, 'Ada \"<b>\"', "
            "'{read,activity:read,activity:read_all}');"
            "INSERT INTO access_tokens (athlete_id, access_token, expires_at) VALUES (%lld, '%s', "
            "to_timestamp(%lld) AT TIME ZONE 'UTC');"
            "INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES (%lld, '%s');"
            "SELECT it.walk(%lld, %lld, 0.1, 0.4)",
            (long long)athlete, (long long)athlete, (long long)athlete,
            sim_str(grant, "access_token"), (long long)sim_i64(grant, "expires_at"),
            (long long)athlete, sim_str(grant, "refresh_token"), (long long)athlete * 100,
            (long long)athlete);
}

/* As an event about it makes one. */
static inline void people_check(struct it_db *db, int64_t athlete)
{
    it_exec(db,
            "SELECT q.add('[{\"queue\": \"strava\", \"kind\": \"strava.check\", \"prio\": 3, "
            "\"tenant\": %lld, \"ukey\": \"check:%lld\", \"payload\": {\"athlete\": %lld}}]');"
            "NOTIFY processing",
            (long long)athlete, (long long)athlete, (long long)athlete);
}

static inline bool people_is_granted(struct sim *s, int64_t athlete)
{
    json_t *all = sim_at(sim_get(s, "athletes"), "athletes");
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *one = json_array_get(all, i);
        if (sim_i64(one, "id") == athlete)
            return json_is_true(json_object_get(one, "granted"));
    }
    fail_msg("the simulator has no athlete %lld", (long long)athlete);
    return false;
}

static inline void people_nothing_of(struct it_db *db, int64_t athlete)
{
    const char *left = it_text(db,
                               "SELECT coalesce(string_agg(place || ' ' || n, ', '), '') FROM "
                               "waymark_count_athlete(%lld) WHERE n > 0",
                               (long long)athlete);
    assert_string_equal(left, "");
}
