-- These routes do not change until we commit.
-- $1 text[] route ids
SELECT id FROM routes WHERE id = ANY ($1) ORDER BY id FOR SHARE
