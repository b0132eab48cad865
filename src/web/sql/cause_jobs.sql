-- The newest dead letters of one cause.
-- $1 text cause
-- $2 text queue, or NULL for any
-- $3 text kind, or NULL for any
SELECT id, queue, kind, tenant, attempt::bigint, reason, extract(epoch FROM clock_timestamp() - died_at)::float8, left(last_error, 300)
FROM q.dead WHERE cause = $1 AND ($2 IS NULL OR queue = $2) AND ($3 IS NULL OR kind = $3)
ORDER BY died_at DESC, id DESC LIMIT 50
