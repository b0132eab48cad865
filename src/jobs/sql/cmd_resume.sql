-- This is claimed again. The answer: how many pauses ended, and how many of the queue go on.
-- $1 text queue
-- $2 text kind, or NULL for the pause of any
-- $3 bigint athlete, or NULL for the pause of any
-- $4 boolean every pause of the queue
-- $5 text who
-- $6 jsonb filter, for the audit
-- $7 text channel on which the instances are told
WITH gone AS (
    DELETE FROM q.pause WHERE queue = $1 AND ($4 OR (kind IS NOT DISTINCT FROM $2 AND tenant IS NOT DISTINCT FROM $3)) RETURNING queue
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $5, 'jobs resume', $6, 0 FROM gone LIMIT 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM q.pause WHERE queue = $1) - (SELECT count(*) FROM gone), pg_notify($7, '')::text
