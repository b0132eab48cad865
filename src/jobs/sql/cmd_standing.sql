-- What stands in each queue, by kind, and how old the ready job is that was added first.
SELECT queue, kind, sum((state = 'ready')::int)::bigint, sum((state = 'waiting')::int)::bigint, sum((state = 'blocked')::int)::bigint,
       sum((state = 'running')::int)::bigint, sum((state IS NULL)::int)::bigint,
       extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'ready'))::float8
FROM (SELECT queue, kind, state, created_at FROM q.job UNION ALL SELECT queue, kind, NULL, NULL FROM q.dead) x
GROUP BY queue, kind ORDER BY queue, kind
