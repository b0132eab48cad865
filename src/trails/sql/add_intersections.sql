-- The parts of an activity inside a route's corridor.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
-- $5 bytea[] piece as EWKB
INSERT INTO intersections (activity_id, route_id, intersection_track)
SELECT a.id, r.id, u.wkb::geography
FROM unnest($1, $2, $3, $4, $5) u(activity, arev, route, rrev, wkb)
JOIN activities a ON a.id = u.activity AND a.revision = u.arev
JOIN routes r ON r.id = u.route AND r.revision = u.rrev
