-- How far an instance is: whether it is there, its beat and how long ago that was, whether it drains, and what it runs, as it
-- says and as the jobs say.
-- $1 bigint instance
SELECT i.id IS NOT NULL, i.beat, (extract(epoch FROM clock_timestamp() - i.beat_at) * 1000)::bigint, coalesce(i.draining, true),
       greatest(i.running, (SELECT count(*) FROM q.job WHERE owner = $1 AND state = 'running'))
FROM (SELECT) x LEFT JOIN q.instance i ON i.id = $1
