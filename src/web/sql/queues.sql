-- Each queue: what stands in it (counted now if that is little, else as last counted for the graphs), what came and went in
-- the last five minutes, how long the last finished jobs waited and ran, and who works on it.
WITH small AS MATERIALIZED (
    SELECT count(*) <= 20000 AS ok FROM (SELECT FROM q.job LIMIT 20001) x
), counted AS MATERIALIZED (
    SELECT DISTINCT ON (queue) queue, ready, waiting, blocked, running, dead, oldest_s, at FROM q.depth
    WHERE at > now() - interval '1 hour' ORDER BY queue, at DESC
), dead AS MATERIALIZED (
    SELECT queue, count(*) AS n FROM q.dead GROUP BY queue
), now_there AS MATERIALIZED (
    SELECT queue, sum(ready)::bigint AS ready, sum(waiting)::bigint AS waiting, sum(blocked)::bigint AS blocked,
           sum(running)::bigint AS running, min(oldest_at) AS oldest_at, 0::float8 AS counted_s
    FROM (SELECT queue, count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'waiting') AS waiting,
                 count(*) FILTER (WHERE state = 'blocked') AS blocked, count(*) FILTER (WHERE state = 'running') AS running,
                 min(created_at) FILTER (WHERE state = 'ready') AS oldest_at
          FROM q.job WHERE (SELECT ok FROM small) GROUP BY queue) j GROUP BY queue
    UNION ALL
    SELECT queue, ready, waiting, blocked, running, at - make_interval(secs => oldest_s), extract(epoch FROM clock_timestamp() - at)
    FROM counted WHERE NOT (SELECT ok FROM small)
), went AS MATERIALIZED (
    SELECT queue, sum(finished)::float8 AS finished, sum(retried)::bigint AS retried, sum(buried)::bigint AS buried,
           sum(rescued)::bigint AS rescued
    FROM q.flow WHERE at > now() - interval '5 minutes' GROUP BY queue
), before AS MATERIALIZED (
    SELECT DISTINCT ON (queue) queue, ready + waiting + blocked + running AS n, extract(epoch FROM now() - at) AS ago
    FROM q.depth WHERE at BETWEEN now() - interval '6 minutes' AND now() - interval '1 minute' ORDER BY queue, at
), recent AS MATERIALIZED (
    SELECT queue, extract(epoch FROM started_at - created_at)::float8 AS wait_s, extract(epoch FROM finished_at - started_at)::float8 AS run_s
    FROM q.done WHERE finished_at > now() - interval '15 minutes' AND outcome = 'done' ORDER BY finished_at DESC LIMIT 10000
), took AS MATERIALIZED (
    SELECT queue, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY wait_s) AS wait,
           percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY run_s) AS run
    FROM recent GROUP BY queue
), workers AS MATERIALIZED (
    SELECT queue, count(*) FILTER (WHERE NOT draining) AS n, coalesce(sum(slots) FILTER (WHERE NOT draining), 0)::bigint AS slots
    FROM q.instance WHERE queue IS NOT NULL AND beat_at > now() - interval '1 minute' GROUP BY queue
), names AS (
    SELECT queue FROM now_there UNION SELECT queue FROM dead UNION SELECT queue FROM went UNION SELECT queue FROM workers
    UNION SELECT queue FROM q.pause
)
SELECT n.queue, coalesce(t.ready, 0), coalesce(t.waiting, 0), coalesce(t.blocked, 0), coalesce(t.running, 0), coalesce(d.n, 0),
       extract(epoch FROM clock_timestamp() - t.oldest_at)::float8, coalesce(t.counted_s, 0)::float8,
       EXISTS (SELECT FROM q.pause p WHERE p.queue = n.queue AND p.kind IS NULL AND p.tenant IS NULL),
       coalesce(w.finished, 0) / 300, coalesce(w.retried, 0), coalesce(w.buried, 0), coalesce(w.rescued, 0),
       CASE WHEN b.ago > 0 THEN greatest(0, (coalesce(t.ready + t.waiting + t.blocked + t.running, 0) - b.n) / b.ago) END::float8,
       k.wait[1], k.wait[2], k.wait[3], k.run[1], k.run[2], k.run[3], coalesce(i.n, 0), coalesce(i.slots, 0),
       EXISTS (SELECT FROM q.pause p WHERE p.queue = n.queue AND (p.kind IS NOT NULL OR p.tenant IS NOT NULL)),
       EXISTS (SELECT FROM q.rate r WHERE q.rate_room(r, true) = 0 AND (r.win15 + 1) * 900 > extract(epoch FROM clock_timestamp()))
FROM names n LEFT JOIN now_there t USING (queue) LEFT JOIN dead d USING (queue) LEFT JOIN went w USING (queue)
LEFT JOIN before b USING (queue) LEFT JOIN took k USING (queue) LEFT JOIN workers i USING (queue)
ORDER BY n.queue
