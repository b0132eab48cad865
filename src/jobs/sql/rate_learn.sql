-- What the other side says of its limits and their use; NULL where it says nothing. See q.rate_learn.
-- $1 text rate
-- $2 integer calls a quarter hour
-- $3 integer calls a day
-- $4 integer used of the quarter hour
-- $5 integer used of the day
-- $6 timestamptz its clock, as of that answer
SELECT q.rate_learn($1, $2, $3, $4, $5, $6)
