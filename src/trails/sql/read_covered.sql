-- The union of an athlete's intervals on a route, in order.
-- $1 text route id
-- $2 bigint athlete id
SELECT lower(x), upper(x) FROM unnest((
    SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
    WHERE s.athlete_id = $2 AND s.route_id = $1 AND s.start_m IS NOT NULL)) x
ORDER BY 1
