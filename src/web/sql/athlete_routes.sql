-- What an athlete has covered, the most first.
-- $1 bigint id
SELECT r.id, coalesce(r.display_name, r.id), r.length, s.covered_length FROM route_stats s JOIN routes r ON r.id = s.route_id
WHERE s.athlete_id = $1 ORDER BY s.covered_length DESC LIMIT 100
