-- Strava refused the stored access token and there is no way to another one: nobody has to find that out again, with a call
-- that counts, until it would have expired.
-- $1 bigint athlete id
-- $2 text the access token as it is stored
UPDATE access_tokens SET expires_at = least(expires_at, now() AT TIME ZONE 'UTC') WHERE athlete_id = $1 AND access_token = $2
