-- Milliseconds until the next waiting job is due; NULL when none waits (greatest() alone would make 0 of it).
-- $1 text queue
SELECT CASE WHEN min(run_at) IS NOT NULL THEN (greatest(0, extract(epoch FROM min(run_at) - now())) * 1000)::bigint END
FROM q.job WHERE state = 'waiting' AND queue = $1
