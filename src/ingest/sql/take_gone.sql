-- Strava has no such activity; see strava.take_gone.
-- $1 bigint activity id
-- $2 bigint athlete id
-- $3 bigint ticket
-- $4 integer how often it was looked at
-- $5 bigint milliseconds until the next time, should it be unknown; NULL: no next time
-- $6 boolean an event says that it was deleted
SELECT strava.take_gone($1, $2, $3, $4, $5, $6)
