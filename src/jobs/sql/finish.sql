-- The fence; see q.finish.
-- $1 bigint[] ids
-- $2 integer[] attempts
-- $3 bigint owner
SELECT q.finish($1, $2, $3)
