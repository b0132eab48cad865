-- What whoever holds this token has covered of each trail, the most first: name, length, covered, activities, longest gap in
-- metres; and which thousandths of the way are covered, as begins and ends of stretches, for a drawing. On a ring the gaps at
-- both ends of the measure are one.
-- $1 bytea SHA-256 of the token
SELECT coalesce(r.display_name, r.id), coalesce(r.length, 0), t.covered_length,
       (SELECT count(DISTINCT s.activity_id) FROM route_sections s WHERE s.athlete_id = v.athlete_id AND s.route_id = r.id),
       coalesce(g.longest, 0), d.begins, d.ends
FROM web.visitor v
JOIN route_stats t ON t.athlete_id = v.athlete_id AND t.covered_length > 0
JOIN routes r ON r.id = t.route_id
CROSS JOIN LATERAL (
    SELECT coalesce((SELECT range_agg(metre_range(s.start_m, s.end_m)) FROM route_sections s
                     WHERE s.athlete_id = v.athlete_id AND s.route_id = r.id AND s.start_m IS NOT NULL), '{}') AS have,
           ST_DWithin(ST_StartPoint(r.track::geometry)::geography, ST_EndPoint(r.track::geometry)::geography,
                      least(50, r.length / 4)) AS ring
) c
CROSS JOIN LATERAL (
    SELECT greatest(max(upper(x) - lower(x)),
                    CASE WHEN c.ring AND count(*) > 1 AND min(lower(x)) = 0 AND max(upper(x)) = r.length
                         THEN sum(upper(x) - lower(x)) FILTER (WHERE lower(x) = 0 OR upper(x) = r.length) END) AS longest
    FROM unnest(metre_multirange(metre_range(0, greatest(r.length, 0.001))) - c.have) x
) g
CROSS JOIN LATERAL (
    SELECT array_agg(lower(y)::bigint ORDER BY lower(y)) AS begins, array_agg(upper(y)::bigint ORDER BY lower(y)) AS ends
    FROM unnest((SELECT range_agg(int4range(least(floor(1000 * lower(x) / greatest(r.length, 0.001)), 999)::integer,
                                            greatest(least(ceil(1000 * upper(x) / greatest(r.length, 0.001)), 1000), 1)::integer))
                 FROM unnest(c.have) x WHERE NOT isempty(x))) y
) d
WHERE v.token = $1 AND v.expires_at > now()
ORDER BY t.covered_length DESC, 1 LIMIT 500
