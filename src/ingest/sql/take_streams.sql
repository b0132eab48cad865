-- Takes over a recorded track; see strava.take_streams.
-- $1 bigint activity id
-- $2 bigint athlete id
-- $3 bigint ticket
-- $4 bytea track as EWKB; NULL: there is none
SELECT strava.take_streams($1, $2, $3, $4)
