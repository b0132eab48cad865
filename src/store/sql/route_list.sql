-- Every route, with what one athlete has of it (none: zeros). On a ring the gaps at both ends of the measure are one.
-- $1 bigint athlete id, or NULL
SELECT r.id, r.display_name, coalesce(r.length, 0), r.tolerance_m, ST_NPoints(r.track::geometry)::bigint,
       coalesce(t.covered_length, 0),
       (SELECT count(DISTINCT s.activity_id) FROM route_sections s WHERE s.athlete_id = $1 AND s.route_id = r.id),
       coalesce(g.longest, 0),
       (SELECT coalesce(sum(cardinality(p.activity_ids)), 0) FROM route_pages p WHERE p.route_id = r.id),
       st.note
FROM routes r
LEFT JOIN route_stats t ON t.route_id = r.id AND t.athlete_id = $1
LEFT JOIN route_state st ON st.route_id = r.id AND st.revision = r.revision
CROSS JOIN LATERAL (
    SELECT metre_multirange(metre_range(0, greatest(r.length, 0.001))) - coalesce((
               SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
               WHERE s.athlete_id = $1 AND s.route_id = r.id AND s.start_m IS NOT NULL), '{}') AS missing,
           ST_DWithin(ST_StartPoint(r.track::geometry)::geography, ST_EndPoint(r.track::geometry)::geography,
                      least(50, r.length / 4)) AS ring
) m
CROSS JOIN LATERAL (
    SELECT greatest(max(upper(x) - lower(x)),
                    CASE WHEN m.ring AND count(*) > 1 AND min(lower(x)) = 0 AND max(upper(x)) = r.length
                         THEN sum(upper(x) - lower(x)) FILTER (WHERE lower(x) = 0 OR upper(x) = r.length) END) AS longest
    FROM unnest(m.missing) x
) g
ORDER BY r.display_name, r.id
