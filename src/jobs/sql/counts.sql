-- What stands in a queue, by kind.
-- $1 text queue, or NULL for all
SELECT kind, sum((state = 'ready')::int)::bigint, sum((state = 'running')::int)::bigint, sum((state = 'waiting')::int)::bigint,
       sum((state = 'waiting' AND run_at < now() + interval '5 s')::int)::bigint, sum((state IS NULL)::int)::bigint
FROM (SELECT queue, kind, state, run_at FROM q.job UNION ALL SELECT queue, kind, NULL, NULL FROM q.dead) x
WHERE $1 IS NULL OR queue = $1
GROUP BY kind ORDER BY kind
