-- The next activities of an athlete by id, until the sizes of their tracks add up to the limit (at least one): what is known of
-- each as JSON, its best geometry, its summary where that is not the best, and whether the best is a recorded one.
-- $1 bigint athlete id
-- $2 bigint after this activity
-- $3 integer how many at most
-- $4 bigint limit in bytes
WITH next AS (
    SELECT id FROM activities WHERE athlete_id = $1 AND id > $2 ORDER BY id LIMIT $3::integer
), sized AS (
    SELECT a.*, t.track AS best, t.origin,
           coalesce(sum(coalesce(pg_column_size(t.track), 0) + coalesce(pg_column_size(a.summary_track), 0))
               OVER (ORDER BY a.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
    FROM next n JOIN activities a ON a.id = n.id LEFT JOIN activity_tracks t ON t.activity_id = a.id
)
SELECT s.id, jsonb_strip_nulls(jsonb_build_object(
           'id', s.id, 'name', s.name, 'activity_type', s.activity_type, 'sport_type', k.sport_type,
           'start_date', to_char(s.start_date, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'local_tz', s.local_tz, 'distance_m', s.distance,
           'moving_time_s', s.moving_time, 'elapsed_time_s', s.elapsed_time, 'elevation_gain_m', s.total_elevation_gain,
           'elev_low_m', s.elev_low, 'elev_high_m', s.elev_high, 'external_id', s.external_id, 'source', s.source,
           'visibility', k.visibility, 'inserted_at', s.inserted_at,
           'track_origin', coalesce(s.origin, CASE WHEN s.summary_track IS NOT NULL THEN 'summary' END),
           'start_lnglat', CASE WHEN GeometryType(s.start_latlng::geometry) = 'POINT' AND NOT ST_IsEmpty(s.start_latlng::geometry)
               THEN jsonb_build_array(ST_X(s.start_latlng::geometry), ST_Y(s.start_latlng::geometry)) END,
           'end_lnglat', CASE WHEN GeometryType(s.end_latlng::geometry) = 'POINT' AND NOT ST_IsEmpty(s.end_latlng::geometry)
               THEN jsonb_build_array(ST_X(s.end_latlng::geometry), ST_Y(s.end_latlng::geometry)) END,
           'covered', (SELECT jsonb_agg(jsonb_build_object('trail', c.route_id, 'start_m', c.start_m, 'end_m', c.end_m)
                           ORDER BY c.route_id, c.start_m) FROM route_sections c WHERE c.activity_id = s.id)))::text,
       ST_AsEWKB(coalesce(s.best, s.summary_track)::geometry),
       CASE WHEN s.best IS NOT NULL THEN ST_AsEWKB(s.summary_track::geometry) END,
       s.best IS NOT NULL
FROM sized s LEFT JOIN strava.activity k ON k.activity_id = s.id
WHERE s.before < $4 ORDER BY s.id
