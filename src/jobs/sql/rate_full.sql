-- The other side refused us: the window is used up. See q.rate_full.
-- $1 text rate
-- $2 boolean of the whole day
SELECT q.rate_full($1, $2)
