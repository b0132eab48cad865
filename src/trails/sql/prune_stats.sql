-- No row for nothing: an athlete and a route without common ground.
-- $1 bigint[] activity ids
DELETE FROM route_stats t
WHERE t.covered_length = 0 AND NOT t.stale AND t.athlete_id IN (SELECT athlete_id FROM activities WHERE id = ANY ($1))
