-- Every dead letter of a queue is a job again; see q.retry.
-- $1 text queue
SELECT q.retry(ARRAY(SELECT id FROM q.dead WHERE queue = $1))::bigint
