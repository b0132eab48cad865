-- These activities do not change until we commit.
-- $1 bigint[] activity ids
SELECT id FROM activities WHERE id = ANY ($1) ORDER BY id FOR SHARE
