-- Every program at work on this database.
SELECT i.id, i.host, i.pid::bigint, i.version, i.queue, i.slots::bigint,
       (SELECT count(*) FROM q.job j WHERE j.owner = i.id AND j.state = 'running'), i.draining,
       extract(epoch FROM clock_timestamp() - i.beat_at)::float8, extract(epoch FROM clock_timestamp() - i.started_at)::float8,
       coalesce(f.finished, 0), coalesce(f.retried + f.buried, 0)
FROM q.instance i
LEFT JOIN (SELECT instance, sum(finished)::bigint AS finished, sum(retried)::bigint AS retried, sum(buried)::bigint AS buried
           FROM q.flow WHERE at > now() - interval '5 minutes' GROUP BY instance) f ON f.instance = i.id
ORDER BY i.id
