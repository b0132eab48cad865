-- Brings in what Strava has of whoever logged in with this token.
-- $1 bytea SHA-256 of the token
SELECT count(*) FROM web.visitor v, LATERAL strava.request_sync(v.athlete_id, 'new', NULL, 'login') WHERE v.token = $1
