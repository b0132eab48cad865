-- Which of these jobs are still this owner's.
-- $1 bigint[] ids
-- $2 bigint owner
SELECT id FROM q.job WHERE id = ANY ($1) AND owner = $2 AND state = 'running'
