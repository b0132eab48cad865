-- The fence for a batch with jobs of lanes; see q.finish.
-- $1 bigint[] ids
-- $2 integer[] attempts
-- $3 bigint owner
-- $4 text[] lanes
SELECT q.finish($1, $2, $3, $4)
