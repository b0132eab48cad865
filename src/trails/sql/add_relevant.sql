-- Which activities came into a route's corridor at all.
-- $1 bigint[] activity ids
-- $2 bigint[] their revisions
-- $3 text[] route ids
-- $4 bigint[] their revisions
INSERT INTO relevant_activities (activity_id, route_id, relevant)
SELECT a.id, r.id, true
FROM unnest($1, $2, $3, $4) u(activity, arev, route, rrev)
JOIN activities a ON a.id = u.activity AND a.revision = u.arev
JOIN routes r ON r.id = u.route AND r.revision = u.rrev
ON CONFLICT (activity_id, route_id) DO UPDATE SET relevant = true
