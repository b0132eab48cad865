-- Milliseconds until the next waiting job is due; no row value when none waits.
-- $1 text queue
SELECT (greatest(0, extract(epoch FROM min(run_at) - now())) * 1000)::bigint
FROM q.job WHERE state = 'waiting' AND queue = $1
