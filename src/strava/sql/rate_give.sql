-- A token of the rate that was not used after all. See q.rate_give.
SELECT q.rate_give('strava', 1)
