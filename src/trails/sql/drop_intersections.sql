-- $1 bigint[] activity ids
-- $2 bigint[] revisions
-- $3 text only this route, or NULL
DELETE FROM intersections s USING activities a, unnest($1, $2) u(id, revision)
WHERE s.activity_id = u.id AND a.id = u.id AND a.revision = u.revision AND ($3 IS NULL OR s.route_id = $3)
