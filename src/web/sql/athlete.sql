-- One athlete: activities, those left to match, jobs by state, and how fast the athlete's jobs ended in the last ten minutes.
-- $1 bigint id
SELECT a.backfill_status::text, a.created_at, s.n, s.left_over, j.ready, j.waiting, j.running, j.blocked,
       (SELECT count(*) FROM q.dead WHERE tenant = a.id), d.n::float8 / 600, s.first, s.last
FROM athletes a
CROSS JOIN LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE t.activity_id IS NULL) AS left_over, min(x.start_date) AS first, max(x.start_date) AS last
    FROM activities x LEFT JOIN activity_state t ON t.activity_id = x.id AND t.revision = x.revision WHERE x.athlete_id = a.id) s
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'waiting') AS waiting,
           count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'blocked') AS blocked
    FROM q.job WHERE tenant = a.id) j
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM q.done WHERE tenant = a.id AND finished_at > now() - interval '10 minutes') d
WHERE a.id = $1
