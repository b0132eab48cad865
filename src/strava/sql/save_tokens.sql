-- The pair that a refresh gave, in place of the one that was spent; whether that was still there. What somebody stored
-- meanwhile is newer: it made ours useless. After lock_tokens.
-- $1 bigint athlete id
-- $2 bigint who holds the lease, which ends
-- $3 text refresh token that was stored
-- $4 text refresh token
-- $5 text access token
-- $6 float8 seconds that it lives
WITH fresh AS (
    UPDATE refresh_tokens SET refresh_token = $4, updated_at = now() WHERE athlete_id = $1 AND refresh_token = $3
    RETURNING athlete_id
), access AS (
    INSERT INTO access_tokens AS t (athlete_id, access_token, expires_at)
    SELECT athlete_id, $5, (clock_timestamp() + $6 * interval '1 second') AT TIME ZONE 'UTC' FROM fresh
    ON CONFLICT (athlete_id) DO UPDATE SET access_token = excluded.access_token, expires_at = excluded.expires_at,
        updated_at = now()
), lease AS (
    UPDATE strava.account a SET refresh_owner = NULL, refresh_until = NULL, doubtful = false FROM fresh
    WHERE a.athlete_id = fresh.athlete_id AND a.refresh_owner = $2
)
SELECT EXISTS (SELECT FROM fresh)
