-- Nothing of this is claimed from now on. The answer: whether that is new, and how much of it still runs.
-- $1 text queue
-- $2 text kind, or NULL for any
-- $3 bigint athlete, or NULL for any
-- $4 text who
-- $5 jsonb filter, for the audit
WITH new AS (
    INSERT INTO q.pause (queue, kind, tenant) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING at
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $4, 'jobs pause', $5, 0 FROM new
)
SELECT EXISTS (SELECT FROM new),
       (SELECT count(*) FROM q.job WHERE state = 'running' AND queue = $1 AND ($2 IS NULL OR kind = $2) AND ($3 IS NULL OR tenant = $3))
