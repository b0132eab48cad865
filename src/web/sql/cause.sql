-- Dead letters of one cause: how many, since when, and what one of them says.
-- $1 text cause
-- $2 text queue, or NULL for any
-- $3 text kind, or NULL for any
SELECT count(*), extract(epoch FROM clock_timestamp() - min(died_at))::float8, extract(epoch FROM clock_timestamp() - max(died_at))::float8,
       (array_agg(coalesce(last_error, reason) ORDER BY died_at DESC))[1], count(DISTINCT tenant)
FROM q.dead WHERE cause = $1 AND ($2 IS NULL OR queue = $2) AND ($3 IS NULL OR kind = $3)
