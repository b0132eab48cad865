-- After a claim whose answer was lost: gives back what runs under our name without our knowing.
-- $1 bigint owner
-- $2 bigint[] ids we know
SELECT q.requeue(array_agg(id), $1, array_agg(0::float8), NULL, true, false)
FROM q.job WHERE owner = $1 AND state = 'running' AND id <> ALL ($2)
HAVING count(*) > 0
