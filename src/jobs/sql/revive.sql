-- Every dead letter of a queue is a job again, as if it had never been tried. Where a twin is queued already that one does
-- the work. What killed its process runs alone, as before.
-- $1 text queue
WITH gone AS (
    DELETE FROM q.dead WHERE queue = $1 RETURNING *
), back AS (
    INSERT INTO q.job (queue, kind, prio, max_attempts, suspect, ukey, tenant, payload, last_error, created_at)
    SELECT queue, kind, prio, max_attempts, reason = 'crashes', ukey, tenant, payload, last_error, created_at
    FROM gone ORDER BY prio, id
    ON CONFLICT (ukey) WHERE ukey IS NOT NULL AND state <> 'running' DO NOTHING
)
SELECT count(*) FROM gone
