-- Makes waiting jobs ready whose time has come.
-- $1 text queue
UPDATE q.job SET state = 'ready', run_at = NULL
WHERE id IN (
    SELECT id FROM q.job WHERE state = 'waiting' AND queue = $1 AND run_at <= now()
    ORDER BY run_at LIMIT 500 FOR UPDATE SKIP LOCKED
)
