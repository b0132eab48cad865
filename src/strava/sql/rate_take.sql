-- Takes a token of the rate for a call that no job has paid for; how many it got. See q.rate_take.
-- $1 boolean live work, which may use the reserve
SELECT q.rate_take('strava', 1, $1)
