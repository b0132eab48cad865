-- The fence for one job of no lane; see q.finish_one.
-- $1 bigint id
-- $2 integer attempt
-- $3 bigint owner
SELECT q.finish_one($1, $2, $3)
