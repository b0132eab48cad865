-- What this instance did since its last row.
-- $1 text queue
-- $2 bigint instance
-- $3 bigint claimed
-- $4 bigint finished
-- $5 bigint retried
-- $6 bigint buried
-- $7 bigint fenced
-- $8 bigint rescued
-- $9 bigint milliseconds that batches ran
INSERT INTO q.flow (queue, instance, claimed, finished, retried, buried, fenced, rescued, run_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
