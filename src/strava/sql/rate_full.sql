-- Strava refused a call (429): nothing more in this window, or in this day.
-- $1 boolean of the whole day
SELECT q.rate_full('strava', $1)
