-- Queues what no trigger queued: activities without state, routes without a list, pages without a job, sums left due.
-- What died stays dead until somebody retries it.
WITH known AS (
    SELECT ukey FROM q.job WHERE ukey IS NOT NULL AND queue = 'trails'
    UNION ALL SELECT ukey FROM q.dead WHERE ukey IS NOT NULL AND queue = 'trails'
), lost AS (
    SELECT 'match' AS kind, 10 AS prio, 'match:' || a.id AS ukey, a.athlete_id AS tenant, jsonb_build_object('activity', a.id) AS payload
    FROM activities a LEFT JOIN activity_state s ON s.activity_id = a.id AND s.revision = a.revision WHERE s.activity_id IS NULL
    UNION ALL
    SELECT 'route', 0, 'route:' || r.id, NULL, jsonb_build_object('route', r.id)
    FROM routes r LEFT JOIN route_state s ON s.route_id = r.id AND s.revision = r.revision WHERE s.route_id IS NULL
    UNION ALL
    SELECT 'page', 15, 'page:' || route_id || ':' || page, NULL, jsonb_build_object('route', route_id, 'page', page) FROM route_pages
    UNION ALL
    SELECT DISTINCT 'stats', 20, 'stats:' || athlete_id, athlete_id, jsonb_build_object('athlete', athlete_id) FROM route_stats WHERE stale
), made AS (
    INSERT INTO q.job (queue, kind, prio, ukey, tenant, payload)
    SELECT 'trails', kind, prio, ukey, tenant, payload FROM lost
    WHERE NOT EXISTS (SELECT FROM known WHERE known.ukey = lost.ukey) ORDER BY ukey
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO NOTHING
    RETURNING id
)
SELECT count(*) FROM made
