-- Every sum of these athletes, from scratch.
-- $1 bigint[] athlete ids
UPDATE route_stats t SET covered_length = coalesce((
        SELECT sum(upper(x) - lower(x)) FROM unnest((
            SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
            WHERE s.athlete_id = t.athlete_id AND s.route_id = t.route_id AND s.start_m IS NOT NULL)) x), 0),
    stale = false, updated_at = now()
WHERE t.athlete_id = ANY ($1)
