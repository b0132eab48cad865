-- A route, with all credit on it.
-- $1 text id
DELETE FROM routes WHERE id = $1
