-- To the dead letters; see q.bury.
-- $1 bigint[] ids
-- $2 bigint owner
-- $3 text reason
-- $4 text error
SELECT q.bury($1, $2, $3, $4)
