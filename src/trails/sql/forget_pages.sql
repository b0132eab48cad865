-- Pages of an older revision of this route; those of a newer one, listed by somebody else meanwhile, stay.
-- $1 text route id
-- $2 bigint revision
DELETE FROM route_pages WHERE route_id = $1 AND EXISTS (SELECT FROM routes WHERE id = $1 AND revision = $2)
