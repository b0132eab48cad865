-- An instance is to claim nothing more, or may again. It hears of it at its next beat. No row: there is no such instance.
-- $1 bigint instance
-- $2 boolean nothing more
-- $3 text who
-- $4 jsonb filter, for the audit
WITH told AS (
    UPDATE q.instance SET draining = $2 WHERE id = $1 RETURNING id, beat
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs) SELECT $3, 'jobs drain', $4, 0 FROM told
)
SELECT beat FROM told
