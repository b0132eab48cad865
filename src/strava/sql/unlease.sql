-- Gives it back.
-- $1 bigint athlete id
-- $2 bigint who
UPDATE strava.account SET refresh_owner = NULL, refresh_until = NULL WHERE athlete_id = $1 AND refresh_owner = $2
