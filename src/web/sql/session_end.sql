-- Somebody has logged out.
-- $1 bytea SHA-256 of the token
-- $2 text who
WITH gone AS (
    DELETE FROM web.session WHERE token = $1 RETURNING 1
)
INSERT INTO q.audit (who, command, filter, jobs) SELECT $2, 'logout', '{}', 0 FROM gone
