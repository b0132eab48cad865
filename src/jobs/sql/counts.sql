-- What stands in the queue, by kind.
SELECT kind, sum((state = 'ready')::int)::bigint, sum((state = 'running')::int)::bigint, sum((state = 'waiting')::int)::bigint,
       sum((state = 'waiting' AND run_at < now() + interval '5 s')::int)::bigint, sum((state IS NULL)::int)::bigint
FROM (SELECT kind, state, run_at FROM q.job UNION ALL SELECT kind, NULL, NULL FROM q.dead) x
GROUP BY kind ORDER BY kind
