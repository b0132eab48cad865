-- An athlete who logged in: account and tokens; the athlete is there already.
-- $1 bigint athlete id
-- $2 text name
-- $3 text[] scopes
-- $4 text refresh token
-- $5 text access token
-- $6 float8 seconds that it lives
WITH refresh AS (
    INSERT INTO refresh_tokens (athlete_id, refresh_token) VALUES ($1, $4)
    ON CONFLICT (athlete_id) DO UPDATE SET refresh_token = excluded.refresh_token, updated_at = now()
    RETURNING athlete_id
), access AS (
    INSERT INTO access_tokens (athlete_id, access_token, expires_at)
    SELECT athlete_id, $5, (clock_timestamp() + $6 * interval '1 second') AT TIME ZONE 'UTC' FROM refresh
    ON CONFLICT (athlete_id) DO UPDATE SET access_token = excluded.access_token, expires_at = excluded.expires_at,
        updated_at = now()
    RETURNING athlete_id
)
INSERT INTO strava.account AS a (athlete_id, name, scopes) SELECT athlete_id, $2, $3 FROM access
ON CONFLICT (athlete_id) DO UPDATE SET name = coalesce(excluded.name, a.name), scopes = excluded.scopes, connected_at = now(),
    refresh_owner = NULL, refresh_until = NULL, doubtful = false
