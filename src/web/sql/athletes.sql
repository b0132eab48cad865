-- Athletes with what is left to match, the most first; dead letters, how they stand with Strava, calls that wait.
SELECT a.id, a.backfill_status::text, s.n, s.left_over, coalesce(k.n, 0),
       CASE WHEN t.state = 'reauth' THEN 'must log in again' WHEN c.athlete_id IS NULL THEN NULL
            WHEN EXISTS (SELECT FROM strava.sync y WHERE y.athlete_id = a.id AND y.state = 'running') THEN 'syncing' ELSE 'connected' END,
       coalesce(w.n, 0)
FROM (SELECT id, backfill_status FROM athletes ORDER BY id LIMIT 1000) a
CROSS JOIN LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE t.activity_id IS NULL) AS left_over
    FROM activities x LEFT JOIN activity_state t ON t.activity_id = x.id AND t.revision = x.revision WHERE x.athlete_id = a.id) s
LEFT JOIN (SELECT tenant, count(*) AS n FROM q.dead WHERE tenant IS NOT NULL GROUP BY tenant) k ON k.tenant = a.id
LEFT JOIN (SELECT tenant, count(*) AS n FROM q.job WHERE queue = 'strava' GROUP BY tenant) w ON w.tenant = a.id
LEFT JOIN strava.account t ON t.athlete_id = a.id
LEFT JOIN strava.connected c ON c.athlete_id = a.id
ORDER BY s.left_over DESC, s.n DESC, a.id LIMIT 200
