-- Dead letters by cause, the most first: numbers apart, the same words are the same cause.
SELECT g.cause, g.queue, g.kind, g.n, extract(epoch FROM clock_timestamp() - g.first)::float8,
       extract(epoch FROM clock_timestamp() - g.last)::float8,
       (SELECT left(coalesce(d.last_error, d.reason), 300) FROM q.dead d WHERE d.cause = g.cause AND d.queue = g.queue AND d.kind = g.kind
        ORDER BY d.died_at DESC LIMIT 1)
FROM (SELECT cause, queue, kind, count(*) AS n, min(died_at) AS first, max(died_at) AS last FROM q.dead
      GROUP BY cause, queue, kind ORDER BY 4 DESC, 1, 2, 3 LIMIT 100) g
ORDER BY g.n DESC, g.cause, g.queue, g.kind
