-- Routes as they are now.
-- $1 text[] route ids
SELECT id, revision FROM routes WHERE id = ANY ($1) ORDER BY id
