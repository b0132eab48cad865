-- The new credit, one row an interval; what was read in an older revision of activity or route adds nothing.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
-- $5 float8[] start_m
-- $6 float8[] end_m
-- $7 bytea[] section as EWKB
WITH fresh AS (
    INSERT INTO route_sections (activity_id, route_id, athlete_id, start_m, end_m, section_track)
    SELECT a.id, r.id, a.athlete_id, u.start_m, u.end_m, u.wkb::geography
    FROM unnest($1, $2, $3, $4, $5, $6, $7) u(activity, arev, route, rrev, start_m, end_m, wkb)
    JOIN activities a ON a.id = u.activity AND a.revision = u.arev
    JOIN routes r ON r.id = u.route AND r.revision = u.rrev
    ORDER BY a.id, r.id, u.start_m
    RETURNING athlete_id, route_id
)
INSERT INTO route_stats (athlete_id, route_id, covered_length, stale)
SELECT DISTINCT athlete_id, route_id, 0::float8, true FROM fresh ORDER BY 1, 2
ON CONFLICT (athlete_id, route_id) DO UPDATE SET stale = true
