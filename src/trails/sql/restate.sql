-- Every sum of these athletes, from scratch; those that are right already are not written.
-- $1 bigint[] athlete ids
UPDATE route_stats t SET covered_length = n.covered, stale = false, updated_at = now()
FROM (
    SELECT o.athlete_id, o.route_id, coalesce((
        SELECT sum(upper(x) - lower(x)) FROM unnest((
            SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
            WHERE s.athlete_id = o.athlete_id AND s.route_id = o.route_id AND s.start_m IS NOT NULL)) x), 0) AS covered
    FROM route_stats o WHERE o.athlete_id = ANY ($1)
) n
WHERE t.athlete_id = n.athlete_id AND t.route_id = n.route_id AND (t.stale OR t.covered_length <> n.covered)
