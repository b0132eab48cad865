-- A sync cannot go on.
-- $1 bigint sync id
-- $2 text why
SELECT strava.fail_sync($1, $2)
