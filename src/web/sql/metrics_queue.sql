-- Each queue as last counted for the graphs; what is little is counted now.
WITH small AS MATERIALIZED (
    SELECT count(*) <= 20000 AS ok FROM (SELECT FROM q.job LIMIT 20001) x
), counted AS MATERIALIZED (
    SELECT DISTINCT ON (queue) queue, ready, waiting, blocked, running, oldest_s, at FROM q.depth ORDER BY queue, at DESC
), dead AS MATERIALIZED (
    SELECT queue, count(*) AS n FROM q.dead GROUP BY queue
), there AS (
    SELECT queue, count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'waiting') AS waiting,
           count(*) FILTER (WHERE state = 'blocked') AS blocked, count(*) FILTER (WHERE state = 'running') AS running,
           extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'ready'))::float8 AS oldest_s, 0::float8 AS age_s
    FROM q.job WHERE (SELECT ok FROM small) GROUP BY queue
    UNION ALL
    SELECT queue, ready, waiting, blocked, running, oldest_s + extract(epoch FROM clock_timestamp() - at),
           extract(epoch FROM clock_timestamp() - at) FROM counted WHERE NOT (SELECT ok FROM small)
), names AS (
    SELECT queue FROM there UNION SELECT queue FROM dead UNION SELECT queue FROM q.instance WHERE queue IS NOT NULL
)
SELECT n.queue, coalesce(t.ready, 0), coalesce(t.waiting, 0), coalesce(t.blocked, 0), coalesce(t.running, 0), coalesce(d.n, 0),
       coalesce(t.oldest_s, 0)::float8, coalesce(t.age_s, 0)::float8
FROM names n LEFT JOIN there t USING (queue) LEFT JOIN dead d USING (queue) ORDER BY n.queue LIMIT 100
