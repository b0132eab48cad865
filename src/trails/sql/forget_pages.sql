-- Pages of an older revision of this route.
-- $1 text route id
DELETE FROM route_pages WHERE route_id = $1
