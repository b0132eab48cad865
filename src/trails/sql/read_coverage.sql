-- A route to show.
-- $1 text route id
SELECT display_name, tolerance_m, ST_AsEWKB(track::geometry) FROM routes WHERE id = $1
