-- Takes the old credit of these activities away, all of it or that on one route, and marks the sums it was part of.
-- Activities that changed since they were read keep it: their own job replaces it.
-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text only this route, or NULL
WITH gone AS (
    DELETE FROM route_sections s USING activities a, unnest($1, $2) u(id, revision)
    WHERE s.activity_id = u.id AND a.id = u.id AND a.revision = u.revision AND ($3 IS NULL OR s.route_id = $3)
    RETURNING coalesce(s.athlete_id, a.athlete_id) AS athlete_id, s.route_id
)
INSERT INTO route_stats (athlete_id, route_id, covered_length, stale)
SELECT DISTINCT athlete_id, route_id, 0::float8, true FROM gone ORDER BY 1, 2
ON CONFLICT (athlete_id, route_id) DO UPDATE SET stale = true
