-- Puts jobs back; see q.requeue.
-- $1 bigint[] ids
-- $2 bigint owner
-- $3 float8[] delays in seconds
-- $4 text error
-- $5 boolean refund the attempt
SELECT q.requeue($1, $2, $3, $4, $5, false)
