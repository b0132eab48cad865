-- An activity could not be taken over; see strava.park.
-- $1 bigint activity id
-- $2 bigint athlete id
-- $3 text why
SELECT strava.park($1, $2, $3)
