-- Routes to prepare.
-- $1 text[] route ids
SELECT id, revision, tolerance_m, ST_AsEWKB(track::geometry) FROM routes WHERE id = ANY ($1)
