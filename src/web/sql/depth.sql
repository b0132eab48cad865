-- For the graph: the depth of all queues and what was finished, in each of the last sixty whole minutes; the newest last.
WITH steps AS (
    SELECT g AS step FROM generate_series(0, 59) g
), d AS (
    SELECT floor(extract(epoch FROM now() - at) / 60)::integer AS ago, queue, avg(ready + waiting + blocked + running) AS n
    FROM q.depth WHERE at > now() - interval '62 minutes' GROUP BY 1, 2
), f AS (
    SELECT floor(extract(epoch FROM now() - at) / 60)::integer AS ago, sum(finished)::float8 AS n
    FROM q.flow WHERE at > now() - interval '62 minutes' GROUP BY 1
)
SELECT coalesce((SELECT sum(n) FROM d WHERE ago = 60 - step), 0)::float8, coalesce((SELECT sum(n) FROM f WHERE ago = 60 - step), 0)::float8
FROM steps ORDER BY step
