-- The longest lanes among the first hundred thousand blocked jobs, each with its head and, if a dead letter stopped it, that.
WITH long AS (
    SELECT lane, count(*) AS n FROM (SELECT lane FROM q.job WHERE state = 'blocked' LIMIT 100000) x GROUP BY lane
    ORDER BY 2 DESC, 1 LIMIT 50
)
SELECT coalesce(l.lane, s.lane), coalesce(l.n, 0), h.id, h.kind, h.state::text, h.attempt::bigint,
       extract(epoch FROM clock_timestamp() - coalesce(h.started_at, h.run_at, h.created_at))::float8, s.job,
       extract(epoch FROM clock_timestamp() - s.at)::float8
FROM long l FULL JOIN q.halted s ON s.lane = l.lane
LEFT JOIN q.job h ON h.lane = coalesce(l.lane, s.lane) AND h.state <> 'blocked'
ORDER BY s.job IS NULL, 2 DESC, 1 LIMIT 200
