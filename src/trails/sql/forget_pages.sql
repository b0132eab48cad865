-- Pages of an older revision of this route, and their dead letters; those of a newer one, listed by somebody else
-- meanwhile, stay.
-- $1 text route id
-- $2 bigint revision
WITH gone AS (
    DELETE FROM route_pages WHERE route_id = $1 AND EXISTS (SELECT FROM routes WHERE id = $1 AND revision = $2)
    RETURNING route_id, page
)
DELETE FROM q.dead WHERE ukey IN (SELECT 'page:' || route_id || ':' || page FROM gone)
