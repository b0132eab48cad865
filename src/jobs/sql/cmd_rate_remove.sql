-- Rates that limit nothing any more. The answer: those that there were.
-- $1 text[] names
-- $2 text who
WITH gone AS (
    DELETE FROM q.rate WHERE name = ANY ($1) RETURNING name
), said AS (
    INSERT INTO q.audit (who, command, filter, jobs)
    SELECT $2, 'jobs rates remove', jsonb_build_object('names', jsonb_agg(name)), 0 FROM gone HAVING count(*) > 0
)
SELECT name FROM gone
