-- Schedules that come no more. The answer: those that there were.
-- $1 text[] names
-- $2 text who
WITH gone AS (
    DELETE FROM q.cron WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $2, 'jobs cron remove', jsonb_build_object('names', jsonb_agg(name)), 0 FROM gone HAVING count(*) > 0
)
SELECT name FROM gone
