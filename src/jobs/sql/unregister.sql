-- Goodbye: what we still hold goes back unspent, our row goes away.
-- $1 bigint owner
WITH back AS (
    SELECT q.requeue(array_agg(id), $1, array_agg(0::float8), NULL, true, false) AS n
    FROM q.job WHERE owner = $1 AND state = 'running' HAVING count(*) > 0
)
DELETE FROM q.instance WHERE id = $1 AND (SELECT count(n) FROM back) >= 0
