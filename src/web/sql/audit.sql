-- Who did what, the newest first.
-- $1 bigint before this row, or NULL
SELECT id, at, who, command, filter::text, jobs, complete FROM q.audit WHERE $1 IS NULL OR id < $1 ORDER BY id DESC LIMIT 100
