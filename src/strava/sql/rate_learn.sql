-- What an answer says of limits and their use; NULL where it says nothing. See q.rate_learn.
-- $1 integer calls a quarter hour
-- $2 integer calls a day
-- $3 integer used of the quarter hour
-- $4 integer used of the day
-- $5 timestamptz its clock, as of that answer
SELECT q.rate_learn('strava', $1, $2, $3, $4, $5)
