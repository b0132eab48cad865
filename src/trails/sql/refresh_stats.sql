-- Sums that are due, of the athletes of these activities: the length of the union of the intervals.
-- $1 bigint[] activity ids
UPDATE route_stats t SET covered_length = coalesce((
        SELECT sum(upper(x) - lower(x)) FROM unnest((
            SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
            WHERE s.athlete_id = t.athlete_id AND s.route_id = t.route_id AND s.start_m IS NOT NULL)) x), 0),
    stale = false, updated_at = now()
WHERE t.stale AND t.athlete_id IN (SELECT athlete_id FROM activities WHERE id = ANY ($1))
