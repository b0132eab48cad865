-- The same for those who hold tokens of the rate already. After rate_full.
-- $1 boolean of the whole day
UPDATE strava.app p SET refused15 = r.win15, refusedday = CASE WHEN $1 THEN r.winday ELSE p.refusedday END
FROM q.rate r WHERE r.name = 'strava'
