-- A route, new or in place of the one with this id.
-- $1 text id
-- $2 text name
-- $3 text description
-- $4 float8 tolerance in metres
-- $5 bytea line as EWKB
INSERT INTO routes (id, display_name, description, tolerance_m, track, thumbnail)
VALUES ($1, $2, $3, $4, $5::geography, '')
ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, tolerance_m = excluded.tolerance_m, track = excluded.track,
    description = coalesce(excluded.description, routes.description)
RETURNING xmax = 0
