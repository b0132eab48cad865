-- Schedules that do not come for a time, or come again: then from now on, what passed meanwhile was not wanted; and one
-- that could not be fired is tried again. The answer: those that there are.
-- $1 text[] names
-- $2 boolean paused
-- $3 text who
-- $4 text command
WITH told AS (
    UPDATE q.cron c SET paused = $2,
        next_at = CASE WHEN NOT $2 AND (c.paused OR c.problem IS NOT NULL) THEN coalesce(q.cron_next(c, clock_timestamp()), 'infinity')
                       ELSE c.next_at END,
        problem = CASE WHEN $2 THEN c.problem END
    WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $3, $4, jsonb_build_object('names', jsonb_agg(name)), 0 FROM told HAVING count(*) > 0
)
SELECT name FROM told
