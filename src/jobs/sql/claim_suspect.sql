-- Claims the next jobs whose process died before; they are claimed one at a time and run alone. The CTE is materialised
-- so that the planner can neither evaluate the LIMIT twice nor lock more than it returns; ids come back in no order.
-- $1 text queue
-- $2 integer how many
-- $3 bigint owner
-- $4 text[] kinds this program knows: others are left for who does
WITH c AS MATERIALIZED (
    SELECT id FROM q.job
    WHERE queue = $1 AND state = 'ready' AND suspect AND kind = ANY ($4)
    ORDER BY prio, id
    LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE q.job j SET state = 'running', attempt = attempt + 1, owner = $3, started_at = clock_timestamp()
WHERE j.id = ANY (ARRAY(SELECT id FROM c))
RETURNING j.id, j.kind, j.prio::bigint, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant, j.payload::text
