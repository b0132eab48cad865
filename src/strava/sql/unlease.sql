-- Gives it back.
-- $1 bigint athlete id
-- $2 bigint who
-- $3 boolean what a refresh gave may have got lost
UPDATE strava.account SET refresh_owner = NULL, refresh_until = NULL, doubtful = doubtful OR $3 WHERE athlete_id = $1 AND refresh_owner = $2
