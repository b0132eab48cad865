-- Who did this to the page: one row for a command, made with its first page that was not empty, counted up with each. The
-- answer is that row, if there is one, and how many this page was.
-- $1 bigint the row, or NULL when there is none yet
-- $2 text who
-- $3 text command
-- $4 jsonb filter
-- $5 boolean complete with this page, if it was shorter than it could be
-- $6 integer how long it could be
WITH page AS (
    SELECT current_setting('waymark.did')::bigint AS did, cardinality(current_setting('waymark.page')::bigint[]) AS n
), had AS (
    UPDATE q.audit a SET jobs = a.jobs + p.did, complete = $5 AND p.n < $6 FROM page p WHERE a.id = $1 RETURNING a.id
), made AS (
    INSERT INTO q.audit (who, command, filter, jobs, complete)
    SELECT $2, $3, $4, p.did, $5 AND p.n < $6 FROM page p WHERE $1 IS NULL AND p.n > 0 RETURNING id
)
SELECT coalesce((SELECT id FROM had), (SELECT id FROM made)), (SELECT did FROM page)
