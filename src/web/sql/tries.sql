-- Attempts of a job that did not end it well, and the end, in their order.
-- $1 bigint id
SELECT attempt::bigint, owner, started_at, ended_at, extract(epoch FROM ended_at - started_at)::float8, outcome, error FROM (
    (SELECT attempt, owner, started_at, ended_at, outcome, error FROM q.try WHERE job = $1 ORDER BY ended_at DESC LIMIT 100)
    UNION ALL
    SELECT attempt, owner, started_at, finished_at, outcome, NULL FROM q.done WHERE id = $1
    UNION ALL
    SELECT attempt, owner, started_at, NULL, 'running', NULL FROM q.job WHERE id = $1 AND state = 'running'
) x ORDER BY ended_at NULLS LAST, attempt
