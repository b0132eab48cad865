-- Claims the next job whose process died before; it runs alone. Rows as take. The CTE is materialised so that the planner
-- can neither evaluate the LIMIT twice nor lock more than it returns.
-- $1 text queue
-- $2 bigint owner
-- $3 text[] kinds this program knows: others are left for who does
-- $4 integer[] seconds one attempt may take, by kind
WITH c AS MATERIALIZED (
    SELECT id FROM q.job j
    WHERE queue = $1 AND state = 'ready' AND suspect AND kind = ANY ($3)
        AND NOT EXISTS (SELECT FROM q.pause p WHERE p.queue = $1 AND (p.kind IS NULL OR p.kind = j.kind)
                        AND (p.tenant IS NULL OR p.tenant = j.tenant))
    ORDER BY prio, id
    LIMIT 1
    FOR NO KEY UPDATE OF j SKIP LOCKED
)
UPDATE q.job j SET state = 'running', attempt = attempt + 1, owner = $2, started_at = clock_timestamp(),
    deadline_at = clock_timestamp() + make_interval(secs => coalesce(j.timeout_s, $4[array_position($3, j.kind)]))
WHERE j.id = ANY (ARRAY(SELECT id FROM c))
RETURNING j.id, j.kind, j.prio::bigint, j.fair, j.attempt, j.max_attempts::integer, j.crashes::integer, j.tenant, j.timeout_s,
    j.lane, j.payload::text
