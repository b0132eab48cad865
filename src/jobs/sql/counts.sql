-- What stands in a queue, by kind. What is paused, or behind another job of its lane, waits; nobody does it soon.
-- $1 text queue, or NULL for all
SELECT kind, sum((state = 'ready' AND NOT paused)::int)::bigint, sum((state = 'running')::int)::bigint,
       sum((state IN ('waiting', 'blocked') OR state = 'ready' AND paused)::int)::bigint,
       sum((state = 'waiting' AND NOT paused AND run_at < now() + interval '5 s')::int)::bigint, sum((state IS NULL)::int)::bigint
FROM (SELECT queue, kind, state, run_at,
             EXISTS (SELECT FROM q.pause) AND EXISTS (SELECT FROM q.pause p WHERE p.queue = j.queue AND (p.kind IS NULL OR p.kind = j.kind)
                     AND (p.tenant IS NULL OR p.tenant = j.tenant)) AS paused FROM q.job j
      UNION ALL SELECT queue, kind, NULL, NULL, false FROM q.dead) x
WHERE $1 IS NULL OR queue = $1
GROUP BY kind ORDER BY kind
