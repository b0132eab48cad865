-- As lock_routes, for one; fails 55P03 at once when somebody is changing it.
-- $1 text route id
SELECT id FROM routes WHERE id = $1 FOR SHARE NOWAIT
