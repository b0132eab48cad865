-- Every route, with what one athlete has of it (none: zeros).
-- $1 bigint athlete id, or NULL
SELECT r.id, r.display_name, coalesce(r.length, 0), r.tolerance_m, ST_NPoints(r.track::geometry)::bigint,
       coalesce(t.covered_length, 0),
       (SELECT count(DISTINCT s.activity_id) FROM route_sections s WHERE s.athlete_id = $1 AND s.route_id = r.id),
       coalesce((SELECT max(upper(x) - lower(x)) FROM unnest(
           metre_multirange(metre_range(0, greatest(r.length, 0.001))) - coalesce((
               SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
               WHERE s.athlete_id = $1 AND s.route_id = r.id AND s.start_m IS NOT NULL), '{}')) x), 0),
       (SELECT coalesce(sum(cardinality(p.activity_ids)), 0) FROM route_pages p WHERE p.route_id = r.id),
       st.note
FROM routes r
LEFT JOIN route_stats t ON t.route_id = r.id AND t.athlete_id = $1
LEFT JOIN route_state st ON st.route_id = r.id AND st.revision = r.revision
ORDER BY r.display_name, r.id
